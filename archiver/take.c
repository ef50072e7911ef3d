/* SPDX-License-Identifier: Apache-2.0 */
/*
 * take.c - where capture's segments go. The first snapshot goes straight into the store, so that a
 * large database needs no second copy on its own disk; everything else goes through the spool.
 */
#include "archiver/partition.h"
#include "base/check.h"

static struct partition *of_taker(struct hf_taker *t)
{
    return (struct partition *)(void *)((char *)t - offsetof(struct partition, taker));
}

static enum hf_code snapshot_write(struct hf_sink *s, struct hf_slice data, struct hf_err *err)
{
    struct partition *p =
        (struct partition *)(void *)((char *)s - offsetof(struct partition, snapshot_sink));
    const enum hf_code rc = hf_upload_write(p->snapshot, data, err);

    if (rc == HF_OK) {
        (void)pthread_mutex_lock(&p->mutex);
        p->guarded.status.uploaded_bytes += data.len;
        (void)pthread_mutex_unlock(&p->mutex);
    }
    return rc;
}

static enum hf_code begin_snapshot(struct partition *p, const struct hf_seg_info *info,
                                   struct hf_sink **ret, struct hf_err *err)
{
    const struct hf_segment segment = {
        .level = HF_LEVEL_SNAPSHOT, .min_txid = info->min_txid, .max_txid = info->max_txid};
    const struct hf_put put = {
        .cond = (hf_store_caps(p->target.store) & HF_STORE_COND_PUT) != 0 ? HF_PUT_IF_ABSENT
                                                                          : HF_PUT_ALWAYS,
        .timestamp_ms = info->time_ms,
        .size_hint = info->pages_count * info->page_bytes,
    };
    char key[HF_KEY_MAX + 1];

    hf_archive_segment_key(&p->archive, &segment, key);
    const enum hf_code rc = hf_upload_new(p->target.store, key, &put, &p->snapshot, err);

    *ret = &p->snapshot_sink;
    return rc;
}

static enum hf_code take_begin(struct hf_taker *t, const struct hf_seg_info *info,
                               struct hf_sink **ret, struct hf_err *err)
{
    struct partition *p = of_taker(t);

    p->taken_txid = info->max_txid;
    p->taken_ms = info->time_ms;
    if (info->min_txid == 1)
        return begin_snapshot(p, info, ret, err);
    return spool_begin(p->spool, info->max_txid, ret, err);
}

static enum hf_code take_commit(struct hf_taker *t, struct hf_err *err)
{
    struct partition *p = of_taker(t);
    enum hf_code rc;

    if (p->snapshot == NULL)
        return spool_commit(p->spool, err);
    rc = hf_upload_finish(p->snapshot, NULL, err);
    hf_upload_free_ptr(&p->snapshot);
    if (rc != HF_OK)
        return rc;
    (void)pthread_mutex_lock(&p->mutex);
    p->guarded.status.archived_txid = p->taken_txid;
    partition_set_confirmed(p, p->taken_txid);
    p->guarded.status.archived_ms = p->taken_ms;
    (void)pthread_mutex_unlock(&p->mutex);
    return HF_OK;
}

static void take_abort(struct hf_taker *t)
{
    struct partition *p = of_taker(t);

    hf_upload_free_ptr(&p->snapshot);
    spool_abort(p->spool);
}

void partition_taker_init(struct partition *p)
{
    p->taker = (struct hf_taker){.begin = take_begin, .commit = take_commit, .abort = take_abort};
    p->snapshot_sink.write = snapshot_write;
}
