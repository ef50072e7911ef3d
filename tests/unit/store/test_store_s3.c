/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: every answer of S3 comes to mean what store.h says of the caller's data, requests are what
 * S3 expects, and nothing is repeated that must not be.
 * Method: canned answers (tests/data/s3) through a transport by script, with a clock that moves
 * only by sleeping on it. tests/unit/store/test_http_curl.c asks the same of real sockets.
 */
#include "lib/fixture.h"

#include <string.h>

#include "base/rand.h"
#include "lib/http_peer.h"
#include "store/retry.h"
#include "store/store_s3.h"

#define NOW_MS INT64_C(1767323045678) /* 2026-01-02T03:04:05.678Z */
#define ETAG   "5d41402abc4b2a76b9719d911017c592"
#define FILES  "s3/"

static const struct hf_put always = {.cond = HF_PUT_ALWAYS};
static const struct hf_put if_absent = {.cond = HF_PUT_IF_ABSENT};
static const struct hf_put if_match = {.cond = HF_PUT_IF_MATCH, .match = {ETAG}};

struct world {
    struct test_clock clock;
    hf_stop_flag stop;
    struct hf_rand rand;
    struct test_http *http;
    struct hf_store *store;
    struct hf_err err;
};

static enum hf_code try_open(struct world *w, const char *text, const struct test_answer *answers,
                             size_t answers_count)
{
    const struct hf_store_env env = {
        .fs = hf_fs_system(), .clock = &w->clock.base, .rand = &w->rand, .stop = &w->stop};
    struct hf_aws_env aws = {.access_key_id = hf_strdup("KEYID"),
                             .secret_access_key = hf_strdup("TOPSECRET"),
                             .session_token = hf_strdup("TOKEN"),
                             .credentials_from = hf_strdup("a test")};
    HF_AUTO_URL url = {0};
    enum hf_code rc;

    *w = (struct world){.rand = hf_rand_seeded(1)};
    test_clock_init(&w->clock, NOW_MS * 1000);
    hf_must(hf_url_parse(text, &url, &w->err), &w->err);
    w->http = test_http_new(answers, answers_count);
    rc = hf_store_s3_new_with(&url, &env, &aws, test_http_transport(w->http), &w->store, &w->err);
    hf_aws_env_done(&aws);
    return rc;
}

static void open_world(struct world *w, const struct test_answer *answers, size_t answers_count)
{
    hf_must(try_open(w, "s3://bucket/db?endpoint=http://h:9", answers, answers_count), &w->err);
}

static void world_done(struct world *w)
{
    hf_store_free(w->store);
}

#define AUTO_WORLD HF_CLEANUP(world_done) struct world

static void expect_text(const struct hf_err *err, const char *word)
{
    if (strstr(err->text, word) == NULL)
        fail_msg("'%s' is not in: %s", word, err->text);
    assert_null(strstr(err->text, "TOPSECRET"));
}

static void expect_header(const struct world *w, size_t index, const char *name, const char *value)
{
    HF_AUTO_FREE char *got = test_request_header(test_http_request(w->http, index), name);

    if (value == NULL) {
        assert_null(got);
        return;
    }
    if (got == NULL || strcmp(got, value) != 0)
        fail_msg("header %s is %s, expected %s", name, got != NULL ? got : "missing", value);
}

static void expect_request(const struct world *w, size_t index, const char *method, const char *url)
{
    const struct test_request *r = test_http_request(w->http, index);

    assert_non_null(r);
    assert_string_equal(r->method, method);
    assert_string_equal(r->url, url);
}

