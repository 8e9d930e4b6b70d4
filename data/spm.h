/* spm.h: merges of a SentencePiece vocabulary, which lists scores instead: two neighbours merge when their texts joined are
 * a token, and the joined token of highest score goes first. */
#ifndef LORAC_DATA_SPM_H
#define LORAC_DATA_SPM_H

#include "data/bpe.h"

enum { SPM_TOKEN_BYTES_MAX = 256 };

/* Fills b->pairs from every way to cut a token in two tokens; b->texts must be set. Tokens of equal score share a rank (the
 * leftmost wins). User-defined tokens come before all others, longer ones first: SentencePiece takes them whole before it
 * merges anything. ERR_FORMAT: a score that is no number, a normal token of more than SPM_TOKEN_BYTES_MAX bytes. */
Status spm_add_pairs(Arena *a, Bpe *b, const TokenTable *raw, const uint8_t *kinds, const float *scores, Err *e);

#endif
