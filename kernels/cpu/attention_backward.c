/* attention_backward.c: gradients of attention. Shared parts and invariants: attention.h.
 *
 * The probabilities of a pair of blocks are computed again from Q, K and L (arXiv 2205.14135). Two plans give the same
 * bytes, because dQ sums over blocks of keys and dK, dV over blocks of rows in ascending order in both:
 *   whole heads   a task owns a kv head of a document; five products a pair; dQ is summed in the workspace
 *   halves        tasks own a block of keys (dK, dV: four products), then a block of rows (dQ: three products)
 * The first does less work, the second spreads over more threads; the batch and the number of threads decide. */
#include "kernels/cpu/attention.h"

enum { ROWS = 96 };

typedef struct Backward {
    Shape shape;
    void *dQ, *dK, *dV;
    const void *dO, *O, *Q, *K, *V;
    const float *L;
    Document *documents;
    int64_t n_documents, T, scratch_floats;
    float *delta;   /* (T,H) rowsum(dO*O) */
    float *dq_sums; /* whole heads: packed rows of kv head 0, then of 1, ... */
    float *scratch;
} Backward;

/* One thread's working memory. */
typedef struct Scratch {
    float *q, *g, *dq;    /* packed rows: scaled queries, dO, sums of dQ */
    float *k, *dk, *dv;   /* packed keys, sums of dK and dV */
    float *p, *ds;        /* P and dS of a pair of blocks */
    float *keys, *values; /* transposed */
    float *L, *delta;     /* a row; L in units of log 2 */
} Scratch;

static int64_t scratch_floats(int64_t D) {
    return 3 * (ROWS + KEYS) * packed_stride(D) + 2 * ROWS * SCORE_STRIDE + 2 * packed_width(D) * SCORE_STRIDE +
           2 * ROWS;
}

static Scratch scratch_of(const Backward *b, int thread) {
    int64_t rows = ROWS * b->shape.stride, keys = KEYS * b->shape.stride, scores = ROWS * SCORE_STRIDE;
    Scratch x;
    x.q = b->scratch + thread * b->scratch_floats;
    x.g = x.q + rows;
    x.dq = x.g + rows;
    x.k = x.dq + rows;
    x.dk = x.k + keys;
    x.dv = x.dk + keys;
    x.p = x.dv + keys;
    x.ds = x.p + scores;
    x.keys = x.ds + scores;
    x.values = x.keys + b->shape.width * SCORE_STRIDE;
    x.L = x.values + b->shape.width * SCORE_STRIDE;
    x.delta = x.L + ROWS;
    return x;
}

/* delta of rows i .. i + n, n <= CPU_VW, of (T*H, D). The products are added like those of dO V^T in a tile, so that the
 * gradient of a row that sees one key alone (where O is V) is exactly zero. */
static void delta_rows(const Backward *b, int64_t i, int64_t n) {
    int64_t D = b->shape.D;
    vf sum = {0};
    for (int64_t d = 0; d < D; d += CPU_VW) {
        int64_t lanes = least(D - d, CPU_VW);
        vf g[CPU_VW], o[CPU_VW];
        for (int k = 0; k < CPU_VW; k++) {
            int64_t at = (i + least(k, n - 1)) * D + d;
            g[k] = vf_load_n_dt(b->dO, at, lanes, b->shape.dt);
            o[k] = vf_load_n_dt(b->O, at, lanes, b->shape.dt);
        }
        vf_transpose(g);
        vf_transpose(o);
        for (int64_t k = 0; k < lanes; k++) sum = vf_fma(g[k], o[k], sum);
    }
    vf_store_n(b->delta + i, sum, n);
}

enum { DELTA_ROWS = 16 * CPU_VW };

static void delta_chunk(void *ctx, int64_t chunk, int thread) {
    (void)thread;
    const Backward *b = ctx;
    int64_t end = least(b->T * b->shape.H, (chunk + 1) * DELTA_ROWS);
    for (int64_t i = chunk * DELTA_ROWS; i < end; i += CPU_VW) delta_rows(b, i, least(CPU_VW, end - i));
}

