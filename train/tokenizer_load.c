/* tokenizer_load.c: a model's tokenizer from GGUF metadata, or from the files beside a tokenizer.json. */
#include "train/tokenizer_load.h"

#include "base/file.h"
#include "base/json.h"
#include "checkpoints/gguf.h"
#include "data/tokenizer_json.h"

#include <string.h>

#define TEMPLATE_FILE "chat_template.jinja"
#define TOOL_TEMPLATE_FILE "additional_chat_templates/tool_use.jinja"
enum { TEMPLATE_BYTES_MAX = 1 << 20, CONFIG_BYTES_MAX = 1 << 24, END_KEYS = 2 };

/* ---- GGUF ------------------------------------------------------------------------------------------------------------ */

typedef struct GgufReader {
    const Gguf *g;
    Arena *arena;
    TokenizerSpec *spec;
    TokenText *tokens;
    uint8_t *kinds;
    AddedToken *added;
    int32_t *end;
    Err *e;
} GgufReader;

static TokenText text_of(GgufString s) { return (TokenText){s.s, s.len}; }

static Status optional_string(const GgufReader *r, const char *key, TokenText *out) {
    GgufString s = {"", 0};
    if (gguf_kv(r->g, key) != NULL) TRY(gguf_string(r->g, key, &s, r->e));
    *out = text_of(s);
    return OK;
}

/* An id by key, or `fallback` where the key is missing. */
static Status read_id(const GgufReader *r, const char *key, int32_t fallback, int32_t *out) {
    int64_t v = 0;
    TRY(gguf_int_or(r->g, key, 0, (int64_t)r->spec->n_tokens - 1, fallback, &v, r->e));
    *out = (int32_t)v;
    return OK;
}

/* SentencePiece vocabularies in GGUF write user-defined runs of U+2581 as runs of spaces; spaces never reach the
 * vocabulary (they are replaced), so the run means U+2581. */
static Status spaces_to_marks(GgufReader *r, TokenText *t) {
    static const char MARK[] = "\xE2\x96\x81";
    char *s = NULL;
    for (size_t i = 0; i < t->len; i++)
        if (t->s[i] != ' ') return OK;
    TRY(ARENA_NEW(r->arena, 3 * t->len, s, r->e));
    for (size_t i = 0; i < t->len; i++) memcpy(s + 3 * i, MARK, 3);
    *t = (TokenText){s, 3 * t->len};
    return OK;
}

static Status read_tokens(GgufReader *r, bool spm) {
    TokenizerSpec *s = r->spec;
    GgufString *strings = NULL;
    int32_t *types = NULL;
    size_t n = 0, n_types = 0;
    TRY(gguf_strings(r->g, r->arena, "tokenizer.ggml.tokens", &strings, &n, r->e));
    bool typed = gguf_kv(r->g, "tokenizer.ggml.token_type") != NULL;
    if (typed) TRY(gguf_array_i32(r->g, r->arena, "tokenizer.ggml.token_type", &types, &n_types, r->e));
    if (typed && n_types != n)
        FAIL(r->e, ERR_FORMAT, "%s: tokenizer.ggml.token_type has %zu entries for %zu tokens", r->g->path, n_types, n);
    TRY(ARENA_NEW(r->arena, n, r->tokens, r->e));
    TRY(ARENA_NEW(r->arena, n, r->kinds, r->e));
    for (size_t i = 0; i < n; i++) {
        bool known = typed && types[i] >= TOKEN_NORMAL && types[i] <= TOKEN_BYTE;
        r->tokens[i] = text_of(strings[i]);
        r->kinds[i] = r->tokens[i].len == 0 ? TOKEN_ABSENT : known ? (uint8_t)types[i] : TOKEN_NORMAL;
        if (spm && r->kinds[i] == TOKEN_USER_DEFINED) TRY(spaces_to_marks(r, &r->tokens[i]));
    }
    s->n_tokens = n, s->tokens = r->tokens, s->kinds = r->kinds;
    return OK;
}

/* Control, unknown and user-defined tokens are found in the text; those that end generation count as control tokens
 * whatever the file says. */
static Status read_added(GgufReader *r) {
    TokenizerSpec *s = r->spec;
    TokenText name;
    TRY(optional_string(r, "general.name", &name));
    TRY(ARENA_NEW(r->arena, s->n_tokens, r->added, r->e));
    TRY(ARENA_NEW(r->arena, s->n_tokens + END_KEYS, r->end, r->e));
    for (size_t i = 0; i < s->n_tokens; i++) {
        uint8_t kind = s->kinds[i];
        if (kind != TOKEN_CONTROL && kind != TOKEN_UNKNOWN && kind != TOKEN_USER_DEFINED) continue;
        bool ends = token_ends_generation(s->tokens[i]);
        if (ends) r->end[s->n_end++] = (int32_t)i;
        r->added[s->n_added++] = (AddedToken){.id = (int32_t)i,
                                              .content = s->tokens[i],
                                              .special = kind != TOKEN_USER_DEFINED || ends,
                                              .rstrip = token_takes_space(name, s->tokens[i])};
    }
    s->added = r->added;
    s->end = r->end;
    return OK;
}

