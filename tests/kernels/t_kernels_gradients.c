/* t_kernels_gradients.c: the gradients of the reference against finite differences of its forward kernels.
 *
 * The loss is sum(dy * y) in f64 over f32 outputs. The derivative is the five-point difference
 *   (8*(f(x+h) - f(x-h)) - (f(x+2h) - f(x-2h))) / (12h),
 * whose own error is h^4 f'''''/30; with h = 2^-5 that and the rounding of y (2^-24/h) are both near 1e-6 of the values,
 * so 1e-4 of the gradient's rms separates a right formula from a wrong one. Other backends are compared with the reference
 * in t_kernels_parity_*.c. */
#include "harness.h"

typedef double (*Loss)(void *context);

static double dot_f64(const float *a, const float *b, int64_t n) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

/* x[0..n) moves; gradient (n) is what the backward kernel gave for loss(context). */
static void check_gradient(const char *name, float *x, int64_t n, const float *gradient, Loss loss, void *context) {
    const double h = 0x1p-5, tolerance = 1e-4;
    double rms = sqrt(dot_f64(gradient, gradient, n) / (double)n);
    assert_true(rms > 0.0);
    for (int64_t i = 0; i < n; i++) {
        float old = x[i];
        double f[5];
        /* The steps are taken on a grid that f32 holds exactly. */
        float base = roundf(old * 1024.0f) / 1024.0f;
        assert_true(base == old);
        for (int k = -2; k <= 2; k++) {
            x[i] = base + (float)k * (float)h;
            f[k + 2] = k == 0 ? 0.0 : loss(context);
        }
        x[i] = old;
        double want = (8.0 * (f[3] - f[1]) - (f[4] - f[0])) / (12.0 * h);
        if (!(fabs((double)gradient[i] - want) <= tolerance * (rms + fabs(want))))
            fail_msg("%s: element %lld of the gradient is %.9g, finite differences give %.9g", name, (long long)i,
                     (double)gradient[i], want);
    }
}

/* n values on the grid of check_gradient. */
static float *take_grid(Run *r, int64_t n, float scale) {
    float *x = take(r, n, DT_F32);
    for (int64_t i = 0; i < n; i++) x[i] = roundf(scale * random_normal(r) * 1024.0f) / 1024.0f;
    return x;
}

static float *take_f32(Run *r, int64_t n) { return take(r, n, DT_F32); }

/* ---- rmsnorm */
typedef struct Norm {
    Run *r;
    float *x, *w, *y, *rstd, *dy;
} Norm;
enum { NORM_T = 3, NORM_C = 7 };

static double norm_loss(void *context) {
    Norm *c = context;
    RUN(c->r, rmsnorm_forward, c->y, c->rstd, c->x, c->w, 0.01f, NORM_T, NORM_C, DT_F32);
    return dot_f64(c->dy, c->y, NORM_T * NORM_C);
}

static void gradient_of_rmsnorm(Run *r) {
    int64_t n = NORM_T * NORM_C;
    Norm c = {r,
              take_grid(r, n, 2.0f),
              take_grid(r, NORM_C, 1.0f),
              take_f32(r, n),
              take_f32(r, NORM_T),
              take_grid(r, n, 1.0f)};
    float *dx = take_f32(r, n), *added = take_grid(r, n, 1.0f), *start = take_f32(r, n);
    memcpy(start, added, (size_t)n * 4);
    norm_loss(&c);
    RUN(r, rmsnorm_backward, dx, c.dy, c.x, c.w, c.rstd, 0.0f, NORM_T, NORM_C, DT_F32);
    RUN(r, rmsnorm_backward, added, c.dy, c.x, c.w, c.rstd, 1.0f, NORM_T, NORM_C, DT_F32);
    for (int64_t i = 0; i < n; i++)
        assert_true(fabs((double)added[i] - (double)start[i] - (double)dx[i]) < 1e-6 * (1.0 + fabs((double)added[i])));
    check_gradient("rmsnorm dx", c.x, n, dx, norm_loss, &c);
}

/* ---- linear: two parts, the first with residual-free adapter and dropout */
enum { LIN_T = 6, LIN_K = 8, LIN_PARTS = 2 };
typedef struct Linear {
    Run *r;
    LinearPart parts[LIN_PARTS];
    float *X, *Y[LIN_PARTS], *dY[LIN_PARTS], *A[LIN_PARTS], *B[LIN_PARTS], *R;
    Dropout drop;
    int n_parts;
    void *ws;
} Linear;

