/* cmd_eval.c: lorac eval: held-out loss and perplexity of a base, an adapter, or both side by side. */
#include "train/evaluate.h"
#include "train/data_context.h"
#include "train/trainer.h"

#include "base/file.h"
#include "base/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char cmd_eval_help[] =
    "usage: lorac eval --base M [--adapter DIR] --data F [--type T] [options]\n"
    "       lorac eval CONFIG.yaml [key=value ...] [options]\n"
    "\n"
    "Held-out loss (nats per trained token), perplexity, tokens and rows. The second form takes base, held-out data\n"
    "(test_datasets, or the split of val_set_size) and, where there is one, the adapter in output_dir from a config.\n"
    "\n"
    "  --base M            GGUF file or model folder\n"
    "  --adapter DIR       PEFT adapter folder\n"
    "  --data F            data file (JSONL or a JSON array, plain, gzip or zstd), a folder of them, or a pattern\n"
    "  --type T            row type: prompt_completion, text, tokens, chat, sharegpt, alpaca or input_output (default: seen from\n"
    "                      the fields)\n"
    "  --field-prompt C, --field-completion C, --field-text C, --field-input-ids C, --field-labels C, --field-messages C,\n"
    "  --field-conversations C, --field-tools C, --field-system C, --field-instruction C, --field-input C, --field-output C,\n"
    "  --field-history C, --field-segments C   column names\n"
    "  --chat-template F   Jinja template of chats, instead of the model's own\n"
    "  --template-date D   the day that templates see as today, YYYY-MM-DD (default: today)\n"
    "  --compare           base and adapter side by side\n"
    "  --json              one JSON object instead of a table\n"
    "  --per-token OUT     writes {\"row\",\"ids\",\"logprobs\"} per row to OUT (JSONL)\n"
    "  --trained-only      with --per-token: null where a token is not trained\n"
    "  --compute-dtype D   fp32 (default: what is measured is exact), bf16, auto; with a config its compute_dtype\n"
    "  --threads N         threads (default: all processors)\n";

static const ArgSpec SPECS[] = {{"--base", "M"},
                                {"--adapter", "DIR"},
                                {"--data", "F"},
                                {"--type", "T"},
                                {"--field-prompt", "COLUMN"},
                                {"--field-completion", "COLUMN"},
                                {"--field-text", "COLUMN"},
                                {"--field-input-ids", "COLUMN"},
                                {"--field-labels", "COLUMN"},
                                {"--field-messages", "COLUMN"},
                                {"--field-conversations", "COLUMN"},
                                {"--field-tools", "COLUMN"},
                                {"--field-system", "COLUMN"},
                                {"--field-instruction", "COLUMN"},
                                {"--field-input", "COLUMN"},
                                {"--field-output", "COLUMN"},
                                {"--field-history", "COLUMN"},
                                {"--field-segments", "COLUMN"},
                                {"--chat-template", "F"},
                                {"--template-date", "YYYY-MM-DD"},
                                {"--compare", NULL},
                                {"--json", NULL},
                                {"--per-token", "OUT"},
                                {"--trained-only", NULL},
                                {"--compute-dtype", "D"},
                                {"--threads", "N"}};
enum { N_SPECS = sizeof SPECS / sizeof SPECS[0], NAME_BYTES = 64 };

typedef struct EvalJob {
    Ctx *ctx;
    const Args *args;
    Session session;
    Tokenizer *tokenizer;
    Adapter *adapter; /* NULL: base */
    Evaluator evaluator;
    EvalSet *sets;
    int64_t n_sets;
    const char *base, *adapter_dir, *dtype;
    int64_t threads;
    AtomicFile *per_token;
    Buf line;
    bool trained_only;
} EvalJob;

/* {"row","ids","logprobs"} */
static Status write_row(void *ctx, const DataRow *row, const int32_t *ids, const float *logprobs, int64_t n, Err *e) {
    EvalJob *job = ctx;
    Buf *b = &job->line;
    buf_clear(b);
    TRY(buf_printf(b, e, "{\"row\":%lld,\"ids\":[", (long long)row->number));
    for (int64_t i = 0; i < n; i++) TRY(buf_printf(b, e, "%s%d", i == 0 ? "" : ",", (int)ids[i]));
    TRY(buf_puts(b, "],\"logprobs\":[", e));
    for (int64_t i = 0; i < n; i++) {
        if (i > 0) TRY(buf_putc(b, ',', e));
        TRY(json_put_real(b, (double)logprobs[i], e)); /* NAN becomes null */
    }
    TRY(buf_puts(b, "]}\n", e));
    return atomic_write(job->per_token, b->data, b->len, e);
}

