/* SPDX-License-Identifier: Apache-2.0 */
/*
 * line.h - the store as a process sees it: requests are refused, lost, late, unanswered or slow.
 *
 * What an answer says is always true: the store itself is strongly consistent, as S3 is. A request
 * that was not answered may happen later, even after its process has died.
 */
#ifndef HF_TESTS_SIM_LINE_H
#define HF_TESTS_SIM_LINE_H

#include "sim/machine.h"

/* Of a seed: what is on its way, and what becomes of it. */
struct lines *lines_new(void);
void lines_free(struct sim *s);

/* The process's way to the partition's archive; freed by hf_store_free(). */
struct hf_store *line_new(struct process *p, const struct partition *of);

/* So many of a thousand requests meet a fault. */
void lines_set_weather(struct sim *s, unsigned per_mille);
/* The store does not answer for so long. */
void lines_cut(struct sim *s, int64_t us);
/* When the next late request arrives; INT64_MAX: none is on its way. */
int64_t lines_due_us(const struct sim *s);
/* It does. */
void lines_deliver(struct sim *s);

#endif
