/* bench_gemm.c: speed of the matrix products of the CPU backend, as a share of what the same threads can multiply-add.
 *
 *   bench_gemm [--models LIST] [--formats LIST] [--tokens LIST] [--work LIST] [--only SHAPE] [--yardsticks LIST]
 *              [--rank R] [--dropout P] [--seconds S] [--samples N] [--threads N] [--level L] [--dtype f32|bf16]
 *
 * Models: smollm2, llama1b, llama8b. Work: forward, backward (the gradient of the input), grad (of the adapters), head
 * (loss and its gradient), logits. Yardsticks: f32, bf16 (oneDNN, packed), sgemm (dequantize + OpenBLAS), none. "all" is
 * every one. The default is SmolLM2 at 512 tokens in four formats, under a minute; the full table takes hours.
 * Each sample stands between two probes on the same threads, of which the higher counts; yardsticks come right after.
 * One token is bound by memory: its share is of the speed at which the same threads read, in bytes of stored weights. */
#include "tests/bench/gemm_case.h"
#include "tests/bench/yardstick.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARRAY_BYTES = 128 << 20, LEAST = 3 /* samples of a case, however slow */ };
static const double SAMPLE_S = 0.003; /* a sample's least time, of each thread */

typedef struct Model {
    const char *name;
    GemmShape shapes[5];
} Model;
#define MODEL(name, d, kv, ff, vocab)                                                                                  \
    {                                                                                                                  \
        name, {                                                                                                        \
            {"qkv", 3, {d, kv, kv}, d, false}, {"o", 1, {d}, d, false}, {"gate,up", 2, {ff, ff}, d, false},            \
                {"down", 1, {d}, ff, false}, {"head", 1, {vocab}, d, true},                                            \
        }                                                                                                              \
    }
static const Model MODELS[] = {MODEL("smollm2", 576, 192, 1536, 49152), MODEL("llama1b", 2048, 512, 8192, 128256),
                               MODEL("llama8b", 4096, 1024, 14336, 128256)};
enum { N_MODELS = sizeof MODELS / sizeof *MODELS };

/* Shares of the cases of one work and format: sum of logarithms, and the worst. */
typedef struct Total {
    int n;
    double log_sum, worst, log_yard[YARDSTICKS];
    int n_yard[YARDSTICKS];
    char worst_case[64];
} Total;

typedef struct Options {
    const char *models, *formats, *tokens, *work, *yardsticks;
    int64_t rank;
    double dropout, seconds;
} Options;

typedef struct Table {
    Bench b;
    Options o;
    Total totals[WORKS][2][WT_COUNT]; /* [work][one token][format] */
} Table;

static void add_total(Total *t, double share, const char *name) {
    if (t->n == 0 || share < t->worst) {
        t->worst = share;
        snprintf(t->worst_case, sizeof t->worst_case, "%s", name);
    }
    t->n++;
    t->log_sum += log(share);
}

/* Runs the case, or the yardstick where there is one, for at least a sample's time: flop per second of one thread. */
static double sample(Bench *b, GemmCase *c, YardCase *y) {
    double start = processor_s(), seconds;
    int runs = 0;
    do {
        if (y == NULL)
            gemm_run(b, c);
        else
            yardstick_run(b, y);
        runs++;
        seconds = processor_s() - start;
    } while (seconds < SAMPLE_S * b->threads);
    if (y != NULL) settle();
    return (y == NULL ? c->flop : yardstick_flop(y)) * runs / seconds;
}

typedef struct Samples {
    int n;
    double share[BENCH_MAX_SAMPLES], rate[BENCH_MAX_SAMPLES], ratio[YARDSTICKS][BENCH_MAX_SAMPLES];
} Samples;

