/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_checkpoint_wait.c
 *
 * Goal: an application's own TRUNCATE or RESTART checkpoint gets through while its database is
 * being captured, whatever capture holds at that moment, and so do its other writers.
 * Method: an application and a second writer in processes of their own, with busy timeouts of 5 s;
 * capture here does its rounds when they ask for it. No checkpoint may wait in vain. How long each
 * took and how long the writer waited is printed, beside the same without capture, and not judged.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/capture_book.h"
#include "lib/talk.h"
#include "lib/wal_shim.h"

#define TIMES    6    /* checkpoints a phase and mode */
#define BUSY_MS  5000 /* of both connections */
#define ROUND_MS 50

enum phase {
    PHASE_ALONE,  /* nobody captures */
    PHASE_MARK,   /* capture is on a mark, with frames that it has not captured */
    PHASE_REST,   /* it rests on lock 0 */
    PHASE_LEAVE,  /* it rests on lock 0, and a commit made right before makes it leave */
    PHASE_ATTACH, /* it attaches while the checkpoint runs */
    PHASE_RACE,   /* it takes the mark that the checkpoint is about to ask for (ADR 0005) */
};

static const char *const phase_names[] = {"alone",          "on a mark", "at rest",
                                          "leaving lock 0", "attaching", "racing"};

enum word {
    WORD_BEGIN = 'b', /* bring capture there, and answer */
    WORD_ROUND = 'o', /* one round, which captures */
    WORD_RESULT = 'r' /* microseconds of a checkpoint; -1: it was busy */
};

/* Shared with the second writer. */
struct gauge {
    volatile bool writing;
    volatile int64_t wait_us; /* the longest wait for a commit */
};

struct scene {
    const char *db_path;
    enum phase phase;
    int mode;
    struct gauge *gauge;
};

/* ---- the application and its second writer ------------------------------------------------ */

static sqlite3 *open_db(const char *path, const char *vfs_name)
{
    sqlite3 *db = NULL;

    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs_name) !=
        SQLITE_OK)
        talk_die("open", db);
    (void)sqlite3_busy_timeout(db, BUSY_MS);
    talk_exec(db,
              "PRAGMA journal_mode=wal; PRAGMA wal_autocheckpoint=0;"
              "CREATE TABLE IF NOT EXISTS t(a INTEGER PRIMARY KEY, b BLOB)");
    return db;
}

/* Until it is killed. */
static void write_beside(const struct scene *s)
{
    struct hf_clock *clock = hf_clock_system();

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    sqlite3 *db = open_db(s->db_path, NULL);

    for (;;) {
        if (s->gauge->writing) {
            const int64_t begin_us = hf_mono_us(clock);

            talk_exec(db, "INSERT INTO t(b) VALUES(randomblob(300))");
            const int64_t wait_us = hf_mono_us(clock) - begin_us;

            if (wait_us > s->gauge->wait_us)
                s->gauge->wait_us = wait_us;
        }
        hf_sleep_ms(clock, 2);
    }
}

/* SQLite waits for readers and writers, but never for another checkpointer: then it says busy at
 * once, whoever that is, and an application that insists asks again. */
static int64_t checkpoint_us(sqlite3 *db, int mode)
{
    struct hf_clock *clock = hf_clock_system();
    const int64_t begin_us = hf_mono_us(clock);

    for (;;) {
        const int rc = sqlite3_wal_checkpoint_v2(db, NULL, mode, NULL, NULL);
        const int64_t us = hf_mono_us(clock) - begin_us;

        if (rc == SQLITE_OK)
            return us;
        if (rc != SQLITE_BUSY)
            talk_die("checkpoint", db);
        if (us > BUSY_MS * 1000 / 2)
            return -1;
        hf_sleep_ms(clock, 1);
    }
}

static void let_capture_take_it(void *ctx)
{
    (void)talk_say(ctx, WORD_ROUND, 0);
}

/*
 * The checkpoint finds the first mark behind the end of the log and free, and before it can lock it
 * capture, which was on another one, moves it to the end and stays on it.
 */
static void race(struct talk *t, void *ctx)
{
    const struct scene *s = ctx;
    const struct wal_shim_hooks hooks = {.ctx = t, .before_mark = let_capture_take_it};
    sqlite3 *writer = open_db(s->db_path, NULL);
    sqlite3 *db = open_db(s->db_path, wal_shim_register());

    for (int i = 0; i < TIMES; i++) {
        talk_exec(writer, "INSERT INTO t(b) VALUES(randomblob(20000))");
        (void)talk_say(t, WORD_BEGIN, 0);
        for (int j = 0; j < 2; j++) {
            talk_exec(writer, "INSERT INTO t(b) VALUES(randomblob(300))");
            (void)talk_say(t, WORD_ROUND, 0);
        }
        talk_exec(writer, "INSERT INTO t(b) VALUES(randomblob(300))");
        wal_shim_arm(&hooks);
        const int64_t us = checkpoint_us(db, s->mode);

        if (wal_shim_calls() != 1)
            talk_die("the checkpoint never asked for the first mark", db);
        wal_shim_arm(NULL);
        (void)talk_say(t, WORD_RESULT, us);
    }
    (void)sqlite3_close(db);
    (void)sqlite3_close(writer);
}

