/* bytes_gzip.c: gzip (RFC 1952) through zlib, the only file that knows it. Members may follow each other; each one's
 * checksum and length are checked. zlib's memory is in the arena: it allocates its state and one window, once. */
#include "data/bytes.h"

#include <limits.h>
#include <zlib.h>

enum { GZIP_WINDOW_BITS = 15, GZIP_ONLY = 16 };

typedef struct Gzip {
    z_stream z;
    bool complete; /* the last member has ended */
} Gzip;

static bool gzip_is(const uint8_t *data, size_t n) { return n >= 2 && data[0] == 0x1f && data[1] == 0x8b; }

static void *take(void *arena, unsigned n, unsigned size) {
    void *p = NULL;
    return arena_alloc(arena, n, size, &p, NULL) == OK ? p : NULL;
}

static void drop(void *arena, void *p) { (void)arena, (void)p; }

static Status gzip_open(Arena *a, const char *path, void **state, Err *e) {
    Gzip *g;
    TRY(ARENA_NEW(a, 1, g, e));
    g->z = (z_stream){.zalloc = take, .zfree = drop, .opaque = a};
    if (inflateInit2(&g->z, GZIP_WINDOW_BITS + GZIP_ONLY) != Z_OK)
        FAIL(e, ERR_OOM, "%s: out of memory: the gzip data cannot be read", path);
    *state = g;
    return OK;
}

static Status begin_member(Gzip *g, const Unpack *u, Err *e) {
    if (!gzip_is(u->in, u->n_in))
        FAIL(e, ERR_DATA, "%s: bytes that are no gzip data follow the compressed data", u->path);
    if (inflateReset(&g->z) != Z_OK) FAIL(e, ERR_DATA, "%s: the gzip data cannot be read on", u->path);
    g->complete = false;
    return OK;
}

/* One call of inflate; *more false when it can do nothing with what it has. */
static Status inflate_some(Gzip *g, Unpack *u, bool *more, Err *e) {
    uInt in = u->n_in < UINT_MAX ? (uInt)u->n_in : UINT_MAX, out = u->n_out < UINT_MAX ? (uInt)u->n_out : UINT_MAX;
    g->z.next_in = (z_const Bytef *)(uintptr_t)u->in;
    g->z.avail_in = in;
    g->z.next_out = u->out;
    g->z.avail_out = out;
    int code = inflate(&g->z, Z_NO_FLUSH);
    size_t read = in - g->z.avail_in, made = out - g->z.avail_out;
    u->in += read;
    u->n_in -= read;
    u->out += made;
    u->n_out -= made;
    *more = read > 0 || made > 0;
    g->complete = code == Z_STREAM_END;
    if (code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR) return OK;
    if (code == Z_MEM_ERROR) FAIL(e, ERR_OOM, "%s: out of memory: the gzip data cannot be read", u->path);
    FAIL(e, ERR_DATA, "%s: the gzip data is damaged: %s", u->path, g->z.msg != NULL ? g->z.msg : "no gzip data");
}

static Status gzip_run(void *state, Unpack *u, Err *e) {
    Gzip *g = state;
    bool more = true;
    while (more && u->n_out > 0 && !(g->complete && u->n_in == 0)) {
        if (g->complete) TRY(begin_member(g, u, e));
        TRY(inflate_some(g, u, &more, e));
    }
    u->complete = g->complete;
    return OK;
}

static void gzip_close(void *state) {
    if (state != NULL) inflateEnd(&((Gzip *)state)->z);
}

const Unpacker UNPACK_GZIP = {"gzip", gzip_is, gzip_open, gzip_run, gzip_close};
