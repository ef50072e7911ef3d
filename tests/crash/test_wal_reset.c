/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_wal_reset.c
 *
 * Goal: SQLite's WAL-reset bug (3.7.0 to 3.51.2) does not strike a database that is being captured,
 * in whatever phase capture is; and the test would see it if it did.
 * Method: an application of two connections in a process of its own. One begins a checkpoint and is
 * stopped by lib/wal_shim.h right after it read the wal-index header, and again right before it
 * writes pages; the other restarts the log and commits in between, and capture, in this process,
 * does its worst. Afterwards each row must hold what was committed last.
 */
#include <stdio.h>

#include "lib/capture_book.h"
#include "lib/talk.h"
#include "lib/wal_shim.h"

#define ROWS      300
#define UPDATES   40  /* commits behind the unlucky checkpoint */
#define LEAVE_MS  400 /* for which capture tries to leave lock 0 */
#define ROW_BYTES 1500

enum phase {
    PHASE_ALONE,        /* nobody captures */
    PHASE_MARK,         /* capture is on a mark when the checkpoint begins */
    PHASE_REST,         /* it rests on lock 0, and stays there */
    PHASE_LEAVE,        /* it rests on lock 0, and tries to leave once the log was restarted */
    PHASE_LEAVE_LATER,  /* the same, at the last moment before pages are written */
    PHASE_LEAVE_BUSY,   /* the same, while the application goes on committing */
    PHASE_LEAVE_LOCKED, /* the same, while the application is in a write transaction */
    PHASE_SNAPSHOT,     /* attached on lock 0, and begins its first snapshot at that moment */
};

/* What the words of the application ask for. */
enum word {
    WORD_ATTACH = 'a', /* attach, and do what is needed */
    WORD_HOLD = 'h',   /* attach only */
    WORD_IMAGE = 'i',  /* try the first snapshot */
    WORD_MARK = 'm',   /* be on a mark */
    WORD_REST = 'r',
    WORD_LEAVE = 'l', /* rounds, for so many milliseconds */
    WORD_RESULT = 'v' /* rows that vanished */
};

struct scene {
    const char *db_path;
    enum phase phase;
    struct talk *talk;
    sqlite3 *writer;
    int versions[ROWS + 1]; /* of each row, as committed */
    int next;
};

/* ---- the application ----------------------------------------------------------------------- */

static void update_row(struct scene *s)
{
    char sql[200];
    const int row = 1 + s->next++ * 7 % ROWS;

    (void)snprintf(sql, sizeof(sql), "UPDATE t SET version=%d, filler=randomblob(%d) WHERE id=%d",
                   s->versions[row] + 1, ROW_BYTES, row);
    talk_exec(s->writer, sql);
    s->versions[row]++;
}

static void after_header(void *ctx)
{
    struct scene *s = ctx;

    update_row(s); /* restarts the log, if nobody is in the way */
    if (s->phase == PHASE_LEAVE)
        (void)talk_say(s->talk, WORD_LEAVE, LEAVE_MS);
}

static void before_pages(void *ctx)
{
    struct scene *s = ctx;

    if (s->phase == PHASE_LEAVE_LATER)
        (void)talk_say(s->talk, WORD_LEAVE, LEAVE_MS);
    if (s->phase == PHASE_SNAPSHOT)
        (void)talk_say(s->talk, WORD_IMAGE, 0);
    if (s->phase == PHASE_LEAVE_LOCKED) {
        talk_exec(s->writer, "BEGIN IMMEDIATE");
        update_row(s);
        (void)talk_say(s->talk, WORD_LEAVE, LEAVE_MS);
        talk_exec(s->writer, "COMMIT");
    }
    for (int i = 0; s->phase == PHASE_LEAVE_BUSY && i < 20; i++) {
        update_row(s);
        (void)talk_say(s->talk, WORD_LEAVE, LEAVE_MS / 20);
    }
}

