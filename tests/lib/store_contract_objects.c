/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: an object is put, got, told of and deleted as store.h says.
 * Method: bytes and lengths against what was put; threads for what must not mix.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "lib/fixture.h"
#include "lib/store_contract_kit.h"

static void what_is_put_is_got(void **state)
{
    static const size_t lengths[] = {0, 1, 100, 4096, 70001};
    struct hf_rand rand = hf_rand_seeded(1);
    struct contract_test *t = *state;

    for (size_t i = 0; i < HF_ARRAY_LEN(lengths); i++) {
        HF_AUTO_FREE char *key = contract_key(t, "object");
        HF_AUTO_BUF body = {0};
        HF_AUTO_BUF got = {0};
        struct hf_object object;

        for (size_t k = 0; k < lengths[i]; k++)
            *hf_buf_extend(&body, 1) = (uint8_t)hf_rand_u64(&rand);
        hf_must(hf_store_put(t->store, key, hf_buf_slice(&body), &contract_always, NULL, &t->err),
                &t->err);
        hf_must(hf_store_get(t->store, key, 0, 0, &got, &object, &t->err), &t->err);
        contract_assert_bytes(&got, body.ptr, body.len);
        assert_int_equal(object.size_bytes, lengths[i]);
    }
}

static void empty_object_exists_and_is_listed(void **state)
{
    struct contract_test *t = *state;
    HF_AUTO_FREE char *key = contract_key(t, "empty");
    CONTRACT_AUTO_KEYS got = {0};
    struct hf_object object = {.size_bytes = 7};

    contract_put_text(t, "empty", "");
    contract_assert_text(t, "empty", "");
    hf_must(hf_store_head(t->store, key, &object, &t->err), &t->err);
    assert_int_equal(object.size_bytes, 0);
    contract_list(t, t->prefix, "", &got);
    assert_int_equal(got.count, 1);
    assert_int_equal(got.objects[0].size_bytes, 0);
}

static void later_put_replaces_earlier(void **state)
{
    struct contract_test *t = *state;

    contract_put_text(t, "object", "a long first version");
    contract_put_text(t, "object", "second");
    contract_assert_text(t, "object", "second");
    contract_put_text(t, "object", "a third one, which is the longest of all");
    contract_assert_text(t, "object", "a third one, which is the longest of all");
}

#define MIX_LEN 50000

/* Odd racers read, even ones write a body of one letter. */
static void *mix(void *arg)
{
    struct contract_racer *r = arg;
    uint8_t *body = hf_malloc(MIX_LEN);

    (void)memset(body, 'a' + (int)r->index, MIX_LEN);
    for (int i = 0; i < CONTRACT_ROUNDS && r->rc == HF_OK; i++) {
        HF_AUTO_BUF got = {0};

        if (r->index % 2 == 0) {
            r->rc = hf_store_put(r->t->store, r->key, hf_slice(body, MIX_LEN), &contract_always,
                                 NULL, &r->err);
            continue;
        }
        r->rc = hf_store_get(r->t->store, r->key, 0, 0, &got, NULL, &r->err);
        if (r->rc == HF_OK &&
            (got.len != MIX_LEN || memcmp(got.ptr, got.ptr + 1, MIX_LEN - 1) != 0))
            r->mixed++;
    }
    hf_free(body);
    return NULL;
}

static void readers_see_old_or_new_and_no_mix(void **state)
{
    struct contract_test *t = *state;
    HF_AUTO_FREE char *key = contract_key(t, "object");
    HF_AUTO_BUF first = {0};
    struct contract_racer racers[CONTRACT_RACERS];

    (void)memset(hf_buf_extend(&first, MIX_LEN), 'z', MIX_LEN);
    hf_must(hf_store_put(t->store, key, hf_buf_slice(&first), &contract_always, NULL, &t->err),
            &t->err);
    contract_race(t, key, mix, racers);
    for (unsigned i = 0; i < CONTRACT_RACERS; i++) {
        hf_must(racers[i].rc, &racers[i].err);
        assert_int_equal(racers[i].mixed, 0);
    }
}

