/* formats.c: the table of row types, which of them a row is of, and what their files share. See formats.h.
 *
 * prompt_completion  two texts: formats_text.c; two lists of messages: formats_chat.c, the second one trained.
 * text, tokens, input_output                  formats_text.c
 * chat, sharegpt                              formats_chat.c
 * alpaca                                      formats_alpaca.c
 * preference, kto                             formats_pairs.c
 * In every type the first id of the row has no context and is not trained, whatever its label says: Hugging Face's loss
 * shifts the labels by one and never reads the first. */
#include "data/formats_internal.h"

#include "data/tokenizer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *const FIELD_NAMES[FIELD_COUNT] = {
#define X(id, name) name,
    FIELD_LIST(X)
#undef X
};

#define TALK_FIELDS (BIT(PROMPT) | BIT(MESSAGES) | BIT(CONVERSATIONS) | BIT(INSTRUCTION))

const RowType FORMATS[] = {
    {.name = "prompt_completion",
     .fields = BIT(PROMPT) | BIT(COMPLETION),
     .optional = BIT(TOOLS),
     .types = {[FIELD_PROMPT] = IS(STRING) | IS(ARRAY),
               [FIELD_COMPLETION] = IS(STRING) | IS(ARRAY),
               [FIELD_TOOLS] = IS(ARRAY) | IS(STRING)},
     .add = add_prompt_completion,
     .needs_tokenizer = true},
    {.name = "text",
     .splits = true,
     .fields = BIT(TEXT),
     .types = {[FIELD_TEXT] = IS(STRING)},
     .add = add_whole_text,
     .needs_tokenizer = true},
    {.name = "tokens",
     .as_is = true,
     .fields = BIT(INPUT_IDS) | BIT(LABELS),
     .types = {[FIELD_INPUT_IDS] = IS(ARRAY), [FIELD_LABELS] = IS(ARRAY)},
     .add = add_tokens},
    {.name = "chat",
     .fields = BIT(MESSAGES),
     .optional = BIT(TOOLS),
     .types = {[FIELD_MESSAGES] = IS(ARRAY), [FIELD_TOOLS] = IS(ARRAY) | IS(STRING)},
     .add = add_chat,
     .needs_tokenizer = true,
     .needs_chat = true},
    {.name = "sharegpt",
     .fields = BIT(CONVERSATIONS),
     .optional = BIT(TOOLS) | BIT(SYSTEM),
     .types = {[FIELD_CONVERSATIONS] = IS(ARRAY), [FIELD_TOOLS] = IS(ARRAY) | IS(STRING), [FIELD_SYSTEM] = IS(STRING)},
     .add = add_sharegpt,
     .needs_tokenizer = true,
     .needs_chat = true},
    {.name = "alpaca",
     .fields = BIT(INSTRUCTION) | BIT(OUTPUT),
     .optional = BIT(INPUT) | BIT(SYSTEM) | BIT(HISTORY) | BIT(TOOLS),
     .types = {[FIELD_INSTRUCTION] = IS(STRING),
               [FIELD_INPUT] = IS(STRING),
               [FIELD_OUTPUT] = IS(STRING),
               [FIELD_SYSTEM] = IS(STRING),
               [FIELD_HISTORY] = IS(ARRAY),
               [FIELD_TOOLS] = IS(ARRAY) | IS(STRING)},
     .add = add_alpaca,
     .needs_tokenizer = true},
    {.name = "input_output",
     .fields = BIT(SEGMENTS),
     .types = {[FIELD_SEGMENTS] = IS(ARRAY)},
     .add = add_segments,
     .needs_tokenizer = true},
    {.name = "preference",
     .fields = BIT(CHOSEN) | BIT(REJECTED),
     .optional = TALK_FIELDS | BIT(INPUT) | BIT(SYSTEM) | BIT(HISTORY) | BIT(TOOLS),
     .types = {[FIELD_CHOSEN] = IS(STRING) | IS(ARRAY) | IS(OBJECT),
               [FIELD_REJECTED] = IS(STRING) | IS(ARRAY) | IS(OBJECT),
               [FIELD_PROMPT] = IS(STRING) | IS(ARRAY),
               [FIELD_MESSAGES] = IS(ARRAY),
               [FIELD_CONVERSATIONS] = IS(ARRAY),
               [FIELD_INSTRUCTION] = IS(STRING),
               [FIELD_INPUT] = IS(STRING),
               [FIELD_SYSTEM] = IS(STRING),
               [FIELD_HISTORY] = IS(ARRAY),
               [FIELD_TOOLS] = IS(ARRAY) | IS(STRING)},
     .add = add_preference,
     .needs_tokenizer = true},
    {.name = "kto",
     .fields = BIT(LABEL),
     .optional = TALK_FIELDS | BIT(COMPLETION) | BIT(INPUT) | BIT(OUTPUT) | BIT(SYSTEM) | BIT(HISTORY) | BIT(TOOLS),
     .any_of = {BIT(PROMPT) | BIT(COMPLETION), BIT(MESSAGES), BIT(CONVERSATIONS), BIT(INSTRUCTION) | BIT(OUTPUT)},
     .types = {[FIELD_LABEL] = IS(BOOL),
               [FIELD_PROMPT] = IS(STRING) | IS(ARRAY),
               [FIELD_COMPLETION] = IS(STRING) | IS(ARRAY),
               [FIELD_MESSAGES] = IS(ARRAY),
               [FIELD_CONVERSATIONS] = IS(ARRAY),
               [FIELD_INSTRUCTION] = IS(STRING),
               [FIELD_INPUT] = IS(STRING),
               [FIELD_OUTPUT] = IS(STRING),
               [FIELD_SYSTEM] = IS(STRING),
               [FIELD_HISTORY] = IS(ARRAY),
               [FIELD_TOOLS] = IS(ARRAY) | IS(STRING)},
     .add = add_kto,
     .needs_tokenizer = true},
};
const int FORMAT_COUNT = sizeof FORMATS / sizeof FORMATS[0];

