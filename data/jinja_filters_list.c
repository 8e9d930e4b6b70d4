/* jinja_filters_list.c: filters of lists and dicts. What Jinja2 makes lazily is made at once; it looks lazy (V_ITER):
 * an error on the way is raised when its element is asked for. */
#include "data/jinja_internal.h"

#define FILTER(name) static Status name(Run *r, const Value *self, const Value *v, const Args *args, Value *out)
#define UNUSED (void)self, (void)args

/* The value at a path like "a.b.0" of v; missing parts become fallback if there is one. lower: strings in lower case. */
static Status get_path(Run *r, const Value *v, const Value *path, const Value *fallback, bool lower, Value *out) {
    *out = *v;
    if (path->type == V_STRING) {
        const Str *s = path->str;
        for (size_t from = 0; from <= s->len;) {
            const char *dot = from < s->len ? memchr(s->s + from, '.', s->len - from) : NULL;
            size_t end = dot != NULL ? (size_t)(dot - s->s) : s->len;
            Value part, now = *out;
            bool ok = false, over = false;
            int64_t i;
            TRY(jj_steps(r, 1));
            TRY(jj_substr(r, s, from, end, &part));
            if (part.str->len > 0 && strspn(part.str->s, "0123456789") >= part.str->len)
                TRY(jj_parse_int(part.str, 10, &ok, &over, &i));
            if (ok && !over) part = jj_int(i);
            TRY(jj_item(r, &now, &part, out));
            if (out->type == V_UNDEFINED && fallback != NULL && fallback->type != V_MISSING && fallback->type != V_NONE)
                *out = *fallback;
            from = end + 1;
        }
    } else if (path->type != V_MISSING && path->type != V_NONE) {
        TRY(jj_item(r, v, path, out));
        if (out->type == V_UNDEFINED && fallback != NULL && fallback->type != V_MISSING && fallback->type != V_NONE)
            *out = *fallback;
    }
    if (!lower || out->type != V_STRING) return OK;
    Sink k = {0};
    const Str *s = out->str;
    TRY(jj_put_case(r, &k, s, 0, s->len, CASE_LOWER));
    return jj_sink_value(r, &k, out);
}

FILTER(do_length) {
    size_t n;
    UNUSED;
    TRY(jj_length(r, &v[0], &n));
    *out = jj_int((int64_t)n);
    return OK;
}

FILTER(do_list) {
    const Value *items;
    size_t n;
    UNUSED;
    TRY(jj_elements(r, &v[0], &items, &n));
    TRY(jj_list(r, V_LIST, n, out));
    if (n > 0) memcpy(out->list->items, items, n * sizeof *items);
    return OK;
}

FILTER(do_first) {
    const Value *items;
    size_t n;
    UNUSED;
    if (v[0].type == V_ITER && v[0].iter->at < v[0].iter->n) {
        *out = v[0].iter->items[v[0].iter->at++];
        return OK;
    }
    TRY(jj_elements(r, &v[0], &items, &n));
    if (n == 0) return jj_undefined(r, "No first item, sequence was empty.", NULL, NULL, out);
    *out = items[0];
    return OK;
}

static bool is_reversible(const Value *v) { return jj_is_iterable(v) && v->type != V_ITER && v->type != V_LOOP; }

FILTER(do_last) {
    const Value *items;
    size_t n;
    UNUSED;
    if (!is_reversible(&v[0])) return jj_raise(r, "'%s' object is not reversible", jj_type_name(&v[0]));
    TRY(jj_elements(r, &v[0], &items, &n));
    if (n == 0) return jj_undefined(r, "No last item, sequence was empty.", NULL, NULL, out);
    *out = items[n - 1];
    return OK;
}

