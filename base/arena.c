/* arena.c: blocks from mmap, handed out by moving an offset. See arena.h for the rules.
 *
 * Blocks come from mmap, not malloc, so that they are zero, page aligned, and given back to the system at once. A large
 * request gets a block of its own size. Reuse after arena_reset zeroes memory when it is handed out again. Under
 * AddressSanitizer all bytes that are not handed out are poisoned, the padding behind each allocation included. */
#include "base/arena.h"

#include "base/fault.h"
#include "base/poison.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct Block {
    struct Block *prev;
    size_t cap; /* usable bytes after the header */
    size_t used;
    size_t dirty; /* bytes that were handed out before and must be zeroed on reuse */
} Block;

/* What arena_defer took down; in the arena itself. */
typedef struct Deferred {
    struct Deferred *prev;
    void (*undo)(void *what);
    void *what;
} Deferred;

struct Arena {
    const char *name;
    Block *last;
    Deferred *deferred; /* the newest */
    size_t next_block;
    size_t used, peak;
    bool fixed, frozen, huge;
};

#ifndef ARENA_FIRST_BLOCK /* fuzz targets have small ones: their arenas hold little, and blocks are cleared */
#define ARENA_FIRST_BLOCK (1 << 16)
#endif
enum { HEADER = ARENA_ALIGN, FIRST_BLOCK = ARENA_FIRST_BLOCK, LARGEST_BLOCK = 1 << 24, HUGE_BLOCK = 1 << 22 };

_Static_assert(sizeof(Block) <= HEADER, "block header must fit its slot");

static uint8_t *block_data(Block *b) { return (uint8_t *)b + HEADER; }

static Status no_memory(const Arena *a, size_t bytes, Err *e) {
    FAIL(e, ERR_OOM, "out of memory: the system gave no %zu bytes for arena '%s'; free memory or make the job smaller",
         bytes, a->name);
}

