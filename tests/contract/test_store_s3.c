/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: s3:// keeps every sentence of store.h against a real server, also under races, with large
 * objects and long listings; and a wrong key, bucket or address says so.
 * Method: the shared suite, then what only a server can show. Needs minio-test/with-minio.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "base/rand.h"
#include "lib/http_peer.h"
#include "lib/s3_server.h"
#include "lib/store_contract.h"
#include "store/store_s3.h"

#define RACERS      8
#define RACES       20
#define LARGE_BYTES ((size_t)40 << 20)
#define PIECE_BYTES ((size_t)777777) /* no divisor of a part's size */

static char *prefix;

static struct hf_store *open_store(void *ctx)
{
    (void)ctx;
    return s3_server_open("s3", s3_server_bucket(), prefix);
}

struct racer {
    struct hf_store *store;
    char key[64];
    char body[32];
    enum hf_code rc;
};

static enum hf_code race(void *ctx, struct hf_err *err)
{
    struct racer *r = (struct racer *)ctx;
    const struct hf_put put = {.cond = HF_PUT_IF_ABSENT};

    r->rc = hf_store_put(r->store, r->key, hf_slice_str(r->body), &put, NULL, err);
    return HF_OK;
}

static void of_eight_that_create_one_key_one_wins(void **state)
{
    struct hf_store *store = open_store(NULL);
    struct hf_pool *pool = hf_pool_new(RACERS);
    struct hf_group *group = hf_group_new(pool);
    struct hf_err err;

    (void)state;
    for (int n = 0; n < RACES; n++) {
        struct racer racers[RACERS];
        HF_AUTO_BUF there = {0};
        size_t won = 0;
        size_t winner = 0;

        for (size_t i = 0; i < RACERS; i++) {
            racers[i].store = store;
            (void)snprintf(racers[i].key, sizeof(racers[i].key), "race/%d", n);
            (void)snprintf(racers[i].body, sizeof(racers[i].body), "racer %zu", i);
            hf_group_run(group, race, &racers[i]);
        }
        hf_must(hf_group_wait(group, &err), &err);
        for (size_t i = 0; i < RACERS; i++) {
            assert_true(racers[i].rc == HF_OK || racers[i].rc == HF_CONFLICT);
            won += racers[i].rc == HF_OK ? 1 : 0;
            winner = racers[i].rc == HF_OK ? i : winner;
        }
        assert_int_equal(won, 1);
        hf_must(hf_store_get(store, racers[0].key, 0, 0, &there, NULL, &err), &err);
        assert_string_equal(hf_buf_str(&there), racers[winner].body);
        hf_must(hf_store_delete(store, racers[0].key, &err), &err);
    }
    hf_group_free(group);
    hf_pool_free(pool);
    hf_store_free(store);
}

/* Bytes that differ at every place, so that parts in the wrong order show. */
static void fill_large(struct hf_buf *ret)
{
    struct hf_rand rand = hf_rand_seeded(7);

    (void)hf_buf_extend(ret, LARGE_BYTES);
    for (size_t i = 0; i < LARGE_BYTES; i += sizeof(uint64_t)) {
        const uint64_t x = hf_rand_u64(&rand);

        (void)memcpy(ret->ptr + i, &x, sizeof(x));
    }
}

static enum hf_code upload_large(struct hf_store *store, const char *key, struct hf_slice body,
                                 const struct hf_put *put, struct hf_etag *ret, struct hf_err *err)
{
    HF_CLEANUP(hf_upload_free_ptr) struct hf_upload *u = NULL;

    hf_must(hf_upload_new(store, key, put, &u, err), err);
    for (size_t at = 0; at < body.len; at += PIECE_BYTES) {
        const size_t left = body.len - at;
        const size_t len = left < PIECE_BYTES ? left : PIECE_BYTES;

        hf_must(hf_upload_write(u, hf_slice(body.ptr + at, len), err), err);
    }
    return hf_upload_finish(u, ret, err);
}

