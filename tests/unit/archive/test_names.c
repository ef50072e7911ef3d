/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: names are those of the format, are read only as they are written, and sort by TXID.
 * Method: tables of names good and bad; and random TXIDs, whose order is compared with strcmp().
 */
#include "archive/names.h"

#include <string.h>

#include "base/rand.h"
#include "lib/fixture.h"

static void names_are_those_of_the_format(void **state)
{
    const struct hf_segment s = {.level = 9, .min_txid = 1, .max_txid = 0xab};
    char name[HF_NAME_MAX];

    (void)state;
    hf_name_segment(HF_LAYOUT_HEX, &s, name);
    assert_string_equal(name, "0009/0000000000000001-00000000000000ab.ltx");
    hf_name_segment(HF_LAYOUT_LTX, &s, name);
    assert_string_equal(name, "ltx/9/0000000000000001-00000000000000ab.ltx");
    hf_name_level(HF_LAYOUT_HEX, 0, name);
    assert_string_equal(name, "0000/");
    hf_name_level(HF_LAYOUT_LTX, 0, name);
    assert_string_equal(name, "ltx/0/");
    hf_name_proof(0x1f, INT64_C(1767323045678), name);
    assert_string_equal(name, "holdfast/proofs/000000000000001f-20260102T030405.678Z");
}

static void only_exact_names_are_segments(void **state)
{
    static const struct {
        const char *rest;
        enum hf_name_kind kind;
    } cases[] = {
        {"0000000000000001-0000000000000001.ltx", HF_NAME_SEGMENT},
        {"000000000000000a-00000000000000ff.ltx", HF_NAME_SEGMENT},
        {"fffffffffffffffe-fffffffffffffffe.ltx", HF_NAME_SEGMENT},
        {"0000000000000001-ffffffffffffffff.ltx", HF_NAME_OTHER}, /* above HF_TXID_MAX */
        {"0000000000000000-0000000000000001.ltx", HF_NAME_OTHER}, /* min 0 */
        {"0000000000000002-0000000000000001.ltx", HF_NAME_OTHER}, /* max < min */
        {"000000000000000A-00000000000000ff.ltx", HF_NAME_OTHER}, /* upper case */
        {"0000000000000001-0000000000000001.LTX", HF_NAME_OTHER},
        {"0000000000000001-0000000000000001.ltx.tmp", HF_NAME_OTHER},
        {"0000000000000001-0000000000000001ltx", HF_NAME_OTHER},
        {"0000000000000001_0000000000000001.ltx", HF_NAME_OTHER},
        {"1-1.ltx", HF_NAME_OTHER},
        {"00000000000000001-000000000000001.ltx", HF_NAME_OTHER},
        {"000000000000000g-0000000000000010.ltx", HF_NAME_OTHER},
        {" 000000000000001-0000000000000010.ltx", HF_NAME_OTHER},
        {"manifest.json", HF_NAME_OTHER},
        {"", HF_NAME_OTHER},
        {"x/0000000000000001-0000000000000001.ltx", HF_NAME_NESTED},
        {"a/b/0000000000000001-0000000000000001.ltx", HF_NAME_NESTED},
        {"/0000000000000001-0000000000000001.ltx", HF_NAME_NESTED},
        {"x/manifest.json", HF_NAME_OTHER},
        {"0000000000000001-0000000000000001.ltx/x", HF_NAME_OTHER},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        uint64_t min = 7;
        uint64_t max = 7;

        if (hf_name_parse(cases[i].rest, &min, &max) != cases[i].kind)
            fail_msg("case %zu: %s", i, cases[i].rest);
        if (cases[i].kind != HF_NAME_SEGMENT)
            assert_true(min == 7 && max == 7);
    }
}

static void a_written_name_is_read_back_and_sorts_by_txid(void **state)
{
    struct hf_rand rand = hf_rand_seeded(1);
    struct hf_segment last = {.min_txid = 1, .max_txid = 1};
    char last_name[HF_NAME_MAX];

    (void)state;
    hf_name_segment(HF_LAYOUT_HEX, &last, last_name);
    for (int i = 0; i < 2000; i++) {
        const uint64_t mask = HF_TXID_MAX >> hf_rand_below(&rand, 60);
        struct hf_segment s = {.min_txid = 1 + hf_rand_below(&rand, mask)};
        char name[HF_NAME_MAX];
        char start[HF_NAME_MAX];
        uint64_t min;
        uint64_t max;

        s.max_txid = s.min_txid + hf_rand_below(&rand, HF_TXID_MAX - s.min_txid + 1);
        hf_name_segment(HF_LAYOUT_HEX, &s, name);
        assert_int_equal(hf_name_parse(name + strlen("0000/"), &min, &max), HF_NAME_SEGMENT);
        assert_true(min == s.min_txid && max == s.max_txid);

        const bool is_after = s.min_txid > last.min_txid ||
                              (s.min_txid == last.min_txid && s.max_txid > last.max_txid);
        assert_int_equal(strcmp(name, last_name) > 0, is_after);

        /* A listing that starts there sees this segment, and none with a smaller min. */
        hf_name_start(HF_LAYOUT_HEX, 0, s.min_txid, start);
        assert_true(strcmp(name, start) > 0);
        assert_int_equal(strcmp(last_name, start) > 0, last.min_txid >= s.min_txid);
        last = s;
        (void)memcpy(last_name, name, sizeof(name));
    }
}

static void proof_names_are_read_back_and_only_as_written(void **state)
{
    static const char *const bad[] = {
        "",
        "000000000000001f",
        "000000000000001f-",
        "000000000000001f-20260102T030405.678",
        "000000000000001f-20260102T030405.678z",
        "000000000000001f-20261302T030405.678Z",
        "000000000000001f-2026-0102T030405.67Z",
        "000000000000001F-20260102T030405.678Z",
        "0000000000000000-20260102T030405.678Z",
        "000000000000001f-20260102T030405.678Zx",
    };
    char name[HF_NAME_MAX];
    uint64_t txid = 0;
    int64_t time_ms = 0;

    (void)state;
    hf_name_proof(0x1f, INT64_C(1767323045678), name);
    assert_true(hf_name_proof_parse(name + strlen(HF_NAME_PROOFS), &txid, &time_ms));
    assert_int_equal(txid, 0x1f);
    assert_int_equal(time_ms, INT64_C(1767323045678));
    for (size_t i = 0; i < HF_ARRAY_LEN(bad); i++) {
        if (hf_name_proof_parse(bad[i], &txid, &time_ms))
            fail_msg("\"%s\" was taken for a proof", bad[i]);
    }
}

static void layouts_are_named_by_their_first_folder(void **state)
{
    enum hf_layout layout = HF_LAYOUT_HEX;

    (void)state;
    assert_true(hf_layout_parse("ltx/0", &layout));
    assert_int_equal(layout, HF_LAYOUT_LTX);
    assert_false(hf_layout_parse("ltx", &layout));
    assert_int_equal(layout, HF_LAYOUT_LTX);
    assert_true(hf_layout_parse("0000", &layout));
    assert_int_equal(layout, HF_LAYOUT_HEX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_those_of_the_format),
        cmocka_unit_test(only_exact_names_are_segments),
        cmocka_unit_test(a_written_name_is_read_back_and_sorts_by_txid),
        cmocka_unit_test(proof_names_are_read_back_and_only_as_written),
        cmocka_unit_test(layouts_are_named_by_their_first_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
