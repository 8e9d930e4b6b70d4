/* fuzz_state.c: checkpoint folders (checkpoints/state_hdf5.h). The first byte says what the rest is:
 *   R  the line of state.h5.xxh3, NUL, the bytes of state.h5: unless they match, libhdf5 must not see them (calls of
 *      h5_open_image are counted)
 *   else a text that is made into a state by our own writer, with its right sum: one entry a line
 *     h                     the three values that every state has; the step is the number that follows
 *     d PATH TYPE DIM,...   a dataset anywhere, of a type 0..5 and up to 3 dims
 *     s PATH TEXT           a text anywhere
 *   and then every name is asked for as each kind of value.
 * In this target h5_stand_in.c takes the place of libhdf5, which is not what is tested; fuzz_state_hdf5 is the same with
 * libhdf5 itself. */
#include "tests/fuzz/fuzz.h"

#include "base/h5.h"
#include "base/hash.h"
#include "checkpoints/state_hdf5.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_MAX = 24, DIMS_MAX = 3, DATA_MAX = 1 << 12, NAME_MAX_BYTES = 200 };

/* The linker sends calls of h5_open_image here (--wrap). */
static int images_opened;
Status __real_h5_open_image(Arena *a, const char *name, const void *image, size_t bytes, H5 **out, Err *e);
Status __wrap_h5_open_image(Arena *a, const char *name, const void *image, size_t bytes, H5 **out, Err *e);
Status __wrap_h5_open_image(Arena *a, const char *name, const void *image, size_t bytes, H5 **out, Err *e) {
    images_opened++;
    return __real_h5_open_image(a, name, image, bytes, out, e);
}

static char *right_line(Arena *a, const void *image, size_t bytes) {
    char hex[HASH_HEX_BYTES], *line;
    hash_hex(hash128(image, bytes), hex);
    CHECK(arena_printf(a, &line, NULL, "%s  state.h5\n", hex) == OK, "no memory");
    return line;
}

/* ---- states of any bytes --------------------------------------------------------------------------------------------- */

static void try_bytes(Arena *a, FuzzInput sum, FuzzInput image) {
    StateFile *f = NULL;
    Err e = {0};
    const char *line = right_line(a, image.data, image.size);
    bool same = sum.size == strlen(line) && memcmp(sum.data, line, sum.size) == 0;
    if (same) return; /* libhdf5 itself is not fuzzed */
    fuzz_put(a, "state.h5.xxh3", sum.data, sum.size);
    fuzz_put(a, "state.h5", image.data, image.size);
    images_opened = 0;
    Status st = state_open(a, fuzz_folder(), &f, &e);
    CHECK(st != OK && images_opened == 0, "bytes with a wrong sum reached libhdf5");
    fuzz_result(a, st, &e);
}

/* ---- states made by our writer --------------------------------------------------------------------------------------- */

static int64_t integer(FuzzInput s) {
    char text[24] = "";
    if (s.size > 0) memcpy(text, s.data, s.size < sizeof text ? s.size : sizeof text - 1);
    return strtoll(text, NULL, 10);
}

/* Paths are what our own code would give: no empty parts, no "." and nothing below a dataset (libhdf5 says no). */
static bool path_is_plain(const char *p) {
    if (strlen(p) > NAME_MAX_BYTES || p[0] == 0) return false;
    for (const char *part = p; part != NULL;) {
        const char *slash = strchr(part, '/');
        size_t n = slash != NULL ? (size_t)(slash - part) : strlen(part);
        if (n == 0 || part[0] == '.') return false;
        part = slash != NULL ? slash + 1 : NULL;
    }
    return true;
}

static void put_header(H5 *h, int64_t step) {
    Err e = {0};
    int64_t version = STATE_VERSION;
    h5_put_string(h, "format", "lorac-train-state", 17, &e);
    h5_put(h, "version", H5_I64, 0, NULL, &version, &e);
    h5_put(h, "step", H5_I64, 0, NULL, &step, &e);
}

