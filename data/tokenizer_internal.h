/* tokenizer_internal.h: what the files of the tokenizer share. Nothing else includes it.
 *
 * The way of a text (tokenizer_encode.c): added tokens that match raw text are cut out; each piece between is normalized;
 * added tokens that match normalized text are cut out; spaces are replaced and a prefix put (Metaspace, ByteLevel); the
 * rest is divided into pieces (pretok.h) and each is encoded (bpe.h). */
#ifndef LORAC_DATA_TOKENIZER_INTERNAL_H
#define LORAC_DATA_TOKENIZER_INTERNAL_H

#include "base/buf.h"
#include "data/bpe.h"
#include "data/pretok.h"

/* A trie over the bytes of added tokens; node 0 is "none". */
typedef struct TrieNode {
    uint32_t child, sibling;
    int32_t id; /* a token ends here; -1: none */
    uint8_t byte;
} TrieNode;

typedef struct AddedSet {
    uint32_t root[256]; /* by first byte */
    TrieNode *nodes;
    size_t n, cap;
} AddedSet;

Status added_set_add(Arena *a, AddedSet *s, TokenText text, int32_t id, Err *e);

/* Flags of an id. */
enum {
    TOKEN_HAS_TEXT = 1, /* not a hole */
    TOKEN_SKIPPED = 2,  /* left out by decoding with skip_special */
    TOKEN_IS_BYTE = 4,  /* "<0xHH>" under byte fallback; its piece is that byte */
    TOKEN_ENDS = 8,
    TOKEN_IS_SPECIAL = 16,
    TOKEN_SINGLE_WORD = 32, /* of the added token: */
    TOKEN_LSTRIP = 64,
    TOKEN_RSTRIP = 128
};

struct Tokenizer {
    const char *name;
    TokenTable raw;      /* as written in the vocabulary */
    TokenTable pieces;   /* the bytes each adds to a text */
    TokenTable keys;     /* ignore_merges with byte_level: the bytes of model tokens; else equal to raw */
    uint8_t *flags;      /* by id */
    TextIndex all_texts; /* raw, all tokens */
    TextIndex texts;     /* raw, the model's own */
    TextIndex whole;     /* keys; for ignore_merges */
    AddedSet raw_added, normal_added;
    NormalizeStep *normalize;
    size_t n_normalize;
    TokenText space_from, space_to, prefix;
    PrefixRule prefix_rule;
    Pretok *pretok;
    Bpe bpe;
    DecodeKind decode;
    TokenText replace_from;
    int strip_start;
    int32_t bos, eos, pad;
    bool add_bos, add_eos;
    int32_t *ends;
    size_t n_ends;
    TokenText chat_template, tool_template, other_templates;
    NamedToken *named;
    size_t n_named;
};

/* The normalizer on one piece of text; *out is text itself where nothing changes, else it lies in one of the buffers.
 * no_prefix: NORMALIZE_PREPEND does nothing (the text goes on after other text). */
Status normalize_text(const NormalizeStep *steps, size_t n, Buf bufs[2], Arena *scratch, TokenText text, bool no_prefix,
                      TokenText *out, Err *e);

#endif
