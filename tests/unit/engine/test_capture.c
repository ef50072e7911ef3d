/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_capture.c
 *
 * Goal: whatever an application does to its database, the segments lead to exactly that database.
 * Method: an application connection and capture in one thread, in turns; after each step the image
 * that the segments lead to is compared, page by page, with what SQLite itself says the database
 * is.
 */
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>

#include "lib/capture_book.h"

static void same_now(struct book *b, sqlite3 *app)
{
    struct hf_buf restored = book_image(b, b->count);
    struct hf_buf live = book_live_image(app);

    book_same(&restored, &live, b->infos[0].page_bytes);
    hf_buf_done(&restored);
    hf_buf_done(&live);
}

static void a_snapshot_and_what_follows_restore(void **state)
{
    struct book *b = book_new();
    sqlite3 *app = book_app(b, NULL);

    (void)state;
    book_exec(app, "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)");
    assert_int_equal(book_attach(b, NULL), HF_LIVE_SNAPSHOT);
    same_now(b, app);
    for (int i = 0; i < 20; i++) {
        book_exec(app, "INSERT INTO t(b) VALUES(randomblob(3000))");
        (void)book_round(b, true);
        same_now(b, app);
    }
    book_settle(b);
    same_now(b, app);
    (void)sqlite3_close(app);
    book_free(b);
}

/* Takes TXID 1 for a book that has gone on without it. */
struct late_taker {
    struct hf_taker taker; /* first, so that the pointers convert */
    struct hf_sink sink;
    struct book *book;
    bool committed;
};

static enum hf_code late_write(struct hf_sink *sink, struct hf_slice data, struct hf_err *err)
{
    struct late_taker *t =
        (struct late_taker *)(void *)((char *)sink - offsetof(struct late_taker, sink));

    (void)err;
    hf_buf_append(&t->book->segments[0], data.ptr, data.len);
    return HF_OK;
}

static enum hf_code late_begin(struct hf_taker *taker, const struct hf_seg_info *info,
                               struct hf_sink **ret, struct hf_err *err)
{
    struct late_taker *t = (struct late_taker *)taker;

    (void)err;
    assert_int_equal(info->max_txid, 1);
    hf_buf_reset(&t->book->segments[0]);
    t->book->infos[0] = *info;
    *ret = &t->sink;
    return HF_OK;
}

static enum hf_code late_commit(struct hf_taker *taker, struct hf_err *err)
{
    struct late_taker *t = (struct late_taker *)taker;

    (void)err;
    t->committed = true;
    return HF_OK;
}

static void late_abort(struct hf_taker *taker)
{
    (void)taker;
}

/* Fails when `left` writes have gone well. */
struct failing_taker {
    struct late_taker late; /* first, so that the pointers convert */
    unsigned left;
};

static enum hf_code failing_write(struct hf_sink *sink, struct hf_slice data, struct hf_err *err)
{
    struct failing_taker *t =
        (struct failing_taker *)(void *)((char *)sink - offsetof(struct late_taker, sink));

    if (t->left-- == 0)
        return hf_err_set(err, HF_FULL, "no room");
    return late_write(sink, data, err);
}

/* More than all windows that can be in flight, some pages from the log and most from the file, and
 * given to a sink that fails at one place after the other before it takes all. */
static void a_large_snapshot_is_given_whole_or_fails_as_its_sink_does(void **state)
{
    struct book *b = book_new();
    sqlite3 *app = book_app(b, NULL);
    struct failing_taker t = {
        .late = {.taker = {.begin = late_begin, .commit = late_commit, .abort = late_abort},
                 .sink.write = failing_write,
                 .book = b},
    };
    enum hf_live_need need;
    unsigned failures = 0;
    enum hf_code rc;
    bool lost;
    struct hf_err err;

    (void)state;
    book_exec(app, "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)");
    book_exec(app,
              "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 280)"
              " INSERT INTO t(b) SELECT randomblob(100000) FROM n");
    book_exec(app, "PRAGMA wal_checkpoint(TRUNCATE)");
    book_exec(app, "UPDATE t SET b=randomblob(50000) WHERE a %% 17 = 0");
    book_open(b);
    hf_must(b->live->ops->attach(b->live, &need, &lost, &err), &err);
    hf_must(b->live->ops->snapshot(b->live, &err), &err);
    b->count = 1;
    for (unsigned left = 0;; left = left * 2 + 1) {
        t.left = left;
        rc = b->live->ops->give_snapshot(b->live, &t.late.taker, NULL, &err);
        if (rc == HF_OK)
            break;
        assert_int_equal(rc, HF_FULL);
        assert_false(t.late.committed);
        failures++;
    }
    assert_true(t.late.committed && failures > 4);
    same_now(b, app);
    (void)sqlite3_close(app);
    book_free(b);
}

