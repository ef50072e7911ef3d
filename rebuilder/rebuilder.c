/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rebuilder.c - plan, route, chain, judgement. Invariants: DESIGN.md.
 *
 * A route is what is read: the whole plan, or the shorter way from a replica that was kept. The
 * shorter way is tried first and is never the last word: whatever is wrong with it may be wrong
 * with what was kept, so only the whole plan can find damage.
 */
#include "rebuilder/rebuilder.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "rebuilder/chain.h"

#define LOOKS_MAX        2           /* plans made where a planned segment is gone */
#define PROVED_BYTES_MAX (64U << 20) /* of a segment that is read only to say what was wrong */

struct route {
    const struct hf_segment_ref *refs; /* the plan's, or `own` */
    size_t count;
    uint64_t bytes;
    struct hf_segment_ref *own; /* of a detour that is not in the plan */
};

static void route_done(struct route *r)
{
    if (r->own != NULL) {
        for (size_t i = 0; i < r->count; i++)
            hf_segment_ref_done(&r->own[i]);
    }
    hf_free(r->own);
    *r = (struct route){0};
}

static void replica_free(struct hf_replica **r)
{
    if (*r != NULL)
        (*r)->ops->free(*r);
    *r = NULL;
}
#define AUTO_REPLICA HF_CLEANUP(replica_free) struct hf_replica

static enum hf_code open_replica(const struct hf_rebuild_options *o, bool anew,
                                 struct hf_replica **ret, struct hf_err *err)
{
    const struct hf_replica_options options = {
        .fs = o->fs,
        .pool = o->pool,
        .seed = o->archive->has_format ? o->archive->format.seed : 0,
        .no_seed = !o->archive->has_format,
        .digest_path = o->digest_path,
        .anew = anew,
        .pages_path = o->pages_path,
        .mode = o->mode,
        .stop = o->stop,
    };

    return o->engine->replica_open(&options, ret, err);
}

/* The replica stands where the plan leads. */
static enum hf_code judge_end(const struct hf_rebuild_options *o, const struct hf_plan *plan,
                              const struct hf_state *s, struct hf_err *err)
{
    char expected[HF_ROOT_HEX_MAX];
    char found[HF_ROOT_HEX_MAX];

    if (s->txid != plan->txid || s->pages_count != plan->info.pages_count)
        return hf_err_set(err, HF_DAMAGE,
                          "the chain led to TXID %" PRIu64 " with %" PRIu64
                          " pages, expected TXID %" PRIu64 " with %" PRIu64,
                          s->txid, s->pages_count, plan->txid, plan->info.pages_count);
    if (!o->archive->has_format || !plan->info.has_root || hf_root_equal(s->root, plan->info.root))
        return HF_OK;
    hf_root_hex(plan->info.root, expected);
    hf_root_hex(s->root, found);
    return hf_err_set(err, HF_DAMAGE,
                      "the chain led to a state whose root is %s, expected %s as in %s", found,
                      expected, plan->segments[plan->segments_count - 1].key);
}

static struct hf_chain chain_of(const struct hf_rebuild_options *o, struct hf_meter *meter)
{
    return (struct hf_chain){
        .engine = o->engine,
        .archive = o->archive,
        .pool = o->pool,
        .meter = meter,
        .stop = o->stop,
    };
}

static enum hf_code run(const struct hf_rebuild_options *o, const struct hf_plan *plan,
                        const struct route *route, struct hf_replica *r,
                        struct hf_rebuild_report *report, struct hf_err *err)
{
    HF_CLEANUP(hf_meter_done) struct hf_meter meter;
    struct hf_chain chain = chain_of(o, &meter);
    enum hf_code rc;

    chain.met = o->met;
    chain.met_ctx = o->met_ctx;
    hf_meter_init(&meter, o->progress, route->bytes);
    rc = hf_chain_apply(&chain, r, route->refs, route->count, NULL, NULL, err);
    report->segments_read += chain.applied;
    report->bytes_read += hf_meter_bytes(&meter);
    if (rc == HF_OK)
        rc = judge_end(o, plan, r->ops->state(r), err);
    if (rc != HF_OK)
        return rc;
    return r->ops->finish(r, err);
}

/* What was kept can be judged by roots at the end, and lies before it. */
static bool is_kept_useful(const struct hf_rebuild_options *o, const struct hf_plan *plan,
                           const struct hf_state *s)
{
    return o->archive->has_format && s->has_root && plan->info.has_root && s->txid <= plan->txid &&
           s->page_bytes == plan->info.page_bytes;
}

/*
 * From `txid` by segments that are not in the plan, because it begins with a newer snapshot: the
 * furthest step each time. `count` stays 0 if they do not lead there.
 */
