/* gguf_write.c: writes GGUF files in one pass. See gguf.h.
 *
 * Metadata mentions are kept as a list and settled when the first data comes: for each key its place is that of the
 * first mention and its value that of the last. Then the header is written, and data is passed through, tensor after
 * tensor, with zero padding up to the alignment behind each. */
#include "checkpoints/gguf.h"

#include "base/buf.h"
#include "checkpoints/bytes.h"
#include "checkpoints/name_index.h"
#include "kernels/quant.h"

#include <string.h>

enum { WRITE_VERSION = 3, ALIGNMENT = GGUF_DEFAULT_ALIGNMENT };

typedef struct Mention {
    GgufKv kv;
    bool removed;
} Mention;

typedef struct Declared {
    const char *name;
    uint32_t ggml_type;
    int n_dims;
    int64_t dims[GGUF_DIMS_MAX];
    uint64_t bytes;
} Declared;

struct GgufWriter {
    Arena *arena;
    const char *path;
    AtomicFile *file;
    Mention *mentions;
    size_t n_mentions, mention_cap;
    Declared *tensors;
    size_t n_tensors, tensor_cap;
    size_t current;   /* tensor whose bytes come next */
    uint64_t written; /* of it */
    bool begun;
};

Status gguf_writer_open(Arena *a, const char *path, GgufWriter **out, Err *e) {
    GgufWriter *w;
    char *copy;
    TRY(ARENA_NEW(a, 1, w, e));
    TRY(arena_strdup(a, path, &copy, e));
    w->arena = a;
    w->path = copy;
    TRY(atomic_open(a, path, &w->file, e));
    *out = w;
    return OK;
}

static Status mention(GgufWriter *w, GgufKv kv, bool removed, Err *e) {
    CHECK(!w->begun, "metadata key '%s' after data", kv.key);
    TRY(arena_grow(w->arena, &w->mentions, &w->mention_cap, w->n_mentions, w->n_mentions + 1, sizeof *w->mentions, e));
    char *key;
    TRY(arena_strdup(w->arena, kv.key, &key, e));
    kv.key = key;
    w->mentions[w->n_mentions++] = (Mention){kv, removed};
    return OK;
}

Status gguf_writer_copy(GgufWriter *w, const GgufKv *kv, Err *e) {
    if (strcmp(kv->key, "general.alignment") == 0 || strncmp(kv->key, "split.", 6) == 0) return OK;
    return mention(w, *kv, false, e);
}

Status gguf_writer_remove(GgufWriter *w, const char *key, Err *e) { return mention(w, (GgufKv){.key = key}, true, e); }

static Status put(GgufWriter *w, const char *key, GgufType type, GgufType elem_type, uint64_t n, const void *value,
                  size_t bytes, Err *e) {
    uint8_t *copy;
    TRY(ARENA_NEW(w->arena, bytes, copy, e));
    if (bytes > 0) memcpy(copy, value, bytes);
    return mention(w, (GgufKv){key, type, elem_type, n, copy, bytes}, false, e);
}

static Status put_number(GgufWriter *w, const char *key, GgufType type, uint64_t v, int bytes, Err *e) {
    uint8_t p[8];
    store_le(p, v, bytes);
    return put(w, key, type, type, 1, p, (size_t)bytes, e);
}

Status gguf_writer_u32(GgufWriter *w, const char *key, uint32_t v, Err *e) {
    return put_number(w, key, GGUF_U32, v, 4, e);
}

Status gguf_writer_u64(GgufWriter *w, const char *key, uint64_t v, Err *e) {
    return put_number(w, key, GGUF_U64, v, 8, e);
}

Status gguf_writer_f32(GgufWriter *w, const char *key, float v, Err *e) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return put_number(w, key, GGUF_F32, bits, 4, e);
}

Status gguf_writer_bool(GgufWriter *w, const char *key, bool v, Err *e) {
    return put_number(w, key, GGUF_BOOL, v, 1, e);
}

static Status add_string(Buf *b, const char *s, size_t len, Err *e) {
    uint8_t p[8];
    store_le(p, len, 8);
    TRY(buf_add(b, p, 8, e));
    return buf_add(b, s, len, e);
}

