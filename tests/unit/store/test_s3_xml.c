/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: S3's XML is read as written, and hostile XML is refused within its limits.
 * Method: small documents by table; one model that writes a listing and expects itself back;
 * documents cut at every byte.
 */
#include "lib/fixture.h"

#include <stdio.h>
#include <string.h>

#include "base/rand.h"
#include "lib/http_peer.h"
#include "store/s3_xml.h"
#include "store/sigv4.h"

#define XMLNS " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

static void an_error_is_read(void **state)
{
    struct hf_s3_error e;

    (void)state;
    assert_true(hf_s3_error_parse(
        hf_slice_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code>"
                     "<Message>a &lt;b&gt; &#65;\nc</Message><Region>eu-west-1</Region>"
                     "<Endpoint>x.example.com</Endpoint><Other><Code>not</Code></Other></Error>"),
        &e));
    assert_string_equal(e.code, "NoSuchKey");
    assert_string_equal(e.message, "a <b> A c");
    assert_string_equal(e.region, "eu-west-1");
    assert_string_equal(e.endpoint, "x.example.com");
}

static void what_is_no_error_document_is_none(void **state)
{
    static const char *const texts[] = {
        "",
        "   ",
        "<html><body>502 Bad Gateway</body></html>",
        "<Error></Error>",
        "<CompleteMultipartUploadResult><ETag>\"x\"</ETag></CompleteMultipartUploadResult>",
        "<Other><Error><Code>X</Code></Error></Other>",
        "not xml",
        "<Error><Code>"};

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(texts); i++) {
        struct hf_s3_error e;

        assert_false(hf_s3_error_parse(hf_slice_str(texts[i]), &e));
        assert_string_equal(e.code, "");
        assert_string_equal(e.message, "");
    }
}

static void an_error_that_breaks_off_behind_its_code_still_tells_it(void **state)
{
    struct hf_s3_error e;

    (void)state;
    assert_true(hf_s3_error_parse(hf_slice_str("<Error><Code>SlowDown</Code><Mess"), &e));
    assert_string_equal(e.code, "SlowDown");
}

static void long_texts_are_cut_and_never_overflow(void **state)
{
    HF_AUTO_BUF xml = {0};
    struct hf_s3_error e;

    (void)state;
    hf_buf_printf(&xml, "<Error><Code>%0200d</Code><Message>%04000d</Message></Error>", 1, 1);
    assert_true(hf_s3_error_parse(hf_buf_slice(&xml), &e));
    assert_int_equal(strlen(e.code), HF_S3_CODE_MAX - 1);
    assert_int_equal(strlen(e.message), HF_S3_MESSAGE_MAX - 1);
}

/* A key of 1 to 40 bytes of what keys may hold, blanks, plus, percent and UTF-8 among it. */
static char *make_key(struct hf_rand *rand)
{
    static const char *const pieces[] = {"a", "Z",        "0", "/",    "+", " ",  "%", "&",
                                         "<", "\xc3\xa4", "=", "\x01", "'", "\"", "~"};
    HF_AUTO_BUF key = {0};
    const uint64_t n = 1 + hf_rand_below(rand, 40);

    for (uint64_t i = 0; i < n; i++)
        hf_buf_printf(&key, "%s", pieces[hf_rand_below(rand, HF_ARRAY_LEN(pieces))]);
    return hf_strdup(hf_buf_str(&key));
}

static void write_entry(struct hf_buf *xml, const char *key, uint64_t size, bool plus)
{
    HF_AUTO_BUF encoded = {0};

    hf_sigv4_encode(key, true, &encoded);
    hf_buf_printf(xml, "<Contents><Key>");
    for (const char *p = hf_buf_str(&encoded); *p != '\0'; p++) {
        /* Some stores write a blank as '+' here, others as %20. */
        if (plus && strncmp(p, "%20", 3) == 0) {
            hf_buf_printf(xml, "+");
            p += 2;
        } else {
            hf_buf_append(xml, p, 1);
        }
    }
    hf_buf_printf(xml,
                  "</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified>"
                  "<ETag>&quot;e%llu&quot;</ETag><Size>%llu</Size>"
                  "<StorageClass>STANDARD</StorageClass></Contents>\n",
                  (unsigned long long)size, (unsigned long long)size);
}

