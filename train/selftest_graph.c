/* selftest_graph.c: the proofs on single passes through the model: P1 (finite differences), P3 (packing), P7 (ranks). */
#include "train/selftest.h"

#include "base/fault.h"
#include "base/rng.h"
#include "train/selftest_golden.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- P1 ---------------------------------------------------------------------------------------------------------- */

enum { STREAM_VALUES = 101, MODULES_MOST = 64 };
static const double CHANGE = 4e-3, TOLERANCE = 0.01, GOLDEN_TOLERANCE = 1e-4;

/* B is zero at the start, which hides A's gradient: small random values instead. */
static void fill_adapter(Adapter *a) {
    for (int64_t i = 0; i < a->n_params; i++)
        a->params[i] = 0.1f * (2.0f * rng_unit(philox4x32(STREAM_VALUES, (uint64_t)i, 0).v[0]) - 1.0f);
}

static double norm_of(const float *x, int64_t n) {
    double squares = 0.0;
    for (int64_t i = 0; i < n; i++) squares += (double)x[i] * (double)x[i];
    return sqrt(squares);
}

/* (L(x + h d) - L(x - h d)) / 2h along d = the gradient of one module, of length 1, against its norm. h is chosen so that
 * the loss moves by CHANGE: far above what f32 sums lose, and small against the curvature. */
static Status one_module(Trainer *t, const float *gradient, float *other, float *saved, int64_t begin, int64_t n,
                         double *relative, Err *e) {
    StepPlan p;
    float *x = t->adapter->params + begin;
    double loss[2], norm = norm_of(gradient + begin, n), h = 0.5 * CHANGE / norm;
    batches_step(t->batches, t->step, &p);
    memcpy(saved, x, (size_t)n * sizeof *x);
    for (int side = 0; side < 2; side++) {
        for (int64_t i = 0; i < n; i++)
            x[i] = (float)((double)saved[i] + (side == 0 ? h : -h) * (double)gradient[begin + i] / norm);
        TRY(trainer_gradient(t, 0, p.n_rows, other, &loss[side], e));
    }
    memcpy(x, saved, (size_t)n * sizeof *x);
    *relative = fabs((loss[0] - loss[1]) / (2.0 * h) - norm) / norm;
    return OK;
}

static Status differences(Selftest *s, Trainer *t, Arena *a, Verdict *v, Err *e) {
    Adapter *ad = t->adapter;
    float *gradient, *other, *saved;
    double loss, relative, most = 0.0;
    StepPlan p;
    const char *worst = "";
    TRY(arena_alloc(a, (size_t)ad->n_params, sizeof(float), &gradient, e));
    TRY(arena_alloc(a, (size_t)ad->n_params, sizeof(float), &other, e));
    TRY(arena_alloc(a, (size_t)ad->n_params, sizeof(float), &saved, e));
    fill_adapter(ad);
    batches_step(t->batches, 0, &p);
    TRY(trainer_gradient(t, 0, p.n_rows, gradient, &loss, e));
    int n = ad->set.n_slots, stride = n > s->modules ? (n + (int)s->modules - 1) / (int)s->modules : 1, tried = 0;
    /* a stride of 7 would meet the same role in every layer of a model with 7 linear layers */
    if (stride > 1 && stride % 7 == 0) stride++;
    for (int i = 0; i < n; i += stride, tried++) {
        const AdapterSlot *slot = &ad->set.slots[i];
        TRY(one_module(t, gradient, other, saved, slot->A - ad->params, slot->r * (slot->n_in + slot->n_out), &relative,
                       e));
        if (relative <= most && relative == relative) continue;
        most = relative;
        worst = ad->modules[i].path;
    }
    v->holds = most < TOLERANCE;
    snprintf(v->evidence, sizeof v->evidence, "%d modules in fp32, largest relative difference %.2g (%s), bound %g",
             tried, most, worst, TOLERANCE);
    return OK;
}

