/* SPDX-License-Identifier: Apache-2.0 */
/*
 * archiver.c - all partitions of a process: their jobs on three loops, so that neither uploads that
 * wait for the store nor partitions that start ever keep captures from running.
 */
#include "archiver/archiver.h"

#include <pthread.h>
#include <stdio.h>

#include "archiver/partition.h"
#include "archiver/step.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"

#define ATTACH_THREADS_MAX  4
#define CAPTURE_THREADS_MAX 4
#define UPLOAD_THREADS_MAX  8
#define SNAPSHOTS_MAX       (UPLOAD_THREADS_MAX / 2) /* at once, so that segments pass */
#define STOP_POLL_MS        50                       /* while stopping ... */
#define STOP_LOOK_MS        250 /* ... and before, unless a job of a partition sees it sooner */

struct hf_archiver {
    struct hf_archiver_env env;
    struct partition **partitions;
    size_t count;
    _Atomic unsigned snapshot_slots;
    struct hf_loop *loops[HF_ARCHIVER_LOOPS]; /* while it runs */
};

struct hf_archiver *hf_archiver_new(const struct hf_archiver_env *env)
{
    struct hf_archiver *a = hf_calloc(1, sizeof(*a));

    a->env = *env;
    return a;
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
    const enum partition_phase phase = p->guarded.phase;

    if (phase != PHASE_FOLLOW && phase != PHASE_CAPTURED && phase != PHASE_ENDED)
        p->cancel = true;
    (void)pthread_mutex_unlock(&p->mutex);
    if (phase != PHASE_ENDED) {
        hf_job_wake(p->attach_job);
        hf_job_wake(p->capture_job);
    }
}

/* Whether a stopped partition may still bring something to the store that it has captured. */
static bool is_draining(struct partition *p)
{
    const enum partition_phase phase = partition_phase(p);
    const bool has = phase == PHASE_FOLLOW || phase == PHASE_DETACHED || phase == PHASE_CAPTURED;

    return has && partition_snapshot_step(p) == SNAPSHOT_NONE &&
           partition_stalled_us(p) <= STOP_STALL_US;
}

static int64_t watch_stop(void *ctx)
{
    struct hf_archiver *a = ctx;
    bool draining = false;

    if (hf_archiver_ended(a))
        return HF_JOB_ENDED;
    if (!hf_stop_is_set(a->env.stop))
        return STOP_LOOK_MS;
    for (size_t i = 0; i < a->count; i++) {
        hurry(a->partitions[i]);
        draining = draining || is_draining(a->partitions[i]);
    }
    if (!draining && a->env.cut != NULL)
        *a->env.cut = true;
    return STOP_POLL_MS;
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
        const struct partition *p = a->partitions[i];

        if (p->guarded.lost)
            return hf_err_set(err, HF_DAMAGE,
                              "%s: the live database had lost commits that were archived; they are "
                              "still in the archive",
                              p->target.name);
        if (p->guarded.status.breaks_count > 0)
            return hf_err_set(err, HF_DAMAGE,
                              "%s: the database or its log was replaced while it was followed; "
                              "what was there afterwards is archived as a catch-up",
                              p->target.name);
    }
    return HF_OK;
}

unsigned hf_archiver_threads(const struct hf_archiver *a, enum hf_archiver_loop loop)
{
    static const unsigned threads_max[HF_ARCHIVER_LOOPS] = {
        [HF_ARCHIVER_ATTACH] = ATTACH_THREADS_MAX,
        [HF_ARCHIVER_CAPTURE] = CAPTURE_THREADS_MAX,
        [HF_ARCHIVER_UPLOAD] = UPLOAD_THREADS_MAX,
    };
    const unsigned wanted = a->count < threads_max[loop] ? (unsigned)a->count : threads_max[loop];

    return loop == HF_ARCHIVER_CAPTURE ? wanted + 1 : wanted; /* watch_stop */
}

/* One loop for attach, as what it does may take hours; one for captures, none of which takes long;
 * one for what waits for the store. No threads: they are stepped. */
