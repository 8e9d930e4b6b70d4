/* prepared.c: see prepared.h. What is read back is taken for damaged unless every part of it fits every other. */
#include "data/prepared.h"

#include "base/h5.h"
#include "base/json.h"
#include "base/signals.h"

#include <stdio.h>
#include <string.h>

enum { PREPARED_VERSION = 1, HEAD_BYTES = 512, STEP = 1 << 24, SOURCES_MAX = 1 << 28, LEDGER = 4 };

static const char FORMAT[] = "lorac-prepared-data", PROGRAM[] = "/proc/self/exe";

/* ---- the key ------------------------------------------------------------------------------------------------------ */

static void add_text(Hasher *h, const char *s) {
    if (s == NULL) s = "\1"; /* not given is another thing than empty */
    hasher_add(h, s, strlen(s) + 1);
}

/* Looked at in each step over what may be large. */
static Status go_on(const char *path, const char *what, Err *e) {
    if (stop_requested()) FAIL(e, ERR_STOPPED, "stopped while %s was %s", path, what);
    return OK;
}

/* A file's bytes; its pages need not stay. */
static Status add_file(Hasher *h, const char *path, Err *e) {
    FileMap m;
    TRY(file_map(path, &m, e));
    uint64_t size = m.size;
    Status st = OK;
    hasher_add(h, &size, sizeof size);
    for (size_t at = 0; st == OK && at < m.size; at += STEP) {
        size_t n = m.size - at < STEP ? m.size - at : STEP;
        hasher_add(h, m.data + at, n);
        file_map_forget(&m, at, n);
        st = go_on(path, "read", e);
    }
    file_unmap(&m);
    return st;
}

static Status add_source(Hasher *h, const DataSource *s, int entry, Err *e) {
    const uint8_t numbers[] = {(uint8_t)s->training.eos, s->training.inputs, s->training.lenient};
    int64_t index = entry;
    add_text(h, s->path);
    add_text(h, s->type);
    for (int f = 0; f < FIELD_COUNT; f++) add_text(h, s->fields[f]);
    add_text(h, s->training.roles);
    hasher_add(h, numbers, sizeof numbers);
    hasher_add(h, &index, sizeof index);
    return add_file(h, s->path, e);
}

static Status find_key(Arena *work, const DataSource *files, const DataContext *context, const Dataset *d,
                       char key[HASH_HEX_BYTES], Err *e) {
    Hasher *h;
    int64_t numbers[] = {PREPARED_VERSION, context->vocab, d->n_sources};
    TRY(hasher_open(work, &h, e));
    hasher_add(h, numbers, sizeof numbers);
    hasher_add(h, &context->identity, sizeof context->identity);
    /* another build may make other ids of the same text */
    if (path_exists(PROGRAM)) TRY(add_file(h, PROGRAM, e));
    for (int i = 0; i < d->n_sources; i++) TRY(add_source(h, &files[i], d->entries[i], e));
    hash_hex(hasher_value(h), key);
    return OK;
}

/* KEY.h5.tmp-..., and what a spool has where it cannot do without a name: a folder that the config names holds other things. */
static bool is_ours(const char *name) {
    size_t hex = strspn(name, "0123456789abcdef");
    if (hex == HASH_HEX_BYTES - 1) return strncmp(name + hex, ".h5.tmp-", 8) == 0;
    return strncmp(name, "lorac.tmp-", 10) == 0;
}

void prepared_remove_left_overs(const char *folder) { remove_left_overs_if(folder, is_ours); }

Status prepared_find(Arena *work, PreparedFolder *folder, const DataSource *files, const DataContext *context,
                     const Dataset *d, Prepared *out, Err *e) {
    char *path;
    *out = (Prepared){0};
    if (folder->write) {
        TRY(make_folders(folder->path, e));
        prepared_remove_left_overs(folder->path);
    }
    TRY(find_key(work, files, context, d, out->key, e));
    TRY(arena_printf(work, &path, e, "%s/%s.h5", folder->path, out->key));
    out->path = path;
    return OK;
}

/* ---- the sum ------------------------------------------------------------------------------------------------------ */

