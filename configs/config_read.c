/* config_read.c: from a YAML value to a key's value, by the key's type; names, aliases, absent keys.
 *
 * A message says what was got and what was expected, from the row of schema.def. Text of the command line has no YAML
 * types of its own, so a plain scalar from there is text for every key that wants text. */
#include "configs/config_internal.h"

#include "base/text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- messages ---------------------------------------------------------------------------------------------------- */

/* "the text 'abc'", "the number 3", "a list", "nothing". */
static const char *got(const Yaml *v, char *text, size_t size) {
    switch (v->type) {
    case YAML_STRING:
        snprintf(text, size, "the text '%.80s'", v->text);
        break;
    case YAML_INT:
    case YAML_REAL:
        snprintf(text, size, "the number %.80s", v->text);
        break;
    case YAML_BOOL:
        snprintf(text, size, "%.80s", v->text);
        break;
    default:
        snprintf(text, size, "%s", yaml_type_name(v->type));
        break;
    }
    return text;
}

static Status wrong(const Config *c, KeyId id, const Yaml *v, Place p, const char *expected, Err *e) {
    char text[128];
    const char *hint = "";
    bool quoted_number = false;
    if (v->type == YAML_STRING && v->quoted) {
        Yaml plain = {0};
        yaml_scalar(v->text, &plain);
        quoted_number = plain.type == YAML_INT || plain.type == YAML_REAL || plain.type == YAML_BOOL;
    }
    KeyType type = CONFIG_KEYS[id].type;
    bool wants_text = type == KEY_STRING || type == KEY_PATH || type == KEY_CHOICE;
    if (quoted_number && !wants_text) hint = "; leave out the quotes";
    if (wants_text && (v->type == YAML_INT || v->type == YAML_REAL || v->type == YAML_BOOL))
        hint = "; write it in quotes if it is text";
    return config_fail(c, p, e, "%s: got %s, expected %s%s", CONFIG_KEYS[id].name, got(v, text, sizeof text), expected,
                       hint);
}

static const char *range_text(const ConfigKey *k, const char *noun, char *text, size_t size) {
    snprintf(text, size, "%s from %.17g%s to %.17g%s", noun, k->min,
             (k->flags & KEY_OPEN_MIN) != 0 ? " (not itself)" : "", k->max,
             (k->flags & KEY_OPEN_MAX) != 0 ? " (not itself)" : "");
    return text;
}

static bool in_range(const ConfigKey *k, double v) {
    if (!(v >= k->min && v <= k->max)) return false; /* also refuses NaN */
    if ((k->flags & KEY_OPEN_MIN) != 0 && !(v > k->min)) return false;
    return (k->flags & KEY_OPEN_MAX) == 0 || v < k->max;
}

/* ---- one reader per type ----------------------------------------------------------------------------------------- */

static bool is_scalar(const Yaml *v) { return v->type != YAML_LIST && v->type != YAML_MAP; }

static Status read_string(Config *c, KeyId id, const Yaml *v, Place p, Value *out, Err *e) {
    bool text = v->type == YAML_STRING || (is_scalar(v) && p.origin == FROM_COMMAND_LINE);
    if (!text) return wrong(c, id, v, p, CONFIG_KEYS[id].type == KEY_PATH ? "a path" : "text", e);
    if (*v->text == 0 && *CONFIG_KEYS[id].default_text != 0) return wrong(c, id, v, p, "text that is not empty", e);
    out->string = v->text;
    return OK;
}

/* Whether `word` is one of "a|b|c". */
static bool in_choices(const char *choices, const char *word) {
    size_t len = strlen(word);
    for (const char *s = choices; s != NULL; s = strchr(s, '|')) {
        if (*s == '|') s++;
        size_t n = strcspn(s, "|");
        if (n == len && memcmp(s, word, n) == 0) return true;
    }
    return false;
}

/* true, True and TRUE are one value; so a choice that YAML reads as a truth value is compared in lower case. */
static const char *choice_text(const Yaml *v) {
    if (v->type == YAML_BOOL) return v->boolean ? "true" : "false";
    return v->text;
}

