/* q5_k.c: Q5_K: f16 d, f16 dmin, 12 bytes of 6-bit scales and minimums of 8 sub-blocks of 32, 32 bytes of high bits
 * (bit j of byte l belongs to element l of sub-block j), then 128 bytes of low nibbles in Q4_K's order.
 * y = (d * scale) * q - (dmin * min). */
#include "kernels/quant/block.h"

void quant_unpack_Q5_K(float *y, const void *row, int64_t first_elem, int64_t n) {
    const uint8_t *p = first_block(row, first_elem, n, Q5_K_ELEMS, Q5_K_BYTES);
    for (const float *end = y + n; y < end; y += Q5_K_ELEMS, p += Q5_K_BYTES) {
        float d = load_f16(p), dmin = load_f16(p + 2);
        const uint8_t *high = p + 16;
        for (int j = 0; j < 8; j++) {
            const uint8_t *q = p + 48 + 32 * (j / 2);
            int scale, min, shift = 4 * (j % 2);
            k_scale_min(p + 4, j, &scale, &min);
            float ds = d * (float)scale, dm = dmin * (float)min;
            for (int l = 0; l < 32; l++) {
                int v = ((q[l] >> shift) & 15) | ((high[l] >> j) & 1) << 4;
                y[32 * j + l] = ds * (float)v - dm;
            }
        }
    }
}
