/* bench_gemm.c: speed of the matrix products of the CPU backend, as a share of what the same threads can multiply-add.
 *
 *   bench_gemm [--threads N] [--level L] [--weights TYPE] [--dtype f32|bf16] [--tokens T] [--samples N] [--only TEXT]
 *
 * Shapes are those of SmolLM2-135M (d 576, kv 192, ff 1536, vocabulary 49152), adapters of rank 16 on every layer.
 * Each sample is taken right after a register-only probe of the peak on the same threads; the share is counted in
 * processor time, so that other programs on the machine disturb it little. Weights rotate over copies that exceed the
 * caches, as in training. Decoding (T = 1) is bound by memory: bytes of weights per second beside a probe that reads. */
#define _GNU_SOURCE
#include "base/arena.h"
#include "base/log.h"
#include "base/rng.h"
#include "kernels/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { D = 576, KV = 192, FF = 1536, VOCAB = 49152, RANK = 16, MAX_SAMPLES = 101, COPIES_BYTES = 96 << 20 };

typedef struct Bench {
    Arena *arena;
    Pool *pool;
    Backend backend;
    int threads, samples;
    const char *only;
    WType wt;
    DType dt;
    int64_t T, copies, copy;
    void *ws;
    float *buffer; /* the read probe */
} Bench;

static void stop(const char *message) {
    fprintf(stderr, "bench_gemm: %s\n", message);
    exit(1);
}

static void *take(Bench *b, int64_t n, int64_t size) {
    void *p;
    Err e;
    if (arena_alloc(b->arena, (size_t)n, (size_t)size, &p, &e) != OK) stop(e.message);
    return p;
}

static double cpu_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- the peak: independent multiply-add chains in registers, per instruction set */
enum { PROBE_STEPS = 1000000, CHAINS = 12 };

#define PROBE(name, attribute, vector, lanes, set1, multiply_add)                                                      \
    attribute static double name(void) {                                                                               \
        vector c[CHAINS], a = set1(0.999f), x = set1(0.001f);                                                          \
        _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++) c[i] = set1((float)i);                               \
        for (int n = 0; n < PROBE_STEPS; n++) {                                                                        \
            _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++) c[i] = multiply_add(c[i], a, x);                 \
        }                                                                                                              \
        _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++) KEEP(c[i]);                                          \
        return 2.0 * CHAINS * (double)PROBE_STEPS * lanes;                                                             \
    }
#if defined(__x86_64__)
#include <immintrin.h>
#define KEEP(x) __asm__ volatile("" : : "x"(x))
#define SSE_MULTIPLY_ADD(c, a, x) _mm_add_ps(_mm_mul_ps(c, a), x)
#define TARGET(isa) __attribute__((target(isa)))
PROBE(probe_generic, , __m128, 4, _mm_set1_ps, SSE_MULTIPLY_ADD)
PROBE(probe_avx2, TARGET("avx2,fma"), __m256, 8, _mm256_set1_ps, _mm256_fmadd_ps)
PROBE(probe_avx512, TARGET("avx512f"), __m512, 16, _mm512_set1_ps, _mm512_fmadd_ps)
#else
#include <arm_neon.h>
#define KEEP(x) __asm__ volatile("" : : "w"(x))
#define NEON_MULTIPLY_ADD(c, a, x) vfmaq_f32(x, c, a)
PROBE(probe_generic, , float32x4_t, 4, vdupq_n_f32, NEON_MULTIPLY_ADD)
#endif

typedef struct Probe {
    double (*run)(void);
    double flop[1024];
} Probe;

static void probe_task(void *ctx, int64_t chunk, int thread) {
    (void)thread;
    Probe *p = ctx;
    p->flop[chunk] = p->run();
}

/* Multiply-adds of the level, in flop per second of processor time of one thread. */
static double peak(Bench *b) {
    Probe p = {.run = probe_generic};
#if defined(__x86_64__)
    if (strcmp(b->backend.level, "avx2") == 0) p.run = probe_avx2;
    if (strncmp(b->backend.level, "avx512", 6) == 0) p.run = probe_avx512;
#endif
    double start = cpu_s(), flop = 0.0;
    pool_run(b->pool, b->threads, probe_task, &p);
    double seconds = cpu_s() - start;
    for (int i = 0; i < b->threads; i++) flop += p.flop[i];
    return flop / seconds;
}

