/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach.c - the attach job of a partition: all that comes before its log is followed, and comes
 * again after it was let go of.
 *
 * It may take hours (it waits for the store, and reads whole databases), so it has threads of its
 * own: a partition that is followed must hand over every 50 ms whatever the others do.
 */
#include <inttypes.h>
#include <string.h>

#include "archiver/partition.h"
#include "base/log.h"

#define LOOK_AGAIN_MS 1000
#define IN_USE_MS     50

static int64_t fail(struct partition *p, const struct hf_err *err)
{
    if (!p->once)
        hf_log(HF_LOG_ERROR, "%s: it is not archived any more: %s", p->target.name, err->text);
    partition_fail(p, err);
    return partition_end_capture(p);
}

/* Stopped before the log was followed. What kept it from that is how it ends, if something did. */
static int64_t end_stopped(struct partition *p)
{
    partition_fail_unknown(p, p->retry_ms > 0 ? &p->waits_for : NULL);
    return partition_end_capture(p);
}

/* Worth waiting for, unless the caller wants one pass and an answer. */
static bool may_pass(const struct partition *p, enum hf_code code)
{
    return !p->once &&
           (hf_code_retryable(code) || code == HF_IO || code == HF_UNCERTAIN || code == HF_DENIED);
}

/* The database is gone, or is none that can be followed: somebody may put it right. */
static bool database_may_come(const struct partition *p, enum hf_code code)
{
    return !p->once && (code == HF_USAGE || code == HF_NOT_FOUND || code == HF_CONFLICT) &&
           !p->target.never_catch_up;
}

/* Said once, and again when it changes: it may last for days. */
static int64_t wait_for_better(struct partition *p, const char *doing, const struct hf_err *err)
{
    const bool said = p->retry_ms > 0 && strcmp(p->waits_for.text, err->text) == 0;
    const int64_t again_ms = partition_back_off(&p->retry_ms, RETRY_MS_MAX);

    p->waits_for = *err;
    hf_log(said                     ? HF_LOG_DEBUG
           : may_pass(p, err->code) ? HF_LOG_WARN
                                    : HF_LOG_ERROR,
           "%s: %s: %s; again in %lld ms, and then at least every %d s", p->target.name, doing,
           err->text, (long long)again_ms, RETRY_MS_MAX / 1000);
    return again_ms;
}

static int64_t judge_failure(struct partition *p, const char *doing, bool of_database,
                             const struct hf_err *err)
{
    if (partition_stopping(p)) {
        partition_fail_unknown(p, err);
        return partition_end_capture(p);
    }
    if (may_pass(p, err->code) || (of_database && database_may_come(p, err->code)))
        return wait_for_better(p, doing, err);
    return fail(p, err);
}

static int64_t start(struct partition *p)
{
    struct hf_live_probe probe = {0};
    struct hf_err err;
    enum hf_code rc = p->target.engine->live_probe(p->target.db_path, &probe, &err);

    if (rc != HF_OK)
        return judge_failure(p, "look at the database", true, &err);
    if (probe.warning != NULL && !p->warned)
        hf_log(p->once ? HF_LOG_DEBUG : HF_LOG_WARN, "%s: %s", p->target.name, probe.warning);
    p->warned = true;
    rc = partition_start(p, probe.page_bytes, &err);
    if (rc != HF_OK)
        return judge_failure(p, "start", false, &err);
    p->retry_ms = 0;
    partition_set_phase(p, PHASE_ATTACH);
    return 0;
}

static void report_lost(struct partition *p)
{
    hf_log(HF_LOG_ERROR,
           "%s: the live database has lost commits that are in the archive (TXID %" PRIu64
           " and perhaps before): a power cut with synchronous=NORMAL does that. The archive keeps "
           "them; the database as it is now follows as a catch-up",
           p->target.name, p->live->ops->state(p->live)->txid);
    (void)pthread_mutex_lock(&p->mutex);
    p->guarded.lost = true;
    (void)pthread_mutex_unlock(&p->mutex);
}

static enum hf_code catch_up(struct partition *p, struct hf_err *err)
{
    bool made = false;

    if (p->target.never_catch_up)
        return hf_err_set(err, HF_CONFLICT,
                          "the log does not prove that it continues where the archive ends");
    hf_log(HF_LOG_INFO, "%s: the log does not prove continuity; comparing every page",
           p->target.name);
    const enum hf_code rc = p->live->ops->catch_up(p->live, &p->taker, &made, err);

