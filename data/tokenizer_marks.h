/* tokenizer_marks.h: which tokens of a text have bytes in given ranges, through all stages of the tokenizer.
 *
 * Ranges are positions in a text. Each stage makes another text of it, and a level holds the ranges as positions in that text.
 * Stages change a text piece by piece, so that a position's place is the changed length of what is before it; only a
 * character composed across the edge of a range (NFC) lies a few bytes off. */
#ifndef LORAC_DATA_TOKENIZER_MARKS_H
#define LORAC_DATA_TOKENIZER_MARKS_H

#include "data/tokenizer_internal.h"

/* Ranges of the text that begins at base, ascending, disjoint, not empty; asked from front to back. */
typedef struct MarkLevel {
    const char *base;
    TextRange *ranges;
    size_t n, at;
} MarkLevel;

/* Whether positions [from, to) meet a range; from never goes back. */
static inline bool level_meets(MarkLevel *l, size_t from, size_t to) {
    while (l->at < l->n && l->ranges[l->at].end <= from) l->at++;
    return l->at < l->n && l->ranges[l->at].begin < to;
}

/* The changed length of a piece of text; `first`: it is the beginning. */
typedef Status (*MarkLength)(void *ctx, TokenText piece, bool first, size_t *length, Err *e);

/* The ranges of `parent` in `text`, which lies in the parent's, as positions in what became of it, which begins at `base`.
 * length NULL: nothing was changed. */
Status level_below(Arena *a, MarkLevel *parent, TokenText text, const char *base, MarkLength length, void *ctx,
                   MarkLevel *out, Err *e);

/* marks[0..n) of the ids that a piece at [from, to) became: by the bytes of each, or all alike where these are not the piece's. marks
 * are 0 before. */
void level_mark_piece(const Tokenizer *t, MarkLevel *l, size_t from, size_t to, const int32_t *ids, uint8_t *marks,
                      size_t n);

#endif
