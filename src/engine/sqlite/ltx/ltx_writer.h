/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ltx_writer.h - makes one LTX file, streamed to a sink.
 *
 * Pages come one at a time (hf_ltx_writer_page) or, for speed, as batches that any threads packed:
 * all compression and all checksums of a batch are done by whoever packs it, and taking it into
 * the file costs a write and a few microseconds. A batch knows nothing of a file, so batches can
 * be packed while the header is still unknown.
 *
 * The header goes out first and is final: it holds the root of the state *after* the segment. A
 * first snapshot of a live database, whose root is not known before all its pages were read,
 * therefore takes two passes over the pages (under one read transaction), or packed batches that
 * wait in a spool.
 *
 * A writer belongs to one thread at a time, a batch to another. Memory: a writer keeps 3 bytes a
 * page where pages follow one another, at most 8, doubled while it grows, and up to 320 KiB; a
 * batch keeps what was packed into it and 16 bytes a page.
 */
#ifndef HF_ENGINE_SQLITE_LTX_LTX_WRITER_H
#define HF_ENGINE_SQLITE_LTX_LTX_WRITER_H

#include "base/io.h"
#include "engine/sqlite/ltx/ltx.h"

/* One page of a batch. */
struct hf_ltx_packed {
    uint64_t page_sum; /* hf_ltx_page_sum() of it, so that the packer need not do it again */
    uint32_t pgno;
    uint32_t frame_bytes;
};

struct hf_ltx_batch {
    uint32_t page_bytes;
    uint32_t pages_count;
    const struct hf_crc64_shift *shift; /* hf_ltx_page_shift() */
    struct hf_buf frames;               /* as they go into the file */
    struct hf_buf packed;               /* struct hf_ltx_packed[pages_count] */
    uint64_t crc;                       /* of what the file's checksum covers in these frames ... */
    uint64_t crc_bytes;                 /* ... and how many bytes that is */
    uint64_t sum; /* page sums by hf_ltx_sum_toggle(), from HF_LTX_SUM_EMPTY */
};

/* `page_bytes` as in the header of the file to be; 512 to 65536. */
void hf_ltx_batch_init(struct hf_ltx_batch *b, uint32_t page_bytes);
void hf_ltx_batch_reset(struct hf_ltx_batch *b); /* empty, memory kept */
void hf_ltx_batch_done(struct hf_ltx_batch *b);  /* for HF_CLEANUP */
const struct hf_ltx_packed *hf_ltx_batch_packed(const struct hf_ltx_batch *b, uint32_t i);

/* Compress a page into the batch, behind those already there. The order is judged only when the
 * batch meets its file. 4 KiB pages: about 2 to 10 microseconds. */
void hf_ltx_pack(struct hf_ltx_batch *b, uint32_t pgno, struct hf_slice page);

/* As hf_ltx_pack(), with the frame taken from another file: block form, already expanded to
 * `page`, so that nothing is compressed again. */
void hf_ltx_pack_frame(struct hf_ltx_batch *b, struct hf_slice frame, struct hf_slice page);

struct hf_ltx_writer;

/*
 * The header has been written, and pages may come. `sink` is borrowed until hf_ltx_writer_free().
 * HF_DAMAGE  the header breaks a rule, or has Commit 0 with NoChecksum, which LTX cannot express;
 *            nothing was written.
 * any other  the sink's.
 */
enum hf_code hf_ltx_writer_new(struct hf_sink *sink, const struct hf_ltx_header *h,
                               struct hf_ltx_writer **ret_writer, struct hf_err *err) HF_MUST_CHECK;

/*
 * The page will be in the file; it may stay in the writer until more come or the file is finished.
 * HF_DAMAGE  the file would be malformed: pages do not ascend, page above Commit, the lock page, a
 *            page left out of a snapshot, or not PageSize bytes.
 * any other  the sink's.
 * After any failure, here and below, the writer can only be freed and the file is worthless.
 */
enum hf_code hf_ltx_writer_page(struct hf_ltx_writer *w, uint32_t pgno, struct hf_slice page,
                                struct hf_err *err) HF_MUST_CHECK;

/* The batch's pages are in the file; the batch is the caller's again. Codes as for a page. */
enum hf_code hf_ltx_writer_batch(struct hf_ltx_writer *w, const struct hf_ltx_batch *b,
                                 struct hf_err *err) HF_MUST_CHECK;

/* Checksum of the pages so far: of the whole database once a snapshot has all its pages. */
uint64_t hf_ltx_writer_sum(const struct hf_ltx_writer *w);

/*
 * The file is complete. `post_sum` is the database's checksum after the segment, 0 with NoChecksum.
 * HF_DAMAGE  pages are missing from a snapshot, or `post_sum` is not what a tracked snapshot's
 *            pages give, or breaks a rule of the trailer.
 */
enum hf_code hf_ltx_writer_finish(struct hf_ltx_writer *w, uint64_t post_sum,
                                  struct hf_err *err) HF_MUST_CHECK;

uint64_t hf_ltx_writer_bytes(const struct hf_ltx_writer *w); /* given to the sink so far */
uint64_t hf_ltx_writer_pages(const struct hf_ltx_writer *w); /* taken so far */

void hf_ltx_writer_free(struct hf_ltx_writer *w); /* NULL is allowed */
void hf_ltx_writer_free_ptr(struct hf_ltx_writer **w);
#define HF_AUTO_LTX_WRITER HF_CLEANUP(hf_ltx_writer_free_ptr) struct hf_ltx_writer

#endif
