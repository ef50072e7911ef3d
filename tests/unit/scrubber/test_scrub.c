/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_scrub.c
 *
 * Goal: what was not compared is never called clean; what nobody followed is never called a proved
 * damage; the reference is opened once, however many slices there are; what came as a catch-up is
 * remembered over scrubs.
 * Method: a database is captured into an archive in memory and scrubbed, with an archiver that is a
 * function, or without one. Slices are one chunk long: the clock moves only when the scan sleeps to
 * keep its rate.
 */
#include "scrubber/scrubber.h"

#include <fcntl.h>
#include <unistd.h>

#include "lib/capture_book.h"
#include "lib/fs_fault.h"
#include "lib/store_mem.h"

#define PAGE_BYTES   4096
#define CHUNK_BYTES  (256 * 1024)
#define FINDINGS_MAX 512

struct fixture {
    struct book *b;
    sqlite3 *app;
    struct store_mem *store;
    struct hf_archive archive;
    struct fs_fault fs;
    struct test_clock clock;
    struct hf_boundary boundary;
    uint64_t answer; /* of the archiver; 0: nobody answers */
    uint64_t put;    /* segments that are in the store */
    char *work_dir;
    struct hf_scrub_options options;
    struct hf_scrub_report report;
    enum hf_finding_kind kinds[FINDINGS_MAX];
    uint64_t pages[FINDINGS_MAX];
    size_t findings_count;
    struct hf_err err;
};

static enum hf_code answer(struct hf_boundary *b, const struct hf_position *p, uint64_t *ret_txid,
                           struct hf_err *err)
{
    struct fixture *f = (struct fixture *)(void *)((char *)b - offsetof(struct fixture, boundary));

    (void)p;
    if (f->answer == 0)
        return hf_err_set(err, HF_BUSY, "nobody, says the test");
    *ret_txid = f->answer;
    return HF_OK;
}

/* What was captured is in the store. */
static void put_segments(struct fixture *f)
{
    const struct hf_put put = {.cond = HF_PUT_ALWAYS};
    char key[HF_KEY_MAX + 1];

    for (; f->put < f->b->count; f->put++) {
        const struct hf_segment s = {.level = f->put == 0 ? HF_LEVEL_SNAPSHOT : 0,
                                     .min_txid = f->put + 1,
                                     .max_txid = f->put + 1};

        hf_archive_segment_key(&f->archive, &s, key);
        hf_must(hf_store_put(&f->store->base, key, hf_buf_slice(&f->b->segments[f->put]), &put,
                             NULL, &f->err),
                &f->err);
    }
}

static void fixture_init(struct fixture *f, int rows)
{
    struct hf_rand rand = hf_rand_seeded(7);
    struct hf_archive_format format;

    (void)memset(f, 0, sizeof(*f));
    f->b = book_new();
    f->app = book_app(f->b, "PRAGMA wal_autocheckpoint=0");
    book_exec(f->app, "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)");
    book_exec(f->app,
              "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT %d) "
              "INSERT INTO t(b) SELECT randomblob(3000) FROM c",
              rows);
    (void)book_attach(f->b, NULL);
    book_exec(f->app, "UPDATE t SET b = randomblob(3000) WHERE a = 1");
    (void)book_round(f->b, true);

    f->store = store_mem_new(NULL);
    hf_must(hf_archive_open(&f->store->base, "a", &f->archive, &f->err), &f->err);
    hf_format_init(&format, "sqlite", PAGE_BYTES, f->archive.layout, &rand);
    format.seed = BOOK_SEED;
    hf_must(hf_format_create(&f->archive, &format, &f->err), &f->err);
    put_segments(f);

    fs_fault_init(&f->fs, hf_fs_system());
    test_clock_init(&f->clock, 1);
    f->boundary.ask = answer;
    f->work_dir = hf_strfmt("%s/scrub", f->b->dir);
    f->options = (struct hf_scrub_options){
        .engine = hf_engine_sqlite(),
        .archive = &f->archive,
        .fs = &f->fs.base,
        .clock = &f->clock.base,
        .pool = f->b->pool,
        .db_path = f->b->db_path,
        .work_dir = f->work_dir,
        .boundary = &f->boundary,
    };
}

