/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: opening a file checks its whole index with few and bounded reads, and single pages are
 * found and read; each rule of the index is enforced by itself.
 * Method: the fixture's plain encoder makes files whose index breaks one rule under checksums that
 * are right; a counting source; the model of pages as oracle.
 */
#include "engine/sqlite/ltx/ltx_reader.h"

#include "base/bytes.h"
#include "engine/sqlite/ltx/ltx_reader_priv.h"
#include "lib/ltx_fixture.h"

#define FRAME_BYTES 525 /* a literal frame of 512 bytes: 10 + 1 + 2 + 512 */

/* A file of three pages, numbers 1 to 3, with the index left to the caller. */
static void begin_three(struct test_raw *raw, bool snapshot)
{
    struct hf_ltx_header h = test_header(512, 3);
    struct hf_rand r = hf_rand_seeded(1);
    uint8_t page[512];

    if (!snapshot) {
        h.min_txid = 2;
        h.max_txid = 2;
        h.pre_sum = HF_LTX_SUM_FLAG;
    }
    test_raw_begin(raw, &h);
    for (uint32_t pgno = 1; pgno <= 3; pgno++) {
        HF_AUTO_BUF frame = {0};

        test_page_fill(&r, pgno, page, 512);
        test_frame_literal(&frame, pgno, hf_slice(page, 512));
        assert_int_equal(frame.len, FRAME_BYTES);
        test_raw_frame(raw, pgno, hf_buf_slice(&frame), hf_slice(page, 512));
    }
    hf_buf_reset(&raw->index);
}

struct entry {
    uint64_t pgno;
    uint64_t offset;
    uint64_t len;
};

static void each_index_rule_is_enforced(void **state)
{
    enum { A = 100, B = A + FRAME_BYTES, C = B + FRAME_BYTES, L = FRAME_BYTES };
    static const struct {
        bool snapshot;
        struct entry entries[4];
        const char *says; /* NULL: right */
    } cases[] = {
        {true, {{1, A, L}, {2, B, L}, {3, C, L}}, NULL},
        {false, {{1, A, L}, {2, B, L}, {3, C, L}}, NULL},
        {false, {{2, A, L}, {1, B, L}, {3, C, L}}, "ascend"},
        {false, {{1, A, L}, {1, B, L}, {3, C, L}}, "ascend"},
        {false, {{1, A, L}, {2, B, L}, {4, C, L}}, "above Commit"},
        {false, {{1, A, L}, {2, B, L}, {UINT64_C(0x100000003), C, L}}, "above Commit"},
        {true, {{1, A, L}, {2, B, L}}, "frames end at offset"},
        {false, {{1, A, L}, {3, C, L}}, "expected 625"},
        {false, {{1, A, L}, {2, A, L}, {3, C, L}}, "expected 625"},
        {false, {{1, A, L}, {2, B, L}, {3, C, L + 1}}, "are left before the end of pages"},
        {false, {{1, A, L}, {2, B, L}, {3, C, L - 1}}, "frames end at offset"},
        {false, {{1, A, 9}, {2, A + 9, L}}, "expected 10 to"},
        {false, {{1, A, 3 * L}}, "expected 10 to"},
        {false, {{1, A, UINT64_MAX}}, "expected 10 to"},
        {false, {{1, 99, L}, {2, B, L}, {3, C, L}}, "expected 100"},
        {false, {{0}}, "frames end at offset"},
        {true, {{0}}, "frames end at offset"},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        HF_CLEANUP(test_raw_done) struct test_raw raw;
        HF_AUTO_LTX_READER *reader = NULL;
        struct test_source source;
        struct hf_err err = {.code = HF_OK};

        begin_three(&raw, cases[i].snapshot);
        for (size_t e = 0; e < 4 && cases[i].entries[e].pgno != 0; e++)
            test_raw_entry(&raw, cases[i].entries[e].pgno, cases[i].entries[e].offset,
                           cases[i].entries[e].len);
        test_raw_end(&raw, raw.sum);
        test_source_init(&source, hf_buf_slice(&raw.file), "the-file");
        const enum hf_code rc = hf_ltx_open(&source.base, &reader, &err);

        if (rc != (cases[i].says == NULL ? HF_OK : HF_DAMAGE))
            fail_msg("case %zu: %s", i, err.text);
        if (cases[i].says == NULL)
            continue;
        assert_null(reader);
        if (strstr(err.text, cases[i].says) == NULL || strstr(err.text, "the-file: ") == NULL)
            fail_msg("case %zu: says %s", i, err.text);
    }
}

