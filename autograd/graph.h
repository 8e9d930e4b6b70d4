/* graph.h: the tape. A graph is built once, with a capacity in tokens, compiled into a fixed list of instructions with a
 * fixed place in memory for every value, statistic and gradient, and then run for batches of at most that many tokens.
 *
 * Why static: the plan is the allocation. graph_compile computes lifetimes and offsets, so the activation and scratch
 * bytes are known before anything runs, are the same in `lorac plan` and in the run, and no step allocates.
 *
 * Every value is a matrix (tokens, cols). Ops are coarse (ops.def); each op file holds infer, forward, backward. The
 * gradient rules: an op's backward gets beta 0 for the first writer of an input's gradient and 1 for later ones; frozen
 * inputs get no gradient and no memory; a residual input takes over the buffer of its output's gradient.
 * Recompute: a node whose outputs are not kept is run again before the first backward that reads them; both ways give the
 * same bits (P4), because kernels are deterministic.
 * Invariants (each a CHECK in compile.c): 1 nodes are in topological order; 2 an op without beta is the first writer of
 * its inputs' gradients; 3 a value is read only between its definition and its last use; 4 a loss is the last node. */
#ifndef LORAC_AUTOGRAD_GRAPH_H
#define LORAC_AUTOGRAD_GRAPH_H

#include "base/arena.h"
#include "kernels/backend.h"

enum { OP_MAX_IN = 3, OP_MAX_OUT = 4, BUFFER_NONE = -1 };
enum { OP_CHEAP = 1, OP_LOSS = 2 };
#define SAVE_IN(i) (1u << (i))
#define SAVE_OUT (1u << 8)
#define SAVE_STAT (1u << 9)

typedef enum OpId {
#define OP(id, name, saves, flags) OP_##id,
#include "autograd/ops.def"
#undef OP
    OP_COUNT
} OpId;

typedef struct Node Node;

typedef struct Tensor {
    Node *producer;
    int64_t cols;
    DType dt;
    bool needs_grad;
    int id;
} Tensor;

/* A weight as the kernels read it: (rows, cols) of type wt at any alignment; owned by the model. */
typedef struct Weight {
    const void *data;
    int64_t rows, cols;
    WType wt;
} Weight;

/* The trainable side of one linear layer: A (r,in), B (out,r), their gradients' row trees; see kernels.def. */
typedef struct AdapterSlot {
    float *A, *B;
    float *dA, *dB; /* level 0; NULL when no gradients are wanted */
    int64_t r, n_in, n_out;
    float scale;
    uint64_t key; /* names the slot for counter-based randomness */
} AdapterSlot;

typedef struct AdapterSet {
    AdapterSlot *slots;
    int n_slots;
    float dropout;
    int64_t level_stride; /* floats between levels of the row tree */
} AdapterSet;

/* Keys and values of earlier tokens, one pair per layer: (capacity, n_kv_heads*head_dim) dt. */
typedef struct KvCache {
    void **k, **v;
    int64_t capacity, n_past;
} KvCache;

/* One call's data, on the host; arrays are the caller's. */
typedef struct Batch {
    int64_t T;                 /* tokens, at most the graph's capacity */
    const int32_t *ids, *pos;  /* (T) token ids; position in the document */
    const int32_t *cu_seqlens; /* (n_docs+1) document starts */
    int64_t n_docs;
    const RowSpan *rows; /* rows of the optimizer batch in this call; read by backward */
    int64_t n_rows;
    const uint64_t *token;         /* (T) dropout counter; may be NULL without dropout */
    int64_t M;                     /* predicted tokens */
    const int32_t *index, *target; /* (M) position that predicts, id it must predict */
    const float *weight;           /* (M) upstream gradient of -logp; may be NULL without gradients */
    float *logp;                   /* (M) out */
} Batch;

/* What a run needs besides the batch. */
typedef struct Exec {
    const Backend *backend;
    const AdapterSet *adapters; /* NULL: the base model alone */
    bool training;              /* dropout is on */
    uint64_t seed, step;
    KvCache *cache; /* attention over earlier tokens; forward graphs only */
    float *logits;  /* (M,V) out: when set, the head writes logits instead of logp */
} Exec;

typedef struct LinearSpec {
    Weight w;
    int slot; /* index into AdapterSet, or -1 */
    int64_t r;
} LinearSpec;

