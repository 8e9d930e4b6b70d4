/* trainer_state.c: beginning a run, and its checkpoints (trainer_state.h). */
#include "train/prepared_data.h"
#include "train/trainer_state.h"

#include <errno.h>
#include <string.h>

enum { INTS = 9, ARRAYS = 3, REALS = 3 };

const StateTextRow STATE_TEXT_ROWS[STATE_TEXTS] = {
    {"config", NULL, "keys that decide the adapter's bytes"},
    {"base_hash", "base_model", "the base model"},
    {"tokenizer_hash", "tokenizer", "the tokenizer or its template"},
    {"data_hash", "datasets", "the training data as token ids"},
    {"cpu_level", "cpu_level", "the CPU level (LORAC_CPU forces one)"},
    {"parent_hash", "lora_model_dir", "the adapter in lora_model_dir"},
    {"tensors", NULL, "the adapter's tensors"},
};

static Status tensors_text(Trainer *t, Buf *out, Err *e) {
    const Adapter *a = t->adapter;
    for (int i = 0; i < a->set.n_slots; i++) {
        const AdapterSlot *s = &a->set.slots[i];
        const char *path = a->modules[i].path;
        TRY(buf_printf(out, e, "base_model.model.%s.lora_A.weight %lld %lld\n", path, (long long)s->r,
                       (long long)s->n_in));
        TRY(buf_printf(out, e, "base_model.model.%s.lora_B.weight %lld %lld\n", path, (long long)s->n_out,
                       (long long)s->r));
    }
    return OK;
}

Status trainer_state_texts(Trainer *t, StateText out[STATE_TEXTS], Err *e) {
    Buf maths = {.arena = t->save}, tensors = {.arena = t->save};
    TRY(config_write_maths(t->config, &maths, e));
    TRY(tensors_text(t, &tensors, e));
    const char *texts[STATE_TEXTS] = {
        maths.data,     t->base_hash, t->tokenizer_hash, t->data_hash, t->session.backend.level,
        t->parent_hash, tensors.data};
    for (int i = 0; i < STATE_TEXTS; i++) out[i] = (StateText){STATE_TEXT_ROWS[i].name, texts[i], strlen(texts[i])};
    return OK;
}

/* Everything a state is made of; s points into it. */
typedef struct StateParts {
    StateText texts[STATE_TEXTS];
    StateArray arrays[ARRAYS];
    StateInt ints[INTS];
    StateReal reals[REALS];
    TrainState s;
} StateParts;

