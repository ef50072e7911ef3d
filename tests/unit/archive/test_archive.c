/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: an archive is opened with the layout it has, on any store; others' archives too.
 * Method: stores in memory of both kinds, with keys of both layouts put by hand.
 */
#include "archive/archive.h"

#include "fake.h"

#define SEG "0000000000000001-0000000000000001.ltx"

static void layout_without_format_is_that_of_the_segments(void **state)
{
    static const struct {
        bool own_is_ltx;
        const char *keys[3];
        enum hf_layout layout;
        enum hf_code rc;
    } cases[] = {
        {false, {NULL}, HF_LAYOUT_HEX, HF_OK},
        {true, {NULL}, HF_LAYOUT_LTX, HF_OK},
        {false, {"t/a.db/0000/" SEG}, HF_LAYOUT_HEX, HF_OK},
        {true, {"t/a.db/0000/" SEG}, HF_LAYOUT_HEX, HF_OK},
        {false, {"t/a.db/ltx/0/" SEG}, HF_LAYOUT_LTX, HF_OK},
        {true, {"t/a.db/ltx/0/" SEG}, HF_LAYOUT_LTX, HF_OK},
        {false, {"t/a.db/ltx/7/" SEG}, HF_LAYOUT_LTX, HF_OK},
        {true, {"t/a.db/0009/" SEG}, HF_LAYOUT_HEX, HF_OK},
        /* What only looks like the other layout does not count. */
        {true, {"t/a.db/0000/x/" SEG, "t/a.db/0000/manifest.json"}, HF_LAYOUT_LTX, HF_OK},
        {false, {"t/a.db/ltx/0/notes", "t/a.db2/ltx/0/" SEG}, HF_LAYOUT_HEX, HF_OK},
        {false, {"t/a.db/0001/note", "t/a.db/0001/" SEG}, HF_LAYOUT_HEX, HF_OK},
        {false, {"t/a.db/0000/" SEG, "t/a.db/ltx/0/" SEG}, HF_LAYOUT_HEX, HF_DAMAGE},
        {true, {"t/a.db/0000/" SEG, "t/a.db/ltx/0/" SEG}, HF_LAYOUT_LTX, HF_DAMAGE},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        struct fake f;
        struct hf_archive a;

        fake_init(&f);
        if (cases[i].own_is_ltx)
            f.store->base.caps |= HF_STORE_LTX_FOLDER;
        for (size_t k = 0; k < 3 && cases[i].keys[k] != NULL; k++)
            fake_put(&f, cases[i].keys[k], hf_slice_str("x"));
        (void)store_mem_requests_take(f.store);
        const enum hf_code rc = hf_archive_open(&f.store->base, "t/a.db", &a, &f.err);

        if (rc != cases[i].rc || (rc == HF_OK && a.layout != cases[i].layout))
            fail_msg("case %zu", i);
        const struct store_mem_requests n = store_mem_requests_take(f.store);

        assert_true(n.get == 1 && n.list == 2 && n.put + n.head + n.del == 0);
        if (rc == HF_OK)
            assert_false(a.has_format);
        fake_done(&f);
    }
}

static void format_decides_the_layout_with_one_request(void **state)
{
    struct fake f;
    struct hf_archive_format format;
    struct hf_rand rand = hf_rand_seeded(3);
    struct hf_archive a;

    (void)state;
    fake_init(&f);
    hf_format_init(&format, "sqlite", 4096, HF_LAYOUT_LTX, &rand);
    hf_must(hf_format_create(&f.archive, &format, &f.err), &f.err);
    fake_put(&f, "t/a.db/0000/" SEG, hf_slice_str("x"));
    (void)store_mem_requests_take(f.store);
    hf_must(hf_archive_open(&f.store->base, "t/a.db", &a, &f.err), &f.err);
    assert_true(a.has_format);
    assert_int_equal(a.layout, HF_LAYOUT_LTX);
    assert_int_equal(a.format.seed, format.seed);
    const struct store_mem_requests n = store_mem_requests_take(f.store);

    assert_true(n.get == 1 && n.list == 0);
    fake_done(&f);
}

static void prefix_is_checked_and_may_be_empty(void **state)
{
    char longest[HF_PREFIX_MAX + 2];
    char name[HF_NAME_MAX];
    char key[HF_KEY_MAX + 1];
    struct fake f;
    struct hf_archive a;

    (void)state;
    fake_init(&f);
    assert_int_equal(hf_archive_open(&f.store->base, "/x", &a, &f.err), HF_USAGE);
    assert_int_equal(hf_archive_open(&f.store->base, "x/", &a, &f.err), HF_USAGE);
    (void)memset(longest, 'p', sizeof(longest));
    longest[HF_PREFIX_MAX + 1] = '\0';
    assert_int_equal(hf_archive_open(&f.store->base, longest, &a, &f.err), HF_USAGE);

    /* The longest prefix leaves room for the longest name. */
    longest[HF_PREFIX_MAX] = '\0';
    hf_must(hf_archive_open(&f.store->base, longest, &a, &f.err), &f.err);
    hf_name_proof(HF_TXID_MAX, FAKE_START_MS, name);
    hf_archive_key(&a, name, key);
    assert_int_equal(strlen(key), HF_PREFIX_MAX + 1 + strlen(name));

    hf_must(hf_archive_open(&f.store->base, "", &a, &f.err), &f.err);
    hf_archive_key(&a, HF_NAME_FORMAT, key);
    assert_string_equal(key, "holdfast/format");
    fake_put(&f, "ltx/0/" SEG, hf_slice_str("x"));
    hf_must(hf_archive_open(&f.store->base, "", &a, &f.err), &f.err);
    assert_int_equal(a.layout, HF_LAYOUT_LTX);
    fake_done(&f);
}

static void messages_name_the_archive_by_url(void **state)
{
    struct fake f;
    char url[HF_ARCHIVE_URL_MAX];

    (void)state;
    fake_init(&f);
    hf_archive_url(&f.archive, url);
    assert_int_equal(strncmp(url, f.store->base.url, strlen(f.store->base.url)), 0);
    assert_string_equal(url + strlen(url) - strlen("/t/a.db"), "/t/a.db");
    fake_done(&f);
}

static void a_small_object_that_is_not_small_is_damage(void **state)
{
    struct fake f;
    HF_AUTO_BUF body = {0};
    HF_AUTO_BUF back = {0};

    (void)state;
    fake_init(&f);
    (void)memset(hf_buf_extend(&body, HF_OBJECT_BYTES_MAX + 1), ' ', HF_OBJECT_BYTES_MAX + 1);
    fake_put(&f, "t/a.db/holdfast/owner", hf_buf_slice(&body));
    assert_int_equal(hf_archive_get(&f.archive, HF_NAME_OWNER, &back, NULL, &f.err), HF_DAMAGE);
    assert_int_equal(back.len, 0);
    body.len--;
    fake_put(&f, "t/a.db/holdfast/owner", hf_buf_slice(&body));
    hf_must(hf_archive_get(&f.archive, HF_NAME_OWNER, &back, NULL, &f.err), &f.err);
    assert_int_equal(back.len, HF_OBJECT_BYTES_MAX);
    fake_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout_without_format_is_that_of_the_segments),
        cmocka_unit_test(format_decides_the_layout_with_one_request),
        cmocka_unit_test(prefix_is_checked_and_may_be_empty),
        cmocka_unit_test(messages_name_the_archive_by_url),
        cmocka_unit_test(a_small_object_that_is_not_small_is_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
