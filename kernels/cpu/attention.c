/* attention.c: forward attention, over documents and over a cache. Shared parts and invariants: attention.h.
 *
 * One task owns a block of rows of one kv head. It walks the row's blocks of keys in ascending order with a running
 * maximum per row (arXiv 2205.14135); scores of more than one block of keys are never held. The cached call runs the
 * same code with its rows at n_past and later, so that a token has the same bytes as in the forward call. */
#include "kernels/cpu/attention.h"

#include <math.h>

enum { ROWS = 192, ROWS_WIDE = 96 }; /* with D <= 64, else: keeps a task's tiles in the second-level cache */

typedef struct Forward {
    Shape shape;
    void *O;
    float *L;
    const void *Q, *K, *V;
    const Document *documents;
    int64_t n_documents, n_past, block_rows, scratch_floats;
    float *scratch;
} Forward;

/* One thread's working memory. */
typedef struct Scratch {
    float *q, *o, *v; /* packed rows */
    float *s;         /* scores, then probabilities */
    float *keys;      /* transposed keys */
    float *sum;       /* a vector of partial sums a row */
    float *max;       /* a row */
} Scratch;

static int64_t scratch_floats(int64_t D) {
    return (2 * ROWS + KEYS) * packed_stride(D) + ROWS * SCORE_STRIDE + packed_width(D) * SCORE_STRIDE + ROWS * CPU_VW +
           ROWS;
}

static Scratch scratch_of(const Forward *p, int thread) {
    Scratch x;
    x.q = p->scratch + thread * p->scratch_floats;
    x.o = x.q + ROWS * p->shape.stride;
    x.v = x.o + ROWS * p->shape.stride;
    x.s = x.v + KEYS * p->shape.stride;
    x.keys = x.s + ROWS * SCORE_STRIDE;
    x.sum = x.keys + p->shape.width * SCORE_STRIDE;
    x.max = x.sum + ROWS * CPU_VW;
    return x;
}

/* Turns a row's scores for keys [low, high) into probabilities relative to the running maximum. */
CPU_INLINE void softmax_row(const Shape *p, const Meeting *m, const Scratch *x, int64_t i, int64_t low, int64_t high) {
    float *s = x->s + i * SCORE_STRIDE, *o = x->o + i * p->stride;
    int64_t begin = low / CPU_VW * CPU_VW, end = round_up(high, CPU_VW);
    if (p->capped)
        for (int64_t n = begin; n < end; n += CPU_VW) vf_store(s + n, p->cap_out * vf_tanh(p->cap_in * vf_load(s + n)));
    for (int64_t n = begin; n < low; n++) s[n] = -INFINITY;
    for (int64_t n = high; n < end; n++) s[n] = -INFINITY;
    vf largest = vf_load(s + begin);
    for (int64_t n = begin + CPU_VW; n < end; n += CPU_VW) largest = vf_max(largest, vf_load(s + n));
    float max = vf_max_lane(largest);
    vf sum = vf_load(x->sum + i * CPU_VW);
    if (max > x->max[i]) {
        vf decay = exp2_nonpositive(vf_set1(x->max[i] - max));
        sum *= decay;
        for (int64_t d = 0; d < p->width; d += CPU_VW) vf_store(o + d, vf_load(o + d) * decay);
        x->max[i] = max;
    } else
        max = x->max[i];
    for (int64_t n = begin; n < end; n += CPU_VW) {
        vf e = exp2_nonpositive(vf_load(s + n) - max);
        vf_store(s + n, e);
        sum += e;
    }
    vf_store(x->sum + i * CPU_VW, sum);
    zero_outside(m, s, begin, end);
}

static __attribute__((noinline)) void softmax_rows(const Shape *p, const Meeting *m, const Scratch *x) {
    for (int64_t i = 0; i < m->n_rows; i++) {
        int64_t position = row_position(p, m, i), low = visible_low(p, m, position), high = visible_high(m, position);
        if (low < high)
            softmax_row(p, m, x, i, low, high);
        else
            zero_outside(m, x->s + i * SCORE_STRIDE, 0, 0);
    }
}

/* ---- a few rows (a token that is being generated) of whole vectors: keys and values are read where they are, once,
 * without packing. The operations are those of the packed products, in their order. */

enum { FEW = 4 };

