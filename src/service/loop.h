/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop.h - many small recurring jobs on a few threads.
 *
 * A job runs when it is due, never twice at once, and says when it is due again. Which thread runs
 * it does not matter to it. A loop without threads runs a job when it is told to, by whatever clock
 * it was given, which makes the simulator deterministic.
 */
#ifndef HF_SERVICE_LOOP_H
#define HF_SERVICE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

struct hf_loop;
struct hf_job;

#define HF_JOB_WHEN_WOKEN (-1) /* not due before hf_job_wake() */
#define HF_JOB_ENDED      (-2) /* never again */

/* Returns after how many ms to run again, or one of the two above. */
typedef int64_t hf_job_fn(void *ctx);

/* The clock is borrowed; with threads it must be the machine's. */
struct hf_loop *hf_loop_new(unsigned threads_count, struct hf_clock *clock);
/* A job that is due at once; before or while the loop runs. Freed with the loop. */
struct hf_job *hf_loop_add(struct hf_loop *loop, hf_job_fn *fn, void *ctx);
/* Run until every job has ended; threads_count >= 1. */
void hf_loop_run(struct hf_loop *loop);
/* Run the job that is due first, in this call. False: none is due now. */
bool hf_loop_step(struct hf_loop *loop);
/* When the next job is due, as the clock's mono_us; INT64_MAX: none before it is woken. */
int64_t hf_loop_due_us(struct hf_loop *loop);
void hf_loop_free(struct hf_loop *loop); /* NULL is allowed */

/* The job is due now; if it is running, once more after that. Any thread. */
void hf_job_wake(struct hf_job *job);

#endif
