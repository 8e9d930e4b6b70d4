/* yaml.c: see yaml.h. Events of libyaml become a tree in the arena; libyaml's own memory is bounded by the text and given
 * back on every path. The text is checked as UTF-8 before libyaml sees it, so that a bad byte has a line and column. */
#include "configs/yaml.h"

#include "base/utf8.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* yaml.h of the library has the same name as ours; ours is included by its path, the library's by the system's. Its
 * public names begin with yaml_ or YAML_; the few that would collide are kept apart by the enum names used here. */
#include <yaml.h>

typedef struct Reader {
    Arena *arena;
    const char *name;
    bool places; /* false: a value from the command line */
    yaml_parser_t parser;
} Reader;

static Status fail_at(const Reader *r, yaml_mark_t mark, Err *e, const char *what, const char *detail) {
    if (!r->places) FAIL(e, ERR_CONFIG, "%s: %s%s", r->name, what, detail);
    FAIL(e, ERR_CONFIG, "%s:%zu:%zu: %s%s", r->name, mark.line + 1, mark.column + 1, what, detail);
}

/* ---- scalars ----------------------------------------------------------------------------------------------------- */

static bool one_of(const char *text, const char *a, const char *b, const char *c) {
    return strcmp(text, a) == 0 || strcmp(text, b) == 0 || strcmp(text, c) == 0;
}

static size_t digits(const char *s, const char *set) { return strspn(s, set); }

/* [-+]?[0-9]+ | 0o[0-7]+ | 0x[0-9a-fA-F]+ */
static bool looks_int(const char *s, int *base, const char **first) {
    static const char decimal[] = "0123456789";
    *first = s;
    *base = 10;
    if (s[0] == '0' && (s[1] == 'o' || s[1] == 'x')) {
        *base = s[1] == 'o' ? 8 : 16;
        *first = s + 2;
        size_t n = digits(s + 2, *base == 8 ? "01234567" : "0123456789abcdefABCDEF");
        return n > 0 && s[2 + n] == 0;
    }
    const char *p = s + (*s == '-' || *s == '+');
    size_t n = digits(p, decimal);
    return n > 0 && p[n] == 0;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool looks_real(const char *s) {
    static const char decimal[] = "0123456789";
    if (*s == '-' || *s == '+') s++;
    size_t whole = digits(s, decimal), part = 0;
    s += whole;
    if (*s == '.') {
        part = digits(s + 1, decimal);
        if (whole == 0 && part == 0) return false;
        s += 1 + part;
    }
    if (whole == 0 && part == 0) return false;
    if (*s == 'e' || *s == 'E') {
        s++;
        if (*s == '-' || *s == '+') s++;
        size_t n = digits(s, decimal);
        if (n == 0) return false;
        s += n;
    }
    return *s == 0;
}

static bool looks_special(const char *s, double *value) {
    const char *p = s + (*s == '-' || *s == '+');
    if (one_of(p, ".inf", ".Inf", ".INF")) {
        *value = *s == '-' ? -(double)INFINITY : (double)INFINITY;
        return true;
    }
    if (!one_of(s, ".nan", ".NaN", ".NAN")) return false;
    *value = (double)NAN;
    return true;
}

void yaml_scalar(char *text, Yaml *out) {
    int base;
    const char *first;
    out->text = text;
    out->type = YAML_STRING;
    if (*text == 0 || strcmp(text, "~") == 0 || one_of(text, "null", "Null", "NULL")) {
        out->type = YAML_NULL;
    } else if (one_of(text, "true", "True", "TRUE") || one_of(text, "false", "False", "FALSE")) {
        out->type = YAML_BOOL;
        out->boolean = *text == 't' || *text == 'T';
    } else if (looks_int(text, &base, &first)) {
        errno = 0;
        long long v = strtoll(first, NULL, base);
        out->type = errno == 0 ? YAML_INT : YAML_REAL;
        out->integer = v;
        out->real = errno == 0 ? (double)v : strtod(text, NULL);
    } else if (looks_real(text)) {
        out->type = YAML_REAL;
        out->real = strtod(text, NULL);
    } else if (looks_special(text, &out->real)) {
        out->type = YAML_REAL;
    }
}

const char *yaml_type_name(YamlType t) {
    static const char *const names[] = {
        [YAML_NULL] = "nothing", [YAML_BOOL] = "true or false", [YAML_INT] = "a whole number", [YAML_REAL] = "a number",
        [YAML_STRING] = "text",  [YAML_LIST] = "a list",        [YAML_MAP] = "a map",
    };
    return names[t];
}

/* ---- events to tree ---------------------------------------------------------------------------------------------- */

/* libyaml's message, with its place. */
static Status parser_failed(const Reader *r, Err *e) {
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR) FAIL(e, ERR_OOM, "%s: out of memory", r->name);
    return fail_at(r, p->problem_mark, e, "not valid YAML: ", p->problem != NULL ? p->problem : "unknown problem");
}

