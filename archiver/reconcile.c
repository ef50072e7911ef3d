/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reconcile.c - the archive's head, the local state and the spool are brought together.
 *
 * Each may be behind the others, or wrong, after a crash or beside another archiver. The archive is
 * right: local state that does not agree with it is made anew from it. Of the spool is kept what
 * follows, up to the first segment that is not whole: these moments are nowhere else.
 *
 * Only damage is a verdict on what is local. A failure of another kind ends the start, and the next
 * one finds everything as it was.
 */
#include <inttypes.h>

#include "archive/listing.h"
#include "archive/plan.h"
#include "archiver/partition.h"
#include "base/log.h"
#include "rebuilder/fetch.h"

static uint64_t local_txid(const struct partition *p)
{
    return p->live->ops->state(p->live)->txid;
}

/* ---- local state and archive ---------------------------------------------------------------- */

static enum hf_code plan_latest(struct partition *p, struct hf_plan **ret, struct hf_err *err)
{
    const struct hf_target latest = {.kind = HF_TARGET_LATEST};

    return hf_plan_new(&p->archive, p->target.engine->codec, &latest, ret, err);
}

/* Adopt what `fetch` brings. A small segment is there, whole, before the local state is touched for
 * it: a store that does not answer costs nothing there. */
static enum hf_code adopt_fetched(struct partition *p, struct hf_fetch *fetch, size_t count,
                                  struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    for (size_t i = 0; rc == HF_OK && i < count; i++) {
        struct hf_source *segment;

        rc = hf_fetch_next(fetch, &segment, err);
        if (rc == HF_OK)
            rc = p->live->ops->adopt(p->live, segment, err);
    }
    return rc;
}

/* The segments are fetched by threads of their own, as captures wait for those of the pool. */
static enum hf_code adopt_segments(struct partition *p, const struct hf_segment_ref *refs,
                                   size_t count, struct hf_err *err)
{
    HF_CLEANUP(hf_meter_done) struct hf_meter meter;

    hf_meter_init(&meter, NULL, 0);
    struct hf_pool *pool = hf_pool_new(hf_pool_threads(p->env->pool));
    struct hf_fetch *fetch = hf_fetch_new(&p->archive, pool, refs, count, &meter, &p->cancel);
    const enum hf_code rc = adopt_fetched(p, fetch, count, err);

    hf_fetch_free(fetch);
    hf_pool_free(pool);
    return rc;
}

/* Move the local state to the archive's head by what the archive has beyond it, which may be more
 * than was listed before. */
static enum hf_code adopt_from_archive(struct partition *p, struct hf_err *err)
{
    HF_AUTO_PLAN *plan = NULL;
    enum hf_code rc = plan_latest(p, &plan, err);
    size_t i = 0;

    if (rc != HF_OK)
        return rc;
    while (i < plan->segments_count && plan->segments[i].max_txid <= local_txid(p))
        i++;
    rc = adopt_segments(p, plan->segments + i, plan->segments_count - i, err);
    if (rc != HF_OK)
        return rc;
    p->head_txid = local_txid(p);
    p->head_ms = p->live->ops->state(p->live)->time_ms;
    partition_set_confirmed(p, &plan->info);
    return HF_OK;
}

/* The segment leads to the very state that was captured: also its time, as another archiver may
 * have captured the same one later. */
static bool leads_to(const struct hf_seg_info *info, const struct hf_state *captured)
{
    return info->has_root && captured->has_root && hf_root_equal(info->root, captured->root) &&
           captured->time_ms == info->time_ms;
}

/* `head` is of the local state's past. */
static bool is_past(struct partition *p, const struct hf_seg_info *head)
{
    struct hf_state here;

    if (!p->live->ops->recall(p->live, head->max_txid, &here))
        return partition_confirmed_this(p, head);
    return leads_to(head, &here);
}

/* While the spool has the segment of the archive's head, nobody here has seen it confirmed: its
 * bytes are proved before those in the spool, which may be the only good ones, are dropped for
 * them. */
static enum hf_code prove_head(struct partition *p, const struct hf_plan *plan, struct hf_err *err)
{
    HF_CLEANUP(hf_segment_source_done) struct hf_segment_source source = {0};

    if (spool_first(p->spool) == 0 || spool_first(p->spool) > plan->txid)
        return HF_OK;
    hf_segment_source_init(&source, &p->archive, &plan->segments[plan->segments_count - 1]);
    return p->target.engine->segment_check(&source.base, p->env->pool, err);
}

/* What waits in the spool may still be right: it is judged by what it is adopted onto. */
static enum hf_code forget_state(struct partition *p, const char *why, struct hf_err *err)
{
    hf_log(HF_LOG_WARN, "%s: local state is made anew from the archive: %s", p->target.name, why);
    const enum hf_code rc = p->live->ops->reset(p->live, err);

