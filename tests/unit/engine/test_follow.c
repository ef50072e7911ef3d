/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_follow.c
 *
 * Goal: of a stretch of the log exactly what changed is captured: the last image of each page that
 * is there at its end, and every page that was not there all the way, with or without a frame.
 * Method: a table of stretches made by lib/wal_maker.h, and random ones against a model that
 * remembers, page by page, what a reader would see.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/rand.h"
#include "engine/sqlite/follow.h"
#include "lib/fixture.h"
#include "lib/wal_maker.h"

#define FRAMES_MAX 120
#define PAGES_MAX  40
#define PAGE_BYTES 512

static const uint32_t salts[2] = {3, 4};

struct made {
    uint32_t pgno;
    uint32_t commit; /* 0: not the end of a transaction */
};

/* Frames 1..count as a log, and the stretch behind frame `from` of a database of `old_commit`. */
static enum hf_code read_stretch(const struct made *frames, size_t count, uint32_t from,
                                 uint32_t old_commit, uint32_t page_bytes, struct stretch *ret,
                                 struct hf_err *err)
{
    char *dir = test_tmp_new();
    HF_AUTO_FREE char *path = hf_strfmt("%s/x-wal", dir);
    struct wal_maker m;
    struct wal_file file;
    struct wal_header h;
    struct wal_position start;

    wal_maker_begin(&m, false, page_bytes, salts);
    start = m.end;
    for (size_t i = 0; i < count; i++) {
        wal_maker_frame(&m, frames[i].pgno, frames[i].commit, (uint32_t)i + 1);
        if (i + 1 == from)
            start = m.end;
    }
    wal_maker_write(&m, path);
    hf_must(wal_file_open(hf_fs_system(), path, &file, err), err);
    hf_must(wal_read_header(&file, &h, err), err);
    const enum hf_code rc = stretch_read(&file, &h, &start, &m.end, old_commit, ret, err);

    wal_file_close(&file);
    wal_maker_done(&m);
    test_tmp_remove(dir);
    return rc;
}

/* "page:frame page:frame ...", 0 for a page without a frame. */
static void print_stretch(const struct stretch *s, char *dst, size_t len)
{
    size_t at = 0;

    dst[0] = '\0';
    for (size_t i = 0; i < s->count && at < len; i++) {
        assert_int_equal(s->pgnos[i], s->refs[i].pgno);
        at += (size_t)snprintf(dst + at, len - at, "%s%u:%u", i > 0 ? " " : "", s->refs[i].pgno,
                               s->refs[i].frame);
    }
}

static void what_changed_is_found(void **state)
{
    static const struct {
        const char *what;
        struct made frames[8];
        uint32_t from;
        uint32_t old_commit;
        const char *expected;
    } cases[] = {
        {"nothing", {{1, 3}}, 1, 3, ""},
        {"the newest frame of a page", {{1, 0}, {2, 3}, {1, 0}, {2, 3}, {1, 3}}, 0, 3, "1:5 2:4"},
        {"only what is behind", {{1, 0}, {2, 3}, {1, 0}, {3, 3}}, 2, 3, "1:3 3:4"},
        {"growth with frames", {{1, 0}, {4, 0}, {5, 5}}, 0, 3, "1:1 4:2 5:3"},
        {"growth without frames", {{1, 6}}, 0, 3, "1:1 4:0 5:0 6:0"},
        {"a page cut off again", {{1, 0}, {9, 9}, {1, 5}}, 0, 3, "1:3 4:0 5:0"},
        {"frames behind the end", {{1, 0}, {2, 0}, {3, 2}}, 0, 3, "1:1 2:2"},
        {"shrunk", {{1, 2}}, 0, 9, "1:1"},
        {"shrunk and grown again", {{1, 2}, {1, 5}}, 0, 6, "1:2 3:0 4:0 5:0"},
        {"the same over two captures", {{1, 2}, {1, 5}}, 1, 2, "1:2 3:0 4:0 5:0"},
        {"an older image comes back", {{4, 0}, {1, 4}, {1, 2}, {1, 5}}, 3, 2, "1:4 3:0 4:1 5:0"},
        {"unless it has a newer one",
         {{4, 0}, {1, 4}, {1, 2}, {4, 0}, {1, 5}},
         3,
         2,
         "1:5 3:0 4:4 5:0"},
        {"a first page", {{1, 1}}, 0, 0, "1:1"},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        HF_CLEANUP(stretch_done) struct stretch s = {0};
        char found[200];
        size_t count = 0;
        struct hf_err err;

        while (count < HF_ARRAY_LEN(cases[i].frames) && cases[i].frames[count].pgno != 0)
            count++;
        hf_must(read_stretch(cases[i].frames, count, cases[i].from, cases[i].old_commit, PAGE_BYTES,
                             &s, &err),
                &err);
        print_stretch(&s, found, sizeof(found));
        if (strcmp(found, cases[i].expected) != 0)
            fail_msg("%s: expected %s, found %s", cases[i].what, cases[i].expected, found);
    }
}

