/* chat_lines.c: what of a conversation is trained, for tests/interop/masks.py: JSON lines from stdin, one answer each.
 *
 * {"template", "messages", "bos", "add_bos", "ends": [..], "specials": [..]} and, where wanted, "tools", "extra",
 * "generation_prompt", "roles", "eos", "inputs", "lenient". The tokenizer has every byte and the special tokens that are
 * named. Answer: {"text", "trained": [[begin, end] ...] in bytes, "ids", "marks"}, or {"error"}. */
#include "data/chat.h"
#include "tests/train/byte_tokenizer.h"

#include <stdlib.h>

static bool flag(const Json *request, const char *key) {
    const Json *v = json_get(request, key);
    return v != NULL && v->type == JSON_BOOL && v->boolean;
}

static const char *string_or(const Json *request, const char *key, const char *missing) {
    const Json *v = json_get(request, key);
    return v != NULL && v->type == JSON_STRING ? v->string.s : missing;
}

static const Json *member(const Json *request, const char *key) {
    const Json *v = json_get(request, key);
    return v != NULL && v->type != JSON_NULL ? v : NULL;
}

static Status strings(Arena *a, const Json *list, const char ***out, size_t *n, Err *e) {
    *n = list == NULL ? 0 : list->n;
    TRY(ARENA_NEW(a, *n, *out, e));
    for (size_t i = 0; i < *n; i++) (*out)[i] = list->list.items[i].string.s;
    return OK;
}

static Status put_result(Buf *b, const ChatText *t, const int32_t *ids, const uint8_t *marks, size_t n, Err *e) {
    TRY(buf_puts(b, "{\"text\":", e));
    TRY(json_put_string(b, t->text, t->len, e));
    TRY(buf_puts(b, ",\"trained\":[", e));
    for (size_t i = 0; i < t->n_trained; i++)
        TRY(buf_printf(b, e, "%s[%zu,%zu]", i > 0 ? "," : "", t->trained[i].begin, t->trained[i].end));
    TRY(buf_puts(b, "],\"ids\":[", e));
    for (size_t i = 0; i < n; i++) TRY(buf_printf(b, e, "%s%d", i > 0 ? "," : "", ids[i]));
    TRY(buf_puts(b, "],\"marks\":[", e));
    for (size_t i = 0; i < n; i++) TRY(buf_printf(b, e, "%s%d", i > 0 ? "," : "", marks[i]));
    return buf_puts(b, "]}\n", e);
}

static Status answer(Arena *a, const Json *q, const Tokenizer *t, Buf *out, Err *e) {
    JsonString source;
    Chat *chat;
    ChatText text;
    int32_t *ids;
    uint8_t *marks;
    size_t n;
    ChatRow row = {.messages = json_get(q, "messages"),
                   .tools = member(q, "tools"),
                   .extra = member(q, "extra"),
                   .generation_prompt = flag(q, "generation_prompt")};
    ChatTraining training = {
        .roles = string_or(q, "roles", NULL), .inputs = flag(q, "inputs"), .lenient = flag(q, "lenient")};
    if (!chat_eos_find(string_or(q, "eos", "turn"), &training.eos)) FAIL(e, ERR_USAGE, "eos: unknown");
    TRY(json_want_string(q, "request", "template", &source, e));
    TRY(chat_open(a, "template", (TokenText){source.s, source.len}, t, 1767225600, &chat, e));
    TRY(chat_render(chat, a, &row, &training, &text, e));
    TRY(chat_encode(chat, a, &text, &ids, &marks, &n, e));
    return put_result(out, &text, ids, marks, n, e);
}

static Status one_line(Arena *a, const char *line, size_t len, Buf *out, Err *e) {
    Json *q;
    Tokenizer *t;
    ByteTokenizer want = {0};
    TRY(json_parse(a, "request", line, len, &q, e));
    want.bos = string_or(q, "bos", NULL);
    want.add_bos = flag(q, "add_bos");
    TRY(strings(a, json_get(q, "ends"), &want.ends, &want.n_ends, e));
    TRY(strings(a, json_get(q, "specials"), &want.specials, &want.n_specials, e));
    TRY(byte_tokenizer_open(a, &want, &t, e));
    Status st = answer(a, q, t, out, e);
    tokenizer_close(t);
    return st;
}

int main(void) {
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, stdin)) > 0) {
        Arena *a;
        Err e = {0};
        if (arena_open(&a, "line", &e) != OK) return 1;
        Buf out = {.arena = a};
        Status st = one_line(a, line, (size_t)n, &out, &e);
        if (st != OK) {
            out.len = 0;
            st = buf_puts(&out, "{\"error\":", &e);
            if (st == OK) st = json_put_string(&out, e.message, strlen(e.message), &e);
            if (st == OK) st = buf_puts(&out, "}\n", &e);
        }
        if (st == OK) fwrite(out.data, 1, out.len, stdout);
        fflush(stdout);
        arena_close(a);
        if (st != OK) return 1;
    }
    free(line);
    return 0;
}
