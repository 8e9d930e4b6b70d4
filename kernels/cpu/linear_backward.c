/* linear_backward.c: dU = scale dY B and dX = beta dX + sum over parts of dY W + unmask(dU A) (kernels.def).
 *
 * Pass 1, over groups of tokens: the dY of every part are packed and dU is computed. Pass 2, over input features: the
 * parts are the terms of one sum, [dY | dU] * [W ; A], so that dX is touched once. With dropout dU A has a chain of its own,
 * masked before it is added. */
#include "kernels/cpu/linear.h"

typedef struct Backward {
    const LinearPart *parts;
    int n_parts;
    void *dX;
    const Dropout *drop;
    float beta;
    int64_t T, K, group, lanes;
    DType dt;
    GemmMode mode;
    float *dy[GEMM_MAX_TERMS]; /* packed dY */
    int64_t dy_stride[GEMM_MAX_TERMS];
    LinearSmall du[GEMM_MAX_TERMS];
    GemmTake threads; /* at the first thread's buffers */
    int64_t max_r, max_N;
} Backward;

static LinearThread take_thread(const Backward *b, GemmTake *take) {
    LinearThread t = {.gemm = gemm_take_scratch(take, b->T, b->max_r)};
    t.left = gemm_take(take, b->max_r > 0 && b->mode != GEMM_F32 ? b->group * gemm_left_stride(b->max_N, GEMM_F32) : 0);
    return t;
}

static LinearThread thread_buffers(const Backward *b, int thread) {
    GemmTake take = b->threads;
    LinearThread t = take_thread(b, &take);
    for (int i = 0; i < thread; i++) t = take_thread(b, &take);
    return t;
}

/* Lays out the workspace; returns its size. */
static int64_t plan(Backward *b, void *ws, int threads) {
    CHECK(b->n_parts <= GEMM_MAX_TERMS, "%d parts", b->n_parts);
    GemmTake take = {.base = ws};
    b->mode = gemm_mode(b->dt);
    b->group = linear_group(b->T, threads);
    for (int i = 0; i < b->n_parts; i++) {
        const LinearPart *p = &b->parts[i];
        if (p->r > b->max_r) b->max_r = p->r;
        if (p->N > b->max_N) b->max_N = p->N;
        b->dy_stride[i] = gemm_left_stride(p->N, b->mode);
        b->dy[i] = gemm_take(&take, gemm_tiles(b->T) * b->dy_stride[i]);
        int64_t stride = p->r > 0 ? gemm_left_stride(p->r, b->mode) : 0;
        b->du[i] = (LinearSmall){.part = p,
                                 .out = p->dU,
                                 .packed = gemm_take(&take, gemm_tiles(b->T) * stride),
                                 .packed_stride = stride,
                                 .mode = b->mode};
    }
    b->lanes = gemm_chunk_lanes(&b->K, 1, threads);
    b->threads = take;
    for (int i = 0; i < threads; i++) take_thread(b, &take);
    return take.used;
}

int64_t CPU_NAME(linear_backward_workspace)(const Stream *s, const LinearPart *parts, int n_parts, int64_t T, int64_t K,
                                            DType dt) {
    Backward b = {.parts = parts, .n_parts = n_parts, .T = T, .K = K, .dt = dt};
    return plan(&b, NULL, pool_threads(s->pool));
}

static void pack_group(void *ctx, int64_t chunk, int thread) {
    const Backward *b = ctx;
    LinearThread buffers = thread_buffers(b, thread);
    int64_t tile0 = chunk * b->group, tiles = gemm_tiles(b->T);
    int64_t tile1 = tile0 + b->group < tiles ? tile0 + b->group : tiles;
    for (int i = 0; i < b->n_parts; i++) {
        const LinearPart *p = &b->parts[i];
        float *dy = b->dy[i] + tile0 * b->dy_stride[i];
        for (int64_t j = tile0; j < tile1; j++)
            linear_pack(dy + (j - tile0) * b->dy_stride[i], p->dY, j, b->T, p->N, b->dt, b->mode);
        if (!linear_adapted(p)) continue;
        GemmLeft left = {.data = dy, .stride = b->dy_stride[i], .tile0 = tile0};
        if (b->mode != GEMM_F32) {
            left.data = buffers.left;
            left.stride = gemm_left_stride(p->N, GEMM_F32);
            for (int64_t j = tile0; j < tile1; j++)
                linear_pack(buffers.left + (j - tile0) * left.stride, p->dY, j, b->T, p->N, b->dt, GEMM_F32);
        }
        GemmRight B = {.data = p->B, .wt = WT_F32, .rows = p->N, .cols = p->r};
        linear_small(&b->du[i], &B, left, p->N, b->T, tile0, tile1, &buffers.gemm);
    }
}

static void store_dx(const void *ctx, const float *tile, int64_t tile_index, int64_t row0, int rows, int64_t lane0,
                     int lanes) {
    (void)tile_index;
    const Backward *b = ctx;
    for (int r = 0; r < rows; r++)
        for (int l = 0; l < lanes; l += CPU_VW) {
            int64_t i = (row0 + r) * b->K + lane0 + l, n = lanes - l < CPU_VW ? lanes - l : CPU_VW;
            vf x = vf_load(tile + r * GEMM_NR + l);
            if (b->beta != 0.0f) x += b->beta * vf_load_n_dt(b->dX, i, n, b->dt);
            vf_store_n_dt(b->dX, i, x, n, b->dt);
        }
}

static void multiply(void *ctx, int64_t chunk, int thread) {
    const Backward *b = ctx;
    LinearThread buffers = thread_buffers(b, thread);
    GemmTerm terms[GEMM_MAX_TERMS];
    for (int i = 0; i < b->n_parts; i++) {
        const LinearPart *p = &b->parts[i];
        terms[i] = (GemmTerm){
            .right = {.data = p->W, .wt = p->wt, .rows = p->N, .cols = b->K},
            .left = {.data = b->dy[i], .stride = b->dy_stride[i]},
            .depth = p->N,
        };
        if (!linear_adapted(p)) continue;
        terms[i].right2 = (GemmRight){.data = p->A, .wt = WT_F32, .rows = p->r, .cols = b->K};
        terms[i].left2 = (GemmLeft){.data = b->du[i].packed, .stride = b->du[i].packed_stride};
        terms[i].depth2 = p->r;
        terms[i].mask = linear_mask(b->drop, p);
    }
    GemmJob job = {.terms = terms, .n_terms = b->n_parts, .mode = b->mode, .T = b->T, .store = store_dx, .ctx = b};
    int64_t lane0 = chunk * b->lanes, lanes = b->K - lane0 < b->lanes ? b->K - lane0 : b->lanes;
    gemm_chunk(&job, 0, gemm_tiles(b->T), lane0, lanes, &buffers.gemm);
}

void CPU_NAME(linear_backward)(Stream *s, void *ws, void *dX, const LinearPart *parts, int n_parts, const Dropout *drop,
                               float beta, int64_t T, int64_t K, DType dt) {
    Backward b = {.parts = parts, .n_parts = n_parts, .dX = dX, .drop = drop, .beta = beta, .T = T, .K = K, .dt = dt};
    plan(&b, ws, pool_threads(s->pool));
    pool_run(s->pool, (gemm_tiles(T) + b.group - 1) / b.group, pack_group, &b);
    if (dX != NULL) pool_run(s->pool, (K + b.lanes - 1) / b.lanes, multiply, &b);
}
