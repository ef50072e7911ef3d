/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: what store.c does for every store: context of errors, misbehaving listings, broken uploads.
 * Method: a store made of scripted answers stands behind it. Arguments and outputs that every store
 * can show are asked by the contract suite.
 */
#include <string.h>

#include "lib/fixture.h"
#include "store/store_ops.h"

/* Answers every call with `rc`; a listing gives `keys`. */
struct scripted {
    struct hf_store base; /* first, so that the pointers convert */
    enum hf_code rc;
    const char *const *keys; /* ends with NULL */
    unsigned calls;
    unsigned uploads_freed;
};

static enum hf_code answer(struct hf_store *s, struct hf_err *err)
{
    struct scripted *sc = (struct scripted *)s;

    sc->calls++;
    return sc->rc == HF_OK ? HF_OK : hf_err_set(err, sc->rc, "scripted");
}

static enum hf_code scripted_put(struct hf_store *s, const char *key, struct hf_slice body,
                                 const struct hf_put *put, struct hf_etag *ret_etag,
                                 struct hf_err *err)
{
    (void)key, (void)body, (void)put;
    ret_etag->str[0] = 'x'; /* even if it fails */
    return answer(s, err);
}

static enum hf_code scripted_get(struct hf_store *s, const char *key, uint64_t offset, uint64_t len,
                                 struct hf_buf *ret, struct hf_object *ret_object,
                                 struct hf_err *err)
{
    (void)key, (void)offset, (void)len;
    hf_buf_append(ret, "half", 4);
    ret_object->size_bytes = 8;
    return answer(s, err);
}

static enum hf_code scripted_head(struct hf_store *s, const char *key, struct hf_object *ret,
                                  struct hf_err *err)
{
    (void)key;
    ret->size_bytes = 8;
    return answer(s, err);
}

static enum hf_code scripted_delete(struct hf_store *s, const char *key, struct hf_err *err)
{
    (void)key;
    return answer(s, err);
}

static enum hf_code scripted_list(struct hf_store *s, const char *prefix, const char *start_after,
                                  hf_list_fn *fn, void *ctx, struct hf_err *err)
{
    const struct hf_object object = {0};

    (void)prefix, (void)start_after;
    for (size_t i = 0; ((struct scripted *)s)->keys[i] != NULL; i++) {
        const enum hf_code rc = fn(ctx, ((struct scripted *)s)->keys[i], &object, err);

        if (rc != HF_OK)
            return rc;
    }
    return answer(s, err);
}

static enum hf_code scripted_write(struct hf_upload *u, struct hf_slice data, struct hf_err *err)
{
    assert_true(data.len > 0);
    return answer(u->store, err);
}

static enum hf_code scripted_finish(struct hf_upload *u, struct hf_etag *ret_etag,
                                    struct hf_err *err)
{
    ret_etag->str[0] = 'x';
    return answer(u->store, err);
}

static void scripted_upload_free(struct hf_upload *u)
{
    ((struct scripted *)u->store)->uploads_freed++;
    hf_free(u);
}

static const struct hf_upload_ops upload_ops = {
    .write = scripted_write, .finish = scripted_finish, .free = scripted_upload_free};

static enum hf_code scripted_upload_new(struct hf_store *s, const char *key,
                                        const struct hf_put *put, struct hf_upload **ret,
                                        struct hf_err *err)
{
    const enum hf_code rc = answer(s, err);

    (void)key, (void)put;
    if (rc != HF_OK)
        return rc;
    *ret = hf_calloc(1, sizeof(**ret));
    (*ret)->ops = &upload_ops;
    return HF_OK;
}

static void scripted_free(struct hf_store *s)
{
    hf_free(s);
}

static const struct hf_store_ops ops = {
    .put = scripted_put,
    .get = scripted_get,
    .head = scripted_head,
    .del = scripted_delete,
    .list = scripted_list,
    .upload_new = scripted_upload_new,
    .free = scripted_free,
};

static int setup(void **state)
{
    struct scripted *sc = hf_calloc(1, sizeof(*sc));

    sc->base.ops = &ops;
    sc->base.caps = HF_STORE_COND_PUT;
    sc->base.url = hf_strdup("test://store");
    *state = sc;
    return 0;
}

static int teardown(void **state)
{
    hf_store_free(*state);
    return 0;
}

