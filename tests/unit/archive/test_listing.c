/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: listings hold the segments of a range and nothing else, and an archiver learns at its start
 * where the archive stands.
 * Method: archives by hand; ranges at random against a plain filter of what was put.
 */
#include "archive/listing.h"

#include "base/rand.h"
#include "fake.h"

static void a_range_of_a_level_is_what_begins_in_it(void **state)
{
    struct hf_rand rand = hf_rand_seeded(1);
    struct fake f;

    (void)state;
    fake_init(&f);
    for (uint64_t t = 1; t < 100; t += 3)
        fake_put_segment(&f, 2, t, t + 4, FAKE_START_MS, 64 + (size_t)t);
    fake_put_all(&f, "1:5-9 3:5-9");
    for (int i = 0; i < 300; i++) {
        const uint64_t from = 1 + hf_rand_below(&rand, 110);
        const uint64_t to = from + hf_rand_below(&rand, 40);
        HF_AUTO_SEG_LIST l = {0};
        size_t at = 0;

        hf_must(hf_listing_level(&f.archive, 2, from, to, &l, &f.err), &f.err);
        for (uint64_t t = 1; t < 100; t += 3) {
            if (t < from || t >= to)
                continue;
            assert_true(at < l.count);
            assert_int_equal(l.items[at].level, 2);
            assert_int_equal(l.items[at].min_txid, t);
            assert_int_equal(l.items[at].max_txid, t + 4);
            assert_int_equal(l.items[at].size_bytes, 64 + t);
            assert_int_equal(l.items[at].modified_ms, FAKE_START_MS);
            at++;
        }
        assert_int_equal(l.count, at);
    }
    fake_done(&f);
}

static void all_levels_of_both_layouts_are_listed_and_strangers_counted(void **state)
{
    (void)state;
    for (int layout = 0; layout < HF_LAYOUTS_COUNT; layout++) {
        HF_AUTO_SEG_LIST l = {0};
        struct fake f;

        fake_init(&f);
        f.archive.layout = (enum hf_layout)layout;
        fake_put_all(&f, "9:1-5 0:1-1 8:2-7 0:2-2 3:2-3");
        fake_put(&f, "t/a.db/0000/note", hf_slice_str("x"));
        fake_put(&f, "t/a.db/0002/x/0000000000000002-0000000000000002.ltx", hf_slice_str("x"));
        fake_put(&f, "t/a.db/ltx/2/x/0000000000000002-0000000000000002.ltx", hf_slice_str("x"));
        hf_must(hf_listing_all(&f.archive, &l, &f.err), &f.err);
        assert_int_equal(l.count, 5);
        assert_int_equal(l.nested_count, 1);
        assert_non_null(strstr(l.nested_key, "/x/"));
        for (size_t i = 1; i < l.count; i++)
            assert_true(l.items[i - 1].min_txid < l.items[i].min_txid ||
                        (l.items[i - 1].min_txid == l.items[i].min_txid &&
                         l.items[i - 1].max_txid < l.items[i].max_txid));
        fake_done(&f);
    }
}

