/* t_kernels_golden.c: every formula against values that PyTorch computed (golden_kernels.h), on every backend.
 *
 * The other tests compare backends with the reference and the reference with itself; this one says that the reference
 * computes what the rest of the world means by these names. All in F32; sums of a few terms, so 3e-6 of a value's size
 * (fifty roundings) is generous and still far below any wrong factor. */
#include "golden_kernels.h"
#include "harness.h"

#define COUNT(array) ((int64_t)(sizeof(array) / sizeof(array)[0]))

static void near(const Run *r, const char *what, const float *got, const float *want, int64_t n, double tolerance) {
    double squares = 0.0;
    for (int64_t i = 0; i < n; i++) squares += (double)want[i] * (double)want[i];
    double rms = sqrt(squares / (double)n);
    for (int64_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= tolerance * (rms + fabs((double)want[i]))))
            fail_msg("%s[%lld] on %s is %.9g, PyTorch gives %.9g", what, (long long)i, r->bench->names[r->backend],
                     (double)got[i], (double)want[i]);
}
#define NEAR(what, got, golden) near(r, what, got, golden, COUNT(golden), 3e-6)

static float *take_f32(Run *r, int64_t n) { return take(r, n, DT_F32); }

static float *take_copy(Run *r, const float *x, int64_t n) {
    float *y = take_f32(r, n);
    memcpy(y, x, (size_t)n * 4);
    return y;
}

static void golden_rmsnorm(Run *r) {
    float *y = take_f32(r, 21), *dx = take_f32(r, 21), *rstd = take_f32(r, 3);
    RUN(r, rmsnorm_forward, y, rstd, NORM_X, NORM_W, 1e-2f, 3, 7, DT_F32);
    RUN(r, rmsnorm_backward, dx, NORM_DY, NORM_X, NORM_W, rstd, 0.0f, 3, 7, DT_F32);
    NEAR("rmsnorm y", y, NORM_Y);
    NEAR("rmsnorm dx", dx, NORM_DX);
}

static void golden_rope(Run *r) {
    static const int32_t pos[3] = {0, 1, 2};
    float *y = take_f32(r, 36), *back = take_f32(r, 36);
    for (int interleaved = 0; interleaved < 2; interleaved++) {
        RUN(r, rope, y, ROPE_X, pos, ROPE_COS, ROPE_SIN, 1.0f, interleaved, 3, 2, 6, 2, DT_F32);
        interleaved ? NEAR("rope interleaved", y, ROPE_INTERLEAVED) : NEAR("rope half-split", y, ROPE_SPLIT);
        /* A rotation's transpose is its inverse. */
        RUN(r, rope, back, y, pos, ROPE_COS, ROPE_SIN, -1.0f, interleaved, 3, 2, 6, 2, DT_F32);
        NEAR("rope back", back, ROPE_X);
    }
}

static void golden_attention(Run *r) {
    enum { T = 7, H = 4, HKV = 2, D = 3 };
    float *O = take_f32(r, T * H * D), *L = take_f32(r, T * H), *dQ = take_f32(r, T * H * D);
    float *dK = take_f32(r, T * HKV * D), *dV = take_f32(r, T * HKV * D);
    void *ws = WORKSPACE(r, attention_forward, T, H, HKV, D, DT_F32),
         *ws2 = WORKSPACE(r, attention_backward, T, H, HKV, D, DT_F32);
    RUN(r, attention_forward, ws, O, L, ATT_Q, ATT_K, ATT_V, ATT_CU, 2, 0.8f, 0, 0.0f, T, H, HKV, D, DT_F32);
    NEAR("attention O", O, ATT_O);
    RUN(r, attention_backward, ws2, dQ, dK, dV, ATT_DO, O, L, ATT_Q, ATT_K, ATT_V, ATT_CU, 2, 0.8f, 0, 0.0f, T, H, HKV,
        D, DT_F32);
    NEAR("attention dQ", dQ, ATT_DQ);
    NEAR("attention dK", dK, ATT_DK);
    NEAR("attention dV", dV, ATT_DV);

    RUN(r, attention_forward, ws, O, L, ATT_Q, ATT_K, ATT_V, ATT_CU, 2, 0.8f, 3, 1.5f, T, H, HKV, D, DT_F32);
    NEAR("windowed, capped attention O", O, ATT2_O);
    NEAR("windowed, capped attention L", L, ATT2_L);
    RUN(r, attention_backward, ws2, dQ, dK, dV, ATT_DO, O, L, ATT_Q, ATT_K, ATT_V, ATT_CU, 2, 0.8f, 3, 1.5f, T, H, HKV,
        D, DT_F32);
    NEAR("windowed, capped attention dQ", dQ, ATT2_DQ);
    NEAR("windowed, capped attention dK", dK, ATT2_DK);
    NEAR("windowed, capped attention dV", dV, ATT2_DV);

    /* The second document as a cache of 2 past tokens and 3 new ones. */
    const float *q = ATT_Q + 4 * H * D, *k = ATT_K + 2 * HKV * D, *v = ATT_V + 2 * HKV * D;
    RUN(r, attention_cached, WORKSPACE(r, attention_cached, 3, 5, H, HKV, D, DT_F32), O, q, k, v, 2, 0.8f, 3, 1.5f, 3,
        H, HKV, D, DT_F32);
    near(r, "cached attention O", O, ATT2_O + 4 * H * D, 3 * H * D, 3e-6);
}

