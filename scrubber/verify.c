/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify.c - passes over the archive until every object that can be reached was applied and proved.
 *
 * An object is proved by applying it to a proved state and finding the root it carries. Objects of
 * different levels hold the same TXIDs, and a replica cannot go back, so there are as many passes
 * as levels overlap: a pass begins with a snapshot and at each step takes, of the objects that may
 * follow, the one not yet proved that goes least far; only where there is none it takes a proved
 * one, the longest that does not pass the next unproved one. All ways to a TXID must lead to the
 * same root. What no way leads to is read as well, and is right by itself or not.
 *
 * Invariants
 * 1. After every pass at least one more object is proved, excluded by a finding, gone, or found to
 *    be out of reach. So there are not more passes than objects.
 * 2. An excluded object is in no later pass: what lies behind it is reached by another level or a
 *    later snapshot, or told to be out of reach.
 * 3. Each object is told of at most once, and each run of missing TXIDs.
 */
#include "scrubber/verify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "archive/format.h"
#include "archive/owner.h"
#include "archive/spans.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "rebuilder/chain.h"

#define EXCLUDED_MAX   100  /* objects; each costs the way from a snapshot again */
#define BATCH_SEGMENTS 1000 /* of a path that have their keys in memory at a time */
#define WORK_NAME      "verify"
#define NONE           SIZE_MAX

enum mark {
    UNPROVED,
    PROVED,
    EXCLUDED,    /* a finding tells of it */
    GONE,        /* removed since it was listed, or so it seems */
    OUT_OF_REACH /* nothing leads to it; by itself it is right */
};

/* A state that the archive holds. */
struct end {
    uint64_t txid;
    size_t item; /* the object that was proved to lead there first; NONE: not yet */
    struct hf_root root;
    int64_t time_ms;
};

/* The objects of a level, in list order, and where a pass stands in them. */
struct lane {
    size_t *items;
    size_t count;
    size_t front; /* all before it end at or before the pass's TXID */
};

struct verify {
    const struct hf_verify_options *o;
    hf_verify_fn *fn;
    void *fn_ctx;
    struct hf_verify_report *report;
    struct hf_seg_list list; /* sorted by min, max, level */
    uint8_t *marks;          /* enum mark of each of list.items */
    struct lane lanes[HF_LEVELS_COUNT];
    struct end *ends; /* by TXID */
    size_t ends_count;
    size_t snapshots_count; /* the first ones of the list */
    size_t next;            /* no unproved object but snapshots stands before it */
    size_t excluded_count;
    size_t gone_count;
    struct hf_meter meter;
    char *digest_path;
    size_t *path; /* items that the pass applies, in order */
    size_t path_count;
    size_t path_at;  /* the first of the batch that is being applied */
    int64_t time_ms; /* of the state that the pass has reached */
};

static bool is_snapshot(const struct hf_segment *s)
{
    return s->min_txid == 1;
}

static const struct hf_segment *item(const struct verify *v, size_t i)
{
    hf_assert(i < v->list.count);
    return &v->list.items[i];
}

static void tell(struct verify *v, enum hf_verify_kind kind, uint64_t from, uint64_t to,
                 const char *key, const char *text)
{
    const struct hf_verify_finding finding = {
        .kind = kind,
        .from_txid = from,
        .to_txid = to,
        .key = key,
        .text = text,
    };

    v->report->findings_count++;
    v->fn(v->fn_ctx, &finding);
}

/* ---- before the first pass ----------------------------------------------------------------- */

static int compare_ends(const void *pa, const void *pb)
{
    const struct end *a = pa;
    const struct end *b = pb;

    return (a->txid > b->txid) - (a->txid < b->txid);
}

static void collect_ends(struct verify *v)
{
    size_t kept = 0;

    v->ends = hf_calloc(v->list.count, sizeof(*v->ends));
    for (size_t i = 0; i < v->list.count; i++)
        v->ends[i] = (struct end){.txid = item(v, i)->max_txid, .item = NONE};
    qsort(v->ends, v->list.count, sizeof(*v->ends), compare_ends);
    for (size_t i = 0; i < v->list.count; i++) {
        if (kept == 0 || v->ends[kept - 1].txid != v->ends[i].txid)
            v->ends[kept++] = v->ends[i];
    }
    v->ends_count = kept;
}

