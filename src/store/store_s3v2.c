/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_s3v2.c - store.h on libs3. A request is a call of libs3 with callbacks into `struct call`;
 * what libs3 says of it is judged by the table of s3_judge.c, as the names of its status are S3's
 * error codes.
 *
 * Invariants
 * 1. libs3 is called only under libs3_mutex, and no function of a caller is called under it.
 * 2. An upload waits in a file that has no name, so that nothing is left behind.
 */
#include "store/store_s3v2.h"

#include <libs3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "store/retry.h"
#include "store/s3_client.h"
#include "store/s3_put.h"
#include "store/store_ops.h"

#define TIMESTAMP_NAME "litestream-timestamp" /* libs3 adds x-amz-meta- */

static pthread_mutex_t libs3_mutex = PTHREAD_MUTEX_INITIALIZER;

struct v2_store {
    struct hf_store base; /* first, so that the pointers convert */
    struct hf_store_env env;
    struct hf_aws_env aws;
    struct hf_s3_endpoint endpoint;
    char *bucket;
    char *prefix; /* "" or ends in '/' */
};

struct v2_upload {
    struct hf_upload base; /* first, so that the pointers convert */
    struct hf_file *file;  /* without a name */
    uint64_t size_bytes;
    struct hf_put put;
};

/* Where the body of a put comes from: memory, or a file. */
struct body {
    struct hf_slice slice;
    struct hf_file *file; /* NULL: slice */
    uint64_t size_bytes;
};

/* One request under way: what it needs, and what came back. */
struct call {
    struct v2_store *store;
    S3BucketContext context;
    char *key; /* with the store's prefix */
    const struct body *body;
    uint64_t sent_bytes;
    struct hf_err body_err; /* of reading the body's file; code HF_OK if none */
    struct hf_buf *into;
    struct hf_s3_page *page;
    struct hf_object object;
    struct hf_err object_err; /* of what could not be read of the answer */
    S3Status status;
    struct hf_s3_error error;
};

typedef void send_fn(struct call *c, void *ctx);

static struct v2_store *v2_store(struct hf_store *s)
{
    return (struct v2_store *)s;
}

/* libs3 2.0 writes a blank in a key as '+', which servers take for a plus: the object would come to
 * lie under another name. So such keys are refused. */
static enum hf_code check_key(const struct v2_store *s, const char *key, struct hf_err *err)
{
    if (strchr(key, ' ') != NULL || strchr(s->prefix, ' ') != NULL)
        return hf_err_set(
            err, HF_UNSUPPORTED,
            "a key with a blank cannot be used with s3+v2:// (libs3 would write it as "
            "'+')");
    if (strlen(s->prefix) + strlen(key) > HF_KEY_MAX)
        return hf_err_set(err, HF_USAGE,
                          "the key has %zu bytes with the URL's prefix, S3 allows %d",
                          strlen(s->prefix) + strlen(key), HF_KEY_MAX);
    return HF_OK;
}