static double linear_loss(void *context) {
    Linear *c = context;
    RUN(c->r, linear_forward, c->ws, c->parts, c->n_parts, c->R, c->X, &c->drop, LIN_T, LIN_K, DT_F32);
    double sum = 0.0;
    for (int i = 0; i < c->n_parts; i++) sum += dot_f64(c->dY[i], c->Y[i], LIN_T * c->parts[i].N);
    return sum;
}

/* The gradient of the adapters through lora_grad and tree_fold, tokens cut into rows 0, 1, 2. */
static void check_adapters(Linear *c) {
    enum { ROWS = 3, LEVELS = 2 };
    Run *r = c->r;
    static const RowSpan rows[ROWS] = {{0, 1, 0}, {1, 4, 1}, {4, LIN_T, 2}};
    int64_t stride = 0;
    for (int i = 0; i < c->n_parts; i++) stride += c->parts[i].r * (LIN_K + c->parts[i].N);
    float *tree = take_f32(r, LEVELS * stride), *sum = take_f32(r, stride);
    int64_t offset = 0;
    for (int i = 0; i < c->n_parts; i++) {
        c->parts[i].dA = tree + offset;
        c->parts[i].dB = tree + offset + c->parts[i].r * LIN_K;
        offset += c->parts[i].r * (LIN_K + c->parts[i].N);
    }
    linear_loss(c); /* the differences of dX left the U of a moved X */
    void *ws = WORKSPACE(r, lora_grad, c->parts, c->n_parts, LIN_T, LIN_K, DT_F32);
    RUN(r, lora_grad, ws, c->parts, c->n_parts, c->X, &c->drop, rows, ROWS, stride, LIN_T, LIN_K, DT_F32);
    RUN(r, tree_fold, sum, tree, stride, ROWS, stride);
    offset = 0;
    for (int i = 0; i < c->n_parts; i++) {
        const LinearPart *p = &c->parts[i];
        check_gradient("lora dA", c->A[i], p->r * LIN_K, sum + offset, linear_loss, c);
        check_gradient("lora dB", c->B[i], p->N * p->r, sum + offset + p->r * LIN_K, linear_loss, c);
        offset += p->r * (LIN_K + p->N);
    }
}

static void gradient_of_linear(Run *r, int n_parts, float p, bool residual) {
    Linear c = {.r = r, .n_parts = n_parts, .drop.p = p};
    uint64_t *token = memory_take(&r->mem, LIN_T * 8, 0);
    for (int t = 0; t < LIN_T; t++) token[t] = (uint64_t)(t / 2) << 32 | (uint64_t)t;
    c.drop.token = token;
    c.X = take_grid(r, LIN_T * LIN_K, 1.0f);
    for (int i = 0; i < n_parts; i++) {
        LinearPart *part = &c.parts[i];
        *part = (LinearPart){.N = 5 - i, .r = 2 + i, .scale = 1.5f - (float)i, .wt = WT_BF16, .drop_key = (uint64_t)i};
        part->W = take_weights(r, part->N, LIN_K, part->wt, true);
        part->A = c.A[i] = take_grid(r, part->r * LIN_K, 1.0f);
        part->B = c.B[i] = take_grid(r, part->N * part->r, 1.0f);
        part->U = take_f32(r, LIN_T * part->r);
        part->dU = take_f32(r, LIN_T * part->r);
        part->Y = c.Y[i] = take_f32(r, LIN_T * part->N);
        part->dY = c.dY[i] = take_grid(r, LIN_T * part->N, 1.0f);
    }
    if (residual) c.R = take_grid(r, LIN_T * c.parts[0].N, 1.0f);
    c.ws = WORKSPACE(r, linear_forward, c.parts, n_parts, LIN_T, LIN_K, DT_F32);
    void *ws = WORKSPACE(r, linear_backward, c.parts, n_parts, LIN_T, LIN_K, DT_F32);
    float *dX = take_f32(r, LIN_T * LIN_K);
    linear_loss(&c);
    RUN(r, linear_backward, ws, dX, c.parts, n_parts, &c.drop, 0.0f, LIN_T, LIN_K, DT_F32);
    check_gradient("linear dX", c.X, LIN_T * LIN_K, dX, linear_loss, &c);
    /* The residual's gradient is dY itself. */
    if (residual) check_gradient("linear dR", c.R, LIN_T * c.parts[0].N, c.dY[0], linear_loss, &c);
    check_adapters(&c);
}

/* ---- rope */
enum { ROPE_T = 4, ROPE_H = 2, ROPE_D = 7, ROPE_HALF = 2, ROPE_N = ROPE_T * ROPE_H * ROPE_D };
typedef struct Rope {
    Run *r;
    float *x, *y, *dy;
    const float *cosines, *sines;
    int interleaved;
} Rope;
static const int32_t ROPE_POS[ROPE_T] = {0, 2, 5, 1};

