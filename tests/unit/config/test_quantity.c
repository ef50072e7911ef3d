/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a quantity is read exactly or refused with a message that shows what to write.
 * Method: tables of texts; and for random values the printed text must read as the value again.
 */
#include "config/quantity.h"

#include <string.h>

#include "base/rand.h"
#include "lib/fixture.h"

enum kind { DURATION, BYTES, RATE };

static enum hf_code parse(enum kind kind, const char *text, uint64_t *ret, struct hf_err *err)
{
    int64_t ms = -1;
    enum hf_code rc;

    if (kind == BYTES)
        return hf_quantity_bytes(text, ret, err);
    if (kind == RATE)
        return hf_quantity_rate(text, ret, err);
    rc = hf_quantity_duration(text, &ms, err);
    if (rc == HF_OK)
        *ret = (uint64_t)ms;
    else
        assert_int_equal(ms, -1);
    return rc;
}

static void units_multiply(void **state)
{
    static const struct {
        enum kind kind;
        const char *text;
        uint64_t value;
    } cases[] = {
        {DURATION, "0s", 0},
        {DURATION, "50ms", 50},
        {DURATION, "1s", 1000},
        {DURATION, "007s", 7000},
        {DURATION, "3m", 3 * 60 * 1000},
        {DURATION, "24h", 24ULL * 3600 * 1000},
        {DURATION, "35d", 35ULL * 24 * 3600 * 1000},
        {DURATION, "36500d", 36500ULL * 24 * 3600 * 1000},
        {BYTES, "1B", 1},
        {BYTES, "64KiB", 65536},
        {BYTES, "2GiB", 2147483648ULL},
        {BYTES, "1073741824GiB", 1ULL << 60},
        {RATE, "512B/s", 512},
        {RATE, "50MiB/s", 52428800},
    };
    struct hf_err err;

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        uint64_t value = UINT64_MAX;

        hf_must(parse(cases[i].kind, cases[i].text, &value, &err), &err);
        assert_int_equal(value, cases[i].value);
    }
}

static void what_is_not_exact_is_refused_with_advice(void **state)
{
    static const struct {
        enum kind kind;
        const char *text;
        const char *advice;
    } cases[] = {
        {DURATION, "", "\"\" is not a duration; write a whole number and a unit: 90s"},
        {DURATION, "soon", "\"soon\" is not a duration"},
        {DURATION, "5", "\"5\" has no unit; the units are ms, s, m, h and d"},
        {DURATION, "-5s", "is not a duration"},
        {DURATION, "+5s", "is not a duration"},
        {DURATION, "1.5h", "\"1.5h\" is not a duration: the units are ms, s, m, h and d"},
        {DURATION, "5 s", "the units are"},
        {DURATION, "5S", "the units are"},
        {DURATION, "1h30m", "the units are"},
        {DURATION, "5s ", "the units are"},
        {DURATION, "36501d", "\"36501d\" is too large; the most is 36500d"},
        {DURATION, "3153600000001ms", "too large"},
        {DURATION, "18446744073709551617ms", "too large"},
        {DURATION, "99999999999999999999999999999999s", "too large"},
        {BYTES, "50MB", "\"50MB\" is not a size: the units are B, KiB, MiB and GiB, as in 64MiB"},
        {BYTES, "50MiB/s", "is not a size"},
        {BYTES, "1073741825GiB", "the most is 1073741824GiB"},
        {BYTES, "1152921504606846977B", "too large"},
        {RATE, "50MiB", "is not a rate"},
        {RATE, "50", "the units are B/s, KiB/s, MiB/s and GiB/s"},
        {RATE, "50MiB/m", "is not a rate"},
    };
    struct hf_err err;

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        uint64_t value = 77;

        assert_int_equal(parse(cases[i].kind, cases[i].text, &value, &err), HF_USAGE);
        assert_int_equal(value, 77);
        if (strstr(err.text, cases[i].advice) == NULL)
            fail_msg("%s: %s", cases[i].text, err.text);
    }
}

/* A value with zeros at the end, so that every unit is met. */
static uint64_t random_value(struct hf_rand *r, uint64_t max)
{
    static const uint64_t factors[] = {1, 1000, 1024, 60000, 86400000, 1 << 20, 1 << 30};
    const uint64_t factor = factors[hf_rand_below(r, HF_ARRAY_LEN(factors))];

    return hf_rand_below(r, max / factor + 1) * factor;
}

static void printed_values_read_back_as_themselves(void **state)
{
    struct hf_rand r = hf_rand_seeded(1);
    struct hf_err err;

    (void)state;
    for (int i = 0; i < 10000; i++) {
        char text[HF_QUANTITY_TEXT_MAX];
        const uint64_t ms = random_value(&r, HF_DURATION_MS_MAX);
        const uint64_t bytes = random_value(&r, HF_BYTES_MAX);
        uint64_t back = 0;

        hf_quantity_duration_text((int64_t)ms, text);
        hf_must(parse(DURATION, text, &back, &err), &err);
        assert_int_equal(back, ms);
        hf_quantity_bytes_text(bytes, text);
        hf_must(parse(BYTES, text, &back, &err), &err);
        assert_int_equal(back, bytes);
    }
}

static void the_largest_unit_that_fits_is_printed(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {{0, "0ms"},
                 {999, "999ms"},
                 {1000, "1s"},
                 {90000, "90s"},
                 {3600000, "1h"},
                 {35LL * 86400000, "35d"},
                 {86400001, "86400001ms"}};
    char text[HF_QUANTITY_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        hf_quantity_duration_text(cases[i].ms, text);
        assert_string_equal(text, cases[i].text);
    }
    hf_quantity_bytes_text(50 << 20, text);
    assert_string_equal(text, "50MiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_multiply),
        cmocka_unit_test(what_is_not_exact_is_refused_with_advice),
        cmocka_unit_test(printed_values_read_back_as_themselves),
        cmocka_unit_test(the_largest_unit_that_fits_is_printed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