static void a_listing_is_read_as_it_was_written(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct hf_rand rand = hf_rand_seeded(seed);
        const size_t n = (size_t)hf_rand_below(&rand, 20);
        char *keys[20];
        HF_AUTO_BUF xml = {0};
        struct hf_s3_page page = {0};
        struct hf_err err;
        int64_t modified_ms = 0;

        hf_must(hf_time_parse("2026-01-02T03:04:05.678Z", &modified_ms, &err), &err);
        hf_buf_printf(&xml, "<ListBucketResult" XMLNS "><IsTruncated>%s</IsTruncated>",
                      seed % 2 == 0 ? "true" : "false");
        for (size_t i = 0; i < n; i++) {
            keys[i] = make_key(&rand);
            write_entry(&xml, keys[i], i, seed % 3 == 0);
        }
        /* Where EncodingType stands must not matter. */
        hf_buf_printf(&xml,
                      "<CommonPrefixes><Prefix>x</Prefix></CommonPrefixes>"
                      "<EncodingType>url</EncodingType>"
                      "<NextContinuationToken>t=&amp;+%%2F</NextContinuationToken>"
                      "</ListBucketResult>");
        hf_must(hf_s3_page_parse(hf_buf_slice(&xml), &page, &err), &err);
        assert_int_equal(page.entries_count, n);
        assert_int_equal(page.truncated, seed % 2 == 0);
        assert_string_equal(page.token, "t=&+%2F");
        for (size_t i = 0; i < n; i++) {
            HF_AUTO_FREE char *etag = hf_strfmt("e%zu", i);

            assert_string_equal(page.entries[i].key, keys[i]);
            assert_int_equal(page.entries[i].object.size_bytes, i);
            assert_string_equal(page.entries[i].object.etag.str, etag);
            assert_int_equal(page.entries[i].object.modified_ms, modified_ms);
            assert_int_equal(page.entries[i].object.timestamp_ms, 0);
            hf_free(keys[i]);
        }
        hf_s3_page_done(&page);
    }
}

static void keys_are_taken_as_they_are_where_the_store_does_not_encode(void **state)
{
    struct hf_s3_page page = {0};
    struct hf_err err;

    (void)state;
    hf_must(hf_s3_page_parse(
                hf_slice_str("<ListBucketResult><Contents><Key>a+b%41&amp;</Key><Size>18446744073"
                             "709551615</Size></Contents></ListBucketResult>"),
                &page, &err),
            &err);
    assert_string_equal(page.entries[0].key, "a+b%41&");
    assert_true(page.entries[0].object.size_bytes == UINT64_MAX);
    hf_s3_page_done(&page);
}

static void a_listing_that_breaks_off_anywhere_is_an_error(void **state)
{
    HF_AUTO_BUF xml = {0};

    (void)state;
    test_data_read("s3/ListObjectsV2/body.xml", &xml);
    while (xml.len > 0 && xml.ptr[xml.len - 1] == '\n')
        xml.len--;
    for (size_t len = 0; len <= xml.len; len++) {
        struct hf_s3_page page = {0};
        struct hf_err err;
        const enum hf_code rc = hf_s3_page_parse(hf_slice(xml.ptr, len), &page, &err);

        assert_int_equal(rc, len == xml.len ? HF_OK : HF_IO);
        assert_int_equal(page.entries_count, len == xml.len ? 2 : 0);
        hf_s3_page_done(&page);
    }
}

