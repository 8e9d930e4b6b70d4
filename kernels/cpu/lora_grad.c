/* lora_grad.c: adapter gradients per row of the optimizer batch, folded into the row tree (kernels.def).
 *
 * Both gradients are S^T Z over the tokens of a row, S (T,r) skinny and Z (T,C) wide: GA with S = dU, Z = drop(X), and GB,
 * transposed, with S = U, Z = dY. S is packed once; tasks then share the columns of the Zs and go through the rows in
 * order, so that an element of a tree is touched by one task only. Tokens are the depth of the product: their blocks
 * depend on the row's length alone. Always in f32, whatever dt is. */
#include "kernels/cpu/gemm.h"

#include "kernels/cpu/linear.h"

enum { SIDE_A, SIDE_B, SIDES, PACK_TOKENS = 256 };

typedef struct Grad {
    const LinearPart *parts;
    int n_parts;
    const void *X;
    const Dropout *drop;
    const RowSpan *rows;
    int64_t n_rows, level_stride, T, K, lanes;
    DType dt;
    float *left[GEMM_MAX_TERMS][SIDES]; /* [tile of r][t][GEMM_MR] */
    int64_t left_stride;
    int64_t n[GEMM_MAX_TERMS * SIDES]; /* columns of Z of side i % SIDES of part i / SIDES, 0: no adapter */
    GemmTake threads;
    int64_t max_r;
} Grad;

static GemmScratch thread_scratch(const Grad *g, int thread) {
    GemmTake take = g->threads;
    GemmScratch s = gemm_take_scratch(&take, g->max_r, 0);
    for (int i = 0; i < thread; i++) s = gemm_take_scratch(&take, g->max_r, 0);
    return s;
}

/* Lays out the workspace; returns its size. */
static int64_t plan(Grad *g, void *ws, int threads) {
    CHECK(g->n_parts <= GEMM_MAX_TERMS, "%d parts", g->n_parts);
    GemmTake take = {.base = ws};
    g->left_stride = (g->T * GEMM_MR + 15) / 16 * 16;
    for (int i = 0; i < g->n_parts; i++) {
        const LinearPart *p = &g->parts[i];
        if (p->r > g->max_r) g->max_r = p->r;
        for (int side = 0; side < SIDES; side++) {
            g->left[i][side] = gemm_take(&take, gemm_tiles(p->r) * g->left_stride);
            g->n[i * SIDES + side] = !linear_adapted(p) ? 0 : side == SIDE_A ? g->K : p->N;
        }
    }
    g->lanes = gemm_chunk_lanes(g->n, g->n_parts * SIDES, threads);
    g->threads = take;
    for (int i = 0; i < threads; i++) gemm_take_scratch(&take, g->max_r, 0);
    return take.used;
}

int64_t CPU_NAME(lora_grad_workspace)(const Stream *s, const LinearPart *parts, int n_parts, int64_t T, int64_t K,
                                      DType dt) {
    Grad g = {.parts = parts, .n_parts = n_parts, .T = T, .K = K, .dt = dt};
    return plan(&g, NULL, pool_threads(s->pool));
}

/* Packs PACK_TOKENS tokens of every S. */
static void pack_tokens(void *ctx, int64_t chunk, int thread) {
    (void)thread;
    const Grad *g = ctx;
    int64_t begin = chunk * PACK_TOKENS, end = begin + PACK_TOKENS < g->T ? begin + PACK_TOKENS : g->T;
    for (int i = 0; i < g->n_parts * SIDES; i++) {
        const LinearPart *p = &g->parts[i / SIDES];
        if (!linear_adapted(p)) continue;
        const float *S = i % SIDES == SIDE_A ? p->dU : p->U;
        for (int64_t tile = 0; tile < gemm_tiles(p->r); tile++) {
            int64_t j0 = gemm_tile_row(p->r, tile), n = gemm_tile_row(p->r, tile + 1) - j0;
            float *dst = g->left[i / SIDES][i % SIDES] + tile * g->left_stride;
            for (int64_t t = begin; t < end; t++)
                for (int64_t j = 0; j < n; j++) dst[t * GEMM_MR + j] = S[t * p->r + j0 + j];
        }
    }
}

