/* cmd.h: what a subcommand is. Each cmd_x.c has one row in commands.def: a run function and a help text. main.c owns the
 * context, prints errors and exits; a command returns Status and prints results on log.out. */
#ifndef LORAC_TRAIN_CMD_H
#define LORAC_TRAIN_CMD_H

#include "base/arena.h"
#include "base/log.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct Ctx {
    Log log;
    Arena *arena;          /* host memory of the command, closed by main */
    const char *cpu_level; /* LORAC_CPU, or NULL: the best the CPU has */
    const char *version;
} Ctx;

typedef Status (*CommandRun)(Ctx *ctx, int argc, char **argv, Err *e); /* argv[0] is the command's name */

typedef struct Command {
    const char *name, *summary;
    const char *help; /* the whole text of `lorac NAME --help` but for generated parts */
    CommandRun run;
} Command;

#define COMMAND(name, summary)                                                                                         \
    extern const char cmd_##name##_help[];                                                                             \
    Status cmd_##name(Ctx *ctx, int argc, char **argv, Err *e);
#include "train/commands.def"
#undef COMMAND
/* `lorac --version`: version, build, CPU level, libraries. */
Status cmd_version(Ctx *ctx, int argc, char **argv, Err *e);

/* ---- arguments --------------------------------------------------------------------------------------------------- */

/* One option a command knows: "--base M" has value_name "M"; a flag has NULL. */
typedef struct ArgSpec {
    const char *name; /* with dashes: "--base" */
    const char *value_name;
} ArgSpec;

enum { ARGS_REPEAT = 2 };    /* an option may be given several times: args_get has the last, args_all has all */
enum { ARGS_OVERRIDES = 1 }; /* unknown "--some-key value" and "key=value" become config overrides */

typedef struct Args {
    const ArgSpec *specs;
    int n_specs;
    const char **values; /* by spec: the value, "" for a flag given, NULL for not given */
    int argc;            /* what was parsed, for args_all */
    char **argv;
    char **positional;
    int n_positional;
    char **overrides; /* "key=value" with the key in config spelling */
    int n_overrides;
} Args;

/* Parses argv[1..). "--name value", "--name=value"; "--" ends options. Given twice, unknown (with the nearest known
 * name), or without its value: ERR_USAGE. min/max bound the positional arguments. */
Status args_parse(Arena *a, int argc, char **argv, const ArgSpec *specs, int n_specs, unsigned flags, int min, int max,
                  Args *out, Err *e);
/* The value of an option, or NULL. The name must be in specs (CHECK). */
const char *args_get(const Args *args, const char *name);
bool args_has(const Args *args, const char *name);
/* Every value of an option that may repeat, in order. */
Status args_all(Arena *a, const Args *args, const char *name, const char *const **out, int *n, Err *e);
/* Number options with a range; *out keeps its value when the option is not given. */
Status args_int(const Args *args, const char *name, int64_t min, int64_t max, int64_t *out, Err *e);
Status args_real(const Args *args, const char *name, double min, double max, double *out, Err *e);

#endif
