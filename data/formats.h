/* formats.h: the table of row types: how one JSON object becomes ids and trained flags. dataset.c reads files and calls it.
 *
 * A row type is a function and a row of FORMATS; nothing else knows its name. */
#ifndef LORAC_DATA_FORMATS_H
#define LORAC_DATA_FORMATS_H

#include "base/json.h"
#include "data/dataset.h"

enum { ROW_PARTS_MAX = 2 };

/* A row of the dataset that the JSON row becomes: ids from `start` on, up to the next part or the end. */
typedef struct RowPart {
    size_t start;
    RowSide side;
} RowPart;

/* What is bad in a row although it could be trained on, or in more than one place. Place: the member of that name in the object,
 * the object itself (or the list) where member is NULL. */
typedef struct RowProblem {
    const Json *object;
    const char *member, *text;
} RowProblem;

/* What is worth a note and not bad: the last message is the user's; what is trained has no end token. */
typedef enum RowRemark { REMARK_OPEN, REMARK_ENDLESS, REMARK_COUNT } RowRemark;

/* Where a row type puts its ids; growing arrays in arenas of their own, so that each grows in place. */
typedef struct RowSink {
    const DataContext *context;
    TokenizerCache *cache;        /* of the thread; NULL where there is no tokenizer */
    const ChatTraining *training; /* of the source */
    const DataSource *source;
    Arena *ids_arena, *trained_arena, *labels_arena, *label_rows_arena;
    int32_t *ids;
    uint8_t *trained;
    int32_t *labels;      /* of the rows in label_rows only */
    LabelRow *label_rows; /* rows with a label that is not its id */
    size_t n, cap_ids, cap_trained, n_labels, cap_labels, n_label_rows, cap_label_rows;
    size_t row_start; /* n when the current row, or its current part, began */
    RowPart parts[ROW_PARTS_MAX];
    int n_parts;     /* 0: one without a side, from row_start on */
    Arena *scratch;  /* given back after each row */
    Arena *parsing;  /* of the row's JSON, meanwhile */
    const Json *row; /* the JSON row */
    /* What an error is about: as in RowProblem; both NULL: the row as a whole. */
    const Json *bad_object;
    const char *bad_member;
    /* Looking for everything that is bad (dataset_check): problems of the row, in scratch. */
    bool looking, raised; /* raised: the error is the template's own */
    RowProblem *problems;
    size_t n_problems, cap_problems;
    unsigned remarks; /* 1u << RowRemark */
    bool bare;        /* the row is texts without a special token in the prompt (Dataset.bare) */
} RowSink;

enum { FORMAT_ALTERNATIVES = 4 };

/* values[f] is set for every field of the row type (FIELD bits) and every optional one that the row has (and is not null), NULL
 * else. Errors are without place: the caller adds it. */
typedef struct RowType {
    const char *name;
    unsigned fields, optional; /* 1u << FIELD_... */
    unsigned any_of
        [FORMAT_ALTERNATIVES]; /* where [0] is not 0: all fields of one of these must be there (they are optional too) */
    uint8_t types[FIELD_COUNT]; /* 1u << JSON_..., of the values */
    Status (*add)(RowSink *sink, const Json *const values[FIELD_COUNT], Err *e);
    bool needs_tokenizer, needs_chat;
    bool as_is;  /* ids are the row's own: no token is put in the place of another */
    bool splits; /* text without turns, which may be split */
} RowType;

extern const RowType FORMATS[];
extern const int FORMAT_COUNT;

/* The row type by name, or NULL. */
const RowType *format_find(const char *name);
/* The row type whose columns the row has, among those that have every column named in the config. Where the columns of one are
 * all among those of another, the latter is meant. ERR_DATA: none, or several. */
Status format_detect(const DataSource *s, const Json *row, const RowType **out, Err *e);
/* The columns of the row that the type uses: "instruction, output"; in the arena. */
Status format_columns(Arena *a, const DataSource *s, const RowType *type, const Json *row, const char **out, Err *e);
/* The column of a field. */
const char *format_column(const DataSource *s, int field);
/* "question, answer": the fields a row has, cut to fit. */
const char *format_fields(const Json *row, char *text, size_t size);

/* Recounts the ledger's rows and tokens by source; what was dropped before stays. */
void dataset_count(Dataset *d);

#endif
