/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_attach.c
 *
 * Goal: between two runs of capture nothing is lost, whatever the application did with its log in
 * the meantime, and whatever it does right after capture came back.
 * Method: one thread, in turns: capture ends, the application commits and checkpoints, capture
 * comes back; the image that the segments lead to is compared with the live one, and what attach
 * said was needed with what the log could prove.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "lib/capture_book.h"
#include "lib/wal_maker.h"

#define FREE_PAGES 16 /* SQLite takes a growth by more than 64 KiB without frames for damage */

static void same_now(struct book *b, sqlite3 *app)
{
    struct hf_buf restored = book_image(b, b->count);
    struct hf_buf live = book_live_image(app);

    book_same(&restored, &live, b->infos[0].page_bytes);
    hf_buf_done(&restored);
    hf_buf_done(&live);
}

/* A database with some content, captured, and capture ended. */
static struct book *begin(sqlite3 **ret_app)
{
    struct book *b = book_new();

    *ret_app = book_app(b, NULL);
    book_exec(*ret_app, "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)");
    book_exec(*ret_app, "INSERT INTO t(b) VALUES(randomblob(300000))");
    assert_int_equal(book_attach(b, NULL), HF_LIVE_SNAPSHOT);
    book_exec(*ret_app, "INSERT INTO t(b) VALUES(randomblob(3000))");
    assert_int_equal(book_round(b, true), 1);
    book_kill(b);
    return b;
}

static void end(struct book *b, sqlite3 *app)
{
    (void)sqlite3_close(app);
    book_free(b);
}

/* Commits that nobody captured, copied into the database file by the application. */
static void commit_and_backfill(sqlite3 *app)
{
    int log = 0;
    int done = -1;

    for (int i = 0; i < 3; i++)
        book_exec(app, "INSERT INTO t(b) VALUES(randomblob(5000))");
    assert_int_equal(sqlite3_wal_checkpoint_v2(app, NULL, SQLITE_CHECKPOINT_PASSIVE, &log, &done),
                     SQLITE_OK);
    assert_true(log > 0);
    assert_int_equal(log, done);
}

static void backfilled_commits_are_captured_by_the_log(void **state)
{
    sqlite3 *app;
    struct book *b = begin(&app);

    (void)state;
    commit_and_backfill(app);
    assert_int_equal(book_attach(b, NULL), HF_LIVE_FOLLOW);
    assert_int_equal(book_round(b, false), 1); /* even if it is not yet time to */
    same_now(b, app);
    book_exec(app, "INSERT INTO t(b) VALUES(randomblob(5000))"); /* restarts the log */
    book_settle(b);
    same_now(b, app);
    end(b, app);
}

/* The restarted log holds fewer or more frames than the old one: it overwrites some of what was
 * not captured, or all. */
static void a_log_restarted_before_the_first_round_loses_nothing(void **state)
{
    static const int bytes[] = {100, 100000};

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(bytes); i++) {
        sqlite3 *app;
        struct book *b = begin(&app);

        commit_and_backfill(app);
        struct hf_buf before = book_live_image(app);

        assert_int_equal(book_attach(b, NULL), HF_LIVE_FOLLOW);
        book_exec(app, "INSERT INTO t(b) VALUES(randomblob(%d))", bytes[i]);
        assert_int_equal(book_round(b, true), 2);
        same_now(b, app);
        struct hf_buf between = book_image(b, b->count - 1);

        book_same(&between, &before, b->infos[0].page_bytes);
        hf_buf_done(&between);
        hf_buf_done(&before);
        end(b, app);
    }
}

static void a_refused_segment_of_what_is_owed_is_made_again(void **state)
{
    sqlite3 *app;
    struct book *b = begin(&app);
    struct hf_round round = {.cut = true};
    struct hf_err err;

    (void)state;
    commit_and_backfill(app);
    assert_int_equal(book_attach(b, NULL), HF_LIVE_FOLLOW);
    for (int i = 0; i < 3; i++) {
        b->refuse_commit = true;
        assert_int_equal(b->live->ops->round(b->live, &round, &b->taker, &err), HF_FULL);
    }
    assert_int_equal(book_round(b, true), 1);
    same_now(b, app);
    end(b, app);
}

