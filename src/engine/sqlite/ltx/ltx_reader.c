/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ltx_reader.c - header, trailer, page index, single pages.
 *
 * Invariants
 * 1. Every range that is read lies inside the source: lengths from the file are compared with what
 *    is there before they are used.
 * 2. A cursor hands out only entries that keep the index's rules so far, so that an entry's frame
 *    lies between header and end marker and is no longer than a page can need.
 *
 * Why gaps are damage although LTX's reader would skip nothing and see none: it reads frames one
 * after another and never looks at the offsets. We read by the index, so bytes that the index does
 * not name would escape every check but the file's checksum.
 */
#include "engine/sqlite/ltx/ltx_reader.h"

#include <inttypes.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "engine/sqlite/ltx/ltx_frame.h"
#include "engine/sqlite/ltx/ltx_index.h"
#include "engine/sqlite/ltx/ltx_reader_priv.h"

#define CURSOR_WINDOW_BYTES (1024 * 1024)
#define SPOT_BYTES          (64 * 1024) /* of index between two spots */
#define ENTRY_BYTES_MAX     (3 * HF_LTX_UVARINT_BYTES_MAX)
#define BEHIND_INDEX_BYTES  (HF_LTX_INDEX_LEN_BYTES + HF_LTX_TRAILER_BYTES)

enum hf_code hf_ltx_reader_view(const struct hf_ltx_reader *r, uint64_t offset, size_t len,
                                struct hf_buf *scratch, struct hf_slice *ret, struct hf_err *err)
{
    hf_assert(offset <= r->source->size_bytes && len <= r->source->size_bytes - offset);
    if (offset >= r->tail_offset) {
        *ret = hf_slice(r->tail.ptr + (offset - r->tail_offset), len);
        return HF_OK;
    }
    hf_buf_reset(scratch);
    const enum hf_code rc = r->source->read(r->source, offset, len, scratch, err);

    if (rc != HF_OK)
        return rc;
    hf_assert(scratch->len == len);
    *ret = hf_buf_slice(scratch);
    return HF_OK;
}

static enum hf_code read_tail(struct hf_ltx_reader *r, uint64_t whole_bytes_max, struct hf_err *err)
{
    const uint64_t size = r->source->size_bytes;
    const uint64_t want = size <= whole_bytes_max ? size : HF_LTX_TAIL_BYTES;
    const uint64_t offset = size > want ? size - want : 0;

    const enum hf_code rc =
        r->source->read(r->source, offset, (size_t)(size - offset), &r->tail, err);

    if (rc != HF_OK)
        return rc;
    hf_assert(r->tail.len == size - offset);
    r->tail_offset = offset;
    return HF_OK;
}

static enum hf_code read_header(struct hf_ltx_reader *r, struct hf_err *err)
{
    HF_AUTO_BUF scratch = {0};
    struct hf_slice head;
    enum hf_code rc;

    rc = hf_ltx_reader_view(r, 0, HF_LTX_HEADER_BYTES, &scratch, &head, err);
    if (rc != HF_OK)
        return rc;
    (void)memcpy(r->head, head.ptr, HF_LTX_HEADER_BYTES);
    rc = hf_ltx_header_decode(head, &r->header, err);
    if (rc != HF_OK)
        return hf_err_wrap(err, "%s", r->source->name);
    return HF_OK;
}

/* The trailer's own fields, and where the index must be. */
static enum hf_code parse_tail(struct hf_ltx_reader *r, struct hf_err *err)
{
    const uint64_t size = r->source->size_bytes;
    const uint8_t *end = r->tail.ptr + r->tail.len;

    r->post_sum = hf_get_be64(end - 16);
    r->file_sum = hf_get_be64(end - 8);
    const enum hf_code rc = hf_ltx_trailer_check(&r->header, r->post_sum, r->file_sum, err);

    if (rc != HF_OK)
        return hf_err_wrap(err, "%s", r->source->name);
    const uint64_t room = size - HF_LTX_HEADER_BYTES - HF_LTX_PAGE_HEADER_BYTES -
                          BEHIND_INDEX_BYTES;

    r->index_bytes = hf_get_be64(end - BEHIND_INDEX_BYTES);
    if (r->index_bytes == 0 || r->index_bytes > room)
        return hf_err_set(err, HF_DAMAGE,
                          "%s: page index: length is %" PRIu64 ", expected 1 to %" PRIu64
                          " in a file of %" PRIu64 " bytes",
                          r->source->name, r->index_bytes, room, size);
    r->index_offset = size - BEHIND_INDEX_BYTES - r->index_bytes;
    return HF_OK;
}

