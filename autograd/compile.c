/* compile.c: from nodes to a program with fixed memory.
 *
 * The forward pass emits every node; the backward pass walks the nodes in reverse and, before each backward, makes sure
 * that what it reads exists: a value whose producer is not kept is rebuilt by running the producer again (recursively).
 * A value has therefore up to two buffers: the one of the forward pass and the one of the second run. Lifetimes follow
 * from the reads; place.c turns them into offsets. Invariants: see graph.h. */
#include "autograd/graph_internal.h"

#include <string.h>

/* Buffers of a tensor or a node's statistics: [0] first run, [1] second run. */
typedef struct Compile {
    Graph *g;
    Err *e;
    int (*value)[2];
    int *grad;
    int (*stat)[2][OP_MAX_OUT];
    bool *again; /* by node: was run a second time */
    bool *drops; /* by node: outputs are not kept for backward */
    bool *kept;  /* by tensor */
} Compile;

static int dt_bytes(DType dt) { return dt == DT_F32 ? 4 : 2; }

static Status buffer_new(Compile *c, int64_t bytes_per_token, int *out) {
    Graph *g = c->g;
    TRY(arena_grow(g->arena, &g->buffers, &g->cap_buffers, g->n_buffers, g->n_buffers + 1, sizeof(Buffer), c->e));
    int now = (int)g->n_instrs;
    g->buffers[g->n_buffers] = (Buffer){.bytes_per_token = bytes_per_token, .start = now, .end = now};
    *out = (int)g->n_buffers++;
    return OK;
}

/* The current instruction reads or writes the buffer. */
static int touch(Compile *c, int buffer) {
    CHECK(buffer != BUFFER_NONE, "a value is read before it is defined");
    c->g->buffers[buffer].end = (int)c->g->n_instrs;
    return buffer;
}

static Status instr_push(Compile *c, const Instr *in) {
    Graph *g = c->g;
    TRY(arena_grow(g->arena, &g->instrs, &g->cap_instrs, g->n_instrs, g->n_instrs + 1, sizeof(Instr), c->e));
    g->instrs[g->n_instrs++] = *in;
    return OK;
}

static Instr instr_blank(const Node *n, InstrKind kind) {
    Instr in = {.node = n, .kind = kind};
    for (int i = 0; i < OP_MAX_IN; i++) in.in[i] = in.din[i] = BUFFER_NONE;
    for (int i = 0; i < OP_MAX_OUT; i++) in.out[i] = in.stat[i] = in.dout[i] = in.temp[i] = BUFFER_NONE;
    return in;
}

/* The buffer that holds t now: the second run's if there is one. */
static int value_now(const Compile *c, const Tensor *t) {
    return c->value[t->id][1] != BUFFER_NONE ? c->value[t->id][1] : c->value[t->id][0];
}

/* Emits the node's forward (run 0) or its second run (run 1). */
static Status emit_forward(Compile *c, Node *n, int run) {
    Instr in = instr_blank(n, run == 0 ? INSTR_FORWARD : INSTR_AGAIN);
    for (int i = 0; i < n->n_in; i++)
        in.in[i] = touch(c, run == 0 ? c->value[n->in[i]->id][0] : value_now(c, n->in[i]));
    for (int i = 0; i < n->n_out; i++) {
        TRY(buffer_new(c, n->out[i]->cols * dt_bytes(c->g->dt), &in.out[i]));
        c->value[n->out[i]->id][run] = in.out[i];
    }
    for (int i = 0; i < OP_MAX_OUT; i++) {
        if (n->stat_cols[i] == 0) continue;
        TRY(buffer_new(c, n->stat_cols[i] * 4, &in.stat[i]));
        c->stat[n->id][run][i] = in.stat[i];
    }
    if (run == 1) c->again[n->id] = true;
    return instr_push(c, &in);
}

/* Makes the value of t readable by the next instruction. Depth is bounded by the length of a segment. */
static Status need_value(Compile *c, const Tensor *t) {
    if (c->kept[t->id] || c->value[t->id][1] != BUFFER_NONE) return OK;
    Node *p = t->producer;
    for (int i = 0; i < p->n_in; i++) TRY(need_value(c, p->in[i]));
    return emit_forward(c, p, 1);
}

/* The buffer of the gradient of input i for a node that writes it; *beta says whether it is the first writer. */
static Status grad_of_input(Compile *c, const Node *n, int i, Instr *in) {
    const Tensor *t = n->in[i];
    if (!t->needs_grad) return OK;
    bool residual = n->has_residual && i == 1;
    if (residual) {
        CHECK(c->grad[t->id] == BUFFER_NONE, "node %d: a residual's gradient has an earlier writer", n->id);
        c->grad[t->id] = c->grad[n->out[0]->id];
        return OK;
    }
    if (c->grad[t->id] == BUFFER_NONE) {
        TRY(buffer_new(c, t->cols * dt_bytes(c->g->dt), &c->grad[t->id]));
        in->beta[i] = 0.0f;
    } else {
        CHECK(n->op == OP_LINEAR || n->op == OP_RMSNORM, "node %d: op %s cannot add to a gradient", n->id,
              OPS[n->op].name);
        in->beta[i] = 1.0f;
    }
    in->din[i] = touch(c, c->grad[t->id]);
    return OK;
}

