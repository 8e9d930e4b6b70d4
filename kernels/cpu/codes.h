/* codes.h: integer codes of stored weights as vectors, for unpack.c and dot.c. */
#ifndef LORAC_KERNELS_CPU_CODES_H
#define LORAC_KERNELS_CPU_CODES_H

#include "kernels/cpu/simd.h"
#include "kernels/quant/block.h"

/* A run is 32 elements, also where blocks have 256. */
enum { RUN = 32, RUN_VECTORS = RUN / CPU_VW, HALF_VECTORS = RUN_VECTORS / 2 };

/* CPU_VW bytes as integers. Intrinsics where there are any: the compiler widens short vectors element by element. */
CPU_INLINE vi load_u8(const uint8_t *p) {
#if defined(__AVX512F__)
    return (vi)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i_u *)(const void *)p));
#elif CPU_VW == 8
    return (vi)_mm256_cvtepu8_epi32(_mm_loadu_si64(p));
#elif defined(CPU_NEON)
    return (vi)vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(load_u32(p)))));
#else
    vi x;
    for (int i = 0; i < CPU_VW; i++) x[i] = p[i];
    return x;
#endif
}

CPU_INLINE vi load_s8(const uint8_t *p) {
#if defined(__AVX512F__)
    return (vi)_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i_u *)(const void *)p));
#elif CPU_VW == 8
    return (vi)_mm256_cvtepi8_epi32(_mm_loadu_si64(p));
#elif defined(CPU_NEON)
    return (vi)vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(load_u32(p)))));
#else
    vi x;
    for (int i = 0; i < CPU_VW; i++) x[i] = (int8_t)p[i];
    return x;
#endif
}

CPU_INLINE vf to_f32(vi x) { return __builtin_convertvector(x, vf); }

/* The codes of a run as bytes: shifts within bytes are done on 16-bit lanes and masked. */
typedef uint16_t Codes __attribute__((vector_size(32)));
typedef uint8_t CodeBytes __attribute__((vector_size(32)));

CPU_INLINE void load_codes(Codes *codes, const uint8_t *p) { memcpy(codes, p, sizeof *codes); }

/* CPU_VW numbers of f16. */
CPU_INLINE vf vf_load_f16(const uint8_t *p) {
#if defined(__AVX512F__)
    return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i_u *)(const void *)p));
#elif CPU_VW == 8 && defined(__F16C__)
    return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i_u *)(const void *)p));
#elif defined(CPU_NEON)
    return (vf)vcvt_f32_f16((float16x4_t)vld1_u8(p));
#else
    vf x;
    for (int i = 0; i < CPU_VW; i++) x[i] = load_f16(p + 2 * i);
    return x;
#endif
}

/* The f16 number at p in every lane: the instruction, where converting it by hand would cost more than a run's products. */
CPU_INLINE vf load_f16_lanes(const uint8_t *p) {
#if defined(__AVX512F__)
    return (vf)_mm512_cvtph_ps(_mm256_set1_epi16((short)load_u16(p)));
#elif CPU_VW == 8 && defined(__F16C__)
    return (vf)_mm256_cvtph_ps(_mm_set1_epi16((short)load_u16(p)));
#elif defined(CPU_NEON)
    return (vf)vcvt_f32_f16((float16x4_t)vdup_n_u16(load_u16(p)));
#else
    return vf_set1(load_f16(p));
#endif
}

#endif
