/* adamw.c: the optimizer step and the sum of squares behind the gradient norm. */
#include "kernels/reference/reference.h"

#include <math.h>

void reference_adamw_step(Stream *s, float *p, float *m, float *v, const float *g, float grad_scale, double lr,
                          double beta1, double beta2, double eps, double weight_decay, double bias1, double bias2,
                          int64_t n) {
    (void)s;
    for (int64_t i = 0; i < n; i++) {
        double grad = (double)g[i] * (double)grad_scale;
        double decayed = (double)p[i] * (1.0 - lr * weight_decay);
        m[i] = (float)((double)m[i] + (1.0 - beta1) * (grad - (double)m[i]));
        v[i] = (float)(beta2 * (double)v[i] + (1.0 - beta2) * grad * grad);
        double denominator = sqrt((double)v[i]) / sqrt(bias2) + eps;
        p[i] = (float)(decayed - lr / bias1 * (double)m[i] / denominator);
    }
}

int64_t reference_square_sum_workspace(const Stream *s, int64_t n) {
    (void)s;
    (void)n;
    return 0;
}

void reference_square_sum(Stream *s, void *ws, double *out, const float *x, int64_t n) {
    (void)s;
    (void)ws;
    enum { BLOCK = 4096 };
    double total = 0.0;
    for (int64_t begin = 0; begin < n; begin += BLOCK) {
        int64_t end = n - begin < BLOCK ? n : begin + BLOCK;
        double sum = 0.0;
        for (int64_t i = begin; i < end; i++) sum += (double)x[i] * (double)x[i];
        total += sum;
    }
    *out = total;
}