static bool has_backward(const Node *n) {
    if (OPS[n->op].flags & OP_LOSS) return true;
    for (int i = 0; i < n->n_out; i++) {
        if (n->out[i]->needs_grad) return true;
    }
    return false;
}

static Status emit_backward(Compile *c, Node *n) {
    const OpDef *op = &OPS[n->op];
    for (int i = 0; i < n->n_in; i++) {
        if (op->saves & SAVE_IN(i)) TRY(need_value(c, n->in[i]));
    }
    if (op->saves & SAVE_OUT) {
        for (int i = 0; i < n->n_out; i++) TRY(need_value(c, n->out[i]));
    }
    Instr in = instr_blank(n, INSTR_BACKWARD);
    for (int i = 0; i < n->n_in; i++) {
        if (op->saves & SAVE_IN(i)) in.in[i] = touch(c, value_now(c, n->in[i]));
    }
    for (int i = 0; i < n->n_out; i++) {
        if (op->saves & SAVE_OUT) in.out[i] = touch(c, value_now(c, n->out[i]));
        CHECK(c->grad[n->out[i]->id] != BUFFER_NONE, "node %d (%s): output %d has no gradient", n->id, op->name, i);
        in.dout[i] = touch(c, c->grad[n->out[i]->id]);
    }
    for (int i = 0; i < OP_MAX_OUT; i++) {
        if (n->stat_cols[i] == 0) continue;
        if (op->saves & SAVE_STAT) in.stat[i] = touch(c, c->stat[n->id][c->again[n->id]][i]);
        if (n->op == OP_LINEAR) TRY(buffer_new(c, n->stat_cols[i] * 4, &in.temp[i]));
    }
    for (int i = 0; i < n->n_in; i++) TRY(grad_of_input(c, n, i, &in));
    return instr_push(c, &in);
}

/* Which nodes' outputs are dropped after the forward pass, and which tensors are kept all the same: those that another
 * segment reads are the segments' inputs. */
static void choose_kept(Compile *c, bool recompute) {
    Graph *g = c->g;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const Node *n = g->nodes[i];
        c->drops[i] = (OPS[n->op].flags & OP_CHEAP) != 0 || (recompute && n->segment >= 0);
    }
    for (size_t i = 0; i < g->n_tensors; i++) c->kept[i] = !c->drops[g->tensors[i]->producer->id];
    for (size_t i = 0; i < g->n_nodes; i++) {
        const Node *n = g->nodes[i];
        for (int k = 0; k < n->n_in; k++) {
            const Node *p = n->in[k]->producer;
            bool cheap = (OPS[p->op].flags & OP_CHEAP) != 0;
            if (!cheap && p->segment != n->segment) c->kept[n->in[k]->id] = true;
        }
    }
}

static Status compile_open(Compile *c, Graph *g, Err *e) {
    *c = (Compile){.g = g, .e = e};
    TRY(ARENA_NEW(g->arena, g->n_tensors, c->value, e));
    TRY(ARENA_NEW(g->arena, g->n_tensors, c->grad, e));
    TRY(ARENA_NEW(g->arena, g->n_tensors, c->kept, e));
    TRY(ARENA_NEW(g->arena, g->n_nodes, c->stat, e));
    TRY(ARENA_NEW(g->arena, g->n_nodes, c->again, e));
    TRY(ARENA_NEW(g->arena, g->n_nodes, c->drops, e));
    for (size_t i = 0; i < g->n_tensors; i++) c->value[i][0] = c->value[i][1] = c->grad[i] = BUFFER_NONE;
    for (size_t i = 0; i < g->n_nodes; i++) {
        for (int k = 0; k < OP_MAX_OUT; k++) c->stat[i][0][k] = c->stat[i][1][k] = BUFFER_NONE;
    }
    return OK;
}

static void largest_scratch(Graph *g, const Backend *b) {
    int64_t most = 0;
    for (size_t i = 0; i < g->n_instrs; i++) {
        const Instr *in = &g->instrs[i];
        int64_t bytes = OPS[in->node->op].workspace(b, in->node, g->options.capacity, in->kind == INSTR_BACKWARD,
                                                    g->options.n_context);
        if (bytes > most) most = bytes;
    }
    g->scratch_bytes = ((size_t)most + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}

Status graph_compile(Graph *g, const Backend *b, const GraphOptions *o, Err *e) {
    CHECK(g->n_nodes > 0, "an empty graph");
    CHECK((OPS[g->nodes[g->n_nodes - 1]->op].flags & OP_LOSS) != 0, "the last node must be a loss");
    if (o->capacity <= 0 || o->capacity > INT32_MAX)
        FAIL(e, ERR_SHAPE, "a graph for %lld tokens cannot be made", (long long)o->capacity);
    Compile c;
    g->options = *o;
    g->n_instrs = g->n_buffers = 0;
    TRY(compile_open(&c, g, e));
    choose_kept(&c, o->recompute);
    for (size_t i = 0; i < g->n_nodes; i++) {
        bool loss = (OPS[g->nodes[i]->op].flags & OP_LOSS) != 0;
        if (!loss || !o->gradients) TRY(emit_forward(&c, g->nodes[i], 0));
    }
    if (o->gradients) {
        for (size_t i = g->n_nodes; i-- > 0;) {
            if (has_backward(g->nodes[i])) TRY(emit_backward(&c, g->nodes[i]));
        }
    }
    TRY(place_buffers(g, &g->activation_bytes, e));
    largest_scratch(g, b);
    return OK;
}
