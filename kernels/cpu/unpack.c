/* unpack.c: vectorized unpackers, one per weight format (layouts: kernels/quant/x.c).
 *
 * Block formats work on runs of 32 elements, also those with blocks of 256. Every value is computed with the operations of
 * the definition in the same order (no fused multiply-add), so that both give the same bits. */
#include "kernels/cpu/unpack.h"

#include "kernels/cpu/simd.h"
#include "kernels/quant/block.h"

/* CPU_VW bytes as integers. Intrinsics where there are any: the compiler widens short vectors element by element. */
CPU_INLINE vi load_u8(const uint8_t *p) {
#if defined(__AVX512F__)
    return (vi)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i_u *)(const void *)p));
#elif CPU_VW == 8
    return (vi)_mm256_cvtepu8_epi32(_mm_loadu_si64(p));
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
#else
    vi x;
    for (int i = 0; i < CPU_VW; i++) x[i] = (int8_t)p[i];
    return x;
#endif
}

CPU_INLINE vf to_f32(vi x) { return __builtin_convertvector(x, vf); }

static void unpack_F32(float *y, const uint8_t *row, int64_t first, int64_t n) {
    memcpy(y, row + 4 * first, (size_t)n * 4);
}

static void unpack_F16(float *y, const uint8_t *row, int64_t first, int64_t n) {
    const uint8_t *p = row + 2 * first;
    int64_t i = 0;
#if defined(__AVX512F__)
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_ps(y + i, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i_u *)(const void *)(p + 2 * i))));
#elif defined(__F16C__)
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i_u *)(const void *)(p + 2 * i))));
#endif
    for (; i < n; i++) y[i] = load_f16(p + 2 * i);
}

static void unpack_BF16(float *y, const uint8_t *row, int64_t first, int64_t n) {
    const uint8_t *p = row + 2 * first;
    int64_t i = 0;
    for (; i + CPU_VW <= n; i += CPU_VW) vf_store(y + i, vf_load_bf16(p + 2 * i));
    for (; i < n; i++) y[i] = bf16_to_f32(load_u16(p + 2 * i));
}

static void unpack_Q8_0(float *y, const uint8_t *row, int64_t first, int64_t n) {
    const uint8_t *p = row + first / 32 * Q8_0_BYTES;
    for (int64_t i = 0; i < n; i += 32, p += Q8_0_BYTES, y += 32) {
        vf d = vf_set1(load_f16(p));
        for (int j = 0; j < 32; j += CPU_VW) vf_store(y + j, d * to_f32(load_s8(p + 2 + j)));
    }
}

static void unpack_Q4_0(float *y, const uint8_t *row, int64_t first, int64_t n) {
    const uint8_t *p = row + first / 32 * Q4_0_BYTES;
    for (int64_t i = 0; i < n; i += 32, p += Q4_0_BYTES, y += 32) {
        vf d = vf_set1(load_f16(p));
        for (int j = 0; j < 16; j += CPU_VW) {
            vi q = load_u8(p + 2 + j);
            vf_store(y + j, d * to_f32((q & 15) - 8));
            vf_store(y + 16 + j, d * to_f32((q >> 4) - 8));
        }
    }
}

static void unpack_Q4_1(float *y, const uint8_t *row, int64_t first, int64_t n) {
    const uint8_t *p = row + first / 32 * Q4_1_BYTES;
    for (int64_t i = 0; i < n; i += 32, p += Q4_1_BYTES, y += 32) {
        vf d = vf_set1(load_f16(p)), m = vf_set1(load_f16(p + 2));
        for (int j = 0; j < 16; j += CPU_VW) {
            vi q = load_u8(p + 4 + j);
            vf_store(y + j, d * to_f32(q & 15) + m);
            vf_store(y + 16 + j, d * to_f32(q >> 4) + m);
        }
    }
}

/* Bit first+i of `bits` as 16 in lane i, 0 or 16. */
CPU_INLINE vi fifth_bits(uint32_t bits, int first) {
    vi lane;
    for (int i = 0; i < CPU_VW; i++) lane[i] = i;
    vu shifted = (bits >> first) - (vu){0};
    return (vi)((shifted >> (vu)lane & 1u) << 4);
}

static void unpack_Q5_0(float *y, const uint8_t *row, int64_t first, int64_t n) {
    const uint8_t *p = row + first / 32 * Q5_0_BYTES;
    for (int64_t i = 0; i < n; i += 32, p += Q5_0_BYTES, y += 32) {
        vf d = vf_set1(load_f16(p));
        uint32_t high = load_u32(p + 2);
        for (int j = 0; j < 16; j += CPU_VW) {
            vi q = load_u8(p + 6 + j);
            vf_store(y + j, d * to_f32(((q & 15) | fifth_bits(high, j)) - 16));
            vf_store(y + 16 + j, d * to_f32(((q >> 4) | fifth_bits(high, 16 + j)) - 16));
        }
    }
}

