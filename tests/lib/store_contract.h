/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_contract.h - one suite that asks every documented sentence of store.h of a store.
 *
 * It is run against each implementation, so that the fakes are proved to behave like the real ones.
 * Where a store lacks a capability, the tests ask that it says so. All keys lie under one prefix,
 * and each test removes its own.
 */
#ifndef HF_TESTS_LIB_STORE_CONTRACT_H
#define HF_TESTS_LIB_STORE_CONTRACT_H

#include <stdbool.h>
#include <stddef.h>

#include "store/store.h"

struct store_contract {
    struct hf_store *(*make)(void *ctx); /* a new handle to one and the same place, for each test,
                                            which frees it */
    void (*check)(void *ctx); /* may be NULL: after each test, when its store is freed and
                                 its keys are gone: fail if anything is left behind */
    void *ctx;
    const char *prefix;  /* of all keys, without '/' at the end; unique to this run */
    size_t paging_keys;  /* objects in the paging test: more than two pages (2100), or few */
    unsigned threads;    /* that fill and empty the store; 1 to 64 */
    bool refuses_blanks; /* keys with a blank are HF_UNSUPPORTED here, and not tried otherwise */
};

/* Run the suite; the number of failed tests, as cmocka gives it. One run at a time a process. */
int store_contract_run(const char *name, const struct store_contract *contract);

#endif