/* The block in front of the HDF5 file. */
static Status make_head(Arena *work, const FileMap *m, char head[HEAD_BYTES], Err *e) {
    Hasher *h;
    char hex[HASH_HEX_BYTES];
    TRY(hasher_open(work, &h, e));
    for (size_t at = HEAD_BYTES; at < m->size; at += STEP) {
        size_t n = m->size - at < STEP ? m->size - at : STEP;
        hasher_add(h, m->data + at, n);
        file_map_forget(m, at, n);
        TRY(go_on(m->path, "read", e));
    }
    hash_hex(hasher_value(h), hex);
    memset(head, 0, HEAD_BYTES);
    snprintf(head, HEAD_BYTES, "%s %d\nXXH3-128 of the bytes from %d on: %s\n", FORMAT, PREPARED_VERSION, HEAD_BYTES,
             hex);
    return OK;
}

/* ---- writing ------------------------------------------------------------------------------------------------------ */

/* A large array: its place in the file, and what is to lie there. */
typedef struct Piece {
    const char *path;
    H5Type type;
    uint64_t n, offset;
    size_t elem;
    const void *data;
} Piece;

static Status put_numbers(H5 *h, const char *path, H5Type type, int64_t n, const void *data, Err *e) {
    return h5_put(h, path, type, 1, (uint64_t[]){(uint64_t)n}, data, e);
}

static Status put_rows(Arena *work, H5 *h, const Dataset *d, Err *e) {
    int64_t *bounds, *line;
    int32_t *source, *number, *trained;
    uint8_t *side;
    int64_t n = d->n_rows;
    TRY(ARENA_NEW(work, n + 1, bounds, e));
    TRY(ARENA_NEW(work, n, line, e));
    TRY(ARENA_NEW(work, n, source, e));
    TRY(ARENA_NEW(work, n, number, e));
    TRY(ARENA_NEW(work, n, trained, e));
    TRY(ARENA_NEW(work, n, side, e));
    for (int64_t i = 0; i < n; i++) {
        const DataRow *r = &d->rows[i];
        CHECK(r->start == bounds[i], "row %lld does not follow the one before", (long long)i);
        bounds[i + 1] = r->start + r->length;
        line[i] = r->line;
        source[i] = r->source;
        number[i] = r->number;
        trained[i] = r->trained;
        side[i] = r->side;
    }
    TRY(put_numbers(h, "bounds", H5_I64, n + 1, bounds, e));
    TRY(put_numbers(h, "rows/line", H5_I64, n, line, e));
    TRY(put_numbers(h, "rows/source", H5_I32, n, source, e));
    TRY(put_numbers(h, "rows/number", H5_I32, n, number, e));
    TRY(put_numbers(h, "rows/trained", H5_I32, n, trained, e));
    TRY(put_numbers(h, "rows/side", H5_U8, n, side, e));
    if (d->n_label_rows == 0) return OK;
    _Static_assert(sizeof(LabelRow) == 2 * sizeof(int64_t), "label_rows is an array of pairs");
    return h5_put(h, "label_rows", H5_I64, 2, (uint64_t[]){(uint64_t)d->n_label_rows, 2}, d->label_rows, e);
}

static Status put_sources(Arena *work, H5 *h, const Dataset *d, Err *e) {
    Buf b = {.arena = work};
    int64_t *ledger;
    TRY(ARENA_NEW(work, LEDGER * d->n_sources, ledger, e));
    for (int s = 0; s < d->n_sources; s++) {
        const Ledger *g = &d->ledger[s];
        TRY(buf_puts(&b, s == 0 ? "[{\"path\":" : ",{\"path\":", e));
        TRY(json_put_string(&b, d->paths[s], strlen(d->paths[s]), e));
        TRY(buf_printf(&b, e, ",\"type\":\"%s\"", d->types[s]));
        if (d->found_by[s] != NULL) {
            TRY(buf_puts(&b, ",\"found_by\":", e));
            TRY(json_put_string(&b, d->found_by[s], strlen(d->found_by[s]), e));
        }
        TRY(json_put_int_member(&b, "bare", d->bare[s], e));
        TRY(json_put_int_member(&b, "first_row", d->first_row[s], e));
        TRY(buf_putc(&b, '}', e));
        const int64_t counts[LEDGER] = {g->rows, g->read, g->trained, g->masked};
        memcpy(ledger + LEDGER * s, counts, sizeof counts);
    }
    TRY(buf_putc(&b, ']', e));
    TRY(h5_put(h, "ledger", H5_I64, 2, (uint64_t[]){(uint64_t)d->n_sources, LEDGER}, ledger, e));
    return h5_put_string(h, "sources", b.data, b.len, e);
}

