/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: an upload that is made again sends only the parts that changed, and the object is the new
 * bytes whatever was there before.
 * Method: a store of parts in memory that counts what travels and can be odd; a source of windows,
 * each compressed by model, of which some change between two tries. Oracle: the bytes written last.
 */
#include "lib/fixture.h"

#include <string.h>

#include "base/rand.h"
#include "lib/s3_parts.h"
#include "store/store_s3.h"

#define MIB           ((size_t)1 << 20)
#define WINDOWS_COUNT 60
#define KEY           "db/k"

struct world {
    struct test_clock clock;
    struct hf_rand rand;
    struct s3_parts *s3;
    struct hf_store *store;
    unsigned versions[WINDOWS_COUNT];
    uint64_t reused_bytes;
    struct hf_err err;
};

static void open_world(struct world *w, const char *endpoint, const struct s3_parts_odd *odd)
{
    const struct hf_store_env env = {
        .fs = hf_fs_system(), .clock = &w->clock.base, .rand = &w->rand};
    struct hf_aws_env aws = {.access_key_id = hf_strdup("KEYID"),
                             .secret_access_key = hf_strdup("TOPSECRET"),
                             .credentials_from = hf_strdup("a test")};
    HF_AUTO_FREE char *text = hf_strfmt("s3://bucket/db?endpoint=%s", endpoint);
    HF_AUTO_URL url = {0};

    *w = (struct world){.rand = hf_rand_seeded(1)};
    test_clock_init(&w->clock, INT64_C(1767323045678000));
    w->s3 = s3_parts_new(odd);
    hf_must(hf_url_parse(text, &url, &w->err), &w->err);
    hf_must(hf_store_s3_new_with(&url, &env, &aws, s3_parts_transport(w->s3), &w->store, &w->err),
            &w->err);
    hf_aws_env_done(&aws);
}

static void world_done(struct world *w)
{
    hf_store_free(w->store);
    s3_parts_free(w->s3);
}
#define AUTO_WORLD HF_CLEANUP(world_done) struct world

/* What window `i` comes out as: 600 to 700 KiB, by its number and version. */
static void fill_window(const struct world *w, size_t i, struct hf_buf *ret)
{
    struct hf_rand rand = hf_rand_seeded(1000 * i + w->versions[i]);
    const size_t words = (600 * 1024 + hf_rand_below(&rand, 100 * 1024)) / sizeof(uint64_t);

    hf_buf_reset(ret);
    uint8_t *to = hf_buf_extend(ret, words * sizeof(uint64_t));

    for (size_t k = 0; k < words; k++) {
        const uint64_t x = hf_rand_u64(&rand);

        (void)memcpy(to + k * sizeof(x), &x, sizeof(x));
    }
}

/* One try with as many windows as are to be written; `ret_body` is what was. */
static enum hf_code try_upload(struct world *w, size_t windows, bool finish,
                               struct hf_buf *ret_body)
{
    static const struct hf_put put = {
        .cond = HF_PUT_IF_ABSENT, .size_hint = WINDOWS_COUNT * MIB, .resume = true};
    HF_CLEANUP(hf_upload_free_ptr) struct hf_upload *u = NULL;
    HF_AUTO_BUF window = {0};
    enum hf_code rc = HF_OK;

    hf_buf_reset(ret_body);
    hf_must(hf_upload_new(w->store, "k", &put, &u, &w->err), &w->err);
    for (size_t i = 0; i < windows && rc == HF_OK; i++) {
        fill_window(w, i, &window);
        hf_buf_append(ret_body, window.ptr, window.len);
        hf_upload_cut_here(u, i * MIB);
        rc = hf_upload_write(u, hf_buf_slice(&window), &w->err);
    }
    if (rc != HF_OK || !finish)
        return rc;
    rc = hf_upload_finish(u, NULL, &w->err);
    w->reused_bytes = hf_upload_reused_bytes(u);
    return rc;
}

static void expect_object(const struct world *w, const struct hf_buf *body)
{
    const struct hf_buf *object = s3_parts_object(w->s3);

    assert_non_null(object);
    assert_int_equal(object->len, body->len);
    assert_memory_equal(object->ptr, body->ptr, body->len);
}

static const struct s3_parts_odd good;

