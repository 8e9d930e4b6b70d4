/* t_graph.c: the tape: gradients against finite differences (P1), recompute (P4), micro-batch split (P2), packing (P3),
 * capacity, shape errors; every op of ops.def must occur in the test's model. */
#include "autograd/graph.h"

#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

enum { D = 12, HEADS = 2, KV = 1, HD = 6, FF = 10, V = 17, RANK = 3, SLOTS = 7, LAYERS = 2, POS = 32, T_MOST = 24 };

typedef struct Net {
    Arena *arena;
    Backend backend;
    Pool *pool;
    Graph *graph;
    float *w[LAYERS][SLOTS], *norm, *embed, *head, *cos, *sin;
    AdapterSlot slots[LAYERS * SLOTS];
    AdapterSet set;
    float *params, *tree;
    int64_t n_params;
    void *acts, *scratch;
    int seen[OP_COUNT];
} Net;

static float noise(uint64_t stream, int64_t i, float scale) {
    Philox x = philox4x32(stream, (uint64_t)i, 0);
    return scale * (2.0f * rng_unit(x.v[0]) - 1.0f);
}

static float *random_floats(Net *n, int64_t count, uint64_t stream, float scale, float offset) {
    float *f = NULL;
    assert_int_equal(arena_alloc(n->arena, (size_t)count, sizeof(float), &f, NULL), OK);
    for (int64_t i = 0; i < count; i++) f[i] = offset + noise(stream, i, scale);
    return f;
}

static const int64_t SHAPE[SLOTS][2] = {{HEADS * HD, D}, {KV * HD, D}, {KV * HD, D}, {D, HEADS *HD},
                                        {FF, D},         {FF, D},      {D, FF}};

static void make_weights(Net *n) {
    n->embed = random_floats(n, V * D, 1, 1.0f, 0.0f);
    n->head = random_floats(n, V * D, 2, 0.5f, 0.0f);
    n->norm = random_floats(n, D, 3, 0.3f, 1.0f);
    n->cos = random_floats(n, POS * HD / 2, 4, 1.0f, 0.0f);
    n->sin = random_floats(n, POS * HD / 2, 5, 1.0f, 0.0f);
    for (int i = 0; i < POS * HD / 2; i++) {
        float a = n->cos[i];
        n->cos[i] = cosf(a);
        n->sin[i] = sinf(a);
    }
    for (int l = 0; l < LAYERS; l++) {
        for (int s = 0; s < SLOTS; s++)
            n->w[l][s] = random_floats(n, SHAPE[s][0] * SHAPE[s][1], (uint64_t)(10 + l * SLOTS + s), 0.4f, 0.0f);
    }
}

static void make_adapters(Net *n, int64_t rows, float dropout) {
    int64_t at = 0, levels = tree_levels(rows);
    for (int i = 0; i < LAYERS * SLOTS; i++) n->n_params += RANK * (SHAPE[i % SLOTS][0] + SHAPE[i % SLOTS][1]);
    n->params = random_floats(n, n->n_params, 99, 0.3f, 0.0f);
    n->tree = random_floats(n, n->n_params * levels, 98, 100.0f, 0.0f); /* garbage: must be overwritten */
    for (int i = 0; i < LAYERS * SLOTS; i++) {
        int64_t in = SHAPE[i % SLOTS][1], out = SHAPE[i % SLOTS][0];
        n->slots[i] = (AdapterSlot){.A = n->params + at,
                                    .B = n->params + at + RANK * in,
                                    .dA = n->tree + at,
                                    .dB = n->tree + at + RANK * in,
                                    .r = RANK,
                                    .n_in = in,
                                    .n_out = out,
                                    .scale = 0.7f,
                                    .key = (uint64_t)i};
        at += RANK * (in + out);
    }
    n->set =
        (AdapterSet){.slots = n->slots, .n_slots = LAYERS * SLOTS, .dropout = dropout, .level_stride = n->n_params};
}

static LinearSpec part(Net *n, int l, int s) {
    Weight w = {.data = n->w[l][s], .rows = SHAPE[s][0], .cols = SHAPE[s][1], .wt = WT_F32};
    return (LinearSpec){.w = w, .slot = l * SLOTS + s, .r = RANK};
}

