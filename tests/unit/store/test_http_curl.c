/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: what real sockets do to a request is told apart: not begun, begun without an answer, and
 * answered; and curl never sends a body twice on its own account.
 * Method: a scripted peer on the loopback that breaks off at a chosen step, under the transport
 * alone and under a whole store. Nothing sleeps: the stall ends by the shortest stall limit, one
 * second.
 */
#include "lib/fixture.h"

#include <pthread.h>
#include <string.h>

#include "base/rand.h"
#include "lib/http_peer.h"
#include "store/store_s3.h"

#define OK_EMPTY "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 0\r\n\r\n"
#define LARGE    ((size_t)8 << 20) /* more than socket buffers hold */

/* A request as the transport takes it. */
static enum hf_code send_to(struct hf_http *http, const char *endpoint, const char *method,
                            struct hf_slice body, int64_t stall_ms, struct hf_http_response *ret,
                            struct hf_err *err)
{
    HF_AUTO_FREE char *url = hf_strfmt("%s/bucket/k", endpoint);
    const struct hf_http_pair headers[] = {{"x-test", "v"}};
    const struct hf_http_request req = {.method = method,
                                        .url = url,
                                        .headers = headers,
                                        .headers_count = 1,
                                        .body = body,
                                        .has_body = strcmp(method, "PUT") == 0,
                                        .stall_ms = stall_ms};

    return hf_http_send(http, &req, ret, err);
}

static void failures_of_a_put_are_told_apart(void **state)
{
    static const struct {
        const char *name;
        struct test_step steps[5];
        size_t body_bytes;
        enum hf_code rc;
        int status;
    } cases[] = {
        {"answered",
         {{PEER_ACCEPT, NULL}, {PEER_READ, NULL}, {PEER_REPLY, OK_EMPTY}},
         5,
         HF_OK,
         200},
        {"an empty body is announced",
         {{PEER_ACCEPT, NULL}, {PEER_READ, NULL}, {PEER_REPLY, OK_EMPTY}},
         0,
         HF_OK,
         200},
        {"interim answer",
         {{PEER_ACCEPT, NULL},
          {PEER_READ, NULL},
          {PEER_REPLY, "HTTP/1.1 100 Continue\r\n\r\n" OK_EMPTY}},
         5,
         HF_OK,
         200},
        {"closed after the body",
         {{PEER_ACCEPT, NULL}, {PEER_READ, NULL}, {PEER_CLOSE, NULL}},
         5,
         HF_UNCERTAIN,
         0},
        {"reset after the body",
         {{PEER_ACCEPT, NULL}, {PEER_READ, NULL}, {PEER_RESET, NULL}},
         5,
         HF_UNCERTAIN,
         0},
        {"reset within the body",
         {{PEER_ACCEPT, NULL}, {PEER_READ_HEAD, NULL}, {PEER_READ_BYTE, NULL}, {PEER_RESET, NULL}},
         LARGE,
         HF_UNCERTAIN,
         0},
        {"stalled after the body",
         {{PEER_ACCEPT, NULL}, {PEER_READ, NULL}, {PEER_STALL, NULL}},
         5,
         HF_UNCERTAIN,
         0},
        {"reset after an empty put's head",
         {{PEER_ACCEPT, NULL}, {PEER_READ, NULL}, {PEER_RESET, NULL}},
         0,
         HF_UNCERTAIN,
         0},
        {"answer breaks off",
         {{PEER_ACCEPT, NULL},
          {PEER_READ, NULL},
          {PEER_REPLY, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"},
          {PEER_CLOSE, NULL}},
         5,
         HF_UNCERTAIN,
         200},
    };
    HF_AUTO_BUF body = {0};

    (void)state;
    (void)memset(hf_buf_extend(&body, LARGE), 'x', LARGE);
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        struct test_peer *peer = test_peer_new(cases[i].steps, HF_ARRAY_LEN(cases[i].steps));
        struct hf_http *http = hf_http_curl_new(NULL);
        HF_AUTO_RESPONSE response = {0};
        struct hf_err err;
        const enum hf_code rc = send_to(http, test_peer_url(peer), "PUT",
                                        hf_slice(body.ptr, cases[i].body_bytes), 1000, &response,
                                        &err);

        if (rc != cases[i].rc)
            fail_msg("%s: %s", cases[i].name, hf_code_text(rc));
        assert_int_equal(response.status, cases[i].status);
        if (rc == HF_OK)
            assert_string_equal(hf_http_response_header(&response, "etag"), "\"e\"");
        hf_http_free(http);
        test_peer_free(peer);
    }
}

