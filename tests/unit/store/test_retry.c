/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: waits grow, are spread at random, and end with the budget; what a server asks for is heard.
 * Method: a clock that moves only by sleeping on it, seeded random numbers; limits as properties.
 */
#include "lib/fixture.h"

#include "store/retry.h"

#define START_US INT64_C(1700000000000000)

static const struct hf_err why = {.code = HF_TRANSIENT, .text = "refused"};

static void waits_stay_below_a_doubling_limit_and_use_all_of_it(void **state)
{
    int64_t longest_ms[12] = {0};
    int64_t shortest_ms[12];

    (void)state;
    for (size_t n = 0; n < 12; n++)
        shortest_ms[n] = INT64_MAX;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct test_clock clock;
        struct hf_rand rand = hf_rand_seeded(seed);
        struct hf_retry r;

        test_clock_init(&clock, START_US);
        hf_retry_init(&r, &clock.base, &rand, NULL, NULL, 3600000);
        for (size_t n = 0; n < 12; n++) {
            const int64_t before_us = clock.slept_us;

            assert_true(hf_retry_wait(&r, 0, &why));

            const int64_t ms = (clock.slept_us - before_us) / 1000;

            longest_ms[n] = ms > longest_ms[n] ? ms : longest_ms[n];
            shortest_ms[n] = ms < shortest_ms[n] ? ms : shortest_ms[n];
        }
        assert_int_equal(r.waits_count, 12);
    }
    for (size_t n = 0; n < 12; n++) {
        const int64_t doubled = (int64_t)HF_RETRY_WAIT_MS_MIN << n;
        const int64_t limit = doubled < HF_RETRY_WAIT_MS_MAX ? doubled : HF_RETRY_WAIT_MS_MAX;

        assert_true(longest_ms[n] <= limit);
        assert_true(longest_ms[n] > limit * 9 / 10); /* with 200 tries, all but surely */
        assert_true(shortest_ms[n] >= 1 && shortest_ms[n] <= limit / 5);
    }
}

static void no_attempt_begins_behind_the_deadline(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct test_clock clock;
        struct hf_rand rand = hf_rand_seeded(seed);
        struct hf_retry r;

        test_clock_init(&clock, START_US);
        hf_retry_init(&r, &clock.base, &rand, NULL, NULL, 10000);
        while (hf_retry_wait(&r, 0, &why))
            assert_true(clock.slept_us <= 10000000);
        assert_true(r.waits_count >= 6);
        assert_true(clock.slept_us <= 10000000);
    }
}

static void progress_begins_budget_and_waits_anew(void **state)
{
    struct test_clock clock;
    struct hf_rand rand = hf_rand_seeded(1);
    struct hf_retry r;

    (void)state;
    test_clock_init(&clock, START_US);
    hf_retry_init(&r, &clock.base, &rand, NULL, NULL, 1000);
    while (hf_retry_wait(&r, 0, &why))
        continue;
    hf_retry_progress(&r);

    const int64_t before_us = clock.slept_us;

    assert_true(hf_retry_wait(&r, 0, &why));
    assert_true(clock.slept_us - before_us <= HF_RETRY_WAIT_MS_MIN * 1000);
}

static void a_server_that_asks_for_more_time_gets_it_or_ends_the_call(void **state)
{
    struct test_clock clock;
    struct hf_rand rand = hf_rand_seeded(1);
    struct hf_retry r;

    (void)state;
    test_clock_init(&clock, START_US);
    hf_retry_init(&r, &clock.base, &rand, NULL, NULL, 10000);
    assert_true(hf_retry_wait(&r, 7000, &why));
    assert_int_equal(clock.slept_us, 7000000);
    assert_false(hf_retry_wait(&r, 7000, &why));
    assert_int_equal(clock.slept_us, 7000000); /* it does not sleep in order to give up */
}

/* A clock during whose sleep somebody sets the flag, at a given time. */
struct stopping_clock {
    struct test_clock clock; /* first, so that the pointers convert */
    void (*sleep_us)(struct hf_clock *c, int64_t us);
    hf_stop_flag stop;
    int64_t at_us; /* of what was slept */
};

