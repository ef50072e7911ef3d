/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.c - one queue and one mutex for all, as tasks are large. A task wakes one worker, if one has
 * nothing to do, and whoever waits for a group or for room is told when there is something to see.
 */
#include "base/pool.h"

#include <pthread.h>

#include "base/alloc.h"
#include "base/check.h"

#define QUEUE_TASKS_MAX 64

struct task {
    hf_task_fn *fn;
    void *ctx;
    struct hf_group *group;
};

struct hf_pool {
    unsigned threads_count;
    pthread_t *threads;
    pthread_mutex_t mutex;
    pthread_cond_t came;    /* a task; for workers without one */
    pthread_cond_t changed; /* a task came or a group ended; for those who wait for a group */
    struct {
        struct task queue[QUEUE_TASKS_MAX];
        size_t first;
        size_t count;
        size_t waiting; /* for a group, with nothing in the queue that they could do meanwhile */
        bool stop;
    } guarded; /* by mutex */
};

struct hf_group {
    struct hf_pool *pool; /* NULL: none, one thread has all of it */
    struct {
        size_t pending;
        struct hf_err first; /* code HF_OK: none failed */
    } guarded;               /* by the pool's mutex */
};

static struct task take_locked(struct hf_pool *pool)
{
    const struct task t = pool->guarded.queue[pool->guarded.first];

    pool->guarded.first = (pool->guarded.first + 1) % QUEUE_TASKS_MAX;
    pool->guarded.count--;
    return t;
}

static void finish_locked(const struct task *t, enum hf_code rc, const struct hf_err *err)
{
    if (rc != HF_OK && t->group->guarded.first.code == HF_OK)
        t->group->guarded.first = *err;
    hf_assert(t->group->guarded.pending > 0);
    if (--t->group->guarded.pending == 0 && t->group->pool->guarded.waiting > 0)
        (void)pthread_cond_broadcast(&t->group->pool->changed);
}

/* Run one queued task with the mutex released meanwhile. */
static void run_one_locked(struct hf_pool *pool)
{
    const struct task t = take_locked(pool);
    struct hf_err err = {.code = HF_OK};

    (void)pthread_mutex_unlock(&pool->mutex);
    const enum hf_code rc = t.fn(t.ctx, &err);

    (void)pthread_mutex_lock(&pool->mutex);
    finish_locked(&t, rc, &err);
}

static void *work(void *arg)
{
    struct hf_pool *pool = arg;

    (void)pthread_mutex_lock(&pool->mutex);
    while (!pool->guarded.stop || pool->guarded.count > 0) {
        if (pool->guarded.count > 0)
            run_one_locked(pool);
        else
            (void)pthread_cond_wait(&pool->came, &pool->mutex);
    }
    (void)pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

struct hf_pool *hf_pool_new(unsigned threads_count)
{
    struct hf_pool *pool = hf_calloc(1, sizeof(*pool));

    pool->threads_count = threads_count;
    pool->threads = hf_calloc(threads_count, sizeof(*pool->threads));
    (void)pthread_mutex_init(&pool->mutex, NULL);
    (void)pthread_cond_init(&pool->came, NULL);
    (void)pthread_cond_init(&pool->changed, NULL);
    for (unsigned i = 0; i < threads_count; i++)
        hf_assert(pthread_create(&pool->threads[i], NULL, work, pool) == 0);
    return pool;
}

void hf_pool_free(struct hf_pool *pool)
{
    if (pool == NULL)
        return;
    (void)pthread_mutex_lock(&pool->mutex);
    pool->guarded.stop = true;
    (void)pthread_cond_broadcast(&pool->came);
    (void)pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < pool->threads_count; i++)
        (void)pthread_join(pool->threads[i], NULL);
    (void)pthread_cond_destroy(&pool->came);
    (void)pthread_cond_destroy(&pool->changed);
    (void)pthread_mutex_destroy(&pool->mutex);
    hf_free(pool->threads);
    hf_free(pool);
}

unsigned hf_pool_threads(const struct hf_pool *pool)
{
    return pool->threads_count;
}

struct hf_group *hf_group_new(struct hf_pool *pool)
{
    struct hf_group *g = hf_calloc(1, sizeof(*g));

    g->pool = pool;
    return g;
}

/* Without a pool. */
static void run_here(struct hf_group *g, hf_task_fn *fn, void *ctx)
{
    struct hf_err err = {.code = HF_OK};

    if (fn(ctx, &err) != HF_OK && g->guarded.first.code == HF_OK)
        g->guarded.first = err;
}

static enum hf_code take_first(struct hf_group *g, struct hf_err *err)
{
    const enum hf_code rc = g->guarded.first.code;

    if (rc != HF_OK)
        *err = g->guarded.first;
    g->guarded.first.code = HF_OK;
    return rc;
}

void hf_group_run(struct hf_group *g, hf_task_fn *fn, void *ctx)
{
    struct hf_pool *pool = g->pool;
    const struct task t = {.fn = fn, .ctx = ctx, .group = g};

    if (pool == NULL) {
        run_here(g, fn, ctx);
        return;
    }
    (void)pthread_mutex_lock(&pool->mutex);
    g->guarded.pending++;
    if (pool->threads_count == 0) {
        struct hf_err err = {.code = HF_OK};

        (void)pthread_mutex_unlock(&pool->mutex);
        const enum hf_code rc = fn(ctx, &err);

        (void)pthread_mutex_lock(&pool->mutex);
        finish_locked(&t, rc, &err);
        (void)pthread_mutex_unlock(&pool->mutex);
        return;
    }
    while (pool->guarded.count == QUEUE_TASKS_MAX)
        run_one_locked(pool);
    pool->guarded.queue[(pool->guarded.first + pool->guarded.count) % QUEUE_TASKS_MAX] = t;
    pool->guarded.count++;
    (void)pthread_cond_signal(&pool->came);
    if (pool->guarded.waiting > 0)
        (void)pthread_cond_broadcast(&pool->changed);
    (void)pthread_mutex_unlock(&pool->mutex);
}

enum hf_code hf_group_wait(struct hf_group *g, struct hf_err *err)
{
    struct hf_pool *pool = g->pool;

    if (pool == NULL)
        return take_first(g, err);
    (void)pthread_mutex_lock(&pool->mutex);
    while (g->guarded.pending > 0) {
        if (pool->guarded.count > 0) {
            run_one_locked(pool);
            continue;
        }
        pool->guarded.waiting++;
        (void)pthread_cond_wait(&pool->changed, &pool->mutex);
        pool->guarded.waiting--;
    }
    const enum hf_code rc = take_first(g, err);

    (void)pthread_mutex_unlock(&pool->mutex);
    return rc;
}

bool hf_group_failed(struct hf_group *g)
{
    if (g->pool == NULL)
        return g->guarded.first.code != HF_OK;
    (void)pthread_mutex_lock(&g->pool->mutex);
    const bool failed = g->guarded.first.code != HF_OK;

    (void)pthread_mutex_unlock(&g->pool->mutex);
    return failed;
}

void hf_group_free(struct hf_group *g)
{
    struct hf_err ignored;

    if (g == NULL)
        return;
    (void)!hf_group_wait(g, &ignored);
    hf_free(g);
}

void hf_group_free_ptr(struct hf_group **g)
{
    hf_group_free(*g);
    *g = NULL;
}
