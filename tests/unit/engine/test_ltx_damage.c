/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: whatever happens to a file's bytes, decoding gives an error or exactly the pages that went
 * in, and never crashes or takes memory on the file's word.
 * Method: every bit of small files flipped, every length they can be cut to, bytes put behind
 * them, random damage of several bytes at once; the model of pages as oracle.
 */
#include "base/bytes.h"
#include "engine/sqlite/ltx/ltx_merge.h"
#include "engine/sqlite/ltx/ltx_reader.h"
#include "lib/ltx_fixture.h"

#define PAGES_COUNT 4

struct setup {
    struct hf_pool *pool; /* without threads */
    struct test_db db;
    struct test_sink ours;  /* tracked, our root and format, block form */
    struct test_raw theirs; /* NoChecksum, both frame forms */
};

static void make_theirs(struct setup *s)
{
    struct hf_ltx_header h = test_header(512, PAGES_COUNT);

    h.flags = HF_LTX_NO_CHECKSUM;
    test_raw_begin(&s->theirs, &h);
    for (uint32_t pgno = 1; pgno <= PAGES_COUNT; pgno++) {
        const struct hf_slice page = hf_slice(s->db.pages[pgno], 512);
        HF_AUTO_BUF frame = {0};

        if (pgno % 2 == 0)
            test_frame_v2(&frame, pgno, page);
        else
            test_frame_literal(&frame, pgno, page);
        test_raw_frame(&s->theirs, pgno, hf_buf_slice(&frame), page);
    }
    test_raw_end(&s->theirs, 0);
}

static int set_up(void **state)
{
    struct setup *s = hf_calloc(1, sizeof(*s));
    struct hf_ltx_header h = test_header(512, PAGES_COUNT);
    struct hf_rand r = hf_rand_seeded(8);
    uint8_t page[512];

    h.format = HF_LTX_FORMAT;
    h.root = (struct hf_root){.hi = 1, .lo = 2};
    s->pool = hf_pool_new(0);
    test_db_init(&s->db, 512, PAGES_COUNT);
    for (uint32_t pgno = 1; pgno <= PAGES_COUNT; pgno++) {
        test_page_fill(&r, pgno, page, sizeof(page));
        test_db_put(&s->db, pgno, page);
    }
    test_sink_init(&s->ours);
    test_db_write(&s->db, &h, test_db_sum(&s->db), &s->ours);
    make_theirs(s);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct setup *s = *state;

    hf_pool_free(s->pool);
    test_db_done(&s->db);
    test_sink_done(&s->ours);
    test_raw_done(&s->theirs);
    hf_free(s);
    return 0;
}

static struct hf_slice file_of(const struct setup *s, unsigned which)
{
    return which == 0 ? hf_buf_slice(&s->ours.bytes) : hf_buf_slice(&s->theirs.file);
}

/* Decode; on success the pages must be those of the model. True if it succeeded. */
static bool decodes_unharmed(const struct setup *s, struct hf_slice file)
{
    HF_CLEANUP(test_db_done) struct test_db got;
    struct test_source source;
    struct hf_err err;

    test_source_init(&source, file, "damaged");
    test_db_init(&got, 512, 2 * PAGES_COUNT);
    const enum hf_code rc =
        hf_ltx_decode(&source.base, s->pool, test_db_visit, &got, NULL, NULL, &err);

    if (rc != HF_OK) {
        /* HF_USAGE comes from the visitor, at a page size or number that the model has not. */
        assert_true(rc == HF_DAMAGE || rc == HF_UNSUPPORTED || rc == HF_USAGE);
        assert_true(err.text[0] != '\0');
        return false;
    }
    for (uint32_t pgno = 1; pgno <= PAGES_COUNT; pgno++) {
        assert_non_null(got.pages[pgno]);
        assert_memory_equal(got.pages[pgno], s->db.pages[pgno], 512);
    }
    for (uint32_t pgno = PAGES_COUNT + 1; pgno <= 2 * PAGES_COUNT; pgno++)
        assert_null(got.pages[pgno]);
    return true;
}

