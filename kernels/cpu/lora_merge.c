/* lora_merge.c: Y = W + scale * B A for some rows of W (kernels.def). The sum over r is one chain in ascending order,
 * scaled once, then added. */
#include "kernels/cpu/simd.h"
#include "kernels/cpu/unpack.h"

enum { ROWS = 8 }; /* of a task */

typedef struct Merge {
    float *Y;
    const uint8_t *W;
    const float *A, *B;
    float scale;
    int64_t row0, rows, K, r, row_bytes;
    WType wt;
} Merge;

static void merge_rows(void *ctx, int64_t chunk, int thread) {
    (void)thread;
    const Merge *m = ctx;
    int64_t end = (chunk + 1) * ROWS < m->rows ? (chunk + 1) * ROWS : m->rows;
    for (int64_t i = chunk * ROWS; i < end; i++) {
        float *y = m->Y + i * m->K;
        cpu_unpackers[m->wt](y, m->W + (m->row0 + i) * m->row_bytes, 0, m->K);
        if (m->r == 0) continue;
        const float *b = m->B + (m->row0 + i) * m->r;
        for (int64_t k = 0; k < m->K; k += CPU_VW) {
            int64_t n = m->K - k < CPU_VW ? m->K - k : CPU_VW;
            vf sum = {0};
            for (int64_t j = 0; j < m->r; j++) sum = vf_fma(vf_set1(b[j]), vf_load_n(m->A + j * m->K + k, n), sum);
            vf_store_n(y + k, vf_load_n(y + k, n) + m->scale * sum, n);
        }
    }
}

void CPU_NAME(lora_merge)(Stream *s, float *Y, const void *W, const float *A, const float *B, float scale, int64_t row0,
                          int64_t rows, int64_t K, int64_t r, WType wt) {
    Merge m = {.Y = Y,
               .W = W,
               .A = A,
               .B = B,
               .scale = scale,
               .row0 = row0,
               .rows = rows,
               .K = K,
               .r = r,
               .row_bytes = wtype_row_bytes(wt, K),
               .wt = wt};
    pool_run(s->pool, (rows + ROWS - 1) / ROWS, merge_rows, &m);
}
