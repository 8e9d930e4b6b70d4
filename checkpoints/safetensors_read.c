/* safetensors_read.c: opens safetensors files and model folders with all checks. See safetensors.h. */
#include "checkpoints/safetensors.h"

#include "checkpoints/bytes.h"
#include "checkpoints/name_index.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER_MAX_BYTES = 100000000, INDEX_MAX_BYTES = 100000000 };

static const struct {
    const char *name;
    int64_t bytes;
} DTYPES[ST_DTYPE_COUNT] = {
#define X(id, bytes) [ST_##id] = {#id, bytes},
    ST_DTYPES(X)
#undef X
};

const char *st_dtype_name(StDtype t) { return (unsigned)t < ST_DTYPE_COUNT ? DTYPES[t].name : "unknown"; }

int64_t st_dtype_bytes(StDtype t) {
    CHECK((unsigned)t < ST_DTYPE_COUNT, "dtype %d", (int)t);
    return DTYPES[t].bytes;
}

/* One tensor record while its file is read. */
typedef struct Record {
    StTensor tensor;
    uint64_t begin, end; /* in the data buffer */
} Record;

static Status check_name(const char *path, JsonString name, Err *e) {
    if (memchr(name.s, 0, name.len) != NULL)
        FAIL(e, ERR_FORMAT, "%s: a tensor name that begins '%s' holds a NUL byte", path, name.s);
    return OK;
}

static Status read_dtype(const char *path, const char *name, const Json *v, StDtype *out, Err *e) {
    if (v == NULL || v->type != JSON_STRING) FAIL(e, ERR_FORMAT, "%s: tensor '%s' has no dtype string", path, name);
    for (int t = 0; t < ST_DTYPE_COUNT; t++) {
        if (!json_is_string(v, DTYPES[t].name)) continue;
        *out = (StDtype)t;
        return OK;
    }
    FAIL(e, ERR_FORMAT, "%s: tensor '%s' has the dtype '%.32s', which lorac does not know", path, name, v->string.s);
}

static Status read_shape(const char *path, const Json *v, StTensor *t, Err *e) {
    uint64_t elems = 1;
    if (v == NULL || v->type != JSON_ARRAY) FAIL(e, ERR_FORMAT, "%s: tensor '%s' has no shape list", path, t->name);
    if (v->n > ST_RANK_MAX)
        FAIL(e, ERR_FORMAT, "%s: tensor '%s' has %u dimensions, at most %d are read", path, t->name, v->n, ST_RANK_MAX);
    t->rank = (int)v->n;
    for (int i = 0; i < t->rank; i++) {
        const Json *d = &v->list.items[i];
        if (d->type != JSON_INT || d->integer < 0)
            FAIL(e, ERR_FORMAT, "%s: tensor '%s': dimension %d is no whole number >= 0", path, t->name, i);
        t->shape[i] = d->integer;
        if (__builtin_mul_overflow(elems, (uint64_t)d->integer, &elems) || elems > INT64_MAX)
            FAIL(e, ERR_FORMAT, "%s: tensor '%s': the product of its dimensions overflows", path, t->name);
    }
    if (__builtin_mul_overflow(elems, (uint64_t)st_dtype_bytes(t->dtype), &t->bytes))
        FAIL(e, ERR_FORMAT, "%s: tensor '%s': its size in bytes overflows", path, t->name);
    return OK;
}

