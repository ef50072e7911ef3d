/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spans.h - what a full listing says about what can be restored: runs of TXIDs, and holes. Pure.
 */
#ifndef HF_ARCHIVE_SPANS_H
#define HF_ARCHIVE_SPANS_H

#include "archive/listing.h"

/* TXIDs that follow one another without a hole. A snapshot counts as its last TXID alone. */
struct hf_run {
    uint64_t first_txid;
    uint64_t last_txid;
    uint64_t
        restorable_from; /* the first snapshot's TXID in the run; 0: none of it can be restored */
};

struct hf_hole {
    uint64_t first_txid;
    uint64_t last_txid;
};

struct hf_level_sum {
    uint64_t segments_count;
    uint64_t bytes;
};

struct hf_spans {
    struct hf_run *runs; /* by TXID */
    size_t runs_count;
    struct hf_hole *holes; /* holes[i] lies between runs[i] and runs[i + 1] */
    size_t holes_count;
    struct hf_level_sum levels[HF_LEVELS_COUNT];
};

/* `*ret` describes the segments of `all` (any order); the caller ends with hf_spans_done(). */
void hf_plan_spans(const struct hf_seg_list *all, struct hf_spans *ret);
void hf_spans_done(struct hf_spans *s);

#endif
