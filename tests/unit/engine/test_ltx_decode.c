/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: decoding hands over every page of a file exactly once, in parallel as in one thread, and
 * proves the whole file; files of both frame forms are read, ours and those of others.
 * Method: random pages against the model of pages they came from; a file that an older release of
 * the LTX library made; failures injected into source, visitor and checksums.
 */
#include "engine/sqlite/ltx/ltx_reader.h"

#include "base/bytes.h"
#include "engine/sqlite/ltx/ltx_writer.h"
#include "lib/ltx_fixture.h"

/* Decode `file` with `threads_count` threads into a new model like `db`, and compare. */
static void assert_decodes_to(struct hf_slice file, const struct test_db *db,
                              unsigned threads_count)
{
    HF_CLEANUP(test_db_done) struct test_db got;
    struct hf_pool *pool = hf_pool_new(threads_count);
    struct test_source source;
    struct hf_ltx_header h;
    uint64_t post_sum = 0;
    struct hf_err err;

    test_source_init(&source, file, "decoded");
    test_db_init(&got, db->page_bytes, db->pages_max);
    hf_must(hf_ltx_decode(&source.base, pool, test_db_visit, &got, &h, &post_sum, &err), &err);
    hf_pool_free(pool);
    assert_int_equal(h.page_bytes, db->page_bytes);
    assert_int_equal(post_sum, hf_get_be64(file.ptr + file.len - 16));
    test_db_assert_equal(db, &got);
}

static void fill_db(struct test_db *db, uint32_t page_bytes, uint32_t pages_count, uint64_t seed)
{
    HF_AUTO_FREE uint8_t *page = hf_malloc(page_bytes);
    struct hf_rand r = hf_rand_seeded(seed);

    test_db_init(db, page_bytes, pages_count);
    for (uint32_t pgno = 1; pgno <= pages_count; pgno++) {
        test_page_fill(&r, pgno, page, page_bytes);
        test_db_put(db, pgno, page);
    }
}

static void random_pages_of_every_size_come_back(void **state)
{
    (void)state;
    for (uint32_t page_bytes = 512; page_bytes <= 65536; page_bytes *= 2) {
        const struct hf_ltx_header h = test_header(page_bytes, 40);
        HF_CLEANUP(test_sink_done) struct test_sink sink;
        HF_CLEANUP(test_db_done) struct test_db db;

        fill_db(&db, page_bytes, 40, page_bytes);
        test_sink_init(&sink);
        test_db_write(&db, &h, test_db_sum(&db), &sink);
        assert_decodes_to(hf_buf_slice(&sink.bytes), &db, 0);
        assert_decodes_to(hf_buf_slice(&sink.bytes), &db, 2);
    }
}

static void a_file_without_pages_visits_none(void **state)
{
    const struct hf_ltx_header h = test_header(512, 0);
    HF_CLEANUP(test_sink_done) struct test_sink sink;
    HF_CLEANUP(test_db_done) struct test_db db;

    (void)state;
    test_sink_init(&sink);
    test_db_init(&db, 512, 0);
    test_db_write(&db, &h, HF_LTX_SUM_EMPTY, &sink);
    assert_decodes_to(hf_buf_slice(&sink.bytes), &db, 2);
}

/* About 30 MiB of noise, so that more windows than slots are needed. Made once. */
struct large {
    struct test_db db;
    struct test_sink sink;
};

static int make_large(void **state)
{
    const struct hf_ltx_header h = test_header(4096, 16000);
    struct large *large = hf_calloc(1, sizeof(*large));

    fill_db(&large->db, 4096, 16000, 6);
    test_sink_init(&large->sink);
    test_db_write(&large->db, &h, test_db_sum(&large->db), &large->sink);
    assert_true(large->sink.bytes.len > 5 * HF_LTX_WINDOW_BYTES);
    *state = large;
    return 0;
}

static int free_large(void **state)
{
    struct large *large = *state;

    test_db_done(&large->db);
    test_sink_done(&large->sink);
    hf_free(large);
    return 0;
}

static void a_large_file_decodes_in_parallel_as_in_one_thread(void **state)
{
    const struct large *large = *state;

    assert_decodes_to(hf_buf_slice(&large->sink.bytes), &large->db, 0);
    assert_decodes_to(hf_buf_slice(&large->sink.bytes), &large->db, 1);
    assert_decodes_to(hf_buf_slice(&large->sink.bytes), &large->db, 4);
}

