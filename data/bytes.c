/* bytes.c: see bytes.h. */
#include "data/bytes.h"

#include <string.h>

static const Unpacker *const UNPACKERS[] = {&UNPACK_GZIP, &UNPACK_ZSTD};
enum { N_UNPACKERS = sizeof UNPACKERS / sizeof UNPACKERS[0], BUFFER_MIN = 1 << 18 };

static const Unpacker *unpacker_of(const uint8_t *data, size_t n) {
    for (int i = 0; i < N_UNPACKERS; i++) {
        if (UNPACKERS[i]->is(data, n)) return UNPACKERS[i];
    }
    return NULL;
}

const char *bytes_compression(const uint8_t *data, size_t n) {
    const Unpacker *u = unpacker_of(data, n);
    return u != NULL ? u->name : NULL;
}

Status bytes_open(const char *path, Bytes *out, Err *e) {
    *out = (Bytes){0};
    TRY(file_map(path, &out->map, e));
    out->unpacker = out->map.size > 0 ? unpacker_of(out->map.data, out->map.size) : NULL;
    if (out->unpacker == NULL) {
        out->data = out->map.data;
        out->n = out->map.size;
        out->end = true;
        return OK;
    }
    Status st = arena_open(&out->arena, "compressed data", e);
    if (st == OK) st = out->unpacker->open(out->arena, out->map.path, &out->state, e);
    if (st != OK) bytes_close(out);
    return st;
}

/* Pages that were read need not stay in memory; told in large steps. */
static void give_back(Bytes *b) {
    enum { STEP = 8 << 20 };
    if (b->in_at - b->given_back < STEP) return;
    file_map_forget(&b->map, b->given_back, b->in_at - b->given_back);
    b->given_back = b->in_at;
}

static Status unpack_more(Bytes *b, Err *e) {
    size_t have = (size_t)(b->data - b->buffer) + b->n;
    Unpack u = {.path = b->map.path,
                .in = b->map.data + b->in_at,
                .n_in = b->map.size - b->in_at,
                .out = b->buffer + have,
                .n_out = b->cap - have};
    TRY(b->unpacker->run(b->state, &u, e));
    size_t made = b->cap - have - u.n_out, read = b->map.size - b->in_at - u.n_in;
    b->in_at += read;
    b->n += made;
    give_back(b);
    if (u.n_in == 0 && u.complete && u.n_out > 0) b->end = true;
    if (made > 0 || read > 0 || b->end) return OK;
    FAIL(e, ERR_DATA, "%s: the %s data ends before it is complete: the file was cut off", b->map.path,
         b->unpacker->name);
}

Status bytes_want(Bytes *b, size_t n, Err *e) {
    if (b->end || b->n >= n) return OK;
    if (b->n > 0 && b->data != b->buffer) memmove(b->buffer, b->data, b->n);
    if (b->cap < n) {
        size_t want = n < BUFFER_MIN ? BUFFER_MIN : n;
        TRY(arena_grow(b->arena, &b->buffer, &b->cap, b->n, want, 1, e));
    }
    b->data = b->buffer;
    while (!b->end && b->n < n) TRY(unpack_more(b, e));
    return OK;
}

void bytes_skip(Bytes *b, size_t n) {
    CHECK(n <= b->n, "%zu bytes skipped of %zu", n, b->n);
    if (n > 0) b->data += n;
    b->n -= n;
    if (b->unpacker != NULL) return;
    b->in_at += n;
    give_back(b);
}

double bytes_done(const Bytes *b) { return b->map.size == 0 ? 1.0 : (double)b->in_at / (double)b->map.size; }

void bytes_close(Bytes *b) {
    if (b->unpacker != NULL) b->unpacker->close(b->state);
    arena_close(b->arena);
    file_unmap(&b->map);
    *b = (Bytes){0};
}