static enum hf_code find_detour(const struct hf_rebuild_options *o, const struct hf_plan *plan,
                                uint64_t txid, struct route *route, struct hf_err *err)
{
    HF_CLEANUP(hf_head_done) struct hf_head head = {0};
    size_t next = 0;
    enum hf_code rc;

    rc = hf_listing_head(o->archive, txid, &head, err);
    if (rc != HF_OK)
        return rc;
    route->own = hf_calloc(head.after.count + 1, sizeof(*route->own));
    while (txid < plan->txid) {
        const struct hf_segment *best = NULL;

        for (; next < head.after.count && head.after.items[next].min_txid <= txid + 1; next++) {
            const struct hf_segment *s = &head.after.items[next];

            if (s->min_txid > 1 && s->max_txid > txid && s->max_txid <= plan->txid &&
                (best == NULL || s->max_txid > best->max_txid))
                best = s;
        }
        if (best == NULL)
            break;
        hf_segment_ref_init(&route->own[route->count++], o->archive, best);
        route->bytes += best->size_bytes;
        txid = best->max_txid;
    }
    route->refs = route->own;
    if (txid < plan->txid || route->bytes > plan->bytes)
        route_done(route);
    return HF_OK;
}

/* The way from a kept state; count 0 and bytes 0 if there is nothing to read. */
static enum hf_code find_shorter(const struct hf_rebuild_options *o, const struct hf_plan *plan,
                                 const struct hf_state *s, struct route *route, bool *ret_found,
                                 struct hf_err *err)
{
    size_t skip = 0;

    while (skip < plan->segments_count && plan->segments[skip].max_txid <= s->txid)
        skip++;
    if (skip == 0) {
        const enum hf_code rc = find_detour(o, plan, s->txid, route, err);

        *ret_found = route->count > 0;
        return rc;
    }
    route->refs = plan->segments + skip;
    route->count = plan->segments_count - skip;
    for (size_t i = 0; i < route->count; i++)
        route->bytes += route->refs[i].length_bytes;
    *ret_found = true;
    return HF_OK;
}

/* What was kept: open already, or to be opened and summed. */
static enum hf_code open_kept(const struct hf_rebuild_options *o, struct hf_replica **ret,
                              struct hf_err *err)
{
    if (o->kept == NULL || *o->kept == NULL)
        return open_replica(o, false, ret, err);
    *ret = hf_take_ptr(o->kept);
    return HF_OK;
}

/*
 * `*ret` is the replica that was kept, advanced; NULL if there is none that leads to the target.
 */
static enum hf_code advance(const struct hf_rebuild_options *o, const struct hf_plan *plan,
                            struct hf_replica **ret, struct hf_rebuild_report *report,
                            struct hf_err *err)
{
    AUTO_REPLICA *r = NULL;
    HF_CLEANUP(route_done) struct route route = {0};
    bool found = false;
    enum hf_code rc;

    /* A time was found by headers of the whole plan, so all of that must be read. */
    if (o->pages_path != NULL || o->target.kind == HF_TARGET_TIME)
        return HF_OK;
    rc = open_kept(o, &r, err);
    if (rc != HF_OK)
        return rc;
    const struct hf_state *s = r->ops->state(r);

    if (s->txid == 0 || !is_kept_useful(o, plan, s))
        return HF_OK;
    rc = find_shorter(o, plan, s, &route, &found, err);
    if (rc != HF_OK || !found)
        return rc;
    rc = run(o, plan, &route, r, report, err);
    if (rc == HF_DAMAGE)
        return HF_OK; /* of the archive or of what was kept: the whole plan will tell */
    if (rc == HF_OK)
        *ret = hf_take_ptr(&r);
    return rc;
}

/* The message says what can be had of an archive that is damaged behind `txid`. */
static void tell_way_out(uint64_t txid, struct hf_err *err)
{
    const struct hf_err why = *err;

    if (txid == 0)
        (void)hf_err_set(err, why.code,
                         "%s; `holdfast verify` tells whether anything else can be restored",
                         why.text);
    else
        (void)hf_err_set(err, why.code,
                         "%s; TXID %" PRIu64
                         " can still be asked for by number, and `holdfast verify` tells what else",
                         why.text, txid);
}

/* Each by its own bytes, whatever leads to it. */
static enum hf_code check_alone(const struct hf_rebuild_options *o,
                                const struct hf_segment_ref *refs, size_t count,
                                struct hf_rebuild_report *report, struct hf_err *err)
{
    HF_CLEANUP(hf_meter_done) struct hf_meter meter;
    struct hf_chain chain = chain_of(o, &meter);
    enum hf_code rc = HF_OK;

    hf_meter_init(&meter, NULL, 0);
    for (size_t i = 0; rc == HF_OK && i < count; i++)
        rc = hf_chain_check_alone(&chain, &refs[i], err);
    report->bytes_read += hf_meter_bytes(&meter);
    return rc;
}