static void build(Net *n) {
    Graph *g = n->graph;
    Tensor *x, *h, *qkv[3], *q, *k, *o, *gu[2], *y;
    Weight embed = {.data = n->embed, .rows = V, .cols = D, .wt = WT_F32};
    Weight head = {.data = n->head, .rows = V, .cols = D, .wt = WT_F32};
    assert_int_equal(op_embedding(g, embed, &x, NULL), OK);
    for (int l = 0; l < LAYERS; l++) {
        graph_set_segment(g, l, l);
        assert_int_equal(op_rmsnorm(g, x, n->norm, 1e-5f, &h, NULL), OK);
        LinearSpec p[3] = {part(n, l, 0), part(n, l, 1), part(n, l, 2)};
        assert_int_equal(op_linear(g, h, NULL, p, 3, qkv, NULL), OK);
        RopeSpec rope = {.cos = n->cos, .sin = n->sin, .heads = HEADS, .head_dim = HD, .half = HD / 2};
        assert_int_equal(op_rope(g, qkv[0], &rope, &q, NULL), OK);
        rope.heads = KV;
        assert_int_equal(op_rope(g, qkv[1], &rope, &k, NULL), OK);
        AttentionSpec at = {.heads = HEADS, .kv_heads = KV, .head_dim = HD, .scale = 0.4f};
        assert_int_equal(op_attention(g, q, k, qkv[2], &at, &o, NULL), OK);
        p[0] = part(n, l, 3);
        assert_int_equal(op_linear(g, o, x, p, 1, &x, NULL), OK);
        assert_int_equal(op_rmsnorm(g, x, n->norm, 1e-5f, &h, NULL), OK);
        p[0] = part(n, l, 4);
        p[1] = part(n, l, 5);
        assert_int_equal(op_linear(g, h, NULL, p, 2, gu, NULL), OK);
        assert_int_equal(op_glu(g, gu[0], gu[1], GLU_SILU, &y, NULL), OK);
        p[0] = part(n, l, 6);
        assert_int_equal(op_linear(g, y, x, p, 1, &x, NULL), OK);
    }
    graph_set_segment(g, -1, -1);
    assert_int_equal(op_rmsnorm(g, x, n->norm, 1e-5f, &y, NULL), OK);
    assert_int_equal(op_head_loss(g, y, head, NULL), OK);
}

typedef struct NetOptions {
    const char *backend;
    int threads;
    DType dt;
    int64_t rows, capacity;
    bool gradients, recompute;
    float dropout;
} NetOptions;

static void net_open(Net *n, const NetOptions *o) {
    Err e = {0};
    memset(n, 0, sizeof *n);
    assert_int_equal(arena_open(&n->arena, "test", &e), OK);
    assert_int_equal(pool_open(&n->pool, o->threads, &e), OK);
    if (backend_open(o->backend, NULL, n->pool, &n->backend, &e) != OK) fail_msg("%s", e.message);
    make_weights(n);
    make_adapters(n, o->rows, o->dropout);
    assert_int_equal(graph_open(n->arena, o->dt, &n->graph, &e), OK);
    build(n);
    GraphOptions go = {.gradients = o->gradients, .recompute = o->recompute, .capacity = o->capacity};
    assert_int_equal(graph_compile(n->graph, &n->backend, &go, &e), OK);
    assert_int_equal(arena_alloc(n->arena, graph_activation_bytes(n->graph), 1, &n->acts, &e), OK);
    assert_int_equal(arena_alloc(n->arena, graph_scratch_bytes(n->graph), 1, &n->scratch, &e), OK);
    memset(n->acts, 0x7f, graph_activation_bytes(n->graph)); /* garbage must not matter */
    graph_bind(n->graph, n->acts, n->scratch);
}

static void net_close(Net *n) {
    pool_close(n->pool);
    arena_close(n->arena);
}

/* rows of these lengths, each one document, from token ids drawn by row index; run as calls of `per_call` rows. */
static const int LENGTHS[4] = {7, 3, 8, 6};

