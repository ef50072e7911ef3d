/* SPDX-License-Identifier: Apache-2.0 */
/* rand.c - getrandom(2), and a small generator that repeats. */
#include "base/rand.h"

#include <sys/random.h>

#include "base/check.h"

static uint64_t system_next(struct hf_rand *r)
{
    uint64_t x = 0;

    (void)r;
    hf_assert(getrandom(&x, sizeof(x), 0) == (ssize_t)sizeof(x));
    return x;
}

struct hf_rand *hf_rand_system(void)
{
    static struct hf_rand system = {.next = system_next};

    return &system;
}

/* SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). */
static uint64_t seeded_next(struct hf_rand *r)
{
    uint64_t z = (r->state += UINT64_C(0x9E3779B97F4A7C15));

    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

struct hf_rand hf_rand_seeded(uint64_t seed)
{
    return (struct hf_rand){.next = seeded_next, .state = seed};
}

uint64_t hf_rand_below(struct hf_rand *r, uint64_t n)
{
    hf_assert(n > 0);
    return hf_rand_u64(r) % n;
}
