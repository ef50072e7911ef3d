/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal_maker.h - the bytes of a -wal file, made frame by frame by code of its own.
 *
 * Source of the bytes: SQLite, "Database File Format", sections 4.1 to 4.3. test_wal.c shows that
 * SQLite itself reads what is made here.
 */
#ifndef HF_TESTS_LIB_WAL_MAKER_H
#define HF_TESTS_LIB_WAL_MAKER_H

#include "engine/sqlite/position.h"

struct wal_maker {
    struct hf_buf bytes;
    bool big_endian; /* the checksums are over words in this order */
    uint32_t page_bytes;
    uint32_t salt[2];
    uint32_t sum[2];
    struct wal_position end; /* of the last frame */
};

/* The header. The caller ends it with wal_maker_done(). */
void wal_maker_begin(struct wal_maker *m, bool big_endian, uint32_t page_bytes,
                     const uint32_t salt[2]);
/* A frame whose page begins with the four bytes of `mark` and goes on with bytes made from it. */
void wal_maker_frame(struct wal_maker *m, uint32_t pgno, uint32_t commit, uint32_t mark);
/* A frame with this page. */
void wal_maker_page(struct wal_maker *m, uint32_t pgno, uint32_t commit, struct hf_slice page);
/* The file has these bytes, and no others. */
void wal_maker_write(const struct wal_maker *m, const char *path);
void wal_maker_done(struct wal_maker *m);

#endif
