/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_wal.c
 *
 * Goal: the log is read exactly as SQLite wrote it, and bytes that are not those are never taken
 * for it.
 * Method: logs made by lib/wal_maker.h, which SQLite itself is shown to read, and logs that SQLite
 * made; then every byte that is checked is altered, and files end anywhere.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "engine/sqlite/wal.h"
#include "lib/fixture.h"
#include "lib/fs_fault.h"
#include "lib/wal_maker.h"

static const uint32_t salts[2] = {0x01234567, 0x89abcdef};

struct env {
    char *dir;
    char *path;
    struct wal_maker maker;
    struct wal_file file;
};

static void env_begin(struct env *e, bool big_endian, uint32_t page_bytes)
{
    *e = (struct env){.dir = test_tmp_new()};
    e->path = hf_strfmt("%s/x-wal", e->dir);
    wal_maker_begin(&e->maker, big_endian, page_bytes, salts);
}

static void env_open(struct env *e)
{
    struct hf_err err;

    wal_maker_write(&e->maker, e->path);
    hf_must(wal_file_open(hf_fs_system(), e->path, &e->file, &err), &err);
}

static void env_end(struct env *e)
{
    wal_file_close(&e->file);
    wal_maker_done(&e->maker);
    hf_free(e->path);
    test_tmp_remove(e->dir);
}

/* Counts frames, and checks that they come in order. */
struct count {
    uint32_t frames;
    uint32_t first;
    uint32_t stop_at; /* fail at this frame; 0: never */
};

static enum hf_code count_frame(void *ctx, const struct wal_frame *f, struct hf_err *err)
{
    struct count *c = ctx;

    assert_int_equal(f->frame, c->first + c->frames);
    assert_int_equal(f->pgno, f->frame % 5 + 1);
    assert_int_equal(f->commit, f->frame % 3 == 0 ? 5 : 0);
    if (f->frame == c->stop_at)
        return hf_err_set(err, HF_CANCELED, "enough");
    c->frames++;
    return HF_OK;
}

static void make_frames(struct wal_maker *m, uint32_t n)
{
    for (uint32_t i = m->end.frame + 1; i <= n; i++)
        wal_maker_frame(m, i % 5 + 1, i % 3 == 0 ? 5 : 0, i * 1000);
}

static void frames_are_read_in_both_byte_orders_and_all_page_sizes(void **state)
{
    (void)state;
    for (uint32_t page_bytes = 512; page_bytes <= 65536; page_bytes *= 2) {
        for (int big_endian = 0; big_endian < 2; big_endian++) {
            struct env e;
            struct wal_header h;
            struct count c = {.first = 1};
            struct hf_err err;

            env_begin(&e, big_endian != 0, page_bytes);
            const struct wal_position start = e.maker.end;

            make_frames(&e.maker, 36); /* with the largest pages more than one chunk */
            env_open(&e);
            hf_must(wal_read_header(&e.file, &h, &err), &err);
            assert_int_equal(h.page_bytes, page_bytes);
            assert_int_equal(h.big_endian, big_endian != 0);
            assert_memory_equal(h.salt, salts, sizeof(salts));
            hf_must(wal_read_chain(&e.file, &h, &start, &e.maker.end, count_frame, &c, &err), &err);
            assert_int_equal(c.frames, 36);
            env_end(&e);
        }
    }
}

static void a_chain_goes_on_from_any_frame(void **state)
{
    struct env e;
    struct wal_header h;
    struct wal_position at[21];
    struct hf_err err;

    (void)state;
    env_begin(&e, false, 1024);
    at[0] = e.maker.end;
    for (uint32_t i = 1; i <= 20; i++) {
        make_frames(&e.maker, i);
        at[i] = e.maker.end;
    }
    env_open(&e);
    hf_must(wal_read_header(&e.file, &h, &err), &err);
    for (uint32_t from = 0; from <= 20; from++) {
        for (uint32_t to = from; to <= 20; to++) {
            struct count c = {.first = from + 1};

            hf_must(wal_read_chain(&e.file, &h, &at[from], &at[to], count_frame, &c, &err), &err);
            assert_int_equal(c.frames, to - from);
        }
        uint8_t head[WAL_FRAME_HEADER_BYTES];

        if (from == 0)
            continue;
        hf_must(wal_read_frame_header(&e.file, 1024, from, head, &err), &err);
        for (uint32_t other = 1; other <= 20; other++)
            assert_int_equal(wal_frame_is_at(head, &at[other]), other == from);
    }
    env_end(&e);
}

