/* jinja_repr.c: str() and repr() as Python has them, and the names of types in error messages. */
#include "data/jinja_internal.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const char *jj_type_name(const Value *v) {
    static const char *const NAMES[] = {[V_MISSING] = "object",    [V_UNDEFINED] = "Undefined",
                                        [V_NONE] = "NoneType",     [V_BOOL] = "bool",
                                        [V_INT] = "int",           [V_FLOAT] = "float",
                                        [V_DIGITS] = "int",        [V_LIST] = "list",
                                        [V_TUPLE] = "tuple",       [V_DICT] = "dict",
                                        [V_RANGE] = "range",       [V_NAMESPACE] = "TemplateNamespace",
                                        [V_LOOP] = "LoopContext",  [V_MACRO] = "Macro",
                                        [V_FUNCTION] = "function", [V_METHOD] = "builtin_function_or_method",
                                        [V_CYCLER] = "Cycler",     [V_JOINER] = "Joiner"};
    static const char *const VIEWS[] = {"dict_keys", "dict_values", "dict_items"};
    if (v->type == V_STRING) return v->str->markup ? "Markup" : "str";
    if (v->type == V_VIEW) return VIEWS[v->view->kind];
    if (v->type == V_ITER) return v->iter->type_name;
    return NAMES[v->type];
}

const char *jj_object_name(Run *r, const Value *v) {
    char *text;
    const char *module = "";
    if (v->type == V_NONE) return "None";
    if (v->type == V_LOOP || v->type == V_MACRO || v->type == V_UNDEFINED) module = "jinja2.runtime.";
    if (v->type == V_CYCLER || v->type == V_JOINER) module = "jinja2.utils.";
    if (v->type == V_STRING && v->str->markup) module = "markupsafe.";
    if (v->type == V_NAMESPACE) module = "transformers.utils.chat_template_utils.";
    return jj_printf(r, &text, "%s%s object", module, jj_type_name(v)) == OK ? text : "object";
}

/* The fewest digits that read back equal; an exponent from 1e16 and below 1e-4. */
void jj_float_repr(double f, char out[40]) {
    char digits[40], plain[32];
    int precision = 1, n = 0;
    if (isnan(f) || isinf(f)) {
        snprintf(out, 40, "%s", isnan(f) ? "nan" : f > 0 ? "inf" : "-inf");
        return;
    }
    do {
        snprintf(digits, sizeof digits, "%.*e", precision - 1, f);
    } while (strtod(digits, NULL) != f && ++precision <= 17);
    char *e = strchr(digits, 'e');
    int exponent = atoi(e + 1);
    for (char *c = digits; c < e; c++)
        if (*c >= '0' && *c <= '9') plain[n++] = *c;
    while (n > 1 && plain[n - 1] == '0') n--;
    const char *sign = signbit(f) ? "-" : "";
    if (exponent < -4 || exponent >= 16)
        snprintf(out, 40, "%s%c%s%.*se%c%02d", sign, plain[0], n > 1 ? "." : "", n - 1, plain + 1,
                 exponent < 0 ? '-' : '+', abs(exponent));
    else if (exponent < 0)
        snprintf(out, 40, "%s0.%.*s%.*s", sign, -exponent - 1, "0000", n, plain);
    else if (n <= exponent + 1)
        snprintf(out, 40, "%s%.*s%.*s.0", sign, n, plain, exponent + 1 - n, "0000000000000000");
    else
        snprintf(out, 40, "%s%.*s.%.*s", sign, exponent + 1, plain, n - exponent - 1, plain + exponent + 1);
}

/* ---- repr of strings: quotes and escapes belong to the string's own source ---------------------------------------- */

static Status put_at(Run *r, Sink *k, const Str *s, size_t at, const char *text) {
    return jj_put_like(r, k, text, strlen(text), s, at);
}

static Status put_string_repr(Run *r, Sink *k, const Str *s) {
    bool single = s->len > 0 && memchr(s->s, '\'', s->len) != NULL,
         twice = s->len > 0 && memchr(s->s, '"', s->len) != NULL;
    const char quote[2] = {single && !twice ? '"' : '\'', 0};
    size_t from = 0;
    char text[16];
    if (s->markup) TRY(jj_puts(r, k, "Markup("));
    TRY(put_at(r, k, s, 0, quote));
    for (size_t i = 0, n; i < s->len; i += n) {
        uint32_t cp = (uint8_t)s->s[i];
        n = 1;
        if (cp >= 0x80) n = (size_t)utf8_decode(s->s + i, s->len - i, &cp);
        if (cp == '\n' || cp == '\r' || cp == '\t')
            snprintf(text, sizeof text, "\\%c", cp == '\n' ? 'n' : cp == '\r' ? 'r' : 't');
        else if (cp == '\\' || cp == (uint32_t)quote[0])
            snprintf(text, sizeof text, "\\%c", (int)cp);
        else if (jj_is_printable(cp))
            continue;
        else
            snprintf(text, sizeof text, cp < 0x100 ? "\\x%02x" : cp < 0x10000 ? "\\u%04x" : "\\U%08x", cp);
        TRY(jj_put_str(r, k, s, from, i));
        TRY(put_at(r, k, s, i, text));
        from = i + n;
    }
    TRY(jj_put_str(r, k, s, from, s->len));
    TRY(put_at(r, k, s, s->len, quote));
    return s->markup ? jj_puts(r, k, ")") : OK;
}

