/* tokenizer_json_internal.h: what the readers of tokenizer.json share. */
#ifndef LORAC_DATA_TOKENIZER_JSON_INTERNAL_H
#define LORAC_DATA_TOKENIZER_JSON_INTERNAL_H

#include "base/json.h"
#include "data/bpe.h"
#include "data/tokenizer_json.h"

typedef struct JsonReader {
    Arena *arena;
    const char *path; /* of the file being read */
    TokenizerSpec *spec;
    TokenTable table; /* all tokens, for look-ups by text */
    TextIndex index;
    Err *e;
} JsonReader;

/* Messages name the file and the place inside it ("model.merges[3]"). */
#define BAD(r, ...) return json_reader_bad((r), __VA_ARGS__)
Status json_reader_bad(const JsonReader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For "%.*s": the first bytes of a text. */
#define SHOWN(t) (int)((t).len < 100 ? (t).len : 100), (t).s

/* Members that may be missing or null. Another type is an error. */
Status read_bool(const JsonReader *r, const Json *obj, const char *place, const char *key, bool fallback, bool *out);
Status read_string(const JsonReader *r, const Json *obj, const char *place, const char *key, TokenText *out);
bool text_is(TokenText t, const char *s);
/* Id of a token's text, or -1. */
int32_t find_token(const JsonReader *r, TokenText t);

/* Stages of tokenizer.json; a missing or null one is fine. */
Status read_normalizer(JsonReader *r, const Json *v);
Status read_pre_tokenizer(JsonReader *r, const Json *v);
Status read_decoder(JsonReader *r, const Json *v);
Status read_post_processor(JsonReader *r, const Json *v);
/* tokenizer_config.json, after all else. */
Status read_tokenizer_config(JsonReader *r, const char *path);

#endif
