/* bench_ops.c: speed of the kernels of the CPU backend that are no weight product.
 *
 *   bench_ops [--threads N] [--level L] [--dtype f32|bf16] [--tokens T] [--samples N] [--only TEXT]
 *
 * Shapes are those of SmolLM2-135M (d 576, 9 heads of 64 over 3 kv heads, ff 1536; adapters of rank 16: 4.9 M values).
 * Attention stands beside the peak of multiply-adds, counted for visible pairs only (4 flop a pair and feature forward,
 * 10 backward); the others beside the speed at which the same threads read a large array. A probe runs right before
 * each sample. Time is processor time divided by threads, so that other programs on the machine disturb it little. */
#define _GNU_SOURCE
#include "base/arena.h"
#include "base/rng.h"
#include "kernels/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { C = 576, H = 9, HKV = 3, D = 64, FF = 1536, ADAPTER = 4900000, MAX_SAMPLES = 101, PROBE_FLOATS = 16 << 20 };

typedef struct Bench {
    Arena *arena;
    Pool *pool;
    Backend backend;
    int threads, samples;
    const char *only;
    DType dt;
    int64_t T;
    float *array; /* of the reading probe */
    double flop[1024];
    uint64_t sums[1024];
} Bench;

static void stop(const char *message) {
    fprintf(stderr, "bench_ops: %s\n", message);
    exit(1);
}

static void *take(Bench *b, int64_t bytes) {
    void *p;
    Err e;
    if (arena_alloc(b->arena, (size_t)bytes, 1, &p, &e) != OK) stop(e.message);
    return p;
}

static double processor_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- probes */
enum { STEPS = 300000, CHAINS = 12 };

#define MULTIPLY_ADDS(name, attribute, bytes)                                                                          \
    attribute static double name(void) {                                                                               \
        typedef float Vector __attribute__((vector_size(bytes)));                                                      \
        Vector c[CHAINS] = {{0}};                                                                                      \
        for (int n = 0; n < STEPS; n++) {                                                                              \
            _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++) {                                                \
                c[i] = c[i] * 0.999f + 0.001f;                                                                         \
                __asm__ volatile("" : "+" REGISTER(c[i]));                                                             \
            }                                                                                                          \
        }                                                                                                              \
        return 2.0 * CHAINS * (double)STEPS * (bytes / 4);                                                             \
    }
#if defined(__x86_64__)
#define REGISTER(v) "x"(v)
MULTIPLY_ADDS(multiply_adds_generic, __attribute__((optimize("O3"))), 16)
MULTIPLY_ADDS(multiply_adds_avx2, __attribute__((target("avx2,fma"), optimize("O3", "fp-contract=fast"))), 32)
MULTIPLY_ADDS(multiply_adds_avx512, __attribute__((target("avx512f"), optimize("O3", "fp-contract=fast"))), 64)
#else
#define REGISTER(v) "w"(v)
MULTIPLY_ADDS(multiply_adds_generic, __attribute__((optimize("O3", "fp-contract=fast"))), 16)
#endif

static void compute_task(void *ctx, int64_t chunk, int thread) {
    (void)thread;
    Bench *b = ctx;
    double (*run)(void) = multiply_adds_generic;
#if defined(__x86_64__)
    if (strcmp(b->backend.level, "avx2") == 0) run = multiply_adds_avx2;
    if (strncmp(b->backend.level, "avx512", 6) == 0) run = multiply_adds_avx512;
#endif
    b->flop[chunk] = run();
}

/* Flop per second of all threads. */
static double compute_peak(Bench *b) {
    double start = processor_s(), flop = 0.0;
    pool_run(b->pool, b->threads, compute_task, b);
    double seconds = (processor_s() - start) / b->threads;
    for (int i = 0; i < b->threads; i++) flop += b->flop[i];
    return flop / seconds;
}

/* Reads a part of the array that is larger than the caches. */
static void read_task(void *ctx, int64_t chunk, int thread) {
    (void)thread;
    Bench *b = ctx;
    typedef uint64_t Vector __attribute__((vector_size(64)));
    const Vector *v = (const Vector *)(const void *)(b->array + chunk * (PROBE_FLOATS / b->threads) / 16 * 16);
    Vector sum[4] = {{0}};
    for (int64_t i = 0; i + 4 <= PROBE_FLOATS / 16 / b->threads; i += 4)
        for (int j = 0; j < 4; j++) sum[j] += v[i + j];
    sum[0] += sum[1] + sum[2] + sum[3];
    b->sums[chunk] = sum[0][0];
}

/* Bytes per second of all threads. */
static double read_peak(Bench *b) {
    double start = processor_s();
    pool_run(b->pool, b->threads, read_task, b);
    return 4.0 * PROBE_FLOATS * b->threads / (processor_s() - start);
}

/* ---- cases */
typedef struct Data {
    void *x[8];  /* tensors of dt, T*FF values each */
    float *f[4]; /* ADAPTER floats each; f[3] has eight of those */
    float *w, *rows;
    uint8_t *weights;
    int32_t *ids, *cu;
    void *ws;
    int64_t n_docs;
} Data;

