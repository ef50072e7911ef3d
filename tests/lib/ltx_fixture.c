/* SPDX-License-Identifier: Apache-2.0 */
/* ltx_fixture.c - source, sink, model and plain encoder for the tests of the LTX codec. */
#include "lib/ltx_fixture.h"

#include <stdio.h>

#include <lz4frame.h>

#include "base/bytes.h"
#include "base/fs.h"
#include "engine/sqlite/ltx/ltx_writer.h"

static enum hf_code source_read(struct hf_source *base, uint64_t offset, size_t len,
                                struct hf_buf *ret, struct hf_err *err)
{
    struct test_source *s = (struct test_source *)base;
    const unsigned nth = atomic_fetch_add(&s->reads_count, 1) + 1;

    (void)atomic_fetch_add(&s->bytes_read, len);
    if (nth == s->fail_at)
        return hf_err_set(err, HF_TRANSIENT, "%s: read %u fails", base->name, nth);
    if (offset > s->data.len || len > s->data.len - offset)
        return hf_err_set(err, HF_DAMAGE, "%s: shorter than it should be", base->name);
    hf_buf_append(ret, s->data.ptr + offset, len);
    return HF_OK;
}

void test_source_init(struct test_source *s, struct hf_slice data, const char *name)
{
    (void)memset(s, 0, sizeof(*s));
    s->base = (struct hf_source){.read = source_read, .size_bytes = data.len, .name = name};
    s->data = data;
}

static enum hf_code sink_write(struct hf_sink *base, struct hf_slice data, struct hf_err *err)
{
    struct test_sink *s = (struct test_sink *)base;

    s->writes_count++;
    if (s->writes_count == s->fail_at)
        return hf_err_set(err, HF_TRANSIENT, "write %u fails", s->writes_count);
    hf_buf_append(&s->bytes, data.ptr, data.len);
    return HF_OK;
}

void test_sink_init(struct test_sink *s)
{
    *s = (struct test_sink){.base = {.write = sink_write}};
}

void test_sink_done(struct test_sink *s)
{
    hf_buf_done(&s->bytes);
}

void test_page_fill(struct hf_rand *r, uint32_t pgno, uint8_t *page, uint32_t page_bytes)
{
    const uint64_t kind = hf_rand_below(r, 3);

    for (uint32_t i = 0; i < page_bytes; i += 8) {
        const uint64_t noise = hf_rand_u64(r);

        hf_put_be64(page + i, kind == 0   ? 0
                              : kind == 1 ? UINT64_C(0x6162636465666768) + noise % 3
                                          : noise);
    }
    hf_put_be64(page, hf_rand_u64(r));
    hf_put_be32(page, pgno);
}

void test_frame_literal(struct hf_buf *dst, uint32_t pgno, struct hf_slice page)
{
    size_t rest = page.len - 15;
    const size_t begin = dst->len;

    hf_put_be32(hf_buf_extend(dst, 4), pgno);
    hf_put_be16(hf_buf_extend(dst, 2), 1);
    (void)hf_buf_extend(dst, 4);
    *hf_buf_extend(dst, 1) = 0xf0; /* 15 literals and more, no match */
    for (; rest >= 255; rest -= 255)
        *hf_buf_extend(dst, 1) = 255;
    *hf_buf_extend(dst, 1) = (uint8_t)rest;
    hf_buf_append(dst, page.ptr, page.len);
    hf_put_be32(dst->ptr + begin + 6, (uint32_t)(dst->len - begin - 10));
}

void test_frame_v2(struct hf_buf *dst, uint32_t pgno, struct hf_slice page)
{
    const LZ4F_preferences_t prefs = {
        .frameInfo = {.contentChecksumFlag = LZ4F_contentChecksumEnabled}};
    const size_t bound = LZ4F_compressFrameBound(page.len, &prefs);

    hf_put_be32(hf_buf_extend(dst, 4), pgno);
    hf_put_be16(hf_buf_extend(dst, 2), 0);
    const size_t len =
        LZ4F_compressFrame(hf_buf_reserve(dst, bound), bound, page.ptr, page.len, &prefs);

    assert_false(LZ4F_isError(len));
    dst->len += len;
}

void test_raw_begin(struct test_raw *raw, const struct hf_ltx_header *h)
{
    struct hf_err err;

    *raw = (struct test_raw){.header = *h, .sum = HF_LTX_SUM_EMPTY};
    hf_must(hf_ltx_header_encode(h, hf_buf_extend(&raw->file, HF_LTX_HEADER_BYTES), &err), &err);
    raw->crc = hf_crc64(0, raw->file.ptr, raw->file.len);
}

static void add_uvarint(struct hf_buf *dst, uint64_t v)
{
    for (; v >= 128; v /= 128)
        *hf_buf_extend(dst, 1) = (uint8_t)(v % 128 + 128);
    *hf_buf_extend(dst, 1) = (uint8_t)v;
}

void test_raw_entry(struct test_raw *raw, uint64_t pgno, uint64_t offset, uint64_t len)
{
    add_uvarint(&raw->index, pgno);
    add_uvarint(&raw->index, offset);
    add_uvarint(&raw->index, len);
}

void test_raw_frame(struct test_raw *raw, uint32_t pgno, struct hf_slice frame,
                    struct hf_slice page)
{
    const size_t prefix = frame.ptr[5] == 1 ? 10 : 6;

    test_raw_entry(raw, pgno, raw->file.len, frame.len);
    raw->crc = hf_crc64(hf_crc64(raw->crc, frame.ptr, prefix), page.ptr, page.len);
    raw->sum = (raw->sum ^ hf_ltx_page_sum(pgno, page)) | HF_LTX_SUM_FLAG;
    hf_buf_append(&raw->file, frame.ptr, frame.len);
}