static void a_put_is_signed_and_says_what_it_should(void **state)
{
    static const struct test_answer answers[] = {{.file = FILES "PutObject/200.http"}};
    struct hf_put put = if_absent;
    struct hf_etag etag = {{0}};
    AUTO_WORLD w;

    (void)state;
    open_world(&w, answers, HF_ARRAY_LEN(answers));
    put.timestamp_ms = NOW_MS;
    hf_must(hf_store_put(w.store, "0000/a+b", hf_slice_str("hello"), &put, &etag, &w.err), &w.err);
    assert_string_equal(etag.str, ETAG);
    expect_request(&w, 0, "PUT", "http://h:9/bucket/db/0000/a%2Bb");
    expect_header(&w, 0, "host", "h:9");
    expect_header(&w, 0, "if-none-match", "*");
    expect_header(&w, 0, "if-match", NULL);
    expect_header(&w, 0, "x-amz-date", "20260102T030405Z");
    expect_header(&w, 0, "x-amz-security-token", "TOKEN");
    expect_header(&w, 0, "x-amz-meta-litestream-timestamp", "2026-01-02T03:04:05.678000000Z");
    /* sha256("hello") */
    expect_header(&w, 0, "x-amz-content-sha256",
                  "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    expect_header(&w, 0, "accept-encoding", NULL);
    expect_header(&w, 0, "content-encoding", NULL);

    HF_AUTO_FREE char *auth = test_request_header(test_http_request(w.http, 0), "authorization");

    assert_non_null(strstr(auth, "Credential=KEYID/20260102/us-east-1/s3/aws4_request"));
    assert_non_null(strstr(auth,
                           "SignedHeaders=host;if-none-match;x-amz-content-sha256;x-amz-date;"
                           "x-amz-meta-litestream-timestamp;x-amz-security-token,"));
}

/* What one answer comes to mean, for good: sent again only where `requests` says so. */
struct verdict_case {
    const char *file;
    const struct hf_put *put;
    enum hf_code rc;
    const char *word;
};

static void an_answer_to_a_put_has_its_meaning(void **state)
{
    static const struct verdict_case cases[] = {
        {"PutObject/412", &if_absent, HF_CONFLICT, "PreconditionFailed"},
        {"PutObject/412", &if_match, HF_CONFLICT, "PreconditionFailed"},
        {"any/NoSuchKey", &if_match, HF_CONFLICT, "gone"},
        {"any/NoSuchBucket", &if_match, HF_NOT_FOUND, "bucket bucket does not exist"},
        {"any/NoSuchBucket", &always, HF_NOT_FOUND, "bucket bucket does not exist"},
        {"any/AccessDenied", &always, HF_DENIED, "AccessDenied"},
        {"any/SignatureDoesNotMatch", &always, HF_DENIED, "keys from a test"},
        {"any/InvalidAccessKeyId", &always, HF_DENIED, "InvalidAccessKeyId"},
        {"any/ExpiredToken", &always, HF_DENIED, "ExpiredToken"},
        {"any/RequestTimeTooSkewed", &always, HF_DENIED, "clock"},
        {"any/bare-403", &always, HF_DENIED, "HTTP 403"},
        {"any/PermanentRedirect", &always, HF_USAGE, "region eu-central-1"},
        {"any/AuthorizationHeaderMalformed", &always, HF_USAGE, "region eu-west-3"},
        {"any/NotImplemented", &if_absent, HF_UNSUPPORTED, "NotImplemented"},
        {"any/StorageFull", &always, HF_FULL, "no space"},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        HF_AUTO_FREE char *file = hf_strfmt(FILES "%s.http", cases[i].file);
        const struct test_answer answers[] = {{.file = file}};
        struct hf_etag etag = {"before"};
        AUTO_WORLD w;
        enum hf_code rc;

        open_world(&w, answers, 1);
        rc = hf_store_put(w.store, "k", hf_slice_str("hello"), cases[i].put, &etag, &w.err);
        if (rc != cases[i].rc)
            fail_msg("%s: %s (%s)", cases[i].file, hf_code_text(rc), w.err.text);
        expect_text(&w.err, cases[i].word);
        expect_text(&w.err, "put s3://bucket/db/k");
        assert_string_equal(etag.str, "before");
        assert_int_equal(w.clock.slept_us, 0);
    }
}

static void what_asks_to_come_back_is_sent_again(void **state)
{
    static const struct {
        const char *file;
        enum hf_code rc;
        int64_t wait_ms_min;
    } cases[] = {
        {"any/SlowDown", HF_OK, 7000},   {"any/429", HF_OK, 2000},      {"PutObject/409", HF_OK, 1},
        {"any/InternalError", HF_OK, 1}, {"any/502-gateway", HF_OK, 1}, {NULL, HF_TRANSIENT, 1},
    };
    static const struct hf_put *const puts[] = {&always, &if_absent, &if_match};

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases) * HF_ARRAY_LEN(puts); i++) {
        const size_t n = i / HF_ARRAY_LEN(puts);
        HF_AUTO_FREE char *file = cases[n].file != NULL ? hf_strfmt(FILES "%s.http", cases[n].file)
                                                        : NULL;
        const struct test_answer answers[] = {{.file = file, .rc = cases[n].rc},
                                              {.file = FILES "PutObject/200.http"}};
        AUTO_WORLD w;

        open_world(&w, answers, 2);
        hf_must(hf_store_put(w.store, "k", hf_slice_str("hello"), puts[i % HF_ARRAY_LEN(puts)],
                             NULL, &w.err),
                &w.err);
        assert_int_equal(test_http_requests_count(w.http), 2);
        assert_true(w.clock.slept_us >= cases[n].wait_ms_min * 1000);
    }
}

static void a_conditional_put_without_an_answer_is_uncertain_and_not_repeated(void **state)
{
    static const struct test_answer answers[] = {{.rc = HF_UNCERTAIN}};
    static const struct hf_put *const puts[] = {&if_absent, &if_match};

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(puts); i++) {
        AUTO_WORLD w;

        open_world(&w, answers, 1);
        assert_int_equal(hf_store_put(w.store, "k", hf_slice_str("hello"), puts[i], NULL, &w.err),
                         HF_UNCERTAIN);
        assert_int_equal(test_http_requests_count(w.http), 1);
        assert_int_equal(w.clock.slept_us, 0);
    }
}

