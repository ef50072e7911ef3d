/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine.h - machines with a clock and a disk each, and the processes on them, which can die.
 *
 * A process that dies does so in one of its calls of the store or the file system: that call and
 * all later ones fail and have no effect, until its code has returned and it is reaped. So nothing
 * of it survives but what the store and the disk have. A power cut does that to all processes of a
 * machine, and then loses what the disk had not synced.
 */
#ifndef HF_TESTS_SIM_MACHINE_H
#define HF_TESTS_SIM_MACHINE_H

#include "archiver/step.h"
#include "lib/fs_mem.h"
#include "sim/sim.h"

struct machine {
    struct hf_clock clock; /* first, so that the pointers convert */
    struct sim *sim;
    unsigned index;
    int64_t wall_us;            /* what its wall clock is ahead of the true time */
    int64_t mono_us;            /* the same of its monotonic clock */
    int64_t suspended_us;       /* which stands still at this ... */
    int64_t suspended_until_us; /* ... until then */
    struct database *db;
    struct fs_mem *disk;
    uint64_t space_bytes;    /* that it was given last */
    unsigned disk_per_mille; /* of calls that fail */
    bool disk_full;
    bool cut; /* the power has failed, and its processes are to be reaped */
    struct process *archiver;
    unsigned tools; /* running */
    char *state_dir;
};

/* Of a call that a process makes. */
enum life {
    LIFE_GOES_ON,
    LIFE_ENDS_BEFORE, /* it dies, and the call did not happen */
    LIFE_ENDS_AFTER,  /* it dies, and the call happened */
    LIFE_IS_OVER,     /* it was dead before */
};

struct process {
    struct machine *machine;
    struct sim *sim;
    uint64_t life; /* its number, which no other process has */
    struct fs_mem_view fs;
    struct hf_store *store;
    struct hf_rand rand;
    hf_stop_flag stop;
    hf_stop_flag cut;
    bool dead;
    uint64_t dies_in; /* calls; 0: it does not */
    bool dies_by_power;
    struct hf_archiver *archiver; /* NULL: a tool */
    struct hf_archiver_env env;
    bool once;
    bool busy[HF_ARCHIVER_LOOPS]; /* on the stack */
    int64_t paused_until_us;
    uint64_t rounds;        /* made */
    uint64_t log_bytes;     /* as the last of them told; 0: it failed */
    int64_t crowded_us;     /* since then it follows a log that the disk has no space for; 0: it
                               does not */
    uint64_t archived_txid; /* that it has told */
    size_t must_reach;      /* state of the database that is archived if it ends well */
};

/* Those of a seed, s->machines. */
void machines_new(struct sim *s);
void machines_free(struct sim *s);

/* A process with nothing in it yet. */
void process_init(struct process *p, struct machine *m);
void process_done(struct process *p);
/* Whether it survives the call that it is about to make. */
enum life process_call(struct process *p);
enum hf_code process_is_dead(struct hf_err *err);

/* An archiver on the machine, which has none. */
void machine_start(struct machine *m, bool once);
/* The same; with `proved_only` it archives nothing but what the log proves, for a scrub. */
void machine_start_as(struct machine *m, bool once, bool proved_only);
/* Told to stop. */
void machine_stop(struct machine *m);
/* Its archiver stands still for so long, and with `suspends` so does the monotonic clock. */
void machine_pause(struct machine *m, int64_t us, bool suspends);
/* It dies now, or in one of its next calls. */
void process_kill(struct process *p, uint64_t in_calls, bool by_power);
bool machine_is_alive(const struct machine *m);
/* Its disk has space for so many bytes. */
void machine_set_space(struct machine *m, uint64_t free_bytes);
bool machine_has_little_space(const struct machine *m);
/* What has ended is taken away, and a machine whose power failed comes back. Not within a call. */
void machines_reap(struct sim *s);

/* When a job of the machine's archiver may run next, in true time; INT64_MAX: none. */
int64_t machine_due_us(struct machine *m, enum hf_archiver_loop loop);
/* Run it, and see what it tells. */
void machine_step(struct machine *m, enum hf_archiver_loop loop);

#endif
