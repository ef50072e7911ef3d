/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open.h - from a URL to a store.
 *
 *   file:///absolute/folder
 *   s3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=us-east-1&path-style=true
 *   s3+v2://bucket/prefix?endpoint=...     signature V2 only (libs3)
 *
 * What the URL does not say comes from the environment and the files that every S3 tool reads:
 * AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_DEFAULT_REGION,
 * AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_PROFILE, AWS_SHARED_CREDENTIALS_FILE,
 * AWS_CONFIG_FILE, AWS_CA_BUNDLE. Credentials are never taken from a URL (HF_USAGE), so that they
 * never reach a log or a process list.
 */
#ifndef HF_STORE_OPEN_H
#define HF_STORE_OPEN_H

#include "base/clock.h"
#include "base/fs.h"
#include "base/rand.h"
#include "base/stop.h"
#include "store/retry.h"
#include "store/store.h"

struct hf_store_env {
    struct hf_fs *fs; /* all three borrowed, and needed as long as the store lives */
    struct hf_clock *clock;
    struct hf_rand *rand;
    bool create; /* file://: make the root folder if it alone is missing, not what is above it */
    /* Borrowed as the others; NULL: never. Once it is set, by whoever opened the store, every call
     * that waits for the network ends within about a second: with HF_CANCELED if nothing was
     * written, and as if the connection had broken otherwise. It is for the moment when nobody
     * wants to wait any more; a wish to stop that leaves time to finish is not that moment.
     * s3+v2://: waits end at once, a request under way when the server answers or is given up. */
    const hf_stop_flag *stop;
    /* Borrowed; NULL: nobody. Told when a call has been tried again for a second. */
    struct hf_waits *waits;
};

/*
 * `*ret` is ready for use; the caller frees it. Nothing is sent yet, so a wrong key or bucket shows
 * at the first call. The part of the URL's path behind the bucket is put before every key.
 * HF_USAGE      the URL or an option in it is wrong, or credentials are missing; the message says
 *               where they were looked for.
 * HF_NOT_FOUND  file:// and the folder does not exist (and !create, or its parent does not either).
 */
enum hf_code hf_store_open(const char *url, const struct hf_store_env *env, struct hf_store **ret,
                           struct hf_err *err) HF_MUST_CHECK;

#endif
