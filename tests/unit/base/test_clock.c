/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a time means one moment, and what could mean two is refused with both.
 * Method: tables of texts; text and number there and back for random moments; a local time zone
 * set by the test.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rand.h"
#include "lib/fixture.h"

static void times_are_read_with_their_offset(void **state)
{
    static const struct {
        const char *text;
        int64_t want_ms;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-01-02T03:04:05Z", INT64_C(1767323045000)},
        {"2026-01-02t03:04:05z", INT64_C(1767323045000)},
        {"2026-01-02 03:04:05Z", INT64_C(1767323045000)},
        {"2026-01-02T03:04:05.6Z", INT64_C(1767323045600)},
        {"2026-01-02T03:04:05.678Z", INT64_C(1767323045678)},
        {"2026-01-02T03:04:05.678999999Z", INT64_C(1767323045678)},
        {"2026-01-02T04:04:05+01:00", INT64_C(1767323045000)},
        {"2026-01-01T21:34:05-05:30", INT64_C(1767323045000)},
        {"2026-01-02 03:04:05.5+00:00", INT64_C(1767323045500)},
        {"2024-02-29T12:00:00Z", INT64_C(1709208000000)},
        {"2038-01-19T03:14:08Z", INT64_C(2147483648000)},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(rows); i++) {
        int64_t ms = -1;
        struct hf_err err;

        hf_must(hf_time_parse(rows[i].text, &ms, &err), &err);
        if (ms != rows[i].want_ms)
            fail_msg("%s: %lld", rows[i].text, (long long)ms);
    }
}

static void what_is_no_time_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "now",
        "yesterday",
        "2026-01-02",
        "12:00:00Z",
        "1767323045",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-32T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-01-02T24:00:00Z",
        "2026-01-02T00:60:00Z",
        "2026-01-02T00:00:61Z",
        "2026-01-02T00:00:00X",
        "2026-01-02T00:00:00Zjunk",
        "2026-01-02T00:00:00+25:00",
        "2026-01-02T00:00:00+01:60",
        "2026-01-02T00:00:00+01",
        "2026-01-02T00:00:00+0100",
        "2026-01-02T00:00:00+01:00x",
        "2026/01/02T00:00:00Z",
        "1969-12-31T23:59:59Z",
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(bad); i++) {
        int64_t ms = -7;
        struct hf_err err;

        if (hf_time_parse(bad[i], &ms, &err) != HF_USAGE)
            fail_msg("'%s' is taken as %lld", bad[i], (long long)ms);
        assert_int_equal(ms, -7);
        assert_true(strlen(err.text) > 0);
    }
}

static void time_without_offset_shows_both_readings(void **state)
{
    int64_t ms = -7;
    struct hf_err err;

    (void)state;
    assert_int_equal(setenv("TZ", "XST-05:30", 1), 0); /* five and a half hours east of UTC */
    tzset();
    assert_int_equal(hf_time_parse("2026-01-02T03:04:05", &ms, &err), HF_USAGE);
    assert_int_equal(ms, -7);
    assert_non_null(strstr(err.text, "2026-01-02T03:04:05.000Z"));
    assert_non_null(strstr(err.text, "2026-01-01T21:34:05.000Z"));
    assert_int_equal(hf_time_parse("2026-01-02T03:04:05.25", &ms, &err), HF_USAGE);
    assert_int_equal(unsetenv("TZ"), 0);
    tzset();
}

static void text_and_moment_go_there_and_back(void **state)
{
    static const int64_t edges[] = {0, 1, 999, 1000, INT64_C(951782400000), INT64_C(1709164800000)};
    struct hf_rand rand = hf_rand_seeded(8);

    (void)state;
    for (size_t i = 0; i < 2000; i++) {
        const int64_t want = i < HF_ARRAY_LEN(edges)
                                 ? edges[i]
                                 : (int64_t)hf_rand_below(&rand, UINT64_C(253402300800000));
        char text[HF_TIME_TEXT_MAX];
        int64_t ms = -1;
        struct hf_err err;

        hf_time_text(want, text);
        assert_int_equal(strlen(text), 24);
        hf_must(hf_time_parse(text, &ms, &err), &err);
        assert_true(ms == want);
    }
}

static void moments_before_the_epoch_are_printed(void **state)
{
    char text[HF_TIME_TEXT_MAX];

    (void)state;
    hf_time_text(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
    hf_time_text(INT64_C(1767323045678), text);
    assert_string_equal(text, "2026-01-02T03:04:05.678Z");
}

static void test_clock_moves_only_when_told(void **state)
{
    struct test_clock clock;

    (void)state;
    test_clock_init(&clock, 5000000);
    assert_int_equal(hf_now_us(&clock.base), 5000000);
    assert_int_equal(hf_now_ms(&clock.base), 5000);
    hf_sleep_ms(&clock.base, 250);
    assert_int_equal(hf_mono_us(&clock.base), 5250000);
    assert_int_equal(clock.slept_us, 250000);
    test_clock_move(&clock, 1);
    assert_int_equal(hf_now_us(&clock.base), 5250001);
}

static void clock_of_the_machine_runs_forward(void **state)
{
    struct hf_clock *c = hf_clock_system();
    const int64_t wall = hf_now_us(c);
    const int64_t mono = hf_mono_us(c);

    (void)state;
    hf_sleep_ms(c, 0);
    hf_sleep_ms(c, -5); /* no time at all */
    assert_true(hf_mono_us(c) >= mono);
    assert_true(wall / 1000000 - time(NULL) <= 1 && time(NULL) - wall / 1000000 <= 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_read_with_their_offset),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(time_without_offset_shows_both_readings),
        cmocka_unit_test(text_and_moment_go_there_and_back),
        cmocka_unit_test(moments_before_the_epoch_are_printed),
        cmocka_unit_test(test_clock_moves_only_when_told),
        cmocka_unit_test(clock_of_the_machine_runs_forward),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