static void a_snapshot_without_its_last_page_is_refused(void **state)
{
    HF_CLEANUP(test_raw_done) struct test_raw raw;
    struct hf_ltx_reader *reader = NULL;
    struct hf_ltx_header h = test_header(512, 4);
    struct test_source source;
    struct hf_err err;

    (void)state;
    begin_three(&raw, true);
    for (uint64_t i = 0; i < 3; i++)
        test_raw_entry(&raw, i + 1, 100 + i * FRAME_BYTES, FRAME_BYTES);
    hf_must(hf_ltx_header_encode(&h, raw.file.ptr, &err), &err);
    test_raw_end(&raw, raw.sum);
    test_source_init(&source, hf_buf_slice(&raw.file), "cut");
    assert_int_equal(hf_ltx_open(&source.base, &reader, &err), HF_DAMAGE);
    assert_non_null(strstr(err.text, "page 4 is missing"));
}

/* Lengths and bytes around the index, each changed in a file that is right. */
static void what_stands_around_the_index_is_checked(void **state)
{
    static const struct {
        long at; /* from the end of the file */
        uint8_t xor ;
        const char *says;
    } cases[] = {
        {-24, 0x80, "page index: length"}, /* longer than the file */
        {-17, 0x01, "end of pages"},       /* one byte off */
        {-8, 0x80, "FileChecksum"},        /* flag gone */
        {-16, 0x80, "PostApplyChecksum"},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        HF_CLEANUP(test_raw_done) struct test_raw raw;
        struct hf_ltx_reader *reader = NULL;
        struct test_source source;
        struct hf_err err;

        begin_three(&raw, true);
        for (uint64_t n = 0; n < 3; n++)
            test_raw_entry(&raw, n + 1, 100 + n * FRAME_BYTES, FRAME_BYTES);
        test_raw_end(&raw, raw.sum);
        raw.file.ptr[(long)raw.file.len + cases[i].at] ^= cases[i].xor ;
        test_source_init(&source, hf_buf_slice(&raw.file), "around");
        assert_int_equal(hf_ltx_open(&source.base, &reader, &err), HF_DAMAGE);
        if (strstr(err.text, cases[i].says) == NULL)
            fail_msg("case %zu: says %s", i, err.text);
    }
}

static void an_index_that_ends_early_or_is_empty_is_refused(void **state)
{
    static const char *const says[] = {"ends after", "page index: length is 0"};

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(says); i++) {
        HF_CLEANUP(test_raw_done) struct test_raw raw;
        struct hf_ltx_reader *reader = NULL;
        struct test_source source;
        struct hf_err err;

        begin_three(&raw, false);
        for (uint64_t n = 0; n < 3; n++)
            test_raw_entry(&raw, n + 1, 100 + n * FRAME_BYTES, FRAME_BYTES);
        if (i == 0)
            test_raw_entry(&raw, 0, 1, 2); /* a terminator with more behind it */
        test_raw_end(&raw, raw.sum);
        if (i == 1)
            hf_put_be64(raw.file.ptr + raw.file.len - 24, 0);
        test_source_init(&source, hf_buf_slice(&raw.file), "early");
        assert_int_equal(hf_ltx_open(&source.base, &reader, &err), HF_DAMAGE);
        if (strstr(err.text, says[i]) == NULL)
            fail_msg("case %zu: says %s", i, err.text);
    }
}

