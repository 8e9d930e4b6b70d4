/* tokenizer_json_stages.c: normalizer, pre-tokenizer, decoder and post-processor of a tokenizer.json, as far as they are
 * implemented; any other stage is refused by its name. */
#include "data/tokenizer_json_internal.h"

#include <string.h>

enum { STAGES_MAX = 16 };

/* The "type" of a stage object. */
static Status stage_type(const JsonReader *r, const Json *v, const char *place, TokenText *type) {
    if (v->type != JSON_OBJECT) BAD(r, "%s is %s, expected an object", place, json_type_name(v->type));
    TRY(read_string(r, v, place, "type", type));
    if (type->len == 0) BAD(r, "%s has no type", place);
    return OK;
}

static Status refuse(const JsonReader *r, const char *place, TokenText type) {
    BAD(r, "%s \"%.*s\" is not supported", place, SHOWN(type));
}

/* Calls `read` for each stage of a Sequence, else for the stage itself. Sequences in sequences are flattened. */
typedef Status (*ReadStage)(JsonReader *r, const Json *v, TokenText type);

static Status each_stage(JsonReader *r, const Json *v, const char *place, const char *list_key, ReadStage read,
                         int depth) {
    TokenText type;
    if (v == NULL || v->type == JSON_NULL) return OK;
    TRY(stage_type(r, v, place, &type));
    if (!text_is(type, "Sequence")) return read(r, v, type);
    const Json *list = json_get(v, list_key);
    if (list == NULL || list->type != JSON_ARRAY) BAD(r, "%s.%s is missing or no list", place, list_key);
    if (depth == STAGES_MAX) BAD(r, "%s is nested too deeply", place);
    for (uint32_t i = 0; i < list->n; i++) TRY(each_stage(r, &list->list.items[i], place, list_key, read, depth + 1));
    return OK;
}

/* A pattern object: {"String": ...} or {"Regex": ...}. */
static Status read_pattern(const JsonReader *r, const Json *stage, const char *place, TokenText *out, bool *literal) {
    const Json *p = json_get(stage, "pattern");
    const Json *text = json_get(p, "String"), *regex = json_get(p, "Regex");
    const Json *v = text != NULL ? text : regex;
    *literal = text != NULL;
    if (v == NULL || v->type != JSON_STRING) BAD(r, "%s: pattern is neither {\"String\"} nor {\"Regex\"}", place);
    *out = (TokenText){v->string.s, v->string.len};
    return OK;
}

/* ---- normalizer ------------------------------------------------------------------------------------------------------ */

static Status add_normalize(JsonReader *r, NormalizeStep step) {
    TokenizerSpec *s = r->spec;
    NormalizeStep *list = NULL;
    if (s->n_normalize == STAGES_MAX) BAD(r, "normalizer has more than %d steps", STAGES_MAX);
    TRY(ARENA_NEW(r->arena, s->n_normalize + 1, list, r->e));
    if (s->n_normalize > 0) memcpy(list, s->normalize, s->n_normalize * sizeof *list);
    list[s->n_normalize++] = step;
    s->normalize = list;
    return OK;
}

static Status normalizer_stage(JsonReader *r, const Json *v, TokenText type) {
    NormalizeStep step = {0};
    bool literal = false;
    if (text_is(type, "NFC")) return add_normalize(r, (NormalizeStep){.kind = NORMALIZE_NFC});
    if (text_is(type, "Prepend")) {
        step.kind = NORMALIZE_PREPEND;
        TRY(read_string(r, v, "normalizer", "prepend", &step.to));
        return add_normalize(r, step);
    }
    if (!text_is(type, "Replace")) return refuse(r, "normalizer", type);
    step.kind = NORMALIZE_REPLACE;
    TRY(read_pattern(r, v, "normalizer", &step.from, &literal));
    TRY(read_string(r, v, "normalizer", "content", &step.to));
    if (!literal) BAD(r, "normalizer \"Replace\" of a regex is not supported");
    return step.from.len > 0 ? add_normalize(r, step) : OK;
}

