/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rebuilder.h - from an archive to a reference replica, by the archive's bytes alone.
 *
 * The one path that restore, scrub and verify share. It needs to read the store and nothing else:
 * no database, no owner, no state of an archiver. Invariants: rebuilder/DESIGN.md.
 */
#ifndef HF_REBUILDER_REBUILDER_H
#define HF_REBUILDER_REBUILDER_H

#include "archive/plan.h"
#include "engine/engine.h"
#include "rebuilder/chain.h"

/* Told of the plan before anything is made; anything but HF_OK ends the rebuild with that code. */
typedef enum hf_code hf_plan_fn(void *ctx, const struct hf_plan *plan, struct hf_err *err);

struct hf_rebuild_options {
    const struct hf_engine *engine;
    const struct hf_archive *archive; /* borrowed, as all here */
    struct hf_fs *fs;
    struct hf_pool *pool;
    struct hf_target target;
    const char *digest_path; /* a finished replica found there is advanced by new segments only, as
                                far as it lies on the way to the target, which is no time; else it
                                is made anew */
    const char *pages_path;  /* database file to make, or NULL for a digest only */
    mode_t mode;             /* of pages_path */
    struct hf_replica *
        *kept;         /* or NULL. A finished replica that is open at digest_path, as an
                          earlier call returned it: it need not be opened again, which sums
                          the whole digest. If it is used it is taken, and NULL stands there */
    hf_plan_fn *judge; /* or NULL */
    void *judge_ctx;
    hf_met_fn *met; /* or NULL */
    void *met_ctx;
    struct hf_progress *progress; /* bytes of segments, or NULL */
    hf_stop_flag *stop;           /* or NULL */
};

struct hf_rebuild_report {
    struct hf_state state; /* where the replica stands */
    bool after_last;       /* the wanted time is after the last segment's */
    uint64_t wanted_txid;  /* as in struct hf_plan, as the next two */
    struct hf_gap gap;
    struct hf_set_back set_back;
    size_t segments_read;
    uint64_t bytes_read;
    bool proved;    /* judged by roots; false for archives that others wrote */
    bool seed_lost; /* the segments carry roots, and holdfast/format with their seed is gone:
                       judged by checksums alone */
};

/*
 * `*ret` stands at the target and its root is the archive's; it is finished (durable) and the
 * caller frees it. Codes as hf_plan_new(), and
 * HF_USAGE     the archive is of another engine.
 * HF_CONFLICT  pages_path exists; it is left as it is.
 * HF_DAMAGE    a segment is damaged or does not follow on the one before it, or it is one of those
 *              that the wanted time lies between; the message names it.
 * HF_CANCELED  stopped.
 * After any failure pages_path, if it was made, is not to be used; the caller unlinks it. What was
 * kept at digest_path is only a shortcut: if it does not lead to the archive's root (it is another
 * archive's, say), or has none to be judged by, everything is made anew.
 * A segment that retention removed meanwhile makes it plan again, once.
 */
enum hf_code hf_rebuild(const struct hf_rebuild_options *o, struct hf_replica **ret,
                        struct hf_rebuild_report *report, struct hf_err *err) HF_MUST_CHECK;

#endif
