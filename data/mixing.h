/* mixing.h: how often the rows of each entry of a config are taken: max_rows, weight, repeat.
 *
 * All draws are functions of (seed, entry): the same config gives the same rows, in every epoch. Rows keep file order; copies
 * of an entry's rows follow each other as a whole, the fraction's sample last. A pair counts as one row and stays whole. The ledger counts what is left or repeated. */
#ifndef LORAC_DATA_MIXING_H
#define LORAC_DATA_MIXING_H

#include "data/dataset.h"

/* Keeps max_rows[k] rows of entry k (0, or as many as it has: all), a sample without replacement. */
Status dataset_sample(Dataset *d, const int64_t *max_rows, uint64_t seed, Err *e);

/* Takes the rows of entry k round(weight[k] * rows) times: floor(weight) whole copies, and a sample for the rest. A weight
 * that leaves an entry without a row is an error, as are more rows than 2^31 - 1. Weights that are all 1 change nothing. */
Status dataset_mix(Arena *a, Dataset *d, const double *weight, uint64_t seed, Err *e);

#endif