static enum hf_code check_end_marker(const struct hf_ltx_reader *r, struct hf_err *err)
{
    static const uint8_t zeros[HF_LTX_PAGE_HEADER_BYTES] = {0};
    const uint64_t offset = r->index_offset - HF_LTX_PAGE_HEADER_BYTES;
    HF_AUTO_BUF scratch = {0};
    struct hf_slice marker;
    const enum hf_code rc = hf_ltx_reader_view(r, offset, sizeof(zeros), &scratch, &marker, err);

    if (rc != HF_OK)
        return rc;
    if (memcmp(marker.ptr, zeros, sizeof(zeros)) != 0)
        return hf_err_set(err, HF_DAMAGE,
                          "%s: end of pages: expected six zero bytes at offset %" PRIu64
                          ", in front of the page index",
                          r->source->name, offset);
    return HF_OK;
}

enum hf_code hf_ltx_open_unchecked(struct hf_source *source, uint64_t whole_bytes_max,
                                   struct hf_ltx_reader **ret_reader, struct hf_err *err)
{
    enum hf_code rc;

    if (source->size_bytes < HF_LTX_BYTES_MIN)
        return hf_err_set(err, HF_DAMAGE,
                          "%s: %" PRIu64 " bytes, but an LTX file has at least %d: it is cut off",
                          source->name, source->size_bytes, HF_LTX_BYTES_MIN);
    HF_AUTO_LTX_READER *r = hf_calloc(1, sizeof(*r));

    r->source = source;
    rc = read_tail(r, whole_bytes_max, err);
    if (rc != HF_OK)
        return rc;
    rc = read_header(r, err);
    if (rc != HF_OK)
        return rc;
    rc = parse_tail(r, err);
    if (rc != HF_OK)
        return rc;
    rc = check_end_marker(r, err);
    if (rc != HF_OK)
        return rc;
    *ret_reader = hf_take_ptr(&r);
    return HF_OK;
}

/* Read the index once, to check it and to note a spot every SPOT_BYTES. */
static enum hf_code scan_index(struct hf_ltx_reader *r, struct hf_err *err)
{
    HF_CLEANUP(hf_ltx_cursor_done) struct hf_ltx_cursor c;
    struct hf_ltx_entry entry;
    uint64_t next_spot = 0;

    hf_ltx_cursor_init(&c, r);
    do {
        if (c.position >= next_spot) {
            const struct hf_ltx_spot spot = {c.position, c.next_offset, c.last};

            hf_buf_append(&r->spots, &spot, sizeof(spot));
            next_spot = c.position + SPOT_BYTES;
        }
        const enum hf_code rc = hf_ltx_index_next(&c, &entry, err);

        if (rc != HF_OK)
            return rc;
    } while (entry.pgno != 0);
    r->pages_count = c.pages_count;
    return HF_OK;
}

enum hf_code hf_ltx_open(struct hf_source *source, struct hf_ltx_reader **ret_reader,
                         struct hf_err *err)
{
    HF_AUTO_LTX_READER *r = NULL;
    enum hf_code rc;

    rc = hf_ltx_open_unchecked(source, HF_LTX_WHOLE_BYTES_MAX, &r, err);
    if (rc != HF_OK)
        return rc;
    rc = scan_index(r, err);
    if (rc != HF_OK)
        return rc;
    *ret_reader = hf_take_ptr(&r);
    return HF_OK;
}

void hf_ltx_reader_free(struct hf_ltx_reader *r)
{
    if (r == NULL)
        return;
    hf_buf_done(&r->tail);
    hf_buf_done(&r->spots);
    hf_free(r);
}

void hf_ltx_reader_free_ptr(struct hf_ltx_reader **r)
{
    hf_ltx_reader_free(*r);
    *r = NULL;
}

const struct hf_ltx_header *hf_ltx_reader_header(const struct hf_ltx_reader *r)
{
    return &r->header;
}

uint64_t hf_ltx_reader_post_sum(const struct hf_ltx_reader *r)
{
    return r->post_sum;
}

uint64_t hf_ltx_reader_pages(const struct hf_ltx_reader *r)
{
    return r->pages_count;
}

void hf_ltx_cursor_init(struct hf_ltx_cursor *c, const struct hf_ltx_reader *r)
{
    *c = (struct hf_ltx_cursor){
        .reader = r,
        .window_bytes = CURSOR_WINDOW_BYTES,
        .next_offset = HF_LTX_HEADER_BYTES,
    };
}

void hf_ltx_cursor_done(struct hf_ltx_cursor *c)
{
    hf_buf_done(&c->scratch);
}

/* CRC of the index up to the cursor. */
static uint64_t crc_so_far(const struct hf_ltx_cursor *c)
{
    return hf_crc64(c->crc, c->window.ptr, c->window.len - c->rest.len);
}

/* Make sure that the next entry, if there is one, lies whole in `rest`. */
static enum hf_code refill(struct hf_ltx_cursor *c, struct hf_err *err)
{
    const uint64_t left = c->reader->index_bytes - c->position;
    const size_t len = left < c->window_bytes ? (size_t)left : c->window_bytes;
    struct hf_slice window;

