/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.h - what a storage engine must offer, so that the services need not know it.
 *
 * An engine owns the segment codec, the position in its log, capture, rebuild, the names of pages
 * and their comparison. Outside of it a page's name is a number that only the engine can explain,
 * a position is opaque bytes, and a segment is bytes with a struct hf_seg_info.
 * Implementations: sqlite/ and, for tests, tests/lib/engine_mem.c. ADR 0003 maps PostgreSQL.
 */
#ifndef HF_ENGINE_ENGINE_H
#define HF_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/segment.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/io.h"
#include "base/pool.h"
#include "base/stop.h"

/* Told how far a long operation is; any thread, but never concurrently. May be NULL. */
struct hf_progress {
    void (*tell)(struct hf_progress *p, uint64_t done_bytes, uint64_t total_bytes);
};

/* A partition at a TXID. */
struct hf_state {
    uint64_t txid; /* 0: nothing yet */
    int64_t time_ms;
    uint32_t page_bytes;
    uint64_t pages_count;
    bool has_root; /* false only for archives that others wrote */
    struct hf_root root;
};

/* ---- the reference replica: rebuilt from segments alone ---------------------------------- */

struct hf_replica;

struct hf_replica_options {
    struct hf_fs *fs;        /* borrowed, as pool and stop are */
    struct hf_pool *pool;    /* fetches and decodes in parallel */
    uint64_t seed;           /* of the archive's roots */
    bool no_seed;            /* it is lost: segments are judged by what they carry beside roots */
    const char *digest_path; /* file for the digest; names beside it that begin with its name are
                                the engine's. What a finished replica left there is used ... */
    bool anew;               /* ... but not with this: the replica begins at TXID 0 */
    const char *pages_path;  /* database file to build, made anew; NULL keeps a digest only */
    mode_t mode;             /* of pages_path */
    hf_stop_flag *stop;      /* or NULL */
};

struct hf_replica_ops {
    /*
     * The replica has moved from its TXID to the segment's last one, and its root is the one the
     * segment carries.
     * HF_HOLE    the segment begins behind the next TXID; the replica is as before.
     * HF_DAMAGE  the segment is damaged or does not lead to the root it carries. After this and
     *            any other failure the replica can only be freed; a digest file on disk is then
     *            not taken for finished.
     */
    enum hf_code (*apply)(struct hf_replica *r, struct hf_source *segment, struct hf_err *err);
    const struct hf_state *(*state)(const struct hf_replica *r);
    /* Digest and pages are whole and durable, so that a later open can go on from here. */
    enum hf_code (*finish)(struct hf_replica *r, struct hf_err *err);
    void (*free)(struct hf_replica *r);
};

struct hf_replica {
    const struct hf_replica_ops *ops;
};

/*
 * Which TXID has this state? HF_USAGE: none of the archive's.
 */
typedef enum hf_code hf_identify_fn(void *ctx, struct hf_root root, uint64_t pages_count,
                                    uint64_t *ret_txid, int64_t *ret_time_ms, struct hf_err *err);

/* ---- the live side: capture ---------------------------------------------------------------- */

struct hf_live;

/* Where capture puts the segments it makes. One segment at a time, one thread. */
struct hf_taker {
    /* `*ret` takes the segment's bytes, in order; it lives until commit or abort. */
    enum hf_code (*begin)(struct hf_taker *t, const struct hf_seg_info *info, struct hf_sink **ret,
                          struct hf_err *err);
    /* HF_OK: the bytes are safe with the caller, and capture moves on. Otherwise capture stays
     * where it was and makes a segment with the same TXID again. */
    enum hf_code (*commit)(struct hf_taker *t, struct hf_err *err);
    void (*abort)(struct hf_taker *t);
};

#define HF_POSITION_BYTES_MAX 64

/* A place in the log, at the end of a transaction. Compared and explained only by its engine. */
struct hf_position {
    uint8_t bytes[HF_POSITION_BYTES_MAX];
    size_t len;
};

struct hf_live_options {
    struct hf_fs *fs; /* borrowed, as are clock, pool and stop */
    struct hf_clock *clock;
    struct hf_pool *pool;
    const char *db_path;
    const char *state_dir;        /* exists; the engine keeps its digest and positions in it */
    uint64_t seed;                /* of the archive's roots */
    uint64_t epoch;               /* of the owner, written into every segment */
    uint64_t log_bytes_max;       /* past this the log is sealed under the write lock ... */
    bool never_lock;              /* ... but never with this (seal: no-lock) */
    struct hf_progress *progress; /* of snapshots and catch-ups, or NULL */
    hf_stop_flag *stop;           /* or NULL */
};

