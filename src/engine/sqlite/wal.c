/* SPDX-License-Identifier: Apache-2.0 */
/* wal.c - frames in order, each against the running checksum. */
#include "engine/sqlite/wal.h"

#include <inttypes.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"

#define MAGIC_LITTLE UINT32_C(0x377f0682)
#define CHUNK_BYTES  (1U << 17) /* stays in a core's cache between its reading and its checking */

enum hf_code wal_file_open(struct hf_fs *fs, const char *path, struct wal_file *ret,
                           struct hf_err *err)
{
    struct wal_file w = {0};
    enum hf_code rc = hf_fs_open(fs, path, HF_OPEN_READ, 0, &w.file, err);

    if (rc != HF_OK)
        return rc;
    rc = hf_file_stat(w.file, &w.stat, err);
    if (rc != HF_OK) {
        wal_file_close(&w);
        return rc;
    }
    *ret = w;
    return HF_OK;
}

void wal_file_close(struct wal_file *w)
{
    hf_file_close(w->file);
    w->file = NULL;
}

/* SQLite's checksum over `len` bytes (a multiple of 8), going on from `sum`. */
static void add_checksum(bool big_endian, const uint8_t *p, size_t len, uint32_t sum[2])
{
    uint32_t s0 = sum[0];
    uint32_t s1 = sum[1];

    hf_assert(len % 8 == 0);
    if (big_endian) {
        for (const uint8_t *end = p + len; p < end; p += 8) {
            s0 += hf_get_be32(p) + s1;
            s1 += hf_get_be32(p + 4) + s0;
        }
    } else {
        for (const uint8_t *end = p + len; p < end; p += 8) {
            s0 += hf_get_le32(p) + s1;
            s1 += hf_get_le32(p + 4) + s0;
        }
    }
    sum[0] = s0;
    sum[1] = s1;
}

static bool page_size_is_legal(uint32_t bytes)
{
    return bytes >= 512 && bytes <= 65536 && (bytes & (bytes - 1)) == 0;
}

enum hf_code wal_read_header(struct wal_file *w, struct wal_header *ret, struct hf_err *err)
{
    uint8_t b[WAL_HEADER_BYTES];
    size_t got = 0;
    const enum hf_code rc = hf_file_read(w->file, 0, b, sizeof(b), &got, err);

    if (rc != HF_OK)
        return rc;
    if (got < sizeof(b))
        return hf_err_set(err, HF_NOT_FOUND, "the WAL has no header yet (%zu bytes)", got);

    struct wal_header h = {
        .big_endian = (hf_get_be32(b) & 1) != 0,
        .page_bytes = hf_get_be32(b + 8),
        .salt = {hf_get_be32(b + 16), hf_get_be32(b + 20)},
        .cksum = {0, 0},
    };

    if ((hf_get_be32(b) & ~UINT32_C(1)) != MAGIC_LITTLE || hf_get_be32(b + 4) != WAL_VERSION ||
        !page_size_is_legal(h.page_bytes))
        return hf_err_set(err, HF_DAMAGE,
                          "the WAL's header is not one: magic %08x, version %u, page size %u",
                          hf_get_be32(b), hf_get_be32(b + 4), h.page_bytes);
    add_checksum(h.big_endian, b, 24, h.cksum);
    if (h.cksum[0] != hf_get_be32(b + 24) || h.cksum[1] != hf_get_be32(b + 28))
        return hf_err_set(err, HF_DAMAGE, "the checksum of the WAL's header is wrong");
    *ret = h;
    return HF_OK;
}

static enum hf_code read_exactly(struct wal_file *w, uint64_t offset, uint8_t *dst, size_t len,
                                 struct hf_err *err)
{
    size_t got = 0;
    const enum hf_code rc = hf_file_read(w->file, offset, dst, len, &got, err);

    if (rc == HF_OK && got < len)
        return hf_err_set(err, HF_DAMAGE,
                          "the WAL ends at byte %" PRIu64 ", in the middle of a frame",
                          offset + got);
    return rc;
}

