/* glu.c: the gated product act(g) * u, forward and backward, elementwise.
 *
 * silu(x) = x*sg                                  silu'(x) = sg * (1 + x*(1 - sg))      sg = 1/(1 + exp(-x))
 * gelu(x) = x/2 * (1 + th)                        gelu'(x) = (1 + th)/2 + x/2 * (1 - th^2) * z'
 *   th = tanh(z)   z = sqrt(2/pi) * (x + 0.044715*x^3)   z' = sqrt(2/pi) * (1 + 3*0.044715*x^2)
 * All inputs of a vector are read before a result is written: results may lie in place of inputs. */
#include "kernels/cpu/level.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/spread.h"

#define SQRT_2_OVER_PI 0.797884561f
#define GELU_CUBIC 0.044715f

typedef struct Glu {
    void *y, *dg, *du;
    const void *g, *u, *dy;
    GluAct act;
    DType dt;
} Glu;

/* e^x within 2 ulp where the level fuses, for a sigmoid: infinite from about 88.4 on, never below 2^-126, NaN stays NaN.
 * 2^n * 2^r with a second part of log2(e), so that r is exact for large x too. Shorter than vf_exp,
 * whose steps must not fuse. */
CPU_INLINE vf exp_fused(vf x) {
    x = vf_min(vf_set1(89.0f), vf_max(vf_set1(-87.0f), x));
    vf shifted = vf_fma(x, vf_set1(MATH_LOG2E_F32), vf_set1(MATH_ROUND32)), n = shifted - MATH_ROUND32;
    vf r = vf_fma(x, vf_set1(0x1.4ae0cp-26f), vf_fma(x, vf_set1(MATH_LOG2E_F32), -n));
    return vf_exp2_rounded(shifted, r);
}

typedef struct Activation {
    vf value, slope;
} Activation;

CPU_INLINE Activation activation(vf x, GluAct act) {
    if (act == GLU_SILU) {
        vf sg = 1.0f / (1.0f + exp_fused(-x));
        return (Activation){x * sg, sg * (1.0f + x * (1.0f - sg))};
    }
    vf square = x * x, th = vf_tanh(SQRT_2_OVER_PI * (x + GELU_CUBIC * (square * x)));
    vf slope_z = SQRT_2_OVER_PI * (1.0f + (3.0f * GELU_CUBIC) * square), half = 0.5f * (1.0f + th);
    return (Activation){x * half, half + 0.5f * x * (1.0f - th * th) * slope_z};
}

CPU_INLINE void forward_vector(const Glu *p, int64_t i, int64_t lanes, GluAct act, DType dt) {
    vf g = vf_load_n_dt(p->g, i, lanes, dt), u = vf_load_n_dt(p->u, i, lanes, dt);
    vf_store_n_dt(p->y, i, activation(g, act).value * u, lanes, dt);
}

CPU_INLINE void backward_vector(const Glu *p, int64_t i, int64_t lanes, GluAct act, DType dt) {
    vf g = vf_load_n_dt(p->g, i, lanes, dt), u = vf_load_n_dt(p->u, i, lanes, dt);
    vf dy = vf_load_n_dt(p->dy, i, lanes, dt);
    Activation a = activation(g, act);
    vf_store_n_dt(p->dg, i, dy * u * a.slope, lanes, dt);
    vf_store_n_dt(p->du, i, dy * a.value, lanes, dt);
}

CPU_INLINE void range(const Glu *p, int64_t begin, int64_t end, int backward, GluAct act, DType dt) {
    int64_t i = begin;
    for (; i + CPU_VW <= end; i += CPU_VW)
        backward ? backward_vector(p, i, CPU_VW, act, dt) : forward_vector(p, i, CPU_VW, act, dt);
    if (i < end) backward ? backward_vector(p, i, end - i, act, dt) : forward_vector(p, i, end - i, act, dt);
}

CPU_INLINE void range_of(const Glu *p, int64_t begin, int64_t end, int backward) {
    if (p->act == GLU_SILU)
        p->dt == DT_F32 ? range(p, begin, end, backward, GLU_SILU, DT_F32)
                        : range(p, begin, end, backward, GLU_SILU, DT_BF16);
    else
        p->dt == DT_F32 ? range(p, begin, end, backward, GLU_GELU_TANH, DT_F32)
                        : range(p, begin, end, backward, GLU_GELU_TANH, DT_BF16);
}

static void forward_range(const void *ctx, int64_t begin, int64_t end) { range_of(ctx, begin, end, 0); }
static void backward_range(const void *ctx, int64_t begin, int64_t end) { range_of(ctx, begin, end, 1); }

void CPU_NAME(glu_forward)(Stream *s, void *y, const void *g, const void *u, int64_t n, GluAct act, DType dt) {
    Glu p = {.y = y, .g = g, .u = u, .act = act, .dt = dt};
    spread_run(s, n, SPREAD_ELEMENTS, forward_range, &p);
}

void CPU_NAME(glu_backward)(Stream *s, void *dg, void *du, const void *dy, const void *g, const void *u, int64_t n,
                            GluAct act, DType dt) {
    Glu p = {.dg = dg, .du = du, .g = g, .u = u, .dy = dy, .act = act, .dt = dt};
    spread_run(s, n, SPREAD_ELEMENTS, backward_range, &p);
}
