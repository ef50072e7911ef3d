/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sigv4.c - canonical request → string to sign → signature, each as the AWS pages spell it.
 *
 * Why not curl's own: 7.88 signs the query in the order it is sent, so that any request with two
 * parameters out of order is refused.
 */
#include "store/sigv4.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"

void hf_sigv4_date(int64_t now_ms, char ret[HF_SIGV4_DATE_MAX])
{
    char text[HF_TIME_TEXT_MAX];
    size_t len = 0;

    hf_time_text(now_ms, text);
    for (const char *p = text; *p != '.' && *p != '\0'; p++) {
        if (*p != '-' && *p != ':' && len < HF_SIGV4_DATE_MAX - 2)
            ret[len++] = *p;
    }
    ret[len++] = 'Z';
    ret[len] = '\0';
}

static bool is_unreserved(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void hf_sigv4_encode(const char *text, bool keep_slash, struct hf_buf *ret)
{
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        if (is_unreserved(*p) || (keep_slash && *p == '/'))
            hf_buf_append(ret, p, 1);
        else
            hf_buf_printf(ret, "%%%02X", *p);
    }
}

/* Pairs to be sorted by name, then by value (parameters) or by place (headers). */
struct item {
    char *name;
    char *value;
    size_t place;
};

struct items {
    struct item at[HF_SIGV4_PAIRS_MAX];
    size_t count;
};

static void items_done(struct items *items)
{
    for (size_t i = 0; i < items->count; i++) {
        hf_free(items->at[i].name);
        hf_free(items->at[i].value);
    }
}

static int compare_parameters(const void *a, const void *b)
{
    const struct item *x = (const struct item *)a;
    const struct item *y = (const struct item *)b;
    const int by_name = strcmp(x->name, y->name);

    return by_name != 0 ? by_name : strcmp(x->value, y->value);
}

static int compare_headers(const void *a, const void *b)
{
    const struct item *x = (const struct item *)a;
    const struct item *y = (const struct item *)b;
    const int by_name = strcmp(x->name, y->name);

    return by_name != 0 ? by_name : (x->place > y->place) - (x->place < y->place);
}

static char *encode_parameter(const char *text)
{
    HF_AUTO_BUF buf = {0};

    hf_sigv4_encode(text, false, &buf);
    return hf_strdup(hf_buf_str(&buf));
}

/* Blanks around a value go, and those within it become one. */
static char *trim_header(const char *text)
{
    HF_AUTO_BUF buf = {0};

    for (const char *p = text; *p != '\0'; p++) {
        const bool blank = *p == ' ' || *p == '\t';

        if (!blank)
            hf_buf_append(&buf, p, 1);
        else if (buf.len > 0 && buf.ptr[buf.len - 1] != ' ')
            hf_buf_append(&buf, " ", 1);
    }
    while (buf.len > 0 && buf.ptr[buf.len - 1] == ' ')
        buf.len--;
    return hf_strdup(hf_buf_str(&buf));
}

void hf_sigv4_query(const struct hf_http_pair *query, size_t query_count, struct hf_buf *ret)
{
    HF_CLEANUP(items_done) struct items items = {.count = query_count};

    hf_assert(query_count <= HF_SIGV4_PAIRS_MAX);
    for (size_t i = 0; i < query_count; i++) {
        items.at[i].name = encode_parameter(query[i].name);
        items.at[i].value = encode_parameter(query[i].value);
    }
    qsort(items.at, query_count, sizeof(items.at[0]), compare_parameters);
    for (size_t i = 0; i < query_count; i++)
        hf_buf_printf(ret, "%s%s=%s", i > 0 ? "&" : "", items.at[i].name, items.at[i].value);
}

/* "name:value\n" of each header, those of one name joined by commas; and the names, by ';'. */
static void append_headers(const struct hf_sigv4_request *request, struct hf_buf *ret_lines,
                           struct hf_buf *ret_names)
{
    HF_CLEANUP(items_done) struct items items = {.count = request->headers_count};

