/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload.c - the upload job of a partition: from the spool to the store, in order of TXID.
 *
 * Invariants
 * 1. Segment n + 1 is put only after n was confirmed, so the archive has no hole of ours.
 * 2. A segment leaves the spool only after the store has confirmed its very bytes.
 * 3. Level-0 keys are created only if absent. On a conflict the object is looked at: the same bytes
 *    are our own past; a newer epoch means that we are fenced; anything else is another past of
 *    ours, and the local state is made anew from the archive.
 * 4. A catch-up is put only after the record of it, so no gap goes unlisted.
 */
#include <inttypes.h>

#include "archive/catchups.h"
#include "archive/plan.h"
#include "archiver/partition.h"
#include "base/log.h"

#define SEGMENTS_PER_RUN  16
#define STOP_RETRY_MS_MAX 2000

static void confirm(struct partition *p, const struct hf_seg_info *info, uint64_t bytes)
{
    p->upload_retry_ms = 0;
    p->upload_again_us = 0;
    partition_set_confirmed(p, info->max_txid);
    (void)pthread_mutex_lock(&p->mutex);
    p->guarded.store_fails = false;
    p->guarded.status.archived_txid = info->max_txid;
    p->guarded.status.archived_ms = info->time_ms;
    p->guarded.status.uploaded_bytes += bytes;
    p->guarded.status.spool_bytes = spool_bytes(p->spool);
    (void)pthread_cond_broadcast(&p->changed);
    (void)pthread_mutex_unlock(&p->mutex);
}

/* Invariant 3: what stands at the key is `body`, or what does it mean that it is not? */
static enum hf_code judge_conflict(struct partition *p, const char *key, struct hf_slice body,
                                   struct hf_err *err)
{
    HF_AUTO_BUF there = {0};
    struct hf_seg_info info;
    enum hf_code rc = hf_store_get(p->target.store, key, 0, 0, &there, NULL, err);

    if (rc != HF_OK)
        return rc;
    if (there.len == body.len && memcmp(there.ptr, body.ptr, body.len) == 0)
        return HF_OK;
    rc = p->target.engine->codec->info(hf_buf_slice(&there), &info, err);
    if (rc != HF_OK)
        return hf_err_wrap(err, "%s", key);
    if (info.epoch > p->owner.epoch)
        return hf_err_set(err, HF_FENCED,
                          "a newer archiver (epoch %" PRIu64 ", ours is %" PRIu64
                          ") owns %s and has written TXID %" PRIu64 ": this one stops",
                          info.epoch, p->owner.epoch, p->target.url, info.max_txid);
    return hf_err_set(err, HF_CONFLICT,
                      "%s holds a segment of an older archiver (epoch %" PRIu64 ")", key,
                      info.epoch);
}

static enum hf_code put_segment(struct partition *p, const char *key, struct hf_slice body,
                                int64_t time_ms, struct hf_err *err)
{
    const struct hf_put put = {
        .cond = (hf_store_caps(p->target.store) & HF_STORE_COND_PUT) != 0 ? HF_PUT_IF_ABSENT
                                                                          : HF_PUT_ALWAYS,
        .timestamp_ms = time_ms,
    };
    enum hf_code rc = hf_store_put(p->target.store, key, body, &put, NULL, err);

    if (rc == HF_CONFLICT || rc == HF_UNCERTAIN)
        rc = judge_conflict(p, key, body, err);
    if (rc == HF_NOT_FOUND) /* uncertain, and it did not happen */
        return hf_err_recode(err, HF_TRANSIENT, "not stored yet");
    return rc;
}

/*
 * Is the archive still ours? Asked before the first segment and then every few seconds in which
 * there are any. A conflict alone would not tell: an archiver that always puts the next TXID first
 * never meets one, and the newer one, which then has to start again each time, would never get in.
 */
static enum hf_code look_at_owner(struct partition *p, struct hf_err *err)
{
    const int64_t since_ms = hf_now_ms(p->env->clock) - p->owner_seen_ms;