typedef struct Case Case;
struct Case {
    const char *name;
    void (*run)(const Bench *b, const Case *c, Data *d);
    int64_t length;     /* of a document or cache */
    double activations; /* bytes: values of dt a token, f32 values of the adapter */
    double floats;
    double flop; /* attention: a visible pair and feature */
};

#define RUNS(name) static void name(const Bench *b, const Case *c, Data *d)
#define KERNELS                                                                                                        \
    (void)c;                                                                                                           \
    const Backend *k = &b->backend;                                                                                    \
    Stream stream = k->stream, *s = &stream

RUNS(embedding) {
    KERNELS;
    k->embedding_forward(s, d->x[0], d->ids, d->weights, b->T, C, WT_Q8_0, b->dt);
}
RUNS(norm_forward) {
    KERNELS;
    k->rmsnorm_forward(s, d->x[0], d->rows, d->x[1], d->w, 1e-5f, b->T, C, b->dt);
}
RUNS(norm_backward) {
    KERNELS;
    k->rmsnorm_backward(s, d->x[0], d->x[1], d->x[2], d->w, d->rows, 1.0f, b->T, C, b->dt);
}
RUNS(rope_queries) {
    KERNELS;
    k->rope(s, d->x[0], d->x[0], d->ids, d->w, d->w, 1.0f, 0, b->T, H, D, D / 2, b->dt);
}
RUNS(glu_forward) {
    KERNELS;
    k->glu_forward(s, d->x[0], d->x[1], d->x[2], b->T * FF, GLU_SILU, b->dt);
}
RUNS(glu_backward) {
    KERNELS;
    k->glu_backward(s, d->x[0], d->x[1], d->x[2], d->x[3], d->x[4], b->T * FF, GLU_SILU, b->dt);
}
RUNS(attention_forward) {
    KERNELS;
    k->attention_forward(s, d->ws, d->x[0], d->rows, d->x[1], d->x[2], d->x[3], d->cu, d->n_docs, 0.125f, 0, 0.0f, b->T,
                         H, HKV, D, b->dt);
}
RUNS(attention_backward) {
    KERNELS;
    k->attention_backward(s, d->ws, d->x[5], d->x[6], d->x[7], d->x[4], d->x[0], d->rows, d->x[1], d->x[2], d->x[3],
                          d->cu, d->n_docs, 0.125f, 0, 0.0f, b->T, H, HKV, D, b->dt);
}
RUNS(decode) {
    KERNELS;
    k->attention_cached(s, d->ws, d->x[0], d->x[1], d->x[2], d->x[3], c->length - 1, 0.125f, 0, 0.0f, 1, H, HKV, D,
                        b->dt);
}
RUNS(adamw) {
    KERNELS;
    k->adamw_step(s, d->f[0], d->f[1], d->f[2], d->f[3], 1.0f, 1e-4, 0.9, 0.999, 1e-8, 0.0, 0.1, 0.001, ADAPTER);
}
RUNS(fold) {
    KERNELS;
    k->tree_fold(s, d->f[0], d->f[3], ADAPTER, 7, ADAPTER);
}
RUNS(square_sum) {
    KERNELS;
    double sum;
    k->square_sum(s, d->ws, &sum, d->f[0], ADAPTER);
}

static const Case CASES[] = {
    {"embedding_forward", embedding, 0, C, 0, 0},
    {"rmsnorm_forward", norm_forward, 0, 2 * C, 0, 0},
    {"rmsnorm_backward", norm_backward, 0, 4 * C, 0, 0},
    {"rope, queries", rope_queries, 0, 2 * H *D, 0, 0},
    {"glu_forward", glu_forward, 0, 3 * FF, 0, 0},
    {"glu_backward", glu_backward, 0, 5 * FF, 0, 0},
    {"adamw_step", adamw, 0, 0, 7, 0},
    {"tree_fold, 7 rows", fold, 0, 0, 4, 0},
    {"square_sum", square_sum, 0, 0, 1, 0},
    {"attention_forward 128", attention_forward, 128, 0, 0, 4},
    {"attention_forward 512", attention_forward, 512, 0, 0, 4},
    {"attention_forward 2048", attention_forward, 2048, 0, 0, 4},
    {"attention_backward 128", attention_backward, 128, 0, 0, 10},
    {"attention_backward 512", attention_backward, 512, 0, 0, 10},
    {"attention_backward 2048", attention_backward, 2048, 0, 0, 10},
    {"attention_cached 2048", decode, 2048, 2 * HKV *D, 0, 0},
};

static float *randoms(Bench *b, int64_t n) {
    float *x = take(b, n * 4);
    for (int64_t i = 0; i < n; i++) x[i] = rng_unit(philox4x32(1, (uint64_t)i, 7).v[0]) + 0.1f;
    return x;
}