/* Rows 0 .. 3 in file order against what Hugging Face computed for the embedded model (selftest_golden.h). */
static Status golden(Trainer *t, Arena *a, Verdict *v, Err *e) {
    enum { N = sizeof GOLDEN / sizeof GOLDEN[0] };
    Adapter *ad = t->adapter;
    float *gradient;
    double loss, most;
    StepPlan p;
    TRY(arena_alloc(a, (size_t)ad->n_params, sizeof(float), &gradient, e));
    fill_adapter(ad);
    batches_step(t->batches, 0, &p);
    TRY(trainer_gradient(t, 0, p.n_rows, gradient, &loss, e));
    if (ad->set.n_slots != N) FAIL(e, ERR_CHECK, "%d modules, expected %d", ad->set.n_slots, (int)N);
    most = fabs(loss - GOLDEN_LOSS) / GOLDEN_LOSS;
    for (int i = 0; i < N; i++) {
        const AdapterSlot *s = &ad->set.slots[i];
        if (strcmp(ad->modules[i].path, GOLDEN[i].module) != 0)
            FAIL(e, ERR_CHECK, "module %s, expected %s", ad->modules[i].path, GOLDEN[i].module);
        double norm = norm_of(gradient + (s->A - ad->params), s->r * (s->n_in + s->n_out));
        double gap = fabs(norm - GOLDEN[i].gradient_norm) / GOLDEN[i].gradient_norm;
        if (!(gap <= most)) most = gap;
    }
    size_t used = strlen(v->evidence);
    if (!(most < GOLDEN_TOLERANCE)) v->holds = false;
    snprintf(v->evidence + used, sizeof v->evidence - used,
             "; loss and %d gradient norms against Hugging Face's: within %.2g, bound %g", (int)N, most,
             GOLDEN_TOLERANCE);
    return OK;
}

Status proof_gradient(Selftest *s, Verdict *v, Err *e) {
    static const char *const FP32[] = {"compute_dtype=fp32", "lora_dropout=0", "shuffle=false", "sample_packing=false"};
    SelftestOpen o;
    Status st = selftest_open(s, "gradient", FP32, 2, true, &o, e);
    if (st == OK) st = differences(s, &o.t, o.ctx.arena, v, e);
    selftest_close(&o);
    if (st != OK || !s->embedded) return st;
    st = selftest_open(s, "gradient", FP32, 4, true, &o, e);
    if (st == OK) st = golden(&o.t, o.ctx.arena, v, e);
    selftest_close(&o);
    return st;
}

/* ---- P3 ---------------------------------------------------------------------------------------------------------- */

typedef struct Logprobs {
    float *values; /* of all rows, one after another */
    int64_t n;
} Logprobs;

static Status keep(void *ctx, const DataRow *row, const int32_t *ids, const float *logprobs, int64_t n, Err *e) {
    (void)row, (void)ids, (void)e;
    Logprobs *l = ctx;
    memcpy(l->values + l->n, logprobs, (size_t)n * sizeof *logprobs);
    l->n += n;
    return OK;
}

/* Evaluates n sets in order, all tokens of them. */
static Status evaluate_sets(const Session *session, EvalSet *sets, int64_t n, Logprobs *out, Err *e) {
    Evaluator ev = {0};
    Runner *runner = &ev.runner;
    EvalResult ignored;
    Status st = evaluator_open(session, NULL, sets, n, &ev, e);
    if (st == OK) st = runner_memory(&runner, 1, e);
    for (int64_t i = 0; i < n && st == OK; i++) st = evaluate(&ev, &sets[i], NULL, keep, out, &ignored, e);
    evaluator_close(&ev);
    return st;
}

