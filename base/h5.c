/* h5.c: HDF5 files in memory; the only file that knows libhdf5. See h5.h.
 *
 * libhdf5 prints errors by itself; that is switched off, and each failure becomes an Err with the dataset's name. All
 * handles are closed on every path. A dataset of rank 1 or more with at least one element is chunked with Fletcher32;
 * scalars and empty ones are contiguous, which HDF5 asks for. No time is stored: equal content gives equal bytes.
 *
 * The core driver takes two files of one name for the same file, and refuses an image when a file of that name exists
 * on disk. So each file gets a name of its own below /dev/null, where nothing can exist.
 *
 * Every public function is a guarded one (h5_memory.h) around a static one of its name without h5_. */
#include "base/h5.h"

#include "base/h5_memory.h"

#include <hdf5.h>
#include <stdio.h>
#include <string.h>

enum { CHUNK_BYTES = 1 << 20, RANK_MAX = 8, GROW_BYTES = 1 << 22, PATH_BYTES = 512 };

struct H5 {
    hid_t file;
    const char *name;
    const void *image; /* reading only: the caller's bytes, used in place */
    size_t image_bytes;
    Arena *arena; /* writing only: where the file grows */
    uint8_t *buffer;
    size_t capacity;
};

static const char *const TYPE_NAMES[] = {"u8", "i32", "i64", "u64", "f32", "f64"};
enum { TYPES = sizeof TYPE_NAMES / sizeof TYPE_NAMES[0] };

/* H5T_* are expressions that open the library, so a table is filled at use. */
static hid_t memory_type(H5Type t) {
    switch (t) {
    case H5_U8:
        return H5T_NATIVE_UINT8;
    case H5_I32:
        return H5T_NATIVE_INT32;
    case H5_I64:
        return H5T_NATIVE_INT64;
    case H5_U64:
        return H5T_NATIVE_UINT64;
    case H5_F32:
        return H5T_NATIVE_FLOAT;
    case H5_F64:
        return H5T_NATIVE_DOUBLE;
    }
    return -1;
}

static hid_t file_type(H5Type t) {
    switch (t) {
    case H5_U8:
        return H5T_STD_U8LE;
    case H5_I32:
        return H5T_STD_I32LE;
    case H5_I64:
        return H5T_STD_I64LE;
    case H5_U64:
        return H5T_STD_U64LE;
    case H5_F32:
        return H5T_IEEE_F32LE;
    case H5_F64:
        return H5T_IEEE_F64LE;
    }
    return -1;
}

/* Callbacks that hand the caller's image through instead of copying it for each property list and file. The file is
 * opened for reading only, so libhdf5 neither writes nor resizes it. */
static void *image_same(size_t size, H5FD_file_image_op_t op, void *udata) {
    (void)size, (void)op;
    const H5 *h = udata;
    return (void *)(uintptr_t)h->image;
}

static void *image_no_copy(void *to, const void *from, size_t size, H5FD_file_image_op_t op, void *udata) {
    (void)size, (void)op, (void)udata;
    return to == from ? to : NULL;
}

static void *image_no_resize(void *image, size_t size, H5FD_file_image_op_t op, void *udata) {
    (void)image, (void)size, (void)op, (void)udata;
    return NULL;
}

static herr_t image_keep(void *image, H5FD_file_image_op_t op, void *udata) {
    (void)image, (void)op, (void)udata;
    return 0;
}

/* Callbacks that let the core driver build the file in the arena. NULL tells libhdf5 that there is no memory. */
static void *grow_buffer(H5 *h, size_t size) {
    Err ignored;
    if (arena_grow(h->arena, &h->buffer, &h->capacity, h->capacity, size, 1, &ignored) != OK) return NULL;
    return h->buffer;
}

static void *buffer_take(size_t size, H5FD_file_image_op_t op, void *udata) {
    (void)op;
    return grow_buffer(udata, size);
}

static void *buffer_resize(void *image, size_t size, H5FD_file_image_op_t op, void *udata) {
    (void)image, (void)op;
    return grow_buffer(udata, size);
}

static void *udata_same(void *udata) { return udata; }

static herr_t udata_keep(void *udata) {
    (void)udata;
    return 0;
}

