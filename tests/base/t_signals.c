/* t_signals.c: stopping, a file that shrinks while mapped, sizes of files; each in a child process. Also the log. */
#include "tests/support/support.h"

#include "base/file.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/threads.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct Child {
    int status;
    char text[4096]; /* its stderr */
} Child;

/* Runs act in a child with stderr in a pipe. */
static Child run_child(int (*act)(const char *arg), const char *arg) {
    Child c = {0};
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        _exit(act(arg));
    }
    close(ends[1]);
    size_t len = 0;
    ssize_t n;
    while (len < sizeof c.text - 1 && (n = read(ends[0], c.text + len, sizeof c.text - 1 - len)) > 0) len += (size_t)n;
    close(ends[0]);
    assert_int_equal(waitpid(pid, &c.status, 0), pid);
    return c;
}

static void assert_exit(const Child *c, int code) {
    if (WIFEXITED(c->status) && WEXITSTATUS(c->status) == code) return;
    fail_msg("status %x, expected exit %d; stderr: %s", (unsigned)c->status, code, c->text);
}

static int stop_once(const char *arg) {
    (void)arg;
    signals_install();
    if (stop_requested()) return 10;
    raise(SIGHUP);
    raise(SIGPIPE);
    raise(SIGXFSZ);
    if (stop_requested()) return 11;
    raise(SIGTERM);
    return stop_requested() ? 42 : 12;
}

static int stop_twice(const char *arg) {
    (void)arg;
    signals_install();
    raise(SIGINT);
    raise(SIGINT);
    return 13;
}

static int stop_twice_writing(const char *path) {
    AtomicFile *f;
    Arena *a;
    if (arena_open(&a, "a", NULL) != OK || atomic_open(a, path, &f, NULL) != OK) return 10;
    return stop_twice(path);
}

static void stopping(void **state) {
    (void)state;
    Child c = run_child(stop_once, NULL);
    assert_exit(&c, 42);
    assert_string_equal(c.text, "");
    c = run_child(stop_twice, NULL);
    assert_exit(&c, 130);
    assert_non_null(strstr(c.text, "stopped at once"));
    /* the temporary file goes with the process */
    Arena *a = support_arena();
    Err e;
    char *dir = support_folder(a), *path = support_path(a, dir, "x"), **names;
    size_t n;
    c = run_child(stop_twice_writing, path);
    assert_exit(&c, 130);
    ASSERT_OK(list_folder(a, dir, &names, &n, &e), e);
    assert_int_equal(n, 0);
    ASSERT_OK(remove_tree(dir, &e), e);
    arena_close(a);
}

static int read_truncated(const char *path) {
    FileMap m, other;
    signals_install();
    if (file_map(path, &m, NULL) != OK || file_map("/proc/self/exe", &other, NULL) != OK) return 10;
    if (truncate(path, 10) != 0) return 11;
    return *(volatile const uint8_t *)(m.data + 50000);
}

static void touch(void *ctx, int64_t chunk, int thread) {
    const FileMap *m = ctx;
    volatile uint8_t sink = m->data[50000 + chunk];
    (void)sink, (void)thread;
}

static int read_truncated_in_worker(const char *path) {
    FileMap m;
    Pool *p;
    signals_install();
    if (file_map(path, &m, NULL) != OK || pool_open(&p, 3, NULL) != OK) return 10;
    if (truncate(path, 10) != 0) return 11;
    pool_run(p, 20, touch, &m);
    return 12;
}

static int read_unmapped(const char *path) {
    FileMap m;
    signals_install();
    if (file_map(path, &m, NULL) != OK) return 10;
    if (truncate(path, 10) != 0) return 11;
    signals_map_remove(m.data);
    return *(volatile const uint8_t *)(m.data + 50000);
}

