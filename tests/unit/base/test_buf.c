/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a buffer holds the bytes that were put into it, in order, however it grows.
 * Method: random appends of every kind against a plain array.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/rand.h"
#include "lib/fixture.h"

#define MODEL_BYTES_MAX 200000

static void random_appends_equal_the_model(void **state)
{
    struct hf_rand rand = hf_rand_seeded(11);
    HF_AUTO_FREE uint8_t *model = hf_malloc(MODEL_BYTES_MAX);
    HF_AUTO_BUF buf = {0};
    size_t len = 0;

    (void)state;
    while (len < MODEL_BYTES_MAX - 1000) {
        const size_t more = (size_t)hf_rand_below(&rand, 700);
        uint8_t *from = model + len;

        for (size_t i = 0; i < more; i++)
            from[i] = (uint8_t)hf_rand_u64(&rand);
        switch (hf_rand_below(&rand, 3)) {
        case 0:
            hf_buf_append(&buf, from, more);
            break;
        case 1:
            if (more > 0)
                (void)memcpy(hf_buf_extend(&buf, more), from, more);
            break;
        default:
            if (more > 0)
                (void)memcpy(hf_buf_reserve(&buf, more), from, more);
            buf.len += more;
            break;
        }
        len += more;
        assert_int_equal(buf.len, len);
        assert_true(buf.cap >= buf.len);
    }
    assert_memory_equal(buf.ptr, model, len);
}

static void printing_appends_and_is_terminated(void **state)
{
    HF_AUTO_BUF buf = {0};
    HF_AUTO_BUF want = {0};

    (void)state;
    for (int i = 0; i < 500; i++) {
        HF_AUTO_FREE char *word = hf_strfmt("%d,", i * i);

        hf_buf_printf(&buf, "%d,", i * i);
        hf_buf_append(&want, word, strlen(word));
        assert_int_equal(buf.ptr[buf.len], 0);
    }
    assert_int_equal(buf.len, want.len);
    assert_string_equal(hf_buf_str(&buf), hf_buf_str(&want));
}

static void text_of_an_empty_buffer_is_empty(void **state)
{
    HF_AUTO_BUF buf = {0};

    (void)state;
    assert_string_equal(hf_buf_str(&buf), "");
    assert_int_equal(buf.len, 0);
    hf_buf_append(&buf, NULL, 0);
    assert_int_equal(hf_buf_slice(&buf).len, 0);
}

static void reset_keeps_memory_and_done_gives_it_back(void **state)
{
    HF_AUTO_BUF buf = {0};

    (void)state;
    hf_buf_printf(&buf, "%0100d", 7);
    const size_t cap = buf.cap;

    hf_buf_reset(&buf);
    assert_int_equal(buf.len, 0);
    assert_int_equal(buf.cap, cap);
    assert_string_equal(hf_buf_str(&buf), "");
    hf_buf_done(&buf);
    assert_null(buf.ptr);
    assert_int_equal(buf.cap, 0);
    hf_buf_printf(&buf, "again");
    assert_string_equal(hf_buf_str(&buf), "again");
}

static void taken_pointer_is_left_null(void **state)
{
    HF_AUTO_FREE char *text = hf_strdup("x");
    char *taken = hf_take_ptr(&text);

    (void)state;
    assert_null(text);
    assert_string_equal(taken, "x");
    hf_free(taken);
}

static void integers_have_their_byte_order_at_any_alignment(void **state)
{
    uint8_t bytes[16];

    (void)state;
    for (size_t at = 0; at < 8; at++) {
        hf_put_be64(bytes + at, UINT64_C(0x0102030405060708));
        assert_memory_equal(bytes + at, "\1\2\3\4\5\6\7\10", 8);
        assert_true(hf_get_be64(bytes + at) == UINT64_C(0x0102030405060708));
        assert_true(hf_get_le64(bytes + at) == UINT64_C(0x0807060504030201));
        assert_int_equal(hf_get_be32(bytes + at), 0x01020304);
        assert_int_equal(hf_get_le32(bytes + at), 0x04030201);
        assert_int_equal(hf_get_be16(bytes + at), 0x0102);
        hf_put_le32(bytes + at, 0xa1b2c3d4);
        assert_memory_equal(bytes + at, "\xd4\xc3\xb2\xa1", 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_appends_equal_the_model),
        cmocka_unit_test(printing_appends_and_is_terminated),
        cmocka_unit_test(text_of_an_empty_buffer_is_empty),
        cmocka_unit_test(reset_keeps_memory_and_done_gives_it_back),
        cmocka_unit_test(taken_pointer_is_left_null),
        cmocka_unit_test(integers_have_their_byte_order_at_any_alignment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
