/* jinja_unicode.c: what Python knows of characters: case mappings, white space, classes. utf8proc has the simple mappings,
 * jinja_case_table.h those of one character to several. */
#include "data/jinja_internal.h"

#include "base/utf8.h"
#include "data/jinja_case_table.h"
#include "data/unicode.h"

#include <utf8proc.h>

enum { CAPITAL_SIGMA = 0x3A3, FINAL_SIGMA = 0x3C2, CAPITAL_I_DOT = 0x130 };

static int category(uint32_t cp) { return unicode_value(cp) & UNICODE_CATEGORY; }

bool jj_is_space(uint32_t cp) { return unicode_is_space(cp) || (cp >= 0x1C && cp <= 0x1F); }

bool jj_is_printable(uint32_t cp) {
    if (cp < 0x7F) return cp >= 0x20;
    int c = category(cp);
    return c != CATEGORY_CC && c != CATEGORY_CF && c != CATEGORY_CS && c != CATEGORY_CO && c != CATEGORY_CN &&
           c != CATEGORY_ZL && c != CATEGORY_ZP && c != CATEGORY_ZS;
}

bool jj_is_cased(uint32_t cp, bool *upper, bool *lower, bool *title) {
    int c = category(cp);
    *title = c == CATEGORY_LT;
    *upper = !*title && (c == CATEGORY_LU || (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp) != cp);
    *lower = !*title && !*upper &&
             (c == CATEGORY_LL || (uint32_t)utf8proc_toupper((utf8proc_int32_t)cp) != cp || cp == 0xAA || cp == 0xBA);
    return *title || *upper || *lower;
}

/* Digits that are no decimals: superscripts, circled ones and so on (Unicode's numeric type Digit). */
static bool is_other_digit(uint32_t cp) {
    static const uint32_t RANGES[][2] = {
        {0xB2, 0xB3},     {0xB9, 0xB9},       {0x1369, 0x1371},   {0x19DA, 0x19DA},   {0x2070, 0x2070},
        {0x2074, 0x2079}, {0x2080, 0x2089},   {0x2460, 0x2468},   {0x2474, 0x247C},   {0x2488, 0x2490},
        {0x24EA, 0x24EA}, {0x24F5, 0x24FD},   {0x24FF, 0x24FF},   {0x2776, 0x277E},   {0x2780, 0x2788},
        {0x278A, 0x2792}, {0x10A40, 0x10A43}, {0x10E60, 0x10E68}, {0x11052, 0x1105A}, {0x1F100, 0x1F10A}};
    for (size_t i = 0; i < sizeof RANGES / sizeof RANGES[0]; i++)
        if (cp >= RANGES[i][0] && cp <= RANGES[i][1]) return true;
    return false;
}

bool jj_char_is(uint32_t cp, CharClass which) {
    int c = category(cp);
    bool alpha = c >= CATEGORY_LU && c <= CATEGORY_LO, numeric = c >= CATEGORY_ND && c <= CATEGORY_NO;
    switch (which) {
    case CHAR_ALPHA:
        return alpha;
    case CHAR_DECIMAL:
        return c == CATEGORY_ND;
    case CHAR_DIGIT:
        return c == CATEGORY_ND || is_other_digit(cp);
    case CHAR_NUMERIC:
        return numeric;
    case CHAR_SPACE:
        return jj_is_space(cp);
    case CHAR_WORD:
        return alpha || numeric || cp == '_';
    case CHAR_PRINTABLE:
        return cp == ' ' || jj_is_printable(cp);
    }
    return false;
}

/* Characters that Final_Sigma looks through. */
static bool is_ignorable(uint32_t cp) {
    int c = category(cp);
    if (c == CATEGORY_MN || c == CATEGORY_ME || c == CATEGORY_CF || c == CATEGORY_LM || c == CATEGORY_SK) return true;
    return cp == '\'' || cp == '.' || cp == ':' || cp == 0xB7 || cp == 0x387 || cp == 0x55F || cp == 0x5F4 ||
           cp == 0x2018 || cp == 0x2019 || cp == 0x2024 || cp == 0x2027 || cp == 0xFE13 || cp == 0xFE52 ||
           cp == 0xFE55 || cp == 0xFF07 || cp == 0xFF0E || cp == 0xFF1A;
}

