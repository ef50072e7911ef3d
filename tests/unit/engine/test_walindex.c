/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_walindex.c
 *
 * Goal: a wal-index header is read whole or not at all, and nBackfill with the header it belongs
 * to. Method: headers made here are altered byte by byte; a thread changes one as SQLite does,
 * while it is read; and what SQLite keeps in shared memory is compared with what it tells.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/bytes.h"
#include "base/fs.h"
#include "engine/sqlite/conn.h"
#include "engine/sqlite/wal.h"
#include "lib/fixture.h"

#define SHM_BYTES      136
#define BACKFILL_AT    96
#define GENERATIONS    100000
#define FRAMES_OF(g)   ((g) % 50 + 1)
#define BIG_PAGE_BYTES 65536

static void put_native(uint8_t *dst, uint32_t v)
{
    (void)memcpy(dst, &v, sizeof(v));
}

/* One copy of a header, "WAL-mode File Format", section 2.1. */
static void make_header(uint8_t dst[WALINDEX_HEADER_BYTES], uint32_t change, uint32_t generation,
                        uint32_t frames, uint32_t page_bytes)
{
    const uint16_t page_size = (uint16_t)(page_bytes == BIG_PAGE_BYTES ? 1 : page_bytes);
    uint32_t words[12];

    (void)memset(dst, 0, WALINDEX_HEADER_BYTES);
    put_native(dst, WALINDEX_VERSION);
    put_native(dst + 8, change);
    dst[12] = 1;
    (void)memcpy(dst + 14, &page_size, sizeof(page_size));
    put_native(dst + 16, frames);
    put_native(dst + 20, 77);
    put_native(dst + 24, 0xaaaa0000 + frames);
    put_native(dst + 28, 0xbbbb0000 + frames);
    hf_put_be32(dst + 32, generation);
    hf_put_be32(dst + 36, ~generation);
    (void)memcpy(words, dst, sizeof(words));
    uint32_t s0 = 0;
    uint32_t s1 = 0;

    for (int i = 0; i < 10; i += 2) {
        s0 += words[i] + s1;
        s1 += words[i + 1] + s0;
    }
    put_native(dst + 40, s0);
    put_native(dst + 44, s1);
}

static void make_shm(uint8_t shm[SHM_BYTES], uint32_t page_bytes)
{
    (void)memset(shm, 0, SHM_BYTES);
    make_header(shm, 12, 345, 67, page_bytes);
    (void)memcpy(shm + WALINDEX_HEADER_BYTES, shm, WALINDEX_HEADER_BYTES);
    put_native(shm + BACKFILL_AT, 66);
}

static void a_header_is_read_field_by_field(void **state)
{
    (void)state;
    for (uint32_t page_bytes = 512; page_bytes <= BIG_PAGE_BYTES; page_bytes *= 2) {
        _Alignas(8) uint8_t shm[SHM_BYTES];
        struct walindex w;

        make_shm(shm, page_bytes);
        assert_true(walindex_read(shm, &w));
        assert_int_equal(w.version, WALINDEX_VERSION);
        assert_int_equal(w.change, 12);
        assert_int_equal(w.page_bytes, page_bytes);
        assert_int_equal(w.backfill, 66);
        assert_int_equal(w.end.frame, 67);
        assert_int_equal(w.end.commit, 77);
        assert_int_equal(w.end.salt[0], 345);
        assert_int_equal(w.end.salt[1], ~345U);
        assert_int_equal(w.end.cksum[0], 0xaaaa0000 + 67);
        assert_int_equal(w.end.cksum[1], 0xbbbb0000 + 67);
    }
}

static void copies_that_differ_are_not_read(void **state)
{
    (void)state;
    for (size_t at = 0; at < 2 * WALINDEX_HEADER_BYTES; at++) {
        _Alignas(8) uint8_t shm[SHM_BYTES];
        struct walindex w;

        make_shm(shm, 4096);
        shm[at] ^= 0x20;
        assert_false(walindex_read(shm, &w));
    }
}

static void a_wrong_checksum_is_not_read(void **state)
{
    (void)state;
    for (size_t at = 0; at < WALINDEX_HEADER_BYTES; at++) {
        _Alignas(8) uint8_t shm[SHM_BYTES];
        struct walindex w;

        make_shm(shm, 4096);
        shm[at] ^= 0x20;
        shm[at + WALINDEX_HEADER_BYTES] ^= 0x20;
        assert_false(walindex_read(shm, &w));
    }
}

static void an_uninitialised_header_is_not_read(void **state)
{
    _Alignas(8) uint8_t shm[SHM_BYTES] = {0}; /* its checksum, of zeros, is right */
    struct walindex w;

    (void)state;
    assert_false(walindex_read(shm, &w));
}

static void only_the_same_commit_is_the_same(void **state)
{
    const struct walindex a = {.change = 1, .end = {.salt = {1, 2}, .frame = 3, .cksum = {4, 5}}};

    (void)state;
    assert_true(walindex_same(&a, &a));
    for (int i = 0; i < 7; i++) {
        struct walindex b = a;

        b.change += i == 0;
        b.end.salt[0] += i == 1;
        b.end.salt[1] += i == 2;
        b.end.frame += i == 3;
        b.end.cksum[0] += i == 4;
        b.end.cksum[1] += i == 5;
        b.end.commit += i == 6;
        assert_false(walindex_same(&a, &b));
    }
}

