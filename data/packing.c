/* packing.c: see packing.h.
 *
 * Best fit needs "the least room that is enough" quickly: open bins with the same room form a list, and a bitmap in levels
 * of 64 says which rooms have one; the next set bit at or after a length is found in a few words. Of bins with equal room
 * the one opened last is taken. */
#include "data/packing.h"

enum { LEVELS_MAX = 6 };

/* A set of numbers 0..size-1 with "the least member at or after i". Bit i of level 0 is number i; bit i of a higher level
 * says that word i below has a bit. */
typedef struct BitLevels {
    uint64_t *words[LEVELS_MAX];
    int n_levels;
} BitLevels;

static Status levels_open(Arena *a, BitLevels *s, int64_t size, Err *e) {
    s->n_levels = 0;
    do {
        CHECK(s->n_levels < LEVELS_MAX, "capacity of a bin");
        size = (size + 63) / 64;
        TRY(arena_alloc(a, (size_t)size, sizeof(uint64_t), &s->words[s->n_levels++], e));
    } while (size > 1);
    return OK;
}

static void levels_add(BitLevels *s, int64_t i) {
    for (int l = 0; l < s->n_levels; l++, i /= 64) s->words[l][i / 64] |= (uint64_t)1 << (i % 64);
}

static void levels_remove(BitLevels *s, int64_t i) {
    for (int l = 0; l < s->n_levels; l++, i /= 64) {
        s->words[l][i / 64] &= ~((uint64_t)1 << (i % 64));
        if (s->words[l][i / 64] != 0) return;
    }
}

/* The least member >= i, or -1. Climbs until a word has a bit at or after the place, then goes down to it. */
static int64_t levels_next(const BitLevels *s, int64_t i, int64_t size) {
    int l = 0;
    for (int64_t words = (size + 63) / 64;; words = (words + 63) / 64) {
        if (i / 64 >= words) return -1;
        uint64_t rest = s->words[l][i / 64] >> (i % 64);
        if (rest != 0) {
            i += __builtin_ctzll(rest);
            break;
        }
        i = i / 64 + 1;
        if (++l == s->n_levels) return -1;
    }
    while (l > 0) {
        l--;
        i = i * 64 + __builtin_ctzll(s->words[l][i]);
    }
    return i;
}

/* Indices from the longest row to the shortest, equal ones in order: a counting sort. */
static Status by_length(Arena *a, const int32_t *length, int64_t n, int64_t capacity, int32_t **out, Err *e) {
    int64_t *at;
    int32_t *order;
    TRY(ARENA_NEW(a, n, order, e));
    TRY(ARENA_NEW(a, capacity + 2, at, e));
    for (int64_t i = 0; i < n; i++) {
        CHECK(length[i] >= 1 && length[i] <= capacity, "row %lld of %d tokens in bins of %lld", (long long)i, length[i],
              (long long)capacity);
        at[length[i]]++;
    }
    int64_t sum = 0;
    for (int64_t l = capacity; l >= 1; l--) {
        int64_t count = at[l];
        at[l] = sum;
        sum += count;
    }
    for (int64_t i = 0; i < n; i++) order[at[length[i]]++] = (int32_t)i;
    *out = order;
    return OK;
}

/* first[] and rows[] from the bin of each row, taken in the order of `order`. */
static Status collect(Arena *a, const int32_t *order, const int32_t *bin_of, int64_t n, int64_t n_bins, Packing *out,
                      Err *e) {
    int64_t *at;
    out->n_bins = n_bins;
    TRY(ARENA_NEW(a, n_bins + 1, out->first, e));
    TRY(ARENA_NEW(a, n, out->rows, e));
    TRY(ARENA_NEW(a, n_bins, at, e));
    for (int64_t i = 0; i < n; i++) out->first[bin_of[i] + 1]++;
    for (int64_t b = 0; b < n_bins; b++) {
        out->first[b + 1] += out->first[b];
        at[b] = out->first[b];
    }
    for (int64_t k = 0; k < n; k++) out->rows[at[bin_of[order[k]]]++] = order[k];
    return OK;
}

/* Bins of one room form a list through `below`, its head in `top`. */
static Status best_fit(Arena *work, const int32_t *length, const int32_t *order, int64_t n, int64_t capacity,
                       int32_t *bin_of, int64_t *n_bins, Err *e) {
    BitLevels rooms;
    int32_t *top, *below;
    int64_t bins = 0;
    TRY(levels_open(work, &rooms, capacity + 1, e));
    TRY(ARENA_NEW(work, capacity + 1, top, e));
    TRY(ARENA_NEW(work, n, below, e));
    for (int64_t i = 0; i <= capacity; i++) top[i] = -1;
    for (int64_t k = 0; k < n; k++) {
        int32_t row = order[k], bin;
        int64_t room = levels_next(&rooms, length[row], capacity + 1);
        if (room < 0) {
            room = capacity;
            bin = (int32_t)bins++;
        } else {
            bin = top[room];
            top[room] = below[bin];
            if (top[room] < 0) levels_remove(&rooms, room);
        }
        bin_of[row] = bin;
        room -= length[row];
        if (top[room] < 0) levels_add(&rooms, room);
        below[bin] = top[room];
        top[room] = bin;
    }
    *n_bins = bins;
    return OK;
}

Status packing_best_fit(Arena *a, const int32_t *length, int64_t n, int64_t capacity, Packing *out, Err *e) {
    Arena *work;
    int32_t *order, *bin_of;
    int64_t n_bins;
    TRY(arena_open(&work, "packing", e));
    Status st = by_length(work, length, n, capacity, &order, e);
    if (st == OK) st = ARENA_NEW(work, n, bin_of, e);
    if (st == OK) st = best_fit(work, length, order, n, capacity, bin_of, &n_bins, e);
    if (st == OK) st = collect(a, order, bin_of, n, n_bins, out, e);
    arena_close(work);
    return st;
}

Status packing_next_fit(Arena *a, const int32_t *length, int64_t n, int64_t capacity, Packing *out, Err *e) {
    int64_t used = 0;
    TRY(packing_single(a, n, out, e));
    out->n_bins = 0;
    for (int64_t i = 0; i < n; i++) {
        if (i == 0 || used + length[i] > capacity) {
            out->first[out->n_bins++] = i;
            used = 0;
        }
        used += length[i];
    }
    out->first[out->n_bins] = n;
    return OK;
}

Status packing_single(Arena *a, int64_t n, Packing *out, Err *e) {
    out->n_bins = n;
    TRY(ARENA_NEW(a, n + 1, out->first, e));
    TRY(ARENA_NEW(a, n, out->rows, e));
    for (int64_t i = 0; i < n; i++) {
        out->first[i] = i;
        out->rows[i] = (int32_t)i;
    }
    out->first[n] = n;
    return OK;
}