/* Attributes by op; read-only after building. */
struct Node {
    OpId op;
    int n_in, n_out, layer, segment, id;
    Tensor *in[OP_MAX_IN];
    Tensor *out[OP_MAX_OUT];
    int64_t stat_cols[OP_MAX_OUT]; /* f32 statistics kept for backward, columns per output */
    bool has_residual;             /* in[1] is the residual of a LINEAR node */
    bool trainable;
    Weight w;          /* embedding, head */
    const float *norm; /* rmsnorm weight */
    float eps;
    LinearSpec parts[OP_MAX_OUT];
    const float *cos, *sin;
    int interleaved;
    int64_t heads, kv_heads, head_dim, half;
    float scale, softcap;
    int64_t window;
    GluAct act;
};

/* Pointers of one instruction, resolved for this run. NULL where not needed. */
typedef struct OpIo {
    void *in[OP_MAX_IN];
    void *out[OP_MAX_OUT];
    float *stat[OP_MAX_OUT];
    void *din[OP_MAX_IN];
    const void *dout[OP_MAX_OUT];
    float beta[OP_MAX_IN];
    float *temp[OP_MAX_OUT]; /* backward-only f32 temporaries of stat_cols columns */
    void *ws;
} OpIo;

typedef struct OpDef {
    const char *name;
    unsigned saves, flags;
    Status (*infer)(Node *, Err *);
    void (*forward)(const Exec *, const Batch *, const Node *, const OpIo *);
    void (*backward)(const Exec *, const Batch *, const Node *, const OpIo *); /* NULL: nothing to do */
    int64_t (*workspace)(const Backend *, const Node *, int64_t T, bool backward, int64_t n_context);
} OpDef;

extern const OpDef OPS[OP_COUNT];

typedef struct Graph Graph;

/* dt is the dtype of every activation. The graph and all it makes live in the arena. */
Status graph_open(Arena *a, DType dt, Graph **out, Err *e);
DType graph_dtype(const Graph *g);

/* Nodes added from here on belong to recompute segment s (a layer); -1: none. */
void graph_set_segment(Graph *g, int layer, int segment);

/* The ops. Shapes are checked (ERR_SHAPE). */
Status op_embedding(Graph *g, Weight w, Tensor **y, Err *e);
Status op_rmsnorm(Graph *g, Tensor *x, const float *w, float eps, Tensor **y, Err *e);
/* A group of n linear layers of one x; residual (may be NULL, then n may be > 1) is added to the single output. */
Status op_linear(Graph *g, Tensor *x, Tensor *residual, const LinearSpec *parts, int n, Tensor **ys, Err *e);
typedef struct RopeSpec {
    const float *cos, *sin; /* (positions, half) */
    int64_t heads, head_dim, half;
    int interleaved;
} RopeSpec;
Status op_rope(Graph *g, Tensor *x, const RopeSpec *spec, Tensor **y, Err *e);
typedef struct AttentionSpec {
    int64_t heads, kv_heads, head_dim, window;
    float scale, softcap;
} AttentionSpec;
Status op_attention(Graph *g, Tensor *q, Tensor *k, Tensor *v, const AttentionSpec *spec, Tensor **o, Err *e);
Status op_glu(Graph *g, Tensor *gate, Tensor *up, GluAct act, Tensor **y, Err *e);
Status op_head_loss(Graph *g, Tensor *x, Weight w, Err *e);

typedef struct GraphOptions {
    bool gradients;    /* forward and backward; else forward only, nothing is kept */
    bool recompute;    /* recompute segments */
    int64_t capacity;  /* most tokens of one run */
    int64_t n_context; /* KV cache capacity, 0 without cache */
} GraphOptions;

/* Computes instructions, lifetimes, offsets. After it activation_bytes and scratch_bytes are fixed. */
Status graph_compile(Graph *g, const Backend *b, const GraphOptions *o, Err *e);
size_t graph_activation_bytes(const Graph *g);
size_t graph_scratch_bytes(const Graph *g);
int graph_instructions(const Graph *g);

/* Gives the memory (borrowed, of the sizes above, 64-byte aligned). */
void graph_bind(Graph *g, void *activations, void *scratch);

/* Runs all instructions for a batch of at most capacity tokens. With gradients, rows' adapter gradients are folded into
 * the trees of ex->adapters; batch->logp is written either way. */
void graph_run(Graph *g, const Exec *ex, const Batch *batch);

#endif
