/* bench_peak.c: what this machine can do at most, with one thread and with all, at every instruction-set level it has.
 *
 *   bench_peak [--threads N] [--samples N]
 *
 * Arithmetic in registers in Gflop/s (int8: Gop/s), memory in GB/s, best and median of the samples, one thread and all
 * threads alternating. Scaling is the median of their ratios. Threads count their own processor time (probe.h). */
#include "tests/bench/common.h"

#include <stdio.h>
#include <string.h>

enum { ARRAY_BYTES = 512 << 20 };

static const char *const UNITS[PROBE_KINDS] = {"f32, Gflop/s", "bf16, Gflop/s", "int8, Gop/s", "memory, GB/s",
                                               "memory, GB/s"};

static void measure(const Bench *b, const Probe *one, const Probe *all, ProbeKind kind) {
    double first[BENCH_MAX_SAMPLES], every[BENCH_MAX_SAMPLES], scaling[BENCH_MAX_SAMPLES];
    const char *name = probe_name(all, kind);
    const char *level = kind >= PROBE_READ ? "any" : all->level;
    if (name == NULL) {
        printf("%-11s %-14s absent\n", level, UNITS[kind]);
        return;
    }
    for (int i = 0; i < b->samples; i++) {
        first[i] = probe_rate(one, kind) * 1e-9;
        every[i] = probe_rate(all, kind) * 1e-9;
        scaling[i] = every[i] / first[i];
    }
    double m1 = median(first, b->samples), mn = median(every, b->samples), s = median(scaling, b->samples);
    printf("%-11s %-14s %-36s %8.1f /%7.1f %9.1f /%7.1f   x %.2f\n", level, UNITS[kind], name, first[b->samples - 1],
           m1, every[b->samples - 1], mn, s);
    fflush(stdout);
}

int main(int argc, char **argv) {
    Bench b = {.program = "bench_peak", .samples = 15};
    Err e;
    Pool *single;
    for (int i = 1; i < argc; i += 2)
        if (!bench_option(&b, argv[i], i + 1 < argc ? argv[i + 1] : ""))
            bench_stop(&b, "options: --threads N --samples N");
    bench_open(&b, ARRAY_BYTES);
    if (pool_open(&single, 1, &e) != OK) bench_stop(&b, e.message);
    printf("%d threads; best / median of %d samples\n%-62s %16s %18s   all / 1\n", b.threads, b.samples, "", "1 thread",
           "all threads");
    for (const char *const *level = backend_cpu_levels(); *level != NULL; level++) {
        Probe all = b.probe, one;
        all.level = *level;
        one = all;
        one.pool = single;
        if (strcmp(*level, "emulated") == 0) continue;
        if (!backend_cpu_has(*level)) {
            printf("%-11s this CPU lacks it\n", *level);
            continue;
        }
        for (int kind = PROBE_F32; kind < PROBE_READ; kind++) measure(&b, &one, &all, (ProbeKind)kind);
    }
    Probe one = b.probe;
    one.pool = single;
    measure(&b, &one, &b.probe, PROBE_READ);
    measure(&b, &one, &b.probe, PROBE_COPY);
    pool_close(single);
    bench_close(&b);
    return 0;
}
