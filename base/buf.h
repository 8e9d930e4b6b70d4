/* buf.h: a growing byte string in an arena; used for text output, JSON writing and small file images.
 * data is always NUL-terminated once something was added (len does not count the NUL). */
#ifndef LORAC_BASE_BUF_H
#define LORAC_BASE_BUF_H

#include "base/arena.h"

typedef struct Buf {
    Arena *arena; /* set by the owner; all growth comes from here */
    char *data;
    size_t len, cap;
} Buf;

Status buf_add(Buf *b, const void *data, size_t len, Err *e);
Status buf_puts(Buf *b, const char *s, Err *e);
Status buf_putc(Buf *b, char c, Err *e);
Status buf_printf(Buf *b, Err *e, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Forgets the content, keeps the memory. */
void buf_clear(Buf *b);

#endif
