/* chat.c: what a template is told, and the text it writes. What is trained is found in chat_mask.c. */
#define _GNU_SOURCE /* memmem */
#include "data/chat_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- building JSON -------------------------------------------------------------------------------------------------- */

static Status object_new(Arena *a, uint32_t capacity, Json *out, Err *e) {
    *out = (Json){.type = JSON_OBJECT};
    TRY(ARENA_NEW(a, capacity, out->list.items, e));
    return ARENA_NEW(a, capacity, out->list.keys, e);
}

/* Adds a member, or replaces the one of that name in its place; there is room. */
static void object_put(Json *o, JsonString key, Json value) {
    uint32_t i = 0;
    while (i < o->n && (o->list.keys[i].len != key.len || memcmp(o->list.keys[i].s, key.s, key.len) != 0)) i++;
    o->list.keys[i] = key;
    o->list.items[i] = value;
    if (i == o->n) o->n++;
}

static JsonString text_of(const char *s) { return (JsonString){s, strlen(s)}; }

static Json string_value(TokenText s) { return (Json){.type = JSON_STRING, .string = {s.s, s.len}}; }

static bool present(const Json *v) { return v != NULL && v->type != JSON_NULL; }

/* The names under which reasoning comes; templates read the first, and some the second. */
static const char *const REASONING[] = {"reasoning_content", "thinking", "reasoning"};
enum { N_REASONING = sizeof REASONING / sizeof *REASONING };

/* A message as templates get it from transformers: without members that are null, reasoning under its usual names too. */
static Status message_value(Arena *a, const Json *m, Json *out, Err *e) {
    const Json *reasoning = NULL;
    for (int i = N_REASONING - 1; i >= 0; i--)
        if (present(json_get(m, REASONING[i]))) reasoning = json_get(m, REASONING[i]);
    TRY(object_new(a, m->n + 2, out, e));
    if (reasoning != NULL) object_put(out, text_of(REASONING[1]), *reasoning);
    for (uint32_t i = 0; i < m->n; i++)
        if (present(&m->list.items[i])) object_put(out, m->list.keys[i], m->list.items[i]);
    if (reasoning != NULL) object_put(out, text_of(REASONING[0]), *reasoning);
    return OK;
}

static Status messages_value(Arena *a, const Json *messages, uint32_t n, Json *out, Err *e) {
    *out = (Json){.type = JSON_ARRAY, .n = n};
    TRY(ARENA_NEW(a, n, out->list.items, e));
    for (uint32_t i = 0; i < n; i++) TRY(message_value(a, &messages->list.items[i], &out->list.items[i], e));
    return OK;
}

static void put_token(Json *o, const char *name, const Tokenizer *t, int32_t id) {
    if (id >= 0) object_put(o, text_of(name), string_value(tokenizer_token(t, id)));
}

enum { OWN_VARIABLES = 8 };

static Status variables_of(const Chat *c, Arena *a, const ChatRow *row, uint32_t n, bool generation_prompt, Json *out,
                           Json **messages, Err *e) {
    const Json none = {.type = JSON_NULL};
    Json value;
    size_t n_named;
    const NamedToken *named = tokenizer_named(c->tokenizer, &n_named);
    TRY(object_new(a, OWN_VARIABLES + (uint32_t)n_named + (row->extra == NULL ? 0 : row->extra->n), out, e));
    put_token(out, "bos_token", c->tokenizer, tokenizer_bos(c->tokenizer));
    put_token(out, "eos_token", c->tokenizer, tokenizer_eos(c->tokenizer));
    put_token(out, "pad_token", c->tokenizer, tokenizer_pad(c->tokenizer));
    put_token(out, "unk_token", c->tokenizer, tokenizer_unk(c->tokenizer));
    for (size_t i = 0; i < n_named; i++)
        object_put(out, (JsonString){named[i].name.s, named[i].name.len}, string_value(named[i].text));
    object_put(out, text_of("tools"), row->tools != NULL ? *row->tools : none);
    object_put(out, text_of("documents"), none);
    object_put(out, text_of("add_generation_prompt"), (Json){.type = JSON_BOOL, .boolean = generation_prompt});
    for (uint32_t i = 0; row->extra != NULL && i < row->extra->n; i++)
        object_put(out, row->extra->list.keys[i], row->extra->list.items[i]);
    TRY(messages_value(a, row->messages, n, &value, e));
    object_put(out, text_of("messages"), value);
    *messages = (Json *)(uintptr_t)json_get(out, "messages");
    return OK;
}

