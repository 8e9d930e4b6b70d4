#define _GNU_SOURCE /* memmem */
/* jinja_text.c: what methods and filters of strings are made of: find, split, strip, replace, join, numbers in text.
 * Everything keeps the sources of its bytes. */
#include "data/jinja_internal.h"

#include "base/utf8.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* In windows, so that a call that finds something near costs little, whatever memmem looks at first. */
bool jj_find_bytes(const Str *s, size_t from, const Str *what, size_t *at) {
    if (from > s->len || what->len > s->len - from) return false;
    *at = from;
    if (what->len == 0) return true;
    size_t step = what->len < 1024 ? 4096 : what->len * 4;
    for (; s->len - from >= what->len; from += step) {
        size_t window = s->len - from < step + what->len - 1 ? s->len - from : step + what->len - 1;
        const char *p = memmem(s->s + from, window, what->s, what->len);
        if (p != NULL) *at = (size_t)(p - s->s);
        if (p != NULL || s->len - from <= step) return p != NULL;
    }
    return false;
}

/* The last place before `end`; a place that looks alike costs its steps. */
Status jj_rfind(Run *r, const Str *s, size_t end, const Str *what, bool *found, size_t *at) {
    *found = false;
    if (what->len > end) return OK;
    TRY(jj_steps(r, end / 64));
    for (*at = end - what->len;; --*at) {
        if (what->len == 0 || s->s[*at] == what->s[0]) {
            TRY(jj_steps(r, what->len / 64));
            *found = what->len == 0 || memcmp(s->s + *at, what->s, what->len) == 0;
        }
        if (*found || *at == 0) return OK;
    }
}

/* The character that ends at `end` of s. */
static uint32_t last_char(const char *s, size_t end, size_t *len) {
    uint32_t cp = 0;
    size_t at = end - 1;
    while (at > 0 && ((uint8_t)s[at] & 0xC0) == 0x80) at--;
    utf8_decode(s + at, end - at, &cp);
    *len = end - at;
    return cp;
}

/* ---- lists of pieces --------------------------------------------------------------------------------------------- */

typedef struct Pieces {
    Value *items;
    size_t n, cap;
} Pieces;

static Status add_piece(Run *r, Pieces *p, const Str *s, size_t begin, size_t end) {
    if (p->n == p->cap) {
        size_t cap = p->cap == 0 ? 8 : p->cap * 2;
        Value *more;
        TRY(JJ_NEW(r, cap, more));
        if (p->n > 0) memcpy(more, p->items, p->n * sizeof *more);
        p->items = more;
        p->cap = cap;
    }
    TRY(jj_steps(r, 1));
    return jj_substr(r, s, begin, end, &p->items[p->n++]);
}

static Status pieces_list(Run *r, Pieces *p, bool reversed, Value *out) {
    TRY(jj_list(r, V_LIST, p->n, out));
    for (size_t i = 0; i < p->n; i++) out->list->items[i] = p->items[reversed ? p->n - 1 - i : i];
    return OK;
}

static Status split_spaces(Run *r, const Str *s, int64_t max, Pieces *p) {
    size_t at = 0;
    uint32_t cp;
    for (;;) {
        while (at < s->len) {
            int n = utf8_decode(s->s + at, s->len - at, &cp);
            if (!jj_is_space(cp)) break;
            at += (size_t)n;
        }
        if (at >= s->len) return OK;
        size_t begin = at;
        if (max >= 0 && (int64_t)p->n >= max) return add_piece(r, p, s, begin, s->len);
        while (at < s->len) {
            int n = utf8_decode(s->s + at, s->len - at, &cp);
            if (jj_is_space(cp)) break;
            at += (size_t)n;
        }
        TRY(add_piece(r, p, s, begin, at));
    }
}

static Status rsplit_spaces(Run *r, const Str *s, int64_t max, Pieces *p) {
    size_t at = s->len, n;
    for (;;) {
        while (at > 0 && jj_is_space(last_char(s->s, at, &n))) at -= n;
        if (at == 0) return OK;
        size_t end = at;
        if (max >= 0 && (int64_t)p->n >= max) return add_piece(r, p, s, 0, end);
        while (at > 0 && !jj_is_space(last_char(s->s, at, &n))) at -= n;
        TRY(add_piece(r, p, s, at, end));
    }
}

