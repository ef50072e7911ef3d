/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h - which segments lead to a moment, and whether any are missing.
 *
 * A plan is made from names; headers are read only to find a time and to learn what the target is.
 * Requests grow with the logarithm of the archive's age, and with what compaction has not reached.
 * Never an object's HEAD, and never an older database in place of an error.
 */
#ifndef HF_ARCHIVE_PLAN_H
#define HF_ARCHIVE_PLAN_H

#include "archive/listing.h"
#include "archive/source.h"

/*
 * The archiver's clock was set back: TXIDs from `txid` on carry `time_ms`, though they were made
 * earlier, as times never fall. All 0: it was not.
 */
struct hf_set_back {
    uint64_t txid;
    int64_t time_ms;
};

#define HF_PLAN_BOUNDS_MAX 2 /* one on each side of a time */

enum hf_target_kind {
    HF_TARGET_LATEST,
    HF_TARGET_TXID, /* exactly txid */
    HF_TARGET_TIME, /* the last reachable TXID whose time is <= time_ms */
};

struct hf_target {
    enum hf_target_kind kind;
    uint64_t txid;
    int64_t time_ms;
    int64_t now_ms; /* for HF_TARGET_TIME: later times are refused as in the future, unless the
                       archive has segments as late */
};

struct hf_plan {
    struct hf_segment_ref *segments; /* a snapshot first; each begins at or before the end of the
                                        one before it plus 1, and ends after it */
    size_t segments_count;
    uint64_t bytes;          /* of all of them */
    uint64_t txid;           /* where the chain ends */
    int64_t time_ms;         /* of that TXID */
    struct hf_seg_info info; /* the last segment's header */
    bool after_last;         /* the wanted time is after the last segment's; txid is the last */
    uint64_t wanted_txid;    /* > txid: a later one before the wanted time exists, but only inside a
                                compacted segment that goes beyond it */
    /* TIME only: what makes it doubtful that the plan leads to the state of the wanted time. */
    struct hf_gap gap;           /* the wanted time lies inside, without its ends */
    struct hf_set_back set_back; /* what comes next was perhaps made before the wanted time */
    /* TIME only: the segments, not in the chain, whose headers alone say that the wanted time lies
     * between them. Nothing but FileChecksum vouches for that, so the caller checks them whole. */
    struct hf_segment_ref bounds[HF_PLAN_BOUNDS_MAX];
    size_t bounds_count;
};

/*
 * `*ret` leads from a snapshot to the target; the caller frees it.
 * HF_NOT_FOUND  there is no archive, or no segment in it; the message has its URL. Verbs that end
 * so exit 2. HF_HOLE       the way is interrupted; the message names the missing TXIDs and the
 * segments on both sides. LATEST: also when the hole is behind everything reachable. TIME: also
 *               when it is between the last TXID before the time and the next one. Or an object was
 *               listed and is gone: plan again, once.
 * HF_USAGE      the target is before the first restorable TXID, after the last (TXID), in the
 *               future (TIME), or inside a compacted segment (TXID); the message has what is
 *               possible instead.
 * HF_DAMAGE     a header does not agree with its key, or an object is too short to be a segment.
 */
enum hf_code hf_plan_new(const struct hf_archive *a, const struct hf_segment_codec *codec,
                         const struct hf_target *target, struct hf_plan **ret,
                         struct hf_err *err) HF_MUST_CHECK;
void hf_plan_free(struct hf_plan *p); /* NULL is allowed */
void hf_plan_free_ptr(struct hf_plan **p);
#define HF_AUTO_PLAN HF_CLEANUP(hf_plan_free_ptr) struct hf_plan

#endif
