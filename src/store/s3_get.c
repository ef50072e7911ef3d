/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_get.c - reading objects. A body that breaks off is taken up where it ended, under the
 * condition that the object is still the same version; so an idle or flaky connection costs no byte
 * twice.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "store/retry.h"
#include "store/s3_put.h"

#define RANGE_TEXT_MAX 64

static bool parse_u64(const char *text, uint64_t *ret)
{
    char *end;

    if (text == NULL || *text < '0' || *text > '9')
        return false;
    errno = 0;
    *ret = strtoull(text, &end, 10);
    return *end == '\0' && errno == 0;
}

/* The object's size: behind the '/' of Content-Range, or the length of a whole body. */
static bool parse_total(const struct hf_http_response *r, uint64_t *ret)
{
    const char *range = hf_http_response_header(r, "content-range");
    const char *slash = range != NULL ? strrchr(range, '/') : NULL;

    if (slash != NULL)
        return parse_u64(slash + 1, ret);
    return parse_u64(hf_http_response_header(r, "content-length"), ret);
}

static enum hf_code parse_object(const struct hf_http_response *r, struct hf_object *ret,
                                 struct hf_err *err)
{
    const char *modified = hf_http_response_header(r, "last-modified");
    const char *etag = hf_http_response_header(r, "etag");
    const char *timestamp = hf_http_response_header(r, HF_S3_TIMESTAMP_HEADER);
    struct hf_object o = {0};
    struct hf_err ignored;

    if (!parse_total(r, &o.size_bytes))
        return hf_err_set(err, HF_IO, "the store does not say how large the object is");
    if (etag == NULL)
        return hf_err_set(err, HF_IO, "the store gave no ETag");
    if (modified != NULL)
        o.modified_ms = hf_http_date(modified);
    if (modified == NULL || o.modified_ms < 0)
        return hf_err_set(err, HF_IO, "the store does not say when the object was modified");
    /* Anybody may write such a header: one that is no time is as good as none. */
    if (timestamp != NULL && hf_time_parse(timestamp, &o.timestamp_ms, &ignored) != HF_OK)
        o.timestamp_ms = 0;
    if (hf_s3_etag_parse(etag, &o.etag, err) != HF_OK)
        return HF_IO;
    *ret = o;
    return HF_OK;
}

enum hf_code hf_s3_head(struct hf_s3_client *c, const char *key, struct hf_object *ret,
                        struct hf_err *err)
{
    HF_AUTO_S3_ANSWER answer = {0};
    const struct hf_s3_call call = {.method = "HEAD", .key = key};
    enum hf_code rc;

    rc = hf_s3_client_call(c, &call, &answer, err);
    if (rc != HF_OK)
        return rc;
    return parse_object(&answer.http, ret, err);
}

/* A get under way. */
struct get {
    struct hf_s3_client *client;
    const char *key;
    uint64_t offset;
    uint64_t len; /* 0: all from offset */
    struct hf_buf *ret;
    size_t ret_len_before;
    struct hf_object object; /* known once its etag is */
};

static uint64_t got(const struct get *g)
{
    return g->ret->len - g->ret_len_before;
}

static void forget(struct get *g)
{
    g->ret->len = g->ret_len_before;
    g->object = (struct hf_object){0};
}

/* Bytes that the whole get has to bring, as far as the object is known. */
static uint64_t expected(const struct get *g)
{
    const uint64_t size = g->object.size_bytes;
    const uint64_t left = g->offset < size ? size - g->offset : 0;

    return g->len > 0 && g->len < left ? g->len : left;
}

static bool has_range(const struct get *g)
{
    return g->offset + got(g) > 0 || g->len > 0;
}

static void print_range(const struct get *g, char ret[RANGE_TEXT_MAX])
{
    const uint64_t from = g->offset + got(g);
    const uint64_t last = g->offset + g->len - 1;

    if (g->len > 0 && last >= from)
        (void)snprintf(ret, RANGE_TEXT_MAX, "bytes=%" PRIu64 "-%" PRIu64, from, last);
    else
        (void)snprintf(ret, RANGE_TEXT_MAX, "bytes=%" PRIu64 "-", from);
}

/* Learn of the object from an answer that has begun, once. */
static enum hf_code learn(struct get *g, const struct hf_s3_answer *answer, struct hf_err *err)
{
    if (g->object.etag.str[0] != '\0')
        return HF_OK;
    return parse_object(&answer->http, &g->object, err);
}

