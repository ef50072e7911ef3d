/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: an upload is a put in pieces, and nothing before its finish.
 * Method: 20 MiB of seeded random bytes in odd pieces; uploads that lose.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "lib/fixture.h"
#include "lib/store_contract_kit.h"

static struct hf_upload *begin(struct contract_test *t, const char *key, const struct hf_put *put)
{
    struct hf_upload *u = NULL;

    hf_must(hf_upload_new(t->store, key, put, &u, &t->err), &t->err);
    return u;
}

static void write_text(struct contract_test *t, struct hf_upload *u, const char *text)
{
    hf_must(hf_upload_write(u, hf_slice_str(text), &t->err), &t->err);
}

static void large_upload_equals_its_pieces(void **state)
{
    static const size_t pieces[] = {1, 65536, 999983, 5u << 20, 7};
    struct contract_test *t = *state;
    HF_AUTO_FREE char *key = contract_key(t, "large");
    HF_AUTO_BUF body = {0};
    HF_AUTO_BUF got = {0};
    struct hf_rand rand = hf_rand_seeded(2);
    const struct hf_put put = {.timestamp_ms = CONTRACT_NOW_MS, .size_hint = CONTRACT_UPLOAD_LEN};
    struct hf_upload *u = begin(t, key, &put);
    struct hf_etag etag;
    struct hf_object object;

    for (size_t i = 0; i < CONTRACT_UPLOAD_LEN / 8; i++) {
        const uint64_t word = hf_rand_u64(&rand);

        hf_buf_append(&body, &word, sizeof(word));
    }
    for (size_t at = 0, i = 0; at < body.len; i++) {
        const size_t piece = pieces[i % HF_ARRAY_LEN(pieces)];
        const size_t len = piece < body.len - at ? piece : body.len - at;

        hf_must(hf_upload_write(u, hf_slice(body.ptr + at, len), &t->err), &t->err);
        at += len;
    }
    contract_assert_missing(t, "large"); /* it appears by the finish only */
    hf_must(hf_upload_finish(u, &etag, &t->err), &t->err);
    hf_upload_free(u);
    hf_must(hf_store_get(t->store, key, 0, 0, &got, &object, &t->err), &t->err);
    contract_assert_bytes(&got, body.ptr, body.len);
    assert_int_equal(object.size_bytes, body.len);
    assert_int_equal(object.timestamp_ms, CONTRACT_NOW_MS);
    assert_string_equal(object.etag.str, etag.str);
}

static void small_and_empty_uploads_work(void **state)
{
    static const char *const bodies[] = {"", "x", "a few bytes"};
    struct contract_test *t = *state;
    HF_AUTO_FREE char *key = contract_key(t, "small");

    for (size_t i = 0; i < HF_ARRAY_LEN(bodies); i++) {
        const struct hf_put put = {.timestamp_ms = CONTRACT_NOW_MS + (int64_t)i};
        struct hf_upload *u = begin(t, key, &put);
        struct hf_object object;

        write_text(t, u, bodies[i]);
        write_text(t, u, "");
        hf_must(hf_upload_finish(u, NULL, &t->err), &t->err);
        hf_upload_free(u);
        contract_assert_text(t, "small", bodies[i]);
        hf_must(hf_store_head(t->store, key, &object, &t->err), &t->err);
        assert_int_equal(object.timestamp_ms, put.timestamp_ms);
    }
}

static void upload_freed_unfinished_leaves_nothing(void **state)
{
    struct contract_test *t = *state;
    HF_AUTO_FREE char *key = contract_key(t, "abandoned");
    HF_AUTO_FREE uint8_t *zeros = hf_calloc(1, CONTRACT_UPLOAD_LEN);
    CONTRACT_AUTO_KEYS none = {0};
    struct hf_upload *u = begin(t, key, &contract_always);

    hf_upload_free(u); /* before the first byte */
    u = begin(t, key, &contract_always);
    hf_must(hf_upload_write(u, hf_slice(zeros, CONTRACT_UPLOAD_LEN), &t->err), &t->err);
    contract_expect_listing(t, &none, t->prefix, ""); /* not listed while it runs either */
    hf_upload_free(u);
    contract_assert_missing(t, "abandoned");
    contract_expect_listing(t, &none, t->prefix, "");
}

