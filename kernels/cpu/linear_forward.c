/* linear_forward.c: Y = X W^T + U B^T [+ R] for a group of layers on one input (kernels.def).
 *
 * Pass 1, over groups of tokens: X is packed once for all parts and U = scale * drop(X) * A^T is computed. Pass 2, over
 * output features: [X | U] * [W | B]^T, the adapter being the last columns of the reduction, so that Y is written once.
 * A single token (generation) goes through gemv.h instead. */
#include "kernels/cpu/gemv.h"
#include "kernels/cpu/linear.h"

typedef struct Forward {
    const LinearPart *parts;
    int n_parts;
    const void *R, *X;
    const Dropout *drop;
    int64_t T, K, group, lanes;
    int64_t n[GEMM_MAX_TERMS];
    DType dt;
    GemmMode mode;
    float *x; /* packed X; of a single token its vector */
    int64_t x_stride;
    DotVector one; /* a single token */
    LinearSmall u[GEMM_MAX_TERMS];
    GemmTake threads; /* at the first thread's buffers */
    int64_t max_r;
} Forward;

static LinearThread take_thread(const Forward *f, GemmTake *take) {
    LinearThread t;
    t.gemm = gemm_take_scratch(take, f->T, f->max_r);
    t.left = gemm_take(take, f->max_r > 0 ? f->group * gemm_left_stride(f->K, GEMM_F32) : 0);
    t.rows = gemm_take(take, f->max_r > 0 ? GEMM_MR * linear_row_stride(f->K) : 0);
    return t;
}

static LinearThread thread_buffers(const Forward *f, int thread) {
    GemmTake take = f->threads;
    LinearThread t = take_thread(f, &take);
    for (int i = 0; i < thread; i++) t = take_thread(f, &take);
    return t;
}

/* Lays out the workspace; returns its size. */
static int64_t plan(Forward *f, void *ws, int threads) {
    CHECK(f->n_parts <= GEMM_MAX_TERMS, "%d parts", f->n_parts);
    GemmTake take = {.base = ws};
    f->mode = gemm_mode(f->dt);
    f->group = linear_group(f->T, threads);
    f->x_stride = gemm_left_stride(f->K, f->mode);
    f->x = gemm_take(&take, gemm_tiles(f->T) * f->x_stride);
    for (int i = 0; i < f->n_parts; i++) {
        const LinearPart *p = &f->parts[i];
        f->n[i] = p->N;
        if (p->r > f->max_r) f->max_r = p->r;
        int64_t stride = p->r > 0 ? gemm_left_stride(p->r, f->mode) : 0;
        f->u[i] = (LinearSmall){.part = p,
                                .out = p->U,
                                .packed = gemm_take(&take, gemm_tiles(f->T) * stride),
                                .packed_stride = stride,
                                .mode = f->mode};
    }
    f->lanes = gemm_chunk_lanes(f->n, f->n_parts, threads);
    f->threads = take;
    for (int i = 0; i < threads; i++) take_thread(f, &take);
    return take.used;
}

int64_t CPU_NAME(linear_forward_workspace)(const Stream *s, const LinearPart *parts, int n_parts, int64_t T, int64_t K,
                                           DType dt) {
    Forward f = {.parts = parts, .n_parts = n_parts, .T = T, .K = K, .dt = dt};
    return plan(&f, NULL, pool_threads(s->pool));
}

static void pack_group(void *ctx, int64_t chunk, int thread) {
    const Forward *f = ctx;
    LinearThread buffers = thread_buffers(f, thread);
    int64_t tile0 = chunk * f->group, tiles = gemm_tiles(f->T);
    int64_t tile1 = tile0 + f->group < tiles ? tile0 + f->group : tiles;
    for (int64_t j = tile0; j < tile1; j++) linear_pack(f->x + j * f->x_stride, f->X, j, f->T, f->K, f->dt, f->mode);
    bool have_f32 = false; /* buffers.left holds the group without dropout */
    for (int i = 0; i < f->n_parts; i++) {
        const LinearPart *p = &f->parts[i];
        if (!linear_adapted(p)) continue;
        GemmMask mask = linear_mask(f->drop, p);
        GemmLeft left = {.data = f->x + tile0 * f->x_stride, .stride = f->x_stride, .tile0 = tile0};
        if (mask.token != NULL || f->mode != GEMM_F32) {
            left.data = buffers.left;
            left.stride = gemm_left_stride(f->K, GEMM_F32);
            for (int64_t j = tile0; j < tile1 && !have_f32; j++) {
                float *dst = buffers.left + (j - tile0) * left.stride;
                if (mask.token != NULL)
                    linear_pack_masked(dst, buffers.rows, f->X, &mask, j, f->T, f->K, f->dt);
                else
                    linear_pack(dst, f->X, j, f->T, f->K, f->dt, GEMM_F32);
            }
            have_f32 = mask.token == NULL;
        }
        GemmRight A = {.data = p->A, .wt = WT_F32, .transposed = true, .rows = p->r, .cols = f->K};
        linear_small(&f->u[i], &A, left, f->K, f->T, tile0, tile1, &buffers.gemm);
    }
}

typedef struct StoreY {
    void *Y;
    const void *R;
    int64_t N;
    DType dt;
} StoreY;

static void store_y(const void *ctx, const float *tile, int64_t tile_index, int64_t row0, int rows, int64_t lane0,
                    int lanes) {
    (void)tile_index;
    const StoreY *s = ctx;
    for (int r = 0; r < rows; r++)
        for (int l = 0; l < lanes; l += CPU_VW) {
            int64_t i = (row0 + r) * s->N + lane0 + l, n = lanes - l < CPU_VW ? lanes - l : CPU_VW;
            vf y = vf_load(tile + r * GEMM_NR + l);
            if (s->R != NULL) y += vf_load_n_dt(s->R, i, n, s->dt);
            vf_store_n_dt(s->Y, i, y, n, s->dt);
        }
}