FILTER(do_reverse) {
    const Value *items;
    size_t n;
    const Value bounds[3] = {{.type = V_MISSING}, {.type = V_MISSING}, {.type = V_INT, .i = -1}};
    UNUSED;
    if (v[0].type == V_STRING) return jj_slice(r, &v[0], bounds, out);
    if (!jj_is_iterable(&v[0])) return jj_raise(r, "argument must be iterable");
    TRY(jj_elements(r, &v[0], &items, &n));
    TRY(jj_list(r, V_LIST, n, out));
    for (size_t i = 0; i < n; i++) out->list->items[i] = items[n - 1 - i];
    if (!is_reversible(&v[0])) return OK;
    return jj_iter(r, v[0].type == V_LIST ? "list_reverseiterator" : "reversed", out->list->items, n, out);
}

FILTER(do_join) {
    const Value *items;
    size_t n;
    Value separator, parts;
    UNUSED;
    TRY(jj_text(r, "", &separator));
    if (v[1].type != V_MISSING) TRY(jj_to_str(r, &v[1], &separator.str));
    TRY(jj_elements(r, &v[0], &items, &n));
    if (v[2].type != V_MISSING && v[2].type != V_NONE) {
        TRY(jj_list(r, V_LIST, n, &parts));
        for (size_t i = 0; i < n; i++) TRY(get_path(r, &items[i], &v[2], NULL, false, &parts.list->items[i]));
        items = parts.list->items;
    }
    return jj_join(r, separator.str, items, n, out);
}

static Status give_iter(Run *r, const Value *list, size_t n, Value *out) {
    return jj_iter(r, "generator", list->list->items, n, out);
}

/* The first n elements of a list, and the failure st behind them if it is one of the template's own. The state of the run is
 * that of before the failure. */
static Status give_until(Run *r, Status st, const Run *before, const Value *list, size_t n, Value *out) {
    Late *late;
    JinjaFailure failure = r->result->failure;
    if (st == OK) return give_iter(r, list, n, out);
    if (st == ERR_OOM || (failure != JINJA_RUNTIME && failure != JINJA_RAISED)) return st;
    TRY(JJ_NEW(r, 1, late));
    *late = (Late){.failure = failure, .status = st, .error = r->result->error};
    r->result->failure = JINJA_NO_FAILURE;
    r->depth = before->depth;
    r->call_depth = before->call_depth;
    r->flow = before->flow;
    r->out = before->out;
    r->input = before->input;
    r->line = before->line;
    TRY(give_iter(r, list, n, out));
    out->iter->late = late;
    return OK;
}

/* The elements, and the failure behind them. */
static Status elements_until(Run *r, const Value *v, const Value **items, size_t *n) {
    Status st = jj_elements(r, v, items, n);
    if (st != OK && v->type != V_ITER) *n = 0;
    return st;
}

static Status only_keyword(Run *r, const Args *args, const char *name, const Value **out) {
    *out = NULL;
    for (size_t i = 0; i < args->n_keywords; i++)
        if (jj_str_is(args->keywords[i].name, name)) *out = &args->keywords[i].value;
    return jj_steps(r, 1);
}

FILTER(do_map) {
    const Value *items, *attribute = NULL, *fallback = NULL;
    size_t n;
    Value list;
    (void)self;
    (void)v;
    if (args->n == 0) return jj_raise(r, "sync_do_map() missing 1 required positional argument: 'value'");
    if (!jj_truth(&args->items[0])) return give_iter(r, &(Value){.type = V_LIST, .list = &(List){0}}, 0, out);
    if (args->n == 1) TRY(only_keyword(r, args, "attribute", &attribute));
    if (args->n == 1) TRY(only_keyword(r, args, "default", &fallback));
    for (size_t i = 0; i < args->n_keywords && attribute != NULL; i++) {
        const Str *name = args->keywords[i].name;
        if (!jj_str_is(name, "attribute") && !jj_str_is(name, "default"))
            return jj_raise(r, "Unexpected keyword argument '%.*s'", (int)(name->len < 200 ? name->len : 200), name->s);
    }
    if (args->n == 1 && attribute == NULL) return jj_raise(r, "map requires a filter argument");
    const Run before = *r;
    Status st = OK, end = elements_until(r, &args->items[0], &items, &n);
    TRY(jj_list(r, V_LIST, n, &list));
    Value *call;
    TRY(JJ_NEW(r, args->n, call));
    size_t i = 0;
    while (i < n) {
        if (attribute != NULL) {
            st = get_path(r, &items[i], attribute, fallback, false, &list.list->items[i]);
        } else {
            memcpy(call + 1, args->items + 2, (args->n - 2) * sizeof *call);
            call[0] = items[i];
            const Args given = {
                .items = call, .n = args->n - 1, .keywords = args->keywords, .n_keywords = args->n_keywords};
            st = jj_call_named(r, true, &args->items[1], &given, &list.list->items[i]);
        }
        if (st != OK) break;
        i++;
    }
    return give_until(r, st != OK ? st : end, &before, &list, i, out);
}

