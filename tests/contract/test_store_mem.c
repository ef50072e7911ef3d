/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: the store that the other tests build on is a store.
 * Method: the contract suite over one store_mem, with conditional puts and without; and what
 * store_mem.h adds for tests.
 */
#include <string.h>

#include "lib/fixture.h"
#include "lib/store_contract.h"
#include "lib/store_mem.h"

/* Handles are made anew for each test, so each gets a store of its own. */
static struct hf_store *make(void *ctx)
{
    struct store_mem *m = store_mem_new(NULL);

    m->base.caps = *(unsigned *)ctx;
    return &m->base;
}

static enum hf_code count_key(void *ctx, const char *key, const struct hf_object *object,
                              struct hf_err *err)
{
    (void)key;
    (void)object;
    (void)err;
    ++*(unsigned *)ctx;
    return HF_OK;
}

static void requests_are_counted_as_s3_bills_them(void **state)
{
    struct store_mem *m = store_mem_new(NULL);
    const struct hf_put put = {0};
    HF_AUTO_BUF got = {0};
    struct hf_err err;
    unsigned keys = 0;

    (void)state;
    for (unsigned i = 0; i < 2 * STORE_MEM_PAGE_KEYS + 1; i++) {
        HF_AUTO_FREE char *key = hf_strfmt("%06u", i);

        hf_must(hf_store_put(&m->base, key, hf_slice_str("abc"), &put, NULL, &err), &err);
    }
    hf_must(hf_store_get(&m->base, "000007", 1, 0, &got, NULL, &err), &err);
    hf_must(hf_store_list(&m->base, "", "", count_key, &keys, &err), &err);
    const struct store_mem_requests requests = store_mem_requests_take(m);

    assert_int_equal(keys, 2 * STORE_MEM_PAGE_KEYS + 1);
    assert_int_equal(requests.list, 3);
    assert_int_equal(requests.put, keys);
    assert_int_equal(requests.bytes_up, 3 * keys);
    assert_int_equal(requests.get, 1);
    assert_int_equal(requests.bytes_down, 2);
    assert_int_equal(requests.head + requests.del, 0);
    assert_int_equal(store_mem_requests_take(m).list, 0); /* taken */
    hf_store_free(&m->base);
}

static void corrupted_byte_changes_and_etag_stays(void **state)
{
    struct store_mem *m = store_mem_new(NULL);
    const struct hf_put put = {0};
    HF_AUTO_BUF got = {0};
    struct hf_etag etag;
    struct hf_object object;
    struct hf_err err;

    (void)state;
    hf_must(hf_store_put(&m->base, "a", hf_slice_str("abc"), &put, &etag, &err), &err);
    store_mem_corrupt(m, "a", 1, 0x20);
    hf_must(hf_store_get(&m->base, "a", 0, 0, &got, &object, &err), &err);
    assert_memory_equal(got.ptr, "aBc", 3);
    assert_string_equal(object.etag.str, etag.str);
    assert_memory_equal(store_mem_find(m, "a")->body.ptr, "aBc", 3);
    assert_null(store_mem_find(m, "b"));
    hf_store_free(&m->base);
}

static void times_are_those_of_the_given_clock(void **state)
{
    struct test_clock clock;
    const struct hf_put put = {.timestamp_ms = 5};
    struct hf_object object;
    struct hf_err err;

    (void)state;
    test_clock_init(&clock, 1234567000);
    struct store_mem *m = store_mem_new(&clock.base);

    hf_must(hf_store_put(&m->base, "a", hf_slice_str(""), &put, NULL, &err), &err);
    hf_must(hf_store_head(&m->base, "a", &object, &err), &err);
    assert_int_equal(object.modified_ms, 1234567);
    assert_int_equal(object.timestamp_ms, 5);
    hf_store_free(&m->base);
}

int main(void)
{
    static unsigned all = HF_STORE_COND_PUT | HF_STORE_LARGE;
    static unsigned plain = 0;
    const struct CMUnitTest own[] = {
        cmocka_unit_test(requests_are_counted_as_s3_bills_them),
        cmocka_unit_test(corrupted_byte_changes_and_etag_stays),
        cmocka_unit_test(times_are_those_of_the_given_clock),
    };
    struct store_contract c = {
        .make = make, .ctx = &all, .prefix = "contract", .paging_keys = 2100, .threads = 4};
    int failed = store_contract_run("store_mem", &c);

    c.ctx = &plain;
    failed += store_contract_run("store_mem without conditional puts", &c);
    return failed + cmocka_run_group_tests(own, NULL, NULL);
}
