/* rmsnorm.c: root mean square norm with a weight, forward and backward.
 *
 * A row's sum runs in SUMS vectors, vector k adding columns k*CPU_VW + i*SUMS*CPU_VW in ascending i; missing columns add
 * nothing. The order is fixed by C and the level alone. */
#include "kernels/cpu/level.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/spread.h"

#include <math.h>

enum { SUMS = 4 };

typedef struct Norm {
    void *y; /* dx in backward */
    float *rstd;
    const void *x, *dy;
    const float *w, *rstd_in;
    float eps, beta;
    int64_t C;
    DType dt;
} Norm;

CPU_INLINE float total(const vf sums[SUMS]) { return vf_sum((sums[0] + sums[1]) + (sums[2] + sums[3])); }

CPU_INLINE void forward_row(const Norm *p, int64_t t, DType dt) {
    int64_t C = p->C, at = t * C, whole = C / CPU_VW * CPU_VW, rest = C - whole, c = 0;
    vf sums[SUMS] = {{0}};
    for (; c + SUMS * CPU_VW <= C; c += SUMS * CPU_VW)
        for (int k = 0; k < SUMS; k++) {
            vf x = vf_load_dt(p->x, at + c + k * CPU_VW, dt);
            sums[k] = vf_fma(x, x, sums[k]);
        }
    for (int k = 0; k < SUMS && c < C; k++, c += CPU_VW) {
        vf x = vf_load_n_dt(p->x, at + c, C - c < CPU_VW ? C - c : CPU_VW, dt);
        sums[k] = vf_fma(x, x, sums[k]);
    }
    float rstd = 1.0f / sqrtf(total(sums) / (float)C + p->eps);
    for (c = 0; c < whole; c += CPU_VW)
        vf_store_dt(p->y, at + c, vf_load_dt(p->x, at + c, dt) * rstd * vf_load(p->w + c), dt);
    if (rest > 0)
        vf_store_n_dt(p->y, at + c, vf_load_n_dt(p->x, at + c, rest, dt) * rstd * vf_load_n(p->w + c, rest), rest, dt);
    if (p->rstd != NULL) p->rstd[t] = rstd;
}

static void forward_rows(const void *ctx, int64_t begin, int64_t end) {
    const Norm *p = ctx;
    if (p->dt == DT_F32)
        for (int64_t t = begin; t < end; t++) forward_row(p, t, DT_F32);
    else
        for (int64_t t = begin; t < end; t++) forward_row(p, t, DT_BF16);
}

void CPU_NAME(rmsnorm_forward)(Stream *s, void *y, float *rstd, const void *x, const float *w, float eps, int64_t T,
                               int64_t C, DType dt) {
    Norm p = {.y = y, .rstd = rstd, .x = x, .w = w, .eps = eps, .C = C, .dt = dt};
    spread_rows(s, T, C, forward_rows, &p);
}

CPU_INLINE vf product(const Norm *p, int64_t at, int64_t c, int64_t lanes, DType dt) {
    return vf_load_n_dt(p->dy, at + c, lanes, dt) * vf_load_n(p->w + c, lanes);
}

CPU_INLINE void backward_columns(const Norm *p, int64_t at, int64_t c, int64_t lanes, float rstd, float mean,
                                 DType dt) {
    vf xhat = vf_load_n_dt(p->x, at + c, lanes, dt) * rstd;
    vf dx = rstd * (product(p, at, c, lanes, dt) - xhat * mean);
    if (p->beta != 0.0f) dx = p->beta * vf_load_n_dt(p->y, at + c, lanes, dt) + dx;
    vf_store_n_dt(p->y, at + c, dx, lanes, dt);
}

CPU_INLINE void backward_row(const Norm *p, int64_t t, DType dt) {
    int64_t C = p->C, at = t * C, whole = C / CPU_VW * CPU_VW, c = 0;
    float rstd = p->rstd_in[t];
    vf sums[SUMS] = {{0}};
    for (; c + SUMS * CPU_VW <= C; c += SUMS * CPU_VW)
        for (int k = 0; k < SUMS; k++)
            sums[k] =
                vf_fma(product(p, at, c + k * CPU_VW, CPU_VW, dt), vf_load_dt(p->x, at + c + k * CPU_VW, dt), sums[k]);
    for (int k = 0; k < SUMS && c < C; k++, c += CPU_VW) {
        int64_t lanes = C - c < CPU_VW ? C - c : CPU_VW;
        sums[k] = vf_fma(product(p, at, c, lanes, dt), vf_load_n_dt(p->x, at + c, lanes, dt), sums[k]);
    }
    float mean = total(sums) * rstd / (float)C;
    for (c = 0; c < whole; c += CPU_VW) backward_columns(p, at, c, CPU_VW, rstd, mean, dt);
    if (c < C) backward_columns(p, at, c, C - c, rstd, mean, dt);
}

static void backward_rows(const void *ctx, int64_t begin, int64_t end) {
    const Norm *p = ctx;
    if (p->dt == DT_F32)
        for (int64_t t = begin; t < end; t++) backward_row(p, t, DT_F32);
    else
        for (int64_t t = begin; t < end; t++) backward_row(p, t, DT_BF16);
}

void CPU_NAME(rmsnorm_backward)(Stream *s, void *dx, const void *dy, const void *x, const float *w, const float *rstd,
                                float beta, int64_t T, int64_t C, DType dt) {
    Norm p = {.y = dx, .x = x, .dy = dy, .w = w, .rstd_in = rstd, .beta = beta, .C = C, .dt = dt};
    spread_rows(s, T, C, backward_rows, &p);
}
