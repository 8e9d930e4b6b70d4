/* gguf_read.c: opens GGUF files: parsing, all checks, split models. See gguf.h.
 *
 * The parser walks a cursor over the mapping; every step asks `take` for its bytes, which fails with the place when the
 * file ends first. Tables grow as records are really there, so a count in the header alone takes no memory. */
#include "checkpoints/gguf.h"

#include "base/utf8.h"
#include "checkpoints/bytes.h"
#include "checkpoints/name_index.h"
#include "kernels/quant.h"

#include <stdio.h>
#include <string.h>

enum { KEY_MAX_BYTES = 65535, KV_MIN_BYTES = 8 + 1 + 4 + 1, TENSOR_MIN_BYTES = 8 + 1 + 4 + 8 + 4 + 8 };

/* What is built while parsing; moved into the Gguf at the end. */
typedef struct Tables {
    GgufKv *kv;
    size_t n_kv, kv_cap;
    GgufTensor *tensors;
    size_t n_tensors, tensor_cap;
    NameIndex keys, names;
} Tables;

typedef struct Cursor {
    Arena *arena;
    const char *path;
    const uint8_t *data;
    size_t size, pos;
} Cursor;

static Status take(Cursor *c, uint64_t bytes, const char *what, const uint8_t **out, Err *e) {
    if (bytes > c->size - c->pos)
        FAIL(e, ERR_FORMAT,
             "%s: %s at byte %zu needs %llu bytes, but only %zu are left; the file is truncated or damaged", c->path,
             what, c->pos, (unsigned long long)bytes, c->size - c->pos);
    *out = c->data + c->pos;
    c->pos += (size_t)bytes;
    return OK;
}

static Status take_number(Cursor *c, int bytes, const char *what, uint64_t *out, Err *e) {
    const uint8_t *p;
    TRY(take(c, (uint64_t)bytes, what, &p, e));
    *out = load_le(p, bytes);
    return OK;
}

/* A key or tensor name: copied, at most max bytes, valid UTF-8, no NUL, not empty. */
static Status take_name(Cursor *c, size_t max, const char *what, const char **out, Err *e) {
    size_t at = c->pos;
    uint64_t len;
    const uint8_t *p;
    char *copy;
    TRY(take_number(c, 8, what, &len, e));
    if (len == 0 || len > max)
        FAIL(e, ERR_FORMAT, "%s: %s at byte %zu has a length of %llu bytes, expected 1 to %zu", c->path, what, at,
             (unsigned long long)len, max);
    TRY(take(c, len, what, &p, e));
    if (memchr(p, 0, (size_t)len) != NULL || utf8_valid_prefix((const char *)p, (size_t)len) != len)
        FAIL(e, ERR_FORMAT, "%s: %s at byte %zu is not valid UTF-8 text", c->path, what, at);
    TRY(arena_strndup(c->arena, (const char *)p, (size_t)len, &copy, e));
    *out = copy;
    return OK;
}

static int scalar_bytes(uint64_t type) {
    switch (type) {
    case GGUF_U8:
    case GGUF_I8:
    case GGUF_BOOL:
        return 1;
    case GGUF_U16:
    case GGUF_I16:
        return 2;
    case GGUF_U32:
    case GGUF_I32:
    case GGUF_F32:
        return 4;
    case GGUF_U64:
    case GGUF_I64:
    case GGUF_F64:
        return 8;
    default:
        return 0;
    }
}

/* Moves over n values of an element type that is no array. */
static Status skip_values(Cursor *c, const char *key, uint64_t type, uint64_t n, Err *e) {
    const uint8_t *p;
    if (type == GGUF_STRING) {
        for (uint64_t i = 0; i < n; i++) {
            uint64_t len;
            TRY(take_number(c, 8, "a string's length", &len, e));
            TRY(take(c, len, "a string", &p, e));
        }
        return OK;
    }
    uint64_t bytes;
    if (__builtin_mul_overflow((uint64_t)scalar_bytes(type), n, &bytes)) bytes = UINT64_MAX;
    TRY(take(c, bytes, "a metadata value", &p, e));
    if (type == GGUF_BOOL)
        for (uint64_t i = 0; i < n; i++)
            if (p[i] > 1) FAIL(e, ERR_FORMAT, "%s: key '%s': %d is no boolean (0 or 1)", c->path, key, p[i]);
    return OK;
}

