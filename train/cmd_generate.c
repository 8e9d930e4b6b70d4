/* cmd_generate.c: lorac generate: continue a prompt, or the prompts of a file. */
#include "train/generate.h"
#include "train/data_context.h"

#include "base/signals.h"
#include "data/files.h"
#include "data/jsonl.h"

#include <errno.h>
#include <string.h>

const char cmd_generate_help[] =
    "usage: lorac generate --base M [--adapter DIR] --prompt TEXT [options]\n"
    "       lorac generate --base M [--adapter DIR] --data F [--field-prompt C | --field-messages C] [options]\n"
    "\n"
    "Continues a prompt with a base or merged model, or base + adapter. Without --prompt and --data the prompt is read from\n"
    "standard input. Special tokens written in the prompt are parsed; BOS is added iff the model wants one.\n"
    "\n"
    "  --base M            GGUF file or model folder\n"
    "  --adapter DIR       PEFT adapter folder\n"
    "  --prompt TEXT       the prompt; \\n stays as it is: use your shell's quoting for line breaks\n"
    "  --data F            data file, folder or pattern: one answer a row, as JSON lines {\"row\",\"prompt\",\"text\",\"tokens\",\"stop\"}.\n"
    "                      A row has a prompt, a text that is taken as it is, or messages (and tools), which the model's chat\n"
    "                      template writes; answers at their end are left out, and given anew\n"
    "  --field-prompt C    column of the prompt (default: prompt)\n"
    "  --field-messages C  column of the messages (default: messages, in rows without a prompt)\n"
    "  --chat-template F   file with the template, instead of the model's own\n"
    "  --template-date D   the day that the template sees as today, YYYY-MM-DD (default: today)\n"
    "  --max-tokens N      at most N tokens (default 128)\n"
    "  --temperature X     0: greedy (default 0)\n"
    "  --top-k N           only the N most likely tokens (0: all)\n"
    "  --top-p X           the smallest set of tokens with this probability (1: all)\n"
    "  --min-p X           only tokens with at least X times the probability of the likeliest (0: all)\n"
    "  --seed N            of the draws (default 0): equal inputs give equal answers\n"
    "  --stop TEXT         ends the answer before this text; may be given several times\n"
    "  --json              one JSON object instead of text\n"
    "  --compute-dtype D   auto (bf16), bf16 or fp32\n"
    "  --threads N         threads (default: all processors)\n";

static const ArgSpec SPECS[] = {{"--base", "M"},          {"--adapter", "DIR"},     {"--prompt", "TEXT"},
                                {"--data", "F"},          {"--field-prompt", "C"},  {"--field-messages", "C"},
                                {"--chat-template", "F"}, {"--template-date", "D"}, {"--max-tokens", "N"},
                                {"--temperature", "X"},   {"--top-k", "N"},         {"--top-p", "X"},
                                {"--min-p", "X"},         {"--seed", "N"},          {"--stop", "TEXT"},
                                {"--json", NULL},         {"--compute-dtype", "D"}, {"--threads", "N"}};
enum { N_SPECS = sizeof SPECS / sizeof SPECS[0], PROMPT_MAX_BYTES = 1 << 26, LINE_MAX_BYTES = 1 << 26 };

typedef struct GenerateJob {
    Ctx *ctx;
    const Args *args;
    Session session;
    Adapter *adapter;
    Decoder decoder;
    DataContext data; /* tokenizer and chat template */
    GenerateOptions options;
} GenerateJob;

static Status print_bytes(void *ctx, const char *bytes, size_t n, Err *e) {
    FILE *out = ctx;
    if (fwrite(bytes, 1, n, out) != n || fflush(out) != 0) FAIL(e, ERR_IO, "standard output cannot be written");
    return OK;
}

static Status read_options(GenerateJob *job, Err *e) {
    const Args *args = job->args;
    GenerateOptions *o = &job->options;
    int64_t seed = 0;
    *o = (GenerateOptions){.max_tokens = 128, .sampling = {.top_p = 1.0}};
    TRY(args_int(args, "--max-tokens", 1, 1 << 24, &o->max_tokens, e));
    TRY(args_real(args, "--temperature", 0.0, 100.0, &o->sampling.temperature, e));
    TRY(args_int(args, "--top-k", 0, 1 << 24, &o->sampling.top_k, e));
    TRY(args_real(args, "--top-p", 0.0, 1.0, &o->sampling.top_p, e));
    TRY(args_real(args, "--min-p", 0.0, 1.0, &o->sampling.min_p, e));
    TRY(args_int(args, "--seed", 0, INT64_MAX, &seed, e));
    o->sampling.seed = (uint64_t)seed;
    return args_all(job->ctx->arena, args, "--stop", &o->stops, &o->n_stops, e);
}

