/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.c - the restore plan: three kinds of target, one chain, and the words for what is missing.
 *
 * A walk that ends before its target has exactly three reasons. A segment, no snapshot, holds the
 * next TXID but goes beyond the target: the TXIDs are there, only not to be had singly. Or nothing
 * holds the next TXID and something comes later: a hole. Or nothing comes later: the end. A
 * snapshot that spans the gap is no proof against a hole, since it says nothing about the states
 * inside it.
 *
 * Levels are listed one after another while others write and prune, so a hole is reported only when
 * a second look, from the beginning, sees it too.
 */
#include "archive/plan.h"

#include <inttypes.h>
#include <stdio.h>

#include "archive/owner.h"
#include "archive/plan_priv.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"

#define LOOKS_MAX 2 /* at an archive that seems to have a hole */

static void planner_done(struct planner *p)
{
    hf_views_done(&p->views);
    hf_free(p->headers);
    *p = (struct planner){0};
}

/* The smallest of the known snapshots that end with `txid`; NULL if there is none. */
static const struct hf_segment *find_snapshot(const struct hf_views *v, uint64_t txid)
{
    const struct hf_segment *found = NULL;

    for (unsigned level = 0; level < HF_LEVELS_COUNT; level++) {
        const struct hf_seg_list *l = &v->levels[level].known;

        for (size_t i = 0; i < l->count && l->items[i].min_txid == 1; i++) {
            if (l->items[i].max_txid == txid &&
                (found == NULL || l->items[i].size_bytes < found->size_bytes))
                found = &l->items[i];
        }
    }
    return found;
}

/* The max TXID of the oldest snapshot: the first that can be restored. 0: none can. */
static uint64_t first_restorable(const struct hf_views *v)
{
    uint64_t first = 0;

    for (unsigned level = 0; level < HF_LEVELS_COUNT; level++) {
        const struct hf_seg_list *l = &v->levels[level].known;

        if (l->count > 0 && l->items[0].min_txid == 1 &&
            (first == 0 || l->items[0].max_txid < first))
            first = l->items[0].max_txid;
    }
    return first;
}

/* The chain from the newest snapshot at or before `txid` to `txid`, which can be reached. */
static void collect_chain(const struct hf_views *v, uint64_t txid, struct hf_seg_list *ret)
{
    const uint64_t snapshot = hf_views_snapshot(v, txid);

    hf_assert(snapshot > 0);
    hf_seg_list_add(ret, find_snapshot(v, snapshot));
    hf_assert(hf_views_walk(v, snapshot, txid, ret) == txid);
}

static enum hf_code no_archive(const struct hf_archive *a, struct hf_err *err)
{
    char url[HF_ARCHIVE_URL_MAX];

    hf_archive_url(a, url);
    if (a->has_format)
        return hf_err_set(err, HF_NOT_FOUND,
                          "the archive %s has no segment yet: expected %s/<min>-<max>.ltx; was it "
                          "ever archived to, or was it emptied?",
                          url, hf_layout_text(a->layout));
    return hf_err_set(err, HF_NOT_FOUND,
                      "no archive at %s: expected " HF_NAME_FORMAT
                      ", and segments named 0000/<min>-<max>.ltx or ltx/0/<min>-<max>.ltx; check "
                      "the URL",
                      url);
}

/* HF_HOLE: no segment begins with TXID 1. */
static enum hf_code no_snapshot(struct planner *p, struct hf_err *err)
{
    char url[HF_ARCHIVE_URL_MAX];
    char key[HF_KEY_MAX + 1];
    struct hf_segment next;
    bool found = false;
    enum hf_code rc;

    rc = hf_views_next(&p->views, 0, &next, &found, err);
    if (rc != HF_OK)
        return rc;
    hf_assert(found);
    hf_archive_url(p->archive, url);
    hf_archive_segment_key(p->archive, &next, key);
    return hf_err_set(err, HF_HOLE,
                      "%s has no snapshot, so nothing can be restored: TXID 1 to %" PRIu64
                      " are missing before %s",
                      url, next.min_txid - 1, key);
}

/* HF_HOLE behind `txid`, where the chain ends, or HF_OK if nothing comes later. */
static enum hf_code check_hole(struct planner *p, uint64_t txid, struct hf_err *err)
{
    HF_AUTO_SEG_LIST chain = {0};
    char before[HF_KEY_MAX + 1];
    char after[HF_KEY_MAX + 1];
    struct hf_segment next;
    bool found = false;
    enum hf_code rc;

