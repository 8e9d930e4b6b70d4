/* jinja_lex.c: cuts a template into tokens as Jinja2's lexer does with trim_blocks and lstrip_blocks.
 *
 * Newlines become \n first and one at the end is dropped. All tokens are made at once; where Jinja2 would stop with an error,
 * the last token is T_ERROR with its text, because the parser may find an error of its own before it gets there. */
#include "data/jinja_internal.h"

#include "base/utf8.h"
#include "data/unicode.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct Lexer {
    Arena *arena;
    Err *e;
    const char *s;
    size_t len, at;
    int64_t line;
    size_t line_at; /* line counts the newlines before this place */
    Token *tokens;
    size_t n, cap;
    bool line_starting, failed;
    char closers[PARSE_DEPTH * 8];
    size_t n_closers;
} Lexer;

static int64_t line_of(Lexer *x, size_t at) {
    while (x->line_at < at) {
        const char *nl = memchr(x->s + x->line_at, '\n', at - x->line_at);
        if (nl == NULL) break;
        x->line++;
        x->line_at = (size_t)(nl - x->s) + 1;
    }
    if (x->line_at < at) x->line_at = at;
    return x->line;
}

static Status add(Lexer *x, TokenType type, size_t at, const char *s, size_t len) {
    TRY(arena_grow(x->arena, &x->tokens, &x->cap, x->n, x->n + 1, sizeof *x->tokens, x->e));
    x->tokens[x->n++] = (Token){.type = type, .line = line_of(x, at), .s = s, .len = len};
    return OK;
}

static Status fail(Lexer *x, size_t at, const char *text) {
    char *copy;
    x->failed = true;
    TRY(arena_strdup(x->arena, text, &copy, x->e));
    return add(x, T_ERROR, at, copy, strlen(copy));
}

/* Length of the white space at `at`, as Python's \s. */
static size_t space_len(const Lexer *x, size_t at) {
    size_t start = at;
    uint32_t cp;
    int n;
    while (at < x->len && (n = utf8_decode(x->s + at, x->len - at, &cp)) > 0 && jj_is_space(cp)) at += (size_t)n;
    return at - start;
}

static bool starts(const Lexer *x, size_t at, const char *text) {
    size_t n = strlen(text);
    return x->len - at >= n && memcmp(x->s + at, text, n) == 0;
}

/* The end of [begin, end) without white space at the end. */
static size_t strip_right(const Lexer *x, size_t begin, size_t end) {
    while (end > begin) {
        size_t at = end - 1;
        uint32_t cp;
        while (at > begin && ((uint8_t)x->s[at] & 0xC0) == 0x80) at--;
        utf8_decode(x->s + at, end - at, &cp);
        if (!jj_is_space(cp)) break;
        end = at;
    }
    return end;
}

/* "{%" sign at `at`, then \s* word \s* and an end: "-%}\s*", "%}", with endraw also "+%}" and "%}\n?". 0: no match. */
static size_t raw_tag(const Lexer *x, size_t at, const char *word, bool end_tag) {
    size_t start = at;
    at += 2;
    if (at < x->len && (x->s[at] == '-' || x->s[at] == '+')) at++;
    at += space_len(x, at);
    if (!starts(x, at, word)) return 0;
    at += strlen(word);
    at += space_len(x, at);
    if (starts(x, at, "-%}")) {
        at += 3;
        return at + space_len(x, at) - start;
    }
    if (end_tag && starts(x, at, "+%}")) return at + 3 - start;
    if (!starts(x, at, "%}")) return 0;
    at += 2;
    if (end_tag && at < x->len && x->s[at] == '\n') at++;
    return at - start;
}

