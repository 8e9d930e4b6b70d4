/* jinja_methods_text.c: methods of strings that give strings and lists; jinja_methods.c has the others.
 *
 * self is the string, v the arguments in the order of the row's parameters. */
#include "data/jinja_internal.h"

#include "base/utf8.h"

#define METHOD(name) static Status name(Run *r, const Value *self, const Value *v, const Args *args, Value *out)
#define UNUSED (void)v, (void)args

static Status cased(Run *r, const Str *s, Case first, Case rest, Value *out) {
    Sink k = {0};
    size_t n = first == rest || s->len == 0 ? 0 : jj_char_len(s->s);
    TRY(jj_put_case(r, &k, s, 0, n, first));
    TRY(jj_put_case(r, &k, s, n, s->len, rest));
    TRY(jj_sink_value(r, &k, out));
    return s->markup ? jj_as_markup(r, out, out) : OK;
}

METHOD(str_upper) {
    UNUSED;
    return cased(r, self->str, CASE_UPPER, CASE_UPPER, out);
}
METHOD(str_lower) {
    UNUSED;
    return cased(r, self->str, CASE_LOWER, CASE_LOWER, out);
}
METHOD(str_casefold) {
    UNUSED;
    return cased(r, self->str, CASE_FOLD, CASE_FOLD, out);
}
METHOD(str_capitalize) {
    UNUSED;
    return cased(r, self->str, CASE_TITLE, CASE_LOWER, out);
}

/* The first letter of each run of letters in title case, the others in lower case; or each in the other case. */
static Status by_letter(Run *r, const Str *s, bool swap, Value *out) {
    Sink k = {0};
    bool upper, lower, title, inside = false;
    uint32_t cp;
    for (size_t at = 0, n; at < s->len; at += n) {
        n = (size_t)utf8_decode(s->s + at, s->len - at, &cp);
        bool is_cased = jj_is_cased(cp, &upper, &lower, &title);
        Case c = swap ? (upper ? CASE_LOWER : CASE_UPPER) : inside ? CASE_LOWER : CASE_TITLE;
        TRY(jj_steps(r, 1));
        if (swap && !upper && !lower)
            TRY(jj_put_str(r, &k, s, at, at + n));
        else
            TRY(jj_put_case(r, &k, s, at, at + n, c));
        inside = is_cased;
    }
    TRY(jj_sink_value(r, &k, out));
    return s->markup ? jj_as_markup(r, out, out) : OK;
}

METHOD(str_title) {
    UNUSED;
    return by_letter(r, self->str, false, out);
}
METHOD(str_swapcase) {
    UNUSED;
    return by_letter(r, self->str, true, out);
}
METHOD(str_strip) {
    (void)args;
    return jj_strip(r, self->str, &v[0], 3, out);
}
METHOD(str_lstrip) {
    (void)args;
    return jj_strip(r, self->str, &v[0], 1, out);
}
METHOD(str_rstrip) {
    (void)args;
    return jj_strip(r, self->str, &v[0], 2, out);
}

static Status want_int(Run *r, const Value *v, int64_t fallback, int64_t *out) {
    *out = fallback;
    if (v->type == V_MISSING) return OK;
    if (!jj_index(v, out)) return jj_raise(r, "'%s' object cannot be interpreted as an integer", jj_type_name(v));
    return OK;
}

METHOD(str_split) {
    int64_t max;
    (void)args;
    TRY(want_int(r, &v[1], -1, &max));
    return jj_split(r, self->str, &v[0], max, false, out);
}

METHOD(str_rsplit) {
    int64_t max;
    (void)args;
    TRY(want_int(r, &v[1], -1, &max));
    return jj_split(r, self->str, &v[0], max, true, out);
}

METHOD(str_splitlines) {
    (void)args;
    return jj_splitlines(r, self->str, jj_truth(&v[0]), out);
}

