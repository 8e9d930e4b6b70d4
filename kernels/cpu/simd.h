/* simd.h: the vector type of one level and the few operations kernels need on it.
 *
 * vf holds CPU_VW floats (16 with AVX-512, 8 with AVX2, else 4), as a GCC vector: + - * / and comparisons work lane by
 * lane. What has no operator is a function here, with intrinsics where the compiler would not find the instruction and
 * portable C otherwise. -DCPU_NEON asks for the intrinsics of aarch64, whose compiler has no flag that tells a level from
 * "generic"; -DCPU_EMULATE builds the widest shape (16 lanes, bf16 pair products) out of portable C, so that a test runs
 * it on any AVX2 machine. Loads and stores need no alignment. Nothing here depends on the thread or the
 * place in memory: the same values give the same bits. */
#ifndef LORAC_KERNELS_CPU_SIMD_H
#define LORAC_KERNELS_CPU_SIMD_H

#include "kernels/dtype.h"
#include "kernels/math.h"

#include <stdint.h>
#include <string.h>
#if defined(CPU_NEON)
#include <arm_neon.h>
#elif defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__) || defined(CPU_EMULATE)
#define CPU_VW 16
#elif defined(__AVX2__)
#define CPU_VW 8
#else
#define CPU_VW 4
#endif

/* Vector registers, which decide how many sums a product holds. */
#if CPU_VW == 16 || defined(CPU_NEON)
#define CPU_REGISTERS 32
#else
#define CPU_REGISTERS 16
#endif

/* Whether this level multiplies bf16 pairs (vf_dot_bf16 as one instruction, or its emulation). */
#if defined(__AVX512BF16__) || defined(CPU_EMULATE)
#define CPU_BF16_PAIRS 1
#else
#define CPU_BF16_PAIRS 0
#endif

#define CPU_INLINE static inline __attribute__((always_inline))

typedef float vf __attribute__((vector_size(CPU_VW * 4)));
typedef int32_t vi __attribute__((vector_size(CPU_VW * 4)));
typedef uint32_t vu __attribute__((vector_size(CPU_VW * 4)));
typedef uint16_t vh __attribute__((vector_size(CPU_VW * 2)));
typedef float vf_unaligned __attribute__((vector_size(CPU_VW * 4), aligned(4), may_alias));
typedef float vf_bytes __attribute__((vector_size(CPU_VW * 4), aligned(1), may_alias));

/* Every lane x. */
CPU_INLINE vf vf_set1(float x) { return x - (vf){0}; }
CPU_INLINE vf vf_load(const float *p) { return *(const vf_unaligned *)p; }
/* From any address. */
CPU_INLINE vf vf_load_bytes(const uint8_t *p) { return *(const vf_bytes *)(const void *)p; }
CPU_INLINE void vf_store(float *p, vf x) { *(vf_unaligned *)p = x; }

/* The first n of CPU_VW lanes, 0 <= n <= CPU_VW; lanes beyond read as 0 and are not written. */
CPU_INLINE vf vf_load_n(const float *p, int64_t n) {
    if (n == CPU_VW) return vf_load(p);
    float t[CPU_VW] = {0};
    for (int64_t i = 0; i < n; i++) t[i] = p[i];
    return vf_load(t);
}

CPU_INLINE void vf_store_n(float *p, vf x, int64_t n) {
    if (n == CPU_VW) {
        vf_store(p, x);
        return;
    }
    float t[CPU_VW];
    vf_store(t, x);
    for (int64_t i = 0; i < n; i++) p[i] = t[i];
}

/* bf16 <-> f32, the conversions of dtype.h lane by lane (exact; nearest even, NaN stays NaN). */
CPU_INLINE vf vf_load_bf16(const void *p) {
#if defined(__AVX512F__)
    return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i_u *)p)), 16);
#elif CPU_VW == 8
    return (vf)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i_u *)p)), 16);
#elif defined(CPU_NEON)
    uint16x4_t half;
    memcpy(&half, p, sizeof half);
    return (vf)vshll_n_u16(half, 16);
#else
    vh half;
    memcpy(&half, p, sizeof half);
    return (vf)(__builtin_convertvector(half, vu) << 16);
#endif
}

CPU_INLINE vu vf_to_bf16_bits(vf x) {
    vu u = (vu)x;
    vu rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16, quiet = (u >> 16) | 0x40u;
    vu is_nan = (vu)((u & 0x7fffffffu) > 0x7f800000u);
    return (rounded & ~is_nan) | (quiet & is_nan);
}