/* What has to be done before rounds can follow the log. */
enum hf_live_need {
    HF_LIVE_FOLLOW,   /* nothing: the log continues where capture ended */
    HF_LIVE_SNAPSHOT, /* no state: the first segment must hold everything */
    HF_LIVE_CATCH_UP, /* the log does not prove continuity: compare every page */
};

struct hf_round {
    /* in */
    bool cut;                        /* a segment may be made now */
    const struct hf_position *until; /* end a segment exactly here if it lies ahead; or NULL */
    /* out */
    unsigned segments_count; /* made in this round */
    bool looked;             /* the log was looked at: `until` has been ended at, or lies behind */
    bool current;            /* everything committed before this round is captured */
    bool resting;            /* and nothing is held that anybody could wait for */
    bool waited_for;         /* an application waits for whoever holds the log */
    uint64_t log_bytes;      /* of the log now */
    int64_t wait_ms;         /* call again after this, or at a change of the files if resting */
};

struct hf_live_ops {
    /* The captured state; txid 0 before the snapshot. */
    const struct hf_state *(*state)(const struct hf_live *l);
    /* Forget the local state: txid 0 again. Nothing in the archive or the database changes. */
    enum hf_code (*reset)(struct hf_live *l, struct hf_err *err);
    /* The state has moved over a segment that is in the archive but not in the local state; codes
     * as for hf_replica_ops.apply. A failure may cost the state (txid 0). Only before attach. */
    enum hf_code (*adopt)(struct hf_live *l, struct hf_source *segment, struct hf_err *err);
    /*
     * Hold the log so that nothing after this point can escape, and say what is needed.
     * `ret_lost` (never NULL) is set if the live database no longer has commits that were
     * captured (a power cut with synchronous=NORMAL): damage to report, then catch up.
     * HF_USAGE  the file is not a database this engine can follow; the message says why.
     */
    enum hf_code (*attach)(struct hf_live *l, enum hf_live_need *ret_need, bool *ret_lost,
                           struct hf_err *err);
    /*
     * The state is TXID 1: an image of the database as it is now, which stays readable until
     * give_snapshot has given it. Rounds may follow at once; while the image is held the log grows.
     * A failure leaves TXID 0.
     */
    enum hf_code (*snapshot)(struct hf_live *l, struct hf_err *err);
    /*
     * TXID 1 has been given to the taker, and the image is let go of. May run on another thread,
     * beside everything but detach, reset and free. After a failure it may be called again, until
     * detach; HF_CANCELED: `*stop` (may be NULL) was set.
     */
    enum hf_code (*give_snapshot)(struct hf_live *l, struct hf_taker *t, hf_stop_flag *stop,
                                  struct hf_err *err);
    /* What differs from the state has been given as one segment marked as a catch-up; nothing is
     * given, and `*ret_made` is false, if nothing differs. */
    enum hf_code (*catch_up)(struct hf_live *l, struct hf_taker *t, bool *ret_made,
                             struct hf_err *err);
    /*
     * One round of the capture protocol. Holds nobody up for longer than a hand-over.
     * HF_CONFLICT  continuity broke (file replaced, log lost): rounds are refused until detach,
     *              attach and a catch-up. Nothing captured is lost.
     * any other    the round had no effect; call again.
     */
    enum hf_code (*round)(struct hf_live *l, struct hf_round *round, struct hf_taker *t,
                          struct hf_err *err);
    /* The last TXID whose segment ended exactly at `p`. HF_NOT_FOUND: none is known. */
    enum hf_code (*find)(struct hf_live *l, const struct hf_position *p, uint64_t *ret_txid,
                         struct hf_err *err);
    /* The state as of a recent TXID, as it was captured or adopted; false if it is no longer known,
     * and then nothing is written. */
    bool (*recall)(const struct hf_live *l, uint64_t txid, struct hf_state *ret);
    /* Give up all holds, and a snapshot's image; the database, its log and their owner and mode are
     * left as they are. */
    void (*detach)(struct hf_live *l);
    void (*free)(struct hf_live *l);
};

struct hf_live {
    const struct hf_live_ops *ops;
};

/* What a new archive must record about a database. */
struct hf_live_probe {
    uint32_t page_bytes;
    const char *warning; /* static text: what the user should know about this database; or NULL */
};

/* ---- the scan: live pages against a replica ------------------------------------------------ */

struct hf_scan;

enum hf_page_state {
    HF_PAGE_DIFFERS,    /* a readable page with other bytes than the replica's */
    HF_PAGE_UNREADABLE, /* the device or file gave no bytes */
    HF_PAGE_ZEROED,     /* all bytes zero where the replica has content */
    HF_PAGE_COPIES,     /* log and file disagree about a page that is in both */
    HF_PAGE_MISSING,    /* the replica has it, and the live database ends before it */
};

