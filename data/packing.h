/* packing.h: which rows share a bin.
 *
 * A bin holds at most `capacity` tokens; a row is never split. All three ways are functions of the lengths alone, take
 * O(n log n) time or less and memory proportional to n + capacity. */
#ifndef LORAC_DATA_PACKING_H
#define LORAC_DATA_PACKING_H

#include "base/arena.h"

typedef struct Packing {
    int64_t n_bins;
    int64_t *first; /* (n_bins+1) bin b holds rows[first[b] .. first[b+1]) */
    int32_t *rows;  /* (n) indices of rows, in the order in which they lie in their bin */
} Packing;

/* Best fit decreasing: rows from the longest to the shortest (equal ones in order), each into the open bin with the least
 * room that is enough, else into a new bin. Every length must be in 1..capacity (CHECK). */
Status packing_best_fit(Arena *a, const int32_t *length, int64_t n, int64_t capacity, Packing *out, Err *e);
/* Next fit: rows in order; a row that does not fit into the last bin begins a new one. A row longer than capacity has a
 * bin of its own. */
Status packing_next_fit(Arena *a, const int32_t *length, int64_t n, int64_t capacity, Packing *out, Err *e);
/* Every row its own bin, in order. */
Status packing_single(Arena *a, int64_t n, Packing *out, Err *e);

#endif