static void listings_that_are_not_as_promised_are_refused(void **state)
{
#define LISTING(x) "<ListBucketResult><EncodingType>url</EncodingType>" x "</ListBucketResult>"
    static const struct {
        const char *xml;
        const char *word;
    } cases[] = {
        {"<html/>", "not a listing"},
        {"<ListBucketResultX/>", "not a listing"},
        {LISTING("<Contents><Size>1</Size></Contents>"), "without a key"},
        {LISTING("<Contents><Key>a</Key><Size>x</Size></Contents>"), "not a size or number"},
        {LISTING("<Contents><Key>a</Key><Size>-1</Size></Contents>"), "not a size or number"},
        {LISTING("<Contents><Key>a</Key><Size></Size></Contents>"), "not a size or number"},
        {LISTING("<Contents><Key>a</Key><Size>99999999999999999999</Size></Contents>"),
         "not a size or number"},
        {LISTING("<Contents><Key>a</Key><LastModified>then</LastModified></Contents>"),
         "not a time"},
        {LISTING("<Contents><Key>a</Key><ETag>\"\"</ETag></Contents>"), "ETag"},
        {LISTING("<Contents><Key>a%4</Key></Contents>"), "URL-encoded"},
        {LISTING("<Contents><Key>a%zz</Key></Contents>"), "URL-encoded"},
        {LISTING("<Contents><Key>a%00b</Key></Contents>"), "URL-encoded"},
        {LISTING("<IsTruncated>true</IsTruncated>"), "NextContinuationToken"},
        {LISTING("<a><b><c><d><e><f><g><h><i><j><k><l><m><n><o><p>"), "deeper"},
        {"<!DOCTYPE x [<!ENTITY a \"b\">]><ListBucketResult>&a;</ListBucketResult>",
         "document type"},
        {"<!DOCTYPE x SYSTEM \"http://127.0.0.1/x\"><ListBucketResult/>", "document type"},
        {"<ListBucketResult>&undefined;</ListBucketResult>", "not the XML"},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        struct hf_s3_page page = {0};
        struct hf_err err;

        if (hf_s3_page_parse(hf_slice_str(cases[i].xml), &page, &err) != HF_IO)
            fail_msg("accepted: %s", cases[i].xml);
        if (strstr(err.text, cases[i].word) == NULL)
            fail_msg("'%s' is not in: %s", cases[i].word, err.text);
        assert_null(page.entries);
    }
}

static void more_keys_or_text_than_allowed_are_refused(void **state)
{
    struct hf_s3_page page = {0};
    struct hf_err err;
    HF_AUTO_BUF many = {0};
    HF_AUTO_BUF wide = {0};

    (void)state;
    hf_buf_printf(&many, "<ListBucketResult>");
    for (int i = 0; i <= HF_S3_PAGE_KEYS_MAX; i++)
        hf_buf_printf(&many, "<Contents><Key>%d</Key></Contents>", i);
    hf_buf_printf(&many, "</ListBucketResult>");
    assert_int_equal(hf_s3_page_parse(hf_buf_slice(&many), &page, &err), HF_IO);

    hf_buf_printf(&wide,
                  "<ListBucketResult><Contents><Key>%0*d</Key></Contents></ListBucketResult>",
                  HF_S3_XML_TEXT_MAX + 1, 1);
    assert_int_equal(hf_s3_page_parse(hf_buf_slice(&wide), &page, &err), HF_IO);
    assert_null(page.entries);
}

static void upload_id_and_etag_are_found_or_missed(void **state)
{
    struct hf_etag etag = {"before"};
    struct hf_err err;
    char *id = NULL;

    (void)state;
    hf_must(hf_s3_upload_id_parse(
                hf_slice_str("<InitiateMultipartUploadResult" XMLNS "><Bucket>b</Bucket>"
                             "<UploadId>a.b&amp;c</UploadId></InitiateMultipartUploadResult>"),
                &id, &err),
            &err);
    assert_string_equal(id, "a.b&c");
    hf_free(id);
    id = NULL;
    assert_int_equal(
        hf_s3_upload_id_parse(hf_slice_str("<InitiateMultipartUploadResult/>"), &id, &err), HF_IO);
    assert_null(id);
    assert_int_equal(
        hf_s3_complete_parse(hf_slice_str("<CompleteMultipartUploadResult/>"), &etag, &err), HF_IO);
    assert_string_equal(etag.str, "before");
    hf_must(hf_s3_complete_parse(hf_slice_str("<CompleteMultipartUploadResult><ETag>\"x-2\"</ETag>"
                                              "</CompleteMultipartUploadResult>"),
                                 &etag, &err),
            &err);
    assert_string_equal(etag.str, "x-2");
}

