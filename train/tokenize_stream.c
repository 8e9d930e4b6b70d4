/* tokenize_stream.c: JSON lines through a tokenizer; see tokenize_stream.h. */
#include "train/tokenize_stream.h"

#include "base/json.h"
#include "base/signals.h"

#include <errno.h>
#include <string.h>

typedef struct Stream {
    const Tokenizer *t;
    const char *name;
    FILE *in, *out;
    int64_t line;
    Err *e;
} Stream;

/* The next line without its end, in the arena; *found is false at the end of the file. */
static Status read_line(Stream *s, Buf *text, bool *found) {
    int c;
    buf_clear(text);
    while ((c = getc_unlocked(s->in)) != EOF && c != '\n') {
        if (text->len == TOKENIZE_LINE_MAX)
            FAIL(s->e, ERR_DATA, "%s:%lld: a line of more than %d bytes", s->name, (long long)s->line + 1,
                 TOKENIZE_LINE_MAX);
        TRY(buf_putc(text, (char)c, s->e));
    }
    if (stop_requested()) FAIL(s->e, ERR_STOPPED, "stopped in line %lld", (long long)s->line + 1);
    if (c == EOF && ferror(s->in)) FAIL(s->e, ERR_IO, "%s: cannot be read: %s", s->name, strerror(errno));
    *found = c != EOF || text->len > 0;
    if (text->len > 0 && text->data[text->len - 1] == '\r') text->data[--text->len] = '\0';
    s->line++;
    return OK;
}

static Status encode_line(Stream *s, Arena *a, const Json *v, unsigned flags, Buf *out) {
    int32_t *ids = NULL;
    size_t n = 0;
    if (v->type != JSON_STRING)
        FAIL(s->e, ERR_DATA, "%s:%lld: a JSON string is expected on each line, this is %s", s->name, (long long)s->line,
             json_type_name(v->type));
    Status st = tokenizer_encode(s->t, a, v->string.s, v->string.len, flags, &ids, &n, s->e);
    if (st != OK) return err_prefix(s->e, st, "%s:%lld", s->name, (long long)s->line);
    TRY(buf_putc(out, '[', s->e));
    for (size_t i = 0; i < n; i++) TRY(buf_printf(out, s->e, i > 0 ? ", %d" : "%d", ids[i]));
    return buf_puts(out, "]\n", s->e);
}

static Status decode_line(Stream *s, Arena *a, const Json *v, Buf *out) {
    int32_t *ids = NULL;
    char *text = NULL;
    size_t len = 0;
    if (v->type != JSON_ARRAY)
        FAIL(s->e, ERR_DATA, "%s:%lld: a JSON array of ids is expected on each line, this is %s", s->name,
             (long long)s->line, json_type_name(v->type));
    TRY(ARENA_NEW(a, v->n, ids, s->e));
    for (uint32_t i = 0; i < v->n; i++) {
        const Json *id = &v->list.items[i];
        if (id->type != JSON_INT || id->integer < 0 || id->integer > INT32_MAX)
            FAIL(s->e, ERR_DATA, "%s:%lld: element %u of the array is no token id", s->name, (long long)s->line, i);
        ids[i] = (int32_t)id->integer;
    }
    TRY(tokenizer_decode(s->t, a, ids, v->n, false, &text, &len, s->e));
    TRY(json_put_string(out, text, len, s->e));
    return buf_putc(out, '\n', s->e);
}

static Status one_line(Stream *s, Arena *a, unsigned flags, bool decode, bool *found) {
    Buf text = {.arena = a}, out = {.arena = a};
    Json *v = NULL;
    TRY(read_line(s, &text, found));
    if (!*found) return OK;
    TRY(json_parse_line(a, s->name, s->line, text.len > 0 ? text.data : "", text.len, &v, s->e));
    TRY(decode ? decode_line(s, a, v, &out) : encode_line(s, a, v, flags, &out));
    if (fwrite(out.data, 1, out.len, s->out) != out.len || fflush(s->out) != 0)
        FAIL(s->e, ERR_IO, "standard output cannot be written: %s", strerror(errno));
    return OK;
}

Status tokenize_stream(const Tokenizer *t, const char *name, FILE *in, FILE *out, unsigned flags, bool decode, Err *e) {
    Stream s = {.t = t, .name = name, .in = in, .out = out, .e = e};
    Arena *a = NULL;
    bool found = true;
    TRY(arena_open(&a, "line", e));
    ArenaMark start = arena_mark(a);
    Status st = OK;
    while (st == OK && found) {
        st = one_line(&s, a, flags, decode, &found);
        arena_reset(a, start);
    }
    arena_close(a);
    return st;
}