/* Make a sparse file of `pages_count` pages of noise, every third number from 3 on. */
static void make_sparse(struct test_db *db, struct test_sink *sink, uint32_t page_bytes,
                        uint32_t pages_count)
{
    struct hf_rand r = hf_rand_seeded(2);
    struct hf_ltx_header h = test_header(page_bytes, 3 * pages_count);
    HF_AUTO_FREE uint8_t *page = hf_malloc(page_bytes);

    h.min_txid = 2;
    h.max_txid = 7;
    h.flags = HF_LTX_NO_CHECKSUM; /* as foreign files are */
    test_db_init(db, page_bytes, 3 * pages_count);
    test_sink_init(sink);
    for (uint32_t pgno = 3; pgno <= 3 * pages_count; pgno += 3) {
        for (uint32_t i = 0; i < page_bytes; i += 8)
            hf_put_be64(page + i, hf_rand_u64(&r));
        test_db_put(db, pgno, page);
    }
    test_db_write(db, &h, 0, sink);
}

static void every_page_is_found_and_no_other(void **state)
{
    HF_CLEANUP(test_sink_done) struct test_sink sink;
    HF_CLEANUP(test_db_done) struct test_db db;
    HF_AUTO_LTX_READER *reader = NULL;
    struct test_source source;
    struct hf_ltx_entry entry;
    struct hf_err err;

    (void)state;
    make_sparse(&db, &sink, 512, 300);
    test_source_init(&source, hf_buf_slice(&sink.bytes), "sparse");
    hf_must(hf_ltx_open(&source.base, &reader, &err), &err);
    assert_int_equal(hf_ltx_reader_pages(reader), 300);
    assert_int_equal(hf_ltx_reader_post_sum(reader), 0);
    assert_int_equal(hf_ltx_reader_header(reader)->max_txid, 7);
    for (uint32_t pgno = 0; pgno <= 902; pgno++) {
        HF_AUTO_BUF page = {0};
        const enum hf_code rc = hf_ltx_find(reader, pgno, &entry, &err);

        assert_int_equal(rc, pgno != 0 && pgno <= 900 && pgno % 3 == 0 ? HF_OK : HF_NOT_FOUND);
        if (rc != HF_OK)
            continue;
        hf_buf_append(&page, "x", 1); /* what is there stays */
        hf_must(hf_ltx_read_page(reader, &entry, &page, &err), &err);
        assert_int_equal(page.len, 513);
        assert_memory_equal(page.ptr + 1, db.pages[pgno], 512);
    }
    assert_int_equal(atomic_load(&source.reads_count), 1); /* small: read whole, once */
}

/* 26,000 pages in 14 MiB: the index is longer than the tail and than the way between two spots. */
static void a_long_file_is_opened_with_few_reads(void **state)
{
    HF_CLEANUP(test_sink_done) struct test_sink sink;
    HF_CLEANUP(test_db_done) struct test_db db;
    HF_AUTO_LTX_READER *reader = NULL;
    struct test_source source;
    struct hf_err err;

    (void)state;
    make_sparse(&db, &sink, 512, 26000);
    assert_true(sink.bytes.len > HF_LTX_WHOLE_BYTES_MAX);
    test_source_init(&source, hf_buf_slice(&sink.bytes), "long");
    hf_must(hf_ltx_open(&source.base, &reader, &err), &err);
    assert_int_equal(hf_ltx_reader_pages(reader), 26000);
    assert_true(atomic_load(&source.reads_count) <= 4); /* tail, header, end marker, index */
    assert_true(atomic_load(&source.bytes_read) < 512 * 1024);
    for (uint32_t pgno = 1; pgno <= 78000; pgno += 1999) {
        HF_AUTO_BUF page = {0};
        struct hf_ltx_entry entry;
        const unsigned long long before = atomic_load(&source.bytes_read);
        const enum hf_code rc = hf_ltx_find(reader, pgno, &entry, &err);

        assert_true(atomic_load(&source.bytes_read) - before <= 128 * 1024);
        assert_int_equal(rc, pgno % 3 == 0 ? HF_OK : HF_NOT_FOUND);
        if (rc != HF_OK)
            continue;
        hf_must(hf_ltx_read_page(reader, &entry, &page, &err), &err);
        assert_memory_equal(page.ptr, db.pages[pgno], 512);
    }
}

