/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ltx_reader.h - reads LTX files, ours and those of others, from a source that may be remote.
 *
 * Nothing in a file is trusted: whatever is wrong with it is HF_DAMAGE with a message that names
 * the source and the field, and no memory is taken on a file's word. Errors of the source itself
 * are passed on as they are.
 */
#ifndef HF_ENGINE_SQLITE_LTX_LTX_READER_H
#define HF_ENGINE_SQLITE_LTX_LTX_READER_H

#include "base/io.h"
#include "base/pool.h"
#include "engine/sqlite/ltx/ltx.h"

#define HF_LTX_WHOLE_BYTES_MAX (8 * 1024 * 1024) /* a source up to this is read in one go */
#define HF_LTX_TAIL_BYTES      (32 * 1024)       /* first look at the end of a longer one */

/* About 4 MiB of frames are fetched and decoded as one task; a window of pages that shrank well
 * ends earlier, at 32 MiB of pages. */
#define HF_LTX_WINDOW_BYTES       (4 * 1024 * 1024)
#define HF_LTX_WINDOW_PAGES_BYTES (32 * 1024 * 1024)
#define HF_LTX_RUN_BYTES          (256 * 1024) /* handed to a visitor in one go, at most */

struct hf_ltx_reader;

/*
 * The header, the trailer's form and the whole page index have been read and keep their rules:
 * pages ascend up to Commit, none is missing from a snapshot, frames lie without gap or overlap
 * from the header to the end marker, and nothing stands behind the trailer. No frame has been read
 * yet and no checksum verified; only hf_ltx_decode() does that.
 * HF_DAMAGE       the file breaks a rule.
 * HF_UNSUPPORTED  a newer holdfast wrote it.
 * The source is borrowed until hf_ltx_reader_free(). Afterwards the reader does not change, so any
 * number of threads may use it. Cost: one read up to HF_LTX_WHOLE_BYTES_MAX, otherwise three or
 * more: start, end, and the index by 1 MiB. Memory: the whole of a small source; otherwise 1 MiB
 * meanwhile, and 24 bytes for 64 KiB of index afterwards.
 */
enum hf_code hf_ltx_open(struct hf_source *source, struct hf_ltx_reader **ret_reader,
                         struct hf_err *err) HF_MUST_CHECK;
void hf_ltx_reader_free(struct hf_ltx_reader *r); /* NULL is allowed */
void hf_ltx_reader_free_ptr(struct hf_ltx_reader **r);
#define HF_AUTO_LTX_READER HF_CLEANUP(hf_ltx_reader_free_ptr) struct hf_ltx_reader

/* What the file says of itself; lives as the reader does. */
const struct hf_ltx_header *hf_ltx_reader_header(const struct hf_ltx_reader *r);
uint64_t hf_ltx_reader_post_sum(const struct hf_ltx_reader *r); /* 0 with NoChecksum */
uint64_t hf_ltx_reader_pages(const struct hf_ltx_reader *r);    /* carried by the file */

/* One entry of the page index. */
struct hf_ltx_entry {
    uint32_t pgno; /* 0: behind the last one */
    uint32_t frame_bytes;
    uint64_t offset; /* in the file */
};

/* A place in the index. Its fields are the codec's own. One thread at a time. */
struct hf_ltx_cursor {
    const struct hf_ltx_reader *reader; /* borrowed */
    struct hf_buf scratch;
    struct hf_slice window; /* of the index, as last fetched */
    struct hf_slice rest;   /* of the window, not taken yet */
    size_t window_bytes;    /* how much to fetch at a time */
    uint64_t position;      /* in the index: where `rest` begins */
    uint64_t next_offset;   /* in the file: where the next frame must begin */
    uint64_t pages_count;   /* taken */
    uint64_t crc;           /* of the windows before this one */
    uint32_t last;          /* page taken */
    bool ended;
};

/* At the first entry. Memory: up to 1 MiB until done. */
void hf_ltx_cursor_init(struct hf_ltx_cursor *c, const struct hf_ltx_reader *r);
void hf_ltx_cursor_done(struct hf_ltx_cursor *c); /* for HF_CLEANUP */

/* `*ret` is the next entry, or has page 0 behind the last one. HF_DAMAGE: the index changed. */
enum hf_code hf_ltx_index_next(struct hf_ltx_cursor *c, struct hf_ltx_entry *ret,
                               struct hf_err *err) HF_MUST_CHECK;

/* `*ret` is the entry of page `pgno`. HF_NOT_FOUND: the file does not carry it. At most 64 KiB of
 * the index are read. */
enum hf_code hf_ltx_find(const struct hf_ltx_reader *r, uint32_t pgno, struct hf_ltx_entry *ret,
                         struct hf_err *err) HF_MUST_CHECK;

/*
 * The page's bytes have been appended to `ret`. Nothing vouches for them: LTX has no checksum that
 * covers one page, so compare them with a page hash or page sum that is known.
 * HF_DAMAGE  the frame is malformed or of another page; `ret` is as before.
 */
enum hf_code hf_ltx_read_page(const struct hf_ltx_reader *r, const struct hf_ltx_entry *entry,
                              struct hf_buf *ret, struct hf_err *err) HF_MUST_CHECK;

/* Pages of a file that follow one another, decoded. */
struct hf_ltx_run {
    uint32_t first_pgno;
    uint32_t count;            /* at least 1; of at most HF_LTX_RUN_BYTES */
    struct hf_slice pages;     /* `count` of them, at a multiple of HF_BULK_ALIGN */
    const uint64_t *page_sums; /* `count` of hf_ltx_page_sum() */
};

/* The i-th page of the run. */
static inline struct hf_slice hf_ltx_run_page(const struct hf_ltx_run *run, uint32_t i)
{
    const size_t page_bytes = run->pages.len / run->count;

    return hf_slice(run->pages.ptr + i * page_bytes, page_bytes);
}

/* Called from any of the pool's threads, concurrently and in any order. The run lives until it
 * returns. Anything but HF_OK ends the decoding with that code. */
typedef enum hf_code hf_ltx_visit_fn(void *ctx, const struct hf_ltx_run *run, struct hf_err *err);

/*
 * Every page of the file has been visited in exactly one run, and the whole file is proved: all
 * rules of header, index and trailer, FileChecksum, and PostApplyChecksum of a tracked snapshot.
 * HF_DAMAGE       it is not. Pages may have been visited by then, and are not to be trusted.
 * HF_UNSUPPORTED  a newer holdfast wrote it.
 * any other       the source's or the visitor's. The outputs are untouched after any failure.
 * `visit` and the outputs may be NULL.
 * Every byte is read once. Windows in flight: the pool's threads + 2, or 1 for a pool without
 * threads. Memory: windows in flight x 5.5 MiB + 1 MiB + 32 KiB (a source that is read whole: its
 * size + windows in flight x 1.5 MiB); 8 MiB more a window for files of the older frame form.
 */
enum hf_code hf_ltx_decode(struct hf_source *source, struct hf_pool *pool, hf_ltx_visit_fn *visit,
                           void *ctx, struct hf_ltx_header *ret_header, uint64_t *ret_post_sum,
                           struct hf_err *err) HF_MUST_CHECK;

#endif
