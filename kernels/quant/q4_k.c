/* q4_k.c: Q4_K: f16 d, f16 dmin, 12 bytes of 6-bit scales and minimums of 8 sub-blocks of 32, then 128 bytes.
 * Each 32 bytes hold two sub-blocks: the low nibbles are sub-block j, the high ones j + 1.
 * y = (d * scale) * q - (dmin * min). */
#include "kernels/quant/block.h"

void quant_unpack_Q4_K(float *y, const void *row, int64_t first_elem, int64_t n) {
    const uint8_t *p = first_block(row, first_elem, n, Q4_K_ELEMS, Q4_K_BYTES);
    for (const float *end = y + n; y < end; y += Q4_K_ELEMS, p += Q4_K_BYTES) {
        float d = load_f16(p), dmin = load_f16(p + 2);
        for (int j = 0; j < 8; j++) {
            const uint8_t *q = p + 16 + 32 * (j / 2);
            int scale, min, shift = 4 * (j % 2);
            k_scale_min(p + 4, j, &scale, &min);
            float ds = d * (float)scale, dm = dmin * (float)min;
            for (int l = 0; l < 32; l++) y[32 * j + l] = ds * (float)((q[l] >> shift) & 15) - dm;
        }
    }
}
