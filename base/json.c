/* json.c: JSON into a tree in an arena. yajl does the lexing and calls back; this file checks what yajl does not: names
 * twice, depth, escapes of surrogates without their partner, finite numbers. The only file that knows yajl.
 *
 * A container under construction lives on a stack of open containers, each with a growing run of children on one shared
 * pile; when it closes, its children move into arrays of exact size. Strings are laid end to end in chunks: a vocabulary
 * has hundreds of thousands of short ones.
 *
 * yajl does not live through an allocation that fails. Its memory comes from the arena of the parse, and where that has none
 * the whole parse is left at once. */
#include "base/json.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/utf8.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

enum { CHUNK_BYTES = 1 << 16, NUMBER_BYTES = 512, PROBES_MAX = 64 };

typedef struct Open {
    JsonType type;
    uint64_t offset;
    size_t first; /* its first child on the pile */
    size_t first_key;
} Open;

typedef struct Parse {
    Arena *a, *work;
    const char *name, *text;
    size_t len;
    int64_t first_line, first_column;
    yajl_handle handle;
    jmp_buf no_memory;
    Open open[JSON_DEPTH_MAX];
    int depth;
    char *chunk; /* where the next string goes */
    size_t chunk_room;
    Json *pile;
    size_t n_pile, cap_pile;
    JsonString *keys;
    uint64_t *key_at; /* where each begins, for messages */
    size_t n_keys, cap_keys, cap_key_at;
    uint64_t told; /* end of the token that the last call back was about */
    Json root;
    bool done;
    bool ended; /* all text was given: an error lies at the end */
    Status status;
    Err *e;
} Parse;

const char *json_type_name(JsonType t) {
    static const char *const NAMES[] = {"null",     "a boolean", "an integer", "a number",
                                        "a string", "a list",    "an object"};
    return NAMES[t];
}

/* "name:line:col: " of a byte offset in front of the message. */
static Status fail_at(Parse *p, uint64_t offset, const char *message) {
    int64_t line = p->first_line, col = p->first_column;
    if (offset > p->len) offset = p->len;
    for (uint64_t i = 0; i < offset; i++) {
        if (p->text[i] == '\n') {
            line++;
            col = 1;
        } else if (((unsigned char)p->text[i] & 0xC0) != 0x80) {
            col++;
        }
    }
    p->status = err_set(p->e, ERR_FORMAT, __FILE__, __LINE__, "%s:%lld:%lld: %s", p->name, (long long)line,
                        (long long)col, message);
    return p->status;
}

static uint64_t offset_now(const Parse *p) { return (uint64_t)yajl_get_bytes_consumed(p->handle); }

/* Where the token after the last one that was told of begins. */
static uint64_t next_token(const Parse *p) {
    uint64_t at = p->told;
    while (at < p->len && strchr(" \t\r\n,:", p->text[at]) != NULL && p->text[at] != 0) at++;
    return at;
}

/* Puts a finished value where it belongs: on the pile of the open container, or as the root. */
static int add_value(Parse *p, const Json *v) {
    p->told = offset_now(p);
    if (p->depth == 0) {
        p->root = *v;
        p->done = true;
        return 1;
    }
    p->status = arena_grow(p->work, &p->pile, &p->cap_pile, p->n_pile, p->n_pile + 1, sizeof(Json), p->e);
    if (p->status != OK) return 0;
    p->pile[p->n_pile++] = *v;
    return 1;
}

static int on_null(void *ctx) {
    Parse *p = ctx;
    return add_value(p, &(Json){.type = JSON_NULL, .offset = offset_now(p)});
}

static int on_boolean(void *ctx, int value) {
    Parse *p = ctx;
    return add_value(p, &(Json){.type = JSON_BOOL, .offset = offset_now(p), .boolean = value != 0});
}

static int take_string(Parse *p, const unsigned char *s, size_t len, JsonString *out) {
    if (p->chunk_room <=
        len) { /* decoded, a string is shorter than its source: a chunk never needs more than the text */
        size_t chunk = p->len < CHUNK_BYTES ? p->len : CHUNK_BYTES;
        if (chunk <= len) chunk = len + 1;
        p->status = arena_alloc(p->a, chunk, 1, &p->chunk, p->e);
        if (p->status != OK) return 0;
        p->chunk_room = chunk;
    }
    if (len > 0) memcpy(p->chunk, s, len);
    p->chunk[len] = 0;
    *out = (JsonString){.s = p->chunk, .len = len};
    p->chunk += len + 1;
    p->chunk_room -= len + 1;
    return 1;
}

