/* state_hdf5.c: training state in HDF5, as whole folders. See state_hdf5.h. */
#include "checkpoints/state_hdf5.h"

#include "base/file.h"
#include "base/h5.h"
#include "base/hash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUM_MAX_BYTES = 256, STEP_DIGITS_MAX = 18 };

static const char FORMAT[] = "lorac-train-state", FILE_NAME[] = "state.h5", SUM_NAME[] = "state.h5.xxh3",
                  FOLDER_PREFIX[] = "checkpoint-";

struct StateFile {
    Arena *arena;
    FileMap map;
    H5 *h5;
    int64_t step;
};

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static Status h5_path(Arena *a, const char *group, const char *name, char **out, Err *e) {
    CHECK(name[0] != 0 && strchr(name, '/') == NULL, "state name '%s'", name);
    return arena_printf(a, out, e, "%s/%s", group, name);
}

static Status put_int(H5 *h, const char *path, int64_t v, Err *e) { return h5_put(h, path, H5_I64, 0, NULL, &v, e); }

static Status put_all(Arena *a, H5 *h, const TrainState *s, Err *e) {
    char *path;
    TRY(h5_put_string(h, "format", FORMAT, sizeof FORMAT - 1, e));
    TRY(put_int(h, "version", STATE_VERSION, e));
    TRY(put_int(h, "step", s->step, e));
    for (size_t i = 0; i < s->n_ints; i++) {
        TRY(h5_path(a, "int", s->ints[i].name, &path, e));
        TRY(put_int(h, path, s->ints[i].value, e));
    }
    for (size_t i = 0; i < s->n_reals; i++) {
        TRY(h5_path(a, "real", s->reals[i].name, &path, e));
        TRY(h5_put(h, path, H5_F64, 0, NULL, &s->reals[i].value, e));
    }
    for (size_t i = 0; i < s->n_texts; i++) {
        TRY(h5_path(a, "text", s->texts[i].name, &path, e));
        TRY(h5_put_string(h, path, s->texts[i].s, s->texts[i].len, e));
    }
    for (size_t i = 0; i < s->n_arrays; i++) {
        const StateArray *x = &s->arrays[i];
        uint64_t dims[2] = {(uint64_t)x->rows, (uint64_t)x->cols};
        CHECK(x->rows > 0 && x->cols > 0, "state array '%s'", x->name);
        TRY(h5_path(a, "array", x->name, &path, e));
        TRY(h5_put(h, path, H5_F32, 2, dims, x->data, e));
    }
    return OK;
}

/* Room for the file: each dataset has a header, and an array's last chunk and the index of its chunks on top. */
enum { FILE_EXTRA = 1 << 16, SET_EXTRA = 1 << 13, ARRAY_EXTRA = (1 << 20) + (1 << 16), NAMES_EXTRA = 1 << 18 };

static size_t image_capacity(const TrainState *s) {
    size_t n = FILE_EXTRA + SET_EXTRA * (s->n_ints + s->n_reals + s->n_texts + 3);
    for (size_t i = 0; i < s->n_texts; i++) n += s->texts[i].len;
    for (size_t i = 0; i < s->n_arrays; i++) {
        size_t data = (size_t)(s->arrays[i].rows * s->arrays[i].cols) * sizeof(float);
        n += data + data / 64 + ARRAY_EXTRA;
    }
    return n;
}

size_t state_save_bytes(const TrainState *s) { return h5_capacity(image_capacity(s)) + NAMES_EXTRA; }

static Status build_image(Arena *a, const TrainState *s, uint8_t **image, size_t *bytes, Err *e) {
    H5 *h;
    TRY(h5_create(a, image_capacity(s), &h, e));
    Status st = put_all(a, h, s, e);
    if (st == OK) st = h5_image(h, image, bytes, e);
    h5_close(h);
    return st;
}

static Status sum_line(Arena *a, const void *image, size_t bytes, char **out, Err *e) {
    char hex[HASH_HEX_BYTES];
    hash_hex(hash128(image, bytes), hex);
    return arena_printf(a, out, e, "%s  %s\n", hex, FILE_NAME);
}

static Status check_sum(Arena *a, const FileMap *m, const char *sum_path, Err *e) {
    char *line, *expected;
    size_t len;
    TRY(file_read(a, sum_path, SUM_MAX_BYTES, &line, &len, e));
    TRY(sum_line(a, m->data, m->size, &expected, e));
    if (strlen(expected) != len || memcmp(line, expected, len) != 0)
        FAIL(e, ERR_FORMAT, "%s: its sum is not the one in %s: the checkpoint is damaged", m->path, sum_path);
    return OK;
}

