/* attention.h: what forward, cached and backward attention share: shapes, documents, packing, small products, masks.
 *
 * The queries of one kv head form rows: row r of a document is token r / G, head kv*G + r % G of the group of G. A block
 * of rows meets blocks of KEYS keys, both counted from the document's first token (rows of a cached call: from its first
 * new token). Scores are held in units of log 2: queries are scaled by scale*log2(e) when they are packed.
 *
 * Equal bytes: a score, an element of O or dQ, and a sum over a row's keys use the same operations in the same order
 * wherever the row stands in its block, whatever the tile is, and however many keys follow, because a key that a row
 * does not see counts as an exact zero. Sums over rows (dK, dV) run over blocks of rows counted from the document's
 * start. Nothing depends on threads. */
#ifndef LORAC_KERNELS_CPU_ATTENTION_H
#define LORAC_KERNELS_CPU_ATTENTION_H

#include "kernels/cpu/level.h"
#include "kernels/cpu/simd.h"

enum {
    KEYS = 128,
    SCORE_STRIDE = KEYS + 16, /* an odd number of cache lines, so that rows spread over the sets of a cache */
    TILE_ROWS = CPU_VW == 16          ? 12
                : CPU_VW == 8         ? 6
                : CPU_REGISTERS == 32 ? 8
                                      : 4,
    PANEL = 2 * CPU_VW, /* columns of a tile */
    ALIGN_BYTES = 64
};

#define LOG2_E 1.44269504f
#define LN_2 0.693147181f

/* 2^x for x <= 0, about 1 ulp where the level fuses; below 2^-126 it is 0, and 2^0 is 1 exactly; NaN stays NaN. The
 * clamp to -127 makes the biased exponent 0. */
CPU_INLINE vf exp2_nonpositive(vf x) {
    x = vf_max(vf_set1(-127.0f), x);
    vf shifted = x + MATH_ROUND32, r = x - (shifted - MATH_ROUND32);
    return vf_exp2_rounded(shifted, r);
}

typedef struct Shape {
    int64_t H, Hkv, G, D, window;
    int64_t width;  /* D rounded up to whole vectors: the columns of packed rows, zero beyond D */
    int64_t stride; /* floats from one packed row to the next: an odd number of cache lines */
    float scale;
    int capped;            /* softcap c != 0: score s becomes cap_out * tanh(cap_in * s) */
    float cap_in, cap_out; /* ln2 / c, c / ln2 */
    DType dt;
} Shape;

CPU_INLINE int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }
CPU_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
CPU_INLINE int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

CPU_INLINE int64_t packed_width(int64_t D) { return round_up(D, CPU_VW); }
CPU_INLINE int64_t packed_stride(int64_t D) { return (round_up(packed_width(D), 16) / 16 | 1) * 16; }

static inline Shape shape_make(int64_t H, int64_t Hkv, int64_t D, float scale, int64_t window, float softcap,
                               DType dt) {
    return (Shape){.H = H,
                   .Hkv = Hkv,
                   .G = H / Hkv,
                   .D = D,
                   .window = window,
                   .width = packed_width(D),
                   .stride = packed_stride(D),
                   .scale = scale,
                   .capped = softcap != 0.0f,
                   .cap_in = softcap != 0.0f ? LN_2 / softcap : 0.0f,
                   .cap_out = softcap / LN_2,
                   .dt = dt};
}

/* ---- documents and chunks of work */

typedef struct Document {
    int64_t begin, length; /* tokens */
    int64_t first_chunk;
} Document;

/* Lists the documents that are not empty, longest first by powers of two, so that the last chunks of a call are small.
 * `documents` has room for one a token. Returns their number. */
static inline int64_t documents_list(Document *documents, const int32_t *cu_seqlens, int64_t n_docs) {
    int64_t n = 0;
    for (int bit = 30; bit >= 0; bit--)
        for (int64_t i = 0; i < n_docs; i++) {
            int64_t length = (int64_t)cu_seqlens[i + 1] - cu_seqlens[i];
            if (length >> bit == 1) documents[n++] = (Document){.begin = cu_seqlens[i], .length = length};
        }
    return n;
}

/* The document of a chunk: the last whose first_chunk is not above it. */
static inline const Document *document_find(const Document *documents, int64_t n, int64_t chunk) {
    int64_t low = 0, high = n;
    while (high - low > 1) {
        int64_t middle = (low + high) / 2;
        if (documents[middle].first_chunk <= chunk)
            low = middle;
        else
            high = middle;
    }
    return &documents[low];
}

