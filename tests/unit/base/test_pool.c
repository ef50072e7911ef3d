/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: every task of a group runs once, waiting means done, and the first failure is kept.
 * Method: the same tests with 0 (inline), 1 and 4 threads; barriers instead of sleeps where tasks
 * have to run at the same time.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "base/pool.h"
#include "lib/fixture.h"

#define TASKS 500 /* far more than the queue holds */

static const unsigned threads[] = {0, 1, 4};

struct task {
    _Atomic unsigned runs;
    enum hf_code rc;
    unsigned index;
    struct hf_pool *pool; /* of a task that runs tasks */
    unsigned depth;
    _Atomic unsigned *total;
};

static enum hf_code run_task(void *ctx, struct hf_err *err)
{
    struct task *t = ctx;

    (void)atomic_fetch_add(&t->runs, 1);
    return t->rc == HF_OK ? HF_OK : hf_err_set(err, t->rc, "task %u", t->index);
}

static void every_task_runs_once_before_wait_returns(void **state)
{
    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(threads); i++) {
        struct hf_pool *pool = hf_pool_new(threads[i]);
        struct hf_group *g = hf_group_new(pool);
        struct task *tasks = hf_calloc(TASKS, sizeof(*tasks));
        struct hf_err err;

        assert_int_equal(hf_pool_threads(pool), threads[i]);
        for (unsigned k = 0; k < TASKS; k++)
            hf_group_run(g, run_task, &tasks[k]);
        hf_must(hf_group_wait(g, &err), &err);
        for (unsigned k = 0; k < TASKS; k++)
            assert_int_equal(tasks[k].runs, 1);
        hf_must(hf_group_wait(g, &err), &err); /* nothing left to wait for */
        hf_group_free_ptr(&g);
        assert_null(g);
        hf_pool_free(pool);
        hf_free(tasks);
    }
}

static void inline_tasks_run_in_order_within_the_call(void **state)
{
    struct hf_pool *pool = hf_pool_new(0);
    struct hf_group *g = hf_group_new(pool);
    struct task t = {0};
    struct hf_err err;

    (void)state;
    for (unsigned i = 1; i <= 5; i++) {
        hf_group_run(g, run_task, &t);
        assert_int_equal(t.runs, i);
    }
    hf_must(hf_group_wait(g, &err), &err);
    hf_group_free(g);
    hf_pool_free(pool);
}

static void a_group_without_a_pool_does_the_same_in_the_call(void **state)
{
    struct hf_group *g = hf_group_new(NULL);
    struct task tasks[3] = {{.index = 0}, {.rc = HF_IO, .index = 1}, {.rc = HF_FULL, .index = 2}};
    struct hf_err err;

    (void)state;
    for (unsigned i = 0; i < HF_ARRAY_LEN(tasks); i++) {
        assert_int_equal(hf_group_failed(g), i > 1);
        hf_group_run(g, run_task, &tasks[i]);
        assert_int_equal(tasks[i].runs, 1);
    }
    assert_int_equal(hf_group_wait(g, &err), HF_IO);
    assert_string_equal(err.text, "task 1");
    assert_false(hf_group_failed(g)); /* as new */
    hf_must(hf_group_wait(g, &err), &err);
    hf_group_free(g);
}

static void one_failure_of_many_is_kept_and_the_rest_runs(void **state)
{
    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(threads); i++) {
        struct hf_pool *pool = hf_pool_new(threads[i]);
        struct hf_group *g = hf_group_new(pool);
        struct task tasks[20] = {{0}};
        struct hf_err err = {.code = HF_OK};

        tasks[7].rc = HF_HOLE;
        for (unsigned k = 0; k < HF_ARRAY_LEN(tasks); k++) {
            tasks[k].index = k;
            hf_group_run(g, run_task, &tasks[k]);
        }
        assert_int_equal(hf_group_wait(g, &err), HF_HOLE);
        assert_int_equal(err.code, HF_HOLE);
        assert_string_equal(err.text, "task 7");
        for (unsigned k = 0; k < HF_ARRAY_LEN(tasks); k++)
            assert_int_equal(tasks[k].runs, 1);
        assert_false(hf_group_failed(g)); /* as new */
        hf_must(hf_group_wait(g, &err), &err);
        hf_group_free(g);
        hf_pool_free(pool);
    }
}

