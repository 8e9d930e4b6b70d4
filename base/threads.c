/* threads.c: the pool. A job is published under a generation counter; threads take chunks from one atomic counter. The
 * caller works too and then waits until every worker has left the job, so each worker sees each generation exactly once.
 * Workers waiting for a job and the caller waiting for workers spin for about 50 us, then sleep on a condition variable.
 * Workers block signals: a stop or a hang-up is the main thread's. See threads.h. */
#define _GNU_SOURCE
#include "base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { THREADS_MAX = 1024, SPINS_BETWEEN_LOOKS = 64 };
static const int64_t SPIN_NS = 50000;

typedef struct Worker {
    Pool *pool;
    pthread_t id;
    int index;
} Worker;

struct Pool {
    int n; /* threads, the caller included */
    Worker *workers;
    pthread_mutex_t lock;
    pthread_cond_t wake;                          /* for workers: a job, or the end */
    pthread_cond_t left;                          /* for the caller: the last worker has left the job */
    _Alignas(64) atomic_uint_fast64_t generation; /* changes when a job is published */
    _Alignas(64) atomic_int_fast64_t next;
    _Alignas(64) atomic_int active; /* workers that have not left the job */
    atomic_bool caller_sleeps;
    atomic_bool closing, busy;
    PoolTask task;
    void *ctx;
    int64_t n_chunks;
};

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    sched_yield();
#endif
}

static void work(Pool *p, int thread) {
    for (;;) {
        int64_t chunk = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (chunk >= p->n_chunks) return;
        p->task(p->ctx, chunk, thread);
    }
}

/* Waits for a generation other than seen; spins first. */
static uint_fast64_t next_generation(Pool *p, uint_fast64_t seen) {
    int64_t until = now_ns() + SPIN_NS;
    do {
        for (int i = 0; i < SPINS_BETWEEN_LOOKS; i++) {
            uint_fast64_t g = atomic_load_explicit(&p->generation, memory_order_acquire);
            if (g != seen) return g;
            relax();
        }
    } while (now_ns() < until);
    pthread_mutex_lock(&p->lock);
    while (atomic_load_explicit(&p->generation, memory_order_acquire) == seen) pthread_cond_wait(&p->wake, &p->lock);
    pthread_mutex_unlock(&p->lock);
    return atomic_load_explicit(&p->generation, memory_order_acquire);
}

/* The last worker wakes a caller that sleeps. Both this and wait_for_workers use sequentially consistent steps (count, then look
 * at the flag; set the flag, then look at the count), so that at least one of the two sees the other's. */
static void leave(Pool *p) {
    if (atomic_fetch_sub(&p->active, 1) != 1 || !atomic_load(&p->caller_sleeps)) return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_signal(&p->left);
    pthread_mutex_unlock(&p->lock);
}

static void wait_for_workers(Pool *p) {
    int64_t until = now_ns() + SPIN_NS;
    do {
        for (int i = 0; i < SPINS_BETWEEN_LOOKS; i++) {
            if (atomic_load_explicit(&p->active, memory_order_acquire) == 0) return;
            relax();
        }
    } while (now_ns() < until);
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->caller_sleeps, true);
    while (atomic_load(&p->active) > 0) pthread_cond_wait(&p->left, &p->lock);
    atomic_store(&p->caller_sleeps, false);
    pthread_mutex_unlock(&p->lock);
}

static void *worker_main(void *arg) {
    Worker *w = arg;
    uint_fast64_t seen = 0;
    for (;;) {
        seen = next_generation(w->pool, seen);
        if (atomic_load_explicit(&w->pool->closing, memory_order_acquire)) return NULL;
        work(w->pool, w->index);
        leave(w->pool);
    }
}

static void publish(Pool *p) {
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add_explicit(&p->generation, 1, memory_order_release);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

/* Starts workers with all signals blocked but those of their own faults; on failure pool_close ends those that run. */
static Status start_workers(Pool *p, int threads, Err *e) {
    sigset_t blocked, before;
    int rc = 0;
    sigfillset(&blocked);
    static const int FAULTS[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
    for (size_t i = 0; i < sizeof FAULTS / sizeof FAULTS[0]; i++) sigdelset(&blocked, FAULTS[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    for (int i = 1; i < threads && rc == 0; i++) {
        p->workers[i - 1] = (Worker){.pool = p, .index = i};
        rc = pthread_create(&p->workers[i - 1].id, NULL, worker_main, &p->workers[i - 1]);
        if (rc == 0) p->n = i + 1;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        FAIL(e, ERR_OOM, "thread %d of %d cannot be started: %s; try fewer threads", p->n + 1, threads, strerror(rc));
    return OK;
}

Status pool_open(Pool **out, int threads, Err *e) {
    if (threads <= 0) threads = cpu_count();
    if (threads > THREADS_MAX) threads = THREADS_MAX;
    Pool *p = aligned_alloc(64, (sizeof *p + 63) / 64 * 64);
    if (p == NULL) FAIL(e, ERR_OOM, "out of memory: the thread pool cannot be made");
    memset(p, 0, sizeof *p);
    p->n = 1;
    p->workers = calloc((size_t)threads, sizeof *p->workers);
    if (p->workers == NULL) {
        free(p);
        FAIL(e, ERR_OOM, "out of memory: the thread pool cannot be made");
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->left, NULL);
    Status st = start_workers(p, threads, e);
    if (st != OK) {
        pool_close(p);
        return st;
    }
    *out = p;
    return OK;
}

void pool_close(Pool *p) {
    if (p == NULL) return;
    atomic_store_explicit(&p->closing, true, memory_order_release);
    publish(p);
    for (int i = 1; i < p->n; i++) pthread_join(p->workers[i - 1].id, NULL);
    pthread_cond_destroy(&p->left);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->workers);
    free(p);
}

int pool_threads(const Pool *p) { return p->n; }

void pool_run(Pool *p, int64_t n_chunks, PoolTask task, void *ctx) {
    if (n_chunks <= 0) return;
    CHECK(!atomic_exchange(&p->busy, true), "pool_run was called from inside a task, or from two threads at once");
    if (p->n == 1 || n_chunks == 1) {
        for (int64_t i = 0; i < n_chunks; i++) task(ctx, i, 0);
    } else {
        p->task = task;
        p->ctx = ctx;
        p->n_chunks = n_chunks;
        atomic_store_explicit(&p->next, 0, memory_order_relaxed);
        atomic_store_explicit(&p->active, p->n - 1, memory_order_relaxed);
        publish(p);
        work(p, 0);
        wait_for_workers(p);
    }
    atomic_store(&p->busy, false);
}