/* The data before a tag whose sign stands at `tag` + 2. */
static Status add_data(Lexer *x, size_t begin, size_t tag, bool is_variable) {
    size_t end = tag;
    char sign = tag + 2 < x->len ? x->s[tag + 2] : 0;
    if (sign == '-') {
        end = strip_right(x, begin, tag);
    } else if (sign != '+' && !is_variable) {
        size_t line = tag;
        while (line > begin && x->s[line - 1] != '\n') line--;
        if ((line > begin || x->line_starting) && strip_right(x, line, tag) == line) end = line;
    }
    if (end > begin) TRY(add(x, T_DATA, begin, x->s + begin, end - begin));
    return OK;
}

/* Where the next tag begins, or len. */
static size_t find_tag(const Lexer *x) {
    for (size_t at = x->at; at + 1 < x->len; at++) {
        const char *brace = memchr(x->s + at, '{', x->len - at - 1);
        if (brace == NULL) break;
        at = (size_t)(brace - x->s);
        if (brace[1] == '%' || brace[1] == '{' || brace[1] == '#') return at;
    }
    return x->len;
}

static Status lex_raw(Lexer *x, size_t tag_len) {
    size_t begin = x->at + tag_len;
    x->line_starting = x->s[begin - 1] == '\n';
    for (size_t at = begin; at + 1 < x->len; at++) {
        const char *brace = memchr(x->s + at, '{', x->len - at);
        if (brace == NULL) break;
        at = (size_t)(brace - x->s);
        if (!starts(x, at, "{%")) continue;
        size_t n = raw_tag(x, at, "endraw", true);
        if (n == 0) continue;
        TRY(add_data(x, begin, at, false));
        x->at = at + n;
        x->line_starting = x->s[x->at - 1] == '\n';
        return OK;
    }
    if (begin < x->len) return fail(x, begin, "Missing end of raw directive");
    x->at = begin;
    return OK;
}

static Status lex_comment(Lexer *x) {
    size_t begin = x->at + 2;
    if (begin < x->len && (x->s[begin] == '-' || x->s[begin] == '+')) begin++;
    for (size_t at = begin; at + 1 < x->len; at++) {
        if (x->s[at] != '#' || x->s[at + 1] != '}') continue;
        char sign = at > begin ? x->s[at - 1] : 0;
        at += 2;
        if (sign == '-')
            at += space_len(x, at);
        else if (sign != '+' && at < x->len && x->s[at] == '\n')
            at++;
        x->at = at;
        x->line_starting = x->s[at - 1] == '\n';
        return OK;
    }
    if (begin < x->len) return fail(x, begin, "Missing end of comment tag");
    x->at = begin;
    return OK;
}

/* ---- inside tags ------------------------------------------------------------------------------------------------- */

static bool is_digit(int c) { return c >= '0' && c <= '9'; }

static size_t digits(const Lexer *x, size_t at) { /* (\d+_)*\d+ */
    size_t start = at;
    while (at < x->len && (is_digit(x->s[at]) || (x->s[at] == '_' && at > start && x->s[at - 1] != '_' &&
                                                  at + 1 < x->len && is_digit(x->s[at + 1]))))
        at++;
    return at - start;
}

static size_t based_digits(const Lexer *x, size_t at, int base) { /* (_?d)+ */
    size_t start = at;
    for (;;) {
        size_t d = at + (at < x->len && x->s[at] == '_');
        if (d >= x->len) break;
        int c = x->s[d] | 0x20;
        int v = is_digit(x->s[d]) ? x->s[d] - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
        if (v >= base) break;
        at = d + 1;
    }
    return at - start;
}

/* The text without its underscores, in the arena. */
static Status plain_number(Lexer *x, size_t len, char **out) {
    size_t n = 0;
    TRY(arena_strndup(x->arena, x->s + x->at, len, out, x->e));
    for (size_t i = 0; i < len; i++)
        if ((*out)[i] != '_') (*out)[n++] = (*out)[i];
    (*out)[n] = 0;
    return OK;
}