static Status read_record(const char *path, JsonString name, const Json *v, Record *r, Err *e) {
    TRY(check_name(path, name, e));
    r->tensor.name = name.s;
    if (v->type != JSON_OBJECT)
        FAIL(e, ERR_FORMAT, "%s: tensor '%s' is described by %s, expected an object", path, name.s,
             json_type_name(v->type));
    TRY(read_dtype(path, name.s, json_get(v, "dtype"), &r->tensor.dtype, e));
    TRY(read_shape(path, json_get(v, "shape"), &r->tensor, e));
    const Json *offsets = json_get(v, "data_offsets");
    if (offsets == NULL || offsets->type != JSON_ARRAY || offsets->n != 2 || offsets->list.items[0].type != JSON_INT ||
        offsets->list.items[1].type != JSON_INT || offsets->list.items[0].integer < 0 ||
        offsets->list.items[1].integer < offsets->list.items[0].integer)
        FAIL(e, ERR_FORMAT, "%s: tensor '%s' has no data_offsets [begin, end] with 0 <= begin <= end", path, name.s);
    r->begin = (uint64_t)offsets->list.items[0].integer;
    r->end = (uint64_t)offsets->list.items[1].integer;
    if (r->end - r->begin != r->tensor.bytes)
        FAIL(e, ERR_FORMAT, "%s: tensor '%s' occupies %llu bytes, but its dtype and shape need %llu", path, name.s,
             (unsigned long long)(r->end - r->begin), (unsigned long long)r->tensor.bytes);
    return OK;
}

static Status check_metadata(const char *path, const Json *v, Err *e) {
    if (v->type != JSON_OBJECT) FAIL(e, ERR_FORMAT, "%s: __metadata__ is no object", path);
    for (uint32_t i = 0; i < v->n; i++)
        if (v->list.items[i].type != JSON_STRING)
            FAIL(e, ERR_FORMAT, "%s: __metadata__ entry '%.64s' is no string", path, v->list.keys[i].s);
    return OK;
}

static int by_offset(const void *pa, const void *pb) {
    const Record *a = pa, *b = pb;
    if (a->begin != b->begin) return a->begin < b->begin ? -1 : 1;
    if (a->end != b->end) return a->end < b->end ? -1 : 1;
    return strcmp(a->tensor.name, b->tensor.name);
}

/* The tensors must cover the data buffer exactly: no hole, no overlap, nothing behind the last one. */
static Status place_records(const FileMap *m, size_t header, Record *records, size_t n, Err *e) {
    uint64_t at = 0, room = m->size - header;
    if (n > 1) qsort(records, n, sizeof *records, by_offset);
    for (size_t i = 0; i < n; i++) {
        Record *r = &records[i];
        if (r->begin != at)
            FAIL(e, ERR_FORMAT, "%s: the data of tensor '%s' begins at %llu, expected %llu: %s", m->path,
                 r->tensor.name, (unsigned long long)r->begin, (unsigned long long)at,
                 r->begin < at ? "tensors overlap" : "there is a hole");
        if (r->end > room)
            FAIL(e, ERR_FORMAT,
                 "%s: the data of tensor '%s' ends at %llu, but the file holds %llu data bytes; it is truncated",
                 m->path, r->tensor.name, (unsigned long long)r->end, (unsigned long long)room);
        r->tensor.data = m->data + header + r->begin;
        at = r->end;
    }
    if (at != room)
        FAIL(e, ERR_FORMAT, "%s: %llu bytes follow the data of the last tensor", m->path,
             (unsigned long long)(room - at));
    return OK;
}

typedef struct Tensors {
    StTensor *items;
    size_t n, cap;
} Tensors;

/* Reads the header of file `number` and appends its tensors. */
static Status read_file(Arena *a, Safetensors *s, int number, Tensors *all, Err *e) {
    const FileMap *m = &s->files[number];
    const char *path = m->path;
    if (m->size < 8) FAIL(e, ERR_FORMAT, "%s: %zu bytes are no safetensors file", path, m->size);
    uint64_t header = load_le(m->data, 8);
    if (header > HEADER_MAX_BYTES || header > m->size - 8)
        FAIL(e, ERR_FORMAT, "%s: the header is said to have %llu bytes, but the file has %zu (and %d are allowed)%s",
             path, (unsigned long long)header, m->size, HEADER_MAX_BYTES,
             header <= HEADER_MAX_BYTES ? "; it is truncated" : "; this is no safetensors file");
    s->header_bytes[number] = 8 + (size_t)header;
    if (header == 0 || m->data[8] != '{') FAIL(e, ERR_FORMAT, "%s: the header does not begin with '{'", path);
    Json *root;
    TRY(json_parse(a, path, (const char *)m->data + 8, (size_t)header, &root, e));
    if (root->type != JSON_OBJECT) FAIL(e, ERR_FORMAT, "%s: the header is no JSON object", path);
    Record *records;
    size_t n = 0;
    TRY(ARENA_NEW(a, root->n, records, e));
    for (uint32_t i = 0; i < root->n; i++) {
        const Json *v = &root->list.items[i];
        if (strcmp(root->list.keys[i].s, "__metadata__") == 0) {
            TRY(check_metadata(path, v, e));
            if (number == 0) s->metadata = v;
            continue;
        }
        records[n].tensor.file = number;
        TRY(read_record(path, root->list.keys[i], v, &records[n], e));
        n++;
    }
    TRY(place_records(m, s->header_bytes[number], records, n, e));
    TRY(arena_grow(a, &all->items, &all->cap, all->n, all->n + n, sizeof *all->items, e));
    for (size_t i = 0; i < n; i++) all->items[all->n++] = records[i].tensor;
    return OK;
}

