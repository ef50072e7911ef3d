/* SPDX-License-Identifier: Apache-2.0 */
/*
 * archiver.c - all partitions of a process: their jobs on two loops, so that uploads that wait for
 * the store never keep captures from running.
 */
#include "archiver/archiver.h"

#include <pthread.h>
#include <stdio.h>

#include "archiver/partition.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"

#define CAPTURE_THREADS_MAX 4
#define UPLOAD_THREADS_MAX  8
#define STOP_POLL_MS        50

struct hf_archiver {
    struct hf_archiver_env env;
    struct partition **partitions;
    size_t count;
};

struct hf_archiver *hf_archiver_new(const struct hf_archiver_env *env)
{
    struct hf_archiver *a = hf_calloc(1, sizeof(*a));

    a->env = *env;
    return a;
}

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

enum partition_phase partition_phase(struct partition *p)
{
    (void)pthread_mutex_lock(&p->mutex);
    const enum partition_phase phase = p->guarded.phase;

    (void)pthread_mutex_unlock(&p->mutex);
    return phase;
}

int64_t partition_stopped_for_us(struct partition *p)
{
    (void)pthread_mutex_lock(&p->mutex);
    const int64_t since_us = p->guarded.stopping_since_us;

    (void)pthread_mutex_unlock(&p->mutex);
    return since_us != 0 ? hf_mono_us(p->env->clock) - since_us : 0;
}