static double run(Net *n, const Exec *ex, int n_rows, int per_call, float *logp_out) {
    double loss = 0.0;
    int trained = 0, written = 0;
    for (int r = 0; r < n_rows; r++) trained += LENGTHS[r] - 1;
    for (int first = 0; first < n_rows; first += per_call) {
        int32_t ids[T_MOST], pos[T_MOST], cu[5] = {0}, index[T_MOST], target[T_MOST];
        uint64_t token[T_MOST];
        RowSpan rows[4];
        float weight[T_MOST], logp[T_MOST];
        int T = 0, M = 0, nr = 0;
        for (int r = first; r < first + per_call && r < n_rows; r++, nr++) {
            rows[nr] = (RowSpan){.begin = T, .end = T + LENGTHS[r], .index = r};
            for (int i = 0; i < LENGTHS[r]; i++, T++) {
                ids[T] = (int32_t)(philox4x32(77, (uint64_t)(r * 100 + i), 0).v[0] % V);
                pos[T] = i;
                token[T] = (uint64_t)r << 32 | (uint64_t)i;
                if (i > 0) {
                    index[M] = T - 1;
                    target[M] = ids[T];
                    weight[M++] = 1.0f / (float)trained;
                }
            }
            cu[nr + 1] = T;
        }
        Batch b = {.T = T,
                   .ids = ids,
                   .pos = pos,
                   .cu_seqlens = cu,
                   .n_docs = nr,
                   .rows = rows,
                   .n_rows = nr,
                   .token = token,
                   .M = M,
                   .index = index,
                   .target = target,
                   .weight = weight,
                   .logp = logp};
        graph_run(n->graph, ex, &b);
        for (int i = 0; i < M; i++) loss -= (double)logp[i] / (double)trained;
        if (logp_out != NULL) memcpy(logp_out + written, logp, (size_t)M * sizeof(float));
        written += M;
    }
    return loss;
}

static Exec exec_of(Net *n) {
    return (Exec){.backend = &n->backend, .adapters = &n->set, .training = true, .seed = 5, .step = 9};
}

/* Gradients of the loss by the tape, folded over all rows. */
static void gradients(Net *n, int n_rows, int per_call, float *out) {
    Exec ex = exec_of(n);
    run(n, &ex, n_rows, per_call, NULL);
    n->backend.tree_fold(&n->backend.stream, out, n->tree, n->n_params, n_rows, n->n_params);
}

static void t_finite_differences(void **state) {
    (void)state;
    static const float DROPOUT[2] = {0.0f, 0.3f};
    for (int d = 0; d < 2; d++) {
        Net g, f;
        NetOptions o = {.backend = "reference",
                        .threads = 1,
                        .rows = 4,
                        .capacity = T_MOST,
                        .gradients = true,
                        .dropout = DROPOUT[d]};
        net_open(&g, &o);
        float *grad = random_floats(&g, g.n_params, 1, 0.0f, 0.0f);
        gradients(&g, 4, 4, grad);
        o.gradients = false;
        net_open(&f, &o);
        Exec ex = exec_of(&f);
        double most = 0.0;
        for (int64_t i = 0; i < g.n_params; i++) most = fmax(most, fabs((double)grad[i]));
        /* f32 activations: the loss carries noise of about 1e-7, so h = 1e-2 and an error of 2e-3 of the largest entry
         * (noise / h plus h^2 curvature) is what central differences can tell; a wrong formula is off by far more */
        for (int64_t i = 0; i < g.n_params; i += 3) {
            float keep = f.params[i];
            f.params[i] = keep + 1e-2f;
            double up = run(&f, &ex, 4, 4, NULL);
            f.params[i] = keep - 1e-2f;
            double down = run(&f, &ex, 4, 4, NULL);
            f.params[i] = keep;
            double fd = (up - down) / 2e-2;
            if (fabs(fd - (double)grad[i]) > 2e-3 * most + 2e-5)
                fail_msg("parameter %lld: finite difference %g, tape %g (dropout %g)", (long long)i, fd,
                         (double)grad[i], (double)DROPOUT[d]);
        }
        net_close(&f);
        net_close(&g);
    }
}

/* Runs a variant and returns its gradients and log-probabilities for comparison. */
static void variant(const NetOptions *o, int per_call, float *grad, float *logp, int64_t *n_params) {
    Net n;
    net_open(&n, o);
    Exec ex = exec_of(&n);
    run(&n, &ex, 4, per_call, logp);
    n.backend.tree_fold(&n.backend.stream, grad, n.tree, n.n_params, 4, n.n_params);
    *n_params = n.n_params;
    net_close(&n);
}

