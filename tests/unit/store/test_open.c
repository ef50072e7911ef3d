/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a URL's scheme chooses the store, and nothing is sent or written by opening it.
 * Method: each scheme is opened and asked for its capabilities; the environment is the test's own.
 */
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "lib/fixture.h"
#include "store/open.h"

static enum hf_code open_url(const char *url, bool create, struct hf_store **ret,
                             struct hf_err *err)
{
    const struct hf_store_env env = {.fs = hf_fs_system(),
                                     .clock = hf_clock_system(),
                                     .rand = hf_rand_system(),
                                     .create = create};

    return hf_store_open(url, &env, ret, err);
}

static void scheme_chooses_the_store(void **state)
{
    static const struct {
        const char *url;
        unsigned caps;
        const char *shown;
    } rows[] = {
        {"s3://bucket/p?endpoint=http://127.0.0.1:9&region=r", HF_STORE_COND_PUT | HF_STORE_LARGE,
         "s3://bucket/p"},
        {"s3+v2://bucket/p?endpoint=http://127.0.0.1:9", 0, "s3+v2://bucket/p"},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(rows); i++) {
        HF_CLEANUP(hf_store_free_ptr) struct hf_store *store = NULL;
        struct hf_err err;

        hf_must(open_url(rows[i].url, false, &store, &err), &err);
        assert_int_equal(hf_store_caps(store), rows[i].caps);
        assert_string_equal(hf_store_url(store), rows[i].shown);
    }
}

static void folder_of_a_file_url_is_decoded(void **state)
{
    char *root = test_tmp_new();
    HF_AUTO_FREE char *url = hf_strfmt("file://%s/with%%20space", root);
    HF_AUTO_FREE char *path = hf_strfmt("%s/with space", root);
    HF_CLEANUP(hf_store_free_ptr) struct hf_store *store = NULL;
    struct hf_stat st;
    struct hf_err err;

    (void)state;
    assert_int_equal(open_url(url, false, &store, &err), HF_NOT_FOUND);
    assert_null(store);
    hf_must(open_url(url, true, &store, &err), &err);
    hf_must(hf_fs_stat(hf_fs_system(), path, &st, &err), &err);
    assert_true(st.is_dir);
    assert_int_equal(hf_store_caps(store),
                     HF_STORE_COND_PUT | HF_STORE_LARGE | HF_STORE_LTX_FOLDER);
    test_tmp_remove(root);
}

static void wrong_url_opens_nothing(void **state)
{
    static const char *const bad[] = {"/srv", "http://b", "s3://a:b@c", "s3://b?secret=x",
                                      "file://"};

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(bad); i++) {
        struct hf_store *store = NULL;
        struct hf_err err;

        assert_int_equal(open_url(bad[i], true, &store, &err), HF_USAGE);
        assert_null(store);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scheme_chooses_the_store),
        cmocka_unit_test(folder_of_a_file_url_is_decoded),
        cmocka_unit_test(wrong_url_opens_nothing),
    };

    if (setenv("AWS_ACCESS_KEY_ID", "test", 1) != 0 ||
        setenv("AWS_SECRET_ACCESS_KEY", "test", 1) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
