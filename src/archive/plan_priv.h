/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan_priv.h - what plan.c and plan_time.c share. Private to them.
 */
#ifndef HF_ARCHIVE_PLAN_PRIV_H
#define HF_ARCHIVE_PLAN_PRIV_H

#include "archive/plan.h"
#include "archive/view.h"

/* A header that was read. */
struct seen_header {
    struct hf_segment segment;
    struct hf_seg_info info;
};

struct planner {
    const struct hf_archive *archive;     /* borrowed */
    const struct hf_segment_codec *codec; /* borrowed */
    struct hf_views views;
    struct seen_header *headers;
    size_t headers_count;
};

/* The outcome of a search by time. */
struct found_time {
    uint64_t txid;             /* the last segment end at or before the time; 0: none */
    int64_t time_ms;           /* its time */
    uint64_t next_txid;        /* the first segment end after the time; UINT64_MAX: none */
    struct hf_segment segment; /* whose header says so of txid; none if that is 0 */
    struct hf_segment next;    /* and of next_txid */
};

/*
 * `*ret_info` is what the segment's header says, and agrees with its key; read once per planner.
 * HF_DAMAGE, HF_HOLE as for hf_plan_new(). At most one request.
 */
enum hf_code planner_header(struct planner *p, const struct hf_segment *segment,
                            struct hf_seg_info *ret_info, struct hf_err *err) HF_MUST_CHECK;

/*
 * The segment ends on both sides of `time_ms`, by headers. Afterwards all segments that begin at
 * or before ret->next_txid + 1 and reach beyond ret->txid are known to p->views.
 */
enum hf_code planner_find_time(struct planner *p, int64_t time_ms, struct found_time *ret,
                               struct hf_err *err) HF_MUST_CHECK;

/* `bounds` of the plan, whose chain is made, are those that `f` was found by. */
void planner_set_bounds(const struct planner *p, const struct found_time *f, struct hf_plan *plan);

/*
 * `gap` and `set_back` of the plan are set if the segments behind `time_ms`, which `f` was found
 * for, say so. At most two requests, for headers.
 */
enum hf_code planner_find_doubts(struct planner *p, int64_t time_ms, const struct found_time *f,
                                 struct hf_plan *plan, struct hf_err *err) HF_MUST_CHECK;

#endif
