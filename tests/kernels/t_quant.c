/* t_quant.c: the weight formats and the 16-bit conversions against independent definitions.
 *
 * Unpacking: the check values of the format descriptions (one block of known bytes) and gguf-py's result on random
 * blocks, bit for bit; packing: gguf-py's bytes. Every row of quant.def must have its case here. */
#include "kernels/dtype.h"
#include "kernels/quant.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "golden_quant.h"

enum { GOLDEN_BLOCKS = 16, PACK_COUNT = sizeof PACK_VALUES / sizeof PACK_VALUES[0], BLOCK_MAX = 256 };

static void f16_all_values(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        uint32_t e = (h >> 10) & 31, m = h & 0x3ff;
        float got = f16_to_f32((uint16_t)h);
        if (e == 31 && m != 0) {
            assert_true(isnan(got));
            assert_true(isnan(f16_to_f32(f16_from_f32(got))));
            continue;
        }
        double want = e == 31 ? INFINITY : e == 0 ? ldexp(m, -24) : ldexp(1024 + m, (int)e - 25);
        assert_true((double)got == (h & 0x8000 ? -want : want));
        assert_int_equal(f16_from_f32(got), h);
    }
}

/* Between neighbours of one sign: just below the middle goes down, the middle to the even one, just above up. */
static void f16_rounds_to_even(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 0x7c00; h++) {
        float low = f16_to_f32((uint16_t)h);
        float high = h == 0x7bff ? 65536.0f : f16_to_f32((uint16_t)(h + 1));
        float middle = (low + high) / 2; /* exact: one more bit than f16 */
        assert_int_equal(f16_from_f32(middle), h % 2 == 0 ? h : h + 1);
        assert_int_equal(f16_from_f32(nextafterf(middle, 0)), h);
        assert_int_equal(f16_from_f32(nextafterf(middle, INFINITY)), h + 1);
        assert_int_equal(f16_from_f32(-nextafterf(middle, INFINITY)), (h + 1) | 0x8000);
    }
    assert_int_equal(f16_from_f32(1e30f), 0x7c00);
    assert_int_equal(f16_from_f32(1e-30f), 0);
    assert_int_equal(f16_from_f32(f32_from_bits(0xff800001u)), 0xfe00);
}

static void bf16_rounds_to_even(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 0x7f80; h++) {
        float low = bf16_to_f32((uint16_t)h), middle = f32_from_bits(h << 16 | 0x8000u);
        assert_int_equal(bf16_from_f32(low), h);
        assert_int_equal(bf16_from_f32(-low), h | 0x8000);
        assert_int_equal(bf16_from_f32(middle), h % 2 == 0 ? h : h + 1);
        assert_int_equal(bf16_from_f32(f32_from_bits(h << 16 | 0x7fffu)), h);
        assert_int_equal(bf16_from_f32(f32_from_bits(h << 16 | 0x8001u)), h + 1);
    }
    assert_int_equal(bf16_from_f32(INFINITY), 0x7f80);
    assert_int_equal(bf16_from_f32(f32_from_bits(0x7f800001u)), 0x7fc0);
    assert_int_equal(bf16_from_f32(f32_from_bits(0xffffffffu)), 0xffff);
}

static void table_is_consistent(void **state) {
    (void)state;
    for (int i = 0; i < WT_COUNT; i++) {
        const QuantTraits *q = wtype_traits((WType)i);
        WType t = WT_COUNT;
        assert_true(wtype_from_name(q->name, &t) && t == (WType)i);
        assert_true(wtype_from_ggml((uint32_t)q->ggml_type, &t) && t == (WType)i);
        GgmlTypeInfo info = ggml_type_info((uint32_t)q->ggml_type);
        assert_string_equal(info.name, q->name);
        assert_int_equal(info.block_elems, q->block_elems);
        assert_int_equal(info.block_bytes, q->block_bytes);
        assert_int_equal(wtype_row_bytes((WType)i, 512), 512 / q->block_elems * q->block_bytes);
        assert_non_null(q->unpack);
    }
    WType t = WT_COUNT;
    assert_true(wtype_from_name("q4_k", &t) && t == WT_Q4_K);
    assert_false(wtype_from_name("q4", &t));
    assert_false(wtype_from_ggml(4, &t));
    assert_false(wtype_from_ggml(10, &t)); /* Q2_K is a type of ggml without a row */
    assert_null(ggml_type_info(4).name);
    assert_null(wtype_traits(WT_Q4_K)->pack);
}

