/* SPDX-License-Identifier: Apache-2.0 */
/* sim.c - a seed from its beginning to its end, and how time passes in it. */
#include "sim/sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "lib/fixture.h"
#include "sim/line.h"
#include "sim/machine.h"
#include "sim/model.h"

#define BEGIN_US   INT64_C(1767225600000000) /* 2026-01-01T00:00:00Z */
#define DEPTH_MAX  3
#define STEPS_MAX  3000000
#define NOTE_BYTES 512

#define SEVERAL_ONE_IN 5 /* seeds have several partitions */

const struct sim_kind_name sim_kind_names[SIM_KINDS_COUNT] = {
#define SIM_KIND(name, is_fault, words) {#name, is_fault, words},
    SIM_KINDS(SIM_KIND)
#undef SIM_KIND
};

void sim_fail(const struct sim *s, const char *fmt, ...)
{
    char text[NOTE_BYTES];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)printf("seed %" PRIu64 ": %s\n  to repeat it: ./dev sim --seeds 1 --from %" PRIu64
                 " --trace\n",
                 s->seed, text, s->seed);
    (void)fflush(stdout);
    _Exit(1);
}

void sim_mix(struct sim *s, uint64_t what, uint64_t how)
{
    const uint64_t all[] = {s->hash, what, how, (uint64_t)s->now_us};

    s->hash = hf_hash64(all, sizeof(all));
}

void sim_note(struct sim *s, const char *fmt, ...)
{
    char text[NOTE_BYTES];
    va_list ap;

    va_start(ap, fmt);
    const int len = vsnprintf(text, sizeof(text), fmt, ap);

    va_end(ap);
    sim_mix(s, hf_hash64(text, strlen(text)), (uint64_t)len);
    if (s->trace)
        (void)printf("%10.3f %*s%s\n", (double)(s->now_us - BEGIN_US) / 1e6, (int)s->depth * 2, "",
                     text);
}

void sim_say(const struct sim *s, const char *text)
{
    if (s->trace)
        (void)printf("%10s %*s%s\n", "", (int)s->depth * 2, "", text);
}

void sim_count(struct sim *s, enum sim_kind kind)
{
    s->counts[kind]++;
    s->faults += sim_kind_names[kind].is_fault;
    s->hindrances += sim_kind_names[kind].is_fault;
    sim_mix(s, kind, s->counts[kind]);
}

uint64_t sim_below(struct sim *s, uint64_t n)
{
    return hf_rand_below(&s->rand, n);
}

bool sim_chance(struct sim *s, unsigned per_mille)
{
    return per_mille > 0 && sim_below(s, 1000) < per_mille;
}

/* ---- time ----------------------------------------------------------------------------------- */

/* A job that is due, of all machines; by chance, which one. False: none is. */
static bool step_one(struct sim *s)
{
    struct machine *machines[SIM_MACHINES * HF_ARCHIVER_LOOPS];
    enum hf_archiver_loop loops[SIM_MACHINES * HF_ARCHIVER_LOOPS];
    size_t count = 0;

    for (size_t i = 0; i < SIM_MACHINES; i++) {
        for (enum hf_archiver_loop loop = 0; loop < HF_ARCHIVER_LOOPS; loop++) {
            if (machine_due_us(s->machines[i], loop) > s->now_us)
                continue;
            machines[count] = s->machines[i];
            loops[count++] = loop;
        }
    }
    if (count == 0)
        return false;
    const size_t chosen = count == 1 ? 0 : (size_t)sim_below(s, count);

    if (++s->steps > STEPS_MAX)
        sim_fail(s, "%d steps, and no end", STEPS_MAX);
    machine_step(machines[chosen], loops[chosen]);
    return true;
}

/* When the next thing happens, and at the latest `until_us`. */
static int64_t next_us(struct sim *s, int64_t until_us)
{
    int64_t next = until_us;

    if (lines_due_us(s) < next)
        next = lines_due_us(s);
    for (size_t i = 0; i < SIM_MACHINES; i++) {
        const struct process *p = s->machines[i]->archiver;

        if (p != NULL && p->paused_until_us > s->now_us && p->paused_until_us < next)
            next = p->paused_until_us;
        for (enum hf_archiver_loop loop = 0; loop < HF_ARCHIVER_LOOPS; loop++) {
            const int64_t due_us = machine_due_us(s->machines[i], loop);

            if (due_us < next)
                next = due_us;
        }
    }
    return next;
}

