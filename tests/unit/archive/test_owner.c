/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: of several nodes that claim an archive one at a time is the owner, the others learn of it,
 * and a lost answer never makes two owners, or none where there is one.
 * Method: golden bytes; nodes that take turns at random over stores of both kinds, with answers
 * lost by store_fault, against a model that knows who claimed last.
 */
#include "archive/owner.h"

#include "fake.h"
#include "lib/store_fault.h"

#define NOW FAKE_START_MS

static void no_cond(struct fake *f)
{
    f->store->base.caps &= ~(unsigned)HF_STORE_COND_PUT;
}

static enum hf_code touch(struct fake *f, struct hf_owner *o, int64_t now_ms, struct hf_err *err)
{
    struct test_clock clock;

    test_clock_init(&clock, now_ms * 1000);
    return hf_owner_touch(&f->archive, o, &clock.base, err);
}

static enum hf_code leave(struct fake *f, struct hf_owner *o, int64_t now_ms, struct hf_err *err)
{
    struct test_clock clock;

    test_clock_init(&clock, now_ms * 1000);
    return hf_owner_leave(&f->archive, o, &clock.base, err);
}

static void bytes_are_the_documented_ones(void **state)
{
    static const char golden[] =
        "{\n"
        "  \"epoch\": 3,\n"
        "  \"node\": \"00112233445566778899aabbccddeeff\",\n"
        "  \"host\": \"db%201\",\n"
        "  \"pid\": 77,\n"
        "  \"since_ms\": 1767225600000,\n"
        "  \"attached_until_ms\": 1767225601000,\n"
        "  \"last_txid\": 77,\n"
        "  \"lease_until_ms\": 0\n"
        "}\n";
    struct hf_rand rand = hf_rand_seeded(1);
    struct hf_owner o;
    struct hf_owner back;
    struct hf_err err;
    HF_AUTO_BUF body = {0};

    (void)state;
    hf_owner_init(&o, &rand, "db 1", 77);
    assert_int_equal(strlen(o.node), HF_NODE_MAX - 1);
    (void)snprintf(o.node, sizeof(o.node), "00112233445566778899aabbccddeeff");
    o.epoch = 3;
    o.since_ms = NOW;
    o.attached_until_ms = NOW + 1000;
    o.last_txid = 77;
    hf_owner_print(&o, &body);
    assert_string_equal(hf_buf_str(&body), golden);
    hf_must(hf_owner_parse(hf_slice_str(golden), &back, &err), &err);
    assert_int_equal(back.epoch, 3);
    assert_string_equal(back.node, o.node);
    assert_string_equal(back.host, "db%201");
    assert_int_equal(back.pid, 77);
    assert_int_equal(back.since_ms, o.since_ms);
    assert_int_equal(back.attached_until_ms, o.attached_until_ms);
    assert_int_equal(back.last_txid, 77);
    assert_string_equal(back.database, "");
    /* The database may be missing, as in archives of before it was told. */
    HF_AUTO_BUF named = {0};

    hf_owner_set_database(&o, "/srv/a 100%.db");
    hf_owner_print(&o, &named);
    assert_non_null(strstr(hf_buf_str(&named), "\"database\": \"/srv/a%20100%25.db\",\n"));
    hf_must(hf_owner_parse(hf_buf_slice(&named), &back, &err), &err);
    assert_string_equal(back.database, "/srv/a%20100%25.db");
    HF_AUTO_FREE char *longest = hf_strdup("/");

    while (strlen(longest) < HF_OWNER_DB_MAX - 1) {
        char *longer = hf_strfmt("%sx", longest);

        hf_free(longest);
        longest = longer;
    }
    hf_owner_set_database(&o, longest);
    assert_string_equal(o.database, longest);
    longest[0] = ' '; /* longer when it is escaped */
    hf_owner_set_database(&o, longest);
    assert_string_equal(o.database, "");
    /* No other field may be missing or cut. */
    for (size_t len = 0; len + 2 < sizeof(golden); len++)
        assert_int_equal(hf_owner_parse(hf_slice(golden, len), &back, &err), HF_DAMAGE);
    for (const char *field = strchr(golden, '"'); field != NULL; field = strchr(field + 1, '\n')) {
        HF_AUTO_FREE char *text = hf_strdup(golden);
        char *name = strchr(text + (field - golden), '"');

        if (name == NULL)
            break;
        name[1] = 'X';
        assert_int_equal(hf_owner_parse(hf_slice_str(text), &back, &err), HF_DAMAGE);
    }
}

