/* jinja_ops.c: operators with Python's meaning and Python's errors. Integers have 64 bits: what leaves them is an error. */
#include "data/jinja_internal.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

bool jj_truth(const Value *v) {
    switch ((int)v->type) {
    case V_MISSING:
    case V_UNDEFINED:
    case V_NONE:
        return false;
    case V_BOOL:
        return v->b;
    case V_INT:
        return v->i != 0;
    case V_FLOAT:
        return v->f != 0;
    case V_STRING:
        return v->str->len > 0;
    case V_LIST:
    case V_TUPLE:
        return v->list->n > 0;
    case V_DICT:
        return v->dict->n > 0;
    case V_VIEW:
        return v->view->dict->n > 0;
    case V_RANGE:
        return v->range->n > 0;
    case V_LOOP:
        return v->loop->n > 0;
    default:
        return true;
    }
}

bool jj_index(const Value *v, int64_t *out) {
    *out = v->type == V_BOOL ? v->b : v->i;
    return v->type == V_BOOL || v->type == V_INT;
}

bool jj_number(const Value *v, double *out) {
    int64_t i;
    if (v->type == V_FLOAT) {
        *out = v->f;
        return true;
    }
    if (!jj_index(v, &i)) return false;
    *out = (double)i;
    return true;
}

Status jj_leaves_64_bits(Run *r) { return jj_limit(r, "an integer of the template leaves 64 bits"); }

/* ---- equality, order --------------------------------------------------------------------------------------------- */

/* Sign of a - b without loss: a whole number beside a float. 2: not comparable (NaN). */
static int compare_int_float(int64_t a, double b) {
    if (isnan(b)) return 2;
    if (b >= 9223372036854775808.0) return -1;
    if (b < -9223372036854775808.0) return 1;
    int64_t whole = (int64_t)b;
    if (a != whole) return a < whole ? -1 : 1;
    double rest = b - (double)whole;
    return rest > 0 ? -1 : rest < 0;
}

static int compare_numbers(const Value *a, const Value *b) {
    int64_t x = 0, y = 0;
    bool ix = jj_index(a, &x), iy = jj_index(b, &y);
    if (ix && iy) return x < y ? -1 : x > y;
    if (ix) return compare_int_float(x, b->f);
    if (iy) {
        int c = compare_int_float(y, a->f);
        return c == 2 ? 2 : -c;
    }
    if (isnan(a->f) || isnan(b->f)) return 2;
    return a->f < b->f ? -1 : a->f > b->f;
}

static Status equal_lists(Run *r, const Value *a, const Value *b, size_t n, int depth, bool *out) {
    *out = true;
    for (size_t i = 0; i < n && *out; i++) TRY(jj_equal(r, &a[i], &b[i], depth, out));
    return OK;
}

static Status equal_dicts(Run *r, const Dict *a, const Dict *b, int depth, bool *out) {
    *out = a->n == b->n;
    for (size_t i = 0; i < a->n && *out; i++) {
        const Value *other;
        TRY(jj_dict_find(r, b, &a->keys[i], &other));
        *out = other != NULL;
        if (*out) TRY(jj_equal(r, &a->values[i], other, depth, out));
    }
    return OK;
}

/* Keys and items are sets; values compare by identity. */
static Status equal_views(Run *r, const Value *a, const Value *b, int depth, bool *out) {
    const Dict *x = a->view->dict, *y = b->view->dict;
    *out = a->view->kind == b->view->kind && (a->view->kind == VIEW_VALUES ? a->view == b->view : x->n == y->n);
    if (!*out || a->view->kind == VIEW_VALUES) return OK;
    if (a->view->kind == VIEW_ITEMS) return equal_dicts(r, x, y, depth, out);
    for (size_t i = 0; i < x->n && *out; i++) {
        const Value *other;
        TRY(jj_dict_find(r, y, &x->keys[i], &other));
        *out = other != NULL;
    }
    return OK;
}

static bool same_object(const Value *a, const Value *b) { /* for types that compare by identity */
    return a->type == b->type && a->list == b->list;
}

/* Whether a float beyond 64 bits, which is whole, has these digits. */
static bool float_has_digits(double f, const char *digits) {
    char text[400];
    snprintf(text, sizeof text, "%.0f", f);
    return strcmp(text, digits) == 0;
}

