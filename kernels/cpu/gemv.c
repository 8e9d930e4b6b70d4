/* gemv.c: see gemv.h. */
#include "kernels/cpu/gemv.h"

#include "kernels/cpu/unpack.h"

void gemv_rows(float *y, const GemvMatrix *m, const DotVector *v, int64_t row0, int64_t n) {
    int64_t row_bytes = wtype_row_bytes(m->wt, m->K), whole = m->K / DOT_RUN * DOT_RUN, rest = m->K - whole;
    const uint8_t *row = (const uint8_t *)m->data + row0 * row_bytes;
    cpu_dots[m->wt](y, row, row_bytes, n, v, whole);
    for (int64_t i = 0; rest > 0 && i < n; i++) {
        float last[DOT_RUN];
        cpu_unpackers[m->wt](last, row + i * row_bytes, whole, rest);
        for (int64_t j = 0; j < rest; j++) y[i] += last[j] * v->x[whole + j];
    }
}