static void etags_lose_their_quotes_and_keep_within_their_size(void **state)
{
    struct hf_err err;
    struct hf_etag etag;
    char text[HF_ETAG_MAX + 1];

    (void)state;
    hf_must(hf_s3_etag_parse("\"a\"", &etag, &err), &err);
    assert_string_equal(etag.str, "a");
    hf_must(hf_s3_etag_parse("a", &etag, &err), &err);
    assert_string_equal(etag.str, "a");
    (void)memset(text, 'x', sizeof(text));
    text[HF_ETAG_MAX] = '\0';
    assert_int_equal(hf_s3_etag_parse(text, &etag, &err), HF_IO);
    text[HF_ETAG_MAX - 1] = '\0';
    hf_must(hf_s3_etag_parse(text, &etag, &err), &err);
    assert_int_equal(hf_s3_etag_parse("", &etag, &err), HF_IO);
    assert_int_equal(hf_s3_etag_parse("\"\"", &etag, &err), HF_IO);
}

static void lists_of_unfinished_uploads_and_parts_that_are_not_as_promised_are_refused(void **state)
{
    static const char *const uploads[] = {
        "<ListBucketResult></ListBucketResult>",
        "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated></ListMultipartUploadsResult>",
        "<ListMultipartUploadsResult><Upload><Key>k</Key></Upload></ListMultipartUploadsResult>",
        "<ListMultipartUploadsResult><Upload><Key>k</Key><UploadId></UploadId></Upload>"
        "</ListMultipartUploadsResult>",
        "<ListMultipartUploadsResult><Upload><Key>k</Key><UploadId>1</UploadId>"
        "<Initiated>soon</Initiated></Upload></ListMultipartUploadsResult>",
        "<ListMultipartUploadsResult>",
    };
    static const char *const parts[] = {
        "<ListBucketResult></ListBucketResult>",
        "<ListPartsResult><IsTruncated>true</IsTruncated></ListPartsResult>",
        "<ListPartsResult><Part><Size>1</Size><ETag>e</ETag></Part></ListPartsResult>",
        "<ListPartsResult><Part><PartNumber>0</PartNumber></Part></ListPartsResult>",
        "<ListPartsResult><Part><PartNumber>10001</PartNumber></Part></ListPartsResult>",
        "<ListPartsResult><Part><PartNumber>-1</PartNumber></Part></ListPartsResult>",
        ("<ListPartsResult><IsTruncated>true</IsTruncated>"
         "<NextPartNumberMarker>10001</NextPartNumberMarker></ListPartsResult>"),
    };
    HF_AUTO_FREE struct hf_s3_part *kept =
        (struct hf_s3_part *)hf_calloc(HF_S3_PARTS_MAX, sizeof(*kept));
    struct hf_err err;

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(uploads); i++) {
        HF_CLEANUP(hf_s3_pending_done) struct hf_s3_pending list = {0};

        assert_int_equal(hf_s3_pending_parse(hf_slice_str(uploads[i]), "k", &list, &err), HF_IO);
    }
    for (size_t i = 0; i < HF_ARRAY_LEN(parts); i++) {
        unsigned next = 7;

        assert_int_equal(hf_s3_parts_parse(hf_slice_str(parts[i]), kept, &next, &err), HF_IO);
        assert_int_equal(next, 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_is_read),
        cmocka_unit_test(what_is_no_error_document_is_none),
        cmocka_unit_test(an_error_that_breaks_off_behind_its_code_still_tells_it),
        cmocka_unit_test(long_texts_are_cut_and_never_overflow),
        cmocka_unit_test(a_listing_is_read_as_it_was_written),
        cmocka_unit_test(keys_are_taken_as_they_are_where_the_store_does_not_encode),
        cmocka_unit_test(a_listing_that_breaks_off_anywhere_is_an_error),
        cmocka_unit_test(listings_that_are_not_as_promised_are_refused),
        cmocka_unit_test(more_keys_or_text_than_allowed_are_refused),
        cmocka_unit_test(upload_id_and_etag_are_found_or_missed),
        cmocka_unit_test(etags_lose_their_quotes_and_keep_within_their_size),
        cmocka_unit_test(
            lists_of_unfinished_uploads_and_parts_that_are_not_as_promised_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
