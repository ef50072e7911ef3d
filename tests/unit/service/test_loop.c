/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_loop.c
 *
 * Goal: jobs run when they are due, never twice at once, are woken, and end.
 * Method: many jobs that count under a lock of their own; an order that only the due times explain.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "lib/fixture.h"
#include "service/loop.h"

struct counter {
    atomic_int running;
    atomic_int runs;
    atomic_bool overlapped;
    int runs_wanted;
    int64_t wait_ms;
};

static int64_t count(void *ctx)
{
    struct counter *c = ctx;

    if (atomic_fetch_add(&c->running, 1) != 0)
        atomic_store(&c->overlapped, true);
    const int runs = atomic_fetch_add(&c->runs, 1) + 1;

    (void)atomic_fetch_sub(&c->running, 1);
    return runs >= c->runs_wanted ? HF_JOB_ENDED : c->wait_ms;
}

static void each_job_runs_as_often_as_it_asks_and_never_twice_at_once(void **state)
{
    struct hf_loop *loop = hf_loop_new(4, hf_clock_system());
    struct counter counters[50] = {0};

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(counters); i++) {
        counters[i].runs_wanted = 1 + (int)i * 7;
        counters[i].wait_ms = (int64_t)i % 2;
        (void)hf_loop_add(loop, count, &counters[i]);
    }
    hf_loop_run(loop);
    for (size_t i = 0; i < HF_ARRAY_LEN(counters); i++) {
        assert_int_equal(counters[i].runs, counters[i].runs_wanted);
        assert_false(counters[i].overlapped);
    }
    hf_loop_free(loop);
}

struct sequence {
    char order[16];
    size_t count;
};

struct step {
    struct sequence *sequence;
    char name;
    bool waited;
    int64_t wait_ms;
};

/* The first run only says when the second is due. */
static int64_t note(void *ctx)
{
    struct step *s = ctx;

    if (!s->waited) {
        s->waited = true;
        return s->wait_ms;
    }
    s->sequence->order[s->sequence->count++] = s->name;
    return HF_JOB_ENDED;
}

static void jobs_run_in_the_order_in_which_they_are_due(void **state)
{
    struct hf_loop *loop = hf_loop_new(1, hf_clock_system());
    struct sequence sequence = {0};
    struct step steps[] = {
        {.sequence = &sequence, .name = 'c', .wait_ms = 60},
        {.sequence = &sequence, .name = 'a', .wait_ms = 20},
        {.sequence = &sequence, .name = 'd', .wait_ms = 80},
        {.sequence = &sequence, .name = 'b', .wait_ms = 40},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(steps); i++)
        (void)hf_loop_add(loop, note, &steps[i]);
    hf_loop_run(loop);
    assert_string_equal(sequence.order, "abcd");
    hf_loop_free(loop);
}

struct pair {
    struct hf_job *sleeper;
    int sleeper_runs;
    int waker_runs;
};

static int64_t sleep_until_woken(void *ctx)
{
    struct pair *p = ctx;

    return ++p->sleeper_runs == 3 ? HF_JOB_ENDED : HF_JOB_WHEN_WOKEN;
}

static int64_t wake_other(void *ctx)
{
    struct pair *p = ctx;

    hf_job_wake(p->sleeper);
    return ++p->waker_runs == 2 ? HF_JOB_ENDED : 5;
}

static void a_job_without_a_time_runs_only_when_woken(void **state)
{
    struct hf_loop *loop =
        hf_loop_new(1, hf_clock_system()); /* one thread: the counters need no lock */
    struct pair p = {0};

    (void)state;
    p.sleeper = hf_loop_add(loop, sleep_until_woken, &p);
    (void)hf_loop_add(loop, wake_other, &p);
    hf_loop_run(loop);
    assert_int_equal(p.sleeper_runs, 3); /* at first, and once for each time it was woken */
    assert_int_equal(p.waker_runs, 2);
    hf_loop_free(loop);
}

struct self {
    struct hf_job *job;
    int runs;
};