static void a_plain_put_without_an_answer_is_repeated(void **state)
{
    static const struct test_answer answers[] = {{.rc = HF_UNCERTAIN},
                                                 {.file = FILES "PutObject/200.http"}};
    AUTO_WORLD w;

    (void)state;
    open_world(&w, answers, 2);
    hf_must(hf_store_put(w.store, "k", hf_slice_str("hello"), &always, NULL, &w.err), &w.err);
    assert_int_equal(test_http_requests_count(w.http), 2);
}

static void a_later_refusal_does_not_make_an_open_put_certain(void **state)
{
    static const struct test_answer answers[] = {{.rc = HF_UNCERTAIN},
                                                 {.file = FILES "any/AccessDenied.http"}};
    AUTO_WORLD w;

    (void)state;
    open_world(&w, answers, 2);
    assert_int_equal(hf_store_put(w.store, "k", hf_slice_str("hello"), &always, NULL, &w.err),
                     HF_UNCERTAIN);
    expect_text(&w.err, "AccessDenied");
}

/* After an answer that leaves open what happened, a conflict may be with ourselves. */
static void a_conflict_after_an_open_attempt_is_settled_by_the_object(void **state)
{
    static const struct {
        const struct hf_put *put;
        const char *first;
        const char *object;
        enum hf_code object_rc;
        enum hf_code rc;
        size_t requests;
    } cases[] = {
        {&if_absent, "any/InternalError", "GetObject/206-hello", HF_OK, HF_OK, 3},
        {&if_absent, "any/502-gateway", "GetObject/206-hello", HF_OK, HF_OK, 3},
        {&if_absent, "any/InternalError", "GetObject/206-other", HF_OK, HF_CONFLICT, 3},
        {&if_absent, "any/InternalError", "any/NoSuchKey", HF_OK, HF_UNCERTAIN, 3},
        {&if_absent, "any/InternalError", "any/AccessDenied", HF_OK, HF_UNCERTAIN, 3},
        {&if_match, "any/InternalError", "GetObject/206-hello", HF_OK, HF_OK, 3},
        {&if_match, "any/InternalError", "GetObject/206-other", HF_OK, HF_UNCERTAIN, 3},
        /* S3 says itself that it did nothing: the conflict is with another. */
        {&if_absent, "any/SlowDown", NULL, HF_OK, HF_CONFLICT, 2},
        {&if_absent, "PutObject/409", NULL, HF_OK, HF_CONFLICT, 2},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        HF_AUTO_FREE char *first = hf_strfmt(FILES "%s.http", cases[i].first);
        HF_AUTO_FREE char *object =
            cases[i].object != NULL ? hf_strfmt(FILES "%s.http", cases[i].object) : NULL;
        const struct test_answer answers[] = {{.file = first},
                                              {.file = FILES "PutObject/412.http"},
                                              {.file = object, .rc = cases[i].object_rc}};
        struct hf_etag etag = {{0}};
        AUTO_WORLD w;
        enum hf_code rc;

        open_world(&w, answers, cases[i].requests);
        rc = hf_store_put(w.store, "k", hf_slice_str("hello"), cases[i].put, &etag, &w.err);
        if (rc != cases[i].rc)
            fail_msg("case %zu: %s (%s)", i, hf_code_text(rc), w.err.text);
        assert_int_equal(test_http_requests_count(w.http), cases[i].requests);
        assert_string_equal(etag.str, rc == HF_OK ? ETAG : "");
    }
}

static void retries_end_with_the_budget(void **state)
{
    static const struct {
        struct test_answer answer;
        enum hf_code rc;
    } cases[] = {
        {{.file = FILES "any/SlowDown.http"}, HF_TRANSIENT},
        {{.rc = HF_TRANSIENT}, HF_TRANSIENT},
        {{.rc = HF_UNCERTAIN}, HF_UNCERTAIN},
        {{.file = FILES "any/502-gateway.http"}, HF_UNCERTAIN},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        struct test_answer answers[60];
        AUTO_WORLD w;

        for (size_t k = 0; k < HF_ARRAY_LEN(answers); k++)
            answers[k] = cases[i].answer;
        open_world(&w, answers, HF_ARRAY_LEN(answers));
        assert_int_equal(hf_store_put(w.store, "k", hf_slice_str("hello"), &always, NULL, &w.err),
                         cases[i].rc);
        assert_true(w.clock.slept_us <= HF_RETRY_BUDGET_MS * 1000);
        assert_true(w.clock.slept_us >= HF_RETRY_BUDGET_MS * 1000 / 2);
    }
}

