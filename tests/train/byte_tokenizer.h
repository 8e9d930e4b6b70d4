/* byte_tokenizer.h: a tokenizer of 256 bytes and the special tokens that a test names: any template's end tokens can be had, and
 * token i of a text without special tokens is byte i. */
#ifndef LORAC_TESTS_TRAIN_BYTE_TOKENIZER_H
#define LORAC_TESTS_TRAIN_BYTE_TOKENIZER_H

#include "data/tokenizer.h"

#include <stdio.h>
#include <string.h>

enum { BYTE_TOKENS = 256, BYTE_TOKENIZER_SPECIALS = 512 };

typedef struct ByteTokenizer {
    const char *bos; /* NULL: none */
    bool add_bos;
    size_t n_ends;     /* the first is EOS */
    const char **ends; /* special tokens that end generation */
    size_t n_specials;
    const char **specials; /* further ones; those already given are left out */
} ByteTokenizer;

typedef struct ByteTokens {
    TokenText text[BYTE_TOKENS + BYTE_TOKENIZER_SPECIALS];
    uint8_t kind[BYTE_TOKENS + BYTE_TOKENIZER_SPECIALS];
    AddedToken added[BYTE_TOKENIZER_SPECIALS];
    int32_t end[BYTE_TOKENIZER_SPECIALS];
    char bytes[BYTE_TOKENS][8];
    size_t n;
} ByteTokens;

static inline int32_t byte_tokens_add(ByteTokens *b, const char *s) {
    size_t i = BYTE_TOKENS;
    while (i < b->n && (b->text[i].len != strlen(s) || memcmp(b->text[i].s, s, strlen(s)) != 0)) i++;
    if (i == b->n && i - BYTE_TOKENS < BYTE_TOKENIZER_SPECIALS) {
        b->text[i] = (TokenText){s, strlen(s)};
        b->kind[i] = TOKEN_CONTROL;
        b->added[i - BYTE_TOKENS] = (AddedToken){.id = (int32_t)i, .content = b->text[i], .special = true};
        b->n++;
    }
    return i < b->n ? (int32_t)i : -1;
}

static inline Status byte_tokenizer_open(Arena *a, const ByteTokenizer *want, Tokenizer **out, Err *e) {
    ByteTokens *b;
    size_t n_end = 0;
    TRY(ARENA_NEW(a, 1, b, e));
    for (int i = 0; i < BYTE_TOKENS; i++) {
        snprintf(b->bytes[i], sizeof b->bytes[i], "<0x%02X>", (unsigned)i);
        b->text[i] = (TokenText){b->bytes[i], 6};
        b->kind[i] = TOKEN_BYTE;
    }
    b->n = BYTE_TOKENS;
    int32_t bos = want->bos != NULL ? byte_tokens_add(b, want->bos) : -1;
    for (size_t i = 0; i < want->n_ends; i++) b->end[n_end++] = byte_tokens_add(b, want->ends[i]);
    for (size_t i = 0; i < want->n_specials; i++)
        if (want->specials[i][0] != 0) byte_tokens_add(b, want->specials[i]);
    TokenizerSpec spec = {.name = "bytes",
                          .n_tokens = b->n,
                          .tokens = b->text,
                          .kinds = b->kind,
                          .n_added = b->n - BYTE_TOKENS,
                          .added = b->added,
                          .byte_fallback = true,
                          .decode = DECODE_PIECES,
                          .decode_byte_fallback = true,
                          .bos = bos,
                          .eos = n_end > 0 ? b->end[0] : -1,
                          .unk = -1,
                          .pad = -1,
                          .add_bos = want->add_bos,
                          .n_end = n_end,
                          .end = b->end};
    return tokenizer_open(a, &spec, out, e);
}

#endif
