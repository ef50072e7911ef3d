/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aws_env.h - credentials and settings from where every S3 tool looks for them.
 *
 * In this order: the environment; the credentials file (~/.aws/credentials); the configuration file
 * (~/.aws/config); both under the profile that AWS_PROFILE names, or "default".
 * Not read: instance and container metadata, credential_process, SSO, assumed roles.
 * Source: AWS SDKs and Tools Reference Guide, "Shared config and credentials files".
 */
#ifndef HF_STORE_AWS_ENV_H
#define HF_STORE_AWS_ENV_H

#include "base/fs.h"

#define HF_AWS_FILE_BYTES_MAX (1u << 20)

/* The value of an environment variable, or NULL; it may be called from one thread at a time. */
typedef const char *hf_getenv_fn(void *ctx, const char *name);

struct hf_aws_env_source {
    hf_getenv_fn *get; /* NULL: the process's environment */
    void *ctx;
    struct hf_fs *fs; /* borrowed */
};

/* Strings are owned; those that were not found are NULL. All zero is an empty one. */
struct hf_aws_env {
    char *access_key_id;
    char *secret_access_key;
    char *session_token;
    char *credentials_from; /* for messages, as in "the environment": never a secret */
    char *region;
    char *endpoint_url;
    char *ca_bundle;
};

/*
 * `*ret` holds credentials, and the settings that were found; the caller calls hf_aws_env_done().
 * HF_USAGE  there are no credentials, or half of them, or AWS_PROFILE names a profile that no file
 *           has; the message says where they were looked for.
 * HF_IO     a file is there and cannot be read.
 */
enum hf_code hf_aws_env_load(const struct hf_aws_env_source *source, struct hf_aws_env *ret,
                             struct hf_err *err) HF_MUST_CHECK;

/* Secrets are overwritten before their memory is freed. */
void hf_aws_env_done(struct hf_aws_env *env);
#define HF_AUTO_AWS_ENV HF_CLEANUP(hf_aws_env_done) struct hf_aws_env

#endif
