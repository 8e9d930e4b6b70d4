/* dataset_internal.h: what the files of dataset.h share: reading files into rows.
 *
 * A Loader reads a file in blocks of rows. The rows of a block are turned into ids by all threads of the pool, each into a sink
 * of its own; then they are taken in order: into the spools, or, when checking, told and forgotten. So neither ids nor errors
 * depend on the number of threads, and memory is that of a block and of one DataRow for each row. */
#ifndef LORAC_DATA_DATASET_INTERNAL_H
#define LORAC_DATA_DATASET_INTERNAL_H

#include "base/spool.h"
#include "data/formats_internal.h"
#include "data/jsonl.h"

/* Ids [start, start + n) of a sink. */
typedef struct BlockPart {
    size_t start, n;
    int32_t trained;
    uint8_t side;
} BlockPart;

/* A row of a block: its text, and what became of it. */
typedef struct BlockRow {
    const char *text;
    size_t len;
    int64_t line, column, element; /* column of its first byte, from 1; element 0: the file is no array */
    Status st;
    Err err;
    const char *bad_field; /* the field that a message is about, or NULL */
    int thread;            /* whose sink has its ids */
    BlockPart parts[ROW_PARTS_MAX];
    int n_parts;
    size_t label_row; /* of the sink, if has_labels */
    bool has_labels, bare;
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
    int64_t n_ids, n_labels, n_json; /* n_json: rows as the files have them; a pair is one */
    Arena *names;                    /* of found_by */
    const char *found_by;            /* of the source (Dataset.found_by) */
    int64_t bare;                    /* and Dataset.bare */
    struct {
        int64_t rows, line;
    } remarks[REMARK_COUNT]; /* checking: rows with a remark, and the first one's line */
    DataCheck *check;        /* NULL: rows are kept, and the first bad one ends it */
} Loader;

/* What a Dataset's arrays lie in: spools' mappings, or a prepared file. */
typedef struct DataMaps {
    Mapping ids, trained, labels;
    FileMap file;
} DataMaps;

/* Room for rows of a dataset, in one order and size wherever they come from. */
Status dataset_room(Arena *a, int64_t n_rows, int64_t n_label_rows, Dataset *out, Err *e);

/* folder: of the spools (NULL: TMPDIR); check: no spools. loader_close also after a failure. */
Status loader_open(Loader *l, const DataContext *context, Arena *names, const char *folder, DataCheck *check, Err *e);
void loader_close(Loader *l);
/* Reads a file. *first_row: see Dataset. */
Status loader_read(Loader *l, const DataSource *file, int32_t source, int64_t *first_row, Err *e);

/* Turns the row into ids at the end of the sink; chooses the source's type first where there is none. Errors have no place. */
Status row_add(Loader *l, RowSink *sink, BlockRow *row, const Json *json, Err *e);

/* While checking: row_add, and then everything that is wrong with the row, with its place in front: told but for the last thing,
 * which is the error. The sink is as before. */
Status row_check(Loader *l, RowSink *sink, BlockRow *row, const Json *json, Err *e);
/* The message of *e, told as a bad row's. */
Status check_tell(const Loader *l, Err *e);
/* What is worth saying of the source, which has been read, and is not bad. */
Status check_notes(const Loader *l, const Jsonl *j, Err *e);

#endif