Status jj_equal(Run *r, const Value *a, const Value *b, int depth, bool *out) {
    double x, y;
    TRY(jj_steps(r, 1));
    if (depth > VALUE_DEPTH) return jj_limit(r, "maximum recursion depth exceeded in comparison");
    *out = false;
    if (a->type == V_STRING && b->type == V_STRING) {
        if (a->str->len != b->str->len) return OK;
        *out = jj_str_compare(a->str, b->str) == 0;
        return jj_steps(r, a->str->len / 64);
    }
    if (jj_number(a, &x) && jj_number(b, &y)) {
        *out = compare_numbers(a, b) == 0;
        return OK;
    }
    if (a->type == V_FLOAT && b->type == V_DIGITS) *out = float_has_digits(a->f, b->digits);
    if (a->type == V_DIGITS && b->type == V_FLOAT) *out = float_has_digits(b->f, a->digits);
    if (a->type != b->type) return OK;
    switch ((int)a->type) {
    case V_UNDEFINED:
    case V_NONE:
        *out = true;
        return OK;
    case V_DIGITS:
        *out = strcmp(a->digits, b->digits) == 0;
        return OK;
    case V_LIST:
    case V_TUPLE:
        if (a->list->n != b->list->n) return OK;
        if (a->list == b->list && a->list->n > 0) {
            *out = true;
            return OK;
        }
        return equal_lists(r, a->list->items, b->list->items, a->list->n, depth + 1, out);
    case V_DICT:
        return equal_dicts(r, a->dict, b->dict, depth + 1, out);
    case V_VIEW:
        return equal_views(r, a, b, depth + 1, out);
    case V_RANGE:
        *out = a->range->n == b->range->n &&
               (a->range->n == 0 ||
                (a->range->start == b->range->start && (a->range->n == 1 || a->range->step == b->range->step)));
        return OK;
    default:
        *out = same_object(a, b);
        return OK;
    }
}

static Status no_order(Run *r, Op op, const Value *a, const Value *b) {
    if (a->type == V_DIGITS || b->type == V_DIGITS) return jj_leaves_64_bits(r);
    static const char *const SIGNS[] = {[OP_LT] = "<", [OP_LE] = "<=", [OP_GT] = ">", [OP_GE] = ">="};
    return jj_raise(r, "'%s' not supported between instances of '%s' and '%s'", SIGNS[op], jj_type_name(a),
                    jj_type_name(b));
}

static bool holds(Op op, int c) {
    return c != 2 && (op == OP_LT ? c < 0 : op == OP_LE ? c <= 0 : op == OP_GT ? c > 0 : c >= 0);
}

Status jj_compare(Run *r, Op op, const Value *a, const Value *b, int depth, bool *out) {
    double x, y;
    TRY(jj_steps(r, 1));
    if (op == OP_EQ || op == OP_NE) {
        TRY(jj_equal(r, a, b, depth, out));
        *out = *out == (op == OP_EQ);
        return OK;
    }
    if (depth > VALUE_DEPTH) return jj_limit(r, "maximum recursion depth exceeded in comparison");
    if (a->type == V_UNDEFINED) return jj_fail_undefined(r, a);
    if (b->type == V_UNDEFINED) return jj_fail_undefined(r, b);
    if (a->type == V_STRING && b->type == V_STRING) {
        *out = holds(op, jj_str_compare(a->str, b->str));
        return jj_steps(r, (a->str->len < b->str->len ? a->str->len : b->str->len) / 64);
    }
    if (jj_number(a, &x) && jj_number(b, &y)) {
        *out = holds(op, compare_numbers(a, b));
        return OK;
    }
    if (a->type != b->type || (a->type != V_LIST && a->type != V_TUPLE)) return no_order(r, op, a, b);
    for (size_t i = 0; i < a->list->n && i < b->list->n; i++) {
        bool same;
        TRY(jj_equal(r, &a->list->items[i], &b->list->items[i], depth + 1, &same));
        if (!same) return jj_compare(r, op, &a->list->items[i], &b->list->items[i], depth + 1, out);
    }
    *out = holds(op, a->list->n < b->list->n ? -1 : a->list->n > b->list->n);
    return OK;
}

