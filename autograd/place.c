/* place.c: offsets from lifetimes. Buffers are taken from the largest to the smallest; each goes to the lowest offset
 * where no buffer that is alive at the same time lies. Deterministic: ties go by index. */
#include "autograd/graph_internal.h"

#include <stdlib.h>

typedef struct Item {
    size_t bytes;
    int buffer;
} Item;

static int by_size(const void *a, const void *b) {
    const Item *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
    return (x->buffer > y->buffer) - (x->buffer < y->buffer);
}

/* The placed buffers, kept sorted by offset. */
typedef struct Placed {
    size_t begin, end;
    int first, last;
} Placed;

static size_t lowest_gap(const Placed *placed, size_t n, const Buffer *b, size_t bytes) {
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const Placed *p = &placed[i];
        if (p->last < b->start || p->first > b->end) continue;
        if (p->begin >= at + bytes) break;
        if (p->end > at) at = p->end;
    }
    return at;
}

Status place_buffers(Graph *g, size_t *total, Err *e) {
    Item *items;
    Placed *placed;
    TRY(ARENA_NEW(g->arena, g->n_buffers, items, e));
    TRY(ARENA_NEW(g->arena, g->n_buffers, placed, e));
    size_t capacity = (size_t)g->options.capacity;
    for (size_t i = 0; i < g->n_buffers; i++) {
        size_t per_token = (size_t)g->buffers[i].bytes_per_token;
        if (per_token > (SIZE_MAX / 4) / capacity) FAIL(e, ERR_OOM, "an activation of %zu tokens overflows", capacity);
        size_t bytes = (per_token * capacity + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
        items[i] = (Item){.bytes = bytes, .buffer = (int)i};
    }
    qsort(items, g->n_buffers, sizeof *items, by_size);
    *total = 0;
    for (size_t i = 0; i < g->n_buffers; i++) {
        Buffer *b = &g->buffers[items[i].buffer];
        b->offset = lowest_gap(placed, i, b, items[i].bytes);
        Placed p = {.begin = b->offset, .end = b->offset + items[i].bytes, .first = b->start, .last = b->end};
        size_t at = i;
        for (; at > 0 && placed[at - 1].begin > p.begin; at--) placed[at] = placed[at - 1];
        placed[at] = p;
        if (p.end > *total) *total = p.end;
    }
    return OK;
}
