/* t_backend.c: opening backends and levels, the planning twin, and the promises about workspace sizes. */
#include "harness.h"

static void test_open(void **state) {
    Bench *b = *state;
    Backend out;
    Err e;
    assert_int_equal(backend_open("reference", NULL, b->pools[0], &out, &e), OK);
    assert_string_equal(out.name, "reference");
    assert_string_equal(out.level, "");
    assert_int_equal(backend_open("cpu", NULL, b->pools[1], &out, &e), OK);
    assert_string_equal(out.name, "cpu");
    assert_ptr_equal(out.stream.pool, b->pools[1]);

    /* The default is the last level that this CPU has, also by the empty name; of bf16 pairs the level below where pairs are the
     * slower way, which is so on every Intel core and no other. */
    const char *best = NULL, *below = NULL;
    for (const char *const *level = backend_cpu_levels(); *level != NULL; level++)
        if (backend_cpu_has(*level)) {
            below = best;
            best = *level;
        }
    assert_non_null(best);
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (strcmp(best, "avx512bf16") == 0 && __builtin_cpu_is("intel")) best = below;
#endif
    (void)below;
    assert_string_equal(out.level, best);
    assert_int_equal(backend_open("cpu", "", b->pools[0], &out, &e), OK);
    assert_string_equal(out.level, best);
}

static void test_open_errors(void **state) {
    Bench *b = *state;
    Backend out;
    Err e;
    assert_int_equal(backend_open("tpu", NULL, b->pools[0], &out, &e), ERR_CONFIG);
    assert_non_null(strstr(e.message, "'tpu'"));
    assert_non_null(strstr(e.message, "cpu"));
    assert_non_null(strstr(e.message, "reference"));
    assert_int_equal(backend_open("cpu", "avx9", b->pools[0], &out, &e), ERR_CONFIG);
    assert_non_null(strstr(e.message, "'avx9'"));
    assert_non_null(strstr(e.message, "generic"));
    assert_int_equal(backend_open("reference", "avx2", b->pools[0], &out, &e), ERR_CONFIG);
    assert_false(backend_cpu_has("avx9"));
    assert_false(backend_cpu_has(""));
    for (const char *const *level = backend_cpu_levels(); *level != NULL; level++) {
        if (backend_cpu_has(*level)) continue;
        assert_int_equal(backend_open("cpu", *level, b->pools[0], &out, &e), ERR_DEVICE);
        assert_non_null(strstr(e.message, *level));
        assert_non_null(strstr(e.message, "possible here: generic"));
    }
}

static void test_levels(void **state) {
    (void)state;
    const char *const *levels = backend_cpu_levels();
    assert_string_equal(levels[0], "generic");
    assert_true(backend_cpu_has("generic"));
    /* A level's features contain those of the levels below it. */
    bool lacking = false;
    for (; *levels != NULL; levels++) {
        if (!backend_cpu_has(*levels)) lacking = true;
        assert_false(lacking && backend_cpu_has(*levels));
    }
}

