/* SPDX-License-Identifier: Apache-2.0 */
/*
 * take.c - where capture's segments go: through the spool. Only the first snapshot goes straight
 * into the store, by the upload job, so that a large database needs no second copy on its own disk.
 */
#include <inttypes.h>

#include "archiver/partition.h"
#include "base/log.h"

static struct partition *of_taker(struct hf_taker *t)
{
    return (struct partition *)(void *)((char *)t - offsetof(struct partition, taker));
}

static struct partition *of_sink(struct hf_sink *s)
{
    return (struct partition *)(void *)((char *)s - offsetof(struct partition, snapshot_sink));
}

static enum hf_code snapshot_write(struct hf_sink *s, struct hf_slice data, struct hf_err *err)
{
    struct partition *p = of_sink(s);
    enum hf_code rc = hf_upload_write(p->snapshot, data, err);

    if (rc == HF_OK)
        rc = partition_keep_lease(p, err);
    if (rc == HF_OK) {
        (void)pthread_mutex_lock(&p->mutex);
        p->guarded.status.uploaded_bytes += data.len;
        p->guarded.took_us = p->guarded.progress_us = hf_mono_us(p->env->clock);
        (void)pthread_mutex_unlock(&p->mutex);
        p->snapshot_bytes += data.len;
    }
    return rc;
}

static struct partition *of_snapshot_taker(struct hf_taker *t)
{
    return (struct partition *)(void *)((char *)t - offsetof(struct partition, snapshot_taker));
}

static void snapshot_border(struct hf_sink *s, uint64_t position)
{
    hf_upload_cut_here(of_sink(s)->snapshot, position);
}

/* To resume an upload is to write into what an older archiver may still be writing to, so the
 * archive has to be ours (S3 refuses to complete a mixture: src/store/DESIGN.md). */
static enum hf_code snapshot_begin(struct hf_taker *t, const struct hf_seg_info *info,
                                   struct hf_sink **ret, struct hf_err *err)
{
    struct partition *p = of_snapshot_taker(t);
    const struct hf_segment segment = {
        .level = HF_LEVEL_SNAPSHOT, .min_txid = info->min_txid, .max_txid = info->max_txid};
    const struct hf_put put = {
        .cond = partition_has_lease(p) ? HF_PUT_ALWAYS : HF_PUT_IF_ABSENT,
        .timestamp_ms = info->time_ms,
        .size_hint = info->pages_count * info->page_bytes,
        .resume = true,
    };
    char key[HF_KEY_MAX + 1];
    enum hf_code rc = partition_prove_owner(p, 0, err);

    if (rc != HF_OK)
        return rc;
    p->snapshot_info = *info;
    hf_archive_segment_key(&p->archive, &segment, key);
    rc = hf_upload_new(p->target.store, key, &put, &p->snapshot, err);
    if (rc != HF_OK)
        return rc;
    p->snapshot_bytes = 0;
    *ret = &p->snapshot_sink;
    return HF_OK;
}

static enum hf_code snapshot_commit(struct hf_taker *t, struct hf_err *err)
{
    struct partition *p = of_snapshot_taker(t);
    enum hf_code rc = partition_prove_owner(p, 0, err);

    if (rc == HF_OK)
        rc = hf_upload_finish(p->snapshot, NULL, err);
    const uint64_t reused_bytes = rc == HF_OK ? hf_upload_reused_bytes(p->snapshot) : 0;

    hf_upload_free_ptr(&p->snapshot);
    if (rc != HF_OK)
        return rc;
    if (reused_bytes > 0)
        hf_log(HF_LOG_INFO,
               "%s: snapshot: %" PRIu64 " of %" PRIu64 " bytes were there from an earlier try",
               p->target.name, reused_bytes, p->snapshot_bytes);
    p->proof.head = 1;
    p->upload_retry_ms = 0;
    partition_set_confirmed(p, &p->snapshot_info);
    (void)pthread_mutex_lock(&p->mutex);
    p->guarded.store_fails = false;
    p->guarded.status.uploaded_bytes -= reused_bytes;
    p->guarded.status.archived_txid = 1;
    p->guarded.status.archived_ms = p->snapshot_info.time_ms;
    (void)pthread_cond_broadcast(&p->changed);
    (void)pthread_mutex_unlock(&p->mutex);
    return HF_OK;
}

static void snapshot_abort(struct hf_taker *t)
{
    hf_upload_free_ptr(&of_snapshot_taker(t)->snapshot);
}

static enum hf_code take_begin(struct hf_taker *t, const struct hf_seg_info *info,
                               struct hf_sink **ret, struct hf_err *err)
{
    return spool_begin(of_taker(t)->spool, info->max_txid, ret, err);
}

static enum hf_code take_commit(struct hf_taker *t, struct hf_err *err)
{
    return spool_commit(of_taker(t)->spool, err);
}

static void take_abort(struct hf_taker *t)
{
    spool_abort(of_taker(t)->spool);
}

void partition_taker_init(struct partition *p)
{
    p->taker = (struct hf_taker){.begin = take_begin, .commit = take_commit, .abort = take_abort};
    p->snapshot_taker = (struct hf_taker){
        .begin = snapshot_begin, .commit = snapshot_commit, .abort = snapshot_abort};
    p->snapshot_sink = (struct hf_sink){.write = snapshot_write, .border = snapshot_border};
}
