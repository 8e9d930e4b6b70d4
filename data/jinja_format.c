/* jinja_format.c: "..." % values and "...".format(...), as Python does them; what is formatted keeps its sources. */
#include "data/jinja_internal.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>

typedef struct Spec {
    char fill[5];
    char align, sign, type, comma;
    bool alternate, zero;
    int64_t width, precision; /* -1: not given */
} Spec;

enum { FIELD_MAX = 1000000, PRECISION_MAX = 400 };

static Status check_spec(Run *r, const Spec *s) {
    if (s->width > FIELD_MAX || s->precision > FIELD_MAX)
        return jj_limit(r, "a field of a format is too wide: at most %d", (int)FIELD_MAX);
    return OK;
}

/* Text (of a number: with its sign) in its field. */
static Status put_field(Run *r, Sink *k, const Spec *s, const Str *text, char default_align) {
    int64_t chars = (int64_t)text->chars, room = s->width > chars ? s->width - chars : 0;
    char align = s->align != 0 ? s->align : default_align;
    int64_t left = align == '<' ? 0 : align == '^' ? room / 2 : align == '=' ? 0 : room;
    size_t sign = align == '=' && text->len > 0 && strchr("+- ", text->s[0]) != NULL;
    if (align == '=' && text->len > sign + 1 && text->s[sign] == '0' && strchr("xXob", text->s[sign + 1]) != NULL &&
        s->alternate)
        sign += 2;
    const char *fill = s->fill[0] != 0 ? s->fill : " ";
    TRY(jj_steps(r, (size_t)room / 8));
    for (int64_t i = 0; i < left; i++) TRY(jj_puts(r, k, fill));
    TRY(jj_put_str(r, k, text, 0, sign));
    for (int64_t i = 0; align == '=' && i < room; i++) TRY(jj_puts(r, k, fill));
    TRY(jj_put_str(r, k, text, sign, text->len));
    for (int64_t i = left; align != '=' && i < room; i++) TRY(jj_puts(r, k, fill));
    return OK;
}

static Status put_plain_field(Run *r, Sink *k, const Spec *s, const char *text, char default_align) {
    Value v;
    TRY(jj_text(r, text, &v));
    return put_field(r, k, s, v.str, default_align);
}

static Status put_text_field(Run *r, Sink *k, const Spec *s, const Str *text) {
    Value v = {.type = V_STRING, .str = text};
    if (s->precision >= 0 && (size_t)s->precision < text->chars)
        TRY(jj_substr(r, text, 0, jj_char_at(text, (size_t)s->precision), &v));
    return put_field(r, k, s, v.str, '<');
}

static const char *sign_of(bool negative, const Spec *s) {
    return negative ? "-" : s->sign == '+' ? "+" : s->sign == ' ' ? " " : "";
}

/* Commas (or underscores) between groups of digits of the whole part of text. */
static void group(char *text, size_t cap, char comma, int every) {
    char out[200];
    size_t n = 0, digits = strspn(text, "0123456789abcdefABCDEF");
    for (size_t i = 0; text[i] != 0 && n + 2 < sizeof out; i++) {
        if (i > 0 && i < digits && (digits - i) % (size_t)every == 0) out[n++] = comma;
        out[n++] = text[i];
    }
    out[n] = 0;
    snprintf(text, cap, "%s", out);
}

static Status put_int_field(Run *r, Sink *k, const Spec *s, int64_t v) {
    char digits[200], text[320];
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    const char *prefix = "";
    size_t n = 0;
    if (s->type == 'b') {
        for (int bit = 63; bit >= 0; bit--)
            if (u >> bit != 0 || bit == 0) digits[n++] = (char)('0' + (u >> bit & 1));
        digits[n] = 0;
        prefix = "0b";
    } else {
        prefix = s->type == 'x' ? "0x" : s->type == 'X' ? "0X" : s->type == 'o' ? "0o" : "";
        snprintf(digits, sizeof digits,
                 s->type == 'x'   ? "%llx"
                 : s->type == 'X' ? "%llX"
                 : s->type == 'o' ? "%llo"
                                  : "%llu",
                 (unsigned long long)u);
    }
    if (s->comma != 0)
        group(digits, sizeof digits, s->comma,
              s->type == 'x' || s->type == 'X' || s->type == 'o' || s->type == 'b' ? 4 : 3);
    size_t len = strlen(digits), zeros = s->precision > (int64_t)len ? (size_t)s->precision - len : 0;
    if (zeros > 100) zeros = 100;
    snprintf(text, sizeof text, "%s%s%.*s%s", sign_of(v < 0, s), s->alternate ? prefix : "", (int)zeros,
             "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
             digits);
    return put_plain_field(r, k, s, text, '>');
}