static void the_second_try_sends_only_what_changed(void **state)
{
    HF_AUTO_BUF body = {0};
    AUTO_WORLD w;

    (void)state;
    open_world(&w, "http://h:9", &good);
    hf_must(try_upload(&w, WINDOWS_COUNT, false, &body), &w.err);
    assert_int_equal(s3_parts_unfinished(w.s3), 1);
    assert_null(s3_parts_object(w.s3));

    const uint64_t first_bytes = s3_parts_sent_bytes(w.s3);

    assert_true(first_bytes > 15 * MIB);
    w.versions[2]++;
    w.versions[20]++;
    hf_must(try_upload(&w, WINDOWS_COUNT, true, &body), &w.err);
    expect_object(&w, &body);

    const uint64_t again_bytes = s3_parts_sent_bytes(w.s3);

    /* Two parts with a change in them, and what the first try had not sent. */
    assert_int_equal(again_bytes + w.reused_bytes, body.len);
    assert_true(again_bytes <= 2 * 16 * MIB + (body.len - first_bytes));
    assert_int_equal(s3_parts_unfinished(w.s3), 0);
}

/* A process that dies leaves what it left after some part; here after each number of parts. */
static void wherever_the_first_try_ended_the_object_is_the_second(void **state)
{
    (void)state;
    for (size_t parts = 0; parts < 6; parts += 2) {
        HF_AUTO_BUF body = {0};
        AUTO_WORLD w;

        open_world(&w, "http://h:9", &good);
        s3_parts_fail_after(w.s3, parts);
        assert_int_equal(try_upload(&w, WINDOWS_COUNT, true, &body), HF_DENIED);
        assert_int_equal(s3_parts_unfinished(w.s3), 1);
        s3_parts_fail_after(w.s3, SIZE_MAX);

        const uint64_t first_bytes = s3_parts_sent_bytes(w.s3);

        w.versions[1]++;
        hf_must(try_upload(&w, WINDOWS_COUNT, true, &body), &w.err);
        expect_object(&w, &body);
        assert_int_equal(s3_parts_sent_bytes(w.s3) + w.reused_bytes, body.len);
        /* All but the first part, which changed. */
        assert_true(w.reused_bytes + 16 * MIB >= first_bytes);
        assert_true(parts < 2 || w.reused_bytes > 0);
    }
}

static void a_source_that_shrank_leaves_no_part_behind(void **state)
{
    HF_AUTO_BUF body = {0};
    AUTO_WORLD w;

    (void)state;
    open_world(&w, "http://h:9", &good);
    hf_must(try_upload(&w, WINDOWS_COUNT, false, &body), &w.err);
    hf_must(try_upload(&w, WINDOWS_COUNT / 2, true, &body), &w.err);
    expect_object(&w, &body);
    assert_true(w.reused_bytes > 0);
}

static void where_etags_are_no_md5_everything_is_sent(void **state)
{
    static const struct s3_parts_odd odd = {.etags_are_no_md5 = true};
    HF_AUTO_BUF body = {0};
    AUTO_WORLD w;

    (void)state;
    open_world(&w, "http://h:9", &odd);
    hf_must(try_upload(&w, WINDOWS_COUNT, false, &body), &w.err);
    (void)s3_parts_sent_bytes(w.s3);
    hf_must(try_upload(&w, WINDOWS_COUNT, true, &body), &w.err);
    expect_object(&w, &body);
    assert_int_equal(w.reused_bytes, 0);
    assert_int_equal(s3_parts_sent_bytes(w.s3), body.len);
}

static void without_the_permission_to_list_a_failed_upload_is_aborted(void **state)
{
    static const struct s3_parts_odd odd = {.listing_denied = true};
    HF_AUTO_BUF body = {0};
    AUTO_WORLD w;

    (void)state;
    open_world(&w, "http://h:9", &odd);
    hf_must(try_upload(&w, WINDOWS_COUNT, false, &body), &w.err);
    assert_int_equal(s3_parts_unfinished(w.s3), 0);
    hf_must(try_upload(&w, WINDOWS_COUNT, true, &body), &w.err);
    expect_object(&w, &body);
}

static void the_newest_is_resumed_and_older_ones_of_the_key_are_aborted(void **state)
{
    HF_AUTO_BUF body = {0};
    AUTO_WORLD w;

    (void)state;
    open_world(&w, "http://h:9", &good);
    for (int i = 0; i < 3; i++)
        s3_parts_begin(w.s3, KEY);
    s3_parts_begin(w.s3, KEY "-of-another");
    hf_must(try_upload(&w, WINDOWS_COUNT, false, &body), &w.err);
    assert_int_equal(s3_parts_unfinished(w.s3), 2);
    hf_must(try_upload(&w, WINDOWS_COUNT, true, &body), &w.err);
    assert_true(w.reused_bytes > 0);
    expect_object(&w, &body);
    assert_int_equal(s3_parts_unfinished(w.s3), 1);
}

