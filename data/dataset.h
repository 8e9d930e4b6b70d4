/* dataset.h: data files (files.h, jsonl.h) as token ids, once.
 *
 * A Dataset is a list of rows that point into one array of ids and one of trained flags; a subset (held-out split) shares
 * those arrays. They are mapped: from the prepared data (prepared.h), or from a file without a name; only the rows are in
 * memory, so the files may be larger than it. trained[i] = 1 means that the label of position i is predicted from the ids before it in the row; the label
 * is ids[i] itself, but for the rows of label_rows, which bring labels of their own (row type tokens). The first id of a row
 * has no context and is never trained. Everything is deterministic. Refused, each with FILE:LINE: lines that are no JSON
 * object, missing or mistyped fields, ids and labels outside the vocabulary, rows with no trained token; files without rows.
 * All memory is the caller's arena, which also holds the mappings until it is closed or reset. */
#ifndef LORAC_DATA_DATASET_H
#define LORAC_DATA_DATASET_H

#include "base/buf.h"
#include "base/hash.h"
#include "base/threads.h"
#include "data/chat.h"

/* Columns a row type may need. The config key is "field_" + name. */
#define FIELD_LIST(X)                                                                                                  \
    X(PROMPT, "prompt")                                                                                                \
    X(COMPLETION, "completion")                                                                                        \
    X(TEXT, "text")                                                                                                    \
    X(INPUT_IDS, "input_ids")                                                                                          \
    X(LABELS, "labels")                                                                                                \
    X(MESSAGES, "messages")                                                                                            \
    X(CONVERSATIONS, "conversations")                                                                                  \
    X(TOOLS, "tools")                                                                                                  \
    X(SYSTEM, "system")                                                                                                \
    X(INSTRUCTION, "instruction")                                                                                      \
    X(INPUT, "input")                                                                                                  \
    X(OUTPUT, "output")                                                                                                \
    X(HISTORY, "history")                                                                                              \
    X(SEGMENTS, "segments")                                                                                            \
    X(CHOSEN, "chosen")                                                                                                \
    X(REJECTED, "rejected")                                                                                            \
    X(LABEL, "label")
typedef enum Field {
#define X(id, name) FIELD_##id,
    FIELD_LIST(X)
#undef X
        FIELD_COUNT
} Field;
/* The default column name: "prompt", ... The config key is this with "field_" before it. */
extern const char *const FIELD_NAMES[FIELD_COUNT];

/* One entry of a config: a file, a folder or a pattern. */
typedef struct DataSource {
    const char *path;
    const char *type;                /* a row of FORMATS, or NULL/"": found from the fields of its first row */
    const char *fields[FIELD_COUNT]; /* column names, NULL: the default */
    const char *where;               /* place of `type` in the config for messages, or NULL */
    ChatTraining training;           /* of chats */
} DataSource;

/* What the rows are turned into ids with. */
typedef struct DataContext {
    struct Tokenizer *tokenizer; /* may be NULL when every source has type tokens */
    int64_t vocab;               /* ids must be below this: the rows of the model's embedding */
    const Chat *chat;            /* NULL: chats cannot be read, and why */
    const char *no_chat;
    Pool *pool;       /* rows become ids on all its threads; NULL: on the calling one */
    Hash128 identity; /* of what tokenizer, template and the day they see are made from */
    struct PreparedFolder
        *prepared; /* where ids may be found ready and are left for the next time (prepared.h), or NULL */
    /* Told after each block of rows: how much of the file was read, 0 to 1; may be NULL. */
    void (*progress)(void *ctx, const char *path, double done);
    void *ctx;
    bool chat_unreadable;  /* chat is NULL although the base has a template */
    const char *chat_from; /* the file that the template is from, for messages; NULL: no template */
} DataContext;

/* What a row of preference data is: one answer of a pair, or an answer alone with a verdict. Rows with a side are for an objective
 * that compares; the plain loss must not be taken over them. */
typedef enum RowSide { SIDE_NONE, SIDE_CHOSEN, SIDE_REJECTED, SIDE_DESIRABLE, SIDE_UNDESIRABLE, SIDE_COUNT } RowSide;
/* "chosen", "rejected", ...; NULL for SIDE_NONE. */
extern const char *const SIDE_NAMES[SIDE_COUNT];

