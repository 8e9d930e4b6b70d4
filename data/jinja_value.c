/* jinja_value.c: making values: memory within limits, texts that know their sources, lists, dicts, undefined, errors.
 *
 * Invariant of a Str: spans are ascending, the last ends at len, neighbours differ, none is empty; an empty one has none. */
#include "data/jinja_internal.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- errors and limits ------------------------------------------------------------------------------------------- */

Status jj_raise_text(Run *r, JinjaFailure failure, Status status, const char *s, size_t len) {
    char *copy;
    TRY(arena_strndup(r->arena, s, len, &copy, r->e));
    r->result->failure = failure;
    r->result->line = r->line;
    r->result->error = (JsonString){.s = copy, .len = len};
    char line[ERR_MESSAGE_BYTES]; /* a NUL must not end it */
    size_t n = len < sizeof line ? len : sizeof line - 1;
    for (size_t i = 0; i < n; i++) line[i] = copy[i] == 0 ? ' ' : copy[i];
    line[n] = 0;
    FAIL(r->e, status, "%s", line);
}

Status jj_raise(Run *r, const char *format, ...) {
    char *text;
    va_list args;
    TRY(arena_alloc(r->arena, ERR_MESSAGE_BYTES, 1, &text, r->e));
    va_start(args, format);
    vsnprintf(text, ERR_MESSAGE_BYTES, format, args);
    va_end(args);
    return jj_raise_text(r, JINJA_RUNTIME, ERR_FORMAT, text, strlen(text));
}

Status jj_limit(Run *r, const char *format, ...) {
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return jj_raise_text(r, JINJA_LIMIT, ERR_FORMAT, text, strlen(text));
}

Status jj_printf(Run *r, char **out, const char *format, ...) {
    va_list args;
    TRY(arena_alloc(r->arena, ERR_MESSAGE_BYTES, 1, out, r->e));
    va_start(args, format);
    vsnprintf(*out, ERR_MESSAGE_BYTES, format, args);
    va_end(args);
    return OK;
}

Status jj_steps(Run *r, size_t n) {
    if (n < (size_t)r->steps) {
        r->steps -= (int64_t)n;
        return OK;
    }
    r->steps = 0;
    return jj_limit(r, "the template runs too long: more than %lld steps",
                    (long long)(r->in->limits.steps > 0 ? r->in->limits.steps : JINJA_STEPS));
}

static Status room_for(Run *r, size_t bytes) {
    size_t used = arena_used_bytes(r->arena) - r->memory_base;
    if (bytes <= r->memory_max && used <= r->memory_max - bytes) return OK;
    return jj_limit(r, "the template needs too much memory: more than %zu bytes", r->memory_max);
}

#if defined(__SANITIZE_ADDRESS__)
enum { CHUNK = 0 }; /* each value apart, so that its ends are watched */
#else
enum { CHUNK = 1 << 14 };
#endif