/* Whether select and its kind choose an element; call has room for args->n values. */
static Status is_chosen(Run *r, const Args *args, size_t skip, const Value *item, Value *call, bool *out) {
    Value tested = *item;
    if (skip == 2) TRY(get_path(r, item, &args->items[1], NULL, false, &tested));
    if (args->n > skip) {
        call[0] = tested;
        memcpy(call + 1, args->items + skip + 1, (args->n - skip - 1) * sizeof *call);
        const Args given = {
            .items = call, .n = args->n - skip, .keywords = args->keywords, .n_keywords = args->n_keywords};
        TRY(jj_call_named(r, false, &args->items[skip], &given, &tested));
    }
    *out = jj_truth(&tested);
    return OK;
}

/* select, reject, selectattr, rejectattr. */
static Status choose(Run *r, const Args *args, bool keep, bool by_attribute, Value *out) {
    const Value *items;
    size_t n, k = 0, skip = by_attribute ? 2 : 1;
    Value list, *call;
    if (args->n == 0) return jj_raise(r, "sync_do_select() missing 1 required positional argument: 'value'");
    if (!jj_truth(&args->items[0])) return give_iter(r, &(Value){.type = V_LIST, .list = &(List){0}}, 0, out);
    if (args->n < skip) return jj_raise(r, "Missing parameter for attribute name");
    const Run before = *r;
    Status st = OK, end = elements_until(r, &args->items[0], &items, &n);
    TRY(jj_list(r, V_LIST, n, &list));
    TRY(JJ_NEW(r, args->n, call));
    for (size_t i = 0; i < n && st == OK; i++) {
        bool chosen = false;
        st = is_chosen(r, args, skip, &items[i], call, &chosen);
        if (st == OK && chosen == keep) list.list->items[k++] = items[i];
    }
    return give_until(r, st != OK ? st : end, &before, &list, k, out);
}

FILTER(do_select) {
    (void)self;
    (void)v;
    return choose(r, args, true, false, out);
}
FILTER(do_reject) {
    (void)self;
    (void)v;
    return choose(r, args, false, false, out);
}
FILTER(do_selectattr) {
    (void)self;
    (void)v;
    return choose(r, args, true, true, out);
}
FILTER(do_rejectattr) {
    (void)self;
    (void)v;
    return choose(r, args, false, true, out);
}

/* ---- order ------------------------------------------------------------------------------------------------------- */

typedef struct Keyed {
    Value key, value;
} Keyed;

/* Stable, bottom up; Python's comparison of a later key with an earlier one. */
static Status merge_sort(Run *r, Keyed *a, size_t n, bool reverse) {
    Keyed *from = a, *to;
    TRY(JJ_NEW(r, n + 1, to));
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t begin = 0; begin < n; begin += 2 * width) {
            size_t mid = begin + width < n ? begin + width : n, end = mid + width < n ? mid + width : n;
            for (size_t i = begin, j = mid, k = begin; k < end; k++) {
                bool right = false;
                if (i < mid && j < end)
                    TRY(jj_compare(r, OP_LT, reverse ? &from[i].key : &from[j].key,
                                   reverse ? &from[j].key : &from[i].key, 0, &right));
                to[k] = i < mid && (j >= end || !right) ? from[i++] : from[j++];
            }
        }
        Keyed *swap = from;
        from = to;
        to = swap;
    }
    if (from != a) memcpy(a, from, n * sizeof *a);
    return OK;
}

