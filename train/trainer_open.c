/* trainer_open.c: everything up to the first step; the same for a run and for its plan. */
#include "train/trainer.h"

#include "base/fault.h"
#include "data/tokenizer.h"
#include "train/tokenizer_load.h"

#include <string.h>
#include <unistd.h>

Status trainer_check_config(Trainer *t, Err *e) {
    Config *c = t->config;
    int64_t context = t->session.base->config.max_positions, length = config_int(c, "sequence_len");
    if (length > context && config_is_set(c, "sequence_len"))
        return config_error(c, "sequence_len", e, "%lld tokens are more than the model's context of %lld",
                            (long long)length, (long long)context);
    if (length > context) config_resolve_int(c, "sequence_len", context);
    if (strcmp(config_string(c, "adapter"), "qlora") == 0) {
        if (t->session.base->kind != BASE_GGUF)
            return config_error(
                c, "adapter", e,
                "qlora needs a quantized base and %s is not; use adapter: lora, or a quantized GGUF file",
                t->session.base->path);
        log_note(&t->ctx->log, "adapter: qlora on a GGUF file is lora: the base is kept in its own quantization");
    }
    TRY(config_resolve_string(c, "adapter", "lora", e));
    TRY(config_resolve_string(c, "device", "cpu", e));
    return config_resolve_string(c, "compute_dtype", t->session.dt == DT_F32 ? "fp32" : "bf16", e);
}

static int64_t longest_document(const Trainer *t) {
    int64_t most = t->limits.longest;
    for (int64_t i = 0; i < t->n_sets; i++) {
        int64_t n = batches_limits(t->sets[i].batches).longest;
        if (n > most) most = n;
    }
    return most;
}

static Status open_adapter(Trainer *t, Err *e) {
    Config *c = t->config;
    const char *from = config_string(c, "lora_model_dir");
    AdapterOptions o = {.r = config_int(c, "lora_r"),
                        .alpha = config_real(c, "lora_alpha"),
                        .dropout = config_real(c, "lora_dropout"),
                        .rslora = config_bool(c, "peft_use_rslora"),
                        .seed = (uint64_t)config_int(c, "seed"),
                        .training = true,
                        .rows_most = t->limits.rows_step};
    o.targets = config_list(c, "lora_target_modules", &o.n_targets);
    if (from[0] == 0) return adapter_create(t->session.state, t->session.model, &o, &t->adapter, e);
    TRY(adapter_load(t->session.state, t->session.model, from, &o, &t->adapter, e));
    Hash128 h;
    TRY(adapter_hash(t->save, t->adapter, &h, e)); /* moments are zero yet: a function of the loaded values */
    hash_hex(h, t->parent_hash);
    log_note(&t->ctx->log, "adapter: from %s (rank %lld, alpha %g, %d modules)", from, (long long)t->adapter->r,
             t->adapter->alpha, t->adapter->set.n_slots);
    return OK;
}

/* The most memory that gradient_checkpointing: auto takes to keep layers; half of the machine where nothing is said. */
static uint64_t auto_limit(const Trainer *t) {
    uint64_t most = trainer_memory_limit(t);
    return config_int(t->config, "max_memory") > 0 ? most : most / 2;
}

static Status open_graphs(Trainer *t, Err *e) {
    const char *checkpointing = config_string(t->config, "gradient_checkpointing");
    Runner *runners[2] = {&t->runner, &t->evaluator.runner};
    const SlotMap *slots = &t->adapter->map;
    if (t->n_sets > 0) TRY(evaluator_open(&t->session, slots, t->sets, t->n_sets, &t->evaluator, e));
    GraphOptions o = {.gradients = true, .recompute = strcmp(checkpointing, "true") == 0, .capacity = t->limits.tokens};
    TRY(runner_prepare(&t->session, slots, &o, &t->runner, e));
    uint64_t bytes =
        graph_activation_bytes(t->runner.graph) + graph_scratch_bytes(t->runner.graph) + trainer_memory(t).peak;
    if (strcmp(checkpointing, "auto") == 0 && bytes > auto_limit(t)) {
        runner_close(&t->runner);
        o.recompute = true;
        TRY(runner_prepare(&t->session, slots, &o, &t->runner, e));
    }
    t->recompute = o.recompute;
    TRY(config_resolve_string(t->config, "gradient_checkpointing", o.recompute ? "true" : "false", e));
    return runner_memory(runners, t->n_sets > 0 ? 2 : 1, e);
}