static void t_equal_bytes(void **state) {
    (void)state;
    static const char *const BACKENDS[2] = {"reference", "cpu"};
    static float ga[8192], gb[8192], la[T_MOST], lb[T_MOST];
    for (int b = 0; b < 2; b++) {
        for (int dt = 0; dt < 2; dt++) {
            NetOptions base = {.backend = BACKENDS[b],
                               .threads = 1,
                               .dt = (DType)dt,
                               .rows = 4,
                               .capacity = T_MOST,
                               .gradients = true,
                               .dropout = 0.2f};
            int64_t n = 0;
            variant(&base, 4, ga, la, &n);
            assert_true(n <= 8192);
            for (int k = 0; k < 5; k++) {
                NetOptions o = base;
                int per_call = 4;
                memset(gb, 0, sizeof gb);
                memset(lb, 0, sizeof lb);
                if (k == 0) o.recompute = true;
                if (k == 1) per_call = 1;
                if (k == 2) per_call = 2;
                if (k == 3) o.threads = 3;
                if (k == 4) o.capacity = 1000;
                variant(&o, per_call, gb, lb, &n);
                if (memcmp(la, lb, 20 * sizeof(float)) != 0)
                    fail_msg("logp differ: %s dt %d variant %d", BACKENDS[b], dt, k);
                if (memcmp(ga, gb, (size_t)n * sizeof(float)) != 0)
                    fail_msg("gradients differ: %s dt %d variant %d", BACKENDS[b], dt, k);
            }
        }
    }
}

static void t_memory(void **state) {
    (void)state;
    NetOptions o = {.backend = "reference", .threads = 1, .rows = 1, .capacity = T_MOST, .gradients = true};
    Net keep, again, forward;
    net_open(&keep, &o);
    o.recompute = true;
    net_open(&again, &o);
    o.gradients = false;
    net_open(&forward, &o);
    assert_true(graph_activation_bytes(again.graph) < graph_activation_bytes(keep.graph));
    assert_true(graph_activation_bytes(forward.graph) < graph_activation_bytes(again.graph));
    assert_true(graph_instructions(again.graph) > graph_instructions(keep.graph));
    net_close(&forward);
    net_close(&again);
    net_close(&keep);
}

static void t_shapes(void **state) {
    (void)state;
    Arena *a = NULL;
    Graph *g = NULL;
    Err e = {0};
    float data[64] = {0};
    Tensor *x, *y, *bad[3];
    assert_int_equal(arena_open(&a, "test", &e), OK);
    assert_int_equal(graph_open(a, DT_F32, &g, &e), OK);
    Weight none = {.data = data, .rows = 0, .cols = 4}, w = {.data = data, .rows = 6, .cols = 4};
    Weight other = {.data = data, .rows = 6, .cols = 5};
    assert_int_equal(op_embedding(g, none, &x, &e), ERR_SHAPE);
    assert_int_equal(op_embedding(g, w, &x, &e), OK);
    LinearSpec p = {.w = other, .slot = -1};
    assert_int_equal(op_linear(g, x, NULL, &p, 1, &y, &e), ERR_SHAPE);
    p.w = w;
    assert_int_equal(op_linear(g, x, x, &p, 1, &y, &e), ERR_SHAPE); /* residual of 4, output of 6 */
    p.slot = 0;
    assert_int_equal(op_linear(g, x, NULL, &p, 1, &y, &e), ERR_SHAPE); /* rank 0 */
    p.slot = -1;
    assert_int_equal(op_linear(g, x, NULL, &p, 1, &y, &e), OK);
    assert_int_equal(op_rmsnorm(g, x, NULL, 1e-5f, &bad[0], &e), ERR_SHAPE);
    RopeSpec rope = {.cos = data, .sin = data, .heads = 3, .head_dim = 2, .half = 1};
    assert_int_equal(op_rope(g, x, &rope, &bad[0], &e), ERR_SHAPE);
    AttentionSpec at = {.heads = 3, .kv_heads = 2, .head_dim = 2};
    assert_int_equal(op_attention(g, y, y, y, &at, &bad[0], &e), ERR_SHAPE);
    assert_int_equal(op_glu(g, x, y, GLU_SILU, &bad[0], &e), ERR_SHAPE);
    assert_int_equal(op_head_loss(g, y, w, &e), ERR_SHAPE);
    assert_true(e.message[0] != 0);
    arena_close(a);
}

/* Every row of ops.def stands in the network above; this list and build() are compared by count. */
static void t_every_op(void **state) {
    (void)state;
    static const char *const USED[] = {"embedding", "rmsnorm", "linear", "rope", "attention", "glu", "head_loss"};
    assert_int_equal(OP_COUNT, sizeof USED / sizeof USED[0]);
    for (int i = 0; i < OP_COUNT; i++) assert_string_equal(OPS[i].name, USED[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(t_finite_differences), cmocka_unit_test(t_equal_bytes),
                                       cmocka_unit_test(t_memory), cmocka_unit_test(t_shapes),
                                       cmocka_unit_test(t_every_op)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
