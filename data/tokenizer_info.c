/* tokenizer_info.c: what can be asked of an open tokenizer. */
#include "data/tokenizer_internal.h"

size_t tokenizer_vocab_size(const Tokenizer *t) { return t->raw.n; }

int32_t tokenizer_bos(const Tokenizer *t) { return t->bos; }

int32_t tokenizer_eos(const Tokenizer *t) { return t->eos; }

int32_t tokenizer_pad(const Tokenizer *t) { return t->pad; }

int32_t tokenizer_unk(const Tokenizer *t) { return t->bpe.unk; }

bool tokenizer_adds_bos(const Tokenizer *t) { return t->add_bos; }

bool tokenizer_adds_eos(const Tokenizer *t) { return t->add_eos; }

static bool has(const Tokenizer *t, int32_t id, unsigned flag) {
    return id >= 0 && (size_t)id < t->raw.n && (t->flags[id] & flag) != 0;
}

bool tokenizer_is_end(const Tokenizer *t, int32_t id) { return has(t, id, TOKEN_ENDS); }

bool tokenizer_is_special(const Tokenizer *t, int32_t id) { return has(t, id, TOKEN_IS_SPECIAL); }

const int32_t *tokenizer_ends(const Tokenizer *t, size_t *n) {
    *n = t->n_ends;
    return t->ends;
}

TokenText tokenizer_token(const Tokenizer *t, int32_t id) {
    return has(t, id, TOKEN_HAS_TEXT) ? table_text(&t->raw, (size_t)id) : (TokenText){"", 0};
}

int32_t tokenizer_find(const Tokenizer *t, const char *text, size_t len) {
    return index_find(&t->all_texts, text, len);
}

TokenText tokenizer_chat_template(const Tokenizer *t) { return t->chat_template; }

TokenText tokenizer_tool_template(const Tokenizer *t) { return t->tool_template; }
const NamedToken *tokenizer_named(const Tokenizer *t, size_t *n) {
    *n = t->n_named;
    return t->named;
}

TokenText tokenizer_other_templates(const Tokenizer *t) { return t->other_templates; }
