/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model.h - what must hold of a partition, whatever happens to it or to others: a plain record of
 * the states that its database had, of what was captured, and of what its archive was given.
 *
 * 1. Each TXID of the archive holds a state that the database had when an archiver captured it, and
 *    has its time. It never changes. Whoever owns the archive has the newest epoch of all.
 * 2. What an archiver tells as archived is there, without a hole, and is what it captured.
 * 3. An archiver that ends well has archived what was committed before it was told to stop.
 * Restores, rebuilds, verifies and scrubs are compared with this.
 */
#ifndef HF_TESTS_SIM_MODEL_H
#define HF_TESTS_SIM_MODEL_H

#include "archive/archive.h"
#include "sim/machine.h"

/* A TXID of the archive. */
struct model_txid {
    uint64_t state;  /* a hash of all pages */
    uint64_t object; /* a hash of the segment */
    int64_t time_ms;
    bool catchup;
    bool clamped;
};

/* A segment that somebody made. */
struct model_capture {
    uint64_t life;
    uint64_t txid;
    uint64_t state;
    uint64_t or_state; /* this one, if a boundary was asked for */
    int64_t time_ms;
    bool catchup;
    bool forgotten; /* by whoever made it, as its local state was thrown away */
};

struct model {
    struct sim *sim;
    const struct partition *partition; /* whose model it is */
    struct model_capture *captures;
    size_t captures_count;
    struct model_txid *txids; /* of the archive; [0] is none */
    uint64_t stored;          /* the last TXID that is there */
    uint64_t epoch;           /* the newest of these segments */
    uint64_t told;            /* the last TXID that was told as archived */
    struct hf_buf image;      /* of the database at `stored` */
    struct hf_position asked; /* by a scrub; */
    uint64_t asked_state;     /* which state that is */
};

/* Of a partition of a seed in which nothing has happened yet; it hears of captures from now on. */
struct model *model_new(struct sim *s, const struct partition *p);
void model_free(struct model *m);

/* The database has changed. */
void model_changed(struct database *db);
/* Its state of now. */
uint64_t model_now(const struct database *db);
uint64_t model_hash_pages(struct hf_slice pages);

/* The engine, which tells the model what is captured. */
const struct hf_engine *model_engine(void);

/* Look at what the store has got since. */
void model_look(struct model *m);
/* `f` tells that the archive has everything up to `txid`; by an upload of its own, or because it
 * looked at the archive. */
void model_told(const struct follower *f, uint64_t txid, bool by_upload);
/* `f` says that it is caught up: what it told last as archived is its database of now. */
void model_must_be_current(const struct follower *f);
/* `f` has ended well: what it told last is the state f->must_reach of its database, or a later one.
 */
void model_must_have_reached(const struct follower *f);
/* `f` has failed with this, which speaks of its partition alone; and has a reason there: another
 * process that followed it, where it is fenced, or harm to its archive. */
void model_failed(const struct follower *f, const struct hf_archiver_status *status);
/* `f` has no TXID yet, and as many others as may hold the images of their first snapshots do. */
bool model_waits_for_slot(const struct follower *f);
/* A process that was begun after `lives` others has made a catch-up. */
bool model_has_caught_up(const struct model *m, uint64_t lives);
/* Every object is as it was when it came. */
void model_check_objects(struct model *m);
/* The key of the segment that holds a TXID. */
void model_key(const struct model *m, uint64_t txid, char ret[HF_KEY_MAX + 1]);
/* The last TXID whose time is not after `time_ms`; 0: none. */
uint64_t model_txid_at(const struct model *m, int64_t time_ms);

#endif
