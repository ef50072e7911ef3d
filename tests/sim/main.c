/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - many seeds, on as many processes as are wanted; what happened is counted and told.
 *
 *   sim [--seeds N] [--from S] [--jobs J] [--trace] [--twice] [--first]
 *
 * Each process takes the next seed that nobody has taken. One that fails, or ends otherwise, is
 * told with the command that repeats it, and the others go on, until there are too many failures;
 * with --first, until there is one. With --twice each is run twice, and has to do the same.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/log.h"
#include "lib/fixture.h"
#include "sim/sim.h"

#define JOBS_MAX     64
#define FAILURES_MAX 10

/* What all processes write to. */
struct board {
    _Atomic uint64_t next;
    _Atomic uint64_t done;
    _Atomic uint64_t operations;
    _Atomic uint64_t faults;
    _Atomic uint64_t crashes;
    _Atomic uint64_t counts[SIM_KINDS_COUNT];
    uint64_t seed[JOBS_MAX]; /* at work on it */
};

struct options {
    uint64_t seeds;
    uint64_t from;
    unsigned jobs;
    bool trace;
    bool twice;
    bool first; /* end with the first failure */
};

static void run_seed(struct board *b, const struct options *o, uint64_t seed)
{
    struct sim s;

    sim_run(&s, seed, o->trace);
    const uint64_t hash = s.hash;

    for (size_t i = 0; i < SIM_KINDS_COUNT; i++)
        (void)atomic_fetch_add(&b->counts[i], s.counts[i]);
    (void)atomic_fetch_add(&b->operations, s.operations);
    (void)atomic_fetch_add(&b->faults, s.faults);
    (void)atomic_fetch_add(&b->crashes, s.crashes);
    sim_done(&s);
    if (!o->twice)
        return;
    sim_run(&s, seed, false);
    if (s.hash != hash)
        sim_fail(&s, "two runs of it differ");
    sim_done(&s);
}

static void work(struct board *b, const struct options *o, unsigned job)
{
    for (;;) {
        const uint64_t seed = atomic_fetch_add(&b->next, 1);

        if (seed >= o->from + o->seeds)
            return;
        b->seed[job] = seed;
        run_seed(b, o, seed);
        (void)atomic_fetch_add(&b->done, 1);
    }
}

static pid_t spawn(struct board *b, const struct options *o, unsigned job)
{
    (void)fflush(stdout);
    const pid_t pid = fork();

    if (pid != 0)
        return pid;
    work(b, o, job);
    (void)fflush(stdout);
    _Exit(0);
}

/* Run all seeds; how many failed. */
static unsigned run_all(struct board *b, const struct options *o)
{
    pid_t pids[JOBS_MAX];
    unsigned failures = 0;
    unsigned running = o->jobs;

    for (unsigned i = 0; i < o->jobs; i++)
        pids[i] = spawn(b, o, i);
    while (running > 0) {
        int status = 0;
        const pid_t pid = wait(&status);

        for (unsigned i = 0; i < o->jobs; i++) {
            if (pids[i] != pid)
                continue;
            running--;
            if (status == 0)
                continue;
            failures++;
            if (o->first)
                b->next = UINT64_MAX - JOBS_MAX;
            if (WIFSIGNALED(status))
                (void)printf("seed %" PRIu64
                             ": ended by signal %d\n  to repeat it: ./dev sim "
                             "--seeds 1 --from %" PRIu64 " --trace\n",
                             b->seed[i], WTERMSIG(status), b->seed[i]);
            if (failures < FAILURES_MAX && !o->first) {
                pids[i] = spawn(b, o, i);
                running++;
            }
        }
    }
    return failures;
}

/* False: something never happened. */
static bool report(const struct board *b, const struct options *o)
{
    bool all = true;

    for (int faults = 0; faults < 2; faults++) {
        (void)printf("%s\n", faults ? "faults:" : "operations:");
        for (size_t i = 0; i < SIM_KINDS_COUNT; i++) {
            if (sim_kind_names[i].is_fault != faults)
                continue;
            (void)printf("%12" PRIu64 " %s\n", (uint64_t)b->counts[i], sim_kind_names[i].words);
            if (b->counts[i] == 0 && o->seeds > 1)
                all = false;
        }
    }
    (void)printf(
        "%" PRIu64 " seeds, %" PRIu64 " operations, %" PRIu64 " faults, %" PRIu64 " crashes\n",
        (uint64_t)b->done, (uint64_t)b->operations, (uint64_t)b->faults, (uint64_t)b->crashes);
    for (size_t i = 0; i < SIM_KINDS_COUNT && o->seeds > 1; i++) {
        if (b->counts[i] == 0)
            (void)printf("never happened: %s (%s)\n", sim_kind_names[i].words,
                         sim_kind_names[i].name);
    }
    return all;
}

/* False: it is no number, or 0. */
static bool parse_number(const char *text, uint64_t *ret)
{
    char *end = NULL;

    *ret = strtoull(text, &end, 10);
    return *ret > 0 && *end == '\0';
}

/* False: the words are not understood. */
static bool parse(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {
        {"seeds", required_argument, NULL, 's'},
        {"from", required_argument, NULL, 'f'},
        {"jobs", required_argument, NULL, 'j'},
        {"trace", no_argument, NULL, 't'},
        {"twice", no_argument, NULL, '2'},
        {"first", no_argument, NULL, '1'},
        {NULL, 0, NULL, 0},
    };
    uint64_t jobs = o->jobs;
    bool good = true;
    int c;

    while (good && (c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (c == 's')
            good = parse_number(optarg, &o->seeds);
        else if (c == 'f')
            good = parse_number(optarg, &o->from);
        else if (c == 'j')
            good = parse_number(optarg, &jobs);
        else
            good = c != '?';
        o->trace = o->trace || c == 't';
        o->twice = o->twice || c == '2';
        o->first = o->first || c == '1';
    }
    if (jobs > o->seeds)
        jobs = o->seeds;
    o->jobs = jobs < JOBS_MAX ? (unsigned)jobs : JOBS_MAX;
    return good && optind == argc;
}

int main(int argc, char **argv)
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct options o = {.seeds = 100, .from = 1, .jobs = processors > 0 ? (unsigned)processors : 1};

    if (!parse(argc, argv, &o)) {
        (void)fprintf(stderr,
                      "usage: sim [--seeds N] [--from S] [--jobs J] [--trace] [--twice] "
                      "[--first]\n");
        return 2;
    }
    struct board *b =
        mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    hf_assert(b != MAP_FAILED);
    b->next = o.from;
    hf_log_level_set(o.trace ? HF_LOG_DEBUG : HF_LOG_ERROR + 1);
    const unsigned failures = run_all(b, &o);
    const bool all = report(b, &o);

    if (failures > 0)
        (void)printf("failed: %u\n", failures);
    return failures > 0 || !all ? 1 : 0;
}
