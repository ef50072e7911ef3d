/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hash.h - the hashes of the formats: CRC-64/GO-ISO of LTX, XXH3-128 of roots, SHA-256 of S3.
 *
 * All functions may be called from any thread; a struct hf_page_hasher belongs to one.
 */
#ifndef HF_BASE_HASH_H
#define HF_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * CRC-64/GO-ISO of `len` bytes that follow bytes whose CRC is `crc`; 0 to begin.
 * "123456789" gives 0xB90956C775A41001 (FORMAT §2.1).
 */
uint64_t hf_crc64(uint64_t crc, const void *ptr, size_t len);

/* The CRC of A ‖ B from crc(A), crc(B) and the length of B, in O(log len_b). */
uint64_t hf_crc64_combine(uint64_t crc_a, uint64_t crc_b, uint64_t len_b);

/* The same for one length of B, which a table makes fast: 16 look-ups. */
struct hf_crc64_shift {
    uint64_t parts[16][16]; /* what each value of each half byte of crc(A) becomes behind B */
};
void hf_crc64_shift_init(struct hf_crc64_shift *s, uint64_t len_b); /* about 10 microseconds */
uint64_t hf_crc64_join(const struct hf_crc64_shift *s, uint64_t crc_a, uint64_t crc_b);

/* A 128-bit number: a page's hash, or a root, which is the sum of page hashes mod 2^128. */
struct hf_root {
    uint64_t hi;
    uint64_t lo;
};

#define HF_ROOT_BYTES   16 /* stored big-endian, hi first */
#define HF_ROOT_HEX_MAX 33 /* bytes with NUL */

/* Mod 2^128, so that a page can be taken out of a root and its successor put in. */
void hf_root_add(struct hf_root *sum, struct hf_root x);
void hf_root_sub(struct hf_root *sum, struct hf_root x);
bool hf_root_equal(struct hf_root a, struct hf_root b);
void hf_root_put(uint8_t dst[HF_ROOT_BYTES], struct hf_root r);
struct hf_root hf_root_get(const uint8_t src[HF_ROOT_BYTES]);
/* 32 lower-case hex digits. */
void hf_root_hex(struct hf_root r, char ret[HF_ROOT_HEX_MAX]);

/* Hashes pages under one archive's seed. Owns its state; one thread at a time. */
struct hf_page_hasher;
struct hf_page_hasher *hf_page_hasher_new(uint64_t seed);
void hf_page_hasher_free(struct hf_page_hasher *h); /* NULL is allowed */
/* XXH3-128 with the seed, of `name` ‖ `page` (FORMAT §3.1). */
struct hf_root hf_page_hash(struct hf_page_hasher *h, struct hf_slice name, struct hf_slice page);

/* 64-bit XXH3 without a seed: for local names and local records, never in the archive. */
uint64_t hf_hash64(const void *ptr, size_t len);

/* MD5, for comparing with what S3 calls an ETag and for nothing else. false: the system's policy
 * does not allow it. */
#define HF_MD5_BYTES 16
bool hf_md5(struct hf_slice data, uint8_t ret[HF_MD5_BYTES]) HF_MUST_CHECK;

#define HF_SHA256_BYTES   32
#define HF_SHA256_HEX_MAX 65 /* bytes with NUL */
void hf_sha256(struct hf_slice data, uint8_t ret[HF_SHA256_BYTES]);
void hf_hmac_sha256(struct hf_slice key, struct hf_slice data, uint8_t ret[HF_SHA256_BYTES]);

/* Lower-case hex of `data`; `ret` has room for 2 * data.len + 1 bytes. */
void hf_hex(struct hf_slice data, char *ret);

#endif