static Status block_new(Arena *a, size_t bytes, Err *e) {
    if (bytes > SIZE_MAX - HEADER)
        FAIL(e, ERR_OOM, "out of memory: arena '%s' was asked for %zu bytes", a->name, bytes);
    void *p = mmap(NULL, bytes + HEADER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return no_memory(a, bytes, e);
#ifdef MADV_HUGEPAGE /* refused where the kernel has none: small pages do as well */
    if (a->huge && bytes >= HUGE_BLOCK) (void)madvise(p, bytes + HEADER, MADV_HUGEPAGE);
#endif
    Block *b = p;
    b->prev = a->last;
    b->cap = bytes;
    b->used = 0;
    b->dirty = 0;
    a->last = b;
    POISON(block_data(b), bytes);
    return OK;
}

static void block_free(Block *b) {
    UNPOISON(block_data(b), b->cap);
    munmap(b, b->cap + HEADER);
}

static Status open_any(Arena **out, const char *name, size_t bytes, bool fixed, Err *e) {
    Arena *a = FAULT(alloc) ? NULL : calloc(1, sizeof *a);
    if (a == NULL) FAIL(e, ERR_OOM, "out of memory: cannot open arena '%s'", name);
    a->name = name;
    a->next_block = FIRST_BLOCK;
    a->fixed = fixed;
    if (fixed) {
        Status s = block_new(a, bytes, e);
        if (s != OK) {
            free(a);
            return s;
        }
        a->peak = bytes;
    }
    *out = a;
    return OK;
}

Status arena_open(Arena **out, const char *name, Err *e) { return open_any(out, name, 0, false, e); }

Status arena_open_fixed(Arena **out, const char *name, size_t bytes, Err *e) {
    return open_any(out, name, bytes, true, e);
}

/* Undoes what was deferred after `until`. */
static void undo_deferred(Arena *a, const Deferred *until) {
    while (a->deferred != until) {
        Deferred *d = a->deferred;
        CHECK(d != NULL, "arena '%s': the mark belongs to another arena", a->name);
        a->deferred = d->prev;
        d->undo(d->what);
    }
}

void arena_close(Arena *a) {
    if (a == NULL) return;
    undo_deferred(a, NULL);
    for (Block *b = a->last; b != NULL;) {
        Block *prev = b->prev;
        block_free(b);
        b = prev;
    }
    free(a);
}

/* Rounded size of an allocation, or 0 when n * size cannot be had. Zero bytes still take one slot. */
static size_t rounded(size_t n, size_t size) {
    if (size != 0 && n > (SIZE_MAX - 2 * ARENA_ALIGN - HEADER) / size) return 0;
    size_t bytes = n * size;
    if (bytes == 0) bytes = 1;
    return (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}

Status arena_alloc(Arena *a, size_t n, size_t size, void *out, Err *e) {
    CHECK(!a->frozen, "arena '%s' was asked for memory after it was frozen", a->name);
    size_t bytes = rounded(n, size), asked = n * size;
    if (bytes == 0)
        FAIL(e, ERR_OOM, "out of memory: %zu elements of %zu bytes overflow (arena '%s')", n, size, a->name);
    if (FAULT(alloc)) return no_memory(a, bytes, e);
    if (a->last == NULL || a->last->cap - a->last->used < bytes) {
        if (a->fixed)
            FAIL(e, ERR_OOM, "out of memory: arena '%s' holds %zu bytes and has no room for %zu more", a->name,
                 a->last->cap, bytes);
        size_t want = bytes > a->next_block ? bytes : a->next_block;
        TRY(block_new(a, want, e));
        if (a->next_block < LARGEST_BLOCK) a->next_block *= 2;
    }
    Block *b = a->last;
    uint8_t *p = block_data(b) + b->used;
    UNPOISON(p, bytes);
    if (b->used < b->dirty) {
        size_t clear = b->dirty - b->used;
        memset(p, 0, clear < bytes ? clear : bytes);
    }
    POISON(p + asked, bytes - asked);
    b->used += bytes;
    if (b->used > b->dirty) b->dirty = b->used;
    a->used += bytes;
    if (a->used > a->peak) a->peak = a->used;
    memcpy(out, &p, sizeof p);
    return OK;
}

Status arena_strndup(Arena *a, const char *s, size_t len, char **out, Err *e) {
    char *p;
    if (len == SIZE_MAX) FAIL(e, ERR_OOM, "out of memory: string length overflows");
    TRY(arena_alloc(a, len + 1, 1, &p, e));
    if (len > 0) memcpy(p, s, len);
    *out = p;
    return OK;
}

Status arena_strdup(Arena *a, const char *s, char **out, Err *e) { return arena_strndup(a, s, strlen(s), out, e); }

Status arena_printf(Arena *a, char **out, Err *e, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0) FAIL(e, ERR_FORMAT, "text cannot be formatted: %s", format);
    char *p;
    TRY(arena_alloc(a, (size_t)n + 1, 1, &p, e));
    va_start(args, format);
    vsnprintf(p, (size_t)n + 1, format, args);
    va_end(args);
    *out = p;
    return OK;
}

/* True when p[0..bytes) is the newest allocation and may grow to `want` in its block. */
static bool grows_in_place(Arena *a, const void *p, size_t bytes, size_t want) {
    Block *b = a->last;
    if (b == NULL || p == NULL) return false;
    return (const uint8_t *)p + bytes == block_data(b) + b->used && want - bytes <= b->cap - b->used;
}

Status arena_grow(Arena *a, void *items, size_t *cap, size_t used, size_t need, size_t size, Err *e) {
    if (need <= *cap) return OK;
    CHECK(!a->frozen, "arena '%s' was asked to grow after it was frozen", a->name);
    size_t want = *cap < 8 ? 8 : *cap;
    while (want < need) {
        if (want > SIZE_MAX / 2) FAIL(e, ERR_OOM, "out of memory: an array of %zu elements overflows", need);
        want *= 2;
    }
    void *old, *p;
    memcpy(&old, items, sizeof old);
    size_t old_bytes = rounded(*cap, size), new_bytes = rounded(want, size);
    if (new_bytes == 0)
        FAIL(e, ERR_OOM, "out of memory: %zu elements of %zu bytes overflow (arena '%s')", want, size, a->name);
    if (old != NULL && *cap > 0 && grows_in_place(a, old, old_bytes, new_bytes)) {
        size_t more = new_bytes - old_bytes;
        void *unused;
        if (more > 0) TRY(arena_alloc(a, more, 1, &unused, e));
        UNPOISON(old, want * size);
        POISON((uint8_t *)old + want * size, new_bytes - want * size);
        *cap = want;
        return OK;
    }
    TRY(arena_alloc(a, want, size, &p, e));
    if (used > 0) memcpy(p, old, used * size);
    memcpy(items, &p, sizeof p);
    *cap = want;
    return OK;
}

ArenaMark arena_mark(const Arena *a) {
    return (ArenaMark){.block = a->last, .deferred = a->deferred, .used = a->last == NULL ? 0 : a->last->used};
}

Status arena_defer(Arena *a, void (*undo)(void *what), void *what, Err *e) {
    Deferred *d;
    TRY(ARENA_NEW(a, 1, d, e));
    *d = (Deferred){.prev = a->deferred, .undo = undo, .what = what};
    a->deferred = d;
    return OK;
}

void arena_reset(Arena *a, ArenaMark mark) {
    undo_deferred(a, mark.deferred);
    while (a->last != mark.block) {
        Block *b = a->last;
        CHECK(b != NULL && !a->fixed, "arena '%s': the mark belongs to another arena", a->name);
        a->used -= b->used;
        a->last = b->prev;
        block_free(b);
    }
    if (a->last != NULL) {
        CHECK(mark.used <= a->last->used, "arena '%s': the mark is newer than the arena", a->name);
        a->used -= a->last->used - mark.used;
        a->last->used = mark.used;
        POISON(block_data(a->last) + mark.used, a->last->cap - mark.used);
    }
}

void arena_discard(Arena *a) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    CHECK(a->deferred == NULL, "arena '%s' has something to undo", a->name);
    for (Block *b = a->last; b != NULL; b = b->prev) {
        size_t skip = (HEADER + page - 1) / page * page, bytes = HEADER + b->cap; /* the header's page stays */
        if (bytes > skip) madvise((uint8_t *)b + skip, bytes - skip, MADV_DONTNEED);
    }
}

void arena_huge_pages(Arena *a) { a->huge = true; }

size_t arena_used_bytes(const Arena *a) { return a->used; }
size_t arena_peak_bytes(const Arena *a) { return a->peak; }
void arena_freeze(Arena *a, bool frozen) { a->frozen = frozen; }
