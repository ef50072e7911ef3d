/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload.c - the upload job of a partition: from the spool to the store, in order of TXID.
 *
 * Invariants
 * 1. Segment n + 1 is put only after n was confirmed, so the archive has no hole of ours.
 * 2. A segment leaves the spool only after the store has confirmed its very bytes.
 * 3. Level-0 keys are created only if absent. On a conflict the object is looked at: the same bytes
 *    are our own past; a newer epoch means that we are fenced; anything else is another past of
 *    ours, and a start judges by it what is local (reconcile.c).
 * 4. A catch-up is put only after the record of it, so no gap goes unlisted.
 */
#include <inttypes.h>
#include <string.h>

#include "archive/catchups.h"
#include "archive/source.h"
#include "archiver/partition.h"
#include "base/check.h"
#include "base/log.h"

#define SEGMENTS_PER_RUN  16
#define STOP_RETRY_MS_MAX 2000
#define OWNER_LOOK_MS     5000 /* a newer archiver is noticed after this */
#define LEASE_EVERY_MS    (HF_OWNER_LEASE_MS / 6)
#define PUT_BYTES_MAX     (UINT64_C(64) << 20) /* larger ones go up in pieces, by an upload; */
#define PIECE_BYTES       (UINT64_C(8) << 20)  /* under a lease, all larger than one */

static void confirm(struct partition *p, const struct hf_seg_info *info, uint64_t bytes)
{
    p->upload_retry_ms = 0;
    p->upload_again_us = 0;
    p->proof.head = info->max_txid;
    partition_set_confirmed(p, info);
    partition_note_taken(p);
    (void)pthread_mutex_lock(&p->mutex);
    p->guarded.store_fails = false;
    p->guarded.status.archived_txid = info->max_txid;
    p->guarded.status.archived_ms = info->time_ms;
    p->guarded.status.uploaded_bytes += bytes;
    p->guarded.status.spool_bytes = spool_bytes(p->spool);
    (void)pthread_cond_broadcast(&p->changed);
    (void)pthread_mutex_unlock(&p->mutex);
}

/* ---- whose the archive is ------------------------------------------------------------------- */

bool partition_has_lease(const struct partition *p)
{
    return (hf_store_caps(p->target.store) & HF_STORE_COND_PUT) == 0;
}

/* Where only a lease holds, half of it must be left, as a put takes its time; more than all of it
 * is left by a clock that was set back. */
static bool lease_is_good(const struct partition *p)
{
    const int64_t now_ms = hf_now_ms(p->env->clock);

    return !hf_owner_lease_is_short(&p->owner, now_ms) &&
           p->owner.lease_until_ms - now_ms <= HF_OWNER_LEASE_MS;
}

bool partition_holds_archive(const struct partition *p)
{
    return p->owner.epoch > 0 && !hf_owner_lease_is_short(&p->owner, hf_now_ms(p->env->clock));
}

static bool proof_is_fresh(const struct partition *p, uint64_t head)
{
    const int64_t wall_ms = hf_now_ms(p->env->clock) - p->proof.wall_ms;
    const int64_t mono_us = hf_mono_us(p->env->clock) - p->proof.mono_us;

    /* By both clocks: one may be set back, the other stands still while the machine sleeps. */
    return p->proof.is && p->proof.head == head && wall_ms >= 0 && wall_ms < OWNER_LOOK_MS &&
           mono_us < OWNER_LOOK_MS * INT64_C(1000) && lease_is_good(p);
}

/*
 * Is the archive still ours? Asked right before anything is put behind `head`, unless it was so a
 * few seconds ago; the age of an answer counts from before the question (tests/model/fencing.pml:
 * PAUSE + DEADLINE < RETENTION). A conflict alone would not tell: an archiver that always puts the
 * next TXID first never meets one, and the newer one, which then has to start again each time,
 * would never get in.
 */
enum hf_code partition_prove_owner(struct partition *p, uint64_t head, struct hf_err *err)
{
    if (proof_is_fresh(p, head))
        return HF_OK;
    const struct partition_proof proof = {.is = true,
                                          .head = head,
                                          .wall_ms = hf_now_ms(p->env->clock),
                                          .mono_us = hf_mono_us(p->env->clock)};
    enum hf_code rc = hf_owner_check(&p->archive, &p->owner, err);

    if (rc == HF_OK && !lease_is_good(p))
        rc = hf_owner_touch(&p->archive, &p->owner, p->env->clock, err);
    if (rc == HF_OK && !lease_is_good(p))
        rc = hf_err_set(err, HF_TRANSIENT, "the lease could not be renewed in time");
    p->proof = proof;
    p->proof.is = rc == HF_OK;
    return rc;
}

