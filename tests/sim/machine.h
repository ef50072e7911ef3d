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

/* A partition on a machine. */
struct site {
    struct machine *machine;
    struct partition *partition;
    struct database *db;
    char *state_dir;
    char *name; /* for messages */
};

struct machine {
    struct hf_clock clock; /* first, so that the pointers convert */
    struct sim *sim;
    unsigned index;
    int64_t wall_us;                       /* what its wall clock is ahead of the true time */
    int64_t mono_us;                       /* the same of its monotonic clock */
    int64_t suspended_us;                  /* which stands still at this ... */
    int64_t suspended_until_us;            /* ... until then */
    struct site sites[SIM_PARTITIONS_MAX]; /* of all partitions, by their index */
    const struct site *kept;               /* whose local state there is a copy of; or NULL */
    struct fs_mem *disk;
    uint64_t space_bytes;    /* that it was given last */
    unsigned disk_per_mille; /* of calls that fail */
    bool disk_full;
    bool cut; /* the power has failed, and its processes are to be reaped */
    struct process *archiver;
    unsigned tools; /* running */
};

/* Of a call that a process makes. */
enum life {
    LIFE_GOES_ON,
    LIFE_ENDS_BEFORE, /* it dies, and the call did not happen */
    LIFE_ENDS_AFTER,  /* it dies, and the call happened */
    LIFE_IS_OVER,     /* it was dead before */
};

/* A partition that an archiver follows, and what it tells of it. */
struct follower {
    struct process *process;
    struct site *site;
    struct hf_store *store;
    const struct hf_live *live; /* while it is open */
    uint64_t rounds;            /* made */
    uint64_t rounds_heard;      /* of these, after which it was asked where it stands */
    uint64_t log_bytes;         /* as the last of them told; 0: it failed */
    int64_t crowded_us;         /* since then it follows a log that the disk has no space for; 0: it
                                   does not */
    uint64_t archived_txid;     /* that it has told */
    size_t must_reach;          /* state of the database that is archived if it ends well */
    bool holds_image;           /* of its first snapshot */
    int64_t waits_since_us;     /* for a slot for it; 0: it does not */
    bool met_rival;             /* another process that followed it */
    bool met_harm;              /* its archive was not what it should be */
    bool failed;                /* and said so */
};

struct process {
    struct machine *machine;
    struct sim *sim;
    uint64_t life; /* its number, which no other process has */
    struct fs_mem_view fs;
    struct hf_rand rand;
    hf_stop_flag stop;
    hf_stop_flag cut;
    bool dead;
    uint64_t dies_in; /* calls; 0: it does not */
    bool dies_by_power;
    struct hf_archiver *archiver; /* NULL: a tool */
    struct hf_archiver_env env;
    bool once;
    unsigned busy[HF_ARCHIVER_LOOPS]; /* jobs on the stack */
    int64_t paused_until_us;
    struct follower followers[SIM_PARTITIONS_MAX]; /* in the order of the archiver's partitions */
    size_t followers_count;
};

/* Those of a seed, s->machines. */
void machines_new(struct sim *s);
void machines_free(struct sim *s);

/* There are two. */
struct machine *other_machine(const struct machine *m);

/* A process with nothing in it yet. */
void process_init(struct process *p, struct machine *m);
void process_done(struct process *p);
/* Whether it survives the call that it is about to make. */
enum life process_call(struct process *p);
enum hf_code process_is_dead(struct hf_err *err);

/* An archiver of all partitions on the machine, which has none. */
void machine_start(struct machine *m, bool once);
/* One of this partition alone; with `proved_only` it archives nothing but what the log proves, for
 * a scrub. */
void site_start(struct site *site, bool once, bool proved_only);
/* Told to stop. */
void machine_stop(struct machine *m);
/* Its archiver stands still for so long, and with `suspends` so does the monotonic clock. */
void machine_pause(struct machine *m, int64_t us, bool suspends);
/* It dies now, or in one of its next calls. */
void process_kill(struct process *p, uint64_t in_calls, bool by_power);
/* It has an archiver that neither died nor ended. */
bool machine_is_alive(const struct machine *m);
/* This partition in the machine's archiver, alive or not; NULL: it follows others, or there is
 * none. */
struct follower *site_follower(const struct site *site);
/* The machine's archiver follows it, and has neither died nor ended with it. */
bool site_is_alive(const struct site *site);
/* Where it stands; it is followed. */
void follower_status(const struct follower *f, struct hf_archiver_status *ret);
/* It is not dead and says that it is caught up, and the archive ends there. */
bool follower_is_current(const struct follower *f);
/* Its number in its archiver. */
size_t follower_index(const struct follower *f);
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