Status jj_alloc(Run *r, size_t n, size_t size, void *out) {
    if (n > r->memory_max / size) return room_for(r, SIZE_MAX);
    size_t bytes = (n * size + 15) & ~(size_t)15;
    if (bytes + 1 > CHUNK / 4) {
        TRY(room_for(r, bytes));
        return arena_alloc(r->arena, n, size, out, r->e);
    }
    if (bytes > r->chunk_left) {
        TRY(room_for(r, CHUNK));
        TRY(arena_alloc(r->arena, CHUNK, 1, &r->chunk, r->e));
        r->chunk_left = CHUNK;
    }
    memcpy(out, &r->chunk, sizeof r->chunk);
    r->chunk += bytes;
    r->chunk_left -= bytes;
    return OK;
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

static Status add_span(Run *r, Sink *k, size_t len, const Json *source, uint32_t generation) {
    Span *last = k->n_spans > 0 ? &k->spans[k->n_spans - 1] : NULL;
    if (last == NULL || last->source != source || last->generation != generation) {
        if (k->n_spans == k->cap_spans) TRY(room_for(r, 2 * k->cap_spans * sizeof(Span)));
        TRY(arena_grow(r->arena, &k->spans, &k->cap_spans, k->n_spans, k->n_spans + 1, sizeof(Span), r->e));
        last = &k->spans[k->n_spans++];
        *last = (Span){.source = source, .generation = generation};
    }
    last->end = k->len + len;
    return OK;
}

static Status add_bytes(Run *r, Sink *k, const char *s, size_t len) {
    if (len > r->text_max - k->len)
        return jj_limit(r, "a text of the template is too long: more than %zu bytes", r->text_max);
    if (k->len + len > k->cap) TRY(room_for(r, 2 * (k->len + len)));
    TRY(jj_steps(r, 1 + len / 64));
    TRY(arena_grow(r->arena, &k->data, &k->cap, k->len, k->len + len, 1, r->e));
    memcpy(k->data + k->len, s, len);
    k->len += len;
    return OK;
}

Status jj_put(Run *r, Sink *k, const char *s, size_t len, const Json *source) {
    if (len == 0) return OK;
    TRY(add_span(r, k, len, source, 0));
    return add_bytes(r, k, s, len);
}

Status jj_puts(Run *r, Sink *k, const char *s) { return jj_put(r, k, s, strlen(s), NULL); }

Status jj_put_spaces(Run *r, Sink *k, size_t n) {
    static const char SPACES[] = "                                                                ";
    if (n > r->text_max) return jj_limit(r, "a text of the template is too long: more than %zu bytes", r->text_max);
    for (; n > 0; n -= n < 64 ? n : 64) TRY(jj_put(r, k, SPACES, n < 64 ? n : 64, NULL));
    return OK;
}

/* The span that holds byte `at`. */
static size_t span_at(const Str *s, size_t at) {
    size_t lo = 0, hi = s->n_spans;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (s->spans[mid].end <= at)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

Status jj_put_like(Run *r, Sink *k, const char *text, size_t len, const Str *s, size_t at) {
    if (len == 0) return OK;
    if (s->n_spans == 0) return jj_put(r, k, text, len, NULL);
    const Span *like = &s->spans[span_at(s, at < s->len ? at : s->len - 1)];
    TRY(add_span(r, k, len, like->source, like->generation));
    return add_bytes(r, k, text, len);
}

Status jj_put_str(Run *r, Sink *k, const Str *s, size_t begin, size_t end) {
    if (begin >= end) return OK;
    size_t at = begin, base = k->len;
    if (end - begin > r->text_max) return add_bytes(r, k, s->s + begin, end - begin);
    for (size_t i = span_at(s, begin); at < end; i++) {
        size_t stop = s->spans[i].end < end ? s->spans[i].end : end;
        k->len = base + (at - begin); /* add_span counts from there */
        TRY(add_span(r, k, stop - at, s->spans[i].source, s->spans[i].generation));
        at = stop;
    }
    k->len = base;
    return add_bytes(r, k, s->s + begin, end - begin);
}

Status jj_put_all(Run *r, Sink *k, const Str *s) { return jj_put_str(r, k, s, 0, s->len); }

Status jj_sink_value(Run *r, Sink *k, Value *out) {
    Str *s;
    TRY(JJ_NEW(r, 1, s));
    *s = (Str){.s = k->data != NULL ? k->data : "", .len = k->len, .n_spans = k->n_spans, .spans = k->spans};
    s->chars = jj_count_chars(s->s, s->len);
    *out = (Value){.type = V_STRING, .str = s};
    return OK;
}

Status jj_str(Run *r, const char *s, size_t len, const Json *source, Value *out) {
    Str *str;
    TRY(JJ_NEW(r, 1, str));
    *str = (Str){.s = s, .len = len, .n_spans = len > 0, .one = {.end = len, .source = source}};
    str->chars = jj_count_chars(s, len);
    str->spans = &str->one;
    *out = (Value){.type = V_STRING, .str = str};
    return OK;
}

Status jj_text(Run *r, const char *s, Value *out) {
    char *copy;
    size_t len = strlen(s);
    TRY(jj_alloc(r, len + 1, 1, &copy));
    memcpy(copy, s, len);
    return jj_str(r, copy, len, NULL, out);
}

Status jj_substr(Run *r, const Str *s, size_t begin, size_t end, Value *out) {
    Str *str;
    if (end < begin) end = begin;
    TRY(JJ_NEW(r, 1, str));
    *str = (Str){.s = s->s + begin, .len = end - begin, .markup = s->markup};
    str->chars = s->chars == s->len ? str->len : jj_count_chars(str->s, str->len);
    *out = (Value){.type = V_STRING, .str = str};
    if (begin == end) return OK;
    TRY(jj_steps(r, (end - begin) / 256));
    size_t first = span_at(s, begin), last = span_at(s, end - 1);
    str->n_spans = last - first + 1;
    str->spans = &str->one;
    str->one = s->spans[first];
    str->one.end = end - begin;
    if (str->n_spans == 1) return OK;
    Span *spans;
    TRY(JJ_NEW(r, str->n_spans, spans));
    for (size_t i = 0; i < str->n_spans; i++) {
        spans[i] = s->spans[first + i];
        spans[i].end = (spans[i].end < end ? spans[i].end : end) - begin;
    }
    str->spans = spans;
    return OK;
}

Status jj_as_markup(Run *r, const Value *v, Value *out) {
    Str *s;
    TRY(JJ_NEW(r, 1, s));
    *s = *v->str;
    if (s->spans == &v->str->one) s->spans = &s->one;
    s->markup = true;
    *out = (Value){.type = V_STRING, .str = s};
    return OK;
}

size_t jj_char_len(const char *s) {
    uint8_t c = (uint8_t)*s;
    return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

size_t jj_count_chars(const char *s, size_t len) {
    size_t n = 0;
    for (size_t i = 0; i < len; i++) n += ((uint8_t)s[i] & 0xC0) != 0x80;
    return n;
}

size_t jj_char_at(const Str *s, size_t index) {
    if (index >= s->chars) return s->len;
    if (s->chars == s->len) return index;
    size_t at = 0;
    while (index-- > 0) at += jj_char_len(s->s + at);
    return at;
}

int jj_str_compare(const Str *a, const Str *b) { /* UTF-8 sorts as code points do */
    size_t n = a->len < b->len ? a->len : b->len;
    int c = n > 0 ? memcmp(a->s, b->s, n) : 0;
    if (c != 0) return c < 0 ? -1 : 1;
    return a->len < b->len ? -1 : a->len > b->len;
}

bool jj_str_is(const Str *s, const char *text) { return s->len == strlen(text) && memcmp(s->s, text, s->len) == 0; }

/* ---- plain values ------------------------------------------------------------------------------------------------ */

Value jj_bool(bool b) { return (Value){.type = V_BOOL, .b = b}; }
Value jj_int(int64_t i) { return (Value){.type = V_INT, .i = i}; }
Value jj_float(double f) { return (Value){.type = V_FLOAT, .f = f}; }
Value jj_none(void) { return (Value){.type = V_NONE}; }

Status jj_list(Run *r, Type type, size_t n, Value *out) {
    List *list;
    TRY(jj_steps(r, n));
    TRY(JJ_NEW(r, 1, list));
    list->n = n;
    if (n > 0) TRY(JJ_NEW(r, n, list->items));
    *out = (Value){.type = type, .list = list};
    return OK;
}

Status jj_iter(Run *r, const char *type_name, Value *items, size_t n, Value *out) {
    Iter *iter;
    TRY(JJ_NEW(r, 1, iter));
    *iter = (Iter){.items = items, .n = n, .type_name = type_name};
    *out = (Value){.type = V_ITER, .iter = iter};
    return OK;
}

Status jj_undefined(Run *r, const char *hint, const Value *object, const Value *name, Value *out) {
    Undefined *u;
    TRY(JJ_NEW(r, 1, u));
    u->hint = hint;
    if (object != NULL) u->object = *object;
    if (name != NULL) u->name = *name;
    *out = (Value){.type = V_UNDEFINED, .undefined = u};
    return OK;
}

Status jj_undefined_text(Run *r, const Undefined *u, const char **out) {
    const char *name;
    char *text;
    *out = u->hint;
    if (u->hint != NULL) return OK;
    TRY(jj_repr_text(r, &u->name, &name));
    if (u->object.type == V_MISSING)
        TRY(jj_printf(r, &text, "%s is undefined", name));
    else if (u->name.type == V_STRING)
        TRY(jj_printf(r, &text, "'%s' has no attribute %s", jj_object_name(r, &u->object), name));
    else
        TRY(jj_printf(r, &text, "%s has no element %s", jj_object_name(r, &u->object), name));
    *out = text;
    return OK;
}

Status jj_fail_undefined(Run *r, const Value *v) {
    const char *text;
    TRY(jj_undefined_text(r, v->undefined, &text));
    return jj_raise(r, "%s", text);
}

/* ---- dicts: entries in order of insertion, with a hash table once they are many ------------------------------------ */

enum { SMALL_DICT = 8 };

Status jj_dict(Run *r, size_t cap, Value *out) {
    Dict *d;
    TRY(jj_steps(r, cap));
    TRY(JJ_NEW(r, 1, d));
    if (cap > 0) {
        TRY(JJ_NEW(r, cap, d->keys));
        TRY(JJ_NEW(r, cap, d->values));
    }
    d->cap = cap;
    *out = (Value){.type = V_DICT, .dict = d};
    return OK;
}

static Status insert_slot(Run *r, Dict *d, size_t entry) {
    uint64_t hash;
    TRY(jj_hash(r, &d->keys[entry], 0, &hash));
    size_t i = (size_t)hash & (d->n_slots - 1);
    while (d->slots[i] != 0) i = (i + 1) & (d->n_slots - 1);
    d->slots[i] = (uint32_t)entry + 1;
    return OK;
}

static Status rebuild_slots(Run *r, Dict *d) {
    if (d->n <= SMALL_DICT || d->n * 2 <= d->n_slots) return OK;
    d->n_slots = 32;
    while (d->n_slots < d->n * 4) d->n_slots *= 2;
    TRY(JJ_NEW(r, d->n_slots, d->slots));
    for (size_t i = 0; i < d->n; i++) TRY(insert_slot(r, d, i));
    return OK;
}

static Status find_entry(Run *r, const Dict *d, const Value *key, size_t *out) {
    uint64_t hash;
    bool same = false;
    TRY(jj_hash(r, key, 0, &hash)); /* fails for what cannot be a key */
    *out = SIZE_MAX;
    if (d->slots == NULL) {
        for (size_t i = 0; i < d->n && !same; i++) {
            TRY(jj_equal(r, &d->keys[i], key, 0, &same));
            if (same) *out = i;
        }
        return OK;
    }
    for (size_t i = (size_t)hash & (d->n_slots - 1); d->slots[i] != 0 && !same; i = (i + 1) & (d->n_slots - 1)) {
        TRY(jj_equal(r, &d->keys[d->slots[i] - 1], key, 0, &same));
        if (same) *out = d->slots[i] - 1;
    }
    return OK;
}

Status jj_dict_find(Run *r, const Dict *d, const Value *key, const Value **out) {
    size_t i;
    TRY(find_entry(r, d, key, &i));
    *out = i == SIZE_MAX ? NULL : &d->values[i];
    return OK;
}

const Value *jj_dict_text(const Dict *d, const char *key) {
    for (size_t i = 0; i < d->n; i++)
        if (d->keys[i].type == V_STRING && jj_str_is(d->keys[i].str, key)) return &d->values[i];
    return NULL;
}

Status jj_dict_set(Run *r, Dict *d, const Value *key, const Value *value) {
    size_t i;
    TRY(jj_steps(r, 1));
    TRY(find_entry(r, d, key, &i));
    if (i != SIZE_MAX) {
        d->values[i] = *value;
        return OK;
    }
    if (d->n == d->cap) {
        size_t cap = d->cap < 4 ? 4 : d->cap * 2;
        Value *keys, *values;
        TRY(JJ_NEW(r, cap, keys));
        TRY(JJ_NEW(r, cap, values));
        if (d->n > 0) memcpy(keys, d->keys, d->n * sizeof *keys);
        if (d->n > 0) memcpy(values, d->values, d->n * sizeof *values);
        d->keys = keys;
        d->values = values;
        d->cap = cap;
    }
    d->keys[d->n] = *key;
    d->values[d->n++] = *value;
    if (d->slots != NULL && d->n * 2 <= d->n_slots) return insert_slot(r, d, d->n - 1);
    return rebuild_slots(r, d);
}

Status jj_from_json(Run *r, const Json *j, int depth, Value *out) {
    switch (j->type) {
    case JSON_NULL:
        *out = jj_none();
        return OK;
    case JSON_BOOL:
        *out = jj_bool(j->boolean);
        return OK;
    case JSON_INT:
        *out = jj_int(j->integer);
        return OK;
    case JSON_REAL:
        *out = j->digits != NULL ? (Value){.type = V_DIGITS, .digits = j->digits} : jj_float(j->real);
        return OK;
    case JSON_STRING:
        return jj_str(r, j->string.s, j->string.len, j, out);
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    if (depth > JSON_DEPTH_MAX + 8) return jj_limit(r, "the variables are nested too deep");
    if (j->type == JSON_ARRAY) {
        TRY(jj_list(r, V_LIST, j->n, out));
        for (size_t i = 0; i < j->n; i++) TRY(jj_from_json(r, &j->list.items[i], depth + 1, &out->list->items[i]));
        return OK;
    }
    TRY(jj_dict(r, j->n, out));
    for (size_t i = 0; i < j->n; i++) {
        Value key, value;
        TRY(jj_str(r, j->list.keys[i].s, j->list.keys[i].len, NULL, &key));
        TRY(jj_from_json(r, &j->list.items[i], depth + 1, &value));
        TRY(jj_dict_set(r, out->dict, &key, &value));
    }
    return OK;
}
