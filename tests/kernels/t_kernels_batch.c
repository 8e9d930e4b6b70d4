/* t_kernels_batch.c: what stands beside a token, document or row in a call changes no byte of its result.
 *
 * Each test runs a call on everything, then calls on parts of it (other threads, other neighbours, other places in memory),
 * and compares bytes. Then the neighbours become NaN, and the part's bytes must still be the same. On these rest the
 * promises packed == unpacked and any split into micro-batches. The reference computes every token alone in plain sight and is
 * left out: it is slow. */
#include "harness.h"

static void *at(const void *x, int64_t i, DType dt) { return (uint8_t *)(uintptr_t)x + i * (int64_t)dtype_bytes(dt); }

static void same(const Run *r, const char *what, const void *a, const void *b, int64_t n, DType dt) {
    char text[128];
    snprintf(text, sizeof text, "%s %s on %s", what, dtype_name(dt), r->bench->names[r->backend]);
    Output x = {.name = "whole/part", .data = a, .n = n, .type = out_type(dt)}, y = x;
    y.data = b;
    assert_same_bytes(text, &x, &y);
}

/* Makes x[0..begin) and x[end..n) NaN. */
static void spoil(void *x, int64_t begin, int64_t end, int64_t n, DType dt) {
    for (int64_t i = 0; i < n; i++)
        if (i < begin || i >= end) put(x, i, NAN, dt);
}

/* Spans of tokens of a call of 161: more than a matrix product takes at once on any level. */
enum { TOKENS = 161 };
static const int64_t SPANS[][2] = {{0, 1}, {160, 161}, {17, 18}, {3, 9}, {9, 41}, {100, 161}, {0, 150}};
enum { N_SPANS = 7 };

/* Products of one token (generation) have an order of their own: what is compared is then a token and the next or previous. */
static void product_span(int span, int64_t *begin, int64_t *end) {
    *begin = SPANS[span][0];
    *end = SPANS[span][1];
    if (*end - *begin > 1) return;
    if (*begin > 0)
        --*begin;
    else
        ++*end;
}

/* A test of one backend and dtype; the run is on two threads. */
typedef void (*BatchTest)(Run *r, DType dt);

static void on_every_backend(Bench *bench, BatchTest test) {
    for (int backend = 1; backend < bench->n_backends; backend++)
        for (int dt = DT_F32; dt <= DT_BF16; dt++) {
            if (!bench_turn(bench, bench->names[backend])) continue;
            Run r;
            run_begin(&r, bench, backend, 1, 9, 0xFF);
            test(&r, (DType)dt);
            memory_check(&r.mem, "batch");
            run_end(&r);
        }
}

/* The memory taken after the mark is dropped: for loops of calls. */
static void drop_to(Run *r, int mark) {
    memory_check(&r->mem, "batch");
    while (r->mem.n > mark) {
        Block *b = &r->mem.blocks[--r->mem.n];
        munmap(b->map, b->map_bytes + PAGE);
    }
}

/* ---- token by token kernels */
static void rows_of_rmsnorm(Run *r, DType dt) {
    enum { C = 100 };
    void *x = take_random(r, TOKENS * C, 2.0f, dt), *dy = take_random(r, TOKENS * C, 1.0f, dt);
    float *w = take_random(r, C, 1.0f, DT_F32), *rstd = take(r, TOKENS, DT_F32), *part_rstd = take(r, TOKENS, DT_F32);
    void *y = take(r, TOKENS * C, dt), *dx = take(r, TOKENS * C, dt);
    RUN(r, rmsnorm_forward, y, rstd, x, w, 1e-6f, TOKENS, C, dt);
    RUN(r, rmsnorm_backward, dx, dy, x, w, rstd, 0.0f, TOKENS, C, dt);
    for (int i = 0; i < N_SPANS; i++) {
        int64_t t = SPANS[i][0], T = SPANS[i][1] - t, n = T * C;
        int mark = r->mem.n;
        void *part = take(r, n, dt), *part_dx = take(r, n, dt);
        RUN(r, rmsnorm_forward, part, part_rstd, at(x, t * C, dt), w, 1e-6f, T, C, dt);
        same(r, "rmsnorm y", at(y, t * C, dt), part, n, dt);
        same(r, "rmsnorm rstd", rstd + t, part_rstd, T, DT_F32);
        RUN(r, rmsnorm_backward, part_dx, at(dy, t * C, dt), at(x, t * C, dt), w, rstd + t, 0.0f, T, C, dt);
        same(r, "rmsnorm dx", at(dx, t * C, dt), part_dx, n, dt);
        drop_to(r, mark);
    }
}