static int64_t wake_itself(void *ctx)
{
    struct self *s = ctx;

    if (++s->runs == 2)
        return HF_JOB_ENDED;
    hf_job_wake(s->job);
    return HF_JOB_WHEN_WOKEN;
}

static void a_job_that_is_woken_while_it_runs_runs_once_more(void **state)
{
    struct hf_loop *loop = hf_loop_new(1, hf_clock_system());
    struct self s = {0};

    (void)state;
    s.job = hf_loop_add(loop, wake_itself, &s);
    hf_loop_run(loop);
    assert_int_equal(s.runs, 2);
    hf_loop_free(loop);
}

struct relay {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int runs; /* of the other job */
};

/* Ends when the other one has run three times. */
static int64_t wait_for_the_other(void *ctx)
{
    struct relay *r = ctx;

    (void)pthread_mutex_lock(&r->mutex);
    while (r->runs < 3)
        (void)pthread_cond_wait(&r->changed, &r->mutex);
    (void)pthread_mutex_unlock(&r->mutex);
    return HF_JOB_ENDED;
}

static int64_t run_three_times(void *ctx)
{
    struct relay *r = ctx;

    (void)pthread_mutex_lock(&r->mutex);
    const int runs = ++r->runs;

    (void)pthread_cond_broadcast(&r->changed);
    (void)pthread_mutex_unlock(&r->mutex);
    return runs == 3 ? HF_JOB_ENDED : 2;
}

/* Whichever thread waits for the time of the next job, and whichever is kept from it: this hangs if
 * nobody takes over. */
static void a_job_that_takes_long_keeps_no_other_from_its_time(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct hf_loop *loop = hf_loop_new(2, hf_clock_system());
        struct relay r = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
        hf_job_fn *const first = i % 2 == 0 ? wait_for_the_other : run_three_times;
        hf_job_fn *const second = i % 2 == 0 ? run_three_times : wait_for_the_other;

        (void)hf_loop_add(loop, first, &r);
        (void)hf_loop_add(loop, second, &r);
        hf_loop_run(loop);
        assert_int_equal(r.runs, 3);
        hf_loop_free(loop);
    }
}

static void a_loop_without_threads_runs_one_job_when_told_by_its_own_clock(void **state)
{
    struct sequence q = {0};
    struct step later = {.sequence = &q, .name = 'l', .wait_ms = 200};
    struct step sooner = {.sequence = &q, .name = 's', .wait_ms = 100};
    struct test_clock clock;
    struct hf_loop *loop;

    (void)state;
    test_clock_init(&clock, 1000000);
    loop = hf_loop_new(0, &clock.base);
    (void)hf_loop_add(loop, note, &later);
    struct hf_job *job = hf_loop_add(loop, note, &sooner);

    assert_true(hf_loop_step(loop)); /* each says when it is due */
    assert_true(hf_loop_step(loop));
    assert_false(hf_loop_step(loop));
    assert_int_equal(hf_loop_due_us(loop), 1100000);
    test_clock_move(&clock, 99999);
    assert_false(hf_loop_step(loop));
    hf_job_wake(job);
    assert_int_equal(hf_loop_due_us(loop), 0);
    assert_true(hf_loop_step(loop));
    assert_int_equal(hf_loop_due_us(loop), 1200000);
    test_clock_move(&clock, 100001);
    assert_true(hf_loop_step(loop));
    assert_string_equal(q.order, "sl");
    assert_false(hf_loop_step(loop));
    assert_int_equal(hf_loop_due_us(loop), INT64_MAX);
    hf_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_job_runs_as_often_as_it_asks_and_never_twice_at_once),
        cmocka_unit_test(jobs_run_in_the_order_in_which_they_are_due),
        cmocka_unit_test(a_job_without_a_time_runs_only_when_woken),
        cmocka_unit_test(a_job_that_is_woken_while_it_runs_runs_once_more),
        cmocka_unit_test(a_job_that_takes_long_keeps_no_other_from_its_time),
        cmocka_unit_test(a_loop_without_threads_runs_one_job_when_told_by_its_own_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
