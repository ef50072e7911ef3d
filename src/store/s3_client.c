/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_client.c - build, sign, send, judge, repeat.
 *
 * Invariants
 * 1. What is signed is what is sent: host, path and query are built once for both.
 * 2. HF_TRANSIENT leaves this file for a put only if no attempt can have written.
 * 3. A conditional put is not sent again after an attempt of which no answer came.
 */
#include "store/s3_client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/hash.h"
#include "store/retry.h"
#include "store/sigv4.h"

#define EQUAL_PARTS_HOST ".r2.cloudflarestorage.com" /* R2 docs, "Multipart upload" */

/* env->rand, which belongs to one thread if it is seeded, for many. */
struct shared_rand {
    struct hf_rand base; /* first, so that the pointers convert */
    pthread_mutex_t mutex;
    struct hf_rand *guarded; /* borrowed; by mutex */
};

struct hf_s3_client {
    struct hf_http *http;
    struct hf_clock *clock;   /* borrowed */
    const hf_stop_flag *stop; /* borrowed; or NULL */
    struct hf_waits *waits;   /* borrowed; or NULL */
    struct shared_rand rand;
    struct hf_s3_endpoint endpoint;
    char *bucket;
    char *prefix; /* "" or ends in '/' */
    struct hf_aws_env aws;
    atomic_bool equal_parts;
};

static uint64_t shared_next(struct hf_rand *r)
{
    struct shared_rand *shared = (struct shared_rand *)r;

    (void)pthread_mutex_lock(&shared->mutex);

    const uint64_t x = hf_rand_u64(shared->guarded);

    (void)pthread_mutex_unlock(&shared->mutex);
    return x;
}

void hf_s3_answer_done(struct hf_s3_answer *a)
{
    hf_http_response_done(&a->http);
}

static char *copy_text(const char *text)
{
    return text != NULL ? hf_strdup(text) : NULL;
}

enum hf_code hf_s3_client_new(const struct hf_url *url, const struct hf_aws_env *aws,
                              const struct hf_store_env *env, struct hf_http *http,
                              struct hf_s3_client **ret, struct hf_err *err)
{
    struct hf_s3_endpoint endpoint = {0};
    const enum hf_code rc = hf_s3_endpoint_parse(url, aws, &endpoint, err);

    if (rc != HF_OK) {
        hf_http_free(http);
        return rc;
    }

    struct hf_s3_client *c = (struct hf_s3_client *)hf_calloc(1, sizeof(*c));

    c->http = http;
    c->clock = env->clock;
    c->stop = env->stop;
    c->waits = env->waits;
    c->rand.base.next = shared_next;
    c->rand.guarded = env->rand;
    (void)pthread_mutex_init(&c->rand.mutex, NULL);
    c->endpoint = endpoint;
    c->equal_parts = strstr(endpoint.host, EQUAL_PARTS_HOST) != NULL;
    c->bucket = hf_strdup(url->host);
    c->prefix = url->path[0] != '\0' ? hf_strfmt("%s/", url->path) : hf_strdup("");
    c->aws.access_key_id = copy_text(aws->access_key_id);
    c->aws.secret_access_key = copy_text(aws->secret_access_key);
    c->aws.session_token = copy_text(aws->session_token);
    c->aws.credentials_from = copy_text(aws->credentials_from);
    *ret = c;
    return HF_OK;
}

void hf_s3_client_free(struct hf_s3_client *c)
{
    if (c == NULL)
        return;
    hf_http_free(c->http);
    (void)pthread_mutex_destroy(&c->rand.mutex);
    hf_s3_endpoint_done(&c->endpoint);
    hf_free(c->bucket);
    hf_free(c->prefix);
    hf_aws_env_done(&c->aws);
    hf_free(c);
}

const char *hf_s3_client_prefix(const struct hf_s3_client *c)
{
    return c->prefix;
}

void hf_s3_client_retry(struct hf_s3_client *c, struct hf_retry *ret)
{
    hf_retry_init(ret, c->clock, &c->rand.base, c->stop, c->waits, HF_RETRY_BUDGET_MS);
}

bool hf_s3_client_equal_parts(const struct hf_s3_client *c)
{
    return c->equal_parts;
}

void hf_s3_client_set_equal_parts(struct hf_s3_client *c)
{
    c->equal_parts = true;
}

/* A request with what its pointers point to. */
struct request {
    struct hf_buf host;
    struct hf_buf path;
    struct hf_buf url;
    struct hf_buf authorization;
    char date[HF_SIGV4_DATE_MAX];
    struct hf_http_pair headers[HF_SIGV4_PAIRS_MAX];
    size_t headers_count;
};

static void request_done(struct request *r)
{
    hf_buf_done(&r->host);
    hf_buf_done(&r->path);
    hf_buf_done(&r->url);
    hf_buf_done(&r->authorization);
}

