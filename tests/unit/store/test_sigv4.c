/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: requests are signed as AWS verifies them.
 * Method: the vectors that AWS publishes are the oracle: the "aws-sig-v4-test-suite" (the
 * get-vanilla family and its neighbours), and the four examples of the S3 API Reference, "Signature
 * Calculations for the Authorization Header: Transferring Payload in a Single Chunk".
 */
#include "lib/fixture.h"

#include <string.h>

#include "base/hash.h"
#include "store/sigv4.h"

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct vector {
    const char *name;
    const char *method;
    const char *path;
    struct hf_http_pair query[3];
    struct hf_http_pair headers[6];
    const char *body;
    const char *signed_names;
    const char *signature;
};

static size_t count_pairs(const struct hf_http_pair *pairs, size_t max)
{
    size_t n = 0;

    while (n < max && pairs[n].name != NULL)
        n++;
    return n;
}

static void check(const struct hf_sigv4_key *key, const char *date, const struct vector *v)
{
    uint8_t hash[HF_SHA256_BYTES];
    char hex[HF_SHA256_HEX_MAX];
    HF_AUTO_BUF got = {0};
    HF_AUTO_BUF want = {0};

    hf_sha256(hf_slice_str(v->body), hash);
    hf_hex(hf_slice(hash, sizeof(hash)), hex);

    const struct hf_sigv4_request request = {.method = v->method,
                                             .path = v->path,
                                             .query = v->query,
                                             .query_count = count_pairs(v->query, 3),
                                             .headers = v->headers,
                                             .headers_count = count_pairs(v->headers, 6),
                                             .payload_sha256 = hex};

    hf_sigv4_sign(key, &request, date, &got);
    hf_buf_printf(&want,
                  "AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/%s/aws4_request, SignedHeaders=%s, "
                  "Signature=%s",
                  key->access_key_id, date, key->region, key->service, v->signed_names,
                  v->signature);
    if (strcmp(hf_buf_str(&got), hf_buf_str(&want)) != 0)
        fail_msg("%s:\n got %s\nwant %s", v->name, hf_buf_str(&got), hf_buf_str(&want));
}

#define HOST_DATE                                                                                  \
    {                                                                                              \
        {"host", "example.amazonaws.com"},                                                         \
        {                                                                                          \
            "x-amz-date", "20150830T123600Z"                                                       \
        }                                                                                          \
    }

