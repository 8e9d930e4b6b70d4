/* config_write.c: a config as text: config.resolved.yaml, the keys that decide bytes, and the help. All three loop over
 * schema.def. */
#include "configs/config_internal.h"

#include "base/json.h"
#include "base/utf8.h"

#include <string.h>

/* A double-quoted YAML string; what YAML does not allow as it stands is escaped, so that it reads back the same. */
static Status put_quoted(Buf *b, const char *s, Err *e) {
    size_t len = strlen(s);
    TRY(buf_putc(b, '"', e));
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        int n = utf8_decode(s + i, len - i, &cp);
        CHECK(n > 0, "config text is not UTF-8");
        bool escaped = cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x2028 || cp == 0x2029 || cp == 0xfeff ||
                       cp == 0xfffe || cp == 0xffff;
        if (escaped)
            TRY(buf_printf(b, e, "\\u%04x", (unsigned)cp));
        else if (cp == '"' || cp == '\\')
            TRY(buf_printf(b, e, "\\%c", (char)cp));
        else
            TRY(buf_add(b, s + i, (size_t)n, e));
        i += (size_t)n;
    }
    return buf_putc(b, '"', e);
}

static Status put_list(Buf *b, const Value *v, Err *e) {
    TRY(buf_putc(b, '[', e));
    for (int64_t i = 0; i < v->n; i++) {
        if (i > 0) TRY(buf_puts(b, ", ", e));
        TRY(put_quoted(b, v->list[i], e));
    }
    return buf_putc(b, ']', e);
}

static Status put_datasets(Buf *b, const Value *v, Err *e) {
    if (v->n == 0) return buf_puts(b, " []", e);
    for (int64_t i = 0; i < v->n; i++) {
        const char *lead = "\n  - ";
        for (int f = 0; f < DATASET_FIELD_COUNT; f++) {
            if (v->datasets[i].fields[f] == NULL) continue;
            TRY(buf_printf(b, e, "%s%s: ", lead, DATASET_FIELDS[f].name));
            TRY(DATASET_FIELDS[f].number ? buf_puts(b, v->datasets[i].fields[f], e)
                                         : put_quoted(b, v->datasets[i].fields[f], e));
            lead = "\n    ";
        }
    }
    return OK;
}

static Status put_value(Buf *b, const ConfigKey *k, const Value *v, Err *e) {
    switch (k->type) {
    case KEY_STRING:
    case KEY_PATH:
        return put_quoted(b, v->string, e);
    case KEY_CHOICE:
        return buf_puts(b, v->string, e);
    case KEY_BOOL:
        return buf_puts(b, v->boolean ? "true" : "false", e);
    case KEY_INT:
    case KEY_SIZE:
        return buf_printf(b, e, "%lld", (long long)v->integer);
    case KEY_REAL:
        return json_put_real(b, v->real, e);
    case KEY_LIST:
        return put_list(b, v, e);
    case KEY_DATASETS:
        return put_datasets(b, v, e);
    }
    CHECK(false, "key type %d", (int)k->type);
}

/* A text key that is not given has no line; neither does num_epochs where max_steps decides. */
static bool has_line(const Config *c, int id) {
    const ConfigKey *k = &CONFIG_KEYS[id];
    if (id == KEY_ID_num_epochs) return c->values[KEY_ID_max_steps].integer == 0;
    if (k->type == KEY_DATASETS) return c->values[id].n > 0;
    return (k->type != KEY_STRING && k->type != KEY_PATH) || *c->values[id].string != 0;
}

Status config_write_resolved(const Config *c, Buf *out, Err *e) {
    TRY(buf_puts(out, "# Every key of this run with the value it used.\n", e));
    for (int i = 0; i < KEY_ID_COUNT; i++) {
        const ConfigKey *k = &CONFIG_KEYS[i];
        if (!has_line(c, i)) continue;
        TRY(buf_printf(out, e, "%s:%s", k->name, k->type == KEY_DATASETS ? "" : " "));
        TRY(put_value(out, k, &c->values[i], e));
        TRY(buf_putc(out, '\n', e));
    }
    return OK;
}

Status config_write_maths(const Config *c, Buf *out, Err *e) {
    for (int i = 0; i < KEY_ID_COUNT; i++) {
        const ConfigKey *k = &CONFIG_KEYS[i];
        if ((k->flags & (KEY_FREE | KEY_NO_MATHS)) != 0 || !has_line(c, i)) continue;
        TRY(buf_printf(out, e, "%s: ", k->name));
        TRY(put_value(out, k, &c->values[i], e));
        TRY(buf_putc(out, '\n', e));
    }
    return buf_printf(out, e, "rows of an optimizer step: %lld\n",
                      (long long)(c->values[KEY_ID_micro_batch_size].integer *
                                  c->values[KEY_ID_gradient_accumulation_steps].integer));
}