/* The application is alone with its database; everything that was captured is in the store. */
static void end_capture(struct fixture *f)
{
    put_segments(f);
    book_kill(f->b);
}

static void fixture_done(struct fixture *f)
{
    hf_scrub_report_done(&f->report);
    (void)sqlite3_close(f->app);
    hf_store_free(&f->store->base);
    fs_fault_done(&f->fs);
    hf_free(f->work_dir);
    book_free(f->b);
}

static void meet(void *ctx, const struct hf_finding *finding)
{
    struct fixture *f = ctx;

    assert_true(f->findings_count < FINDINGS_MAX);
    f->kinds[f->findings_count] = finding->kind;
    f->pages[f->findings_count++] = finding->page;
}

static enum hf_code scrub(struct fixture *f)
{
    hf_scrub_report_done(&f->report);
    f->findings_count = 0;
    const enum hf_code rc = hf_scrub(&f->options, meet, f, &f->report, &f->err);

    assert_int_equal(f->report.findings_count, f->findings_count);
    return rc;
}

static void spoil(struct fixture *f, uint64_t page)
{
    const int fd = open(f->b->db_path, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "damage", 6, (off_t)((page - 1) * PAGE_BYTES + 2000)), 6);
    assert_int_equal(close(fd), 0);
}

/* ---- what was not compared ---- */

static void pages_behind_the_archives_head_are_a_limit_and_nothing_is_clean(void **state)
{
    (void)state;
    for (int backfilled = 0; backfilled < 2; backfilled++) {
        struct fixture f;

        fixture_init(&f, 60);
        end_capture(&f);
        f.options.may_suppose = true;
        book_exec(f.app, "UPDATE t SET b = randomblob(3000) WHERE a BETWEEN 5 AND 9");
        if (backfilled == 1)
            book_exec(f.app, "PRAGMA wal_checkpoint(PASSIVE)");
        hf_must(scrub(&f), &f.err);
        assert_int_equal(f.findings_count, 1);
        assert_int_equal(f.kinds[0], HF_FINDING_LIMIT);
        assert_true(f.report.pages.parked > 0);
        assert_int_equal(f.report.pages.differ, 0);
        assert_false(f.report.complete);
        assert_false(f.report.supposed);
        fixture_done(&f);
    }
}

static void an_archiver_that_falls_silent_leaves_a_limit_and_not_a_clean_scrub(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, 60);
    end_capture(&f);
    book_exec(f.app, "UPDATE t SET b = randomblob(3000) WHERE a = 5");
    hf_must(scrub(&f), &f.err);
    assert_int_equal(f.findings_count, 1);
    assert_int_equal(f.kinds[0], HF_FINDING_LIMIT);
    assert_false(f.report.complete);
    fixture_done(&f);
}

static void a_log_that_says_nothing_is_an_error_unless_it_may_be_supposed(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, 60);
    end_capture(&f);
    book_exec(f.app, "PRAGMA wal_checkpoint(TRUNCATE)");
    assert_int_equal(scrub(&f), HF_UNSUPPORTED);
    assert_false(f.report.complete);
    f.options.may_suppose = true;
    hf_must(scrub(&f), &f.err);
    assert_int_equal(f.findings_count, 0);
    assert_true(f.report.complete);
    assert_true(f.report.supposed);

    /* A smaller database is no unreadable one: the application may have made it so. */
    book_exec(f.app, "DELETE FROM t WHERE a > 20");
    book_exec(f.app, "VACUUM");
    book_exec(f.app, "PRAGMA wal_checkpoint(TRUNCATE)");
    hf_must(scrub(&f), &f.err);
    assert_true(f.findings_count > 0);
    for (size_t i = 0; i < f.findings_count; i++)
        assert_int_equal(f.kinds[i], HF_FINDING_DIFFERS);
    fixture_done(&f);
}

/* ---- slices ---- */

