/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: the writer makes exactly the bytes the format describes, and never a malformed file.
 * Method: the published file of 1190 bytes, spelled out here by hand; the fixture's plain encoder
 * as oracle for any other file; tables of what must be refused; a sink that fails at each write.
 */
#include "engine/sqlite/ltx/ltx_writer.h"

#include "base/bytes.h"
#include "engine/sqlite/ltx/ltx_reader.h"
#include "lib/ltx_fixture.h"

/* The two pages of the published vectors. */
static void vector_pages(uint8_t first[512], uint8_t second[512])
{
    for (size_t i = 0; i < 512; i++)
        first[i] = (uint8_t)i;
    (void)memset(second, 0, 512);
}

/* The published file, byte by byte: 1190 of them. */
static void expect_vector(struct hf_buf *file, uint32_t flags, uint64_t post_sum, uint64_t file_sum)
{
    static const uint8_t index[] = {0x01, 0x64, 0x8d, 0x04, 0x02, 0xf1, 0x04, 0x8d, 0x04, 0x00};
    uint8_t pages[2][512];
    uint8_t header[100] = {'L', 'T', 'X', '1'};

    vector_pages(pages[0], pages[1]);
    hf_put_be32(header + 4, flags);
    hf_put_be32(header + 8, 512);
    hf_put_be32(header + 12, 2);
    hf_put_be64(header + 16, 1);
    hf_put_be64(header + 24, 1);
    hf_put_be64(header + 32, 1767225600000);
    hf_buf_append(file, header, sizeof(header));
    for (uint32_t i = 0; i < 2; i++) {
        uint8_t frame_header[13] = {0, 0, 0, (uint8_t)(i + 1), 0, 1, 0, 0, 2, 3, 0xf0, 0xff, 0xf2};

        hf_buf_append(file, frame_header, sizeof(frame_header));
        hf_buf_append(file, pages[i], 512);
    }
    (void)memset(hf_buf_extend(file, 6), 0, 6);
    hf_buf_append(file, index, sizeof(index));
    hf_put_be64(hf_buf_extend(file, 8), 10);
    hf_put_be64(hf_buf_extend(file, 8), post_sum);
    hf_put_be64(hf_buf_extend(file, 8), file_sum);
    assert_int_equal(file->len, 1190);
}

static void the_published_file_is_written_byte_for_byte(void **state)
{
    static const struct {
        uint32_t flags;
        uint64_t post_sum;
        uint64_t file_sum;
    } cases[] = {
        {HF_LTX_NO_CHECKSUM, 0, 0x9b70b74c1974b362},
        {0, 0xa992da1927bb5c9f, 0xfe8a6418a3db87e0},
    };
    uint8_t pages[2][512];

    (void)state;
    vector_pages(pages[0], pages[1]);
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        HF_CLEANUP(test_sink_done) struct test_sink sink;
        HF_CLEANUP(hf_ltx_batch_done) struct hf_ltx_batch batch;
        HF_AUTO_LTX_WRITER *w = NULL;
        HF_AUTO_BUF want = {0};
        struct hf_ltx_header h = test_header(512, 2);
        struct hf_err err;

        h.flags = cases[i].flags;
        test_sink_init(&sink);
        hf_ltx_batch_init(&batch, 512);
        for (uint32_t p = 0; p < 2; p++) {
            HF_AUTO_BUF frame = {0};

            test_frame_literal(&frame, p + 1, hf_slice(pages[p], 512));
            hf_ltx_pack_frame(&batch, hf_buf_slice(&frame), hf_slice(pages[p], 512));
        }
        hf_must(hf_ltx_writer_new(&sink.base, &h, &w, &err), &err);
        hf_must(hf_ltx_writer_batch(w, &batch, &err), &err);
        hf_must(hf_ltx_writer_finish(w, cases[i].post_sum, &err), &err);
        expect_vector(&want, cases[i].flags, cases[i].post_sum, cases[i].file_sum);
        assert_int_equal(sink.bytes.len, want.len);
        assert_memory_equal(sink.bytes.ptr, want.ptr, want.len);
    }
}

