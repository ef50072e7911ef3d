/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: holdfast/format is written once, byte for byte as documented, and never misread.
 * Method: golden bytes; every single-byte change of them; races and lost answers by store_fault.
 */
#include "archive/format.h"

#include "fake.h"
#include "lib/store_fault.h"

static const char golden[] =
    "{\n"
    "  \"format\": 1,\n"
    "  \"least_reader\": 1,\n"
    "  \"engine\": \"sqlite\",\n"
    "  \"page_bytes\": 4096,\n"
    "  \"seed\": \"fedcba9876543210\",\n"
    "  \"lineage\": \"00112233445566778899aabbccddeeff\",\n"
    "  \"layout\": \"0000\"\n"
    "}\n";

static const struct hf_archive_format golden_format = {
    .number = 1,
    .least_reader = 1,
    .engine = "sqlite",
    .page_bytes = 4096,
    .seed = UINT64_C(0xfedcba9876543210),
    .lineage = "00112233445566778899aabbccddeeff",
    .layout = HF_LAYOUT_HEX,
};

static void assert_same_format(const struct hf_archive_format *a, const struct hf_archive_format *b)
{
    assert_int_equal(a->number, b->number);
    assert_int_equal(a->least_reader, b->least_reader);
    assert_string_equal(a->engine, b->engine);
    assert_int_equal(a->page_bytes, b->page_bytes);
    assert_true(a->seed == b->seed);
    assert_string_equal(a->lineage, b->lineage);
    assert_int_equal(a->layout, b->layout);
}

static void bytes_are_the_documented_ones(void **state)
{
    HF_AUTO_BUF body = {0};
    struct hf_archive_format back;
    struct hf_err err;

    (void)state;
    hf_format_print(&golden_format, &body);
    assert_string_equal(hf_buf_str(&body), golden);
    hf_must(hf_format_parse(hf_slice_str(golden), &back, &err), &err);
    assert_same_format(&back, &golden_format);
}

static void unknown_fields_are_skipped(void **state)
{
    HF_AUTO_FREE char *text = hf_strfmt("{\"later\": [1, {}], %s", golden + 1);
    struct hf_archive_format back;
    struct hf_err err;

    (void)state;
    hf_must(hf_format_parse(hf_slice_str(text), &back, &err), &err);
    assert_same_format(&back, &golden_format);
}

static void ill_formed_objects_are_damage(void **state)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "null",
        "{}",
        "{\"format\": 1}",
        "{\"format\": 1, \"least_reader\": -1}",
        "{\"format\": 1, \"least_reader\": \"1\"}",
        "{\"format\": 1.0, \"least_reader\": 1}",
        "{\"format\": 1, \"format\": 1, \"least_reader\": 1}",
    };
    struct hf_archive_format back = {.number = 77};
    struct hf_err err;

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(bad); i++)
        assert_int_equal(hf_format_parse(hf_slice_str(bad[i]), &back, &err), HF_DAMAGE);
    /* Cut anywhere, it is damage: no field is optional. The newline behind it is. */
    for (size_t len = 0; len + 2 < sizeof(golden); len++)
        assert_int_equal(hf_format_parse(hf_slice(golden, len), &back, &err), HF_DAMAGE);
    assert_int_equal(back.number, 77);
}

/* Exchange one text in the golden object for another of any length. */
static enum hf_code parse_with(const char *old, const char *with, struct hf_err *err)
{
    const char *at = strstr(golden, old);
    struct hf_archive_format back;

    assert_non_null(at);
    HF_AUTO_FREE char *text =
        hf_strfmt("%.*s%s%s", (int)(at - golden), golden, with, at + strlen(old));
    return hf_format_parse(hf_slice_str(text), &back, err);
}

