/* safetensors_write.c: writes safetensors files in one pass, as one file or as shards. See safetensors.h.
 *
 * All sizes are known beforehand, so the shards are planned first: each takes tensors in the given order until the next
 * one would not fit. Inside a file the order and the header's text are those of the reference writer, so that equal
 * tensors and metadata give equal files. The index is written last: a folder without it does not look like a model. */
#include "checkpoints/safetensors.h"

#include "checkpoints/bytes.h"
#include "checkpoints/name_index.h"

#include <stdlib.h>
#include <string.h>

typedef struct Shard {
    const char *name, *path;
    int64_t first, n; /* tensors */
    uint64_t bytes;   /* of data */
    bool done;        /* committed: removed again on abort */
} Shard;

struct StWriter {
    Arena *arena;
    const char *folder; /* NULL for a single file */
    const StDeclare *tensors;
    Shard *shards;
    int64_t n_shards, current;
    uint64_t written; /* data bytes of the current shard */
    AtomicFile *file;
    const StMeta *meta;
    int n_meta;
    bool closed;
};

static uint64_t declared_bytes(const StDeclare *t) {
    uint64_t bytes = (uint64_t)st_dtype_bytes(t->dtype);
    CHECK(t->rank >= 0 && t->rank <= ST_RANK_MAX, "tensor '%s' has rank %d", t->name, t->rank);
    for (int i = 0; i < t->rank; i++)
        CHECK(t->shape[i] >= 0 && !__builtin_mul_overflow(bytes, (uint64_t)t->shape[i], &bytes),
              "tensor '%s' overflows", t->name);
    return bytes;
}

static int by_dtype_and_name(const void *pa, const void *pb) {
    const StDeclare *a = pa, *b = pb;
    if (a->dtype != b->dtype) return a->dtype > b->dtype ? -1 : 1;
    return strcmp(a->name, b->name);
}

static Status add_header(const StWriter *w, const Shard *s, Buf *b, Err *e) {
    uint64_t at = 0;
    TRY(buf_add(b, "\0\0\0\0\0\0\0\0{", 9, e));
    if (w->n_meta > 0) TRY(buf_puts(b, "\"__metadata__\":{", e));
    for (int i = 0; i < w->n_meta; i++) {
        if (i > 0) TRY(buf_putc(b, ',', e));
        TRY(json_put_string(b, w->meta[i].key, strlen(w->meta[i].key), e));
        TRY(buf_putc(b, ':', e));
        TRY(json_put_string(b, w->meta[i].value, strlen(w->meta[i].value), e));
    }
    if (w->n_meta > 0) TRY(buf_putc(b, '}', e));
    for (int64_t i = 0; i < s->n; i++) {
        const StDeclare *t = &w->tensors[s->first + i];
        uint64_t end = at + declared_bytes(t);
        if (i > 0 || w->n_meta > 0) TRY(buf_putc(b, ',', e));
        TRY(json_put_string(b, t->name, strlen(t->name), e));
        TRY(buf_printf(b, e, ":{\"dtype\":\"%s\",\"shape\":[", st_dtype_name(t->dtype)));
        for (int d = 0; d < t->rank; d++) TRY(buf_printf(b, e, "%s%lld", d > 0 ? "," : "", (long long)t->shape[d]));
        TRY(buf_printf(b, e, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)at, (unsigned long long)end));
        at = end;
    }
    TRY(buf_putc(b, '}', e));
    while (b->len % 8 != 0) TRY(buf_putc(b, ' ', e));
    store_le((uint8_t *)b->data, b->len - 8, 8);
    return OK;
}

/* Starts the current shard: temporary file and header. */
static Status begin_shard(StWriter *w, Err *e) {
    Shard *s = &w->shards[w->current];
    ArenaMark mark = arena_mark(w->arena);
    Buf b = {.arena = w->arena};
    TRY(add_header(w, s, &b, e));
    TRY(atomic_write(w->file, b.data, b.len, e));
    arena_reset(w->arena, mark);
    w->written = 0;
    return OK;
}

