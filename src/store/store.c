/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.c - what is the same for every store: arguments, context of errors, life of an upload.
 *
 * Invariants
 * 1. An implementation sees only arguments that every store can take (store_ops.h).
 * 2. An output is written only with HF_OK: implementations fill locals of this file.
 * 3. A listing that comes out of order is an error. Plans are made from the order of names, so a
 *    store that sorts in another way (S3 Express directory buckets do) would make holes.
 */
#include "store/store.h"

#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "store/store_ops.h"

/* Bytes of the UTF-8 sequence at `p`, 0 if it is none (RFC 3629 §4: no surrogates, none too long).
 */
static size_t utf8_len(const uint8_t *p)
{
    static const struct {
        uint8_t first_min, first_max, second_min, second_max;
        size_t len;
    } rows[] = {
        {0x20, 0x7e, 0x00, 0xff, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };

    for (size_t i = 0; i < HF_ARRAY_LEN(rows); i++) {
        if (p[0] < rows[i].first_min || p[0] > rows[i].first_max)
            continue;
        if (rows[i].len > 1 && (p[1] < rows[i].second_min || p[1] > rows[i].second_max))
            return 0;
        for (size_t k = 2; k < rows[i].len; k++) {
            if (p[k] < 0x80 || p[k] > 0xbf) /* the NUL at the end too */
                return 0;
        }
        return rows[i].len;
    }
    return 0;
}

/* The bytes of `text` are UTF-8 without control bytes, and not too many. */
static enum hf_code check_bytes(const char *what, const char *text, struct hf_err *err)
{
    const size_t len = strlen(text);

    if (len > HF_KEY_MAX)
        return hf_err_set(err, HF_USAGE, "%s '%.40s...' has %zu bytes; at most %d are allowed",
                          what, text, len, HF_KEY_MAX);
    for (size_t i = 0; i < len;) {
        const size_t n = utf8_len((const uint8_t *)text + i);

        if (n == 0)
            return hf_err_set(err, HF_USAGE,
                              "%s has byte 0x%02x at %zu: only UTF-8 without control characters "
                              "is allowed; escape other bytes",
                              what, (unsigned)(uint8_t)text[i], i);
        i += n;
    }
    return HF_OK;
}

static bool is_bad_part(const char *part, size_t len)
{
    return len == 0 || (len == 1 && part[0] == '.') ||
           (len == 2 && part[0] == '.' && part[1] == '.');
}

/* No part is empty, "." or ".."; the one behind the last '/' is judged only in a whole key. */
static enum hf_code check_parts(const char *what, const char *text, bool whole, struct hf_err *err)
{
    for (const char *p = text;;) {
        const size_t len = strcspn(p, "/");
        const bool last = p[len] == '\0';

        if ((!last || whole) && is_bad_part(p, len))
            return hf_err_set(err, HF_USAGE,
                              "%s '%s' has an empty, '.' or '..' part between its slashes", what,
                              text);
        if (last)
            return HF_OK;
        p += len + 1;
    }
}

enum hf_code hf_store_key_check(const char *key, struct hf_err *err)
{
    const enum hf_code rc = check_bytes("key", key, err);

    if (rc != HF_OK)
        return rc;
    return check_parts("key", key, true, err);
}

/* The condition is one that this store can be asked for. */
static enum hf_code check_put(const struct hf_store *s, const char *key, const struct hf_put *put,
                              struct hf_err *err)
{
    hf_assert(put != NULL && put->timestamp_ms >= 0);
    const enum hf_code rc = hf_store_key_check(key, err);

    if (rc != HF_OK)
        return rc;
    if (put->cond != HF_PUT_ALWAYS && (s->caps & HF_STORE_COND_PUT) == 0)
        return hf_err_set(err, HF_UNSUPPORTED, "this store has no conditional puts");
    if (put->cond == HF_PUT_IF_MATCH && put->match.str[0] == '\0')
        return hf_err_set(err, HF_USAGE, "a put if-match needs the etag of the version to replace");
    return HF_OK;
}

enum hf_code hf_store_put(struct hf_store *s, const char *key, struct hf_slice body,
                          const struct hf_put *put, struct hf_etag *ret_etag, struct hf_err *err)
{
    struct hf_etag etag = {{0}};
    enum hf_code rc = check_put(s, key, put, err);

    if (rc == HF_OK)
        rc = s->ops->put(s, key, body, put, &etag, err);
    if (rc != HF_OK)
        return hf_err_wrap(err, "put %s/%s", s->url, key);
    if (ret_etag != NULL)
        *ret_etag = etag;
    return HF_OK;
}

enum hf_code hf_store_get(struct hf_store *s, const char *key, uint64_t offset, uint64_t len,
                          struct hf_buf *ret, struct hf_object *ret_object, struct hf_err *err)
{
    const size_t len_before = ret->len;
    struct hf_object object = {0};
    enum hf_code rc = hf_store_key_check(key, err);

    if (rc == HF_OK)
        rc = s->ops->get(s, key, offset, len, ret, &object, err);
    if (rc != HF_OK) {
        hf_assert(ret->len >= len_before);
        ret->len = len_before; /* what came before the failure is not given out */
        return hf_err_wrap(err, "get %s/%s", s->url, key);
    }
    if (ret_object != NULL)
        *ret_object = object;
    return HF_OK;
}

enum hf_code hf_store_head(struct hf_store *s, const char *key, struct hf_object *ret,
                           struct hf_err *err)
{
    struct hf_object object = {0};
    enum hf_code rc = hf_store_key_check(key, err);

    if (rc == HF_OK)
        rc = s->ops->head(s, key, &object, err);
    if (rc != HF_OK)
        return hf_err_wrap(err, "head %s/%s", s->url, key);
    *ret = object;
    return HF_OK;
}

enum hf_code hf_store_delete(struct hf_store *s, const char *key, struct hf_err *err)
{
    enum hf_code rc = hf_store_key_check(key, err);

    if (rc == HF_OK)
        rc = s->ops->del(s, key, err);
    if (rc != HF_OK)
        return hf_err_wrap(err, "delete %s/%s", s->url, key);
    return HF_OK;
}

/* Stands between an implementation's listing and the caller's function. */
struct listing {
    hf_list_fn *fn;
    void *ctx;
    const char *prefix;
    enum hf_code fn_rc;        /* what the caller's function ended the listing with */
    char last[HF_KEY_MAX + 1]; /* the key before, or start_after */
};

static enum hf_code list_one(void *ctx, const char *key, const struct hf_object *object,
                             struct hf_err *err)
{
    struct listing *l = ctx;
    const size_t len = strlen(key);

    if (len == 0 || len > HF_KEY_MAX || strncmp(key, l->prefix, strlen(l->prefix)) != 0)
        return hf_err_set(err, HF_UNSUPPORTED,
                          "the store lists '%.200s', which was not asked for: it does not keep to "
                          "the rules of S3",
                          key);
    if (strcmp(key, l->last) <= 0)
        return hf_err_set(err, HF_UNSUPPORTED,
                          "the store lists '%.200s' after '%.200s': it does not list in byte "
                          "order, and holdfast would miss objects in it",
                          key, l->last);
    (void)memcpy(l->last, key, len + 1);
    l->fn_rc = l->fn(l->ctx, key, object, err);
    return l->fn_rc;
}

static enum hf_code check_list(const char *prefix, const char *start_after, struct hf_err *err)
{
    enum hf_code rc = check_bytes("prefix", prefix, err);

    if (rc != HF_OK)
        return rc;
    rc = check_parts("prefix", prefix, false, err);
    if (rc != HF_OK)
        return rc;
    if (strlen(start_after) > HF_KEY_MAX)
        return hf_err_set(err, HF_USAGE, "start_after has %zu bytes; at most %d are allowed",
                          strlen(start_after), HF_KEY_MAX);
    return HF_OK;
}

enum hf_code hf_store_list(struct hf_store *s, const char *prefix, const char *start_after,
                           hf_list_fn *fn, void *ctx, struct hf_err *err)
{
    struct listing l = {.fn = fn, .ctx = ctx, .prefix = prefix, .fn_rc = HF_OK};
    enum hf_code rc = check_list(prefix, start_after, err);

    if (rc == HF_OK) {
        (void)memcpy(l.last, start_after, strlen(start_after) + 1);
        rc = s->ops->list(s, prefix, start_after, list_one, &l, err);
    }
    if (l.fn_rc == HF_CANCELED)
        return HF_OK;
    if (l.fn_rc != HF_OK)
        return l.fn_rc; /* the caller's own error, which needs none of our context */
    if (rc != HF_OK)
        return hf_err_wrap(err, "list %s/%s", s->url, prefix);
    return HF_OK;
}

enum hf_code hf_upload_new(struct hf_store *s, const char *key, const struct hf_put *put,
                           struct hf_upload **ret, struct hf_err *err)
{
    struct hf_upload *u = NULL;
    enum hf_code rc = check_put(s, key, put, err);

    if (rc == HF_OK)
        rc = s->ops->upload_new(s, key, put, &u, err);
    if (rc != HF_OK)
        return hf_err_wrap(err, "upload %s/%s", s->url, key);
    u->store = s;
    u->key = hf_strdup(key);
    u->finished = false;
    u->failed = false;
    *ret = u;
    return HF_OK;
}

enum hf_code hf_upload_write(struct hf_upload *u, struct hf_slice data, struct hf_err *err)
{
    hf_assert(!u->finished && !u->failed);
    if (data.len == 0)
        return HF_OK;

    const enum hf_code rc = u->ops->write(u, data, err);

    if (rc != HF_OK) {
        u->failed = true;
        return hf_err_wrap(err, "upload %s/%s", u->store->url, u->key);
    }
    return HF_OK;
}

void hf_upload_cut_here(struct hf_upload *u, uint64_t position)
{
    hf_assert(!u->finished && !u->failed);
    if (u->ops->cut_here != NULL)
        u->ops->cut_here(u, position);
}

uint64_t hf_upload_reused_bytes(const struct hf_upload *u)
{
    hf_assert(u->finished);
    return u->reused_bytes;
}

enum hf_code hf_upload_finish(struct hf_upload *u, struct hf_etag *ret_etag, struct hf_err *err)
{
    struct hf_etag etag = {{0}};

    /* To finish after a failed write would publish an object with a hole. */
    hf_assert(!u->finished && !u->failed);
    u->finished = true;
    const enum hf_code rc = u->ops->finish(u, &etag, err);

    if (rc != HF_OK)
        return hf_err_wrap(err, "upload %s/%s", u->store->url, u->key);
    if (ret_etag != NULL)
        *ret_etag = etag;
    return HF_OK;
}

void hf_upload_free(struct hf_upload *u)
{
    if (u == NULL)
        return;
    char *key = u->key;

    u->ops->free(u);
    hf_free(key);
}

void hf_upload_free_ptr(struct hf_upload **u)
{
    hf_upload_free(*u);
    *u = NULL;
}

unsigned hf_store_caps(const struct hf_store *s)
{
    return s->caps;
}

const char *hf_store_url(const struct hf_store *s)
{
    return s->url;
}

void hf_store_free(struct hf_store *s)
{
    if (s == NULL)
        return;
    char *url = s->url;

    s->ops->free(s);
    hf_free(url);
}

void hf_store_free_ptr(struct hf_store **s)
{
    hf_store_free(*s);
    *s = NULL;
}