static Status open_context(GenerateJob *job, const char *base, Err *e) {
    char day[16];
    const char *given = args_get(job->args, "--template-date");
    today(day);
    return data_context_open(job->ctx->arena, base, args_get(job->args, "--chat-template"), given != NULL ? given : day,
                             &job->data, e);
}

static Status open_all(GenerateJob *job, Err *e) {
    const Args *args = job->args;
    const char *base = args_get(args, "--base"), *adapter = args_get(args, "--adapter");
    const char *dtype = args_get(args, "--compute-dtype");
    SessionOptions so = {.base = base, .compute_dtype = dtype == NULL ? "auto" : dtype};
    if (base == NULL) FAIL(e, ERR_USAGE, "generate: --base is needed (see lorac generate --help)");
    TRY(args_int(args, "--threads", 1, 4096, &so.threads, e));
    TRY(session_open(job->ctx, &so, &job->session, e));
    TRY(open_context(job, base, e));
    /* room for the answer and a long prompt; the whole context only where it is small */
    int64_t context = job->session.base->config.max_positions, capacity = job->options.max_tokens + 4096;
    if (capacity > context) capacity = context;
    TRY(session_model(&job->session, capacity, e));
    if (adapter != NULL) {
        AdapterOptions ao = {0};
        TRY(adapter_load(job->session.state, job->session.model, adapter, &ao, &job->adapter, e));
    }
    return decoder_open(&job->session, job->adapter, capacity, &job->decoder, e);
}

static Status print_json(GenerateJob *job, int64_t row, const char *prompt, size_t len, const Generated *g, Err *e) {
    Buf b = {.arena = job->ctx->arena};
    TRY(buf_puts(&b, "{", e));
    if (row >= 0) TRY(buf_printf(&b, e, "\"row\":%lld,", (long long)row));
    TRY(buf_puts(&b, "\"prompt\":", e));
    TRY(json_put_string(&b, prompt, len, e));
    TRY(buf_puts(&b, ",\"text\":", e));
    TRY(json_put_string(&b, g->text.data, g->text.len, e));
    TRY(buf_printf(&b, e, ",\"tokens\":%lld,\"stop\":\"%s\"}\n", (long long)g->tokens, stop_reason_name(g->reason)));
    return print_bytes(job->ctx->log.out, b.data, b.len, e);
}

static Status one_prompt(GenerateJob *job, const char *prompt, size_t len, Err *e) {
    Generated g;
    FILE *out = job->ctx->log.out;
    bool json = args_has(job->args, "--json");
    TRY(generate(&job->decoder, job->data.tokenizer, job->ctx->arena, prompt, len, &job->options,
                 json ? NULL : print_bytes, out, &g, e));
    if (json) return print_json(job, -1, prompt, len, &g, e);
    fputc('\n', out);
    if (job->ctx->log.bar)
        log_note(&job->ctx->log, "(%lld tokens of prompt in %.2f s, %lld of answer at %.1f tokens/s, %s)",
                 (long long)g.prompt_tokens, g.prompt_s, (long long)g.tokens,
                 g.answer_s > 0.0 ? (double)g.tokens / g.answer_s : 0.0, stop_reason_name(g.reason));
    return OK;
}

/* The conversation as the template writes it up to the answer that is asked for. */
static Status write_prompt(GenerateJob *job, const Json *row, const Json *messages, JsonString *out, Err *e) {
    Json asked = *messages;
    const Json *tools = json_get(row, "tools");
    ChatText text;
    if (job->data.chat == NULL) FAIL(e, ERR_DATA, "messages need a chat template: %s", job->data.no_chat);
    while (asked.type == JSON_ARRAY && asked.n > 0 &&
           json_is_string(json_get(&asked.list.items[asked.n - 1], "role"), "assistant"))
        asked.n--;
    ChatRow chat = {.messages = &asked,
                    .tools = tools != NULL && tools->type != JSON_NULL ? tools : NULL,
                    .generation_prompt = true};
    Status st = chat_render_text(job->data.chat, job->ctx->arena, &chat, &text, e);
    if (st != OK) return text.raised.s != NULL ? err_prefix(e, st, "the chat template raised an error") : st;
    *out = (JsonString){text.text, text.len};
    return OK;
}