    rc = hf_views_next(&p->views, txid, &next, &found, err);
    if (rc != HF_OK || !found)
        return rc;
    collect_chain(&p->views, txid, &chain);
    hf_archive_segment_key(p->archive, &chain.items[chain.count - 1], before);
    hf_archive_segment_key(p->archive, &next, after);
    const uint64_t last = (next.min_txid == 1 ? next.max_txid : next.min_txid) - 1;

    return hf_err_set(err, HF_HOLE,
                      "hole: TXID %" PRIu64 " to %" PRIu64
                      " are missing; the chain ends with %s and goes on with %s; TXID %" PRIu64
                      " can still be asked for by number",
                      txid + 1, last, before, after, txid);
}

/* HF_HOLE if the owner knows of TXIDs behind `last`, where the segments end. */
static enum hf_code check_tail(struct planner *p, uint64_t last, struct hf_err *err)
{
    HF_AUTO_SEG_LIST chain = {0};
    char before[HF_KEY_MAX + 1];
    uint64_t missing_to = 0;
    const enum hf_code rc = hf_owner_missing_tail(p->archive, last, &missing_to, err);

    if (rc == HF_DAMAGE) {
        const struct hf_err why = *err;

        return hf_err_set(err, HF_DAMAGE,
                          "%s: so it is not known whether segments are missing at the end; TXID "
                          "%" PRIu64 " can still be asked for by number",
                          why.text, last);
    }
    if (rc != HF_OK || missing_to == 0)
        return rc;
    collect_chain(&p->views, last, &chain);
    hf_archive_segment_key(p->archive, &chain.items[chain.count - 1], before);
    return hf_err_set(err, HF_HOLE,
                      "hole: TXID %" PRIu64 " to %" PRIu64
                      " are missing at the end: the archiver had confirmed them, and the segments "
                      "end with %s; TXID %" PRIu64 " can still be asked for by number",
                      last + 1, missing_to, before, last);
}

/* The first and the last TXID that can be restored, and perhaps their times, as text in `ret`. */
static enum hf_code describe_span(const struct planner *from, bool with_times, struct hf_buf *ret,
                                  struct hf_err *err)
{
    /* A view of its own: this one's window goes elsewhere. */
    HF_CLEANUP(planner_done) struct planner p = {.archive = from->archive, .codec = from->codec};
    HF_AUTO_SEG_LIST chain = {0};
    struct hf_seg_info info;
    char text[2][HF_TIME_TEXT_MAX];
    uint64_t last;
    enum hf_code rc;

    rc = hf_views_open(&p.views, p.archive, err);
    if (rc != HF_OK)
        return rc;
    const uint64_t first = first_restorable(&p.views);

    if (first == 0)
        return no_snapshot(&p, err);
    rc =
        hf_views_reach(&p.views, hf_views_snapshot(&p.views, HF_TXID_MAX), HF_TXID_MAX, &last, err);
    if (rc != HF_OK)
        return rc;
    if (!with_times) {
        hf_buf_printf(ret, "TXID %" PRIu64 " to %" PRIu64, first, last);
        return HF_OK;
    }
    rc = planner_header(&p, find_snapshot(&p.views, first), &info, err);
    if (rc != HF_OK)
        return rc;
    hf_time_text(info.time_ms, text[0]);
    collect_chain(&p.views, last, &chain);
    rc = planner_header(&p, &chain.items[chain.count - 1], &info, err);
    if (rc != HF_OK)
        return rc;
    hf_time_text(info.time_ms, text[1]);
    hf_buf_printf(ret, "%s (TXID %" PRIu64 ") to %s (TXID %" PRIu64 ")", text[0], first, text[1],
                  last);
    return HF_OK;
}

/* HF_USAGE: `what` cannot be, and the span can. */
static enum hf_code outside(const struct planner *p, bool with_times, const char *what,
                            struct hf_err *err)
{
    HF_AUTO_BUF span = {0};
    const enum hf_code rc = describe_span(p, with_times, &span, err);

    if (rc != HF_OK)
        return rc;
    return hf_err_set(err, HF_USAGE, "%s; restorable is %s", what, hf_buf_str(&span));
}