static void begin(struct hf_archiver *a, bool once, struct hf_control_server *server, bool threads)
{
    struct hf_job *stop_job;

    a->snapshot_slots = SNAPSHOTS_MAX;
    for (enum hf_archiver_loop loop = 0; loop < HF_ARCHIVER_LOOPS; loop++)
        a->loops[loop] = hf_loop_new(threads ? hf_archiver_threads(a, loop) : 0, a->env.clock);
    stop_job = hf_loop_add(a->loops[HF_ARCHIVER_CAPTURE], watch_stop, a);
    for (size_t i = 0; i < a->count; i++) {
        struct partition *p = a->partitions[i];

        p->once = once;
        p->stop_job = stop_job;
        p->server = server;
        p->snapshot_slots = &a->snapshot_slots;
        p->attach_job = hf_loop_add(a->loops[HF_ARCHIVER_ATTACH], partition_attach, p);
        p->capture_job = hf_loop_add(a->loops[HF_ARCHIVER_CAPTURE], partition_capture, p);
        p->upload_job = hf_loop_add(a->loops[HF_ARCHIVER_UPLOAD], partition_upload, p);
    }
}

static void run_loops(struct hf_archiver *a)
{
    pthread_t attaching;
    pthread_t uploading;

    hf_assert(pthread_create(&attaching, NULL, run_loop, a->loops[HF_ARCHIVER_ATTACH]) == 0);
    hf_assert(pthread_create(&uploading, NULL, run_loop, a->loops[HF_ARCHIVER_UPLOAD]) == 0);
    hf_loop_run(a->loops[HF_ARCHIVER_CAPTURE]);
    (void)pthread_join(attaching, NULL);
    (void)pthread_join(uploading, NULL);
}

/* No job runs any more: let go of what partitions still hold. */
static void end(struct hf_archiver *a)
{
    for (size_t i = 0; i < a->count; i++) {
        struct partition *p = a->partitions[i];

        partition_stop(p, PHASE_ENDED);
        p->attach_job = p->capture_job = p->upload_job = p->stop_job = NULL;
    }
    for (size_t i = 0; i < HF_ARCHIVER_LOOPS; i++) {
        hf_loop_free(a->loops[i]);
        a->loops[i] = NULL;
    }
}

enum hf_code hf_archiver_run(struct hf_archiver *a, bool once, struct hf_err *err)
{
    struct hf_control_server *server = NULL;

    if (a->count == 0)
        return hf_err_set(err, HF_USAGE, "there is no database to archive");
    const enum hf_code rc = hf_control_server_new(&server, err);

    if (rc != HF_OK)
        return rc;
    begin(a, once, server, true);
    run_loops(a);
    end(a);
    hf_control_server_free(server);
    return outcome(a, err);
}

/* ---- step by step --------------------------------------------------------------------------- */

void hf_archiver_begin(struct hf_archiver *a, bool once)
{
    begin(a, once, NULL, false);
}

bool hf_archiver_step(struct hf_archiver *a, enum hf_archiver_loop loop)
{
    return hf_loop_step(a->loops[loop]);
}

int64_t hf_archiver_due_us(struct hf_archiver *a, enum hf_archiver_loop loop)
{
    return hf_loop_due_us(a->loops[loop]);
}

bool hf_archiver_ended(struct hf_archiver *a)
{
    bool ended = true;

    for (size_t i = 0; i < a->count; i++)
        ended = ended && hf_archiver_has_ended(a, i);
    return ended;
}

bool hf_archiver_has_ended(struct hf_archiver *a, size_t index)
{
    return partition_phase(a->partitions[index]) == PHASE_ENDED;
}

enum hf_code hf_archiver_end(struct hf_archiver *a, struct hf_err *err)
{
    end(a);
    return outcome(a, err);
}

void hf_archiver_question(struct hf_archiver *a, size_t index, const struct hf_position *p)
{
    partition_question(a->partitions[index], p);
}

bool hf_archiver_asks_still(struct hf_archiver *a, size_t index)
{
    return partition_asks_still(a->partitions[index]);
}

enum hf_code hf_archiver_answer(struct hf_archiver *a, size_t index, uint64_t *ret_txid,
                                struct hf_err *err)
{
    HF_AUTO_BUF answer = {0};

    partition_end_question(a->partitions[index], &answer);
    return partition_parse_answer(hf_buf_str(&answer), ret_txid, err);
}

/* --------------------------------------------------------------------------------------------- */

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
    end(a);
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