/* The answer begins where it was asked to; an old or odd server may send the whole object. */
static enum hf_code check_range(const struct hf_http_response *r, uint64_t from, struct hf_err *err)
{
    const char *range = hf_http_response_header(r, "content-range");
    char expect[RANGE_TEXT_MAX];

    if (from == 0 && r->status != 206)
        return HF_OK;
    (void)snprintf(expect, sizeof(expect), "bytes %" PRIu64 "-", from);
    if (r->status != 206 || range == NULL || strncmp(range, expect, strlen(expect)) != 0)
        return hf_err_set(err, HF_IO,
                          "the store was asked for the bytes from %" PRIu64
                          " and sent %.60s "
                          "(HTTP %d)",
                          from, range != NULL ? range : "the whole object", r->status);
    return HF_OK;
}

/* One request for what is still missing. */
static enum hf_code get_some(struct get *g, struct hf_s3_answer *answer, int64_t *ret_wait_ms,
                             struct hf_err *err)
{
    char range[RANGE_TEXT_MAX];
    char if_match[HF_ETAG_MAX + 2];
    struct hf_s3_call call = {.method = "GET", .key = g->key, .into = g->ret};
    const uint64_t from = g->offset + got(g);
    struct hf_err learn_err;
    enum hf_code rc;

    if (has_range(g)) {
        print_range(g, range);
        call.headers[call.headers_count++] = (struct hf_http_pair){"range", range};
    }
    if (got(g) > 0) {
        (void)snprintf(if_match, sizeof(if_match), "\"%s\"", g->object.etag.str);
        call.headers[call.headers_count++] = (struct hf_http_pair){"if-match", if_match};
    }
    if (g->len > 0)
        call.into_bytes_max = g->len - got(g);

    rc = hf_s3_client_try(g->client, &call, answer, ret_wait_ms, err);
    /* Bytes that came before it broke off are kept if they are those that were asked for. */
    if (rc == HF_TRANSIENT && g->offset + got(g) > from &&
        (check_range(&answer->http, from, &learn_err) != HF_OK ||
         learn(g, answer, &learn_err) != HF_OK))
        forget(g);
    if (rc != HF_OK)
        return rc;
    rc = check_range(&answer->http, from, err);
    if (rc != HF_OK)
        return rc;
    rc = learn(g, answer, err);
    if (rc != HF_OK)
        return rc;
    if (got(g) < expected(g))
        return hf_err_set(err, HF_TRANSIENT,
                          "the body ended after %" PRIu64 " of %" PRIu64 " bytes", got(g),
                          expected(g));
    return HF_OK;
}

static enum hf_code get_all(struct get *g, struct hf_err *err)
{
    HF_AUTO_S3_ANSWER answer = {0};
    struct hf_retry retry;
    int64_t wait_ms = 0;
    enum hf_code rc;

    hf_s3_client_retry(g->client, &retry);
    for (;;) {
        const uint64_t got_before = got(g);

        rc = get_some(g, &answer, &wait_ms, err);
        if (rc == HF_OK)
            return HF_OK;
        /* The object was replaced while we read it: begin again with the new one. */
        if (got_before > 0 && (rc == HF_CONFLICT || rc == HF_NOT_FOUND)) {
            forget(g);
            rc = HF_TRANSIENT;
        }
        if (answer.http.status == 416 && got_before == 0)
            return HF_OK;
        if (rc != HF_TRANSIENT)
            return rc;
        if (got(g) > got_before)
            hf_retry_progress(&retry);
        if (!hf_retry_wait(&retry, wait_ms, err))
            return hf_err_recode(err, HF_TRANSIENT, "gave up after %u more attempts",
                                 retry.waits_count);
    }
}

enum hf_code hf_s3_get(struct hf_s3_client *c, const char *key, uint64_t offset, uint64_t len,
                       struct hf_buf *ret, struct hf_object *ret_object, struct hf_err *err)
{
    struct get g = {.client = c,
                    .key = key,
                    .offset = offset,
                    .len = len,
                    .ret = ret,
                    .ret_len_before = ret->len};
    enum hf_code rc;

    rc = get_all(&g, err);
    if (rc != HF_OK) {
        forget(&g);
        return rc;
    }
    if (ret_object == NULL)
        return HF_OK;
    /* An offset behind the end is refused (416) without a word on the object. */
    if (g.object.etag.str[0] == '\0')
        return hf_s3_head(c, key, ret_object, err);
    *ret_object = g.object;
    return HF_OK;
}
