/* q6_k.c: Q6_K: 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 signed scales, f16 d.
 * The block is two halves of 128 elements; in a half, quarter k (32 elements) takes the low nibbles (k < 2) or the high
 * ones (k >= 2) of 32 bytes at 32 * (k % 2), and bits 2k, 2k + 1 of the half's 32 upper bytes. One scale per 16.
 * y = (d * scale) * (q - 32). */
#include "kernels/quant/block.h"

void quant_unpack_Q6_K(float *y, const void *row, int64_t first_elem, int64_t n) {
    const uint8_t *p = first_block(row, first_elem, n, Q6_K_ELEMS, Q6_K_BYTES);
    for (const float *end = y + n; y < end; y += Q6_K_ELEMS, p += Q6_K_BYTES) {
        float d = load_f16(p + 208);
        for (int i = 0; i < 8; i++) { /* quarter i % 4 of half i / 4 */
            int half = i / 4, k = i % 4;
            const uint8_t *low = p + 64 * half + 32 * (k % 2), *high = p + 128 + 32 * half;
            const uint8_t *scales = p + 192 + 8 * half + 2 * k;
            for (int l = 0; l < 32; l++) {
                int q = ((low[l] >> 4 * (k / 2)) & 15) | ((high[l] >> 2 * k) & 3) << 4;
                y[32 * i + l] = d * (float)(int8_t)scales[l / 16] * (float)(q - 32);
            }
        }
    }
}