static void take_samples(Table *t, GemmCase *c, YardCase *const *yards, Samples *s) {
    Bench *b = &t->b;
    bool memory = c->T == 1;
    gemm_run(b, c);
    for (int i = 0; i < YARDSTICKS; i++)
        if (yards[i] != NULL) yardstick_run(b, yards[i]);
    settle();
    double start = processor_s();
    for (s->n = 0; s->n < b->samples && (s->n < LEAST || processor_s() - start < t->o.seconds * b->threads); s->n++) {
        double before = memory ? probe_rate(&b->probe, PROBE_READ) : probe_peak(&b->probe, b->dt);
        double flop = sample(b, c, NULL), rate = memory ? flop / c->flop * (double)c->weight_bytes : flop;
        double after = memory ? probe_rate(&b->probe, PROBE_READ) : probe_peak(&b->probe, b->dt);
        double top = before > after ? before : after;
        s->rate[s->n] = rate * b->threads;
        s->share[s->n] = rate * b->threads / top;
        for (int i = 0; i < YARDSTICKS; i++)
            if (yards[i] != NULL) s->ratio[i][s->n] = flop / sample(b, c, yards[i]);
    }
}

static void measure(Table *t, const Model *m, const GemmShape *shape, Work work, WType wt, int64_t tokens) {
    static const char *const KEYS[YARDSTICKS] = {"f32", "bf16", "sgemm"};
    Bench *b = &t->b;
    ArenaMark mark = arena_mark(b->arena);
    GemmCase c = {.shape = shape, .work = work, .wt = wt, .T = tokens, .dropout = (float)t->o.dropout};
    if (!shape->head) c.rank = t->o.rank;
    gemm_prepare(b, &c);
    YardCase *yards[YARDSTICKS] = {NULL};
    for (int i = 0; i < YARDSTICKS; i++)
        if (list_has(t->o.yardsticks, KEYS[i])) yards[i] = yardstick_open(b, &c, (Yardstick)i);
    Samples s = {0};
    take_samples(t, &c, yards, &s);
    char name[64];
    snprintf(name, sizeof name, "%s %s, %lld tokens", m->name, shape->name, (long long)tokens);
    double share = median(s.share, s.n), rate = median(s.rate, s.n) * 1e-9;
    printf("%-8s %-4s %-28s %6.1f %% of %s (best %5.1f) %7.1f %s", WORK_NAMES[work], wtype_name(wt), name,
           100.0 * share, tokens == 1 ? "reading" : "peak", 100.0 * s.share[s.n - 1], rate,
           tokens == 1 ? "GB/s" : "Gflop/s");
    Total *total = &t->totals[work][tokens == 1][wt];
    add_total(total, share, name);
    for (int i = 0; i < YARDSTICKS; i++) {
        if (yards[i] == NULL) continue;
        double ratio = median(s.ratio[i], s.n);
        printf("   %.2f x %s", ratio, YARDSTICK_NAMES[i]);
        total->log_yard[i] += log(ratio);
        total->n_yard[i]++;
        yardstick_close(yards[i]);
    }
    printf("\n");
    fflush(stdout);
    arena_reset(b->arena, mark);
}

/* Which works a shape has at a number of tokens. */
static bool fits(const GemmShape *s, Work work, int64_t tokens) {
    if (s->head) return work == (tokens == 1 ? LOGITS : HEAD) || (work == LOGITS && tokens <= 32);
    return work == FORWARD || (work <= GRAD && tokens > 1);
}

static void measure_shape(Table *t, const Model *m, const GemmShape *s) {
    const char *list = t->o.tokens;
    if (strcmp(list, "all") == 0) list = "1,32,256,512,2048";
    if (t->b.only != NULL && strcmp(s->name, t->b.only) != 0) return;
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        int64_t tokens = atoll(*at == ',' ? ++at : at);
        if (tokens < 1) bench_stop(&t->b, "--tokens: numbers from 1, with commas between them");
        for (int wt = 0; wt < WT_COUNT; wt++) {
            if (!list_has(t->o.formats, wtype_name((WType)wt)) || s->K % wtype_traits((WType)wt)->block_elems != 0)
                continue;
            for (int work = 0; work < WORKS; work++)
                if (list_has(t->o.work, WORK_NAMES[work]) && fits(s, (Work)work, tokens))
                    measure(t, m, s, (Work)work, (WType)wt, tokens);
        }
    }
}

