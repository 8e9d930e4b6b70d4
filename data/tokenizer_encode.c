/* tokenizer_encode.c: text to ids; the stages are listed in tokenizer_internal.h. */
#include "data/tokenizer_marks.h"

#include "base/utf8.h"
#include "data/unicode.h"

#include <string.h>

/* What a cache may hold on to between two calls: a huge text's buffers go. */
enum { KEEP_BYTES = 16 << 20, LONG_TEXT = 1 << 16 /* a call alone keeps pieces from there on */ };

struct TokenizerCache {
    const Tokenizer *t;
    Arena *keep;    /* what stays from call to call */
    Arena *scratch; /* of this call */
    ArenaMark start;
    PieceCache pieces;
    PretokRun *pretok;
    BpeWork work;  /* holds the ids */
    Buf normal[2]; /* normalizer */
    Buf spaced[2], prefixed;
    Buf part[2];    /* of marking: a part of a text, normalized */
    MarkLevel *raw; /* of marking: ranges of the whole text; NULL: nothing is marked */
    uint8_t *marks; /* of marking: one an id, as far as known; of the others 0 */
    size_t n_marks, cap_marks;
    bool special; /* special tokens match */
    bool goes_on; /* TOKENIZER_CONTINUATION */
    Err *e;
};
typedef TokenizerCache Encoder;

static Status add_id(Encoder *c, int32_t id) {
    BpeWork *w = &c->work;
    if (w->n == w->cap) TRY(arena_grow(c->keep, &w->ids, &w->cap, w->n, w->n + 1, sizeof id, c->e));
    w->ids[w->n++] = id;
    return OK;
}

/* Room for marks of all ids so far; new ones are 0. */
static Status grow_marks(Encoder *c) {
    TRY(arena_grow(c->keep, &c->marks, &c->cap_marks, c->n_marks, c->work.n, sizeof *c->marks, c->e));
    while (c->n_marks < c->work.n) c->marks[c->n_marks++] = 0;
    return OK;
}

/* ---- lengths of changed texts, for marking ------------------------------------------------------------------------- */

static Status normal_length(void *ctx, TokenText piece, bool first, size_t *length, Err *e) {
    Encoder *c = ctx;
    const Tokenizer *t = c->t;
    TRY(normalize_text(t->normalize, t->n_normalize, c->part, c->scratch, piece, !first || c->goes_on, &piece, e));
    *length = piece.len;
    return OK;
}

/* With the spaces replaced; the prefix, which belongs to what comes first, is added by whoever knows it. */
static Status spaced_length(void *ctx, TokenText piece, bool first, size_t *length, Err *e) {
    Encoder *c = ctx;
    NormalizeStep spaces = {NORMALIZE_REPLACE, c->t->space_from, c->t->space_to};
    (void)first;
    if (c->t->space_from.len > 0) TRY(normalize_text(&spaces, 1, c->part, c->scratch, piece, true, &piece, e));
    *length = piece.len;
    return OK;
}

/* ---- from a piece between added tokens to ids --------------------------------------------------------------------- */

static bool begins_with(TokenText t, TokenText prefix) {
    return t.len >= prefix.len && memcmp(t.s, prefix.s, prefix.len) == 0;
}

/* Metaspace and ByteLevel's prefix. at_start: the piece begins the input. */
static Status put_spaces(Encoder *c, TokenText *text, bool at_start) {
    const Tokenizer *t = c->t;
    NormalizeStep spaces = {NORMALIZE_REPLACE, t->space_from, t->space_to};
    Buf *b = &c->prefixed;
    if (t->space_from.len > 0) TRY(normalize_text(&spaces, 1, c->spaced, c->scratch, *text, true, text, c->e));
    bool put = t->prefix_rule == PREFIX_EVERY_PIECE || (t->prefix_rule == PREFIX_FIRST_ONLY && at_start);
    if (!put || (at_start && c->goes_on) || begins_with(*text, t->prefix)) return OK;
    buf_clear(b);
    TRY(buf_add(b, t->prefix.s, t->prefix.len, c->e));
    TRY(buf_add(b, text->s, text->len, c->e));
    *text = (TokenText){b->data, b->len};
    return OK;
}

