/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rewind.c
 *
 * Goal: a log that lost its end, as by a power cut with synchronous=NORMAL, is found out whatever
 * was written over it since: attach reports that captured commits are gone, and after the catch-up
 * the restored database is the live one. And what is in the log's file but was never committed is
 * not captured.
 * Method: all connections are closed without a checkpoint and an earlier copy of the log's bytes is
 * put back into the same file, before the application and capture come back.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/capture_book.h"
#include "lib/wal_shim.h"

#define PATH_BYTES 300

static void same_now(struct book *b, sqlite3 *app)
{
    struct hf_buf restored = book_image(b, b->count);
    struct hf_buf live = book_live_image(app);

    book_same(&restored, &live, b->infos[0].page_bytes);
    hf_buf_done(&restored);
    hf_buf_done(&live);
}

/* The application, which does not checkpoint when it closes: as if the power went. */
static sqlite3 *open_app(struct book *b)
{
    sqlite3 *app = book_app(b, "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0");

    assert_int_equal(sqlite3_db_config(app, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL), SQLITE_OK);
    return app;
}

static void power_off(struct book *b, sqlite3 *app)
{
    assert_int_equal(sqlite3_close(app), SQLITE_OK);
    book_kill(b);
}

static void log_path(const struct book *b, char ret[PATH_BYTES])
{
    (void)snprintf(ret, PATH_BYTES, "%s-wal", b->db_path);
}

static void copy_log(const struct book *b, struct hf_buf *ret)
{
    char path[PATH_BYTES];
    struct hf_err err;

    log_path(b, path);
    hf_must(hf_fs_read_all(hf_fs_system(), path, UINT32_MAX, ret, &err), &err);
}

/* The file has these bytes again, and is the same file. */
static void put_log_back(const struct book *b, const uint8_t *bytes, size_t len)
{
    char path[PATH_BYTES];

    log_path(b, path);
    const int fd = open(path, O_WRONLY);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, bytes, len, 0), (ssize_t)len);
    (void)close(fd);
}

static void put_log_copy_back(const struct book *b, const struct hf_buf *copy)
{
    put_log_back(b, copy->ptr, copy->len);
}

/* Captured: a snapshot and ten commits, of which the copy of the log has the first five. */
static struct book *begin(sqlite3 **ret_app, struct hf_buf *ret_copy)
{
    struct book *b = book_new();

    *ret_app = open_app(b);
    book_exec(*ret_app, "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)");
    book_exec(*ret_app, "INSERT INTO t(b) VALUES(randomblob(200000))");
    (void)book_attach(b, NULL);
    for (int i = 0; i < 10; i++) {
        if (i == 5)
            copy_log(b, ret_copy);
        book_exec(*ret_app, "INSERT INTO t(b) VALUES(randomblob(3000))");
        assert_int_equal(book_round(b, true), 1);
    }
    return b;
}

/* What the application does between the power cut and the return of capture. */
static void a_lost_end_is_reported_and_caught_up_with(void **state)
{
    static const char *const since[] = {
        "SELECT 1",
        "INSERT INTO t(b) VALUES(randomblob(500))",
        "INSERT INTO t(b) VALUES(randomblob(13000))",
        "INSERT INTO t(b) VALUES(randomblob(130000))",
        "DELETE FROM t WHERE a > 1; INSERT INTO t(b) VALUES(randomblob(13000))",
        "INSERT INTO t(b) VALUES(randomblob(3000)); INSERT INTO t(b) VALUES(randomblob(3000));"
        "INSERT INTO t(b) VALUES(randomblob(3000)); INSERT INTO t(b) VALUES(randomblob(3000));"
        "INSERT INTO t(b) VALUES(randomblob(3000))",
        "INSERT INTO t(b) VALUES(randomblob(13000)); PRAGMA wal_checkpoint(PASSIVE)",
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(since); i++) {
        HF_AUTO_BUF copy = {0};
        sqlite3 *app;
        struct book *b = begin(&app, &copy);
        const size_t before = b->count;
        bool lost = false;

        power_off(b, app);
        put_log_copy_back(b, &copy);
        app = open_app(b);
        book_exec(app, "%s", since[i]);
        assert_int_equal(book_attach(b, &lost), HF_LIVE_CATCH_UP);
        if (!lost)
            fail_msg("%s: it was not seen that commits are gone", since[i]);
        assert_true(b->count == before + 1 && b->infos[before].catchup);
        same_now(b, app);
        book_exec(app, "INSERT INTO t(b) VALUES(randomblob(3000))");
        book_settle(b);
        same_now(b, app);
        power_off(b, app);
        book_free(b);
    }
}

/* Bytes that are left of the log. With nothing left that could tell, it cannot be reported. */
static void a_log_cut_off_anywhere_is_caught_up_with(void **state)
{
    static const size_t left[] = {0, 16, 32, 33, 56, 32 + 24 + 4096, 32 + 24 + 4096 + 100};

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(left); i++) {
        HF_AUTO_BUF copy = {0};
        sqlite3 *app;
        struct book *b = begin(&app, &copy);
        bool lost = false;

        power_off(b, app);
        put_log_back(b, copy.ptr, left[i]);
        app = open_app(b);
        assert_int_equal(book_number(app, "PRAGMA user_version"), 0);
        assert_int_equal(book_attach(b, &lost), HF_LIVE_CATCH_UP);
        assert_true(lost == (left[i] > 32));
        same_now(b, app);
        power_off(b, app);
        book_free(b);
    }
}

