/* SPDX-License-Identifier: Apache-2.0 */
/*
 * url.c - parse and judge the URL of a store.
 *
 * The order of the checks is part of the contract: whatever could be a credential is refused before
 * any message that repeats a piece of the URL.
 */
#include "store/url.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/check.h"

#define KNOWN_OPTIONS_MAX 8

static const struct scheme {
    const char *name;
    bool has_host;
    const char *example;
    const char *options[KNOWN_OPTIONS_MAX]; /* ends with NULL */
} schemes[] = {
    {"file", false, "file:///srv/backups", {NULL}},
    {"s3", true, "s3://bucket/prefix", {"endpoint", "region", "path-style", NULL}},
    {"s3+v2", true, "s3+v2://bucket/prefix", {"endpoint", "region", "path-style", NULL}},
};

/* Words in the name of an option whose value is probably a secret. */
static const char *const secret_words[] = {"key",  "secret", "token", "passw",  "credential",
                                           "user", "auth",   "sign",  "session"};

#define NO_CREDENTIALS                                                                             \
    "credentials do not belong into a URL, which ends up in logs and process lists: put them "     \
    "into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or into the credentials file, and change "   \
    "those that were written here"

static const struct scheme *find_scheme(const char *text, size_t len)
{
    for (size_t i = 0; i < HF_ARRAY_LEN(schemes); i++) {
        if (strlen(schemes[i].name) == len && strncmp(schemes[i].name, text, len) == 0)
            return &schemes[i];
    }
    return NULL;
}

static bool looks_secret(const char *option)
{
    for (size_t i = 0; i < HF_ARRAY_LEN(secret_words); i++) {
        if (strcasestr(option, secret_words[i]) != NULL)
            return true;
    }
    return false;
}

static bool knows_option(const struct scheme *scheme, const char *name)
{
    for (size_t i = 0; scheme->options[i] != NULL; i++) {
        if (strcmp(scheme->options[i], name) == 0)
            return true;
    }
    return false;
}

static int hex_value(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c);

    return at == NULL ? -1 : (int)(at - digits);
}

/* A new string without percent escapes, or NULL if one is broken or gives a control byte. */
static char *decode(const char *text, size_t len)
{
    HF_AUTO_BUF out = {0};

    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)text[i];

        if (c == '%') {
            const int hi = i + 2 < len ? hex_value(text[i + 1]) : -1;
            const int lo = hi >= 0 ? hex_value(text[i + 2]) : -1;

            if (hi < 0 || lo < 0)
                return NULL;
            c = (uint8_t)(hi * 16 + lo);
            i += 2;
        }
        if (c < 0x20 || c == 0x7f)
            return NULL;
        hf_buf_append(&out, &c, 1);
    }
    return hf_strdup(hf_buf_str(&out));
}

/* HF_USAGE if `path` (without '/' at either end) has an empty, "." or ".." part. */
static enum hf_code check_parts(const char *path, struct hf_err *err)
{
    if (path[0] == '\0')
        return HF_OK;
    for (const char *p = path;;) {
        const size_t len = strcspn(p, "/");

        if (len == 0 || (len == 1 && p[0] == '.') || (len == 2 && p[0] == '.' && p[1] == '.'))
            return hf_err_set(err, HF_USAGE,
                              "the path of a store's URL has an empty, '.' or '..' "
                              "part: write the plain path");
        if (p[len] == '\0')
            return HF_OK;
        p += len + 1;
    }
}

/* Take the '/' off both ends of a decoded path; file:// gets the first one back. */
static enum hf_code set_path(const struct scheme *scheme, const char *text, size_t len,
                             struct hf_url *url, struct hf_err *err)
{
    HF_AUTO_FREE char *path = NULL;

    while (len > 0 && text[0] == '/') {
        text++;
        len--;
        if (!scheme->has_host)
            break; /* a second one is an empty part */
    }
    while (len > 0 && text[len - 1] == '/')
        len--;
    path = decode(text, len);
    if (path == NULL)
        return hf_err_set(
            err, HF_USAGE,
            "the path of a store's URL has a broken %% escape or a control character; "
            "a literal %% is written %%25");

    const enum hf_code rc = check_parts(path, err);

