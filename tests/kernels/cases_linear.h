/* cases_linear.h: cases of the linear group, the adapter gradients, the row tree, the merge and the output head. */
#ifndef LORAC_TESTS_KERNELS_CASES_LINEAR_H
#define LORAC_TESTS_KERNELS_CASES_LINEAR_H

#include "cases.h"

enum { MAX_PARTS = 3 };

/* Rows of part i: different in every part. */
static inline int64_t part_rows(const Case *c, int i) { return i == 0 ? c->N : i == 1 ? c->N / 2 + 1 : 3; }

/* Part 1 of a group of three has no adapter; r == 0: none has. */
static inline bool part_adapted(const Case *c, int i) { return c->r > 0 && !(c->n_parts == 3 && i == 1); }

/* Weights, adapters and keys of the parts; outputs stay NULL. */
static inline void take_parts(Run *r, const Case *c, LinearPart *parts) {
    memset(parts, 0, sizeof *parts * MAX_PARTS);
    for (int i = 0; i < c->n_parts; i++) {
        LinearPart *p = &parts[i];
        p->N = part_rows(c, i);
        /* Parts of a group may have different formats. */
        p->wt = i == 1 && c->n_parts == 3 ? WT_F16 : c->wt;
        p->W = take_weights(r, p->N, c->K, p->wt, i != 1);
        p->drop_key = rng_mix(5, (uint64_t)i);
        p->scale = 0.5f + (float)i;
        if (!part_adapted(c, i)) continue;
        p->r = c->r + i;
        p->A = take_random(r, p->r * c->K, 0.5f, DT_F32);
        p->B = take_random(r, p->N * p->r, 0.5f, DT_F32);
    }
}

/* Token keys as the trainer makes them: row << 32 | position. */
static inline uint64_t *take_tokens(Run *r, int64_t T) {
    uint64_t *token = memory_take(&r->mem, T * 8, 0);
    for (int64_t t = 0; t < T; t++) token[t] = (uint64_t)(t / 7) << 32 | (uint64_t)(t % 7 + 3);
    return token;
}

/* Sizes of the sums that random inputs make: X and dY have variance 1, weights and adapters 1/4. */
static inline double down_size(const Case *c, const LinearPart *p, int64_t depth) {
    return (double)p->scale * 0.5 * sqrt((double)depth / (1.0 - (double)c->p));
}

static inline double product_size(const Case *c, const LinearPart *p, int64_t depth) {
    double adapter = p->A == NULL ? 0.0 : down_size(c, p, depth) * 0.5 * sqrt((double)p->r);
    return sqrt(0.25 * (double)depth + adapter * adapter);
}

static void run_linear_forward(Run *r, const Case *c) {
    LinearPart parts[MAX_PARTS];
    take_parts(r, c, parts);
    void *X = take_random(r, c->T * c->K, 1.0f, c->dt);
    Dropout drop = {.p = c->p, .token = c->p > 0.0f ? take_tokens(r, c->T) : NULL};
    bool residual = c->variant == VARIANT_RESIDUAL;
    const void *R = residual ? take_random(r, c->T * c->N, 3.0f, c->dt) : NULL;
    memory_seal(&r->mem);
    for (int i = 0; i < c->n_parts; i++) {
        LinearPart *p = &parts[i];
        p->Y = take(r, c->T * p->N, c->dt);
        if (p->A != NULL) p->U = take(r, c->T * p->r, DT_F32);
    }
    if (c->variant == VARIANT_IN_PLACE) R = parts[0].Y = take_random(r, c->T * c->N, 3.0f, c->dt);
    void *ws = WORKSPACE(r, linear_forward, parts, c->n_parts, c->T, c->K, c->dt);
    RUN(r, linear_forward, ws, parts, c->n_parts, R, X, c->p > 0.0f ? &drop : NULL, c->T, c->K, c->dt);
    for (int i = 0; i < c->n_parts; i++) {
        const LinearPart *p = &parts[i];
        /* bf16: W, A, B, U and the scaled X are rounded on the way, Y at the end. */
        output(r, "Y", p->Y, c->T * p->N, out_type(c->dt),
               sized(sum_tolerance(c->dt, c->K + p->r, 2, 6), product_size(c, p, c->K)));
        if (p->A != NULL)
            output(r, "U", p->U, c->T * p->r, OUT_F32,
                   sized(c->dt == DT_F32 ? f32_sum(c->K, 1) : bf16_sum(3), down_size(c, p, c->K)));
    }
}