static Status read_choice(Config *c, KeyId id, const Yaml *v, Place p, Value *out, Err *e) {
    const ConfigKey *k = &CONFIG_KEYS[id];
    char expected[256], list[200];
    size_t n = 0;
    for (const char *s = k->choices; *s != 0 && n + 3 < sizeof list; s++) {
        if (*s == '|') {
            list[n++] = ',';
            list[n++] = ' ';
        } else {
            list[n++] = *s;
        }
    }
    list[n] = 0;
    bool one = strchr(k->choices, '|') == NULL;
    snprintf(expected, sizeof expected, one ? "%s (this version has no other)" : "one of %s", list);
    if (!is_scalar(v) || !in_choices(k->choices, choice_text(v))) return wrong(c, id, v, p, expected, e);
    out->string = choice_text(v);
    return OK;
}

static Status read_bool(Config *c, KeyId id, const Yaml *v, Place p, Value *out, Err *e) {
    if (v->type != YAML_BOOL) return wrong(c, id, v, p, "true or false", e);
    out->boolean = v->boolean;
    return OK;
}

static Status read_real(Config *c, KeyId id, const Yaml *v, Place p, Value *out, Err *e) {
    char expected[128];
    bool number = v->type == YAML_INT || v->type == YAML_REAL;
    if (!number || !in_range(&CONFIG_KEYS[id], v->real))
        return wrong(c, id, v, p, range_text(&CONFIG_KEYS[id], "a number", expected, sizeof expected), e);
    out->real = v->real;
    return OK;
}

/* 1e3 is a whole number too. All ranges lie below 2^53, where doubles are exact. */
static Status read_int(Config *c, KeyId id, const Yaml *v, Place p, Value *out, Err *e) {
    char expected[128];
    bool whole = v->type == YAML_INT || (v->type == YAML_REAL && floor(v->real) == v->real);
    if (!whole || !in_range(&CONFIG_KEYS[id], v->real))
        return wrong(c, id, v, p, range_text(&CONFIG_KEYS[id], "a whole number", expected, sizeof expected), e);
    out->integer = (int64_t)v->real;
    return OK;
}

static Status read_size(Config *c, KeyId id, const Yaml *v, Place p, Value *out, Err *e) {
    static const struct {
        const char *unit;
        double factor;
    } units[] = {{"", 1.0},    {"B", 1.0},      {"KB", 1e3},     {"MB", 1e6},     {"GB", 1e9},
                 {"TB", 1e12}, {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};
    const char *expected = "a size such as 600MB, 2GiB or a number of bytes";
    if (!is_scalar(v) || v->type == YAML_NULL || !isdigit((unsigned char)v->text[0]) || strpbrk(v->text, "xX") != NULL)
        return wrong(c, id, v, p, expected, e);
    char *unit;
    double number = strtod(v->text, &unit);
    while (*unit == ' ') unit++;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(unit, units[i].unit) != 0) continue;
        double bytes = number * units[i].factor;
        if (!in_range(&CONFIG_KEYS[id], bytes)) break;
        out->integer = (int64_t)bytes;
        return OK;
    }
    return wrong(c, id, v, p, expected, e);
}

/* "a, b" on one line is a list too. */
static Status split_list(Config *c, const char *text, Value *out, Err *e) {
    size_t cap = 0;
    out->n = 0;
    out->list = NULL;
    for (const char *s = text;;) {
        size_t n = strcspn(s, ",");
        const char *first = s, *last = s + n;
        while (first < last && *first == ' ') first++;
        while (last > first && last[-1] == ' ') last--;
        char *item;
        TRY(arena_strndup(c->arena, first, (size_t)(last - first), &item, e));
        TRY(arena_grow(c->arena, &out->list, &cap, (size_t)out->n, (size_t)out->n + 1, sizeof *out->list, e));
        out->list[out->n++] = item;
        if (s[n] == 0) return OK;
        s += n + 1;
    }
}

