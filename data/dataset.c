/* dataset.c: from files to a Dataset. See dataset.h; row types are in formats.c.
 *
 * Rows are collected in arenas of their own and copied at exact size into the caller's at the end, so that growing arrays
 * leave nothing behind. */
#include "data/files.h"
#include "data/formats_internal.h"
#include "data/jsonl.h"

#include "base/signals.h"

#include <stdarg.h>
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
    DataCheck *check;             /* NULL: rows are kept, and the first bad one ends it */
    const char *bad_field;        /* checking: the field that the last error is about, or NULL */
    int64_t n_json;               /* rows as the files have them: a pair is one */
    Arena *names;                 /* of what is told of a source */
    const char **found_by;        /* of the source (Dataset.found_by) */
    int64_t *bare;                /* and Dataset.bare */
    int64_t open_rows, open_line; /* checking: rows that end with the user's message, and the first one's line */
} Loader;

/* ---- which type, which columns ----------------------------------------------------------------------------------- */

/* Named columns that the type does not have would be read by nobody. */
static Status check_named(const DataSource *s, const RowType *type, Err *e) {
    for (int f = 0; f < FIELD_COUNT; f++) {
        if (s->fields[f] == NULL || ((type->fields | type->optional) & 1u << f) != 0) continue;
        FAIL(e, ERR_CONFIG, "%s: field_%s is not used by rows of type %s (%s)", s->where != NULL ? s->where : s->path,
             FIELD_NAMES[f], type->name, s->path);
    }
    return OK;
}