/* Whatever comes between the two halves of a snapshot, and however often the second one is tried,
 * TXID 1 is the database as it was, and what follows follows. */
static void what_is_committed_while_a_snapshot_waits_is_captured(void **state)
{
    static const char *const meanwhile[] = {
        "INSERT INTO t(b) VALUES(randomblob(50000))",
        "UPDATE t SET b=randomblob(300)",
        "DELETE FROM t WHERE a % 2 = 0",
        "PRAGMA wal_checkpoint(PASSIVE)",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "VACUUM",
    };

    (void)state;
    for (int on_zero = 0; on_zero < 2; on_zero++) {
        struct book *b = book_new();
        sqlite3 *app = book_app(b, "PRAGMA page_size=1024");
        struct late_taker late = {
            .taker = {.begin = late_begin, .commit = late_commit, .abort = late_abort},
            .sink.write = late_write,
            .book = b,
        };
        enum hf_live_need need;
        hf_stop_flag stop = true;
        bool lost;
        struct hf_err err;

        book_exec(app, "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)");
        for (int i = 0; i < 20; i++)
            book_exec(app, "INSERT INTO t(b) VALUES(randomblob(5000))");
        if (on_zero)
            book_exec(app, "PRAGMA wal_checkpoint(PASSIVE)");
        (void)sqlite3_busy_timeout(app, 0);
        book_open(b);
        hf_must(b->live->ops->attach(b->live, &need, &lost, &err), &err);
        hf_must(b->live->ops->snapshot(b->live, &err), &err);
        struct hf_buf first = book_live_image(app);

        b->count = 1;
        for (size_t i = 0; i < HF_ARRAY_LEN(meanwhile); i++) {
            (void)sqlite3_exec(app, meanwhile[i], NULL, NULL, NULL);
            (void)book_round(b, true);
            if (i == 3)
                assert_int_equal(b->live->ops->give_snapshot(b->live, &late.taker, &stop, &err),
                                 HF_CANCELED);
        }
        assert_false(late.committed);
        hf_must(b->live->ops->give_snapshot(b->live, &late.taker, NULL, &err), &err);
        assert_true(late.committed);
        book_exec(app, "INSERT INTO t(b) VALUES(randomblob(3000))");
        book_settle(b);

        struct hf_buf restored = book_image(b, 1);

        book_same(&restored, &first, 1024);
        same_now(b, app);
        assert_true(b->count > 4);
        hf_buf_done(&restored);
        hf_buf_done(&first);
        (void)sqlite3_close(app);
        book_free(b);
    }
}