static void collect_lanes(struct verify *v)
{
    for (size_t i = 0; i < v->list.count; i++)
        v->lanes[item(v, i)->level].count++;
    for (unsigned level = 0; level < HF_LEVELS_COUNT; level++) {
        v->lanes[level].items = hf_calloc(v->lanes[level].count + 1, sizeof(size_t));
        v->lanes[level].count = 0;
    }
    for (size_t i = 0; i < v->list.count; i++) {
        struct lane *l = &v->lanes[item(v, i)->level];

        l->items[l->count++] = i;
        if (is_snapshot(item(v, i)))
            v->snapshots_count++;
    }
    v->next = v->snapshots_count;
}

static enum hf_code verify_init(struct verify *v, struct hf_err *err)
{
    const struct hf_verify_options *o = v->o;
    char url[HF_ARCHIVE_URL_MAX];
    uint64_t total = 0;
    enum hf_code rc;

    rc = hf_listing_all(o->archive, &v->list, err);
    if (rc != HF_OK)
        return rc;
    if (v->list.count == 0) {
        hf_archive_url(o->archive, url);
        return hf_err_set(err, HF_NOT_FOUND, "no archive at %s: there is no segment; check the URL",
                          url);
    }
    rc = hf_fs_mkdirs(o->fs, o->work_dir, 0700, err);
    if (rc != HF_OK)
        return rc;
    v->digest_path = hf_strfmt("%s/" WORK_NAME, o->work_dir);
    v->marks = hf_calloc(v->list.count, sizeof(*v->marks));
    v->path = hf_calloc(v->list.count, sizeof(*v->path));
    for (size_t i = 0; i < v->list.count; i++)
        total += item(v, i)->size_bytes;
    v->meter.total_bytes = total;
    v->meter.progress = o->progress;
    collect_ends(v);
    collect_lanes(v);
    return HF_OK;
}

static enum hf_code remove_ours(void *ctx, const char *name, struct hf_err *err)
{
    const struct verify *v = ctx;

    if (strncmp(name, WORK_NAME, strlen(WORK_NAME)) != 0)
        return HF_OK;
    HF_AUTO_FREE char *path = hf_strfmt("%s/%s", v->o->work_dir, name);

    return hf_fs_unlink(v->o->fs, path, err);
}

static void verify_done(struct verify *v)
{
    struct hf_err ignored;

    if (v->digest_path != NULL)
        (void)!hf_fs_list(v->o->fs, v->o->work_dir, remove_ours, v, &ignored);
    for (unsigned level = 0; level < HF_LEVELS_COUNT; level++)
        hf_free(v->lanes[level].items);
    hf_seg_list_done(&v->list);
    hf_meter_done(&v->meter);
    hf_free(v->marks);
    hf_free(v->ends);
    hf_free(v->path);
    hf_free(v->digest_path);
}

/* ---- the way of a pass --------------------------------------------------------------------- */

/* The newest usable snapshot that ends before `txid`, or NONE. */
static size_t snapshot_before(const struct verify *v, uint64_t txid)
{
    size_t found = NONE;

    for (size_t i = 0; i < v->snapshots_count && item(v, i)->max_txid < txid; i++) {
        if (v->marks[i] == UNPROVED || v->marks[i] == PROVED)
            found = i;
    }
    return found;
}

/* An unproved snapshot, or NONE. */
static size_t unproved_snapshot(const struct verify *v)
{
    for (size_t i = 0; i < v->snapshots_count; i++) {
        if (v->marks[i] == UNPROVED)
            return i;
    }
    return NONE;
}

/* The first unproved object, no snapshot, from list index `i` on, that ends after `txid`. */
static size_t unproved_from(const struct verify *v, size_t i, uint64_t txid)
{
    for (; i < v->list.count; i++) {
        if (v->marks[i] == UNPROVED && item(v, i)->max_txid > txid)
            return i;
    }
    return NONE;
}

/* Look at the level's objects that may follow `txid`. */
static void weigh(struct verify *v, struct lane *l, uint64_t txid, uint64_t limit, size_t *unproved,
                  size_t *longest)
{
    while (l->front < l->count && item(v, l->items[l->front])->max_txid <= txid)
        l->front++;
    for (size_t k = l->front; k < l->count; k++) {
        const size_t i = l->items[k];
        const struct hf_segment *s = item(v, i);

        if (s->min_txid > txid + 1)
            return;
        if (is_snapshot(s) || s->max_txid <= txid)
            continue;
        if (v->marks[i] == UNPROVED &&
            (*unproved == NONE || s->max_txid < item(v, *unproved)->max_txid))
            *unproved = i;
        if (v->marks[i] == PROVED && s->max_txid <= limit &&
            (*longest == NONE || s->max_txid > item(v, *longest)->max_txid))
            *longest = i;
    }
}

