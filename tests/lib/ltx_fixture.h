/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ltx_fixture.h - what the tests of the LTX codec share: a source and a sink in memory that count
 * and fail on demand, made-up pages, and an encoder of its own that is as plain as the format's
 * description and can also make files that break its rules.
 */
#ifndef HF_TESTS_LIB_LTX_FIXTURE_H
#define HF_TESTS_LIB_LTX_FIXTURE_H

#include <stdatomic.h>

#include "base/io.h"
#include "base/rand.h"
#include "engine/sqlite/ltx/ltx_reader.h"
#include "lib/fixture.h"

struct test_source {
    struct hf_source base; /* first, so that the pointers convert */
    struct hf_slice data;  /* borrowed */
    atomic_uint reads_count;
    atomic_ullong bytes_read;
    unsigned fail_at; /* this read fails, counted from 1; 0: none */
};
void test_source_init(struct test_source *s, struct hf_slice data, const char *name);

struct test_sink {
    struct hf_sink base;
    struct hf_buf bytes;
    unsigned writes_count;
    unsigned fail_at; /* this write fails, counted from 1; 0: none */
};
void test_sink_init(struct test_sink *s);
void test_sink_done(struct test_sink *s);

/* Fill a page: by chance zeros, text-like bytes or noise, and always with its number in front, so
 * that no two pages are equal. */
void test_page_fill(struct hf_rand *r, uint32_t pgno, uint8_t *page, uint32_t page_bytes);

/* Append a frame: literal-only LZ4 block, or LZ4 frame with flags 0. */
void test_frame_literal(struct hf_buf *dst, uint32_t pgno, struct hf_slice page);
void test_frame_v2(struct hf_buf *dst, uint32_t pgno, struct hf_slice page);

/* A file under construction. The parts may be changed before test_raw_end(). */
struct test_raw {
    struct hf_ltx_header header;
    struct hf_buf file;
    struct hf_buf index; /* entries, without the terminator */
    uint64_t crc;
    uint64_t sum; /* of the pages */
};
void test_raw_begin(struct test_raw *raw, const struct hf_ltx_header *h);
void test_raw_frame(struct test_raw *raw, uint32_t pgno, struct hf_slice frame,
                    struct hf_slice page);
void test_raw_entry(struct test_raw *raw, uint64_t pgno, uint64_t offset, uint64_t len);
/* End marker, index, trailer with this post checksum; the file is in raw->file. */
void test_raw_end(struct test_raw *raw, uint64_t post_sum);
void test_raw_done(struct test_raw *raw);

/* A header that keeps all rules: a tracked snapshot of TXID 1. */
struct hf_ltx_header test_header(uint32_t page_bytes, uint32_t commit);

/* The pages of a database, by number; pages[0] is not used, an absent page is NULL. */
struct test_db {
    uint32_t page_bytes;
    uint32_t commit;
    uint32_t pages_max;
    uint8_t **pages;
};
void test_db_init(struct test_db *db, uint32_t page_bytes, uint32_t pages_max);
void test_db_done(struct test_db *db);
/* A copy of `page` becomes page `pgno`. */
void test_db_put(struct test_db *db, uint32_t pgno, const uint8_t *page);
void test_db_drop(struct test_db *db, uint32_t pgno);
/* Checksum of all pages that are there, up to commit. */
uint64_t test_db_sum(const struct test_db *db);
/* Write the pages that are there as one file with this header. */
void test_db_write(const struct test_db *db, const struct hf_ltx_header *h, uint64_t post_sum,
                   struct test_sink *sink);
/* Fail unless both hold the same pages. */
void test_db_assert_equal(const struct test_db *a, const struct test_db *b);

/* A visitor (hf_ltx_visit_fn) whose ctx is a struct test_db: puts each page, once. */
enum hf_code test_db_visit(void *ctx, const struct hf_ltx_run *run, struct hf_err *err);

#endif
