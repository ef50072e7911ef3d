/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: gaps are listed from records, at the cost of records and not of segments, and a record is
 * believed only as far as its segment says the same.
 * Method: golden bytes; archives by hand in which record and segment disagree in every way that a
 * crash can leave; records damaged by hand; counts of store_mem.
 */
#include "archive/catchups.h"

#include "fake.h"

#define TIME(n) (FAKE_START_MS + 1000 * (int64_t)(n))
#define MANY    1000

/* The record of TXID n, as the archiver puts it. */
static void put_record(struct fake *f, uint64_t txid)
{
    const struct hf_seg_info info = {
        .min_txid = txid, .max_txid = txid, .time_ms = TIME(txid), .catchup = true};

    hf_must(hf_catchup_put(&f->archive, &info, TIME(txid - 1), &f->err), &f->err);
}

static enum hf_code list_gaps(struct fake *f, size_t gaps_max, struct hf_gaps *ret)
{
    HF_AUTO_SEG_LIST all = {0};

    hf_must(hf_listing_all(&f->archive, &all, &f->err), &f->err);
    (void)store_mem_requests_take(f->store);
    return hf_catchups_list(&f->archive, &fake_codec, &all, gaps_max, ret, &f->err);
}

/* "2 7": the TXIDs at which the gaps end. */
static void assert_gaps(const struct hf_gaps *gaps, const char *text)
{
    HF_AUTO_BUF got = {0};

    for (size_t i = 0; i < gaps->count; i++) {
        const struct hf_gap *gap = &gaps->items[i];

        hf_buf_printf(&got, "%s%" PRIu64, i > 0 ? " " : "", gap->to_txid);
        assert_int_equal(gap->from_txid, gap->to_txid - 1);
        assert_int_equal(gap->from_ms, TIME(gap->from_txid));
        assert_int_equal(gap->to_ms, TIME(gap->to_txid));
    }
    assert_string_equal(hf_buf_str(&got), text);
}

static void bytes_are_the_documented_ones(void **state)
{
    const struct hf_seg_info info = {
        .min_txid = 7, .max_txid = 7, .time_ms = INT64_C(1767229200000), .catchup = true};
    struct fake f;

    (void)state;
    fake_init(&f);
    hf_must(hf_catchup_put(&f.archive, &info, FAKE_START_MS, &f.err), &f.err);
    const struct store_mem_object *o =
        store_mem_find(f.store, "t/a.db/holdfast/catch-ups/0000000000000007");

    assert_non_null(o);
    HF_AUTO_FREE char *text = hf_strndup((const char *)o->body.ptr, o->body.len);

    assert_string_equal(text,
                        "{\n"
                        "  \"schema\": 1,\n"
                        "  \"min_txid\": \"0000000000000007\",\n"
                        "  \"max_txid\": \"0000000000000007\",\n"
                        "  \"from_ms\": 1767225600000,\n"
                        "  \"to_ms\": 1767229200000\n"
                        "}\n");
    fake_done(&f);
}

static void a_record_is_believed_if_its_segment_is_a_catch_up(void **state)
{
    static const struct {
        const char *segments;
        uint64_t records[4];
        const char *gaps;
    } cases[] = {
        {"0:1-1 0:2-2c 0:3-3 0:4-4c", {2, 4}, "2 4"},
        {"0:1-1 0:2-2 0:3-3", {0}, ""},
        /* The archiver died between record and segment, and another came ... */
        {"0:1-1 0:2-2", {3}, ""},
        /* ... or the log proved continuity after all ... */
        {"0:1-1 0:2-2 0:3-3 0:4-4c", {3, 4}, "4"},
        /* ... or the record was put twice. */
        {"0:1-1 0:2-2c", {2, 2}, "2"},
        /* A catch-up that an older holdfast put without record is told by restores only. */
        {"0:1-1 0:2-2c 0:3-3", {0}, ""},
        /* Level 0 was compacted: the mark is in what it was merged into. */
        {"0:1-1 1:2-4c 1:5-8", {3, 6}, "3"},
        /* The narrowest segment knows best. */
        {"0:1-1 0:2-2 0:3-3 0:4-4c 1:2-4c", {3, 4}, "4"},
        {"0:1-1 0:5-5c 0:6-6 1:2-6c 2:2-9c", {5, 6}, "5"},
        /* Only a snapshot is left: there is nothing between which a gap could lie. */
        {"9:1-4", {3}, ""},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        HF_AUTO_GAPS gaps = {0};
        struct fake f;

        fake_init(&f);
        fake_put_all(&f, cases[i].segments);
        for (size_t k = 0; k < 4 && cases[i].records[k] != 0; k++)
            put_record(&f, cases[i].records[k]);
        hf_must(list_gaps(&f, MANY, &gaps), &f.err);
        assert_gaps(&gaps, cases[i].gaps);
        assert_int_equal(gaps.older_count, 0);
        fake_done(&f);
    }
}

/* Two archivers put their records of a catch-up, and one of them its segment: the record may be the
 * other's. */
static void the_gap_ends_when_its_segment_says(void **state)
{
    const struct hf_seg_info others = {
        .min_txid = 2, .max_txid = 2, .time_ms = TIME(2) + 500, .catchup = true};
    HF_AUTO_GAPS gaps = {0};
    struct fake f;

    (void)state;
    fake_init(&f);
    fake_put_all(&f, "0:1-1 0:2-2c");
    put_record(&f, 2);
    hf_must(hf_catchup_put(&f.archive, &others, TIME(1), &f.err), &f.err);
    hf_must(list_gaps(&f, MANY, &gaps), &f.err);
    assert_gaps(&gaps, "2");
    fake_done(&f);
}

