/* t_cpu_gemm.c: what is particular to the matrix products of the CPU backend and too large, or too deep inside, for the
 * cases every backend runs: unpacking that starts in the middle of a block, and shapes beyond every blocking size.
 *
 * The large products are checked at sampled places against a sum in f64. */
#include "harness.h"

typedef void (*Unpack)(float *y, const uint8_t *row, int64_t first, int64_t n);

typedef struct Level {
    const char *name;
    const Unpack *unpackers;
} Level;

#define X(level) extern const Unpack cpu_##level##_unpackers[WT_COUNT];
#if defined(__x86_64__)
#define LEVELS X(generic) X(avx2) X(avx512) X(avx512bf16) X(emulated)
#elif defined(__aarch64__)
#define LEVELS X(generic) X(neon)
#else
#define LEVELS X(generic)
#endif
LEVELS
#undef X
#define X(level) {#level, cpu_##level##_unpackers},
static const Level levels[] = {LEVELS};
#undef X

/* Every run of 32 elements (any place, where elements are not in blocks), from any byte address, against the definition. */
static void test_unpack_inside_blocks(void **state) {
    Bench *bench = *state;
    enum { N = 512 };
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
        if (!backend_cpu_has(levels[l].name)) continue;
        for (int wt = 0; wt < WT_COUNT; wt++) {
            Run r;
            run_begin(&r, bench, 0, 0, 5, 0xFF);
            const uint8_t *row = take_weights(&r, 1, N, (WType)wt, true);
            float *want = take(&r, N, DT_F32);
            wtype_traits((WType)wt)->unpack(want, row, 0, N);
            int64_t unit = wtype_traits((WType)wt)->block_elems == 1 ? 1 : 32;
            for (int64_t i = 0; i < 300; i++) {
                int64_t first = random_below(&r, N / unit) * unit;
                int64_t n = (1 + random_below(&r, (N - first) / unit)) * unit;
                Run part;
                run_begin(&part, bench, 0, 0, 5, 0xFF);
                float *y = take(&part, n, DT_F32);
                levels[l].unpackers[wt](y, row, first, n);
                if (memcmp(y, want + first, (size_t)n * sizeof *y) != 0)
                    fail_msg("%s at level %s: elements %lld + %lld differ from the definition", wtype_name((WType)wt),
                             levels[l].name, (long long)first, (long long)n);
                memory_check(&part.mem, "unpack");
                run_end(&part);
            }
            run_end(&r);
        }
    }
}

/* |got - want| in units of eps * size, where size is the sum of the magnitudes of all terms: rounding to nearest keeps an f32 sum of n
 * terms within n * 2^-24 of it, typically within sqrt(n) * 2^-24; bf16 factors, each off by at most 2^-9, within
 * 3 * 2^-9. */
static void check(const char *what, const Run *r, int64_t i, float got, double want, double size, int64_t n, DType dt) {
    bool narrow = dt == DT_BF16;
    double limit =
        size * (narrow ? 3 * 0x1p-9 : (8.0 + 2.0 * sqrt((double)n)) * 0x1p-24) + (narrow ? fabs(want) * 0x1p-8 : 0.0);
    if (!(fabs((double)got - want) <= limit))
        fail_msg("%s[%lld] on %s %s is %.9g instead of %.9g, limit %.3g", what, (long long)i,
                 r->bench->names[r->backend], dtype_name(dt), (double)got, want, limit);
}

typedef void (*Large)(Run *r, DType dt);

static void on_cpu_levels(Bench *bench, Large test) {
    for (int backend = 1; backend < bench->n_backends; backend++)
        for (int dt = DT_F32; dt <= DT_BF16; dt++) {
            Run r;
            run_begin(&r, bench, backend, 2, 11, 0xFF);
            test(&r, (DType)dt);
            memory_check(&r.mem, "large");
            run_end(&r);
        }
}

/* More tokens than the sums of a chunk hold at once, several blocks of depth, chunks of every width, a rank above the
 * lanes of a chunk. */