static void rows_of_elementwise(Run *r, DType dt) {
    enum { H = 3, D = 10, HALF = 4, C = H * D };
    void *g = take_random(r, TOKENS * C, 2.0f, dt), *u = take_random(r, TOKENS * C, 1.0f, dt);
    float *cosines = take_random(r, TOKENS * HALF, 1.0f, DT_F32), *sines = take_random(r, TOKENS * HALF, 1.0f, DT_F32);
    int32_t *pos = take_i32(r, TOKENS);
    for (int32_t t = 0; t < TOKENS; t++) pos[t] = TOKENS - 1 - t;
    void *y = take(r, TOKENS * C, dt), *z = take(r, TOKENS * C, dt), *dg = take(r, TOKENS * C, dt),
         *du = take(r, TOKENS * C, dt);
    for (int mode = 0; mode < 2; mode++) {
        GluAct act = mode == 0 ? GLU_SILU : GLU_GELU_TANH;
        RUN(r, rope, y, g, pos, cosines, sines, 1.0f, mode, TOKENS, H, D, HALF, dt);
        RUN(r, glu_forward, z, g, u, TOKENS * C, act, dt);
        RUN(r, glu_backward, dg, du, y, g, u, TOKENS * C, act, dt);
        for (int i = 0; i < N_SPANS; i++) {
            int64_t t = SPANS[i][0], T = SPANS[i][1] - t, n = T * C;
            int mark = r->mem.n;
            void *part = take(r, n, dt), *part2 = take(r, n, dt);
            RUN(r, rope, part, at(g, t * C, dt), pos + t, cosines, sines, 1.0f, mode, T, H, D, HALF, dt);
            same(r, "rope", at(y, t * C, dt), part, n, dt);
            RUN(r, glu_forward, part, at(g, t * C, dt), at(u, t * C, dt), n, act, dt);
            same(r, "glu", at(z, t * C, dt), part, n, dt);
            RUN(r, glu_backward, part, part2, at(y, t * C, dt), at(g, t * C, dt), at(u, t * C, dt), n, act, dt);
            same(r, "glu dg", at(dg, t * C, dt), part, n, dt);
            same(r, "glu du", at(du, t * C, dt), part2, n, dt);
            drop_to(r, mark);
        }
    }
}

/* ---- linear */
typedef struct Layer {
    WType wt;
    int64_t K, N, r;
    float p;
} Layer;

static const Layer LAYERS[] = {
    {WT_F32, 40, 700, 5, 0.0f},   {WT_BF16, 333, 70, 8, 0.25f}, {WT_Q8_0, 672, 40, 0, 0.0f},
    {WT_Q4_0, 64, 130, 16, 0.5f}, {WT_Q4_K, 256, 21, 3, 0.0f},  {WT_F16, 700, 150, 16, 0.1f},
};
enum { N_LAYERS = 6 };

static LinearPart layer_part(Run *r, const Layer *l) {
    LinearPart p = {.N = l->N, .r = l->r, .wt = l->wt, .scale = 2.0f, .drop_key = 99};
    p.W = take_weights(r, l->N, l->K, l->wt, true);
    if (l->r > 0) {
        p.A = take_random(r, l->r * l->K, 0.5f, DT_F32);
        p.B = take_random(r, l->N * l->r, 0.5f, DT_F32);
    }
    return p;
}

static uint64_t *token_keys(Run *r, int64_t T) {
    uint64_t *token = memory_take(&r->mem, T * 8, 0);
    for (int64_t t = 0; t < T; t++) token[t] = (uint64_t)(t % 3) << 32 | (uint64_t)(t / 3);
    return token;
}