/* The level of `text` with spaces and prefix put, `before` being without. The prefix counts as part of what it is put before. */
static Status spaced_level(Encoder *c, MarkLevel *level, TokenText before, TokenText text, MarkLevel *out) {
    size_t whole;
    bool changed = text.s != before.s;
    TRY(level_below(c->scratch, level, before, text.s, changed ? spaced_length : NULL, c, out, c->e));
    if (!changed || out->n == 0) return OK;
    TRY(spaced_length(c, before, true, &whole, c->e));
    for (size_t i = 0; i < out->n; i++) {
        if (out->ranges[i].begin > 0) out->ranges[i].begin += text.len - whole;
        out->ranges[i].end += text.len - whole;
    }
    return OK;
}

static Status encode_normal(Encoder *c, TokenText text, bool at_start, MarkLevel *level) {
    const Piece *pieces = NULL;
    size_t n = 0;
    TokenText before = text;
    MarkLevel mine;
    if (text.len == 0) return OK;
    if (c->t->prefix_rule != PREFIX_NONE || c->t->space_from.len > 0) TRY(put_spaces(c, &text, at_start));
    if (level != NULL) TRY(spaced_level(c, level, before, text, &mine));
    TRY(pretok_split(c->pretok, text.s, text.len, &pieces, &n, c->e));
    for (size_t i = 0; i < n; i++) {
        size_t first = c->work.n, from = pieces[i].from, to = pieces[i].to;
        TRY(bpe_encode(&c->t->bpe, &c->work, text.s + from, to - from, c->e));
        if (level == NULL) continue;
        TRY(grow_marks(c));
        level_mark_piece(c->t, &mine, from, to, c->work.ids + first, c->marks + first, c->work.n - first);
    }
    return OK;
}

/* ---- added tokens -------------------------------------------------------------------------------------------------- */

/* The leftmost, then longest token at or after `from`; false: none. */
static bool find_added(const AddedSet *s, TokenText text, size_t from, size_t *begin, size_t *end, int32_t *id) {
    for (size_t i = from; i < text.len; i++) {
        uint32_t node = s->root[(unsigned char)text.s[i]];
        *id = -1;
        for (size_t k = i + 1; node != 0; k++) {
            if (s->nodes[node].id >= 0) *id = s->nodes[node].id, *end = k;
            if (k == text.len) break;
            node = s->nodes[node].child;
            while (node != 0 && s->nodes[node].byte != (uint8_t)text.s[k]) node = s->nodes[node].sibling;
        }
        if (*id < 0) continue;
        *begin = i;
        return true;
    }
    return false;
}

/* Where the character that ends at `at` begins. */
static size_t char_before(const char *s, size_t at) {
    do at--;
    while (at > 0 && ((unsigned char)s[at] & 0xC0) == 0x80);
    return at;
}

static bool is_word_alone(TokenText text, size_t begin, size_t end) {
    uint32_t cp = 0;
    if (begin > 0) {
        size_t k = char_before(text.s, begin);
        utf8_decode(text.s + k, begin - k, &cp);
        if (unicode_is_word(cp)) return false;
    }
    if (end == text.len) return true;
    utf8_decode(text.s + end, text.len - end, &cp);
    return !unicode_is_word(cp);
}

static size_t spaces_before(TokenText text, size_t begin, size_t least) {
    uint32_t cp = 0;
    while (begin > least) {
        size_t k = char_before(text.s, begin);
        utf8_decode(text.s + k, begin - k, &cp);
        if (!unicode_is_space(cp)) break;
        begin = k;
    }
    return begin > least ? begin : least;
}

