/* cmd_train.c: lorac train. */
#include "train/trainer.h"

const char cmd_train_help[] =
    "usage: lorac train CONFIG.yaml [key=value ...] [--some-key value ...] [--resume] [--quiet]\n"
    "\n"
    "Fine-tunes a frozen base model with a LoRA adapter, as the config says, and writes the adapter (PEFT layout),\n"
    "metrics.jsonl and checkpoints to output_dir.\n"
    "\n"
    "  key=value     replaces a key of the config; a list entry is datasets.0.path=FILE\n"
    "  --resume      go on from the newest valid checkpoint of output_dir (= resume_from_checkpoint: auto)\n"
    "  --force-resume KEY  go on although KEY differs from the checkpoint: a config key, base_model, tokenizer, datasets,\n"
    "                cpu_level or lora_model_dir; the difference is told\n"
    "  --quiet       warnings and errors only\n"
    "\n"
    "Ctrl-C once: the step in progress is dropped, a checkpoint is written; twice: stops at once.\n"
    "lorac config defaults lists every key with its meaning.\n";

/* Shared with `lorac plan`. */
Status load_run_config(Ctx *ctx, const Args *args, bool resume, Config **out, Err *e) {
    char **overrides;
    int n = args->n_overrides;
    static char auto_resume[] = "resume_from_checkpoint=auto";
    TRY(arena_alloc(ctx->arena, (size_t)n + 1, sizeof(char *), &overrides, e));
    for (int i = 0; i < n; i++) overrides[i] = args->overrides[i];
    if (resume) overrides[n++] = auto_resume;
    TRY(config_load(ctx->arena, args->positional[0], overrides, n, out, e));
    int notes;
    const char *const *note = config_notes(*out, &notes);
    for (int i = 0; i < notes; i++) log_note(&ctx->log, "%s", note[i]);
    return OK;
}

static void say_start(Ctx *ctx, const Trainer *t) {
    char peak[16], mapped[16];
    MemoryPlan p = trainer_memory(t);
    log_note(
        &ctx->log,
        "%s: %lld trainable numbers in %d modules; %lld steps; %s planned (+ %s mapped from the base); cpu level %s, %d "
        "threads, %s",
        t->session.base->path, (long long)t->adapter->n_params, t->adapter->set.n_slots, (long long)t->steps,
        human_bytes(p.peak, peak), human_bytes(p.mapped, mapped), t->session.backend.level,
        pool_threads(t->session.pool), t->session.dt == DT_F32 ? "fp32" : "bf16");
}

Status cmd_train(Ctx *ctx, int argc, char **argv, Err *e) {
    static const ArgSpec SPECS[] = {{"--resume", NULL}, {"--quiet", NULL}};
    Args args;
    Config *config;
    Trainer t;
    TRY(args_parse(ctx->arena, argc, argv, SPECS, 2, ARGS_OVERRIDES, 1, 1, &args, e));
    if (args_has(&args, "--quiet")) log_open(&ctx->log, true);
    TRY(load_run_config(ctx, &args, args_has(&args, "--resume"), &config, e));
    Status st = trainer_open(ctx, config, false, &t, e);
    if (st == OK) {
        say_start(ctx, &t);
        st = trainer_run(&t, e);
    }
    if (st == OK) log_note(&ctx->log, "done: the adapter is in %s", t.output_dir);
    trainer_close(&t);
    return st;
}