static Status put_all(Arena *work, H5 *h, const Prepared *p, const Dataset *d, Piece *pieces, int n, Err *e) {
    const int64_t version = PREPARED_VERSION;
    TRY(h5_put_string(h, "format", FORMAT, sizeof FORMAT - 1, e));
    TRY(h5_put(h, "version", H5_I64, 0, NULL, &version, e));
    TRY(h5_put_string(h, "key", p->key, strlen(p->key), e));
    TRY(put_sources(work, h, d, e));
    TRY(put_rows(work, h, d, e));
    for (int i = 0; i < n; i++) TRY(h5_reserve(h, pieces[i].path, pieces[i].type, pieces[i].n, &pieces[i].offset, e));
    return h5_finish(h, e);
}

static Status write_piece(AtomicFile *f, const char *path, const Piece *p, Err *e) {
    size_t bytes = (size_t)p->n * p->elem;
    for (size_t at = 0; at < bytes; at += STEP) {
        size_t n = bytes - at < STEP ? bytes - at : STEP;
        const Mapping done = {(const uint8_t *)p->data + at, n};
        TRY(atomic_write_at(f, p->offset + at, done.data, n, e));
        if (bytes > STEP) mapping_forget(&done);
        TRY(go_on(path, "written", e));
    }
    return OK;
}

static Status write_head(Arena *work, AtomicFile *f, Err *e) {
    FileMap m;
    char head[HEAD_BYTES];
    TRY(file_map(atomic_temporary(f), &m, e));
    Status st = make_head(work, &m, head, e);
    file_unmap(&m);
    return st == OK ? atomic_write_at(f, 0, head, sizeof head, e) : st;
}

/* About what the file takes: arrays, columns of the rows with the index of their chunks, the rest. */
static uint64_t file_bytes(const Piece *pieces, int n, const Dataset *d) {
    enum { ROW_BYTES = 40, LABEL_ROW_BYTES = 24, REST = 1 << 16 };
    uint64_t bytes = REST;
    for (int i = 0; i < n; i++) bytes += pieces[i].n * pieces[i].elem;
    for (int s = 0; s < d->n_sources; s++) bytes += strlen(d->paths[s]) + 256;
    return bytes + (uint64_t)d->n_rows * ROW_BYTES + (uint64_t)d->n_label_rows * LABEL_ROW_BYTES;
}

static Status write_file(Arena *work, AtomicFile *f, const Prepared *p, const Dataset *d, Err *e) {
    const DataRow *last = &d->rows[d->n_rows - 1];
    uint64_t tokens = (uint64_t)(last->start + last->length), n_labels = 0;
    H5 *h;
    for (int64_t i = 0, r = 0; i < d->n_label_rows; i++) {
        while (d->rows[r].start != d->label_rows[i].start) r++;
        n_labels += (uint64_t)d->rows[r].length;
    }
    Piece pieces[] = {{.path = "ids", .type = H5_I32, .n = tokens, .elem = sizeof *d->ids, .data = d->ids},
                      {.path = "trained", .type = H5_U8, .n = tokens, .elem = 1, .data = d->trained},
                      {.path = "labels", .type = H5_I32, .n = n_labels, .elem = sizeof *d->labels, .data = d->labels}};
    int n = n_labels > 0 ? 3 : 2;
    TRY(atomic_has_room(f, file_bytes(pieces, n, d), e));
    TRY(h5_create_file(work, atomic_temporary(f), HEAD_BYTES, &h, e));
    Status st = put_all(work, h, p, d, pieces, n, e);
    h5_close(h);
    TRY(st);
    TRY(atomic_take_over(f, e));
    for (int i = 0; i < n; i++) TRY(write_piece(f, p->path, &pieces[i], e));
    return write_head(work, f, e);
}

Status prepared_write(Arena *work, const Prepared *p, const Dataset *d, Err *e) {
    AtomicFile *f = NULL;
    ArenaMark mark = arena_mark(work);
    Status st = atomic_open(work, p->path, &f, e);
    if (st == OK) st = write_file(work, f, p, d, e);
    if (st == OK) st = atomic_commit(f, e);
    atomic_abort(f);
    arena_reset(work, mark);
    return st;
}

/* ---- reading ------------------------------------------------------------------------------------------------------ */

