/* op_head_loss.c: output head and cross-entropy in one op that never holds all logits. In a graph with gradients only
 * backward runs: the per-token weights are known beforehand, so one pass gives logp and dX. */
#include "autograd/graph_internal.h"

Status head_loss_infer(Node *n, Err *e) {
    if (n->w.cols != n->in[0]->cols || n->w.rows <= 0)
        FAIL(e, ERR_SHAPE, "head: weight of %lld x %lld for %lld features", (long long)n->w.rows, (long long)n->w.cols,
             (long long)n->in[0]->cols);
    return OK;
}

void head_loss_op_forward(const Exec *ex, const Batch *b, const Node *n, const OpIo *io) {
    Backend bk = *ex->backend;
    DType dt = n->in[0]->dt;
    if (ex->logits != NULL)
        bk.head_logits(&bk.stream, io->ws, ex->logits, io->in[0], n->w.data, b->index, b->M, n->w.cols, n->w.rows,
                       n->w.wt, dt);
    else
        bk.head_loss(&bk.stream, io->ws, NULL, b->logp, io->in[0], n->w.data, b->index, b->target, NULL, b->M, b->T,
                     n->w.cols, n->w.rows, n->w.wt, dt);
}

void head_loss_op_backward(const Exec *ex, const Batch *b, const Node *n, const OpIo *io) {
    Backend bk = *ex->backend;
    bk.head_loss(&bk.stream, io->ws, io->din[0], b->logp, io->in[0], n->w.data, b->index, b->target, b->weight, b->M,
                 b->T, n->w.cols, n->w.rows, n->w.wt, n->in[0]->dt);
}

int64_t head_loss_op_workspace(const Backend *bk, const Node *n, int64_t T, bool backward, int64_t n_context) {
    (void)backward, (void)n_context;
    DType dt = n->in[0]->dt;
    int64_t x = bk->head_loss_workspace(&bk->stream, T, n->w.cols, n->w.rows, n->w.wt, dt);
    int64_t y = bk->head_logits_workspace(&bk->stream, T, n->w.cols, n->w.rows, n->w.wt, dt);
    return x > y ? x : y;
}

Status op_head_loss(Graph *g, Tensor *x, Weight w, Err *e) {
    Node *n;
    TRY(graph_node(g, OP_HEAD_LOSS, 1, &x, &n, e));
    n->w = w;
    return head_loss_infer(n, e);
}
