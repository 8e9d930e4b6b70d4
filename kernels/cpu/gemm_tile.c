/* gemm_tile.c: the microkernel, one instance per number of rows and mode, so that every tile keeps its sums in
 * registers. All instances run the same chain per element; see gemm.h. */
#include "kernels/cpu/gemm.h"

/* The unit at p in every lane, whatever its bits mean. */
CPU_INLINE vf broadcast_unit(const float *p) {
    uint32_t u;
    memcpy(&u, p, sizeof u);
    return (vf)(u - (vu){0});
}

/* The unit of row r of a step in every lane. Multiply-adds of NEON take one lane of a vector: rows come four to a load, and
 * none needs a register of its own. */
CPU_INLINE vf broadcast_row(const float *left, int r, GemmMode mode) {
#if defined(CPU_NEON)
    (void)mode;
    return vf_set1(vf_load(left + r / CPU_VW * CPU_VW)[r % CPU_VW]);
#else
    return mode == GEMM_F32 ? vf_set1(left[r]) : broadcast_unit(left + r);
#endif
}

CPU_INLINE vf multiply_add(vf left, vf right, vf sum, GemmMode mode) {
    return mode == GEMM_BF16 ? vf_dot_bf16(sum, left, right) : vf_fma(left, right, sum);
}

CPU_INLINE const float *chain(vf sum[][2], int rows, int64_t n, const float *left, const float *panel, GemmMode mode) {
    for (; n > 0; n--) {
        vf p0 = vf_load(panel), p1 = vf_load(panel + CPU_VW);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            vf a = broadcast_row(left, r, mode);
            sum[r][0] = multiply_add(a, p0, sum[r][0], mode);
            sum[r][1] = multiply_add(a, p1, sum[r][1], mode);
        }
        left += GEMM_MR;
        panel += GEMM_NR;
    }
    return panel;
}

CPU_INLINE void tile_of(int rows, int64_t n0, const float *left0, int64_t n1, const float *left1, const float *panel,
                        float *tile, bool add, GemmMode mode) {
    vf sum[GEMM_MR][2];
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) sum[r][0] = sum[r][1] = (vf){0};
    panel = chain(sum, rows, n0, left0, panel, mode);
    chain(sum, rows, n1, left1, panel, mode);
    if (add) {
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            sum[r][0] += vf_load(tile + r * GEMM_NR);
            sum[r][1] += vf_load(tile + r * GEMM_NR + CPU_VW);
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        vf_store(tile + r * GEMM_NR, sum[r][0]);
        vf_store(tile + r * GEMM_NR + CPU_VW, sum[r][1]);
    }
}

#define ROWS(rows, mode)                                                                                               \
    static void tile_##mode##_##rows(int64_t n0, const float *left0, int64_t n1, const float *left1,                   \
                                     const float *panel, float *tile, bool add) {                                      \
        tile_of(rows, n0, left0, n1, left1, panel, tile, add, mode);                                                   \
    }
#define EACH_TO_6(X, mode) X(1, mode) X(2, mode) X(3, mode) X(4, mode) X(5, mode) X(6, mode)
#define EACH_TO_12(X, mode) EACH_TO_6(X, mode) X(7, mode) X(8, mode) X(9, mode) X(10, mode) X(11, mode) X(12, mode)
#if CPU_REGISTERS == 16
#define EACH_ROWS EACH_TO_6
#elif CPU_VW == 16
#define EACH_ROWS(X, mode) EACH_TO_12(X, mode) X(13, mode) X(14, mode)
#else
#define EACH_ROWS EACH_TO_12
#endif

typedef void (*TileOf)(int64_t n0, const float *left0, int64_t n1, const float *left1, const float *panel, float *tile,
                       bool add);

EACH_ROWS(ROWS, GEMM_F32)
#if CPU_BF16_PAIRS
EACH_ROWS(ROWS, GEMM_BF16)
#endif

#define ENTRY(rows, mode) [mode][rows - 1] = tile_##mode##_##rows,
static const TileOf TILES[2][GEMM_MR] = {EACH_ROWS(ENTRY, GEMM_F32)
#if CPU_BF16_PAIRS
                                             EACH_ROWS(ENTRY, GEMM_BF16)
#endif
};

void gemm_tile(int rows, int64_t n0, const float *left0, int64_t n1, const float *left1, const float *panel,
               float *tile, bool add, GemmMode mode) {
    TILES[mode][rows - 1](n0, left0, n1, left1, panel, tile, add);
}
