/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_s3v2.h - a bucket of a store that knows signature version 2 only, by libs3.
 *
 * No conditional puts and no objects over 5 GiB: hf_store_caps() is 0. libs3 keeps global state,
 * and formats dates in a buffer that all threads share; so requests of all such stores of a process
 * are sent one at a time, under one mutex. Any thread may call.
 */
#ifndef HF_STORE_STORE_S3V2_H
#define HF_STORE_STORE_S3V2_H

#include "store/open.h"
#include "store/url.h"

#define HF_S3V2_OBJECT_BYTES_MAX ((uint64_t)5 << 30)

/* As hf_store_open(), for an s3+v2:// URL. HF_USAGE also for a session token, which version 2 as
 * libs3 signs it cannot carry. */
enum hf_code hf_store_s3v2_new(const struct hf_url *url, const struct hf_store_env *env,
                               struct hf_store **ret, struct hf_err *err) HF_MUST_CHECK;

#endif
