/* t_cpu_attention.c: what the CPU backend promises about the bytes of attention, beyond nearness to the reference.
 *
 * On every level that this machine can run: a document's results do not depend on the other documents of a call, not
 * even on NaN there; a token's output does not depend on later tokens; the cached call gives the bytes of the forward
 * call, for a prompt in pieces and token by token; gradients do not depend on the number of threads, although one long
 * document is split over many threads in another way than over one. */
#include "harness.h"

typedef struct Shape {
    int64_t H, Hkv, D, window;
    float softcap;
    DType dt;
} Shape;

static const Shape SHAPES[] = {
    {6, 2, 64, 0, 0.0f, DT_F32},  {4, 4, 20, 0, 0.0f, DT_BF16}, {7, 1, 40, 90, 0.0f, DT_F32},
    {3, 1, 14, 0, 2.5f, DT_BF16}, {2, 2, 128, 7, 3.0f, DT_F32}, {9, 3, 64, 150, 0.0f, DT_BF16},
    {40, 2, 24, 0, 0.0f, DT_F32},
};
enum { N_SHAPES = sizeof SHAPES / sizeof SHAPES[0] };

/* Inputs and results of some documents, one after the other. */
typedef struct Tensors {
    int64_t T, nq, nk; /* tokens, elements of Q and of K */
    void *Q, *K, *V, *dO, *O, *dQ, *dK, *dV;
    float *L;
} Tensors;

static Tensors take_tensors(Run *r, const Shape *s, int64_t T) {
    Tensors t = {.T = T, .nq = T * s->H * s->D, .nk = T * s->Hkv * s->D};
    void **all[] = {&t.Q, &t.dO, &t.O, &t.dQ, &t.K, &t.V, &t.dK, &t.dV};
    for (int i = 0; i < 8; i++) *all[i] = take(r, i < 4 ? t.nq : t.nk, s->dt);
    t.L = take(r, T * s->H, DT_F32);
    return t;
}

static void fill_random(Run *r, const Shape *s, Tensors *t) {
    void *inputs[] = {t->Q, t->dO, t->K, t->V};
    for (int i = 0; i < 4; i++)
        for (int64_t j = 0; j < (i < 2 ? t->nq : t->nk); j++) put(inputs[i], j, random_normal(r), s->dt);
}

static void *element(const Shape *s, void *x, int64_t i) { return (uint8_t *)x + i * (int64_t)dtype_bytes(s->dt); }

/* Tokens [begin, end) of t, as tensors of their own that share t's memory. */
static Tensors part(const Shape *s, const Tensors *t, int64_t begin, int64_t end) {
    int64_t q = s->H * s->D, k = s->Hkv * s->D;
    return (Tensors){.T = end - begin,
                     .nq = (end - begin) * q,
                     .nk = (end - begin) * k,
                     .Q = element(s, t->Q, begin * q),
                     .dO = element(s, t->dO, begin * q),
                     .O = element(s, t->O, begin * q),
                     .dQ = element(s, t->dQ, begin * q),
                     .K = element(s, t->K, begin * k),
                     .V = element(s, t->V, begin * k),
                     .dK = element(s, t->dK, begin * k),
                     .dV = element(s, t->dV, begin * k),
                     .L = t->L + begin * s->H};
}

static void copy_inputs(const Shape *s, Tensors *to, const Tensors *from) {
    size_t bytes = dtype_bytes(s->dt);
    memcpy(to->Q, from->Q, (size_t)from->nq * bytes);
    memcpy(to->dO, from->dO, (size_t)from->nq * bytes);
    memcpy(to->K, from->K, (size_t)from->nk * bytes);
    memcpy(to->V, from->V, (size_t)from->nk * bytes);
}

static float scale_of(const Shape *s) { return 1.0f / sqrtf((float)s->D); }

static void forward(Run *r, const Shape *s, Tensors *t, const int32_t *cu, int64_t n_docs) {
    void *ws = WORKSPACE(r, attention_forward, t->T, s->H, s->Hkv, s->D, s->dt);
    RUN(r, attention_forward, ws, t->O, t->L, t->Q, t->K, t->V, cu, n_docs, scale_of(s), s->window, s->softcap, t->T,
        s->H, s->Hkv, s->D, s->dt);
}

static void backward(Run *r, const Shape *s, Tensors *t, const int32_t *cu, int64_t n_docs) {
    void *ws = WORKSPACE(r, attention_backward, t->T, s->H, s->Hkv, s->D, s->dt);
    RUN(r, attention_backward, ws, t->dQ, t->dK, t->dV, t->dO, t->O, t->L, t->Q, t->K, t->V, cu, n_docs, scale_of(s),
        s->window, s->softcap, t->T, s->H, s->Hkv, s->D, s->dt);
}

static void assert_same(const Run *r, const Shape *s, const char *what, const void *a, const void *b, int64_t n,
                        DType dt) {
    int64_t i = first_difference(a, b, n, dtype_bytes(dt));
    if (i >= 0)
        fail_msg("%s on %s, H=%lld/%lld D=%lld window=%lld %s: element %lld is %.9g and %.9g", what,
                 r->bench->names[r->backend], (long long)s->H, (long long)s->Hkv, (long long)s->D, (long long)s->window,
                 dtype_name(s->dt), (long long)i, (double)get(a, i, dt), (double)get(b, i, dt));
}

static void assert_same_outputs(const Run *r, const Shape *s, const Tensors *a, const Tensors *b) {
    assert_same(r, s, "O", a->O, b->O, a->nq, s->dt);
    assert_same(r, s, "L", a->L, b->L, a->T * s->H, DT_F32);
}

