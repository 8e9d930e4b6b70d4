/* jinja_access.c: attributes and items as the sandbox looks them up, slices, lengths, iteration. */
#include "data/jinja_internal.h"

#include <stdio.h>

Status jj_view_item(Run *r, const View *v, size_t i, Value *out) {
    if (v->kind != VIEW_ITEMS) {
        *out = v->kind == VIEW_KEYS ? v->dict->keys[i] : v->dict->values[i];
        return OK;
    }
    TRY(jj_list(r, V_TUPLE, 2, out));
    out->list->items[0] = v->dict->keys[i];
    out->list->items[1] = v->dict->values[i];
    return OK;
}

bool jj_is_iterable(const Value *v) {
    switch ((int)v->type) {
    case V_UNDEFINED:
    case V_STRING:
    case V_LIST:
    case V_TUPLE:
    case V_DICT:
    case V_VIEW:
    case V_RANGE:
    case V_ITER:
    case V_LOOP:
        return true;
    default:
        return false;
    }
}

/* Of Markup as well they are plain strings. */
static Status characters(Run *r, const Str *whole, const Value **items) {
    Value list;
    Str plain = *whole, *s = &plain;
    s->markup = false;
    TRY(jj_list(r, V_LIST, s->chars, &list));
    for (size_t i = 0, at = 0; i < s->chars; i++) {
        size_t n = jj_char_len(s->s + at);
        TRY(jj_substr(r, s, at, at + n, &list.list->items[i]));
        at += n;
    }
    *items = list.list->items;
    return OK;
}

Status jj_elements(Run *r, const Value *v, const Value **items, size_t *n) {
    Value list;
    *items = NULL;
    *n = 0;
    switch ((int)v->type) {
    case V_UNDEFINED:
        return OK;
    case V_STRING:
        *n = v->str->chars;
        return characters(r, v->str, items);
    case V_LIST:
    case V_TUPLE:
        *n = v->list->n;
        *items = v->list->items;
        break;
    case V_DICT:
        *n = v->dict->n;
        *items = v->dict->keys;
        break;
    case V_VIEW:
        TRY(jj_list(r, V_LIST, v->view->dict->n, &list));
        for (size_t i = 0; i < list.list->n; i++) TRY(jj_view_item(r, v->view, i, &list.list->items[i]));
        *n = list.list->n;
        *items = list.list->items;
        break;
    case V_RANGE:
        TRY(jj_list(r, V_LIST, v->range->n, &list));
        for (size_t i = 0; i < v->range->n; i++)
            list.list->items[i] = jj_int(v->range->start + (int64_t)i * v->range->step);
        *n = v->range->n;
        *items = list.list->items;
        break;
    case V_ITER:
        *n = v->iter->n - v->iter->at;
        if (*n > 0) *items = v->iter->items + v->iter->at;
        v->iter->at = v->iter->n;
        if (v->iter->late != NULL)
            return jj_raise_text(r, v->iter->late->failure, v->iter->late->status, v->iter->late->error.s,
                                 v->iter->late->error.len);
        break;
    default:
        return jj_raise(r, "'%s' object is not iterable", jj_type_name(v));
    }
    return jj_steps(r, *n);
}

Status jj_length(Run *r, const Value *v, size_t *out) {
    switch ((int)v->type) {
    case V_UNDEFINED:
        *out = 0;
        return OK;
    case V_STRING:
        *out = v->str->chars;
        return OK;
    case V_LIST:
    case V_TUPLE:
        *out = v->list->n;
        return OK;
    case V_DICT:
        *out = v->dict->n;
        return OK;
    case V_VIEW:
        *out = v->view->dict->n;
        return OK;
    case V_RANGE:
        *out = v->range->n;
        return OK;
    case V_LOOP:
        *out = v->loop->n;
        return OK;
    default:
        return jj_raise(r, "object of type '%s' has no len()", jj_type_name(v));
    }
}

/* ---- attributes -------------------------------------------------------------------------------------------------- */