typedef struct DataRow {
    int64_t start;   /* into ids and trained */
    int64_t line;    /* in its file, from 1 */
    int32_t length;  /* tokens */
    int32_t trained; /* trained tokens */
    int32_t source;
    int32_t number; /* of the row over all sources, in file order, from 0; both rows of a pair have the same */
    uint8_t side;   /* RowSide; a pair is its chosen row with its rejected one behind */
    /* What excess_length_strategy made of it: */
    uint8_t edits;   /* ROW_FIRST, ROW_LAST: the first, the last id is first_id, last_id; the last one is trained */
    int32_t context; /* so many tokens at the front are not trained, whatever the flags say */
    int32_t first_id, last_id;
} DataRow;
enum { ROW_FIRST = 1, ROW_LAST = 2 };

/* A row with at least one label that is not its own id. Other rows have none of these: their labels are their ids. */
typedef struct LabelRow {
    int64_t start; /* the row's start in ids: what it is found by */
    int64_t at;    /* of its labels in Dataset.labels, one per token as the row was read */
} LabelRow;

/* Token ledger (P9): read = trained + masked + dropped. Dropped tokens are those of rows that excess_length_strategy
 * dropped, the ends it cut off, and duplicates that dedupe left out. */
typedef struct Ledger {
    int64_t rows, rows_dropped, rows_cut, duplicates; /* left out for their length, cut, left out as duplicates */
    int64_t read, trained, masked, dropped;
    int64_t sides[SIDE_COUNT];    /* rows by side */
    int64_t rows_split, repeated; /* rows split; tokens that stand in two pieces, masked in the second and read again */
} Ledger;

typedef struct Dataset {
    int64_t n_rows;
    DataRow *rows;
    const int32_t *ids;
    const uint8_t *trained;
    const int32_t *labels; /* of the rows in label_rows; where a token is not trained, its id */
    LabelRow *label_rows;  /* (n_label_rows) by ascending start */
    int64_t n_label_rows;
    int n_sources;      /* files; an entry that is a folder or a pattern gives one for each of its files */
    const char **paths; /* by source, as written, or found in the folder or by the pattern */
    int *entries;       /* by source: the entry it belongs to, from 0 */
    const char **types; /* by source: the row type used */
    const char *
        *found_by; /* by source: "instruction, output": the columns that told its type; NULL: the type was given */
    int64_t *
        bare; /* by source: rows that are a prompt and a completion as texts, without any special token in the prompt */
    const char *
        *left_out;      /* by source: "FOLDER: NAME, NAME" that are no data, at the first file of a folder; NULL else */
    int64_t *first_row; /* by source: `number` of its first row where the file is an array, else -1; NULL: no arrays */
    Ledger *ledger;     /* by source; of the rows of this (sub)set */
    const struct DataMaps *maps; /* what ids, trained and labels lie in; NULL: plain memory */
} Dataset;

typedef enum ExcessStrategy { EXCESS_RAISE, EXCESS_DROP, EXCESS_TRUNCATE, EXCESS_SPLIT } ExcessStrategy;

/* What dataset_limit does with rows of more than max_tokens. `what` names the limit in messages ("sequence_len" or "the model's
 * context"). */
typedef struct LengthLimit {
    int64_t max_tokens;
    const char *what;
    ExcessStrategy strategy;
    const struct Tokenizer *tokenizer; /* truncate, split: which tokens end a turn, and BOS; may be NULL */
    int64_t overlap;                   /* split: tokens of the piece before, at most half of max_tokens */
    Arena *arena;                      /* split: for the pieces */
} LengthLimit;

/* Reads all files of all entries, in order. Rows keep their full length. */
Status dataset_load(Arena *a, const DataSource *sources, int n_sources, const DataContext *context, Dataset *out,
                    Err *e);

/* Reads all files as dataset_load does, keeps nothing, and tells of every bad row instead of stopping at the first: what
 * dataset_load refuses, rows of another type than their file's first, trained text that is empty or blank, what is surely not meant
 * in a chat (formats.h), and, where max_tokens is above 0, rows of more tokens (`what` names the limit). Memory is that of the
 * longest row. */
typedef struct DataCheck {
    int64_t max_tokens;
    const char *what;
    /* A bad row: "FILE:LINE:COL: reason"; a file that cannot be read further: "FILE: reason". */
    Status (*report)(void *ctx, const char *message, Err *e);
    /* What is worth saying of a file, once each, and is not bad; may be NULL. */
    Status (*note)(void *ctx, const char *message, Err *e);
    void *ctx;
    int64_t rows, bad, files; /* counted up by dataset_check; a row is bad once, however much is told of it */
} DataCheck;
Status dataset_check(const DataSource *sources, int n_sources, const DataContext *context, DataCheck *check, Err *e);

