/* bpe_merge.h: the merge loop of bpe.c. */
#ifndef LORAC_DATA_BPE_MERGE_H
#define LORAC_DATA_BPE_MERGE_H

#include "data/bpe.h"

static inline uint64_t pair_hash(int32_t left, int32_t right) {
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    return h ^ h >> 29;
}

/* Merges w->ids[from..n) in place and sets w->n behind what is left. */
Status bpe_merge(const Bpe *b, BpeWork *w, size_t from, Err *e);

#endif
