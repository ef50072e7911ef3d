/* SPDX-License-Identifier: Apache-2.0 */
/* session.c - set up and tear down what verbs share. */
#include "cli/session.h"

#include <stdatomic.h>

#include "base/alloc.h"
#include "base/log.h"
#include "cli/stop.h"

#define THREADS_COUNT 8        /* mostly waiting for the store */
#define WAITS_SAID_US 10000000 /* at most once in this time, however many calls wait */

/* Says that calls wait. */
struct teller {
    struct hf_waits base; /* first, so that the pointers convert */
    struct hf_out *out;   /* borrowed */
    struct hf_clock *clock;
    _Atomic int64_t said_us; /* 0: never */
};

static void say_waits(struct hf_waits *w, const struct hf_err *why)
{
    struct teller *t = (struct teller *)w;
    const int64_t now_us = hf_mono_us(t->clock);
    int64_t said_us = t->said_us;

    if (said_us != 0 && now_us - said_us < WAITS_SAID_US)
        return;
    if (atomic_compare_exchange_strong(&t->said_us, &said_us, now_us))
        hf_out_note(t->out, "holdfast: the store is tried again for up to %d s: %s",
                    HF_RETRY_BUDGET_MS / 1000, why->text);
}

static struct hf_waits *teller_new(struct hf_out *out, struct hf_clock *clock)
{
    struct teller *t = hf_calloc(1, sizeof(*t));

    *t = (struct teller){.base.tell = say_waits, .out = out, .clock = clock};
    return &t->base;
}

enum hf_code hf_session_init(struct hf_session *s, const struct hf_verb *verb,
                             const struct hf_args *args, struct hf_out *out, struct hf_err *err)
{
    *s = (struct hf_session){
        .verb = verb,
        .args = args,
        .out = out,
        .fs = hf_fs_system(),
        .clock = hf_clock_system(),
        .rand = hf_rand_system(),
        .engine = hf_engine_sqlite(),
        .stop = hf_stop_install(),
    };
    s->store_stop = s->stop;
    s->waits = teller_new(out, s->clock);
    hf_log_level_set(args->verbose ? HF_LOG_DEBUG : args->quiet ? HF_LOG_WARN : HF_LOG_INFO);
    if (args->config != NULL) {
        const enum hf_code rc = hf_config_load(s->fs, args->config, &s->config, err);

        if (rc != HF_OK)
            return rc;
    }
    s->pool = hf_pool_new(THREADS_COUNT);
    return HF_OK;
}

void hf_session_done(struct hf_session *s)
{
    hf_pool_free(s->pool);
    hf_config_free(s->config);
    hf_free(s->waits);
    s->pool = NULL;
    s->config = NULL;
    s->waits = NULL;
}

int hf_session_worse(int a, int b)
{
    static const int severity[] = {0, 3, 1, 2}; /* by exit status */

    return severity[a] >= severity[b] ? a : b;
}

void hf_session_found(struct hf_session *s)
{
    s->status = hf_session_worse(s->status, hf_code_exit_status(HF_DAMAGE));
}

void hf_session_failed(struct hf_session *s, json_t *object, const char *name,
                       const struct hf_err *err)
{
    struct hf_err named = *err;

    hf_out_set_error(object, err);
    (void)hf_err_wrap(&named, "%s", name);
    hf_out_set_error(s->out->root, &named);
    hf_out_error(named.text);
    s->status = hf_session_worse(s->status, hf_code_exit_status(err->code));
}

bool hf_session_stopped(const struct hf_session *s)
{
    return *s->stop;
}