/* One block of bytes (37 i + 11) & 255 with d = 0.0625 and, where the format has one, minimum 0.03125. */
static const struct {
    WType type;
    int d_at, m_at; /* m_at -1: none */
    double first, second, last, sum, weighted;
} CHECKS[] = {
    {WT_Q4_0, 0, -1, -0.1875, 0.125, 0, -1.3125, -32.375},
    {WT_Q4_1, 0, 2, 0.96875, 0.28125, 0.78125, 16.3125, 265.4375},
    {WT_Q5_0, 0, -1, 0.5625, -0.125, 0.0625, 0.9375, 7},
    {WT_Q5_1, 0, 2, 1.21875, 1.53125, 0.34375, 32.5625, 510.3125},
    {WT_Q8_0, 0, -1, 5.3125, 7.625, -3, -11, -505},
    {WT_Q4_K, 0, 2, 19.71875, -1.59375, 3.03125, 3402.5, 473302.5},
    {WT_Q5_K, 0, 2, 50.71875, -1.59375, 6.78125, 7263.5, 1001715.5},
    {WT_Q6_K, 208, -1, -89.4375, 106, -3.75, 288.25, 49026.25},
};

static void unpack_known_block(void **state) {
    (void)state;
    for (size_t c = 0; c < sizeof CHECKS / sizeof CHECKS[0]; c++) {
        const QuantTraits *q = wtype_traits(CHECKS[c].type);
        uint8_t block[BLOCK_MAX];
        float y[BLOCK_MAX];
        for (int i = 0; i < q->block_bytes; i++) block[i] = (uint8_t)(37 * i + 11);
        memcpy(block + CHECKS[c].d_at, "\x00\x2c", 2);
        if (CHECKS[c].m_at >= 0) memcpy(block + CHECKS[c].m_at, "\x00\x28", 2);
        q->unpack(y, block, 0, q->block_elems);
        double sum = 0, weighted = 0;
        for (int i = 0; i < q->block_elems; i++) {
            sum += (double)y[i];
            weighted += (i + 1) * (double)y[i];
        }
        print_message("%s\n", q->name);
        assert_true((double)y[0] == CHECKS[c].first);
        assert_true((double)y[1] == CHECKS[c].second);
        assert_true((double)y[q->block_elems - 1] == CHECKS[c].last);
        assert_true(sum == CHECKS[c].sum);
        assert_true(weighted == CHECKS[c].weighted);
    }
}

static uint64_t fnv(const float *y, int n) {
    uint64_t h = 0xcbf29ce484222325u;
    for (int i = 0; i < n; i++)
        for (int b = 0; b < 4; b++) h = (h ^ ((f32_bits(y[i]) >> 8 * b) & 255)) * 0x100000001b3u;
    return h;
}

/* Positions of the f16 scales, which the golden script makes moderate; F16 and BF16: every element. */
static void fix_scales(uint8_t *block, WType t) {
    int at[2] = {t == WT_Q6_K ? 208 : 0, -1};
    if (t == WT_Q4_1 || t == WT_Q5_1 || t == WT_Q4_K || t == WT_Q5_K) at[1] = 2;
    for (int i = 0; i < 2; i++)
        if (at[i] >= 0) block[at[i] + 1] = (uint8_t)((block[at[i] + 1] & 0x83) | 0x2c);
}

