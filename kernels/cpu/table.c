/* table.c: the table of one level, compiled once per level like every file here. A kernel of kernels.def that the level
 * lacks is a link error that names it. */
#include "kernels/cpu/table.h"
#include "kernels/cpu/level.h"

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

/* Declared by backend.c; declared here too so that the definition has a prototype in sight. */
extern const CpuTable CPU_NAME(table);

const CpuTable CPU_NAME(table) = {
    .needs = 0
#ifdef __AVX__
             | 1u << CPU_NEED_AVX
#endif
#ifdef __AVX2__
             | 1u << CPU_NEED_AVX2
#endif
#ifdef __FMA__
             | 1u << CPU_NEED_FMA
#endif
#ifdef __F16C__
             | 1u << CPU_NEED_F16C
#endif
#ifdef __AVX512F__
             | 1u << CPU_NEED_AVX512F
#endif
#ifdef __AVX512BW__
             | 1u << CPU_NEED_AVX512BW
#endif
#ifdef __AVX512VL__
             | 1u << CPU_NEED_AVX512VL
#endif
#ifdef __AVX512DQ__
             | 1u << CPU_NEED_AVX512DQ
#endif
#ifdef __AVX512VBMI__
             | 1u << CPU_NEED_AVX512VBMI
#endif
#ifdef __AVX512BF16__
             | 1u << CPU_NEED_AVX512BF16
#endif
    ,
    .backend =
        {
            .name = "cpu",
            .level = TEXT(CPU_LEVEL),
#define K(kernel, args) .kernel = CPU_NAME(kernel),
#define KW(kernel, args, ws_args) .kernel = CPU_NAME(kernel), .kernel##_workspace = CPU_NAME(kernel##_workspace),
#include "kernels/kernels.def"
#undef K
#undef KW
        },
};
