/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_text.c
 *
 * Goal: numbers read as people write them, paragraphs and tables keep to their columns, the picture
 * of an archive shows every hole. Method: tables of values; properties of random texts.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rand.h"
#include "cli/bar.h"
#include "cli/text.h"
#include "cli/timeline.h"
#include "lib/fixture.h"

static void counts_have_a_separator_every_three_digits(void **state)
{
    struct hf_rand rand = hf_rand_seeded(1);

    (void)state;
    for (int i = 0; i < 1000; i++) {
        const uint64_t n = hf_rand_u64(&rand) >> hf_rand_below(&rand, 64);
        char text[HF_TEXT_MAX];
        char digits[HF_TEXT_MAX];
        size_t len = 0;

        hf_text_count(n, text);
        for (size_t at = 0; at < strlen(text); at++) {
            const bool separator = (strlen(text) - at) % 4 == 0;

            assert_int_equal(text[at] == ',', separator);
            if (!separator)
                digits[len++] = text[at];
        }
        digits[len] = '\0';
        assert_int_equal(strtoull(digits, NULL, 10), n);
    }
}

static void sizes_have_a_unit_of_1024(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {1536, "1.5 KiB"},
        {UINT64_C(99) << 20, "99.0 MiB"},
        {UINT64_C(100) << 20, "100 MiB"},
        {(UINT64_C(1) << 30) - 1, "1.0 GiB"},
        {UINT64_MAX, "16.0 EiB"},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        char text[HF_TEXT_MAX];

        hf_text_size(cases[i].bytes, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void durations_have_two_units_at_most(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {-5, "0 s"},
        {0, "0 ms"},
        {999, "999 ms"},
        {59999, "59 s"},
        {185000, "3 min 05 s"},
        {7800000, "2 h 10 min"},
        {93600000, "1 d 02 h"},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        char text[HF_TEXT_MAX];

        hf_text_duration(cases[i].ms, text);
        assert_string_equal(text, cases[i].text);
    }
}

/* Words of 1 to 12 letters. */
static void make_words(struct hf_rand *rand, struct hf_buf *ret)
{
    const uint64_t words = 1 + hf_rand_below(rand, 60);

    for (uint64_t i = 0; i < words; i++) {
        hf_buf_printf(ret, "%s", i > 0 ? " " : "");
        for (uint64_t left = 1 + hf_rand_below(rand, 12); left > 0; left--)
            hf_buf_printf(ret, "%c", (int)('a' + hf_rand_below(rand, 26)));
    }
}

static void wrapped_text_keeps_its_words_and_its_width(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 500; seed++) {
        struct hf_rand rand = hf_rand_seeded(seed);
        const size_t indent = hf_rand_below(&rand, 20);
        const size_t width = indent + 12 + hf_rand_below(&rand, 50);
        HF_AUTO_BUF words = {0};
        HF_AUTO_BUF wrapped = {0};
        HF_AUTO_BUF again = {0};

        make_words(&rand, &words);
        hf_text_wrap(&wrapped, hf_buf_str(&words), indent, indent, width);
        size_t column = indent;

        for (const char *c = hf_buf_str(&wrapped); *c != '\0'; c++) {
            column = *c == '\n' ? 0 : column + 1;
            assert_true(column <= width);
            if (*c == '\n') {
                assert_int_equal(strspn(c + 1, " "), indent);
                hf_buf_append(&again, " ", 1);
                c += indent;
                column = indent;
            } else {
                hf_buf_append(&again, c, 1);
            }
        }
        assert_string_equal(hf_buf_str(&again), hf_buf_str(&words));
    }
}

static void paragraphs_stay_apart(void **state)
{
    HF_AUTO_BUF out = {0};

    (void)state;
    hf_text_wrap(&out, "one\n\ntwo", 0, 0, 20);
    assert_string_equal(hf_buf_str(&out), "one\n\ntwo");
}

static void tables_are_aligned_by_columns_and_not_by_bytes(void **state)
{
    HF_AUTO_GRID g = {.align = "lr"};
    HF_AUTO_BUF out = {0};

    (void)state;
    hf_grid_add(&g, "größe");
    hf_grid_add(&g, "1");
    hf_grid_add(&g, "a");
    hf_grid_add(&g, "22");
    hf_grid_print(&g, 1, &out);
    assert_string_equal(hf_buf_str(&out), " größe   1\n a      22\n");
}