static Status choose_type(Loader *l, const Json *row, Err *e) {
    const DataSource *s = l->source;
    char names[256];
    if (s->type == NULL || *s->type == 0) {
        TRY(format_detect(s, row, &l->type, e));
        TRY(format_columns(l->names, s, l->type, row, l->found_by, e));
    } else {
        l->type = format_find(s->type);
        if (l->type == NULL)
            FAIL(e, ERR_CONFIG, "%s: type: got '%.80s', expected one of %s", s->where != NULL ? s->where : s->path,
                 s->type, format_names(names, sizeof names));
    }
    if (l->type->needs_tokenizer && l->sink.context->tokenizer == NULL)
        FAIL(e, ERR_DATA, "rows of type %s need the model's tokenizer, and this model has none", l->type->name);
    if (l->type->needs_chat && l->sink.context->chat == NULL)
        FAIL(e, ERR_DATA, "rows of type %s need a chat template: %s", l->type->name, l->sink.context->no_chat);
    return check_named(s, l->type, e);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* "a string or a list" */
static const char *kinds_of(unsigned types, char *text, size_t size) {
    size_t at = 0;
    for (int t = JSON_NULL; t <= JSON_OBJECT && at < size; t++) {
        if ((types & 1u << t) == 0) continue;
        int n = snprintf(text + at, size - at, "%s%s", at > 0 ? " or " : "", json_type_name((JsonType)t));
        at += n > 0 ? (size_t)n : 0;
    }
    return text;
}

static Status pick_values(Loader *l, const Json *row, const Json *values[FIELD_COUNT], Err *e) {
    char text[256];
    for (int f = 0; f < FIELD_COUNT; f++) {
        values[f] = NULL;
        if (((l->type->fields | l->type->optional) & 1u << f) == 0) continue;
        const char *name = format_column(l->source, f);
        l->bad_field = name;
        values[f] = json_get(row, name);
        bool optional = (l->type->optional & 1u << f) != 0;
        if (optional && values[f] != NULL && values[f]->type == JSON_NULL) values[f] = NULL;
        if (optional && values[f] == NULL) continue;
        if (values[f] == NULL)
            FAIL(e, ERR_DATA, "field '%s' is missing (fields here: %s); field_%s names the column", name,
                 format_fields(row, text, sizeof text), FIELD_NAMES[f]);
        if ((l->type->types[f] & 1u << values[f]->type) == 0)
            FAIL(e, ERR_DATA, "field '%s': got %s, expected %s", name, json_type_name(values[f]->type),
                 kinds_of(l->type->types[f], text, sizeof text));
    }
    l->bad_field = NULL;
    return OK;
}

static int32_t count_trained(const uint8_t *trained, int64_t n) {
    int32_t count = 0;
    for (int64_t i = 0; i < n; i++) count += trained[i];
    return count;
}

/* One row of the dataset, ids [start, end). */
static Status add_part(Loader *l, RowPart part, size_t end, int32_t source, int64_t line, Err *e) {
    const RowSink *s = &l->sink;
    int64_t length = (int64_t)(end - part.start);
    int32_t trained = length > 0 ? count_trained(s->trained + part.start, length) : 0;
    if (trained == 0)
        FAIL(e, ERR_DATA, "%s%sno trained token (%lld tokens; the first has no context and never counts)",
             part.side != SIDE_NONE ? SIDE_NAMES[part.side] : "", part.side != SIDE_NONE ? ": " : "",
             (long long)length);
    if (l->n_rows >= INT32_MAX) FAIL(e, ERR_DATA, "too many rows (at most %d)", INT32_MAX);
    TRY(arena_grow(l->rows_arena, &l->rows, &l->cap_rows, l->n_rows, l->n_rows + 1, sizeof *l->rows, e));
    l->rows[l->n_rows++] = (DataRow){.start = (int64_t)part.start,
                                     .line = line,
                                     .length = (int32_t)length,
                                     .trained = trained,
                                     .source = source,
                                     .number = (int32_t)l->n_json,
                                     .side = (uint8_t)part.side};
    return OK;
}

static Status add_row(Loader *l, const Json *json, int32_t source, int64_t line, Err *e) {
    const Json *values[FIELD_COUNT];
    RowSink *s = &l->sink;
    if (json->type != JSON_OBJECT)
        FAIL(e, ERR_DATA, "got %s, expected an object such as {\"prompt\": \"...\", \"completion\": \"...\"}",
             json_type_name(json->type));
    if (l->type == NULL) TRY(choose_type(l, json, e));
    TRY(pick_values(l, json, values, e));
    s->row = json;
    s->source = l->source;
    s->row_start = s->n;
    s->n_parts = 0;
    s->bare = false;
    TRY(l->type->add(s, values, e));
    if (s->n_parts == 0) s->parts[s->n_parts++] = (RowPart){.start = s->row_start};
    for (int i = 0; i < s->n_parts; i++)
        TRY(add_part(l, s->parts[i], i + 1 < s->n_parts ? s->parts[i + 1].start : s->n, source, line, e));
    l->n_json++;
    *l->bare += s->bare;
    return OK;
}

/* ---- checking ---------------------------------------------------------------------------------------------------- */

/* The message of *e, told. */
static Status tell_bad(Loader *l, Err *e) {
    char message[ERR_MESSAGE_BYTES];
    snprintf(message, sizeof message, "%s", e->message);
    l->check->bad++;
    return l->check->report(l->check->ctx, message, e);
}

/* Where the name of a member of the outermost object stands in the row's text (valid JSON); 0 when it is not written plainly. */
static size_t find_member(const char *text, size_t len, const char *name) {
    size_t n = strlen(name);
    bool is_name = false; /* the next string names a member */
    for (size_t i = 0, depth = 0; i < len; i++) {
        char c = text[i];
        if (c == '{' || c == '[') is_name = ++depth == 1;
        if (c == '}' || c == ']') depth--;
        if (c == ',') is_name = depth == 1;
        if (c != '"') continue;
        size_t end = i + 1;
        while (end < len && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
        if (is_name && end - i - 1 == n && memcmp(text + i + 1, name, n) == 0) return i;
        is_name = false;
        i = end;
    }
    return 0;
}

/* Where in the row's text a problem is. */
static size_t find_place(const char *text, size_t len, const Json *object, const char *member) {
    size_t begin = object != NULL && object->offset > 0 ? (size_t)object->offset - 1 : 0;
    if (begin >= len) return 0;
    return member != NULL ? begin + find_member(text + begin, len - begin, member) : begin;
}

/* "FILE:LINE:COL", in an array "FILE:LINE:COL: element N", in front of the message: of byte `at` of the row. */
static Status place_bad(const Loader *l, const Jsonl *j, size_t at, Status st, Err *e) {
    const char *text = (const char *)j->bytes.data;
    int64_t line = j->line, column = j->array ? j->at_column : 1;
    for (size_t i = 0; i < at; i++) {
        if (text[i] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)text[i] & 0xC0) != 0x80) {
            column++;
        }
    }
    if (!j->array) return err_prefix(e, st, "%s:%lld:%lld", l->source->path, (long long)line, (long long)column);
    return err_prefix(e, st, "%s:%lld:%lld: element %lld", l->source->path, (long long)line, (long long)column,
                      (long long)j->element);
}