static void a_get_tells_of_the_object(void **state)
{
    static const struct test_answer answers[] = {{.file = FILES "GetObject/200-hello.http"},
                                                 {.file = FILES "GetObject/206-llo.http"}};
    HF_AUTO_BUF got = {0};
    struct hf_object object;
    AUTO_WORLD w;

    (void)state;
    open_world(&w, answers, 2);
    hf_buf_printf(&got, "kept ");
    hf_must(hf_store_get(w.store, "k", 0, 0, &got, &object, &w.err), &w.err);
    assert_string_equal(hf_buf_str(&got), "kept hello");
    assert_int_equal(object.size_bytes, 5);
    assert_int_equal(object.modified_ms, NOW_MS / 1000 * 1000);
    assert_int_equal(object.timestamp_ms, NOW_MS);
    assert_string_equal(object.etag.str, ETAG);
    expect_header(&w, 0, "range", NULL);

    hf_must(hf_store_get(w.store, "k", 2, 100, &got, &object, &w.err), &w.err);
    assert_string_equal(hf_buf_str(&got), "kept hellollo");
    assert_int_equal(object.size_bytes, 5);
    expect_header(&w, 1, "range", "bytes=2-101");
    expect_header(&w, 1, "if-match", NULL);
}

static void a_body_that_breaks_off_is_taken_up_where_it_ended(void **state)
{
    static const struct test_answer answers[] = {
        {.file = FILES "GetObject/200-hello-cut.http", .rc = HF_UNCERTAIN},
        {.rc = HF_UNCERTAIN},
        {.file = FILES "GetObject/206-l-cut.http", .rc = HF_UNCERTAIN},
        {.file = FILES "GetObject/206-lo.http"},
    };
    HF_AUTO_BUF got = {0};
    AUTO_WORLD w;

    (void)state;
    open_world(&w, answers, HF_ARRAY_LEN(answers));
    hf_must(hf_store_get(w.store, "k", 0, 0, &got, NULL, &w.err), &w.err);
    assert_string_equal(hf_buf_str(&got), "hello");
    expect_header(&w, 0, "range", NULL);
    expect_header(&w, 1, "range", "bytes=2-");
    expect_header(&w, 1, "if-match", "\"" ETAG "\"");
    expect_header(&w, 2, "range", "bytes=2-");
    expect_header(&w, 3, "range", "bytes=3-");
}

static void a_short_body_without_a_failure_is_noticed(void **state)
{
    static const struct test_answer answers[] = {{.file = FILES "GetObject/200-hello-cut.http"},
                                                 {.file = FILES "GetObject/206-llo.http"}};
    HF_AUTO_BUF got = {0};
    AUTO_WORLD w;

    (void)state;
    open_world(&w, answers, 2);
    hf_must(hf_store_get(w.store, "k", 0, 0, &got, NULL, &w.err), &w.err);
    assert_string_equal(hf_buf_str(&got), "hello");
}

static void an_object_replaced_while_it_is_read_is_read_anew(void **state)
{
    static const struct test_answer answers[] = {
        {.file = FILES "GetObject/200-hello-cut.http", .rc = HF_UNCERTAIN},
        {.file = FILES "PutObject/412.http"},
        {.file = FILES "GetObject/200-hello.http"},
    };
    HF_AUTO_BUF got = {0};
    AUTO_WORLD w;

    (void)state;
    open_world(&w, answers, 3);
    hf_must(hf_store_get(w.store, "k", 0, 0, &got, NULL, &w.err), &w.err);
    assert_string_equal(hf_buf_str(&got), "hello");
    expect_header(&w, 2, "range", NULL);
    expect_header(&w, 2, "if-match", NULL);
}

static void an_offset_behind_the_end_is_empty_and_the_object_is_told_of(void **state)
{
    static const struct test_answer answers[] = {{.file = FILES "GetObject/416.http"},
                                                 {.file = FILES "HeadObject/200.http"}};
    HF_AUTO_BUF got = {0};
    struct hf_object object;
    AUTO_WORLD w;

    (void)state;
    open_world(&w, answers, 2);
    hf_must(hf_store_get(w.store, "k", 9, 0, &got, &object, &w.err), &w.err);
    assert_int_equal(got.len, 0);
    assert_int_equal(object.size_bytes, 5);
    expect_request(&w, 1, "HEAD", "http://h:9/bucket/db/k");
}

static void a_store_that_ignores_range_is_found_out(void **state)
{
    static const struct test_answer answers[] = {{.file = FILES "GetObject/200-hello.http"},
                                                 {.file = FILES "GetObject/206-hello.http"}};
    HF_AUTO_BUF got = {0};
    AUTO_WORLD w;

    (void)state;
    open_world(&w, answers, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(hf_store_get(w.store, "k", 2, 100, &got, NULL, &w.err), HF_IO);
        assert_int_equal(got.len, 0);
        expect_text(&w.err, "bytes from 2");
    }
}