static void call_init(struct call *c, struct v2_store *s, const char *key)
{
    *c = (struct call){
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

static void call_done(struct call *c)
{
    hf_free(c->key);
}

/* Callbacks of libs3. */

static S3Status take_properties(const S3ResponseProperties *p, void *ctx)
{
    struct call *c = (struct call *)ctx;
    struct hf_err ignored;

    c->object = (struct hf_object){
        .size_bytes = p->contentLength,
        .modified_ms = p->lastModified > 0 ? p->lastModified * 1000 : 0,
    };
    c->object_err.code = HF_OK;
    if (p->eTag != NULL)
        (void)!hf_s3_etag_parse(p->eTag, &c->object.etag, &c->object_err);
    for (int i = 0; i < p->metaDataCount; i++) {
        if (strcmp(p->metaData[i].name, TIMESTAMP_NAME) == 0 &&
            hf_time_parse(p->metaData[i].value, &c->object.timestamp_ms, &ignored) != HF_OK)
            c->object.timestamp_ms = 0;
    }
    return S3StatusOK;
}

static void take_end(S3Status status, const S3ErrorDetails *details, void *ctx)
{
    struct call *c = (struct call *)ctx;

    c->status = status;
    if (details != NULL && details->message != NULL)
        (void)snprintf(c->error.message, sizeof(c->error.message), "%s", details->message);
}

static int give_body(int size, char *dst, void *ctx)
{
    struct call *c = (struct call *)ctx;
    const uint64_t left = c->body->size_bytes - c->sent_bytes;
    const size_t want = left < (uint64_t)size ? (size_t)left : (size_t)size;
    size_t len = want;

    if (c->body->file != NULL) {
        c->body_err.code = HF_OK;
        if (hf_file_read(c->body->file, c->sent_bytes, dst, want, &len, &c->body_err) != HF_OK)
            return -1;
    } else if (want > 0) {
        (void)memcpy(dst, c->body->slice.ptr + c->sent_bytes, want);
    }
    c->sent_bytes += len;
    return (int)len;
}

static S3Status take_data(int size, const char *data, void *ctx)
{
    struct call *c = (struct call *)ctx;

    hf_buf_append(c->into, data, (size_t)size);
    return S3StatusOK;
}

static S3Status take_keys(int truncated, const char *next_marker, int count,
                          const S3ListBucketContent *contents, int prefixes_count,
                          const char **prefixes, void *ctx)
{
    struct call *c = (struct call *)ctx;
    struct hf_s3_page *page = c->page;

    (void)next_marker;
    (void)prefixes_count;
    (void)prefixes;
    page->truncated = truncated != 0;
    if (count <= 0)
        return S3StatusOK;
    page->entries = (struct hf_s3_entry *)hf_realloc(
        page->entries, page->entries_count + (size_t)count, sizeof(*page->entries));
    for (int i = 0; i < count; i++) {
        struct hf_s3_entry *e = &page->entries[page->entries_count++];

        *e = (struct hf_s3_entry){.key = hf_strdup(contents[i].key),
                                  .object = {.size_bytes = contents[i].size,
                                             .modified_ms = contents[i].lastModified * 1000}};
        if (contents[i].eTag != NULL)
            (void)!hf_s3_etag_parse(contents[i].eTag, &e->object.etag, &c->object_err);
    }
    return S3StatusOK;
}

static const S3ResponseHandler response_handler = {.propertiesCallback = take_properties,
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

static enum hf_code judge_answer(struct call *c, struct hf_err *err)
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

static enum hf_code judge(struct call *c, struct hf_err *err)
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
    case S3StatusServerFailedVerification:
        return hf_err_set(err, HF_USAGE, "the certificate of %s is not trusted by this system",
                          c->store->endpoint.host);
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
static void begin_attempt(struct call *c, size_t into_len)
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
static enum hf_code run(struct call *c, send_fn *send, void *ctx, struct hf_err *err)
{
    const size_t into_len = c->into != NULL ? c->into->len : 0;
    struct hf_retry retry;
    bool maybe_written = false;
    enum hf_code rc;

    hf_retry_init(&retry, c->store->env.clock, c->store->env.rand, c->store->env.stop,
                  HF_RETRY_BUDGET_MS);
    do {
        begin_attempt(c, into_len);
        (void)pthread_mutex_lock(&libs3_mutex);
        send(c, ctx);
        (void)pthread_mutex_unlock(&libs3_mutex);
        rc = judge(c, err);
        maybe_written = maybe_written || rc == HF_UNCERTAIN ||
                        (c->body != NULL && (c->status == S3StatusHttpErrorUnknown ||
                                             c->status == S3StatusErrorInternalError));
    } while ((rc == HF_TRANSIENT || rc == HF_UNCERTAIN) && hf_retry_wait(&retry, 0));
    if (rc != HF_OK && rc != HF_UNCERTAIN && maybe_written)
        return hf_err_recode(err, HF_UNCERTAIN, "an attempt may have written it");
    if (rc == HF_OK && c->object_err.code != HF_OK)
        return hf_err_set(err, HF_IO, "%s", c->object_err.text);
    return rc;
}

static void send_head(struct call *c, void *ctx)
{
    (void)ctx;
    S3_head_object(&c->context, c->key, NULL, &response_handler, c);
}

static enum hf_code store_head(struct hf_store *s, const char *key, struct hf_object *ret,
                               struct hf_err *err)
{
    HF_CLEANUP(call_done) struct call c;
    enum hf_code rc;

    call_init(&c, v2_store(s), key);
    rc = check_key(v2_store(s), key, err);
    if (rc != HF_OK)
        return rc;
    rc = run(&c, send_head, NULL, err);
    if (rc != HF_OK)
        return rc;
    *ret = c.object;
    return HF_OK;
}

/* libs3 2.0 takes the "100 Continue" before the answer to a put for the answer, and tells nothing
 * of what comes behind it. Then the object is asked for its ETag. */
static enum hf_code learn_etag(struct v2_store *s, const char *key, const struct hf_object *object,
                               struct hf_etag *ret, struct hf_err *err)
{
    struct hf_object found = *object;

    if (found.etag.str[0] == '\0' && store_head(&s->base, key, &found, err) != HF_OK)
        return hf_err_recode(err, HF_UNCERTAIN, "written, but it cannot be looked at");
    *ret = found.etag;
    return HF_OK;
}

static void send_put(struct call *c, void *ctx)
{
    const S3PutObjectHandler handler = {.responseHandler = response_handler,
                                        .putObjectDataCallback = give_body};

    hf_assert(c->body != NULL);
    S3_put_object(&c->context, c->key, c->body->size_bytes, (const S3PutProperties *)ctx, NULL,
                  &handler, c);
}

static enum hf_code put_body(struct v2_store *s, const char *key, const struct body *body,
                             const struct hf_put *put, struct hf_etag *ret_etag, struct hf_err *err)
{
    HF_CLEANUP(call_done) struct call c;
    struct hf_s3_put_values values;
    struct hf_s3_call headers = {0};
    S3NameValue metadata = {.name = TIMESTAMP_NAME, .value = values.timestamp};
    S3PutProperties properties = {.expires = -1, .metaData = &metadata};
    enum hf_code rc;

    call_init(&c, s, key);
    c.body = body;
    rc = check_key(s, key, err);
    if (rc != HF_OK)
        return rc;
    if (body->size_bytes > HF_S3V2_OBJECT_BYTES_MAX)
        return hf_err_set(
            err, HF_UNSUPPORTED, "an object of %llu bytes: with signature version 2 at most %llu",
            (unsigned long long)body->size_bytes, (unsigned long long)HF_S3V2_OBJECT_BYTES_MAX);
    hf_s3_put_metadata(put, &values, &headers);
    properties.metaDataCount = (int)headers.headers_count;
    rc = run(&c, send_put, &properties, err);
    if (rc == HF_IO && c.status == S3StatusOK)
        return hf_err_recode(err, HF_UNCERTAIN, "the store says it has written");
    if (rc != HF_OK)
        return rc;
    return learn_etag(s, key, &c.object, ret_etag, err);
}

static enum hf_code store_put(struct hf_store *s, const char *key, struct hf_slice slice,
                              const struct hf_put *put, struct hf_etag *ret_etag,
                              struct hf_err *err)
{
    const struct body body = {.slice = slice, .size_bytes = slice.len};

    return put_body(v2_store(s), key, &body, put, ret_etag, err);
}

struct range {
    uint64_t offset;
    uint64_t len;
    char if_match[HF_ETAG_MAX + 2];
};

static void send_get(struct call *c, void *ctx)
{
    const struct range *range = (const struct range *)ctx;
    const S3GetObjectHandler handler = {.responseHandler = response_handler,
                                        .getObjectDataCallback = take_data};
    const S3GetConditions conditions = {
        .ifModifiedSince = -1, .ifNotModifiedSince = -1, .ifMatchETag = range->if_match};

    S3_get_object(&c->context, c->key, &conditions, range->offset, range->len, NULL, &handler, c);
}

/* libs3 does not tell the size of a whole object with a part of it; so the object is looked at
 * first, and then that version of it is read. HF_CONFLICT: it was replaced in between. */
static enum hf_code get_version(struct hf_store *s, const char *key, uint64_t offset, uint64_t len,
                                struct hf_buf *ret, struct hf_object *ret_object,
                                struct hf_err *err)
{
    HF_CLEANUP(call_done) struct call c;
    const size_t len_before = ret->len;
    struct range range = {.offset = offset, .len = len};
    enum hf_code rc;

    call_init(&c, v2_store(s), key);
    c.into = ret;
    rc = store_head(s, key, ret_object, err);
    if (rc != HF_OK)
        return rc;
    if (offset >= ret_object->size_bytes)
        return HF_OK;
    if (len == 0 || len > ret_object->size_bytes - offset)
        range.len = ret_object->size_bytes - offset;
    (void)snprintf(range.if_match, sizeof(range.if_match), "\"%s\"", ret_object->etag.str);
    rc = run(&c, send_get, &range, err);
    if (rc != HF_OK)
        return rc;
    if (ret->len - len_before != range.len)
        return hf_err_set(err, HF_TRANSIENT, "%zu of %llu bytes came", ret->len - len_before,
                          (unsigned long long)range.len);
    return HF_OK;
}

static enum hf_code store_get(struct hf_store *s, const char *key, uint64_t offset, uint64_t len,
                              struct hf_buf *ret, struct hf_object *ret_object, struct hf_err *err)
{
    const struct v2_store *v2 = v2_store(s);
    const size_t len_before = ret->len;
    struct hf_retry retry;
    enum hf_code rc;

    hf_retry_init(&retry, v2->env.clock, v2->env.rand, v2->env.stop, HF_RETRY_BUDGET_MS);
    do {
        ret->len = len_before;
        rc = get_version(s, key, offset, len, ret, ret_object, err);
        if (rc == HF_CONFLICT)
            rc = hf_err_recode(err, HF_TRANSIENT, "the object was replaced while it was read");
    } while (rc == HF_TRANSIENT && hf_retry_wait(&retry, 0));
    return rc;
}

static void send_delete(struct call *c, void *ctx)
{
    (void)ctx;
    S3_delete_object(&c->context, c->key, NULL, &response_handler, c);
}

static enum hf_code store_del(struct hf_store *s, const char *key, struct hf_err *err)
{
    HF_CLEANUP(call_done) struct call c;
    enum hf_code rc;

    call_init(&c, v2_store(s), key);
    rc = check_key(v2_store(s), key, err);
    if (rc != HF_OK)
        return rc;
    rc = run(&c, send_delete, NULL, err);
    return rc == HF_NOT_FOUND && c.status != S3StatusErrorNoSuchBucket ? HF_OK : rc;
}

static void send_list(struct call *c, void *ctx)
{
    const char *marker = (const char *)ctx;
    const S3ListBucketHandler handler = {.responseHandler = response_handler,
                                         .listBucketCallback = take_keys};

    S3_list_bucket(&c->context, c->key, marker[0] != '\0' ? marker : NULL, NULL,
                   HF_S3_PAGE_KEYS_MAX, NULL, &handler, c);
}

static enum hf_code tell_page(const struct v2_store *s, const struct hf_s3_page *page,
                              hf_list_fn *fn, void *ctx, struct hf_err *err)
{
    const size_t strip = strlen(s->prefix);

    for (size_t i = 0; i < page->entries_count; i++) {
        const char *key = page->entries[i].key;

        if (strncmp(key, s->prefix, strip) != 0)
            return hf_err_set(err, HF_IO, "the store lists '%.80s' under the prefix '%.80s'", key,
                              s->prefix);
        if (key[strip] == '\0')
            continue;

        const enum hf_code rc = fn(ctx, key + strip, &page->entries[i].object, err);

        if (rc != HF_OK)
            return rc;
    }
    return HF_OK;
}

static enum hf_code store_list(struct hf_store *s, const char *prefix, const char *start_after,
                               hf_list_fn *fn, void *ctx, struct hf_err *err)
{
    HF_CLEANUP(call_done) struct call c;
    HF_CLEANUP(hf_s3_page_done) struct hf_s3_page page = {0};
    HF_AUTO_FREE char *marker = NULL;
    enum hf_code rc;

    call_init(&c, v2_store(s), prefix);
    c.page = &page;
    /* Servers of the old listing may refuse a marker that lies outside the prefix. */
    if (strncmp(start_after, prefix, strlen(prefix)) != 0 && strcmp(start_after, prefix) > 0)
        return HF_OK;
    marker = strcmp(start_after, prefix) > 0 ? hf_strfmt("%s%s", v2_store(s)->prefix, start_after)
                                             : hf_strdup("");
    do {
        rc = run(&c, send_list, marker, err);
        if (rc == HF_OK)
            rc = tell_page(v2_store(s), &page, fn, ctx, err);
        if (rc == HF_OK && page.truncated && page.entries_count == 0)
            rc = hf_err_set(err, HF_IO, "the store's listing is cut short and empty");
        if (rc != HF_OK)
            return rc;
        if (page.truncated) {
            hf_free(marker);
            marker = hf_strdup(page.entries[page.entries_count - 1].key);
        }
    } while (page.truncated);
    return HF_OK;
}

static struct v2_upload *v2_upload(struct hf_upload *u)
{
    return (struct v2_upload *)u;
}

static enum hf_code upload_write(struct hf_upload *base, struct hf_slice data, struct hf_err *err)
{
    struct v2_upload *u = v2_upload(base);
    const enum hf_code rc = hf_file_write(u->file, u->size_bytes, data, err);

    if (rc == HF_OK)
        u->size_bytes += data.len;
    return rc;
}

static enum hf_code upload_finish(struct hf_upload *base, struct hf_etag *ret_etag,
                                  struct hf_err *err)
{
    struct v2_upload *u = v2_upload(base);
    const struct body body = {.file = u->file, .size_bytes = u->size_bytes};

    return put_body(v2_store(base->store), base->key, &body, &u->put, ret_etag, err);
}

static void upload_free(struct hf_upload *base)
{
    hf_file_close(v2_upload(base)->file);
    hf_free(base);
}

/* A file without a name, below $TMPDIR or /tmp. */
static enum hf_code open_tmp(const struct v2_store *s, struct hf_file **ret, struct hf_err *err)
{
    const char *folder = getenv("TMPDIR");
    HF_AUTO_FREE char *path = hf_strfmt("%s/holdfast-upload-%016llx",
                                        folder != NULL && *folder != '\0' ? folder : "/tmp",
                                        (unsigned long long)hf_rand_u64(s->env.rand));
    enum hf_code rc;

    rc = hf_fs_open(s->env.fs, path, HF_OPEN_NEW, 0600, ret, err);
    if (rc == HF_CONFLICT)
        return hf_err_recode(err, HF_IO, "a name that should be new");
    if (rc != HF_OK)
        return rc;
    rc = hf_fs_unlink(s->env.fs, path, err);
    if (rc != HF_OK)
        hf_file_close(*ret);
    return rc;
}

static enum hf_code store_upload_new(struct hf_store *s, const char *key, const struct hf_put *put,
                                     struct hf_upload **ret, struct hf_err *err)
{
    static const struct hf_upload_ops ops = {
        .write = upload_write, .finish = upload_finish, .free = upload_free};
    struct hf_file *file = NULL;
    enum hf_code rc;

    (void)key;
    rc = open_tmp(v2_store(s), &file, err);
    if (rc != HF_OK)
        return hf_err_wrap(err, "a temporary file for the upload");

    struct v2_upload *u = (struct v2_upload *)hf_calloc(1, sizeof(*u));

    u->base.ops = &ops;
    u->file = file;
    u->put = *put;
    *ret = &u->base;
    return HF_OK;
}

static void store_free(struct hf_store *base)
{
    struct v2_store *s = v2_store(base);

    hf_aws_env_done(&s->aws);
    hf_s3_endpoint_done(&s->endpoint);
    hf_free(s->bucket);
    hf_free(s->prefix);
    hf_free(s);
}

static void initialize(void)
{
    const S3Status status = S3_initialize("holdfast", S3_INIT_ALL, NULL);

    hf_assert(status == S3StatusOK); /* only for want of memory */
}

static enum hf_code fill(struct v2_store *s, const struct hf_url *url,
                         const struct hf_store_env *env, struct hf_err *err)
{
    const struct hf_aws_env_source source = {.fs = env->fs};
    enum hf_code rc;

    s->env = *env;
    rc = hf_aws_env_load(&source, &s->aws, err);
    if (rc != HF_OK)
        return rc;
    if (s->aws.session_token != NULL)
        return hf_err_set(err, HF_USAGE,
                          "the keys from %s come with a session token, which signature version 2 "
                          "cannot carry here: use s3:// or keys without a token",
                          s->aws.credentials_from);
    rc = hf_s3_endpoint_parse(url, &s->aws, &s->endpoint, err);
    if (rc != HF_OK)
        return rc;
    s->bucket = hf_strdup(url->host);
    s->prefix = url->path[0] != '\0' ? hf_strfmt("%s/", url->path) : hf_strdup("");
    s->base.url = hf_strdup(url->text);
    return HF_OK;
}

enum hf_code hf_store_s3v2_new(const struct hf_url *url, const struct hf_store_env *env,
                               struct hf_store **ret, struct hf_err *err)
{
    static const struct hf_store_ops ops = {.put = store_put,
                                            .get = store_get,
                                            .head = store_head,
                                            .del = store_del,
                                            .list = store_list,
                                            .upload_new = store_upload_new,
                                            .free = store_free};
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct v2_store *s = (struct v2_store *)hf_calloc(1, sizeof(*s));
    enum hf_code rc;

    (void)pthread_once(&once, initialize);
    s->base.ops = &ops;
    rc = fill(s, url, env, err);
    if (rc != HF_OK) {
        store_free(&s->base);
        return rc;
    }
    *ret = &s->base;
    return HF_OK;
}
