/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment.h - single facts of one LTX segment: a page's hash, and where in the WAL it ended.
 */
#ifndef HF_ENGINE_SQLITE_SEGMENT_H
#define HF_ENGINE_SQLITE_SEGMENT_H

#include "engine/engine.h"
#include "engine/sqlite/ltx/ltx.h"
#include "engine/sqlite/position.h"

/*
 * True if the header tells where in a WAL the segment ended; `*ret` is then that place, its
 * checksum 0, which a header does not hold. False for snapshots of TXID 1, catch-ups, compacted
 * segments, and numbers that are no end of a frame.
 */
bool segment_log_end(const struct hf_ltx_header *h, struct wal_position *ret);

/* As hf_engine.segment_page; at most a few reads of the segment. */
enum hf_code sqlite_segment_page(struct hf_source *segment, uint64_t seed, uint64_t page,
                                 struct hf_root *ret_hash, struct hf_err *err) HF_MUST_CHECK;

/* As hf_engine.segment_end. The checksum in `*ret` is 0: compare salts and frame only. */
enum hf_code sqlite_segment_end(struct hf_slice header, struct hf_position *ret,
                                struct hf_err *err) HF_MUST_CHECK;

/* As hf_engine.segment_check. */
enum hf_code sqlite_segment_check(struct hf_source *segment, struct hf_pool *pool,
                                  struct hf_err *err) HF_MUST_CHECK;

#endif