/* Any file of ours, made anew by the plain encoder from its own frames. */
static void the_plain_encoder_makes_the_same_bytes(void **state)
{
    struct hf_rand r = hf_rand_seeded(3);

    (void)state;
    for (uint32_t page_bytes = 512; page_bytes <= 65536; page_bytes *= 2) {
        HF_CLEANUP(test_sink_done) struct test_sink sink;
        HF_CLEANUP(test_db_done) struct test_db db;
        HF_CLEANUP(test_raw_done) struct test_raw raw;
        HF_CLEANUP(hf_ltx_batch_done) struct hf_ltx_batch batch;
        HF_AUTO_FREE uint8_t *page = hf_malloc(page_bytes);
        const struct hf_ltx_header h = test_header(page_bytes, 9);

        test_sink_init(&sink);
        test_db_init(&db, page_bytes, 9);
        test_raw_begin(&raw, &h);
        for (uint32_t pgno = 1; pgno <= 9; pgno++) {
            test_page_fill(&r, pgno, page, page_bytes);
            test_db_put(&db, pgno, page);
            hf_ltx_batch_init(&batch, page_bytes);
            hf_ltx_pack(&batch, pgno, hf_slice(page, page_bytes));
            test_raw_frame(&raw, pgno, hf_buf_slice(&batch.frames), hf_slice(page, page_bytes));
            assert_int_equal(hf_ltx_batch_packed(&batch, 0)->page_sum,
                             hf_ltx_page_sum(pgno, hf_slice(page, page_bytes)));
            hf_ltx_batch_done(&batch);
        }
        hf_ltx_batch_init(&batch, page_bytes);
        test_raw_end(&raw, raw.sum);
        test_db_write(&db, &h, test_db_sum(&db), &sink);
        assert_int_equal(sink.bytes.len, raw.file.len);
        assert_memory_equal(sink.bytes.ptr, raw.file.ptr, raw.file.len);
    }
}

/* Pages given singly and in batches of random sizes, mixed, make the same file. */
static void batches_and_single_pages_make_the_same_file(void **state)
{
    struct hf_rand r = hf_rand_seeded(4);
    HF_CLEANUP(test_sink_done) struct test_sink singly;
    HF_CLEANUP(test_sink_done) struct test_sink mixed;
    HF_CLEANUP(test_db_done) struct test_db db;
    HF_AUTO_LTX_WRITER *w = NULL;
    const struct hf_ltx_header h = test_header(4096, 500);
    uint8_t page[4096];
    struct hf_err err;

    (void)state;
    test_sink_init(&singly);
    test_sink_init(&mixed);
    test_db_init(&db, 4096, 500);
    for (uint32_t pgno = 1; pgno <= 500; pgno++) {
        test_page_fill(&r, pgno, page, 4096);
        test_db_put(&db, pgno, page);
    }
    test_db_write(&db, &h, test_db_sum(&db), &singly);
    hf_must(hf_ltx_writer_new(&mixed.base, &h, &w, &err), &err);
    for (uint32_t pgno = 1; pgno <= 500;) {
        HF_CLEANUP(hf_ltx_batch_done) struct hf_ltx_batch batch;

        hf_ltx_batch_init(&batch, 4096);
        for (uint64_t n = hf_rand_below(&r, 40); n > 0 && pgno <= 500; n--, pgno++)
            hf_ltx_pack(&batch, pgno, hf_slice(db.pages[pgno], 4096));
        hf_must(hf_ltx_writer_batch(w, &batch, &err), &err);
        for (uint64_t n = hf_rand_below(&r, 40); n > 0 && pgno <= 500; n--, pgno++)
            hf_must(hf_ltx_writer_page(w, pgno, hf_slice(db.pages[pgno], 4096), &err), &err);
    }
    assert_int_equal(hf_ltx_writer_pages(w), 500);
    assert_int_equal(hf_ltx_writer_sum(w), test_db_sum(&db));
    hf_must(hf_ltx_writer_finish(w, hf_ltx_writer_sum(w), &err), &err);
    assert_int_equal(mixed.bytes.len, singly.bytes.len);
    assert_memory_equal(mixed.bytes.ptr, singly.bytes.ptr, singly.bytes.len);
}