/* Keys for sort: a list with one part per attribute of "a,b". */
static Status sort_key(Run *r, const Value *item, const Value *attribute, bool lower, Value *out) {
    Value names, comma;
    TRY(jj_list(r, V_LIST, 1, &names));
    names.list->items[0] = *attribute;
    if (attribute->type == V_STRING) {
        TRY(jj_text(r, ",", &comma));
        TRY(jj_split(r, attribute->str, &comma, -1, false, &names));
    }
    TRY(jj_list(r, V_LIST, names.list->n, out));
    for (size_t i = 0; i < names.list->n; i++)
        TRY(get_path(r, item, &names.list->items[i], NULL, lower, &out->list->items[i]));
    return OK;
}

static Status sorted(Run *r, const Value *value, const Value *attribute, const Value *fallback, bool lower,
                     bool reverse, bool many, Keyed **out, size_t *n) {
    const Value *items;
    TRY(jj_elements(r, value, &items, n));
    TRY(JJ_NEW(r, *n + 1, *out));
    for (size_t i = 0; i < *n; i++) {
        (*out)[i].value = items[i];
        TRY(many ? sort_key(r, &items[i], attribute, lower, &(*out)[i].key)
                 : get_path(r, &items[i], attribute, fallback, lower, &(*out)[i].key));
    }
    return merge_sort(r, *out, *n, reverse);
}

static Status values_of(Run *r, const Keyed *a, size_t n, Value *out) {
    TRY(jj_list(r, V_LIST, n, out));
    for (size_t i = 0; i < n; i++) out->list->items[i] = a[i].value;
    return OK;
}

FILTER(do_sort) {
    Keyed *a;
    size_t n;
    UNUSED;
    TRY(sorted(r, &v[0], &v[3], NULL, !jj_truth(&v[2]), jj_truth(&v[1]), true, &a, &n));
    return values_of(r, a, n, out);
}

FILTER(do_dictsort) {
    Keyed *a;
    UNUSED;
    bool by_value = v[2].type == V_STRING && jj_str_is(v[2].str, "value");
    if (v[2].type != V_MISSING && !by_value && !(v[2].type == V_STRING && jj_str_is(v[2].str, "key")))
        return jj_raise(r, "You can only sort by either \"key\" or \"value\"");
    if (v[0].type == V_UNDEFINED) return jj_fail_undefined(r, &v[0]);
    if (v[0].type != V_DICT) return jj_raise(r, "'%s' object has no attribute 'items'", jj_type_name(&v[0]));
    const View view = {.dict = v[0].dict, .kind = VIEW_ITEMS};
    TRY(JJ_NEW(r, view.dict->n + 1, a));
    for (size_t i = 0; i < view.dict->n; i++) {
        const Value whole = {.type = V_NONE};
        TRY(jj_view_item(r, &view, i, &a[i].value));
        TRY(get_path(r, by_value ? &view.dict->values[i] : &view.dict->keys[i], &whole, NULL, !jj_truth(&v[1]),
                     &a[i].key));
    }
    TRY(merge_sort(r, a, view.dict->n, jj_truth(&v[3])));
    return values_of(r, a, view.dict->n, out);
}

FILTER(do_items) {
    const View view = {.dict = v[0].dict, .kind = VIEW_ITEMS};
    Value list;
    UNUSED;
    if (v[0].type == V_UNDEFINED) return give_iter(r, &(Value){.type = V_LIST, .list = &(List){0}}, 0, out);
    if (v[0].type != V_DICT) return jj_raise(r, "Can only get item pairs from a mapping.");
    TRY(jj_list(r, V_LIST, view.dict->n, &list));
    for (size_t i = 0; i < view.dict->n; i++) TRY(jj_view_item(r, &view, i, &list.list->items[i]));
    return give_iter(r, &list, view.dict->n, out);
}

