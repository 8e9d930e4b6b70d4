/* trainer_step.c: one optimizer step.
 *
 * Loss = sum of token losses / trained tokens of the whole optimizer batch, which is known before the first micro-batch:
 * each token's weight is 1 / trained (P2). A row's loss is summed alone in token order and the rows are added by the same
 * binary tree as the gradients, so that any split into micro-batches gives the same bits. */
#include "train/trainer.h"

#include "base/fault.h"
#include "base/signals.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BLAMED = 4 };

/* Sum of x[0..n) by the binary tree of rows (kernels/backend.h), lowest level first. */
static double tree_sum(const double *x, int64_t n) {
    double level[64];
    for (int64_t i = 0; i < n; i++) {
        double g = x[i];
        int l = 0;
        for (; (i >> l) & 1; l++) g += level[l];
        level[l] = g;
    }
    double sum = 0.0;
    bool any = false;
    for (int l = 0; l < 63; l++) {
        if (((n >> l) & 1) == 0) continue;
        sum = any ? sum + level[l] : level[l];
        any = true;
    }
    return sum;
}

/* Adds the losses of the micro-batch's tokens to their rows, in token order. */
static void collect_losses(Trainer *t, const Batch *b) {
    int64_t row = 0;
    for (int64_t i = 0; i < b->M; i++) {
        while (b->index[i] >= b->rows[row].end) row++;
        t->row_loss[b->rows[row].index] -= (double)b->logp[i];
    }
}

static Batch batch_of(Trainer *t, double weight) {
    const BatchView *v = &t->view;
    for (int64_t i = 0; i < v->n_rows; i++)
        t->rows[i] = (RowSpan){.begin = v->row_begin[i], .end = v->row_end[i], .index = v->row_index[i]};
    for (int64_t i = 0; i < v->n_targets; i++) t->weight[i] = (float)weight;
    Batch b = runner_batch(v, t->logp);
    b.rows = t->rows;
    b.n_rows = v->n_rows;
    b.token = v->token_key;
    b.weight = t->weight;
    return b;
}

/* The gradient and the losses of rows [first, end) of the step; their place in the row tree is counted from `first`. */
static Status run_micro_batches(Trainer *t, const StepPlan *p, int64_t first, int64_t end, Err *e) {
    int64_t micro = config_int(t->config, "micro_batch_size");
    memset(t->row_loss, 0, (size_t)p->n_rows * sizeof *t->row_loss);
    for (int64_t row = first; row < end; row += micro) {
        int64_t n = end - row < micro ? end - row : micro;
        batches_fill(t->batches, t->step, row, n, &t->view);
        int64_t divisor = FAULT(micro_mean) ? t->view.n_targets * ((p->n_rows + micro - 1) / micro) : p->n_targets;
        Batch b = batch_of(t, 1.0 / (double)divisor);
        for (int64_t i = 0; i < n; i++) t->rows[i].index -= first;
        Exec ex = {.backend = &t->session.backend,
                   .adapters = &t->adapter->set,
                   .training = true,
                   .seed = (uint64_t)config_int(t->config, "seed"),
                   .step = (uint64_t)t->step};
        graph_run(t->runner.graph, &ex, &b);
        collect_losses(t, &b);
        if (row == 0 && FAULT(nan_loss)) t->row_loss[0] = NAN;
        if (stop_requested()) FAIL(e, ERR_STOPPED, "stopped in step %lld", (long long)t->step + 1);
    }
    return OK;
}

Status trainer_gradient(Trainer *t, int64_t first, int64_t end, float *sum, double *loss, Err *e) {
    StepPlan p;
    Adapter *a = t->adapter;
    Backend *b = &t->session.backend;
    batches_step(t->batches, t->step, &p);
    TRY(run_micro_batches(t, &p, first, end, e));
    b->tree_fold(&b->stream, sum, a->tree, a->n_params, end - first, a->n_params);
    *loss = tree_sum(t->row_loss, end - first) / (double)p.n_targets;
    return OK;
}

/* Rows to blame for a number that is not finite; all rows of the step when no single one is. */
typedef struct Blame {
    int64_t n, first[BLAMED];
} Blame;

static void blame_row(Blame *b, int64_t row) {
    if (b->n < BLAMED) b->first[b->n] = row;
    b->n++;
}

