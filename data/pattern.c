/* pattern.c: see pattern.h. */
#include "data/pattern.h"

#include "base/file.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

bool pattern_is(const char *text, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '*' || text[i] == '?' || text[i] == '[') return true;
    }
    return false;
}

/* The character at s and its bytes; a byte that begins none is one of its own. */
static size_t character(const char *s, size_t n, uint32_t *cp) {
    int k = utf8_decode(s, n, cp);
    if (k > 0) return (size_t)k;
    *cp = 0x110000u + (unsigned char)*s;
    return 1;
}

/* The set that begins at p ("[..."): its bytes, and whether it has c. 0 bytes: it is not closed, and [ is itself. */
static size_t in_set(const char *p, size_t n, uint32_t c, bool *has) {
    size_t i = 1, first;
    bool none = i < n && (p[i] == '!' || p[i] == '^'), found = false;
    if (none) i++;
    for (first = i; i < n && (p[i] != ']' || i == first);) {
        uint32_t low, high;
        i += character(p + i, n - i, &low);
        high = low;
        if (i + 1 < n && p[i] == '-' && p[i + 1] != ']') {
            i++;
            i += character(p + i, n - i, &high);
        }
        found = found || (low <= c && c <= high);
    }
    if (i >= n) return 0;
    *has = found != none;
    return i + 1;
}

/* Bytes of the pattern that match the character c, or 0. */
static size_t match_one(const char *p, size_t n, uint32_t c) {
    uint32_t want;
    bool has = false;
    if (n == 0) return 0;
    if (*p == '?') return 1;
    if (*p == '[') {
        size_t k = in_set(p, n, c, &has);
        if (k > 0) return has ? k : 0;
    }
    size_t escape = *p == '\\' && n > 1 ? 1 : 0, k = character(p + escape, n - escape, &want);
    return want == c ? escape + k : 0;
}

/* Where a star was met last the rest of the name is tried from one character later on: no more can be needed. */
bool pattern_matches(const char *pattern, size_t n, const char *name) {
    size_t len = strlen(name), p = 0, s = 0, star = SIZE_MAX, from = 0;
    if (name[0] == '.' && (n == 0 || pattern[0] != '.')) return false;
    while (s < len) {
        uint32_t c;
        size_t bytes = character(name + s, len - s, &c);
        if (p < n && pattern[p] == '*') {
            star = ++p;
            from = s;
            continue;
        }
        size_t k = match_one(pattern + p, n - p, c);
        if (k > 0) {
            p += k;
            s += bytes;
        } else if (star != SIZE_MAX) {
            p = star;
            from += character(name + from, len - from, &c);
            s = from;
        } else {
            return false;
        }
    }
    while (p < n && pattern[p] == '*') p++;
    return p == n;
}

typedef struct Paths {
    const char **list;
    size_t n, cap;
} Paths;

static Status add_path(Arena *a, Paths *p, const char *before, const char *name, size_t len, Err *e) {
    char *path;
    TRY(arena_grow(a, &p->list, &p->cap, p->n, p->n + 1, sizeof *p->list, e));
    TRY(arena_printf(a, &path, e, "%s%.*s", before, (int)len, name));
    p->list[p->n++] = path;
    return OK;
}

/* What lies in the folder `before` ("" or with a slash at its end) and matches. */
static Status add_matching(Arena *a, Paths *p, const char *before, const char *part, size_t len, Err *e) {
    char **names;
    size_t n;
    const char *folder = *before != 0 ? before : ".";
    if (!path_is_folder(folder)) return OK;
    TRY(list_folder(a, folder, &names, &n, e));
    for (size_t i = 0; i < n; i++) {
        if (pattern_matches(part, len, names[i])) TRY(add_path(a, p, before, names[i], strlen(names[i]), e));
    }
    return OK;
}

static int by_bytes(const void *pa, const void *pb) {
    return strcmp(*(const char *const *)pa, *(const char *const *)pb);
}

Status pattern_paths(Arena *a, const char *pattern, const char ***paths, size_t *n, Err *e) {
    Paths now = {0};
    TRY(add_path(a, &now, "", "", 0, e));
    for (const char *s = pattern; *s != 0;) {
        Paths next = {0};
        size_t part = strcspn(s, "/"), slashes = strspn(s + part, "/");
        for (size_t i = 0; i < now.n; i++) {
            if (pattern_is(s, part))
                TRY(add_matching(a, &next, now.list[i], s, part, e));
            else
                TRY(add_path(a, &next, now.list[i], s, part, e));
        }
        for (size_t i = 0; i < next.n && slashes > 0; i++) {
            char *path;
            TRY(arena_printf(a, &path, e, "%s%.*s", next.list[i], (int)slashes, s + part));
            next.list[i] = path;
        }
        now = next;
        s += part + slashes;
    }
    *n = 0;
    for (size_t i = 0; i < now.n; i++) {
        if (path_exists(now.list[i])) now.list[(*n)++] = now.list[i];
    }
    *paths = now.list;
    if (*n > 1) qsort(now.list, *n, sizeof *now.list, by_bytes);
    return OK;
}
