/* trainer_memory.c: what a run allocates: the plan, its table, and the proof at the end of a run (P8). */
#include "train/trainer.h"

#include <string.h>

MemoryPlan trainer_memory(const Trainer *t) {
    MemoryPlan p = {.weights = arena_peak_bytes(t->session.weights), .state = arena_peak_bytes(t->session.state)};
    p.host = arena_peak_bytes(t->host);
    if (t->runner.host != NULL) p.host += arena_peak_bytes(t->runner.host);
    if (t->evaluator.runner.host != NULL) p.host += arena_peak_bytes(t->evaluator.runner.host);
    if (t->evaluator.arena != NULL) p.host += arena_peak_bytes(t->evaluator.arena);
    if (t->runner.activations != NULL) p.activations = arena_peak_bytes(t->runner.activations);
    if (t->runner.scratch != NULL) p.scratch = arena_peak_bytes(t->runner.scratch);
    p.save = t->save_bytes;
    for (int i = 0; i < t->session.base->n_files; i++) p.mapped += t->session.base->files[i].size;
    /* a step's activations and a checkpoint being written do not live at the same time (trainer_save_begin) */
    p.peak = p.weights + p.state + p.scratch + p.host + (p.activations > p.save ? p.activations : p.save);
    return p;
}

Status trainer_memory_table(const Trainer *t, const MemoryPlan *p, Buf *out, Err *e) {
    const struct {
        const char *name;
        uint64_t bytes;
        const char *what;
    } rows[] = {
        {"weights", p->weights, "norms, rotary tables, tensor lists"},
        {"state", p->state, "adapter, moments, gradient trees"},
        {"activations", p->activations, t->recompute ? "layers recomputed in backward" : "kept for backward"},
        {"scratch", p->scratch, "panels of products, logits of a chunk"},
        {"host", p->host, "data, tokenizer, graphs"},
        {"save", p->save, "a checkpoint while it is written, in place of the activations"},
        {"peak", p->peak, "what the run allocates"},
        {"mapped", p->mapped, "the base's files, on top, as far as pages are used"},
    };
    char text[16];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        TRY(buf_printf(out, e, "%s%-12s %10s  %s", i > 0 ? "\n" : "", rows[i].name, human_bytes(rows[i].bytes, text),
                       rows[i].what));
    return OK;
}

uint64_t trainer_memory_limit(const Trainer *t) {
    int64_t most = config_int(t->config, "max_memory");
    return most > 0 ? (uint64_t)most : memory_bytes();
}

void trainer_freeze(const Trainer *t, bool frozen) {
    Arena *const arenas[] = {t->session.weights, t->session.state,     t->host,
                             t->runner.host,     t->runner.scratch,    t->evaluator.runner.host,
                             t->evaluator.arena, t->runner.activations};
    for (size_t i = 0; i < sizeof arenas / sizeof arenas[0]; i++) {
        if (arenas[i] != NULL) arena_freeze(arenas[i], frozen);
    }
}

ArenaMark trainer_save_begin(const Trainer *t) {
    if (t->runner.activations != NULL) arena_discard(t->runner.activations);
    return arena_mark(t->save);
}

void trainer_save_end(const Trainer *t, ArenaMark mark) {
    arena_reset(t->save, mark);
    if (arena_used_bytes(t->save) == 0) arena_discard(t->save);
}

Status trainer_check_plan(const Trainer *t, Err *e) {
    MemoryPlan now = trainer_memory(t), then = t->planned;
    now.save = arena_peak_bytes(t->save);
    if (now.peak != then.peak || now.save != then.save)
        FAIL(
            e, ERR_CHECK,
            "the run allocated %llu bytes and its plan said %llu: a defect of lorac; the adapter is whole, please report it",
            (unsigned long long)now.peak, (unsigned long long)then.peak);
    return OK;
}