static void blame_losses(const Trainer *t, const StepPlan *p, Blame *b) {
    for (int64_t i = 0; i < p->n_rows; i++) {
        if (!isfinite(t->row_loss[i])) blame_row(b, i);
    }
}

/* Runs each row of the step alone. */
static Status blame_gradients(Trainer *t, const StepPlan *p, Blame *b, Err *e) {
    const Backend *k = &t->session.backend;
    Adapter *a = t->adapter;
    for (int64_t i = 0; i < p->n_rows; i++) {
        double loss, squares;
        TRY(trainer_gradient(t, i, i + 1, a->tree, &loss, e));
        k->square_sum(&t->session.backend.stream, t->square_ws, &squares, a->tree, a->n_params);
        if (!isfinite(squares)) blame_row(b, i);
    }
    return OK;
}

static Status not_finite(Trainer *t, const StepPlan *p, const char *what, Blame *b, Err *e) {
    char rows[2048] = "", saved[64] = "no checkpoint was saved yet";
    size_t n = 0;
    bool all = b->n == 0;
    for (int64_t i = 0; all && i < p->n_rows; i++) blame_row(b, i);
    for (int64_t i = 0; i < b->n && i < BLAMED; i++) {
        char place[256];
        batches_row_place(t->batches, t->step, b->first[i], place, sizeof place);
        snprintf(rows + n, sizeof rows - n, "%s%s", i == 0 ? "" : ", ", place);
        n += strlen(rows + n);
    }
    if (b->n > BLAMED) snprintf(rows + n, sizeof rows - n, " and %lld more", (long long)(b->n - BLAMED));
    if (t->saved_step >= 0)
        snprintf(saved, sizeof saved, "the newest checkpoint is of step %lld", (long long)t->saved_step);
    FAIL(e, ERR_DATA,
         "step %lld: %s is not finite; rows: %s. Nothing was updated; %s. Look at these rows, or lower learning_rate",
         (long long)t->step + 1, what, rows, saved);
}

static void update(Trainer *t, const StepResult *r) {
    Adapter *a = t->adapter;
    Backend *b = &t->session.backend;
    double most = config_real(t->config, "max_grad_norm");
    double beta1 = config_real(t->config, "adam_beta1"), beta2 = config_real(t->config, "adam_beta2");
    double clip = FAULT(thread_sum) ? 1.0 + 1e-4 * pool_threads(t->session.pool) : 1.0, k = (double)(t->step + 1);
    if (most > 0.0 && most / (r->grad_norm + 1e-6) < 1.0) clip *= most / (r->grad_norm + 1e-6);
    b->adamw_step(&b->stream, a->params, a->m, a->v, a->tree, (float)clip, r->learning_rate, beta1, beta2,
                  config_real(t->config, "adam_epsilon"), config_real(t->config, "weight_decay"), 1.0 - pow(beta1, k),
                  1.0 - pow(beta2, k), a->n_params);
}

Status trainer_step(Trainer *t, StepResult *r, Err *e) {
    StepPlan p;
    Adapter *a = t->adapter;
    Backend *b = &t->session.backend;
    double squares, loss;
    batches_step(t->batches, t->step, &p);
    TRY(trainer_gradient(t, 0, p.n_rows, a->tree, &loss, e));
    if (FAULT(nan_gradient)) a->tree[a->n_params / 2] = INFINITY;
    b->square_sum(&b->stream, t->square_ws, &squares, a->tree, a->n_params);
    double rate = config_real(t->config, "learning_rate") * t->schedule.factor(&t->schedule, t->step);
    *r = (StepResult){
        .loss = loss, .grad_norm = sqrt(squares), .learning_rate = rate, .tokens = p.n_tokens, .trained = p.n_targets};
    if (!isfinite(r->loss) || !isfinite(r->grad_norm)) {
        Blame blame = {0};
        if (!isfinite(r->loss)) {
            blame_losses(t, &p, &blame);
            return not_finite(t, &p, "the loss", &blame, e);
        }
        TRY(blame_gradients(t, &p, &blame, e));
        return not_finite(t, &p, "the gradient", &blame, e);
    }
    update(t, r);
    t->step++;
    t->tokens_seen += r->tokens;
    t->trained_seen += r->trained;
    t->loss_sum += r->loss * (double)r->trained;
    t->epoch = p.epoch;
    return adapter_hash(t->save, a, &r->hash, e);
}