static void an_empty_last_cell_leaves_no_blanks(void **state)
{
    HF_AUTO_GRID g = {.align = "ll"};
    HF_AUTO_BUF out = {0};

    (void)state;
    hf_grid_add(&g, "a");
    hf_grid_add(&g, "");
    hf_grid_print(&g, 0, &out);
    assert_string_equal(hf_buf_str(&out), "a\n");
}

static void progress_tells_part_rate_and_time_left(void **state)
{
    static const struct {
        uint64_t done;
        uint64_t total;
        uint64_t rate;
        size_t columns;
        const char *text;
    } cases[] = {
        {0, 0, 0, 10, "0 B"},
        {2048, 0, 1024, 10, "2.0 KiB, 1.0 KiB/s"},
        {512, 1024, 0, 10, "[#####     ] 50 % 512 B of 1.0 KiB"},
        {512, 1024, 256, 0, "50 % 512 B of 1.0 KiB, 256 B/s, 2 s left"},
        {1024, 1024, 256, 4, "[####] 100 % 1.0 KiB of 1.0 KiB, 256 B/s"},
        {4096, 1024, 256, 4, "[####] 100 % 4.0 KiB of 1.0 KiB, 256 B/s"},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        HF_AUTO_BUF out = {0};

        hf_bar_text(cases[i].done, cases[i].total, cases[i].rate, cases[i].columns, &out);
        assert_string_equal(hf_buf_str(&out), cases[i].text);
    }
}

static const struct hf_timeline_part parts[] = {
    {.from_ms = 1000000, .to_ms = 2000000, .level = 1},
    {.from_ms = 3000000, .to_ms = 9000000, .level = 0},
};
static const struct hf_timeline_part hole = {.from_ms = 2500000, .to_ms = 2500001};
static const int64_t snapshots_ms[] = {1000000, 9000000};

static void assert_lines_fit(struct hf_buf *text)
{
    for (const char *line = hf_buf_str(text); *line != '\0'; line += strcspn(line, "\n") + 1) {
        HF_AUTO_FREE char *copy = hf_strndup(line, strcspn(line, "\n"));

        assert_true(hf_text_columns(copy) < 80);
    }
}

static void the_picture_fits_a_terminal_and_shows_a_hole_however_short(void **state)
{
    for (int utf8 = 0; utf8 <= 1; utf8++) {
        const struct hf_timeline t = {parts, 2, &hole, 1, snapshots_ms, 2};
        HF_AUTO_BUF out = {0};

        (void)state;
        hf_timeline_print(&t, utf8 == 1, &out);
        assert_non_null(strchr(hf_buf_str(&out), 'X'));
        assert_non_null(strstr(hf_buf_str(&out), utf8 ? "▓" : "="));
        assert_non_null(strstr(hf_buf_str(&out), "1970-01-01T00:16:40.000Z"));
        assert_lines_fit(&out);
    }
}

static void the_picture_of_a_whole_archive_shows_no_hole(void **state)
{
    const struct hf_timeline t = {parts, 2, NULL, 0, snapshots_ms, 2};
    HF_AUTO_BUF out = {0};

    (void)state;
    hf_timeline_print(&t, false, &out);
    assert_null(strchr(hf_buf_str(&out), 'X'));
    assert_null(strstr(hf_buf_str(&out), "hole"));
}

static void a_single_moment_gives_no_picture(void **state)
{
    const struct hf_timeline_part moment = {.from_ms = 5, .to_ms = 5};
    const struct hf_timeline t = {&moment, 1, NULL, 0, snapshots_ms, 1};
    HF_AUTO_BUF out = {0};

    (void)state;
    hf_timeline_print(&t, true, &out);
    assert_int_equal(out.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_have_a_separator_every_three_digits),
        cmocka_unit_test(sizes_have_a_unit_of_1024),
        cmocka_unit_test(durations_have_two_units_at_most),
        cmocka_unit_test(wrapped_text_keeps_its_words_and_its_width),
        cmocka_unit_test(paragraphs_stay_apart),
        cmocka_unit_test(tables_are_aligned_by_columns_and_not_by_bytes),
        cmocka_unit_test(an_empty_last_cell_leaves_no_blanks),
        cmocka_unit_test(progress_tells_part_rate_and_time_left),
        cmocka_unit_test(the_picture_fits_a_terminal_and_shows_a_hole_however_short),
        cmocka_unit_test(the_picture_of_a_whole_archive_shows_no_hole),
        cmocka_unit_test(a_single_moment_gives_no_picture),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
