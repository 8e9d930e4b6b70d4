/* graph.c: building the graph: nodes, tensors, and running a compiled program. Lifetimes are compile.c's. */
#include "autograd/graph_internal.h"

#include "base/fault.h"

Status graph_open(Arena *a, DType dt, Graph **out, Err *e) {
    Graph *g;
    TRY(ARENA_NEW(a, 1, g, e));
    g->arena = a;
    g->dt = dt;
    g->layer = g->segment = -1;
    *out = g;
    return OK;
}

DType graph_dtype(const Graph *g) { return g->dt; }

void graph_set_segment(Graph *g, int layer, int segment) {
    g->layer = layer;
    g->segment = segment;
}

Status graph_node(Graph *g, OpId op, int n_in, Tensor *const *in, Node **out, Err *e) {
    Node *n;
    TRY(ARENA_NEW(g->arena, 1, n, e));
    n->op = op;
    n->layer = g->layer;
    n->segment = g->segment;
    n->id = (int)g->n_nodes;
    n->n_in = n_in;
    for (int i = 0; i < n_in; i++) n->in[i] = in[i];
    TRY(arena_grow(g->arena, &g->nodes, &g->cap_nodes, g->n_nodes, g->n_nodes + 1, sizeof(Node *), e));
    g->nodes[g->n_nodes++] = n;
    *out = n;
    return OK;
}

Status graph_output(Graph *g, Node *n, int64_t cols, Tensor **out, Err *e) {
    CHECK(n->n_out < OP_MAX_OUT, "op %s has too many outputs", OPS[n->op].name);
    Tensor *t;
    TRY(ARENA_NEW(g->arena, 1, t, e));
    t->producer = n;
    t->cols = cols;
    t->dt = g->dt;
    t->id = (int)g->n_tensors;
    t->needs_grad = n->trainable;
    for (int i = 0; i < n->n_in; i++) t->needs_grad = t->needs_grad || n->in[i]->needs_grad;
    TRY(arena_grow(g->arena, &g->tensors, &g->cap_tensors, g->n_tensors, g->n_tensors + 1, sizeof(Tensor *), e));
    g->tensors[g->n_tensors++] = t;
    n->out[n->n_out++] = t;
    *out = t;
    return OK;
}

size_t graph_activation_bytes(const Graph *g) { return g->activation_bytes; }
size_t graph_scratch_bytes(const Graph *g) { return g->scratch_bytes; }
int graph_instructions(const Graph *g) { return (int)g->n_instrs; }

void graph_bind(Graph *g, void *activations, void *scratch) {
    g->activations = activations;
    g->scratch = scratch;
}

static void *place(const Graph *g, int buffer) {
    return buffer == BUFFER_NONE ? NULL : g->activations + g->buffers[buffer].offset;
}

void graph_run(Graph *g, const Exec *ex, const Batch *batch) {
    CHECK(g->n_instrs > 0 && (g->activations != NULL || g->activation_bytes == 0),
          "the graph is not compiled and bound");
    CHECK(batch->T > 0 && batch->T <= g->options.capacity, "a batch of %lld tokens does not fit a graph of %lld",
          (long long)batch->T, (long long)g->options.capacity);
    CHECK(ex->cache == NULL || !g->options.gradients, "a graph with gradients has no cache");
    bool again = false; /* a forward after the first backward is a recomputed one */
    for (size_t i = 0; i < g->n_instrs; i++) {
        const Instr *in = &g->instrs[i];
        OpIo io = {.ws = g->scratch};
        for (int k = 0; k < OP_MAX_IN; k++) {
            io.in[k] = place(g, in->in[k]);
            io.din[k] = place(g, in->din[k]);
            io.beta[k] = in->beta[k];
        }
        for (int k = 0; k < OP_MAX_OUT; k++) {
            io.out[k] = place(g, in->out[k]);
            io.stat[k] = place(g, in->stat[k]);
            io.dout[k] = place(g, in->dout[k]);
            io.temp[k] = place(g, in->temp[k]);
        }
        if (in->kind == INSTR_BACKWARD) {
            OPS[in->node->op].backward(ex, batch, in->node, &io);
            again = true;
            continue;
        }
        Exec other = *ex;
        if (again && FAULT(recompute_step)) other.step++;
        OPS[in->node->op].forward(&other, batch, in->node, &io);
    }
}