static void an_upload_in_parts_is_whole_and_keeps_its_condition(void **state)
{
    struct hf_store *store = open_store(NULL);
    const struct hf_put put = {
        .cond = HF_PUT_IF_ABSENT, .size_hint = LARGE_BYTES, .timestamp_ms = 1700000000123};
    HF_AUTO_BUF body = {0};
    HF_AUTO_BUF there = {0};
    HF_AUTO_BUF middle = {0};
    struct hf_object object = {0};
    struct hf_etag etag = {{0}};
    struct hf_err err;

    (void)state;
    fill_large(&body);
    hf_must(upload_large(store, "large", hf_buf_slice(&body), &put, &etag, &err), &err);
    hf_must(hf_store_get(store, "large", 0, 0, &there, &object, &err), &err);
    assert_int_equal(there.len, body.len);
    assert_memory_equal(there.ptr, body.ptr, body.len);
    assert_int_equal(object.size_bytes, LARGE_BYTES);
    assert_int_equal(object.timestamp_ms, 1700000000123);
    assert_string_equal(object.etag.str, etag.str);
    assert_non_null(strchr(etag.str, '-')); /* it did go up in parts */

    hf_must(hf_store_get(store, "large", (8u << 20) - 5, 10, &middle, NULL, &err), &err);
    assert_int_equal(middle.len, 10);
    assert_memory_equal(middle.ptr, body.ptr + (8u << 20) - 5, 10);

    assert_int_equal(upload_large(store, "large", hf_buf_slice(&body), &put, &etag, &err),
                     HF_CONFLICT);
    hf_must(hf_store_delete(store, "large", &err), &err);
    hf_store_free(store);
}

/* A transport that counts the bytes of the bodies it sends. */
struct counting {
    struct hf_http base; /* first, so that the pointers convert */
    struct hf_http *inner;
    atomic_size_t *sent_bytes;
};

static enum hf_code count_and_send(struct hf_http *base, const struct hf_http_request *req,
                                   struct hf_http_response *ret, struct hf_err *err)
{
    struct counting *c = (struct counting *)base;

    *c->sent_bytes += req->body.len;
    return hf_http_send(c->inner, req, ret, err);
}

static void counting_free(struct hf_http *base)
{
    hf_http_free(((struct counting *)base)->inner);
    hf_free(base);
}

static struct hf_store *open_counted(atomic_size_t *sent_bytes)
{
    HF_AUTO_FREE char *text =
        hf_strfmt("s3://%s/%s?endpoint=%s", s3_server_bucket(), prefix, s3_server_endpoint());
    const struct hf_store_env env = s3_server_env();
    const struct hf_aws_env_source source = {.fs = env.fs};
    struct counting *c = (struct counting *)hf_calloc(1, sizeof(*c));
    HF_AUTO_AWS_ENV aws = {0};
    HF_AUTO_URL url = {0};
    struct hf_store *store = NULL;
    struct hf_err err;

    *c = (struct counting){.base = {.send = count_and_send, .free = counting_free},
                           .inner = hf_http_curl_new(NULL),
                           .sent_bytes = sent_bytes};
    hf_must(hf_url_parse(text, &url, &err), &err);
    hf_must(hf_aws_env_load(&source, &aws, &err), &err);
    hf_must(hf_store_s3_new_with(&url, &env, &aws, &c->base, &store, &err), &err);
    return store;
}

/* Write `body` with a border at every 1 MiB of it but for what was put before the first. */
static void write_with_borders(struct hf_upload *u, struct hf_slice body, size_t first_bytes)
{
    struct hf_err err;

    hf_must(hf_upload_write(u, hf_slice(body.ptr, first_bytes), &err), &err);
    for (size_t at = first_bytes, i = 1; at < body.len; i++) {
        const size_t left = body.len - at;
        const size_t len = left < (1u << 20) ? left : 1u << 20;

        hf_upload_cut_here(u, (uint64_t)i << 20);
        hf_must(hf_upload_write(u, hf_slice(body.ptr + at, len), &err), &err);
        at += len;
    }
}

/*
 * The process that made the first upload is killed after some parts: to the store that is the same
 * as an upload which is freed and kept. Then the first MiB of the source comes out 100 bytes
 * longer.
 */
