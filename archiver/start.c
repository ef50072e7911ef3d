/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start.c - what must agree before the first byte is captured: archive, owner, local state, spool.
 *
 * Afterwards the live side's state is the archive's head, or follows it by segments that are all in
 * the spool. Local state that does not agree with the archive is thrown away and made anew from the
 * archive: it can be lost without loss.
 */
#include <inttypes.h>
#include <unistd.h>

#include "archive/members.h"
#include "archive/plan.h"
#include "archive/source.h"
#include "archiver/partition.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"

static enum hf_code lock_state(struct partition *p, struct hf_err *err)
{
    HF_AUTO_FREE char *path = NULL;
    enum hf_code rc = hf_fs_mkdirs(p->env->fs, p->state_dir, 0700, err);

    if (rc != HF_OK)
        return hf_err_wrap(err, "folder for local state");
    path = hf_strfmt("%s/lock", p->state_dir);
    rc = hf_fs_open(p->env->fs, path, HF_OPEN_CREATE, 0600, &p->lock, err);
    if (rc != HF_OK)
        return rc;
    rc = hf_file_lock(p->lock, false, err);
    if (rc == HF_BUSY)
        return hf_err_set(err, HF_BUSY,
                          "another holdfast is already archiving %s to this URL (it holds %s)",
                          p->target.db_path, path);
    return rc;
}

static enum hf_code refuse_empty(const struct partition *p, uint64_t txid, struct hf_err *err)
{
    return hf_err_set(
        err, HF_HOLE,
        "%s is empty, but this machine has archived up to TXID %" PRIu64
        " there: a wrong URL, something is not mounted, or the archive was deleted. To "
        "begin anew, remove %s",
        p->target.url, txid, p->state_dir);
}

/* The newest under which a segment of the spool was made, which may be put yet: no owner may have
 * an older one than what is there. 0: there is none that tells. */
static uint64_t spooled_epoch(struct partition *p)
{
    uint64_t newest = 0;

    for (uint64_t txid = spool_first(p->spool); txid != 0 && txid <= spool_last(p->spool); txid++) {
        HF_CLEANUP(spool_source_done) struct spool_source source = {0};
        struct hf_seg_info info;
        struct hf_err ignored;

        if (partition_open_spooled(p, txid, &source, &info, &ignored) != HF_OK)
            break; /* it is never put, nor is anything behind it */
        if (info.epoch > newest && info.epoch <= HF_EPOCH_MAX)
            newest = info.epoch;
    }
    return newest;
}

/* The newest epoch that a segment was written under, for where no owner object tells. If it began
 * at 1 again, an archiver from before could take the next owner's segments for its own past. */
static enum hf_code newest_epoch(struct partition *p, uint64_t *ret, struct hf_err *err)
{
    HF_CLEANUP(hf_head_done) struct hf_head head = {0};
    enum hf_code rc = hf_listing_head(&p->archive, 0, &head, err);

    *ret = 0;
    for (size_t i = 0; rc == HF_OK && i < head.after.count; i++) {
        struct hf_seg_info info;

        if (head.after.items[i].max_txid < head.max_txid)
            continue;
        rc = hf_segment_read_info(&p->archive, p->target.engine->codec, &head.after.items[i], &info,
                                  err);
        if (rc == HF_OK && info.epoch > *ret && info.epoch <= HF_EPOCH_MAX)
            *ret = info.epoch;
    }
    return rc;
}

static enum hf_code claim_as_new_node(struct partition *p, struct hf_err *err)
{
    char host[HF_HOST_MAX] = "";
    struct hf_owner before;
    struct hf_owner me;
    uint64_t epoch = 0;
    enum hf_code rc;

    (void)gethostname(host, sizeof(host) - 1);
    hf_owner_init(&p->owner, p->env->rand, host, (uint64_t)getpid());
    hf_owner_set_database(&p->owner, p->target.db_path);
    rc = hf_owner_read(&p->archive, &before, err);
    if (rc == HF_OK)
        rc = partition_check_database(p, &before, err);
    else if (rc == HF_NOT_FOUND)
        rc = newest_epoch(p, &epoch, err);
    if (rc == HF_OK)
        rc = partition_note_claiming(p, err);
    if (rc != HF_OK)
        return rc;
    me = p->owner;
    me.epoch = spooled_epoch(p);
    me.epoch = epoch > me.epoch ? epoch : me.epoch;
    rc = hf_owner_claim(&p->archive, &me, hf_now_ms(p->env->clock), err);
    if (rc != HF_OK)
        return rc;
    p->owner = me;
    partition_note_claimed(p);
    return HF_OK;
}

/* After a failure the owner is who it was. But an uncertain claim may be what lies there, by which
 * nobody is to be fenced: then it has not claimed anything. */
