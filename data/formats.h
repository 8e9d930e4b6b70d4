/* formats.h: the table of row types: how one JSON object becomes ids and trained flags. dataset.c reads files and calls it.
 *
 * A row type is a function and a row of FORMATS; nothing else knows its name. */
#ifndef LORAC_DATA_FORMATS_H
#define LORAC_DATA_FORMATS_H

#include "base/json.h"
#include "data/dataset.h"

/* Where a row type puts its ids; growing arrays in arenas of their own, so that each grows in place. */
typedef struct RowSink {
    const DataContext *context;
    const ChatTraining *training; /* of the source */
    Arena *ids_arena, *trained_arena, *labels_arena, *label_rows_arena;
    int32_t *ids;
    uint8_t *trained;
    int32_t *labels;      /* of the rows in label_rows only */
    LabelRow *label_rows; /* rows with a label that is not its id */
    size_t n, cap_ids, cap_trained, n_labels, cap_labels, n_label_rows, cap_label_rows;
    size_t row_start; /* n when the current row began */
    Arena *scratch;   /* given back after each row */
} RowSink;

/* values[f] is set for every field of the row type (FIELD bits) and every optional one that the row has (and is not null), NULL
 * else. Errors are without place: the caller adds it. */
typedef struct RowType {
    const char *name;
    unsigned fields, optional; /* 1u << FIELD_... */
    JsonType types[FIELD_COUNT];
    Status (*add)(RowSink *sink, const Json *const values[FIELD_COUNT], Err *e);
    bool needs_tokenizer, needs_chat;
} RowType;

extern const RowType FORMATS[];
extern const int FORMAT_COUNT;

/* The row type by name, or NULL. */
const RowType *format_find(const char *name);

/* Recounts the ledger's rows and tokens by source; what was dropped before stays. */
void dataset_count(Dataset *d);

#endif
