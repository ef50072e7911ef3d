/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ltx_merge.c - several consecutive LTX files become one.
 *
 * Every input stands at its next page, unpacked; in each step the smallest page number is taken
 * from the newest input that has it, and all inputs that have it move on. So every frame of every
 * input is unpacked and goes through its file's checksum, whether its page is used or not.
 *
 * Invariants
 * 1. An input whose entry.pgno is not 0 holds that page's frame in `frame` and its bytes in `page`.
 * 2. An input whose entry.pgno is 0 has come to its end, and its checksums were right.
 */
#include "engine/sqlite/ltx/ltx_merge.h"

#include <inttypes.h>

#include "base/alloc.h"
#include "base/check.h"
#include "engine/sqlite/ltx/ltx_frame.h"
#include "engine/sqlite/ltx/ltx_reader_priv.h"
#include "engine/sqlite/ltx/ltx_writer.h"

#define INDEX_WINDOW_BYTES (64 * 1024)
#define BATCH_BYTES_MAX    (256 * 1024) /* packed before they are written */

struct input {
    struct hf_ltx_reader *reader;
    struct hf_ltx_cursor cursor;
    struct hf_ltx_entry entry; /* where this input stands */
    struct hf_slice frame;
    struct hf_buf page;
    struct hf_buf scratch;  /* a fetched window ... */
    struct hf_slice window; /* ... or a view of it in the reader */
    uint64_t window_offset; /* in the file */
    struct hf_ltx_unpacker unpacker;
    uint64_t crc; /* as in hf_ltx_reader_check_sum() */
    uint64_t crc_bytes;
    uint64_t sum; /* of the pages so far */
};

struct merging {
    struct input *inputs;
    size_t inputs_count;
    struct hf_ltx_header header; /* of the output */
    struct hf_ltx_writer *writer;
    struct hf_ltx_batch batch;
};

/* The bytes of the entry's frame, from the window or from a new one that begins with it. */
static enum hf_code view_frame(struct input *in, struct hf_err *err)
{
    const struct hf_ltx_entry *e = &in->entry;
    const uint64_t left = in->reader->index_offset - e->offset;
    const size_t len = left < HF_LTX_MERGE_WINDOW ? (size_t)left : HF_LTX_MERGE_WINDOW;

    hf_assert(e->frame_bytes <= len);
    if (e->offset + e->frame_bytes > in->window_offset + in->window.len) {
        const enum hf_code rc =
            hf_ltx_reader_view(in->reader, e->offset, len, &in->scratch, &in->window, err);

        if (rc != HF_OK)
            return rc;
        in->window_offset = e->offset;
    }
    in->frame = hf_slice(in->window.ptr + (e->offset - in->window_offset), e->frame_bytes);
    return HF_OK;
}

static enum hf_code take_frame(struct input *in, struct hf_err *err)
{
    const struct hf_slice page = hf_buf_slice(&in->page);
    enum hf_code rc;

    rc = view_frame(in, err);
    if (rc != HF_OK)
        return rc;
    rc = hf_ltx_frame_unpack(&in->unpacker, in->frame, in->entry.pgno, (uint32_t)page.len,
                             in->page.ptr, err);
    if (rc != HF_OK)
        return hf_err_wrap(err, "%s", in->reader->source->name);
    const struct hf_slice prefix = hf_ltx_frame_prefix(in->frame);

    in->crc = hf_crc64(hf_crc64(in->crc, prefix.ptr, prefix.len), page.ptr, page.len);
    in->crc_bytes += prefix.len + page.len;
    if (hf_ltx_is_snapshot(&in->reader->header))
        in->sum = hf_ltx_sum_toggle(in->sum, hf_ltx_page_sum(in->entry.pgno, page));
    return HF_OK;
}

/* Move to the next page, or verify the file at its end. */
static enum hf_code advance(struct input *in, struct hf_err *err)
{
    enum hf_code rc;

    rc = hf_ltx_index_next(&in->cursor, &in->entry, err);
    if (rc != HF_OK)
        return rc;
    if (in->entry.pgno != 0)
        return take_frame(in, err);
    rc = hf_ltx_reader_check_sum(in->reader, &in->cursor, in->crc, in->crc_bytes, err);
    if (rc != HF_OK)
        return rc;
    return hf_ltx_reader_check_post(in->reader, in->sum, err);
}

static enum hf_code open_input(struct input *in, struct hf_source *source, struct hf_err *err)
{
    const enum hf_code rc = hf_ltx_open_unchecked(source, HF_LTX_MERGE_WHOLE_MAX, &in->reader, err);

