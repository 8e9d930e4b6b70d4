/* files.h: what the tests of checkpoints/ share: a fixture with an arena and a temporary folder, golden files, and the
 * loops that damage a file in every possible place. */
#ifndef LORAC_TESTS_CHECKPOINTS_FILES_H
#define LORAC_TESTS_CHECKPOINTS_FILES_H

#include "base/buf.h"
#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define GOLDEN LORAC_SOURCE_DIR "/tests/checkpoints/golden/"

typedef struct Fixture {
    Arena *a;
    char folder[256];
    char *data; /* of the last get_file */
    Err e;
} Fixture;

static inline int fixture_open(void **state) {
    Fixture *f = calloc(1, sizeof *f);
    const char *tmp = getenv("TMPDIR");
    if (f == NULL || arena_open(&f->a, "test", &f->e) != OK) return -1;
    snprintf(f->folder, sizeof f->folder, "%s/lorac-test-XXXXXX", tmp != NULL ? tmp : "/tmp");
    *state = f;
    return mkdtemp(f->folder) == NULL ? -1 : 0;
}

static inline int fixture_close(void **state) {
    Fixture *f = *state;
    remove_tree(f->folder, &f->e);
    arena_close(f->a);
    free(f);
    return 0;
}

#define FIXTURE_TEST(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)

/* The call succeeds; otherwise its message is shown. */
#define GOOD(f, call)                                                                                                  \
    do {                                                                                                               \
        Status good_ = (call);                                                                                         \
        if (good_ != OK) fail_msg("%s", (f)->e.message);                                                               \
    } while (0)

/* The call fails with this status, and its message holds the text. */
#define BAD(f, call, code, text)                                                                                       \
    do {                                                                                                               \
        Status bad_ = (call);                                                                                          \
        if (bad_ != (code)) fail_msg("status %s, expected %s", status_text(bad_), status_text(code));                  \
        if (strstr((f)->e.message, text) == NULL) fail_msg("'%s' does not say '%s'", (f)->e.message, text);            \
    } while (0)

static inline char *in_folder(Fixture *f, const char *name) {
    char *path = NULL;
    GOOD(f, path_join(f->a, f->folder, name, &path, &f->e));
    return path;
}

static inline void put_file(const char *path, const void *data, size_t bytes) {
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(data, 1, bytes, out), bytes);
    assert_int_equal(fclose(out), 0);
}

static inline char *get_file(Fixture *f, const char *path, size_t *bytes) {
    GOOD(f, file_read(f->a, path, 1 << 26, &f->data, bytes, &f->e));
    return f->data;
}

static inline void same_files(Fixture *f, const char *a, const char *b) {
    size_t na, nb;
    char *da = get_file(f, a, &na), *db = get_file(f, b, &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(da, db, na);
}

/* x[i] of make_golden.py. */
static inline float golden_value(int64_t i) { return (float)(37 * i % 101 - 50) / 64.0f; }

/* Opens the damaged file, uses everything in it, closes it. An error must come with a message that names the file. */
typedef Status (*OpenAndUse)(Fixture *f, const char *path);

static inline Status try_damaged(Fixture *f, const char *path, const char *named, OpenAndUse use) {
    ArenaMark mark = arena_mark(f->a);
    f->e.message[0] = 0;
    Status st = use(f, path);
    if (st != OK && strstr(f->e.message, named) == NULL) fail_msg("'%s' does not name '%s'", f->e.message, named);
    arena_reset(f->a, mark);
    return st;
}

/* Every length below the whole: an error, unless at least `enough` bytes are there (what follows is padding). */
static inline void truncate_everywhere(Fixture *f, const char *path, const char *named, size_t enough, OpenAndUse use) {
    size_t n;
    char *data = get_file(f, path, &n);
    for (size_t len = 0; len < n; len++) {
        assert_int_equal(truncate(path, (off_t)len), 0);
        Status st = try_damaged(f, path, named, use);
        if (len < enough && st == OK) fail_msg("%s cut to %zu of %zu bytes was accepted", path, len, n);
        put_file(path, data, n);
    }
}

/* Every byte of [0, bytes) set to several values, and every 1-, 4- and 8-byte place set to extremes. Whatever happens
 * is fine but a crash, a hang or a sanitizer's report. */
static inline void damage_everywhere(Fixture *f, const char *path, const char *named, size_t bytes, OpenAndUse use) {
    static const uint64_t EXTREMES[] = {0,
                                        1,
                                        0x7fffffff,
                                        0x80000000u,
                                        0xffffffffu,
                                        0x7fffffffffffffffu,
                                        0x8000000000000000u,
                                        0xffffffffffffffffu,
                                        0x1000000000u};
    size_t n;
    char *data = get_file(f, path, &n);
    for (size_t at = 0; at < bytes && at < n; at++) {
        FILE *file = fopen(path, "r+b");
        assert_non_null(file);
        setvbuf(file, NULL, _IONBF, 0);
        uint8_t old = (uint8_t)data[at];
        const uint8_t single[] = {(uint8_t)(old ^ 1), (uint8_t)(old ^ 0x80), (uint8_t)(old + 1), 0, 0xff, '"', ' '};
        for (size_t i = 0; i < sizeof single; i++) {
            fseek(file, (long)at, SEEK_SET);
            fwrite(&single[i], 1, 1, file);
            try_damaged(f, path, named, use);
        }
        for (size_t i = 0; i < sizeof EXTREMES / sizeof EXTREMES[0]; i++)
            for (size_t width = 4; width <= 8; width += 4) {
                if (at + width > n) continue;
                fseek(file, (long)at, SEEK_SET);
                fwrite(&EXTREMES[i], 1, width, file);
                try_damaged(f, path, named, use);
                fseek(file, (long)at, SEEK_SET);
                fwrite(data + at, 1, width, file);
            }
        fseek(file, (long)at, SEEK_SET);
        fwrite(&old, 1, 1, file);
        fclose(file);
    }
    put_file(path, data, n);
}

/* With an arena of 4 KiB, 8 KiB ... until it is enough: always a clean ERR_OOM before. */
static inline void starve(Fixture *f, const char *path, OpenAndUse use) {
    Arena *whole = f->a;
    for (size_t bytes = 4096;; bytes += 4096) {
        Arena *small;
        GOOD(f, arena_open_fixed(&small, "small", bytes, &f->e));
        f->a = small;
        Status st = use(f, path);
        f->a = whole;
        arena_close(small);
        if (st == OK) return;
        if (st != ERR_OOM || bytes > 1 << 24) fail_msg("%zu bytes: %s", bytes, f->e.message);
    }
}

#endif
