/* SPDX-License-Identifier: Apache-2.0 */
/* conn.c - SQLite results turned into what they mean for somebody who only follows. */
#include "engine/sqlite/conn.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/check.h"

#define OPEN_WAIT_MS 2000 /* for a recovery or an exclusive lock to end */
#define TRIES_MAX    64
#define REGION_BYTES 32768

static enum hf_code fail(struct hf_err *err, const struct conn *c, enum hf_code code,
                         const char *what)
{
    return hf_err_set(err, code, "%s: %s (SQLite result %d)", what, sqlite3_errmsg(c->db),
                      sqlite3_extended_errcode(c->db));
}

/* What SQLite's result means for somebody who wants to follow this database. */
static enum hf_code explain(struct hf_err *err, const struct conn *c, const char *what)
{
    switch (sqlite3_errcode(c->db)) {
    case SQLITE_NOTADB:
        return hf_err_set(err, HF_USAGE,
                          "%s: this is not a SQLite database, or it is encrypted: expected a file "
                          "that the sqlite3 command can open",
                          what);
    case SQLITE_CORRUPT:
        return hf_err_set(err, HF_DAMAGE,
                          "%s: SQLite says '%s': the database is damaged, or its file was cut off. "
                          "Repair or restore it before archiving it",
                          what, sqlite3_errmsg(c->db));
    case SQLITE_BUSY:
        return hf_err_set(err, HF_BUSY,
                          "%s: the database is locked: an application holds it with "
                          "locking_mode=EXCLUSIVE, or is recovering it. holdfast needs "
                          "locking_mode=NORMAL",
                          what);
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
        return hf_err_set(err, HF_DENIED,
                          "%s: %s: the database, its -wal and its -shm must be readable and "
                          "writable by this user, and their folder writable",
                          what, sqlite3_errmsg(c->db));
    default:
        return fail(err, c, HF_IO, what);
    }
}

static enum hf_code configure(struct conn *c, struct hf_err *err)
{
    if (sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL) != SQLITE_OK ||
        sqlite3_exec(c->db,
                     "PRAGMA wal_autocheckpoint=0; PRAGMA mmap_size=0; PRAGMA cache_size=-64;",
                     NULL, NULL, NULL) != SQLITE_OK)
        return explain(err, c, "set up the connection");
    return HF_OK;
}

/*
 * To be asked before SQLite reads anything. A file of 0 bytes is an empty database to it: it
 * deletes a -wal that lies beside one (pagerOpenWalIfPresent), which may be all that is left, and
 * the first page it writes decides page size, encoding and auto_vacuum, which is the application's
 * choice.
 */
static enum hf_code require_a_page(const char *db_path, struct hf_err *err)
{
    HF_AUTO_FREE char *wal = hf_strfmt("%s-wal", db_path);
    struct stat st;

    if (stat(db_path, &st) < 0)
        return hf_err_sys(err, errno == ENOENT ? HF_NOT_FOUND : HF_IO, "stat");
    if (st.st_size > 0)
        return HF_OK;
    if (stat(wal, &st) == 0 && st.st_size > 0)
        return hf_err_set(
            err, HF_DAMAGE,
            "its file has 0 bytes and its -wal has %jd: it was cut off. Keep the -wal "
            "aside before anything opens the database, which deletes it, and restore "
            "the database before archiving it",
            (intmax_t)st.st_size);
    return hf_err_set(
        err, HF_USAGE,
        "the database is empty: a file of 0 bytes, whose page size is not chosen yet. "
        "Let its application write to it first, in WAL mode");
}

/* The journal mode, from the database itself: never set, only asked. */
static enum hf_code require_wal_mode(struct conn *c, struct hf_err *err)
{
    sqlite3_stmt *stmt = NULL;
    enum hf_code rc = HF_OK;

