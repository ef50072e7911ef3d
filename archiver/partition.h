/* SPDX-License-Identifier: Apache-2.0 */
/*
 * partition.h - private to archiver/: one partition from its start to its end.
 *
 * Two jobs work on it, each on any thread but never twice at once: capture (start.c, capture.c)
 * and upload (upload.c). They share the spool and what is in `guarded`.
 */
#ifndef HF_ARCHIVER_PARTITION_H
#define HF_ARCHIVER_PARTITION_H

#include <pthread.h>

#include "archive/owner.h"
#include "archiver/archiver.h"
#include "archiver/spool.h"
#include "service/control.h"
#include "service/loop.h"

#define LOG_BYTES_DEFAULT (UINT64_C(64) << 20)
#define SPOOL_BYTES_MAX   (UINT64_C(1) << 30) /* then capture lets go of the log */
#define FREE_DISK_PERCENT 10                  /* and below this, too */
#define RETRY_MS_MIN      500
#define RETRY_MS_MAX      30000
#define OWNER_TOUCH_MS    3600000
#define OWNER_LOOK_MS     5000 /* a newer archiver is noticed at the latest after this */
#define BOUNDARY_WAIT_MS  10000
#define STOP_WAIT_US      20000000 /* how long a stopped archiver tries to empty the spool */

enum partition_phase {
    PHASE_START,  /* the archive's state is not known yet */
    PHASE_ATTACH, /* known; the database is not held */
    PHASE_FOLLOW,
    PHASE_DETACHED, /* let go of, until the spool is empty */
    PHASE_CAPTURED, /* nothing more will be captured: upload what is in the spool */
    PHASE_ENDED,
};

struct partition {
    const struct hf_archiver_env *env; /* borrowed */
    struct hf_control_server *server;  /* borrowed */
    struct hf_archiver_target target;  /* strings owned */
    bool once;
    struct hf_job *capture_job;
    struct hf_job *upload_job;

    /* Of the capture job, and of start. */
    char *state_dir;
    struct hf_file *lock;
    struct hf_archive archive;
    struct hf_owner owner;
    struct hf_live *live;
    struct spool *spool;
    struct hf_control *control;
    struct hf_taker taker;
    struct hf_upload *snapshot; /* being uploaded while it is made */
    struct hf_sink snapshot_sink;
    uint64_t snapshot_bytes; /* given to `snapshot` */
    uint64_t taken_txid;     /* of the segment that is being made, as taken_ms */
    int64_t taken_ms;
    int64_t cut_us;
    int64_t retry_ms;        /* 0: the last try did not fail */
    struct hf_err waits_for; /* what it failed with */
    bool warned;             /* of what the probe said */
    hf_stop_flag cancel; /* end what reads the whole database; never set while following, so that a
                            stop still captures what was committed before it */
    bool renewed;        /* it was begun again because local state or the log was damaged */
    bool distrust;       /* another's segment stands where the local state has one of ours */

    /* Of the upload job, which holds `in_use` while it uses what start set up. */
    pthread_mutex_t in_use;
    int64_t upload_retry_ms;
    int64_t upload_again_us; /* not before this, after a failure */
    int64_t touched_ms;
    int64_t owner_seen_ms; /* when it last was ourselves */

    pthread_mutex_t asking; /* held by whoever asks for a boundary: one question at a time */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct {
        enum partition_phase phase;
        struct hf_archiver_status status;
        bool store_fails;          /* the last upload failed */
        bool lost;                 /* the live database had lost archived commits */
        bool rival;                /* upload met another's segment: start again */
        bool question;             /* somebody waits for a boundary */
        int64_t stopping_since_us; /* 0: not stopped */
        struct hf_position until;
        uint64_t until_txid; /* the answer, 0 while there is none */
        bool until_passed;
    } guarded; /* by mutex */
};

/* Not started; the target is copied but for its store. */
struct partition *partition_new(const struct hf_archiver_env *env,
                                const struct hf_archiver_target *target);
void partition_free(struct partition *p);

/* Read and write under the mutex; PHASE_ENDED is final. */
enum partition_phase partition_phase(struct partition *p);
/* 0: it is not stopped. */
int64_t partition_stopped_for_us(struct partition *p);
/* See partition_phase(). */
void partition_set_phase(struct partition *p, enum partition_phase phase);
/* Remember the failure that the partition ends with; the first one counts. */
void partition_fail(struct partition *p, const struct hf_err *err);
/* Log a failure that will be tried again, and return after how many ms. */
int64_t partition_retry(struct partition *p, int64_t *retry_ms, const char *doing,
                        const struct hf_err *err);

/* confirmed.c: the last TXID that the store is known, here, to have confirmed; 0: none is known.
 * Not synced, so after a power cut it may be an older one. */
uint64_t partition_confirmed(const struct partition *p);
void partition_set_confirmed(struct partition *p, uint64_t txid);

/* claim.c: the archive was claimed just now, over this folder of local state. */
void partition_note_claim(const struct partition *p);

/* start.c: lock, archive, owner, local state; the live side is open and its state is the archive's
 * head or what follows it in the spool. */
enum hf_code partition_start(struct partition *p, struct hf_err *err) HF_MUST_CHECK;
/* Let go of everything that start took; the phase is `phase` then. */
void partition_stop(struct partition *p, enum partition_phase phase);

/* The jobs. */
int64_t partition_capture(void *ctx);
int64_t partition_upload(void *ctx);

/* take.c: where capture's segments go: TXID 1 into the store, others into the spool. */
void partition_taker_init(struct partition *p);

/* boundary.c */
void partition_answer(void *ctx, const char *line, struct hf_buf *ret);
/* Capture has made a round with the question; see whether that answers it. */
void partition_settle_question(struct partition *p, bool looked);

#endif