static Status compare_packing(Trainer *t, Arena *a, Verdict *v, Err *e) {
    Dataset *d = &t->train;
    int64_t n = d->n_rows, context = t->session.base->config.max_positions, tokens = dataset_tokens(d), differ = 0;
    EvalSet packed, *single;
    Logprobs both[2] = {{NULL, 0}, {NULL, 0}};
    TRY(arena_alloc(a, (size_t)n, sizeof *single, &single, e));
    for (int k = 0; k < 2; k++) TRY(arena_alloc(a, (size_t)tokens, sizeof(float), &both[k].values, e));
    TRY(eval_set_open(a, "packed", d, context, true, &packed, e));
    for (int64_t i = 0; i < n; i++) {
        Dataset one = *d;
        one.rows = &d->rows[i];
        one.n_rows = 1;
        TRY(eval_set_open(a, "alone", &one, context, true, &single[i], e));
    }
    TRY(evaluate_sets(&t->session, &packed, 1, &both[0], e));
    TRY(evaluate_sets(&t->session, single, n, &both[1], e));
    for (int64_t i = 0; i < tokens; i++) {
        if (memcmp(&both[0].values[i], &both[1].values[i], sizeof(float)) != 0) differ++;
    }
    v->holds = differ == 0 && both[0].n == tokens && both[1].n == tokens;
    snprintf(v->evidence, sizeof v->evidence,
             "%lld rows in %lld bins and alone: %lld of %lld log-probabilities differ in a bit", (long long)n,
             (long long)batches_steps(packed.batches), (long long)differ, (long long)tokens);
    return OK;
}

Status proof_packing(Selftest *s, Verdict *v, Err *e) {
    SelftestOpen o;
    Status st = selftest_open(s, "packing", NULL, 0, true, &o, e);
    if (st == OK) st = compare_packing(&o.t, o.ctx.arena, v, e);
    selftest_close(&o);
    return st;
}

/* ---- P7 ---------------------------------------------------------------------------------------------------------- */

/* Joins the sums of ranks 0 .. n-1 (n a power of two) as the row tree does: right += left, pairwise, into parts[0]. */
static void join_ranks(float *const *parts, int64_t n, int64_t n_params) {
    if (FAULT(rank_order)) { /* one after another */
        for (int64_t r = 1; r < n; r++)
            for (int64_t i = 0; i < n_params; i++) parts[0][i] += parts[r][i];
        return;
    }
    for (int64_t half = 1; half < n; half *= 2) {
        for (int64_t r = 0; r + half < n; r += 2 * half)
            for (int64_t i = 0; i < n_params; i++) parts[r][i] = parts[r + half][i] + parts[r][i];
    }
}

static Status compare_ranks(Trainer *t, Arena *a, Verdict *v, Err *e) {
    enum { MOST = 4 };
    Adapter *ad = t->adapter;
    float *whole, *parts[MOST];
    double loss;
    StepPlan p;
    size_t bytes = (size_t)ad->n_params * sizeof(float);
    TRY(arena_alloc(a, bytes, 1, &whole, e));
    for (int r = 0; r < MOST; r++) TRY(arena_alloc(a, bytes, 1, &parts[r], e));
    fill_adapter(ad);
    batches_step(t->batches, 0, &p);
    if (p.n_rows != MOST)
        FAIL(e, ERR_CHECK, "the first step has %lld rows, expected %d", (long long)p.n_rows, (int)MOST);
    TRY(trainer_gradient(t, 0, MOST, whole, &loss, e));
    v->holds = true;
    for (int ranks = 2; ranks <= MOST; ranks *= 2) {
        for (int r = 0; r < ranks; r++) {
            int64_t first, n;
            batches_shard(t->batches, 0, r, ranks, &first, &n);
            TRY(trainer_gradient(t, first, first + n, parts[r], &loss, e));
        }
        join_ranks(parts, ranks, ad->n_params);
        if (memcmp(whole, parts[0], bytes) != 0) {
            v->holds = false;
            snprintf(v->evidence, sizeof v->evidence, "the joined gradient of %d ranks has other bytes than one rank's",
                     ranks);
            return OK;
        }
    }
    snprintf(v->evidence, sizeof v->evidence,
             "gradients of %lld numbers from 1, 2 and 4 ranks' rows, joined here: equal bytes",
             (long long)ad->n_params);
    return OK;
}

Status proof_ranks(Selftest *s, Verdict *v, Err *e) {
    SelftestOpen o;
    Status st = selftest_open(s, "ranks", NULL, 0, true, &o, e);
    if (st == OK) st = compare_ranks(&o.t, o.ctx.arena, v, e);
    selftest_close(&o);
    return st;
}
