/* decode.c: see decode.h. Two compiled graphs share the cache: one for prompt batches, one for single tokens. */
#include "train/decode.h"

#include <string.h>

enum { PROMPT_BATCH = 256 };

static Status open_cache(const Session *s, Decoder *d, int64_t capacity, Err *e) {
    const ModelConfig *c = &s->model->config;
    size_t row = (size_t)(c->n_kv_heads * c->head_dim) * (s->dt == DT_F32 ? 4 : 2);
    d->cache.capacity = capacity;
    TRY(arena_alloc(d->arena, (size_t)c->n_layers, sizeof(void *), &d->cache.k, e));
    TRY(arena_alloc(d->arena, (size_t)c->n_layers, sizeof(void *), &d->cache.v, e));
    for (int64_t i = 0; i < c->n_layers; i++) {
        TRY(arena_alloc(d->arena, (size_t)capacity, row, &d->cache.k[i], e));
        TRY(arena_alloc(d->arena, (size_t)capacity, row, &d->cache.v[i], e));
    }
    return OK;
}

Status decoder_open(const Session *s, const Adapter *ad, int64_t capacity, Decoder *d, Err *e) {
    memset(d, 0, sizeof *d);
    d->session = s;
    d->adapters = ad == NULL ? NULL : &ad->set;
    d->batch = capacity < PROMPT_BATCH ? capacity : PROMPT_BATCH;
    TRY(arena_open(&d->arena, "decoder", e));
    TRY(open_cache(s, d, capacity, e));
    TRY(arena_alloc(d->arena, (size_t)s->model->config.vocab_size, sizeof(float), &d->logits, e));
    TRY(arena_alloc(d->arena, (size_t)d->batch, sizeof(int32_t), &d->pos, e));
    TRY(arena_alloc(d->arena, 2, sizeof(int32_t), &d->cu, e));
    TRY(arena_alloc(d->arena, 1, sizeof(int32_t), &d->index, e));
    const SlotMap *slots = ad == NULL ? NULL : &ad->map;
    GraphOptions o = {.capacity = d->batch, .n_context = capacity};
    TRY(runner_open(s, slots, &o, &d->prompt, e));
    o.capacity = 1;
    return runner_open(s, slots, &o, &d->single, e);
}

void decoder_close(Decoder *d) {
    runner_close(&d->single);
    runner_close(&d->prompt);
    arena_close(d->arena);
    memset(d, 0, sizeof *d);
}

void decoder_reset(Decoder *d) { d->cache.n_past = 0; }
int64_t decoder_length(const Decoder *d) { return d->cache.n_past; }

static void feed_batch(Decoder *d, const int32_t *ids, int64_t n, bool last) {
    for (int64_t i = 0; i < n; i++) d->pos[i] = (int32_t)(d->cache.n_past + i);
    d->cu[0] = 0;
    d->cu[1] = (int32_t)n;
    d->index[0] = (int32_t)(n - 1);
    Batch b = {
        .T = n, .ids = ids, .pos = d->pos, .cu_seqlens = d->cu, .n_docs = 1, .M = last ? 1 : 0, .index = d->index};
    Exec ex = {.backend = &d->session->backend, .adapters = d->adapters, .cache = &d->cache, .logits = d->logits};
    graph_run(n == 1 ? d->single.graph : d->prompt.graph, &ex, &b);
    d->cache.n_past += n;
}

Status decoder_feed(Decoder *d, const int32_t *ids, int64_t n, Err *e) {
    if (n > d->cache.capacity - d->cache.n_past)
        FAIL(e, ERR_DATA,
             "%lld tokens do not fit: the context holds %lld and %lld are used; a shorter prompt or fewer "
             "tokens would fit",
             (long long)n, (long long)d->cache.capacity, (long long)d->cache.n_past);
    for (int64_t i = 0; i < n; i += d->batch) {
        int64_t m = n - i < d->batch ? n - i : d->batch;
        feed_batch(d, ids + i, m, i + m == n);
    }
    return OK;
}
