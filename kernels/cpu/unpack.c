/* unpack.c: vectorized unpackers, one run_X per weight format (layouts: kernels/quant/x.c).
 *
 * A run is 32 elements, also where blocks have 256. Every value is computed with the operations of the definition in the
 * same order (no fused multiply-add), so that both give the same bits. */
#include "kernels/cpu/unpack.h"

#include "kernels/cpu/simd.h"
#include "kernels/quant/block.h"

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

/* ---- runs: RUN elements from element e of a row on, as vectors. Both tables below are made of them. */
enum { RUN = 32, RUN_VECTORS = RUN / CPU_VW, DOT_CHAINS = 4 };

CPU_INLINE void run_F32(vf v[RUN_VECTORS], const uint8_t *row, int64_t e) {
    for (int j = 0; j < RUN_VECTORS; j++) v[j] = vf_load_bytes(row + 4 * (e + j * CPU_VW));
}

CPU_INLINE void run_F16(vf v[RUN_VECTORS], const uint8_t *row, int64_t e) {
    for (int j = 0; j < RUN_VECTORS; j++) {
        const uint8_t *p = row + 2 * (e + j * CPU_VW);
#if defined(__AVX512F__)
        v[j] = (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i_u *)(const void *)p));
#elif CPU_VW == 8 && defined(__F16C__)
        v[j] = (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i_u *)(const void *)p));
#elif defined(CPU_NEON)
        v[j] = (vf)vcvt_f32_f16((float16x4_t)vld1_u8(p));
#else
        for (int i = 0; i < CPU_VW; i++) v[j][i] = load_f16(p + 2 * i);
#endif
    }
}

CPU_INLINE void run_BF16(vf v[RUN_VECTORS], const uint8_t *row, int64_t e) {
    for (int j = 0; j < RUN_VECTORS; j++) v[j] = vf_load_bf16(row + 2 * (e + j * CPU_VW));
}

CPU_INLINE void run_Q8_0(vf v[RUN_VECTORS], const uint8_t *row, int64_t e) {
    const uint8_t *p = row + e / RUN * Q8_0_BYTES;
    vf d = vf_set1(load_f16(p));
    for (int j = 0; j < RUN_VECTORS; j++) v[j] = d * to_f32(load_s8(p + 2 + j * CPU_VW));
}

/* The low half of a run's codes are the low nibbles of 16 bytes, the high half the high ones. */
enum { HALF_VECTORS = RUN_VECTORS / 2 };

CPU_INLINE void run_Q4_0(vf v[RUN_VECTORS], const uint8_t *row, int64_t e) {
    const uint8_t *p = row + e / RUN * Q4_0_BYTES;
    vf d = vf_set1(load_f16(p));
    for (int j = 0; j < HALF_VECTORS; j++) {
        vi q = load_u8(p + 2 + j * CPU_VW);
        v[j] = d * to_f32((q & 15) - 8);
        v[HALF_VECTORS + j] = d * to_f32((q >> 4) - 8);
    }
}

CPU_INLINE void run_Q4_1(vf v[RUN_VECTORS], const uint8_t *row, int64_t e) {
    const uint8_t *p = row + e / RUN * Q4_1_BYTES;
    vf d = vf_set1(load_f16(p)), m = vf_set1(load_f16(p + 2));
    for (int j = 0; j < HALF_VECTORS; j++) {
        vi q = load_u8(p + 4 + j * CPU_VW);
        v[j] = d * to_f32(q & 15) + m;
        v[HALF_VECTORS + j] = d * to_f32(q >> 4) + m;
    }
}

/* Bit first+i of `bits` as 16 in lane i, 0 or 16. */
CPU_INLINE vi fifth_bits(uint32_t bits, int first) {
    vi lane;
    for (int i = 0; i < CPU_VW; i++) lane[i] = i;
    vu shifted = (bits >> first) - (vu){0};
    return (vi)((shifted >> (vu)lane & 1u) << 4);
}

CPU_INLINE void run_Q5_0(vf v[RUN_VECTORS], const uint8_t *row, int64_t e) {
    const uint8_t *p = row + e / RUN * Q5_0_BYTES;
    vf d = vf_set1(load_f16(p));
    uint32_t high = load_u32(p + 2);
    for (int j = 0; j < HALF_VECTORS; j++) {
        vi q = load_u8(p + 6 + j * CPU_VW);
        v[j] = d * to_f32(((q & 15) | fifth_bits(high, j * CPU_VW)) - 16);
        v[HALF_VECTORS + j] = d * to_f32(((q >> 4) | fifth_bits(high, 16 + j * CPU_VW)) - 16);
    }
}

CPU_INLINE void run_Q5_1(vf v[RUN_VECTORS], const uint8_t *row, int64_t e) {
    const uint8_t *p = row + e / RUN * Q5_1_BYTES;
    vf d = vf_set1(load_f16(p)), m = vf_set1(load_f16(p + 2));
    uint32_t high = load_u32(p + 4);
    for (int j = 0; j < HALF_VECTORS; j++) {
        vi q = load_u8(p + 8 + j * CPU_VW);
        v[j] = d * to_f32((q & 15) | fifth_bits(high, j * CPU_VW)) + m;
        v[HALF_VECTORS + j] = d * to_f32((q >> 4) | fifth_bits(high, 16 + j * CPU_VW)) + m;
    }
}

