/* formats_look.c: what is surely not meant in a conversation, although a template may write it: told by dataset_check alone.
 *
 * Of each message: a role that is none, an empty or blank turn of the user or the assistant, a tool's result that nobody asked for.
 * Of the whole: nobody whose messages are trained speaks. Whether the roles' order is right is the template's to say. */
#include "data/formats_internal.h"

#include <string.h>

static const Json *role_of(const Talk *t, uint32_t i) {
    const Json *role = json_get(&t->messages.list.items[i], "role");
    return role != NULL && role->type == JSON_STRING ? role : NULL;
}

static bool has_role(const Talk *t, uint32_t i, const char *name) {
    const Json *role = role_of(t, i);
    return role != NULL && json_is_string(role, name);
}

/* The member that a problem of the text is about, where the message is an object of its own. */
static const char *text_member(const TalkOrigin *o) {
    static const char *const NAMES[] = {"content", "value"};
    if (o->member != NULL) return o->member;
    for (size_t i = 0; o->object->type == JSON_OBJECT && i < sizeof NAMES / sizeof NAMES[0]; i++)
        if (json_get(o->object, NAMES[i]) != NULL) return NAMES[i];
    return NULL;
}

static const char *role_member(const TalkOrigin *o) {
    if (o->member != NULL || o->object->type != JSON_OBJECT) return o->member;
    return json_get(o->object, "from") != NULL ? "from" : json_get(o->object, "role") != NULL ? "role" : NULL;
}

/* A text that is not blank, or anything else that is not text (an image's part). */
static bool says_something(const Json *content) {
    if (content == NULL || content->type == JSON_NULL) return false;
    if (content->type == JSON_STRING) return !text_is_blank(&content->string);
    for (uint32_t i = 0; content->type == JSON_ARRAY && i < content->n; i++) {
        const Json *part = &content->list.items[i], *text = json_get(part, "text");
        if (part->type == JSON_STRING ? !text_is_blank(&part->string) : text == NULL || says_something(text))
            return true;
    }
    return content->type != JSON_ARRAY;
}

static bool calls(const Json *m) {
    const Json *list = json_get(m, "tool_calls");
    return list != NULL && list->type == JSON_ARRAY && list->n > 0;
}

static bool has_reasoning(const Json *m) {
    return says_something(json_get(m, "reasoning_content")) || says_something(json_get(m, "thinking")) ||
           says_something(json_get(m, "reasoning"));
}

/* Roles that templates know besides those of ShareGPT's names. */
static bool is_known(const RowSink *s, JsonString role) {
    static const char *const ROLES[] = {"system", "developer", "user",    "assistant",
                                        "tool",   "function",  "ipython", "model"};
    for (size_t i = 0; i < sizeof ROLES / sizeof ROLES[0]; i++)
        if (strlen(ROLES[i]) == role.len && memcmp(ROLES[i], role.s, role.len) == 0) return true;
    return chat_role_trained(s->training, role);
}

static Status look_role(RowSink *s, const Talk *t, uint32_t i, const char *name, Err *e) {
    const TalkOrigin *o = &t->origins[i];
    const Json *value = json_get(&t->messages.list.items[i], "role"), *role = role_of(t, i);
    if (role == NULL)
        return row_problem(s, e, o->object, role_member(o),
                           "%s.role: got %s, expected text such as \"user\" or \"assistant\"", name,
                           value == NULL ? "nothing" : json_type_name(value->type));
    if (is_known(s, role->string)) return OK;
    const char *meant = talk_role(&role->string, NULL);
    if (meant != NULL)
        return row_problem(s, e, o->object, role_member(o),
                           "%s.role: '%.40s' is no role of chats, '%s' is; rows of type sharegpt translate it", name,
                           role->string.s, meant);
    return row_problem(
        s, e, o->object, role_member(o),
        "%s.role: '%.40s' is none of system, developer, user, assistant, tool, function, ipython; if the "
        "template knows it, name it in roles_to_train",
        name, role->string.s);
}

static Status look_text(RowSink *s, const Talk *t, uint32_t i, const char *name, Err *e) {
    const TalkOrigin *o = &t->origins[i];
    const Json *m = &t->messages.list.items[i], *content = json_get(m, "content");
    bool user = has_role(t, i, "user"), assistant = has_role(t, i, "assistant") || has_role(t, i, "model");
    if ((!user && !assistant) || says_something(content)) return OK;
    if (assistant && (calls(m) || has_reasoning(m))) return OK;
    bool nothing = content == NULL || content->type == JSON_NULL;
    bool blank = content != NULL && content->type == JSON_STRING && content->string.len > 0;
    return row_problem(s, e, o->object, text_member(o), "%s: the %s says nothing (%s)", name,
                       user ? "user" : "assistant",
                       nothing ? "no content"
                       : blank ? "only blanks"
                               : "empty");
}

/* A call written in the text, as some models do: an assistant's text with a bracket of any kind. */
static bool may_call(const Json *m) {
    const Json *content = json_get(m, "content");
    if (calls(m)) return true;
    return content != NULL && (content->type != JSON_STRING || strpbrk(content->string.s, "{([<") != NULL);
}

static bool answers_tool(const Talk *t, uint32_t i) {
    return has_role(t, i, "tool") || has_role(t, i, "function") || has_role(t, i, "ipython");
}

static Status look_result(RowSink *s, const Talk *t, uint32_t i, const char *name, Err *e) {
    const TalkOrigin *o = &t->origins[i];
    uint32_t before = i;
    if (!answers_tool(t, i)) return OK;
    while (before > 0 && answers_tool(t, before - 1)) before--;
    if (before > 0 && (has_role(t, before - 1, "assistant") || has_role(t, before - 1, "model")) &&
        may_call(&t->messages.list.items[before - 1]))
        return OK;
    return row_problem(s, e, o->object, role_member(o), "%s: a tool's result without a tool call before it", name);
}

static bool says_trained(const RowSink *s, const Talk *t, uint32_t i) {
    const Json *m = &t->messages.list.items[i], *own = json_get(m, "train"), *role = role_of(t, i);
    if (i < t->untrained) return false;
    if (own != NULL && own->type == JSON_BOOL) return own->boolean;
    return s->training->inputs || (role != NULL && chat_role_trained(s->training, role->string));
}

Status talk_look(RowSink *s, const Talk *t, uint32_t first, Err *e) {
    enum { NAME_BYTES = 128 };
    bool trained = false;
    char name[NAME_BYTES];
    if (!s->looking) return OK;
    for (uint32_t i = 0; i < t->messages.n; i++) {
        trained = trained || says_trained(s, t, i);
        if (i < first || t->messages.list.items[i].type != JSON_OBJECT) continue;
        talk_name(t, i, name, sizeof name);
        TRY(look_role(s, t, i, name, e));
        TRY(look_text(s, t, i, name, e));
        TRY(look_result(s, t, i, name, e));
    }
    uint32_t last = t->messages.n - 1;
    if (trained && !says_trained(s, t, last) && has_role(t, last, "user")) s->remarks |= 1u << REMARK_OPEN;
    if (trained) return OK;
    const TalkOrigin *o = t->messages.n > 0 ? &t->origins[t->messages.n - 1] : NULL;
    if (o == NULL) return row_problem(s, e, NULL, NULL, "the conversation has no message");
    return row_problem(s, e, s->row, o->list, "no message of %s: nothing is trained",
                       s->training->roles != NULL ? s->training->roles : "the assistant");
}