/* How long the owner's note is good for yet. A lease is renewed long before it runs short. */
static int64_t touch_wait_ms(const struct partition *p)
{
    const int64_t every_ms = partition_has_lease(p) ? LEASE_EVERY_MS : OWNER_TOUCH_MS;
    const int64_t since_ms = hf_now_ms(p->env->clock) - p->touched_ms;

    return since_ms >= 0 && since_ms < every_ms ? every_ms - since_ms : 0;
}

/* Note until when the database was watched: hourly, and at the end, when nothing more will be put.
 * HF_FENCED; HF_BUSY: the lease has to be claimed anew; or HF_OK. */
static enum hf_code touch_owner(struct partition *p, bool last, struct hf_err *err)
{
    if (!last && touch_wait_ms(p) > 0)
        return HF_OK;
    p->touched_ms = hf_now_ms(p->env->clock);
    (void)pthread_mutex_lock(&p->mutex);
    p->owner.last_txid = p->guarded.status.archived_txid;
    (void)pthread_mutex_unlock(&p->mutex);
    const enum hf_code rc = last ? hf_owner_leave(&p->archive, &p->owner, p->env->clock, err)
                                 : hf_owner_touch(&p->archive, &p->owner, p->env->clock, err);

    if (rc == HF_FENCED || rc == HF_OK || (rc == HF_BUSY && !last))
        return rc;
    if (partition_has_lease(p)) /* soon again */
        p->touched_ms -= LEASE_EVERY_MS - RETRY_MS_MIN;
    hf_log(HF_LOG_WARN, "%s: could not note that the archiver is attached: %s", p->target.name,
           err->text);
    return HF_OK;
}

enum hf_code partition_keep_lease(struct partition *p, struct hf_err *err)
{
    return partition_has_lease(p) ? touch_owner(p, false, err) : HF_OK;
}

/* ---- one segment ---------------------------------------------------------------------------- */

/* A segment on its way from the spool to its key. */
struct sending {
    struct spool_source source;
    struct hf_seg_info info;
    char key[HF_KEY_MAX + 1];
};

static void sending_done(struct sending *s)
{
    spool_source_done(&s->source);
}

/* HF_CONFLICT: the spool's file is not what was written to it, or gone; nothing damaged is ever
 * sent, and only starting again from the archive helps. */
static enum hf_code open_sending(struct partition *p, uint64_t txid, struct sending *ret,
                                 struct hf_err *err)
{
    const struct hf_segment segment = {.level = 0, .min_txid = txid, .max_txid = txid};
    struct hf_source *source = &ret->source.base;
    enum hf_code rc = partition_open_spooled(p, txid, &ret->source, &ret->info, err);

    if (rc == HF_OK)
        rc = p->target.engine->segment_check(source, p->env->pool, err);
    if (rc == HF_DAMAGE || rc == HF_NOT_FOUND)
        return hf_err_recode(err, HF_CONFLICT, "the spool of %s is damaged", p->state_dir);
    hf_archive_segment_key(&p->archive, &segment, ret->key);
    return rc;
}

/* What stands at the key is no segment of ours: whose is it, and what does that mean? */
static enum hf_code judge_other(struct partition *p, const char *key, struct hf_slice header,
                                struct hf_err *err)
{
    struct hf_seg_info info;
    const enum hf_code rc = p->target.engine->codec->info(header, &info, err);

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

/* Invariant 3: what stands at the key is the segment, or what does it mean that it is not? */
static enum hf_code judge_conflict(struct partition *p, struct sending *s, struct hf_err *err)
{
    struct hf_source *source = &s->source.base;

    for (uint64_t at = 0; at == 0 || at < source->size_bytes; at += PIECE_BYTES) {
        const uint64_t left = source->size_bytes - at;
        const size_t len = left < PIECE_BYTES ? left : PIECE_BYTES;
        HF_AUTO_BUF there = {0};
        HF_AUTO_BUF here = {0};
        struct hf_object object;
        enum hf_code rc =
            hf_store_get(p->target.store, s->key, at, PIECE_BYTES, &there, &object, err);

        if (rc == HF_OK)
            rc = source->read(source, at, len, &here, err);
        if (rc != HF_OK)
            return rc;
        if (object.size_bytes == source->size_bytes && there.len == len &&
            memcmp(there.ptr, here.ptr, len) == 0)
            continue;
        if (at == 0)
            return judge_other(p, s->key, hf_buf_slice(&there), err);
        return hf_err_set(err, HF_CONFLICT, "%s holds another segment that begins as ours", s->key);
    }
    return HF_OK;
}

static enum hf_code put_whole(struct partition *p, struct sending *s, const struct hf_put *put,
                              struct hf_err *err)
{
    struct hf_source *source = &s->source.base;
    HF_AUTO_BUF body = {0};
    enum hf_code rc = source->read(source, 0, (size_t)source->size_bytes, &body, err);