static void each_claim_raises_the_epoch_and_fences_the_last(void **state)
{
    struct hf_rand rand = hf_rand_seeded(2);
    struct hf_owner a;
    struct hf_owner b;
    struct hf_owner there;
    struct fake f;

    (void)state;
    fake_init(&f);
    hf_owner_init(&a, &rand, "one", 11);
    hf_owner_init(&b, &rand, "two", 22);
    assert_string_not_equal(a.node, b.node);
    assert_int_equal(hf_owner_read(&f.archive, &there, &f.err), HF_NOT_FOUND);

    hf_must(hf_owner_claim(&f.archive, &a, NOW, &f.err), &f.err);
    assert_int_equal(a.epoch, 1);
    hf_must(hf_owner_check(&f.archive, &a, &f.err), &f.err);
    hf_must(touch(&f, &a, NOW + 5, &f.err), &f.err);
    hf_must(touch(&f, &a, NOW + 6, &f.err), &f.err);
    hf_must(hf_owner_read(&f.archive, &there, &f.err), &f.err);
    assert_int_equal(there.attached_until_ms, NOW + 6);
    assert_int_equal(there.since_ms, NOW);
    assert_int_equal(there.lease_until_ms, 0);

    hf_must(hf_owner_claim(&f.archive, &b, NOW + 7, &f.err), &f.err);
    assert_int_equal(b.epoch, 2);
    assert_int_equal(hf_owner_check(&f.archive, &a, &f.err), HF_FENCED);
    assert_says(&f.err, "two");
    assert_says(&f.err, "22");
    assert_says(&f.err, "2026-01-01T00:00:00.007Z");
    assert_int_equal(touch(&f, &a, NOW + 8, &f.err), HF_FENCED);
    hf_must(hf_owner_read(&f.archive, &there, &f.err), &f.err);
    assert_string_equal(there.node, b.node);
    hf_must(hf_owner_check(&f.archive, &b, &f.err), &f.err);

    /* The fenced one may claim again, and then is the owner. */
    hf_must(hf_owner_claim(&f.archive, &a, NOW + 9, &f.err), &f.err);
    assert_int_equal(a.epoch, 3);
    assert_int_equal(hf_owner_check(&f.archive, &b, &f.err), HF_FENCED);
    fake_done(&f);
}

static void an_object_that_is_gone_or_older_stops_the_owner(void **state)
{
    struct hf_rand rand = hf_rand_seeded(3);
    HF_AUTO_BUF old = {0};
    struct hf_owner a;
    struct fake f;

    (void)state;
    fake_init(&f);
    hf_owner_init(&a, &rand, "one", 11);
    hf_must(hf_owner_claim(&f.archive, &a, NOW, &f.err), &f.err);
    hf_must(hf_archive_get(&f.archive, HF_NAME_OWNER, &old, NULL, &f.err), &f.err);
    hf_must(hf_owner_claim(&f.archive, &a, NOW, &f.err), &f.err);
    assert_int_equal(a.epoch, 2);

    fake_put(&f, "t/a.db/holdfast/owner", hf_buf_slice(&old));
    assert_int_equal(hf_owner_check(&f.archive, &a, &f.err), HF_DAMAGE);
    assert_says(&f.err, "from epoch 2 to 1");
    assert_int_equal(touch(&f, &a, NOW + 1, &f.err), HF_DAMAGE);

    fake_put(&f, "t/a.db/holdfast/owner", hf_slice_str("{}"));
    assert_int_equal(hf_owner_check(&f.archive, &a, &f.err), HF_DAMAGE);
    assert_int_equal(hf_owner_claim(&f.archive, &a, NOW, &f.err), HF_DAMAGE);

    hf_must(hf_store_delete(&f.store->base, "t/a.db/holdfast/owner", &f.err), &f.err);
    assert_int_equal(hf_owner_check(&f.archive, &a, &f.err), HF_FENCED);
    assert_int_equal(touch(&f, &a, NOW + 1, &f.err), HF_FENCED);
    /* A claim after that never goes back to an epoch that was used. */
    hf_must(hf_owner_claim(&f.archive, &a, NOW, &f.err), &f.err);
    assert_int_equal(a.epoch, 3);
    fake_done(&f);
}