/* 30,000 pages: the index is longer than what is made of it at a time. */
static void offsets_of_a_long_index_are_exact(void **state)
{
    HF_CLEANUP(test_sink_done) struct test_sink sink;
    HF_CLEANUP(hf_ltx_cursor_done) struct hf_ltx_cursor cursor;
    HF_AUTO_LTX_READER *reader = NULL;
    HF_AUTO_LTX_WRITER *w = NULL;
    struct hf_ltx_header h = test_header(512, 90000);
    struct hf_ltx_entry entry;
    struct test_source source;
    struct hf_err err;
    uint8_t page[512] = {0};
    uint32_t pages_count = 0;

    (void)state;
    h.min_txid = 2;
    h.max_txid = 2;
    h.pre_sum = HF_LTX_SUM_FLAG;
    test_sink_init(&sink);
    hf_must(hf_ltx_writer_new(&sink.base, &h, &w, &err), &err);
    for (uint32_t pgno = 3; pgno <= 90000; pgno += 3) {
        hf_put_be32(page, pgno);
        hf_must(hf_ltx_writer_page(w, pgno, hf_slice(page, 512), &err), &err);
    }
    hf_must(hf_ltx_writer_finish(w, HF_LTX_SUM_FLAG | 1, &err), &err);

    test_source_init(&source, hf_buf_slice(&sink.bytes), "long");
    hf_must(hf_ltx_open(&source.base, &reader, &err), &err);
    hf_ltx_cursor_init(&cursor, reader);
    for (;;) {
        hf_must(hf_ltx_index_next(&cursor, &entry, &err), &err);
        if (entry.pgno == 0)
            break;
        pages_count++;
        assert_int_equal(entry.pgno, 3 * pages_count);
        assert_int_equal(hf_get_be32(sink.bytes.ptr + entry.offset), entry.pgno);
        assert_int_equal(hf_get_be32(sink.bytes.ptr + entry.offset + 6) + 10, entry.frame_bytes);
    }
    assert_int_equal(pages_count, 30000);
    hf_must(hf_ltx_index_next(&cursor, &entry, &err), &err); /* the end stays the end */
    assert_int_equal(entry.pgno, 0);
}

static void pages_that_would_malform_the_file_are_refused(void **state)
{
    static const struct {
        uint64_t min_txid;
        uint32_t pgnos[3]; /* the last one is refused */
        size_t pgnos_count;
        const char *says;
    } cases[] = {
        {1, {2}, 1, "page 1 is missing"},
        {1, {1, 3}, 2, "page 2 is missing"},
        {1, {1, 1}, 2, "ascend"},
        {2, {7, 7}, 2, "ascend"},
        {2, {7, 6}, 2, "ascend"},
        {2, {0}, 1, "ascend"},
        {2, {16386, 20001}, 2, "above Commit"},
        {2, {16384, 16385}, 2, "lock page"},
    };
    HF_AUTO_FREE uint8_t *page = hf_calloc(1, 65536);

    (void)state;
    for (size_t i = 0; i < 2 * HF_ARRAY_LEN(cases); i++) {
        const size_t n = i / 2;
        const bool as_batch = i % 2 == 1;
        HF_CLEANUP(test_sink_done) struct test_sink sink;
        HF_CLEANUP(hf_ltx_batch_done) struct hf_ltx_batch batch;
        HF_AUTO_LTX_WRITER *w = NULL;
        struct hf_ltx_header h = test_header(65536, 20000);
        enum hf_code rc = HF_OK;
        struct hf_err err;

        h.min_txid = cases[n].min_txid;
        h.max_txid = 2;
        h.pre_sum = h.min_txid == 1 ? 0 : HF_LTX_SUM_FLAG;
        test_sink_init(&sink);
        hf_ltx_batch_init(&batch, 65536);
        hf_must(hf_ltx_writer_new(&sink.base, &h, &w, &err), &err);
        for (size_t p = 0; p < cases[n].pgnos_count; p++) {
            assert_int_equal(rc, HF_OK);
            if (as_batch)
                hf_ltx_pack(&batch, cases[n].pgnos[p], hf_slice(page, 65536));
            else
                rc = hf_ltx_writer_page(w, cases[n].pgnos[p], hf_slice(page, 65536), &err);
        }
        if (as_batch)
            rc = hf_ltx_writer_batch(w, &batch, &err);
        assert_int_equal(rc, HF_DAMAGE);
        assert_non_null(strstr(err.text, cases[n].says));
    }
}

