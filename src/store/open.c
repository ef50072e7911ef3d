/* SPDX-License-Identifier: Apache-2.0 */
/* open.c - choose the store by the URL's scheme. What a URL may say is judged in url.c. */
#include "store/open.h"

#include <string.h>

#include "base/check.h"
#include "store/store_file.h"
#include "store/store_s3.h"
#include "store/store_s3v2.h"
#include "store/url.h"

enum hf_code hf_store_open(const char *text, const struct hf_store_env *env, struct hf_store **ret,
                           struct hf_err *err)
{
    HF_AUTO_URL url = {0};
    const enum hf_code rc = hf_url_parse(text, &url, err);

    if (rc != HF_OK)
        return rc;
    if (strcmp(url.scheme, "file") == 0)
        return hf_store_file_new(url.path, env, ret, err);
    if (strcmp(url.scheme, "s3") == 0)
        return hf_store_s3_new(&url, env, ret, err);
    hf_assert(strcmp(url.scheme, "s3+v2") == 0); /* url.c knows no other */
    return hf_store_s3v2_new(&url, env, ret, err);
}
