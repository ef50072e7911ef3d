/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start.c - whose archive and whose folder it is: lock, format, owner; then the live side is opened
 * and brought together with the archive (reconcile.c).
 */
#include <inttypes.h>
#include <unistd.h>

#include "archive/listing.h"
#include "archive/members.h"
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

/* The newest under which a segment of the spool was made, which may be put yet: no owner may have
 * an older one than what is there. 0: there is none that tells. */
static enum hf_code spooled_epoch(struct partition *p, uint64_t *ret, struct hf_err *err)
{
    *ret = 0;
    for (uint64_t txid = spool_first(p->spool); txid != 0 && txid <= spool_last(p->spool); txid++) {
        HF_CLEANUP(spool_source_done) struct spool_source source = {0};
        struct hf_seg_info info;
        const enum hf_code rc = partition_open_spooled(p, txid, &source, &info, err);

        if (rc == HF_NOT_FOUND)
            break; /* nothing behind it is ever put */
        if (rc != HF_OK && rc != HF_DAMAGE)
            return rc;
        if (rc == HF_OK && info.epoch > *ret && info.epoch <= HF_EPOCH_MAX)
            *ret = info.epoch;
    }
    return HF_OK;
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
    uint64_t archived = 0;
    uint64_t spooled = 0;
    enum hf_code rc;

    (void)gethostname(host, sizeof(host) - 1);
    hf_owner_init(&p->owner, p->env->rand, host, (uint64_t)getpid());
    hf_owner_set_database(&p->owner, p->target.db_path);
    rc = hf_owner_read(&p->archive, &before, err);
    if (rc == HF_OK)
        rc = partition_check_database(p, &before, err);
    else if (rc == HF_NOT_FOUND)
        rc = newest_epoch(p, &archived, err);
    if (rc == HF_OK)
        rc = spooled_epoch(p, &spooled, err);
    if (rc == HF_OK)
        rc = partition_note_claiming(p, err);
    if (rc != HF_OK)
        return rc;
    me = p->owner;
    me.epoch = archived > spooled ? archived : spooled;
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
    rc = partition_check_empty(p, err);
    /* Where only a lease holds, it alone keeps two from making it, one over the other. */
    if (rc == HF_OK && partition_has_lease(p))
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
        rc = partition_reconcile(p, err);
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
