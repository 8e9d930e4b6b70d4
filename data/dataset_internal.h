/* dataset_internal.h: what the files of dataset.h share: reading files into rows.
 *
 * A Loader reads a file in blocks of rows. The rows of a block are turned into ids by all threads of the pool, each into a sink
 * of its own; then they are taken in order: into the spools, or, when checking, told and forgotten. So neither ids nor errors
 * depend on the number of threads, and memory is that of a block and of one DataRow for each row. */
#ifndef LORAC_DATA_DATASET_INTERNAL_H
#define LORAC_DATA_DATASET_INTERNAL_H

#include "base/spool.h"
#include "data/formats.h"
#include "data/jsonl.h"

/* A row of a block: its text, and what became of it. */
typedef struct BlockRow {
    const char *text;
    size_t len;
    int64_t line, column, element; /* column of its first byte, from 1; element 0: the file is no array */
    Status st;
    Err err;
    const char *bad_field; /* the field that a message is about, or NULL */
    int thread;            /* whose sink has its ids ... */
    size_t start, n;       /* ... where, how many */
    size_t label_row;      /* of the sink, if has_labels */
    bool has_labels;
    int32_t trained;
} BlockRow;

typedef struct Loader {
    const DataContext *context;
    RowSink *sinks; /* by thread */
    int n_sinks;
    const DataSource *source;
    const RowType *type; /* of the source; NULL until its first row */
    Arena *work;         /* sinks, buffers */
    Arena *block_arena;  /* texts of a block */
    Arena *rows_arena, *label_rows_arena;
    BlockRow *block;
    size_t n_block;
    Spool ids, trained, labels;
    DataRow *rows;
    size_t n_rows, cap_rows;
    LabelRow *label_rows;
    size_t n_label_rows, cap_label_rows;
    int64_t n_ids, n_labels;
    DataCheck *check; /* NULL: rows are kept, and the first bad one ends it */
} Loader;

/* What a Dataset's arrays lie in: spools' mappings, or a prepared file. */
typedef struct DataMaps {
    Mapping ids, trained, labels;
    FileMap file;
} DataMaps;

/* Room for rows of a dataset, in one order and size wherever they come from. */
Status dataset_room(Arena *a, int64_t n_rows, int64_t n_label_rows, Dataset *out, Err *e);

/* folder: of the spools (NULL: TMPDIR); check: no spools. loader_close also after a failure. */
Status loader_open(Loader *l, const DataContext *context, const char *folder, DataCheck *check, Err *e);
void loader_close(Loader *l);
/* Reads a file. *first_row: see Dataset. */
Status loader_read(Loader *l, const DataSource *file, int32_t source, int64_t *first_row, Err *e);

/* Turns the row into ids at the end of the sink; chooses the source's type first where there is none. Errors have no place. */
Status row_add(Loader *l, RowSink *sink, BlockRow *row, const Json *json, Err *e);
/* The type that the row's fields show; an error where none or several do. */
Status row_detect(const DataSource *s, const Json *row, const RowType **out, Err *e);
/* The column of a field. */
const char *row_column(const DataSource *s, int field);

/* While checking: what is wrong with a row that row_add took or refused with st, with its place in front. */
Status row_check(const Loader *l, BlockRow *row, const Json *json, Status st, Err *e);

#endif
