/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_client.h - one signed request to a bucket, judged and repeated as its effect allows.
 *
 * Between http.h, which sends a request once, and store_s3.c, which knows what the requests mean.
 * Any thread. For implementers of store.h only.
 */
#ifndef HF_STORE_S3_CLIENT_H
#define HF_STORE_S3_CLIENT_H

#include "store/aws_env.h"
#include "store/http.h"
#include "store/open.h"
#include "store/s3_xml.h"
#include "store/url.h"

#define HF_S3_CALL_PAIRS_MAX 8 /* query parameters, and headers, that a call adds */

struct hf_s3_client;

/* What a request whose fate is not known may have done. */
enum hf_s3_effect {
    HF_S3_REPEATABLE, /* nothing, or nothing that a repetition changes: repeated, and if it fails
                         for good HF_TRANSIENT */
    HF_S3_PUT,        /* written an object, which may be written again: repeated, and if it fails
                         for good HF_UNCERTAIN */
    HF_S3_PUT_ONCE,   /* written an object under a condition that a repetition would meet with its
                         own object: HF_UNCERTAIN at once */
};

/* All pointers are borrowed until the call returns. */
struct hf_s3_call {
    const char *method;
    const char *key; /* without the store's prefix; NULL: the bucket */
    enum hf_s3_effect effect;
    struct hf_http_pair query[HF_S3_CALL_PAIRS_MAX];
    size_t query_count;
    struct hf_http_pair headers[HF_S3_CALL_PAIRS_MAX]; /* names in lower case; they are signed */
    size_t headers_count;
    struct hf_slice body;
    bool has_body;
    bool error_in_200; /* a 200 may hold an <Error>: CompleteMultipartUpload */
    struct hf_buf *into;
    uint64_t into_bytes_max;
    int64_t stall_ms;
};

/* What came back, beside the code. Owns its buffers. */
struct hf_s3_answer {
    struct hf_http_response http; /* of the last attempt */
    struct hf_s3_error error;
    bool maybe_written; /* an attempt before the last one may have written; set for HF_S3_PUT and
                           HF_S3_PUT_ONCE */
};
void hf_s3_answer_done(struct hf_s3_answer *a);
#define HF_AUTO_S3_ANSWER HF_CLEANUP(hf_s3_answer_done) struct hf_s3_answer

/*
 * The settings of `url` and `aws` are copied; `http` is taken over, also on failure.
 * HF_USAGE  an endpoint or option that cannot be used.
 */
enum hf_code hf_s3_client_new(const struct hf_url *url, const struct hf_aws_env *aws,
                              const struct hf_store_env *env, struct hf_http *http,
                              struct hf_s3_client **ret, struct hf_err *err) HF_MUST_CHECK;
void hf_s3_client_free(struct hf_s3_client *c); /* NULL is allowed */

/* What is put before every key: "" or ends in '/'. */
const char *hf_s3_client_prefix(const struct hf_s3_client *c);
/* Whether the store wants parts of one size, numbered from 1 without gaps: R2 is known to; others
 * show by refusing what has none, and that is remembered here. */
bool hf_s3_client_equal_parts(const struct hf_s3_client *c);
void hf_s3_client_set_equal_parts(struct hf_s3_client *c);
/* The waits of one call begin now. */
void hf_s3_client_retry(struct hf_s3_client *c, struct hf_retry *ret);

/*
 * Send, judge, and repeat with backoff until the budget of retry.h is used up.
 *
 * HF_OK           a 2xx; `ret` holds it. An <Error> in a 200 is judged as if it had come as one.
 * HF_CONFLICT     412, or 404 for an If-Match. If ret->maybe_written, perhaps our own doing.
 * HF_UNCERTAIN    as `effect` says.
 * HF_TRANSIENT    throttled, overloaded, not reached: nothing happened.
 * HF_CANCELED     env->stop was set, and nothing happened.
 * HF_NOT_FOUND    no such object, bucket or upload: the message says which.
 * HF_DENIED       the keys or their permissions, with S3's own code for it.
 * HF_UNSUPPORTED  the store does not know the request.
 * HF_USAGE        region, endpoint, certificate, bucket name.
 * HF_FULL, HF_IO  see the message.
 */
enum hf_code hf_s3_client_call(struct hf_s3_client *c, const struct hf_s3_call *call,
                               struct hf_s3_answer *ret, struct hf_err *err) HF_MUST_CHECK;

/* As hf_s3_client_call(), but never repeated: HF_TRANSIENT and HF_UNCERTAIN are those of one
 * attempt, and `*ret_wait_ms` is what the server asked to wait. */
enum hf_code hf_s3_client_try(struct hf_s3_client *c, const struct hf_s3_call *call,
                              struct hf_s3_answer *ret, int64_t *ret_wait_ms,
                              struct hf_err *err) HF_MUST_CHECK;

/* An endpoint in parts, as the s3+v2 store needs it too. */
struct hf_s3_endpoint {
    bool https;
    char *host; /* with port */
    char *region;
    bool path_style;
};
enum hf_code hf_s3_endpoint_parse(const struct hf_url *url, const struct hf_aws_env *aws,
                                  struct hf_s3_endpoint *ret, struct hf_err *err) HF_MUST_CHECK;
void hf_s3_endpoint_done(struct hf_s3_endpoint *e);

/* What one answer of the store means; text and code of `err` are set. For s3_client.c and tests. */
struct hf_s3_verdict {
    int status;
    const struct hf_s3_error *error;
    const char *bucket;
    const char *region;           /* ours */
    const char *answer_region;    /* x-amz-bucket-region; NULL if it did not come */
    const char *credentials_from; /* for messages */
    bool if_match;                /* the request had an If-Match */
    bool has_key;
};
enum hf_code hf_s3_judge(const struct hf_s3_verdict *v, struct hf_err *err) HF_MUST_CHECK;

#endif