/* The pages on both sides of the places from which the index can be read. */
static void pages_around_every_spot_are_found(void **state)
{
    HF_CLEANUP(test_sink_done) struct test_sink sink;
    HF_CLEANUP(test_db_done) struct test_db db;
    HF_AUTO_LTX_READER *reader = NULL;
    struct test_source source;
    struct hf_ltx_entry entry;
    struct hf_err err;

    (void)state;
    make_sparse(&db, &sink, 512, 26000);
    test_source_init(&source, hf_buf_slice(&sink.bytes), "long");
    hf_must(hf_ltx_open(&source.base, &reader, &err), &err);
    const struct hf_ltx_spot *spots = (const struct hf_ltx_spot *)(const void *)reader->spots.ptr;
    const size_t spots_count = reader->spots.len / sizeof(*spots);

    assert_true(spots_count >= 3);
    for (size_t i = 1; i < spots_count; i++) {
        hf_must(hf_ltx_find(reader, spots[i].last, &entry, &err), &err);
        assert_int_equal(entry.offset + entry.frame_bytes, spots[i].next_offset);
        hf_must(hf_ltx_find(reader, spots[i].last + 3, &entry, &err), &err);
        assert_int_equal(entry.offset, spots[i].next_offset);
    }
}

/* Entries that lie across two fetched pieces of the index, at every way to be cut. */
static void entries_across_windows_are_read(void **state)
{
    HF_CLEANUP(test_sink_done) struct test_sink sink;
    HF_CLEANUP(test_db_done) struct test_db db;
    HF_AUTO_LTX_READER *reader = NULL;
    struct test_source source;
    struct hf_err err;

    (void)state;
    make_sparse(&db, &sink, 512, 26000);
    test_source_init(&source, hf_buf_slice(&sink.bytes), "long");
    hf_must(hf_ltx_open(&source.base, &reader, &err), &err);
    for (size_t window_bytes = 30; window_bytes < 50; window_bytes += 3) {
        HF_CLEANUP(hf_ltx_cursor_done) struct hf_ltx_cursor cursor;
        struct hf_ltx_entry entry;
        uint32_t pages_count = 0;

        hf_ltx_cursor_init(&cursor, reader);
        cursor.window_bytes = window_bytes;
        for (;;) {
            hf_must(hf_ltx_index_next(&cursor, &entry, &err), &err);
            if (entry.pgno == 0)
                break;
            pages_count++;
            assert_int_equal(entry.pgno, 3 * pages_count);
        }
        assert_int_equal(pages_count, 26000);
    }
}

static void a_failing_source_is_reported_at_every_read(void **state)
{
    HF_CLEANUP(test_sink_done) struct test_sink sink;
    HF_CLEANUP(test_db_done) struct test_db db;
    struct test_source source;
    struct hf_err err;

    (void)state;
    make_sparse(&db, &sink, 512, 26000);
    for (unsigned fail_at = 1; fail_at <= 4; fail_at++) {
        HF_AUTO_LTX_READER *reader = NULL;

        test_source_init(&source, hf_buf_slice(&sink.bytes), "long");
        source.fail_at = fail_at;
        assert_int_equal(hf_ltx_open(&source.base, &reader, &err), HF_TRANSIENT);
        assert_null(reader);
    }
    HF_AUTO_LTX_READER *reader = NULL;
    struct hf_ltx_entry entry;
    HF_AUTO_BUF page = {0};

    test_source_init(&source, hf_buf_slice(&sink.bytes), "long");
    hf_must(hf_ltx_open(&source.base, &reader, &err), &err);
    source.fail_at = atomic_load(&source.reads_count) + 1;
    assert_int_equal(hf_ltx_find(reader, 3, &entry, &err), HF_TRANSIENT);
    hf_must(hf_ltx_find(reader, 3, &entry, &err), &err);
    source.fail_at = atomic_load(&source.reads_count) + 1;
    assert_int_equal(hf_ltx_read_page(reader, &entry, &page, &err), HF_TRANSIENT);
    assert_int_equal(page.len, 0);
}

