/* spread.h: splitting n independent items over the pool.
 *
 * Items are handed out in chunks of `grain`; one chunk runs on the calling thread at once, so that a small call does not
 * pay for the pool. An item's result must not depend on the chunk it is in, so the grain is a matter of speed only. */
#ifndef LORAC_KERNELS_CPU_SPREAD_H
#define LORAC_KERNELS_CPU_SPREAD_H

#include "kernels/backend.h"

/* Items [begin, end) of the caller's ctx. */
typedef void (*SpreadTask)(const void *ctx, int64_t begin, int64_t end);

typedef struct Spread {
    SpreadTask task;
    const void *ctx;
    int64_t n, grain;
} Spread;

/* About the number of elements that is worth waking another thread for. */
enum { SPREAD_ELEMENTS = 16384 };

static inline void spread_chunk(void *ctx, int64_t chunk, int thread) {
    (void)thread;
    const Spread *spread = ctx;
    int64_t begin = chunk * spread->grain, end = begin + spread->grain;
    spread->task(spread->ctx, begin, end < spread->n ? end : spread->n);
}

/* Runs task over [0, n). n may be 0. */
static inline void spread_run(Stream *s, int64_t n, int64_t grain, SpreadTask task, const void *ctx) {
    if (n <= 0) return;
    Spread spread = {.task = task, .ctx = ctx, .n = n, .grain = grain};
    if (n <= grain)
        task(ctx, 0, n);
    else
        pool_run(s->pool, (n + grain - 1) / grain, spread_chunk, &spread);
}

/* Rows of `cols` elements, at least one row a chunk. */
static inline void spread_rows(Stream *s, int64_t rows, int64_t cols, SpreadTask task, const void *ctx) {
    int64_t grain = cols > 0 && cols < SPREAD_ELEMENTS ? SPREAD_ELEMENTS / cols : 1;
    spread_run(s, rows, grain, task, ctx);
}

#endif