static Status read_list(Config *c, KeyId id, const Yaml *v, Place p, Value *out, Err *e) {
    const ConfigKey *k = &CONFIG_KEYS[id];
    char text[128];
    if (v->type == YAML_STRING) {
        TRY(split_list(c, v->text, out, e));
    } else if (v->type == YAML_LIST) {
        out->n = v->n;
        TRY(arena_alloc(c->arena, (size_t)v->n, sizeof *out->list, &out->list, e));
        for (int i = 0; i < v->n; i++) {
            Place item = p.origin == FROM_FILE ? (Place){FROM_FILE, v->items[i].line, v->items[i].column} : p;
            if (v->items[i].type != YAML_STRING)
                return config_fail(c, item, e, "%s: got %s, expected text", k->name,
                                   got(&v->items[i], text, sizeof text));
            out->list[i] = v->items[i].text;
        }
    } else {
        return wrong(c, id, v, p, "a list of words", e);
    }
    if (!in_range(k, (double)out->n))
        return config_fail(c, p, e, "%s: got %lld words, expected %.0f to %.0f", k->name, (long long)out->n, k->min,
                           k->max);
    for (int64_t i = 0; i < out->n; i++) {
        if (*out->list[i] == 0) return config_fail(c, p, e, "%s: an empty word in the list", k->name);
        if (k->choices != NULL && !in_choices(k->choices, out->list[i]))
            return config_fail(c, p, e, "%s: '%.80s' is not in this version (possible: %s)", k->name, out->list[i],
                               k->choices);
        for (int64_t j = 0; j < i; j++) {
            if (strcmp(out->list[i], out->list[j]) == 0)
                return config_fail(c, p, e, "%s: '%.80s' is in the list twice", k->name, out->list[i]);
        }
    }
    return OK;
}

/* ---- lists of datasets ------------------------------------------------------------------------------------------- */

static Status read_number(Config *c, const char *key, int64_t index, int f, const Yaml *v, Place p, DatasetEntry *entry,
                          Err *e) {
    const DatasetFieldRow *row = &DATASET_FIELDS[f];
    char text[128];
    bool number = v->type == YAML_INT || (v->type == YAML_REAL && isfinite(v->real));
    bool fits = number && v->real > row->above && v->real <= row->max && (!row->whole || floor(v->real) == v->real);
    if (!fits)
        return config_fail(c, p, e, "%s.%lld.%s: got %s, expected a %s above %g and at most %g", key, (long long)index,
                           row->name, got(v, text, sizeof text), row->whole ? "whole number" : "number", row->above,
                           row->max);
    entry->fields[f] = v->text;
    entry->numbers[f] = v->real;
    entry->places[f] = p;
    return OK;
}

/* A list of words as one text, with blanks between. */
static Status read_words(Config *c, const char *name, const Yaml *v, Place p, const char **out, Place *place, Err *e) {
    Buf b = {.arena = c->arena};
    char text[128];
    for (int i = 0; i < v->n; i++) {
        if (v->items[i].type != YAML_STRING || *v->items[i].text == 0 || strchr(v->items[i].text, ' ') != NULL)
            return config_fail(c, p, e, "%s: got a list with %s, expected a list of words", name,
                               got(&v->items[i], text, sizeof text));
        TRY(buf_printf(&b, e, "%s%s", i > 0 ? " " : "", v->items[i].text));
    }
    *out = b.len > 0 ? b.data : NULL;
    *place = p;
    return OK;
}

Status config_read_field(Config *c, const char *key, int64_t index, const char *field, const Yaml *v, Place p,
                         DatasetEntry *entry, Err *e) {
    int f;
    char text[128];
    TRY(config_read_field_name(c, field, v, p, &f, e));
    if (f < 0) return OK;
    if (entry->fields[f] != NULL && p.origin == FROM_FILE && entry->places[f].origin == FROM_FILE)
        return config_fail(c, p, e, "%s.%lld.%s is given twice, first in line %d", key, (long long)index,
                           DATASET_FIELDS[f].name, entry->places[f].line);
    if (DATASET_FIELDS[f].number && v->type != YAML_NULL) return read_number(c, key, index, f, v, p, entry, e);
    bool is_text = v->type == YAML_STRING || (is_scalar(v) && p.origin == FROM_COMMAND_LINE);
    if (v->type == YAML_NULL) {
        entry->fields[f] = NULL;
        return OK;
    }
    if (v->type == YAML_LIST && f == DATASET_roles_to_train)
        return read_words(c, DATASET_FIELDS[f].name, v, p, &entry->fields[f], &entry->places[f], e);
    if (!is_text)
        return config_fail(c, p, e, "%s.%lld.%s: got %s, expected text", key, (long long)index, DATASET_FIELDS[f].name,
                           got(v, text, sizeof text));
    entry->fields[f] = *v->text != 0 ? v->text : NULL;
    entry->places[f] = p;
    return OK;
}