/* Every kernel of the plan does nothing: with NULL everywhere it returns; workspace sizes are the target's. */
static void test_plan(void **state) {
    Bench *b = *state;
    for (int i = 0; i < b->n_backends; i++) {
        const Backend *t = &b->backends[i][2];
        Backend plan;
        backend_plan(t, &plan);
        assert_string_equal(plan.name, "plan");
        assert_ptr_equal(plan.stream.pool, t->stream.pool);
#define K(kernel, args)                                                                                                \
    assert_non_null(plan.kernel);                                                                                      \
    assert_true(plan.kernel != t->kernel);
#define KW(kernel, args, ws_args)                                                                                      \
    K(kernel, args) assert_non_null(plan.kernel##_workspace);                                                          \
    assert_true(plan.kernel##_workspace == t->kernel##_workspace);
#include "kernels/kernels.def"
#undef K
#undef KW
        Stream *s = &plan.stream;
        plan.embedding_forward(s, NULL, NULL, NULL, 9, 9, WT_F32, DT_F32);
        plan.linear_forward(s, NULL, NULL, 3, NULL, NULL, NULL, 9, 9, DT_BF16);
        plan.head_loss(s, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 9, 9, 9, 9, WT_F32, DT_F32);
        plan.attention_backward(s, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 9, 1.0f, 0, 0.0f,
                                9, 1, 1, 9, DT_F32);
        plan.copy_bytes(s, NULL, NULL, 9);
        assert_int_equal(plan.head_loss_workspace(s, 9, 64, 100, WT_F32, DT_BF16),
                         t->head_loss_workspace(&t->stream, 9, 64, 100, WT_F32, DT_BF16));
    }
}

/* ---- workspace sizes: non-negative, non-decreasing in every size, and no function of pointers */
enum { MAX_SIZES = 5 };
typedef int64_t (*SizeFunction)(const Backend *b, const int64_t *sizes, DType dt);

static int64_t linear_size(const Backend *b, const int64_t *sizes, DType dt, int kernel, const void *pointer) {
    LinearPart parts[3];
    memset(parts, 0, sizeof parts);
    for (int i = 0; i < 3; i++) {
        parts[i].N = sizes[2] * (i + 1);
        parts[i].r = sizes[3];
        parts[i].wt = WT_Q4_0;
        parts[i].A = parts[i].B = pointer;
        parts[i].W = parts[i].dY = pointer;
    }
    int n_parts = (int)sizes[4] % 3 + 1;
    if (kernel == 0) return b->linear_forward_workspace(&b->stream, parts, n_parts, sizes[0], 32 * sizes[1], dt);
    if (kernel == 1) return b->linear_backward_workspace(&b->stream, parts, n_parts, sizes[0], 32 * sizes[1], dt);
    return b->lora_grad_workspace(&b->stream, parts, n_parts, sizes[0], 32 * sizes[1], dt);
}

static int64_t size_linear_forward(const Backend *b, const int64_t *n, DType dt) {
    return linear_size(b, n, dt, 0, NULL);
}
static int64_t size_linear_backward(const Backend *b, const int64_t *n, DType dt) {
    return linear_size(b, n, dt, 1, NULL);
}
static int64_t size_lora_grad(const Backend *b, const int64_t *n, DType dt) { return linear_size(b, n, dt, 2, NULL); }
static int64_t size_attention_forward(const Backend *b, const int64_t *n, DType dt) {
    return b->attention_forward_workspace(&b->stream, n[0], n[1] * n[2], n[1], n[3], dt);
}
static int64_t size_attention_backward(const Backend *b, const int64_t *n, DType dt) {
    return b->attention_backward_workspace(&b->stream, n[0], n[1] * n[2], n[1], n[3], dt);
}
static int64_t size_attention_cached(const Backend *b, const int64_t *n, DType dt) {
    return b->attention_cached_workspace(&b->stream, n[0], n[0] + n[4], n[1] * n[2], n[1], n[3], dt);
}
static int64_t size_head_loss(const Backend *b, const int64_t *n, DType dt) {
    return b->head_loss_workspace(&b->stream, n[0], 32 * n[1], n[2], WT_Q8_0, dt);
}
static int64_t size_head_logits(const Backend *b, const int64_t *n, DType dt) {
    return b->head_logits_workspace(&b->stream, n[0], 32 * n[1], n[2], WT_Q8_0, dt);
}
static int64_t size_square_sum(const Backend *b, const int64_t *n, DType dt) {
    (void)dt;
    return b->square_sum_workspace(&b->stream, n[0] * n[1]);
}

static const struct {
    KernelId id;
    SizeFunction size;
} SIZES[] = {
    {KERNEL_linear_forward, size_linear_forward},
    {KERNEL_linear_backward, size_linear_backward},
    {KERNEL_lora_grad, size_lora_grad},
    {KERNEL_attention_forward, size_attention_forward},
    {KERNEL_attention_backward, size_attention_backward},
    {KERNEL_attention_cached, size_attention_cached},
    {KERNEL_head_loss, size_head_loss},
    {KERNEL_head_logits, size_head_logits},
    {KERNEL_square_sum, size_square_sum},
};
enum { N_SIZES = (int)(sizeof SIZES / sizeof SIZES[0]) };

static void test_workspace_sizes(void **state) {
    Bench *b = *state;
    Run r;
    run_begin(&r, b, 0, 0, 3, 0);
    for (int backend = 0; backend < b->n_backends; backend++)
        for (int i = 0; i < N_SIZES; i++)
            for (int trial = 0; trial < 200; trial++) {
                int64_t sizes[MAX_SIZES];
                for (int j = 0; j < MAX_SIZES; j++) sizes[j] = random_below(&r, trial % 2 == 0 ? 300 : 20) + (j > 0);
                sizes[4] %= 3;
                DType dt = trial % 4 < 2 ? DT_F32 : DT_BF16;
                const Backend *be = &b->backends[backend][trial % N_POOLS];
                int64_t size = SIZES[i].size(be, sizes, dt);
                assert_true(size >= 0);
                int grown = (int)random_below(&r, 4); /* sizes[4] of linear is a number of parts, taken modulo */
                sizes[grown] += 1 + random_below(&r, 40);
                if (SIZES[i].size(be, sizes, dt) < size)
                    fail_msg("%s_workspace of %s shrinks when size %d grows", KERNEL_NAMES[SIZES[i].id],
                             b->names[backend], grown);
            }
    run_end(&r);
}

/* The plan asks with pointers that are not yet known. */
static void test_workspace_ignores_pointers(void **state) {
    Bench *b = *state;
    static const int64_t sizes[MAX_SIZES] = {37, 3, 70, 8, 2};
    static const char there[1];
    for (int backend = 0; backend < b->n_backends; backend++)
        for (int kernel = 0; kernel < 3; kernel++)
            assert_int_equal(linear_size(&b->backends[backend][1], sizes, DT_BF16, kernel, NULL),
                             linear_size(&b->backends[backend][1], sizes, DT_BF16, kernel, there));
}

/* The list above names every kernel with workspace. */
static void test_every_workspace_is_listed(void **state) {
    (void)state;
#define K(kernel, args)
#define KW(kernel, args, ws_args)                                                                                      \
    {                                                                                                                  \
        bool listed = false;                                                                                           \
        for (int i = 0; i < N_SIZES; i++) listed = listed || SIZES[i].id == KERNEL_##kernel;                           \
        if (!listed) fail_msg("%s_workspace is not tested", #kernel);                                                  \
    }
#include "kernels/kernels.def"
#undef K
#undef KW
}

int main(void) {
    Bench bench;
    bench_open(&bench);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_open, &bench),
        cmocka_unit_test_prestate(test_open_errors, &bench),
        cmocka_unit_test_prestate(test_levels, &bench),
        cmocka_unit_test_prestate(test_plan, &bench),
        cmocka_unit_test_prestate(test_workspace_sizes, &bench),
        cmocka_unit_test_prestate(test_workspace_ignores_pointers, &bench),
        cmocka_unit_test_prestate(test_every_workspace_is_listed, &bench),
    };
    int failed = cmocka_run_group_tests_name("backends", tests, NULL, NULL);
    bench_close(&bench);
    return failed;
}