/* Fill v->path from the snapshot on. Returns how many of it are not proved yet. */
static size_t find_path(struct verify *v, size_t snapshot)
{
    uint64_t txid = item(v, snapshot)->max_txid;
    size_t ahead = v->next;
    size_t fresh = v->marks[snapshot] == UNPROVED ? 1 : 0;

    for (unsigned level = 0; level < HF_LEVELS_COUNT; level++)
        v->lanes[level].front = 0;
    v->path_count = 0;
    v->path[v->path_count++] = snapshot;
    for (;;) {
        size_t unproved = NONE;
        size_t longest = NONE;

        ahead = unproved_from(v, ahead, txid);
        if (ahead == NONE)
            return fresh;
        for (unsigned level = 0; level < HF_LEVELS_COUNT; level++)
            weigh(v, &v->lanes[level], txid, item(v, ahead)->max_txid - 1, &unproved, &longest);
        const size_t chosen = unproved != NONE ? unproved : longest;

        if (chosen == NONE)
            return fresh;
        fresh += unproved != NONE;
        v->path[v->path_count++] = chosen;
        txid = item(v, chosen)->max_txid;
    }
}

/* Plan the next pass; false if there is nothing left to prove. */
static bool next_path(struct verify *v)
{
    for (;;) {
        v->next = unproved_from(v, v->next, 0);
        if (v->next == NONE)
            v->next = v->list.count;
        const bool has_target = v->next < v->list.count;
        const size_t snapshot = has_target ? snapshot_before(v, item(v, v->next)->max_txid)
                                           : unproved_snapshot(v);

        if (!has_target && snapshot == NONE)
            return false;
        if (snapshot != NONE && find_path(v, snapshot) > 0)
            return true;
        v->marks[v->next] = OUT_OF_REACH;
    }
}

/* ---- a pass -------------------------------------------------------------------------------- */

static struct end *end_of(struct verify *v, uint64_t txid)
{
    const struct end key = {.txid = txid};
    struct end *e = bsearch(&key, v->ends, v->ends_count, sizeof(*v->ends), compare_ends);

    hf_assert(e != NULL);
    return e;
}

/* The object led to `s`, and is sound; but restores to a time go by its time. Others than us date
 * snapshots later than what they end with. */
static void judge_time(struct verify *v, size_t i, const struct end *e, const struct hf_state *s)
{
    const int64_t before_ms = v->time_ms;
    char expected[HF_TIME_TEXT_MAX];
    char found[HF_TIME_TEXT_MAX];
    char key[HF_KEY_MAX + 1];
    const bool falls = s->time_ms < before_ms;

    v->time_ms = s->time_ms;
    if (!s->has_root || v->marks[i] != UNPROVED || (!falls && s->time_ms == e->time_ms))
        return;
    hf_time_text(falls ? before_ms : e->time_ms, expected);
    hf_time_text(s->time_ms, found);
    HF_AUTO_FREE char *text = hf_strfmt(
        "its time is %s, expected %s%s, as others say: a restore to a time around these "
        "may lead to another TXID than it should; by TXID all is as it was",
        found, expected, falls ? " or later" : "");

    hf_archive_segment_key(v->o->archive, item(v, i), key);
    tell(v, HF_VERIFY_DAMAGE, item(v, i)->min_txid, item(v, i)->max_txid, key, text);
}

/* hf_chain_fn: an object was applied and led to `s`. */
static enum hf_code judge(void *ctx, size_t index, const struct hf_state *s, struct hf_err *err)
{
    struct verify *v = ctx;
    const size_t i = v->path[v->path_at + index];
    struct end *e = end_of(v, s->txid);
    char key[2][HF_KEY_MAX + 1];

    if (e->item != NONE && !hf_root_equal(e->root, s->root)) {
        hf_archive_segment_key(v->o->archive, item(v, i), key[0]);
        hf_archive_segment_key(v->o->archive, item(v, e->item), key[1]);
        return hf_err_set(err, HF_DAMAGE,
                          "%s leads to another state of TXID %" PRIu64 " than %s does", key[0],
                          s->txid, key[1]);
    }
    if (e->item == NONE) {
        e->item = i;
        e->root = s->root;
        e->time_ms = s->time_ms;
    }
    judge_time(v, i, e, s);
    if (v->marks[i] == UNPROVED)
        v->report->objects_read++;
    v->marks[i] = PROVED;
    v->report->proved_by_roots = v->report->proved_by_roots && s->has_root;
    return HF_OK;
}

