/* files.c: see files.h. */
#include "data/files.h"

#include "data/bytes.h"

#include <glob.h>
#include <string.h>

enum { HEAD_BYTES = 4096, LEFT_OUT_MAX = 1024 };

/* By content: what jsonl.h may be able to read. A file of many blanks first is one. */
static Status is_data(const char *path, bool *out, Err *e) {
    FileMap m;
    TRY(file_map(path, &m, e));
    size_t n = m.size < HEAD_BYTES ? m.size : HEAD_BYTES, at = 0;
    if (n >= 3 && memcmp(m.data, "\xEF\xBB\xBF", 3) == 0) at = 3;
    while (at < n && strchr(" \t\r\n", m.data[at]) != NULL && m.data[at] != 0) at++;
    *out = at == n || m.data[at] == '{' || m.data[at] == '[' || bytes_compression(m.data, m.size) != NULL;
    file_unmap(&m);
    return OK;
}

static Status in_folder(Arena *a, const char *folder, DataFiles *out, Err *e) {
    char **names;
    size_t n;
    Buf left = {.arena = a};
    TRY(list_folder(a, folder, &names, &n, e));
    TRY(ARENA_NEW(a, n, out->paths, e));
    for (size_t i = 0; i < n; i++) {
        char *path;
        bool data = false;
        if (names[i][0] == '.') continue;
        TRY(path_join(a, folder, names[i], &path, e));
        if (!path_is_folder(path)) TRY(is_data(path, &data, e));
        if (data)
            out->paths[out->n++] = path;
        else if (left.len < LEFT_OUT_MAX)
            TRY(buf_printf(&left, e, "%s%s", left.len > 0 ? ", " : "", names[i]));
        else if (left.data[left.len - 1] != '.')
            TRY(buf_puts(&left, ", ...", e));
    }
    if (left.len > 0) out->left_out = left.data;
    if (out->n > 0) return OK;
    FAIL(e, ERR_IO,
         "%s: no data file is in the folder (%s%s); data files are JSONL or JSON arrays, plain or compressed", folder,
         left.len > 0 ? "there are: " : "it is empty", left.len > 0 ? left.data : "");
}

/* glob's order follows the locale; ours does not. Insertion: glob gives nearly sorted names. */
static void sort_paths(const char **paths, size_t n) {
    for (size_t i = 1; i < n; i++) {
        const char *path = paths[i];
        size_t k = i;
        for (; k > 0 && strcmp(paths[k - 1], path) > 0; k--) paths[k] = paths[k - 1];
        paths[k] = path;
    }
}

static Status copy_matches(Arena *a, const char *pattern, const glob_t *g, DataFiles *out, Err *e) {
    TRY(ARENA_NEW(a, g->gl_pathc, out->paths, e));
    for (size_t i = 0; i < g->gl_pathc; i++) {
        char *path;
        if (path_is_folder(g->gl_pathv[i])) continue;
        TRY(arena_strdup(a, g->gl_pathv[i], &path, e));
        out->paths[out->n++] = path;
    }
    sort_paths(out->paths, out->n);
    if (out->n == 0) FAIL(e, ERR_IO, "%s: the pattern matches folders only", pattern);
    return OK;
}

static Status matching(Arena *a, const char *pattern, DataFiles *out, Err *e) {
    glob_t g = {0};
    int code = glob(pattern, 0, NULL, &g);
    Status st = OK;
    if (code == GLOB_NOSPACE)
        st = err_set(e, ERR_OOM, __FILE__, __LINE__, "%s: out of memory: the pattern cannot be matched", pattern);
    else if (code == GLOB_NOMATCH)
        st = err_set(e, ERR_IO, __FILE__, __LINE__, "%s: no file matches this pattern", pattern);
    else if (code != 0)
        st = err_set(e, ERR_IO, __FILE__, __LINE__, "%s: the pattern cannot be matched", pattern);
    else
        st = copy_matches(a, pattern, &g, out, e);
    globfree(&g);
    return st;
}

Status data_files(Arena *a, const char *path, DataFiles *out, Err *e) {
    *out = (DataFiles){0};
    if (path_is_folder(path)) return in_folder(a, path, out, e);
    if (strpbrk(path, "*?[") != NULL && !path_exists(path)) return matching(a, path, out, e);
    TRY(ARENA_NEW(a, 1, out->paths, e));
    out->paths[0] = path;
    out->n = 1;
    return OK;
}
