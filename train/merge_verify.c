/* merge_verify.c: the merged model, opened again, against base + adapter: KL divergence and top-1 agreement of the next
 * token over fixed pseudo-random contexts, in exact f32 on both sides. */
#include "train/merge.h"

#include "base/rng.h"

#include <math.h>

enum { CONTEXT = 32, CONTEXTS = 2 };

/* Logits (CONTEXT, V) of one context. */
static Status logits_of(const Session *s, const Adapter *ad, const SlotMap *slots, const int32_t *ids, int64_t n,
                        float *logits, Err *e) {
    Runner r = {0};
    int32_t pos[CONTEXT], index[CONTEXT], cu[2] = {0, (int32_t)n};
    GraphOptions o = {.capacity = n};
    Status st = runner_open(s, slots, &o, &r, e);
    if (st == OK) {
        for (int64_t i = 0; i < n; i++) pos[i] = index[i] = (int32_t)i;
        Batch b = {.T = n, .ids = ids, .pos = pos, .cu_seqlens = cu, .n_docs = 1, .M = n, .index = index};
        Exec ex = {.backend = &s->backend, .adapters = ad == NULL ? NULL : &ad->set, .logits = logits};
        graph_run(r.graph, &ex, &b);
    }
    runner_close(&r);
    return st;
}

/* In place: log-softmax of one row; returns the index of the largest. */
static int64_t log_softmax(float *z, int64_t V) {
    int64_t best = 0;
    double sum = 0.0;
    for (int64_t i = 1; i < V; i++) {
        if (z[i] > z[best]) best = i;
    }
    double most = (double)z[best];
    for (int64_t i = 0; i < V; i++) sum += exp((double)z[i] - most);
    double lse = most + log(sum);
    for (int64_t i = 0; i < V; i++) z[i] = (float)((double)z[i] - lse);
    return best;
}

static double kl_row(const float *p, const float *q, int64_t V) {
    double kl = 0.0;
    for (int64_t i = 0; i < V; i++) kl += exp((double)p[i]) * ((double)p[i] - (double)q[i]);
    return kl > 0.0 || isnan(kl) ? kl : 0.0; /* NaN is told apart from "the same" */
}

static Status compare(MergeJob *job, const Session *merged, Err *e) {
    MergeReport *r = job->report;
    int64_t V = job->session.model->config.vocab_size, n = CONTEXT;
    if (n > job->session.model->positions) n = job->session.model->positions;
    float *z[3];
    for (int k = 0; k < 3; k++) TRY(arena_alloc(job->arena, (size_t)(n * V), sizeof(float), &z[k], e));
    for (int c = 0; c < CONTEXTS; c++) {
        int32_t ids[CONTEXT];
        for (int64_t i = 0; i < n; i++) {
            uint64_t draw =
                ((uint64_t)philox4x32(rng_mix(RNG_SAMPLE, (uint64_t)c), (uint64_t)i, 0).v[0] * (uint64_t)V) >> 32;
            ids[i] = (int32_t)draw;
        }
        TRY(logits_of(&job->session, job->adapter, &job->adapter->map, ids, n, z[0], e));
        TRY(logits_of(merged, NULL, NULL, ids, n, z[1], e));
        TRY(logits_of(&job->session, NULL, NULL, ids, n, z[2], e));
        for (int64_t i = 0; i < n; i++) {
            int64_t a = log_softmax(z[0] + i * V, V), b = log_softmax(z[1] + i * V, V);
            log_softmax(z[2] + i * V, V);
            r->kl += kl_row(z[0] + i * V, z[1] + i * V, V);
            r->kl_base += kl_row(z[0] + i * V, z[2] + i * V, V);
            r->top1 += a == b;
            r->positions++;
        }
    }
    double count = (double)r->positions;
    r->kl /= count;
    r->kl_base /= count;
    r->top1 /= count;
    if (!isfinite(r->kl)) r->kl = INFINITY;
    return OK;
}

Status merge_verify(MergeJob *job, Err *e) {
    Session merged = {0};
    SessionOptions so = {.base = job->target, .compute_dtype = "fp32", .threads = job->options->threads};
    Status st = session_open(job->ctx, &so, &merged, e);
    if (st == OK) st = session_model(&merged, job->session.model->positions, e);
    if (st == OK) {
        for (int i = 0; i < merged.base->n_files; i++) job->report->bytes += merged.base->files[i].size;
        st = compare(job, &merged, e);
    }
    session_close(&merged);
    return st;
}