static void each_kind_of_checkpoint_by_the_application_is_followed(void **state)
{
    static const char *const modes[] = {
        "PRAGMA wal_checkpoint(PASSIVE)",
        "PRAGMA wal_checkpoint(FULL)",
        "PRAGMA wal_checkpoint(RESTART)",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    struct book *b = book_new();
    sqlite3 *app = book_app(b, NULL);

    (void)state;
    book_exec(app, "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)");
    (void)book_attach(b, NULL);
    (void)sqlite3_busy_timeout(app, 0); /* one thread: nobody would hand over while it waits */
    for (int i = 0; i < 200; i++) {
        book_exec(app, "INSERT INTO t(b) VALUES(randomblob(%d))", 100 + (i * 997) % 9000);
        if (i % 3 == 0)
            (void)book_round(b, i % 2 == 0);
        if (i % 5 == 0) {
            HF_AUTO_FREE char *sql = hf_strfmt("PRAGMA wal_checkpoint(%s)", modes[i / 5 % 4]);

            (void)sqlite3_exec(app, sql, NULL, NULL, NULL);
        }
        if (i % 7 == 0)
            book_settle(b);
    }
    book_settle(b);
    same_now(b, app);
    (void)sqlite3_close(app);
    book_free(b);
}

static void shrinking_and_growing_again_is_followed(void **state)
{
    struct book *b = book_new();
    sqlite3 *app = book_app(b, "PRAGMA page_size=1024; PRAGMA auto_vacuum=FULL");

    (void)state;
    book_exec(app, "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)");
    (void)book_attach(b, NULL);
    for (int i = 0; i < 40; i++) {
        book_exec(app,
                  "INSERT INTO t(b) SELECT randomblob(2000) FROM "
                  "(WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 50) "
                  "SELECT x FROM c)");
        if (i % 2 == 0)
            (void)book_round(b, true);
        book_exec(app, "DELETE FROM t WHERE a %% %d <> 0", 2 + i % 5);
        if (i % 3 == 0)
            (void)book_round(b, true);
        if (i % 10 == 0) {
            book_exec(app, "VACUUM");
            book_settle(b);
            same_now(b, app);
        }
    }
    book_settle(b);
    same_now(b, app);
    (void)sqlite3_close(app);
    book_free(b);
}

static void a_killed_capture_goes_on_by_the_log_alone(void **state)
{
    struct book *b = book_new();
    sqlite3 *app = book_app(b, NULL);

    (void)state;
    book_exec(app, "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)");
    book_exec(app, "INSERT INTO t(b) VALUES(randomblob(1000000))");
    (void)book_attach(b, NULL);
    for (int i = 0; i < 10; i++) {
        bool lost = true;

        book_exec(app, "INSERT INTO t(b) VALUES(randomblob(3000))");
        (void)book_round(b, true);
        book_exec(app, "INSERT INTO t(b) VALUES(randomblob(3000))");
        book_kill(b);
        book_exec(app, "INSERT INTO t(b) VALUES(randomblob(3000))");
        assert_int_equal(book_attach(b, &lost), HF_LIVE_FOLLOW);
        assert_false(lost);
        (void)book_round(b, true);
        same_now(b, app);
    }
    (void)sqlite3_close(app);
    book_free(b);
}

static void restarts_of_the_log_while_nobody_looked_are_caught_up_with(void **state)
{
    struct book *b = book_new();
    sqlite3 *app = book_app(b, NULL);

    (void)state;
    book_exec(app, "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)");
    book_exec(app, "INSERT INTO t(b) VALUES(randomblob(1000000))");
    (void)book_attach(b, NULL);
    for (int i = 0; i < 4; i++) {
        bool lost = true;

        book_exec(app, "INSERT INTO t(b) VALUES(randomblob(3000))");
        book_settle(b);
        book_kill(b);
        for (int restart = 0; restart <= i; restart++) {
            book_exec(app, "INSERT INTO t(b) VALUES(randomblob(3000))");
            book_exec(app, "PRAGMA wal_checkpoint(TRUNCATE)");
        }
        book_exec(app, "INSERT INTO t(b) VALUES(randomblob(3000))");
        const size_t before = b->count;

        assert_int_equal(book_attach(b, &lost), HF_LIVE_CATCH_UP);
        assert_false(lost);
        assert_int_equal(b->count, before + 1);
        assert_true(b->infos[before].catchup);
        assert_true(b->segments[before].len < 200000);
        same_now(b, app);
    }
    (void)sqlite3_close(app);
    book_free(b);
}

static void a_refused_commit_is_made_again(void **state)
{
    struct book *b = book_new();
    sqlite3 *app = book_app(b, NULL);
    struct hf_round round = {.cut = true};
    struct hf_err err;

    (void)state;
    book_exec(app, "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)");
    (void)book_attach(b, NULL);
    for (int i = 0; i < 10; i++) {
        book_exec(app, "INSERT INTO t(b) VALUES(randomblob(3000))");
        b->refuse_commit = true;
        assert_int_equal(b->live->ops->round(b->live, &round, &b->taker, &err), HF_FULL);
        book_exec(app, "INSERT INTO t(b) VALUES(randomblob(3000))");
        assert_true(book_round(b, true) > 0);
        same_now(b, app);
    }
    (void)sqlite3_close(app);
    book_free(b);
}

/* An application checkpoints when its log has 1000 frames, and then at each commit for as long as
 * something is left to be copied: what it feels of our readers. Restarted early, its log never gets
 * there, although it commits before each of our rounds. */
static void a_log_is_restarted_before_the_application_would_checkpoint(void **state)
{
    struct book *b = book_new();
    sqlite3 *app = book_app(b, NULL);
    HF_AUTO_FREE char *wal = hf_strfmt("%s-wal", b->db_path);
    struct stat st;

    (void)state;
    book_exec(app, "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)");
    (void)book_attach(b, NULL);
    for (int i = 0; i < 1000; i++) {
        book_exec(app, "INSERT INTO t(b) VALUES(randomblob(40000))");
        (void)book_round(b, i % 20 == 0);
        assert_int_equal(stat(wal, &st), 0);
        assert_true(st.st_size < (off_t)1000 * (4096 + 24));
    }
    book_settle(b);
    same_now(b, app);
    (void)sqlite3_close(app);
    book_free(b);
}

static void past_the_limit_the_log_is_sealed(void **state)
{
    struct book *b = book_new();

    (void)state;
    b->log_bytes_max = 100000;
    sqlite3 *app = book_app(b, "PRAGMA wal_autocheckpoint=0");

    book_exec(app, "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)");
    (void)book_attach(b, NULL);
    for (int i = 0; i < 300; i++) {
        book_exec(app, "INSERT INTO t(b) VALUES(randomblob(3000))");
        (void)book_round(b, true);
    }
    int frames = 0;

    assert_int_equal(sqlite3_wal_checkpoint_v2(app, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, NULL),
                     SQLITE_OK);
    assert_true(frames < 100);
    book_settle(b);
    same_now(b, app);
    (void)sqlite3_close(app);
    book_free(b);
}

/* Takes what a book takes, while its application goes on writing. */
struct pressed_taker {
    struct hf_taker taker; /* first, so that the pointers convert */
    struct book *book;
    sqlite3 *app;
    unsigned commits_count;
};

/* More than a seal without the write lock can get the better of: 123 frames, or none if the lock is
 * held. */
static enum hf_code pressed_begin(struct hf_taker *taker, const struct hf_seg_info *info,
                                  struct hf_sink **ret, struct hf_err *err)
{
    struct pressed_taker *t = (struct pressed_taker *)taker;

    t->commits_count += sqlite3_exec(t->app, "INSERT INTO t(b) VALUES(randomblob(500000))", NULL,
                                     NULL, NULL) == SQLITE_OK;
    return t->book->taker.begin(&t->book->taker, info, ret, err);
}

static enum hf_code pressed_commit(struct hf_taker *taker, struct hf_err *err)
{
    struct book *b = ((struct pressed_taker *)taker)->book;

    return b->taker.commit(&b->taker, err);
}

static void pressed_abort(struct hf_taker *taker)
{
    struct book *b = ((struct pressed_taker *)taker)->book;

    b->taker.abort(&b->taker);
}

/* It never leaves the log without frames that are still to be written back, so lock 0 is not to be
 * had: the write lock is, once a second, behind twenty rounds. */
static void past_the_limit_the_log_of_a_writer_without_pauses_is_sealed(void **state)
{
    struct book *b = book_new();
    sqlite3 *app = book_app(b, "PRAGMA wal_autocheckpoint=0");
    struct pressed_taker t = {
        .taker = {.begin = pressed_begin, .commit = pressed_commit, .abort = pressed_abort},
        .book = b,
        .app = app,
    };
    HF_AUTO_FREE char *wal = hf_strfmt("%s-wal", b->db_path);
    struct stat st;
    struct hf_err err;

    (void)state;
    b->log_bytes_max = 1000000;
    book_exec(app, "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)");
    (void)book_attach(b, NULL);
    for (int i = 0; i < 60; i++) {
        struct hf_round round = {.cut = true};

        book_exec(app, "INSERT INTO t(b) VALUES(randomblob(1000))");
        test_clock_move(&b->clock, 50000);
        hf_must(b->live->ops->round(b->live, &round, &t.taker, &err), &err);
    }
    assert_true(t.commits_count >= 50);
    assert_int_equal(stat(wal, &st), 0);
    assert_true(st.st_size < (off_t)t.commits_count * 500000 / 2);
    book_settle(b);
    same_now(b, app);
    (void)sqlite3_close(app);
    book_free(b);
}

/* How many frames a checkpoint that waits for nobody can write back. */
static int frames_backfilled(sqlite3 *app, int *ret_frames_count)
{
    int backfilled = 0;

    assert_int_equal(sqlite3_wal_checkpoint_v2(app, NULL, SQLITE_CHECKPOINT_PASSIVE,
                                               ret_frames_count, &backfilled),
                     SQLITE_OK);
    return backfilled;
}

/* Seen by what a checkpoint can write back: it goes as far as the mark. */
static void the_mark_moves_when_a_segment_is_due_and_not_for_nothing(void **state)
{
    struct book *b = book_new();
    sqlite3 *app = book_app(b, "PRAGMA wal_autocheckpoint=0");
    int frames_count = 0;

    (void)state;
    book_exec(app, "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)");
    (void)book_attach(b, NULL);
    book_exec(app, "INSERT INTO t(b) VALUES(randomblob(9000))");
    assert_int_equal(book_round(b, true), 1);
    book_exec(app, "INSERT INTO t(b) VALUES(randomblob(9000))");
    assert_int_equal(book_round(b, false), 0);
    const int held = frames_backfilled(app, &frames_count);

    assert_true(held < frames_count);
    book_exec(app, "INSERT INTO t(b) VALUES(randomblob(9000))");
    assert_int_equal(book_round(b, false), 0);
    assert_int_equal(frames_backfilled(app, &frames_count), held);
    assert_int_equal(book_round(b, true), 1);
    assert_int_equal(frames_backfilled(app, &frames_count), frames_count);
    same_now(b, app);
    book_settle(b);
    same_now(b, app);
    (void)sqlite3_close(app);
    book_free(b);
}

static void a_replaced_database_is_noticed(void **state)
{
    struct book *b = book_new();
    sqlite3 *app = book_app(b, NULL);
    struct hf_round round = {.cut = true};
    struct hf_err err;
    HF_AUTO_FREE char *copy = hf_strfmt("%s/other.db", b->dir);

    (void)state;
    book_exec(app, "CREATE TABLE t(a)");
    book_exec(app, "VACUUM INTO '%s'", copy);
    (void)book_attach(b, NULL);
    assert_int_equal(rename(copy, b->db_path), 0);
    test_clock_move(&b->clock, 1100000); /* files are looked at once a second */
    assert_int_equal(b->live->ops->round(b->live, &round, &b->taker, &err), HF_CONFLICT);
    assert_non_null(strstr(err.text, "another database file"));
    (void)sqlite3_close(app);
    book_free(b);
}

static void what_cannot_be_followed_is_refused_with_the_reason(void **state)
{
    struct book *b = book_new();
    struct hf_live_probe probe;
    struct hf_err err;
    sqlite3 *app = NULL;
    FILE *f;

    (void)state;
    assert_int_equal(sqlite_live_probe(b->db_path, &probe, &err), HF_USAGE);
    assert_non_null(strstr(err.text, "No such file"));
    f = fopen(b->db_path, "w");
    for (int i = 0; i < 1000; i++)
        (void)fputs("this is not a database at all\n", f);
    (void)fclose(f);
    assert_int_equal(sqlite_live_probe(b->db_path, &probe, &err), HF_USAGE);
    assert_non_null(strstr(err.text, "not a SQLite database"));
    assert_int_equal(remove(b->db_path), 0);
    assert_int_equal(sqlite3_open(b->db_path, &app), SQLITE_OK);
    book_exec(app, "CREATE TABLE t(a)");
    assert_int_equal(sqlite_live_probe(b->db_path, &probe, &err), HF_USAGE);
    assert_non_null(strstr(err.text, "--set-wal"));
    hf_must(sqlite_live_prepare(b->db_path, &err), &err);
    hf_must(sqlite_live_probe(b->db_path, &probe, &err), &err);
    assert_int_equal(probe.page_bytes, 4096);
    (void)sqlite3_close(app);
    book_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_and_what_follows_restore),
        cmocka_unit_test(a_large_snapshot_is_given_whole_or_fails_as_its_sink_does),
        cmocka_unit_test(what_is_committed_while_a_snapshot_waits_is_captured),
        cmocka_unit_test(each_kind_of_checkpoint_by_the_application_is_followed),
        cmocka_unit_test(shrinking_and_growing_again_is_followed),
        cmocka_unit_test(a_killed_capture_goes_on_by_the_log_alone),
        cmocka_unit_test(restarts_of_the_log_while_nobody_looked_are_caught_up_with),
        cmocka_unit_test(a_refused_commit_is_made_again),
        cmocka_unit_test(a_log_is_restarted_before_the_application_would_checkpoint),
        cmocka_unit_test(past_the_limit_the_log_is_sealed),
        cmocka_unit_test(past_the_limit_the_log_of_a_writer_without_pauses_is_sealed),
        cmocka_unit_test(the_mark_moves_when_a_segment_is_due_and_not_for_nothing),
        cmocka_unit_test(a_replaced_database_is_noticed),
        cmocka_unit_test(what_cannot_be_followed_is_refused_with_the_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
