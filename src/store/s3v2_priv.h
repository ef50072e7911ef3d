/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3v2_priv.h - what the files of the s3+v2:// store share. Nobody else includes it.
 */
#ifndef HF_STORE_S3V2_PRIV_H
#define HF_STORE_S3V2_PRIV_H

#include <libs3.h>

#include "store/s3_client.h"
#include "store/s3_put.h"
#include "store/store_ops.h"
#include "store/store_s3v2.h"

#define HF_S3V2_TIMESTAMP_NAME "litestream-timestamp" /* libs3 adds x-amz-meta- */

struct hf_s3v2 {
    struct hf_store base; /* first, so that the pointers convert */
    struct hf_store_env env;
    struct hf_aws_env aws;
    struct hf_s3_endpoint endpoint;
    char *bucket;
    char *prefix; /* "" or ends in '/' */
};

static inline struct hf_s3v2 *hf_s3v2_of(struct hf_store *s)
{
    return (struct hf_s3v2 *)s;
}

/* Where the body of a put comes from: memory, or a file. */
struct hf_s3v2_body {
    struct hf_slice slice;
    struct hf_file *file; /* NULL: slice */
    uint64_t size_bytes;
};

/* One request under way: what it needs, and what came back. */
struct hf_s3v2_call {
    struct hf_s3v2 *store;
    S3BucketContext context;
    char *key; /* with the store's prefix */
    const struct hf_s3v2_body *body;
    uint64_t sent_bytes;
    struct hf_err body_err; /* of what ended the body; code HF_OK if nothing did */
    struct hf_buf *into;
    struct hf_s3_page *page;
    struct hf_object object;
    struct hf_err object_err; /* of what could not be read of the answer */
    S3Status status;
    struct hf_s3_error error;
};

/* Make the request of libs3 that `c` is for. */
typedef void hf_s3v2_send_fn(struct hf_s3v2_call *c, void *ctx);

/* A call for `key`, ready for its body, into or page. */
void hf_s3v2_call_init(struct hf_s3v2_call *c, struct hf_s3v2 *s, const char *key);
void hf_s3v2_call_done(struct hf_s3v2_call *c); /* for HF_CLEANUP */
/* Send until it is done, refused, told to stop, or out of time. Codes as hf_s3_client_call() with
 * HF_S3_PUT for what has a body, else HF_S3_REPEATABLE; HF_UNSUPPORTED also for a key with a blank.
 */
enum hf_code hf_s3v2_call_run(struct hf_s3v2_call *c, hf_s3v2_send_fn *send, void *ctx,
                              struct hf_err *err) HF_MUST_CHECK;

/* For callbacks between two pieces of a body: whether to abort. The reason is kept in `c`. */
bool hf_s3v2_told_to_stop(struct hf_s3v2_call *c);

/* Callbacks of libs3, with a struct hf_s3v2_call as their data. */
extern const S3ResponseHandler hf_s3v2_response_handler;

/* The operations of struct hf_store_ops. */
enum hf_code hf_s3v2_head(struct hf_store *s, const char *key, struct hf_object *ret,
                          struct hf_err *err) HF_MUST_CHECK;
enum hf_code hf_s3v2_get(struct hf_store *s, const char *key, uint64_t offset, uint64_t len,
                         struct hf_buf *ret, struct hf_object *ret_object,
                         struct hf_err *err) HF_MUST_CHECK;
enum hf_code hf_s3v2_list(struct hf_store *s, const char *prefix, const char *start_after,
                          hf_list_fn *fn, void *ctx, struct hf_err *err) HF_MUST_CHECK;
enum hf_code hf_s3v2_put(struct hf_store *s, const char *key, struct hf_slice slice,
                         const struct hf_put *put, struct hf_etag *ret_etag,
                         struct hf_err *err) HF_MUST_CHECK;
enum hf_code hf_s3v2_upload_new(struct hf_store *s, const char *key, const struct hf_put *put,
                                struct hf_upload **ret, struct hf_err *err) HF_MUST_CHECK;

#endif
