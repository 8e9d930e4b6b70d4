/* evaluate.c: see evaluate.h. */
#include "train/evaluate.h"

#include "base/signals.h"

#include <math.h>
#include <string.h>

Status eval_set_open(Arena *a, const char *name, Dataset *source, int64_t context, TargetSet targets, EvalSet *out,
                     Err *e) {
    const LengthLimit limit = {.max_tokens = context, .what = "the model's context", .strategy = EXCESS_RAISE};
    out->name = name;
    out->data = *source;
    TRY(dataset_limit(&out->data, &limit, e));
    TRY(batches_open_eval(a, &out->data, EVAL_TOKENS < context ? EVAL_TOKENS : context, targets, &out->batches, e));
    return batches_view(a, out->batches, &out->view, e);
}

/* Output arrays for the largest batch of any set. */
static Status open_outputs(Evaluator *ev, const EvalSet *sets, int64_t n, BatchLimits *most, Err *e) {
    *most = (BatchLimits){0};
    for (int64_t i = 0; i < n; i++) {
        BatchLimits l = batches_limits(sets[i].batches);
        if (l.tokens > most->tokens) most->tokens = l.tokens;
        if (l.targets > most->targets) most->targets = l.targets;
        if (l.longest > most->longest) most->longest = l.longest;
    }
    TRY(arena_alloc(ev->arena, (size_t)most->targets, sizeof(float), &ev->logp, e));
    return arena_alloc(ev->arena, (size_t)most->longest, sizeof(float), &ev->row, e);
}

Status evaluator_open(const Session *s, const SlotMap *slots, const EvalSet *sets, int64_t n, Evaluator *ev, Err *e) {
    BatchLimits most;
    memset(ev, 0, sizeof *ev);
    ev->session = s;
    TRY(arena_open(&ev->arena, "evaluation", e));
    TRY(open_outputs(ev, sets, n, &most, e));
    /* The head's workspace is for as many targets as tokens; a position with two targets can need more. */
    GraphOptions o = {.capacity = most.targets > most.tokens ? most.targets : most.tokens};
    return runner_prepare(s, slots, &o, &ev->runner, e);
}

void evaluator_close(Evaluator *ev) {
    runner_close(&ev->runner);
    arena_close(ev->arena);
    memset(ev, 0, sizeof *ev);
}

/* Spreads the log-probabilities of the view over its documents, and adds those of the loss. */
static Status deliver(Evaluator *ev, const EvalSet *set, EvalRowSink sink, void *ctx, EvalResult *out, Err *e) {
    const BatchView *v = &set->view;
    int64_t at = 0;
    for (int64_t d = 0; d < v->n_docs; d++) {
        int64_t begin = v->cu_seqlens[d], n = v->cu_seqlens[d + 1] - begin;
        for (int64_t i = 0; i < n; i++) ev->row[i] = NAN;
        for (; at < v->n_targets && v->index[at] < begin + n; at++) {
            if ((v->target_use[at] & TARGET_ID) != 0) ev->row[v->index[at] - begin + 1] = ev->logp[at];
            if ((v->target_use[at] & TARGET_LOSS) == 0) continue;
            out->nll -= (double)ev->logp[at];
            out->tokens++;
        }
        const DataRow *row = &set->data.rows[v->doc_row[d]];
        char place[1024];
        if (!isfinite(out->nll))
            FAIL(e, ERR_DATA,
                 "%s: the loss of this row is not finite: the adapter has diverged (lower learning_rate) or the "
                 "base's weights are damaged",
                 dataset_place(&set->data, row, place, sizeof place));
        out->rows++;
        if (sink != NULL) TRY(sink(ctx, row, v->ids + begin, ev->row, n, e));
    }
    return OK;
}

Status evaluate(Evaluator *ev, EvalSet *set, const AdapterSet *adapters, EvalRowSink sink, void *ctx, EvalResult *out,
                Err *e) {
    *out = (EvalResult){0};
    for (int64_t i = 0; i < batches_steps(set->batches); i++) {
        if (stop_requested()) FAIL(e, ERR_STOPPED, "stopped while evaluating");
        BatchView *v = &set->view;
        batches_fill(set->batches, i, 0, 1, v);
        Batch b = runner_batch(v, ev->logp);
        Exec ex = {.backend = &ev->session->backend, .adapters = adapters};
        graph_run(ev->runner.graph, &ex, &b);
        TRY(deliver(ev, set, sink, ctx, out, e));
    }
    return OK;
}