static void an_archiver_learns_where_the_archive_stands(void **state)
{
    static const struct {
        const char *segments;
        uint64_t from;
        uint64_t max;
        uint64_t head;
        uint64_t snapshot;
        bool has_from;
        size_t after;
    } cases[] = {
        {"", 0, 0, 0, 0, true, 0},
        {"", 5, 0, 0, 0, false, 0},
        {"0:1-1 0:2-2 0:3-3", 0, 3, 3, 1, true, 3},
        {"0:1-1 0:2-2 0:3-3", 2, 3, 3, 1, true, 1},
        {"0:1-1 0:2-2 0:3-3", 3, 3, 3, 1, true, 0},
        {"0:1-1 0:2-2 0:3-3", 4, 3, 3, 1, false, 0}, /* the archive has lost 4 */
        {"0:1-1 0:2-2 0:4-4", 2, 4, 2, 1, true, 1},  /* a hole behind what we know */
        {"0:1-1 0:2-2 0:4-4", 4, 4, 2, 1, false, 0}, /* we are beyond the hole */
        {"0:1-1 1:2-9 0:10-10", 10, 10, 10, 1, true, 0},
        {"0:1-1 1:2-9 0:10-10", 5, 10, 10, 1, true, 2},
        {"9:1-8 0:5-5 0:6-6 0:7-7 0:8-8 0:9-9", 6, 9, 9, 8, true, 4}, /* older than the snapshot */
        {"9:1-8 0:5-5 0:8-8 0:9-9", 5, 9, 9, 8, false, 3},
        {"0:2-2 0:3-3", 0, 3, 0, 0, true, 2},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        for (unsigned page_keys = 1; page_keys < 4; page_keys++) {
            struct hf_head h;
            struct fake f;

            fake_init(&f);
            f.archive.list_page_keys = page_keys;
            fake_put_all(&f, cases[i].segments);
            hf_must(hf_listing_head(&f.archive, cases[i].from, &h, &f.err), &f.err);
            if (h.max_txid != cases[i].max || h.head_txid != cases[i].head ||
                h.snapshot_txid != cases[i].snapshot || h.has_from != cases[i].has_from ||
                h.after.count != cases[i].after)
                fail_msg("case %zu: max %" PRIu64 ", head %" PRIu64 ", snapshot %" PRIu64
                         ", has %d, after %zu",
                         i, h.max_txid, h.head_txid, h.snapshot_txid, h.has_from, h.after.count);
            hf_head_done(&h);
            fake_done(&f);
        }
    }
}

static void an_archiver_start_is_cheap_however_long_level_0_is(void **state)
{
    struct fake f;
    struct hf_head h;

    (void)state;
    fake_init(&f);
    fake_put_all(&f, "0:1-1");
    for (uint64_t t = 2; t <= 20001; t++)
        fake_put_segment(&f, 0, t, t, FAKE_START_MS + (int64_t)t, FAKE_HEADER_BYTES);
    for (uint64_t min = 2; min + 49 <= 20001; min += 50)
        fake_put_segment(&f, 1, min, min + 49, FAKE_START_MS, FAKE_HEADER_BYTES);
    (void)store_mem_requests_take(f.store);
    hf_must(hf_listing_head(&f.archive, 19990, &h, &f.err), &f.err);
    assert_int_equal(h.head_txid, 20001);
    assert_true(h.has_from);
    assert_int_equal(h.after.count, 12);
    const struct store_mem_requests n = store_mem_requests_take(f.store);

    assert_true(n.list <= 14 && n.get == 0 && n.head == 0);
    hf_head_done(&h);
    fake_done(&f);
}

static void the_same_segment_twice_becomes_one(void **state)
{
    const struct hf_segment a = {.level = 1, .min_txid = 2, .max_txid = 3};
    const struct hf_segment b = {.level = 2, .min_txid = 2, .max_txid = 3};
    HF_AUTO_SEG_LIST l = {0};

    (void)state;
    hf_seg_list_sort(&l);
    for (int i = 0; i < 3; i++) {
        hf_seg_list_add(&l, &b);
        hf_seg_list_add(&l, &a);
    }
    hf_seg_list_sort(&l);
    assert_int_equal(l.count, 2);
    assert_int_equal(l.items[0].level, 1);
    assert_int_equal(l.items[1].level, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_of_a_level_is_what_begins_in_it),
        cmocka_unit_test(all_levels_of_both_layouts_are_listed_and_strangers_counted),
        cmocka_unit_test(an_archiver_learns_where_the_archive_stands),
        cmocka_unit_test(an_archiver_start_is_cheap_however_long_level_0_is),
        cmocka_unit_test(the_same_segment_twice_becomes_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
