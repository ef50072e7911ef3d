/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: slips of the fingers find the word that was meant; other words find none.
 * Method: tables; the distance is held against the plain recursive definition on random words.
 */
#include "config/nearest.h"

#include <string.h>

#include "base/rand.h"
#include "lib/fixture.h"

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The definition, on suffixes, with no table at all. */
static size_t oracle(const char *a, const char *b)
{
    size_t ret;

    if (a[0] == '\0' || b[0] == '\0')
        return strlen(a) + strlen(b);
    ret = oracle(a + 1, b + 1) + (a[0] != b[0]);
    ret = least(ret, oracle(a + 1, b) + 1);
    ret = least(ret, oracle(a, b + 1) + 1);
    if (a[1] != '\0' && b[1] != '\0' && a[0] == b[1] && a[1] == b[0])
        ret = least(ret, oracle(a + 2, b + 2) + 1);
    return ret;
}

static void random_word(struct hf_rand *r, char ret[8])
{
    const size_t len = (size_t)hf_rand_below(r, 7);

    for (size_t i = 0; i < len; i++)
        ret[i] = (char)('a' + hf_rand_below(r, 3));
    ret[len] = '\0';
}

static void distance_is_that_of_the_definition(void **state)
{
    struct hf_rand r = hf_rand_seeded(7);

    (void)state;
    for (int i = 0; i < 2000; i++) {
        char a[8];
        char b[8];

        random_word(&r, a);
        random_word(&r, b);
        assert_int_equal(hf_nearest_distance(a, b), oracle(a, b));
    }
}

static void slips_find_the_word_that_was_meant(void **state)
{
    static const char *const words[] = {"name", "partitions", "capture", "seal", "retention"};
    static const struct {
        const char *word;
        const char *meant;
    } cases[] = {
        {"nmae", "name"},
        {"names", "name"},
        {"partition", "partitions"},
        {"partitoins", "partitions"},
        {"Capture", "capture"},
        {"retnetion", "retention"},
        {"sael", "seal"},
        {"", NULL},
        {"scrub", NULL},
        {"colour", NULL},
        {"capture", "capture"},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        const char *meant = hf_nearest(cases[i].word, words, HF_ARRAY_LEN(words));

        if (cases[i].meant == NULL)
            assert_null(meant);
        else
            assert_string_equal(meant, cases[i].meant);
    }
}

static void the_nearest_of_several_wins_and_the_first_of_equals(void **state)
{
    static const char *const words[] = {"restart", "restore", "rescore"};

    (void)state;
    assert_string_equal(hf_nearest("restor", words, 3), "restore");
    assert_string_equal(hf_nearest("reskore", words, 3), "restore");
    assert_null(hf_nearest("x", words, 0));
}

static void a_word_too_long_to_be_a_slip_has_no_nearest(void **state)
{
    char word[HF_NEAREST_WORD_MAX + 2];
    const char *const words[] = {word};

    (void)state;
    (void)memset(word, 'a', sizeof(word));
    word[HF_NEAREST_WORD_MAX] = '\0';
    assert_ptr_equal(hf_nearest(word, words, 1), word);
    word[HF_NEAREST_WORD_MAX] = 'a';
    word[HF_NEAREST_WORD_MAX + 1] = '\0';
    assert_null(hf_nearest(word, words, 1));
    assert_true(hf_nearest_distance("a", word) == SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distance_is_that_of_the_definition),
        cmocka_unit_test(slips_find_the_word_that_was_meant),
        cmocka_unit_test(the_nearest_of_several_wins_and_the_first_of_equals),
        cmocka_unit_test(a_word_too_long_to_be_a_slip_has_no_nearest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
