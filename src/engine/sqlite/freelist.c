/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freelist.c - from trunk page to trunk page. Source: SQLite, "Database File Format", section 1.5,
 * "The Freelist".
 */
#include "engine/sqlite/freelist.h"

#include "base/alloc.h"
#include "base/bytes.h"

#define FIRST_TRUNK_AT 32 /* in page 1 */
#define PAGES_COUNT_AT 36 /* in page 1: trunks and leaves */
#define LEAVES_AT      8  /* in a trunk page, behind the next trunk and the number of leaves */

static void mark_leaves(const uint8_t *trunk, uint32_t page_bytes, uint32_t pages_count,
                        uint8_t *leaves)
{
    const uint32_t most = (page_bytes - LEAVES_AT) / 4;
    const uint32_t n = hf_get_be32(trunk + 4);

    for (uint32_t i = 0; i < (n < most ? n : most); i++) {
        const uint32_t leaf = hf_get_be32(trunk + LEAVES_AT + 4 * (size_t)i);

        if (leaf > 1 && leaf <= pages_count)
            leaves[leaf / 8] |= (uint8_t)(1U << leaf % 8);
    }
}

uint8_t *freelist_leaves(uint32_t page_bytes, uint32_t pages_count, freelist_read_fn *read,
                         void *ctx)
{
    uint8_t *leaves = hf_calloc((size_t)pages_count / 8 + 1, 1);
    HF_AUTO_FREE uint8_t *page = hf_malloc(page_bytes);

    if (!read(ctx, 1, page))
        return leaves;
    uint32_t next = hf_get_be32(page + FIRST_TRUNK_AT);
    uint32_t left = hf_get_be32(page + PAGES_COUNT_AT); /* so that a loop in the list ends */

    for (; left > 0 && next > 1 && next <= pages_count && read(ctx, next, page); left--) {
        mark_leaves(page, page_bytes, pages_count, leaves);
        next = hf_get_be32(page);
    }
    return leaves;
}
