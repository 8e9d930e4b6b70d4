/* bpe.h: byte pair encoding of one piece: characters or bytes to ids, then the adjacent pair of lowest rank merged,
 * leftmost first, until none is left. Ranks come from a list of merges, or from scores (see spm.h).
 *
 * Texts of tokens live in a TokenTable; a TextIndex finds them. Work grows as n log n in the length of a piece. */
#ifndef LORAC_DATA_BPE_H
#define LORAC_DATA_BPE_H

#include "data/piece_cache.h"
#include "data/tokenizer.h"

/* Texts by id, one after the other. */
typedef struct TokenTable {
    const char *bytes;
    const uint32_t *at; /* n + 1 offsets */
    size_t n;
} TokenTable;

static inline TokenText table_text(const TokenTable *t, size_t id) {
    return (TokenText){t->bytes + t->at[id], t->at[id + 1] - t->at[id]};
}

/* Text -> id; open addressing over a table whose texts differ. A slot is 0 (free), or half of the hash above id + 1. */
typedef struct TextIndex {
    const TokenTable *table;
    uint64_t *slots;
    uint64_t mask;
    const uint8_t *hidden; /* by id: found by nobody; NULL: none */
} TextIndex;

/* An index with room for n texts. */
Status index_open(Arena *a, const TokenTable *table, size_t n, TextIndex *out, Err *e);
/* Adds an id; returns the id already there with the same text, or -1. */
int32_t index_add(TextIndex *x, int32_t id);
/* Adds all ids of the table whose kind (TokenKind) is not TOKEN_ABSENT. False: *id has the text of *other, which came first. */
bool index_add_all(TextIndex *x, const uint8_t *kinds, int32_t *id, int32_t *other);
int32_t index_find(const TextIndex *x, const char *s, size_t len); /* -1: none */

enum { RANK_NONE = UINT32_MAX };

typedef struct PairEntry {
    int32_t left, right; /* left -1: free */
    uint32_t rank;
    int32_t id; /* of the merged token */
} PairEntry;

typedef struct PairTable {
    PairEntry *slots;
    uint64_t mask;
} PairTable;

Status pairs_open(Arena *a, size_t n, PairTable *out, Err *e);
/* Adds or replaces. */
void pairs_put(PairTable *t, PairEntry p);

typedef struct Bpe {
    PairTable pairs;
    const TextIndex *texts; /* of the model's own vocabulary, as written in the file */
    bool byte_level, byte_fallback, fuse_unk;
    int32_t unk;
    int32_t byte_ids[256];  /* byte_level: of the byte's letter; else of "<0xHH>"; -1: none */
    int32_t ascii_ids[128]; /* not byte_level: of the character */
    bool all_bytes;         /* byte_fallback: all 256 exist */
    /* Not byte_level: the text may be cut between two characters that are tokens when no token has them side by side. Before the
     * character `mark` that is so unless the character before is one of `glue` (mark 0: never); between two of ASCII, unless
     * the bit `second` of joined[first] is set. */
    uint32_t mark, glue[64];
    size_t n_glue;
    uint64_t joined[128][2];
    const TextIndex *whole; /* ignore_merges: pieces that are tokens, by their bytes; NULL: none */
} Bpe;

/* Buffers of one caller, in its arena. */
typedef struct BpeWork {
    Arena *arena;
    int32_t *ids; /* the result */
    size_t n, cap;
    uint32_t *rank; /* long pieces: by position */
    int32_t *merged, *prev, *next;
    uint64_t *heap;
    size_t cap_rank, cap_merged, cap_prev, cap_next, cap_heap, n_heap;
    PieceCache *cache; /* NULL: nothing is kept */
} BpeWork;

/* The letter of GPT-2's alphabet for a byte, as a code point; and back (-1: not a letter of the alphabet). */
uint32_t byte_letter(uint8_t byte);
int letter_byte(uint32_t cp);

/* Fills the character and byte ids, mark, glue and joined; texts, pairs, flags and unk must be set. added_only as in the spec. */
void bpe_prepare(Bpe *b, const TokenTable *raw, const uint8_t *added_only);
/* The list of merges as pairs; a merge given twice counts with its later rank. ERR_FORMAT: a part or the whole is no
 * token of the vocabulary. */
Status bpe_add_merges(Arena *a, Bpe *b, const TokenMerge *merges, size_t n, Err *e);
/* Appends the ids of one piece (not empty) to w->ids. */
Status bpe_encode(const Bpe *b, BpeWork *w, const char *piece, size_t len, Err *e);

#endif
