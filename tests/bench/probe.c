/* probe.c: see probe.h. */
#define _GNU_SOURCE
#include "tests/bench/probe.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

enum { STEPS = 500000, CHAINS = 12, MAX_THREADS = 1024 };

/* CHAINS independent sums in registers. x may change between steps as far as the compiler knows: nothing is hoisted. */
#define EACH_CHAIN(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11)
#define CHAIN_DECLARE(i) Chain c##i = zero;
#define CHAIN_STEP(i)                                                                                                  \
    __asm__ volatile("" : "+" REGISTER(x));                                                                            \
    c##i = ADD_PRODUCT(c##i, a, x);
#define CHAIN_KEEP(i) __asm__ volatile("" : : REGISTER(c##i));
#define RUN_CHAINS(lanes, Vector, zero_, a_, x_)                                                                       \
    do {                                                                                                               \
        typedef Vector Chain;                                                                                          \
        Chain zero = zero_;                                                                                            \
        __typeof__(a_) a = a_, x = x_;                                                                                 \
        EACH_CHAIN(CHAIN_DECLARE)                                                                                      \
        for (int n = 0; n < STEPS; n++) {                                                                              \
            EACH_CHAIN(CHAIN_STEP)                                                                                     \
        }                                                                                                              \
        EACH_CHAIN(CHAIN_KEEP)                                                                                         \
        return 2.0 * (lanes)*CHAINS * (double)STEPS;                                                                   \
    } while (0)

#if defined(__x86_64__)
#include <immintrin.h>
#define REGISTER(v) "x"(v)
#define TARGET(isa) __attribute__((target(isa)))

#define ADD_PRODUCT(c, a, x) _mm_add_ps(_mm_mul_ps(a, x), c)
static double f32_generic(void) { RUN_CHAINS(4, __m128, _mm_setzero_ps(), _mm_set1_ps(0.5f), _mm_set1_ps(0.25f)); }
#undef ADD_PRODUCT
#define ADD_PRODUCT(c, a, x) _mm256_fmadd_ps(a, x, c)
TARGET("avx2,fma") static double f32_avx2(void) {
    RUN_CHAINS(8, __m256, _mm256_setzero_ps(), _mm256_set1_ps(0.5f), _mm256_set1_ps(0.25f));
}
#undef ADD_PRODUCT
#define ADD_PRODUCT(c, a, x) _mm512_fmadd_ps(a, x, c)
TARGET("avx512f") static double f32_avx512(void) {
    RUN_CHAINS(16, __m512, _mm512_setzero_ps(), _mm512_set1_ps(0.5f), _mm512_set1_ps(0.25f));
}
#undef ADD_PRODUCT
/* The operands are opaque as integers: an asm statement of every compiler takes those. */
#define ADD_PRODUCT(c, a, x) _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)x)
TARGET("avx512f,avx512bf16") static double bf16_avx512(void) {
    RUN_CHAINS(32, __m512, _mm512_setzero_ps(), _mm512_set1_epi32(0x3f003f00), _mm512_set1_epi32(0x3e803e80));
}
#undef ADD_PRODUCT
#define ADD_PRODUCT(c, a, x) _mm256_add_epi32(c, _mm256_madd_epi16(_mm256_maddubs_epi16(a, x), _mm256_set1_epi16(1)))
TARGET("avx2") static double int8_avx2(void) {
    RUN_CHAINS(32, __m256i, _mm256_setzero_si256(), _mm256_set1_epi8(3), _mm256_set1_epi8(5));
}
#undef ADD_PRODUCT
#define ADD_PRODUCT(c, a, x) _mm512_dpbusd_epi32(c, a, x)
TARGET("avx512f,avx512vnni") static double int8_avx512(void) {
    RUN_CHAINS(64, __m512i, _mm512_setzero_si512(), _mm512_set1_epi8(3), _mm512_set1_epi8(5));
}
#undef ADD_PRODUCT
#else
#include <arm_neon.h>
#define REGISTER(v) "w"(v)
#define ADD_PRODUCT(c, a, x) vfmaq_f32(c, a, x)
static double f32_generic(void) {
    RUN_CHAINS(4, float32x4_t, vdupq_n_f32(0.0f), vdupq_n_f32(0.5f), vdupq_n_f32(0.25f));
}
#undef ADD_PRODUCT
#endif

typedef struct Arithmetic {
    const char *name;
    double (*run)(void);
} Arithmetic;

