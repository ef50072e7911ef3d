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
    rc = hf_segment_read_info(p->archive, p->codec, segment, &info, err);
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

/* The level's known segments that end after f->txid and at or before f->next_txid, by their ends:
 * one that ends with next_txid may be a finer one. */
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
            f->segment = ends->items[at];
        } else {
            high = at;
            f->next_txid = info.max_txid;
            f->next = ends->items[at];
        }
    }
    return HF_OK;
}

/*
 * Litestream dates a snapshot by its making, when later TXIDs may have come: that one is later than
 * the time does not tell that its last TXID is. Put aside in `late` until it is known that nothing
 * else tells more.
 */
static enum hf_code put_late_aside(struct planner *p, struct found_time *f, struct found_time *late,
                                   struct hf_err *err)
{
    struct hf_seg_info info;

    if (f->next_txid == UINT64_MAX)
        return HF_OK;
    const enum hf_code rc = planner_header(p, &f->next, &info, err);

    if (rc != HF_OK || info.has_root)
        return rc;
    late->next_txid = f->next_txid;
    late->next = f->next;
    f->next_txid = UINT64_MAX;
    f->next = (struct hf_segment){0};
    return HF_OK;
}

enum hf_code planner_find_time(struct planner *p, int64_t time_ms, struct found_time *ret,
                               struct hf_err *err)
{
    struct found_time f = {.next_txid = UINT64_MAX};
    struct found_time late = {.next_txid = UINT64_MAX};

    for (unsigned level = HF_LEVELS_COUNT; level-- > 0;) {
        HF_AUTO_SEG_LIST ends = {0};
        const uint64_t to_min = f.next_txid > HF_TXID_MAX - 2 ? UINT64_MAX : f.next_txid + 2;
        enum hf_code rc;

        rc = hf_views_need(&p->views, level, f.txid, to_min, err);
        if (rc != HF_OK)
            return rc;
        collect(&p->views.levels[level], &f, &ends);
        rc = bisect(p, &ends, time_ms, &f, err);
        if (rc == HF_OK && level == HF_LEVEL_SNAPSHOT)
            rc = put_late_aside(p, &f, &late, err);
        if (rc != HF_OK)
            return rc;
    }
    if (late.next_txid > f.txid && late.next_txid < f.next_txid) {
        f.next_txid = late.next_txid;
        f.next = late.next;
    }
    hf_assert(f.txid <= f.next_txid);
    *ret = f;
    return HF_OK;
}

static void add_bound(const struct planner *p, const struct hf_segment *segment,
                      struct hf_plan *plan)
{
    for (size_t i = 0; i < plan->segments_count; i++) {
        const struct hf_segment_ref *r = &plan->segments[i];

        if (r->level == segment->level && r->min_txid == segment->min_txid &&
            r->max_txid == segment->max_txid)
            return;
    }
    hf_assert(plan->bounds_count < HF_PLAN_BOUNDS_MAX);
    hf_segment_ref_init(&plan->bounds[plan->bounds_count++], p->archive, segment);
}

/*
 * Proving these two is enough: times are monotone and no end is between theirs, so whatever other
 * headers said on the way here, no other TXID is the last at or before the wanted time.
 */
void planner_set_bounds(const struct planner *p, const struct found_time *f, struct hf_plan *plan)
{
    if (f->txid != 0)
        add_bound(p, &f->segment, plan);
    if (f->next_txid != UINT64_MAX)
        add_bound(p, &f->next, plan);
}

/* The finest known segment, no snapshot, that ends with `txid`; NULL if none does. */
static const struct hf_segment *find_finest(const struct hf_views *v, uint64_t txid)
{
    const struct hf_segment *finest = NULL;

    for (unsigned level = 0; level < HF_LEVELS_COUNT; level++) {
        const struct hf_seg_list *l = &v->levels[level].known;

        for (size_t i = 0; i < l->count; i++) {
            const struct hf_segment *s = &l->items[i];

            if (s->max_txid == txid && s->min_txid > 1 &&
                (finest == NULL || s->min_txid > finest->min_txid))
                finest = s;
        }
    }
    return finest;
}

/*
 * Is the segment that comes behind `txid`, if there is one, dated by its predecessor? What cannot
 * be read does not tell; it is not on the way to the target, so it is no failure.
 */
static enum hf_code is_clamped_behind(struct planner *p, uint64_t txid, bool *ret,
                                      struct hf_err *err)
{
    const struct hf_segment *behind = hf_views_beyond(&p->views, txid, txid);
    struct hf_seg_info info;

    *ret = false;
    if (behind == NULL)
        return HF_OK;
    const enum hf_code rc = planner_header(p, behind, &info, err);

    if (rc == HF_OK)
        *ret = info.clamped;
    return rc == HF_DAMAGE || rc == HF_HOLE ? HF_OK : rc;
}

/*
 * The next segment's time is that of its capture, unless the clock stood ahead; of that only the
 * segment behind it can tell, which then was made earlier than it is dated. A merged segment has
 * the marks of all that it was made of, so one of them may be the next itself.
 */
enum hf_code planner_find_doubts(struct planner *p, int64_t time_ms, const struct found_time *f,
                                 struct hf_plan *plan, struct hf_err *err)
{
    const struct hf_segment *next = find_finest(&p->views, f->next_txid);
    struct hf_seg_info info;
    bool clamped = false;
    enum hf_code rc;

    if (next == NULL || f->next_txid == f->txid)
        return HF_OK; /* nothing is later, or nothing that says how it was made */
    rc = planner_header(p, next, &info, err);
    if (rc == HF_OK)
        rc = is_clamped_behind(p, f->next_txid, &clamped, err);
    if (rc != HF_OK)
        return rc;
    if (info.catchup && time_ms > f->time_ms)
        plan->gap = (struct hf_gap){.from_txid = f->txid,
                                    .to_txid = f->next_txid,
                                    .from_ms = f->time_ms,
                                    .to_ms = info.time_ms};
    if (info.clamped || clamped)
        plan->set_back = (struct hf_set_back){.txid = f->next_txid, .time_ms = info.time_ms};
    return HF_OK;
}
