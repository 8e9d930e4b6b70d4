/* evaluate.h: held-out loss: a forward pass over rows, packed in file order (packed == unpacked, P3). */
#ifndef LORAC_TRAIN_EVALUATE_H
#define LORAC_TRAIN_EVALUATE_H

#include "data/batches.h"
#include "train/session.h"

/* A held-out set. */
typedef struct EvalSet {
    const char *name;
    Dataset data;
    Batches *batches;
    BatchView view;
} EvalSet;

typedef struct EvalResult {
    double nll;     /* sum over trained tokens of -ln p(label), in file order */
    int64_t tokens; /* trained tokens: what the loss is the mean over */
    int64_t rows;
} EvalResult;

/* Called for each document: its row in the dataset, its ids, and logprobs (n): ln p(ids[i] | ids[<i]), NAN where not
 * computed (position 0; without TARGETS_ALL also tokens that are not trained, with TARGETS_TRAINED those whose label is
 * another id). */
typedef Status (*EvalRowSink)(void *ctx, const DataRow *row, const int32_t *ids, const float *logprobs, int64_t n,
                              Err *e);

typedef struct Evaluator {
    const Session *session;
    Arena *arena;
    Runner runner; /* prepared; memory is given by runner_memory */
    float *logp;
    float *row; /* log-probabilities of one document */
} Evaluator;

/* Tokens of one evaluation batch unless a row is longer. */
enum { EVAL_TOKENS = 512 };

/* Rows of `source`, limited to the context (an error FILE:LINE), as a set. */
Status eval_set_open(Arena *a, const char *name, Dataset *source, int64_t context, TargetSet targets, EvalSet *out,
                     Err *e);

/* Prepares one forward graph for all sets. slots NULL: base only. */
Status evaluator_open(const Session *s, const SlotMap *slots, const EvalSet *sets, int64_t n, Evaluator *ev, Err *e);
void evaluator_close(Evaluator *ev);

/* adapters NULL: the base alone. sink may be NULL. A stop request ends it with ERR_STOPPED. */
Status evaluate(Evaluator *ev, EvalSet *set, const AdapterSet *adapters, EvalRowSink sink, void *ctx, EvalResult *out,
                Err *e);

#endif