    if (c->rest.len >= ENTRY_BYTES_MAX || c->rest.len == left)
        return HF_OK;
    const uint64_t crc = crc_so_far(c);
    const enum hf_code rc = hf_ltx_reader_view(c->reader, c->reader->index_offset + c->position,
                                               len, &c->scratch, &window, err);

    if (rc != HF_OK)
        return rc;
    c->crc = crc;
    c->window = window;
    c->rest = window;
    return HF_OK;
}

static enum hf_code check_index_end(struct hf_ltx_cursor *c, struct hf_err *err)
{
    const struct hf_ltx_reader *r = c->reader;
    const uint64_t frames_end = r->index_offset - HF_LTX_PAGE_HEADER_BYTES;

    if (c->position != r->index_bytes)
        return hf_err_set(err, HF_DAMAGE,
                          "page index: ends after %" PRIu64 " bytes, expected %" PRIu64
                          " by its length",
                          c->position, r->index_bytes);
    if (c->next_offset != frames_end)
        return hf_err_set(err, HF_DAMAGE,
                          "page index: frames end at offset %" PRIu64 ", expected %" PRIu64
                          ", where the end of pages is",
                          c->next_offset, frames_end);
    const enum hf_code rc = hf_ltx_order_check_end(&r->header, c->last, err);

    if (rc != HF_OK)
        return hf_err_wrap(err, "page index");
    c->ended = true;
    return HF_OK;
}

static enum hf_code check_entry(const struct hf_ltx_cursor *c, uint64_t pgno, uint64_t offset,
                                uint64_t frame_bytes, struct hf_err *err)
{
    const struct hf_ltx_reader *r = c->reader;
    const uint64_t left = r->index_offset - HF_LTX_PAGE_HEADER_BYTES - c->next_offset;
    const uint32_t bytes_max = hf_ltx_frame_bytes_max(r->header.page_bytes);
    const enum hf_code rc = hf_ltx_order_check(&r->header, c->last, pgno, err);

    if (rc != HF_OK)
        return hf_err_wrap(err, "page index");
    if (offset != c->next_offset)
        return hf_err_set(err, HF_DAMAGE,
                          "page index: page %" PRIu64 " at offset %" PRIu64 ", expected %" PRIu64
                          ", where the frame before it ends",
                          pgno, offset, c->next_offset);
    if (frame_bytes < HF_LTX_FRAME_BYTES_MIN || frame_bytes > bytes_max)
        return hf_err_set(err, HF_DAMAGE,
                          "page index: page %" PRIu64 " has a frame of %" PRIu64
                          " bytes, expected %d to %" PRIu32,
                          pgno, frame_bytes, HF_LTX_FRAME_BYTES_MIN, bytes_max);
    if (frame_bytes > left)
        return hf_err_set(err, HF_DAMAGE,
                          "page index: page %" PRIu64 " has a frame of %" PRIu64
                          " bytes, but %" PRIu64 " are left before the end of pages",
                          pgno, frame_bytes, left);
    return HF_OK;
}

/* Take the next entry, or the terminator, out of `rest`. */
static enum hf_code parse_entry(struct hf_ltx_cursor *c, struct hf_ltx_entry *ret,
                                struct hf_err *err)
{
    struct hf_slice rest = c->rest;
    uint64_t pgno = 0;
    uint64_t offset = 0;
    uint64_t frame_bytes = 0;

    if (!hf_ltx_uvarint_take(&rest, &pgno) ||
        (pgno != 0 &&
         (!hf_ltx_uvarint_take(&rest, &offset) || !hf_ltx_uvarint_take(&rest, &frame_bytes))))
        return hf_err_set(err, HF_DAMAGE,
                          "page index: entry behind page %" PRIu32
                          " is cut off or holds a malformed integer",
                          c->last);
    c->position += c->rest.len - rest.len;
    c->rest = rest;
    if (pgno == 0) {
        *ret = (struct hf_ltx_entry){.pgno = 0};
        return check_index_end(c, err);
    }
    const enum hf_code rc = check_entry(c, pgno, offset, frame_bytes, err);

    if (rc != HF_OK)
        return rc;
    *ret = (struct hf_ltx_entry){(uint32_t)pgno, (uint32_t)frame_bytes, offset};
    c->last = ret->pgno;
    c->next_offset = offset + frame_bytes;
    c->pages_count++;
    return HF_OK;
}

enum hf_code hf_ltx_index_next(struct hf_ltx_cursor *c, struct hf_ltx_entry *ret,
                               struct hf_err *err)
{
    struct hf_ltx_entry entry = {0};
    enum hf_code rc;

