/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim.h - one seed of the simulator: databases, an archive of each, two machines, and what happens
 * to them.
 *
 * All that is random comes from the seed, and time passes only here, so a seed does the same
 * whenever it is run. The archiver, the rebuilder, the scrubber and restore are the real ones; what
 * is around them is ours: clock, disk and processes (machine.h), the way to the store (line.h), the
 * database (lib/engine_mem.h). What must hold is in model.h. One thread.
 */
#ifndef HF_TESTS_SIM_SIM_H
#define HF_TESTS_SIM_SIM_H

#include "base/rand.h"
#include "lib/engine_mem.h"
#include "lib/store_mem.h"

#define SIM_STATE_ROOT     "/state"
#define SIM_PAGE_BYTES     512
#define SIM_PAGES_MAX      20
#define SIM_MACHINES       2
#define SIM_PARTITIONS_MAX 6   /* more than there are slots for first snapshots */
#define SIM_OPERATIONS     200 /* of a seed, at least */
#define SIM_FAULTS         3
#define SECOND_US          INT64_C(1000000)

/* What happens. X(name, is it a fault?, words). A run in which one of them never happened has not
 * tried what it says, and fails. */
#define SIM_KINDS(X)                                                                               \
    X(COMMIT, false, "commits")                                                                    \
    X(RESIZE, false, "commits that change the size")                                               \
    X(COPY, false, "databases copied to the other machine, to go on there")                        \
    X(CHECKPOINT, false, "restarts of the log while nobody follows it")                            \
    X(WAIT, false, "waits")                                                                        \
    X(START, false, "starts of an archiver")                                                       \
    X(ONCE, false, "starts of a pass that archives once")                                          \
    X(STOP, false, "stops of an archiver")                                                         \
    X(RESTORE_LATEST, false, "restores of the latest TXID")                                        \
    X(RESTORE_TXID, false, "restores of a TXID")                                                   \
    X(RESTORE_TIME, false, "restores of a time")                                                   \
    X(RESTORE_GAP, false, "of these, told of a gap")                                               \
    X(RESTORE_SET_BACK, false, "of these, told of a clock that was set back")                      \
    X(REBUILD, false, "TXIDs rebuilt one after the other")                                         \
    X(VERIFY, false, "verifies")                                                                   \
    X(SCRUB, false, "scrubs beside an archiver")                                                   \
    X(SCRUB_ALONE, false, "scrubs alone")                                                          \
    X(SCRUB_FIRST, false, "of these scrubs, behind what the log proved, with an archiver for it")  \
    X(SCRUB_SUPPOSED, false, "of these scrubs, where the log proved nothing")                      \
    X(SCRUB_CLEAN, false, "of these scrubs, complete and clean")                                   \
    X(SCRUB_LIMIT, false, "of these scrubs, incomplete")                                           \
    X(SCRUB_CANNOT, false, "of these scrubs, without a verdict")                                   \
    X(SEGMENT, false, "segments archived")                                                         \
    X(CATCH_UP, false, "of these, catch-ups")                                                      \
    X(CALM, false, "times of calm after which everything was archived")                            \
    X(CALM_GOES_ON, false, "of these, by an archiver that had met the faults before")              \
    X(LEASES, false, "seeds with a store that has no conditional puts")                            \
    X(LEASE_RUNS, false, "passes that met another's lease there")                                  \
    X(LEASE_HANDED_OVER, false, "leases that one archiver gave back, and another took")            \
    X(READ_FAILED, true, "reads of the store that failed")                                         \
    X(PUT_REFUSED, true, "puts that failed without effect")                                        \
    X(PUT_UNANSWERED, true, "puts that happened, unanswered")                                      \
    X(PUT_LOST, true, "puts that never happened, unanswered")                                      \
    X(PUT_LATE, true, "puts that happened later, unanswered")                                      \
    X(PUT_TWICE, true, "puts that happened a second time, later")                                  \
    X(PUT_LATE_EFFECT, true, "of these two, with an effect then")                                  \
    X(STALL, true, "calls of the store during which the world went on")                            \
    X(OUTAGE, true, "times without a store")                                                       \
    X(KILL, true, "processes killed")                                                              \
    X(KILL_TOOL, true, "of these, a restore, scrub or verify")                                     \
    X(POWER_CUT, true, "power cuts")                                                               \
    X(REWOUND, true, "of these, with commits of the database lost")                                \
    X(POWER_CUT_SPOOL, true, "of these, with segments in the spool")                               \
    X(SPOOL_TORN, true, "of these, with a segment there that is torn now")                         \
    X(SYNC_FAILED, true, "calls of fsync that failed")                                             \
    X(FILE_FAILED, true, "other calls of a file system that failed")                               \
    X(DISK_FULL, true, "calls that met a full disk")                                               \
    X(SPACE, true, "times a disk had little space")                                                \
    X(NO_ROOM, true, "writes for which that was too little")                                       \
    X(LET_GO, true, "logs let go of, as the disk had little space")                                \
    X(LET_GO_STORE, true, "logs let go of, as they grew while the store took nothing")             \
    X(STATE_LOST, true, "local states removed")                                                    \
    X(STATE_OLD, true, "local states put back from a copy")                                        \
    X(CLOCK_BACK, true, "clocks set back")                                                         \
    X(CLOCK_AHEAD, true, "clocks set ahead")                                                       \
    X(PAUSE, true, "archivers that stood still")                                                   \
    X(RIVAL, true, "starts of an archiver beside another one")                                     \
    X(FENCED, true, "archivers fenced")                                                            \
    X(LOG_LOST, true, "logs lost while they were followed")                                        \
    X(REPLACED, true, "databases replaced")                                                        \
    X(PAGE_ROTTED, true, "pages rotted, and found")                                                \
    X(OBJECT_DAMAGED, true, "segments damaged")                                                    \
    X(OBJECT_REMOVED, true, "segments removed")                                                    \
    X(FORMAT_DAMAGED, true, "formats damaged")                                                     \
    X(FORMAT_REMOVED, true, "formats removed")                                                     \
    X(OWNER_DAMAGED, true, "owners damaged")                                                       \
    X(OWNER_REMOVED, true, "owners removed")                                                       \
    X(HARM_REFUSED, true, "starts of an archiver that were refused because of these")              \
    X(HARM_MET, true, "times an archiver went through a harmed owner")                             \
    X(SEVERAL, false, "seeds with several partitions")                                             \
    X(ALONE, false, "of these, processes that archive one alone")                                  \
    X(SLOT_WAIT, false, "first snapshots that had waited for a slot")                              \
    X(BESIDE_CUT_OFF, false, "partitions that went on while another's archive was cut off")        \
    X(BESIDE_HARM, false, "partitions that went on while another's archive was harmed")            \
    X(BESIDE_REFUSED, false, "partitions that began while another's archive was harmed")           \
    X(BESIDE_BREAK, false, "partitions that went on while another's log or database was lost")     \
    X(BESIDE_ROT, false, "partitions that went on while another's page had rotted")                \
    X(BESIDE_FENCED, false, "partitions that went on while another was fenced")                    \
    X(BESIDE_RIVAL, false, "partitions that went on while another's lease was waited for")         \
    X(BESIDE_ENDED, false, "partitions that were archived after another had ended")                \
    X(STOP_WAITED, false, "partitions that stopped well as an archive came back in time")          \
    X(BESIDE_STOP, false, "partitions that stopped well while another's archive was cut off")

