/* linear.c: the parts shared by linear_forward and linear_backward, see linear.h. */
#include "kernels/cpu/linear.h"

void linear_pack(float *dst, const void *x, int64_t tile, int64_t T, int64_t depth, DType dt, GemmMode mode) {
    const void *rows[GEMM_MR] = {NULL};
    int64_t begin = gemm_tile_row(T, tile), end = gemm_tile_row(T, tile + 1);
    for (int64_t t = begin; t < end; t++) rows[t - begin] = (const uint8_t *)x + (size_t)(t * depth) * dtype_bytes(dt);
    gemm_pack_tile(dst, rows, dt, depth, mode);
}

void linear_pack_masked(float *dst, float *rows, const void *x, const GemmMask *mask, int64_t tile, int64_t T,
                        int64_t depth, DType dt) {
    const void *pointers[GEMM_MR] = {NULL};
    int64_t begin = gemm_tile_row(T, tile), end = gemm_tile_row(T, tile + 1);
    int64_t stride = linear_row_stride(depth);
    gemm_mask_rows(rows, stride, mask, begin, end - begin, 0, depth);
    for (int64_t t = begin; t < end; t++) {
        float *row = rows + (t - begin) * stride;
        for (int64_t k = 0; k < depth; k += CPU_VW) {
            int64_t n = depth - k < CPU_VW ? depth - k : CPU_VW;
            vf_store(row + k, vf_load(row + k) * vf_load_n_dt(x, t * depth + k, n, dt));
        }
        pointers[t - begin] = row;
    }
    gemm_pack_tile(dst, pointers, DT_F32, depth, GEMM_F32);
}

static void store_small(const void *ctx, const float *tile, int64_t tile_index, int64_t row0, int rows, int64_t lane0,
                        int lanes) {
    const LinearSmall *s = ctx;
    int64_t r = s->part->r;
    float *packed = s->packed + tile_index * s->packed_stride;
    for (int i = 0; i < rows; i++)
        for (int l = 0; l < lanes; l++) {
            float u = s->part->scale * tile[i * GEMM_NR + l];
            s->out[(row0 + i) * r + lane0 + l] = u;
            gemm_pack_put(packed, lane0 + l, i, u, s->mode);
        }
    /* The second half of an odd last unit. */
    if (s->mode == GEMM_BF16 && lane0 + lanes == r && r % 2 == 1)
        for (int i = 0; i < rows; i++) gemm_pack_put(packed, r, i, 0.0f, s->mode);
}

void linear_small(const LinearSmall *s, const GemmRight *right, GemmLeft left, int64_t depth, int64_t T, int64_t tile0,
                  int64_t tile1, const GemmScratch *scratch) {
    GemmTerm term = {.right = *right, .left = left, .depth = depth};
    GemmJob job = {.terms = &term, .n_terms = 1, .mode = GEMM_F32, .T = T, .store = store_small, .ctx = s};
    for (int64_t lane = 0; lane < s->part->r; lane += GEMM_LANES) {
        int64_t lanes = s->part->r - lane < GEMM_LANES ? s->part->r - lane : GEMM_LANES;
        gemm_chunk(&job, tile0, tile1, lane, lanes, scratch);
    }
}