Status read_normalizer(JsonReader *r, const Json *v) {
    return each_stage(r, v, "normalizer", "normalizers", normalizer_stage, 0);
}

/* ---- pre-tokenizer --------------------------------------------------------------------------------------------------- */

static const char GPT2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static Status add_pieces(JsonReader *r, PiecesStep step) {
    TokenizerSpec *s = r->spec;
    PiecesStep *list = NULL;
    if (s->n_pieces == STAGES_MAX) BAD(r, "pre_tokenizer has more than %d steps", STAGES_MAX);
    TRY(ARENA_NEW(r->arena, s->n_pieces + 1, list, r->e));
    if (s->n_pieces > 0) memcpy(list, s->pieces, s->n_pieces * sizeof *list);
    list[s->n_pieces++] = step;
    s->pieces = list;
    return OK;
}

static Status read_split(JsonReader *r, const Json *v) {
    static const char *const BEHAVIORS[] = {"Isolated", "Removed", "MergedWithPrevious", "MergedWithNext",
                                            "Contiguous"};
    PiecesStep step = {.kind = PIECES_SPLIT};
    TokenText behavior;
    TRY(read_pattern(r, v, "pre_tokenizer Split", &step.pattern, &step.literal));
    TRY(read_string(r, v, "pre_tokenizer Split", "behavior", &behavior));
    TRY(read_bool(r, v, "pre_tokenizer Split", "invert", false, &step.invert));
    for (int i = 0; i < 5; i++)
        if (text_is(behavior, BEHAVIORS[i])) {
            step.behavior = (SplitBehavior)i;
            return add_pieces(r, step);
        }
    BAD(r, "pre_tokenizer Split: the behavior \"%.*s\" is not known", SHOWN(behavior));
}

/* prepend_scheme, with the older add_prefix_space. */
static Status read_scheme(const JsonReader *r, const Json *v, const char *place, PrefixRule *out) {
    TokenText scheme;
    bool add = true;
    TRY(read_string(r, v, place, "prepend_scheme", &scheme));
    TRY(read_bool(r, v, place, "add_prefix_space", true, &add));
    *out = PREFIX_EVERY_PIECE;
    if (text_is(scheme, "first")) *out = PREFIX_FIRST_ONLY;
    if (text_is(scheme, "never") || !add) *out = PREFIX_NONE;
    if (scheme.len > 0 && !text_is(scheme, "always") && !text_is(scheme, "first") && !text_is(scheme, "never"))
        BAD(r, "%s: the prepend_scheme \"%.*s\" is not known", place, SHOWN(scheme));
    return OK;
}

static Status read_metaspace(JsonReader *r, const Json *v) {
    TokenizerSpec *s = r->spec;
    bool split = true;
    if (s->n_pieces > 0 || s->prefix_rule != PREFIX_NONE || s->space_from.len > 0)
        BAD(r, "pre_tokenizer Metaspace after another step is not supported");
    TRY(read_string(r, v, "pre_tokenizer Metaspace", "replacement", &s->space_to));
    TRY(read_bool(r, v, "pre_tokenizer Metaspace", "split", true, &split));
    TRY(read_scheme(r, v, "pre_tokenizer Metaspace", &s->prefix_rule));
    if (s->space_to.len == 0) BAD(r, "pre_tokenizer Metaspace has no replacement");
    s->space_from = (TokenText){" ", 1};
    s->prefix = s->space_to;
    if (!split) return OK;
    return add_pieces(
        r, (PiecesStep){
               .kind = PIECES_SPLIT, .behavior = SPLIT_MERGED_WITH_NEXT, .pattern = s->space_to, .literal = true});
}

