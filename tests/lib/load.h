/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.h - processes that write to one database as fast as they can, such that any state between
 * two commits can be checked: every row counts in a hash that its writer keeps in the same
 * transaction, and the counters of the database and of each writer only grow.
 *
 * Writers use every way to change a database that capture has to follow: rows of all sizes, deletes
 * that shrink it, pages that come and go within a transaction, roll-backs, spilled transactions,
 * VACUUM, checkpoints of all modes, closing and opening.
 */
#ifndef HF_TESTS_LIB_LOAD_H
#define HF_TESTS_LIB_LOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <sqlite3.h>

#define LOAD_WRITERS_MAX 8

struct load_plan {
    const char *db_path;
    uint64_t seed;
    unsigned writers_count;
    unsigned page_bytes;
    const char *auto_vacuum; /* NONE, FULL or INCREMENTAL */
    const char *synchronous; /* OFF, NORMAL or FULL */
    int64_t ms;              /* for how long each writer goes on */
    int64_t pause_ms;        /* the longest pause between two transactions; 0: flat out */
    unsigned rows_max;       /* of a writer; deletes keep it below */
    unsigned row_bytes_max;
};

struct load {
    pid_t pids[LOAD_WRITERS_MAX];
    unsigned ids[LOAD_WRITERS_MAX];
    unsigned running;
};

/* Make the database in WAL mode, with its tables. No connection is left open. */
void load_create(const struct load_plan *plan);
/* Fork the writers. No SQLite connection and no thread may exist in this process. */
void load_start(struct load *l, const struct load_plan *plan);
/* Whether any writer still runs. A writer that failed has said why, and fails the test. */
bool load_runs(struct load *l);
/* kill -9 of a writer, and another that takes up its work; as for load_start(). */
void load_replace(struct load *l, const struct load_plan *plan, unsigned which);
/* End the writers, if any are left. */
void load_kill(struct load *l);

/* What load_check() saw in earlier states. */
struct load_seen {
    int64_t commits;
    int64_t counts[LOAD_WRITERS_MAX];
    int64_t states;
};

/* Fail the test unless this is the state between two commits of a load, not before those seen. */
void load_check(sqlite3 *db, struct load_seen *seen);

#endif