static void no_server_means_nothing_was_begun(void **state)
{
    HF_AUTO_FREE char *endpoint = test_unreachable_url();
    struct hf_http *http = hf_http_curl_new(NULL);
    HF_AUTO_RESPONSE response = {0};
    struct hf_err err;

    (void)state;
    assert_int_equal(send_to(http, endpoint, "PUT", hf_slice_str("hello"), 0, &response, &err),
                     HF_TRANSIENT);
    assert_int_equal(send_to(http, endpoint, "GET", hf_slice(NULL, 0), 0, &response, &err),
                     HF_TRANSIENT);
    hf_http_free(http);
}

/* curl repeats a request on a new connection when a kept one dies without an answer. */
static void a_put_on_a_kept_connection_that_dies_is_not_sent_again(void **state)
{
    static const struct test_step steps[] = {
        {PEER_ACCEPT, NULL}, {PEER_READ, NULL},   {PEER_REPLY, OK_EMPTY}, {PEER_READ, NULL},
        {PEER_CLOSE, NULL},  {PEER_ACCEPT, NULL}, {PEER_READ, NULL},      {PEER_REPLY, OK_EMPTY},
    };
    struct test_peer *peer = test_peer_new(steps, HF_ARRAY_LEN(steps));
    struct hf_http *http = hf_http_curl_new(NULL);
    HF_AUTO_RESPONSE response = {0};
    struct hf_err err;

    (void)state;
    hf_must(send_to(http, test_peer_url(peer), "PUT", hf_slice_str("1"), 0, &response, &err), &err);
    assert_int_equal(
        send_to(http, test_peer_url(peer), "PUT", hf_slice_str("2"), 0, &response, &err),
        HF_UNCERTAIN);
    assert_int_equal(test_peer_requests_count(peer), 2);
    hf_http_free(http);
    test_peer_free(peer);
}

/* A body that is empty can be sent twice without a rewind. So such a put takes a connection of its
 * own: here one that is never answered. On the kept one it would be read, lost, and sent again with
 * success. */
static void an_empty_put_never_uses_a_kept_connection(void **state)
{
    static const struct test_step steps[] = {
        {PEER_ACCEPT, NULL}, {PEER_READ, NULL},   {PEER_REPLY, OK_EMPTY}, {PEER_READ, NULL},
        {PEER_CLOSE, NULL},  {PEER_ACCEPT, NULL}, {PEER_READ, NULL},      {PEER_REPLY, OK_EMPTY},
    };
    struct test_peer *peer = test_peer_new(steps, HF_ARRAY_LEN(steps));
    struct hf_http *http = hf_http_curl_new(NULL);
    HF_AUTO_RESPONSE response = {0};
    struct hf_err err;

    (void)state;
    hf_must(send_to(http, test_peer_url(peer), "PUT", hf_slice_str("1"), 0, &response, &err), &err);
    assert_int_equal(
        send_to(http, test_peer_url(peer), "PUT", hf_slice(NULL, 0), 1000, &response, &err),
        HF_UNCERTAIN);
    assert_int_equal(test_peer_requests_count(peer), 1);
    hf_http_free(http);
    test_peer_free(peer);
}

struct setter {
    struct test_peer *peer;
    hf_stop_flag stop;
};

/* When the server has the whole request and is silent. */
static void *set_when_silent(void *arg)
{
    struct setter *s = (struct setter *)arg;

    while (test_peer_requests_count(s->peer) == 0)
        hf_sleep_ms(hf_clock_system(), 1);
    s->stop = true;
    return NULL;
}

