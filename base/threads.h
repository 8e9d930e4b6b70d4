/* threads.h: one pool of threads for the whole program.
 *
 * pool_run hands out chunks 0..n_chunks-1 by an atomic counter to the calling thread and the workers, and returns when
 * all are done. What a chunk computes must not depend on which thread runs it or in which order (promise P5). Workers
 * spin about 50 us for the next job and then sleep. Clean under ThreadSanitizer. A pool of 1 thread runs inline. */
#ifndef LORAC_BASE_THREADS_H
#define LORAC_BASE_THREADS_H

#include "base/status.h"

#include <stdint.h>

typedef struct Pool Pool;

/* ctx is the caller's; chunk in [0, n_chunks); thread in [0, pool_threads): indexes per-thread scratch only. */
typedef void (*PoolTask)(void *ctx, int64_t chunk, int thread);

/* threads <= 0 means one per processor this process may use (affinity, cgroup quota); more than 1024 means 1024. */
Status pool_open(Pool **out, int threads, Err *e);
/* Ends the workers; NULL is allowed. */
void pool_close(Pool *p);
int pool_threads(const Pool *p);
/* Runs the chunks and returns when all are done; what they wrote is then visible to the caller. n_chunks <= 0 does
 * nothing. Not from inside a task and not from two threads at once: both are CHECK failures. */
void pool_run(Pool *p, int64_t n_chunks, PoolTask task, void *ctx);

/* The number of processors this process may use: affinity mask and cgroup cpu.max, at least 1. */
int cpu_count(void);

#endif