static Status index_tensors(Arena *a, Safetensors *s, const Tensors *all, Err *e) {
    for (size_t i = 0; i < all->n; i++) TRY(name_index_add(s->index, a, all->items[i].name, (int64_t)i, e));
    name_index_sort(s->index);
    const char *twice = name_index_duplicate(s->index);
    if (twice != NULL) FAIL(e, ERR_FORMAT, "%s: the tensor '%s' is there twice (in two shards)", s->path, twice);
    s->tensors = all->items;
    s->n_tensors = (int64_t)all->n;
    return OK;
}

static Status new_safetensors(Arena *a, const char *path, size_t n_files, Safetensors **out, Err *e) {
    Safetensors *s;
    char *copy;
    TRY(ARENA_NEW(a, 1, s, e));
    TRY(ARENA_NEW(a, n_files, s->files, e));
    TRY(ARENA_NEW(a, n_files, s->header_bytes, e));
    TRY(ARENA_NEW(a, 1, s->index, e));
    TRY(arena_strdup(a, path, &copy, e));
    s->path = copy;
    *out = s;
    return OK;
}

static Status add_file(Arena *a, Safetensors *s, const char *path, Tensors *all, Err *e) {
    TRY(file_map(path, &s->files[s->n_files], e));
    s->n_files++;
    return read_file(a, s, s->n_files - 1, all, e);
}

Status safetensors_open(Arena *a, const char *path, Safetensors **out, Err *e) {
    Safetensors *s;
    Tensors all = {0};
    Status st;
    TRY(new_safetensors(a, path, 1, &s, e));
    TRY_OUT(st, add_file(a, s, path, &all, e));
    TRY_OUT(st, index_tensors(a, s, &all, e));
    *out = s;
    return OK;
out:
    safetensors_close(s);
    return st;
}

/* ---- shards ------------------------------------------------------------------------------------------------------ */

static int by_text(const void *pa, const void *pb) {
    return strcmp(*(const char *const *)pa, *(const char *const *)pb);
}

/* The distinct shard names of a weight_map, sorted; each a plain file name. */
static Status shard_names(Arena *a, const char *path, const Json *map, const char ***names, size_t *n, Err *e) {
    const char **list;
    TRY(ARENA_NEW(a, map->n, list, e));
    for (uint32_t i = 0; i < map->n; i++) {
        const Json *v = &map->list.items[i];
        TRY(check_name(path, map->list.keys[i], e));
        if (v->type != JSON_STRING || v->string.len == 0 || v->string.len > 255 ||
            strlen(v->string.s) != v->string.len || strchr(v->string.s, '/') != NULL || strcmp(v->string.s, ".") == 0 ||
            strcmp(v->string.s, "..") == 0)
            FAIL(e, ERR_FORMAT, "%s: weight_map entry '%s' names no plain file", path, map->list.keys[i].s);
        list[i] = v->string.s;
    }
    if (map->n > 1) qsort(list, map->n, sizeof *list, by_text);
    *n = 0;
    for (uint32_t i = 0; i < map->n; i++)
        if (*n == 0 || strcmp(list[*n - 1], list[i]) != 0) list[(*n)++] = list[i];
    *names = list;
    return OK;
}

