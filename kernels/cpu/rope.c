/* rope.c: rotary position embedding in both pairings.
 *
 * Both elements of a pair are read before either is written, so that y may be x. */
#include "kernels/cpu/level.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/spread.h"

typedef struct Rope {
    void *y;
    const void *x;
    const int32_t *pos;
    const float *cos, *sin;
    float sign;
    int interleaved;
    int64_t H, D, half;
    DType dt;
} Rope;

typedef struct Pair {
    vf a, b;
} Pair;

CPU_INLINE Pair rotate(Pair x, const float *cos, const float *sin, float sign, int64_t lanes) {
    vf c = vf_load_n(cos, lanes), s = sign * vf_load_n(sin, lanes);
    return (Pair){x.a * c - x.b * s, x.b * c + x.a * s};
}

CPU_INLINE void rotate_split(const Rope *p, int64_t at, const float *cos, const float *sin, int64_t i, int64_t lanes,
                             DType dt) {
    int64_t a = at + i, b = a + p->half;
    Pair x = {vf_load_n_dt(p->x, a, lanes, dt), vf_load_n_dt(p->x, b, lanes, dt)};
    Pair y = rotate(x, cos + i, sin + i, p->sign, lanes);
    vf_store_n_dt(p->y, a, y.a, lanes, dt);
    vf_store_n_dt(p->y, b, y.b, lanes, dt);
}

CPU_INLINE void rotate_interleaved(const Rope *p, int64_t at, const float *cos, const float *sin, int64_t i,
                                   int64_t lanes, DType dt) {
    float pairs[2 * CPU_VW] = {0}, a[CPU_VW], b[CPU_VW];
    int64_t first = lanes < CPU_VW / 2 ? 2 * lanes : CPU_VW, second = 2 * lanes - first;
    vf_store(pairs, vf_load_n_dt(p->x, at + 2 * i, first, dt));
    if (second > 0) vf_store(pairs + CPU_VW, vf_load_n_dt(p->x, at + 2 * i + CPU_VW, second, dt));
    for (int k = 0; k < CPU_VW; k++) {
        a[k] = pairs[2 * k];
        b[k] = pairs[2 * k + 1];
    }
    Pair y = rotate((Pair){vf_load(a), vf_load(b)}, cos + i, sin + i, p->sign, lanes);
    for (int k = 0; k < CPU_VW; k++) {
        pairs[2 * k] = y.a[k];
        pairs[2 * k + 1] = y.b[k];
    }
    vf_store_n_dt(p->y, at + 2 * i, vf_load(pairs), first, dt);
    if (second > 0) vf_store_n_dt(p->y, at + 2 * i + CPU_VW, vf_load(pairs + CPU_VW), second, dt);
}

CPU_INLINE void rotate_token(const Rope *p, int64_t t, DType dt) {
    const float *cos = p->cos + p->pos[t] * p->half, *sin = p->sin + p->pos[t] * p->half;
    int64_t element = dt == DT_F32 ? 4 : 2, whole = p->half / CPU_VW * CPU_VW, rest = p->half - whole;
    for (int64_t h = 0; h < p->H; h++) {
        int64_t at = (t * p->H + h) * p->D, same = at + 2 * p->half;
        if (p->interleaved) {
            for (int64_t i = 0; i < whole; i += CPU_VW) rotate_interleaved(p, at, cos, sin, i, CPU_VW, dt);
            if (rest > 0) rotate_interleaved(p, at, cos, sin, whole, rest, dt);
        } else {
            for (int64_t i = 0; i < whole; i += CPU_VW) rotate_split(p, at, cos, sin, i, CPU_VW, dt);
            if (rest > 0) rotate_split(p, at, cos, sin, whole, rest, dt);
        }
        if (p->y != p->x && p->D > 2 * p->half)
            memcpy((char *)p->y + same * element, (const char *)p->x + same * element,
                   (size_t)((p->D - 2 * p->half) * element));
    }
}

static void rotate_tokens(const void *ctx, int64_t begin, int64_t end) {
    const Rope *p = ctx;
    if (p->dt == DT_F32)
        for (int64_t t = begin; t < end; t++) rotate_token(p, t, DT_F32);
    else
        for (int64_t t = begin; t < end; t++) rotate_token(p, t, DT_BF16);
}

void CPU_NAME(rope)(Stream *s, void *y, const void *x, const int32_t *pos, const float *cos, const float *sin,
                    float sign, int interleaved, int64_t T, int64_t H, int64_t D, int64_t half, DType dt) {
    Rope p = {.y = y,
              .x = x,
              .pos = pos,
              .cos = cos,
              .sin = sin,
              .sign = sign,
              .interleaved = interleaved,
              .H = H,
              .D = D,
              .half = half,
              .dt = dt};
    spread_rows(s, T, H * D, rotate_tokens, &p);
}
