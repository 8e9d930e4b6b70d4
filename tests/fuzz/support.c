/* support.c: see fuzz.h. */
#include "tests/fuzz/fuzz.h"

#include "base/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_BYTES = 1 << 18 };

Arena *fuzz_arena(void) {
    static Arena *a;
    static ArenaMark empty;
    if (a == NULL) {
        char *first; /* its block stays, so that few inputs need more from the system */
        CHECK(arena_open(&a, "fuzz target", NULL) == OK, "no arena");
        CHECK(ARENA_NEW(a, FIRST_BYTES, first, NULL) == OK, "no memory");
        empty = arena_mark(a);
        empty.used = 0;
    }
    fuzz_files_clear();
    arena_reset(a, empty);
    return a;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static char folder[256];

static void remove_folder(void) { remove_tree(folder, NULL); }

const char *fuzz_folder(void) {
    if (folder[0] != 0) return folder;
    const char *tmp = getenv("TMPDIR");
    if (access("/dev/shm", W_OK) == 0) tmp = "/dev/shm";
    snprintf(folder, sizeof folder, "%s/lorac-fuzz-XXXXXX", tmp != NULL ? tmp : "/tmp");
    CHECK(mkdtemp(folder) != NULL, "%s: no folder can be made", folder);
    atexit(remove_folder);
    return folder;
}

const char *fuzz_put(Arena *a, const char *name, const void *data, size_t bytes) {
    char *path;
    CHECK(path_join(a, fuzz_folder(), name, &path, NULL) == OK, "no memory");
    fuzz_file_add(path, data, bytes);
    return path;
}

/* ---- inputs ------------------------------------------------------------------------------------------------------ */

FuzzInput fuzz_part(FuzzInput *rest, uint8_t separator) {
    const uint8_t *end = rest->size > 0 ? memchr(rest->data, separator, rest->size) : NULL;
    FuzzInput part = {rest->data, end != NULL ? (size_t)(end - rest->data) : rest->size};
    size_t taken = part.size + (end != NULL);
    rest->data += taken;
    rest->size -= taken;
    return part;
}

char *fuzz_string(Arena *a, FuzzInput part) {
    char *s;
    CHECK(arena_strndup(a, (const char *)part.data, part.size, &s, NULL) == OK, "no memory");
    return s;
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

void fuzz_touch(const void *data, size_t bytes) {
    const uint8_t *p = data;
    volatile uint8_t sum = 0;
    for (size_t i = 0; i < bytes; i++) sum = (uint8_t)(sum ^ p[i]);
}

bool fuzz_result(const Arena *a, Status st, const Err *e) {
    static int show = -1;
    if (show < 0) show = getenv("LORAC_FUZZ_SHOW") != NULL;
    if (show) fprintf(stderr, "%s\n", st == OK ? "accepted" : e->message);
    CHECK(arena_peak_bytes(a) <= FUZZ_MEMORY_MAX, "the input took %zu bytes of memory", arena_peak_bytes(a));
    if (st == OK) return true;
    CHECK(st > OK && st < STATUS_COUNT, "status %d", (int)st);
    CHECK(e->status == st, "status %d, but the error has %d: %s", (int)st, (int)e->status, e->message);
    CHECK(e->message[0] != 0, "status %d without a message", (int)st);
    for (const char *p = e->message; *p != 0; p++)
        CHECK((uint8_t)*p >= 0x20 && *p != 0x7f, "byte %d in the message: %s", *p, e->message);
    return false;
}