static void errors_name_the_call_and_the_object(void **state)
{
    struct hf_store *s = *state;
    const struct hf_put put = {0};
    HF_AUTO_BUF got = {0};
    struct hf_object object = {0};
    struct hf_upload *u = NULL;
    struct hf_err err;

    ((struct scripted *)s)->rc = HF_TRANSIENT;
    assert_int_equal(hf_store_put(s, "a/b", hf_slice_str(""), &put, NULL, &err), HF_TRANSIENT);
    assert_string_equal(err.text, "put test://store/a/b: scripted");
    assert_int_equal(hf_store_get(s, "a/b", 0, 0, &got, NULL, &err), HF_TRANSIENT);
    assert_string_equal(err.text, "get test://store/a/b: scripted");
    assert_int_equal(hf_store_head(s, "a/b", &object, &err), HF_TRANSIENT);
    assert_string_equal(err.text, "head test://store/a/b: scripted");
    assert_int_equal(hf_store_delete(s, "a/b", &err), HF_TRANSIENT);
    assert_string_equal(err.text, "delete test://store/a/b: scripted");
    assert_int_equal(hf_upload_new(s, "a/b", &put, &u, &err), HF_TRANSIENT);
    assert_string_equal(err.text, "upload test://store/a/b: scripted");
}

static void outputs_of_a_failed_call_are_not_given_out(void **state)
{
    struct hf_store *s = *state;
    const struct hf_put put = {0};
    HF_AUTO_BUF got = {0};
    struct hf_object object = {.size_bytes = 1};
    struct hf_etag etag = {"before"};
    struct hf_err err;

    ((struct scripted *)s)->rc = HF_IO;
    assert_int_equal(hf_store_put(s, "a", hf_slice_str(""), &put, &etag, &err), HF_IO);
    assert_int_equal(hf_store_get(s, "a", 0, 0, &got, &object, &err), HF_IO);
    assert_int_equal(hf_store_head(s, "a", &object, &err), HF_IO);
    assert_string_equal(etag.str, "before");
    assert_int_equal(got.len, 0);
    assert_int_equal(object.size_bytes, 1);
}

static enum hf_code count_key(void *ctx, const char *key, const struct hf_object *object,
                              struct hf_err *err)
{
    (void)key, (void)object, (void)err;
    ++*(unsigned *)ctx;
    return HF_OK;
}

/* A store that sorts in its own way would make holes in every plan: better no answer. */
static void listing_out_of_order_is_refused(void **state)
{
    static const struct {
        const char *keys[4];
        const char *prefix, *after;
        unsigned given;
    } rows[] = {
        {{"a", "c", "b", NULL}, "", "", 2},     {{"a", "a", NULL}, "", "", 1},
        {{"a/x", "b/x", NULL}, "a/", "", 1},    {{"a/x", NULL}, "a/", "a/x", 0},
        {{"a/x", "a/y", NULL}, "a/", "a/x", 0}, {{"", NULL}, "", "", 0},
    };
    struct scripted *sc = *state;

    for (size_t i = 0; i < HF_ARRAY_LEN(rows); i++) {
        unsigned given = 0;
        struct hf_err err;

        sc->keys = rows[i].keys;
        assert_int_equal(
            hf_store_list(&sc->base, rows[i].prefix, rows[i].after, count_key, &given, &err),
            HF_UNSUPPORTED);
        assert_int_equal(given, rows[i].given);
    }
}

static void failure_behind_the_last_key_is_not_lost(void **state)
{
    static const char *const keys[] = {"a", "b", NULL};
    struct scripted *sc = *state;
    unsigned given = 0;
    struct hf_err err;

    sc->keys = keys;
    sc->rc = HF_TRANSIENT;
    assert_int_equal(hf_store_list(&sc->base, "", "", count_key, &given, &err), HF_TRANSIENT);
    assert_int_equal(given, 2);
    assert_string_equal(err.text, "list test://store/: scripted");
}

static enum hf_code stop(void *ctx, const char *key, const struct hf_object *object,
                         struct hf_err *err)
{
    (void)ctx, (void)key, (void)object;
    return hf_err_set(err, HF_CANCELED, "enough");
}

static void canceled_store_is_not_a_canceled_listing(void **state)
{
    static const char *const keys[] = {"a", NULL};
    struct scripted *sc = *state;
    unsigned given = 0;
    struct hf_err err;

    sc->keys = keys;
    hf_must(hf_store_list(&sc->base, "", "", stop, NULL, &err), &err); /* the caller's wish */
    sc->rc = HF_CANCELED;
    assert_int_equal(hf_store_list(&sc->base, "", "", count_key, &given, &err), HF_CANCELED);
}

