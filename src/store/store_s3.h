/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_s3.h - a bucket of S3 or of what speaks its language, signed with version 4.
 * What it assumes of the other side: docs/S3.md.
 */
#ifndef HF_STORE_STORE_S3_H
#define HF_STORE_STORE_S3_H

#include "store/aws_env.h"
#include "store/http.h"
#include "store/open.h"
#include "store/url.h"

/* As hf_store_open(), for an s3:// URL: credentials and settings from the environment. */
enum hf_code hf_store_s3_new(const struct hf_url *url, const struct hf_store_env *env,
                             struct hf_store **ret, struct hf_err *err) HF_MUST_CHECK;

/* The same with credentials and a transport handed in. `aws` is copied; `http` is taken over, also
 * on failure. */
enum hf_code hf_store_s3_new_with(const struct hf_url *url, const struct hf_store_env *env,
                                  const struct hf_aws_env *aws, struct hf_http *http,
                                  struct hf_store **ret, struct hf_err *err) HF_MUST_CHECK;

#endif
