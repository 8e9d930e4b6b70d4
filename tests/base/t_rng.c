/* t_rng.c: known answers of Philox4x32-10 from the Random123 distribution (kat_vectors), and what is made from them. */
#include "tests/support/support.h"

#include "base/rng.h"

static void known_answers(void **state) {
    (void)state;
    /* counter words 0..3 and key words 0..1 as the reference lists them: word 0 is the low half of our first argument */
    static const struct {
        uint64_t key, lo, hi;
        uint32_t v[4];
    } CASES[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x299f31d0a4093822u,
         0x85a308d3243f6a88u,
         0x0370734413198a2eu,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        Philox p = philox4x32(CASES[i].key, CASES[i].lo, CASES[i].hi);
        for (int k = 0; k < 4; k++) assert_int_equal(p.v[k], CASES[i].v[k]);
    }
}

static void units(void **state) {
    (void)state;
    assert_true(rng_unit(0) == 0.0f);
    assert_true(rng_unit(UINT32_MAX) < 1.0f);
    assert_true(rng_unit(UINT32_MAX) == 1.0f - 0x1p-24f);
    assert_true(rng_unit(0x80000000u) == 0.5f);
    assert_true(rng_unit(0xFFu) == 0.0f);
}

/* Every input word matters, and streams of neighbouring keys differ. */
static void words_matter(void **state) {
    (void)state;
    Philox base = philox4x32(1, 2, 3);
    for (int bit = 0; bit < 64; bit++) {
        uint64_t one = (uint64_t)1 << bit;
        assert_memory_not_equal(philox4x32(1 ^ one, 2, 3).v, base.v, sizeof base.v);
        assert_memory_not_equal(philox4x32(1, 2 ^ one, 3).v, base.v, sizeof base.v);
        assert_memory_not_equal(philox4x32(1, 2, 3 ^ one).v, base.v, sizeof base.v);
        assert_true(rng_mix(5 ^ one, 6) != rng_mix(5, 6));
        assert_true(rng_mix(5, 6 ^ one) != rng_mix(5, 6));
    }
    assert_true(rng_mix(1, 2) != rng_mix(2, 1));
    /* SplitMix64 with seed 0 gives this first (the generator adds its constant, then mixes) */
    assert_true(rng_mix(0, 0) == 0xE220A8397B1DCDAFu);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_answers), cmocka_unit_test(units),
                                       cmocka_unit_test(words_matter)};
    return cmocka_run_group_tests_name("rng", tests, NULL, NULL);
}
