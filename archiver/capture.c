/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture.c - the capture job of a partition: start, attach, follow, let go.
 *
 * It never waits for the store once the first snapshot is there: what it makes goes to the spool.
 */
#include <inttypes.h>

#include "archiver/partition.h"
#include "base/check.h"
#include "base/log.h"

#define FULL_RETRY_MS 1000

static bool stopping(const struct partition *p)
{
    return p->env->stop != NULL && *p->env->stop;
}

/* Nothing more will be captured: let the upload job finish. */
static int64_t end_capture(struct partition *p)
{
    if (p->live != NULL)
        p->live->ops->detach(p->live);
    if (partition_phase(p) != PHASE_ENDED)
        partition_set_phase(p, PHASE_CAPTURED);
    hf_job_wake(p->upload_job);
    return HF_JOB_ENDED;
}

static int64_t fail_capture(struct partition *p, const struct hf_err *err)
{
    if (!p->once)
        hf_log(HF_LOG_ERROR, "%s: capture has ended: %s", p->target.name, err->text);
    partition_fail(p, err);
    return end_capture(p);
}

/* Worth waiting for, unless the caller wants one pass and an answer. */
static bool may_pass(const struct partition *p, enum hf_code code)
{
    return !p->once && !stopping(p) &&
           (hf_code_retryable(code) || code == HF_IO || code == HF_UNCERTAIN || code == HF_DENIED);
}

static int64_t wait_for_better(struct partition *p, const char *doing, const struct hf_err *err)
{
    p->waits_for = *err;
    return partition_retry(p, &p->retry_ms, doing, err);
}

/* Stopped before the log was followed. What kept it from that is how it ends, if something did. */
static int64_t end_unattached(struct partition *p)
{
    if (p->retry_ms > 0)
        partition_fail(p, &p->waits_for);
    return end_capture(p);
}

