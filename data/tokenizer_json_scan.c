/* tokenizer_json_scan.c: see tokenizer_json_scan.h. */
#include "data/tokenizer_json_scan.h"

#include "base/utf8.h"

#include <string.h>

enum { ID_DIGITS = 9 };

typedef struct Scan {
    const char *s, *end;
    Arena *arena;
    ModelLists *lists;
    size_t cap_tokens, cap_ids, cap_merges;
    Buf *rest;
    const char *copied; /* up to here the text is in rest */
    bool seen_vocab, seen_merges;
    Err *e;
} Scan;

/* What a step says: it went well, or the scan gives up. Lack of memory is kept in c->e and gives up as well. */
typedef enum Step { GOES_ON, GIVES_UP, NO_MEMORY } Step;
#define STEP(x)                                                                                                        \
    do {                                                                                                               \
        Step step_ = (x);                                                                                              \
        if (step_ != GOES_ON) return step_;                                                                            \
    } while (0)
#define HAVE(x)                                                                                                        \
    do {                                                                                                               \
        if ((x) != OK) return NO_MEMORY;                                                                               \
    } while (0)

static void skip_space(Scan *c) {
    const char *s = c->s;
    for (; s < c->end; s++) {
        while (*s == ' ' && c->end - s > 8 && memcmp(s, "        ", 8) == 0) s += 8; /* indentation */
        if (*s != ' ' && *s != '\n' && *s != '\r' && *s != '\t') break;
    }
    c->s = s;
}

/* Takes one byte of syntax, with the space before it. */
static bool take(Scan *c, char byte) {
    skip_space(c);
    if (c->s == c->end || *c->s != byte) return false;
    c->s++;
    return true;
}

/* ---- strings -------------------------------------------------------------------------------------------------------- */

/* What follows a backslash at c->s becomes bytes at *out. U+0000 and halves of surrogate pairs are not for here. */
static bool escape(Scan *c, char **out) {
    static const char FROM[] = "\"\\/bfnrt", TO[] = "\"\\/\b\f\n\r\t";
    if (c->end - c->s < 2) return false;
    const char *plain = *c->s != '\0' ? strchr(FROM, *c->s) : NULL;
    if (plain != NULL) {
        *(*out)++ = TO[plain - FROM];
        c->s++;
        return true;
    }
    if (*c->s != 'u' || c->end - c->s < 5) return false;
    int v = hex4(c->s + 1);
    c->s += 5;
    if (v >= 0xD800 && v <= 0xDBFF) {
        if (c->end - c->s < 6 || c->s[0] != '\\' || c->s[1] != 'u') return false;
        int low = hex4(c->s + 2);
        if (low < 0xDC00 || low > 0xDFFF) return false;
        v = 0x10000 + ((v - 0xD800) << 10) + (low - 0xDC00);
        c->s += 6;
    }
    if (v <= 0 || (v >= 0xD800 && v <= 0xDFFF)) return false;
    *out += utf8_encode((uint32_t)v, *out);
    return true;
}

/* The rest of a string with escapes: from `start` on, c->s being at the first of them. */
static Step escaped_string(Scan *c, const char *start, TokenText *out) {
    char *bytes = NULL, *to;
    const char *quote = c->s; /* a bound of the length: escapes only shrink */
    for (; quote < c->end && *quote != '"'; quote++)
        if (*quote == '\\') quote++;
    if (quote >= c->end) return GIVES_UP;
    HAVE(ARENA_NEW(c->arena, quote - start + 1, bytes, c->e));
    memcpy(bytes, start, (size_t)(c->s - start));
    to = bytes + (c->s - start);
    while (c->s < c->end && *c->s != '"') {
        if ((unsigned char)*c->s < 0x20) return GIVES_UP;
        if (*c->s != '\\') {
            *to++ = *c->s++;
            continue;
        }
        c->s++;
        if (!escape(c, &to)) return GIVES_UP;
    }
    if (c->s == c->end) return GIVES_UP;
    c->s++;
    *out = (TokenText){bytes, (size_t)(to - bytes)};
    return GOES_ON;
}

static Step string(Scan *c, TokenText *out) {
    if (!take(c, '"')) return GIVES_UP;
    const char *start = c->s, *s = start;
    while (s < c->end && *s != '"' && *s != '\\' && (unsigned char)*s >= 0x20) s++;
    c->s = s;
    if (s == c->end || (unsigned char)*s < 0x20) return GIVES_UP;
    if (*s == '\\') return escaped_string(c, start, out);
    c->s++;
    *out = (TokenText){start, (size_t)(s - start)};
    return GOES_ON;
}

/* ---- the lists ------------------------------------------------------------------------------------------------------ */

/* A whole number without sign, fraction or needless zeros. */
static bool number(Scan *c, int64_t *out) {
    skip_space(c);
    const char *start = c->s;
    *out = 0;
    while (c->s < c->end && *c->s >= '0' && *c->s <= '9' && c->s - start <= ID_DIGITS)
        *out = *out * 10 + (*c->s++ - '0');
    size_t n = (size_t)(c->s - start);
    if (n == 0 || n > ID_DIGITS || (n > 1 && *start == '0') || c->s == c->end) return false;
    return *c->s != '.' && *c->s != 'e' && *c->s != 'E';
}

