/* common.h: what the benchmarks share: threads, backend and memory of one run, command-line options, samples.
 *
 * Time is processor time of the process. Other programs on the machine then disturb a figure little, and a ratio of two
 * figures taken one right after the other even less. A benchmark ends the program at the first error. */
#ifndef LORAC_TESTS_BENCH_COMMON_H
#define LORAC_TESTS_BENCH_COMMON_H

#include "base/arena.h"
#include "kernels/backend.h"
#include "tests/bench/probe.h"

enum { BENCH_MAX_SAMPLES = 101 };

typedef struct Bench {
    const char *program;
    Arena *arena;
    Pool *pool;
    Backend backend;
    Probe probe;
    int threads, samples;
    const char *level; /* NULL: the best the CPU has */
    const char *only;  /* cases whose name has this text; NULL: all */
    DType dt;
} Bench;

/* Prints "PROGRAM: message" and ends the program with status 1. */
_Noreturn void bench_stop(const Bench *b, const char *message);
/* --threads N, --level L, --dtype f32|bf16, --samples N, --only TEXT: true when key is one of them and value fits. */
bool bench_option(Bench *b, const char *key, const char *value);
/* Opens pool, arena and backend. array_bytes: size of the probes' array in memory, 0: no memory probes. */
void bench_open(Bench *b, size_t array_bytes);
void bench_close(Bench *b);

/* bytes of zeroed memory that bench_close frees. */
void *bench_take(Bench *b, int64_t bytes);
/* n values in [low, low+1) as f32 or as dt, the same in each run. */
float *bench_randoms(Bench *b, int64_t n, float low);
void *bench_activations(Bench *b, int64_t n, float low);

/* Whether a list such as "Q4_0,Q8_0" has the name, without regard to case; "all" has every name. */
bool list_has(const char *list, const char *name);

/* Seconds of processor time of all threads of the process. */
double processor_s(void);
/* Sorts x and gives its median. n >= 1. */
double median(double *x, int n);
/* Waits until the process takes no processor time (threads of other libraries spin for a while after their work). */
void settle(void);

#endif