/* Scores of rows i < rows for the keys n .. n + CPU_VW of the block that begins at element `at` of K. */
CPU_INLINE void few_scores(const Shape *p, const Meeting *m, const Scratch *x, const void *K, int64_t at, int64_t n,
                           int rows, DType dt) {
    vf sum[FEW] = {{0}};
    int64_t row[CPU_VW];
    for (int i = 0; i < CPU_VW; i++) /* beyond the last key: masked later */
        row[i] = at + least(n + i, m->n_keys - 1) * p->Hkv * p->D;
    for (int64_t d = 0; d < p->D; d += CPU_VW) {
        vf k[CPU_VW];
        for (int i = 0; i < CPU_VW; i++) k[i] = vf_load_dt(K, row[i] + d, dt);
        vf_transpose(k);
#pragma GCC unroll 16
        for (int e = 0; e < CPU_VW; e++)
            for (int i = 0; i < rows; i++) sum[i] = vf_fma(vf_set1(x->q[i * p->stride + d + e]), k[e], sum[i]);
    }
    for (int i = 0; i < rows; i++) vf_store(x->s + i * SCORE_STRIDE + n, sum[i]);
}

/* O += P V for keys [low, high) and the columns of `vectors` vectors from d on. */
CPU_INLINE void few_values(const Shape *p, const Scratch *x, const void *V, int64_t at, int64_t low, int64_t high,
                           int64_t d, int rows, int vectors, DType dt) {
    vf sum[FEW][2] = {{{0}}};
    for (int64_t n = low; n < high; n++) {
        vf v[2];
        for (int j = 0; j < vectors; j++) v[j] = vf_load_dt(V, at + n * p->Hkv * p->D + d + j * CPU_VW, dt);
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < vectors; j++) sum[i][j] = vf_fma(vf_set1(x->s[i * SCORE_STRIDE + n]), v[j], sum[i][j]);
    }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vectors; j++) {
            float *o = x->o + i * p->stride + d + j * CPU_VW;
            vf_store(o, vf_load(o) + sum[i][j]);
        }
}

/* One block of keys for `rows` rows. */
CPU_INLINE void few_rows(const Forward *f, const Meeting *m, const Scratch *x, int64_t at, int rows, DType dt) {
    const Shape *p = &f->shape;
    for (int64_t n = 0; n < m->n_keys; n += CPU_VW) few_scores(p, m, x, f->K, at, n, rows, dt);
    softmax_rows(p, m, x);
    int64_t low = visible_low(p, m, row_position(p, m, 0)), high = visible_high(m, row_position(p, m, rows - 1)), d = 0;
    for (; d + PANEL <= p->D; d += PANEL) few_values(p, x, f->V, at, low, high, d, rows, 2, dt);
    if (d < p->D) few_values(p, x, f->V, at, low, high, d, rows, 1, dt);
}

CPU_INLINE void few_rows_of(const Forward *f, const Meeting *m, const Scratch *x, int64_t at, DType dt) {
    switch (m->n_rows) {
    case 1:
        few_rows(f, m, x, at, 1, dt);
        break;
    case 2:
        few_rows(f, m, x, at, 2, dt);
        break;
    case 3:
        few_rows(f, m, x, at, 3, dt);
        break;
    default:
        few_rows(f, m, x, at, FEW, dt);
    }
}

/* Adds a block of keys to the sums of a block of rows. `first` is the row of K and V where the block of keys begins. */
static void meet(const Forward *f, const Meeting *m, const Scratch *x, int64_t first, int64_t kv) {
    const Shape *p = &f->shape;
    int64_t at = (first * p->Hkv + kv) * p->D;
    bool few = m->n_rows <= FEW && p->D % CPU_VW == 0;
    if (few && p->dt == DT_F32) {
        few_rows_of(f, m, x, at, DT_F32);
    } else if (few) {
        few_rows_of(f, m, x, at, DT_BF16);
    } else {
        transpose_keys(p, x->keys, f->K, first, kv, m->n_keys);
        pack_keys(p, x->v, f->V, first, kv, m->n_keys);
        visible_products(p, m, x->s, x->q, x->keys);
        softmax_rows(p, m, x);
        add_over_keys(p, m, x->o, p->stride, x->s, x->v);
    }
}

/* O and L of rows [first_row, first_row + n_rows) of a document whose first query is row q_base of Q and whose first key
 * is row k_base of K. */