    if (rc == HF_OK)
        rc = partition_prove_owner(p, s->info.min_txid - 1, err);
    return rc != HF_OK ? rc
                       : hf_store_put(p->target.store, s->key, hf_buf_slice(&body), put, NULL, err);
}

static enum hf_code write_piece(struct partition *p, struct sending *s, uint64_t at,
                                struct hf_upload *upload, struct hf_err *err)
{
    struct hf_source *source = &s->source.base;
    const uint64_t left = source->size_bytes - at;
    HF_AUTO_BUF piece = {0};
    enum hf_code rc =
        source->read(source, at, left < PIECE_BYTES ? left : PIECE_BYTES, &piece, err);

    if (rc == HF_OK)
        rc = hf_upload_write(upload, hf_buf_slice(&piece), err);
    if (rc == HF_OK)
        rc = partition_keep_lease(p, err);
    if (rc == HF_OK)
        partition_note_taken(p);
    return rc;
}

/* What counts is the finish: only it makes the object. */
static enum hf_code put_in_pieces(struct partition *p, struct sending *s, const struct hf_put *put,
                                  struct hf_err *err)
{
    HF_CLEANUP(hf_upload_free_ptr) struct hf_upload *upload = NULL;
    enum hf_code rc = partition_prove_owner(p, s->info.min_txid - 1, err);

    if (rc == HF_OK)
        rc = hf_upload_new(p->target.store, s->key, put, &upload, err);
    for (uint64_t at = 0; rc == HF_OK && at < s->source.base.size_bytes; at += PIECE_BYTES)
        rc = write_piece(p, s, at, upload, err);
    if (rc == HF_OK)
        rc = partition_prove_owner(p, s->info.min_txid - 1, err);
    return rc == HF_OK ? hf_upload_finish(upload, NULL, err) : rc;
}

static enum hf_code put_segment(struct partition *p, struct sending *s, struct hf_err *err)
{
    const uint64_t bytes = s->source.base.size_bytes;
    const struct hf_put put = {
        .cond = partition_has_lease(p) ? HF_PUT_ALWAYS : HF_PUT_IF_ABSENT,
        .timestamp_ms = s->info.time_ms,
        .size_hint = bytes,
    };
    const uint64_t whole_max = partition_has_lease(p) ? PIECE_BYTES : PUT_BYTES_MAX;
    enum hf_code rc = bytes <= whole_max ? put_whole(p, s, &put, err)
                                         : put_in_pieces(p, s, &put, err);

    if (rc == HF_CONFLICT || rc == HF_UNCERTAIN)
        rc = judge_conflict(p, s, err);
    if (rc == HF_NOT_FOUND) /* uncertain, and it did not happen */
        return hf_err_recode(err, HF_TRANSIENT, "not stored yet");
    return rc;
}

/* Before a catch-up is put the archive is told of the gap in front of it (ADR 0033). */
static enum hf_code note_gap(struct partition *p, const struct hf_seg_info *info,
                             struct hf_err *err)
{
    if (!info->catchup)
        return HF_OK;
    (void)pthread_mutex_lock(&p->mutex);
    hf_assert(p->guarded.status.archived_txid == info->min_txid - 1);
    const int64_t from_ms = p->guarded.status.archived_ms;

    (void)pthread_mutex_unlock(&p->mutex);
    const enum hf_code rc = partition_prove_owner(p, info->min_txid - 1, err);

    return rc != HF_OK ? rc : hf_catchup_put(&p->archive, info, from_ms, err);
}

static enum hf_code upload_first(struct partition *p, struct hf_err *err)
{
    const uint64_t txid = spool_first(p->spool);
    HF_CLEANUP(sending_done) struct sending s = {0};
    enum hf_code rc = open_sending(p, txid, &s, err);

