/* tokenizer_json_scan.h: the two large lists of a tokenizer.json without a tree of them: model.vocab and model.merges.
 *
 * A file of hundreds of thousands of tokens and merges is read several times as fast so. Only lists as the files really have them
 * are taken; at anything else (a number with a sign, a wrong type, bytes that are no UTF-8 ...) the scan gives up, and whoever asked
 * reads the whole file strictly, which accepts it or says what is wrong and where. */
#ifndef LORAC_DATA_TOKENIZER_JSON_SCAN_H
#define LORAC_DATA_TOKENIZER_JSON_SCAN_H

#include "base/buf.h"
#include "data/tokenizer.h"

typedef struct ModelLists {
    TokenText *tokens; /* of model.vocab, in the order of the file */
    int64_t *ids;
    size_t n_tokens;
    TokenMerge *merges;
    size_t n_merges;
} ModelLists;

/* Splits "left right" at its one space; false: it has none, or several. */
bool split_merge(TokenText text, TokenMerge *out);

/* Takes the lists out of the text of a file; texts point into it or lie in the arena. rest becomes the file with both lists empty: it
 * is valid JSON exactly when the file is, but for keys that stand twice in the vocabulary. *good is false when the scan gave up.
 * ERR_OOM alone. */
Status scan_model_lists(Arena *a, const char *text, size_t len, ModelLists *out, Buf *rest, bool *good, Err *e);

#endif
