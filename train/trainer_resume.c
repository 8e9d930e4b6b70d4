/* trainer_resume.c: going on from a checkpoint: the newest whole one, made from the same things as this run, but for what
 * force_resume names. */
#include "train/trainer_state.h"

#include "base/fault.h"

#include <inttypes.h>
#include <string.h>

static bool is_forced(const Trainer *t, const char *key, size_t len) {
    int64_t n;
    const char *const *forced = config_list(t->config, "force_resume", &n);
    for (int64_t i = 0; i < n; i++) {
        if (strlen(forced[i]) == len && memcmp(forced[i], key, len) == 0) return true;
    }
    return false;
}

/* Differences found so far: those that are forced are told, the others collected. */
typedef struct Differences {
    Trainer *t;
    const char *folder;
    Buf refused;
} Differences;

static Status differs(Differences *d, const char *key, size_t len, const char *what, Err *e) {
    if (is_forced(d->t, key, len)) {
        log_warn(&d->t->ctx->log, "%s: going on although %s; the run is no longer the one that began", d->folder, what);
        return OK;
    }
    TRY(buf_puts(&d->refused, d->refused.len > 0 ? "; " : "", e));
    return buf_puts(&d->refused, what, e);
}

/* The line "KEY: value" of a config text that has this key, or NULL. */
static const char *line_of(const char *text, const char *key, size_t len) {
    while (*text != 0) {
        if (strncmp(text, key, len) == 0 && text[len] == ':') return text;
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    return NULL;
}

/* Each line of `a` that `b` lacks or has otherwise; `reverse`: a is what is now, and only lines b lacks count. */
static Status compare_lines(Differences *d, const char *a, const char *b, bool reverse, Err *e) {
    for (; *a != 0; a += *a == '\n') {
        size_t n = strcspn(a, "\n"), key = strcspn(a, ":");
        const char *other = line_of(b, a, key);
        size_t m = other == NULL ? 0 : strcspn(other, "\n");
        char *what;
        if (other == NULL && reverse)
            TRY(arena_printf(d->t->save, &what, e, "the checkpoint has no '%.*s', now '%.*s'", (int)key, a, (int)n, a));
        else if (other == NULL)
            TRY(arena_printf(d->t->save, &what, e, "the checkpoint has '%.*s', now it is not given", (int)n, a));
        else
            TRY(arena_printf(d->t->save, &what, e, "the checkpoint has '%.*s', now '%.*s'", (int)n, a, (int)m, other));
        bool same = other != NULL && (reverse || (n == m && memcmp(a, other, n) == 0));
        if (!same) TRY(differs(d, a, key, what, e));
        a += n;
    }
    return OK;
}

/* What a checkpoint was made from must be what the run is made from now. */
static Status check_same_run(Trainer *t, const StateFile *f, const char *folder, Err *e) {
    StateText now[STATE_TEXTS];
    Differences d = {.t = t, .folder = folder, .refused = {.arena = t->save}};
    TRY(trainer_state_texts(t, now, e));
    for (int i = 0; i < STATE_TEXTS; i++) {
        const StateTextRow *row = &STATE_TEXT_ROWS[i];
        char *then, *what;
        size_t len;
        TRY(state_text(f, t->save, now[i].name, &then, &len, e));
        if (len == now[i].len && memcmp(then, now[i].s, len) == 0) continue;
        if (i == 0) { /* the config, key by key */
            TRY(compare_lines(&d, then, now[i].s, false, e));
            TRY(compare_lines(&d, now[i].s, then, true, e));
            continue;
        }
        bool is_short = len < 64 && now[i].len < 64;
        TRY(arena_printf(t->save, &what, e, "%s changed%s%s%s%s%s", row->what, is_short ? " (checkpoint '" : "",
                         is_short ? then : "", is_short ? "', now '" : "", is_short ? now[i].s : "",
                         is_short ? "')" : ""));
        TRY(differs(&d, row->key == NULL ? "" : row->key, row->key == NULL ? 0 : strlen(row->key), what, e));
    }
    if (d.refused.len == 0) return OK;
    FAIL(
        e, ERR_CONFIG,
        "%s: cannot go on from this checkpoint: %s. Set it back, start a new run in another output_dir, or accept it with "
        "--force-resume KEY (a config key, base_model, tokenizer, datasets, cpu_level, lora_model_dir)",
        folder, d.refused.data);
}

static Status read_ints(Trainer *t, const StateFile *f, const char *folder, int64_t *metrics_bytes, Err *e) {
    int64_t n_params, steps;
    TRY(state_int(f, "step", &t->step, e));
    TRY(state_int(f, "steps", &steps, e));
    TRY(state_real(f, "epoch", &t->epoch, e));
    TRY(state_real(f, "loss_sum", &t->loss_sum, e));
    TRY(state_int(f, "tokens_seen", &t->tokens_seen, e));
    TRY(state_int(f, "trained_seen", &t->trained_seen, e));
    TRY(state_int(f, "best_step", &t->best_step, e));
    TRY(state_int(f, "evals_without_gain", &t->evals_without_gain, e));
    TRY(state_int(f, "evaluated_step", &t->evaluated_step, e));
    TRY(state_int(f, "metrics_bytes", metrics_bytes, e));
    TRY(state_int(f, "n_params", &n_params, e));
    TRY(state_real(f, "best_loss", &t->best_loss, e));
    if (n_params != t->adapter->n_params || t->step < 0 || t->step > t->steps || *metrics_bytes < 0)
        FAIL(e, ERR_FORMAT,
             "%s: step %" PRId64 " and %" PRId64 " numbers do not belong to this run of %" PRId64 " steps and %" PRId64
             " numbers",
             folder, t->step, n_params, t->steps, t->adapter->n_params);
    return OK;
}

static Status read_state(Trainer *t, const StateFile *f, const char *folder, int64_t *metrics_bytes, Err *e) {
    Adapter *a = t->adapter;
    TRY(check_same_run(t, f, folder, e));
    TRY(read_ints(t, f, folder, metrics_bytes, e));
    TRY(state_array(f, "adapter", 1, a->n_params, a->params, e));
    TRY(state_array(f, "adam_m", 1, a->n_params, a->m, e));
    TRY(state_array(f, "adam_v", 1, a->n_params, a->v, e));
    if (FAULT(resume_moments)) memset(a->v, 0, (size_t)a->n_params * sizeof *a->v);
    t->saved_step = t->step;
    return OK;
}

static Status go_on_from(Trainer *t, const char *folder, Err *e) {
    StateFile *f = NULL;
    int64_t metrics_bytes = 0;
    Status st = state_open(t->save, folder, &f, e);
    if (st == OK) st = read_state(t, f, folder, &metrics_bytes, e);
    state_close(f);
    TRY(st);
    TRY(metrics_open((uint64_t)metrics_bytes, &t->metrics, e));
    if (t->metrics.bytes < (uint64_t)metrics_bytes)
        log_warn(&t->ctx->log, "%s: %lld bytes of the lines up to %s are missing", t->metrics.path,
                 (long long)((uint64_t)metrics_bytes - t->metrics.bytes), folder);
    log_note(&t->ctx->log, "resumed from %s: step %lld of %lld", folder, (long long)t->step, (long long)t->steps);
    return OK;
}

/* Goes on from the newest checkpoint whose sum holds; *found false when there is none. */
static Status go_on_from_newest(Trainer *t, bool *found, Err *e) {
    int64_t *steps;
    size_t n;
    *found = false;
    TRY(state_list(t->save, t->output_dir, &steps, &n, e));
    for (size_t i = 0; i < n && !*found; i++) {
        char *folder;
        StateFile *f = NULL;
        Err why = {0};
        TRY(state_folder(t->save, t->output_dir, steps[i], &folder, e));
        ArenaMark mark = arena_mark(t->save);
        Status st = state_open(t->save, folder, &f, &why);
        state_close(f);
        arena_reset(t->save, mark);
        if (st == ERR_OOM) { /* it may well be whole */
            *e = why;
            return st;
        }
        if (st != OK) {
            log_warn(&t->ctx->log, "skipped a checkpoint that is not whole: %s", why.message);
            continue;
        }
        *found = true;
        TRY(go_on_from(t, folder, e));
    }
    if (!*found) log_note(&t->ctx->log, "%s holds no valid checkpoint: starting from the beginning", t->output_dir);
    return OK;
}

Status trainer_resume(Trainer *t, const char *folder, bool *found, Err *e) {
    if (folder == NULL) return go_on_from_newest(t, found, e);
    TRY(go_on_from(t, folder, e));
    *found = true;
    return OK;
}
