/* probe.h: what this machine can do at most: arithmetic in registers, reading and copying memory.
 *
 * Benchmarks run a probe right before each sample and state the sample as a share of it. All threads start together;
 * each measures its own processor time, and the rates are added, so that threads which share a cache, a clock or a
 * memory bus show it, and time given to other programs does not count. */
#ifndef LORAC_TESTS_BENCH_PROBE_H
#define LORAC_TESTS_BENCH_PROBE_H

#include "base/threads.h"
#include "kernels/dtype.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum ProbeKind {
    PROBE_F32,  /* multiply-adds of f32: flop */
    PROBE_BF16, /* multiply-adds of bf16 pairs into f32: flop; AVX-512-BF16 only */
    PROBE_INT8, /* multiply-adds of bytes into i32: operations */
    PROBE_READ, /* bytes read from an array larger than the caches */
    PROBE_COPY, /* bytes read and written */
    PROBE_KINDS
} ProbeKind;

typedef struct Probe {
    Pool *pool;
    const char *level; /* of the backend: "avx2", ... */
    void *array;       /* for PROBE_READ and PROBE_COPY */
    size_t array_bytes;
} Probe;

/* What the probe does, "vfmadd231ps ymm"; NULL where the level or this CPU lacks it. */
const char *probe_name(const Probe *p, ProbeKind kind);
/* Work per second of all threads of the pool together; 0 where probe_name is NULL. Takes about 2 ms (arithmetic), or one
 * pass over the array. */
double probe_rate(const Probe *p, ProbeKind kind);
/* The peak that products of activations dt can reach at the level, of all threads. */
double probe_peak(const Probe *p, DType dt);

#endif
