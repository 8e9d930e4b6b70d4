/* memory.c: what a fuzz target asks of the system again and again, without system calls (the linker sends the calls here:
 * --wrap). Parsers do so little with a small input that opening and mapping it would be most of the work. For one thread.
 *
 * Blocks of mmap are kept by their size and cleared when they are taken again, so that they are as zero as new ones; a
 * mapped file is a block with its bytes. A kept block is poisoned, as if it were not mapped.
 * Files that fuzz_put made exist only here: open, stat, lstat, fstat, read and close
 * know them by their path. */
#include "tests/fuzz/fuzz.h"

#include "base/poison.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The system's function and the one here. */
#define WRAPPED(type, name, parameters)                                                                                \
    type __real_##name parameters;                                                                                     \
    type __wrap_##name parameters;
WRAPPED(void *, mmap, (void *at, size_t bytes, int protection, int flags, int fd, off_t offset))
WRAPPED(int, munmap, (void *p, size_t bytes))
WRAPPED(int, madvise, (void *p, size_t bytes, int advice))
WRAPPED(int, open, (const char *path, int flags, ...))
WRAPPED(int, stat, (const char *path, struct stat *st))
WRAPPED(int, lstat, (const char *path, struct stat *st))
WRAPPED(int, fstat, (int fd, struct stat *st))
WRAPPED(ssize_t, read, (int fd, void *p, size_t bytes))
WRAPPED(int, close, (int fd))

/* ---- files ----------------------------------------------------------------------------------------------------------- */

enum { FILES_MAX = 16, FIRST_FD = 1 << 20 };

typedef struct File {
    const char *path; /* NULL: free */
    const uint8_t *data;
    size_t size, read; /* read: where the next read begins */
} File;
static File files[FILES_MAX];

void fuzz_files_clear(void) { memset(files, 0, sizeof files); }

/* The place of the file, or the number of files when there is none of that path. */
static int find(const char *path) {
    int at = 0;
    while (at < FILES_MAX && files[at].path != NULL && strcmp(files[at].path, path) != 0) at++;
    return at < FILES_MAX && files[at].path == NULL ? FILES_MAX : at;
}

void fuzz_file_add(const char *path, const void *data, size_t size) {
    int at = find(path);
    if (at == FILES_MAX)
        for (at = 0; at < FILES_MAX && files[at].path != NULL;) at++;
    CHECK(at < FILES_MAX, "more than %d files", FILES_MAX);
    files[at] = (File){.path = path, .data = data, .size = size};
}

static File *file_of(int fd) { return fd >= FIRST_FD && fd < FIRST_FD + FILES_MAX ? &files[fd - FIRST_FD] : NULL; }

int __wrap_open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    unsigned mode = (flags & O_CREAT) != 0 ? va_arg(rest, unsigned) : 0;
    va_end(rest);
    int at = (flags & O_ACCMODE) == O_RDONLY ? find(path) : FILES_MAX;
    if (at == FILES_MAX) return __real_open(path, flags, mode);
    files[at].read = 0;
    return FIRST_FD + at;
}

static int status_of(const File *f, struct stat *st) {
    *st = (struct stat){.st_mode = S_IFREG | 0600, .st_size = (off_t)f->size};
    return 0;
}

int __wrap_stat(const char *path, struct stat *st) {
    int at = find(path);
    return at == FILES_MAX ? __real_stat(path, st) : status_of(&files[at], st);
}

int __wrap_lstat(const char *path, struct stat *st) {
    int at = find(path);
    return at == FILES_MAX ? __real_lstat(path, st) : status_of(&files[at], st);
}

int __wrap_fstat(int fd, struct stat *st) {
    const File *f = file_of(fd);
    return f == NULL ? __real_fstat(fd, st) : status_of(f, st);
}

ssize_t __wrap_read(int fd, void *p, size_t bytes) {
    File *f = file_of(fd);
    if (f == NULL) return __real_read(fd, p, bytes);
    if (bytes > f->size - f->read) bytes = f->size - f->read;
    if (bytes > 0) memcpy(p, f->data + f->read, bytes);
    f->read += bytes;
    return (ssize_t)bytes;
}

int __wrap_close(int fd) { return file_of(fd) != NULL ? 0 : __real_close(fd); }

/* ---- memory ---------------------------------------------------------------------------------------------------------- */

enum { PAGE = 4096, PAGES_MAX = 256 }; /* larger blocks are the system's */

typedef struct Free {
    struct Free *next;
} Free;
static Free *kept[PAGES_MAX + 1];

static size_t pages_of(size_t bytes) { return bytes / PAGE + (bytes % PAGE != 0); }

static void *take(size_t pages) {
    Free *f = pages <= PAGES_MAX ? kept[pages] : NULL;
    if (f == NULL) return __real_mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    UNPOISON(f, pages * PAGE);
    kept[pages] = f->next;
    return memset(f, 0, pages * PAGE);
}

void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset) {
    const File *f = file_of(fd);
    size_t pages = pages_of(bytes);
    if (f == NULL && (at != NULL || pages > PAGES_MAX || (fd < 0 && (flags & MAP_PRIVATE) == 0)))
        return __real_mmap(at, bytes, protection, flags, fd, offset);
    void *p = take(pages);
    if (p != MAP_FAILED && f != NULL) memcpy(p, f->data, bytes < f->size ? bytes : f->size);
    /* a file of the system that nobody writes to any more: its bytes are as good */
    if (p != MAP_FAILED && f == NULL && fd >= 0 && pread(fd, p, bytes, offset) != (ssize_t)bytes) abort();
    return p;
}

int __wrap_munmap(void *p, size_t bytes) {
    size_t pages = pages_of(bytes);
    if (pages > PAGES_MAX) return __real_munmap(p, bytes);
    Free *f = p;
    f->next = kept[pages];
    kept[pages] = f;
    POISON(p, pages * PAGE);
    return 0;
}

/* What is said of a file's pages must not clear a block. */
int __wrap_madvise(void *p, size_t bytes, int advice) {
    return pages_of(bytes) > PAGES_MAX ? __real_madvise(p, bytes, advice) : 0;
}
