/* trainer.c: the loop: step, line, evaluation, checkpoint; exports; the progress bar. */
#include "train/trainer.h"

#include "base/signals.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

Status trainer_export(Trainer *t, const char *folder, Err *e) {
    char *maths, config_hash[SHA256_HEX_BYTES];
    Buf b = {.arena = t->save};
    ArenaMark mark = trainer_save_begin(t);
    TRY(config_write_maths(t->config, &b, e));
    maths = b.data;
    sha256_hex(maths, b.len, config_hash);
    /* provenance that depends on the inputs alone: equal runs give equal bytes */
    const StMeta meta[] = {{"lorac_version", t->ctx->version},
                           {"lorac_base_xxh3", t->base_hash},
                           {"lorac_data_xxh3", t->data_hash},
                           {"lorac_config_sha256", config_hash},
                           {"lorac_parent_xxh3", t->parent_hash}};
    int n_meta = t->parent_hash[0] == 0 ? 4 : 5;
    Status st = adapter_save(t->save, t->session.model, t->adapter, folder, config_string(t->config, "base_model"),
                             meta, n_meta, e);
    trainer_save_end(t, mark);
    return st;
}

Status trainer_write(Trainer *t, Status (*write)(Trainer *t, Err *e), Err *e) {
    enum { TRIES = 5 };
    Status st;
    int i = 0;
    do {
        ArenaMark mark = trainer_save_begin(t);
        st = write(t, e);
        trainer_save_end(t, mark);
    } while (st == ERR_IO && e->gone && ++i < TRIES);
    return st;
}

/* The adapter as it is, which has the lowest loss of the first held-out set. */
static Status write_best(Trainer *t, Err *e) {
    const char *dataset = t->sets[0].name;
    char *folder, *path;
    Buf b = {.arena = t->save};
    TRY(path_join(t->save, t->output_dir, "best", &folder, e));
    TRY(trainer_export(t, folder, e));
    TRY(path_join(t->save, folder, "best.json", &path, e));
    TRY(buf_printf(&b, e, "{\"step\":%lld,\"dataset\":", (long long)t->step));
    TRY(json_put_string(&b, dataset, strlen(dataset), e));
    TRY(buf_puts(&b, ",\"loss\":", e));
    TRY(json_put_real(&b, t->best_loss, e));
    TRY(buf_puts(&b, "}\n", e));
    return file_write_atomic(t->save, path, b.data, b.len, e);
}

/* Writes the event of one set; the first set decides which adapter is the best. */
static Status report_set(Trainer *t, int64_t i, const EvalResult *r, Err *e) {
    const char *name = t->sets[i].name;
    double loss = r->tokens > 0 ? r->nll / (double)r->tokens : 0.0;
    EvalMetrics m = {.step = t->step, .dataset = name, .loss = loss, .tokens = r->tokens};
    TRY(metrics_eval(&t->metrics, &m, e));
    log_note(&t->ctx->log, "step %lld: held-out loss %.4f, perplexity %.3f (%s, %lld tokens)", (long long)t->step, loss,
             exp(loss), name, (long long)r->tokens);
    if (i > 0) return OK;
    if (t->best_step < 0 || loss < t->best_loss) {
        t->best_loss = loss;
        t->best_step = t->step;
        t->evals_without_gain = 0;
        return trainer_write(t, write_best, e);
    }
    t->evals_without_gain++;
    return OK;
}

/* All sets are evaluated before anything is written, so that a stop in between leaves no half evaluation behind. */
Status trainer_evaluate(Trainer *t, Err *e) {
    for (int64_t i = 0; i < t->n_sets; i++) {
        log_bar(&t->ctx->log, (double)t->step / (double)t->steps, "evaluating %s", t->sets[i].name);
        TRY(evaluate(&t->evaluator, &t->sets[i], &t->adapter->set, NULL, NULL, &t->results[i], e));
    }
    for (int64_t i = 0; i < t->n_sets; i++) TRY(report_set(t, i, &t->results[i], e));
    t->evaluated_step = t->step;
    return OK;
}

/* The loss of the last steps, smoothed for the eye only. */
typedef struct Progress {
    double loss, seconds_per_step, last_s;
    int64_t steps_done, tokens;
} Progress;

static const char *time_left(double s, char *text, size_t size) {
    if (s < 90.0)
        snprintf(text, size, "%.0f s", s);
    else if (s < 5400.0)
        snprintf(text, size, "%.0f min", s / 60.0);
    else
        snprintf(text, size, "%.1f h", s / 3600.0);
    return text;
}

