/* dot.c: see dot.h. Whatever the level's width: 16 codes are multiplied at a time, into eight sums. */
#include "kernels/cpu/dot.h"

#include "kernels/cpu/codes.h"

typedef int16_t Words __attribute__((vector_size(32)));
typedef int32_t Ints __attribute__((vector_size(32)));
typedef float Floats __attribute__((vector_size(32)));
typedef float Four __attribute__((vector_size(16)));
enum { WORDS = 16, EIGHT = 8, HIGH = 1 << 15 /* a unit of the high plane in units of the low one */ };

CPU_INLINE void load_words(Words *w, const int16_t *p) { memcpy(w, p, sizeof *w); }

/* WORDS bytes as integers; with a sign. */
CPU_INLINE void load_bytes(Words *w, const uint8_t *p) {
#if defined(__AVX2__)
    *w = (Words)_mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i_u *)(const void *)p));
#elif defined(CPU_NEON)
    uint8x16_t bytes = vld1q_u8(p);
    uint16x8_t halves[2] = {vmovl_u8(vget_low_u8(bytes)), vmovl_high_u8(bytes)};
    memcpy(w, halves, sizeof halves);
#else
    for (int i = 0; i < WORDS; i++) (*w)[i] = p[i];
#endif
}

CPU_INLINE void load_signed_bytes(Words *w, const uint8_t *p) {
#if defined(__AVX2__)
    *w = (Words)_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i_u *)(const void *)p));
#elif defined(CPU_NEON)
    int8x16_t bytes = vreinterpretq_s8_u8(vld1q_u8(p));
    int16x8_t halves[2] = {vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes)};
    memcpy(w, halves, sizeof halves);
#else
    for (int i = 0; i < WORDS; i++) (*w)[i] = (int8_t)p[i];
#endif
}

/* sum[i] = a[2i] b[2i] + a[2i+1] b[2i+1] */
CPU_INLINE void multiply_pairs(Ints *sum, const Words *a, const Words *b) {
#if defined(__AVX2__)
    *sum = (Ints)_mm256_madd_epi16((__m256i)*a, (__m256i)*b);
#elif defined(CPU_NEON)
    int16x8_t x[2], y[2];
    int32x4_t z[2];
    memcpy(x, a, sizeof x);
    memcpy(y, b, sizeof y);
    for (int h = 0; h < 2; h++)
        z[h] = vpaddq_s32(vmull_s16(vget_low_s16(x[h]), vget_low_s16(y[h])), vmull_high_s16(x[h], y[h]));
    memcpy(sum, z, sizeof z);
#elif defined(__SSE2__)
    __m128i x[2], y[2];
    memcpy(x, a, sizeof x);
    memcpy(y, b, sizeof y);
    for (int h = 0; h < 2; h++) x[h] = _mm_madd_epi16(x[h], y[h]);
    memcpy(sum, x, sizeof x);
#else
    for (int i = 0; i < EIGHT; i++) (*sum)[i] = (*a)[2 * i] * (*b)[2 * i] + (*a)[2 * i + 1] * (*b)[2 * i + 1];
#endif
}

/* sum += a * b */
CPU_INLINE void add_product(Floats *sum, const Floats *a, const Floats *b) {
#if defined(__AVX2__) && defined(__FMA__)
    *sum = (Floats)_mm256_fmadd_ps((__m256)*a, (__m256)*b, (__m256)*sum);
#else
    *sum += *a * *b;
#endif
}

/* The codes of a run, in order. */
typedef struct RunCodes {
    Words half[2];
} RunCodes;

/* The sum of the codes of halves first .. first+n of a run, times the integers at p (a run's), in eight parts: exact but for
 * the conversion to f32. A part is below 2^27. */
CPU_INLINE void sum_halves(Floats *sum, const RunCodes *codes, int first, int n, const int16_t *p, int planes) {
    Ints part[2];
    for (int plane = 0; plane < planes; plane++)
        for (int h = first; h < first + n; h++) {
            Words x;
            Ints products;
            load_words(&x, p + plane * RUN + h * WORDS);
            multiply_pairs(&products, &codes->half[h], &x);
            part[plane] = h == first ? products : part[plane] + products;
        }
    *sum = __builtin_convertvector(part[0], Floats);
    if (planes == 2) *sum = *sum * (float)HIGH + __builtin_convertvector(part[1], Floats);
}