static void missing_object_is_not_found(void **state)
{
    struct contract_test *t = *state;
    HF_AUTO_FREE char *key = contract_key(t, "nothing");
    HF_AUTO_FREE char *below = contract_key(t, "there/below");
    HF_AUTO_BUF got = {0};

    contract_assert_missing(t, "nothing");
    assert_int_equal(hf_store_get(t->store, key, 0, 0, &got, NULL, &t->err), HF_NOT_FOUND);
    assert_non_null(strstr(t->err.text, key)); /* the message names the key */
    contract_put_text(t, "there", "an object");
    assert_int_equal(hf_store_get(t->store, below, 0, 0, &got, NULL, &t->err), HF_NOT_FOUND);
    contract_put_text(t, "folder/object", "an object");
    contract_assert_missing(t, "folder");
    contract_assert_missing(t, "folder/obj");
}

static void deleted_object_is_gone(void **state)
{
    struct contract_test *t = *state;
    HF_AUTO_FREE char *key = contract_key(t, "a/b");
    CONTRACT_AUTO_KEYS got = {0};

    contract_put_text(t, "a/b", "x");
    contract_put_text(t, "a/c", "stays");
    hf_must(hf_store_delete(t->store, key, &t->err), &t->err);
    contract_assert_missing(t, "a/b");
    contract_list(t, t->prefix, "", &got);
    assert_int_equal(got.count, 1);
    contract_assert_text(t, "a/c", "stays");
    contract_put_text(t, "a/b", "again");
    contract_assert_text(t, "a/b", "again");
}

static void delete_of_missing_object_is_ok(void **state)
{
    struct contract_test *t = *state;
    HF_AUTO_FREE char *key = contract_key(t, "never");
    HF_AUTO_FREE char *deep = contract_key(t, "never/ever/was");

    hf_must(hf_store_delete(t->store, key, &t->err), &t->err);
    hf_must(hf_store_delete(t->store, deep, &t->err), &t->err);
}

static void range_of_get_is_that_of_the_bytes(void **state)
{
    static const char body[] = "0123456789";
    static const struct {
        uint64_t offset, len;
        const char *want;
    } rows[] = {
        {0, 0, "0123456789"},
        {0, 1, "0"},
        {0, 10, "0123456789"},
        {3, 4, "3456"},
        {9, 1, "9"},
        {9, 5, "9"},
        {4, 0, "456789"},
        {0, 1000, "0123456789"},
        {10, 0, ""},
        {10, 1, ""},
        {11, 3, ""},
        {1u << 30, 0, ""},
        {3, UINT64_MAX, "3456789"},
    };
    struct contract_test *t = *state;
    HF_AUTO_FREE char *key = contract_key(t, "object");

    contract_put_text(t, "object", body);
    for (size_t i = 0; i < HF_ARRAY_LEN(rows); i++) {
        HF_AUTO_BUF got = {0};
        HF_AUTO_FREE char *want = hf_strfmt("before:%s", rows[i].want);
        struct hf_object object = {0};

        hf_buf_printf(&got, "before:");
        hf_must(hf_store_get(t->store, key, rows[i].offset, rows[i].len, &got, &object, &t->err),
                &t->err);
        contract_assert_bytes(&got, want, strlen(want));
        assert_int_equal(object.size_bytes, 10); /* of the whole object */
    }
}

static void range_of_empty_object_is_empty(void **state)
{
    struct contract_test *t = *state;
    HF_AUTO_FREE char *key = contract_key(t, "empty");
    HF_AUTO_BUF got = {0};

    contract_put_text(t, "empty", "");
    hf_must(hf_store_get(t->store, key, 0, 10, &got, NULL, &t->err), &t->err);
    hf_must(hf_store_get(t->store, key, 5, 0, &got, NULL, &t->err), &t->err);
    assert_int_equal(got.len, 0);
}

static void failure_leaves_outputs_untouched(void **state)
{
    struct contract_test *t = *state;
    HF_AUTO_FREE char *key = contract_key(t, "nothing");
    HF_AUTO_BUF got = {0};
    struct hf_object object = {.etag = {CONTRACT_UNTOUCHED}, .size_bytes = 7};
    struct hf_etag etag = {CONTRACT_UNTOUCHED};
    const struct hf_put put = contract_if_match("no-such-etag");

    hf_buf_printf(&got, CONTRACT_UNTOUCHED);
    assert_int_equal(hf_store_get(t->store, key, 0, 0, &got, &object, &t->err), HF_NOT_FOUND);
    assert_string_equal(hf_buf_str(&got), CONTRACT_UNTOUCHED);
    assert_int_equal(hf_store_head(t->store, key, &object, &t->err), HF_NOT_FOUND);
    assert_string_equal(object.etag.str, CONTRACT_UNTOUCHED);
    assert_int_equal(object.size_bytes, 7);
    assert_int_not_equal(hf_store_put(t->store, key, hf_slice_str("x"), &put, &etag, &t->err),
                         HF_OK);
    assert_string_equal(etag.str, CONTRACT_UNTOUCHED);
}

