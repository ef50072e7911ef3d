/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image.h - the pages of a live database at one moment, read while a reader holds it still, and a
 * segment made of some of them.
 */
#ifndef HF_ENGINE_SQLITE_IMAGE_H
#define HF_ENGINE_SQLITE_IMAGE_H

#include "engine/sqlite/conn.h"
#include "engine/sqlite/digest.h"
#include "engine/sqlite/ltx/ltx.h"
#include "engine/sqlite/wal.h"

/* The newest frame of a page up to the moment; sorted by pgno, one a page. */
struct frame_ref {
    uint32_t pgno;
    uint32_t frame; /* 0: read it from the database file */
};

/* The page's ref among `count` that are sorted; NULL: it has none. */
const struct frame_ref *frame_ref_find(const struct frame_ref *refs, size_t count, uint32_t pgno);

/* All borrowed. A page that has no ref is read from the database file. */
struct image {
    struct conn *conn;
    struct wal_file *wal;
    uint32_t page_bytes;
    uint32_t pages_count;
    const struct frame_ref *refs;
    size_t refs_count;
    uint64_t seed;
    struct hf_pool *pool;
    hf_stop_flag *stop;           /* or NULL */
    struct hf_progress *progress; /* or NULL */
};

/* Which pages: an ascending list, or NULL for every page but the lock page. */
struct page_set {
    const uint32_t *pgnos;
    size_t count;
};

/* Every page of the image but the lock page. */
struct page_set image_all_pages(const struct image *image);

/* Pages pgno .. pgno + count - 1 as they are at the moment, each from the log or the file; zeros
 * behind the end of the file. */
enum hf_code image_read_pages(const struct image *image, uint32_t pgno, uint32_t count,
                              uint8_t *dst, struct hf_err *err) HF_MUST_CHECK;

/* `entries` are those of pages first_pgno .. first_pgno + n - 1. May come from any pool thread, in
 * any order, several at once. */
typedef enum hf_code image_entries_fn(void *ctx, uint32_t first_pgno, size_t n,
                                      const struct digest_entry *entries, struct hf_err *err);

/* Read and hash the pages of the set, in parallel; a call of `fn` gets pages without a gap. */
enum hf_code image_hash(const struct image *image, struct page_set set, image_entries_fn *fn,
                        void *ctx, struct hf_err *err) HF_MUST_CHECK;

/* Give a segment with the pages of the set to the taker, commit included. */
enum hf_code image_emit(const struct image *image, struct page_set set,
                        const struct hf_ltx_header *header, uint64_t post_sum, struct hf_taker *t,
                        struct hf_err *err) HF_MUST_CHECK;

#endif
