/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apply.h - one segment on top of a digest, and of a database file if there is one: the step that
 * rebuild, restore, scrub and an archiver that takes up its own past all share.
 */
#ifndef HF_ENGINE_SQLITE_APPLY_H
#define HF_ENGINE_SQLITE_APPLY_H

#include "engine/engine.h"
#include "engine/sqlite/digest.h"

struct apply {
    struct digest *digest;   /* borrowed, as all here; in a bulk rewrite (digest_bulk_begin) */
    struct digest_mark mark; /* what the digest stands for; moves on */
    struct hf_file *pages;   /* or NULL: write each page at its place */
    uint64_t seed;
    bool no_seed; /* roots cannot be judged, and the mark has none */
    struct hf_pool *pool;
    hf_stop_flag *stop; /* or NULL */
    bool begun;         /* out: digest and pages may have been changed by the last call */
};

/*
 * `a->mark` has moved to the segment's last TXID, and root and checksum are those it carries.
 * mark.from_log is set if the segment tells where in the WAL it ended; the checksum of that frame
 * is not among what it tells and is left 0.
 * HF_HOLE    it begins behind the next TXID, and nothing was changed (a->begun is false); or what
 *            the source says when an object is gone.
 * HF_DAMAGE  it is damaged, does not follow on the state, or does not lead to its root.
 * HF_USAGE   it ends at or before the mark: whoever planned this made a mistake.
 * After any failure with a->begun the digest can only be freed or reset. Memory: that of
 * hf_ltx_decode(), and 12 KiB of each thread's stack.
 */
enum hf_code apply_segment(struct apply *a, struct hf_source *segment,
                           struct hf_err *err) HF_MUST_CHECK;

#endif
