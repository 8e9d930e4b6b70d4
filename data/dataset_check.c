/* dataset_check.c: everything that is wrong with a row, and where exactly. See dataset_check in dataset.h. */
#include "data/dataset_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

Status check_tell(const Loader *l, Err *e) {
    char message[ERR_MESSAGE_BYTES];
    snprintf(message, sizeof message, "%s", e->message);
    l->check->bad++;
    return l->check->report(l->check->ctx, message, e);
}

/* ---- places ------------------------------------------------------------------------------------------------------- */

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

/* Where in the row's text a problem is. */
static size_t find_place(const BlockRow *row, const Json *object, const char *member) {
    size_t begin = object != NULL && object->offset > 0 ? (size_t)object->offset - 1 : 0;
    if (begin >= row->len) return 0;
    return member != NULL ? begin + find_member(row->text + begin, row->len - begin, member) : begin;
}

/* "FILE:LINE:COL", in an array "FILE:LINE:COL: element N", in front of the message: of byte `at` of the row. */
static Status place_bad(const Loader *l, const BlockRow *row, size_t at, Status st, Err *e) {
    const char *path = l->source->path;
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

/* ---- problems ----------------------------------------------------------------------------------------------------- */

/* Rows that are too long are surely not meant. */
static Status look_lengths(const Loader *l, RowSink *s, const BlockRow *row, Err *e) {
    for (int i = 0; i < row->n_parts && l->check->max_tokens > 0; i++) {
        const BlockPart *p = &row->parts[i];
        if ((int64_t)p->n <= l->check->max_tokens) continue;
        TRY(row_problem(s, e, NULL, NULL, "%s%s%zu tokens, %s is %lld", p->side != SIDE_NONE ? SIDE_NAMES[p->side] : "",
                        p->side != SIDE_NONE ? ": " : "", p->n, l->check->what, (long long)l->check->max_tokens));
    }
    return OK;
}

/* A row that lacks a field may be a row of another type. */
static void name_other_type(const Loader *l, const BlockRow *row, const Json *json, Err *e) {
    const RowType *other;
    Err none;
    if (l->type == NULL || row->bad_field == NULL || json_get(json, row->bad_field) != NULL) return;
    if (format_detect(l->source, json, &other, &none) != OK || other == l->type) return;
    err_set(e, ERR_DATA, __FILE__, __LINE__, "a row of type %s in a file of type %s (field '%s' is missing)",
            other->name, l->type->name, row->bad_field);
}

/* Everything that was found in the row beside the error, if there was one, which repeats what was found unless it is the
 * template's own. */
static Status tell_problems(const Loader *l, const RowSink *s, const BlockRow *row, Status st, Err *e) {
    Err own = *e;
    if (s->n_problems == 0 || st == ERR_OOM) return st;
    for (size_t i = 0; i < s->n_problems; i++) {
        const RowProblem *p = &s->problems[i];
        err_set(e, ERR_DATA, __FILE__, __LINE__, "%s", p->text);
        place_bad(l, row, find_place(row, p->object, p->member), ERR_DATA, e);
        if (i + 1 == s->n_problems && !(st == ERR_DATA && s->raised))
            return ERR_DATA; /* the last one makes the row bad */
        TRY(l->check->report(l->check->ctx, e->message, e));
    }
    *e = own;
    return st;
}

Status row_check(Loader *l, RowSink *s, BlockRow *row, const Json *json, Err *e) {
    s->looking = true;
    s->raised = false;
    s->problems = NULL;
    s->n_problems = s->cap_problems = 0;
    s->bad_object = NULL;
    s->bad_member = NULL;
    s->remarks = 0;
    Status st = row_add(l, s, row, json, e);
    if (st == ERR_DATA) name_other_type(l, row, json, e);
    if (st == OK) st = look_lengths(l, s, row, e);
    for (int i = 0; i < REMARK_COUNT; i++) {
        if ((s->remarks & 1u << i) != 0 && l->remarks[i].rows++ == 0) l->remarks[i].line = row->line;
    }
    if (st == ERR_DATA && row->bad_field != NULL) {
        s->bad_object = json;
        s->bad_member = row->bad_field;
    }
    if (st == ERR_DATA) place_bad(l, row, find_place(row, s->bad_object, s->bad_member), st, e);
    return tell_problems(l, s, row, st, e);
}

/* ---- notes -------------------------------------------------------------------------------------------------------- */

static Status note(const Loader *l, Err *e, const char *format, ...) __attribute__((format(printf, 3, 4)));
static Status note(const Loader *l, Err *e, const char *format, ...) {
    char text[ERR_MESSAGE_BYTES];
    va_list list;
    if (l->check->note == NULL) return OK;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return l->check->note(l->check->ctx, text, e);
}

Status check_notes(const Loader *l, const Jsonl *j, Err *e) {
    static const char *const REMARKS[] = {
        [REMARK_OPEN] = "end with a message of the user, which no answer follows",
        [REMARK_ENDLESS] = "train no end token: what is learned from them does not know where to stop"};
    const char *path = l->source->path;
    if (l->found_by != NULL)
        TRY(note(l, e, "%s: rows of type %s (detected from the fields %s)", path, l->type->name, l->found_by));
    if (j->bom) TRY(note(l, e, "%s: begins with a byte order mark, which is passed over", path));
    if (j->crlf) TRY(note(l, e, "%s: lines end in CRLF, which is read like LF", path));
    for (int i = 0; i < REMARK_COUNT; i++) {
        if (l->remarks[i].rows == 0) continue;
        TRY(note(l, e, "%s: %lld rows %s (the first: line %lld)", path, (long long)l->remarks[i].rows, REMARKS[i],
                 (long long)l->remarks[i].line));
    }
    return OK;
}
