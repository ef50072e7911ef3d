/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: the hashes are those of the formats, bit for bit.
 * Method: published vectors; a CRC computed bit by bit as the model; sums of roots against
 * unsigned __int128.
 */
#include <string.h>

#include "base/hash.h"
#include "base/rand.h"
#include "lib/fixture.h"

#define DATA_LEN 3000

/* CRC-64/GO-ISO as its parameters define it: polynomial x^64 + x^4 + x^3 + x + 1, reflected, begun
 * and ended with all ones. */
static uint64_t model_crc(const uint8_t *p, size_t len)
{
    uint64_t crc = UINT64_MAX;

    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 1) != 0 ? (crc >> 1) ^ UINT64_C(0xD800000000000000) : crc >> 1;
    }
    return ~crc;
}

static void fill(struct hf_rand *rand, uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)hf_rand_u64(rand);
}

static void crc_has_the_published_check_value(void **state)
{
    (void)state;
    assert_true(hf_crc64(0, "123456789", 9) == UINT64_C(0xB90956C775A41001));
    assert_true(hf_crc64(0, "", 0) == 0);
}

static void crc_equals_the_model_and_can_be_continued(void **state)
{
    struct hf_rand rand = hf_rand_seeded(3);
    uint8_t data[DATA_LEN];

    (void)state;
    fill(&rand, data, sizeof(data));
    for (int i = 0; i < 300; i++) {
        const size_t len = (size_t)hf_rand_below(&rand, DATA_LEN + 1);
        const size_t split = (size_t)hf_rand_below(&rand, len + 1);
        const uint64_t whole = hf_crc64(0, data, len);

        assert_true(whole == model_crc(data, len));
        assert_true(whole == hf_crc64(hf_crc64(0, data, split), data + split, len - split));
    }
}

static void combined_crc_equals_the_direct_one(void **state)
{
    struct hf_rand rand = hf_rand_seeded(4);
    uint8_t data[DATA_LEN];

    (void)state;
    fill(&rand, data, sizeof(data));
    for (int i = 0; i < 300; i++) {
        const size_t len = (size_t)hf_rand_below(&rand, DATA_LEN + 1);
        const size_t split = (size_t)hf_rand_below(&rand, len + 1);

        assert_true(hf_crc64_combine(hf_crc64(0, data, split),
                                     hf_crc64(0, data + split, len - split),
                                     len - split) == hf_crc64(0, data, len));
    }
}

/* The table of one length against the general way, which the tests above hold to the CRC itself. */
static void joining_by_a_table_is_combining(void **state)
{
    static const uint64_t lengths[] = {0, 1, 512, 4096, 65536, UINT64_C(1) << 40};
    struct hf_rand rand = hf_rand_seeded(8);
    struct hf_crc64_shift shift;

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(lengths); i++) {
        hf_crc64_shift_init(&shift, lengths[i]);
        for (int j = 0; j < 200; j++) {
            const uint64_t a = j < 64 ? UINT64_C(1) << j : hf_rand_u64(&rand);
            const uint64_t b = hf_rand_u64(&rand);

            assert_true(hf_crc64_join(&shift, a, b) == hf_crc64_combine(a, b, lengths[i]));
        }
    }
}

/* Two lengths on after one another are their sum: far behind what can be hashed directly. */
static void combining_over_terabytes_is_consistent(void **state)
{
    struct hf_rand rand = hf_rand_seeded(5);

    (void)state;
    for (int i = 0; i < 100; i++) {
        const uint64_t crc = hf_rand_u64(&rand);
        const uint64_t a = hf_rand_below(&rand, UINT64_C(1) << 45);
        const uint64_t b = hf_rand_below(&rand, UINT64_C(1) << 45);

        assert_true(hf_crc64_combine(hf_crc64_combine(crc, 0, a), 0, b) ==
                    hf_crc64_combine(crc, 0, a + b));
        assert_true(hf_crc64_combine(crc, 0, 0) == crc);
    }
}

static unsigned __int128 wide(struct hf_root r)
{
    return (unsigned __int128)r.hi << 64 | r.lo;
}

static void roots_add_and_subtract_modulo_2_to_the_128(void **state)
{
    static const uint64_t edges[] = {0, 1, UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63};
    struct hf_rand rand = hf_rand_seeded(6);

    (void)state;
    for (int i = 0; i < 2000; i++) {
        const struct hf_root x = {hf_rand_u64(&rand),
                                  i % 2 == 0 ? edges[i / 2 % 5] : hf_rand_u64(&rand)};
        const struct hf_root y = {hf_rand_u64(&rand),
                                  i % 3 == 0 ? edges[i / 3 % 5] : hf_rand_u64(&rand)};
        struct hf_root sum = x;

        hf_root_add(&sum, y);
        assert_true(wide(sum) == wide(x) + wide(y));
        hf_root_sub(&sum, x);
        assert_true(hf_root_equal(sum, y));
        sum = x;
        hf_root_sub(&sum, y);
        assert_true(wide(sum) == wide(x) - wide(y));
    }
}

static void roots_differ_if_either_half_does(void **state)
{
    const struct hf_root r = {1, 2};

    (void)state;
    assert_true(hf_root_equal(r, (struct hf_root){1, 2}));
    assert_false(hf_root_equal(r, (struct hf_root){2, 2}));
    assert_false(hf_root_equal(r, (struct hf_root){1, 1}));
}