static void print_line(const char *work, const char *format, const char *what, const Total *t) {
    if (t->n == 0) return;
    printf("%-8s %-5s geometric mean %5.1f %% of %s over %d cases, worst %5.1f %% (%s)", work, format,
           100.0 * exp(t->log_sum / t->n), what, t->n, 100.0 * t->worst, t->worst_case);
    for (int i = 0; i < YARDSTICKS; i++)
        if (t->n_yard[i] > 0) printf("   %.2f x %s", exp(t->log_yard[i] / t->n_yard[i]), YARDSTICK_NAMES[i]);
    printf("\n");
}

static void print_totals(const Table *t) {
    printf("\n");
    for (int work = 0; work < WORKS; work++) {
        for (int memory = 0; memory < 2; memory++) {
            Total sum = {0};
            const char *what = memory ? "reading" : "peak";
            for (int wt = 0; wt < WT_COUNT; wt++) {
                const Total *one = &t->totals[work][memory][wt];
                print_line(WORK_NAMES[work], wtype_name((WType)wt), what, one);
                if (one->n == 0) continue;
                if (sum.n == 0 || one->worst < sum.worst) {
                    sum.worst = one->worst;
                    snprintf(sum.worst_case, sizeof sum.worst_case, "%s", one->worst_case);
                }
                sum.n += one->n, sum.log_sum += one->log_sum;
                for (int i = 0; i < YARDSTICKS; i++)
                    sum.log_yard[i] += one->log_yard[i], sum.n_yard[i] += one->n_yard[i];
            }
            print_line(WORK_NAMES[work], "all", what, &sum);
        }
    }
}

static bool option(Table *t, const char *key, const char *value) {
    Options *o = &t->o;
    const struct {
        const char *key;
        const char **value;
    } lists[] = {{"--models", &o->models},
                 {"--formats", &o->formats},
                 {"--tokens", &o->tokens},
                 {"--work", &o->work},
                 {"--yardsticks", &o->yardsticks}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        if (strcmp(key, lists[i].key) != 0) continue;
        *lists[i].value = value;
        return value[0] != 0;
    }
    if (strcmp(key, "--rank") == 0)
        o->rank = atoll(value);
    else if (strcmp(key, "--dropout") == 0)
        o->dropout = atof(value);
    else if (strcmp(key, "--seconds") == 0)
        o->seconds = atof(value);
    else
        return bench_option(&t->b, key, value);
    return true;
}

int main(int argc, char **argv) {
    static Table t = {.b = {.program = "bench_gemm", .samples = 7, .dt = DT_F32},
                      .o = {.models = "smollm2",
                            .formats = "Q4_0,Q4_1,Q8_0,Q4_K",
                            .tokens = "512",
                            .work = "all",
                            .yardsticks = "none",
                            .rank = 16,
                            .seconds = 0.3}};
    Bench *b = &t.b;
    for (int i = 1; i < argc; i += 2)
        if (!option(&t, argv[i], i + 1 < argc ? argv[i + 1] : ""))
            bench_stop(b,
                       "options: --models LIST --formats LIST --tokens LIST --work LIST --only SHAPE --yardsticks LIST "
                       "--rank R --dropout P --seconds S --samples N --threads N --level L --dtype f32|bf16");
    bench_open(b, ARRAY_BYTES);
    printf("level %s, %d threads, activations %s, rank %lld; peak %.1f Gflop/s, reading %.1f GB/s\n", b->backend.level,
           b->threads, dtype_name(b->dt), (long long)t.o.rank, probe_peak(&b->probe, b->dt) * 1e-9,
           probe_rate(&b->probe, PROBE_READ) * 1e-9);
    for (int i = 0; i < N_MODELS; i++) {
        if (!list_has(t.o.models, MODELS[i].name)) continue;
        for (size_t j = 0; j < sizeof MODELS[i].shapes / sizeof *MODELS[i].shapes; j++)
            measure_shape(&t, &MODELS[i], &MODELS[i].shapes[j]);
    }
    print_totals(&t);
    bench_close(b);
    return 0;
}