static uint64_t mix(uint64_t h, uint64_t v) { return (h ^ v) * 0x9E3779B97F4A7C15u ^ (h >> 29); }

Status jj_hash(Run *r, const Value *v, int depth, uint64_t *out) {
    uint64_t h = 1469598103934665603u;
    int64_t i;
    TRY(jj_steps(r, 1));
    if (depth > VALUE_DEPTH) return jj_limit(r, "maximum recursion depth exceeded");
    if (v->type == V_FLOAT && fabs(v->f) < 9e18 && v->f == floor(v->f)) {
        *out = mix(h, (uint64_t)(int64_t)v->f);
        return OK;
    }
    if (jj_index(v, &i)) {
        *out = mix(h, (uint64_t)i);
        return OK;
    }
    switch ((int)v->type) {
    case V_STRING:
        TRY(jj_steps(r, v->str->len / 64));
        for (size_t k = 0; k < v->str->len; k++) h = (h ^ (uint8_t)v->str->s[k]) * 1099511628211u;
        *out = h ^ (h >> 31);
        return OK;
    case V_FLOAT:
        memcpy(&h, &v->f, sizeof v->f);
        *out = mix(h, 3);
        return OK;
    case V_TUPLE:
        for (size_t k = 0; k < v->list->n; k++) {
            uint64_t part;
            TRY(jj_hash(r, &v->list->items[k], depth + 1, &part));
            h = mix(h, part);
        }
        *out = h;
        return OK;
    case V_LIST:
    case V_DICT:
        return jj_raise(r, "unhashable type: '%s'", jj_type_name(v));
    case V_VIEW:
        return jj_raise(r, "unhashable type: '%s'", jj_type_name(v));
    default:
        *out = mix(h, (uint64_t)v->type);
        return OK;
    }
}

Status jj_contains(Run *r, const Value *container, const Value *v, bool *out) {
    const Value *items, *found;
    size_t n, at;
    *out = false;
    if (container->type == V_STRING) {
        if (v->type != V_STRING)
            return jj_raise(r, "'in <string>' requires string as left operand, not %s", jj_type_name(v));
        TRY(jj_steps(r, container->str->len / 64));
        *out = jj_find_bytes(container->str, 0, v->str, &at);
        return OK;
    }
    if (container->type == V_DICT || (container->type == V_VIEW && container->view->kind == VIEW_KEYS)) {
        TRY(jj_dict_find(r, container->type == V_DICT ? container->dict : container->view->dict, v, &found));
        *out = found != NULL;
        return OK;
    }
    if (!jj_is_iterable(container))
        return jj_raise(r, "argument of type '%s' is not iterable", jj_type_name(container));
    TRY(jj_elements(r, container, &items, &n));
    for (size_t i = 0; i < n && !*out; i++) TRY(jj_equal(r, &items[i], v, 0, out));
    return OK;
}

/* ---- arithmetic -------------------------------------------------------------------------------------------------- */

static const char *const SYMBOLS[] = {[OP_ADD] = "+",       [OP_SUB] = "-", [OP_MUL] = "*",          [OP_DIV] = "/",
                                      [OP_FLOORDIV] = "//", [OP_MOD] = "%", [OP_POW] = "** or pow()"};

static Status power(Run *r, int64_t a, int64_t b, Value *out) {
    if (b < 0) {
        if (a == 0) return jj_raise(r, "0.0 cannot be raised to a negative power");
        *out = jj_float(pow((double)a, (double)b));
        return OK;
    }
    int64_t result = 1;
    for (; b > 0; b >>= 1) {
        if ((b & 1) && __builtin_mul_overflow(result, a, &result)) return jj_leaves_64_bits(r);
        if (b > 1 && __builtin_mul_overflow(a, a, &a)) return jj_leaves_64_bits(r);
    }
    *out = jj_int(result);
    return OK;
}

