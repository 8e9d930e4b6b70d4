/* cmd_tokenize.c: lorac tokenize: text to ids and back with the model's own tokenizer. */
#include "train/cmd.h"
#include "train/json_blocks.h"
#include "train/tokenizer_load.h"

#include <string.h>

const char cmd_tokenize_help[] =
    "usage: lorac tokenize MODEL [--file F] [--no-special] [--bos] [--eos] [--decode]\n"
    "\n"
    "MODEL is a GGUF file, a model folder or a tokenizer.json. Reads JSONL, one JSON string per line, and writes one JSON\n"
    "array of ids per line.\n"
    "\n"
    "  --file F      read F instead of the standard input\n"
    "  --no-special  special tokens written in the text are plain text (in a GGUF: control tokens)\n"
    "  --bos         the model's BOS token comes first\n"
    "  --eos         the model's EOS token comes last\n"
    "  --decode      the other way: one array of ids per line in, one string per line out\n"
    "\n"
    "Text must be UTF-8; a bad line is an error FILE:LINE, and the lines before it are already written. Ids whose bytes\n"
    "are no UTF-8 decode to U+FFFD, ids of no token to nothing. Each line of the standard input is answered before the\n"
    "next is read; the lines of a file of 1 MiB and more are answered by all processors, in their order.\n";

/* Of one thread. */
typedef struct Job {
    const Tokenizer *t;
    TokenizerCache *cache;
    unsigned flags;
} Job;

static Status put_id(Buf *out, int32_t id, Err *e) {
    char digits[12];
    size_t at = sizeof digits;
    do digits[--at] = (char)('0' + id % 10);
    while ((id /= 10) > 0);
    return buf_add(out, digits + at, sizeof digits - at, e);
}

static Status encode_line(void *ctx, Arena *a, const Json *v, Buf *out, Err *e) {
    const Job *job = ctx;
    int32_t *ids = NULL;
    size_t n = 0;
    if (v->type != JSON_STRING)
        FAIL(e, ERR_DATA, "a JSON string is expected on each line, this is %s", json_type_name(v->type));
    TRY(tokenizer_cache_encode(job->cache, a, v->string.s, v->string.len, job->flags, &ids, &n, e));
    TRY(buf_putc(out, '[', e));
    for (size_t i = 0; i < n; i++) {
        if (i > 0) TRY(buf_add(out, ", ", 2, e));
        TRY(put_id(out, ids[i], e));
    }
    return buf_puts(out, "]\n", e);
}

static Status decode_line(void *ctx, Arena *a, const Json *v, Buf *out, Err *e) {
    const Job *job = ctx;
    int32_t *ids = NULL;
    char *text = NULL;
    size_t len = 0;
    if (v->type != JSON_ARRAY)
        FAIL(e, ERR_DATA, "a JSON array of ids is expected on each line, this is %s", json_type_name(v->type));
    TRY(ARENA_NEW(a, v->n, ids, e));
    for (uint32_t i = 0; i < v->n; i++) {
        const Json *id = &v->list.items[i];
        if (id->type != JSON_INT || id->integer < 0 || id->integer > INT32_MAX)
            FAIL(e, ERR_DATA, "element %u of the array is no token id", i);
        ids[i] = (int32_t)id->integer;
    }
    TRY(tokenizer_decode(job->t, a, ids, v->n, false, &text, &len, e));
    TRY(json_put_string(out, text, len, e));
    return buf_putc(out, '\n', e);
}

/* The answers of a file or, NULL, of the standard input. */
static Status run(const char *file, FILE *out, JsonStreamAnswer answer, const Tokenizer *t, unsigned flags, Err *e) {
    Arena *a = NULL;
    Pool *pool = NULL;
    Job *jobs = NULL;
    void **contexts = NULL;
    int n = 0;
    bool blocks = file != NULL && json_blocks_pay(file);
    TRY(pool_open(&pool, blocks ? 0 : 1, e));
    Status st = arena_open(&a, "jobs", e);
    if (st != OK) goto close_pool;
    TRY_OUT(st, ARENA_NEW(a, pool_threads(pool), jobs, e));
    TRY_OUT(st, ARENA_NEW(a, pool_threads(pool), contexts, e));
    for (; n < pool_threads(pool); n++) {
        jobs[n] = (Job){.t = t, .flags = flags};
        contexts[n] = &jobs[n];
        TRY_OUT(st, tokenizer_cache_open(&jobs[n].cache, t, e));
    }
    st = blocks ? json_blocks(file, out, answer, contexts, pool, e) : json_stream(file, out, answer, jobs, e);
out:
    while (n > 0) tokenizer_cache_close(jobs[--n].cache);
    arena_close(a);
close_pool:
    pool_close(pool);
    return st;
}

Status cmd_tokenize(Ctx *ctx, int argc, char **argv, Err *e) {
    static const ArgSpec SPECS[] = {
        {"--file", "F"}, {"--no-special", NULL}, {"--bos", NULL}, {"--eos", NULL}, {"--decode", NULL}};
    Args args;
    Tokenizer *t = NULL;
    TRY(args_parse(ctx->arena, argc, argv, SPECS, 5, 0, 1, 1, &args, e));
    bool decode = args_has(&args, "--decode");
    unsigned flags = (args_has(&args, "--no-special") ? 0u : TOKENIZER_SPECIAL) |
                     (args_has(&args, "--bos") ? TOKENIZER_BOS_ALWAYS : 0u) |
                     (args_has(&args, "--eos") ? TOKENIZER_EOS : 0u);
    if (decode && flags != TOKENIZER_SPECIAL)
        FAIL(e, ERR_USAGE, "--decode reads ids; --no-special, --bos and --eos concern text");
    TRY(tokenizer_load(ctx->arena, args.positional[0], &t, e));
    Status st = run(args_get(&args, "--file"), ctx->log.out, decode ? decode_line : encode_line, t, flags, e);
    tokenizer_close(t);
    return st;
}
