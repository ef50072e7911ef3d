/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_mem.h - a store in memory that keeps the contract of store.h. Any thread; deterministic.
 *
 * It speaks like S3 where stores differ: a listing tells no timestamps, takes one request for 1000
 * keys, and names of folders are nothing special. The struct is open for tests to look at.
 */
#ifndef HF_TESTS_LIB_STORE_MEM_H
#define HF_TESTS_LIB_STORE_MEM_H

#include <pthread.h>

#include "base/clock.h"
#include "store/store_ops.h"

#define STORE_MEM_PAGE_KEYS 1000

struct store_mem_object {
    char *key;
    struct hf_buf body;
    struct hf_object object;
};

/* Requests as a bill of S3 would count them. */
struct store_mem_requests {
    uint64_t put; /* plain puts; uploads count one here at their finish */
    uint64_t get;
    uint64_t head;
    uint64_t del;
    uint64_t list;
    uint64_t bytes_up;
    uint64_t bytes_down;
};

struct store_mem {
    struct hf_store base; /* first, so that the pointers convert */
    struct hf_clock *clock;
    bool lists_timestamps; /* false: as on S3; a test may set it before use */
    pthread_mutex_t mutex;
    struct {
        struct store_mem_object *objects; /* sorted by key */
        size_t count;
        size_t cap;
        uint64_t versions; /* given out so far; an etag is made of one */
        uint64_t uploads_open;
        struct store_mem_requests requests;
    } guarded; /* by mutex; a test may read it while nothing runs */
};

/* Caps: HF_STORE_COND_PUT | HF_STORE_LARGE; change base.caps before use. The clock is borrowed;
 * NULL is the machine's. Free with hf_store_free(&m->base). */
struct store_mem *store_mem_new(struct hf_clock *clock);
/* Requests since the start or the last call of this. */
struct store_mem_requests store_mem_requests_take(struct store_mem *m);
/* The object, or NULL. Valid until the next change. */
const struct store_mem_object *store_mem_find(struct store_mem *m, const char *key);
/* Flip the bits of `mask` in one byte of an object, as a decaying disk would: etag and times stay.
 * Fails the test if there is no such byte. */
void store_mem_corrupt(struct store_mem *m, const char *key, uint64_t offset, uint8_t mask);

#endif
