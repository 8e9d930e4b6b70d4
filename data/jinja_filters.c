/* jinja_filters.c: filters of texts and numbers; jinja_filters_list.c has those of lists. v[0] is what is filtered. */
#include "data/jinja_internal.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define FILTER(name) static Status name(Run *r, const Value *self, const Value *v, const Args *args, Value *out)
#define UNUSED (void)self, (void)args

/* Calls a method of the text of v[0], with the arguments behind it. */
static Status by_method(Run *r, const Value *v, const char *method, const Value *args, size_t n, Value *out) {
    const Str *s;
    TRY(jj_to_str(r, v, &s));
    const Value self = {.type = V_STRING, .str = s};
    const Args given = {.items = args, .n = n};
    return jj_call_function(r, jj_find_in(JJ_TEXT_METHODS, JJ_N_TEXT_METHODS, method, strlen(method)), &self, &given,
                            out);
}

FILTER(do_upper) {
    UNUSED;
    return by_method(r, v, "upper", NULL, 0, out);
}
FILTER(do_lower) {
    UNUSED;
    return by_method(r, v, "lower", NULL, 0, out);
}
FILTER(do_capitalize) {
    UNUSED;
    return by_method(r, v, "capitalize", NULL, 0, out);
}
FILTER(do_trim) {
    UNUSED;
    return by_method(r, v, "strip", &v[1], v[1].type != V_MISSING, out);
}

FILTER(do_center) {
    const Value width = v[1].type != V_MISSING ? v[1] : jj_int(80);
    UNUSED;
    return by_method(r, v, "center", &width, 1, out);
}

FILTER(do_title) {
    const Str *s;
    Sink k = {0};
    uint32_t cp;
    bool start = true;
    UNUSED;
    TRY(jj_to_str(r, &v[0], &s));
    for (size_t at = 0, n; at < s->len; at += n) {
        n = (size_t)utf8_decode(s->s + at, s->len - at, &cp);
        bool separator = jj_is_space(cp) || (cp < 0x80 && strchr("-({[<", (int)cp) != NULL && cp != 0);
        size_t end = at + n;
        while (!start && !separator && end < s->len) { /* the rest of a word at once: lower case looks around */
            size_t more = (size_t)utf8_decode(s->s + end, s->len - end, &cp);
            if (jj_is_space(cp) || (cp < 0x80 && strchr("-({[<", (int)cp) != NULL && cp != 0)) break;
            end += more;
        }
        n = end - at;
        Value word;
        TRY(jj_substr(r, s, at, end, &word));
        TRY(separator ? jj_put_all(r, &k, word.str)
                      : jj_put_case(r, &k, word.str, 0, end - at, start ? CASE_UPPER : CASE_LOWER));
        start = separator;
    }
    return jj_sink_value(r, &k, out);
}

FILTER(do_string) {
    const Str *s;
    UNUSED;
    TRY(jj_to_str(r, &v[0], &s));
    *out = (Value){.type = V_STRING, .str = s};
    return OK;
}

FILTER(do_safe) {
    TRY(do_string(r, self, v, args, out));
    return jj_as_markup(r, out, out);
}

FILTER(do_escape) {
    UNUSED;
    return jj_escape_html(r, &v[0], out);
}

FILTER(do_forceescape) {
    const Str *s;
    UNUSED;
    TRY(jj_to_str(r, &v[0], &s));
    Str plain = *s;
    plain.markup = false;
    if (plain.spans == &s->one) plain.spans = &plain.one;
    const Value text = {.type = V_STRING, .str = &plain};
    return jj_escape_html(r, &text, out);
}

FILTER(do_replace) {
    const Str *s, *old, *new_;
    int64_t count = -1;
    UNUSED;
    TRY(jj_to_str(r, &v[0], &s));
    TRY(jj_to_str(r, &v[1], &old));
    TRY(jj_to_str(r, &v[2], &new_));
    if (v[3].type != V_MISSING && v[3].type != V_NONE && !jj_index(&v[3], &count))
        return jj_raise(r, "'%s' object cannot be interpreted as an integer", jj_type_name(&v[3]));
    Str plain = *s;
    plain.markup = false;
    if (plain.spans == &s->one) plain.spans = &plain.one;
    return jj_replace(r, &plain, old, new_, count, out);
}

