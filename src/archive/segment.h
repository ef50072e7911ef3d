/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment.h - what a segment says of itself, in words every engine shares.
 *
 * The archive library plans and judges chains by these fields alone; only an engine can read them
 * from a segment's first bytes (struct hf_segment_codec, given by engine.h).
 */
#ifndef HF_ARCHIVE_SEGMENT_H
#define HF_ARCHIVE_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"

#define HF_LEVEL_SNAPSHOT 9  /* LTX layout: level 9 holds snapshots */
#define HF_LEVELS_COUNT   10 /* 0 as captured, 1..8 compacted, 9 snapshots */

struct hf_seg_info {
    uint64_t min_txid; /* 1 means a snapshot: every page is in it */
    uint64_t max_txid;
    int64_t time_ms; /* the moment of the state after it; never below its predecessor's */
    uint64_t epoch;  /* of the owner who wrote it; 0 if foreign */
    uint32_t page_bytes;
    uint64_t pages_count; /* size of the state after it */
    bool has_root;        /* false in segments that others wrote: their proof is weaker */
    struct hf_root root;  /* of the state after it */
    bool catchup;         /* its pages are the disk's word, not the log's */
    bool clamped;         /* its time is its predecessor's, because the clock stood before that */
    bool has_sums;        /* pre_sum is the engine's own checksum of the state before */
    uint64_t pre_sum;     /* 0 for snapshots */
};

/*
 * Two TXIDs between which nobody followed the log: the second is a catch-up, so what was committed
 * in between is known only as of its time. All 0: there is no gap.
 */
struct hf_gap {
    uint64_t from_txid;
    uint64_t to_txid;
    int64_t from_ms;
    int64_t to_ms;
};

/* A segment as a listing shows it: what its key and the store say, before its header is read. */
struct hf_segment {
    unsigned level;
    uint64_t min_txid;
    uint64_t max_txid;
    uint64_t size_bytes;
    int64_t modified_ms;  /* by the store's clock; a hint, never a proof */
    int64_t timestamp_ms; /* as put; 0 where a listing cannot tell */
};

/* Reads the first header_bytes of a segment. HF_DAMAGE: not a segment of this engine. */
struct hf_segment_codec {
    size_t header_bytes;
    enum hf_code (*info)(struct hf_slice header, struct hf_seg_info *ret, struct hf_err *err);
};

#endif
