/* SPDX-License-Identifier: Apache-2.0 */
/*
 * partition.h - private to archiver/: one partition from its start to its end.
 *
 * Three jobs work on it, each on any thread but never twice at once: attach (attach.c, start.c),
 * capture (capture.c) and upload (upload.c). Each phase belongs to one of them, and only that one
 * leaves it; the others ask it to, by a request. So attach and capture never touch the live side at
 * the same time. All share the spool and what is in `guarded`.
 */
#ifndef HF_ARCHIVER_PARTITION_H
#define HF_ARCHIVER_PARTITION_H

#include <pthread.h>
#include <stdatomic.h>

#include "archive/owner.h"
#include "archiver/archiver.h"
#include "archiver/spool.h"
#include "service/control.h"
#include "service/loop.h"

#define LOG_BYTES_DEFAULT (UINT64_C(64) << 20)
#define RETRY_MS_MIN      500
#define RETRY_MS_MAX      30000
#define OWNER_TOUCH_MS    3600000
#define BOUNDARY_WAIT_MS  10000
#define STOP_STALL_US     10000000 /* a stop without progress for so long ends as it is */

/* Rule 8: what we may hold of the application's disk, spool and log together. */
#define HELD_BYTES_MAX    (UINT64_C(1) << 30)  /* while the store does not take anything */
#define HELD_BYTES_SMALL  (UINT64_C(64) << 20) /* whatever the disk: letting go would not help */
#define FREE_DISK_PERCENT 10
#define STORE_TAKES_US    60000000 /* without a byte confirmed for so long, it takes nothing */
#define LET_GO_MS_MIN     1000     /* then attach again, at the earliest after this, doubled ... */
#define LET_GO_MS_MAX     300000   /* ... each time up to this, which also a low disk waits */

enum partition_phase {
    PHASE_START,    /* attach: the archive's state is not known yet */
    PHASE_RESTART,  /* attach: to be stopped and begun again */
    PHASE_ATTACH,   /* attach: known; the database is not held, or not followed yet */
    PHASE_FOLLOW,   /* capture */
    PHASE_DETACHED, /* attach: let go of, until what made it necessary has gone */
    PHASE_CAPTURED, /* upload: nothing more will be captured; upload what is in the spool */
    PHASE_ENDED,    /* nobody's */
};

/* The first snapshot, which the upload job gives to the store while the log is followed. */
enum snapshot_step {
    SNAPSHOT_NONE,   /* there is none to give: TXID 1 is archived, or not made yet */
    SNAPSHOT_DUE,    /* its image is held */
    SNAPSHOT_GIVING, /* by the upload job, now: the live side must not be detached */
    SNAPSHOT_BACK,   /* held, but not to be given: it may be detached */
};

/* What another job asks of the one that the phase belongs to; the largest one counts. */
enum partition_request {
    REQUEST_NONE,
    REQUEST_RESTART, /* look again at what the archive holds */
    REQUEST_RIVAL,   /* the same, after a while: another archiver may be at it */
    REQUEST_END,     /* let go, and end with the failure that is noted */
};

/* The owner object was ours at this moment, which is that of before the look, with this head. */
struct partition_proof {
    bool is;
    uint64_t head;
    int64_t wall_ms;
    int64_t mono_us;
};

struct partition {
    const struct hf_archiver_env *env; /* borrowed */
    struct hf_control_server *server;  /* borrowed; NULL: there is no socket to ask over */
    struct hf_archiver_target target;  /* strings owned */
    bool once;
    _Atomic unsigned *snapshot_slots; /* free ones, of all partitions; borrowed */
    struct hf_job *attach_job;
    struct hf_job *capture_job;
    struct hf_job *upload_job;
    bool told_stop;          /* capture has woken it */
    struct hf_job *stop_job; /* of all partitions: woken when this one ends, or sees a stop */

    /* Of the job that the phase belongs to, attach or capture; start and stop under `in_use`. */
    char *state_dir;
    struct hf_file *lock;
    struct hf_archive archive;
    struct hf_owner owner;
    struct hf_live *live;
    struct spool *spool;
    struct hf_control *control;
    struct hf_taker taker;
    int64_t cut_us;
    int64_t retry_ms;        /* 0: the last try did not fail */
    struct hf_err waits_for; /* what it failed with */
    int64_t failing_us;      /* since when rounds fail; 0: they do not */
    int64_t let_go_ms;       /* how long it waited after it last let go */
    int64_t let_go_us;       /* when that was */
    bool warned;             /* of what the probe said */
    bool followed;           /* once, at least */
    bool renewed;            /* it was begun again because local state or the log was damaged */
    uint64_t sound_txid;     /* when a later one is archived, following goes well again */
    uint64_t head_txid;      /* the archive's last, as start found it; 0: none */
    int64_t head_ms;         /* its time, from the local state: an object would have to be proved */
    const char *distrust;    /* why the next start makes the local state anew; NULL: it does not */
    bool rival;              /* another archiver may still be at it: the next start waits a while */
    hf_stop_flag cancel; /* end what reads the whole database; never set while following, so that a
                            stop still captures what was committed before it */

