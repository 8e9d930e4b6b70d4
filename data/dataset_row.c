/* dataset_row.c: one JSON object to ids: which row type, which columns. See dataset_internal.h. */
#include "data/dataset_internal.h"

#include <stdio.h>
#include <string.h>

const char *const FIELD_NAMES[FIELD_COUNT] = {
#define X(id, name) name,
    FIELD_LIST(X)
#undef X
};

const char *format_names(void) { return "prompt_completion, text, tokens, chat, sharegpt"; }

const char *row_column(const DataSource *s, int field) {
    return s->fields[field] != NULL ? s->fields[field] : FIELD_NAMES[field];
}

/* "question, answer": the fields a row has, cut to fit. */
static const char *fields_of(const Json *row, char *text, size_t size) {
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

/* Named columns that the type does not have would be read by nobody. */
static Status check_named(const DataSource *s, const RowType *type, Err *e) {
    for (int f = 0; f < FIELD_COUNT; f++) {
        if (s->fields[f] == NULL || ((type->fields | type->optional) & 1u << f) != 0) continue;
        FAIL(e, ERR_CONFIG, "%s: field_%s is not used by rows of type %s (%s)", s->where != NULL ? s->where : s->path,
             FIELD_NAMES[f], type->name, s->path);
    }
    return OK;
}

/* The type whose columns the row has, among those that have every column named in the config. */
Status row_detect(const DataSource *s, const Json *row, const RowType **out, Err *e) {
    char text[256];
    int found = 0;
    unsigned named = 0;
    for (int f = 0; f < FIELD_COUNT; f++) {
        if (s->fields[f] != NULL) named |= 1u << f;
    }
    for (int i = 0; i < FORMAT_COUNT; i++) {
        bool fits = (named & ~(FORMATS[i].fields | FORMATS[i].optional)) == 0;
        for (int f = 0; f < FIELD_COUNT && fits; f++) {
            if ((FORMATS[i].fields & 1u << f) != 0) fits = json_get(row, row_column(s, f)) != NULL;
        }
        if (!fits) continue;
        *out = &FORMATS[i];
        found++;
    }
    if (found == 1) return OK;
    fields_of(row, text, sizeof text);
    if (found > 1)
        FAIL(e, ERR_DATA, "the fields (%s) fit more than one row type; give type (%s)", text, format_names());
    FAIL(
        e, ERR_DATA,
        "the fields (%s) fit no row type; name the columns, such as field_prompt and field_completion, or field_text (types: "
        "%s)",
        text, format_names());
}

static Status choose_type(Loader *l, const Json *row, Err *e) {
    const DataSource *s = l->source;
    const RowType *type = NULL;
    if (s->type == NULL || *s->type == 0) {
        TRY(row_detect(s, row, &type, e));
    } else {
        type = format_find(s->type);
        if (type == NULL)
            FAIL(e, ERR_CONFIG, "%s: type: got '%.80s', expected one of %s", s->where != NULL ? s->where : s->path,
                 s->type, format_names());
    }
    if (type->needs_tokenizer && l->context->tokenizer == NULL)
        FAIL(e, ERR_DATA, "rows of type %s need the model's tokenizer, and this model has none", type->name);
    if (type->needs_chat && l->context->chat == NULL)
        FAIL(e, ERR_DATA, "rows of type %s need a chat template: %s", type->name, l->context->no_chat);
    TRY(check_named(s, type, e));
    l->type = type;
    return OK;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static Status pick_values(const Loader *l, BlockRow *to, const Json *row, const Json *values[FIELD_COUNT], Err *e) {
    char text[256];
    for (int f = 0; f < FIELD_COUNT; f++) {
        values[f] = NULL;
        if (((l->type->fields | l->type->optional) & 1u << f) == 0) continue;
        const char *name = row_column(l->source, f);
        to->bad_field = name;
        values[f] = json_get(row, name);
        bool optional = (l->type->optional & 1u << f) != 0;
        if (optional && values[f] != NULL && values[f]->type == JSON_NULL) values[f] = NULL;
        if (optional && values[f] == NULL) continue;
        if (values[f] == NULL)
            FAIL(e, ERR_DATA, "field '%s' is missing (fields here: %s); field_%s names the column", name,
                 fields_of(row, text, sizeof text), FIELD_NAMES[f]);
        if (values[f]->type != l->type->types[f])
            FAIL(e, ERR_DATA, "field '%s': got %s, expected %s", name, json_type_name(values[f]->type),
                 json_type_name(l->type->types[f]));
    }
    to->bad_field = NULL;
    return OK;
}

static int32_t count_trained(const uint8_t *trained, size_t n) {
    int32_t count = 0;
    for (size_t i = 0; i < n; i++) count += trained[i];
    return count;
}

Status row_add(Loader *l, RowSink *s, BlockRow *row, const Json *json, Err *e) {
    const Json *values[FIELD_COUNT];
    if (json->type != JSON_OBJECT)
        FAIL(e, ERR_DATA, "got %s, expected an object such as {\"prompt\": \"...\", \"completion\": \"...\"}",
             json_type_name(json->type));
    if (l->type == NULL) TRY(choose_type(l, json, e));
    TRY(pick_values(l, row, json, values, e));
    s->row_start = row->start = s->n;
    row->label_row = s->n_label_rows;
    TRY(l->type->add(s, values, e));
    row->n = s->n - s->row_start;
    row->has_labels = s->n_label_rows > row->label_row;
    row->trained = row->n > 0 ? count_trained(s->trained + s->row_start, row->n) : 0;
    if (row->trained == 0)
        FAIL(e, ERR_DATA, "no trained token (%zu tokens; the first has no context and never counts)", row->n);
    return OK;
}
