/* SPDX-License-Identifier: Apache-2.0 */
/*
 * confirmed.c - `confirmed` in the folder of local state: one number as text.
 *
 * It tells an archive that lost its newest objects from local state that a power cut left ahead of
 * the archive, or whose first snapshot never arrived there: then this number is not ahead, or there
 * is none.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "archiver/partition.h"
#include "base/alloc.h"
#include "base/log.h"

#define TEXT_BYTES_MAX 64

static char *path_of(const struct partition *p)
{
    return hf_strfmt("%s/confirmed", p->state_dir);
}

uint64_t partition_confirmed(const struct partition *p)
{
    HF_AUTO_FREE char *path = path_of(p);
    HF_AUTO_BUF text = {0};
    struct hf_err ignored;
    char *end = NULL;

    if (hf_fs_read_all(p->env->fs, path, TEXT_BYTES_MAX, &text, &ignored) != HF_OK)
        return 0;
    const uint64_t txid = strtoull(hf_buf_str(&text), &end, 10);

    return *end == '\n' ? txid : 0;
}

void partition_set_confirmed(struct partition *p, uint64_t txid)
{
    HF_AUTO_FREE char *path = path_of(p);
    HF_AUTO_FILE *f = NULL;
    char text[TEXT_BYTES_MAX];
    struct hf_err err;

    /* Always as long, so that a write in place leaves nothing of an older number. */
    const int len = snprintf(text, sizeof(text), "%020" PRIu64 "\n", txid);
    enum hf_code rc = hf_fs_open(p->env->fs, path, HF_OPEN_CREATE, 0600, &f, &err);

    if (rc == HF_OK)
        rc = hf_file_write(f, 0, hf_slice(text, (size_t)len), &err);
    if (rc == HF_OK && txid == 1)
        rc = hf_file_sync(f, &err);
    if (rc == HF_OK && txid == 1)
        rc = hf_fs_sync_dir(p->env->fs, p->state_dir, &err);
    if (rc != HF_OK)
        hf_log(HF_LOG_DEBUG, "%s: %s", p->target.name, err.text);
}