static void the_lock_page_is_never_captured(void **state)
{
    const uint32_t lock_page = hf_ltx_lock_page(65536);
    const struct made frames[] = {{1, 0}, {lock_page, 0}, {lock_page + 1, lock_page + 2}};
    HF_CLEANUP(stretch_done) struct stretch s = {0};
    char found[100];
    char expected[100];
    struct hf_err err;

    (void)state;
    hf_must(read_stretch(frames, HF_ARRAY_LEN(frames), 0, lock_page - 1, 65536, &s, &err), &err);
    print_stretch(&s, found, sizeof(found));
    (void)snprintf(expected, sizeof(expected), "1:1 %u:3 %u:0", lock_page + 1, lock_page + 2);
    assert_string_equal(found, expected);
}

static void a_stretch_must_end_with_a_transaction(void **state)
{
    static const struct made frames[] = {{1, 3}, {2, 0}};
    HF_CLEANUP(stretch_done) struct stretch s = {0};
    char *dir = test_tmp_new();
    HF_AUTO_FREE char *path = hf_strfmt("%s/x-wal", dir);
    struct wal_maker m;
    struct wal_file file;
    struct wal_header h;
    struct hf_err err;

    (void)state;
    wal_maker_begin(&m, false, PAGE_BYTES, salts);
    const struct wal_position start = m.end;

    for (size_t i = 0; i < HF_ARRAY_LEN(frames); i++)
        wal_maker_frame(&m, frames[i].pgno, frames[i].commit, 1);
    wal_maker_write(&m, path);
    hf_must(wal_file_open(hf_fs_system(), path, &file, &err), &err);
    hf_must(wal_read_header(&file, &h, &err), &err);
    struct wal_position end = m.end;

    end.commit = 3; /* as if the wal-index said so */
    assert_int_equal(stretch_read(&file, &h, &start, &end, 3, &s, &err), HF_DAMAGE);
    assert_non_null(strstr(err.text, "should end a transaction"));
    assert_null(s.refs);
    wal_file_close(&file);
    wal_maker_done(&m);
    test_tmp_remove(dir);
}

/* ---- the model ----------------------------------------------------------------------------- */

/*
 * What a reader sees in each page, as the number of a frame or 0 for the file, and whether it may
 * be another image than at the beginning: because a frame came, or because the page was cut off.
 */
struct model {
    uint32_t frame[PAGES_MAX + 1];
    bool changed[PAGES_MAX + 1];
    uint32_t size;
};

static void model_resize(struct model *m, uint32_t size)
{
    for (uint32_t p = size + 1; p <= PAGES_MAX; p++)
        m->changed[p] = true;
    m->size = size;
}

static void run_model(uint64_t seed)
{
    struct hf_rand rand = hf_rand_seeded(seed);
    struct made frames[FRAMES_MAX];
    struct model m = {.size = 1 + (uint32_t)hf_rand_below(&rand, PAGES_MAX)};
    const size_t count = 1 + (size_t)hf_rand_below(&rand, FRAMES_MAX);
    const uint32_t from_wanted = (uint32_t)hf_rand_below(&rand, count);
    uint32_t from = 0;
    uint32_t old_commit = m.size;
    HF_CLEANUP(stretch_done) struct stretch s = {0};
    struct hf_err err;

    model_resize(&m, m.size);
    for (size_t i = 0; i < count; i++) {
        const bool ends = i + 1 == count || hf_rand_below(&rand, 3) == 0;
        const uint32_t size = 1 + (uint32_t)hf_rand_below(&rand, PAGES_MAX);

        frames[i].pgno = 1 + (uint32_t)hf_rand_below(&rand, PAGES_MAX);
        frames[i].commit = ends ? size : 0;
        m.frame[frames[i].pgno] = (uint32_t)i + 1;
        m.changed[frames[i].pgno] = true;
        if (ends)
            model_resize(&m, size);
        if (ends && from == 0 && i < from_wanted) {
            from = (uint32_t)i + 1; /* capture ended here */
            old_commit = size;
            (void)memset(m.changed, 0, sizeof(m.changed));
            model_resize(&m, size);
        }
    }
    hf_must(read_stretch(frames, count, from, old_commit, PAGE_BYTES, &s, &err), &err);
    size_t at = 0;

    for (uint32_t p = 1; p <= m.size; p++) {
        if (!m.changed[p])
            continue;
        if (at >= s.count || s.refs[at].pgno != p || s.refs[at].frame != m.frame[p])
            fail_msg("seed %llu: page %u should be frame %u", (unsigned long long)seed, p,
                     m.frame[p]);
        at++;
    }
    assert_int_equal(at, s.count);
}

static void random_stretches_are_the_models(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 400; seed++)
        run_model(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_changed_is_found),
        cmocka_unit_test(the_lock_page_is_never_captured),
        cmocka_unit_test(a_stretch_must_end_with_a_transaction),
        cmocka_unit_test(random_stretches_are_the_models),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
