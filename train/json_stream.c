/* json_stream.c: see json_stream.h. */
#include "train/json_stream.h"

#include "base/signals.h"

#include <errno.h>
#include <string.h>

typedef struct Stream {
    const char *name;
    FILE *in, *out;
    JsonStreamAnswer answer;
    void *ctx;
    int64_t line;
} Stream;

/* The next line without its end, in the arena; *found is false at the end of the file. */
static Status read_line(Stream *s, Buf *text, bool *found, Err *e) {
    int c;
    buf_clear(text);
    while ((c = getc_unlocked(s->in)) != EOF && c != '\n') {
        if (text->len == JSON_STREAM_LINE_MAX)
            FAIL(e, ERR_DATA, "%s:%lld: a line of more than %d bytes", s->name, (long long)s->line + 1,
                 JSON_STREAM_LINE_MAX);
        TRY(buf_putc(text, (char)c, e));
    }
    if (stop_requested()) FAIL(e, ERR_STOPPED, "stopped in line %lld", (long long)s->line + 1);
    if (c == EOF && ferror(s->in)) FAIL(e, ERR_IO, "%s: cannot be read: %s", s->name, strerror(errno));
    *found = c != EOF || text->len > 0;
    if (text->len > 0 && text->data[text->len - 1] == '\r') text->data[--text->len] = '\0';
    s->line++;
    return OK;
}

static Status one_line(Stream *s, Arena *a, Arena *work, bool *found, Err *e) {
    Buf text = {.arena = a}, out = {.arena = a};
    Json *v = NULL;
    TRY(read_line(s, &text, found, e));
    if (!*found) return OK;
    TRY(json_parse_in(a, work, s->name, s->line, 1, text.len > 0 ? text.data : "", text.len, &v, e));
    Status st = s->answer(s->ctx, a, v, &out, e);
    if (st != OK) return err_prefix(e, st, "%s:%lld", s->name, (long long)s->line);
    if (fwrite(out.data, 1, out.len, s->out) != out.len || fflush(s->out) != 0)
        FAIL(e, ERR_IO, "standard output cannot be written: %s", strerror(errno));
    return OK;
}

/* a is of one line, work of its parser; an allocation in each keeps its first block when it is reset. */
static Status all_lines_in(Stream *s, Arena *a, Arena *work, Err *e) {
    char *first;
    bool found = true;
    TRY(ARENA_NEW(a, 1, first, e));
    TRY(ARENA_NEW(work, 1, first, e));
    for (ArenaMark start = arena_mark(a); found; arena_reset(a, start)) TRY(one_line(s, a, work, &found, e));
    return OK;
}

static Status all_lines(Stream *s, Err *e) {
    Arena *a = NULL, *work = NULL;
    TRY(arena_open(&a, "line", e));
    Status st = arena_open(&work, "json", e);
    if (st == OK) st = all_lines_in(s, a, work, e);
    arena_close(work);
    arena_close(a);
    return st;
}

Status json_stream(const char *file, FILE *out, JsonStreamAnswer answer, void *ctx, Err *e) {
    Stream s = {.name = file != NULL ? file : "stdin", .in = stdin, .out = out, .answer = answer, .ctx = ctx};
    if (file == NULL) return all_lines(&s, e);
    s.in = fopen(file, "rb");
    if (s.in == NULL) FAIL(e, ERR_IO, "%s: cannot be opened: %s", file, strerror(errno));
    Status st = all_lines(&s, e);
    fclose(s.in);
    return st;
}