CPU_INLINE void vf_store_bf16(void *p, vf x) {
    vu bits = vf_to_bf16_bits(x);
#if defined(__AVX512F__)
    _mm256_storeu_si256((__m256i_u *)p, _mm512_cvtepi32_epi16((__m512i)bits));
#elif CPU_VW == 8
    __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32((__m256i)bits, (__m256i)bits), 0x08);
    _mm_storeu_si128((__m128i_u *)p, _mm256_castsi256_si128(packed));
#elif defined(CPU_NEON)
    uint16x4_t half = vmovn_u32((uint32x4_t)bits);
    memcpy(p, &half, sizeof half);
#else
    vh half = __builtin_convertvector(bits, vh);
    memcpy(p, &half, sizeof half);
#endif
}

/* Elements i .. i + CPU_VW of an array of dt, and the same for the first n of them. */
CPU_INLINE vf vf_load_dt(const void *p, int64_t i, DType dt) {
    return dt == DT_F32 ? vf_load((const float *)p + i) : vf_load_bf16((const uint16_t *)p + i);
}

CPU_INLINE void vf_store_dt(void *p, int64_t i, vf x, DType dt) {
    if (dt == DT_F32)
        vf_store((float *)p + i, x);
    else
        vf_store_bf16((uint16_t *)p + i, x);
}

CPU_INLINE vf vf_load_n_dt(const void *p, int64_t i, int64_t n, DType dt) {
    if (n == CPU_VW) return vf_load_dt(p, i, dt);
    float t[CPU_VW] = {0};
    for (int64_t j = 0; j < n; j++)
        t[j] = dt == DT_F32 ? ((const float *)p)[i + j] : bf16_to_f32(((const uint16_t *)p)[i + j]);
    return vf_load(t);
}

CPU_INLINE void vf_store_n_dt(void *p, int64_t i, vf x, int64_t n, DType dt) {
    if (n == CPU_VW) {
        vf_store_dt(p, i, x, dt);
        return;
    }
    float t[CPU_VW];
    vf_store(t, x);
    for (int64_t j = 0; j < n; j++) {
        if (dt == DT_F32)
            ((float *)p)[i + j] = t[j];
        else
            ((uint16_t *)p)[i + j] = bf16_from_f32(t[j]);
    }
}

/* a * b + c, fused where the level has the instruction (all but "generic"): one rounding, the same for every caller of a
 * level. */
CPU_INLINE vf vf_fma(vf a, vf b, vf c) {
#if defined(__AVX512F__)
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif CPU_VW == 8 && defined(__FMA__)
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif CPU_VW == 16 && defined(__FMA__)
    __m256 x[2], y[2], z[2];
    memcpy(x, &a, sizeof x);
    memcpy(y, &b, sizeof y);
    memcpy(z, &c, sizeof z);
    for (int h = 0; h < 2; h++) z[h] = _mm256_fmadd_ps(x[h], y[h], z[h]);
    memcpy(&c, z, sizeof c);
    return c;
#elif defined(CPU_NEON)
    return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

/* Lane by lane m ? a : b, where m is the result of a comparison (all ones or zero). */
CPU_INLINE vf vf_select(vi m, vf a, vf b) {
#if defined(CPU_NEON)
    return (vf)vbslq_f32((uint32x4_t)m, (float32x4_t)a, (float32x4_t)b);
#else
    return (vf)((m & (vi)a) | (~m & (vi)b));
#endif
}

/* The larger or smaller; b where one is NaN or both are zero: the instruction, where GCC would not find it. NEON's own
 * treat NaN and zeros in other ways: there it is a comparison and a selection. */
#if defined(__AVX512F__)
CPU_INLINE vf vf_max(vf a, vf b) { return (vf)_mm512_max_ps((__m512)a, (__m512)b); }
CPU_INLINE vf vf_min(vf a, vf b) { return (vf)_mm512_min_ps((__m512)a, (__m512)b); }
#elif CPU_VW == 8
CPU_INLINE vf vf_max(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
CPU_INLINE vf vf_min(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }
#elif CPU_VW == 4 && defined(__SSE__)
CPU_INLINE vf vf_max(vf a, vf b) { return (vf)_mm_max_ps((__m128)a, (__m128)b); }
CPU_INLINE vf vf_min(vf a, vf b) { return (vf)_mm_min_ps((__m128)a, (__m128)b); }
#else
CPU_INLINE vf vf_max(vf a, vf b) { return vf_select((vi)(a > b), a, b); }
CPU_INLINE vf vf_min(vf a, vf b) { return vf_select((vi)(a < b), a, b); }
#endif

/* The sum (largest) of all lanes, by halving: ((l0+l4)+(l2+l6)) + ((l1+l5)+(l3+l7)) for 8 lanes. */
CPU_INLINE float vf_sum(vf x) {
#if CPU_VW == 8 || defined(__AVX512F__)
#if CPU_VW == 16
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256((__m512)x),
                                 _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd((__m512)x), 1)));