/* ---- cases */
typedef struct Layer {
    LinearPart parts[2 * 64]; /* [copy][part] */
    int n_parts;
    int64_t K;
} Layer;

static float *randoms(Bench *b, int64_t n) {
    float *x = take(b, n, 4);
    for (int64_t i = 0; i < n; i++) x[i] = rng_unit(philox4x32(1, (uint64_t)i, 7).v[0]) - 0.5f;
    return x;
}

static void *activations(Bench *b, int64_t n) {
    float *x = randoms(b, n);
    if (b->dt == DT_F32) return x;
    uint16_t *h = take(b, n, 2);
    for (int64_t i = 0; i < n; i++) h[i] = bf16_from_f32(x[i]);
    return h;
}

/* Copies of a weight matrix, one after the other. */
static uint8_t *weights(Bench *b, int64_t rows, int64_t cols, int64_t copies) {
    int64_t row_bytes = wtype_row_bytes(b->wt, cols);
    const QuantTraits *q = wtype_traits(b->wt);
    uint8_t *W = take(b, rows * copies, row_bytes);
    float *row = randoms(b, cols);
    if (q->pack != NULL)
        q->pack(W, row, cols);
    else /* random codes with tame scales */
        for (int64_t i = 0; i < row_bytes; i++)
            W[i] = (uint8_t)(i % q->block_bytes < 4 || i % q->block_bytes >= 208 ? 0x10
                                                                                 : philox4x32(3, (uint64_t)i, 1).v[0]);
    for (int64_t n = 1; n < rows * copies; n++) memcpy(W + n * row_bytes, W, (size_t)row_bytes);
    return W;
}

typedef enum Work { FORWARD, BACKWARD, GRAD, HEAD_LOSS, HEAD_LOGITS } Work;

typedef struct Case {
    const char *name;
    Work work;
    int n_parts;
    int64_t N[2], K;
    bool adapter;
    float dropout;
} Case;

typedef struct Data {
    LinearPart parts[2];
    uint8_t *W[2];
    int64_t W_bytes[2], weight_bytes;
    void *X, *dX, *Y;
    int32_t *index, *target;
    float *weight, *logp;
    Dropout drop;
    RowSpan row;
    double flop;
} Data;

static void prepare_parts(Bench *b, const Case *c, Data *d) {
    for (int i = 0; i < c->n_parts; i++) {
        LinearPart *p = &d->parts[i];
        int64_t N = c->N[i], r = c->adapter ? RANK : 0;
        *p = (LinearPart){.N = N, .r = r, .scale = 2.0f, .wt = b->wt, .drop_key = (uint64_t)i};
        p->Y = take(b, b->T * N, 4);
        p->dY = activations(b, b->T * N);
        if (r > 0) {
            p->A = randoms(b, r * c->K), p->B = randoms(b, N * r);
            p->U = randoms(b, b->T * r), p->dU = randoms(b, b->T * r);
            p->dA = take(b, 2 * r * c->K, 4), p->dB = take(b, 2 * N * r, 4);
        }
        double wide = c->work == GRAD ? 0.0 : 2.0 * (double)(b->T * N * c->K);
        d->flop += wide + 2.0 * (double)(b->T * r * (N + c->K));
    }
}