/* ---- a position that came out of a segment ------------------------------------------------- */

static void copy_file(const char *from, const char *to)
{
    HF_AUTO_BUF bytes = {0};
    struct hf_err err;

    hf_must(hf_fs_read_all(hf_fs_system(), from, UINT32_MAX, &bytes, &err), &err);
    hf_must(hf_fs_replace(hf_fs_system(), to, hf_buf_slice(&bytes), 0600, &err), &err);
}

/* Set local state aside, or put it back. */
static void copy_state(const struct book *b, const char *from_end, const char *to_end)
{
    static const char *const names[] = {"digest", "digest.journal"};

    for (size_t i = 0; i < HF_ARRAY_LEN(names); i++) {
        char from[PATH_BYTES];
        char to[PATH_BYTES];

        (void)snprintf(from, sizeof(from), "%s/%s%s", b->state_dir, names[i], from_end);
        (void)snprintf(to, sizeof(to), "%s/%s%s", b->state_dir, names[i], to_end);
        copy_file(from, to);
    }
}

/* A transaction of two pages whose last one is always the same. */
static void commit_two_pages(sqlite3 *app, int first)
{
    book_exec(app, "BEGIN; UPDATE low SET v=%d; UPDATE high SET v=7; COMMIT", first);
}

/*
 * The state lacks the last segment, which is adopted from the archive, and so does the log. Then
 * the application makes a transaction whose last frame is the one that the segment ended with.
 * `same`: all of it is, so that nothing is lost.
 */
static void play_adopted(bool same)
{
    struct book *b = book_new();
    sqlite3 *app = open_app(b);
    HF_AUTO_BUF copy = {0};
    enum hf_live_need need;
    bool lost = false;
    bool made = false;
    struct hf_err err;

    book_exec(app,
              "CREATE TABLE low(v); CREATE TABLE high(v); INSERT INTO low VALUES(0);"
              "INSERT INTO high VALUES(0)");
    (void)book_attach(b, NULL);
    book_exec(app, "UPDATE low SET v=1");
    assert_int_equal(book_round(b, true), 1);
    copy_state(b, "", ".aside");
    copy_log(b, &copy);
    commit_two_pages(app, 11);
    assert_int_equal(book_round(b, true), 1);
    power_off(b, app);
    copy_state(b, ".aside", "");
    put_log_copy_back(b, &copy);
    app = open_app(b);
    commit_two_pages(app, same ? 11 : 12);

    book_open(b);
    assert_int_equal(b->live->ops->state(b->live)->txid, b->count - 1);
    hf_must(book_adopt(b, b->count, &err), &err);
    hf_must(b->live->ops->attach(b->live, &need, &lost, &err), &err);
    assert_int_equal(need, same ? HF_LIVE_FOLLOW : HF_LIVE_CATCH_UP);
    assert_int_equal(lost, !same);
    if (need == HF_LIVE_CATCH_UP)
        hf_must(b->live->ops->catch_up(b->live, &b->taker, &made, &err), &err);
    same_now(b, app);
    power_off(b, app);
    book_free(b);
}

static void an_adopted_segment_is_found_again_in_the_log(void **state)
{
    (void)state;
    play_adopted(true);
}

static void another_transaction_with_the_same_last_page_is_not_it(void **state)
{
    (void)state;
    play_adopted(false);
}

/* ---- what was never committed -------------------------------------------------------------- */

static void frames_that_were_never_committed_are_not_captured(void **state)
{
    struct book *b = book_new();
    sqlite3 *app = NULL;
    struct stat before;
    struct stat after;
    char path[PATH_BYTES];

    (void)state;
    assert_int_equal(sqlite3_open_v2(b->db_path, &app, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                                     wal_shim_register()),
                     SQLITE_OK);
    book_exec(app,
              "PRAGMA journal_mode=wal; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;"
              "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)");
    (void)book_attach(b, NULL);
    log_path(b, path);
    for (int i = 0; i < 6; i++) {
        book_exec(app, "INSERT INTO t(b) VALUES(randomblob(3000))");
        assert_int_equal(book_round(b, true), 1);
        same_now(b, app);
        assert_int_equal(stat(path, &before), 0);
        wal_shim_fail_syncs(true);
        assert_int_equal(
            sqlite3_exec(app, "INSERT INTO t(b) VALUES(randomblob(9000))", NULL, NULL, NULL),
            SQLITE_IOERR);
        wal_shim_fail_syncs(false);
        assert_int_equal(stat(path, &after), 0);
        assert_true(after.st_size > before.st_size); /* the frames are there */
        assert_int_equal(book_round(b, true), 0);
        same_now(b, app);
        if (i % 2 == 1)
            book_exec(app, "INSERT INTO t(b) VALUES(randomblob(%d))", 100 + 4000 * i);
    }
    book_settle(b);
    same_now(b, app);
    assert_int_equal(sqlite3_close(app), SQLITE_OK);
    book_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_end_is_reported_and_caught_up_with),
        cmocka_unit_test(a_log_cut_off_anywhere_is_caught_up_with),
        cmocka_unit_test(an_adopted_segment_is_found_again_in_the_log),
        cmocka_unit_test(another_transaction_with_the_same_last_page_is_not_it),
        cmocka_unit_test(frames_that_were_never_committed_are_not_captured),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
