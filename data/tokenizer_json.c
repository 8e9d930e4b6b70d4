/* tokenizer_json.c: vocabulary, merges and added tokens of a tokenizer.json. */
#include "data/tokenizer_json_internal.h"

#include "base/file.h"
#include "data/tokenizer_json_scan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

Status json_reader_bad(const JsonReader *r, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    FAIL(r->e, ERR_FORMAT, "%s: %s", r->path, text);
}

Status read_bool(const JsonReader *r, const Json *obj, const char *place, const char *key, bool fallback, bool *out) {
    const Json *v = json_get(obj, key);
    *out = fallback;
    if (v == NULL || v->type == JSON_NULL) return OK;
    if (v->type != JSON_BOOL) BAD(r, "%s.%s is %s, expected true or false", place, key, json_type_name(v->type));
    *out = v->boolean;
    return OK;
}

Status read_string(const JsonReader *r, const Json *obj, const char *place, const char *key, TokenText *out) {
    const Json *v = json_get(obj, key);
    *out = (TokenText){"", 0};
    if (v == NULL || v->type == JSON_NULL) return OK;
    if (v->type != JSON_STRING) BAD(r, "%s.%s is %s, expected a string", place, key, json_type_name(v->type));
    *out = (TokenText){v->string.s, v->string.len};
    return OK;
}

bool text_is(TokenText t, const char *s) { return strlen(s) == t.len && memcmp(t.s, s, t.len) == 0; }

int32_t find_token(const JsonReader *r, TokenText t) { return index_find(&r->index, t.s, t.len); }

/* ---- vocabulary ------------------------------------------------------------------------------------------------------ */

/* Ids may have holes, but not so many that a small file asks for much memory. */
static int64_t id_limit(size_t n_vocab, const Json *added) {
    int64_t limit = 2 * ((int64_t)n_vocab + (added != NULL ? added->n : 0)) + (1 << 16);
    return limit < TOKENIZER_TOKENS_MAX ? limit : TOKENIZER_TOKENS_MAX;
}

static Status check_added_object(const JsonReader *r, const Json *added, uint32_t i, int64_t limit) {
    const Json *v = &added->list.items[i];
    const Json *id = json_get(v, "id"), *content = json_get(v, "content");
    if (content == NULL || content->type != JSON_STRING) BAD(r, "added_tokens[%u]: content is no string", i);
    if (id == NULL || id->type != JSON_INT || id->integer < 0 || id->integer >= limit)
        BAD(r, "added_tokens[%u]: id is no whole number from 0 to %lld", i, (long long)limit - 1);
    return OK;
}

/* Room for the largest id of both lists. */
static Status count_tokens(JsonReader *r, const ModelLists *vocab, const Json *added, size_t *n) {
    int64_t limit = id_limit(vocab->n_tokens, added), top = -1;
    for (size_t i = 0; i < vocab->n_tokens; i++) {
        if (vocab->ids[i] < 0 || vocab->ids[i] >= limit)
            BAD(r, "model.vocab: the id of \"%.*s\" is no whole number from 0 to %lld", SHOWN(vocab->tokens[i]),
                (long long)limit - 1);
        if (vocab->ids[i] > top) top = vocab->ids[i];
    }
    for (uint32_t i = 0; added != NULL && i < added->n; i++) {
        TRY(check_added_object(r, added, i, limit));
        int64_t id = json_get(&added->list.items[i], "id")->integer;
        if (id > top) top = id;
    }
    *n = (size_t)(top + 1);
    return OK;
}

/* Tokens by id, and the table and index of their texts. added_only tokens are in the table, but not yet in the index. */
typedef struct Vocab {
    TokenText *tokens;
    uint8_t *kinds, *added_only;
    size_t n;
} Vocab;

static Status place_vocab(JsonReader *r, const ModelLists *vocab, Vocab *v) {
    for (size_t i = 0; i < vocab->n_tokens; i++) {
        size_t id = (size_t)vocab->ids[i];
        if (v->kinds[id] != TOKEN_ABSENT)
            BAD(r, "model.vocab: id %zu is given twice, to \"%.*s\" and \"%.*s\"", id, SHOWN(v->tokens[id]),
                SHOWN(vocab->tokens[i]));
        v->tokens[id] = vocab->tokens[i];
        v->kinds[id] = TOKEN_NORMAL;
    }
    return OK;
}