struct hf_page_diff {
    uint64_t page;
    enum hf_page_state state;
    struct hf_root live_hash; /* of the bytes met; zero if unreadable */
};

struct hf_scan_counts {
    uint64_t equal;
    uint64_t parked; /* newer than the replica: not compared */
    uint64_t unused; /* free pages, whose bytes mean nothing */
    uint64_t differ;
    uint64_t bytes_read;
};

typedef enum hf_code hf_page_diff_fn(void *ctx, const struct hf_page_diff *diff,
                                     struct hf_err *err);

struct hf_scan_options {
    struct hf_fs *fs;
    struct hf_clock *clock;
    const char *db_path;
    uint64_t seed;
    uint64_t bytes_per_s_max; /* 0: no limit */
    hf_stop_flag *stop;
};

struct hf_scan_ops {
    /* The database is held at `*ret`, for at most one slice. */
    enum hf_code (*pin)(struct hf_scan *s, struct hf_position *ret, struct hf_err *err);
    void (*unpin)(struct hf_scan *s);
    /*
     * Compare live pages from `from_page` on with the replica, for at most ms_max; `*ret_next` is
     * the page to go on with, 0 at the end. `replica_end` is where in the log the replica ends;
     * pages that the log changed after it are parked. NULL: exactly where the scan is pinned.
     * HF_UNSUPPORTED  the log does not tell what came after the replica, as it ends in another
     *                 generation of the log, say: nothing was compared.
     */
    enum hf_code (*slice)(struct hf_scan *s, struct hf_replica *r,
                          const struct hf_position *replica_end, uint64_t from_page, int64_t ms_max,
                          hf_page_diff_fn *fn, void *ctx, struct hf_scan_counts *counts,
                          uint64_t *ret_next, struct hf_err *err);
    /* Whether bytes were read from the device, past the page cache; if not, why (static text). */
    bool (*reads_device)(const struct hf_scan *s, const char **ret_why);
    void (*free)(struct hf_scan *s);
};

struct hf_scan {
    const struct hf_scan_ops *ops;
};

/* What a page belongs to, in words: "b-tree 5, table orders". */
#define HF_PAGE_TEXT_MAX 256

/* ---- the engine ---------------------------------------------------------------------------- */

struct hf_engine {
    const char *name; /* stored in holdfast/format */
    const struct hf_segment_codec *codec;

    enum hf_code (*replica_open)(const struct hf_replica_options *o, struct hf_replica **ret,
                                 struct hf_err *err);
    /*
     * A replica whose digest is that of the database file `pages`, which a rebuild made, at the
     * TXID that `identify` tells from its root. o->pages_path is not used. HF_USAGE: not a whole
     * number of pages, or what `identify` said.
     */
    enum hf_code (*replica_import)(const struct hf_replica_options *o, const char *pages,
                                   uint32_t page_bytes, hf_identify_fn *identify, void *ctx,
                                   struct hf_replica **ret, struct hf_err *err);
    /* HF_USAGE with the reason: not a database, or one that cannot be followed as it is. */
    enum hf_code (*live_probe)(const char *db_path, struct hf_live_probe *ret, struct hf_err *err);
    /* Switch the database to the mode that capture needs (SQLite: WAL), as asked by --set-wal. */
    enum hf_code (*live_prepare)(const char *db_path, struct hf_err *err);
    enum hf_code (*live_open)(const struct hf_live_options *o, struct hf_live **ret,
                              struct hf_err *err);
    enum hf_code (*scan_open)(const struct hf_scan_options *o, struct hf_scan **ret,
                              struct hf_err *err);
    /* Every byte of the segment is what its writer meant (all checksums hold). HF_DAMAGE otherwise.
     */
    enum hf_code (*segment_check)(struct hf_source *segment, struct hf_pool *pool,
                                  struct hf_err *err);
    /* The page's image hash in one segment; HF_NOT_FOUND if the segment does not carry it. */
    enum hf_code (*segment_page)(struct hf_source *segment, uint64_t seed, uint64_t page,
                                 struct hf_root *ret_hash, struct hf_err *err);
    /* The position at which a segment that was captured from the log ended, as its header tells;
     * HF_NOT_FOUND for snapshots, catch-ups and compacted segments. */
    enum hf_code (*segment_end)(struct hf_slice header, struct hf_position *ret,
                                struct hf_err *err);
    /* Describe what a page belongs to, by the database at db_path (opened read-only). */
    enum hf_code (*describe)(const char *db_path, uint64_t page, char ret[HF_PAGE_TEXT_MAX],
                             struct hf_err *err);
};

/* SQLite databases in WAL mode, as LTX segments. */
const struct hf_engine *hf_engine_sqlite(void);

#endif
