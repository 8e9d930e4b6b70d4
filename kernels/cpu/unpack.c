/* unpack.c: vectorized unpackers, one run_X per weight format (layouts: kernels/quant/x.c).
 *
 * A run is 32 elements, also where blocks have 256. Every value is computed with the operations of the definition in the
 * same order (no fused multiply-add), so that both give the same bits. */
#include "kernels/cpu/unpack.h"

#include "kernels/cpu/codes.h"

/* ---- runs: RUN elements from element e of a row on, as vectors */

CPU_INLINE void run_F32(vf v[RUN_VECTORS], const uint8_t *row, int64_t e) {
    for (int j = 0; j < RUN_VECTORS; j++) v[j] = vf_load_bytes(row + 4 * (e + j * CPU_VW));
}

CPU_INLINE void run_F16(vf v[RUN_VECTORS], const uint8_t *row, int64_t e) {
    for (int j = 0; j < RUN_VECTORS; j++) v[j] = vf_load_f16(row + 2 * (e + j * CPU_VW));
}

CPU_INLINE void run_BF16(vf v[RUN_VECTORS], const uint8_t *row, int64_t e) {
    for (int j = 0; j < RUN_VECTORS; j++) v[j] = vf_load_bf16(row + 2 * (e + j * CPU_VW));
}

CPU_INLINE void run_Q8_0(vf v[RUN_VECTORS], const uint8_t *row, int64_t e) {
    const uint8_t *p = row + e / RUN * Q8_0_BYTES;
    vf d = load_f16_lanes(p);
    for (int j = 0; j < RUN_VECTORS; j++) v[j] = d * to_f32(load_s8(p + 2 + j * CPU_VW));
}

/* The low half of a run's codes are the low nibbles of 16 bytes, the high half the high ones. */

CPU_INLINE void run_Q4_0(vf v[RUN_VECTORS], const uint8_t *row, int64_t e) {
    const uint8_t *p = row + e / RUN * Q4_0_BYTES;
    vf d = load_f16_lanes(p);
    for (int j = 0; j < HALF_VECTORS; j++) {
        vi q = load_u8(p + 2 + j * CPU_VW);
        v[j] = d * to_f32((q & 15) - 8);
        v[HALF_VECTORS + j] = d * to_f32((q >> 4) - 8);
    }
}

CPU_INLINE void run_Q4_1(vf v[RUN_VECTORS], const uint8_t *row, int64_t e) {
    const uint8_t *p = row + e / RUN * Q4_1_BYTES;
    vf d = load_f16_lanes(p), m = load_f16_lanes(p + 2);
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
    vf d = load_f16_lanes(p);
    uint32_t high = load_u32(p + 2);
    for (int j = 0; j < HALF_VECTORS; j++) {
        vi q = load_u8(p + 6 + j * CPU_VW);
        v[j] = d * to_f32(((q & 15) | fifth_bits(high, j * CPU_VW)) - 16);
        v[HALF_VECTORS + j] = d * to_f32(((q >> 4) | fifth_bits(high, 16 + j * CPU_VW)) - 16);
    }
}

CPU_INLINE void run_Q5_1(vf v[RUN_VECTORS], const uint8_t *row, int64_t e) {
    const uint8_t *p = row + e / RUN * Q5_1_BYTES;
    vf d = load_f16_lanes(p), m = load_f16_lanes(p + 2);
    uint32_t high = load_u32(p + 4);
    for (int j = 0; j < HALF_VECTORS; j++) {
        vi q = load_u8(p + 8 + j * CPU_VW);
        v[j] = d * to_f32((q & 15) | fifth_bits(high, j * CPU_VW)) + m;
        v[HALF_VECTORS + j] = d * to_f32((q >> 4) | fifth_bits(high, 16 + j * CPU_VW)) + m;
    }
}

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

/* ---- the table ----------------------------------------------------------------------------------------------------- */

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
    }
#include "kernels/quant.def"

const CpuUnpack cpu_unpackers[WT_COUNT] = {
#define QUANT(id, name, ggml_type, block_elems, block_bytes) unpack_##id,
#include "kernels/quant.def"
};