static void large_linear(Run *r, DType dt) {
    enum { T = 2300, K = 352, N = 290, R = 150, SAMPLES = 400 };
    const WType wt = WT_Q8_0;
    LinearPart p = {.N = N, .r = R, .scale = 0.5f, .wt = wt};
    uint8_t *W = take_weights(r, N, K, wt, true);
    p.W = W;
    float *A = take_random(r, R * K, 0.3f, DT_F32), *B = take_random(r, N * R, 0.3f, DT_F32);
    p.A = A, p.B = B;
    void *X = take_random(r, T * K, 1.0f, dt), *dY = take_random(r, T * N, 1.0f, dt);
    p.Y = take(r, T * N, dt);
    p.dY = dY;
    p.U = take(r, T * R, DT_F32);
    p.dU = take(r, T * R, DT_F32);
    void *dX = take(r, T * K, dt);
    float *w = take(r, N * K, DT_F32);
    for (int64_t n = 0; n < N; n++) wtype_traits(wt)->unpack(w + n * K, W + n * wtype_row_bytes(wt, K), 0, K);
    RUN(r, linear_forward, WORKSPACE(r, linear_forward, &p, 1, T, K, dt), &p, 1, NULL, X, NULL, T, K, dt);
    RUN(r, linear_backward, WORKSPACE(r, linear_backward, &p, 1, T, K, dt), dX, &p, 1, NULL, 0.0f, T, K, dt);
    for (int i = 0; i < SAMPLES; i++) {
        int64_t t = i < 4 ? T - 1 - i : random_below(r, T), n = random_below(r, N), k = random_below(r, K);
        double y = 0.0, y_size = 0.0, dx = 0.0, dx_size = 0.0;
        for (int64_t j = 0; j < K; j++) {
            double term = (double)get(X, t * K + j, dt) * (double)w[n * K + j];
            y += term, y_size += fabs(term);
        }
        for (int64_t j = 0; j < N; j++) {
            double term = (double)get(dY, t * N + j, dt) * (double)w[j * K + k];
            dx += term, dx_size += fabs(term);
        }
        for (int64_t j = 0; j < R; j++) {
            double up = (double)p.U[t * R + j] * (double)B[n * R + j],
                   down = (double)p.dU[t * R + j] * (double)A[j * K + k];
            y += up, y_size += fabs(up);
            dx += down, dx_size += fabs(down);
        }
        check("Y", r, t * N + n, get(p.Y, t * N + n, dt), y, y_size, K + R, dt);
        check("dX", r, t * K + k, get(dX, t * K + k, dt), dx, dx_size, N + R, dt);
        double u = 0.0, u_size = 0.0;
        int64_t j = random_below(r, R);
        for (int64_t c = 0; c < K; c++) {
            double term = (double)p.scale * (double)get(X, t * K + c, dt) * (double)A[j * K + c];
            u += term, u_size += fabs(term);
        }
        check("U", r, t * R + j, p.U[t * R + j], u, u_size, K, DT_F32);
    }
}

/* Several chunks of tokens, and more tokens than the plain logits take at once. */
static void large_head(Run *r, DType dt) {
    enum { T = 2100, C = 64, V = 150, SAMPLES = 60 };
    const WType wt = WT_F16;
    uint8_t *W = take_weights(r, V, C, wt, true);
    float *w = take(r, V * C, DT_F32);
    for (int64_t v = 0; v < V; v++) wtype_traits(wt)->unpack(w + v * C, W + v * wtype_row_bytes(wt, C), 0, C);
    void *X = take_random(r, T * C, 0.5f, dt), *dX = take(r, T * C, dt);
    int32_t *index = take_i32(r, T), *target = take_i32(r, T);
    for (int32_t t = 0; t < T; t++) index[t] = t, target[t] = (int32_t)random_below(r, V);
    float *weight = take_random(r, T, 1.0f, DT_F32), *logp = take(r, T, DT_F32), *logits = take(r, T * V, DT_F32);
    RUN(r, head_logits, WORKSPACE(r, head_logits, T, C, V, wt, dt), logits, X, W, index, T, C, V, wt, dt);
    RUN(r, head_loss, WORKSPACE(r, head_loss, T, C, V, wt, dt), dX, logp, X, W, index, target, weight, T, T, C, V, wt,
        dt);
    for (int i = 0; i < SAMPLES; i++) {
        int64_t t = i < 4 ? T - 1 - i : i < 8 ? 124 + i : random_below(r, T);
        double z[V], sum = 0.0;
        for (int64_t v = 0; v < V; v++) {
            double size = 0.0;
            z[v] = 0.0;
            for (int64_t c = 0; c < C; c++) {
                double term = (double)get(X, t * C + c, dt) * (double)w[v * C + c];
                z[v] += term, size += fabs(term);
            }
            check("logits", r, t * V + v, logits[t * V + v], z[v], size, C, dt);
            z[v] = (double)logits[t * V + v]; /* the kernels agree on them bit for bit */
            sum += exp(z[v]);
        }
        check("logp", r, t, logp[t], z[target[t]] - log(sum), fabs(z[target[t]]) + log(sum) + 1.0, 4, DT_F32);
        int64_t c = random_below(r, C);
        double dx = 0.0, size = 0.0;
        for (int64_t v = 0; v < V; v++) {
            double term = (double)weight[t] * (exp(z[v]) / sum - (v == target[t] ? 1.0 : 0.0)) * (double)w[v * C + c];
            dx += term, size += fabs(term);
        }
        check("dX", r, t * C + c, get(dX, t * C + c, dt), dx, size, V, dt);
    }
}

static void test_large_linear(void **state) { on_cpu_levels(*state, large_linear); }

static void test_large_head(void **state) { on_cpu_levels(*state, large_head); }

int main(void) {
    Bench bench;
    bench_open(&bench);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_unpack_inside_blocks, &bench),
        cmocka_unit_test_prestate(test_large_linear, &bench),
        cmocka_unit_test_prestate(test_large_head, &bench),
    };
    int failed = cmocka_run_group_tests_name("products of the cpu backend", tests, NULL, NULL);
    bench_close(&bench);
    return failed;
}
