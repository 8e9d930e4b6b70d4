/* jinja_methods.c: methods of strings that look at them, methods of lists, dicts and loops; which names are blocked. */
#include "data/jinja_internal.h"

#include "base/utf8.h"

#define METHOD(name) static Status name(Run *r, const Value *self, const Value *v, const Args *args, Value *out)

/* ---- strings ----------------------------------------------------------------------------------------------------- */

/* The bytes of s[start:end]; false when start lies beyond the end. */
static Status window(Run *r, const Str *s, const Value *start, const Value *end, size_t *a, size_t *b, bool *inside) {
    int64_t n = (int64_t)s->chars, i = 0, j = n;
    const Value *given[2] = {start, end};
    int64_t *places[2] = {&i, &j};
    for (int k = 0; k < 2; k++) {
        if (given[k]->type == V_MISSING || given[k]->type == V_NONE) continue;
        if (!jj_index(given[k], places[k]))
            return jj_raise(r, "slice indices must be integers or None or have an __index__ method");
        if (*places[k] < 0) *places[k] = *places[k] < -n ? 0 : *places[k] + n;
    }
    if (j > n) j = n;
    *inside = i <= j;
    *a = jj_char_at(s, (size_t)(i > n ? n : i));
    *b = jj_char_at(s, (size_t)j);
    return jj_steps(r, s->chars == s->len ? 1 : 1 + s->len / 64);
}

static Status starts_or_ends(Run *r, const Value *self, const Value *v, bool starts, Value *out) {
    size_t a, b, n = 1;
    bool inside, yes = false;
    const Value *items = &v[0];
    TRY(window(r, self->str, &v[1], &v[2], &a, &b, &inside));
    if (v[0].type == V_TUPLE) {
        items = v[0].list->items;
        n = v[0].list->n;
    } else if (v[0].type != V_STRING) {
        return jj_raise(r, "%s first arg must be str or a tuple of str, not %s", starts ? "startswith" : "endswith",
                        jj_type_name(&v[0]));
    }
    for (size_t i = 0; i < n && !yes; i++) {
        if (items[i].type != V_STRING)
            return jj_raise(r, "tuple for %s must only contain str, not %s", starts ? "startswith" : "endswith",
                            jj_type_name(&items[i]));
        size_t len = items[i].str->len;
        TRY(jj_steps(r, len / 64 + 1));
        yes = inside && len <= b - a && memcmp(self->str->s + (starts ? a : b - len), items[i].str->s, len) == 0;
    }
    *out = jj_bool(yes);
    return OK;
}

METHOD(str_startswith) {
    (void)args;
    return starts_or_ends(r, self, v, true, out);
}
METHOD(str_endswith) {
    (void)args;
    return starts_or_ends(r, self, v, false, out);
}

static Status find(Run *r, const Value *self, const Value *v, bool last, bool must, Value *out) {
    size_t a, b, at = 0;
    bool inside, found = false;
    if (v[0].type != V_STRING) return jj_raise(r, "must be str, not %s", jj_type_name(&v[0]));
    TRY(window(r, self->str, &v[1], &v[2], &a, &b, &inside));
    Str part = *self->str;
    part.len = b;
    TRY(jj_steps(r, part.len / 64));
    if (inside && !last) found = jj_find_bytes(&part, a, v[0].str, &at);
    if (inside && last) {
        part.s += a;
        TRY(jj_rfind(r, &part, b - a, v[0].str, &found, &at));
        at += a;
    }
    if (!found && must) return jj_raise(r, "substring not found");
    *out = jj_int(found ? (int64_t)jj_count_chars(self->str->s, at) : -1);
    return OK;
}

METHOD(str_find) {
    (void)args;
    return find(r, self, v, false, false, out);
}
METHOD(str_rfind) {
    (void)args;
    return find(r, self, v, true, false, out);
}
METHOD(str_index) {
    (void)args;
    return find(r, self, v, false, true, out);
}
METHOD(str_rindex) {
    (void)args;
    return find(r, self, v, true, true, out);
}

