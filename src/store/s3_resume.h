/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_resume.h - what an earlier try left of a multipart upload, for s3_upload.c.
 */
#ifndef HF_STORE_S3_RESUME_H
#define HF_STORE_S3_RESUME_H

#include "store/s3_client.h"

/*
 * `*ret_id` (the caller frees) is the newest unfinished upload of `key` and parts[number - 1], of
 * HF_S3_PARTS_MAX, are its parts; NULL if there is none. Older ones are aborted: whoever calls this
 * owns the key.
 * any failure  what there is is not known, and nothing of it is given out.
 * S3: ListMultipartUploads, ListParts; one request a 1000 of them.
 */
enum hf_code hf_s3_resume_find(struct hf_s3_client *c, const char *key, struct hf_s3_part *parts,
                               char **ret_id, struct hf_err *err) HF_MUST_CHECK;

/* Whether `part` holds these very bytes, as far as its size and an ETag that is an MD5 tell. */
bool hf_s3_part_holds(const struct hf_s3_part *part, struct hf_slice body);

/* What fails here is left to the bucket's rule for unfinished uploads (docs/S3.md). */
void hf_s3_upload_abort(struct hf_s3_client *c, const char *key, const char *id);

#endif