/* Merging a damaged file alone must come to the same verdict as decoding it. */
static bool merges(struct hf_slice file)
{
    HF_CLEANUP(test_sink_done) struct test_sink sink;
    struct test_source source;
    struct hf_source *inputs[1] = {&source.base};
    struct hf_err err;

    test_source_init(&source, file, "damaged");
    test_sink_init(&sink);
    return hf_ltx_merge(inputs, 1, 1, &sink.base, NULL, &err) == HF_OK;
}

static void files_that_are_whole_decode(void **state)
{
    const struct setup *s = *state;

    for (unsigned which = 0; which < 2; which++) {
        assert_true(decodes_unharmed(s, file_of(s, which)));
        assert_true(merges(file_of(s, which)));
    }
}

static void any_flipped_bit_is_an_error_or_harmless(void **state)
{
    const struct setup *s = *state;

    for (unsigned which = 0; which < 2; which++) {
        const struct hf_slice file = file_of(s, which);
        unsigned harmless_count = 0;

        for (size_t at = 0; at < file.len; at++) {
            for (unsigned bit = 0; bit < 8; bit++) {
                HF_AUTO_BUF copy = {0};

                hf_buf_append(&copy, file.ptr, file.len);
                copy.ptr[at] ^= (uint8_t)(1u << bit);
                const bool unharmed = decodes_unharmed(s, hf_buf_slice(&copy));

                assert_int_equal(unharmed, merges(hf_buf_slice(&copy)));
                harmless_count += unharmed ? 1 : 0;
            }
        }
        /* Only the compressed payload has bits that mean nothing, and few of them. */
        assert_true(harmless_count < file.len / 10);
    }
}

static void any_shorter_length_is_an_error(void **state)
{
    const struct setup *s = *state;

    for (unsigned which = 0; which < 2; which++) {
        const struct hf_slice file = file_of(s, which);

        for (size_t len = 0; len < file.len; len++) {
            HF_AUTO_BUF copy = {0}; /* of its own length, so that reading past it is seen */

            hf_buf_append(&copy, file.ptr, len);
            assert_false(decodes_unharmed(s, hf_buf_slice(&copy)));
            assert_false(merges(hf_buf_slice(&copy)));
        }
    }
}

static void bytes_behind_the_trailer_are_an_error(void **state)
{
    const struct setup *s = *state;

    for (unsigned which = 0; which < 2; which++) {
        for (size_t more = 1; more <= 64; more++) {
            HF_AUTO_BUF copy = {0};

            hf_buf_append(&copy, file_of(s, which).ptr, file_of(s, which).len);
            (void)memset(hf_buf_extend(&copy, more), 0, more);
            assert_false(decodes_unharmed(s, hf_buf_slice(&copy)));
        }
    }
}

/* Overwrite a few random places with values that tend to matter. */
static void harm(struct hf_rand *r, struct hf_buf *file)
{
    static const uint64_t values[] = {0, 1, 0x7f, 0x80, 0xff, UINT32_MAX, INT64_MAX, UINT64_MAX};

    for (uint64_t n = hf_rand_below(r, 4) + 1; n > 0; n--) {
        const size_t at = hf_rand_below(r, file->len - 8);
        const uint64_t value = values[hf_rand_below(r, HF_ARRAY_LEN(values))];

        switch (hf_rand_below(r, 3)) {
        case 0:
            file->ptr[at] = (uint8_t)value;
            break;
        case 1:
            hf_put_be32(file->ptr + at, (uint32_t)value);
            break;
        default:
            hf_put_be64(file->ptr + at, value);
            break;
        }
    }
}

static void random_damage_is_an_error_or_harmless(void **state)
{
    const struct setup *s = *state;
    struct hf_rand r = hf_rand_seeded(77);

    for (unsigned i = 0; i < 20000; i++) {
        HF_AUTO_BUF copy = {0};

        hf_buf_append(&copy, file_of(s, i % 2).ptr, file_of(s, i % 2).len);
        harm(&r, &copy);
        assert_int_equal(decodes_unharmed(s, hf_buf_slice(&copy)), merges(hf_buf_slice(&copy)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_that_are_whole_decode),
        cmocka_unit_test(any_flipped_bit_is_an_error_or_harmless),
        cmocka_unit_test(any_shorter_length_is_an_error),
        cmocka_unit_test(bytes_behind_the_trailer_are_an_error),
        cmocka_unit_test(random_damage_is_an_error_or_harmless),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
