/* t_threads.c: the pool: every chunk runs once, results are visible, sleep and wake, many small jobs; the processor
 * count. Meant to be run under ThreadSanitizer as well. */
#define _GNU_SOURCE
#include "tests/support/support.h"

#include "base/threads.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHUNKS = 10000, THREADS = 8 };

typedef struct Job {
    int64_t out[CHUNKS]; /* plain memory: a missing barrier is a data race */
    int64_t by_thread[THREADS];
    int threads;
    atomic_int bad;
} Job;

static void square(void *ctx, int64_t chunk, int thread) {
    Job *j = ctx;
    if (thread < 0 || thread >= j->threads || chunk < 0 || chunk >= CHUNKS) {
        atomic_fetch_add(&j->bad, 1);
        return;
    }
    j->out[chunk] += chunk * chunk;
    j->by_thread[thread]++;
}

static void nap(int64_t ns) { nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL); }

static void sums(void **state) {
    (void)state;
    static Job j;
    Err e;
    for (int threads = 1; threads <= THREADS; threads++) {
        Pool *p;
        ASSERT_OK(pool_open(&p, threads, &e), e);
        assert_int_equal(pool_threads(p), threads);
        static const int64_t COUNTS[] = {0, -5, 1, 2, 3, 7, 8, 9, 64, CHUNKS};
        for (size_t i = 0; i < sizeof COUNTS / sizeof COUNTS[0]; i++) {
            int64_t n = COUNTS[i] < 0 ? 0 : COUNTS[i], ran = 0;
            memset(&j, 0, sizeof j);
            j.threads = threads;
            pool_run(p, COUNTS[i], square, &j);
            for (int64_t k = 0; k < CHUNKS; k++) assert_int_equal(j.out[k], k < n ? k * k : 0);
            for (int t = 0; t < THREADS; t++) ran += j.by_thread[t];
            assert_int_equal(ran, n);
            assert_int_equal(atomic_load(&j.bad), 0);
        }
        pool_close(p);
    }
    pool_close(NULL);
}

static void many_tiny_jobs(void **state) {
    (void)state;
    static Job j;
    Err e;
    for (int threads = 1; threads <= 5; threads += 2) {
        Pool *p;
        ASSERT_OK(pool_open(&p, threads, &e), e);
        memset(&j, 0, sizeof j);
        j.threads = threads;
        for (int job = 0; job < 3000; job++) {
            pool_run(p, 1 + job % 5, square, &j);
            if (job % 500 == 0) nap(300000); /* long enough for workers to sleep */
        }
        for (int64_t k = 0; k < 5; k++) assert_int_equal(j.out[k], (3000 - 600 * k) * k * k);
        pool_close(p);
    }
}

static void slow_last_chunk(void *ctx, int64_t chunk, int thread) {
    Job *j = ctx;
    (void)thread;
    if (thread != 0) nap(2000000); /* the caller has gone to sleep by then */
    j->out[chunk]++;
}

static void caller_sleeps(void **state) {
    (void)state;
    static Job j;
    Err e;
    Pool *p;
    ASSERT_OK(pool_open(&p, 4, &e), e);
    memset(&j, 0, sizeof j);
    for (int job = 0; job < 50; job++) pool_run(p, 4, slow_last_chunk, &j);
    for (int k = 0; k < 4; k++) assert_int_equal(j.out[k], 50);
    pool_close(p);
    for (int i = 0; i < 20; i++) { /* closing while workers start, spin or sleep */
        ASSERT_OK(pool_open(&p, 1 + i % 4, &e), e);
        if (i % 3 == 0) nap(200000);
        pool_close(p);
    }
}

typedef struct Nested {
    Pool *pool;
} Nested;

static void nest(void *ctx, int64_t chunk, int thread) {
    Nested *n = ctx;
    (void)chunk, (void)thread;
    pool_run(n->pool, 2, nest, n);
}

/* A nested pool_run is our own bug: the process ends with the sentence that says so. Runs in a child. */
static void nested_is_a_bug(void **state) {
    (void)state;
    for (int threads = 1; threads <= 2; threads++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            Nested n;
            signal(SIGABRT, SIG_DFL);
            dup2(ends[1], STDERR_FILENO);
            if (pool_open(&n.pool, threads, NULL) == OK) pool_run(n.pool, 3, nest, &n);
            _exit(0);
        }
        close(ends[1]);
        char text[4096];
        size_t len = 0;
        ssize_t n;
        while (len < sizeof text - 1 && (n = read(ends[0], text + len, sizeof text - 1 - len)) > 0) len += (size_t)n;
        text[len] = 0;
        close(ends[0]);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
        assert_non_null(strstr(text, "pool_run was called from inside a task"));
    }
}

static void processors(void **state) {
    (void)state;
    cpu_set_t before, one;
    int n = cpu_count();
    assert_true(n >= 1);
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    assert_true(n <= CPU_COUNT(&before));
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++) {
        if (CPU_ISSET((size_t)i, &before)) CPU_SET((size_t)i, &one);
    }
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(cpu_count(), 1);
    Pool *p;
    Err e;
    ASSERT_OK(pool_open(&p, 0, &e), e);
    assert_int_equal(pool_threads(p), 1);
    pool_close(p);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums),          cmocka_unit_test(many_tiny_jobs),
        cmocka_unit_test(caller_sleeps), cmocka_unit_test(nested_is_a_bug),
        cmocka_unit_test(processors),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