    if (rc != HF_OK)
        return rc;
    if (!scheme->has_host && path[0] == '\0')
        return hf_err_set(err, HF_USAGE, "%s:// names no folder; expected as in %s", scheme->name,
                          scheme->example);
    url->path = scheme->has_host ? hf_take_ptr(&path) : hf_strfmt("/%s", path);
    return HF_OK;
}

/* `host`, which holds no credentials any more, is a bucket, or nothing where none belongs. */
static enum hf_code set_host(const struct scheme *scheme, const char *host, size_t len,
                             struct hf_url *url, struct hf_err *err)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
        "0123456789.-_";

    if (!scheme->has_host && len > 0 && (len != 9 || strncasecmp(host, "localhost", 9) != 0))
        return hf_err_set(err, HF_USAGE,
                          "file://%.*s/...: a host cannot be given; an absolute folder has three "
                          "slashes, as in %s",
                          (int)len, host, scheme->example);
    if (scheme->has_host && len == 0)
        return hf_err_set(err, HF_USAGE, "%s:// names no bucket; expected as in %s", scheme->name,
                          scheme->example);
    for (size_t i = 0; i < len; i++) {
        if (strchr(allowed, host[i]) == NULL)
            return hf_err_set(err, HF_USAGE,
                              "the bucket in a store's URL may have letters, digits, '-', '.' and "
                              "'_' only; a server is named by ?endpoint=http://host:port");
    }
    url->host = scheme->has_host ? hf_strndup(host, len) : hf_strdup("");
    return HF_OK;
}

/* "endpoint, region": for the message about one that is not known. */
static void list_options(const struct scheme *scheme, struct hf_buf *ret)
{
    for (size_t i = 0; scheme->options[i] != NULL; i++)
        hf_buf_printf(ret, "%s%s", i > 0 ? ", " : "", scheme->options[i]);
    if (ret->len == 0)
        hf_buf_printf(ret, "none");
}

static enum hf_code check_option(const struct scheme *scheme, const struct hf_url *url,
                                 const char *name, const char *value, struct hf_err *err)
{
    if (looks_secret(name))
        return hf_err_set(err, HF_USAGE, "option '%s' of a store's URL: " NO_CREDENTIALS, name);
    if (!knows_option(scheme, name)) {
        HF_AUTO_BUF known = {0};

        list_options(scheme, &known);
        return hf_err_set(err, HF_USAGE, "%s:// has no option '%s'; known are: %s", scheme->name,
                          name, hf_buf_str(&known));
    }
    if (hf_url_option(url, name) != NULL)
        return hf_err_set(err, HF_USAGE, "option '%s' of a store's URL is given twice", name);
    if (value[0] == '\0')
        return hf_err_set(err, HF_USAGE, "option '%s' of a store's URL has no value", name);
    if (strchr(value, '@') != NULL)
        return hf_err_set(err, HF_USAGE, "option '%s' of a store's URL has an '@': " NO_CREDENTIALS,
                          name);
    return HF_OK;
}

/* One "name=value" of the query. */
static enum hf_code add_option(const struct scheme *scheme, const char *text, size_t len,
                               struct hf_url *url, struct hf_err *err)
{
    const char *equals = memchr(text, '=', len);
    const size_t name_len = equals == NULL ? len : (size_t)(equals - text);
    HF_AUTO_FREE char *name = decode(text, name_len);
    HF_AUTO_FREE char *value = equals == NULL ? hf_strdup("")
                                              : decode(equals + 1, len - name_len - 1);

    if (name == NULL || value == NULL)
        return hf_err_set(err, HF_USAGE,
                          "the options of a store's URL have a broken %% escape or a control "
                          "character; a literal %% is written %%25");

    const enum hf_code rc = check_option(scheme, url, name, value, err);

    if (rc != HF_OK)
        return rc;
    hf_assert(url->options_count < HF_URL_OPTIONS_MAX); /* none twice, and the table is shorter */
    url->options[url->options_count++] =
        (struct hf_url_opt){.name = hf_take_ptr(&name), .value = hf_take_ptr(&value)};
    return HF_OK;
}

