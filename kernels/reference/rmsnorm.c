/* rmsnorm.c: root mean square norm with a weight, forward and backward. */
#include "kernels/reference/reference.h"

#include <math.h>

void reference_rmsnorm_forward(Stream *s, void *y, float *rstd, const void *x, const float *w, float eps, int64_t T,
                               int64_t C, DType dt) {
    (void)s;
    for (int64_t t = 0; t < T; t++) {
        double sum = 0.0;
        for (int64_t c = 0; c < C; c++) {
            double v = reference_load(x, t * C + c, dt);
            sum += v * v;
        }
        double scale = 1.0 / sqrt(sum / (double)C + (double)eps);
        for (int64_t c = 0; c < C; c++)
            reference_store(y, t * C + c, reference_load(x, t * C + c, dt) * scale * (double)w[c], dt);
        if (rstd != NULL) rstd[t] = (float)scale;
    }
}

void reference_rmsnorm_backward(Stream *s, void *dx, const void *dy, const void *x, const float *w, const float *rstd,
                                float beta, int64_t T, int64_t C, DType dt) {
    (void)s;
    for (int64_t t = 0; t < T; t++) {
        double scale = (double)rstd[t], mean = 0.0;
        for (int64_t c = 0; c < C; c++) {
            double g = reference_load(dy, t * C + c, dt) * (double)w[c];
            mean += g * reference_load(x, t * C + c, dt) * scale / (double)C;
        }
        for (int64_t c = 0; c < C; c++) {
            int64_t i = t * C + c;
            double g = reference_load(dy, i, dt) * (double)w[c], xhat = reference_load(x, i, dt) * scale;
            reference_store(dx, i, reference_add(dx, i, beta, scale * (g - xhat * mean), dt), dt);
        }
    }
}