/* ---- the texts of messages ------------------------------------------------------------------------------------------ */

typedef struct Leaves {
    Arena *a;
    ChatLeaf *items;
    size_t n, cap;
} Leaves;

static Status add_leaves(Leaves *l, const Json *v, int32_t message, LeafKind kind, Err *e) {
    if (v->type == JSON_STRING) {
        TRY(arena_grow(l->a, &l->items, &l->cap, l->n, l->n + 1, sizeof *l->items, e));
        l->items[l->n++] = (ChatLeaf){v, message, kind};
    } else if (v->type == JSON_ARRAY || v->type == JSON_OBJECT) {
        for (uint32_t i = 0; i < v->n; i++) TRY(add_leaves(l, &v->list.items[i], message, kind, e));
    }
    return OK;
}

static bool is_key(JsonString key, const char *name) {
    return key.len == strlen(name) && memcmp(key.s, name, key.len) == 0;
}

static Status message_leaves(Leaves *l, const Json *m, int32_t message, Err *e) {
    for (uint32_t k = 0; m->type == JSON_OBJECT && k < m->n; k++) {
        JsonString key = m->list.keys[k];
        if (is_key(key, "role") || is_key(key, "name") || is_key(key, "tool_call_id")) continue;
        LeafKind kind = is_key(key, "content") ? LEAF_CONTENT : is_key(key, "tool_calls") ? LEAF_CALL : LEAF_OTHER;
        TRY(add_leaves(l, &m->list.items[k], message, kind, e));
    }
    return OK;
}

static int by_node(const void *a, const void *b) {
    uintptr_t x = (uintptr_t)((const ChatLeaf *)a)->node, y = (uintptr_t)((const ChatLeaf *)b)->node;
    return (x > y) - (x < y);
}

Status chat_run(const Chat *c, Arena *a, const ChatRow *row, uint32_t n_messages, bool generation_prompt,
                Rendering *out, Err *e) {
    Json *variables;
    Leaves leaves = {.a = a};
    *out = (Rendering){.text = {.arena = a}};
    TRY(ARENA_NEW(a, 1, variables, e));
    TRY(variables_of(c, a, row, n_messages, generation_prompt, variables, &out->messages, e));
    for (uint32_t i = 0; out->messages->type == JSON_ARRAY && i < out->messages->n; i++)
        TRY(message_leaves(&leaves, &out->messages->list.items[i], (int32_t)i, e));
    if (leaves.n > 1) qsort(leaves.items, leaves.n, sizeof *leaves.items, by_node);
    out->variables = variables;
    out->leaves = leaves.items;
    out->n_leaves = leaves.n;
    JinjaInput in = {.variables = variables, .now = c->now};
    return jinja_render(row->tools != NULL ? c->tool_jinja : c->jinja, a, &in, &out->text, &out->spans, e);
}

/* ---- the calls ------------------------------------------------------------------------------------------------------ */

Status chat_open(Arena *a, const char *name, TokenText source, const Tokenizer *t, int64_t now, Chat **out, Err *e) {
    Chat *c;
    TRY(ARENA_NEW(a, 1, c, e));
    c->tokenizer = t;
    c->now = now;
    TRY(jinja_parse(a, name, source.s, source.len, &c->jinja, e));
    c->tool_jinja = c->jinja;
    *out = c;
    return OK;
}