/* Rows that are too long are surely not meant. */
static Status look_lengths(Loader *l, Err *e) {
    for (size_t i = 0; i < l->n_rows && l->check->max_tokens > 0; i++) {
        const DataRow *r = &l->rows[i];
        if (r->length <= l->check->max_tokens) continue;
        TRY(row_problem(&l->sink, e, NULL, NULL, "%s%s%d tokens, %s is %lld",
                        r->side != SIDE_NONE ? SIDE_NAMES[r->side] : "", r->side != SIDE_NONE ? ": " : "", r->length,
                        l->check->what, (long long)l->check->max_tokens));
    }
    return OK;
}

/* A row that lacks a field may be a row of another type. */
static void name_other_type(const Loader *l, const Json *json, Err *e) {
    const RowType *other;
    Err none;
    if (l->type == NULL || l->bad_field == NULL || json_get(json, l->bad_field) != NULL) return;
    if (format_detect(l->source, json, &other, &none) != OK || other == l->type) return;
    err_set(e, ERR_DATA, __FILE__, __LINE__, "a row of type %s in a file of type %s (field '%s' is missing)",
            other->name, l->type->name, l->bad_field);
}

/* Everything that was found in the row beside the error, if there was one, which repeats what was found unless it is the
 * template's own. */
static Status tell_problems(Loader *l, const Jsonl *j, Status st, Err *e) {
    RowSink *s = &l->sink;
    const char *text = (const char *)j->bytes.data;
    Err own = *e;
    if (s->n_problems == 0 || st == ERR_OOM) return st;
    for (size_t i = 0; i < s->n_problems; i++) {
        const RowProblem *p = &s->problems[i];
        err_set(e, ERR_DATA, __FILE__, __LINE__, "%s", p->text);
        place_bad(l, j, find_place(text, j->given, p->object, p->member), ERR_DATA, e);
        if (i + 1 == s->n_problems && !(st == ERR_DATA && s->raised))
            return ERR_DATA; /* the last one makes the row bad */
        TRY(l->check->report(l->check->ctx, e->message, e));
    }
    *e = own;
    return st;
}

static Status note(Loader *l, Err *e, const char *format, ...) __attribute__((format(printf, 3, 4)));
static Status note(Loader *l, Err *e, const char *format, ...) {
    char text[ERR_MESSAGE_BYTES];
    va_list list;
    if (l->check->note == NULL) return OK;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return l->check->note(l->check->ctx, text, e);
}

/* What is worth saying of a file and is not bad. */
static Status tell_notes(Loader *l, const Jsonl *j, Err *e) {
    const char *path = l->source->path;
    if (*l->found_by != NULL)
        TRY(note(l, e, "%s: rows of type %s (detected from the fields %s)", path, l->type->name, *l->found_by));
    if (j->bom) TRY(note(l, e, "%s: begins with a byte order mark, which is passed over", path));
    if (j->crlf) TRY(note(l, e, "%s: lines end in CRLF, which is read like LF", path));
    if (l->open_rows == 0) return OK;
    return note(l, e, "%s: %lld rows end with a message of the user, which no answer follows (the first: line %lld)",
                path, (long long)l->open_rows, (long long)l->open_line);
}