static void run_linear_backward(Run *r, const Case *c) {
    LinearPart parts[MAX_PARTS];
    take_parts(r, c, parts);
    for (int i = 0; i < c->n_parts; i++) parts[i].dY = take_random(r, c->T * parts[i].N, 1.0f, c->dt);
    Dropout drop = {.p = c->p, .token = c->p > 0.0f ? take_tokens(r, c->T) : NULL};
    memory_seal(&r->mem);
    void *dX = c->variant == VARIANT_NULL_OUTPUT ? NULL
               : c->beta != 0.0f                 ? take_random(r, c->T * c->K, 2.0f, c->dt)
                                                 : take(r, c->T * c->K, c->dt);
    for (int i = 0; i < c->n_parts; i++)
        if (parts[i].A != NULL) parts[i].dU = take(r, c->T * parts[i].r, DT_F32);
    void *ws = WORKSPACE(r, linear_backward, parts, c->n_parts, c->T, c->K, c->dt);
    RUN(r, linear_backward, ws, dX, parts, c->n_parts, c->p > 0.0f ? &drop : NULL, c->beta, c->T, c->K, c->dt);
    int64_t depth = 2 * c->N + c->r;
    if (dX != NULL)
        output(r, "dX", dX, c->T * c->K, out_type(c->dt),
               sized(sum_tolerance(c->dt, depth, 2, 6), product_size(c, &parts[0], c->N)));
    for (int i = 0; i < c->n_parts; i++)
        if (parts[i].A != NULL)
            output(r, "dU", parts[i].dU, c->T * parts[i].r, OUT_F32,
                   sized(c->dt == DT_F32 ? f32_sum(c->N, 1) : bf16_sum(2), down_size(c, &parts[i], parts[i].N)));
}

/* Shapes (T, N, r) around the blocks of a matrix product, from one token and one row to several blocks of each. */
static const int64_t LINEAR_SHAPES[][3] = {{1, 1, 1},    {1, 70, 8},   {5, 33, 16}, {33, 17, 3},
                                           {70, 130, 8}, {130, 65, 4}, {0, 9, 2}};
enum { N_LINEAR_SHAPES = 7 };

static void linear_variants(Bench *bench, Case c, int k) {
    c.n_parts = 1 + k % MAX_PARTS;
    c.p = k % 4 == 1 ? 0.25f : 0.0f;
    c.variant = VARIANT_PLAIN;
    c.name = "linear_forward", c.run = run_linear_forward;
    compare_dtypes(bench, c);
    c.name = "linear_backward", c.run = run_linear_backward;
    c.beta = k % 2 == 0 ? 0.0f : 1.0f;
    compare_dtypes(bench, c);
}

static void test_linear(void **state) {
    int k = 0;
    for (int wt = 0; wt < WT_COUNT; wt++)
        for (int w = 0; width_for((WType)wt, w) > 0; w++)
            for (int s = 0; s < 2; s++, k++) {
                const int64_t *shape = LINEAR_SHAPES[(k + k / N_LINEAR_SHAPES) % N_LINEAR_SHAPES];
                linear_variants(*state,
                                (Case){.wt = (WType)wt,
                                       .K = width_for((WType)wt, w),
                                       .T = shape[0],
                                       .N = shape[1],
                                       .r = k % 5 == 4 ? 0 : shape[2]},
                                k);
            }
}

