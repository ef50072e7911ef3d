/* SPDX-License-Identifier: Apache-2.0 */
/* s3v2_get.c - head, get and list by libs3. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "store/retry.h"
#include "store/s3v2_priv.h"

static void send_head(struct hf_s3v2_call *c, void *ctx)
{
    (void)ctx;
    S3_head_object(&c->context, c->key, NULL, &hf_s3v2_response_handler, c);
}

enum hf_code hf_s3v2_head(struct hf_store *s, const char *key, struct hf_object *ret,
                          struct hf_err *err)
{
    HF_CLEANUP(hf_s3v2_call_done) struct hf_s3v2_call c;
    enum hf_code rc;

    hf_s3v2_call_init(&c, hf_s3v2_of(s), key);
    rc = hf_s3v2_call_run(&c, send_head, NULL, err);
    if (rc != HF_OK)
        return rc;
    *ret = c.object;
    return HF_OK;
}

static S3Status take_data(int size, const char *data, void *ctx)
{
    struct hf_s3v2_call *c = (struct hf_s3v2_call *)ctx;

    if (hf_s3v2_told_to_stop(c))
        return S3StatusAbortedByCallback;
    hf_buf_append(c->into, data, (size_t)size);
    return S3StatusOK;
}

struct range {
    uint64_t offset;
    uint64_t len;
    char if_match[HF_ETAG_MAX + 2];
};

static void send_get(struct hf_s3v2_call *c, void *ctx)
{
    const struct range *range = (const struct range *)ctx;
    const S3GetObjectHandler handler = {.responseHandler = hf_s3v2_response_handler,
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
    HF_CLEANUP(hf_s3v2_call_done) struct hf_s3v2_call c;
    const size_t len_before = ret->len;
    struct range range = {.offset = offset, .len = len};
    enum hf_code rc;

    hf_s3v2_call_init(&c, hf_s3v2_of(s), key);
    c.into = ret;
    rc = hf_s3v2_head(s, key, ret_object, err);
    if (rc != HF_OK)
        return rc;
    if (offset >= ret_object->size_bytes)
        return HF_OK;
    if (len == 0 || len > ret_object->size_bytes - offset)
        range.len = ret_object->size_bytes - offset;
    (void)snprintf(range.if_match, sizeof(range.if_match), "\"%s\"", ret_object->etag.str);
    rc = hf_s3v2_call_run(&c, send_get, &range, err);
    if (rc != HF_OK)
        return rc;
    if (ret->len - len_before != range.len)
        return hf_err_set(err, HF_TRANSIENT, "%zu of %llu bytes came", ret->len - len_before,
                          (unsigned long long)range.len);
    return HF_OK;
}

enum hf_code hf_s3v2_get(struct hf_store *s, const char *key, uint64_t offset, uint64_t len,
                         struct hf_buf *ret, struct hf_object *ret_object, struct hf_err *err)
{
    const struct hf_s3v2 *v2 = hf_s3v2_of(s);
    const size_t len_before = ret->len;
    struct hf_retry retry;
    enum hf_code rc;

    hf_retry_init(&retry, v2->env.clock, v2->env.rand, v2->env.stop, v2->env.waits,
                  HF_RETRY_BUDGET_MS);
    do {
        ret->len = len_before;
        rc = get_version(s, key, offset, len, ret, ret_object, err);
        if (rc == HF_CONFLICT)
            rc = hf_err_recode(err, HF_TRANSIENT, "the object was replaced while it was read");
    } while (rc == HF_TRANSIENT && hf_retry_wait(&retry, 0, err));
    return rc;
}

static S3Status take_keys(int truncated, const char *next_marker, int count,
                          const S3ListBucketContent *contents, int prefixes_count,
                          const char **prefixes, void *ctx)
{
    struct hf_s3v2_call *c = (struct hf_s3v2_call *)ctx;
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

static void send_list(struct hf_s3v2_call *c, void *ctx)
{
    const char *marker = (const char *)ctx;
    const S3ListBucketHandler handler = {.responseHandler = hf_s3v2_response_handler,
                                         .listBucketCallback = take_keys};

    S3_list_bucket(&c->context, c->key, marker[0] != '\0' ? marker : NULL, NULL,
                   HF_S3_PAGE_KEYS_MAX, NULL, &handler, c);
}

enum hf_code hf_s3v2_list(struct hf_store *s, const char *prefix, const char *start_after,
                          hf_list_fn *fn, void *ctx, struct hf_err *err)
{
    HF_CLEANUP(hf_s3v2_call_done) struct hf_s3v2_call c;
    HF_CLEANUP(hf_s3_page_done) struct hf_s3_page page = {0};
    HF_AUTO_FREE char *marker = NULL;
    enum hf_code rc;

    hf_s3v2_call_init(&c, hf_s3v2_of(s), prefix);
    c.page = &page;
    /* Servers of the old listing may refuse a marker that lies outside the prefix. */
    if (strncmp(start_after, prefix, strlen(prefix)) != 0 && strcmp(start_after, prefix) > 0)
        return HF_OK;
    marker = strcmp(start_after, prefix) > 0 ? hf_strfmt("%s%s", hf_s3v2_of(s)->prefix, start_after)
                                             : hf_strdup("");
    do {
        rc = hf_s3v2_call_run(&c, send_list, marker, err);
        if (rc == HF_OK)
            rc = hf_s3_page_tell(&page, hf_s3v2_of(s)->prefix, fn, ctx, err);
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