/* Reads a row and forgets it. */
static Status check_row(Loader *l, const Jsonl *j, const Json *json, int32_t source, Err *e) {
    RowSink *s = &l->sink;
    l->bad_field = NULL;
    s->looking = true;
    s->raised = false;
    s->problems = NULL;
    s->n_problems = s->cap_problems = 0;
    s->bad_object = NULL;
    s->bad_member = NULL;
    s->ends_open = false;
    Status st = add_row(l, json, source, j->line, e);
    if (st == ERR_DATA) name_other_type(l, json, e);
    if (st == OK) st = look_lengths(l, e);
    if (s->ends_open && l->open_rows++ == 0) l->open_line = j->line;
    s->n = s->n_labels = s->n_label_rows = s->row_start = l->n_rows = 0;
    if (st == ERR_DATA && l->bad_field != NULL) {
        s->bad_object = json;
        s->bad_member = l->bad_field;
    }
    size_t at = st == ERR_DATA ? find_place((const char *)j->bytes.data, j->given, s->bad_object, s->bad_member) : 0;
    if (st == ERR_DATA) place_bad(l, j, at, st, e);
    return tell_problems(l, j, st, e);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static Status read_row(Loader *l, Jsonl *j, int32_t source, Err *e) {
    Json *json;
    char place[JSONL_PLACE_BYTES];
    if (stop_requested()) FAIL(e, ERR_STOPPED, "stopped while %s was read", l->source->path);
    Status st = jsonl_parse(j, l->sink.scratch, &json, e);
    if (l->check != NULL) l->check->rows += st == ERR_DATA || json != NULL;
    TRY(st);
    if (json == NULL) return OK;
    if (l->check != NULL) return check_row(l, j, json, source, e);
    st = add_row(l, json, source, j->line, e);
    if (st == OK || st == ERR_CONFIG) return st; /* that names its place in the config */
    return err_prefix(e, st, "%s%s", l->source->path, jsonl_place(j, place));
}

static Status read_lines(Loader *l, Jsonl *j, int32_t source, Err *e) {
    size_t before = l->n_rows;
    int64_t rows = l->check != NULL ? l->check->rows : 0;
    ArenaMark mark = arena_mark(l->sink.scratch);
    while (!j->done) {
        Status st = read_row(l, j, source, e);
        if (st == ERR_DATA && l->check != NULL) st = tell_bad(l, e);
        TRY(st);
        arena_reset(l->sink.scratch, mark);
    }
    if (l->check != NULL && l->check->rows > rows) return tell_notes(l, j, e);
    if (l->n_rows == before) FAIL(e, ERR_DATA, "%s: there is no row in it", l->source->path);
    return OK;
}

/* A file that cannot be opened is an error also while checking; one that is no data is told like a bad row. */
static Status read_source(Loader *l, int32_t source, int64_t *first_row, Err *e) {
    Jsonl j;
    l->type = NULL;
    l->open_rows = 0;
    l->sink.training = &l->source->training;
    TRY(jsonl_open(l->source->path, &j, e));
    *first_row = j.array ? l->n_json : -1;
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
        g->sides[d->rows[i].side]++;
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
    TRY(ARENA_NEW(a, total, out->found_by, e));
    TRY(ARENA_NEW(a, total, out->bare, e));
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

static Status open_arenas(Loader *l, Err *e) {
    TRY(arena_open(&l->sink.ids_arena, "token ids", e));
    TRY(arena_open(&l->sink.trained_arena, "trained flags", e));
    TRY(arena_open(&l->sink.labels_arena, "labels", e));
    TRY(arena_open(&l->sink.label_rows_arena, "rows with labels", e));
    TRY(arena_open(&l->sink.scratch, "row", e));
    return arena_open(&l->rows_arena, "rows", e);
}

static void close_arenas(Loader *l) {
    arena_close(l->sink.ids_arena);
    arena_close(l->sink.trained_arena);
    arena_close(l->sink.labels_arena);
    arena_close(l->sink.label_rows_arena);
    arena_close(l->sink.scratch);
    arena_close(l->rows_arena);
}

static void begin_source(Loader *l, const DataSource *file, int i, Dataset *out) {
    l->source = file;
    l->found_by = &out->found_by[i];
    l->bare = &out->bare[i];
}

static Status load_sources(Arena *a, Loader *l, const DataSource *files, Dataset *out, Err *e) {
    for (int i = 0; i < out->n_sources; i++) {
        begin_source(l, &files[i], i, out);
        TRY(read_source(l, i, &out->first_row[i], e));
        out->types[i] = l->type->name;
    }
    return copy_loaded(a, l, out, e);
}

Status dataset_load(Arena *a, const DataSource *sources, int n_sources, const DataContext *context, Dataset *out,
                    Err *e) {
    Loader l = {.sink = {.context = context}, .names = a};
    DataSource *files;
    CHECK(n_sources > 0, "a dataset without sources");
    *out = (Dataset){0};
    TRY(expand(a, sources, n_sources, &files, out, e));
    Status st = open_arenas(&l, e);
    if (st == OK) st = load_sources(a, &l, files, out, e);
    close_arenas(&l);
    return st;
}

static Status check_source(Loader *l, int32_t source, Err *e) {
    int64_t first_row;
    l->check->files++;
    Status st = read_source(l, source, &first_row, e);
    return st == ERR_DATA ? tell_bad(l, e) : st;
}

Status dataset_check(const DataSource *sources, int n_sources, const DataContext *context, DataCheck *check, Err *e) {
    Loader l = {.sink = {.context = context}, .check = check};
    DataSource *files;
    Dataset d = {0};
    Arena *work;
    TRY(arena_open(&work, "files", e));
    Status st = expand(work, sources, n_sources, &files, &d, e);
    if (st == OK) st = open_arenas(&l, e);
    l.names = work;
    for (int i = 0; st == OK && i < d.n_sources; i++) {
        begin_source(&l, &files[i], i, &d);
        st = check_source(&l, i, e);
    }
    close_arenas(&l);
    arena_close(work);
    return st;
}
