/* SPDX-License-Identifier: Apache-2.0 */
/* store_s3v2.c - store.h on libs3: how it is opened, and what is too small for a file of its own.
 */
#include "store/store_s3v2.h"

#include <pthread.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "store/s3v2_priv.h"

static void send_delete(struct hf_s3v2_call *c, void *ctx)
{
    (void)ctx;
    S3_delete_object(&c->context, c->key, NULL, &hf_s3v2_response_handler, c);
}

static enum hf_code store_del(struct hf_store *s, const char *key, struct hf_err *err)
{
    HF_CLEANUP(hf_s3v2_call_done) struct hf_s3v2_call c;
    enum hf_code rc;

    hf_s3v2_call_init(&c, hf_s3v2_of(s), key);
    rc = hf_s3v2_call_run(&c, send_delete, NULL, err);
    return rc == HF_NOT_FOUND && c.status != S3StatusErrorNoSuchBucket ? HF_OK : rc;
}

static void store_free(struct hf_store *base)
{
    struct hf_s3v2 *s = hf_s3v2_of(base);

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

static enum hf_code fill(struct hf_s3v2 *s, const struct hf_url *url,
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
    static const struct hf_store_ops ops = {.put = hf_s3v2_put,
                                            .get = hf_s3v2_get,
                                            .head = hf_s3v2_head,
                                            .del = store_del,
                                            .list = hf_s3v2_list,
                                            .upload_new = hf_s3v2_upload_new,
                                            .free = store_free};
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct hf_s3v2 *s = (struct hf_s3v2 *)hf_calloc(1, sizeof(*s));
    enum hf_code rc;

    (void)pthread_once(&once, initialize);
    s->base.ops = &ops;
    rc = fill(s, url, env, err);
    if (rc != HF_OK) {
        store_free(&s->base);
        return rc;
    }
    if (s->endpoint.https)
        hf_log(
            HF_LOG_WARN,
            "%s: libs3 does not check the server's certificate: whoever stands between can read "
            "what is archived, and answer in the server's place. Use s3:// where the store knows "
            "signature version 4, or a tunnel that you trust",
            s->base.url);
    *ret = &s->base;
    return HF_OK;
}
