/* SPDX-License-Identifier: Apache-2.0 */
/* load.c - an application that writes as fast as it can, in processes of its own. */
#include "lib/load.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/rand.h"
#include "lib/fixture.h"

#define BUSY_MS      20000
#define GHOST_BYTES  200000
#define ROW_INSERT   "INSERT INTO rows(writer,n,data) VALUES(?,?,?)"
#define ROWS_BETWEEN "SELECT n,data FROM rows WHERE writer=? AND n BETWEEN ? AND ?"

static const char tables[] =
    "CREATE TABLE rows(writer INTEGER, n INTEGER, data BLOB, PRIMARY KEY(writer, n));"
    "CREATE TABLE tally(writer INTEGER PRIMARY KEY, n INTEGER, hash INTEGER);"
    "CREATE TABLE state(commits INTEGER);"
    "CREATE TABLE ghost(data BLOB);"
    "CREATE INDEX by_size ON rows(length(data));"
    "INSERT INTO state VALUES(0);";

/* A writer process. */
struct writer {
    const struct load_plan *plan;
    int64_t id;
    struct hf_rand rand;
    sqlite3 *db;
    int64_t n;      /* its newest row */
    int64_t oldest; /* its oldest row that may exist */
    uint64_t hash;  /* of its rows */
};

/* In a child there is no test to fail: say it and end. */
static void die(struct writer *w, const char *what)
{
    (void)fprintf(stderr, "writer %d of seed %llu: %s: %s\n", (int)w->id,
                  (unsigned long long)w->plan->seed, what,
                  w->db != NULL ? sqlite3_errmsg(w->db) : "");
    _exit(1);
}

static int must(struct writer *w, const char *sql)
{
    const int rc = sqlite3_exec(w->db, sql, NULL, NULL, NULL);

    if (rc != SQLITE_OK && rc != SQLITE_BUSY && rc != SQLITE_LOCKED)
        die(w, sql);
    return rc;
}

static void must_do(struct writer *w, const char *sql)
{
    if (must(w, sql) != SQLITE_OK)
        die(w, sql);
}

static sqlite3_stmt *prepare(struct writer *w, const char *sql)
{
    sqlite3_stmt *stmt = NULL;

    if (sqlite3_prepare_v2(w->db, sql, -1, &stmt, NULL) != SQLITE_OK)
        die(w, sql);
    return stmt;
}

static void finish(struct writer *w, sqlite3_stmt *stmt, const char *what)
{
    if (sqlite3_finalize(stmt) != SQLITE_OK)
        die(w, what);
}

static uint64_t below(struct writer *w, uint64_t n)
{
    return hf_rand_below(&w->rand, n);
}

static uint64_t row_hash(int64_t writer, int64_t n, const void *data, size_t len)
{
    return hf_hash64(data, len) * 0x9e3779b97f4a7c15U + (uint64_t)writer * 1000003U +
           (uint64_t)n * 0xff51afd7ed558ccdU;
}