/* What each step of the application between two runs leads to. */
static void what_the_log_proves_decides_what_is_needed(void **state)
{
    static const struct {
        const char *sql;
        enum hf_live_need need;
    } cases[] = {
        {"SELECT 1", HF_LIVE_FOLLOW},
        {"INSERT INTO t(b) VALUES(randomblob(9000))", HF_LIVE_FOLLOW},
        {"PRAGMA wal_checkpoint(PASSIVE)", HF_LIVE_FOLLOW},
        {"INSERT INTO t(b) VALUES(randomblob(9000)); PRAGMA wal_checkpoint(FULL)", HF_LIVE_FOLLOW},
        {"BEGIN; INSERT INTO t(b) VALUES(randomblob(90000)); ROLLBACK", HF_LIVE_FOLLOW},
        {"PRAGMA wal_checkpoint(TRUNCATE)", HF_LIVE_CATCH_UP},
        {"PRAGMA wal_checkpoint(RESTART); INSERT INTO t(b) VALUES(1)", HF_LIVE_CATCH_UP},
        {"INSERT INTO t(b) VALUES(1); VACUUM", HF_LIVE_FOLLOW},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        sqlite3 *app;
        struct book *b = begin(&app);
        bool lost = true;

        book_exec(app, "%s", cases[i].sql);
        const enum hf_live_need need = book_attach(b, &lost);

        if (need != cases[i].need || lost)
            fail_msg("%s: needs %d, lost %d", cases[i].sql, need, lost);
        book_settle(b);
        same_now(b, app);
        end(b, app);
    }
}

/* Detach in each phase, without a kill, and attach again at once: nothing is needed. */
static void letting_go_and_coming_back_needs_nothing(void **state)
{
    sqlite3 *app;
    struct book *b = begin(&app);

    (void)state;
    assert_int_equal(book_attach(b, NULL), HF_LIVE_FOLLOW);
    for (int i = 0; i < 12; i++) {
        enum hf_live_need need = HF_LIVE_SNAPSHOT;
        bool lost = true;
        struct hf_err err;

        book_exec(app, "INSERT INTO t(b) VALUES(randomblob(%d))", 100 + i * 1000);
        if (i % 3 != 0)
            (void)book_round(b, i % 3 == 1);
        if (i % 3 == 1)
            book_settle(b); /* the next commit restarts the log, and the next round sees it */
        b->live->ops->detach(b->live);
        hf_must(b->live->ops->attach(b->live, &need, &lost, &err), &err);
        assert_int_equal(need, HF_LIVE_FOLLOW);
        assert_false(lost);
    }
    book_settle(b);
    same_now(b, app);
    end(b, app);
}

/* After the application's last connection is gone, its log stays for as long as we are there. */
static void an_application_that_closes_and_comes_back_is_followed(void **state)
{
    sqlite3 *app;
    struct book *b = begin(&app);

    (void)state;
    assert_int_equal(book_attach(b, NULL), HF_LIVE_FOLLOW);
    for (int i = 0; i < 10; i++) {
        book_exec(app, "INSERT INTO t(b) VALUES(randomblob(%d))", 100 + i * 3000);
        if (i % 2 == 0)
            (void)book_round(b, i % 4 == 0);
        assert_int_equal(sqlite3_close(app), SQLITE_OK);
        if (i % 3 == 0)
            book_settle(b);
        app = book_app(b, NULL);
    }
    book_settle(b);
    same_now(b, app);
    end(b, app);
}

/* What is done to a database whose log is gone, while nobody captures. */
static void do_nothing(const struct book *b)
{
    (void)b;
}

