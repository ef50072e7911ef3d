/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_put.c - one object in one request.
 *
 * A conditional put that met an answer such as 500 is repeated, and may then conflict with what its
 * own first attempt wrote. Then the object is read: it is no larger than the body at hand, so that
 * costs one request more and settles most cases; what it does not settle is HF_UNCERTAIN.
 */
#include "store/s3_put.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

static void add_header(struct hf_s3_call *call, const char *name, const char *value)
{
    hf_assert(call->headers_count < HF_S3_CALL_PAIRS_MAX);
    call->headers[call->headers_count++] = (struct hf_http_pair){.name = name, .value = value};
}

void hf_s3_put_condition(const struct hf_put *put, struct hf_s3_put_values *values,
                         struct hf_s3_call *call)
{
    call->effect = put->cond == HF_PUT_ALWAYS ? HF_S3_PUT : HF_S3_PUT_ONCE;
    if (put->cond == HF_PUT_IF_ABSENT)
        add_header(call, "if-none-match", "*");
    if (put->cond == HF_PUT_IF_MATCH) {
        (void)snprintf(values->if_match, sizeof(values->if_match), "\"%s\"", put->match.str);
        add_header(call, "if-match", values->if_match);
    }
}

void hf_s3_put_metadata(const struct hf_put *put, struct hf_s3_put_values *values,
                        struct hf_s3_call *call)
{
    char text[HF_TIME_TEXT_MAX];

    if (put->timestamp_ms == 0)
        return;
    hf_time_text(put->timestamp_ms, text);
    hf_assert(strlen(text) > 0 && text[strlen(text) - 1] == 'Z');
    /* Nanoseconds, as Litestream writes them. */
    (void)snprintf(values->timestamp, sizeof(values->timestamp), "%.*s000000Z",
                   (int)strlen(text) - 1, text);
    add_header(call, HF_S3_TIMESTAMP_HEADER, values->timestamp);
}

enum hf_code hf_s3_put_etag(const struct hf_http_response *r, struct hf_etag *ret_etag,
                            struct hf_err *err)
{
    const char *text = hf_http_response_header(r, "etag");

    if (ret_etag == NULL)
        return HF_OK;
    if (text == NULL)
        return hf_err_set(err, HF_UNCERTAIN, "the store says it has written, and gave no ETag");
    if (hf_s3_etag_parse(text, ret_etag, err) != HF_OK)
        return hf_err_recode(err, HF_UNCERTAIN, "the store says it has written");
    return HF_OK;
}

/* After a conflict that may be with ourselves: `rc` becomes HF_OK if the object is our bytes. */
static enum hf_code settle_conflict(struct hf_s3_client *c, const char *key, struct hf_slice body,
                                    const struct hf_put *put, struct hf_etag *ret_etag,
                                    struct hf_err *err)
{
    HF_AUTO_BUF there = {0};
    struct hf_object object = {0};
    struct hf_err get_err;

    if (hf_s3_get(c, key, 0, body.len + 1, &there, &object, &get_err) != HF_OK)
        return hf_err_recode(err, HF_UNCERTAIN,
                             "perhaps a conflict with an earlier attempt of this very put, and the "
                             "object cannot be read (%s)",
                             get_err.text);
    if (there.len == body.len && (body.len == 0 || memcmp(there.ptr, body.ptr, body.len) == 0)) {
        if (ret_etag != NULL)
            *ret_etag = object.etag;
        return HF_OK;
    }
    /* With IF_MATCH, ours may have been there and have been replaced since. */
    if (put->cond == HF_PUT_IF_MATCH)
        return hf_err_recode(err, HF_UNCERTAIN, "an earlier attempt of this put may have written");
    return HF_CONFLICT;
}

enum hf_code hf_s3_put(struct hf_s3_client *c, const char *key, struct hf_slice body,
                       const struct hf_put *put, struct hf_etag *ret_etag, struct hf_err *err)
{
    HF_AUTO_S3_ANSWER answer = {0};
    struct hf_s3_put_values values;
    struct hf_s3_call call = {.method = "PUT", .key = key, .body = body, .has_body = true};
    enum hf_code rc;

    hf_s3_put_condition(put, &values, &call);
    hf_s3_put_metadata(put, &values, &call);
    rc = hf_s3_client_call(c, &call, &answer, err);
    if (rc == HF_CONFLICT && answer.maybe_written)
        return settle_conflict(c, key, body, put, ret_etag, err);
    if (rc != HF_OK)
        return rc;
    return hf_s3_put_etag(&answer.http, ret_etag, err);
}
