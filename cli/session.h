/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.h - what a verb works with: arguments, the machine, the verdict so far.
 */
#ifndef HF_CLI_SESSION_H
#define HF_CLI_SESSION_H

#include "base/clock.h"
#include "base/fs.h"
#include "base/pool.h"
#include "base/rand.h"
#include "cli/out.h"
#include "cli/verb.h"
#include "config/config.h"
#include "engine/engine.h"
#include "store/retry.h"

struct hf_session {
    const struct hf_verb *verb; /* all borrowed but what is said to be owned */
    const struct hf_args *args;
    struct hf_out *out;
    struct hf_fs *fs;
    struct hf_clock *clock;
    struct hf_rand *rand;
    const struct hf_engine *engine;
    hf_stop_flag *stop;
    hf_stop_flag *store_stop; /* what ends calls of a store: `stop`, or `cut` in a verb that has
                                 something to bring there first */
    hf_stop_flag cut;         /* set by the archiver (archiver.h) */
    struct hf_pool *pool;     /* owned */
    struct hf_config *config; /* owned; NULL without -c */
    struct hf_waits *waits;   /* owned; says on standard error that the store is waited for */
    int status;               /* the exit status so far */
};

/*
 * Ready for the verb: the configuration is read, workers run, signals set the stop flag. Whatever
 * happened, the caller ends with hf_session_done(). Codes as hf_config_load().
 */
enum hf_code hf_session_init(struct hf_session *s, const struct hf_verb *verb,
                             const struct hf_args *args, struct hf_out *out,
                             struct hf_err *err) HF_MUST_CHECK;
void hf_session_done(struct hf_session *s);

/*
 * The worse verdict of two, for a verb that works on several partitions: damage that was found
 * stays the verdict whatever else failed, and a failure is worse than wrong usage (ADR 0031).
 */
int hf_session_worse(int a, int b);
/* The verdict is at least as bad as a check's finding: exit status 1. */
void hf_session_found(struct hf_session *s);
/*
 * One of several partitions failed and the others go on: said on standard error, set as error of
 * `object` and of the whole, and part of the verdict.
 */
void hf_session_failed(struct hf_session *s, json_t *object, const char *name,
                       const struct hf_err *err);
/* Has the user asked to stop? */
bool hf_session_stopped(const struct hf_session *s);

#endif