static void commit_and_stay(const struct book *b)
{
    sqlite3 *app = NULL;

    assert_int_equal(sqlite3_open(b->db_path, &app), SQLITE_OK);
    book_exec(app, "INSERT INTO t(b) VALUES(randomblob(5000))");
    (void)sqlite3_file_control(app, "main", SQLITE_FCNTL_PERSIST_WAL, &(int){1});
    (void)sqlite3_db_config(app, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    assert_int_equal(sqlite3_close(app), SQLITE_OK);
}

static void commit_nothing_and_close(const struct book *b)
{
    sqlite3 *app = NULL;

    assert_int_equal(sqlite3_open(b->db_path, &app), SQLITE_OK);
    (void)book_number(app, "SELECT count(*) FROM t");
    assert_int_equal(sqlite3_close(app), SQLITE_OK);
}

static void commit_and_close(const struct book *b)
{
    sqlite3 *app = NULL;

    assert_int_equal(sqlite3_open(b->db_path, &app), SQLITE_OK);
    book_exec(app, "INSERT INTO t(b) VALUES(randomblob(5000))");
    assert_int_equal(sqlite3_close(app), SQLITE_OK);
}

/* As damage would come: the size and the times that an application sees are the same. */
static void overwrite(const struct book *b)
{
    uint8_t page[4096];
    struct stat st;
    const int fd = open(b->db_path, O_RDWR);

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(pread(fd, page, sizeof(page), 4096 * 5), sizeof(page));
    page[100] ^= 1;
    assert_int_equal(pwrite(fd, page, sizeof(page), 4096 * 5), sizeof(page));
    assert_int_equal(futimens(fd, (struct timespec[]){st.st_atim, st.st_mtim}), 0);
    assert_int_equal(close(fd), 0);
}

/*
 * A database that was noted at rest, and then closed by its application, which removes the log: no
 * page is compared if the file is as it was, and everything is otherwise.
 */
static void without_a_log_the_file_tells_whether_it_changed(void **state)
{
    static const struct {
        void (*meanwhile)(const struct book *b);
        bool noted; /* its last change was two seconds ago when capture ended */
        enum hf_live_need need;
        size_t segments_more;
    } cases[] = {
        {do_nothing, true, HF_LIVE_FOLLOW, 0},        {do_nothing, false, HF_LIVE_CATCH_UP, 0},
        {commit_and_stay, true, HF_LIVE_CATCH_UP, 1}, {commit_and_close, true, HF_LIVE_CATCH_UP, 1},
        {overwrite, true, HF_LIVE_CATCH_UP, 1},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        sqlite3 *app;
        struct book *b = begin(&app);
        const int64_t age_us = cases[i].noted ? 3000000 : 0;

        test_clock_move(&b->clock,
                        hf_now_us(hf_clock_system()) - hf_now_us(&b->clock.base) + age_us);
        (void)book_attach(b, NULL);
        book_settle(b);
        book_kill(b);
        assert_int_equal(sqlite3_close(app), SQLITE_OK);
        const size_t before = b->count;

        cases[i].meanwhile(b);
        assert_int_equal(book_attach(b, NULL), cases[i].need);
        app = book_app(b, NULL);
        book_settle(b);
        assert_int_equal(b->count, before + cases[i].segments_more);
        book_exec(app, "INSERT INTO t(b) VALUES(randomblob(5000))");
        book_settle(b);
        same_now(b, app);
        end(b, app);
    }
}

/* Where a scan stands: which TXID capture says that is. */
static uint64_t txid_of_now(struct book *b)
{
    const struct hf_scan_options o = {
        .fs = hf_fs_system(), .clock = hf_clock_system(), .db_path = b->db_path, .seed = BOOK_SEED};
    struct hf_scan *scan = NULL;
    struct hf_position at;
    struct hf_err err;
    uint64_t txid = 0;

    hf_must(hf_engine_sqlite()->scan_open(&o, &scan, &err), &err);
    hf_must(scan->ops->pin(scan, &at, &err), &err);
    hf_must(b->live->ops->find(b->live, &at, &txid, &err), &err);
    scan->ops->unpin(scan);
    scan->ops->free(scan);
    return txid;
}

/* Logs that are empty look alike: the end of one is not that of another, from before. */
static void an_empty_log_ends_where_the_last_txid_does(void **state)
{
    struct book *b = book_new();
    sqlite3 *app = book_app(b, NULL);

    (void)state;
    book_exec(app, "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)");
    assert_int_equal(sqlite3_close(app), SQLITE_OK);
    assert_int_equal(book_attach(b, NULL), HF_LIVE_SNAPSHOT); /* of TXID 1 the log was empty, too */
    app = book_app(b, NULL);
    book_exec(app, "INSERT INTO t(b) VALUES(randomblob(5000))");
    test_clock_move(&b->clock, hf_now_us(hf_clock_system()) - hf_now_us(&b->clock.base) + 3000000);
    book_settle(b);
    assert_int_equal(b->count, 2);
    book_kill(b);
    assert_int_equal(sqlite3_close(app), SQLITE_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(book_attach(b, NULL), HF_LIVE_FOLLOW);
        book_settle(b);
        assert_int_equal(txid_of_now(b), 2);
        book_kill(b);
        commit_nothing_and_close(b);
    }
    book_free(b);
}

/*
 * The log of a database that grew by free pages of which only the first, which lists the others,
 * has a frame; and again by some, behind which it was cut off in between. Versions of SQLite differ
 * in whether they make such a log; all read it.
 */
static void make_log_of_free_pages(const struct book *b, uint32_t pages, uint32_t free_pages)
{
    static const uint32_t salt[2] = {77, 78};
    HF_AUTO_FREE char *path = hf_strfmt("%s-wal", b->db_path);
    HF_AUTO_FREE uint8_t *trunk = hf_calloc(1, 4096);
    HF_AUTO_BUF image = {0};
    struct wal_maker m;
    struct hf_err err;

    hf_must(hf_fs_read_all(hf_fs_system(), b->db_path, 1U << 24, &image, &err), &err);
    assert_int_equal(image.len, (size_t)pages * 4096);
    wal_maker_begin(&m, false, 4096, salt);
    wal_maker_frame(&m, pages + 5, pages + 5, 1); /* never part of the database again as it is */
    wal_maker_page(&m, 1, pages, hf_slice(image.ptr, 4096));
    for (uint32_t i = 0; i + 1 < free_pages; i++)
        hf_put_be32(trunk + 8 + (size_t)4 * i, pages + 2 + i);
    hf_put_be32(trunk + 4, free_pages - 1);
    wal_maker_page(&m, pages + 1, 0, hf_slice(trunk, 4096));
    hf_put_be32(image.ptr + 28, pages + free_pages); /* size, first of the free pages, how many */
    hf_put_be32(image.ptr + 32, pages + 1);
    hf_put_be32(image.ptr + 36, free_pages);
    wal_maker_page(&m, 1, pages + free_pages, hf_slice(image.ptr, 4096));
    wal_maker_write(&m, path);
    wal_maker_done(&m);
}

static void growth_by_pages_without_frames_is_captured(void **state)
{
    (void)state;
    for (int caught_up = 0; caught_up < 2; caught_up++) {
        struct book *b = book_new();
        sqlite3 *app = book_app(b, NULL);

        book_exec(app,
                  "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB);"
                  "INSERT INTO t(b) VALUES(randomblob(50000))");
        const uint32_t pages = (uint32_t)book_number(app, "PRAGMA page_count");

        if (caught_up != 0)
            assert_int_equal(book_attach(b, NULL), HF_LIVE_SNAPSHOT);
        book_kill(b);
        assert_int_equal(sqlite3_close(app), SQLITE_OK);
        make_log_of_free_pages(b, pages, FREE_PAGES);
        app = book_app(b, NULL);
        assert_int_equal(book_number(app, "PRAGMA page_count"), pages + FREE_PAGES);
        assert_int_equal(book_attach(b, NULL),
                         caught_up != 0 ? HF_LIVE_CATCH_UP : HF_LIVE_SNAPSHOT);
        same_now(b, app);
        book_exec(app, "INSERT INTO t(b) VALUES(randomblob(90000))"); /* into the free pages */
        book_settle(b);
        same_now(b, app);
        end(b, app);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backfilled_commits_are_captured_by_the_log),
        cmocka_unit_test(a_log_restarted_before_the_first_round_loses_nothing),
        cmocka_unit_test(a_refused_segment_of_what_is_owed_is_made_again),
        cmocka_unit_test(what_the_log_proves_decides_what_is_needed),
        cmocka_unit_test(letting_go_and_coming_back_needs_nothing),
        cmocka_unit_test(without_a_log_the_file_tells_whether_it_changed),
        cmocka_unit_test(an_empty_log_ends_where_the_last_txid_does),
        cmocka_unit_test(growth_by_pages_without_frames_is_captured),
        cmocka_unit_test(an_application_that_closes_and_comes_back_is_followed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
