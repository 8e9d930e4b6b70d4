/* cases_elementwise.h: cases of embedding, norms, rope, the gated product, the optimizer, and the plain copies. */
#ifndef LORAC_TESTS_KERNELS_CASES_ELEMENTWISE_H
#define LORAC_TESTS_KERNELS_CASES_ELEMENTWISE_H

#include "cases.h"

static void run_embedding(Run *r, const Case *c) {
    void *w = take_weights(r, c->V, c->C, c->wt, true);
    int32_t *ids = take_i32(r, c->T);
    for (int64_t t = 0; t < c->T; t++) ids[t] = (int32_t)random_below(r, c->V);
    if (c->T > 1) ids[0] = (int32_t)c->V - 1, ids[1] = 0;
    memory_seal(&r->mem);
    void *y = take(r, c->T * c->C, c->dt);
    RUN(r, embedding_forward, y, ids, w, c->T, c->C, c->wt, c->dt);
    output(r, "y", y, c->T * c->C, out_type(c->dt), exact());
}

static void test_embedding(void **state) {
    for (int wt = 0; wt < WT_COUNT; wt++)
        for (int k = 0; width_for((WType)wt, k) > 0; k++)
            compare_dtypes(*state, (Case){.name = "embedding_forward",
                                          .run = run_embedding,
                                          .wt = (WType)wt,
                                          .V = 11,
                                          .T = k == 1 ? 70 : 5 * k,
                                          .C = width_for((WType)wt, k)});
}

/* Norm weights near 1. */
static float *norm_weights(Run *r, int64_t C) {
    float *w = take(r, C, DT_F32);
    for (int64_t i = 0; i < C; i++) w[i] = 1.0f + 0.3f * random_normal(r);
    return w;
}

static void run_rmsnorm_forward(Run *r, const Case *c) {
    int64_t n = c->T * c->C;
    void *x = take_random(r, n, 3.0f, c->dt);
    float *w = norm_weights(r, c->C);
    memory_seal(&r->mem);
    void *y = take(r, n, c->dt);
    float *rstd = c->variant == VARIANT_NULL_OUTPUT ? NULL : take(r, c->T, DT_F32);
    RUN(r, rmsnorm_forward, y, rstd, x, w, 1e-5f, c->T, c->C, c->dt);
    /* In bf16 only the result is rounded, in both backends. */
    output(r, "y", y, n, out_type(c->dt), sum_tolerance(c->dt, c->C, 1, 2));
    if (rstd != NULL) output(r, "rstd", rstd, c->T, OUT_F32, f32_sum(c->C, 1));
}

static void run_rmsnorm_backward(Run *r, const Case *c) {
    int64_t n = c->T * c->C;
    void *x = take_random(r, n, 3.0f, c->dt), *dy = take_random(r, n, 1.0f, c->dt);
    float *w = norm_weights(r, c->C), *rstd = take(r, c->T, DT_F32);
    for (int64_t t = 0; t < c->T; t++) {
        double sum = 0.0;
        for (int64_t i = 0; i < c->C; i++) sum += pow((double)get(x, t * c->C + i, c->dt), 2.0);
        rstd[t] = (float)(1.0 / sqrt(sum / (double)c->C + 1e-5));
    }
    memory_seal(&r->mem);
    void *dx = c->beta != 0.0f ? take_random(r, n, 1.0f, c->dt) : take(r, n, c->dt);
    RUN(r, rmsnorm_backward, dx, dy, x, w, rstd, c->beta, c->T, c->C, c->dt);
    output(r, "dx", dx, n, out_type(c->dt), sized(sum_tolerance(c->dt, c->C, 2, 2), 0.3));
}

static void test_rmsnorm(void **state) {
    static const int64_t widths[] = {2, 7, 64, 100, 576, 1030}, tokens[] = {3, 1, 70, 5, 33, 0};
    for (int i = 0; i < 6; i++) {
        Case c = {.name = "rmsnorm_forward", .run = run_rmsnorm_forward, .T = tokens[i], .C = widths[i]};
        compare_dtypes(*state, c);
        c.variant = VARIANT_NULL_OUTPUT;
        compare_dtypes(*state, c);
        c = (Case){.name = "rmsnorm_backward", .run = run_rmsnorm_backward, .T = tokens[i], .C = widths[i]};
        compare_dtypes(*state, c);
        c.beta = 1.0f;
        compare_dtypes(*state, c);
    }
}

