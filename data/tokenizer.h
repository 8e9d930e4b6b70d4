/* tokenizer.h: text to token ids and back, with the ids Hugging Face `tokenizers` gives.
 *
 * Two families of byte pair encoding: byte-level (GPT-2, Llama 3, Qwen, DeepSeek ...) and SentencePiece-style with byte
 * fallback (Llama 2, Mistral, Gemma). What a tokenizer is, is plain data (TokenizerSpec), filled from a tokenizer.json by
 * tokenizer_json.h or from GGUF metadata by the program; tokenizer_open checks it and builds the tables. An open
 * tokenizer is never written to again: any number of threads may use one, each with its own arena.
 * Input is strict UTF-8: invalid bytes are an error naming their offset, never replaced. Decoding gives valid UTF-8:
 * bytes that are none become U+FFFD as in Hugging Face (see tokenizer_decode). Texts are at most TOKENIZER_TEXT_MAX bytes;
 * the work grows as n log n with the text, whatever it holds. Refused: stages whose meaning is not supported, by name. */
#ifndef LORAC_DATA_TOKENIZER_H
#define LORAC_DATA_TOKENIZER_H

#include "base/arena.h"

enum {
    TOKENIZER_TEXT_MAX = 1 << 28,
    TOKENIZER_TOKENS_MAX = 1 << 24,
    TOKENIZER_ADDED_BYTES_MAX = 1024,
    TOKENIZER_STEP_BYTES_MAX = 256 /* each text of a normalizer step, of the spaces' replacement, and the prefix */
};

/* ---- what a tokenizer is ----------------------------------------------------------------------------------------- */

/* Bytes that need not end in NUL; the owner of a spec keeps them valid until tokenizer_open has returned. */
typedef struct TokenText {
    const char *s;
    size_t len;
} TokenText;

/* The numbers are GGUF's (tokenizer.ggml.token_type); TOKEN_ABSENT is a hole in the ids. */
typedef enum TokenKind {
    TOKEN_ABSENT = 0,
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN = 2,
    TOKEN_CONTROL = 3,
    TOKEN_USER_DEFINED = 4,
    TOKEN_UNUSED = 5,
    TOKEN_BYTE = 6
} TokenKind;

/* A token found in the text before anything else happens to it. normalized: matched (as its own normal form) after the
 * normalizer instead of before. special: left out by decoding with skip_special, and not matched without
 * TOKENIZER_SPECIAL. lstrip/rstrip: takes the whitespace beside it. single_word: only between non-word characters. */
typedef struct AddedToken {
    int32_t id;
    TokenText content;
    bool single_word, lstrip, rstrip, normalized, special;
} AddedToken;

typedef struct TokenMerge {
    TokenText left, right; /* rank = index in the list */
} TokenMerge;

typedef enum NormalizeKind { NORMALIZE_NFC, NORMALIZE_PREPEND, NORMALIZE_REPLACE } NormalizeKind;
/* PREPEND puts `to` before every piece of text that is not empty; REPLACE puts `to` for every `from` (not empty). */
typedef struct NormalizeStep {
    NormalizeKind kind;
    TokenText from, to;
} NormalizeStep;

/* PIECES_SPLIT: by a regex (or the literal text, when `literal`); PIECES_DIGITS: every numeric character alone, or, with
 * behavior SPLIT_CONTIGUOUS, runs of them. */
typedef enum PiecesKind { PIECES_SPLIT, PIECES_DIGITS } PiecesKind;
typedef enum SplitBehavior {
    SPLIT_ISOLATED,
    SPLIT_REMOVED,
    SPLIT_MERGED_WITH_PREVIOUS,
    SPLIT_MERGED_WITH_NEXT,
    SPLIT_CONTIGUOUS
} SplitBehavior;
typedef struct PiecesStep {
    PiecesKind kind;
    SplitBehavior behavior;
    TokenText pattern;
    bool literal, invert;
} PiecesStep;

/* A prefix before the text, other than NORMALIZE_PREPEND (which knows no exception): put where the text does not begin
 * with it already, before every piece between added tokens or only at the very start of the input. */
typedef enum PrefixRule { PREFIX_NONE, PREFIX_EVERY_PIECE, PREFIX_FIRST_ONLY } PrefixRule;

/* How ids become text. BYTES: the byte-level alphabet back to bytes. PIECES: replace_from -> replace_to in each token,
 * then, with byte_fallback, "<0xHH>" tokens become bytes, then strip_start spaces go from the start. METASPACE: as PIECES,
 * but the first token loses every replace_from when strip_start is set. WORDS: tokens with a space between. */
