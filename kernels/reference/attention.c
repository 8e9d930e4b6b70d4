/* attention.c: causal attention over documents and over a cache, forward and backward.
 *
 * One query token and head at a time: the scores of its visible keys stand in the workspace, then the sums run over
 * them. Backward holds dK and dV as f64 sums, because every query of a document adds to them. */
#include "kernels/reference/reference.h"

#include <math.h>

/* What one (query, head) sees: keys first_key .. query of the arrays K and V, whose row 0 is the document's token 0. */
typedef struct Shape {
    int64_t H, Hkv, D, window;
    float scale, softcap;
    DType dt;
} Shape;

static double dot(const void *a, int64_t ai, const void *b, int64_t bi, int64_t n, DType dt) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) sum += reference_load(a, ai + i, dt) * reference_load(b, bi + i, dt);
    return sum;
}

/* The first key that the query at `position` of its document sees. */
static int64_t first_visible(const Shape *p, int64_t position) {
    return p->window > 0 && position >= p->window ? position - p->window + 1 : 0;
}

/* softcap(scale * q.k); q and k are offsets of their first element. */
static double score(const Shape *p, const void *Q, int64_t q, const void *K, int64_t k) {
    double s = (double)p->scale * dot(Q, q, K, k, p->D, p->dt);
    return p->softcap == 0.0f ? s : (double)p->softcap * tanh(s / (double)p->softcap);
}

/* O and L of head h for the query in row `row` of Q and O, which is token `position` of the document whose first key is
 * row `base` of K and V. L may be NULL. */
static void attend(const Shape *p, double *S, void *O, float *L, const void *Q, int64_t row, const void *K,
                   const void *V, int64_t base, int64_t position, int64_t h) {
    int64_t kv = h / (p->H / p->Hkv), first = first_visible(p, position), q = (row * p->H + h) * p->D;
    double max = -INFINITY, sum = 0.0;
    for (int64_t j = first; j <= position; j++) {
        S[j] = score(p, Q, q, K, ((base + j) * p->Hkv + kv) * p->D);
        if (S[j] > max) max = S[j];
    }
    for (int64_t j = first; j <= position; j++) sum += exp(S[j] - max);
    double lse = max + log(sum);
    for (int64_t j = first; j <= position; j++) S[j] = exp(S[j] - lse); /* P from here on */
    for (int64_t d = 0; d < p->D; d++) {
        double o = 0.0;
        for (int64_t j = first; j <= position; j++)
            o += S[j] * reference_load(V, ((base + j) * p->Hkv + kv) * p->D + d, p->dt);
        reference_store(O, q + d, o, p->dt);
    }
    if (L != NULL) L[row * p->H + h] = (float)lse;
}

/* Scores of one query. */
int64_t reference_attention_forward_workspace(const Stream *s, int64_t T, int64_t H, int64_t Hkv, int64_t D, DType dt) {
    (void)s;
    (void)H;
    (void)Hkv;
    (void)D;
    (void)dt;
    return T * (int64_t)sizeof(double);
}

void reference_attention_forward(Stream *s, void *ws, void *O, float *L, const void *Q, const void *K, const void *V,
                                 const int32_t *cu_seqlens, int64_t n_docs, float scale, int64_t window, float softcap,
                                 int64_t T, int64_t H, int64_t Hkv, int64_t D, DType dt) {
    (void)s;
    (void)T;
    Shape p = {.H = H, .Hkv = Hkv, .D = D, .window = window, .scale = scale, .softcap = softcap, .dt = dt};
    for (int64_t doc = 0; doc < n_docs; doc++)
        for (int64_t t = cu_seqlens[doc]; t < cu_seqlens[doc + 1]; t++)
            for (int64_t h = 0; h < H; h++) attend(&p, ws, O, L, Q, t, K, V, cu_seqlens[doc], t - cu_seqlens[doc], h);
}

/* Gradients through the query in row t, head h, of the document that begins at row `base`. dS has room for a document;
 * dK, dV are sums. */
