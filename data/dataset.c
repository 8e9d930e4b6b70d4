/* dataset.c: from files to a Dataset. See dataset.h; row types are in formats.c.
 *
 * Rows are collected in arenas of their own and copied at exact size into the caller's at the end, so that growing arrays
 * leave nothing behind. */
#include "data/files.h"
#include "data/formats.h"
#include "data/jsonl.h"

#include "base/signals.h"

#include <stdio.h>
#include <string.h>

const char *const FIELD_NAMES[FIELD_COUNT] = {
#define X(id, name) name,
    FIELD_LIST(X)
#undef X
};

typedef struct Loader {
    RowSink sink;
    const DataSource *source;
    const RowType *type; /* of the source; NULL until its first row */
    Arena *rows_arena;
    DataRow *rows;
    size_t n_rows, cap_rows;
} Loader;

const char *format_names(void) { return "prompt_completion, text, tokens"; }

/* ---- which type, which columns ----------------------------------------------------------------------------------- */

static const char *column(const DataSource *s, int field) {
    return s->fields[field] != NULL ? s->fields[field] : FIELD_NAMES[field];
}

/* "question, answer": the fields a row has, cut to fit. */
static const char *fields_of(const Json *row, char *text, size_t size) {
    size_t at = 0;
    snprintf(text, size, "none");
    for (uint32_t i = 0; i < row->n && at + 8 < size; i++) {
        int n = snprintf(text + at, size - at, "%s%.60s", i > 0 ? ", " : "", row->list.keys[i].s);
        at += n > 0 ? (size_t)n : 0;
    }
    for (char *p = text; *p != 0; p++) {
        if ((unsigned char)*p < 0x20) *p = ' ';
    }
    return text;
}

/* Named columns that the type does not have would be read by nobody. */
static Status check_named(const DataSource *s, const RowType *type, Err *e) {
    for (int f = 0; f < FIELD_COUNT; f++) {
        if (s->fields[f] == NULL || (type->fields & 1u << f) != 0) continue;
        FAIL(e, ERR_CONFIG, "%s: field_%s is not used by rows of type %s (%s)", s->where != NULL ? s->where : s->path,
             FIELD_NAMES[f], type->name, s->path);
    }
    return OK;
}

/* The type whose columns the row has, among those that have every column named in the config. */
static Status detect(const DataSource *s, const Json *row, const RowType **out, Err *e) {
    char text[256];
    int found = 0;
    unsigned named = 0;
    for (int f = 0; f < FIELD_COUNT; f++) {
        if (s->fields[f] != NULL) named |= 1u << f;
    }
    for (int i = 0; i < FORMAT_COUNT; i++) {
        bool fits = (named & ~FORMATS[i].fields) == 0;
        for (int f = 0; f < FIELD_COUNT && fits; f++) {
            if ((FORMATS[i].fields & 1u << f) != 0) fits = json_get(row, column(s, f)) != NULL;
        }
        if (!fits) continue;
        *out = &FORMATS[i];
        found++;
    }
    if (found == 1) return OK;
    fields_of(row, text, sizeof text);
    if (found > 1)
        FAIL(e, ERR_DATA, "the fields (%s) fit more than one row type; give type (%s)", text, format_names());
    if (json_get(row, "messages") != NULL || json_get(row, "conversations") != NULL)
        FAIL(e, ERR_DATA, "a chat (%s): chat rows are not in this version; give a prompt and a completion", text);
    FAIL(
        e, ERR_DATA,
        "the fields (%s) fit no row type; name the columns, such as field_prompt and field_completion, or field_text (types: "
        "%s)",
        text, format_names());
}

