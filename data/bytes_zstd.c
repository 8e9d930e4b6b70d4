/* bytes_zstd.c: zstd (RFC 8878) through libzstd, the only file that knows it. Frames may follow each other, skippable ones
 * too; a frame's checksum is checked where it has one. libzstd takes its memory from the system: at most the window, which
 * is refused beyond 128 MiB, and a small state. */
#include "data/bytes.h"

#include <zstd.h>
#include <zstd_errors.h>

enum { WINDOW_LOG_MAX = 27 };

typedef struct Zstd {
    ZSTD_DCtx *context;
    bool complete;
} Zstd;

/* A frame, or a skippable one (0x184D2A50 to 0x184D2A5F). */
static bool zstd_is(const uint8_t *d, size_t n) {
    if (n < 4) return false;
    bool frame = d[0] == 0x28 && d[1] == 0xb5 && d[2] == 0x2f && d[3] == 0xfd;
    return frame || ((d[0] & 0xf0) == 0x50 && d[1] == 0x2a && d[2] == 0x4d && d[3] == 0x18);
}

static Status zstd_open(Arena *a, const char *path, void **state, Err *e) {
    Zstd *z;
    TRY(ARENA_NEW(a, 1, z, e));
    z->complete = true;
    z->context = ZSTD_createDCtx();
    *state = z;
    if (z->context == NULL || ZSTD_isError(ZSTD_DCtx_setParameter(z->context, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)))
        FAIL(e, ERR_OOM, "%s: out of memory: the zstd data cannot be read", path);
    return OK;
}

static Status zstd_failed(const Unpack *u, size_t code, Err *e) {
    switch (ZSTD_getErrorCode(code)) {
    case ZSTD_error_memory_allocation:
        FAIL(e, ERR_OOM, "%s: out of memory: the zstd data cannot be read", u->path);
    case ZSTD_error_frameParameter_windowTooLarge:
        FAIL(e, ERR_DATA, "%s: the zstd data needs a window of more than %d MiB; compress it without --long", u->path,
             1 << (WINDOW_LOG_MAX - 20));
    case ZSTD_error_prefix_unknown:
        FAIL(e, ERR_DATA, "%s: bytes that are no zstd data follow the compressed data", u->path);
    default:
        FAIL(e, ERR_DATA, "%s: the zstd data is damaged: %s", u->path, ZSTD_getErrorName(code));
    }
}

static Status zstd_run(void *state, Unpack *u, Err *e) {
    Zstd *z = state;
    bool more = true;
    while (more && u->n_out > 0 && !(z->complete && u->n_in == 0)) {
        ZSTD_inBuffer in = {.src = u->in, .size = u->n_in};
        ZSTD_outBuffer out = {.dst = u->out, .size = u->n_out};
        size_t code = ZSTD_decompressStream(z->context, &out, &in);
        if (ZSTD_isError(code)) return zstd_failed(u, code, e);
        u->in += in.pos;
        u->n_in -= in.pos;
        u->out += out.pos;
        u->n_out -= out.pos;
        more = in.pos > 0 || out.pos > 0;
        z->complete = code == 0;
    }
    u->complete = z->complete;
    return OK;
}

static void zstd_close(void *state) {
    if (state != NULL) ZSTD_freeDCtx(((Zstd *)state)->context);
}

const Unpacker UNPACK_ZSTD = {"zstd", zstd_is, zstd_open, zstd_run, zstd_close};