static int read_beyond_the_table(const char *path) {
    FileMap m;
    signals_install();
    for (uintptr_t i = 1; i <= 1024; i++) signals_map_add((void *)(i * 16), 1, "other");
    if (file_map(path, &m, NULL) != OK) return 10;
    if (truncate(path, 10) != 0) return 11;
    return *(volatile const uint8_t *)(m.data + 50000);
}

static void truncated_while_mapped(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e;
    char *dir = support_folder(a), *path = support_path(a, dir, "weights.bin"), *expected;
    static const uint8_t zeros[100000];
    ASSERT_OK(arena_printf(a, &expected, &e, "error: %s: changed or truncated while in use\n", path), e);
    support_write(path, zeros, sizeof zeros);
    Child c = run_child(read_truncated, path);
    assert_exit(&c, 1);
    assert_string_equal(c.text, expected);
    support_write(path, zeros, sizeof zeros);
    c = run_child(read_truncated_in_worker, path);
    assert_exit(&c, 1);
    assert_non_null(strstr(c.text, expected));
    support_write(path, zeros, sizeof zeros);
    c = run_child(read_unmapped, path);
    assert_exit(&c, 1);
    assert_non_null(strstr(c.text, "error: memory that belongs to no mapped file"));
    support_write(path, zeros, sizeof zeros);
    c = run_child(read_beyond_the_table, path);
    assert_exit(&c, 1);
    assert_string_equal(c.text, "error: a mapped file: changed or truncated while in use\n");
    char long_name[201], *deep = dir;
    memset(long_name, 'n', 200);
    long_name[200] = 0;
    for (int i = 0; i < 3; i++) deep = support_path(a, deep, long_name);
    ASSERT_OK(make_folders(deep, &e), e);
    path = support_path(a, deep, "end.gguf");
    support_write(path, zeros, sizeof zeros);
    c = run_child(read_truncated, path);
    assert_exit(&c, 1);
    assert_non_null(strstr(c.text, "nn/end.gguf: changed or truncated while in use\n"));
    ASSERT_OK(remove_tree(dir, &e), e);
    arena_close(a);
}

static void log_without_terminal(void **state) {
    (void)state;
    Log log;
    char text[16], *got = NULL;
    size_t len;
    int saved = dup(STDERR_FILENO), ends[2];
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO); /* a pipe is no terminal: no bar, no colour */
    log_open(&log, false);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[0]);
    close(ends[1]);
    assert_false(log.bar || log.color || log.quiet);
    assert_int_equal(log.columns, 80);
    log.err = open_memstream(&got, &len);
    assert_non_null(log.err);
    log_note(&log, "note %d", 1);
    log_bar(&log, 0.5, "hidden");
    log_bar_end(&log);
    log.bar = true;
    log_bar(&log, 0.5, "step %d %0200d", 7, 0);
    log_warn(&log, "careful");
    log.quiet = true;
    log_note(&log, "quiet");
    log_warn(&log, "loud");
    fclose(log.err);
    assert_memory_equal(got, "note 1\n\r[##########..........] step 7 000", 41);
    assert_non_null(strstr(got, "0\033[K\nwarning: careful\nwarning: loud\n"));
    assert_true(len < 160);
    free(got);
    static const struct {
        uint64_t bytes;
        const char *text;
    } CASES[] = {{0, "0 B"},         {999, "999 B"},        {1000, "1.0 kB"},       {999949, "999.9 kB"},
                 {999950, "1.0 MB"}, {35000000, "35.0 MB"}, {1200000000, "1.2 GB"}, {UINT64_MAX, "18446.7 PB"}};
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++)
        assert_string_equal(human_bytes(CASES[i].bytes, text), CASES[i].text);
    assert_true(rss_bytes() > 100000 && rss_peak_bytes() >= rss_bytes() / 2);
    double t = clock_s();
    assert_true(clock_s() >= t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(stopping), cmocka_unit_test(truncated_while_mapped),
                                       cmocka_unit_test(log_without_terminal)};
    return cmocka_run_group_tests_name("signals", tests, NULL, NULL);
}