static Status lex_number(Lexer *x, bool *found) {
    size_t at = x->at, n = digits(x, at);
    char *text;
    *found = true;
    if (at == 0 || x->s[at - 1] != '.') {
        size_t end = at + n, fraction = 0, exponent = 0;
        if (end < x->len && x->s[end] == '.') fraction = digits(x, end + 1);
        if (fraction > 0) end += 1 + fraction;
        if (end < x->len && (x->s[end] | 0x20) == 'e') {
            size_t sign = end + 1 < x->len && (x->s[end + 1] == '+' || x->s[end + 1] == '-');
            exponent = digits(x, end + 1 + sign);
            if (exponent > 0) end += 1 + sign + exponent;
        }
        if (fraction > 0 || exponent > 0) {
            TRY(plain_number(x, end - at, &text));
            TRY(add(x, T_FLOAT, at, x->s + at, end - at));
            x->tokens[x->n - 1].real = strtod(text, NULL);
            x->at = end;
            return OK;
        }
    }
    int base = 10;
    size_t skip = 0;
    if (x->s[at] == '0' && at + 1 < x->len) {
        int c = x->s[at + 1] | 0x20;
        base = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 10;
        if (base != 10) {
            n = based_digits(x, at + 2, base);
            skip = 2;
            if (n == 0) base = 10, skip = 0;
        }
    }
    if (base == 10) n = x->s[at] == '0' ? 1 + based_digits(x, at + 1, 1) : 1 + based_digits(x, at + 1, 10);
    TRY(plain_number(x, skip + n, &text));
    errno = 0;
    long long v = strtoll(text + skip, NULL, base);
    if (errno == ERANGE) return fail(x, at, "an integer beyond 64 bits is not supported");
    TRY(add(x, T_INTEGER, at, x->s + at, skip + n));
    x->tokens[x->n - 1].integer = v;
    x->at += skip + n;
    return OK;
}

