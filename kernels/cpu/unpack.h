/* unpack.h: from a stored weight row to f32, fast. The values are those of the definitions of kernels/quant, bit for bit. */
#ifndef LORAC_KERNELS_CPU_UNPACK_H
#define LORAC_KERNELS_CPU_UNPACK_H

#include "kernels/cpu/level.h"

/* y[0..n) = elements first .. first+n of the row at `row` (any alignment). For block formats first and n are multiples
 * of 32, also inside a block of 256. */
typedef void (*CpuUnpack)(float *y, const uint8_t *row, int64_t first, int64_t n);

/* One per row of quant.def. */
#define cpu_unpackers CPU_NAME(unpackers)
extern const CpuUnpack cpu_unpackers[WT_COUNT];

#endif
