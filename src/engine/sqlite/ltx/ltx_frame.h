/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ltx_frame.h - one page frame: packing, and unpacking of both forms that exist.
 *
 * The block form (what we write): page number, flags 1, payload length, LZ4 block. The older frame
 * form: page number, flags 0, and an LZ4 frame whose end must be found by parsing it. One file may
 * mix them. Private to the codec; the functions keep no state of their own, so any thread.
 */
#ifndef HF_ENGINE_SQLITE_LTX_LTX_FRAME_H
#define HF_ENGINE_SQLITE_LTX_LTX_FRAME_H

#include "engine/sqlite/ltx/ltx.h"

/* The shortest page frame a reader takes, and the longest of either form. */
#define HF_LTX_FRAME_BYTES_MIN HF_LTX_FRAME_HEADER_BYTES
uint32_t hf_ltx_frame_bytes_max(uint32_t page_bytes);

/* Append the page's frame in block form to `dst`; returns its length. */
uint32_t hf_ltx_frame_pack(struct hf_buf *dst, uint32_t pgno, struct hf_slice page);

/* What unpacking needs beside the bytes. All zero to begin; one thread at a time. */
struct hf_ltx_unpacker {
    void *lz4f; /* a context of liblz4's frame reader, made when the first such frame comes */
};
void hf_ltx_unpacker_done(struct hf_ltx_unpacker *u); /* for HF_CLEANUP */

/*
 * `dst` holds the `page_bytes` of page `pgno`, whose whole frame is `frame`.
 * HF_DAMAGE: the frame is of another page, of no known form, or does not expand to exactly one
 * page; `dst` may then hold anything. No checksum is looked at: the file's covers all frames.
 */
enum hf_code hf_ltx_frame_unpack(struct hf_ltx_unpacker *u, struct hf_slice frame, uint32_t pgno,
                                 uint32_t page_bytes, uint8_t *dst,
                                 struct hf_err *err) HF_MUST_CHECK;

/* True if the frame is of the block form; at least HF_LTX_FRAME_BYTES_MIN bytes. */
bool hf_ltx_frame_is_block(struct hf_slice frame);

/*
 * The bytes of a frame that the file's checksum covers in front of the *expanded* page: the page
 * header, and in the block form the payload length.
 */
struct hf_slice hf_ltx_frame_prefix(struct hf_slice frame);

#endif
