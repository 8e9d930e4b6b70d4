/* timed.c: see timed.h. One wrapper a kernel, with the work of its formula; a kernel without one does not compile. */
#include "tests/bench/timed.h"

#include "base/log.h"
#include "tests/bench/common.h"

#include <string.h>

static struct {
    Backend target;
    TimedEntry entries[TIMED_ENTRIES];
    int n;
} state;

static const char *const NAMES[KERNEL_COUNT] = {
#define K(kernel, args) #kernel,
#define KW(kernel, args, ws_args) #kernel,
#include "kernels/kernels.def"
#undef K
#undef KW
};

const char *kernel_name(KernelId id) { return NAMES[id]; }

KernelClass kernel_class(KernelId id) {
    switch (id) {
    case KERNEL_linear_forward:
    case KERNEL_linear_backward:
    case KERNEL_lora_grad:
    case KERNEL_head_loss:
    case KERNEL_head_logits:
        return CLASS_PRODUCT;
    case KERNEL_attention_forward:
    case KERNEL_attention_backward:
    case KERNEL_attention_cached:
        return CLASS_ATTENTION;
    default:
        return CLASS_OTHER;
    }
}

void timed_reset(void) { state.n = 0; }

const TimedEntry *timed_entries(int *n) {
    *n = state.n;
    return state.entries;
}

typedef struct Work {
    int64_t N, K;
    double flop, bytes;
} Work;

typedef struct Clock {
    double processor, wall;
} Clock;

static Clock now(void) { return (Clock){processor_s(), clock_s()}; }

static void count(KernelId id, Work w, Clock start) {
    Clock end = now();
    int i = 0;
    while (i < state.n && (state.entries[i].kernel != id || state.entries[i].N != w.N || state.entries[i].K != w.K))
        i++;
    CHECK(i < TIMED_ENTRIES, "%s", kernel_name(id));
    if (i == state.n) state.entries[state.n++] = (TimedEntry){.kernel = id, .N = w.N, .K = w.K};
    TimedEntry *t = &state.entries[i];
    t->calls++;
    t->processor_s += end.processor - start.processor;
    t->wall_s += end.wall - start.wall;
    t->flop += w.flop;
    t->bytes += w.bytes;
}

/* ---- work of the formulas */
static const Work NONE = {0};

/* wide: 1 when the frozen weights are multiplied; inner and outer: products with A (r,K) and B (N,r). */
static Work linear(const LinearPart *parts, int n, int64_t T, int64_t K, bool wide, bool inner, bool outer) {
    Work w = {.K = K};
    for (int i = 0; i < n; i++) {
        int64_t N = parts[i].N, r = parts[i].A == NULL ? 0 : parts[i].r;
        w.N += N;
        if (wide) w.bytes += (double)(N * wtype_row_bytes(parts[i].wt, K));
        w.flop +=
            2.0 * (double)T * ((wide ? (double)(N * K) : 0.0) + (double)(r * (inner ? K : 0) + r * (outer ? N : 0)));
    }
    return w;
}

static Work head(int64_t M, int64_t C, int64_t V, WType wt, int products) {
    return (Work){
        .N = V, .K = C, .flop = 2.0 * products * (double)(M * C * V), .bytes = (double)(V * wtype_row_bytes(wt, C))};
}

static Work attention(const int32_t *cu, int64_t n_docs, int64_t window, int64_t H, int64_t D, double flop) {
    double pairs = 0.0;
    for (int64_t i = 0; i < n_docs; i++) {
        int64_t n = cu[i + 1] - cu[i], w = window > 0 && window < n ? window : n;
        pairs += 0.5 * (double)(w * (w + 1)) + (double)((n - w) * w);
    }
    return (Work){.flop = flop * pairs * (double)(H * D)};
}

#define TIMED(kernel, work, params, args)                                                                              \
    static void timed_##kernel params {                                                                                \
        Clock start = now();                                                                                           \
        state.target.kernel args;                                                                                      \
        count(KERNEL_##kernel, work, start);                                                                           \
    }

TIMED(embedding_forward, NONE,
      (Stream * s, void *y, const int32_t *ids, const void *w, int64_t T, int64_t C, WType wt, DType dt),
      (s, y, ids, w, T, C, wt, dt))
TIMED(rmsnorm_forward, NONE,
      (Stream * s, void *y, float *rstd, const void *x, const float *w, float eps, int64_t T, int64_t C, DType dt),
      (s, y, rstd, x, w, eps, T, C, dt))
TIMED(rmsnorm_backward, NONE,
      (Stream * s, void *dx, const void *dy, const void *x, const float *w, const float *rstd, float beta, int64_t T,
       int64_t C, DType dt),
      (s, dx, dy, x, w, rstd, beta, T, C, dt))
TIMED(linear_forward, linear(parts, n, T, K, true, true, true),
      (Stream * s, void *ws, const LinearPart *parts, int n, const void *R, const void *X, const Dropout *drop,
       int64_t T, int64_t K, DType dt),
      (s, ws, parts, n, R, X, drop, T, K, dt))
