/* gemm_pack.c: brings both sides of a product into the order the microkernel reads: rows of activations as units
 * [step][row], and matrices in their stored format as panels [step][lane]. */
#include "kernels/cpu/gemm.h"

#include "kernels/cpu/unpack.h"

enum {
    ROW_VECTORS = (GEMM_MR + CPU_VW - 1) / CPU_VW,
    AHEAD_STRAIGHT = 12,   /* rows between the one expanded and the one prefetched */
    AHEAD_TRANSPOSED = 64, /* the same where a row is used for many steps at once */
};

/* CPU_VW units of one row from step s on; `steps` is where the row ends. */
CPU_INLINE vf load_units(const void *row, int64_t s, int64_t steps, int64_t depth, DType dt, GemmMode mode) {
    if (row == NULL) return (vf){0};
    int64_t left = steps - s;
    if (mode == GEMM_F32) return vf_load_n_dt(row, s, left < CPU_VW ? left : CPU_VW, dt);
    if (dt == DT_BF16) {
        float t[CPU_VW] = {0};
        int64_t bytes = 2 * (depth - 2 * s);
        memcpy(t, (const uint16_t *)row + 2 * s, (size_t)(bytes < (int64_t)sizeof t ? bytes : (int64_t)sizeof t));
        return vf_load(t);
    }
    const float *x = (const float *)row + 2 * s;
    uint16_t t[2 * CPU_VW];
    int64_t n = depth - 2 * s;
    vf_store_bf16(t, vf_load_n(x, n < CPU_VW ? n : CPU_VW));
    n -= CPU_VW;
    vf_store_bf16(t + CPU_VW, n > 0 ? vf_load_n(x + CPU_VW, n < CPU_VW ? n : CPU_VW) : (vf){0});
    float units[CPU_VW];
    memcpy(units, t, sizeof units);
    return vf_load(units);
}

void gemm_pack_tile(float *dst, const void *const rows[GEMM_MR], DType dt, int64_t depth, GemmMode mode) {
    int64_t steps = gemm_steps(depth, mode);
    for (int64_t s = 0; s < steps; s += CPU_VW) {
        vf v[ROW_VECTORS][CPU_VW];
        for (int g = 0; g < ROW_VECTORS; g++) {
            for (int i = 0; i < CPU_VW; i++) {
                int r = g * CPU_VW + i;
                v[g][i] = r < GEMM_MR ? load_units(rows[r], s, steps, depth, dt, mode) : (vf){0};
            }
            vf_transpose(v[g]);
        }
        /* The last vector of a step spills into the next step, which is written later. */
        int64_t n = steps - s < CPU_VW ? steps - s : CPU_VW;
        for (int64_t i = 0; i < n; i++)
            for (int g = 0; g < ROW_VECTORS; g++) vf_store(dst + (s + i) * GEMM_MR + g * CPU_VW, v[g][i]);
    }
}

/* Asks the caches for elements first .. first+n of a row that will be expanded soon: rows of weights lie too far apart for
 * the hardware to foresee. */
CPU_INLINE void prefetch_row(const GemmRight *m, int64_t row_bytes, int64_t row, int64_t first, int64_t n) {
    if (row >= m->rows) return;
    const QuantTraits *q = wtype_traits(m->wt);
    const uint8_t *p = (const uint8_t *)m->data + row * row_bytes;
    int64_t begin = first * q->block_bytes / q->block_elems, end = (first + n) * q->block_bytes / q->block_elems;
    for (int64_t i = begin; i < end; i += 64) __builtin_prefetch(p + i, 0, 2);
}

/* Row `row` of the matrix, columns c0 .. c0+n, into y (padded with zeros to `padded` floats). */
static void expand_row(float *y, const GemmRight *m, int64_t row_bytes, int64_t row, int64_t c0, int64_t n,
                       int64_t padded) {
    if (n > 0) cpu_unpackers[m->wt](y, (const uint8_t *)m->data + row * row_bytes, c0, n);
    for (int64_t i = n; i < padded; i++) y[i] = 0.0f;
}