    if (rc != HF_OK)
        return rc;
    hf_ltx_cursor_init(&in->cursor, in->reader);
    in->cursor.window_bytes = INDEX_WINDOW_BYTES;
    (void)hf_buf_extend(&in->page, in->reader->header.page_bytes);
    in->sum = HF_LTX_SUM_EMPTY;
    return HF_OK;
}

static void close_input(struct input *in)
{
    hf_ltx_reader_free(in->reader);
    hf_ltx_cursor_done(&in->cursor);
    hf_buf_done(&in->page);
    hf_buf_done(&in->scratch);
    hf_ltx_unpacker_done(&in->unpacker);
}

static void merging_done(struct merging *m)
{
    for (size_t i = 0; i < m->inputs_count; i++)
        close_input(&m->inputs[i]);
    hf_free(m->inputs);
    hf_ltx_writer_free(m->writer);
    hf_ltx_batch_done(&m->batch);
}

/* `next` may follow `prev`. */
static enum hf_code check_neighbours(const struct hf_ltx_reader *prev,
                                     const struct hf_ltx_reader *next, struct hf_err *err)
{
    const struct hf_ltx_header *p = &prev->header;
    const struct hf_ltx_header *n = &next->header;
    const char *prev_name = prev->source->name;
    const char *next_name = next->source->name;

    if (p->page_bytes != n->page_bytes)
        return hf_err_set(err, HF_USAGE,
                          "%s has pages of %" PRIu32 " bytes, %s of %" PRIu32
                          ": they are of different lineages",
                          prev_name, p->page_bytes, next_name, n->page_bytes);
    if (n->min_txid > p->max_txid && n->min_txid - p->max_txid > 1)
        return hf_err_set(err, HF_HOLE,
                          "TXIDs %" PRIu64 " to %" PRIu64 " are missing between %s and %s",
                          p->max_txid + 1, n->min_txid - 1, prev_name, next_name);
    if (n->max_txid <= p->max_txid || n->min_txid < p->min_txid)
        return hf_err_set(err, HF_USAGE,
                          "%s (TXID %" PRIu64 " to %" PRIu64
                          ") does not lead on from %s (TXID %" PRIu64 " to %" PRIu64 ")",
                          next_name, n->min_txid, n->max_txid, prev_name, p->min_txid, p->max_txid);
    if (n->min_txid == p->max_txid + 1 && hf_ltx_has_sums(p) && hf_ltx_has_sums(n) &&
        n->pre_sum != prev->post_sum)
        return hf_err_set(err, HF_DAMAGE,
                          "%s begins at checksum %016" PRIx64 ", but %s ends at %016" PRIx64
                          ": they do not chain",
                          next_name, n->pre_sum, prev_name, prev->post_sum);
    return HF_OK;
}

static enum hf_code open_inputs(struct merging *m, struct hf_source *const *inputs,
                                struct hf_err *err)
{
    for (size_t i = 0; i < m->inputs_count; i++) {
        enum hf_code rc;

        rc = open_input(&m->inputs[i], inputs[i], err);
        if (rc != HF_OK)
            return rc;
        if (i == 0)
            continue;
        rc = check_neighbours(m->inputs[i - 1].reader, m->inputs[i].reader, err);
        if (rc != HF_OK)
            return rc;
    }
    return HF_OK;
}

static void make_header(struct merging *m, uint64_t node_id)
{
    const struct hf_ltx_header *first = &m->inputs[0].reader->header;
    const struct hf_ltx_header *last = &m->inputs[m->inputs_count - 1].reader->header;
    const bool tracked = hf_ltx_is_snapshot(first) ||
                         (hf_ltx_has_sums(first) && hf_ltx_has_sums(last));

    m->header = (struct hf_ltx_header){
        .flags = tracked ? 0 : HF_LTX_NO_CHECKSUM,
        .page_bytes = first->page_bytes,
        .commit = last->commit,
        .min_txid = first->min_txid,
        .max_txid = last->max_txid,
        .timestamp_ms = last->timestamp_ms,
        .pre_sum = tracked ? first->pre_sum : 0,
        .node_id = node_id,
        .format = last->format,
        .root = last->root,
    };
    for (size_t i = 0; i < m->inputs_count && m->header.format != 0; i++) {
        m->header.catchup = m->header.catchup || m->inputs[i].reader->header.catchup;
        m->header.clamped = m->header.clamped || m->inputs[i].reader->header.clamped;
    }
}

