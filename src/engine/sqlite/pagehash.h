/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pagehash.h - what the digest keeps of a page: the hash of its number and its bytes (FORMAT §3.1),
 * and the LTX checksum.
 */
#ifndef HF_ENGINE_SQLITE_PAGEHASH_H
#define HF_ENGINE_SQLITE_PAGEHASH_H

#include "base/attr.h"
#include "engine/sqlite/digest.h"

/* For HF_CLEANUP. */
void page_hasher_free_ptr(struct hf_page_hasher **h);
#define AUTO_PAGE_HASHER HF_CLEANUP(page_hasher_free_ptr) struct hf_page_hasher

/* XXH3-128 of page number ‖ page. */
struct hf_root page_hash(struct hf_page_hasher *h, uint32_t pgno, struct hf_slice page);
/* The page's entry in a digest; all zero for the lock page. */
struct digest_entry page_entry(struct hf_page_hasher *h, uint32_t pgno, struct hf_slice page);

#endif