static Status open_shard(StWriter *w, Err *e) {
    TRY(atomic_open(w->arena, w->shards[w->current].path, &w->file, e));
    return begin_shard(w, e);
}

static Status end_shard(StWriter *w, Err *e) {
    AtomicFile *file = w->file;
    w->file = NULL;
    TRY(atomic_commit(file, e));
    w->shards[w->current].done = true;
    w->current++;
    return OK;
}

static Status check_names(Arena *a, const char *path, const StDeclare *declare, int64_t n, Err *e) {
    ArenaMark mark = arena_mark(a);
    NameIndex x = {0};
    for (int64_t i = 0; i < n; i++) TRY(name_index_add(&x, a, declare[i].name, i, e));
    name_index_sort(&x);
    const char *twice = name_index_duplicate(&x);
    if (twice != NULL) FAIL(e, ERR_FORMAT, "%s: the tensor '%s' would be there twice", path, twice);
    arena_reset(a, mark);
    return OK;
}

static Status new_writer(Arena *a, const char *path, const StDeclare *declare, int64_t n, const StMeta *meta,
                         int n_meta, StWriter **out, Err *e) {
    TRY(check_names(a, path, declare, n, e));
    TRY(ARENA_NEW(a, 1, *out, e));
    (*out)->arena = a;
    (*out)->tensors = declare;
    (*out)->meta = meta;
    (*out)->n_meta = n_meta;
    return OK;
}

static Status start(StWriter *w, StWriter **out, Err *e) {
    Status st = open_shard(w, e);
    if (st != OK) {
        st_writer_abort(w);
        return st;
    }
    *out = w;
    return OK;
}

Status st_writer_open(Arena *a, const char *path, StDeclare *declare, int64_t n, const StMeta *meta, int n_meta,
                      StWriter **out, Err *e) {
    StWriter *w;
    char *copy;
    TRY(new_writer(a, path, declare, n, meta, n_meta, &w, e));
    TRY(ARENA_NEW(a, 1, w->shards, e));
    TRY(arena_strdup(a, path, &copy, e));
    w->n_shards = 1;
    w->shards[0] = (Shard){.path = copy, .name = copy, .n = n};
    if (n > 1) qsort(declare, (size_t)n, sizeof *declare, by_dtype_and_name);
    for (int64_t i = 0; i < n; i++) w->shards[0].bytes += declared_bytes(&declare[i]);
    return start(w, out, e);
}

/* Cuts the tensors into shards in their order. */
static Status plan_shards(StWriter *w, uint64_t max_bytes, StDeclare *declare, int64_t n, Err *e) {
    TRY(ARENA_NEW(w->arena, n > 0 ? n : 1, w->shards, e));
    Shard *s = &w->shards[0];
    w->n_shards = 1;
    for (int64_t i = 0; i < n; i++) {
        uint64_t bytes = declared_bytes(&declare[i]);
        if (s->n > 0 && (bytes > max_bytes || s->bytes > max_bytes - bytes)) {
            s = &w->shards[w->n_shards++];
            s->first = i;
        }
        s->n++;
        s->bytes += bytes;
    }
    for (int64_t i = 0; i < w->n_shards; i++) {
        char *name, *path;
        s = &w->shards[i];
        if (s->n > 1) qsort(declare + s->first, (size_t)s->n, sizeof *declare, by_dtype_and_name);
        if (w->n_shards == 1)
            TRY(arena_strdup(w->arena, "model.safetensors", &name, e));
        else
            TRY(arena_printf(w->arena, &name, e, "model-%05lld-of-%05lld.safetensors", (long long)i + 1,
                             (long long)w->n_shards));
        TRY(path_join(w->arena, w->folder, name, &path, e));
        s->name = name;
        s->path = path;
    }
    return OK;
}