/* The columns of a file while it is read. */
typedef struct Columns {
    int64_t n_rows, n_label_rows, n_labels;
    int64_t *bounds, *line;
    int32_t *source, *number, *trained;
    uint8_t *side;
    const int32_t *ids, *labels;
    const uint8_t *flags;
} Columns;

static Status damaged(const Prepared *p, const char *what, Err *e) {
    FAIL(e, ERR_FORMAT, "%s: the prepared data is damaged: %s", p->path, what);
}

static Status count_of(H5 *h, const char *path, int64_t *n, Err *e) {
    uint64_t dims[2] = {0};
    int rank = 2;
    TRY(h5_dims(h, path, &rank, dims, e));
    *n = dims[0] <= INT64_MAX / 16 ? (int64_t)dims[0] : 0;
    return OK;
}

static Status get_numbers(H5 *h, const char *path, H5Type type, int64_t n, void *data, Err *e) {
    return h5_get(h, path, type, 1, (uint64_t[]){(uint64_t)n}, data, e);
}

static Status read_columns(Arena *work, H5 *h, const Prepared *p, size_t file_bytes, Columns *c, Err *e) {
    int64_t n;
    TRY(count_of(h, "bounds", &n, e));
    /* a file has no more rows than room for their bounds, whatever it says */
    if (n < 2 || n - 1 > INT32_MAX || (uint64_t)n > file_bytes / sizeof(int64_t)) return damaged(p, "bounds", e);
    c->n_rows = --n;
    TRY(ARENA_NEW(work, n + 1, c->bounds, e));
    TRY(ARENA_NEW(work, n, c->line, e));
    TRY(ARENA_NEW(work, n, c->source, e));
    TRY(ARENA_NEW(work, n, c->number, e));
    TRY(ARENA_NEW(work, n, c->trained, e));
    TRY(ARENA_NEW(work, n, c->side, e));
    TRY(get_numbers(h, "bounds", H5_I64, n + 1, c->bounds, e));
    TRY(get_numbers(h, "rows/line", H5_I64, n, c->line, e));
    TRY(get_numbers(h, "rows/source", H5_I32, n, c->source, e));
    TRY(get_numbers(h, "rows/number", H5_I32, n, c->number, e));
    TRY(get_numbers(h, "rows/trained", H5_I32, n, c->trained, e));
    TRY(get_numbers(h, "rows/side", H5_U8, n, c->side, e));
    for (int64_t i = 0; i < n; i++) {
        if (c->bounds[i] < 0 || c->bounds[i + 1] <= c->bounds[i] || c->bounds[i + 1] - c->bounds[i] > INT32_MAX)
            return damaged(p, "bounds", e);
    }
    uint64_t tokens = (uint64_t)c->bounds[n];
    const void *ids, *flags, *labels;
    if (c->bounds[0] != 0) return damaged(p, "bounds", e);
    TRY(h5_locate(h, "ids", H5_I32, tokens, &ids, e));
    TRY(h5_locate(h, "trained", H5_U8, tokens, &flags, e));
    c->ids = ids;
    c->flags = flags;
    if (!h5_has(h, "label_rows")) return OK;
    TRY(count_of(h, "label_rows", &c->n_label_rows, e));
    TRY(count_of(h, "labels", &c->n_labels, e));
    if ((uint64_t)c->n_label_rows > file_bytes / sizeof(LabelRow)) return damaged(p, "label_rows", e);
    TRY(h5_locate(h, "labels", H5_I32, (uint64_t)c->n_labels, &labels, e));
    c->labels = labels;
    return OK;
}

static bool in_vocabulary(const int32_t *ids, int64_t n, int64_t vocab) {
    uint32_t most = 0;
    for (int64_t i = 0; i < n; i++) most = (uint32_t)ids[i] > most ? (uint32_t)ids[i] : most;
    return (int64_t)most < vocab;
}

/* A row's flags are 0 or 1, the first is 0, and they sum to what is said. */
static bool flags_fit(const uint8_t *flags, int64_t n, int32_t trained) {
    int64_t sum = 0;
    uint8_t all = flags[0] == 0 ? 0 : 2;
    for (int64_t i = 0; i < n; i++) {
        all |= flags[i];
        sum += flags[i];
    }
    return all <= 1 && sum == trained && trained > 0;
}