static Status add_unique(Run *r, const Value *v, const Value *item, Value *seen, Value *list, size_t *k) {
    const Value *found;
    Value key;
    TRY(get_path(r, item, &v[2], NULL, !jj_truth(&v[1]), &key));
    TRY(jj_dict_find(r, seen->dict, &key, &found));
    if (found != NULL) return OK;
    TRY(jj_dict_set(r, seen->dict, &key, &key));
    list->list->items[(*k)++] = *item;
    return OK;
}

FILTER(do_unique) {
    const Value *items;
    size_t n, k = 0;
    Value list, seen;
    const Run before = *r;
    UNUSED;
    Status st = OK, end = elements_until(r, &v[0], &items, &n);
    TRY(jj_list(r, V_LIST, n, &list));
    TRY(jj_dict(r, 0, &seen));
    for (size_t i = 0; i < n && st == OK; i++) st = add_unique(r, v, &items[i], &seen, &list, &k);
    return give_until(r, st != OK ? st : end, &before, &list, k, out);
}

static Status extreme(Run *r, const Value *v, Op op, Value *out) {
    const Value *items;
    size_t n;
    Value best, key;
    TRY(jj_elements(r, &v[0], &items, &n));
    if (n == 0) return jj_undefined(r, "No aggregated item, sequence was empty.", NULL, NULL, out);
    for (size_t i = 0; i < n; i++) {
        bool better = i == 0;
        TRY(get_path(r, &items[i], &v[2], NULL, !jj_truth(&v[1]), &key));
        if (i > 0) TRY(jj_compare(r, op, &key, &best, 0, &better));
        if (!better) continue;
        best = key;
        *out = items[i];
    }
    return OK;
}

FILTER(do_min) {
    UNUSED;
    return extreme(r, v, OP_LT, out);
}
FILTER(do_max) {
    UNUSED;
    return extreme(r, v, OP_GT, out);
}

FILTER(do_sum) {
    const Value *items;
    size_t n;
    UNUSED;
    Value sum = v[2].type != V_MISSING ? v[2] : jj_int(0), item;
    if (sum.type == V_STRING) return jj_raise(r, "sum() can't sum strings [use ''.join(seq) instead]");
    TRY(jj_elements(r, &v[0], &items, &n));
    for (size_t i = 0; i < n; i++) {
        const Value before = sum;
        TRY(get_path(r, &items[i], &v[1], NULL, false, &item));
        TRY(jj_binary(r, OP_ADD, &before, &item, &sum));
    }
    *out = sum;
    return OK;
}

/* ---- groups ------------------------------------------------------------------------------------------------------ */

static bool fills(const Value *v) { return v->type != V_MISSING && v->type != V_NONE; }

FILTER(do_batch) {
    const Value *items;
    size_t n;
    int64_t width;
    Value list;
    UNUSED;
    TRY(jj_elements(r, &v[0], &items, &n));
    if (!jj_index(&v[1], &width)) width = 0;
    if (width == 0 && fills(&v[2]) && n > 0 && v[1].type != V_INT)
        return jj_raise(r, "'<' not supported between instances of 'int' and '%s'", jj_type_name(&v[1]));
    size_t each = width > 0 ? (size_t)width : n > 0 ? n : 1, groups = (n + each - 1) / each;
    TRY(jj_list(r, V_LIST, groups, &list));
    for (size_t g = 0; g < groups; g++) {
        size_t have = n - g * each < each ? n - g * each : each, len = fills(&v[2]) && width > 0 ? each : have;
        if (len > (size_t)RANGE_MAX * 10) return jj_limit(r, "batch: groups of %zu elements are too large", len);
        TRY(jj_list(r, V_LIST, len, &list.list->items[g]));
        for (size_t i = 0; i < len; i++) list.list->items[g].list->items[i] = i < have ? items[g * each + i] : v[2];
    }
    return give_iter(r, &list, groups, out);
}