static void root_is_stored_big_endian(void **state)
{
    const struct hf_root r = {UINT64_C(0x0001020304050607), UINT64_C(0x08090a0b0c0d0e0f)};
    uint8_t bytes[HF_ROOT_BYTES];
    char hex[HF_ROOT_HEX_MAX];

    (void)state;
    hf_root_put(bytes, r);
    for (size_t i = 0; i < sizeof(bytes); i++)
        assert_int_equal(bytes[i], i);
    assert_true(hf_root_equal(hf_root_get(bytes), r));
    hf_root_hex(r, hex);
    assert_string_equal(hex, "000102030405060708090a0b0c0d0e0f");
}

/* XXH3-128 of no bytes and no seed, from the xxHash specification's sanity values. */
static void page_hash_is_xxh3_of_name_and_page(void **state)
{
    struct hf_page_hasher *plain = hf_page_hasher_new(0);
    struct hf_page_hasher *seeded = hf_page_hasher_new(7);
    const struct hf_slice none = hf_slice("", 0);
    const struct hf_root empty = hf_page_hash(plain, none, none);
    const struct hf_root split = hf_page_hash(seeded, hf_slice_str("name"), hf_slice_str("page"));

    (void)state;
    assert_true(empty.hi == UINT64_C(0x99aa06d3014798d8));
    assert_true(empty.lo == UINT64_C(0x6001c324468d497f));
    assert_true(hf_root_equal(split, hf_page_hash(seeded, hf_slice_str("na"), /* same bytes */
                                                  hf_slice_str("mepage"))));
    assert_false(
        hf_root_equal(split, hf_page_hash(plain, hf_slice_str("name"), hf_slice_str("page"))));
    assert_false(
        hf_root_equal(split, hf_page_hash(seeded, hf_slice_str("namf"), hf_slice_str("page"))));
    hf_page_hasher_free(plain);
    hf_page_hasher_free(seeded);
    hf_page_hasher_free(NULL);
}

static void local_hash_is_xxh3_64(void **state)
{
    (void)state;
    assert_true(hf_hash64("", 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(hf_hash64("a", 1) != hf_hash64("b", 1));
}

static void assert_hex(const uint8_t bytes[HF_SHA256_BYTES], const char *want)
{
    char hex[HF_SHA256_HEX_MAX];

    hf_hex(hf_slice(bytes, HF_SHA256_BYTES), hex);
    assert_string_equal(hex, want);
}

/* FIPS 180-4 examples (NIST, "Secure Hash Standard" example values). */
/* RFC 1321 §A.5. */
static void md5_has_the_published_values(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"", "d41d8cd98f00b204e9800998ecf8427e"},
        {"abc", "900150983cd24fb0d6963f7d28e17f72"},
        {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(rows); i++) {
        uint8_t sum[HF_MD5_BYTES];
        char hex[2 * HF_MD5_BYTES + 1];

        assert_true(hf_md5(hf_slice_str(rows[i].text), sum));
        hf_hex(hf_slice(sum, sizeof(sum)), hex);
        assert_string_equal(hex, rows[i].want);
    }
}

static void sha256_has_the_published_values(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    uint8_t sum[HF_SHA256_BYTES];

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(rows); i++) {
        hf_sha256(hf_slice_str(rows[i].text), sum);
        assert_hex(sum, rows[i].want);
    }
}

/* RFC 4231, test cases 1, 2, 3 and 6 (a key longer than a block). */
static void hmac_has_the_published_values(void **state)
{
    uint8_t bytes[131];
    uint8_t sum[HF_SHA256_BYTES];

    (void)state;
    (void)memset(bytes, 0x0b, 20);
    hf_hmac_sha256(hf_slice(bytes, 20), hf_slice_str("Hi There"), sum);
    assert_hex(sum, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    hf_hmac_sha256(hf_slice_str("Jefe"), hf_slice_str("what do ya want for nothing?"), sum);
    assert_hex(sum, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    uint8_t data[50];

    (void)memset(bytes, 0xaa, sizeof(bytes));
    (void)memset(data, 0xdd, sizeof(data));
    hf_hmac_sha256(hf_slice(bytes, 20), hf_slice(data, sizeof(data)), sum);
    assert_hex(sum, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    hf_hmac_sha256(hf_slice(bytes, sizeof(bytes)),
                   hf_slice_str("Test Using Larger Than Block-Size Key - Hash Key First"), sum);
    assert_hex(sum, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void hex_is_lower_case(void **state)
{
    char hex[9];

    (void)state;
    hf_hex(hf_slice("\x00\x9f\xab\xff", 4), hex);
    assert_string_equal(hex, "009fabff");
    hf_hex(hf_slice("", 0), hex);
    assert_string_equal(hex, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc_has_the_published_check_value),
        cmocka_unit_test(crc_equals_the_model_and_can_be_continued),
        cmocka_unit_test(combined_crc_equals_the_direct_one),
        cmocka_unit_test(joining_by_a_table_is_combining),
        cmocka_unit_test(combining_over_terabytes_is_consistent),
        cmocka_unit_test(roots_add_and_subtract_modulo_2_to_the_128),
        cmocka_unit_test(roots_differ_if_either_half_does),
        cmocka_unit_test(root_is_stored_big_endian),
        cmocka_unit_test(page_hash_is_xxh3_of_name_and_page),
        cmocka_unit_test(local_hash_is_xxh3_64),
        cmocka_unit_test(md5_has_the_published_values),
        cmocka_unit_test(sha256_has_the_published_values),
        cmocka_unit_test(hmac_has_the_published_values),
        cmocka_unit_test(hex_is_lower_case),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
