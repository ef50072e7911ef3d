/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a listing gives every key that is asked for, once, in byte order.
 * Method: keys that sort wrongly where somebody decodes them, against a sorted array.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "lib/fixture.h"
#include "lib/store_contract_kit.h"

/* Names whose order goes wrong where '/' is not sorted as a byte, or '%' and '+' are decoded. */
static const char *const odd_names[] = {
    "a-b",
    "a.b",
    "a/b",
    "a/b-c",
    "a0",
    "a/b.c/d",
    "a b",
    "a+b",
    "a%b",
    "a%2Fb",
    "a~b",
    "a!b",
    "A/b",
    "a'b",
    "a&b",
    "a&amp;b",
    "a(b)",
    "a,b",
    "a;b",
    "a=b",
    "a@b",
    "a$b",
    "z/z/z",
    "z-",
    "z/z-",
    "z/z0",
    "\xc3\xa9",
    "\xc3\xaa/x",
    "\xe6\x97\xa5\xe6\x9c\xac",
    "\xf0\x9f\x92\xbe",
    "\xef\xbf\xbd",
    "0000/0000000000000001-0000000000000001.ltx",
    "ltx/0/0000000000000001-0000000000000001.ltx",
    "holdfast/owner",
    "m/", /* not put: see below */
};

/* Put all odd names; the keys, for the model. */
static void put_odd_names(struct contract_test *t, struct contract_keys *ret)
{
    for (size_t i = 0; i < HF_ARRAY_LEN(odd_names); i++) {
        const size_t len = strlen(odd_names[i]);

        if (odd_names[i][len - 1] == '/')
            continue; /* only a prefix that lists nothing */
        if (contract_now->refuses_blanks && strchr(odd_names[i], ' ') != NULL) {
            HF_AUTO_FREE char *key = contract_key(t, odd_names[i]);

            assert_int_equal(
                hf_store_put(t->store, key, hf_slice_str("x"), &contract_always, NULL, &t->err),
                HF_UNSUPPORTED);
            continue;
        }
        ret->items = hf_realloc(ret->items, ret->count + 1, sizeof(*ret->items));
        ret->items[ret->count++] = contract_key(t, odd_names[i]);
    }
    contract_work_all(t, ret, true);
}

static void odd_keys_are_kept_apart(void **state)
{
    struct contract_test *t = *state;
    CONTRACT_AUTO_KEYS all = {0};

    put_odd_names(t, &all);
    for (size_t i = 0; i < all.count; i++) {
        HF_AUTO_BUF got = {0};

        hf_must(hf_store_get(t->store, all.items[i], 0, 0, &got, NULL, &t->err), &t->err);
        contract_assert_bytes(&got, all.items[i], strlen(all.items[i]));
    }
}

static void listing_is_in_byte_order_for_every_prefix(void **state)
{
    static const char *const prefixes[] = {
        "",  "a",  "a/",  "a/b",  "a/b.",     "a%",   "A",   "z",       "z/",       "z-",
        "m", "zz", "b/c", "a/b/", "\xc3\xa9", "ltx/", "a b", "a/b.c/d", "a/b.c/d/", "z/z/z"};
    struct contract_test *t = *state;
    CONTRACT_AUTO_KEYS all = {0};

    put_odd_names(t, &all);
    for (size_t i = 0; i < HF_ARRAY_LEN(prefixes); i++) {
        HF_AUTO_FREE char *prefix = contract_key(t, prefixes[i]);

        contract_expect_listing(t, &all, prefix, "");
    }
}