Status chat_open_own(Arena *a, const char *name, const Tokenizer *t, int64_t now, Chat **out, Err *e) {
    TokenText source = tokenizer_chat_template(t), tool = tokenizer_tool_template(t),
              others = tokenizer_other_templates(t);
    char *tool_name;
    *out = NULL;
    if (source.len == 0 && others.len > 0)
        FAIL(e, ERR_DATA, "%s: it has no default chat template, only others by name: %.*s", name,
             (int)(others.len < 200 ? others.len : 200), others.s);
    if (source.len == 0) return OK;
    TRY(chat_open(a, name, source, t, now, out, e));
    if (tool.len == 0) return OK;
    TRY(arena_printf(a, &tool_name, e, "%s (tool_use)", name));
    return jinja_parse(a, tool_name, tool.s, tool.len, &(*out)->tool_jinja, e);
}

bool chat_reads_clock(const Chat *c) {
    return jinja_mentions(c->jinja, "strftime_now") || jinja_mentions(c->tool_jinja, "strftime_now");
}

static Status check_row(const ChatRow *row, int64_t *bad, Err *e) {
    const Json *m = row->messages;
    if (m == NULL || m->type != JSON_ARRAY)
        FAIL(e, ERR_DATA, "messages: got %s, expected a list of objects with role and content",
             m == NULL ? "nothing" : json_type_name(m->type));
    for (uint32_t i = 0; i < m->n; i++) {
        if (m->list.items[i].type == JSON_OBJECT) continue;
        *bad = i;
        FAIL(e, ERR_DATA, "messages[%u]: got %s, expected an object with role and content", i,
             json_type_name(m->list.items[i].type));
    }
    if (row->tools != NULL && row->tools->type != JSON_ARRAY)
        FAIL(e, ERR_DATA, "tools: got %s, expected a list", json_type_name(row->tools->type));
    return OK;
}

/* Whether BOS stands before the first text of a message, be it behind blanks. */
static bool writes_bos(const Chat *c, const Rendering *r) {
    size_t end = r->text.len;
    if (tokenizer_bos(c->tokenizer) < 0) return false;
    for (size_t i = r->spans.n_spans; i-- > 0;)
        if (chat_leaf(r, r->spans.spans[i].source) != NULL) end = r->spans.spans[i].begin;
    TokenText bos = tokenizer_token(c->tokenizer, tokenizer_bos(c->tokenizer));
    return bos.len > 0 && end > 0 && memmem(r->text.data, end, bos.s, bos.len) != NULL;
}

static Status render(const Chat *c, Arena *a, const ChatRow *row, Rendering *r, ChatText *out, Err *e) {
    *out = (ChatText){.text = "", .bad_message = -1};
    TRY(check_row(row, &out->bad_message, e));
    Status st = chat_run(c, a, row, row->messages->n, row->generation_prompt, r, e);
    if (st != OK && st != ERR_OOM) out->raised = r->spans.error;
    if (st != OK) return st;
    out->text = r->text.len > 0 ? r->text.data : "";
    out->len = r->text.len;
    out->has_bos = writes_bos(c, r);
    return OK;
}

Status chat_render_text(const Chat *c, Arena *a, const ChatRow *row, ChatText *out, Err *e) {
    Rendering r;
    return render(c, a, row, &r, out, e);
}

Status chat_render(const Chat *c, Arena *a, const ChatRow *row, const ChatTraining *training, ChatText *out, Err *e) {
    Rendering r;
    TRY(render(c, a, row, &r, out, e));
    return chat_mask(c, a, row, training, &r, out, e);
}

/* A BOS that the template wrote is not doubled. */
static unsigned flags_of(const ChatText *text) { return TOKENIZER_SPECIAL | (text->has_bos ? 0 : TOKENIZER_BOS); }

Status chat_encode(const Chat *c, Arena *a, const ChatText *text, int32_t **ids, uint8_t **trained, size_t *n, Err *e) {
    return tokenizer_encode_marked(c->tokenizer, a, text->text, text->len, flags_of(text), text->trained,
                                   text->n_trained, ids, trained, n, e);
}

Status chat_encode_cached(const Chat *c, TokenizerCache *cache, Arena *a, const ChatText *text, int32_t **ids,
                          uint8_t **trained, size_t *n, Err *e) {
    CHECK(cache != NULL && c->tokenizer != NULL, "a chat without a tokenizer");
    return tokenizer_cache_encode_marked(cache, a, text->text, text->len, flags_of(text), text->trained,
                                         text->n_trained, ids, trained, n, e);
}