static int64_t start(struct partition *p)
{
    struct hf_err err;
    const enum hf_code rc = partition_start(p, &err);

    if (rc == HF_OK) {
        p->retry_ms = 0;
        partition_set_phase(p, PHASE_ATTACH);
        hf_job_wake(p->upload_job);
        return 0;
    }
    if (may_pass(p, rc))
        return wait_for_better(p, "start", &err);
    return fail_capture(p, &err);
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

static enum hf_code do_what_is_needed(struct partition *p, enum hf_live_need need,
                                      struct hf_err *err)
{
    bool made = false;
    enum hf_code rc = HF_OK;

    if (need == HF_LIVE_SNAPSHOT) {
        hf_log(HF_LOG_INFO, "%s: first snapshot", p->target.name);
        rc = p->live->ops->snapshot(p->live, err);
        if (rc == HF_OK)
            rc = p->live->ops->give_snapshot(p->live, &p->taker, &p->cancel, err);
        if (rc != HF_OK) {
            struct hf_err ignored;

            p->live->ops->detach(p->live);
            (void)!p->live->ops->reset(p->live, &ignored);
        }
        if (rc == HF_OK)
            hf_log(HF_LOG_INFO, "%s: snapshot is archived", p->target.name);
    }
    if (need == HF_LIVE_CATCH_UP && p->target.never_catch_up)
        return hf_err_set(err, HF_CONFLICT,
                          "the log does not prove that it continues where the archive ends");
    if (need == HF_LIVE_CATCH_UP) {
        hf_log(HF_LOG_INFO, "%s: the log does not prove continuity; comparing every page",
               p->target.name);
        rc = p->live->ops->catch_up(p->live, &p->taker, &made, err);
        if (rc == HF_OK)
            hf_log(HF_LOG_INFO, "%s: %s", p->target.name,
                   made ? "what differed follows as a catch-up" : "nothing had changed");
    }
    return rc;
}

static void publish(struct partition *p, const struct hf_round *round)
{
    (void)pthread_mutex_lock(&p->mutex);
    p->guarded.status.captured_txid = p->live->ops->state(p->live)->txid;
    p->guarded.status.spool_bytes = spool_bytes(p->spool);
    if (round != NULL) {
        p->guarded.status.log_bytes = round->log_bytes;
        p->guarded.status.resting = round->resting;
        p->guarded.status.caught_up = round->current && p->guarded.status.archived_txid ==
                                                            p->guarded.status.captured_txid;
    }
    (void)pthread_mutex_unlock(&p->mutex);
    if (spool_first(p->spool) != 0)
        hf_job_wake(p->upload_job);
}

static int64_t attach(struct partition *p)
{
    enum hf_live_need need = HF_LIVE_FOLLOW;
    bool lost = false;
    struct hf_err err;
    enum hf_code rc = p->live->ops->attach(p->live, &need, &lost, &err);

    if (rc == HF_OK && lost)
        report_lost(p);
    if (rc == HF_OK) {
        rc = do_what_is_needed(p, need, &err);
        if (rc != HF_OK)
            p->live->ops->detach(p->live);
    }
    if (rc == HF_OK) {
        hf_log(HF_LOG_INFO, "%s: following the log behind TXID %" PRIu64, p->target.name,
               p->live->ops->state(p->live)->txid);
        p->retry_ms = 0;
        publish(p, NULL);
        partition_set_phase(p, PHASE_FOLLOW);
        return 0;
    }
    /* Somebody else put TXID 1 first, or we did and cannot tell: look again from the start. */
    if (need == HF_LIVE_SNAPSHOT && (rc == HF_CONFLICT || rc == HF_UNCERTAIN)) {
        partition_stop(p, PHASE_START);
        return RETRY_MS_MIN;
    }
    if (may_pass(p, rc))
        return wait_for_better(p, "attach", &err);
    return fail_capture(p, &err);
}

static bool disk_is_low(const struct partition *p, const char *path)
{
    uint64_t free_bytes = 0;
    uint64_t total_bytes = 0;
    struct hf_err ignored;

    return hf_fs_space(p->env->fs, path, &free_bytes, &total_bytes, &ignored) == HF_OK &&
           free_bytes < total_bytes / 100 * FREE_DISK_PERCENT;
}

static bool store_fails(struct partition *p)
{
    (void)pthread_mutex_lock(&p->mutex);
    const bool fails = p->guarded.store_fails;

    (void)pthread_mutex_unlock(&p->mutex);
    return fails;
}

/* C8: never fill the application's disk because the store is down: neither by the spool nor by the
 * log that we hold. */
static bool must_let_go(struct partition *p)
{
    if (spool_bytes(p->spool) > SPOOL_BYTES_MAX)
        return true;
    return store_fails(p) && (disk_is_low(p, p->state_dir) || disk_is_low(p, p->target.db_path));
}

static int64_t let_go(struct partition *p)
{
    hf_log(HF_LOG_ERROR,
           "%s: the spool has %" PRIu64
           " bytes that the store does not take, or its disk is full: capture lets go of the log; "
           "restore points will be missing until that is mended, and are then caught up with",
           p->target.name, spool_bytes(p->spool));
    p->live->ops->detach(p->live);
    partition_set_phase(p, PHASE_DETACHED);
    return FULL_RETRY_MS;
}

static bool take_question(struct partition *p, struct hf_position *ret)
{
    (void)pthread_mutex_lock(&p->mutex);
    const bool asked = p->guarded.question && p->guarded.until_txid == 0 &&
                       !p->guarded.until_passed;

    *ret = p->guarded.until;
    (void)pthread_mutex_unlock(&p->mutex);
    return asked;
}

/* Local state or the log is damaged: once, begin again from the archive and catch up. */
static int64_t renew(struct partition *p, const struct hf_err *err)
{
    hf_log(HF_LOG_ERROR, "%s: %s; starting again from the archive", p->target.name, err->text);
    p->renewed = true;
    p->distrust = true;
    partition_stop(p, PHASE_START);
    return 0;
}

static int64_t follow(struct partition *p)
{
    struct hf_position until;
    const bool asked = take_question(p, &until);
    const int64_t now_us = hf_mono_us(p->env->clock);
    const bool last = p->once || stopping(p);
    struct hf_round round = {
        .cut = last || now_us - p->cut_us >= p->target.capture_ms * 1000,
        .until = asked ? &until : NULL,
    };
    struct hf_err err;
    const enum hf_code rc = p->live->ops->round(p->live, &round, &p->taker, &err);

    if (rc == HF_CONFLICT)
        return fail_capture(p, &err);
    publish(p, rc == HF_OK ? &round : NULL);
    if (asked)
        partition_settle_question(p, rc == HF_OK && round.looked);
    if (rc != HF_OK) {
        if (rc == HF_DAMAGE && !p->renewed)
            return renew(p, &err);
        if (last || rc == HF_DAMAGE)
            return fail_capture(p, &err);
        if (rc == HF_FULL)
            return let_go(p);
        return partition_retry(p, &p->retry_ms, "capture", &err);
    }
    p->retry_ms = 0;
    if (round.segments_count > 0)
        p->cut_us = now_us;
    if (last && round.current)
        return end_capture(p);
    if (must_let_go(p))
        return let_go(p);
    return round.wait_ms;
}

static bool take_rival(struct partition *p)
{
    (void)pthread_mutex_lock(&p->mutex);
    const bool rival = p->guarded.rival;

    p->guarded.rival = false;
    (void)pthread_mutex_unlock(&p->mutex);
    return rival;
}

int64_t partition_capture(void *ctx)
{
    struct partition *p = ctx;
    const enum partition_phase phase = partition_phase(p);

    if (phase == PHASE_ENDED)
        return end_capture(p);
    if (take_rival(p)) {
        p->distrust = true;
        partition_stop(p, PHASE_START);
        return RETRY_MS_MIN; /* the other one may still be at it, until it looks at the owner */
    }
    if (stopping(p) && (phase == PHASE_START || phase == PHASE_ATTACH))
        return end_unattached(p);
    if (stopping(p) && phase != PHASE_FOLLOW)
        return end_capture(p);
    switch (phase) {
    case PHASE_START:
        return start(p);
    case PHASE_ATTACH:
        return attach(p);
    case PHASE_FOLLOW:
        return follow(p);
    case PHASE_DETACHED:
        if (spool_first(p->spool) != 0)
            return FULL_RETRY_MS;
        partition_set_phase(p, PHASE_ATTACH);
        return 0;
    case PHASE_CAPTURED:
    case PHASE_ENDED:
        break;
    }
    return end_capture(p);
}