static void a_page_is_read_from_its_frame(void **state)
{
    struct env e;
    uint8_t page[2048];
    struct hf_err err;

    (void)state;
    env_begin(&e, false, 2048);
    make_frames(&e.maker, 9);
    env_open(&e);
    for (uint32_t frame = 1; frame <= 9; frame++) {
        hf_must(wal_read_page(&e.file, 2048, frame, page, &err), &err);
        assert_int_equal(hf_get_be32(page), frame * 1000);
        assert_int_equal(hf_get_be32(page + 4), frame * 1000 + 4 * 2654435761U);
    }
    assert_int_equal(wal_read_page(&e.file, 2048, 10, page, &err), HF_DAMAGE);
    env_end(&e);
}

/* SQLite takes the log that wal_maker.h made, frame by frame: so it is one. */
static void sqlite_reads_what_the_tests_make(void **state)
{
    (void)state;
    for (int big_endian = 0; big_endian < 2; big_endian++) {
        struct env e;
        HF_AUTO_FREE uint8_t *first = hf_calloc(1, 4096);
        sqlite3 *db = NULL;
        int log = 0;
        struct hf_err err;

        env_begin(&e, big_endian != 0, 4096);
        HF_AUTO_FREE char *db_path = hf_strfmt("%s/x", e.dir);

        assert_int_equal(sqlite3_open(db_path, &db), SQLITE_OK);
        assert_int_equal(
            sqlite3_exec(db, "PRAGMA journal_mode=wal; CREATE TABLE t(a)", NULL, NULL, NULL),
            SQLITE_OK);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        HF_AUTO_BUF image = {0};

        hf_must(hf_fs_read_all(hf_fs_system(), db_path, 1U << 20, &image, &err), &err);
        (void)memcpy(first, image.ptr, 4096);
        for (uint32_t i = 1; i <= 3; i++) {
            hf_put_be32(first + 60, i); /* user_version */
            wal_maker_page(&e.maker, 1, 2, hf_slice(first, 4096));
        }
        wal_maker_write(&e.maker, e.path);
        assert_int_equal(sqlite3_open(db_path, &db), SQLITE_OK);
        sqlite3_stmt *stmt = NULL;

        assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &stmt, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
        assert_int_equal(sqlite3_column_int(stmt, 0), 3);
        (void)sqlite3_finalize(stmt);
        assert_int_equal(sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, &log, NULL),
                         SQLITE_OK);
        assert_int_equal(log, 3);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        env_end(&e);
    }
}

static void an_altered_header_is_damage(void **state)
{
    (void)state;
    for (size_t at = 0; at < WAL_HEADER_BYTES; at++) {
        struct env e;
        struct wal_header h;
        struct hf_err err;

        env_begin(&e, false, 4096);
        e.maker.bytes.ptr[at] ^= 0x10;
        env_open(&e);
        assert_int_equal(wal_read_header(&e.file, &h, &err), HF_DAMAGE);
        env_end(&e);
    }
}

/* Page sizes that no database has, in a header whose checksum is right. */
static void an_impossible_page_size_is_damage(void **state)
{
    static const uint32_t sizes[] = {0, 1, 256, 513, 3000, 65535, 131072};

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(sizes); i++) {
        struct env e;
        struct wal_header h;
        struct hf_err err;

        env_begin(&e, false, sizes[i]);
        env_open(&e);
        assert_int_equal(wal_read_header(&e.file, &h, &err), HF_DAMAGE);
        env_end(&e);
    }
}

static void an_altered_frame_breaks_the_chain(void **state)
{
    (void)state;
    for (size_t at = WAL_HEADER_BYTES; at < WAL_HEADER_BYTES + 3 * (24 + 512); at++) {
        struct env e;
        struct wal_header h;
        struct count c = {.first = 1};
        struct hf_err err;

        env_begin(&e, false, 512);
        const struct wal_position start = e.maker.end;

        make_frames(&e.maker, 3);
        env_open(&e);
        hf_must(wal_read_header(&e.file, &h, &err), &err);
        wal_file_close(&e.file);
        e.maker.bytes.ptr[at] ^= 0x01;
        env_open(&e);
        assert_int_equal(wal_read_chain(&e.file, &h, &start, &e.maker.end, count_frame, &c, &err),
                         HF_DAMAGE);
        assert_true(c.frames <= (at - WAL_HEADER_BYTES) / (24 + 512));
        env_end(&e);
    }
}

