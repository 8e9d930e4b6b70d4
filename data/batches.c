/* batches.c: see batches.h.
 *
 * The order of an epoch is a Fisher-Yates shuffle whose draws are functions of (seed, epoch, position): nothing is carried
 * from one epoch to the next, so any step's bins follow from the step number. The order of the epoch last asked for is
 * kept, because steps are asked for in order. */
#include "data/batches.h"

#include "base/rng.h"
#include "data/packing.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct Batches {
    const Dataset *data;
    BatchesOptions options;
    Packing packing;
    int32_t *order; /* (n_bins) bins of the epoch `order_epoch` */
    int64_t order_epoch;
    int64_t rows_step, steps_per_epoch, steps;
    BatchLimits limits;
};

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static Status pack(Arena *a, Batches *b, Err *e) {
    const Dataset *d = b->data;
    const BatchesOptions *o = &b->options;
    Arena *work;
    int32_t *length;
    if (!o->sample_packing) return packing_single(a, d->n_rows, &b->packing, e);
    TRY(arena_open(&work, "packing", e));
    Status st = ARENA_NEW(work, d->n_rows, length, e);
    if (st == OK) {
        for (int64_t i = 0; i < d->n_rows; i++) length[i] = d->rows[i].length;
        st = o->shuffle ? packing_best_fit(a, length, d->n_rows, o->sequence_len, &b->packing, e)
                        : packing_next_fit(a, length, d->n_rows, o->sequence_len, &b->packing, e);
    }
    arena_close(work);
    return st;
}

/* Puts v into the m largest so far, kept in falling order. */
static void keep_largest(int64_t *largest, int64_t m, int64_t v) {
    int64_t i = m;
    while (i > 0 && largest[i - 1] < v) i--;
    if (i == m) return;
    for (int64_t k = m - 1; k > i; k--) largest[k] = largest[k - 1];
    largest[i] = v;
}

static int64_t row_targets(const Batches *b, const DataRow *r) {
    int64_t n = b->options.targets == TARGETS_ALL ? r->length - 1 : r->trained;
    return b->options.targets == TARGETS_TRAINED ? n : n + dataset_free_labels(b->data, r);
}

/* No micro-batch has more tokens than the micro_batch_size largest bins together: a bound for every order of bins. */
static Status find_limits(Batches *b, Err *e) {
    Arena *work;
    int64_t *tokens, *targets, *docs;
    int64_t m = least(b->options.micro_batch_size, b->packing.n_bins);
    TRY(arena_open(&work, "batches", e));
    Status st = ARENA_NEW(work, m, tokens, e);
    if (st == OK) st = ARENA_NEW(work, m, targets, e);
    if (st == OK) st = ARENA_NEW(work, m, docs, e);
    b->limits = (BatchLimits){.rows = m, .rows_step = least(b->rows_step, b->packing.n_bins)};
    for (int64_t bin = 0; st == OK && bin < b->packing.n_bins; bin++) {
        int64_t n_tokens = 0, n_targets = 0;
        for (int64_t k = b->packing.first[bin]; k < b->packing.first[bin + 1]; k++) {
            const DataRow *r = &b->data->rows[b->packing.rows[k]];
            n_tokens += r->length;
            n_targets += row_targets(b, r);
            if (r->length > b->limits.longest) b->limits.longest = r->length;
        }
        keep_largest(tokens, m, n_tokens);
        keep_largest(targets, m, n_targets);
        keep_largest(docs, m, b->packing.first[bin + 1] - b->packing.first[bin]);
    }
    for (int64_t i = 0; st == OK && i < m; i++) {
        b->limits.tokens += tokens[i];
        b->limits.targets += targets[i];
        b->limits.docs += docs[i];
    }
    arena_close(work);
    if (st == OK && b->limits.tokens > INT32_MAX)
        FAIL(e, ERR_CONFIG, "a micro-batch of %lld tokens is too large; lower micro_batch_size or sequence_len",
             (long long)b->limits.tokens);
    return st;
}

