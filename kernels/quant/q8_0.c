/* q8_0.c: Q8_0: f16 d, then 32 signed bytes q. y = d * q.
 * Packing: d = max|x| / 127, q = x / d rounded half away from zero; d is rounded to f16 only for storage. */
#include "kernels/quant/block.h"

#include <math.h>

void quant_unpack_Q8_0(float *y, const void *row, int64_t first_elem, int64_t n) {
    const uint8_t *p = first_block(row, first_elem, n, Q8_0_ELEMS, Q8_0_BYTES);
    for (const float *end = y + n; y < end; y += Q8_0_ELEMS, p += Q8_0_BYTES) {
        float d = load_f16(p);
        for (int j = 0; j < Q8_0_ELEMS; j++) y[j] = d * (float)(int8_t)p[2 + j];
    }
}

void quant_pack_Q8_0(void *row, const float *x, int64_t n) {
    uint8_t *p = row;
    for (const float *end = x + n; x < end; x += Q8_0_ELEMS, p += Q8_0_BYTES) {
        float largest = 0;
        for (int j = 0; j < Q8_0_ELEMS; j++) largest = fmaxf(largest, fabsf(x[j]));
        float d = largest / 127, inverse = d == 0 ? 0 : 1 / d;
        store_f16(p, d);
        for (int j = 0; j < Q8_0_ELEMS; j++) p[2 + j] = (uint8_t)clamp_int(roundf(x[j] * inverse), -127, 127);
    }
}
