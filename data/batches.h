/* batches.h: which tokens each optimizer step sees: a pure function of (dataset, options, step).
 *
 * Rows of the dataset are put into bins once (packing.h); a bin is a row of the optimizer batch, its documents never see
 * each other. An epoch goes over all bins, in an order that is a function of (seed, epoch); an optimizer batch takes
 * micro_batch_size * gradient_accumulation_steps of them, the last of an epoch what is left. So a resumed run needs the
 * step number only. The split into micro-batches is the caller's: batches_fill takes any run of a step's bins.
 * A target is a position and the id it must predict, the label of the next position of its own document: the first token of
 * a document is none. */
#ifndef LORAC_DATA_BATCHES_H
#define LORAC_DATA_BATCHES_H

#include "data/dataset.h"

typedef struct Batches Batches;

/* Which targets a batch has. Where labels are the tokens' own ids, the first two are the same. */
typedef enum TargetSet {
    TARGETS_TRAINED,         /* the labels of trained tokens: what a loss is made of */
    TARGETS_TRAINED_AND_IDS, /* and, where such a label is not the token's id, the id beside it */
    TARGETS_ALL              /* and the ids of tokens that are not trained */
} TargetSet;
/* What the log-probability of a target is for; bits. */
enum { TARGET_LOSS = 1 /* the loss */, TARGET_ID = 2 /* the token's own: ln p(ids[i] | ids[<i]) */ };

typedef struct BatchesOptions {
    int64_t sequence_len; /* tokens of a bin at most; every row must fit (dataset_limit) */
    int64_t micro_batch_size, gradient_accumulation_steps;
    double num_epochs;   /* steps = ceil(num_epochs * steps of an epoch) */
    int64_t max_steps;   /* > 0: exactly so many steps, repeating the data; num_epochs is not read */
    bool sample_packing; /* false: each row its own bin */
    bool
        shuffle; /* true: best fit decreasing, bins shuffled each epoch; false: next fit in order, same order each epoch */
    TargetSet targets; /* more than TARGETS_TRAINED: for per-token evaluation */
    uint64_t seed;
} BatchesOptions;

/* The dataset is borrowed. */
Status batches_open(Arena *a, const Dataset *d, const BatchesOptions *o, Batches **out, Err *e);

/* For evaluation: rows in file order, packed in order into bins of about `tokens` (a longer row has its own bin, so
 * that nothing is cut); step i of batches_steps is bin i. */
Status batches_open_eval(Arena *a, const Dataset *d, int64_t tokens, TargetSet targets, Batches **out, Err *e);

int64_t batches_steps(const Batches *b);           /* of the whole run */
int64_t batches_steps_per_epoch(const Batches *b); /* at least 1 */
int64_t batches_bins(const Batches *b);            /* in an epoch */

/* Upper bounds over every micro-batch of every step: sizes of all buffers. rows_step: bins of the largest step. */
typedef struct BatchLimits {
    int64_t tokens, targets, docs, rows, rows_step;
    int64_t longest; /* tokens of the longest document */
} BatchLimits;
BatchLimits batches_limits(const Batches *b);

typedef struct StepPlan {
    int64_t n_rows; /* bins */
    int64_t n_tokens;
    int64_t n_targets; /* of the whole optimizer batch: what the loss is divided by; at least 1 */
    double epoch;      /* epochs done after this step */
} StepPlan;

/* step in [0, batches_steps). Not const: the order of the current epoch is kept. */
void batches_step(Batches *b, int64_t step, StepPlan *out);

/* The bins of a step that rank `rank` of `ranks` (a power of two) takes: first .. first + n. Together the ranks take every bin
 * once, in order. A rank's run has a power of two of bins (the last one that has any may have fewer, those behind it none) and
 * begins at a multiple of that, so that its gradient is a subtree of the step's row tree (promise P7). */
void batches_shard(Batches *b, int64_t step, int64_t rank, int64_t ranks, int64_t *first, int64_t *n);

/* One micro-batch, as plain arrays sized by BatchLimits. */
typedef struct BatchView {
    int64_t n_tokens, n_docs, n_rows, n_targets;
    int32_t *ids;        /* (n_tokens) */
    int32_t *pos;        /* (n_tokens) from 0 in each document */
    int32_t *cu_seqlens; /* (n_docs+1) starts of documents, then n_tokens */
    int32_t *doc_row;    /* (n_docs) index into the dataset's rows */
    uint64_t *token_key; /* (n_tokens) bin's index in the optimizer batch << 32 | position in the bin */
    int64_t *row_begin, *row_end, *row_index; /* (n_rows) tokens of a bin; its index in the optimizer batch */
    int32_t *index, *target; /* (n_targets) position that predicts, ascending; id it must predict. A position comes
                              * twice where both its label and its id are targets (not with TARGETS_TRAINED) */
    uint8_t *target_use;     /* (n_targets) TARGET_LOSS | TARGET_ID */
} BatchView;

/* Allocates the arrays of a view for any micro-batch of these batches. */
Status batches_view(Arena *a, const Batches *b, BatchView *out, Err *e);
/* Fills the view with bins [first, first+n) of the step; n is at most micro_batch_size. */
void batches_fill(Batches *b, int64_t step, int64_t first, int64_t n, BatchView *v);

/* "FILE:LINE" of the first document of a step's bin, and how many more are in it. */
void batches_row_place(Batches *b, int64_t step, int64_t row, char *text, size_t size);

#endif
