/* SPDX-License-Identifier: Apache-2.0 */
/* hash.c - hashes of other libraries under our names, and CRC-64 arithmetic of our own. */
#include "base/hash.h"

#include <stdio.h>

#include <isa-l/crc64.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <xxhash.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"

uint64_t hf_crc64(uint64_t crc, const void *ptr, size_t len)
{
    return crc64_iso_refl(crc, (const unsigned char *)ptr, len);
}

#define ISO_POLY_REFLECTED UINT64_C(0xD800000000000000)

/* a * b modulo the polynomial; bit 63 is x^0, as in every reflected CRC. */
static uint64_t multiply(uint64_t a, uint64_t b)
{
    uint64_t product = 0;

    for (uint64_t bit = UINT64_C(1) << 63; bit != 0; bit >>= 1) {
        if ((a & bit) != 0)
            product ^= b;
        b = (b & 1) != 0 ? (b >> 1) ^ ISO_POLY_REFLECTED : b >> 1;
    }
    return product;
}

/* x^(8 len): times this is what `len` bytes behind it do to a CRC. */
static uint64_t shift_by(uint64_t len)
{
    uint64_t power = UINT64_C(1) << 55; /* x^8: one byte more */
    uint64_t shift = UINT64_C(1) << 63; /* x^0 */

    for (uint64_t n = len; n != 0; n >>= 1) {
        if ((n & 1) != 0)
            shift = multiply(shift, power);
        power = multiply(power, power);
    }
    return shift;
}

uint64_t hf_crc64_combine(uint64_t crc_a, uint64_t crc_b, uint64_t len_b)
{
    /* The all-ones start and end of A and of B cancel, so shifting A's CRC by B's length does. */
    return multiply(crc_a, shift_by(len_b)) ^ crc_b;
}

void hf_crc64_shift_init(struct hf_crc64_shift *s, uint64_t len_b)
{
    const uint64_t shift = shift_by(len_b);

    for (unsigned i = 0; i < 16; i++) {
        s->parts[i][0] = 0;
        for (unsigned bit = 0; bit < 4; bit++) /* multiplying is linear: the rest are sums */
            s->parts[i][1U << bit] = multiply(UINT64_C(1) << (4 * i + bit), shift);
        for (unsigned v = 3; v < 16; v++)
            s->parts[i][v] = s->parts[i][v & (v - 1)] ^ s->parts[i][v & (~v + 1)];
    }
}

uint64_t hf_crc64_join(const struct hf_crc64_shift *s, uint64_t crc_a, uint64_t crc_b)
{
    uint64_t crc = crc_b;

    for (unsigned i = 0; i < 16; i++)
        crc ^= s->parts[i][crc_a >> (4 * i) & 15];
    return crc;
}

void hf_root_add(struct hf_root *sum, struct hf_root x)
{
    sum->lo += x.lo;
    sum->hi += x.hi + (sum->lo < x.lo ? 1 : 0);
}

void hf_root_sub(struct hf_root *sum, struct hf_root x)
{
    const uint64_t borrow = sum->lo < x.lo ? 1 : 0;

    sum->lo -= x.lo;
    sum->hi -= x.hi + borrow;
}

bool hf_root_equal(struct hf_root a, struct hf_root b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

void hf_root_put(uint8_t dst[HF_ROOT_BYTES], struct hf_root r)
{
    hf_put_be64(dst, r.hi);
    hf_put_be64(dst + 8, r.lo);
}

struct hf_root hf_root_get(const uint8_t src[HF_ROOT_BYTES])
{
    return (struct hf_root){.hi = hf_get_be64(src), .lo = hf_get_be64(src + 8)};
}

void hf_root_hex(struct hf_root r, char ret[HF_ROOT_HEX_MAX])
{
    uint8_t bytes[HF_ROOT_BYTES];

    hf_root_put(bytes, r);
    hf_hex(hf_slice(bytes, sizeof(bytes)), ret);
}

struct hf_page_hasher {
    XXH3_state_t *state;
    uint64_t seed;
};

struct hf_page_hasher *hf_page_hasher_new(uint64_t seed)
{
    struct hf_page_hasher *h = hf_calloc(1, sizeof(*h));

    h->state = XXH3_createState();
    hf_assert(h->state != NULL);
    h->seed = seed;
    return h;
}

void hf_page_hasher_free(struct hf_page_hasher *h)
{
    if (h == NULL)
        return;
    (void)XXH3_freeState(h->state);
    hf_free(h);
}

struct hf_root hf_page_hash(struct hf_page_hasher *h, struct hf_slice name, struct hf_slice page)
{
    (void)XXH3_128bits_reset_withSeed(h->state, h->seed);
    (void)XXH3_128bits_update(h->state, name.ptr, name.len);
    (void)XXH3_128bits_update(h->state, page.ptr, page.len);
    const XXH128_hash_t x = XXH3_128bits_digest(h->state);

    return (struct hf_root){.hi = x.high64, .lo = x.low64};
}

uint64_t hf_hash64(const void *ptr, size_t len)
{
    return XXH3_64bits(ptr, len);
}

bool hf_md5(struct hf_slice data, uint8_t ret[HF_MD5_BYTES])
{
    return EVP_Digest(data.ptr, data.len, ret, NULL, EVP_md5(), NULL) == 1;
}

void hf_sha256(struct hf_slice data, uint8_t ret[HF_SHA256_BYTES])
{
    hf_assert(EVP_Digest(data.ptr, data.len, ret, NULL, EVP_sha256(), NULL) == 1);
}

void hf_hmac_sha256(struct hf_slice key, struct hf_slice data, uint8_t ret[HF_SHA256_BYTES])
{
    unsigned len = 0;

    hf_assert(HMAC(EVP_sha256(), key.ptr, (int)key.len, data.ptr, data.len, ret, &len) != NULL);
    hf_assert(len == HF_SHA256_BYTES);
}

void hf_hex(struct hf_slice data, char *ret)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < data.len; i++) {
        ret[2 * i] = digits[data.ptr[i] >> 4];
        ret[2 * i + 1] = digits[data.ptr[i] & 15];
    }
    ret[2 * data.len] = '\0';
}