/* What a row's runs add up to; the shifts are what all codes of a run have in common, of eight runs or (lane 1) of one. */
typedef struct Sum {
    Floats scaled, shifts;
    Four shift;
} Sum;

CPU_INLINE void load_lanes(Floats *x, float value) { *x = value - (Floats){0}; }

/* sum += factor * codes * integers of the run at p */
CPU_INLINE void add_run(Floats *sum, const RunCodes *codes, float factor, const int16_t *p, int planes) {
    Floats part, lanes;
    sum_halves(&part, codes, 0, 2, p, planes);
    load_lanes(&lanes, factor);
    add_product(sum, &lanes, &part);
}

/* ---- formats whose block is a run, number b of the row -------------------------------------------------------------- */

CPU_INLINE float load_scale(const uint8_t *p) {
#if defined(__F16C__)
    return _cvtsh_ss(load_u16(p));
#elif defined(CPU_NEON)
    return vgetq_lane_f32(vcvt_f32_f16((float16x4_t)vdup_n_u16(load_u16(p))), 0);
#else
    return load_f16(p);
#endif
}

CPU_INLINE void add_block(Sum *s, const RunCodes *codes, float factor, const DotVector *v, int64_t b, int planes) {
    add_run(&s->scaled, codes, factor, v->integers + b * RUN * planes, planes);
}

CPU_INLINE void run_Q8_0(Sum *s, const uint8_t *row, int64_t b, const DotVector *v, int planes) {
    const uint8_t *p = row + b * Q8_0_BYTES;
    RunCodes c;
    load_signed_bytes(&c.half[0], p + 2);
    load_signed_bytes(&c.half[1], p + 2 + WORDS);
    add_block(s, &c, load_scale(p) * v->scales[b], v, b, planes);
}

/* The codes of a run in the nibbles of 16 bytes, the low ones first. */
CPU_INLINE void load_nibbles(RunCodes *c, const uint8_t *p) {
    Words q;
    load_bytes(&q, p);
    c->half[0] = q & 15;
    c->half[1] = q >> 4;
}

/* Adds bit i of `bits` to code i as its bit 4. */
CPU_INLINE void add_fifth_bits(RunCodes *c, const uint8_t *bits) {
    const Words one = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, INT16_MIN};
    for (int h = 0; h < 2; h++) {
        Words all = (int16_t)load_u16(bits + 2 * h) - (Words){0};
        c->half[h] |= ((all & one) == one) & 16;
    }
}

CPU_INLINE void run_Q4_0(Sum *s, const uint8_t *row, int64_t b, const DotVector *v, int planes) {
    const uint8_t *p = row + b * Q4_0_BYTES;
    RunCodes c;
    load_nibbles(&c, p + 2);
    for (int h = 0; h < 2; h++) c.half[h] -= 8;
    add_block(s, &c, load_scale(p) * v->scales[b], v, b, planes);
}

CPU_INLINE void run_Q5_0(Sum *s, const uint8_t *row, int64_t b, const DotVector *v, int planes) {
    const uint8_t *p = row + b * Q5_0_BYTES;
    RunCodes c;
    load_nibbles(&c, p + 6);
    add_fifth_bits(&c, p + 2);
    for (int h = 0; h < 2; h++) c.half[h] -= 16;
    add_block(s, &c, load_scale(p) * v->scales[b], v, b, planes);
}

/* As add_block for a block that begins with d and m: the minimum's share goes into lane 1 of the shift. */
CPU_INLINE void add_block_with_min(Sum *s, const RunCodes *codes, const uint8_t *p, const DotVector *v, int64_t b,
                                   int planes) {
    Four dm, pair = {v->pairs[2 * b], v->pairs[2 * b + 1]};
#if defined(__F16C__)
    dm = (Four)_mm_cvtph_ps(_mm_cvtsi32_si128((int)load_u32(p)));
#elif defined(CPU_NEON)
    dm = (Four)vcvt_f32_f16((float16x4_t)vcreate_u16(load_u32(p)));
#else
    dm = (Four){load_f16(p), load_f16(p + 2)};
#endif
    dm *= pair;
    s->shift += dm;
    add_block(s, codes, dm[0], v, b, planes);
}

