/* sampling.h: choosing the next token from logits. */
#ifndef LORAC_TRAIN_SAMPLING_H
#define LORAC_TRAIN_SAMPLING_H

#include "base/arena.h"

/* temperature 0: greedy (the lowest id on ties), the other members are then not read. Else the logits are divided by the
 * temperature and the choice is cut, in this order: top_k most likely (0: all), top_p (smallest set whose probability
 * reaches it; 1: all), min_p (probability at least min_p times the largest; 0: all); then one draw. */
typedef struct Sampling {
    double temperature, top_p, min_p;
    int64_t top_k;
    uint64_t seed;
} Sampling;

typedef struct Sampler Sampler;

/* Memory for a vocabulary of V in the arena. */
Status sampler_open(Arena *a, const Sampling *s, int64_t V, Sampler **out, Err *e);

/* The token for step `position` (the draw is Philox of (seed, position): the same inputs give the same token). Logits
 * that hold NaN are ERR_DATA. */
Status sampler_next(Sampler *s, const float *logits, int64_t position, int32_t *token, Err *e);

#endif