static Status read_merges(GgufReader *r) {
    GgufString *strings = NULL;
    TokenMerge *merges = NULL;
    size_t n = 0;
    TRY(gguf_strings(r->g, r->arena, "tokenizer.ggml.merges", &strings, &n, r->e));
    TRY(ARENA_NEW(r->arena, n, merges, r->e));
    for (size_t i = 0; i < n; i++) {
        TokenText t = text_of(strings[i]);
        const char *space = t.len > 1 ? memchr(t.s + 1, ' ', t.len - 1) : NULL;
        if (space == NULL)
            FAIL(r->e, ERR_FORMAT, "%s: tokenizer.ggml.merges[%zu] is not \"LEFT RIGHT\"", r->g->path, i);
        size_t left = (size_t)(space - t.s);
        merges[i] = (TokenMerge){{t.s, left}, {space + 1, t.len - left - 1}};
    }
    r->spec->merges = merges;
    r->spec->n_merges = n;
    return OK;
}

static Status read_scores(GgufReader *r) {
    float *scores = NULL;
    size_t n = 0;
    TRY(gguf_array_f32(r->g, r->arena, "tokenizer.ggml.scores", &scores, &n, r->e));
    if (n != r->spec->n_tokens)
        FAIL(r->e, ERR_FORMAT, "%s: tokenizer.ggml.scores has %zu entries for %zu tokens", r->g->path, n,
             r->spec->n_tokens);
    r->spec->scores = scores;
    return OK;
}

static Status read_ids(GgufReader *r, bool spm) {
    static const char *const ENDS[END_KEYS] = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
    TokenizerSpec *s = r->spec;
    int32_t unk = -1, id = -1;
    TRY(read_id(r, "tokenizer.ggml.bos_token_id", spm ? 1 : -1, &s->bos));
    TRY(read_id(r, "tokenizer.ggml.eos_token_id", spm ? 2 : -1, &s->eos));
    TRY(read_id(r, "tokenizer.ggml.unknown_token_id", spm ? 0 : -1, &unk));
    TRY(read_id(r, "tokenizer.ggml.padding_token_id", -1, &s->pad));
    s->unk = spm ? unk : -1; /* a byte-level vocabulary has every byte */
    bool add_bos = s->add_bos && s->bos >= 0;
    TRY(gguf_bool_or(r->g, "tokenizer.ggml.add_bos_token", add_bos, &s->add_bos, r->e));
    TRY(gguf_bool_or(r->g, "tokenizer.ggml.add_eos_token", false, &s->add_eos, r->e));
    for (int i = 0; i < END_KEYS; i++) {
        TRY(read_id(r, ENDS[i], -1, &id));
        if (id >= 0) r->end[s->n_end++] = id;
    }
    return OK;
}

/* tokenizer.chat_template is the default one; tokenizer.chat_templates lists the names of others, tokenizer.chat_template.NAME. */
static Status read_templates(GgufReader *r) {
    static const char NAMES[] = "tokenizer.chat_templates";
    TokenizerSpec *s = r->spec;
    GgufString *names = NULL;
    size_t n = 0;
    Buf text = {.arena = r->arena};
    TRY(optional_string(r, "tokenizer.chat_template", &s->chat_template));
    TRY(optional_string(r, "tokenizer.chat_template.tool_use", &s->tool_template));
    if (s->chat_template.len > 0 || gguf_kv(r->g, NAMES) == NULL) return OK;
    TRY(gguf_strings(r->g, r->arena, NAMES, &names, &n, r->e));
    for (size_t i = 0; i < n; i++) {
        TRY(buf_puts(&text, i > 0 ? ", " : "", r->e));
        TRY(buf_add(&text, names[i].s, names[i].len < 100 ? names[i].len : 100, r->e));
    }
    s->other_templates = (TokenText){text.data, text.len};
    return OK;
}