/* Lanes are rows of the matrix: CPU_VW of them at a time are expanded side by side and transposed. */
static void fill_transposed(float *panels, const GemmRight *m, int64_t d0, int64_t d1, int64_t lane0, int64_t lanes,
                            int64_t step0, int64_t steps, GemmMode mode) {
    enum { PADDED = 2 * GEMM_STEPS };
    float rows[CPU_VW][PADDED];
    int64_t row_bytes = wtype_row_bytes(m->wt, m->cols), padded_lanes = (lanes + GEMM_NR - 1) / GEMM_NR * GEMM_NR;
    for (int64_t piece = d0; piece < d1; piece += PADDED) { /* second products may be deeper than a block */
        int64_t depth = d1 - piece < PADDED ? d1 - piece : PADDED, units = gemm_steps(depth, mode);
        int64_t padded = (depth + 2 * CPU_VW - 1) / (2 * CPU_VW) * (2 * CPU_VW);
        for (int64_t l = 0; l < padded_lanes; l += CPU_VW) {
            for (int i = 0; i < CPU_VW; i++) {
                int64_t row = lane0 + l + i;
                if (l + i < lanes && row < m->rows) {
                    prefetch_row(m, row_bytes, row + AHEAD_TRANSPOSED, piece, depth);
                    expand_row(rows[i], m, row_bytes, row, piece, depth, padded);
                } else
                    memset(rows[i], 0, (size_t)padded * 4);
                if (mode == GEMM_BF16) /* in place: element k of the row moves to half its offset */
                    for (int64_t k = 0; k < padded; k += CPU_VW) {
                        vf x = vf_load(rows[i] + k);
                        vf_store_bf16((uint16_t *)(void *)rows[i] + k, x);
                    }
            }
            float *panel = panels + l / GEMM_NR * (steps * GEMM_NR) + l % GEMM_NR;
            panel += (step0 + gemm_steps(piece - d0, mode)) * GEMM_NR;
            for (int64_t s = 0; s < units; s += CPU_VW) {
                vf v[CPU_VW];
                for (int i = 0; i < CPU_VW; i++) v[i] = vf_load(rows[i] + s);
                vf_transpose(v);
                int64_t n = units - s < CPU_VW ? units - s : CPU_VW;
                for (int64_t i = 0; i < n; i++) vf_store(panel + (s + i) * GEMM_NR, v[i]);
            }
        }
    }
}

/* Row d of the matrix, `lanes` columns from lane0 on, masked; all zeros when d is not below d1. */
static void expand_lanes(float *y, const GemmRight *m, int64_t row_bytes, int64_t d, int64_t d1, int64_t lane0,
                         int64_t lanes, int64_t padded) {
    int64_t n = m->cols - lane0 < lanes ? m->cols - lane0 : lanes;
    if (d >= d1) n = 0;
    expand_row(y, m, row_bytes, d, lane0, n, padded);
    if (n == 0 || m->mask.token == NULL) return;
    float factor[GEMM_LANES];
    gemm_mask_rows(factor, GEMM_LANES, &m->mask, d, 1, lane0, n);
    for (int64_t i = 0; i < n; i++) y[i] *= factor[i];
}

/* Lanes are columns of the matrix: rows are expanded and cut into panels. */
static void fill_straight(float *panels, const GemmRight *m, int64_t d0, int64_t d1, int64_t lane0, int64_t lanes,
                          int64_t step0, int64_t steps, GemmMode mode) {
    float row[GEMM_LANES], odd_row[GEMM_LANES];
    int64_t row_bytes = wtype_row_bytes(m->wt, m->cols), per_step = mode == GEMM_BF16 ? 2 : 1;
    int64_t padded = (lanes + GEMM_NR - 1) / GEMM_NR * GEMM_NR;
    bool plain = m->wt == WT_F32 && mode == GEMM_F32 && m->mask.token == NULL && lanes % GEMM_NR == 0;
    for (int64_t d = d0; d < d1; d += per_step) {
        for (int64_t i = 0; i < per_step; i++) prefetch_row(m, row_bytes, d + i + AHEAD_STRAIGHT, lane0, lanes);
        float *step = panels + (step0 + (d - d0) / per_step) * GEMM_NR;
        if (plain) {
            const uint8_t *p = (const uint8_t *)m->data + d * row_bytes + 4 * lane0;
            for (int64_t l = 0; l < lanes; l += GEMM_NR, p += 4 * GEMM_NR, step += steps * GEMM_NR) {
                vf_store(step, vf_load_bytes(p));
                vf_store(step + CPU_VW, vf_load_bytes(p + 4 * CPU_VW));
            }
            continue;
        }
        expand_lanes(row, m, row_bytes, d, d1, lane0, lanes, padded);
        if (mode == GEMM_BF16) expand_lanes(odd_row, m, row_bytes, d + 1, d1, lane0, lanes, padded);
        for (int64_t l = 0; l < padded; l += GEMM_NR, step += steps * GEMM_NR)
            for (int h = 0; h < GEMM_NR; h += CPU_VW) {
                vf x = vf_load(row + l + h);
                if (mode == GEMM_BF16) x = vf_pair_bf16(x, vf_load(odd_row + l + h));
                vf_store(step + h, x);
            }
    }
}

void gemm_fill(float *panels, const GemmRight *m, int64_t d0, int64_t d1, int64_t lane0, int64_t lanes, int64_t step0,
               int64_t steps, GemmMode mode) {
    if (m->transposed)
        fill_transposed(panels, m, d0, d1, lane0, lanes, step0, steps, mode);
    else
        fill_straight(panels, m, d0, d1, lane0, lanes, step0, steps, mode);
}