static int on_number(void *ctx, const char *s, size_t len) {
    Parse *p = ctx;
    char text[NUMBER_BYTES], *end;
    Json v = {.type = JSON_REAL, .offset = offset_now(p)};
    if (len >= sizeof text) return fail_at(p, next_token(p), "a number of more than 500 digits") == OK;
    memcpy(text, s, len);
    text[len] = 0;
    errno = 0;
    long long whole = strtoll(text, &end, 10);
    if (*end == 0 && errno == 0) {
        v.type = JSON_INT;
        v.integer = whole;
        return add_value(p, &v);
    }
    bool is_whole = *end == 0;
    v.real = strtod(text, &end);
    if (*end != 0 || !isfinite(v.real)) return fail_at(p, next_token(p), "a number that is too large") == OK;
    JsonString digits = {NULL, 0};
    if (is_whole && !take_string(p, (const unsigned char *)s, len, &digits)) return 0;
    v.digits = digits.s;
    return add_value(p, &v);
}

static int on_string(void *ctx, const unsigned char *s, size_t len) {
    Parse *p = ctx;
    Json v = {.type = JSON_STRING, .offset = offset_now(p)};
    return take_string(p, s, len, &v.string) && add_value(p, &v);
}

static int on_key(void *ctx, const unsigned char *s, size_t len) {
    Parse *p = ctx;
    p->status = arena_grow(p->work, &p->keys, &p->cap_keys, p->n_keys, p->n_keys + 1, sizeof(JsonString), p->e);
    if (p->status != OK) return 0;
    p->status = arena_grow(p->work, &p->key_at, &p->cap_key_at, p->n_keys, p->n_keys + 1, sizeof(uint64_t), p->e);
    if (p->status != OK) return 0;
    if (!take_string(p, s, len, &p->keys[p->n_keys])) return 0;
    p->key_at[p->n_keys++] = next_token(p);
    p->told = offset_now(p);
    return 1;
}

static int open_container(Parse *p, JsonType type) {
    if (p->depth == JSON_DEPTH_MAX) return fail_at(p, offset_now(p) - 1, "nested more than 64 levels deep") == OK;
    p->told = offset_now(p);
    p->open[p->depth++] = (Open){.type = type, .offset = offset_now(p), .first = p->n_pile, .first_key = p->n_keys};
    return 1;
}

static int on_start_map(void *ctx) { return open_container(ctx, JSON_OBJECT); }
static int on_start_array(void *ctx) { return open_container(ctx, JSON_ARRAY); }

static bool same_string(const JsonString *a, const JsonString *b) {
    return a->len == b->len && memcmp(a->s, b->s, a->len) == 0;
}

static int by_text(const void *pa, const void *pb) {
    const JsonString *a = *(const JsonString *const *)pa, *b = *(const JsonString *const *)pb;
    int c = memcmp(a->s, b->s, a->len < b->len ? a->len : b->len);
    if (c != 0) return c;
    if (a->len != b->len) return a->len < b->len ? -1 : 1;
    return (a > b) - (a < b); /* equal keys in source order */
}

/* The slow way, for keys that all fall on one place of the table (made so on purpose): never quadratic. */
static Status find_twice_sorted(Parse *p, const JsonString *keys, size_t n, size_t *twice) {
    const JsonString **order;
    TRY(arena_alloc(p->work, n, sizeof *order, &order, p->e));
    for (size_t i = 0; i < n; i++) order[i] = &keys[i];
    qsort(order, n, sizeof *order, by_text);
    for (size_t i = 1; i < n; i++) {
        size_t at = (size_t)(order[i] - keys);
        if (same_string(order[i], order[i - 1]) && at < *twice) *twice = at;
    }
    return OK;
}

/* Enters keys into a table until one is there already, or one is too far from its place. */
static Status find_twice_hashed(Parse *p, const JsonString *keys, size_t n, size_t *twice) {
    size_t cap = 16;
    while (cap < n * 2) cap *= 2;
    uint32_t *table; /* index + 1 */
    TRY(arena_alloc(p->work, cap, sizeof *table, &table, p->e));
    for (size_t i = 0; i < n; i++) {
        size_t at = (size_t)hash128(keys[i].s, keys[i].len).lo & (cap - 1);
        for (int probes = 0; table[at] != 0; at = (at + 1) & (cap - 1), probes++) {
            if (same_string(&keys[i], &keys[table[at] - 1])) {
                *twice = i;
                return OK;
            }
            if (probes == PROBES_MAX) return find_twice_sorted(p, keys, n, twice);
        }
        table[at] = (uint32_t)(i + 1);
    }
    return OK;
}

