/* SPDX-License-Identifier: Apache-2.0 */
/*
 * digest.h - the hashes of every page of a database at a TXID, in a file, and how they move on.
 *
 * A digest is an array of entries, page 1 first, kept in `<path>`; `<path>.journal` says which
 * TXID it stands for and holds what was changed since the array was last synced. It is worked
 * through in windows and never held whole in memory. One thread.
 *
 * It survives kill -9 at any moment. After a power cut it may be found invalid, and then it counts
 * as empty: a digest can be lost without loss.
 */
#ifndef HF_ENGINE_SQLITE_DIGEST_H
#define HF_ENGINE_SQLITE_DIGEST_H

#include "base/fs.h"
#include "base/hash.h"
#include "engine/sqlite/position.h"

struct digest;

#define DIGEST_JOURNAL_MAX                                                                         \
    (16U << 20) /* bytes: 466,033 changes in one go, 1.8 GiB of 4 KiB pages */

/* What is kept of one page. All zero for the lock page, which holds nothing. */
struct digest_entry {
    struct hf_root hash; /* XXH3-128 of page number and page, under the archive's seed */
    uint64_t sum;        /* the page's LTX checksum */
};

/* One change of a commit; an array of them is sorted by pgno. */
struct digest_change {
    uint32_t pgno;
    struct digest_entry entry;
};

/* What a digest stands for. */
struct digest_mark {
    uint64_t txid; /* 0: empty */
    int64_t time_ms;
    uint32_t page_bytes;
    uint32_t pages_count;
    struct hf_root root; /* the sum of all hashes */
    uint64_t sum;        /* the LTX database checksum */
    bool has_root;       /* false if any segment on the way had none */
    bool from_log;       /* `wal` is where in the log this state ends; else it is unknown */
    bool settled;        /* then all of that log had been copied into the database file */
    struct wal_position wal;
    uint64_t db_inode;
    uint64_t wal_inode;
};

/*
 * Open the digest at `path`, or an empty one if there is none or it is not valid (`*ret_why` then
 * says what was found, static text, NULL if nothing was there).
 */
enum hf_code digest_open(struct hf_fs *fs, const char *path, struct digest **ret,
                         const char **ret_why, struct hf_err *err) HF_MUST_CHECK;
void digest_free(struct digest *d); /* NULL is allowed */

/* What it stands for now; lives as the digest does. */
const struct digest_mark *digest_mark(const struct digest *d);

/* The entries of pages first .. first+n-1; those behind the end are zero. */
enum hf_code digest_read(struct digest *d, uint32_t first_pgno, size_t n, struct digest_entry *ret,
                         struct hf_err *err) HF_MUST_CHECK;

/*
 * The mark that follows when `n` changes are applied and the size becomes mark->pages_count: fills
 * root and sum of `mark`, whose other fields the caller has set. Nothing is changed.
 */
enum hf_code digest_next(struct digest *d, const struct digest_change *changes, size_t n,
                         struct digest_mark *mark, struct hf_err *err) HF_MUST_CHECK;

/*
 * Move on to `mark`, as digest_next() computed it. After a failure only the same call may follow,
 * until it succeeds, or digest_reset() or digest_free(); on disk it is then as before or moved on,
 * or empty if the change is too large for the journal.
 */
enum hf_code digest_commit(struct digest *d, const struct digest_change *changes, size_t n,
                           const struct digest_mark *mark, struct hf_err *err) HF_MUST_CHECK;

/* Record that the position in the log is another one, with the same state. */
enum hf_code digest_reposition(struct digest *d, const struct digest_mark *mark,
                               struct hf_err *err) HF_MUST_CHECK;

/*
 * A rewrite too large for the journal: between begin and end the digest on disk counts as empty,
 * and only these calls and digest_read() are allowed. digest_bulk_put() may be called from several
 * threads for different pages. digest_bulk_resize() drops the entries behind the new end, and
 * digest_bulk_sums() tells root and sum so far, without the lock page, as after a commit.
 */
enum hf_code digest_bulk_begin(struct digest *d, struct hf_err *err) HF_MUST_CHECK;
enum hf_code digest_bulk_put(struct digest *d, uint32_t first_pgno, size_t n,
                             const struct digest_entry *entries, struct hf_err *err) HF_MUST_CHECK;
enum hf_code digest_bulk_resize(struct digest *d, uint32_t pages_count,
                                struct hf_err *err) HF_MUST_CHECK;
void digest_bulk_sums(struct digest *d, struct hf_root *ret_root, uint64_t *ret_sum);
/* The digest stands for `mark`, whose root and sum must be those of digest_bulk_sums(). */
enum hf_code digest_bulk_end(struct digest *d, const struct digest_mark *mark,
                             struct hf_err *err) HF_MUST_CHECK;

/* Empty it. After a failure it is empty here, and on disk as before or empty. */
enum hf_code digest_reset(struct digest *d, struct hf_err *err) HF_MUST_CHECK;

/* Array and journal are durable. */
enum hf_code digest_sync(struct digest *d, struct hf_err *err) HF_MUST_CHECK;

/* The newest TXID among the last ones whose state ended at `p`; 0 if none is known. */
uint64_t digest_find(const struct digest *d, const struct wal_position *p);
/* What it stood for at a recent TXID, until the next change; NULL if it is no longer known. */
const struct digest_mark *digest_recall(const struct digest *d, uint64_t txid);

#endif