Status st_writer_open_folder(Arena *a, const char *folder, uint64_t max_shard_bytes, StDeclare *declare, int64_t n,
                             const StMeta *meta, int n_meta, StWriter **out, Err *e) {
    StWriter *w;
    char *copy;
    TRY(new_writer(a, folder, declare, n, meta, n_meta, &w, e));
    TRY(arena_strdup(a, folder, &copy, e));
    w->folder = copy;
    TRY(plan_shards(w, max_shard_bytes, declare, n, e));
    TRY(make_folders(folder, e));
    return start(w, out, e);
}

Status st_writer_data(StWriter *w, const void *data, size_t bytes, Err *e) {
    const uint8_t *p = data;
    while (bytes > 0) {
        CHECK(w->current < w->n_shards, "%zu bytes more than declared", bytes);
        Shard *s = &w->shards[w->current];
        if (w->written == s->bytes) {
            TRY(end_shard(w, e));
            CHECK(w->current < w->n_shards, "%zu bytes more than declared", bytes);
            TRY(open_shard(w, e));
            continue;
        }
        uint64_t room = s->bytes - w->written;
        size_t part = bytes < room ? bytes : (size_t)room;
        TRY(atomic_write(w->file, p, part, e));
        p += part;
        bytes -= part;
        w->written += part;
    }
    return OK;
}

typedef struct Placed {
    const char *name, *shard;
} Placed;

static int by_name(const void *pa, const void *pb) {
    return strcmp(((const Placed *)pa)->name, ((const Placed *)pb)->name);
}

static Status write_index(StWriter *w, Err *e) {
    Placed *list;
    int64_t n = 0;
    uint64_t total = 0;
    for (int64_t i = 0; i < w->n_shards; i++) n += w->shards[i].n;
    TRY(ARENA_NEW(w->arena, n, list, e));
    n = 0;
    for (int64_t i = 0; i < w->n_shards; i++) {
        const Shard *s = &w->shards[i];
        total += s->bytes;
        for (int64_t j = 0; j < s->n; j++) list[n++] = (Placed){w->tensors[s->first + j].name, s->name};
    }
    if (n > 1) qsort(list, (size_t)n, sizeof *list, by_name);
    Buf b = {.arena = w->arena};
    TRY(buf_printf(&b, e, "{\n  \"metadata\": {\n    \"total_size\": %llu\n  },\n  \"weight_map\": {",
                   (unsigned long long)total));
    for (int64_t i = 0; i < n; i++) {
        TRY(buf_puts(&b, i > 0 ? ",\n    " : "\n    ", e));
        TRY(json_put_string(&b, list[i].name, strlen(list[i].name), e));
        TRY(buf_printf(&b, e, ": \"%s\"", list[i].shard));
    }
    TRY(buf_puts(&b, "\n  }\n}\n", e));
    char *path;
    TRY(path_join(w->arena, w->folder, "model.safetensors.index.json", &path, e));
    return file_write_atomic(w->arena, path, b.data, b.len, e);
}

static Status finish(StWriter *w, Err *e) {
    /* Shards of no bytes are reached by no data. */
    for (;;) {
        CHECK(w->written == w->shards[w->current].bytes, "shard %lld got %llu of %llu bytes", (long long)w->current,
              (unsigned long long)w->written, (unsigned long long)w->shards[w->current].bytes);
        TRY(end_shard(w, e));
        if (w->current == w->n_shards) break;
        TRY(open_shard(w, e));
    }
    return w->n_shards > 1 ? write_index(w, e) : OK;
}

Status st_writer_commit(StWriter *w, Err *e) {
    Status st = finish(w, e);
    if (st != OK) st_writer_abort(w);
    w->closed = true;
    return st;
}

void st_writer_abort(StWriter *w) {
    if (w == NULL || w->closed) return;
    w->closed = true;
    if (w->file != NULL) atomic_abort(w->file);
    w->file = NULL;
    Err ignored;
    for (int64_t i = 0; i < w->n_shards; i++)
        if (w->shards[i].done) remove_tree(w->shards[i].path, &ignored);
}
