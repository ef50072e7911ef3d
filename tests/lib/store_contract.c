/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_contract.c - the runner of the contract suite, and what its parts share.
 *
 * Each test has a prefix of its own, and a model where the answer is more than one value. The tests
 * are in store_contract_<part>.c.
 */
#include "lib/store_contract.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/pool.h"
#include "lib/store_contract_kit.h"

#define TESTS_MAX 100

const struct store_contract *contract_now;
static unsigned tests_count;

const struct hf_put contract_always = {.cond = HF_PUT_ALWAYS};
const struct hf_put contract_if_absent = {.cond = HF_PUT_IF_ABSENT};

struct hf_put contract_if_match(const char *etag)
{
    struct hf_put put = {.cond = HF_PUT_IF_MATCH};

    (void)memcpy(put.match.str, etag, strlen(etag) + 1);
    return put;
}

char *contract_key(const struct contract_test *t, const char *name)
{
    return hf_strfmt("%s%s", t->prefix, name);
}

void contract_put_text(struct contract_test *t, const char *name, const char *text)
{
    HF_AUTO_FREE char *key = contract_key(t, name);

    hf_must(hf_store_put(t->store, key, hf_slice_str(text), &contract_always, NULL, &t->err),
            &t->err);
}

void contract_assert_bytes(const struct hf_buf *got, const void *want, size_t len)
{
    assert_int_equal(got->len, len);
    if (len > 0)
        assert_memory_equal(got->ptr, want, len);
}

void contract_assert_text(struct contract_test *t, const char *name, const char *text)
{
    HF_AUTO_FREE char *key = contract_key(t, name);
    HF_AUTO_BUF got = {0};

    hf_must(hf_store_get(t->store, key, 0, 0, &got, NULL, &t->err), &t->err);
    contract_assert_bytes(&got, text, strlen(text));
}

void contract_assert_missing(struct contract_test *t, const char *name)
{
    HF_AUTO_FREE char *key = contract_key(t, name);
    struct hf_object object;

    assert_int_equal(hf_store_head(t->store, key, &object, &t->err), HF_NOT_FOUND);
}

void contract_keys_done(struct contract_keys *k)
{
    for (size_t i = 0; i < k->count; i++)
        hf_free(k->items[i]);
    hf_free(k->items);
    hf_free(k->objects);
    *k = (struct contract_keys){0};
}

enum hf_code contract_keep_key(void *ctx, const char *key, const struct hf_object *object,
                               struct hf_err *err)
{
    struct contract_keys *k = ctx;

    k->items = hf_realloc(k->items, k->count + 1, sizeof(*k->items));
    k->objects = hf_realloc(k->objects, k->count + 1, sizeof(*k->objects));
    k->objects[k->count] = *object;
    k->items[k->count++] = hf_strdup(key);
    if (k->stop_at != 0 && k->count == k->stop_at)
        return hf_err_set(err, k->stop_rc, "stopped by the test");
    return HF_OK;
}

void contract_list(struct contract_test *t, const char *prefix, const char *start_after,
                   struct contract_keys *ret)
{
    hf_must(hf_store_list(t->store, prefix, start_after, contract_keep_key, ret, &t->err), &t->err);
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void contract_expect_listing(struct contract_test *t, const struct contract_keys *all,
                             const char *prefix, const char *start_after)
{
    CONTRACT_AUTO_KEYS got = {0};
    size_t at = 0;

    if (all->count > 0)
        qsort(all->items, all->count, sizeof(*all->items), compare_strings);
    contract_list(t, prefix, start_after, &got);
    for (size_t i = 0; i < all->count; i++) {
        if (strncmp(all->items[i], prefix, strlen(prefix)) != 0 ||
            strcmp(all->items[i], start_after) <= 0)
            continue;
        if (at == got.count)
            fail_msg("prefix '%s' after '%s': %s is missing at the end", prefix, start_after,
                     all->items[i]);
        if (strcmp(got.items[at], all->items[i]) != 0)
            fail_msg("prefix '%s' after '%s': %s instead of %s", prefix, start_after, got.items[at],
                     all->items[i]);
        at++;
    }
    if (at != got.count)
        fail_msg("prefix '%s' after '%s': %s is too much", prefix, start_after, got.items[at]);
}

struct stripe {
    struct hf_store *store;
    const struct contract_keys *keys;
    size_t first; /* this key and each contract_now->threads-th after it */
    bool put;     /* else delete */
};

static enum hf_code work_stripe(void *ctx, struct hf_err *err)
{
    const struct stripe *s = ctx;
    enum hf_code rc = HF_OK;

