/* t_cpu_dot.c: the product of a stored row with a vector (kernels/cpu/dot.h) on every level, against a sum in f64 of the
 * dequantized weights: for vectors with outliers, of every size, with zeros and with NaN; and that a row's sum does not
 * depend on how many rows a call has. */
#include "harness.h"

#include <float.h>

#define CPU_LEVEL generic
#include "kernels/cpu/dot.h"

typedef DotVector (*MakeVector)(float *memory, const void *src, int64_t n, DType dt);

typedef struct Level {
    const char *name;
    const CpuDot *dots;
    MakeVector vector;
} Level;

#if defined(__x86_64__)
#define LEVELS X(generic) X(avx2) X(avx512) X(avx512bf16) X(emulated)
#elif defined(__aarch64__)
#define LEVELS X(generic) X(neon)
#else
#define LEVELS X(generic)
#endif
#define X(level)                                                                                                       \
    extern const CpuDot cpu_##level##_dots[WT_COUNT];                                                                  \
    DotVector cpu_##level##_dot_vector(float *memory, const void *src, int64_t n, DType dt);
LEVELS
#undef X
#define X(level) {#level, cpu_##level##_dots, cpu_##level##_dot_vector},
static const Level levels[] = {LEVELS};
#undef X

enum { ROWS = 3 };

typedef enum Kind { NORMAL, OUTLIERS, HUGE_VALUES, SMALL_VALUES, BELOW_ALL, ZEROS, KINDS } Kind;

static void fill(Run *r, void *x, int64_t n, DType dt, Kind kind) {
    static const float SIZE[KINDS] = {1.0f, 1.0f, 1e30f, 1e-20f, 1e-30f, 0.0f};
    for (int64_t i = 0; i < n; i++) {
        float v = (float)(random_below(r, 20001) - 10000) * 1e-4f * SIZE[kind];
        if (kind == OUTLIERS && random_below(r, 40) == 0) v *= 3000.0f;
        if (kind == OUTLIERS && i % DOT_RUN == 7)
            v = v < 0.0f ? -0x1.fffffep12f : 0x1.fffffep12f; /* rounds up to a power of two */
        put(x, i, v, dt);
    }
}

/* How far the row's product may be from the exact one: the rounding of an f32 sum whose terms are at most as large as the
 * row's largest weight times x, and what fixed point cannot hold of x. */
static double limit_of(const float *w, const void *x, int64_t n, DType dt, bool integers) {
    double most_w = 0.0, sum_x = 0.0, fixed = 0.0;
    for (int64_t b = 0; b < n; b += DOT_RUN) {
        double most = 0.0;
        for (int64_t i = b; i < b + DOT_RUN; i++) {
            most = fmax(most, fabs((double)get(x, i, dt)));
            most_w = fmax(most_w, fabs((double)w[i]));
        }
        for (int64_t i = b; i < b + DOT_RUN; i++) {
            double v = fabs((double)get(x, i, dt));
            sum_x += v;
            if (dt == DT_BF16 && v < most * 0x1p-7) fixed += most * 0x1p-15 * fabs((double)w[i]);
            if (dt == DT_F32) fixed += most * 0x1p-30 * fabs((double)w[i]);
            if (most < 0x1p-95) fixed += 0x1p-95 * fabs((double)w[i]);
        }
    }
    return (8.0 + 2.0 * sqrt((double)n)) * 0x1p-24 * most_w * sum_x + (integers ? fixed : 0.0) + 1e-44 * (double)n;
}

static void check_rows(Run *r, const Level *level, WType wt, DType dt, Kind kind, int64_t n) {
    const QuantTraits *q = wtype_traits(wt);
    int64_t row_bytes = wtype_row_bytes(wt, n);
    const uint8_t *W = take_weights(r, ROWS, n, wt, true);
    void *x = take(r, n, dt);
    float *memory = take(r, dot_vector_floats(n), DT_F32), *w = take(r, n, DT_F32), *y = take(r, ROWS, DT_F32), one;
    fill(r, x, n, dt, kind);
    DotVector v = level->vector(memory, x, n, dt);
    level->dots[wt](y, W, row_bytes, ROWS, &v, n);
    for (int64_t row = 0; row < ROWS; row++) {
        q->unpack(w, W + row * row_bytes, 0, n);
        double want = 0.0, limit = limit_of(w, x, n, dt, q->block_elems > 1);
        for (int64_t i = 0; i < n; i++) want += (double)w[i] * (double)get(x, i, dt);
        if (!(fabs((double)y[row] - want) <= limit))
            fail_msg("%s with %s at level %s, %lld elements, kind %d: %.9g instead of %.9g, limit %.3g", wtype_name(wt),
                     dtype_name(dt), level->name, (long long)n, (int)kind, (double)y[row], want, limit);
        level->dots[wt](&one, W + row * row_bytes, row_bytes, 1, &v, n);
        assert_true(one == y[row]);
    }
    /* what is not a number is never lost */
    put(x, n / 2 + 3, kind % 2 == 0 ? NAN : INFINITY, dt);
    v = level->vector(memory, x, n, dt);
    level->dots[wt](&one, W, row_bytes, 1, &v, n);
    assert_true(!(fabsf(one) <= FLT_MAX));
    memory_check(&r->mem, "dot");
}

static void test_dots(void **state) {
    static const int64_t LENGTHS[] = {32, 64, 576, 2080, 256, 768, 2304, 8192};
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
        if (!backend_cpu_has(levels[l].name)) continue;
        for (int wt = 0; wt < WT_COUNT; wt++)
            for (size_t i = 0; i < sizeof LENGTHS / sizeof *LENGTHS; i++) {
                if (LENGTHS[i] % wtype_traits((WType)wt)->block_elems != 0) continue;
                for (int kind = 0; kind < KINDS; kind++)
                    for (int dt = DT_F32; dt <= DT_BF16; dt++) {
                        Run r;
                        run_begin(&r, *state, 0, 0, (uint64_t)(100 + kind), 0xFF);
                        check_rows(&r, &levels[l], (WType)wt, (DType)dt, (Kind)kind, LENGTHS[i]);
                        run_end(&r);
                    }
            }
    }
}

int main(void) {
    Bench bench;
    bench_open(&bench);
    const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(test_dots, &bench)};
    int failed = cmocka_run_group_tests_name("products of stored rows with a vector", tests, NULL, NULL);
    bench_close(&bench);
    return failed;
}