static void open_db(struct writer *w)
{
    char sql[200];

    if (sqlite3_open_v2(w->plan->db_path, &w->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        die(w, "open");
    (void)sqlite3_busy_timeout(w->db, BUSY_MS);
    (void)snprintf(sql, sizeof(sql),
                   "PRAGMA synchronous=%s; PRAGMA secure_delete=%d; PRAGMA cache_size=%d;"
                   "PRAGMA wal_autocheckpoint=%d",
                   w->plan->synchronous, below(w, 4) == 0, below(w, 2) == 0 ? 10 : 1000,
                   below(w, 2) == 0 ? 0 : (int)below(w, 300) + 1);
    must_do(w, sql);
}

static size_t row_bytes(struct writer *w)
{
    const uint64_t max = w->plan->row_bytes_max;

    return (size_t)(below(w, 4) == 0 ? below(w, max) : below(w, max / 16 + 1));
}

static void insert_rows(struct writer *w)
{
    sqlite3_stmt *stmt = prepare(w, ROW_INSERT);

    for (uint64_t i = below(w, 8) == 0 ? below(w, 60) : below(w, 6); i > 0; i--) {
        const size_t len = row_bytes(w);
        HF_AUTO_FREE uint64_t *data = hf_calloc(len / 8 + 1, 8);
        const uint64_t kind = below(w, 3);

        for (size_t j = 0; kind > 0 && j < len / 8; j++)
            data[j] = kind == 1 ? hf_rand_u64(&w->rand) : (uint64_t)w->n;
        w->n++;
        (void)sqlite3_bind_int64(stmt, 1, w->id);
        (void)sqlite3_bind_int64(stmt, 2, w->n);
        (void)sqlite3_bind_blob64(stmt, 3, data, len, SQLITE_TRANSIENT);
        if (sqlite3_step(stmt) != SQLITE_DONE)
            die(w, ROW_INSERT);
        (void)sqlite3_reset(stmt);
        w->hash += row_hash(w->id, w->n, data, len);
    }
    finish(w, stmt, ROW_INSERT);
}

/* Take rows first..last out, and out of the hash. */
static void delete_rows(struct writer *w, int64_t first, int64_t last)
{
    sqlite3_stmt *stmt = prepare(w, ROWS_BETWEEN);
    char sql[200];

    (void)sqlite3_bind_int64(stmt, 1, w->id);
    (void)sqlite3_bind_int64(stmt, 2, first);
    (void)sqlite3_bind_int64(stmt, 3, last);
    while (sqlite3_step(stmt) == SQLITE_ROW)
        w->hash -= row_hash(w->id, sqlite3_column_int64(stmt, 0), sqlite3_column_blob(stmt, 1),
                            (size_t)sqlite3_column_bytes(stmt, 1));
    finish(w, stmt, ROWS_BETWEEN);
    (void)snprintf(sql, sizeof(sql),
                   "DELETE FROM rows WHERE writer=%lld AND n BETWEEN %lld AND %lld",
                   (long long)w->id, (long long)first, (long long)last);
    must_do(w, sql);
}

static void shrink(struct writer *w)
{
    const int64_t rows = w->n - w->oldest + 1;

    if (rows > (int64_t)w->plan->rows_max || below(w, 40) == 0) {
        delete_rows(w, w->oldest, w->n - rows / 8);
        w->oldest = w->n - rows / 8 + 1;
    } else if (rows > 4 && below(w, 3) == 0) {
        const int64_t first = w->oldest + (int64_t)below(w, (uint64_t)rows);

        delete_rows(w, first, first + (int64_t)below(w, 4));
    }
}

/* Pages that come and go within the transaction. */
static void haunt(struct writer *w)
{
    char sql[200];

    (void)snprintf(sql, sizeof(sql),
                   "INSERT INTO ghost VALUES(%s(%d)); INSERT INTO ghost VALUES(zeroblob(%d)); "
                   "DELETE FROM ghost",
                   below(w, 2) == 0 ? "zeroblob" : "randomblob", 1 + (int)below(w, GHOST_BYTES),
                   1 + (int)below(w, GHOST_BYTES / 4));
    must_do(w, sql);
}

/* The database still says what this writer committed last. */
static void check_own(struct writer *w)
{
    sqlite3_stmt *stmt = prepare(w, "SELECT n, hash FROM tally WHERE writer=?");

    (void)sqlite3_bind_int64(stmt, 1, w->id);
    if (sqlite3_step(stmt) != SQLITE_ROW)
        die(w, "own tally");
    if (sqlite3_column_int64(stmt, 0) != w->n || (uint64_t)sqlite3_column_int64(stmt, 1) != w->hash)
        die(w, "a commit vanished from the live database");
    finish(w, stmt, "own tally");
}

static void transact(struct writer *w)
{
    const struct writer before = *w;
    char sql[200];

    if (must(w, "BEGIN IMMEDIATE") != SQLITE_OK)
        return;
    check_own(w);
    insert_rows(w);
    shrink(w);
    if (below(w, 4) == 0)
        haunt(w);
    (void)snprintf(sql, sizeof(sql),
                   "UPDATE tally SET n=%lld, hash=%lld WHERE writer=%lld; "
                   "UPDATE state SET commits=commits+1",
                   (long long)w->n, (long long)w->hash, (long long)w->id);
    must_do(w, sql);
    if (below(w, 10) != 0) {
        must_do(w, "COMMIT");
        return;
    }
    must_do(w, "ROLLBACK");
    w->n = before.n;
    w->oldest = before.oldest;
    w->hash = before.hash;
}

static void keep_house(struct writer *w)
{
    static const char *const modes[] = {
        "PRAGMA wal_checkpoint(PASSIVE)",
        "PRAGMA wal_checkpoint(FULL)",
        "PRAGMA wal_checkpoint(RESTART)",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    char sql[64];

    switch (below(w, 60)) {
    case 0:
    case 1:
    case 2:
    case 3:
        (void)must(w, modes[below(w, HF_ARRAY_LEN(modes))]);
        break;
    case 4:
        (void)must(w, "VACUUM");
        break;
    case 5:
        (void)snprintf(sql, sizeof(sql), "PRAGMA incremental_vacuum(%d)", (int)below(w, 40));
        (void)must(w, sql);
        break;
    case 6:
        if (sqlite3_close(w->db) != SQLITE_OK)
            die(w, "close");
        open_db(w);
        break;
    default:
        break;
    }
}

/* Where this writer, or an earlier one of its number, left off. */
static void take_up(struct writer *w)
{
    sqlite3_stmt *stmt = prepare(w,
                                 "SELECT t.n, t.hash, ifnull(min(r.n), t.n + 1) FROM tally t "
                                 "LEFT JOIN rows r ON r.writer = t.writer WHERE t.writer=?");

    (void)sqlite3_bind_int64(stmt, 1, w->id);
    if (sqlite3_step(stmt) != SQLITE_ROW)
        die(w, "take up");
    w->n = sqlite3_column_int64(stmt, 0);
    w->hash = (uint64_t)sqlite3_column_int64(stmt, 1);
    w->oldest = sqlite3_column_int64(stmt, 2);
    finish(w, stmt, "take up");
    w->rand = hf_rand_seeded(w->plan->seed + (uint64_t)w->id * 7919U + (uint64_t)w->n);
}

static void write_on(const struct load_plan *plan, unsigned id)
{
    struct writer w = {.plan = plan, .id = id, .rand = hf_rand_seeded(plan->seed + id * 7919U)};
    struct hf_clock *clock = hf_clock_system();
    const int64_t end_us = hf_mono_us(clock) + plan->ms * 1000;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing behind */
    open_db(&w);
    take_up(&w);
    while (hf_mono_us(clock) < end_us) {
        transact(&w);
        keep_house(&w);
        if (plan->pause_ms > 0)
            hf_sleep_ms(clock, (int64_t)below(&w, (uint64_t)plan->pause_ms));
    }
    check_own(&w);
    (void)sqlite3_close(w.db);
    _exit(0);
}

void load_create(const struct load_plan *plan)
{
    sqlite3 *db = NULL;
    char sql[200];

    assert_int_equal(sqlite3_open(plan->db_path, &db), SQLITE_OK);
    (void)snprintf(sql, sizeof(sql),
                   "PRAGMA page_size=%u; PRAGMA auto_vacuum=%s; PRAGMA journal_mode=wal",
                   plan->page_bytes, plan->auto_vacuum);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, tables, NULL, NULL, NULL), SQLITE_OK);
    for (unsigned id = 0; id < plan->writers_count; id++) {
        (void)snprintf(sql, sizeof(sql), "INSERT INTO tally VALUES(%u,0,0)", id);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

void load_start(struct load *l, const struct load_plan *plan)
{
    assert_in_range(plan->writers_count, 1, LOAD_WRITERS_MAX);
    *l = (struct load){0};
    for (unsigned id = 0; id < plan->writers_count; id++) {
        const pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0)
            write_on(plan, id);
        l->ids[l->running] = id;
        l->pids[l->running++] = pid;
    }
}

void load_replace(struct load *l, const struct load_plan *plan, unsigned which)
{
    assert_true(which < l->running);
    (void)kill(l->pids[which], SIGKILL);
    (void)waitpid(l->pids[which], NULL, 0);
    l->pids[which] = fork();
    assert_true(l->pids[which] >= 0);
    if (l->pids[which] == 0)
        write_on(plan, l->ids[which]);
}

bool load_runs(struct load *l)
{
    for (unsigned i = 0; i < l->running;) {
        int status = 0;

        if (waitpid(l->pids[i], &status, WNOHANG) != l->pids[i]) {
            i++;
            continue;
        }
        l->running--;
        l->pids[i] = l->pids[l->running];
        l->ids[i] = l->ids[l->running];
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            fail_msg("a writer ended with status %x", status);
    }
    return l->running > 0;
}

void load_kill(struct load *l)
{
    for (unsigned i = 0; i < l->running; i++) {
        (void)kill(l->pids[i], SIGKILL);
        (void)waitpid(l->pids[i], NULL, 0);
    }
    l->running = 0;
}

/* ---- the oracle --------------------------------------------------------------------------- */

static sqlite3_stmt *query(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt = NULL;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    return stmt;
}

static void check_integrity(sqlite3 *db)
{
    sqlite3_stmt *stmt = query(db, "PRAGMA integrity_check");

    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    if (strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") != 0)
        fail_msg("integrity_check: %s", (const char *)sqlite3_column_text(stmt, 0));
    (void)sqlite3_finalize(stmt);
}

static void hash_rows(sqlite3 *db, uint64_t hashes[LOAD_WRITERS_MAX])
{
    sqlite3_stmt *stmt = query(db, "SELECT writer, n, data FROM rows");
    int rc;

    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        const int64_t writer = sqlite3_column_int64(stmt, 0);

        assert_in_range(writer, 0, LOAD_WRITERS_MAX - 1);
        hashes[writer] += row_hash(writer, sqlite3_column_int64(stmt, 1),
                                   sqlite3_column_blob(stmt, 2),
                                   (size_t)sqlite3_column_bytes(stmt, 2));
    }
    assert_int_equal(rc, SQLITE_DONE);
    (void)sqlite3_finalize(stmt);
}

void load_check(sqlite3 *db, struct load_seen *seen)
{
    uint64_t hashes[LOAD_WRITERS_MAX] = {0};

    check_integrity(db);
    hash_rows(db, hashes);
    sqlite3_stmt *stmt = query(db, "SELECT writer, n, hash FROM tally");

    while (sqlite3_step(stmt) == SQLITE_ROW) {
        const int64_t writer = sqlite3_column_int64(stmt, 0);
        const int64_t n = sqlite3_column_int64(stmt, 1);

        assert_true(n >= seen->counts[writer]);
        assert_true((uint64_t)sqlite3_column_int64(stmt, 2) == hashes[writer]);
        seen->counts[writer] = n;
    }
    (void)sqlite3_finalize(stmt);
    stmt = query(db, "SELECT commits FROM state");
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    assert_true(sqlite3_column_int64(stmt, 0) >= seen->commits);
    seen->commits = sqlite3_column_int64(stmt, 0);
    seen->states++;
    (void)sqlite3_finalize(stmt);
}
