/* SPDX-License-Identifier: Apache-2.0 */
/*
 * position.h - a place in a WAL: the generation by its salts, the frame, and that frame's running
 * checksum, which no other history of the same generation shares.
 */
#ifndef HF_ENGINE_SQLITE_POSITION_H
#define HF_ENGINE_SQLITE_POSITION_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"

struct wal_position {
    uint32_t salt[2];  /* of the WAL header, as numbers in file order */
    uint32_t frame;    /* the last frame, a commit; 0: before the first */
    uint32_t cksum[2]; /* the running checksum after it, as numbers in file order */
    uint32_t commit;   /* the database's size in pages there */
};

#define WAL_POSITION_BYTES 24

static inline bool wal_position_same_log(const struct wal_position *a, const struct wal_position *b)
{
    return a->salt[0] == b->salt[0] && a->salt[1] == b->salt[1];
}

static inline bool wal_position_equal(const struct wal_position *a, const struct wal_position *b)
{
    return wal_position_same_log(a, b) && a->frame == b->frame &&
           (a->frame == 0 || (a->cksum[0] == b->cksum[0] && a->cksum[1] == b->cksum[1]));
}

/* To bytes ... */
void wal_position_encode(const struct wal_position *p, uint8_t ret[WAL_POSITION_BYTES]);
/* ... and back. */
void wal_position_decode(const uint8_t src[WAL_POSITION_BYTES], struct wal_position *ret);

/* To and from the form that leaves the engine. HF_USAGE: not one of ours. */
void wal_position_export(const struct wal_position *p, struct hf_position *ret);
enum hf_code wal_position_import(const struct hf_position *p, struct wal_position *ret,
                                 struct hf_err *err) HF_MUST_CHECK;

#endif
