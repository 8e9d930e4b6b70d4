/* jinja_tests.c: tests (`is ...`) and global functions; strftime. v[0] is what is tested. */
#include "data/jinja_internal.h"

#include <stdio.h>
#include <time.h>

#define TEST(name) static Status name(Run *r, const Value *self, const Value *v, const Args *args, Value *out)
#define UNUSED (void)self, (void)args, (void)r

/* A test that looks at the type alone. */
#define TYPE_TEST(name, condition)                                                                                     \
    TEST(name) {                                                                                                       \
        UNUSED;                                                                                                        \
        *out = jj_bool(condition);                                                                                     \
        return OK;                                                                                                     \
    }
TYPE_TEST(is_defined, v[0].type != V_UNDEFINED)
TYPE_TEST(is_undefined, v[0].type == V_UNDEFINED)
TYPE_TEST(is_none, v[0].type == V_NONE)
TYPE_TEST(is_boolean, v[0].type == V_BOOL)
TYPE_TEST(is_true, v[0].type == V_BOOL && v[0].b)
TYPE_TEST(is_false, v[0].type == V_BOOL && !v[0].b)
TYPE_TEST(is_integer, v[0].type == V_INT || v[0].type == V_DIGITS)
TYPE_TEST(is_float, v[0].type == V_FLOAT)
TYPE_TEST(is_number, v[0].type == V_INT || v[0].type == V_DIGITS || v[0].type == V_FLOAT || v[0].type == V_BOOL)
TYPE_TEST(is_string, v[0].type == V_STRING)
TYPE_TEST(is_mapping, v[0].type == V_DICT)
TYPE_TEST(is_iterable, jj_is_iterable(&v[0]))
TYPE_TEST(is_sequence, jj_is_iterable(&v[0]) && v[0].type != V_VIEW && v[0].type != V_ITER && v[0].type != V_LOOP)
TYPE_TEST(is_callable, v[0].type == V_UNDEFINED || v[0].type >= V_LOOP)
TYPE_TEST(is_escaped, v[0].type == V_STRING && v[0].str->markup)

/* A name in a dict of Python's: what has no hash cannot be one. */
TEST(is_filter) {
    uint64_t hash;
    UNUSED;
    TRY(jj_hash(r, &v[0], 0, &hash));
    *out = jj_bool(v[0].type == V_STRING && jj_find_filter(v[0].str->s, v[0].str->len) != NULL);
    return OK;
}
TEST(is_test) {
    uint64_t hash;
    UNUSED;
    TRY(jj_hash(r, &v[0], 0, &hash));
    *out = jj_bool(v[0].type == V_STRING && jj_find_test(v[0].str->s, v[0].str->len) != NULL);
    return OK;
}

static Status by_method(Run *r, const Value *v, const char *method, Value *out) {
    Value self = {.type = V_STRING};
    const Args none = {0};
    TRY(jj_to_str(r, v, &self.str));
    return jj_call_function(r, jj_find_in(JJ_STR_METHODS, JJ_N_STR_METHODS, method, strlen(method)), &self, &none, out);
}
TEST(is_lower) {
    UNUSED;
    return by_method(r, v, "islower", out);
}
TEST(is_upper) {
    UNUSED;
    return by_method(r, v, "isupper", out);
}

static Status remainder_is(Run *r, const Value *a, const Value *b, int64_t want, Value *out) {
    Value rest;
    const Value wanted = jj_int(want);
    bool same;
    TRY(jj_binary(r, OP_MOD, a, b, &rest));
    TRY(jj_equal(r, &rest, &wanted, 0, &same));
    *out = jj_bool(same);
    return OK;
}
TEST(is_odd) {
    UNUSED;
    return remainder_is(r, &v[0], &(Value){.type = V_INT, .i = 2}, 1, out);
}
TEST(is_even) {
    UNUSED;
    return remainder_is(r, &v[0], &(Value){.type = V_INT, .i = 2}, 0, out);
}
TEST(is_divisible) {
    UNUSED;
    return remainder_is(r, &v[0], &v[1], 0, out);
}

TEST(is_in) {
    bool yes;
    UNUSED;
    TRY(jj_contains(r, &v[1], &v[0], &yes));
    *out = jj_bool(yes);
    return OK;
}

TEST(is_same) {
    bool same = v[0].type == v[1].type;
    UNUSED;
    if (same && v[0].type != V_NONE && v[0].type != V_BOOL && v[0].type != V_INT)
        same = v[0].list == v[1].list;
    else if (same)
        TRY(jj_equal(r, &v[0], &v[1], 0, &same));
    *out = jj_bool(same);
    return OK;
}

static Status compare(Run *r, const Value *v, Op op, Value *out) {
    bool yes;
    TRY(jj_compare(r, op, &v[0], &v[1], 0, &yes));
    *out = jj_bool(yes);
    return OK;
}
#define COMPARISON(name, op)                                                                                           \
    TEST(name) {                                                                                                       \
        UNUSED;                                                                                                        \
        return compare(r, v, op, out);                                                                                 \
    }