static bool is_word_start(const Lexer *x, size_t at, size_t *len) {
    uint32_t cp;
    int n = at < x->len ? utf8_decode(x->s + at, x->len - at, &cp) : 0;
    if (n == 0) return false;
    *len = (size_t)n;
    if (cp < 0x80) return cp == '_' || is_digit((int)cp) || (cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z');
    return unicode_is_word(cp);
}

static Status lex_name(Lexer *x) {
    size_t end = x->at, n = 0;
    while (is_word_start(x, end, &n)) end += n;
    TRY(add(x, T_NAME, x->at, x->s + x->at, end - x->at));
    x->at = end;
    return OK;
}

static int hex_value(int c) {
    if (is_digit(c)) return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One escape at in[*i] (after the backslash), as Python's unicode-escape. NULL, or what is wrong. */
static const char *unescape(const char *in, size_t len, size_t *i, char *out, size_t *n) {
    static const char FROM[] = "\\'\"abfnrtv", TO[] = "\\'\"\a\b\f\n\r\t\v";
    char c = in[(*i)++];
    const char *simple = c != 0 ? strchr(FROM, c) : NULL;
    uint32_t cp = 0;
    if (c == '\n') return NULL;
    if (simple != NULL) {
        out[(*n)++] = TO[simple - FROM];
        return NULL;
    }
    if (c >= '0' && c <= '7') {
        cp = (uint32_t)(c - '0');
        for (int k = 0; k < 2 && *i < len && in[*i] >= '0' && in[*i] <= '7'; k++)
            cp = cp * 8 + (uint32_t)(in[(*i)++] - '0');
    } else if (c == 'x' || c == 'u' || c == 'U') {
        int want = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        for (int k = 0; k < want; k++) {
            int v = *i < len ? hex_value(in[*i]) : -1;
            if (v < 0)
                return c == 'x'   ? "truncated \\xXX escape"
                       : c == 'u' ? "truncated \\uXXXX escape"
                                  : "truncated \\UXXXXXXXX escape";
            cp = cp * 16 + (uint32_t)v;
            ++*i;
        }
        if (cp >= UNICODE_END) return "illegal Unicode character";
        if (cp >= 0xD800 && cp < 0xE000) return "a string with half a surrogate pair is not supported";
    } else if (c == 'N') {
        return "an escape by character name is not supported";
    } else {
        out[(*n)++] = '\\';
        uint32_t wide;
        int k = utf8_decode(in + *i - 1, len - *i + 1, &wide);
        if (wide < 0x80) {
            out[(*n)++] = c;
        } else { /* Jinja2 escapes it before, so that the backslash eats the first one */
            char name[12];
            *i += (size_t)k - 1;
            snprintf(name, sizeof name, wide < 0x100 ? "x%02x" : wide < 0x10000 ? "u%04x" : "U%08x", wide);
            memcpy(out + *n, name, strlen(name));
            *n += strlen(name);
        }
        return NULL;
    }
    *n += (size_t)utf8_encode(cp, out + *n);
    return NULL;
}

static Status lex_string(Lexer *x, bool *found) {
    char quote = x->s[x->at], *out;
    size_t begin = x->at + 1, end = begin, n = 0;
    while (end < x->len && x->s[end] != quote) end += x->s[end] == '\\' ? 2 : 1;
    *found = end < x->len;
    if (!*found) return OK;
    TRY(arena_alloc(x->arena, (end - begin) * 6 + 1, 1, &out,
                    x->e)); /* \ and a character of 2 bytes become \xe9 and so on */
    for (size_t i = begin; i < end;) {
        if (x->s[i] != '\\') {
            out[n++] = x->s[i++];
            continue;
        }
        i++;
        const char *wrong = unescape(x->s, end, &i, out, &n);
        if (wrong != NULL) return fail(x, x->at, wrong);
    }
    TRY(add(x, T_STRING, x->at, out, n));
    x->at = end + 1;
    return OK;
}

static const struct {
    const char *text;
    TokenType type;
} OPERATORS[] = {{"//", T_FLOORDIV}, {"**", T_POW},   {"==", T_EQ},      {"!=", T_NE},      {">=", T_GE},
                 {"<=", T_LE},       {"+", T_ADD},    {"-", T_SUB},      {"/", T_DIV},      {"*", T_MUL},
                 {"%", T_MOD},       {"~", T_TILDE},  {"[", T_LBRACKET}, {"]", T_RBRACKET}, {"(", T_LPAREN},
                 {")", T_RPAREN},    {"{", T_LBRACE}, {"}", T_RBRACE},   {">", T_GT},       {"<", T_LT},
                 {"=", T_ASSIGN},    {".", T_DOT},    {":", T_COLON},    {"|", T_PIPE},     {",", T_COMMA},
                 {";", T_SEMICOLON}};

static Status lex_operator(Lexer *x, bool *found) {
    char text[64];
    for (size_t i = 0; i < sizeof OPERATORS / sizeof OPERATORS[0]; i++) {
        if (!starts(x, x->at, OPERATORS[i].text)) continue;
        char c = x->s[x->at];
        *found = true;
        if (c == '{' || c == '(' || c == '[') {
            if (x->n_closers == sizeof x->closers) return fail(x, x->at, "brackets are nested too deep");
            x->closers[x->n_closers++] = c == '{' ? '}' : c == '(' ? ')' : ']';
        } else if (c == '}' || c == ')' || c == ']') {
            snprintf(text, sizeof text, "unexpected '%c'", c);
            if (x->n_closers == 0) return fail(x, x->at, text);
            char want = x->closers[--x->n_closers];
            snprintf(text, sizeof text, "unexpected '%c', expected '%c'", c, want);
            if (want != c) return fail(x, x->at, text);
        }
        TRY(add(x, OPERATORS[i].type, x->at, x->s + x->at, strlen(OPERATORS[i].text)));
        x->at += strlen(OPERATORS[i].text);
        return OK;
    }
    *found = false;
    return OK;
}

/* The end of the tag at x->at, if there is one. */
static bool tag_end(const Lexer *x, bool is_variable, size_t *len) {
    const char *end = is_variable ? "}}" : "%}";
    size_t at = x->at;
    if (x->n_closers > 0) return false;
    char c = x->s[at];
    if (c == '-' || (c == '+' && !is_variable)) at++;
    if (!starts(x, at, end)) return false;
    at += 2;
    if (c == '-')
        at += space_len(x, at);
    else if (c != '+' && !is_variable && at < x->len && x->s[at] == '\n')
        at++;
    *len = at - x->at;
    return true;
}

static Status unexpected_char(Lexer *x) {
    char text[80];
    int n = 1;
    while (x->at + (size_t)n < x->len && ((uint8_t)x->s[x->at + (size_t)n] & 0xC0) == 0x80) n++;
    const char *quote = x->s[x->at] == '\'' ? "\"" : "'";
    snprintf(text, sizeof text, "unexpected char %s%s%.*s%s at %zu", quote, x->s[x->at] == '\\' ? "\\" : "", n,
             x->s + x->at, quote, jj_count_chars(x->s, x->at));
    return fail(x, x->at, text);
}

static Status lex_tag(Lexer *x) {
    bool is_variable = x->s[x->at + 1] == '{';
    size_t n;
    TRY(add(x, is_variable ? T_VARIABLE_BEGIN : T_BLOCK_BEGIN, x->at, x->s + x->at, 2));
    x->at += 2;
    if (x->at < x->len && (x->s[x->at] == '-' || x->s[x->at] == '+')) x->at++;
    x->n_closers = 0;
    while (x->at < x->len && !x->failed) {
        if (tag_end(x, is_variable, &n)) {
            TRY(add(x, is_variable ? T_VARIABLE_END : T_BLOCK_END, x->at, x->s + x->at, n));
            x->at += n;
            x->line_starting = x->s[x->at - 1] == '\n';
            return OK;
        }
        n = space_len(x, x->at);
        x->at += n;
        if (n > 0) continue;
        bool found = false;
        char c = x->s[x->at];
        size_t width;
        if (is_digit(c))
            TRY(lex_number(x, &found));
        else if (is_word_start(x, x->at, &width))
            TRY(((found = true), lex_name(x)));
        else if (c == '\'' || c == '"')
            TRY(lex_string(x, &found));
        else
            TRY(lex_operator(x, &found));
        if (!found && !x->failed) TRY(unexpected_char(x));
    }
    return OK;
}

/* \r\n and \r become \n; one newline at the end goes. */
static Status normalize(Lexer *x, const char *source, size_t len) {
    char *copy;
    size_t n = 0;
    TRY(arena_alloc(x->arena, len + 1, 1, &copy, x->e));
    for (size_t i = 0; i < len; i++) {
        copy[n++] = source[i] == '\r' ? '\n' : source[i];
        if (source[i] == '\r' && i + 1 < len && source[i + 1] == '\n') i++;
    }
    if (n > 0 && copy[n - 1] == '\n') n--;
    x->s = copy;
    x->len = n;
    return OK;
}

Status jj_lex(Arena *a, const char *source, size_t len, Token **tokens, size_t *n, Err *e) {
    Lexer x = {.arena = a, .e = e, .line = 1, .line_starting = true};
    TRY(normalize(&x, source, len));
    while (x.at < x.len && !x.failed) {
        size_t tag = find_tag(&x), raw = 0;
        if (tag == x.len) {
            TRY(add(&x, T_DATA, x.at, x.s + x.at, x.len - x.at));
            break;
        }
        TRY(add_data(&x, x.at, tag, x.s[tag + 1] == '{'));
        x.at = tag;
        if (x.s[tag + 1] == '%') raw = raw_tag(&x, tag, "raw", false);
        if (raw > 0)
            TRY(lex_raw(&x, raw));
        else if (x.s[tag + 1] == '#')
            TRY(lex_comment(&x));
        else
            TRY(lex_tag(&x));
    }
    if (!x.failed) TRY(add(&x, T_EOF, x.len, "", 0));
    *tokens = x.tokens;
    *n = x.n;
    return OK;
}
