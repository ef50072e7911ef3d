/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a URL says exactly one place, and a wrong one is refused before it could leak a secret.
 * Method: tables of URLs and their parts; every refused URL that holds the password hunter2 must
 * give a message without it.
 */
#include <string.h>

#include "lib/fixture.h"
#include "store/url.h"

#define SECRET "hunter2"

static void urls_are_taken_apart(void **state)
{
    static const struct {
        const char *text, *scheme, *host, *path, *shown;
    } rows[] = {
        {"file:///srv/backups", "file", "", "/srv/backups", "file:///srv/backups"},
        {"file:///srv/backups/", "file", "", "/srv/backups", "file:///srv/backups"},
        {"file://localhost/srv", "file", "", "/srv", "file://localhost/srv"},
        {"file:///with%20space/100%25", "file", "", "/with space/100%",
         "file:///with%20space/100%25"},
        {"file:///a+b/ü@x:y", "file", "", "/a+b/ü@x:y", "file:///a+b/ü@x:y"},
        {"s3://bucket", "s3", "bucket", "", "s3://bucket"},
        {"s3://bucket/", "s3", "bucket", "", "s3://bucket"},
        {"s3://bucket/pre/fix", "s3", "bucket", "pre/fix", "s3://bucket/pre/fix"},
        {"s3://bucket//pre/fix//", "s3", "bucket", "pre/fix", "s3://bucket//pre/fix"},
        {"s3://my.bucket_1-x/p?region=us-east-1", "s3", "my.bucket_1-x", "p",
         "s3://my.bucket_1-x/p"},
        {"s3://b/mail@example?region=x", "s3", "b", "mail@example", "s3://b/mail@example"},
        {"s3://b?region=x", "s3", "b", "", "s3://b"},
        {"s3://b/p?", "s3", "b", "p", "s3://b/p"},
        {"s3+v2://bucket/p%2Fq", "s3+v2", "bucket", "p/q", "s3+v2://bucket/p%2Fq"},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(rows); i++) {
        HF_AUTO_URL url = {0};
        struct hf_err err;

        hf_must(hf_url_parse(rows[i].text, &url, &err), &err);
        assert_string_equal(url.scheme, rows[i].scheme);
        assert_string_equal(url.host, rows[i].host);
        assert_string_equal(url.path, rows[i].path);
        assert_string_equal(url.text, rows[i].shown);
    }
}

static void options_are_decoded_and_found_by_name(void **state)
{
    HF_AUTO_URL url = {0};
    struct hf_err err;

    (void)state;
    hf_must(
        hf_url_parse("s3://b/p?endpoint=http%3A%2F%2F127.0.0.1:9000&&region=a+b&path-style=true",
                     &url, &err),
        &err);
    assert_int_equal(url.options_count, 3);
    assert_string_equal(hf_url_option(&url, "endpoint"), "http://127.0.0.1:9000");
    assert_string_equal(hf_url_option(&url, "region"), "a+b");
    assert_string_equal(hf_url_option(&url, "path-style"), "true");
    assert_null(hf_url_option(&url, "Region"));
}

/* What is wrong, and a word that the message owes to the reader. */
static const struct {
    const char *text, *word;
} wrong[] = {
    {"", "file:///"},
    {"/srv/backups", "file:///"},
    {"srv", "file:///"},
    {"http://b/p", "s3+v2://"},
    {"S3://b", "s3://"},
    {"gs://hunter2@b", "s3://"},
    {"user:hunter2@host", "s3://"},
    {"file://", "folder"},
    {"file:///", "folder"},
    {"file://srv/backups", "three slashes"},
    {"file:////srv", "empty"},
    {"file:///srv//x", "empty"},
    {"file:///srv/../etc", "'..'"},
    {"file:///srv/./x", "'.'"},
    {"file:///srv/%2e%2e/etc", "'..'"},
    {"file:///srv/%zz", "escape"},
    {"file:///srv/%4", "escape"},
    {"file:///srv/%", "escape"},
    {"file:///srv/%00", "control"},
    {"file:///srv/%0a", "control"},
    {"file:///srv?x=1", "known are: none"},
    {"file:///srv#x", "%23"},
    {"file://user:hunter2@/srv", "AWS_SECRET_ACCESS_KEY"},
    {"s3://", "bucket"},
    {"s3:///p", "bucket"},
    {"s3://b:9000/p", "endpoint"},
    {"s3://b*/p", "letters"},
    {"s3://b/p/../q", "'..'"},
    {"s3://b/p//q", "empty"},
    {"s3://AKIA:hunter2@b/p", "AWS_ACCESS_KEY_ID"},
    {"s3://AKIA@b/p", "AWS_ACCESS_KEY_ID"},
    {"s3://AKIA:SEC/hunter2@b/p", "AWS_ACCESS_KEY_ID"},
    {"s3://AKIA:hunter2/b", "letters"},
    {"s3://b?access-key=hunter2", "AWS_ACCESS_KEY_ID"},
    {"s3://b?secret=hunter2", "AWS_ACCESS_KEY_ID"},
    {"s3://b?AWS_SECRET_ACCESS_KEY=hunter2", "AWS_ACCESS_KEY_ID"},
    {"s3://b?session_token=hunter2", "AWS_ACCESS_KEY_ID"},
    {"s3://b?Password=hunter2", "AWS_ACCESS_KEY_ID"},
    {"s3://b?endpoint=http://user:hunter2@host", "AWS_ACCESS_KEY_ID"},
    {"s3://b?endpoint=http://user:hunter2%40host", "AWS_ACCESS_KEY_ID"},
    {"s3://b?x=hunter2", "endpoint, region"},
    {"s3://b?region=hunter2&region=y", "twice"},
    {"s3://b?region", "no value"},
    {"s3://b?region=", "no value"},
    {"s3://b?region=%zz", "escape"},
};

static void wrong_urls_are_refused_with_the_way_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(wrong); i++) {
        HF_AUTO_URL url = {0};
        struct hf_err err;

        if (hf_url_parse(wrong[i].text, &url, &err) != HF_USAGE)
            fail_msg("%s is taken", wrong[i].text);
        if (strstr(err.text, wrong[i].word) == NULL)
            fail_msg("%s: '%s' does not say '%s'", wrong[i].text, err.text, wrong[i].word);
        assert_null(url.scheme); /* untouched */
    }
}

static void no_message_repeats_a_secret(void **state)
{
    unsigned asked = 0;

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(wrong); i++) {
        HF_AUTO_URL url = {0};
        struct hf_err err;

        if (strstr(wrong[i].text, SECRET) == NULL)
            continue;
        assert_int_equal(hf_url_parse(wrong[i].text, &url, &err), HF_USAGE);
        if (strstr(err.text, SECRET) != NULL)
            fail_msg("%s: %s", wrong[i].text, err.text);
        asked++;
    }
    assert_true(asked > 10);
}

static void overlong_url_is_refused(void **state)
{
    HF_AUTO_FREE char *text = hf_calloc(1, HF_URL_MAX + 2);
    HF_AUTO_URL url = {0};
    struct hf_err err;

    (void)state;
    (void)memset(text, 'x', HF_URL_MAX + 1);
    (void)memcpy(text, "file:///", 8);
    assert_int_equal(hf_url_parse(text, &url, &err), HF_USAGE);
    text[HF_URL_MAX] = '\0';
    hf_must(hf_url_parse(text, &url, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(options_are_decoded_and_found_by_name),
        cmocka_unit_test(wrong_urls_are_refused_with_the_way_out),
        cmocka_unit_test(no_message_repeats_a_secret),
        cmocka_unit_test(overlong_url_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
