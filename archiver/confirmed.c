/* SPDX-License-Identifier: Apache-2.0 */
/*
 * confirmed.c - `confirmed` in the folder of local state: what the store confirmed last, its TXID
 * in one line, its root and its time in another.
 *
 * The TXID tells an archive that lost its newest objects from local state that a power cut left
 * ahead of the archive, or whose first snapshot never arrived there: then this number is not ahead,
 * or there is none. Root and time tell a start that the archive's head is of this local state's
 * past, also when so much was captured behind it, while the store did not answer, that the engine
 * knows no more.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "archiver/partition.h"
#include "base/alloc.h"
#include "base/log.h"

#define TEXT_BYTES_MAX 128

static char *path_of(const struct partition *p)
{
    return hf_strfmt("%s/confirmed", p->state_dir);
}

/* Always as long, so that a write in place leaves nothing of an older one. */
static struct hf_slice text_of(const struct hf_seg_info *info, char ret[TEXT_BYTES_MAX])
{
    char root[HF_ROOT_HEX_MAX];

    hf_root_hex(info->root, root);
    return hf_slice(ret,
                    (size_t)snprintf(ret, TEXT_BYTES_MAX, "%020" PRIu64 "\n%s %020" PRId64 "\n",
                                     info->max_txid, root, info->time_ms));
}

static enum hf_code read_text(const struct partition *p, struct hf_buf *ret, struct hf_err *err)
{
    HF_AUTO_FREE char *path = path_of(p);
    const enum hf_code rc = hf_fs_read_all(p->env->fs, path, TEXT_BYTES_MAX, ret, err);

    if (rc == HF_NOT_FOUND || rc == HF_USAGE) /* it is too long to be ours */
        return HF_OK;
    return rc == HF_OK ? rc : hf_err_wrap(err, "what the store confirmed last");
}

enum hf_code partition_confirmed(const struct partition *p, uint64_t *ret_txid, struct hf_err *err)
{
    HF_AUTO_BUF text = {0};
    char *end = NULL;
    const enum hf_code rc = read_text(p, &text, err);

    if (rc != HF_OK)
        return rc;
    const uint64_t txid = strtoull(hf_buf_str(&text), &end, 10);

    *ret_txid = *end == '\n' ? txid : 0;
    return HF_OK;
}

bool partition_confirmed_this(const struct partition *p, const struct hf_seg_info *info)
{
    HF_AUTO_BUF text = {0};
    char expected[TEXT_BYTES_MAX];
    struct hf_err ignored;

    if (!info->has_root || read_text(p, &text, &ignored) != HF_OK)
        return false;
    const struct hf_slice s = text_of(info, expected);

    return text.len == s.len && memcmp(text.ptr, s.ptr, s.len) == 0;
}

enum hf_code partition_check_empty(const struct partition *p, struct hf_err *err)
{
    uint64_t txid;
    const enum hf_code rc = partition_confirmed(p, &txid, err);

    if (rc != HF_OK || txid == 0)
        return rc;
    return hf_err_set(
        err, HF_HOLE,
        "%s is empty, but this machine has archived up to TXID %" PRIu64
        " there: a wrong URL, something is not mounted, or the archive was deleted. To "
        "begin anew, remove %s",
        p->target.url, txid, p->state_dir);
}

void partition_set_confirmed(struct partition *p, const struct hf_seg_info *info)
{
    HF_AUTO_FREE char *path = path_of(p);
    HF_AUTO_FILE *f = NULL;
    char text[TEXT_BYTES_MAX];
    struct hf_err err;

    enum hf_code rc = hf_fs_open(p->env->fs, path, HF_OPEN_CREATE, 0600, &f, &err);

    if (rc == HF_OK)
        rc = hf_file_write(f, 0, text_of(info, text), &err);
    if (rc == HF_OK && info->max_txid == 1)
        rc = hf_file_sync(f, &err);
    if (rc == HF_OK && info->max_txid == 1)
        rc = hf_fs_sync_dir(p->env->fs, p->state_dir, &err);
    if (rc != HF_OK)
        hf_log(HF_LOG_DEBUG, "%s: %s", p->target.name, err.text);
}