TIMED(linear_backward, linear(parts, n, T, K, dX != NULL, dX != NULL, true),
      (Stream * s, void *ws, void *dX, const LinearPart *parts, int n, const Dropout *drop, float beta, int64_t T,
       int64_t K, DType dt),
      (s, ws, dX, parts, n, drop, beta, T, K, dt))
TIMED(lora_grad, linear(parts, n, T, K, false, true, true),
      (Stream * s, void *ws, const LinearPart *parts, int n, const void *X, const Dropout *drop, const RowSpan *rows,
       int64_t n_rows, int64_t stride, int64_t T, int64_t K, DType dt),
      (s, ws, parts, n, X, drop, rows, n_rows, stride, T, K, dt))
TIMED(tree_fold, NONE, (Stream * s, float *out, const float *tree, int64_t stride, int64_t n_rows, int64_t n),
      (s, out, tree, stride, n_rows, n))
TIMED(rope, NONE,
      (Stream * s, void *y, const void *x, const int32_t *pos, const float *cos, const float *sin, float sign,
       int interleaved, int64_t T, int64_t H, int64_t D, int64_t half, DType dt),
      (s, y, x, pos, cos, sin, sign, interleaved, T, H, D, half, dt))
TIMED(attention_forward, attention(cu, n_docs, window, H, D, 4.0),
      (Stream * s, void *ws, void *O, float *L, const void *Q, const void *K, const void *V, const int32_t *cu,
       int64_t n_docs, float scale, int64_t window, float cap, int64_t T, int64_t H, int64_t Hkv, int64_t D, DType dt),
      (s, ws, O, L, Q, K, V, cu, n_docs, scale, window, cap, T, H, Hkv, D, dt))
TIMED(attention_backward, attention(cu, n_docs, window, H, D, 10.0),
      (Stream * s, void *ws, void *dQ, void *dK, void *dV, const void *dO, const void *O, const float *L, const void *Q,
       const void *K, const void *V, const int32_t *cu, int64_t n_docs, float scale, int64_t window, float cap,
       int64_t T, int64_t H, int64_t Hkv, int64_t D, DType dt),
      (s, ws, dQ, dK, dV, dO, O, L, Q, K, V, cu, n_docs, scale, window, cap, T, H, Hkv, D, dt))
TIMED(attention_cached, NONE,
      (Stream * s, void *ws, void *O, const void *Q, const void *K, const void *V, int64_t past, float scale,
       int64_t window, float cap, int64_t T, int64_t H, int64_t Hkv, int64_t D, DType dt),
      (s, ws, O, Q, K, V, past, scale, window, cap, T, H, Hkv, D, dt))
TIMED(glu_forward, NONE, (Stream * s, void *y, const void *g, const void *u, int64_t n, GluAct act, DType dt),
      (s, y, g, u, n, act, dt))
TIMED(glu_backward, NONE,
      (Stream * s, void *dg, void *du, const void *dy, const void *g, const void *u, int64_t n, GluAct act, DType dt),
      (s, dg, du, dy, g, u, n, act, dt))
TIMED(head_loss, head(M, C, V, wt, dX == NULL ? 1 : 2),
      (Stream * s, void *ws, void *dX, float *logp, const void *X, const void *W, const int32_t *index,
       const int32_t *target, const float *weight, int64_t M, int64_t T, int64_t C, int64_t V, WType wt, DType dt),
      (s, ws, dX, logp, X, W, index, target, weight, M, T, C, V, wt, dt))
TIMED(head_logits, head(M, C, V, wt, 1),
      (Stream * s, void *ws, float *logits, const void *X, const void *W, const int32_t *index, int64_t M, int64_t C,
       int64_t V, WType wt, DType dt),
      (s, ws, logits, X, W, index, M, C, V, wt, dt))
TIMED(adamw_step, NONE,
      (Stream * s, float *p, float *m, float *v, const float *g, float grad_scale, double lr, double beta1,
       double beta2, double eps, double decay, double bias1, double bias2, int64_t n),
      (s, p, m, v, g, grad_scale, lr, beta1, beta2, eps, decay, bias1, bias2, n))
TIMED(square_sum, NONE, (Stream * s, void *ws, double *out, const float *x, int64_t n), (s, ws, out, x, n))
TIMED(lora_merge, NONE,
      (Stream * s, float *Y, const void *W, const float *A, const float *B, float scale, int64_t row0, int64_t rows,
       int64_t K, int64_t r, WType wt),
      (s, Y, W, A, B, scale, row0, rows, K, r, wt))
TIMED(copy_bytes, NONE, (Stream * s, void *dst, const void *src, int64_t bytes), (s, dst, src, bytes))

void timed_backend(const Backend *target, Backend *out) {
    state.target = *out = *target;
    state.n = 0;
#define K(kernel, args) out->kernel = timed_##kernel;
#define KW(kernel, args, ws_args) out->kernel = timed_##kernel;
#include "kernels/kernels.def"
#undef K
#undef KW
}
