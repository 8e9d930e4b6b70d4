/* bytes.h: little-endian numbers at any address, and sums that may overflow. */
#ifndef LORAC_CHECKPOINTS_BYTES_H
#define LORAC_CHECKPOINTS_BYTES_H

#include <stdbool.h>
#include <stdint.h>

static inline uint64_t load_le(const uint8_t *p, int bytes) {
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++) v |= (uint64_t)p[i] << 8 * i;
    return v;
}

static inline void store_le(uint8_t *p, uint64_t v, int bytes) {
    for (int i = 0; i < bytes; i++) p[i] = (uint8_t)(v >> 8 * i);
}

/* v rounded up to a multiple of align (a power of two); false on overflow. */
static inline bool align_up(uint64_t v, uint64_t align, uint64_t *out) {
    if (__builtin_add_overflow(v, align - 1, out)) return false;
    *out &= ~(align - 1);
    return true;
}

#endif