static void prepare(Bench *b, const Case *c, Data *d) {
    *d = (Data){.row = {.begin = 0, .end = b->T, .index = 1}};
    for (int i = 0; i < c->n_parts; i++) {
        d->W_bytes[i] = c->N[i] * wtype_row_bytes(b->wt, c->K);
        d->weight_bytes += d->W_bytes[i];
    }
    b->copies = COPIES_BYTES / d->weight_bytes + 1;
    for (int i = 0; i < c->n_parts; i++) d->W[i] = weights(b, c->N[i], c->K, b->copies);
    d->X = activations(b, b->T * c->K);
    d->dX = take(b, b->T * c->K, 4);
    if (c->dropout > 0.0f) {
        uint64_t *token = take(b, b->T, 8);
        for (int64_t t = 0; t < b->T; t++) token[t] = (uint64_t)t;
        d->drop = (Dropout){.p = c->dropout, .token = token};
    }
    const Backend *k = &b->backend;
    Stream *s = &b->backend.stream;
    int64_t bytes = 0;
    if (c->work <= GRAD) prepare_parts(b, c, d);
    if (c->work == FORWARD) bytes = k->linear_forward_workspace(s, d->parts, c->n_parts, b->T, c->K, b->dt);
    if (c->work == BACKWARD) bytes = k->linear_backward_workspace(s, d->parts, c->n_parts, b->T, c->K, b->dt);
    if (c->work == GRAD) bytes = k->lora_grad_workspace(s, d->parts, c->n_parts, b->T, c->K, b->dt);
    if (c->work >= HEAD_LOSS) {
        d->index = take(b, b->T, 4), d->target = take(b, b->T, 4);
        d->weight = randoms(b, b->T), d->logp = randoms(b, b->T);
        for (int64_t t = 0; t < b->T; t++) d->index[t] = (int32_t)t, d->target[t] = (int32_t)(t * 7 % c->N[0]);
        double one = 2.0 * (double)(b->T * c->N[0] * c->K);
        if (c->work == HEAD_LOGITS) d->Y = take(b, b->T * c->N[0], 4);
        d->flop = c->work == HEAD_LOSS ? 2.0 * one : one;
        bytes = c->work == HEAD_LOSS ? k->head_loss_workspace(s, b->T, c->K, c->N[0], b->wt, b->dt)
                                     : k->head_logits_workspace(s, b->T, c->K, c->N[0], b->wt, b->dt);
    }
    b->ws = take(b, bytes, 1);
}

