/* file_write.c: writing so that a half-written file is never seen; appending lines. See file.h. */
#include "base/file.h"

#include "base/fault.h"
#include "base/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct AtomicFile {
    int fd; /* -1: committed or aborted */
    char *path, *temp;
    uint64_t size;
};

static Status write_failed(const char *path, int code, Err *e) {
    if (code == ENOSPC || code == EDQUOT)
        FAIL(e, ERR_IO, "%s: the disk is full (%s); free some space and try again", path, strerror(code));
    if (code == EFAULT) /* the kernel met what would be SIGBUS in our own code */
        FAIL(e, ERR_IO, "%s: cannot be written: a file it is made from was changed or truncated while in use", path);
    if (code == EFBIG)
        FAIL(e, ERR_IO, "%s: the file would exceed a size limit (%s; see ulimit -f)", path, strerror(code));
    FAIL(e, ERR_IO, "%s: cannot be written: %s", path, strerror(code));
}

static ssize_t full_disk(void) {
    errno = ENOSPC;
    return -1;
}

static Status write_all(int fd, const char *path, const void *data, size_t bytes, Err *e) {
    const char *p = data;
    while (bytes > 0) {
        FAULT_KILL();
        ssize_t n = FAULT(write) ? full_disk() : write(fd, p, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return write_failed(path, n < 0 ? errno : ENOSPC, e);
        p += n;
        bytes -= (size_t)n;
    }
    return OK;
}

/* fsync, restarted after signals. Special files have nothing to sync. */
static int sync_file(int fd) {
    int rc;
    FAULT_KILL();
    if (FAULT(sync)) {
        errno = EIO;
        return -1;
    }
    do {
        rc = fsync(fd);
    } while (rc != 0 && errno == EINTR);
    return rc != 0 && (errno == EINVAL || errno == EROFS) ? 0 : rc;
}

/* What must not be replaced by a rename: a folder, and devices such as /dev/null. */
static Status check_replaceable(const char *path, Err *e) {
    struct stat st;
    if (stat(path, &st) != 0 || S_ISREG(st.st_mode)) return OK;
    FAIL(e, ERR_IO, "%s: is %s, a file is to be written there", path,
         S_ISDIR(st.st_mode) ? "a folder" : "a pipe or a device");
}

/* The temporary file has its final name, or is to go. */
static void temp_done(AtomicFile *f, bool renamed) {
    FAULT_KILL();
    if (!renamed) unlink(f->temp);
    signals_temp_remove(f->temp);
}

/* A new file, locked so that no other process takes it for a left-over: PATH.tmp-PID, or PATH.tmp-PID-1 and so on where
 * another machine or container has a process of this number that writes there. -1: errno says why not. */
static int open_temporary(char *temp, size_t room) {
    enum { NAMES_MAX = 100 };
    size_t n = strlen(temp);
    for (int i = 1;; i++) {
        struct stat st;
        FAULT_KILL();
        int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0) {
            /* file systems without locks are as good as they are */
            (void)flock(fd, LOCK_EX);
            if (fstat(fd, &st) != 0 || st.st_nlink > 0) return fd;
            close(fd); /* it was removed before it was locked */
        } else if (errno != EEXIST) {
            return -1;
        }
        if (i == NAMES_MAX) return -1;
        snprintf(temp + n, room - n, "-%d", i);
    }
}

Status atomic_open(Arena *a, const char *path, AtomicFile **out, Err *e) {
    enum { SUFFIX_BYTES = 32 };
    AtomicFile *f;
    size_t room = strlen(path) + SUFFIX_BYTES;
    TRY(check_replaceable(path, e));
    TRY(ARENA_NEW(a, 1, f, e));
    TRY(arena_strdup(a, path, &f->path, e));
    TRY(ARENA_NEW(a, room, f->temp, e));
    snprintf(f->temp, room, "%s.tmp-%d", path, (int)getpid());
    remove_left_overs_of(path); /* also of a killed process that had this number */
    f->fd = open_temporary(f->temp, room);
    if (f->fd < 0 && errno == ENOENT)
        FAIL_ERRNO(e, ENOENT, "%s: cannot be created: its folder does not exist; make it first", path);
    if (f->fd < 0) FAIL(e, ERR_IO, "%s: cannot be created: %s", f->temp, strerror(errno));
    signals_temp_add(f->temp);
    *out = f;
    return OK;
}

Status atomic_write(AtomicFile *f, const void *data, size_t bytes, Err *e) {
    TRY(write_all(f->fd, f->path, data, bytes, e));
    f->size += bytes;
    return OK;
}

