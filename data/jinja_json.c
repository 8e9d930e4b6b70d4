/* jinja_json.c: tojson, which is Python's json.dumps with its own defaults. What a string's escapes spell belongs to that
 * string's source; keys, numbers and punctuation to the template. */
#include "data/jinja_internal.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct Dump {
    Sink sink;
    bool ascii, sort_keys, has_indent;
    const Str *indent, *item_separator, *key_separator;
} Dump;

static Status put_escape(Run *r, Dump *d, const Str *s, size_t at, uint32_t cp) {
    char text[16];
    const char *simple = cp == '"'    ? "\\\""
                         : cp == '\\' ? "\\\\"
                         : cp == '\n' ? "\\n"
                         : cp == '\r' ? "\\r"
                         : cp == '\t' ? "\\t"
                         : cp == '\f' ? "\\f"
                         : cp == '\b' ? "\\b"
                                      : NULL;
    if (cp >= 0x10000)
        snprintf(text, sizeof text, "\\u%04x\\u%04x", 0xD800 + ((cp - 0x10000) >> 10),
                 0xDC00 + ((cp - 0x10000) & 0x3FF));
    else
        snprintf(text, sizeof text, "\\u%04x", cp);
    if (simple == NULL) simple = text;
    return jj_put_like(r, &d->sink, simple, strlen(simple), s, at);
}

static Status put_string(Run *r, Dump *d, const Str *s) {
    size_t from = 0;
    TRY(jj_steps(r, s->len / 32));
    TRY(jj_puts(r, &d->sink, "\""));
    for (size_t at = 0, n; at < s->len; at += n) {
        uint32_t cp = (uint8_t)s->s[at];
        n = 1;
        if (cp >= 0x80) n = (size_t)utf8_decode(s->s + at, s->len - at, &cp);
        if (cp >= 0x20 && cp != '"' && cp != '\\' && (cp < 0x7F || !d->ascii)) continue;
        TRY(jj_put_str(r, &d->sink, s, from, at));
        TRY(put_escape(r, d, s, at, cp));
        from = at + n;
    }
    TRY(jj_put_str(r, &d->sink, s, from, s->len));
    return jj_puts(r, &d->sink, "\"");
}

static void float_text(double f, char out[40]) {
    if (isnan(f) || isinf(f))
        snprintf(out, 40, "%s", isnan(f) ? "NaN" : f > 0 ? "Infinity" : "-Infinity");
    else
        jj_float_repr(f, out);
}

static Status new_line(Run *r, Dump *d, int depth) {
    if (!d->has_indent) return OK;
    TRY(jj_puts(r, &d->sink, "\n"));
    for (int i = 0; i < depth; i++) TRY(jj_put_all(r, &d->sink, d->indent));
    return OK;
}

static Status put(Run *r, Dump *d, const Value *v, int depth);

static Status put_list(Run *r, Dump *d, const List *list, int depth) {
    if (list->n == 0) return jj_puts(r, &d->sink, "[]");
    TRY(jj_puts(r, &d->sink, "["));
    for (size_t i = 0; i < list->n; i++) {
        if (i > 0) TRY(jj_put_all(r, &d->sink, d->item_separator));
        TRY(new_line(r, d, depth + 1));
        TRY(put(r, d, &list->items[i], depth + 1));
    }
    TRY(new_line(r, d, depth));
    return jj_puts(r, &d->sink, "]");
}

static Status put_key(Run *r, Dump *d, const Value *key) {
    char text[48];
    Value s = *key;
    switch ((int)key->type) {
    case V_STRING:
        return put_string(r, d, s.str);
    case V_NONE:
        return jj_puts(r, &d->sink, "\"null\"");
    case V_BOOL:
        return jj_puts(r, &d->sink, key->b ? "\"true\"" : "\"false\"");
    case V_INT:
        snprintf(text, sizeof text, "\"%lld\"", (long long)key->i);
        return jj_puts(r, &d->sink, text);
    case V_FLOAT:
        text[0] = '"';
        float_text(key->f, text + 1);
        strcat(text, "\"");
        return jj_puts(r, &d->sink, text);
    case V_DIGITS:
        TRY(jj_puts(r, &d->sink, "\""));
        TRY(jj_puts(r, &d->sink, key->digits));
        return jj_puts(r, &d->sink, "\"");
    default:
        return jj_raise(r, "keys must be str, int, float, bool or None, not %s", jj_type_name(key));
    }
}