METHOD(str_count) {
    size_t a, b, at;
    bool inside;
    int64_t n = 0;
    (void)args;
    if (v[0].type != V_STRING) return jj_raise(r, "must be str, not %s", jj_type_name(&v[0]));
    TRY(window(r, self->str, &v[1], &v[2], &a, &b, &inside));
    Str part = *self->str;
    part.len = b;
    TRY(jj_steps(r, part.len / 64));
    if (v[0].str->len == 0) n = inside ? (int64_t)jj_count_chars(part.s + a, b - a) + 1 : 0;
    while (inside && v[0].str->len > 0 && jj_find_bytes(&part, a, v[0].str, &at)) {
        TRY(jj_steps(r, 1));
        a = at + v[0].str->len;
        n++;
    }
    *out = jj_int(n);
    return OK;
}

static Status all_chars(Run *r, const Str *s, CharClass a, CharClass b, Value *out) {
    bool yes = s->len > 0;
    uint32_t cp;
    TRY(jj_steps(r, s->len / 8));
    for (size_t at = 0; at < s->len && yes;) {
        at += (size_t)utf8_decode(s->s + at, s->len - at, &cp);
        yes = jj_char_is(cp, a) || jj_char_is(cp, b);
    }
    *out = jj_bool(yes);
    return OK;
}

#define ALL_CHARS(name, a, b)                                                                                          \
    METHOD(name) {                                                                                                     \
        (void)v;                                                                                                       \
        (void)args;                                                                                                    \
        return all_chars(r, self->str, a, b, out);                                                                     \
    }
ALL_CHARS(str_isalpha, CHAR_ALPHA, CHAR_ALPHA)
ALL_CHARS(str_isalnum, CHAR_ALPHA, CHAR_NUMERIC)
ALL_CHARS(str_isdecimal, CHAR_DECIMAL, CHAR_DECIMAL)
ALL_CHARS(str_isdigit, CHAR_DIGIT, CHAR_DIGIT)
ALL_CHARS(str_isnumeric, CHAR_NUMERIC, CHAR_NUMERIC)
ALL_CHARS(str_isspace, CHAR_SPACE, CHAR_SPACE)

METHOD(str_isprintable) {
    (void)v;
    (void)args;
    TRY(all_chars(r, self->str, CHAR_PRINTABLE, CHAR_PRINTABLE, out));
    if (self->str->len == 0) *out = jj_bool(true);
    return OK;
}

METHOD(str_isascii) {
    (void)v;
    (void)args;
    *out = jj_bool(self->str->chars == self->str->len);
    return jj_steps(r, 1);
}

/* 1: isupper, 2: islower, 3: istitle. */
static Status is_case(Run *r, const Str *s, int which, Value *out) {
    bool upper, lower, title, any = false, good = true, inside = false;
    uint32_t cp;
    TRY(jj_steps(r, s->len / 8));
    for (size_t at = 0; at < s->len && good;) {
        at += (size_t)utf8_decode(s->s + at, s->len - at, &cp);
        bool is_cased = jj_is_cased(cp, &upper, &lower, &title);
        any = any || is_cased;
        if (which == 1) good = !lower && !title;
        if (which == 2) good = !upper && !title;
        if (which == 3 && is_cased) good = inside ? lower : upper || title;
        inside = is_cased;
    }
    *out = jj_bool(any && good);
    return OK;
}

METHOD(str_isupper) {
    (void)v;
    (void)args;
    return is_case(r, self->str, 1, out);
}
METHOD(str_islower) {
    (void)v;
    (void)args;
    return is_case(r, self->str, 2, out);
}
METHOD(str_istitle) {
    (void)v;
    (void)args;
    return is_case(r, self->str, 3, out);
}

METHOD(not_supported) {
    (void)self;
    (void)v;
    (void)args;
    (void)out;
    return jj_limit(r, "the template calls a method that is not supported");
}