static Status put_float_field(Run *r, Sink *k, const Spec *s, double v) {
    char body[800], text[840], type = s->type;
    int precision = s->precision < 0 ? 6 : (int)s->precision;
    if (precision > PRECISION_MAX) return jj_limit(r, "a format has too many digits: at most %d", (int)PRECISION_MAX);
    double a = fabs(v);
    if (type == '%') a *= 100;
    if (isnan(a) || isinf(a)) {
        snprintf(body, sizeof body, "%s", isnan(a) ? "nan" : "inf");
    } else if (type == 0 && s->precision < 0) {
        jj_float_repr(a, body);
    } else {
        char format[16];
        snprintf(format, sizeof format, "%%%s.*%c", s->alternate ? "#" : "",
                 type == 0 || type == 'n' ? 'g'
                 : type == '%'            ? 'f'
                                          : type);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(body, sizeof body, format, precision, a);
#pragma GCC diagnostic pop
        if (type == 0 && strpbrk(body, ".en") == NULL) strcat(body, ".0");
    }
    if (s->comma != 0 && strlen(body) < 100) group(body, sizeof body, s->comma, 3);
    snprintf(text, sizeof text, "%s%s%s", sign_of(signbit(v) && !isnan(v), s), body, type == '%' ? "%" : "");
    return put_plain_field(r, k, s, text, '>');
}

/* ---- "%" --------------------------------------------------------------------------------------------------------- */

typedef struct Percent {
    const Value *values;
    int64_t at, n; /* -2, -1: one value that is no tuple */
    bool mapping;
} Percent;

static Status next_value(Run *r, Percent *p, const Value **out) {
    if (p->at >= p->n) return jj_raise(r, "not enough arguments for format string");
    p->at++;
    *out = p->n < 0 ? p->values : &p->values->list->items[p->at - 1];
    return OK;
}

static Status star_or_number(Run *r, Percent *p, const Str *f, size_t *i, int64_t *out, bool is_width, Spec *s) {
    const Value *v = NULL;
    if (*i < f->len && f->s[*i] == '*') {
        TRY(next_value(r, p, &v));
        if (!jj_index(v, out)) return jj_raise(r, "* wants int");
        if (is_width && *out < 0) {
            s->align = '<';
            *out = *out == INT64_MIN ? INT64_MAX : -*out;
        }
        ++*i;
        return OK;
    }
    for (; *i < f->len && f->s[*i] >= '0' && f->s[*i] <= '9'; ++*i) {
        *out = (*out < 0 ? 0 : *out) * 10 + (f->s[*i] - '0');
        if (*out > FIELD_MAX) return jj_limit(r, "a field of a format is too wide: at most %d", (int)FIELD_MAX);
    }
    return OK;
}

static Status percent_number(Run *r, Sink *k, Spec *s, const Value *v) {
    int64_t i;
    double d;
    bool whole = strchr("diuxXo", s->type) != NULL;
    if (s->zero && s->align == 0) {
        s->align = '=';
        s->fill[0] = '0';
    }
    if (whole && v->type == V_FLOAT && strchr("diu", s->type) != NULL) {
        if (!(fabs(v->f) < 9e18)) return jj_leaves_64_bits(r);
        return put_int_field(r, k, s, (int64_t)v->f);
    }
    if (v->type == V_UNDEFINED) return jj_fail_undefined(r, v);
    if (v->type == V_DIGITS) return jj_leaves_64_bits(r);
    if (whole) {
        if (!jj_index(v, &i))
            return jj_raise(r,
                            strchr("diu", s->type) != NULL ? "%%%c format: a real number is required, not %s"
                                                           : "%%%c format: an integer is required, not %s",
                            s->type, jj_type_name(v));
        return put_int_field(r, k, s, i);
    }
    if (!jj_number(v, &d)) return jj_raise(r, "must be real number, not %s", jj_type_name(v));
    return put_float_field(r, k, s, d);
}