static void each_field_is_checked(void **state)
{
    static const struct {
        const char *old;
        const char *with;
        const char *named;
    } cases[] = {
        {"\"sqlite\"", "\"\"", "engine"},
        {"\"sqlite\"", "\"0123456789012345678901234567890123\"", "engine"},
        {"4096", "-1", "page_bytes"},
        {"4096", "65537", "page_bytes"},
        {"fedc", "FEDC", "seed"},
        {"fedc", "fed", "seed"},
        {"\"fedcba9876543210\"", "1", "seed"},
        {"0011", "00112", "lineage"},
        {"0011", "001g", "lineage"},
        {"\"0000\"", "\"1111\"", "layout"},
        {"\"layout\"", "\"Layout\"", "layout"},
        {"\"sqlite\"", "\"sql\xff\"", "JSON"},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        struct hf_err err;

        assert_int_equal(parse_with(cases[i].old, cases[i].with, &err), HF_DAMAGE);
        assert_says(&err, cases[i].named);
    }
}

static void a_newer_least_reader_is_refused_with_both_numbers(void **state)
{
    struct hf_archive_format back;
    struct hf_err err;
    struct fake f;
    struct hf_archive a;
    static const char newer[] = "{\"format\": 12, \"least_reader\": 11, \"engine\": {}}";

    (void)state;
    assert_int_equal(hf_format_parse(hf_slice_str(newer), &back, &err), HF_UNSUPPORTED);
    assert_says(&err, "format 12");
    assert_says(&err, "reader of format 11");
    assert_says(&err, "up to format 1");
    /* A newer writer that lets us read is read. */
    hf_must(parse_with("\"format\": 1", "\"format\": 9", &err), &err);

    fake_init(&f);
    fake_put(&f, "t/a.db/holdfast/format", hf_slice_str(newer));
    assert_int_equal(hf_archive_open(&f.store->base, "t/a.db", &a, &f.err), HF_UNSUPPORTED);
    assert_says(&f.err, "t/a.db");
    fake_done(&f);
}

static void first_format_stays(void **state)
{
    struct hf_rand rand = hf_rand_seeded(4);

    (void)state;
    for (int cond = 0; cond < 2; cond++) {
        struct hf_archive_format first;
        struct hf_archive_format second;
        struct hf_archive other;
        struct fake f;

        fake_init(&f);
        if (cond == 0)
            f.store->base.caps &= ~(unsigned)HF_STORE_COND_PUT;
        other = f.archive;
        hf_format_init(&first, "sqlite", 4096, HF_LAYOUT_HEX, &rand);
        hf_format_init(&second, "sqlite", 8192, HF_LAYOUT_LTX, &rand);
        assert_true(first.seed != second.seed);
        assert_string_not_equal(first.lineage, second.lineage);
        hf_must(hf_format_create(&f.archive, &first, &f.err), &f.err);
        assert_same_format(&f.archive.format, &first);
        hf_must(hf_format_create(&other, &second, &f.err), &f.err);
        assert_true(other.has_format);
        assert_same_format(&other.format, &first);
        assert_int_equal(other.layout, HF_LAYOUT_HEX);
        fake_done(&f);
    }
}

/* A store on which somebody else's format appears just before the first put. */
struct rival_store {
    struct hf_store base;
    struct hf_store_ops ops;
    struct fake *fake;
    bool came;
};

static enum hf_code rival_put(struct hf_store *s, const char *key, struct hf_slice body,
                              const struct hf_put *put, struct hf_etag *ret_etag,
                              struct hf_err *err)
{
    struct rival_store *r = (struct rival_store *)s;

    if (!r->came)
        fake_put(r->fake, key, hf_slice_str(golden));
    r->came = true;
    return hf_store_put(&r->fake->store->base, key, body, put, ret_etag, err);
}

static enum hf_code rival_get(struct hf_store *s, const char *key, uint64_t offset, uint64_t len,
                              struct hf_buf *ret, struct hf_object *ret_object, struct hf_err *err)
{
    struct rival_store *r = (struct rival_store *)s;

    return hf_store_get(&r->fake->store->base, key, offset, len, ret, ret_object, err);
}

