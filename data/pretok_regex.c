/* pretok_regex.c: parses the part of Oniguruma's syntax that pre-tokenizers use into characters sets and syntax bytes for
 * PCRE2; see pretok_regex.h. Whatever could mean something else in Oniguruma than here is refused. */
#include "data/pretok_regex.h"

#include "base/utf8.h"
#include "data/unicode.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

typedef struct Parser {
    Arena *arena;
    const char *pattern;
    size_t len, at;
    RegexSets *sets;
    Regex *out;
    int depth;
    bool fold[REGEX_DEPTH_MAX + 1]; /* (?i:) by depth */
    uint32_t folded_before;         /* the literal just before, under (?i:); 0: none */
    bool can_repeat;                /* something stands before that a quantifier can apply to */
    Err *e;
} Parser;

static Status bad(const Parser *p, const char *what, size_t from) {
    size_t n = p->at > from ? p->at - from : 1;
    if (from + n > p->len) n = p->len - from;
    FAIL(p->e, ERR_FORMAT, "pattern \"%.*s\": %s at byte %zu (\"%.*s\")", (int)(p->len < 200 ? p->len : 200),
         p->pattern, what, from, (int)n, p->pattern + from);
}

static Status add_raw(Parser *p, const char *s) {
    for (; *s != '\0'; s++) {
        TRY(arena_grow(p->arena, &p->out->items, &p->out->cap, p->out->n, p->out->n + 1, sizeof *p->out->items, p->e));
        p->out->items[p->out->n++] = (RegexItem){-1, *s};
    }
    return OK;
}

static Status add_set(Parser *p, CharSet *set) {
    int s = 0;
    charset_settle(set);
    while (s < p->sets->n && !charset_equal(&p->sets->sets[s], set)) s++;
    if (s == REGEX_SETS_MAX)
        FAIL(p->e, ERR_FORMAT, "the pre-tokenizer's patterns have more than %d sets of characters", REGEX_SETS_MAX);
    if (s == p->sets->n) p->sets->sets[p->sets->n++] = *set;
    TRY(arena_grow(p->arena, &p->out->items, &p->out->cap, p->out->n, p->out->n + 1, sizeof *p->out->items, p->e));
    p->out->items[p->out->n++] = (RegexItem){(int16_t)s, 0};
    p->can_repeat = true;
    return OK;
}

static bool next_is(const Parser *p, const char *s) {
    size_t n = strlen(s);
    return p->len - p->at >= n && memcmp(p->pattern + p->at, s, n) == 0;
}

/* The next character of the pattern, which is valid UTF-8 and not at its end. */
static uint32_t take(Parser *p) {
    uint32_t cp = 0;
    p->at += (size_t)utf8_decode(p->pattern + p->at, p->len - p->at, &cp);
    return cp;
}

/* \p{Name}: a general category of one or two letters. */
static Status property(Parser *p, size_t from, bool negate, CharSet *set) {
    char name[3] = {0};
    size_t n = 0;
    uint32_t categories = 0;
    if (p->at >= p->len || p->pattern[p->at] != '{') return bad(p, "\\p without {Category}", from);
    p->at++;
    if (p->at < p->len && p->pattern[p->at] == '^') negate = !negate, p->at++;
    while (p->at < p->len && p->pattern[p->at] != '}' && n < 2) name[n++] = p->pattern[p->at++];
    if (p->at >= p->len || p->pattern[p->at] != '}' || n == 0)
        return bad(p, "only general categories (\\p{L}, \\p{Lu} ...) are implemented", from);
    p->at++;
    name[0] = (char)toupper((unsigned char)name[0]);
    name[1] = (char)tolower((unsigned char)name[1]);
    for (int c = 0; c < CATEGORY_COUNT; c++)
        if (strncmp(UNICODE_CATEGORY_NAMES[c], name, n) == 0) categories |= 1u << c;
    if (categories == 0) return bad(p, "unknown category", from);
    CharSet one = {0};
    TRY(charset_add_class(p->arena, &one, categories, 0, p->e));
    if (negate) TRY(charset_complement(p->arena, &one, &one, p->e));
    return charset_add_set(p->arena, set, &one, p->e);
}

