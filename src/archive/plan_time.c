/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan_time.c - from a time to TXIDs.
 *
 * Header times are monotone in TXID (a rule for writers), so between two known TXIDs a time is
 * found by bisection. Levels are searched from the top: snapshots bound the months, level 4 the
 * day, and so on, each level being listed only between the bounds that the one above it left. A
 * store's own times choose the first two probes and nothing else, as copies and clocks make them
 * lie.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "archive/plan_priv.h"
#include "base/alloc.h"
#include "base/check.h"

static enum hf_code read_header(struct planner *p, const struct hf_segment *segment,
                                struct hf_seg_info *ret_info, struct hf_err *err)
{
    HF_AUTO_BUF header = {0};
    char key[HF_KEY_MAX + 1];
    enum hf_code rc;

    hf_archive_segment_key(p->archive, segment, key);
    rc = hf_store_get(p->archive->store, key, 0, p->codec->header_bytes, &header, NULL, err);
    if (rc == HF_NOT_FOUND)
        return hf_err_set(err, HF_HOLE, "%s was listed and is gone", key);
    if (rc != HF_OK)
        return rc;
    if (header.len < p->codec->header_bytes)
        return hf_err_set(err, HF_DAMAGE, "%s has %zu bytes, too few for a segment's header", key,
                          header.len);
    rc = p->codec->info(hf_buf_slice(&header), ret_info, err);
    if (rc != HF_OK)
        return hf_err_wrap(err, "%s", key);
    if (ret_info->min_txid != segment->min_txid || ret_info->max_txid != segment->max_txid)
        return hf_err_set(err, HF_DAMAGE,
                          "%s does not hold what its name says: its header is of TXID %" PRIu64
                          " to %" PRIu64,
                          key, ret_info->min_txid, ret_info->max_txid);
    return HF_OK;
}

static bool is_same(const struct hf_segment *a, const struct hf_segment *b)
{
    return a->level == b->level && a->min_txid == b->min_txid && a->max_txid == b->max_txid;
}

enum hf_code planner_header(struct planner *p, const struct hf_segment *segment,
                            struct hf_seg_info *ret_info, struct hf_err *err)
{
    struct hf_seg_info info = {0};
    enum hf_code rc;

    for (size_t i = 0; i < p->headers_count; i++) {
        if (is_same(&p->headers[i].segment, segment)) {
            *ret_info = p->headers[i].info;
            return HF_OK;
        }
    }
    rc = read_header(p, segment, &info, err);
    if (rc != HF_OK)
        return rc;
    p->headers = hf_realloc(p->headers, p->headers_count + 1, sizeof(*p->headers));
    p->headers[p->headers_count++] = (struct seen_header){.segment = *segment, .info = info};
    *ret_info = info;
    return HF_OK;
}

static int compare_ends(const void *pa, const void *pb)
{
    const struct hf_segment *a = pa;
    const struct hf_segment *b = pb;

    if (a->max_txid != b->max_txid)
        return a->max_txid > b->max_txid ? 1 : -1;
    return (a->min_txid > b->min_txid) - (a->min_txid < b->min_txid);
}

/* The level's known segments that end after f->txid and at or before f->next_txid, by their ends.
 * The upper end is included, as Litestream dates a snapshot later than the segment it ends with. */
static void collect(const struct hf_view *view, const struct found_time *f, struct hf_seg_list *ret)
{
    for (size_t i = 0; i < view->known.count; i++) {
        const struct hf_segment *s = &view->known.items[i];

        if (s->max_txid > f->txid && s->max_txid <= f->next_txid)
            hf_seg_list_add(ret, s);
    }
    if (ret->count > 0)
        qsort(ret->items, ret->count, sizeof(*ret->items), compare_ends);
}

/* The last candidate that the store's times put at or before `time_ms`, or the first. */
static size_t guess(const struct hf_seg_list *ends, int64_t time_ms)
{
    for (size_t i = ends->count; i > 0; i--) {
        const struct hf_segment *s = &ends->items[i - 1];

        if ((s->timestamp_ms != 0 ? s->timestamp_ms : s->modified_ms) <= time_ms)
            return i - 1;
    }
    return 0;
}

/* Which of low .. high-1 to look at: the guess, then what stands beside it, then the middle. */
static size_t choose_probe(size_t low, size_t high, size_t guessed, unsigned probes_count)
{
    size_t at = low + (high - low) / 2;

    if (probes_count == 0)
        at = guessed;
    else if (probes_count == 1)
        at = low > guessed ? guessed + 1 : guessed - 1; /* may wrap: out of bounds, see below */
    return at >= low && at < high ? at : low + (high - low) / 2;
}

/* Narrow `f` by the ends of one level. */
static enum hf_code bisect(struct planner *p, const struct hf_seg_list *ends, int64_t time_ms,
                           struct found_time *f, struct hf_err *err)
{
    const size_t guessed = guess(ends, time_ms);
    size_t low = 0;            /* all before it are at or before the time */
    size_t high = ends->count; /* and all from it on are after it */

    for (unsigned probes_count = 0; low < high; probes_count++) {
        const size_t at = choose_probe(low, high, guessed, probes_count);
        struct hf_seg_info info;
        const enum hf_code rc = planner_header(p, &ends->items[at], &info, err);

        if (rc != HF_OK)
            return rc;
        if (info.time_ms <= time_ms) {
            low = at + 1;
            f->txid = info.max_txid;
            f->time_ms = info.time_ms;
        } else {
            high = at;
            f->next_txid = info.max_txid;
        }
    }
    return HF_OK;
}

enum hf_code planner_find_time(struct planner *p, int64_t time_ms, struct found_time *ret,
                               struct hf_err *err)
{
    struct found_time f = {.next_txid = UINT64_MAX};

    for (unsigned level = HF_LEVELS_COUNT; level-- > 0;) {
        HF_AUTO_SEG_LIST ends = {0};
        const uint64_t to_min = f.next_txid == UINT64_MAX ? UINT64_MAX : f.next_txid + 1;
        enum hf_code rc;

        rc = hf_views_need(&p->views, level, f.txid, to_min, err);
        if (rc != HF_OK)
            return rc;
        collect(&p->views.levels[level], &f, &ends);
        rc = bisect(p, &ends, time_ms, &f, err);
        if (rc != HF_OK)
            return rc;
    }
    hf_assert(f.txid <= f.next_txid);
    *ret = f;
    return HF_OK;
}
