/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.h - a bounded pool of worker threads, and groups of tasks to wait for.
 *
 * With 0 threads a task runs in the call that hands it in, which makes tests and the simulator
 * deterministic. Whoever waits for a group works on queued tasks meanwhile, so a task may itself
 * run a group on the same pool.
 */
#ifndef HF_BASE_POOL_H
#define HF_BASE_POOL_H

#include "base/err.h"

struct hf_pool;
struct hf_group;

/* A failure is kept by the task's group (the first one); later tasks still run, so they should
 * look at hf_group_failed() where they are costly. */
typedef enum hf_code hf_task_fn(void *ctx, struct hf_err *err);

/* Its threads start now; the caller frees it. 0 threads: see above. */
struct hf_pool *hf_pool_new(unsigned threads_count);
/* Waits for tasks that run; none may be queued. NULL is allowed. */
void hf_pool_free(struct hf_pool *pool);
unsigned hf_pool_threads(const struct hf_pool *pool);

/* The pool is borrowed. NULL: tasks run in the call that hands them in, as one that is small is
 * done sooner than another thread has woken up; such a group is for one thread. */
struct hf_group *hf_group_new(struct hf_pool *pool);
/* Queue fn(ctx); blocks while the queue is full (64 tasks). `ctx` stays the caller's. */
void hf_group_run(struct hf_group *g, hf_task_fn *fn, void *ctx);
/* All tasks handed in so far are done. The first failure, or HF_OK; afterwards the group is as new.
 */
enum hf_code hf_group_wait(struct hf_group *g, struct hf_err *err) HF_MUST_CHECK;
bool hf_group_failed(struct hf_group *g);
void hf_group_free(struct hf_group *g); /* waits; NULL is allowed */
void hf_group_free_ptr(struct hf_group **g);

#endif
