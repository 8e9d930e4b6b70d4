/* linear.h: what linear_forward and linear_backward share: packing the left sides of a group of tokens, and the small
 * products U and dU that the adapters need first. */
#ifndef LORAC_KERNELS_CPU_LINEAR_H
#define LORAC_KERNELS_CPU_LINEAR_H

#include "kernels/cpu/gemm.h"

/* Tiles that one task packs at once: few enough for every thread to get some. */
static inline int64_t linear_group(int64_t T, int threads) {
    int64_t tiles = gemm_tiles(T), most = 96 / GEMM_MR, fair = (tiles + 2 * threads - 1) / (2 * threads);
    return fair < most ? (fair > 0 ? fair : 1) : most;
}

static inline bool linear_adapted(const LinearPart *p) { return p->A != NULL && p->r > 0; }

static inline GemmMask linear_mask(const Dropout *drop, const LinearPart *p) {
    if (drop == NULL || drop->p == 0.0f) return (GemmMask){0};
    return (GemmMask){.token = drop->token, .key = p->drop_key, .p = drop->p};
}

/* Buffers of one thread. */
typedef struct LinearThread {
    GemmScratch gemm;
    float *left; /* tiles of a group in f32, for U and dU where the packed activations are not f32 or not masked */
    float *rows; /* rows of a tile after dropout */
} LinearThread;

/* The small product of one part: U = scale * drop(X) * A^T or dU = scale * dY * B. */
typedef struct LinearSmall {
    const LinearPart *part;
    float *out;    /* (T,r) */
    float *packed; /* the same as a left side of the large product */
    int64_t packed_stride;
    GemmMode mode; /* of packed */
} LinearSmall;

/* dst = tile `tile` of x (T,depth) dt, packed. */
#define linear_pack CPU_NAME(linear_pack)
void linear_pack(float *dst, const void *x, int64_t tile, int64_t T, int64_t depth, DType dt, GemmMode mode);

/* Floats between the rows of a tile after dropout. */
static inline int64_t linear_row_stride(int64_t depth) { return (depth + CPU_VW - 1) / CPU_VW * CPU_VW; }

/* The same in f32 with the dropout of mask; rows: scratch of GEMM_MR * linear_row_stride(depth) floats. */
#define linear_pack_masked CPU_NAME(linear_pack_masked)
void linear_pack_masked(float *dst, float *rows, const void *x, const GemmMask *mask, int64_t tile, int64_t T,
                        int64_t depth, DType dt);

/* Computes s->out and s->packed for tiles tile0 .. tile1, from their f32 left side. */
#define linear_small CPU_NAME(linear_small)
void linear_small(const LinearSmall *s, const GemmRight *right, GemmLeft left, int64_t depth, int64_t T, int64_t tile0,
                  int64_t tile1, const GemmScratch *scratch);

/* Which lanes of which part a chunk covers, when chunks of `lanes` lanes run through n[0..count) in order. */
static inline int linear_locate(const int64_t *n, int count, int64_t lanes, int64_t chunk, int64_t *lane0,
                                int64_t *n_lanes) {
    for (int i = 0; i < count; i++) {
        int64_t chunks = (n[i] + lanes - 1) / lanes;
        if (chunk < chunks) {
            *lane0 = chunk * lanes;
            *n_lanes = n[i] - *lane0 < lanes ? n[i] - *lane0 : lanes;
            return i;
        }
        chunk -= chunks;
    }
    return -1;
}

static inline int64_t linear_chunks(const int64_t *n, int count, int64_t lanes) {
    int64_t chunks = 0;
    for (int i = 0; i < count; i++) chunks += (n[i] + lanes - 1) / lanes;
    return chunks;
}

#endif