static void golden_glu(Run *r) {
    float *y = take_f32(r, 12), *dg = take_f32(r, 12), *du = take_f32(r, 12);
    RUN(r, glu_forward, y, GLU_G, GLU_U, 12, GLU_SILU, DT_F32);
    RUN(r, glu_backward, dg, du, GLU_DY, GLU_G, GLU_U, 12, GLU_SILU, DT_F32);
    NEAR("silu y", y, GLU_SILU_Y);
    NEAR("silu dg", dg, GLU_SILU_DG);
    NEAR("silu du", du, GLU_SILU_DU);
    RUN(r, glu_forward, y, GLU_G, GLU_U, 12, GLU_GELU_TANH, DT_F32);
    RUN(r, glu_backward, dg, du, GLU_DY, GLU_G, GLU_U, 12, GLU_GELU_TANH, DT_F32);
    NEAR("gelu y", y, GLU_GELU_Y);
    NEAR("gelu dg", dg, GLU_GELU_DG);
    NEAR("gelu du", du, GLU_GELU_DU);
}

static void golden_lora(Run *r) {
    enum { T = 4, K = 5, N = 3, R = 2, STRIDE = R * K + N * R };
    float *Y = take_f32(r, T * N), *U = take_f32(r, T * R), *dU = take_f32(r, T * R), *dX = take_f32(r, T * K);
    float *tree = take_f32(r, 2 * STRIDE), *sum = take_f32(r, STRIDE), *merged = take_f32(r, N * K);
    LinearPart p = {.Y = Y,
                    .dY = LORA_DY,
                    .U = U,
                    .dU = dU,
                    .W = LORA_W,
                    .A = LORA_A,
                    .B = LORA_B,
                    .dA = tree,
                    .dB = tree + R * K,
                    .N = N,
                    .r = R,
                    .scale = 1.5f,
                    .wt = WT_F32};
    RUN(r, linear_forward, WORKSPACE(r, linear_forward, &p, 1, T, K, DT_F32), &p, 1, LORA_R, LORA_X, NULL, T, K,
        DT_F32);
    NEAR("linear Y", Y, LORA_Y);
    RUN(r, linear_backward, WORKSPACE(r, linear_backward, &p, 1, T, K, DT_F32), dX, &p, 1, NULL, 0.0f, T, K, DT_F32);
    NEAR("linear dX", dX, LORA_DX);
    /* Tokens as rows 0 (one token), 1 (two), 2 (one). */
    static const RowSpan rows[3] = {{0, 1, 0}, {1, 3, 1}, {3, 4, 2}};
    RUN(r, lora_grad, WORKSPACE(r, lora_grad, &p, 1, T, K, DT_F32), &p, 1, LORA_X, NULL, rows, 3, STRIDE, T, K, DT_F32);
    RUN(r, tree_fold, sum, tree, STRIDE, 3, STRIDE);
    NEAR("lora dA", sum, LORA_DA);
    NEAR("lora dB", sum + R * K, LORA_DB);
    RUN(r, lora_merge, merged, LORA_W, LORA_A, LORA_B, 1.5f, 0, N, K, R, WT_F32);
    NEAR("merged W", merged, LORA_MERGED);
}