/* Whether the sigma at [at, at + 2) of the whole text ends a word. */
static bool is_final(const Str *s, size_t at) {
    const size_t begin = 0, end = s->len;
    uint32_t cp;
    bool upper, lower, title, before = false;
    for (size_t i = at; i > begin;) {
        do i--;
        while (((uint8_t)s->s[i] & 0xC0) == 0x80);
        utf8_decode(s->s + i, end - i, &cp);
        if (is_ignorable(cp)) continue;
        before = jj_is_cased(cp, &upper, &lower, &title);
        break;
    }
    if (!before) return false;
    for (size_t i = at + 2; i < end;) {
        i += (size_t)utf8_decode(s->s + i, end - i, &cp);
        if (!is_ignorable(cp)) return !jj_is_cased(cp, &upper, &lower, &title);
    }
    return true;
}

static const char *special(uint32_t cp, Case c) {
    size_t lo = 0, hi = sizeof SPECIAL_CASES / sizeof SPECIAL_CASES[0];
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (SPECIAL_CASES[mid].cp == cp) return c == CASE_UPPER ? SPECIAL_CASES[mid].upper : SPECIAL_CASES[mid].title;
        if (SPECIAL_CASES[mid].cp < cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

/* The mapping of one character as UTF-8; gives its length. */
static size_t map_char(uint32_t cp, Case c, char out[16]) {
    utf8proc_int32_t in = (utf8proc_int32_t)cp, folded[8];
    if (c == CASE_FOLD) {
        int class = 0;
        size_t n = 0;
        utf8proc_ssize_t k = utf8proc_decompose_char(in, folded, 8, UTF8PROC_CASEFOLD, &class);
        for (utf8proc_ssize_t i = 0; i < k && i < 4; i++) n += (size_t)utf8_encode((uint32_t)folded[i], out + n);
        return n;
    }
    const char *text = c == CASE_LOWER ? (cp == CAPITAL_I_DOT ? "i\xcc\x87" : NULL) : special(cp, c);
    if (text != NULL) {
        memcpy(out, text, strlen(text));
        return strlen(text);
    }
    in = c == CASE_LOWER ? utf8proc_tolower(in) : c == CASE_UPPER ? utf8proc_toupper(in) : utf8proc_totitle(in);
    return (size_t)utf8_encode((uint32_t)in, out);
}

Status jj_put_case(Run *r, Sink *k, const Str *s, size_t begin, size_t end, Case c) {
    char ascii[256], wide[16];
    TRY(jj_steps(r, (end - begin) / 16));
    for (size_t at = begin, n; at < end; at += n) {
        uint32_t cp;
        for (n = 0; at + n < end && n < sizeof ascii && (uint8_t)s->s[at + n] < 0x80; n++) {
            char x = s->s[at + n];
            bool is_lower = x >= 'a' && x <= 'z', is_upper = x >= 'A' && x <= 'Z',
                 up = c == CASE_UPPER || c == CASE_TITLE;
            ascii[n] = (char)((up && is_lower) || (!up && is_upper) ? x ^ 0x20 : x);
        }
        if (n > 0) { /* ASCII keeps its length: its spans as well */
            Value copy;
            TRY(jj_substr(r, s, at, at + n, &copy));
            Str mapped = *copy.str;
            mapped.s = ascii;
            if (mapped.spans == &copy.str->one) mapped.spans = &mapped.one;
            TRY(jj_put_all(r, k, &mapped));
            continue;
        }
        n = (size_t)utf8_decode(s->s + at, end - at, &cp);
        size_t len = map_char(cp, c, wide);
        if (c == CASE_LOWER && cp == CAPITAL_SIGMA && is_final(s, at)) len = (size_t)utf8_encode(FINAL_SIGMA, wide);
        TRY(jj_put_like(r, k, wide, len, s, at));
    }
    return OK;
}
