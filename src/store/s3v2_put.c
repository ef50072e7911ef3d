/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3v2_put.c - put and upload by libs3. An upload waits in a file that has no name, so that nothing
 * is left behind, and then is a put.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "store/s3v2_priv.h"

static int give_body(int size, char *dst, void *ctx)
{
    struct hf_s3v2_call *c = (struct hf_s3v2_call *)ctx;
    const uint64_t left = c->body->size_bytes - c->sent_bytes;
    const size_t want = left < (uint64_t)size ? (size_t)left : (size_t)size;
    size_t len = want;

    if (hf_s3v2_told_to_stop(c))
        return -1;
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

/* libs3 2.0 takes the "100 Continue" before the answer to a put for the answer, and tells nothing
 * of what comes behind it. Then the object is asked for its ETag. */
static enum hf_code learn_etag(struct hf_s3v2 *s, const char *key, const struct hf_object *object,
                               struct hf_etag *ret, struct hf_err *err)
{
    struct hf_object found = *object;

    if (found.etag.str[0] == '\0' && hf_s3v2_head(&s->base, key, &found, err) != HF_OK)
        return hf_err_recode(err, HF_UNCERTAIN, "written, but it cannot be looked at");
    *ret = found.etag;
    return HF_OK;
}

static void send_put(struct hf_s3v2_call *c, void *ctx)
{
    const S3PutObjectHandler handler = {.responseHandler = hf_s3v2_response_handler,
                                        .putObjectDataCallback = give_body};

    hf_assert(c->body != NULL);
    S3_put_object(&c->context, c->key, c->body->size_bytes, (const S3PutProperties *)ctx, NULL,
                  &handler, c);
}

static enum hf_code put_body(struct hf_s3v2 *s, const char *key, const struct hf_s3v2_body *body,
                             const struct hf_put *put, struct hf_etag *ret_etag, struct hf_err *err)
{
    HF_CLEANUP(hf_s3v2_call_done) struct hf_s3v2_call c;
    struct hf_s3_put_values values;
    struct hf_s3_call headers = {0};
    S3NameValue metadata = {.name = HF_S3V2_TIMESTAMP_NAME, .value = values.timestamp};
    S3PutProperties properties = {.expires = -1, .metaData = &metadata};
    enum hf_code rc;

    hf_s3v2_call_init(&c, s, key);
    c.body = body;
    if (body->size_bytes > HF_S3V2_OBJECT_BYTES_MAX)
        return hf_err_set(
            err, HF_UNSUPPORTED, "an object of %llu bytes: with signature version 2 at most %llu",
            (unsigned long long)body->size_bytes, (unsigned long long)HF_S3V2_OBJECT_BYTES_MAX);
    hf_s3_put_metadata(put, &values, &headers);
    properties.metaDataCount = (int)headers.headers_count;
    rc = hf_s3v2_call_run(&c, send_put, &properties, err);
    if (rc == HF_IO && c.status == S3StatusOK)
        return hf_err_recode(err, HF_UNCERTAIN, "the store says it has written");
    if (rc != HF_OK)
        return rc;
    return learn_etag(s, key, &c.object, ret_etag, err);
}

enum hf_code hf_s3v2_put(struct hf_store *s, const char *key, struct hf_slice slice,
                         const struct hf_put *put, struct hf_etag *ret_etag, struct hf_err *err)
{
    const struct hf_s3v2_body body = {.slice = slice, .size_bytes = slice.len};

    return put_body(hf_s3v2_of(s), key, &body, put, ret_etag, err);
}

struct v2_upload {
    struct hf_upload base; /* first, so that the pointers convert */
    struct hf_file *file;  /* without a name */
    uint64_t size_bytes;
    struct hf_put put;
};

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
    const struct hf_s3v2_body body = {.file = u->file, .size_bytes = u->size_bytes};

    return put_body(hf_s3v2_of(base->store), base->key, &body, &u->put, ret_etag, err);
}

static void upload_free(struct hf_upload *base)
{
    hf_file_close(v2_upload(base)->file);
    hf_free(base);
}

/* A file without a name, below $TMPDIR or /tmp. */
static enum hf_code open_tmp(const struct hf_s3v2 *s, struct hf_file **ret, struct hf_err *err)
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

enum hf_code hf_s3v2_upload_new(struct hf_store *s, const char *key, const struct hf_put *put,
                                struct hf_upload **ret, struct hf_err *err)
{
    static const struct hf_upload_ops ops = {
        .write = upload_write, .finish = upload_finish, .free = upload_free};
    struct hf_file *file = NULL;
    enum hf_code rc;

    (void)key;
    rc = open_tmp(hf_s3v2_of(s), &file, err);
    if (rc != HF_OK)
        return hf_err_wrap(err, "a temporary file for the upload");

    struct v2_upload *u = (struct v2_upload *)hf_calloc(1, sizeof(*u));

    u->base.ops = &ops;
    u->file = file;
    u->put = *put;
    *ret = &u->base;
    return HF_OK;
}
