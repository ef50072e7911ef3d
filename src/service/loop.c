/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop.c - jobs in a binary heap by the time they are due; threads take the first one.
 *
 * Invariants
 * 1. A job is in the heap, or runs, or has ended.
 * 2. When the mutex is free, the first job in the heap is watched: a thread waits no longer than
 *    until it is due, or was signalled, or is at a job and looks when it comes back.
 * 3. One more thread waits for the second job, so that taking the first wakes nobody, and all the
 *    others for a signal: waking costs more than most rounds of a job.
 */
#include "service/loop.h"

#include <pthread.h>
#include <time.h>

#include "base/alloc.h"
#include "base/check.h"

#define LOOK_US 1000000

struct hf_job {
    struct hf_loop *loop;
    hf_job_fn *fn;
    void *ctx;
    int64_t due_us;
    size_t place; /* in the heap */
    bool running;
    bool woken; /* while it ran */
    bool ended;
    struct hf_job *next; /* of all jobs */
};

/* A thread with nothing to do, on its stack. */
struct waiter {
    int64_t until_us; /* INT64_MAX: until it is signalled */
    struct waiter *next;
};

struct hf_loop {
    unsigned threads_count;
    struct hf_clock *clock;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct {
        struct hf_job **heap;
        size_t count;
        size_t cap;
        size_t alive; /* jobs that have not ended */
        struct hf_job *all;
        struct waiter *waiters;
    } guarded; /* by mutex */
};

static void put_locked(struct hf_loop *l, size_t place, struct hf_job *j)
{
    l->guarded.heap[place] = j;
    j->place = place;
}

static void sift_up_locked(struct hf_loop *l, struct hf_job *j)
{
    size_t at = j->place;

    for (; at > 0 && l->guarded.heap[(at - 1) / 2]->due_us > j->due_us; at = (at - 1) / 2)
        put_locked(l, at, l->guarded.heap[(at - 1) / 2]);
    put_locked(l, at, j);
}

static void sift_down_locked(struct hf_loop *l, struct hf_job *j)
{
    size_t at = j->place;

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= l->guarded.count)
            break;
        if (child + 1 < l->guarded.count &&
            l->guarded.heap[child + 1]->due_us < l->guarded.heap[child]->due_us)
            child++;
        if (l->guarded.heap[child]->due_us >= j->due_us)
            break;
        put_locked(l, at, l->guarded.heap[child]);
        at = child;
    }
    put_locked(l, at, j);
}

static void push_locked(struct hf_loop *l, struct hf_job *j)
{
    if (l->guarded.count == l->guarded.cap) {
        l->guarded.cap = l->guarded.cap > 0 ? l->guarded.cap * 2 : 16;
        l->guarded.heap = hf_realloc(l->guarded.heap, l->guarded.cap, sizeof(*l->guarded.heap));
    }
    put_locked(l, l->guarded.count++, j);
    sift_up_locked(l, j);
}

static struct hf_job *pop_locked(struct hf_loop *l)
{
    struct hf_job *first = l->guarded.heap[0];
    struct hf_job *last = l->guarded.heap[--l->guarded.count];

    if (last != first) {
        put_locked(l, 0, last);
        sift_down_locked(l, last);
    }
    return first;
}

struct hf_loop *hf_loop_new(unsigned threads_count, struct hf_clock *clock)
{
    struct hf_loop *l = hf_calloc(1, sizeof(*l));
    pthread_condattr_t attr;

    hf_assert(threads_count == 0 || clock == hf_clock_system());
    l->threads_count = threads_count;
    l->clock = clock;
    (void)pthread_mutex_init(&l->mutex, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&l->changed, &attr);
    (void)pthread_condattr_destroy(&attr);
    return l;
}

struct hf_job *hf_loop_add(struct hf_loop *l, hf_job_fn *fn, void *ctx)
{
    struct hf_job *j = hf_calloc(1, sizeof(*j));

    j->loop = l;
    j->fn = fn;
    j->ctx = ctx;
    (void)pthread_mutex_lock(&l->mutex);
    j->next = l->guarded.all;
    l->guarded.all = j;
    l->guarded.alive++;
    push_locked(l, j);
    (void)pthread_cond_signal(&l->changed);
    (void)pthread_mutex_unlock(&l->mutex);
    return j;
}

void hf_job_wake(struct hf_job *j)
{
    struct hf_loop *l = j->loop;

    (void)pthread_mutex_lock(&l->mutex);
    if (j->running) {
        j->woken = true;
    } else if (!j->ended) {
        j->due_us = 0;
        sift_up_locked(l, j);
        (void)pthread_cond_signal(&l->changed);
    }
    (void)pthread_mutex_unlock(&l->mutex);
}