static enum hf_code claim(struct partition *p, struct hf_err *err)
{
    const struct hf_owner mine = p->owner;
    const enum hf_code rc = claim_as_new_node(p, err);

    if (rc != HF_OK && rc != HF_UNCERTAIN)
        p->owner = mine;
    return rc;
}

/* Starting again is no new claim, as whoever claimed the archive meanwhile is the newer one; but a
 * lease that ran short has to be claimed anew. */
static enum hf_code hold(struct partition *p, struct hf_err *err)
{
    const enum hf_code rc = p->owner.epoch > 0 ? hf_owner_check(&p->archive, &p->owner, err)
                                               : HF_OK;

    return rc != HF_OK || partition_holds_archive(p) ? rc : claim(p, err);
}

/* There were segments, but no format when it was asked for before them: another archiver may have
 * begun the archive between the two. */
static enum hf_code find_format(struct partition *p, struct hf_err *err)
{
    const enum hf_code rc = hf_archive_open(p->target.store, p->target.prefix, &p->archive, err);

    if (rc != HF_OK || p->archive.has_format)
        return rc;
    return hf_err_set(err, HF_USAGE,
                      "%s holds segments and no holdfast/format: another program wrote them, or "
                      "that object was removed and has to be put back. holdfast can restore and "
                      "verify them, and archives only to a URL of its own",
                      p->target.url);
}

/* Nobody has made a format yet. */
static enum hf_code begin_archive(struct partition *p, uint32_t page_bytes, struct hf_err *err)
{
    HF_CLEANUP(hf_head_done) struct hf_head head = {0};
    struct hf_archive_format format;
    enum hf_code rc = hf_listing_head(&p->archive, 0, &head, err);

    if (rc != HF_OK)
        return rc;
    if (head.max_txid > 0)
        return find_format(p, err);
    if (partition_confirmed(p) > 0)
        return refuse_empty(p, partition_confirmed(p), err);
    /* Where only a lease holds, it alone keeps two from making it, one over the other. */
    if (partition_has_lease(p))
        rc = hold(p, err);
    if (rc != HF_OK)
        return rc;
    hf_format_init(&format, p->target.engine->name, page_bytes, p->archive.layout, p->env->rand);
    return hf_format_create(&p->archive, &format, err);
}

/* The archive is ours to write: made if new, of this engine and page size, and claimed. */
static enum hf_code claim_archive(struct partition *p, uint32_t page_bytes, struct hf_err *err)
{
    enum hf_code rc = hf_archive_open(p->target.store, p->target.prefix, &p->archive, err);

    if (rc == HF_OK && !p->archive.has_format)
        rc = begin_archive(p, page_bytes, err);
    if (rc == HF_OK)
        rc = hf_format_check(&p->archive, p->target.engine->name, page_bytes, err);
    return rc == HF_OK ? hold(p, err) : rc;
}

static enum hf_code open_live(struct partition *p, struct hf_err *err)
{
    const struct hf_live_options o = {
        .fs = p->env->fs,
        .clock = p->env->clock,
        .pool = p->env->pool,
        .db_path = p->target.db_path,
        .state_dir = p->state_dir,
        .seed = p->archive.format.seed,
        .epoch = p->owner.epoch,
        .log_bytes_max = p->target.log_bytes_max > 0 ? p->target.log_bytes_max : LOG_BYTES_DEFAULT,
        .never_lock = p->target.never_lock,
        .progress = &p->progress,
        .stop = &p->cancel,
    };

    return p->target.engine->live_open(&o, &p->live, err);
}

static uint64_t local_txid(const struct partition *p)
{
    return p->live->ops->state(p->live)->txid;
}

static enum hf_code adopt_ref(struct partition *p, const struct hf_segment_ref *ref,
                              struct hf_err *err)
{
    HF_CLEANUP(hf_segment_source_done) struct hf_segment_source source = {0};

    hf_segment_source_init(&source, &p->archive, ref);
    return p->live->ops->adopt(p->live, &source.base, err);
}

/* Move the local state to the archive's head by what the archive has beyond it, which may be more
 * than was listed before: what waits in the spool for that is not wanted any more. */
static enum hf_code adopt_from_archive(struct partition *p, struct hf_err *err)
{
    const struct hf_target latest = {.kind = HF_TARGET_LATEST};
    HF_AUTO_PLAN *plan = NULL;
    enum hf_code rc = hf_plan_new(&p->archive, p->target.engine->codec, &latest, &plan, err);

    for (size_t i = 0; rc == HF_OK && i < plan->segments_count; i++) {
        if (plan->segments[i].max_txid > local_txid(p))
            rc = adopt_ref(p, &plan->segments[i], err);
    }
    if (rc != HF_OK)
        return rc;
    p->head_txid = local_txid(p);
    p->head_ms = p->live->ops->state(p->live)->time_ms;
    return spool_drop(p->spool, 1, p->head_txid, err);
}

