/* t_units.c: schedules, sampling, arguments, rotary tables. */
#include "tests/support/support.h"

#include "train/cmd.h"
#include "train/model/rotary.h"
#include "train/sampling.h"
#include "train/schedule.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Values from the formulas of Hugging Face's optimization.py, worked by hand. */
static void t_schedules(void **state) {
    (void)state;
    Schedule s;
    Err e = {0};
    ASSERT_OK(schedule_open("linear", 10, 2, 0.0, &s, &e), e);
    assert_float_equal(s.factor(&s, 0), 0.0, 0.0);
    assert_float_equal(s.factor(&s, 1), 0.5, 1e-15);
    assert_float_equal(s.factor(&s, 2), 1.0, 1e-15);
    assert_float_equal(s.factor(&s, 6), 0.5, 1e-15);
    assert_float_equal(s.factor(&s, 10), 0.0, 0.0);
    ASSERT_OK(schedule_open("cosine", 8, 0, 0.25, &s, &e), e); /* 2 warm-up steps */
    assert_float_equal(s.factor(&s, 1), 0.5, 1e-15);
    assert_float_equal(s.factor(&s, 5), 0.5, 1e-15);
    assert_float_equal(s.factor(&s, 8), 0.0, 1e-15);
    ASSERT_OK(schedule_open("cosine", 7, 0, 0.2, &s, &e), e);
    assert_int_equal(s.warmup, 2); /* ceil(1.4) */
    ASSERT_OK(schedule_open("constant", 10, 0, 0.0, &s, &e), e);
    assert_float_equal(s.factor(&s, 0), 1.0, 0.0);
    ASSERT_OK(schedule_open("constant_with_warmup", 10, 4, 0.0, &s, &e), e);
    assert_float_equal(s.factor(&s, 1), 0.25, 1e-15);
    assert_float_equal(s.factor(&s, 9), 1.0, 0.0);
    ASSERT_FAILS(schedule_open("square", 10, 0, 0.0, &s, &e), e, ERR_CONFIG, "square");
}

/* How often each of four tokens is drawn with the options. */
static void draw(const Sampling *o, int counts[4]) {
    static const float LOGITS[4] = {0.0f, 1.0986123f, 0.6931472f, -50.0f}; /* p: 1/6, 3/6, 2/6, 0 */
    Arena *a = support_arena();
    Sampler *s = NULL;
    Err e = {0};
    memset(counts, 0, 4 * sizeof *counts);
    ASSERT_OK(sampler_open(a, o, 4, &s, &e), e);
    for (int i = 0; i < 6000; i++) {
        int32_t t = -1;
        ASSERT_OK(sampler_next(s, LOGITS, i, &t, &e), e);
        assert_in_range(t, 0, 3);
        counts[t]++;
    }
    arena_close(a);
}

static void near_count(int got, int want) {
    /* 6 sigma of a binomial of 6000 draws is at most 232 */
    if (abs(got - want) > 240) fail_msg("drawn %d times, expected about %d", got, want);
}

/* The likeliest token again and again, each taken away after its turn: descending logits, ties and zeros of both signs by id. */
static void t_sampling_order(void **state) {
    (void)state;
    enum { V = 700 };
    float logits[V];
    Sampler *s;
    Err e;
    Arena *a = support_arena();
    for (int i = 0; i < V; i++) {
        int kind = i * 7919 % 11;
        logits[i] = kind == 0   ? 0.0f
                    : kind == 1 ? -0.0f
                                : (float)((i * 7919) % 401 - 200) * (kind < 6 ? 0.125f : 1e-3f);
    }
    logits[3] = INFINITY;
    logits[500] = FLT_MAX;
    logits[600] = FLT_MIN / 4;
    logits[601] = -FLT_MIN / 4;
    ASSERT_OK(sampler_open(a, &(Sampling){.temperature = 1.0, .top_p = 1.0, .top_k = 1}, V, &s, &e), e);
    for (int n = 0; n < V - 1; n++) {
        int32_t best = 0, t;
        for (int32_t i = 1; i < V; i++)
            if (logits[i] > logits[best]) best = i;
        ASSERT_OK(sampler_next(s, logits, n, &t, &e), e);
        assert_int_equal(t, best);
        logits[best] = -INFINITY;
    }
    arena_close(a);
}