static size_t spaces_after(TokenText text, size_t end) {
    uint32_t cp = 0;
    while (end < text.len) {
        int k = utf8_decode(text.s + end, text.len - end, &cp);
        if (!unicode_is_space(cp)) break;
        end += (size_t)k;
    }
    return end;
}

typedef Status (*Between)(Encoder *c, TokenText text, bool at_start, MarkLevel *level);

/* The id of a token found at [begin, end) of the level's text. */
static Status add_found(Encoder *c, int32_t id, MarkLevel *level, size_t begin, size_t end) {
    TRY(add_id(c, id));
    if (level == NULL) return OK;
    TRY(grow_marks(c));
    c->marks[c->work.n - 1] = level_meets(level, begin, end);
    return OK;
}

/* Cuts the set's tokens out of text; `between` gets the rest. As in Hugging Face, a match that does not count (special,
 * single_word) is passed over as a whole, and a token whose neighbour took it as its whitespace is still emitted, but for one
 * with lstrip, of which nothing is left. */
static Status split_added(Encoder *c, const AddedSet *set, TokenText text, bool at_start, Between between,
                          MarkLevel *level) {
    size_t at = 0, done = 0, begin = 0, end = 0, base = level == NULL ? 0 : (size_t)(text.s - level->base);
    int32_t id = -1;
    while (set->n > 0 && find_added(set, text, at, &begin, &end, &id)) {
        unsigned flags = c->t->flags[id];
        at = end;
        if ((flags & TOKEN_IS_SPECIAL) != 0 && !c->special) continue;
        if ((flags & TOKEN_SINGLE_WORD) != 0 && !is_word_alone(text, begin, end)) continue;
        size_t own_begin = begin, own_end = end;
        if ((flags & TOKEN_LSTRIP) != 0) begin = spaces_before(text, begin, done);
        if ((flags & TOKEN_RSTRIP) != 0) end = spaces_after(text, end);
        if ((flags & TOKEN_LSTRIP) != 0 && done >= end) continue; /* the one before took all of it */
        if (begin > done) TRY(between(c, (TokenText){text.s + done, begin - done}, at_start && done == 0, level));
        TRY(add_found(c, id, level, base + own_begin, base + own_end));
        done = end;
    }
    if (done < text.len) return between(c, (TokenText){text.s + done, text.len - done}, at_start && done == 0, level);
    return OK;
}

static Status encode_raw(Encoder *c, TokenText text, bool at_start, MarkLevel *level) {
    const Tokenizer *t = c->t;
    TokenText before = text;
    MarkLevel mine;
    TRY(normalize_text(t->normalize, t->n_normalize, c->normal, c->scratch, text, at_start && c->goes_on, &text, c->e));
    if (level != NULL)
        TRY(level_below(c->scratch, level, before, text.s, text.s == before.s ? NULL : normal_length, c, &mine, c->e));
    return split_added(c, &t->normal_added, text, at_start, encode_normal, level == NULL ? NULL : &mine);
}

/* ---- the call ------------------------------------------------------------------------------------------------------ */

static Status encode(Encoder *c, const char *text, size_t len, unsigned flags) {
    const Tokenizer *t = c->t;
    if (len > TOKENIZER_TEXT_MAX)
        FAIL(c->e, ERR_DATA, "a text of %zu bytes; at most %d can be tokenized at once", len, TOKENIZER_TEXT_MAX);
    size_t valid = utf8_valid_prefix(text, len);
    if (valid != len)
        FAIL(c->e, ERR_DATA, "invalid UTF-8 at byte %zu of the text (0x%02X)", valid,
             (unsigned)(unsigned char)text[valid]);
    if ((flags & TOKENIZER_BOS_ALWAYS) != 0 && t->bos < 0)
        FAIL(c->e, ERR_DATA, "%s: this tokenizer has no BOS token", t->name);
    if ((flags & TOKENIZER_EOS) != 0 && t->eos < 0)
        FAIL(c->e, ERR_DATA, "%s: this tokenizer has no EOS token", t->name);
    bool bos = (flags & TOKENIZER_BOS_ALWAYS) != 0 || ((flags & TOKENIZER_BOS) != 0 && t->add_bos);
    if (bos) TRY(add_id(c, t->bos));
    TRY(split_added(c, &t->raw_added, (TokenText){text, len}, true, encode_raw, c->raw));
    if (c->raw != NULL) TRY(grow_marks(c));
    if (bos && (flags & TOKENIZER_BOS_ALWAYS) == 0 && c->work.n > 1 && c->work.ids[1] == t->bos) {
        memmove(c->work.ids, c->work.ids + 1, (c->work.n - 1) * sizeof *c->work.ids);
        c->work.n--;
        if (c->raw != NULL) memmove(c->marks, c->marks + 1, --c->n_marks);
    }
    if ((flags & TOKENIZER_EOS) != 0) TRY(add_id(c, t->eos));
    return c->raw != NULL ? grow_marks(c) : OK;
}

