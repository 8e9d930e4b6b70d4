/* pretok.h: divides text into the pieces that are encoded apart: a chain of splits, each inside the pieces of the one
 * before, as Hugging Face's pre-tokenizers Split and Digits do. */
#ifndef LORAC_DATA_PRETOK_H
#define LORAC_DATA_PRETOK_H

#include "data/tokenizer.h"

typedef struct Pretok Pretok;

/* Compiles the steps; read-only afterwards. ERR_FORMAT for a pattern that is not understood. */
Status pretok_compile(Arena *a, const PiecesStep *steps, size_t n, Pretok **out, Err *e);
/* The same, with PCRE2 alone where `tables` is false: what tests compare the tables with. */
Status pretok_compile_with(Arena *a, const PiecesStep *steps, size_t n, bool tables, Pretok **out, Err *e);
/* How many of the steps have a table of states (pretok_dfa.h). */
int pretok_tables(const Pretok *p);
/* Releases what the arena does not own. NULL is allowed. */
void pretok_close(Pretok *p);

/* A piece of text in bytes, not empty. */
typedef struct Piece {
    uint32_t from, to;
} Piece;

/* Buffers of one caller, in its arena, used again for every text. */
typedef struct PretokRun PretokRun;
Status pretok_begin(const Pretok *p, Arena *scratch, PretokRun **out, Err *e);

/* The pieces of text (valid UTF-8, at most TOKENIZER_TEXT_MAX bytes), in order; they stay valid until the next call.
 * ERR_DATA when a pattern needs more steps or memory than it may have on this text. */
Status pretok_split(PretokRun *r, const char *text, size_t len, const Piece **pieces, size_t *n, Err *e);

#endif