static void an_upload_that_is_resumed_sends_only_the_parts_that_changed(void **state)
{
    const struct hf_put put = {.cond = HF_PUT_IF_ABSENT, .size_hint = LARGE_BYTES, .resume = true};
    atomic_size_t sent_bytes = 0;
    struct hf_store *store = open_counted(&sent_bytes);
    struct hf_upload *u = NULL;
    HF_AUTO_BUF body = {0};
    HF_AUTO_BUF changed = {0};
    HF_AUTO_BUF there = {0};
    struct hf_err err;

    (void)state;
    fill_large(&body);
    hf_must(hf_upload_new(store, "resumed", &put, &u, &err), &err);
    write_with_borders(u, hf_buf_slice(&body), 1u << 20);
    hf_upload_free(u);

    const size_t first_bytes = sent_bytes;

    assert_true(first_bytes >= LARGE_BYTES - (16u << 20));
    assert_int_equal(hf_store_get(store, "resumed", 0, 0, &there, NULL, &err), HF_NOT_FOUND);
    sent_bytes = 0;
    hf_buf_append(&changed, "another beginning, which moves all that comes behind", 52);
    hf_buf_append(&changed, body.ptr, body.len);
    hf_must(hf_upload_new(store, "resumed", &put, &u, &err), &err);
    write_with_borders(u, hf_buf_slice(&changed), (1u << 20) + 52);
    hf_must(hf_upload_finish(u, NULL, &err), &err);

    const uint64_t reused_bytes = hf_upload_reused_bytes(u);

    hf_upload_free(u);
    assert_true(reused_bytes >= first_bytes - (16u << 20)); /* all but the first part */
    assert_true(reused_bytes > 0);
    /* Beside the parts only the XML of Complete has a body. */
    assert_in_range(sent_bytes, changed.len - reused_bytes, changed.len - reused_bytes + 4096);
    hf_must(hf_store_get(store, "resumed", 0, 0, &there, NULL, &err), &err);
    assert_int_equal(there.len, changed.len);
    assert_memory_equal(there.ptr, changed.ptr, changed.len);
    hf_must(hf_store_delete(store, "resumed", &err), &err);
    hf_store_free(store);
}

static enum hf_code count_key(void *ctx, const char *key, const struct hf_object *object,
                              struct hf_err *err)
{
    (void)key;
    (void)object;
    (void)err;
    (*(size_t *)ctx)++;
    return HF_OK;
}

static void an_upload_that_is_given_up_leaves_no_object(void **state)
{
    struct hf_store *store = open_store(NULL);
    const struct hf_put put = {.size_hint = LARGE_BYTES};
    struct hf_upload *u = NULL;
    HF_AUTO_BUF body = {0};
    size_t count = 0;
    struct hf_err err;

    (void)state;
    fill_large(&body);
    hf_must(hf_upload_new(store, "given-up", &put, &u, &err), &err);
    hf_must(hf_upload_write(u, hf_slice(body.ptr, 20u << 20), &err), &err);
    hf_upload_free(u);
    hf_must(hf_store_list(store, "given-up", "", count_key, &count, &err), &err);
    assert_int_equal(count, 0);
    hf_store_free(store);
}

static void expect(enum hf_code rc, enum hf_code want, const struct hf_err *err, const char *word)
{
    if (rc != want || strstr(err->text, word) == NULL)
        fail_msg("expected %s and '%s', got %s: %s", hf_code_text(want), word, hf_code_text(rc),
                 err->text);
}

static void a_missing_bucket_is_named_in_every_operation(void **state)
{
    struct hf_store *store = s3_server_open("s3", "no-such-bucket-here", prefix);
    const struct hf_put put = {0};
    HF_AUTO_BUF buf = {0};
    size_t count = 0;
    struct hf_err err;

    (void)state;
    expect(hf_store_put(store, "k", hf_slice_str("x"), &put, NULL, &err), HF_NOT_FOUND, &err,
           "bucket no-such-bucket-here does not exist");
    expect(hf_store_get(store, "k", 0, 0, &buf, NULL, &err), HF_NOT_FOUND, &err,
           "bucket no-such-bucket-here");
    expect(hf_store_list(store, "", "", count_key, &count, &err), HF_NOT_FOUND, &err,
           "bucket no-such-bucket-here");
    expect(hf_store_delete(store, "k", &err), HF_NOT_FOUND, &err, "bucket no-such-bucket-here");
    hf_store_free(store);
}