/* Empty buffers, and a piece cache where there shall be one. */
static Status begin(Encoder *c, bool caches, Err *e) {
    const Tokenizer *t = c->t;
    TRY(arena_open(&c->keep, "tokenizer", e));
    c->work = (BpeWork){.arena = c->keep};
    c->marks = NULL;
    c->n_marks = c->cap_marks = 0;
    Buf *const bufs[] = {&c->normal[0], &c->normal[1], &c->spaced[0], &c->spaced[1],
                         &c->prefixed,  &c->part[0],   &c->part[1]};
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++) *bufs[i] = (Buf){.arena = c->keep};
    if (caches) TRY(piece_cache_open(c->keep, &c->pieces, e));
    if (caches) c->work.cache = &c->pieces;
    return pretok_begin(t->pretok, c->keep, &c->pretok, e);
}

static Status encode_text(Encoder *c, Arena *a, const char *text, size_t len, unsigned flags, MarkLevel *raw,
                          int32_t **ids, uint8_t **marked, size_t *n, Err *e) {
    int32_t *out = NULL;
    c->raw = raw;
    c->work.n = c->n_marks = 0;
    c->special = (flags & TOKENIZER_SPECIAL) != 0;
    c->goes_on = (flags & TOKENIZER_CONTINUATION) != 0;
    c->e = e;
    TRY(encode(c, text, len, flags));
    TRY(ARENA_NEW(a, c->work.n, out, e));
    if (c->work.n > 0) memcpy(out, c->work.ids, c->work.n * sizeof *out);
    if (raw != NULL) {
        TRY(ARENA_NEW(a, c->work.n, *marked, e));
        if (c->work.n > 0) memcpy(*marked, c->marks, c->work.n);
    }
    *ids = out;
    *n = c->work.n;
    return OK;
}

/* Whether a position lies inside of a character. */
static bool is_inside(const char *text, size_t len, size_t at) {
    return at < len && ((unsigned char)text[at] & 0xC0) == 0x80;
}

static Status raw_level(Arena *a, const char *text, size_t len, const TextRange *ranges, size_t n, MarkLevel *raw,
                        Err *e) {
    *raw = (MarkLevel){.base = text};
    TRY(ARENA_NEW(a, n, raw->ranges, e));
    for (size_t i = 0; i < n; i++) {
        TextRange r = ranges[i];
        CHECK(r.begin <= r.end && r.end <= len && (i == 0 || ranges[i - 1].end <= r.begin), "range %zu of a text", i);
        if (r.begin == r.end) continue;
        while (r.begin > 0 && is_inside(text, len, r.begin)) r.begin--;
        while (is_inside(text, len, r.end)) r.end++;
        if (raw->n > 0 && raw->ranges[raw->n - 1].end > r.begin) r.begin = raw->ranges[raw->n - 1].end;
        if (r.begin < r.end) raw->ranges[raw->n++] = r;
    }
    return OK;
}

