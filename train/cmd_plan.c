/* cmd_plan.c: lorac plan: opens the run as train does, without its first step, and prints what it will use. */
#include "train/trainer.h"

const char cmd_plan_help[] =
    "usage: lorac plan CONFIG.yaml [key=value ...] [--fit] [--json]\n"
    "\n"
    "Opens the run (data, model, adapter, all memory) and prints what it will use, without training or writing.\n"
    "peak_bytes is what the run allocates; the pages of the mapped base (mapped_bytes) come on top as far as they are used.\n"
    "\n"
    "  --fit    find the largest micro_batch_size that fits max_memory (default: this machine's memory) at the config's\n"
    "           sequence_len; where one row does not fit, the longest sequence_len with micro_batch_size 1\n"
    "  --json   one JSON object\n";

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

static Status print_table(Ctx *ctx, const Trainer *t, const MemoryPlan *p, Err *e) {
    Buf b = {.arena = ctx->arena};
    TRY(trainer_memory_table(t, p, &b, e));
    fprintf(ctx->log.out, "%s\n%lld steps (%lld an epoch), %lld bins, %lld tokens an epoch of which %lld are trained\n",
            b.data, (long long)t->steps, (long long)batches_steps_per_epoch(t->batches),
            (long long)batches_bins(t->batches), (long long)dataset_tokens(&t->train),
            (long long)dataset_trained(&t->train));
    return OK;
}

static Status show_plan(Ctx *ctx, const Args *args, Err *e) {
    Config *config;
    Trainer t;
    TRY(load_run_config(ctx, args, false, &config, e));
    Status st = trainer_open(ctx, config, true, &t, e);
    if (st == OK && args_has(args, "--json"))
        print_json(ctx->log.out, &t, &t.planned);
    else if (st == OK)
        st = print_table(ctx, &t, &t.planned, e);
    trainer_close(&t);
    return st;
}

/* ---- --fit ------------------------------------------------------------------------------------------------------- */

enum { MICRO_MOST = 4096, SEQUENCE_LEAST = 16 };

/* One size of run: what is asked for, and what its plan says. */
typedef struct Trial {
    int64_t micro, sequence; /* 0: as the config says */
    int64_t bins;
    uint64_t peak, limit;
    bool fits;
} Trial;

/* Opens the plan of one size in an arena of its own. */
static Status open_trial(const Ctx *outer, const Args *args, Trial *p, Err *e) {
    Ctx ctx = *outer;
    Config *config;
    Trainer t;
    char **overrides;
    int n = args->n_overrides;
    TRY(arena_alloc(ctx.arena, (size_t)n + 3, sizeof(char *), &overrides, e));
    for (int i = 0; i < n; i++) overrides[i] = args->overrides[i];
    TRY(arena_printf(ctx.arena, &overrides[n++], e, "micro_batch_size=%lld", (long long)p->micro));
    if (p->sequence > 0) {
        TRY(arena_printf(ctx.arena, &overrides[n++], e, "sequence_len=%lld", (long long)p->sequence));
        TRY(arena_strdup(ctx.arena, "excess_length_strategy=drop", &overrides[n++], e));
    }
    TRY(config_load(ctx.arena, args->positional[0], overrides, n, &config, e));
    Status st = trainer_open(&ctx, config, true, &t, e);
    if (st == OK) {
        p->peak = t.planned.peak;
        p->limit = trainer_memory_limit(&t);
        p->fits = p->peak <= p->limit;
        p->bins = batches_bins(t.batches);
        p->sequence = config_int(config, "sequence_len");
    }
    trainer_close(&t);
    return st;
}

static Status try_size(const Ctx *ctx, const Args *args, int64_t micro, int64_t sequence, Trial *out, Err *e) {
    Ctx own = *ctx;
    *out = (Trial){.micro = micro, .sequence = sequence};
    TRY(arena_open(&own.arena, "trial", e));
    Status st = open_trial(&own, args, out, e);
    arena_close(own.arena);
    return st;
}

/* Grows best, which fits, by doubling and then by halves; more rows than there are bins would be of no use. */
static Status most_rows(const Ctx *ctx, const Args *args, Trial *best, Err *e) {
    Trial t;
    int64_t low = best->micro, high = best->bins < MICRO_MOST ? best->bins + 1 : MICRO_MOST + 1;
    for (int64_t step = 1; high - low > 1;) {
        int64_t next = low + step < high ? low + step : low + (high - low) / 2;
        TRY(try_size(ctx, args, next, 0, &t, e));
        if (t.fits) {
            *best = t;
            low = next;
            step *= 2;
        } else {
            high = next;
            step = (high - low) / 2 > 0 ? (high - low) / 2 : 1;
        }
    }
    return OK;
}

/* The longest sequence of one row that fits, below one that does not. A sequence that no row of the data fits into is too
 * short. */
static Status most_tokens(const Ctx *ctx, const Args *args, Trial *best, Err *e) {
    Trial t = *best;
    int64_t low = SEQUENCE_LEAST, high = best->sequence;
    char need[16], have[16];
    while (high - low > 1) {
        int64_t next = high / 2 > low ? high / 2 : low + (high - low) / 2;
        Status st = try_size(ctx, args, 1, next, &t, e);
        if (st != OK && st != ERR_DATA) return st;
        if (st == OK && !t.fits) {
            high = next;
            continue;
        }
        low = next;
        if (st == OK) *best = t;
    }
    if (!best->fits)
        FAIL(
            e, ERR_CHECK,
            "nothing fits: %lld tokens need %s and the run may use %s; try a smaller lora_r, a smaller base or more memory",
            (long long)best->sequence, human_bytes(best->peak, need), human_bytes(best->limit, have));
    return OK;
}

static Status show_fit(Ctx *ctx, const Args *args, Err *e) {
    Trial best;
    char need[16], have[16];
    TRY(try_size(ctx, args, 1, 0, &best, e));
    if (best.fits)
        TRY(most_rows(ctx, args, &best, e));
    else
        TRY(most_tokens(ctx, args, &best, e));
    if (args_has(args, "--json"))
        fprintf(ctx->log.out,
                "{\"micro_batch_size\":%lld,\"sequence_len\":%lld,\"peak_bytes\":%llu,\"max_bytes\":%llu}\n",
                (long long)best.micro, (long long)best.sequence, (unsigned long long)best.peak,
                (unsigned long long)best.limit);
    else
        fprintf(ctx->log.out, "micro_batch_size: %lld\nsequence_len: %lld\n# %s of %s\n", (long long)best.micro,
                (long long)best.sequence, human_bytes(best.peak, need), human_bytes(best.limit, have));
    return OK;
}

Status cmd_plan(Ctx *ctx, int argc, char **argv, Err *e) {
    static const ArgSpec SPECS[] = {{"--json", NULL}, {"--fit", NULL}};
    Args args;
    TRY(args_parse(ctx->arena, argc, argv, SPECS, 2, ARGS_OVERRIDES, 1, 1, &args, e));
    log_open(&ctx->log, true);
    return args_has(&args, "--fit") ? show_fit(ctx, &args, e) : show_plan(ctx, &args, e);
}
