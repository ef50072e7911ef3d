/* SPDX-License-Identifier: Apache-2.0 */
/* http.c - the head of an answer, kept as "name NUL value NUL" and searched from its start. */
#include "store/http.h"

#include <ctype.h>
#include <curl/curl.h>
#include <string.h>

#include "base/alloc.h"

void hf_http_response_reset(struct hf_http_response *r)
{
    r->status = 0;
    hf_buf_reset(&r->head);
    hf_buf_reset(&r->body);
}

void hf_http_response_done(struct hf_http_response *r)
{
    hf_buf_done(&r->head);
    hf_buf_done(&r->body);
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* `head` holds "name NUL value NUL" of each line, names in lower case. */
bool hf_http_response_add(struct hf_http_response *r, struct hf_slice line)
{
    const uint8_t *colon = (const uint8_t *)memchr(line.ptr, ':', line.len);

    if (colon == NULL || memchr(line.ptr, '\0', line.len) != NULL)
        return true;
    if (r->head.len + line.len + 2 > HF_HTTP_HEAD_BYTES_MAX)
        return false;

    const uint8_t *end = line.ptr + line.len;
    const uint8_t *value = colon + 1;

    while (value < end && is_blank(*value))
        value++;
    while (end > value && is_blank(end[-1]))
        end--;
    for (const uint8_t *p = line.ptr; p < colon; p++)
        *hf_buf_extend(&r->head, 1) = (uint8_t)tolower(*p);
    hf_buf_append(&r->head, "", 1);
    hf_buf_append(&r->head, value, (size_t)(end - value));
    hf_buf_append(&r->head, "", 1);
    return true;
}

const char *hf_http_response_header(const struct hf_http_response *r, const char *name)
{
    size_t at = 0;

    while (at < r->head.len) {
        const char *found = (const char *)r->head.ptr + at;
        const char *value = found + strlen(found) + 1;

        if (strcmp(found, name) == 0)
            return value;
        at += strlen(found) + 1 + strlen(value) + 1;
    }
    return NULL;
}

int64_t hf_http_date(const char *text)
{
    const time_t sec = curl_getdate(text, NULL);

    return sec < 0 ? -1 : (int64_t)sec * 1000;
}
