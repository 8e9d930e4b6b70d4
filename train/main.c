/* main.c: the program: finds the subcommand, owns the context, prints errors, exits. The only file that does. */
#include "train/cmd.h"

#include "base/file.h"
#include "base/signals.h"
#include "base/text.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define LORAC_VERSION "0.1.0"

static const Command COMMANDS[] = {
#define COMMAND(id, text) {.name = #id, .summary = (text), .help = cmd_##id##_help, .run = cmd_##id},
#include "train/commands.def"
#undef COMMAND
};
enum { N_COMMANDS = sizeof COMMANDS / sizeof COMMANDS[0] };

/* Status to exit code (stable: product.md). */
static const int EXIT_CODES[STATUS_COUNT] = {
    [OK] = 0,      [ERR_USAGE] = 2,  [ERR_CONFIG] = 1, [ERR_IO] = 1,    [ERR_FORMAT] = 1,    [ERR_SHAPE] = 1,
    [ERR_OOM] = 1, [ERR_DEVICE] = 1, [ERR_DATA] = 1,   [ERR_CHECK] = 3, [ERR_STOPPED] = 130,
};

static void print_help(FILE *out) {
    fputs("lorac: fine-tune open-weight language models with low-rank adapters\n\n"
          "usage: lorac COMMAND [arguments]\n       lorac COMMAND --help\n       lorac --version\n\ncommands:\n",
          out);
    for (int i = 0; i < N_COMMANDS; i++) fprintf(out, "  %-10s %s\n", COMMANDS[i].name, COMMANDS[i].summary);
    fputs("\nA first run: lorac train configs/tiny.yaml\n"
          "Exit codes: 0 done, 1 an error, 2 wrong usage, 3 a check did not hold, 130 stopped by you.\n",
          out);
}

static const Command *command_find(const char *name) {
    for (int i = 0; i < N_COMMANDS; i++) {
        if (strcmp(COMMANDS[i].name, name) == 0) return &COMMANDS[i];
    }
    return NULL;
}

static int unknown_command(const char *name) {
    const char *nearest = NULL;
    int best = INT_MAX;
    for (int i = 0; i < N_COMMANDS; i++) {
        int d = text_distance(name, COMMANDS[i].name);
        if (d < best) {
            best = d;
            nearest = COMMANDS[i].name;
        }
    }
    fprintf(stderr, "error: unknown command '%s'", name);
    if (nearest != NULL && text_is_near(name, best)) fprintf(stderr, "; did you mean '%s'?", nearest);
    fputs(" (see lorac --help)\n", stderr);
    return EXIT_CODES[ERR_USAGE];
}

static bool wants_help(int argc, char **argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return true;
    }
    return false;
}

/* Output that cannot be written (closed pipe, full disk) is an error of the command, not silence. */
static Status flush_output(Ctx *ctx, Err *e) {
    if (fflush(ctx->log.out) != 0 || ferror(ctx->log.out)) FAIL(e, ERR_IO, "standard output cannot be written");
    return OK;
}

static int run_command(const Command *c, int argc, char **argv) {
    Ctx ctx = {.cpu_level = getenv("LORAC_CPU"), .version = LORAC_VERSION};
    Err err = {0};
    signals_install();
    log_open(&ctx.log, false);
    Status st = arena_open(&ctx.arena, "host", &err);
    if (st == OK) st = c->run(&ctx, argc, argv, &err);
    log_bar_end(&ctx.log);
    if (st == OK) st = flush_output(&ctx, &err);
    arena_close(ctx.arena);
    if (st == ERR_STOPPED)
        fprintf(stderr, "%s\n", err.message);
    else if (st != OK)
        fprintf(stderr, "error: %s\n", err.message);
    return EXIT_CODES[st];
}

int main(int argc, char **argv) {
    file_hold_standard();
    if (argc < 2) {
        print_help(stderr);
        return EXIT_CODES[ERR_USAGE];
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        const Command *c = argc > 2 ? command_find(argv[2]) : NULL;
        if (argc > 2 && c == NULL) return unknown_command(argv[2]);
        if (c != NULL)
            fputs(c->help, stdout);
        else
            print_help(stdout);
        return fflush(stdout) == 0 ? 0 : 1;
    }
    if (strcmp(argv[1], "--version") == 0)
        return run_command(&(Command){.name = "version", .run = cmd_version}, argc - 1, argv + 1);
    const Command *c = command_find(argv[1]);
    if (c == NULL) return unknown_command(argv[1]);
    if (wants_help(argc - 1, argv + 1)) {
        fputs(c->help, stdout);
        return fflush(stdout) == 0 ? 0 : 1;
    }
    return run_command(c, argc - 1, argv + 1);
}
