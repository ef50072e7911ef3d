/* SPDX-License-Identifier: Apache-2.0 */
/* buf.c - buffers double as they grow, so that n appends cost O(n). */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/check.h"

#define BUF_BYTES_MIN 64

uint8_t *hf_buf_reserve(struct hf_buf *b, size_t more)
{
    hf_assert(more <= SIZE_MAX / 4 && b->len <= SIZE_MAX / 4);
    if (b->cap - b->len < more || b->ptr == NULL) {
        size_t cap = b->cap * 2;

        if (cap < b->len + more)
            cap = b->len + more;
        if (cap < BUF_BYTES_MIN)
            cap = BUF_BYTES_MIN;
        b->ptr = hf_realloc(b->ptr, cap, 1);
        b->cap = cap;
    }
    return b->ptr + b->len;
}

void hf_buf_append(struct hf_buf *b, const void *ptr, size_t len)
{
    uint8_t *to = hf_buf_reserve(b, len);

    if (len > 0)
        (void)memcpy(to, ptr, len);
    b->len += len;
}

uint8_t *hf_buf_extend(struct hf_buf *b, size_t len)
{
    uint8_t *to = hf_buf_reserve(b, len);

    b->len += len;
    return to;
}

void hf_buf_printf(struct hf_buf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    const int len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    hf_assert(len >= 0);
    uint8_t *to = hf_buf_reserve(b, (size_t)len + 1);

    va_start(ap, fmt);
    (void)vsnprintf((char *)to, (size_t)len + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)len;
}

const char *hf_buf_str(struct hf_buf *b)
{
    *hf_buf_reserve(b, 1) = 0;
    return (const char *)b->ptr;
}

void hf_buf_reset(struct hf_buf *b)
{
    b->len = 0;
}

void hf_buf_done(struct hf_buf *b)
{
    hf_free(b->ptr);
    *b = (struct hf_buf){0};
}