static Status open_any(Arena *a, const char *name, H5 **out, Err *e) {
    H5 *h;
    char *copy;
    TRY(ARENA_NEW(a, 1, h, e));
    TRY(arena_strdup(a, name, &copy, e));
    h->file = -1;
    h->name = copy;
    H5dont_atexit(); /* what it holds after a failure must not be touched again */
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    H5PLset_loading_state(0); /* a file may name filters; none is loaded from disk */
    *out = h;
    return OK;
}

/* Opens or creates h->file by the core driver without backing store; false on failure. */
static bool open_core(H5 *h, size_t bytes) {
    char unique[64];
    snprintf(unique, sizeof unique, "/dev/null/%p", (void *)h);
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5FD_file_image_callbacks_t reading = {
        image_same, image_no_copy, image_no_resize, image_keep, udata_same, udata_keep, h};
    H5FD_file_image_callbacks_t writing = {
        buffer_take, image_no_copy, buffer_resize, image_keep, udata_same, udata_keep, h};
    bool ready = access >= 0 && H5Pset_fapl_core(access, GROW_BYTES, 0) >= 0 &&
                 H5Pset_file_image_callbacks(access, h->image != NULL ? &reading : &writing) >= 0;
    if (ready && h->image != NULL) ready = H5Pset_file_image(access, (void *)(uintptr_t)h->image, bytes) >= 0;
    if (ready && h->image != NULL) h->file = H5Fopen(unique, H5F_ACC_RDONLY, access);
    if (ready && h->image == NULL) h->file = H5Fcreate(unique, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    if (access >= 0) H5Pclose(access);
    return h->file >= 0;
}

size_t h5_capacity(size_t capacity) { return (capacity / GROW_BYTES + 1) * GROW_BYTES; }

static Status create_file(Arena *a, size_t capacity, H5 **out, Err *e) {
    H5 *h;
    TRY(open_any(a, "HDF5 file in memory", &h, e));
    h->arena = a;
    h->capacity = h5_capacity(capacity);
    TRY(arena_alloc(a, h->capacity, 1, &h->buffer, e));
    if (!open_core(h, 0)) FAIL(e, ERR_OOM, "%s: libhdf5 cannot make it; is there memory left?", h->name);
    *out = h;
    return OK;
}

static Status open_file(Arena *a, const char *name, const void *image, size_t bytes, H5 **out, Err *e) {
    H5 *h;
    if (image == NULL || bytes == 0) FAIL(e, ERR_FORMAT, "%s: is empty, expected an HDF5 file", name);
    TRY(open_any(a, name, &h, e));
    h->image = image;
    h->image_bytes = bytes;
    if (!open_core(h, bytes)) FAIL(e, ERR_FORMAT, "%s: is no HDF5 file, or it is damaged or cut off", name);
    *out = h;
    return OK;
}

/* Everything begins at multiples of this, so that arrays can be used where they are mapped. */
enum { ARRAY_ALIGN = 64 };

static Status create_on_disk(Arena *a, const char *path, size_t user_block, H5 **out, Err *e) {
    H5 *h;
    TRY(open_any(a, path, &h, e));
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), create = H5Pcreate(H5P_FILE_CREATE);
    /* no lock: the file has a name of its own until it is whole, and some file systems have none */
    bool ready = access >= 0 && create >= 0 && H5Pset_alignment(access, 1, ARRAY_ALIGN) >= 0 &&
                 H5Pset_file_locking(access, 0, 1) >= 0 && H5Pset_userblock(create, user_block) >= 0;
    if (ready) h->file = H5Fcreate(path, H5F_ACC_TRUNC, create, access);
    if (access >= 0) H5Pclose(access);
    if (create >= 0) H5Pclose(create);
    if (h->file < 0) FAIL(e, ERR_IO, "%s: libhdf5 cannot make it; is the disk full?", path);
    *out = h;
    return OK;
}

static Status finish_file(H5 *h, Err *e) {
    herr_t flushed = H5Fflush(h->file, H5F_SCOPE_GLOBAL), closed = H5Fclose(h->file);
    h->file = -1;
    if (flushed < 0 || closed < 0) FAIL(e, ERR_IO, "%s: libhdf5 cannot write it; is the disk full?", h->name);
    return OK;
}

static Status close_file(H5 *h) {
    H5Fclose(h->file);
    return OK;
}

static Status close_guarded(H5 *h) { H5_GUARDED(close_file(h), NULL); }

void h5_close(H5 *h) {
    if (h == NULL) return;
    if (h->file >= 0) (void)close_guarded(h);
    h->file = -1;
}

