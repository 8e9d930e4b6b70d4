/* formats_chat.c: conversations in the making, and the row types that are nothing else.
 *
 * chat      messages (OpenAI's: role and content, tool_calls) and tools, if any, as the model's chat template writes them; what
 *           is trained: chat.h.
 * sharegpt  conversations (from and value, or role and content), tools and a system text, if any: the same, after human, gpt
 *           and so on have become user, assistant, system or tool. The text of a function_call is JSON, and becomes tool_calls. */
#include "data/formats_internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- speakers ---------------------------------------------------------------------------------------------------- */

/* What those who speak are called in ShareGPT's kind of file, and here. */
static const struct {
    const char *theirs, *ours;
    bool call;
} SPEAKERS[] = {
    {"human", "user", false},
    {"user", "user", false},
    {"prompter", "user", false},
    {"gpt", "assistant", false},
    {"assistant", "assistant", false},
    {"chatgpt", "assistant", false},
    {"model", "assistant", false},
    {"bot", "assistant", false},
    {"ai", "assistant", false},
    {"bard", "assistant", false},
    {"bing", "assistant", false},
    {"system", "system", false},
    {"tool", "tool", false},
    {"function", "tool", false},
    {"observation", "tool", false},
    {"function_response", "tool", false},
    {"tool_response", "tool", false},
    {"ipython", "ipython", false},
    {"developer", "developer", false},
    {"function_call", "assistant", true},
    {"function-call", "assistant", true},
    {"tool_call", "assistant", true},
};

const char *talk_role(const JsonString *speaker, bool *call) {
    for (size_t k = 0; k < sizeof SPEAKERS / sizeof *SPEAKERS; k++) {
        if (strlen(SPEAKERS[k].theirs) != speaker->len || strcasecmp(SPEAKERS[k].theirs, speaker->s) != 0) continue;
        if (call != NULL) *call = SPEAKERS[k].call;
        return SPEAKERS[k].ours;
    }
    return NULL;
}

/* ---- building ---------------------------------------------------------------------------------------------------- */

static Json string_value(const char *s) { return (Json){.type = JSON_STRING, .string = {s, strlen(s)}}; }

static Status object_new(Arena *a, uint32_t capacity, Json *out, Err *e) {
    *out = (Json){.type = JSON_OBJECT};
    TRY(ARENA_NEW(a, capacity, out->list.items, e));
    return ARENA_NEW(a, capacity, out->list.keys, e);
}

/* There is room. */
static void object_add(Json *o, JsonString key, Json value) {
    o->list.keys[o->n] = key;
    o->list.items[o->n++] = value;
}

static JsonString key_of(const char *s) { return (JsonString){s, strlen(s)}; }

static Status push(RowSink *s, Talk *t, Json message, TalkOrigin origin, Err *e) {
    Json *m = &t->messages;
    m->type = JSON_ARRAY;
    TRY(arena_grow(s->scratch, &m->list.items, &t->cap_messages, m->n, (size_t)m->n + 1, sizeof message, e));
    TRY(arena_grow(s->scratch, &t->origins, &t->cap_origins, m->n, (size_t)m->n + 1, sizeof origin, e));
    t->origins[m->n] = origin;
    m->list.items[m->n++] = message;
    return OK;
}

TalkOrigin talk_field(const RowSink *s, int field) {
    const char *name = format_column(s->source, field);
    return (TalkOrigin){.object = s->row, .member = name, .list = name, .index = -1};
}

Status talk_say(RowSink *s, Talk *t, const char *role, const JsonString *text, TalkOrigin origin, Err *e) {
    Json m;
    TRY(object_new(s->scratch, 2, &m, e));
    object_add(&m, key_of("role"), string_value(role));
    object_add(&m, key_of("content"), (Json){.type = JSON_STRING, .string = *text});
    return push(s, t, m, origin, e);
}