static Step vocab(Scan *c) {
    ModelLists *l = c->lists;
    if (!take(c, '{')) return GIVES_UP;
    if (take(c, '}')) return GOES_ON;
    do {
        TokenText text;
        int64_t id;
        STEP(string(c, &text));
        if (!take(c, ':') || !number(c, &id)) return GIVES_UP;
        HAVE(arena_grow(c->arena, &l->tokens, &c->cap_tokens, l->n_tokens, l->n_tokens + 1, sizeof *l->tokens, c->e));
        HAVE(arena_grow(c->arena, &l->ids, &c->cap_ids, l->n_tokens, l->n_tokens + 1, sizeof *l->ids, c->e));
        l->tokens[l->n_tokens] = text;
        l->ids[l->n_tokens++] = id;
    } while (take(c, ','));
    return take(c, '}') ? GOES_ON : GIVES_UP;
}

bool split_merge(TokenText text, TokenMerge *out) {
    const char *space = text.len > 0 ? memchr(text.s, ' ', text.len) : NULL;
    if (space == NULL) return false;
    size_t left = (size_t)(space - text.s), right = text.len - left - 1;
    *out = (TokenMerge){{text.s, left}, {space + 1, right}};
    return right == 0 || memchr(space + 1, ' ', right) == NULL;
}

static Step merge(Scan *c, TokenMerge *out, bool *comment) {
    TokenText text;
    *comment = false;
    if (take(c, '[')) {
        STEP(string(c, &out->left));
        if (!take(c, ',')) return GIVES_UP;
        STEP(string(c, &out->right));
        return take(c, ']') ? GOES_ON : GIVES_UP;
    }
    STEP(string(c, &text));
    *comment = text.len >= 8 && memcmp(text.s, "#version", 8) == 0;
    return *comment || split_merge(text, out) ? GOES_ON : GIVES_UP;
}

static Step merges(Scan *c) {
    ModelLists *l = c->lists;
    if (!take(c, '[')) return GIVES_UP;
    if (take(c, ']')) return GOES_ON;
    do {
        bool comment;
        HAVE(arena_grow(c->arena, &l->merges, &c->cap_merges, l->n_merges, l->n_merges + 1, sizeof *l->merges, c->e));
        STEP(merge(c, &l->merges[l->n_merges], &comment));
        l->n_merges += !comment;
    } while (take(c, ','));
    return take(c, ']') ? GOES_ON : GIVES_UP;
}

/* ---- the way to them ------------------------------------------------------------------------------------------------ */

/* Passes a value over. What is wrong inside of it is found in rest. */
static Step skip_value(Scan *c) {
    int depth = 0;
    skip_space(c);
    while (c->s < c->end) {
        char byte = *c->s;
        if (depth == 0 && (byte == ',' || byte == '}' || byte == ']')) return GOES_ON;
        if (byte == '{' || byte == '[') depth++;
        if (byte == '}' || byte == ']') depth--;
        c->s++;
        for (; byte == '"' && c->s < c->end && *c->s != '"'; c->s++)
            if (*c->s == '\\' && c->end - c->s > 1) c->s++;
        if (byte != '"') continue;
        if (c->s == c->end) return GIVES_UP;
        c->s++;
    }
    return GIVES_UP;
}

/* A list, which is left out of rest. */
static Step list(Scan *c, Step (*read)(Scan *c), const char *empty) {
    skip_space(c);
    HAVE(buf_add(c->rest, c->copied, (size_t)(c->s - c->copied), c->e));
    HAVE(buf_puts(c->rest, empty, c->e));
    const char *start = c->s;
    STEP(read(c));
    c->copied = c->s;
    return utf8_valid_prefix(start, (size_t)(c->s - start)) == (size_t)(c->s - start) ? GOES_ON : GIVES_UP;
}

static bool is(TokenText t, const char *s) { return t.len == strlen(s) && memcmp(t.s, s, t.len) == 0; }

static Step model(Scan *c) {
    if (!take(c, '{')) return GIVES_UP;
    do {
        TokenText key;
        STEP(string(c, &key));
        if (!take(c, ':')) return GIVES_UP;
        bool is_vocab = is(key, "vocab"), is_merges = is(key, "merges");
        if ((is_vocab && c->seen_vocab) || (is_merges && c->seen_merges)) return GIVES_UP;
        c->seen_vocab = c->seen_vocab || is_vocab;
        c->seen_merges = c->seen_merges || is_merges;
        STEP(is_vocab ? list(c, vocab, "{}") : is_merges ? list(c, merges, "[]") : skip_value(c));
    } while (take(c, ','));
    return take(c, '}') ? GOES_ON : GIVES_UP;
}

static Step top(Scan *c) {
    if (!take(c, '{')) return GIVES_UP;
    do {
        TokenText key;
        STEP(string(c, &key));
        if (!take(c, ':')) return GIVES_UP;
        STEP(is(key, "model") ? model(c) : skip_value(c));
    } while (take(c, ','));
    if (!take(c, '}') || !c->seen_vocab || !c->seen_merges) return GIVES_UP;
    HAVE(buf_add(c->rest, c->copied, (size_t)(c->end - c->copied), c->e));
    return GOES_ON;
}

Status scan_model_lists(Arena *a, const char *text, size_t len, ModelLists *out, Buf *rest, bool *good, Err *e) {
    Scan c = {.s = text, .end = text + len, .arena = a, .lists = out, .rest = rest, .copied = text, .e = e};
    *out = (ModelLists){0};
    Step step = top(&c);
    *good = step == GOES_ON;
    return step == NO_MEMORY ? ERR_OOM : OK;
}