static Status spec_from_gguf(GgufReader *r) {
    TokenizerSpec *s = r->spec;
    TokenText model, pre;
    char name[64] = "";
    bool prefix = true, spm;
    TRY(optional_string(r, "tokenizer.ggml.model", &model));
    TRY(optional_string(r, "tokenizer.ggml.pre", &pre));
    TRY(tokenizer_spec_kind(model, r->g->path, &spm, r->e));
    if (pre.len > 0) memcpy(name, pre.s, pre.len < sizeof name ? pre.len : sizeof name - 1);
    TRY(read_tokens(r, spm));
    if (spm) {
        TRY(gguf_bool_or(r->g, "tokenizer.ggml.add_space_prefix", true, &prefix, r->e));
        tokenizer_spec_spm(s, prefix);
        s->add_bos = true;
        TRY(read_scores(r));
    } else {
        Status st = tokenizer_spec_pre(s, pre.len > 0 ? name : NULL, r->e);
        if (st != OK) return err_prefix(r->e, st, "%s", r->g->path);
        TRY(read_merges(r));
    }
    TRY(read_added(r));
    TRY(read_ids(r, spm));
    return read_templates(r);
}

static Status load_gguf(Arena *a, Arena *scratch, const char *path, Tokenizer **out, Err *e) {
    TokenizerSpec spec = {.name = path, .bos = -1, .eos = -1, .unk = -1, .pad = -1};
    Gguf *g = NULL;
    TRY(gguf_open(scratch, path, &g, e));
    GgufReader r = {.g = g, .arena = scratch, .spec = &spec, .e = e};
    Status st = spec_from_gguf(&r);
    if (st == OK) st = tokenizer_open(a, &spec, out, e);
    gguf_close(g);
    return st;
}

/* ---- tokenizer.json and what lies beside it --------------------------------------------------------------------------- */

/* The path of a file in the folder, or NULL where there is none. */
static Status beside(Arena *scratch, const char *folder, const char *name, char **out, Err *e) {
    TRY(path_join(scratch, folder, name, out, e));
    if (!path_exists(*out)) *out = NULL;
    return OK;
}

/* eos_token_id of a config: a number or a list of numbers. They end generation; the first is EOS where no other is known. */
static Status read_end_ids(Arena *scratch, const char *folder, const char *name, TokenizerSpec *spec, Err *e) {
    char *path = NULL;
    Json *root = NULL;
    TRY(beside(scratch, folder, name, &path, e));
    if (path == NULL) return OK;
    TRY(json_read(scratch, path, CONFIG_BYTES_MAX, &root, e));
    const Json *v = json_get(root, "eos_token_id");
    uint32_t n = v == NULL ? 0 : v->type == JSON_ARRAY ? v->n : 1;
    int32_t *end = NULL;
    TRY(ARENA_NEW(scratch, spec->n_end + n, end, e));
    if (spec->n_end > 0) memcpy(end, spec->end, spec->n_end * sizeof *end);
    for (uint32_t i = 0; i < n; i++) {
        const Json *id = v->type == JSON_ARRAY ? &v->list.items[i] : v;
        if (id->type == JSON_NULL) continue;
        if (id->type != JSON_INT || id->integer < 0 || (uint64_t)id->integer >= spec->n_tokens)
            FAIL(e, ERR_FORMAT, "%s: eos_token_id is no id of the vocabulary of %zu tokens", path, spec->n_tokens);
        if (spec->kinds[id->integer] == TOKEN_ABSENT) continue;
        end[spec->n_end++] = (int32_t)id->integer;
        if (spec->eos < 0) spec->eos = (int32_t)id->integer;
    }
    spec->end = end;
    return OK;
}

static Status read_named_ends(Arena *scratch, TokenizerSpec *spec, Err *e) {
    int32_t *end = NULL;
    TRY(ARENA_NEW(scratch, spec->n_end + spec->n_added, end, e));
    if (spec->n_end > 0) memcpy(end, spec->end, spec->n_end * sizeof *end);
    for (size_t i = 0; i < spec->n_added; i++)
        if (spec->added[i].special && token_ends_generation(spec->added[i].content))
            end[spec->n_end++] = spec->added[i].id;
    spec->end = end;
    return OK;
}

/* The text of a file beside, or len 0 where there is none. */
static Status text_beside(Arena *scratch, const char *folder, const char *name, TokenText *out, Err *e) {
    char *path = NULL, *text = NULL;
    size_t len = 0;
    *out = (TokenText){"", 0};
    TRY(beside(scratch, folder, name, &path, e));
    if (path == NULL) return OK;
    TRY(file_read(scratch, path, TEMPLATE_BYTES_MAX, &text, &len, e));
    *out = (TokenText){text, len};
    return OK;
}