FILTER(do_format) {
    const Str *s;
    Value values, key;
    (void)self;
    (void)v;
    if (args->n == 0) return jj_raise(r, "do_format() missing 1 required positional argument: 'value'");
    if (args->n > 1 && args->n_keywords > 0)
        return jj_raise(r, "can't handle positional and keyword arguments at the same time");
    TRY(jj_to_str(r, &args->items[0], &s));
    if (args->n_keywords > 0) {
        TRY(jj_dict(r, args->n_keywords, &values));
        for (size_t i = 0; i < args->n_keywords; i++) {
            key = (Value){.type = V_STRING, .str = args->keywords[i].name};
            TRY(jj_dict_set(r, values.dict, &key, &args->keywords[i].value));
        }
    } else {
        TRY(jj_list(r, V_TUPLE, args->n - 1, &values));
        for (size_t i = 1; i < args->n; i++) values.list->items[i - 1] = args->items[i];
    }
    return jj_percent(r, s, &values, out);
}

FILTER(do_indent) {
    Value lines;
    Sink k = {0};
    const Str *indention;
    UNUSED;
    int64_t width = 4;
    if (v[0].type == V_UNDEFINED) return jj_fail_undefined(r, &v[0]);
    if (v[0].type != V_STRING)
        return jj_raise(r, "unsupported operand type(s) for +=: '%s' and 'str'", jj_type_name(&v[0]));
    if (v[1].type == V_STRING) {
        indention = v[1].str;
    } else {
        Sink spaces = {0};
        if (v[1].type != V_MISSING && !jj_index(&v[1], &width))
            return jj_raise(r, "can't multiply sequence by non-int of type '%s'", jj_type_name(&v[1]));
        if (width > 0) TRY(jj_put_spaces(r, &spaces, (size_t)width));
        TRY(jj_sink_value(r, &spaces, &lines));
        indention = lines.str;
    }
    bool first = jj_truth(&v[2]), blank = jj_truth(&v[3]);
    Sink with_newline = {0};
    TRY(jj_put_all(r, &with_newline, v[0].str));
    TRY(jj_puts(r, &with_newline, "\n"));
    Value whole;
    TRY(jj_sink_value(r, &with_newline, &whole));
    TRY(jj_splitlines(r, whole.str, false, &lines));
    for (size_t i = 0; i < lines.list->n; i++) {
        const Str *line = lines.list->items[i].str;
        if (i > 0) TRY(jj_puts(r, &k, "\n"));
        if (i > 0 ? blank || line->len > 0 : first) TRY(jj_put_all(r, &k, indention));
        TRY(jj_put_all(r, &k, line));
    }
    TRY(jj_sink_value(r, &k, out));
    return v[0].str->markup ? jj_as_markup(r, out, out) : OK;
}

FILTER(do_truncate) {
    int64_t length = 255, leeway = 5;
    Value end, head, pieces, space;
    Sink k = {0};
    UNUSED;
    if (v[1].type != V_MISSING && !jj_index(&v[1], &length))
        return jj_raise(r, "'<' not supported between instances of '%s' and 'int'", jj_type_name(&v[1]));
    if (v[4].type != V_MISSING && v[4].type != V_NONE && !jj_index(&v[4], &leeway))
        return jj_raise(r, "truncate: leeway must be a number");
    TRY(jj_text(r, "...", &end));
    if (v[3].type == V_STRING) end = v[3];
    int64_t keep = length - (int64_t)end.str->chars;
    if (keep < 0) return jj_raise(r, "expected length >= %zu, got %lld", end.str->chars, (long long)length);
    if (leeway < 0) return jj_raise(r, "expected leeway >= 0, got %lld", (long long)leeway);
    size_t n;
    TRY(jj_length(r, &v[0], &n));
    *out = v[0];
    if ((int64_t)n - leeway <= length) return OK;
    if (v[0].type != V_STRING) return jj_limit(r, "truncate of anything but a string is not supported");
    TRY(jj_substr(r, v[0].str, 0, jj_char_at(v[0].str, (size_t)keep), &head));
    if (!jj_truth(&v[2])) {
        TRY(jj_text(r, " ", &space));
        TRY(jj_split(r, head.str, &space, 1, true, &pieces));
        head = pieces.list->items[0];
    }
    TRY(jj_put_all(r, &k, head.str));
    TRY(jj_put_all(r, &k, end.str));
    return jj_sink_value(r, &k, out);
}

FILTER(do_wordcount) {
    const Str *s;
    int64_t n = 0;
    bool inside = false;
    uint32_t cp;
    UNUSED;
    TRY(jj_to_str(r, &v[0], &s));
    TRY(jj_steps(r, s->len / 8));
    for (size_t at = 0; at < s->len;) {
        at += (size_t)utf8_decode(s->s + at, s->len - at, &cp);
        bool word = jj_char_is(cp, CHAR_WORD);
        n += word && !inside;
        inside = word;
    }
    *out = jj_int(n);
    return OK;
}

