/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hash_rate.c - how fast pages are hashed when they lie in memory: one JSON object with bytes a
 * second of one core, for the hash of a scrub (XXH3-128 of page number and page) and for LTX's
 * CRC-64.
 */
#include <stdio.h>
#include <time.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/rand.h"

#define PAGE_BYTES  4096
#define PAGES_COUNT (256 * 256) /* 256 MiB: more than any cache holds */
#define ROUNDS      4

static double cpu_seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double hash_all(const uint8_t *pages, struct hf_root *sum)
{
    struct hf_page_hasher *hasher = hf_page_hasher_new(1);
    const double start = cpu_seconds();

    for (uint32_t i = 0; i < PAGES_COUNT; i++) {
        uint8_t name[4];

        hf_put_be32(name, i + 1);
        hf_root_add(sum, hf_page_hash(hasher, hf_slice(name, sizeof(name)),
                                      hf_slice(pages + (size_t)i * PAGE_BYTES, PAGE_BYTES)));
    }
    const double seconds = cpu_seconds() - start;

    hf_page_hasher_free(hasher);
    return seconds;
}

static double crc_all(const uint8_t *pages, uint64_t *sum)
{
    const double start = cpu_seconds();

    for (uint32_t i = 0; i < PAGES_COUNT; i++)
        *sum ^= hf_crc64(i, pages + (size_t)i * PAGE_BYTES, PAGE_BYTES);
    return cpu_seconds() - start;
}

int main(void)
{
    const size_t bytes = (size_t)PAGES_COUNT * PAGE_BYTES;
    HF_AUTO_FREE uint8_t *pages = hf_malloc(bytes);
    struct hf_rand rand = hf_rand_seeded(1);
    struct hf_root root = {0};
    uint64_t crc = 0;
    double hash_s = 0;
    double crc_s = 0;

    for (size_t i = 0; i < bytes; i += sizeof(uint64_t))
        hf_put_be64(pages + i, hf_rand_u64(&rand));
    for (int i = 0; i < ROUNDS; i++) {
        hash_s += hash_all(pages, &root);
        crc_s += crc_all(pages, &crc);
    }
    /* What was computed is printed, so that it had to be. */
    (void)printf("{\"hash\": %.0f, \"crc\": %.0f, \"of\": \"%016llx\"}\n",
                 (double)bytes * ROUNDS / hash_s, (double)bytes * ROUNDS / crc_s,
                 (unsigned long long)(root.lo ^ crc));
    return 0;
}