static void reads_of_what_is_missing_say_what(void **state)
{
    static const struct test_answer answers[] = {{.file = FILES "any/NoSuchKey.http"},
                                                 {.file = FILES "any/NoSuchBucket.http"},
                                                 {.file = FILES "any/bare-404.http"}};
    HF_AUTO_BUF got = {0};
    struct hf_object object;
    AUTO_WORLD w;

    (void)state;
    open_world(&w, answers, 3);
    assert_int_equal(hf_store_get(w.store, "k", 0, 0, &got, NULL, &w.err), HF_NOT_FOUND);
    expect_text(&w.err, "no such object");
    assert_int_equal(hf_store_get(w.store, "k", 0, 0, &got, NULL, &w.err), HF_NOT_FOUND);
    expect_text(&w.err, "bucket bucket");
    assert_int_equal(hf_store_head(w.store, "k", &object, &w.err), HF_NOT_FOUND);
    assert_int_equal(got.len, 0);
}

static void a_delete_is_repeated_and_content_with_nothing_there(void **state)
{
    static const struct test_answer answers[] = {{.rc = HF_UNCERTAIN},
                                                 {.file = FILES "any/204.http"},
                                                 {.file = FILES "any/NoSuchKey.http"},
                                                 {.file = FILES "any/NoSuchBucket.http"}};
    AUTO_WORLD w;

    (void)state;
    open_world(&w, answers, 4);
    hf_must(hf_store_delete(w.store, "k", &w.err), &w.err);
    hf_must(hf_store_delete(w.store, "k", &w.err), &w.err);
    assert_int_equal(hf_store_delete(w.store, "k", &w.err), HF_NOT_FOUND);
    expect_request(&w, 0, "DELETE", "http://h:9/bucket/db/k");
}

static enum hf_code note_key(void *ctx, const char *key, const struct hf_object *object,
                             struct hf_err *err)
{
    (void)err;
    hf_buf_printf((struct hf_buf *)ctx, "%s=%llu ", key, (unsigned long long)object->size_bytes);
    return HF_OK;
}

static void a_listing_goes_through_its_pages_and_tells_no_key_twice(void **state)
{
    static const struct test_answer answers[] = {
        {.file = FILES "ListObjectsV2/200-first.http", .rc = HF_UNCERTAIN},
        {.file = FILES "ListObjectsV2/200-first.http"},
        {.file = FILES "any/SlowDown.http"},
        {.file = FILES "ListObjectsV2/200-last.http"},
    };
    HF_AUTO_BUF keys = {0};
    AUTO_WORLD w;

    (void)state;
    open_world(&w, answers, HF_ARRAY_LEN(answers));
    hf_must(hf_store_list(w.store, "0000/", "0000/ ", note_key, &keys, &w.err), &w.err);
    assert_string_equal(hf_buf_str(&keys), "0000/!=1 0000/a+b=7 0000/c=0 ");
    expect_request(&w, 1, "GET",
                   "http://h:9/bucket/?encoding-type=url&list-type=2&max-keys=1000"
                   "&prefix=db%2F0000%2F&start-after=db%2F0000%2F%20");
    expect_request(&w, 3, "GET",
                   "http://h:9/bucket/?continuation-token=1%2F%2Btoken%3D&encoding-type=url"
                   "&list-type=2&max-keys=1000&prefix=db%2F0000%2F");
}

static void a_listing_that_goes_in_a_circle_ends(void **state)
{
    static const struct test_answer answers[] = {
        {.file = FILES "ListObjectsV2/200-first.http"},
        {.file = FILES "ListObjectsV2/200-first.http"},
    };
    HF_AUTO_BUF keys = {0};
    AUTO_WORLD w;

    (void)state;
    open_world(&w, answers, 2);
    assert_int_equal(hf_store_list(w.store, "0000/", "", note_key, &keys, &w.err), HF_IO);
    expect_text(&w.err, "circle");
}

static enum hf_code upload(struct world *w, const struct hf_put *put, size_t bytes,
                           struct hf_etag *ret)
{
    HF_CLEANUP(hf_upload_free_ptr) struct hf_upload *u = NULL;
    HF_AUTO_BUF body = {0};
    enum hf_code rc;

    (void)memset(hf_buf_extend(&body, bytes), 'x', bytes);
    hf_must(hf_upload_new(w->store, "k", put, &u, &w->err), &w->err);
    rc = hf_upload_write(u, hf_buf_slice(&body), &w->err);
    if (rc != HF_OK)
        return rc;
    return hf_upload_finish(u, ret, &w->err);
}

#define TWO_PARTS ((17u << 20) + 1) /* a part without borders has 16 MiB */