static Status loop_attribute(Run *r, const Loop *l, const Str *name, Value *out, bool *found) {
    int64_t i = (int64_t)l->index0, n = (int64_t)l->n;
    const struct {
        const char *name;
        Value value;
    } plain[] = {{"index0", jj_int(i)},
                 {"index", jj_int(i + 1)},
                 {"first", jj_bool(i == 0)},
                 {"last", jj_bool(i + 1 >= n)},
                 {"length", jj_int(n)},
                 {"revindex", jj_int(n - i)},
                 {"revindex0", jj_int(n - i - 1)},
                 {"depth", jj_int(l->depth0 + 1)},
                 {"depth0", jj_int(l->depth0)}};
    *found = true;
    for (size_t k = 0; k < sizeof plain / sizeof plain[0]; k++) {
        *out = plain[k].value;
        if (jj_str_is(name, plain[k].name)) return OK;
    }
    if (jj_str_is(name, "previtem")) {
        if (i == 0) return jj_undefined(r, "there is no previous item", NULL, NULL, out);
        *out = l->items[i - 1];
        return OK;
    }
    if (jj_str_is(name, "nextitem")) {
        if (i + 1 >= n) return jj_undefined(r, "there is no next item", NULL, NULL, out);
        *out = l->items[i + 1];
        return OK;
    }
    *found = false;
    return OK;
}

static Status macro_attribute(Run *r, const Macro *m, const Str *name, Value *out, bool *found) {
    *found = true;
    if (jj_str_is(name, "name")) {
        if (m->node->name == NULL) *out = jj_none();
        if (m->node->name != NULL) *out = (Value){.type = V_STRING, .str = &m->node->name->str};
        return OK;
    }
    if (jj_str_is(name, "arguments")) {
        TRY(jj_list(r, V_TUPLE, m->node->n_more, out));
        for (size_t i = 0; i < m->node->n_more; i++)
            out->list->items[i] = (Value){.type = V_STRING, .str = &m->node->more[i]->name->str};
        return OK;
    }
    *out = jj_bool((m->node->op & (jj_str_is(name, "caller")         ? MACRO_CALLER
                                   : jj_str_is(name, "catch_kwargs") ? MACRO_KWARGS
                                                                     : MACRO_VARARGS)) != 0);
    *found = jj_str_is(name, "caller") || jj_str_is(name, "catch_kwargs") || jj_str_is(name, "catch_varargs");
    return OK;
}

/* Special names that every Python object has. */
static bool is_internal(const Str *name) {
    static const char *const NAMES[] = {
        "class",        "doc",     "init",    "new",           "eq",           "ne",      "lt",     "le",        "gt",
        "ge",           "hash",    "repr",    "str",           "format",       "sizeof",  "reduce", "reduce_ex", "dir",
        "getattribute", "setattr", "delattr", "init_subclass", "subclasshook", "getstate"};
    char text[32];
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        snprintf(text, sizeof text, "__%s__", NAMES[i]);
        if (jj_str_is(name, text)) return true;
    }
    return false;
}

static bool is_container_internal(const Str *name) {
    return jj_str_is(name, "__len__") || jj_str_is(name, "__iter__") || jj_str_is(name, "__contains__") ||
           jj_str_is(name, "__getitem__");
}

static Status unsafe(Run *r, const Value *v, const Str *name, Value *out) {
    char *text;
    TRY(jj_printf(r, &text, "access to attribute '%.*s' of '%s' object is unsafe.",
                  (int)(name->len < 400 ? name->len : 400), name->s, jj_type_name(v)));
    return jj_undefined(r, text, NULL, NULL, out);
}

