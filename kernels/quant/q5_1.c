/* q5_1.c: Q5_1: f16 d, f16 m, 32 high bits (u32, bit j for element j), then 16 bytes of low nibbles in Q4_0's order.
 * y = d * q + m.
 * Packing: m = min x, d = (max x - min x) / 31, q = trunc((x - m) / d + 0.5), at most 31. */
#include "kernels/quant/block.h"

enum { HALF = Q5_1_ELEMS / 2 };

void quant_unpack_Q5_1(float *y, const void *row, int64_t first_elem, int64_t n) {
    const uint8_t *p = first_block(row, first_elem, n, Q5_1_ELEMS, Q5_1_BYTES);
    for (const float *end = y + n; y < end; y += Q5_1_ELEMS, p += Q5_1_BYTES) {
        float d = load_f16(p), m = load_f16(p + 2);
        uint32_t high_bits = load_u32(p + 4);
        for (int j = 0; j < HALF; j++) {
            uint32_t low = (p[8 + j] & 15u) | ((high_bits >> j) & 1u) << 4;
            uint32_t high = (uint32_t)(p[8 + j] >> 4) | ((high_bits >> (j + HALF)) & 1u) << 4;
            y[j] = d * (float)low + m;
            y[j + HALF] = d * (float)high + m;
        }
    }
}

void quant_pack_Q5_1(void *row, const float *x, int64_t n) {
    uint8_t *p = row;
    for (const float *end = x + n; x < end; x += Q5_1_ELEMS, p += Q5_1_BYTES) {
        float min = x[0], max = x[0];
        for (int j = 1; j < Q5_1_ELEMS; j++) {
            if (x[j] < min) min = x[j];
            if (x[j] > max) max = x[j];
        }
        float d = (max - min) / 31, inverse = d == 0 ? 0 : 1 / d;
        store_f16(p, d);
        store_f16(p + 2, min);
        memset(p + 4, 0, 4);
        for (int j = 0; j < HALF; j++) {
            int low = clamp_int((x[j] - min) * inverse + 0.5f, 0, 31);
            int high = clamp_int((x[j + HALF] - min) * inverse + 0.5f, 0, 31);
            p[8 + j] = (uint8_t)((low & 15) | (high & 15) << 4);
            p[4 + j / 8] = (uint8_t)(p[4 + j / 8] | (low >> 4) << (j % 8));
            p[6 + j / 8] = (uint8_t)(p[6 + j / 8] | (high >> 4) << (j % 8));
        }
    }
}