/* The chain ended at `i`; HF_OK if verify can go on without it. */
static enum hf_code exclude(struct verify *v, size_t i, bool names_lie, struct hf_err *err)
{
    const struct hf_segment *s = item(v, i);
    char key[HF_KEY_MAX + 1];

    if (err->code == HF_HOLE) {
        v->marks[i] = GONE;
        v->gone_count++;
        return HF_OK;
    }
    if (err->code != HF_DAMAGE)
        return err->code;
    if (v->marks[i] != PROVED)
        v->report->objects_read++;
    v->marks[i] = EXCLUDED;
    v->excluded_count++;
    hf_archive_segment_key(v->o->archive, s, key);
    tell(v, names_lie ? HF_VERIFY_FOREIGN : HF_VERIFY_DAMAGE, s->min_txid, s->max_txid, key,
         err->text);
    return HF_OK;
}

static enum hf_code meet(void *ctx, const struct hf_seg_info *info, struct hf_err *err)
{
    struct verify *v = ctx;

    (void)err;
    v->report->seed_lost = v->report->seed_lost || (info->has_root && !v->o->archive->has_format);
    return HF_OK;
}

static struct hf_chain chain_of(struct verify *v)
{
    return (struct hf_chain){
        .engine = v->o->engine,
        .archive = v->o->archive,
        .pool = v->o->pool,
        .meter = &v->meter,
        .stop = v->o->stop,
        .met = meet,
        .met_ctx = v,
    };
}

static void refs_done(struct hf_segment_ref (*refs)[BATCH_SEGMENTS])
{
    for (size_t i = 0; i < BATCH_SEGMENTS; i++)
        hf_segment_ref_done(&(*refs)[i]);
}

/* Apply the path's next objects; `*ret_failed`: one was excluded, and the pass is over. */
static enum hf_code run_batch(struct verify *v, struct hf_replica *r, bool *ret_failed,
                              struct hf_err *err)
{
    HF_CLEANUP(refs_done) struct hf_segment_ref refs[BATCH_SEGMENTS] = {0};
    const size_t left = v->path_count - v->path_at;
    const size_t count = left < BATCH_SEGMENTS ? left : BATCH_SEGMENTS;
    struct hf_chain chain = chain_of(v);

    for (size_t i = 0; i < count; i++)
        hf_segment_ref_init(&refs[i], v->o->archive, item(v, v->path[v->path_at + i]));
    const enum hf_code rc = hf_chain_apply(&chain, r, refs, count, judge, v, err);

    *ret_failed = rc != HF_OK;
    if (rc != HF_OK)
        return exclude(v, v->path[v->path_at + chain.applied], chain.names_lie, err);
    v->path_at += count;
    return HF_OK;
}

static void free_replica(struct hf_replica **r)
{
    if (*r != NULL)
        (*r)->ops->free(*r);
}

static enum hf_code run_pass(struct verify *v, struct hf_err *err)
{
    const struct hf_verify_options *o = v->o;
    const struct hf_replica_options options = {
        .fs = o->fs,
        .pool = o->pool,
        .seed = o->archive->has_format ? o->archive->format.seed : 0,
        .no_seed = !o->archive->has_format,
        .digest_path = v->digest_path,
        .anew = true,
        .stop = o->stop,
    };
    HF_CLEANUP(free_replica) struct hf_replica *r = NULL;
    bool failed = false;
    enum hf_code rc;

    v->time_ms = INT64_MIN;
    rc = o->engine->replica_open(&options, &r, err);
    for (v->path_at = 0; rc == HF_OK && v->path_at < v->path_count && !failed;)
        rc = run_batch(v, r, &failed, err);
    return rc;
}

/* ---- what no way leads to ------------------------------------------------------------------ */

/* Nobody can restore by these objects; but whoever deletes others goes by what this says of them.
 */
static enum hf_code check_out_of_reach(struct verify *v, struct hf_err *err)
{
    for (size_t i = 0; i < v->list.count && v->excluded_count < EXCLUDED_MAX; i++) {
        if (v->marks[i] != OUT_OF_REACH)
            continue;
        HF_CLEANUP(hf_segment_ref_done) struct hf_segment_ref ref = {0};
        struct hf_chain chain = chain_of(v);

        hf_segment_ref_init(&ref, v->o->archive, item(v, i));
        enum hf_code rc = hf_chain_check_alone(&chain, &ref, err);

        if (rc == HF_OK)
            v->report->objects_read++;
        else
            rc = exclude(v, i, chain.names_lie, err);
        if (rc != HF_OK)
            return rc;
    }
    return HF_OK;
}

