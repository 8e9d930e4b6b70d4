/* piece_cache.h: ids of short pieces of text met before, of a fixed size.
 *
 * A piece of up to PIECE_CACHE_BYTES bytes that gave up to PIECE_CACHE_IDS ids has an entry of one cache line in one of two places; a
 * new one pushes the older of the two out. What a piece gives never depends on the cache. One thread at a time. */
#ifndef LORAC_DATA_PIECE_CACHE_H
#define LORAC_DATA_PIECE_CACHE_H

#include "base/arena.h"

#include <string.h>

enum { PIECE_CACHE_BYTES = 23, PIECE_CACHE_IDS = 9, PIECE_CACHE_PAIRS = 1 << 13 };

/* The bytes of a piece, zeros behind, and its length in the last byte: never all 0. */
typedef struct PieceKey {
    uint64_t w[3];
} PieceKey;

typedef struct CachedPiece {
    PieceKey key; /* all 0: free */
    uint32_t n;
    int32_t ids[PIECE_CACHE_IDS];
} CachedPiece;

_Static_assert(sizeof(CachedPiece) == 64, "an entry is a cache line");

typedef struct PieceCache {
    CachedPiece *entries; /* PIECE_CACHE_PAIRS pairs */
} PieceCache;

static inline Status piece_cache_open(Arena *a, PieceCache *c, Err *e) {
    return ARENA_NEW(a, 2 * PIECE_CACHE_PAIRS, c->entries, e);
}

/* Up to 8 bytes as a number, the first one lowest. */
static inline uint64_t piece_word(const char *s, size_t n) {
    uint64_t w = 0;
    uint32_t lo, hi;
    if (n >= 8) {
        memcpy(&w, s, 8);
    } else if (n >= 4) {
        memcpy(&lo, s, 4);
        memcpy(&hi, s + n - 4, 4);
        w = lo | (uint64_t)hi << 8 * (n - 4);
    } else if (n > 0) {
        w = (uint8_t)s[0] | (uint64_t)(uint8_t)s[n / 2] << 8 * (n / 2) | (uint64_t)(uint8_t)s[n - 1] << 8 * (n - 1);
    }
    return w;
}

/* n is 1..PIECE_CACHE_BYTES. */
static inline PieceKey piece_key(const char *s, size_t n) {
    PieceKey k = {{piece_word(s, n), 0, (uint64_t)n << 56}};
    if (n > 8) k.w[1] = piece_word(s + 8, n - 8);
    if (n > 16) k.w[2] |= piece_word(s + 16, n - 16);
    return k;
}

static inline size_t piece_place(const PieceKey *k) {
    uint64_t h = (k->w[0] ^ 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u;
    h = (h ^ h >> 32 ^ k->w[1]) * 0xA0761D6478BD642Fu;
    h = (h ^ h >> 32 ^ k->w[2]) * 0xE7037ED1A0B428DBu;
    return (size_t)(h >> 40) & (PIECE_CACHE_PAIRS - 1);
}

static inline bool same_key(const PieceKey *a, const PieceKey *b) {
    return ((a->w[0] ^ b->w[0]) | (a->w[1] ^ b->w[1]) | (a->w[2] ^ b->w[2])) == 0;
}

/* The entry of a piece, or NULL. */
static inline const CachedPiece *piece_cache_find(const PieceCache *c, const PieceKey *k, size_t place) {
    const CachedPiece *p = c->entries + 2 * place;
    if (same_key(&p[0].key, k)) return &p[0];
    return same_key(&p[1].key, k) ? &p[1] : NULL;
}

/* Enters a piece that is not there yet; one of too many ids is left out. */
static inline void piece_cache_put(PieceCache *c, const PieceKey *k, size_t place, const int32_t *ids, size_t n) {
    CachedPiece *p = c->entries + 2 * place;
    if (n > PIECE_CACHE_IDS) return;
    p[1] = p[0];
    p[0].key = *k;
    p[0].n = (uint32_t)n;
    if (n > 0) memcpy(p[0].ids, ids, n * sizeof *ids);
}

#endif