static void etag_is_the_same_by_every_way(void **state)
{
    struct contract_test *t = *state;
    HF_AUTO_FREE char *key = contract_key(t, "object");
    HF_AUTO_BUF got = {0};
    CONTRACT_AUTO_KEYS listed = {0};
    struct hf_etag etag;
    struct hf_object head;
    struct hf_object object;

    hf_must(hf_store_put(t->store, key, hf_slice_str("x"), &contract_always, &etag, &t->err),
            &t->err);
    hf_must(hf_store_head(t->store, key, &head, &t->err), &t->err);
    hf_must(hf_store_get(t->store, key, 0, 0, &got, &object, &t->err), &t->err);
    contract_list(t, t->prefix, "", &listed);
    assert_true(etag.str[0] != '\0');
    assert_string_equal(head.etag.str, etag.str);
    assert_string_equal(object.etag.str, etag.str);
    assert_int_equal(listed.count, 1);
    assert_string_equal(listed.objects[0].etag.str, etag.str);
}

static void new_contents_have_a_new_etag(void **state)
{
    struct contract_test *t = *state;
    HF_AUTO_FREE char *key = contract_key(t, "object");
    struct hf_etag etags[6];

    for (size_t i = 0; i < HF_ARRAY_LEN(etags); i++) {
        HF_AUTO_FREE char *body = hf_strfmt("version %zu", i);

        hf_must(
            hf_store_put(t->store, key, hf_slice_str(body), &contract_always, &etags[i], &t->err),
            &t->err);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(etags[i].str, etags[k].str);
    }
}

static void times_are_told(void **state)
{
    static const int64_t times[] = {CONTRACT_NOW_MS, CONTRACT_NOW_MS - 86400000, 1};
    struct contract_test *t = *state;
    HF_AUTO_FREE char *key = contract_key(t, "object");

    for (size_t i = 0; i < HF_ARRAY_LEN(times); i++) {
        const struct hf_put put = {.cond = HF_PUT_ALWAYS, .timestamp_ms = times[i]};
        HF_AUTO_BUF got = {0};
        CONTRACT_AUTO_KEYS listed = {0};
        struct hf_object head;
        struct hf_object object;

        hf_must(hf_store_put(t->store, key, hf_slice_str("x"), &put, NULL, &t->err), &t->err);
        hf_must(hf_store_head(t->store, key, &head, &t->err), &t->err);
        assert_int_equal(head.timestamp_ms, times[i]);
        hf_must(hf_store_get(t->store, key, 0, 0, &got, &object, &t->err), &t->err);
        assert_int_equal(object.timestamp_ms, times[i]);
        contract_list(t, t->prefix, "", &listed);
        assert_true(listed.objects[0].timestamp_ms == times[i] ||
                    listed.objects[0].timestamp_ms == 0);
        /* The store's own clock, which the timestamp does not move; HTTP tells full seconds. */
        assert_true(head.modified_ms > CONTRACT_NOW_MS / 2);
        assert_true(llabs(head.modified_ms - listed.objects[0].modified_ms) <= 1000);
        assert_true(llabs(head.modified_ms - object.modified_ms) <= 1000);
    }
}

const struct CMUnitTest contract_objects_tests[] = {
    CONTRACT_TEST(what_is_put_is_got),
    CONTRACT_TEST(empty_object_exists_and_is_listed),
    CONTRACT_TEST(later_put_replaces_earlier),
    CONTRACT_TEST(readers_see_old_or_new_and_no_mix),
    CONTRACT_TEST(missing_object_is_not_found),
    CONTRACT_TEST(deleted_object_is_gone),
    CONTRACT_TEST(delete_of_missing_object_is_ok),
    CONTRACT_TEST(range_of_get_is_that_of_the_bytes),
    CONTRACT_TEST(range_of_empty_object_is_empty),
    CONTRACT_TEST(failure_leaves_outputs_untouched),
    CONTRACT_TEST(etag_is_the_same_by_every_way),
    CONTRACT_TEST(new_contents_have_a_new_etag),
    CONTRACT_TEST(times_are_told),
};
const size_t contract_objects_tests_count = HF_ARRAY_LEN(contract_objects_tests);
