/* SPDX-License-Identifier: Apache-2.0 */
/* s3_server.c - where the server of minio-test/with-minio is, from its variables. */
#include "lib/s3_server.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/rand.h"

const char *s3_server_endpoint(void)
{
    return getenv("HOLDFAST_TEST_S3");
}

const char *s3_server_bucket(void)
{
    return getenv("HOLDFAST_TEST_S3_BUCKET");
}

bool s3_server_present(void)
{
    if (s3_server_endpoint() != NULL && s3_server_bucket() != NULL)
        return true;
    (void)fprintf(stderr,
                  "HOLDFAST_TEST_S3 and HOLDFAST_TEST_S3_BUCKET are not set: run this test "
                  "as `minio-test/with-minio PROGRAM`\n");
    return false;
}

struct hf_store_env s3_server_env(void)
{
    return (struct hf_store_env){
        .fs = hf_fs_system(), .clock = hf_clock_system(), .rand = hf_rand_system()};
}

struct hf_store *s3_server_open(const char *scheme, const char *bucket, const char *prefix)
{
    HF_AUTO_FREE char *url =
        hf_strfmt("%s://%s/%s?endpoint=%s", scheme, bucket, prefix, s3_server_endpoint());
    const struct hf_store_env env = s3_server_env();
    struct hf_store *store = NULL;
    struct hf_err err;

    hf_must(hf_store_open(url, &env, &store, &err), &err);
    return store;
}

char *s3_server_prefix(const char *name)
{
    return hf_strfmt("%s-%016llx", name, (unsigned long long)hf_rand_u64(hf_rand_system()));
}