static struct hf_store *open_with_keys(const char *key_id, const char *secret)
{
    HF_AUTO_FREE char *text =
        hf_strfmt("s3://%s/x?endpoint=%s", s3_server_bucket(), s3_server_endpoint());
    const struct hf_store_env env = s3_server_env();
    struct hf_aws_env aws = {.access_key_id = hf_strdup(key_id),
                             .secret_access_key = hf_strdup(secret),
                             .credentials_from = hf_strdup("a test")};
    HF_AUTO_URL url = {0};
    struct hf_store *store = NULL;
    struct hf_err err;

    hf_must(hf_url_parse(text, &url, &err), &err);
    hf_must(hf_store_s3_new_with(&url, &env, &aws, hf_http_curl_new(NULL), &store, &err), &err);
    hf_aws_env_done(&aws);
    return store;
}

static void wrong_keys_are_denied_with_their_source_and_without_their_secret(void **state)
{
    const struct hf_put put = {0};
    struct hf_store *unknown = open_with_keys("NOBODYSKEYID", "NOBODYSSECRET");
    struct hf_store *wrong = open_with_keys(getenv("AWS_ACCESS_KEY_ID"), "NOBODYSSECRET");
    struct hf_err err;

    (void)state;
    expect(hf_store_put(unknown, "k", hf_slice_str("x"), &put, NULL, &err), HF_DENIED, &err,
           "InvalidAccessKeyId");
    expect(hf_store_put(wrong, "k", hf_slice_str("x"), &put, NULL, &err), HF_DENIED, &err,
           "SignatureDoesNotMatch");
    assert_non_null(strstr(err.text, "keys from a test"));
    assert_null(strstr(err.text, "NOBODYSSECRET"));
    hf_store_free(unknown);
    hf_store_free(wrong);
}

static void an_address_without_a_server_is_transient_after_the_budget(void **state)
{
    HF_AUTO_FREE char *endpoint = test_unreachable_url();
    HF_AUTO_FREE char *url = hf_strfmt("s3://bucket/x?endpoint=%s", endpoint);
    struct hf_store_env env = s3_server_env();
    const struct hf_put put = {.cond = HF_PUT_IF_ABSENT};
    struct test_clock clock;
    struct hf_store *store = NULL;
    struct hf_err err;

    (void)state;
    test_clock_init(&clock, hf_now_ms(hf_clock_system()) * 1000);
    env.clock = &clock.base;
    hf_must(hf_store_open(url, &env, &store, &err), &err);
    expect(hf_store_put(store, "k", hf_slice_str("x"), &put, NULL, &err), HF_TRANSIENT, &err,
           "127.0.0.1");
    assert_true(clock.slept_us > 30000000 && clock.slept_us <= 60000000);
    hf_store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_eight_that_create_one_key_one_wins),
        cmocka_unit_test(an_upload_in_parts_is_whole_and_keeps_its_condition),
        cmocka_unit_test(an_upload_that_is_resumed_sends_only_the_parts_that_changed),
        cmocka_unit_test(an_upload_that_is_given_up_leaves_no_object),
        cmocka_unit_test(a_missing_bucket_is_named_in_every_operation),
        cmocka_unit_test(wrong_keys_are_denied_with_their_source_and_without_their_secret),
        cmocka_unit_test(an_address_without_a_server_is_transient_after_the_budget),
    };
    struct store_contract contract = {.make = open_store, .paging_keys = 2100, .threads = 16};
    HF_AUTO_FREE char *suite_prefix = s3_server_prefix("suite");
    int failed;

    if (!s3_server_present())
        return 1;
    prefix = s3_server_prefix("store-s3");
    contract.prefix = suite_prefix;
    failed = store_contract_run("s3", &contract);
    failed += cmocka_run_group_tests_name("s3 alone", tests, NULL, NULL);
    hf_free(prefix);
    return failed;
}