    hf_assert(request->headers_count <= HF_SIGV4_PAIRS_MAX);
    for (size_t i = 0; i < items.count; i++) {
        items.at[i].name = hf_strdup(request->headers[i].name);
        items.at[i].value = trim_header(request->headers[i].value);
        items.at[i].place = i;
    }
    qsort(items.at, items.count, sizeof(items.at[0]), compare_headers);
    for (size_t i = 0; i < items.count; i++) {
        const struct item *item = &items.at[i];

        if (i > 0 && strcmp(item->name, items.at[i - 1].name) == 0) {
            hf_buf_printf(ret_lines, ",%s", item->value);
            continue;
        }
        hf_buf_printf(ret_lines, "%s%s:%s", i > 0 ? "\n" : "", item->name, item->value);
        hf_buf_printf(ret_names, "%s%s", i > 0 ? ";" : "", item->name);
    }
    hf_buf_append(ret_lines, "\n", 1);
}

static void canonical_request(const struct hf_sigv4_request *request, struct hf_buf *ret,
                              struct hf_buf *ret_names)
{
    HF_AUTO_BUF query = {0};
    HF_AUTO_BUF lines = {0};

    hf_sigv4_query(request->query, request->query_count, &query);
    append_headers(request, &lines, ret_names);
    hf_buf_printf(ret, "%s\n%s\n%s\n%s\n%s\n%s", request->method, request->path, hf_buf_str(&query),
                  hf_buf_str(&lines), hf_buf_str(ret_names), request->payload_sha256);
}

/* kSigning of the AWS pages: the secret, narrowed to a day, a region and a service. */
static void signing_key(const struct hf_sigv4_key *key, struct hf_slice day,
                        uint8_t ret[HF_SHA256_BYTES])
{
    HF_AUTO_BUF secret = {0};
    const struct hf_slice next[] = {hf_slice_str(key->region), hf_slice_str(key->service),
                                    hf_slice_str("aws4_request")};
    uint8_t mac[HF_SHA256_BYTES];

    hf_buf_printf(&secret, "AWS4%s", key->secret_access_key);
    hf_hmac_sha256(hf_buf_slice(&secret), day, ret);
    explicit_bzero(secret.ptr, secret.len);
    for (size_t i = 0; i < HF_ARRAY_LEN(next); i++) {
        hf_hmac_sha256(hf_slice(ret, HF_SHA256_BYTES), next[i], mac);
        (void)memcpy(ret, mac, sizeof(mac));
    }
    explicit_bzero(mac, sizeof(mac));
}

void hf_sigv4_sign(const struct hf_sigv4_key *key, const struct hf_sigv4_request *request,
                   const char *date, struct hf_buf *ret)
{
    HF_AUTO_BUF canonical = {0};
    HF_AUTO_BUF names = {0};
    HF_AUTO_BUF scope = {0};
    HF_AUTO_BUF to_sign = {0};
    uint8_t hash[HF_SHA256_BYTES];
    uint8_t secret[HF_SHA256_BYTES];
    char hex[HF_SHA256_HEX_MAX];

    hf_assert(strlen(date) == HF_SIGV4_DATE_MAX - 1);
    hf_buf_printf(&scope, "%.8s/%s/%s/aws4_request", date, key->region, key->service);
    canonical_request(request, &canonical, &names);
    hf_sha256(hf_buf_slice(&canonical), hash);
    hf_hex(hf_slice(hash, sizeof(hash)), hex);
    hf_buf_printf(&to_sign, "AWS4-HMAC-SHA256\n%s\n%s\n%s", date, hf_buf_str(&scope), hex);

    signing_key(key, hf_slice(date, 8), secret);
    hf_hmac_sha256(hf_slice(secret, sizeof(secret)), hf_buf_slice(&to_sign), hash);
    explicit_bzero(secret, sizeof(secret));
    hf_hex(hf_slice(hash, sizeof(hash)), hex);
    hf_buf_printf(ret, "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
                  key->access_key_id, hf_buf_str(&scope), hf_buf_str(&names), hex);
}
