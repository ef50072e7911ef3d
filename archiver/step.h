/* SPDX-License-Identifier: Apache-2.0 */
/*
 * step.h - an archiver without threads, for the simulator: its jobs run one at a time, when they
 * are told to, by the clock of its environment.
 *
 * Begin, steps and end are together what hf_archiver_run() does; only the threads and the control
 * socket are missing. A job runs in the step that is called for it, so a call that it makes (to the
 * store, say) may make further steps, as if both had run at once: of any loop, but of none more
 * than it would have threads.
 */
#ifndef HF_ARCHIVER_STEP_H
#define HF_ARCHIVER_STEP_H

#include "archiver/archiver.h"

/* The loops of jobs: archiver.c says which job is on which, and why. */
enum hf_archiver_loop {
    HF_ARCHIVER_ATTACH,
    HF_ARCHIVER_CAPTURE,
    HF_ARCHIVER_UPLOAD,
    HF_ARCHIVER_LOOPS,
};

/* Every job is due; `once` as for hf_archiver_run(). Nothing runs yet. */
void hf_archiver_begin(struct hf_archiver *a, bool once);
/* How many jobs of `loop` run at once at most. */
unsigned hf_archiver_threads(const struct hf_archiver *a, enum hf_archiver_loop loop);
/* Run the job of `loop` that is due first. False: none is due now. */
bool hf_archiver_step(struct hf_archiver *a, enum hf_archiver_loop loop);
/* When a job of `loop` is due, as the clock's mono_us; INT64_MAX: none before it is woken. */
int64_t hf_archiver_due_us(struct hf_archiver *a, enum hf_archiver_loop loop);
/* Every partition has ended, so hf_archiver_end() tells how. */
bool hf_archiver_ended(struct hf_archiver *a);
/* This one has. */
bool hf_archiver_has_ended(struct hf_archiver *a, size_t index);
/* As hf_archiver_run() ends. Before that, hf_archiver_free() gives up whatever is under way. */
enum hf_code hf_archiver_end(struct hf_archiver *a, struct hf_err *err) HF_MUST_CHECK;

/* A boundary's question without the socket: asked, and not answered yet ... */
void hf_archiver_question(struct hf_archiver *a, size_t index, const struct hf_position *p);
bool hf_archiver_asks_still(struct hf_archiver *a, size_t index);
/* ... and settled, whether it was answered or not; codes as hf_archiver_ask_boundary(). */
enum hf_code hf_archiver_answer(struct hf_archiver *a, size_t index, uint64_t *ret_txid,
                                struct hf_err *err) HF_MUST_CHECK;

#endif