static TargetSet wanted_targets(const EvalJob *job) {
    if (job->per_token == NULL) return TARGETS_TRAINED;
    return job->trained_only ? TARGETS_TRAINED_AND_IDS : TARGETS_ALL;
}

/* Which files a folder or a pattern gave. */
static Status tell_files(EvalJob *job, const Dataset *d, Err *e) {
    Buf b = {.arena = job->ctx->arena};
    data_tell_types(&job->ctx->log, d);
    if (d->n_sources == 1 && d->left_out[0] == NULL) return OK;
    TRY(dataset_print_ledger(d, &b, e));
    b.data[b.len - 1] = 0;
    log_note(&job->ctx->log, "%s", b.data);
    return OK;
}

static Status load_set(EvalJob *job, const DataSource *source, const char *name, Err *e) {
    Dataset d;
    bool tokens = source->type != NULL && strcmp(source->type, "tokens") == 0;
    DataContext dc = {
        .vocab = job->session.base->config.vocab_size, .no_chat = "the base has none", .pool = job->session.pool};
    if (!tokens) {
        char day[16];
        const char *given = args_get(job->args, "--template-date");
        today(day);
        Status st = data_context_open(job->ctx->arena, job->base, args_get(job->args, "--chat-template"),
                                      given != NULL ? given : day, &dc, e);
        job->tokenizer = dc.tokenizer;
        TRY(st);
    }
    TRY(dataset_load(job->ctx->arena, source, 1, &dc, &d, e));
    TRY(tell_files(job, &d, e));
    TRY(dataset_refuse_sides(&d, e));
    return eval_set_open(job->ctx->arena, name, &d, job->session.base->config.max_positions, wanted_targets(job),
                         &job->sets[job->n_sets++], e);
}

/* The file named by --data. */
static Status open_data(EvalJob *job, Err *e) {
    static const char *const OPTIONS[FIELD_COUNT] = {[FIELD_PROMPT] = "--field-prompt",
                                                     [FIELD_COMPLETION] = "--field-completion",
                                                     [FIELD_TEXT] = "--field-text",
                                                     [FIELD_INPUT_IDS] = "--field-input-ids",
                                                     [FIELD_LABELS] = "--field-labels",
                                                     [FIELD_MESSAGES] = "--field-messages",
                                                     [FIELD_CONVERSATIONS] = "--field-conversations",
                                                     [FIELD_TOOLS] = "--field-tools",
                                                     [FIELD_SYSTEM] = "--field-system",
                                                     [FIELD_INSTRUCTION] = "--field-instruction",
                                                     [FIELD_INPUT] = "--field-input",
                                                     [FIELD_OUTPUT] = "--field-output",
                                                     [FIELD_HISTORY] = "--field-history",
                                                     [FIELD_SEGMENTS] = "--field-segments"};
    DataSource s = {.path = args_get(job->args, "--data"), .type = args_get(job->args, "--type")};
    for (int f = 0; f < FIELD_COUNT; f++) {
        if (OPTIONS[f] != NULL) s.fields[f] = args_get(job->args, OPTIONS[f]);
    }
    TRY(arena_alloc(job->ctx->arena, 1, sizeof *job->sets, &job->sets, e));
    return load_set(job, &s, s.path, e);
}

static Status open_model(EvalJob *job, Err *e) {
    int64_t longest = 2;
    for (int64_t i = 0; i < job->n_sets; i++) {
        int64_t n = batches_limits(job->sets[i].batches).longest;
        if (n > longest) longest = n;
    }
    TRY(session_model(&job->session, longest, e));
    const SlotMap *slots = NULL;
    if (job->adapter_dir != NULL) {
        AdapterOptions o = {0};
        TRY(adapter_load(job->session.state, job->session.model, job->adapter_dir, &o, &job->adapter, e));
        slots = &job->adapter->map;
    }
    TRY(evaluator_open(&job->session, slots, job->sets, job->n_sets, &job->evaluator, e));
    Runner *r = &job->evaluator.runner;
    return runner_memory(&r, 1, e);
}

