/* SPDX-License-Identifier: Apache-2.0 */
/* retry.c - the waits of retry.h, and the two forms of Retry-After (RFC 9110 §10.2.3). */
#include "store/retry.h"

#include <errno.h>
#include <stdlib.h>

#include "store/http.h"

#define NAP_MS_MAX 100 /* after which a wait looks whether it is to go on */

void hf_retry_init(struct hf_retry *r, struct hf_clock *clock, struct hf_rand *rand,
                   const hf_stop_flag *stop, struct hf_waits *waits, int64_t budget_ms)
{
    *r = (struct hf_retry){
        .clock = clock, .rand = rand, .stop = stop, .waits = waits, .budget_ms = budget_ms};
    hf_retry_progress(r);
}

void hf_retry_progress(struct hf_retry *r)
{
    r->deadline_us = hf_mono_us(r->clock) + r->budget_ms * 1000;
    r->wait_ms_max = HF_RETRY_WAIT_MS_MIN;
    r->waited_ms = 0;
    r->told = false;
}

/* false: told to stop. */
static bool nap(const struct hf_retry *r, int64_t wait_ms)
{
    while (wait_ms > 0 && !hf_stop_is_set(r->stop)) {
        const int64_t nap_ms = wait_ms < NAP_MS_MAX ? wait_ms : NAP_MS_MAX;

        hf_sleep_ms(r->clock, nap_ms);
        wait_ms -= nap_ms;
    }
    return !hf_stop_is_set(r->stop);
}

/* Once, before the wait that makes it long. */
static void tell(struct hf_retry *r, int64_t wait_ms, const struct hf_err *why)
{
    r->waited_ms += wait_ms;
    if (r->told || r->waits == NULL || r->waited_ms < HF_RETRY_TELL_MS)
        return;
    r->told = true;
    r->waits->tell(r->waits, why);
}

bool hf_retry_wait(struct hf_retry *r, int64_t at_least_ms, const struct hf_err *why)
{
    int64_t wait_ms = 1 + (int64_t)hf_rand_below(r->rand, (uint64_t)r->wait_ms_max);

    if (wait_ms < at_least_ms)
        wait_ms = at_least_ms;
    if (hf_mono_us(r->clock) + wait_ms * 1000 > r->deadline_us)
        return false;
    tell(r, wait_ms, why);
    if (!nap(r, wait_ms))
        return false;
    r->waits_count++;
    r->wait_ms_max *= 2;
    if (r->wait_ms_max > HF_RETRY_WAIT_MS_MAX)
        r->wait_ms_max = HF_RETRY_WAIT_MS_MAX;
    return true;
}

int64_t hf_retry_after_ms(const char *value, int64_t now_ms)
{
    char *end;
    int64_t ms;

    if (value == NULL || *value == '\0')
        return 0;
    errno = 0;

    const long long sec = strtoll(value, &end, 10);

    if (*end == '\0' && errno == 0 && sec >= 0 && sec <= HF_RETRY_AFTER_MS_MAX / 1000)
        return sec * 1000;
    if (*end == '\0')
        return sec > 0 ? HF_RETRY_AFTER_MS_MAX : 0;
    ms = hf_http_date(value) - now_ms;
    if (ms <= 0)
        return 0;
    return ms > HF_RETRY_AFTER_MS_MAX ? HF_RETRY_AFTER_MS_MAX : ms;
}