static void load_rows(const Backward *b, const Scratch *x, const Document *document, int64_t kv, const Meeting *m) {
    const Shape *p = &b->shape;
    pack_rows(p, x->q, b->Q, document->begin, kv, m->first_row, m->n_rows, p->scale * LOG2_E);
    pack_rows(p, x->g, b->dO, document->begin, kv, m->first_row, m->n_rows, 1.0f);
    int64_t at = row_element(p, document->begin, kv, m->first_row), g = m->first_row % p->G;
    for (int64_t i = 0; i < m->n_rows; i++, at = next_row(p, at, &g)) {
        x->L[i] = b->L[at / p->D] * LOG2_E;
        x->delta[i] = b->delta[at / p->D];
    }
}

static void load_keys(const Backward *b, const Scratch *x, const Document *document, int64_t kv, const Meeting *m) {
    int64_t first = document->begin + m->first_key;
    transpose_keys(&b->shape, x->keys, b->K, first, kv, m->n_keys);
    transpose_keys(&b->shape, x->values, b->V, first, kv, m->n_keys);
    pack_keys(&b->shape, x->k, b->K, first, kv, m->n_keys);
}

/* P and dS of a row from S (in p) and dO V^T (in ds). */
CPU_INLINE void gradient_row(const Shape *p, const Scratch *x, const Meeting *m, int64_t i, int64_t low, int64_t high) {
    float *P = x->p + i * SCORE_STRIDE, *dS = x->ds + i * SCORE_STRIDE, L = x->L[i], delta = x->delta[i];
    int64_t begin = low / CPU_VW * CPU_VW, end = round_up(high, CPU_VW);
    for (int64_t n = begin; n < end; n += CPU_VW) {
        vf s = vf_load(P + n), e, d = vf_load(dS + n) - delta;
        if (p->capped) {
            vf t = vf_tanh(p->cap_in * s);
            e = exp2_nonpositive(p->cap_out * t - L);
            d = d * (1.0f - t * t);
        } else
            e = exp2_nonpositive(s - L);
        vf_store(P + n, e);
        vf_store(dS + n, e * d);
    }
    for (int64_t n = begin; n < low; n++) P[n] = dS[n] = 0.0f;
    for (int64_t n = high; n < end; n++) P[n] = dS[n] = 0.0f;
    zero_outside(m, P, begin, end);
    zero_outside(m, dS, begin, end);
}

/* P and dS of a pair of blocks, zero where a row does not see a key. */
static void gradients_of_scores(const Shape *p, const Scratch *x, const Meeting *m) {
    visible_products(p, m, x->p, x->q, x->keys);
    visible_products(p, m, x->ds, x->g, x->values);
    for (int64_t i = 0; i < m->n_rows; i++) {
        int64_t position = row_position(p, m, i), low = visible_low(p, m, position), high = visible_high(m, position);
        if (low < high) {
            gradient_row(p, x, m, i, low, high);
        } else {
            zero_outside(m, x->p + i * SCORE_STRIDE, 0, 0);
            zero_outside(m, x->ds + i * SCORE_STRIDE, 0, 0);
        }
    }
}

/* C[n] += sum over the rows that see key n of P[i][n] * B[i], by tiles of keys. */
static void add_over_rows(const Shape *p, const Meeting *m, float *C, const float *P, const float *B) {
    for (int64_t d = 0; d < p->width; d += PANEL) {
        int vectors = p->width - d >= PANEL ? 2 : 1;
        for (int64_t n = 0; n < m->n_keys; n += TILE_ROWS) {
            int64_t keys = least(TILE_ROWS, m->n_keys - n);
            int64_t from = rows_from(p, m, n), to = rows_to(p, m, n + keys - 1);
            if (from < to)
                product_add_transposed(C + n * p->stride + d, p->stride, P + from * SCORE_STRIDE + n, SCORE_STRIDE,
                                       B + from * p->stride + d, p->stride, to - from, keys, vectors);
        }
    }
}

