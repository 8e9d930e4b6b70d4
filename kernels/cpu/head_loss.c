/* head_loss.c: output head and cross-entropy in one pass over the weights per direction and chunk (kernels.def).
 *
 * Tokens are taken CHUNK at a time. The logits of a chunk stay in the workspace as the tiles the product made,
 * [tile][panel][row][lane]; the softmax turns them in place into the packed left side of the second product,
 * dX = dlogits W. A token's result does not depend on its chunk. */
#include "kernels/cpu/head.h"

enum {
    CHUNK = 126 / GEMM_MR * GEMM_MR,
    BLOCK = GEMM_MR * GEMM_NR,
    FOLD = 64, /* panels summed in f32 before they go into an f64 sum */
};

typedef struct Loss {
    HeadLogits head;
    void *dX;
    float *logp;
    const int32_t *target;
    const float *weight;
    int64_t T, n_panels;
    float *logits;
    int64_t dx_lanes;
} Loss;

static void plan(Loss *l, GemmTake *take, int64_t M, int threads) {
    HeadLogits *h = &l->head;
    h->mode = gemm_mode(h->dt);
    h->max_m = M < CHUNK ? M : CHUNK;
    l->n_panels = (h->V + GEMM_NR - 1) / GEMM_NR;
    h->x = gemm_take(take, gemm_tiles(h->max_m) * gemm_left_stride(h->C, h->mode));
    l->logits = gemm_take(take, gemm_tiles(h->max_m) * l->n_panels * BLOCK);
    h->lanes = gemm_chunk_lanes(&h->V, 1, threads);
    l->dx_lanes = gemm_chunk_lanes(&h->C, 1, threads);
    h->threads = *take;
    for (int i = 0; i < threads; i++) gemm_take_scratch(take, h->max_m, 0);
}

int64_t CPU_NAME(head_loss_workspace)(const Stream *s, int64_t M, int64_t C, int64_t V, WType wt, DType dt) {
    Loss l = {.head = {.C = C, .V = V, .wt = wt, .dt = dt}};
    GemmTake take = {0};
    plan(&l, &take, M, pool_threads(s->pool));
    return take.used;
}

static void store_tile(const void *ctx, const float *tile, int64_t tile_index, int64_t row0, int rows, int64_t lane0,
                       int lanes) {
    (void)row0;
    const Loss *l = ctx;
    float *dst = l->logits + (tile_index * l->n_panels + lane0 / GEMM_NR) * BLOCK;
    memcpy(dst, tile, (size_t)rows * GEMM_NR * sizeof(float));
    /* Lanes beyond the vocabulary have no probability. */
    for (int r = 0; r < rows; r++)
        for (int i = lanes; i < GEMM_NR; i++) dst[r * GEMM_NR + i] = -__builtin_inff();
}

/* max and sum(exp(z - max)) of one row of a tile. */
static double softmax_sum(const float *row, int64_t n_panels, float *max) {
    vf largest = vf_load(row);
    for (int64_t p = 0; p < n_panels; p++)
        for (int h = 0; h < 2; h++) largest = vf_max(vf_load(row + p * BLOCK + h * CPU_VW), largest);
    *max = vf_max_lane(largest);
    double total = 0.0;
    for (int64_t p = 0; p < n_panels; p += FOLD) {
        vf sum = {0};
        for (int64_t q = p; q < n_panels && q < p + FOLD; q++)
            for (int h = 0; h < 2; h++) sum += vf_exp(vf_load(row + q * BLOCK + h * CPU_VW) - *max);
        total += (double)vf_sum(sum);
    }
    return total;
}