const char *talk_name(const Talk *t, uint32_t i, char *text, size_t size) {
    const TalkOrigin *o = &t->origins[i];
    if (o->index < 0)
        snprintf(text, size, "%.80s", o->list);
    else
        snprintf(text, size, "%.80s[%lld]", o->list, (long long)o->index);
    return text;
}

/* ---- tool calls and tools ---------------------------------------------------------------------------------------- */

/* {"type": "function", "function": f} */
static Status wrap_function(Arena *a, const Json *f, Json *out, Err *e) {
    TRY(object_new(a, 2, out, e));
    object_add(out, key_of("type"), string_value("function"));
    object_add(out, key_of("function"), *f);
    return OK;
}

static bool is_bare_function(const Json *v) {
    return v->type == JSON_OBJECT && json_get(v, "name") != NULL && json_get(v, "function") == NULL;
}

static Status wrap_functions(Arena *a, const Json *list, Json *out, Err *e) {
    *out = (Json){.type = JSON_ARRAY, .n = list->n};
    TRY(ARENA_NEW(a, list->n, out->list.items, e));
    for (uint32_t i = 0; i < list->n; i++) {
        const Json *f = &list->list.items[i];
        out->list.items[i] = *f;
        if (is_bare_function(f)) TRY(wrap_function(a, f, &out->list.items[i], e));
    }
    return OK;
}

/* The text of a turn that calls tools: an object with name and arguments, or a list of them. */
static Status calls_of(RowSink *s, const char *name, const JsonString *text, Json *out, Err *e) {
    Json *calls, one;
    Status st = json_parse(s->scratch, name, text->s, text->len, &calls, e);
    if (st == ERR_OOM) return st;
    if (st == OK && calls->type == JSON_OBJECT) {
        one = *calls;
        *calls = (Json){.type = JSON_ARRAY, .n = 1};
        TRY(ARENA_NEW(s->scratch, 1, calls->list.items, e));
        calls->list.items[0] = one;
    }
    bool good = st == OK && calls->type == JSON_ARRAY && calls->n > 0;
    for (uint32_t i = 0; good && i < calls->n; i++) {
        const Json *call = &calls->list.items[i];
        good = is_bare_function(call) || json_get(call, "function") != NULL;
    }
    if (!good) FAIL(e, ERR_DATA, "%s: a tool call must be JSON with name and arguments, or a list of such", name);
    return wrap_functions(s->scratch, calls, out, e);
}

Status talk_tools(RowSink *s, Talk *t, const Json *tools, bool wrap, Err *e) {
    const char *name = format_column(s->source, FIELD_TOOLS);
    Json *parsed, *wrapped;
    if (tools == NULL || (tools->type == JSON_STRING && text_is_blank(&tools->string))) return OK;
    row_blame_field(s, FIELD_TOOLS);
    if (tools->type == JSON_STRING) {
        Status st = json_parse(s->scratch, name, tools->string.s, tools->string.len, &parsed, e);
        if (st == ERR_OOM) return st;
        if (st != OK || parsed->type != JSON_ARRAY) FAIL(e, ERR_DATA, "field '%s': the text is no list in JSON", name);
        tools = parsed;
    }
    if (wrap) {
        TRY(ARENA_NEW(s->scratch, 1, wrapped, e));
        TRY(wrap_functions(s->scratch, tools, wrapped, e));
        tools = wrapped;
    }
    t->tools = tools->n > 0 || !wrap ? tools : NULL;
    return OK;
}

/* ---- messages of lists ------------------------------------------------------------------------------------------- */

static bool is_key(JsonString key, const char *name) {
    return key.len == strlen(name) && memcmp(key.s, name, key.len) == 0;
}