static void without_conditional_puts_a_running_lease_is_respected(void **state)
{
    struct hf_rand rand = hf_rand_seeded(4);
    struct hf_owner a;
    struct hf_owner b;
    struct fake f;

    (void)state;
    fake_init(&f);
    no_cond(&f);
    hf_owner_init(&a, &rand, "one", 11);
    hf_owner_init(&b, &rand, "two", 22);
    hf_must(hf_owner_claim(&f.archive, &a, NOW, &f.err), &f.err);
    assert_int_equal(a.lease_until_ms, NOW + HF_OWNER_LEASE_MS);
    hf_must(touch(&f, &a, NOW + 30000, &f.err), &f.err);

    assert_int_equal(hf_owner_claim(&f.archive, &b, NOW + HF_OWNER_LEASE_MS, &f.err), HF_BUSY);
    assert_says(&f.err, "one");
    assert_says(&f.err, "11");
    assert_says(&f.err, "2026-01-01T00:01:30.000Z");
    hf_must(hf_owner_check(&f.archive, &a, &f.err), &f.err);

    /* The holder itself, started again with its node, need not wait. */
    struct hf_owner again = a;
    hf_must(hf_owner_claim(&f.archive, &again, NOW + 30001, &f.err), &f.err);
    assert_int_equal(again.epoch, 2);

    /* When the lease is over, another may claim, and the holder is fenced. */
    hf_must(hf_owner_claim(&f.archive, &b, NOW + 30001 + HF_OWNER_LEASE_MS, &f.err), &f.err);
    assert_int_equal(touch(&f, &again, NOW + 999999, &f.err), HF_FENCED);
    hf_must(hf_owner_check(&f.archive, &b, &f.err), &f.err);

    /* An owner that leaves is not waited for. */
    hf_must(leave(&f, &b, NOW + 100000, &f.err), &f.err);
    assert_int_equal(b.attached_until_ms, NOW + 100000);
    assert_int_equal(b.lease_until_ms, 0);
    hf_must(hf_owner_claim(&f.archive, &again, NOW + 100001, &f.err), &f.err);
    fake_done(&f);
}

/* A put takes its time, and nothing may come to lie over the claim of whoever is next. */
static void a_short_lease_is_neither_renewed_nor_given_back(void **state)
{
    struct hf_rand rand = hf_rand_seeded(5);
    struct hf_owner a;
    struct hf_owner there;
    struct fake f;
    const int64_t half = NOW + HF_OWNER_LEASE_MS / 2;

    (void)state;
    fake_init(&f);
    no_cond(&f);
    hf_owner_init(&a, &rand, "one", 11);
    hf_must(hf_owner_claim(&f.archive, &a, NOW, &f.err), &f.err);
    assert_false(hf_owner_lease_is_short(&a, half));
    assert_true(hf_owner_lease_is_short(&a, half + 1));
    assert_int_equal(touch(&f, &a, half + 1, &f.err), HF_BUSY);
    assert_says(&f.err, "2026-01-01T00:01:00.000Z");
    assert_int_equal(leave(&f, &a, half + 1, &f.err), HF_BUSY);
    hf_must(hf_owner_read(&f.archive, &there, &f.err), &f.err);
    assert_int_equal(there.attached_until_ms, NOW);
    assert_int_equal(there.lease_until_ms, NOW + HF_OWNER_LEASE_MS);
    /* Nor is it claimed by its own node before it has run out. */
    assert_int_equal(hf_owner_claim(&f.archive, &a, half + 1, &f.err), HF_BUSY);
    hf_must(hf_owner_claim(&f.archive, &a, NOW + HF_OWNER_LEASE_MS, &f.err), &f.err);
    assert_int_equal(a.epoch, 2);
    fake_done(&f);
}