#else
    __m256 eight = (__m256)x;
#endif
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
#else
    float t[CPU_VW];
    vf_store(t, x);
    for (int h = CPU_VW / 2; h > 0; h /= 2)
        for (int i = 0; i < h; i++) t[i] += t[i + h];
    return t[0];
#endif
}

CPU_INLINE float vf_max_lane(vf x) {
    float t[CPU_VW];
    vf_store(t, x);
    for (int h = CPU_VW / 2; h > 0; h /= 2)
        for (int i = 0; i < h; i++) t[i] = t[i] > t[i + h] ? t[i] : t[i + h];
    return t[0];
}

/* e^x, bit for bit exp_f32 of math.h. */
CPU_INLINE vf vf_exp(vf x) {
    vf high = vf_set1(MATH_EXP_MAX_F32), low = vf_set1(MATH_EXP_MIN_F32);
    x = vf_select((vi)(x > high), high, x);
    x = vf_select((vi)(x < low), low, x);
    vf shifted = x * MATH_LOG2E_F32 + MATH_ROUND32, n = shifted - MATH_ROUND32;
    vf r = (x - n * MATH_LN2_HIGH_F32) - n * MATH_LN2_LOW_F32;
    vf q = MATH_EXP_C2 + r * (MATH_EXP_C3 + r * (MATH_EXP_C4 + r * (MATH_EXP_C5 + r * MATH_EXP_C6)));
    vf p = 1.0f + (r + (r * r) * q);
    vu biased = (vu)shifted - math_bits32(MATH_ROUND32) + 256u;
    vu half = biased >> 1;
    vf a = (vf)((half - 1u) << 23), b = (vf)((biased - half - 1u) << 23);
    return p * a * b;
}

/* 2^(n + r) for n = shifted - MATH_ROUND32, |r| <= 1/2, n from -127 (which gives 0) to 128: about 1 ulp where the level
 * fuses. Polynomial: a minimax fit with p(0) = 1. For kernels whose bytes may differ by level; vf_exp is the one of math.h. */
CPU_INLINE vf vf_exp2_rounded(vf shifted, vf r) {
    vf p = vf_set1(0x1.41fb2ep-13f);
    p = vf_fma(p, r, vf_set1(0x1.5f3f3p-10f));
    p = vf_fma(p, r, vf_set1(0x1.3b2d5p-7f));
    p = vf_fma(p, r, vf_set1(0x1.c6aee6p-5f));
    p = vf_fma(p, r, vf_set1(0x1.ebfbdcp-3f));
    p = vf_fma(p, r, vf_set1(0x1.62e43p-1f));
    p = vf_fma(p, r, vf_set1(1.0f));
    return p * (vf)(((vu)shifted << 23) + 0x3f800000u);
}

/* tanh x, bit for bit tanh_f32 of math.h. */
CPU_INLINE vf vf_tanh(vf x) {
    vf a = (vf)((vu)x & 0x7fffffffu), z = x * x;
    vf q = -0x1.13a974p-7f + z * 0x1.37194ap-9f;
    q = 0x1.64fe1cp-6f + z * q;
    q = -0x1.ba0dcap-5f + z * q;
    q = 0x1.1110f6p-3f + z * q;
    q = -0x1.555556p-2f + z * q;
    vf small = a + a * (z * q), large = 1.0f - 2.0f / (vf_exp(2.0f * a) + 1.0f);
    vf y = vf_select((vi)(a < 0.6f), small, large);
    return (vf)((vu)y | ((vu)x & 0x80000000u));
}

