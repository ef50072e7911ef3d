/* SPDX-License-Identifier: Apache-2.0 */
/*
 * partition.c - what the jobs of a partition share: its phase, what they ask of one another, and
 * what it ends with.
 */
#include "archiver/partition.h"

#include <inttypes.h>
#include <stdio.h>

#include "archive/source.h"
#include "base/alloc.h"
#include "base/log.h"

static char *copy_or_null(const char *s)
{
    return s != NULL ? hf_strdup(s) : NULL;
}

struct partition *partition_new(const struct hf_archiver_env *env,
                                const struct hf_archiver_target *target)
{
    struct partition *p = hf_calloc(1, sizeof(*p));

    p->env = env;
    p->target = *target;
    p->target.name = hf_strdup(target->name);
    p->target.db_path = hf_strdup(target->db_path);
    p->target.prefix = hf_strdup(target->prefix);
    p->target.url = hf_strdup(target->url);
    p->target.table = copy_or_null(target->table);
    p->target.partition = copy_or_null(target->partition);
    p->target.state_root = copy_or_null(target->state_root);
    p->state_dir = hf_archiver_state_dir(target->db_path, target->url, target->state_root);
    (void)pthread_mutex_init(&p->mutex, NULL);
    (void)pthread_mutex_init(&p->in_use, NULL);
    (void)pthread_mutex_init(&p->asking, NULL);
    (void)pthread_cond_init(&p->changed, NULL);
    partition_taker_init(p);
    partition_progress_init(p);
    return p;
}

void partition_free(struct partition *p)
{
    partition_stop(p, PHASE_ENDED);
    hf_free((char *)p->target.name);
    hf_free((char *)p->target.db_path);
    hf_free((char *)p->target.prefix);
    hf_free((char *)p->target.url);
    hf_free((char *)p->target.table);
    hf_free((char *)p->target.partition);
    hf_free((char *)p->target.state_root);
    hf_free(p->state_dir);
    (void)pthread_cond_destroy(&p->changed);
    (void)pthread_mutex_destroy(&p->asking);
    (void)pthread_mutex_destroy(&p->in_use);
    (void)pthread_mutex_destroy(&p->mutex);
    hf_free(p);
}

/* ---- phases and requests -------------------------------------------------------------------- */

enum partition_phase partition_phase(struct partition *p)
{
    (void)pthread_mutex_lock(&p->mutex);
    const enum partition_phase phase = p->guarded.phase;

    (void)pthread_mutex_unlock(&p->mutex);
    return phase;
}

/* The job that a phase belongs to; NULL: nobody's. */
static struct hf_job *job_of(const struct partition *p, enum partition_phase phase)
{
    switch (phase) {
    case PHASE_FOLLOW:
        return p->capture_job;
    case PHASE_CAPTURED:
        return p->upload_job;
    case PHASE_ENDED:
        return NULL;
    default:
        return p->attach_job;
    }
}

/* Which answers `request`: until the phase has changed it stays asked, so that the upload job
 * begins nothing meanwhile. The last one is for good. */
static void answer_by_phase(struct partition *p, enum partition_request request,
                            enum partition_phase phase)
{
    struct hf_job *const jobs[] = {p->attach_job, p->capture_job, p->upload_job,
                                   phase == PHASE_ENDED ? p->stop_job : NULL};

    (void)pthread_mutex_lock(&p->mutex);
    /* One that goes on with a phase of its own says itself when. */
    const struct hf_job *goes_on =
        job_of(p, phase) == job_of(p, p->guarded.phase) ? job_of(p, phase) : NULL;

    if (p->guarded.phase != PHASE_ENDED)
        p->guarded.phase = phase;
    if (p->guarded.request == request && request != REQUEST_END)
        p->guarded.request = REQUEST_NONE;
    if (p->guarded.phase == PHASE_FOLLOW)
        p->cancel = false;
    if (p->guarded.phase < PHASE_FOLLOW || p->guarded.phase == PHASE_DETACHED)
        p->guarded.status.caught_up = false; /* nobody looks what is committed */
    (void)pthread_cond_broadcast(&p->changed);
    (void)pthread_mutex_unlock(&p->mutex);
    for (size_t i = 0; i < HF_ARRAY_LEN(jobs); i++) {
        if (jobs[i] != NULL && jobs[i] != goes_on)
            hf_job_wake(jobs[i]);
    }
}

void partition_set_phase(struct partition *p, enum partition_phase phase)
{
    answer_by_phase(p, REQUEST_NONE, phase);
}

void partition_ask(struct partition *p, enum partition_request request)
{
    (void)pthread_mutex_lock(&p->mutex);
    if (request > p->guarded.request)
        p->guarded.request = request;
    (void)pthread_mutex_unlock(&p->mutex);
    hf_job_wake(p->attach_job);
    hf_job_wake(p->capture_job);
}

static enum partition_request asked(struct partition *p)
{
    (void)pthread_mutex_lock(&p->mutex);
    const enum partition_request request = p->guarded.request;