enum sim_kind {
#define SIM_KIND(name, is_fault, words) SIM_##name,
    SIM_KINDS(SIM_KIND)
#undef SIM_KIND
        SIM_KINDS_COUNT
};

struct sim_kind_name {
    const char *name;
    bool is_fault;
    const char *words;
};
extern const struct sim_kind_name sim_kind_names[SIM_KINDS_COUNT];

struct machine;
struct process;
struct model;
struct lines;

/* A database, and the states that it had, as hashes of all its pages. */
struct database {
    struct model *model; /* of its partition */
    struct mem_db *mem;
    const char *path;
    uint64_t *states;
    size_t states_count;
};

/* What is archived by itself, whatever becomes of the others in the process. */
struct partition {
    size_t index;
    const char *prefix; /* of its archive */
    const char *url;
    struct database dbs[SIM_MACHINES]; /* one for both machines; or one each, and one archive */
    size_t dbs_count;
    size_t primary;           /* which of them the application uses */
    bool harmed;              /* something of its archive is not what it should be */
    int64_t cut_off_until_us; /* nobody reaches its archive until then, whatever is the weather */
    struct model *model;
};

struct sim {
    uint64_t seed;
    bool trace; /* say what happens */
    struct hf_rand rand;
    uint64_t hash; /* of all that happened */
    uint64_t counts[SIM_KINDS_COUNT];
    uint64_t operations;
    uint64_t faults;
    uint64_t hindrances; /* calls that had a fault, or came into one that lasts */
    uint64_t crashes;
    uint64_t steps;
    uint64_t lives;        /* processes so far */
    struct hf_clock clock; /* the true time, which is the store's */
    int64_t now_us;
    struct hf_pool *pool;
    struct store_mem *store;
    bool leases; /* the store has no conditional puts */
    struct partition partitions[SIM_PARTITIONS_MAX];
    size_t partitions_count;
    struct machine *machines[SIM_MACHINES];
    struct process *current; /* whose code runs */
    struct lines *lines;
    unsigned depth; /* of sim_pass() in itself */
    bool quiet;     /* no faults now */
};

/* Run one seed to its end. A failure prints one line with the command that repeats it and ends the
 * process with status 1. */
void sim_run(struct sim *s, uint64_t seed, bool trace);
void sim_done(struct sim *s);

/* The seed has failed. */
void sim_fail(const struct sim *s, const char *fmt, ...) HF_NORETURN HF_PRINTF(2, 3);
/* Something happened: into the hash, and with `trace` to standard output. */
void sim_note(struct sim *s, const char *fmt, ...) HF_PRINTF(2, 3);
/* For the trace alone: what the machine that runs it may have a part in. */
void sim_say(const struct sim *s, const char *text);
/* Of what is too frequent for words: into the hash. */
void sim_mix(struct sim *s, uint64_t what, uint64_t how);
void sim_count(struct sim *s, enum sim_kind kind);

/* By the seed: 0 <= result < n; and true so often of a thousand times. */
uint64_t sim_below(struct sim *s, uint64_t n);
bool sim_chance(struct sim *s, unsigned per_mille);

/* Time passes, and whatever is due in it runs: all archivers but what is on the stack. Ends early
 * if `enough` (or NULL) says so. */
typedef bool sim_enough_fn(void *ctx);
void sim_pass(struct sim *s, int64_t us, sim_enough_fn *enough, void *ctx);

/* The application commits: a page of the database; or another database in place of it. */
void sim_commit(struct sim *s, struct database *db, uint64_t page);
/* The same with page 1, which is another one then: an archiver has something to put. */
void sim_change(struct sim *s, struct database *db);
void sim_replace(struct sim *s, struct database *db);

/* How much the store and the disks fail from now on, as the seed chooses. */
void sim_set_weather(struct sim *s);
/* What the seed chooses to happen, one thing. */
void sim_operate(struct sim *s);
/* Without faults everything is archived, restores and is clean. */
void sim_conclude(struct sim *s);

#endif
