/* trainer_state.c: beginning a run, checkpoints, going on. The state's layout is checkpoints/state_hdf5.h's; its names:
 *   array  adapter, adam_m, adam_v   (1, n_params), in the order of adapter.h
 *   int    step, tokens_seen, trained_seen, best_step, evals_without_gain, evaluated_step, metrics_bytes,
 *          n_params
 *   real   best_loss
 *   text   config (the keys that decide bytes), base_hash, data_hash, cpu_level, parent_hash */
#include "train/trainer.h"

#include "checkpoints/state_hdf5.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TEXTS = 5, INTS = 8, ARRAYS = 3, REALS = 1 };

static Status maths_text(Trainer *t, char **text, size_t *len, Err *e) {
    Buf b = {.arena = t->save};
    TRY(config_write_maths(t->config, &b, e));
    *text = b.data;
    *len = b.len;
    return OK;
}

static Status texts_of(Trainer *t, StateText out[TEXTS], Err *e) {
    char *maths;
    size_t len;
    TRY(maths_text(t, &maths, &len, e));
    out[0] = (StateText){"config", maths, len};
    out[1] = (StateText){"base_hash", t->base_hash, strlen(t->base_hash)};
    out[2] = (StateText){"data_hash", t->data_hash, strlen(t->data_hash)};
    out[3] = (StateText){"cpu_level", t->session.backend.level, strlen(t->session.backend.level)};
    out[4] = (StateText){"parent_hash", t->parent_hash, strlen(t->parent_hash)};
    return OK;
}

/* Everything a state is made of; s points into it. */
typedef struct StateParts {
    StateText texts[TEXTS];
    StateArray arrays[ARRAYS];
    StateInt ints[INTS];
    StateReal reals[REALS];
    TrainState s;
} StateParts;

static Status state_of(Trainer *t, StateParts *p, Err *e) {
    const Adapter *a = t->adapter;
    TRY(texts_of(t, p->texts, e));
    const StateArray arrays[ARRAYS] = {
        {"adapter", 1, a->n_params, a->params}, {"adam_m", 1, a->n_params, a->m}, {"adam_v", 1, a->n_params, a->v}};
    const StateInt ints[INTS] = {{"step", t->step},
                                 {"tokens_seen", t->tokens_seen},
                                 {"trained_seen", t->trained_seen},
                                 {"best_step", t->best_step},
                                 {"evals_without_gain", t->evals_without_gain},
                                 {"metrics_bytes", (int64_t)t->metrics.bytes},
                                 {"evaluated_step", t->evaluated_step},
                                 {"n_params", a->n_params}};
    memcpy(p->arrays, arrays, sizeof arrays);
    memcpy(p->ints, ints, sizeof ints);
    p->reals[0] = (StateReal){"best_loss", t->best_loss};
    p->s = (TrainState){.step = t->step,
                        .arrays = p->arrays,
                        .n_arrays = ARRAYS,
                        .ints = p->ints,
                        .n_ints = INTS,
                        .reals = p->reals,
                        .n_reals = REALS,
                        .texts = p->texts,
                        .n_texts = TEXTS};
    return OK;
}

static Status write_state(Trainer *t, Err *e) {
    StateParts p;
    TRY(state_of(t, &p, e));
    return state_save(t->save, t->output_dir, &p.s, config_int(t->config, "save_total_limit"), e);
}

Status trainer_save_bytes(Trainer *t, size_t *bytes, Err *e) {
    StateParts p;
    ArenaMark mark = arena_mark(t->save);
    size_t before = arena_used_bytes(t->save);
    TRY(state_of(t, &p, e));
    size_t texts = arena_used_bytes(t->save) - before;
    size_t state = state_save_bytes(&p.s), export = adapter_save_bytes(t->session.model, t->adapter, texts);
    *bytes = 2 * texts + (state > export ? state : export);
    arena_reset(t->save, mark);
    return OK;
}

Status trainer_save(Trainer *t, Err *e) {
    ArenaMark mark = arena_mark(t->save);
    TRY(metrics_sync(&t->metrics, e));
    TRY(trainer_export(t, t->output_dir, e));
    TRY(write_state(t, e));
    arena_reset(t->save, mark);
    t->saved_step = t->step;
    return OK;
}

/* The first line in which two texts differ, for the message. */
static void first_difference(const char *a, const char *b, char *out, size_t size) {
    while (*a != 0 || *b != 0) {
        size_t n = strcspn(a, "\n"), m = strcspn(b, "\n");
        if (n != m || memcmp(a, b, n) != 0) {
            snprintf(out, size, "checkpoint '%.*s', now '%.*s'", (int)n, a, (int)m, b);
            return;
        }
        a += n + (a[n] == '\n');
        b += m + (b[m] == '\n');
    }
    snprintf(out, size, "no line");
}

