/* formats_alpaca.c: rows of an instruction, an input that may be empty, and an output; with a system text and earlier turns, if any.
 *
 * Where the base has a chat template they are a chat: system, the turns of history as user and assistant, instruction and input with a
 * line's end between as the user's message, output as the assistant's (LLaMA-Factory's reading). All that the assistant says is
 * trained, in history too. Where the base has none, the prompt is the fixed text around instruction and input that Stanford's Alpaca
 * was trained with, and models without a template since; output and end token are trained. */
#include "data/formats_internal.h"

#include "base/buf.h"

/* "a\nb", or the one that is not empty. */
static Status join(RowSink *s, const JsonString *a, const JsonString *b, JsonString *out, Err *e) {
    Buf text = {.arena = s->scratch};
    *out = b == NULL || b->len == 0 ? *a : *b;
    if (out->s == a->s || a->len == 0) return OK;
    TRY(buf_add(&text, a->s, a->len, e));
    TRY(buf_putc(&text, '\n', e));
    TRY(buf_add(&text, b->s, b->len, e));
    *out = (JsonString){text.data, text.len};
    return OK;
}

static Status add_history(RowSink *s, Talk *t, const Json *history, Err *e) {
    const char *name = format_column(s->source, FIELD_HISTORY);
    for (uint32_t i = 0; i < history->n; i++) {
        const Json *turn = &history->list.items[i];
        TalkOrigin o = {.object = turn, .list = name, .index = i};
        bool pair = turn->type == JSON_ARRAY && turn->n == 2 && turn->list.items[0].type == JSON_STRING &&
                    turn->list.items[1].type == JSON_STRING;
        if (!pair) {
            row_blame_field(s, FIELD_HISTORY);
            if (turn->type == JSON_ARRAY || turn->type == JSON_OBJECT) row_blame(s, turn, NULL);
            FAIL(e, ERR_DATA, "%s[%u]: expected a list of two texts, a question and its answer", name, i);
        }
        TRY(talk_say(s, t, "user", &turn->list.items[0].string, o, e));
        TRY(talk_say(s, t, "assistant", &turn->list.items[1].string, o, e));
    }
    return OK;
}

Status talk_alpaca(RowSink *s, Talk *t, const Json *const values[FIELD_COUNT], Err *e) {
    const Json *system = values[FIELD_SYSTEM], *history = values[FIELD_HISTORY], *input = values[FIELD_INPUT];
    JsonString user;
    if (system != NULL && system->string.len > 0)
        TRY(talk_say(s, t, "system", &system->string, talk_field(s, FIELD_SYSTEM), e));
    if (history != NULL) TRY(add_history(s, t, history, e));
    TRY(join(s, &values[FIELD_INSTRUCTION]->string, input != NULL ? &input->string : NULL, &user, e));
    return talk_say(s, t, "user", &user, talk_field(s, FIELD_INSTRUCTION), e);
}

Status alpaca_prompt(RowSink *s, const Json *const values[FIELD_COUNT], JsonString *out, Err *e) {
    static const int TALKED[] = {FIELD_SYSTEM, FIELD_HISTORY, FIELD_TOOLS};
    const JsonString *instruction = &values[FIELD_INSTRUCTION]->string;
    const Json *input = values[FIELD_INPUT];
    bool has_input = input != NULL && input->string.len > 0;
    Buf b = {.arena = s->scratch};
    if (s->context->chat_unreadable)
        FAIL(e, ERR_DATA, "rows of an instruction are written with the base's chat template: %s", s->context->no_chat);
    for (size_t i = 0; i < sizeof TALKED / sizeof TALKED[0]; i++) {
        const Json *v = values[TALKED[i]];
        if (v == NULL || (v->type == JSON_STRING ? v->string.len : v->n) == 0) continue;
        row_blame_field(s, TALKED[i]);
        FAIL(e, ERR_DATA, "field '%s' needs a chat template: %s", format_column(s->source, TALKED[i]),
             s->context->no_chat);
    }
    TRY(buf_puts(&b, "Below is an instruction that describes a task", e));
    if (has_input) TRY(buf_puts(&b, ", paired with an input that provides further context", e));
    TRY(buf_puts(&b, ". Write a response that appropriately completes the request.\n\n### Instruction:\n", e));
    TRY(buf_add(&b, instruction->s, instruction->len, e));
    if (has_input) TRY(buf_puts(&b, "\n\n### Input:\n", e));
    if (has_input) TRY(buf_add(&b, input->string.s, input->string.len, e));
    TRY(buf_puts(&b, "\n\n### Response:\n", e));
    *out = (JsonString){b.data, b.len};
    return OK;
}

Status add_alpaca(RowSink *s, const Json *const values[FIELD_COUNT], Err *e) {
    const JsonString *output = &values[FIELD_OUTPUT]->string;
    JsonString prompt;
    Talk t = {0};
    if (s->context->chat == NULL) {
        TRY(row_look_blank(s, FIELD_OUTPUT, output, e));
        TRY(alpaca_prompt(s, values, &prompt, e));
        return row_answer(s, &prompt, output, e);
    }
    TRY(talk_tools(s, &t, values[FIELD_TOOLS], true, e));
    TRY(talk_alpaca(s, &t, values, e));
    TRY(talk_say(s, &t, "assistant", output, talk_field(s, FIELD_OUTPUT), e));
    return talk_take(s, &t, e);
}
