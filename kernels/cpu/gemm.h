/* gemm.h: the one matrix product behind every kernel that multiplies matrices.
 *
 * sum[t, l] = over terms: left (T, depth) * right (depth, L)  +  left2 (T, depth2) * right2 (depth2, L)
 * Rows t are tokens (or adapter rows), lanes l are what a vector holds: output features in linear_forward, input features
 * in linear_backward. The left side is packed by the caller; the right side is a matrix in its stored format, expanded
 * panel by panel into a buffer of the thread. A finished tile is handed to a store function, which does what is particular
 * to a kernel (residual, beta, dtype, row tree).
 *
 * Order of a sum (promise P5): the depth of a term is cut into blocks by gemm_block, which looks at the depth alone. A
 * block is one chain of multiply-adds from zero in ascending order; blocks are added in ascending order, terms in the
 * order given. The second product of a term goes on in the chain of the term's last block; with dropout it is a chain of
 * its own that is masked before it is added. Tile shape, neighbours, threads and chunks have no influence: a row gives
 * the same bits alone and among others.
 *
 * Modes: GEMM_F32 works on f32 units with vf_fma. GEMM_BF16 (levels with bf16 pair products) works on units of two bf16
 * neighbours in depth; right sides are rounded to bf16 after they are expanded. A unit has 4 bytes in both. */
#ifndef LORAC_KERNELS_CPU_GEMM_H
#define LORAC_KERNELS_CPU_GEMM_H

#include "kernels/cpu/level.h"
#include "kernels/cpu/simd.h"

#include <stdbool.h>

enum {
    /* Rows of a tile: with two vectors a row they fill the registers. A NEON level loads a step of rows into three. */
    GEMM_MR = CPU_REGISTERS == 16 ? 6
              : CPU_VW == 16      ? 14
                                  : 12,
    GEMM_NR = 2 * CPU_VW, /* lanes of a tile */
    GEMM_STEPS = 320,     /* most units of depth in a block: a panel of one tile's lanes stays in L1 */
    GEMM_LANES = 128,     /* most lanes of a chunk; chunks are multiples of 32 lanes */
    GEMM_LANES_UNIT = 32,
    GEMM_GROUP = 144 / GEMM_MR, /* tiles whose left block stays in L2 */
    GEMM_MAX_TERMS = 8,
};

typedef enum GemmMode { GEMM_F32, GEMM_BF16 } GemmMode;

/* The mode of activations of dt on this level. */
static inline GemmMode gemm_mode(DType dt) { return CPU_BF16_PAIRS && dt == DT_BF16 ? GEMM_BF16 : GEMM_F32; }

/* Units of `depth` elements. */
static inline int64_t gemm_steps(int64_t depth, GemmMode mode) { return mode == GEMM_BF16 ? (depth + 1) / 2 : depth; }

/* Floats between packed tiles: the units, and room for the last vector store of gemm_pack_tile. */
static inline int64_t gemm_left_stride(int64_t depth, GemmMode mode) {
    return (gemm_steps(depth, mode) * GEMM_MR + CPU_VW + 15) / 16 * 16;
}

/* Tiles of T rows and the first row of tile j: rows are dealt evenly, so that no tile is nearly empty. */
static inline int64_t gemm_tiles(int64_t T) { return (T + GEMM_MR - 1) / GEMM_MR; }
static inline int64_t gemm_tile_row(int64_t T, int64_t tile) { return T * tile / gemm_tiles(T); }

/* Blocks of a depth and where block i begins. Edges are multiples of 256 where the depth is one (the K formats), else of
 * 32, so that a block holds whole blocks of every weight format. */
static inline int64_t gemm_blocks(int64_t depth, GemmMode mode) {
    int64_t unit = depth % 256 == 0 ? 256 : 32, units = (depth + unit - 1) / unit;
    int64_t most = (mode == GEMM_BF16 ? 2 * GEMM_STEPS : GEMM_STEPS) / unit;
    return units > most ? (units + most - 1) / most : 1;
}

static inline int64_t gemm_block(int64_t depth, int64_t n_blocks, int64_t i) {
    int64_t unit = depth % 256 == 0 ? 256 : 32, units = (depth + unit - 1) / unit;
    int64_t begin = unit * (units * i / n_blocks);
    return begin < depth ? begin : depth;
}

/* What dropout multiplies row t, column k with; token NULL: nothing. */
typedef struct GemmMask {
    const uint64_t *token;
    uint64_t key;
    float p;
} GemmMask;

/* A right side: data (rows, cols) in format wt, at any alignment. transposed: lanes are its rows and depth its columns
 * (linear_forward); else lanes are its columns and depth its rows. Its elements are multiplied by the mask, if any (lora_grad;
 * not with transposed). */
typedef struct GemmRight {
    const void *data;
    WType wt;
    bool transposed;
    int64_t rows, cols;
    GemmMask mask;
} GemmRight;