void sim_pass(struct sim *s, int64_t us, sim_enough_fn *enough, void *ctx)
{
    const int64_t until_us = s->now_us + us;

    if (s->depth == DEPTH_MAX) {
        s->now_us = until_us;
        return;
    }
    s->depth++;
    while (s->now_us < until_us && (enough == NULL || !enough(ctx))) {
        while (lines_due_us(s) <= s->now_us)
            lines_deliver(s);
        if (step_one(s))
            continue;
        const int64_t next = next_us(s, until_us);

        s->now_us = next > s->now_us ? next : s->now_us;
    }
    s->depth--;
}

/* ---- a seed --------------------------------------------------------------------------------- */

static int64_t true_now(struct hf_clock *c)
{
    const struct sim *s = (const struct sim *)(void *)((char *)c - offsetof(struct sim, clock));

    return s->now_us;
}

/* By a draw of its own, so that other seeds are what they were before there were several. */
static size_t choose_partitions_count(uint64_t seed)
{
    struct hf_rand rand = hf_rand_seeded(~seed);

    if (hf_rand_below(&rand, SEVERAL_ONE_IN) != 0)
        return 1;
    return 2 + (size_t)hf_rand_below(&rand, SIM_PARTITIONS_MAX - 1);
}

static void partition_begin(struct sim *s, size_t index)
{
    static const struct {
        const char *prefix;
        const char *url;
        const char *paths[SIM_MACHINES];
    } names[SIM_PARTITIONS_MAX] = {
        {"a", "mem://test/a", {"/data/app.db", "/data/copy.db"}},
        {"b", "mem://test/b", {"/data/b.db", "/data/copy-of-b.db"}},
        {"c", "mem://test/c", {"/data/c.db", "/data/copy-of-c.db"}},
        {"d", "mem://test/d", {"/data/d.db", "/data/copy-of-d.db"}},
        {"e", "mem://test/e", {"/data/e.db", "/data/copy-of-e.db"}},
        {"f", "mem://test/f", {"/data/f.db", "/data/copy-of-f.db"}},
    };
    struct partition *p = &s->partitions[index];

    *p = (struct partition){.index = index, .prefix = names[index].prefix, .url = names[index].url};
    p->dbs_count = 1 + (size_t)sim_below(s, SIM_MACHINES);
    p->model = model_new(s, p);
    for (size_t i = 0; i < p->dbs_count; i++) {
        struct database *db = &p->dbs[i];

        *db = (struct database){.model = p->model, .path = names[index].paths[i]};
        db->mem = mem_db_new(db->path, SIM_PAGE_BYTES);
        model_changed(db);
    }
}

static void partition_done(struct partition *p)
{
    model_free(p->model);
    for (size_t i = 0; i < p->dbs_count; i++) {
        mem_db_free(p->dbs[i].mem);
        hf_free(p->dbs[i].states);
    }
}

static void begin(struct sim *s, uint64_t seed, bool trace)
{
    *s = (struct sim){.seed = seed, .trace = trace, .now_us = BEGIN_US};
    s->rand = hf_rand_seeded(seed);
    s->clock = (struct hf_clock){.now_us = true_now, .mono_us = true_now};
    s->pool = hf_pool_new(0);
    s->store = store_mem_new(&s->clock);
    s->leases = sim_chance(s, 150);
    if (s->leases)
        sim_count(s, SIM_LEASES);
    s->lines = lines_new();
    s->partitions_count = choose_partitions_count(seed);
    if (s->partitions_count > 1)
        sim_count(s, SIM_SEVERAL);
    for (size_t i = 0; i < s->partitions_count; i++)
        partition_begin(s, i);
    machines_new(s);
}

void sim_run(struct sim *s, uint64_t seed, bool trace)
{
    begin(s, seed, trace);
    if (sim_chance(s, 500)) /* the archive may have to be begun in bad weather */
        sim_set_weather(s);
    while (s->operations < SIM_OPERATIONS || s->faults < SIM_FAULTS || s->crashes == 0) {
        machines_reap(s);
        sim_operate(s);
        s->operations++;
    }
    sim_conclude(s);
}

void sim_done(struct sim *s)
{
    machines_free(s);
    lines_free(s);
    for (size_t i = 0; i < s->partitions_count; i++)
        partition_done(&s->partitions[i]);
    hf_store_free(&s->store->base);
    hf_pool_free(s->pool);
}
