/* SPDX-License-Identifier: Apache-2.0 */
/* talk.c - a line out, a line in, over a pair of sockets between a test and its children. */
#include "lib/talk.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fixture.h"

struct message {
    int64_t number;
    char word;
};

void talk_start(struct talk *t, void (*run)(struct talk *t, void *ctx), void *ctx)
{
    int up[2];
    int down[2];

    assert_int_equal(pipe(up), 0);
    assert_int_equal(pipe(down), 0);
    const pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct talk own = {.in = down[0], .out = up[1]};

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing behind */
        (void)close(up[0]);
        (void)close(down[1]);
        run(&own, ctx);
        _exit(0);
    }
    (void)close(up[1]);
    (void)close(down[0]);
    *t = (struct talk){.pid = pid, .in = up[0], .out = down[1]};
}

bool talk_waits(struct talk *t, int ms)
{
    struct pollfd p = {.fd = t->in, .events = POLLIN};

    return poll(&p, 1, ms) > 0;
}

char talk_hear(struct talk *t, int64_t *ret_number)
{
    struct message m = {0};
    int status = 0;

    if (read(t->in, &m, sizeof(m)) == (ssize_t)sizeof(m)) {
        *ret_number = m.number;
        return m.word;
    }
    assert_int_equal(waitpid(t->pid, &status, 0), t->pid);
    t->pid = 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("the application ended with status %x", status);
    return TALK_END;
}

void talk_answer(struct talk *t, int64_t number)
{
    const struct message m = {.number = number};

    assert_int_equal(write(t->out, &m, sizeof(m)), sizeof(m));
}

void talk_done(struct talk *t)
{
    if (t->pid > 0) {
        (void)kill(t->pid, SIGKILL);
        (void)waitpid(t->pid, NULL, 0);
    }
    (void)close(t->in);
    (void)close(t->out);
    *t = (struct talk){0};
}

int64_t talk_say(struct talk *t, char word, int64_t number)
{
    struct message m = {.word = word, .number = number};

    if (write(t->out, &m, sizeof(m)) != (ssize_t)sizeof(m) ||
        read(t->in, &m, sizeof(m)) != (ssize_t)sizeof(m))
        _exit(2); /* the test is gone */
    return m.number;
}

void talk_die(const char *what, sqlite3 *db)
{
    (void)fprintf(stderr, "application: %s: %s\n", what, db != NULL ? sqlite3_errmsg(db) : "");
    _exit(1);
}

void talk_exec(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        talk_die(sql, db);
}

int64_t talk_number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt = NULL;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW)
        talk_die(sql, db);
    const int64_t n = sqlite3_column_int64(stmt, 0);

    (void)sqlite3_finalize(stmt);
    return n;
}