static void first_failure_in_time_wins(void **state)
{
    static const unsigned ordered[] = {0, 1}; /* where the order is known */

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(ordered); i++) {
        struct hf_pool *pool = hf_pool_new(ordered[i]);
        struct hf_group *g = hf_group_new(pool);
        struct task first = {.rc = HF_IO, .index = 1};
        struct task second = {.rc = HF_FULL, .index = 2};
        struct hf_err err;

        hf_group_run(g, run_task, &first);
        while (!hf_group_failed(g))
            continue;
        hf_group_run(g, run_task, &second);
        assert_int_equal(hf_group_wait(g, &err), HF_IO);
        assert_string_equal(err.text, "task 1");
        hf_group_free(g);
        hf_pool_free(pool);
    }
}

static void failure_stays_in_its_group(void **state)
{
    struct hf_pool *pool = hf_pool_new(2);
    struct hf_group *good = hf_group_new(pool);
    struct hf_group *bad = hf_group_new(pool);
    struct task tasks[2] = {{.rc = HF_OK}, {.rc = HF_DENIED}};
    struct hf_err err;

    (void)state;
    hf_group_run(bad, run_task, &tasks[1]);
    hf_group_run(good, run_task, &tasks[0]);
    assert_int_equal(hf_group_wait(bad, &err), HF_DENIED);
    hf_must(hf_group_wait(good, &err), &err);
    hf_group_free(good);
    hf_group_free(bad);
    hf_pool_free(pool);
}

/* A tree of tasks three deep on one pool: would hang if waiting held a thread without working. */
static enum hf_code run_nested(void *ctx, struct hf_err *err)
{
    const struct task *t = ctx;
    struct task below[4];
    HF_CLEANUP(hf_group_free_ptr) struct hf_group *g = hf_group_new(t->pool);

    (void)atomic_fetch_add(t->total, 1);
    if (t->depth == 0)
        return HF_OK;
    for (size_t i = 0; i < HF_ARRAY_LEN(below); i++) {
        below[i] = (struct task){.pool = t->pool, .depth = t->depth - 1, .total = t->total};
        hf_group_run(g, run_nested, &below[i]);
    }
    return hf_group_wait(g, err);
}

static void task_may_wait_for_tasks_of_the_same_pool(void **state)
{
    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(threads); i++) {
        struct hf_pool *pool = hf_pool_new(threads[i]);
        struct hf_group *g = hf_group_new(pool);
        _Atomic unsigned total = 0;
        struct task root = {.pool = pool, .depth = 4, .total = &total};
        struct hf_err err;

        hf_group_run(g, run_nested, &root);
        hf_must(hf_group_wait(g, &err), &err);
        assert_int_equal(total, 1 + 4 + 16 + 64 + 256);
        hf_group_free(g);
        hf_pool_free(pool);
    }
}

static enum hf_code meet(void *ctx, struct hf_err *err)
{
    (void)err;
    (void)pthread_barrier_wait(ctx);
    return HF_OK;
}

/* All but one meet on the pool's threads, the last in the thread that waits. */
static void tasks_run_at_the_same_time(void **state)
{
    struct hf_pool *pool = hf_pool_new(3);
    struct hf_group *g = hf_group_new(pool);
    pthread_barrier_t barrier;
    struct hf_err err;

    (void)state;
    assert_int_equal(pthread_barrier_init(&barrier, NULL, 4), 0);
    for (int i = 0; i < 4; i++)
        hf_group_run(g, meet, &barrier);
    hf_must(hf_group_wait(g, &err), &err);
    hf_group_free(g);
    hf_pool_free(pool);
    assert_int_equal(pthread_barrier_destroy(&barrier), 0);
}

static void group_freed_early_waits_for_its_tasks(void **state)
{
    struct hf_pool *pool = hf_pool_new(2);
    struct hf_group *g = hf_group_new(pool);
    struct task tasks[50] = {{0}};

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(tasks); i++)
        hf_group_run(g, run_task, &tasks[i]);
    hf_group_free(g);
    for (size_t i = 0; i < HF_ARRAY_LEN(tasks); i++)
        assert_int_equal(tasks[i].runs, 1);
    hf_group_free(NULL);
    hf_pool_free(pool);
    hf_pool_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_runs_once_before_wait_returns),
        cmocka_unit_test(inline_tasks_run_in_order_within_the_call),
        cmocka_unit_test(a_group_without_a_pool_does_the_same_in_the_call),
        cmocka_unit_test(one_failure_of_many_is_kept_and_the_rest_runs),
        cmocka_unit_test(first_failure_in_time_wins),
        cmocka_unit_test(failure_stays_in_its_group),
        cmocka_unit_test(task_may_wait_for_tasks_of_the_same_pool),
        cmocka_unit_test(tasks_run_at_the_same_time),
        cmocka_unit_test(group_freed_early_waits_for_its_tasks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