Status batches_open(Arena *a, const Dataset *d, const BatchesOptions *o, Batches **out, Err *e) {
    Batches *b;
    CHECK(d->n_rows > 0, "batches of an empty dataset");
    CHECK(o->micro_batch_size > 0 && o->gradient_accumulation_steps > 0, "sizes of an optimizer batch");
    TRY(ARENA_NEW(a, 1, b, e));
    b->data = d;
    b->options = *o;
    b->order_epoch = -1;
    b->rows_step = o->micro_batch_size * o->gradient_accumulation_steps;
    TRY(pack(a, b, e));
    TRY(ARENA_NEW(a, b->packing.n_bins, b->order, e));
    b->steps_per_epoch = (b->packing.n_bins + b->rows_step - 1) / b->rows_step;
    b->steps = o->max_steps;
    if (b->steps <= 0) b->steps = (int64_t)ceil(o->num_epochs * (double)b->steps_per_epoch);
    TRY(find_limits(b, e));
    *out = b;
    return OK;
}

Status batches_open_eval(Arena *a, const Dataset *d, int64_t tokens, TargetSet targets, Batches **out, Err *e) {
    BatchesOptions o = {.sequence_len = tokens,
                        .micro_batch_size = 1,
                        .gradient_accumulation_steps = 1,
                        .num_epochs = 1.0,
                        .sample_packing = true,
                        .targets = targets};
    return batches_open(a, d, &o, out, e);
}

int64_t batches_steps(const Batches *b) { return b->steps; }
int64_t batches_steps_per_epoch(const Batches *b) { return b->steps_per_epoch; }
int64_t batches_bins(const Batches *b) { return b->packing.n_bins; }
BatchLimits batches_limits(const Batches *b) { return b->limits; }

/* ---- steps ------------------------------------------------------------------------------------------------------- */

/* Position i is drawn from 0..i by 64 random bits; their remainder is even enough: the bias is below n / 2^64. */
static void shuffle(int32_t *order, int64_t n, uint64_t seed, uint64_t epoch) {
    uint64_t key = rng_mix(rng_mix(seed, RNG_SHUFFLE), epoch);
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = rng_below(key, i, i + 1);
        int32_t t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
}

static void order_of_epoch(Batches *b, int64_t epoch) {
    if (b->order_epoch == epoch) return;
    for (int64_t i = 0; i < b->packing.n_bins; i++) b->order[i] = (int32_t)i;
    if (b->options.shuffle) shuffle(b->order, b->packing.n_bins, b->options.seed, (uint64_t)epoch);
    b->order_epoch = epoch;
}

/* The bins of a step: order[*first .. *first + *n). */
static void bins_of_step(Batches *b, int64_t step, int64_t *first, int64_t *n) {
    CHECK(step >= 0 && step < b->steps, "step %lld of %lld", (long long)step, (long long)b->steps);
    order_of_epoch(b, step / b->steps_per_epoch);
    *first = step % b->steps_per_epoch * b->rows_step;
    *n = least(b->rows_step, b->packing.n_bins - *first);
}

void batches_step(Batches *b, int64_t step, StepPlan *out) {
    int64_t first;
    *out = (StepPlan){0};
    bins_of_step(b, step, &first, &out->n_rows);
    for (int64_t i = first; i < first + out->n_rows; i++) {
        for (int64_t k = b->packing.first[b->order[i]]; k < b->packing.first[b->order[i] + 1]; k++) {
            const DataRow *r = &b->data->rows[b->packing.rows[k]];
            out->n_tokens += r->length;
            out->n_targets += row_targets(b, r);
        }
    }
    double done = (double)(first + out->n_rows) / (double)b->packing.n_bins;
    out->epoch = (double)(step / b->steps_per_epoch) + done;
}

void batches_shard(Batches *b, int64_t step, int64_t rank, int64_t ranks, int64_t *first, int64_t *n) {
    int64_t start, bins, each = 1;
    CHECK(ranks > 0 && (ranks & (ranks - 1)) == 0 && rank >= 0 && rank < ranks, "rank %lld of %lld", (long long)rank,
          (long long)ranks);
    bins_of_step(b, step, &start, &bins);
    while (each * ranks < bins) each *= 2;
    *first = least(rank * each, bins);
    *n = least(each, bins - *first);
}