static void run(Bench *b, const Case *c, Data *d) {
    const Backend *k = &b->backend;
    Stream *s = &b->backend.stream;
    const Dropout *drop = c->dropout > 0.0f ? &d->drop : NULL;
    b->copy = (b->copy + 1) % b->copies;
    const void *W = d->W[0] + b->copy * d->W_bytes[0];
    for (int i = 0; i < c->n_parts; i++) d->parts[i].W = d->W[i] + b->copy * d->W_bytes[i];
    switch (c->work) {
    case FORWARD:
        k->linear_forward(s, b->ws, d->parts, c->n_parts, NULL, d->X, drop, b->T, c->K, b->dt);
        break;
    case BACKWARD:
        k->linear_backward(s, b->ws, d->dX, d->parts, c->n_parts, drop, 0.0f, b->T, c->K, b->dt);
        break;
    case GRAD:
        k->lora_grad(s, b->ws, d->parts, c->n_parts, d->X, drop, &d->row, 1, 0, b->T, c->K, b->dt);
        break;
    case HEAD_LOSS:
        k->head_loss(s, b->ws, d->dX, d->logp, d->X, W, d->index, d->target, d->weight, b->T, b->T, c->K, c->N[0],
                     b->wt, b->dt);
        break;
    case HEAD_LOGITS:
        k->head_logits(s, b->ws, d->Y, d->X, W, d->index, b->T, c->K, c->N[0], b->wt, b->dt);
        break;
    }
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void measure(Bench *b, const Case *c) {
    if (b->only != NULL && strstr(c->name, b->only) == NULL) return;
    ArenaMark mark = arena_mark(b->arena);
    Data d;
    prepare(b, c, &d);
    double share[MAX_SAMPLES], rate[MAX_SAMPLES];
    run(b, c, &d);
    for (int i = 0; i < b->samples; i++) {
        double top = peak(b), wall = clock_s(), start = cpu_s();
        int runs = 0;
        do {
            run(b, c, &d);
            runs++;
        } while (clock_s() - wall < 0.003);
        double cpu = cpu_s() - start;
        wall = clock_s() - wall;
        share[i] = d.flop * runs / cpu / top;
        rate[i] = (b->T == 1 ? (double)d.weight_bytes : d.flop) * runs / wall * 1e-9;
    }
    qsort(share, (size_t)b->samples, sizeof *share, ascending);
    qsort(rate, (size_t)b->samples, sizeof *rate, ascending);
    printf("%-24s T %-5lld %5.1f %% of peak (best %5.1f)   %7.1f %s (best %7.1f)\n", c->name, (long long)b->T,
           100.0 * share[b->samples / 2], 100.0 * share[b->samples - 1], rate[b->samples / 2],
           b->T == 1 ? "GB/s weights" : "Gflop/s", rate[b->samples - 1]);
    fflush(stdout);
    arena_reset(b->arena, mark);
}

static const Case CASES[] = {
    {"forward o", FORWARD, 1, {D}, D, true, 0.0f},
    {"forward q,k", FORWARD, 2, {D, KV}, D, true, 0.0f},
    {"forward gate,up", FORWARD, 2, {FF, FF}, D, true, 0.0f},
    {"forward down", FORWARD, 1, {D}, FF, true, 0.0f},
    {"forward o, no adapter", FORWARD, 1, {D}, D, false, 0.0f},
    {"forward o, dropout", FORWARD, 1, {D}, D, true, 0.1f},
    {"backward o", BACKWARD, 1, {D}, D, true, 0.0f},
    {"backward q,k", BACKWARD, 2, {D, KV}, D, true, 0.0f},
    {"backward gate,up", BACKWARD, 2, {FF, FF}, D, true, 0.0f},
    {"backward down", BACKWARD, 1, {D}, FF, true, 0.0f},
    {"backward o, dropout", BACKWARD, 1, {D}, D, true, 0.1f},
    {"grad o", GRAD, 1, {D}, D, true, 0.0f},
    {"grad gate,up", GRAD, 2, {FF, FF}, D, true, 0.0f},
    {"grad o, dropout", GRAD, 1, {D}, D, true, 0.1f},
    {"head loss", HEAD_LOSS, 1, {VOCAB}, D, false, 0.0f},
    {"head logits", HEAD_LOGITS, 1, {VOCAB}, D, false, 0.0f},
    {"large forward", FORWARD, 1, {2048}, 2048, true, 0.0f},
    {"large backward", BACKWARD, 1, {2048}, 2048, true, 0.0f},
};

int main(int argc, char **argv) {
    Bench b = {.threads = 0, .samples = 15, .wt = WT_Q8_0, .dt = DT_F32, .T = 512};
    const char *level = NULL;
    for (int i = 1; i < argc; i += 2) {
        const char *key = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(key, "--threads") == 0)
            b.threads = atoi(value);
        else if (strcmp(key, "--level") == 0)
            level = value;
        else if (strcmp(key, "--weights") == 0 && wtype_from_name(value, &b.wt))
            continue;
        else if (strcmp(key, "--dtype") == 0)
            b.dt = strcmp(value, "bf16") == 0 ? DT_BF16 : DT_F32;
        else if (strcmp(key, "--tokens") == 0 && atoll(value) > 0)
            b.T = atoll(value);
        else if (strcmp(key, "--samples") == 0 && atoi(value) > 0)
            b.samples = atoi(value) < MAX_SAMPLES ? atoi(value) : MAX_SAMPLES;
        else if (strcmp(key, "--only") == 0)
            b.only = value;
        else
            stop("options: --threads N --level L --weights TYPE --dtype f32|bf16 --tokens T --samples N --only TEXT");
    }
    Err e;
    if (pool_open(&b.pool, b.threads, &e) != OK || arena_open(&b.arena, "bench", &e) != OK ||
        backend_open("cpu", level, b.pool, &b.backend, &e) != OK)
        stop(e.message);
    b.threads = pool_threads(b.pool);
    printf("level %s, %d threads, weights %s, activations %s; peak %.1f Gflop/s per thread\n", b.backend.level,
           b.threads, wtype_name(b.wt), dtype_name(b.dt), peak(&b) * 1e-9);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        if (CASES[i].K % wtype_traits(b.wt)->block_elems == 0) measure(&b, &CASES[i]);
    arena_close(b.arena);
    pool_close(b.pool);
    return 0;
}
