/* SPDX-License-Identifier: Apache-2.0 */
/* ltx_reader_priv.h - what ltx_reader.c shares with ltx_decode.c and ltx_merge.c. */
#ifndef HF_ENGINE_SQLITE_LTX_LTX_READER_PRIV_H
#define HF_ENGINE_SQLITE_LTX_LTX_READER_PRIV_H

#include "engine/sqlite/ltx/ltx_reader.h"

/* How the index stands at some entry, so that reading can begin there. */
struct hf_ltx_spot {
    uint64_t position;    /* in the index */
    uint64_t next_offset; /* in the file */
    uint32_t last;        /* page before */
};

struct hf_ltx_reader {
    struct hf_source *source; /* borrowed */
    uint8_t head[HF_LTX_HEADER_BYTES];
    struct hf_ltx_header header;
    uint64_t post_sum;
    uint64_t file_sum;
    uint64_t index_offset; /* in the file */
    uint64_t index_bytes;  /* with the terminator, without the length behind it */
    struct hf_buf tail;    /* of the file, from tail_offset to its end */
    uint64_t tail_offset;  /* 0: all of it */
    uint64_t pages_count;  /* once the index was checked */
    struct hf_buf spots;   /* struct hf_ltx_spot[], one for every 64 KiB of index */
};

/* As hf_ltx_open(), without reading the index: whoever iterates it to the end checks it. A source
 * of at most `whole_bytes_max` is read in one go. */
enum hf_code hf_ltx_open_unchecked(struct hf_source *source, uint64_t whole_bytes_max,
                                   struct hf_ltx_reader **ret_reader,
                                   struct hf_err *err) HF_MUST_CHECK;

/* A view of `len` bytes of the file, which has them; in `scratch` unless the reader holds them. */
enum hf_code hf_ltx_reader_view(const struct hf_ltx_reader *r, uint64_t offset, size_t len,
                                struct hf_buf *scratch, struct hf_slice *ret,
                                struct hf_err *err) HF_MUST_CHECK;

/*
 * FileChecksum is right for frames with this CRC over `crc_bytes` bytes. `c` has come to the end.
 */
enum hf_code hf_ltx_reader_check_sum(const struct hf_ltx_reader *r, const struct hf_ltx_cursor *c,
                                     uint64_t crc, uint64_t crc_bytes,
                                     struct hf_err *err) HF_MUST_CHECK;

/* PostApplyChecksum of a tracked snapshot is `sum`; other files are not judged. */
enum hf_code hf_ltx_reader_check_post(const struct hf_ltx_reader *r, uint64_t sum,
                                      struct hf_err *err) HF_MUST_CHECK;

#endif