static void unpack_Q5_1(float *y, const uint8_t *row, int64_t first, int64_t n) {
    const uint8_t *p = row + first / 32 * Q5_1_BYTES;
    for (int64_t i = 0; i < n; i += 32, p += Q5_1_BYTES, y += 32) {
        vf d = vf_set1(load_f16(p)), m = vf_set1(load_f16(p + 2));
        uint32_t high = load_u32(p + 4);
        for (int j = 0; j < 16; j += CPU_VW) {
            vi q = load_u8(p + 8 + j);
            vf_store(y + j, d * to_f32((q & 15) | fifth_bits(high, j)) + m);
            vf_store(y + 16 + j, d * to_f32((q >> 4) | fifth_bits(high, 16 + j)) + m);
        }
    }
}

/* The codes of 32 elements as bytes: shifts within bytes are done on 16-bit lanes and masked. */
typedef uint16_t Codes __attribute__((vector_size(32)));
typedef uint8_t CodeBytes __attribute__((vector_size(32)));

CPU_INLINE void load_codes(Codes *codes, const uint8_t *p) { memcpy(codes, p, sizeof *codes); }

/* y[0..32) = ds * code - dm */
CPU_INLINE void scale_codes(float *y, const Codes *codes, float ds, float dm) {
    uint8_t bytes[32];
    memcpy(bytes, codes, sizeof bytes);
    vf scale = vf_set1(ds), min = vf_set1(dm);
    for (int j = 0; j < 32; j += CPU_VW) vf_store(y + j, scale * to_f32(load_u8(bytes + j)) - min);
}

static void unpack_Q4_K(float *y, const uint8_t *row, int64_t first, int64_t n) {
    for (int64_t e = first; e < first + n; e += 32, y += 32) {
        const uint8_t *p = row + e / 256 * Q4_K_BYTES;
        int sub = (int)(e % 256 / 32), scale, min;
        k_scale_min(p + 4, sub, &scale, &min);
        Codes q;
        load_codes(&q, p + 16 + 32 * (sub / 2));
        q = (sub % 2 == 0 ? q : q >> 4) & 0x0f0f;
        scale_codes(y, &q, load_f16(p) * (float)scale, load_f16(p + 2) * (float)min);
    }
}

static void unpack_Q5_K(float *y, const uint8_t *row, int64_t first, int64_t n) {
    for (int64_t e = first; e < first + n; e += 32, y += 32) {
        const uint8_t *p = row + e / 256 * Q5_K_BYTES;
        int sub = (int)(e % 256 / 32), scale, min;
        k_scale_min(p + 4, sub, &scale, &min);
        Codes q, high;
        load_codes(&high, p + 16);
        load_codes(&q, p + 48 + 32 * (sub / 2));
        q = ((sub % 2 == 0 ? q : q >> 4) & 0x0f0f) | ((high >> sub) & 0x0101) << 4;
        scale_codes(y, &q, load_f16(p) * (float)scale, load_f16(p + 2) * (float)min);
    }
}

static void unpack_Q6_K(float *y, const uint8_t *row, int64_t first, int64_t n) {
    for (int64_t e = first; e < first + n; e += 32, y += 32) {
        const uint8_t *p = row + e / 256 * Q6_K_BYTES;
        int sub = (int)(e % 256 / 32), half = sub / 4, k = sub % 4;
        const uint8_t *scales = p + 192 + 8 * half + 2 * k;
        Codes q, high;
        load_codes(&q, p + 64 * half + 32 * (k % 2));
        load_codes(&high, p + 128 + 32 * half);
        q = ((k < 2 ? q : q >> 4) & 0x0f0f) | ((high >> 2 * k) & 0x0303) << 4;
        CodeBytes bytes = (CodeBytes)q - 32;
        uint8_t code[32];
        memcpy(code, &bytes, sizeof code);
        float d = load_f16(p + 208);
        vf low_scale = vf_set1(d * (float)(int8_t)scales[0]), high_scale = vf_set1(d * (float)(int8_t)scales[1]);
        for (int j = 0; j < 32; j += CPU_VW)
            vf_store(y + j, (j < 16 ? low_scale : high_scale) * to_f32(load_s8(code + j)));
    }
}

const CpuUnpack cpu_unpackers[WT_COUNT] = {
#define QUANT(id, name, ggml_type, block_elems, block_bytes) unpack_##id,
#include "kernels/quant.def"
};