static void the_vectors_of_the_test_suite_come_out(void **state)
{
    static const struct hf_sigv4_key key = {
        .access_key_id = "AKIDEXAMPLE",
        .secret_access_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        .region = "us-east-1",
        .service = "service"};
    static const struct vector vectors[] = {
        {"get-vanilla",
         "GET",
         "/",
         {{0}},
         HOST_DATE,
         "",
         "host;x-amz-date",
         "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
        {"get-vanilla-empty-query-key",
         "GET",
         "/",
         {{"Param1", "value1"}},
         HOST_DATE,
         "",
         "host;x-amz-date",
         "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
        {"get-vanilla-query-order-key-case",
         "GET",
         "/",
         {{"Param2", "value2"}, {"Param1", "value1"}},
         HOST_DATE,
         "",
         "host;x-amz-date",
         "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
        {"get-vanilla-query-unreserved",
         "GET",
         "/",
         {{"-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
           "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"}},
         HOST_DATE,
         "",
         "host;x-amz-date",
         "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
        {"get-vanilla-utf8-query",
         "GET",
         "/",
         {{"\u1234", "bar"}},
         HOST_DATE,
         "",
         "host;x-amz-date",
         "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
        {"get-utf8",
         "GET",
         "/%E1%88%B4",
         {{0}},
         HOST_DATE,
         "",
         "host;x-amz-date",
         "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
        {"get-header-key-duplicate",
         "GET",
         "/",
         {{0}},
         {{"host", "example.amazonaws.com"},
          {"my-header1", "value2"},
          {"my-header1", "value2"},
          {"my-header1", "value1"},
          {"x-amz-date", "20150830T123600Z"}},
         "",
         "host;my-header1;x-amz-date",
         "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
        {"get-header-value-trim",
         "GET",
         "/",
         {{0}},
         {{"host", "example.amazonaws.com"},
          {"my-header1", " value1"},
          {"my-header2", " \"a   b   c\""},
          {"x-amz-date", "20150830T123600Z"}},
         "",
         "host;my-header1;my-header2;x-amz-date",
         "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
        {"post-vanilla",
         "POST",
         "/",
         {{0}},
         HOST_DATE,
         "",
         "host;x-amz-date",
         "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
        {"post-vanilla-query",
         "POST",
         "/",
         {{"Param1", "value1"}},
         HOST_DATE,
         "",
         "host;x-amz-date",
         "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
        {"post-x-www-form-urlencoded",
         "POST",
         "/",
         {{0}},
         {{"x-amz-date", "20150830T123600Z"},
          {"host", "example.amazonaws.com"},
          {"content-type", "application/x-www-form-urlencoded"}},
         "Param1=value1",
         "content-type;host;x-amz-date",
         "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(vectors); i++)
        check(&key, "20150830T123600Z", &vectors[i]);
}

static void the_examples_of_the_s3_reference_come_out(void **state)
{
    static const struct hf_sigv4_key key = {
        .access_key_id = "AKIAIOSFODNN7EXAMPLE",
        .secret_access_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        .region = "us-east-1",
        .service = "s3"};
    static const struct vector vectors[] = {
        {"GET object with Range",
         "GET",
         "/test.txt",
         {{0}},
         {{"host", "examplebucket.s3.amazonaws.com"},
          {"range", "bytes=0-9"},
          {"x-amz-content-sha256", EMPTY_SHA256},
          {"x-amz-date", "20130524T000000Z"}},
         "",
         "host;range;x-amz-content-sha256;x-amz-date",
         "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
        {"PUT object",
         "PUT",
         "/test%24file.text",
         {{0}},
         {{"host", "examplebucket.s3.amazonaws.com"},
          {"date", "Fri, 24 May 2013 00:00:00 GMT"},
          {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
          {"x-amz-content-sha256",
           "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"},
          {"x-amz-date", "20130524T000000Z"}},
         "Welcome to Amazon S3.",
         "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
         "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
        {"GET bucket lifecycle",
         "GET",
         "/",
         {{"lifecycle", ""}},
         {{"host", "examplebucket.s3.amazonaws.com"},
          {"x-amz-content-sha256", EMPTY_SHA256},
          {"x-amz-date", "20130524T000000Z"}},
         "",
         "host;x-amz-content-sha256;x-amz-date",
         "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
        {"list objects",
         "GET",
         "/",
         {{"prefix", "J"}, {"max-keys", "2"}},
         {{"host", "examplebucket.s3.amazonaws.com"},
          {"x-amz-content-sha256", EMPTY_SHA256},
          {"x-amz-date", "20130524T000000Z"}},
         "",
         "host;x-amz-content-sha256;x-amz-date",
         "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(vectors); i++)
        check(&key, "20130524T000000Z", &vectors[i]);
}

static void the_date_is_written_without_punctuation(void **state)
{
    char date[HF_SIGV4_DATE_MAX];

    (void)state;
    hf_sigv4_date(1440938160123, date);
    assert_string_equal(date, "20150830T123600Z");
    hf_sigv4_date(0, date);
    assert_string_equal(date, "19700101T000000Z");
}

static void encoding_leaves_unreserved_bytes_and_asked_for_slashes(void **state)
{
    static const struct {
        const char *text;
        bool keep_slash;
        const char *encoded;
    } cases[] = {
        {"", true, ""},
        {"a/b", true, "a/b"},
        {"a/b", false, "a%2Fb"},
        {"-._~azAZ09", false, "-._~azAZ09"},
        {"a b+c=d&e%f*", true, "a%20b%2Bc%3Dd%26e%25f%2A"},
        {"\xc3\xa4", true, "%C3%A4"},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        HF_AUTO_BUF got = {0};

        hf_sigv4_encode(cases[i].text, cases[i].keep_slash, &got);
        assert_string_equal(hf_buf_str(&got), cases[i].encoded);
    }
}

static void a_query_is_sorted_by_encoded_name_and_then_by_value(void **state)
{
    /* "a-" sorts before "a=" as a whole, but the name "a" sorts before the name "a-". */
    static const struct hf_http_pair query[] = {{"b", "1"}, {"a-", "0"}, {"a", "2"},
                                                {"a", "1"}, {"B", ""},   {"\xc3", "x"}};
    HF_AUTO_BUF got = {0};

    (void)state;
    hf_sigv4_query(query, HF_ARRAY_LEN(query), &got);
    assert_string_equal(hf_buf_str(&got), "%C3=x&B=&a=1&a=2&a-=0&b=1");
}

static void the_secret_is_not_in_what_is_sent(void **state)
{
    static const struct hf_sigv4_key key = {"KEYID", "TOPSECRET", "r", "s3"};
    static const struct hf_http_pair headers[] = {{"host", "h"}};
    const struct hf_sigv4_request request = {.method = "GET",
                                             .path = "/",
                                             .headers = headers,
                                             .headers_count = 1,
                                             .payload_sha256 = EMPTY_SHA256};
    HF_AUTO_BUF got = {0};

    (void)state;
    hf_sigv4_sign(&key, &request, "20150830T123600Z", &got);
    assert_null(strstr(hf_buf_str(&got), "TOPSECRET"));
    assert_non_null(strstr(hf_buf_str(&got), "KEYID"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_the_test_suite_come_out),
        cmocka_unit_test(the_examples_of_the_s3_reference_come_out),
        cmocka_unit_test(the_date_is_written_without_punctuation),
        cmocka_unit_test(encoding_leaves_unreserved_bytes_and_asked_for_slashes),
        cmocka_unit_test(a_query_is_sorted_by_encoded_name_and_then_by_value),
        cmocka_unit_test(the_secret_is_not_in_what_is_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
