/* tokenizer_open.c: checks a spec and builds the tables of a tokenizer. */
#include "data/tokenizer_internal.h"

#include "base/utf8.h"
#include "data/spm.h"

#include <stdlib.h>
#include <string.h>

typedef struct Opening {
    const TokenizerSpec *spec;
    Tokenizer *t;
    Arena *arena, *scratch;
    const AddedToken **added; /* by id; NULL: not an added token */
    bool special_first[256];  /* by byte: a special token begins with it */
    Err *e;
} Opening;

/* ---- copies and checks --------------------------------------------------------------------------------------------- */

static Status copy_text(Arena *a, TokenText from, TokenText *to, Err *e) {
    char *s = NULL;
    TRY(arena_strndup(a, from.s, from.len, &s, e));
    *to = (TokenText){s, from.len};
    return OK;
}

static bool is_utf8(TokenText t) { return utf8_valid_prefix(t.s, t.len) == t.len; }

static Status check_id(Opening *o, const char *what, int32_t id) {
    const TokenizerSpec *s = o->spec;
    if (id < -1 || (id >= 0 && (size_t)id >= s->n_tokens))
        FAIL(o->e, ERR_FORMAT, "the %s id %d is outside of the vocabulary of %zu tokens", what, id, s->n_tokens);
    if (id >= 0 && s->kinds[id] == TOKEN_ABSENT) FAIL(o->e, ERR_FORMAT, "the %s id %d has no token", what, id);
    return OK;
}

/* Steps are put in again and again: a long one would make a short text huge. */
static Status check_steps(Opening *o) {
    const TokenizerSpec *s = o->spec;
    size_t longest = s->prefix.len > s->space_to.len ? s->prefix.len : s->space_to.len;
    if (s->space_from.len > longest) longest = s->space_from.len;
    for (size_t i = 0; i < s->n_normalize; i++) {
        const NormalizeStep *n = &s->normalize[i];
        if (!is_utf8(n->from) || !is_utf8(n->to) || (n->kind == NORMALIZE_REPLACE && n->from.len == 0))
            FAIL(o->e, ERR_FORMAT, "normalizer step %zu has an empty text or is not UTF-8", i);
        if (n->from.len > longest) longest = n->from.len;
        if (n->to.len > longest) longest = n->to.len;
    }
    if (longest > TOKENIZER_STEP_BYTES_MAX)
        FAIL(o->e, ERR_FORMAT, "a replacement or prefix has %zu bytes; at most %d are supported", longest,
             TOKENIZER_STEP_BYTES_MAX);
    return OK;
}

static Status check_spec(Opening *o) {
    const TokenizerSpec *s = o->spec;
    if (s->n_tokens == 0) FAIL(o->e, ERR_FORMAT, "the vocabulary is empty");
    if (s->n_tokens > TOKENIZER_TOKENS_MAX)
        FAIL(o->e, ERR_FORMAT, "a vocabulary of %zu tokens; at most %d", s->n_tokens, TOKENIZER_TOKENS_MAX);
    if (s->n_merges >= RANK_NONE) FAIL(o->e, ERR_FORMAT, "%zu merges are too many", s->n_merges);
    TRY(check_id(o, "BOS", s->bos));
    TRY(check_id(o, "EOS", s->eos));
    TRY(check_id(o, "unknown-token", s->unk));
    TRY(check_id(o, "padding", s->pad));
    if ((s->add_bos && s->bos < 0) || (s->add_eos && s->eos < 0))
        FAIL(o->e, ERR_FORMAT, "it adds a BOS or EOS token, but names none");
    for (size_t i = 0; i < s->n_end; i++) TRY(check_id(o, "end-of-text", s->end[i]));
    return check_steps(o);
}

static Status check_added(Opening *o, const AddedToken *a, size_t i) {
    if (a->id < 0 || (size_t)a->id >= o->spec->n_tokens || o->spec->kinds[a->id] == TOKEN_ABSENT)
        FAIL(o->e, ERR_FORMAT, "added token %zu has the id %d, which is no token", i, a->id);
    if (a->content.len == 0 || a->content.len > TOKENIZER_ADDED_BYTES_MAX || !is_utf8(a->content))
        FAIL(o->e, ERR_FORMAT, "added token %d has %zu bytes; 1 to %d bytes of UTF-8", a->id, a->content.len,
             TOKENIZER_ADDED_BYTES_MAX);
    return OK;
}

/* ---- tables --------------------------------------------------------------------------------------------------------- */