/* Y and U, then dX and dU of T tokens; token keys start at `token`. */
static void linear_both(Run *r, const Layer *l, LinearPart *p, void *dX, const void *R, const void *X,
                        const uint64_t *token, int64_t T, DType dt) {
    Dropout drop = {.p = l->p, .token = token};
    RUN(r, linear_forward, WORKSPACE(r, linear_forward, p, 1, T, l->K, dt), p, 1, R, X, &drop, T, l->K, dt);
    RUN(r, linear_backward, WORKSPACE(r, linear_backward, p, 1, T, l->K, dt), dX, p, 1, &drop, 0.0f, T, l->K, dt);
}

static void rows_of_layer(Run *r, const Layer *l, DType dt) {
    LinearPart whole = layer_part(r, l);
    int64_t nX = TOKENS * l->K, nY = TOKENS * l->N, nU = TOKENS * l->r;
    void *X = take_random(r, nX, 1.0f, dt), *dY = take_random(r, nY, 1.0f, dt), *R = take_random(r, nY, 1.0f, dt);
    void *X_spoiled = take(r, nX, dt), *dY_spoiled = take(r, nY, dt), *dX = take(r, nX, dt);
    uint64_t *token = token_keys(r, TOKENS);
    whole.dY = dY;
    whole.Y = take(r, nY, dt);
    whole.U = take(r, nU, DT_F32);
    whole.dU = take(r, nU, DT_F32);
    linear_both(r, l, &whole, dX, R, X, token, TOKENS, dt);
    for (int i = 0; i < N_SPANS; i++) {
        int64_t t, T;
        product_span(i, &t, &T);
        T -= t;
        int mark = r->mem.n;
        LinearPart part = whole;
        part.dY = at(dY, t * l->N, dt);
        part.Y = take(r, T * l->N, dt);
        part.U = take(r, T * l->r, DT_F32);
        part.dU = take(r, T * l->r, DT_F32);
        void *part_dX = take(r, T * l->K, dt);
        linear_both(r, l, &part, part_dX, at(R, t * l->N, dt), at(X, t * l->K, dt), token + t, T, dt);
        same(r, "linear Y", at(whole.Y, t * l->N, dt), part.Y, T * l->N, dt);
        same(r, "linear U", whole.U + t * l->r, part.U, T * l->r, DT_F32);
        same(r, "linear dU", whole.dU + t * l->r, part.dU, T * l->r, DT_F32);
        same(r, "linear dX", at(dX, t * l->K, dt), part_dX, T * l->K, dt);

        memcpy(X_spoiled, X, (size_t)nX * dtype_bytes(dt));
        memcpy(dY_spoiled, dY, (size_t)nY * dtype_bytes(dt));
        spoil(X_spoiled, t * l->K, (t + T) * l->K, nX, dt);
        spoil(dY_spoiled, t * l->N, (t + T) * l->N, nY, dt);
        LinearPart spoiled = whole;
        spoiled.dY = dY_spoiled;
        spoiled.Y = take(r, nY, dt);
        spoiled.U = take(r, nU, DT_F32);
        spoiled.dU = take(r, nU, DT_F32);
        void *spoiled_dX = take(r, nX, dt);
        linear_both(r, l, &spoiled, spoiled_dX, R, X_spoiled, token, TOKENS, dt);
        same(r, "linear Y beside NaN", at(spoiled.Y, t * l->N, dt), part.Y, T * l->N, dt);
        same(r, "linear U beside NaN", spoiled.U + t * l->r, part.U, T * l->r, DT_F32);
        same(r, "linear dU beside NaN", spoiled.dU + t * l->r, part.dU, T * l->r, DT_F32);
        same(r, "linear dX beside NaN", at(spoiled_dX, t * l->K, dt), part_dX, T * l->K, dt);
        drop_to(r, mark);
    }
}

static void rows_of_linear(Run *r, DType dt) {
    for (int i = 0; i < N_LAYERS; i++) {
        int mark = r->mem.n;
        rows_of_layer(r, &LAYERS[i], dt);
        drop_to(r, mark);
    }
}