CPU_INLINE void run_Q4_1(Sum *s, const uint8_t *row, int64_t b, const DotVector *v, int planes) {
    const uint8_t *p = row + b * Q4_1_BYTES;
    RunCodes c;
    load_nibbles(&c, p + 4);
    add_block_with_min(s, &c, p, v, b, planes);
}

CPU_INLINE void run_Q5_1(Sum *s, const uint8_t *row, int64_t b, const DotVector *v, int planes) {
    const uint8_t *p = row + b * Q5_1_BYTES;
    RunCodes c;
    load_nibbles(&c, p + 8);
    add_fifth_bits(&c, p + 4);
    add_block_with_min(s, &c, p, v, b, planes);
}

/* ((0+4)+(2+6)) + ((1+5)+(3+7)) */
CPU_INLINE float add_eight(const Floats *v) {
#if defined(__AVX2__)
    __m128 four = _mm_add_ps(_mm256_castps256_ps128((__m256)*v), _mm256_extractf128_ps((__m256)*v, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
#else
    float t[EIGHT];
    memcpy(t, v, sizeof t);
    return ((t[0] + t[4]) + (t[2] + t[6])) + ((t[1] + t[5]) + (t[3] + t[7]));
#endif
}

CPU_INLINE float total(const Sum *even, const Sum *odd) {
    Floats sum = (even->scaled + odd->scaled) + (even->shifts + odd->shifts);
    return add_eight(&sum) + (even->shift[1] + odd->shift[1]);
}

/* Even and odd blocks have sums of their own: one sum would wait for itself. */
#define DOT_OF_RUNS_IN(id, planes)                                                                                     \
    CPU_INLINE float row_##id##_##planes(const uint8_t *row, const DotVector *v, int64_t n) {                          \
        Sum even = {{0}, {0}, {0}}, odd = {{0}, {0}, {0}};                                                             \
        int64_t b = 0;                                                                                                 \
        for (; b + 1 < n / RUN; b += 2) {                                                                              \
            run_##id(&even, row, b, v, planes);                                                                        \
            run_##id(&odd, row, b + 1, v, planes);                                                                     \
        }                                                                                                              \
        if (b < n / RUN) run_##id(&even, row, b, v, planes);                                                           \
        return total(&even, &odd);                                                                                     \
    }
#define DOT_OF_RUNS(id) DOT_OF_RUNS_IN(id, 1) DOT_OF_RUNS_IN(id, 2)
DOT_OF_RUNS(Q8_0)
DOT_OF_RUNS(Q4_0)
DOT_OF_RUNS(Q4_1)
DOT_OF_RUNS(Q5_0)
DOT_OF_RUNS(Q5_1)

/* ---- formats of eight runs, whose scales are integers ---------------------------------------------------------------- */

enum { SUBS = 8, AHEAD = 8 /* blocks whose scales are unpacked at a time: then each is a load where it is used */ };

/* SUBS bytes as floats; with a sign. */
CPU_INLINE void load_eight(Floats *v, const uint8_t *p) {
#if defined(__AVX2__)
    *v = (Floats)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadu_si64(p)));
#else
    for (int i = 0; i < EIGHT; i++) (*v)[i] = p[i];
#endif
}

CPU_INLINE void load_signed_eight(Floats *v, const uint8_t *p) {
#if defined(__AVX2__)
    *v = (Floats)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadu_si64(p)));
#else
    for (int i = 0; i < EIGHT; i++) (*v)[i] = (int8_t)p[i];
#endif
}

CPU_INLINE void load_floats(Floats *v, const float *p) { memcpy(v, p, sizeof *v); }

/* scales[0..SUBS) = the factors of the runs of the Q4_K or Q5_K block p, number b of its row; the minima go into s->shifts.
 * The 12 bytes of scales are those of k_scale_min (block.h), all taken apart at once. */
CPU_INLINE void k_scales(float *scales, Sum *s, const uint8_t *p, const DotVector *v, int64_t b) {
    uint32_t x = load_u32(p + 4), y = load_u32(p + 8), z = load_u32(p + 12);
    uint32_t words[4] = {x & 0x3f3f3f3f, (z & 0x0f0f0f0f) | (x >> 2 & 0x30303030), y & 0x3f3f3f3f,
                         (z >> 4 & 0x0f0f0f0f) | (y >> 2 & 0x30303030)};
    uint8_t bytes[2 * SUBS];
    memcpy(bytes, words, sizeof bytes);
    Floats scale, min, unit, sums;
    load_eight(&scale, bytes);
    load_eight(&min, bytes + SUBS);
    load_floats(&unit, v->scales + b * SUBS);
    load_floats(&sums, v->sums + b * SUBS);
    scale *= load_scale(p) * unit;
    memcpy(scales, &scale, sizeof scale);
    s->shifts -= load_scale(p + 2) * min * sums;
}

