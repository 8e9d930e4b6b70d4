/* session.h: a model opened on a backend, with its arenas: what train, eval, generate, merge and plan have in common. */
#ifndef LORAC_TRAIN_SESSION_H
#define LORAC_TRAIN_SESSION_H

#include "data/batches.h"
#include "train/adapter.h"
#include "train/cmd.h"

typedef struct SessionOptions {
    const char *base;          /* GGUF file or model folder */
    const char *compute_dtype; /* "auto", "bf16", "fp32"; auto = bf16 */
    int64_t threads;           /* 0: all */
    int64_t positions;         /* tokens of the longest document; 0: the model's context */
} SessionOptions;

typedef struct Session {
    Pool *pool;
    Backend backend;
    Arena *weights, *state; /* growing; peak bytes are counted */
    BaseModel *base;
    Model *model;
    DType dt;
} Session;

/* Opens pool, backend ("cpu" at ctx->cpu_level) and the base file. */
Status session_open(Ctx *ctx, const SessionOptions *o, Session *s, Err *e);
/* Opens the model for documents of at most `positions` tokens (0: the context); more than the context is an error. */
Status session_model(Session *s, int64_t positions, Err *e);
/* Closes all of it; safe on a zeroed session. */
void session_close(Session *s);

/* A compiled graph and its memory. */
typedef struct Runner {
    Graph *graph;
    Arena *host;
    Arena *activations, *scratch; /* of the runner that owns the memory; NULL in those that share it */
} Runner;

/* Builds and compiles; no activation memory yet. slots NULL: base only. */
Status runner_prepare(const Session *s, const SlotMap *slots, const GraphOptions *o, Runner *r, Err *e);
/* Opens fixed arenas for the largest of the n runners, owned by runners[0], and binds all of them: graphs that never run at
 * the same time share memory. */
Status runner_memory(Runner *const *runners, int n, Err *e);
/* runner_prepare and runner_memory for one. */
Status runner_open(const Session *s, const SlotMap *slots, const GraphOptions *o, Runner *r, Err *e);
void runner_close(Runner *r);

/* The view as a graph reads it, for forward passes: log-probabilities of its targets go to logp. Training adds rows, keys of
 * tokens and weights. It points into the view. */
Batch runner_batch(const BatchView *v, float *logp);

#endif