/* Rows of the optimizer batch in one call, or in calls of one row each, each with other neighbours before it. */
static void rows_of_lora_grad(Run *r, DType dt) {
    enum { K = 100, N = 33, R = 5, ROWS = 6, STRIDE = R * K + N * R, T = 200 };
    static const int64_t ends[ROWS + 1] = {0, 1, 20, 83, 83, 150, 200};
    LinearPart p = {.N = N, .r = R, .scale = 2.0f, .drop_key = 99, .wt = WT_F32};
    p.A = take_random(r, R * K, 1.0f, DT_F32);
    p.B = take_random(r, N * R, 1.0f, DT_F32);
    p.U = take_random(r, T * R, 1.0f, DT_F32);
    p.dU = take_random(r, T * R, 1.0f, DT_F32);
    p.dY = take_random(r, T * N, 1.0f, dt);
    void *X = take_random(r, T * K, 1.0f, dt);
    Dropout drop = {.p = 0.3f, .token = token_keys(r, T)};
    RowSpan rows[ROWS];
    for (int j = 0; j < ROWS; j++) rows[j] = (RowSpan){.begin = ends[j], .end = ends[j + 1], .index = j};
    float *together = take(r, 3 * STRIDE, DT_F32), *apart = take(r, 3 * STRIDE, DT_F32);
    p.dA = together, p.dB = together + R * K;
    RUN(r, lora_grad, WORKSPACE(r, lora_grad, &p, 1, T, K, dt), &p, 1, X, &drop, rows, ROWS, STRIDE, T, K, dt);
    for (int j = 0; j < ROWS; j++) {
        /* The call begins `before` tokens ahead of the row. */
        int64_t before = j % 2 == 0 ? 0 : (ends[j] < 3 ? ends[j] : 3), t = ends[j] - before, n = ends[j + 1] - t;
        LinearPart q = p;
        q.U += t * R;
        q.dU += t * R;
        q.dY = at(p.dY, t * N, dt);
        q.dA = apart, q.dB = apart + R * K;
        Dropout shifted = {.p = drop.p, .token = drop.token + t};
        RowSpan row = {.begin = before, .end = n, .index = j};
        RUN(r, lora_grad, WORKSPACE(r, lora_grad, &q, 1, n, K, dt), &q, 1, at(X, t * K, dt), &shifted, &row, 1, STRIDE,
            n, K, dt);
    }
    /* Six rows: level 0 holds an old row, levels 1 and 2 the sums that count. */
    same(r, "lora_grad tree", together, apart, 3 * STRIDE, DT_F32);
}

/* ---- attention */
enum { H = 4, HKV = 2, D = 40, DOCS = 6, PACKED = 1 + 70 + 3 + 0 + 130 + 17 };
static const int32_t CU[DOCS + 1] = {0, 1, 71, 74, 74, 204, 221};

typedef struct Attention {
    void *O, *dQ, *dK, *dV;
    float *L;
} Attention;

static Attention attention_both(Run *r, const void *Q, const void *K, const void *V, const void *dO, const int32_t *cu,
                                int64_t n_docs, int64_t window, float cap, int64_t T, DType dt) {
    Attention a = {.O = take(r, T * H * D, dt),
                   .dQ = take(r, T * H * D, dt),
                   .dK = take(r, T * HKV * D, dt),
                   .dV = take(r, T * HKV * D, dt),
                   .L = take(r, T * H, DT_F32)};
    void *ws = WORKSPACE(r, attention_forward, T, H, HKV, D, dt);
    RUN(r, attention_forward, ws, a.O, a.L, Q, K, V, cu, n_docs, 0.2f, window, cap, T, H, HKV, D, dt);
    ws = WORKSPACE(r, attention_backward, T, H, HKV, D, dt);
    RUN(r, attention_backward, ws, a.dQ, a.dK, a.dV, dO, a.O, a.L, Q, K, V, cu, n_docs, 0.2f, window, cap, T, H, HKV, D,
        dt);
    return a;
}

