/* SPDX-License-Identifier: Apache-2.0 */
/* store_s3.c - store.h on S3: what each operation asks for, and how its answer reads. */
#include "store/store_s3.h"

#include <string.h>

#include "base/alloc.h"
#include "store/s3_client.h"
#include "store/s3_put.h"
#include "store/store_ops.h"

#define LIST_KEYS "1000" /* a request: HF_S3_PAGE_KEYS_MAX, and the most that S3 gives */

struct s3_store {
    struct hf_store base; /* first, so that the pointers convert */
    struct hf_s3_client *client;
};

static struct hf_s3_client *client_of(struct hf_store *s)
{
    return ((struct s3_store *)s)->client;
}

static enum hf_code store_put(struct hf_store *s, const char *key, struct hf_slice body,
                              const struct hf_put *put, struct hf_etag *ret_etag,
                              struct hf_err *err)
{
    return hf_s3_put(client_of(s), key, body, put, ret_etag, err);
}

static enum hf_code store_get(struct hf_store *s, const char *key, uint64_t offset, uint64_t len,
                              struct hf_buf *ret, struct hf_object *ret_object, struct hf_err *err)
{
    return hf_s3_get(client_of(s), key, offset, len, ret, ret_object, err);
}

static enum hf_code store_head(struct hf_store *s, const char *key, struct hf_object *ret,
                               struct hf_err *err)
{
    return hf_s3_head(client_of(s), key, ret, err);
}

static enum hf_code store_del(struct hf_store *s, const char *key, struct hf_err *err)
{
    HF_AUTO_S3_ANSWER answer = {0};
    const struct hf_s3_call call = {.method = "DELETE", .key = key};
    const enum hf_code rc = hf_s3_client_call(client_of(s), &call, &answer, err);

    if (rc == HF_NOT_FOUND && strcmp(answer.error.code, "NoSuchBucket") != 0)
        return HF_OK;
    return rc;
}

/* A listing under way: the parameters of its next request. */
struct listing {
    struct hf_s3_client *client;
    const char *prefix;      /* with the store's */
    const char *start_after; /* with the store's; "" for none */
    struct hf_s3_page page;  /* the last one that came */
};

static void listing_done(struct listing *l)
{
    hf_s3_page_done(&l->page);
}

/* Put the next page into l->page. It is read to its end before anyone is told, so that a repeated
 * request tells no key twice. */
static enum hf_code next_page(struct listing *l, struct hf_err *err)
{
    HF_AUTO_S3_ANSWER answer = {0};
    struct hf_s3_page page = {0};
    struct hf_s3_call call = {
        .method = "GET",
        .query = {{"list-type", "2"},
                  {"encoding-type", "url"},
                  {"max-keys", LIST_KEYS},
                  {"prefix", l->prefix}},
        .query_count = 4,
    };
    enum hf_code rc;

    if (l->page.token != NULL)
        call.query[call.query_count++] = (struct hf_http_pair){"continuation-token", l->page.token};
    else if (l->start_after[0] != '\0')
        call.query[call.query_count++] = (struct hf_http_pair){"start-after", l->start_after};
    rc = hf_s3_client_call(l->client, &call, &answer, err);
    if (rc != HF_OK)
        return rc;
    rc = hf_s3_page_parse(hf_buf_slice(&answer.http.body), &page, err);
    if (rc != HF_OK)
        return rc;
    if (page.token != NULL && l->page.token != NULL && strcmp(page.token, l->page.token) == 0) {
        hf_s3_page_done(&page);
        return hf_err_set(err, HF_IO, "the store's listing goes in a circle: the same page twice");
    }
    hf_s3_page_done(&l->page);
    l->page = page;
    return HF_OK;
}

static enum hf_code store_list(struct hf_store *s, const char *prefix, const char *start_after,
                               hf_list_fn *fn, void *ctx, struct hf_err *err)
{
    const char *store_prefix = hf_s3_client_prefix(client_of(s));
    HF_AUTO_FREE char *full_prefix = hf_strfmt("%s%s", store_prefix, prefix);
    HF_AUTO_FREE char *full_start =
        start_after[0] != '\0' ? hf_strfmt("%s%s", store_prefix, start_after) : hf_strdup("");
    HF_CLEANUP(listing_done)
    struct listing l = {.client = client_of(s), .prefix = full_prefix, .start_after = full_start};
    enum hf_code rc;

    do {
        rc = next_page(&l, err);
        if (rc == HF_OK)
            rc = hf_s3_page_tell(&l.page, store_prefix, fn, ctx, err);
    } while (rc == HF_OK && l.page.truncated);
    return rc;
}

static enum hf_code store_upload_new(struct hf_store *s, const char *key, const struct hf_put *put,
                                     struct hf_upload **ret, struct hf_err *err)
{
    (void)key;
    (void)err;
    *ret = hf_s3_upload_new(client_of(s), put);
    return HF_OK;
}

static void store_free(struct hf_store *s)
{
    hf_s3_client_free(client_of(s));
    hf_free(s);
}

enum hf_code hf_store_s3_new_with(const struct hf_url *url, const struct hf_store_env *env,
                                  const struct hf_aws_env *aws, struct hf_http *http,
                                  struct hf_store **ret, struct hf_err *err)
{
    static const struct hf_store_ops ops = {.put = store_put,
                                            .get = store_get,
                                            .head = store_head,
                                            .del = store_del,
                                            .list = store_list,
                                            .upload_new = store_upload_new,
                                            .free = store_free};
    struct hf_s3_client *client = NULL;
    const enum hf_code rc = hf_s3_client_new(url, aws, env, http, &client, err);

    if (rc != HF_OK)
        return rc;

    struct s3_store *store = (struct s3_store *)hf_calloc(1, sizeof(*store));

    store->base.ops = &ops;
    store->base.caps = HF_STORE_COND_PUT | HF_STORE_LARGE;
    store->base.url = hf_strdup(url->text);
    store->client = client;
    *ret = &store->base;
    return HF_OK;
}

enum hf_code hf_store_s3_new(const struct hf_url *url, const struct hf_store_env *env,
                             struct hf_store **ret, struct hf_err *err)
{
    const struct hf_aws_env_source source = {.fs = env->fs};
    HF_AUTO_AWS_ENV aws = {0};
    const enum hf_code rc = hf_aws_env_load(&source, &aws, err);

    if (rc != HF_OK)
        return rc;
    return hf_store_s3_new_with(url, env, &aws, hf_http_curl_new(aws.ca_bundle), ret, err);
}