/* Somebody else's claim of the same epoch, put blindly, as it may happen without conditions. */
static void the_same_epoch_of_another_node_fences_too(void **state)
{
    struct hf_rand rand = hf_rand_seeded(5);
    HF_AUTO_BUF body = {0};
    struct hf_owner a;
    struct hf_owner b;
    struct fake f;

    (void)state;
    fake_init(&f);
    no_cond(&f);
    hf_owner_init(&a, &rand, "one", 11);
    hf_owner_init(&b, &rand, "two", 22);
    hf_must(hf_owner_claim(&f.archive, &a, NOW, &f.err), &f.err);
    b.epoch = a.epoch;
    b.since_ms = NOW;
    hf_owner_print(&b, &body);
    fake_put(&f, "t/a.db/holdfast/owner", hf_buf_slice(&body));
    assert_int_equal(hf_owner_check(&f.archive, &a, &f.err), HF_FENCED);
    assert_int_equal(touch(&f, &a, NOW + 1, &f.err), HF_FENCED);
    fake_done(&f);
}

static void a_lost_answer_is_settled_by_reading_back(void **state)
{
    (void)state;
    for (int cond = 0; cond < 2; cond++) {
        struct hf_rand rand = hf_rand_seeded(6);
        struct hf_owner a;
        struct fake f;

        fake_init(&f);
        if (cond == 0)
            no_cond(&f);
        struct store_fault *fault = store_fault_new(&f.store->base);
        const struct store_fault_plan lost = {
            .kinds = STORE_PUT, .fail_at = 1, .after_effect = true};

        f.archive.store = &fault->base;
        hf_owner_init(&a, &rand, "one", 11);
        store_fault_arm(fault, lost);
        hf_must(hf_owner_claim(&f.archive, &a, NOW, &f.err), &f.err);
        assert_int_equal(fault->guarded.failed, 1);
        assert_int_equal(a.epoch, 1);
        store_fault_arm(fault, lost);
        hf_must(touch(&f, &a, NOW + 1, &f.err), &f.err);
        assert_int_equal(fault->guarded.failed, 1);
        assert_int_equal(a.attached_until_ms, NOW + 1);
        hf_must(touch(&f, &a, NOW + 2, &f.err), &f.err); /* the etag is right */

        /* Uncertain, and it did not happen: repeated until it does. */
        store_fault_arm(fault, (struct store_fault_plan){
                                   .kinds = STORE_PUT, .fail_at = 1, .code = HF_UNCERTAIN});
        hf_must(touch(&f, &a, NOW + 3, &f.err), &f.err);
        assert_int_equal(a.attached_until_ms, NOW + 3);

        /* Uncertain, and the reading back fails too: not claimed for all we know. */
        store_fault_arm(fault, (struct store_fault_plan){.kinds = STORE_PUT | STORE_GET,
                                                         .fail_at = 2,
                                                         .from_then_on = true,
                                                         .after_effect = true,
                                                         .code = HF_TRANSIENT});
        assert_int_equal(hf_owner_claim(&f.archive, &a, NOW + 4, &f.err), HF_UNCERTAIN);
        assert_int_equal(a.epoch, 1);
        store_fault_disarm(fault);
        hf_must(hf_owner_claim(&f.archive, &a, NOW + 5, &f.err), &f.err);
        assert_int_equal(a.epoch, 3);

        /* Uncertain for ever ends. */
        store_fault_arm(fault, (struct store_fault_plan){.kinds = STORE_PUT,
                                                         .fail_at = 1,
                                                         .from_then_on = true,
                                                         .code = HF_UNCERTAIN});
        assert_int_equal(touch(&f, &a, NOW + 6, &f.err), HF_UNCERTAIN);
        assert_int_equal(hf_owner_claim(&f.archive, &a, NOW + 6, &f.err), HF_BUSY);
        assert_true(fault->guarded.failed < 40);
        hf_store_free(&fault->base);
        fake_done(&f);
    }
}

#define NODES 4