/* ranges NULL: nothing is marked. */
static Status one_call(Encoder *c, Arena *a, const char *text, size_t len, unsigned flags, const TextRange *ranges,
                       size_t n_ranges, int32_t **ids, uint8_t **marked, size_t *n, Err *e) {
    MarkLevel raw;
    ArenaMark mark = arena_mark(a);
    if (ranges != NULL) TRY(raw_level(c->scratch, text, len, ranges, n_ranges, &raw, e));
    Status st = encode_text(c, a, text, len, flags, ranges != NULL ? &raw : NULL, ids, marked, n, e);
    if (st != OK) arena_reset(a, mark);
    return st;
}

static Status call_alone(const Tokenizer *t, Arena *a, const char *text, size_t len, unsigned flags,
                         const TextRange *ranges, size_t n_ranges, int32_t **ids, uint8_t **marked, size_t *n, Err *e) {
    Encoder c = {.t = t};
    Status st = begin(&c, len >= LONG_TEXT, e);
    c.scratch = c.keep;
    if (st == OK) st = one_call(&c, a, text, len, flags, ranges, n_ranges, ids, marked, n, e);
    arena_close(c.keep);
    return st;
}

/* Nothing of a call but ids of short pieces stays; after an error or a huge text not even these. */
static Status call_cached(TokenizerCache *c, Arena *a, const char *text, size_t len, unsigned flags,
                          const TextRange *ranges, size_t n_ranges, int32_t **ids, uint8_t **marked, size_t *n,
                          Err *e) {
    arena_reset(c->scratch, c->start);
    Status st = c->keep != NULL ? OK : begin(c, true, e);
    if (st == OK) st = one_call(c, a, text, len, flags, ranges, n_ranges, ids, marked, n, e);
    if (st == OK && arena_used_bytes(c->keep) <= KEEP_BYTES) return OK;
    arena_close(c->keep);
    c->keep = NULL;
    return st;
}

Status tokenizer_cache_open(TokenizerCache **out, const Tokenizer *t, Err *e) {
    Arena *scratch = NULL;
    TokenizerCache *c = NULL;
    TRY(arena_open(&scratch, "tokenizer", e));
    Status st = ARENA_NEW(scratch, 1, c, e);
    if (st != OK) {
        arena_close(scratch);
        return st;
    }
    *c = (TokenizerCache){.t = t, .scratch = scratch, .start = arena_mark(scratch)};
    *out = c;
    return OK;
}

void tokenizer_cache_close(TokenizerCache *c) {
    if (c == NULL) return;
    arena_close(c->keep);
    arena_close(c->scratch);
}

Status tokenizer_cache_encode(TokenizerCache *c, Arena *a, const char *text, size_t len, unsigned flags, int32_t **ids,
                              size_t *n, Err *e) {
    return call_cached(c, a, text, len, flags, NULL, 0, ids, NULL, n, e);
}

Status tokenizer_cache_encode_marked(TokenizerCache *c, Arena *a, const char *text, size_t len, unsigned flags,
                                     const TextRange *ranges, size_t n_ranges, int32_t **ids, uint8_t **marked,
                                     size_t *n, Err *e) {
    static const TextRange NONE = {0, 0};
    return call_cached(c, a, text, len, flags, n_ranges > 0 ? ranges : &NONE, n_ranges, ids, marked, n, e);
}

Status tokenizer_encode(const Tokenizer *t, Arena *a, const char *text, size_t len, unsigned flags, int32_t **ids,
                        size_t *n, Err *e) {
    return call_alone(t, a, text, len, flags, NULL, 0, ids, NULL, n, e);
}

Status tokenizer_encode_marked(const Tokenizer *t, Arena *a, const char *text, size_t len, unsigned flags,
                               const TextRange *ranges, size_t n_ranges, int32_t **ids, uint8_t **marked, size_t *n,
                               Err *e) {
    static const TextRange NONE = {0, 0};
    return call_alone(t, a, text, len, flags, n_ranges > 0 ? ranges : &NONE, n_ranges, ids, marked, n, e);
}
