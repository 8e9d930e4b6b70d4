/* file_map.c: reading files: mappings and small whole files. See file.h. */
#include "base/file.h"

#include "base/fault.h"
#include "base/poison.h"
#include "base/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The last page of a mapping is readable beyond the file's end. Under AddressSanitizer that part is made forbidden, so
 * that reading past the end of a file is found as surely as past the end of an array. */
static void guard_tail(const void *start, size_t size, bool forbid) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), tail = (page - size % page) % page;
    const uint8_t *end = (const uint8_t *)start + size;
    if (forbid)
        POISON(end, tail);
    else
        UNPOISON(end, tail);
}

static Status no_such_file(const char *path, Err *e) {
    FAIL_ERRNO(e, ENOENT, "%s: there is no such file; check the path", path);
}

/* Opens a regular file for reading and gives its size; *fd is -1 where there is none. O_NONBLOCK: opening a pipe nobody
 * writes to must not wait. */
static Status open_if_there(const char *path, int *fd, size_t *size, Err *e) {
    struct stat st;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0 && errno == ENOENT) return OK;
    if (*fd < 0) FAIL(e, ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    if (fstat(*fd, &st) != 0) {
        int code = errno;
        close(*fd);
        FAIL(e, ERR_IO, "%s: cannot be examined: %s", path, strerror(code));
    }
    if (!S_ISREG(st.st_mode)) {
        close(*fd);
        FAIL(e, ERR_IO, "%s: is %s, expected a file", path, S_ISDIR(st.st_mode) ? "a folder" : "a pipe or a device");
    }
    *size = (size_t)st.st_size;
    return OK;
}

Status file_map_if_there(const char *path, FileMap *out, bool *found, Err *e) {
    int fd;
    size_t size;
    TRY(open_if_there(path, &fd, &size, e));
    *found = fd >= 0;
    if (!*found) return OK;
    void *p = NULL;
    if (size > 0) p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    int code = errno;
    close(fd);
    if (p == MAP_FAILED) FAIL(e, ERR_IO, "%s: cannot be mapped (%zu bytes): %s", path, size, strerror(code));
    char *copy = FAULT(alloc) ? NULL : strdup(path);
    if (copy == NULL) {
        if (p != NULL) munmap(p, size);
        FAIL(e, ERR_OOM, "out of memory: %s cannot be opened", path);
    }
    *out = (FileMap){.data = p, .size = size, .path = copy};
    if (p != NULL) {
        signals_map_add(p, size, path);
        guard_tail(p, size, true);
    }
    return OK;
}

Status file_map(const char *path, FileMap *out, Err *e) {
    bool found;
    TRY(file_map_if_there(path, out, &found, e));
    return found ? OK : no_such_file(path, e);
}

void file_unmap(FileMap *m) {
    if (m->data != NULL) {
        signals_map_remove(m->data);
        guard_tail(m->data, m->size, false);
        munmap((void *)(uintptr_t)m->data, m->size);
    }
    free(m->path);
    *m = (FileMap){0};
}

void file_map_forget(const FileMap *m, size_t offset, size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (m->data == NULL || offset >= m->size) return;
    if (bytes > m->size - offset) bytes = m->size - offset;
    size_t begin = (offset + page - 1) / page * page, end = (offset + bytes) / page * page;
    if (begin < end) madvise((void *)(uintptr_t)(m->data + begin), end - begin, MADV_DONTNEED);
}

Status file_read(Arena *a, const char *path, size_t max_bytes, char **out, size_t *len, Err *e) {
    int fd;
    size_t size, at = 0;
    char *p;
    TRY(open_if_there(path, &fd, &size, e));
    if (fd < 0) return no_such_file(path, e);
    if (size > max_bytes) {
        close(fd);
        FAIL(e, ERR_IO, "%s: is %zu bytes long, at most %zu are expected", path, size, max_bytes);
    }
    Status st = arena_alloc(a, size + 1, 1, &p, e);
    while (st == OK && at < size) {
        ssize_t n = read(fd, p + at, size - at);
        if (n > 0)
            at += (size_t)n;
        else if (n == 0)
            st = err_set(e, ERR_IO, __FILE__, __LINE__, "%s: ended after %zu of %zu bytes: it was changed while read",
                         path, at, size);
        else if (errno != EINTR)
            st = err_set(e, ERR_IO, __FILE__, __LINE__, "%s: cannot be read: %s", path, strerror(errno));
    }
    close(fd);
    if (st != OK) return st;
    *out = p;
    *len = size;
    return OK;
}
