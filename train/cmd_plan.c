/* cmd_plan.c: lorac plan: opens the run as train does, without its first step, and prints what it will use. */
#include "train/trainer.h"

const char cmd_plan_help[] =
    "usage: lorac plan CONFIG.yaml [key=value ...] [--json]\n"
    "\n"
    "Opens the run (data, model, adapter, all memory) and prints what it will use, without training or writing.\n"
    "peak_bytes is what the run allocates; the pages of the mapped base (mapped_bytes) come on top as far as they are used.\n";

static void print_json(FILE *out, const Trainer *t, const MemoryPlan *p) {
    fprintf(out,
            "{\"peak_bytes\":%llu,\"mapped_bytes\":%llu,\"weights_bytes\":%llu,\"state_bytes\":%llu,"
            "\"activation_bytes\":%llu,\"scratch_bytes\":%llu,\"host_bytes\":%llu,\"save_bytes\":%llu,"
            "\"recompute\":%s,\"steps\":%lld,\"steps_per_epoch\":%lld,\"bins\":%lld,\"tokens_per_epoch\":%lld,"
            "\"trained_tokens_per_epoch\":%lld,\"trainable\":%lld}\n",
            (unsigned long long)p->peak, (unsigned long long)p->mapped, (unsigned long long)p->weights,
            (unsigned long long)p->state, (unsigned long long)p->activations, (unsigned long long)p->scratch,
            (unsigned long long)p->host, (unsigned long long)p->save, t->recompute ? "true" : "false",
            (long long)t->steps, (long long)batches_steps_per_epoch(t->batches), (long long)batches_bins(t->batches),
            (long long)dataset_tokens(&t->train), (long long)dataset_trained(&t->train),
            (long long)t->adapter->n_params);
}

static void print_table(FILE *out, const Trainer *t, const MemoryPlan *p) {
    const struct {
        const char *name;
        uint64_t bytes;
        const char *what;
    } rows[] = {
        {"weights", p->weights, "norms, rotary tables, tensor lists"},
        {"state", p->state, "adapter, moments, gradient trees"},
        {"activations", p->activations, t->recompute ? "layers recomputed in backward" : "kept for backward"},
        {"scratch", p->scratch, "panels of products, logits of a chunk"},
        {"host", p->host, "data, tokenizer, config, graphs"},
        {"save", p->save, "a checkpoint while it is written"},
        {"peak", p->peak, "what the run allocates"},
        {"mapped", p->mapped, "the base's files, on top, as far as pages are used"},
    };
    char text[16];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        fprintf(out, "%-12s %10s  %s\n", rows[i].name, human_bytes(rows[i].bytes, text), rows[i].what);
    fprintf(out, "%lld steps (%lld an epoch), %lld bins, %lld tokens an epoch of which %lld are trained\n",
            (long long)t->steps, (long long)batches_steps_per_epoch(t->batches), (long long)batches_bins(t->batches),
            (long long)dataset_tokens(&t->train), (long long)dataset_trained(&t->train));
}

Status cmd_plan(Ctx *ctx, int argc, char **argv, Err *e) {
    static const ArgSpec SPECS[] = {{"--json", NULL}};
    Args args;
    Config *config;
    Trainer t;
    TRY(args_parse(ctx->arena, argc, argv, SPECS, 1, ARGS_OVERRIDES, 1, 1, &args, e));
    log_open(&ctx->log, true);
    TRY(load_run_config(ctx, &args, false, &config, e));
    Status st = trainer_open(ctx, config, true, &t, e);
    if (st == OK) {
        MemoryPlan p = trainer_memory(&t);
        if (args_has(&args, "--json"))
            print_json(ctx->log.out, &t, &p);
        else
            print_table(ctx->log.out, &t, &p);
    }
    trainer_close(&t);
    return st;
}