/* Transport that is told to stop while it waits, as http_curl.c reports it. */
static void stop_in_sleep(struct hf_clock *c, int64_t us)
{
    struct world *w = (struct world *)(void *)((char *)c - offsetof(struct world, clock));

    w->clock.now_us += us;
    w->stop = true;
}

/* Three calls, each by the answer to its one attempt; the stop comes while it waits for another. */
static void a_stop_is_said_unless_something_may_have_been_written(void **state)
{
    static const struct {
        const char *file; /* NULL: none, with rc */
        enum hf_code answer_rc;
        const struct hf_put *put;
        enum hf_code rc;
    } cases[] = {
        {"any/SlowDown", HF_OK, &always, HF_CANCELED},
        {"any/SlowDown", HF_OK, &if_absent, HF_CANCELED},
        {NULL, HF_TRANSIENT, &if_absent, HF_CANCELED},
        {NULL, HF_UNCERTAIN, &always, HF_UNCERTAIN},
        {NULL, HF_UNCERTAIN, &if_absent, HF_UNCERTAIN},
        {"any/InternalError", HF_OK, &always, HF_UNCERTAIN},
        {"any/InternalError", HF_OK, &if_absent, HF_UNCERTAIN},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        HF_AUTO_FREE char *file = cases[i].file != NULL ? hf_strfmt(FILES "%s.http", cases[i].file)
                                                        : NULL;
        const struct test_answer answers[] = {{.file = file, .rc = cases[i].answer_rc}};
        HF_AUTO_BUF got = {0};
        AUTO_WORLD w;
        enum hf_code rc;

        open_world(&w, answers, 1);
        w.clock.base.sleep_us = stop_in_sleep;
        rc = hf_store_put(w.store, "k", hf_slice_str("x"), cases[i].put, NULL, &w.err);
        if (rc != cases[i].rc)
            fail_msg("case %zu: %s (%s)", i, hf_code_text(rc), w.err.text);
        w.stop = true; /* where there was no wait */
        assert_int_equal(hf_store_get(w.store, "k", 0, 0, &got, NULL, &w.err), HF_CANCELED);
        assert_int_equal(test_http_requests_count(w.http), 1); /* nothing more is begun */
    }
}

static void an_upload_of_one_part_is_a_plain_put(void **state)
{
    static const struct test_answer answers[] = {{.file = FILES "PutObject/200.http"}};
    struct hf_put put = if_absent;
    struct hf_etag etag;
    AUTO_WORLD w;

    (void)state;
    put.size_hint = 1;
    open_world(&w, answers, 1);
    hf_must(upload(&w, &put, 8u << 20, &etag), &w.err);
    expect_request(&w, 0, "PUT", "http://h:9/bucket/db/k");
    expect_header(&w, 0, "if-none-match", "*");
}

static void an_upload_in_parts_sends_them_all_and_its_condition_last(void **state)
{
    static const struct test_answer answers[] = {
        {.file = FILES "CreateMultipartUpload/200.http"},
        {.file = FILES "UploadPart/200.http"},
        {.file = FILES "UploadPart/200.http"},
        {.file = FILES "CompleteMultipartUpload/200.http"},
    };
    struct hf_put put = {.cond = HF_PUT_IF_ABSENT, .size_hint = 1, .timestamp_ms = NOW_MS};
    struct hf_etag etag;
    AUTO_WORLD w;
    size_t sent = 0;

    (void)state;
    open_world(&w, answers, 4);
    hf_must(upload(&w, &put, TWO_PARTS, &etag), &w.err);
    assert_string_equal(etag.str, "3858f62230ac3c915f300c664312c11f-2");
    expect_request(&w, 0, "POST", "http://h:9/bucket/db/k?uploads=");
    expect_header(&w, 0, "x-amz-meta-litestream-timestamp", "2026-01-02T03:04:05.678000000Z");
    expect_header(&w, 0, "if-none-match", NULL);
    for (size_t i = 1; i <= 2; i++) {
        const struct test_request *r = test_http_request(w.http, i);

        sent += r->body.len;
        assert_non_null(strstr(r->url, "uploadId=VXBsb2Fk"));
    }
    assert_int_equal(sent, TWO_PARTS);
    expect_request(&w, 3, "POST", "http://h:9/bucket/db/k?uploadId=VXBsb2Fk");
    expect_header(&w, 3, "if-none-match", "*");

    HF_AUTO_BUF body = {0};
    const struct test_request *last = test_http_request(w.http, 3);

    hf_buf_append(&body, last->body.ptr, last->body.len);
    assert_non_null(strstr(hf_buf_str(&body),
                           "<Part><PartNumber>2</PartNumber><ETag>&quot;9b2cf535f27731c9743436"
                           "45a3985328&quot;</ETag></Part></CompleteMultipartUpload>"));
}

