/* duplicates.h: rows that occur more than once in a dataset, or in two.
 *
 * Exact duplicates have the same ids, trained flags and labels; they are compared byte by byte, a hash only finds them. Equal
 * texts are rows whose text, decoded without special tokens, is the same after Unicode case folding, normalization form C
 * and with every run of white space as one space and none at the ends, whatever is trained in them; for them the 128-bit
 * hash decides. All take O(n log n) time; their memory is given back. */
#ifndef LORAC_DATA_DUPLICATES_H
#define LORAC_DATA_DUPLICATES_H

#include "data/dataset.h"

/* first[i] (n_rows) = index of the first row that row i equals; i itself where it is the first. *copies: rows that are not. */
Status duplicates_exact(const Dataset *d, int32_t *first, int64_t *copies, Err *e);
/* The same for equal texts. */
Status duplicates_text(const Dataset *d, const struct Tokenizer *t, int32_t *first, int64_t *copies, Err *e);

/* Rows of `tests` that are exact duplicates of a row of `train`: how many, and the indices of the first such pair (-1). */
typedef struct Overlap {
    int64_t rows, test_row, train_row;
} Overlap;
Status duplicates_between(const Dataset *train, const Dataset *tests, Overlap *out, Err *e);

/* Leaves out all exact duplicates but the first of each; the ledger counts their tokens as dropped. */
Status dataset_dedupe(Dataset *d, Err *e);

#endif
