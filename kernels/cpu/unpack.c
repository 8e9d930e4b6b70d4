/* unpack.c: vectorized unpackers, one per weight format (layouts: kernels/quant/x.c).
 *
 * Block formats work on runs of 32 elements, also those with blocks of 256. Every value is computed with the operations of
 * the definition in the same order (no fused multiply-add), so that both give the same bits. */
#include "kernels/cpu/unpack.h"

#include "kernels/cpu/simd.h"
#include "kernels/quant/block.h"

typedef uint8_t vbu __attribute__((vector_size(CPU_VW)));
typedef int8_t vbs __attribute__((vector_size(CPU_VW)));

/* CPU_VW bytes as integers. */
CPU_INLINE vi load_u8(const uint8_t *p) {
    vbu b;
    memcpy(&b, p, sizeof b);
    return __builtin_convertvector(b, vi);
}

CPU_INLINE vi load_s8(const uint8_t *p) {
    vbs b;
    memcpy(&b, p, sizeof b);
    return __builtin_convertvector(b, vi);
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
    for (; i + CPU_VW <= n; i += CPU_VW) {
        vh h;
        memcpy(&h, p + 2 * i, sizeof h);
        vf_store(y + i, (vf)(__builtin_convertvector(h, vu) << 16));
    }
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

static void unpack_Q4_K(float *y, const uint8_t *row, int64_t first, int64_t n) {
    for (int64_t e = first; e < first + n; e += 32, y += 32) {
        const uint8_t *p = row + e / 256 * Q4_K_BYTES;
        int sub = (int)(e % 256 / 32), scale, min, shift = 4 * (sub % 2);
        k_scale_min(p + 4, sub, &scale, &min);
        vf ds = vf_set1(load_f16(p) * (float)scale), dm = vf_set1(load_f16(p + 2) * (float)min);
        const uint8_t *q = p + 16 + 32 * (sub / 2);
        for (int j = 0; j < 32; j += CPU_VW) vf_store(y + j, ds * to_f32((load_u8(q + j) >> shift) & 15) - dm);
    }
}

static void unpack_Q5_K(float *y, const uint8_t *row, int64_t first, int64_t n) {
    for (int64_t e = first; e < first + n; e += 32, y += 32) {
        const uint8_t *p = row + e / 256 * Q5_K_BYTES;
        int sub = (int)(e % 256 / 32), scale, min, shift = 4 * (sub % 2);
        k_scale_min(p + 4, sub, &scale, &min);
        vf ds = vf_set1(load_f16(p) * (float)scale), dm = vf_set1(load_f16(p + 2) * (float)min);
        const uint8_t *high = p + 16, *q = p + 48 + 32 * (sub / 2);
        for (int j = 0; j < 32; j += CPU_VW) {
            vi v = ((load_u8(q + j) >> shift) & 15) | ((load_u8(high + j) >> sub) & 1) << 4;
            vf_store(y + j, ds * to_f32(v) - dm);
        }
    }
}

static void unpack_Q6_K(float *y, const uint8_t *row, int64_t first, int64_t n) {
    for (int64_t e = first; e < first + n; e += 32, y += 32) {
        const uint8_t *p = row + e / 256 * Q6_K_BYTES;
        int sub = (int)(e % 256 / 32), half = sub / 4, k = sub % 4;
        const uint8_t *low = p + 64 * half + 32 * (k % 2), *high = p + 128 + 32 * half;
        const uint8_t *scales = p + 192 + 8 * half + 2 * k;
        float d = load_f16(p + 208);
        for (int j = 0; j < 32; j += CPU_VW) {
            vf ds = vf_set1(d * (float)(int8_t)scales[j / 16]);
            vi q = ((load_u8(low + j) >> 4 * (k / 2)) & 15) | ((load_u8(high + j) >> 2 * k) & 3) << 4;
            vf_store(y + j, ds * to_f32(q - 32));
        }
    }
}

const CpuUnpack cpu_unpackers[WT_COUNT] = {
#define QUANT(id, name, ggml_type, block_elems, block_bytes) unpack_##id,
#include "kernels/quant.def"
};
