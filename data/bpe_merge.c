/* bpe_merge.c: merges the pair of lowest rank, leftmost first, until none is left.
 *
 * Short runs of symbols are searched as they are. Long ones use a linked list and a heap of (rank, position); an entry
 * whose position no longer has that rank is old and skipped, so that each merge costs O(log n) whatever the text is. */
#include "data/bpe_merge.h"

#include <string.h>

enum { SHORT = 40 };

static const PairEntry *find_pair(const PairTable *t, int32_t left, int32_t right) {
    uint64_t i = pair_hash(left, right) & t->mask;
    for (; t->slots[i].left >= 0; i = (i + 1) & t->mask)
        if (t->slots[i].left == left && t->slots[i].right == right) return &t->slots[i];
    return NULL;
}

static size_t merge_short(const PairTable *t, int32_t *ids, size_t n) {
    uint32_t rank[SHORT];
    int32_t merged[SHORT];
    for (size_t i = 0; i + 1 < n; i++) {
        const PairEntry *p = find_pair(t, ids[i], ids[i + 1]);
        rank[i] = p != NULL ? p->rank : RANK_NONE;
        merged[i] = p != NULL ? p->id : -1;
    }
    while (n > 1) {
        size_t k = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (rank[i] < rank[k]) k = i;
        if (rank[k] == RANK_NONE) break;
        ids[k] = merged[k];
        memmove(ids + k + 1, ids + k + 2, (n - k - 2) * sizeof *ids);
        if (n > k + 2) {
            memmove(rank + k, rank + k + 1, (n - k - 2) * sizeof *rank);
            memmove(merged + k, merged + k + 1, (n - k - 2) * sizeof *merged);
        }
        n--;
        for (size_t i = k > 0 ? k - 1 : 0; i <= k && i + 1 < n; i++) {
            const PairEntry *p = find_pair(t, ids[i], ids[i + 1]);
            rank[i] = p != NULL ? p->rank : RANK_NONE;
            merged[i] = p != NULL ? p->id : -1;
        }
    }
    return n;
}

/* ---- a heap of four children ---------------------------------------------------------------------------------------- */

static void sift_down(uint64_t *heap, size_t n, size_t i) {
    uint64_t v = heap[i];
    for (;;) {
        size_t child = 4 * i + 1, least = child;
        if (child >= n) break;
        size_t end = child + 4 < n ? child + 4 : n;
        for (size_t k = child + 1; k < end; k++)
            if (heap[k] < heap[least]) least = k;
        if (heap[least] >= v) break;
        heap[i] = heap[least];
        i = least;
    }
    heap[i] = v;
}

static uint64_t pop(BpeWork *w) {
    uint64_t top = w->heap[0];
    w->heap[0] = w->heap[--w->n_heap];
    if (w->n_heap > 0) sift_down(w->heap, w->n_heap, 0);
    return top;
}

static Status push(BpeWork *w, uint64_t v, Err *e) {
    if (w->n_heap == w->cap_heap)
        TRY(arena_grow(w->arena, &w->heap, &w->cap_heap, w->n_heap, w->n_heap + 1, sizeof v, e));
    size_t i = w->n_heap++;
    for (; i > 0 && w->heap[(i - 1) / 4] > v; i = (i - 1) / 4) w->heap[i] = w->heap[(i - 1) / 4];
    w->heap[i] = v;
    return OK;
}

/* The pair that begins at i now. */
static Status renew(const PairTable *t, BpeWork *w, const int32_t *ids, int32_t i, Err *e) {
    const PairEntry *p = w->next[i] < 0 ? NULL : find_pair(t, ids[i], ids[w->next[i]]);
    w->rank[i] = p != NULL ? p->rank : RANK_NONE;
    if (p == NULL) return OK;
    w->merged[i] = p->id;
    return push(w, (uint64_t)p->rank << 32 | (uint32_t)i, e);
}

static Status reserve_long(BpeWork *w, size_t n, Err *e) {
    TRY(arena_grow(w->arena, &w->rank, &w->cap_rank, 0, n, sizeof *w->rank, e));
    TRY(arena_grow(w->arena, &w->merged, &w->cap_merged, 0, n, sizeof *w->merged, e));
    TRY(arena_grow(w->arena, &w->prev, &w->cap_prev, 0, n, sizeof *w->prev, e));
    TRY(arena_grow(w->arena, &w->next, &w->cap_next, 0, n, sizeof *w->next, e));
    return arena_grow(w->arena, &w->heap, &w->cap_heap, 0, n, sizeof *w->heap, e);
}

static Status merge_long(const PairTable *t, BpeWork *w, int32_t *ids, size_t *count, Err *e) {
    int32_t n = (int32_t)*count;
    TRY(reserve_long(w, *count, e));
    w->n_heap = 0;
    for (int32_t i = 0; i < n; i++) {
        w->prev[i] = i - 1;
        w->next[i] = i + 1 < n ? i + 1 : -1;
        const PairEntry *p = i + 1 < n ? find_pair(t, ids[i], ids[i + 1]) : NULL;
        w->rank[i] = p != NULL ? p->rank : RANK_NONE;
        if (p == NULL) continue;
        w->merged[i] = p->id;
        w->heap[w->n_heap++] = (uint64_t)p->rank << 32 | (uint32_t)i;
    }
    for (size_t i = w->n_heap / 4 + 1; i-- > 0;)
        if (i < w->n_heap) sift_down(w->heap, w->n_heap, i);
    while (w->n_heap > 0) {
        uint64_t top = pop(w);
        int32_t i = (int32_t)(uint32_t)top;
        if (w->rank[i] != (uint32_t)(top >> 32)) continue;
        int32_t gone = w->next[i];
        ids[i] = w->merged[i];
        w->next[i] = w->next[gone];
        if (w->next[i] >= 0) w->prev[w->next[i]] = i;
        w->rank[gone] = RANK_NONE;
        TRY(renew(t, w, ids, i, e));
        if (w->prev[i] >= 0) TRY(renew(t, w, ids, w->prev[i], e));
    }
    size_t k = 0;
    for (int32_t i = 0; i >= 0; i = w->next[i]) ids[k++] = ids[i];
    *count = k;
    return OK;
}

Status bpe_merge(const Bpe *b, BpeWork *w, size_t from, Err *e) {
    size_t n = w->n - from;
    if (n >= 2 && n <= SHORT)
        n = merge_short(&b->pairs, w->ids + from, n);
    else if (n > SHORT)
        TRY(merge_long(&b->pairs, w, w->ids + from, &n, e));
    w->n = from + n;
    return OK;
}