/* Whatever a store makes of `resume` and of hints. */
static void upload_that_is_resumed_holds_the_new_bytes(void **state)
{
    const struct hf_put put = {.size_hint = CONTRACT_UPLOAD_LEN, .resume = true};
    struct contract_test *t = *state;
    HF_AUTO_FREE char *key = contract_key(t, "resumed");
    HF_AUTO_FREE uint8_t *body = hf_calloc(1, CONTRACT_UPLOAD_LEN);
    HF_AUTO_BUF got = {0};
    CONTRACT_AUTO_KEYS none = {0};

    for (int last = 0; last <= 1; last++) {
        struct hf_upload *u = begin(t, key, &put);

        body[last == 0 ? 0 : CONTRACT_UPLOAD_LEN / 2] = 'x';
        for (size_t at = 0; at < CONTRACT_UPLOAD_LEN; at += CONTRACT_UPLOAD_LEN / 20) {
            hf_upload_cut_here(u, at);
            hf_must(hf_upload_write(u, hf_slice(body + at, CONTRACT_UPLOAD_LEN / 20), &t->err),
                    &t->err);
        }
        if (last == 1) {
            hf_must(hf_upload_finish(u, NULL, &t->err), &t->err);
            assert_true(hf_upload_reused_bytes(u) <= CONTRACT_UPLOAD_LEN);
        }
        hf_upload_free(u);
        if (last == 0)
            contract_expect_listing(t, &none, t->prefix, "");
    }
    hf_must(hf_store_get(t->store, key, 0, 0, &got, NULL, &t->err), &t->err);
    contract_assert_bytes(&got, body, CONTRACT_UPLOAD_LEN);
}

static void abandoned_upload_keeps_the_old_object(void **state)
{
    struct contract_test *t = *state;
    HF_AUTO_FREE char *key = contract_key(t, "object");

    contract_put_text(t, "object", "old");
    struct hf_upload *u = begin(t, key, &contract_always);

    write_text(t, u, "new");
    hf_upload_free(u);
    contract_assert_text(t, "object", "old");
}

static void upload_if_absent_conflicts_at_its_finish(void **state)
{
    struct contract_test *t = *state;
    HF_AUTO_FREE char *key = contract_key(t, "object");
    struct hf_etag etag = {CONTRACT_UNTOUCHED};

    if (contract_lacks_cond(t))
        return;
    struct hf_upload *winner = begin(t, key, &contract_if_absent);
    struct hf_upload *loser = begin(t, key, &contract_if_absent);

    write_text(t, loser, "loser");
    write_text(t, winner, "winner");
    hf_must(hf_upload_finish(winner, NULL, &t->err), &t->err);
    assert_int_equal(hf_upload_finish(loser, &etag, &t->err), HF_CONFLICT);
    assert_string_equal(etag.str, CONTRACT_UNTOUCHED);
    hf_upload_free(winner);
    hf_upload_free(loser);
    contract_assert_text(t, "object", "winner");
}

static void large_upload_if_absent_conflicts_too(void **state)
{
    struct contract_test *t = *state;
    HF_AUTO_FREE char *key = contract_key(t, "object");
    HF_AUTO_FREE uint8_t *zeros = hf_calloc(1, CONTRACT_UPLOAD_LEN);

    if (contract_lacks_cond(t))
        return;
    struct hf_upload *u = begin(t, key, &contract_if_absent);

    hf_must(hf_upload_write(u, hf_slice(zeros, CONTRACT_UPLOAD_LEN), &t->err), &t->err);
    contract_put_text(t, "object", "quicker");
    assert_int_equal(hf_upload_finish(u, NULL, &t->err), HF_CONFLICT);
    hf_upload_free(u);
    contract_assert_text(t, "object", "quicker");
}

static void upload_if_match_replaces_the_named_version_only(void **state)
{
    struct contract_test *t = *state;
    HF_AUTO_FREE char *key = contract_key(t, "object");
    struct hf_etag etag;

    if (contract_lacks_cond(t))
        return;
    hf_must(hf_store_put(t->store, key, hf_slice_str("v1"), &contract_always, &etag, &t->err),
            &t->err);
    const struct hf_put put = contract_if_match(etag.str);

    for (int i = 0; i < 2; i++) {
        struct hf_upload *u = begin(t, key, &put);

        write_text(t, u, i == 0 ? "v2" : "v3");
        const enum hf_code rc = hf_upload_finish(u, NULL, &t->err);

        hf_upload_free(u);
        assert_int_equal(rc, i == 0 ? HF_OK : HF_CONFLICT);
    }
    contract_assert_text(t, "object", "v2");
}

const struct CMUnitTest contract_upload_tests[] = {
    CONTRACT_TEST(large_upload_equals_its_pieces),
    CONTRACT_TEST(small_and_empty_uploads_work),
    CONTRACT_TEST(upload_freed_unfinished_leaves_nothing),
    CONTRACT_TEST(upload_that_is_resumed_holds_the_new_bytes),
    CONTRACT_TEST(abandoned_upload_keeps_the_old_object),
    CONTRACT_TEST(upload_if_absent_conflicts_at_its_finish),
    CONTRACT_TEST(large_upload_if_absent_conflicts_too),
    CONTRACT_TEST(upload_if_match_replaces_the_named_version_only),
};
const size_t contract_upload_tests_count = HF_ARRAY_LEN(contract_upload_tests);
