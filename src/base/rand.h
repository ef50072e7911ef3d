/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rand.h - random numbers: from the kernel, or from a seed in a test.
 */
#ifndef HF_BASE_RAND_H
#define HF_BASE_RAND_H

#include <stdint.h>

struct hf_rand {
    uint64_t (*next)(struct hf_rand *r);
    uint64_t state; /* of a seeded generator */
};

/* The kernel's generator. Never freed; any thread. */
struct hf_rand *hf_rand_system(void);
/* A generator that repeats for the same seed. One thread. */
struct hf_rand hf_rand_seeded(uint64_t seed);

static inline uint64_t hf_rand_u64(struct hf_rand *r)
{
    return r->next(r);
}
/* 0 <= result < n; n > 0. */
uint64_t hf_rand_below(struct hf_rand *r, uint64_t n);

#endif
