/* block.h: what the format files share: names of the functions quant.c puts into the table, and unaligned access.
 * A format file quant/x.c defines quant_unpack_X and, unless its row is read-only, quant_pack_X (contracts: quant.h). */
#ifndef LORAC_KERNELS_QUANT_BLOCK_H
#define LORAC_KERNELS_QUANT_BLOCK_H

#include "base/status.h"
#include "kernels/dtype.h"
#include "kernels/quant.h"

#define QUANT(id, name, ggml_type, block_elems, block_bytes)                                                           \
    void quant_unpack_##id(float *y, const void *row, int64_t first_elem, int64_t n);                                  \
    void quant_pack_##id(void *row, const float *x, int64_t n);
#define QUANT_READ_ONLY(id, name, ggml_type, block_elems, block_bytes)                                                 \
    void quant_unpack_##id(float *y, const void *row, int64_t first_elem, int64_t n);
#include "kernels/quant.def"

/* The sizes of the rows, as constants: Q4_K_ELEMS, Q4_K_BYTES. */
enum {
#define QUANT(id, name, ggml_type, block_elems, block_bytes) id##_ELEMS = block_elems, id##_BYTES = block_bytes,
#include "kernels/quant.def"
    QUANT_SIZES_END
};

static inline uint16_t load_u16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

static inline uint32_t load_u32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline float load_f16(const uint8_t *p) { return f16_to_f32(load_u16(p)); }

static inline void store_u16(uint8_t *p, uint16_t v) {
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline void store_f16(uint8_t *p, float x) { store_u16(p, f16_from_f32(x)); }

/* x rounded toward zero and held in [low, high]; NaN gives low. */
static inline int clamp_int(float x, int low, int high) {
    if (!(x > (float)low)) return low;
    return x < (float)high ? (int)x : high;
}

/* The block that holds element first_elem, after checking that the range is whole blocks. */
static inline const uint8_t *first_block(const void *row, int64_t first_elem, int64_t n, int elems, int bytes) {
    CHECK(first_elem >= 0 && n >= 0 && first_elem % elems == 0 && n % elems == 0, "elements %lld + %lld, block %d",
          (long long)first_elem, (long long)n, elems);
    return (const uint8_t *)row + first_elem / elems * bytes;
}

/* The scale and minimum (6 bits each) of sub-block j of a Q4_K or Q5_K block, from its 12 bytes s. The first four of
 * each lie in the low bits of bytes 0-3 and 4-7; the others have their low nibbles in bytes 8-11 and their upper two
 * bits above the first ones. */
static inline void k_scale_min(const uint8_t *s, int j, int *scale, int *min) {
    if (j < 4) {
        *scale = s[j] & 63;
        *min = s[j + 4] & 63;
    } else {
        *scale = (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
        *min = (s[j + 4] >> 4) | (s[j] >> 6) << 4;
    }
}

#endif
