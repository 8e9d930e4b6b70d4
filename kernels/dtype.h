/* dtype.h: the number formats of activations and the exact conversions between 32- and 16-bit floats.
 *
 * bf16 is the upper half of an f32; f16 is IEEE 754 binary16. Every conversion to 16 bits rounds to nearest, ties to
 * even, keeps infinities, and makes NaN quiet with its upper payload bits kept; every conversion to f32 is exact,
 * subnormals included. With F16C and at the level neon the hardware does the f16 work and gives the same bits. Needs the
 * default rounding mode. Header only: the definition that kernels of every backend share. */
#ifndef LORAC_KERNELS_DTYPE_H
#define LORAC_KERNELS_DTYPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __F16C__
#include <immintrin.h>
#endif

/* What a tensor of activations or gradients is stored as (weights have WType, quant.h). */
typedef enum DType { DT_F32, DT_BF16 } DType;

/* Bytes of one element. */
static inline size_t dtype_bytes(DType t) { return t == DT_F32 ? 4 : 2; }

/* "f32", "bf16". */
static inline const char *dtype_name(DType t) { return t == DT_F32 ? "f32" : "bf16"; }

static inline uint32_t f32_bits(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float f32_from_bits(uint32_t u) {
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static inline float bf16_to_f32(uint16_t h) { return f32_from_bits((uint32_t)h << 16); }

static inline uint16_t bf16_from_f32(float x) {
    uint32_t u = f32_bits(x);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((u >> 16) | 0x40u);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

/* The value x has once stored as bf16. */
static inline float bf16_round(float x) { return bf16_to_f32(bf16_from_f32(x)); }

static inline float f16_to_f32(uint16_t h) {
#ifdef __F16C__
    return _cvtsh_ss(h);
#elif defined(CPU_NEON)
    __fp16 half;
    memcpy(&half, &h, sizeof half);
    return (float)half;
#else
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = (h >> 10) & 31u, mantissa = h & 0x3ffu;
    if (exponent == 31) return f32_from_bits(sign | 0x7f800000u | mantissa << 13 | (mantissa != 0 ? 0x400000u : 0u));
    /* Zero and subnormals are mantissa * 2^-24, exact in f32. */
    if (exponent == 0) return f32_from_bits(sign | f32_bits((float)mantissa * 0x1p-24f));
    return f32_from_bits(sign | (exponent + 112u) << 23 | mantissa << 13);
#endif
}

static inline uint16_t f16_from_f32(float x) {
#ifdef __F16C__
    return _cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT);
#elif defined(CPU_NEON)
    __fp16 half = (__fp16)x;
    uint16_t h;
    memcpy(&h, &half, sizeof h);
    return h;
#else
    uint32_t u = f32_bits(x), sign = (u >> 16) & 0x8000u, a = u & 0x7fffffffu;
    if (a > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | ((a >> 13) & 0x3ffu));
    if (a >= 0x47800000u) return (uint16_t)(sign | 0x7c00u); /* 65536 and above; 65520..65536 carries over below */
    /* Below 2^-14 the result is a multiple of 2^-24, the spacing of floats at 0.5: the addition does the rounding. */
    if (a < 0x38800000u) return (uint16_t)(sign | (f32_bits(f32_from_bits(a) + 0.5f) - 0x3f000000u));
    return (uint16_t)(sign | ((a - 0x38000000u + 0xfffu + ((a >> 13) & 1u)) >> 13));
#endif
}

#endif