Status batches_view(Arena *a, const Batches *b, BatchView *v, Err *e) {
    const BatchLimits *l = &b->limits;
    *v = (BatchView){0};
    TRY(ARENA_NEW(a, l->tokens, v->ids, e));
    TRY(ARENA_NEW(a, l->tokens, v->pos, e));
    TRY(ARENA_NEW(a, l->docs + 1, v->cu_seqlens, e));
    TRY(ARENA_NEW(a, l->docs, v->doc_row, e));
    TRY(ARENA_NEW(a, l->tokens, v->token_key, e));
    TRY(ARENA_NEW(a, l->rows, v->row_begin, e));
    TRY(ARENA_NEW(a, l->rows, v->row_end, e));
    TRY(ARENA_NEW(a, l->rows, v->row_index, e));
    TRY(ARENA_NEW(a, l->targets, v->index, e));
    TRY(ARENA_NEW(a, l->targets, v->target, e));
    return ARENA_NEW(a, l->targets, v->target_use, e);
}

static void add_target(BatchView *v, int64_t index, int32_t id, int use) {
    v->index[v->n_targets] = (int32_t)index;
    v->target[v->n_targets] = id;
    v->target_use[v->n_targets++] = (uint8_t)use;
}

/* Adds one document at the view's end; `key` is the token key of its first token. */
static void add_document(const Batches *b, BatchView *v, int32_t row, uint64_t key) {
    const DataRow *r = &b->data->rows[row];
    const int32_t *own = b->data->ids + r->start, *labels = dataset_labels(b->data, r);
    TargetSet wanted = b->options.targets;
    int64_t at = v->n_tokens;
    v->doc_row[v->n_docs] = row;
    v->cu_seqlens[v->n_docs++] = (int32_t)at;
    for (int32_t i = 0; i < r->length; i++) {
        int32_t id = dataset_id(b->data, r, i), label = labels == own ? id : labels[i];
        bool trained = dataset_is_trained(b->data, r, i);
        v->ids[at + i] = id;
        v->pos[at + i] = i;
        v->token_key[at + i] = key + (uint64_t)i;
        if (i == 0) continue;
        if (trained) add_target(v, at + i - 1, label, TARGET_LOSS | (label == id ? TARGET_ID : 0));
        bool more = trained ? label != id && wanted != TARGETS_TRAINED : wanted == TARGETS_ALL;
        if (more) add_target(v, at + i - 1, id, TARGET_ID);
    }
    v->n_tokens += r->length;
}

void batches_fill(Batches *b, int64_t step, int64_t first, int64_t n, BatchView *v) {
    int64_t start, rows;
    bins_of_step(b, step, &start, &rows);
    CHECK(first >= 0 && n > 0 && n <= b->limits.rows && first + n <= rows, "bins %lld+%lld of a step with %lld",
          (long long)first, (long long)n, (long long)rows);
    v->n_tokens = v->n_docs = v->n_rows = v->n_targets = 0;
    for (int64_t i = first; i < first + n; i++) {
        int32_t bin = b->order[start + i];
        v->row_begin[v->n_rows] = v->n_tokens;
        for (int64_t k = b->packing.first[bin]; k < b->packing.first[bin + 1]; k++) {
            uint64_t in_bin = (uint64_t)(v->n_tokens - v->row_begin[v->n_rows]);
            add_document(b, v, b->packing.rows[k], (uint64_t)i << 32 | in_bin);
        }
        v->row_end[v->n_rows] = v->n_tokens;
        v->row_index[v->n_rows++] = i;
    }
    v->cu_seqlens[v->n_docs] = (int32_t)v->n_tokens;
}

void batches_row_place(Batches *b, int64_t step, int64_t row, char *text, size_t size) {
    int64_t start, rows;
    bins_of_step(b, step, &start, &rows);
    CHECK(row >= 0 && row < rows, "row %lld of a step with %lld", (long long)row, (long long)rows);
    int32_t bin = b->order[start + row];
    int64_t others = b->packing.first[bin + 1] - b->packing.first[bin] - 1;
    const DataRow *r = &b->data->rows[b->packing.rows[b->packing.first[bin]]];
    dataset_place(b->data, r, text, size);
    size_t n = strlen(text);
    if (others > 0) snprintf(text + n, size - n, " (and %lld more rows in its bin)", (long long)others);
}