static Status bad_type(const Cursor *c, const char *key, uint64_t type, Err *e) {
    FAIL(e, ERR_FORMAT, "%s: key '%s' has the value type %llu, expected 0 to %d%s", c->path, key,
         (unsigned long long)type, GGUF_TYPE_COUNT - 1, type == GGUF_ARRAY ? " but no array inside an array" : "");
}

static Status read_value(Cursor *c, GgufKv *kv, Err *e) {
    uint64_t type, elem, n = 1;
    TRY(take_number(c, 4, "a value type", &type, e));
    if (type >= GGUF_TYPE_COUNT) return bad_type(c, kv->key, type, e);
    elem = type;
    if (type == GGUF_ARRAY) {
        TRY(take_number(c, 4, "an element type", &elem, e));
        if (elem >= GGUF_TYPE_COUNT || elem == GGUF_ARRAY) return bad_type(c, kv->key, elem, e);
        TRY(take_number(c, 8, "an array's length", &n, e));
    }
    kv->type = (GgufType)type;
    kv->elem_type = (GgufType)elem;
    kv->n = n;
    size_t start = c->pos;
    Status st = skip_values(c, kv->key, elem, n, e);
    if (st != OK) return st;
    kv->value = c->data + start;
    kv->value_bytes = c->pos - start;
    return OK;
}

static Status read_metadata(Cursor *c, Tables *t, uint64_t n_kv, Err *e) {
    for (uint64_t i = 0; i < n_kv; i++) {
        TRY(arena_grow(c->arena, &t->kv, &t->kv_cap, t->n_kv, t->n_kv + 1, sizeof *t->kv, e));
        GgufKv *kv = &t->kv[t->n_kv];
        TRY(take_name(c, KEY_MAX_BYTES, "a metadata key", &kv->key, e));
        TRY(read_value(c, kv, e));
        t->n_kv++;
    }
    for (size_t i = 0; i < t->n_kv; i++) TRY(name_index_add(&t->keys, c->arena, t->kv[i].key, (int64_t)i, e));
    name_index_sort(&t->keys);
    const char *twice = name_index_duplicate(&t->keys);
    if (twice != NULL) FAIL(e, ERR_FORMAT, "%s: the key '%s' is there twice", c->path, twice);
    return OK;
}

static Status read_tensor(Cursor *c, GgufTensor *out, uint64_t *offset, Err *e) {
    uint64_t n_dims, type, rows = 1;
    TRY(take_name(c, GGUF_NAME_MAX, "a tensor name", &out->name, e));
    TRY(take_number(c, 4, "the number of dimensions", &n_dims, e));
    if (n_dims < 1 || n_dims > GGUF_DIMS_MAX)
        FAIL(e, ERR_FORMAT, "%s: tensor '%s' has %llu dimensions, expected 1 to %d", c->path, out->name,
             (unsigned long long)n_dims, GGUF_DIMS_MAX);
    out->n_dims = (int)n_dims;
    for (int i = 0; i < GGUF_DIMS_MAX; i++) {
        uint64_t d = 1;
        if (i < out->n_dims) TRY(take_number(c, 8, "a dimension", &d, e));
        if (d < 1 || d > INT64_MAX || (i > 0 && __builtin_mul_overflow(rows, d, &rows)))
            FAIL(e, ERR_FORMAT, "%s: tensor '%s': dimension %d of %llu is not possible", c->path, out->name, i,
                 (unsigned long long)d);
        out->dims[i] = (int64_t)d;
    }
    TRY(take_number(c, 4, "a tensor type", &type, e));
    TRY(take_number(c, 8, "a tensor offset", offset, e));
    GgmlTypeInfo info = ggml_type_info((uint32_t)type);
    if (info.name == NULL)
        FAIL(e, ERR_FORMAT, "%s: tensor '%s' has the type number %llu, which is no GGUF type known to lorac", c->path,
             out->name, (unsigned long long)type);
    if (out->dims[0] % info.block_elems != 0)
        FAIL(e, ERR_FORMAT, "%s: tensor '%s': rows of %lld elements are not whole %s blocks of %d", c->path, out->name,
             (long long)out->dims[0], info.name, info.block_elems);
    out->ggml_type = (uint32_t)type;
    uint64_t blocks = (uint64_t)(out->dims[0] / info.block_elems), elems;
    if (__builtin_mul_overflow(blocks, rows, &blocks) ||
        __builtin_mul_overflow(blocks, (uint64_t)info.block_bytes, &out->bytes) ||
        __builtin_mul_overflow((uint64_t)out->dims[0], rows, &elems) || elems > INT64_MAX || out->bytes > INT64_MAX)
        FAIL(e, ERR_FORMAT, "%s: tensor '%s': the product of its dimensions overflows", c->path, out->name);
    return OK;
}

