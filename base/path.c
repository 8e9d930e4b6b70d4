/* path.c: folders and names. See file.h. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

bool path_exists(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0;
}

bool path_is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

Status path_join(Arena *a, const char *dir, const char *name, char **out, Err *e) {
    size_t n = strlen(dir);
    if (name[0] == '/' || n == 0) return arena_strdup(a, name, out, e);
    return arena_printf(a, out, e, "%s%s%s", dir, dir[n - 1] == '/' ? "" : "/", name);
}

Status path_dirname(Arena *a, const char *path, char **out, Err *e) {
    const char *slash = strrchr(path, '/');
    if (slash == NULL) return arena_strdup(a, ".", out, e);
    if (slash == path) return arena_strdup(a, "/", out, e);
    return arena_strndup(a, path, (size_t)(slash - path), out, e);
}

Status make_folders(const char *path, Err *e) {
    char text[4096];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof text) FAIL(e, ERR_IO, "'%s': no usable folder name", path);
    memcpy(text, path, n + 1);
    for (char *p = text + 1;; p++) {
        if (*p != '/' && *p != 0) continue;
        char keep = *p;
        *p = 0;
        if (mkdir(text, 0777) != 0 && errno != EEXIST && !path_is_folder(text))
            FAIL(e, ERR_IO, "%s: the folder cannot be made: %s", text, strerror(errno));
        if (!path_is_folder(text)) FAIL(e, ERR_IO, "%s: is a file, a folder is needed there", text);
        *p = keep;
        if (keep == 0) return OK;
    }
}

static Status remove_at(int parent, const char *name, const char *shown, int depth, Err *e) {
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) return OK;
    if (errno != EISDIR && errno != EPERM) FAIL(e, ERR_IO, "%s: cannot be removed: %s", shown, strerror(errno));
    if (depth > 32) FAIL(e, ERR_IO, "%s: cannot be removed: folders are nested too deeply", shown);
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) FAIL(e, ERR_IO, "%s: cannot be removed: %s", shown, strerror(errno));
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        close(fd);
        FAIL(e, ERR_IO, "%s: cannot be listed: %s", shown, strerror(errno));
    }
    Status st = OK;
    struct dirent *d;
    while (st == OK && (d = readdir(dir)) != NULL) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0) continue;
        st = remove_at(dirfd(dir), d->d_name, shown, depth + 1, e);
    }
    closedir(dir);
    TRY(st);
    if (unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        FAIL(e, ERR_IO, "%s: cannot be removed: %s", shown, strerror(errno));
    return OK;
}

Status remove_tree(const char *path, Err *e) { return remove_at(AT_FDCWD, path, path, 0, e); }

Status sync_folder(const char *path, Err *e) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) FAIL(e, ERR_IO, "%s: the folder cannot be opened: %s", path, strerror(errno));
    int rc = fsync(fd), code = errno;
    close(fd);
    /* some file systems have no fsync for folders: the rename is as durable there as it gets */
    if (rc != 0 && code != EINVAL && code != ENOTSUP) FAIL(e, ERR_IO, "%s: cannot be synced: %s", path, strerror(code));
    return OK;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

Status list_folder(Arena *a, const char *path, char ***names, size_t *n, Err *e) {
    DIR *dir = opendir(path);
    size_t cap = 0;
    Status st = OK;
    struct dirent *d;
    if (dir == NULL) FAIL(e, ERR_IO, "%s: the folder cannot be listed: %s", path, strerror(errno));
    *names = NULL;
    *n = 0;
    while (st == OK && (d = readdir(dir)) != NULL) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0) continue;
        st = arena_grow(a, names, &cap, *n, *n + 1, sizeof(char *), e);
        if (st == OK) st = arena_strdup(a, d->d_name, &(*names)[*n], e);
        if (st == OK) (*n)++;
    }
    closedir(dir);
    TRY(st);
    if (*n > 1) qsort(*names, *n, sizeof(char *), by_name);
    return OK;
}

Status free_bytes(const char *path, uint64_t *out, Err *e) {
    struct statvfs v;
    char text[4096];
    size_t n = strlen(path);
    if (n >= sizeof text) FAIL(e, ERR_IO, "%s: the path is too long", path);
    memcpy(text, path, n + 1);
    while (statvfs(n == 0 ? "." : text, &v) != 0) {
        if (errno != ENOENT || n == 0) FAIL(e, ERR_IO, "%s: its disk cannot be examined: %s", path, strerror(errno));
        while (n > 0 && text[n - 1] != '/') n--;
        while (n > 1 && text[n - 1] == '/') n--;
        if (n == 1 && text[0] != '/') n = 0;
        text[n] = 0;
    }
    *out = (uint64_t)v.f_bavail * (uint64_t)v.f_frsize;
    return OK;
}