/* What the end of an upload comes to mean; and it is aborted unless it succeeded. */
static void the_end_of_an_upload_has_its_meaning(void **state)
{
    static const struct {
        const char *complete;
        enum hf_code complete_rc;
        const char *second; /* answer to a repeated Complete, or NULL */
        enum hf_code rc;
        const char *word;
    } cases[] = {
        {"PutObject/412", HF_OK, NULL, HF_CONFLICT, "PreconditionFailed"},
        {"CompleteMultipartUpload/200-AccessDenied", HF_OK, NULL, HF_DENIED, "AccessDenied"},
        {"CompleteMultipartUpload/200-empty", HF_OK, NULL, HF_UNCERTAIN, "complete"},
        {NULL, HF_UNCERTAIN, NULL, HF_UNCERTAIN, "script"},
        {"CompleteMultipartUpload/200-InternalError", HF_OK, "any/NoSuchUpload", HF_UNCERTAIN,
         "NoSuchUpload"},
        {"CompleteMultipartUpload/200-InternalError", HF_OK, "PutObject/412", HF_UNCERTAIN,
         "perhaps a conflict"},
    };
    static const struct hf_put put = {.cond = HF_PUT_IF_ABSENT, .size_hint = 1};

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        HF_AUTO_FREE char *complete =
            cases[i].complete != NULL ? hf_strfmt(FILES "%s.http", cases[i].complete) : NULL;
        HF_AUTO_FREE char *second =
            cases[i].second != NULL ? hf_strfmt(FILES "%s.http", cases[i].second) : NULL;
        struct test_answer answers[6] = {{.file = FILES "CreateMultipartUpload/200.http"},
                                         {.file = FILES "UploadPart/200.http"},
                                         {.file = FILES "UploadPart/200.http"},
                                         {.file = complete, .rc = cases[i].complete_rc}};
        size_t n = 4;
        struct hf_etag etag = {"before"};
        AUTO_WORLD w;
        enum hf_code rc;

        if (second != NULL)
            answers[n++].file = second;
        answers[n++].file = FILES "any/204.http";
        open_world(&w, answers, n);
        rc = upload(&w, &put, TWO_PARTS, &etag);
        if (rc != cases[i].rc)
            fail_msg("case %zu: %s (%s)", i, hf_code_text(rc), w.err.text);
        expect_text(&w.err, cases[i].word);
        assert_string_equal(etag.str, "before");
        assert_int_equal(test_http_requests_count(w.http), n);
        expect_request(&w, n - 1, "DELETE", "http://h:9/bucket/db/k?uploadId=VXBsb2Fk");
    }
}

static void an_error_in_a_200_is_repeated_and_may_end_well(void **state)
{
    static const struct test_answer answers[] = {
        {.file = FILES "CreateMultipartUpload/200.http"},
        {.file = FILES "UploadPart/200.http"},
        {.file = FILES "UploadPart/200.http"},
        {.file = FILES "CompleteMultipartUpload/200-InternalError.http"},
        {.file = FILES "CompleteMultipartUpload/200.http"},
    };
    static const struct hf_put put = {.size_hint = 1};
    struct hf_etag etag;
    AUTO_WORLD w;

    (void)state;
    open_world(&w, answers, 5);
    hf_must(upload(&w, &put, TWO_PARTS, &etag), &w.err);
}

static void a_part_that_fails_ends_the_upload_and_aborts_it(void **state)
{
    static const struct test_answer answers[] = {
        {.file = FILES "CreateMultipartUpload/200.http"},
        {.file = FILES "any/AccessDenied.http"},
        {.file = FILES "any/AccessDenied.http"},
        {.file = FILES "any/204.http"},
        {.file = FILES "any/204.http"},
    };
    static const struct hf_put put = {.size_hint = 1};
    struct hf_etag etag;
    AUTO_WORLD w;

    (void)state;
    open_world(&w, answers, 5);
    assert_int_equal(upload(&w, &put, TWO_PARTS, &etag), HF_DENIED);

    const size_t n = test_http_requests_count(w.http);

    expect_request(&w, n - 1, "DELETE", "http://h:9/bucket/db/k?uploadId=VXBsb2Fk");
    for (size_t i = 0; i < n; i++)
        assert_null(strstr(test_http_request(w.http, i)->url, "Complete"));
}

static void an_upload_of_which_nothing_was_sent_leaves_nothing_to_abort(void **state)
{
    static const struct hf_put put = {.size_hint = 1};
    struct hf_upload *u = NULL;
    AUTO_WORLD w;

    (void)state;
    open_world(&w, NULL, 0);
    hf_must(hf_upload_new(w.store, "k", &put, &u, &w.err), &w.err);
    hf_must(hf_upload_write(u, hf_slice_str("some"), &w.err), &w.err);
    hf_upload_free(u);
    assert_int_equal(test_http_requests_count(w.http), 0);
}