static void same_attention(const Run *r, const char *what, const Attention *whole, int64_t t, const Attention *part,
                           int64_t u, int64_t T, DType dt) {
    char text[64];
    int64_t q = H * D, k = HKV * D;
    snprintf(text, sizeof text, "attention %s, document of %d", what, (int)T);
    same(r, text, whole->L + t * H, part->L + u * H, T * H, DT_F32);
    same(r, text, at(whole->O, t * q, dt), at(part->O, u * q, dt), T * q, dt);
    same(r, text, at(whole->dQ, t * q, dt), at(part->dQ, u * q, dt), T * q, dt);
    same(r, text, at(whole->dK, t * k, dt), at(part->dK, u * k, dt), T * k, dt);
    same(r, text, at(whole->dV, t * k, dt), at(part->dV, u * k, dt), T * k, dt);
}

static void documents_of_attention(Run *r, DType dt) {
    int64_t q = H * D, k = HKV * D;
    void *in[4];
    const int64_t width[4] = {q, k, k, q};
    for (int i = 0; i < 4; i++) in[i] = take_random(r, PACKED * width[i], 1.0f, dt);
    for (int mode = 0; mode < 4; mode++) {
        int64_t window = mode % 2 == 0 ? 0 : 30;
        float cap = mode < 2 ? 0.0f : 3.0f;
        int mark = r->mem.n;
        Attention whole = attention_both(r, in[0], in[1], in[2], in[3], CU, DOCS, window, cap, PACKED, dt);
        int inner = r->mem.n;
        for (int doc = 0; doc < DOCS; doc++) {
            int64_t t = CU[doc], T = CU[doc + 1] - t;
            int32_t cu[2] = {0, (int32_t)T};
            Attention alone = attention_both(r, at(in[0], t * q, dt), at(in[1], t * k, dt), at(in[2], t * k, dt),
                                             at(in[3], t * q, dt), cu, 1, window, cap, T, dt);
            same_attention(r, "packed and alone", &whole, t, &alone, 0, T, dt);

            void *spoiled[4];
            for (int i = 0; i < 4; i++) {
                spoiled[i] = take(r, PACKED * width[i], dt);
                memcpy(spoiled[i], in[i], (size_t)(PACKED * width[i]) * dtype_bytes(dt));
                spoil(spoiled[i], t * width[i], (t + T) * width[i], PACKED * width[i], dt);
            }
            Attention beside =
                attention_both(r, spoiled[0], spoiled[1], spoiled[2], spoiled[3], CU, DOCS, window, cap, PACKED, dt);
            same_attention(r, "beside NaN", &beside, t, &alone, 0, T, dt);
            drop_to(r, inner);
        }
        drop_to(r, mark);
    }
}

/* Prompt in one call, in two, or token by token: the same output, whatever room the cache has. */
static void tokens_of_cached_attention(Run *r, DType dt) {
    enum { T = 200, ROOM = 210 };
    int64_t q = H * D, k = HKV * D;
    void *Q = take_random(r, T * q, 1.0f, dt), *K = take_random(r, ROOM * k, 1.0f, dt),
         *V = take_random(r, ROOM * k, 1.0f, dt);
    spoil(K, 0, T * k, ROOM * k, dt);
    spoil(V, 0, T * k, ROOM * k, dt);
    static const int64_t splits[][2] = {{0, 1}, {0, 33}, {33, 200}, {1, 2}, {64, 65}, {199, 200}, {120, 137}};
    for (int64_t window = 0; window <= 20; window += 20) {
        int mark = r->mem.n;
        void *O = take(r, T * q, dt), *ws = WORKSPACE(r, attention_cached, T, T, H, HKV, D, dt);
        RUN(r, attention_cached, ws, O, Q, K, V, 0, 0.2f, window, 0.0f, T, H, HKV, D, dt);
        for (int i = 0; i < 7; i++) {
            int64_t t = splits[i][0], n = splits[i][1] - t;
            void *part = take(r, n * q, dt), *part_ws = WORKSPACE(r, attention_cached, n, ROOM, H, HKV, D, dt);
            RUN(r, attention_cached, part_ws, part, at(Q, t * q, dt), K, V, t, 0.2f, window, 0.0f, n, H, HKV, D, dt);
            same(r, "cached attention", at(O, t * q, dt), part, n * q, dt);
        }
        drop_to(r, mark);
    }
}