static void multiply(void *ctx, int64_t chunk, int thread) {
    const Forward *f = ctx;
    LinearThread buffers = thread_buffers(f, thread);
    int64_t lane0 = 0, lanes = 0;
    int i = linear_locate(f->n, f->n_parts, f->lanes, chunk, &lane0, &lanes);
    const LinearPart *p = &f->parts[i];
    GemmTerm term = {
        .right = {.data = p->W, .wt = p->wt, .transposed = true, .rows = p->N, .cols = f->K},
        .left = {.data = f->x, .stride = f->x_stride},
        .depth = f->K,
    };
    if (linear_adapted(p)) {
        term.right2 = (GemmRight){.data = p->B, .wt = WT_F32, .transposed = true, .rows = p->N, .cols = p->r};
        term.left2 = (GemmLeft){.data = f->u[i].packed, .stride = f->u[i].packed_stride};
        term.depth2 = p->r;
    }
    StoreY y = {.Y = p->Y, .R = f->R, .N = p->N, .dt = f->dt};
    GemmJob job = {.terms = &term, .n_terms = 1, .mode = f->mode, .T = f->T, .store = store_y, .ctx = &y};
    gemm_chunk(&job, 0, gemm_tiles(f->T), lane0, lanes, &buffers.gemm);
}

/* ---- one token ----------------------------------------------------------------------------------------------------- */

enum { ADAPTER_ROWS = 4, GEMV_ROWS_MAX = 256 }; /* of a task */

/* r[i] = the rows of part i's adapter, 0 without one; returns their number. */
static int64_t adapter_rows(const Forward *f, int64_t r[GEMM_MAX_TERMS]) {
    int64_t sum = 0;
    for (int i = 0; i < f->n_parts; i++) sum += r[i] = linear_adapted(&f->parts[i]) ? f->parts[i].r : 0;
    return sum;
}

/* U: some rows of the parts' A with the token. */
static void one_adapter(void *ctx, int64_t chunk, int thread) {
    (void)thread;
    const Forward *f = ctx;
    int64_t r[GEMM_MAX_TERMS], row0 = 0, rows = 0;
    adapter_rows(f, r);
    const LinearPart *p = &f->parts[linear_locate(r, f->n_parts, ADAPTER_ROWS, chunk, &row0, &rows)];
    GemvMatrix A = {.data = p->A, .wt = WT_F32, .rows = p->r, .K = f->K};
    gemv_rows(p->U + row0, &A, &f->one, row0, rows);
    for (int64_t i = row0; i < row0 + rows; i++) p->U[i] *= p->scale;
}

static void one_multiply(void *ctx, int64_t chunk, int thread) {
    (void)thread;
    const Forward *f = ctx;
    int64_t row0 = 0, rows = 0;
    const LinearPart *p = &f->parts[linear_locate(f->n, f->n_parts, f->lanes, chunk, &row0, &rows)];
    GemvMatrix W = {.data = p->W, .wt = p->wt, .rows = p->N, .K = f->K};
    float y[GEMV_ROWS_MAX], branch[GEMV_ROWS_MAX];
    gemv_rows(y, &W, &f->one, row0, rows);
    if (linear_adapted(p)) {
        GemvMatrix B = {.data = p->B, .wt = WT_F32, .rows = p->N, .K = p->r};
        DotVector U = {.x = p->U};
        gemv_rows(branch, &B, &U, row0, rows);
        for (int64_t i = 0; i < rows; i++) y[i] += branch[i];
    }
    for (int64_t i = 0; i < rows; i += CPU_VW) {
        int64_t n = rows - i < CPU_VW ? rows - i : CPU_VW;
        vf sum = vf_load_n(y + i, n);
        if (f->R != NULL) sum += vf_load_n_dt(f->R, row0 + i, n, f->dt);
        vf_store_n_dt(p->Y, row0 + i, sum, n, f->dt);
    }
}

static void one_token(Stream *s, Forward *f) {
    f->one = dot_vector(f->x, f->X, f->K, f->dt);
    int64_t r[GEMM_MAX_TERMS];
    if (adapter_rows(f, r) > 0) pool_run(s->pool, linear_chunks(r, f->n_parts, ADAPTER_ROWS), one_adapter, f);
    GemvMatrix W = {.wt = f->parts[0].wt, .K = f->K};
    f->lanes = gemv_grain(&W) < GEMV_ROWS_MAX ? gemv_grain(&W) : GEMV_ROWS_MAX;
    pool_run(s->pool, linear_chunks(f->n, f->n_parts, f->lanes), one_multiply, f);
}

void CPU_NAME(linear_forward)(Stream *s, void *ws, const LinearPart *parts, int n_parts, const void *R, const void *X,
                              const Dropout *drop, int64_t T, int64_t K, DType dt) {
    Forward f = {.parts = parts, .n_parts = n_parts, .R = R, .X = X, .drop = drop, .T = T, .K = K, .dt = dt};
    plan(&f, ws, pool_threads(s->pool));
    if (T == 1 && (drop == NULL || drop->p == 0.0f)) {
        one_token(s, &f);
        return;
    }
    pool_run(s->pool, (gemm_tiles(T) + f.group - 1) / f.group, pack_group, &f);
    pool_run(s->pool, linear_chunks(f.n, n_parts, f.lanes), multiply, &f);
}
