/* level.h: names of the functions of one instruction-set level. Every .c file of cpu/ is compiled once per level with
 * -DCPU_LEVEL=<level>; CPU_NAME(x) gives cpu_<level>_x, so that the levels live side by side in one program. */
#ifndef LORAC_KERNELS_CPU_LEVEL_H
#define LORAC_KERNELS_CPU_LEVEL_H

#define CPU_CAT3(a, b, c) a##b##_##c
#define CPU_EXPAND(a, b, c) CPU_CAT3(a, b, c)
#define CPU_NAME(x) CPU_EXPAND(cpu_, CPU_LEVEL, x)

#include "kernels/backend.h"

#define K(kernel, args) void CPU_NAME(kernel) args;
#define KW(kernel, args, ws_args)                                                                                      \
    void CPU_NAME(kernel) args;                                                                                        \
    int64_t CPU_NAME(kernel##_workspace) ws_args;
#include "kernels/kernels.def"
#undef K
#undef KW

#endif