typedef enum DecodeKind { DECODE_BYTES, DECODE_PIECES, DECODE_METASPACE, DECODE_WORDS } DecodeKind;

/* A token that a config gives a name: "image_token". Templates see it under this name. */
typedef struct NamedToken {
    TokenText name, text;
} NamedToken;

typedef struct TokenizerSpec {
    const char *name; /* the file, for messages */
    size_t n_tokens;  /* ids 0..n_tokens-1 */
    const TokenText *tokens;
    const uint8_t *kinds;      /* TokenKind by id */
    const uint8_t *added_only; /* by id: not in the model's own vocabulary; NULL: none */
    const float *scores;       /* by id; with by_score */
    size_t n_merges;
    const TokenMerge *merges;
    size_t n_added;
    const AddedToken *added;
    size_t n_normalize;
    const NormalizeStep *normalize;
    TokenText space_from, space_to; /* replaced between added tokens (Metaspace); from.len 0: nothing */
    PrefixRule prefix_rule;         /* then prefix is put before the text */
    TokenText prefix;
    size_t n_pieces;
    const PiecesStep *pieces;
    bool byte_level;    /* tokens and merges are written in GPT-2's byte alphabet */
    bool by_score;      /* merges follow from tokens and scores (SentencePiece, GGUF "llama") instead of a list */
    bool ignore_merges; /* a piece that is a token is taken whole */
    bool byte_fallback; /* characters without token become "<0xHH>" tokens */
    bool fuse_unk;
    DecodeKind decode;
    TokenText replace_from, replace_to;
    bool decode_byte_fallback;
    int strip_start;
    int32_t bos, eos, unk, pad; /* ids, -1: none. unk is the model's (BPE), not a name in a config */
    bool add_bos, add_eos;
    size_t n_end; /* further ids that end generation (eos is one anyway) */
    const int32_t *end;
    TokenText chat_template;   /* len 0: none */
    TokenText tool_template;   /* the one named tool_use, for conversations with tools; len 0: none */
    TokenText other_templates; /* names of those a model without a default template has, for messages */
    size_t n_named;
    const NamedToken *named; /* a later one of the same name counts */
} TokenizerSpec;

/* Fills the stages of a GGUF "gpt2" tokenizer from tokenizer.ggml.pre (NULL: the key is missing): pieces, normalizer,
 * ignore_merges, byte_level, decode, and add_bos's default. ERR_FORMAT for an unknown name lists the known ones. */
Status tokenizer_spec_pre(TokenizerSpec *spec, const char *pre, Err *e);
/* Whether a GGUF tokenizer of this tokenizer.ggml.model is by scores ("llama") or by merges ("gpt2"); ERR_FORMAT for others,
 * naming `file`. */
Status tokenizer_spec_kind(TokenText model, const char *file, bool *by_score, Err *e);
/* The stages of a GGUF "llama" tokenizer: scores, byte fallback, U+2581 for spaces, a prefix when asked for. */
void tokenizer_spec_spm(TokenizerSpec *spec, bool add_space_prefix);
/* Whether an added token of a GGUF model takes the whitespace behind it, which the file does not say: for models of this
 * name (general.name) whose tokenizer.json sets rstrip. */
bool token_takes_space(TokenText model_name, TokenText token);
/* Whether a token with this text ends generation in some model family ("<|im_end|>", "<|eot_id|>" ...). */
bool token_ends_generation(TokenText text);

/* ---- the open tokenizer ------------------------------------------------------------------------------------------- */

typedef struct Tokenizer Tokenizer;

/* Checks the spec and builds the tables in the arena (the spec may go afterwards). ERR_FORMAT: ids out of range, a token
 * given twice, merges that name no token, scores that are no numbers, a bad pattern ... */
Status tokenizer_open(Arena *a, const TokenizerSpec *spec, Tokenizer **out, Err *e);
/* Releases compiled patterns (the rest is the arena's). NULL is allowed; leaving it out leaks a few pages until exit. */
void tokenizer_close(Tokenizer *t);

enum {
    TOKENIZER_SPECIAL = 1, /* special tokens written in the text are taken as such; without it only the added tokens
                                   that are not special match */
    TOKENIZER_CONTINUATION = 2, /* the text goes on after other text: no prefix at its start (and give no BOS flag) */
    TOKENIZER_BOS = 4,          /* BOS first iff the model wants one, unless the text itself begins with it */
    TOKENIZER_BOS_ALWAYS = 8,   /* BOS first; ERR_DATA when there is none */
    TOKENIZER_EOS = 16          /* EOS last; ERR_DATA when there is none */
};

