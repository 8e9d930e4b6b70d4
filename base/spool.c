/* spool.c: see spool.h. */
#define _GNU_SOURCE /* O_TMPFILE */
#include "base/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES_MAX = 100, PATH_BYTES = 4096 };

/* Where the file system has no files without a name: one whose name is removed at once. */
static int open_named(const char *folder) {
    char path[PATH_BYTES];
    for (int i = 0; i < NAMES_MAX; i++) {
        snprintf(path, sizeof path, "%s/lorac.tmp-%d-%d", folder, (int)getpid(), i);
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 && errno == EEXIST) continue;
        if (fd >= 0) unlink(path);
        return fd;
    }
    return -1;
}

Status spool_open(Arena *a, const char *folder, Spool *out, Err *e) {
    const char *temporary = getenv("TMPDIR");
    char *about;
    *out = (Spool)SPOOL_CLOSED;
    if (folder == NULL) folder = temporary != NULL && *temporary != 0 ? temporary : "/tmp";
    out->folder = folder;
    TRY(arena_printf(a, &about, e, "%s (a temporary file)", folder));
    out->file.path = about;
    return ARENA_NEW(a, SPOOL_BUFFER_BYTES, out->buffer, e);
}

static Status make_file(Spool *s, Err *e) {
    int fd = open(s->folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) fd = open_named(s->folder);
    if (fd < 0)
        FAIL(e, ERR_IO, "%s: no temporary file can be made there: %s; TMPDIR may name another folder", s->folder,
             strerror(errno));
    s->file.fd = fd;
    return OK;
}

static Status flush(Spool *s, Err *e) {
    size_t n = s->buffered;
    s->buffered = 0;
    if (s->file.fd < 0) TRY(make_file(s, e));
    return n == 0 ? OK : append_write(&s->file, s->buffer, n, e);
}

Status spool_add(Spool *s, const void *data, size_t bytes, Err *e) {
    s->bytes += bytes;
    if (bytes > SPOOL_BUFFER_BYTES - s->buffered) TRY(flush(s, e));
    if (bytes > SPOOL_BUFFER_BYTES) return append_write(&s->file, data, bytes, e);
    if (bytes > 0) memcpy(s->buffer + s->buffered, data, bytes);
    s->buffered += bytes;
    return OK;
}

static Status map(const Spool *s, Mapping *out, Err *e) {
    int fd = s->file.fd;
    void *p = fd < 0 ? mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                     : mmap(NULL, s->bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        FAIL(e, fd < 0 ? ERR_OOM : ERR_IO, "%s: cannot be mapped (%llu bytes): %s", s->file.path,
             (unsigned long long)s->bytes, strerror(errno));
    if (fd < 0) memcpy(p, s->buffer, s->bytes);
    *out = (Mapping){.data = p, .bytes = s->bytes};
    return OK;
}

Status spool_map(Spool *s, Mapping *out, Err *e) {
    *out = (Mapping){0};
    Status st = s->file.fd >= 0 ? flush(s, e) : OK;
    if (st == OK && s->bytes > 0) st = map(s, out, e);
    spool_close(s);
    return st;
}

void spool_close(Spool *s) { append_close(&s->file); }

void mapping_forget(const Mapping *m) {
    if (m->bytes > SPOOL_BUFFER_BYTES) madvise((void *)(uintptr_t)m->data, m->bytes, MADV_DONTNEED);
}

void mapping_close(Mapping *m) {
    if (m->data != NULL) munmap((void *)(uintptr_t)m->data, m->bytes);
    *m = (Mapping){0};
}