/* Damage of a segment is for verify to find; what is said of the others holds. */
static void a_segment_that_cannot_be_read_is_no_gap(void **state)
{
    HF_AUTO_GAPS gaps = {0};
    struct fake f;

    (void)state;
    fake_init(&f);
    fake_put_all(&f, "0:1-1 0:2-2c 0:3-3c");
    put_record(&f, 2);
    put_record(&f, 3);
    fake_put(&f, "t/a.db/0000/0000000000000002-0000000000000002.ltx", hf_slice_str("short"));
    hf_must(list_gaps(&f, MANY, &gaps), &f.err);
    assert_gaps(&gaps, "3");
    fake_done(&f);
}

static void a_record_that_is_wrong_is_named(void **state)
{
    static const struct {
        const char *body;
        enum hf_code rc;
        const char *says;
    } cases[] = {
        {"no json", HF_DAMAGE, "is not JSON"},
        {"{}", HF_DAMAGE, "\"schema\""},
        {"{\"schema\": 2}", HF_UNSUPPORTED, "newer holdfast"},
        {"{\"schema\": 1, \"min_txid\": \"2\"}", HF_DAMAGE, "\"min_txid\""},
        {"{\"schema\": 1, \"min_txid\": \"0000000000000000\"}", HF_DAMAGE, "no TXID"},
        {"{\"schema\": 1, \"min_txid\": \"0000000000000002\", \"max_txid\": "
         "\"0000000000000003\", \"from_ms\": 1, \"to_ms\": 2}",
         HF_DAMAGE, "it speaks of TXID 2 to 3"},
        {"{\"schema\": 1, \"min_txid\": \"0000000000000001\", \"max_txid\": "
         "\"0000000000000002\", \"from_ms\": 1, \"to_ms\": 2}",
         HF_DAMAGE, "it speaks of TXID 1 to 2"},
        {"{\"schema\": 1, \"min_txid\": \"0000000000000002\", \"max_txid\": "
         "\"0000000000000002\", \"to_ms\": 2}",
         HF_DAMAGE, "\"from_ms\""},
        {"{\"schema\": 1, \"min_txid\": \"0000000000000002\", \"max_txid\": "
         "\"0000000000000002\", \"from_ms\": 1}",
         HF_DAMAGE, "\"to_ms\""},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        static const char key[] = "t/a.db/holdfast/catch-ups/0000000000000002";
        HF_AUTO_GAPS gaps = {0};
        struct fake f;

        fake_init(&f);
        fake_put_all(&f, "0:1-1 0:2-2c");
        fake_put(&f, key, hf_slice_str(cases[i].body));
        assert_int_equal(list_gaps(&f, MANY, &gaps), cases[i].rc);
        assert_says(&f.err, key);
        assert_says(&f.err, cases[i].says);
        assert_int_equal(gaps.count, 0);
        fake_done(&f);
    }
}

static void what_is_no_record_is_skipped(void **state)
{
    static const char *const names[] = {"0000000000000000", "ffffffffffffffff", "2", "readme",
                                        "000000000000000A", "00000000000000020"};
    HF_AUTO_GAPS gaps = {0};
    struct fake f;

    (void)state;
    fake_init(&f);
    fake_put_all(&f, "0:1-1 0:2-2c");
    put_record(&f, 2);
    for (size_t i = 0; i < HF_ARRAY_LEN(names); i++) {
        HF_AUTO_FREE char *key = hf_strfmt("t/a.db/" HF_NAME_CATCHUPS "%s", names[i]);

        fake_put(&f, key, hf_slice_str("anything"));
    }
    hf_must(list_gaps(&f, MANY, &gaps), &f.err);
    assert_gaps(&gaps, "2");
    fake_done(&f);
}

static void requests_grow_with_gaps_and_not_with_segments(void **state)
{
    HF_AUTO_GAPS gaps = {0};
    HF_AUTO_GAPS newest = {0};
    struct fake f;

    (void)state;
    fake_init(&f);
    for (uint64_t t = 1; t <= 3000; t++)
        fake_put_marked(&f, 0, t, t, TIME(t), FAKE_HEADER_BYTES, t % 1000 == 0 ? FAKE_CATCHUP : 0);
    put_record(&f, 500); /* of a segment that became an ordinary one */
    for (uint64_t t = 1000; t <= 3000; t += 1000)
        put_record(&f, t);
    hf_must(list_gaps(&f, MANY, &gaps), &f.err);
    assert_gaps(&gaps, "1000 2000 3000");
    struct store_mem_requests n = store_mem_requests_take(f.store);

    assert_int_equal(n.list, 1);
    assert_int_equal(n.get, 4 + 3);
    assert_int_equal(n.put + n.head + n.del, 0);

    hf_must(list_gaps(&f, 2, &newest), &f.err);
    assert_gaps(&newest, "2000 3000");
    assert_int_equal(newest.older_count, 2);
    assert_int_equal(store_mem_requests_take(f.store).get, 4);
    fake_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_the_documented_ones),
        cmocka_unit_test(a_record_is_believed_if_its_segment_is_a_catch_up),
        cmocka_unit_test(the_gap_ends_when_its_segment_says),
        cmocka_unit_test(a_segment_that_cannot_be_read_is_no_gap),
        cmocka_unit_test(a_record_that_is_wrong_is_named),
        cmocka_unit_test(what_is_no_record_is_skipped),
        cmocka_unit_test(requests_grow_with_gaps_and_not_with_segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