const Function JJ_STR_METHODS[] = {
    {"startswith", "str.startswith", "prefix start= end=", str_startswith},
    {"endswith", "str.endswith", "suffix start= end=", str_endswith},
    {"find", "str.find", "sub start= end=", str_find},
    {"rfind", "str.rfind", "sub start= end=", str_rfind},
    {"index", "str.index", "sub start= end=", str_index},
    {"rindex", "str.rindex", "sub start= end=", str_rindex},
    {"count", "str.count", "sub start= end=", str_count},
    {"isalpha", "str.isalpha", "", str_isalpha},
    {"isalnum", "str.isalnum", "", str_isalnum},
    {"isdecimal", "str.isdecimal", "", str_isdecimal},
    {"isdigit", "str.isdigit", "", str_isdigit},
    {"isnumeric", "str.isnumeric", "", str_isnumeric},
    {"isspace", "str.isspace", "", str_isspace},
    {"isprintable", "str.isprintable", "", str_isprintable},
    {"isascii", "str.isascii", "", str_isascii},
    {"isupper", "str.isupper", "", str_isupper},
    {"islower", "str.islower", "", str_islower},
    {"istitle", "str.istitle", "", str_istitle},
    {"encode", "str.encode", "*", not_supported},
    {"format_map", "str.format_map", "*", not_supported},
    {"isidentifier", "str.isidentifier", "*", not_supported},
    {"maketrans", "str.maketrans", "*", not_supported},
    {"translate", "str.translate", "*", not_supported},
};
const size_t JJ_N_STR_METHODS = sizeof JJ_STR_METHODS / sizeof JJ_STR_METHODS[0];

/* ---- lists, dicts -------------------------------------------------------------------------------------------------- */

METHOD(list_count) {
    int64_t n = 0;
    bool same;
    (void)args;
    for (size_t i = 0; i < self->list->n; i++) {
        TRY(jj_equal(r, &self->list->items[i], &v[0], 0, &same));
        n += same;
    }
    *out = jj_int(n);
    return OK;
}

METHOD(list_index) {
    const char *text;
    (void)args;
    for (size_t i = 0; i < self->list->n; i++) {
        bool same;
        TRY(jj_equal(r, &self->list->items[i], &v[0], 0, &same));
        *out = jj_int((int64_t)i);
        if (same) return OK;
    }
    if (self->type == V_TUPLE) return jj_raise(r, "tuple.index(x): x not in tuple");
    TRY(jj_repr_text(r, &v[0], &text));
    return jj_raise(r, "%s is not in list", text);
}

METHOD(copy) {
    (void)r;
    (void)v;
    (void)args;
    *out = *self; /* nobody can change it */
    return OK;
}

METHOD(dict_get) {
    const Value *found;
    (void)args;
    TRY(jj_dict_find(r, self->dict, &v[0], &found));
    *out = found != NULL ? *found : v[1].type != V_MISSING ? v[1] : jj_none();
    return OK;
}

static Status view(Run *r, const Value *self, ViewKind kind, Value *out) {
    View *w;
    TRY(JJ_NEW(r, 1, w));
    *w = (View){.dict = self->dict, .kind = kind};
    *out = (Value){.type = V_VIEW, .view = w};
    return OK;
}

METHOD(dict_keys) {
    (void)v;
    (void)args;
    return view(r, self, VIEW_KEYS, out);
}
METHOD(dict_values) {
    (void)v;
    (void)args;
    return view(r, self, VIEW_VALUES, out);
}
METHOD(dict_items) {
    (void)v;
    (void)args;
    return view(r, self, VIEW_ITEMS, out);
}

METHOD(dict_fromkeys) {
    const Value *items;
    size_t n;
    const Value none = jj_none();
    (void)self;
    (void)args;
    TRY(jj_elements(r, &v[0], &items, &n));
    TRY(jj_dict(r, n, out));
    for (size_t i = 0; i < n; i++) TRY(jj_dict_set(r, out->dict, &items[i], v[1].type != V_MISSING ? &v[1] : &none));
    return OK;
}

METHOD(loop_cycle) {
    (void)v;
    if (args->n_keywords > 0) return jj_raise(r, "LoopContext.cycle() got an unexpected keyword argument");
    if (args->n == 0) return jj_raise(r, "no items for cycling given");
    *out = args->items[self->loop->index0 % args->n];
    return OK;
}