static void listing_begins_after_start_after(void **state)
{
    struct contract_test *t = *state;
    CONTRACT_AUTO_KEYS all = {0};

    put_odd_names(t, &all);
    for (size_t i = 0; i < HF_ARRAY_LEN(odd_names); i++) {
        HF_AUTO_FREE char *after = contract_key(t, odd_names[i]);
        HF_AUTO_FREE char *folder = contract_key(t, "a/");
        HF_AUTO_FREE char *below = hf_strfmt("%s/", after);

        contract_expect_listing(t, &all, t->prefix, after);
        contract_expect_listing(t, &all, folder, after);
        contract_expect_listing(t, &all, t->prefix, below);
    }
    contract_expect_listing(t, &all, t->prefix, "zzzzzz");
    contract_expect_listing(t, &all, t->prefix, t->prefix);
}

static void listing_of_nothing_is_ok(void **state)
{
    struct contract_test *t = *state;
    CONTRACT_AUTO_KEYS none = {0};
    HF_AUTO_FREE char *deep = contract_key(t, "not/there/");

    contract_expect_listing(t, &none, t->prefix, "");
    contract_expect_listing(t, &none, deep, "");
}

static void listing_over_many_pages_is_complete(void **state)
{
    struct contract_test *t = *state;
    CONTRACT_AUTO_KEYS all = {0};
    HF_AUTO_FREE char *prefix = contract_key(t, "many/");

    all.items = hf_calloc(contract_now->paging_keys, sizeof(*all.items));
    for (all.count = 0; all.count < contract_now->paging_keys; all.count++)
        all.items[all.count] = hf_strfmt("%s%016zx.ltx", prefix, all.count * 7);
    contract_work_all(t, &all, true);
    contract_expect_listing(t, &all, prefix, "");
    contract_expect_listing(t, &all, prefix, all.items[all.count / 2]);
    contract_expect_listing(t, &all, prefix, all.items[all.count - 1]);
}

static void listing_tells_sizes(void **state)
{
    struct contract_test *t = *state;
    CONTRACT_AUTO_KEYS got = {0};

    contract_put_text(t, "a", "1");
    contract_put_text(t, "b", "four");
    contract_put_text(t, "c/d", "seventy");
    contract_list(t, t->prefix, "", &got);
    assert_int_equal(got.count, 3);
    assert_int_equal(got.objects[0].size_bytes, 1);
    assert_int_equal(got.objects[1].size_bytes, 4);
    assert_int_equal(got.objects[2].size_bytes, 7);
}

static void listing_ends_when_told(void **state)
{
    struct contract_test *t = *state;
    CONTRACT_AUTO_KEYS got = {.stop_at = 2, .stop_rc = HF_CANCELED};

    contract_put_text(t, "a", "");
    contract_put_text(t, "b/c", "");
    contract_put_text(t, "d", "");
    hf_must(hf_store_list(t->store, t->prefix, "", contract_keep_key, &got, &t->err), &t->err);
    assert_int_equal(got.count, 2);
}

static void listing_returns_the_failure_of_its_function(void **state)
{
    struct contract_test *t = *state;
    CONTRACT_AUTO_KEYS got = {.stop_at = 1, .stop_rc = HF_DAMAGE};

    contract_put_text(t, "a", "");
    contract_put_text(t, "b", "");
    assert_int_equal(hf_store_list(t->store, t->prefix, "", contract_keep_key, &got, &t->err),
                     HF_DAMAGE);
    assert_string_equal(t->err.text, "stopped by the test");
    assert_int_equal(got.count, 1);
}

const struct CMUnitTest contract_list_tests[] = {
    CONTRACT_TEST(odd_keys_are_kept_apart),
    CONTRACT_TEST(listing_is_in_byte_order_for_every_prefix),
    CONTRACT_TEST(listing_begins_after_start_after),
    CONTRACT_TEST(listing_of_nothing_is_ok),
    CONTRACT_TEST(listing_over_many_pages_is_complete),
    CONTRACT_TEST(listing_tells_sizes),
    CONTRACT_TEST(listing_ends_when_told),
    CONTRACT_TEST(listing_returns_the_failure_of_its_function),
};
const size_t contract_list_tests_count = HF_ARRAY_LEN(contract_list_tests);
