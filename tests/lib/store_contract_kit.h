/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_contract_kit.h - what the files of the contract suite share. Nobody else includes it.
 */
#ifndef HF_TESTS_LIB_STORE_CONTRACT_KIT_H
#define HF_TESTS_LIB_STORE_CONTRACT_KIT_H

#include <stdbool.h>

#include "lib/fixture.h"
#include "lib/store_contract.h"

#define CONTRACT_RACERS     8
#define CONTRACT_ROUNDS     5 /* updates a racer makes */
#define CONTRACT_NOW_MS     INT64_C(1767322445678)
#define CONTRACT_UNTOUCHED  "untouched"
#define CONTRACT_UPLOAD_LEN ((size_t)20 << 20)

struct contract_test {
    struct hf_store *store;
    char *prefix; /* of this test's keys, with '/' at the end */
    struct hf_err err;
};

extern const struct store_contract *contract_now; /* the run's */
extern const struct hf_put contract_always;
extern const struct hf_put contract_if_absent;
struct hf_put contract_if_match(const char *etag);

/* In a store without conditional puts: assert that it says so and writes nothing. True there. */
bool contract_lacks_cond(struct contract_test *t);

/* The test's own key of that name; the caller frees. */
char *contract_key(const struct contract_test *t, const char *name);
void contract_put_text(struct contract_test *t, const char *name, const char *text);
void contract_assert_bytes(const struct hf_buf *got, const void *want, size_t len);
void contract_assert_text(struct contract_test *t, const char *name, const char *text);
void contract_assert_missing(struct contract_test *t, const char *name);

/* Keys: what a listing gave, or what a model expects. All zero is none. */
struct contract_keys {
    char **items;
    struct hf_object *objects; /* of a listing; NULL in a model */
    size_t count;
    size_t stop_at; /* end the listing after so many, with stop_rc; 0: never */
    enum hf_code stop_rc;
};

void contract_keys_done(struct contract_keys *k);
#define CONTRACT_AUTO_KEYS HF_CLEANUP(contract_keys_done) struct contract_keys

/* A hf_list_fn whose ctx is a struct contract_keys. */
enum hf_code contract_keep_key(void *ctx, const char *key, const struct hf_object *object,
                               struct hf_err *err);
void contract_list(struct contract_test *t, const char *prefix, const char *start_after,
                   struct contract_keys *ret);
/* The listing gives what the model does: all[] sorted by bytes, only what starts with `prefix` and
 * comes after `start_after`. */
void contract_expect_listing(struct contract_test *t, const struct contract_keys *all,
                             const char *prefix, const char *start_after);
/* With several threads: put every key (its body is the key), or delete every key. */
void contract_work_all(struct contract_test *t, const struct contract_keys *keys, bool put);

/* One of several threads that do the same at once. Threads report; the test judges. */
struct contract_racer {
    struct contract_test *t;
    const char *key;
    unsigned index;
    unsigned wins;
    unsigned mixed; /* bodies seen that no put had written */
    enum hf_code rc;
    struct hf_err err;
};

/* Run fn(&racers[i]) in as many threads at once; all have ended. */
void contract_race(struct contract_test *t, const char *key, void *(*fn)(void *),
                   struct contract_racer racers[CONTRACT_RACERS]);

/* Open the store and choose a prefix. */
int contract_setup(void **state);
/* Remove what the test put, close the store, and ask the fixture's check. */
int contract_teardown(void **state);
#define CONTRACT_TEST(fn) cmocka_unit_test_setup_teardown(fn, contract_setup, contract_teardown)

/* X(name): the tests of store_contract_<name>.c. */
#define CONTRACT_PARTS(X) X(objects) X(cond) X(list) X(upload) X(args)

#define CONTRACT_DECLARE(name)                                                                     \
    extern const struct CMUnitTest contract_##name##_tests[];                                      \
    extern const size_t contract_##name##_tests_count;
CONTRACT_PARTS(CONTRACT_DECLARE)
#undef CONTRACT_DECLARE

#endif