METHOD(loop_changed) {
    Value now;
    bool same = false;
    (void)v;
    TRY(jj_list(r, V_TUPLE, args->n, &now));
    if (args->n > 0) memcpy(now.list->items, args->items, args->n * sizeof now);
    if (self->loop->has_changed) TRY(jj_equal(r, &self->loop->changed, &now, 0, &same));
    self->loop->has_changed = true;
    self->loop->changed = now;
    *out = jj_bool(!same);
    return OK;
}

METHOD(cycler_next) {
    (void)v;
    return jj_call(r, self, args, out);
}

METHOD(cycler_reset) {
    (void)r;
    (void)v;
    (void)args;
    self->cycler->at = 0;
    *out = jj_none();
    return OK;
}

METHOD(float_is_integer) {
    (void)v;
    (void)args;
    *out = jj_bool(self->f - self->f == 0 && self->f == __builtin_floor(self->f));
    return jj_steps(r, 1);
}

static const struct {
    Type type;
    Function function;
} METHODS[] = {
    {V_LIST, {"count", "list.count", "value", list_count}},
    {V_LIST, {"index", "list.index", "value", list_index}},
    {V_LIST, {"copy", "list.copy", "", copy}},
    {V_TUPLE, {"count", "tuple.count", "value", list_count}},
    {V_TUPLE, {"index", "tuple.index", "value", list_index}},
    {V_DICT, {"get", "dict.get", "key default=", dict_get}},
    {V_DICT, {"keys", "dict.keys", "", dict_keys}},
    {V_DICT, {"values", "dict.values", "", dict_values}},
    {V_DICT, {"items", "dict.items", "", dict_items}},
    {V_DICT, {"copy", "dict.copy", "", copy}},
    {V_DICT, {"fromkeys", "dict.fromkeys", "iterable value=", dict_fromkeys}},
    {V_FUNCTION, {"fromkeys", "dict.fromkeys", "iterable value=", dict_fromkeys}},
    {V_LOOP, {"cycle", "LoopContext.cycle", "*", loop_cycle}},
    {V_LOOP, {"changed", "LoopContext.changed", "*", loop_changed}},
    {V_CYCLER, {"next", "Cycler.next", "*", cycler_next}},
    {V_CYCLER, {"reset", "Cycler.reset", "", cycler_reset}},
    {V_FLOAT, {"is_integer", "float.is_integer", "", float_is_integer}},
    {V_INT, {"bit_length", "int.bit_length", "*", not_supported}},
};

/* What the immutable sandbox blocks. */
static const struct {
    Type type;
    const char *name;
} BLOCKED[] = {{V_LIST, "append"},  {V_LIST, "clear"},      {V_LIST, "pop"},    {V_LIST, "reverse"}, {V_LIST, "insert"},
               {V_LIST, "sort"},    {V_LIST, "extend"},     {V_LIST, "remove"}, {V_DICT, "clear"},   {V_DICT, "pop"},
               {V_DICT, "popitem"}, {V_DICT, "setdefault"}, {V_DICT, "update"}};

const Function *jj_find_method(const Value *v, const Str *name, bool *unsafe) {
    for (size_t i = 0; i < sizeof BLOCKED / sizeof BLOCKED[0]; i++) {
        *unsafe = BLOCKED[i].type == v->type && jj_str_is(name, BLOCKED[i].name);
        if (*unsafe) return NULL;
    }
    if (v->type == V_STRING) {
        const Function *f = jj_find_in(JJ_TEXT_METHODS, JJ_N_TEXT_METHODS, name->s, name->len);
        return f != NULL ? f : jj_find_in(JJ_STR_METHODS, JJ_N_STR_METHODS, name->s, name->len);
    }
    if (v->type == V_FUNCTION && strcmp(v->function->name, "dict") != 0) return NULL;
    for (size_t i = 0; i < sizeof METHODS / sizeof METHODS[0]; i++)
        if (METHODS[i].type == v->type && jj_str_is(name, METHODS[i].function.name)) return &METHODS[i].function;
    return NULL;
}
