/* SPDX-License-Identifier: Apache-2.0 */
/* ltx_index.c - the integers of the page index: seven bits a byte, bit 7 says that more follow. */
#include "engine/sqlite/ltx/ltx_index.h"

#define MORE  0x80
#define GROUP 0x7f

size_t hf_ltx_uvarint_put(uint8_t dst[HF_LTX_UVARINT_BYTES_MAX], uint64_t v)
{
    size_t n = 0;

    for (; v > GROUP; v >>= 7)
        dst[n++] = (uint8_t)((v & GROUP) | MORE);
    dst[n++] = (uint8_t)v;
    return n;
}

bool hf_ltx_uvarint_take(struct hf_slice *rest, uint64_t *ret)
{
    uint64_t v = 0;

    for (size_t n = 0; n < rest->len && n < HF_LTX_UVARINT_BYTES_MAX; n++) {
        const uint8_t byte = rest->ptr[n];

        if (n == HF_LTX_UVARINT_BYTES_MAX - 1 && byte > 1)
            return false; /* only one of 64 bits is left */
        v |= (uint64_t)(byte & GROUP) << (7 * n);
        if ((byte & MORE) != 0)
            continue;
        if (byte == 0 && n > 0)
            return false;
        *ret = v;
        *rest = hf_slice(rest->ptr + n + 1, rest->len - n - 1);
        return true;
    }
    return false;
}
