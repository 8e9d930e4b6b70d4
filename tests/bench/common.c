/* common.c: see common.h. */
#define _GNU_SOURCE
#include "tests/bench/common.h"

#include "base/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

void bench_stop(const Bench *b, const char *message) {
    fflush(stdout);
    fprintf(stderr, "%s: %s\n", b->program, message);
    exit(1);
}

bool bench_option(Bench *b, const char *key, const char *value) {
    if (strcmp(key, "--threads") == 0)
        b->threads = atoi(value);
    else if (strcmp(key, "--level") == 0)
        b->level = value;
    else if (strcmp(key, "--dtype") == 0 && (strcmp(value, "f32") == 0 || strcmp(value, "bf16") == 0))
        b->dt = strcmp(value, "bf16") == 0 ? DT_BF16 : DT_F32;
    else if (strcmp(key, "--samples") == 0 && atoi(value) > 0)
        b->samples = atoi(value) < BENCH_MAX_SAMPLES ? atoi(value) : BENCH_MAX_SAMPLES;
    else if (strcmp(key, "--only") == 0)
        b->only = value;
    else
        return false;
    return true;
}

void bench_open(Bench *b, size_t array_bytes) {
    Err e;
    if (pool_open(&b->pool, b->threads, &e) != OK || arena_open(&b->arena, "bench", &e) != OK ||
        backend_open("cpu", b->level, b->pool, &b->backend, &e) != OK)
        bench_stop(b, e.message);
    b->threads = pool_threads(b->pool);
    b->probe = (Probe){.pool = b->pool, .level = b->backend.level, .array_bytes = array_bytes};
    if (array_bytes == 0) return;
    b->probe.array = bench_take(b, (int64_t)array_bytes);
    memset(b->probe.array, 1, array_bytes);
}

void bench_close(Bench *b) {
    arena_close(b->arena);
    pool_close(b->pool);
}

void *bench_take(Bench *b, int64_t bytes) {
    void *p;
    Err e;
    if (arena_alloc(b->arena, (size_t)bytes, 1, &p, &e) != OK) bench_stop(b, e.message);
    return p;
}

float *bench_randoms(Bench *b, int64_t n, float low) {
    float *x = bench_take(b, n * 4);
    for (int64_t i = 0; i < n; i += 4) {
        Philox r = philox4x32(1, (uint64_t)i, 7);
        for (int64_t j = i; j < n && j < i + 4; j++) x[j] = rng_unit(r.v[j - i]) + low;
    }
    return x;
}

void *bench_activations(Bench *b, int64_t n, float low) {
    float *x = bench_randoms(b, n, low);
    if (b->dt == DT_F32) return x;
    uint16_t *h = bench_take(b, n * 2);
    for (int64_t i = 0; i < n; i++) h[i] = bf16_from_f32(x[i]);
    return h;
}

bool list_has(const char *list, const char *name) {
    size_t n = strlen(name);
    if (strcasecmp(list, "all") == 0) return true;
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        if (*at == ',') at++;
        if (strncasecmp(at, name, n) == 0 && (at[n] == 0 || at[n] == ',')) return true;
    }
    return false;
}

double processor_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double median(double *x, int n) {
    qsort(x, (size_t)n, sizeof *x, ascending);
    return x[n / 2];
}

void settle(void) {
    for (int i = 0; i < 100; i++) {
        double start = processor_s();
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        if (processor_s() - start < 0.0002) return;
    }
}
