/* args.c: the command line. See cmd.h. */
#include "train/cmd.h"

#include "base/text.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static Status unknown_option(const Args *args, const char *option, Err *e) {
    const char *nearest = NULL;
    int best = INT_MAX;
    for (int i = 0; i < args->n_specs; i++) {
        int d = text_distance(option, args->specs[i].name);
        if (d < best) {
            best = d;
            nearest = args->specs[i].name;
        }
    }
    if (nearest != NULL && text_is_near(option, best))
        FAIL(e, ERR_USAGE, "unknown option '%s'; did you mean '%s'? (see --help)", option, nearest);
    FAIL(e, ERR_USAGE, "unknown option '%s' (see --help)", option);
}

static int spec_index(const Args *args, const char *name, size_t len) {
    for (int i = 0; i < args->n_specs; i++) {
        if (strlen(args->specs[i].name) == len && memcmp(args->specs[i].name, name, len) == 0) return i;
    }
    return -1;
}

/* "--kebab-key value" or "--kebab-key=value" as "kebab_key=value". Dots and digits stay. */
static Status add_override(Arena *a, Args *out, const char *key, size_t key_len, const char *value, Err *e) {
    char *text;
    TRY(arena_printf(a, &text, e, "%.*s=%s", (int)key_len, key, value));
    for (char *p = text; *p != '='; p++) {
        if (*p == '-') *p = '_';
    }
    out->overrides[out->n_overrides++] = text;
    return OK;
}

static Status parse_option(Arena *a, int argc, char **argv, int *at, unsigned flags, Args *out, Err *e) {
    const char *arg = argv[*at];
    const char *equals = strchr(arg, '=');
    size_t len = equals == NULL ? strlen(arg) : (size_t)(equals - arg);
    int i = spec_index(out, arg, len);
    bool has_next = *at + 1 < argc;
    if (i < 0) {
        if ((flags & ARGS_OVERRIDES) == 0 || len < 3 || arg[1] != '-') return unknown_option(out, arg, e);
        if (equals == NULL && !has_next) FAIL(e, ERR_USAGE, "option '%s' needs a value", arg);
        const char *value = equals != NULL ? equals + 1 : argv[++*at];
        return add_override(a, out, arg + 2, len - 2, value, e);
    }
    if (out->values[i] != NULL && (flags & ARGS_REPEAT) == 0)
        FAIL(e, ERR_USAGE, "option '%s' is given twice", out->specs[i].name);
    if (out->specs[i].value_name == NULL) {
        if (equals != NULL) FAIL(e, ERR_USAGE, "option '%s' takes no value", out->specs[i].name);
        out->values[i] = "";
    } else if (equals != NULL) {
        out->values[i] = equals + 1;
    } else if (has_next) {
        out->values[i] = argv[++*at];
    } else {
        FAIL(e, ERR_USAGE, "option '%s' needs a value (%s)", arg, out->specs[i].value_name);
    }
    return OK;
}

/* "some_key.0.name=value": an override, not a path. */
static bool is_override(const char *arg) {
    size_t n = strspn(arg, "abcdefghijklmnopqrstuvwxyz0123456789_.");
    return n > 0 && arg[0] != '.' && arg[n] == '=';
}

Status args_parse(Arena *a, int argc, char **argv, const ArgSpec *specs, int n_specs, unsigned flags, int min, int max,
                  Args *out, Err *e) {
    *out = (Args){.specs = specs, .n_specs = n_specs, .argc = argc, .argv = argv};
    bool options = true;
    TRY(arena_alloc(a, (size_t)n_specs, sizeof(char *), &out->values, e));
    TRY(arena_alloc(a, (size_t)argc, sizeof(char *), &out->positional, e));
    TRY(arena_alloc(a, (size_t)argc, sizeof(char *), &out->overrides, e));
    for (int i = 1; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && argv[i][0] == '-' && argv[i][1] != 0) {
            TRY(parse_option(a, argc, argv, &i, flags, out, e));
        } else if ((flags & ARGS_OVERRIDES) != 0 && is_override(argv[i])) {
            out->overrides[out->n_overrides++] = argv[i];
        } else {
            out->positional[out->n_positional++] = argv[i];
        }
    }
    if (out->n_positional < min)
        FAIL(e, ERR_USAGE, "%s: an argument is missing (see lorac %s --help)", argv[0], argv[0]);
    if (out->n_positional > max)
        FAIL(e, ERR_USAGE, "%s: unexpected argument '%s' (see lorac %s --help)", argv[0], out->positional[max],
             argv[0]);
    return OK;
}

const char *args_get(const Args *args, const char *name) {
    int i = spec_index(args, name, strlen(name));
    CHECK(i >= 0, "option %s is not declared", name);
    return args->values[i];
}

bool args_has(const Args *args, const char *name) { return args_get(args, name) != NULL; }

Status args_all(Arena *a, const Args *args, const char *name, const char *const **out, int *n, Err *e) {
    const char **values;
    size_t len = strlen(name);
    *n = 0;
    TRY(arena_alloc(a, (size_t)args->argc, sizeof *values, &values, e));
    for (int i = 1; i < args->argc && strcmp(args->argv[i], "--") != 0; i++) {
        const char *arg = args->argv[i];
        if (strncmp(arg, name, len) == 0 && arg[len] == '=') {
            values[(*n)++] = arg + len + 1;
            continue;
        }
        const char *equals = strchr(arg, '=');
        int spec = equals == NULL && arg[0] == '-' ? spec_index(args, arg, strlen(arg)) : -1;
        if (spec < 0 || args->specs[spec].value_name == NULL) continue;
        if (strcmp(arg, name) == 0) values[(*n)++] = args->argv[i + 1];
        i++; /* the option's value */
    }
    *out = values;
    return OK;
}

Status args_int(const Args *args, const char *name, int64_t min, int64_t max, int64_t *out, Err *e) {
    const char *s = args_get(args, name);
    if (s == NULL) return OK;
    char *end;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (end == s || *end != 0 || errno != 0 || v < min || v > max)
        FAIL(e, ERR_USAGE, "%s: got '%s', expected a whole number from %lld to %lld", name, s, (long long)min,
             (long long)max);
    *out = v;
    return OK;
}

Status args_real(const Args *args, const char *name, double min, double max, double *out, Err *e) {
    const char *s = args_get(args, name);
    if (s == NULL) return OK;
    char *end;
    double v = strtod(s, &end);
    if (end == s || *end != 0 || !isfinite(v) || v < min || v > max)
        FAIL(e, ERR_USAGE, "%s: got '%s', expected a number from %g to %g", name, s, min, max);
    *out = v;
    return OK;
}