Status jj_split(Run *r, const Str *s, const Value *sep, int64_t max, bool from_right, Value *out) {
    Pieces p = {0};
    size_t at, from = 0, end = s->len;
    TRY(jj_steps(r, s->len / 64));
    if (sep->type == V_MISSING || sep->type == V_NONE) {
        TRY(from_right ? rsplit_spaces(r, s, max, &p) : split_spaces(r, s, max, &p));
        return pieces_list(r, &p, from_right, out);
    }
    if (sep->type != V_STRING) return jj_raise(r, "must be str or None, not %s", jj_type_name(sep));
    if (sep->str->len == 0) return jj_raise(r, "empty separator");
    if (from_right) {
        while (max < 0 || (int64_t)p.n < max) {
            bool found;
            TRY(jj_rfind(r, s, end, sep->str, &found, &at));
            if (!found) break;
            TRY(add_piece(r, &p, s, at + sep->str->len, end));
            end = at;
        }
        TRY(add_piece(r, &p, s, 0, end));
        return pieces_list(r, &p, true, out);
    }
    while ((max < 0 || (int64_t)p.n < max) && jj_find_bytes(s, from, sep->str, &at)) {
        TRY(add_piece(r, &p, s, from, at));
        from = at + sep->str->len;
    }
    TRY(add_piece(r, &p, s, from, s->len));
    return pieces_list(r, &p, false, out);
}

static bool is_line_end(uint32_t cp) {
    return (cp >= 0x0A && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x1E) || cp == 0x85 || cp == 0x2028 || cp == 0x2029;
}

Status jj_splitlines(Run *r, const Str *s, bool keep, Value *out) {
    Pieces p = {0};
    size_t from = 0;
    uint32_t cp;
    for (size_t at = 0, n; at < s->len; at += n) {
        n = (size_t)utf8_decode(s->s + at, s->len - at, &cp);
        if (!is_line_end(cp)) continue;
        if (cp == '\r' && at + 1 < s->len && s->s[at + 1] == '\n') n = 2;
        TRY(add_piece(r, &p, s, from, keep ? at + n : at));
        from = at + n;
    }
    if (from < s->len) TRY(add_piece(r, &p, s, from, s->len));
    return pieces_list(r, &p, false, out);
}

/* ---- new texts --------------------------------------------------------------------------------------------------- */

Status jj_replace(Run *r, const Str *s, const Str *old, const Str *new_, int64_t count, Value *out) {
    Sink k = {0};
    size_t from = 0, at = 0;
    TRY(jj_steps(r, 1 + s->len / 64));
    if (old->len == 0) { /* before every character and at the end */
        for (size_t i = 0; i <= s->chars && (count < 0 || (int64_t)i < count); i++) {
            size_t n = i < s->chars ? jj_char_len(s->s + at) : 0;
            TRY(jj_steps(r, 1));
            TRY(jj_put_all(r, &k, new_));
            TRY(jj_put_str(r, &k, s, at, at + n));
            at += n;
        }
        TRY(jj_put_str(r, &k, s, at, s->len));
    } else {
        for (int64_t done = 0; (count < 0 || done < count) && jj_find_bytes(s, from, old, &at); done++) {
            TRY(jj_steps(r, 1));
            TRY(jj_put_str(r, &k, s, from, at));
            TRY(jj_put_all(r, &k, new_));
            from = at + old->len;
        }
        TRY(jj_put_str(r, &k, s, from, s->len));
    }
    TRY(jj_sink_value(r, &k, out));
    return s->markup ? jj_as_markup(r, out, out) : OK;
}

/* Whether the character is to be stripped: white space, or one of chars. */
static bool strips(uint32_t cp, const Value *chars) {
    if (chars->type != V_STRING) return jj_is_space(cp);
    for (size_t i = 0; i < chars->str->len; i += jj_char_len(chars->str->s + i)) {
        uint32_t c;
        utf8_decode(chars->str->s + i, chars->str->len - i, &c);
        if (c == cp) return true;
    }
    return false;
}

