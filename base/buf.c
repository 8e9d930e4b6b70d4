/* buf.c: growing byte string; see buf.h. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static Status reserve(Buf *b, size_t more, Err *e) {
    if (more > SIZE_MAX / 2 - b->len) FAIL(e, ERR_OOM, "out of memory: text of %zu more bytes overflows", more);
    return arena_grow(b->arena, &b->data, &b->cap, b->data == NULL ? 0 : b->len + 1, b->len + more + 1, 1, e);
}

Status buf_add(Buf *b, const void *data, size_t len, Err *e) {
    TRY(reserve(b, len, e));
    if (len > 0) memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = 0;
    return OK;
}

Status buf_puts(Buf *b, const char *s, Err *e) { return buf_add(b, s, strlen(s), e); }

Status buf_putc(Buf *b, char c, Err *e) { return buf_add(b, &c, 1, e); }

Status buf_printf(Buf *b, Err *e, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0) FAIL(e, ERR_FORMAT, "text cannot be formatted: %s", format);
    TRY(reserve(b, (size_t)n, e));
    va_start(args, format);
    vsnprintf(b->data + b->len, (size_t)n + 1, format, args);
    va_end(args);
    b->len += (size_t)n;
    return OK;
}

void buf_clear(Buf *b) {
    b->len = 0;
    if (b->data != NULL) b->data[0] = 0;
}