/* Transposes a CPU_VW x CPU_VW matrix: lane j of r[i] becomes lane i of r[j]. Moves 32-bit units whatever they mean. */
#if CPU_VW == 8
CPU_INLINE void vf_transpose(vf r[CPU_VW]) {
    __m256 t[8], u[8];
    for (int i = 0; i < 4; i++) {
        t[2 * i] = _mm256_unpacklo_ps((__m256)r[2 * i], (__m256)r[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_ps((__m256)r[2 * i], (__m256)r[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        u[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
        u[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
        u[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
        u[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = (vf)_mm256_permute2f128_ps(u[i], u[i + 4], 0x20);
        r[i + 4] = (vf)_mm256_permute2f128_ps(u[i], u[i + 4], 0x31);
    }
}
#elif CPU_VW == 16 && defined(__AVX512F__)
CPU_INLINE void vf_transpose(vf r[CPU_VW]) {
    __m512i t[16], u[16];
    for (int i = 0; i < 8; i++) {
        t[2 * i] = _mm512_unpacklo_epi32((__m512i)r[2 * i], (__m512i)r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32((__m512i)r[2 * i], (__m512i)r[2 * i + 1]);
    }
    for (int i = 0; i < 4; i++) {
        u[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        u[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        u[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        u[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    for (int i = 0; i < 4; i++) { /* columns i, i+4, i+8, i+12 from the four quarters of rows */
        t[i] = _mm512_shuffle_i32x4(u[i], u[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(u[i], u[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(u[i + 8], u[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(u[i + 8], u[i + 12], 0xdd);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = (vf)_mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = (vf)_mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
        r[i + 4] = (vf)_mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
        r[i + 12] = (vf)_mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
    }
}
#elif defined(CPU_NEON)
CPU_INLINE void vf_transpose(vf r[CPU_VW]) {
    float64x2_t t[4];
    for (int i = 0; i < 2; i++) { /* pairs of rows: even t hold columns 0 and 2, odd t columns 1 and 3 */
        t[2 * i] = (float64x2_t)vtrn1q_f32((float32x4_t)r[2 * i], (float32x4_t)r[2 * i + 1]);
        t[2 * i + 1] = (float64x2_t)vtrn2q_f32((float32x4_t)r[2 * i], (float32x4_t)r[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        r[i] = (vf)vtrn1q_f64(t[i], t[i + 2]);
        r[i + 2] = (vf)vtrn2q_f64(t[i], t[i + 2]);
    }
}
#else
CPU_INLINE void vf_transpose(vf r[CPU_VW]) {
    uint32_t t[CPU_VW][CPU_VW], u[CPU_VW][CPU_VW];
    memcpy(t, r, sizeof t);
    for (int i = 0; i < CPU_VW; i++)
        for (int j = 0; j < CPU_VW; j++) u[j][i] = t[i][j];
    memcpy(r, u, sizeof u);
}
#endif

/* The 64-bit products x * m, cut into their upper and lower halves. */
CPU_INLINE void vu_multiply_wide(vu x, uint32_t m, vu *high, vu *low) {
#if defined(__AVX512F__)
    __m512i all = _mm512_set1_epi32((int)m), even = _mm512_mul_epu32((__m512i)x, all);
    __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64((__m512i)x, 32), all);
    *high = (vu)_mm512_mask_mov_epi32(_mm512_srli_epi64(even, 32), 0xaaaa, odd);
    *low = (vu)_mm512_mask_mov_epi32(even, 0xaaaa, _mm512_slli_epi64(odd, 32));
#elif CPU_VW == 8
    __m256i all = _mm256_set1_epi32((int)m), even = _mm256_mul_epu32((__m256i)x, all);
    __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64((__m256i)x, 32), all);
    *high = (vu)_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
    *low = (vu)_mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
#elif defined(CPU_NEON)
    uint32x4_t first = (uint32x4_t)vmull_n_u32(vget_low_u32((uint32x4_t)x), m);
    uint32x4_t second = (uint32x4_t)vmull_high_n_u32((uint32x4_t)x, m);
    *high = (vu)vuzp2q_u32(first, second);
    *low = (vu)vuzp1q_u32(first, second);
#else
    for (int i = 0; i < CPU_VW; i++) {
        uint64_t p = (uint64_t)x[i] * m;
        (*high)[i] = (uint32_t)(p >> 32);
        (*low)[i] = (uint32_t)p;
    }
#endif
}

/* Products of bf16 pairs. A unit of 32 bits holds elements 2i (low half) and 2i+1 (high half). */

/* The unit of (even, odd), each rounded to bf16, as the bits of a float vector. */
CPU_INLINE vf vf_pair_bf16(vf even, vf odd) { return (vf)(vf_to_bf16_bits(even) | vf_to_bf16_bits(odd) << 16); }

/* c + (a_odd * b_odd) + (a_even * b_even), f32 sums, products exact; the instruction takes subnormals as 0. */
CPU_INLINE vf vf_dot_bf16(vf c, vf a, vf b) {
#if defined(__AVX512BF16__) && !defined(CPU_EMULATE)
    return (vf)_mm512_dpbf16_ps((__m512)c, (__m512bh)a, (__m512bh)b);
#else
    vf a_odd = (vf)((vu)a & 0xffff0000u), b_odd = (vf)((vu)b & 0xffff0000u);
    vf a_even = (vf)((vu)a << 16), b_even = (vf)((vu)b << 16);
    return vf_fma(a_even, b_even, vf_fma(a_odd, b_odd, c));
#endif
}

#endif
