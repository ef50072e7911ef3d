/* SPDX-License-Identifier: Apache-2.0 */
/* session.c - set up and tear down what verbs share. */
#include "cli/session.h"

#include "base/alloc.h"
#include "base/log.h"
#include "cli/stop.h"

#define THREADS_COUNT 8 /* mostly waiting for the store */

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
    s->pool = NULL;
    s->config = NULL;
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