static Status take_rows(const Prepared *p, const Columns *c, const FileMap *m, int64_t vocab, Dataset *out, Err *e) {
    int64_t kept_pages = 0;
    for (int64_t i = 0; i < c->n_rows; i++) {
        int64_t start = c->bounds[i], length = c->bounds[i + 1] - start;
        if (c->source[i] < 0 || c->source[i] >= out->n_sources || c->line[i] < 1 || c->number[i] < 0 ||
            c->side[i] >= SIDE_COUNT)
            return damaged(p, "rows", e);
        if (!in_vocabulary(c->ids + start, length, vocab)) return damaged(p, "ids", e);
        if (!flags_fit(c->flags + start, length, c->trained[i])) return damaged(p, "trained", e);
        out->rows[i] = (DataRow){.start = start,
                                 .line = c->line[i],
                                 .length = (int32_t)length,
                                 .trained = c->trained[i],
                                 .source = c->source[i],
                                 .number = c->number[i],
                                 .side = c->side[i]};
        if (start - kept_pages < STEP / 16) continue;
        file_map_forget(m, 0, m->size);
        kept_pages = start;
        TRY(go_on(p->path, "read", e));
    }
    file_map_forget(m, 0, m->size);
    return OK;
}

static bool labels_fit(const Columns *c, const Dataset *d, int64_t vocab) {
    int64_t r = 0;
    for (int64_t i = 0; i < c->n_label_rows; i++) {
        const LabelRow *l = &d->label_rows[i];
        while (r < d->n_rows && d->rows[r].start < l->start) r++;
        if (r == d->n_rows || d->rows[r].start != l->start) return false;
        if (l->at < 0 || l->at > c->n_labels || d->rows[r].length > c->n_labels - l->at) return false;
        r++;
    }
    return in_vocabulary(c->labels, c->n_labels, vocab);
}

static Status take_source(Arena *a, const Json *source, const Prepared *p, int s, Dataset *out, Err *e) {
    JsonString type, found_by;
    char *copy = NULL;
    TRY(json_want_string(source, p->path, "type", &type, e));
    TRY(json_want_int(source, p->path, "first_row", -1, INT32_MAX, &out->first_row[s], e));
    TRY(json_want_int(source, p->path, "bare", 0, INT32_MAX, &out->bare[s], e));
    if (json_get(source, "found_by") != NULL) {
        TRY(json_want_string(source, p->path, "found_by", &found_by, e));
        TRY(arena_strndup(a, found_by.s, found_by.len, &copy, e));
    }
    const RowType *row_type = format_find(type.s);
    if (row_type == NULL) return damaged(p, "sources", e);
    out->types[s] = row_type->name;
    out->found_by[s] = copy;
    return OK;
}

static Status take_sources(Arena *a, Arena *work, H5 *h, const Prepared *p, Dataset *out, Err *e) {
    char *text;
    size_t len;
    Json *list;
    TRY(h5_get_string(h, work, "sources", SOURCES_MAX, &text, &len, e));
    TRY(json_parse(work, p->path, text, len, &list, e));
    if (list->type != JSON_ARRAY || list->n != (uint32_t)out->n_sources) return damaged(p, "sources", e);
    for (int s = 0; s < out->n_sources; s++) TRY(take_source(a, &list->list.items[s], p, s, out, e));
    return OK;
}

static Status check_identity(Arena *work, H5 *h, const Prepared *p, Err *e) {
    char *text;
    size_t len;
    int64_t version;
    TRY(h5_get_string(h, work, "format", sizeof FORMAT, &text, &len, e));
    if (strcmp(text, FORMAT) != 0) return damaged(p, "format", e);
    TRY(h5_get(h, "version", H5_I64, 0, NULL, &version, e));
    if (version != PREPARED_VERSION) return damaged(p, "version", e);
    TRY(h5_get_string(h, work, "key", HASH_HEX_BYTES, &text, &len, e));
    return strcmp(text, p->key) == 0 ? OK : damaged(p, "key", e);
}

static Status read_file(Arena *a, Arena *work, H5 *h, const Prepared *p, const FileMap *m, int64_t vocab, Dataset *out,
                        Err *e) {
    Columns c = {0};
    TRY(check_identity(work, h, p, e));
    TRY(take_sources(a, work, h, p, out, e));
    TRY(read_columns(work, h, p, m->size, &c, e));
    TRY(dataset_room(a, c.n_rows, c.n_label_rows, out, e));
    TRY(take_rows(p, &c, m, vocab, out, e));
    if (c.n_label_rows > 0) {
        TRY(h5_get(h, "label_rows", H5_I64, 2, (uint64_t[]){(uint64_t)c.n_label_rows, 2}, out->label_rows, e));
        if (!labels_fit(&c, out, vocab)) return damaged(p, "labels", e);
    }
    out->ids = c.ids;
    out->trained = c.flags;
    out->labels = c.labels;
    dataset_count(out);
    return OK;
}

