/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retry.h - when to try again, and when to give up.
 *
 * Exponential backoff with full jitter: the n-th wait is a random time below a limit that doubles,
 * so that many archivers that lost one store do not come back together. One thread.
 */
#ifndef HF_STORE_RETRY_H
#define HF_STORE_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/rand.h"
#include "base/stop.h"

#define HF_RETRY_BUDGET_MS    60000 /* of a call, from its start or its last progress */
#define HF_RETRY_WAIT_MS_MIN  50    /* the limit of the first wait */
#define HF_RETRY_WAIT_MS_MAX  8000  /* what the limit grows to */
#define HF_RETRY_TELL_MS      1000  /* of waiting, after which somebody is told */
#define HF_RETRY_AFTER_MS_MAX 60000 /* of a server's Retry-After that is believed */

/* Somebody who wants to know that a call is waiting, and why. From any thread. */
struct hf_waits {
    void (*tell)(struct hf_waits *w, const struct hf_err *why);
};

struct hf_retry {
    struct hf_clock *clock;   /* borrowed */
    struct hf_rand *rand;     /* borrowed */
    const hf_stop_flag *stop; /* borrowed; or NULL */
    struct hf_waits *waits;   /* borrowed; or NULL */
    int64_t budget_ms;
    int64_t deadline_us; /* of the clock's mono_us */
    int64_t wait_ms_max; /* the limit of the next wait */
    unsigned waits_count;
    int64_t waited_ms; /* since the last progress */
    bool told;
};

/* The budget begins now. `stop` and `waits` may be NULL. */
void hf_retry_init(struct hf_retry *r, struct hf_clock *clock, struct hf_rand *rand,
                   const hf_stop_flag *stop, struct hf_waits *waits, int64_t budget_ms);

/* Sleep before another attempt, at least `at_least_ms` (what the server asked for; 0: nothing);
 * `why` is how the last one failed. false, at once: the attempt would begin behind the deadline, or
 * `stop` is set. */
bool hf_retry_wait(struct hf_retry *r, int64_t at_least_ms, const struct hf_err *why) HF_MUST_CHECK;

/* Something was achieved: the budget and the waits begin anew. */
void hf_retry_progress(struct hf_retry *r);

/* Milliseconds of a Retry-After value: seconds, or an HTTP date. 0 if there is none or it is not
 * understood. */
int64_t hf_retry_after_ms(const char *value, int64_t now_ms);

#endif