COMPARISON(is_eq, OP_EQ)
COMPARISON(is_ne, OP_NE)
COMPARISON(is_lt, OP_LT)
COMPARISON(is_le, OP_LE)
COMPARISON(is_gt, OP_GT)
COMPARISON(is_ge, OP_GE)

static const Function TESTS[] = {
    {"defined", "test_defined", "value", is_defined},
    {"undefined", "test_undefined", "value", is_undefined},
    {"none", "test_none", "value", is_none},
    {"boolean", "test_boolean", "value", is_boolean},
    {"true", "test_true", "value", is_true},
    {"false", "test_false", "value", is_false},
    {"integer", "test_integer", "value", is_integer},
    {"float", "test_float", "value", is_float},
    {"number", "test_number", "value", is_number},
    {"string", "test_string", "value", is_string},
    {"mapping", "test_mapping", "value", is_mapping},
    {"iterable", "test_iterable", "value", is_iterable},
    {"sequence", "test_sequence", "value", is_sequence},
    {"callable", "callable", "obj", is_callable},
    {"escaped", "test_escaped", "value", is_escaped},
    {"filter", "test_filter", "value", is_filter},
    {"test", "test_test", "value", is_test},
    {"lower", "test_lower", "value", is_lower},
    {"upper", "test_upper", "value", is_upper},
    {"odd", "test_odd", "value", is_odd},
    {"even", "test_even", "value", is_even},
    {"divisibleby", "test_divisibleby", "value num", is_divisible},
    {"in", "test_in", "value seq", is_in},
    {"sameas", "test_sameas", "value other", is_same},
    {"==", "eq", "a b", is_eq},
    {"eq", "eq", "a b", is_eq},
    {"equalto", "eq", "a b", is_eq},
    {"!=", "ne", "a b", is_ne},
    {"ne", "ne", "a b", is_ne},
    {"<", "lt", "a b", is_lt},
    {"lt", "lt", "a b", is_lt},
    {"lessthan", "lt", "a b", is_lt},
    {"<=", "le", "a b", is_le},
    {"le", "le", "a b", is_le},
    {">", "gt", "a b", is_gt},
    {"gt", "gt", "a b", is_gt},
    {"greaterthan", "gt", "a b", is_gt},
    {">=", "ge", "a b", is_ge},
    {"ge", "ge", "a b", is_ge},
};

const Function *jj_find_test(const char *name, size_t len) {
    return jj_find_in(TESTS, sizeof TESTS / sizeof TESTS[0], name, len);
}

/* ---- global functions -------------------------------------------------------------------------------------------- */

TEST(global_range) {
    int64_t n[3] = {0, 0, 1};
    Range *range;
    (void)self;
    (void)v;
    if (args->n_keywords > 0) return jj_raise(r, "range() takes no keyword arguments");
    if (args->n == 0) return jj_raise(r, "range expected at least 1 argument, got 0");
    if (args->n > 3) return jj_raise(r, "range expected at most 3 arguments, got %zu", args->n);
    for (size_t i = 0; i < args->n; i++) {
        if (args->items[i].type == V_UNDEFINED || !jj_index(&args->items[i], &n[args->n == 1 ? 1 : i]))
            return jj_raise(r, "'%s' object cannot be interpreted as an integer", jj_type_name(&args->items[i]));
    }
    if (n[2] == 0) return jj_raise(r, "range() arg 3 must not be zero");
    __int128 span = n[2] > 0 ? (__int128)n[1] - n[0] : (__int128)n[0] - n[1], step = n[2] > 0 ? n[2] : -(__int128)n[2];
    __int128 count = span <= 0 ? 0 : (span - 1) / step + 1;
    if (count > RANGE_MAX)
        return jj_raise(r, "Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).", (int)RANGE_MAX);
    TRY(JJ_NEW(r, 1, range));
    *range = (Range){.start = n[0], .stop = n[1], .step = n[2], .n = (size_t)count};
    *out = (Value){.type = V_RANGE, .range = range};
    return OK;
}

/* dict(mapping or pairs, name=value ...). */
TEST(global_dict) {
    const Value *items, *pair;
    size_t n, two;
    (void)self;
    (void)v;
    TRY(jj_dict(r, args->n_keywords, out));
    if (args->n > 1) return jj_raise(r, "dict expected at most 1 argument, got %zu", args->n);
    if (args->n == 1 && args->items[0].type == V_UNDEFINED) return jj_fail_undefined(r, &args->items[0]);
    if (args->n == 1 && args->items[0].type == V_DICT) {
        const Dict *d = args->items[0].dict;
        for (size_t i = 0; i < d->n; i++) TRY(jj_dict_set(r, out->dict, &d->keys[i], &d->values[i]));
    } else if (args->n == 1) {
        TRY(jj_elements(r, &args->items[0], &items, &n));
        for (size_t i = 0; i < n; i++) {
            if (!jj_is_iterable(&items[i]))
                return jj_raise(r, "cannot convert dictionary update sequence element #%zu to a sequence", i);
            TRY(jj_elements(r, &items[i], &pair, &two));
            if (two != 2)
                return jj_raise(r, "dictionary update sequence element #%zu has length %zu; 2 is required", i, two);
            TRY(jj_dict_set(r, out->dict, &pair[0], &pair[1]));
        }
    }
    for (size_t i = 0; i < args->n_keywords; i++) {
        const Value key = {.type = V_STRING, .str = args->keywords[i].name};
        TRY(jj_dict_set(r, out->dict, &key, &args->keywords[i].value));
    }
    return OK;
}

