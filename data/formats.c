/* formats.c: see formats.h.
 *
 * prompt_completion  BOS iff the model wants one, ids(prompt), ids(completion) as a continuation, end token. Prompt and
 *                    completion are tokenized apart, because that is what the model meets at inference: the prompt's ids are
 *                    fixed before the completion exists. Completion and end token are trained.
 * text               BOS iff the model wants one, ids(text), end token; all trained.
 * tokens             input_ids as they are, nothing is added; labels[i] is -100 (position i is not trained) or any id of the
 *                    vocabulary: what the model must predict from input_ids[0..i), mostly input_ids[i] itself.
 * chat               messages (OpenAI's: role and content, tool_calls) and tools, if any, as the model's chat template writes
 *                    them; what is trained: chat.h.
 * sharegpt           conversations (from and value, or role and content), tools and a system text, if any: the same, after
 *                    human, gpt and so on have become user, assistant, system or tool.
 * In every type the first id of the row has no context and is not trained, whatever its label says: Hugging Face's loss
 * shifts the labels by one and never reads the first. */
#include "data/formats.h"

#include "data/tokenizer.h"

#include <string.h>

#define BIT(field) (1u << FIELD_##field)

static Status add_ids(RowSink *s, const int32_t *ids, size_t n, bool trained, Err *e) {
    TRY(arena_grow(s->ids_arena, &s->ids, &s->cap_ids, s->n, s->n + n, sizeof *s->ids, e));
    TRY(arena_grow(s->trained_arena, &s->trained, &s->cap_trained, s->n, s->n + n, sizeof *s->trained, e));
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= s->context->vocab)
            FAIL(e, ERR_DATA, "token id %d is outside the model's vocabulary of %lld", ids[i],
                 (long long)s->context->vocab);
        s->ids[s->n] = ids[i];
        s->trained[s->n] = trained && s->n > s->row_start;
        s->n++;
    }
    return OK;
}

/* Text with special tokens parsed, as at inference. */
static Status add_text(RowSink *s, const JsonString *text, unsigned flags, bool trained, Err *e) {
    int32_t *ids;
    size_t n;
    TRY(tokenizer_encode(s->context->tokenizer, s->scratch, text->s, text->len, TOKENIZER_SPECIAL | flags, &ids, &n,
                         e));
    return add_ids(s, ids, n, trained, e);
}

static Status add_end(RowSink *s, Err *e) {
    int32_t end = tokenizer_eos(s->context->tokenizer);
    if (end < 0)
        FAIL(e, ERR_DATA,
             "the model's tokenizer names no end token (eos); rows of type tokens can be used without one");
    return add_ids(s, &end, 1, true, e);
}

static Status add_prompt_completion(RowSink *s, const Json *const values[FIELD_COUNT], Err *e) {
    TRY(add_text(s, &values[FIELD_PROMPT]->string, TOKENIZER_BOS, false, e));
    TRY(add_text(s, &values[FIELD_COMPLETION]->string, TOKENIZER_CONTINUATION, true, e));
    return add_end(s, e);
}

static Status add_whole_text(RowSink *s, const Json *const values[FIELD_COUNT], Err *e) {
    TRY(add_text(s, &values[FIELD_TEXT]->string, TOKENIZER_BOS, true, e));
    return add_end(s, e);
}

/* Keeps the labels of the row just added; one that is not trained counts as its id. */
static Status keep_labels(RowSink *s, const Json *labels, Err *e) {
    size_t n = labels->n;
    TRY(arena_grow(s->labels_arena, &s->labels, &s->cap_labels, s->n_labels, s->n_labels + n, sizeof *s->labels, e));
    TRY(arena_grow(s->label_rows_arena, &s->label_rows, &s->cap_label_rows, s->n_label_rows, s->n_label_rows + 1,
                   sizeof *s->label_rows, e));
    s->label_rows[s->n_label_rows++] = (LabelRow){.start = (int64_t)s->row_start, .at = (int64_t)s->n_labels};
    for (size_t i = 0; i < n; i++) {
        size_t at = s->row_start + i;
        s->labels[s->n_labels++] = s->trained[at] ? (int32_t)labels->list.items[i].integer : s->ids[at];
    }
    return OK;
}

