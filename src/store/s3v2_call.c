/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3v2_call.c - one request by libs3, judged and repeated. What libs3 says of it is judged by the
 * table of s3_judge.c, as the names of its status are S3's error codes.
 *
 * Invariant: libs3 is called only under libs3_mutex, and no function of a caller is called under
 * it.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "store/retry.h"
#include "store/s3v2_priv.h"

static pthread_mutex_t libs3_mutex = PTHREAD_MUTEX_INITIALIZER;

/* libs3 2.0 writes a blank in a key as '+', which servers take for a plus: the object would come to
 * lie under another name. So such keys are refused. */
static enum hf_code check_key(const char *key, struct hf_err *err)
{
    if (strchr(key, ' ') != NULL)
        return hf_err_set(
            err, HF_UNSUPPORTED,
            "a key with a blank cannot be used with s3+v2:// (libs3 would write it as "
            "'+')");
    if (strlen(key) > HF_KEY_MAX)
        return hf_err_set(err, HF_USAGE,
                          "the key has %zu bytes with the URL's prefix, S3 allows %d", strlen(key),
                          HF_KEY_MAX);
    return HF_OK;
}

void hf_s3v2_call_init(struct hf_s3v2_call *c, struct hf_s3v2 *s, const char *key)
{
    *c = (struct hf_s3v2_call){
        .store = s,
        .key = hf_strfmt("%s%s", s->prefix, key),
        .context = {.hostName = s->endpoint.host,
                    .bucketName = s->bucket,
                    .protocol = s->endpoint.https ? S3ProtocolHTTPS : S3ProtocolHTTP,
                    .uriStyle = s->endpoint.path_style ? S3UriStylePath : S3UriStyleVirtualHost,
                    .accessKeyId = s->aws.access_key_id,
                    .secretAccessKey = s->aws.secret_access_key},
    };
}

void hf_s3v2_call_done(struct hf_s3v2_call *c)
{
    hf_free(c->key);
}

/* Callbacks of libs3. */

static S3Status take_properties(const S3ResponseProperties *p, void *ctx)
{
    struct hf_s3v2_call *c = (struct hf_s3v2_call *)ctx;
    struct hf_err ignored;

    c->object = (struct hf_object){
        .size_bytes = p->contentLength,
        .modified_ms = p->lastModified > 0 ? p->lastModified * 1000 : 0,
    };
    c->object_err.code = HF_OK;
    if (p->eTag != NULL)
        (void)!hf_s3_etag_parse(p->eTag, &c->object.etag, &c->object_err);
    for (int i = 0; i < p->metaDataCount; i++) {
        if (strcmp(p->metaData[i].name, HF_S3V2_TIMESTAMP_NAME) == 0 &&
            hf_time_parse(p->metaData[i].value, &c->object.timestamp_ms, &ignored) != HF_OK)
            c->object.timestamp_ms = 0;
    }
    return S3StatusOK;
}

static void take_end(S3Status status, const S3ErrorDetails *details, void *ctx)
{
    struct hf_s3v2_call *c = (struct hf_s3v2_call *)ctx;

    c->status = status;
    if (details != NULL && details->message != NULL)
        (void)snprintf(c->error.message, sizeof(c->error.message), "%s", details->message);
}

/* Between two pieces of a body; what is said of it is judged with S3StatusAbortedByCallback. */
bool hf_s3v2_told_to_stop(struct hf_s3v2_call *c)
{
    if (!hf_stop_is_set(c->store->env.stop))
        return false;
    (void)hf_err_set(&c->body_err,
                     c->body != NULL && c->sent_bytes > 0 ? HF_UNCERTAIN : HF_CANCELED,
                     "told to stop");
    return true;
}

const S3ResponseHandler hf_s3v2_response_handler = {.propertiesCallback = take_properties,
                                                    .completeCallback = take_end};

/* From libs3's status to the words of s3_judge.c. */

/* The HTTP status behind those names that are not an error code of S3. */
static int http_status(S3Status status)
{
    switch (status) {
    case S3StatusHttpErrorMovedTemporarily:
        return 307;
    case S3StatusHttpErrorBadRequest:
        return 400;
    case S3StatusHttpErrorForbidden:
        return 403;
    case S3StatusHttpErrorNotFound:
        return 404;
    case S3StatusHttpErrorConflict:
        return 409;
    case S3StatusHttpErrorUnknown: /* 429, 500, 502, 503, 504 without a text, among others */
        return 503;
    default:
        return 0;
    }
}

