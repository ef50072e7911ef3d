/* SPDX-License-Identifier: Apache-2.0 */
/*
 * talk.h - an application in a process of its own, which tells the test one word at a time what to
 * do and waits for the answer. The test captures, so that the application is not disturbed by it.
 */
#ifndef HF_TESTS_LIB_TALK_H
#define HF_TESTS_LIB_TALK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <sqlite3.h>

struct talk {
    pid_t pid;
    int in;
    int out;
};

#define TALK_END 0 /* what talk_hear() gives when the application has ended */

/* Fork, and run the application; it ends with the process. No SQLite connection and no thread may
 * exist in this process. */
void talk_start(struct talk *t, void (*run)(struct talk *t, void *ctx), void *ctx);
/* Whether a word comes within so many milliseconds, or the end. */
bool talk_waits(struct talk *t, int ms);
/* The next word of the application, in the test: word and number. TALK_END: it ended well. */
char talk_hear(struct talk *t, int64_t *ret_number);
/* The answer to it. */
void talk_answer(struct talk *t, int64_t number);
void talk_done(struct talk *t); /* ends it if it still runs */

/* In the application: say a word and wait for its answer. */
int64_t talk_say(struct talk *t, char word, int64_t number);
/* In the application: end with a reason, which fails the test. */
void talk_die(const char *what, sqlite3 *db);
/* In the application: SQL that must succeed. */
void talk_exec(sqlite3 *db, const char *sql);
/* In the application: the first number of the first row. */
int64_t talk_number(sqlite3 *db, const char *sql);

#endif