static void attend_backward(const Shape *p, double *dS, double *dK, double *dV, void *dQ, const void *dO, const void *O,
                            const float *L, const void *Q, const void *K, const void *V, int64_t base, int64_t t,
                            int64_t h) {
    int64_t kv = h / (p->H / p->Hkv), q = (t * p->H + h) * p->D, position = t - base;
    int64_t first = first_visible(p, position);
    double delta = dot(dO, q, O, q, p->D, p->dt);
    for (int64_t j = first; j <= position; j++) {
        int64_t k = ((base + j) * p->Hkv + kv) * p->D;
        double S = score(p, Q, q, K, k), P = exp(S - (double)L[t * p->H + h]);
        double cap = p->softcap == 0.0f ? 1.0 : 1.0 - (S / (double)p->softcap) * (S / (double)p->softcap);
        dS[j] = P * (dot(dO, q, V, k, p->D, p->dt) - delta) * cap;
        for (int64_t d = 0; d < p->D; d++) {
            dV[k + d] += P * reference_load(dO, q + d, p->dt);
            dK[k + d] += (double)p->scale * dS[j] * reference_load(Q, q + d, p->dt);
        }
    }
    for (int64_t d = 0; d < p->D; d++) {
        double sum = 0.0;
        for (int64_t j = first; j <= position; j++)
            sum += dS[j] * reference_load(K, ((base + j) * p->Hkv + kv) * p->D + d, p->dt);
        reference_store(dQ, q + d, (double)p->scale * sum, p->dt);
    }
}

/* Sums of dK and dV, dS of one query. */
int64_t reference_attention_backward_workspace(const Stream *s, int64_t T, int64_t H, int64_t Hkv, int64_t D,
                                               DType dt) {
    (void)s;
    (void)H;
    (void)dt;
    return (2 * T * Hkv * D + T) * (int64_t)sizeof(double);
}

void reference_attention_backward(Stream *s, void *ws, void *dQ, void *dK, void *dV, const void *dO, const void *O,
                                  const float *L, const void *Q, const void *K, const void *V,
                                  const int32_t *cu_seqlens, int64_t n_docs, float scale, int64_t window, float softcap,
                                  int64_t T, int64_t H, int64_t Hkv, int64_t D, DType dt) {
    (void)s;
    Shape p = {.H = H, .Hkv = Hkv, .D = D, .window = window, .scale = scale, .softcap = softcap, .dt = dt};
    int64_t n = T * Hkv * D;
    double *dK_sums = ws, *dV_sums = dK_sums + n, *dS = dV_sums + n;
    for (int64_t i = 0; i < 2 * n; i++) dK_sums[i] = 0.0;
    for (int64_t doc = 0; doc < n_docs; doc++)
        for (int64_t t = cu_seqlens[doc]; t < cu_seqlens[doc + 1]; t++)
            for (int64_t h = 0; h < H; h++)
                attend_backward(&p, dS, dK_sums, dV_sums, dQ, dO, O, L, Q, K, V, cu_seqlens[doc], t, h);
    for (int64_t i = 0; i < n; i++) {
        reference_store(dK, i, dK_sums[i], dt);
        reference_store(dV, i, dV_sums[i], dt);
    }
}

int64_t reference_attention_cached_workspace(const Stream *s, int64_t T, int64_t n_context, int64_t H, int64_t Hkv,
                                             int64_t D, DType dt) {
    (void)s;
    (void)T;
    (void)H;
    (void)Hkv;
    (void)D;
    (void)dt;
    return n_context * (int64_t)sizeof(double);
}

void reference_attention_cached(Stream *s, void *ws, void *O, const void *Q, const void *Kc, const void *Vc,
                                int64_t n_past, float scale, int64_t window, float softcap, int64_t T, int64_t H,
                                int64_t Hkv, int64_t D, DType dt) {
    (void)s;
    Shape p = {.H = H, .Hkv = Hkv, .D = D, .window = window, .scale = scale, .softcap = softcap, .dt = dt};
    for (int64_t t = 0; t < T; t++)
        for (int64_t h = 0; h < H; h++) attend(&p, ws, O, NULL, Q, t, Kc, Vc, 0, n_past + t, h);
}