/* ---- packing. Rows are f32, `stride` apart, zero from D to width. */

/* The element of an array (tokens, H*D) where row r of a document begins, whose queries begin at token `base`. */
CPU_INLINE int64_t row_element(const Shape *p, int64_t base, int64_t kv, int64_t r) {
    return ((base + r / p->G) * p->H + kv * p->G + r % p->G) * p->D;
}

/* The element where the next row begins; *g is the row's head within the group. */
CPU_INLINE int64_t next_row(const Shape *p, int64_t at, int64_t *g) {
    if (++*g < p->G) return at + p->D;
    *g = 0;
    return at + (p->H - p->G + 1) * p->D;
}

CPU_INLINE void pack_row(const Shape *p, float *out, const void *x, int64_t at, float factor, DType dt) {
    int64_t d = 0;
    for (; d + CPU_VW <= p->D; d += CPU_VW) vf_store(out + d, vf_load_dt(x, at + d, dt) * factor);
    if (d < p->D) vf_store(out + d, vf_load_n_dt(x, at + d, p->D - d, dt) * factor);
}

/* Rows are short runs that lie far apart, which the hardware does not foresee. Bytes are those of a row. */
CPU_INLINE void prefetch_row(const void *x, int64_t byte, int64_t bytes) {
    for (int64_t b = 0; b < bytes; b += 64) __builtin_prefetch((const char *)x + byte + b);
}

enum { PREFETCH_ROWS = 6 };

CPU_INLINE void pack_rows_of(const Shape *p, float *out, const void *x, int64_t base, int64_t kv, int64_t r0, int64_t n,
                             float factor, DType dt) {
    int64_t bytes = dt == DT_F32 ? 4 : 2, ahead = row_element(p, base, kv, r0), at = ahead;
    int64_t g_ahead = r0 % p->G, g = g_ahead;
    for (int64_t i = -PREFETCH_ROWS; i < n; i++) {
        if (i + PREFETCH_ROWS < n) prefetch_row(x, ahead * bytes, p->D * bytes);
        ahead = next_row(p, ahead, &g_ahead);
        if (i < 0) continue;
        pack_row(p, out + i * p->stride, x, at, factor, dt);
        at = next_row(p, at, &g);
    }
}

/* out[i] = factor * row (r0 + i) of x (tokens, H*D), for i < n. */
static inline void pack_rows(const Shape *p, float *out, const void *x, int64_t base, int64_t kv, int64_t r0, int64_t n,
                             float factor) {
    if (p->dt == DT_F32)
        pack_rows_of(p, out, x, base, kv, r0, n, factor, DT_F32);
    else
        pack_rows_of(p, out, x, base, kv, r0, n, factor, DT_BF16);
}

CPU_INLINE void pack_keys_of(const Shape *p, float *out, const void *x, int64_t first, int64_t kv, int64_t n,
                             DType dt) {
    int64_t bytes = dt == DT_F32 ? 4 : 2, at = (first * p->Hkv + kv) * p->D, step = p->Hkv * p->D;
    for (int64_t i = 0; i < n; i++, at += step) {
        if (i + PREFETCH_ROWS < n) prefetch_row(x, (at + PREFETCH_ROWS * step) * bytes, p->D * bytes);
        pack_row(p, out + i * p->stride, x, at, 1.0f, dt);
    }
}

/* out[i] = kv row (first + i) of x (tokens, Hkv*D), for i < n. */
static inline void pack_keys(const Shape *p, float *out, const void *x, int64_t first, int64_t kv, int64_t n) {
    if (p->dt == DT_F32)
        pack_keys_of(p, out, x, first, kv, n, DT_F32);
    else
        pack_keys_of(p, out, x, first, kv, n, DT_BF16);
}

/* x[at + d] = factor * row[d] */
static inline void unpack_row(const Shape *p, void *x, int64_t at, const float *row, float factor) {
    for (int64_t d = 0; d < p->D; d += CPU_VW) {
        int64_t lanes = least(p->D - d, CPU_VW);
        vf_store_n_dt(x, at + d, vf_load(row + d) * factor, lanes, p->dt);
    }
}