FILTER(do_slice) {
    const Value *items;
    size_t n, at = 0;
    int64_t slices;
    Value list;
    UNUSED;
    TRY(jj_elements(r, &v[0], &items, &n));
    if (!jj_index(&v[1], &slices))
        return jj_raise(r, "unsupported operand type(s) for //: 'int' and '%s'", jj_type_name(&v[1]));
    if (slices == 0) return jj_raise(r, "integer division or modulo by zero");
    if (slices > RANGE_MAX) return jj_limit(r, "slice: %lld groups are too many", (long long)slices);
    size_t groups = slices > 0 ? (size_t)slices : 0;
    TRY(jj_list(r, V_LIST, groups, &list));
    for (size_t g = 0; g < groups; g++) {
        bool longer = g < n % groups;
        size_t have = n / groups + longer, len = have + (fills(&v[2]) && !longer);
        TRY(jj_list(r, V_LIST, len, &list.list->items[g]));
        for (size_t i = 0; i < len; i++) list.list->items[g].list->items[i] = i < have ? items[at + i] : v[2];
        at += have;
    }
    return give_iter(r, &list, groups, out);
}

FILTER(do_groupby) {
    Keyed *a;
    size_t n, groups = 0;
    UNUSED;
    bool lower = !jj_truth(&v[3]);
    Value list;
    TRY(sorted(r, &v[0], &v[1], &v[2], lower, false, false, &a, &n));
    TRY(jj_list(r, V_LIST, n, &list));
    for (size_t i = 0, end; i < n; i = end) {
        bool same = true;
        Value pair, members;
        for (end = i + 1; end < n; end++) {
            TRY(jj_equal(r, &a[i].key, &a[end].key, 0, &same));
            if (!same) break;
        }
        TRY(values_of(r, a + i, end - i, &members));
        TRY(jj_list(r, V_TUPLE, 2, &pair));
        TRY(get_path(r, &a[i].value, &v[1], &v[2], false, &pair.list->items[0]));
        pair.list->items[1] = members;
        list.list->items[groups++] = pair;
    }
    list.list->n = groups;
    *out = list;
    return OK;
}

FILTER(do_attr) {
    UNUSED;
    if (v[1].type != V_STRING) return jj_raise(r, "attribute name must be string, not '%s'", jj_type_name(&v[1]));
    return jj_attribute_only(r, &v[0], v[1].str, out);
}

const Function JJ_LIST_FILTERS[] = {
    {"length", "len", "obj", do_length},
    {"count", "len", "obj", do_length},
    {"list", "do_list", "value", do_list},
    {"first", "do_first", "seq", do_first},
    {"last", "do_last", "seq", do_last},
    {"reverse", "do_reverse", "value", do_reverse},
    {"join", "do_join", "value d= attribute=", do_join},
    {"map", "do_map", "*", do_map},
    {"select", "do_select", "*", do_select},
    {"reject", "do_reject", "*", do_reject},
    {"selectattr", "do_selectattr", "*", do_selectattr},
    {"rejectattr", "do_rejectattr", "*", do_rejectattr},
    {"sort", "do_sort", "value reverse= case_sensitive= attribute=", do_sort},
    {"dictsort", "do_dictsort", "value case_sensitive= by= reverse=", do_dictsort},
    {"items", "do_items", "value", do_items},
    {"unique", "do_unique", "value case_sensitive= attribute=", do_unique},
    {"min", "do_min", "value case_sensitive= attribute=", do_min},
    {"max", "do_max", "value case_sensitive= attribute=", do_max},
    {"sum", "do_sum", "iterable attribute= start=", do_sum},
    {"batch", "do_batch", "value linecount fill_with=", do_batch},
    {"slice", "do_slice", "value slices fill_with=", do_slice},
    {"groupby", "do_groupby", "value attribute default= case_sensitive=", do_groupby},
    {"attr", "do_attr", "obj name", do_attr},
};
const size_t JJ_N_LIST_FILTERS = sizeof JJ_LIST_FILTERS / sizeof JJ_LIST_FILTERS[0];
