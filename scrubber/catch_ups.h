/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catch_ups.h - private to scrubber/: which TXIDs of the reference are the disk's word.
 *
 * The headers say so as the reference goes over them, and they are not read again: so this is kept
 * in a file beside the reference.
 */
#ifndef HF_SCRUBBER_CATCH_UPS_H
#define HF_SCRUBBER_CATCH_UPS_H

#include "base/fs.h"
#include "scrubber/scrubber.h"

struct catch_ups {
    struct hf_fs *fs; /* borrowed */
    char *path;
    bool known;          /* since_txid and the spans are those of the reference */
    uint64_t since_txid; /* they are known behind this TXID */
    struct hf_txid_span *spans;
    size_t count;
};

/* What the file at `path` holds, or nothing. */
void catch_ups_init(struct catch_ups *c, struct hf_fs *fs, const char *work_dir);
void catch_ups_done(struct catch_ups *c);

/* For hf_rebuild_options.met; `ctx` is the struct catch_ups. The file is ahead of the reference. */
enum hf_code catch_ups_meet(void *ctx, const struct hf_seg_info *info, struct hf_err *err);

/* The reference is one of which nothing is known up to `txid`. */
enum hf_code catch_ups_begin(struct catch_ups *c, uint64_t txid, struct hf_err *err) HF_MUST_CHECK;

/* Fill what the report has of them; the spans that the reference has reached move there. */
void catch_ups_report(struct catch_ups *c, struct hf_scrub_report *report);

#endif