static void sleep_and_stop(struct hf_clock *c, int64_t us)
{
    struct stopping_clock *s = (struct stopping_clock *)c;

    s->sleep_us(c, us);
    s->stop = s->stop || s->clock.slept_us >= s->at_us;
}

static void a_stop_ends_a_wait_within_a_moment(void **state)
{
    struct stopping_clock s = {.at_us = 3000000};
    struct hf_rand rand = hf_rand_seeded(1);
    struct hf_retry r;

    (void)state;
    test_clock_init(&s.clock, START_US);
    s.sleep_us = s.clock.base.sleep_us;
    s.clock.base.sleep_us = sleep_and_stop;
    hf_retry_init(&r, &s.clock.base, &rand, &s.stop, NULL, 60000);
    assert_true(hf_retry_wait(&r, 2000, &why));
    assert_false(hf_retry_wait(&r, 30000, &why));
    assert_in_range(s.clock.slept_us, 3000000, 3500000);

    const int64_t before_us = s.clock.slept_us;

    assert_false(hf_retry_wait(&r, 0, &why)); /* nor is another begun */
    assert_int_equal(s.clock.slept_us, before_us);
}

/* Somebody who counts what is told. */
struct told {
    struct hf_waits base; /* first, so that the pointers convert */
    struct test_clock *clock;
    int count;
    int64_t first_us; /* of what was slept */
};

static void count_told(struct hf_waits *w, const struct hf_err *said)
{
    struct told *t = (struct told *)w;

    assert_string_equal(said->text, why.text);
    if (t->count++ == 0)
        t->first_us = t->clock->slept_us;
}

static void a_wait_that_becomes_long_is_told_once_and_a_short_one_never(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct test_clock clock;
        struct told told = {.base.tell = count_told, .clock = &clock};
        struct hf_rand rand = hf_rand_seeded(seed);
        struct hf_retry r;

        test_clock_init(&clock, START_US);
        hf_retry_init(&r, &clock.base, &rand, NULL, &told.base, 60000);
        for (int i = 0; i < 3; i++) /* 50, 100 and 200 ms at most */
            assert_true(hf_retry_wait(&r, 0, &why));
        assert_int_equal(told.count, 0);
        while (hf_retry_wait(&r, 0, &why))
            continue;
        assert_int_equal(told.count, 1);
        assert_true(told.first_us <= HF_RETRY_TELL_MS * 1000);
        hf_retry_progress(&r);
        while (hf_retry_wait(&r, 0, &why))
            continue;
        assert_int_equal(told.count, 2);
    }
}

static void retry_after_is_seconds_or_a_date_and_never_nonsense(void **state)
{
    /* 1445412480 is 2015-10-21T07:28:00Z, the date in RFC 9110's example of the header. */
    static const int64_t now_ms = INT64_C(1445412480) * 1000;
    static const struct {
        const char *value;
        int64_t ms;
    } cases[] = {
        {NULL, 0},
        {"", 0},
        {"0", 0},
        {"3", 3000},
        {"60", 60000},
        {"61", HF_RETRY_AFTER_MS_MAX},
        {"99999999999999999999999", HF_RETRY_AFTER_MS_MAX},
        {"-5", 0},
        {"soon", 0},
        {"Wed, 21 Oct 2015 07:28:30 GMT", 30000},
        {"Wed, 21 Oct 2015 07:27:30 GMT", 0},
        {"Wed, 21 Oct 2016 07:28:30 GMT", HF_RETRY_AFTER_MS_MAX},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++)
        assert_int_equal(hf_retry_after_ms(cases[i].value, now_ms), cases[i].ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_stay_below_a_doubling_limit_and_use_all_of_it),
        cmocka_unit_test(no_attempt_begins_behind_the_deadline),
        cmocka_unit_test(progress_begins_budget_and_waits_anew),
        cmocka_unit_test(a_server_that_asks_for_more_time_gets_it_or_ends_the_call),
        cmocka_unit_test(a_stop_ends_a_wait_within_a_moment),
        cmocka_unit_test(a_wait_that_becomes_long_is_told_once_and_a_short_one_never),
        cmocka_unit_test(retry_after_is_seconds_or_a_date_and_never_nonsense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
