/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ltx_writer.c - makes one LTX file.
 *
 * Invariants
 * 1. `crc` is the CRC of everything the file's checksum covers in the bytes given to the sink.
 * 2. `last` is the last page taken; taken pages are in the sink or in `own`, and `own` is empty
 *    whenever somebody else's batch is written.
 * 3. `steps` holds, for each page in the sink, how far its number is from the one before and how
 *    long its frame is. Frames lie without gaps, so the whole index follows from that: its
 *    absolute offsets, the bulk of it, are made only as it is written.
 */
#include "engine/sqlite/ltx/ltx_writer.h"

#include <inttypes.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "engine/sqlite/ltx/ltx_frame.h"
#include "engine/sqlite/ltx/ltx_index.h"

#define OWN_BYTES_MAX   (256 * 1024) /* pages that came singly are written when they reach this */
#define INDEX_BYTES_MAX (64 * 1024)  /* of the index are made before they are written */

void hf_ltx_batch_init(struct hf_ltx_batch *b, uint32_t page_bytes)
{
    hf_assert(page_bytes >= HF_LTX_PAGE_BYTES_MIN && page_bytes <= HF_LTX_PAGE_BYTES_MAX);
    *b = (struct hf_ltx_batch){
        .page_bytes = page_bytes,
        .shift = hf_ltx_page_shift(page_bytes),
        .sum = HF_LTX_SUM_EMPTY,
    };
}

void hf_ltx_batch_reset(struct hf_ltx_batch *b)
{
    hf_buf_reset(&b->frames);
    hf_buf_reset(&b->packed);
    b->pages_count = 0;
    b->crc = 0;
    b->crc_bytes = 0;
    b->sum = HF_LTX_SUM_EMPTY;
}

void hf_ltx_batch_done(struct hf_ltx_batch *b)
{
    hf_buf_done(&b->frames);
    hf_buf_done(&b->packed);
}

const struct hf_ltx_packed *hf_ltx_batch_packed(const struct hf_ltx_batch *b, uint32_t i)
{
    hf_assert(i < b->pages_count);
    return &((const struct hf_ltx_packed *)(const void *)b->packed.ptr)[i];
}

/* The last `frame_bytes` of b->frames are the frame of this page: enter it in the sums. */
static void account(struct hf_ltx_batch *b, uint32_t pgno, uint32_t frame_bytes,
                    struct hf_slice page)
{
    const uint64_t crc = hf_crc64(0, page.ptr, page.len);
    const struct hf_ltx_packed packed = {
        .page_sum = hf_ltx_page_sum_from(b->shift, pgno, crc),
        .pgno = pgno,
        .frame_bytes = frame_bytes,
    };
    const struct hf_slice prefix =
        hf_ltx_frame_prefix(hf_slice(b->frames.ptr + b->frames.len - frame_bytes, frame_bytes));

    b->crc = hf_crc64_join(b->shift, hf_crc64(b->crc, prefix.ptr, prefix.len), crc);
    b->crc_bytes += prefix.len + page.len;
    b->sum = hf_ltx_sum_toggle(b->sum, packed.page_sum);
    hf_buf_append(&b->packed, &packed, sizeof(packed));
    b->pages_count++;
}

void hf_ltx_pack(struct hf_ltx_batch *b, uint32_t pgno, struct hf_slice page)
{
    hf_assert(page.len == b->page_bytes);
    account(b, pgno, hf_ltx_frame_pack(&b->frames, pgno, page), page);
}

void hf_ltx_pack_frame(struct hf_ltx_batch *b, struct hf_slice frame, struct hf_slice page)
{
    hf_assert(page.len == b->page_bytes && hf_ltx_frame_is_block(frame));
    hf_assert(frame.len <= hf_ltx_frame_bytes_max(b->page_bytes));
    hf_buf_append(&b->frames, frame.ptr, frame.len);
    account(b, hf_get_be32(frame.ptr), (uint32_t)frame.len, page);
}

struct hf_ltx_writer {
    struct hf_sink *sink; /* borrowed */
    struct hf_ltx_header header;
    struct hf_ltx_batch own; /* pages that came singly and are not written yet */
    struct hf_buf steps;     /* invariant 3 */
    uint32_t last;           /* page taken */
    uint32_t last_written;   /* page in `steps` */
    uint64_t pages_count;
    uint64_t bytes; /* in the sink */
    uint64_t crc;
    uint64_t sum; /* of the pages in the sink */
};

static enum hf_code put(struct hf_ltx_writer *w, struct hf_slice data, struct hf_err *err)
{
    const enum hf_code rc = w->sink->write(w->sink, data, err);