static Status next_event(Reader *r, yaml_event_t *event, Err *e) {
    if (!yaml_parser_parse(&r->parser, event)) return parser_failed(r, e);
    return OK;
}

static bool has_anchor(const yaml_event_t *ev) {
    switch (ev->type) {
    case YAML_SCALAR_EVENT:
        return ev->data.scalar.anchor != NULL;
    case YAML_SEQUENCE_START_EVENT:
        return ev->data.sequence_start.anchor != NULL;
    case YAML_MAPPING_START_EVENT:
        return ev->data.mapping_start.anchor != NULL;
    default:
        return ev->type == YAML_ALIAS_EVENT;
    }
}

static bool has_tag(const yaml_event_t *ev) {
    switch (ev->type) {
    case YAML_SCALAR_EVENT:
        return ev->data.scalar.tag != NULL;
    case YAML_SEQUENCE_START_EVENT:
        return ev->data.sequence_start.tag != NULL;
    case YAML_MAPPING_START_EVENT:
        return ev->data.mapping_start.tag != NULL;
    default:
        return false;
    }
}

static Status read_scalar(Reader *r, const yaml_event_t *ev, Yaml *out, Err *e) {
    const char *value = (const char *)ev->data.scalar.value;
    size_t len = ev->data.scalar.length;
    if (memchr(value, 0, len) != NULL) return fail_at(r, ev->start_mark, e, "text with a NUL character", "");
    TRY(arena_strndup(r->arena, value, len, &out->text, e));
    if (ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        yaml_scalar(out->text, out);
    } else {
        out->type = YAML_STRING;
        out->quoted = true;
    }
    return OK;
}

static Status read_node(Reader *r, yaml_event_t *ev, int depth, Yaml *out, Err *e);

/* Makes room for one more item (and key); doubling, so the waste is bounded by the text's length. */
static Status grow(Reader *r, Yaml *node, size_t *cap_items, size_t *cap_keys, Err *e) {
    size_t used = (size_t)node->n;
    TRY(arena_grow(r->arena, &node->items, cap_items, used, used + 1, sizeof *node->items, e));
    if (node->type == YAML_MAP) TRY(arena_grow(r->arena, &node->keys, cap_keys, used, used + 1, sizeof *node->keys, e));
    node->items[used] = (Yaml){0};
    return OK;
}

static Status read_key(Reader *r, const yaml_event_t *ev, Yaml *map, Err *e) {
    Yaml *key = &map->keys[map->n];
    *key = (Yaml){.line = (int)ev->start_mark.line + 1, .column = (int)ev->start_mark.column + 1};
    if (has_anchor(ev)) return fail_at(r, ev->start_mark, e, "anchors and aliases (& and *) are not allowed here", "");
    if (has_tag(ev)) return fail_at(r, ev->start_mark, e, "tags (!) are not allowed here", "");
    if (ev->type != YAML_SCALAR_EVENT) return fail_at(r, ev->start_mark, e, "a key must be a word", "");
    TRY(read_scalar(r, ev, key, e));
    for (int i = 0; i < map->n; i++) {
        if (strcmp(map->keys[i].text, key->text) != 0) continue;
        if (!r->places) FAIL(e, ERR_CONFIG, "%s: key '%.100s' is given twice", r->name, key->text);
        FAIL(e, ERR_CONFIG, "%s:%d:%d: key '%.100s' is given twice, first in line %d", r->name, key->line, key->column,
             key->text, map->keys[i].line);
    }
    return OK;
}

/* Items up to the end event. A map with very many keys would make the search for duplicates slow: no config needs it. */
static Status read_collection(Reader *r, int depth, Yaml *out, Err *e) {
    enum { MEMBERS_MAX = 4096 };
    size_t cap_items = 0, cap_keys = 0;
    yaml_event_type_t end = out->type == YAML_MAP ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
    for (;;) {
        yaml_event_t ev;
        TRY(next_event(r, &ev, e));
        Status st = OK;
        if (ev.type == end) {
            yaml_event_delete(&ev);
            return OK;
        }
        if (out->n >= MEMBERS_MAX) st = fail_at(r, ev.start_mark, e, "more than 4096 entries", "");
        if (st == OK) st = grow(r, out, &cap_items, &cap_keys, e);
        if (st == OK && out->type == YAML_MAP) {
            st = read_key(r, &ev, out, e);
            yaml_event_delete(&ev);
            if (st == OK) st = next_event(r, &ev, e);
            if (st != OK) return st;
        }
        if (st == OK) st = read_node(r, &ev, depth + 1, &out->items[out->n], e);
        yaml_event_delete(&ev);
        TRY(st);
        out->n++;
    }
}