    if (p->owner_seen_ms != 0 && since_ms >= 0 && since_ms < OWNER_LOOK_MS)
        return HF_OK;
    const enum hf_code rc = hf_owner_check(&p->archive, &p->owner, err);

    if (rc == HF_OK)
        p->owner_seen_ms = hf_now_ms(p->env->clock);
    return rc;
}

/* HF_CONFLICT: the spool's file is not what was written to it; nothing damaged is ever sent. */
static enum hf_code check_body(struct partition *p, struct hf_slice body, struct hf_seg_info *info,
                               struct hf_err *err)
{
    struct spool_source source;
    enum hf_code rc;

    spool_source_init(&source, body);
    rc = p->target.engine->segment_check(&source.base, p->env->pool, err);
    if (rc == HF_OK)
        rc = p->target.engine->codec->info(body, info, err);
    if (rc == HF_DAMAGE)
        return hf_err_recode(err, HF_CONFLICT, "the spool of %s is damaged", p->state_dir);
    return rc;
}

/* The time of the TXID that was archived last; after a start with a full spool it is looked up. */
static enum hf_code time_archived(struct partition *p, uint64_t txid, int64_t *ret,
                                  struct hf_err *err)
{
    const struct hf_target target = {.kind = HF_TARGET_TXID, .txid = txid};
    HF_AUTO_PLAN *plan = NULL;

    (void)pthread_mutex_lock(&p->mutex);
    const int64_t known_ms = p->guarded.status.archived_txid == txid ? p->guarded.status.archived_ms
                                                                     : 0;

    (void)pthread_mutex_unlock(&p->mutex);
    *ret = known_ms;
    if (known_ms != 0)
        return HF_OK;
    const enum hf_code rc = hf_plan_new(&p->archive, p->target.engine->codec, &target, &plan, err);

    if (rc == HF_OK)
        *ret = plan->time_ms;
    return rc;
}

/* Before a catch-up is put the archive is told of the gap in front of it (ADR 0033). */
static enum hf_code note_gap(struct partition *p, const struct hf_seg_info *info,
                             struct hf_err *err)
{
    int64_t from_ms = 0;
    enum hf_code rc;

    if (!info->catchup)
        return HF_OK;
    rc = time_archived(p, info->min_txid - 1, &from_ms, err);
    return rc != HF_OK ? rc : hf_catchup_put(&p->archive, info, from_ms, err);
}

static enum hf_code upload_first(struct partition *p, struct hf_err *err)
{
    const uint64_t txid = spool_first(p->spool);
    const struct hf_segment segment = {.level = 0, .min_txid = txid, .max_txid = txid};
    HF_AUTO_BUF body = {0};
    struct hf_seg_info info;
    char key[HF_KEY_MAX + 1];
    enum hf_code rc = look_at_owner(p, err);

    if (rc == HF_OK)
        rc = spool_read(p->spool, txid, &body, err);
    if (rc == HF_OK)
        rc = check_body(p, hf_buf_slice(&body), &info, err);
    if (rc == HF_OK)
        rc = note_gap(p, &info, err);
    if (rc != HF_OK)
        return rc;
    hf_archive_segment_key(&p->archive, &segment, key);
    rc = put_segment(p, key, hf_buf_slice(&body), info.time_ms, err);
    if (rc != HF_OK)
        return rc;
    rc = spool_drop(p->spool, txid, txid, err);
    confirm(p, &info, body.len);
    return rc;
}

