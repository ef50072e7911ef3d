/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf.h - views of bytes (hf_slice, by value) and growing byte buffers (hf_buf).
 */
#ifndef HF_BASE_BUF_H
#define HF_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/attr.h"

/* A view: borrowed, never freed. */
struct hf_slice {
    const uint8_t *ptr;
    size_t len;
};

static inline struct hf_slice hf_slice(const void *ptr, size_t len)
{
    return (struct hf_slice){.ptr = (const uint8_t *)ptr, .len = len};
}

static inline struct hf_slice hf_slice_str(const char *s)
{
    return hf_slice(s, strlen(s));
}

/* Owns its bytes. All zero is an empty buffer, ready for use. */
struct hf_buf {
    uint8_t *ptr;
    size_t len;
    size_t cap;
};

/* Room for `more` bytes after len; returns where they begin. len does not change. */
uint8_t *hf_buf_reserve(struct hf_buf *b, size_t more);
void hf_buf_append(struct hf_buf *b, const void *ptr, size_t len);
/* Grow len by `len` bytes and return where they begin; they are not zeroed. */
uint8_t *hf_buf_extend(struct hf_buf *b, size_t len);
/* Append printed text; the bytes end in a NUL that len does not count. */
void hf_buf_printf(struct hf_buf *b, const char *fmt, ...) HF_PRINTF(2, 3);
/* The bytes as a string: a NUL is put after them, not counted. */
const char *hf_buf_str(struct hf_buf *b);
void hf_buf_reset(struct hf_buf *b); /* len 0, memory kept */
void hf_buf_done(struct hf_buf *b);  /* memory freed; for HF_CLEANUP */

static inline struct hf_slice hf_buf_slice(const struct hf_buf *b)
{
    return hf_slice(b->ptr, b->len);
}

#define HF_AUTO_BUF HF_CLEANUP(hf_buf_done) struct hf_buf

#endif