/* The order in which the entries are written: their indices, merged bottom up. */
static Status key_order(Run *r, const Dump *d, const Dict *dict, size_t **out) {
    size_t n = dict->n, *a, *b;
    TRY(JJ_NEW(r, n + 1, a));
    TRY(JJ_NEW(r, n + 1, b));
    for (size_t i = 0; i < n; i++) a[i] = i;
    for (size_t width = 1; d->sort_keys && width < n; width *= 2) {
        for (size_t from = 0; from < n; from += 2 * width) {
            size_t mid = from + width < n ? from + width : n, end = mid + width < n ? mid + width : n;
            for (size_t i = from, j = mid, k = from; k < end; k++) {
                bool later = false;
                if (i < mid && j < end) TRY(jj_compare(r, OP_LT, &dict->keys[a[j]], &dict->keys[a[i]], 0, &later));
                b[k] = i < mid && (j >= end || !later) ? a[i++] : a[j++];
            }
        }
        size_t *swap = a;
        a = b;
        b = swap;
    }
    *out = a;
    return OK;
}

static Status put_dict(Run *r, Dump *d, const Dict *dict, int depth) {
    size_t *order;
    if (dict->n == 0) return jj_puts(r, &d->sink, "{}");
    TRY(key_order(r, d, dict, &order));
    TRY(jj_puts(r, &d->sink, "{"));
    for (size_t i = 0; i < dict->n; i++) {
        if (i > 0) TRY(jj_put_all(r, &d->sink, d->item_separator));
        TRY(new_line(r, d, depth + 1));
        TRY(put_key(r, d, &dict->keys[order[i]]));
        TRY(jj_put_all(r, &d->sink, d->key_separator));
        TRY(put(r, d, &dict->values[order[i]], depth + 1));
    }
    TRY(new_line(r, d, depth));
    return jj_puts(r, &d->sink, "}");
}

static Status put(Run *r, Dump *d, const Value *v, int depth) {
    char text[40];
    if (depth > VALUE_DEPTH) return jj_limit(r, "maximum recursion depth exceeded while encoding a JSON object");
    TRY(jj_steps(r, 1));
    switch ((int)v->type) {
    case V_NONE:
        return jj_puts(r, &d->sink, "null");
    case V_BOOL:
        return jj_puts(r, &d->sink, v->b ? "true" : "false");
    case V_INT:
        snprintf(text, sizeof text, "%lld", (long long)v->i);
        return jj_puts(r, &d->sink, text);
    case V_FLOAT:
        float_text(v->f, text);
        return jj_puts(r, &d->sink, text);
    case V_DIGITS:
        return jj_puts(r, &d->sink, v->digits);
    case V_STRING:
        return put_string(r, d, v->str);
    case V_LIST:
    case V_TUPLE:
        return put_list(r, d, v->list, depth);
    case V_DICT:
        return put_dict(r, d, v->dict, depth);
    default:
        return jj_raise(r, "Object of type %s is not JSON serializable", jj_type_name(v));
    }
}

static bool given(const Value *v) { return v->type != V_MISSING && v->type != V_NONE; }

/* v: value, ensure_ascii, indent, separators, sort_keys. */
Status jj_tojson(Run *r, const Value *self, const Value *v, const Args *args, Value *out) {
    Dump d = {.ascii = jj_truth(&v[1]), .sort_keys = jj_truth(&v[4]), .has_indent = given(&v[2])};
    Value indent, item, key;
    int64_t width;
    (void)self;
    (void)args;
    TRY(jj_text(r, d.has_indent ? "," : ", ", &item));
    TRY(jj_text(r, ": ", &key));
    TRY(jj_text(r, "", &indent));
    if (v[2].type == V_STRING) {
        indent = v[2];
    } else if (d.has_indent) {
        Sink k = {0};
        if (!jj_index(&v[2], &width))
            return jj_raise(r, "can't multiply sequence by non-int of type '%s'", jj_type_name(&v[2]));
        if (width > 0) TRY(jj_put_spaces(r, &k, (size_t)width));
        TRY(jj_sink_value(r, &k, &indent));
    }
    if (given(&v[3])) {
        const Value *items;
        size_t n;
        TRY(jj_elements(r, &v[3], &items, &n));
        if (n != 2)
            return jj_raise(r,
                            n < 2 ? "not enough values to unpack (expected 2, got %zu)"
                                  : "too many values to unpack (expected 2)",
                            n);
        if (items[0].type != V_STRING || items[1].type != V_STRING) return jj_raise(r, "separators must be strings");
        item = items[0];
        key = items[1];
    }
    d.indent = indent.str;
    d.item_separator = item.str;
    d.key_separator = key.str;
    TRY(put(r, &d, &v[0], 0));
    return jj_sink_value(r, &d.sink, out);
}
