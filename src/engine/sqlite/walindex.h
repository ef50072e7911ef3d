/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walindex.h - reading SQLite's wal-index header in shared memory, without a descriptor of ours.
 *
 * Source of the layout: SQLite, "WAL-mode File Format", sections 2.1 and 2.2.
 */
#ifndef HF_ENGINE_SQLITE_WALINDEX_H
#define HF_ENGINE_SQLITE_WALINDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/sqlite/position.h"

#define WALINDEX_HEADER_BYTES 48
#define WALINDEX_VERSION      3007000U

/* Locks of the wal-index, as xShmLock numbers them; in -shm the byte is 120 + the number. */
#define WALINDEX_LOCK_WRITE   0
#define WALINDEX_LOCK_CKPT    1
#define WALINDEX_LOCK_READ(i) (3 + (i))
#define WALINDEX_LOCK_BYTE    120
#define WALINDEX_MARKS        4 /* READ 1 to 4; READ 0 is another kind of lock */

struct walindex {
    uint32_t version;
    uint32_t change; /* counts every change of the header */
    uint32_t page_bytes;
    uint32_t backfill;       /* nBackfill: frames that are in the database file */
    struct wal_position end; /* frame is mxFrame, commit is nPage, cksum is aFrameCksum */
};

/* Copy the header out of `shm`; false if both its copies did not agree within a few tries, or its
 * checksum is wrong: a writer is at it, or it must be recovered. */
bool walindex_read(const volatile void *shm, struct walindex *ret);

/* Where mark 1..WALINDEX_MARKS stands: a frame, or a number behind every frame. */
uint32_t walindex_mark(const volatile void *shm, int mark);
/* Let it stand at this frame. Only under its exclusive lock, and while another mark or lock 0 is
 * held, so that the frame stays one of the log. */
void walindex_set_mark(volatile void *shm, int mark, uint32_t frame);

/* The same commit of the same generation. */
bool walindex_same(const struct walindex *a, const struct walindex *b);

#endif
