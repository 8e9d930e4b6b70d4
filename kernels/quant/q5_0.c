/* q5_0.c: Q5_0: f16 d, 32 high bits (u32, bit j for element j), then 16 bytes of low nibbles in Q4_0's order.
 * y = d * (q - 16).
 * Packing: d = m / -16 where m is the first value of largest magnitude, q = trunc(x / d + 16.5), at most 31. */
#include "kernels/quant/block.h"

#include <math.h>

enum { HALF = Q5_0_ELEMS / 2 };

void quant_unpack_Q5_0(float *y, const void *row, int64_t first_elem, int64_t n) {
    const uint8_t *p = first_block(row, first_elem, n, Q5_0_ELEMS, Q5_0_BYTES);
    for (const float *end = y + n; y < end; y += Q5_0_ELEMS, p += Q5_0_BYTES) {
        float d = load_f16(p);
        uint32_t high_bits = load_u32(p + 2);
        for (int j = 0; j < HALF; j++) {
            uint32_t low = (p[6 + j] & 15u) | ((high_bits >> j) & 1u) << 4;
            uint32_t high = (uint32_t)(p[6 + j] >> 4) | ((high_bits >> (j + HALF)) & 1u) << 4;
            y[j] = d * (float)((int)low - 16);
            y[j + HALF] = d * (float)((int)high - 16);
        }
    }
}

void quant_pack_Q5_0(void *row, const float *x, int64_t n) {
    uint8_t *p = row;
    for (const float *end = x + n; x < end; x += Q5_0_ELEMS, p += Q5_0_BYTES) {
        float largest = x[0];
        for (int j = 1; j < Q5_0_ELEMS; j++)
            if (fabsf(x[j]) > fabsf(largest)) largest = x[j];
        float d = largest / -16, inverse = d == 0 ? 0 : 1 / d;
        store_f16(p, d);
        memset(p + 2, 0, 4);
        for (int j = 0; j < HALF; j++) {
            int low = clamp_int(x[j] * inverse + 16.5f, 0, 31), high = clamp_int(x[j + HALF] * inverse + 16.5f, 0, 31);
            p[6 + j] = (uint8_t)((low & 15) | (high & 15) << 4);
            p[2 + j / 8] = (uint8_t)(p[2 + j / 8] | (low >> 4) << (j % 8));
            p[4 + j / 8] = (uint8_t)(p[4 + j / 8] | (high >> 4) << (j % 8));
        }
    }
}