/* ---- while it changes ---------------------------------------------------------------------- */

struct shared {
    _Alignas(8) uint8_t shm[SHM_BYTES];
    atomic_bool over;
};

/* The other process, for which the sanitizer has no eyes either. */
__attribute__((no_sanitize("thread"))) static void store(uint8_t *dst, const uint8_t *src,
                                                         size_t len)
{
    for (size_t i = 0; i < len; i += 4) {
        uint32_t v;

        (void)memcpy(&v, src + i, sizeof(v));
        *(volatile uint32_t *)(void *)(dst + i) = v;
    }
}

static void put_header(struct shared *s, uint32_t change, uint32_t generation, uint32_t frames)
{
    uint8_t h[WALINDEX_HEADER_BYTES];

    make_header(h, change, generation, frames, 4096);
    store(s->shm + WALINDEX_HEADER_BYTES, h, sizeof(h));
    atomic_thread_fence(memory_order_seq_cst);
    store(s->shm, h, sizeof(h));
    atomic_thread_fence(memory_order_seq_cst);
}

static void put_backfill(struct shared *s, uint32_t frames)
{
    uint8_t b[4];

    put_native(b, frames);
    store(s->shm + BACKFILL_AT, b, sizeof(b));
    atomic_thread_fence(memory_order_seq_cst);
}

/* Commit, backfill, a commit that says so (an even change), restart: again and again. */
static void *live(void *ctx)
{
    struct shared *s = ctx;

    for (uint32_t g = 1; g <= GENERATIONS; g++) {
        put_header(s, 2 * g - 1, g, 0);
        put_backfill(s, 0);
        put_header(s, 2 * g - 1, g, FRAMES_OF(g));
        put_backfill(s, FRAMES_OF(g));
        put_header(s, 2 * g, g, FRAMES_OF(g));
    }
    atomic_store(&s->over, true);
    return NULL;
}

static void a_header_comes_with_its_own_backfill(void **state)
{
    static struct shared s;
    pthread_t thread;
    uint64_t whole = 0;

    (void)state;
    put_header(&s, 0, 0, FRAMES_OF(0));
    put_backfill(&s, FRAMES_OF(0));
    assert_int_equal(pthread_create(&thread, NULL, live, &s), 0);
    while (!atomic_load(&s.over)) {
        struct walindex w;

        if (!walindex_read(s.shm, &w))
            continue;
        whole++;
        if (w.end.salt[1] != ~w.end.salt[0] || w.change / 2 + w.change % 2 != w.end.salt[0])
            fail_msg("a header that never was: change %u, generation %u", w.change, w.end.salt[0]);
        if (w.change % 2 == 0 && w.backfill != FRAMES_OF(w.end.salt[0]))
            fail_msg("generation %u: backfill %u", w.end.salt[0], w.backfill);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(whole > 0);
}

/* ---- SQLite's own -------------------------------------------------------------------------- */

static void exec(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static void sqlites_header_says_what_sqlite_says(void **state)
{
    char *dir = test_tmp_new();
    HF_AUTO_FREE char *db_path = hf_strfmt("%s/x.db", dir);
    HF_AUTO_FREE char *wal_path = hf_strfmt("%s-wal", db_path);
    sqlite3 *db = NULL;
    struct conn c;
    struct hf_err err;

    (void)state;
    assert_int_equal(sqlite3_open(db_path, &db), SQLITE_OK);
    exec(db,
         "PRAGMA page_size=1024; PRAGMA journal_mode=wal; PRAGMA wal_autocheckpoint=0;"
         "CREATE TABLE t(a)");
    hf_must(conn_open(db_path, &c, &err), &err);
    for (int i = 0; i < 20; i++) {
        struct walindex w;
        struct wal_file file;
        struct wal_header h;
        uint8_t head[WAL_FRAME_HEADER_BYTES];
        uint32_t pages = 0;
        int log = -1;
        int done = -1;

        exec(db, "INSERT INTO t VALUES(randomblob(3000))");
        if (i % 3 == 0)
            assert_int_equal(
                sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, &log, &done),
                SQLITE_OK);
        hf_must(conn_walindex(&c, &w, &err), &err);
        if (i % 3 == 0) {
            assert_int_equal(w.end.frame, log);
            assert_int_equal(w.backfill, done);
        }
        hf_must(conn_pragma(&c, "PRAGMA page_count", &pages, &err), &err);
        assert_int_equal(w.end.commit, pages);
        assert_int_equal(w.page_bytes, 1024);
        hf_must(wal_file_open(hf_fs_system(), wal_path, &file, &err), &err);
        hf_must(wal_read_header(&file, &h, &err), &err);
        assert_memory_equal(h.salt, w.end.salt, sizeof(h.salt));
        hf_must(wal_read_frame_header(&file, 1024, w.end.frame, head, &err), &err);
        assert_true(wal_frame_is_at(head, &w.end));
        wal_file_close(&file);
    }
    conn_close(&c);
    (void)sqlite3_close(db);
    test_tmp_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_is_read_field_by_field),
        cmocka_unit_test(copies_that_differ_are_not_read),
        cmocka_unit_test(a_wrong_checksum_is_not_read),
        cmocka_unit_test(an_uninitialised_header_is_not_read),
        cmocka_unit_test(only_the_same_commit_is_the_same),
        cmocka_unit_test(a_header_comes_with_its_own_backfill),
        cmocka_unit_test(sqlites_header_says_what_sqlite_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