static Status check_sum(Arena *work, const Prepared *p, const FileMap *m, Err *e) {
    char head[HEAD_BYTES];
    if (m->size <= HEAD_BYTES) return damaged(p, "it is cut off", e);
    TRY(make_head(work, m, head, e));
    return memcmp(head, m->data, HEAD_BYTES) == 0 ? OK : damaged(p, "its sum does not fit", e);
}

static Status open_map(Arena *a, Arena *work, const Prepared *p, const FileMap *m, int64_t vocab, Dataset *out,
                       Err *e) {
    H5 *h;
    TRY(check_sum(work, p, m, e));
    TRY(h5_open_image(work, p->path, m->data, m->size, &h, e));
    Status st = read_file(a, work, h, p, m, vocab, out, e);
    h5_close(h);
    return st;
}

Status prepared_open(Arena *a, Prepared *p, int64_t vocab, DataMaps *maps, Dataset *out, Err *e) {
    Arena *work;
    Err why;
    Dataset d = *out;
    ArenaMark mark = arena_mark(a);
    bool there;
    p->found = false;
    /* another run may remove it at any time */
    TRY(file_map_if_there(p->path, &maps->file, &there, e));
    if (!there) return OK;
    Status st = arena_open(&work, "prepared data", &why);
    if (st == OK) {
        st = open_map(a, work, p, &maps->file, vocab, &d, &why);
        arena_close(work);
    }
    if (st == OK) {
        *out = d;
        p->found = true;
        return OK;
    }
    file_unmap(&maps->file);
    arena_reset(a, mark);
    if (st != ERR_FORMAT) {
        if (e != NULL) *e = why;
        return st;
    }
    snprintf(p->damage, sizeof p->damage, "%.255s", why.message);
    return OK;
}

/* ---- looking ------------------------------------------------------------------------------------------------------ */

bool prepared_is(const uint8_t *data, size_t n) {
    return n > HEAD_BYTES && memcmp(data, FORMAT, sizeof FORMAT - 1) == 0;
}

static Status read_info(Arena *a, H5 *h, const Prepared *p, PreparedInfo *out, Err *e) {
    char *key, *text;
    size_t len;
    Json *list;
    int64_t *ledger;
    TRY(h5_get_string(h, a, "key", HASH_HEX_BYTES, &key, &len, e));
    TRY(h5_get_string(h, a, "sources", SOURCES_MAX, &text, &len, e));
    TRY(json_parse(a, p->path, text, len, &list, e));
    if (list->type != JSON_ARRAY) return damaged(p, "sources", e);
    size_t n = list->n;
    TRY(ARENA_NEW(a, n, out->paths, e));
    TRY(ARENA_NEW(a, n, out->types, e));
    TRY(ARENA_NEW(a, n, out->ledger, e));
    TRY(ARENA_NEW(a, LEDGER * n, ledger, e));
    TRY(h5_get(h, "ledger", H5_I64, 2, (uint64_t[]){n, LEDGER}, ledger, e));
    for (size_t s = 0; s < n; s++) {
        const int64_t *g = ledger + LEDGER * s;
        JsonString path, type;
        TRY(json_want_string(&list->list.items[s], p->path, "path", &path, e));
        TRY(json_want_string(&list->list.items[s], p->path, "type", &type, e));
        out->paths[s] = path.s;
        out->types[s] = type.s;
        out->ledger[s] = (Ledger){.rows = g[0], .read = g[1], .trained = g[2], .masked = g[3]};
    }
    out->key = key;
    out->n_sources = (int)n;
    return OK;
}

Status prepared_info(Arena *a, const FileMap *m, PreparedInfo *out, Err *e) {
    const Prepared p = {.path = m->path};
    H5 *h;
    TRY(check_sum(a, &p, m, e));
    TRY(h5_open_image(a, p.path, m->data, m->size, &h, e));
    Status st = read_info(a, h, &p, out, e);
    h5_close(h);
    return st;
}
