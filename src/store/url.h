/* SPDX-License-Identifier: Apache-2.0 */
/*
 * url.h - the URL of a store, in parts and checked. For implementers and for messages.
 *
 *   file:///absolute/folder
 *   s3://bucket/prefix?option=value&option=value
 *   s3+v2://bucket/prefix?option=value
 *
 * Which options a scheme knows stands in one table in url.c. RFC 3986 with these differences:
 * '+' in a query is a plus, and a '#' has to be written %23.
 */
#ifndef HF_STORE_URL_H
#define HF_STORE_URL_H

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"

#define HF_URL_MAX         4096 /* bytes without NUL */
#define HF_URL_OPTIONS_MAX 16

struct hf_url_opt {
    char *name;
    char *value; /* percent-decoded */
};

/* All strings are owned, NUL-terminated and never NULL. All zero is an empty one. */
struct hf_url {
    char *scheme; /* "file", "s3" or "s3+v2" */
    char *host;   /* the bucket; "" for file:// */
    char *path;   /* percent-decoded. file: from '/' on. s3: what is put before every key, without
                     '/' at either end, "" if none. Never with an empty, "." or ".." part */
    char *text;   /* the URL as it was written, up to the '?' and without a '/' at the end: for
                     messages and for hf_store_url() */
    struct hf_url_opt options[HF_URL_OPTIONS_MAX];
    size_t options_count;
};

/*
 * `*ret` holds the parts of `text`; the caller calls hf_url_done().
 * HF_USAGE  not such a URL, an unknown scheme or option (the message names those known), an option
 *           given twice, or credentials in it. No message repeats what might be a secret: neither
 *           what stands before an '@' nor the value of an option that is not known.
 */
enum hf_code hf_url_parse(const char *text, struct hf_url *ret, struct hf_err *err) HF_MUST_CHECK;

/* The option's value, or NULL if it is not given. Lives as `url` does. */
const char *hf_url_option(const struct hf_url *url, const char *name);

void hf_url_done(struct hf_url *url); /* for HF_CLEANUP */
#define HF_AUTO_URL HF_CLEANUP(hf_url_done) struct hf_url

#endif
