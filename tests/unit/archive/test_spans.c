/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: runs, holes and sums of a listing are as a person would read them off.
 * Method: lists by hand; test_plan_model.c compares random ones with a model.
 */
#include "archive/spans.h"

#include "fake.h"

/* "9:1-5 0:6-6" */
static void read_list(const char *text, struct hf_seg_list *ret)
{
    struct hf_segment s = {.size_bytes = 10};
    int len;

    while (sscanf(text, " %u:%" SCNu64 "-%" SCNu64 "%n", &s.level, &s.min_txid, &s.max_txid,
                  &len) == 3) {
        hf_seg_list_add(ret, &s);
        text += len;
    }
}

/* "5-9(5) 12-13(0)": runs with the TXID from which they can be restored; then "hole 10-11". */
static void print_spans(const struct hf_spans *s, struct hf_buf *ret)
{
    for (size_t i = 0; i < s->runs_count; i++)
        hf_buf_printf(ret, "%" PRIu64 "-%" PRIu64 "(%" PRIu64 ") ", s->runs[i].first_txid,
                      s->runs[i].last_txid, s->runs[i].restorable_from);
    for (size_t i = 0; i < s->holes_count; i++)
        hf_buf_printf(ret, "hole %" PRIu64 "-%" PRIu64 " ", s->holes[i].first_txid,
                      s->holes[i].last_txid);
}

static void runs_and_holes_are_named(void **state)
{
    static const struct {
        const char *segments;
        const char *spans;
    } cases[] = {
        {"", ""},
        {"0:1-1", "1-1(1) "},
        {"0:3-3 0:1-1 0:2-2", "1-3(1) "},
        {"0:1-1 0:2-2 0:5-5", "1-2(1) 5-5(0) hole 3-4 "},
        {"9:1-5 0:6-6 0:7-7", "5-7(5) "},
        {"9:1-5 0:4-4 0:5-5 0:6-6", "4-6(5) "},
        {"0:1-1 0:2-2 0:5-5 0:6-6 9:1-6 0:7-7", "1-2(1) 5-7(6) hole 3-4 "},
        {"0:1-1 1:2-9 0:4-4 0:10-10", "1-10(1) "},
        {"0:2-2 0:4-4", "2-2(0) 4-4(0) hole 3-3 "},
        {"9:1-5 9:1-9", "5-5(5) 9-9(9) hole 6-8 "},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        HF_AUTO_SEG_LIST all = {0};
        HF_AUTO_BUF text = {0};
        struct hf_spans s;

        read_list(cases[i].segments, &all);
        hf_plan_spans(&all, &s);
        print_spans(&s, &text);
        assert_string_equal(hf_buf_str(&text), cases[i].spans);
        hf_spans_done(&s);
    }
}

static void levels_are_summed(void **state)
{
    HF_AUTO_SEG_LIST all = {0};
    struct hf_spans s;

    (void)state;
    read_list("0:1-1 0:2-2 3:2-3 9:1-3 9:1-2 9:1-1", &all);
    hf_plan_spans(&all, &s);
    assert_int_equal(s.levels[0].segments_count, 2);
    assert_int_equal(s.levels[0].bytes, 20);
    assert_int_equal(s.levels[3].segments_count, 1);
    assert_int_equal(s.levels[9].segments_count, 3);
    assert_int_equal(s.levels[9].bytes, 30);
    assert_int_equal(s.levels[1].segments_count, 0);
    hf_spans_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_and_holes_are_named),
        cmocka_unit_test(levels_are_summed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
