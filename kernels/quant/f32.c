/* f32.c: F32: one little-endian IEEE 754 binary32 per element. */
#include "kernels/quant/block.h"

void quant_unpack_F32(float *y, const void *row, int64_t first_elem, int64_t n) {
    const uint8_t *p = first_block(row, first_elem, n, F32_ELEMS, F32_BYTES);
    if (n > 0) memcpy(y, p, (size_t)n * sizeof *y);
}

void quant_pack_F32(void *row, const float *x, int64_t n) {
    if (n > 0) memcpy(row, x, (size_t)n * sizeof *x);
}