static double mean(const EvalResult *r) { return r->tokens > 0 ? r->nll / (double)r->tokens : NAN; }

static Status put_json(Buf *b, const char *key, const EvalResult *r, Err *e) {
    if (key != NULL) TRY(buf_printf(b, e, "\"%s\":", key));
    TRY(buf_puts(b, "{\"loss\":", e));
    TRY(json_put_real(b, mean(r), e));
    TRY(buf_puts(b, ",\"perplexity\":", e));
    TRY(json_put_real(b, exp(mean(r)), e));
    return buf_printf(b, e, ",\"tokens\":%lld,\"rows\":%lld}", (long long)r->tokens, (long long)r->rows);
}

static void put_table_row(FILE *out, const char *name, const EvalResult *r) {
    fprintf(out, "%-14s loss %.4f  perplexity %.3f  (%lld tokens, %lld rows)\n", name, mean(r), exp(mean(r)),
            (long long)r->tokens, (long long)r->rows);
}

/* Evaluates a set; with --compare the base first. */
static Status eval_one(EvalJob *job, EvalSet *set, Err *e) {
    EvalResult base, with;
    FILE *out = job->ctx->log.out;
    bool compare = args_has(job->args, "--compare"), json = args_has(job->args, "--json");
    const AdapterSet *adapters = job->adapter == NULL ? NULL : &job->adapter->set;
    if (compare) TRY(evaluate(&job->evaluator, set, NULL, NULL, NULL, &base, e));
    TRY(evaluate(&job->evaluator, set, adapters, job->per_token == NULL ? NULL : write_row, job, &with, e));
    if (!json) {
        if (job->n_sets > 1) fprintf(out, "%s\n", set->name);
        if (compare) put_table_row(out, "base", &base);
        put_table_row(out, job->adapter == NULL ? "base" : "base + adapter", &with);
        if (compare) fprintf(out, "%-14s %+.4f nats per token\n", "difference", mean(&with) - mean(&base));
        return OK;
    }
    Buf b = {.arena = job->ctx->arena};
    if (compare) {
        TRY(buf_putc(&b, '{', e));
        TRY(put_json(&b, "base", &base, e));
        TRY(buf_putc(&b, ',', e));
        TRY(put_json(&b, "adapter", &with, e));
        TRY(buf_putc(&b, '}', e));
    } else {
        TRY(put_json(&b, NULL, &with, e));
    }
    fprintf(out, "%s\n", b.data);
    return OK;
}

static Status run_sets(EvalJob *job, Err *e) {
    TRY(open_model(job, e));
    for (int64_t i = 0; i < job->n_sets; i++) TRY(eval_one(job, &job->sets[i], e));
    if (job->per_token == NULL) return OK;
    Status st = atomic_commit(job->per_token, e);
    job->per_token = NULL;
    return st;
}

static Status open_per_token(EvalJob *job, Err *e) {
    const char *path = args_get(job->args, "--per-token");
    job->trained_only = args_has(job->args, "--trained-only");
    if (job->trained_only && path == NULL) FAIL(e, ERR_USAGE, "--trained-only belongs to --per-token OUT");
    if (path == NULL) return OK;
    return atomic_open(job->ctx->arena, path, &job->per_token, e);
}

/* "compute_dtype=fp32" and "threads=2" mean the same without a config; other keys belong to one. */
static Status take_overrides(EvalJob *job, Err *e) {
    static const char DTYPE[] = "compute_dtype=", THREADS[] = "threads=";
    for (int i = 0; i < job->args->n_overrides; i++) {
        const char *o = job->args->overrides[i];
        if (strncmp(o, DTYPE, sizeof DTYPE - 1) == 0)
            job->dtype = o + sizeof DTYPE - 1;
        else if (strncmp(o, THREADS, sizeof THREADS - 1) == 0)
            job->threads = strtoll(o + sizeof THREADS - 1, NULL, 10);
        else
            FAIL(e, ERR_USAGE, "eval: '%s' needs a config (see lorac eval --help)", o);
    }
    if (job->threads < 0 || job->threads > 4096) FAIL(e, ERR_USAGE, "threads: expected 0 (all) to 4096");
    return OK;
}

