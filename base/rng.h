/* rng.h: counter-based random numbers (Philox4x32-10, Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2,
 * 3"). A draw is a pure function of (key, counter): nothing is stored, nothing drifts, any order and thread gives the
 * same numbers. Header-only so that kernels on every backend share the definition. */
#ifndef LORAC_BASE_RNG_H
#define LORAC_BASE_RNG_H

#include <stdint.h>

typedef struct Philox {
    uint32_t v[4];
} Philox;

static inline Philox philox4x32(uint64_t key, uint64_t counter_lo, uint64_t counter_hi) {
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    Philox c = {
        {(uint32_t)counter_lo, (uint32_t)(counter_lo >> 32), (uint32_t)counter_hi, (uint32_t)(counter_hi >> 32)}};
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c.v[0], p1 = (uint64_t)0xCD9E8D57u * c.v[2];
        Philox n = {
            {(uint32_t)(p1 >> 32) ^ c.v[1] ^ k0, (uint32_t)p1, (uint32_t)(p0 >> 32) ^ c.v[3] ^ k1, (uint32_t)p0}};
        c = n;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c;
}

/* Mixes two 64-bit words into a key (SplitMix64 finalizer): builds stream keys from (seed, purpose, layer ...). */
static inline uint64_t rng_mix(uint64_t a, uint64_t b) {
    uint64_t z = a + 0x9E3779B97F4A7C15u * (b + 1);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* Draw number i of the key, below n (1 or more). */
static inline int64_t rng_below(uint64_t key, int64_t i, int64_t n) {
    Philox p = philox4x32(key, (uint64_t)i, 0);
    return (int64_t)(((uint64_t)p.v[0] << 32 | p.v[1]) % (uint64_t)n);
}

/* Step i of a Fisher-Yates shuffle of n numbers that runs from the front: what stands at i then, and stays there. */
static inline int32_t rng_shuffle_step(int32_t *order, int64_t n, int64_t i, uint64_t key) {
    int64_t j = i + rng_below(key, i, n - i);
    int32_t chosen = order[j];
    order[j] = order[i];
    order[i] = chosen;
    return chosen;
}

/* Uniform in [0, 1) with 24 bits. */
static inline float rng_unit(uint32_t x) { return (float)(x >> 8) * 0x1p-24f; }

/* What a stream is for: the second word of a key. */
enum { RNG_INIT = 1, RNG_DROPOUT = 2, RNG_SHUFFLE = 3, RNG_SAMPLE = 4 };

#endif