/* Say which merge the writer's words are about. */
static enum hf_code wrap(const struct merging *m, struct hf_err *err)
{
    return hf_err_wrap(err, "merging TXIDs %" PRIu64 " to %" PRIu64, m->header.min_txid,
                       m->header.max_txid);
}

static enum hf_code put_batch(struct merging *m, struct hf_err *err)
{
    const enum hf_code rc = hf_ltx_writer_batch(m->writer, &m->batch, err);

    if (rc != HF_OK)
        return wrap(m, err);
    hf_ltx_batch_reset(&m->batch);
    return HF_OK;
}

static enum hf_code put_page(struct merging *m, const struct input *in, struct hf_err *err)
{
    const struct hf_slice page = hf_buf_slice(&in->page);

    if (in->entry.pgno > m->header.commit)
        return HF_OK;
    if (hf_ltx_frame_is_block(in->frame))
        hf_ltx_pack_frame(&m->batch, in->frame, page);
    else
        hf_ltx_pack(&m->batch, in->entry.pgno, page);
    return m->batch.frames.len < BATCH_BYTES_MAX ? HF_OK : put_batch(m, err);
}

/* The newest input that stands at the smallest page number; NULL if all have come to their end. */
static const struct input *newest_of_smallest(const struct merging *m)
{
    const struct input *found = NULL;

    for (size_t i = 0; i < m->inputs_count; i++) {
        const struct input *in = &m->inputs[i];

        if (in->entry.pgno != 0 && (found == NULL || in->entry.pgno <= found->entry.pgno))
            found = in;
    }
    return found;
}

static enum hf_code advance_all_at(struct merging *m, uint32_t pgno, struct hf_err *err)
{
    for (size_t i = 0; i < m->inputs_count; i++) {
        if (m->inputs[i].entry.pgno != pgno)
            continue;
        const enum hf_code rc = advance(&m->inputs[i], err);

        if (rc != HF_OK)
            return rc;
    }
    return HF_OK;
}

static enum hf_code merge_pages(struct merging *m, struct hf_err *err)
{
    const struct input *in;
    enum hf_code rc;

    rc = advance_all_at(m, 0, err); /* all inputs: none stands at a page yet */
    if (rc != HF_OK)
        return rc;
    while ((in = newest_of_smallest(m)) != NULL) {
        rc = put_page(m, in, err);
        if (rc != HF_OK)
            return rc;
        rc = advance_all_at(m, in->entry.pgno, err);
        if (rc != HF_OK)
            return rc;
    }
    return put_batch(m, err);
}

/* The database's checksum after the output. The writer compares it with a snapshot's pages. */
static uint64_t choose_post(const struct merging *m)
{
    const struct hf_ltx_reader *last = m->inputs[m->inputs_count - 1].reader;

    if (!hf_ltx_has_sums(&m->header))
        return 0;
    return hf_ltx_has_sums(&last->header) ? last->post_sum : hf_ltx_writer_sum(m->writer);
}

static enum hf_code merge(struct merging *m, struct hf_sink *sink, struct hf_err *err)
{
    enum hf_code rc;

    hf_ltx_batch_init(&m->batch, m->header.page_bytes);
    rc = hf_ltx_writer_new(sink, &m->header, &m->writer, err);
    if (rc != HF_OK)
        return rc;
    rc = merge_pages(m, err);
    if (rc != HF_OK)
        return rc;
    rc = hf_ltx_writer_finish(m->writer, choose_post(m), err);
    return rc == HF_OK ? HF_OK : wrap(m, err);
}

enum hf_code hf_ltx_merge(struct hf_source *const *inputs, size_t inputs_count, uint64_t node_id,
                          struct hf_sink *sink, struct hf_ltx_header *ret_header,
                          struct hf_err *err)
{
    enum hf_code rc;

    if (inputs_count == 0 || inputs_count > HF_LTX_MERGE_INPUTS_MAX)
        return hf_err_set(err, HF_USAGE, "merging %zu segments, expected 1 to %d", inputs_count,
                          HF_LTX_MERGE_INPUTS_MAX);
    HF_CLEANUP(merging_done)
    struct merging m = {.inputs = hf_calloc(inputs_count, sizeof(*m.inputs)),
                        .inputs_count = inputs_count};

    rc = open_inputs(&m, inputs, err);
    if (rc != HF_OK)
        return rc;
    make_header(&m, node_id);
    rc = merge(&m, sink, err);
    if (rc != HF_OK)
        return rc;
    if (ret_header != NULL)
        *ret_header = m.header;
    return HF_OK;
}