static enum hf_code fill_refs(const struct planner *p, const struct hf_seg_list *chain,
                              struct hf_plan *plan, struct hf_err *err)
{
    plan->segments = hf_calloc(chain->count, sizeof(*plan->segments));
    for (size_t i = 0; i < chain->count; i++) {
        struct hf_segment_ref *ref = &plan->segments[plan->segments_count++];

        hf_segment_ref_init(ref, p->archive, &chain->items[i]);
        plan->bytes += ref->length_bytes;
        if (ref->length_bytes < p->codec->header_bytes)
            return hf_err_set(err, HF_DAMAGE, "%s has %" PRIu64 " bytes, too few for a segment",
                              ref->key, ref->length_bytes);
    }
    return HF_OK;
}

/* The plan that ends with `txid`, which can be reached. */
static enum hf_code build(struct planner *p, uint64_t txid, struct hf_plan *plan,
                          struct hf_err *err)
{
    HF_AUTO_SEG_LIST chain = {0};
    enum hf_code rc;

    collect_chain(&p->views, txid, &chain);
    rc = fill_refs(p, &chain, plan, err);
    if (rc != HF_OK)
        return rc;
    rc = planner_header(p, &chain.items[chain.count - 1], &plan->info, err);
    if (rc != HF_OK)
        return rc;
    plan->txid = txid;
    plan->wanted_txid = txid;
    plan->time_ms = plan->info.time_ms;
    return HF_OK;
}

static enum hf_code plan_latest(struct planner *p, struct hf_plan *plan, struct hf_err *err)
{
    uint64_t last;
    enum hf_code rc;

    rc = hf_views_reach(&p->views, hf_views_snapshot(&p->views, HF_TXID_MAX), HF_TXID_MAX, &last,
                        err);
    if (rc != HF_OK)
        return rc;
    rc = check_hole(p, last, err);
    if (rc != HF_OK)
        return rc;
    hf_assert(hf_views_max(&p->views) == last);
    rc = check_tail(p, last, err);
    if (rc != HF_OK)
        return rc;
    return build(p, last, plan, err);
}

/* HF_USAGE: `txid` is inside of `around`; what can be had is the chain's end `last` or a later one.
 */
static enum hf_code inside(const struct planner *p, uint64_t txid, uint64_t last,
                           const struct hf_segment *around, struct hf_err *err)
{
    char key[HF_KEY_MAX + 1];
    uint64_t later = around->max_txid;

    for (unsigned level = 0; level < HF_LEVELS_COUNT; level++) {
        const struct hf_seg_list *l = &p->views.levels[level].known;

        for (size_t i = 0; i < l->count && l->items[i].min_txid == 1; i++) {
            if (l->items[i].max_txid > txid && l->items[i].max_txid < later)
                later = l->items[i].max_txid;
        }
    }
    hf_archive_segment_key(p->archive, around, key);
    return hf_err_set(err, HF_USAGE,
                      "TXID %" PRIu64
                      " was merged into %s; the nearest that can be restored are %" PRIu64
                      " and %" PRIu64,
                      txid, key, last, later);
}

static enum hf_code plan_txid(struct planner *p, uint64_t txid, struct hf_plan *plan,
                              struct hf_err *err)
{
    const uint64_t snapshot = hf_views_snapshot(&p->views, txid);
    char what[64];
    uint64_t last;
    enum hf_code rc;

    if (snapshot == 0) {
        (void)snprintf(what, sizeof(what), "TXID %" PRIu64 " is before the first", txid);
        return outside(p, false, what, err);
    }
    rc = hf_views_reach(&p->views, snapshot, txid, &last, err);
    if (rc != HF_OK)
        return rc;
    if (last == txid)
        return build(p, txid, plan, err);

    const struct hf_segment *around = hf_views_beyond(&p->views, last, txid);

    if (around != NULL)
        return inside(p, txid, last, around, err);
    rc = check_hole(p, last, err);
    if (rc != HF_OK)
        return rc;
    (void)snprintf(what, sizeof(what), "TXID %" PRIu64 " is after the last", txid);
    return outside(p, false, what, err);
}

/* HF_HOLE if TXIDs between the two that stand beside the wanted time are nowhere. */
static enum hf_code check_between(struct planner *p, const struct found_time *f, struct hf_err *err)
{
    if (f->next_txid == UINT64_MAX || f->next_txid <= f->txid + 1)
        return HF_OK;
    if (hf_views_beyond(&p->views, f->txid, f->txid) != NULL)
        return HF_OK; /* it reaches next_txid, as no segment ends before that */
    return check_hole(p, f->txid, err);
}

