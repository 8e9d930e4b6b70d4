/* data_render.c: lorac data render: conversations as the model's chat template writes them. */
#include "train/data_commands.h"
#include "train/json_stream.h"
#include "train/tokenizer_load.h"

#include "base/file.h"
#include "data/chat.h"

#include <string.h>
#include <time.h>

enum { TEMPLATE_MAX = 1 << 22 };

/* Now, as a template's strftime_now shows it: local time, in seconds as if it were UTC. */
static int64_t local_now(void) {
    time_t now = time(NULL);
    struct tm local;
    if (localtime_r(&now, &local) == NULL) return (int64_t)now;
    return (int64_t)timegm(&local);
}

typedef struct Job {
    const Chat *chat;
    bool generation_prompt;
} Job;

static bool is_own(JsonString key) { return strcmp(key.s, "messages") == 0 || strcmp(key.s, "tools") == 0; }

/* The members that are neither messages nor tools: variables of the template. */
static Status extra_of(Arena *a, const Json *line, Json *out, Err *e) {
    *out = (Json){.type = JSON_OBJECT};
    TRY(ARENA_NEW(a, line->n, out->list.items, e));
    TRY(ARENA_NEW(a, line->n, out->list.keys, e));
    for (uint32_t i = 0; i < line->n; i++) {
        if (is_own(line->list.keys[i])) continue;
        out->list.keys[out->n] = line->list.keys[i];
        out->list.items[out->n++] = line->list.items[i];
    }
    return OK;
}

static Status put_error(Buf *out, const ChatText *text, const Err *why, Err *e) {
    bool raised = text->raised.s != NULL;
    TRY(buf_puts(out, "{\"error\":", e));
    TRY(json_put_string(out, raised ? text->raised.s : why->message, raised ? text->raised.len : strlen(why->message),
                        e));
    return buf_puts(out, "}\n", e);
}

static Status render_line(void *ctx, Arena *a, const Json *line, Buf *out, Err *e) {
    const Job *job = ctx;
    const ChatTraining training = {.lenient = true};
    Json extra;
    ChatText text;
    int32_t *ids;
    uint8_t *trained;
    size_t n;
    if (line->type != JSON_OBJECT)
        FAIL(e, ERR_DATA, "got %s, expected an object such as {\"messages\": [...]}", json_type_name(line->type));
    TRY(extra_of(a, line, &extra, e));
    const Json *tools = json_get(line, "tools");
    ChatRow row = {.messages = json_get(line, "messages"),
                   .tools = tools != NULL && tools->type != JSON_NULL ? tools : NULL,
                   .extra = &extra,
                   .generation_prompt = job->generation_prompt};
    Status st = chat_render(job->chat, a, &row, &training, &text, e);
    if (st == ERR_DATA || st == ERR_FORMAT) return put_error(out, &text, e, e);
    if (st != OK) return st;
    TRY(chat_encode(job->chat, a, &text, &ids, &trained, &n, e));
    TRY(buf_puts(out, "{\"text\":", e));
    TRY(json_put_string(out, text.text, text.len, e));
    TRY(data_put_tokens(out, ids, trained, n, e));
    return buf_puts(out, "}\n", e);
}

static Status open_chat(Arena *a, const char *model, const char *file, const Tokenizer *t, Chat **out, Err *e) {
    if (file != NULL) {
        char *text;
        size_t len;
        TRY(file_read(a, file, TEMPLATE_MAX, &text, &len, e));
        return chat_open(a, file, (TokenText){text, len}, t, local_now(), out, e);
    }
    TRY(chat_open_own(a, model, t, local_now(), out, e));
    if (*out == NULL) FAIL(e, ERR_DATA, "%s: this model has no chat template; give one with --template FILE", model);
    return OK;
}

Status data_render(Ctx *ctx, int argc, char **argv, Err *e) {
    static const ArgSpec SPECS[] = {{"--file", "F"}, {"--template", "F"}, {"--add-generation-prompt", NULL}};
    Args args;
    Tokenizer *t = NULL;
    Chat *chat;
    TRY(args_parse(ctx->arena, argc, argv, SPECS, 3, 0, 2, 2, &args, e));
    const char *model = args.positional[1];
    TRY(tokenizer_load(ctx->arena, model, &t, e));
    Status st = open_chat(ctx->arena, model, args_get(&args, "--template"), t, &chat, e);
    Job job = {.generation_prompt = args_has(&args, "--add-generation-prompt")};
    if (st == OK) {
        job.chat = chat;
        st = json_stream(args_get(&args, "--file"), ctx->log.out, render_line, &job, e);
    }
    tokenizer_close(t);
    return st;
}
