/* tokenizer_json_config.c: tokenizer_config.json: names of BOS, EOS and padding, whether they are added, chat template. */
#include "data/tokenizer_json_internal.h"

#include <string.h>

/* Classes whose post-processor transformers builds anew from add_bos_token (true when missing) and add_eos_token. */
static const char *const REBUILT[] = {"LlamaTokenizer",         "LlamaTokenizerFast", "CodeLlamaTokenizer",
                                      "CodeLlamaTokenizerFast", "GemmaTokenizer",     "GemmaTokenizerFast"};

/* "text", {"content": "text"}, or null. */
static Status named_token(const JsonReader *r, const Json *root, const char *key, int32_t *id) {
    const Json *v = json_get(root, key);
    if (v != NULL && v->type == JSON_OBJECT) v = json_get(v, "content");
    if (v == NULL || v->type == JSON_NULL) return OK;
    if (v->type != JSON_STRING) BAD(r, "%s is neither a string nor an object with content", key);
    *id = find_token(r, (TokenText){v->string.s, v->string.len});
    if (*id < 0) BAD(r, "%s \"%.*s\" is no token of the vocabulary", key, SHOWN(v->string));
    return OK;
}

/* A string, or a list of {name, template} of which "default" and "tool_use" count. */
static Status read_template(const JsonReader *r, const Json *v, TokenizerSpec *s) {
    Buf names = {.arena = r->arena};
    if (v == NULL || v->type == JSON_NULL) return OK;
    if (v->type == JSON_STRING) {
        s->chat_template = (TokenText){v->string.s, v->string.len};
        return OK;
    }
    if (v->type != JSON_ARRAY) BAD(r, "chat_template is %s, expected a string or a list", json_type_name(v->type));
    for (uint32_t i = 0; i < v->n; i++) {
        TokenText name, text;
        TRY(read_string(r, &v->list.items[i], "chat_template", "name", &name));
        TRY(read_string(r, &v->list.items[i], "chat_template", "template", &text));
        if (text_is(name, "default")) s->chat_template = text;
        if (text_is(name, "tool_use")) s->tool_template = text;
        TRY(buf_printf(&names, r->e, "%s%.*s", names.len > 0 ? ", " : "", SHOWN(name)));
    }
    if (s->chat_template.len == 0) s->other_templates = (TokenText){names.data, names.len};
    return OK;
}

/* The text of "text" or {"content": "text"}, else NULL. */
static const Json *token_text(const Json *v) {
    if (v->type == JSON_OBJECT) v = json_get(v, "content");
    return v != NULL && v->type == JSON_STRING ? v : NULL;
}

static void add_named(NamedToken *list, size_t *n, const Json *object, bool any) {
    static const char END[] = "_token";
    for (uint32_t i = 0; object != NULL && object->type == JSON_OBJECT && i < object->n; i++) {
        JsonString key = object->list.keys[i];
        const Json *text = token_text(&object->list.items[i]);
        size_t end = sizeof END - 1;
        bool is_token = key.len > end && memcmp(key.s + key.len - end, END, end) == 0;
        if (text == NULL || !(any || is_token)) continue;
        list[(*n)++] = (NamedToken){{key.s, key.len}, {text->string.s, text->string.len}};
    }
}

/* As transformers does: members whose name ends in _token, and what two lists of the model's own tokens name. */
static Status read_named(const JsonReader *r, const Json *root) {
    static const char *const LISTS[] = {"extra_special_tokens", "model_specific_special_tokens"};
    TokenizerSpec *s = r->spec;
    NamedToken *list = NULL;
    size_t most = root->n;
    for (int i = 0; i < 2; i++) most += json_get(root, LISTS[i]) != NULL ? json_get(root, LISTS[i])->n : 0;
    TRY(ARENA_NEW(r->arena, most, list, r->e));
    add_named(list, &s->n_named, root, false);
    for (int i = 0; i < 2; i++) add_named(list, &s->n_named, json_get(root, LISTS[i]), true);
    s->named = list;
    return OK;
}

Status read_tokenizer_config(JsonReader *r, const char *path) {
    TokenizerSpec *s = r->spec;
    Json *root = NULL;
    TokenText class_name;
    int32_t bos = -1, eos = -1;
    r->path = path;
    TRY(json_read(r->arena, path, TOKENIZER_JSON_BYTES_MAX, &root, r->e));
    if (root->type != JSON_OBJECT) BAD(r, "this is no tokenizer_config.json: not an object");
    TRY(named_token(r, root, "bos_token", &bos));
    TRY(named_token(r, root, "eos_token", &eos));
    TRY(named_token(r, root, "pad_token", &s->pad));
    TRY(read_string(r, root, "tokenizer_config", "tokenizer_class", &class_name));
    TRY(read_template(r, json_get(root, "chat_template"), s));
    TRY(read_named(r, root));
    for (size_t i = 0; i < sizeof REBUILT / sizeof REBUILT[0]; i++) {
        if (!text_is(class_name, REBUILT[i])) continue;
        TRY(read_bool(r, root, "tokenizer_config", "add_bos_token", true, &s->add_bos));
        TRY(read_bool(r, root, "tokenizer_config", "add_eos_token", false, &s->add_eos));
        s->add_bos = s->add_bos && bos >= 0;
        s->add_eos = s->add_eos && eos >= 0;
        s->bos = bos;
        s->eos = eos;
    }
    if (!s->add_bos) s->bos = bos;
    if (eos >= 0) s->eos = eos;
    return OK;
}