static Status add_tokens(RowSink *s, const Json *const values[FIELD_COUNT], Err *e) {
    const Json *ids = values[FIELD_INPUT_IDS], *labels = values[FIELD_LABELS];
    long long most = (long long)s->context->vocab - 1;
    bool free_labels = false;
    if (ids->n != labels->n)
        FAIL(e, ERR_DATA, "%u input ids but %u labels: there must be one label per id", ids->n, labels->n);
    for (uint32_t i = 0; i < ids->n; i++) {
        const Json *id = &ids->list.items[i], *label = &labels->list.items[i];
        if (id->type != JSON_INT || id->integer < 0 || id->integer >= s->context->vocab)
            FAIL(e, ERR_DATA, "input id number %u must be a whole number from 0 to %lld (the model's vocabulary)", i,
                 most);
        if (label->type != JSON_INT || (label->integer != -100 && (label->integer < 0 || label->integer > most)))
            FAIL(e, ERR_DATA,
                 "label number %u must be -100 (not trained) or a whole number from 0 to %lld (the model's vocabulary)",
                 i, most);
        int32_t value = (int32_t)id->integer;
        TRY(add_ids(s, &value, 1, label->integer != -100, e));
        free_labels = free_labels || (s->trained[s->n - 1] && label->integer != id->integer);
    }
    return free_labels ? keep_labels(s, labels, e) : OK;
}

/* ---- chats */

static Status add_chat_row(RowSink *s, const ChatRow *row, Err *e) {
    ChatText text;
    int32_t *ids;
    uint8_t *trained;
    size_t n;
    Status st = chat_render(s->context->chat, s->scratch, row, s->training, &text, e);
    if (st != OK) return text.raised.s != NULL ? err_prefix(e, st, "the chat template raised an error") : st;
    TRY(chat_encode(s->context->chat, s->scratch, &text, &ids, &trained, &n, e));
    for (size_t i = 0; i < n;) { /* runs of one kind */
        size_t end = i;
        while (end < n && trained[end] == trained[i]) end++;
        TRY(add_ids(s, ids + i, end - i, trained[i] != 0, e));
        i = end;
    }
    return OK;
}

static Status add_chat(RowSink *s, const Json *const values[FIELD_COUNT], Err *e) {
    return add_chat_row(s, &(ChatRow){.messages = values[FIELD_MESSAGES], .tools = values[FIELD_TOOLS]}, e);
}

/* What those who speak are called in ShareGPT's kind of file, and here. */
static const char *const SPEAKERS[][2] = {
    {"human", "user"},        {"user", "user"},       {"gpt", "assistant"},    {"assistant", "assistant"},
    {"chatgpt", "assistant"}, {"model", "assistant"}, {"bot", "assistant"},    {"system", "system"},
    {"tool", "tool"},         {"function", "tool"},   {"observation", "tool"}, {"function_response", "tool"},
};

static Status speaker(const Json *from, uint32_t i, Json *role, Err *e) {
    if (from == NULL || from->type != JSON_STRING)
        FAIL(e, ERR_DATA, "conversations[%u].from: got %s, expected text such as \"human\" or \"gpt\"", i,
             from == NULL ? "nothing" : json_type_name(from->type));
    for (size_t k = 0; k < sizeof SPEAKERS / sizeof *SPEAKERS; k++) {
        if (!json_is_string(from, SPEAKERS[k][0])) continue;
        const char *name = SPEAKERS[k][1];
        *role = (Json){.type = JSON_STRING, .string = {name, strlen(name)}};
        return OK;
    }
    FAIL(e, ERR_DATA, "conversations[%u].from: got '%.40s', expected one of human, gpt, system, tool", i,
         from->string.s);
}