/* The archive has at its head the root and the time that the local state had there: another
 * archiver may have captured the same state later. */
static enum hf_code check_head(struct partition *p, bool *ret_same, struct hf_err *err)
{
    const struct hf_target latest = {.kind = HF_TARGET_LATEST};
    struct hf_state here;
    HF_AUTO_PLAN *plan = NULL;
    const enum hf_code rc = hf_plan_new(&p->archive, p->target.engine->codec, &latest, &plan, err);

    if (rc != HF_OK)
        return rc;
    *ret_same = plan->info.has_root && p->live->ops->recall(p->live, plan->txid, &here) &&
                here.has_root && hf_root_equal(plan->info.root, here.root) &&
                here.time_ms == plan->time_ms;
    if (!*ret_same)
        return HF_OK;
    p->head_txid = plan->txid; /* what was put late may have come since it was listed */
    p->head_ms = here.time_ms;
    return spool_drop(p->spool, 1, p->head_txid, err);
}

/* As partition_open_spooled(). HF_DAMAGE, too: its time is before `least_ms`, that of its
 * predecessor, as two archivers with different clocks were at work. Nothing may be put whose time
 * falls. */
static enum hf_code open_next(struct partition *p, uint64_t txid, int64_t least_ms,
                              struct spool_source *ret, struct hf_err *err)
{
    struct hf_seg_info info;
    const enum hf_code rc = partition_open_spooled(p, txid, ret, &info, err);

    if (rc == HF_OK && info.time_ms < least_ms)
        return hf_err_set(err, HF_DAMAGE, "%s is dated before the TXID that it follows",
                          ret->base.name);
    return rc;
}

/* A process that was killed between spool and state left segments that the state lacks. */
static enum hf_code adopt_from_spool(struct partition *p, struct hf_err *err)
{
    while (spool_last(p->spool) > local_txid(p)) {
        HF_CLEANUP(spool_source_done) struct spool_source source = {0};
        const int64_t least_ms = p->live->ops->state(p->live)->time_ms;
        enum hf_code rc = open_next(p, local_txid(p) + 1, least_ms, &source, err);

        if (rc == HF_OK)
            rc = p->live->ops->adopt(p->live, &source.base, err);
        if (rc != HF_OK)
            return rc;
    }
    return HF_OK;
}

static enum hf_code throw_away(struct partition *p, const char *why, struct hf_err *err)
{
    hf_log(HF_LOG_WARN, "%s: local state is made anew from the archive: %s", p->target.name, why);
    const enum hf_code rc = spool_drop(p->spool, 1, UINT64_MAX, err);

    return rc != HF_OK ? rc : p->live->ops->reset(p->live, err);
}

/* As throw_away(), but what waits in the spool may still be right: it is judged by what it is
 * adopted onto. */
static enum hf_code forget_digest(struct partition *p, const char *why, struct hf_err *err)
{
    hf_log(HF_LOG_WARN, "%s: local state is made anew from the archive: %s", p->target.name, why);
    return p->live->ops->reset(p->live, err);
}

/* Whether the spool holds every segment from `first` to the local state, which may follow the head,
 * and holds them whole: it is not synced, so a power cut may have emptied or torn what was in it.
 */
static bool spool_holds(struct partition *p, uint64_t first)
{
    for (uint64_t txid = first; txid <= local_txid(p); txid++) {
        HF_CLEANUP(spool_source_done) struct spool_source source = {0};
        struct hf_err ignored;

        if (open_next(p, txid, txid == first ? p->head_ms : INT64_MIN, &source, &ignored) != HF_OK)
            return false;
        if (p->target.engine->segment_check(&source.base, p->env->pool, &ignored) != HF_OK)
            return false;
    }
    return true;
}

/* Bring local state and archive together; see the file comment. */
static enum hf_code agree(struct partition *p, uint64_t head, struct hf_err *err)
{
    bool same = true;
    enum hf_code rc = spool_drop(p->spool, 1, head, err);

    p->head_txid = head;
    p->head_ms = 0;
    if (rc == HF_OK && local_txid(p) >= head && head > 0)
        rc = check_head(p, &same, err);
    if (rc != HF_OK)
        return rc;
    if (p->distrust != NULL)
        rc = throw_away(p, p->distrust, err);
    else if (head == 0 && local_txid(p) > 0)
        rc = throw_away(p, "its first snapshot was never archived", err);
    else if (!same)
        rc = forget_digest(p, "the archive has another state there, or too old a one", err);
    else if (local_txid(p) > p->head_txid && !spool_holds(p, p->head_txid + 1))
        rc = throw_away(p, "it is ahead of the archive, and the spool is not whole between", err);
    const uint64_t known = local_txid(p);