/* dK and dV of one block of keys, and this block's part of dQ, which is added to dq_sums unless that is NULL. */
static void block_of_keys(const Backward *b, const Scratch *x, const Document *document, int64_t kv, int64_t first_key,
                          float *dq_sums) {
    const Shape *p = &b->shape;
    int64_t rows = document->length * p->G;
    Meeting m = {.first_key = first_key, .n_keys = least(KEYS, document->length - first_key)};
    load_keys(b, x, document, kv, &m);
    memset(x->dk, 0, (size_t)(m.n_keys * p->stride) * sizeof(float));
    memset(x->dv, 0, (size_t)(m.n_keys * p->stride) * sizeof(float));
    int64_t end = p->window > 0 ? least(rows, (first_key + m.n_keys - 1 + p->window) * p->G) : rows;
    for (m.first_row = first_key * p->G / ROWS * ROWS; m.first_row < end; m.first_row += ROWS) {
        m.n_rows = least(ROWS, rows - m.first_row);
        load_rows(b, x, document, kv, &m);
        gradients_of_scores(p, x, &m);
        add_over_rows(p, &m, x->dv, x->p, x->g);
        add_over_rows(p, &m, x->dk, x->ds, x->q);
        if (dq_sums != NULL) add_over_keys(p, &m, dq_sums + m.first_row * p->stride, p->stride, x->ds, x->k);
    }
    /* The packed queries carry scale*log2(e). */
    for (int64_t n = 0; n < m.n_keys; n++) {
        int64_t at = ((document->begin + first_key + n) * p->Hkv + kv) * p->D;
        unpack_row(p, b->dK, at, x->dk + n * p->stride, LN_2);
        unpack_row(p, b->dV, at, x->dv + n * p->stride, 1.0f);
    }
}

static void whole_head_chunk(void *ctx, int64_t chunk, int thread) {
    const Backward *b = ctx;
    const Shape *p = &b->shape;
    const Document *document = &b->documents[chunk / p->Hkv];
    int64_t kv = chunk % p->Hkv, rows = document->length * p->G;
    float *dq_sums = b->dq_sums + (kv * b->T + document->begin) * p->G * p->stride;
    Scratch x = scratch_of(b, thread);
    memset(dq_sums, 0, (size_t)(rows * p->stride) * sizeof(float));
    for (int64_t key = 0; key < document->length; key += KEYS) block_of_keys(b, &x, document, kv, key, dq_sums);
    for (int64_t r = 0; r < rows; r++)
        unpack_row(p, b->dQ, row_element(p, document->begin, kv, r), dq_sums + r * p->stride, p->scale);
}

/* Early keys are seen by the most rows and go first. */
static void keys_chunk(void *ctx, int64_t chunk, int thread) {
    const Backward *b = ctx;
    const Document *document = document_find(b->documents, b->n_documents, chunk);
    int64_t local = chunk - document->first_chunk;
    Scratch x = scratch_of(b, thread);
    block_of_keys(b, &x, document, local % b->shape.Hkv, local / b->shape.Hkv * KEYS, NULL);
}

static int64_t blocks_of_rows(const Backward *b, int64_t length) { return (length * b->shape.G + ROWS - 1) / ROWS; }

static void rows_chunk(void *ctx, int64_t chunk, int thread) {
    const Backward *b = ctx;
    const Shape *p = &b->shape;
    const Document *document = document_find(b->documents, b->n_documents, chunk);
    int64_t blocks = blocks_of_rows(b, document->length), local = chunk - document->first_chunk;
    int64_t kv = local % p->Hkv;
    Meeting m = {.first_row = (blocks - 1 - local / p->Hkv) * ROWS};
    m.n_rows = least(ROWS, document->length * p->G - m.first_row);
    Scratch x = scratch_of(b, thread);
    load_rows(b, &x, document, kv, &m);
    memset(x.dq, 0, (size_t)(m.n_rows * p->stride) * sizeof(float));
    int64_t first = visible_low(p, &m, row_position(p, &m, 0)), end = row_position(p, &m, m.n_rows - 1) + 1;
    for (m.first_key = first / KEYS * KEYS; m.first_key < end; m.first_key += KEYS) {
        m.n_keys = least(KEYS, end - m.first_key);
        load_keys(b, &x, document, kv, &m);
        gradients_of_scores(p, &x, &m);
        add_over_keys(p, &m, x.dq, p->stride, x.ds, x.k);
    }
    for (int64_t i = 0; i < m.n_rows; i++)
        unpack_row(p, b->dQ, row_element(p, document->begin, kv, m.first_row + i), x.dq + i * p->stride, p->scale);
}