static double rope_loss(void *context) {
    Rope *c = context;
    RUN(c->r, rope, c->y, c->x, ROPE_POS, c->cosines, c->sines, 1.0f, c->interleaved, ROPE_T, ROPE_H, ROPE_D, ROPE_HALF,
        DT_F32);
    return dot_f64(c->dy, c->y, ROPE_N);
}

static void gradient_of_rope(Run *r) {
    for (int interleaved = 0; interleaved < 2; interleaved++) {
        Rope c = {r,
                  take_grid(r, ROPE_N, 1.0f),
                  take_f32(r, ROPE_N),
                  take_grid(r, ROPE_N, 1.0f),
                  take_grid(r, 6 * ROPE_HALF, 1.0f),
                  take_grid(r, 6 * ROPE_HALF, 1.0f),
                  interleaved};
        float *dx = take_f32(r, ROPE_N);
        RUN(r, rope, dx, c.dy, ROPE_POS, c.cosines, c.sines, -1.0f, interleaved, ROPE_T, ROPE_H, ROPE_D, ROPE_HALF,
            DT_F32);
        check_gradient("rope dx", c.x, ROPE_N, dx, rope_loss, &c);
    }
}

/* ---- attention: two documents, grouped heads, window, soft cap */
enum { ATT_T = 8, ATT_H = 4, ATT_HKV = 2, ATT_D = 3, ATT_Q = ATT_T * ATT_H * ATT_D, ATT_K = ATT_T * ATT_HKV * ATT_D };
typedef struct Attention {
    Run *r;
    float *Q, *K, *V, *O, *L, *dO;
    void *ws;
    int64_t window;
    float softcap;
} Attention;
static const int32_t ATT_CU[3] = {0, 3, ATT_T};

static double attention_loss(void *context) {
    Attention *c = context;
    RUN(c->r, attention_forward, c->ws, c->O, c->L, c->Q, c->K, c->V, ATT_CU, 2, 0.75f, c->window, c->softcap, ATT_T,
        ATT_H, ATT_HKV, ATT_D, DT_F32);
    return dot_f64(c->dO, c->O, ATT_Q);
}

static void gradient_of_attention(Run *r) {
    for (int mode = 0; mode < 4; mode++) {
        Attention c = {r,
                       take_grid(r, ATT_Q, 1.0f),
                       take_grid(r, ATT_K, 1.0f),
                       take_grid(r, ATT_K, 1.0f),
                       take_f32(r, ATT_Q),
                       take_f32(r, ATT_T * ATT_H),
                       take_grid(r, ATT_Q, 1.0f),
                       WORKSPACE(r, attention_forward, ATT_T, ATT_H, ATT_HKV, ATT_D, DT_F32),
                       mode % 2 == 0 ? 0 : 2,
                       mode < 2 ? 0.0f : 1.5f};
        void *ws = WORKSPACE(r, attention_backward, ATT_T, ATT_H, ATT_HKV, ATT_D, DT_F32);
        float *dQ = take_f32(r, ATT_Q), *dK = take_f32(r, ATT_K), *dV = take_f32(r, ATT_K);
        attention_loss(&c);
        RUN(r, attention_backward, ws, dQ, dK, dV, c.dO, c.O, c.L, c.Q, c.K, c.V, ATT_CU, 2, 0.75f, c.window, c.softcap,
            ATT_T, ATT_H, ATT_HKV, ATT_D, DT_F32);
        check_gradient("attention dQ", c.Q, ATT_Q, dQ, attention_loss, &c);
        check_gradient("attention dK", c.K, ATT_K, dK, attention_loss, &c);
        check_gradient("attention dV", c.V, ATT_K, dV, attention_loss, &c);
        memory_check(&r->mem, "attention");
        memory_drop(&r->mem);
    }
}

/* ---- glu */
enum { GLU_N = 60 };
typedef struct Glu {
    Run *r;
    float *g, *u, *y, *dy;
    GluAct act;
} Glu;

static double glu_loss(void *context) {
    Glu *c = context;
    RUN(c->r, glu_forward, c->y, c->g, c->u, GLU_N, c->act, DT_F32);
    return dot_f64(c->dy, c->y, GLU_N);
}

