/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal.h - reading the bytes of a -wal file, with SQLite's checksums, through a descriptor of ours.
 *
 * Closing a descriptor of -wal does not drop SQLite's locks (those of the database and of -shm
 * would: engine/sqlite/DESIGN.md), so it may be opened and closed freely. Nothing here decides what
 * is committed: only mxFrame of the wal-index does.
 * Source of the bytes: SQLite, "Database File Format", section 4, "The Write-Ahead Log".
 */
#ifndef HF_ENGINE_SQLITE_WAL_H
#define HF_ENGINE_SQLITE_WAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fs.h"
#include "engine/sqlite/position.h"

#define WAL_HEADER_BYTES       32
#define WAL_FRAME_HEADER_BYTES 24
#define WAL_VERSION            3007000

struct wal_file {
    struct hf_file *file; /* NULL: not open */
    struct hf_stat stat;  /* when it was opened */
};

/* The header of a WAL's generation. */
struct wal_header {
    bool big_endian; /* byte order of the checksummed words */
    uint32_t page_bytes;
    uint32_t salt[2];
    uint32_t cksum[2];
};

struct wal_frame {
    uint32_t frame; /* from 1 */
    uint32_t pgno;
    uint32_t commit; /* the database's size in pages if this ends a transaction, else 0 */
};

/* HF_NOT_FOUND: there is no such file. */
enum hf_code wal_file_open(struct hf_fs *fs, const char *path, struct wal_file *ret,
                           struct hf_err *err) HF_MUST_CHECK;
void wal_file_close(struct wal_file *w);

static inline uint64_t wal_frame_offset(uint32_t frame, uint32_t page_bytes)
{
    return WAL_HEADER_BYTES + (uint64_t)(frame - 1) * (WAL_FRAME_HEADER_BYTES + page_bytes);
}

/* HF_NOT_FOUND: the file is shorter than a header. HF_DAMAGE: it is not a WAL's header. */
enum hf_code wal_read_header(struct wal_file *w, struct wal_header *ret,
                             struct hf_err *err) HF_MUST_CHECK;

/* The frame's header; HF_DAMAGE if the file ends before it. */
enum hf_code wal_read_frame_header(struct wal_file *w, uint32_t page_bytes, uint32_t frame,
                                   uint8_t ret[WAL_FRAME_HEADER_BYTES],
                                   struct hf_err *err) HF_MUST_CHECK;

/* The frame's header is that of position `p`: same generation, same running checksum. */
bool wal_frame_is_at(const uint8_t header[WAL_FRAME_HEADER_BYTES], const struct wal_position *p);

/* The page in a frame; `dst` has page_bytes bytes. HF_DAMAGE if the file ends before it. */
enum hf_code wal_read_page(struct wal_file *w, uint32_t page_bytes, uint32_t frame, uint8_t *dst,
                           struct hf_err *err) HF_MUST_CHECK;

typedef enum hf_code wal_frame_fn(void *ctx, const struct wal_frame *f, struct hf_err *err);

/*
 * Read frames from->frame + 1 .. to->frame in order, verify salts and the chain of checksums from
 * `from` to `to`, and call `fn` for each. from->frame 0 begins at the WAL's header, whose checksum
 * is used.
 * HF_DAMAGE  the chain does not reach to->cksum: the bytes are not those that were committed there.
 */
enum hf_code wal_read_chain(struct wal_file *w, const struct wal_header *h,
                            const struct wal_position *from, const struct wal_position *to,
                            wal_frame_fn *fn, void *ctx, struct hf_err *err) HF_MUST_CHECK;

#endif
