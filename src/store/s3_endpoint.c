/* SPDX-License-Identifier: Apache-2.0 */
/* s3_endpoint.c - which host to ask, in which region and in which style, and from where we know. */
#include <string.h>

#include "base/alloc.h"
#include "store/s3_client.h"

#define REGION_DEFAULT "us-east-1"
#define HOST_MAX       253 /* bytes: RFC 1035 §2.3.4 */

void hf_s3_endpoint_done(struct hf_s3_endpoint *e)
{
    hf_free(e->host);
    hf_free(e->region);
    *e = (struct hf_s3_endpoint){0};
}

static bool is_made_of(const char *text, const char *more)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";

    for (; *text != '\0'; text++) {
        if (strchr(plain, *text) == NULL && strchr(more, *text) == NULL)
            return false;
    }
    return true;
}

/* "http://host:port", "https://host", with one '/' behind it or none. */
static enum hf_code parse_endpoint(const char *text, struct hf_s3_endpoint *ret, struct hf_err *err)
{
    const char *host = NULL;

    if (strncmp(text, "http://", 7) == 0)
        host = text + 7;
    if (strncmp(text, "https://", 8) == 0)
        host = text + 8;
    if (host == NULL)
        return hf_err_set(err, HF_USAGE,
                          "S3 endpoint: expected http://HOST:PORT or https://HOST, without keys");

    size_t len = strlen(host);

    if (len > 0 && host[len - 1] == '/')
        len--;
    ret->https = text[4] == 's';
    hf_free(ret->host);
    ret->host = hf_strndup(host, len);
    if (len == 0 || len > HOST_MAX || !is_made_of(ret->host, ":[]_"))
        return hf_err_set(err, HF_USAGE,
                          "S3 endpoint: behind %s:// a host and perhaps a port are expected and "
                          "nothing else (no path, no keys)",
                          ret->https ? "https" : "http");
    return HF_OK;
}

static enum hf_code parse_style(const struct hf_url *url, bool custom, bool *ret,
                                struct hf_err *err)
{
    const char *style = hf_url_option(url, "path-style");

    /* A bucket with dots in front of the host is not covered by the host's certificate. */
    *ret = custom || strchr(url->host, '.') != NULL;
    if (style == NULL)
        return HF_OK;
    *ret = strcmp(style, "true") == 0;
    if (!*ret && strcmp(style, "false") != 0)
        return hf_err_set(err, HF_USAGE, "path-style=%.40s: expected true or false", style);
    return HF_OK;
}

static enum hf_code parse(const struct hf_url *url, const struct hf_aws_env *aws,
                          struct hf_s3_endpoint *ret, struct hf_err *err)
{
    const char *region = hf_url_option(url, "region");
    const char *endpoint = hf_url_option(url, "endpoint");
    enum hf_code rc;

    if (region == NULL)
        region = aws->region != NULL ? aws->region : REGION_DEFAULT;
    if (endpoint == NULL)
        endpoint = aws->endpoint_url;
    if (*region == '\0' || strlen(region) >= HF_S3_REGION_MAX || !is_made_of(region, "_"))
        return hf_err_set(err, HF_USAGE, "'%.80s' is not the name of a region", region);
    if (url->host[0] == '\0' || !is_made_of(url->host, "_"))
        return hf_err_set(err, HF_USAGE, "'%.80s' is not the name of a bucket", url->host);
    ret->region = hf_strdup(region);
    rc = parse_style(url, endpoint != NULL, &ret->path_style, err);
    if (rc != HF_OK)
        return rc;
    if (endpoint != NULL)
        return parse_endpoint(endpoint, ret, err);
    ret->https = true;
    ret->host =
        hf_strfmt("s3.%s.amazonaws.com%s", region, strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
    return HF_OK;
}

enum hf_code hf_s3_endpoint_parse(const struct hf_url *url, const struct hf_aws_env *aws,
                                  struct hf_s3_endpoint *ret, struct hf_err *err)
{
    struct hf_s3_endpoint e = {0};
    const enum hf_code rc = parse(url, aws, &e, err);

    if (rc != HF_OK) {
        hf_s3_endpoint_done(&e);
        return rc;
    }
    *ret = e;
    return HF_OK;
}
