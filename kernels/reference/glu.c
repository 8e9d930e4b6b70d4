/* glu.c: the gated product act(g) * u of the feed-forward part, forward and backward.
 *
 * silu(x) = x*sigmoid(x)                          silu'(x) = sigmoid(x) * (1 + x*(1 - sigmoid(x)))
 * gelu(x) = x/2 * (1 + tanh(z))                   gelu'(x) = (1 + tanh(z))/2 + x/2 * (1 - tanh(z)^2) * z'
 *   z = sqrt(2/pi) * (x + 0.044715*x^3)           z' = sqrt(2/pi) * (1 + 3*0.044715*x^2)
 * Sources: arXiv 2002.05202 (GLU variants), arXiv 1606.08415 (GELU and its tanh form). */
#include "kernels/reference/reference.h"

#include <math.h>

static const double SQRT_2_OVER_PI = 0.79788456080286535588, GELU_CUBIC = 0.044715;

static double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }

static double gelu_z(double x) { return SQRT_2_OVER_PI * (x + GELU_CUBIC * x * x * x); }

static double activation(double x, GluAct act) {
    return act == GLU_SILU ? x * sigmoid(x) : 0.5 * x * (1.0 + tanh(gelu_z(x)));
}

static double activation_slope(double x, GluAct act) {
    if (act == GLU_SILU) {
        double sg = sigmoid(x);
        return sg * (1.0 + x * (1.0 - sg));
    }
    double th = tanh(gelu_z(x)), slope_z = SQRT_2_OVER_PI * (1.0 + 3.0 * GELU_CUBIC * x * x);
    return 0.5 * (1.0 + th) + 0.5 * x * (1.0 - th * th) * slope_z;
}

void reference_glu_forward(Stream *s, void *y, const void *g, const void *u, int64_t n, GluAct act, DType dt) {
    (void)s;
    for (int64_t i = 0; i < n; i++)
        reference_store(y, i, activation(reference_load(g, i, dt), act) * reference_load(u, i, dt), dt);
}

void reference_glu_backward(Stream *s, void *dg, void *du, const void *dy, const void *g, const void *u, int64_t n,
                            GluAct act, DType dt) {
    (void)s;
    for (int64_t i = 0; i < n; i++) {
        /* All three are read before either result is stored: dg or du may be dy. */
        double d = reference_load(dy, i, dt), gate = reference_load(g, i, dt), up = reference_load(u, i, dt);
        reference_store(dg, i, d * up * activation_slope(gate, act), dt);
        reference_store(du, i, d * activation(gate, act), dt);
    }
}