    if (rc == HF_OK && known < head)
        rc = adopt_from_archive(p, err);
    if (rc == HF_DAMAGE && known > 0) { /* the local state's, or the archive's: which will show */
        rc = forget_digest(p, err->text, err);
        if (rc == HF_OK)
            rc = adopt_from_archive(p, err);
    }
    if (rc != HF_OK)
        return rc;
    p->distrust = NULL;
    rc = adopt_from_spool(p, err);
    if (rc != HF_DAMAGE && rc != HF_HOLE && rc != HF_NOT_FOUND)
        return rc; /* nothing that speaks against the spool */
    hf_log(HF_LOG_WARN, "%s: the spool is thrown away and will be caught up with: %s",
           p->target.name, err->text);
    rc = throw_away(p, "the spool could not be used", err);
    return rc != HF_OK || head == 0 ? rc : adopt_from_archive(p, err);
}

/* HF_HOLE: segments that the store had confirmed are gone from the end of the archive. */
static enum hf_code check_tail(struct partition *p, uint64_t head, struct hf_err *err)
{
    const uint64_t here = partition_confirmed(p);
    const uint64_t confirmed = here > p->owner.last_txid ? here : p->owner.last_txid;

    if (confirmed <= head)
        return HF_OK;
    return hf_err_set(err, HF_HOLE,
                      "%s ends with TXID %" PRIu64 ", but up to TXID %" PRIu64
                      " was confirmed there: objects were removed, or an older copy of the archive "
                      "stands in its place. Put them back, or archive to a new URL",
                      p->target.url, head, confirmed);
}

static enum hf_code reconcile(struct partition *p, struct hf_err *err)
{
    HF_CLEANUP(hf_head_done) struct hf_head head = {0};
    const uint64_t confirmed = partition_confirmed(p);
    enum hf_code rc = hf_listing_head(&p->archive, 0, &head, err);

    if (rc != HF_OK)
        return rc;
    if (head.head_txid < head.max_txid)
        return hf_err_set(err, HF_HOLE,
                          "%s has a hole behind TXID %" PRIu64 " (it goes on to %" PRIu64
                          "): nothing that is added could be restored across it. See `holdfast "
                          "list`, and archive to a new URL",
                          p->target.url, head.head_txid, head.max_txid);
    if (head.max_txid == 0 && confirmed > 0)
        return refuse_empty(p, confirmed, err);
    rc = check_tail(p, head.head_txid, err);
    if (rc == HF_OK)
        rc = agree(p, head.head_txid, err);
    if (rc != HF_OK)
        return rc;
    (void)pthread_mutex_lock(&p->mutex);
    p->guarded.status.archived_txid = p->head_txid;
    p->guarded.status.archived_ms = p->head_ms;
    p->guarded.status.captured_txid = local_txid(p);
    (void)pthread_mutex_unlock(&p->mutex);
    return HF_OK;
}

static enum hf_code list_as_member(struct partition *p, struct hf_err *err)
{
    struct hf_member m;

    if (p->target.table == NULL)
        return HF_OK;
    const enum hf_code rc =
        hf_member_init(&m, p->target.partition, p->target.db_path, p->archive.format.lineage, err);

    return rc != HF_OK ? rc : hf_member_put(p->target.store, p->target.table, &m, err);
}

enum hf_code partition_start(struct partition *p, uint32_t page_bytes, struct hf_err *err)
{
    HF_AUTO_FREE char *spool_dir = hf_strfmt("%s/spool", p->state_dir);
    enum hf_code rc = lock_state(p, err);

    p->proof.is = false;
    if (rc == HF_OK)
        rc = spool_open(p->env->fs, spool_dir, &p->spool, err);
    if (rc == HF_OK)
        rc = claim_archive(p, page_bytes, err);
    if (rc == HF_OK)
        rc = open_live(p, err);
    if (rc == HF_OK)
        rc = reconcile(p, err);
    if (rc == HF_OK)
        rc = list_as_member(p, err);
    if (rc == HF_OK && p->server != NULL)
        rc = hf_control_new(p->server, p->state_dir, partition_answer, p, &p->control, err);
    if (rc != HF_OK)
        partition_stop(p, PHASE_START);
    return rc;
}

void partition_stop(struct partition *p, enum partition_phase phase)
{
    (void)pthread_mutex_lock(&p->in_use);
    partition_set_phase(p, phase);
    hf_control_free(p->control);
    p->control = NULL;
    if (p->live != NULL)
        p->live->ops->free(p->live);
    partition_snapshot_forget(p);
    p->live = NULL;
    spool_free(p->spool);
    p->spool = NULL;
    hf_file_close(p->lock);
    p->lock = NULL;
    (void)pthread_mutex_unlock(&p->in_use);
}