static void a_failure_of_any_read_ends_the_decoding(void **state)
{
    const struct large *large = *state;
    struct test_source source;
    struct hf_err err;

    for (unsigned threads_count = 0; threads_count <= 2; threads_count += 2) {
        struct hf_pool *pool = hf_pool_new(threads_count);
        enum hf_code rc = HF_TRANSIENT;
        unsigned fail_at = 1;

        for (; rc == HF_TRANSIENT; fail_at++) {
            struct hf_ltx_header h = {.commit = 5};

            test_source_init(&source, hf_buf_slice(&large->sink.bytes), "large");
            source.fail_at = fail_at;
            rc = hf_ltx_decode(&source.base, pool, NULL, NULL, &h, NULL, &err);
            assert_int_equal(h.commit, rc == HF_OK ? 16000 : 5);
        }
        assert_int_equal(rc, HF_OK);
        assert_true(fail_at >= 8); /* header, tail, index, five windows and more */
        hf_pool_free(pool);
    }
}

struct picky {
    uint32_t refuses;
    atomic_uint visits_count;
};

static enum hf_code refuse_one(void *ctx, const struct hf_ltx_run *run, struct hf_err *err)
{
    struct picky *p = ctx;

    for (uint32_t i = 0; i < run->count; i++) {
        (void)atomic_fetch_add(&p->visits_count, 1);
        if (run->first_pgno + i == p->refuses)
            return hf_err_set(err, HF_FULL, "no room for page %u", p->refuses);
    }
    return HF_OK;
}

static void a_refusing_visitor_ends_the_decoding_with_its_code(void **state)
{
    static const uint32_t refused[] = {1, 9000, 16000};
    const struct large *large = *state;
    struct test_source source;
    struct hf_err err;

    test_source_init(&source, hf_buf_slice(&large->sink.bytes), "large");
    for (size_t i = 0; i < 2 * HF_ARRAY_LEN(refused); i++) {
        struct hf_pool *pool = hf_pool_new(i % 2 == 0 ? 0 : 2);
        struct picky p = {.refuses = refused[i / 2]};

        assert_int_equal(hf_ltx_decode(&source.base, pool, refuse_one, &p, NULL, NULL, &err),
                         HF_FULL);
        assert_non_null(strstr(err.text, "no room for page"));
        if (i % 2 == 0)
            assert_int_equal(atomic_load(&p.visits_count), p.refuses);
        hf_pool_free(pool);
    }
}

/* One page of each form in turn, and files of the older form alone. */
static void both_frame_forms_are_read_also_mixed(void **state)
{
    (void)state;
    for (uint32_t page_bytes = 512; page_bytes <= 65536; page_bytes *= 2) {
        for (uint32_t mix = 1; mix <= 2; mix++) {
            const struct hf_ltx_header h = test_header(page_bytes, 12);
            HF_CLEANUP(test_db_done) struct test_db db;
            HF_CLEANUP(test_raw_done) struct test_raw raw;

            fill_db(&db, page_bytes, 12, page_bytes + mix);
            test_raw_begin(&raw, &h);
            for (uint32_t pgno = 1; pgno <= 12; pgno++) {
                const struct hf_slice page = hf_slice(db.pages[pgno], page_bytes);
                HF_AUTO_BUF frame = {0};

                if (pgno % mix == 0)
                    test_frame_v2(&frame, pgno, page);
                else
                    test_frame_literal(&frame, pgno, page);
                test_raw_frame(&raw, pgno, hf_buf_slice(&frame), page);
            }
            test_raw_end(&raw, raw.sum);
            assert_decodes_to(hf_buf_slice(&raw.file), &db, 0);
            assert_decodes_to(hf_buf_slice(&raw.file), &db, 2);
        }
    }
}

