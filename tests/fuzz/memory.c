/* memory.c: mmap and munmap of a fuzz target, without system calls (the linker sends them here: --wrap).
 *
 * Parsers take and give back a few blocks per input, and a mapping with its page faults costs more than what they do with
 * it. Freed blocks are kept by their size and cleared when they are taken again, so that they are as zero as new ones; a
 * mapped file is a block that its bytes are read into. A kept block is poisoned, as if it were not mapped. For one thread. */
#include "base/poison.h"
#include "base/status.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES_MAX = 256 }; /* larger blocks are the system's */

typedef struct Free {
    struct Free *next;
} Free;
static Free *kept[PAGES_MAX + 1];

void *__real_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *p, size_t bytes);
int __real_madvise(void *p, size_t bytes, int advice);
void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *p, size_t bytes);
int __wrap_madvise(void *p, size_t bytes, int advice);

static size_t pages_of(size_t bytes) { return bytes / PAGE + (bytes % PAGE != 0); }

static void *take(size_t pages) {
    Free *f = kept[pages];
    if (f == NULL) return __real_mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    UNPOISON(f, pages * PAGE);
    kept[pages] = f->next;
    return memset(f, 0, pages * PAGE);
}

void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset) {
    size_t pages = pages_of(bytes);
    if (at != NULL || pages > PAGES_MAX || (flags & MAP_PRIVATE) == 0)
        return __real_mmap(at, bytes, protection, flags, fd, offset);
    void *p = take(pages);
    if (p != MAP_FAILED && fd >= 0)
        CHECK(pread(fd, p, bytes, offset) == (ssize_t)bytes, "a file of %zu bytes cannot be read", bytes);
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