/* What the next run will see: the file as it reads back, against the sum beside it. */
static Status reopen(Arena *a, const char *path, const char *sum_path, Err *e) {
    FileMap m;
    TRY(file_map(path, &m, e));
    Status st = check_sum(a, &m, sum_path, e);
    file_unmap(&m);
    return st;
}

static Status write_files(Arena *a, const char *folder, const TrainState *s, Err *e) {
    uint8_t *image;
    size_t bytes;
    char *path, *sum_path, *line;
    TRY(build_image(a, s, &image, &bytes, e));
    TRY(make_folders(folder, e));
    TRY(path_join(a, folder, FILE_NAME, &path, e));
    TRY(file_write_atomic(a, path, image, bytes, e));
    TRY(sum_line(a, image, bytes, &line, e));
    TRY(path_join(a, folder, SUM_NAME, &sum_path, e));
    TRY(file_write_atomic(a, sum_path, line, strlen(line), e));
    TRY(reopen(a, path, sum_path, e));
    return sync_folder(folder, e);
}

/* ---- folders ----------------------------------------------------------------------------------------------------- */

Status state_folder(Arena *a, const char *output_dir, int64_t step, char **out, Err *e) {
    char name[64];
    snprintf(name, sizeof name, "%s%lld", FOLDER_PREFIX, (long long)step);
    return path_join(a, output_dir, name, out, e);
}

/* N of a name "checkpoint-N" as lorac writes it, or -1. */
static int64_t step_of(const char *name) {
    size_t prefix = sizeof FOLDER_PREFIX - 1, len = strlen(name);
    if (len <= prefix || len > prefix + STEP_DIGITS_MAX || strncmp(name, FOLDER_PREFIX, prefix) != 0) return -1;
    int64_t step = 0;
    for (const char *p = name + prefix; *p != 0; p++) {
        if (*p < '0' || *p > '9') return -1;
        step = 10 * step + (*p - '0');
    }
    return name[prefix] == '0' && len > prefix + 1 ? -1 : step;
}

static int newest_first(const void *pa, const void *pb) {
    int64_t a = *(const int64_t *)pa, b = *(const int64_t *)pb;
    return (a < b) - (a > b);
}

Status state_list(Arena *a, const char *output_dir, int64_t **steps, size_t *n, Err *e) {
    char **names;
    size_t count = 0;
    *steps = NULL;
    *n = 0;
    if (!path_exists(output_dir)) return OK;
    TRY(list_folder(a, output_dir, &names, &count, e));
    TRY(ARENA_NEW(a, count, *steps, e));
    for (size_t i = 0; i < count; i++) {
        int64_t step = step_of(names[i]);
        char *path;
        if (step < 0) continue;
        TRY(path_join(a, output_dir, names[i], &path, e));
        if (path_is_folder(path)) (*steps)[(*n)++] = step;
    }
    if (*n > 1) qsort(*steps, *n, sizeof **steps, newest_first);
    return OK;
}

void state_remove_left_overs(const char *output_dir) { remove_left_overs(output_dir, FOLDER_PREFIX, true); }

Status state_remove(Arena *a, const char *output_dir, int64_t step, Err *e) {
    char *path, *temporary;
    TRY(state_folder(a, output_dir, step, &path, e));
    TRY(arena_printf(a, &temporary, e, "%s.tmp-%ld", path, (long)getpid()));
    if (!path_exists(path)) return OK;
    TRY(remove_tree(temporary, e));
    TRY(rename_path(path, temporary, e));
    return remove_tree(temporary, e);
}

/* Removes what is beyond the limit, oldest first, and left-over temporary folders. */
static Status clean_listed(Arena *a, const char *output_dir, int64_t newest, int64_t limit, Err *e) {
    int64_t *steps;
    size_t n;
    state_remove_left_overs(output_dir);
    if (limit <= 0) return OK;
    TRY(state_list(a, output_dir, &steps, &n, e));
    for (size_t i = n; i-- > 0 && n > (size_t)limit;) {
        if (steps[i] == newest) continue;
        TRY(state_remove(a, output_dir, steps[i], e));
        n--;
    }
    return OK;
}

/* How many names a folder holds is nobody's plan: they are listed in an arena of their own. */
static Status clean(const char *output_dir, int64_t newest, int64_t limit, Err *e) {
    Arena *names = NULL;
    TRY(arena_open(&names, "names of a folder", e));
    Status st = clean_listed(names, output_dir, newest, limit, e);
    arena_close(names);
    return st;
}