static Status percent_char(Run *r, Sink *k, const Spec *s, const Value *v) {
    int64_t i;
    char text[5] = {0};
    if (v->type == V_STRING && v->str->chars == 1) return put_field(r, k, s, v->str, '>');
    if (!jj_index(v, &i)) return jj_raise(r, "%%c requires int or char");
    if (i < 0 || i > 0x10FFFF || (i >= 0xD800 && i < 0xE000)) return jj_raise(r, "%%c arg not in range(0x110000)");
    Str one = {.s = text, .len = (size_t)utf8_encode((uint32_t)i, text), .chars = 1}; /* may be NUL */
    one.one.end = one.len;
    one.spans = &one.one;
    one.n_spans = 1;
    return put_field(r, k, s, &one, '>');
}

/* (name): the value that is looked up. */
static Status percent_key(Run *r, Percent *p, const Str *f, size_t *i, const Value **keyed) {
    size_t begin = ++*i;
    Value key;
    const char *text;
    if (!p->mapping) return jj_raise(r, "format requires a mapping");
    for (int depth = 1; depth > 0; ++*i) {
        if (*i >= f->len) return jj_raise(r, "incomplete format key");
        depth += f->s[*i] == '(' ? 1 : f->s[*i] == ')' ? -1 : 0;
    }
    TRY(jj_substr(r, f, begin, *i - 1, &key));
    if (p->values->type == V_UNDEFINED) return jj_fail_undefined(r, p->values);
    if (p->values->type != V_DICT) return jj_raise(r, "list indices must be integers or slices, not str");
    TRY(jj_dict_find(r, p->values->dict, &key, keyed));
    if (*keyed != NULL) return OK;
    TRY(jj_repr_text(r, &key, &text));
    return jj_raise(r, "%s", text);
}

static Status percent_one(Run *r, Sink *k, Percent *p, const Str *f, size_t *i) {
    Spec s = {.width = -1, .precision = -1};
    const Value *v = NULL;
    const Str *text;
    Value repr;
    Sink piece = {0};
    if (*i < f->len && f->s[*i] == '(') TRY(percent_key(r, p, f, i, &v));
    for (; *i < f->len && strchr("-+ #0", f->s[*i]) != NULL; ++*i) {
        char c = f->s[*i];
        if (c == '-') s.align = '<';
        if (c == '+' || (c == ' ' && s.sign == 0)) s.sign = c;
        s.alternate = s.alternate || c == '#';
        s.zero = s.zero || c == '0';
    }
    TRY(star_or_number(r, p, f, i, &s.width, true, &s));
    if (*i < f->len && f->s[*i] == '.') {
        s.precision = 0;
        ++*i;
        TRY(star_or_number(r, p, f, i, &s.precision, false, &s));
        if (s.precision < 0) s.precision = 0;
    }
    TRY(check_spec(r, &s));
    if (*i < f->len && strchr("hlL", f->s[*i]) != NULL) ++*i;
    if (*i >= f->len) return jj_raise(r, "incomplete format");
    s.type = f->s[(*i)++];
    if (s.type == '%') return jj_puts(r, k, "%");
    if (v == NULL) TRY(next_value(r, p, &v));
    if (s.type == 's') {
        if (s.align == 0) s.align = '>';
        TRY(jj_to_str(r, v, &text));
        return put_text_field(r, k, &s, text);
    }
    if (s.type == 'r' || s.type == 'a') {
        if (s.align == 0) s.align = '>';
        TRY(jj_put_repr(r, &piece, v, 0));
        TRY(jj_sink_value(r, &piece, &repr));
        return put_text_field(r, k, &s, repr.str);
    }
    if (s.type == 'c') return percent_char(r, k, &s, v);
    if (strchr("diuxXoeEfFgG", s.type) != NULL) return percent_number(r, k, &s, v);
    uint32_t cp = 0;
    int n = utf8_decode(f->s + *i - 1, f->len - *i + 1, &cp);
    return jj_raise(r, "unsupported format character '%.*s' (0x%x) at index %zu", n, f->s + *i - 1, cp,
                    jj_count_chars(f->s, *i - 1));
}