static void a_chain_that_leads_elsewhere_is_damage(void **state)
{
    struct env e;
    struct wal_header h;
    struct count c = {.first = 1};
    struct hf_err err;

    (void)state;
    env_begin(&e, false, 512);
    struct wal_position start = e.maker.end;

    make_frames(&e.maker, 4);
    env_open(&e);
    hf_must(wal_read_header(&e.file, &h, &err), &err);
    struct wal_position end = e.maker.end;

    end.cksum[1] ^= 1;
    assert_int_equal(wal_read_chain(&e.file, &h, &start, &end, count_frame, &c, &err), HF_DAMAGE);
    assert_non_null(strstr(err.text, "not the one in the wal-index"));
    end = e.maker.end;
    end.frame = 5;
    c = (struct count){.first = 1};
    assert_int_equal(wal_read_chain(&e.file, &h, &start, &end, count_frame, &c, &err), HF_DAMAGE);
    assert_non_null(strstr(err.text, "in the middle of a frame"));
    h.salt[0]++;
    c = (struct count){.first = 1};
    assert_int_equal(wal_read_chain(&e.file, &h, &start, &e.maker.end, count_frame, &c, &err),
                     HF_DAMAGE);
    assert_non_null(strstr(err.text, "another generation"));
    env_end(&e);
}

static void page_0_is_never_a_page(void **state)
{
    struct env e;
    struct wal_header h;
    struct count c = {.first = 1};
    struct hf_err err;

    (void)state;
    env_begin(&e, false, 512);
    const struct wal_position start = e.maker.end;

    wal_maker_frame(&e.maker, 0, 1, 1);
    env_open(&e);
    hf_must(wal_read_header(&e.file, &h, &err), &err);
    assert_int_equal(wal_read_chain(&e.file, &h, &start, &e.maker.end, count_frame, &c, &err),
                     HF_DAMAGE);
    env_end(&e);
}

/* Where a file ends decides what can be read, and nothing behind its end is made up. */
static void a_file_may_end_anywhere(void **state)
{
    struct env e;
    struct hf_err err;

    (void)state;
    env_begin(&e, false, 512);
    const struct wal_position start = e.maker.end;

    make_frames(&e.maker, 2);
    const size_t whole = e.maker.bytes.len;

    for (size_t len = 0; len < whole; len += 13) {
        struct wal_header h;
        struct count c = {.first = 1};

        e.maker.bytes.len = len;
        env_open(&e);
        const enum hf_code rc = wal_read_header(&e.file, &h, &err);

        assert_int_equal(rc, len < WAL_HEADER_BYTES ? HF_NOT_FOUND : HF_OK);
        if (rc == HF_OK)
            assert_int_equal(
                wal_read_chain(&e.file, &h, &start, &e.maker.end, count_frame, &c, &err),
                HF_DAMAGE);
        wal_file_close(&e.file);
    }
    env_end(&e);
}

static void failures_are_passed_on(void **state)
{
    struct env e;
    struct wal_header h;
    struct fs_fault fault;
    struct count c = {.first = 1, .stop_at = 2};
    struct hf_err err;

    (void)state;
    env_begin(&e, false, 512);
    const struct wal_position start = e.maker.end;

    make_frames(&e.maker, 3);
    env_open(&e);
    hf_must(wal_read_header(&e.file, &h, &err), &err);
    assert_int_equal(wal_read_chain(&e.file, &h, &start, &e.maker.end, count_frame, &c, &err),
                     HF_CANCELED);
    assert_int_equal(c.frames, 1);
    wal_file_close(&e.file);

    fs_fault_init(&fault, hf_fs_system());
    for (uint64_t i = 1; i <= 4; i++) {
        c = (struct count){.first = 1};
        fs_fault_arm(&fault, (struct fs_fault_plan){.fail_at = i});
        enum hf_code rc = wal_file_open(&fault.base, e.path, &e.file, &err);

        if (rc == HF_OK)
            rc = wal_read_header(&e.file, &h, &err);
        if (rc == HF_OK)
            rc = wal_read_chain(&e.file, &h, &start, &e.maker.end, count_frame, &c, &err);
        assert_int_equal(rc, HF_IO);
        wal_file_close(&e.file);
    }
    fs_fault_done(&fault);
    assert_int_equal(wal_file_open(hf_fs_system(), "/nonexistent/x-wal", &e.file, &err),
                     HF_NOT_FOUND);
    env_end(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_read_in_both_byte_orders_and_all_page_sizes),
        cmocka_unit_test(a_chain_goes_on_from_any_frame),
        cmocka_unit_test(a_page_is_read_from_its_frame),
        cmocka_unit_test(sqlite_reads_what_the_tests_make),
        cmocka_unit_test(an_altered_header_is_damage),
        cmocka_unit_test(an_impossible_page_size_is_damage),
        cmocka_unit_test(an_altered_frame_breaks_the_chain),
        cmocka_unit_test(a_chain_that_leads_elsewhere_is_damage),
        cmocka_unit_test(page_0_is_never_a_page),
        cmocka_unit_test(a_file_may_end_anywhere),
        cmocka_unit_test(failures_are_passed_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
