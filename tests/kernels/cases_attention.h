/* cases_attention.h: cases of the three attention kernels. */
#ifndef LORAC_TESTS_KERNELS_CASES_ATTENTION_H
#define LORAC_TESTS_KERNELS_CASES_ATTENTION_H

#include "cases.h"

/* cu_seqlens of lengths that end with -1, in *n_docs + 1 values; T in *T. */
static inline int32_t *take_documents(Run *r, const int32_t *lengths, int64_t *n_docs, int64_t *T) {
    int64_t n = 0;
    while (lengths[n] >= 0) n++;
    int32_t *cu = take_i32(r, n + 1);
    cu[0] = 0;
    for (int64_t i = 0; i < n; i++) cu[i + 1] = cu[i] + lengths[i];
    *n_docs = n;
    *T = cu[n];
    return cu;
}

/* S has variance 1 at the usual scale; VARIANT_WIDE sharpens the softmax until single keys take all. */
static inline float score_scale(const Case *c) {
    return (c->variant == VARIANT_WIDE ? 8.0f : 1.0f) / sqrtf((float)c->D);
}

/* Rounding: S is a sum over D; in bf16 the inputs are exact, a backend may round the scaled queries, P (or dS) and the
 * result, and scores of size |S| make relative errors of P of |S| units. The first keys of a document get gradients from
 * every query, far above the rms, so a share of a value's own size is allowed too. */
static inline Tolerance attention_tolerance(const Case *c, int64_t T) {
    int sharp = c->variant == VARIANT_WIDE ? 8 : 1;
    Tolerance t = sum_tolerance(c->dt, (c->D + T) * sharp * sharp, 4, 5 * sharp);
    t.own = t.worst;
    return sized(t, sharp); /* of dQ and dK: scale * P * dP * K, dP of size sqrt(D) */
}

static void run_attention_forward(Run *r, const Case *c) {
    int64_t n_docs, T;
    int32_t *cu = take_documents(r, c->docs, &n_docs, &T);
    int64_t nq = T * c->H * c->D, nk = T * c->Hkv * c->D;
    void *Q = take_random(r, nq, 1.0f, c->dt), *K = take_random(r, nk, 1.0f, c->dt),
         *V = take_random(r, nk, 1.0f, c->dt);
    memory_seal(&r->mem);
    void *O = take(r, nq, c->dt), *ws = WORKSPACE(r, attention_forward, T, c->H, c->Hkv, c->D, c->dt);
    float *L = take(r, T * c->H, DT_F32);
    RUN(r, attention_forward, ws, O, L, Q, K, V, cu, n_docs, score_scale(c), c->window, c->softcap, T, c->H, c->Hkv,
        c->D, c->dt);
    output(r, "O", O, nq, out_type(c->dt), attention_tolerance(c, T));
    output(r, "L", L, T * c->H, OUT_F32, sized(c->dt == DT_F32 ? f32_sum(c->D + T, 2) : bf16_sum(2), 1.0));
}

static void run_attention_backward(Run *r, const Case *c) {
    int64_t n_docs, T;
    int32_t *cu = take_documents(r, c->docs, &n_docs, &T);
    int64_t nq = T * c->H * c->D, nk = T * c->Hkv * c->D;
    void *Q = take_random(r, nq, 1.0f, c->dt), *K = take_random(r, nk, 1.0f, c->dt),
         *V = take_random(r, nk, 1.0f, c->dt);
    void *dO = take_random(r, nq, 1.0f, c->dt), *O = take(r, nq, c->dt);
    float *L = take(r, T * c->H, DT_F32);
    Backend *reference = &r->bench->backends[0][0];
    int64_t bytes = reference->attention_forward_workspace(&reference->stream, T, c->H, c->Hkv, c->D, c->dt);
    reference->attention_forward(&reference->stream, workspace(r, bytes), O, L, Q, K, V, cu, n_docs, score_scale(c),
                                 c->window, c->softcap, T, c->H, c->Hkv, c->D, c->dt);
    memory_seal(&r->mem);
    void *dQ = take(r, nq, c->dt), *dK = take(r, nk, c->dt), *dV = take(r, nk, c->dt);
    void *ws = WORKSPACE(r, attention_backward, T, c->H, c->Hkv, c->D, c->dt);
    RUN(r, attention_backward, ws, dQ, dK, dV, dO, O, L, Q, K, V, cu, n_docs, score_scale(c), c->window, c->softcap, T,
        c->H, c->Hkv, c->D, c->dt);
    output(r, "dQ", dQ, nq, out_type(c->dt), attention_tolerance(c, T));
    output(r, "dK", dK, nk, out_type(c->dt), attention_tolerance(c, T));
    output(r, "dV", dV, nk, out_type(c->dt), attention_tolerance(c, T));
}

