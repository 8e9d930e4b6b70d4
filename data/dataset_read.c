/* dataset_read.c: files to rows, a block at a time. See dataset_internal.h. */
#include "data/dataset_internal.h"

#include "base/signals.h"

#include <stdio.h>
#include <string.h>

/* A block ends with the row that fills it, so that one row of JSONL_LINE_MAX bytes is one, too. */
enum { BLOCK_ROWS = 64, BLOCK_BYTES = 1 << 20 };

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* So that the arena's first block is not given back with each row. */
static Status keep_block(Arena *a, Err *e) {
    void *unused;
    return arena_alloc(a, 1, 1, &unused, e);
}

static Status open_sink(RowSink *s, const DataContext *context, Err *e) {
    s->context = context;
    if (context->tokenizer != NULL) TRY(tokenizer_cache_open(&s->cache, context->tokenizer, e));
    TRY(arena_open(&s->ids_arena, "token ids", e));
    TRY(arena_open(&s->trained_arena, "trained flags", e));
    TRY(arena_open(&s->labels_arena, "labels", e));
    TRY(arena_open(&s->label_rows_arena, "rows with labels", e));
    TRY(arena_open(&s->scratch, "row", e));
    TRY(arena_open(&s->parsing, "json", e));
    TRY(keep_block(s->parsing, e));
    return keep_block(s->scratch, e);
}

static void close_sink(RowSink *s) {
    tokenizer_cache_close(s->cache);
    arena_close(s->ids_arena);
    arena_close(s->trained_arena);
    arena_close(s->labels_arena);
    arena_close(s->label_rows_arena);
    arena_close(s->scratch);
    arena_close(s->parsing);
}

Status loader_open(Loader *l, const DataContext *context, Arena *names, const char *folder, DataCheck *check, Err *e) {
    *l = (Loader){.context = context, .ids = SPOOL_CLOSED, .trained = SPOOL_CLOSED, .labels = SPOOL_CLOSED};
    l->names = names;
    l->check = check;
    TRY(arena_open(&l->work, "reading", e));
    TRY(arena_open(&l->block_arena, "rows read", e));
    TRY(keep_block(l->block_arena, e));
    TRY(arena_open(&l->rows_arena, "rows", e));
    TRY(arena_open(&l->label_rows_arena, "rows with labels", e));
    TRY(ARENA_NEW(l->work, BLOCK_ROWS, l->block, e));
    int threads = context->pool != NULL ? pool_threads(context->pool) : 1;
    TRY(ARENA_NEW(l->work, threads, l->sinks, e));
    while (l->n_sinks < threads) TRY(open_sink(&l->sinks[l->n_sinks++], context, e));
    if (check != NULL) return OK;
    TRY(spool_open(l->work, folder, &l->ids, e));
    TRY(spool_open(l->work, folder, &l->trained, e));
    return spool_open(l->work, folder, &l->labels, e);
}

void loader_close(Loader *l) {
    for (int i = 0; i < l->n_sinks; i++) close_sink(&l->sinks[i]);
    spool_close(&l->ids);
    spool_close(&l->trained);
    spool_close(&l->labels);
    arena_close(l->label_rows_arena);
    arena_close(l->rows_arena);
    arena_close(l->block_arena);
    arena_close(l->work);
}

/* ---- a row, by any thread ---------------------------------------------------------------------------------------- */

static Status parse_and_add(Loader *l, RowSink *s, BlockRow *row, Err *e) {
    Json *json;
    Status st =
        json_parse_in(s->scratch, s->parsing, l->source->path, row->line, row->column, row->text, row->len, &json, e);
    if (st == ERR_FORMAT) { /* a bad row, whatever is bad in it */
        if (e != NULL) e->status = ERR_DATA;
        return ERR_DATA;
    }
    TRY(st);
    if (l->check != NULL) return row_check(l, s, row, json, e);
    st = row_add(l, s, row, json, e);
    if (st == OK || st == ERR_CONFIG) return st; /* that names its place in the config */
    if (row->element == 0) return err_prefix(e, st, "%s:%lld", l->source->path, (long long)row->line);
    return err_prefix(e, st, "%s:%lld: element %lld", l->source->path, (long long)row->line, (long long)row->element);
}

/* A PoolTask. While checking, ids are forgotten at once. */
static void take_row(void *ctx, int64_t i, int thread) {
    Loader *l = ctx;
    BlockRow *row = &l->block[i];
    RowSink *s = &l->sinks[thread];
    ArenaMark mark = arena_mark(s->scratch);
    size_t n = s->n, n_labels = s->n_labels, n_label_rows = s->n_label_rows;
    row->thread = thread;
    row->st = parse_and_add(l, s, row, &row->err);
    if (row->st != OK || l->check != NULL) {
        s->n = n;
        s->n_labels = n_labels;
        s->n_label_rows = n_label_rows;
    }
    arena_reset(s->scratch, mark);
}

static void take_some(void *ctx, int64_t i, int thread) {
    const int64_t *first = ((void **)ctx)[1];
    take_row(((void **)ctx)[0], *first + i, thread);
}

/* Rows one by one until the first has shown the type, then the others all at once. */
static void take_block(Loader *l) {
    int64_t i = 0, n = (int64_t)l->n_block;
    while (i < n && (l->type == NULL || l->context->pool == NULL)) take_row(l, i++, 0);
    void *job[2] = {l, &i};
    if (i < n) pool_run(l->context->pool, n - i, take_some, job);
}

/* ---- the rows of a block in order -------------------------------------------------------------------------------- */

