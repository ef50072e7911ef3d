/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: s3+v2:// keeps every sentence of store.h that its capabilities promise.
 * Method: the shared suite against a real server; what differs from s3:// on its own; and s3:// as
 * the oracle of what was written. Needs minio-test/with-minio.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/s3_server.h"
#include "lib/store_contract.h"

static char *prefix;

static struct hf_store *open_store(void *ctx)
{
    (void)ctx;
    return s3_server_open("s3+v2", s3_server_bucket(), prefix);
}

static void it_promises_nothing_beyond_plain_objects(void **state)
{
    struct hf_store *store = open_store(NULL);
    const struct hf_put put = {.cond = HF_PUT_IF_ABSENT};
    struct hf_object object;
    struct hf_err err;

    (void)state;
    assert_int_equal(hf_store_caps(store), 0);
    assert_int_equal(hf_store_put(store, "k", hf_slice_str("x"), &put, NULL, &err), HF_UNSUPPORTED);
    assert_int_equal(hf_store_head(store, "k", &object, &err), HF_NOT_FOUND);
    hf_store_free(store);
}

static void what_it_writes_reads_the_same_by_version_4(void **state)
{
    struct hf_store *v2 = open_store(NULL);
    struct hf_store *v4 = s3_server_open("s3", s3_server_bucket(), prefix);
    const struct hf_put put = {.timestamp_ms = 1700000000123};
    HF_AUTO_BUF there = {0};
    struct hf_etag etag;
    struct hf_object by_v2 = {0};
    struct hf_object by_v4 = {0};
    struct hf_err err;

    (void)state;
    hf_must(hf_store_put(v2, "a!b+c/\xc3\xa4", hf_slice_str("hello"), &put, &etag, &err), &err);
    hf_must(hf_store_get(v4, "a!b+c/\xc3\xa4", 0, 0, &there, &by_v4, &err), &err);
    hf_must(hf_store_head(v2, "a!b+c/\xc3\xa4", &by_v2, &err), &err);
    assert_string_equal(hf_buf_str(&there), "hello");
    assert_string_equal(by_v4.etag.str, etag.str);
    assert_string_equal(by_v2.etag.str, etag.str);
    assert_int_equal(by_v4.timestamp_ms, 1700000000123);
    assert_int_equal(by_v2.timestamp_ms, 1700000000123);
    assert_int_equal(by_v2.modified_ms, by_v4.modified_ms);
    hf_must(hf_store_delete(v2, "a!b+c/\xc3\xa4", &err), &err);
    hf_store_free(v2);
    hf_store_free(v4);
}

static void an_upload_goes_through_a_file_that_is_gone_afterwards(void **state)
{
    struct hf_store *store = open_store(NULL);
    const struct hf_put put = {0};
    char *folder = test_tmp_new();
    const char *before = getenv("TMPDIR");
    HF_AUTO_FREE char *kept = before != NULL ? hf_strdup(before) : NULL;
    HF_AUTO_BUF body = {0};
    HF_AUTO_BUF there = {0};
    struct hf_upload *u = NULL;
    struct hf_err err;

    (void)state;
    for (uint32_t i = 0; i < 300000; i++)
        hf_buf_append(&body, &i, sizeof(i));
    assert_int_equal(setenv("TMPDIR", folder, 1), 0);
    hf_must(hf_upload_new(store, "up", &put, &u, &err), &err);
    hf_must(hf_upload_write(u, hf_slice(body.ptr, 1000), &err), &err);
    hf_must(hf_upload_write(u, hf_slice(body.ptr + 1000, body.len - 1000), &err), &err);
    hf_must(hf_upload_finish(u, NULL, &err), &err);
    hf_upload_free(u);
    if (kept != NULL)
        assert_int_equal(setenv("TMPDIR", kept, 1), 0);
    else
        assert_int_equal(unsetenv("TMPDIR"), 0);
    hf_must(hf_store_get(store, "up", 0, 0, &there, NULL, &err), &err);
    assert_int_equal(there.len, body.len);
    assert_memory_equal(there.ptr, body.ptr, body.len);
    hf_must(hf_store_delete(store, "up", &err), &err);
    assert_int_equal(rmdir(folder), 0); /* so it was empty */
    test_tmp_remove(folder);
    hf_store_free(store);
}

static void a_missing_bucket_and_wrong_keys_are_told_apart(void **state)
{
    struct hf_store *store = s3_server_open("s3+v2", "no-such-bucket-here", prefix);
    const char *secret = getenv("AWS_SECRET_ACCESS_KEY");
    HF_AUTO_FREE char *kept = hf_strdup(secret != NULL ? secret : "");
    const struct hf_put put = {0};
    struct hf_err err;

    (void)state;
    assert_int_equal(hf_store_put(store, "k", hf_slice_str("x"), &put, NULL, &err), HF_NOT_FOUND);
    assert_non_null(strstr(err.text, "bucket no-such-bucket-here does not exist"));
    hf_store_free(store);

    assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", "NOBODYSSECRET", 1), 0);
    store = open_store(NULL);
    assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", kept, 1), 0);
    assert_int_equal(hf_store_put(store, "k", hf_slice_str("x"), &put, NULL, &err), HF_DENIED);
    assert_non_null(strstr(err.text, "SignatureDoesNotMatch"));
    assert_null(strstr(err.text, "NOBODYSSECRET"));
    hf_store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_promises_nothing_beyond_plain_objects),
        cmocka_unit_test(what_it_writes_reads_the_same_by_version_4),
        cmocka_unit_test(an_upload_goes_through_a_file_that_is_gone_afterwards),
        cmocka_unit_test(a_missing_bucket_and_wrong_keys_are_told_apart),
    };
    struct store_contract contract = {
        .make = open_store, .paging_keys = 2100, .threads = 4, .refuses_blanks = true};
    HF_AUTO_FREE char *suite_prefix = s3_server_prefix("suite");
    int failed;

    if (!s3_server_present())
        return 1;
    prefix = s3_server_prefix("store-s3v2");
    contract.prefix = suite_prefix;
    failed = store_contract_run("s3+v2", &contract);
    failed += cmocka_run_group_tests_name("s3+v2 alone", tests, NULL, NULL);
    hf_free(prefix);
    return failed;
}
