/* json_blocks.c: see json_blocks.h.
 *
 * A block is some chunks of whole lines; threads answer chunks, and when all are done the answers are written in order. A chunk ends
 * at its first bad line: what comes before it is written, and nothing behind it. */
#include "train/json_blocks.h"

#include "base/file.h"
#include "base/signals.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { CHUNKS = 32, CHUNK_BYTES = 1 << 17, BLOCK_BYTES = CHUNKS * CHUNK_BYTES, ANSWER_BYTES_KEPT = 1 << 21 };

typedef struct Chunk {
    const char *from, *to; /* whole lines */
    int64_t first_line;    /* counted from 1 */
    Arena *arena;          /* of the answers */
    ArenaMark start;
    Buf answers;
    Status status;
    Err err;
} Chunk;

typedef struct Blocks {
    const char *file, *at, *end; /* what is left of the file */
    int64_t line;                /* of `at` */
    JsonStreamAnswer answer;
    void *const *contexts;
    Arena **lines, **work; /* by thread: of one line, of its parser */
    Chunk chunks[CHUNKS];
    int n;
} Blocks;

bool json_blocks_pay(const char *file) {
    struct stat st;
    return stat(file, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= JSON_BLOCKS_BYTES;
}

static Status answer_line(Blocks *b, Chunk *c, const char *from, size_t len, int64_t line, int thread) {
    Arena *a = b->lines[thread];
    Json *v = NULL;
    Err *e = &c->err;
    if (len > JSON_STREAM_LINE_MAX)
        FAIL(e, ERR_DATA, "%s:%lld: a line of more than %d bytes", b->file, (long long)line, JSON_STREAM_LINE_MAX);
    if (len > 0 && from[len - 1] == '\r') len--;
    TRY(json_parse_in(a, b->work[thread], b->file, line, 1, from, len, &v, e));
    size_t before = c->answers.len;
    Status st = b->answer(b->contexts[thread], a, v, &c->answers, e);
    if (st == OK) return OK;
    c->answers.len = before;
    return err_prefix(e, st, "%s:%lld", b->file, (long long)line);
}

static void answer_chunk(void *ctx, int64_t i, int thread) {
    Blocks *b = ctx;
    Chunk *c = &b->chunks[i];
    ArenaMark mark = arena_mark(b->lines[thread]);
    int64_t line = c->first_line;
    c->status = OK;
    for (const char *s = c->from; s < c->to && c->status == OK; line++) {
        const char *newline = memchr(s, '\n', (size_t)(c->to - s)), *end = newline != NULL ? newline : c->to;
        c->status = answer_line(b, c, s, (size_t)(end - s), line, thread);
        arena_reset(b->lines[thread], mark);
        s = end + 1;
    }
}

/* Cuts the next chunks off the file. */
static void cut_block(Blocks *b) {
    size_t bytes = 0;
    for (b->n = 0; b->n < CHUNKS && bytes < BLOCK_BYTES && b->at < b->end; b->n++) {
        Chunk *c = &b->chunks[b->n];
        c->from = b->at;
        c->first_line = b->line;
        while (b->at < b->end && b->at - c->from < CHUNK_BYTES) {
            const char *newline = memchr(b->at, '\n', (size_t)(b->end - b->at));
            b->at = newline != NULL ? newline + 1 : b->end;
            b->line++;
        }
        c->to = b->at;
        bytes += (size_t)(c->to - c->from);
    }
}

/* Each answer by a write of its own, as json_stream does: who reads them never waits for the rest of a line. */
static Status write_answers(const Buf *answers, FILE *out, Err *e) {
    for (size_t at = 0, n; at < answers->len; at += n) {
        const char *s = answers->data + at, *newline = memchr(s, '\n', answers->len - at);
        n = newline != NULL ? (size_t)(newline - s) + 1 : answers->len - at;
        if (fwrite(s, 1, n, out) != n || fflush(out) != 0)
            FAIL(e, ERR_IO, "standard output cannot be written: %s", strerror(errno));
    }
    return OK;
}

static Status write_block(Blocks *b, FILE *out, Err *e) {
    for (int i = 0; i < b->n; i++) {
        Chunk *c = &b->chunks[i];
        TRY(write_answers(&c->answers, out, e));
        if (c->status == OK) continue;
        if (e != NULL) *e = c->err;
        return c->status;
    }
    return OK;
}

/* Makes room for the next answers; what huge ones took goes back. */
static void clear_answers(Chunk *c) {
    buf_clear(&c->answers);
    if (c->answers.cap <= ANSWER_BYTES_KEPT) return;
    arena_reset(c->arena, c->start);
    c->answers = (Buf){.arena = c->arena};
}

static Status all_blocks(Blocks *b, const FileMap *map, FILE *out, Pool *pool, Err *e) {
    while (b->at < b->end) {
        const char *from = b->at;
        if (stop_requested()) FAIL(e, ERR_STOPPED, "stopped in line %lld", (long long)b->line);
        cut_block(b);
        for (int i = 0; i < b->n; i++) clear_answers(&b->chunks[i]);
        pool_run(pool, b->n, answer_chunk, b);
        TRY(write_block(b, out, e));
        file_map_forget(map, (size_t)(from - (const char *)map->data), (size_t)(b->at - from));
    }
    return OK;
}

/* An arena whose first block stays when it is reset to *start. */
static Status open_kept(Arena **a, const char *name, ArenaMark *start, Err *e) {
    char *first;
    TRY(arena_open(a, name, e));
    Status st = ARENA_NEW(*a, 1, first, e);
    if (st == OK) *start = arena_mark(*a);
    if (st != OK) arena_close(*a);
    return st;
}

static Status open_chunk(Chunk *c, Err *e) {
    TRY(open_kept(&c->arena, "answers", &c->start, e));
    c->answers = (Buf){.arena = c->arena};
    return OK;
}

Status json_blocks(const char *file, FILE *out, JsonStreamAnswer answer, void *const *contexts, Pool *pool, Err *e) {
    Arena *a = NULL;
    Blocks *b = NULL;
    FileMap map;
    ArenaMark mark; /* not needed: each line resets to where it began */
    int threads = pool_threads(pool), n_lines = 0, n_work = 0, n_chunks = 0;
    TRY(file_map(file, &map, e));
    Status st = arena_open(&a, "lines", e);
    if (st != OK) goto unmap;
    TRY_OUT(st, ARENA_NEW(a, 1, b, e));
    *b = (Blocks){.file = file, .at = (const char *)map.data, .line = 1, .answer = answer, .contexts = contexts};
    b->end = b->at + map.size;
    TRY_OUT(st, ARENA_NEW(a, threads, b->lines, e));
    TRY_OUT(st, ARENA_NEW(a, threads, b->work, e));
    for (; n_lines < threads; n_lines++) TRY_OUT(st, open_kept(&b->lines[n_lines], "line", &mark, e));
    for (; n_work < threads; n_work++) TRY_OUT(st, open_kept(&b->work[n_work], "json", &mark, e));
    for (; n_chunks < CHUNKS; n_chunks++) TRY_OUT(st, open_chunk(&b->chunks[n_chunks], e));
    TRY_OUT(st, all_blocks(b, &map, out, pool, e));
out:
    while (n_chunks > 0) arena_close(b->chunks[--n_chunks].arena);
    while (n_work > 0) arena_close(b->work[--n_work]);
    while (n_lines > 0) arena_close(b->lines[--n_lines]);
    arena_close(a);
unmap:
    file_unmap(&map);
    return st;
}