Status atomic_write_at(AtomicFile *f, uint64_t offset, const void *data, size_t bytes, Err *e) {
    const char *p = data;
    CHECK(offset <= f->size && bytes <= f->size - offset, "%s: only bytes already written can be replaced", f->path);
    while (bytes > 0) {
        FAULT_KILL();
        ssize_t n = FAULT(write) ? full_disk() : pwrite(f->fd, p, bytes, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return write_failed(f->path, n < 0 ? errno : ENOSPC, e);
        p += n;
        offset += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return OK;
}

const char *atomic_temporary(const AtomicFile *f) { return f->temp; }

Status atomic_has_room(AtomicFile *f, uint64_t bytes, Err *e) {
    int code;
    FAULT_KILL();
    do {
        code = FAULT(write) ? ENOSPC : posix_fallocate(f->fd, 0, (off_t)bytes);
    } while (code == EINTR);
    if (code == 0 && ftruncate(f->fd, 0) != 0) code = errno;
    /* a file system that cannot say */
    if (code == EOPNOTSUPP || code == EINVAL || code == ENOSYS) return OK;
    return code == 0 ? OK : write_failed(f->path, code, e);
}

Status atomic_take_over(AtomicFile *f, Err *e) {
    struct stat st, named;
    if (fstat(f->fd, &st) != 0) FAIL(e, ERR_IO, "%s: cannot be examined: %s", f->temp, strerror(errno));
    if (lstat(f->temp, &named) != 0 || named.st_dev != st.st_dev || named.st_ino != st.st_ino)
        FAIL_ERRNO(e, ENOENT, "%s: was removed by another process while it was written; start again", f->temp);
    f->size = (uint64_t)st.st_size;
    return OK;
}

Status atomic_commit(AtomicFile *f, Err *e) {
    Status st = OK;
    CHECK(f->fd >= 0, "%s: committed twice", f->path);
    int held = fcntl(f->fd, F_DUPFD_CLOEXEC, 0); /* the lock stays until the file has its name */
    if (sync_file(f->fd) != 0) st = write_failed(f->path, errno, e);
    if (close(f->fd) != 0 && errno != EINTR && st == OK) st = write_failed(f->path, errno, e);
    f->fd = -1;
    if (st == OK) st = rename_path(f->temp, f->path, e);
    temp_done(f, st == OK);
    if (held >= 0) close(held);
    return st == OK ? sync_folder_of(f->path, e) : st;
}

void atomic_abort(AtomicFile *f) {
    if (f == NULL || f->fd < 0) return;
    close(f->fd);
    f->fd = -1;
    temp_done(f, false);
}

Status file_write_atomic(Arena *a, const char *path, const void *data, size_t bytes, Err *e) {
    ArenaMark mark = arena_mark(a);
    AtomicFile *f = NULL;
    Status st = atomic_open(a, path, &f, e);
    if (st == OK) st = atomic_write(f, data, bytes, e);
    if (st == OK) st = atomic_commit(f, e);
    atomic_abort(f);
    arena_reset(a, mark);
    return st;
}

Status append_open(const char *path, size_t keep_bytes, AppendFile *out, Err *e) {
    struct stat st;
    out->path = path;
    out->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (out->fd < 0) FAIL(e, ERR_IO, "%s: cannot be opened for writing: %s", path, strerror(errno));
    bool failed = fstat(out->fd, &st) != 0;
    out->size = failed ? 0 : (uint64_t)st.st_size;
    if (!failed && out->size > keep_bytes) {
        FAULT_KILL();
        out->size = keep_bytes;
        failed = ftruncate(out->fd, (off_t)keep_bytes) != 0;
    }
    int code = errno;
    Status rc = failed ? write_failed(path, code, e) : OK;
    /* a file just made is on disk only when its folder is */
    if (rc == OK && st.st_size == 0) rc = sync_folder_of(path, e);
    if (rc != OK) append_close(out);
    return rc;
}

Status append_write(AppendFile *f, const void *data, size_t bytes, Err *e) {
    struct stat before;
    bool known = fstat(f->fd, &before) == 0 && S_ISREG(before.st_mode);
    Status st = write_all(f->fd, f->path, data, bytes, e);
    /* no half line stays; when the cut fails too, the first failure is what counts */
    if (st != OK && known && ftruncate(f->fd, before.st_size) != 0) return st;
    return st;
}

Status append_sync(AppendFile *f, Err *e) {
    if (sync_file(f->fd) != 0) return write_failed(f->path, errno, e);
    return OK;
}

void append_close(AppendFile *f) {
    if (f->fd >= 0) close(f->fd);
    f->fd = -1;
}
