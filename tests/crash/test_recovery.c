/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_recovery.c
 *
 * Goal: an application that dies in the middle of changing the wal-index leaves nothing that
 * capture would wait for, miss or take twice: it has SQLite recover the index and goes on. Method:
 * the application, in a process of its own, commits, closes, makes the two copies of the index's
 * header differ as a kill between them does, and ends; capture was on a mark or at rest. It must
 * then, alone, come to what the file of the log says and to rest, where a checkpoint gets through
 * at once, and follow the next application.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/sqlite/walindex.h"
#include "lib/capture_book.h"
#include "lib/talk.h"

#define ROUNDS_MAX 100

enum phase {
    PHASE_MARK,   /* on a mark, with frames that are not captured */
    PHASE_REST,   /* on lock 0, and the application restarts the log */
    PHASE_UNDONE, /* on lock 0, and it restarts the log for nothing: the old one comes back */
    PHASE_HALF,   /* on lock 0, and it dies in a restart: the same log, to be backfilled again */
};

struct scene {
    const char *db_path;
    enum phase phase;
    bool second_copy; /* the one that is torn */
};

static void tear_header(const struct scene *s)
{
    char path[300];

    (void)snprintf(path, sizeof(path), "%s-shm", s->db_path);
    const int fd = open(path, O_RDWR);
    uint8_t *shm = fd < 0 ? MAP_FAILED
                          : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (shm == MAP_FAILED)
        talk_die("map the wal-index", NULL);
    shm[(s->second_copy ? WALINDEX_HEADER_BYTES : 0) + 8] ^= 1;
    (void)close(fd);
}

/* Capture recovers the index; then the next application does, which gives the same header again. */
static void tear_twice(struct talk *t, const struct scene *s)
{
    sqlite3 *db = NULL;

    tear_header(s);
    (void)talk_say(t, 'r', 0);
    tear_header(s);
    if (sqlite3_open(s->db_path, &db) != SQLITE_OK)
        talk_die("open again", db);
    talk_exec(db, "SELECT count(*) FROM t");
    (void)sqlite3_close(db);
}

static void application(struct talk *t, void *ctx)
{
    const struct scene *s = ctx;
    sqlite3 *db = NULL;

    if (sqlite3_open(s->db_path, &db) != SQLITE_OK)
        talk_die("open", db);
    talk_exec(db,
              "PRAGMA journal_mode=wal; PRAGMA wal_autocheckpoint=0;"
              "CREATE TABLE IF NOT EXISTS t(a INTEGER PRIMARY KEY, b BLOB);"
              "INSERT INTO t(b) VALUES(randomblob(50000))");
    (void)talk_say(t, 'a', 0);
    talk_exec(db, "INSERT INTO t(b) VALUES(randomblob(9000))");
    (void)talk_say(t, s->phase == PHASE_MARK ? 'm' : 'r', 0);
    if (s->phase == PHASE_UNDONE) {
        talk_exec(db,
                  "PRAGMA cache_size=1; BEGIN; INSERT INTO t(b) VALUES(randomblob(90000));"
                  "ROLLBACK");
    } else if (s->phase == PHASE_HALF) {
        (void)sqlite3_close(db);
        tear_twice(t, s);
        return;
    } else {
        talk_exec(db, "INSERT INTO t(b) VALUES(randomblob(7000))");
        talk_exec(db, "INSERT INTO t(b) VALUES(randomblob(300))");
    }
    (void)sqlite3_close(db);
    tear_header(s);
}

static void serve(struct book *b, struct talk *talk)
{
    int64_t number;
    char word;

    while ((word = talk_hear(talk, &number)) != TALK_END) {
        if (word == 'a')
            (void)book_attach(b, NULL);
        else if (word == 'm')
            (void)book_round(b, false);
        else
            book_settle(b);
        talk_answer(talk, 0);
    }
}

static void same_now(struct book *b)
{
    sqlite3 *app = book_app(b, NULL);
    struct hf_buf restored = book_image(b, b->count);
    struct hf_buf live = book_live_image(app);

    book_same(&restored, &live, b->infos[0].page_bytes);
    hf_buf_done(&restored);
    hf_buf_done(&live);
    (void)sqlite3_close(app);
}

/* At rest nothing is held that anybody could wait for: a checkpoint gets through at once. */
static void nobody_would_wait(struct book *b)
{
    sqlite3 *app = book_app(b, NULL);

    assert_int_equal(
        SQLITE_OK, sqlite3_wal_checkpoint_v2(app, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL));
    (void)sqlite3_close(app);
}

static void play(enum phase phase, bool second_copy)
{
    struct book *b = book_new();
    struct scene scene = {.db_path = b->db_path, .phase = phase, .second_copy = second_copy};
    struct hf_round round = {.cut = true};
    struct talk talk;
    struct hf_err err;

    talk_start(&talk, application, &scene);
    serve(b, &talk);
    talk_done(&talk);
    for (int i = 0; i < ROUNDS_MAX && !round.current; i++) {
        test_clock_move(&b->clock, 50000);
        hf_must(b->live->ops->round(b->live, &round, &b->taker, &err), &err);
    }
    assert_true(round.current);
    same_now(b);
    book_settle(b);
    nobody_would_wait(b);
    sqlite3 *app = book_app(b, NULL);

    book_exec(app, "INSERT INTO t(b) VALUES(randomblob(20000))");
    (void)sqlite3_close(app);
    book_settle(b);
    same_now(b);
    book_free(b);
}

static void on_a_mark_the_index_is_recovered(void **state)
{
    (void)state;
    play(PHASE_MARK, false);
    play(PHASE_MARK, true);
}

static void at_rest_the_index_is_recovered(void **state)
{
    (void)state;
    play(PHASE_REST, false);
    play(PHASE_REST, true);
}

static void a_log_that_comes_back_is_followed(void **state)
{
    (void)state;
    play(PHASE_UNDONE, false);
    play(PHASE_UNDONE, true);
}

static void a_log_that_is_to_be_backfilled_again_is_not_rested_on(void **state)
{
    (void)state;
    play(PHASE_HALF, false);
    play(PHASE_HALF, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_a_mark_the_index_is_recovered),
        cmocka_unit_test(at_rest_the_index_is_recovered),
        cmocka_unit_test(a_log_that_comes_back_is_followed),
        cmocka_unit_test(a_log_that_is_to_be_backfilled_again_is_not_rested_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
