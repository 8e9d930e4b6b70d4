/* f16.c: F16: one IEEE 754 binary16 per element. Values beyond 65504 become infinite: who writes checks before. */
#include "kernels/quant/block.h"

void quant_unpack_F16(float *y, const void *row, int64_t first_elem, int64_t n) {
    const uint8_t *p = first_block(row, first_elem, n, F16_ELEMS, F16_BYTES);
    for (int64_t i = 0; i < n; i++) y[i] = load_f16(p + 2 * i);
}

void quant_pack_F16(void *row, const float *x, int64_t n) {
    uint8_t *p = row;
    for (int64_t i = 0; i < n; i++) store_f16(p + 2 * i, x[i]);
}
