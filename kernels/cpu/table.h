/* table.h: what a CPU level exports: its table of kernels and the instruction sets its code was compiled for.
 *
 * The needs are read from the compiler's own macros, so that they cannot disagree with the flags of kernels.cmake. A table
 * is plain data: reading it is safe on every CPU, calling through it only where every need is met. */
#ifndef LORAC_KERNELS_CPU_TABLE_H
#define LORAC_KERNELS_CPU_TABLE_H

#include "kernels/backend.h"

#define CPU_NEED_LIST(X)                                                                                               \
    X(AVX, "avx")                                                                                                      \
    X(AVX2, "avx2")                                                                                                    \
    X(FMA, "fma")                                                                                                      \
    X(F16C, "f16c")                                                                                                    \
    X(AVX512F, "avx512f")                                                                                              \
    X(AVX512BW, "avx512bw")                                                                                            \
    X(AVX512VL, "avx512vl")                                                                                            \
    X(AVX512DQ, "avx512dq")                                                                                            \
    X(AVX512VBMI, "avx512vbmi")                                                                                        \
    X(AVX512BF16, "avx512bf16")

typedef enum CpuNeed {
#define X(id, name) CPU_NEED_##id,
    CPU_NEED_LIST(X)
#undef X
} CpuNeed;

typedef struct CpuTable {
    unsigned needs; /* bit CPU_NEED_x: the level's code uses x */
    Backend backend;
} CpuTable;

#endif