    if (rc == HF_OK)
        rc = note_gap(p, &s.info, err);
    if (rc == HF_OK)
        rc = put_segment(p, &s, err);
    if (rc != HF_OK)
        return rc;
    rc = spool_drop(p->spool, txid, txid, err);
    confirm(p, &s.info, s.source.base.size_bytes);
    return rc;
}

/* ---- the job -------------------------------------------------------------------------------- */

static int64_t end_upload(struct partition *p)
{
    partition_set_phase(p, PHASE_ENDED);
    return HF_JOB_ENDED;
}

/* Nothing that is tried again could help: end, or have the job end it that the phase belongs to. */
static int64_t give_up(struct partition *p, const struct hf_err *err)
{
    partition_fail(p, err);
    if (partition_phase(p) == PHASE_CAPTURED)
        return end_upload(p);
    hf_log(HF_LOG_ERROR, "%s: %s", p->target.name, err->text);
    partition_ask(p, REQUEST_END);
    return HF_JOB_WHEN_WOKEN;
}

static int64_t stop_with_spool(struct partition *p, struct hf_err *err)
{
    (void)hf_err_wrap(err,
                      "segments from TXID %" PRIu64
                      " on are not archived yet and wait in the "
                      "spool for the next start",
                      spool_first(p->spool));
    partition_fail(p, err);
    return end_upload(p);
}

static int64_t begin_again(struct partition *p, enum partition_request request,
                           const struct hf_err *err)
{
    hf_log(HF_LOG_WARN, "%s: %s; starting again from the archive", p->target.name, err->text);
    partition_ask(p, request);
    return HF_JOB_WHEN_WOKEN;
}

static int64_t judge_failure(struct partition *p, struct hf_err *err)
{
    const bool captured = partition_phase(p) == PHASE_CAPTURED;

    if (err->code == HF_FENCED)
        return give_up(p, err);
    if (err->code == HF_BUSY && !captured)
        return begin_again(p, REQUEST_RESTART, err);
    if (err->code == HF_CONFLICT && !captured)
        return begin_again(p, REQUEST_RIVAL, err);
    if (captured && (p->once || err->code == HF_BUSY || err->code == HF_CONFLICT ||
                     err->code == HF_CANCELED || partition_stalled_us(p) > STOP_STALL_US))
        return stop_with_spool(p, err);
    (void)pthread_mutex_lock(&p->mutex);
    p->guarded.store_fails = true;
    (void)pthread_mutex_unlock(&p->mutex);
    int64_t again_ms = partition_retry(p, &p->upload_retry_ms, "upload", err);

    if (partition_stopping(p) && again_ms > STOP_RETRY_MS_MAX)
        again_ms = STOP_RETRY_MS_MAX;
    p->upload_again_us = hf_mono_us(p->env->clock) + again_ms * 1000;
    return again_ms;
}

static int64_t judge_snapshot_failure(struct partition *p, struct hf_err *err)
{
    hf_job_wake(p->capture_job);
    if (err->code == HF_CANCELED)
        return HF_JOB_WHEN_WOKEN;
    if (p->once)
        return give_up(p, err);
    /* Somebody else put TXID 1 first, or we did and cannot tell: look again from the start. */
    if (err->code == HF_CONFLICT || err->code == HF_UNCERTAIN)
        return begin_again(p, REQUEST_RESTART, err);
    return judge_failure(p, err);
}

/* What the spool begins with follows what is archived: it does not behind a first snapshot that was
 * given up, or is just being (invariant 10). */
static bool spool_follows(struct partition *p)
{
    (void)pthread_mutex_lock(&p->mutex);
    const uint64_t archived = p->guarded.status.archived_txid;

    (void)pthread_mutex_unlock(&p->mutex);
    return spool_first(p->spool) <= archived + 1;
}

static int64_t run(struct partition *p)
{
    const enum partition_phase phase = partition_phase(p);
    struct hf_err err;

    if (phase == PHASE_ENDED)
        return HF_JOB_ENDED;
    if (phase == PHASE_START || phase == PHASE_RESTART)
        return HF_JOB_WHEN_WOKEN;
    if (p->spool == NULL)
        return end_upload(p); /* never started */
    if (phase != PHASE_CAPTURED && partition_is_asked(p))
        return HF_JOB_WHEN_WOKEN;
    const int64_t wait_us = p->upload_again_us - hf_mono_us(p->env->clock);

    if (wait_us > 0 && phase != PHASE_CAPTURED)
        return wait_us / 1000 + 1; /* woken by a new segment, while an older one must wait */
    if (partition_snapshot_step(p) != SNAPSHOT_NONE) {
        if (phase == PHASE_CAPTURED) { /* nothing can be put before it */
            partition_snapshot_forget(p);
            return end_upload(p);
        }
        if (partition_snapshot_give(p, &err) != HF_OK)
            return judge_snapshot_failure(p, &err);
    }
    if (!spool_follows(p))
        return phase == PHASE_CAPTURED ? end_upload(p) : HF_JOB_WHEN_WOKEN;
    for (int i = 0; i < SEGMENTS_PER_RUN && spool_first(p->spool) != 0; i++) {
        if (upload_first(p, &err) != HF_OK)
            return judge_failure(p, &err);
    }
    if (touch_owner(p, phase == PHASE_CAPTURED && spool_first(p->spool) == 0, &err) != HF_OK)
        return judge_failure(p, &err);
    if (spool_first(p->spool) != 0)
        return 0;
    if (phase == PHASE_CAPTURED)
        return end_upload(p);
    return touch_wait_ms(p); /* woken for segments; else for the owner's note */
}

int64_t partition_upload(void *ctx)
{
    struct partition *p = ctx;

    (void)pthread_mutex_lock(&p->in_use);
    const int64_t again_ms = run(p);

    (void)pthread_mutex_unlock(&p->in_use);
    return again_ms;
}