static void assert_same_gradients(const Run *r, const Shape *s, const Tensors *a, const Tensors *b) {
    assert_same(r, s, "dQ", a->dQ, b->dQ, a->nq, s->dt);
    assert_same(r, s, "dK", a->dK, b->dK, a->nk, s->dt);
    assert_same(r, s, "dV", a->dV, b->dV, a->nk, s->dt);
}

/* Calls test for every shape on every level of the CPU backend. */
static void each(void **state, void (*test)(Run *, const Shape *)) {
    Bench *bench = *state;
    for (int backend = 1; backend < bench->n_backends; backend++)
        for (int i = 0; i < N_SHAPES; i++) {
            if (!bench_turn(bench, bench->names[backend])) continue;
            Run r;
            run_begin(&r, bench, backend, i % N_POOLS, (uint64_t)i, 0xFF);
            test(&r, &SHAPES[i]);
            memory_check(&r.mem, "attention");
            run_end(&r);
        }
}

static void packed_like_alone(Run *r, const Shape *s) {
    static const int32_t cu[] = {0, 37, 38, 38, 300, 430};
    Tensors all = take_tensors(r, s, 430), alone = take_tensors(r, s, 262);
    fill_random(r, s, &all);
    Tensors third = part(s, &all, 38, 300);
    copy_inputs(s, &alone, &third);
    for (int64_t i = 0; i < 38 * s->H * s->D; i++) put(all.Q, i, NAN, s->dt);
    for (int64_t i = 300 * s->Hkv * s->D; i < all.nk; i++) put(all.V, i, NAN, s->dt);
    forward(r, s, &all, cu, 5);
    backward(r, s, &all, cu, 5);
    forward(r, s, &alone, (const int32_t[]){0, 262}, 1);
    backward(r, s, &alone, (const int32_t[]){0, 262}, 1);
    assert_true(isfinite(get(alone.dK, 0, s->dt)) != 0);
    assert_same_outputs(r, s, &third, &alone);
    assert_same_gradients(r, s, &third, &alone);
}

static void later_tokens_do_not_matter(Run *r, const Shape *s) {
    static const int64_t lengths[] = {1, 2, 63, 64, 127, 129, 200};
    Tensors all = take_tensors(r, s, 260), start = take_tensors(r, s, 260);
    fill_random(r, s, &all);
    copy_inputs(s, &start, &all);
    forward(r, s, &all, (const int32_t[]){0, 260}, 1);
    for (int i = 0; i < 7; i++) {
        Tensors a = part(s, &all, 0, lengths[i]), b = part(s, &start, 0, lengths[i]);
        forward(r, s, &b, (const int32_t[]){0, (int32_t)lengths[i]}, 1);
        assert_same_outputs(r, s, &a, &b);
    }
}

/* A prompt of 150 tokens in pieces, then token by token; the cache beyond is NaN. */
static void cached_like_forward(Run *r, const Shape *s) {
    enum { T = 170 };
    Tensors all = take_tensors(r, s, T);
    fill_random(r, s, &all);
    forward(r, s, &all, (const int32_t[]){0, T}, 1);
    void *K = take(r, all.nk, s->dt), *V = take(r, all.nk, s->dt), *O = take(r, all.nq, s->dt);
    size_t width = (size_t)(s->Hkv * s->D) * dtype_bytes(s->dt);
    void *ws = WORKSPACE(r, attention_cached, 100, T, s->H, s->Hkv, s->D, s->dt);
    for (int64_t past = 0; past < T;) {
        int64_t n = past == 0 ? 100 : past == 100 ? 50 : 1;
        memcpy((uint8_t *)K + (size_t)past * width, (uint8_t *)all.K + (size_t)past * width, (size_t)n * width);
        memcpy((uint8_t *)V + (size_t)past * width, (uint8_t *)all.V + (size_t)past * width, (size_t)n * width);
        int64_t at = past * s->H * s->D;
        RUN(r, attention_cached, ws, element(s, O, at), element(s, all.Q, at), K, V, past, scale_of(s), s->window,
            s->softcap, n, s->H, s->Hkv, s->D, s->dt);
        past += n;
    }
    assert_same(r, s, "O", O, all.O, all.nq, s->dt);
}

static void threads_do_not_matter(Run *r, const Shape *s) {
    static const int32_t cu[] = {0, 5, 420, 422};
    Tensors one = take_tensors(r, s, 422), many = take_tensors(r, s, 422);
    fill_random(r, s, &one);
    copy_inputs(s, &many, &one);
    r->stream = r->bench->backends[r->backend][0].stream;
    forward(r, s, &one, cu, 3);
    backward(r, s, &one, cu, 3);
    r->stream = r->bench->backends[r->backend][N_POOLS - 1].stream;
    forward(r, s, &many, cu, 3);
    backward(r, s, &many, cu, 3);
    assert_same_outputs(r, s, &many, &one);
    assert_same_gradients(r, s, &many, &one);
}

static void test_packed(void **state) { each(state, packed_like_alone); }
static void test_later_tokens(void **state) { each(state, later_tokens_do_not_matter); }
static void test_cached(void **state) { each(state, cached_like_forward); }
static void test_threads(void **state) { each(state, threads_do_not_matter); }

int main(void) {
    Bench bench;
    bench_open(&bench);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_packed, &bench),
        cmocka_unit_test_prestate(test_later_tokens, &bench),
        cmocka_unit_test_prestate(test_cached, &bench),
        cmocka_unit_test_prestate(test_threads, &bench),
    };
    int failed = cmocka_run_group_tests_name("bytes of attention", tests, NULL, NULL);
    bench_close(&bench);
    return failed;
}
