/* status.h: how every function reports what went wrong.
 *
 * A function that can fail for a reason in the world (a file, a user, memory) returns Status and takes an Err * as its
 * last parameter; the message says what, where, what was got, what was expected and what to try. TRY forwards it.
 * CHECK is for lorac's own bugs: it prints the place and aborts, in every build. Nothing below main.c prints or exits
 * otherwise. Messages are one line: control bytes become spaces. */
#ifndef LORAC_BASE_STATUS_H
#define LORAC_BASE_STATUS_H

#include <stdbool.h>
#include <stddef.h>

#define STATUS_LIST(X)                                                                                                 \
    X(OK, "ok")                                                                                                        \
    X(ERR_USAGE, "wrong usage")                                                                                        \
    X(ERR_CONFIG, "bad config")                                                                                        \
    X(ERR_IO, "i/o failure")                                                                                           \
    X(ERR_FORMAT, "malformed file")                                                                                    \
    X(ERR_SHAPE, "shape mismatch")                                                                                     \
    X(ERR_OOM, "out of memory")                                                                                        \
    X(ERR_DEVICE, "device failure")                                                                                    \
    X(ERR_DATA, "bad data")                                                                                            \
    X(ERR_CHECK, "a check did not hold")                                                                               \
    X(ERR_STOPPED, "stopped")

typedef enum Status {
#define X(id, text) id,
    STATUS_LIST(X)
#undef X
        STATUS_COUNT
} Status;

enum { ERR_MESSAGE_BYTES = 2048 };

/* One failure: its class, the source line that raised it (for developers) and the sentence for the person. */
typedef struct Err {
    Status status;
    bool gone; /* ERR_IO: a file or folder is not there, which another process may have removed; see FAIL_ERRNO */
    const char *file; /* lorac's own source file, static storage */
    int line;
    char message[ERR_MESSAGE_BYTES];
} Err;

/* Fills *e (if not NULL) and returns status, so that `return err_set(...)` reads as one step. Long messages are cut. */
Status err_set(Err *e, Status status, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Puts "prefix: " in front of the message of *e; used to add the place ("FILE:LINE") to a deeper error. Returns e's
 * status (or `status` when e is NULL). */
Status err_prefix(Err *e, Status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Sets e->gone (if e is not NULL) by an errno. */
void err_errno(Err *e, int number);

/* The short class text of STATUS_LIST. */
const char *status_text(Status s);

/* Prints "bug: file:line: condition: message" on stderr and aborts. */
_Noreturn void check_failed(const char *file, int line, const char *condition, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Returns the code itself, not err_set's result, so that the compiler knows that what follows a TRY has succeeded. */
#define FAIL(e, code, ...)                                                                                             \
    do {                                                                                                               \
        err_set((e), (code), __FILE__, __LINE__, __VA_ARGS__);                                                         \
        return (code);                                                                                                 \
    } while (0)
/* ERR_IO because of errno `number`, which tells whether e->gone. */
#define FAIL_ERRNO(e, number, ...)                                                                                     \
    do {                                                                                                               \
        int fail_errno_ = (number);                                                                                    \
        err_set((e), ERR_IO, __FILE__, __LINE__, __VA_ARGS__);                                                         \
        err_errno((e), fail_errno_);                                                                                   \
        return ERR_IO;                                                                                                 \
    } while (0)
#define TRY(x)                                                                                                         \
    do {                                                                                                               \
        Status try_status_ = (x);                                                                                      \
        if (try_status_ != OK) return try_status_;                                                                     \
    } while (0)
/* For functions with one `out:` label that hold a file or a mapping: st must be a Status variable in scope. */
#define TRY_OUT(st, x)                                                                                                 \
    do {                                                                                                               \
        (st) = (x);                                                                                                    \
        if ((st) != OK) goto out;                                                                                      \
    } while (0)
#define CHECK(p, ...)                                                                                                  \
    do {                                                                                                               \
        if (!(p)) check_failed(__FILE__, __LINE__, #p, __VA_ARGS__);                                                   \
    } while (0)

#endif