    if (sqlite3_prepare_v2(c->db, "PRAGMA journal_mode", -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW)
        rc = explain(err, c, "read the journal mode");
    else if (strcmp((const char *)sqlite3_column_text(stmt, 0), "wal") != 0)
        rc = hf_err_set(err, HF_USAGE,
                        "the database is in journal mode '%s', and only WAL mode can be followed. "
                        "Switch it once with: PRAGMA journal_mode=wal (or pass --set-wal)",
                        (const char *)sqlite3_column_text(stmt, 0));
    (void)sqlite3_finalize(stmt);
    return rc;
}

/* Open it to read and write; it must be there, and have something to read. */
static enum hf_code open_handle(const char *db_path, struct conn *c, struct hf_err *err)
{
    if (sqlite3_open_v2(db_path, &c->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        return explain(err, c, "open the database");
    (void)sqlite3_busy_timeout(c->db, OPEN_WAIT_MS);
    return require_a_page(db_path, err);
}

static enum hf_code open_to_follow(const char *db_path, struct conn *c, struct hf_err *err)
{
    enum hf_code rc = open_handle(db_path, c, err);

    if (rc != HF_OK)
        return rc;
    if (sqlite3_db_readonly(c->db, "main") == 1) /* SQLite falls back to that by itself */
        return hf_err_set(err, HF_DENIED,
                          "the database is read-only here: it must be writable by this user");
    rc = configure(c, err);
    if (rc == HF_OK)
        rc = require_wal_mode(c, err);
    if (rc != HF_OK)
        return rc;
    if (sqlite3_exec(c->db, "PRAGMA synchronous=FULL", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(c->db, "BEGIN", -1, &c->begin, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(c->db, "PRAGMA schema_version", -1, &c->touch, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(c->db, "ROLLBACK", -1, &c->rollback, NULL) != SQLITE_OK ||
        sqlite3_file_control(c->db, "main", SQLITE_FCNTL_FILE_POINTER, &c->file) != SQLITE_OK)
        return explain(err, c, "set up the connection");
    return conn_begin(c, err);
}

enum hf_code conn_open(const char *db_path, struct conn *ret, struct hf_err *err)
{
    struct conn c = {0};
    const enum hf_code rc = open_to_follow(db_path, &c, err);

    if (rc != HF_OK) {
        conn_close(&c);
        return hf_err_wrap(err, "%s", db_path);
    }
    conn_end(&c);
    (void)sqlite3_busy_timeout(c.db, 0);
    *ret = c;
    return HF_OK;
}

void conn_close(struct conn *c)
{
    conn_end(c);
    (void)sqlite3_finalize(c->begin);
    (void)sqlite3_finalize(c->touch);
    (void)sqlite3_finalize(c->rollback);
    (void)sqlite3_close_v2(c->db);
    *c = (struct conn){0};
}

enum hf_code conn_set_wal_mode(const char *db_path, struct hf_err *err)
{
    HF_CLEANUP(conn_close) struct conn c = {0};
    const enum hf_code rc = open_handle(db_path, &c, err);

    if (rc != HF_OK)
        return hf_err_wrap(err, "%s", db_path);
    if (sqlite3_db_config(c.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL) != SQLITE_OK ||
        sqlite3_exec(c.db, "PRAGMA journal_mode=wal", NULL, NULL, NULL) != SQLITE_OK)
        return explain(err, &c, db_path);
    return HF_OK;
}

/* Map the first region of the wal-index; it stays where it is while the connection is open. */
static enum hf_code map_walindex(struct conn *c, struct hf_err *err)
{
    void volatile *shm = NULL;

    int rc = SQLITE_ERROR;

    if (c->file->pMethods->iVersion >= 2 && c->file->pMethods->xShmMap != NULL)
        rc = c->file->pMethods->xShmMap(c->file, 0, REGION_BYTES, 0, &shm);
    if ((rc & 0xff) == SQLITE_READONLY)
        return hf_err_set(err, HF_DENIED,
                          "the -shm of the database is read-only here: it must be writable by "
                          "this user");
    if (rc != SQLITE_OK || shm == NULL)
        return hf_err_set(err, HF_USAGE,
                          "the wal-index cannot be mapped: it must be in shared memory, on a file "
                          "system with working locks (not a network file system)");
    c->shm = shm;
    return HF_OK;
}

/* Run a statement that gives a row at most; whether it did what `expected` says. */
static bool step(sqlite3_stmt *stmt, int expected)
{
    const int stepped = sqlite3_step(stmt);

    (void)sqlite3_reset(stmt);
    return stepped == expected;
}

enum hf_code conn_begin(struct conn *c, struct hf_err *err)
{
    hf_assert(!c->reading && c->mark == 0);
    if (!step(c->begin, SQLITE_DONE))
        return explain(err, c, "begin a read transaction");
    c->reading = true;
    if (!step(c->touch, SQLITE_ROW)) {
        const enum hf_code rc = explain(err, c, "begin a read transaction");

        conn_end(c);
        return rc;
    }
    if (c->shm == NULL) {
        const enum hf_code rc = map_walindex(c, err);

        if (rc != HF_OK)
            conn_end(c);
        return rc;
    }
    return HF_OK;
}

enum hf_code conn_begin_write(struct conn *c, struct hf_err *err)
{
    hf_assert(!c->reading);
    const int rc = sqlite3_exec(c->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

    if (rc == SQLITE_BUSY)
        return hf_err_set(err, HF_BUSY, "the write lock is taken");
    if (rc != SQLITE_OK)
        return explain(err, c, "begin a write transaction");
    c->reading = true;
    return HF_OK;
}

void conn_end(struct conn *c)
{
    if (c->mark != 0)
        (void)c->file->pMethods->xShmLock(c->file, WALINDEX_LOCK_READ(c->mark), 1,
                                          SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED);
    c->mark = 0;
    if (!c->reading)
        return;
    (void)step(c->rollback, SQLITE_DONE);
    c->reading = false;
}

enum hf_code conn_walindex(struct conn *c, struct walindex *ret, struct hf_err *err)
{
    hf_assert(c->shm != NULL);
    if (!walindex_read(c->shm, ret))
        return hf_err_set(err, HF_BUSY, "the wal-index header is being changed or recovered");
    if (ret->version != WALINDEX_VERSION)
        return hf_err_set(err, HF_USAGE,
                          "the wal-index has version %u; this holdfast knows only %u", ret->version,
                          WALINDEX_VERSION);
    return HF_OK;
}

enum hf_code conn_walindex_recovered(struct conn *c, struct walindex *ret, struct hf_err *err)
{
    enum hf_code rc = conn_walindex(c, ret, err);

    if (rc != HF_BUSY)
        return rc;
    rc = conn_begin(c, err);
    if (rc != HF_OK)
        return rc;
    conn_end(c);
    return conn_walindex(c, ret, err);
}

/*
 * Which lock did a reader get that began between the headers `before` and `after`? With frames that
 * are not backfilled even afterwards it can only be a mark. With everything backfilled before, no
 * commit in between and no checkpointer at work it can only be lock 0: SQLite tries that first and
 * only a checkpointer that is writing pages is in its way (walTryBeginRead). A change counter that
 * went back tells of a recovery, which sets nBackfill to 0. Otherwise: unknown.
 */
static enum conn_hold judge_hold(const struct walindex *before, const struct walindex *after,
                                 bool checkpointer_seen)
{
    if (!wal_position_same_log(&before->end, &after->end) || after->change < before->change)
        return CONN_HOLD_NONE;
    if (after->backfill < before->end.frame)
        return CONN_HOLD_MARK;
    if (!walindex_same(before, after) || before->backfill != before->end.frame)
        return CONN_HOLD_NONE;
    return checkpointer_seen ? CONN_HOLD_EITHER : CONN_HOLD_ZERO;
}

enum hf_code conn_begin_known(struct conn *c, struct conn *ckpt, enum conn_hold *ret_hold,
                              struct walindex *ret_index, struct hf_err *err)
{
    for (int i = 0; i < TRIES_MAX; i++) {
        struct walindex before;
        struct walindex after;
        bool checkpointer_seen = true;
        enum hf_code rc = conn_walindex_recovered(c, &before, err);

        if (rc != HF_OK)
            return rc;
        if (ckpt != NULL && before.backfill == before.end.frame)
            checkpointer_seen = conn_checkpoint(ckpt, err) != HF_OK;
        rc = conn_begin(c, err);
        if (rc != HF_OK)
            return rc;
        rc = conn_walindex(c, &after, err);
        if (rc == HF_OK) {
            *ret_hold = judge_hold(&before, &after, checkpointer_seen);
            *ret_index = after;
            if (*ret_hold != CONN_HOLD_NONE)
                return HF_OK;
        }
        conn_end(c);
    }
    return hf_err_set(err, HF_BUSY, "the database changes too fast to see which lock a reader got");
}

static bool shm_lock(struct conn *c, int lock, int flags)
{
    return c->file->pMethods->xShmLock(c->file, lock, 1, flags) == SQLITE_OK;
}

/* As walTryBeginRead() does: the mark is moved under its exclusive lock, and may be moved by
 * another before it is locked for reading. */
static bool hold_mark(struct conn *c, int mark, uint32_t frame)
{
    const int lock = WALINDEX_LOCK_READ(mark);

    if (!shm_lock(c, lock, SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE))
        return false;
    walindex_set_mark(c->shm, mark, frame);
    (void)shm_lock(c, lock, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
    if (!shm_lock(c, lock, SQLITE_SHM_LOCK | SQLITE_SHM_SHARED))
        return false;
    if (walindex_mark(c->shm, mark) == frame)
        return true;
    (void)shm_lock(c, lock, SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED);
    return false;
}

enum hf_code conn_hold_mark(struct conn *c, const struct walindex *index, struct hf_err *err)
{
    hf_assert(!c->reading && c->mark == 0 && c->shm != NULL);
    for (int mark = WALINDEX_MARKS; mark > 0; mark--) {
        if (hold_mark(c, mark, index->end.frame)) {
            c->mark = mark;
            return HF_OK;
        }
    }
    return hf_err_set(err, HF_BUSY, "all marks are in use");
}

bool conn_checkpointer_seen(struct conn *c)
{
    if (!shm_lock(c, WALINDEX_LOCK_CKPT, SQLITE_SHM_LOCK | SQLITE_SHM_SHARED))
        return true;
    (void)shm_lock(c, WALINDEX_LOCK_CKPT, SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED);
    return false;
}

enum hf_code conn_checkpoint(struct conn *c, struct hf_err *err)
{
    const int rc = sqlite3_wal_checkpoint_v2(c->db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);

    if (rc == SQLITE_OK)
        return HF_OK;
    if (rc == SQLITE_BUSY)
        return hf_err_set(err, HF_BUSY, "another connection is at a checkpoint");
    return explain(err, c, "checkpoint");
}

enum hf_code conn_read_pages(struct conn *c, uint32_t page_bytes, uint32_t pgno, uint32_t count,
                             uint8_t *dst, struct hf_err *err)
{
    const int rc = c->file->pMethods->xRead(c->file, dst, (int)(count * page_bytes),
                                            (sqlite3_int64)(pgno - 1) * page_bytes);

    /* SQLite fills what is behind the end with zeros, and so will its readers see it. */
    if (rc == SQLITE_OK || rc == SQLITE_IOERR_SHORT_READ)
        return HF_OK;
    if (count == 1)
        return hf_err_set(err, HF_IO,
                          "page %u cannot be read from the database file (SQLite result %d)", pgno,
                          rc);
    for (uint32_t i = 0; i < count; i++) { /* which one is it? */
        const enum hf_code one =
            conn_read_pages(c, page_bytes, pgno + i, 1, dst + (size_t)i * page_bytes, err);

        if (one != HF_OK)
            return one;
    }
    return HF_OK;
}

enum hf_code conn_pragma(struct conn *c, const char *sql, uint32_t *ret, struct hf_err *err)
{
    sqlite3_stmt *stmt = NULL;
    enum hf_code rc = HF_OK;

    if (sqlite3_prepare_v2(c->db, sql, -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW)
        rc = explain(err, c, sql);
    else
        *ret = (uint32_t)sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt);
    return rc;
}

enum hf_code conn_file_pages(struct conn *c, uint32_t page_bytes, uint64_t *ret, struct hf_err *err)
{
    sqlite3_int64 bytes = 0;

    if (c->file->pMethods->xFileSize(c->file, &bytes) != SQLITE_OK)
        return hf_err_set(err, HF_IO, "the size of the database file cannot be read");
    *ret = (uint64_t)bytes / page_bytes;
    return HF_OK;
}

enum hf_code conn_check_size(struct conn *c, uint32_t page_bytes, uint32_t pages_count,
                             struct hf_err *err)
{
    uint64_t found = 0;
    const enum hf_code rc = conn_file_pages(c, page_bytes, &found, err);

    if (rc == HF_OK && found < pages_count)
        return hf_err_set(err, HF_DAMAGE,
                          "the database file has %" PRIu64
                          " pages of %u bytes, and %u belong "
                          "to the database: it was cut off. Restore it before archiving it",
                          found, page_bytes, pages_count);
    return rc;
}

bool conn_has_moved(struct conn *c)
{
    int moved = 0;

    return sqlite3_file_control(c->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK ||
           moved != 0;
}