/* ---- what names alone tell ----------------------------------------------------------------- */

static void tell_holes(struct verify *v, const struct hf_spans *spans)
{
    for (size_t i = 0; i < spans->holes_count; i++) {
        const struct hf_hole *h = &spans->holes[i];
        HF_AUTO_FREE char *text = hf_strfmt("TXID %" PRIu64 " to %" PRIu64
                                            " are missing: no object holds them, but there "
                                            "are later ones",
                                            h->first_txid, h->last_txid);

        tell(v, HF_VERIFY_HOLE, h->first_txid, h->last_txid, "", text);
    }
}

/* What the owner knows to have archived, behind the last segment. */
static enum hf_code tell_tail(struct verify *v, struct hf_err *err)
{
    uint64_t last = 0;
    uint64_t missing_to = 0;

    for (size_t i = 0; i < v->list.count; i++) {
        if (item(v, i)->max_txid > last)
            last = item(v, i)->max_txid;
    }
    const enum hf_code rc = hf_owner_missing_tail(v->o->archive, last, &missing_to, err);

    if (rc == HF_DAMAGE) {
        tell(v, HF_VERIFY_DAMAGE, 0, 0, HF_NAME_OWNER, err->text);
        return HF_OK;
    }
    if (rc != HF_OK || missing_to == 0)
        return rc;
    HF_AUTO_FREE char *text = hf_strfmt("TXID %" PRIu64 " to %" PRIu64
                                        " are missing at the end: the archiver had confirmed "
                                        "them, and no object holds them",
                                        last + 1, missing_to);

    tell(v, HF_VERIFY_HOLE, last + 1, missing_to, "", text);
    return HF_OK;
}

/* The object's TXIDs lie in a run that a snapshot begins. */
static bool is_covered(const struct hf_spans *spans, const struct hf_segment *s)
{
    for (size_t i = 0; i < spans->runs_count; i++) {
        const struct hf_run *r = &spans->runs[i];

        if (r->restorable_from != 0 && r->restorable_from <= s->max_txid &&
            r->first_txid <= s->min_txid && s->max_txid <= r->last_txid)
            return true;
    }
    return false;
}

static void tell_lost(struct verify *v, uint64_t from, uint64_t to)
{
    HF_AUTO_FREE char *text =
        hf_strfmt("TXID %" PRIu64 " to %" PRIu64
                  " cannot be restored: what leads there is missing or damaged",
                  from, to);

    tell(v, HF_VERIFY_HOLE, from, to, "", text);
}

/*
 * Objects that nothing leads to, neighbours as one. That is no loss where others lead over their
 * TXIDs (retention cuts the levels where it will), nor before the first snapshot.
 */
static void tell_out_of_reach(struct verify *v, const struct hf_spans *proved,
                              const struct hf_spans *listed)
{
    const uint64_t first = v->snapshots_count > 0 ? item(v, 0)->max_txid : 0;
    uint64_t from = 0;
    uint64_t to = 0;

    for (size_t i = v->snapshots_count; i < v->list.count; i++) {
        const struct hf_segment *s = item(v, i);

        if (v->marks[i] != OUT_OF_REACH || s->max_txid <= first || is_covered(proved, s) ||
            is_covered(listed, s))
            continue;
        if (to != 0 && s->min_txid > to + 1) {
            tell_lost(v, from, to);
            to = 0;
        }
        if (to == 0)
            from = s->min_txid;
        to = s->max_txid > to ? s->max_txid : to;
    }
    if (to != 0)
        tell_lost(v, from, to);
}

static void tell_nested(struct verify *v)
{
    if (v->list.nested_count == 0)
        return;
    HF_AUTO_FREE char *text =
        hf_strfmt("%" PRIu64
                  " keys are named like segments, but lie a folder deeper, where "
                  "Litestream takes them for segments and fails: move them away",
                  v->list.nested_count);

    tell(v, HF_VERIFY_FOREIGN, 0, 0, v->list.nested_key, text);
}

/* The object's index in the list, or NONE. */
static size_t index_of(const struct verify *v, const struct hf_segment *s)
{
    const struct lane *l = &v->lanes[s->level];
    size_t low = 0;
    size_t high = l->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct hf_segment *other = item(v, l->items[middle]);

        if (other->min_txid == s->min_txid && other->max_txid == s->max_txid)
            return l->items[middle];
        if (other->min_txid < s->min_txid ||
            (other->min_txid == s->min_txid && other->max_txid < s->max_txid))
            low = middle + 1;
        else
            high = middle;
    }
    return NONE;
}