static Status open_raw(Opening *o) {
    const TokenizerSpec *s = o->spec;
    uint64_t total = 0;
    uint32_t *at = NULL;
    char *bytes = NULL;
    for (size_t i = 0; i < s->n_tokens; i++) {
        if (s->kinds[i] != TOKEN_ABSENT && !is_utf8(s->tokens[i]))
            FAIL(o->e, ERR_FORMAT, "the text of token %zu is not UTF-8", i);
        total += s->kinds[i] != TOKEN_ABSENT ? s->tokens[i].len : 0;
    }
    if (total > UINT32_MAX) FAIL(o->e, ERR_FORMAT, "the tokens have more than 4 GiB of text");
    TRY(ARENA_NEW(o->arena, s->n_tokens + 1, at, o->e));
    TRY(ARENA_NEW(o->arena, total, bytes, o->e));
    for (size_t i = 0; i < s->n_tokens; i++) {
        size_t len = s->kinds[i] != TOKEN_ABSENT ? s->tokens[i].len : 0;
        if (len > 0) memcpy(bytes + at[i], s->tokens[i].s, len);
        at[i + 1] = at[i] + (uint32_t)len;
    }
    o->t->raw = (TokenTable){bytes, at, s->n_tokens};
    return OK;
}

static bool in_model(const TokenizerSpec *s, size_t id) {
    return s->kinds[id] != TOKEN_ABSENT && (s->added_only == NULL || !s->added_only[id]);
}

static Status open_indices(Opening *o) {
    Tokenizer *t = o->t;
    const TokenizerSpec *s = o->spec;
    uint8_t *hidden = NULL;
    int32_t id, other;
    TRY(index_open(o->arena, &t->raw, s->n_tokens, &t->all_texts, o->e));
    TRY(ARENA_NEW(o->arena, s->n_tokens, hidden, o->e));
    for (size_t i = 0; i < s->n_tokens; i++) hidden[i] = !in_model(s, i);
    if (!index_add_all(&t->all_texts, s->kinds, &id, &other))
        FAIL(o->e, ERR_FORMAT, "tokens %d and %d have the same text \"%.*s\"", other, id,
             (int)(s->tokens[id].len < 100 ? s->tokens[id].len : 100), s->tokens[id].s);
    t->texts = t->all_texts;
    t->texts.hidden = hidden;
    return OK;
}

/* Added tokens by id: where one id is given twice the later counts. */
static Status collect_added(Opening *o) {
    TRY(ARENA_NEW(o->scratch, o->spec->n_tokens, o->added, o->e));
    for (size_t i = 0; i < o->spec->n_added; i++) {
        TRY(check_added(o, &o->spec->added[i], i));
        o->added[o->spec->added[i].id] = &o->spec->added[i];
        TokenText text = o->spec->tokens[o->spec->added[i].id];
        if (o->spec->added[i].special && text.len > 0) o->special_first[(unsigned char)text.s[0]] = true;
    }
    return OK;
}

static Status copy_stages(Opening *o) {
    const TokenizerSpec *s = o->spec;
    Tokenizer *t = o->t;
    TRY(ARENA_NEW(o->arena, s->n_normalize, t->normalize, o->e));
    for (size_t i = 0; i < s->n_normalize; i++) {
        t->normalize[i].kind = s->normalize[i].kind;
        TRY(copy_text(o->arena, s->normalize[i].from, &t->normalize[i].from, o->e));
        TRY(copy_text(o->arena, s->normalize[i].to, &t->normalize[i].to, o->e));
    }
    t->n_normalize = s->n_normalize;
    TRY(copy_text(o->arena, s->space_from, &t->space_from, o->e));
    TRY(copy_text(o->arena, s->space_to, &t->space_to, o->e));
    TRY(copy_text(o->arena, s->prefix, &t->prefix, o->e));
    TRY(copy_text(o->arena, s->replace_from, &t->replace_from, o->e));
    TRY(copy_text(o->arena, s->chat_template, &t->chat_template, o->e));
    TRY(copy_text(o->arena, s->tool_template, &t->tool_template, o->e));
    TRY(copy_text(o->arena, s->other_templates, &t->other_templates, o->e));
    TRY(ARENA_NEW(o->arena, s->n_named, t->named, o->e));
    for (; t->n_named < s->n_named; t->n_named++) {
        TRY(copy_text(o->arena, s->named[t->n_named].name, &t->named[t->n_named].name, o->e));
        TRY(copy_text(o->arena, s->named[t->n_named].text, &t->named[t->n_named].text, o->e));
    }
    t->prefix_rule = s->prefix_rule;
    t->decode = s->decode;
    t->strip_start = s->strip_start;
    t->bos = s->bos, t->eos = s->eos, t->pad = s->pad;
    t->add_bos = s->add_bos, t->add_eos = s->add_eos;
    return pretok_compile(o->arena, s->pieces, s->n_pieces, &t->pretok, o->e);
}

