/* q4_1.c: Q4_1: f16 d, f16 m, then 16 bytes. Element j < 16 is the low nibble of byte j, element j + 16 its high
 * nibble. y = d * q + m.
 * Packing: m = min x, d = (max x - min x) / 15, q = trunc((x - m) / d + 0.5), at most 15; d and m are rounded to f16
 * only for storage. */
#include "kernels/quant/block.h"

enum { HALF = Q4_1_ELEMS / 2 };

void quant_unpack_Q4_1(float *y, const void *row, int64_t first_elem, int64_t n) {
    const uint8_t *p = first_block(row, first_elem, n, Q4_1_ELEMS, Q4_1_BYTES);
    for (const float *end = y + n; y < end; y += Q4_1_ELEMS, p += Q4_1_BYTES) {
        float d = load_f16(p), m = load_f16(p + 2);
        for (int j = 0; j < HALF; j++) {
            y[j] = d * (float)(p[4 + j] & 15) + m;
            y[j + HALF] = d * (float)(p[4 + j] >> 4) + m;
        }
    }
}

void quant_pack_Q4_1(void *row, const float *x, int64_t n) {
    uint8_t *p = row;
    for (const float *end = x + n; x < end; x += Q4_1_ELEMS, p += Q4_1_BYTES) {
        float min = x[0], max = x[0];
        for (int j = 1; j < Q4_1_ELEMS; j++) {
            if (x[j] < min) min = x[j];
            if (x[j] > max) max = x[j];
        }
        float d = (max - min) / 15, inverse = d == 0 ? 0 : 1 / d;
        store_f16(p, d);
        store_f16(p + 2, min);
        for (int j = 0; j < HALF; j++) {
            int low = clamp_int((x[j] - min) * inverse + 0.5f, 0, 15);
            int high = clamp_int((x[j + HALF] - min) * inverse + 0.5f, 0, 15);
            p[4 + j] = (uint8_t)(low | high << 4);
        }
    }
}