/* The table over model tokens and whatever text the added tokens bring (at ids the model leaves free). */
static Status index_vocab(JsonReader *r, const Vocab *v, const Json *added) {
    uint64_t total = 0;
    uint32_t *at = NULL;
    char *bytes = NULL;
    int32_t second, first;
    for (size_t i = 0; i < v->n; i++) total += v->tokens[i].len;
    for (uint32_t i = 0; added != NULL && i < added->n; i++) {
        const Json *content = json_get(&added->list.items[i], "content");
        size_t id = (size_t)json_get(&added->list.items[i], "id")->integer;
        if (v->kinds[id] != TOKEN_ABSENT || v->tokens[id].s != NULL) continue; /* the first to take an id has it */
        v->tokens[id] = (TokenText){content->string.s, content->string.len};
        total += content->string.len;
    }
    if (total > UINT32_MAX) BAD(r, "the tokens have more than 4 GiB of text");
    TRY(ARENA_NEW(r->arena, v->n + 1, at, r->e));
    TRY(ARENA_NEW(r->arena, total, bytes, r->e));
    for (size_t i = 0; i < v->n; i++) {
        memcpy(bytes + at[i], v->tokens[i].s != NULL ? v->tokens[i].s : "", v->tokens[i].len);
        at[i + 1] = at[i] + (uint32_t)v->tokens[i].len;
    }
    r->table = (TokenTable){bytes, at, v->n};
    TRY(index_open(r->arena, &r->table, v->n, &r->index, r->e));
    if (!index_add_all(&r->index, v->kinds, &second, &first))
        BAD(r, "model.vocab: \"%.*s\" stands twice", SHOWN(v->tokens[second]));
    return OK;
}

static Status read_added(JsonReader *r, const Json *v, uint32_t i, Vocab *vocab, AddedToken *out) {
    char place[32];
    snprintf(place, sizeof place, "added_tokens[%u]", i);
    TRY(read_string(r, v, place, "content", &out->content));
    TRY(read_bool(r, v, place, "single_word", false, &out->single_word));
    TRY(read_bool(r, v, place, "lstrip", false, &out->lstrip));
    TRY(read_bool(r, v, place, "rstrip", false, &out->rstrip));
    TRY(read_bool(r, v, place, "special", false, &out->special));
    TRY(read_bool(r, v, place, "normalized", !out->special, &out->normalized));
    int32_t known = find_token(r, out->content);
    out->id = known >= 0 ? known : (int32_t)json_get(v, "id")->integer;
    if (known < 0) {
        TokenText text = vocab->tokens[out->id];
        if (vocab->kinds[out->id] != TOKEN_ABSENT ||
            !(text.len == out->content.len && memcmp(text.s, out->content.s, text.len) == 0))
            BAD(r, "%s: id %d belongs to another token", place, out->id);
        vocab->added_only[out->id] = 1;
    }
    vocab->kinds[out->id] = out->special ? TOKEN_CONTROL : TOKEN_USER_DEFINED;
    if (known < 0) index_add(&r->index, out->id);
    return OK;
}

static Status read_vocab(JsonReader *r, const ModelLists *vocab, const Json *added) {
    Vocab v = {0};
    AddedToken *list = NULL;
    TRY(count_tokens(r, vocab, added, &v.n));
    TRY(ARENA_NEW(r->arena, v.n, v.tokens, r->e));
    TRY(ARENA_NEW(r->arena, v.n, v.kinds, r->e));
    TRY(ARENA_NEW(r->arena, v.n, v.added_only, r->e));
    TRY(place_vocab(r, vocab, &v));
    TRY(index_vocab(r, &v, added));
    size_t n_added = added != NULL ? added->n : 0, n = 0;
    TRY(ARENA_NEW(r->arena, n_added, list, r->e));
    for (uint32_t i = 0; i < n_added; i++) {
        TRY(read_added(r, &added->list.items[i], i, &v, &list[n]));
        n += list[n].content.len > 0; /* Hugging Face ignores empty ones */
    }
    TokenizerSpec *s = r->spec;
    s->n_tokens = v.n, s->tokens = v.tokens, s->kinds = v.kinds, s->added_only = v.added_only;
    s->n_added = n, s->added = list;
    return OK;
}

/* ---- merges and the rest of the model -------------------------------------------------------------------------------- */

/* "left right", or ["left", "right"]. */
static Status read_merge(const JsonReader *r, const Json *v, uint32_t i, TokenMerge *out) {
    if (v->type == JSON_ARRAY && v->n == 2 && v->list.items[0].type == JSON_STRING &&
        v->list.items[1].type == JSON_STRING) {
        out->left = (TokenText){v->list.items[0].string.s, v->list.items[0].string.len};
        out->right = (TokenText){v->list.items[1].string.s, v->list.items[1].string.len};
        return OK;
    }
    if (v->type != JSON_STRING || !split_merge((TokenText){v->string.s, v->string.len}, out))
        BAD(r, "model.merges[%u] is neither \"LEFT RIGHT\" nor [\"LEFT\", \"RIGHT\"]", i);
    return OK;
}

/* The two lists out of the tree of a whole file. An id that is no whole number becomes -1. */
static Status lists_of_tree(JsonReader *r, const Json *vocab, const Json *merges, ModelLists *out) {
    if (merges == NULL || merges->type != JSON_ARRAY) BAD(r, "model.merges is missing or no list");
    TRY(ARENA_NEW(r->arena, vocab->n, out->tokens, r->e));
    TRY(ARENA_NEW(r->arena, vocab->n, out->ids, r->e));
    TRY(ARENA_NEW(r->arena, merges->n, out->merges, r->e));
    for (; out->n_tokens < vocab->n; out->n_tokens++) {
        const Json *id = &vocab->list.items[out->n_tokens];
        JsonString key = vocab->list.keys[out->n_tokens];
        out->tokens[out->n_tokens] = (TokenText){key.s, key.len};
        out->ids[out->n_tokens] = id->type == JSON_INT ? id->integer : -1;
    }
    for (uint32_t i = 0; i < merges->n; i++) {
        const Json *m = &merges->list.items[i];
        if (m->type == JSON_STRING && m->string.len >= 8 && memcmp(m->string.s, "#version", 8) == 0) continue;
        TRY(read_merge(r, m, i, &out->merges[out->n_merges++]));
    }
    return OK;
}

