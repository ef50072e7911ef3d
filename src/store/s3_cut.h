/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_cut.h - where the parts of a multipart upload end, and which numbers they have.
 *
 * Two uploads of nearly the same bytes get nearly the same parts under the same numbers, if the
 * writer says where in its own source it is: DESIGN.md, "A snapshot that goes on". Pure; one
 * thread. Source: S3 User Guide, "Multipart upload limits": 10,000 parts of 5 MiB to 5 GiB.
 */
#ifndef HF_STORE_S3_CUT_H
#define HF_STORE_S3_CUT_H

#include <stdbool.h>

#include "base/buf.h"

#define HF_S3_PARTS_MAX      10000
#define HF_S3_PART_BYTES_MIN ((uint64_t)5 << 20) /* of all but the last */
#define HF_S3_PART_BYTES_MAX ((uint64_t)5 << 30)

/* All zero is none; hf_s3_cutter_init() first. */
struct hf_s3_cutter {
    uint64_t unit;      /* of positions: a power of two */
    uint64_t bytes_max; /* of a part */
    struct hf_buf borders;
    unsigned number;      /* of the part that was taken last; 0: none */
    uint64_t first_index; /* of the unit that the bytes held begin with; UINT64_MAX: within one */
    bool equal;
};

/* `size_hint` is the size of the source, 0 if unknown. With `equal` all parts but the last have
 * bytes_max bytes, and borders are not used. */
void hf_s3_cutter_init(struct hf_s3_cutter *c, uint64_t size_hint, bool equal);
void hf_s3_cutter_done(struct hf_s3_cutter *c);

/* After the first `at` of the bytes held, the source is at `position`. Both ascend. */
void hf_s3_cutter_border(struct hf_s3_cutter *c, size_t at, uint64_t position);

/* How many of the `len` bytes held, at most bytes_max, are the next part; the rest stay held.
 * `*ret_number`, 1 and up, ascends; it may pass HF_S3_PARTS_MAX. */
size_t hf_s3_cutter_take(struct hf_s3_cutter *c, size_t len, unsigned *ret_number);

#endif