/* Nodes act in random order, with some answers lost; whoever claimed last, and only that one,
 * passes check and touch. */
static void one_node_at_a_time_is_the_owner(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct hf_rand rand = hf_rand_seeded(seed);
        struct hf_owner nodes[NODES];
        struct fake f;
        int owner = -1;
        uint64_t epoch = 0;
        int64_t now = NOW;

        fake_init(&f);
        if (seed % 3 == 0)
            no_cond(&f);
        struct store_fault *fault = store_fault_new(&f.store->base);

        f.archive.store = &fault->base;
        for (int i = 0; i < NODES; i++)
            hf_owner_init(&nodes[i], &rand, "host", (uint64_t)i);
        for (int step = 0; step < 60; step++) {
            const int i = (int)hf_rand_below(&rand, NODES);
            struct hf_err err;

            now += HF_OWNER_LEASE_MS + 1; /* leases are another test's matter */
            store_fault_arm(fault,
                            (struct store_fault_plan){.kinds = STORE_PUT,
                                                      .fail_at = hf_rand_below(&rand, 3),
                                                      .after_effect = hf_rand_below(&rand, 2) == 0,
                                                      .code = HF_UNCERTAIN});
            if (nodes[i].epoch == 0 || hf_rand_below(&rand, 3) == 0) {
                hf_must(hf_owner_claim(&f.archive, &nodes[i], now, &err), &err);
                assert_true(nodes[i].epoch > epoch);
                epoch = nodes[i].epoch;
                owner = i;
                continue;
            }
            const bool touches = hf_rand_below(&rand, 2) == 0;
            const enum hf_code rc = touches ? touch(&f, &nodes[i], now, &err)
                                            : hf_owner_check(&f.archive, &nodes[i], &err);
            const enum hf_code owners = touches && seed % 3 == 0 ? HF_BUSY : HF_OK;

            assert_int_equal(rc, i == owner ? owners : HF_FENCED);
        }
        hf_store_free(&fault->base);
        fake_done(&f);
    }
}

/* `last_txid` is from a listing, and meanwhile the archiver may have gone on and noted that. */
static void what_came_after_the_listing_is_not_missing(void **state)
{
    static const struct {
        const char *segments;
        uint64_t last_txid;
        uint64_t owners_txid;
        uint64_t missing_to;
    } cases[] = {
        {"9:1-1 0:2-2", 2, 2, 0},       {"9:1-1 0:2-2", 2, 3, 3},
        {"9:1-1 0:2-2 0:3-3", 2, 3, 0}, {"9:1-1 0:2-2 0:3-3 0:4-4", 2, 3, 0},
        {"9:1-1 0:2-2 0:3-3", 2, 5, 5}, {"9:1-1 0:2-2 0:4-4", 2, 4, 4},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        struct hf_rand rand = hf_rand_seeded(i);
        struct hf_owner o;
        struct fake f;
        uint64_t missing_to = 77;

        fake_init(&f);
        fake_put_all(&f, cases[i].segments);
        hf_owner_init(&o, &rand, "db", 1);
        hf_must(hf_owner_claim(&f.archive, &o, NOW, &f.err), &f.err);
        o.last_txid = cases[i].owners_txid;
        hf_must(touch(&f, &o, NOW, &f.err), &f.err);
        hf_must(hf_owner_missing_tail(&f.archive, cases[i].last_txid, &missing_to, &f.err), &f.err);
        assert_int_equal(missing_to, cases[i].missing_to);
        fake_done(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_the_documented_ones),
        cmocka_unit_test(each_claim_raises_the_epoch_and_fences_the_last),
        cmocka_unit_test(an_object_that_is_gone_or_older_stops_the_owner),
        cmocka_unit_test(without_conditional_puts_a_running_lease_is_respected),
        cmocka_unit_test(a_short_lease_is_neither_renewed_nor_given_back),
        cmocka_unit_test(the_same_epoch_of_another_node_fences_too),
        cmocka_unit_test(a_lost_answer_is_settled_by_reading_back),
        cmocka_unit_test(one_node_at_a_time_is_the_owner),
        cmocka_unit_test(what_came_after_the_listing_is_not_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