/* lists NULL: they are in the tree. */
static Status read_model(JsonReader *r, const Json *model, const Json *added, const ModelLists *lists) {
    ModelLists from_tree = {0};
    static const char *const AFFIXES[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    TokenizerSpec *s = r->spec;
    TokenText type, text;
    double dropout = 0;
    if (model == NULL || model->type != JSON_OBJECT) BAD(r, "the key 'model' is missing or no object");
    const Json *vocab = json_get(model, "vocab"), *v = json_get(model, "dropout");
    TRY(read_string(r, model, "model", "type", &type));
    if (type.len > 0 && !text_is(type, "BPE")) BAD(r, "model.type is \"%.*s\"; only BPE is implemented", SHOWN(type));
    if (vocab == NULL || vocab->type != JSON_OBJECT) BAD(r, "model.vocab is missing or no object");
    if (added != NULL && added->type == JSON_NULL) added = NULL;
    if (added != NULL && added->type != JSON_ARRAY) BAD(r, "added_tokens is no list");
    if (json_number(v, &dropout) && dropout != 0)
        BAD(r, "model.dropout is %g; random merges are not supported", dropout);
    for (int i = 0; i < 2; i++) {
        TRY(read_string(r, model, "model", AFFIXES[i], &text));
        if (text.len > 0) BAD(r, "model.%s is not supported", AFFIXES[i]);
    }
    TRY(read_bool(r, model, "model", "fuse_unk", false, &s->fuse_unk));
    TRY(read_bool(r, model, "model", "byte_fallback", false, &s->byte_fallback));
    TRY(read_bool(r, model, "model", "ignore_merges", false, &s->ignore_merges));
    if (lists == NULL) {
        TRY(lists_of_tree(r, vocab, json_get(model, "merges"), &from_tree));
        lists = &from_tree;
    }
    TRY(read_vocab(r, lists, added));
    s->merges = lists->merges;
    s->n_merges = lists->n_merges;
    TRY(read_string(r, model, "model", "unk_token", &text));
    s->unk = text.len > 0 ? find_token(r, text) : -1;
    if (text.len > 0 && (s->unk < 0 || s->added_only[s->unk]))
        BAD(r, "model.unk_token \"%.*s\" is not in model.vocab", SHOWN(text));
    return OK;
}

/* All of it. lists NULL: they are in the tree. */
static Status read_tree(Arena *a, const char *path, const char *config_path, const Json *root, const ModelLists *lists,
                        TokenizerSpec *spec, Err *e) {
    JsonReader r = {.arena = a, .path = path, .spec = spec, .e = e};
    *spec = (TokenizerSpec){.name = path, .bos = -1, .eos = -1, .unk = -1, .pad = -1};
    if (root->type != JSON_OBJECT) BAD(&r, "this is no tokenizer.json: not an object");
    TRY(read_model(&r, json_get(root, "model"), json_get(root, "added_tokens"), lists));
    TRY(read_normalizer(&r, json_get(root, "normalizer")));
    TRY(read_pre_tokenizer(&r, json_get(root, "pre_tokenizer")));
    TRY(read_decoder(&r, json_get(root, "decoder")));
    TRY(read_post_processor(&r, json_get(root, "post_processor")));
    return config_path != NULL ? read_tokenizer_config(&r, config_path) : OK;
}

/* The quick way, for files without a fault. */
static Status read_scanned(Arena *a, const char *path, const char *config_path, TokenizerSpec *spec, bool *good,
                           Err *e) {
    ModelLists lists;
    Buf rest = {.arena = a};
    Json *root = NULL;
    char *text = NULL;
    size_t len = 0;
    *good = false;
    TRY(file_read(a, path, TOKENIZER_JSON_BYTES_MAX, &text, &len, e));
    TRY(scan_model_lists(a, text, len, &lists, &rest, good, e));
    if (!*good) return OK;
    TRY(json_parse(a, path, rest.data, rest.len, &root, e));
    return read_tree(a, path, config_path, root, &lists, spec, e);
}

Status tokenizer_spec_from_json(Arena *a, const char *tokenizer_json_path, const char *config_path, TokenizerSpec *spec,
                                Err *e) {
    ArenaMark mark = arena_mark(a);
    Json *root = NULL;
    bool good;
    Status st = read_scanned(a, tokenizer_json_path, config_path, spec, &good, e);
    if (st == ERR_OOM || (st == OK && good)) return st;
    arena_reset(a, mark);
    TRY(json_read(a, tokenizer_json_path, TOKENIZER_JSON_BYTES_MAX, &root, e)); /* says what is wrong, and where */
    return read_tree(a, tokenizer_json_path, config_path, root, NULL, spec, e);
}