/* What a checkpoint was made from must be what the run is made from now. */
static Status check_same_run(Trainer *t, const StateFile *f, const char *folder, Err *e) {
    static const char *const WHAT[TEXTS] = {"a key that decides the adapter's bytes differs", "the base model differs",
                                            "the training data or the tokenizer differs",
                                            "another CPU level computed it (LORAC_CPU forces one)",
                                            "the adapter in lora_model_dir differs"};
    StateText now[TEXTS];
    TRY(texts_of(t, now, e));
    for (int i = 0; i < TEXTS; i++) {
        char *then, difference[512];
        size_t len;
        TRY(state_text(f, t->save, now[i].name, &then, &len, e));
        if (len == now[i].len && memcmp(then, now[i].s, len) == 0) continue;
        first_difference(then, now[i].s, difference, sizeof difference);
        FAIL(e, ERR_CONFIG,
             "%s: cannot go on from this checkpoint: %s (%s). Set it back, or start a new run in another output_dir",
             folder, WHAT[i], difference);
    }
    return OK;
}

static Status read_ints(Trainer *t, const StateFile *f, const char *folder, int64_t *metrics_bytes, Err *e) {
    int64_t n_params;
    TRY(state_int(f, "step", &t->step, e));
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
    TRY(metrics_open(t->save, (uint64_t)metrics_bytes, &t->metrics, e));
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

/* The things a run leaves in its folder. */
static const char *const RUN_FILES[] = {"metrics.jsonl", "adapter_model.safetensors", "adapter_config.json",
                                        "config.resolved.yaml", "best"};
enum { N_RUN_FILES = sizeof RUN_FILES / sizeof RUN_FILES[0] };

static Status holds_run(Trainer *t, bool *holds, Err *e) {
    int64_t *steps;
    size_t n;
    char *path;
    *holds = false;
    for (int i = 0; i < N_RUN_FILES; i++) {
        TRY(path_join(t->save, t->output_dir, RUN_FILES[i], &path, e));
        if (path_exists(path)) *holds = true;
    }
    TRY(state_list(t->save, t->output_dir, &steps, &n, e));
    if (n > 0) *holds = true;
    return OK;
}

static Status clear_run(Trainer *t, Err *e) {
    int64_t *steps;
    size_t n;
    char *path;
    for (int i = 0; i < N_RUN_FILES; i++) {
        TRY(path_join(t->save, t->output_dir, RUN_FILES[i], &path, e));
        TRY(remove_tree(path, e));
    }
    TRY(state_list(t->save, t->output_dir, &steps, &n, e));
    for (size_t i = 0; i < n; i++) {
        TRY(state_folder(t->save, t->output_dir, steps[i], &path, e));
        TRY(remove_tree(path, e));
    }
    return OK;
}

static Status write_resolved(Trainer *t, Err *e) {
    Buf b = {.arena = t->save};
    char *path;
    TRY(config_write_resolved(t->config, &b, e));
    TRY(path_join(t->save, t->output_dir, "config.resolved.yaml", &path, e));
    return file_write_atomic(t->save, path, b.data, b.len, e);
}

/* Room for the checkpoints that will be kept at a time, and the adapter twice. */
static Status check_disk(Trainer *t, Err *e) {
    uint64_t have, one = (uint64_t)t->adapter->n_params * sizeof(float) * 3 + (1u << 20);
    int64_t keep = config_int(t->config, "save_total_limit");
    if (keep <= 0) keep = 1;
    uint64_t need = one * (uint64_t)(keep + 1);
    char a[16], b[16];
    TRY(free_bytes(t->output_dir, &have, e));
    if (have < need)
        FAIL(e, ERR_IO,
             "%s: checkpoints and adapter need %s and the disk has %s free; free some space, or lower "
             "save_total_limit",
             t->output_dir, human_bytes(need, a), human_bytes(have, b));
    return OK;
}

Status trainer_begin(Trainer *t, Err *e) {
    const char *resume = config_string(t->config, "resume_from_checkpoint");
    bool found = false, holds;
    ArenaMark mark = arena_mark(t->save);
    TRY(make_folders(t->output_dir, e));
    TRY(check_disk(t, e));
    if (strcmp(resume, "auto") == 0) {
        TRY(go_on_from_newest(t, &found, e));
    } else if (resume[0] != 0) {
        TRY(go_on_from(t, resume, e));
        found = true;
    } else {
        TRY(holds_run(t, &holds, e));
        if (holds && !config_bool(t->config, "overwrite_output_dir"))
            FAIL(e, ERR_CONFIG,
                 "%s: the folder holds a run already; go on with --resume, start anew with "
                 "overwrite_output_dir: true, or name another output_dir",
                 t->output_dir);
    }
    if (!found) {
        TRY(clear_run(t, e));
        TRY(metrics_open(t->save, 0, &t->metrics, e));
    }
    TRY(write_resolved(t, e));
    arena_reset(t->save, mark);
    return OK;
}