CPU_INLINE void scales_Q4_K(float *scales, Sum *s, const uint8_t *row, int64_t b, const DotVector *v) {
    k_scales(scales, s, row + b * Q4_K_BYTES, v, b);
}

/* 32 bytes hold the codes of two runs: the low nibbles one, the high nibbles the next. */
CPU_INLINE void block_Q4_K(Floats sum[2], const float *scales, const uint8_t *row, int64_t b, const DotVector *v,
                           int planes) {
    const uint8_t *q = row + b * Q4_K_BYTES + 16;
    const int16_t *x = v->integers + b * Q4_K_ELEMS * planes;
#pragma GCC unroll 4
    for (int i = 0; i < SUBS; i += 2, q += RUN) {
        RunCodes low, high;
        for (int h = 0; h < 2; h++) {
            load_bytes(&high.half[h], q + h * WORDS);
            low.half[h] = high.half[h] & 15;
            high.half[h] >>= 4;
        }
        add_run(&sum[0], &low, scales[i], x + i * RUN * planes, planes);
        add_run(&sum[1], &high, scales[i + 1], x + (i + 1) * RUN * planes, planes);
    }
}

CPU_INLINE void scales_Q5_K(float *scales, Sum *s, const uint8_t *row, int64_t b, const DotVector *v) {
    k_scales(scales, s, row + b * Q5_K_BYTES, v, b);
}

/* As Q4_K; bit i of 32 more bytes is the fifth bit of run i. */
CPU_INLINE void block_Q5_K(Floats sum[2], const float *scales, const uint8_t *row, int64_t b, const DotVector *v,
                           int planes) {
    const uint8_t *p = row + b * Q5_K_BYTES, *q = p + 48;
    const int16_t *x = v->integers + b * Q5_K_ELEMS * planes;
    Words fifth[2];
    for (int h = 0; h < 2; h++) load_bytes(&fifth[h], p + 16 + h * WORDS);
#pragma GCC unroll 4
    for (int i = 0; i < SUBS; i += 2, q += RUN) {
        RunCodes low, high;
        for (int h = 0; h < 2; h++) {
            load_bytes(&high.half[h], q + h * WORDS);
            low.half[h] = (high.half[h] & 15) | (fifth[h] << 4 & 16);
            high.half[h] = high.half[h] >> 4 | (fifth[h] << 3 & 16);
            fifth[h] >>= 2;
        }
        add_run(&sum[0], &low, scales[i], x + i * RUN * planes, planes);
        add_run(&sum[1], &high, scales[i + 1], x + (i + 1) * RUN * planes, planes);
    }
}

/* Each half of a run has a scale of its own, with a sign. */
CPU_INLINE void scales_Q6_K(float *scales, Sum *s, const uint8_t *row, int64_t b, const DotVector *v) {
    (void)s;
    const uint8_t *p = row + b * Q6_K_BYTES;
    Floats scale[2], unit;
    load_floats(&unit, v->scales + b * SUBS);
    unit *= load_scale(p + 208);
    for (int i = 0; i < 2; i++) load_signed_eight(&scale[i], p + 192 + i * EIGHT);
    scale[0] *= __builtin_shufflevector(unit, unit, 0, 0, 1, 1, 2, 2, 3, 3);
    scale[1] *= __builtin_shufflevector(unit, unit, 4, 4, 5, 5, 6, 6, 7, 7);
    memcpy(scales, scale, sizeof scale);
}

