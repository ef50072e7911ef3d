/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spans.c - runs and holes, by one sweep over intervals of TXIDs.
 */
#include "archive/spans.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/check.h"

struct interval {
    uint64_t first;
    uint64_t last;
    bool is_snapshot;
};

static int compare_intervals(const void *pa, const void *pb)
{
    const struct interval *a = pa;
    const struct interval *b = pb;

    return (a->first > b->first) - (a->first < b->first);
}

static struct interval interval_of(const struct hf_segment *s)
{
    const bool is_snapshot = s->min_txid == 1;

    return (struct interval){
        .first = is_snapshot ? s->max_txid : s->min_txid,
        .last = s->max_txid,
        .is_snapshot = is_snapshot,
    };
}

/* Add an interval that does not begin before any earlier one. */
static void sweep(struct hf_spans *s, const struct interval *i)
{
    struct hf_run *run = s->runs_count > 0 ? &s->runs[s->runs_count - 1] : NULL;

    if (run == NULL || i->first > run->last_txid + 1) {
        if (run != NULL)
            s->holes[s->holes_count++] =
                (struct hf_hole){.first_txid = run->last_txid + 1, .last_txid = i->first - 1};
        run = &s->runs[s->runs_count++];
        *run = (struct hf_run){.first_txid = i->first, .last_txid = i->last};
    }
    if (i->last > run->last_txid)
        run->last_txid = i->last;
    if (i->is_snapshot && run->restorable_from == 0)
        run->restorable_from = i->last;
}

void hf_plan_spans(const struct hf_seg_list *all, struct hf_spans *ret)
{
    struct hf_spans s = {0};
    HF_AUTO_FREE struct interval *intervals = hf_calloc(all->count + 1, sizeof(*intervals));

    s.runs = hf_calloc(all->count + 1, sizeof(*s.runs));
    s.holes = hf_calloc(all->count + 1, sizeof(*s.holes));
    for (size_t i = 0; i < all->count; i++) {
        struct hf_level_sum *sum = &s.levels[all->items[i].level];

        sum->segments_count++;
        sum->bytes += all->items[i].size_bytes;
        intervals[i] = interval_of(&all->items[i]);
    }
    qsort(intervals, all->count, sizeof(*intervals), compare_intervals);
    for (size_t i = 0; i < all->count; i++)
        sweep(&s, &intervals[i]);
    hf_assert(s.holes_count + 1 == s.runs_count || s.runs_count == 0);
    *ret = s;
}

void hf_spans_done(struct hf_spans *s)
{
    hf_free(s->runs);
    hf_free(s->holes);
    *s = (struct hf_spans){0};
}