static void put_set(H5 *h, const char *path, FuzzInput rest) {
    static const uint8_t zeros[DATA_MAX * 8];
    H5Type type = (H5Type)((uint64_t)integer(fuzz_part(&rest, ' ')) % (H5_F64 + 1));
    uint64_t dims[DIMS_MAX], n = 1;
    int rank = 0;
    Err e = {0};
    for (; rest.size > 0 && rank < DIMS_MAX; rank++) {
        dims[rank] = (uint64_t)integer(fuzz_part(&rest, ','));
        if (dims[rank] > DATA_MAX || (n *= dims[rank]) > DATA_MAX) return;
    }
    h5_put(h, path, type, rank, dims, zeros, &e);
}

static void put_line(Arena *a, H5 *h, FuzzInput line) {
    FuzzInput kind = fuzz_part(&line, ' ');
    Err e = {0};
    if (kind.size != 1) return;
    if (kind.data[0] == 'h') {
        put_header(h, integer(line));
        return;
    }
    const char *path = fuzz_string(a, fuzz_part(&line, ' '));
    if (!path_is_plain(path)) return;
    if (kind.data[0] == 'd') put_set(h, path, line);
    if (kind.data[0] == 's') h5_put_string(h, path, (const char *)line.data, line.size, &e);
}

static void ask(Arena *a, const StateFile *f, const char *name) {
    static float data[DATA_MAX];
    static const int64_t SHAPES[][2] = {{1, 1}, {2, 3}, {64, 64}};
    int64_t i;
    double r;
    char *text;
    size_t len;
    Err e = {0};
    if (fuzz_result(a, state_int(f, name, &i, &e), &e)) CHECK(state_has_int(f, name), "int '%s'", name);
    if (fuzz_result(a, state_real(f, name, &r, &e), &e)) CHECK(state_has_real(f, name), "real '%s'", name);
    if (fuzz_result(a, state_text(f, a, name, &text, &len, &e), &e)) {
        CHECK(state_has_text(f, name), "text '%s'", name);
        fuzz_touch(text, len + 1);
    }
    for (size_t s = 0; s < sizeof SHAPES / sizeof SHAPES[0]; s++)
        if (fuzz_result(a, state_array(f, name, SHAPES[s][0], SHAPES[s][1], data, &e), &e))
            CHECK(state_has_array(f, name), "array '%s'", name);
}

static void use(Arena *a, const StateFile *f, FuzzInput text) {
    CHECK(state_step(f) >= 0, "step %lld", (long long)state_step(f));
    for (int i = 0; i < LINES_MAX && text.size > 0; i++) {
        FuzzInput line = fuzz_part(&text, '\n');
        fuzz_part(&line, ' ');
        const char *path = fuzz_string(a, fuzz_part(&line, ' ')), *slash = strrchr(path, '/'),
                   *name = slash != NULL ? slash + 1 : path;
        if (name[0] != 0 && strlen(name) <= NAME_MAX_BYTES) ask(a, f, name);
    }
    ask(a, f, "missing");
}

static void try_made(Arena *a, FuzzInput text) {
    FuzzInput rest = text;
    StateFile *f = NULL;
    H5 *h;
    uint8_t *image;
    size_t bytes;
    Err e = {0};
    CHECK(h5_create(a, 0, &h, &e) == OK, "%s", e.message);
    for (int i = 0; i < LINES_MAX && rest.size > 0; i++) put_line(a, h, fuzz_part(&rest, '\n'));
    CHECK(h5_image(h, &image, &bytes, &e) == OK, "%s", e.message);
    h5_close(h);
    const char *line = right_line(a, image, bytes);
    fuzz_put(a, "state.h5.xxh3", line, strlen(line));
    fuzz_put(a, "state.h5", image, bytes);
    images_opened = 0;
    Status st = state_open(a, fuzz_folder(), &f, &e);
    CHECK(images_opened == 1, "bytes with a right sum did not reach libhdf5");
    if (fuzz_result(a, st, &e)) {
        use(a, f, text);
        state_close(f);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Arena *a = fuzz_arena();
    if (size == 0) return 0;
    FuzzInput rest = {data + 1, size - 1};
    if (data[0] == 'R') {
        FuzzInput sum = fuzz_part(&rest, 0);
        try_bytes(a, sum, rest);
    } else {
        try_made(a, (FuzzInput){data, size});
    }
    return 0;
}