TEST(global_namespace) {
    TRY(global_dict(r, self, v, args, out));
    for (size_t i = 0; i < out->dict->n; i++) {
        const Value *key = &out->dict->keys[i];
        const char *text;
        if (key->type != V_STRING || key->str->len == 0 || key->str->s[0] != '_') continue;
        TRY(jj_repr_text(r, key, &text));
        return jj_raise(
            r,
            "Chat templates cannot store underscore-prefixed attributes on a namespace, but got %s. Please rename the attribute.",
            text);
    }
    out->type = V_NAMESPACE;
    return OK;
}

TEST(global_cycler) {
    Cycler *c;
    (void)self;
    (void)v;
    if (args->n == 0) return jj_raise(r, "at least one item has to be provided");
    TRY(JJ_NEW(r, 1, c));
    TRY(JJ_NEW(r, args->n, c->items));
    memcpy(c->items, args->items, args->n * sizeof *c->items);
    c->n = args->n;
    *out = (Value){.type = V_CYCLER, .cycler = c};
    return OK;
}

TEST(global_joiner) {
    Cycler *c;
    (void)self;
    (void)args;
    TRY(JJ_NEW(r, 1, c));
    c->separator = v[0];
    if (v[0].type == V_MISSING) TRY(jj_text(r, ", ", &c->separator));
    *out = (Value){.type = V_JOINER, .cycler = c};
    return OK;
}

TEST(global_raise) {
    const Str *s;
    (void)self;
    (void)args;
    (void)out;
    TRY(jj_to_str(r, &v[0], &s));
    return jj_raise_text(r, JINJA_RAISED, ERR_DATA, s->s, s->len);
}

TEST(global_now) {
    (void)self;
    (void)args;
    if (v[0].type != V_STRING) return jj_raise(r, "strftime() argument 1 must be str, not %s", jj_type_name(&v[0]));
    return jj_strftime(r, v[0].str, out);
}

TEST(not_supported) {
    (void)self;
    (void)v;
    (void)args;
    (void)out;
    return jj_limit(r, "the template calls a function that is not supported");
}

static const Function GLOBALS[] = {
    {"range", "range", "*", global_range},
    {"dict", "dict", "*", global_dict},
    {"namespace", "namespace", "*", global_namespace},
    {"cycler", "cycler", "*", global_cycler},
    {"joiner", "joiner", "sep=", global_joiner},
    {"raise_exception", "_cached_compile_jinja_template.<locals>.raise_exception", "message", global_raise},
    {"strftime_now", "_cached_compile_jinja_template.<locals>.strftime_now", "format", global_now},
    {"lipsum", "generate_lorem_ipsum", "*", not_supported},
};

const Function *jj_find_global(const char *name, size_t len) {
    return jj_find_in(GLOBALS, sizeof GLOBALS / sizeof GLOBALS[0], name, len);
}

/* ---- strftime ---------------------------------------------------------------------------------------------------- */

Status jj_strftime(Run *r, const Str *format, Value *out) {
    Sink k = {0};
    struct tm tm;
    time_t now = (time_t)r->in->now;
    char directive[8], text[128];
    if (gmtime_r(&now, &tm) == NULL) return jj_limit(r, "the time is out of range");
    for (size_t i = 0; i < format->len;) {
        const char *percent = memchr(format->s + i, '%', format->len - i);
        size_t end = percent != NULL ? (size_t)(percent - format->s) : format->len, n = 0;
        TRY(jj_steps(r, 1));
        TRY(jj_put_str(r, &k, format, i, end));
        i = end;
        if (percent == NULL) break;
        directive[n++] = format->s[i++];
        while (i < format->len && n < 3 && strchr("-_0^#EO", format->s[i]) != NULL) directive[n++] = format->s[i++];
        if (i < format->len) directive[n++] = format->s[i++];
        directive[n] = 0;
        char kind = directive[n - 1];
        if (n == 2 && (kind == 'Z' || kind == 'z')) continue; /* the time has no zone */
        if (kind == 'f' && n == 2) {
            TRY(jj_puts(r, &k, "000000"));
        } else if (n == 1 || (uint8_t)kind >= 0x80) {
            TRY(jj_puts(r, &k, n == 1 ? directive : "%"));
            if (n > 1) i -= n - 1;
        } else {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            size_t len = strftime(text, sizeof text, directive, &tm);
#pragma GCC diagnostic pop
            TRY(jj_put(r, &k, text, len, NULL));
        }
    }
    return jj_sink_value(r, &k, out);
}