static void an_upload_that_another_ended_is_begun_again_by_the_next_try(void **state)
{
    HF_AUTO_BUF body = {0};
    HF_CLEANUP(hf_upload_free_ptr) struct hf_upload *u = NULL;
    static const struct hf_put put = {.resume = true};
    HF_AUTO_FREE uint8_t *zeros = hf_calloc(1, 17 * MIB);
    AUTO_WORLD w;

    (void)state;
    open_world(&w, "http://h:9", &good);
    hf_must(hf_upload_new(w.store, "k", &put, &u, &w.err), &w.err);
    hf_must(hf_upload_write(u, hf_slice(zeros, 17 * MIB), &w.err), &w.err);
    s3_parts_end_all(w.s3);
    assert_int_equal(hf_upload_finish(u, NULL, &w.err), HF_TRANSIENT);
    hf_upload_free_ptr(&u);
    hf_must(try_upload(&w, WINDOWS_COUNT, true, &body), &w.err);
    expect_object(&w, &body);
}

/* Two processes in one upload: Complete names the bytes of one, so a mixture is refused. */
static void a_part_that_another_wrote_between_never_gets_into_the_object(void **state)
{
    HF_AUTO_BUF body = {0};
    AUTO_WORLD w;

    (void)state;
    open_world(&w, "http://h:9", &good);
    s3_parts_replace_one(w.s3);
    assert_int_not_equal(try_upload(&w, WINDOWS_COUNT, true, &body), HF_OK);
    assert_null(s3_parts_object(w.s3));
    hf_must(try_upload(&w, WINDOWS_COUNT, true, &body), &w.err);
    expect_object(&w, &body);
}

static void a_store_that_wants_parts_of_one_size_gets_them(void **state)
{
    static const struct {
        const char *endpoint;
        bool known; /* before it refused */
    } cases[] = {{"https://account.r2.cloudflarestorage.com", true}, {"http://h:9", false}};
    static const struct s3_parts_odd odd = {.parts_of_one_size = true};

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        HF_AUTO_BUF body = {0};
        AUTO_WORLD w;

        open_world(&w, cases[i].endpoint, &odd);
        if (!cases[i].known) {
            assert_int_equal(try_upload(&w, WINDOWS_COUNT, true, &body), HF_TRANSIENT);
            assert_non_null(strstr(w.err.text, "of one size"));
            assert_int_equal(s3_parts_unfinished(w.s3), 0);
        }
        hf_must(try_upload(&w, WINDOWS_COUNT, true, &body), &w.err);
        expect_object(&w, &body);
    }
}

static void a_conflict_at_the_end_leaves_nothing_to_resume(void **state)
{
    HF_AUTO_BUF body = {0};
    HF_AUTO_BUF other = {0};
    AUTO_WORLD w;

    (void)state;
    open_world(&w, "http://h:9", &good);
    hf_must(try_upload(&w, WINDOWS_COUNT, true, &body), &w.err);
    w.versions[3]++;
    assert_int_equal(try_upload(&w, WINDOWS_COUNT, true, &other), HF_CONFLICT);
    expect_object(&w, &body);
    assert_int_equal(s3_parts_unfinished(w.s3), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_try_sends_only_what_changed),
        cmocka_unit_test(wherever_the_first_try_ended_the_object_is_the_second),
        cmocka_unit_test(a_source_that_shrank_leaves_no_part_behind),
        cmocka_unit_test(where_etags_are_no_md5_everything_is_sent),
        cmocka_unit_test(without_the_permission_to_list_a_failed_upload_is_aborted),
        cmocka_unit_test(the_newest_is_resumed_and_older_ones_of_the_key_are_aborted),
        cmocka_unit_test(an_upload_that_another_ended_is_begun_again_by_the_next_try),
        cmocka_unit_test(a_part_that_another_wrote_between_never_gets_into_the_object),
        cmocka_unit_test(a_store_that_wants_parts_of_one_size_gets_them),
        cmocka_unit_test(a_conflict_at_the_end_leaves_nothing_to_resume),
    };

    return cmocka_run_group_tests_name("s3_resume", tests, NULL, NULL);
}