static Status state_of(Trainer *t, StateParts *p, Err *e) {
    const Adapter *a = t->adapter;
    TRY(trainer_state_texts(t, p->texts, e));
    const StateArray arrays[ARRAYS] = {
        {"adapter", 1, a->n_params, a->params}, {"adam_m", 1, a->n_params, a->m}, {"adam_v", 1, a->n_params, a->v}};
    const StateInt ints[INTS] = {{"step", t->step},
                                 {"steps", t->steps},
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
    p->reals[1] = (StateReal){"epoch", t->epoch};
    p->reals[2] = (StateReal){"loss_sum", t->loss_sum};
    p->s = (TrainState){.step = t->step,
                        .arrays = p->arrays,
                        .n_arrays = ARRAYS,
                        .ints = p->ints,
                        .n_ints = INTS,
                        .reals = p->reals,
                        .n_reals = REALS,
                        .texts = p->texts,
                        .n_texts = STATE_TEXTS};
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

/* Refuses when the disk has no room for so many checkpoints and adapter files; each adapter file replaced exists twice for
 * a moment, a checkpoint holds the adapter three times. */
static Status check_disk(const Trainer *t, int64_t checkpoints, int64_t adapters, Err *e) {
    uint64_t have, floats = (uint64_t)t->adapter->n_params * sizeof(float);
    uint64_t need = (uint64_t)checkpoints * (3 * floats + (1u << 20)) + (uint64_t)adapters * floats;
    char a[16], b[16];
    TRY(free_bytes(t->output_dir, &have, e));
    if (have < need)
        FAIL(e, ERR_IO,
             "%s: checkpoints and adapter need %s and the disk has %s free; free some space, or lower "
             "save_total_limit",
             t->output_dir, human_bytes(need, a), human_bytes(have, b));
    return OK;
}

static Status save_once(Trainer *t, Err *e) {
    char *adapter;
    TRY(check_disk(t, 1, 1, e));
    TRY(metrics_sync(&t->metrics, e));
    TRY(trainer_export(t, t->output_dir, e));
    TRY(write_state(t, e));
    TRY(path_join(t->save, t->output_dir, "adapter_model.safetensors", &adapter, e));
    if (!path_exists(adapter)) FAIL_ERRNO(e, ENOENT, "%s: another process removed it at once", adapter);
    return OK;
}

Status trainer_save(Trainer *t, Err *e) {
    TRY(trainer_write(t, save_once, e));
    t->saved_step = t->step;
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
    /* checkpoints first: while one is there, what it goes on from is there too */
    TRY(state_list(t->save, t->output_dir, &steps, &n, e));
    for (size_t i = 0; i < n; i++) TRY(state_remove(t->save, t->output_dir, steps[i], e));
    for (int i = 0; i < N_RUN_FILES; i++) {
        TRY(path_join(t->save, t->output_dir, RUN_FILES[i], &path, e));
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

/* Before the first step: room for the checkpoints still to come that are kept at a time, one more while the oldest is not
 * yet deleted, and for the adapter at the top, the best one, and the file that takes the place of one of them. */
static Status check_disk_of_run(const Trainer *t, Err *e) {
    int64_t *steps, keep = config_int(t->config, "save_total_limit"), to_come;
    size_t n;
    TRY(state_list(t->save, t->output_dir, &steps, &n, e));
    to_come = keep <= 0 ? 1 : keep + 1 - (int64_t)n;
    return check_disk(t, to_come > 0 ? to_come : 1, t->n_sets > 0 ? 3 : 2, e);
}

/* What killed runs left behind. */
static Status remove_temporaries(const Trainer *t, Err *e) {
    char *best, *prepared;
    TRY(path_join(t->save, t->output_dir, "best", &best, e));
    TRY(path_join(t->save, t->output_dir, PREPARED_FOLDER, &prepared, e));
    for (int i = 0; i < N_RUN_FILES; i++) remove_left_overs(t->output_dir, RUN_FILES[i], false);
    for (int i = 0; i < N_RUN_FILES; i++) remove_left_overs(best, RUN_FILES[i], false);
    remove_left_overs(best, "best.json", false);
    state_remove_left_overs(t->output_dir);
    prepared_remove_left_overs(prepared);
    return OK;
}

Status trainer_check_folder(Trainer *t, Err *e) {
    bool holds;
    ArenaMark mark = arena_mark(t->save);
    if (*config_string(t->config, "resume_from_checkpoint") != 0 || !path_is_folder(t->output_dir)) return OK;
    TRY(holds_run(t, &holds, e));
    if (holds && !config_bool(t->config, "overwrite_output_dir"))
        FAIL(e, ERR_CONFIG,
             "%s: the folder holds a run already; go on with --resume, start anew with "
             "overwrite_output_dir: true, or name another output_dir",
             t->output_dir);
    arena_reset(t->save, mark);
    return OK;
}

Status trainer_begin(Trainer *t, Err *e) {
    const char *resume = config_string(t->config, "resume_from_checkpoint");
    bool found = false;
    ArenaMark mark = arena_mark(t->save);
    TRY(make_folders(t->output_dir, e));
    TRY(lock_folder(t->output_dir, &t->lock, e));
    TRY(remove_temporaries(t, e));
    TRY(check_disk_of_run(t, e));
    if (resume[0] != 0) {
        TRY(trainer_resume(t, strcmp(resume, "auto") == 0 ? NULL : resume, &found, e));
    } else {
        TRY(trainer_check_folder(t, e));
    }
    if (!found) {
        TRY(clear_run(t, e));
        TRY(metrics_open(0, &t->metrics, e));
    }
    TRY(write_resolved(t, e));
    arena_reset(t->save, mark);
    return OK;
}
