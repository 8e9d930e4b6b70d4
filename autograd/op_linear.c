/* op_linear.c: a group of frozen linear layers of one input, each with its LoRA branch, and an optional residual.
 * Forward Y_i = X W_i^T + U_i B_i^T [+ R]; backward gives dX (unless X is frozen) and folds each row's dA, dB into the
 * row trees. The residual's gradient is the output's own buffer (compile.c), so nothing is copied. */
#include "autograd/graph_internal.h"

#include "base/rng.h"

Status linear_infer(Node *n, Err *e) {
    int64_t K = n->in[0]->cols;
    for (int i = 0; i < OP_MAX_OUT && n->parts[i].w.data != NULL; i++) {
        const LinearSpec *p = &n->parts[i];
        if (p->w.cols != K || p->w.rows <= 0)
            FAIL(e, ERR_SHAPE, "linear: weight of %lld x %lld for an input of %lld features", (long long)p->w.rows,
                 (long long)p->w.cols, (long long)K);
        if (n->has_residual && n->in[1]->cols != p->w.rows)
            FAIL(e, ERR_SHAPE, "linear: residual of %lld features for an output of %lld", (long long)n->in[1]->cols,
                 (long long)p->w.rows);
        if (p->slot >= 0) {
            if (p->r <= 0) FAIL(e, ERR_SHAPE, "linear: an adapter of rank %lld", (long long)p->r);
            n->stat_cols[i] = p->r; /* U */
            n->trainable = true;
        }
    }
    return OK;
}

/* The kernels' view of the node's layers in this run. */
static void fill_parts(const Exec *ex, const Node *n, const OpIo *io, LinearPart *parts) {
    for (int i = 0; i < n->n_out; i++) {
        const LinearSpec *s = &n->parts[i];
        LinearPart *p = &parts[i];
        *p = (LinearPart){.Y = io->out[i],
                          .dY = io->dout[i],
                          .U = io->stat[i],
                          .dU = io->temp[i],
                          .W = s->w.data,
                          .N = s->w.rows,
                          .wt = s->w.wt};
        if (ex->adapters == NULL || s->slot < 0) continue;
        const AdapterSlot *a = &ex->adapters->slots[s->slot];
        p->A = a->A;
        p->B = a->B;
        p->dA = a->dA;
        p->dB = a->dB;
        p->r = a->r;
        p->scale = a->scale;
        p->drop_key = rng_mix(rng_mix(rng_mix(ex->seed, RNG_DROPOUT), a->key), ex->step);
    }
}

static Dropout fill_dropout(const Exec *ex, const Batch *b) {
    Dropout d = {.p = ex->training && ex->adapters != NULL ? ex->adapters->dropout : 0.0f, .token = b->token};
    CHECK(d.p == 0.0f || d.token != NULL, "dropout needs the tokens' counters");
    return d;
}

void linear_op_forward(const Exec *ex, const Batch *b, const Node *n, const OpIo *io) {
    LinearPart parts[OP_MAX_OUT];
    fill_parts(ex, n, io, parts);
    Dropout drop = fill_dropout(ex, b);
    Backend bk = *ex->backend;
    bk.linear_forward(&bk.stream, io->ws, parts, n->n_out, n->has_residual ? io->in[1] : NULL, io->in[0], &drop, b->T,
                      n->in[0]->cols, n->in[0]->dt);
}

void linear_op_backward(const Exec *ex, const Batch *b, const Node *n, const OpIo *io) {
    LinearPart parts[OP_MAX_OUT];
    fill_parts(ex, n, io, parts);
    Dropout drop = fill_dropout(ex, b);
    Backend bk = *ex->backend;
    int64_t K = n->in[0]->cols;
    bk.linear_backward(&bk.stream, io->ws, io->din[0], parts, n->n_out, &drop, io->beta[0], b->T, K, n->in[0]->dt);
    if (n->trainable && ex->adapters != NULL)
        bk.lora_grad(&bk.stream, io->ws, parts, n->n_out, io->in[0], &drop, b->rows, b->n_rows,
                     ex->adapters->level_stride, b->T, K, n->in[0]->dt);
}

int64_t linear_op_workspace(const Backend *bk, const Node *n, int64_t T, bool backward, int64_t n_context) {
    static const float PRESENT = 0.0f; /* stands for "has an adapter": sizes do not depend on its values */
    (void)n_context;
    LinearPart parts[OP_MAX_OUT] = {{0}};
    for (int i = 0; i < n->n_out; i++) {
        const LinearSpec *s = &n->parts[i];
        bool has = s->slot >= 0;
        parts[i] = (LinearPart){
            .N = s->w.rows, .wt = s->w.wt, .r = has ? s->r : 0, .A = has ? &PRESENT : NULL, .B = has ? &PRESENT : NULL};
    }
    int64_t K = n->in[0]->cols;
    DType dt = n->in[0]->dt;
    if (!backward) return bk->linear_forward_workspace(&bk->stream, parts, n->n_out, T, K, dt);
    int64_t x = bk->linear_backward_workspace(&bk->stream, parts, n->n_out, T, K, dt);
    int64_t y = bk->lora_grad_workspace(&bk->stream, parts, n->n_out, T, K, dt);
    return x > y ? x : y;
}

Status op_linear(Graph *g, Tensor *x, Tensor *residual, const LinearSpec *parts, int n_parts, Tensor **ys, Err *e) {
    CHECK(n_parts >= 1 && n_parts <= OP_MAX_OUT && (residual == NULL || n_parts == 1), "linear: %d parts", n_parts);
    Node *n;
    Tensor *in[2] = {x, residual};
    TRY(graph_node(g, OP_LINEAR, residual == NULL ? 1 : 2, in, &n, e));
    n->has_residual = residual != NULL;
    for (int i = 0; i < n_parts; i++) n->parts[i] = parts[i];
    TRY(linear_infer(n, e));
    for (int i = 0; i < n_parts; i++) TRY(graph_output(g, n, parts[i].w.rows, &ys[i], e));
    return OK;
}
