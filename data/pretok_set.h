/* pretok_set.h: sets of code points as sorted, disjoint, non-adjacent ranges, in an arena. */
#ifndef LORAC_DATA_PRETOK_SET_H
#define LORAC_DATA_PRETOK_SET_H

#include "base/arena.h"

typedef struct CharRange {
    uint32_t first, last; /* inclusive */
} CharRange;

typedef struct CharSet {
    CharRange *ranges;
    size_t n, cap;
} CharSet;

/* Adds a range; the set is in order again only after charset_settle. */
Status charset_add(Arena *a, CharSet *s, uint32_t first, uint32_t last, Err *e);
/* Sorts and joins. */
void charset_settle(CharSet *s);
/* Adds another settled set. */
Status charset_add_set(Arena *a, CharSet *s, const CharSet *other, Err *e);
/* *out = all code points not in the settled set s; out may be s. */
Status charset_complement(Arena *a, const CharSet *s, CharSet *out, Err *e);
/* Adds every code point whose table value v (unicode.h) has a bit of `bits` set, or whose category is in `categories`
 * (bit 1 << category). */
Status charset_add_class(Arena *a, CharSet *s, uint32_t categories, unsigned bits, Err *e);
/* The 25 code points of \s. */
Status charset_add_space(Arena *a, CharSet *s, Err *e);
/* \w of Oniguruma: UNICODE_WORD without the two joiners, with the superscript digits and fractions of Latin-1. */
Status charset_add_word(Arena *a, CharSet *s, Err *e);
/* What (?i:) adds to an ASCII set: the other case, U+017F for s, U+212A for k. */
Status charset_fold(Arena *a, CharSet *s, Err *e);
bool charset_equal(const CharSet *a, const CharSet *b);

#endif
