/* harness.h: how the kernel tests make memory, inputs and comparisons.
 *
 * Memory: every array lies right before an unreadable page and between guard bytes, so that a read past the end stops the
 * test and a write outside is found. Inputs are sealed (read-only) before the kernel runs. Outputs and workspace start
 * as NaN (0xFF) or as another pattern, so that a value read before it is written changes the result.
 * Run: one execution of a case on one backend; it owns its memory and lists its outputs, and the same case with the
 * same seed makes the same inputs on every backend. Header only: each t_*.c is its own program. */
#ifndef LORAC_TESTS_KERNELS_HARNESS_H
#define LORAC_TESTS_KERNELS_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "kernels/backend.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, GUARD = 0xA5, MAX_BLOCKS = 64, MAX_OUTPUTS = 16, MAX_BACKENDS = 8, N_POOLS = 4 };

/* ---- fenced memory */
typedef struct Block {
    uint8_t *map, *data;
    size_t map_bytes, bytes; /* map_bytes without the unreadable page */
} Block;

typedef struct Memory {
    Block blocks[MAX_BLOCKS];
    int n;
    uint8_t fill; /* what fresh bytes hold */
} Memory;

/* `bytes` bytes that end `gap` bytes before an unreadable page. */
static inline void *memory_take(Memory *m, int64_t bytes, size_t gap) {
    assert_true(m->n < MAX_BLOCKS && bytes >= 0);
    size_t size = (size_t)bytes, map_bytes = (size + gap + 64 + PAGE - 1) / PAGE * PAGE;
    uint8_t *map = mmap(NULL, map_bytes + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(map != MAP_FAILED);
    assert_int_equal(mprotect(map + map_bytes, PAGE, PROT_NONE), 0);
    memset(map, GUARD, map_bytes);
    uint8_t *data = map + map_bytes - gap - size;
    memset(data, m->fill, size);
    m->blocks[m->n++] = (Block){.map = map, .data = data, .map_bytes = map_bytes, .bytes = size};
    return data;
}

static inline void memory_check(const Memory *m, const char *what) {
    for (int i = 0; i < m->n; i++) {
        const Block *b = &m->blocks[i];
        for (size_t j = 0; j < b->map_bytes; j++) {
            if (b->map + j == b->data) j += b->bytes;
            if (j >= b->map_bytes) break;
            if (b->map[j] != GUARD)
                fail_msg("%s: byte %td of array %d (%zu bytes) was written", what, b->map + j - b->data, i, b->bytes);
        }
    }
}

static inline void memory_drop(Memory *m) {
    for (int i = 0; i < m->n; i++) munmap(m->blocks[i].map, m->blocks[i].map_bytes + PAGE);
    m->n = 0;
}

/* Makes every array taken so far read-only. */
static inline void memory_seal(Memory *m) {
    for (int i = 0; i < m->n; i++) mprotect(m->blocks[i].map, m->blocks[i].map_bytes, PROT_READ);
}

/* ---- the kernels by number, for the check that each was run */
typedef enum KernelId {
#define K(kernel, args) KERNEL_##kernel,
#define KW(kernel, args, ws_args) KERNEL_##kernel,
#include "kernels/kernels.def"
#undef K
#undef KW
    N_KERNELS
} KernelId;

static const char *const KERNEL_NAMES[] = {
#define K(kernel, args) #kernel,
#define KW(kernel, args, ws_args) #kernel,
#include "kernels/kernels.def"
#undef K
#undef KW
};

/* ---- the backends of this machine */
typedef struct Bench {
    Pool *pools[N_POOLS];
    int n_backends;
    char names[MAX_BACKENDS][32];
    Backend backends[MAX_BACKENDS][N_POOLS]; /* [0] is the reference; then each cpu level this machine can run */
    int64_t runs[MAX_BACKENDS][N_KERNELS];
    int64_t every, turns; /* bench_turn */
    const char *seen[64]; /* names of the cases that had a turn */
    int n_seen;
} Bench;

static const int POOL_THREADS[N_POOLS] = {1, 2, 3, 8};

static inline void bench_add(Bench *b, const char *name, const char *level) {
    assert_true(b->n_backends < MAX_BACKENDS);
    for (int p = 0; p < N_POOLS; p++) {
        Err e;
        if (backend_open(name, level, b->pools[p], &b->backends[b->n_backends][p], &e) != OK) fail_msg("%s", e.message);
    }
    snprintf(b->names[b->n_backends++], sizeof b->names[0], "%s%s%s", name, level[0] != '\0' ? "." : "", level);
}

/* Asked before each case: true for the first of a name and for every LORAC_TEST_EVERY-th, so that an emulated processor
 * gets through a sample of the cases; without the variable for all. */
static inline bool bench_turn(Bench *b, const char *name) {
    int i = 0;
    while (i < b->n_seen && strcmp(b->seen[i], name) != 0) i++;
    bool turn = b->turns++ % b->every == 0 || i == b->n_seen;
    if (i == b->n_seen) {
        assert_true(b->n_seen < (int)(sizeof b->seen / sizeof b->seen[0]));
        b->seen[b->n_seen++] = name;
    }
    return turn;
}

static inline void bench_open(Bench *b) {
    memset(b, 0, sizeof *b);
    const char *every = getenv("LORAC_TEST_EVERY");
    b->every = every != NULL ? strtoll(every, NULL, 10) : 1;
    if (b->every < 1) fail_msg("LORAC_TEST_EVERY is '%s', not a number from 1 on", every);
    if (b->every > 1) print_message("every %lldth case only: LORAC_TEST_EVERY\n", (long long)b->every);
    for (int p = 0; p < N_POOLS; p++) {
        Err e;
        if (pool_open(&b->pools[p], POOL_THREADS[p], &e) != OK) fail_msg("%s", e.message);
    }
    bench_add(b, "reference", "");
    for (const char *const *level = backend_cpu_levels(); *level != NULL; level++) {
        if (backend_cpu_has(*level))
            bench_add(b, "cpu", *level);
        else
            print_message("not compared: this CPU cannot run level %s\n", *level);
    }
    if (backend_cpu_has("emulated")) bench_add(b, "cpu", "emulated");
}

static inline void bench_close(Bench *b) {
    for (int p = 0; p < N_POOLS; p++) pool_close(b->pools[p]);
}

/* ---- one run */
typedef enum OutType { OUT_F32, OUT_BF16, OUT_F64 } OutType;

/* How far an output may be from the reference, with size = max(rms(want), size of the terms' random sum):
 *   |got - want| <= unit * (worst * size + own * |want|) for each value,   rms(got - want) <= unit * mean * size
 *                                                           (and 3/sqrt(n) of that more, for n values)
 * unit = 2^-24 for F32, 2^-8 for BF16; 0: equal bytes. The given size matters where few values could all cancel. */
typedef struct Tolerance {
    double unit, worst, mean, own, size;
} Tolerance;

typedef struct Output {
    const char *name;
    const void *data;
    int64_t n;
    OutType type;
    Tolerance tolerance;
} Output;

typedef struct Run {
    Bench *bench;
    const Backend *b;
    int backend;   /* index in bench */
    Stream stream; /* what kernels get */
    Memory mem;
    uint64_t key, counter; /* of the inputs */
    Philox draw;           /* of counter / 4 */
    Output outs[MAX_OUTPUTS];
    int n_outs;
} Run;

static inline void run_begin(Run *r, Bench *bench, int backend, int pool, uint64_t seed, uint8_t fill) {
    memset(r, 0, sizeof *r);
    r->bench = bench;
    r->b = &bench->backends[backend][pool];
    r->backend = backend;
    r->stream = r->b->stream;
    r->key = rng_mix(seed, 77);
    r->mem.fill = fill;
}

static inline void run_end(Run *r) { memory_drop(&r->mem); }

/* RUN(r, kernel, args...) calls r's backend and counts the call. */
#define RUN(r, kernel, ...)                                                                                            \
    do {                                                                                                               \
        (r)->bench->runs[(r)->backend][KERNEL_##kernel]++;                                                             \
        (r)->b->kernel(&(r)->stream, __VA_ARGS__);                                                                     \
    } while (0)

/* Workspace for a kernel: exactly what it asked for, 64-byte aligned, guarded. */
static inline void *workspace(Run *r, int64_t bytes) {
    assert_true(bytes >= 0);
    return memory_take(&r->mem, bytes, (size_t)((64 - bytes % 64) % 64));
}
#define WORKSPACE(r, kernel, ...) workspace((r), (r)->b->kernel##_workspace(&(r)->stream, __VA_ARGS__))

/* ---- random inputs */
static inline uint32_t random_u32(Run *r) {
    uint64_t i = r->counter++;
    if (i % 4 == 0) r->draw = philox4x32(r->key, i / 4, 0);
    return r->draw.v[i % 4];
}

static inline int64_t random_below(Run *r, int64_t n) { return (int64_t)((uint64_t)random_u32(r) % (uint64_t)n); }

/* Near normal, mean 0, variance 1. */
static inline float random_normal(Run *r) {
    float sum = -2.0f;
    for (int i = 0; i < 4; i++) sum += rng_unit(random_u32(r));
    return sum * 1.7320508f;
}

static inline void put(void *x, int64_t i, float v, DType dt) {
    if (dt == DT_F32)
        memcpy((uint8_t *)x + 4 * i, &v, 4);
    else {
        uint16_t h = bf16_from_f32(v);
        memcpy((uint8_t *)x + 2 * i, &h, 2);
    }
}

static inline float get(const void *x, int64_t i, DType dt) {
    if (dt == DT_F32) return ((const float *)x)[i];
    return bf16_to_f32(((const uint16_t *)x)[i]);
}

/* n values of dt, not initialized beyond the fill. */
static inline void *take(Run *r, int64_t n, DType dt) { return memory_take(&r->mem, n * (int64_t)dtype_bytes(dt), 0); }

/* n values near scale * N(0,1). */
static inline void *take_random(Run *r, int64_t n, float scale, DType dt) {
    void *x = take(r, n, dt);
    for (int64_t i = 0; i < n; i++) put(x, i, scale * random_normal(r), dt);
    return x;
}

static inline int32_t *take_i32(Run *r, int64_t n) { return memory_take(&r->mem, n * 4, 0); }

/* A block of a format without a packer: random bytes that unpack to values with a largest magnitude in [0.5, 2]. */
static inline void random_block(Run *r, uint8_t *block, const QuantTraits *q) {
    float values[256];
    assert_true(q->block_elems <= 256);
    for (int attempt = 0; attempt < 100000; attempt++) {
        for (int i = 0; i < q->block_bytes; i++) block[i] = (uint8_t)(random_u32(r) >> 24);
        q->unpack(values, block, 0, q->block_elems);
        float largest = 0.0f;
        for (int i = 0; i < q->block_elems; i++) {
            float a = fabsf(values[i]);
            if (!(a <= largest)) largest = a; /* NaN goes on, and fails below */
        }
        if (largest >= 0.5f && largest <= 2.0f) return;
    }
    fail_msg("no random block of %s has plausible values", q->name);
}

/* A weight matrix (rows, cols) near N(0, 1/4) at an odd address where `odd` is set. Of a format without a packer the first
 * 64 blocks are drawn, the others copy one of them. */
static inline void *take_weights(Run *r, int64_t rows, int64_t cols, WType wt, bool odd) {
    const QuantTraits *q = wtype_traits(wt);
    int64_t n_blocks = rows * (cols / q->block_elems), drawn = q->pack == NULL && n_blocks > 64 ? 64 : n_blocks;
    size_t bytes = (size_t)q->block_bytes;
    uint8_t *W = memory_take(&r->mem, rows * wtype_row_bytes(wt, cols), odd ? 1 : 0);
    float values[256];
    for (int64_t i = 0; i < n_blocks; i++) {
        uint8_t *block = W + (size_t)i * bytes;
        if (i >= drawn) {
            memcpy(block, W + (size_t)random_below(r, drawn) * bytes, bytes);
        } else if (q->pack == NULL) {
            random_block(r, block, q);
        } else {
            for (int j = 0; j < q->block_elems; j++) values[j] = 0.5f * random_normal(r);
            q->pack(block, values, q->block_elems);
        }
    }
    return W;
}

/* ---- outputs and their tolerances */
static inline void output(Run *r, const char *name, const void *data, int64_t n, OutType type, Tolerance t) {
    assert_true(r->n_outs < MAX_OUTPUTS);
    r->outs[r->n_outs++] = (Output){.name = name, .data = data, .n = n, .type = type, .tolerance = t};
}

static inline OutType out_type(DType dt) { return dt == DT_F32 ? OUT_F32 : OUT_BF16; }

static inline Tolerance exact(void) { return (Tolerance){0}; }

/* A sum of `depth` products in f32. Each partial sum is rounded: the errors walk, so the error is about
 * unit * sqrt(depth/2) of the result's size; largest of thousands: five of these. `stages` such sums follow each other. */
static inline Tolerance f32_sum(int64_t depth, int stages) {
    double walk = sqrt((double)depth / 2.0 + 8.0) * sqrt((double)stages);
    return (Tolerance){0x1p-24, 6.0 * walk, 2.0 * walk, 2.0, 0.0};
}

/* A sum whose factors (or the result) were rounded to bf16 in `stages` independent places: one rounding has an error of
 * 0.29 to 0.58 units rms, 1 at most; in a sum the errors add like the terms, so relative to the result's rms they stay
 * as they are. The largest of thousands is five times the rms. f32 rounding is far below. */
static inline Tolerance bf16_sum(int stages) {
    double walk = 0.45 * sqrt((double)stages);
    return (Tolerance){0x1p-8, 5.0 * walk, 1.3 * walk, 2.0, 0.0};
}

static inline Tolerance sum_tolerance(DType dt, int64_t depth, int f32_stages, int bf16_stages) {
    return dt == DT_F32 ? f32_sum(depth, f32_stages) : bf16_sum(bf16_stages);
}

/* t where sums of the inputs' terms have this size. */
static inline Tolerance sized(Tolerance t, double size) {
    t.size = size;
    return t;
}

static inline size_t out_bytes(OutType t) { return t == OUT_F64 ? 8 : t == OUT_F32 ? 4 : 2; }

static inline double out_value(const Output *o, int64_t i) {
    switch (o->type) {
    case OUT_F64:
        return ((const double *)o->data)[i];
    case OUT_F32:
        return (double)((const float *)o->data)[i];
    default:
        return (double)bf16_to_f32(((const uint16_t *)o->data)[i]);
    }
}

/* Index of the first element whose bytes differ, -1 when equal. */
static inline int64_t first_difference(const void *a, const void *b, int64_t n, size_t bytes) {
    for (int64_t i = 0; i < n; i++)
        if (memcmp((const uint8_t *)a + (size_t)i * bytes, (const uint8_t *)b + (size_t)i * bytes, bytes) != 0)
            return i;
    return -1;
}

static inline void assert_same_bytes(const char *what, const Output *a, const Output *b) {
    assert_int_equal(a->n, b->n);
    int64_t i = first_difference(a->data, b->data, a->n, out_bytes(a->type));
    if (i >= 0)
        fail_msg("%s: %s[%lld] is %.9g and %.9g", what, a->name, (long long)i, out_value(a, i), out_value(b, i));
}

static inline void assert_near(const char *what, const Output *got, const Output *want) {
    assert_int_equal(got->n, want->n);
    const Tolerance *t = &want->tolerance;
    if (t->unit == 0.0) {
        assert_same_bytes(what, got, want);
        return;
    }
    double squares = 0.0, error_squares = 0.0;
    for (int64_t i = 0; i < want->n; i++) squares += out_value(want, i) * out_value(want, i);
    double rms = want->n > 0 ? sqrt(squares / (double)want->n) : 0.0, size = rms > t->size ? rms : t->size;
    for (int64_t i = 0; i < want->n; i++) {
        double g = out_value(got, i), w = out_value(want, i), limit = t->unit * (t->worst * size + t->own * fabs(w));
        if (!(fabs(g - w) <= limit))
            fail_msg("%s: %s[%lld] is %.9g, the reference %.9g: off by %.3g, allowed %.3g", what, got->name,
                     (long long)i, g, w, fabs(g - w), limit);
        error_squares += (g - w) * (g - w);
    }
    double error_rms = want->n > 0 ? sqrt(error_squares / (double)want->n) : 0.0;
    double allowed = t->unit * t->mean * size * (1.0 + 3.0 / sqrt((double)want->n + 1.0));
    if (!(error_rms <= allowed))
        fail_msg("%s: %s is off by %.3g rms, allowed %.3g", what, got->name, error_rms, allowed);
}

#endif
