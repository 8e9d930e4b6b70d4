/* hash.h: XXH3-128 (integrity, identity) and SHA-256 (provenance). xxHash and libmd are known only to hash.c. */
#ifndef LORAC_BASE_HASH_H
#define LORAC_BASE_HASH_H

#include "base/arena.h"

enum { HASH_HEX_BYTES = 33, SHA256_HEX_BYTES = 65 };

typedef struct Hash128 {
    uint64_t lo, hi;
} Hash128;

Hash128 hash128(const void *data, size_t bytes);

/* Streaming form: one state in the arena. */
typedef struct Hasher Hasher;
Status hasher_open(Arena *a, Hasher **out, Err *e);
void hasher_reset(Hasher *h);
void hasher_add(Hasher *h, const void *data, size_t bytes);
Hash128 hasher_value(const Hasher *h);

/* 32 lower-case hex digits, high half first (as xxhsum -H2 prints), and NUL. */
void hash_hex(Hash128 h, char out[HASH_HEX_BYTES]);
void sha256_hex(const void *data, size_t bytes, char out[SHA256_HEX_BYTES]);

#endif