static void unpack_random_blocks(void **state) {
    (void)state;
    static uint8_t data[GOLDEN_BLOCKS * BLOCK_MAX + 1];
    static float y[GOLDEN_BLOCKS * BLOCK_MAX], part[BLOCK_MAX];
    for (int i = 0; i < WT_COUNT; i++) {
        if (i == WT_F32) continue;
        const QuantTraits *q = wtype_traits((WType)i);
        int blocks = q->block_elems == 1 ? GOLDEN_BLOCKS * 32 : GOLDEN_BLOCKS, n = blocks * q->block_elems;
        uint8_t *row = data + 1; /* rows may start anywhere */
        uint32_t random = 12345;
        for (int b = 0; b < blocks * q->block_bytes; b++)
            row[b] = (uint8_t)((random = random * 1664525u + 1013904223u) >> 24);
        for (int b = 0; b < blocks; b++) fix_scales(row + b * q->block_bytes, (WType)i);
        q->unpack(y, row, 0, n);
        print_message("%s\n", q->name);
        assert_true(UNPACKED_HASH[i] != 0); /* a new row needs its golden */
        assert_true(fnv(y, n) == UNPACKED_HASH[i]);
        for (int b = 0; b < blocks; b++) {
            q->unpack(part, row, (int64_t)b * q->block_elems, q->block_elems);
            assert_memory_equal(part, y + b * q->block_elems, (size_t)q->block_elems * sizeof *y);
        }
        q->unpack(part, row, n, 0);
    }
}

static void pack_equals_gguf_py(void **state) {
    (void)state;
    static const uint8_t *const PACKED[WT_COUNT] = {[WT_F32] = (const uint8_t *)PACK_VALUES,
                                                    [WT_F16] = PACKED_F16,
                                                    [WT_BF16] = PACKED_BF16,
                                                    [WT_Q8_0] = PACKED_Q8_0,
                                                    [WT_Q4_0] = PACKED_Q4_0,
                                                    [WT_Q4_1] = PACKED_Q4_1,
                                                    [WT_Q5_0] = PACKED_Q5_0,
                                                    [WT_Q5_1] = PACKED_Q5_1};
    static float x[PACK_COUNT], y[PACK_COUNT];
    static uint8_t out[PACK_COUNT * 4 + 1];
    for (int i = 0; i < PACK_COUNT; i++) x[i] = f32_from_bits(PACK_VALUES[i]);
    for (int i = 0; i < WT_COUNT; i++) {
        const QuantTraits *q = wtype_traits((WType)i);
        if (q->pack == NULL) continue;
        print_message("%s\n", q->name);
        assert_non_null(PACKED[i]); /* a new row needs its golden */
        q->pack(out + 1, x, PACK_COUNT);
        assert_memory_equal(out + 1, PACKED[i], (size_t)wtype_row_bytes((WType)i, PACK_COUNT));
        q->unpack(y, out + 1, 0, PACK_COUNT);
        q->pack(out + 1, x, 0);
        /* half a step of the coarsest format, relative to its block's largest value */
        for (int j = 0; j < 32; j++) assert_true(fabs((double)x[j] - (double)y[j]) < 0.4);
    }
}

/* Values no model should hold: any code may come out, but nothing undefined happens (the sanitizers look on). */
static void pack_survives_anything(void **state) {
    (void)state;
    const float bad[] = {NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 1e-45f, -0.0f};
    float x[32];
    uint8_t out[128];
    for (int i = 0; i < WT_COUNT; i++) {
        const QuantTraits *q = wtype_traits((WType)i);
        if (q->pack == NULL) continue;
        for (size_t b = 0; b < sizeof bad / sizeof bad[0]; b++)
            for (int place = 0; place < 32; place++) {
                for (int j = 0; j < 32; j++) x[j] = j == place ? bad[b] : (float)(b % 2) * 1e-42f;
                q->pack(out, x, 32);
            }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f16_all_values),      cmocka_unit_test(f16_rounds_to_even),
        cmocka_unit_test(bf16_rounds_to_even), cmocka_unit_test(table_is_consistent),
        cmocka_unit_test(unpack_known_block),  cmocka_unit_test(unpack_random_blocks),
        cmocka_unit_test(pack_equals_gguf_py), cmocka_unit_test(pack_survives_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
