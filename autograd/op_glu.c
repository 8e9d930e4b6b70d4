/* op_glu.c: y = act(gate) * up; cheap, so y is rebuilt from gate and up for backward. */
#include "autograd/graph_internal.h"

Status glu_infer(Node *n, Err *e) {
    if (n->in[0]->cols != n->in[1]->cols)
        FAIL(e, ERR_SHAPE, "glu: gate of %lld and up of %lld features", (long long)n->in[0]->cols,
             (long long)n->in[1]->cols);
    return OK;
}

void glu_op_forward(const Exec *ex, const Batch *b, const Node *n, const OpIo *io) {
    Backend bk = *ex->backend;
    bk.glu_forward(&bk.stream, io->out[0], io->in[0], io->in[1], b->T * n->in[0]->cols, n->act, n->out[0]->dt);
}

void glu_op_backward(const Exec *ex, const Batch *b, const Node *n, const OpIo *io) {
    Backend bk = *ex->backend;
    bk.glu_backward(&bk.stream, io->din[0], io->din[1], io->dout[0], io->in[0], io->in[1], b->T * n->in[0]->cols,
                    n->act, n->out[0]->dt);
}

int64_t glu_op_workspace(const Backend *bk, const Node *n, int64_t T, bool backward, int64_t n_context) {
    (void)bk, (void)n, (void)T, (void)backward, (void)n_context;
    return 0;
}

Status op_glu(Graph *g, Tensor *gate, Tensor *up, GluAct act, Tensor **y, Err *e) {
    Node *n;
    Tensor *in[2] = {gate, up};
    TRY(graph_node(g, OP_GLU, 2, in, &n, e));
    n->act = act;
    TRY(glu_infer(n, e));
    return graph_output(g, n, gate->cols, y, e);
}