/* By time: a header that is damaged would make another TXID look like the wanted one. */
static enum hf_code check_bounds(const struct hf_rebuild_options *o, const struct hf_plan *plan,
                                 struct hf_rebuild_report *report, struct hf_err *err)
{
    const enum hf_code rc = check_alone(o, plan->bounds, plan->bounds_count, report, err);

    if (rc != HF_DAMAGE)
        return rc;
    const struct hf_err why = *err;

    return hf_err_set(err, HF_DAMAGE,
                      "%s; so its time is not known, nor which TXID is the last at or before the "
                      "wanted one; TXID %" PRIu64 " can still be asked for by number",
                      why.text, plan->txid);
}

static enum hf_code make_anew(const struct hf_rebuild_options *o, const struct hf_plan *plan,
                              struct hf_replica **ret, struct hf_rebuild_report *report,
                              struct hf_err *err)
{
    const struct route route = {
        .refs = plan->segments,
        .count = plan->segments_count,
        .bytes = plan->bytes,
    };
    AUTO_REPLICA *r = NULL;
    enum hf_code rc;

    rc = open_replica(o, true, &r, err);
    if (rc != HF_OK)
        return rc;
    rc = run(o, plan, &route, r, report, err);
    if (rc == HF_DAMAGE)
        tell_way_out(r->ops->state(r)->txid, err);
    if (rc == HF_OK)
        *ret = hf_take_ptr(&r);
    return rc;
}

/* The plan may be refused for what the last header says, and that is not proved yet: it may be
 * damage and not want of room, so a small segment is looked at whole first. */
static enum hf_code judge_plan(const struct hf_rebuild_options *o, const struct hf_plan *plan,
                               struct hf_rebuild_report *report, struct hf_err *err)
{
    const struct hf_segment_ref *last = &plan->segments[plan->segments_count - 1];
    const enum hf_code rc = o->judge == NULL ? HF_OK : o->judge(o->judge_ctx, plan, err);
    struct hf_err why;

    if (rc == HF_OK || last->length_bytes > PROVED_BYTES_MAX ||
        check_alone(o, last, 1, report, &why) != HF_DAMAGE)
        return rc;
    *err = why;
    return HF_DAMAGE;
}

/* By one plan. `*ret_gone`: HF_HOLE because a planned segment is not there any more. */
static enum hf_code rebuild(const struct hf_rebuild_options *o, struct hf_replica **ret,
                            struct hf_rebuild_report *report, bool *ret_gone, struct hf_err *err)
{
    HF_AUTO_PLAN *plan = NULL;
    AUTO_REPLICA *r = NULL;
    enum hf_code rc;

    rc = hf_plan_new(o->archive, o->engine->codec, &o->target, &plan, err);
    if (rc == HF_OK)
        rc = judge_plan(o, plan, report, err);
    if (rc != HF_OK)
        return rc;
    rc = check_bounds(o, plan, report, err);
    if (rc == HF_OK)
        rc = advance(o, plan, &r, report, err);
    if (rc == HF_OK && r == NULL)
        rc = make_anew(o, plan, &r, report, err);
    *ret_gone = rc == HF_HOLE;
    if (rc != HF_OK)
        return rc;
    report->state = *r->ops->state(r);
    report->after_last = plan->after_last;
    report->wanted_txid = plan->wanted_txid;
    report->gap = plan->gap;
    report->set_back = plan->set_back;
    report->proved = report->state.has_root;
    report->seed_lost = plan->info.has_root && !o->archive->has_format;
    *ret = hf_take_ptr(&r);
    return HF_OK;
}

static enum hf_code check_engine(const struct hf_rebuild_options *o, struct hf_err *err)
{
    char url[HF_ARCHIVE_URL_MAX];

    if (!o->archive->has_format || strcmp(o->archive->format.engine, o->engine->name) == 0)
        return HF_OK;
    hf_archive_url(o->archive, url);
    return hf_err_set(err, HF_USAGE, "%s is an archive of engine %s, not of %s", url,
                      o->archive->format.engine, o->engine->name);
}

enum hf_code hf_rebuild(const struct hf_rebuild_options *o, struct hf_replica **ret,
                        struct hf_rebuild_report *report, struct hf_err *err)
{
    struct hf_rebuild_report made = {0};
    bool gone = false;
    enum hf_code rc;

    rc = check_engine(o, err);
    if (rc != HF_OK)
        return rc;
    rc = rebuild(o, ret, &made, &gone, err);
    for (int look = 1; look < LOOKS_MAX && gone; look++) {
        gone = false;
        if (o->pages_path != NULL) {
            rc = hf_fs_unlink(o->fs, o->pages_path, err);
            if (rc != HF_OK)
                return rc;
        }
        rc = rebuild(o, ret, &made, &gone, err);
    }
    if (rc == HF_OK)
        *report = made;
    return rc;
}
