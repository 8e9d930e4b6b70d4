/* config.h: what the person asked for: a flat YAML file and `key=value` overrides, checked against schema.def.
 *
 * schema.def is the only list of keys: names, types, ranges, defaults and help come from there. Strict: an unknown key
 * names the nearest known one, a wrong type or range says what was got and expected, each with FILE:LINE:COL (or "command
 * line"). A key of other tools, or one that this version does not have, is refused with what to write instead, unless its
 * value asks for nothing. Keys that contradict each other are an error, keys that a stronger one replaces give a note.
 * A Config lives in its arena and never changes but through config_resolve_*. */
#ifndef LORAC_CONFIGS_CONFIG_H
#define LORAC_CONFIGS_CONFIG_H

#include "base/buf.h"

typedef struct Config Config;

/* Reads the file (NULL: defaults and overrides only), then applies the overrides in order, then checks.
 * An override is "key=value" (the key with - or _; a list item as "datasets.0.path=x"); the value is read as a YAML
 * scalar or a flow list ("[q_proj, v_proj]"). Errors: ERR_IO, ERR_CONFIG; overrides that are no key=value: ERR_USAGE. */
Status config_load(Arena *a, const char *path, char *const *overrides, int n_overrides, Config **out, Err *e);

/* Values by key. The key must be a row of schema.def of that type (CHECK). Strings are never NULL: "" = not given. */
int64_t config_int(const Config *c, const char *key); /* INT, and SIZE in bytes */
double config_real(const Config *c, const char *key);
bool config_bool(const Config *c, const char *key);
const char *config_string(const Config *c, const char *key); /* STRING, PATH, CHOICE */
const char *const *config_list(const Config *c, const char *key, int64_t *n);

/* A key that counts steps (eval_steps, save_steps): 1 or more is a number of steps; a fraction below 1 is that share of
 * total_steps, rounded up, as Hugging Face does; 0 gives 0: only at the end. */
int64_t config_interval(const Config *c, const char *key, int64_t total_steps);

/* Entries of `datasets` or `test_datasets`, in order. config_dataset gives NULL for a field that was not given (path is
 * always given). Fields: the DATASET_KEY rows of schema.def (CHECK). */
int64_t config_datasets(const Config *c, const char *list);
const char *config_dataset(const Config *c, const char *list, int64_t i, const char *field);
/* The same for fields that are numbers (DATASET_NUMBER); `absent` where it was not given. */
double config_dataset_number(const Config *c, const char *list, int64_t i, const char *field, double absent);
/* Where a field was given (like config_where), for DataSource.where; of the entry when the field was not given. */
Status config_dataset_where(const Config *c, const char *list, int64_t i, const char *field, const char **out, Err *e);

/* True when the file or an override gave the key. */
bool config_is_set(const Config *c, const char *key);
/* "FILE:LINE:COL", "command line" or "default". */
const char *config_where(const Config *c, const char *key);
/* ERR_CONFIG "WHERE: KEY: message": for checks that need more than the config (the model's context, a file's type). */
Status config_error(const Config *c, const char *key, Err *e, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Replaces a value that was `auto` or a default by what the run really uses, so that config.resolved.yaml records it. */
Status config_resolve_string(Config *c, const char *key, const char *value, Err *e);
void config_resolve_int(Config *c, const char *key, int64_t value);

/* Notes for the person ("lora_rank is lora_r here"), in order of the file; n may be 0. */
const char *const *config_notes(const Config *c, int *n);

/* Every key with the value the run uses, as YAML that config_load reads back to the same values. Deterministic. */
Status config_write_resolved(const Config *c, Buf *out, Err *e);
/* The keys that decide the adapter's bytes, one "key: value" a line, for state.h5: a resumed run must have the same text.
 * Paths of base and data are left out (their content is compared by hash); micro_batch_size and
 * gradient_accumulation_steps appear as their product only. */
Status config_write_maths(const Config *c, Buf *out, Err *e);
/* All keys with type, range, default and meaning: the text of `--help` and of the manual. */
Status config_help(Buf *out, Err *e);

/* ---- the rows, for tests and tools ------------------------------------------------------------------------------- */

typedef enum KeyType {
    KEY_STRING,
    KEY_PATH,
    KEY_CHOICE,
    KEY_BOOL,
    KEY_INT,
    KEY_REAL,
    KEY_SIZE,
    KEY_LIST,
    KEY_DATASETS
} KeyType;

enum { KEY_FREE = 1, KEY_REQUIRED = 2, KEY_NO_MATHS = 4, KEY_OPEN_MIN = 8, KEY_OPEN_MAX = 16 }; /* see schema.def */

typedef struct ConfigKey {
    const char *name, *default_text; /* default as YAML text; "" = not given */
    const char *choices;             /* "a|b|c" for CHOICE and LIST, or NULL */
    const char *help;
    double min, max;
    KeyType type;
    unsigned flags;
} ConfigKey;

extern const ConfigKey CONFIG_KEYS[];
extern const int CONFIG_KEY_COUNT;

#endif