static void add_header(struct request *r, const char *name, const char *value)
{
    hf_assert(r->headers_count < HF_SIGV4_PAIRS_MAX);
    r->headers[r->headers_count++] = (struct hf_http_pair){.name = name, .value = value};
}

static void build_url(const struct hf_s3_client *c, const struct hf_s3_call *call,
                      struct request *r)
{
    if (c->endpoint.path_style) {
        hf_buf_printf(&r->host, "%s", c->endpoint.host);
        hf_buf_printf(&r->path, "/%s/", c->bucket);
    } else {
        hf_buf_printf(&r->host, "%s.%s", c->bucket, c->endpoint.host);
        hf_buf_printf(&r->path, "/");
    }
    if (call->key != NULL) {
        hf_sigv4_encode(c->prefix, true, &r->path);
        hf_sigv4_encode(call->key, true, &r->path);
    }
    hf_buf_printf(&r->url, "%s://%s%s", c->endpoint.https ? "https" : "http", hf_buf_str(&r->host),
                  hf_buf_str(&r->path));
    if (call->query_count > 0) {
        hf_buf_printf(&r->url, "?");
        hf_sigv4_query(call->query, call->query_count, &r->url);
    }
}

/* Everything we add is signed, and nothing that curl or a proxy may add or change: Google's front
 * end rewrites Accept-Encoding, for one. */
static void sign(const struct hf_s3_client *c, const struct hf_s3_call *call, const char *sha256,
                 struct request *r)
{
    const struct hf_sigv4_key key = {.access_key_id = c->aws.access_key_id,
                                     .secret_access_key = c->aws.secret_access_key,
                                     .region = c->endpoint.region,
                                     .service = "s3"};

    hf_sigv4_date(hf_now_ms(c->clock), r->date);
    add_header(r, "host", hf_buf_str(&r->host));
    add_header(r, "x-amz-date", r->date);
    add_header(r, "x-amz-content-sha256", sha256);
    if (c->aws.session_token != NULL)
        add_header(r, "x-amz-security-token", c->aws.session_token);
    for (size_t i = 0; i < call->headers_count; i++)
        add_header(r, call->headers[i].name, call->headers[i].value);

    const struct hf_sigv4_request to_sign = {.method = call->method,
                                             .path = hf_buf_str(&r->path),
                                             .query = call->query,
                                             .query_count = call->query_count,
                                             .headers = r->headers,
                                             .headers_count = r->headers_count,
                                             .payload_sha256 = sha256};

    hf_sigv4_sign(&key, &to_sign, r->date, &r->authorization);
    add_header(r, "authorization", hf_buf_str(&r->authorization));
}

static enum hf_code send_once(struct hf_s3_client *c, const struct hf_s3_call *call,
                              const char *sha256, struct hf_http_response *ret, struct hf_err *err)
{
    HF_CLEANUP(request_done) struct request r = {0};

    build_url(c, call, &r);
    sign(c, call, sha256, &r);

    const struct hf_http_request req = {
        .method = call->method,
        .url = hf_buf_str(&r.url),
        .headers = r.headers,
        .headers_count = r.headers_count,
        .body = call->body,
        .has_body = call->has_body,
        .into = call->into,
        .into_bytes_max = call->into_bytes_max,
        .stall_ms = call->stall_ms,
        .stop = c->stop,
    };
    const enum hf_code rc = hf_http_send(c->http, &req, ret, err);

    if (rc != HF_OK)
        return hf_err_wrap(err, "no whole answer from %s", hf_buf_str(&r.host));
    return rc;
}

static bool has_header(const struct hf_s3_call *call, const char *name)
{
    for (size_t i = 0; i < call->headers_count; i++) {
        if (strcmp(call->headers[i].name, name) == 0)
            return true;
    }
    return false;
}

static enum hf_code judge_answer(const struct hf_s3_client *c, const struct hf_s3_call *call,
                                 const struct hf_s3_answer *a, struct hf_err *err)
{
    const struct hf_s3_verdict v = {
        .status = a->http.status,
        .error = &a->error,
        .bucket = c->bucket,
        .region = c->endpoint.region,
        .answer_region = hf_http_response_header(&a->http, "x-amz-bucket-region"),
        .credentials_from = c->aws.credentials_from,
        .if_match = has_header(call, "if-match"),
        .has_key = call->key != NULL,
    };

    return hf_s3_judge(&v, err);
}

/* Whether a failure that asks for a repetition leaves open what the store did. Only an answer that
 * S3 itself gives for "not now" says that nothing was written; one of a gateway in between does
 * not, nor does an internal error. */
static bool is_ambiguous(const struct hf_s3_answer *a)
{
    const int status = a->http.status;

    return status == 500 || status == 502 || status == 504 ||
           (status == 503 && a->error.code[0] == '\0') ||
           strcmp(a->error.code, "InternalError") == 0;
}

/* What a transport's failure means for this call. */
static enum hf_code judge_broken(const struct hf_s3_call *call, enum hf_code rc, struct hf_err *err)
{
    const bool writes = call->effect != HF_S3_REPEATABLE;

