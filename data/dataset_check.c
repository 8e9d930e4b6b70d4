/* dataset_check.c: what is wrong with a row, and where exactly. See dataset_check in dataset.h. */
#include "data/dataset_internal.h"

#include <string.h>

/* Where the name of a member of the outermost object stands in the row's text (valid JSON); 0 when it is not written plainly. */
static size_t find_member(const char *text, size_t len, const char *name) {
    size_t n = strlen(name);
    bool is_name = false; /* the next string names a member */
    for (size_t i = 0, depth = 0; i < len; i++) {
        char c = text[i];
        if (c == '{' || c == '[') is_name = ++depth == 1;
        if (c == '}' || c == ']') depth--;
        if (c == ',') is_name = depth == 1;
        if (c != '"') continue;
        size_t end = i + 1;
        while (end < len && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
        if (is_name && end - i - 1 == n && memcmp(text + i + 1, name, n) == 0) return i;
        is_name = false;
        i = end;
    }
    return 0;
}

/* "FILE:LINE:COL", in an array "FILE:LINE:COL: element N", in front of the message: of the member the error is about, or of
 * the row. */
static Status place_bad(const Loader *l, const BlockRow *row, Status st, Err *e) {
    const char *path = l->source->path;
    size_t at = row->bad_field != NULL ? find_member(row->text, row->len, row->bad_field) : 0;
    int64_t line = row->line, column = row->column;
    for (size_t i = 0; i < at; i++) {
        if (row->text[i] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)row->text[i] & 0xC0) != 0x80) {
            column++;
        }
    }
    if (row->element == 0) return err_prefix(e, st, "%s:%lld:%lld", path, (long long)line, (long long)column);
    return err_prefix(e, st, "%s:%lld:%lld: element %lld", path, (long long)line, (long long)column,
                      (long long)row->element);
}

static bool is_blank(const JsonString *s) {
    for (size_t i = 0; i < s->len; i++) {
        if (strchr(" \t\r\n", s->s[i]) == NULL || s->s[i] == 0) return false;
    }
    return true;
}

/* What can be trained on, but surely was not meant. */
static Status check_meaning(const Loader *l, BlockRow *row, const Json *json, Err *e) {
    static const int TEXTS[] = {FIELD_COMPLETION, FIELD_TEXT};
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        if ((l->type->fields & 1u << TEXTS[i]) == 0) continue;
        const char *name = row_column(l->source, TEXTS[i]);
        if (!is_blank(&json_get(json, name)->string)) continue;
        row->bad_field = name;
        FAIL(e, ERR_DATA, "field '%s' is %s", name, json_get(json, name)->string.len == 0 ? "empty" : "blank");
    }
    if (l->check->max_tokens <= 0 || (int64_t)row->n <= l->check->max_tokens) return OK;
    FAIL(e, ERR_DATA, "%zu tokens, %s is %lld", row->n, l->check->what, (long long)l->check->max_tokens);
}

/* A row that lacks a field may be a row of another type. */
static void name_other_type(const Loader *l, const BlockRow *row, const Json *json, Err *e) {
    const RowType *other;
    Err none;
    if (l->type == NULL || row->bad_field == NULL || json_get(json, row->bad_field) != NULL) return;
    if (row_detect(l->source, json, &other, &none) != OK || other == l->type) return;
    err_set(e, ERR_DATA, __FILE__, __LINE__, "a row of type %s in a file of type %s (field '%s' is missing)",
            other->name, l->type->name, row->bad_field);
}

Status row_check(const Loader *l, BlockRow *row, const Json *json, Status st, Err *e) {
    if (st == ERR_DATA) name_other_type(l, row, json, e);
    if (st == OK) st = check_meaning(l, row, json, e);
    return st == ERR_DATA ? place_bad(l, row, st, e) : st;
}