/* Note until when the database was watched: hourly, and at the end. */
static void touch_owner(struct partition *p, bool now)
{
    const int64_t now_ms = hf_now_ms(p->env->clock);
    const bool lease = (hf_store_caps(p->target.store) & HF_STORE_COND_PUT) == 0;
    const int64_t every_ms = lease ? HF_OWNER_LEASE_MS / 3 : OWNER_TOUCH_MS;
    struct hf_err err;

    if (!now && now_ms - p->touched_ms < every_ms)
        return;
    p->touched_ms = now_ms;
    (void)pthread_mutex_lock(&p->mutex);
    p->owner.last_txid = p->guarded.status.archived_txid;
    (void)pthread_mutex_unlock(&p->mutex);
    const enum hf_code rc = hf_owner_touch(&p->archive, &p->owner, now_ms, &err);

    if (rc == HF_FENCED) {
        hf_log(HF_LOG_ERROR, "%s: %s", p->target.name, err.text);
        partition_fail(p, &err);
        partition_set_phase(p, PHASE_ENDED);
    } else if (rc != HF_OK) {
        hf_log(HF_LOG_WARN, "%s: could not note that the archiver is attached: %s", p->target.name,
               err.text);
    }
}

static int64_t end_upload(struct partition *p)
{
    partition_set_phase(p, PHASE_ENDED);
    return HF_JOB_ENDED;
}

static int64_t judge_failure(struct partition *p, struct hf_err *err)
{
    if (err->code == HF_FENCED) {
        partition_fail(p, err);
        hf_log(HF_LOG_ERROR, "%s: %s", p->target.name, err->text);
        partition_set_phase(p, PHASE_ENDED);
        hf_job_wake(p->capture_job);
        return HF_JOB_ENDED;
    }
    if (err->code == HF_CONFLICT && partition_phase(p) != PHASE_CAPTURED) {
        hf_log(HF_LOG_WARN, "%s: %s; starting again from the archive", p->target.name, err->text);
        (void)pthread_mutex_lock(&p->mutex);
        p->guarded.rival = true;
        (void)pthread_mutex_unlock(&p->mutex);
        hf_job_wake(p->capture_job);
        return HF_JOB_WHEN_WOKEN;
    }
    if ((p->once && partition_phase(p) == PHASE_CAPTURED) || err->code == HF_CANCELED ||
        partition_stopped_for_us(p) > STOP_WAIT_US) {
        (void)hf_err_wrap(err,
                          "segments from TXID %" PRIu64
                          " on are not archived yet and wait in "
                          "the spool for the next start",
                          spool_first(p->spool));
        partition_fail(p, err);
        return end_upload(p);
    }
    (void)pthread_mutex_lock(&p->mutex);
    p->guarded.store_fails = true;
    (void)pthread_mutex_unlock(&p->mutex);
    int64_t again_ms = partition_retry(p, &p->upload_retry_ms, "upload", err);

    if (partition_stopped_for_us(p) > 0 && again_ms > STOP_RETRY_MS_MAX)
        again_ms = STOP_RETRY_MS_MAX;
    p->upload_again_us = hf_mono_us(p->env->clock) + again_ms * 1000;
    return again_ms;
}

static int64_t run(struct partition *p)
{
    const enum partition_phase phase = partition_phase(p);
    struct hf_err err;

    if (phase == PHASE_ENDED)
        return HF_JOB_ENDED;
    if (phase == PHASE_START)
        return HF_JOB_WHEN_WOKEN;
    if (p->spool == NULL)
        return end_upload(p); /* never started */
    const int64_t wait_us = p->upload_again_us - hf_mono_us(p->env->clock);

    if (wait_us > 0 && phase != PHASE_CAPTURED)
        return wait_us / 1000 + 1; /* woken by a new segment, while an older one must wait */
    for (int i = 0; i < SEGMENTS_PER_RUN && spool_first(p->spool) != 0; i++) {
        if (upload_first(p, &err) != HF_OK)
            return judge_failure(p, &err);
    }
    touch_owner(p, phase == PHASE_CAPTURED && spool_first(p->spool) == 0);
    if (spool_first(p->spool) != 0)
        return 0;
    if (phase == PHASE_CAPTURED)
        return end_upload(p);
    return OWNER_TOUCH_MS / 180; /* woken for segments; else for the owner's note */
}

int64_t partition_upload(void *ctx)
{
    struct partition *p = ctx;

    (void)pthread_mutex_lock(&p->in_use);
    const int64_t again_ms = run(p);

    (void)pthread_mutex_unlock(&p->in_use);
    return again_ms;
}
