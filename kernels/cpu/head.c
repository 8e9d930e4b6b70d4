/* head.c: head_logits, and the product it shares with head_loss (kernels.def, head.h). */
#include "kernels/cpu/head.h"

#include "kernels/cpu/gemv.h"

static void pack_tile(void *ctx, int64_t tile, int thread) {
    (void)thread;
    const HeadLogits *h = ctx;
    const void *rows[GEMM_MR] = {NULL};
    int64_t begin = gemm_tile_row(h->m, tile), end = gemm_tile_row(h->m, tile + 1);
    for (int64_t i = begin; i < end; i++)
        rows[i - begin] = (const uint8_t *)h->X + (size_t)(h->index[i] * h->C) * dtype_bytes(h->dt);
    gemm_pack_tile(h->x + tile * gemm_left_stride(h->C, h->mode), rows, h->dt, h->C, h->mode);
}

static void multiply(void *ctx, int64_t chunk, int thread) {
    const HeadLogits *h = ctx;
    GemmScratch scratch = head_scratch(h->threads, h->max_m, thread);
    GemmTerm term = {
        .right = {.data = h->W, .wt = h->wt, .transposed = true, .rows = h->V, .cols = h->C},
        .left = {.data = h->x, .stride = gemm_left_stride(h->C, h->mode)},
        .depth = h->C,
    };
    GemmJob job = {.terms = &term, .n_terms = 1, .mode = h->mode, .T = h->m, .store = h->store, .ctx = h->store_ctx};
    int64_t lane0 = chunk * h->lanes, lanes = h->V - lane0 < h->lanes ? h->V - lane0 : h->lanes;
    gemm_chunk(&job, 0, gemm_tiles(h->m), lane0, lanes, &scratch);
}

void head_run(Pool *pool, const HeadLogits *h) {
    HeadLogits copy = *h;
    pool_run(pool, gemm_tiles(h->m), pack_tile, &copy);
    pool_run(pool, (h->V + h->lanes - 1) / h->lanes, multiply, &copy);
}

/* ---- head_logits */
enum { MOST = 2016 }; /* tokens at once; whole tiles on every level */

static void plan(HeadLogits *h, GemmTake *take, int64_t M, int threads) {
    h->mode = gemm_mode(h->dt);
    h->max_m = M < MOST ? M : MOST;
    h->x = gemm_take(take, gemm_tiles(h->max_m) * gemm_left_stride(h->C, h->mode));
    h->lanes = gemm_chunk_lanes(&h->V, 1, threads);
    h->threads = *take;
    for (int i = 0; i < threads; i++) gemm_take_scratch(take, h->max_m, 0);
}

int64_t CPU_NAME(head_logits_workspace)(const Stream *s, int64_t M, int64_t C, int64_t V, WType wt, DType dt) {
    HeadLogits h = {.C = C, .V = V, .wt = wt, .dt = dt};
    GemmTake take = {0};
    plan(&h, &take, M, pool_threads(s->pool));
    return take.used;
}

typedef struct StoreLogits {
    float *logits;
    int64_t V;
} StoreLogits;

static void store_logits(const void *ctx, const float *tile, int64_t tile_index, int64_t row0, int rows, int64_t lane0,
                         int lanes) {
    (void)tile_index;
    const StoreLogits *s = ctx;
    for (int r = 0; r < rows; r++)
        memcpy(s->logits + (row0 + r) * s->V + lane0, tile + r * GEMM_NR, (size_t)lanes * sizeof(float));
}

/* ---- one token (generation) */
typedef struct OneToken {
    float *logits;
    DotVector x;
    GemvMatrix W;
} OneToken;

static void one_multiply(void *ctx, int64_t chunk, int thread) {
    (void)thread;
    const OneToken *o = ctx;
    int64_t grain = gemv_grain(&o->W), row0 = chunk * grain;
    gemv_rows(o->logits + row0, &o->W, &o->x, row0, o->W.rows - row0 < grain ? o->W.rows - row0 : grain);
}

static void one_token(Pool *pool, const HeadLogits *h, float *logits) {
    const uint8_t *x = (const uint8_t *)h->X + (size_t)(h->index[0] * h->C) * dtype_bytes(h->dt);
    OneToken o = {.logits = logits,
                  .x = dot_vector(h->x, x, h->C, h->dt),
                  .W = {.data = h->W, .wt = h->wt, .rows = h->V, .K = h->C}};
    pool_run(pool, (h->V + gemv_grain(&o.W) - 1) / gemv_grain(&o.W), one_multiply, &o);
}

void CPU_NAME(head_logits)(Stream *s, void *ws, float *logits, const void *X, const void *W, const int32_t *index,
                           int64_t M, int64_t C, int64_t V, WType wt, DType dt) {
    HeadLogits h = {.X = X, .W = W, .C = C, .V = V, .wt = wt, .dt = dt, .store = store_logits};
    GemmTake take = {.base = ws};
    plan(&h, &take, M, pool_threads(s->pool));
    if (M == 1) {
        h.index = index;
        one_token(s->pool, &h, logits);
        return;
    }
    for (int64_t i = 0; i < M; i += MOST) {
        StoreLogits store = {.logits = logits + i * V, .V = V};
        h.index = index + i;
        h.m = M - i < MOST ? M - i : MOST;
        h.store_ctx = &store;
        head_run(s->pool, &h);
    }
}