static Status read_byte_level(JsonReader *r, const Json *v) {
    TokenizerSpec *s = r->spec;
    bool prefix = true, regex = true;
    TRY(read_bool(r, v, "pre_tokenizer ByteLevel", "add_prefix_space", true, &prefix));
    TRY(read_bool(r, v, "pre_tokenizer ByteLevel", "use_regex", true, &regex));
    if (prefix && (s->n_pieces > 0 || s->space_from.len > 0))
        BAD(r, "pre_tokenizer ByteLevel with add_prefix_space after another step is not supported");
    if (prefix) s->prefix_rule = PREFIX_EVERY_PIECE, s->prefix = (TokenText){" ", 1};
    s->byte_level = true;
    return regex ? add_pieces(r, (PiecesStep){.kind = PIECES_SPLIT, .pattern = {GPT2, sizeof GPT2 - 1}}) : OK;
}

static Status pre_tokenizer_stage(JsonReader *r, const Json *v, TokenText type) {
    bool alone = false;
    if (r->spec->byte_level) BAD(r, "pre_tokenizer: a step after ByteLevel is not supported");
    if (text_is(type, "Split")) return read_split(r, v);
    if (text_is(type, "Metaspace")) return read_metaspace(r, v);
    if (text_is(type, "ByteLevel")) return read_byte_level(r, v);
    if (!text_is(type, "Digits")) return refuse(r, "pre_tokenizer", type);
    TRY(read_bool(r, v, "pre_tokenizer Digits", "individual_digits", false, &alone));
    return add_pieces(r, (PiecesStep){.kind = PIECES_DIGITS, .behavior = alone ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS});
}

Status read_pre_tokenizer(JsonReader *r, const Json *v) {
    return each_stage(r, v, "pre_tokenizer", "pretokenizers", pre_tokenizer_stage, 0);
}

/* ---- decoder --------------------------------------------------------------------------------------------------------- */

/* The steps of a decoder must come in this order, each at most once. */
enum { DECODED_NOTHING, DECODED_REPLACE, DECODED_BYTES, DECODED_FUSE, DECODED_STRIP, DECODED_WHOLE };

static Status decoder_step(JsonReader *r, const Json *v, TokenText type, int *state) {
    static const char *const STEPS[] = {"", "Replace", "ByteFallback", "Fuse", "Strip"};
    TokenizerSpec *s = r->spec;
    bool literal = false;
    int step = 0;
    PrefixRule scheme;
    if (text_is(type, "ByteLevel") || text_is(type, "Metaspace")) {
        if (*state != DECODED_NOTHING) BAD(r, "decoder %.*s after another step is not supported", SHOWN(type));
        *state = DECODED_WHOLE;
        s->decode = type.s[0] == 'B' ? DECODE_BYTES : DECODE_METASPACE;
        if (s->decode == DECODE_BYTES) return OK;
        TRY(read_string(r, v, "decoder Metaspace", "replacement", &s->replace_from));
        TRY(read_scheme(r, v, "decoder Metaspace", &scheme));
        if (s->replace_from.len == 0) BAD(r, "decoder Metaspace has no replacement");
        s->replace_to = (TokenText){" ", 1};
        s->strip_start = scheme != PREFIX_NONE;
        return OK;
    }
    for (int i = DECODED_REPLACE; i <= DECODED_STRIP; i++)
        if (text_is(type, STEPS[i])) step = i;
    if (step == 0) return refuse(r, "decoder", type);
    if (step <= *state || (step == DECODED_STRIP && *state != DECODED_FUSE))
        BAD(r, "decoder: \"%s\" at this place of the sequence is not supported", STEPS[step]);
    *state = step;
    s->decode = DECODE_PIECES;
    if (step == DECODED_BYTES) s->decode_byte_fallback = true;
    if (step == DECODED_REPLACE) {
        TRY(read_pattern(r, v, "decoder Replace", &s->replace_from, &literal));
        TRY(read_string(r, v, "decoder Replace", "content", &s->replace_to));
        if (!literal) BAD(r, "decoder \"Replace\" of a regex is not supported");
    }
    if (step == DECODED_STRIP) {
        TokenText content;
        int64_t start = 0, stop = 0;
        TRY(read_string(r, v, "decoder Strip", "content", &content));
        TRY(json_want_int(v, r->path, "start", 0, 1000, &start, r->e));
        TRY(json_want_int(v, r->path, "stop", 0, 1000, &stop, r->e));
        if (!text_is(content, " ") || stop != 0)
            BAD(r, "decoder Strip of anything but spaces at the start is not supported");
        s->strip_start = (int)start;
    }
    return OK;
}

