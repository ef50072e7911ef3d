/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_fault.h - a store whose n-th request fails, before or after its effect, and which can hand
 * out damaged bytes.
 *
 * Wraps any store. Requests are counted over the chosen kinds only. A put, delete or finish that
 * fails after its effect is HF_UNCERTAIN, as the contract demands, whatever code was asked for; a
 * request that only reads has no effect and fails with the code. Any thread.
 */
#ifndef HF_TESTS_LIB_STORE_FAULT_H
#define HF_TESTS_LIB_STORE_FAULT_H

#include <pthread.h>

#include "store/store_ops.h"

enum {
    STORE_PUT = 1 << 0,
    STORE_GET = 1 << 1,
    STORE_HEAD = 1 << 2,
    STORE_DELETE = 1 << 3,
    STORE_LIST = 1 << 4, /* fails before the first key; or, after_effect, behind the last */
    STORE_UPLOAD_NEW = 1 << 5,
    STORE_UPLOAD_WRITE = 1 << 6,
    STORE_UPLOAD_FINISH = 1 << 7,
    STORE_WRITES = STORE_PUT | STORE_DELETE | STORE_UPLOAD_FINISH,
    STORE_ALL = (1 << 8) - 1,
};

struct store_fault_plan {
    unsigned kinds;    /* which requests are counted and can fail; 0 means STORE_ALL */
    uint64_t fail_at;  /* the first request that fails, from 1; 0: none */
    bool from_then_on; /* and all of these kinds behind it */
    bool after_effect; /* the request is made, and then the answer is lost */
    enum hf_code code; /* HF_OK means HF_TRANSIENT */
};

struct store_fault {
    struct hf_store base; /* first, so that the pointers convert */
    struct hf_store *inner;
    pthread_mutex_t mutex;
    struct {
        struct store_fault_plan plan;
        uint64_t calls;  /* of the plan's kinds */
        uint64_t failed; /* of these, made to fail */
        char *corrupt_key;
        uint64_t corrupt_offset;
        uint8_t corrupt_mask;
    } guarded; /* by mutex; a test may read it while nothing runs */
};

/* `inner` is borrowed: it stays when the wrapper is freed with hf_store_free(&f->base). */
struct store_fault *store_fault_new(struct hf_store *inner);
/* From now on by this plan; the counters begin again. */
void store_fault_arm(struct store_fault *f, struct store_fault_plan plan);
void store_fault_disarm(struct store_fault *f); /* no more failures; the counters stay */
/* Flip the bits of `mask` in the object's byte at `offset` in every get that covers it, until
 * called again; key NULL ends it. */
void store_fault_corrupt(struct store_fault *f, const char *key, uint64_t offset, uint8_t mask);

#endif