static bool has_set(H5 *h, const char *path);

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Creation properties: no time, chunks of about CHUNK_BYTES along the first dimension, checksums. */
static hid_t chunked(int rank, const uint64_t *dims, size_t elem) {
    hid_t p = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t chunk[RANK_MAX];
    uint64_t row = elem;
    bool empty = rank == 0;
    for (int i = 0; i < rank; i++) {
        chunk[i] = dims[i];
        if (dims[i] == 0) empty = true;
        if (i > 0) row *= dims[i];
    }
    if (p >= 0 && H5Pset_obj_track_times(p, 0) < 0) {
        H5Pclose(p);
        return -1;
    }
    if (p < 0 || empty) return p;
    uint64_t rows = row >= CHUNK_BYTES ? 1 : CHUNK_BYTES / row;
    if (rows < chunk[0]) chunk[0] = rows;
    for (int i = rank - 1; i > 0 && row > CHUNK_BYTES; i--) { /* one row is larger than a chunk */
        uint64_t cut = chunk[i];
        while (cut > 1 && row > CHUNK_BYTES) {
            row = row / cut * ((cut + 1) / 2);
            cut = (cut + 1) / 2;
        }
        chunk[i] = cut;
    }
    if (H5Pset_chunk(p, rank, chunk) < 0 || H5Pset_fletcher32(p) < 0) {
        H5Pclose(p);
        return -1;
    }
    return p;
}