/* role, content or tool_calls, and the turn's other members. */
static Status rewrite(RowSink *s, const Json *turn, const char *role, const Json *content, const Json *calls, Json *out,
                      Err *e) {
    TRY(object_new(s->scratch, turn->n + 3, out, e));
    object_add(out, key_of("role"), string_value(role));
    if (calls != NULL) object_add(out, key_of("content"), string_value(""));
    if (calls != NULL) object_add(out, key_of("tool_calls"), *calls);
    if (calls == NULL && content != NULL) object_add(out, key_of("content"), *content);
    for (uint32_t i = 0; i < turn->n; i++) {
        JsonString k = turn->list.keys[i];
        if (is_key(k, "from") || is_key(k, "role") || is_key(k, "value") || is_key(k, "content")) continue;
        if (calls != NULL && is_key(k, "tool_calls")) continue;
        object_add(out, k, turn->list.items[i]);
    }
    return OK;
}

/* from and value as role and content. name: "conversations[2]". */
static Status from_speaker(RowSink *s, const char *name, const Json *turn, Json *out, Err *e) {
    const Json *from = json_get(turn, "from"), *value = json_get(turn, "value");
    const Json *who = from != NULL ? from : json_get(turn, "role"),
               *what = value != NULL ? value : json_get(turn, "content");
    const char *key = from != NULL ? "from" : "role";
    bool call = false;
    Json calls;
    row_blame(s, turn, json_get(turn, key) != NULL ? key : NULL);
    if (who == NULL || who->type != JSON_STRING)
        FAIL(e, ERR_DATA, "%s.%s: got %s, expected text such as \"human\" or \"gpt\"", name, key,
             who == NULL ? "nothing" : json_type_name(who->type));
    const char *role = talk_role(&who->string, &call);
    if (role == NULL && from != NULL)
        FAIL(e, ERR_DATA, "%s.from: got '%.40s', expected one of human, gpt, system, tool, function_call, observation",
             name, who->string.s);
    row_blame(s, turn, value != NULL ? "value" : NULL);
    if (what == NULL && json_get(turn, "tool_calls") == NULL)
        FAIL(e, ERR_DATA, "%s.%s: got nothing, expected text", name, from != NULL ? "value" : "content");
    if (value != NULL && value->type != JSON_STRING)
        FAIL(e, ERR_DATA, "%s.value: got %s, expected text", name, json_type_name(value->type));
    if (call && what != NULL && what->type == JSON_STRING) {
        TRY(calls_of(s, name, &what->string, &calls, e));
        return rewrite(s, turn, role, NULL, &calls, out, e);
    }
    return rewrite(s, turn, role != NULL ? role : who->string.s, what, NULL, out, e);
}

Status talk_message(RowSink *s, Talk *t, int field, const Json *message, int64_t i, bool sharegpt, Err *e) {
    TalkOrigin o = {.object = message, .list = format_column(s->source, field), .index = i};
    char name[128];
    Json out = *message;
    TRY(push(s, t, out, o, e));
    talk_name(t, t->messages.n - 1, name, sizeof name);
    if (message->type != JSON_OBJECT) {
        row_blame_field(s, field);
        if (message->type == JSON_ARRAY) row_blame(s, message, NULL);
        FAIL(e, ERR_DATA, "%s: got %s, expected an object with %s", name, json_type_name(message->type),
             sharegpt ? "from and value" : "role and content");
    }
    if (!sharegpt && json_get(message, "from") == NULL) return OK;
    TRY(from_speaker(s, name, message, &out, e));
    t->messages.list.items[t->messages.n - 1] = out;
    return OK;
}

Status talk_list(RowSink *s, Talk *t, int field, const Json *list, bool sharegpt, Err *e) {
    t->messages.type = JSON_ARRAY;
    for (uint32_t i = 0; i < list->n; i++) TRY(talk_message(s, t, field, &list->list.items[i], i, sharegpt, e));
    return OK;
}

/* ---- adding ------------------------------------------------------------------------------------------------------ */

Status talk_possible(const RowSink *s, const char *what, Err *e) {
    if (s->context->chat == NULL) FAIL(e, ERR_DATA, "%s needs a chat template: %s", what, s->context->no_chat);
    return OK;
}