static Status eval_files(EvalJob *job, Err *e) {
    const Args *args = job->args;
    TRY(take_overrides(job, e));
    job->base = args_get(args, "--base");
    job->adapter_dir = args_get(args, "--adapter");
    if (job->base == NULL || args_get(args, "--data") == NULL)
        FAIL(e, ERR_USAGE, "eval: a config, or --base and --data, are needed (see lorac eval --help)");
    if (args_has(args, "--compare") && job->adapter_dir == NULL)
        FAIL(e, ERR_USAGE, "--compare needs --adapter: base and adapter are compared");
    SessionOptions so = {.base = job->base, .compute_dtype = job->dtype, .threads = job->threads};
    TRY(session_open(job->ctx, &so, &job->session, e));
    TRY(open_per_token(job, e));
    TRY(open_data(job, e));
    return run_sets(job, e);
}

/* Held-out data as a run of the config has it, and its adapter when the output folder holds one. */
static Status eval_config(EvalJob *job, Err *e) {
    Config *config;
    Trainer t = {.ctx = job->ctx, .host = job->ctx->arena};
    char *file;
    TRY(load_run_config(job->ctx, job->args, false, &config, e));
    job->base = config_string(config, "base_model");
    if (!args_has(job->args, "--compute-dtype")) job->dtype = config_string(config, "compute_dtype");
    if (!args_has(job->args, "--threads")) job->threads = config_int(config, "threads");
    job->adapter_dir = args_get(job->args, "--adapter");
    if (job->adapter_dir == NULL) {
        TRY(path_join(job->ctx->arena, config_string(config, "output_dir"), "adapter_model.safetensors", &file, e));
        if (path_exists(file)) job->adapter_dir = config_string(config, "output_dir");
    }
    if (args_has(job->args, "--compare") && job->adapter_dir == NULL)
        FAIL(e, ERR_USAGE, "--compare: %s holds no adapter yet; train first, or name one with --adapter",
             config_string(config, "output_dir"));
    SessionOptions so = {.base = job->base, .compute_dtype = job->dtype, .threads = job->threads};
    TRY(session_open(job->ctx, &so, &job->session, e));
    TRY(open_per_token(job, e));
    char day[16] = "";
    if (*config_string(config, "template_date") == 0)
        TRY(recorded_day(job->ctx->arena, config_string(config, "output_dir"), day, e));
    if (*day != 0) TRY(config_resolve_string(config, "template_date", day, e));
    t.config = config;
    t.session = job->session;
    t.eval_targets = wanted_targets(job);
    Status st = trainer_data(&t, DATA_BATCHES, e);
    job->tokenizer = t.tokenizer;
    TRY(st);
    if (t.n_sets == 0)
        FAIL(e, ERR_CONFIG,
             "%s: the config names no held-out data (test_datasets, val_set_size); use --base and --data",
             job->args->positional[0]);
    if (job->per_token != NULL && t.n_sets > 1)
        FAIL(e, ERR_USAGE, "--per-token: the config has %lld held-out sets; evaluate one with --base and --data",
             (long long)t.n_sets);
    job->sets = t.sets;
    job->n_sets = t.n_sets;
    return run_sets(job, e);
}

Status cmd_eval(Ctx *ctx, int argc, char **argv, Err *e) {
    Args args;
    TRY(args_parse(ctx->arena, argc, argv, SPECS, N_SPECS, ARGS_OVERRIDES, 0, 1, &args, e));
    EvalJob job = {.ctx = ctx, .args = &args, .dtype = "fp32", .line = {.arena = ctx->arena}};
    if (args_has(&args, "--compute-dtype")) job.dtype = args_get(&args, "--compute-dtype");
    log_open(&ctx->log, true);
    TRY(args_int(&args, "--threads", 1, 4096, &job.threads, e));
    Status st = args.n_positional == 1 ? eval_config(&job, e) : eval_files(&job, e);
    atomic_abort(job.per_token);
    evaluator_close(&job.evaluator);
    tokenizer_close(job.tokenizer);
    session_close(&job.session);
    return st;
}
