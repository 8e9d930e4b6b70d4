/* cmd_data.c: lorac data: what a config's rows become. */
#include "train/data_commands.h"

#include "base/json.h"
#include "train/tokenizer_load.h"

#include <string.h>

const char cmd_data_help[] =
    "usage: lorac data show CONFIG.yaml [key=value ...] [--json | --ids] [--row N]\n"
    "       lorac data stats CONFIG.yaml [key=value ...] [--json]\n"
    "       lorac data check CONFIG.yaml [key=value ...]\n"
    "       lorac data prepare CONFIG.yaml [key=value ...]\n"
    "       lorac data render MODEL [--file F] [--add-generation-prompt] [--template F]\n"
    "\n"
    "show   every row of datasets in file order, cut or left out as excess_length_strategy says, before max_rows, weight,\n"
    "       dedupe, val_set_size, shuffle and packing: its text with the trained tokens marked (green on a terminal, in\n"
    "       [brackets] elsewhere; special tokens are bold or purple there). --ids: a line for each token, with its position and\n"
    "       id. --json: one object a row, {\"dataset\",\"line\",\"text\",\"ids\",\"trained\"}, and \"element\" in a JSON array,\n"
    "       \"side\" (chosen, rejected, desirable, undesirable) in preference data, where a pair is two objects of one line.\n"
    "       --row N: that row only, from 0 over all datasets; a pair is one row.\n"
    "stats  the token ledger (read = trained + masked + dropped), the rows' lengths, duplicates, bins and steps; with --json one\n"
    "       object\n"
    "check  every bad row of every file at once, FILE:LINE:COL and why, at most 100: what training would refuse, and rows of\n"
    "       another type than their file's first, with an empty or blank text to train on, and in chats empty turns, unknown roles,\n"
    "       tool results that nobody asked for, nobody to train; exit status 3 when there is any\n"
    "prepare the rows as token ids, kept in dataset_prepared_path (default: prepared in output_dir) so that the runs that\n"
    "       follow start at once; a run makes them itself where they are not there\n"
    "render conversations as the model's chat template writes them. F, or the standard input, has one object a line: messages,\n"
    "       tools if any, and further variables of the template, which win over the model's own. One object a line comes out:\n"
    "       {\"text\",\"ids\",\"trained\"}, or {\"error\"} where the template raises. --add-generation-prompt: with the beginning of\n"
    "       an answer behind. --template F: this template instead of the model's.\n";

Status data_put_tokens(Buf *b, const int32_t *ids, const uint8_t *trained, size_t n, Err *e) {
    TRY(buf_puts(b, ",\"ids\":[", e));
    for (size_t i = 0; i < n; i++) TRY(buf_printf(b, e, i == 0 ? "%d" : ",%d", (int)ids[i]));
    TRY(buf_puts(b, "],\"trained\":[", e));
    for (size_t i = 0; i < n; i++) TRY(buf_printf(b, e, i == 0 ? "%d" : ",%d", (int)trained[i]));
    return buf_putc(b, ']', e);
}

/* The subcommands that open a run's data; check has a way of its own. */
typedef enum DataCommand { SHOW, STATS, CHECK_ROWS, PREPARE, N_DATA_COMMANDS } DataCommand;

static Status run(Ctx *ctx, const Args *args, DataCommand command, Trainer *t, Err *e) {
    static const DataUse USES[] = {[SHOW] = DATA_ROWS, [STATS] = DATA_BATCHES, [PREPARE] = DATA_TRAIN};
    Config *config;
    Args file = *args;
    file.positional++; /* load_run_config reads the first */
    file.n_positional--;
    TRY(load_run_config(ctx, &file, false, &config, e));
    if (command == CHECK_ROWS) return data_check(ctx, config, t, e);
    TRY(trainer_open_data(ctx, config, USES[command], t, e));
    if (command == PREPARE) return OK;
    if (command == SHOW && t->tokenizer == NULL) { /* rows of ids: their text is shown where the base has a tokenizer */
        Err none;
        Status st = tokenizer_load(ctx->arena, config_string(config, "base_model"), &t->tokenizer, &none);
        if (st == ERR_OOM) *e = none;
        if (st == ERR_OOM) return st;
    }
    return command == SHOW ? data_show(t, args, e) : data_stats(t, args, e);
}

Status cmd_data(Ctx *ctx, int argc, char **argv, Err *e) {
    static const ArgSpec SPECS[] = {{"--json", NULL}, {"--ids", NULL}, {"--row", "N"}};
    Args args;
    Trainer t = TRAINER_CLOSED;
    if (argc > 1 && strcmp(argv[1], "render") == 0) return data_render(ctx, argc, argv, e);
    TRY(args_parse(ctx->arena, argc, argv, SPECS, 3, ARGS_OVERRIDES, 2, 2, &args, e));
    const char *what = args.positional[0];
    static const char *const NAMES[] = {
        [SHOW] = "show", [STATS] = "stats", [CHECK_ROWS] = "check", [PREPARE] = "prepare"};
    int command = 0;
    while (command < N_DATA_COMMANDS && strcmp(what, NAMES[command]) != 0) command++;
    if (command == N_DATA_COMMANDS)
        FAIL(e, ERR_USAGE, "data: got '%s', expected show, stats, check, prepare or render", what);
    bool color = ctx->log.color;
    if (command != PREPARE) log_open(&ctx->log, true);
    ctx->log.color = color;
    Status st = run(ctx, &args, (DataCommand)command, &t, e);
    trainer_close(&t);
    return st;
}