/* The first key that occurs earlier too, or n. */
static Status find_twice(Parse *p, const JsonString *keys, size_t n, size_t *twice) {
    *twice = n;
    if (n > 8) {
        ArenaMark mark = arena_mark(p->work);
        Status st = find_twice_hashed(p, keys, n, twice);
        arena_reset(p->work, mark);
        return st;
    }
    for (size_t i = 1; i < n; i++) {
        for (size_t j = 0; j < i; j++) {
            if (*twice == n && same_string(&keys[i], &keys[j])) *twice = i;
        }
    }
    return OK;
}

static int close_container(Parse *p) {
    Open *o = &p->open[--p->depth];
    size_t n = p->n_pile - o->first, twice;
    Json v = {.type = o->type, .n = (uint32_t)n, .offset = o->offset};
    if (n >= UINT32_MAX) return fail_at(p, o->offset, "a list of more than 4 billion values") == OK;
    if (n == 0) return add_value(p, &v); /* no arrays */
    p->status = arena_alloc(p->a, n, sizeof(Json), &v.list.items, p->e);
    if (p->status != OK) return 0;
    memcpy(v.list.items, p->pile + o->first, n * sizeof(Json));
    if (o->type == JSON_OBJECT) {
        p->status = arena_alloc(p->a, n, sizeof(JsonString), &v.list.keys, p->e);
        if (p->status != OK) return 0;
        memcpy(v.list.keys, p->keys + o->first_key, n * sizeof(JsonString));
        p->status = find_twice(p, v.list.keys, n, &twice);
        if (p->status != OK) return 0;
        if (twice < n) {
            char message[160];
            snprintf(message, sizeof message, "the key \"%.100s\" stands twice in one object", v.list.keys[twice].s);
            return fail_at(p, p->key_at[o->first_key + twice], message) == OK;
        }
        p->n_keys = o->first_key;
    }
    p->n_pile = o->first;
    return add_value(p, &v);
}

static int on_end(void *ctx) { return close_container(ctx); }

/* Backslashes are legal inside strings only, so surrogate escapes can be paired without lexing. */
static Status check_surrogates(Parse *p) {
    for (size_t i = 0; i + 1 < p->len; i++) {
        const char *next = memchr(p->text + i, '\\', p->len - 1 - i);
        if (next == NULL) return OK;
        i = (size_t)(next - p->text);
        if (p->text[i + 1] != 'u' || i + 6 > p->len) {
            i++;
            continue;
        }
        int v = hex4(p->text + i + 2);
        bool pair = v >= 0xD800 && v <= 0xDBFF && i + 12 <= p->len && p->text[i + 6] == '\\' && p->text[i + 7] == 'u';
        if (pair) {
            int low = hex4(p->text + i + 8);
            if (low < 0xDC00 || low > 0xDFFF) pair = false;
        }
        if (!pair && v >= 0xD800 && v <= 0xDFFF)
            return fail_at(p, i, "a \\u escape of half a surrogate pair; write the character itself or both halves");
        i += pair ? 11 : 5;
    }
    return OK;
}

/* yajl's own description, made one line. */
static Status yajl_failed(Parse *p) {
    if (p->status != OK) return p->status;
    char message[300] = "this is no valid JSON";
    unsigned char *text = yajl_get_error(p->handle, 0, (const unsigned char *)p->text, p->len);
    if (text != NULL) {
        snprintf(message, sizeof message, "no valid JSON: %s", (char *)text);
        yajl_free_error(p->handle, text);
        for (size_t n = strlen(message); n > 0 && (message[n - 1] == '\n' || message[n - 1] == ' '); n--)
            message[n - 1] = 0;
    }
    uint64_t at = p->ended ? p->len : offset_now(p);
    bool whole = strstr(message, "parse error") != NULL || strstr(message, "in json text") != NULL;
    if (whole && strstr(message, "premature EOF") == NULL &&
        at > 0) { /* yajl has read the token: its begin is the place */
        uint64_t begin = next_token(p);
        at = begin < at ? begin : at - 1;
    }
    return fail_at(p, at, message);
}

