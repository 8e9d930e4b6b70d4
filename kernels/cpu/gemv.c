/* gemv.c: see gemv.h. */
#include "kernels/cpu/gemv.h"

#include "kernels/cpu/simd.h"
#include "kernels/cpu/unpack.h"

enum { RUN = 32 };

void gemv_vector(float *x, const void *src, int64_t K, DType dt) {
    for (int64_t k = 0; k < K; k += CPU_VW) {
        int64_t n = K - k < CPU_VW ? K - k : CPU_VW;
        vf_store_n(x + k, vf_load_n_dt(src, k, n, dt), n);
    }
}

void gemv_rows(float *y, const GemvMatrix *m, const float *x, int64_t row0, int64_t n) {
    int64_t row_bytes = wtype_row_bytes(m->wt, m->K), whole = m->K / RUN * RUN, rest = m->K - whole;
    for (int64_t i = 0; i < n; i++) {
        const uint8_t *row = (const uint8_t *)m->data + (row0 + i) * row_bytes;
        float sum = cpu_dots[m->wt](row, x, whole), last[RUN];
        if (rest > 0) {
            cpu_unpackers[m->wt](last, row, whole, rest);
            for (int64_t j = 0; j < rest; j++) sum += last[j] * x[whole + j];
        }
        y[i] = sum;
    }
}
