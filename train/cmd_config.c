/* cmd_config.c: lorac config: check a file, list every key. */
#include "configs/config.h"
#include "train/cmd.h"

#include <string.h>

const char cmd_config_help[] = "usage: lorac config check CONFIG.yaml [key=value ...]\n"
                               "       lorac config defaults\n"
                               "       lorac config resolved CONFIG.yaml [key=value ...]\n"
                               "\n"
                               "check     reads the config as train does and says what is wrong, with line and column\n"
                               "defaults  every key with its type, default and meaning\n"
                               "resolved  the config with every key written out\n";

static Status print_defaults(Ctx *ctx, Err *e) {
    Buf b = {.arena = ctx->arena};
    TRY(config_help(&b, e));
    fputs(b.data, ctx->log.out);
    return OK;
}

Status cmd_config(Ctx *ctx, int argc, char **argv, Err *e) {
    Args args;
    Config *config;
    TRY(args_parse(ctx->arena, argc, argv, NULL, 0, ARGS_OVERRIDES, 1, 2, &args, e));
    const char *what = args.positional[0];
    bool check = strcmp(what, "check") == 0, resolved = strcmp(what, "resolved") == 0;
    if (strcmp(what, "defaults") == 0) {
        if (args.n_positional > 1 || args.n_overrides > 0)
            FAIL(e, ERR_USAGE, "config defaults takes no more arguments");
        return print_defaults(ctx, e);
    }
    if (!check && !resolved) FAIL(e, ERR_USAGE, "config: got '%s', expected check, defaults or resolved", what);
    if (args.n_positional < 2) FAIL(e, ERR_USAGE, "config %s: the config file is missing", what);
    TRY(config_load(ctx->arena, args.positional[1], args.overrides, args.n_overrides, &config, e));
    int n;
    const char *const *notes = config_notes(config, &n);
    for (int i = 0; i < n; i++) log_note(&ctx->log, "%s", notes[i]);
    if (check) {
        fprintf(ctx->log.out, "%s: in order\n", args.positional[1]);
        return OK;
    }
    Buf b = {.arena = ctx->arena};
    TRY(config_write_resolved(config, &b, e));
    fputs(b.data, ctx->log.out);
    return OK;
}
