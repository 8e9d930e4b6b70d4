/* dataset.c: from files to a Dataset. See dataset.h; rows are read in dataset_read.c, row types are in formats.c. */
#include "data/dataset_internal.h"
#include "data/files.h"
#include "data/prepared.h"

#include <stdio.h>
#include <string.h>

void dataset_count(Dataset *d) {
    for (int s = 0; s < d->n_sources; s++) {
        Ledger *g = &d->ledger[s];
        *g = (Ledger){.rows_dropped = g->rows_dropped,
                      .rows_cut = g->rows_cut,
                      .duplicates = g->duplicates,
                      .dropped = g->dropped,
                      .rows_split = g->rows_split,
                      .repeated = g->repeated};
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

/* ---- loading ------------------------------------------------------------------------------------------------------ */

static void close_maps(void *what) {
    DataMaps *m = what;
    mapping_close(&m->ids);
    mapping_close(&m->trained);
    mapping_close(&m->labels);
    file_unmap(&m->file);
}

void dataset_passed(const Dataset *d, const DataRow *r, int64_t *passed) {
    enum { TOKENS = 1 << 20 };
    *passed += r->length;
    if (*passed < TOKENS || d->maps == NULL) return;
    *passed = 0;
    mapping_forget(&d->maps->ids);
    mapping_forget(&d->maps->trained);
    mapping_forget(&d->maps->labels);
    if (d->maps->file.data != NULL) file_map_forget(&d->maps->file, 0, d->maps->file.size);
}

/* The rows at exact size, pointing into the spools' mappings. */
static Status take_loaded(Arena *a, Loader *l, DataMaps *maps, Dataset *out, Err *e) {
    TRY(spool_map(&l->ids, &maps->ids, e));
    TRY(spool_map(&l->trained, &maps->trained, e));
    TRY(spool_map(&l->labels, &maps->labels, e));
    TRY(dataset_room(a, (int64_t)l->n_rows, (int64_t)l->n_label_rows, out, e));
    memcpy(out->rows, l->rows, l->n_rows * sizeof *out->rows);
    if (l->n_label_rows > 0) memcpy(out->label_rows, l->label_rows, l->n_label_rows * sizeof *out->label_rows);
    out->ids = maps->ids.data;
    out->trained = maps->trained.data;
    out->labels = maps->labels.data;
    dataset_count(out);
    return OK;
}

Status dataset_room(Arena *a, int64_t n_rows, int64_t n_label_rows, Dataset *out, Err *e) {
    TRY(ARENA_NEW(a, n_rows, out->rows, e));
    if (n_label_rows > 0) TRY(ARENA_NEW(a, n_label_rows, out->label_rows, e));
    out->n_rows = n_rows;
    out->n_label_rows = n_label_rows;
    return OK;
}

static Status load_files(Arena *a, const DataSource *files, const DataContext *context, DataMaps *maps, Dataset *out,
                         Err *e) {
    Loader l;
    const char *folder = context->prepared != NULL && context->prepared->write ? context->prepared->path : NULL;
    Status st = loader_open(&l, context, a, folder, NULL, e);
    for (int i = 0; st == OK && i < out->n_sources; i++) {
        st = loader_read(&l, &files[i], i, &out->first_row[i], e);
        if (st != OK) break;
        out->types[i] = l.type->name;
        out->found_by[i] = l.found_by;
        out->bare[i] = l.bare;
    }
    if (st == OK) st = take_loaded(a, &l, maps, out, e);
    loader_close(&l);
    return st;
}

/* A dataset of the same sources, with lists of its own for what is told of them. */
static Status same_sources(Arena *a, const Dataset *d, Dataset *out, Err *e) {
    size_t n = (size_t)d->n_sources;
    *out = *d;
    TRY(ARENA_NEW(a, n, out->types, e));
    TRY(ARENA_NEW(a, n, out->found_by, e));
    TRY(ARENA_NEW(a, n, out->bare, e));
    TRY(ARENA_NEW(a, n, out->first_row, e));
    return ARENA_NEW(a, n, out->ledger, e);
}

/* Writes the rows and goes on with the file instead of the spools. Where another run has removed it already, they stay. */
static Status keep_prepared(Arena *work, Prepared *p, int64_t vocab, DataMaps *maps, Dataset *d, Err *e) {
    Dataset again;
    DataMaps file = {0};
    TRY(prepared_write(work, p, d, e));
    TRY(same_sources(work, d, &again, e));
    TRY(prepared_open(work, p, vocab, &file, &again, e));
    if (p->damage[0] != 0) FAIL(e, ERR_IO, "%s: what was written cannot be read back: %s", p->path, p->damage);
    if (!p->found) return OK;
    close_maps(maps);
    *maps = file;
    d->ids = again.ids;
    d->trained = again.trained;
    d->labels = again.labels;
    return OK;
}

/* From the prepared data where they are there, else from the files, which are then prepared if that is wanted. Either way the
 * arena gives the same bytes: `lorac plan` and the run need the same memory. */
static Status load_prepared(Arena *a, Arena *work, const DataSource *files, const DataContext *context, DataMaps *maps,
                            Dataset *out, Err *e) {
    PreparedFolder *folder = context->prepared;
    Prepared p, again;
    TRY(prepared_find(work, folder, files, context, out, &p, e));
    TRY(prepared_open(a, &p, context->vocab, maps, out, e));
    folder->found = p.found;
    memcpy(folder->key, p.key, sizeof p.key);
    snprintf(folder->damage, sizeof folder->damage, "%s", p.damage);
    if (p.found) return OK;
    TRY(load_files(a, files, context, maps, out, e));
    if (!folder->write) return OK;
    TRY(prepared_find(work, folder, files, context, out, &again, e));
    if (strcmp(again.key, p.key) != 0)
        FAIL(e, ERR_IO, "%s: a data file was changed while it was read; start again", files[0].path);
    return keep_prepared(work, &again, context->vocab, maps, out, e);
}

Status dataset_load(Arena *a, const DataSource *sources, int n_sources, const DataContext *context, Dataset *out,
                    Err *e) {
    DataSource *files;
    DataMaps *maps;
    Arena *work;
    CHECK(n_sources > 0, "a dataset without sources");
    *out = (Dataset){0};
    TRY(expand(a, sources, n_sources, &files, out, e));
    TRY(ARENA_NEW(a, 1, maps, e));
    TRY(arena_defer(a, close_maps, maps, e));
    out->maps = maps;
    if (context->prepared == NULL) return load_files(a, files, context, maps, out, e);
    TRY(arena_open(&work, "prepared data", e));
    Status st = load_prepared(a, work, files, context, maps, out, e);
    arena_close(work);
    return st;
}

Status dataset_check(const DataSource *sources, int n_sources, const DataContext *context, DataCheck *check, Err *e) {
    Loader l;
    DataSource *files;
    Dataset d = {0};
    Arena *work;
    TRY(arena_open(&work, "files", e));
    Status st = expand(work, sources, n_sources, &files, &d, e);
    if (st == OK) {
        st = loader_open(&l, context, work, NULL, check, e);
        for (int i = 0; st == OK && i < d.n_sources; i++) {
            int64_t first_row;
            st = loader_read(&l, &files[i], i, &first_row, e);
        }
        loader_close(&l);
    }
    arena_close(work);
    return st;
}
