/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ltx_frame.c - one page frame, both forms.
 *
 * liblz4's safe decoders are given exact limits on both sides, so a malformed payload is refused
 * by them or comes out short; expanding to anything but exactly one page is damage.
 */
#include "engine/sqlite/ltx/ltx_frame.h"

#include <inttypes.h>

#include <lz4.h>
#include <lz4frame.h>

#include "base/bytes.h"
#include "base/check.h"

#define FLAG_BLOCK      1
#define AT_FLAGS        4
#define AT_PAYLOAD_SIZE 6

/* An LZ4 frame around a page that did not shrink: magic, descriptor with content size, one block
 * header for each 64 KiB, checksums and end mark. */
#define LZ4_FRAME_OVERHEAD_MAX 64 /* bytes */

uint32_t hf_ltx_frame_bytes_max(uint32_t page_bytes)
{
    const uint32_t block = HF_LTX_FRAME_HEADER_BYTES + (uint32_t)LZ4_compressBound((int)page_bytes);
    const uint32_t framed = HF_LTX_PAGE_HEADER_BYTES + page_bytes + LZ4_FRAME_OVERHEAD_MAX;

    return block > framed ? block : framed;
}

uint32_t hf_ltx_frame_pack(struct hf_buf *dst, uint32_t pgno, struct hf_slice page)
{
    hf_assert(page.len >= HF_LTX_PAGE_BYTES_MIN && page.len <= HF_LTX_PAGE_BYTES_MAX);
    const int bound = LZ4_compressBound((int)page.len);
    uint8_t *to = hf_buf_reserve(dst, HF_LTX_FRAME_HEADER_BYTES + (size_t)bound);
    const int len = LZ4_compress_default(
        (const char *)page.ptr, (char *)to + HF_LTX_FRAME_HEADER_BYTES, (int)page.len, bound);

    hf_assert(len > 0); /* the bound is enough for any input */
    hf_put_be32(to, pgno);
    hf_put_be16(to + AT_FLAGS, FLAG_BLOCK);
    hf_put_be32(to + AT_PAYLOAD_SIZE, (uint32_t)len);
    dst->len += HF_LTX_FRAME_HEADER_BYTES + (size_t)len;
    return HF_LTX_FRAME_HEADER_BYTES + (uint32_t)len;
}

void hf_ltx_unpacker_done(struct hf_ltx_unpacker *u)
{
    if (u->lz4f != NULL)
        (void)LZ4F_freeDecompressionContext(u->lz4f);
    u->lz4f = NULL;
}

static enum hf_code unpack_block(struct hf_slice frame, uint32_t pgno, uint32_t page_bytes,
                                 uint8_t *dst, struct hf_err *err)
{
    const uint32_t len = hf_get_be32(frame.ptr + AT_PAYLOAD_SIZE);

    if (len > (uint32_t)LZ4_compressBound((int)page_bytes))
        return hf_err_set(err, HF_DAMAGE,
                          "page %" PRIu32 ": payload length %" PRIu32
                          " is more than a page of %" PRIu32 " bytes can need (%d)",
                          pgno, len, page_bytes, LZ4_compressBound((int)page_bytes));
    if (len != frame.len - HF_LTX_FRAME_HEADER_BYTES)
        return hf_err_set(err, HF_DAMAGE,
                          "page %" PRIu32 ": payload length is %" PRIu32
                          ", expected %zu by the page index",
                          pgno, len, frame.len - HF_LTX_FRAME_HEADER_BYTES);
    const int got = LZ4_decompress_safe((const char *)frame.ptr + HF_LTX_FRAME_HEADER_BYTES,
                                        (char *)dst, (int)len, (int)page_bytes);

    if (got != (int)page_bytes)
        return hf_err_set(err, HF_DAMAGE,
                          "page %" PRIu32 ": LZ4 block does not expand to %" PRIu32 " bytes", pgno,
                          page_bytes);
    return HF_OK;
}

/* Expand one LZ4 frame. True if it ends where `src` does and fills `dst` exactly. */
static bool expand_lz4_frame(LZ4F_dctx *lz4f, struct hf_slice src, uint8_t *dst, size_t dst_len)
{
    size_t src_done = 0;
    size_t dst_done = 0;

    LZ4F_resetDecompressionContext(lz4f);
    for (;;) {
        size_t src_step = src.len - src_done;
        size_t dst_step = dst_len - dst_done;
        const size_t more =
            LZ4F_decompress(lz4f, dst + dst_done, &dst_step, src.ptr + src_done, &src_step, NULL);

        if (LZ4F_isError(more))
            return false;
        src_done += src_step;
        dst_done += dst_step;
        if (more == 0)
            return src_done == src.len && dst_done == dst_len;
        if (src_step == 0 && dst_step == 0)
            return false; /* wants input that is not there, or room for more than a page */
    }
}

static enum hf_code unpack_lz4_frame(struct hf_ltx_unpacker *u, struct hf_slice frame,
                                     uint32_t pgno, uint32_t page_bytes, uint8_t *dst,
                                     struct hf_err *err)
{
    const struct hf_slice src =
        hf_slice(frame.ptr + HF_LTX_PAGE_HEADER_BYTES, frame.len - HF_LTX_PAGE_HEADER_BYTES);

    if (u->lz4f == NULL) {
        LZ4F_dctx *made = NULL;

        hf_assert(!LZ4F_isError(LZ4F_createDecompressionContext(&made, LZ4F_VERSION)));
        u->lz4f = made;
    }
    if (!expand_lz4_frame(u->lz4f, src, dst, page_bytes))
        return hf_err_set(err, HF_DAMAGE,
                          "page %" PRIu32 ": LZ4 frame of %zu bytes does not expand to %" PRIu32
                          " bytes",
                          pgno, src.len, page_bytes);
    return HF_OK;
}

enum hf_code hf_ltx_frame_unpack(struct hf_ltx_unpacker *u, struct hf_slice frame, uint32_t pgno,
                                 uint32_t page_bytes, uint8_t *dst, struct hf_err *err)
{
    hf_assert(frame.len >= HF_LTX_FRAME_BYTES_MIN);
    const uint32_t found = hf_get_be32(frame.ptr);
    const uint16_t flags = hf_get_be16(frame.ptr + AT_FLAGS);

    if (found != pgno)
        return hf_err_set(err, HF_DAMAGE,
                          "page %" PRIu32 ": its frame says page %" PRIu32
                          ", unlike the page index",
                          pgno, found);
    if (flags == FLAG_BLOCK)
        return unpack_block(frame, pgno, page_bytes, dst, err);
    if (flags == 0)
        return unpack_lz4_frame(u, frame, pgno, page_bytes, dst, err);
    return hf_err_set(err, HF_DAMAGE, "page %" PRIu32 ": page flags are %04x, expected 0 or 1",
                      pgno, (unsigned)flags);
}

bool hf_ltx_frame_is_block(struct hf_slice frame)
{
    hf_assert(frame.len >= HF_LTX_FRAME_BYTES_MIN);
    return hf_get_be16(frame.ptr + AT_FLAGS) == FLAG_BLOCK;
}

struct hf_slice hf_ltx_frame_prefix(struct hf_slice frame)
{
    return hf_slice(frame.ptr, hf_ltx_frame_is_block(frame) ? HF_LTX_FRAME_HEADER_BYTES
                                                            : HF_LTX_PAGE_HEADER_BYTES);
}
