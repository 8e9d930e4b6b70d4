/* peft_pattern.c: see peft_pattern.h. */
#include "checkpoints/peft_pattern.h"

#include <math.h>
#include <regex.h>
#include <string.h>

struct Pattern {
    const char *text;
    size_t len;
    bool literal, compiled;
    regex_t regex;
    double value;
};

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool all_literal(const char *s) {
    for (; *s != 0; s++)
        if (!is_word(*s) && *s != '.') return false;
    return true;
}

/* NULL when POSIX and Python read the pattern alike, else what stands against it. Repetitions of repetitions are refused
 * because regcomp takes time and memory that double with each level of them. */
static const char *not_portable(const char *s) {
    bool bracket = false, after_group = false;     /* after_group: a group with a repetition in it has just ended */
    bool repeats[PATTERN_BYTES_MAX + 1] = {false}; /* by depth of groups: a repetition is in it */
    size_t depth = 0;
    for (size_t i = 0; s[i] != 0; i++) {
        char c = s[i], next = s[i + 1];
        if (c == '\\' && (bracket || is_word(next) || next == 0))
            return "a backslash escape of a letter or in brackets";
        if (c == '\\') {
            i++;
            after_group = false;
            continue;
        }
        if (bracket) {
            if (c == '[') return "'[' in brackets";
            if (c == ']') bracket = false;
            continue;
        }
        if (c == '[') {
            bracket = true;
            after_group = false;
            if (next == '^') i++;
            if (s[i + 1] == ']') return "']' first in brackets";
        } else if (c == '(' && (next == '?' || next == '*' || next == '+' || next == '|' || next == ')')) {
            return "a group of Python's or an empty one";
        } else if (c == '{' || c == '}') {
            return "counted repetition";
        } else if ((c == '*' || c == '+' || c == '?') && (i == 0 || next == '*' || next == '+' || next == '?')) {
            return "lazy, possessive or misplaced repetition";
        } else if (c == '|' &&
                   (next == '*' || next == '+' || next == '?' || next == '|' || next == ')' || next == 0 || i == 0)) {
            return "an empty alternative";
        } else if ((c == '*' || c == '+') && after_group) {
            return "a repetition of repetitions";
        }
        after_group = c == ')' && repeats[depth];
        if (c == '*' || c == '+') repeats[depth] = true;
        if (c == '(') repeats[++depth] = false;
        if (c == ')' && depth > 0) {
            repeats[depth - 1] |= repeats[depth];
            depth--;
        }
    }
    return bracket ? "brackets that do not close" : NULL;
}

static Status compile(Arena *a, const PatternList *list, Pattern *p, Err *e) {
    const char *why = not_portable(p->text);
    if (why != NULL)
        FAIL(e, ERR_FORMAT, "%s: %s: the pattern '%s' uses %s, which is not supported; write module names instead",
             list->path, list->key, p->text, why);
    char *whole;
    TRY(arena_printf(a, &whole, e, "^(.*\\.)?(%s)$", p->text));
    int rc = regcomp(&p->regex, whole, REG_EXTENDED | REG_NOSUB);
    if (rc != 0) {
        char reason[128];
        regerror(rc, &p->regex, reason, sizeof reason);
        FAIL(e, ERR_FORMAT, "%s: %s: '%s' is no regular expression: %s", list->path, list->key, p->text, reason);
    }
    p->compiled = true;
    return OK;
}

Status pattern_list_open(Arena *a, const char *path, const Json *root, const char *key, PatternList *out, Err *e) {
    const Json *v = json_get(root, key);
    *out = (PatternList){.path = path, .key = key};
    if (v == NULL || v->type == JSON_NULL) return OK;
    if (v->type != JSON_OBJECT) FAIL(e, ERR_FORMAT, "%s: '%s' is no object", path, key);
    if (v->n > PATTERNS_MAX)
        FAIL(e, ERR_FORMAT, "%s: '%s' has %u patterns, at most %d are read", path, key, v->n, PATTERNS_MAX);
    TRY(ARENA_NEW(a, v->n, out->items, e));
    for (uint32_t i = 0; i < v->n; i++) {
        Pattern *p = &out->items[i];
        JsonString text = v->list.keys[i];
        if (text.len == 0 || text.len > PATTERN_BYTES_MAX || strlen(text.s) != text.len)
            FAIL(e, ERR_FORMAT, "%s: '%s' has a pattern of %zu bytes, expected 1 to %d without NUL", path, key,
                 text.len, PATTERN_BYTES_MAX);
        if (!json_number(&v->list.items[i], &p->value) || !(fabs(p->value) <= 1e9))
            FAIL(e, ERR_FORMAT, "%s: '%s': the value of '%s' is no number of at most 1e9", path, key, text.s);
        p->text = text.s;
        p->len = text.len;
        p->literal = all_literal(text.s);
        out->n = i + 1;
        if (!p->literal) TRY(compile(a, out, p, e));
    }
    return OK;
}

void pattern_list_close(PatternList *list) {
    for (uint32_t i = 0; i < list->n; i++) {
        if (list->items[i].compiled) regfree(&list->items[i].regex);
        list->items[i].compiled = false;
    }
}

/* The pattern (letters and '.', which stands for any character) matches the end of the name, after a '.' or whole. */
static bool literal_match(const Pattern *p, const char *module, size_t len) {
    if (p->len > len) return false;
    const char *tail = module + len - p->len;
    for (size_t i = 0; i < p->len; i++)
        if (p->text[i] != '.' && p->text[i] != tail[i]) return false;
    return tail == module || tail[-1] == '.';
}

Status pattern_list_value(const PatternList *list, const char *module, double fallback, double *out, Err *e) {
    size_t len = strlen(module);
    *out = fallback;
    for (uint32_t i = 0; i < list->n; i++) {
        const Pattern *p = &list->items[i];
        int rc = REG_NOMATCH;
        if (p->literal)
            rc = literal_match(p, module, len) ? 0 : REG_NOMATCH;
        else
            rc = regexec(&p->regex, module, 0, NULL, 0);
        if (rc == REG_NOMATCH) continue;
        if (rc != 0)
            FAIL(e, ERR_OOM, "%s: %s: matching '%s' failed for lack of memory", list->path, list->key, p->text);
        *out = p->value;
        return OK;
    }
    return OK;
}