static void test_linear_options(void **state) {
    for (int s = 0; s < N_LINEAR_SHAPES; s++) {
        Case c = {.wt = s % 2 == 0 ? WT_Q8_0 : WT_BF16,
                  .K = 96,
                  .T = LINEAR_SHAPES[s][0],
                  .N = LINEAR_SHAPES[s][1],
                  .r = LINEAR_SHAPES[s][2],
                  .n_parts = 1,
                  .name = "linear_forward",
                  .run = run_linear_forward,
                  .variant = VARIANT_RESIDUAL};
        compare_dtypes(*state, c);
        c.variant = VARIANT_IN_PLACE, c.p = 0.5f;
        compare_dtypes(*state, c);
        c.r = 0, c.p = 0.0f;
        compare_dtypes(*state, c);
        c.variant = VARIANT_NULL_OUTPUT, c.r = 4, c.p = 0.1f;
        c.name = "linear_backward", c.run = run_linear_backward, c.n_parts = 2;
        compare_dtypes(*state, c);
    }
}

/* Longer than the reduction blocks of any backend. */
static void test_linear_long(void **state) {
    Case c = {.wt = WT_Q4_0, .K = 1408, .T = 19, .N = 21, .r = 16};
    for (int k = 0; k < 3; k++) linear_variants(*state, c, k);
    c = (Case){.wt = WT_F32, .K = 61, .T = 9, .N = 1100, .r = 64};
    for (int k = 0; k < 3; k++) linear_variants(*state, c, k);
    c = (Case){.wt = WT_Q6_K, .K = 2560, .T = 3, .N = 9, .r = 5};
    for (int k = 0; k < 3; k++) linear_variants(*state, c, k);
    c = (Case){.wt = WT_Q5_1, .K = 64, .T = 300, .N = 37, .r = 9};
    for (int k = 0; k < 3; k++) linear_variants(*state, c, k);
}

static void run_lora_grad(Run *r, const Case *c) {
    LinearPart parts[MAX_PARTS];
    take_parts(r, c, parts);
    void *X = take_random(r, c->T * c->K, 1.0f, c->dt);
    Dropout drop = {.p = c->p, .token = c->p > 0.0f ? take_tokens(r, c->T) : NULL};
    void *dY[MAX_PARTS];
    int64_t stride = 5;
    for (int i = 0; i < c->n_parts; i++) {
        LinearPart *p = &parts[i];
        p->dY = dY[i] = take_random(r, c->T * p->N, 1.0f, c->dt);
        p->W = NULL;
        if (p->A == NULL) continue;
        p->U = take_random(r, c->T * p->r, 1.0f, DT_F32);
        p->dU = take_random(r, c->T * p->r, 1.0f, DT_F32);
        stride += p->r * (c->K + p->N);
    }
    /* The call's tokens: one of no row, which must not matter, then n_rows spans of growing length, one of them empty. Indices go on from 2. */
    RowSpan rows[8];
    int64_t begin = c->T > 2 ? 1 : 0, begin_of_rows = begin;
    for (int64_t j = 0; j < c->n_rows; j++) {
        int64_t end = j == c->n_rows - 1 ? c->T : begin + (c->T - begin) * (j + 1) / (2 * c->n_rows);
        rows[j] = (RowSpan){.begin = begin, .end = j == 1 ? begin : end, .index = j + 2};
        begin = rows[j].end;
    }
    if (begin_of_rows > 0) {
        for (int64_t k = 0; k < c->K; k++) put(X, k, NAN, c->dt);
        for (int i = 0; i < c->n_parts; i++) put(dY[i], 0, NAN, c->dt);
    }
    memory_seal(&r->mem);
    int64_t levels = tree_levels(c->n_rows + 2), n = (levels - 1) * stride + stride - 5;
    float *tree = take_random(r, n, 1.0f, DT_F32), *at = tree;
    for (int i = 0; i < c->n_parts; i++) {
        LinearPart *p = &parts[i];
        if (p->A == NULL) continue;
        p->dA = at;
        p->dB = at + p->r * c->K;
        at += p->r * (c->K + p->N);
    }
    void *ws = WORKSPACE(r, lora_grad, parts, c->n_parts, c->T, c->K, c->dt);
    RUN(r, lora_grad, ws, parts, c->n_parts, X, c->p > 0.0f ? &drop : NULL, rows, c->n_rows, stride, c->T, c->K, c->dt);
    output(r, "tree", tree, n, OUT_F32, c->dt == DT_F32 ? f32_sum(c->T, 2) : bf16_sum(3));
}

