/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.h - time comes from here, so that a test can hand in its own.
 *
 * Instants are microseconds since the Unix epoch (now_us) or of a monotonic clock (mono_us).
 */
#ifndef HF_BASE_CLOCK_H
#define HF_BASE_CLOCK_H

#include <stdint.h>

#include "base/err.h"

struct hf_clock {
    int64_t (*now_us)(struct hf_clock *c);
    int64_t (*mono_us)(struct hf_clock *c);
    void (*sleep_us)(struct hf_clock *c, int64_t us);
};

/* The machine's clock. Never freed; any thread. */
struct hf_clock *hf_clock_system(void);

static inline int64_t hf_now_us(struct hf_clock *c)
{
    return c->now_us(c);
}
static inline int64_t hf_now_ms(struct hf_clock *c)
{
    return c->now_us(c) / 1000;
}
static inline int64_t hf_mono_us(struct hf_clock *c)
{
    return c->mono_us(c);
}
static inline void hf_sleep_ms(struct hf_clock *c, int64_t ms)
{
    c->sleep_us(c, ms * 1000);
}

#define HF_TIME_TEXT_MAX 80 /* bytes with NUL */

/* RFC 3339 in UTC with milliseconds: 2026-01-02T03:04:05.678Z. */
void hf_time_text(int64_t ms, char ret[HF_TIME_TEXT_MAX]);

/*
 * Milliseconds since the epoch of an RFC 3339 time with offset ("2026-01-02T03:04:05Z",
 * "2026-01-02 03:04:05.5+01:00").
 * HF_USAGE  not a time, or one without offset: the message then shows both readings, as UTC and
 *           as the machine's local time.
 */
enum hf_code hf_time_parse(const char *text, int64_t *ret_ms, struct hf_err *err) HF_MUST_CHECK;

#endif