static Status parse_with(Parse *p) {
    if (p->len >= 3 && memcmp(p->text, "\xEF\xBB\xBF", 3) == 0)
        return fail_at(p, 0, "a byte order mark; save the file as UTF-8 without one");
    size_t valid = utf8_valid_prefix(p->text, p->len);
    if (valid < p->len) return fail_at(p, valid, "bytes that are no valid UTF-8");
    TRY(check_surrogates(p));
    yajl_config(p->handle, yajl_dont_validate_strings, 1); /* validated as a whole just now */
    if (yajl_parse(p->handle, (const unsigned char *)p->text, p->len) != yajl_status_ok) return yajl_failed(p);
    p->ended = true;
    if (yajl_complete_parse(p->handle) != yajl_status_ok) return yajl_failed(p);
    if (!p->done) return fail_at(p, p->len, "the text ends before the value does");
    return OK;
}

/* Each piece for yajl has its size in the ARENA_ALIGN bytes before it. */
static void *take(void *ctx, size_t bytes) {
    Parse *p = ctx;
    char *piece;
    if (arena_alloc(p->work, bytes + ARENA_ALIGN, 1, &piece, p->e) != OK) longjmp(p->no_memory, 1);
    memcpy(piece, &bytes, sizeof bytes);
    return piece + ARENA_ALIGN;
}

static void *take_more(void *ctx, void *old, size_t bytes) {
    size_t had = 0;
    void *piece = take(ctx, bytes);
    if (old != NULL) memcpy(&had, (char *)old - ARENA_ALIGN, sizeof had);
    if (had > 0) memcpy(piece, old, had < bytes ? had : bytes);
    return piece;
}

static void drop(void *ctx, void *piece) { (void)ctx, (void)piece; }

static Status parse_guarded(Parse *p) {
    static const yajl_callbacks CALLBACKS = {on_null,      on_boolean, NULL,   NULL,           on_number, on_string,
                                             on_start_map, on_key,     on_end, on_start_array, on_end};
    yajl_alloc_funcs memory = {take, take_more, drop, p};
    if (setjmp(p->no_memory) != 0) return ERR_OOM;
    p->handle = yajl_alloc(&CALLBACKS, &memory, p);
    return parse_with(p);
}

Status json_parse_in(Arena *a, Arena *work, const char *name, int64_t first_line, int64_t first_column,
                     const char *text, size_t len, Json **out, Err *e) {
    Parse *p;
    Json *root;
    ArenaMark work_mark = arena_mark(work), mark = arena_mark(a);
    TRY(ARENA_NEW(work, 1, p, e));
    p->a = a;
    p->work = work;
    p->name = name;
    p->text = text;
    p->len = len;
    p->first_line = first_line;
    p->first_column = first_column;
    p->e = e;
    Status st = parse_guarded(p);
    if (st == OK) st = ARENA_NEW(a, 1, root, e);
    if (st == OK) {
        *root = p->root;
        *out = root;
    } else {
        arena_reset(a, mark);
    }
    arena_reset(work, work_mark);
    return st;
}

static Status parse(Arena *a, const char *name, int64_t first_line, int64_t first_column, const char *text, size_t len,
                    Json **out, Err *e) {
    Arena *work;
    TRY(arena_open(&work, "json", e));
    Status st = json_parse_in(a, work, name, first_line, first_column, text, len, out, e);
    arena_close(work);
    return st;
}

Status json_parse(Arena *a, const char *name, const char *text, size_t len, Json **out, Err *e) {
    return parse(a, name, 1, 1, text, len, out, e);
}

Status json_parse_line(Arena *a, const char *name, int64_t line, const char *text, size_t len, Json **out, Err *e) {
    return parse(a, name, line, 1, text, len, out, e);
}

Status json_parse_at(Arena *a, const char *name, int64_t line, int64_t column, const char *text, size_t len, Json **out,
                     Err *e) {
    return parse(a, name, line, column, text, len, out, e);
}

Status json_read(Arena *a, const char *path, size_t max_bytes, Json **out, Err *e) {
    FileMap m;
    TRY(file_map(path, &m, e));
    Status st = OK;
    if (m.size > max_bytes)
        st = err_set(e, ERR_FORMAT, __FILE__, __LINE__, "%s: is %zu bytes long, at most %zu are expected", path, m.size,
                     max_bytes);
    else
        st = parse(a, path, 1, 1, m.data == NULL ? "" : (const char *)m.data, m.size, out, e);
    file_unmap(&m);
    return st;
}