static void upload_is_freed_once_whatever_happened(void **state)
{
    static const enum hf_code finishes[] = {HF_OK, HF_CONFLICT, HF_UNCERTAIN};
    struct scripted *sc = *state;
    const struct hf_put put = {0};

    for (unsigned i = 0; i < HF_ARRAY_LEN(finishes); i++) {
        HF_CLEANUP(hf_upload_free_ptr) struct hf_upload *u = NULL;
        struct hf_etag etag = {"before"};
        struct hf_err err;

        sc->rc = HF_OK;
        hf_must(hf_upload_new(&sc->base, "a", &put, &u, &err), &err);
        hf_must(hf_upload_write(u, hf_slice_str("x"), &err), &err);
        hf_must(hf_upload_write(u, hf_slice_str(""), &err), &err); /* does not reach the store */
        sc->rc = finishes[i];
        assert_int_equal(hf_upload_finish(u, &etag, &err), finishes[i]);
        assert_string_equal(etag.str, finishes[i] == HF_OK ? "x" : "before");
        hf_upload_free_ptr(&u);
        assert_null(u);
        assert_int_equal(sc->uploads_freed, i + 1);
    }
    hf_upload_free(NULL);
    hf_store_free(NULL);
}

static void arguments_are_judged_before_the_store_is_asked(void **state)
{
    struct scripted *sc = *state;
    const struct hf_put no_etag = {.cond = HF_PUT_IF_MATCH};
    const struct hf_put if_absent = {.cond = HF_PUT_IF_ABSENT};
    HF_AUTO_FREE char *after = hf_calloc(1, HF_KEY_MAX + 2);
    unsigned given = 0;
    struct hf_err err;

    (void)memset(after, 'x', HF_KEY_MAX + 1);
    assert_int_equal(hf_store_put(&sc->base, "a", hf_slice_str(""), &no_etag, NULL, &err),
                     HF_USAGE);
    assert_int_equal(hf_store_list(&sc->base, "", after, count_key, &given, &err), HF_USAGE);
    sc->base.caps = 0;
    assert_int_equal(hf_store_put(&sc->base, "a", hf_slice_str(""), &if_absent, NULL, &err),
                     HF_UNSUPPORTED);
    assert_int_equal(sc->calls, 0);
}

/* Sequences are well-formed by RFC 3629, §4: all of one and two bytes, and the edges of the rest,
 * against a decoder that computes code points. */
static bool is_scalar(const uint8_t *p, size_t len)
{
    static const uint32_t min[] = {0, 0x20, 0x80, 0x800, 0x10000};
    static const uint8_t lead[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    static const uint8_t mask[] = {0, 0x80, 0xe0, 0xf0, 0xf8};
    uint32_t point = p[0] & (uint8_t)~mask[len];

    if ((p[0] & mask[len]) != lead[len])
        return false;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return false;
        point = point << 6 | (p[i] & 0x3f);
    }
    return point >= min[len] && point != 0x7f && point <= 0x10ffff &&
           !(point >= 0xd800 && point <= 0xdfff);
}

static void keys_are_utf8_without_control_bytes(void **state)
{
    static const uint8_t tails[] = {0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0};

    (void)state;
    for (size_t len = 1; len <= 4; len++) {
        for (unsigned first = 1; first < 256; first++) {
            for (unsigned second = 0; second < (len > 1 ? 256u : 1u); second++) {
                for (size_t tail = 0; tail < HF_ARRAY_LEN(tails); tail++) {
                    const uint8_t key[6] = {'k', (uint8_t)first, (uint8_t)(len > 1 ? second : 0),
                                            len > 2 ? tails[tail] : 0, len > 3 ? 0x80 : 0};
                    struct hf_err err;

                    /* Only one sequence of that length: others are asked elsewhere. */
                    if (strlen((const char *)key) != len + 1 ||
                        (len > 1 && (first < 0xc0 || (second < 0x80 && second != 0x7f))))
                        continue;
                    if ((len == 3 && first < 0xe0) || (len == 4 && first < 0xf0) || first == '/')
                        continue;
                    if ((hf_store_key_check((const char *)key, &err) == HF_OK) !=
                        is_scalar(key + 1, len))
                        fail_msg("%02x %02x %02x %02x of %zu", key[1], key[2], key[3], key[4], len);
                }
            }
        }
    }
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(errors_name_the_call_and_the_object),
        TEST(outputs_of_a_failed_call_are_not_given_out),
        TEST(listing_out_of_order_is_refused),
        TEST(failure_behind_the_last_key_is_not_lost),
        TEST(canceled_store_is_not_a_canceled_listing),
        TEST(upload_is_freed_once_whatever_happened),
        TEST(arguments_are_judged_before_the_store_is_asked),
        cmocka_unit_test(keys_are_utf8_without_control_bytes),
    };
#undef TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
