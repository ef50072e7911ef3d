/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain.h - segments in order on a replica: what rebuild and verify share.
 */
#ifndef HF_REBUILDER_CHAIN_H
#define HF_REBUILDER_CHAIN_H

#include "rebuilder/fetch.h"

/* Told what each segment's header says, before the segment is applied; it has been read anyway.
 * Anything but HF_OK ends the chain. */
typedef enum hf_code hf_met_fn(void *ctx, const struct hf_seg_info *info, struct hf_err *err);

struct hf_chain {
    const struct hf_engine *engine;
    const struct hf_archive *archive; /* borrowed, as all here */
    struct hf_pool *pool;
    struct hf_meter *meter;
    hf_stop_flag *stop; /* or NULL */
    hf_met_fn *met;     /* or NULL */
    void *met_ctx;
    /* out */
    size_t applied; /* segments that were applied; after a failure also the index of the culprit */
    bool names_lie; /* the failure: the culprit's header tells other TXIDs than its key */
};

/* Called after each segment, with the state it led to. Anything but HF_OK ends the chain. */
typedef enum hf_code hf_chain_fn(void *ctx, size_t index, const struct hf_state *state,
                                 struct hf_err *err);

/*
 * The replica stands at the end of refs[refs_count - 1], and each segment's header agreed with its
 * key. `fn` may be NULL. The replica is not finished.
 * HF_DAMAGE    refs[c->applied] is damaged, lies, or does not follow on the one before.
 * HF_HOLE      refs[c->applied] was listed and is gone.
 * HF_CANCELED  stopped.
 * any other    the store's, the file system's, or `fn`'s. After any failure the replica can only be
 *              freed.
 */
enum hf_code hf_chain_apply(struct hf_chain *c, struct hf_replica *r,
                            const struct hf_segment_ref *refs, size_t refs_count, hf_chain_fn *fn,
                            void *ctx, struct hf_err *err) HF_MUST_CHECK;

/*
 * The segment's header agrees with its key, and all its checksums hold; what stood before it, and
 * so its root, is not looked at. For one that nothing leads to. Codes as hf_chain_apply().
 */
enum hf_code hf_chain_check_alone(struct hf_chain *c, const struct hf_segment_ref *ref,
                                  struct hf_err *err) HF_MUST_CHECK;

#endif
