/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment.c - WALOffset and WALSize as a frame number, and one page out of a file.
 */
#include "engine/sqlite/segment.h"

#include <inttypes.h>

#include "engine/sqlite/ltx/ltx_reader.h"
#include "engine/sqlite/pagehash.h"
#include "engine/sqlite/wal.h"

bool segment_log_end(const struct hf_ltx_header *h, struct wal_position *ret)
{
    const uint64_t frame_bytes = WAL_FRAME_HEADER_BYTES + (uint64_t)h->page_bytes;

    if (hf_ltx_is_snapshot(h) || h->catchup || h->wal_offset < WAL_HEADER_BYTES)
        return false;
    const uint64_t before = (uint64_t)h->wal_offset - WAL_HEADER_BYTES;
    const uint64_t carried = (uint64_t)h->wal_size;
    const uint64_t frame = before / frame_bytes + carried / frame_bytes;

    if (before % frame_bytes != 0 || carried % frame_bytes != 0 || frame > UINT32_MAX)
        return false;
    *ret = (struct wal_position){
        .salt = {h->salts[0], h->salts[1]},
        .frame = (uint32_t)frame,
        .commit = h->commit,
    };
    return true;
}

enum hf_code sqlite_segment_page(struct hf_source *segment, uint64_t seed, uint64_t page,
                                 struct hf_root *ret_hash, struct hf_err *err)
{
    HF_AUTO_LTX_READER *r = NULL;
    HF_AUTO_BUF bytes = {0};
    struct hf_ltx_entry entry;
    enum hf_code rc;

    if (page < 1 || page > UINT32_MAX)
        return hf_err_set(err, HF_NOT_FOUND, "%" PRIu64 " is no page number", page);
    rc = hf_ltx_open(segment, &r, err);
    if (rc != HF_OK)
        return rc;
    rc = hf_ltx_find(r, (uint32_t)page, &entry, err);
    if (rc != HF_OK)
        return rc;
    rc = hf_ltx_read_page(r, &entry, &bytes, err);
    if (rc != HF_OK)
        return rc;

    AUTO_PAGE_HASHER *hasher = hf_page_hasher_new(seed);

    *ret_hash = page_hash(hasher, (uint32_t)page, hf_buf_slice(&bytes));
    return HF_OK;
}

enum hf_code sqlite_segment_end(struct hf_slice header, struct hf_position *ret, struct hf_err *err)
{
    struct hf_ltx_header h;
    struct wal_position end;
    enum hf_code rc;

    rc = hf_ltx_header_decode(header, &h, err);
    if (rc != HF_OK)
        return rc;
    if (!segment_log_end(&h, &end))
        return hf_err_set(err, HF_NOT_FOUND,
                          "TXID %" PRIu64 " to %" PRIu64 " do not tell where in a WAL they ended",
                          h.min_txid, h.max_txid);
    wal_position_export(&end, ret);
    return HF_OK;
}

enum hf_code sqlite_segment_check(struct hf_source *segment, struct hf_pool *pool,
                                  struct hf_err *err)
{
    return hf_ltx_decode(segment, pool, NULL, NULL, NULL, NULL, err);
}
