/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a seed repeats, the kernel does not.
 * Method: the published first values of SplitMix64; counts over a small range.
 */
#include "base/rand.h"
#include "lib/fixture.h"

/* For seed 1234567, as in Vigna's reference and the tests of several languages. */
static void seeded_generator_is_splitmix64(void **state)
{
    static const uint64_t want[] = {UINT64_C(6457827717110365317), UINT64_C(3203168211198807973),
                                    UINT64_C(9817491932198370423), UINT64_C(4593380528125082431),
                                    UINT64_C(16408922859458223821)};
    struct hf_rand rand = hf_rand_seeded(1234567);

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(want); i++)
        assert_true(hf_rand_u64(&rand) == want[i]);
}

static void same_seed_repeats_and_another_does_not(void **state)
{
    struct hf_rand a = hf_rand_seeded(42);
    struct hf_rand b = hf_rand_seeded(42);
    struct hf_rand c = hf_rand_seeded(43);
    unsigned equal = 0;

    (void)state;
    for (int i = 0; i < 100; i++) {
        const uint64_t x = hf_rand_u64(&a);

        assert_true(x == hf_rand_u64(&b));
        equal += x == hf_rand_u64(&c) ? 1 : 0;
    }
    assert_int_equal(equal, 0);
}

static void below_reaches_every_value_and_no_other(void **state)
{
    struct hf_rand rand = hf_rand_seeded(9);
    unsigned seen[7] = {0};

    (void)state;
    for (int i = 0; i < 7000; i++) {
        const uint64_t x = hf_rand_below(&rand, HF_ARRAY_LEN(seen));

        assert_true(x < HF_ARRAY_LEN(seen));
        seen[x]++;
    }
    for (size_t i = 0; i < HF_ARRAY_LEN(seen); i++)
        assert_in_range(seen[i], 800, 1200); /* six standard deviations from 1000 */
    assert_int_equal(hf_rand_below(&rand, 1), 0);
}

static void generator_of_the_machine_does_not_repeat(void **state)
{
    uint64_t seen[100];

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(seen); i++) {
        seen[i] = hf_rand_u64(hf_rand_system());
        for (size_t k = 0; k < i; k++)
            assert_true(seen[i] != seen[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeded_generator_is_splitmix64),
        cmocka_unit_test(same_seed_repeats_and_another_does_not),
        cmocka_unit_test(below_reaches_every_value_and_no_other),
        cmocka_unit_test(generator_of_the_machine_does_not_repeat),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