/* The tensor list and where each tensor's data lies: one after another, each padded to the alignment. */
static Status read_tensors(Cursor *c, Tables *t, uint64_t n_tensors, uint64_t alignment, int part, Err *e) {
    size_t first = t->n_tensors;
    uint64_t expected = 0;
    for (uint64_t i = 0; i < n_tensors; i++) {
        uint64_t offset;
        TRY(arena_grow(c->arena, &t->tensors, &t->tensor_cap, t->n_tensors, t->n_tensors + 1, sizeof *t->tensors, e));
        GgufTensor *tensor = &t->tensors[t->n_tensors];
        TRY(read_tensor(c, tensor, &offset, e));
        if (offset != expected)
            FAIL(e, ERR_FORMAT, "%s: tensor '%s' has its data at offset %llu, expected %llu (after the tensor before)",
                 c->path, tensor->name, (unsigned long long)offset, (unsigned long long)expected);
        tensor->part = part;
        t->n_tensors++;
        if (__builtin_add_overflow(expected, tensor->bytes, &expected) || !align_up(expected, alignment, &expected))
            FAIL(e, ERR_FORMAT, "%s: tensor '%s': the data section overflows", c->path, tensor->name);
    }
    uint64_t start, at = 0;
    if (!align_up(c->pos, alignment, &start)) start = UINT64_MAX;
    for (size_t i = first; i < t->n_tensors; i++) {
        GgufTensor *tensor = &t->tensors[i];
        if (start > c->size || at > c->size - start || tensor->bytes > c->size - start - at)
            FAIL(e, ERR_FORMAT,
                 "%s: the data of tensor '%s' (%llu bytes at %llu) ends behind the file's end at %zu; it is truncated, "
                 "get it again",
                 c->path, tensor->name, (unsigned long long)tensor->bytes, (unsigned long long)(start + at), c->size);
        tensor->data = c->data + start + at;
        align_up(at + tensor->bytes, alignment, &at);
    }
    return OK;
}

static Status read_version(Cursor *c, uint32_t *version, Err *e) {
    const uint8_t *magic;
    uint64_t v;
    TRY(take(c, 4, "the GGUF magic", &magic, e));
    if (memcmp(magic, "GGUF", 4) != 0)
        FAIL(e, ERR_FORMAT, "%s: this is no GGUF file: it begins with bytes %02x %02x %02x %02x, expected 'GGUF'",
             c->path, magic[0], magic[1], magic[2], magic[3]);
    TRY(take_number(c, 4, "the version", &v, e));
    if ((v & 0xffff) == 0 && v != 0)
        FAIL(e, ERR_FORMAT, "%s: a big-endian GGUF file; convert it to little-endian (gguf-convert-endian)", c->path);
    if (v != 2 && v != 3)
        FAIL(e, ERR_FORMAT, "%s: GGUF version %llu, expected 2 or 3; convert the model again with a current llama.cpp",
             c->path, (unsigned long long)v);
    *version = (uint32_t)v;
    return OK;
}

