/* SPDX-License-Identifier: Apache-2.0 */
/* bytes.h - integers in byte order, at any alignment. */
#ifndef HF_BASE_BYTES_H
#define HF_BASE_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define HF_BYTES_ACCESS(bits, order)                                                               \
    static inline uint##bits##_t hf_get_##order##bits(const void *p)                               \
    {                                                                                              \
        uint##bits##_t v;                                                                          \
        (void)memcpy(&v, p, sizeof(v));                                                            \
        return order##bits##toh(v);                                                                \
    }                                                                                              \
    static inline void hf_put_##order##bits(void *p, uint##bits##_t v)                             \
    {                                                                                              \
        v = hto##order##bits(v);                                                                   \
        (void)memcpy(p, &v, sizeof(v));                                                            \
    }

HF_BYTES_ACCESS(16, be)
HF_BYTES_ACCESS(32, be)
HF_BYTES_ACCESS(64, be)
HF_BYTES_ACCESS(32, le)
HF_BYTES_ACCESS(64, le)

#undef HF_BYTES_ACCESS

#endif
