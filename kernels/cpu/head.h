/* head.h: what head_loss and head_logits share: the logits of chosen tokens, as tiles. */
#ifndef LORAC_KERNELS_CPU_HEAD_H
#define LORAC_KERNELS_CPU_HEAD_H

#include "kernels/cpu/gemm.h"

/* z = X[index] W^T for m tokens. */
typedef struct HeadLogits {
    const void *X, *W;
    const int32_t *index; /* (m) */
    int64_t m, C, V, lanes;
    WType wt;
    DType dt;
    GemmMode mode;
    float *x; /* packed tokens: gemm_tiles(m) * gemm_left_stride(C, mode) */
    GemmStore store;
    const void *store_ctx;
    GemmTake threads; /* each thread's GemmScratch for up to max_m tokens, one after the other */
    int64_t max_m;
} HeadLogits;

/* Packs the tokens and multiplies; store receives the tiles. */
#define head_run CPU_NAME(head_run)
void head_run(Pool *pool, const HeadLogits *h);

/* Scratch of one thread. */
static inline GemmScratch head_scratch(GemmTake threads, int64_t max_m, int thread) {
    GemmScratch s = gemm_take_scratch(&threads, max_m, 0);
    for (int i = 0; i < thread; i++) s = gemm_take_scratch(&threads, max_m, 0);
    return s;
}

#endif
