/* attention.c: causal attention over documents and over a cache, one query and head at a time.
 *
 * Forward keeps a running maximum and rescales; backward gives each (document, kv head) to one task, which adds queries
 * in ascending order. Sums stand in f32 in the workspace. */
#include "kernels/cpu/level.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/spread.h"

#include <math.h>

typedef struct Attention {
    void *O, *dQ, *dK, *dV;
    float *L, *sums, *dK_sums, *dV_sums;
    const void *Q, *K, *V, *dO, *O_in;
    const float *L_in;
    const int32_t *cu_seqlens; /* NULL: one document whose query row r is token n_past + r */
    int64_t n_docs, n_past, window, H, Hkv, D;
    float scale, softcap;
    DType dt;
} Attention;

CPU_INLINE int64_t lanes_at(int64_t D, int64_t d) { return D - d < CPU_VW ? D - d : CPU_VW; }

static float dot(const void *a, int64_t ai, const void *b, int64_t bi, int64_t D, DType dt) {
    vf sum = {0};
    for (int64_t d = 0; d < D; d += CPU_VW) {
        int64_t lanes = lanes_at(D, d);
        sum = vf_fma(vf_load_n_dt(a, ai + d, lanes, dt), vf_load_n_dt(b, bi + d, lanes, dt), sum);
    }
    return vf_sum(sum);
}

/* y = y*decay + a*x */
static void add_scaled(float *y, float decay, float a, const void *x, int64_t xi, int64_t D, DType dt) {
    for (int64_t d = 0; d < D; d += CPU_VW) {
        int64_t lanes = lanes_at(D, d);
        vf_store_n(y + d, vf_fma(vf_set1(a), vf_load_n_dt(x, xi + d, lanes, dt), vf_load_n(y + d, lanes) * decay),
                   lanes);
    }
}

static void store_row(void *y, int64_t yi, const float *x, float factor, int64_t D, DType dt) {
    for (int64_t d = 0; d < D; d += CPU_VW) {
        int64_t lanes = lanes_at(D, d);
        vf_store_n_dt(y, yi + d, vf_load_n(x + d, lanes) * factor, lanes, dt);
    }
}

static float score(const Attention *p, int64_t q, int64_t k) {
    float s = p->scale * dot(p->Q, q, p->K, k, p->D, p->dt);
    return p->softcap == 0.0f ? s : p->softcap * tanh_f32(s / p->softcap);
}

static int64_t first_visible(const Attention *p, int64_t position) {
    return p->window > 0 && position >= p->window ? position - p->window + 1 : 0;
}

/* The first token of the document that holds token t. */
static int64_t document_begin(const Attention *p, int64_t t) {
    int64_t low = 0, high = p->n_docs;
    while (high - low > 1) {
        int64_t middle = (low + high) / 2;
        *(p->cu_seqlens[middle] <= t ? &low : &high) = middle;
    }
    return p->cu_seqlens[low];
}

static void forward_rows(const void *ctx, int64_t begin, int64_t end) {
    const Attention *p = ctx;
    int64_t D = p->D;
    for (int64_t i = begin; i < end; i++) {
        int64_t t = i / p->H, h = i % p->H, kv = h / (p->H / p->Hkv);
        int64_t base = p->cu_seqlens == NULL ? 0 : document_begin(p, t), position = p->n_past + t - base;
        float max = -INFINITY, sum = 0.0f, *acc = p->sums + i * D;
        for (int64_t d = 0; d < D; d++) acc[d] = 0.0f;
        for (int64_t j = first_visible(p, position); j <= position; j++) {
            int64_t k = ((base + j) * p->Hkv + kv) * D;
            float s = score(p, i * D, k), decay = 1.0f;
            if (s > max) {
                decay = exp_f32(max - s);
                max = s;
            }
            float e = exp_f32(s - max);
            sum = sum * decay + e;
            add_scaled(acc, decay, e, p->V, k, D, p->dt);
        }
        store_row(p->O, i * D, acc, 1.0f / sum, D, p->dt);
        if (p->L != NULL) p->L[i] = max + log_f32(sum);
    }
}

int64_t CPU_NAME(attention_forward_workspace)(const Stream *s, int64_t T, int64_t H, int64_t Hkv, int64_t D, DType dt) {
    (void)s;
    (void)Hkv;
    (void)dt;
    return T * H * D * (int64_t)sizeof(float);
}

void CPU_NAME(attention_forward)(Stream *s, void *ws, void *O, float *L, const void *Q, const void *K, const void *V,
                                 const int32_t *cu_seqlens, int64_t n_docs, float scale, int64_t window, float softcap,
                                 int64_t T, int64_t H, int64_t Hkv, int64_t D, DType dt) {
    Attention p = {.O = O,
                   .L = L,
                   .sums = ws,
                   .Q = Q,
                   .K = K,
                   .V = V,
                   .cu_seqlens = cu_seqlens,
                   .n_docs = n_docs,
                   .window = window,
                   .H = H,
                   .Hkv = Hkv,
                   .D = D,
                   .scale = scale,
                   .softcap = softcap,
                   .dt = dt};
    if (n_docs > 0) spread_run(s, T * H, 16, forward_rows, &p);
}