/* Plan to f->txid, or to the last before it that can be had. */
static enum hf_code plan_found(struct planner *p, const struct found_time *f, uint64_t snapshot,
                               struct hf_plan *plan, struct hf_err *err)
{
    uint64_t last;
    enum hf_code rc;

    rc = hf_views_reach(&p->views, snapshot, f->txid, &last, err);
    if (rc != HF_OK)
        return rc;
    if (last == f->txid)
        rc = check_between(p, f, err);
    else if (hf_views_beyond(&p->views, last, f->txid) == NULL)
        rc = check_hole(p, last, err);
    if (rc != HF_OK)
        return rc;
    rc = build(p, last, plan, err);
    if (rc != HF_OK)
        return rc;
    plan->wanted_txid = f->txid;
    if (last == f->txid)
        plan->time_ms = f->time_ms;
    return HF_OK;
}

static enum hf_code plan_time(struct planner *p, const struct hf_target *target,
                              struct hf_plan *plan, struct hf_err *err)
{
    char text[HF_TIME_TEXT_MAX];
    char what[HF_TIME_TEXT_MAX + 64];
    struct found_time f;
    enum hf_code rc;

    hf_time_text(target->time_ms, text);
    rc = planner_find_time(p, target->time_ms, &f, err);
    if (rc != HF_OK)
        return rc;
    plan->after_last = f.next_txid == UINT64_MAX && target->time_ms > f.time_ms;
    if (plan->after_last && target->time_ms > target->now_ms) {
        (void)snprintf(what, sizeof(what), "%s is in the future", text);
        return outside(p, true, what, err);
    }
    const uint64_t snapshot = hf_views_snapshot(&p->views, f.txid);

    if (snapshot == 0) {
        (void)snprintf(what, sizeof(what), "%s is before the first restorable moment", text);
        return outside(p, true, what, err);
    }
    if (plan->after_last) {
        rc = check_tail(p, f.txid, err);
        if (rc != HF_OK)
            return rc;
    }
    rc = plan_found(p, &f, snapshot, plan, err);
    if (rc == HF_OK)
        planner_set_bounds(p, &f, plan);
    return rc != HF_OK ? rc : planner_find_doubts(p, target->time_ms, &f, plan, err);
}

/* One look at the archive, from the beginning. */
static enum hf_code look(const struct hf_archive *a, const struct hf_segment_codec *codec,
                         const struct hf_target *target, struct hf_plan *plan, struct hf_err *err)
{
    HF_CLEANUP(planner_done) struct planner p = {.archive = a, .codec = codec};
    enum hf_code rc;

    rc = hf_views_open(&p.views, a, err);
    if (rc == HF_NOT_FOUND)
        return no_archive(a, err);
    if (rc != HF_OK)
        return rc;
    if (hf_views_max(&p.views) == 0)
        return no_archive(a, err);
    if (first_restorable(&p.views) == 0)
        return no_snapshot(&p, err);
    switch (target->kind) {
    case HF_TARGET_TXID:
        return plan_txid(&p, target->txid, plan, err);
    case HF_TARGET_TIME:
        return plan_time(&p, target, plan, err);
    case HF_TARGET_LATEST:
        break;
    }
    return plan_latest(&p, plan, err);
}

enum hf_code hf_plan_new(const struct hf_archive *a, const struct hf_segment_codec *codec,
                         const struct hf_target *target, struct hf_plan **ret, struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    if (target->kind == HF_TARGET_TXID && (target->txid == 0 || target->txid > HF_TXID_MAX))
        return hf_err_set(err, HF_USAGE, "%" PRIu64 " is no TXID: they count from 1", target->txid);
    for (int i = 0; i < LOOKS_MAX; i++) {
        HF_AUTO_PLAN *plan = hf_calloc(1, sizeof(*plan));

        rc = look(a, codec, target, plan, err);
        if (rc == HF_OK) {
            *ret = hf_take_ptr(&plan);
            return HF_OK;
        }
        if (rc != HF_HOLE)
            return rc;
    }
    return rc;
}

void hf_plan_free(struct hf_plan *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->segments_count; i++)
        hf_segment_ref_done(&p->segments[i]);
    for (size_t i = 0; i < p->bounds_count; i++)
        hf_segment_ref_done(&p->bounds[i]);
    hf_free(p->segments);
    hf_free(p);
}

void hf_plan_free_ptr(struct hf_plan **p)
{
    hf_plan_free(*p);
    *p = NULL;
}