/* Of each 128 elements, the low four bits of runs 0 and 2, 1 and 3 share bytes, and the upper two of all four runs do. */
CPU_INLINE void block_Q6_K(Floats sum[2], const float *scales, const uint8_t *row, int64_t b, const DotVector *v,
                           int planes) {
    const uint8_t *p = row + b * Q6_K_BYTES;
    const int16_t *x = v->integers + b * Q6_K_ELEMS * planes;
#pragma GCC unroll 2
    for (int i = 0; i < SUBS; i += SUBS / 2)
#pragma GCC unroll 2
        for (int h = 0; h < 2; h++) {
            Words low[2], upper;
            load_bytes(&low[0], p + RUN / 2 * i + h * WORDS);
            load_bytes(&low[1], p + RUN / 2 * i + RUN + h * WORDS);
            load_bytes(&upper, p + 128 + RUN / 4 * i + h * WORDS);
#pragma GCC unroll 4
            for (int k = 0; k < 4; k++) {
                RunCodes c;
                Floats part, factor;
                c.half[h] = ((k < 2 ? low[k] & 15 : low[k - 2] >> 4) | (upper << 4 & 0x30)) - 32;
                upper >>= 2;
                sum_halves(&part, &c, h, 1, x + (i + k) * RUN * planes, planes);
                load_lanes(&factor, scales[2 * (i + k) + h]);
                add_product(&sum[h], &factor, &part);
            }
        }
}

#define DOT_OF_BLOCKS(id, per_block, planes)                                                                           \
    CPU_INLINE float row_##id##_##planes(const uint8_t *row, const DotVector *v, int64_t n) {                          \
        Sum even = {{0}, {0}, {0}}, odd = {{0}, {0}, {0}};                                                             \
        for (int64_t first = 0; first < n / id##_ELEMS; first += AHEAD) {                                              \
            int64_t blocks = n / id##_ELEMS - first < AHEAD ? n / id##_ELEMS - first : AHEAD;                          \
            float scales[AHEAD * per_block];                                                                           \
            Floats sum[2] = {even.scaled, odd.scaled};                                                                 \
            for (int64_t b = 0; b < blocks; b++) scales_##id(scales + b * per_block, &even, row, first + b, v);        \
            for (int64_t b = 0; b < blocks; b++) block_##id(sum, scales + b * per_block, row, first + b, v, planes);   \
            even.scaled = sum[0];                                                                                      \
            odd.scaled = sum[1];                                                                                       \
        }                                                                                                              \
        return total(&even, &odd);                                                                                     \
    }
DOT_OF_BLOCKS(Q4_K, SUBS, 1)
DOT_OF_BLOCKS(Q4_K, SUBS, 2)
DOT_OF_BLOCKS(Q5_K, SUBS, 1)
DOT_OF_BLOCKS(Q5_K, SUBS, 2)
DOT_OF_BLOCKS(Q6_K, 2 * SUBS, 1)
DOT_OF_BLOCKS(Q6_K, 2 * SUBS, 2)

/* ---- formats without codes, in f32 ----------------------------------------------------------------------------------- */

#define DOT_OF_FLOATS(id, size, load)                                                                                  \
    CPU_INLINE float row_##id##_1(const uint8_t *row, const DotVector *v, int64_t n) {                                 \
        enum { CHAINS = 4 };                                                                                           \
        vf sum[CHAINS] = {{0}};                                                                                        \
        for (int64_t i = 0; i < n; i += RUN)                                                                           \
            for (int j = 0; j < RUN_VECTORS; j++) {                                                                    \
                int64_t e = i + j * CPU_VW;                                                                            \
                sum[j % CHAINS] = vf_fma(load(row + e * size), vf_load(v->x + e), sum[j % CHAINS]);                    \
            }                                                                                                          \
        return vf_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));                                                          \
    }
DOT_OF_FLOATS(F32, 4, vf_load_bytes)
DOT_OF_FLOATS(F16, 2, vf_load_f16)
DOT_OF_FLOATS(BF16, 2, vf_load_bf16)
#define row_F32_2 row_F32_1
#define row_F16_2 row_F16_1
#define row_BF16_2 row_BF16_1

/* ---- the table ------------------------------------------------------------------------------------------------------- */

/* Hardware foresees no more than a page, and a page of codes is soon used up; of floats it is not. Reading ahead never faults. */
enum { AHEAD_BYTES = 4096, LINE = 64 };

CPU_INLINE void prefetch_row(const uint8_t *row, int64_t row_bytes) {
    for (int64_t byte = 0; byte < row_bytes; byte += LINE) __builtin_prefetch(row + AHEAD_BYTES + byte);
}