    for (size_t i = s->first; i < s->keys->count && rc == HF_OK; i += contract_now->threads) {
        const char *key = s->keys->items[i];

        rc = s->put ? hf_store_put(s->store, key, hf_slice_str(key), &contract_always, NULL, err)
                    : hf_store_delete(s->store, key, err);
    }
    return rc;
}

void contract_work_all(struct contract_test *t, const struct contract_keys *keys, bool put)
{
    struct stripe *stripes = hf_calloc(contract_now->threads, sizeof(*stripes));
    struct hf_pool *pool = hf_pool_new(contract_now->threads);
    struct hf_group *group = hf_group_new(pool);

    for (unsigned i = 0; i < contract_now->threads; i++) {
        stripes[i] = (struct stripe){t->store, keys, i, put};
        hf_group_run(group, work_stripe, &stripes[i]);
    }
    const enum hf_code rc = hf_group_wait(group, &t->err);

    hf_group_free(group);
    hf_pool_free(pool);
    hf_free(stripes);
    hf_must(rc, &t->err);
}

void contract_race(struct contract_test *t, const char *key, void *(*fn)(void *),
                   struct contract_racer racers[CONTRACT_RACERS])
{
    pthread_t threads[CONTRACT_RACERS];

    for (unsigned i = 0; i < CONTRACT_RACERS; i++) {
        racers[i] = (struct contract_racer){.t = t, .key = key, .index = i};
        assert_int_equal(pthread_create(&threads[i], NULL, fn, &racers[i]), 0);
    }
    for (unsigned i = 0; i < CONTRACT_RACERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

int contract_setup(void **state)
{
    struct contract_test *t = hf_calloc(1, sizeof(*t));

    t->store = contract_now->make(contract_now->ctx);
    t->prefix = hf_strfmt("%s/t%02u/", contract_now->prefix, ++tests_count);
    *state = t;
    return 0;
}

int contract_teardown(void **state)
{
    struct contract_test *t = *state;
    CONTRACT_AUTO_KEYS left = {0};

    contract_list(t, t->prefix, "", &left);
    contract_work_all(t, &left, false);
    hf_store_free(t->store);
    hf_free(t->prefix);
    hf_free(t);
    if (contract_now->check != NULL)
        contract_now->check(contract_now->ctx);
    return 0;
}

bool contract_lacks_cond(struct contract_test *t)
{
    HF_AUTO_FREE char *key = contract_key(t, "conditional");
    struct hf_upload *u = NULL;

    if ((hf_store_caps(t->store) & HF_STORE_COND_PUT) != 0)
        return false;
    assert_int_equal(
        hf_store_put(t->store, key, hf_slice_str("x"), &contract_if_absent, NULL, &t->err),
        HF_UNSUPPORTED);
    assert_int_equal(hf_upload_new(t->store, key, &contract_if_absent, &u, &t->err),
                     HF_UNSUPPORTED);
    assert_null(u);
    contract_assert_missing(t, "conditional");
    return true;
}

int store_contract_run(const char *name, const struct store_contract *c)
{
    struct CMUnitTest tests[TESTS_MAX];
    size_t count = 0;

#define CONTRACT_COLLECT(part)                                                                     \
    hf_assert(count + contract_##part##_tests_count <= TESTS_MAX);                                 \
    (void)memcpy(tests + count, contract_##part##_tests,                                           \
                 contract_##part##_tests_count * sizeof(tests[0]));                                \
    count += contract_##part##_tests_count;
    CONTRACT_PARTS(CONTRACT_COLLECT)
#undef CONTRACT_COLLECT

    hf_assert(c->threads >= 1 && c->threads <= 64 && c->paging_keys > 0);
    contract_now = c;
    tests_count = 0;
    /* What cmocka_run_group_tests() expands to; the macro wants an array of known size. */
    return _cmocka_run_group_tests(name, tests, count, NULL, NULL);
}
