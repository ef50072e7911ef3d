/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify.h - the archive against itself: every object is read, and those of every restorable chain
 * are proved.
 */
#ifndef HF_SCRUBBER_VERIFY_H
#define HF_SCRUBBER_VERIFY_H

#include "archive/listing.h"
#include "engine/engine.h"

struct hf_verify_options {
    const struct hf_engine *engine;
    const struct hf_archive *archive; /* borrowed, as all here */
    struct hf_fs *fs;
    struct hf_pool *pool;
    const char *work_dir; /* for the digest; emptied afterwards */
    struct hf_progress *progress;
    hf_stop_flag *stop;
};

enum hf_verify_kind {
    HF_VERIFY_HOLE,    /* TXIDs from..to are missing */
    HF_VERIFY_DAMAGE,  /* the object does not hold what it should */
    HF_VERIFY_FOREIGN, /* something lies where it breaks other readers, or a key lies about TXIDs */
};

struct hf_verify_finding {
    enum hf_verify_kind kind;
    uint64_t from_txid;
    uint64_t to_txid;
    const char *key;  /* or "" */
    const char *text; /* what was met and what was expected */
};

typedef void hf_verify_fn(void *ctx, const struct hf_verify_finding *finding);

struct hf_verify_report {
    uint64_t objects_read;
    uint64_t bytes_read;
    uint64_t findings_count;
    uint64_t first_txid; /* of the span proved last */
    uint64_t last_txid;
    bool proved_by_roots; /* false where segments of others have none: the proof is weaker */
    bool seed_lost;       /* a finding: segments carry roots, and holdfast/format is gone */
};

/*
 * HF_OK: read to the end; report->findings_count says what was found. HF_NOT_FOUND: no archive.
 * A damaged object does not end it: what can still be proved is.
 */
enum hf_code hf_verify(const struct hf_verify_options *o, hf_verify_fn *fn, void *ctx,
                       struct hf_verify_report *report, struct hf_err *err) HF_MUST_CHECK;

#endif
