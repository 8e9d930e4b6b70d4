/* gemm_case.c: see gemm_case.h. */
#include "tests/bench/gemm_case.h"

#include "base/rng.h"

#include <string.h>

enum { COPIES_BYTES = 96 << 20 };

const char *const WORK_NAMES[WORKS] = {"forward", "backward", "grad", "head", "logits"};

/* Copies of a weight matrix, one after the other; all rows are the same. */
static uint8_t *weights(Bench *b, WType wt, int64_t rows, int64_t cols) {
    int64_t row_bytes = wtype_row_bytes(wt, cols);
    const QuantTraits *q = wtype_traits(wt);
    uint8_t *W = bench_take(b, rows * row_bytes);
    float *row = bench_randoms(b, cols, -0.5f);
    if (q->pack != NULL) {
        q->pack(W, row, cols);
    } else { /* random codes; the scales, in the first 4 or last 2 bytes of a block, are small numbers */
        for (int64_t i = 0; i < row_bytes; i++) {
            bool scale = i % q->block_bytes < 4 || i % q->block_bytes >= 208;
            W[i] = (uint8_t)(scale ? 0x10 : philox4x32(3, (uint64_t)i, 1).v[0]);
        }
    }
    for (int64_t n = 1; n < rows; n++) memcpy(W + n * row_bytes, W, (size_t)row_bytes);
    return W;
}

static void prepare_parts(Bench *b, GemmCase *c) {
    const GemmShape *s = c->shape;
    for (int i = 0; i < s->n_parts; i++) {
        LinearPart *p = &c->parts[i];
        int64_t N = s->N[i], r = c->rank;
        *p = (LinearPart){.N = N, .r = r, .scale = 2.0f, .wt = c->wt, .drop_key = (uint64_t)i};
        p->Y = bench_take(b, c->T * N * 4);
        p->dY = bench_activations(b, c->T * N, -0.5f);
        if (r > 0) {
            p->A = bench_randoms(b, r * s->K, -0.5f), p->B = bench_randoms(b, N * r, -0.5f);
            p->U = bench_randoms(b, c->T * r, -0.5f), p->dU = bench_randoms(b, c->T * r, -0.5f);
            p->dA = bench_take(b, 2 * r * s->K * 4), p->dB = bench_take(b, 2 * N * r * 4);
        }
        double wide = c->work == GRAD ? 0.0 : 2.0 * (double)(c->T * N * s->K);
        c->flop += wide + 2.0 * (double)(c->T * r * (N + s->K));
    }
}

static int64_t prepare_head(Bench *b, GemmCase *c) {
    const Backend *k = &b->backend;
    int64_t M = c->T, V = c->shape->N[0], C = c->shape->K;
    double one = 2.0 * (double)(M * V * C);
    c->index = bench_take(b, M * 4), c->target = bench_take(b, M * 4);
    for (int64_t t = 0; t < M; t++) c->index[t] = (int32_t)t, c->target[t] = (int32_t)(t * 7 % V);
    if (c->work == LOGITS) {
        c->Y = bench_take(b, M * V * 4);
        c->flop = one;
        return k->head_logits_workspace(&k->stream, M, C, V, c->wt, b->dt);
    }
    c->weight = bench_randoms(b, M, -0.5f), c->logp = bench_randoms(b, M, -0.5f);
    c->flop = 2.0 * one;
    return k->head_loss_workspace(&k->stream, M, C, V, c->wt, b->dt);
}

void gemm_prepare(Bench *b, GemmCase *c) {
    const GemmShape *s = c->shape;
    const Backend *k = &b->backend;
    int64_t bytes;
    c->row = (RowSpan){.begin = 0, .end = c->T, .index = 1};
    for (int i = 0; i < s->n_parts; i++) {
        c->W_bytes[i] = s->N[i] * wtype_row_bytes(c->wt, s->K);
        c->weight_bytes += c->W_bytes[i];
    }
    c->copies = COPIES_BYTES / c->weight_bytes + 1;
    for (int i = 0; i < s->n_parts; i++) c->W[i] = weights(b, c->wt, s->N[i] * c->copies, s->K);
    c->X = bench_activations(b, c->T * s->K, -0.5f);
    c->dX = bench_take(b, c->T * s->K * 4);
    if (c->dropout > 0.0f) {
        uint64_t *token = bench_take(b, c->T * 8);
        for (int64_t t = 0; t < c->T; t++) token[t] = (uint64_t)t;
        c->drop = (Dropout){.p = c->dropout, .token = token};
    }
    if (c->work <= GRAD) prepare_parts(b, c);
    if (c->work == FORWARD)
        bytes = k->linear_forward_workspace(&k->stream, c->parts, s->n_parts, c->T, s->K, b->dt);
    else if (c->work == BACKWARD)
        bytes = k->linear_backward_workspace(&k->stream, c->parts, s->n_parts, c->T, s->K, b->dt);
    else if (c->work == GRAD)
        bytes = k->lora_grad_workspace(&k->stream, c->parts, s->n_parts, c->T, s->K, b->dt);
    else
        bytes = prepare_head(b, c);
    c->ws = bench_take(b, bytes);
}

void gemm_run(Bench *b, GemmCase *c) {
    const Backend *k = &b->backend;
    const GemmShape *s = c->shape;
    Stream *stream = &b->backend.stream;
    const Dropout *drop = c->dropout > 0.0f ? &c->drop : NULL;
    c->copy = (c->copy + 1) % c->copies;
    const void *W = c->W[0] + c->copy * c->W_bytes[0];
    for (int i = 0; i < s->n_parts; i++) c->parts[i].W = c->W[i] + c->copy * c->W_bytes[i];
    switch (c->work) {
    case FORWARD:
        k->linear_forward(stream, c->ws, c->parts, s->n_parts, NULL, c->X, drop, c->T, s->K, b->dt);
        break;
    case BACKWARD:
        k->linear_backward(stream, c->ws, c->dX, c->parts, s->n_parts, drop, 0.0f, c->T, s->K, b->dt);
        break;
    case GRAD:
        k->lora_grad(stream, c->ws, c->parts, s->n_parts, c->X, drop, &c->row, 1, 0, c->T, s->K, b->dt);
        break;
    case HEAD:
        k->head_loss(stream, c->ws, c->dX, c->logp, c->X, W, c->index, c->target, c->weight, c->T, c->T, s->K, s->N[0],
                     c->wt, b->dt);
        break;
    case LOGITS:
        k->head_logits(stream, c->ws, c->Y, c->X, W, c->index, c->T, s->K, s->N[0], c->wt, b->dt);
        break;
    case WORKS:
        break;
    }
}
