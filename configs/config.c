/* config.c: the table of keys, loading, and access by key. See config.h.
 *
 * A load goes: defaults from schema.def, the file's members in order, the overrides in order, then the checks between
 * keys. Every value goes through config_read_value, whatever its origin, so a default that breaks its own row fails too. */
#include "configs/config_internal.h"

#include "base/file.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const ConfigKey CONFIG_KEYS[] = {
#define CONFIG_KEY(key, kind, text, low, high, set, bits, meaning)                                                     \
    {.name = #key,                                                                                                     \
     .default_text = (text),                                                                                           \
     .choices = (set),                                                                                                 \
     .help = (meaning),                                                                                                \
     .min = (low),                                                                                                     \
     .max = (high),                                                                                                    \
     .type = KEY_##kind,                                                                                               \
     .flags = (bits)},
#include "configs/schema.def"
};
const int CONFIG_KEY_COUNT = KEY_ID_COUNT;

const DatasetFieldRow DATASET_FIELDS[DATASET_FIELD_COUNT] = {
#define DATASET_KEY(key, meaning) {.name = #key, .help = (meaning)},
#define DATASET_NUMBER(key, low, high, is_whole, meaning)                                                              \
    {.name = #key, .help = (meaning), .number = true, .whole = (is_whole) != 0, .above = (low), .max = (high)},
#include "configs/schema.def"
};

int config_key_find(const char *name) {
    for (int i = 0; i < KEY_ID_COUNT; i++) {
        if (strcmp(CONFIG_KEYS[i].name, name) == 0) return i;
    }
    return -1;
}

/* ---- places, errors, notes --------------------------------------------------------------------------------------- */

Status config_place(const Config *c, Place p, const char **out, Err *e) {
    char *text = NULL;
    if (p.origin == FROM_FILE)
        TRY(arena_printf(c->arena, &text, e, "%s:%d:%d", c->path, p.line, p.column));
    else
        TRY(arena_strdup(c->arena, p.origin == FROM_COMMAND_LINE ? "command line" : "default", &text, e));
    *out = text;
    return OK;
}

Status config_fail(const Config *c, Place p, Err *e, const char *format, ...) {
    char message[ERR_MESSAGE_BYTES / 2];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    const char *where;
    TRY(config_place(c, p, &where, e));
    FAIL(e, ERR_CONFIG, "%s: %s", where, message);
}

Status config_note(Config *c, Place p, Err *e, const char *format, ...) {
    char message[ERR_MESSAGE_BYTES / 2];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    const char *where;
    char *text;
    TRY(config_place(c, p, &where, e));
    TRY(arena_printf(c->arena, &text, e, "%s: %s", where, message));
    TRY(arena_grow(c->arena, &c->notes, &c->cap_notes, c->n_notes, c->n_notes + 1, sizeof *c->notes, e));
    c->notes[c->n_notes++] = text;
    return OK;
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */

/* An empty value: the default. */
static Status load_default(Config *c, KeyId id, Err *e) {
    bool given;
    return config_read_value(c, id, &(Yaml){0}, (Place){.origin = FROM_DEFAULT}, &given, e);
}

static Place place_of(const Yaml *v) { return (Place){.origin = FROM_FILE, .line = v->line, .column = v->column}; }

/* A key through its alias and by its own name in one file is the same key twice. */
static Status load_member(Config *c, const Yaml *key, const Yaml *value, Err *e) {
    int id;
    bool given;
    TRY(config_read_name(c, key->text, value, place_of(key), &id, e));
    if (id < 0) return OK;
    if (c->values[id].place.origin == FROM_FILE)
        return config_fail(c, place_of(key), e, "%s is given twice, first in line %d", CONFIG_KEYS[id].name,
                           c->values[id].place.line);
    TRY(config_read_value(c, (KeyId)id, value, place_of(value), &given, e));
    if (!given && *CONFIG_KEYS[id].default_text != 0)
        return config_note(c, place_of(key), e, "%s is empty: its default %s is used", CONFIG_KEYS[id].name,
                           CONFIG_KEYS[id].default_text);
    return OK;
}

static Status load_file(Config *c, Err *e) {
    char *text;
    size_t len;
    Yaml root;
    TRY(file_read(c->arena, c->path, YAML_BYTES_MAX, &text, &len, e));
    TRY(yaml_parse(c->arena, c->path, text, len, &root, e));
    for (int i = 0; i < root.n; i++) TRY(load_member(c, &root.keys[i], &root.items[i], e));
    return OK;
}

Status config_load(Arena *a, const char *path, char *const *overrides, int n_overrides, Config **out, Err *e) {
    Config *c;
    TRY(ARENA_NEW(a, 1, c, e));
    c->arena = a;
    if (path != NULL) {
        char *copy;
        TRY(arena_strdup(a, path, &copy, e));
        c->path = copy;
    }
    for (int i = 0; i < KEY_ID_COUNT; i++) TRY(load_default(c, (KeyId)i, e));
    if (path != NULL) TRY(load_file(c, e));
    for (int i = 0; i < n_overrides; i++) TRY(config_override(c, overrides[i], e));
    TRY(config_check(c, e));
    *out = c;
    return OK;
}

/* ---- access ------------------------------------------------------------------------------------------------------ */

static const Value *value_of(const Config *c, const char *key, unsigned types) {
    int id = config_key_find(key);
    CHECK(id >= 0, "config key %s is no row of schema.def", key);
    CHECK((types >> CONFIG_KEYS[id].type & 1u) != 0, "config key %s has another type", key);
    return &c->values[id];
}

int64_t config_int(const Config *c, const char *key) {
    return value_of(c, key, 1u << KEY_INT | 1u << KEY_SIZE)->integer;
}
double config_real(const Config *c, const char *key) { return value_of(c, key, 1u << KEY_REAL)->real; }
bool config_bool(const Config *c, const char *key) { return value_of(c, key, 1u << KEY_BOOL)->boolean; }

const char *config_string(const Config *c, const char *key) {
    return value_of(c, key, 1u << KEY_STRING | 1u << KEY_PATH | 1u << KEY_CHOICE)->string;
}

const char *const *config_list(const Config *c, const char *key, int64_t *n) {
    const Value *v = value_of(c, key, 1u << KEY_LIST);
    *n = v->n;
    return v->list;
}

int64_t config_interval(const Config *c, const char *key, int64_t total_steps) {
    double v = config_real(c, key);
    if (v <= 0.0) return 0;
    return (int64_t)(v < 1.0 ? ceil(v * (double)total_steps) : v);
}

static const DatasetEntry *entry_of(const Config *c, const char *list, int64_t i, const char *field, int *index) {
    const Value *v = value_of(c, list, 1u << KEY_DATASETS);
    CHECK(i >= 0 && i < v->n, "%s has no entry %lld", list, (long long)i);
    for (*index = 0; *index < DATASET_FIELD_COUNT; ++*index) {
        if (strcmp(DATASET_FIELDS[*index].name, field) == 0) break;
    }
    CHECK(*index < DATASET_FIELD_COUNT, "dataset field %s is no row of schema.def", field);
    return &v->datasets[i];
}

int64_t config_datasets(const Config *c, const char *list) { return value_of(c, list, 1u << KEY_DATASETS)->n; }

const char *config_dataset(const Config *c, const char *list, int64_t i, const char *field) {
    int index;
    const DatasetEntry *entry = entry_of(c, list, i, field, &index);
    return entry->fields[index];
}

double config_dataset_number(const Config *c, const char *list, int64_t i, const char *field, double absent) {
    int index;
    const DatasetEntry *entry = entry_of(c, list, i, field, &index);
    CHECK(DATASET_FIELDS[index].number, "dataset field %s is no number", field);
    return entry->fields[index] != NULL ? entry->numbers[index] : absent;
}

/* Text of a place is made when it is asked for; without memory for it the bare file name has to do. */
static const char *place_text(const Config *c, Place p) {
    const char *text;
    if (config_place(c, p, &text, NULL) != OK) return c->path != NULL ? c->path : "config";
    return text;
}

Status config_dataset_where(const Config *c, const char *list, int64_t i, const char *field, const char **out, Err *e) {
    int index;
    const DatasetEntry *entry = entry_of(c, list, i, field, &index);
    return config_place(c, entry->fields[index] != NULL ? entry->places[index] : entry->place, out, e);
}

bool config_is_set(const Config *c, const char *key) { return value_of(c, key, ~0u)->place.origin != FROM_DEFAULT; }

const char *config_where(const Config *c, const char *key) { return place_text(c, value_of(c, key, ~0u)->place); }

Status config_error(const Config *c, const char *key, Err *e, const char *format, ...) {
    char message[ERR_MESSAGE_BYTES / 2];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    FAIL(e, ERR_CONFIG, "%s: %s: %s", config_where(c, key), key, message);
}

static Value *value_to_resolve(Config *c, const char *key, unsigned types) {
    (void)value_of(c, key, types);
    return &c->values[config_key_find(key)];
}

Status config_resolve_string(Config *c, const char *key, const char *value, Err *e) {
    char *copy;
    TRY(arena_strdup(c->arena, value, &copy, e));
    value_to_resolve(c, key, 1u << KEY_STRING | 1u << KEY_PATH | 1u << KEY_CHOICE)->string = copy;
    return OK;
}

void config_resolve_int(Config *c, const char *key, int64_t value) {
    value_to_resolve(c, key, 1u << KEY_INT | 1u << KEY_SIZE)->integer = value;
}

const char *const *config_notes(const Config *c, int *n) {
    *n = (int)c->n_notes;
    return c->notes;
}