    if (rc == HF_OK)
        p->distrust = NULL;
    return rc;
}

/* The archive's head is of the local state's past, or that is forgotten. */
static enum hf_code meet_head(struct partition *p, struct hf_err *err)
{
    HF_AUTO_PLAN *plan = NULL;
    enum hf_code rc = plan_latest(p, &plan, err);

    if (rc != HF_OK)
        return rc;
    if (!is_past(p, &plan->info))
        return forget_state(p, "the archive has another state there, or too old a one", err);
    rc = prove_head(p, plan, err);
    if (rc != HF_OK)
        return rc;
    p->head_txid = plan->txid; /* what was put late may have come since it was listed */
    p->head_ms = plan->info.time_ms;
    return HF_OK;
}

static enum hf_code begin_at_head(struct partition *p, const char *why, struct hf_err *err)
{
    const enum hf_code rc = forget_state(p, why, err);

    return rc == HF_OK ? adopt_from_archive(p, err) : rc;
}

/* Afterwards the local state is the archive's head, or was that at the head and has gone on. */
static enum hf_code meet_archive(struct partition *p, uint64_t head, struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    p->head_txid = head;
    p->head_ms = 0;
    if (p->distrust != NULL)
        rc = forget_state(p, p->distrust, err);
    else if (head == 0 && local_txid(p) > 0)
        rc = forget_state(p, "its first snapshot was never archived", err);
    else if (head > 0 && local_txid(p) >= head)
        rc = meet_head(p, err);
    const uint64_t known = local_txid(p);

    if (rc != HF_OK || known >= head)
        return rc;
    rc = adopt_from_archive(p, err);
    if (rc == HF_DAMAGE && known > 0) /* the local state's, or the archive's: which will show */
        rc = begin_at_head(p, err->text, err);
    return rc;
}

/* ---- the spool ------------------------------------------------------------------------------ */

static bool speaks_against_spool(enum hf_code rc)
{
    return rc == HF_DAMAGE || rc == HF_HOLE || rc == HF_NOT_FOUND;
}

static enum hf_code drop_from(struct partition *p, uint64_t txid, struct hf_err *err)
{
    hf_log(HF_LOG_WARN,
           "%s: the spool is thrown away from TXID %" PRIu64
           " on and will be caught up with; its restore points are lost: %s",
           p->target.name, txid, err->text);
    return spool_drop(p->spool, txid, UINT64_MAX, err);
}

/* As partition_open_spooled(). HF_DAMAGE, too: its time is before `least_ms`, that of its
 * predecessor, as two archivers with different clocks were at work. Nothing may be put whose time
 * falls. */
static enum hf_code open_next(struct partition *p, uint64_t txid, int64_t least_ms,
                              struct spool_source *ret, struct hf_seg_info *ret_info,
                              struct hf_err *err)
{
    const enum hf_code rc = partition_open_spooled(p, txid, ret, ret_info, err);

    if (rc == HF_OK && ret_info->time_ms < least_ms)
        return hf_err_set(err, HF_DAMAGE, "%s is dated before the TXID that it follows",
                          ret->base.name);
    return rc;
}

/* What was captured as that TXID, if the local state still knows, is what the segment leads to:
 * after a power cut an older file may be back under its name. */
static enum hf_code check_state(struct partition *p, const struct hf_seg_info *info,
                                const char *name, struct hf_err *err)
{
    struct hf_state known;

    if (!p->live->ops->recall(p->live, info->max_txid, &known) || leads_to(info, &known))
        return HF_OK;
    return hf_err_set(err, HF_DAMAGE, "%s leads to another state than was captured as its TXID",
                      name);
}

static enum hf_code prove_next(struct partition *p, uint64_t txid, int64_t *io_ms,
                               struct hf_err *err)
{
    HF_CLEANUP(spool_source_done) struct spool_source source = {0};
    struct hf_seg_info info;

    if (p->cancel)
        return hf_err_set(err, HF_CANCELED, "stopped while the spool was read");
    enum hf_code rc = open_next(p, txid, *io_ms, &source, &info, err);

    if (rc == HF_OK)
        rc = check_state(p, &info, source.base.name, err);
    if (rc == HF_OK)
        rc = p->target.engine->segment_check(&source.base, p->env->pool, err);
    if (rc == HF_OK)
        *io_ms = info.time_ms;
    return rc;
}

/* Afterwards what the spool holds behind the head follows it without a gap, and is whole. It is not
 * synced, so a power cut may have emptied or torn what was in it. */