static void a_stop_ends_a_request_that_nobody_answers(void **state)
{
    static const struct test_step steps[] = {
        {PEER_ACCEPT, NULL}, {PEER_READ, NULL}, {PEER_STALL, NULL}};
    struct setter s = {.peer = test_peer_new(steps, HF_ARRAY_LEN(steps))};
    struct hf_http *http = hf_http_curl_new(NULL);
    HF_AUTO_RESPONSE response = {0};
    const struct hf_http_request req = {.method = "PUT",
                                        .url = test_peer_url(s.peer),
                                        .body = hf_slice_str("body"),
                                        .has_body = true,
                                        .stop = &s.stop};
    const int64_t begun_us = hf_mono_us(hf_clock_system());
    pthread_t thread;
    struct hf_err err;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, set_when_silent, &s), 0);
    assert_int_equal(hf_http_send(http, &req, &response, &err), HF_UNCERTAIN);
    (void)pthread_join(thread, NULL);
    /* The stall would end it, too, but after HF_HTTP_STALL_MS. */
    assert_true(hf_mono_us(hf_clock_system()) - begun_us < HF_HTTP_STALL_MS * INT64_C(900));
    hf_http_free(http);
    test_peer_free(s.peer);
}

static void connections_are_kept_between_requests(void **state)
{
    /* Only one connection is ever accepted. */
    static const struct test_step steps[] = {
        {PEER_ACCEPT, NULL},    {PEER_READ, NULL}, {PEER_REPLY, OK_EMPTY}, {PEER_READ, NULL},
        {PEER_REPLY, OK_EMPTY}, {PEER_READ, NULL}, {PEER_REPLY, OK_EMPTY}, {PEER_STALL, NULL},
    };
    struct test_peer *peer = test_peer_new(steps, HF_ARRAY_LEN(steps));
    struct hf_http *http = hf_http_curl_new(NULL);
    HF_AUTO_RESPONSE response = {0};
    struct hf_err err;

    (void)state;
    hf_must(send_to(http, test_peer_url(peer), "PUT", hf_slice_str("1"), 0, &response, &err), &err);
    hf_must(send_to(http, test_peer_url(peer), "GET", hf_slice(NULL, 0), 0, &response, &err), &err);
    hf_must(send_to(http, test_peer_url(peer), "HEAD", hf_slice(NULL, 0), 0, &response, &err),
            &err);
    assert_int_equal(test_peer_requests_count(peer), 3);
    hf_http_free(http);
    test_peer_free(peer);
}

static void answers_larger_than_asked_for_are_refused(void **state)
{
    static const struct test_step steps[] = {
        {PEER_ACCEPT, NULL},
        {PEER_READ, NULL},
        {PEER_REPLY, "HTTP/1.1 206 Partial Content\r\nContent-Length: 6\r\n\r\nhello!"},
    };
    struct test_peer *peer = test_peer_new(steps, HF_ARRAY_LEN(steps));
    struct hf_http *http = hf_http_curl_new(NULL);
    HF_AUTO_FREE char *url = hf_strfmt("%s/k", test_peer_url(peer));
    HF_AUTO_BUF into = {0};
    const struct hf_http_request req = {
        .method = "GET", .url = url, .into = &into, .into_bytes_max = 5};
    HF_AUTO_RESPONSE response = {0};
    struct hf_err err;

    (void)state;
    assert_int_equal(hf_http_send(http, &req, &response, &err), HF_IO);
    assert_true(into.len <= 5);
    hf_http_free(http);
    test_peer_free(peer);
}

/* The whole way: a store whose server goes away after the body. */
static struct hf_store *open_at(const struct test_peer *peer, struct test_clock *clock,
                                struct hf_rand *rand)
{
    HF_AUTO_FREE char *text = hf_strfmt("s3://bucket?endpoint=%s", test_peer_url(peer));
    const struct hf_store_env env = {.fs = hf_fs_system(), .clock = &clock->base, .rand = rand};
    struct hf_aws_env aws = {.access_key_id = hf_strdup("KEYID"),
                             .secret_access_key = hf_strdup("TOPSECRET"),
                             .credentials_from = hf_strdup("a test")};
    HF_AUTO_URL url = {0};
    struct hf_store *store = NULL;
    struct hf_err err;

    test_clock_init(clock, INT64_C(1767323045678000));
    *rand = hf_rand_seeded(1);
    hf_must(hf_url_parse(text, &url, &err), &err);
    hf_must(hf_store_s3_new_with(&url, &env, &aws, hf_http_curl_new(NULL), &store, &err), &err);
    hf_aws_env_done(&aws);
    return store;
}

