/* SPDX-License-Identifier: Apache-2.0 */
/* position.c - positions as bytes: 24, big-endian. */
#include "engine/sqlite/position.h"

#include "base/bytes.h"

void wal_position_encode(const struct wal_position *p, uint8_t ret[WAL_POSITION_BYTES])
{
    hf_put_be32(ret, p->salt[0]);
    hf_put_be32(ret + 4, p->salt[1]);
    hf_put_be32(ret + 8, p->frame);
    hf_put_be32(ret + 12, p->cksum[0]);
    hf_put_be32(ret + 16, p->cksum[1]);
    hf_put_be32(ret + 20, p->commit);
}

void wal_position_decode(const uint8_t src[WAL_POSITION_BYTES], struct wal_position *ret)
{
    *ret = (struct wal_position){
        .salt = {hf_get_be32(src), hf_get_be32(src + 4)},
        .frame = hf_get_be32(src + 8),
        .cksum = {hf_get_be32(src + 12), hf_get_be32(src + 16)},
        .commit = hf_get_be32(src + 20),
    };
}

void wal_position_export(const struct wal_position *p, struct hf_position *ret)
{
    *ret = (struct hf_position){.len = WAL_POSITION_BYTES};
    wal_position_encode(p, ret->bytes);
}

enum hf_code wal_position_import(const struct hf_position *p, struct wal_position *ret,
                                 struct hf_err *err)
{
    if (p->len != WAL_POSITION_BYTES)
        return hf_err_set(err, HF_USAGE, "a WAL position has %d bytes, not %zu", WAL_POSITION_BYTES,
                          p->len);
    wal_position_decode(p->bytes, ret);
    return HF_OK;
}
