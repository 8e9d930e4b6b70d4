/* gemm_case.h: one product of the CPU backend at one shape, with its data, ready to be run again and again.
 *
 * Weights rotate over copies that exceed the caches, as in training, where each layer's come from memory. */
#ifndef LORAC_TESTS_BENCH_GEMM_CASE_H
#define LORAC_TESTS_BENCH_GEMM_CASE_H

#include "tests/bench/common.h"

enum { GEMM_PARTS = 3 };

typedef enum Work { FORWARD, BACKWARD, GRAD, HEAD, LOGITS, WORKS } Work;
extern const char *const WORK_NAMES[WORKS];

/* A group of linear layers of one input, or a head (one part). */
typedef struct GemmShape {
    const char *name; /* "qkv" */
    int n_parts;
    int64_t N[GEMM_PARTS], K;
    bool head;
} GemmShape;

typedef struct GemmCase {
    const GemmShape *shape;
    Work work;
    WType wt;
    int64_t T, rank;
    float dropout;
    LinearPart parts[GEMM_PARTS];
    uint8_t *W[GEMM_PARTS];
    int64_t W_bytes[GEMM_PARTS], weight_bytes, copies, copy;
    void *X, *dX, *Y, *ws;
    int32_t *index, *target;
    float *weight, *logp;
    Dropout drop;
    RowSpan row;
    double flop; /* of one run, the adapter's included */
} GemmCase;

/* Fills in what follows `dropout`; memory is the bench's, given back by the caller's arena mark. */
void gemm_prepare(Bench *b, GemmCase *c);
void gemm_run(Bench *b, GemmCase *c);

#endif
