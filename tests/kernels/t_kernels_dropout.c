/* t_kernels_dropout.c: the dropout mask: which element is kept, how often, and that every kernel uses the same one.
 *
 * The mask becomes visible with X = 1 and A = identity: then U = mask / (1-p). The expected bits are computed here from
 * backend.h's sentence (key = the part's drop_key, counter = (token, k/4), word k%4) and, in one test, are constants that
 * another implementation of Philox4x32-10 gave. */
#include "harness.h"

typedef struct Masked {
    LinearPart part;
    Dropout drop;
    void *X;
    float *U, *A, *B;
    uint64_t *token;
    int64_t T, K;
} Masked;

/* A layer (N = 2, W = 0) on X = 1 whose U is the mask. */
static Masked masked_layer(Run *r, int64_t T, int64_t K, float p, uint64_t key, DType dt) {
    Masked m = {.T = T,
                .K = K,
                .X = take(r, T * K, dt),
                .U = take(r, T * K, DT_F32),
                .A = take(r, K * K, DT_F32),
                .B = take(r, 2 * K, DT_F32),
                .token = memory_take(&r->mem, T * 8, 0)};
    float *W = take(r, 2 * K, DT_F32);
    for (int64_t i = 0; i < T * K; i++) put(m.X, i, 1.0f, dt);
    for (int64_t i = 0; i < K * K; i++) m.A[i] = i / K == i % K ? 1.0f : 0.0f;
    for (int64_t i = 0; i < 2 * K; i++) m.B[i] = W[i] = 0.0f;
    for (int64_t t = 0; t < T; t++) m.token[t] = (uint64_t)(t / 10) << 32 | (uint64_t)(t % 10);
    m.part = (LinearPart){.Y = take(r, T * 2, dt),
                          .U = m.U,
                          .W = W,
                          .A = m.A,
                          .B = m.B,
                          .N = 2,
                          .r = K,
                          .scale = 1.0f,
                          .wt = WT_F32,
                          .drop_key = key};
    m.drop = (Dropout){.p = p, .token = m.token};
    return m;
}

static void forward(Run *r, const Masked *m, const Dropout *drop, DType dt) {
    void *ws = WORKSPACE(r, linear_forward, &m->part, 1, m->T, m->K, dt);
    RUN(r, linear_forward, ws, &m->part, 1, NULL, m->X, drop, m->T, m->K, dt);
}

typedef void (*DropoutTest)(Run *r, DType dt);

static void on_every_backend(Bench *bench, DropoutTest test) {
    for (int backend = 0; backend < bench->n_backends; backend++)
        for (int dt = DT_F32; dt <= DT_BF16; dt++) {
            Run r;
            run_begin(&r, bench, backend, 1, 1, 0xFF);
            test(&r, (DType)dt);
            memory_check(&r.mem, "dropout");
            run_end(&r);
        }
}

/* 1/(1-p) of 1, in bf16 possibly rounded. */
static void check_value(float got, bool kept, float p, DType dt) {
    double want = kept ? 1.0 / (1.0 - (double)p) : 0.0, unit = dt == DT_F32 ? 0x1p-23 : 0x1p-8;
    if (!(fabs((double)got - want) <= unit * want))
        fail_msg("an element is %.9g, its mask and p = %g say %.9g", (double)got, (double)p, want);
}

static void mask_is_the_formula(Run *r, DType dt) {
    static const float rates[] = {0.1f, 0.5f, 0.9f};
    for (int i = 0; i < 3; i++) {
        Masked m = masked_layer(r, 37, 45, rates[i], 0xFEDCBA9876543210u, dt);
        m.token[3] = 0xFFFFFFFFFFFFFFFFu;
        m.token[4] = 0x80000000u;
        forward(r, &m, &m.drop, dt);
        for (int64_t t = 0; t < m.T; t++)
            for (int64_t k = 0; k < m.K; k++) {
                uint32_t word = philox4x32(m.part.drop_key, m.token[t], (uint64_t)k / 4).v[k % 4];
                check_value(m.U[t * m.K + k], rng_unit(word) >= rates[i], rates[i], dt);
            }
        memory_check(&r->mem, "dropout");
        memory_drop(&r->mem);
    }
}

static void mask_is_known(Run *r, DType dt) {
    /* Philox4x32-10, key 0x0123456789abcdef, counter (5<<32 | 7, k/4), first 12 words below or above 1/2; and the all-zero
     * vector of the Random123 distribution: 6627e8d5 e169c58d bc57ac4c 9b00dbd8. */
    static const int kept[12] = {1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 1, 0}, kept_zero[4] = {0, 1, 1, 1};
    Masked m = masked_layer(r, 1, 12, 0.5f, 0x0123456789abcdefu, dt);
    m.token[0] = (uint64_t)5 << 32 | 7;
    forward(r, &m, &m.drop, dt);
    for (int k = 0; k < 12; k++) check_value(m.U[k], kept[k] != 0, 0.5f, dt);
    m.part.drop_key = 0;
    m.token[0] = 0;
    forward(r, &m, &m.drop, dt);
    for (int k = 0; k < 4; k++) check_value(m.U[k], kept_zero[k] != 0, 0.5f, dt);
}