static void test_attention(void **state) {
    static const int32_t docs[][8] = {{1, -1},   {3, 1, 7, -1}, {70, -1}, {130, 5, 64, 65, -1}, {0, 33, 0, 17, 0, -1},
                                      {200, -1}, {-1}};
    static const int64_t heads[][3] = {{1, 1, 16}, {4, 2, 5}, {6, 2, 64}, {3, 1, 40}, {2, 2, 128}};
    static const int64_t windows[] = {0, 1, 4, 64, 100};
    for (int i = 0; i < 7 * 5; i++) {
        Case c = {.docs = docs[i % 7],
                  .H = heads[i / 7][0],
                  .Hkv = heads[i / 7][1],
                  .D = heads[i / 7][2],
                  .window = windows[i % 5],
                  .softcap = i % 3 == 1 ? 2.5f : 0.0f,
                  .variant = i % 4 == 3 ? VARIANT_WIDE : VARIANT_PLAIN};
        c.name = "attention_forward", c.run = run_attention_forward;
        compare_dtypes(*state, c);
        c.name = "attention_backward", c.run = run_attention_backward;
        compare_dtypes(*state, c);
    }
}

/* Longer than the blocks of keys and queries of any backend; the window too. */
static void test_attention_long(void **state) {
    static const int32_t docs[][3] = {{450, -1}, {5, 300, -1}};
    for (int i = 0; i < 4; i++) {
        Case c = {.docs = docs[i / 2],
                  .H = 2 + i,
                  .Hkv = i == 2 ? 2 : 1,
                  .D = i == 3 ? 72 : 16,
                  .window = i % 2 == 0 ? 0 : 150};
        c.name = "attention_forward", c.run = run_attention_forward;
        compare_dtypes(*state, c);
        c.name = "attention_backward", c.run = run_attention_backward;
        compare_dtypes(*state, c);
    }
}

static void run_attention_cached(Run *r, const Case *c) {
    int64_t nq = c->T * c->H * c->D, keys = c->n_past + c->T, room = keys + (c->variant == VARIANT_PLAIN ? 3 : 0);
    int64_t width = c->Hkv * c->D;
    void *Q = take_random(r, nq, 1.0f, c->dt);
    void *K = take_random(r, room * width, 1.0f, c->dt), *V = take_random(r, room * width, 1.0f, c->dt);
    for (int64_t i = keys * width; i < room * width; i++) put(K, i, NAN, c->dt), put(V, i, NAN, c->dt);
    memory_seal(&r->mem);
    void *O = take(r, nq, c->dt), *ws = WORKSPACE(r, attention_cached, c->T, room, c->H, c->Hkv, c->D, c->dt);
    RUN(r, attention_cached, ws, O, Q, K, V, c->n_past, score_scale(c), c->window, c->softcap, c->T, c->H, c->Hkv, c->D,
        c->dt);
    output(r, "O", O, nq, out_type(c->dt), attention_tolerance(c, keys));
}

static void test_attention_cached(void **state) {
    static const int64_t spans[][2] = {{0, 1}, {0, 7}, {5, 1}, {1, 70}, {200, 1}, {400, 30}, {3, 0}};
    static const int64_t heads[][3] = {{4, 2, 5}, {6, 2, 64}, {2, 1, 40}};
    for (int i = 0; i < 7 * 3; i++)
        compare_dtypes(*state, (Case){.name = "attention_cached",
                                      .run = run_attention_cached,
                                      .n_past = spans[i % 7][0],
                                      .T = spans[i % 7][1],
                                      .H = heads[i / 7][0],
                                      .Hkv = heads[i / 7][1],
                                      .D = heads[i / 7][2],
                                      .window = i % 4 == 2 ? 6 : 0,
                                      .softcap = i % 3 == 1 ? 2.5f : 0.0f,
                                      .variant = i % 5 == 3 ? VARIANT_WIDE : VARIANT_PLAIN});
}

#endif