/* Templates in files of their own replace all those of the config. */
static Status read_template_files(Arena *scratch, const char *folder, TokenizerSpec *spec, Err *e) {
    TokenText text, tool;
    TRY(text_beside(scratch, folder, TEMPLATE_FILE, &text, e));
    TRY(text_beside(scratch, folder, TOOL_TEMPLATE_FILE, &tool, e));
    if (text.len == 0 && tool.len == 0) return OK;
    spec->chat_template = text;
    spec->tool_template = tool;
    spec->other_templates = text.len == 0 ? (TokenText){"tool_use", 8} : (TokenText){"", 0};
    return OK;
}

static Status load_json(Arena *a, Arena *scratch, const char *path, const char *folder, Tokenizer **out, Err *e) {
    TokenizerSpec spec;
    char *config = NULL;
    TRY(beside(scratch, folder, "tokenizer_config.json", &config, e));
    TRY(tokenizer_spec_from_json(scratch, path, config, &spec, e));
    TRY(read_template_files(scratch, folder, &spec, e));
    TRY(read_end_ids(scratch, folder, "generation_config.json", &spec, e));
    TRY(read_end_ids(scratch, folder, "config.json", &spec, e));
    TRY(read_named_ends(scratch, &spec, e));
    return tokenizer_open(a, &spec, out, e);
}

/* ---- which of the two -------------------------------------------------------------------------------------------------- */

static Status load_folder(Arena *a, Arena *scratch, const char *folder, Tokenizer **out, Err *e) {
    char *path = NULL;
    TRY(beside(scratch, folder, "tokenizer.json", &path, e));
    if (path == NULL)
        FAIL(e, ERR_FORMAT, "%s: no tokenizer.json in this folder; a model folder needs one (or give a GGUF file)",
             folder);
    return load_json(a, scratch, path, folder, out, e);
}

static Status is_gguf(const char *path, bool *out, Err *e) {
    FileMap map;
    TRY(file_map(path, &map, e));
    *out = map.size >= 4 && memcmp(map.data, "GGUF", 4) == 0;
    file_unmap(&map);
    return OK;
}

static Status load_any(Arena *a, Arena *scratch, const char *path, Tokenizer **out, Err *e) {
    char *folder = NULL;
    bool gguf;
    if (path_is_folder(path)) return load_folder(a, scratch, path, out, e);
    TRY(is_gguf(path, &gguf, e));
    if (gguf) return load_gguf(a, scratch, path, out, e);
    TRY(path_dirname(scratch, path, &folder, e));
    return load_json(a, scratch, path, folder, out, e);
}

Status tokenizer_load(Arena *a, const char *model_path, Tokenizer **out, Err *e) {
    Arena *scratch = NULL;
    TRY(arena_open(&scratch, "tokenizer file", e));
    arena_huge_pages(scratch);
    Status st = load_any(a, scratch, model_path, out, e);
    arena_close(scratch);
    return st;
}

static Status hash_file(Arena *a, Hasher *h, const char *folder, const char *name, Err *e) {
    char *path;
    FileMap m;
    bool found;
    TRY(path_join(a, folder, name, &path, e));
    TRY(file_map_if_there(path, &m, &found, e));
    if (!found) return OK;
    hasher_add(h, name, strlen(name) + 1);
    hasher_add(h, m.data, m.size);
    file_unmap(&m);
    return OK;
}

Status tokenizer_files_hash(Arena *scratch, const char *folder, Hash128 *out, Err *e) {
    static const char *const NAMES[] = {"tokenizer.json",   "tokenizer_config.json",  TEMPLATE_FILE,
                                        TOOL_TEMPLATE_FILE, "generation_config.json", "config.json"};
    Hasher *h;
    ArenaMark mark = arena_mark(scratch);
    TRY(hasher_open(scratch, &h, e));
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) TRY(hash_file(scratch, h, folder, NAMES[i], e));
    *out = hasher_value(h);
    arena_reset(scratch, mark);
    return OK;
}

static Status hash_metadata(Arena *scratch, const char *path, Hash128 *out, Err *e) {
    Gguf *g;
    TRY(gguf_open(scratch, path, &g, e));
    *out = hash128(g->files[0].data, g->header_bytes[0]);
    gguf_close(g);
    return OK;
}

Status tokenizer_source_hash(Arena *scratch, const char *model_path, Hash128 *out, Err *e) {
    ArenaMark mark = arena_mark(scratch);
    char *folder = NULL;
    bool gguf = false;
    Status st = path_is_folder(model_path) ? OK : is_gguf(model_path, &gguf, e);
    if (st == OK && gguf) st = hash_metadata(scratch, model_path, out, e);
    if (st == OK && !gguf && !path_is_folder(model_path)) st = path_dirname(scratch, model_path, &folder, e);
    if (st == OK && !gguf) st = tokenizer_files_hash(scratch, folder != NULL ? folder : model_path, out, e);
    arena_reset(scratch, mark);
    return st;
}
