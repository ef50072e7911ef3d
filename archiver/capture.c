/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture.c - the capture job of a partition: it follows the log, from attach until it lets go.
 *
 * It never waits: neither for the store (what it makes goes to the spool) nor for anything that
 * takes long, as every partition must hand over within 50 ms (rule 2). What breaks it off is put
 * right by the attach job.
 */
#include <inttypes.h>

#include "archiver/partition.h"
#include "base/log.h"

#define PACE_MS        50
#define PACE_MS_MAX    1000
#define FAILING_US_MAX 30000000 /* after failing for so long, it holds the log for nothing */

static int64_t let_go(struct partition *p, const char *why)
{
    partition_let_go(p, why);
    return HF_JOB_WHEN_WOKEN;
}

/* What leaves the phase begins with this: not while the snapshot's image is read. */
static bool may_leave(struct partition *p)
{
    return partition_snapshot_hold_back(p);
}

static int64_t fail(struct partition *p, const struct hf_err *err)
{
    if (!p->once)
        hf_log(HF_LOG_ERROR, "%s: capture has ended: %s", p->target.name, err->text);
    partition_fail(p, err);
    return partition_end_capture(p);
}

void partition_publish(struct partition *p, const struct hf_round *round)
{
    (void)pthread_mutex_lock(&p->mutex);
    p->guarded.status.captured_txid = p->live->ops->state(p->live)->txid;
    p->guarded.status.spool_bytes = spool_bytes(p->spool);
    p->guarded.status.caught_up = round != NULL && round->current &&
                                  p->guarded.status.archived_txid ==
                                      p->guarded.status.captured_txid;
    if (round != NULL) {
        p->guarded.status.log_bytes = round->log_bytes;
        p->guarded.status.resting = round->resting;
    }
    (void)pthread_mutex_unlock(&p->mutex);
    if (spool_first(p->spool) != 0)
        hf_job_wake(p->upload_job);
}

static bool take_question(struct partition *p, struct hf_position *ret)
{
    (void)pthread_mutex_lock(&p->mutex);
    const bool asked = p->guarded.question && !p->guarded.until_passed;

    *ret = p->guarded.until;
    (void)pthread_mutex_unlock(&p->mutex);
    return asked;
}

/* Local state or the log is damaged: begin again from the archive and catch up. */
static int64_t renew(struct partition *p, const struct hf_err *err)
{
    hf_log(HF_LOG_ERROR, "%s: %s; starting again from the archive", p->target.name, err->text);
    p->renewed = true;
    p->distrust = "it or the log is damaged";
    p->live->ops->detach(p->live);
    partition_set_phase(p, PHASE_RESTART);
    return HF_JOB_WHEN_WOKEN;
}

/* Rule 3: alarm, then catch up with what stands there now. */
static int64_t catch_up_after_break(struct partition *p, const struct hf_err *err)
{
    hf_log(HF_LOG_ERROR,
           "%s: %s. What was committed since TXID %" PRIu64
           " may have no restore points; the database that is there now follows as a catch-up",
           p->target.name, err->text, p->live->ops->state(p->live)->txid);
    (void)pthread_mutex_lock(&p->mutex);
    p->guarded.status.breaks_count++;
    (void)pthread_mutex_unlock(&p->mutex);
    p->live->ops->detach(p->live);
    /* Without TXID 1 there is nothing that a catch-up could follow. */
    partition_set_phase(p,
                        partition_snapshot_step(p) == SNAPSHOT_NONE ? PHASE_ATTACH : PHASE_RESTART);
    return HF_JOB_WHEN_WOKEN;
}

/* The round had no effect, and nothing was handed over: soon again, or not at all. */
static int64_t try_again(struct partition *p, const struct hf_err *err)
{
    const int64_t now_us = hf_mono_us(p->env->clock);

    if (p->failing_us == 0) {
        p->failing_us = now_us;
        hf_log(HF_LOG_WARN, "%s: capture: %s; trying again", p->target.name, err->text);
    }
    if (now_us - p->failing_us > FAILING_US_MAX && may_leave(p)) {
        p->failing_us = 0;
        p->retry_ms = 0;
        return let_go(p, err->text);
    }
    p->retry_ms = p->retry_ms == 0 ? PACE_MS : p->retry_ms * 2;
    if (p->retry_ms > PACE_MS_MAX)
        p->retry_ms = PACE_MS_MAX;
    return p->retry_ms;
}