/* Every name of the index is a tensor of its shard and the other way round. */
static Status check_map(const Safetensors *s, const char *path, const Json *map, const char **shards, Err *e) {
    for (uint32_t i = 0; i < map->n; i++) {
        const char *name = map->list.keys[i].s, *shard = map->list.items[i].string.s;
        const StTensor *t = safetensors_find(s, name);
        if (t == NULL || strcmp(shards[t->file], shard) != 0)
            FAIL(e, ERR_FORMAT, "%s: tensor '%s' should be in %s, but it is %s%s", path, name, shard,
                 t == NULL ? "in none of the files" : "in ", t == NULL ? "" : shards[t->file]);
    }
    /* The names of a map are distinct (JSON), so equal counts mean equal sets. */
    if ((int64_t)map->n == s->n_tensors) return OK;
    NameIndex listed = {0};
    Arena *a;
    Status st = arena_open(&a, "safetensors index", e);
    if (st != OK) return st;
    for (uint32_t i = 0; i < map->n; i++) TRY_OUT(st, name_index_add(&listed, a, map->list.keys[i].s, i, e));
    name_index_sort(&listed);
    for (int64_t i = 0; i < s->n_tensors; i++) {
        if (name_index_find(&listed, s->tensors[i].name) >= 0) continue;
        st = err_set(e, ERR_FORMAT, __FILE__, __LINE__, "%s: does not list tensor '%s', which is in %s", path,
                     s->tensors[i].name, shards[s->tensors[i].file]);
        goto out;
    }
out:
    arena_close(a);
    return st;
}

static Status open_sharded(Arena *a, const char *folder, const char *index_path, Safetensors **out, Err *e) {
    Json *root;
    const char **shards;
    size_t n;
    TRY(json_read(a, index_path, INDEX_MAX_BYTES, &root, e));
    const Json *map = json_get(root, "weight_map");
    if (map == NULL || map->type != JSON_OBJECT || map->n == 0)
        FAIL(e, ERR_FORMAT, "%s: has no object 'weight_map' with entries", index_path);
    TRY(shard_names(a, index_path, map, &shards, &n, e));
    Safetensors *s;
    Tensors all = {0};
    Status st;
    TRY(new_safetensors(a, folder, n, &s, e));
    for (size_t i = 0; i < n; i++) {
        char *path;
        TRY_OUT(st, path_join(a, folder, shards[i], &path, e));
        TRY_OUT(st, add_file(a, s, path, &all, e));
    }
    TRY_OUT(st, index_tensors(a, s, &all, e));
    TRY_OUT(st, check_map(s, index_path, map, shards, e));
    *out = s;
    return OK;
out:
    safetensors_close(s);
    return st;
}

Status safetensors_open_folder(Arena *a, const char *folder, Safetensors **out, Err *e) {
    char *single, *index_path, *other;
    TRY(path_join(a, folder, "model.safetensors", &single, e));
    if (path_exists(single)) return safetensors_open(a, single, out, e);
    TRY(path_join(a, folder, "model.safetensors.index.json", &index_path, e));
    if (path_exists(index_path)) return open_sharded(a, folder, index_path, out, e);
    TRY(path_join(a, folder, "pytorch_model.bin", &other, e));
    bool pickle = path_exists(other);
    TRY(path_join(a, folder, "pytorch_model.bin.index.json", &other, e));
    pickle = pickle || path_exists(other);
    FAIL(e, ERR_IO, "%s: there is neither model.safetensors nor model.safetensors.index.json%s", folder,
         pickle ? "; pytorch_model.bin is not read (it can run code): save the model as safetensors" : "");
}

void safetensors_close(Safetensors *s) {
    if (s == NULL) return;
    for (int i = 0; i < s->n_files; i++) file_unmap(&s->files[i]);
    s->n_files = 0;
}

const StTensor *safetensors_find(const Safetensors *s, const char *name) {
    int64_t i = name_index_find(s->index, name);
    return i < 0 ? NULL : &s->tensors[i];
}
