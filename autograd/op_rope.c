/* op_rope.c: rotary embedding; backward rotates by the negative angle, so nothing is saved. */
#include "autograd/graph_internal.h"

Status rope_infer(Node *n, Err *e) {
    if (n->heads * n->head_dim != n->in[0]->cols || n->half * 2 > n->head_dim || n->half < 0)
        FAIL(e, ERR_SHAPE, "rope: %lld heads of %lld (rotating %lld) do not make %lld features", (long long)n->heads,
             (long long)n->head_dim, (long long)n->half * 2, (long long)n->in[0]->cols);
    return OK;
}

void rope_op_forward(const Exec *ex, const Batch *b, const Node *n, const OpIo *io) {
    Backend bk = *ex->backend;
    bk.rope(&bk.stream, io->out[0], io->in[0], b->pos, n->cos, n->sin, 1.0f, n->interleaved, b->T, n->heads,
            n->head_dim, n->half, n->out[0]->dt);
}

void rope_op_backward(const Exec *ex, const Batch *b, const Node *n, const OpIo *io) {
    if (io->din[0] == NULL) return;
    Backend bk = *ex->backend;
    bk.rope(&bk.stream, io->din[0], io->dout[0], b->pos, n->cos, n->sin, -1.0f, n->interleaved, b->T, n->heads,
            n->head_dim, n->half, n->out[0]->dt);
}

int64_t rope_op_workspace(const Backend *bk, const Node *n, int64_t T, bool backward, int64_t n_context) {
    (void)bk, (void)n, (void)T, (void)backward, (void)n_context;
    return 0;
}

Status op_rope(Graph *g, Tensor *x, const RopeSpec *spec, Tensor **y, Err *e) {
    Node *n;
    TRY(graph_node(g, OP_ROPE, 1, &x, &n, e));
    n->cos = spec->cos;
    n->sin = spec->sin;
    n->heads = spec->heads;
    n->head_dim = spec->head_dim;
    n->half = spec->half;
    n->interleaved = spec->interleaved;
    TRY(rope_infer(n, e));
    return graph_output(g, n, x->cols, y, e);
}