CPU_INLINE void transpose_keys_of(const Shape *p, float *out, const void *x, int64_t first, int64_t kv, int64_t n,
                                  DType dt) {
    int64_t bytes = dt == DT_F32 ? 4 : 2, step = p->Hkv * p->D;
    for (int64_t i = 0; i < n; i += CPU_VW) {
        int64_t at = ((first + i) * p->Hkv + kv) * p->D, rows = least(n - i, CPU_VW);
        for (int64_t k = 0; k < least(n - i - CPU_VW, CPU_VW); k++)
            prefetch_row(x, (at + (CPU_VW + k) * step) * bytes, p->D * bytes);
        for (int64_t d = 0; d < p->D; d += CPU_VW) {
            int64_t lanes = least(p->D - d, CPU_VW);
            vf r[CPU_VW];
            for (int k = 0; k < CPU_VW; k++) r[k] = k < rows ? vf_load_n_dt(x, at + k * step + d, lanes, dt) : (vf){0};
            vf_transpose(r);
            for (int k = 0; k < lanes; k++) vf_store(out + (d + k) * SCORE_STRIDE + i, r[k]);
        }
    }
}

/* out[d][i] = element d of kv row (first + i), rows SCORE_STRIDE apart; columns n .. whole vectors are zero. */
static inline void transpose_keys(const Shape *p, float *out, const void *x, int64_t first, int64_t kv, int64_t n) {
    if (p->dt == DT_F32)
        transpose_keys_of(p, out, x, first, kv, n, DT_F32);
    else
        transpose_keys_of(p, out, x, first, kv, n, DT_BF16);
}

/* ---- products of tiles: C[i][j] (+)= sum_k A(i,k) * B[k][j], k ascending from an exact zero in every tile */

/* A(i,k) = A[i*row_step + k*step]. */
CPU_INLINE void tile(float *C, int64_t ldc, const float *A, int64_t row_step, int64_t step, const float *B, int64_t ldb,
                     int64_t depth, int rows, int vectors, int add) {
    vf sum[TILE_ROWS][2];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vectors; j++) sum[i][j] = (vf){0};
    for (int64_t k = 0; k < depth; k++) {
        vf b[2];
        for (int j = 0; j < vectors; j++) b[j] = vf_load(B + k * ldb + j * CPU_VW);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            vf a = vf_set1(A[i * row_step + k * step]);
            for (int j = 0; j < vectors; j++) sum[i][j] = vf_fma(a, b[j], sum[i][j]);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vectors; j++) {
            float *c = C + i * ldc + j * CPU_VW;
            vf_store(c, add ? vf_load(c) + sum[i][j] : sum[i][j]);
        }
}

/* Any number of rows, in tiles of TILE_ROWS, 4, 3, 2 and 1. */
CPU_INLINE void tile_column(float *C, int64_t ldc, const float *A, int64_t row_step, int64_t step, const float *B,
                            int64_t ldb, int64_t depth, int64_t rows, int vectors, int add) {
    int64_t i = 0;
    for (; i + TILE_ROWS <= rows; i += TILE_ROWS)
        tile(C + i * ldc, ldc, A + i * row_step, row_step, step, B, ldb, depth, TILE_ROWS, vectors, add);
    for (; i + 4 <= rows; i += 4)
        tile(C + i * ldc, ldc, A + i * row_step, row_step, step, B, ldb, depth, 4, vectors, add);
    for (; i + 2 <= rows; i += 2)
        tile(C + i * ldc, ldc, A + i * row_step, row_step, step, B, ldb, depth, 2, vectors, add);
    for (; i < rows; i++) tile(C + i * ldc, ldc, A + i * row_step, row_step, step, B, ldb, depth, 1, vectors, add);
}

/* C = A B, A row by row; `vectors` is 1 or 2. */
static __attribute__((noinline, unused)) void product_set(float *C, int64_t ldc, const float *A, int64_t lda,
                                                          const float *B, int64_t ldb, int64_t depth, int64_t rows,
                                                          int vectors) {
    if (vectors == 2)
        tile_column(C, ldc, A, lda, 1, B, ldb, depth, rows, 2, 0);
    else
        tile_column(C, ldc, A, lda, 1, B, ldb, depth, rows, 1, 0);
}

/* C += A B */
static __attribute__((noinline, unused)) void product_add(float *C, int64_t ldc, const float *A, int64_t lda,
                                                          const float *B, int64_t ldb, int64_t depth, int64_t rows,
                                                          int vectors) {
    if (vectors == 2)
        tile_column(C, ldc, A, lda, 1, B, ldb, depth, rows, 2, 1);
    else
        tile_column(C, ldc, A, lda, 1, B, ldb, depth, rows, 1, 1);
}

