/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boundary.c - "which TXID ends exactly here?", asked over the control socket.
 *
 *   boundary <position in hex>     ->  txid <n> | passed | busy <why>
 *
 * One question at a time, and only while the log is followed. The answer is given only after that
 * TXID is archived; "passed" also if an application's checkpoint waits meanwhile.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "archiver/partition.h"
#include "base/alloc.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_position(const char *hex, struct hf_position *ret)
{
    const size_t len = strlen(hex) / 2;

    if (strlen(hex) % 2 != 0 || len > HF_POSITION_BYTES_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        const int high = hex_digit(hex[2 * i]);
        const int low = hex_digit(hex[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        ret->bytes[i] = (uint8_t)(high << 4 | low);
    }
    ret->len = len;
    return true;
}

static bool asks_still_locked(const struct partition *p)
{
    return p->guarded.phase == PHASE_FOLLOW && !p->guarded.until_passed &&
           p->guarded.status.failure == HF_OK &&
           (p->guarded.until_txid == 0 || p->guarded.status.archived_txid < p->guarded.until_txid);
}

bool partition_asks_still(struct partition *p)
{
    (void)pthread_mutex_lock(&p->mutex);
    const bool still = asks_still_locked(p);

    (void)pthread_mutex_unlock(&p->mutex);
    return still;
}

void partition_question(struct partition *p, const struct hf_position *until)
{
    (void)pthread_mutex_lock(&p->mutex);
    p->guarded.question = true;
    p->guarded.until = *until;
    p->guarded.until_txid = 0;
    p->guarded.until_passed = false;
    (void)pthread_mutex_unlock(&p->mutex);
    hf_job_wake(p->capture_job);
}

void partition_end_question(struct partition *p, struct hf_buf *ret)
{
    (void)pthread_mutex_lock(&p->mutex);
    if (p->guarded.until_passed)
        hf_buf_printf(ret, "passed");
    else if (p->guarded.until_txid != 0 && p->guarded.status.archived_txid >= p->guarded.until_txid)
        hf_buf_printf(ret, "txid %" PRIu64, p->guarded.until_txid);
    else
        hf_buf_printf(ret, "busy the segment was not archived within %d s",
                      BOUNDARY_WAIT_MS / 1000);
    p->guarded.question = false;
    (void)pthread_mutex_unlock(&p->mutex);
}

/* Until the question is answered and the answer archived, or the time is over. */
static void wait_for_answer(struct partition *p)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += BOUNDARY_WAIT_MS / 1000;
    (void)pthread_mutex_lock(&p->mutex);
    while (asks_still_locked(p) && pthread_cond_timedwait(&p->changed, &p->mutex, &until) == 0)
        continue;
    (void)pthread_mutex_unlock(&p->mutex);
}

static void ask(struct partition *p, const struct hf_position *until, struct hf_buf *ret)
{
    (void)pthread_mutex_lock(&p->asking);
    partition_question(p, until);
    wait_for_answer(p);
    partition_end_question(p, ret);
    (void)pthread_mutex_unlock(&p->asking);
}

void partition_answer(void *ctx, const char *line, struct hf_buf *ret)
{
    static const char verb[] = "boundary ";
    struct hf_position until = {0};

    if (strncmp(line, verb, strlen(verb)) != 0 || !parse_position(line + strlen(verb), &until)) {
        hf_buf_printf(ret, "busy unknown question");
        return;
    }
    ask(ctx, &until, ret);
}

void partition_settle_question(struct partition *p, bool looked, bool waited_for)
{
    struct hf_err ignored;
    uint64_t txid = 0;

    (void)pthread_mutex_lock(&p->mutex);
    const struct hf_position until = p->guarded.until;

    (void)pthread_mutex_unlock(&p->mutex);
    const enum hf_code rc = p->live->ops->find(p->live, &until, &txid, &ignored);

    (void)pthread_mutex_lock(&p->mutex);
    if (rc == HF_OK)
        p->guarded.until_txid = txid;
    /* Whoever asks holds the log there, and asks again after having let go. */
    if (waited_for || (rc != HF_OK && looked))
        p->guarded.until_passed = true;
    (void)pthread_cond_broadcast(&p->changed);
    (void)pthread_mutex_unlock(&p->mutex);
}

enum hf_code partition_parse_answer(const char *answer, uint64_t *ret_txid, struct hf_err *err)
{
    if (sscanf(answer, "txid %" SCNu64, ret_txid) == 1)
        return HF_OK;
    if (strcmp(answer, "passed") == 0)
        return hf_err_set(err, HF_NOT_FOUND, "that position lies inside a segment");
    return hf_err_set(err, HF_BUSY, "the archiver says: %s", answer);
}

enum hf_code hf_archiver_ask_boundary(const char *state_dir, const struct hf_position *p,
                                      uint64_t *ret_txid, struct hf_err *err)
{
    HF_AUTO_BUF line = {0};
    HF_AUTO_BUF answer = {0};
    char hex[2 * HF_POSITION_BYTES_MAX + 1];

    hf_hex(hf_slice(p->bytes, p->len), hex);
    hf_buf_printf(&line, "boundary %s", hex);
    const enum hf_code rc =
        hf_control_ask(state_dir, hf_buf_str(&line), 2 * BOUNDARY_WAIT_MS, &answer, err);

    return rc != HF_OK ? rc : partition_parse_answer(hf_buf_str(&answer), ret_txid, err);
}
