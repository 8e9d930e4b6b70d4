/* session.c: opening and closing; see session.h. */
#include "train/session.h"

#include <string.h>

static Status dtype_from(const char *name, DType *out, Err *e) {
    if (strcmp(name, "auto") == 0 || strcmp(name, "bf16") == 0) {
        *out = DT_BF16;
        return OK;
    }
    if (strcmp(name, "fp32") == 0) {
        *out = DT_F32;
        return OK;
    }
    FAIL(e, ERR_CONFIG, "compute_dtype: got '%s', expected auto, bf16 or fp32", name);
}

Status session_open(Ctx *ctx, const SessionOptions *o, Session *s, Err *e) {
    memset(s, 0, sizeof *s);
    TRY(dtype_from(o->compute_dtype, &s->dt, e));
    TRY(arena_open(&s->weights, "weights", e));
    TRY(arena_open(&s->state, "state", e));
    TRY(pool_open(&s->pool, (int)o->threads, e));
    TRY(backend_open("cpu", ctx->cpu_level, s->pool, &s->backend, e));
    return base_model_open(s->weights, o->base, &s->base, e);
}

Status session_model(Session *s, int64_t positions, Err *e) {
    int64_t context = s->base->config.max_positions;
    if (positions == 0) positions = context;
    if (positions > context)
        FAIL(e, ERR_DATA, "%s: %lld tokens do not fit the model's context of %lld", s->base->path, (long long)positions,
             (long long)context);
    return model_open(s->weights, s->base, positions, &s->model, e);
}

void session_close(Session *s) {
    base_model_close(s->base);
    pool_close(s->pool);
    arena_close(s->state);
    arena_close(s->weights);
    memset(s, 0, sizeof *s);
}

Status runner_prepare(const Session *s, const SlotMap *slots, const GraphOptions *o, Runner *r, Err *e) {
    memset(r, 0, sizeof *r);
    TRY(arena_open(&r->host, "graph", e));
    TRY(graph_open(r->host, s->dt, &r->graph, e));
    TRY(model_build(r->graph, s->model, slots, e));
    return graph_compile(r->graph, &s->backend, o, e);
}

Status runner_memory(Runner *const *runners, int n, Err *e) {
    void *activations, *scratch;
    size_t most = 0, most_scratch = 0;
    for (int i = 0; i < n; i++) {
        size_t a = graph_activation_bytes(runners[i]->graph), b = graph_scratch_bytes(runners[i]->graph);
        if (a > most) most = a;
        if (b > most_scratch) most_scratch = b;
    }
    TRY(arena_open_fixed(&runners[0]->activations, "activations", most + ARENA_ALIGN, e));
    TRY(arena_open_fixed(&runners[0]->scratch, "scratch", most_scratch + ARENA_ALIGN, e));
    TRY(arena_alloc(runners[0]->activations, most, 1, &activations, e));
    TRY(arena_alloc(runners[0]->scratch, most_scratch, 1, &scratch, e));
    for (int i = 0; i < n; i++) graph_bind(runners[i]->graph, activations, scratch);
    return OK;
}

Status runner_open(const Session *s, const SlotMap *slots, const GraphOptions *o, Runner *r, Err *e) {
    TRY(runner_prepare(s, slots, o, r, e));
    return runner_memory(&r, 1, e);
}

void runner_close(Runner *r) {
    arena_close(r->scratch);
    arena_close(r->activations);
    arena_close(r->host);
    memset(r, 0, sizeof *r);
}

Batch runner_batch(const BatchView *v, float *logp) {
    return (Batch){.T = v->n_tokens,
                   .ids = v->ids,
                   .pos = v->pos,
                   .cu_seqlens = v->cu_seqlens,
                   .n_docs = v->n_docs,
                   .M = v->n_targets,
                   .index = v->index,
                   .target = v->target,
                   .logp = logp};
}