static void test_lora_grad(void **state) {
    static const int64_t shapes[][4] = {{1, 1, 1, 1},      {9, 33, 100, 3},  {40, 7, 9, 8},
                                        {70, 64, 640, 16}, {130, 40, 65, 4}, {700, 20, 33, 5}};
    for (int i = 0; i < 6 * 4; i++) {
        const int64_t *s = shapes[i / 4];
        compare_dtypes(*state, (Case){.name = "lora_grad",
                                      .run = run_lora_grad,
                                      .wt = WT_F32,
                                      .T = s[0],
                                      .N = s[1],
                                      .K = s[2],
                                      .r = s[3],
                                      .n_parts = 1 + i % 3,
                                      .n_rows = i % 4 == 0 ? 1 : i % 4 + 3,
                                      .p = i % 2 == 0 ? 0.0f : 0.3f});
    }
}

static void run_tree_fold(Run *r, const Case *c) {
    int64_t stride = c->n + 3, levels = tree_levels(c->n_rows);
    float *tree = take_random(r, levels * stride, 1.0f, DT_F32), *out = tree;
    if (c->variant == VARIANT_PLAIN) {
        memory_seal(&r->mem);
        out = take(r, c->n, DT_F32);
    }
    RUN(r, tree_fold, out, tree, stride, c->n_rows, c->n);
    output(r, "out", out, c->n, OUT_F32, exact());
}

static void test_tree_fold(void **state) {
    for (int64_t rows = 1; rows < 18; rows++)
        for (int k = 0; k < 4; k++)
            compare(*state, &(Case){.name = "tree_fold",
                                    .run = run_tree_fold,
                                    .n_rows = rows,
                                    .n = k % 2 == 0 ? 7 : 20011,
                                    .variant = k < 2 ? VARIANT_PLAIN : VARIANT_IN_PLACE});
}

static void run_lora_merge(Run *r, const Case *c) {
    int64_t rows = c->N - c->row0;
    void *W = take_weights(r, c->N, c->K, c->wt, true);
    float *A = c->r > 0 ? take_random(r, c->r * c->K, 0.5f, DT_F32) : NULL;
    float *B = c->r > 0 ? take_random(r, c->N * c->r, 0.5f, DT_F32) : NULL;
    memory_seal(&r->mem);
    float *Y = take(r, rows * c->K, DT_F32);
    RUN(r, lora_merge, Y, W, A, B, 0.7f, c->row0, rows, c->K, c->r, c->wt);
    output(r, "Y", Y, rows * c->K, OUT_F32, c->r > 0 ? f32_sum(c->r, 1) : exact());
}

static void test_lora_merge(void **state) {
    for (int wt = 0; wt < WT_COUNT; wt++)
        for (int k = 0; width_for((WType)wt, k) > 0; k++)
            for (int r = 0; r < 3; r++)
                compare(*state, &(Case){.name = "lora_merge",
                                        .run = run_lora_merge,
                                        .wt = (WType)wt,
                                        .N = 21,
                                        .row0 = k % 2 == 0 ? 0 : 6,
                                        .K = width_for((WType)wt, k),
                                        .r = r * 7});
}

/* M ascending tokens of T; the rows of X that are not chosen are NaN and must not matter. */
static void *take_head_input(Run *r, const Case *c, int32_t *index) {
    void *X = take_random(r, c->T * c->C, 4.0f / sqrtf((float)c->C), c->dt);
    int64_t left = c->M;
    for (int64_t t = 0; t < c->T; t++)
        if (random_below(r, c->T - t) < left)
            index[c->M - left--] = (int32_t)t;
        else
            for (int64_t i = 0; i < c->C; i++) put(X, t * c->C + i, NAN, c->dt);
    return X;
}