    if (rc == HF_UNCERTAIN && !writes)
        return hf_err_recode(err, HF_TRANSIENT, "%s", call->method);
    if (rc == HF_IO && writes)
        return hf_err_recode(err, HF_UNCERTAIN, "%s", call->method);
    return rc;
}

/* What failed without an effect has failed because it was told to, if it was. */
static enum hf_code judge_stop(const struct hf_s3_client *c, enum hf_code rc, struct hf_err *err)
{
    if (rc == HF_TRANSIENT && hf_stop_is_set(c->stop))
        return hf_err_recode(err, HF_CANCELED, "told to stop");
    return rc;
}

static enum hf_code attempt(struct hf_s3_client *c, const struct hf_s3_call *call,
                            const char *sha256, struct hf_s3_answer *ret, struct hf_err *err)
{
    const size_t into_len = call->into != NULL ? call->into->len : 0;

    if (hf_stop_is_set(c->stop)) {
        ret->maybe_written = false;
        return hf_err_set(err, HF_CANCELED, "told to stop");
    }
    const enum hf_code rc = send_once(c, call, sha256, &ret->http, err);
    const int status = ret->http.status;
    const bool refused = status >= 300;

    ret->maybe_written = false;
    ret->error = (struct hf_s3_error){0};
    /* A refusal counts even if the connection broke while its text came. */
    if (rc != HF_OK && !refused)
        return judge_broken(call, rc, err);
    if (refused || call->error_in_200)
        (void)hf_s3_error_parse(hf_buf_slice(&ret->http.body), &ret->error);
    if (status >= 200 && !refused && ret->error.code[0] == '\0')
        return HF_OK;
    if (call->into != NULL)
        call->into->len = into_len;
    ret->maybe_written = call->effect != HF_S3_REPEATABLE && is_ambiguous(ret);
    return judge_answer(c, call, ret, err);
}

static void hash_body(const struct hf_s3_call *call, char ret[HF_SHA256_HEX_MAX])
{
    uint8_t hash[HF_SHA256_BYTES];

    hf_sha256(call->body, hash);
    hf_hex(hf_slice(hash, sizeof(hash)), ret);
}

static enum hf_code check_key(const struct hf_s3_client *c, const struct hf_s3_call *call,
                              struct hf_err *err)
{
    const size_t len = call->key != NULL ? strlen(c->prefix) + strlen(call->key) : 0;

    if (len > HF_KEY_MAX)
        return hf_err_set(err, HF_USAGE,
                          "the key has %zu bytes with the URL's prefix, S3 allows %d", len,
                          HF_KEY_MAX);
    return HF_OK;
}

static int64_t asked_wait_ms(const struct hf_s3_client *c, const struct hf_s3_answer *a)
{
    return hf_retry_after_ms(hf_http_response_header(&a->http, "retry-after"), hf_now_ms(c->clock));
}

enum hf_code hf_s3_client_try(struct hf_s3_client *c, const struct hf_s3_call *call,
                              struct hf_s3_answer *ret, int64_t *ret_wait_ms, struct hf_err *err)
{
    char sha256[HF_SHA256_HEX_MAX];
    enum hf_code rc;

    rc = check_key(c, call, err);
    if (rc != HF_OK)
        return rc;
    hash_body(call, sha256);
    rc = attempt(c, call, sha256, ret, err);
    *ret_wait_ms = asked_wait_ms(c, ret);
    return judge_stop(c, rc, err);
}

static bool may_repeat(const struct hf_s3_call *call, enum hf_code rc)
{
    return rc == HF_TRANSIENT || (rc == HF_UNCERTAIN && call->effect == HF_S3_PUT);
}

enum hf_code hf_s3_client_call(struct hf_s3_client *c, const struct hf_s3_call *call,
                               struct hf_s3_answer *ret, struct hf_err *err)
{
    char sha256[HF_SHA256_HEX_MAX];
    struct hf_retry retry;
    bool maybe_written = false;
    enum hf_code rc;

    rc = check_key(c, call, err);
    if (rc != HF_OK)
        return rc;
    hash_body(call, sha256);
    hf_s3_client_retry(c, &retry);
    do {
        rc = attempt(c, call, sha256, ret, err);
        maybe_written = maybe_written || ret->maybe_written || rc == HF_UNCERTAIN;
    } while (may_repeat(call, rc) && hf_retry_wait(&retry, asked_wait_ms(c, ret), err));

    ret->maybe_written = maybe_written;
    if (rc == HF_OK)
        return rc;
    if (retry.waits_count > 0)
        (void)hf_err_wrap(err, "after %u attempts", retry.waits_count + 1);
    if (maybe_written && rc != HF_CONFLICT && rc != HF_UNCERTAIN)
        return hf_err_recode(err, HF_UNCERTAIN, "an attempt may have written it");
    return judge_stop(c, rc, err);
}
