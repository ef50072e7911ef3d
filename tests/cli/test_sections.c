/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_sections.c
 *
 * Goal: a section holds exactly the TXIDs that a chain leads to, in steps of one kind.
 * Method: archives as tables of segments with what they must give; then random archives against a
 * model that knows nothing of sweeps: a set that grows until nothing is added.
 */
#include <stdio.h>

#include "base/rand.h"
#include "cli/sections.h"
#include "lib/fixture.h"

#define TXIDS_MAX    40
#define SEGMENTS_MAX 40

static void add(struct hf_seg_list *l, unsigned level, uint64_t min_txid, uint64_t max_txid)
{
    const struct hf_segment s = {.level = level, .min_txid = min_txid, .max_txid = max_txid};

    hf_seg_list_add(l, &s);
}

static void assert_section(const struct hf_section *s, unsigned level, uint64_t first,
                           uint64_t last, size_t points)
{
    assert_int_equal(s->level, level);
    assert_int_equal(s->first.max_txid, first);
    assert_int_equal(s->last.max_txid, last);
    assert_int_equal(s->points_count, points);
}

static void nothing_gives_no_section(void **state)
{
    HF_AUTO_SEG_LIST all = {0};
    HF_CLEANUP(hf_sections_done) struct hf_sections s;

    (void)state;
    hf_sections_find(&all, &s);
    assert_int_equal(s.count, 0);
}

static void captures_behind_a_snapshot_are_one_section(void **state)
{
    HF_AUTO_SEG_LIST all = {0};
    HF_CLEANUP(hf_sections_done) struct hf_sections s;

    (void)state;
    add(&all, HF_LEVEL_SNAPSHOT, 1, 1);
    add(&all, 0, 3, 3);
    add(&all, 0, 2, 2);
    hf_sections_find(&all, &s);
    assert_int_equal(s.count, 1);
    assert_section(&s.items[0], 0, 1, 3, 3);
}

static void where_captures_were_removed_the_steps_are_those_of_compaction(void **state)
{
    HF_AUTO_SEG_LIST all = {0};
    HF_CLEANUP(hf_sections_done) struct hf_sections s;

    (void)state;
    add(&all, HF_LEVEL_SNAPSHOT, 1, 1);
    add(&all, 1, 2, 10);
    add(&all, 1, 11, 20);
    add(&all, 0, 20, 20);
    add(&all, 0, 21, 21);
    add(&all, 0, 22, 22);
    hf_sections_find(&all, &s);
    assert_int_equal(s.count, 2);
    assert_section(&s.items[0], 1, 1, 20, 3);
    assert_section(&s.items[1], 0, 21, 22, 2);
}

static void captures_that_no_chain_leads_to_are_left_out(void **state)
{
    HF_AUTO_SEG_LIST all = {0};
    HF_CLEANUP(hf_sections_done) struct hf_sections s;

    (void)state;
    add(&all, 0, 1 + 1, 2); /* before any snapshot */
    add(&all, HF_LEVEL_SNAPSHOT, 1, 5);
    add(&all, 0, 7, 7); /* behind a hole */
    hf_sections_find(&all, &s);
    assert_int_equal(s.count, 1);
    assert_section(&s.items[0], HF_LEVEL_SNAPSHOT, 5, 5, 1);
}

static void a_snapshot_behind_a_hole_begins_a_section(void **state)
{
    HF_AUTO_SEG_LIST all = {0};
    HF_CLEANUP(hf_sections_done) struct hf_sections s;

    (void)state;
    add(&all, HF_LEVEL_SNAPSHOT, 1, 1);
    add(&all, 0, 2, 2);
    add(&all, HF_LEVEL_SNAPSHOT, 1, 9);
    add(&all, 0, 10, 10);
    hf_sections_find(&all, &s);
    assert_int_equal(s.count, 2);
    assert_section(&s.items[0], 0, 1, 2, 2);
    assert_section(&s.items[1], 0, 9, 10, 2);
}

/* reached[t]: a chain leads to t. Grown until nothing is added. */
static void model(const struct hf_seg_list *all, bool reached[TXIDS_MAX + 1])
{
    for (bool grew = true; grew;) {
        grew = false;
        for (size_t i = 0; i < all->count; i++) {
            const struct hf_segment *s = &all->items[i];
            bool leads = s->min_txid == 1;

            for (uint64_t t = s->min_txid - 1; !leads && t < s->max_txid; t++)
                leads = t > 0 && reached[t];
            grew = grew || (leads && !reached[s->max_txid]);
            reached[s->max_txid] = reached[s->max_txid] || leads;
        }
    }
}

static void make_archive(struct hf_rand *rand, struct hf_seg_list *all)
{
    const uint64_t count = 1 + hf_rand_below(rand, SEGMENTS_MAX);

    for (uint64_t i = 0; i < count; i++) {
        const uint64_t max = 1 + hf_rand_below(rand, TXIDS_MAX);
        const bool snapshot = hf_rand_below(rand, 8) == 0;
        const uint64_t longest = max < 6 ? max : 6;

        add(all, snapshot ? HF_LEVEL_SNAPSHOT : (unsigned)hf_rand_below(rand, 4),
            snapshot ? 1 : max - hf_rand_below(rand, longest), max);
    }
}

static void sections_hold_what_the_model_reaches(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct hf_rand rand = hf_rand_seeded(seed);
        HF_AUTO_SEG_LIST all = {0};
        HF_CLEANUP(hf_sections_done) struct hf_sections s;
        bool reached[TXIDS_MAX + 1] = {false};
        uint64_t t = 0;

        make_archive(&rand, &all);
        model(&all, reached);
        hf_sections_find(&all, &s);
        for (size_t i = 0; i < s.count; i++) {
            assert_true(s.items[i].first.max_txid > t);
            for (t++; t < s.items[i].first.max_txid; t++)
                assert_false(reached[t]);
            size_t points = 0;

            for (; t <= s.items[i].last.max_txid; t++)
                points += reached[t];
            t--;
            assert_true(reached[s.items[i].first.max_txid] && reached[t]);
            assert_int_equal(points, s.items[i].points_count);
        }
        for (t++; t <= TXIDS_MAX; t++)
            assert_false(reached[t]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_gives_no_section),
        cmocka_unit_test(captures_behind_a_snapshot_are_one_section),
        cmocka_unit_test(where_captures_were_removed_the_steps_are_those_of_compaction),
        cmocka_unit_test(captures_that_no_chain_leads_to_are_left_out),
        cmocka_unit_test(a_snapshot_behind_a_hole_begins_a_section),
        cmocka_unit_test(sections_hold_what_the_model_reaches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
