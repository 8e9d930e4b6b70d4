/* hash.c: XXH3-128 by xxHash, SHA-256 by libmd. See hash.h. */
#include "base/hash.h"

#include <sha2.h>
#include <stdio.h>
#define XXH_STATIC_LINKING_ONLY /* for the state as a member: no allocation */
#include <xxhash.h>

struct Hasher {
    XXH3_state_t state; /* aligned to 64 bytes by the arena */
};

static Hash128 from_xxh(XXH128_hash_t h) { return (Hash128){.lo = h.low64, .hi = h.high64}; }

Hash128 hash128(const void *data, size_t bytes) { return from_xxh(XXH3_128bits(data, bytes)); }

Status hasher_open(Arena *a, Hasher **out, Err *e) {
    TRY(arena_alloc(a, 1, sizeof(Hasher), out, e));
    hasher_reset(*out);
    return OK;
}

void hasher_reset(Hasher *h) { XXH3_128bits_reset(&h->state); }
void hasher_add(Hasher *h, const void *data, size_t bytes) { XXH3_128bits_update(&h->state, data, bytes); }
Hash128 hasher_value(const Hasher *h) { return from_xxh(XXH3_128bits_digest(&h->state)); }

void hash_hex(Hash128 h, char out[HASH_HEX_BYTES]) {
    snprintf(out, HASH_HEX_BYTES, "%016llx%016llx", (unsigned long long)h.hi, (unsigned long long)h.lo);
}

void sha256_hex(const void *data, size_t bytes, char out[SHA256_HEX_BYTES]) {
    SHA2_CTX c;
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256Init(&c);
    SHA256Update(&c, data, bytes);
    SHA256Final(digest, &c);
    for (int i = 0; i < SHA256_DIGEST_LENGTH; i++) snprintf(out + 2 * i, 3, "%02x", digest[i]);
}