Status jj_percent(Run *r, const Str *format, const Value *values, Value *out) {
    Value escaped;
    Sink k = {0};
    if (format->markup) {
        TRY(jj_escaped_parts(r, values, &escaped));
        values = &escaped;
    }
    bool tuple = values->type == V_TUPLE;
    Percent p = {.values = values, .at = tuple ? 0 : -2, .n = tuple ? (int64_t)values->list->n : -1};
    p.mapping =
        values->type == V_DICT || values->type == V_LIST || values->type == V_RANGE || values->type == V_UNDEFINED;
    for (size_t i = 0; i < format->len;) {
        const char *percent = memchr(format->s + i, '%', format->len - i);
        size_t end = percent != NULL ? (size_t)(percent - format->s) : format->len;
        TRY(jj_steps(r, 1));
        TRY(jj_put_str(r, &k, format, i, end));
        i = end + 1;
        if (percent != NULL) TRY(percent_one(r, &k, &p, format, &i));
    }
    if (p.at < p.n && !p.mapping) return jj_raise(r, "not all arguments converted during string formatting");
    TRY(jj_sink_value(r, &k, out));
    return format->markup ? jj_as_markup(r, out, out) : OK;
}

/* ---- str.format -------------------------------------------------------------------------------------------------- */

static Status parse_spec(Run *r, const Str *text, Spec *s) {
    size_t i = 0, n = text->len > 0 ? jj_char_len(text->s) : 0;
    *s = (Spec){.width = -1, .precision = -1};
    if (n < text->len && strchr("<>=^", text->s[n]) != NULL) {
        memcpy(s->fill, text->s, n);
        s->align = text->s[n];
        i = n + 1;
    } else if (n > 0 && strchr("<>=^", text->s[0]) != NULL) {
        s->align = text->s[0];
        i = 1;
    }
    if (i < text->len && strchr("+- ", text->s[i]) != NULL) s->sign = text->s[i++];
    if (i < text->len && text->s[i] == '#') s->alternate = ((void)i++, true);
    if (i < text->len && text->s[i] == '0') {
        s->zero = ((void)i++, true);
        if (s->fill[0] == 0) s->fill[0] = '0';
        if (s->align == 0) s->align = '=';
    }
    for (; i < text->len && text->s[i] >= '0' && text->s[i] <= '9'; i++) {
        s->width = (s->width < 0 ? 0 : s->width) * 10 + (text->s[i] - '0');
        TRY(check_spec(r, s));
    }
    if (i < text->len && (text->s[i] == ',' || text->s[i] == '_')) s->comma = text->s[i++];
    if (i < text->len && text->s[i] == '.') {
        if (++i >= text->len || text->s[i] < '0' || text->s[i] > '9')
            return jj_raise(r, "Format specifier missing precision");
        for (s->precision = 0; i < text->len && text->s[i] >= '0' && text->s[i] <= '9'; i++) {
            s->precision = s->precision * 10 + (text->s[i] - '0');
            TRY(check_spec(r, s));
        }
    }
    if (i < text->len) s->type = text->s[i++];
    return i < text->len ? jj_raise(r, "Invalid format specifier") : OK;
}

