/* reference.h: the readable backend. Every kernel is the formula of kernels.def written once more, in plain C.
 *
 * Inputs are widened to f64, all sums and functions are f64 (libm), and a result is rounded once, when it is stored.
 * Statistics that another kernel reads (rstd, U, dU, L) are stored as f32 first and read back, as in every backend. Nothing
 * is threaded, blocked or skipped: this backend is the oracle of the fast ones, never a fallback for them. */
#ifndef LORAC_KERNELS_REFERENCE_REFERENCE_H
#define LORAC_KERNELS_REFERENCE_REFERENCE_H

#include "base/rng.h"
#include "kernels/backend.h"

#define K(kernel, args) void reference_##kernel args;
#define KW(kernel, args, ws_args)                                                                                      \
    void reference_##kernel args;                                                                                      \
    int64_t reference_##kernel##_workspace ws_args;
#include "kernels/kernels.def"
#undef K
#undef KW

/* Element i of an array of dt. */
static inline double reference_load(const void *x, int64_t i, DType dt) {
    return dt == DT_F32 ? (double)((const float *)x)[i] : (double)bf16_to_f32(((const uint16_t *)x)[i]);
}

static inline void reference_store(void *x, int64_t i, double value, DType dt) {
    if (dt == DT_F32)
        ((float *)x)[i] = (float)value;
    else
        ((uint16_t *)x)[i] = bf16_from_f32((float)value);
}

/* beta*x[i] + value. With beta 0 the old content may be anything, NaN too, and is not read. */
static inline double reference_add(const void *x, int64_t i, float beta, double value, DType dt) {
    return beta == 0.0f ? value : (double)beta * reference_load(x, i, dt) + value;
}

/* Row n of a weight matrix with `cols` columns, as cols f32 values in out. */
static inline void reference_row(float *out, const void *W, int64_t n, int64_t cols, WType wt) {
    wtype_traits(wt)->unpack(out, (const uint8_t *)W + n * wtype_row_bytes(wt, cols), 0, cols);
}

/* What dropout multiplies element (t,k) of X with: 0 or 1/(1-p) (struct Dropout in backend.h). */
static inline double reference_dropout(const Dropout *drop, uint64_t key, int64_t t, int64_t k) {
    if (drop == NULL || drop->p == 0.0f) return 1.0;
    float u = rng_unit(philox4x32(key, drop->token[t], (uint64_t)k / 4).v[k % 4]);
    return u >= drop->p ? 1.0 / (1.0 - (double)drop->p) : 0.0;
}

#endif