static Status decode_sequence(JsonReader *r, const Json *v, int depth, int *state) {
    TokenText type;
    TRY(stage_type(r, v, "decoder", &type));
    if (!text_is(type, "Sequence")) return decoder_step(r, v, type, state);
    const Json *list = json_get(v, "decoders");
    if (list == NULL || list->type != JSON_ARRAY || depth == STAGES_MAX)
        BAD(r, "decoder.decoders is missing or no list");
    if (*state == DECODED_NOTHING) r->spec->decode = DECODE_PIECES;
    for (uint32_t i = 0; i < list->n; i++) TRY(decode_sequence(r, &list->list.items[i], depth + 1, state));
    return OK;
}

Status read_decoder(JsonReader *r, const Json *v) {
    int state = DECODED_NOTHING;
    r->spec->decode = DECODE_WORDS;
    return v == NULL || v->type == JSON_NULL ? OK : decode_sequence(r, v, 0, &state);
}

/* ---- post-processor -------------------------------------------------------------------------------------------------- */

/* The one id a template's special token stands for. */
static Status template_id(const JsonReader *r, const Json *specials, TokenText name, int32_t *out) {
    for (uint32_t i = 0; specials != NULL && specials->type == JSON_OBJECT && i < specials->n; i++) {
        if (!(specials->list.keys[i].len == name.len && memcmp(specials->list.keys[i].s, name.s, name.len) == 0))
            continue;
        const Json *ids = json_get(&specials->list.items[i], "ids");
        if (ids == NULL || ids->type != JSON_ARRAY || ids->n != 1 || ids->list.items[0].type != JSON_INT) break;
        int64_t id = ids->list.items[0].integer;
        if (id < 0 || (size_t)id >= r->spec->n_tokens) break;
        *out = (int32_t)id;
        return OK;
    }
    BAD(r, "post_processor: special token \"%.*s\" has no single id of the vocabulary", SHOWN(name));
}

static Status post_processor_stage(JsonReader *r, const Json *v, TokenText type) {
    TokenizerSpec *s = r->spec;
    bool seen_text = false;
    if (text_is(type, "ByteLevel")) return OK;
    if (!text_is(type, "TemplateProcessing")) return refuse(r, "post_processor", type);
    const Json *single = json_get(v, "single");
    if (single == NULL || single->type != JSON_ARRAY) BAD(r, "post_processor.single is missing or no list");
    for (uint32_t i = 0; i < single->n; i++) {
        const Json *special = json_get(&single->list.items[i], "SpecialToken");
        TokenText name;
        if (special == NULL) {
            if (seen_text || json_get(&single->list.items[i], "Sequence") == NULL)
                BAD(r, "post_processor.single[%u] is neither the text nor a special token", i);
            seen_text = true;
            continue;
        }
        TRY(read_string(r, special, "post_processor", "id", &name));
        bool *add = seen_text ? &s->add_eos : &s->add_bos;
        if (*add) BAD(r, "post_processor: two special tokens on one side of the text are not supported");
        *add = true;
        TRY(template_id(r, json_get(v, "special_tokens"), name, seen_text ? &s->eos : &s->bos));
    }
    return OK;
}

Status read_post_processor(JsonReader *r, const Json *v) {
    return each_stage(r, v, "post_processor", "processors", post_processor_stage, 0);
}