/* Whether whole heads end sooner: their work is 1 against 7/5, but the last task may keep one thread alone. */
static int whole_heads_pay(const Backward *b, int threads) {
    double total = 0.0, longest = 0.0;
    for (int64_t i = 0; i < b->n_documents; i++) {
        double length = (double)b->documents[i].length;
        double span = b->shape.window > 0 && (double)b->shape.window < length ? (double)b->shape.window : length;
        total += length * span * (double)b->shape.Hkv;
        longest = length * span > longest ? length * span : longest;
    }
    return total / threads + longest * (1.0 - 1.0 / threads) <= 1.4 * total / threads;
}

static void backward_run(Stream *s, Backward *b) {
    if (whole_heads_pay(b, pool_threads(s->pool))) {
        pool_run(s->pool, b->n_documents * b->shape.Hkv, whole_head_chunk, b);
        return;
    }
    int64_t chunks = 0;
    for (int64_t i = 0; i < b->n_documents; i++) {
        b->documents[i].first_chunk = chunks;
        chunks += (b->documents[i].length + KEYS - 1) / KEYS * b->shape.Hkv;
    }
    pool_run(s->pool, chunks, keys_chunk, b);
    chunks = 0;
    for (int64_t i = 0; i < b->n_documents; i++) {
        b->documents[i].first_chunk = chunks;
        chunks += blocks_of_rows(b, b->documents[i].length) * b->shape.Hkv;
    }
    pool_run(s->pool, chunks, rows_chunk, b);
}

/* The parts of the workspace, in bytes: documents, delta, sums of dQ; then the threads' scratch. */
typedef struct Parts {
    int64_t delta, dq_sums, scratch, end;
} Parts;

static Parts parts_of(const Stream *s, int64_t T, int64_t H, int64_t D) {
    Parts at;
    at.delta = round_up(T * (int64_t)sizeof(Document), ALIGN_BYTES);
    at.dq_sums = at.delta + round_up(T * H * (int64_t)sizeof(float), ALIGN_BYTES);
    at.scratch = at.dq_sums + T * H * packed_stride(D) * (int64_t)sizeof(float);
    at.end = at.scratch + pool_threads(s->pool) * round_up(scratch_floats(D) * (int64_t)sizeof(float), ALIGN_BYTES);
    return at;
}

int64_t CPU_NAME(attention_backward_workspace)(const Stream *s, int64_t T, int64_t H, int64_t Hkv, int64_t D,
                                               DType dt) {
    (void)Hkv;
    (void)dt;
    return parts_of(s, T, H, D).end;
}

void CPU_NAME(attention_backward)(Stream *s, void *ws, void *dQ, void *dK, void *dV, const void *dO, const void *O,
                                  const float *L, const void *Q, const void *K, const void *V,
                                  const int32_t *cu_seqlens, int64_t n_docs, float scale, int64_t window, float softcap,
                                  int64_t T, int64_t H, int64_t Hkv, int64_t D, DType dt) {
    Parts at = parts_of(s, T, H, D);
    Backward b = {.shape = shape_make(H, Hkv, D, scale, window, softcap, dt),
                  .dQ = dQ,
                  .dK = dK,
                  .dV = dV,
                  .dO = dO,
                  .O = O,
                  .Q = Q,
                  .K = K,
                  .V = V,
                  .L = L,
                  .documents = ws,
                  .n_documents = documents_list(ws, cu_seqlens, n_docs),
                  .T = T,
                  .scratch_floats = round_up(scratch_floats(D), ALIGN_BYTES / 4),
                  .delta = (float *)((char *)ws + at.delta),
                  .dq_sums = (float *)((char *)ws + at.dq_sums),
                  .scratch = (float *)((char *)ws + at.scratch)};
    if (T == 0 || b.n_documents == 0) return;
    pool_run(s->pool, (T * H + DELTA_ROWS - 1) / DELTA_ROWS, delta_chunk, &b);
    backward_run(s, &b);
}