/*
 * Objects went while this ran: retention may do that, as long as it leaves no hole. Look again;
 * `ret` describes what is listed now, without what was found damaged.
 */
static enum hf_code look_again(struct verify *v, struct hf_spans *ret, struct hf_err *err)
{
    HF_AUTO_SEG_LIST now = {0};
    HF_AUTO_SEG_LIST whole = {0};
    struct hf_spans all;
    char key[HF_KEY_MAX + 1];
    const enum hf_code rc = hf_listing_all(v->o->archive, &now, err);

    if (rc != HF_OK)
        return rc;
    for (size_t i = 0; i < now.count; i++) {
        const struct hf_segment *s = &now.items[i];
        const size_t old = index_of(v, s);

        if (old != NONE && v->marks[old] == GONE) {
            hf_archive_segment_key(v->o->archive, s, key);
            tell(v, HF_VERIFY_DAMAGE, s->min_txid, s->max_txid, key,
                 "it is listed, but the store says that there is no such object");
        } else if (old == NONE || v->marks[old] != EXCLUDED) {
            hf_seg_list_add(&whole, s);
        }
    }
    hf_plan_spans(&now, &all);
    tell_holes(v, &all);
    hf_spans_done(&all);
    hf_plan_spans(&whole, ret);
    return HF_OK;
}

static void find_proved(const struct verify *v, struct hf_spans *ret)
{
    HF_AUTO_SEG_LIST proved = {0};

    for (size_t i = 0; i < v->list.count; i++) {
        if (v->marks[i] == PROVED)
            hf_seg_list_add(&proved, item(v, i));
    }
    hf_plan_spans(&proved, ret);
}

/* Holes, losses, and the last run of TXIDs that proved objects lead to. */
static enum hf_code conclude(struct verify *v, struct hf_err *err)
{
    HF_CLEANUP(hf_spans_done) struct hf_spans proved = {0};
    HF_CLEANUP(hf_spans_done) struct hf_spans listed = {0};
    HF_CLEANUP(hf_spans_done) struct hf_spans all = {0};
    enum hf_code rc;

    find_proved(v, &proved);
    if (proved.runs_count > 0) {
        v->report->first_txid = proved.runs[proved.runs_count - 1].restorable_from;
        v->report->last_txid = proved.runs[proved.runs_count - 1].last_txid;
    } else {
        v->report->proved_by_roots = false;
    }
    if (v->report->seed_lost)
        tell(v, HF_VERIFY_DAMAGE, 0, 0, HF_NAME_FORMAT, hf_format_lost_text);
    tell_nested(v);
    if (v->gone_count > 0) {
        rc = look_again(v, &listed, err);
        if (rc != HF_OK)
            return rc;
    } else {
        hf_plan_spans(&v->list, &all);
        tell_holes(v, &all);
    }
    tell_out_of_reach(v, &proved, &listed);
    return tell_tail(v, err);
}

static enum hf_code verify(struct verify *v, struct hf_err *err)
{
    enum hf_code rc;

    rc = verify_init(v, err);
    if (rc != HF_OK)
        return rc;
    while (v->excluded_count < EXCLUDED_MAX && next_path(v)) {
        rc = run_pass(v, err);
        if (rc != HF_OK)
            return rc;
    }
    rc = check_out_of_reach(v, err);
    if (rc != HF_OK)
        return rc;
    if (v->excluded_count == EXCLUDED_MAX)
        tell(v, HF_VERIFY_DAMAGE, 0, 0, "",
             "so many objects are damaged that the rest was not "
             "looked at");
    return conclude(v, err);
}

enum hf_code hf_verify(const struct hf_verify_options *o, hf_verify_fn *fn, void *ctx,
                       struct hf_verify_report *report, struct hf_err *err)
{
    struct hf_verify_report made = {.proved_by_roots = true};
    HF_CLEANUP(verify_done)
    struct verify v = {.o = o, .fn = fn, .fn_ctx = ctx, .report = &made};

    hf_meter_init(&v.meter, NULL, 0);
    const enum hf_code rc = verify(&v, err);

    if (rc != HF_OK)
        return rc;
    made.bytes_read = hf_meter_bytes(&v.meter);
    *report = made;
    return HF_OK;
}