    (void)pthread_mutex_unlock(&p->mutex);
    return request;
}

bool partition_is_asked(struct partition *p)
{
    return asked(p) != REQUEST_NONE;
}

bool partition_obey(struct partition *p)
{
    const enum partition_request request = asked(p);

    if (request == REQUEST_NONE)
        return false;
    p->rival = p->rival || request == REQUEST_RIVAL;
    if (p->live != NULL)
        p->live->ops->detach(p->live);
    partition_snapshot_forget(p);
    answer_by_phase(p, request, request == REQUEST_END ? PHASE_ENDED : PHASE_RESTART);
    return true;
}

/* ---- the spool ------------------------------------------------------------------------------ */

enum hf_code partition_open_spooled(struct partition *p, uint64_t txid, struct spool_source *ret,
                                    struct hf_seg_info *ret_info, struct hf_err *err)
{
    struct hf_source *source = &ret->base;
    enum hf_code rc = spool_source_open(p->spool, txid, ret, err);

    if (rc == HF_OK)
        rc = hf_source_read_info(source, p->target.engine->codec, ret_info, err);
    if (rc == HF_UNSUPPORTED) /* we wrote it, and not like that */
        return hf_err_recode(err, HF_DAMAGE, "the spool");
    return rc != HF_OK ? rc : hf_seg_info_check_name(ret_info, txid, txid, source->name, err);
}

/* ---- stopping and ending -------------------------------------------------------------------- */

bool partition_stopping(const struct partition *p)
{
    return hf_stop_is_set(p->env->stop);
}

void partition_note_progress(struct partition *p)
{
    (void)pthread_mutex_lock(&p->mutex);
    p->guarded.progress_us = hf_mono_us(p->env->clock);
    (void)pthread_mutex_unlock(&p->mutex);
}

int64_t partition_stalled_us(struct partition *p)
{
    const int64_t now_us = hf_mono_us(p->env->clock);

    if (!partition_stopping(p))
        return 0;
    (void)pthread_mutex_lock(&p->mutex);
    if (p->guarded.stopping_since_us == 0)
        p->guarded.stopping_since_us = now_us;
    const int64_t since_us = p->guarded.stopping_since_us;
    const int64_t progress_us = p->guarded.progress_us;

    (void)pthread_mutex_unlock(&p->mutex);
    return now_us - (progress_us > since_us ? progress_us : since_us);
}

void partition_fail(struct partition *p, const struct hf_err *err)
{
    (void)pthread_mutex_lock(&p->mutex);
    if (p->guarded.status.failure == HF_OK) {
        p->guarded.status.failure = err->code;
        (void)snprintf(p->guarded.status.failure_text, sizeof(p->guarded.status.failure_text), "%s",
                       err->text);
    }
    (void)pthread_cond_broadcast(&p->changed); /* nobody gets an answer any more */
    (void)pthread_mutex_unlock(&p->mutex);
}

/* What could not be done for now keeps its code; what says that something is missing becomes that.
 */
static enum hf_code code_of_end(const struct partition *p, const struct hf_err *cause)
{
    if (cause == NULL)
        return p->once ? HF_CANCELED : HF_HOLE;
    if (hf_code_exit_status(cause->code) == 3 && cause->code != HF_CONFLICT)
        return cause->code;
    return p->followed ? HF_HOLE : cause->code;
}

void partition_fail_unknown(struct partition *p, const struct hf_err *cause)
{
    struct hf_err err;

    (void)pthread_mutex_lock(&p->mutex);
    const uint64_t captured = p->guarded.status.captured_txid;

    (void)pthread_mutex_unlock(&p->mutex);
    (void)hf_err_set(&err, code_of_end(p, cause),
                     "it has ended without the last commits: from TXID %" PRIu64
                     " on, nothing is known to be archived%s%s",
                     captured + 1, cause != NULL ? ": " : "", cause != NULL ? cause->text : "");
    partition_fail(p, &err);
}

int64_t partition_end_capture(struct partition *p)
{
    if (p->live != NULL)
        p->live->ops->detach(p->live);
    partition_set_phase(p, PHASE_CAPTURED);
    return HF_JOB_ENDED;
}

/* ---- trying again --------------------------------------------------------------------------- */

int64_t partition_back_off(int64_t *retry_ms, int64_t ms_max)
{
    *retry_ms = *retry_ms == 0 ? RETRY_MS_MIN : *retry_ms * 2;
    if (*retry_ms > ms_max)
        *retry_ms = ms_max;
    return *retry_ms;
}

int64_t partition_retry(struct partition *p, int64_t *retry_ms, const char *doing,
                        const struct hf_err *err)
{
    const int64_t again_ms = partition_back_off(retry_ms, RETRY_MS_MAX);

    hf_log(HF_LOG_WARN, "%s: %s: %s; again in %lld ms", p->target.name, doing, err->text,
           (long long)again_ms);
    return again_ms;
}