static Status find_alignment(const Cursor *c, const Tables *t, uint32_t *out, Err *e) {
    *out = GGUF_DEFAULT_ALIGNMENT;
    int64_t i = name_index_find(&t->keys, "general.alignment"), v = 0;
    if (i < 0) return OK;
    if (!gguf_kv_int(&t->kv[i], &v) || v < 1 || v > (1 << 20) || (v & (v - 1)) != 0)
        FAIL(e, ERR_FORMAT, "%s: general.alignment is no power of two from 1 to %d", c->path, 1 << 20);
    *out = (uint32_t)v;
    return OK;
}

/* Parses file `part` of g into t. Metadata of later parts is checked and given back in *kv_of_part only. */
static Status read_part(Arena *a, Gguf *g, int part, Tables *t, Err *e) {
    const FileMap *m = &g->files[part];
    Cursor c = {.arena = a, .path = m->path, .data = m->data, .size = m->size};
    uint64_t n_tensors, n_kv;
    uint32_t version, alignment;
    TRY(read_version(&c, &version, e));
    TRY(take_number(&c, 8, "the number of tensors", &n_tensors, e));
    TRY(take_number(&c, 8, "the number of metadata keys", &n_kv, e));
    if (n_kv > (c.size - c.pos) / KV_MIN_BYTES || n_tensors > (c.size - c.pos) / TENSOR_MIN_BYTES)
        FAIL(e, ERR_FORMAT,
             "%s: the header announces %llu metadata keys and %llu tensors, more than a file of %zu bytes holds",
             c.path, (unsigned long long)n_kv, (unsigned long long)n_tensors, c.size);
    TRY(read_metadata(&c, t, n_kv, e));
    TRY(find_alignment(&c, t, &alignment, e));
    TRY(read_tensors(&c, t, n_tensors, alignment, part, e));
    g->header_bytes[part] = c.pos;
    if (part == 0) {
        g->version = version;
        g->alignment = alignment;
    }
    return OK;
}

static Status split_number(const char *path, const Tables *t, const char *key, int64_t fallback, int64_t *out, Err *e) {
    int64_t i = name_index_find(&t->keys, key);
    *out = fallback;
    if (i < 0) return OK;
    if (!gguf_kv_int(&t->kv[i], out) || *out < 0) FAIL(e, ERR_FORMAT, "%s: key '%s' is no count", path, key);
    return OK;
}

/* The name of another part: PREFIX-%05d-of-%05d.gguf with the same prefix and count. */
static Status part_path(Arena *a, const char *first, int64_t part, int64_t count, char **out, Err *e) {
    char tail[64];
    int tail_len = snprintf(tail, sizeof tail, "-%05d-of-%05d.gguf", 1, (int)count);
    size_t len = strlen(first);
    if (len <= (size_t)tail_len || strcmp(first + len - tail_len, tail) != 0)
        FAIL(e, ERR_FORMAT,
             "%s: the first of %lld parts of a split model, but its name does not end in '%s'; give the parts "
             "their names back",
             first, (long long)count, tail);
    return arena_printf(a, out, e, "%.*s-%05d-of-%05d.gguf", (int)(len - (size_t)tail_len), first, (int)part + 1,
                        (int)count);
}

static Status check_part(const Gguf *g, const Tables *t, int part, int64_t count, Err *e) {
    const char *path = g->files[part].path;
    int64_t no, n;
    TRY(split_number(path, t, "split.no", -1, &no, e));
    TRY(split_number(path, t, "split.count", -1, &n, e));
    if (no != part || n != count)
        FAIL(e, ERR_FORMAT, "%s: says it is part %lld of %lld, expected part %d of %lld", path, (long long)no + 1,
             (long long)n, part + 1, (long long)count);
    return OK;
}