    if (rc != HF_OK)
        return rc;
    w->bytes += data.len;
    return HF_OK;
}

/* Write bytes that the file's checksum covers as they are. */
static enum hf_code put_hashed(struct hf_ltx_writer *w, struct hf_slice data, struct hf_err *err)
{
    w->crc = hf_crc64(w->crc, data.ptr, data.len);
    return put(w, data, err);
}

enum hf_code hf_ltx_writer_new(struct hf_sink *sink, const struct hf_ltx_header *h,
                               struct hf_ltx_writer **ret_writer, struct hf_err *err)
{
    uint8_t bytes[HF_LTX_HEADER_BYTES];
    enum hf_code rc;

    rc = hf_ltx_header_encode(h, bytes, err);
    if (rc != HF_OK)
        return rc;
    if (h->commit == 0 && !hf_ltx_has_sums(h))
        return hf_err_set(err, HF_DAMAGE,
                          "header: Commit 0 with NoChecksum: LTX wants a checksum of an empty "
                          "database");
    HF_AUTO_LTX_WRITER *w = hf_calloc(1, sizeof(*w));

    w->sink = sink;
    w->header = *h;
    w->sum = HF_LTX_SUM_EMPTY;
    hf_ltx_batch_init(&w->own, h->page_bytes);
    rc = put_hashed(w, hf_slice(bytes, sizeof(bytes)), err);
    if (rc != HF_OK)
        return rc;
    *ret_writer = hf_take_ptr(&w);
    return HF_OK;
}

static enum hf_code take_number(struct hf_ltx_writer *w, uint32_t pgno, struct hf_err *err)
{
    const enum hf_code rc = hf_ltx_order_check(&w->header, w->last, pgno, err);

    if (rc != HF_OK)
        return rc;
    w->last = pgno;
    w->pages_count++;
    return HF_OK;
}

static void note_steps(struct hf_ltx_writer *w, const struct hf_ltx_batch *b)
{
    for (uint32_t i = 0; i < b->pages_count; i++) {
        const struct hf_ltx_packed *p = hf_ltx_batch_packed(b, i);
        uint8_t *to = hf_buf_reserve(&w->steps, 2 * HF_LTX_UVARINT_BYTES_MAX);

        hf_assert(p->pgno > w->last_written);
        w->steps.len += hf_ltx_uvarint_put(to, p->pgno - w->last_written);
        w->steps.len += hf_ltx_uvarint_put(w->steps.ptr + w->steps.len, p->frame_bytes);
        w->last_written = p->pgno;
    }
}

/* Write a batch whose page numbers have been taken. */
static enum hf_code put_batch(struct hf_ltx_writer *w, const struct hf_ltx_batch *b,
                              struct hf_err *err)
{
    if (b->pages_count == 0)
        return HF_OK;
    note_steps(w, b);
    w->crc = hf_crc64_combine(w->crc, b->crc, b->crc_bytes);
    w->sum = hf_ltx_sum_toggle(w->sum, b->sum);
    return put(w, hf_buf_slice(&b->frames), err);
}

static enum hf_code put_own(struct hf_ltx_writer *w, struct hf_err *err)
{
    const enum hf_code rc = put_batch(w, &w->own, err);

    if (rc != HF_OK)
        return rc;
    hf_ltx_batch_reset(&w->own);
    return HF_OK;
}

enum hf_code hf_ltx_writer_page(struct hf_ltx_writer *w, uint32_t pgno, struct hf_slice page,
                                struct hf_err *err)
{
    if (page.len != w->header.page_bytes)
        return hf_err_set(err, HF_DAMAGE,
                          "page %" PRIu32 " has %zu bytes, expected PageSize %" PRIu32, pgno,
                          page.len, w->header.page_bytes);
    const enum hf_code rc = take_number(w, pgno, err);

    if (rc != HF_OK)
        return rc;
    hf_ltx_pack(&w->own, pgno, page);
    return w->own.frames.len < OWN_BYTES_MAX ? HF_OK : put_own(w, err);
}

enum hf_code hf_ltx_writer_batch(struct hf_ltx_writer *w, const struct hf_ltx_batch *b,
                                 struct hf_err *err)
{
    enum hf_code rc;

    if (b->page_bytes != w->header.page_bytes)
        return hf_err_set(err, HF_DAMAGE,
                          "batch of pages of %" PRIu32 " bytes, expected PageSize %" PRIu32,
                          b->page_bytes, w->header.page_bytes);
    rc = put_own(w, err);
    if (rc != HF_OK)
        return rc;
    for (uint32_t i = 0; i < b->pages_count; i++) {
        rc = take_number(w, hf_ltx_batch_packed(b, i)->pgno, err);
        if (rc != HF_OK)
            return rc;
    }
    return put_batch(w, b, err);
}