static void run_rope(Run *r, const Case *c) {
    int64_t n = c->T * c->H * c->D, P = 50;
    float *cosines = take(r, P * c->half, DT_F32), *sines = take(r, P * c->half, DT_F32);
    for (int64_t i = 0; i < P * c->half; i++) {
        double angle = (double)(i / c->half) * pow(10000.0, -(double)(i % c->half) / (double)c->half);
        cosines[i] = (float)cos(angle);
        sines[i] = (float)sin(angle);
    }
    int32_t *pos = take_i32(r, c->T);
    for (int64_t t = 0; t < c->T; t++) pos[t] = (int32_t)random_below(r, P);
    if (c->T > 0) pos[0] = (int32_t)P - 1;
    void *x, *y;
    if (c->variant == VARIANT_IN_PLACE) {
        memory_seal(&r->mem);
        x = y = take_random(r, n, 1.0f, c->dt);
    } else {
        x = take_random(r, n, 1.0f, c->dt);
        memory_seal(&r->mem);
        y = take(r, n, c->dt);
    }
    RUN(r, rope, y, x, pos, cosines, sines, c->sign, c->interleaved, c->T, c->H, c->D, c->half, c->dt);
    output(r, "y", y, n, out_type(c->dt), sum_tolerance(c->dt, 2, 1, 2));
}

static void test_rope(void **state) {
    static const int64_t shapes[][4] = {{5, 3, 64, 32}, {1, 1, 2, 1}, {33, 2, 128, 64},
                                        {7, 3, 80, 16}, {4, 1, 7, 2}, {0, 2, 16, 8}};
    for (int i = 0; i < 6 * 8; i++) {
        const int64_t *s = shapes[i / 8];
        compare_dtypes(*state, (Case){.name = "rope",
                                      .run = run_rope,
                                      .T = s[0],
                                      .H = s[1],
                                      .D = s[2],
                                      .half = s[3],
                                      .interleaved = i & 1,
                                      .sign = i & 2 ? -1.0f : 1.0f,
                                      .variant = i & 4 ? VARIANT_IN_PLACE : VARIANT_PLAIN});
    }
}

/* Gates near N(0,9), or with VARIANT_WIDE the places where exp overflows, vanishes or is 1. */
static void *take_gates(Run *r, const Case *c) {
    static const float wide[] = {0.0f,   -0.0f,   80.0f,  -80.0f,  89.0f,   -89.0f,
                                 104.0f, -104.0f, 200.0f, -200.0f, 3000.0f, -3000.0f};
    void *g = take_random(r, c->n, 3.0f, c->dt);
    if (c->variant == VARIANT_WIDE)
        for (int64_t i = 0; i < c->n; i++) put(g, i, wide[i % 12], c->dt);
    return g;
}

/* A chain of a dozen f32 operations on factors of any size: an error has its share of the value itself and, where act or its
 * slope cancels, of dy*u*g, whose largest of thousands is far above the rms. */
static Tolerance glu_tolerance(const Case *c) {
    Tolerance t = sized(sum_tolerance(c->dt, 8, 2, 2), 1.0);
    if (c->dt == DT_F32) t.worst *= 4.0, t.own = 16.0;
    return t;
}

static void run_glu_forward(Run *r, const Case *c) {
    void *g = take_gates(r, c), *u = take_random(r, c->n, 1.0f, c->dt), *y;
    if (c->variant == VARIANT_IN_PLACE)
        y = g;
    else if (c->variant == VARIANT_IN_PLACE_2)
        y = u;
    else {
        memory_seal(&r->mem);
        y = take(r, c->n, c->dt);
    }
    RUN(r, glu_forward, y, g, u, c->n, c->act, c->dt);
    output(r, "y", y, c->n, out_type(c->dt), glu_tolerance(c));
}