/* ---- output head */
static void tokens_of_head(Run *r, DType dt) {
    enum { C = 64, V = 133, T = 230, M = TOKENS };
    static const WType formats[] = {WT_F32, WT_Q8_0, WT_BF16};
    for (int f = 0; f < 3; f++) {
        int mark = r->mem.n;
        WType wt = formats[f];
        void *W = take_weights(r, V, C, wt, true), *X = take_random(r, T * C, 0.5f, dt);
        int32_t *index = take_i32(r, M), *target = take_i32(r, M);
        float *weight = take_random(r, M, 1.0f, DT_F32), *logp = take(r, M, DT_F32), *logits = take(r, M * V, DT_F32);
        for (int32_t i = 0; i < M; i++) index[i] = i + i / 3, target[i] = (int32_t)random_below(r, V);
        void *dX = take(r, T * C, dt);
        RUN(r, head_loss, WORKSPACE(r, head_loss, M, C, V, wt, dt), dX, logp, X, W, index, target, weight, M, T, C, V,
            wt, dt);
        RUN(r, head_logits, WORKSPACE(r, head_logits, M, C, V, wt, dt), logits, X, W, index, M, C, V, wt, dt);
        int inner = r->mem.n;
        for (int i = 0; i < N_SPANS; i++) {
            int64_t m, n;
            product_span(i, &m, &n);
            n -= m;
            int64_t t0 = index[m], tokens = index[m + n - 1] + 1 - t0;
            int32_t shifted[M];
            for (int64_t j = 0; j < n; j++) shifted[j] = index[m + j] - (int32_t)t0;
            void *part_dX = take(r, tokens * C, dt);
            float *part_logp = take(r, n, DT_F32), *part_logits = take(r, n * V, DT_F32);
            RUN(r, head_loss, WORKSPACE(r, head_loss, n, C, V, wt, dt), part_dX, part_logp, at(X, t0 * C, dt), W,
                shifted, target + m, weight + m, n, tokens, C, V, wt, dt);
            RUN(r, head_logits, WORKSPACE(r, head_logits, n, C, V, wt, dt), part_logits, at(X, t0 * C, dt), W, shifted,
                n, C, V, wt, dt);
            same(r, "head logp", logp + m, part_logp, n, DT_F32);
            same(r, "head dX", at(dX, t0 * C, dt), part_dX, tokens * C, dt);
            same(r, "head logits", logits + m * V, part_logits, n * V, DT_F32);
            drop_to(r, inner);
        }
        drop_to(r, mark);
    }
}

#define BATCH_TEST(name)                                                                                               \
    static void test_##name(void **state) { on_every_backend(*state, name); }
BATCH_TEST(rows_of_rmsnorm)
BATCH_TEST(rows_of_elementwise)
BATCH_TEST(rows_of_linear)
BATCH_TEST(rows_of_lora_grad)
BATCH_TEST(documents_of_attention)
BATCH_TEST(tokens_of_cached_attention)
BATCH_TEST(tokens_of_head)

int main(void) {
    Bench bench;
    bench_open(&bench);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_rows_of_rmsnorm, &bench),
        cmocka_unit_test_prestate(test_rows_of_elementwise, &bench),
        cmocka_unit_test_prestate(test_rows_of_linear, &bench),
        cmocka_unit_test_prestate(test_rows_of_lora_grad, &bench),
        cmocka_unit_test_prestate(test_documents_of_attention, &bench),
        cmocka_unit_test_prestate(test_tokens_of_cached_attention, &bench),
        cmocka_unit_test_prestate(test_tokens_of_head, &bench),
    };
    int failed = cmocka_run_group_tests_name("results do not depend on the rest of the call", tests, NULL, NULL);
    bench_close(&bench);
    return failed;
}
