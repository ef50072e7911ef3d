/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a condition holds or nothing happens, also when many try at once.
 * Method: races of eight threads, with one winner or a counter as the model.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "lib/fixture.h"
#include "lib/store_contract_kit.h"

static void put_if_absent_creates_only(void **state)
{
    struct contract_test *t = *state;
    HF_AUTO_FREE char *key = contract_key(t, "object");
    struct hf_etag etag;
    struct hf_object head;

    if (contract_lacks_cond(t))
        return;
    hf_must(hf_store_put(t->store, key, hf_slice_str("first"), &contract_if_absent, &etag, &t->err),
            &t->err);
    assert_int_equal(
        hf_store_put(t->store, key, hf_slice_str("other"), &contract_if_absent, NULL, &t->err),
        HF_CONFLICT);
    assert_int_equal(
        hf_store_put(t->store, key, hf_slice_str("first"), &contract_if_absent, NULL, &t->err),
        HF_CONFLICT);
    contract_assert_text(t, "object", "first");
    hf_must(hf_store_head(t->store, key, &head, &t->err), &t->err);
    assert_string_equal(head.etag.str, etag.str);
    hf_must(hf_store_delete(t->store, key, &t->err), &t->err);
    hf_must(hf_store_put(t->store, key, hf_slice_str("other"), &contract_if_absent, NULL, &t->err),
            &t->err);
    contract_assert_text(t, "object", "other");
}

static void *create(void *arg)
{
    struct contract_racer *r = arg;
    HF_AUTO_FREE char *body = hf_strfmt("racer %u", r->index);

    r->rc =
        hf_store_put(r->t->store, r->key, hf_slice_str(body), &contract_if_absent, NULL, &r->err);
    return NULL;
}

static void one_of_many_creators_wins(void **state)
{
    struct contract_test *t = *state;
    struct contract_racer racers[CONTRACT_RACERS];

    if (contract_lacks_cond(t))
        return;
    for (int round = 0; round < CONTRACT_ROUNDS; round++) {
        HF_AUTO_FREE char *name = hf_strfmt("round-%d", round);
        HF_AUTO_FREE char *key = contract_key(t, name);
        unsigned winners = 0;

        contract_race(t, key, create, racers);
        for (unsigned i = 0; i < CONTRACT_RACERS; i++) {
            HF_AUTO_FREE char *body = hf_strfmt("racer %u", i);

            if (racers[i].rc == HF_CONFLICT)
                continue;
            hf_must(racers[i].rc, &racers[i].err);
            winners++;
            contract_assert_text(t, name, body);
        }
        assert_int_equal(winners, 1);
    }
}

static void put_if_match_replaces_the_named_version_only(void **state)
{
    struct contract_test *t = *state;
    HF_AUTO_FREE char *key = contract_key(t, "object");
    struct hf_etag first;
    struct hf_etag second;

    if (contract_lacks_cond(t))
        return;
    hf_must(hf_store_put(t->store, key, hf_slice_str("v1"), &contract_always, &first, &t->err),
            &t->err);
    struct hf_put put = contract_if_match(first.str);

    hf_must(hf_store_put(t->store, key, hf_slice_str("v2"), &put, &second, &t->err), &t->err);
    assert_string_not_equal(first.str, second.str);
    assert_int_equal(hf_store_put(t->store, key, hf_slice_str("v3"), &put, NULL, &t->err),
                     HF_CONFLICT);
    contract_assert_text(t, "object", "v2");
    put = contract_if_match(second.str);
    hf_must(hf_store_put(t->store, key, hf_slice_str("v3"), &put, NULL, &t->err), &t->err);
    contract_assert_text(t, "object", "v3");
}

static void put_if_match_of_missing_object_is_conflict(void **state)
{
    struct contract_test *t = *state;
    HF_AUTO_FREE char *key = contract_key(t, "object");
    struct hf_etag etag;

    if (contract_lacks_cond(t))
        return;
    hf_must(hf_store_put(t->store, key, hf_slice_str("v1"), &contract_always, &etag, &t->err),
            &t->err);
    hf_must(hf_store_delete(t->store, key, &t->err), &t->err);
    const struct hf_put put = contract_if_match(etag.str);

    assert_int_equal(hf_store_put(t->store, key, hf_slice_str("v2"), &put, NULL, &t->err),
                     HF_CONFLICT);
    contract_assert_missing(t, "object");
}

/* Read a number and put it back plus one, if nobody was quicker; HF_CONFLICT is one more try. */
static void *count_up(void *arg)
{
    struct contract_racer *r = arg;

    while (r->wins < CONTRACT_ROUNDS && (r->rc == HF_OK || r->rc == HF_CONFLICT)) {
        HF_AUTO_BUF old = {0};
        HF_AUTO_BUF new = {0};
        struct hf_object object;

        r->rc = hf_store_get(r->t->store, r->key, 0, 0, &old, &object, &r->err);
        if (r->rc != HF_OK)
            break;
        const struct hf_put put = contract_if_match(object.etag.str);

        hf_buf_printf(&new, "%03ld", strtol(hf_buf_str(&old), NULL, 10) + 1);
        r->rc = hf_store_put(r->t->store, r->key, hf_buf_slice(&new), &put, NULL, &r->err);
        if (r->rc == HF_OK)
            r->wins++;
    }
    return NULL;
}

static void put_if_match_loses_no_update(void **state)
{
    struct contract_test *t = *state;
    HF_AUTO_FREE char *key = contract_key(t, "counter");
    HF_AUTO_FREE char *want = hf_strfmt("%03d", CONTRACT_RACERS * CONTRACT_ROUNDS);
    struct contract_racer racers[CONTRACT_RACERS];

    if (contract_lacks_cond(t))
        return;
    contract_put_text(t, "counter", "000");
    contract_race(t, key, count_up, racers);
    for (unsigned i = 0; i < CONTRACT_RACERS; i++)
        hf_must(racers[i].rc, &racers[i].err);
    contract_assert_text(t, "counter", want);
}

const struct CMUnitTest contract_cond_tests[] = {
    CONTRACT_TEST(put_if_absent_creates_only),
    CONTRACT_TEST(one_of_many_creators_wins),
    CONTRACT_TEST(put_if_match_replaces_the_named_version_only),
    CONTRACT_TEST(put_if_match_of_missing_object_is_conflict),
    CONTRACT_TEST(put_if_match_loses_no_update),
};
const size_t contract_cond_tests_count = HF_ARRAY_LEN(contract_cond_tests);
