/* backend.h: a backend is a struct of function pointers generated from kernels.def.
 *
 * Targets: "reference" (plain C, f32 in, f64 sums: the definition), "cpu" (threaded, vectorized; one table per
 * instruction-set level, chosen at run time) and, in its own plug-in, a GPU. All can be used in one process, so every test
 * compares them. `backend_plan` wraps a target for memory planning: kernels do nothing, workspace sizes are the target's. */
#ifndef LORAC_KERNELS_BACKEND_H
#define LORAC_KERNELS_BACKEND_H

#include "base/status.h"
#include "base/threads.h"
#include "kernels/dtype.h"
#include "kernels/quant.h"

#include <stdbool.h>
#include <stdint.h>

/* Where kernels run. For the CPU: the pool. Opaque use in kernels.def. */
typedef struct Stream {
    Pool *pool;
} Stream;

typedef enum GluAct { GLU_SILU, GLU_GELU_TANH } GluAct;

/* Dropout of the LoRA branch, counter-based: element (t,k) of part i is kept iff
 * rng_unit(philox4x32(parts[i].drop_key, token[t], k/4).v[k%4]) >= p, and then multiplied by 1/(1-p).
 * token[t] = row index in the optimizer batch << 32 | position in the row: nothing depends on the micro-batch split. */
typedef struct Dropout {
    float p;               /* 0: no dropout; token is then not read */
    const uint64_t *token; /* (T) */
} Dropout;

/* One linear layer of a group; see linear_forward in kernels.def. Members a kernel does not use may be NULL. */
typedef struct LinearPart {
    void *Y;        /* (T,N) dt, output of linear_forward */
    const void *dY; /* (T,N) dt, input of linear_backward and lora_grad */
    float *U;       /* (T,r) f32, written by linear_forward, read by lora_grad */
    float *dU;      /* (T,r) f32, written by linear_backward, read by lora_grad */
    const void *W;  /* (N,K) wt */
    const float *A; /* (r,K) f32 or NULL */
    const float *B; /* (N,r) f32 */
    float *dA, *dB; /* level 0 of the row tree */
    int64_t N, r;
    float scale;
    WType wt;
    uint64_t drop_key;
} LinearPart;

/* A row of the optimizer batch (a packed bin or one unpacked example): the unit of every gradient and loss reduction. */
typedef struct RowSpan {
    int64_t begin, end; /* tokens [begin,end) of this call */
    int64_t index;      /* in the optimizer batch, from 0 */
} RowSpan;

/* The row tree: rows 0,1,2,... are added like a binary counter. Level l holds the sum of an aligned run of 2^l rows when
 * bit l of the number of rows so far is set. tree_levels(rows) = levels needed = floor(log2(rows)) + 1. */
static inline int tree_levels(int64_t rows) {
    int levels = 0;
    while (rows > 0) {
        levels++;
        rows >>= 1;
    }
    return levels;
}

typedef struct Backend {
    const char *name;  /* "reference", "cpu", "plan" */
    const char *level; /* instruction-set level of cpu: "generic", "avx2", "avx512", "avx512bf16"; "" elsewhere */
    Stream stream;
#define K(kernel, args) void(*kernel) args;
#define KW(kernel, args, ws_args)                                                                                      \
    void(*kernel) args;                                                                                                \
    int64_t(*kernel##_workspace) ws_args;
#include "kernels/kernels.def"
#undef K
#undef KW
} Backend;

/* Opens "reference" or "cpu" on a pool (borrowed). level NULL or "" = the fastest this CPU has; a level the CPU lacks, or an
 * unknown name, is an error that lists the possible ones. */
Status backend_open(const char *name, const char *level, Pool *pool, Backend *out, Err *e);
/* The planning twin of a target: every kernel is a no-op, the workspace functions and threads are the target's. */
void backend_plan(const Backend *target, Backend *out);
/* NULL-terminated list of the levels this build has, lowest first, and whether this CPU can run one. */
const char *const *backend_cpu_levels(void);
bool backend_cpu_has(const char *level);

#endif
