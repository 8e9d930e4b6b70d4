/* files.c: see files.h. */
#include "data/files.h"

#include "data/bytes.h"
#include "data/pattern.h"

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

static Status matching(Arena *a, const char *pattern, DataFiles *out, Err *e) {
    const char **paths;
    size_t n;
    TRY(pattern_paths(a, pattern, &paths, &n, e));
    if (n == 0) FAIL(e, ERR_IO, "%s: no file matches this pattern", pattern);
    out->paths = paths;
    for (size_t i = 0; i < n; i++) {
        if (!path_is_folder(paths[i])) out->paths[out->n++] = paths[i];
    }
    if (out->n == 0) FAIL(e, ERR_IO, "%s: the pattern matches folders only", pattern);
    return OK;
}

Status data_files(Arena *a, const char *path, DataFiles *out, Err *e) {
    *out = (DataFiles){0};
    if (path_is_folder(path)) return in_folder(a, path, out, e);
    if (pattern_is(path, strlen(path)) && !path_exists(path)) return matching(a, path, out, e);
    TRY(ARENA_NEW(a, 1, out->paths, e));
    out->paths[0] = path;
    out->n = 1;
    return OK;
}
