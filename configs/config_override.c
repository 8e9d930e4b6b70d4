/* config_override.c: "key=value", "list.0=value" and "datasets.0.path=value" from the command line.
 *
 * A value for a key that wants text is taken as it is, so that no path needs YAML's quotes; only a value that begins with
 * [ for a list (or datasets, or roles_to_train) is read as a YAML list. An empty value puts the default back. An index one beyond the end of
 * a list adds an item. */
#include "configs/config_internal.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

static const Place HERE = {.origin = FROM_COMMAND_LINE};

static Status scalar_of(Config *c, const char *text, Yaml *out, Err *e) {
    char *copy;
    while (*text == ' ') text++;
    TRY(arena_strdup(c->arena, text, &copy, e));
    *out = (Yaml){0};
    yaml_scalar(copy, out);
    return OK;
}

/* lists: a text that begins with [ is one. */
static Status value_of(Config *c, const char *key, const char *text, bool lists, Yaml *out, Err *e) {
    char *name;
    if (!lists || *text != '[') return scalar_of(c, text, out, e);
    TRY(arena_printf(c->arena, &name, e, "command line: %s", key));
    return yaml_parse_value(c->arena, name, text, out, e);
}

/* A whole key. */
static Status set_key(Config *c, KeyId id, const char *text, Err *e) {
    Yaml v;
    bool given;
    KeyType type = CONFIG_KEYS[id].type;
    TRY(value_of(c, CONFIG_KEYS[id].name, text, type == KEY_LIST || type == KEY_DATASETS, &v, e));
    return config_read_value(c, id, &v, HERE, &given, e);
}

/* list.INDEX=value: the list as YAML with the item replaced or added, read again as a whole. */
static Status set_item(Config *c, KeyId id, int64_t index, const char *text, Err *e) {
    const Value *old = &c->values[id];
    Yaml list = {.type = YAML_LIST};
    bool given;
    int64_t n = old->n > index ? old->n : index + 1;
    TRY(arena_alloc(c->arena, (size_t)n, sizeof *list.items, &list.items, e));
    list.n = (int)n;
    for (int64_t i = 0; i < n; i++) {
        const char *item = i == index ? text : old->list[i];
        list.items[i].type = YAML_STRING;
        TRY(arena_strdup(c->arena, item, &list.items[i].text, e));
    }
    return config_read_value(c, id, &list, HERE, &given, e);
}

/* datasets.INDEX.field=value */
static Status set_field(Config *c, KeyId id, int64_t index, const char *field, const char *text, Err *e) {
    Value *v = &c->values[id];
    Yaml value;
    bool lists = strcmp(field, DATASET_FIELDS[DATASET_roles_to_train].name) == 0;
    TRY(value_of(c, field, text, lists, &value, e));
    if (index == v->n) {
        DatasetEntry *grown;
        TRY(arena_alloc(c->arena, (size_t)v->n + 1, sizeof *grown, &grown, e));
        if (v->n > 0) memcpy(grown, v->datasets, (size_t)v->n * sizeof *grown);
        grown[v->n].place = HERE;
        v->datasets = grown;
        v->n++;
    }
    TRY(config_read_field(c, CONFIG_KEYS[id].name, index, field, &value, HERE, &v->datasets[index], e));
    v->place = HERE;
    return OK;
}

/* The digits of a path's second part. */
static Status read_index(const Config *c, KeyId id, const char *part, int64_t *index, Err *e) {
    int64_t n = c->values[id].n;
    size_t len = strspn(part, "0123456789");
    if (len == 0 || len > 9 || part[len] != 0)
        FAIL(e, ERR_USAGE, "command line: %s.%s: expected a number after the dot, such as %s.0", CONFIG_KEYS[id].name,
             part, CONFIG_KEYS[id].name);
    *index = strtoll(part, NULL, 10);
    if (*index > n)
        FAIL(e, ERR_USAGE, "command line: %s.%s: the list has %lld entries; the next one is %s.%lld",
             CONFIG_KEYS[id].name, part, (long long)n, CONFIG_KEYS[id].name, (long long)n);
    return OK;
}

static Status set_path(Config *c, KeyId id, char *rest, const char *value, Err *e) {
    int64_t index;
    KeyType type = CONFIG_KEYS[id].type;
    char *field = strchr(rest, '.');
    if (type != KEY_LIST && type != KEY_DATASETS)
        FAIL(e, ERR_USAGE, "command line: %s.%s: %s is no list", CONFIG_KEYS[id].name, rest, CONFIG_KEYS[id].name);
    if (field != NULL) *field++ = 0;
    TRY(read_index(c, id, rest, &index, e));
    if (type == KEY_LIST && field == NULL) return set_item(c, id, index, value, e);
    if (type == KEY_DATASETS && field != NULL) return set_field(c, id, index, field, value, e);
    FAIL(e, ERR_USAGE, "command line: %s.%lld: expected %s", CONFIG_KEYS[id].name, (long long)index,
         type == KEY_LIST ? "no further dot" : "a field, such as datasets.0.path");
}

Status config_override(Config *c, const char *text, Err *e) {
    char *path;
    int id;
    Yaml value;
    const char *equals = strchr(text, '=');
    size_t len = strlen(text);
    if (equals == NULL || equals == text) FAIL(e, ERR_USAGE, "command line: '%.80s': expected key=value", text);
    if (utf8_valid_prefix(text, len) != len)
        FAIL(e, ERR_USAGE, "command line: '%.*s': the value is not valid UTF-8", (int)(equals - text), text);
    const char *start = text + (strncmp(text, "--", 2) == 0 ? 2 : 0);
    TRY(arena_strndup(c->arena, start, (size_t)(equals - start), &path, e));
    for (char *p = path; *p != 0; p++) {
        if (*p == '-') *p = '_';
    }
    char *dot = strchr(path, '.');
    if (dot != NULL) *dot++ = 0;
    TRY(scalar_of(c, equals + 1, &value, e));
    Status st = config_read_name(c, path, &value, HERE, &id, e);
    if (st == ERR_CONFIG) { /* a name that is no key is a wrong command line; its message stands */
        if (e != NULL) e->status = ERR_USAGE;
        return ERR_USAGE;
    }
    TRY(st);
    if (id < 0) return OK;
    if (dot != NULL) return set_path(c, (KeyId)id, dot, equals + 1, e);
    return set_key(c, (KeyId)id, equals + 1, e);
}