/* ids of text, in the arena. ERR_DATA: invalid UTF-8 ("invalid UTF-8 at byte 17"), text too long; the caller puts
 * FILE:LINE in front. Thread-safe. */
Status tokenizer_encode(const Tokenizer *t, Arena *a, const char *text, size_t len, unsigned flags, int32_t **ids,
                        size_t *n, Err *e);

/* Bytes begin .. end of a text. */
typedef struct TextRange {
    size_t begin, end;
} TextRange;

/* As tokenizer_encode; marked[i] is 1 where token i has a byte in one of the ranges (ascending, disjoint, inside the text; an
 * edge inside of a character moves outwards), else 0. A token found in the text (added) has its own bytes, not the whitespace that it takes; one before which a prefix
 * was put has the prefix too. BOS and EOS that were not in the text are in no range. */
Status tokenizer_encode_marked(const Tokenizer *t, Arena *a, const char *text, size_t len, unsigned flags,
                               const TextRange *ranges, size_t n_ranges, int32_t **ids, uint8_t **marked, size_t *n,
                               Err *e);

/* What one thread keeps from call to call: buffers, and the ids of short pieces of text met before, about 1 MB and never more than 16.
 * Rows of a few hundred bytes are encoded several times as fast with it as by calls of their own; what they give is the same. For
 * one thread at a time; the tokenizer must outlive it. */
typedef struct TokenizerCache TokenizerCache;
Status tokenizer_cache_open(TokenizerCache **out, const Tokenizer *t, Err *e);
void tokenizer_cache_close(TokenizerCache *c); /* NULL is allowed */
/* As tokenizer_encode and tokenizer_encode_marked; ids lie in the arena given. */
Status tokenizer_cache_encode(TokenizerCache *c, Arena *a, const char *text, size_t len, unsigned flags, int32_t **ids,
                              size_t *n, Err *e);
Status tokenizer_cache_encode_marked(TokenizerCache *c, Arena *a, const char *text, size_t len, unsigned flags,
                                     const TextRange *ranges, size_t n_ranges, int32_t **ids, uint8_t **marked,
                                     size_t *n, Err *e);

/* Text of ids, in the arena, NUL added. Ids that are no token are left out, as in Hugging Face. Byte-level: bytes that
 * are no UTF-8 become U+FFFD, one per maximal prefix of a character (a cut 3-byte sequence gives one). Byte fallback:
 * a run of byte tokens that is no UTF-8 as a whole becomes one U+FFFD per byte. Thread-safe. */
Status tokenizer_decode(const Tokenizer *t, Arena *a, const int32_t *ids, size_t n, bool skip_special, char **text,
                        size_t *len, Err *e);

/* The raw bytes one id adds to a text, for printing while generating; the bytes belong to the tokenizer. first: nothing
 * was printed before (the prefix space is left out). A character may be spread over ids: the caller holds back an
 * incomplete tail. special (or unknown) ids with skip_special give 0 bytes. */
TokenText tokenizer_piece(const Tokenizer *t, int32_t id, bool first, bool skip_special);

size_t tokenizer_vocab_size(const Tokenizer *t);
int32_t tokenizer_bos(const Tokenizer *t); /* -1: none */
int32_t tokenizer_eos(const Tokenizer *t);
int32_t tokenizer_pad(const Tokenizer *t);
int32_t tokenizer_unk(const Tokenizer *t);
bool tokenizer_adds_bos(const Tokenizer *t);
bool tokenizer_adds_eos(const Tokenizer *t);
/* Whether generation ends with this id. */
bool tokenizer_is_end(const Tokenizer *t, int32_t id);
/* All such ids, ascending. */
const int32_t *tokenizer_ends(const Tokenizer *t, size_t *n);
/* The token as written in the vocabulary (len 0 for a hole). */
TokenText tokenizer_token(const Tokenizer *t, int32_t id);
bool tokenizer_is_special(const Tokenizer *t, int32_t id);
/* The id of a token as written in the vocabulary or as an added token, or -1. */
int32_t tokenizer_find(const Tokenizer *t, const char *text, size_t len);
/* The model's chat templates; len 0: none. tool: the one for conversations with tools, where it is another. others: where there
 * is no default, the names of those there are ("rag, tool_use"). */
TokenText tokenizer_chat_template(const Tokenizer *t);
TokenText tokenizer_tool_template(const Tokenizer *t);
TokenText tokenizer_other_templates(const Tokenizer *t);
/* What the config names; of two of the same name the later counts. */
const NamedToken *tokenizer_named(const Tokenizer *t, size_t *n);

#endif
