/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freelist.h - which pages of a database are leaves of its freelist, whose bytes mean nothing.
 */
#ifndef HF_ENGINE_SQLITE_FREELIST_H
#define HF_ENGINE_SQLITE_FREELIST_H

#include <stdbool.h>
#include <stdint.h>

/* The page's bytes; false: they cannot be had, or are not to be believed. */
typedef bool freelist_read_fn(void *ctx, uint32_t pgno, uint8_t *dst);

/*
 * A bitmap of pages_count + 1 bits, page p at bit p % 8 of byte p / 8: the leaves that `read` leads
 * to from page 1 on, until it refuses a page. Page 1 and pages behind the end are never set. The
 * caller frees.
 */
uint8_t *freelist_leaves(uint32_t page_bytes, uint32_t pages_count, freelist_read_fn *read,
                         void *ctx);

#endif
