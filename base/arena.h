/* arena.h: all memory of lorac. An arena is a named set of blocks that are freed together.
 *
 * A growing arena (limit 0) takes blocks from the system as needed; a fixed one maps its whole size once, at opening,
 * and an allocation beyond it fails. Memory is zeroed. Every allocation is counted: used and peak bytes are what
 * `lorac plan` promises. An arena belongs to one thread at a time. */
#ifndef LORAC_BASE_ARENA_H
#define LORAC_BASE_ARENA_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct Arena Arena;

enum { ARENA_ALIGN = 64 };

/* Opens a growing arena. `name` (static storage) appears in out-of-memory messages. */
Status arena_open(Arena **out, const char *name, Err *e);

/* Opens a fixed arena of exactly `bytes` (anonymous mapping; pages are touched on first use). */
Status arena_open_fixed(Arena **out, const char *name, size_t bytes, Err *e);

/* Frees every allocation and the arena. NULL is allowed. */
void arena_close(Arena *a);

/* Gives n * size zeroed bytes aligned to ARENA_ALIGN in *out (a T ** passed as void *). n * size may be 0: *out is then
 * a valid unique pointer. Fails with ERR_OOM on overflow of n * size, when a fixed arena is full, or when the system
 * has no memory; *out is untouched then. */
Status arena_alloc(Arena *a, size_t n, size_t size, void *out, Err *e);

/* Copy of a string (len bytes, NUL added) in the arena. */
Status arena_strndup(Arena *a, const char *s, size_t len, char **out, Err *e);
Status arena_strdup(Arena *a, const char *s, char **out, Err *e);
/* printf into the arena. */
Status arena_printf(Arena *a, char **out, Err *e, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Grows an array: gives room for at least `need` elements of `size` bytes, keeping the first `used`. *items and *cap
 * are updated; capacity doubles, so the waste is at most the array's own size. The newest allocation grows in place. */
Status arena_grow(Arena *a, void *items, size_t *cap, size_t used, size_t need, size_t size, Err *e);

/* A point to go back to: everything allocated after the mark is given back (and zeroed again when reused). */
typedef struct ArenaMark {
    void *block, *deferred;
    size_t used;
} ArenaMark;
ArenaMark arena_mark(const Arena *a);
void arena_reset(Arena *a, ArenaMark mark);

/* Something that is to end with the memory of the arena: undo(what) is called when what was allocated up to now is given back
 * (arena_reset to an earlier mark, arena_close), the newest first. For mappings that arrays in the arena point into. */
Status arena_defer(Arena *a, void (*undo)(void *what), void *what, Err *e);

/* Gives the pages of all blocks back to the system until they are touched again. Allocations stay and their contents are lost:
 * they read as anything. Not with arena_defer. */
void arena_discard(Arena *a);

/* Large blocks taken from now on ask the system for huge pages: for an arena that is filled at once and given back soon, where taking
 * small pages one by one costs more than what is done with them. */
void arena_huge_pages(Arena *a);

/* Bytes handed out now, including alignment; the largest that ever was (of a fixed arena: its size). */
size_t arena_used_bytes(const Arena *a);
size_t arena_peak_bytes(const Arena *a);

/* After arena_freeze an allocation from the arena is a CHECK failure (P8: nothing is allocated after the first step). */
void arena_freeze(Arena *a, bool frozen);

#define ARENA_NEW(arena, n, ptr, e) arena_alloc((arena), (size_t)(n), sizeof *(ptr), &(ptr), (e))

#endif