/* What an error of the template is about: the first message with which it raises the same; looking only, it takes time. */
static Status blame_raised(RowSink *s, const Talk *t, const ChatRow *row, JsonString raised, Err *e) {
    enum { TRIED_MAX = 100 };
    Json part = t->messages;
    ChatRow shorter = *row;
    shorter.messages = &part;
    for (part.n = 1; part.n < t->messages.n && part.n < TRIED_MAX; part.n++) {
        ArenaMark mark = arena_mark(s->scratch);
        ChatText text;
        Err why = {0};
        Status st = chat_render_text(s->context->chat, s->scratch, &shorter, &text, &why);
        if (st == ERR_OOM) *e = why;
        if (st == ERR_OOM) return st;
        bool same = st != OK && text.raised.s != NULL && text.raised.len == raised.len &&
                    memcmp(text.raised.s, raised.s, raised.len) == 0;
        arena_reset(s->scratch, mark);
        if (same) break;
    }
    if (part.n > t->messages.n || part.n == TRIED_MAX) return OK;
    row_blame(s, t->origins[part.n - 1].object, t->origins[part.n - 1].member);
    return OK;
}

static Status render_failed(RowSink *s, const Talk *t, const ChatRow *row, const ChatText *text, Status st, Err *e) {
    row_blame(s, NULL, NULL);
    e->status = st = ERR_DATA; /* a bad row, whatever is bad in it */
    if (text->bad_message >= 0) {
        const TalkOrigin *o = &t->origins[text->bad_message];
        row_blame(s, o->object, o->member);
    }
    if (text->raised.s == NULL) return st;
    s->raised = true;
    if (s->looking) {
        Err oom;
        if (blame_raised(s, t, row, text->raised, &oom) == ERR_OOM) {
            *e = oom;
            return ERR_OOM;
        }
    }
    return err_prefix(e, st, "the chat template raised an error");
}

Status talk_add(RowSink *s, const Talk *t, Err *e) {
    ChatText text;
    int32_t *ids;
    uint8_t *trained;
    size_t n;
    ChatRow row = {.messages = &t->messages, .tools = t->tools, .untrained = t->untrained};
    Status st = chat_render(s->context->chat, s->scratch, &row, s->training, &text, e);
    if (st == ERR_DATA || st == ERR_FORMAT) return render_failed(s, t, &row, &text, st, e);
    if (st != OK) return st;
    row_blame(s, NULL, NULL);
    TRY(chat_encode_cached(s->context->chat, s->cache, s->scratch, &text, &ids, &trained, &n, e));
    for (size_t i = 0; i < n;) { /* runs of one kind */
        size_t end = i;
        while (end < n && trained[end] == trained[i]) end++;
        TRY(row_ids(s, ids + i, end - i, trained[i] != 0, e));
        i = end;
    }
    return OK;
}

Status talk_take(RowSink *s, const Talk *t, Err *e) {
    TRY(talk_look(s, t, 0, e));
    return talk_add(s, t, e);
}

/* ---- the row types ----------------------------------------------------------------------------------------------- */

Status add_chat(RowSink *s, const Json *const values[FIELD_COUNT], Err *e) {
    Talk t = {0};
    TRY(talk_tools(s, &t, values[FIELD_TOOLS], false, e));
    TRY(talk_list(s, &t, FIELD_MESSAGES, values[FIELD_MESSAGES], false, e));
    return talk_take(s, &t, e);
}

Status add_sharegpt(RowSink *s, const Json *const values[FIELD_COUNT], Err *e) {
    const Json *system = values[FIELD_SYSTEM];
    Talk t = {0};
    TRY(talk_tools(s, &t, values[FIELD_TOOLS], true, e));
    if (system != NULL && system->string.len > 0)
        TRY(talk_say(s, &t, "system", &system->string, talk_field(s, FIELD_SYSTEM), e));
    TRY(talk_list(s, &t, FIELD_CONVERSATIONS, values[FIELD_CONVERSATIONS], true, e));
    return talk_take(s, &t, e);
}