static void a_rival_that_is_faster_is_adopted(void **state)
{
    struct hf_rand rand = hf_rand_seeded(5);
    struct hf_archive_format mine;
    struct fake f;
    struct rival_store r = {.fake = &f};
    char url[] = "mem://rival";

    (void)state;
    fake_init(&f);
    r.ops.put = rival_put;
    r.ops.get = rival_get;
    r.base = (struct hf_store){.ops = &r.ops, .caps = HF_STORE_COND_PUT, .url = url};
    f.archive.store = &r.base;
    hf_format_init(&mine, "sqlite", 8192, HF_LAYOUT_HEX, &rand);
    hf_must(hf_format_create(&f.archive, &mine, &f.err), &f.err);
    assert_true(r.came);
    assert_same_format(&f.archive.format, &golden_format);
    fake_done(&f);
}

static void lost_answers_are_settled_by_looking(void **state)
{
    (void)state;
    for (int cond = 0; cond < 2; cond++) {
        struct fake f;

        fake_init(&f);
        if (cond == 0)
            f.store->base.caps &= ~(unsigned)HF_STORE_COND_PUT;
        struct store_fault *fault = store_fault_new(&f.store->base);

        f.archive.store = &fault->base;
        store_fault_arm(fault, (struct store_fault_plan){
                                   .kinds = STORE_PUT, .fail_at = 1, .after_effect = true});
        hf_must(hf_format_create(&f.archive, &golden_format, &f.err), &f.err);
        assert_int_equal(fault->guarded.failed, 1);
        assert_same_format(&f.archive.format, &golden_format);
        hf_store_free(&fault->base);
        fake_done(&f);
    }
}

static void a_failed_put_leaves_no_format(void **state)
{
    struct fake f;

    (void)state;
    fake_init(&f);
    struct store_fault *fault = store_fault_new(&f.store->base);

    f.archive.store = &fault->base;
    store_fault_arm(fault,
                    (struct store_fault_plan){.kinds = STORE_PUT, .fail_at = 1, .code = HF_DENIED});
    assert_int_equal(hf_format_create(&f.archive, &golden_format, &f.err), HF_DENIED);
    assert_false(f.archive.has_format);
    assert_null(store_mem_find(f.store, "t/a.db/holdfast/format"));

    /* Puts that stay uncertain and never take effect do not go round for ever. */
    store_fault_arm(
        fault, (struct store_fault_plan){
                   .kinds = STORE_PUT, .fail_at = 1, .from_then_on = true, .code = HF_UNCERTAIN});
    assert_int_equal(hf_format_create(&f.archive, &golden_format, &f.err), HF_UNCERTAIN);
    assert_true(fault->guarded.failed < 10);
    hf_store_free(&fault->base);
    fake_done(&f);
}

static void another_page_size_or_engine_is_told_apart(void **state)
{
    struct fake f;

    (void)state;
    fake_init(&f);
    hf_must(hf_format_create(&f.archive, &golden_format, &f.err), &f.err);
    hf_must(hf_format_check(&f.archive, "sqlite", 4096, &f.err), &f.err);
    assert_int_equal(hf_format_check(&f.archive, "sqlite", 8192, &f.err), HF_USAGE);
    assert_says(&f.err, "pages of 4096 bytes");
    assert_says(&f.err, "pages of 8192");
    assert_int_equal(hf_format_check(&f.archive, "postgres", 4096, &f.err), HF_USAGE);
    assert_says(&f.err, "postgres");
    fake_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_the_documented_ones),
        cmocka_unit_test(unknown_fields_are_skipped),
        cmocka_unit_test(ill_formed_objects_are_damage),
        cmocka_unit_test(each_field_is_checked),
        cmocka_unit_test(a_newer_least_reader_is_refused_with_both_numbers),
        cmocka_unit_test(first_format_stays),
        cmocka_unit_test(a_rival_that_is_faster_is_adopted),
        cmocka_unit_test(lost_answers_are_settled_by_looking),
        cmocka_unit_test(a_failed_put_leaves_no_format),
        cmocka_unit_test(another_page_size_or_engine_is_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
