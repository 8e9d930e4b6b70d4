/* bench_step.c: where the time of a training step goes.
 *
 *   bench_step --base MODEL [--steps N] [--micro N] [--length N] [--rank R] [--dropout P] [--recompute auto|true|false]
 *              [--threads N] [--level L] [--dtype f32|bf16]
 *
 * Trains an adapter of every linear layer on random tokens, all of them trained, with the program's own trainer: N
 * micro-batches (4) of one packed row (512 tokens) a step. The first step is not counted, except for the time from launch
 * to its end. Times are processor time of all threads; "of step" is a share of the step's; "of peak" stands beside a probe
 * right before each step. Outside kernels: the tape, batches, hashing. Then come the forward pass alone, and the base
 * generating token by token, where products stand beside the speed of reading memory, in bytes of stored weights. */
#define _GNU_SOURCE
#include "tests/bench/common.h"
#include "tests/bench/timed.h"
#include "train/decode.h"
#include "train/trainer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

typedef struct StepBench {
    Bench b; /* options; its pool and backend are the trainer's */
    Ctx ctx;
    Trainer t;
    const char *base, *recompute, *dropout;
    int64_t steps, micro, length, rank;
    char folder[64];
    double launched_s;
    /* of the counted steps */
    double wall[BENCH_MAX_SAMPLES], processor_s, peak_s; /* peak_s: seconds the work would take at the peak */
    double peak, flop;
} StepBench;

static void check(StepBench *s, Status st, const Err *e) {
    if (st != OK) bench_stop(&s->b, e->message);
}

static FILE *create(StepBench *s, const char *name) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", s->folder, name);
    FILE *f = fopen(path, "w");
    if (f == NULL) bench_stop(&s->b, "a temporary file cannot be made (TMPDIR)");
    return f;
}

static void write_rows(StepBench *s) {
    FILE *f = create(s, "rows.jsonl");
    uint32_t id = 1;
    for (int64_t i = 0; i < s->micro; i++) {
        for (int pass = 0; pass < 2; pass++) {
            uint32_t at = id;
            fprintf(f, pass == 0 ? "{\"input_ids\": [" : "], \"labels\": [");
            for (int64_t j = 0; j < s->length; j++) {
                at = at * 1664525u + 1013904223u;
                fprintf(f, "%s%u", j > 0 ? ", " : "", (unsigned)(at >> 24));
            }
            if (pass == 1) id = at;
        }
        fprintf(f, "]}\n");
    }
    fclose(f);
}

static void write_config(StepBench *s) {
    FILE *f = create(s, "run.yaml");
    fprintf(f,
            "base_model: %s\ndatasets:\n  - path: %s/rows.jsonl\n    type: tokens\noutput_dir: %s/out\nsave_steps: 0\n"
            "sequence_len: %lld\nlora_r: %lld\nlora_alpha: %lld\nlora_dropout: %s\nmicro_batch_size: 1\n"
            "gradient_accumulation_steps: %lld\nmax_steps: %lld\ngradient_checkpointing: %s\ncompute_dtype: %s\n",
            s->base, s->folder, s->folder, (long long)s->length, (long long)s->rank, (long long)(2 * s->rank),
            s->dropout, (long long)s->micro, (long long)(s->steps + 1), s->recompute,
            s->b.dt == DT_F32 ? "fp32" : "bf16");
    if (s->b.threads > 0) fprintf(f, "threads: %d\n", s->b.threads);
    fclose(f);
}

static void open_trainer(StepBench *s) {
    char path[128];
    Err e;
    Config *config;
    Backend timed;
    log_open(&s->ctx.log, true);
    s->ctx.cpu_level = s->b.level;
    s->ctx.version = "bench";
    check(s, arena_open(&s->ctx.arena, "bench", &e), &e);
    snprintf(path, sizeof path, "%s/run.yaml", s->folder);
    check(s, config_load(s->ctx.arena, path, NULL, 0, &config, &e), &e);
    check(s, trainer_open(&s->ctx, config, false, &s->t, &e), &e);
    Session *session = &s->t.session;
    timed_backend(&session->backend, &timed);
    session->backend = timed;
    s->b.threads = pool_threads(session->pool);
    s->b.probe = (Probe){.pool = session->pool, .level = timed.level};
}