/* Labels are a row's without sides. */
static Status keep_labels(Loader *l, const RowSink *s, const BlockRow *row, Err *e) {
    size_t n = l->n_label_rows, n_labels = row->parts[0].n;
    TRY(arena_grow(l->label_rows_arena, &l->label_rows, &l->cap_label_rows, n, n + 1, sizeof *l->label_rows, e));
    l->label_rows[l->n_label_rows++] = (LabelRow){.start = l->n_ids, .at = l->n_labels};
    l->n_labels += (int64_t)n_labels;
    return spool_add(&l->labels, s->labels + s->label_rows[row->label_row].at, n_labels * sizeof *s->labels, e);
}

static Status keep_part(Loader *l, const BlockRow *row, const BlockPart *p, int32_t source, Err *e) {
    const RowSink *s = &l->sinks[row->thread];
    if (l->n_rows >= INT32_MAX) FAIL(e, ERR_DATA, "too many rows (at most %d)", INT32_MAX);
    TRY(arena_grow(l->rows_arena, &l->rows, &l->cap_rows, l->n_rows, l->n_rows + 1, sizeof *l->rows, e));
    l->rows[l->n_rows++] = (DataRow){.start = l->n_ids,
                                     .line = row->line,
                                     .length = (int32_t)p->n,
                                     .trained = p->trained,
                                     .source = source,
                                     .number = (int32_t)l->n_json,
                                     .side = p->side};
    l->n_ids += (int64_t)p->n;
    TRY(spool_add(&l->ids, s->ids + p->start, p->n * sizeof *s->ids, e));
    return spool_add(&l->trained, s->trained + p->start, p->n, e);
}

static Status keep_row(Loader *l, const BlockRow *row, int32_t source, Err *e) {
    if (row->has_labels) TRY(keep_labels(l, &l->sinks[row->thread], row, e));
    for (int i = 0; i < row->n_parts; i++) TRY(keep_part(l, row, &row->parts[i], source, e));
    l->n_json++;
    l->bare += row->bare;
    return OK;
}

static Status deliver(Loader *l, int32_t source, Err *e) {
    for (size_t i = 0; i < l->n_block; i++) {
        BlockRow *row = &l->block[i];
        if (l->check != NULL) l->check->rows++;
        if (l->check != NULL && row->st == ERR_DATA) {
            TRY(check_tell(l, &row->err));
            continue;
        }
        if (row->st != OK && e != NULL) *e = row->err;
        TRY(row->st);
        if (l->check == NULL) TRY(keep_row(l, row, source, e));
    }
    for (int i = 0; i < l->n_sinks; i++) l->sinks[i].n = l->sinks[i].n_labels = l->sinks[i].n_label_rows = 0;
    return OK;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* Texts are copied: a row's own stays until the next row only. */
static Status fill_block(Loader *l, Jsonl *j, Err *e) {
    size_t bytes = 0;
    l->n_block = 0;
    size_t most = l->check != NULL ? 1 : BLOCK_ROWS; /* what is bad is told in order */
    while (l->n_block < most && bytes < BLOCK_BYTES && !j->done) {
        const char *text;
        char *copy;
        size_t len;
        if (stop_requested()) FAIL(e, ERR_STOPPED, "stopped while %s was read", l->source->path);
        TRY(jsonl_next(j, &text, &len, e));
        if (text == NULL) break;
        TRY(arena_strndup(l->block_arena, text, len, &copy, e));
        BlockRow *row = &l->block[l->n_block++];
        *row = (BlockRow){.text = copy,
                          .len = len,
                          .line = j->line,
                          .column = j->array ? j->at_column : 1,
                          .element = j->array ? j->element : 0};
        bytes += len;
    }
    return OK;
}

/* What stands before a place that cannot be read comes first. */
static Status read_block(Loader *l, Jsonl *j, int32_t source, Err *e) {
    Err later;
    ArenaMark mark = arena_mark(l->block_arena);
    Status st = fill_block(l, j, &later);
    take_block(l);
    TRY(deliver(l, source, e));
    if (st == ERR_DATA && l->check != NULL) {
        l->check->rows++;
        st = check_tell(l, &later);
    }
    if (st != OK && e != NULL) *e = later;
    arena_reset(l->block_arena, mark);
    if (l->context->progress != NULL) l->context->progress(l->context->ctx, l->source->path, bytes_done(&j->bytes));
    return st;
}

static Status read_rows(Loader *l, Jsonl *j, int32_t source, Err *e) {
    size_t before = l->n_rows;
    int64_t checked = l->check != NULL ? l->check->rows : 0;
    while (!j->done) TRY(read_block(l, j, source, e));
    if (l->check != NULL && l->check->rows > checked) return check_notes(l, j, e);
    if (l->n_rows > before) return OK;
    FAIL(e, ERR_DATA, "%s: there is no row in it", l->source->path);
}

/* A file that cannot be opened is an error also while checking; one that is no data is told like a bad row. */
Status loader_read(Loader *l, const DataSource *file, int32_t source, int64_t *first_row, Err *e) {
    Jsonl j;
    l->source = file;
    l->type = NULL;
    l->found_by = NULL;
    l->bare = 0;
    memset(l->remarks, 0, sizeof l->remarks);
    if (l->check != NULL) l->check->files++;
    Status st = jsonl_open(file->path, &j, e);
    if (st == OK) {
        *first_row = j.array ? l->n_json : -1;
        st = read_rows(l, &j, source, e);
        jsonl_close(&j);
    }
    if (st == ERR_DATA && l->check != NULL) return check_tell(l, e);
    return st;
}