static Status read_datasets(Config *c, KeyId id, const Yaml *v, Place p, Value *out, Err *e) {
    const char *name = CONFIG_KEYS[id].name;
    char text[128];
    if (v->type != YAML_LIST) return wrong(c, id, v, p, "a list of entries, each beginning with '- path: FILE'", e);
    out->n = v->n;
    TRY(arena_alloc(c->arena, (size_t)v->n, sizeof *out->datasets, &out->datasets, e));
    for (int i = 0; i < v->n; i++) {
        const Yaml *item = &v->items[i];
        DatasetEntry *entry = &out->datasets[i];
        entry->place = p.origin == FROM_FILE ? (Place){FROM_FILE, item->line, item->column} : p;
        if (item->type != YAML_MAP)
            return config_fail(c, entry->place, e,
                               "%s.%d: got %s, expected an entry such as {path: train.jsonl, type: text}", name, i,
                               got(item, text, sizeof text));
        for (int j = 0; j < item->n; j++) {
            Place at = p.origin == FROM_FILE ? (Place){FROM_FILE, item->keys[j].line, item->keys[j].column} : p;
            TRY(config_read_field(c, name, i, item->keys[j].text, &item->items[j], at, entry, e));
        }
    }
    return OK;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

typedef Status (*ReadValue)(Config *c, KeyId id, const Yaml *v, Place p, Value *out, Err *e);
static const ReadValue READERS[] = {
    [KEY_STRING] = read_string, [KEY_PATH] = read_string, [KEY_CHOICE] = read_choice,
    [KEY_BOOL] = read_bool,     [KEY_INT] = read_int,     [KEY_REAL] = read_real,
    [KEY_SIZE] = read_size,     [KEY_LIST] = read_list,   [KEY_DATASETS] = read_datasets,
};

typedef struct ValueAlias {
    KeyId id;
    const char *theirs, *ours;
} ValueAlias;
static const ValueAlias VALUE_ALIASES[] = {
#define CONFIG_VALUE_ALIAS(key, theirs, ours) {KEY_ID_##key, #theirs, #ours},
#include "configs/schema.def"
};

/* Replaces a value of other tools by ours, with a note. */
static Status translate(Config *c, KeyId id, const Yaml *v, Place p, Yaml *out, Err *e) {
    *out = *v;
    if (!is_scalar(v) || v->type == YAML_NULL) return OK;
    for (size_t i = 0; i < sizeof VALUE_ALIASES / sizeof VALUE_ALIASES[0]; i++) {
        const ValueAlias *alias = &VALUE_ALIASES[i];
        if (alias->id != id || strcmp(choice_text(v), alias->theirs) != 0) continue;
        char *ours;
        TRY(arena_strdup(c->arena, alias->ours, &ours, e));
        *out = (Yaml){.type = YAML_STRING, .line = v->line, .column = v->column, .text = ours};
        return config_note(c, p, e, "%s: '%s' is '%s' here", CONFIG_KEYS[id].name, alias->theirs, alias->ours);
    }
    return OK;
}

/* Default text is read by the same readers, with its own place: a plain scalar, or a flow list. */
static Status read_default(Config *c, KeyId id, Value *out, Err *e) {
    const char *text = CONFIG_KEYS[id].default_text;
    char *copy;
    Yaml v = {0};
    *out = (Value){.string = ""};
    if (*text == '[') {
        TRY(yaml_parse_value(c->arena, CONFIG_KEYS[id].name, text, &v, e));
    } else {
        TRY(arena_strdup(c->arena, text, &copy, e));
        yaml_scalar(copy, &v);
    }
    if (v.type == YAML_NULL) return OK;
    return READERS[CONFIG_KEYS[id].type](c, id, &v, out->place, out, e);
}

Status config_read_value(Config *c, KeyId id, const Yaml *v, Place p, bool *given, Err *e) {
    Value *out = &c->values[id];
    Yaml translated;
    *given = v->type != YAML_NULL;
    TRY(read_default(c, id, out, e));
    if (!*given || p.origin == FROM_DEFAULT) return OK;
    TRY(translate(c, id, v, p, &translated, e));
    TRY(READERS[CONFIG_KEYS[id].type](c, id, &translated, p, out, e));
    out->place = p;
    return OK;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

typedef struct Alias {
    const char *theirs;
    const char *ours;
} Alias;
static const Alias ALIASES[] = {
#define CONFIG_ALIAS(theirs, ours) {#theirs, #ours},
#include "configs/schema.def"
};
static const Alias FIELD_ALIASES[] = {
#define DATASET_ALIAS(theirs, ours) {#theirs, #ours},
#include "configs/schema.def"
};

typedef struct Absent {
    const char *name, *neutral, *text;
} Absent;
static const Absent ABSENT[] = {
#define CONFIG_ABSENT(name, neutral, text) {#name, neutral, text},
#include "configs/schema.def"
};
static const Absent ABSENT_FIELDS[] = {
#define DATASET_ABSENT(name, neutral, text) {#name, neutral, text},
#include "configs/schema.def"
};
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* The nearest of the names so far. */
typedef struct Nearest {
    const char *typed, *name;
    int distance;
} Nearest;

static void nearest_try(Nearest *n, const char *candidate, const char *offered) {
    int d = text_distance(n->typed, candidate);
    if (!text_is_near(n->typed, d) || (n->name != NULL && d >= n->distance)) return;
    n->distance = d;
    n->name = offered;
}

static bool asks_for_nothing(const Absent *row, const Yaml *v) {
    if (!is_scalar(v)) return v->n == 0;
    return v->type == YAML_NULL || *v->text == 0 || in_choices(row->neutral, choice_text(v));
}

static int field_find(const char *name) {
    for (int i = 0; i < DATASET_FIELD_COUNT; i++) {
        if (strcmp(DATASET_FIELDS[i].name, name) == 0) return i;
    }
    return -1;
}

static Status unknown_key(Config *c, const char *name, Place p, Err *e) {
    Nearest n = {.typed = name};
    for (int i = 0; i < KEY_ID_COUNT; i++) nearest_try(&n, CONFIG_KEYS[i].name, CONFIG_KEYS[i].name);
    for (size_t i = 0; i < COUNT(ALIASES); i++) nearest_try(&n, ALIASES[i].theirs, ALIASES[i].ours);
    if (n.name != NULL) return config_fail(c, p, e, "unknown key '%.80s'; did you mean '%s'?", name, n.name);
    if (field_find(name) >= 0)
        return config_fail(c, p, e, "unknown key '%.80s'; it belongs in an entry of datasets", name);
    return config_fail(c, p, e, "unknown key '%.80s'; lorac config defaults lists all keys", name);
}

Status config_read_name(Config *c, const char *name, const Yaml *v, Place p, int *id, Err *e) {
    *id = config_key_find(name);
    if (*id >= 0) return OK;
    for (size_t i = 0; i < COUNT(ALIASES); i++) {
        if (strcmp(ALIASES[i].theirs, name) != 0) continue;
        *id = config_key_find(ALIASES[i].ours);
        return config_note(c, p, e, "%s is %s here", name, ALIASES[i].ours);
    }
    for (size_t i = 0; i < COUNT(ABSENT); i++) {
        if (strcmp(ABSENT[i].name, name) != 0) continue;
        if (asks_for_nothing(&ABSENT[i], v)) return OK;
        return config_fail(c, p, e, "%s: %s", name, ABSENT[i].text);
    }
    return unknown_key(c, name, p, e);
}

Status config_read_field_name(Config *c, const char *name, const Yaml *v, Place p, int *field, Err *e) {
    *field = field_find(name);
    if (*field >= 0) return OK;
    Nearest n = {.typed = name};
    for (size_t i = 0; i < COUNT(FIELD_ALIASES); i++) {
        nearest_try(&n, FIELD_ALIASES[i].theirs, FIELD_ALIASES[i].ours);
        if (strcmp(FIELD_ALIASES[i].theirs, name) != 0) continue;
        *field = field_find(FIELD_ALIASES[i].ours);
        return config_note(c, p, e, "%s is %s here", name, FIELD_ALIASES[i].ours);
    }
    for (size_t i = 0; i < COUNT(ABSENT_FIELDS); i++) {
        if (strcmp(ABSENT_FIELDS[i].name, name) != 0) continue;
        if (asks_for_nothing(&ABSENT_FIELDS[i], v)) return OK;
        return config_fail(c, p, e, "%s: %s", name, ABSENT_FIELDS[i].text);
    }
    for (int i = 0; i < DATASET_FIELD_COUNT; i++) nearest_try(&n, DATASET_FIELDS[i].name, DATASET_FIELDS[i].name);
    if (n.name != NULL)
        return config_fail(c, p, e, "unknown key '%.80s' in an entry of datasets; did you mean '%s'?", name, n.name);
    return config_fail(c, p, e, "unknown key '%.80s' in an entry of datasets; lorac config defaults lists them", name);
}
