/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot.c - the first snapshot of a partition: made by the attach job, given to the store by the
 * upload job, while the capture job follows the log and spools TXID 2, 3, ...
 *
 * While its image is held the log cannot restart (rule 9), so only as many partitions make one at a
 * time as the store can serve; the others wait for a slot, and hold nothing.
 */
#include "archiver/partition.h"
#include "base/check.h"
#include "base/log.h"

bool partition_snapshot_reserve(struct partition *p)
{
    unsigned left = *p->snapshot_slots;

    do {
        if (left == 0)
            return false;
    } while (!atomic_compare_exchange_weak(p->snapshot_slots, &left, left - 1));
    (void)pthread_mutex_lock(&p->mutex);
    hf_assert(!p->guarded.has_slot);
    p->guarded.has_slot = true;
    (void)pthread_mutex_unlock(&p->mutex);
    return true;
}

/* The step of now, and the slot given back. */
static void end_with(struct partition *p, enum snapshot_step step)
{
    (void)pthread_mutex_lock(&p->mutex);
    p->guarded.snapshot = step;
    if (p->guarded.has_slot)
        (void)atomic_fetch_add(p->snapshot_slots, 1);
    p->guarded.has_slot = false;
    (void)pthread_mutex_unlock(&p->mutex);
}

static void set_step(struct partition *p, enum snapshot_step step)
{
    (void)pthread_mutex_lock(&p->mutex);
    p->guarded.snapshot = step;
    (void)pthread_mutex_unlock(&p->mutex);
}

enum snapshot_step partition_snapshot_step(struct partition *p)
{
    (void)pthread_mutex_lock(&p->mutex);
    const enum snapshot_step step = p->guarded.snapshot;

    (void)pthread_mutex_unlock(&p->mutex);
    return step;
}

enum hf_code partition_snapshot_begin(struct partition *p, struct hf_err *err)
{
    hf_log(HF_LOG_INFO, "%s: first snapshot", p->target.name);
    const enum hf_code rc = p->live->ops->snapshot(p->live, err);

    if (rc == HF_OK)
        set_step(p, SNAPSHOT_DUE);
    return rc;
}

/* From due to giving; HF_CANCELED: it is held back. */
static enum hf_code begin_giving(struct partition *p, struct hf_err *err)
{
    (void)pthread_mutex_lock(&p->mutex);
    const bool due = p->guarded.snapshot == SNAPSHOT_DUE;

    if (due)
        p->guarded.snapshot = SNAPSHOT_GIVING;
    p->snapshot_cancel = false;
    (void)pthread_mutex_unlock(&p->mutex);
    return due ? HF_OK : hf_err_set(err, HF_CANCELED, "the first snapshot is held back");
}

static void end_giving(struct partition *p)
{
    (void)pthread_mutex_lock(&p->mutex);
    p->guarded.snapshot = p->snapshot_cancel ? SNAPSHOT_BACK : SNAPSHOT_DUE;
    (void)pthread_mutex_unlock(&p->mutex);
}

enum hf_code partition_snapshot_give(struct partition *p, struct hf_err *err)
{
    enum hf_code rc = begin_giving(p, err);

    if (rc != HF_OK)
        return rc;
    rc = p->live->ops->give_snapshot(p->live, &p->snapshot_taker, &p->snapshot_cancel, err);
    if (rc != HF_OK) {
        end_giving(p);
        return rc;
    }
    hf_log(HF_LOG_INFO, "%s: snapshot is archived", p->target.name);
    end_with(p, SNAPSHOT_NONE);
    return HF_OK;
}

bool partition_snapshot_hold_back(struct partition *p)
{
    (void)pthread_mutex_lock(&p->mutex);
    const bool giving = p->guarded.snapshot == SNAPSHOT_GIVING;

    if (giving)
        p->snapshot_cancel = true;
    else if (p->guarded.snapshot == SNAPSHOT_DUE)
        p->guarded.snapshot = SNAPSHOT_BACK;
    (void)pthread_mutex_unlock(&p->mutex);
    return !giving;
}

void partition_snapshot_resume(struct partition *p)
{
    (void)pthread_mutex_lock(&p->mutex);
    const bool back = p->guarded.snapshot == SNAPSHOT_BACK;

    if (back)
        p->guarded.snapshot = SNAPSHOT_DUE;
    (void)pthread_mutex_unlock(&p->mutex);
    if (back)
        hf_job_wake(p->upload_job);
}

void partition_snapshot_forget(struct partition *p)
{
    hf_assert(partition_snapshot_step(p) != SNAPSHOT_GIVING);
    end_with(p, SNAPSHOT_NONE);
}
