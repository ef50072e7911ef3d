/* SPDX-License-Identifier: Apache-2.0 */
/*
 * archiver.h - live log → segments → store, for any number of partitions in one process.
 *
 * "Archived" is said only of segments that the store has confirmed. Capture never waits for the
 * store. Invariants: archiver/DESIGN.md.
 */
#ifndef HF_ARCHIVER_ARCHIVER_H
#define HF_ARCHIVER_ARCHIVER_H

#include "archive/archive.h"
#include "base/rand.h"
#include "engine/engine.h"

struct hf_archiver;

struct hf_archiver_env {
    struct hf_fs *fs; /* all borrowed */
    struct hf_clock *clock;
    struct hf_rand *rand;
    struct hf_pool *pool;
    hf_stop_flag *stop;
    hf_stop_flag *cut; /* set by the archiver to end what still waits for the stores: after a stop,
                          when nobody has anything left to bring there, or after 10 s without
                          progress. The flag that the targets' stores were opened with; or NULL */
};

struct hf_archiver_target {
    const struct hf_engine *engine;
    const char *name; /* for logs: partition name, or database path */
    const char *db_path;
    struct hf_store *store; /* borrowed */
    const char *prefix;     /* of the archive in the store; "" for the store's own root */
    const char *table;      /* and partition, by which it is listed among a table's members; both */
    const char *partition;  /* NULL for a database that is no table's */
    const char *url;        /* store URL ‖ prefix, without secrets: names the local state */
    const char *state_root; /* folder for local state, or NULL: beside the database */
    int64_t capture_ms;     /* at most one segment in this time; 1000 by default */
    bool never_lock;        /* seal: no-lock */
    bool never_catch_up;    /* what the log does not prove is not archived: HF_CONFLICT (for a
                               scrub, which must not archive what it is to judge) */
    uint64_t log_bytes_max; /* 0: 64 MiB */
    struct hf_progress *progress; /* of the first snapshot or a catch-up; or NULL */
};

/* Where a partition stands; copied out, any thread. */
struct hf_archiver_status {
    uint64_t captured_txid;
    uint64_t archived_txid; /* confirmed by the store */
    int64_t archived_ms;    /* that TXID's time */
    uint64_t log_bytes;
    uint64_t spool_bytes;
    uint64_t uploaded_bytes; /* by this process */
    bool caught_up;          /* all commits seen are captured and archived */
    bool resting;
    unsigned
        breaks_count;     /* how often continuity broke while it was followed: replaced, log lost */
    enum hf_code failure; /* what the partition stopped with; HF_OK while it runs */
    char failure_text[HF_ERR_TEXT_MAX];
};

/* Nothing is started yet. */
struct hf_archiver *hf_archiver_new(const struct hf_archiver_env *env);
/* Add a partition before hf_archiver_run(); everything is copied but what is said to be borrowed.
 */
void hf_archiver_add(struct hf_archiver *a, const struct hf_archiver_target *target);

/*
 * Follow all partitions until `stop`, or with `once` until each one's commits of the moment it was
 * attached are archived. Leaves the databases and their logs as they are.
 * HF_OK        stopped as asked; everything captured is archived.
 * HF_FENCED    a newer archiver owns an archive.
 * HF_HOLE      stopped without knowing that the last commits before the stop are archived.
 * HF_DAMAGE    a live database had lost commits that were archived, or it or its log was replaced
 *              while it was followed; it was caught up with.
 * any other    the first partition's failure; the others went on until stop or once ended.
 */
enum hf_code hf_archiver_run(struct hf_archiver *a, bool once, struct hf_err *err) HF_MUST_CHECK;

/* How many partitions were added. */
size_t hf_archiver_count(const struct hf_archiver *a);
/* Where partition `index` stands now. */
void hf_archiver_status(struct hf_archiver *a, size_t index, struct hf_archiver_status *ret);
void hf_archiver_free(struct hf_archiver *a); /* NULL is allowed */

/* The folder of local state for `db_path` archived to `url`; the caller frees. */
char *hf_archiver_state_dir(const char *db_path, const char *url, const char *state_root);

/*
 * The archive may be claimed from `state_dir` without ending an archiver that may be at work:
 * nobody owns it, its owner was a process over this very folder, or has not been seen for longer
 * than a live one would. (Whether a process is at work over this folder is not looked at: its lock
 * tells.) HF_USAGE  another's claim is fresh; the message has host, process and time. any other of
 * reading the owner object.
 */
enum hf_code hf_archiver_check_claim(struct hf_fs *fs, struct hf_clock *clock,
                                     const struct hf_archive *a, const char *state_dir,
                                     struct hf_err *err) HF_MUST_CHECK;

/*
 * Ask the archiver that runs over `state_dir` for a TXID that ends exactly at `p` and is archived.
 * HF_NOT_FOUND  the position was passed in the middle of a segment, or an application waits for
 *               whoever holds the log: let go of it, and ask again for where it then is.
 * HF_BUSY       no archiver runs there, or it did not answer in time.
 */
enum hf_code hf_archiver_ask_boundary(const char *state_dir, const struct hf_position *p,
                                      uint64_t *ret_txid, struct hf_err *err) HF_MUST_CHECK;

#endif