    /* What long operations tell, on its way to target.progress. */
    struct hf_progress progress;
    int64_t watched_us;
    int64_t said_us;
    uint64_t free_bytes; /* on the fuller disk, when it was attached */
    bool crowded;        /* the disk ran low meanwhile */

    /* Of the upload job, which holds `in_use` while it uses what start set up. */
    pthread_mutex_t in_use;
    int64_t upload_retry_ms;
    int64_t upload_again_us; /* not before this, after a failure */
    int64_t touched_ms;
    struct partition_proof proof;
    struct hf_taker snapshot_taker;
    struct hf_upload *snapshot; /* TXID 1 on its way */
    struct hf_sink snapshot_sink;
    uint64_t snapshot_bytes; /* given to it */
    struct hf_seg_info snapshot_info;
    hf_stop_flag snapshot_cancel;

    pthread_mutex_t asking; /* held by whoever asks for a boundary: one question at a time */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct {
        enum partition_phase phase;
        enum partition_request request;
        enum snapshot_step snapshot;
        bool has_slot;
        struct hf_archiver_status status;
        bool store_fails;          /* the last upload failed */
        int64_t took_us;           /* when the store last confirmed bytes, or had none to take */
        int64_t progress_us;       /* when the store last confirmed bytes, or capture made some */
        bool lost;                 /* the live database had lost archived commits */
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

/* Where it stands now. */
enum partition_phase partition_phase(struct partition *p);
/* By the job that the present phase belongs to, as the last thing it does: the others are woken,
 * and may run at once. If the new one is its own, too, it is not woken, and runs when it says.
 * PHASE_ENDED is final. */
void partition_set_phase(struct partition *p, enum partition_phase phase);
/* Ask the job that the phase belongs to. */
void partition_ask(struct partition *p, enum partition_request request);
/* A request waits to be followed. */
bool partition_is_asked(struct partition *p);
/* By attach or capture, in a phase of theirs: follow a request. True: there was one, and the phase
 * has been left. */
bool partition_obey(struct partition *p);

/* The process was told to stop. */
bool partition_stopping(const struct partition *p);
/* How long a stop has been without progress; 0: it is not stopped. */
int64_t partition_stalled_us(struct partition *p);
/* Something was captured or archived: a stop may go on. */
void partition_note_progress(struct partition *p);

/* Remember the failure that the partition ends with; the first one counts. */
void partition_fail(struct partition *p, const struct hf_err *err);
/* The same where it ends without knowing that the last commits are archived. `cause` may be NULL.
 */
void partition_fail_unknown(struct partition *p, const struct hf_err *cause);
/* Nothing more will be captured: let go, and let the upload job finish. Leaves the phase. */
int64_t partition_end_capture(struct partition *p);
/* How long to wait after a failure: doubles from RETRY_MS_MIN up to ms_max. */
int64_t partition_back_off(int64_t *retry_ms, int64_t ms_max);
/* Log a failure that will be tried again, and return after how many ms. */
int64_t partition_retry(struct partition *p, int64_t *retry_ms, const char *doing,
                        const struct hf_err *err);

/* limits.c: rule 8, never fill the application's disk. */
/* The store has confirmed bytes, or has none to take. */
void partition_note_taken(struct partition *p);
bool partition_disk_is_low(const struct partition *p);
/* Why capture must let go of the log, which has so many bytes; NULL: it need not. */
const char *partition_must_let_go(struct partition *p, uint64_t log_bytes);
/* Let go of the log and wait, DETACHED (attach); `why` is for the log. */
void partition_let_go(struct partition *p, const char *why);
/* Watch the disk in what reads the whole database before it is followed; see `crowded`. */
void partition_watch_begin(struct partition *p);
void partition_progress_init(struct partition *p);

/* confirmed.c: the last TXID that the store is known, here, to have confirmed; 0: none is known.
 * Only TXID 1 is synced, so after a power cut it may be an older one, but not 0. A failure: what is
 * known cannot be read. */
enum hf_code partition_confirmed(const struct partition *p, uint64_t *ret_txid,
                                 struct hf_err *err) HF_MUST_CHECK;
/* confirmed.c: what the store confirmed last, as far as is known here, is this TXID with this root
 * and this time. */
bool partition_confirmed_this(const struct partition *p, const struct hf_seg_info *info);
/* confirmed.c: the archive is empty. HF_HOLE: it must not be, as the store has confirmed a TXID. */
enum hf_code partition_check_empty(const struct partition *p, struct hf_err *err) HF_MUST_CHECK;
void partition_set_confirmed(struct partition *p, const struct hf_seg_info *info);

/* claim.c: the archive is about to be claimed over this folder of local state: nothing is claimed
 * that could not be noted ... */
enum hf_code partition_note_claiming(const struct partition *p, struct hf_err *err) HF_MUST_CHECK;
/* ... and now it was. */
void partition_note_claimed(const struct partition *p);

/* claim.c: nobody but this database is known to belong to the archive of `owner`. HF_USAGE: it
 * archives another one, on this machine, that is still there. */
enum hf_code partition_check_database(const struct partition *p, const struct hf_owner *owner,
                                      struct hf_err *err) HF_MUST_CHECK;

/* start.c: lock, archive, owner, local state; the live side is open, and reconciled. */
enum hf_code partition_start(struct partition *p, uint32_t page_bytes,
                             struct hf_err *err) HF_MUST_CHECK;
/* Let go of everything that start took; the phase is `phase` then. */
void partition_stop(struct partition *p, enum partition_phase phase);

/*
 * reconcile.c: the live side is open; afterwards its state is the archive's head, or what follows
 * it in the spool, which holds nothing else.
 *
 * HF_HOLE    the archive has a hole, or lacks what was confirmed: nothing may be put behind it.
 * HF_DAMAGE  of the archive; what the spool holds and may be right is kept.
 * any other  it did not work out, which says nothing of archive and spool; the local state may be
 *            gone.
 */
enum hf_code partition_reconcile(struct partition *p, struct hf_err *err) HF_MUST_CHECK;

/*
 * partition.c: a segment of the spool and its header; the caller ends with spool_source_done().
 * HF_NOT_FOUND: its file is not there. HF_DAMAGE: it is no segment, or not that one: somebody gave
 * a file the name of another. The rest of it is not proved.
 */
enum hf_code partition_open_spooled(struct partition *p, uint64_t txid, struct spool_source *ret,
                                    struct hf_seg_info *ret_info, struct hf_err *err) HF_MUST_CHECK;

/* upload.c: the store has no conditional puts, so a lease is all that keeps others out. */
bool partition_has_lease(const struct partition *p);

/* upload.c: it was claimed, and if there is a lease, that need not be claimed anew. */
bool partition_holds_archive(const struct partition *p);

/* upload.c: where there is a lease it is renewed in time; to be called while a large object is put.
 * HF_FENCED, HF_BUSY as for hf_owner_touch(). By the upload job. */
enum hf_code partition_keep_lease(struct partition *p, struct hf_err *err) HF_MUST_CHECK;

/* upload.c: the archive is still ours, as nothing may be put behind `head` otherwise. HF_FENCED: it
 * is not; other codes as for hf_owner_check(). */
enum hf_code partition_prove_owner(struct partition *p, uint64_t head,
                                   struct hf_err *err) HF_MUST_CHECK;

/* snapshot.c: a slot is needed before the database is attached for its first snapshot, so that only
 * as many as make progress hold their logs. False: none is free. */
bool partition_snapshot_reserve(struct partition *p);
/* Of attach, while the log is held: make it; it is due then. */
enum hf_code partition_snapshot_begin(struct partition *p, struct hf_err *err) HF_MUST_CHECK;
enum snapshot_step partition_snapshot_step(struct partition *p);
/* Of upload: give it, which takes as long as the store does. TXID 1 is archived then; otherwise it
 * is due again, or held back if that was asked for meanwhile (HF_CANCELED). */
enum hf_code partition_snapshot_give(struct partition *p, struct hf_err *err) HF_MUST_CHECK;
/* Of attach and capture, before they detach: it is not given now, and will not be. False: it still
 * is, and is being canceled; the log must be followed until then. */
bool partition_snapshot_hold_back(struct partition *p);
/* What it was held back for has passed. */
void partition_snapshot_resume(struct partition *p);
/* It will not be given: forget it. The live side is detached. */
void partition_snapshot_forget(struct partition *p);

/* capture.c: status after a round (or NULL: there was none, or it failed, so it is not known that
 * all is caught up with), and the upload job wakes if there is work for it. */
void partition_publish(struct partition *p, const struct hf_round *round);

/* The jobs. */
int64_t partition_attach(void *ctx);
int64_t partition_capture(void *ctx);
int64_t partition_upload(void *ctx);

/* take.c: where capture's segments go: into the spool; and TXID 1: into the store. */
void partition_taker_init(struct partition *p);

/* boundary.c: a line that came over the socket is answered ... */
void partition_answer(void *ctx, const char *line, struct hf_buf *ret);
/* ... in parts: the question is asked; whether it waits for an answer; and the answer to it, which
 * may be that there is none. */
void partition_question(struct partition *p, const struct hf_position *until);
bool partition_asks_still(struct partition *p);
void partition_end_question(struct partition *p, struct hf_buf *ret);
/* What the asker makes of it; codes as hf_archiver_ask_boundary(). */
enum hf_code partition_parse_answer(const char *answer, uint64_t *ret_txid,
                                    struct hf_err *err) HF_MUST_CHECK;
/* Capture has made a round with the question; see whether that answers it. */
void partition_settle_question(struct partition *p, bool looked, bool waited_for);

#endif
