/* name_index.c: see name_index.h. */
#include "checkpoints/name_index.h"

#include <stdlib.h>
#include <string.h>

Status name_index_add(NameIndex *x, Arena *a, const char *name, int64_t position, Err *e) {
    TRY(arena_grow(a, &x->entries, &x->cap, x->n, x->n + 1, sizeof *x->entries, e));
    x->entries[x->n++] = (NameEntry){name, position};
    return OK;
}

static int compare(const void *pa, const void *pb) {
    const NameEntry *a = pa, *b = pb;
    int by_name = strcmp(a->name, b->name);
    if (by_name != 0) return by_name;
    return (a->position > b->position) - (a->position < b->position);
}

void name_index_sort(NameIndex *x) {
    if (x->n > 1) qsort(x->entries, x->n, sizeof *x->entries, compare);
}

const char *name_index_duplicate(const NameIndex *x) {
    for (size_t i = 1; i < x->n; i++)
        if (strcmp(x->entries[i - 1].name, x->entries[i].name) == 0) return x->entries[i].name;
    return NULL;
}

int64_t name_index_find(const NameIndex *x, const char *name) {
    size_t low = 0, high = x->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int c = strcmp(x->entries[middle].name, name);
        if (c == 0) return x->entries[middle].position;
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}