/* C += A^T B: row i of C belongs to column i of A. */
static __attribute__((noinline, unused)) void product_add_transposed(float *C, int64_t ldc, const float *A, int64_t lda,
                                                                     const float *B, int64_t ldb, int64_t depth,
                                                                     int64_t rows, int vectors) {
    if (vectors == 2)
        tile_column(C, ldc, A, 1, lda, B, ldb, depth, rows, 2, 1);
    else
        tile_column(C, ldc, A, 1, lda, B, ldb, depth, rows, 1, 1);
}

/* ---- what sees what. Row i of a block of rows is at `position` of its document; key n of a block of keys at
 * first_key + n. Keys [low, high) of the block are visible to the row; both grow with the position. */

typedef struct Meeting {
    int64_t first_row; /* of the block of rows, among the rows of its document or call */
    int64_t n_rows;
    int64_t n_past;            /* position of row 0's token */
    int64_t first_key, n_keys; /* of the block of keys */
} Meeting;

CPU_INLINE int64_t row_position(const Shape *p, const Meeting *m, int64_t i) {
    return m->n_past + (m->first_row + i) / p->G;
}

CPU_INLINE int64_t visible_low(const Shape *p, const Meeting *m, int64_t position) {
    return p->window > 0 ? most(0, position - p->window + 1 - m->first_key) : 0;
}

CPU_INLINE int64_t visible_high(const Meeting *m, int64_t position) {
    return most(0, least(m->n_keys, position + 1 - m->first_key));
}

/* The rows of the block, as indices, that see a key from n on: i >= the result. */
CPU_INLINE int64_t rows_from(const Shape *p, const Meeting *m, int64_t n) {
    return least(m->n_rows, most(0, (m->first_key + n - m->n_past) * p->G - m->first_row));
}

/* The rows of the block that see a key up to n: i < the result. */
CPU_INLINE int64_t rows_to(const Shape *p, const Meeting *m, int64_t n) {
    if (p->window <= 0) return m->n_rows;
    return least(m->n_rows, most(0, (m->first_key + n + p->window - m->n_past) * p->G - m->first_row));
}

/* S = A B for the tiles of which a pair is visible; other elements of S keep what they hold. A: packed rows; B:
 * transposed keys. */
static inline void visible_products(const Shape *p, const Meeting *m, float *S, const float *A, const float *B) {
    int64_t columns = round_up(m->n_keys, CPU_VW);
    for (int64_t n = 0; n < columns; n += PANEL) {
        int vectors = columns - n >= PANEL ? 2 : 1;
        int64_t from = rows_from(p, m, n) / TILE_ROWS * TILE_ROWS;
        int64_t to = rows_to(p, m, least(n + PANEL, m->n_keys) - 1);
        if (from < to)
            product_set(S + from * SCORE_STRIDE + n, SCORE_STRIDE, A + from * p->stride, p->stride, B + n, SCORE_STRIDE,
                        p->D, to - from, vectors);
    }
}

/* C[i] += sum over the row's keys of P[i][n] * B[n], by tiles of rows; P is 0 where a row does not see a key. */
static inline void add_over_keys(const Shape *p, const Meeting *m, float *C, int64_t ldc, const float *P,
                                 const float *B) {
    for (int64_t d = 0; d < p->width; d += PANEL) {
        int vectors = p->width - d >= PANEL ? 2 : 1;
        for (int64_t i = 0; i < m->n_rows; i += TILE_ROWS) {
            int64_t rows = least(TILE_ROWS, m->n_rows - i);
            int64_t low = visible_low(p, m, row_position(p, m, i));
            int64_t high = visible_high(m, row_position(p, m, i + rows - 1));
            if (low < high)
                product_add(C + i * ldc + d, ldc, P + i * SCORE_STRIDE + low, SCORE_STRIDE, B + low * p->stride + d,
                            p->stride, high - low, rows, vectors);
        }
    }
}

/* Zeroes the elements of a row of scores that lie outside the vectors [begin, end). */
CPU_INLINE void zero_outside(const Meeting *m, float *s, int64_t begin, int64_t end) {
    int64_t columns = round_up(m->n_keys, CPU_VW);
    for (int64_t n = 0; n < begin; n += CPU_VW) vf_store(s + n, (vf){0});
    for (int64_t n = end; n < columns; n += CPU_VW) vf_store(s + n, (vf){0});
}

#endif