/* Where a tile of G goes: element (j, c) of the tree's level 0 lies at tree[j * row_stride + c * lane_stride]. */
typedef struct StoreTree {
    float *tree;
    int64_t row_stride, lane_stride, level_stride;
    int levels; /* complete runs that the row closes: trailing one bits of its index */
} StoreTree;

static void store_tree(const void *ctx, const float *tile, int64_t tile_index, int64_t row0, int rows, int64_t lane0,
                       int lanes) {
    (void)tile_index;
    const StoreTree *s = ctx;
    for (int j = 0; j < rows; j++) {
        float *first = s->tree + (row0 + j) * s->row_stride + lane0 * s->lane_stride;
        float sum[GEMM_NR];
        memcpy(sum, tile + j * GEMM_NR, sizeof sum);
        float *level = first;
        for (int l = 0; l < s->levels; l++, level += s->level_stride)
            for (int c = 0; c < lanes; c++) sum[c] += level[c * s->lane_stride];
        for (int c = 0; c < lanes; c++) level[c * s->lane_stride] = sum[c];
    }
}

static void multiply(void *ctx, int64_t chunk, int thread) {
    const Grad *g = ctx;
    GemmScratch scratch = thread_scratch(g, thread);
    int64_t lane0 = 0, lanes = 0;
    int i = linear_locate(g->n, g->n_parts * SIDES, g->lanes, chunk, &lane0, &lanes), side = i % SIDES;
    const LinearPart *p = &g->parts[i / SIDES];
    const void *Z = side == SIDE_A ? g->X : p->dY;
    int64_t C = g->n[i];
    StoreTree store = {.tree = side == SIDE_A ? p->dA : p->dB,
                       .row_stride = side == SIDE_A ? g->K : 1,
                       .lane_stride = side == SIDE_A ? 1 : p->r,
                       .level_stride = g->level_stride};
    for (int64_t row = 0; row < g->n_rows; row++) {
        const RowSpan *span = &g->rows[row];
        GemmTerm term = {
            .right = {.data = (const uint8_t *)Z + (size_t)(span->begin * C) * dtype_bytes(g->dt),
                      .wt = g->dt == DT_F32 ? WT_F32 : WT_BF16,
                      .rows = span->end - span->begin,
                      .cols = C},
            .left = {.data = g->left[i / SIDES][side] + span->begin * GEMM_MR, .stride = g->left_stride},
            .depth = span->end - span->begin,
        };
        GemmMask mask = linear_mask(g->drop, p);
        if (side == SIDE_A && mask.token != NULL) {
            mask.token += span->begin;
            term.right.mask = mask;
        }
        store.levels = 0;
        while ((span->index >> store.levels & 1) != 0) store.levels++;
        GemmJob job = {.terms = &term, .n_terms = 1, .mode = GEMM_F32, .T = p->r, .store = store_tree, .ctx = &store};
        gemm_chunk(&job, 0, gemm_tiles(p->r), lane0, lanes, &scratch);
    }
}

void CPU_NAME(lora_grad)(Stream *s, void *ws, const LinearPart *parts, int n_parts, const void *X, const Dropout *drop,
                         const RowSpan *rows, int64_t n_rows, int64_t level_stride, int64_t T, int64_t K, DType dt) {
    Grad g = {.parts = parts,
              .n_parts = n_parts,
              .X = X,
              .drop = drop,
              .rows = rows,
              .n_rows = n_rows,
              .level_stride = level_stride,
              .T = T,
              .K = K,
              .dt = dt};
    plan(&g, ws, pool_threads(s->pool));
    pool_run(s->pool, (T + PACK_TOKENS - 1) / PACK_TOKENS, pack_tokens, &g);
    pool_run(s->pool, linear_chunks(g.n, n_parts * SIDES, g.lanes), multiply, &g);
}
