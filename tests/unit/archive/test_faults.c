/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a store that fails is reported as that, never as a hole, a missing archive, a wrong target
 * or an older database; and nothing leaks on the way.
 * Method: each question is asked again and again with its n-th request failing, for all n, over
 * archives that end in every kind of answer.
 */
#include "archive/catchups.h"
#include "archive/members.h"
#include "archive/owner.h"
#include "archive/plan.h"
#include "fake.h"
#include "lib/store_fault.h"

/* One question; HF_OK or its own verdict when the store works. */
typedef enum hf_code ask_fn(struct hf_archive *a, struct hf_err *err);

static enum hf_code ask_plan(struct hf_archive *a, struct hf_target target, struct hf_err *err)
{
    HF_AUTO_PLAN *p = NULL;
    const enum hf_code rc = hf_plan_new(a, &fake_codec, &target, &p, err);

    assert_int_equal(rc == HF_OK, p != NULL);
    return rc;
}

static enum hf_code ask_latest(struct hf_archive *a, struct hf_err *err)
{
    return ask_plan(a, (struct hf_target){.kind = HF_TARGET_LATEST}, err);
}

static enum hf_code ask_txid(struct hf_archive *a, struct hf_err *err)
{
    return ask_plan(a, (struct hf_target){.kind = HF_TARGET_TXID, .txid = 20}, err);
}

static enum hf_code ask_first_txid(struct hf_archive *a, struct hf_err *err)
{
    return ask_plan(a, (struct hf_target){.kind = HF_TARGET_TXID, .txid = 1}, err);
}

static enum hf_code ask_time(struct hf_archive *a, struct hf_err *err)
{
    const struct hf_target target = {
        .kind = HF_TARGET_TIME, .time_ms = FAKE_START_MS + 15500, .now_ms = INT64_MAX};

    return ask_plan(a, target, err);
}

static enum hf_code ask_future(struct hf_archive *a, struct hf_err *err)
{
    const struct hf_target target = {
        .kind = HF_TARGET_TIME, .time_ms = FAKE_START_MS + 99000, .now_ms = FAKE_START_MS};

    return ask_plan(a, target, err);
}

static enum hf_code ask_head(struct hf_archive *a, struct hf_err *err)
{
    struct hf_head h = {0};
    const enum hf_code rc = hf_listing_head(a, 12, &h, err);

    hf_head_done(&h);
    return rc;
}

static enum hf_code ask_all(struct hf_archive *a, struct hf_err *err)
{
    HF_AUTO_SEG_LIST l = {0};

    return hf_listing_all(a, &l, err);
}

/* The record of TXID 16 is put and read. */
static enum hf_code ask_gaps(struct hf_archive *a, struct hf_err *err)
{
    const struct hf_seg_info info = {.min_txid = 16, .max_txid = 16, .catchup = true};
    HF_AUTO_SEG_LIST all = {0};
    HF_AUTO_GAPS gaps = {0};
    enum hf_code rc = hf_catchup_put(a, &info, 1, err);

    if (rc == HF_OK)
        rc = hf_listing_all(a, &all, err);
    return rc != HF_OK ? rc : hf_catchups_list(a, &fake_codec, &all, 9, &gaps, err);
}

static enum hf_code ask_open(struct hf_archive *a, struct hf_err *err)
{
    struct hf_archive again;

    return hf_archive_open(a->store, a->prefix, &again, err);
}

static enum hf_code ask_owner(struct hf_archive *a, struct hf_err *err)
{
    struct hf_rand rand = hf_rand_seeded(1);
    struct test_clock clock;
    struct hf_owner o;
    enum hf_code rc;

    test_clock_init(&clock, (FAKE_START_MS + 1) * 1000);
    hf_owner_init(&o, &rand, "host", 1);
    rc = hf_owner_claim(a, &o, FAKE_START_MS, err);
    if (rc == HF_OK)
        rc = hf_owner_touch(a, &o, &clock.base, err);
    if (rc == HF_OK)
        rc = hf_owner_check(a, &o, err);
    return rc;
}

static enum hf_code see_member(void *ctx, const char *partition, struct hf_err *err)
{
    (void)ctx;
    (void)partition;
    (void)err;
    return HF_OK;
}

static enum hf_code ask_members(struct hf_archive *a, struct hf_err *err)
{
    return hf_members_list(a->store, "t", see_member, NULL, err);
}

static ask_fn *const questions[] = {
    ask_latest, ask_txid, ask_first_txid, ask_time,    ask_future, ask_head,
    ask_all,    ask_open, ask_owner,      ask_members, ask_gaps,
};

static const char *const archives[] = {
    "",
    ("0:1-1 0:2-2 0:3-3 0:4-4 0:5-5 0:6-6 0:7-7 0:8-8 0:9-9 0:10-10 0:11-11 0:12-12 0:13-13 "
     "0:14-14 0:15-15 0:16-16 1:2-9 1:10-16 9:1-4 9:1-12"),
    "9:1-3 0:4-4 0:5-5 0:15-15 0:16-16 0:20-20",
    "9:1-3 1:4-8 1:9-25 0:15-15",
    "0:4-4 0:5-5",
    "0:1-1 0:2-2 0:15-15 0:16-16c 0:17-17",
};

static unsigned denied_count;

static void check_question(ask_fn *ask, const char *segments)
{
    struct fake f;
    struct hf_err err;

    fake_init(&f);
    fake_put_all(&f, segments);
    struct store_fault *fault = store_fault_new(&f.store->base);

    f.archive.store = &fault->base;
    f.archive.list_page_keys = 2; /* so that windows are listed too */
    store_fault_arm(fault, (struct store_fault_plan){.kinds = STORE_ALL});
    const enum hf_code verdict = ask(&f.archive, &err);
    const uint64_t calls = fault->guarded.calls;

    assert_true(calls > 0 && calls < 200);
    for (uint64_t n = 1; n <= calls; n++) {
        store_fault_arm(fault, (struct store_fault_plan){
                                   .kinds = STORE_ALL, .fail_at = n, .code = HF_TRANSIENT});
        const enum hf_code rc = ask(&f.archive, &err);

        if (fault->guarded.failed == 0)
            assert_int_equal(rc, verdict);
        else
            assert_int_equal(rc, HF_TRANSIENT);
        /* Bytes that arrive and are followed by a broken connection are no answer either. */
        store_fault_arm(fault, (struct store_fault_plan){.kinds = STORE_LIST | STORE_GET,
                                                         .fail_at = n,
                                                         .after_effect = true,
                                                         .code = HF_DENIED});
        const enum hf_code late_rc = ask(&f.archive, &err);

        /* A listing that we ended ourselves has all that was wanted, whatever comes behind it. */
        assert_true(late_rc == verdict || late_rc == HF_DENIED);
        denied_count += late_rc == HF_DENIED;
    }
    hf_store_free(&fault->base);
    fake_done(&f);
}

static void a_failing_store_is_never_another_verdict(void **state)
{
    (void)state;
    for (size_t q = 0; q < HF_ARRAY_LEN(questions); q++) {
        for (size_t i = 0; i < HF_ARRAY_LEN(archives); i++)
            check_question(questions[q], archives[i]);
    }
    assert_true(denied_count > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failing_store_is_never_another_verdict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
