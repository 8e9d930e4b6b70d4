/* cmd_data.c: lorac data: what a config's rows become. */
#include "train/data_commands.h"

#include "base/json.h"
#include "train/tokenizer_load.h"

#include <string.h>

const char cmd_data_help[] =
    "usage: lorac data show CONFIG.yaml [key=value ...] [--json] [--row N]\n"
    "       lorac data stats CONFIG.yaml [key=value ...] [--json]\n"
    "       lorac data check CONFIG.yaml [key=value ...]\n"
    "       lorac data prepare CONFIG.yaml [key=value ...]\n"
    "       lorac data render MODEL [--file F] [--add-generation-prompt] [--template F]\n"
    "\n"
    "show   every training row in file order: its text with the trained tokens marked (by colour on a terminal, by [brackets]\n"
    "       elsewhere); with --json one object a row: {\"dataset\",\"line\",\"text\",\"ids\",\"trained\"},\n"
    "       and \"element\" in a JSON array, \"side\" (chosen, rejected, desirable, undesirable) in preference data, where a pair is\n"
    "       two objects of one line. --row N: that row only, from 0 over all datasets.\n"
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

/* The row's text; "" when the rows are ids and the base has no tokenizer. */
static Status row_text(Trainer *t, const int32_t *ids, int64_t n, char **text, size_t *len, Err *e) {
    *text = "";
    *len = 0;
    if (t->tokenizer == NULL) return OK;
    return tokenizer_decode(t->tokenizer, t->save, ids, (size_t)n, false, text, len, e);
}

static Status show_json(Trainer *t, const Dataset *d, const DataRow *r, Err *e) {
    Buf b = {.arena = t->save};
    char *text;
    size_t len;
    const char *path = d->paths[r->source];
    TRY(buf_puts(&b, "{\"dataset\":", e));
    TRY(json_put_string(&b, path, strlen(path), e));
    TRY(buf_printf(&b, e, ",\"line\":%lld", (long long)r->line));
    if (dataset_element(d, r) > 0) TRY(buf_printf(&b, e, ",\"element\":%lld", (long long)dataset_element(d, r)));
    if (r->side != SIDE_NONE) TRY(buf_printf(&b, e, ",\"side\":\"%s\"", SIDE_NAMES[r->side]));
    TRY(buf_puts(&b, ",\"text\":", e));
    TRY(row_text(t, d->ids + r->start, r->length, &text, &len, e));
    TRY(json_put_string(&b, text, len, e));
    TRY(data_put_tokens(&b, d->ids + r->start, d->trained + r->start, (size_t)r->length, e));
    fprintf(t->ctx->log.out, "%s}\n", b.data);
    return OK;
}

/* Runs of trained and untrained tokens, decoded run by run. */
static Status show_text(Trainer *t, const Dataset *d, const DataRow *r, Err *e) {
    FILE *out = t->ctx->log.out;
    const char *on = t->ctx->log.color ? "\033[32m" : "[", *off = t->ctx->log.color ? "\033[0m" : "]";
    int64_t free_labels = dataset_free_labels(d, r);
    char place[1024];
    fprintf(out, "%s  %d tokens, %d trained", dataset_place(d, r, place, sizeof place), r->length, r->trained);
    if (free_labels > 0) fprintf(out, " (%lld towards a label that is another id)", (long long)free_labels);
    if (r->side != SIDE_NONE) fprintf(out, ", %s", SIDE_NAMES[r->side]);
    fputc('\n', out);
    for (int64_t i = 0; i < r->length;) {
        int64_t end = i;
        char *text;
        size_t len;
        while (end < r->length && d->trained[r->start + end] == d->trained[r->start + i]) end++;
        TRY(row_text(t, d->ids + r->start + i, end - i, &text, &len, e));
        bool trained = d->trained[r->start + i] != 0;
        fprintf(out, "%s%.*s%s", trained ? on : "", (int)len, text, trained ? off : "");
        i = end;
    }
    fputs("\n\n", out);
    return OK;
}

static Status show(Trainer *t, const Args *args, Err *e) {
    const Dataset *d = &t->train;
    int64_t only = -1;
    TRY(args_int(args, "--row", 0, INT64_MAX, &only, e));
    int64_t rows = d->n_rows > 0 ? (int64_t)d->rows[d->n_rows - 1].number + 1 : 0; /* a pair is one */
    if (only >= rows) FAIL(e, ERR_USAGE, "--row %lld: there are %lld rows, from 0", (long long)only, (long long)rows);
    for (int64_t i = 0; i < d->n_rows; i++) {
        ArenaMark mark = arena_mark(t->save);
        if (only >= 0 && d->rows[i].number != only) continue;
        if (args_has(args, "--json"))
            TRY(show_json(t, d, &d->rows[i], e));
        else
            TRY(show_text(t, d, &d->rows[i], e));
        arena_reset(t->save, mark);
    }
    return OK;
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
    return command == SHOW ? show(t, args, e) : data_stats(t, args, e);
}

Status cmd_data(Ctx *ctx, int argc, char **argv, Err *e) {
    static const ArgSpec SPECS[] = {{"--json", NULL}, {"--row", "N"}};
    Args args;
    Trainer t = TRAINER_CLOSED;
    if (argc > 1 && strcmp(argv[1], "render") == 0) return data_render(ctx, argc, argv, e);
    TRY(args_parse(ctx->arena, argc, argv, SPECS, 2, ARGS_OVERRIDES, 2, 2, &args, e));
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