static Status put_formatted(Run *r, Sink *k, const Value *v, const Str *spec_text) {
    Spec s;
    int64_t i;
    if (spec_text->len == 0) return jj_put_value(r, k, v);
    if (v->type == V_DIGITS) return jj_leaves_64_bits(r);
    if (v->type != V_STRING && v->type != V_INT && v->type != V_BOOL && v->type != V_FLOAT)
        return jj_raise(r, "unsupported format string passed to %s.__format__", jj_type_name(v));
    TRY(parse_spec(r, spec_text, &s));
    char type = s.type == 0 && v->type == V_STRING ? 's' : s.type;
    if (s.comma != 0 && type != 0 && strchr(s.comma == '_' ? "deEfFgG%boxX" : "deEfFgG%", type) == NULL)
        return jj_raise(r, "Cannot specify '%c' with '%c'.", s.comma, type);
    if (v->type == V_STRING) {
        if (s.type != 0 && s.type != 's')
            return jj_raise(r, "Unknown format code '%c' for object of type 'str'", s.type);
        if (s.sign != 0) return jj_raise(r, "Sign not allowed in string format specifier");
        if (s.align == '=' && !s.zero) return jj_raise(r, "'=' alignment not allowed in string format specifier");
        if (s.align == '=') s.align = '<';
        return put_text_field(r, k, &s, v->str);
    }
    if (jj_index(v, &i) && (s.type == 0 || strchr("dxXobn", s.type) != NULL)) {
        if (s.precision >= 0) return jj_raise(r, "Precision not allowed in integer format specifier");
        return put_int_field(r, k, &s, i);
    }
    if (s.type == 'c' && v->type != V_FLOAT) return percent_char(r, k, &s, v);
    if (s.type != 0 && strchr("eEfFgGn%", s.type) == NULL)
        return jj_raise(r, "Unknown format code '%c' for object of type '%s'", s.type, jj_type_name(v));
    double d = 0;
    jj_number(v, &d);
    return put_float_field(r, k, &s, d);
}

typedef struct Fields {
    const Args *args;
    int64_t next; /* -1 after a numbered field */
    bool automatic;
    int depth;
} Fields;

static Status first_value(Run *r, Fields *x, const Str *f, size_t begin, size_t end, Value *out) {
    Value name;
    bool number = end > begin;
    int64_t i = 0;
    for (size_t k = begin; k < end; k++) {
        number = number && f->s[k] >= '0' && f->s[k] <= '9' && k - begin < 9;
        if (number) i = i * 10 + (f->s[k] - '0');
    }
    if (begin == end || number) {
        if ((begin == end && x->next < 0) || (number && x->automatic))
            return jj_raise(r, begin == end
                                   ? "cannot switch from manual field specification to automatic field numbering"
                                   : "cannot switch from manual field specification to automatic field numbering");
        if (begin == end) x->automatic = true;
        i = begin == end ? x->next++ : i;
        if (number) x->next = -1;
        if ((size_t)i >= x->args->n) return jj_raise(r, "tuple index out of range");
        *out = x->args->items[i];
        return OK;
    }
    TRY(jj_substr(r, f, begin, end, &name));
    for (size_t k = 0; k < x->args->n_keywords; k++) {
        *out = x->args->keywords[k].value;
        if (jj_str_compare(x->args->keywords[k].name, name.str) == 0) return OK;
    }
    const char *text;
    TRY(jj_repr_text(r, &name, &text));
    return jj_raise(r, "%s", text);
}

/* name.attribute[item]... between begin and end. */
static Status field_value(Run *r, Fields *x, const Str *f, size_t begin, size_t end, Value *out) {
    size_t i = begin;
    while (i < end && f->s[i] != '.' && f->s[i] != '[') i++;
    TRY(first_value(r, x, f, begin, i, out));
    while (i < end) {
        Value v = *out, key;
        bool item = f->s[i] == '[';
        size_t from = ++i;
        while (i < end && (item ? f->s[i] != ']' : f->s[i] != '.' && f->s[i] != '[')) i++;
        if (item && i >= end) return jj_raise(r, "Missing ']' in format string");
        if (i == from) return jj_raise(r, "Empty attribute in format string");
        TRY(jj_substr(r, f, from, i, &key));
        bool ok, over;
        int64_t n;
        TRY(jj_parse_int(key.str, 10, &ok, &over, &n));
        if (item && ok && !over && n >= 0) key = jj_int(n);
        TRY(item ? jj_item(r, &v, &key, out) : jj_attribute(r, &v, key.str, out));
        i += item;
        if (item && i < end && f->s[i] != '.' && f->s[i] != '[')
            return jj_raise(r, "Only '.' or '[' may follow ']' in format field specifier");
    }
    return OK;
}