const RowType *format_find(const char *name) {
    for (int i = 0; i < FORMAT_COUNT; i++) {
        if (strcmp(FORMATS[i].name, name) == 0) return &FORMATS[i];
    }
    return NULL;
}

const char *format_names(char *text, size_t size) {
    size_t at = 0;
    *text = 0;
    for (int i = 0; i < FORMAT_COUNT && at < size; i++) {
        int n = snprintf(text + at, size - at, "%s%s", i > 0 ? ", " : "", FORMATS[i].name);
        at += n > 0 ? (size_t)n : 0;
    }
    return text;
}

/* ---- which type -------------------------------------------------------------------------------------------------- */

const char *format_column(const DataSource *s, int field) {
    return s->fields[field] != NULL ? s->fields[field] : FIELD_NAMES[field];
}

const char *format_fields(const Json *row, char *text, size_t size) {
    size_t at = 0;
    snprintf(text, size, "none");
    for (uint32_t i = 0; i < row->n && at + 8 < size; i++) {
        int n = snprintf(text + at, size - at, "%s%.60s", i > 0 ? ", " : "", row->list.keys[i].s);
        at += n > 0 ? (size_t)n : 0;
    }
    for (char *p = text; *p != 0; p++) {
        if ((unsigned char)*p < 0x20) *p = ' ';
    }
    return text;
}

/* The fields of a type that the row has. A yes or no must be one: a column called label is often something else. */
static unsigned fields_in(const RowType *type, const DataSource *s, const Json *row) {
    unsigned found = 0;
    for (int f = 0; f < FIELD_COUNT; f++) {
        if (((type->fields | type->optional) & 1u << f) == 0) continue;
        const Json *v = json_get(row, format_column(s, f));
        if (v == NULL || (type->types[f] == IS(BOOL) && v->type != JSON_BOOL)) continue;
        found |= 1u << f;
    }
    return found;
}

static bool fits(const RowType *type, unsigned has) {
    bool any = type->any_of[0] == 0;
    for (int i = 0; i < FORMAT_ALTERNATIVES && type->any_of[i] != 0; i++) any = any || (type->any_of[i] & ~has) == 0;
    return any && (type->fields & ~has) == 0;
}

/* Whether another type fits that uses all that this one uses, and more. */
static bool is_outdone(int own, const unsigned *has) {
    for (int i = 0; i < FORMAT_COUNT; i++) {
        if (fits(&FORMATS[i], has[i]) && (has[own] & ~has[i]) == 0 && has[own] != has[i]) return true;
    }
    return false;
}