static Status open_buffers(Trainer *t, Err *e) {
    Arena *a = t->host;
    Backend *b = &t->session.backend;
    int64_t ws = b->square_sum_workspace(&b->stream, t->adapter->n_params);
    TRY(batches_view(a, t->batches, &t->view, e));
    TRY(arena_alloc(a, (size_t)t->limits.rows, sizeof(RowSpan), &t->rows, e));
    TRY(arena_alloc(a, (size_t)t->limits.targets, sizeof(float), &t->weight, e));
    TRY(arena_alloc(a, (size_t)t->limits.targets, sizeof(float), &t->logp, e));
    TRY(arena_alloc(a, (size_t)t->limits.rows_step, sizeof(double), &t->row_loss, e));
    size_t longest = 0;
    for (int64_t i = 0; i < t->n_sets; i++) {
        size_t n = strlen(t->sets[i].name);
        if (n > longest) longest = n;
    }
    TRY(metrics_prepare(a, t->output_dir, longest, &t->metrics, e));
    return arena_alloc(a, (size_t)ws, 1, &t->square_ws, e);
}

static Status hash_inputs(Trainer *t, Err *e) {
    Hash128 h;
    TRY(base_model_identity(t->session.base, t->save, &h, e));
    hash_hex(h, t->base_hash);
    TRY(dataset_hash(t->save, &t->train, &h, e));
    hash_hex(h, t->data_hash);
    if (!path_is_folder(t->session.base->path)) return OK;
    TRY(tokenizer_files_hash(t->save, t->session.base->path, &h, e));
    hash_hex(h, t->tokenizer_hash);
    return OK;
}

static Status open_session(Ctx *ctx, Config *config, Trainer *t, Err *e) {
    memset(t, 0, sizeof *t);
    t->ctx = ctx;
    t->config = config;
    t->output_dir = config_string(config, "output_dir");
    t->best_step = t->saved_step = t->evaluated_step = -1;
    t->metrics.file.fd = t->lock = -1;
    t->started_s = clock_s();
    SessionOptions so = {.base = config_string(config, "base_model"),
                         .compute_dtype = config_string(config, "compute_dtype"),
                         .threads = config_int(config, "threads")};
    TRY(arena_open(&t->host, "data", e));
    TRY(arena_open(&t->save, "save", e));
    TRY(session_open(ctx, &so, &t->session, e));
    return trainer_check_config(t, e);
}

Status trainer_open_data(Ctx *ctx, Config *config, DataUse use, Trainer *t, Err *e) {
    TRY(open_session(ctx, config, t, e));
    t->data_only = true;
    t->counts.wanted = use == DATA_BATCHES;
    return trainer_data(t, use, e);
}

Status trainer_check_data(Ctx *ctx, Config *config, DataCheck *check, Trainer *t, Err *e) {
    TRY(open_session(ctx, config, t, e));
    t->check = check;
    return trainer_data(t, DATA_ROWS, e);
}

static Status check_memory(Trainer *t, Err *e) {
    const MemoryPlan *p = &t->planned;
    uint64_t most = trainer_memory_limit(t);
    char need[16], have[16];
    Buf table = {.arena = t->save};
    if (p->peak <= most) return OK;
    TRY(trainer_memory_table(t, p, &table, e));
    log_note(&t->ctx->log, "%s", table.data);
    return config_error(
        t->config, config_is_set(t->config, "max_memory") ? "max_memory" : "base_model", e,
        "the run needs %s and may use %s%s; a smaller sequence_len, micro_batch_size or lora_r needs less%s (lorac plan "
        "--fit finds what fits)",
        human_bytes(p->peak, need), human_bytes(most, have),
        config_int(t->config, "max_memory") > 0 ? "" : " (this machine's memory)",
        t->recompute ? "" : ", and so does gradient_checkpointing: true");
}

/* The run's folder, and then all that a checkpoint needs, taken at once. */
static Status begin(Trainer *t, Err *e) {
    void *unused;
    TRY(trainer_begin(t, e));
    arena_close(t->save);
    t->save = NULL;
    TRY(arena_open_fixed(&t->save, "save", t->save_bytes, e));
    return FAULT(plan_bytes) ? arena_alloc(t->session.state, 1, 1, &unused, e) : OK;
}

Status trainer_open(Ctx *ctx, Config *config, bool plan_only, Trainer *t, Err *e) {
    TRY(open_session(ctx, config, t, e));
    if (!plan_only) TRY(trainer_check_folder(t, e));
    TRY(trainer_data(t, plan_only ? DATA_BATCHES : DATA_TRAIN, e));
    TRY(session_model(&t->session, longest_document(t), e));
    TRY(open_adapter(t, e));
    TRY(open_buffers(t, e));
    TRY(open_graphs(t, e));
    TRY(hash_inputs(t, e));
    TRY(schedule_open(config_string(config, "lr_scheduler"), t->steps, config_int(config, "warmup_steps"),
                      config_real(config, "warmup_ratio"), &t->schedule, e));
    TRY(trainer_save_bytes(t, &t->save_bytes, e));
    t->planned = trainer_memory(t);
    if (plan_only) return OK;
    TRY(check_memory(t, e));
    return begin(t, e);
}

void trainer_close(Trainer *t) {
    metrics_close(&t->metrics);
    tokenizer_close(t->tokenizer);
    evaluator_close(&t->evaluator);
    runner_close(&t->runner);
    session_close(&t->session);
    arena_close(t->save);
    arena_close(t->host);
    if (t->lock >= 0) close(t->lock);
}