enum hf_code wal_read_frame_header(struct wal_file *w, uint32_t page_bytes, uint32_t frame,
                                   uint8_t ret[WAL_FRAME_HEADER_BYTES], struct hf_err *err)
{
    return read_exactly(w, wal_frame_offset(frame, page_bytes), ret, WAL_FRAME_HEADER_BYTES, err);
}

bool wal_frame_is_at(const uint8_t header[WAL_FRAME_HEADER_BYTES], const struct wal_position *p)
{
    return hf_get_be32(header + 8) == p->salt[0] && hf_get_be32(header + 12) == p->salt[1] &&
           hf_get_be32(header + 16) == p->cksum[0] && hf_get_be32(header + 20) == p->cksum[1];
}

enum hf_code wal_read_page(struct wal_file *w, uint32_t page_bytes, uint32_t frame, uint8_t *dst,
                           struct hf_err *err)
{
    return read_exactly(w, wal_frame_offset(frame, page_bytes) + WAL_FRAME_HEADER_BYTES, dst,
                        page_bytes, err);
}

/* Check one frame against the running checksum, and tell it to the caller. */
static enum hf_code check_frame(const struct wal_header *h, uint32_t number, const uint8_t *b,
                                uint32_t sum[2], wal_frame_fn *fn, void *ctx, struct hf_err *err)
{
    const struct wal_frame f = {
        .frame = number, .pgno = hf_get_be32(b), .commit = hf_get_be32(b + 4)};

    add_checksum(h->big_endian, b, 8, sum);
    add_checksum(h->big_endian, b + WAL_FRAME_HEADER_BYTES, h->page_bytes, sum);
    if (hf_get_be32(b + 8) != h->salt[0] || hf_get_be32(b + 12) != h->salt[1])
        return hf_err_set(err, HF_DAMAGE, "WAL frame %u belongs to another generation", number);
    if (hf_get_be32(b + 16) != sum[0] || hf_get_be32(b + 20) != sum[1] || f.pgno == 0)
        return hf_err_set(err, HF_DAMAGE, "the checksum of WAL frame %u is wrong", number);
    return fn(ctx, &f, err);
}

enum hf_code wal_read_chain(struct wal_file *w, const struct wal_header *h,
                            const struct wal_position *from, const struct wal_position *to,
                            wal_frame_fn *fn, void *ctx, struct hf_err *err)
{
    const size_t frame_bytes = WAL_FRAME_HEADER_BYTES + h->page_bytes;
    const uint32_t frames_count = to->frame > from->frame ? to->frame - from->frame : 0;
    const uint32_t fit = (uint32_t)(CHUNK_BYTES / frame_bytes) + 1;
    const uint32_t chunk_frames = frames_count < fit ? frames_count : fit;
    uint32_t sum[2] = {from->frame == 0 ? h->cksum[0] : from->cksum[0],
                       from->frame == 0 ? h->cksum[1] : from->cksum[1]};
    HF_AUTO_FREE uint8_t *chunk = hf_malloc(chunk_frames * frame_bytes);

    for (uint32_t done = from->frame; done < to->frame;) {
        const uint32_t left = to->frame - done;
        const uint32_t n = left < chunk_frames ? left : chunk_frames;
        enum hf_code rc =
            read_exactly(w, wal_frame_offset(done + 1, h->page_bytes), chunk, n * frame_bytes, err);

        for (uint32_t i = 0; rc == HF_OK && i < n; i++)
            rc = check_frame(h, done + 1 + i, chunk + i * frame_bytes, sum, fn, ctx, err);
        if (rc != HF_OK)
            return rc;
        done += n;
    }
    if (to->frame > from->frame && (sum[0] != to->cksum[0] || sum[1] != to->cksum[1]))
        return hf_err_set(err, HF_DAMAGE,
                          "the checksum of WAL frame %u is not the one in the wal-index",
                          to->frame);
    return HF_OK;
}