/* The node that begins with *ev (which stays the caller's). */
static Status read_node(Reader *r, yaml_event_t *ev, int depth, Yaml *out, Err *e) {
    if (has_anchor(ev)) return fail_at(r, ev->start_mark, e, "anchors and aliases (& and *) are not allowed here", "");
    if (has_tag(ev)) return fail_at(r, ev->start_mark, e, "tags (!) are not allowed here", "");
    if (depth > YAML_DEPTH_MAX) return fail_at(r, ev->start_mark, e, "nested too deeply for a config", "");
    if (r->places) {
        out->line = (int)ev->start_mark.line + 1;
        out->column = (int)ev->start_mark.column + 1;
    }
    if (ev->type == YAML_SCALAR_EVENT) return read_scalar(r, ev, out, e);
    out->type = ev->type == YAML_MAPPING_START_EVENT ? YAML_MAP : YAML_LIST;
    return read_collection(r, depth, out, e);
}

/* Stream start, one document, stream end. */
static Status read_document(Reader *r, Yaml *out, Err *e) {
    yaml_event_t ev;
    TRY(next_event(r, &ev, e));
    yaml_event_delete(&ev);
    TRY(next_event(r, &ev, e));
    Status st = OK;
    if (ev.type == YAML_STREAM_END_EVENT) { /* nothing at all: YAML_NULL */
        yaml_event_delete(&ev);
        return OK;
    }
    bool directives = ev.data.document_start.version_directive != NULL ||
                      ev.data.document_start.tag_directives.start != ev.data.document_start.tag_directives.end;
    if (directives) st = fail_at(r, ev.start_mark, e, "directives (%) are not allowed here", "");
    yaml_event_delete(&ev);
    TRY(st);
    TRY(next_event(r, &ev, e));
    st = read_node(r, &ev, 0, out, e);
    yaml_event_delete(&ev);
    TRY(st);
    TRY(next_event(r, &ev, e)); /* the end of the document */
    yaml_event_delete(&ev);
    TRY(next_event(r, &ev, e));
    if (ev.type != YAML_STREAM_END_EVENT) st = fail_at(r, ev.start_mark, e, "a second document; a config is one", "");
    yaml_event_delete(&ev);
    return st;
}

/* What YAML does not allow as it stands, and the line breaks that editors do not count as lines. */
static bool is_control(uint32_t cp) {
    if (cp < 0x20) return cp != '\t' && cp != '\n' && cp != '\r';
    return (cp >= 0x7f && cp < 0xa0) || cp == 0x2028 || cp == 0x2029 || cp == 0xfeff || cp == 0xfffe || cp == 0xffff;
}

/* UTF-8, and no character that YAML does not allow; the place in lines and characters. */
static Status check_text(const Reader *r, const char *text, size_t len, Err *e) {
    yaml_mark_t at = {0};
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        int n = utf8_decode(text + i, len - i, &cp);
        if (n == 0) return fail_at(r, at, e, "not valid UTF-8", "");
        if (is_control(cp)) return fail_at(r, at, e, "a control character", cp == 0 ? " (NUL)" : "");
        at.column++;
        if (cp == '\n') {
            at.line++;
            at.column = 0;
        }
        i += (size_t)n;
    }
    return OK;
}

static Status parse(Reader *r, const char *text, size_t len, Yaml *out, Err *e) {
    *out = (Yaml){0};
    if (len > YAML_BYTES_MAX)
        FAIL(e, ERR_CONFIG, "%s: %zu bytes are too many for a config (at most %d)", r->name, len, (int)YAML_BYTES_MAX);
    TRY(check_text(r, text, len, e));
    if (!yaml_parser_initialize(&r->parser)) FAIL(e, ERR_OOM, "%s: out of memory", r->name);
    yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)text, len);
    Status st = read_document(r, out, e);
    yaml_parser_delete(&r->parser);
    return st;
}

Status yaml_parse(Arena *a, const char *name, const char *text, size_t len, Yaml *out, Err *e) {
    Reader r = {.arena = a, .name = name, .places = true};
    if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        len -= 3;
    }
    TRY(parse(&r, text, len, out, e));
    if (out->type == YAML_NULL) *out = (Yaml){.type = YAML_MAP};
    if (out->type != YAML_MAP)
        FAIL(e, ERR_CONFIG, "%s:%d:%d: got %s, expected lines of the form 'key: value'", name, out->line, out->column,
             yaml_type_name(out->type));
    return OK;
}

Status yaml_parse_value(Arena *a, const char *name, const char *text, Yaml *out, Err *e) {
    Reader r = {.arena = a, .name = name};
    return parse(&r, text, strlen(text), out, e);
}