FILTER(do_urlencode) {
    const Str *s;
    Sink k = {0};
    char text[4];
    UNUSED;
    if (v[0].type != V_STRING && jj_is_iterable(&v[0]))
        return jj_limit(r, "urlencode of anything but a string is not supported");
    TRY(jj_to_str(r, &v[0], &s));
    for (size_t i = 0; i < s->len; i++) {
        char c = s->s[i];
        bool keep = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    (c != 0 && strchr("_.-~/", c) != NULL);
        snprintf(text, sizeof text, keep ? "%c" : "%%%02X", (uint8_t)c);
        TRY(jj_steps(r, 1));
        TRY(jj_put_like(r, &k, text, strlen(text), s, i));
    }
    return jj_sink_value(r, &k, out);
}

FILTER(do_default) {
    UNUSED;
    *out = v[0];
    if (v[0].type != V_UNDEFINED && (!jj_truth(&v[2]) || jj_truth(&v[0]))) return OK;
    *out = v[1];
    return v[1].type == V_MISSING ? jj_text(r, "", out) : OK;
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static Status float_to_int(Run *r, double f, Value *out) {
    if (!(fabs(f) < 9.2e18)) return jj_leaves_64_bits(r);
    *out = jj_int((int64_t)f);
    return OK;
}

FILTER(do_int) {
    int64_t i, base = 10;
    double f;
    bool ok = false, over = false;
    UNUSED;
    *out = v[1].type != V_MISSING ? v[1] : jj_int(0);
    if (v[0].type == V_UNDEFINED) return jj_fail_undefined(r, &v[0]);
    if (v[2].type != V_MISSING && !jj_index(&v[2], &base))
        return jj_raise(r, "'%s' object cannot be interpreted as an integer", jj_type_name(&v[2]));
    if (v[0].type == V_FLOAT) {
        if (isinf(v[0].f)) return jj_raise(r, "cannot convert float infinity to integer");
        return isnan(v[0].f) ? OK : float_to_int(r, v[0].f, out);
    }
    if (jj_index(&v[0], &i) || v[0].type == V_DIGITS) {
        *out = v[0].type == V_DIGITS ? v[0] : jj_int(i);
        return OK;
    }
    if (v[0].type != V_STRING) return OK;
    TRY(jj_steps(r, v[0].str->len / 8));
    TRY(jj_parse_int(v[0].str, (int)(base < 0 || base > 99 ? 99 : base), &ok, &over, &i));
    if (over) return jj_leaves_64_bits(r);
    if (ok)
        *out = jj_int(i);
    else if (jj_parse_float(v[0].str, &f) && isfinite(f))
        return float_to_int(r, f, out);
    return OK;
}

FILTER(do_float) {
    double f;
    UNUSED;
    *out = v[1].type != V_MISSING ? v[1] : jj_float(0);
    if (v[0].type == V_UNDEFINED) return jj_fail_undefined(r, &v[0]);
    if (v[0].type == V_DIGITS) *out = jj_float(strtod(v[0].digits, NULL));
    if (v[0].type == V_STRING) TRY(jj_steps(r, v[0].str->len / 8));
    if (v[0].type == V_STRING ? jj_parse_float(v[0].str, &f) : jj_number(&v[0], &f)) *out = jj_float(f);
    return OK;
}

FILTER(do_abs) {
    int64_t i;
    UNUSED;
    if (v[0].type == V_FLOAT) {
        *out = jj_float(fabs(v[0].f));
        return OK;
    }
    if (v[0].type == V_DIGITS) return jj_leaves_64_bits(r);
    if (!jj_index(&v[0], &i)) return jj_raise(r, "bad operand type for abs(): '%s'", jj_type_name(&v[0]));
    *out = jj_int(i);
    return i < 0 ? jj_unary(r, '-', out, out) : OK;
}

static Status round_int(Run *r, int64_t v, int64_t digits, Value *out) {
    *out = jj_int(v);
    if (digits >= 0) return OK;
    int64_t unit = 1;
    if (digits < -18) {
        *out = jj_int(0);
        return OK;
    }
    for (; digits < 0; digits++) unit *= 10;
    int64_t rest = v % unit, whole = v - rest, half = unit / 2;
    int64_t odd = whole / unit % 2;
    if (rest > half || (rest == half && odd != 0))
        return jj_binary(r, OP_ADD, &(Value){.type = V_INT, .i = whole}, &(Value){.type = V_INT, .i = unit}, out);
    if (-rest > half || (-rest == half && odd != 0))
        return jj_binary(r, OP_SUB, &(Value){.type = V_INT, .i = whole}, &(Value){.type = V_INT, .i = unit}, out);
    *out = jj_int(whole);
    return OK;
}

FILTER(do_round) {
    int64_t digits = 0, i;
    double f = 0;
    char text[512];
    UNUSED;
    bool common = v[2].type == V_MISSING || (v[2].type == V_STRING && jj_str_is(v[2].str, "common"));
    bool ceiling = v[2].type == V_STRING && jj_str_is(v[2].str, "ceil");
    if (!common && !ceiling && !(v[2].type == V_STRING && jj_str_is(v[2].str, "floor")))
        return jj_raise(r, "method must be common, ceil or floor");
    if (v[1].type != V_MISSING && !jj_index(&v[1], &digits))
        return jj_raise(r, "'%s' object cannot be interpreted as an integer", jj_type_name(&v[1]));
    if (v[0].type == V_DIGITS) return jj_leaves_64_bits(r);
    if (common && jj_index(&v[0], &i)) return round_int(r, i, digits, out);
    if (!jj_number(&v[0], &f)) {
        if (common) return jj_raise(r, "type %s doesn't define __round__ method", jj_type_name(&v[0]));
        if (v[0].type == V_UNDEFINED) return jj_fail_undefined(r, &v[0]);
        if (v[0].type == V_STRING || v[0].type == V_LIST || v[0].type == V_TUPLE)
            return jj_raise(r, "must be real number, not %s", jj_type_name(&v[0]));
        return jj_raise(r, "unsupported operand type(s) for *: '%s' and 'int'", jj_type_name(&v[0]));
    }
    if (common && (digits > 320 || !isfinite(f))) {
        *out = jj_float(f);
    } else if (common && digits >= 0) {
        snprintf(text, sizeof text, "%.*f", (int)(digits > 150 ? 150 : digits), f);
        *out = jj_float(strtod(text, NULL));
    } else {
        double unit = pow(10, (double)(digits < -320 ? -320 : digits));
        double scaled = f * unit;
        if (common) scaled = nearbyint(f / pow(10, (double)-digits));
        if (!common && !isfinite(scaled))
            return jj_raise(r, "cannot convert float %s to integer", isnan(scaled) ? "NaN" : "infinity");
        if (!common) scaled = (ceiling ? ceil(scaled) : floor(scaled)) + 0.0; /* Python's are integers: no -0 */
        *out = jj_float(scaled / unit);
    }
    return OK;
}

FILTER(not_supported) {
    UNUSED;
    (void)v;
    (void)out;
    return jj_limit(r, "the template uses a filter that is not supported");
}

const Function JJ_TEXT_FILTERS[] = {
    {"upper", "do_upper", "s", do_upper},
    {"lower", "do_lower", "s", do_lower},
    {"capitalize", "do_capitalize", "s", do_capitalize},
    {"title", "do_title", "s", do_title},
    {"trim", "do_trim", "value chars=", do_trim},
    {"center", "do_center", "value width=", do_center},
    {"string", "soft_str", "s", do_string},
    {"safe", "do_mark_safe", "value", do_safe},
    {"escape", "escape", "s", do_escape},
    {"e", "escape", "s", do_escape},
    {"forceescape", "do_forceescape", "value", do_forceescape},
    {"replace", "do_replace", "s old new count=", do_replace},
    {"format", "do_format", "*", do_format},
    {"indent", "do_indent", "s width= first= blank=", do_indent},
    {"truncate", "do_truncate", "s length= killwords= end= leeway=", do_truncate},
    {"wordcount", "do_wordcount", "s", do_wordcount},
    {"urlencode", "do_urlencode", "value", do_urlencode},
    {"default", "do_default", "value default_value= boolean=", do_default},
    {"d", "do_default", "value default_value= boolean=", do_default},
    {"int", "do_int", "value default= base=", do_int},
    {"float", "do_float", "value default=", do_float},
    {"abs", "abs", "x", do_abs},
    {"round", "do_round", "value precision= method=", do_round},
    {"tojson", "_cached_compile_jinja_template.<locals>.tojson",
     "x ensure_ascii= indent= separators= sort_keys=", jj_tojson},
    {"filesizeformat", "do_filesizeformat", "*", not_supported},
    {"pprint", "do_pprint", "*", not_supported},
    {"random", "do_random", "*", not_supported},
    {"striptags", "do_striptags", "*", not_supported},
    {"urlize", "do_urlize", "*", not_supported},
    {"wordwrap", "do_wordwrap", "*", not_supported},
    {"xmlattr", "do_xmlattr", "*", not_supported},
};
const size_t JJ_N_TEXT_FILTERS = sizeof JJ_TEXT_FILTERS / sizeof JJ_TEXT_FILTERS[0];

const Function *jj_find_filter(const char *name, size_t len) {
    const Function *f = jj_find_in(JJ_TEXT_FILTERS, JJ_N_TEXT_FILTERS, name, len);
    return f != NULL ? f : jj_find_in(JJ_LIST_FILTERS, JJ_N_LIST_FILTERS, name, len);
}
