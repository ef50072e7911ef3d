/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: the fault wrapper that other tests trust fails what it was told to fail, and nothing else.
 * Method: a store_mem behind it, and the contract of store.h as the oracle.
 */
#include <string.h>

#include "lib/fixture.h"
#include "lib/store_fault.h"
#include "lib/store_mem.h"

static const struct hf_put always = {.cond = HF_PUT_ALWAYS};

struct test {
    struct store_mem *mem;
    struct store_fault *fault;
    struct hf_store *store; /* the wrapper */
    struct hf_err err;
};

static int setup(void **state)
{
    struct test *t = hf_calloc(1, sizeof(*t));

    t->mem = store_mem_new(NULL);
    t->fault = store_fault_new(&t->mem->base);
    t->store = &t->fault->base;
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;

    hf_store_free(t->store);
    hf_store_free(&t->mem->base);
    hf_free(t);
    return 0;
}

static enum hf_code put(struct test *t, const char *key)
{
    return hf_store_put(t->store, key, hf_slice_str("body"), &always, NULL, &t->err);
}

static enum hf_code upload(struct test *t, const char *key)
{
    HF_CLEANUP(hf_upload_free_ptr) struct hf_upload *u = NULL;
    enum hf_code rc = hf_upload_new(t->store, key, &always, &u, &t->err);

    if (rc != HF_OK)
        return rc;
    rc = hf_upload_write(u, hf_slice_str("body"), &t->err);
    if (rc != HF_OK)
        return rc;
    return hf_upload_finish(u, NULL, &t->err);
}

static void nth_request_fails_once(void **state)
{
    struct test *t = *state;

    store_fault_arm(t->fault, (struct store_fault_plan){.kinds = STORE_PUT, .fail_at = 2});
    hf_must(put(t, "a"), &t->err);
    assert_int_equal(put(t, "b"), HF_TRANSIENT);
    hf_must(put(t, "c"), &t->err);
    assert_null(store_mem_find(t->mem, "b")); /* before its effect */
    assert_non_null(store_mem_find(t->mem, "c"));
    assert_int_equal(t->fault->guarded.calls, 3);
    assert_int_equal(t->fault->guarded.failed, 1);
}

static void from_then_on_all_fail_until_disarmed(void **state)
{
    struct test *t = *state;

    store_fault_arm(
        t->fault, (struct store_fault_plan){.fail_at = 2, .from_then_on = true, .code = HF_DENIED});
    hf_must(put(t, "a"), &t->err);
    assert_int_equal(put(t, "b"), HF_DENIED);
    assert_int_equal(hf_store_delete(t->store, "a", &t->err), HF_DENIED);
    assert_int_equal(upload(t, "c"), HF_DENIED);
    store_fault_disarm(t->fault);
    hf_must(put(t, "b"), &t->err);
    assert_non_null(store_mem_find(t->mem, "a"));
}

static void write_that_fails_after_its_effect_is_uncertain(void **state)
{
    static const unsigned kinds[] = {STORE_PUT, STORE_UPLOAD_FINISH, STORE_DELETE};
    struct test *t = *state;

    for (size_t i = 0; i < HF_ARRAY_LEN(kinds); i++) {
        store_fault_arm(t->fault, (struct store_fault_plan){
                                      .kinds = kinds[i], .fail_at = 1, .after_effect = true});
        const enum hf_code rc = kinds[i] == STORE_PUT ? put(t, "k")
                                : kinds[i] == STORE_UPLOAD_FINISH
                                    ? upload(t, "k")
                                    : hf_store_delete(t->store, "k", &t->err);

        assert_int_equal(rc, HF_UNCERTAIN);
        assert_true((store_mem_find(t->mem, "k") == NULL) == (kinds[i] == STORE_DELETE));
    }
}

static void call_that_fails_by_itself_keeps_its_own_code(void **state)
{
    struct test *t = *state;
    const struct hf_put if_absent = {.cond = HF_PUT_IF_ABSENT};

    hf_must(put(t, "k"), &t->err);
    store_fault_arm(t->fault, (struct store_fault_plan){.fail_at = 1, .after_effect = true});
    assert_int_equal(hf_store_put(t->store, "k", hf_slice_str("x"), &if_absent, NULL, &t->err),
                     HF_CONFLICT);
}

static enum hf_code count_key(void *ctx, const char *key, const struct hf_object *object,
                              struct hf_err *err)
{
    (void)key, (void)object, (void)err;
    ++*(unsigned *)ctx;
    return HF_OK;
}

static void every_kind_of_request_is_counted(void **state)
{
    struct test *t = *state;
    HF_AUTO_BUF got = {0};
    struct hf_object object;
    unsigned keys = 0;

    store_fault_arm(t->fault, (struct store_fault_plan){0});
    hf_must(put(t, "a"), &t->err);
    hf_must(hf_store_get(t->store, "a", 0, 0, &got, NULL, &t->err), &t->err);
    hf_must(hf_store_head(t->store, "a", &object, &t->err), &t->err);
    hf_must(hf_store_list(t->store, "", "", count_key, &keys, &t->err), &t->err);
    hf_must(hf_store_delete(t->store, "a", &t->err), &t->err);
    hf_must(upload(t, "b"), &t->err);
    assert_int_equal(t->fault->guarded.calls, 8); /* an upload is new, write and finish */
    assert_int_equal(t->fault->guarded.failed, 0);
}

static void chosen_byte_is_damaged_in_every_get_that_covers_it(void **state)
{
    static const struct {
        uint64_t offset, len;
        const char *want;
    } rows[] = {{0, 0, "boDy"}, {2, 1, "D"}, {2, 0, "Dy"}, {1, 2, "oD"},
                {0, 2, "bo"},   {3, 0, "y"}, {4, 0, ""}};
    struct test *t = *state;

    hf_must(put(t, "k"), &t->err);
    hf_must(put(t, "other"), &t->err);
    store_fault_corrupt(t->fault, "k", 2, 0x20);
    for (size_t i = 0; i < HF_ARRAY_LEN(rows); i++) {
        HF_AUTO_BUF got = {0};

        hf_must(hf_store_get(t->store, "k", rows[i].offset, rows[i].len, &got, NULL, &t->err),
                &t->err);
        assert_string_equal(hf_buf_str(&got), rows[i].want);
    }
    HF_AUTO_BUF other = {0};

    hf_must(hf_store_get(t->store, "other", 0, 0, &other, NULL, &t->err), &t->err);
    assert_string_equal(hf_buf_str(&other), "body");
    store_fault_corrupt(t->fault, NULL, 0, 0);
    hf_buf_reset(&other);
    hf_must(hf_store_get(t->store, "k", 0, 0, &other, NULL, &t->err), &t->err);
    assert_string_equal(hf_buf_str(&other), "body");
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(nth_request_fails_once),
        TEST(from_then_on_all_fail_until_disarmed),
        TEST(write_that_fails_after_its_effect_is_uncertain),
        TEST(call_that_fails_by_itself_keeps_its_own_code),
        TEST(every_kind_of_request_is_counted),
        TEST(chosen_byte_is_damaged_in_every_get_that_covers_it),
    };
#undef TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