/* Splits off a held-out set. size 0: none; 1 or more: that many rows; a fraction below 1: that share of the rows, rounded
 * up. Which rows is a function of (seed, number of rows) and of which rows are equal; both parts keep file order. Rows of
 * equal text (duplicates.h; exact duplicates, where t is NULL) stay together on one side: the held-out set then has at most that
 * many rows. A size that leaves no row to train on, or none to hold out, is an error. val may be empty (n_rows 0). train and val
 * share all's arrays. */
Status dataset_split(Arena *a, const Dataset *all, const struct Tokenizer *t, double size, uint64_t seed,
                     Dataset *train, Dataset *val, Err *e);

/* Applies excess_length_strategy to rows that are too long.
 * raise     an error that lists them (FILE:LINE: N tokens; the first 20 and how many more).
 * drop      the row is left out; leaving out every row is an error.
 * truncate  the row ends with its last whole turn that fits, and with a trained end token where it has any (train_on_eos). Where not
 *           even the first turn fits, its text is cut and its end token kept, in the last place. A row of type tokens is cut where the
 *           limit is. A row with no trained token left is an error.
 * split     a row of type text becomes as many as it takes. Each but the first begins with BOS, where the text does, and with
 *           `overlap` tokens of the one before, which are its context and are not trained again. Others are an error. */
Status dataset_limit(Dataset *d, const LengthLimit *l, Err *e);

/* Whether row i is the second one of a pair whose first one stands before it. */
bool dataset_goes_on(const Dataset *d, int64_t i);
/* The other row of row i's pair, or NULL. */
const DataRow *dataset_other(const Dataset *d, int64_t i);
/* The first row with a side, or NULL. */
const DataRow *dataset_sided(const Dataset *d);
/* Refuses data with sides, for what takes the plain loss: ERR_DATA names the row's file and type. */
Status dataset_refuse_sides(const Dataset *d, Err *e);
/* Where a row is: "FILE:LINE", in an array "FILE:LINE: element N". Long paths are cut. */
const char *dataset_place(const Dataset *d, const DataRow *r, char *text, size_t size);
/* Its number in its array, from 1; 0 in JSONL. */
int64_t dataset_element(const Dataset *d, const DataRow *r);
/* Id and flag of token i of a row. */
static inline int32_t dataset_id(const Dataset *d, const DataRow *r, int64_t i) {
    if ((r->edits & ROW_FIRST) != 0 && i == 0) return r->first_id;
    if ((r->edits & ROW_LAST) != 0 && i == r->length - 1) return r->last_id;
    return d->ids[r->start + i];
}
static inline bool dataset_is_trained(const Dataset *d, const DataRow *r, int64_t i) {
    if (i == 0 || i < r->context) return false;
    if ((r->edits & ROW_LAST) != 0 && i == r->length - 1) return true;
    return d->trained[r->start + i] != 0;
}
/* For whoever goes through all rows: after each, *passed counts its tokens up, and now and then the pages that were read are
 * given back, so that data larger than memory push nothing else out. */
void dataset_passed(const Dataset *d, const DataRow *r, int64_t *passed);
/* Tokens of the longest row; of all rows; trained tokens of all rows. */
int64_t dataset_longest(const Dataset *d);
int64_t dataset_tokens(const Dataset *d);
int64_t dataset_trained(const Dataset *d);
/* The labels of a row (length): position i is trained towards labels[i] where trained, else it is the id. Points into ids
 * where every label is its id, so the two pointers being equal says so. */
const int32_t *dataset_labels(const Dataset *d, const DataRow *r);
/* Trained tokens of the row whose label is not their id. */
int64_t dataset_free_labels(const Dataset *d, const DataRow *r);
/* XXH3-128 over ids, flags, row lengths and the labels that are not ids: the same data whatever its files are called. */
Status dataset_hash(Arena *scratch, const Dataset *d, Hash128 *out, Err *e);
/* One line per source: rows and the token ledger; and one for what was left out of a folder. */
Status dataset_print_ledger(const Dataset *d, Buf *out, Err *e);
/* "raise", "drop", "truncate", "split" (a config value, already checked: CHECK). */
ExcessStrategy excess_strategy(const char *name);
/* "prompt_completion, text, ...": all row types, in text. */
const char *format_names(char *text, size_t size);

#endif
