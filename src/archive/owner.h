/* SPDX-License-Identifier: Apache-2.0 */
/*
 * owner.h - holdfast/owner: who may write to the archive (FORMAT section 4.2, ADR on fencing).
 *
 * Whoever claims the archive raises the epoch by a conditional put, so of two claims one wins, and
 * the loser's later writes are refused by hf_owner_check() and hf_owner_touch().
 *
 * On a store without conditional put (no HF_STORE_COND_PUT) this is only a lease: a claim is
 * refused while another node's lease runs, and read back after it is written. Two claims within one
 * round trip of each other can both succeed; the one that wrote first learns of it at its next
 * check or touch. The caller says so to the user, touches the object within half of
 * HF_OWNER_LEASE_MS, and puts nothing while less than that is left of its lease, so that what it
 * puts is there before another may claim. Nor is the lease renewed then: a slow put could undo the
 * claim of whoever came meanwhile. Functions may be called from any thread; a struct hf_owner
 * belongs to one.
 */
#ifndef HF_ARCHIVE_OWNER_H
#define HF_ARCHIVE_OWNER_H

#include "archive/archive.h"
#include "archive/json.h"
#include "base/clock.h"
#include "base/rand.h"

#define HF_NODE_MAX       33   /* bytes with NUL: 32 hex digits */
#define HF_HOST_MAX       256  /* bytes with NUL, percent-escaped */
#define HF_OWNER_DB_MAX   1024 /* bytes with NUL, of the database's path, percent-escaped */
#define HF_EPOCH_MAX      (HF_NUMBER_MAX - 2) /* a claim can go beyond; no sound segment has it */
#define HF_OWNER_LEASE_MS 60000 /* how long a claim or a touch holds without conditional put */

struct hf_owner {
    uint64_t epoch;                 /* of the last claim, from 1; 0: never claimed */
    char node[HF_NODE_MAX];         /* random, kept by the owner: the same node may claim again */
    char host[HF_HOST_MAX];         /* for messages */
    uint64_t pid;                   /* for messages */
    char database[HF_OWNER_DB_MAX]; /* path on `host`; empty: not known, or too long */
    int64_t since_ms;               /* when it claimed */
    int64_t attached_until_ms;      /* the owner is known to have watched the database until then */
    uint64_t last_txid;     /* that the store had confirmed when this was written: the archive may
                               end later than that, never earlier */
    int64_t lease_until_ms; /* 0 where the store has conditional puts, or the owner has left */
    struct hf_etag etag;    /* of the object as last read or written */
};

/* Less than half of the lease is left. Where there is none: false. */
bool hf_owner_lease_is_short(const struct hf_owner *o, int64_t now_ms);

/* Who claims: node (hex of 128 random bits), host and pid; the rest is zero. */
void hf_owner_init(struct hf_owner *o, struct hf_rand *rand, const char *host, uint64_t pid);

/* The owner says which database it archives: of a path that is too long, nothing. */
void hf_owner_set_database(struct hf_owner *o, const char *path);

/* Append the object's bytes: all fields but the etag. */
void hf_owner_print(const struct hf_owner *o, struct hf_buf *ret);
/* HF_DAMAGE: not an owner object. `ret->etag` is left empty. */
enum hf_code hf_owner_parse(struct hf_slice body, struct hf_owner *ret,
                            struct hf_err *err) HF_MUST_CHECK;

/* The present owner. HF_NOT_FOUND: nobody ever claimed the archive. */
enum hf_code hf_owner_read(const struct hf_archive *a, struct hf_owner *ret,
                           struct hf_err *err) HF_MUST_CHECK;

/*
 * `*ret_missing_to` > last_txid: the owner knows that TXIDs up to there were archived, so if the
 * segments end with `last_txid`, some were removed at the end. Otherwise 0, also where nobody ever
 * claimed the archive, or where `last_txid` is from a listing that the archive has outgrown. One
 * request, if it is not suspected.
 */
enum hf_code hf_owner_missing_tail(const struct hf_archive *a, uint64_t last_txid,
                                   uint64_t *ret_missing_to, struct hf_err *err) HF_MUST_CHECK;

/*
 * The archive is `me`'s: me->epoch is one above every epoch before, since_ms and attached_until_ms
 * are `now_ms`, and earlier owners are fenced.
 * HF_BUSY      without conditional put: a lease runs, another node's, or ours and it is short;
 *              the message has host, pid and time. With them: others claimed each time between
 *              our look and our put.
 * HF_UNCERTAIN  the claim may have happened; claim again, which raises the epoch once more.
 * HF_DAMAGE    the owner object there is not readable; nothing was written.
 */
enum hf_code hf_owner_claim(const struct hf_archive *a, struct hf_owner *me, int64_t now_ms,
                            struct hf_err *err) HF_MUST_CHECK;

/*
 * The object says that `me` was attached until now, by `clock`, and has me->last_txid.
 * HF_FENCED     another claimed the archive, or the object was removed; nothing may be written.
 * HF_BUSY       without conditional put: the lease is short; nothing was put. Claim anew.
 * HF_UNCERTAIN  may be noted or not; still ours when last seen.
 */
enum hf_code hf_owner_touch(const struct hf_archive *a, struct hf_owner *me, struct hf_clock *clock,
                            struct hf_err *err) HF_MUST_CHECK;

/* As hf_owner_touch(), by an owner that puts nothing more: its lease, where it has one, is over, so
 * that the next owner need not wait. */
enum hf_code hf_owner_leave(const struct hf_archive *a, struct hf_owner *me, struct hf_clock *clock,
                            struct hf_err *err) HF_MUST_CHECK;

/*
 * The archive was `me`'s at some moment of this call. HF_FENCED as for hf_owner_touch().
 * HF_DAMAGE  the object is not readable, or its epoch is lower than ours: the store went back in
 *            time.
 */
enum hf_code hf_owner_check(const struct hf_archive *a, struct hf_owner *me,
                            struct hf_err *err) HF_MUST_CHECK;

#endif
