/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_load.c
 *
 * Goal: under writers at full speed in processes of their own every TXID is a state that the
 * database really had, and the last one is the database, page by page.
 * Method: lib/load.h writes; this process captures in a loop with cuts at random, now and then
 * letting go and coming back; afterwards the segments are applied one by one and every state is
 * checked, and the last is compared with the live one. HF_TEST_SEED repeats a run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/capture_book.h"
#include "lib/load.h"

#define RUN_MS 1000

static size_t segments_count; /* of all runs of a test */

static uint64_t seed_of_run(void)
{
    const char *text = getenv("HF_TEST_SEED");

    return text != NULL ? strtoull(text, NULL, 10) : (uint64_t)hf_now_us(hf_clock_system());
}

/* Capture until the writers are done; returns how often attach needed a catch-up. */
static unsigned capture_on(struct book *b, struct load *load, struct hf_rand *rand)
{
    unsigned catch_ups = 0;
    bool lost = false;

    (void)book_attach(b, NULL);
    while (load_runs(load)) {
        (void)book_round(b, hf_rand_below(rand, 2) == 0);
        hf_sleep_ms(hf_clock_system(), (int64_t)hf_rand_below(rand, 12));
        if (hf_rand_below(rand, 40) == 0) {
            book_kill(b);
            hf_sleep_ms(hf_clock_system(), (int64_t)hf_rand_below(rand, 30));
            catch_ups += book_attach(b, &lost) == HF_LIVE_CATCH_UP;
            assert_false(lost);
        }
    }
    book_settle(b);
    return catch_ups;
}

/* Every TXID is a state between two commits, and each is behind the one before. */
static void check_states(struct book *b, struct load_seen *seen)
{
    struct hf_buf image = {0};

    for (uint64_t txid = 1; txid <= b->count; txid++) {
        book_advance(b, txid, &image);
        sqlite3 *db = book_open_image(&image);

        load_check(db, seen);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
    }
    hf_buf_done(&image);
}

static void compare_with_live(struct book *b, const struct load_seen *seen)
{
    struct load_seen live_seen = {0};
    sqlite3 *app = book_app(b, NULL);
    struct hf_buf restored = book_image(b, b->count);
    struct hf_buf live = book_live_image(app);

    load_check(app, &live_seen);
    assert_int_equal(live_seen.commits, seen->commits);
    book_same(&restored, &live, b->infos[0].page_bytes);
    hf_buf_done(&restored);
    hf_buf_done(&live);
    (void)sqlite3_close(app);
}

static void run(struct load_plan *plan, unsigned threads)
{
    struct book *b = book_new();
    struct hf_rand rand = hf_rand_seeded(plan->seed ^ 0xcafe);
    struct load load;
    struct load_seen seen = {0};

    print_message("seed %llu: %u writers, pages of %u bytes, auto_vacuum %s, synchronous %s, ",
                  (unsigned long long)plan->seed, plan->writers_count, plan->page_bytes,
                  plan->auto_vacuum, plan->synchronous);
    plan->db_path = b->db_path;
    b->on_real_time = true;
    load_create(plan);
    load_start(&load, plan);
    hf_pool_free(b->pool);
    b->pool = hf_pool_new(threads);
    const unsigned catch_ups = capture_on(b, &load, &rand);

    check_states(b, &seen);
    compare_with_live(b, &seen);
    print_message("%lld commits, %zu segments, %u catch-ups\n", (long long)seen.commits, b->count,
                  catch_ups);
    assert_true(seen.commits > 0);
    segments_count += b->count;
    book_free(b);
}

static void run_with(unsigned page_bytes, unsigned turn, unsigned threads)
{
    static const char *const vacuums[] = {"NONE", "FULL", "INCREMENTAL"};
    static const char *const syncs[] = {"NORMAL", "OFF", "FULL"};
    struct load_plan plan = {
        .seed = seed_of_run(),
        .writers_count = 2 + turn % 3,
        .page_bytes = page_bytes,
        .auto_vacuum = vacuums[turn % HF_ARRAY_LEN(vacuums)],
        .synchronous = syncs[turn / 2 % HF_ARRAY_LEN(syncs)],
        .ms = RUN_MS,
        .pause_ms = turn % 4 == 3 ? 20 : 0,
        .rows_max = 60,
        .row_bytes_max = page_bytes < 4096 ? 8192 : 40000,
    };

    run(&plan, threads);
}

static void every_page_size_is_followed_at_full_speed(void **state)
{
    unsigned turn = 0;

    (void)state;
    segments_count = 0;
    for (unsigned page_bytes = 512; page_bytes <= 65536; page_bytes *= 2)
        run_with(page_bytes, turn++, 0);
    assert_true(segments_count > 3 * turn);
}

static void every_kind_of_database_is_followed_by_several_threads(void **state)
{
    (void)state;
    segments_count = 0;
    for (unsigned turn = 0; turn < 6; turn++)
        run_with(turn % 2 == 0 ? 4096 : 1024, turn, 3);
    assert_true(segments_count > 6 * 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_page_size_is_followed_at_full_speed),
        cmocka_unit_test(every_kind_of_database_is_followed_by_several_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