static void run_locked(struct hf_loop *l, struct hf_job *j)
{
    j->running = true;
    j->woken = false;
    (void)pthread_mutex_unlock(&l->mutex);
    const int64_t again_ms = j->fn(j->ctx);

    (void)pthread_mutex_lock(&l->mutex);
    j->running = false;
    if (again_ms == HF_JOB_ENDED) {
        j->ended = true;
        if (--l->guarded.alive == 0)
            (void)pthread_cond_broadcast(&l->changed);
        return;
    }
    j->due_us = j->woken                        ? 0
                : again_ms == HF_JOB_WHEN_WOKEN ? INT64_MAX
                                                : hf_mono_us(l->clock) + again_ms * 1000;
    push_locked(l, j);
}

static int64_t due_locked(const struct hf_loop *l)
{
    return l->guarded.count > 0 ? l->guarded.heap[0]->due_us : INT64_MAX;
}

/* When the second job is due, which is one of the first's children. */
static int64_t second_due_locked(const struct hf_loop *l)
{
    int64_t due_us = INT64_MAX;

    for (size_t i = 1; i < l->guarded.count && i <= 2; i++) {
        if (l->guarded.heap[i]->due_us < due_us)
            due_us = l->guarded.heap[i]->due_us;
    }
    return due_us;
}

/* How many threads that wait will look by then. */
static unsigned watchers_locked(const struct hf_loop *l, int64_t due_us)
{
    unsigned count = 0;

    for (const struct waiter *w = l->guarded.waiters; w != NULL; w = w->next)
        count += w->until_us <= due_us;
    return count;
}

static void leave_locked(struct hf_loop *l, const struct waiter *w)
{
    struct waiter **at = &l->guarded.waiters;

    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
}

/* Until when the next thread waits: INT64_MAX is until it is signalled. One of all looks once a
 * second in any case: glibc before 2.41 can lose a signal (bug 25847). */
static int64_t wait_until_locked(const struct hf_loop *l)
{
    const int64_t look_us = hf_mono_us(l->clock) + LOOK_US;
    const int64_t first_us = due_locked(l) < look_us ? due_locked(l) : look_us;
    const int64_t second_us = second_due_locked(l);

    if (watchers_locked(l, first_us) == 0)
        return first_us;
    return watchers_locked(l, second_us) <= 1 ? second_us : INT64_MAX;
}

static void wait_locked(struct hf_loop *l)
{
    struct waiter w = {.until_us = wait_until_locked(l), .next = l->guarded.waiters};

    l->guarded.waiters = &w;
    if (w.until_us == INT64_MAX) {
        (void)pthread_cond_wait(&l->changed, &l->mutex);
    } else {
        const struct timespec until = {.tv_sec = w.until_us / 1000000,
                                       .tv_nsec = (w.until_us % 1000000) * 1000};

        (void)pthread_cond_timedwait(&l->changed, &l->mutex, &until);
    }
    leave_locked(l, &w);
}

static bool step_locked(struct hf_loop *l)
{
    if (due_locked(l) > hf_mono_us(l->clock))
        return false;
    struct hf_job *j = pop_locked(l);

    /* What comes next is not to wait for this job. */
    if (watchers_locked(l, due_locked(l)) == 0)
        (void)pthread_cond_signal(&l->changed);
    run_locked(l, j);
    return true;
}

static void *work(void *arg)
{
    struct hf_loop *l = arg;

    (void)pthread_mutex_lock(&l->mutex);
    while (l->guarded.alive > 0) {
        if (!step_locked(l))
            wait_locked(l);
    }
    (void)pthread_mutex_unlock(&l->mutex);
    return NULL;
}

void hf_loop_run(struct hf_loop *l)
{
    pthread_t *threads = hf_calloc(l->threads_count, sizeof(*threads));

    hf_assert(l->threads_count >= 1);
    for (unsigned i = 0; i < l->threads_count; i++)
        hf_assert(pthread_create(&threads[i], NULL, work, l) == 0);
    for (unsigned i = 0; i < l->threads_count; i++)
        (void)pthread_join(threads[i], NULL);
    hf_free(threads);
}

bool hf_loop_step(struct hf_loop *l)
{
    (void)pthread_mutex_lock(&l->mutex);
    const bool ran = step_locked(l);

    (void)pthread_mutex_unlock(&l->mutex);
    return ran;
}

int64_t hf_loop_due_us(struct hf_loop *l)
{
    (void)pthread_mutex_lock(&l->mutex);
    const int64_t due_us = due_locked(l);

    (void)pthread_mutex_unlock(&l->mutex);
    return due_us;
}

void hf_loop_free(struct hf_loop *l)
{
    if (l == NULL)
        return;
    while (l->guarded.all != NULL) {
        struct hf_job *next = l->guarded.all->next;

        hf_free(l->guarded.all);
        l->guarded.all = next;
    }
    (void)pthread_cond_destroy(&l->changed);
    (void)pthread_mutex_destroy(&l->mutex);
    hf_free(l->guarded.heap);
    hf_free(l);
}
