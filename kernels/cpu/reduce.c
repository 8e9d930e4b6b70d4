/* reduce.c: sums over adapter gradients: the fold of the row tree and the sum of squares. */
#include "kernels/cpu/level.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/spread.h"

typedef struct Fold {
    float *out;
    const float *tree;
    int64_t level_stride, n_rows;
} Fold;

CPU_INLINE void fold_vector(const Fold *p, int64_t i, int64_t lanes) {
    const float *level = p->tree + i;
    int64_t rows = p->n_rows;
    for (; (rows & 1) == 0; rows >>= 1) level += p->level_stride;
    vf sum = vf_load_n(level, lanes);
    for (rows >>= 1; rows > 0; rows >>= 1) {
        level += p->level_stride;
        if ((rows & 1) != 0) sum += vf_load_n(level, lanes);
    }
    vf_store_n(p->out + i, sum, lanes);
}

static void fold_range(const void *ctx, int64_t begin, int64_t end) {
    const Fold *p = ctx;
    int64_t i = begin;
    for (; i + CPU_VW <= end; i += CPU_VW) fold_vector(p, i, CPU_VW);
    if (i < end) fold_vector(p, i, end - i);
}

void CPU_NAME(tree_fold)(Stream *s, float *out, const float *tree, int64_t level_stride, int64_t n_rows, int64_t n) {
    Fold p = {.out = out, .tree = tree, .level_stride = level_stride, .n_rows = n_rows};
    spread_run(s, n, SPREAD_ELEMENTS, fold_range, &p);
}

enum { BLOCK = 4096, BLOCKS_PER_CHUNK = 4, LANES = CPU_VW / 2, SUMS = 4 };

/* Doubles that fill a register, and as many floats. */
typedef double vd __attribute__((vector_size(LANES * 8)));
typedef float vd_floats __attribute__((vector_size(LANES * 4)));

typedef struct Squares {
    double *sums; /* one a block */
    const float *x;
    int64_t n;
} Squares;

CPU_INLINE vd square_of(const float *x) {
    vd_floats f;
    memcpy(&f, x, sizeof f);
    vd v = __builtin_convertvector(f, vd);
    return v * v;
}

/* Element i of a block is added in lane i % LANES of vector (i / LANES) % SUMS; the last SUMS * LANES elements come with
 * zeros behind them. */
static void square_blocks(const void *ctx, int64_t begin, int64_t end) {
    const Squares *p = ctx;
    for (int64_t b = begin; b < end; b++) {
        const float *x = p->x + b * BLOCK;
        int64_t n = p->n - b * BLOCK < BLOCK ? p->n - b * BLOCK : BLOCK, i = 0;
        vd sums[SUMS] = {{0}};
        for (; i + SUMS * LANES <= n; i += SUMS * LANES)
            for (int k = 0; k < SUMS; k++) sums[k] += square_of(x + i + k * LANES);
        float rest[SUMS * LANES] = {0};
        for (int64_t k = i; k < n; k++) rest[k - i] = x[k];
        for (int k = 0; k < SUMS; k++) sums[k] += square_of(rest + k * LANES);
        vd lanes = (sums[0] + sums[1]) + (sums[2] + sums[3]);
        double sum = 0.0;
        for (int k = 0; k < LANES; k++) sum += lanes[k];
        p->sums[b] = sum;
    }
}

int64_t CPU_NAME(square_sum_workspace)(const Stream *s, int64_t n) {
    (void)s;
    return (n + BLOCK - 1) / BLOCK * (int64_t)sizeof(double);
}

void CPU_NAME(square_sum)(Stream *s, void *ws, double *out, const float *x, int64_t n) {
    Squares p = {.sums = ws, .x = x, .n = n};
    int64_t blocks = (n + BLOCK - 1) / BLOCK;
    spread_run(s, blocks, BLOCKS_PER_CHUNK, square_blocks, &p);
    double total = 0.0;
    for (int64_t b = 0; b < blocks; b++) total += p.sums[b];
    *out = total;
}
