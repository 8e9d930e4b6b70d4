/* rope.c: rotary position embedding in both pairings. */
#include "kernels/reference/reference.h"

static void rotate_head(void *y, const void *x, int64_t at, const float *cos, const float *sin, float sign,
                        int interleaved, int64_t D, int64_t half, DType dt) {
    for (int64_t i = 0; i < half; i++) {
        int64_t a = at + (interleaved ? 2 * i : i), b = at + (interleaved ? 2 * i + 1 : i + half);
        double xa = reference_load(x, a, dt), xb = reference_load(x, b, dt);
        double c = (double)cos[i], signed_sin = (double)sign * (double)sin[i];
        reference_store(y, a, xa * c - xb * signed_sin, dt);
        reference_store(y, b, xb * c + xa * signed_sin, dt);
    }
    for (int64_t d = 2 * half; d < D; d++) reference_store(y, at + d, reference_load(x, at + d, dt), dt);
}

void reference_rope(Stream *s, void *y, const void *x, const int32_t *pos, const float *cos, const float *sin,
                    float sign, int interleaved, int64_t T, int64_t H, int64_t D, int64_t half, DType dt) {
    (void)s;
    for (int64_t t = 0; t < T; t++)
        for (int64_t h = 0; h < H; h++)
            rotate_head(y, x, (t * H + h) * D, cos + pos[t] * half, sin + pos[t] * half, sign, interleaved, D, half,
                        dt);
}