uint64_t hf_ltx_writer_sum(const struct hf_ltx_writer *w)
{
    return hf_ltx_sum_toggle(w->sum, w->own.sum);
}

/* Append one index entry, made of the next step. */
static void add_entry(struct hf_buf *index, struct hf_slice *steps, uint64_t *pgno,
                      uint64_t *offset)
{
    uint64_t ascent = 0;
    uint64_t frame_bytes = 0;
    uint8_t *to = hf_buf_reserve(index, 3 * HF_LTX_UVARINT_BYTES_MAX);
    size_t len = 0;

    hf_assert(hf_ltx_uvarint_take(steps, &ascent) && hf_ltx_uvarint_take(steps, &frame_bytes));
    *pgno += ascent;
    len += hf_ltx_uvarint_put(to + len, *pgno);
    len += hf_ltx_uvarint_put(to + len, *offset);
    len += hf_ltx_uvarint_put(to + len, frame_bytes);
    index->len += len;
    *offset += frame_bytes;
}

static enum hf_code put_index(struct hf_ltx_writer *w, struct hf_err *err)
{
    const uint64_t begin = w->bytes;
    const uint64_t frames_end = begin - HF_LTX_PAGE_HEADER_BYTES;
    struct hf_slice steps = hf_buf_slice(&w->steps);
    uint64_t pgno = 0;
    uint64_t offset = HF_LTX_HEADER_BYTES;
    HF_AUTO_BUF index = {0};
    enum hf_code rc;

    while (steps.len > 0) {
        add_entry(&index, &steps, &pgno, &offset);
        if (index.len < INDEX_BYTES_MAX)
            continue;
        rc = put_hashed(w, hf_buf_slice(&index), err);
        if (rc != HF_OK)
            return rc;
        hf_buf_reset(&index);
    }
    hf_assert(offset == frames_end);
    *hf_buf_extend(&index, 1) = 0;
    const uint64_t index_bytes = w->bytes + index.len - begin;

    hf_put_be64(hf_buf_extend(&index, HF_LTX_INDEX_LEN_BYTES), index_bytes);
    return put_hashed(w, hf_buf_slice(&index), err);
}

static enum hf_code check_post(const struct hf_ltx_writer *w, uint64_t post_sum, struct hf_err *err)
{
    if (hf_ltx_is_snapshot(&w->header) && hf_ltx_has_sums(&w->header) && post_sum != w->sum)
        return hf_err_set(err, HF_DAMAGE,
                          "trailer: PostApplyChecksum is %016" PRIx64 ", expected %016" PRIx64
                          " by the snapshot's pages",
                          post_sum, w->sum);
    return hf_ltx_trailer_check(&w->header, post_sum, HF_LTX_SUM_FLAG, err);
}

enum hf_code hf_ltx_writer_finish(struct hf_ltx_writer *w, uint64_t post_sum, struct hf_err *err)
{
    static const uint8_t end_marker[HF_LTX_PAGE_HEADER_BYTES] = {0};
    uint8_t sum[sizeof(uint64_t)];
    enum hf_code rc;

    rc = put_own(w, err);
    if (rc != HF_OK)
        return rc;
    rc = hf_ltx_order_check_end(&w->header, w->last, err);
    if (rc != HF_OK)
        return rc;
    rc = check_post(w, post_sum, err);
    if (rc != HF_OK)
        return rc;
    rc = put_hashed(w, hf_slice(end_marker, sizeof(end_marker)), err);
    if (rc != HF_OK)
        return rc;
    rc = put_index(w, err);
    if (rc != HF_OK)
        return rc;
    hf_put_be64(sum, post_sum);
    rc = put_hashed(w, hf_slice(sum, sizeof(sum)), err);
    if (rc != HF_OK)
        return rc;
    hf_put_be64(sum, HF_LTX_SUM_FLAG | w->crc);
    return put(w, hf_slice(sum, sizeof(sum)), err);
}

uint64_t hf_ltx_writer_bytes(const struct hf_ltx_writer *w)
{
    return w->bytes;
}

uint64_t hf_ltx_writer_pages(const struct hf_ltx_writer *w)
{
    return w->pages_count;
}

void hf_ltx_writer_free(struct hf_ltx_writer *w)
{
    if (w == NULL)
        return;
    hf_ltx_batch_done(&w->own);
    hf_buf_done(&w->steps);
    hf_free(w);
}

void hf_ltx_writer_free_ptr(struct hf_ltx_writer **w)
{
    hf_ltx_writer_free(*w);
    *w = NULL;
}