static Status open_bpe(Opening *o) {
    const TokenizerSpec *s = o->spec;
    Bpe *b = &o->t->bpe;
    b->texts = &o->t->texts;
    b->byte_level = s->byte_level;
    b->byte_fallback = s->byte_fallback;
    b->fuse_unk = s->fuse_unk;
    b->unk = s->unk;
    bpe_prepare(b, &o->t->raw, s->added_only);
    if (s->byte_level && s->byte_fallback && !b->all_bytes)
        FAIL(o->e, ERR_FORMAT, "byte fallback on a byte-level vocabulary that lacks bytes is not supported");
    if (!s->by_score) return bpe_add_merges(o->arena, b, s->merges, s->n_merges, o->e);
    if (s->scores == NULL) FAIL(o->e, ERR_FORMAT, "the vocabulary has no scores");
    return spm_add_pairs(o->arena, b, &o->t->raw, s->kinds, s->scores, o->e);
}

/* ---- what an id becomes in a text ------------------------------------------------------------------------------------ */

/* A text in GPT-2's alphabet as bytes; false when a character is not of the alphabet. */
static bool letters_to_bytes(TokenText text, char *out, size_t *n) {
    *n = 0;
    for (size_t i = 0; i < text.len;) {
        uint32_t cp = 0;
        i += (size_t)utf8_decode(text.s + i, text.len - i, &cp);
        int byte = letter_byte(cp);
        if (byte < 0) return false;
        out[(*n)++] = (char)byte;
    }
    return true;
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte of "<0xHH>", or -1. Hugging Face's parser of numbers takes "+H" too. */
static int byte_token(TokenText t) {
    if (t.len != 6 || memcmp(t.s, "<0x", 3) != 0 || t.s[5] != '>') return -1;
    int hi = t.s[3] == '+' ? 0 : hex_value(t.s[3]), lo = hex_value(t.s[4]);
    return hi < 0 || lo < 0 ? -1 : hi * 16 + lo;
}

/* A table that grows by one text after the other. */
typedef struct Builder {
    Buf bytes;
    uint32_t *at;
    size_t n;
} Builder;

static Status builder_end(Builder *b, Err *e) {
    if (b->bytes.len > UINT32_MAX) FAIL(e, ERR_FORMAT, "the tokens have more than 4 GiB of text");
    b->at[++b->n] = (uint32_t)b->bytes.len;
    return OK;
}

/* The text an id stands for when decoding: an added token's normal form, or the vocabulary's text. */
static Status decoded_text(Opening *o, size_t id, Buf bufs[2], TokenText *out) {
    const AddedToken *a = o->added[id];
    *out = table_text(&o->t->raw, id);
    if (a == NULL) return OK;
    *out = a->content;
    if (!a->normalized) return OK;
    return normalize_text(o->t->normalize, o->t->n_normalize, bufs, o->scratch, a->content, false, out, o->e);
}

static Status add_piece(Opening *o, TokenText text, size_t id, Buf *out) {
    const TokenizerSpec *s = o->spec;
    size_t n = 0;
    int byte = s->decode == DECODE_PIECES && s->decode_byte_fallback ? byte_token(text) : -1;
    if (byte >= 0) {
        o->t->flags[id] |= TOKEN_IS_BYTE;
        return buf_putc(out, (char)byte, o->e);
    }
    if (s->decode == DECODE_BYTES) {
        TRY(buf_add(out, text.s, text.len, o->e));
        if (letters_to_bytes(text, out->data + out->len - text.len, &n))
            out->len -= text.len - n;
        else
            memcpy(out->data + out->len - text.len, text.s, text.len);
        return OK;
    }
    if (s->replace_from.len == 0 || s->decode == DECODE_WORDS) return buf_add(out, text.s, text.len, o->e);
    for (size_t i = 0; i < text.len;) {
        if (text.len - i >= s->replace_from.len && memcmp(text.s + i, s->replace_from.s, s->replace_from.len) == 0) {
            TRY(buf_add(out, s->replace_to.s, s->replace_to.len, o->e));
            i += s->replace_from.len;
        } else {
            TRY(buf_putc(out, text.s[i++], o->e));
        }
    }
    return OK;
}

/* Whether decoding with skip_special leaves out a token of this text: as in Hugging Face it is looked up by text. */
static bool is_special_text(const Opening *o, TokenText text) {
    if (text.len == 0 || !o->special_first[(unsigned char)text.s[0]]) return false;
    int32_t id = index_find(&o->t->all_texts, text.s, text.len);
    return id >= 0 && o->added[id] != NULL && o->added[id]->special;
}

static Status open_pieces(Opening *o) {
    Tokenizer *t = o->t;
    Builder b = {.bytes.arena = o->scratch};
    Buf bufs[2] = {{.arena = o->scratch}, {.arena = o->scratch}};
    TRY(ARENA_NEW(o->arena, t->raw.n + 1, b.at, o->e));
    for (size_t id = 0; id < t->raw.n; id++) {
        TokenText text = {"", 0};
        if (o->spec->kinds[id] != TOKEN_ABSENT) {
            t->flags[id] |= TOKEN_HAS_TEXT;
            TRY(decoded_text(o, id, bufs, &text));
            if (is_special_text(o, text)) t->flags[id] |= TOKEN_SKIPPED;
            TRY(add_piece(o, text, id, &b.bytes));
        }
        TRY(builder_end(&b, o->e));
    }
    TokenText all;
    TRY(copy_text(o->arena, (TokenText){b.bytes.len > 0 ? b.bytes.data : "", b.bytes.len}, &all, o->e));
    t->pieces = (TokenTable){all.s, b.at, t->raw.n};
    return OK;
}

/* The index of whole pieces for ignore_merges: by bytes. */
static Status open_whole(Opening *o) {
    Tokenizer *t = o->t;
    if (!o->spec->ignore_merges) return OK;
    if (!o->spec->byte_level) {
        t->bpe.whole = &t->texts;
        return OK;
    }
    t->bpe.whole = &t->whole;
    char *bytes = NULL;
    uint32_t *at = NULL;
    size_t n = 0;
    TRY(ARENA_NEW(o->arena, t->raw.at[t->raw.n], bytes, o->e));
    TRY(ARENA_NEW(o->arena, t->raw.n + 1, at, o->e));
    t->keys = (TokenTable){bytes, at, t->raw.n};
    TRY(index_open(o->arena, &t->keys, t->raw.n, &t->whole, o->e));
    for (size_t id = 0; id < t->raw.n; id++) {
        bool is_key = in_model(o->spec, id) && letters_to_bytes(table_text(&t->raw, id), bytes + at[id], &n);
        at[id + 1] = at[id] + (is_key ? (uint32_t)n : 0);
        if (is_key) index_add(&t->whole, (int32_t)id);
    }
    return OK;
}

static Status open_added(Opening *o) {
    Tokenizer *t = o->t;
    Buf bufs[2] = {{.arena = o->scratch}, {.arena = o->scratch}};
    for (size_t id = 0; id < t->raw.n; id++) {
        const AddedToken *a = o->added[id];
        if (a == NULL) continue;
        TokenText text;
        TRY(decoded_text(o, id, bufs, &text));
        if (a->special) t->flags[id] |= TOKEN_IS_SPECIAL;
        if (a->single_word) t->flags[id] |= TOKEN_SINGLE_WORD;
        if (a->lstrip) t->flags[id] |= TOKEN_LSTRIP;
        if (a->rstrip) t->flags[id] |= TOKEN_RSTRIP;
        if (text.len > 0)
            TRY(added_set_add(o->arena, a->normalized ? &t->normal_added : &t->raw_added, text, (int32_t)id, o->e));
    }
    return OK;
}

static Status open_ends(Opening *o) {
    Tokenizer *t = o->t;
    if (t->eos >= 0) t->flags[t->eos] |= TOKEN_ENDS;
    for (size_t i = 0; i < o->spec->n_end; i++)
        if (o->spec->end[i] >= 0) t->flags[o->spec->end[i]] |= TOKEN_ENDS;
    for (size_t id = 0; id < t->raw.n; id++) t->n_ends += (t->flags[id] & TOKEN_ENDS) != 0;
    TRY(ARENA_NEW(o->arena, t->n_ends, t->ends, o->e));
    size_t k = 0;
    for (size_t id = 0; id < t->raw.n; id++)
        if ((t->flags[id] & TOKEN_ENDS) != 0) t->ends[k++] = (int32_t)id;
    return OK;
}

static Status open_all(Opening *o) {
    Tokenizer *t = o->t;
    char *name = NULL;
    TRY(arena_strdup(o->arena, o->spec->name, &name, o->e));
    t->name = name;
    TRY(check_spec(o));
    TRY(open_raw(o));
    TRY(ARENA_NEW(o->arena, t->raw.n, t->flags, o->e));
    TRY(open_indices(o));
    TRY(collect_added(o));
    TRY(copy_stages(o));
    TRY(open_bpe(o));
    TRY(open_pieces(o));
    TRY(open_whole(o));
    TRY(open_added(o));
    return open_ends(o);
}

Status tokenizer_open(Arena *a, const TokenizerSpec *spec, Tokenizer **out, Err *e) {
    Opening o = {.spec = spec, .arena = a, .e = e};
    TRY(ARENA_NEW(a, 1, o.t, e));
    TRY(arena_open(&o.scratch, "tokenizer", e));
    Status st = open_all(&o);
    arena_close(o.scratch);
    if (st != OK) {
        tokenizer_close(o.t);
        return err_prefix(e, st, "%s", spec->name);
    }
    *out = o.t;
    return OK;
}

void tokenizer_close(Tokenizer *t) {
    if (t == NULL) return;
    pretok_close(t->pretok);
    t->pretok = NULL;
}