/* ---- help -------------------------------------------------------------------------------------------------------- */

enum { NAME_COLUMNS = 30, HELP_COLUMNS = 100 };

/* text with lines broken at spaces; the line so far is `at` columns long, further lines begin at NAME_COLUMNS. */
static Status put_wrapped(Buf *b, const char *text, int at, Err *e) {
    bool first = true;
    for (const char *word = text; *word != 0; word += strspn(word, " ")) {
        int n = (int)strcspn(word, " ");
        if (first) {
            first = false;
        } else if (at + 1 + n > HELP_COLUMNS) {
            TRY(buf_printf(b, e, "\n%*s", NAME_COLUMNS, ""));
            at = NAME_COLUMNS;
        } else {
            TRY(buf_putc(b, ' ', e));
            at++;
        }
        TRY(buf_printf(b, e, "%.*s", n, word));
        at += n;
        word += n;
    }
    return OK;
}

static Status put_name(Buf *b, const char *name, Err *e) {
    int n = (int)strlen(name) + 2;
    TRY(buf_printf(b, e, "  %s", name));
    return buf_printf(b, e, "%*s", n < NAME_COLUMNS ? NAME_COLUMNS - n : 1, "");
}

/* "a whole number from 1 to 65536; default 16" */
static Status describe(const ConfigKey *k, Buf *b, Err *e) {
    static const char *const nouns[] = {
        [KEY_STRING] = "text",        [KEY_PATH] = "path",        [KEY_CHOICE] = "one of",
        [KEY_BOOL] = "true or false", [KEY_INT] = "whole number", [KEY_REAL] = "number",
        [KEY_SIZE] = "size",          [KEY_LIST] = "list",        [KEY_DATASETS] = "list of entries",
    };
    bool ranged = k->type == KEY_INT || k->type == KEY_REAL;
    TRY(buf_printf(b, e, "(%s", nouns[k->type]));
    if (k->type == KEY_CHOICE) TRY(buf_printf(b, e, " %s", k->choices));
    if (ranged && k->min != 0.0) TRY(buf_printf(b, e, ", at least %.17g", k->min));
    if (ranged && (k->flags & KEY_OPEN_MIN) != 0) TRY(buf_puts(b, ", above 0", e));
    if (ranged && k->max <= 1.0) TRY(buf_printf(b, e, ", %s 1", (k->flags & KEY_OPEN_MAX) != 0 ? "below" : "at most"));
    if ((k->flags & KEY_REQUIRED) != 0) TRY(buf_puts(b, "; required", e));
    if (*k->default_text != 0) TRY(buf_printf(b, e, "; default %s", k->default_text));
    if ((k->flags & KEY_FREE) != 0) TRY(buf_puts(b, "; may change on --resume", e));
    return buf_putc(b, ')', e);
}

static Status help_key(Buf *b, int id, Err *e) {
    const ConfigKey *k = &CONFIG_KEYS[id];
    Buf text = {.arena = b->arena};
    int name = (int)strlen(k->name) + 3;
    TRY(buf_printf(&text, e, "%s ", k->help));
    TRY(describe(k, &text, e));
    TRY(put_name(b, k->name, e));
    TRY(put_wrapped(b, text.data, name > NAME_COLUMNS ? name : NAME_COLUMNS, e));
    return buf_putc(b, '\n', e);
}

static Status help_aliases(Buf *b, Err *e) {
    Buf text = {.arena = b->arena};
    TRY(buf_puts(&text, "Names of other tools that are read as ours:", e));
#define CONFIG_ALIAS(theirs, ours) TRY(buf_printf(&text, e, " %s=%s", #theirs, #ours));
#define DATASET_ALIAS(theirs, ours) TRY(buf_printf(&text, e, " %s=%s", #theirs, #ours));
#include "configs/schema.def"
    TRY(buf_putc(b, '\n', e));
    TRY(put_wrapped(b, text.data, 0, e));
    return buf_putc(b, '\n', e);
}

Status config_help(Buf *out, Err *e) {
    int id = 0;
#define CONFIG_SECTION(title) TRY(buf_printf(out, e, "%s%s\n", id == 0 ? "" : "\n", title));
#define CONFIG_KEY(name, type, default_text, min, max, choices, flags, help) TRY(help_key(out, id++, e));
#include "configs/schema.def"
    TRY(buf_puts(out, "\nEntries of datasets and test_datasets\n", e));
    for (int i = 0; i < DATASET_FIELD_COUNT; i++) {
        TRY(put_name(out, DATASET_FIELDS[i].name, e));
        TRY(put_wrapped(out, DATASET_FIELDS[i].help, NAME_COLUMNS, e));
        TRY(buf_putc(out, '\n', e));
    }
    return help_aliases(out, e);
}