/* Opens parts 2..count of a split model behind the first. */
static Status read_split(Arena *a, Gguf *g, Tables *t, Err *e) {
    int64_t no, count, total;
    TRY(split_number(g->path, t, "split.count", 1, &count, e));
    TRY(split_number(g->path, t, "split.no", 0, &no, e));
    TRY(split_number(g->path, t, "split.tensors.count", -1, &total, e));
    if (count <= 1) return OK;
    if (no != 0)
        FAIL(e, ERR_FORMAT, "%s: part %lld of %lld of a split model; give the first part (...-00001-of-%05lld.gguf)",
             g->path, (long long)no + 1, (long long)count, (long long)count);
    if (count > 65535)
        FAIL(e, ERR_FORMAT, "%s: split.count is %lld, expected at most 65535", g->path, (long long)count);
    FileMap *files;
    size_t *header_bytes;
    TRY(ARENA_NEW(a, count, files, e));
    TRY(ARENA_NEW(a, count, header_bytes, e));
    files[0] = g->files[0];
    header_bytes[0] = g->header_bytes[0];
    g->files = files;
    g->header_bytes = header_bytes;
    for (int part = 1; part < count; part++) {
        char *path;
        Tables of_part = {.tensors = t->tensors, .n_tensors = t->n_tensors, .tensor_cap = t->tensor_cap};
        TRY(part_path(a, g->path, part, count, &path, e));
        TRY(file_map(path, &g->files[part], e));
        g->n_files = part + 1;
        TRY(read_part(a, g, part, &of_part, e));
        TRY(check_part(g, &of_part, part, count, e));
        t->tensors = of_part.tensors;
        t->n_tensors = of_part.n_tensors;
        t->tensor_cap = of_part.tensor_cap;
    }
    if (total >= 0 && (size_t)total != t->n_tensors)
        FAIL(e, ERR_FORMAT, "%s: split.tensors.count is %lld, but the %lld parts hold %zu tensors", g->path,
             (long long)total, (long long)count, t->n_tensors);
    return OK;
}

static Status open_all(Arena *a, Gguf *g, Err *e) {
    Tables t = {0};
    TRY(file_map(g->path, &g->files[0], e));
    g->n_files = 1;
    TRY(read_part(a, g, 0, &t, e));
    TRY(read_split(a, g, &t, e));
    for (size_t i = 0; i < t.n_tensors; i++) TRY(name_index_add(&t.names, a, t.tensors[i].name, (int64_t)i, e));
    name_index_sort(&t.names);
    const char *twice = name_index_duplicate(&t.names);
    if (twice != NULL) FAIL(e, ERR_FORMAT, "%s: the tensor '%s' is there twice", g->path, twice);
    *g->key_index = t.keys;
    *g->tensor_index = t.names;
    g->kv = t.kv;
    g->n_kv = (int64_t)t.n_kv;
    g->tensors = t.tensors;
    g->n_tensors = (int64_t)t.n_tensors;
    return OK;
}

Status gguf_open(Arena *a, const char *path, Gguf **out, Err *e) {
    Gguf *g;
    char *copy;
    TRY(ARENA_NEW(a, 1, g, e));
    TRY(ARENA_NEW(a, 1, g->files, e));
    TRY(ARENA_NEW(a, 1, g->header_bytes, e));
    TRY(ARENA_NEW(a, 1, g->key_index, e));
    TRY(ARENA_NEW(a, 1, g->tensor_index, e));
    TRY(arena_strdup(a, path, &copy, e));
    g->path = copy;
    Status st = open_all(a, g, e);
    if (st != OK) {
        gguf_close(g);
        return st;
    }
    *out = g;
    return OK;
}

void gguf_close(Gguf *g) {
    if (g == NULL) return;
    for (int i = 0; i < g->n_files; i++) file_unmap(&g->files[i]);
    g->n_files = 0;
}

const GgufKv *gguf_kv(const Gguf *g, const char *key) {
    int64_t i = name_index_find(g->key_index, key);
    return i < 0 ? NULL : &g->kv[i];
}

const GgufTensor *gguf_tensor(const Gguf *g, const char *name) {
    int64_t i = name_index_find(g->tensor_index, name);
    return i < 0 ? NULL : &g->tensors[i];
}