static Status partition(Run *r, const Str *s, const Value *sep, bool last, Value *out) {
    size_t at = 0;
    bool found;
    if (sep->type != V_STRING) return jj_raise(r, "must be str, not %s", jj_type_name(sep));
    if (sep->str->len == 0) return jj_raise(r, "empty separator");
    if (last)
        TRY(jj_rfind(r, s, s->len, sep->str, &found, &at));
    else
        found = jj_find_bytes(s, 0, sep->str, &at);
    size_t a = found ? at : last ? 0 : s->len, b = found ? at + sep->str->len : a;
    TRY(jj_list(r, V_TUPLE, 3, out));
    TRY(jj_substr(r, s, 0, a, &out->list->items[0]));
    TRY(jj_substr(r, s, a, b, &out->list->items[1]));
    return jj_substr(r, s, b, s->len, &out->list->items[2]);
}

METHOD(str_partition) {
    (void)args;
    return partition(r, self->str, &v[0], false, out);
}
METHOD(str_rpartition) {
    (void)args;
    return partition(r, self->str, &v[0], true, out);
}

METHOD(str_replace) {
    int64_t count;
    Value new_ = v[1];
    (void)args;
    for (int i = 0; i < 2; i++)
        if (v[i].type != V_STRING)
            return jj_raise(r, "replace() argument %d must be str, not %s", i + 1, jj_type_name(&v[i]));
    TRY(want_int(r, &v[2], -1, &count));
    if (self->str->markup) TRY(jj_escape_html(r, &v[1], &new_));
    return jj_replace(r, self->str, v[0].str, new_.str, count, out);
}

METHOD(str_join) {
    const Value *items;
    size_t n;
    (void)args;
    if (!jj_is_iterable(&v[0])) return jj_raise(r, "can only join an iterable");
    TRY(jj_elements(r, &v[0], &items, &n));
    for (size_t i = 0; i < n; i++)
        if (items[i].type != V_STRING && !self->str->markup)
            return jj_raise(r, "sequence item %zu: expected str instance, %s found", i, jj_type_name(&items[i]));
    if (!self->str->markup) return jj_join(r, self->str, items, n, out);
    Value escaped;
    TRY(jj_list(r, V_LIST, n, &escaped));
    for (size_t i = 0; i < n; i++) TRY(jj_escape_html(r, &items[i], &escaped.list->items[i]));
    TRY(jj_join(r, self->str, escaped.list->items, n, out));
    return jj_as_markup(r, out, out);
}

METHOD(str_format) {
    (void)v;
    return jj_format(r, self->str, args, out);
}

/* Fills up to `width` characters: left and right of the text. */
static Status pad(Run *r, const Value *self, const Value *v, int where, Value *out) {
    int64_t width;
    Sink k = {0};
    const Str *s = self->str, *fill = NULL;
    TRY(want_int(r, &v[0], 0, &width));
    if (v[1].type != V_MISSING) {
        if (v[1].type != V_STRING || v[1].str->chars != 1)
            return jj_raise(r, "The fill character must be exactly one character long");
        fill = v[1].str;
    }
    size_t total = width > (int64_t)s->chars ? (size_t)width - s->chars : 0;
    if (total > r->text_max) return jj_put_spaces(r, &k, total);
    size_t left = where < 0 ? 0 : where > 0 ? total : total / 2 + (total & (size_t)width & 1);
    for (size_t i = 0; i < total; i++) {
        if (i == left) TRY(jj_put_all(r, &k, s));
        TRY(jj_steps(r, 1));
        TRY(fill != NULL ? jj_put_all(r, &k, fill) : jj_puts(r, &k, " "));
    }
    if (left == total) TRY(jj_put_all(r, &k, s));
    TRY(jj_sink_value(r, &k, out));
    return s->markup ? jj_as_markup(r, out, out) : OK;
}

METHOD(str_center) {
    (void)args;
    return pad(r, self, v, 0, out);
}
METHOD(str_ljust) {
    (void)args;
    return pad(r, self, v, -1, out);
}
METHOD(str_rjust) {
    (void)args;
    return pad(r, self, v, 1, out);
}