static Status int_op(Run *r, Op op, int64_t a, int64_t b, Value *out) {
    int64_t v = 0;
    bool bad = false;
    switch ((int)op) {
    case OP_ADD:
        bad = __builtin_add_overflow(a, b, &v);
        break;
    case OP_SUB:
        bad = __builtin_sub_overflow(a, b, &v);
        break;
    case OP_MUL:
        bad = __builtin_mul_overflow(a, b, &v);
        break;
    case OP_DIV:
        if (b == 0) return jj_raise(r, "division by zero");
        *out = jj_float((double)a / (double)b);
        return OK;
    case OP_FLOORDIV:
    case OP_MOD:
        if (b == 0) return jj_raise(r, op == OP_MOD ? "integer modulo by zero" : "integer division or modulo by zero");
        bad = a == INT64_MIN && b == -1 && op == OP_FLOORDIV;
        if (bad || b == -1) {
            v = op == OP_MOD || bad ? 0 : -a;
            break;
        }
        v = op == OP_MOD ? a % b : a / b;
        if (a % b != 0 && (a < 0) != (b < 0)) v += op == OP_MOD ? b : -1;
        break;
    default:
        return power(r, a, b, out);
    }
    if (bad) return jj_leaves_64_bits(r);
    *out = jj_int(v);
    return OK;
}

static Status float_op(Run *r, Op op, double a, double b, Value *out) {
    double v = 0;
    switch ((int)op) {
    case OP_ADD:
        v = a + b;
        break;
    case OP_SUB:
        v = a - b;
        break;
    case OP_MUL:
        v = a * b;
        break;
    case OP_DIV:
        if (b == 0) return jj_raise(r, "float division by zero");
        v = a / b;
        break;
    case OP_FLOORDIV:
    case OP_MOD: {
        if (b == 0) return jj_raise(r, op == OP_MOD ? "float modulo" : "float floor division by zero");
        double mod = fmod(a, b), div = (a - mod) / b;
        if (mod != 0) {
            if ((b < 0) != (mod < 0)) mod += b, div -= 1;
        } else {
            mod = copysign(0.0, b);
        }
        double whole = div != 0 ? floor(div) : copysign(0.0, a / b);
        if (div - whole > 0.5) whole += 1;
        v = op == OP_MOD ? mod : whole;
        break;
    }
    default:
        if (a == 0 && b < 0) return jj_raise(r, "0.0 cannot be raised to a negative power");
        if (a < 0 && b != floor(b)) return jj_limit(r, "complex numbers are not supported");
        v = pow(a, b);
        if (isinf(v) && !isinf(a) && !isinf(b)) return jj_raise(r, "(34, 'Numerical result out of range')");
    }
    *out = jj_float(v);
    return OK;
}

static Status repeat(Run *r, const Value *v, int64_t times, Value *out) {
    Sink k = {0};
    if (times < 0) times = 0;
    if (v->type == V_STRING) {
        if (v->str->len > 0 && (uint64_t)times > r->text_max / v->str->len)
            return jj_limit(r, "a text of the template is too long: more than %zu bytes", r->text_max);
        for (int64_t i = 0; i < times && v->str->len > 0; i++) {
            TRY(jj_steps(r, 1));
            TRY(jj_put_all(r, &k, v->str));
        }
        TRY(jj_sink_value(r, &k, out));
        return v->str->markup ? jj_as_markup(r, out, out) : OK;
    }
    size_t n = v->list->n;
    if (n > 0 && (uint64_t)times > r->memory_max / n / sizeof(Value))
        return jj_limit(r, "a list of the template is too long: %lld times %zu elements", (long long)times, n);
    TRY(jj_list(r, v->type, n * (size_t)times, out));
    for (size_t i = 0; i < out->list->n; i++) out->list->items[i] = v->list->items[i % n];
    return OK;
}

static bool is_sequence(const Value *v) { return v->type == V_STRING || v->type == V_LIST || v->type == V_TUPLE; }

static Status concatenate(Run *r, const Value *a, const Value *b, Value *out) {
    Sink k = {0};
    if (a->type != V_STRING) {
        TRY(jj_list(r, a->type, a->list->n + b->list->n, out));
        if (a->list->n > 0) memcpy(out->list->items, a->list->items, a->list->n * sizeof(Value));
        if (b->list->n > 0) memcpy(out->list->items + a->list->n, b->list->items, b->list->n * sizeof(Value));
        return OK;
    }
    bool markup = a->str->markup || b->str->markup;
    Value x = *a, y = *b;
    if (markup && !x.str->markup) TRY(jj_escape_html(r, a, &x));
    if (markup && !y.str->markup) TRY(jj_escape_html(r, b, &y));
    TRY(jj_put_all(r, &k, x.str));
    TRY(jj_put_all(r, &k, y.str));
    TRY(jj_sink_value(r, &k, out));
    return markup ? jj_as_markup(r, out, out) : OK;
}

