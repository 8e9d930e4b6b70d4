/* quant.h: the weight formats of quant.def: enum, traits and look-up.
 *
 * A weight matrix W[rows, cols] is stored row by row; each row is cols / block_elems blocks of block_bytes, with no
 * padding. Rows may start at any address: all access goes through bytes or memcpy. The functions here are the
 * definition of each format (plain C, bit-equal with ggml's dequantize_row_* and with gguf-py's quantize); fast
 * backends have their own unpackers and are tested against these. */
#ifndef LORAC_KERNELS_QUANT_H
#define LORAC_KERNELS_QUANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum WType {
#define QUANT(id, name, ggml_type, block_elems, block_bytes) WT_##id,
#include "kernels/quant.def"
    WT_COUNT
} WType;

/* y[0..n) = elements first_elem .. first_elem + n of the row that starts at `row`. first_elem and n are multiples of
 * the block's elements (CHECKed). y (n f32) must not overlap row. Deterministic. */
typedef void (*QuantUnpack)(float *y, const void *row, int64_t first_elem, int64_t n);

/* row (n / block_elems * block_bytes bytes) = x[0..n) rounded to the format; n is a multiple of the block's elements.
 * x must be finite for the result to mean something; other values give some code, never undefined behaviour. */
typedef void (*QuantPack)(void *row, const float *x, int64_t n);

typedef struct QuantTraits {
    const char *name; /* as GGUF tools print it: "Q4_K" */
    int ggml_type;    /* the number in a GGUF tensor record */
    int block_elems;
    int block_bytes;
    QuantUnpack unpack;
    QuantPack pack; /* NULL where lorac only reads the format */
} QuantTraits;

/* The traits of t in [0, WT_COUNT) (CHECKed). */
const QuantTraits *wtype_traits(WType t);

/* Short forms of the traits. */
const char *wtype_name(WType t);

/* Bytes of a row of cols elements; cols must be a non-negative multiple of the block's elements and the result must
 * fit int64_t (CHECKed: who takes cols from a file tests it first). */
int64_t wtype_row_bytes(WType t, int64_t cols);

/* Looks a format up by its number in GGUF files; false when lorac does not know it (*out untouched). */
bool wtype_from_ggml(uint32_t ggml_type, WType *out);

/* Looks a format up by name, without regard to case ("q8_0", "BF16"); false when unknown (*out untouched). */
bool wtype_from_name(const char *name, WType *out);

/* The name and sizes of any GGUF tensor type, known to lorac or not, for messages and for walking over tensors that
 * are not used. name NULL: no such type. */
typedef struct GgmlTypeInfo {
    const char *name;
    int block_elems, block_bytes;
} GgmlTypeInfo;
GgmlTypeInfo ggml_type_info(uint32_t ggml_type);

#endif