static void the_address_follows_endpoint_region_and_style(void **state)
{
    static const struct {
        const char *url;
        const char *address;
    } cases[] = {
        {"s3://bucket", "https://bucket.s3.us-east-1.amazonaws.com/k"},
        {"s3://bucket/p/q?region=eu-west-1", "https://bucket.s3.eu-west-1.amazonaws.com/p/q/k"},
        {"s3://bucket?region=cn-north-1", "https://bucket.s3.cn-north-1.amazonaws.com.cn/k"},
        {"s3://bucket?path-style=true", "https://s3.us-east-1.amazonaws.com/bucket/k"},
        {"s3://my.bucket", "https://s3.us-east-1.amazonaws.com/my.bucket/k"},
        {"s3://bucket?endpoint=https://s3.example.net/", "https://s3.example.net/bucket/k"},
        {"s3://bucket?endpoint=https://s3.example.net&path-style=false",
         "https://bucket.s3.example.net/k"},
    };
    static const struct test_answer answers[] = {{.file = FILES "any/204.http"}};

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        AUTO_WORLD w;

        hf_must(try_open(&w, cases[i].url, answers, 1), &w.err);
        hf_must(hf_store_delete(w.store, "k", &w.err), &w.err);
        expect_request(&w, 0, "DELETE", cases[i].address);
    }
}

static void settings_that_cannot_be_are_refused(void **state)
{
    static const char *const urls[] = {
        "s3://bucket?endpoint=127.0.0.1:9000", "s3://bucket?endpoint=http://",
        "s3://bucket?endpoint=http://h/path",  "s3://bucket?endpoint=ftp://h",
        "s3://bucket?path-style=maybe",        "s3://bucket?region=a%2Fb",
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(urls); i++) {
        struct world w;

        if (try_open(&w, urls[i], NULL, 0) != HF_USAGE)
            fail_msg("accepted: %s", urls[i]);
        assert_null(w.store);
    }
}

static void a_key_too_long_with_its_prefix_is_not_sent(void **state)
{
    HF_AUTO_BUF key = {0};
    AUTO_WORLD w;

    (void)state;
    (void)memset(hf_buf_extend(&key, HF_KEY_MAX), 'k', HF_KEY_MAX);
    open_world(&w, NULL, 0);
    assert_int_equal(
        hf_store_put(w.store, hf_buf_str(&key), hf_slice_str("x"), &always, NULL, &w.err),
        HF_USAGE);
    assert_int_equal(test_http_requests_count(w.http), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_put_is_signed_and_says_what_it_should),
        cmocka_unit_test(an_answer_to_a_put_has_its_meaning),
        cmocka_unit_test(what_asks_to_come_back_is_sent_again),
        cmocka_unit_test(a_conditional_put_without_an_answer_is_uncertain_and_not_repeated),
        cmocka_unit_test(a_plain_put_without_an_answer_is_repeated),
        cmocka_unit_test(a_later_refusal_does_not_make_an_open_put_certain),
        cmocka_unit_test(a_conflict_after_an_open_attempt_is_settled_by_the_object),
        cmocka_unit_test(retries_end_with_the_budget),
        cmocka_unit_test(a_get_tells_of_the_object),
        cmocka_unit_test(a_body_that_breaks_off_is_taken_up_where_it_ended),
        cmocka_unit_test(a_short_body_without_a_failure_is_noticed),
        cmocka_unit_test(an_object_replaced_while_it_is_read_is_read_anew),
        cmocka_unit_test(an_offset_behind_the_end_is_empty_and_the_object_is_told_of),
        cmocka_unit_test(a_store_that_ignores_range_is_found_out),
        cmocka_unit_test(reads_of_what_is_missing_say_what),
        cmocka_unit_test(a_delete_is_repeated_and_content_with_nothing_there),
        cmocka_unit_test(a_listing_goes_through_its_pages_and_tells_no_key_twice),
        cmocka_unit_test(a_listing_that_goes_in_a_circle_ends),
        cmocka_unit_test(a_stop_is_said_unless_something_may_have_been_written),
        cmocka_unit_test(an_upload_of_one_part_is_a_plain_put),
        cmocka_unit_test(an_upload_in_parts_sends_them_all_and_its_condition_last),
        cmocka_unit_test(the_end_of_an_upload_has_its_meaning),
        cmocka_unit_test(an_error_in_a_200_is_repeated_and_may_end_well),
        cmocka_unit_test(a_part_that_fails_ends_the_upload_and_aborts_it),
        cmocka_unit_test(an_upload_of_which_nothing_was_sent_leaves_nothing_to_abort),
        cmocka_unit_test(the_address_follows_endpoint_region_and_style),
        cmocka_unit_test(settings_that_cannot_be_are_refused),
        cmocka_unit_test(a_key_too_long_with_its_prefix_is_not_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
