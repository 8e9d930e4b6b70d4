/* dataset_row.c: one JSON object to ids: which row type, which columns. See dataset_internal.h. */
#include "data/dataset_internal.h"

#include <stdio.h>

/* Named columns that the type does not have would be read by nobody. */
static Status check_named(const DataSource *s, const RowType *type, Err *e) {
    for (int f = 0; f < FIELD_COUNT; f++) {
        if (s->fields[f] == NULL || ((type->fields | type->optional) & 1u << f) != 0) continue;
        FAIL(e, ERR_CONFIG, "%s: field_%s is not used by rows of type %s (%s)", s->where != NULL ? s->where : s->path,
             FIELD_NAMES[f], type->name, s->path);
    }
    return OK;
}

static Status choose_type(Loader *l, const Json *row, Err *e) {
    const DataSource *s = l->source;
    const RowType *type = NULL;
    const char *found_by = NULL;
    char names[256];
    if (s->type == NULL || *s->type == 0) {
        TRY(format_detect(s, row, &type, e));
        TRY(format_columns(l->names, s, type, row, &found_by, e));
    } else {
        type = format_find(s->type);
        if (type == NULL)
            FAIL(e, ERR_CONFIG, "%s: type: got '%.80s', expected one of %s", s->where != NULL ? s->where : s->path,
                 s->type, format_names(names, sizeof names));
    }
    if (type->needs_tokenizer && l->context->tokenizer == NULL)
        FAIL(e, ERR_DATA, "rows of type %s need the model's tokenizer, and this model has none", type->name);
    if (type->needs_chat && l->context->chat == NULL)
        FAIL(e, ERR_DATA, "rows of type %s need a chat template: %s", type->name, l->context->no_chat);
    TRY(check_named(s, type, e));
    l->type = type;
    l->found_by = found_by;
    return OK;
}

/* "a string or a list" */
static const char *kinds_of(unsigned types, char *text, size_t size) {
    size_t at = 0;
    for (int t = JSON_NULL; t <= JSON_OBJECT && at < size; t++) {
        if ((types & 1u << t) == 0) continue;
        int n = snprintf(text + at, size - at, "%s%s", at > 0 ? " or " : "", json_type_name((JsonType)t));
        at += n > 0 ? (size_t)n : 0;
    }
    return text;
}

static Status pick_values(const Loader *l, BlockRow *to, const Json *row, const Json *values[FIELD_COUNT], Err *e) {
    char text[256];
    for (int f = 0; f < FIELD_COUNT; f++) {
        values[f] = NULL;
        if (((l->type->fields | l->type->optional) & 1u << f) == 0) continue;
        const char *name = format_column(l->source, f);
        to->bad_field = name;
        values[f] = json_get(row, name);
        bool optional = (l->type->optional & 1u << f) != 0;
        if (optional && values[f] != NULL && values[f]->type == JSON_NULL) values[f] = NULL;
        if (optional && values[f] == NULL) continue;
        if (values[f] == NULL)
            FAIL(e, ERR_DATA, "field '%s' is missing (fields here: %s); field_%s names the column", name,
                 format_fields(row, text, sizeof text), FIELD_NAMES[f]);
        if ((l->type->types[f] & 1u << values[f]->type) == 0)
            FAIL(e, ERR_DATA, "field '%s': got %s, expected %s", name, json_type_name(values[f]->type),
                 kinds_of(l->type->types[f], text, sizeof text));
    }
    to->bad_field = NULL;
    return OK;
}

/* One row of the dataset: ids [part.start, end) of the sink. */
static Status add_part(const RowSink *s, RowPart part, size_t end, BlockRow *row, Err *e) {
    BlockPart p = {.start = part.start, .n = end - part.start, .side = (uint8_t)part.side};
    for (size_t i = part.start; i < end; i++) p.trained += s->trained[i];
    if (p.trained == 0)
        FAIL(e, ERR_DATA, "%s%sno trained token (%zu tokens; the first has no context and never counts)",
             part.side != SIDE_NONE ? SIDE_NAMES[part.side] : "", part.side != SIDE_NONE ? ": " : "", p.n);
    row->parts[row->n_parts++] = p;
    return OK;
}

Status row_add(Loader *l, RowSink *s, BlockRow *row, const Json *json, Err *e) {
    const Json *values[FIELD_COUNT];
    if (json->type != JSON_OBJECT)
        FAIL(e, ERR_DATA, "got %s, expected an object such as {\"prompt\": \"...\", \"completion\": \"...\"}",
             json_type_name(json->type));
    if (l->type == NULL) TRY(choose_type(l, json, e));
    TRY(pick_values(l, row, json, values, e));
    s->row = json;
    s->source = l->source;
    s->training = &l->source->training;
    s->row_start = s->n;
    s->n_parts = 0;
    s->bare = false;
    row->label_row = s->n_label_rows;
    TRY(l->type->add(s, values, e));
    row->has_labels = s->n_label_rows > row->label_row;
    row->bare = s->bare;
    if (s->n_parts == 0) s->parts[s->n_parts++] = (RowPart){.start = s->row_start};
    for (int i = 0; i < s->n_parts; i++)
        TRY(add_part(s, s->parts[i], i + 1 < s->n_parts ? s->parts[i + 1].start : s->n, row, e));
    return OK;
}
