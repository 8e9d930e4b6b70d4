/* data_check.c: lorac data check: every bad row of every file at once. */
#include "train/data_commands.h"

enum { SHOWN_MAX = 100 };

typedef struct Shown {
    FILE *out, *err;
    int64_t lines;
} Shown;

static Status show_bad(void *ctx, const char *message, Err *e) {
    Shown *s = ctx;
    if (s->lines++ < SHOWN_MAX && fprintf(s->out, "%s\n", message) < 0)
        FAIL(e, ERR_IO, "standard output cannot be written");
    return OK;
}

static Status show_note(void *ctx, const char *message, Err *e) {
    const Shown *s = ctx;
    if (fprintf(s->err, "%s\n", message) < 0) FAIL(e, ERR_IO, "standard error cannot be written");
    return OK;
}

Status data_check(Ctx *ctx, Config *config, Trainer *t, Err *e) {
    Shown shown = {.out = ctx->log.out, .err = ctx->log.err};
    DataCheck check = {.report = show_bad, .note = show_note, .ctx = &shown};
    TRY(trainer_check_data(ctx, config, &check, t, e));
    if (shown.lines > SHOWN_MAX) fprintf(shown.out, "and %lld more\n", (long long)(shown.lines - SHOWN_MAX));
    if (check.bad > 0)
        FAIL(e, ERR_CHECK, "%lld bad rows in %lld files (%lld rows were read)", (long long)check.bad,
             (long long)check.files, (long long)check.rows);
    fprintf(shown.out, "%lld rows in %lld files: all can be trained on\n", (long long)check.rows,
            (long long)check.files);
    return OK;
}