    if (rc == HF_OK)
        hf_log(HF_LOG_INFO, "%s: %s", p->target.name,
               made ? "what differed follows as a catch-up" : "nothing had changed");
    return rc;
}

static enum hf_code do_what_is_needed(struct partition *p, enum hf_live_need need,
                                      struct hf_err *err)
{
    if (need == HF_LIVE_CATCH_UP)
        return catch_up(p, err);
    if (need != HF_LIVE_SNAPSHOT)
        return HF_OK;
    return partition_snapshot_begin(p, err);
}

static int64_t follow(struct partition *p)
{
    const uint64_t txid = p->live->ops->state(p->live)->txid;

    hf_log(HF_LOG_INFO, "%s: following the log behind TXID %" PRIu64, p->target.name, txid);
    p->retry_ms = 0;
    p->followed = true;
    p->sound_txid = txid;
    partition_publish(p, NULL);
    partition_set_phase(p, PHASE_FOLLOW);
    return HF_JOB_WHEN_WOKEN;
}

/* Hold the log, and do what is needed before it can be followed. Nothing is held after a failure.
 */
static enum hf_code hold(struct partition *p, struct hf_err *err)
{
    enum hf_live_need need = HF_LIVE_FOLLOW;
    struct hf_live_probe probe = {0};
    bool lost = false;

    /* The one that was started with may be gone: the probe says it best. */
    enum hf_code rc = p->target.engine->live_probe(p->target.db_path, &probe, err);

    if (rc == HF_OK)
        rc = p->live->ops->attach(p->live, &need, &lost, err);
    if (rc != HF_OK)
        return rc;
    if (lost)
        report_lost(p);
    rc = do_what_is_needed(p, need, err);
    if (rc != HF_OK)
        p->live->ops->detach(p->live);
    return rc;
}

static int64_t attach(struct partition *p)
{
    struct hf_err err;

    if (p->live->ops->state(p->live)->txid == 0 && !partition_snapshot_reserve(p))
        return LOOK_AGAIN_MS;
    partition_watch_begin(p);
    if (hold(p, &err) == HF_OK)
        return follow(p);
    if (p->crowded && !partition_stopping(p)) {
        p->cancel = false;
        partition_let_go(p, "the disk has little space left");
        return 0;
    }
    partition_snapshot_forget(p);
    return judge_failure(p, "attach", true, &err);
}

/* The spool is empty, and what made it let go has passed; or that was so long ago that it is worth
 * trying, as the log may have shrunk, which only attaching can tell. */
static int64_t wait_detached(struct partition *p)
{
    const int64_t wait_ms = partition_disk_is_low(p) ? LET_GO_MS_MAX : p->let_go_ms;
    const int64_t left_us = p->let_go_us + wait_ms * 1000 - hf_mono_us(p->env->clock);

    if (left_us > 0)
        return left_us < LOOK_AGAIN_MS * 1000 ? left_us / 1000 + 1 : LOOK_AGAIN_MS;
    if (spool_first(p->spool) != 0)
        return LOOK_AGAIN_MS;
    partition_set_phase(p, PHASE_ATTACH);
    return 0;
}

/* The upload job is in what start set up. In this phase it soon comes out of it, but for a call of
 * the store, which may take long: a thread that waited could attach no other partition. */
static bool is_in_use(struct partition *p)
{
    if (pthread_mutex_trylock(&p->in_use) != 0)
        return true;
    (void)pthread_mutex_unlock(&p->in_use);
    return false;
}

static int64_t stop_to_start(struct partition *p)
{
    const int64_t wait_ms = p->rival ? RETRY_MS_MIN : 0;

    if (is_in_use(p))
        return IN_USE_MS;
    p->rival = false;
    partition_stop(p, PHASE_START);
    return wait_ms;
}

int64_t partition_attach(void *ctx)
{
    struct partition *p = ctx;
    const enum partition_phase phase = partition_phase(p);

    if (phase == PHASE_CAPTURED || phase == PHASE_ENDED)
        return HF_JOB_ENDED;
    if (phase == PHASE_FOLLOW)
        return HF_JOB_WHEN_WOKEN;
    if (partition_obey(p))
        return 0;
    if (partition_stopping(p))
        return end_stopped(p);
    switch (phase) {
    case PHASE_START:
        return start(p);
    case PHASE_RESTART:
        return stop_to_start(p);
    case PHASE_ATTACH:
        return attach(p);
    case PHASE_DETACHED:
        return wait_detached(p);
    default:
        return HF_JOB_WHEN_WOKEN;
    }
}
