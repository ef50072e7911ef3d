/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a segment is read exactly, wherever it lies in its object; short and missing objects are
 * told apart.
 * Method: random ranges against the bytes that were put; objects cut and deleted after listing.
 */
#include "archive/source.h"

#include "base/rand.h"
#include "fake.h"

#define KEY  "t/a.db/0000/0000000000000001-0000000000000001.ltx"
#define SIZE 1000

static void put_pattern(struct fake *f, size_t size)
{
    uint8_t body[SIZE];

    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (uint8_t)(i * 7 + i / 256);
    fake_put(f, KEY, hf_slice(body, size));
}

static void open_source(struct fake *f, uint64_t offset, uint64_t length,
                        struct hf_segment_source *ret)
{
    const struct hf_segment segment = {.min_txid = 1, .max_txid = 1, .size_bytes = length};
    struct hf_segment_ref ref;

    hf_segment_ref_init(&ref, &f->archive, &segment);
    assert_string_equal(ref.key, KEY);
    assert_int_equal(ref.offset_bytes, 0);
    assert_int_equal(ref.length_bytes, length);
    ref.offset_bytes = offset;
    hf_segment_source_init(ret, &f->archive, &ref);
    hf_segment_ref_done(&ref); /* not kept */
    assert_int_equal(ret->base.size_bytes, length);
    assert_string_equal(ret->base.name, KEY);
}

static void ranges_are_read_exactly(void **state)
{
    struct hf_rand rand = hf_rand_seeded(1);
    struct fake f;

    (void)state;
    fake_init(&f);
    put_pattern(&f, SIZE);
    const struct store_mem_object *o = store_mem_find(f.store, KEY);

    for (int i = 0; i < 300; i++) {
        const uint64_t at = hf_rand_below(&rand, SIZE);
        const uint64_t length = hf_rand_below(&rand, SIZE - at + 1);
        const uint64_t offset = hf_rand_below(&rand, length + 1);
        const size_t len = (size_t)hf_rand_below(&rand, length - offset + 1);
        HF_CLEANUP(hf_segment_source_done) struct hf_segment_source s;
        HF_AUTO_BUF got = {0};

        open_source(&f, at, length, &s);
        hf_buf_append(&got, "ab", 2);
        hf_must(s.base.read(&s.base, offset, len, &got, &f.err), &f.err);
        assert_int_equal(got.len, len + 2);
        assert_memory_equal(got.ptr, "ab", 2);
        if (len > 0)
            assert_memory_equal(got.ptr + 2, o->body.ptr + at + offset, len);
    }
    fake_done(&f);
}

static void reading_past_the_end_is_damage_without_a_request(void **state)
{
    static const struct {
        uint64_t offset;
        size_t len;
    } cases[] = {{0, SIZE + 1}, {SIZE, 1}, {SIZE + 1, 0}, {UINT64_MAX, 2}, {1, SIZE_MAX}};
    HF_CLEANUP(hf_segment_source_done) struct hf_segment_source s;
    HF_AUTO_BUF got = {0};
    struct fake f;

    (void)state;
    fake_init(&f);
    put_pattern(&f, SIZE);
    open_source(&f, 0, SIZE, &s);
    (void)store_mem_requests_take(f.store);
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++)
        assert_int_equal(s.base.read(&s.base, cases[i].offset, cases[i].len, &got, &f.err),
                         HF_DAMAGE);
    assert_int_equal(got.len, 0);
    assert_int_equal(store_mem_requests_take(f.store).get, 0);
    fake_done(&f);
}

static void a_short_object_is_damage_and_says_by_how_much(void **state)
{
    HF_CLEANUP(hf_segment_source_done) struct hf_segment_source s;
    HF_AUTO_BUF got = {0};
    struct fake f;

    (void)state;
    fake_init(&f);
    put_pattern(&f, SIZE - 30);
    open_source(&f, 0, SIZE, &s);
    hf_must(s.base.read(&s.base, 0, 500, &got, &f.err), &f.err);
    hf_buf_reset(&got);
    for (uint64_t offset = 0; offset < SIZE; offset += 333) {
        assert_int_equal(s.base.read(&s.base, offset, (size_t)(SIZE - offset), &got, &f.err),
                         HF_DAMAGE);
        assert_says(&f.err, KEY " is 30 bytes shorter than listed");
        assert_int_equal(got.len, 0);
    }
    fake_done(&f);
}

static void an_object_that_is_gone_is_a_hole_and_named(void **state)
{
    HF_CLEANUP(hf_segment_source_done) struct hf_segment_source s;
    HF_AUTO_BUF got = {0};
    struct fake f;

    (void)state;
    fake_init(&f);
    put_pattern(&f, SIZE);
    open_source(&f, 0, SIZE, &s);
    hf_must(hf_store_delete(&f.store->base, KEY, &f.err), &f.err);
    assert_int_equal(s.base.read(&s.base, 0, 10, &got, &f.err), HF_HOLE);
    assert_says(&f.err, KEY " was listed and is gone");
    assert_int_equal(got.len, 0);
    fake_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_read_exactly),
        cmocka_unit_test(reading_past_the_end_is_damage_without_a_request),
        cmocka_unit_test(a_short_object_is_damage_and_says_by_how_much),
        cmocka_unit_test(an_object_that_is_gone_is_a_hole_and_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