static Status put_items(Run *r, Sink *k, const Value *items, size_t n, const char *open, const char *close, int depth) {
    TRY(jj_puts(r, k, open));
    for (size_t i = 0; i < n; i++) {
        if (i > 0) TRY(jj_puts(r, k, ", "));
        TRY(jj_put_repr(r, k, &items[i], depth));
    }
    return jj_puts(r, k, close);
}

static Status put_dict(Run *r, Sink *k, const Dict *d, int depth) {
    TRY(jj_puts(r, k, "{"));
    for (size_t i = 0; i < d->n; i++) {
        if (i > 0) TRY(jj_puts(r, k, ", "));
        TRY(jj_put_repr(r, k, &d->keys[i], depth));
        TRY(jj_puts(r, k, ": "));
        TRY(jj_put_repr(r, k, &d->values[i], depth));
    }
    return jj_puts(r, k, "}");
}

static Status put_other(Run *r, Sink *k, const Value *v, int depth) {
    char text[200];
    Value items;
    text[0] = 0;
    switch ((int)v->type) {
    case V_NAMESPACE:
        TRY(jj_puts(r, k, "<Namespace "));
        TRY(put_dict(r, k, v->dict, depth));
        return jj_puts(r, k, ">");
    case V_VIEW:
        items = (Value){.type = V_MISSING};
        TRY(jj_list(r, V_LIST, v->view->dict->n, &items));
        for (size_t i = 0; i < items.list->n; i++) TRY(jj_view_item(r, v->view, i, &items.list->items[i]));
        snprintf(text, sizeof text, "%s([", jj_type_name(v));
        return put_items(r, k, items.list->items, items.list->n, text, "])", depth);
    case V_RANGE:
        snprintf(text, sizeof text, v->range->step == 1 ? "range(%lld, %lld)" : "range(%lld, %lld, %lld)",
                 (long long)v->range->start, (long long)v->range->stop, (long long)v->range->step);
        break;
    case V_LOOP:
        snprintf(text, sizeof text, "<LoopContext %zu/%zu>", v->loop->index0 + 1, v->loop->n);
        break;
    case V_MACRO:
        if (v->macro->node->name == NULL) return jj_puts(r, k, "<Macro anonymous>");
        TRY(jj_puts(r, k, "<Macro '"));
        TRY(jj_put_all(r, k, &v->macro->node->name->str));
        return jj_puts(r, k, "'>");
    case V_FUNCTION:
        snprintf(text, sizeof text, "<function %s>", v->function->python_name);
        break;
    case V_METHOD:
        snprintf(text, sizeof text, "<built-in method %s of %s object>", v->method->function->name,
                 jj_type_name(&v->method->self));
        break;
    default:
        snprintf(text, sizeof text, "<%s object>", jj_type_name(v));
    }
    return jj_puts(r, k, text);
}

Status jj_put_repr(Run *r, Sink *k, const Value *v, int depth) {
    char text[40];
    if (depth > VALUE_DEPTH) return jj_limit(r, "maximum recursion depth exceeded while getting the repr of an object");
    TRY(jj_steps(r, 1));
    switch ((int)v->type) {
    case V_UNDEFINED:
        return jj_puts(r, k, "Undefined");
    case V_NONE:
        return jj_puts(r, k, "None");
    case V_BOOL:
        return jj_puts(r, k, v->b ? "True" : "False");
    case V_INT:
        snprintf(text, sizeof text, "%lld", (long long)v->i);
        return jj_puts(r, k, text);
    case V_FLOAT:
        jj_float_repr(v->f, text);
        return jj_puts(r, k, text);
    case V_DIGITS:
        return jj_puts(r, k, v->digits);
    case V_STRING:
        return put_string_repr(r, k, v->str);
    case V_LIST:
        return put_items(r, k, v->list->items, v->list->n, "[", "]", depth + 1);
    case V_TUPLE:
        return put_items(r, k, v->list->items, v->list->n, "(", v->list->n == 1 ? ",)" : ")", depth + 1);
    case V_DICT:
        return put_dict(r, k, v->dict, depth + 1);
    default:
        return put_other(r, k, v, depth + 1);
    }
}

Status jj_put_value(Run *r, Sink *k, const Value *v) {
    if (v->type == V_STRING) return jj_put_all(r, k, v->str);
    if (v->type == V_UNDEFINED) return OK;
    return jj_put_repr(r, k, v, 0);
}

Status jj_to_str(Run *r, const Value *v, const Str **out) {
    Sink k = {0};
    Value text = *v;
    if (v->type != V_STRING) {
        TRY(jj_put_value(r, &k, v));
        TRY(jj_sink_value(r, &k, &text));
    }
    *out = text.str;
    return OK;
}

Status jj_repr_text(Run *r, const Value *v, const char **out) {
    Sink k = {0};
    TRY(jj_put_repr(r, &k, v, 0));
    TRY(jj_put(r, &k, "", 1, NULL));
    *out = k.data;
    return OK;
}