static void golden_head(Run *r) {
    enum { T = 4, C = 5, V = 6, M = 2 };
    float *dX = take_f32(r, T * C), *logp = take_f32(r, M), *logits = take_f32(r, M * V);
    RUN(r, head_loss, WORKSPACE(r, head_loss, M, C, V, WT_F32, DT_F32), dX, logp, HEAD_X, HEAD_W, HEAD_INDEX,
        HEAD_TARGET, HEAD_WEIGHT, M, T, C, V, WT_F32, DT_F32);
    NEAR("head logp", logp, HEAD_LOGP);
    NEAR("head dX", dX, HEAD_DX);
    RUN(r, head_logits, WORKSPACE(r, head_logits, M, C, V, WT_F32, DT_F32), logits, HEAD_X, HEAD_W, HEAD_INDEX, M, C, V,
        WT_F32, DT_F32);
    NEAR("head logits", logits, HEAD_LOGITS);
}

/* Element by element, because the gradients differ by 14 orders of magnitude. */
static void near_each(const Run *r, const char *what, const float *got, const float *want, int64_t n, double relative,
                      double absolute) {
    for (int64_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= relative * fabs((double)want[i]) + absolute))
            fail_msg("%s[%lld] on %s is %.9g, PyTorch gives %.9g", what, (long long)i, r->bench->names[r->backend],
                     (double)got[i], (double)want[i]);
}

static void adamw_steps(Run *r, float *p, float *m, float *v, const float *g, double beta1, double beta2) {
    memset(m, 0, 8 * 4);
    memset(v, 0, 8 * 4);
    for (int t = 1; t <= 5; t++)
        RUN(r, adamw_step, p, m, v, g + (t - 1) * 8, 1.0f, 0.01, beta1, beta2, 1e-8, 0.1, 1.0 - pow(beta1, t),
            1.0 - pow(beta2, t), 8);
}

static void golden_adamw(Run *r) {
    float *p = take_copy(r, ADAM2_P0, 8), *m = take_f32(r, 8), *v = take_f32(r, 8);
    adamw_steps(r, p, m, v, ADAM2_G, 0.875, 0.984375);
    near_each(r, "adamw p", p, ADAM2_P, 8, 3e-7, 3e-8);
    near_each(r, "adamw m", m, ADAM2_M, 8, 1e-6, 0.0);
    near_each(r, "adamw v", v, ADAM2_V, 8, 1e-6, 0.0);
    /* 0.9 and 0.999 are not f32 values: 1 - 0.999f would be off by 1.3e-5 of itself. */
    memcpy(p, ADAM_P0, 8 * 4);
    adamw_steps(r, p, m, v, ADAM_G, 0.9, 0.999);
    near_each(r, "adamw p", p, ADAM_P, 8, 3e-7, 3e-8);
    near_each(r, "adamw m", m, ADAM_M, 8, 1e-6, 0.0);
    near_each(r, "adamw v", v, ADAM_V, 8, 1e-6, 0.0);
}

static void on_every_backend(Bench *bench, void (*test)(Run *r)) {
    for (int backend = 0; backend < bench->n_backends; backend++) {
        Run r;
        run_begin(&r, bench, backend, 1, 1, 0xFF);
        test(&r);
        memory_check(&r.mem, "golden");
        run_end(&r);
    }
}

#define GOLDEN(name)                                                                                                   \
    static void test_##name(void **state) { on_every_backend(*state, golden_##name); }
GOLDEN(rmsnorm)
GOLDEN(rope)
GOLDEN(attention)
GOLDEN(glu)
GOLDEN(lora)
GOLDEN(head)
GOLDEN(adamw)

int main(void) {
    Bench bench;
    bench_open(&bench);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_rmsnorm, &bench),   cmocka_unit_test_prestate(test_rope, &bench),
        cmocka_unit_test_prestate(test_attention, &bench), cmocka_unit_test_prestate(test_glu, &bench),
        cmocka_unit_test_prestate(test_lora, &bench),      cmocka_unit_test_prestate(test_head, &bench),
        cmocka_unit_test_prestate(test_adamw, &bench),
    };
    int failed = cmocka_run_group_tests_name("kernels against PyTorch", tests, NULL, NULL);
    bench_close(&bench);
    return failed;
}