/* Made by release 0.5.1 of the LTX library: both pages of the published vectors as LZ4 frames. */
static const uint8_t made_by_others[] = {
    0x4c, 0x54, 0x58, 0x31, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x02,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
    0x00, 0x00, 0x01, 0x9b, 0x76, 0xda, 0xa8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x04, 0x22, 0x4d, 0x18, 0x64, 0x40,
    0xa7, 0x17, 0x01, 0x00, 0x00, 0xff, 0xf1, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
    0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,
    0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28,
    0x29, 0x2a, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38,
    0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
    0x49, 0x4a, 0x4b, 0x4c, 0x4d, 0x4e, 0x4f, 0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58,
    0x59, 0x5a, 0x5b, 0x5c, 0x5d, 0x5e, 0x5f, 0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68,
    0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f, 0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78,
    0x79, 0x7a, 0x7b, 0x7c, 0x7d, 0x7e, 0x7f, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88,
    0x89, 0x8a, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98,
    0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8,
    0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 0xb0, 0xb1, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8,
    0xb9, 0xba, 0xbb, 0xbc, 0xbd, 0xbe, 0xbf, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8,
    0xc9, 0xca, 0xcb, 0xcc, 0xcd, 0xce, 0xcf, 0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8,
    0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8,
    0xe9, 0xea, 0xeb, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
    0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff, 0x00, 0x01, 0xdb, 0x00, 0x00, 0x01, 0xe0, 0xf2, 0xf3,
    0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff, 0x00, 0x00, 0x00, 0x00,
    0xc7, 0xd2, 0x19, 0xf3, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x04, 0x22, 0x4d, 0x18, 0x64, 0x40,
    0xa7, 0x18, 0x00, 0x00, 0x00, 0x1f, 0x00, 0x01, 0x00, 0xff, 0xda, 0x00, 0x02, 0x00, 0x00, 0x02,
    0x00, 0xb0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0xde, 0x53, 0xc1, 0x32, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x64, 0xb0, 0x02, 0x02,
    0x94, 0x03, 0x31, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x09, 0xa9, 0x92, 0xda, 0x19,
    0x27, 0xbb, 0x5c, 0x9f, 0xd5, 0xa0, 0x62, 0x6b, 0x69, 0x5f, 0x7d, 0xa0,
};

static void a_file_of_the_older_library_is_read(void **state)
{
    HF_CLEANUP(test_db_done) struct test_db db;
    uint8_t page[512];

    (void)state;
    test_db_init(&db, 512, 2);
    for (size_t i = 0; i < sizeof(page); i++)
        page[i] = (uint8_t)i;
    test_db_put(&db, 1, page);
    (void)memset(page, 0, sizeof(page));
    test_db_put(&db, 2, page);
    assert_decodes_to(hf_slice(made_by_others, sizeof(made_by_others)), &db, 0);
}

static void malformed_lz4_frames_are_damage(void **state)
{
    struct hf_pool *pool = hf_pool_new(0);

    (void)state;
    for (size_t at = 106; at < 404; at++) { /* the first page's LZ4 frame */
        uint8_t file[sizeof(made_by_others)];
        struct test_source source;
        struct hf_err err;

        (void)memcpy(file, made_by_others, sizeof(file));
        file[at] ^= 0x40;
        test_source_init(&source, hf_slice(file, sizeof(file)), "flipped");
        assert_int_equal(hf_ltx_decode(&source.base, pool, NULL, NULL, NULL, NULL, &err),
                         HF_DAMAGE);
        assert_non_null(strstr(err.text, "flipped: "));
    }
    hf_pool_free(pool);
}

/* Checksums that the file gets wrong although all frames are right. */
static void wrong_checksums_are_damage(void **state)
{
    static const struct {
        uint64_t post_xor;
        uint64_t file_xor;
        const char *says; /* NULL: right */
    } cases[] = {{0, 0, NULL}, {1, 0, "PostApplyChecksum"}, {0, 1, "FileChecksum"}};
    struct hf_pool *pool = hf_pool_new(0);

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        const struct hf_ltx_header h = test_header(512, 5);
        HF_CLEANUP(test_db_done) struct test_db db;
        HF_CLEANUP(test_raw_done) struct test_raw raw;
        struct test_source source;
        struct hf_err err;

        fill_db(&db, 512, 5, 1);
        test_raw_begin(&raw, &h);
        for (uint32_t pgno = 1; pgno <= 5; pgno++) {
            HF_AUTO_BUF frame = {0};

            test_frame_literal(&frame, pgno, hf_slice(db.pages[pgno], 512));
            test_raw_frame(&raw, pgno, hf_buf_slice(&frame), hf_slice(db.pages[pgno], 512));
        }
        test_raw_end(&raw, raw.sum ^ cases[i].post_xor);
        raw.file.ptr[raw.file.len - 1] ^= (uint8_t)cases[i].file_xor;
        test_source_init(&source, hf_buf_slice(&raw.file), "sums");
        const enum hf_code rc = hf_ltx_decode(&source.base, pool, NULL, NULL, NULL, NULL, &err);

        assert_int_equal(rc, cases[i].says == NULL ? HF_OK : HF_DAMAGE);
        if (cases[i].says != NULL)
            assert_non_null(strstr(err.text, cases[i].says));
    }
    hf_pool_free(pool);
}

struct span {
    atomic_uint visits_count;
    atomic_uint wrong_count;
};