static Arithmetic arithmetic(const Probe *p, ProbeKind kind) {
#if defined(__x86_64__)
    bool wide = strncmp(p->level, "avx512", 6) == 0, avx2 = strcmp(p->level, "generic") != 0;
    if (kind == PROBE_F32 && wide) return (Arithmetic){"vfmadd231ps zmm", f32_avx512};
    if (kind == PROBE_F32 && avx2) return (Arithmetic){"vfmadd231ps ymm", f32_avx2};
    if (kind == PROBE_F32) return (Arithmetic){"mulps + addps xmm", f32_generic};
    if (kind == PROBE_BF16 && strcmp(p->level, "avx512bf16") == 0) return (Arithmetic){"vdpbf16ps zmm", bf16_avx512};
    if (kind == PROBE_INT8 && wide && __builtin_cpu_supports("avx512vnni"))
        return (Arithmetic){"vpdpbusd zmm", int8_avx512};
    if (kind == PROBE_INT8 && avx2) return (Arithmetic){"vpmaddubsw + vpmaddwd + vpaddd ymm", int8_avx2};
#else
    (void)p;
    if (kind == PROBE_F32) return (Arithmetic){"fmla 4s", f32_generic};
#endif
    return (Arithmetic){NULL, NULL};
}

const char *probe_name(const Probe *p, ProbeKind kind) {
    if (kind == PROBE_READ) return p->array == NULL ? NULL : "read";
    if (kind == PROBE_COPY) return p->array == NULL ? NULL : "copy, read + written";
    return arithmetic(p, kind).name;
}

/* ---- memory */
typedef uint64_t Pair __attribute__((vector_size(16)));

/* Four streams, each read ahead; their distance is no power of two, which would put them into the same cache sets. */
static double read_lines(const void *data, size_t bytes) {
    enum { STREAMS = 4, LINE = 64, AHEAD = 1024 };
    size_t part = (bytes / (STREAMS * LINE) - 9) * LINE;
    Pair sum[LINE / 16] = {{0}};
    for (size_t i = 0; i < part; i += LINE) {
        for (size_t j = 0; j < STREAMS; j++) {
            const char *at = (const char *)data + j * part + i;
            __builtin_prefetch(at + AHEAD);
            for (size_t k = 0; k < LINE / 16; k++) {
                Pair v;
                memcpy(&v, at + 16 * k, 16);
                sum[k] += v;
            }
        }
    }
    for (size_t k = 0; k < LINE / 16; k++) __asm__ volatile("" : : "r"(sum[k][0] + sum[k][1]));
    return (double)(part * STREAMS);
}

static double copy_lines(void *data, size_t bytes) {
    size_t half = bytes / 128 * 64;
    memcpy((char *)data + half, data, half);
    __asm__ volatile("" : : "r"(data) : "memory");
    return 2.0 * (double)half;
}

/* ---- running */
typedef struct Run {
    const Probe *probe;
    ProbeKind kind;
    double (*arithmetic)(void);
    int threads;
    atomic_int arrived;
    double rate[MAX_THREADS];
} Run;

static double thread_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void task(void *ctx, int64_t chunk, int thread) {
    (void)thread;
    Run *r = ctx;
    size_t part = r->probe->array_bytes / (size_t)r->threads / 64 * 64;
    char *data = r->probe->array == NULL ? NULL : (char *)r->probe->array + (size_t)chunk * part;
    atomic_fetch_add(&r->arrived, 1);
    while (atomic_load(&r->arrived) < r->threads) sched_yield(); /* so each thread has one chunk and all run at once */
    double start = thread_s(), work;
    if (r->kind == PROBE_READ)
        work = read_lines(data, part);
    else if (r->kind == PROBE_COPY)
        work = copy_lines(data, part);
    else
        work = r->arithmetic();
    r->rate[chunk] = work / (thread_s() - start);
}

double probe_rate(const Probe *p, ProbeKind kind) {
    Run r = {.probe = p, .kind = kind, .threads = pool_threads(p->pool)};
    if (probe_name(p, kind) == NULL) return 0.0;
    if (kind < PROBE_READ) r.arithmetic = arithmetic(p, kind).run;
    pool_run(p->pool, r.threads, task, &r);
    double sum = 0.0;
    for (int i = 0; i < r.threads; i++) sum += r.rate[i];
    return sum;
}

double probe_peak(const Probe *p, DType dt) {
    bool pairs = dt == DT_BF16 && probe_name(p, PROBE_BF16) != NULL;
    return probe_rate(p, pairs ? PROBE_BF16 : PROBE_F32);
}
