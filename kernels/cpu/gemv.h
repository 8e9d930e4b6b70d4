/* gemv.h: products of a matrix with one vector: what a token costs in generation, where every weight is used once.
 *
 * y[n] = sum_k W[n,k] x[k] in f32, W in its stored format. Lanes are neighbours in k, so that nothing is transposed and no
 * element goes through memory (dot.h); what is left behind whole runs of 32 is added one by one. The order depends
 * on the level and K alone (promise P5); it is not that of gemm.h. Nothing is rounded to bf16. */
#ifndef LORAC_KERNELS_CPU_GEMV_H
#define LORAC_KERNELS_CPU_GEMV_H

#include "kernels/cpu/dot.h"

enum { GEMV_BYTES = 1 << 14 }; /* about as many bytes of weights are a task */

/* W (rows,K) of format wt at any alignment. */
typedef struct GemvMatrix {
    const void *data;
    WType wt;
    int64_t rows, K;
} GemvMatrix;

/* Rows of a task; influences speed only. */
static inline int64_t gemv_grain(const GemvMatrix *m) {
    int64_t rows = GEMV_BYTES / (wtype_row_bytes(m->wt, m->K) + 1);
    return rows > 0 ? rows : 1;
}

/* y[i] = row row0 + i of the matrix times v (K), i < n. */
#define gemv_rows CPU_NAME(gemv_rows)
void gemv_rows(float *y, const GemvMatrix *m, const DotVector *v, int64_t row0, int64_t n);

#endif