static void forward_block(const Forward *f, const Scratch *x, int64_t q_base, int64_t k_base, int64_t kv,
                          int64_t first_row, int64_t n_rows) {
    const Shape *p = &f->shape;
    Meeting m = {.first_row = first_row, .n_rows = n_rows, .n_past = f->n_past};
    pack_rows(p, x->q, f->Q, q_base, kv, first_row, n_rows, p->scale * LOG2_E);
    memset(x->o, 0, (size_t)(n_rows * p->stride) * sizeof(float));
    memset(x->sum, 0, (size_t)(n_rows * CPU_VW) * sizeof(float));
    for (int64_t i = 0; i < n_rows; i++) x->max[i] = -INFINITY;
    int64_t first = visible_low(p, &m, row_position(p, &m, 0)), end = row_position(p, &m, n_rows - 1) + 1;
    for (m.first_key = first / KEYS * KEYS; m.first_key < end; m.first_key += KEYS) {
        m.n_keys = least(KEYS, end - m.first_key);
        meet(f, &m, x, k_base + m.first_key, kv);
    }
    for (int64_t i = 0; i < n_rows; i++) {
        int64_t at = row_element(p, q_base, kv, first_row + i);
        float sum = vf_sum(vf_load(x->sum + i * CPU_VW));
        unpack_row(p, f->O, at, x->o + i * p->stride, 1.0f / sum);
        if (f->L != NULL) f->L[at / p->D] = x->max[i] * LN_2 + log_f32(sum);
    }
}

static int64_t blocks_of(const Forward *f, int64_t length) {
    return (length * f->shape.G + f->block_rows - 1) / f->block_rows;
}

/* Late blocks see the most keys and go first. */
static void forward_chunk(void *ctx, int64_t chunk, int thread) {
    const Forward *f = ctx;
    const Document *document = document_find(f->documents, f->n_documents, chunk);
    int64_t blocks = blocks_of(f, document->length), local = chunk - document->first_chunk;
    int64_t kv = local % f->shape.Hkv, first_row = (blocks - 1 - local / f->shape.Hkv) * f->block_rows;
    int64_t n_rows = least(f->block_rows, document->length * f->shape.G - first_row);
    Scratch x = scratch_of(f, thread);
    forward_block(f, &x, document->begin, f->n_past > 0 ? 0 : document->begin, kv, first_row, n_rows);
}

static void forward_run(Stream *s, Forward *f, Document *documents, int64_t n) {
    int64_t chunks = 0;
    for (int64_t i = 0; i < n; i++) {
        documents[i].first_chunk = chunks;
        chunks += blocks_of(f, documents[i].length) * f->shape.Hkv;
    }
    f->documents = documents;
    f->n_documents = n;
    if (chunks > 0) pool_run(s->pool, chunks, forward_chunk, f);
}

static int64_t forward_block_rows(int64_t D) { return D <= 64 ? ROWS : ROWS_WIDE; }

int64_t CPU_NAME(attention_forward_workspace)(const Stream *s, int64_t T, int64_t H, int64_t Hkv, int64_t D, DType dt) {
    (void)H;
    (void)Hkv;
    (void)dt;
    return round_up(T * (int64_t)sizeof(Document), ALIGN_BYTES) +
           pool_threads(s->pool) * round_up(scratch_floats(D) * (int64_t)sizeof(float), ALIGN_BYTES);
}

void CPU_NAME(attention_forward)(Stream *s, void *ws, void *O, float *L, const void *Q, const void *K, const void *V,
                                 const int32_t *cu_seqlens, int64_t n_docs, float scale, int64_t window, float softcap,
                                 int64_t T, int64_t H, int64_t Hkv, int64_t D, DType dt) {
    Forward f = {.shape = shape_make(H, Hkv, D, scale, window, softcap, dt),
                 .O = O,
                 .L = L,
                 .Q = Q,
                 .K = K,
                 .V = V,
                 .block_rows = forward_block_rows(D),
                 .scratch_floats = round_up(scratch_floats(D), ALIGN_BYTES / 4),
                 .scratch = (float *)((char *)ws + round_up(T * (int64_t)sizeof(Document), ALIGN_BYTES))};
    forward_run(s, &f, ws, documents_list(ws, cu_seqlens, n_docs));
}

int64_t CPU_NAME(attention_cached_workspace)(const Stream *s, int64_t T, int64_t n_context, int64_t H, int64_t Hkv,
                                             int64_t D, DType dt) {
    (void)n_context;
    return CPU_NAME(attention_forward_workspace)(s, T, H, Hkv, D, dt);
}

void CPU_NAME(attention_cached)(Stream *s, void *ws, void *O, const void *Q, const void *Kc, const void *Vc,
                                int64_t n_past, float scale, int64_t window, float softcap, int64_t T, int64_t H,
                                int64_t Hkv, int64_t D, DType dt) {
    Forward f = {.shape = shape_make(H, Hkv, D, scale, window, softcap, dt),
                 .O = O,
                 .Q = Q,
                 .K = Kc,
                 .V = Vc,
                 .n_past = n_past,
                 .block_rows = forward_block_rows(D),
                 .scratch_floats = round_up(scratch_floats(D), ALIGN_BYTES / 4),
                 .scratch = ws};
    Document whole = {.length = T};
    if (T > 0) forward_run(s, &f, &whole, 1);
}
