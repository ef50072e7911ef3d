/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn.h - a connection to a live database that disturbs nobody.
 *
 * It never writes to the database except by a PASSIVE checkpoint, never closes with a checkpoint,
 * and keeps synchronous=FULL, so that a checkpoint of ours is as durable as any. One thread at a
 * time, but for conn_read_pages().
 */
#ifndef HF_ENGINE_SQLITE_CONN_H
#define HF_ENGINE_SQLITE_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

#include "base/err.h"
#include "engine/sqlite/walindex.h"

struct conn {
    sqlite3 *db; /* NULL: not open */
    sqlite3_stmt *begin;
    sqlite3_stmt *touch;
    sqlite3_stmt *rollback;
    sqlite3_file *file; /* the database file, as SQLite opened it */
    volatile void *shm; /* the wal-index; NULL before the first conn_begin() */
    bool reading;       /* in a read transaction */
    int mark;           /* held without one; 0: none */
};

/* How the reader that a connection holds stands in the way of others. */
enum conn_hold {
    CONN_HOLD_NONE,
    CONN_HOLD_MARK, /* read lock 1..4: the WAL cannot restart */
    CONN_HOLD_ZERO, /* read lock 0: nothing can be backfilled */
    /* Everything was backfilled, and another connection is at a checkpoint: lock 0, or a mark at
     * the end of the log. What holds for lock 0 has to be kept, but somebody may wait for the mark.
     */
    CONN_HOLD_EITHER,
};

/*
 * Open without creating. HF_NOT_FOUND; HF_DENIED; HF_BUSY: an application holds it exclusively;
 * HF_USAGE: not a SQLite database, empty, or not in WAL mode; HF_DAMAGE: cut off. The message says
 * what to do. A -wal beside a file of 0 bytes is left alone.
 */
enum hf_code conn_open(const char *db_path, struct conn *ret, struct hf_err *err) HF_MUST_CHECK;
void conn_close(struct conn *c);

/* Switch the database to WAL mode, durably. HF_BUSY: somebody uses it; codes as conn_open(). */
enum hf_code conn_set_wal_mode(const char *db_path, struct hf_err *err) HF_MUST_CHECK;

/* Begin a read transaction, as it stands now. */
enum hf_code conn_begin(struct conn *c, struct hf_err *err) HF_MUST_CHECK;
/* End it, if there is one. */
void conn_end(struct conn *c);

/* Begin a write transaction, at once or not at all (HF_BUSY). conn_end() ends it, with no change.
 */
enum hf_code conn_begin_write(struct conn *c, struct hf_err *err) HF_MUST_CHECK;

/* A consistent wal-index header; HF_BUSY if none could be had (being written, or recovered). */
enum hf_code conn_walindex(struct conn *c, struct walindex *ret, struct hf_err *err) HF_MUST_CHECK;

/* The same through a connection that is in no transaction: a header that was left torn is
 * recovered, as SQLite does for whoever reads. HF_BUSY: it is being written, or recovered. */
enum hf_code conn_walindex_recovered(struct conn *c, struct walindex *ret,
                                     struct hf_err *err) HF_MUST_CHECK;

/*
 * Begin a read transaction of which the kind of hold is known, and the wal-index header that was in
 * force after it began; for lock 0 and for either, that header is the reader's own. `ckpt` (may be
 * NULL: then lock 0 is never certain) runs the PASSIVE checkpoint that proves that nobody was
 * inside one. It must not be the only one of our connections that is there: with nothing held, that
 * checkpoint could itself be one with an old header (C1).
 * HF_BUSY  it could not be known within a few tries; no transaction is open.
 */
enum hf_code conn_begin_known(struct conn *c, struct conn *ckpt, enum conn_hold *ret_hold,
                              struct walindex *ret_index, struct hf_err *err) HF_MUST_CHECK;

/*
 * Hold a mark at `index` as a reader does, but without a transaction, and another one than those in
 * use (ADR 0005). Only while another connection of ours holds a mark there. conn_end() ends it; in
 * between nothing may begin, and pages may be read. HF_BUSY: all marks are in use.
 */
enum hf_code conn_hold_mark(struct conn *c, const struct walindex *index,
                            struct hf_err *err) HF_MUST_CHECK;

/* Whether another connection is at a checkpoint, or waits in one. The look takes the checkpoint
 * lock for a moment; like a PASSIVE one of ours, it can turn away a checkpoint that begins just
 * then. */
bool conn_checkpointer_seen(struct conn *c);

/* A PASSIVE checkpoint. HF_BUSY: another connection is at one. */
enum hf_code conn_checkpoint(struct conn *c, struct hf_err *err) HF_MUST_CHECK;

/* Pages pgno .. pgno + count - 1 of the database file as they are there, without the WAL; zeros
 * behind the end of the file. HF_IO: one is unreadable. Any thread while the connection is open. */
enum hf_code conn_read_pages(struct conn *c, uint32_t page_bytes, uint32_t pgno, uint32_t count,
                             uint8_t *dst, struct hf_err *err) HF_MUST_CHECK;

/* A number that a pragma without arguments tells, such as "PRAGMA page_size". */
enum hf_code conn_pragma(struct conn *c, const char *sql, uint32_t *ret,
                         struct hf_err *err) HF_MUST_CHECK;

/* Whole pages in the database file. */
enum hf_code conn_file_pages(struct conn *c, uint32_t page_bytes, uint64_t *ret,
                             struct hf_err *err) HF_MUST_CHECK;

/* HF_DAMAGE: the database file is shorter than `pages_count` pages. Only where everything that was
 * committed has been backfilled. */
enum hf_code conn_check_size(struct conn *c, uint32_t page_bytes, uint32_t pages_count,
                             struct hf_err *err) HF_MUST_CHECK;

/* The file was renamed, replaced or deleted since it was opened. */
bool conn_has_moved(struct conn *c);

#endif