static int64_t judge_failure(struct partition *p, const struct hf_err *err)
{
    const enum hf_code code = err->code;

    if (!p->once && !partition_stopping(p) && code != HF_CONFLICT && code != HF_DAMAGE &&
        code != HF_FULL)
        return try_again(p, err);
    if (!may_leave(p))
        return PACE_MS;
    if (p->once)
        return fail(p, err);
    if (partition_stopping(p)) {
        partition_fail_unknown(p, err);
        return partition_end_capture(p);
    }
    if (code == HF_CONFLICT)
        return p->target.never_catch_up ? fail(p, err) : catch_up_after_break(p, err);
    if (code == HF_DAMAGE)
        return p->renewed ? fail(p, err) : renew(p, err);
    return let_go(p, err->text);
}

/* A segment that was made while following is archived: whatever it was, it has passed. */
static void note_sound(struct partition *p)
{
    (void)pthread_mutex_lock(&p->mutex);
    const bool sound = p->guarded.status.archived_txid > p->sound_txid;

    (void)pthread_mutex_unlock(&p->mutex);
    if (!sound)
        return;
    p->renewed = false;
    p->let_go_ms = 0;
}

/* Everything is captured that was committed before the stop, or nothing more can be. */
static int64_t stop(struct partition *p, const struct hf_round *round)
{
    const bool stalled = partition_stalled_us(p) > STOP_STALL_US;
    struct hf_err err;

    if (!may_leave(p))
        return PACE_MS;
    if (partition_snapshot_step(p) != SNAPSHOT_NONE) {
        (void)hf_err_set(&err, HF_CANCELED, "stopped before the first snapshot was archived");
        partition_fail(p, &err);
        return partition_end_capture(p);
    }
    if (!round->current && !stalled)
        return round->wait_ms;
    if (!round->current)
        partition_fail_unknown(p, NULL);
    return partition_end_capture(p);
}

/* `stopped` is from before the round: one that a stop came into may have looked too early. */
static int64_t judge_round(struct partition *p, const struct hf_round *round, bool stopped)
{
    const bool snapshot = partition_snapshot_step(p) != SNAPSHOT_NONE;
    const char *why = NULL;

    if (round->segments_count > 0)
        partition_note_progress(p);
    if (stopped)
        return stop(p, round);
    if (p->once && round->current && !snapshot)
        return partition_end_capture(p);
    why = partition_must_let_go(p, round->log_bytes);
    if (why != NULL)
        return may_leave(p) ? let_go(p, why) : PACE_MS;
    if (snapshot)
        partition_snapshot_resume(p);
    return round->wait_ms;
}

static int64_t follow(struct partition *p)
{
    struct hf_position until;
    const bool asked = take_question(p, &until);
    const int64_t now_us = hf_mono_us(p->env->clock);
    const bool stopped = partition_stopping(p);

    if (stopped && !p->told_stop && p->stop_job != NULL)
        hf_job_wake(p->stop_job); /* once: it wakes this job again */
    p->told_stop = stopped;
    const bool last = stopped || (p->once && partition_snapshot_step(p) == SNAPSHOT_NONE);
    struct hf_round round = {
        .cut = last || now_us - p->cut_us >= p->target.capture_ms * 1000,
        .until = asked ? &until : NULL,
    };
    struct hf_err err;
    const enum hf_code rc = p->live->ops->round(p->live, &round, &p->taker, &err);

    partition_publish(p, rc == HF_OK ? &round : NULL);
    if (asked)
        partition_settle_question(p, rc == HF_OK && round.looked, rc == HF_OK && round.waited_for);
    if (rc != HF_OK)
        return judge_failure(p, &err);
    p->retry_ms = 0;
    p->failing_us = 0;
    if (round.segments_count > 0)
        p->cut_us = now_us;
    note_sound(p);
    return judge_round(p, &round, stopped);
}

int64_t partition_capture(void *ctx)
{
    struct partition *p = ctx;
    const enum partition_phase phase = partition_phase(p);

    if (phase == PHASE_CAPTURED || phase == PHASE_ENDED)
        return HF_JOB_ENDED;
    if (phase != PHASE_FOLLOW || partition_obey(p))
        return HF_JOB_WHEN_WOKEN;
    return follow(p);
}