void test_raw_end(struct test_raw *raw, uint64_t post_sum)
{
    const size_t begin = raw->file.len;

    (void)memset(hf_buf_extend(&raw->file, 6), 0, 6);
    hf_buf_append(&raw->file, raw->index.ptr, raw->index.len);
    *hf_buf_extend(&raw->file, 1) = 0;
    hf_put_be64(hf_buf_extend(&raw->file, 8), raw->index.len + 1);
    hf_put_be64(hf_buf_extend(&raw->file, 8), post_sum);
    raw->crc = hf_crc64(raw->crc, raw->file.ptr + begin, raw->file.len - begin);
    hf_put_be64(hf_buf_extend(&raw->file, 8), raw->crc | HF_LTX_SUM_FLAG);
}

void test_raw_done(struct test_raw *raw)
{
    hf_buf_done(&raw->file);
    hf_buf_done(&raw->index);
}

struct hf_ltx_header test_header(uint32_t page_bytes, uint32_t commit)
{
    return (struct hf_ltx_header){
        .page_bytes = page_bytes,
        .commit = commit,
        .min_txid = 1,
        .max_txid = 1,
        .timestamp_ms = 1767225600000,
    };
}

void test_db_init(struct test_db *db, uint32_t page_bytes, uint32_t pages_max)
{
    *db = (struct test_db){.page_bytes = page_bytes, .commit = pages_max, .pages_max = pages_max};
    db->pages = hf_calloc((size_t)pages_max + 1, sizeof(*db->pages));
}

void test_db_done(struct test_db *db)
{
    for (uint32_t pgno = 1; pgno <= db->pages_max; pgno++)
        hf_free(db->pages[pgno]);
    hf_free(db->pages);
}

void test_db_put(struct test_db *db, uint32_t pgno, const uint8_t *page)
{
    assert_true(pgno >= 1 && pgno <= db->pages_max);
    if (db->pages[pgno] == NULL)
        db->pages[pgno] = hf_malloc(db->page_bytes);
    (void)memcpy(db->pages[pgno], page, db->page_bytes);
}

void test_db_drop(struct test_db *db, uint32_t pgno)
{
    hf_free(db->pages[pgno]);
    db->pages[pgno] = NULL;
}

uint64_t test_db_sum(const struct test_db *db)
{
    uint64_t sum = 0;

    for (uint32_t pgno = 1; pgno <= db->commit; pgno++)
        if (db->pages[pgno] != NULL)
            sum ^= hf_ltx_page_sum(pgno, hf_slice(db->pages[pgno], db->page_bytes));
    return sum | HF_LTX_SUM_FLAG;
}

void test_db_write(const struct test_db *db, const struct hf_ltx_header *h, uint64_t post_sum,
                   struct test_sink *sink)
{
    HF_AUTO_LTX_WRITER *w = NULL;
    struct hf_err err;

    hf_must(hf_ltx_writer_new(&sink->base, h, &w, &err), &err);
    for (uint32_t pgno = 1; pgno <= db->pages_max; pgno++)
        if (db->pages[pgno] != NULL)
            hf_must(hf_ltx_writer_page(w, pgno, hf_slice(db->pages[pgno], db->page_bytes), &err),
                    &err);
    hf_must(hf_ltx_writer_finish(w, post_sum, &err), &err);
    assert_int_equal(hf_ltx_writer_bytes(w), sink->bytes.len);
}

void test_db_assert_equal(const struct test_db *a, const struct test_db *b)
{
    assert_int_equal(a->page_bytes, b->page_bytes);
    assert_int_equal(a->pages_max, b->pages_max);
    for (uint32_t pgno = 1; pgno <= a->pages_max; pgno++) {
        if ((a->pages[pgno] == NULL) != (b->pages[pgno] == NULL))
            fail_msg("page %u is in one of them only", pgno);
        if (a->pages[pgno] != NULL)
            assert_memory_equal(a->pages[pgno], b->pages[pgno], a->page_bytes);
    }
}

static enum hf_code put_visited(struct test_db *db, uint32_t pgno, struct hf_slice page,
                                uint64_t page_sum, struct hf_err *err)
{
    if (pgno == 0 || pgno > db->pages_max || db->pages[pgno] != NULL)
        return hf_err_set(err, HF_USAGE, "visited page %u twice or out of range", pgno);
    /* Pages have a slot each, so threads do not meet here. */
    db->pages[pgno] = hf_malloc(page.len);
    (void)memcpy(db->pages[pgno], page.ptr, page.len);
    if (page_sum != hf_ltx_page_sum(pgno, page))
        return hf_err_set(err, HF_USAGE, "page %u with another page's sum", pgno);
    return page.len == db->page_bytes ? HF_OK
                                      : hf_err_set(err, HF_USAGE, "page of %zu bytes", page.len);
}

enum hf_code test_db_visit(void *ctx, const struct hf_ltx_run *run, struct hf_err *err)
{
    if (run->pages.len > HF_LTX_RUN_BYTES || (uintptr_t)run->pages.ptr % HF_BULK_ALIGN != 0)
        return hf_err_set(err, HF_USAGE, "a run of %zu bytes", run->pages.len);
    for (uint32_t i = 0; i < run->count; i++) {
        const enum hf_code rc =
            put_visited(ctx, run->first_pgno + i, hf_ltx_run_page(run, i), run->page_sums[i], err);

        if (rc != HF_OK)
            return rc;
    }
    return HF_OK;
}
