/* path.c: folders and names. See file.h. */
#define _GNU_SOURCE /* renameat2 */
#include "base/file.h"

#include "base/fault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

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

/* One after another from the top. *again: what was there a moment ago is gone, so another process removes it. */
static Status try_folders(const char *path, bool *again, Err *e) {
    char text[PATH_BYTES];
    size_t n = strlen(path);
    memcpy(text, path, n + 1);
    for (char *p = text + 1;; p++) {
        if (*p != '/' && *p != 0) continue;
        char keep = *p;
        *p = 0;
        FAULT_KILL();
        int code = mkdir(text, 0777) == 0 ? 0 : errno;
        bool folder = path_is_folder(text);
        *again = !folder && (code == 0 || code == ENOENT || (code == EEXIST && !path_exists(text)));
        if (!folder && code != 0 && code != EEXIST)
            FAIL(e, ERR_IO, "%s: the folder cannot be made: %s", text, strerror(code));
        if (!folder && *again) FAIL(e, ERR_IO, "%s: another process removes the folder again and again", text);
        if (!folder) FAIL(e, ERR_IO, "%s: is a file, a folder is needed there", text);
        *p = keep;
        if (keep == 0) return OK;
    }
}

Status make_folders(const char *path, Err *e) {
    enum { TRIES = 100 };
    bool again = true;
    Status st = OK;
    size_t n = strlen(path);
    if (n == 0 || n >= PATH_BYTES) FAIL(e, ERR_IO, "'%s': no usable folder name", path);
    for (int i = 0; i < TRIES && again; i++) {
        st = try_folders(path, &again, e);
        if (st == OK) return OK;
    }
    return st;
}

/* The next entry but "." and ".."; NULL at the end. */
static Status next_name(DIR *dir, const char *path, const char **name, Err *e) {
    for (;;) {
        errno = 0;
        struct dirent *d = readdir(dir);
        if (d == NULL && errno != 0) FAIL(e, ERR_IO, "%s: cannot be listed: %s", path, strerror(errno));
        *name = d == NULL ? NULL : d->d_name;
        if (d == NULL || (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)) return OK;
    }
}

static Status remove_at(int parent, const char *name, const char *shown, int depth, Err *e) {
    FAULT_KILL();
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) return OK;
    int first = errno;
    if (first != EISDIR && first != EPERM) FAIL(e, ERR_IO, "%s: cannot be removed: %s", shown, strerror(first));
    if (depth > 32) FAIL(e, ERR_IO, "%s: cannot be removed: folders are nested too deeply", shown);
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return OK;
    if (fd < 0) FAIL(e, ERR_IO, "%s: cannot be removed: %s", shown, strerror(errno == ENOTDIR ? first : errno));
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        close(fd);
        FAIL(e, ERR_IO, "%s: cannot be listed: %s", shown, strerror(errno));
    }
    Status st = OK;
    const char *child;
    while (st == OK && (st = next_name(dir, shown, &child, e)) == OK && child != NULL) {
        st = remove_at(dirfd(dir), child, shown, depth + 1, e);
    }
    closedir(dir);
    TRY(st);
    FAULT_KILL();
    if (unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        FAIL(e, ERR_IO, "%s: cannot be removed: %s", shown, strerror(errno));
    return OK;
}

Status remove_tree(const char *path, Err *e) {
    char text[PATH_BYTES];
    size_t n = strlen(path);
    if (n >= sizeof text) FAIL(e, ERR_IO, "%s: the path is too long", path);
    memcpy(text, path, n + 1);
    while (n > 0 && text[n - 1] == '/') text[--n] = 0; /* "link/" would be what the link points to */
    const char *slash = strrchr(text, '/'), *last = slash == NULL ? text : slash + 1;
    if (last[0] == 0 || strcmp(last, ".") == 0 || strcmp(last, "..") == 0)
        FAIL(e, ERR_IO, "'%s': is no name of a folder that could be removed", path);
    return remove_at(AT_FDCWD, text, path, 0, e);
}

static const char MARK[] = ".tmp-";

/* BASE.tmp-...: what lorac may have made. */
static bool has_base(const char *name, const char *base, bool prefix) {
    size_t n = strlen(base);
    const char *mark = strstr(name, MARK);
    return mark != NULL && strncmp(name, base, n) == 0 && (prefix ? mark >= name + n : mark == name + n);
}

/* True for BASE.tmp-PID... of a process that is gone, or of this one. */
static bool is_left_over(const char *name) {
    size_t digits;
    const char *mark = strstr(name, MARK);
    if (mark == NULL) return false;
    const char *number = mark + sizeof MARK - 1;
    digits = strspn(number, "0123456789");
    if (digits == 0 || digits > 10 || strchr("-.", number[digits]) == NULL) return false;
    long long pid = strtoll(number, NULL, 10);
    if (pid < 1 || pid > INT_MAX || pid == getpid()) return pid >= 1;
    return kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

/* Whether the open file still has its name: else the name may be another process's new file by now. */
static bool has_name(int fd) {
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_nlink > 0;
}

/* Removes what no writer holds (file_write.c locks its files): process numbers say nothing about another machine or container
 * that writes to the same folder. The lock stays until the name is gone, so that who opens it now sees that it was removed;
 * it is for one process, so that no second one takes the name from whoever writes it next. */
static void remove_unheld(int folder, const char *name) {
    /* network file systems lock for one process only what is open for writing */
    int fd = openat(folder, name, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0) fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0 && errno != ELOOP) return; /* gone, or another user's */
    bool held = fd >= 0 && ((flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) || !has_name(fd));
    if (!held) (void)remove_at(folder, name, name, 0, NULL);
    if (fd >= 0) close(fd);
}