static Status hex_digits(Parser *p, size_t from, int least, int most, uint32_t *out) {
    int n = 0;
    *out = 0;
    while (p->at < p->len && n < most && isxdigit((unsigned char)p->pattern[p->at])) {
        int c = tolower((unsigned char)p->pattern[p->at++]);
        *out = *out * 16 + (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
        n++;
    }
    if (n < least || *out >= UNICODE_END) return bad(p, "bad number of a character", from);
    return OK;
}

/* What follows a backslash: a class added to set (*is_class), or one character. */
static Status escape(Parser *p, size_t from, CharSet *set, bool *is_class, uint32_t *cp) {
    static const char PLAIN[][2] = {{'n', '\n'}, {'r', '\r'}, {'t', '\t'}, {'f', '\f'},
                                    {'v', '\v'}, {'a', '\a'}, {'e', 27}};
    if (p->at >= p->len) return bad(p, "a backslash ends the pattern", from);
    uint32_t c = take(p);
    CharSet one = {0};
    *is_class = true;
    switch (c) {
    case 'p':
    case 'P':
        return property(p, from, c == 'P', set);
    case 's':
    case 'S':
        TRY(charset_add_space(p->arena, &one, p->e));
        break;
    case 'd':
    case 'D':
        TRY(charset_add_class(p->arena, &one, 1u << CATEGORY_ND, 0, p->e));
        break;
    case 'w':
    case 'W':
        TRY(charset_add_word(p->arena, &one, p->e));
        break;
    default:
        *is_class = false;
    }
    if (*is_class) {
        if (c < 'a') TRY(charset_complement(p->arena, &one, &one, p->e));
        return charset_add_set(p->arena, set, &one, p->e);
    }
    for (size_t i = 0; i < sizeof PLAIN / sizeof PLAIN[0]; i++)
        if (c == (uint32_t)PLAIN[i][0]) {
            *cp = (uint32_t)PLAIN[i][1];
            return OK;
        }
    if (c == 'x' && p->at < p->len && p->pattern[p->at] == '{') {
        p->at++;
        TRY(hex_digits(p, from, 1, 8, cp));
        if (p->at >= p->len || p->pattern[p->at++] != '}') return bad(p, "bad number of a character", from);
        return OK;
    }
    if (c == 'x') {
        TRY(hex_digits(p, from, 1, 2, cp));
        return *cp < 0x80 ? OK : bad(p, "bytes above 0x7F as \\x are not supported", from);
    }
    if (c == 'u') return hex_digits(p, from, 4, 4, cp);
    if (c < 0x80 && isalnum((int)c)) return bad(p, "this escape is not supported", from);
    *cp = c;
    return OK;
}

/* Folds an ASCII set under (?i:); anything else there is refused. */
static Status fold_set(Parser *p, CharSet *set, size_t from) {
    if (!p->fold[p->depth]) return OK;
    charset_settle(set);
    if (set->n > 0 && set->ranges[set->n - 1].last >= 0x80)
        return bad(p, "case folding of characters beyond ASCII is not supported", from);
    return charset_fold(p->arena, set, p->e);
}

/* One bound of a class: a character, or a class escape. */
static Status class_atom(Parser *p, CharSet *set, bool *is_class, uint32_t *cp) {
    size_t from = p->at;
    uint32_t c = take(p);
    *is_class = false;
    *cp = c;
    if (c == '\\') return escape(p, from, set, is_class, cp);
    if (c == '[') return bad(p, "a class inside a class is not supported", from);
    if (c == '&' && p->at < p->len && p->pattern[p->at] == '&')
        return bad(p, "intersections of classes are not supported", from);
    return OK;
}

/* [...]: the bracket is already taken. */
static Status char_class(Parser *p, size_t from) {
    CharSet set = {0}, out = {0};
    bool negate = false, first = true;
    if (p->at < p->len && p->pattern[p->at] == '^') negate = true, p->at++;
    for (;; first = false) {
        bool is_class = false;
        uint32_t lo = 0, hi = 0;
        if (p->at >= p->len) return bad(p, "[ without ]", from);
        if (p->pattern[p->at] == ']') {
            p->at++;
            if (first) return bad(p, "an empty class", from);
            break;
        }
        size_t atom = p->at;
        TRY(class_atom(p, &set, &is_class, &lo));
        if (is_class) continue;
        hi = lo;
        if (p->len - p->at >= 2 && p->pattern[p->at] == '-' && p->pattern[p->at + 1] != ']') {
            p->at++;
            TRY(class_atom(p, &set, &is_class, &hi));
            if (is_class || hi < lo) return bad(p, "a range out of order", atom);
        }
        TRY(charset_add(p->arena, &set, lo, hi, p->e));
    }
    charset_settle(&set);
    TRY(fold_set(p, &set, from));
    if (negate) {
        TRY(charset_complement(p->arena, &set, &out, p->e));
        set = out;
    }
    p->folded_before = 0;
    return add_set(p, &set);
}

/* One literal character. Under (?i:) Oniguruma also matches ligatures for some pairs (ss: U+00DF): refused. */
static Status literal(Parser *p, uint32_t cp, size_t from) {
    static const char PAIRS[][2] = {{'s', 's'}, {'f', 'f'}, {'f', 'i'}, {'f', 'l'}, {'s', 't'}};
    CharSet set = {0};
    TRY(charset_add(p->arena, &set, cp, cp, p->e));
    TRY(fold_set(p, &set, from));
    if (p->fold[p->depth]) {
        uint32_t lower = cp < 0x80 ? (uint32_t)tolower((int)cp) : cp;
        for (size_t i = 0; i < sizeof PAIRS / sizeof PAIRS[0]; i++)
            if (p->folded_before == (uint32_t)PAIRS[i][0] && lower == (uint32_t)PAIRS[i][1])
                return bad(p, "case folding of a pair that has a ligature is not supported", from);
        p->folded_before = lower;
    }
    return add_set(p, &set);
}

/* ( and what follows it. */
static Status open_group(Parser *p, size_t from) {
    static const struct {
        const char *in, *out;
        int fold; /* -1: as outside */
    } GROUPS[] = {{"?:", "(?:", -1}, {"?i:", "(?:", 1}, {"?-i:", "(?:", 0},  {"?=", "(?=", -1},
                  {"?!", "(?!", -1}, {"?>", "(?>", -1}, {"?<=", "(?<=", -1}, {"?<!", "(?<!", -1}};
    if (p->depth == REGEX_DEPTH_MAX) return bad(p, "groups nested too deeply", from);
    bool fold = p->fold[p->depth];
    p->can_repeat = false;
    p->folded_before = 0;
    for (size_t i = 0; i < sizeof GROUPS / sizeof GROUPS[0]; i++) {
        if (!next_is(p, GROUPS[i].in)) continue;
        p->at += strlen(GROUPS[i].in);
        p->fold[++p->depth] = GROUPS[i].fold < 0 ? fold : GROUPS[i].fold == 1;
        return add_raw(p, GROUPS[i].out);
    }
    if (next_is(p, "?")) return bad(p, "this kind of group is not supported", from);
    p->fold[++p->depth] = fold;
    return add_raw(p, "(?:");
}

/* {n}, {n,}, {,m}, {n,m}; *taken says whether it was one (else { is a literal). */
static Status interval(Parser *p, size_t from, bool *taken) {
    long n[2] = {-1, -1};
    size_t i = p->at;
    int part = 0;
    char text[32];
    *taken = false;
    for (; i < p->len && p->pattern[i] != '}'; i++) {
        char c = p->pattern[i];
        if (c == ',' && part == 0) {
            part = 1;
        } else if (isdigit((unsigned char)c)) {
            n[part] = (n[part] < 0 ? 0 : n[part]) * 10 + (c - '0');
            if (n[part] > REGEX_REPEAT_MAX) return bad(p, "a repeat count too large", from);
        } else {
            return OK;
        }
    }
    if (i >= p->len || (n[0] < 0 && n[1] < 0)) return OK;
    if (part == 1 && n[1] >= 0 && n[1] < n[0]) return bad(p, "a repeat count out of order", from);
    *taken = true;
    p->at = i + 1;
    if (!p->can_repeat) return bad(p, "a repeat of nothing", from);
    if (next_is(p, "+") || next_is(p, "*")) return bad(p, "a repeat of a repeat is not supported", from);
    size_t k = 0;
    k += (size_t)snprintf(text + k, sizeof text - k, "{%ld", n[0] < 0 ? 0 : n[0]);
    if (part == 1) text[k++] = ',';
    if (n[1] >= 0) k += (size_t)snprintf(text + k, sizeof text - k, "%ld", n[1]);
    snprintf(text + k, sizeof text - k, "}");
    TRY(add_raw(p, text));
    if (next_is(p, "?")) {
        if (part == 0) return bad(p, "{n}? is not supported", from);
        p->at++;
        TRY(add_raw(p, "?"));
    }
    p->can_repeat = false;
    return OK;
}

/* * + ? with an optional ? (lazy) or + (possessive). */
static Status quantifier(Parser *p, char c, size_t from) {
    char text[2] = {c, '\0'};
    if (!p->can_repeat) return bad(p, "a repeat of nothing", from);
    p->can_repeat = false;
    p->folded_before = 0;
    TRY(add_raw(p, text));
    if (next_is(p, "?")) {
        p->at++;
        return add_raw(p, "?");
    }
    if (next_is(p, "+")) {
        p->at++;
        return add_raw(p, "+");
    }
    return OK;
}

/* $ of Oniguruma: before a newline, or at the end. */
static Status end_of_line(Parser *p) {
    CharSet newline = {0};
    TRY(charset_add(p->arena, &newline, '\n', '\n', p->e));
    TRY(add_raw(p, "(?:(?="));
    TRY(add_set(p, &newline));
    TRY(add_raw(p, ")|\\z)"));
    p->can_repeat = false;
    return OK;
}

static Status element(Parser *p) {
    size_t from = p->at;
    uint32_t c = take(p);
    CharSet set = {0}, any = {0};
    bool is_class = false, taken = false;
    switch (c) {
    case '\\':
        TRY(escape(p, from, &set, &is_class, &c));
        if (!is_class) return literal(p, c, from);
        if (p->fold[p->depth]) return bad(p, "case folding of a class is not supported", from);
        p->folded_before = 0;
        return add_set(p, &set);
    case '[':
        return char_class(p, from);
    case '.':
        TRY(charset_add(p->arena, &set, '\n', '\n', p->e));
        TRY(charset_complement(p->arena, &set, &any, p->e));
        p->folded_before = 0;
        return add_set(p, &any);
    case '(':
        return open_group(p, from);
    case ')':
        if (p->depth == 0) return bad(p, ") without (", from);
        p->depth--;
        p->can_repeat = true;
        p->folded_before = 0;
        return add_raw(p, ")");
    case '|':
        p->can_repeat = false;
        p->folded_before = 0;
        return add_raw(p, "|");
    case '*':
    case '+':
    case '?':
        return quantifier(p, (char)c, from);
    case '{':
        TRY(interval(p, from, &taken));
        return taken ? OK : literal(p, c, from);
    case '$':
        return end_of_line(p);
    case '^':
        return bad(p, "the anchor ^ is not supported", from);
    default:
        return literal(p, c, from);
    }
}

Status regex_parse(Arena *a, const char *pattern, size_t len, RegexSets *sets, Regex *out, Err *e) {
    Parser p = {.arena = a, .pattern = pattern, .len = len, .sets = sets, .out = out, .e = e};
    if (len > REGEX_PATTERN_MAX) FAIL(e, ERR_FORMAT, "a pattern of %zu bytes; at most %d", len, REGEX_PATTERN_MAX);
    if (utf8_valid_prefix(pattern, len) != len) FAIL(e, ERR_FORMAT, "a pattern that is not UTF-8");
    while (p.at < len) TRY(element(&p));
    if (p.depth > 0) return bad(&p, "( without )", len > 0 ? len - 1 : 0);
    return OK;
}

Status regex_literal(Arena *a, const char *text, size_t len, RegexSets *sets, Regex *out, Err *e) {
    Parser p = {.arena = a, .pattern = text, .len = len, .sets = sets, .out = out, .e = e};
    if (len == 0 || len > REGEX_PATTERN_MAX || utf8_valid_prefix(text, len) != len)
        FAIL(e, ERR_FORMAT, "a split text of %zu bytes; 1 to %d bytes of UTF-8", len, REGEX_PATTERN_MAX);
    while (p.at < len) TRY(literal(&p, take(&p), 0));
    return OK;
}

Status regex_class(Arena *a, unsigned bits, bool run, RegexSets *sets, Regex *out, Err *e) {
    Parser p = {.arena = a, .sets = sets, .out = out, .e = e};
    CharSet set = {0};
    TRY(charset_add_class(a, &set, 0, bits, e));
    TRY(add_set(&p, &set));
    return run ? add_raw(&p, "+") : OK;
}
