/* peft_pattern.h: PEFT's rank_pattern and alpha_pattern: an object from a pattern to a number.
 *
 * A module takes the value of the first pattern P for which the regular expression (.*\.)?(P)$ matches its name (PEFT
 * utils/other.py, get_pattern_key). Patterns of letters, digits, '_' and '.' are compared directly; others go through
 * POSIX extended expressions, after refusing all syntax in which Python's differ (backslash escapes of letters, groups
 * that begin "(?", counted, lazy and nested repetition), so that what is accepted matches the same names. */
#ifndef LORAC_CHECKPOINTS_PEFT_PATTERN_H
#define LORAC_CHECKPOINTS_PEFT_PATTERN_H

#include "base/json.h"

enum { PATTERNS_MAX = 4096, PATTERN_BYTES_MAX = 1000 };

typedef struct Pattern Pattern;
typedef struct PatternList {
    const char *path, *key; /* for messages */
    Pattern *items;
    uint32_t n;
} PatternList;

/* Reads root[key] (missing or null: no patterns). ERR_FORMAT names the pattern that cannot be used. pattern_list_close
 * is needed even then. */
Status pattern_list_open(Arena *a, const char *path, const Json *root, const char *key, PatternList *out, Err *e);
void pattern_list_close(PatternList *p);

/* The value of the first pattern that matches, or fallback. */
Status pattern_list_value(const PatternList *p, const char *module, double fallback, double *out, Err *e);

#endif
