/* cmd_tokenize.c: lorac tokenize: text to ids and back with the model's own tokenizer. */
#include "train/cmd.h"
#include "train/tokenize_stream.h"
#include "train/tokenizer_load.h"

#include <errno.h>
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
    "are no UTF-8 decode to U+FFFD, ids of no token to nothing. Each line is answered before the next is read.\n";

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
    const char *file = args_get(&args, "--file");
    FILE *in = file != NULL ? fopen(file, "rb") : stdin;
    Status st = OK;
    if (in == NULL)
        st = err_set(e, ERR_IO, __FILE__, __LINE__, "%s: cannot be opened: %s", file, strerror(errno));
    else
        st = tokenize_stream(t, file != NULL ? file : "stdin", in, ctx->log.out, flags, decode, e);
    if (file != NULL && in != NULL) fclose(in);
    tokenizer_close(t);
    return st;
}
