/* tiny_tokenizer.h: a tokenizer of single letters with SentencePiece's mark for spaces, so that a continuation differs from a
 * beginning, and rows as text. */
#ifndef LORAC_TESTS_DATA_TINY_TOKENIZER_H
#define LORAC_TESTS_DATA_TINY_TOKENIZER_H

#include "tests/data/rows_file.h"

#include "data/dataset.h"
#include "data/tokenizer.h"

#include <string.h>

enum { UNK = 0, BOS = 1, END = 2, MARK = 3, LETTER = 4, STOP = LETTER + 26, N_TOKENS = STOP + 1 };

static inline TokenText text_of(const char *s) { return (TokenText){.s = s, .len = strlen(s)}; }

/* <unk> <s> </s> ▁ a..z <stop> */
static inline Tokenizer *tiny(bool add_bos, int32_t eos) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    static const uint8_t kinds[N_TOKENS] = {[UNK] = TOKEN_UNKNOWN,
                                            [BOS] = TOKEN_CONTROL,
                                            [END] = TOKEN_CONTROL,
                                            [MARK... STOP - 1] = TOKEN_NORMAL,
                                            [STOP] = TOKEN_CONTROL};
    TokenText tokens[N_TOKENS] = {text_of("<unk>"), text_of("<s>"), text_of("</s>"), text_of("\xE2\x96\x81")};
    for (int i = 0; i < 26; i++) tokens[LETTER + i] = (TokenText){.s = &letters[i], .len = 1};
    tokens[STOP] = text_of("<stop>");
    const AddedToken added[] = {{.id = BOS, .content = tokens[BOS], .special = true},
                                {.id = END, .content = tokens[END], .special = true},
                                {.id = STOP, .content = tokens[STOP], .special = true}};
    TokenizerSpec spec = {.name = "tiny",
                          .n_tokens = N_TOKENS,
                          .tokens = tokens,
                          .kinds = kinds,
                          .n_added = 3,
                          .added = added,
                          .prefix_rule = PREFIX_EVERY_PIECE,
                          .space_from = text_of(" "),
                          .space_to = tokens[MARK],
                          .prefix = tokens[MARK],
                          .decode = DECODE_PIECES,
                          .bos = BOS,
                          .eos = eos,
                          .unk = UNK,
                          .pad = -1,
                          .add_bos = add_bos};
    Tokenizer *t;
    Err e;
    ASSERT_OK(tokenizer_open(arena, &spec, &t, &e), e);
    return t;
}

/* "ids" of a text where _ is the mark, ^ BOS, $ the end token, ! the stop token; trained ones follow a '. */
static inline const char *image(const Dataset *d, int64_t row) {
    static char out[512];
    size_t at = 0;
    const DataRow *r = &d->rows[row];
    for (int64_t i = r->start; i < r->start + r->length; i++) {
        int32_t id = d->ids[i];
        if (d->trained[i]) out[at++] = '\'';
        out[at++] = id == BOS    ? '^'
                    : id == END  ? '$'
                    : id == MARK ? '_'
                    : id == STOP ? '!'
                    : id == UNK  ? '?'
                                 : (char)('a' + id - LETTER);
    }
    out[at] = 0;
    return out;
}

#endif