static enum hf_code judge_answer(struct hf_s3v2_call *c, struct hf_err *err)
{
    static const char prefix[] = "Error";
    const char *name = S3_get_status_name(c->status);
    const struct hf_s3_verdict v = {
        .status = http_status(c->status),
        .error = &c->error,
        .bucket = c->store->bucket,
        .region = c->store->endpoint.region,
        .credentials_from = c->store->aws.credentials_from,
        .has_key = c->page == NULL,
    };

    if (strncmp(name, prefix, sizeof(prefix) - 1) == 0)
        (void)snprintf(c->error.code, sizeof(c->error.code), "%s", name + sizeof(prefix) - 1);
    return hf_s3_judge(&v, err);
}

static enum hf_code judge(struct hf_s3v2_call *c, struct hf_err *err)
{
    const char *name = S3_get_status_name(c->status);

    switch (c->status) {
    case S3StatusOK:
        return HF_OK;
    case S3StatusAbortedByCallback:
        hf_assert(c->body_err.code != HF_OK);
        return hf_err_set(err, c->body_err.code, "%s", c->body_err.text);
    case S3StatusNameLookupError:
    case S3StatusFailedToConnect:
        return hf_err_set(err, HF_TRANSIENT, "no connection to %s (libs3: %s)",
                          c->store->endpoint.host, name);
    case S3StatusConnectionFailed:
    case S3StatusInternalError:
        return hf_err_set(err, c->body != NULL ? HF_UNCERTAIN : HF_TRANSIENT,
                          "no whole answer from %s (libs3: %s)", c->store->endpoint.host, name);
    default:
        break;
    }
    if (c->status < S3StatusErrorAccessDenied)
        return hf_err_set(err, HF_IO, "libs3 refuses the request or the answer: %s", name);
    return judge_answer(c, err);
}

/* Forget what an attempt left in `c`. */
static void begin_attempt(struct hf_s3v2_call *c, size_t into_len)
{
    c->sent_bytes = 0;
    c->object = (struct hf_object){0};
    c->object_err.code = HF_OK;
    c->error = (struct hf_s3_error){0};
    if (c->into != NULL)
        c->into->len = into_len;
    if (c->page != NULL)
        hf_s3_page_done(c->page);
}

/* Send until it is done, refused, or out of time. Nothing here has a condition, so all of it may be
 * repeated; but a put that fails for good after an attempt of unknown end is uncertain. */
enum hf_code hf_s3v2_call_run(struct hf_s3v2_call *c, hf_s3v2_send_fn *send, void *ctx,
                              struct hf_err *err)
{
    const size_t into_len = c->into != NULL ? c->into->len : 0;
    struct hf_retry retry;
    bool maybe_written = false;
    enum hf_code rc = c->page == NULL ? check_key(c->key, err) : HF_OK;

    if (rc != HF_OK)
        return rc;
    hf_retry_init(&retry, c->store->env.clock, c->store->env.rand, c->store->env.stop,
                  c->store->env.waits, HF_RETRY_BUDGET_MS);
    if (hf_stop_is_set(c->store->env.stop))
        return hf_err_set(err, HF_CANCELED, "told to stop");
    do {
        begin_attempt(c, into_len);
        (void)pthread_mutex_lock(&libs3_mutex);
        send(c, ctx);
        (void)pthread_mutex_unlock(&libs3_mutex);
        rc = judge(c, err);
        maybe_written = maybe_written || rc == HF_UNCERTAIN ||
                        (c->body != NULL && (c->status == S3StatusHttpErrorUnknown ||
                                             c->status == S3StatusErrorInternalError));
    } while ((rc == HF_TRANSIENT || rc == HF_UNCERTAIN) && hf_retry_wait(&retry, 0, err));
    if (rc != HF_OK && rc != HF_UNCERTAIN && maybe_written)
        return hf_err_recode(err, HF_UNCERTAIN, "an attempt may have written it");
    if (rc == HF_TRANSIENT && hf_stop_is_set(c->store->env.stop))
        return hf_err_recode(err, HF_CANCELED, "told to stop");
    if (rc == HF_OK && c->object_err.code != HF_OK)
        return hf_err_set(err, HF_IO, "%s", c->object_err.text);
    return rc;
}