static void pages_of_another_size_are_refused(void **state)
{
    HF_CLEANUP(test_sink_done) struct test_sink sink;
    HF_CLEANUP(hf_ltx_batch_done) struct hf_ltx_batch batch;
    HF_AUTO_LTX_WRITER *w = NULL;
    const struct hf_ltx_header h = test_header(4096, 1);
    uint8_t page[4096] = {0};
    struct hf_err err;

    (void)state;
    test_sink_init(&sink);
    hf_ltx_batch_init(&batch, 512);
    hf_must(hf_ltx_writer_new(&sink.base, &h, &w, &err), &err);
    assert_int_equal(hf_ltx_writer_page(w, 1, hf_slice(page, 512), &err), HF_DAMAGE);
    assert_int_equal(hf_ltx_writer_batch(w, &batch, &err), HF_DAMAGE);
}

static void a_wrong_ending_is_refused(void **state)
{
    static const struct {
        uint64_t min_txid;
        uint32_t flags;
        uint32_t commit;
        uint32_t pages_count;
        uint64_t post_xor; /* on the pages' sum, or the sum itself with NoChecksum */
        const char *says;
    } cases[] = {
        {1, 0, 3, 2, 0, "page 3 is missing"},
        {1, 0, 3, 3, 1, "by the snapshot's pages"},
        {2, 0, 3, 3, HF_LTX_SUM_FLAG, "bit 63"},
        {2, 0, 0, 0, 1, "Commit is 0"},
        {2, HF_LTX_NO_CHECKSUM, 3, 3, HF_LTX_SUM_FLAG, "expected 0 with NoChecksum"},
    };
    uint8_t page[512] = {7};

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        HF_CLEANUP(test_sink_done) struct test_sink sink;
        HF_AUTO_LTX_WRITER *w = NULL;
        struct hf_ltx_header h = test_header(512, cases[i].commit);
        struct hf_err err;

        h.min_txid = cases[i].min_txid;
        h.max_txid = 2;
        h.flags = cases[i].flags;
        h.pre_sum = h.min_txid == 2 && h.flags == 0 ? HF_LTX_SUM_FLAG : 0;
        test_sink_init(&sink);
        hf_must(hf_ltx_writer_new(&sink.base, &h, &w, &err), &err);
        for (uint32_t pgno = 1; pgno <= cases[i].pages_count; pgno++)
            hf_must(hf_ltx_writer_page(w, pgno, hf_slice(page, 512), &err), &err);
        const uint64_t sum = h.flags == 0 ? hf_ltx_writer_sum(w) : 0;

        assert_int_equal(hf_ltx_writer_finish(w, sum ^ cases[i].post_xor, &err), HF_DAMAGE);
        assert_non_null(strstr(err.text, cases[i].says));
    }
}