static void show(Trainer *t, Progress *p, const StepResult *r, double seconds) {
    char left[32], memory[16];
    Log *log = &t->ctx->log;
    p->loss = p->steps_done == 0 ? r->loss : 0.8 * p->loss + 0.2 * r->loss;
    p->steps_done++;
    p->tokens += r->tokens;
    double elapsed = clock_since(p->last_s);
    time_left(elapsed / (double)p->steps_done * (double)(t->steps - t->step), left, sizeof left);
    human_bytes(rss_bytes(), memory);
    double rate = seconds > 0.0 ? (double)r->tokens / seconds : 0.0;
    bool line = t->step % config_int(t->config, "logging_steps") == 0 || t->step == t->steps;
    if (line)
        log_note(log, "step %lld/%lld  loss %.4f  lr %.3g  %.0f tokens/s  %s left  %s", (long long)t->step,
                 (long long)t->steps, r->loss, r->learning_rate, rate, left, memory);
    log_bar(log, (double)t->step / (double)t->steps, "%lld/%lld loss %.4f  %.0f tok/s  %s left  %s", (long long)t->step,
            (long long)t->steps, p->loss, rate, left, memory);
}

static Status one_step(Trainer *t, Progress *p, Err *e) {
    StepResult r;
    StepPlan plan;
    double begin = clock_s();
    batches_step(t->batches, t->step, &plan);
    TRY(trainer_step(t, &r, e));
    double seconds = clock_since(begin);
    StepMetrics m = {.step = t->step,
                     .epoch = plan.epoch,
                     .loss = r.loss,
                     .learning_rate = r.learning_rate,
                     .grad_norm = r.grad_norm,
                     .tokens = r.tokens,
                     .trained_tokens = r.trained,
                     .seconds = seconds,
                     .elapsed_s = clock_since(t->started_s),
                     .state_hash = r.hash};
    TRY(metrics_step(&t->metrics, &m, e));
    show(t, p, &r, seconds);
    return OK;
}

static bool due(int64_t step, int64_t interval, int64_t steps) {
    return step == steps || (interval > 0 && step % interval == 0);
}

/* Copies the best adapter over the last one. */
static Status load_best(Trainer *t, Err *e) {
    static const char *const FILES[] = {"adapter_model.safetensors", "adapter_config.json"};
    if (t->best_step < 0 || !config_bool(t->config, "load_best_model_at_end")) return OK;
    for (int i = 0; i < 2; i++) {
        char *from, *to, *data;
        size_t n;
        ArenaMark mark = arena_mark(t->save);
        TRY(arena_printf(t->save, &from, e, "%s/best/%s", t->output_dir, FILES[i]));
        TRY(path_join(t->save, t->output_dir, FILES[i], &to, e));
        TRY(file_read(t->save, from, SIZE_MAX / 2, &data, &n, e));
        TRY(file_write_atomic(t->save, to, data, n, e));
        arena_reset(t->save, mark);
    }
    log_note(&t->ctx->log, "the adapter of step %lld (lowest held-out loss %.4f) was copied to %s",
             (long long)t->best_step, t->best_loss, t->output_dir);
    return OK;
}

/* A stop request: the step in progress is dropped, the last completed one is kept. */
static Status stop(Trainer *t, Err *e) {
    if (t->step == 0) FAIL(e, ERR_STOPPED, "stopped before the first step was done; nothing was saved");
    if (t->saved_step != t->step) TRY(trainer_save(t, e));
    FAIL(e, ERR_STOPPED, "stopped after step %lld of %lld; the checkpoint is in %s. Go on with --resume",
         (long long)t->step, (long long)t->steps, t->output_dir);
}

static bool patience_is_out(const Trainer *t) {
    int64_t patience = config_int(t->config, "early_stopping_patience");
    return patience > 0 && t->n_sets > 0 && t->evals_without_gain >= patience;
}

static Status loop(Trainer *t, Err *e) {
    Progress p = {0};
    int64_t eval_every = config_interval(t->config, "eval_steps", t->steps);
    int64_t save_every = config_interval(t->config, "save_steps", t->steps);
    bool first = t->step == 0 || due(t->step, eval_every, t->steps); /* a run stopped while evaluating resumes there */
    if (first && t->n_sets > 0 && t->evaluated_step != t->step) TRY(trainer_evaluate(t, e));
    p.last_s = clock_s();
    while (t->step < t->steps && !patience_is_out(t)) {
        TRY(one_step(t, &p, e));
        trainer_freeze(t, true);
        if (t->n_sets > 0 && due(t->step, eval_every, t->steps)) TRY(trainer_evaluate(t, e));
        bool last = t->step == t->steps || patience_is_out(t);
        if (last || due(t->step, save_every, t->steps)) TRY(trainer_save(t, e));
    }
    if (t->step < t->steps)
        log_note(&t->ctx->log, "stopped early at step %lld: the held-out loss was not lower in %lld evaluations",
                 (long long)t->step, (long long)t->evals_without_gain);
    return OK;
}

Status trainer_run(Trainer *t, Err *e) {
    Status st = loop(t, e);
    if (st == ERR_STOPPED) return stop(t, e);
    TRY(st);
    if (t->saved_step != t->step) TRY(trainer_save(t, e));
    TRY(load_best(t, e));
    return trainer_check_plan(t, e);
}