void partition_set_phase(struct partition *p, enum partition_phase phase)
{
    (void)pthread_mutex_lock(&p->mutex);
    if (p->guarded.phase != PHASE_ENDED)
        p->guarded.phase = phase;
    if (p->guarded.phase == PHASE_FOLLOW)
        p->cancel = false;
    (void)pthread_cond_broadcast(&p->changed);
    (void)pthread_mutex_unlock(&p->mutex);
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

int64_t partition_retry(struct partition *p, int64_t *retry_ms, const char *doing,
                        const struct hf_err *err)
{
    *retry_ms = *retry_ms == 0 ? RETRY_MS_MIN : *retry_ms * 2;
    if (*retry_ms > RETRY_MS_MAX)
        *retry_ms = RETRY_MS_MAX;
    hf_log(HF_LOG_WARN, "%s: %s: %s; again in %lld ms", p->target.name, doing, err->text,
           (long long)*retry_ms);
    return *retry_ms;
}

void hf_archiver_add(struct hf_archiver *a, const struct hf_archiver_target *target)
{
    a->partitions = hf_realloc(a->partitions, a->count + 1, sizeof(*a->partitions));
    a->partitions[a->count++] = partition_new(&a->env, target);
}

/* Ends what would take longer than a stop should. A partition that follows its log makes a last
 * round by itself. */
static void hurry(struct partition *p)
{
    (void)pthread_mutex_lock(&p->mutex);
    const bool waits = p->guarded.phase != PHASE_FOLLOW && p->guarded.phase != PHASE_ENDED;

    if (waits)
        p->cancel = true;
    if (p->guarded.stopping_since_us == 0)
        p->guarded.stopping_since_us = hf_mono_us(p->env->clock);
    (void)pthread_mutex_unlock(&p->mutex);
    if (waits)
        hf_job_wake(p->capture_job);
}

/* Whether a stopped partition may still bring something to the store that it has captured. */
static bool is_draining(struct partition *p)
{
    const enum partition_phase phase = partition_phase(p);
    const bool has = phase == PHASE_FOLLOW || phase == PHASE_DETACHED || phase == PHASE_CAPTURED;

    return has && partition_stopped_for_us(p) <= STOP_WAIT_US;
}

static int64_t watch_stop(void *ctx)
{
    struct hf_archiver *a = ctx;
    bool alive = false;
    bool draining = false;

    for (size_t i = 0; i < a->count; i++)
        alive = alive || partition_phase(a->partitions[i]) != PHASE_ENDED;
    if (!alive)
        return HF_JOB_ENDED;
    if (!hf_stop_is_set(a->env.stop))
        return STOP_POLL_MS;
    for (size_t i = 0; i < a->count; i++) {
        hurry(a->partitions[i]);
        draining = draining || is_draining(a->partitions[i]);
    }
    if (!draining && a->env.cut != NULL)
        *a->env.cut = true;
    return STOP_POLL_MS;
}

static unsigned threads_for(size_t count, unsigned max)
{
    return count < max ? (unsigned)count : max;
}

static void *run_loop(void *arg)
{
    hf_loop_run(arg);
    return NULL;
}

/* How the run ended, over all partitions: the first failure, else damage that was met. */
static enum hf_code outcome(struct hf_archiver *a, struct hf_err *err)
{
    for (size_t i = 0; i < a->count; i++) {
        const struct hf_archiver_status *s = &a->partitions[i]->guarded.status;

        if (s->failure != HF_OK)
            return hf_err_set(err, s->failure, "%s: %s", a->partitions[i]->target.name,
                              s->failure_text);
    }
    for (size_t i = 0; i < a->count; i++) {
        if (a->partitions[i]->guarded.lost)
            return hf_err_set(err, HF_DAMAGE,
                              "%s: the live database had lost commits that were archived; they are "
                              "still in the archive",
                              a->partitions[i]->target.name);
    }
    return HF_OK;
}

enum hf_code hf_archiver_run(struct hf_archiver *a, bool once, struct hf_err *err)
{
    struct hf_control_server *server = NULL;
    pthread_t uploads;

    if (a->count == 0)
        return hf_err_set(err, HF_USAGE, "there is no database to archive");
    const enum hf_code rc = hf_control_server_new(&server, err);

    if (rc != HF_OK)
        return rc;
    struct hf_loop *capture = hf_loop_new(threads_for(a->count, CAPTURE_THREADS_MAX) + 1);
    struct hf_loop *upload = hf_loop_new(threads_for(a->count, UPLOAD_THREADS_MAX));

    for (size_t i = 0; i < a->count; i++) {
        struct partition *p = a->partitions[i];

        p->once = once;
        p->server = server;
        p->upload_job = hf_loop_add(upload, partition_upload, p);
        p->capture_job = hf_loop_add(capture, partition_capture, p);
    }
    (void)hf_loop_add(capture, watch_stop, a);
    hf_assert(pthread_create(&uploads, NULL, run_loop, upload) == 0);
    hf_loop_run(capture);
    (void)pthread_join(uploads, NULL);
    for (size_t i = 0; i < a->count; i++)
        partition_stop(a->partitions[i], PHASE_ENDED);
    hf_control_server_free(server);
    hf_loop_free(capture);
    hf_loop_free(upload);
    return outcome(a, err);
}

size_t hf_archiver_count(const struct hf_archiver *a)
{
    return a->count;
}

void hf_archiver_status(struct hf_archiver *a, size_t index, struct hf_archiver_status *ret)
{
    struct partition *p = a->partitions[index];

    (void)pthread_mutex_lock(&p->mutex);
    *ret = p->guarded.status;
    (void)pthread_mutex_unlock(&p->mutex);
}

void hf_archiver_free(struct hf_archiver *a)
{
    if (a == NULL)
        return;
    for (size_t i = 0; i < a->count; i++)
        partition_free(a->partitions[i]);
    hf_free(a->partitions);
    hf_free(a);
}

char *hf_archiver_state_dir(const char *db_path, const char *url, const char *state_root)
{
    char hash[17];

    (void)snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)hf_hash64(url, strlen(url)));
    if (state_root != NULL) {
        char db_hash[17];

        (void)snprintf(db_hash, sizeof(db_hash), "%016llx",
                       (unsigned long long)hf_hash64(db_path, strlen(db_path)));
        return hf_strfmt("%s/%s-%s/%s", state_root, hf_path_base(db_path), db_hash, hash);
    }
    HF_AUTO_FREE char *dir = hf_path_dir(db_path);

    return hf_strfmt("%s/.%s-holdfast/%s", dir, hf_path_base(db_path), hash);
}