Status jj_strip(Run *r, const Str *s, const Value *chars, int sides, Value *out) {
    size_t begin = 0, end = s->len, n;
    uint32_t cp;
    if (chars->type != V_MISSING && chars->type != V_NONE && chars->type != V_STRING)
        return jj_raise(r, "%s arg must be None or str", sides == 3 ? "strip" : sides == 1 ? "lstrip" : "rstrip");
    size_t cost = chars->type == V_STRING ? chars->str->chars / 8 : 0;
    while ((sides & 1) && begin < end) {
        n = (size_t)utf8_decode(s->s + begin, end - begin, &cp);
        TRY(jj_steps(r, cost));
        if (!strips(cp, chars)) break;
        begin += n;
    }
    while ((sides & 2) && end > begin) {
        TRY(jj_steps(r, cost));
        if (!strips(last_char(s->s, end, &n), chars)) break;
        end -= n;
    }
    TRY(jj_steps(r, (begin + s->len - end) / 8));
    return jj_substr(r, s, begin, end, out);
}

Status jj_join(Run *r, const Str *separator, const Value *items, size_t n, Value *out) {
    Sink k = {0};
    for (size_t i = 0; i < n; i++) {
        TRY(jj_steps(r, 1));
        if (i > 0) TRY(jj_put_all(r, &k, separator));
        TRY(jj_put_value(r, &k, &items[i]));
    }
    return jj_sink_value(r, &k, out);
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

/* s without white space around it and without underscores between digits; false when it has something else or is too long. */
static bool plain_number(const Str *s, char *out, size_t cap) {
    size_t begin = 0, end = s->len, n = 0, k;
    uint32_t cp;
    while (begin < end) {
        k = (size_t)utf8_decode(s->s + begin, end - begin, &cp);
        if (!jj_is_space(cp)) break;
        begin += k;
    }
    while (end > begin && jj_is_space(last_char(s->s, end, &k))) end -= k;
    if (end - begin >= cap || begin == end) return false;
    for (size_t i = begin; i < end; i++) {
        char c = s->s[i];
        if (c == '_') {
            bool between = i > begin && i + 1 < end && s->s[i - 1] != '_' && s->s[i - 1] != '+' && s->s[i - 1] != '-' &&
                           s->s[i - 1] != '.' && s->s[i + 1] != '.';
            if (!between) return false;
            continue;
        }
        if ((uint8_t)c <= ' ' || (uint8_t)c >= 0x7F) return false;
        out[n++] = c;
    }
    out[n] = 0;
    return true;
}

Status jj_parse_int(const Str *s, int base, bool *ok, bool *overflow, int64_t *out) {
    char text[128], *p = text, *end;
    *overflow = false;
    *ok = (base == 0 || (base >= 2 && base <= 36)) && plain_number(s, text, sizeof text);
    if (!*ok) return OK;
    bool negative = *p == '-';
    if (*p == '-' || *p == '+') p++;
    if (*p == '0' && p[1] != 0) {
        int c = p[1] | 0x20, prefix = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 0;
        if (prefix != 0 && (base == prefix || base == 0)) {
            base = prefix;
            p += 2;
        } else if (base == 0) {
            *ok = strspn(p, "0") == strlen(p);
            base = 10;
        }
    }
    if (base == 0) base = 10;
    if (*p == 0 || *p == '-' || *p == '+') *ok = false;
    if (!*ok) return OK;
    errno = 0;
    unsigned long long v = strtoull(p, &end, base);
    *ok = *end == 0 && end != p && !((p[0] == '0' && ((p[1] | 0x20) == 'x') && base == 16));
    *overflow = *ok && (errno == ERANGE || v > (uint64_t)INT64_MAX + negative);
    *out = negative ? (int64_t)(0 - v) : (int64_t)v;
    return OK;
}

bool jj_parse_float(const Str *s, double *out) {
    char text[400], *end;
    if (!plain_number(s, text, sizeof text)) return false;
    const char *p = text + (text[0] == '-' || text[0] == '+');
    if ((*p < '0' || *p > '9') && *p != '.') { /* inf, infinity, nan in any case; nothing else that strtod takes */
        char low[16];
        size_t n = 0;
        for (; p[n] != 0 && n < 15; n++) low[n] = (char)(p[n] | 0x20);
        low[n] = 0;
        bool is_nan = strcmp(low, "nan") == 0;
        if (!is_nan && strcmp(low, "inf") != 0 && strcmp(low, "infinity") != 0) return false;
        *out = is_nan ? (double)NAN : text[0] == '-' ? -(double)INFINITY : (double)INFINITY;
        return true;
    }
    if (strpbrk(p, "xXpP") != NULL) return false;
    *out = strtod(text, &end);
    return *end == 0 && end != text;
}
