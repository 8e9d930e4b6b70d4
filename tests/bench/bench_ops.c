/* bench_ops.c: speed of the kernels of the CPU backend that are no weight product.
 *
 *   bench_ops [--threads N] [--level L] [--dtype f32|bf16] [--tokens T] [--samples N] [--only TEXT]
 *
 * Shapes are those of SmolLM2-135M (d 576, 9 heads of 64 over 3 kv heads, ff 1536; adapters of rank 16: 4.9 M values).
 * Attention stands beside the peak of multiply-adds, counted for visible pairs only (4 flop a pair and feature forward,
 * 10 backward); the others beside the speed at which the same threads read a large array. A probe runs right before
 * each sample. Time is processor time divided by threads, so that other programs on the machine disturb it little. */
#include "tests/bench/common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { C = 576, H = 9, HKV = 3, D = 64, FF = 1536, ADAPTER = 4900000, ARRAY_BYTES = 64 << 20 };

/* ---- cases */
typedef struct Data {
    void *x[8];  /* tensors of dt, T*FF values each */
    float *f[4]; /* ADAPTER floats each; f[3] has eight of those */
    float *w, *rows;
    uint8_t *weights;
    int32_t *ids, *cu;
    void *ws;
    int64_t T, n_docs;
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
    k->embedding_forward(s, d->x[0], d->ids, d->weights, d->T, C, WT_Q8_0, b->dt);
}
RUNS(norm_forward) {
    KERNELS;
    k->rmsnorm_forward(s, d->x[0], d->rows, d->x[1], d->w, 1e-5f, d->T, C, b->dt);
}
RUNS(norm_backward) {
    KERNELS;
    k->rmsnorm_backward(s, d->x[0], d->x[1], d->x[2], d->w, d->rows, 1.0f, d->T, C, b->dt);
}
RUNS(rope_queries) {
    KERNELS;
    k->rope(s, d->x[0], d->x[0], d->ids, d->w, d->w, 1.0f, 0, d->T, H, D, D / 2, b->dt);
}
RUNS(glu_forward) {
    KERNELS;
    k->glu_forward(s, d->x[0], d->x[1], d->x[2], d->T * FF, GLU_SILU, b->dt);
}
RUNS(glu_backward) {
    KERNELS;
    k->glu_backward(s, d->x[0], d->x[1], d->x[2], d->x[3], d->x[4], d->T * FF, GLU_SILU, b->dt);
}
RUNS(attention_forward) {
    KERNELS;
    k->attention_forward(s, d->ws, d->x[0], d->rows, d->x[1], d->x[2], d->x[3], d->cu, d->n_docs, 0.125f, 0, 0.0f, d->T,
                         H, HKV, D, b->dt);
}
RUNS(attention_backward) {
    KERNELS;
    k->attention_backward(s, d->ws, d->x[5], d->x[6], d->x[7], d->x[4], d->x[0], d->rows, d->x[1], d->x[2], d->x[3],
                          d->cu, d->n_docs, 0.125f, 0, 0.0f, d->T, H, HKV, D, b->dt);
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

static void prepare(Bench *b, Data *d) {
    const Backend *k = &b->backend;
    int64_t T = d->T > 2048 ? d->T : 2048;
    for (int i = 0; i < 8; i++) {
        d->x[i] = bench_activations(b, T * FF, 0.1f);
    }
    for (int i = 0; i < 3; i++) d->f[i] = bench_randoms(b, ADAPTER, 0.1f);
    d->f[3] = bench_randoms(b, 3 * (int64_t)ADAPTER, 0.1f);
    d->w = bench_randoms(b, T * C, 0.1f);
    d->rows = bench_randoms(b, T * H, 0.1f);
    d->weights = bench_take(b, T * wtype_row_bytes(WT_Q8_0, C));
    d->ids = bench_take(b, T * 4);
    d->cu = bench_take(b, (T + 1) * 4);
    for (int64_t t = 0; t < T; t++) d->ids[t] = (int32_t)t;
    int64_t bytes = k->attention_backward_workspace(&k->stream, T, H, HKV, D, b->dt);
    int64_t forward = k->attention_forward_workspace(&k->stream, T, H, HKV, D, b->dt);
    int64_t cached = k->attention_cached_workspace(&k->stream, 1, 2048, H, HKV, D, b->dt);
    int64_t squares = k->square_sum_workspace(&k->stream, ADAPTER);
    bytes = bytes > forward ? bytes : forward;
    bytes = bytes > cached ? bytes : cached;
    d->ws = bench_take(b, bytes > squares ? bytes : squares);
}

static void measure(Bench *b, const Case *c, Data *d) {
    if (b->only != NULL && strstr(c->name, b->only) == NULL) return;
    double flop = 0.0, tokens = c->run == decode ? (double)c->length : (double)d->T;
    double bytes = c->activations * tokens * (double)dtype_bytes(b->dt) + c->floats * 4.0 * ADAPTER;
    if (c->flop > 0.0) {
        d->n_docs = d->T / c->length;
        if (d->n_docs < 1) return;
        for (int64_t i = 0; i <= d->n_docs; i++) d->cu[i] = (int32_t)(i * c->length);
        flop = c->flop * D * H * (double)(d->n_docs * c->length * (c->length + 1) / 2);
        attention_forward(b, c, d); /* backward wants an O and an L that belong together */
    }
    double ms[BENCH_MAX_SAMPLES], share[BENCH_MAX_SAMPLES];
    c->run(b, c, d);
    for (int i = 0; i < b->samples; i++) {
        double top = c->flop > 0.0 ? probe_peak(&b->probe, b->dt) : probe_rate(&b->probe, PROBE_READ),
               start = processor_s(), seconds;
        int runs = 0;
        do {
            c->run(b, c, d);
            runs++;
            seconds = (processor_s() - start) / b->threads;
        } while (seconds < 0.003);
        ms[i] = seconds * 1e3 / runs;
        share[i] = (c->flop > 0.0 ? flop : bytes) * runs / seconds / top;
    }
    double middle = median(ms, b->samples), best = ms[0] * 1e-3;
    printf("%-24s %8.3f ms (best %8.3f)   %6.1f %s, %5.1f %% of the probe\n", c->name, middle, ms[0],
           (c->flop > 0.0 ? flop : bytes) / best * 1e-9, c->flop > 0.0 ? "Gflop/s" : "GB/s   ",
           100.0 * median(share, b->samples));
    fflush(stdout);
}

int main(int argc, char **argv) {
    Bench b = {.program = "bench_ops", .samples = 15, .dt = DT_F32};
    Data d = {.T = 2048};
    for (int i = 1; i < argc; i += 2) {
        const char *key = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(key, "--tokens") == 0 && atoll(value) > 0)
            d.T = atoll(value);
        else if (!bench_option(&b, key, value))
            bench_stop(&b, "options: --threads N --level L --dtype f32|bf16 --tokens T --samples N --only TEXT");
    }
    bench_open(&b, ARRAY_BYTES);
    prepare(&b, &d);
    printf("level %s, %d threads, activations %s, %lld tokens; peak %.1f Gflop/s, reading %.1f GB/s\n", b.backend.level,
           b.threads, dtype_name(b.dt), (long long)d.T, probe_peak(&b.probe, b.dt) * 1e-9,
           probe_rate(&b.probe, PROBE_READ) * 1e-9);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) measure(&b, &CASES[i], &d);
    bench_close(&b);
    return 0;
}