static void gradient_of_glu(Run *r) {
    static const GluAct acts[] = {GLU_SILU, GLU_GELU_TANH};
    for (int i = 0; i < 2; i++) {
        Glu c = {
            r,      take_grid(r, GLU_N, 2.0f), take_grid(r, GLU_N, 1.0f), take_f32(r, GLU_N), take_grid(r, GLU_N, 1.0f),
            acts[i]};
        float *dg = take_f32(r, GLU_N), *du = take_f32(r, GLU_N);
        RUN(r, glu_backward, dg, du, c.dy, c.g, c.u, GLU_N, c.act, DT_F32);
        check_gradient("glu dg", c.g, GLU_N, dg, glu_loss, &c);
        check_gradient("glu du", c.u, GLU_N, du, glu_loss, &c);
    }
}

/* ---- output head: the loss is -sum weight*logp */
enum { HEAD_T = 5, HEAD_M = 3, HEAD_C = 6, HEAD_V = 9 };
typedef struct Head {
    Run *r;
    float *X, *weight, *logp;
    void *W, *ws;
} Head;
static const int32_t HEAD_INDEX[HEAD_M] = {0, 2, 4}, HEAD_TARGET[HEAD_M] = {8, 0, 3};

static double head_loss_of(void *context) {
    Head *c = context;
    RUN(c->r, head_loss, c->ws, NULL, c->logp, c->X, c->W, HEAD_INDEX, HEAD_TARGET, NULL, HEAD_M, HEAD_T, HEAD_C,
        HEAD_V, WT_F16, DT_F32);
    return -dot_f64(c->weight, c->logp, HEAD_M);
}

static void gradient_of_head(Run *r) {
    Head c = {r,
              take_grid(r, HEAD_T * HEAD_C, 1.0f),
              take_grid(r, HEAD_M, 1.0f),
              take_f32(r, HEAD_M),
              take_weights(r, HEAD_V, HEAD_C, WT_F16, true),
              WORKSPACE(r, head_loss, HEAD_M, HEAD_C, HEAD_V, WT_F16, DT_F32)};
    float *dX = take_f32(r, HEAD_T * HEAD_C);
    RUN(r, head_loss, c.ws, dX, c.logp, c.X, c.W, HEAD_INDEX, HEAD_TARGET, c.weight, HEAD_M, HEAD_T, HEAD_C, HEAD_V,
        WT_F16, DT_F32);
    for (int64_t k = 0; k < HEAD_C; k++) {
        assert_true(dX[1 * HEAD_C + k] == 0.0f);
        assert_true(dX[3 * HEAD_C + k] == 0.0f);
    }
    check_gradient("head dX", c.X, HEAD_T * HEAD_C, dX, head_loss_of, &c);
    /* Every probability is in (0,1), and over all targets they sum to one. */
    double total = 0.0;
    static const int32_t zero[1] = {0};
    for (int32_t v = 0; v < HEAD_V; v++) {
        RUN(r, head_loss, c.ws, NULL, c.logp, c.X, c.W, zero, &v, NULL, 1, HEAD_T, HEAD_C, HEAD_V, WT_F16, DT_F32);
        assert_true(c.logp[0] < 0.0f);
        total += exp((double)c.logp[0]);
    }
    assert_true(fabs(total - 1.0) < 1e-6);
}

/* ---- */
static void with_run(Bench *bench, void (*test)(Run *r)) {
    Run r;
    run_begin(&r, bench, 0, 0, 4, 0xFF);
    test(&r);
    memory_check(&r.mem, "gradients");
    run_end(&r);
}

static void linear_plain(Run *r) { gradient_of_linear(r, 1, 0.0f, false); }
static void linear_residual(Run *r) { gradient_of_linear(r, 1, 0.25f, true); }
static void linear_group(Run *r) { gradient_of_linear(r, 2, 0.5f, false); }

static void test_rmsnorm(void **state) { with_run(*state, gradient_of_rmsnorm); }
static void test_linear(void **state) {
    with_run(*state, linear_plain);
    with_run(*state, linear_residual);
    with_run(*state, linear_group);
}
static void test_rope(void **state) { with_run(*state, gradient_of_rope); }
static void test_attention(void **state) { with_run(*state, gradient_of_attention); }
static void test_glu(void **state) { with_run(*state, gradient_of_glu); }
static void test_head(void **state) { with_run(*state, gradient_of_head); }

int main(void) {
    Bench bench;
    bench_open(&bench);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_rmsnorm, &bench), cmocka_unit_test_prestate(test_linear, &bench),
        cmocka_unit_test_prestate(test_rope, &bench),    cmocka_unit_test_prestate(test_attention, &bench),
        cmocka_unit_test_prestate(test_glu, &bench),     cmocka_unit_test_prestate(test_head, &bench),
    };
    int failed = cmocka_run_group_tests_name("gradients against finite differences", tests, NULL, NULL);
    bench_close(&bench);
    return failed;
}
