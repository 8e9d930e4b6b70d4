/* math.h: our own exp, log, sin, cos and tanh, because libm picks variants by CPU and equal bytes are promised.
 *
 * Plain C without branches or calls, so that a loop over them vectorizes and gives the bits of the scalar call. No step
 * fuses a multiply with an add (the build sets -ffp-contract=off), so every level of cpu/ agrees; simd.h has vf_exp with
 * the same steps. Round-to-nearest mode is needed; -ffast-math would break the rounding by a large constant. Functions
 * named _f32 take and give f32; where speed does not matter they compute in f64 and round once.
 * Polynomials: Taylor series where noted, else a Chebyshev fit; the error of each is far below its rounding error. */
#ifndef LORAC_KERNELS_MATH_H
#define LORAC_KERNELS_MATH_H

#include <stdint.h>
#include <string.h>

static inline uint64_t math_bits64(double x) {
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline double math_from_bits64(uint64_t u) {
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static inline uint32_t math_bits32(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float math_from_bits32(uint32_t u) {
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* Adding and subtracting these rounds a number to an integer, which then sits in the low bits of the sum. */
#define MATH_ROUND32 12582912.0f        /* 1.5 * 2^23 */
#define MATH_ROUND64 6755399441055744.0 /* 1.5 * 2^52 */

/* ln 2 in two parts: n * MATH_LN2_HIGH is exact for |n| < 2^14. */
#define MATH_LOG2E_F32 0x1.715476p+0f
#define MATH_LN2_HIGH_F32 0x1.63p-1f
#define MATH_LN2_LOW_F32 -0x1.bd0106p-13f
/* exp(r) = 1 + r + r^2 * (C2 + C3 r + ... + C6 r^4) for |r| <= ln(2)/2. */
#define MATH_EXP_C2 0x1.0p-1f
#define MATH_EXP_C3 0x1.5554dcp-3f
#define MATH_EXP_C4 0x1.5554eap-5f
#define MATH_EXP_C5 0x1.120b6ap-7f
#define MATH_EXP_C6 0x1.6d431cp-10f
/* Outside these exp is 0 or infinite in f32. */
#define MATH_EXP_MIN_F32 -104.0f
#define MATH_EXP_MAX_F32 89.0f

/* e^x; about 1 ulp. Subnormal results are rounded twice; overflow gives infinity, NaN gives NaN. */
static inline float exp_f32(float x) {
    x = x > MATH_EXP_MAX_F32 ? MATH_EXP_MAX_F32 : x;
    x = x < MATH_EXP_MIN_F32 ? MATH_EXP_MIN_F32 : x;
    float shifted = x * MATH_LOG2E_F32 + MATH_ROUND32, n = shifted - MATH_ROUND32;
    float r = (x - n * MATH_LN2_HIGH_F32) - n * MATH_LN2_LOW_F32;
    float q = MATH_EXP_C2 + r * (MATH_EXP_C3 + r * (MATH_EXP_C4 + r * (MATH_EXP_C5 + r * MATH_EXP_C6)));
    float p = 1.0f + (r + (r * r) * q);
    /* 2^n as a product of two halves, because n itself may lie outside the exponent range. The offset 256 keeps the
     * shifted integer non-negative. */
    uint32_t biased = math_bits32(shifted) - math_bits32(MATH_ROUND32) + 256u;
    uint32_t half = biased >> 1;
    float a = math_from_bits32((half - 1u) << 23), b = math_from_bits32((biased - half - 1u) << 23);
    return p * a * b;
}

/* e^x; about 1 ulp, subnormal results are rounded twice. Taylor series to r^13. */
static inline double exp_f64(double x) {
    x = x > 710.0 ? 710.0 : x;
    x = x < -746.0 ? -746.0 : x;
    double shifted = x * 0x1.71547652b82fep+0 + MATH_ROUND64, n = shifted - MATH_ROUND64;
    double r = (x - n * 0x1.62e42fee00000p-1) - n * 0x1.a39ef35793c76p-33;
    double q = 1.0 / 479001600.0 + r * (1.0 / 6227020800.0);
    q = 1.0 / 39916800.0 + r * q;
    q = 1.0 / 3628800.0 + r * q;
    q = 1.0 / 362880.0 + r * q;
    q = 1.0 / 40320.0 + r * q;
    q = 1.0 / 5040.0 + r * q;
    q = 1.0 / 720.0 + r * q;
    q = 1.0 / 120.0 + r * q;
    q = 1.0 / 24.0 + r * q;
    q = 1.0 / 6.0 + r * q;
    q = 0.5 + r * q;
    double p = 1.0 + (r + (r * r) * q);
    uint64_t biased = math_bits64(shifted) - math_bits64(MATH_ROUND64) + 2048u;
    uint64_t half = biased >> 1;
    double a = math_from_bits64((half - 1u) << 52), b = math_from_bits64((biased - half - 1u) << 52);
    return p * a * b;
}

/* ln x; about 1 ulp. 0 gives -infinity, negative numbers NaN. With x = m * 2^e, sqrt(1/2) <= m < sqrt(2), f = m - 1,
 * s = f / (2 + f): ln m = 2 artanh(s) = 2s + s*R(s^2) and 2s = f - s*f. R: Taylor series of artanh. */
static inline double log_f64(double x) {
    double tiny = x < 0x1p-1022 ? 0x1p54 : 1.0;
    uint64_t bits = math_bits64(x * tiny);
    /* Moves the cut of the mantissa range from 1 to sqrt(1/2). */
    uint64_t moved = bits + (0x3ff0000000000000u - 0x3fe6a09e667f3bcdu);
    double m = math_from_bits64((moved & 0x000fffffffffffffu) + 0x3fe6a09e667f3bcdu);
    /* The biased exponent as a double, through the low bits of 2^52. */
    double e = math_from_bits64((moved >> 52) | 0x4330000000000000u) - (0x1p52 + 1023.0);
    e = tiny > 1.0 ? e - 54.0 : e;
    double f = m - 1.0, s = f / (2.0 + f), z = s * s;
    double R = 2.0 / 21.0 + z * (2.0 / 23.0);
    R = 2.0 / 19.0 + z * R;
    R = 2.0 / 17.0 + z * R;
    R = 2.0 / 15.0 + z * R;
    R = 2.0 / 13.0 + z * R;
    R = 2.0 / 11.0 + z * R;
    R = 2.0 / 9.0 + z * R;
    R = 2.0 / 7.0 + z * R;
    R = 2.0 / 5.0 + z * R;
    R = 2.0 / 3.0 + z * R;
    double y = e * 0x1.62e42fee00000p-1 - ((s * (f - z * R) - e * 0x1.a39ef35793c76p-33) - f);
    double infinity = math_from_bits64(0x7ff0000000000000u), nan = math_from_bits64(0x7ff8000000000000u);
    y = x < infinity ? y : x; /* infinity and NaN are their own logarithm */
    y = x < 0.0 ? nan : y;
    return x == 0.0 ? -infinity : y;
}

static inline float log_f32(float x) { return (float)log_f64((double)x); }

/* x = n * (pi/2) + r, |r| <= pi/4: r and, in *quadrant, n mod 4. Exact enough for |x| <= 2^20 (the products with the
 * first two parts of pi/2 are then exact); beyond that accuracy fades slowly. */
static inline double math_quadrant(double x, uint64_t *quadrant) {
    double shifted = x * 0x1.45f306dc9c883p-1 + MATH_ROUND64, n = shifted - MATH_ROUND64;
    *quadrant = math_bits64(shifted) & 3u;
    return ((x - n * 0x1.921fb54400000p+0) - n * 0x1.0b4611a600000p-34) - n * 0x1.3198a2e037073p-69;
}

/* sin r and cos r for |r| <= pi/4: Taylor series to r^17 and r^16. */
static inline double math_sin_part(double r) {
    double z = r * r, q = -1.0 / 1307674368000.0 + z * (1.0 / 355687428096000.0);
    q = 1.0 / 6227020800.0 + z * q;
    q = -1.0 / 39916800.0 + z * q;
    q = 1.0 / 362880.0 + z * q;
    q = -1.0 / 5040.0 + z * q;
    q = 1.0 / 120.0 + z * q;
    q = -1.0 / 6.0 + z * q;
    return r + r * (z * q);
}

static inline double math_cos_part(double r) {
    double z = r * r, q = -1.0 / 87178291200.0 + z * (1.0 / 20922789888000.0);
    q = 1.0 / 479001600.0 + z * q;
    q = -1.0 / 3628800.0 + z * q;
    q = 1.0 / 40320.0 + z * q;
    q = -1.0 / 720.0 + z * q;
    q = 1.0 / 24.0 + z * q;
    return 1.0 - (0.5 * z - (z * z) * q);
}

/* sin x, cos x; about 1 ulp of the larger of the result and 2^-30 for |x| <= 2^20 (math_quadrant). */
static inline double sin_f64(double x) {
    uint64_t n;
    double r = math_quadrant(x, &n), s = math_sin_part(r), c = math_cos_part(r);
    double y = (n & 1u) != 0 ? c : s;
    return (n & 2u) != 0 ? -y : y;
}

static inline double cos_f64(double x) {
    uint64_t n;
    double r = math_quadrant(x, &n), s = math_sin_part(r), c = math_cos_part(r);
    double y = (n & 1u) != 0 ? s : c;
    return ((n + 1u) & 2u) != 0 ? -y : y;
}

static inline float sin_f32(float x) { return (float)sin_f64((double)x); }
static inline float cos_f32(float x) { return (float)cos_f64((double)x); }

/* tanh x; about 2 ulp, exact sign symmetry, +-1 for large |x|. Below 0.6 an odd polynomial, else
 * 1 - 2/(e^(2|x|) + 1). */
static inline float tanh_f32(float x) {
    float a = math_from_bits32(math_bits32(x) & 0x7fffffffu), z = x * x;
    float q = -0x1.13a974p-7f + z * 0x1.37194ap-9f;
    q = 0x1.64fe1cp-6f + z * q;
    q = -0x1.ba0dcap-5f + z * q;
    q = 0x1.1110f6p-3f + z * q;
    q = -0x1.555556p-2f + z * q;
    float small = a + a * (z * q), large = 1.0f - 2.0f / (exp_f32(2.0f * a) + 1.0f);
    float y = a < 0.6f ? small : large;
    return math_from_bits32(math_bits32(y) | (math_bits32(x) & 0x80000000u));
}

#endif