static void the_reference_is_opened_once_however_many_slices_there_are(void **state)
{
    uint64_t opens[2];
    uint64_t slices[2];
    struct fixture f;

    (void)state;
    fixture_init(&f, 400);
    book_settle(f.b);
    end_capture(&f);
    f.answer = f.b->count;
    spoil(&f, 100);
    hf_must(scrub(&f), &f.err); /* makes the reference */
    for (int many = 0; many < 2; many++) {
        f.options.slice_ms = many == 1 ? 1 : 0;
        f.options.bytes_per_s_max = many == 1 ? CHUNK_BYTES : 0;
        fs_fault_arm(&f.fs, (struct fs_fault_plan){.kinds = FS_OPEN});
        hf_must(scrub(&f), &f.err);
        assert_int_equal(f.findings_count, 1);
        assert_int_equal(f.pages[0], 100);
        assert_true(f.report.complete);
        assert_int_equal(f.report.pages.equal + 1,
                         (uint64_t)book_number(f.app, "PRAGMA page_count"));
        opens[many] = f.fs.guarded.count[FS_OPEN_INDEX];
        slices[many] = f.report.slices_count;
    }
    assert_int_equal(slices[0], 1);
    assert_true(slices[1] > 5);
    assert_int_equal(opens[0], opens[1]);
    fixture_done(&f);
}

/* ---- catch-ups ---- */

/* The log is gone, so that capture has to ask the disk. */
static void catch_up(struct fixture *f)
{
    book_kill(f->b);
    book_exec(f->app, "UPDATE t SET b = randomblob(3000) WHERE a = 3");
    book_exec(f->app, "PRAGMA wal_checkpoint(TRUNCATE)");
    assert_int_equal(book_attach(f->b, NULL), HF_LIVE_CATCH_UP);
    assert_true(f->b->infos[f->b->count - 1].catchup);
    put_segments(f);
}

static void assert_catch_ups(struct fixture *f, const uint64_t *txids, size_t count)
{
    f->answer = f->b->count;
    hf_must(scrub(f), &f->err);
    assert_int_equal(f->findings_count, 0);
    assert_true(f->report.complete);
    assert_int_equal(f->report.catch_ups_count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(f->report.catch_ups[i].min_txid, txids[i]);
        assert_int_equal(f->report.catch_ups[i].max_txid, txids[i]);
    }
}

static void catch_ups_are_remembered_beside_the_reference(void **state)
{
    struct fixture f;
    uint64_t txids[2] = {0};
    struct hf_err err;

    (void)state;
    fixture_init(&f, 20);
    book_settle(f.b);
    put_segments(&f);
    assert_catch_ups(&f, txids, 0);
    catch_up(&f);
    txids[0] = f.b->count;
    assert_catch_ups(&f, txids, 1);
    assert_catch_ups(&f, txids, 1); /* nothing is read anew */
    assert_int_equal(f.report.fetched_bytes, 0);
    catch_up(&f);
    txids[1] = f.b->count;
    assert_catch_ups(&f, txids, 2);

    /* Where the note is lost, what comes is known, and since when. */
    HF_AUTO_FREE char *note = hf_strfmt("%s/catch-ups", f.work_dir);

    hf_must(hf_fs_unlink(hf_fs_system(), note, &err), &err);
    assert_catch_ups(&f, txids, 0);
    assert_int_equal(f.report.catch_ups_since_txid, f.b->count);

    /* And where the reference is made anew, all of it. */
    HF_AUTO_FREE char *digest = hf_strfmt("%s/reference", f.work_dir);

    hf_must(hf_fs_unlink(hf_fs_system(), digest, &err), &err);
    assert_catch_ups(&f, txids, 2);
    assert_int_equal(f.report.catch_ups_since_txid, 0);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_behind_the_archives_head_are_a_limit_and_nothing_is_clean),
        cmocka_unit_test(an_archiver_that_falls_silent_leaves_a_limit_and_not_a_clean_scrub),
        cmocka_unit_test(a_log_that_says_nothing_is_an_error_unless_it_may_be_supposed),
        cmocka_unit_test(the_reference_is_opened_once_however_many_slices_there_are),
        cmocka_unit_test(catch_ups_are_remembered_beside_the_reference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