static void run_head_loss(Run *r, const Case *c) {
    void *W = take_weights(r, c->V, c->C, c->wt, true);
    int32_t *index = take_i32(r, c->M), *target = take_i32(r, c->M);
    void *X = take_head_input(r, c, index);
    bool gradient = c->variant != VARIANT_NULL_OUTPUT;
    float *weight = gradient ? take_random(r, c->M, 1.0f, DT_F32) : NULL;
    for (int64_t i = 0; i < c->M; i++) target[i] = (int32_t)random_below(r, c->V);
    if (c->M > 1) target[0] = (int32_t)c->V - 1, target[1] = 0;
    for (int64_t i = 2; i < c->M && !gradient; i += 3) index[i] = index[i - 1]; /* allowed without a gradient */
    memory_seal(&r->mem);
    void *dX = gradient ? take(r, c->T * c->C, c->dt) : NULL;
    float *logp = take(r, c->M, DT_F32);
    void *ws = WORKSPACE(r, head_loss, c->M, c->C, c->V, c->wt, c->dt);
    RUN(r, head_loss, ws, dX, logp, X, W, index, target, weight, c->M, c->T, c->C, c->V, c->wt, c->dt);
    output(r, "logp", logp, c->M, OUT_F32, sized(c->dt == DT_F32 ? f32_sum(c->C + c->V, 2) : bf16_sum(3), 2.0));
    /* bf16: W twice, the logits' error in the exponent (a few units), dz, the result. A token's weight and the peak of its
     * softmax make rows of very different size, and an error in the exponent scales a whole row: sums have the size of the
     * largest rows, about 1. */
    Tolerance t = sized(sum_tolerance(c->dt, c->C + c->V, 4, 7), 1.0);
    t.own = 4.0;
    if (gradient) output(r, "dX", dX, c->T * c->C, out_type(c->dt), t);
}

static void run_head_logits(Run *r, const Case *c) {
    void *W = take_weights(r, c->V, c->C, c->wt, true);
    int32_t *index = take_i32(r, c->M);
    void *X = take_head_input(r, c, index);
    memory_seal(&r->mem);
    float *logits = take(r, c->M * c->V, DT_F32);
    void *ws = WORKSPACE(r, head_logits, c->M, c->C, c->V, c->wt, c->dt);
    RUN(r, head_logits, ws, logits, X, W, index, c->M, c->C, c->V, c->wt, c->dt);
    output(r, "logits", logits, c->M * c->V, OUT_F32, sized(c->dt == DT_F32 ? f32_sum(c->C, 1) : bf16_sum(2), 2.0));
}

static void test_head(void **state) {
    static const int64_t shapes[][3] = {{1, 1, 2},  {7, 5, 33},  {40, 40, 300}, {80, 70, 131},
                                        {3, 0, 50}, {9, 2, 700}, {12, 1, 90}};
    for (int wt = 0, i = 0; wt < WT_COUNT; wt++)
        for (int k = 0; width_for((WType)wt, k) > 0; k++, i++) {
            const int64_t *s = shapes[i % 7];
            Case c = {.wt = (WType)wt, .C = width_for((WType)wt, k), .T = s[0], .M = s[1], .V = s[2]};
            c.name = "head_loss", c.run = run_head_loss;
            compare_dtypes(*state, c);
            c.variant = VARIANT_NULL_OUTPUT;
            compare_dtypes(*state, c);
            c.name = "head_logits", c.run = run_head_logits;
            compare_dtypes(*state, c);
        }
}

/* More tokens than the head takes at once, and a vocabulary of many panels. */
static void test_head_long(void **state) {
    static const Case shapes[] = {{.wt = WT_Q8_0, .C = 32, .T = 300, .M = 270, .V = 97},
                                  {.wt = WT_F16, .C = 9, .T = 4, .M = 3, .V = 4300}};
    for (int i = 0; i < 2; i++) {
        Case c = shapes[i];
        c.name = "head_loss", c.run = run_head_loss;
        compare_dtypes(*state, c);
        c.name = "head_logits", c.run = run_head_logits;
        compare_dtypes(*state, c);
    }
    compare_dtypes(
        *state,
        (Case){.name = "head_logits", .run = run_head_logits, .wt = WT_F16, .C = 3, .T = 2200, .M = 2100, .V = 5});
}

#endif
