/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: what cannot be a key is refused by every call in every store.
 * Method: tables.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "lib/fixture.h"
#include "lib/store_contract_kit.h"

static void invalid_keys_are_refused_by_every_call(void **state)
{
    static const char *const bad[] = {
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "./a",
        "a/./b",
        "a/..",
        "../a",
        "a/../b",
        "a\nb",
        "a\tb",
        "\x7f",
        "a\x01",
        "\xff",
        "\xc3",
        "\xc0\xaf",
        "\xed\xa0\x80",
        "\xe2\x82",
        ("a\x80"
         "b"),
        "\xf5\x80\x80\x80",
    };
    struct contract_test *t = *state;

    for (size_t i = 0; i <= HF_ARRAY_LEN(bad); i++) {
        HF_AUTO_FREE char *key = hf_calloc(1, HF_KEY_MAX + 2);
        HF_AUTO_BUF got = {0};
        struct hf_upload *u = NULL;
        struct hf_object object;

        if (i < HF_ARRAY_LEN(bad))
            (void)memcpy(key, bad[i], strlen(bad[i]));
        else /* parts that are short enough, a byte too many in all */
            for (size_t k = 0; k <= HF_KEY_MAX; k++)
                key[k] = k % 100 == 99 ? '/' : 'k';
        assert_int_equal(
            hf_store_put(t->store, key, hf_slice_str(""), &contract_always, NULL, &t->err),
            HF_USAGE);
        assert_int_equal(hf_store_get(t->store, key, 0, 0, &got, NULL, &t->err), HF_USAGE);
        assert_int_equal(hf_store_head(t->store, key, &object, &t->err), HF_USAGE);
        assert_int_equal(hf_store_delete(t->store, key, &t->err), HF_USAGE);
        assert_int_equal(hf_upload_new(t->store, key, &contract_always, &u, &t->err), HF_USAGE);
        assert_null(u);
    }
}

static void long_keys_work(void **state)
{
    struct contract_test *t = *state;
    HF_AUTO_BUF name = {0};

    while (strlen(t->prefix) + name.len < 900)
        hf_buf_printf(&name, "%c", name.len % 200 == 199 ? '/' : 'k');
    contract_put_text(t, hf_buf_str(&name), "far below");
    contract_assert_text(t, hf_buf_str(&name), "far below");
}

static void invalid_prefixes_are_refused(void **state)
{
    static const char *const bad[] = {"/", "/a", "a//", "../", "a/../b", "./", "a\n", "\xc3"};
    struct contract_test *t = *state;

    for (size_t i = 0; i < HF_ARRAY_LEN(bad); i++) {
        CONTRACT_AUTO_KEYS got = {0};

        assert_int_equal(hf_store_list(t->store, bad[i], "", contract_keep_key, &got, &t->err),
                         HF_USAGE);
        assert_int_equal(got.count, 0);
    }
}

static void url_has_no_query_and_no_credentials(void **state)
{
    struct contract_test *t = *state;

    assert_non_null(strstr(hf_store_url(t->store), "://"));
    assert_null(strpbrk(hf_store_url(t->store), "?@"));
}

const struct CMUnitTest contract_args_tests[] = {
    CONTRACT_TEST(invalid_keys_are_refused_by_every_call),
    CONTRACT_TEST(long_keys_work),
    CONTRACT_TEST(invalid_prefixes_are_refused),
    CONTRACT_TEST(url_has_no_query_and_no_credentials),
};
const size_t contract_args_tests_count = HF_ARRAY_LEN(contract_args_tests);