    if (c->ended) {
        *ret = entry;
        return HF_OK;
    }
    rc = refill(c, err);
    if (rc != HF_OK)
        return rc;
    rc = parse_entry(c, &entry, err);
    if (rc != HF_OK)
        return hf_err_wrap(err, "%s", c->reader->source->name);
    *ret = entry;
    return HF_OK;
}

/* The last spot in front of page `pgno`. */
static struct hf_ltx_spot spot_before(const struct hf_ltx_reader *r, uint32_t pgno)
{
    const struct hf_ltx_spot *spots = (const struct hf_ltx_spot *)(const void *)r->spots.ptr;
    size_t low = 0;
    size_t high = r->spots.len / sizeof(*spots);

    hf_assert(high > 0 && spots[0].last < pgno);
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;

        if (spots[middle].last < pgno)
            low = middle;
        else
            high = middle;
    }
    return spots[low];
}

enum hf_code hf_ltx_find(const struct hf_ltx_reader *r, uint32_t pgno, struct hf_ltx_entry *ret,
                         struct hf_err *err)
{
    HF_CLEANUP(hf_ltx_cursor_done) struct hf_ltx_cursor c;
    struct hf_ltx_entry entry;

    hf_ltx_cursor_init(&c, r);
    if (pgno == 0)
        return hf_err_set(err, HF_NOT_FOUND, "%s: there is no page 0", r->source->name);
    const struct hf_ltx_spot spot = spot_before(r, pgno);

    c.position = spot.position;
    c.next_offset = spot.next_offset;
    c.last = spot.last;
    c.window_bytes = SPOT_BYTES;
    do {
        const enum hf_code rc = hf_ltx_index_next(&c, &entry, err);

        if (rc != HF_OK)
            return rc;
    } while (entry.pgno != 0 && entry.pgno < pgno);
    if (entry.pgno != pgno)
        return hf_err_set(err, HF_NOT_FOUND, "%s: does not carry page %" PRIu32, r->source->name,
                          pgno);
    *ret = entry;
    return HF_OK;
}

enum hf_code hf_ltx_read_page(const struct hf_ltx_reader *r, const struct hf_ltx_entry *entry,
                              struct hf_buf *ret, struct hf_err *err)
{
    const uint32_t page_bytes = r->header.page_bytes;
    HF_CLEANUP(hf_ltx_unpacker_done) struct hf_ltx_unpacker unpacker = {0};
    HF_AUTO_BUF scratch = {0};
    struct hf_slice frame;
    enum hf_code rc;

    rc = hf_ltx_reader_view(r, entry->offset, entry->frame_bytes, &scratch, &frame, err);
    if (rc != HF_OK)
        return rc;
    uint8_t *page = hf_buf_reserve(ret, page_bytes);

    rc = hf_ltx_frame_unpack(&unpacker, frame, entry->pgno, page_bytes, page, err);
    if (rc != HF_OK)
        return hf_err_wrap(err, "%s", r->source->name);
    ret->len += page_bytes;
    return HF_OK;
}

enum hf_code hf_ltx_reader_check_sum(const struct hf_ltx_reader *r, const struct hf_ltx_cursor *c,
                                     uint64_t crc, uint64_t crc_bytes, struct hf_err *err)
{
    static const uint8_t end_marker[HF_LTX_PAGE_HEADER_BYTES] = {0};
    uint8_t behind[HF_LTX_INDEX_LEN_BYTES + sizeof(uint64_t)];
    uint64_t sum = hf_crc64(0, r->head, sizeof(r->head));

    hf_assert(c->ended);
    hf_put_be64(behind, r->index_bytes);
    hf_put_be64(behind + HF_LTX_INDEX_LEN_BYTES, r->post_sum);
    sum = hf_crc64_combine(sum, crc, crc_bytes);
    sum = hf_crc64(sum, end_marker, sizeof(end_marker));
    sum = hf_crc64_combine(sum, crc_so_far(c), r->index_bytes);
    sum = HF_LTX_SUM_FLAG | hf_crc64(sum, behind, sizeof(behind));
    if (sum != r->file_sum)
        return hf_err_set(err, HF_DAMAGE,
                          "%s: trailer: FileChecksum is %016" PRIx64
                          ", but the contents give "
                          "%016" PRIx64,
                          r->source->name, r->file_sum, sum);
    return HF_OK;
}

enum hf_code hf_ltx_reader_check_post(const struct hf_ltx_reader *r, uint64_t sum,
                                      struct hf_err *err)
{
    if (!hf_ltx_is_snapshot(&r->header) || !hf_ltx_has_sums(&r->header) || sum == r->post_sum)
        return HF_OK;
    return hf_err_set(err, HF_DAMAGE,
                      "%s: trailer: PostApplyChecksum is %016" PRIx64
                      ", but the snapshot's pages give %016" PRIx64,
                      r->source->name, r->post_sum, sum);
}
