/* status.c: filling and decorating Err; the one place that aborts (CHECK). */
#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Messages quote names and text from files: no control byte of theirs may reach a terminal or break the line. */
static void one_line(char *s) {
    for (; *s != 0; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7F) *s = ' ';
    }
}

Status err_set(Err *e, Status status, const char *file, int line, const char *format, ...) {
    if (e != NULL) {
        va_list args;
        e->status = status;
        e->gone = false;
        e->file = file;
        e->line = line;
        va_start(args, format);
        vsnprintf(e->message, sizeof e->message, format, args);
        va_end(args);
        one_line(e->message);
    }
    return status;
}

Status err_prefix(Err *e, Status status, const char *format, ...) {
    if (e == NULL) return status;
    char text[ERR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0) n = 0;
    size_t used = (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    size_t room = sizeof text - used;
    if (room > 2) {
        size_t take = strlen(e->message);
        memcpy(text + used, ": ", 2);
        if (take > room - 3) take = room - 3;
        memcpy(text + used + 2, e->message, take);
        text[used + 2 + take] = 0;
    }
    text[sizeof text - 1] = 0;
    one_line(text);
    memcpy(e->message, text, sizeof text);
    return e->status;
}

void err_errno(Err *e, int number) {
    if (e != NULL) e->gone = number == ENOENT;
}

const char *status_text(Status s) {
    static const char *const TEXTS[] = {
#define X(id, text) text,
        STATUS_LIST(X)
#undef X
    };
    return (unsigned)s < (unsigned)STATUS_COUNT ? TEXTS[s] : "unknown status";
}

_Noreturn void check_failed(const char *file, int line, const char *condition, const char *format, ...) {
    va_list args;
    fprintf(stderr, "bug: %s:%d: %s: ", file, line, condition);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}