/* A packed left side: tile j at data + (j - tile0) * stride, units [step][GEMM_MR]. */
typedef struct GemmLeft {
    const float *data;
    int64_t stride, tile0;
} GemmLeft;

/* One term of the sum; depth2 = 0: no second product. mask: applied to the second product. */
typedef struct GemmTerm {
    GemmRight right, right2;
    GemmLeft left, left2;
    int64_t depth, depth2;
    GemmMask mask;
} GemmTerm;

/* Receives rows row0 .. row0+rows of lanes lane0 .. lane0+lanes: tile[r * GEMM_NR + l]. */
typedef void (*GemmStore)(const void *ctx, const float *tile, int64_t tile_index, int64_t row0, int rows, int64_t lane0,
                          int lanes);

typedef struct GemmJob {
    const GemmTerm *terms;
    int n_terms;
    GemmMode mode;
    int64_t T; /* rows; decides the tiles */
    GemmStore store;
    const void *ctx;
} GemmJob;

/* Buffers of one thread. */
typedef struct GemmScratch {
    float *right; /* expanded panels of a block */
    float *sum;   /* tiles of a chunk between blocks */
    int64_t sum_tiles;
} GemmScratch;

/* Workspace is cut by taking pieces of whole cache lines in order; base NULL only measures. */
typedef struct GemmTake {
    uint8_t *base;
    int64_t used;
} GemmTake;

static inline float *gemm_take(GemmTake *take, int64_t floats) {
    uint8_t *p = take->base == NULL ? NULL : take->base + take->used;
    take->used += (floats * 4 + 63) / 64 * 64;
    return (float *)(void *)p;
}

/* Scratch for jobs of up to T rows and second products up to depth2. */
static inline GemmScratch gemm_take_scratch(GemmTake *take, int64_t T, int64_t depth2) {
    int64_t tiles = gemm_tiles(T), most = 2048 / GEMM_MR;
    GemmScratch s;
    s.sum_tiles = tiles < most ? tiles : most;
    s.right = gemm_take(take, (GEMM_STEPS + depth2) * GEMM_LANES);
    s.sum = gemm_take(take, s.sum_tiles * GEMM_MR * GEMM_LANES);
    return s;
}

/* dst (gemm_left_stride floats) = the rows (each `depth` elements of dt; NULL: zeros) as units [step][GEMM_MR]. */
#define gemm_pack_tile CPU_NAME(gemm_pack_tile)
void gemm_pack_tile(float *dst, const void *const rows[GEMM_MR], DType dt, int64_t depth, GemmMode mode);

/* Puts element i of row r of a packed tile (used for U, whose rows come one value at a time). */
static inline void gemm_pack_put(float *tile, int64_t i, int r, float x, GemmMode mode) {
    if (mode == GEMM_F32) {
        tile[i * GEMM_MR + r] = x;
        return;
    }
    uint16_t h = bf16_from_f32(x);
    memcpy((uint8_t *)(tile + i / 2 * GEMM_MR + r) + 2 * (i % 2), &h, sizeof h);
}

/* panels[lane / GEMM_NR][step0 + step][GEMM_NR] = elements of m with depth d0 .. d1 and lanes lane0 .. lane0+lanes;
 * `steps` is the number of units of a panel. Lanes beyond the matrix, up to a whole panel, and the second half of an odd
 * last unit are 0. lane0 is a multiple of 32. */
#define gemm_fill CPU_NAME(gemm_fill)
void gemm_fill(float *panels, const GemmRight *m, int64_t d0, int64_t d1, int64_t lane0, int64_t lanes, int64_t step0,
               int64_t steps, GemmMode mode);

/* tile (+)= left0 (rows, n0 units) * panel + left1 (rows, n1 units) * the panel's next units, as one chain. */
#define gemm_tile CPU_NAME(gemm_tile)
void gemm_tile(int rows, int64_t n0, const float *left0, int64_t n1, const float *left1, const float *panel,
               float *tile, bool add, GemmMode mode);

/* Computes lanes lane0 .. lane0+lanes (at most GEMM_LANES, lane0 a multiple of 32) of tiles tile0 .. tile1 of the job. */
#define gemm_chunk CPU_NAME(gemm_chunk)
void gemm_chunk(const GemmJob *job, int64_t tile0, int64_t tile1, int64_t lane0, int64_t lanes,
                const GemmScratch *scratch);

/* Lanes of a chunk so that `threads` threads share n[0..count) lanes evenly; influences speed only. */
#define gemm_chunk_lanes CPU_NAME(gemm_chunk_lanes)
int64_t gemm_chunk_lanes(const int64_t *n, int count, int threads);

/* m[r * stride + i] = what dropout multiplies column k0+i of row t0+r with, r < rows, i < n rounded up to a multiple of 4:
 * stride has room for that. k0 is a multiple of 4. */
#define gemm_mask_rows CPU_NAME(gemm_mask_rows)
void gemm_mask_rows(float *m, int64_t stride, const GemmMask *mask, int64_t t0, int64_t rows, int64_t k0, int64_t n);

#endif