int64_t CPU_NAME(attention_cached_workspace)(const Stream *s, int64_t T, int64_t n_context, int64_t H, int64_t Hkv,
                                             int64_t D, DType dt) {
    (void)n_context;
    return CPU_NAME(attention_forward_workspace)(s, T, H, Hkv, D, dt);
}

void CPU_NAME(attention_cached)(Stream *s, void *ws, void *O, const void *Q, const void *Kc, const void *Vc,
                                int64_t n_past, float scale, int64_t window, float softcap, int64_t T, int64_t H,
                                int64_t Hkv, int64_t D, DType dt) {
    Attention p = {.O = O,
                   .sums = ws,
                   .Q = Q,
                   .K = Kc,
                   .V = Vc,
                   .n_past = n_past,
                   .window = window,
                   .H = H,
                   .Hkv = Hkv,
                   .D = D,
                   .scale = scale,
                   .softcap = softcap,
                   .dt = dt};
    spread_run(s, T * H, 4, forward_rows, &p);
}

/* Task (document, kv head). */
static void backward_heads(const void *ctx, int64_t begin, int64_t end) {
    const Attention *p = ctx;
    int64_t D = p->D, group = p->H / p->Hkv;
    for (int64_t task = begin; task < end; task++) {
        int64_t doc = task / p->Hkv, kv = task % p->Hkv, base = p->cu_seqlens[doc], stop = p->cu_seqlens[doc + 1];
        for (int64_t t = base; t < stop; t++)
            for (int64_t h = kv * group; h < (kv + 1) * group; h++) {
                int64_t i = t * p->H + h, q = i * D;
                float delta = dot(p->dO, q, p->O_in, q, D, p->dt), *dq = p->sums + q;
                for (int64_t d = 0; d < D; d++) dq[d] = 0.0f;
                for (int64_t j = first_visible(p, t - base); j <= t - base; j++) {
                    int64_t k = ((base + j) * p->Hkv + kv) * D;
                    float S = score(p, q, k), P = exp_f32(S - p->L_in[i]), ratio = S / p->softcap;
                    float dS = P * (dot(p->dO, q, p->V, k, D, p->dt) - delta) * p->scale;
                    if (p->softcap != 0.0f) dS *= 1.0f - ratio * ratio;
                    add_scaled(p->dV_sums + k, 1.0f, P, p->dO, q, D, p->dt);
                    add_scaled(p->dK_sums + k, 1.0f, dS, p->Q, q, D, p->dt);
                    add_scaled(dq, 1.0f, dS, p->K, k, D, p->dt);
                }
                store_row(p->dQ, q, dq, 1.0f, D, p->dt);
            }
        for (int64_t t = base; t < stop; t++) {
            int64_t k = (t * p->Hkv + kv) * D;
            store_row(p->dK, k, p->dK_sums + k, 1.0f, D, p->dt);
            store_row(p->dV, k, p->dV_sums + k, 1.0f, D, p->dt);
        }
    }
}

int64_t CPU_NAME(attention_backward_workspace)(const Stream *s, int64_t T, int64_t H, int64_t Hkv, int64_t D,
                                               DType dt) {
    (void)s;
    (void)dt;
    return T * (H + 2 * Hkv) * D * (int64_t)sizeof(float);
}

void CPU_NAME(attention_backward)(Stream *s, void *ws, void *dQ, void *dK, void *dV, const void *dO, const void *O,
                                  const float *L, const void *Q, const void *K, const void *V,
                                  const int32_t *cu_seqlens, int64_t n_docs, float scale, int64_t window, float softcap,
                                  int64_t T, int64_t H, int64_t Hkv, int64_t D, DType dt) {
    float *sums = ws, *dK_sums = sums + T * H * D, *dV_sums = dK_sums + T * Hkv * D;
    memset(dK_sums, 0, (size_t)(2 * T * Hkv * D) * sizeof(float));
    Attention p = {.dQ = dQ,
                   .dK = dK,
                   .dV = dV,
                   .sums = sums,
                   .dK_sums = dK_sums,
                   .dV_sums = dV_sums,
                   .Q = Q,
                   .K = K,
                   .V = V,
                   .dO = dO,
                   .O_in = O,
                   .L_in = L,
                   .cu_seqlens = cu_seqlens,
                   .n_docs = n_docs,
                   .window = window,
                   .H = H,
                   .Hkv = Hkv,
                   .D = D,
                   .scale = scale,
                   .softcap = softcap,
                   .dt = dt};
    spread_run(s, n_docs * Hkv, 1, backward_heads, &p);
}