static Status save(Arena *a, const char *output_dir, const TrainState *s, int64_t limit, Err *e) {
    char *final, *temporary;
    TRY(make_folders(output_dir, e));
    TRY(state_folder(a, output_dir, s->step, &final, e));
    TRY(arena_printf(a, &temporary, e, "%s.tmp-%ld", final, (long)getpid()));
    TRY(remove_tree(temporary, e));
    Status st = write_files(a, temporary, s, e);
    if (st == OK) st = replace_folder(a, temporary, final, e);
    if (st != OK) {
        Err ignored;
        remove_tree(temporary, &ignored);
        return st;
    }
    return clean(output_dir, s->step, limit, e);
}

Status state_save(Arena *scratch, const char *output_dir, const TrainState *s, int64_t limit, Err *e) {
    CHECK(s->step >= 0, "step %lld", (long long)s->step);
    ArenaMark mark = arena_mark(scratch);
    Status st = save(scratch, output_dir, s, limit, e);
    arena_reset(scratch, mark);
    return st;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static Status check_header(StateFile *f, Err *e) {
    char *format;
    size_t len;
    int64_t version;
    const char *path = f->map.path;
    TRY(h5_get_string(f->h5, f->arena, "format", sizeof FORMAT, &format, &len, e));
    if (len != sizeof FORMAT - 1 || memcmp(format, FORMAT, len) != 0)
        FAIL(e, ERR_FORMAT, "%s: this is no training state of lorac", path);
    TRY(h5_get(f->h5, "version", H5_I64, 0, NULL, &version, e));
    if (version != STATE_VERSION)
        FAIL(e, ERR_FORMAT, "%s: training state of version %lld, expected %d; use the lorac that wrote it", path,
             (long long)version, STATE_VERSION);
    TRY(h5_get(f->h5, "step", H5_I64, 0, NULL, &f->step, e));
    if (f->step < 0) FAIL(e, ERR_FORMAT, "%s: step %lld is not possible", path, (long long)f->step);
    return OK;
}

static Status open_file(StateFile *f, const char *folder, Err *e) {
    char *path, *sum_path;
    TRY(path_join(f->arena, folder, FILE_NAME, &path, e));
    TRY(path_join(f->arena, folder, SUM_NAME, &sum_path, e));
    TRY(file_map(path, &f->map, e));
    TRY(check_sum(f->arena, &f->map, sum_path, e));
    TRY(h5_open_image(f->arena, f->map.path, f->map.data, f->map.size, &f->h5, e));
    return check_header(f, e);
}

Status state_open(Arena *a, const char *folder, StateFile **out, Err *e) {
    StateFile *f;
    TRY(ARENA_NEW(a, 1, f, e));
    f->arena = a;
    Status st = open_file(f, folder, e);
    if (st != OK) {
        state_close(f);
        return st;
    }
    *out = f;
    return OK;
}

void state_close(StateFile *f) {
    if (f == NULL) return;
    if (f->h5 != NULL) h5_close(f->h5);
    if (f->map.path != NULL) file_unmap(&f->map);
    f->h5 = NULL;
    f->map.path = NULL;
}

int64_t state_step(const StateFile *f) { return f->step; }

static Status get_value(const StateFile *f, const char *group, const char *name, H5Type type, int rank,
                        const uint64_t *dims, void *out, Err *e) {
    char *path;
    TRY(h5_path(f->arena, group, name, &path, e));
    return h5_get(f->h5, path, type, rank, dims, out, e);
}

Status state_array(const StateFile *f, const char *name, int64_t rows, int64_t cols, float *out, Err *e) {
    uint64_t dims[2] = {(uint64_t)rows, (uint64_t)cols};
    return get_value(f, "array", name, H5_F32, 2, dims, out, e);
}

Status state_int(const StateFile *f, const char *name, int64_t *out, Err *e) {
    return get_value(f, "int", name, H5_I64, 0, NULL, out, e);
}

Status state_real(const StateFile *f, const char *name, double *out, Err *e) {
    return get_value(f, "real", name, H5_F64, 0, NULL, out, e);
}

Status state_text(const StateFile *f, Arena *a, const char *name, char **out, size_t *len, Err *e) {
    char *path;
    TRY(h5_path(f->arena, "text", name, &path, e));
    return h5_get_string(f->h5, a, path, STATE_TEXT_MAX_BYTES, out, len, e);
}

static bool has(const StateFile *f, const char *group, const char *name) {
    char path[512];
    int n = snprintf(path, sizeof path, "%s/%s", group, name);
    return n > 0 && (size_t)n < sizeof path && h5_has(f->h5, path);
}

bool state_has_array(const StateFile *f, const char *name) { return has(f, "array", name); }
bool state_has_int(const StateFile *f, const char *name) { return has(f, "int", name); }
bool state_has_real(const StateFile *f, const char *name) { return has(f, "real", name); }
bool state_has_text(const StateFile *f, const char *name) { return has(f, "text", name); }