#define DOT_IN(id, block_elems, planes)                                                                                \
    static void dot_##id##_##planes(float *y, const uint8_t *row, int64_t row_bytes, int64_t rows, const DotVector *v, \
                                    int64_t n) {                                                                       \
        for (int64_t i = 0; i < rows; i++, row += row_bytes) {                                                         \
            if (block_elems > 1) prefetch_row(row, row_bytes);                                                         \
            y[i] = row_##id##_##planes(row, v, n);                                                                     \
        }                                                                                                              \
    }
#define QUANT(id, name, ggml_type, block_elems, block_bytes)                                                           \
    DOT_IN(id, block_elems, 1)                                                                                         \
    DOT_IN(id, block_elems, 2)                                                                                         \
    static void dot_##id(float *y, const uint8_t *row, int64_t row_bytes, int64_t rows, const DotVector *v,            \
                         int64_t n) {                                                                                  \
        (v->planes == 2 ? dot_##id##_2 : dot_##id##_1)(y, row, row_bytes, rows, v, n);                                 \
    }
#include "kernels/quant.def"

const CpuDot cpu_dots[WT_COUNT] = {
#define QUANT(id, name, ggml_type, block_elems, block_bytes) dot_##id,
#include "kernels/quant.def"
};

/* ---- the vector ------------------------------------------------------------------------------------------------------ */

enum { EXPONENT_BIAS = 127, NOT_FINITE = 255, LEAST_EXPONENT = EXPONENT_BIAS - 96 };

static float power_of_two(int e) { return math_from_bits32((uint32_t)(e + EXPONENT_BIAS) << 23); }

static float largest(const float *x) {
    uint32_t most = 0;
    for (int i = 0; i < RUN; i++) {
        uint32_t bits = math_bits32(x[i]) & 0x7fffffffu; /* NaN above infinity above all numbers */
        if (bits > most) most = bits;
    }
    return math_from_bits32(most);
}

/* The integers of a run, and what one of them is worth. */
static float fix_run(int16_t *integers, const float *x, int planes) {
    float most = largest(x);
    int exponent = (int)(math_bits32(most) >> 23);
    if (exponent == NOT_FINITE || exponent < LEAST_EXPONENT) {
        memset(integers, 0, (size_t)(RUN * planes) * sizeof *integers);
        return exponent == NOT_FINITE ? most - most : 0.0f;
    }
    int unit = exponent - EXPONENT_BIAS - 14; /* most < 2^15 units */
    if (most * power_of_two(-unit) >= (float)HIGH - 0.5f) unit++;
    float per_unit = power_of_two(-unit), one = power_of_two(unit);
    for (int i = 0; i < RUN; i++) {
        float high = (x[i] * per_unit + MATH_ROUND32) - MATH_ROUND32;
        integers[i] = (int16_t)high;
        if (planes == 2)
            integers[RUN + i] = (int16_t)(((x[i] - high * one) * per_unit) * (float)HIGH + MATH_ROUND32 - MATH_ROUND32);
    }
    return planes == 2 ? one / (float)HIGH : one;
}

static float sum_of_run(const float *x) {
    vf sum = vf_load(x);
    for (int j = CPU_VW; j < RUN; j += CPU_VW) sum += vf_load(x + j);
    return vf_sum(sum);
}

DotVector dot_vector(float *memory, const void *src, int64_t n, DType dt) {
    float *x = memory, *scales = x + n, *sums = scales + n / RUN, *pairs = sums + n / RUN;
    int16_t *integers = (int16_t *)(void *)(pairs + 2 * (n / RUN));
    int planes = dt == DT_BF16 ? 1 : 2;
    for (int64_t i = 0; i < n; i += CPU_VW) {
        int64_t width = n - i < CPU_VW ? n - i : CPU_VW;
        vf_store_n(x + i, vf_load_n_dt(src, i, width, dt), width);
    }
    for (int64_t b = 0; b < n / RUN; b++) {
        scales[b] = fix_run(integers + b * RUN * planes, x + b * RUN, planes);
        sums[b] = sum_of_run(x + b * RUN);
        pairs[2 * b] = scales[b];
        pairs[2 * b + 1] = sums[b];
    }
    return (DotVector){.x = x, .scales = scales, .sums = sums, .pairs = pairs, .integers = integers, .planes = planes};
}