static void remove_where(const char *folder, const char *base, bool prefix, bool (*ours)(const char *name)) {
    DIR *dir = opendir(folder);
    const char *name;
    if (dir == NULL) return;
    while (next_name(dir, folder, &name, NULL) == OK && name != NULL) {
        if (has_base(name, base, prefix) && (ours == NULL || ours(name)) && is_left_over(name))
            remove_unheld(dirfd(dir), name);
    }
    closedir(dir);
}

void remove_left_overs(const char *folder, const char *base, bool prefix) { remove_where(folder, base, prefix, NULL); }

void remove_left_overs_if(const char *folder, bool (*ours)(const char *name)) { remove_where(folder, "", true, ours); }

/* The folder that holds path, with its slash, or "."; false when it does not fit. Gives the name in *name. */
static bool folder_of(const char *path, char folder[PATH_BYTES], const char **name) {
    const char *slash = strrchr(path, '/');
    size_t n = slash == NULL ? 1 : (size_t)(slash - path) + 1;
    if (n >= PATH_BYTES) return false;
    memcpy(folder, slash == NULL ? "." : path, n);
    folder[n] = 0;
    *name = slash == NULL ? path : slash + 1;
    return true;
}

void remove_left_overs_of(const char *path) {
    char folder[PATH_BYTES];
    const char *name;
    if (folder_of(path, folder, &name)) remove_left_overs(folder, name, false);
}

Status rename_path(const char *from, const char *to, Err *e) {
    FAULT_KILL();
    bool fails = FAULT(rename);
    int code = fails ? EIO : rename(from, to) == 0 ? 0 : errno;
    if (code != 0) FAIL_ERRNO(e, code, "%s: cannot get its name (renaming %s): %s", to, from, strerror(code));
    return OK;
}

Status exchange_paths(const char *a, const char *b, bool *done, Err *e) {
    FAULT_KILL();
    bool fails = FAULT(rename);
    int code = fails ? EIO : renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) == 0 ? 0 : errno;
    *done = code == 0;
    if (code != 0 && code != EINVAL && code != ENOSYS)
        FAIL_ERRNO(e, code, "%s: cannot take the place of %s: %s", a, b, strerror(code));
    return OK;
}

Status lock_folder(const char *path, int *fd, Err *e) {
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0) return OK; /* writable but not readable: nothing to lock with */
    if (flock(*fd, LOCK_EX | LOCK_NB) == 0) return OK;
    int code = errno;
    close(*fd);
    *fd = -1;
    if (code != EWOULDBLOCK) return OK;
    FAIL(e, ERR_IO, "%s: another lorac works in this folder; wait for it, stop it, or name another one", path);
}

Status sync_folder(const char *path, Err *e) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* a folder one may write to but not read cannot be synced: the rename is as durable as it gets */
    if (fd < 0 && errno == EACCES) return OK;
    int code = errno;
    if (fd < 0) FAIL_ERRNO(e, code, "%s: the folder cannot be opened: %s", path, strerror(code));
    int rc;
    FAULT_KILL();
    do {
        bool fails = FAULT(sync);
        rc = fails ? -1 : fsync(fd);
        code = fails ? EIO : errno;
    } while (rc != 0 && code == EINTR);
    close(fd);
    /* some file systems have no fsync for folders */
    if (rc != 0 && code != EINVAL && code != ENOTSUP) FAIL(e, ERR_IO, "%s: cannot be synced: %s", path, strerror(code));
    return OK;
}

Status sync_folder_of(const char *path, Err *e) {
    char folder[PATH_BYTES];
    const char *name;
    if (!folder_of(path, folder, &name)) FAIL(e, ERR_IO, "%s: the path is too long", path);
    Status st = sync_folder(folder, e);
    return st == OK ? OK : err_prefix(e, st, "%s", path);
}

/* Where two folders cannot be exchanged: the old one goes aside first and is removed after. */
static Status put_aside(Arena *a, const char *temporary, const char *final, Err *e) {
    char *aside;
    TRY(arena_printf(a, &aside, e, "%s-old", temporary));
    TRY(remove_tree(aside, e));
    TRY(rename_path(final, aside, e));
    Status st = rename_path(temporary, final, e);
    if (st != OK) {
        (void)rename_path(aside, final, NULL);
        return st;
    }
    TRY(sync_folder_of(final, e));
    return remove_tree(aside, e);
}

Status replace_folder(Arena *a, const char *temporary, const char *final, Err *e) {
    bool done;
    if (!path_exists(final)) {
        TRY(rename_path(temporary, final, e));
        return sync_folder_of(final, e);
    }
    TRY(exchange_paths(temporary, final, &done, e));
    if (!done) return put_aside(a, temporary, final, e);
    TRY(sync_folder_of(final, e));
    return remove_tree(temporary, e);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

Status list_folder(Arena *a, const char *path, char ***names, size_t *n, Err *e) {
    DIR *dir = opendir(path);
    size_t cap = 0;
    Status st = OK;
    const char *name;
    int code = errno;
    if (dir == NULL) FAIL_ERRNO(e, code, "%s: the folder cannot be listed: %s", path, strerror(code));
    *names = NULL;
    *n = 0;
    while (st == OK && (st = next_name(dir, path, &name, e)) == OK && name != NULL) {
        st = arena_grow(a, names, &cap, *n, *n + 1, sizeof(char *), e);
        if (st == OK) st = arena_strdup(a, name, &(*names)[*n], e);
        if (st == OK) (*n)++;
    }
    closedir(dir);
    TRY(st);
    if (*n > 1) qsort(*names, *n, sizeof(char *), by_name);
    return OK;
}

Status free_bytes(const char *path, uint64_t *out, Err *e) {
    struct statvfs v;
    char text[PATH_BYTES];
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
