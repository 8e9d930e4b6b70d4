/* op_embedding.c: y = w[ids]. The table is frozen, so there is no backward. */
#include "autograd/graph_internal.h"

Status embedding_infer(Node *n, Err *e) {
    if (n->w.rows <= 0 || n->w.cols <= 0)
        FAIL(e, ERR_SHAPE, "embedding: a table of %lld x %lld", (long long)n->w.rows, (long long)n->w.cols);
    return OK;
}

void embedding_op_forward(const Exec *ex, const Batch *b, const Node *n, const OpIo *io) {
    Backend bk = *ex->backend;
    bk.embedding_forward(&bk.stream, io->out[0], b->ids, n->w.data, b->T, n->w.cols, n->w.wt, n->out[0]->dt);
}

void embedding_op_backward(const Exec *ex, const Batch *b, const Node *n, const OpIo *io) {
    (void)ex, (void)b, (void)io;
    CHECK(false, "node %d: a frozen embedding has no backward", n->id);
}

int64_t embedding_op_workspace(const Backend *bk, const Node *n, int64_t T, bool backward, int64_t n_context) {
    (void)bk, (void)n, (void)T, (void)backward, (void)n_context;
    return 0;
}

Status op_embedding(Graph *g, Weight w, Tensor **y, Err *e) {
    Node *n;
    TRY(graph_node(g, OP_EMBEDDING, 0, NULL, &n, e));
    n->w = w;
    TRY(embedding_infer(n, e));
    return graph_output(g, n, w.cols, y, e);
}
