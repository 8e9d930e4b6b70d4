/* q4_0.c: Q4_0: f16 d, then 16 bytes. Element j < 16 is the low nibble of byte j, element j + 16 its high nibble.
 * y = d * (q - 8).
 * Packing: d = m / -8 where m is the first value of largest magnitude (so m itself is exact before d is rounded to
 * f16), q = trunc(x / d + 8.5), at most 15. */
#include "kernels/quant/block.h"

#include <math.h>

enum { HALF = Q4_0_ELEMS / 2 };

void quant_unpack_Q4_0(float *y, const void *row, int64_t first_elem, int64_t n) {
    const uint8_t *p = first_block(row, first_elem, n, Q4_0_ELEMS, Q4_0_BYTES);
    for (const float *end = y + n; y < end; y += Q4_0_ELEMS, p += Q4_0_BYTES) {
        float d = load_f16(p);
        for (int j = 0; j < HALF; j++) {
            y[j] = d * (float)((p[2 + j] & 15) - 8);
            y[j + HALF] = d * (float)((p[2 + j] >> 4) - 8);
        }
    }
}

void quant_pack_Q4_0(void *row, const float *x, int64_t n) {
    uint8_t *p = row;
    for (const float *end = x + n; x < end; x += Q4_0_ELEMS, p += Q4_0_BYTES) {
        float largest = x[0];
        for (int j = 1; j < Q4_0_ELEMS; j++)
            if (fabsf(x[j]) > fabsf(largest)) largest = x[j];
        float d = largest / -8, inverse = d == 0 ? 0 : 1 / d;
        store_f16(p, d);
        for (int j = 0; j < HALF; j++) {
            int low = clamp_int(x[j] * inverse + 8.5f, 0, 15), high = clamp_int(x[j + HALF] * inverse + 8.5f, 0, 15);
            p[2 + j] = (uint8_t)(low | high << 4);
        }
    }
}
