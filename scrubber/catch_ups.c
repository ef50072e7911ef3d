/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catch_ups.c - lines of two numbers: "since TXID", then "MIN MAX" for each catch-up.
 *
 * Invariant: the file is written before the segment that it tells of is applied. So it may hold a
 * span that the reference has not reached, which is met again then; it never lacks one.
 */
#include "scrubber/catch_ups.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"

#define FILE_BYTES_MAX (1U << 20)
#define SINCE          "since"

static void add(struct catch_ups *c, uint64_t min_txid, uint64_t max_txid)
{
    for (size_t i = 0; i < c->count; i++) {
        if (c->spans[i].min_txid == min_txid && c->spans[i].max_txid == max_txid)
            return;
    }
    c->spans = hf_realloc(c->spans, c->count + 1, sizeof(*c->spans));
    c->spans[c->count++] = (struct hf_txid_span){.min_txid = min_txid, .max_txid = max_txid};
}

/* False: the text is not one that save() wrote. */
static bool parse(struct catch_ups *c, const char *text)
{
    int len = 0;

    if (sscanf(text, SINCE " %" SCNu64 "\n%n", &c->since_txid, &len) != 1)
        return false;
    while (*(text += len) != '\0') {
        uint64_t min_txid = 0;
        uint64_t max_txid = 0;

        if (sscanf(text, "%" SCNu64 " %" SCNu64 "\n%n", &min_txid, &max_txid, &len) != 2)
            return false;
        add(c, min_txid, max_txid);
    }
    return true;
}

static enum hf_code save(struct catch_ups *c, struct hf_err *err)
{
    HF_AUTO_BUF text = {0};

    hf_buf_printf(&text, SINCE " %" PRIu64 "\n", c->since_txid);
    for (size_t i = 0; i < c->count; i++)
        hf_buf_printf(&text, "%" PRIu64 " %" PRIu64 "\n", c->spans[i].min_txid,
                      c->spans[i].max_txid);
    const enum hf_code rc = hf_fs_replace(c->fs, c->path, hf_buf_slice(&text), 0600, err);

    return rc == HF_UNCERTAIN ? HF_OK : rc;
}

void catch_ups_init(struct catch_ups *c, struct hf_fs *fs, const char *work_dir)
{
    HF_AUTO_BUF text = {0};
    struct hf_err ignored;

    *c = (struct catch_ups){.fs = fs, .path = hf_strfmt("%s/catch-ups", work_dir)};
    c->known = hf_fs_read_all(fs, c->path, FILE_BYTES_MAX, &text, &ignored) == HF_OK &&
               parse(c, hf_buf_str(&text));
}

void catch_ups_done(struct catch_ups *c)
{
    hf_free(c->path);
    hf_free(c->spans);
}

enum hf_code catch_ups_begin(struct catch_ups *c, uint64_t txid, struct hf_err *err)
{
    c->count = 0;
    c->since_txid = txid;
    c->known = true;
    return save(c, err);
}

enum hf_code catch_ups_meet(void *ctx, const struct hf_seg_info *info, struct hf_err *err)
{
    struct catch_ups *c = ctx;
    enum hf_code rc = HF_OK;

    if (info->min_txid == 1 || !c->known) /* the reference begins here, or it was of old */
        rc = catch_ups_begin(c, info->min_txid - 1, err);
    if (rc != HF_OK || !info->catchup)
        return rc;
    add(c, info->min_txid, info->max_txid);
    return save(c, err);
}

void catch_ups_report(struct catch_ups *c, struct hf_scrub_report *report)
{
    size_t kept = 0;

    for (size_t i = 0; i < c->count; i++) {
        if (c->spans[i].min_txid <= report->txid)
            c->spans[kept++] = c->spans[i];
    }
    report->catch_ups = hf_take_ptr(&c->spans);
    report->catch_ups_count = kept;
    report->catch_ups_since_txid = c->since_txid;
    c->count = 0;
}
