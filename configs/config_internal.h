/* config_internal.h: what the config_*.c files share. */
#ifndef LORAC_CONFIGS_CONFIG_INTERNAL_H
#define LORAC_CONFIGS_CONFIG_INTERNAL_H

#include "configs/config.h"
#include "configs/yaml.h"

/* Index into CONFIG_KEYS. */
typedef enum KeyId {
#define CONFIG_KEY(name, type, default_text, min, max, choices, flags, help) KEY_ID_##name,
#include "configs/schema.def"
    KEY_ID_COUNT
} KeyId;

typedef enum DatasetField {
#define DATASET_KEY(name, help) DATASET_##name,
#include "configs/schema.def"
    DATASET_FIELD_COUNT
} DatasetField;

typedef struct DatasetFieldRow {
    const char *name, *help;
    bool number, whole; /* a number above `above`, at most max */
    double above, max;
} DatasetFieldRow;
extern const DatasetFieldRow DATASET_FIELDS[DATASET_FIELD_COUNT];

typedef enum Origin { FROM_DEFAULT, FROM_FILE, FROM_COMMAND_LINE } Origin;

typedef struct Place {
    Origin origin;
    int line, column;
} Place;

typedef struct DatasetEntry {
    const char *fields[DATASET_FIELD_COUNT]; /* numbers as written */
    double numbers[DATASET_FIELD_COUNT];     /* of those that are numbers and given */
    Place places[DATASET_FIELD_COUNT];
    Place place;
} DatasetEntry;

/* A key's value; which member counts follows from the row's type. */
typedef struct Value {
    Place place;
    bool boolean;
    int64_t integer; /* INT, SIZE */
    double real;
    const char *string;
    const char **list;
    DatasetEntry *datasets;
    int64_t n; /* of list or datasets */
} Value;

struct Config {
    Arena *arena;
    const char *path; /* of the file, or NULL */
    Value values[KEY_ID_COUNT];
    const char **notes;
    size_t n_notes, cap_notes;
};

/* The row named `name`, or -1. */
int config_key_find(const char *name);
/* "FILE:LINE:COL", "command line" or "default", in the config's arena. */
Status config_place(const Config *c, Place p, const char **out, Err *e);
/* ERR_CONFIG "PLACE: message". */
Status config_fail(const Config *c, Place p, Err *e, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Adds a note "PLACE: message". */
Status config_note(Config *c, Place p, Err *e, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* config_read.c: puts a YAML value into the key's slot. An empty value means "not given": false in *given. */
Status config_read_value(Config *c, KeyId id, const Yaml *v, Place p, bool *given, Err *e);
/* One string field of a dataset entry. */
Status config_read_field(Config *c, const char *key, int64_t index, const char *field, const Yaml *v, Place p,
                         DatasetEntry *entry, Err *e);
/* What a typed name means: a key of ours (through an alias, with a note), or a key that is absent and asks for nothing
 * (-1), or an error with the nearest known name. */
Status config_read_name(Config *c, const char *name, const Yaml *v, Place name_place, int *id, Err *e);
/* Same for a field of an entry of datasets. */
Status config_read_field_name(Config *c, const char *name, const Yaml *v, Place name_place, int *field, Err *e);

/* config_override.c: one "key=value" of the command line. */
Status config_override(Config *c, const char *text, Err *e);

/* config_check.c: keys that need or exclude each other. */
Status config_check(Config *c, Err *e);

#endif