static void prepare(Bench *b, Data *d) {
    const Backend *k = &b->backend;
    int64_t T = b->T > 2048 ? b->T : 2048;
    for (int i = 0; i < 8; i++) {
        float *x = randoms(b, T * FF);
        d->x[i] = x;
        if (b->dt == DT_F32) continue;
        uint16_t *h = d->x[i] = take(b, T * FF * 2);
        for (int64_t j = 0; j < T * FF; j++) h[j] = bf16_from_f32(x[j]);
    }
    for (int i = 0; i < 3; i++) d->f[i] = randoms(b, ADAPTER);
    d->f[3] = randoms(b, 3 * (int64_t)ADAPTER);
    d->w = randoms(b, T * C);
    d->rows = randoms(b, T * H);
    d->weights = take(b, T * wtype_row_bytes(WT_Q8_0, C));
    d->ids = take(b, T * 4);
    d->cu = take(b, (T + 1) * 4);
    for (int64_t t = 0; t < T; t++) d->ids[t] = (int32_t)t;
    int64_t bytes = k->attention_backward_workspace(&k->stream, T, H, HKV, D, b->dt);
    int64_t forward = k->attention_forward_workspace(&k->stream, T, H, HKV, D, b->dt);
    int64_t cached = k->attention_cached_workspace(&k->stream, 1, 2048, H, HKV, D, b->dt);
    int64_t squares = k->square_sum_workspace(&k->stream, ADAPTER);
    bytes = bytes > forward ? bytes : forward;
    bytes = bytes > cached ? bytes : cached;
    d->ws = take(b, bytes > squares ? bytes : squares);
    b->array = take(b, PROBE_FLOATS * 4);
    memset(b->array, 1, PROBE_FLOATS * 4);
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void measure(Bench *b, const Case *c, Data *d) {
    if (b->only != NULL && strstr(c->name, b->only) == NULL) return;
    double flop = 0.0, tokens = c->run == decode ? (double)c->length : (double)b->T;
    double bytes = c->activations * tokens * (double)dtype_bytes(b->dt) + c->floats * 4.0 * ADAPTER;
    if (c->flop > 0.0) {
        d->n_docs = b->T / c->length;
        if (d->n_docs < 1) return;
        for (int64_t i = 0; i <= d->n_docs; i++) d->cu[i] = (int32_t)(i * c->length);
        flop = c->flop * D * H * (double)(d->n_docs * c->length * (c->length + 1) / 2);
        attention_forward(b, c, d); /* backward wants an O and an L that belong together */
    }
    double ms[MAX_SAMPLES], share[MAX_SAMPLES];
    c->run(b, c, d);
    for (int i = 0; i < b->samples; i++) {
        double top = c->flop > 0.0 ? compute_peak(b) : read_peak(b), start = processor_s(), seconds;
        int runs = 0;
        do {
            c->run(b, c, d);
            runs++;
            seconds = (processor_s() - start) / b->threads;
        } while (seconds < 0.003);
        ms[i] = seconds * 1e3 / runs;
        share[i] = (c->flop > 0.0 ? flop : bytes) * runs / seconds / top;
    }
    qsort(ms, (size_t)b->samples, sizeof *ms, ascending);
    qsort(share, (size_t)b->samples, sizeof *share, ascending);
    double best = ms[0] * 1e-3;
    printf("%-24s %8.3f ms (best %8.3f)   %6.1f %s, %5.1f %% of the probe\n", c->name, ms[b->samples / 2], ms[0],
           (c->flop > 0.0 ? flop : bytes) / best * 1e-9, c->flop > 0.0 ? "Gflop/s" : "GB/s   ",
           100.0 * share[b->samples / 2]);
    fflush(stdout);
}

int main(int argc, char **argv) {
    Bench b = {.threads = 0, .samples = 15, .dt = DT_F32, .T = 2048};
    const char *level = NULL;
    for (int i = 1; i < argc; i += 2) {
        const char *key = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(key, "--threads") == 0)
            b.threads = atoi(value);
        else if (strcmp(key, "--level") == 0)
            level = value;
        else if (strcmp(key, "--dtype") == 0)
            b.dt = strcmp(value, "bf16") == 0 ? DT_BF16 : DT_F32;
        else if (strcmp(key, "--tokens") == 0 && atoll(value) > 0)
            b.T = atoll(value);
        else if (strcmp(key, "--samples") == 0 && atoi(value) > 0)
            b.samples = atoi(value) < MAX_SAMPLES ? atoi(value) : MAX_SAMPLES;
        else if (strcmp(key, "--only") == 0)
            b.only = value;
        else
            stop("options: --threads N --level L --dtype f32|bf16 --tokens T --samples N --only TEXT");
    }
    Err e;
    if (pool_open(&b.pool, b.threads, &e) != OK || arena_open(&b.arena, "bench", &e) != OK ||
        backend_open("cpu", level, b.pool, &b.backend, &e) != OK)
        stop(e.message);
    b.threads = pool_threads(b.pool);
    Data d = {0};
    prepare(&b, &d);
    printf("level %s, %d threads, activations %s, %lld tokens; peak %.1f Gflop/s, reading %.1f GB/s\n", b.backend.level,
           b.threads, dtype_name(b.dt), (long long)b.T, compute_peak(&b) * 1e-9, read_peak(&b) * 1e-9);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) measure(&b, &CASES[i], &d);
    arena_close(b.arena);
    pool_close(b.pool);
    return 0;
}