/* One tile: logp of its rows and, when dX is wanted, dlogits in place of the logits. */
static void softmax_tile(void *ctx, int64_t tile, int thread) {
    (void)thread;
    const Loss *l = ctx;
    const HeadLogits *h = &l->head;
    float *logits = l->logits + tile * l->n_panels * BLOCK;
    int64_t row0 = gemm_tile_row(h->m, tile);
    int rows = (int)(gemm_tile_row(h->m, tile + 1) - row0);
    float max[GEMM_MR], scale[GEMM_MR];
    for (int r = 0; r < rows; r++) {
        const float *row = logits + r * GEMM_NR;
        double sum = softmax_sum(row, l->n_panels, &max[r]);
        int64_t v = l->target[row0 + r];
        double z = (double)row[v / GEMM_NR * BLOCK + v % GEMM_NR];
        l->logp[row0 + r] = (float)(z - ((double)max[r] + log_f64(sum)));
        if (l->dX != NULL) scale[r] = (float)((double)l->weight[row0 + r] / sum);
    }
    if (l->dX == NULL) return;
    int64_t units = gemm_steps(GEMM_NR, h->mode) * GEMM_MR; /* of a panel in the packed left side */
    for (int64_t p = 0; p < l->n_panels; p++) {
        float gradient[GEMM_MR][GEMM_NR], packed[GEMM_NR * GEMM_MR + CPU_VW];
        const void *pointers[GEMM_MR] = {NULL};
        for (int r = 0; r < rows; r++) {
            const float *z = logits + p * BLOCK + r * GEMM_NR;
            for (int i = 0; i < GEMM_NR; i += CPU_VW)
                vf_store(gradient[r] + i, scale[r] * vf_exp(vf_load(z + i) - max[r]));
            int64_t v = l->target[row0 + r];
            if (v / GEMM_NR == p) gradient[r][v % GEMM_NR] -= l->weight[row0 + r];
            pointers[r] = gradient[r];
        }
        gemm_pack_tile(packed, pointers, DT_F32, GEMM_NR, h->mode);
        memcpy(logits + p * units, packed, (size_t)units * sizeof(float));
    }
}

static void store_dx(const void *ctx, const float *tile, int64_t tile_index, int64_t row0, int rows, int64_t lane0,
                     int lanes) {
    (void)tile_index;
    const Loss *l = ctx;
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < lanes; i += CPU_VW) {
            int64_t at = l->head.index[row0 + r] * l->head.C + lane0 + i;
            vf_store_n_dt(l->dX, at, vf_load(tile + r * GEMM_NR + i), lanes - i < CPU_VW ? lanes - i : CPU_VW,
                          l->head.dt);
        }
}

static void multiply_back(void *ctx, int64_t chunk, int thread) {
    const Loss *l = ctx;
    const HeadLogits *h = &l->head;
    GemmScratch scratch = head_scratch(h->threads, h->max_m, thread);
    GemmTerm term = {
        .right = {.data = h->W, .wt = h->wt, .rows = h->V, .cols = h->C},
        .left = {.data = l->logits, .stride = l->n_panels * BLOCK},
        .depth = h->V,
    };
    GemmJob job = {.terms = &term, .n_terms = 1, .mode = h->mode, .T = h->m, .store = store_dx, .ctx = l};
    int64_t lane0 = chunk * l->dx_lanes, lanes = h->C - lane0 < l->dx_lanes ? h->C - lane0 : l->dx_lanes;
    gemm_chunk(&job, 0, gemm_tiles(h->m), lane0, lanes, &scratch);
}

static void clear_row(void *ctx, int64_t t, int thread) {
    (void)thread;
    const Loss *l = ctx;
    size_t bytes = (size_t)l->head.C * dtype_bytes(l->head.dt);
    memset((uint8_t *)l->dX + (size_t)t * bytes, 0, bytes);
}

void CPU_NAME(head_loss)(Stream *s, void *ws, void *dX, float *logp, const void *X, const void *W, const int32_t *index,
                         const int32_t *target, const float *weight, int64_t M, int64_t T, int64_t C, int64_t V,
                         WType wt, DType dt) {
    Loss l = {.head = {.X = X, .W = W, .C = C, .V = V, .wt = wt, .dt = dt, .store = store_tile}, .dX = dX, .T = T};
    GemmTake take = {.base = ws};
    plan(&l, &take, M, pool_threads(s->pool));
    if (dX != NULL) pool_run(s->pool, T, clear_row, &l);
    for (int64_t i = 0; i < M; i += CHUNK) {
        l.head.index = index + i;
        l.head.m = M - i < CHUNK ? M - i : CHUNK;
        l.head.store_ctx = &l;
        l.logp = logp + i;
        l.target = target + i;
        l.weight = weight != NULL ? weight + i : NULL;
        head_run(s->pool, &l.head);
        pool_run(s->pool, gemm_tiles(l.head.m), softmax_tile, &l);
        if (dX != NULL) pool_run(s->pool, (C + l.dx_lanes - 1) / l.dx_lanes, multiply_back, &l);
    }
}
