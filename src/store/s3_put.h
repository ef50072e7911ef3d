/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_put.h - a plain put to S3, and what it shares with a multipart upload and a get.
 * For store_s3.c and s3_upload.c.
 */
#ifndef HF_STORE_S3_PUT_H
#define HF_STORE_S3_PUT_H

#include "store/s3_client.h"

/* Litestream's name, so that it reads our times and we read its. RFC 3339, UTC. */
#define HF_S3_TIMESTAMP_HEADER "x-amz-meta-litestream-timestamp"
#define HF_S3_TIMESTAMP_MAX    96 /* bytes with NUL */

/* The header values of a put, where a call's pointers point to. */
struct hf_s3_put_values {
    char if_match[HF_ETAG_MAX + 2];
    char timestamp[HF_S3_TIMESTAMP_MAX];
};

/* Add to `call` the condition of `put`, and choose the call's effect by it. */
void hf_s3_put_condition(const struct hf_put *put, struct hf_s3_put_values *values,
                         struct hf_s3_call *call);
/* Add to `call` what is kept with the object. */
void hf_s3_put_metadata(const struct hf_put *put, struct hf_s3_put_values *values,
                        struct hf_s3_call *call);

/* hf_store_put() on S3. `ret_etag` may be NULL. */
enum hf_code hf_s3_put(struct hf_s3_client *c, const char *key, struct hf_slice body,
                       const struct hf_put *put, struct hf_etag *ret_etag,
                       struct hf_err *err) HF_MUST_CHECK;

/* The ETag header of an answer that has written an object. HF_UNCERTAIN if there is none. */
enum hf_code hf_s3_put_etag(const struct hf_http_response *r, struct hf_etag *ret_etag,
                            struct hf_err *err) HF_MUST_CHECK;

/* hf_store_get() on S3. */
enum hf_code hf_s3_get(struct hf_s3_client *c, const char *key, uint64_t offset, uint64_t len,
                       struct hf_buf *ret, struct hf_object *ret_object,
                       struct hf_err *err) HF_MUST_CHECK;

/* hf_store_head() on S3. */
enum hf_code hf_s3_head(struct hf_s3_client *c, const char *key, struct hf_object *ret,
                        struct hf_err *err) HF_MUST_CHECK;

/* hf_upload_new() on S3; the key is that of the upload's base, which store.c sets. Sends nothing
 * yet. */
struct hf_upload *hf_s3_upload_new(struct hf_s3_client *c, const struct hf_put *put);

#endif