static Status choose_type(Loader *l, const Json *row, Err *e) {
    const DataSource *s = l->source;
    if (s->type == NULL || *s->type == 0) {
        TRY(detect(s, row, &l->type, e));
    } else {
        l->type = format_find(s->type);
        if (l->type == NULL)
            FAIL(e, ERR_CONFIG, "%s: type: got '%.80s', expected one of %s", s->where != NULL ? s->where : s->path,
                 s->type, format_names());
    }
    if (l->type->needs_tokenizer && l->sink.context->tokenizer == NULL)
        FAIL(e, ERR_DATA, "rows of type %s need the model's tokenizer, and this model has none", l->type->name);
    return check_named(s, l->type, e);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static Status pick_values(const Loader *l, const Json *row, const Json *values[FIELD_COUNT], Err *e) {
    char text[256];
    for (int f = 0; f < FIELD_COUNT; f++) {
        values[f] = NULL;
        if ((l->type->fields & 1u << f) == 0) continue;
        const char *name = column(l->source, f);
        values[f] = json_get(row, name);
        if (values[f] == NULL)
            FAIL(e, ERR_DATA, "field '%s' is missing (fields here: %s); field_%s names the column", name,
                 fields_of(row, text, sizeof text), FIELD_NAMES[f]);
        if (values[f]->type != l->type->types[f])
            FAIL(e, ERR_DATA, "field '%s': got %s, expected %s", name, json_type_name(values[f]->type),
                 json_type_name(l->type->types[f]));
    }
    return OK;
}

static int32_t count_trained(const uint8_t *trained, int64_t n) {
    int32_t count = 0;
    for (int64_t i = 0; i < n; i++) count += trained[i];
    return count;
}

static Status add_row(Loader *l, const Json *json, int32_t source, int64_t line, Err *e) {
    const Json *values[FIELD_COUNT];
    RowSink *s = &l->sink;
    if (json->type != JSON_OBJECT)
        FAIL(e, ERR_DATA, "got %s, expected an object such as {\"prompt\": \"...\", \"completion\": \"...\"}",
             json_type_name(json->type));
    if (l->type == NULL) TRY(choose_type(l, json, e));
    TRY(pick_values(l, json, values, e));
    s->row_start = s->n;
    TRY(l->type->add(s, values, e));
    int64_t length = (int64_t)(s->n - s->row_start);
    int32_t trained = length > 0 ? count_trained(s->trained + s->row_start, length) : 0;
    if (trained == 0)
        FAIL(e, ERR_DATA, "no trained token (%lld tokens; the first has no context and never counts)",
             (long long)length);
    if (l->n_rows >= INT32_MAX) FAIL(e, ERR_DATA, "too many rows (at most %d)", INT32_MAX);
    TRY(arena_grow(l->rows_arena, &l->rows, &l->cap_rows, l->n_rows, l->n_rows + 1, sizeof *l->rows, e));
    l->rows[l->n_rows] = (DataRow){.start = (int64_t)s->row_start,
                                   .line = line,
                                   .length = (int32_t)length,
                                   .trained = trained,
                                   .source = source,
                                   .number = (int32_t)l->n_rows};
    l->n_rows++;
    return OK;
}

static Status read_lines(Loader *l, Jsonl *j, int32_t source, Err *e) {
    size_t before = l->n_rows;
    ArenaMark mark = arena_mark(l->sink.scratch);
    for (;;) {
        Json *json;
        if (stop_requested()) FAIL(e, ERR_STOPPED, "stopped while %s was read", l->source->path);
        TRY(jsonl_parse(j, l->sink.scratch, &json, e));
        if (json == NULL) break;
        Status st = add_row(l, json, source, j->line, e);
        char place[JSONL_PLACE_BYTES];
        if (st == ERR_CONFIG) return st; /* names its place in the config */
        if (st != OK) return err_prefix(e, st, "%s%s", l->source->path, jsonl_place(j, place));
        arena_reset(l->sink.scratch, mark);
    }
    if (l->n_rows == before) FAIL(e, ERR_DATA, "%s: there is no row in it", l->source->path);
    return OK;
}

static Status read_source(Loader *l, int32_t source, int64_t *first_row, Err *e) {
    Jsonl j;
    l->type = NULL;
    TRY(jsonl_open(l->source->path, &j, e));
    *first_row = j.array ? (int64_t)l->n_rows : -1;
    Status st = read_lines(l, &j, source, e);
    jsonl_close(&j);
    return st;
}

/* ---- the dataset ------------------------------------------------------------------------------------------------- */

void dataset_count(Dataset *d) {
    for (int s = 0; s < d->n_sources; s++) {
        Ledger *g = &d->ledger[s];
        *g = (Ledger){.rows_dropped = g->rows_dropped,
                      .rows_cut = g->rows_cut,
                      .duplicates = g->duplicates,
                      .dropped = g->dropped};
    }
    for (int64_t i = 0; i < d->n_rows; i++) {
        Ledger *g = &d->ledger[d->rows[i].source];
        g->rows++;
        g->trained += d->rows[i].trained;
        g->masked += d->rows[i].length - d->rows[i].trained;
    }
    for (int s = 0; s < d->n_sources; s++) {
        Ledger *g = &d->ledger[s];
        g->read = g->trained + g->masked + g->dropped;
    }
}

/* A dataset of the loader's sources with room for n rows. */
static Status copy_loaded(Arena *a, const Loader *l, Dataset *out, Err *e) {
    const RowSink *s = &l->sink;
    int32_t *ids, *labels;
    uint8_t *trained;
    LabelRow *label_rows;
    TRY(ARENA_NEW(a, s->n, ids, e));
    TRY(ARENA_NEW(a, s->n, trained, e));
    TRY(ARENA_NEW(a, l->n_rows, out->rows, e));
    memcpy(ids, s->ids, s->n * sizeof *ids);
    memcpy(trained, s->trained, s->n);
    memcpy(out->rows, l->rows, l->n_rows * sizeof *out->rows);
    out->n_rows = (int64_t)l->n_rows;
    out->ids = ids;
    out->trained = trained;
    if (s->n_label_rows > 0) {
        TRY(ARENA_NEW(a, s->n_labels, labels, e));
        TRY(ARENA_NEW(a, s->n_label_rows, label_rows, e));
        memcpy(labels, s->labels, s->n_labels * sizeof *labels);
        memcpy(label_rows, s->label_rows, s->n_label_rows * sizeof *label_rows);
        out->labels = labels;
        out->label_rows = label_rows;
        out->n_label_rows = (int64_t)s->n_label_rows;
    }
    dataset_count(out);
    return OK;
}

/* The entries' files, each a source with its entry's columns. */
static Status expand(Arena *a, const DataSource *entries, int n, DataSource **files, Dataset *out, Err *e) {
    DataFiles *found;
    size_t total = 0, at = 0;
    TRY(ARENA_NEW(a, n, found, e));
    for (int i = 0; i < n; i++) {
        TRY(data_files(a, entries[i].path, &found[i], e));
        total += found[i].n;
    }
    if (total > INT32_MAX) FAIL(e, ERR_DATA, "%s: too many files", entries[0].path);
    out->n_sources = (int)total;
    TRY(ARENA_NEW(a, total, *files, e));
    TRY(ARENA_NEW(a, total, out->paths, e));
    TRY(ARENA_NEW(a, total, out->entries, e));
    TRY(ARENA_NEW(a, total, out->types, e));
    TRY(ARENA_NEW(a, total, out->left_out, e));
    TRY(ARENA_NEW(a, total, out->first_row, e));
    TRY(ARENA_NEW(a, total, out->ledger, e));
    for (int i = 0; i < n; i++) {
        char *text;
        if (found[i].left_out != NULL) {
            TRY(arena_printf(a, &text, e, "%s: %s", entries[i].path, found[i].left_out));
            out->left_out[at] = text;
        }
        for (size_t k = 0; k < found[i].n; k++, at++) {
            TRY(arena_strdup(a, found[i].paths[k], &text, e));
            (*files)[at] = entries[i];
            out->entries[at] = i;
            (*files)[at].path = out->paths[at] = text;
        }
    }
    return OK;
}

static Status load_sources(Arena *a, Loader *l, const DataSource *files, Dataset *out, Err *e) {
    for (int i = 0; i < out->n_sources; i++) {
        l->source = &files[i];
        TRY(read_source(l, i, &out->first_row[i], e));
        out->types[i] = l->type->name;
    }
    return copy_loaded(a, l, out, e);
}

Status dataset_load(Arena *a, const DataSource *sources, int n_sources, const DataContext *context, Dataset *out,
                    Err *e) {
    Loader l = {.sink = {.context = context}};
    DataSource *files;
    CHECK(n_sources > 0, "a dataset without sources");
    *out = (Dataset){0};
    TRY(expand(a, sources, n_sources, &files, out, e));
    Status st = arena_open(&l.sink.ids_arena, "token ids", e);
    if (st == OK) st = arena_open(&l.sink.trained_arena, "trained flags", e);
    if (st == OK) st = arena_open(&l.sink.labels_arena, "labels", e);
    if (st == OK) st = arena_open(&l.sink.label_rows_arena, "rows with labels", e);
    if (st == OK) st = arena_open(&l.sink.scratch, "row", e);
    if (st == OK) st = arena_open(&l.rows_arena, "rows", e);
    if (st == OK) st = load_sources(a, &l, files, out, e);
    arena_close(l.sink.ids_arena);
    arena_close(l.sink.trained_arena);
    arena_close(l.sink.labels_arena);
    arena_close(l.sink.label_rows_arena);
    arena_close(l.sink.scratch);
    arena_close(l.rows_arena);
    return st;
}
