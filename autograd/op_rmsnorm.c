/* op_rmsnorm.c: y = x/rms(x) * w with frozen w; cheap, so y is rebuilt from x for backward. */
#include "autograd/graph_internal.h"

Status rmsnorm_infer(Node *n, Err *e) {
    if (n->norm == NULL || !(n->eps >= 0.0f)) FAIL(e, ERR_SHAPE, "rmsnorm: no weight, or eps %g", (double)n->eps);
    n->stat_cols[0] = 1; /* rstd */
    return OK;
}

void rmsnorm_op_forward(const Exec *ex, const Batch *b, const Node *n, const OpIo *io) {
    Backend bk = *ex->backend;
    bk.rmsnorm_forward(&bk.stream, io->out[0], io->stat[0], io->in[0], n->norm, n->eps, b->T, n->in[0]->cols,
                       n->in[0]->dt);
}

void rmsnorm_op_backward(const Exec *ex, const Batch *b, const Node *n, const OpIo *io) {
    if (io->din[0] == NULL) return;
    Backend bk = *ex->backend;
    bk.rmsnorm_backward(&bk.stream, io->din[0], io->dout[0], io->in[0], n->norm, io->stat[0], io->beta[0], b->T,
                        n->in[0]->cols, n->in[0]->dt);
}

int64_t rmsnorm_op_workspace(const Backend *bk, const Node *n, int64_t T, bool backward, int64_t n_context) {
    (void)bk, (void)n, (void)T, (void)backward, (void)n_context;
    return 0;
}

Status op_rmsnorm(Graph *g, Tensor *x, const float *w, float eps, Tensor **y, Err *e) {
    Node *n;
    TRY(graph_node(g, OP_RMSNORM, 1, &x, &n, e));
    n->norm = w;
    n->eps = eps;
    TRY(rmsnorm_infer(n, e));
    return graph_output(g, n, x->cols, y, e);
}
