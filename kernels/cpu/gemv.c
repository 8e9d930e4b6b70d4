/* gemv.c: see gemv.h. */
#include "kernels/cpu/gemv.h"

#include "kernels/cpu/unpack.h"

/* Hardware foresees no more than a page, and a page of codes is soon used up; of floats it is not. Reading ahead never faults. */
enum { AHEAD_BYTES = 4096, LINE = 64 };

void gemv_rows(float *y, const GemvMatrix *m, const DotVector *v, int64_t row0, int64_t n) {
    int64_t row_bytes = wtype_row_bytes(m->wt, m->K), whole = m->K / DOT_RUN * DOT_RUN, rest = m->K - whole;
    for (int64_t i = 0; i < n; i++) {
        const uint8_t *row = (const uint8_t *)m->data + (row0 + i) * row_bytes;
        if (wtype_traits(m->wt)->block_elems > 1)
            for (int64_t byte = 0; byte < row_bytes; byte += LINE) __builtin_prefetch(row + AHEAD_BYTES + byte);
        float sum = cpu_dots[m->wt](row, v, whole), last[DOT_RUN];
        if (rest > 0) {
            cpu_unpackers[m->wt](last, row, whole, rest);
            for (int64_t j = 0; j < rest; j++) sum += last[j] * v->x[whole + j];
        }
        y[i] = sum;
    }
}
