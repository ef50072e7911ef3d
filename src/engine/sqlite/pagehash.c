/* SPDX-License-Identifier: Apache-2.0 */
/* pagehash.c - a page's name is its number, in four bytes, big-endian. */
#include "engine/sqlite/pagehash.h"

#include "base/bytes.h"
#include "engine/sqlite/ltx/ltx.h"

void page_hasher_free_ptr(struct hf_page_hasher **h)
{
    hf_page_hasher_free(*h);
    *h = NULL;
}

struct hf_root page_hash(struct hf_page_hasher *h, uint32_t pgno, struct hf_slice page)
{
    uint8_t name[4];

    hf_put_be32(name, pgno);
    return hf_page_hash(h, hf_slice(name, sizeof(name)), page);
}

struct digest_entry page_entry(struct hf_page_hasher *h, uint32_t pgno, struct hf_slice page)
{
    if (pgno == hf_ltx_lock_page((uint32_t)page.len))
        return (struct digest_entry){0};
    return (struct digest_entry){.hash = page_hash(h, pgno, page),
                                 .sum = hf_ltx_page_sum(pgno, page)};
}
