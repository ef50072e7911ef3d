/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view.h - private to src/archive: the parts of the levels' listings that a question needs.
 *
 * A plan must not cost a listing of everything that ever was. A view knows a level from its
 * beginning up to some TXID (the first page of its listing, which also holds all snapshots), and
 * one window further on, which grows as it is asked to. One thread.
 *
 * It rests on one rule for writers (FORMAT 1.2): within a level, a segment that begins later does
 * not end earlier. So once a segment is seen that ends at or before a TXID, none that begins before
 * that segment reaches beyond it.
 */
#ifndef HF_ARCHIVE_VIEW_H
#define HF_ARCHIVE_VIEW_H

#include "archive/listing.h"

struct hf_view {
    struct hf_seg_list known; /* sorted */
    uint64_t head_to;         /* all with min < head_to are known */
    uint64_t tail_from;       /* and all with tail_from <= min < tail_to; equal: no such window */
    uint64_t tail_to;
};

struct hf_views {
    const struct hf_archive *archive; /* borrowed */
    struct hf_view levels[HF_LEVELS_COUNT];
};

/* Ready, with the first page of each level: 10 requests, one more per 1000 snapshots. */
enum hf_code hf_views_open(struct hf_views *v, const struct hf_archive *a,
                           struct hf_err *err) HF_MUST_CHECK;
void hf_views_done(struct hf_views *v);
#define HF_AUTO_VIEWS HF_CLEANUP(hf_views_done) struct hf_views

/* All segments of the level with min < to_min that reach beyond `txid` are known. */
enum hf_code hf_views_need(struct hf_views *v, unsigned level, uint64_t txid, uint64_t to_min,
                           struct hf_err *err) HF_MUST_CHECK;

/*
 * `*ret_txid` is where the segments lead from `txid` under `limit`, and all that could tell more is
 * known: levels are asked from the top, each from where those above it end, so that what compaction
 * has merged is not listed again below.
 */
enum hf_code hf_views_reach(struct hf_views *v, uint64_t txid, uint64_t limit, uint64_t *ret_txid,
                            struct hf_err *err) HF_MUST_CHECK;

/*
 * What stands on the far side of the gap behind `txid`: the first segment that begins after
 * txid + 1, or the first snapshot that ends after `txid`, whichever leads to an earlier TXID.
 * `*ret_found` is false if there is neither. At most one request a level.
 */
enum hf_code hf_views_next(struct hf_views *v, uint64_t txid, struct hf_segment *ret,
                           bool *ret_found, struct hf_err *err) HF_MUST_CHECK;

/* The max TXID of the newest snapshot that ends at or before `limit`; 0: there is none. */
uint64_t hf_views_snapshot(const struct hf_views *v, uint64_t limit);
/* Of all known segments; 0: there are none. */
uint64_t hf_views_max(const struct hf_views *v);

/*
 * The TXID to which known segments lead from `txid`: at each step, of those that begin at or before
 * the next TXID, the one that reaches furthest without passing `limit`; the smaller of two that
 * reach equally far. Snapshots are no steps. The steps are appended to `chain` (may be NULL).
 */
uint64_t hf_views_walk(const struct hf_views *v, uint64_t txid, uint64_t limit,
                       struct hf_seg_list *chain);

/*
 * The known segment, no snapshot, that holds TXID txid + 1, ends after `limit`, and ends first of
 * those; NULL if there is none.
 */
const struct hf_segment *hf_views_beyond(const struct hf_views *v, uint64_t txid, uint64_t limit);

#endif
