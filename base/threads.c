/* threads.c: the pool. A job is published under a generation counter; threads take chunks from one atomic counter. The
 * caller works too and then waits until every worker has left the job. Workers spin for about 50 us, then sleep on a
 * condition variable. See threads.h. */
#define _GNU_SOURCE
#include "base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
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
    pthread_cond_t wake;
    _Alignas(64) atomic_uint_fast64_t generation; /* changes when a job is published */
    _Alignas(64) atomic_int_fast64_t next;
    _Alignas(64) atomic_int active; /* workers that have not left the job */
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

static void *worker_main(void *arg) {
    Worker *w = arg;
    uint_fast64_t seen = 0;
    for (;;) {
        seen = next_generation(w->pool, seen);
        if (atomic_load_explicit(&w->pool->closing, memory_order_acquire)) return NULL;
        work(w->pool, w->index);
        atomic_fetch_sub_explicit(&w->pool->active, 1, memory_order_release);
    }
}

static void publish(Pool *p) {
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add_explicit(&p->generation, 1, memory_order_release);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

/* Starts workers; on failure those that run are told to end by pool_close. */
static Status start_workers(Pool *p, int threads, Err *e) {
    for (int i = 1; i < threads; i++) {
        p->workers[i - 1] = (Worker){.pool = p, .index = i};
        int rc = pthread_create(&p->workers[i - 1].id, NULL, worker_main, &p->workers[i - 1]);
        if (rc != 0)
            FAIL(e, ERR_OOM, "thread %d of %d cannot be started: %s; try fewer threads", i, threads, strerror(rc));
        p->n = i + 1;
    }
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
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->workers);
    free(p);
}

int pool_threads(const Pool *p) { return p->n; }

void pool_run(Pool *p, int64_t n_chunks, PoolTask task, void *ctx) {
    if (n_chunks <= 0) return;
    CHECK(!atomic_exchange(&p->busy, true), "pool_run was called from inside a task");
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
        int64_t until = now_ns() + SPIN_NS;
        while (atomic_load_explicit(&p->active, memory_order_acquire) > 0) {
            relax();
            if (now_ns() > until) sched_yield();
        }
    }
    atomic_store(&p->busy, false);
}

/* Processors granted by a cgroup v2 quota, or 0 when there is none. */
static int quota_cpus(void) {
    char text[64] = "";
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "r");
    if (f == NULL) return 0;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    long long quota = 0, period = 0;
    if (sscanf(text, "%lld %lld", &quota, &period) != 2 || quota <= 0 || period <= 0) return 0;
    long long cpus = (quota + period - 1) / period;
    return cpus > THREADS_MAX ? THREADS_MAX : (int)cpus;
}

int cpu_count(void) {
    cpu_set_t set;
    int n = 1;
    if (sched_getaffinity(0, sizeof set, &set) == 0) n = CPU_COUNT(&set);
    int quota = quota_cpus();
    if (quota > 0 && quota < n) n = quota;
    return n < 1 ? 1 : n;
}