static Status make_message(Arena *a, const Json *role, const Json *content, const Json *train, Json *out, Err *e) {
    static const char *const KEYS[] = {"role", "content", "train"};
    const Json *const values[] = {role, content, train};
    *out = (Json){.type = JSON_OBJECT, .n = train != NULL ? 3 : 2};
    TRY(ARENA_NEW(a, 3, out->list.items, e));
    TRY(ARENA_NEW(a, 3, out->list.keys, e));
    for (uint32_t i = 0; i < out->n; i++) {
        out->list.items[i] = *values[i];
        out->list.keys[i] = (JsonString){KEYS[i], strlen(KEYS[i])};
    }
    return OK;
}

static Status message_of(Arena *a, const Json *turn, uint32_t i, Json *out, Err *e) {
    Json role;
    const Json *value = json_get(turn, "value");
    if (turn->type != JSON_OBJECT)
        FAIL(e, ERR_DATA, "conversations[%u]: got %s, expected an object with from and value", i,
             json_type_name(turn->type));
    *out = *turn;
    if (json_get(turn, "from") == NULL && json_get(turn, "role") != NULL) return OK; /* a message already */
    TRY(speaker(json_get(turn, "from"), i, &role, e));
    if (value == NULL || value->type != JSON_STRING)
        FAIL(e, ERR_DATA, "conversations[%u].value: got %s, expected text", i,
             value == NULL ? "nothing" : json_type_name(value->type));
    return make_message(a, &role, value, json_get(turn, "train"), out, e);
}

static Status add_sharegpt(RowSink *s, const Json *const values[FIELD_COUNT], Err *e) {
    const Json *turns = values[FIELD_CONVERSATIONS], *system = values[FIELD_SYSTEM];
    const Json role = {.type = JSON_STRING, .string = {"system", 6}};
    Json messages = {.type = JSON_ARRAY};
    TRY(ARENA_NEW(s->scratch, turns->n + 1, messages.list.items, e));
    if (system != NULL && system->string.len > 0)
        TRY(make_message(s->scratch, &role, system, NULL, &messages.list.items[messages.n++], e));
    for (uint32_t i = 0; i < turns->n; i++)
        TRY(message_of(s->scratch, &turns->list.items[i], i, &messages.list.items[messages.n++], e));
    return add_chat_row(s, &(ChatRow){.messages = &messages, .tools = values[FIELD_TOOLS]}, e);
}

const RowType FORMATS[] = {
    {.name = "prompt_completion",
     .fields = BIT(PROMPT) | BIT(COMPLETION),
     .types = {[FIELD_PROMPT] = JSON_STRING, [FIELD_COMPLETION] = JSON_STRING},
     .add = add_prompt_completion,
     .needs_tokenizer = true},
    {.name = "text",
     .fields = BIT(TEXT),
     .types = {[FIELD_TEXT] = JSON_STRING},
     .add = add_whole_text,
     .needs_tokenizer = true},
    {.name = "tokens",
     .fields = BIT(INPUT_IDS) | BIT(LABELS),
     .types = {[FIELD_INPUT_IDS] = JSON_ARRAY, [FIELD_LABELS] = JSON_ARRAY},
     .add = add_tokens},
    {.name = "chat",
     .fields = BIT(MESSAGES),
     .optional = BIT(TOOLS),
     .types = {[FIELD_MESSAGES] = JSON_ARRAY, [FIELD_TOOLS] = JSON_ARRAY},
     .add = add_chat,
     .needs_tokenizer = true,
     .needs_chat = true},
    {.name = "sharegpt",
     .fields = BIT(CONVERSATIONS),
     .optional = BIT(TOOLS) | BIT(SYSTEM),
     .types = {[FIELD_CONVERSATIONS] = JSON_ARRAY, [FIELD_TOOLS] = JSON_ARRAY, [FIELD_SYSTEM] = JSON_STRING},
     .add = add_sharegpt,
     .needs_tokenizer = true,
     .needs_chat = true},
};
const int FORMAT_COUNT = sizeof FORMATS / sizeof FORMATS[0];

const RowType *format_find(const char *name) {
    for (int i = 0; i < FORMAT_COUNT; i++) {
        if (strcmp(FORMATS[i].name, name) == 0) return &FORMATS[i];
    }
    return NULL;
}