static double counted_flop(void) {
    int n;
    const TimedEntry *t = timed_entries(&n);
    double flop = 0.0;
    for (int i = 0; i < n; i++) flop += t[i].flop;
    return flop;
}

static void train(StepBench *s) {
    Err e;
    StepResult r;
    check(s, trainer_step(&s->t, &r, &e), &e);
    double first = clock_since(s->launched_s);
    timed_reset();
    for (int64_t i = 0; i < s->steps; i++) {
        double peak = probe_peak(&s->b.probe, s->b.dt), before = counted_flop();
        double wall = clock_s(), processor = processor_s();
        check(s, trainer_step(&s->t, &r, &e), &e);
        s->processor_s += processor_s() - processor;
        s->wall[i] = clock_since(wall);
        s->peak += peak / (double)s->steps;
        s->peak_s += (counted_flop() - before) / peak * s->b.threads;
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double step = median(s->wall, (int)s->steps), tokens = (double)(s->micro * s->length);
    printf("step %.3f s, %.1f tokens/s; in processor time %.1f tokens/s; launch to the end of the first step %.3f s; "
           "peak resident %.0f MB\n",
           step, tokens / step, tokens * (double)s->steps * s->b.threads / s->processor_s, first,
           (double)usage.ru_maxrss / 1024.0);
    printf("peak %.1f Gflop/s; the step's products and attention at peak would take %.1f %% of its time\n",
           s->peak * 1e-9, 100.0 * s->peak_s / s->processor_s);
}

static int longest_first(const void *a, const void *b) {
    const TimedEntry *x = a, *y = b;
    return x->processor_s > y->processor_s ? -1 : x->processor_s < y->processor_s;
}

/* `steps` runs took `processor` in all. reading > 0: bytes per second to compare with instead of the peak. */
static void print_entries(StepBench *s, double processor, double steps, double reading) {
    static const char *const CLASSES[] = {"products", "attention", "other kernels"};
    TimedEntry sorted[TIMED_ENTRIES];
    int n;
    double classes[3] = {0}, sum = 0.0;
    memcpy(sorted, timed_entries(&n), sizeof sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, longest_first);
    printf("%-34s %7s %10s %8s %10s\n", "kernel", "calls", "ms", "of step", reading > 0.0 ? "of reading" : "of peak");
    for (int i = 0; i < n; i++) {
        const TimedEntry *t = &sorted[i];
        char name[64], share[16] = "";
        snprintf(name, sizeof name, t->N > 0 ? "%s %lld x %lld" : "%s", kernel_name(t->kernel), (long long)t->N,
                 (long long)t->K);
        double work = reading > 0.0 ? t->bytes : t->flop, top = reading > 0.0 ? reading : s->peak;
        if (work > 0.0) snprintf(share, sizeof share, "%.1f %%", 100.0 * work / t->processor_s * s->b.threads / top);
        printf("%-34s %7.0f %10.2f %6.1f %% %10s\n", name, (double)t->calls / steps,
               1e3 * t->processor_s / steps / s->b.threads, 100.0 * t->processor_s / processor, share);
        classes[kernel_class(t->kernel)] += t->processor_s;
        sum += t->processor_s;
    }
    for (int i = 0; i < 3; i++) printf("%s %.1f %%, ", CLASSES[i], 100.0 * classes[i] / processor);
    printf("outside kernels %.1f %%; outside products and attention %.1f %%\n", 100.0 * (1.0 - sum / processor),
           100.0 * (1.0 - (classes[CLASS_PRODUCT] + classes[CLASS_ATTENTION]) / processor));
}

static void forward_only(StepBench *s) {
    Err e;
    Trainer *t = &s->t;
    Runner r;
    BatchView *v = &t->view;
    GraphOptions o = {.capacity = s->length};
    check(s, runner_open(&t->session, &t->adapter->map, &o, &r, &e), &e);
    batches_fill(t->batches, 0, 0, 1, v);
    Batch b = runner_batch(v, t->logp);
    Exec ex = {.backend = &t->session.backend, .adapters = &t->adapter->set};
    graph_run(r.graph, &ex, &b);
    timed_reset();
    int64_t runs = s->steps * s->micro;
    double wall = clock_s(), processor = processor_s();
    for (int64_t i = 0; i < runs; i++) graph_run(r.graph, &ex, &b);
    processor = processor_s() - processor, wall = clock_since(wall);
    double tokens = (double)(runs * s->length);
    printf("\nforward only: %.1f tokens/s; in processor time %.1f tokens/s\n", tokens / wall,
           tokens * s->b.threads / processor);
    print_entries(s, processor, (double)runs, 0.0);
    runner_close(&r);
}

static void decode(StepBench *s) {
    enum { ARRAY_BYTES = 256 << 20, TOKENS = 32 };
    Err e;
    Decoder d;
    int32_t *ids = s->t.view.ids;
    int64_t prompt = s->length / 2, n = s->length - prompt < TOKENS ? s->length - prompt : TOKENS;
    check(s, decoder_open(&s->t.session, NULL, s->length, &d, &e), &e);
    check(s, decoder_feed(&d, ids, prompt, &e), &e);
    Probe *p = &s->b.probe;
    check(s, arena_alloc(s->ctx.arena, ARRAY_BYTES, 1, &p->array, &e), &e);
    memset(p->array, 1, ARRAY_BYTES);
    p->array_bytes = ARRAY_BYTES;
    double reading[3];
    for (int i = 0; i < 3; i++) reading[i] = probe_rate(p, PROBE_READ);
    timed_reset();
    double wall = clock_s(), processor = processor_s();
    for (int64_t i = 0; i < n; i++) check(s, decoder_feed(&d, ids + i, 1, &e), &e);
    processor = processor_s() - processor, wall = clock_since(wall);
    printf("\ngenerating after %lld tokens: %.1f tokens/s; in processor time %.1f tokens/s; reading %.1f GB/s\n",
           (long long)prompt, (double)n / wall, (double)n * s->b.threads / processor, median(reading, 3) * 1e-9);
    print_entries(s, processor, (double)n, median(reading, 3));
    decoder_close(&d);
}

static bool option(StepBench *s, const char *key, const char *value) {
    const struct {
        const char *key;
        int64_t *value;
        int64_t most;
    } numbers[] = {{"--steps", &s->steps, BENCH_MAX_SAMPLES},
                   {"--micro", &s->micro, 4096},
                   {"--length", &s->length, 1 << 20},
                   {"--rank", &s->rank, 4096}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (strcmp(key, numbers[i].key) != 0) continue;
        *numbers[i].value = atoll(value);
        return *numbers[i].value >= 1 && *numbers[i].value <= numbers[i].most;
    }
    if (strcmp(key, "--base") == 0)
        s->base = value;
    else if (strcmp(key, "--dropout") == 0)
        s->dropout = value;
    else if (strcmp(key, "--recompute") == 0)
        s->recompute = value;
    else
        return bench_option(&s->b, key, value);
    return true;
}

int main(int argc, char **argv) {
    static StepBench s = {.b = {.program = "bench_step", .dt = DT_BF16},
                          .t = TRAINER_CLOSED,
                          .recompute = "auto",
                          .dropout = "0",
                          .steps = 3,
                          .micro = 4,
                          .length = 512,
                          .rank = 16};
    s.launched_s = clock_s();
    bool good = true;
    for (int i = 1; i < argc; i += 2) good = good && option(&s, argv[i], i + 1 < argc ? argv[i + 1] : "");
    if (!good || s.base == NULL)
        bench_stop(&s.b, "options: --base MODEL --steps N --micro N --length N --rank R --dropout P "
                         "--recompute auto|true|false --threads N --level L --dtype f32|bf16");
    const char *tmp = getenv("TMPDIR");
    snprintf(s.folder, sizeof s.folder, "%s/bench_step_XXXXXX", tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
    if (mkdtemp(s.folder) == NULL) bench_stop(&s.b, "a temporary folder cannot be made (TMPDIR)");
    write_rows(&s);
    write_config(&s);
    open_trainer(&s);
    printf("level %s, %d threads, %s, %lld x %lld tokens a step, rank %lld, %s\n", s.t.session.backend.level,
           s.b.threads, s.b.dt == DT_F32 ? "fp32" : "bf16", (long long)s.micro, (long long)s.length, (long long)s.rank,
           s.t.recompute ? "layers recomputed" : "activations kept");
    train(&s);
    print_entries(&s, s.processor_s, (double)s.steps, 0.0);
    forward_only(&s);
    decode(&s);
    trainer_close(&s.t);
    arena_close(s.ctx.arena);
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", s.folder);
    return system(command) == 0 ? 0 : 1;
}