/* What a single frame may hold, judged when its page is read. */
static void malformed_frames_are_damage(void **state)
{
    static const struct {
        size_t at; /* in the first frame */
        uint32_t value;
        const char *says;
    } cases[] = {
        {0, 2, "its frame says page 2"},
        {2, 0x00010002, "page flags are 0002"},
        {2, 0x00010000, "LZ4 frame"},
        {2, 0x00018001, "page flags are 8001"},
        {6, FRAME_BYTES, "payload length"},
        {6, FRAME_BYTES - 11, "expected 515 by the page index"},
        {6, UINT32_MAX, "more than a page"},
        {10, 0x00f20001, "LZ4 block does not expand"}, /* token: no literals, match at 0xf2 */
        {10, 0xf0fff100, "LZ4 block does not expand"}, /* one literal fewer */
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        HF_CLEANUP(test_raw_done) struct test_raw raw;
        HF_AUTO_LTX_READER *reader = NULL;
        struct test_source source;
        struct hf_ltx_entry entry;
        HF_AUTO_BUF page = {0};
        struct hf_err err;

        begin_three(&raw, true);
        for (uint64_t n = 0; n < 3; n++)
            test_raw_entry(&raw, n + 1, 100 + n * FRAME_BYTES, FRAME_BYTES);
        test_raw_end(&raw, raw.sum);
        hf_put_be32(raw.file.ptr + 100 + cases[i].at, cases[i].value);
        test_source_init(&source, hf_buf_slice(&raw.file), "frame");
        hf_must(hf_ltx_open(&source.base, &reader, &err), &err);
        hf_must(hf_ltx_find(reader, 1, &entry, &err), &err);
        assert_int_equal(hf_ltx_read_page(reader, &entry, &page, &err), HF_DAMAGE);
        assert_int_equal(page.len, 0);
        if (strstr(err.text, cases[i].says) == NULL || strstr(err.text, "frame: page 1") == NULL)
            fail_msg("case %zu: says %s", i, err.text);
    }
}

/* Payloads that are well formed by themselves but hold less or more than a page. */
static void payloads_of_another_length_are_damage(void **state)
{
    static const struct {
        void (*make)(struct hf_buf *dst, uint32_t pgno, struct hf_slice page);
        size_t page_bytes;
        size_t trailing_bytes;
    } cases[] = {
        {test_frame_literal, 511, 0}, {test_frame_literal, 513, 0}, {test_frame_literal, 512, 1},
        {test_frame_v2, 511, 0},      {test_frame_v2, 513, 0},      {test_frame_v2, 512, 1},
        {test_frame_v2, 0, 0},
    };
    const struct hf_ltx_header h = test_header(512, 1);
    uint8_t page[520];

    (void)state;
    for (size_t i = 0; i < sizeof(page); i++)
        page[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        HF_CLEANUP(test_raw_done) struct test_raw raw;
        HF_AUTO_LTX_READER *reader = NULL;
        struct test_source source;
        struct hf_ltx_entry entry;
        HF_AUTO_BUF frame = {0};
        HF_AUTO_BUF got = {0};
        struct hf_err err;

        test_raw_begin(&raw, &h);
        cases[i].make(&frame, 1, hf_slice(page, cases[i].page_bytes));
        (void)memset(hf_buf_extend(&frame, cases[i].trailing_bytes), 0, cases[i].trailing_bytes);
        test_raw_frame(&raw, 1, hf_buf_slice(&frame), hf_slice(page, 512));
        test_raw_end(&raw, raw.sum);
        test_source_init(&source, hf_buf_slice(&raw.file), "length");
        hf_must(hf_ltx_open(&source.base, &reader, &err), &err);
        hf_must(hf_ltx_find(reader, 1, &entry, &err), &err);
        assert_int_equal(hf_ltx_read_page(reader, &entry, &got, &err), HF_DAMAGE);
        assert_int_equal(got.len, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_index_rule_is_enforced),
        cmocka_unit_test(a_snapshot_without_its_last_page_is_refused),
        cmocka_unit_test(what_stands_around_the_index_is_checked),
        cmocka_unit_test(an_index_that_ends_early_or_is_empty_is_refused),
        cmocka_unit_test(every_page_is_found_and_no_other),
        cmocka_unit_test(a_long_file_is_opened_with_few_reads),
        cmocka_unit_test(pages_around_every_spot_are_found),
        cmocka_unit_test(entries_across_windows_are_read),
        cmocka_unit_test(a_failing_source_is_reported_at_every_read),
        cmocka_unit_test(malformed_frames_are_damage),
        cmocka_unit_test(payloads_of_another_length_are_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
