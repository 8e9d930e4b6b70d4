/* name_index.h: from a name to its position in a list. A sorted table, so that no choice of names makes it slow. */
#ifndef LORAC_CHECKPOINTS_NAME_INDEX_H
#define LORAC_CHECKPOINTS_NAME_INDEX_H

#include "base/arena.h"

typedef struct NameEntry {
    const char *name;
    int64_t position;
} NameEntry;

typedef struct NameIndex {
    NameEntry *entries; /* sorted by name, then by position */
    size_t n, cap;
} NameIndex;

/* Adds a name (kept by pointer). */
Status name_index_add(NameIndex *x, Arena *a, const char *name, int64_t position, Err *e);
/* Sorts; call once after the last addition and before looking up. */
void name_index_sort(NameIndex *x);
/* After sorting: the first name that is there twice, or NULL. */
const char *name_index_duplicate(const NameIndex *x);
/* After sorting: the position of a name, or -1. */
int64_t name_index_find(const NameIndex *x, const char *name);

#endif
