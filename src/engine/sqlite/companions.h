/* SPDX-License-Identifier: Apache-2.0 */
/*
 * companions.h - the database file with its -wal and its -shm: are they still the same files, whose
 * are they, and who holds locks on them.
 *
 * None of them is opened here, so nothing here can drop SQLite's locks.
 */
#ifndef HF_ENGINE_SQLITE_COMPANIONS_H
#define HF_ENGINE_SQLITE_COMPANIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct companion {
    uint64_t device;
    uint64_t inode;
};

struct companions {
    struct companion db;
    struct companion wal;
    struct companion shm;
};

/* HF_NOT_FOUND: one of the three is not there; the message names it. */
enum hf_code companions_read(const char *db_path, struct companions *ret,
                             struct hf_err *err) HF_MUST_CHECK;

/* HF_USAGE: the file lies on a network file system, where SQLite's locks and shared memory do not
 * reach processes on other machines, so that nothing could be held still. */
enum hf_code companions_check_place(const char *db_path, struct hf_err *err) HF_MUST_CHECK;

/* All three are the same files. */
bool companions_equal(const struct companions *a, const struct companions *b);
/* Which of the files differs, for messages: static text. */
const char *companions_difference(const struct companions *a, const struct companions *b);

/*
 * -wal and -shm, if our opening the database made them, belong to whom the database belongs to:
 * SQLite gives them the database's mode, and its owner if we are root; as another user we can only
 * give them its group. HF_DENIED: the application could not open them; the message says what to do.
 */
enum hf_code companions_keep_owner(const char *db_path, struct hf_err *err) HF_MUST_CHECK;

/* Another process holds both the WRITE and the CKPT lock of this wal-index: most likely it is at a
 * FULL, RESTART or TRUNCATE checkpoint. False also where /proc/locks does not tell. */
bool companions_checkpointer_waits(const struct companions *c);

/*
 * One connection of another process holds both the WRITE and the CKPT lock of this wal-index: it is
 * at a FULL, RESTART or TRUNCATE checkpoint (ADR 0004). Locks tell of processes only; but a
 * connection in a write transaction behind frames that are not backfilled is on a mark, so a
 * process that holds the two and no mark holds them for a checkpoint. False also where
 * /proc/locks does not tell.
 */
bool companions_checkpointer_holds_write(const struct companions *c);

#endif