static void a_header_that_cannot_be_written_writes_nothing(void **state)
{
    HF_CLEANUP(test_sink_done) struct test_sink sink;
    struct hf_ltx_header h = test_header(512, 0);
    struct hf_ltx_writer *w = NULL;
    struct hf_err err;

    (void)state;
    test_sink_init(&sink);
    h.flags = HF_LTX_NO_CHECKSUM;
    assert_int_equal(hf_ltx_writer_new(&sink.base, &h, &w, &err), HF_DAMAGE);
    assert_non_null(strstr(err.text, "Commit 0 with NoChecksum"));
    h.flags = 8;
    assert_int_equal(hf_ltx_writer_new(&sink.base, &h, &w, &err), HF_DAMAGE);
    assert_null(w);
    assert_int_equal(sink.writes_count, 0);
}

static void an_empty_database_has_a_file(void **state)
{
    HF_CLEANUP(test_sink_done) struct test_sink sink;
    HF_CLEANUP(test_db_done) struct test_db db;
    const struct hf_ltx_header h = test_header(512, 0);

    (void)state;
    test_sink_init(&sink);
    test_db_init(&db, 512, 0);
    test_db_write(&db, &h, HF_LTX_SUM_EMPTY, &sink);
    assert_int_equal(sink.bytes.len, HF_LTX_BYTES_MIN);
}

/* Write a file of 13,000 pages, most of them singly, into a sink that may fail. */
static enum hf_code write_some(struct test_sink *sink, struct hf_err *err)
{
    HF_AUTO_LTX_WRITER *w = NULL;
    HF_CLEANUP(hf_ltx_batch_done) struct hf_ltx_batch batch;
    const struct hf_ltx_header h = test_header(512, 13000);
    uint8_t page[512] = {0};
    enum hf_code rc;

    hf_ltx_batch_init(&batch, 512);
    rc = hf_ltx_writer_new(&sink->base, &h, &w, err);
    if (rc != HF_OK)
        return rc;
    for (uint32_t pgno = 1; pgno <= 13000; pgno++) {
        hf_put_be32(page, pgno);
        if (pgno % 4000 == 0) {
            hf_ltx_pack(&batch, pgno, hf_slice(page, 512));
            rc = hf_ltx_writer_batch(w, &batch, err);
            hf_ltx_batch_reset(&batch);
        } else {
            rc = hf_ltx_writer_page(w, pgno, hf_slice(page, 512), err);
        }
        if (rc != HF_OK)
            return rc;
    }
    return hf_ltx_writer_finish(w, hf_ltx_writer_sum(w), err);
}

static void a_failing_sink_is_reported_at_every_write(void **state)
{
    unsigned writes_count = 0;

    (void)state;
    for (unsigned fail_at = 0; fail_at <= writes_count; fail_at++) {
        HF_CLEANUP(test_sink_done) struct test_sink sink;
        struct hf_err err;

        test_sink_init(&sink);
        sink.fail_at = fail_at;
        assert_int_equal(write_some(&sink, &err), fail_at == 0 ? HF_OK : HF_TRANSIENT);
        if (fail_at == 0)
            writes_count = sink.writes_count;
        assert_true(writes_count >= 11); /* header, pages, end, index in two, two sums */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_file_is_written_byte_for_byte),
        cmocka_unit_test(the_plain_encoder_makes_the_same_bytes),
        cmocka_unit_test(batches_and_single_pages_make_the_same_file),
        cmocka_unit_test(offsets_of_a_long_index_are_exact),
        cmocka_unit_test(pages_that_would_malform_the_file_are_refused),
        cmocka_unit_test(pages_of_another_size_are_refused),
        cmocka_unit_test(a_wrong_ending_is_refused),
        cmocka_unit_test(a_header_that_cannot_be_written_writes_nothing),
        cmocka_unit_test(an_empty_database_has_a_file),
        cmocka_unit_test(a_failing_sink_is_reported_at_every_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