static void application(struct talk *t, void *ctx)
{
    const struct scene *s = ctx;
    sqlite3 *db = open_db(s->db_path, NULL);

    for (int i = 0; i < TIMES; i++) {
        if (s->phase != PHASE_REST)
            talk_exec(db, "INSERT INTO t(b) VALUES(randomblob(20000))");
        (void)talk_say(t, WORD_BEGIN, 0);
        if (s->phase == PHASE_LEAVE)
            talk_exec(db, "INSERT INTO t(b) VALUES(randomblob(20000))");
        s->gauge->writing = s->phase != PHASE_REST;
        const int64_t us = checkpoint_us(db, s->mode);

        (void)talk_say(t, WORD_RESULT, us);
        s->gauge->writing = false;
    }
    (void)sqlite3_close(db);
}

/* ---- capture ------------------------------------------------------------------------------ */

struct figures {
    int64_t longest_us;
    int64_t total_us;
    int count;
    int busy;
};

static void bring_there(struct book *b, enum phase phase)
{
    if (phase == PHASE_ALONE || phase == PHASE_ATTACH)
        return;
    if (b->live == NULL)
        (void)book_attach(b, NULL);
    if (phase == PHASE_MARK || phase == PHASE_RACE)
        (void)book_round(b, false);
    else
        book_settle(b);
}

/* In no phase but those that capture may a round cut: what is not captured stays so. */
static void serve(struct book *b, struct talk *talk, const struct scene *s, struct figures *f)
{
    int64_t us = 0;
    char word;

    for (;;) {
        while (!talk_waits(talk, b->live != NULL ? (int)b->wait_ms : ROUND_MS)) {
            if (b->live != NULL)
                (void)book_round(b, s->phase == PHASE_LEAVE || s->phase == PHASE_RACE);
        }
        word = talk_hear(talk, &us);
        if (word == TALK_END)
            return;
        if (word == WORD_BEGIN)
            bring_there(b, s->phase);
        if (word == WORD_ROUND)
            (void)book_round(b, true);
        talk_answer(talk, 0);
        if (word == WORD_BEGIN && s->phase == PHASE_ATTACH) {
            book_kill(b);
            (void)book_attach(b, NULL);
        }
        if (word != WORD_RESULT)
            continue;
        f->busy += us < 0;
        f->count++;
        f->total_us += us;
        if (us > f->longest_us)
            f->longest_us = us;
    }
}

static void play(enum phase phase, int mode, const char *mode_name)
{
    struct book *b = book_new();
    struct scene scene = {.db_path = b->db_path, .phase = phase, .mode = mode};
    struct figures f = {0};
    struct talk talk;

    b->on_real_time = true;
    (void)sqlite3_close(book_app(b, NULL)); /* two that switch to WAL at once would meet a lock */
    scene.gauge =
        mmap(NULL, sizeof(*scene.gauge), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(scene.gauge != MAP_FAILED);
    const pid_t beside = fork();

    assert_true(beside >= 0);
    if (beside == 0)
        write_beside(&scene);
    talk_start(&talk, phase == PHASE_RACE ? race : application, &scene);
    serve(b, &talk, &scene, &f);
    talk_done(&talk);
    (void)kill(beside, SIGKILL);
    (void)waitpid(beside, NULL, 0);
    print_message(
        "%-8s %-15s checkpoint: mean %4lld ms, longest %4lld ms; writer: longest %4lld "
        "ms\n",
        mode_name, phase_names[phase], (long long)(f.total_us / (f.count > 0 ? f.count : 1) / 1000),
        (long long)(f.longest_us / 1000), (long long)(scene.gauge->wait_us / 1000));
    assert_int_equal(munmap(scene.gauge, sizeof(*scene.gauge)), 0);
    book_free(b);
    assert_int_equal(f.count, TIMES);
    assert_int_equal(f.busy, 0);
}

static void play_modes(enum phase phase)
{
    play(phase, SQLITE_CHECKPOINT_TRUNCATE, "TRUNCATE");
    play(phase, SQLITE_CHECKPOINT_RESTART, "RESTART");
    play(phase, SQLITE_CHECKPOINT_FULL, "FULL");
}

static void without_capture_it_gets_through(void **state)
{
    (void)state;
    play_modes(PHASE_ALONE);
}

static void it_gets_through_a_mark(void **state)
{
    (void)state;
    play_modes(PHASE_MARK);
}

static void it_gets_through_at_rest(void **state)
{
    (void)state;
    play_modes(PHASE_REST);
}

static void it_gets_through_when_lock_0_is_left(void **state)
{
    (void)state;
    play_modes(PHASE_LEAVE);
}

static void it_gets_through_an_attach(void **state)
{
    (void)state;
    play_modes(PHASE_ATTACH);
}

static void it_gets_through_a_mark_that_was_taken_before_its_eyes(void **state)
{
    (void)state;
    play_modes(PHASE_RACE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_capture_it_gets_through),
        cmocka_unit_test(it_gets_through_a_mark),
        cmocka_unit_test(it_gets_through_at_rest),
        cmocka_unit_test(it_gets_through_when_lock_0_is_left),
        cmocka_unit_test(it_gets_through_an_attach),
        cmocka_unit_test(it_gets_through_a_mark_that_was_taken_before_its_eyes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