static void a_reset_after_the_body_leaves_a_conditional_put_uncertain(void **state)
{
    static const struct test_step steps[] = {{PEER_ACCEPT, NULL}, {PEER_READ, NULL},
                                             {PEER_RESET, NULL},  {PEER_ACCEPT, NULL},
                                             {PEER_READ, NULL},   {PEER_REPLY, OK_EMPTY}};
    static const struct hf_put if_absent = {.cond = HF_PUT_IF_ABSENT};
    static const struct hf_put always = {.cond = HF_PUT_ALWAYS};

    (void)state;
    for (int plain = 0; plain < 2; plain++) {
        struct test_peer *peer = test_peer_new(steps, HF_ARRAY_LEN(steps));
        struct test_clock clock;
        struct hf_rand rand;
        struct hf_store *store = open_at(peer, &clock, &rand);
        struct hf_err err;
        const enum hf_code rc = hf_store_put(store, "k", hf_slice_str("hello"),
                                             plain ? &always : &if_absent, NULL, &err);

        assert_int_equal(rc, plain ? HF_OK : HF_UNCERTAIN);
        assert_int_equal(test_peer_requests_count(peer), plain ? 2 : 1);
        hf_store_free(store);
        test_peer_free(peer);
    }
}

static void a_refusal_counts_though_its_text_breaks_off(void **state)
{
    static const struct test_step steps[] = {
        {PEER_ACCEPT, NULL},
        {PEER_READ, NULL},
        {PEER_REPLY, "HTTP/1.1 412 Precondition Failed\r\nContent-Length: 500\r\n\r\n<Error><Co"},
        {PEER_CLOSE, NULL}};
    static const struct hf_put if_absent = {.cond = HF_PUT_IF_ABSENT};
    struct test_peer *peer = test_peer_new(steps, HF_ARRAY_LEN(steps));
    struct test_clock clock;
    struct hf_rand rand;
    struct hf_store *store = open_at(peer, &clock, &rand);
    struct hf_err err;

    (void)state;
    assert_int_equal(hf_store_put(store, "k", hf_slice_str("hello"), &if_absent, NULL, &err),
                     HF_CONFLICT);
    hf_store_free(store);
    test_peer_free(peer);
}

static void a_body_shorter_than_promised_is_completed(void **state)
{
#define HEAD "ETag: \"e\"\r\nLast-Modified: Fri, 02 Jan 2026 03:04:05 GMT\r\n"
    static const struct test_step steps[] = {
        {PEER_ACCEPT, NULL},
        {PEER_READ, NULL},
        {PEER_REPLY, "HTTP/1.1 200 OK\r\n" HEAD "Content-Length: 5\r\n\r\nhe"},
        {PEER_CLOSE, NULL},
        {PEER_ACCEPT, NULL},
        {PEER_READ, NULL},
        {PEER_REPLY, "HTTP/1.1 206 Partial Content\r\n" HEAD
                     "Content-Length: 3\r\nContent-Range: bytes 2-4/5\r\n\r\nllo"},
    };
    struct test_peer *peer = test_peer_new(steps, HF_ARRAY_LEN(steps));
    struct test_clock clock;
    struct hf_rand rand;
    struct hf_store *store = open_at(peer, &clock, &rand);
    HF_AUTO_BUF got = {0};
    struct hf_err err;

    (void)state;
    hf_must(hf_store_get(store, "k", 0, 0, &got, NULL, &err), &err);
    assert_string_equal(hf_buf_str(&got), "hello");
    hf_store_free(store);
    test_peer_free(peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_of_a_put_are_told_apart),
        cmocka_unit_test(no_server_means_nothing_was_begun),
        cmocka_unit_test(a_put_on_a_kept_connection_that_dies_is_not_sent_again),
        cmocka_unit_test(an_empty_put_never_uses_a_kept_connection),
        cmocka_unit_test(a_stop_ends_a_request_that_nobody_answers),
        cmocka_unit_test(connections_are_kept_between_requests),
        cmocka_unit_test(answers_larger_than_asked_for_are_refused),
        cmocka_unit_test(a_reset_after_the_body_leaves_a_conditional_put_uncertain),
        cmocka_unit_test(a_refusal_counts_though_its_text_breaks_off),
        cmocka_unit_test(a_body_shorter_than_promised_is_completed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