static Status find_prompt(GenerateJob *job, const char *what, const Json *row, JsonString *out, Err *e) {
    const char *column = args_get(job->args, "--field-prompt"), *messages = args_get(job->args, "--field-messages");
    const char *name = column != NULL ? column : "prompt";
    const Json *list = messages != NULL ? json_get(row, messages) : json_get(row, name);
    if (list == NULL && column == NULL) list = json_get(row, messages != NULL ? messages : "messages");
    if (messages != NULL && list == NULL) FAIL(e, ERR_DATA, "%s: field '%s' is missing", what, messages);
    if (list == NULL || (messages == NULL && list->type == JSON_STRING))
        return json_want_string(row, what, name, out, e);
    Status st = write_prompt(job, row, list, out, e);
    return st == OK || st == ERR_OOM ? st : err_prefix(e, st, "%s", what);
}

static Status one_row(GenerateJob *job, const char *what, int64_t row, const Json *j, Err *e) {
    JsonString prompt;
    Generated g;
    TRY(find_prompt(job, what, j, &prompt, e));
    Status st = generate(&job->decoder, job->data.tokenizer, job->ctx->arena, prompt.s, prompt.len, &job->options, NULL,
                         NULL, &g, e);
    if (st != OK && st != ERR_STOPPED) return err_prefix(e, st, "%s", what);
    TRY(st);
    return print_json(job, row, prompt.s, prompt.len, &g, e);
}

static Status rows_of_file(GenerateJob *job, Jsonl *rows, int64_t *row, Err *e) {
    Arena *a = job->ctx->arena;
    for (;;) {
        Json *j;
        char place[JSONL_PLACE_BYTES], *what;
        ArenaMark mark = arena_mark(a);
        TRY(jsonl_parse(rows, a, &j, e));
        if (j == NULL) return OK;
        TRY(arena_printf(a, &what, e, "%s%s", rows->bytes.map.path, jsonl_place(rows, place)));
        TRY(one_row(job, what, (*row)++, j, e));
        arena_reset(a, mark);
    }
}

/* Every row of every file that --data names. */
static Status all_rows(GenerateJob *job, Err *e) {
    DataFiles files;
    int64_t row = 0;
    TRY(data_files(job->ctx->arena, args_get(job->args, "--data"), &files, e));
    for (size_t i = 0; i < files.n; i++) {
        Jsonl rows;
        TRY(jsonl_open(files.paths[i], &rows, e));
        Status st = rows_of_file(job, &rows, &row, e);
        jsonl_close(&rows);
        TRY(st);
    }
    return OK;
}

static Status prompt_from_stdin(GenerateJob *job, Err *e) {
    Buf b = {.arena = job->ctx->arena};
    char chunk[4096];
    size_t n;
    do {
        n = fread(chunk, 1, sizeof chunk, stdin);
        if (stop_requested()) FAIL(e, ERR_STOPPED, "stopped before a prompt was read");
        if (ferror(stdin)) FAIL(e, ERR_IO, "standard input: cannot be read: %s", strerror(errno));
        if (b.len + n > PROMPT_MAX_BYTES) FAIL(e, ERR_DATA, "standard input: a prompt of more than 64 MB");
        TRY(buf_add(&b, chunk, n, e));
    } while (n > 0);
    if (b.len > 0 && b.data[b.len - 1] == '\n') b.len--;
    if (b.len == 0) FAIL(e, ERR_USAGE, "generate: no prompt; give --prompt TEXT, --data F, or text on standard input");
    return one_prompt(job, b.data, b.len, e);
}

Status cmd_generate(Ctx *ctx, int argc, char **argv, Err *e) {
    Args args;
    TRY(args_parse(ctx->arena, argc, argv, SPECS, N_SPECS, ARGS_REPEAT, 0, 0, &args, e));
    GenerateJob job = {.ctx = ctx, .args = &args};
    const char *prompt = args_get(&args, "--prompt"), *data = args_get(&args, "--data");
    if (prompt != NULL && data != NULL) FAIL(e, ERR_USAGE, "generate: --prompt and --data exclude each other");
    Status st = read_options(&job, e);
    if (st == OK) st = open_all(&job, e);
    if (st == OK && data != NULL) st = all_rows(&job, e);
    if (st == OK && prompt != NULL) st = one_prompt(&job, prompt, strlen(prompt), e);
    if (st == OK && prompt == NULL && data == NULL) st = prompt_from_stdin(&job, e);
    decoder_close(&job.decoder);
    tokenizer_close(job.data.tokenizer);
    session_close(&job.session);
    return st;
}
