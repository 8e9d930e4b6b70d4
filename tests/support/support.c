/* support.c: see support.h. */
#include "tests/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void support_assert_ok(Status got, const Err *e, const char *file, int line) {
    if (got == OK) return;
    print_error("%s:%d: failed with '%s': %s\n", file, line, status_text(got), e->message);
    _fail(file, line);
}

void support_assert_fails(Status got, Status expected, const Err *e, const char *part, const char *file, int line) {
    if (got == OK) {
        print_error("%s:%d: succeeded, expected '%s' with \"%s\"\n", file, line, status_text(expected), part);
        _fail(file, line);
    }
    if (got == expected && e->status == expected && strstr(e->message, part) != NULL &&
        strchr(e->message, '\n') == NULL)
        return;
    print_error("%s:%d: '%s': %s\nexpected '%s' with \"%s\"\n", file, line, status_text(got), e->message,
                status_text(expected), part);
    _fail(file, line);
}

Arena *support_arena(void) {
    Arena *a;
    Err e;
    ASSERT_OK(arena_open(&a, "test", &e), e);
    return a;
}

char *support_folder(Arena *a) {
    Err e;
    char *path;
    const char *base = getenv("TMPDIR");
    ASSERT_OK(arena_printf(a, &path, &e, "%s/lorac-test-XXXXXX", base == NULL || base[0] == 0 ? "/tmp" : base), e);
    assert_non_null(mkdtemp(path));
    return path;
}

char *support_path(Arena *a, const char *dir, const char *name) {
    Err e;
    char *path;
    ASSERT_OK(path_join(a, dir, name, &path, &e), e);
    return path;
}

void support_write(const char *path, const void *data, size_t bytes) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, bytes, f), bytes);
    assert_int_equal(fclose(f), 0);
}

char *support_shared(Arena *a, const char *name) {
    const char *shared = getenv("LORAC_SHARED");
    char *path = support_path(a, shared == NULL ? LORAC_SOURCE_DIR "/../shared" : shared, name);
    return path_exists(path) ? path : NULL;
}

int support_open_files(void) {
    Arena *a = support_arena();
    Err e;
    char **names;
    size_t n;
    ASSERT_OK(list_folder(a, "/proc/self/fd", &names, &n, &e), e);
    arena_close(a);
    return (int)n;
}
