/* op_attention.c: causal attention over documents of variable length; with a cache, over earlier tokens as well. */
#include "autograd/graph_internal.h"

#include "base/fault.h"

Status attention_infer(Node *n, Err *e) {
    int64_t q = n->heads * n->head_dim, kv = n->kv_heads * n->head_dim;
    if (n->heads <= 0 || n->kv_heads <= 0 || n->heads % n->kv_heads != 0 || n->in[0]->cols != q ||
        n->in[1]->cols != kv || n->in[2]->cols != kv)
        FAIL(e, ERR_SHAPE,
             "attention: %lld heads, %lld key/value heads of %lld for inputs of %lld, %lld, %lld features",
             (long long)n->heads, (long long)n->kv_heads, (long long)n->head_dim, (long long)n->in[0]->cols,
             (long long)n->in[1]->cols, (long long)n->in[2]->cols);
    n->stat_cols[0] = n->heads; /* L */
    return OK;
}

static void forward_cached(const Exec *ex, const Batch *b, const Node *n, const OpIo *io) {
    Backend bk = *ex->backend;
    KvCache *c = ex->cache;
    int64_t row = n->kv_heads * n->head_dim * (n->out[0]->dt == DT_F32 ? 4 : 2);
    CHECK(c->n_past + b->T <= c->capacity, "the cache holds %lld tokens, %lld more do not fit", (long long)c->n_past,
          (long long)b->T);
    bk.copy_bytes(&bk.stream, (char *)c->k[n->layer] + c->n_past * row, io->in[1], b->T * row);
    bk.copy_bytes(&bk.stream, (char *)c->v[n->layer] + c->n_past * row, io->in[2], b->T * row);
    bk.attention_cached(&bk.stream, io->ws, io->out[0], io->in[0], c->k[n->layer], c->v[n->layer], c->n_past, n->scale,
                        n->window, n->softcap, b->T, n->heads, n->kv_heads, n->head_dim, n->out[0]->dt);
}

void attention_op_forward(const Exec *ex, const Batch *b, const Node *n, const OpIo *io) {
    if (ex->cache != NULL) {
        forward_cached(ex, b, n, io);
        return;
    }
    Backend bk = *ex->backend;
    const int32_t whole[2] = {0, (int32_t)b->T}, *cu_seqlens = b->cu_seqlens;
    int64_t n_docs = b->n_docs;
    if (FAULT(packing_leak)) {
        cu_seqlens = whole;
        n_docs = 1;
    }
    bk.attention_forward(&bk.stream, io->ws, io->out[0], io->stat[0], io->in[0], io->in[1], io->in[2], cu_seqlens,
                         n_docs, n->scale, n->window, n->softcap, b->T, n->heads, n->kv_heads, n->head_dim,
                         n->out[0]->dt);
}

void attention_op_backward(const Exec *ex, const Batch *b, const Node *n, const OpIo *io) {
    Backend bk = *ex->backend;
    float scale = FAULT(gradient) ? 1.1f * n->scale : n->scale;
    bk.attention_backward(&bk.stream, io->ws, io->din[0], io->din[1], io->din[2], io->dout[0], io->out[0], io->stat[0],
                          io->in[0], io->in[1], io->in[2], b->cu_seqlens, b->n_docs, scale, n->window, n->softcap, b->T,
                          n->heads, n->kv_heads, n->head_dim, n->out[0]->dt);
}

int64_t attention_op_workspace(const Backend *bk, const Node *n, int64_t T, bool backward, int64_t n_context) {
    DType dt = n->out[0]->dt;
    if (backward) return bk->attention_backward_workspace(&bk->stream, T, n->heads, n->kv_heads, n->head_dim, dt);
    int64_t x = bk->attention_forward_workspace(&bk->stream, T, n->heads, n->kv_heads, n->head_dim, dt);
    if (n_context == 0) return x;
    int64_t y = bk->attention_cached_workspace(&bk->stream, T, n_context, n->heads, n->kv_heads, n->head_dim, dt);
    return x > y ? x : y;
}

Status op_attention(Graph *g, Tensor *q, Tensor *k, Tensor *v, const AttentionSpec *spec, Tensor **o, Err *e) {
    Node *n;
    Tensor *in[3] = {q, k, v};
    TRY(graph_node(g, OP_ATTENTION, 3, in, &n, e));
    n->heads = spec->heads;
    n->kv_heads = spec->kv_heads;
    n->head_dim = spec->head_dim;
    n->window = spec->window;
    n->scale = spec->scale;
    n->softcap = spec->softcap;
    TRY(attention_infer(n, e));
    return graph_output(g, n, spec->heads * spec->head_dim, o, e);
}