static void t_sampling(void **state) {
    (void)state;
    int n[4];
    draw(&(Sampling){.temperature = 0.0, .top_p = 1.0}, n);
    assert_int_equal(n[1], 6000);
    draw(&(Sampling){.temperature = 1.0, .top_p = 1.0, .seed = 3}, n);
    near_count(n[0], 1000);
    near_count(n[1], 3000);
    near_count(n[2], 2000);
    assert_int_equal(n[3], 0);
    draw(&(Sampling){.temperature = 1.0, .top_p = 1.0, .top_k = 2}, n);
    near_count(n[1], 3600);
    assert_int_equal(n[0] + n[3], 0);
    draw(&(Sampling){.temperature = 1.0, .top_p = 0.6}, n); /* 3/6 does not reach it, 5/6 does */
    near_count(n[1], 3600);
    assert_int_equal(n[0] + n[3], 0);
    draw(&(Sampling){.temperature = 1.0, .top_p = 1.0, .min_p = 0.5}, n); /* at least 1/4 */
    near_count(n[2], 2400);
    assert_int_equal(n[0] + n[3], 0);
    draw(&(Sampling){.temperature = 0.5, .top_p = 1.0}, n); /* p squared: 1, 9, 4 of 14 */
    near_count(n[1], 3857);
    near_count(n[2], 1714);
    Arena *a = support_arena();
    Sampler *s = NULL;
    Err e = {0};
    int32_t t = -1;
    static const float TIE[3] = {1.0f, 2.0f, 2.0f};
    ASSERT_OK(sampler_open(a, &(Sampling){.top_p = 1.0}, 3, &s, &e), e);
    ASSERT_OK(sampler_next(s, TIE, 0, &t, &e), e);
    assert_int_equal(t, 1);
    const float bad[3] = {0.0f, NAN, 1.0f};
    ASSERT_FAILS(sampler_next(s, bad, 7, &t, &e), e, ERR_DATA, "NaN");
    arena_close(a);
}

static void t_args(void **state) {
    (void)state;
    static const ArgSpec SPECS[] = {{"--base", "M"}, {"--json", NULL}, {"--stop", "S"}};
    Arena *a = support_arena();
    Args args;
    Err e = {0};
    char *argv[] = {"eval", "run.yaml", "--base=x", "--json", "lora_r=4", "--max-steps", "7", "--", "--odd"};
    ASSERT_OK(args_parse(a, 9, argv, SPECS, 3, ARGS_OVERRIDES, 0, 2, &args, &e), e);
    assert_string_equal(args_get(&args, "--base"), "x");
    assert_true(args_has(&args, "--json"));
    assert_int_equal(args.n_overrides, 2);
    assert_string_equal(args.overrides[0], "lora_r=4");
    assert_string_equal(args.overrides[1], "max_steps=7");
    assert_int_equal(args.n_positional, 2);
    assert_string_equal(args.positional[1], "--odd");
    char *typo[] = {"eval", "--bsae", "x"};
    ASSERT_FAILS(args_parse(a, 3, typo, SPECS, 3, 0, 0, 0, &args, &e), e, ERR_USAGE, "'--base'");
    char *twice[] = {"eval", "--base", "x", "--base", "y"};
    ASSERT_FAILS(args_parse(a, 5, twice, SPECS, 3, 0, 0, 0, &args, &e), e, ERR_USAGE, "twice");
    char *lacks[] = {"eval", "--base"};
    ASSERT_FAILS(args_parse(a, 2, lacks, SPECS, 3, 0, 0, 0, &args, &e), e, ERR_USAGE, "value");
    char *stops[] = {"generate", "--stop", "a", "--base", "--stop", "--stop=b"};
    const char *const *all = NULL;
    int n = 0;
    ASSERT_OK(args_parse(a, 6, stops, SPECS, 3, ARGS_REPEAT, 0, 0, &args, &e), e);
    ASSERT_OK(args_all(a, &args, "--stop", &all, &n, &e), e);
    assert_int_equal(n, 2); /* the second "--stop" is the value of --base */
    assert_string_equal(all[0], "a");
    assert_string_equal(all[1], "b");
    arena_close(a);
}

/* Llama 3.1's scaling: high frequencies are kept, low ones divided by the factor, the band between is blended. */
static void t_rotary(void **state) {
    (void)state;
    RopeConfig r = {.theta = 500000.0,
                    .scaling = ROPE_SCALING_LLAMA3,
                    .factor = 8.0,
                    .low_freq_factor = 1.0,
                    .high_freq_factor = 4.0,
                    .original_max_positions = 8192};
    float f[64], plain[64];
    rotary_frequencies(&r, 128, f);
    r.scaling = ROPE_SCALING_NONE;
    rotary_frequencies(&r, 128, plain);
    assert_float_equal(plain[0], 1.0, 0.0);
    assert_float_equal(f[0], plain[0], 0.0);
    assert_float_equal(f[63], plain[63] / 8.0f, 1e-12);
    int blended = 0;
    for (int i = 0; i < 64; i++) blended += f[i] < plain[i] * 0.999f && f[i] > plain[i] / 7.99f;
    assert_in_range(blended, 4, 8);
    float divisors[64];
    for (int i = 0; i < 64; i++) divisors[i] = plain[i] / f[i];
    r.divisors = divisors; /* as GGUF's rope_freqs.weight holds them */
    float g[64];
    rotary_frequencies(&r, 128, g);
    for (int i = 0; i < 64; i++) assert_float_equal(g[i] / f[i], 1.0, 1e-6);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(t_schedules), cmocka_unit_test(t_sampling),
                                       cmocka_unit_test(t_sampling_order), cmocka_unit_test(t_args),
                                       cmocka_unit_test(t_rotary)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