METHOD(str_zfill) {
    int64_t width;
    Sink k = {0};
    const Str *s = self->str;
    (void)args;
    TRY(want_int(r, &v[0], 0, &width));
    size_t total = width > (int64_t)s->chars ? (size_t)width - s->chars : 0,
           sign = s->len > 0 && (s->s[0] == '-' || s->s[0] == '+');
    if (total > r->text_max) return jj_put_spaces(r, &k, total);
    TRY(jj_put_str(r, &k, s, 0, sign));
    for (size_t i = 0; i < total; i++) {
        TRY(jj_steps(r, 1));
        TRY(jj_puts(r, &k, "0"));
    }
    TRY(jj_put_str(r, &k, s, sign, s->len));
    return jj_sink_value(r, &k, out);
}

METHOD(str_removeprefix) {
    size_t at;
    (void)args;
    if (v[0].type != V_STRING) return jj_raise(r, "removeprefix() argument must be str, not %s", jj_type_name(&v[0]));
    Str head = *self->str;
    TRY(jj_steps(r, v[0].str->len / 64));
    if (head.len > v[0].str->len) head.len = v[0].str->len;
    bool has = jj_find_bytes(&head, 0, v[0].str, &at);
    return jj_substr(r, self->str, has ? v[0].str->len : 0, self->str->len, out);
}

METHOD(str_removesuffix) {
    (void)args;
    if (v[0].type != V_STRING) return jj_raise(r, "removesuffix() argument must be str, not %s", jj_type_name(&v[0]));
    size_t n = v[0].str->len, len = self->str->len;
    TRY(jj_steps(r, n / 64));
    bool has = n <= len && n > 0 && memcmp(self->str->s + len - n, v[0].str->s, n) == 0;
    return jj_substr(r, self->str, 0, has ? len - n : len, out);
}

METHOD(str_expandtabs) {
    int64_t size;
    size_t column = 0, from = 0;
    Sink k = {0};
    const Str *s = self->str;
    (void)args;
    TRY(want_int(r, &v[0], 8, &size));
    for (size_t at = 0; at < s->len; at++) {
        TRY(jj_steps(r, 1));
        if (s->s[at] != '\t') {
            if (((uint8_t)s->s[at] & 0xC0) != 0x80) column++;
            if (s->s[at] == '\n' || s->s[at] == '\r') column = 0;
            continue;
        }
        TRY(jj_put_str(r, &k, s, from, at));
        size_t n = size > 0 ? (size_t)size - column % (size_t)size : 0;
        TRY(jj_put_spaces(r, &k, n));
        column += n;
        from = at + 1;
    }
    TRY(jj_put_str(r, &k, s, from, s->len));
    return jj_sink_value(r, &k, out);
}

const Function JJ_TEXT_METHODS[] = {
    {"upper", "str.upper", "", str_upper},
    {"lower", "str.lower", "", str_lower},
    {"casefold", "str.casefold", "", str_casefold},
    {"capitalize", "str.capitalize", "", str_capitalize},
    {"title", "str.title", "", str_title},
    {"swapcase", "str.swapcase", "", str_swapcase},
    {"strip", "str.strip", "chars=", str_strip},
    {"lstrip", "str.lstrip", "chars=", str_lstrip},
    {"rstrip", "str.rstrip", "chars=", str_rstrip},
    {"split", "str.split", "sep= maxsplit=", str_split},
    {"rsplit", "str.rsplit", "sep= maxsplit=", str_rsplit},
    {"splitlines", "str.splitlines", "keepends=", str_splitlines},
    {"partition", "str.partition", "sep", str_partition},
    {"rpartition", "str.rpartition", "sep", str_rpartition},
    {"replace", "str.replace", "old new count=", str_replace},
    {"join", "str.join", "iterable", str_join},
    {"format", "str.format", "*", str_format},
    {"center", "str.center", "width fillchar=", str_center},
    {"ljust", "str.ljust", "width fillchar=", str_ljust},
    {"rjust", "str.rjust", "width fillchar=", str_rjust},
    {"zfill", "str.zfill", "width", str_zfill},
    {"removeprefix", "str.removeprefix", "prefix", str_removeprefix},
    {"removesuffix", "str.removesuffix", "suffix", str_removesuffix},
    {"expandtabs", "str.expandtabs", "tabsize=", str_expandtabs},
};
const size_t JJ_N_TEXT_METHODS = sizeof JJ_TEXT_METHODS / sizeof JJ_TEXT_METHODS[0];
