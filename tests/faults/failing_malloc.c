/* failing_malloc.c: a shared object for LD_PRELOAD that fails malloc, calloc and realloc at chosen calls, for t_malloc.sh.
 *
 * FAIL_MALLOC=N fails the N-th call of the process (from 1), FAIL_MALLOC=N+ that one and all later ones. FAIL_MALLOC_LOG=FILE
 * gets the number of calls at the end, as text. Calls before the environment can be read count as well. The rest is the C
 * library's own (glibc's __libc_malloc). Not part of lorac: it is built by the test. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <errno.h>

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t bytes);

static atomic_llong calls;

static bool fails(void) {
    const char *s = getenv("FAIL_MALLOC");
    long long now = atomic_fetch_add(&calls, 1) + 1;
    if (s == NULL) return false;
    char *end;
    long long at = strtoll(s, &end, 10);
    bool hit = *end == '+' ? now >= at : now == at;
    if (hit) errno = ENOMEM;
    return hit;
}

void *malloc(size_t bytes) { return fails() ? NULL : __libc_malloc(bytes); }
void *calloc(size_t n, size_t size) { return fails() ? NULL : __libc_calloc(n, size); }
void *realloc(void *p, size_t bytes) { return fails() ? NULL : __libc_realloc(p, bytes); }

__attribute__((destructor)) static void report(void) {
    const char *path = getenv("FAIL_MALLOC_LOG");
    char text[32];
    if (path == NULL) return;
    int n = snprintf(text, sizeof text, "%lld\n", (long long)atomic_load(&calls));
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd < 0) return;
    if (write(fd, text, (size_t)n) != n)
        close(fd);
    else
        close(fd);
}
