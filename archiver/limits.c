/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.c - rule 8: the application's disk is worth more than restore points.
 *
 * What we hold of it is the spool, and the log that cannot restart because of us. Letting go gives
 * up the restore points until the catch-up, so it must help: the store must take nothing, or the
 * disk be low and what we hold of it worth giving back.
 */
#include <inttypes.h>

#include "archiver/partition.h"
#include "base/log.h"

#define WATCH_US INT64_C(1000000)
#define SAY_US   INT64_C(60000000)

/* Free bytes of the disk with the smaller share of them; false: neither could be asked. */
static bool ask_disks(const struct partition *p, uint64_t *ret_free_bytes, bool *ret_low)
{
    const char *const paths[] = {p->state_dir, p->target.db_path};
    bool known = false;

    *ret_low = false;
    *ret_free_bytes = UINT64_MAX;
    for (size_t i = 0; i < HF_ARRAY_LEN(paths); i++) {
        uint64_t free_bytes = 0;
        uint64_t total_bytes = 0;
        struct hf_err ignored;

        if (hf_fs_space(p->env->fs, paths[i], &free_bytes, &total_bytes, &ignored) != HF_OK)
            continue;
        known = true;
        *ret_low = *ret_low || free_bytes < total_bytes / 100 * FREE_DISK_PERCENT;
        *ret_free_bytes = free_bytes < *ret_free_bytes ? free_bytes : *ret_free_bytes;
    }
    return known;
}

bool partition_disk_is_low(const struct partition *p)
{
    uint64_t free_bytes = 0;
    bool low = false;

    return ask_disks(p, &free_bytes, &low) && low;
}

void partition_note_taken(struct partition *p)
{
    (void)pthread_mutex_lock(&p->mutex);
    p->guarded.took_us = p->guarded.progress_us = hf_mono_us(p->env->clock);
    (void)pthread_mutex_unlock(&p->mutex);
}

/* It refuses, or it has had something to take and has confirmed nothing for too long. */
static bool store_takes_nothing(struct partition *p)
{
    const int64_t now_us = hf_mono_us(p->env->clock);

    (void)pthread_mutex_lock(&p->mutex);
    const bool stuck = p->guarded.store_fails || now_us - p->guarded.took_us > STORE_TAKES_US;

    (void)pthread_mutex_unlock(&p->mutex);
    return stuck;
}

const char *partition_must_let_go(struct partition *p, uint64_t log_bytes)
{
    const uint64_t held_bytes = spool_bytes(p->spool) + log_bytes;

    if (spool_first(p->spool) == 0)
        partition_note_taken(p);
    /* Nothing can be put before the first snapshot is: what it holds is limited by the disk only.
     */
    if (held_bytes > HELD_BYTES_MAX && partition_snapshot_step(p) == SNAPSHOT_NONE &&
        store_takes_nothing(p))
        return "the store takes nothing";
    if (held_bytes > HELD_BYTES_SMALL && partition_disk_is_low(p))
        return "the disk has little space left";
    return NULL;
}

/* What follows a first snapshot that is given up leads nowhere. */
static bool forget_snapshot(struct partition *p)
{
    const bool pending = partition_snapshot_step(p) != SNAPSHOT_NONE;
    struct hf_err err;
    enum hf_code rc = HF_OK;

    if (pending)
        rc = spool_drop(p->spool, 1, UINT64_MAX, &err);
    if (pending && rc == HF_OK)
        rc = p->live->ops->reset(p->live, &err);
    partition_snapshot_forget(p);
    if (rc != HF_OK)
        hf_log(HF_LOG_WARN, "%s: %s; starting again", p->target.name, err.text);
    return rc == HF_OK;
}

void partition_let_go(struct partition *p, const char *why)
{
    p->let_go_ms = p->let_go_ms == 0 ? LET_GO_MS_MIN : p->let_go_ms * 2;
    if (p->let_go_ms > LET_GO_MS_MAX)
        p->let_go_ms = LET_GO_MS_MAX;
    p->let_go_us = hf_mono_us(p->env->clock);
    hf_log(HF_LOG_ERROR,
           "%s: %s: capture lets go of the log (%" PRIu64
           " bytes wait in the spool); restore "
           "points will be missing until that is mended, and are then caught up with",
           p->target.name, why, spool_bytes(p->spool));
    p->live->ops->detach(p->live);
    partition_set_phase(p, forget_snapshot(p) ? PHASE_DETACHED : PHASE_RESTART);
}

/* ---- while everything is read --------------------------------------------------------------- */

void partition_watch_begin(struct partition *p)
{
    bool low = false;

    p->crowded = false;
    p->watched_us = hf_mono_us(p->env->clock);
    if (!ask_disks(p, &p->free_bytes, &low))
        p->free_bytes = 0;
}

/* What the log has grown by is not known here; how much of the disk has gone is. */
static void watch(struct partition *p)
{
    const int64_t now_us = hf_mono_us(p->env->clock);
    uint64_t free_bytes = 0;
    bool low = false;

    if (now_us - p->watched_us < WATCH_US)
        return;
    p->watched_us = now_us;
    if (!ask_disks(p, &free_bytes, &low) || !low || free_bytes + HELD_BYTES_SMALL > p->free_bytes)
        return;
    p->crowded = true;
    p->cancel = true;
}

/* While the first snapshot is given, the log grows: both are said, now and then. */
static void say(struct partition *p, uint64_t done_bytes, uint64_t total_bytes)
{
    const int64_t now_us = hf_mono_us(p->env->clock);
    struct hf_archiver_status status;

    if (now_us - p->said_us < SAY_US)
        return;
    p->said_us = now_us;
    (void)pthread_mutex_lock(&p->mutex);
    status = p->guarded.status;
    (void)pthread_mutex_unlock(&p->mutex);
    hf_log(HF_LOG_INFO,
           "%s: first snapshot: %" PRIu64 " of %" PRIu64 " bytes; the log has %" PRIu64
           " bytes meanwhile, the spool %" PRIu64,
           p->target.name, done_bytes, total_bytes, status.log_bytes, status.spool_bytes);
}

static void tell(struct hf_progress *progress, uint64_t done_bytes, uint64_t total_bytes)
{
    struct partition *p =
        (struct partition *)(void *)((char *)progress - offsetof(struct partition, progress));

    if (p->target.progress != NULL)
        p->target.progress->tell(p->target.progress, done_bytes, total_bytes);
    if (partition_phase(p) == PHASE_ATTACH)
        watch(p);
    else
        say(p, done_bytes, total_bytes);
}

void partition_progress_init(struct partition *p)
{
    p->progress.tell = tell;
}
