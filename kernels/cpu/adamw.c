/* adamw.c: the optimizer step, see kernels.def. Constants are made in f64 and rounded once; no step is fused, so that
 * the loop gives the same bits however the compiler vectorizes it. */
#include "kernels/cpu/level.h"
#include "kernels/cpu/spread.h"

#include <math.h>

typedef struct Adamw {
    float *p, *m, *v;
    const float *g;
    float grad_scale, decay, rest1, beta2, rest2, step, root_bias2, eps;
} Adamw;

static void adamw_range(const void *ctx, int64_t begin, int64_t end) {
    const Adamw a = *(const Adamw *)ctx;
    float *restrict p = a.p, *restrict m = a.m, *restrict v = a.v;
    const float *restrict g = a.g;
    for (int64_t i = begin; i < end; i++) {
        float grad = g[i] * a.grad_scale;
        m[i] = m[i] + a.rest1 * (grad - m[i]);
        v[i] = a.beta2 * v[i] + a.rest2 * grad * grad;
        p[i] = p[i] * a.decay - a.step * m[i] / (sqrtf(v[i]) / a.root_bias2 + a.eps);
    }
}

void CPU_NAME(adamw_step)(Stream *s, float *p, float *m, float *v, const float *g, float grad_scale, double lr,
                          double beta1, double beta2, double eps, double weight_decay, double bias1, double bias2,
                          int64_t n) {
    Adamw a = {.p = p,
               .m = m,
               .v = v,
               .g = g,
               .grad_scale = grad_scale,
               .decay = (float)(1.0 - lr * weight_decay),
               .rest1 = (float)(1.0 - beta1),
               .beta2 = (float)beta2,
               .rest2 = (float)(1.0 - beta2),
               .step = (float)(lr / bias1),
               .root_bias2 = (float)sqrt(bias2),
               .eps = (float)eps};
    spread_run(s, n, SPREAD_ELEMENTS, adamw_range, &a);
}