static void set_up(struct scene *s)
{
    char sql[300];

    if (sqlite3_open(s->db_path, &s->writer) != SQLITE_OK)
        talk_die("open", s->writer);
    (void)sqlite3_busy_timeout(s->writer, 5000);
    (void)snprintf(sql, sizeof(sql),
                   "PRAGMA journal_mode=wal; PRAGMA wal_autocheckpoint=0;"
                   "CREATE TABLE t(id INTEGER PRIMARY KEY, version INTEGER, filler BLOB);"
                   "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT %d) "
                   "INSERT INTO t SELECT x, 0, randomblob(%d) FROM c",
                   ROWS, ROW_BYTES);
    talk_exec(s->writer, sql);
}

static void bring_capture_there(struct scene *s)
{
    if (s->phase == PHASE_ALONE)
        return;
    if (s->phase == PHASE_SNAPSHOT) {
        (void)talk_say(s->talk, WORD_HOLD, 0);
        return;
    }
    (void)talk_say(s->talk, WORD_ATTACH, 0);
    for (int i = 0; i < 3; i++)
        update_row(s);
    (void)talk_say(s->talk, s->phase == PHASE_MARK ? WORD_MARK : WORD_REST, 0);
}

/* Make the log restart for good, so that what was overlooked is gone from it. */
static void restart_log(struct scene *s, sqlite3 *checkpointer)
{
    for (int i = 0; i < 3; i++) {
        (void)sqlite3_wal_checkpoint_v2(checkpointer, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        update_row(s);
        if (s->phase != PHASE_ALONE)
            (void)talk_say(s->talk, WORD_REST, 0);
    }
}

static int64_t count_vanished(struct scene *s)
{
    sqlite3 *fresh = NULL;
    sqlite3_stmt *stmt = NULL;
    int64_t vanished = 0;

    if (sqlite3_open(s->db_path, &fresh) != SQLITE_OK ||
        sqlite3_prepare_v2(fresh, "SELECT id, version FROM t", -1, &stmt, NULL) != SQLITE_OK)
        talk_die("look", fresh);
    while (sqlite3_step(stmt) == SQLITE_ROW)
        vanished += sqlite3_column_int(stmt, 1) != s->versions[sqlite3_column_int(stmt, 0)];
    (void)sqlite3_finalize(stmt);
    (void)sqlite3_close(fresh);
    return vanished;
}

static void application(struct talk *t, void *ctx)
{
    struct scene *s = ctx;
    sqlite3 *unlucky = NULL;
    const struct wal_shim_hooks hooks = {
        .ctx = s, .header_read = after_header, .before_backfill = before_pages};

    s->talk = t;
    set_up(s);
    if (sqlite3_open_v2(s->db_path, &unlucky, SQLITE_OPEN_READWRITE, wal_shim_register()) !=
        SQLITE_OK)
        talk_die("open by the shim", unlucky);
    (void)talk_number(unlucky, "SELECT count(*) FROM t");
    for (int i = 0; i < 3; i++)
        update_row(s); /* so that its checkpoint finds the header changed */
    talk_exec(s->writer, "PRAGMA wal_checkpoint(PASSIVE)");
    bring_capture_there(s);
    talk_exec(s->writer, "PRAGMA wal_checkpoint(PASSIVE)");
    wal_shim_arm(&hooks);
    (void)sqlite3_wal_checkpoint_v2(unlucky, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    if (wal_shim_calls() == 0)
        talk_die("the checkpoint did not come by the hook", unlucky);
    wal_shim_arm(NULL);
    for (int i = 0; i < UPDATES; i++)
        update_row(s);
    if (s->phase == PHASE_SNAPSHOT)
        (void)talk_say(s->talk, WORD_IMAGE, 0);
    restart_log(s, unlucky);
    (void)talk_say(t, WORD_RESULT, count_vanished(s));
}

/* ---- capture ------------------------------------------------------------------------------- */

/* Attach, and no more. */
static void hold_only(struct book *b)
{
    enum hf_live_need need;
    bool lost;
    struct hf_err err;

    (void)book_attach(b, NULL); /* opens it; what it made is forgotten again */
    b->live->ops->detach(b->live);
    hf_must(b->live->ops->reset(b->live, &err), &err);
    b->count = 0;
    hf_must(b->live->ops->attach(b->live, &need, &lost, &err), &err);
    assert_int_equal(need, HF_LIVE_SNAPSHOT);
}

static void try_snapshot(struct book *b)
{
    struct hf_err err;

    if (b->count > 0)
        return;
    const enum hf_code rc = b->live->ops->snapshot(b->live, &err);

    if (rc == HF_OK)
        hf_must(b->live->ops->give_snapshot(b->live, &b->taker, NULL, &err), &err);
    else
        assert_int_equal(rc, HF_BUSY);
}

static void rounds_for(struct book *b, int64_t ms)
{
    struct hf_clock *clock = hf_clock_system();
    const int64_t end_us = hf_mono_us(clock) + ms * 1000;

    do {
        (void)book_round(b, true);
        hf_sleep_ms(clock, 5);
    } while (hf_mono_us(clock) < end_us);
}

static void do_word(struct book *b, char word, int64_t number)
{
    switch (word) {
    case WORD_ATTACH:
        (void)book_attach(b, NULL);
        break;
    case WORD_HOLD:
        hold_only(b);
        break;
    case WORD_IMAGE:
        try_snapshot(b);
        break;
    case WORD_MARK:
        (void)book_round(b, true);
        break;
    case WORD_REST:
        book_settle(b);
        break;
    case WORD_LEAVE:
        rounds_for(b, number);
        break;
    default:
        fail_msg("word %c", word);
    }
}

static void same_now(struct book *b)
{
    sqlite3 *app = book_app(b, NULL);

    book_settle(b);
    struct hf_buf restored = book_image(b, b->count);
    struct hf_buf live = book_live_image(app);

    book_same(&restored, &live, b->infos[0].page_bytes);
    hf_buf_done(&restored);
    hf_buf_done(&live);
    (void)sqlite3_close(app);
}

/* Rows that vanished when capture was in this phase. */
static int64_t play(enum phase phase)
{
    struct book *b = book_new();
    struct scene scene = {.db_path = b->db_path, .phase = phase};
    struct talk talk;
    int64_t vanished = -1;
    int64_t number = 0;
    char word;

    b->on_real_time = true;
    talk_start(&talk, application, &scene);
    while ((word = talk_hear(&talk, &number)) != TALK_END) {
        if (word == WORD_RESULT)
            vanished = number;
        else
            do_word(b, word, number);
        if (word == WORD_RESULT && phase != PHASE_ALONE)
            same_now(b);
        talk_answer(&talk, 0);
    }
    talk_done(&talk);
    book_free(b);
    assert_true(vanished >= 0);
    return vanished;
}

/* SQLite, "Write-Ahead Logging", section "The WAL-Reset Bug". */
static bool library_has_the_bug(void)
{
    const int v = sqlite3_libversion_number();

    return v < 3051003 && !(v >= 3050007 && v < 3051000) && !(v >= 3044006 && v < 3045000);
}

static void without_capture_commits_vanish(void **state)
{
    (void)state;
    const int64_t vanished = play(PHASE_ALONE);

    print_message("%lld rows vanished\n", (long long)vanished);
    assert_true((vanished > 0) == library_has_the_bug());
}

static void on_a_mark_nothing_vanishes(void **state)
{
    (void)state;
    assert_int_equal(play(PHASE_MARK), 0);
}

static void at_rest_nothing_vanishes(void **state)
{
    (void)state;
    assert_int_equal(play(PHASE_REST), 0);
}

static void leaving_lock_0_nothing_vanishes(void **state)
{
    (void)state;
    assert_int_equal(play(PHASE_LEAVE), 0);
    assert_int_equal(play(PHASE_LEAVE_LATER), 0);
    assert_int_equal(play(PHASE_LEAVE_BUSY), 0);
    assert_int_equal(play(PHASE_LEAVE_LOCKED), 0);
}

static void beginning_a_snapshot_nothing_vanishes(void **state)
{
    (void)state;
    assert_int_equal(play(PHASE_SNAPSHOT), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_capture_commits_vanish),
        cmocka_unit_test(on_a_mark_nothing_vanishes),
        cmocka_unit_test(at_rest_nothing_vanishes),
        cmocka_unit_test(leaving_lock_0_nothing_vanishes),
        cmocka_unit_test(beginning_a_snapshot_nothing_vanishes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