static void run_glu_backward(Run *r, const Case *c) {
    void *g = take_gates(r, c), *u = take_random(r, c->n, 1.0f, c->dt);
    memory_seal(&r->mem);
    void *dy = take_random(r, c->n, 1.0f, c->dt);
    void *dg = c->variant == VARIANT_IN_PLACE ? dy : take(r, c->n, c->dt);
    void *du = c->variant == VARIANT_IN_PLACE_2 ? dy : take(r, c->n, c->dt);
    RUN(r, glu_backward, dg, du, dy, g, u, c->n, c->act, c->dt);
    output(r, "dg", dg, c->n, out_type(c->dt), glu_tolerance(c));
    output(r, "du", du, c->n, out_type(c->dt), glu_tolerance(c));
}

static void test_glu(void **state) {
    static const int64_t sizes[] = {0, 1, 7, 64, 1000, 20011};
    static const int variants[] = {VARIANT_PLAIN, VARIANT_IN_PLACE, VARIANT_IN_PLACE_2, VARIANT_WIDE};
    for (int i = 0; i < 6 * 8; i++) {
        Case c = {.n = sizes[i / 8], .act = i & 1 ? GLU_GELU_TANH : GLU_SILU, .variant = variants[i / 2 % 4]};
        c.name = "glu_forward", c.run = run_glu_forward;
        compare_dtypes(*state, c);
        c.name = "glu_backward", c.run = run_glu_backward;
        compare_dtypes(*state, c);
    }
}

static void run_adamw(Run *r, const Case *c) {
    const float *g[3];
    for (int step = 0; step < 3; step++) g[step] = take_random(r, c->n, 0.5f, DT_F32);
    memory_seal(&r->mem);
    float *p = take_random(r, c->n, 1.0f, DT_F32), *m = take(r, c->n, DT_F32), *v = take(r, c->n, DT_F32);
    if (c->n > 0) memset(m, 0, (size_t)c->n * 4), memset(v, 0, (size_t)c->n * 4);
    for (int step = 0; step < 3; step++)
        RUN(r, adamw_step, p, m, v, g[step], 0.25f, 0.01, 0.9, 0.999, 1e-8, 0.1, 1.0 - pow(0.9, step + 1),
            1.0 - pow(0.999, step + 1), c->n);
    /* Three steps of a handful of f32 operations each. */
    output(r, "p", p, c->n, OUT_F32, f32_sum(4, 3));
    output(r, "m", m, c->n, OUT_F32, f32_sum(4, 3));
    output(r, "v", v, c->n, OUT_F32, f32_sum(4, 3));
}

static void run_square_sum(Run *r, const Case *c) {
    float *x = take_random(r, c->n, 2.0f, DT_F32);
    memory_seal(&r->mem);
    void *ws = WORKSPACE(r, square_sum, c->n);
    double *out = memory_take(&r->mem, 8, 0);
    RUN(r, square_sum, ws, out, x, c->n);
    /* Squares of f32 are exact in f64; sums of 4096 positive terms, whatever their order inside a block. */
    output(r, "out", out, 1, OUT_F64, (Tolerance){0x1p-53, 200.0, 200.0, 0.0, 0.0});
}

static void test_optimizer(void **state) {
    static const int64_t sizes[] = {0, 1, 5, 1000, 4096, 4097, 70001};
    for (int i = 0; i < 7; i++) {
        Case c = {.name = "adamw_step", .run = run_adamw, .n = sizes[i]};
        compare(*state, &c);
        c.name = "square_sum", c.run = run_square_sum;
        compare(*state, &c);
    }
}

static void run_copy_bytes(Run *r, const Case *c) {
    void *src = take_random(r, c->n, 1.0f, DT_BF16);
    memory_seal(&r->mem);
    void *dst = take(r, c->n, DT_BF16);
    RUN(r, copy_bytes, dst, src, c->n * 2);
    output(r, "dst", dst, c->n, OUT_BF16, exact());
}

static void test_copy(void **state) {
    static const int64_t sizes[] = {0, 1, 63, 5000};
    for (int i = 0; i < 4; i++) compare(*state, &(Case){.name = "copy_bytes", .run = run_copy_bytes, .n = sizes[i]});
}

#endif
