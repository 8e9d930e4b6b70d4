/* h5_stand_in.c: base/h5.h without libhdf5, for fuzz_state and fuzz_prepared: what may lie in a file, and what happens when it is asked for,
 * at a thousandth of the cost. An image is MAGIC and its entries one after another, what they hold at multiples of ALIGN; only
 * images made here are opened, at the beginning or behind a block of 512 bytes. Files on disk are not made. */
#include "base/h5.h"

#include "base/buf.h"

#include <string.h>

enum { RANK_MAX = 8, IS_TEXT = 100, ALIGN = 8, USER_BLOCK = 512 };
static const char MAGIC[] = "stand-in";
static const size_t SIZES[] = {1, 4, 8, 8, 4, 8};

typedef struct Entry {
    size_t path_len, pad, bytes;
    uint64_t dims[RANK_MAX];
    int rank, type;
} Entry;

struct H5 {
    Buf image;
    const char *name;
};

Status h5_create(Arena *a, size_t capacity, H5 **out, Err *e) {
    (void)capacity;
    TRY(ARENA_NEW(a, 1, *out, e));
    **out = (H5){.image = {.arena = a}, .name = "a new file"};
    return buf_add(&(*out)->image, MAGIC, sizeof MAGIC, e);
}

Status h5_open_image(Arena *a, const char *name, const void *image, size_t bytes, H5 **out, Err *e) {
    const char *p = image;
    bool behind = bytes >= USER_BLOCK + sizeof MAGIC && memcmp(p, MAGIC, sizeof MAGIC) != 0;
    if (behind) p += USER_BLOCK, bytes -= USER_BLOCK;
    if (bytes < sizeof MAGIC || memcmp(p, MAGIC, sizeof MAGIC) != 0)
        FAIL(e, ERR_FORMAT, "%s: is no HDF5 file, or it is damaged or cut off", name);
    TRY(ARENA_NEW(a, 1, *out, e));
    **out = (H5){.image = {.data = (char *)(uintptr_t)p, .len = bytes}, .name = name}; /* used in place */
    return OK;
}

void h5_close(H5 *h) { (void)h; }
size_t h5_capacity(size_t capacity) { return capacity; }

Status h5_image(H5 *h, uint8_t **data, size_t *bytes, Err *e) {
    (void)e;
    *data = (uint8_t *)h->image.data;
    *bytes = h->image.len;
    return OK;
}

/* The entry of that path and its bytes, or false. */
static bool find(const H5 *h, const char *path, Entry *x, const uint8_t **data) {
    const uint8_t *p = (const uint8_t *)h->image.data, *end = p + h->image.len;
    for (p += sizeof MAGIC; p < end; p += sizeof *x + x->path_len + x->pad + x->bytes) {
        memcpy(x, p, sizeof *x);
        *data = p + sizeof *x + x->path_len + x->pad;
        if (x->path_len == strlen(path) && memcmp(p + sizeof *x, path, x->path_len) == 0) return true;
    }
    return false;
}

static Status add(H5 *h, const char *path, Entry x, const void *data, Err *e) {
    Entry old;
    const uint8_t *at;
    if (find(h, path, &old, &at)) FAIL(e, ERR_FORMAT, "%s: the dataset is written twice", h->name);
    static const char zeros[ALIGN];
    x.path_len = strlen(path);
    x.pad = (ALIGN - (h->image.len + sizeof x + x.path_len) % ALIGN) % ALIGN;
    TRY(buf_add(&h->image, &x, sizeof x, e));
    TRY(buf_add(&h->image, path, x.path_len, e));
    TRY(buf_add(&h->image, zeros, x.pad, e));
    return buf_add(&h->image, data, x.bytes, e);
}

Status h5_put(H5 *h, const char *path, H5Type type, int rank, const uint64_t *dims, const void *data, Err *e) {
    Entry x = {.bytes = SIZES[type], .rank = rank, .type = (int)type};
    for (int i = 0; i < rank; i++) x.bytes *= x.dims[i] = dims[i];
    return add(h, path, x, data, e);
}

Status h5_put_string(H5 *h, const char *path, const char *s, size_t len, Err *e) {
    return add(h, path, (Entry){.bytes = len, .type = IS_TEXT}, s, e);
}

static Status want(H5 *h, const char *path, int type, int rank, const uint64_t *dims, Entry *x, const uint8_t **data,
                   Err *e) {
    if (!find(h, path, x, data)) FAIL(e, ERR_FORMAT, "%s: a dataset is missing", h->name);
    if (x->type != type || x->rank != rank) FAIL(e, ERR_FORMAT, "%s: a dataset is of another type", h->name);
    if (rank > 0 && memcmp(x->dims, dims, (size_t)rank * sizeof *dims) != 0)
        FAIL(e, ERR_FORMAT, "%s: a dataset is of another shape", h->name);
    return OK;
}

Status h5_get(H5 *h, const char *path, H5Type type, int rank, const uint64_t *dims, void *data, Err *e) {
    Entry x;
    const uint8_t *at;
    TRY(want(h, path, (int)type, rank, dims, &x, &at, e));
    memcpy(data, at, x.bytes);
    return OK;
}

Status h5_get_string(H5 *h, Arena *a, const char *path, size_t max_bytes, char **s, size_t *len, Err *e) {
    Entry x;
    const uint8_t *at;
    TRY(want(h, path, IS_TEXT, 0, NULL, &x, &at, e));
    if (x.bytes > max_bytes) FAIL(e, ERR_FORMAT, "%s: a text is too long", h->name);
    *len = x.bytes;
    return arena_strndup(a, (const char *)at, x.bytes, s, e);
}

Status h5_locate(H5 *h, const char *path, H5Type type, uint64_t n, const void **data, Err *e) {
    Entry x;
    const uint8_t *at;
    TRY(want(h, path, (int)type, 1, &n, &x, &at, e));
    *data = at;
    return OK;
}

Status h5_dims(H5 *h, const char *path, int *rank, uint64_t *dims, Err *e) {
    Entry x;
    const uint8_t *at;
    if (!find(h, path, &x, &at)) FAIL(e, ERR_FORMAT, "%s: a dataset is missing", h->name);
    if (x.rank > *rank) FAIL(e, ERR_FORMAT, "%s: a dataset has %d dimensions", h->name, x.rank);
    memcpy(dims, x.dims, (size_t)x.rank * sizeof *dims);
    *rank = x.rank;
    return OK;
}

Status h5_create_file(Arena *a, const char *path, size_t user_block, H5 **out, Err *e) {
    (void)a, (void)user_block, (void)out;
    FAIL(e, ERR_IO, "%s: no file is made on disk", path);
}

Status h5_finish(H5 *h, Err *e) { FAIL(e, ERR_IO, "%s: no file is made on disk", h->name); }

Status h5_reserve(H5 *h, const char *path, H5Type type, uint64_t n, uint64_t *offset, Err *e) {
    (void)type, (void)n, (void)offset;
    FAIL(e, ERR_IO, "%s: no file is made on disk for %s", h->name, path);
}

bool h5_has(H5 *h, const char *path) {
    Entry x;
    const uint8_t *at;
    return find(h, path, &x, &at);
}