static enum hf_code prove_spool(struct partition *p, struct hf_err *err)
{
    uint64_t txid = p->head_txid + 1;
    int64_t ms = p->head_ms;
    enum hf_code rc = HF_OK;

    if (p->head_txid == 0) /* behind a first snapshot that was given up it leads nowhere */
        return spool_drop(p->spool, 1, UINT64_MAX, err);
    while (rc == HF_OK && txid <= spool_last(p->spool)) {
        rc = prove_next(p, txid, &ms, err);
        if (rc == HF_OK)
            txid++;
    }
    return speaks_against_spool(rc) ? drop_from(p, txid, err) : rc;
}

static enum hf_code adopt_spooled(struct partition *p, uint64_t txid, struct hf_err *err)
{
    HF_CLEANUP(spool_source_done) struct spool_source source = {0};
    struct hf_seg_info info;
    const int64_t least_ms = p->live->ops->state(p->live)->time_ms;
    const enum hf_code rc = open_next(p, txid, least_ms, &source, &info, err);

    return rc == HF_OK ? p->live->ops->adopt(p->live, &source.base, err) : rc;
}

/* A process that was killed between spool and state left segments that the state lacks; state that
 * was made anew lacks all of them. What does not follow is dropped. */
static enum hf_code adopt_from_spool(struct partition *p, struct hf_err *err)
{
    while (spool_last(p->spool) > local_txid(p)) {
        const uint64_t txid = local_txid(p) + 1;
        enum hf_code rc = adopt_spooled(p, txid, err);

        if (speaks_against_spool(rc)) {
            rc = drop_from(p, txid, err);
            if (rc == HF_OK)
                rc = begin_at_head(p, "a segment of the spool does not follow on it", err);
        }
        if (rc != HF_OK)
            return rc;
    }
    return HF_OK;
}

/* Afterwards the local state is the archive's head, or follows it by what the spool holds. */
static enum hf_code meet_spool(struct partition *p, struct hf_err *err)
{
    enum hf_code rc = prove_spool(p, err);

    if (rc == HF_OK && local_txid(p) > p->head_txid && local_txid(p) > spool_last(p->spool))
        rc =
            begin_at_head(p, "it is ahead of the archive, and the spool is not whole between", err);
    if (rc == HF_OK)
        rc = adopt_from_spool(p, err);
    return rc == HF_OK ? spool_drop(p->spool, 1, p->head_txid, err) : rc;
}

/* ---- both ----------------------------------------------------------------------------------- */

/* HF_HOLE: segments that the store had confirmed are gone from the end of the archive. */
static enum hf_code check_tail(struct partition *p, uint64_t head, struct hf_err *err)
{
    uint64_t confirmed;
    const enum hf_code rc = partition_confirmed(p, &confirmed, err);

    if (rc != HF_OK)
        return rc;
    if (p->owner.last_txid > confirmed)
        confirmed = p->owner.last_txid;
    if (confirmed <= head)
        return HF_OK;
    return hf_err_set(err, HF_HOLE,
                      "%s ends with TXID %" PRIu64 ", but up to TXID %" PRIu64
                      " was confirmed there: objects were removed, or an older copy of the archive "
                      "stands in its place. Put them back, or archive to a new URL",
                      p->target.url, head, confirmed);
}

/* HF_HOLE: nothing may be put behind what the archive holds. */
static enum hf_code check_archive(struct partition *p, const struct hf_head *head,
                                  struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    if (head->head_txid < head->max_txid)
        return hf_err_set(err, HF_HOLE,
                          "%s has a hole behind TXID %" PRIu64 " (it goes on to %" PRIu64
                          "): nothing that is added could be restored across it. See `holdfast "
                          "list`, and archive to a new URL",
                          p->target.url, head->head_txid, head->max_txid);
    if (head->max_txid == 0)
        rc = partition_check_empty(p, err);
    return rc == HF_OK ? check_tail(p, head->head_txid, err) : rc;
}

enum hf_code partition_reconcile(struct partition *p, struct hf_err *err)
{
    HF_CLEANUP(hf_head_done) struct hf_head head = {0};
    enum hf_code rc = hf_listing_head(&p->archive, 0, &head, err);

    if (rc == HF_OK)
        rc = check_archive(p, &head, err);
    if (rc == HF_OK)
        rc = meet_archive(p, head.head_txid, err);
    if (rc == HF_OK)
        rc = meet_spool(p, err);
    if (rc != HF_OK)
        return rc;
    (void)pthread_mutex_lock(&p->mutex);
    p->guarded.status.archived_txid = p->head_txid;
    p->guarded.status.archived_ms = p->head_ms;
    p->guarded.status.captured_txid = local_txid(p);
    (void)pthread_mutex_unlock(&p->mutex);
    return HF_OK;
}