Status jj_binary(Run *r, Op op, const Value *a, const Value *b, Value *out) {
    int64_t x, y;
    double f, g;
    bool ix = jj_index(a, &x), iy = jj_index(b, &y);
    if (ix && iy) return int_op(r, op, x, y, out);
    if (jj_number(a, &f) && jj_number(b, &g)) return float_op(r, op, f, g, out);
    if (op == OP_MOD && a->type == V_STRING) return jj_percent(r, a->str, b, out);
    if (a->type == V_UNDEFINED) return jj_fail_undefined(r, a);
    if (b->type == V_UNDEFINED) return jj_fail_undefined(r, b);
    if (op == OP_ADD && is_sequence(a)) {
        if (a->type == b->type) return concatenate(r, a, b, out);
        if (a->type == V_STRING && a->str->markup)
            return jj_raise(r, "unsupported operand type(s) for +: 'Markup' and '%s'", jj_type_name(b));
        return jj_raise(r, "can only concatenate %s (not \"%s\") to %s", jj_type_name(a), jj_type_name(b),
                        jj_type_name(a));
    }
    if (op == OP_MUL && is_sequence(a)) {
        if (iy) return repeat(r, a, y, out);
        return jj_raise(r, "can't multiply sequence by non-int of type '%s'", jj_type_name(b));
    }
    if (op == OP_MUL && is_sequence(b)) {
        if (ix) return repeat(r, b, x, out);
        return jj_raise(r, "can't multiply sequence by non-int of type '%s'", jj_type_name(a));
    }
    if (a->type == V_DIGITS || b->type == V_DIGITS) return jj_leaves_64_bits(r);
    return jj_raise(r, "unsupported operand type(s) for %s: '%s' and '%s'", SYMBOLS[op], jj_type_name(a),
                    jj_type_name(b));
}

Status jj_unary(Run *r, int op, const Value *a, Value *out) {
    int64_t i;
    if (jj_index(a, &i)) {
        if (op == '-' && i == INT64_MIN) return jj_leaves_64_bits(r);
        *out = jj_int(op == '-' ? -i : i);
        return OK;
    }
    if (a->type == V_UNDEFINED) return jj_fail_undefined(r, a);
    if (a->type == V_DIGITS) return jj_leaves_64_bits(r);
    if (a->type != V_FLOAT) return jj_raise(r, "bad operand type for unary %c: '%s'", op, jj_type_name(a));
    *out = jj_float(op == '-' ? -a->f : a->f);
    return OK;
}

/* ---- Markup ------------------------------------------------------------------------------------------------------ */

Status jj_escape_html(Run *r, const Value *v, Value *out) {
    const Str *s;
    Sink k = {0};
    TRY(jj_to_str(r, v, &s));
    if (s->markup) {
        *out = *v;
        return OK;
    }
    size_t from = 0;
    for (size_t i = 0; i < s->len; i++) {
        char c = s->s[i];
        const char *text = c == '&'    ? "&amp;"
                           : c == '<'  ? "&lt;"
                           : c == '>'  ? "&gt;"
                           : c == '"'  ? "&#34;"
                           : c == '\'' ? "&#39;"
                                       : NULL;
        if (text == NULL) continue;
        TRY(jj_put_str(r, &k, s, from, i));
        TRY(jj_put_like(r, &k, text, strlen(text), s, i));
        from = i + 1;
    }
    TRY(jj_put_str(r, &k, s, from, s->len));
    TRY(jj_sink_value(r, &k, out));
    return jj_as_markup(r, out, out);
}

Status jj_escaped_parts(Run *r, const Value *v, Value *out) {
    *out = *v;
    if (v->type == V_STRING) return jj_escape_html(r, v, out);
    if (v->type != V_TUPLE) return OK;
    TRY(jj_list(r, V_TUPLE, v->list->n, out));
    for (size_t i = 0; i < v->list->n; i++) {
        out->list->items[i] = v->list->items[i];
        if (v->list->items[i].type == V_STRING) TRY(jj_escape_html(r, &v->list->items[i], &out->list->items[i]));
    }
    return OK;
}