/* Python's getattr and the sandbox's view of it. */
static Status get_attribute(Run *r, const Value *v, const Str *name, Value *out, bool *found) {
    bool is_unsafe = false;
    *found = true;
    if (v->type == V_UNDEFINED) return jj_fail_undefined(r, v);
    if (v->type == V_NAMESPACE) {
        const Value key = {.type = V_STRING, .str = name}, *value;
        TRY(jj_dict_find(r, v->dict, &key, &value));
        *found = value != NULL;
        if (*found) *out = *value;
        if (!*found && is_internal(name)) return ((*found = true), unsafe(r, v, name, out));
        return OK;
    }
    if (v->type == V_LOOP) TRY(loop_attribute(r, v->loop, name, out, found));
    if (v->type == V_LOOP && *found) return OK;
    if (v->type == V_MACRO) return macro_attribute(r, v->macro, name, out, found);
    if (v->type == V_CYCLER && jj_str_is(name, "current") && v->cycler->n > 0) {
        *out = v->cycler->items[v->cycler->at];
        return OK;
    }
    int64_t whole;
    if (jj_index(v, &whole) && (jj_str_is(name, "real") || jj_str_is(name, "numerator"))) {
        *out = jj_int(whole);
        return OK;
    }
    if (jj_index(v, &whole) && (jj_str_is(name, "imag") || jj_str_is(name, "denominator"))) {
        *out = jj_int(jj_str_is(name, "denominator"));
        return OK;
    }
    *found = true;
    if (is_internal(name) || (jj_is_iterable(v) && is_container_internal(name))) return unsafe(r, v, name, out);
    const Function *f = jj_find_method(v, name, &is_unsafe);
    if (is_unsafe) return unsafe(r, v, name, out);
    *found = f != NULL;
    if (f == NULL) return OK;
    Method *m;
    TRY(JJ_NEW(r, 1, m));
    *m = (Method){.self = *v, .function = f};
    *out = (Value){.type = V_METHOD, .method = m};
    return OK;
}

/* ---- items ------------------------------------------------------------------------------------------------------- */

/* obj[key] where Python gives a value; found is false where it raises TypeError or LookupError. */
static Status get_item(Run *r, const Value *v, const Value *key, Value *out, bool *found) {
    int64_t i;
    size_t n;
    *found = false;
    if (v->type == V_UNDEFINED) return jj_fail_undefined(r, v);
    if (v->type == V_DICT) {
        const Value *value;
        if (key->type == V_LIST || key->type == V_DICT || key->type == V_VIEW || key->type == V_NAMESPACE)
            return OK; /* no hash */
        if (key->type == V_TUPLE)
            for (size_t k = 0; k < key->list->n; k++)
                if (key->list->items[k].type == V_LIST || key->list->items[k].type == V_DICT) return OK;
        TRY(jj_dict_find(r, v->dict, key, &value));
        *found = value != NULL;
        if (*found) *out = *value;
        return OK;
    }
    if (v->type != V_STRING && v->type != V_LIST && v->type != V_TUPLE && v->type != V_RANGE) return OK;
    if (!jj_index(key, &i)) return OK;
    TRY(jj_length(r, v, &n));
    if (i < 0) i += (int64_t)n;
    if (i < 0 || i >= (int64_t)n) return OK;
    *found = true;
    if (v->type == V_STRING) {
        TRY(jj_steps(r, v->str->chars == v->str->len ? 0 : v->str->len / 64));
        size_t at = jj_char_at(v->str, (size_t)i);
        return jj_substr(r, v->str, at, at + jj_char_len(v->str->s + at), out);
    }
    *out = v->type == V_RANGE ? jj_int(v->range->start + i * v->range->step) : v->list->items[i];
    return OK;
}

Status jj_attribute(Run *r, const Value *v, const Str *name, Value *out) {
    const Value key = {.type = V_STRING, .str = name};
    bool found;
    TRY(get_attribute(r, v, name, out, &found));
    if (!found) TRY(get_item(r, v, &key, out, &found));
    return found ? OK : jj_undefined(r, NULL, v, &key, out);
}

Status jj_attribute_only(Run *r, const Value *v, const Str *name, Value *out) {
    const Value key = {.type = V_STRING, .str = name};
    bool found;
    TRY(get_attribute(r, v, name, out, &found));
    return found ? OK : jj_undefined(r, NULL, v, &key, out);
}

Status jj_item(Run *r, const Value *v, const Value *key, Value *out) {
    bool found;
    TRY(get_item(r, v, key, out, &found));
    if (!found && key->type == V_STRING) TRY(get_attribute(r, v, key->str, out, &found));
    return found ? OK : jj_undefined(r, NULL, v, key, out);
}

/* ---- slices ------------------------------------------------------------------------------------------------------ */

static Status bound(Run *r, const Value *v, int64_t fallback, int64_t *out) {
    if (v->type == V_MISSING || v->type == V_NONE) {
        *out = fallback;
        return OK;
    }
    if (!jj_index(v, out)) return jj_raise(r, "slice indices must be integers or None or have an __index__ method");
    return OK;
}