/* Pages of make_past_lock(): all zero but for their number. */
static enum hf_code check_span(void *ctx, const struct hf_ltx_run *run, struct hf_err *err)
{
    struct span *s = ctx;

    (void)err;
    for (uint32_t i = 0; i < run->count; i++) {
        const struct hf_slice page = hf_ltx_run_page(run, i);

        (void)atomic_fetch_add(&s->visits_count, 1);
        if (hf_get_be32(page.ptr) != run->first_pgno + i || page.ptr[page.len - 1] != 0)
            (void)atomic_fetch_add(&s->wrong_count, 1);
    }
    return HF_OK;
}

/* A file of a database of more than 1 GiB, with all pages from `first` on. */
static void make_past_lock(struct test_sink *sink, uint64_t txid, uint32_t first, uint32_t commit)
{
    HF_AUTO_FREE uint8_t *page = hf_calloc(1, 65536);
    HF_AUTO_LTX_WRITER *w = NULL;
    struct hf_ltx_header h = test_header(65536, commit);
    struct hf_err err;

    h.min_txid = txid;
    h.max_txid = txid;
    h.pre_sum = txid == 1 ? 0 : HF_LTX_SUM_FLAG;
    test_sink_init(sink);
    hf_must(hf_ltx_writer_new(&sink->base, &h, &w, &err), &err);
    for (uint32_t pgno = first; pgno <= commit; pgno++) {
        hf_put_be32(page, pgno);
        if (pgno != hf_ltx_lock_page(65536))
            hf_must(hf_ltx_writer_page(w, pgno, hf_slice(page, 65536), &err), &err);
    }
    hf_must(hf_ltx_writer_finish(w, hf_ltx_writer_sum(w), &err), &err);
}

static void files_past_the_lock_page_leave_it_out(void **state)
{
    static const struct {
        uint64_t txid;
        uint32_t first;
        uint32_t commit;
        unsigned pages_count;
    } cases[] = {{2, 16383, 16387, 4}, {1, 1, 16386, 16385}, {1, 1, 16385, 16384}};
    struct hf_pool *pool = hf_pool_new(2);

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        HF_CLEANUP(test_sink_done) struct test_sink sink;
        struct test_source source;
        struct span span = {0};
        struct hf_err err;

        make_past_lock(&sink, cases[i].txid, cases[i].first, cases[i].commit);
        test_source_init(&source, hf_buf_slice(&sink.bytes), "past-lock");
        hf_must(hf_ltx_decode(&source.base, pool, check_span, &span, NULL, NULL, &err), &err);
        assert_int_equal(atomic_load(&span.visits_count), cases[i].pages_count);
        assert_int_equal(atomic_load(&span.wrong_count), 0);
    }
    hf_pool_free(pool);
}

struct nested {
    struct hf_pool *pool;
    struct test_source source;
};

static enum hf_code decode_in_task(void *ctx, struct hf_err *err)
{
    struct nested *n = ctx;

    return hf_ltx_decode(&n->source.base, n->pool, NULL, NULL, NULL, NULL, err);
}

/* Every thread of the pool decodes, and their windows need the same threads. */
static void decoding_inside_pool_tasks_does_not_block(void **state)
{
    const struct large *large = *state;
    struct hf_pool *pool = hf_pool_new(2);
    struct hf_group *group = hf_group_new(pool);
    struct nested tasks[4];
    struct hf_err err;

    for (size_t i = 0; i < HF_ARRAY_LEN(tasks); i++) {
        tasks[i].pool = pool;
        test_source_init(&tasks[i].source, hf_buf_slice(&large->sink.bytes), "nested");
        hf_group_run(group, decode_in_task, &tasks[i]);
    }
    hf_must(hf_group_wait(group, &err), &err);
    hf_group_free(group);
    hf_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_pages_of_every_size_come_back),
        cmocka_unit_test(a_file_without_pages_visits_none),
        cmocka_unit_test(a_large_file_decodes_in_parallel_as_in_one_thread),
        cmocka_unit_test(a_failure_of_any_read_ends_the_decoding),
        cmocka_unit_test(a_refusing_visitor_ends_the_decoding_with_its_code),
        cmocka_unit_test(both_frame_forms_are_read_also_mixed),
        cmocka_unit_test(a_file_of_the_older_library_is_read),
        cmocka_unit_test(malformed_lz4_frames_are_damage),
        cmocka_unit_test(wrong_checksums_are_damage),
        cmocka_unit_test(files_past_the_lock_page_leave_it_out),
        cmocka_unit_test(decoding_inside_pool_tasks_does_not_block),
    };

    return cmocka_run_group_tests(tests, make_large, free_large);
}