Status format_detect(const DataSource *s, const Json *row, const RowType **out, Err *e) {
    char text[256], types[256] = "";
    unsigned named = 0, has[sizeof FORMATS / sizeof FORMATS[0]];
    int found = 0;
    for (int f = 0; f < FIELD_COUNT; f++) {
        if (s->fields[f] != NULL) named |= 1u << f;
    }
    for (int i = 0; i < FORMAT_COUNT; i++) {
        bool knows = (named & ~(FORMATS[i].fields | FORMATS[i].optional)) == 0;
        has[i] = knows ? fields_in(&FORMATS[i], s, row) : 0;
    }
    for (int i = 0; i < FORMAT_COUNT; i++) {
        if (!fits(&FORMATS[i], has[i]) || is_outdone(i, has)) continue;
        *out = &FORMATS[i];
        size_t at = strlen(types);
        snprintf(types + at, sizeof types - at, "%s%s", found++ > 0 ? ", " : "", FORMATS[i].name);
    }
    if (found == 1) return OK;
    format_fields(row, text, sizeof text);
    if (found > 1) FAIL(e, ERR_DATA, "the fields (%s) fit more than one row type; give type (%s)", text, types);
    FAIL(
        e, ERR_DATA,
        "the fields (%s) fit no row type; name the columns, such as field_prompt and field_completion, or field_text (types: "
        "%s)",
        text, format_names(types, sizeof types));
}

Status format_columns(Arena *a, const DataSource *s, const RowType *type, const Json *row, const char **out, Err *e) {
    unsigned has = fields_in(type, s, row);
    Buf b = {.arena = a};
    for (uint32_t i = 0; i < row->n; i++) { /* in the row's order */
        for (int f = 0; f < FIELD_COUNT; f++) {
            if ((has & 1u << f) == 0 || strcmp(format_column(s, f), row->list.keys[i].s) != 0) continue;
            TRY(buf_printf(&b, e, "%s%s", b.len > 0 ? ", " : "", format_column(s, f)));
        }
    }
    *out = b.len > 0 ? b.data : "";
    return OK;
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

void row_begin(RowSink *s, RowSide side) {
    CHECK(s->n_parts < ROW_PARTS_MAX, "a row of more than %d parts", ROW_PARTS_MAX);
    s->row_start = s->n;
    s->parts[s->n_parts++] = (RowPart){.start = s->n, .side = side};
}

Status row_ids(RowSink *s, const int32_t *ids, size_t n, bool trained, Err *e) {
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

Status row_text(RowSink *s, const JsonString *text, unsigned flags, bool trained, Err *e) {
    int32_t *ids;
    size_t n;
    TRY(tokenizer_cache_encode(s->cache, s->scratch, text->s, text->len, TOKENIZER_SPECIAL | flags, &ids, &n, e));
    return row_ids(s, ids, n, trained, e);
}

Status row_end(RowSink *s, Err *e) {
    int32_t end = tokenizer_eos(s->context->tokenizer);
    if (end < 0)
        FAIL(e, ERR_DATA,
             "the model's tokenizer names no end token (eos); rows of type tokens can be used without one");
    return row_ids(s, &end, 1, true, e);
}

Status row_answer(RowSink *s, const JsonString *prompt, const JsonString *completion, Err *e) {
    TRY(row_text(s, prompt, TOKENIZER_BOS, false, e));
    TRY(row_text(s, completion, TOKENIZER_CONTINUATION, true, e));
    return row_end(s, e);
}

/* ---- what is bad ------------------------------------------------------------------------------------------------- */

void row_blame(RowSink *s, const Json *object, const char *member) {
    s->bad_object = object;
    s->bad_member = member;
}

void row_blame_field(RowSink *s, int field) { row_blame(s, s->row, format_column(s->source, field)); }

Status row_problem(RowSink *s, Err *e, const Json *object, const char *member, const char *format, ...) {
    char text[ERR_MESSAGE_BYTES / 2], *copy;
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    TRY(arena_strdup(s->scratch, text, &copy, e));
    TRY(arena_grow(s->scratch, &s->problems, &s->cap_problems, s->n_problems, s->n_problems + 1, sizeof *s->problems,
                   e));
    s->problems[s->n_problems++] = (RowProblem){object, member, copy};
    return OK;
}

bool text_is_blank(const JsonString *s) {
    for (size_t i = 0; i < s->len; i++) {
        if (strchr(" \t\r\n", s->s[i]) == NULL || s->s[i] == 0) return false;
    }
    return true;
}

Status row_look_blank(RowSink *s, int field, const JsonString *text, Err *e) {
    const char *name = format_column(s->source, field);
    if (!s->looking || !text_is_blank(text)) return OK;
    return row_problem(s, e, s->row, name, "field '%s' is %s", name, text->len == 0 ? "empty" : "blank");
}
