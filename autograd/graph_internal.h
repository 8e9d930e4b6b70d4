/* graph_internal.h: what build.c, compile.c and run.c of this room share. */
#ifndef LORAC_AUTOGRAD_GRAPH_INTERNAL_H
#define LORAC_AUTOGRAD_GRAPH_INTERNAL_H

#include "autograd/graph.h"

/* A piece of activation memory: bytes_per_token * capacity bytes at offset, alive in instructions [start, end]. */
typedef struct Buffer {
    int64_t bytes_per_token;
    int start, end;
    size_t offset;
} Buffer;

typedef enum InstrKind { INSTR_FORWARD, INSTR_AGAIN, INSTR_BACKWARD } InstrKind;

/* One step of the program; members are buffer indices, BUFFER_NONE where unused. */
typedef struct Instr {
    const Node *node;
    InstrKind kind;
    int in[OP_MAX_IN], out[OP_MAX_OUT], stat[OP_MAX_OUT];
    int din[OP_MAX_IN], dout[OP_MAX_OUT], temp[OP_MAX_OUT];
    float beta[OP_MAX_IN];
} Instr;

struct Graph {
    Arena *arena;
    DType dt;
    int layer, segment;
    Node **nodes;
    size_t n_nodes, cap_nodes;
    Tensor **tensors;
    size_t n_tensors, cap_tensors;
    Buffer *buffers;
    size_t n_buffers, cap_buffers;
    Instr *instrs;
    size_t n_instrs, cap_instrs;
    GraphOptions options;
    size_t activation_bytes, scratch_bytes;
    uint8_t *activations;
    void *scratch;
};

/* A node of the current segment with its op's infer still to run; op-specific attributes are set by the caller. */
Status graph_node(Graph *g, OpId op, int n_in, Tensor *const *in, Node **out, Err *e);
/* An output of the node. */
Status graph_output(Graph *g, Node *n, int64_t cols, Tensor **out, Err *e);

/* Gives every buffer its offset: buffers alive at the same time do not overlap. Returns the total bytes. */
Status place_buffers(Graph *g, size_t *total, Err *e);

#define OP(id, name, saves, flags)                                                                                     \
    Status name##_infer(Node *, Err *);                                                                                \
    void name##_op_forward(const Exec *, const Batch *, const Node *, const OpIo *);                                   \
    void name##_op_backward(const Exec *, const Batch *, const Node *, const OpIo *);                                  \
    int64_t name##_op_workspace(const Backend *, const Node *, int64_t, bool, int64_t);
#include "autograd/ops.def"
#undef OP

#endif