static enum hf_code add_options(const struct scheme *scheme, const char *query, struct hf_url *url,
                                struct hf_err *err)
{
    while (*query != '\0') {
        const size_t len = strcspn(query, "&");

        if (len > 0) {
            const enum hf_code rc = add_option(scheme, query, len, url, err);

            if (rc != HF_OK)
                return rc;
        }
        query += len + (query[len] == '&' ? 1 : 0);
    }
    return HF_OK;
}

/*
 * Refuse what stands before an '@'. A secret key may hold a '/', so the '@' can come after what
 * looks like the end of the host; a ':' in that host then gives it away.
 */
static enum hf_code refuse_userinfo(const struct scheme *scheme, const char *rest, size_t host_len,
                                    size_t path_end, struct hf_err *err)
{
    const bool at_in_host = memchr(rest, '@', host_len) != NULL;
    const bool colon_in_host = memchr(rest, ':', host_len) != NULL;
    const bool at_behind = memchr(rest, '@', path_end) != NULL;

    if (at_in_host || (colon_in_host && at_behind))
        return hf_err_set(err, HF_USAGE, "%s://...@...: " NO_CREDENTIALS, scheme->name);
    return HF_OK;
}

static enum hf_code parse_rest(const struct scheme *scheme, const char *text, const char *rest,
                               struct hf_url *url, struct hf_err *err)
{
    const size_t path_end = strcspn(rest, "?");
    size_t host_len = strcspn(rest, "/?");
    enum hf_code rc = refuse_userinfo(scheme, rest, host_len, path_end, err);

    if (rc != HF_OK)
        return rc;
    rc = set_host(scheme, rest, host_len, url, err);
    if (rc != HF_OK)
        return rc;
    rc = set_path(scheme, rest + host_len, path_end - host_len, url, err);
    if (rc != HF_OK)
        return rc;
    if (rest[path_end] == '?') {
        rc = add_options(scheme, rest + path_end + 1, url, err);
        if (rc != HF_OK)
            return rc;
    }

    size_t text_len = (size_t)(rest - text) + path_end;

    while (text[text_len - 1] == '/')
        text_len--;
    url->scheme = hf_strdup(scheme->name);
    url->text = hf_strndup(text, text_len);
    return HF_OK;
}

enum hf_code hf_url_parse(const char *text, struct hf_url *ret, struct hf_err *err)
{
    const char *colon = strstr(text, "://");
    const struct scheme *scheme = colon == NULL ? NULL : find_scheme(text, (size_t)(colon - text));

    if (strlen(text) > HF_URL_MAX)
        return hf_err_set(err, HF_USAGE, "a store's URL has %zu bytes; at most %d are allowed",
                          strlen(text), HF_URL_MAX);
    if (colon == NULL && strpbrk(text, "@?") == NULL)
        return hf_err_set(err, HF_USAGE,
                          "'%s' is not the URL of a store; expected as in file:///srv/backups, "
                          "s3://bucket/prefix or s3+v2://bucket/prefix",
                          text);
    if (scheme == NULL)
        return hf_err_set(err, HF_USAGE,
                          "not the URL of a store: it has to begin with file://, s3:// or "
                          "s3+v2://");
    if (strchr(text, '#') != NULL)
        return hf_err_set(err, HF_USAGE,
                          "a store's URL has no part behind '#'; a literal '#' is written %%23");

    HF_AUTO_URL url = {0};
    const enum hf_code rc = parse_rest(scheme, text, colon + 3, &url, err);

    if (rc != HF_OK)
        return rc;
    *ret = url;
    url = (struct hf_url){0}; /* handed over */
    return HF_OK;
}

const char *hf_url_option(const struct hf_url *url, const char *name)
{
    for (size_t i = 0; i < url->options_count; i++) {
        if (strcmp(url->options[i].name, name) == 0)
            return url->options[i].value;
    }
    return NULL;
}

void hf_url_done(struct hf_url *url)
{
    for (size_t i = 0; i < url->options_count; i++) {
        hf_free(url->options[i].name);
        hf_free(url->options[i].value);
    }
    hf_free(url->scheme);
    hf_free(url->host);
    hf_free(url->path);
    hf_free(url->text);
    *url = (struct hf_url){0};
}