Status gguf_writer_string(GgufWriter *w, const char *key, const char *s, Err *e) {
    Buf b = {.arena = w->arena};
    TRY(add_string(&b, s, strlen(s), e));
    return put(w, key, GGUF_STRING, GGUF_STRING, 1, b.data, b.len, e);
}

Status gguf_writer_strings(GgufWriter *w, const char *key, const GgufString *values, uint64_t n, Err *e) {
    Buf b = {.arena = w->arena};
    for (uint64_t i = 0; i < n; i++) TRY(add_string(&b, values[i].s, values[i].len, e));
    return put(w, key, GGUF_ARRAY, GGUF_STRING, n, b.data, b.len, e);
}

Status gguf_writer_array(GgufWriter *w, const char *key, GgufType elem_type, const void *values, uint64_t n, Err *e) {
    static const uint8_t BYTES[GGUF_TYPE_COUNT] = {
        [GGUF_U8] = 1,  [GGUF_I8] = 1,   [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
        [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
    };
    CHECK(BYTES[elem_type] != 0, "array '%s' of %s", key, gguf_type_name(elem_type));
    return put(w, key, GGUF_ARRAY, elem_type, n, values, (size_t)n * BYTES[elem_type], e);
}

Status gguf_writer_tensor(GgufWriter *w, const char *name, uint32_t ggml_type, int n_dims, const int64_t *dims,
                          Err *e) {
    CHECK(!w->begun, "tensor '%s' declared after data", name);
    CHECK(n_dims >= 1 && n_dims <= GGUF_DIMS_MAX, "tensor '%s' has %d dimensions", name, n_dims);
    size_t len = strlen(name);
    GgmlTypeInfo info = ggml_type_info(ggml_type);
    CHECK(info.name != NULL, "tensor '%s' has type %u", name, ggml_type);
    if (len < 1 || len > GGUF_NAME_MAX)
        FAIL(e, ERR_FORMAT, "%s: tensor name '%s' is %zu bytes long, GGUF allows 1 to %d", w->path, name, len,
             GGUF_NAME_MAX);
    if (dims[0] % info.block_elems != 0)
        FAIL(e, ERR_FORMAT, "%s: tensor '%s': rows of %lld elements are not whole %s blocks of %d; choose another type",
             w->path, name, (long long)dims[0], info.name, info.block_elems);
    TRY(arena_grow(w->arena, &w->tensors, &w->tensor_cap, w->n_tensors, w->n_tensors + 1, sizeof *w->tensors, e));
    Declared *t = &w->tensors[w->n_tensors];
    char *copy;
    TRY(arena_strdup(w->arena, name, &copy, e));
    *t = (Declared){.name = copy, .ggml_type = ggml_type, .n_dims = n_dims};
    t->bytes = (uint64_t)(dims[0] / info.block_elems);
    bool fits = !__builtin_mul_overflow(t->bytes, (uint64_t)info.block_bytes, &t->bytes);
    for (int i = 0; i < n_dims; i++) {
        t->dims[i] = dims[i];
        CHECK(dims[i] >= 1, "tensor '%s': dimension %d is %lld", name, i, (long long)dims[i]);
        if (i > 0) fits = fits && !__builtin_mul_overflow(t->bytes, (uint64_t)dims[i], &t->bytes);
    }
    CHECK(fits, "tensor '%s' overflows", name);
    w->n_tensors++;
    return OK;
}

static Status add_number(Buf *b, uint64_t v, int bytes, Err *e) {
    uint8_t p[8];
    store_le(p, v, bytes);
    return buf_add(b, p, (size_t)bytes, e);
}

/* Settles the mentions: final[i] is the value to write at the place of mention i, or NULL. */
static Status settle(GgufWriter *w, const GgufKv **final, uint64_t *n, Err *e) {
    NameIndex x = {0};
    for (size_t i = 0; i < w->n_mentions; i++) TRY(name_index_add(&x, w->arena, w->mentions[i].kv.key, (int64_t)i, e));
    name_index_sort(&x);
    *n = 0;
    for (size_t first = 0, last; first < x.n; first = last + 1) {
        for (last = first; last + 1 < x.n && strcmp(x.entries[first].name, x.entries[last + 1].name) == 0;) last++;
        const Mention *decides = &w->mentions[x.entries[last].position];
        if (decides->removed) continue;
        final[x.entries[first].position] = &decides->kv;
        ++*n;
    }
    return OK;
}

static Status add_header(GgufWriter *w, Buf *b, Err *e) {
    const GgufKv **final;
    uint64_t n_kv, offset = 0;
    TRY(ARENA_NEW(w->arena, w->n_mentions, final, e));
    TRY(settle(w, final, &n_kv, e));
    TRY(buf_add(b, "GGUF", 4, e));
    TRY(add_number(b, WRITE_VERSION, 4, e));
    TRY(add_number(b, w->n_tensors, 8, e));
    TRY(add_number(b, n_kv, 8, e));
    for (size_t i = 0; i < w->n_mentions; i++) {
        if (final[i] == NULL) continue;
        TRY(add_string(b, final[i]->key, strlen(final[i]->key), e));
        TRY(add_number(b, final[i]->type, 4, e));
        if (final[i]->type == GGUF_ARRAY) {
            TRY(add_number(b, final[i]->elem_type, 4, e));
            TRY(add_number(b, final[i]->n, 8, e));
        }
        TRY(buf_add(b, final[i]->value, final[i]->value_bytes, e));
    }
    for (size_t i = 0; i < w->n_tensors; i++) {
        const Declared *t = &w->tensors[i];
        TRY(add_string(b, t->name, strlen(t->name), e));
        TRY(add_number(b, (uint64_t)t->n_dims, 4, e));
        for (int d = 0; d < t->n_dims; d++) TRY(add_number(b, (uint64_t)t->dims[d], 8, e));
        TRY(add_number(b, t->ggml_type, 4, e));
        TRY(add_number(b, offset, 8, e));
        uint64_t end;
        CHECK(!__builtin_add_overflow(offset, t->bytes, &end) && align_up(end, ALIGNMENT, &offset), "data overflows");
    }
    return OK;
}

static Status pad(GgufWriter *w, uint64_t bytes, Err *e) {
    static const uint8_t zeros[ALIGNMENT];
    uint64_t rest = bytes % ALIGNMENT;
    return rest == 0 ? OK : atomic_write(w->file, zeros, ALIGNMENT - (size_t)rest, e);
}

static Status begin(GgufWriter *w, Err *e) {
    if (w->begun) return OK;
    w->begun = true;
    NameIndex x = {0};
    for (size_t i = 0; i < w->n_tensors; i++) TRY(name_index_add(&x, w->arena, w->tensors[i].name, (int64_t)i, e));
    name_index_sort(&x);
    const char *twice = name_index_duplicate(&x);
    if (twice != NULL) FAIL(e, ERR_FORMAT, "%s: the tensor '%s' would be there twice", w->path, twice);
    Buf b = {.arena = w->arena};
    TRY(add_header(w, &b, e));
    TRY(atomic_write(w->file, b.data, b.len, e));
    return pad(w, b.len, e);
}

Status gguf_writer_data(GgufWriter *w, const void *data, size_t bytes, Err *e) {
    TRY(begin(w, e));
    const uint8_t *p = data;
    while (bytes > 0) {
        CHECK(w->current < w->n_tensors, "%zu bytes more than declared", bytes);
        const Declared *t = &w->tensors[w->current];
        uint64_t room = t->bytes - w->written;
        size_t part = bytes < room ? bytes : (size_t)room;
        TRY(atomic_write(w->file, p, part, e));
        p += part;
        bytes -= part;
        w->written += part;
        if (w->written == t->bytes) {
            TRY(pad(w, t->bytes, e));
            w->current++;
            w->written = 0;
        }
    }
    return OK;
}

Status gguf_writer_commit(GgufWriter *w, Err *e) {
    Status st = begin(w, e);
    if (st != OK) {
        gguf_writer_abort(w);
        return st;
    }
    CHECK(w->current == w->n_tensors, "%zu of %zu tensors were written", w->current, w->n_tensors);
    AtomicFile *file = w->file;
    w->file = NULL;
    return atomic_commit(file, e);
}

void gguf_writer_abort(GgufWriter *w) {
    if (w == NULL || w->file == NULL) return;
    atomic_abort(w->file);
    w->file = NULL;
}
