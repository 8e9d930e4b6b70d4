/* jsonl.c: see jsonl.h. */
#include "data/jsonl.h"

#include <string.h>

Status jsonl_open(const char *path, Jsonl *out, Err *e) {
    *out = (Jsonl){0};
    TRY(file_map(path, &out->map, e));
    if (out->map.size >= 3 && memcmp(out->map.data, "\xEF\xBB\xBF", 3) == 0) out->at = 3;
    return OK;
}

void jsonl_close(Jsonl *j) { file_unmap(&j->map); }

static bool is_blank(const char *s, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (s[i] != ' ' && s[i] != '\t') return false;
    }
    return true;
}

/* Pages that were read need not stay in memory; told in large steps. */
static void give_back(Jsonl *j, size_t line_start) {
    enum { STEP = 8 << 20 };
    if (line_start - j->given_back < STEP) return;
    file_map_forget(&j->map, j->given_back, line_start - j->given_back);
    j->given_back = line_start;
}

bool jsonl_next(Jsonl *j, const char **text, size_t *len) {
    while (j->at < j->map.size) {
        const char *start = (const char *)j->map.data + j->at;
        size_t left = j->map.size - j->at;
        give_back(j, j->at);
        const char *end = memchr(start, '\n', left);
        size_t n = end != NULL ? (size_t)(end - start) : left;
        j->at += end != NULL ? n + 1 : n;
        j->line++;
        if (n > 0 && start[n - 1] == '\r') n--;
        if (is_blank(start, n)) continue;
        *text = start;
        *len = n;
        return true;
    }
    return false;
}

Status jsonl_parse(Jsonl *j, Arena *a, Json **out, Err *e) {
    const char *text;
    size_t len;
    *out = NULL;
    if (!jsonl_next(j, &text, &len)) return OK;
    if (len > JSONL_LINE_MAX)
        FAIL(e, ERR_DATA, "%s:%lld: a line of %zu bytes is too long (at most %d)", j->map.path, (long long)j->line, len,
             (int)JSONL_LINE_MAX);
    Status st = json_parse_line(a, j->map.path, j->line, text, len, out, e);
    if (st != ERR_FORMAT) return st;
    if (e != NULL) e->status = ERR_DATA; /* a bad row, whatever is bad in it */
    return ERR_DATA;
}