/* The codes of a run as bytes: shifts within bytes are done on 16-bit lanes and masked. */
typedef uint16_t Codes __attribute__((vector_size(32)));
typedef uint8_t CodeBytes __attribute__((vector_size(32)));

CPU_INLINE void load_codes(Codes *codes, const uint8_t *p) { memcpy(codes, p, sizeof *codes); }

/* v = ds * code - dm */
CPU_INLINE void scale_codes(vf v[RUN_VECTORS], const Codes *codes, float ds, float dm) {
    uint8_t bytes[RUN];
    memcpy(bytes, codes, sizeof bytes);
    vf scale = vf_set1(ds), min = vf_set1(dm);
    for (int j = 0; j < RUN_VECTORS; j++) v[j] = scale * to_f32(load_u8(bytes + j * CPU_VW)) - min;
}

CPU_INLINE void run_Q4_K(vf v[RUN_VECTORS], const uint8_t *row, int64_t e) {
    const uint8_t *p = row + e / 256 * Q4_K_BYTES;
    int sub = (int)(e % 256 / 32), scale, min;
    k_scale_min(p + 4, sub, &scale, &min);
    Codes q;
    load_codes(&q, p + 16 + 32 * (sub / 2));
    q = (sub % 2 == 0 ? q : q >> 4) & 0x0f0f;
    scale_codes(v, &q, load_f16(p) * (float)scale, load_f16(p + 2) * (float)min);
}

CPU_INLINE void run_Q5_K(vf v[RUN_VECTORS], const uint8_t *row, int64_t e) {
    const uint8_t *p = row + e / 256 * Q5_K_BYTES;
    int sub = (int)(e % 256 / 32), scale, min;
    k_scale_min(p + 4, sub, &scale, &min);
    Codes q, high;
    load_codes(&high, p + 16);
    load_codes(&q, p + 48 + 32 * (sub / 2));
    q = ((sub % 2 == 0 ? q : q >> 4) & 0x0f0f) | ((high >> sub) & 0x0101) << 4;
    scale_codes(v, &q, load_f16(p) * (float)scale, load_f16(p + 2) * (float)min);
}

CPU_INLINE void run_Q6_K(vf v[RUN_VECTORS], const uint8_t *row, int64_t e) {
    const uint8_t *p = row + e / 256 * Q6_K_BYTES;
    int sub = (int)(e % 256 / 32), half = sub / 4, k = sub % 4;
    const uint8_t *scales = p + 192 + 8 * half + 2 * k;
    Codes q, high;
    load_codes(&q, p + 64 * half + 32 * (k % 2));
    load_codes(&high, p + 128 + 32 * half);
    q = ((k < 2 ? q : q >> 4) & 0x0f0f) | ((high >> 2 * k) & 0x0303) << 4;
    CodeBytes bytes = (CodeBytes)q - 32;
    uint8_t code[RUN];
    memcpy(code, &bytes, sizeof code);
    float d = load_f16(p + 208);
    vf low_scale = vf_set1(d * (float)(int8_t)scales[0]), high_scale = vf_set1(d * (float)(int8_t)scales[1]);
    for (int j = 0; j < RUN_VECTORS; j++)
        v[j] = (j < HALF_VECTORS ? low_scale : high_scale) * to_f32(load_s8(code + j * CPU_VW));
}

/* ---- the tables ---------------------------------------------------------------------------------------------------- */

/* What is left behind whole runs is only in formats whose blocks are single elements. */
#define QUANT(id, name, ggml_type, block_elems, block_bytes)                                                           \
    static void unpack_##id(float *y, const uint8_t *row, int64_t first, int64_t n) {                                  \
        int64_t i = 0;                                                                                                 \
        for (; i + RUN <= n; i += RUN) {                                                                               \
            vf v[RUN_VECTORS];                                                                                         \
            run_##id(v, row, first + i);                                                                               \
            for (int j = 0; j < RUN_VECTORS; j++) vf_store(y + i + j * CPU_VW, v[j]);                                  \
        }                                                                                                              \
        if (i < n) quant_unpack_##id(y + i, row, first + i, n - i);                                                    \
    }                                                                                                                  \
    static float dot_##id(const uint8_t *row, const float *x, int64_t n) {                                             \
        vf chain[DOT_CHAINS] = {{0}};                                                                                  \
        for (int64_t i = 0; i < n; i += RUN) {                                                                         \
            vf v[RUN_VECTORS];                                                                                         \
            run_##id(v, row, i);                                                                                       \
            for (int j = 0; j < RUN_VECTORS; j++)                                                                      \
                chain[j % DOT_CHAINS] = vf_fma(v[j], vf_load(x + i + j * CPU_VW), chain[j % DOT_CHAINS]);              \
        }                                                                                                              \
        return vf_sum((chain[0] + chain[1]) + (chain[2] + chain[3]));                                                  \
    }
#include "kernels/quant.def"

const CpuUnpack cpu_unpackers[WT_COUNT] = {
#define QUANT(id, name, ggml_type, block_elems, block_bytes) unpack_##id,
#include "kernels/quant.def"
};

const CpuDot cpu_dots[WT_COUNT] = {
#define QUANT(id, name, ggml_type, block_elems, block_bytes) dot_##id,
#include "kernels/quant.def"
};