static int64_t clip(int64_t at, int64_t n, int64_t low, int64_t high) {
    if (at < 0) at = at < -n ? -1 : at + n;
    return at < low ? low : at > high ? high : at;
}

/* The indices start, start + step ... (count of them), as Python's slice.indices. */
static Status slice_indices(Run *r, const Value bounds[3], int64_t n, int64_t *start, int64_t *step, size_t *count) {
    int64_t stop;
    TRY(bound(r, &bounds[2], 1, step));
    if (*step == 0) return jj_raise(r, "slice step cannot be zero");
    if (*step < -INT64_MAX) *step = -INT64_MAX;
    bool down = *step < 0;
    bool no_start = bounds[0].type == V_MISSING || bounds[0].type == V_NONE,
         no_stop = bounds[1].type == V_MISSING || bounds[1].type == V_NONE;
    TRY(bound(r, &bounds[0], 0, start));
    TRY(bound(r, &bounds[1], 0, &stop));
    int64_t low = down ? -1 : 0, high = down ? n - 1 : n;
    *start = no_start ? (down ? n - 1 : 0) : clip(*start, n, low, high);
    stop = no_stop ? (down ? -1 : n) : clip(stop, n, low, high);
    int64_t span = down ? *start - stop : stop - *start, width = down ? -*step : *step;
    *count = span <= 0 ? 0 : (size_t)((span - 1) / width + 1);
    return OK;
}

static Status slice_string(Run *r, const Str *s, int64_t start, int64_t step, size_t count, Value *out) {
    TRY(jj_steps(r, 1 + s->len / 64));
    if (step == 1) {
        size_t at = jj_char_at(s, (size_t)start), end = s->chars == s->len ? at + count : at;
        for (size_t i = 0; i < count && s->chars != s->len; i++) end += jj_char_len(s->s + end);
        return jj_substr(r, s, at, end, out);
    }
    size_t *offsets = NULL;
    Sink k = {0};
    if (s->chars != s->len) {
        TRY(JJ_NEW(r, s->chars, offsets));
        for (size_t i = 0, at = 0; i < s->chars; at += jj_char_len(s->s + at)) offsets[i++] = at;
    }
    TRY(jj_steps(r, count));
    for (size_t i = 0; i < count; i++, start += step) {
        size_t at = offsets != NULL ? offsets[start] : (size_t)start;
        TRY(jj_put_str(r, &k, s, at, at + jj_char_len(s->s + at)));
        if (i + 1 == count) break;
    }
    TRY(jj_sink_value(r, &k, out));
    return s->markup ? jj_as_markup(r, out, out) : OK;
}

Status jj_slice(Run *r, const Value *v, const Value bounds[3], Value *out) {
    int64_t start, step;
    size_t n, count = 0;
    if (v->type == V_UNDEFINED) return jj_fail_undefined(r, v);
    if (v->type == V_DICT) return jj_raise(r, "unhashable type: 'slice'");
    if (v->type != V_STRING && v->type != V_LIST && v->type != V_TUPLE && v->type != V_RANGE)
        return jj_raise(r, "'%s' object is not subscriptable", jj_type_name(v));
    TRY(jj_length(r, v, &n));
    TRY(slice_indices(r, bounds, (int64_t)n, &start, &step, &count));
    if (v->type == V_STRING) return slice_string(r, v->str, start, step, count, out);
    if (v->type == V_RANGE) {
        Range *range;
        int64_t width;
        TRY(JJ_NEW(r, 1, range));
        if (count == 0) start = 0;
        if (__builtin_mul_overflow(v->range->step, count > 1 ? step : 1, &width)) width = 1;
        *range = (Range){.start = v->range->start + start * v->range->step, .step = width, .n = count};
        range->stop = range->start + (int64_t)count * width;
        *out = (Value){.type = V_RANGE, .range = range};
        return OK;
    }
    TRY(jj_list(r, v->type, count, out));
    for (size_t i = 0; i < count; i++) out->list->items[i] = v->list->items[start + (int64_t)i * step];
    return OK;
}
