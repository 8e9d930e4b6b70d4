/* bf16.c: BF16: the upper 16 bits of a binary32 per element. */
#include "kernels/quant/block.h"

void quant_unpack_BF16(float *y, const void *row, int64_t first_elem, int64_t n) {
    const uint8_t *p = first_block(row, first_elem, n, BF16_ELEMS, BF16_BYTES);
    for (int64_t i = 0; i < n; i++) y[i] = bf16_to_f32(load_u16(p + 2 * i));
}

void quant_pack_BF16(void *row, const float *x, int64_t n) {
    uint8_t *p = row;
    for (int64_t i = 0; i < n; i++) store_u16(p + 2 * i, bf16_from_f32(x[i]));
}