static Status put_typed(H5 *h, const char *path, hid_t in_file, hid_t in_memory, size_t elem, int rank,
                        const uint64_t *dims, const void *data, Err *e) {
    hsize_t d[RANK_MAX] = {0};
    CHECK(h->image == NULL, "%s: dataset '%s' is put into a file opened for reading", h->name, path);
    CHECK(rank >= 0 && rank <= RANK_MAX, "dataset '%s' of rank %d", path, rank);
    bool empty = false;
    for (int i = 0; i < rank; i++) {
        d[i] = dims[i];
        if (dims[i] == 0) empty = true;
    }
    if (has_set(h, path)) FAIL(e, ERR_FORMAT, "%s: the dataset '%s' is written twice", h->name, path);
    hid_t space = rank == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(rank, d, NULL);
    hid_t create = chunked(rank, dims, elem), link = H5Pcreate(H5P_LINK_CREATE), set = -1;
    if (space >= 0 && create >= 0 && link >= 0 && H5Pset_create_intermediate_group(link, 1) >= 0)
        set = H5Dcreate2(h->file, path, in_file, space, link, create, H5P_DEFAULT);
    herr_t rc = set < 0 ? -1 : empty ? 0 : H5Dwrite(set, in_memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
    if (set >= 0 && H5Dclose(set) < 0) rc = -1;
    if (link >= 0) H5Pclose(link);
    if (create >= 0) H5Pclose(create);
    if (space >= 0) H5Sclose(space);
    if (rc < 0 && h->arena == NULL)
        FAIL(e, ERR_IO, "%s: the dataset '%s' cannot be written; is the disk full?", h->name, path);
    if (rc < 0) FAIL(e, ERR_OOM, "%s: the dataset '%s' cannot be written; is there memory left?", h->name, path);
    return OK;
}

static Status put_value(H5 *h, const char *path, H5Type type, int rank, const uint64_t *dims, const void *data,
                        Err *e) {
    return put_typed(h, path, file_type(type), memory_type(type), H5Tget_size(file_type(type)), rank, dims, data, e);
}

/* The dataset's bytes are allocated and not written. */
static Status reserve_array(H5 *h, const char *path, H5Type type, uint64_t n, uint64_t *offset, Err *e) {
    hsize_t dims[1] = {n};
    CHECK(n > 0 && h->image == NULL && h->arena == NULL, "%s: an array of %llu elements is reserved", h->name,
          (unsigned long long)n);
    if (has_set(h, path)) FAIL(e, ERR_FORMAT, "%s: the dataset '%s' is written twice", h->name, path);
    hid_t space = H5Screate_simple(1, dims, NULL), link = H5Pcreate(H5P_LINK_CREATE), set = -1;
    hid_t create = H5Pcreate(H5P_DATASET_CREATE);
    if (space >= 0 && link >= 0 && create >= 0 && H5Pset_create_intermediate_group(link, 1) >= 0 &&
        H5Pset_obj_track_times(create, 0) >= 0 && H5Pset_layout(create, H5D_CONTIGUOUS) >= 0 &&
        H5Pset_alloc_time(create, H5D_ALLOC_TIME_EARLY) >= 0 && H5Pset_fill_time(create, H5D_FILL_TIME_NEVER) >= 0)
        set = H5Dcreate2(h->file, path, file_type(type), space, link, create, H5P_DEFAULT);
    haddr_t at = set < 0 ? HADDR_UNDEF : H5Dget_offset(set);
    if (set >= 0) H5Dclose(set);
    if (create >= 0) H5Pclose(create);
    if (link >= 0) H5Pclose(link);
    if (space >= 0) H5Sclose(space);
    if (at == HADDR_UNDEF) FAIL(e, ERR_IO, "%s: the dataset '%s' cannot be made; is the disk full?", h->name, path);
    *offset = at;
    return OK;
}

/* A fixed-length UTF-8 string; an empty one is stored as one NUL. */
static Status put_text(H5 *h, const char *path, const char *s, size_t len, Err *e) {
    hid_t t = H5Tcopy(H5T_C_S1);
    if (t < 0 || H5Tset_size(t, len == 0 ? 1 : len) < 0 || H5Tset_strpad(t, H5T_STR_NULLPAD) < 0 ||
        H5Tset_cset(t, H5T_CSET_UTF8) < 0) {
        if (t >= 0) H5Tclose(t);
        FAIL(e, ERR_OOM, "%s: the text '%s' cannot be written", h->name, path);
    }
    Status st = put_typed(h, path, t, t, len, 0, NULL, len == 0 ? "" : s, e);
    H5Tclose(t);
    return st;
}

static Status image_of(H5 *h, uint8_t **data, size_t *bytes, Err *e) {
    ssize_t size = -1;
    void *handle = NULL;
    if (H5Fflush(h->file, H5F_SCOPE_GLOBAL) >= 0) size = H5Fget_file_image(h->file, NULL, 0);
    if (size <= 0 || H5Fget_vfd_handle(h->file, H5P_DEFAULT, &handle) < 0)
        FAIL(e, ERR_OOM, "%s: libhdf5 cannot flush it; is there memory left?", h->name);
    CHECK(*(uint8_t **)handle == h->buffer && (size_t)size <= h->capacity, "%s: the file is not in its buffer",
          h->name);
    *data = h->buffer;
    *bytes = (size_t)size;
    return OK;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Opens a dataset and its space; both to be closed by the caller. */
static Status open_set(H5 *h, const char *path, hid_t *set, hid_t *space, Err *e) {
    if (!has_set(h, path)) FAIL(e, ERR_FORMAT, "%s: the dataset '%s' is missing", h->name, path);
    *set = H5Dopen2(h->file, path, H5P_DEFAULT);
    *space = *set < 0 ? -1 : H5Dget_space(*set);
    if (*space >= 0) return OK;
    if (*set >= 0) H5Dclose(*set);
    FAIL(e, ERR_FORMAT, "%s: the dataset '%s' cannot be opened: the file is damaged", h->name, path);
}

typedef struct Text {
    char s[256];
} Text;

/* "(2, 3)", for messages. */
static Text shape_text(int rank, const hsize_t *dims) {
    Text t = {"("};
    for (int i = 0; i < rank && i < RANK_MAX; i++) {
        size_t n = strlen(t.s);
        snprintf(t.s + n, sizeof t.s - n, "%s%llu", i == 0 ? "" : ", ", (unsigned long long)dims[i]);
    }
    size_t n = strlen(t.s);
    snprintf(t.s + n, sizeof t.s - n, ")");
    return t;
}

/* "f32 (2, 3)" of an open dataset, for messages. */
static Text stored_text(hid_t type, hid_t space) {
    hsize_t d[H5S_MAX_RANK] = {0};
    const char *name = "another type";
    Text t;
    int rank = H5Sget_simple_extent_ndims(space);
    if (type >= 0 && H5Tget_class(type) == H5T_STRING) name = "text";
    for (int i = 0; i < TYPES && type >= 0; i++) {
        if (H5Tequal(type, file_type((H5Type)i)) > 0) name = TYPE_NAMES[i];
    }
    if (rank > 0) H5Sget_simple_extent_dims(space, d, NULL);
    snprintf(t.s, sizeof t.s, "%s %.200s", name, shape_text(rank, d).s);
    return t;
}

static bool same_shape(hid_t space, int rank, const uint64_t *dims) {
    hsize_t d[H5S_MAX_RANK];
    if (H5Sget_simple_extent_ndims(space) != rank) return false;
    if (rank > 0 && H5Sget_simple_extent_dims(space, d, NULL) < 0) return false;
    for (int i = 0; i < rank; i++) {
        if (d[i] != dims[i]) return false;
    }
    return true;
}

static Status get_value(H5 *h, const char *path, H5Type type, int rank, const uint64_t *dims, void *data, Err *e) {
    hid_t set, space;
    TRY(open_set(h, path, &set, &space, e));
    hid_t stored = H5Dget_type(set);
    Text got = stored_text(stored, space);
    bool right = stored >= 0 && H5Tequal(stored, file_type(type)) > 0 && same_shape(space, rank, dims);
    bool empty = H5Sget_simple_extent_npoints(space) == 0;
    herr_t rc = !right ? -1 : empty ? 0 : H5Dread(set, memory_type(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
    if (stored >= 0) H5Tclose(stored);
    H5Sclose(space);
    H5Dclose(set);
    hsize_t d[RANK_MAX] = {0};
    for (int i = 0; i < rank && i < RANK_MAX; i++) d[i] = dims[i];
    if (!right)
        FAIL(e, ERR_FORMAT, "%s: the dataset '%s' is %s, expected %s %s", h->name, path, got.s, TYPE_NAMES[type],
             shape_text(rank, d).s);
    if (rc < 0) FAIL(e, ERR_FORMAT, "%s: the dataset '%s' cannot be read: the file is damaged", h->name, path);
    return OK;
}

static Status get_dims(H5 *h, const char *path, int *rank, uint64_t *dims, Err *e) {
    hid_t set, space;
    hsize_t d[H5S_MAX_RANK] = {0};
    TRY(open_set(h, path, &set, &space, e));
    int n = H5Sget_simple_extent_ndims(space);
    bool right = n >= 0 && n <= *rank && (n == 0 || H5Sget_simple_extent_dims(space, d, NULL) >= 0);
    H5Sclose(space);
    H5Dclose(set);
    if (!right)
        FAIL(e, ERR_FORMAT, "%s: the dataset '%s' has %d dimensions, expected at most %d", h->name, path, n, *rank);
    for (int i = 0; i < n; i++) dims[i] = d[i];
    *rank = n;
    return OK;
}

/* Whether the open dataset is n elements of `type` in one piece that lies whole and aligned in the image. */
static bool lies_plainly(const H5 *h, hid_t set, hid_t space, H5Type type, uint64_t n, haddr_t *at) {
    hid_t stored = H5Dget_type(set), how = H5Dget_create_plist(set);
    size_t elem = H5Tget_size(file_type(type));
    bool plain = stored >= 0 && how >= 0 && H5Tequal(stored, file_type(type)) > 0 && same_shape(space, 1, &n) &&
                 H5Pget_layout(how) == H5D_CONTIGUOUS && H5Pget_external_count(how) == 0;
    if (stored >= 0) H5Tclose(stored);
    if (how >= 0) H5Pclose(how);
    if (!plain) return false;
    *at = H5Dget_offset(set);
    return *at != HADDR_UNDEF && *at <= h->image_bytes && n <= (h->image_bytes - *at) / elem &&
           ((uintptr_t)h->image + *at) % elem == 0;
}

static Status locate_array(H5 *h, const char *path, H5Type type, uint64_t n, const void **data, Err *e) {
    hid_t set, space;
    haddr_t at = 0;
    TRY(open_set(h, path, &set, &space, e));
    bool plain = lies_plainly(h, set, space, type, n, &at);
    H5Sclose(space);
    H5Dclose(set);
    if (!plain)
        FAIL(e, ERR_FORMAT, "%s: the dataset '%s' is not %llu elements of %s in one piece", h->name, path,
             (unsigned long long)n, TYPE_NAMES[type]);
    *data = (const uint8_t *)h->image + at;
    return OK;
}

static bool has_set(H5 *h, const char *path) {
    char part[PATH_BYTES];
    size_t n = strlen(path);
    if (n >= sizeof part) return false;
    for (size_t i = 1; i <= n; i++) { /* H5Lexists wants each parent to exist */
        if (path[i] != '/' && path[i] != 0) continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (H5Lexists(h->file, part, H5P_DEFAULT) <= 0) return false;
    }
    H5O_info_t info;
    return H5Oget_info_by_name(h->file, path, &info, H5P_DEFAULT) >= 0 && info.type == H5O_TYPE_DATASET;
}

static Status get_text(H5 *h, Arena *a, const char *path, size_t max_bytes, char **s, size_t *len, Err *e) {
    hid_t set, space;
    TRY(open_set(h, path, &set, &space, e));
    hid_t t = H5Dget_type(set);
    Status st = OK;
    size_t n = t < 0 ? 0 : H5Tget_size(t);
    bool right = t >= 0 && H5Tget_class(t) == H5T_STRING && H5Tis_variable_str(t) == 0 && n <= max_bytes &&
                 same_shape(space, 0, NULL);
    char *text;
    if (!right)
        st = err_set(e, ERR_FORMAT, __FILE__, __LINE__,
                     "%s: the dataset '%s' is %s, expected a text of at most %zu bytes", h->name, path,
                     stored_text(t, space).s, max_bytes);
    if (st == OK) st = arena_alloc(a, n + 1, 1, &text, e);
    if (st == OK && H5Dread(set, t, H5S_ALL, H5S_ALL, H5P_DEFAULT, text) < 0)
        st = err_set(e, ERR_FORMAT, __FILE__, __LINE__, "%s: the text '%s' cannot be read: the file is damaged",
                     h->name, path);
    if (st == OK) {
        *s = text;
        *len = n == 1 && text[0] == 0 ? 0 : n;
    }
    if (t >= 0) H5Tclose(t);
    H5Sclose(space);
    H5Dclose(set);
    return st;
}

/* ---- the guarded functions ---------------------------------------------------------------------------------------- */

Status h5_create(Arena *a, size_t capacity, H5 **out, Err *e) { H5_GUARDED(create_file(a, capacity, out, e), e); }

Status h5_open_image(Arena *a, const char *name, const void *image, size_t bytes, H5 **out, Err *e) {
    H5_GUARDED(open_file(a, name, image, bytes, out, e), e);
}

Status h5_put(H5 *h, const char *path, H5Type type, int rank, const uint64_t *dims, const void *data, Err *e) {
    H5_GUARDED(put_value(h, path, type, rank, dims, data, e), e);
}

Status h5_put_string(H5 *h, const char *path, const char *s, size_t len, Err *e) {
    H5_GUARDED(put_text(h, path, s, len, e), e);
}

Status h5_image(H5 *h, uint8_t **data, size_t *bytes, Err *e) { H5_GUARDED(image_of(h, data, bytes, e), e); }

Status h5_get(H5 *h, const char *path, H5Type type, int rank, const uint64_t *dims, void *data, Err *e) {
    H5_GUARDED(get_value(h, path, type, rank, dims, data, e), e);
}

Status h5_dims(H5 *h, const char *path, int *rank, uint64_t *dims, Err *e) {
    H5_GUARDED(get_dims(h, path, rank, dims, e), e);
}

Status h5_get_string(H5 *h, Arena *a, const char *path, size_t max_bytes, char **s, size_t *len, Err *e) {
    H5_GUARDED(get_text(h, a, path, max_bytes, s, len, e), e);
}

static Status find_set(H5 *h, const char *path, bool *has) {
    *has = has_set(h, path);
    return OK;
}

static Status has_guarded(H5 *h, const char *path, bool *has) { H5_GUARDED(find_set(h, path, has), NULL); }

bool h5_has(H5 *h, const char *path) {
    bool has = false;
    return has_guarded(h, path, &has) == OK && has;
}

Status h5_create_file(Arena *a, const char *path, size_t user_block, H5 **out, Err *e) {
    H5_GUARDED(create_on_disk(a, path, user_block, out, e), e);
}

Status h5_finish(H5 *h, Err *e) { H5_GUARDED(finish_file(h, e), e); }

Status h5_reserve(H5 *h, const char *path, H5Type type, uint64_t n, uint64_t *offset, Err *e) {
    H5_GUARDED(reserve_array(h, path, type, n, offset, e), e);
}

Status h5_locate(H5 *h, const char *path, H5Type type, uint64_t n, const void **data, Err *e) {
    H5_GUARDED(locate_array(h, path, type, n, data, e), e);
}