static Status put_fields(Run *r, Sink *k, Fields *x, const Str *f);

/* The field at f[*i], just after its {. */
static Status put_replacement(Run *r, Sink *k, Fields *x, const Str *f, size_t *i) {
    size_t begin = *i, end = begin, depth = 1, name_end = SIZE_MAX, spec = SIZE_MAX;
    char conversion = 0;
    bool brackets = false;
    for (; end < f->len; end++) {
        char c = f->s[end];
        if (c == '[' && name_end == SIZE_MAX) brackets = true;
        if (c == ']') brackets = false;
        if (brackets) continue;
        depth += c == '{' ? 1 : 0;
        if (c == '}' && --depth == 0) break;
        if (depth == 1 && spec == SIZE_MAX && (c == ':' || c == '!') && name_end == SIZE_MAX) name_end = end;
        if (depth == 1 && spec == SIZE_MAX && c == ':') spec = end + 1;
    }
    if (end >= f->len)
        return jj_raise(r, begin >= f->len ? "Single '{' encountered in format string"
                                           : "expected '}' before end of string");
    if (name_end == SIZE_MAX) name_end = end;
    if (name_end < end && f->s[name_end] == '!') {
        size_t stop = spec == SIZE_MAX ? end : spec - 1;
        if (stop != name_end + 2) return jj_raise(r, "unmatched '{' in format spec");
        conversion = f->s[name_end + 1];
    }
    Value v, spec_text;
    Sink inner = {0};
    TRY(field_value(r, x, f, begin, name_end, &v));
    if (conversion != 0 && strchr("rsa", conversion) == NULL)
        return jj_raise(r, "Unknown conversion specifier %c", conversion);
    if (conversion != 0) {
        TRY(conversion == 's' ? jj_put_value(r, &inner, &v) : jj_put_repr(r, &inner, &v, 0));
        TRY(jj_sink_value(r, &inner, &v));
        inner = (Sink){0};
    }
    if (spec != SIZE_MAX) {
        TRY(jj_substr(r, f, spec, end, &spec_text));
        if (++x->depth > 2) return jj_raise(r, "Max string recursion exceeded");
        TRY(put_fields(r, &inner, x, spec_text.str));
        x->depth--;
    }
    TRY(jj_sink_value(r, &inner, &spec_text));
    *i = end + 1;
    return put_formatted(r, k, &v, spec_text.str);
}

static Status put_fields(Run *r, Sink *k, Fields *x, const Str *f) {
    for (size_t i = 0, from = 0; i <= f->len;) {
        TRY(jj_steps(r, 1));
        while (i < f->len && f->s[i] != '{' && f->s[i] != '}') i++;
        TRY(jj_put_str(r, k, f, from, i));
        if (i >= f->len) return OK;
        char c = f->s[i++];
        if (i < f->len && f->s[i] == c) {
            TRY(jj_put_str(r, k, f, i, i + 1));
            i++;
        } else if (c == '}') {
            return jj_raise(r, "Single '}' encountered in format string");
        } else {
            TRY(put_replacement(r, k, x, f, &i));
        }
        from = i;
    }
    return OK;
}

Status jj_format(Run *r, const Str *format, const Args *args, Value *out) {
    Sink k = {0};
    Args escaped = *args;
    if (format->markup) {
        Value *items;
        TRY(JJ_NEW(r, args->n + 1, items));
        for (size_t i = 0; i < args->n; i++) TRY(jj_escaped_parts(r, &args->items[i], &items[i]));
        escaped.items = items;
    }
    Fields x = {.args = &escaped};
    TRY(put_fields(r, &k, &x, format));
    TRY(jj_sink_value(r, &k, out));
    return format->markup ? jj_as_markup(r, out, out) : OK;
}