static void share_is_kept(Run *r, DType dt) {
    static const float rates[] = {0.05f, 0.5f, 0.9f};
    for (int i = 0; i < 3; i++) {
        Masked m = masked_layer(r, 2000, 32, rates[i], 42, dt), other = m;
        other.U = take(r, m.T * m.K, DT_F32);
        other.part.U = other.U;
        other.part.drop_key = 43;
        forward(r, &m, &m.drop, dt);
        forward(r, &other, &other.drop, dt);
        double n = (double)(m.T * m.K), p = (double)rates[i], kept = 0.0, both = 0.0, neighbours = 0.0;
        for (int64_t j = 0; j < m.T * m.K; j++) {
            kept += m.U[j] != 0.0f;
            both += m.U[j] != 0.0f && other.U[j] != 0.0f;
            neighbours += j > 0 && m.U[j] != 0.0f && m.U[j - 1] != 0.0f;
        }
        /* Five standard deviations of a binomial count: the numbers are fixed, so this passes always or never. */
        double q = 1.0 - p, q2 = q * q;
        assert_true(fabs(kept - n * q) < 5.0 * sqrt(n * p * q));
        assert_true(fabs(both - n * q2) < 5.0 * sqrt(n * q2 * (1.0 - q2)));
        assert_true(fabs(neighbours - n * q2) < 8.0 * sqrt(n * q2 * (1.0 - q2)));
        memory_check(&r->mem, "dropout");
        memory_drop(&r->mem);
    }
}

static void none_is_none(Run *r, DType dt) {
    Masked m = masked_layer(r, 5, 9, 0.0f, 42, dt);
    Dropout off = {.p = 0.0f, .token = NULL};
    forward(r, &m, &off, dt);
    for (int64_t j = 0; j < m.T * m.K; j++) assert_true(m.U[j] == 1.0f);
    forward(r, &m, NULL, dt);
    for (int64_t j = 0; j < m.T * m.K; j++) assert_true(m.U[j] == 1.0f);
}

/* dX and dA show the same mask as U: with dU = 1 (dY = 1, B = [1; 0]), dX = mask/(1-p) and GA[j,k] = sum_t mask/(1-p). */
static void mask_is_shared(Run *r, DType dt) {
    Masked m = masked_layer(r, 7, 22, 0.5f, 42, dt);
    for (int64_t k = 0; k < m.K; k++) m.B[k] = 1.0f;
    void *dY = take(r, m.T * 2, dt), *dX = take(r, m.T * m.K, dt);
    for (int64_t i = 0; i < m.T * 2; i++) put(dY, i, 1.0f, dt);
    m.part.dY = dY;
    m.part.dU = take(r, m.T * m.K, DT_F32);
    forward(r, &m, &m.drop, dt);
    RUN(r, linear_backward, WORKSPACE(r, linear_backward, &m.part, 1, m.T, m.K, dt), dX, &m.part, 1, &m.drop, 0.0f, m.T,
        m.K, dt);
    float *tree = take(r, m.K * m.K + 2 * m.K, DT_F32);
    m.part.dA = tree;
    m.part.dB = tree + m.K * m.K;
    RowSpan row = {.begin = 0, .end = m.T, .index = 0};
    RUN(r, lora_grad, WORKSPACE(r, lora_grad, &m.part, 1, m.T, m.K, dt), &m.part, 1, m.X, &m.drop, &row, 1, 0, m.T, m.K,
        dt);
    for (int64_t k = 0; k < m.K; k++) {
        float sum = 0.0f;
        for (int64_t t = 0; t < m.T; t++) {
            assert_true(get(dX, t * m.K + k, dt) == m.U[t * m.K + k]); /* 0 or 2, exact in both types */
            sum += m.U[t * m.K + k];
        }
        for (int64_t j = 0; j < m.K; j++) assert_true(tree[j * m.K + k] == sum);
    }
}

#define DROPOUT_TEST(name)                                                                                             \
    static void test_##name(void **state) { on_every_backend(*state, name); }
DROPOUT_TEST(mask_is_the_formula)
DROPOUT_TEST(mask_is_known)
DROPOUT_TEST(share_is_kept)
DROPOUT_TEST(none_is_none)
DROPOUT_TEST(mask_is_shared)

int main(void) {
    Bench bench;
    bench_open(&bench);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_mask_is_the_formula, &bench),
        cmocka_unit_test_prestate(test_mask_is_known, &bench),
        cmocka_unit_test_prestate(test_share_is_kept, &bench),
        cmocka_unit_test_prestate(test_none_is_none, &bench),
        cmocka_unit_test_prestate(test_mask_is_shared, &bench),
    };
    int failed = cmocka_run_group_tests_name("dropout", tests, NULL, NULL);
    bench_close(&bench);
    return failed;
}
