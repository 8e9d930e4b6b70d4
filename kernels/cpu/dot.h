/* dot.h: the product of a stored weight row with a vector, without a detour through memory.
 *
 * A block's values are d * code + m. Codes are multiplied with the vector as integers, exactly, and scaled once per run of 32;
 * m * (the sum of the run) is taken from sums made once. For that the vector is cut into runs of fixed-point numbers with a
 * power of two as their scale. With one plane they have 15 bits and a sign: every bf16 value down to 2^-7 of the run's largest
 * is exact, below it the error is 2^-15 of the largest at most. With two planes they have 30 bits, more than f32 sums keep.
 * F16, BF16 and F32 weights are multiplied in f32. Nothing is rounded in between. */
#ifndef LORAC_KERNELS_CPU_DOT_H
#define LORAC_KERNELS_CPU_DOT_H

#include "kernels/cpu/level.h"

enum { DOT_RUN = 32 };

/* x (n), and for every whole run of it: planes * 32 integers (first all of the high plane), their scale and the sum of x, both
 * also as pairs.
 * x = scale * integer, or scale * (2^15 high + low). F32, F16 and BF16 rows need x alone, the others all but x. */
typedef struct DotVector {
    const float *x, *scales, *sums, *pairs;
    const int16_t *integers;
    int planes;
} DotVector;

/* Floats of memory that a vector of n elements needs. */
static inline int64_t dot_vector_floats(int64_t n) { return 2 * n + 4 * (n / DOT_RUN); }

/* The vector of n elements of dt, in `memory`; one plane for bf16, two for f32. A run with a NaN or an infinity gives NaN, and
 * what is below 2^-96 counts as 0, where the integers are used. */
#define dot_vector CPU_NAME(dot_vector)
DotVector dot_vector(float *memory, const void *src, int64_t n, DType dt);

/* y[i] = the product of the first n elements of row i with v, of `rows` rows that begin row_bytes apart; n is a multiple of 32,
 * and of the format's block. The order of a sum depends on n alone for integers, and on the level for the others. */
typedef void (*CpuDot)(float *y, const uint8_t *row, int64_t row_bytes, int64_t rows, const DotVector *v, int64_t n);

/* One per row of quant.def. */
#define cpu_dots CPU_NAME(dots)
extern const CpuDot cpu_dots[WT_COUNT];

#endif
