/* cmd_selftest.c: lorac selftest: the promises, proved on this machine. */
#include "train/selftest.h"

#include "base/signals.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char cmd_selftest_help[] =
    "usage: lorac selftest [--model M] [--quick]\n"
    "\n"
    "Proves lorac's promises on this machine with short training runs in a temporary folder ($TMPDIR): gradients by finite\n"
    "differences, and equal bytes for any split into micro-batches, packing, recomputed layers, threads, kills and resumes,\n"
    "shared batches; and that a run allocates what its plan says. Prints a table; exit 3 when a promise does not hold.\n"
    "\n"
    "  --model M   a GGUF file or model folder; default: the small model inside lorac\n"
    "  --quick     shorter runs, under a minute\n";

typedef struct ProofRow {
    const char *promise, *name, *text;
    Status (*run)(Selftest *s, Verdict *v, Err *e);
} ProofRow;

static const ProofRow PROOFS[] = {
#define PROOF(promise, name, text) {promise, #name, text, proof_##name},
#include "train/proofs.def"
};
enum { N_PROOFS = sizeof PROOFS / sizeof PROOFS[0] };

static Status make_folder(Selftest *s, Err *e) {
    const char *parent = getenv("TMPDIR");
    char *path;
    if (parent == NULL || parent[0] == 0) parent = "/tmp";
    TRY(arena_printf(s->arena, &path, e, "%s/lorac-selftest-XXXXXX", parent));
    if (mkdtemp(path) == NULL)
        FAIL(e, ERR_IO, "%s: no folder can be made there: %s; set TMPDIR to another one", parent, strerror(errno));
    s->folder = path;
    return OK;
}

static Status find_base(Selftest *s, const char *model, Err *e) {
    size_t bytes;
    char *path;
    const void *data = embedded_base(&bytes);
    s->base = model;
    if (model != NULL) return OK;
    TRY(path_join(s->arena, s->folder, "base.gguf", &path, e));
    s->base = path;
    return file_write_atomic(s->arena, path, data, bytes, e);
}

/* Runs one proof and prints its line. A proof that ends with an error does not hold, but a stop request ends them all. */
static Status run_proof(Selftest *s, const ProofRow *p, int *failed, Err *e) {
    Verdict v = {0};
    Log *log = (Log *)&s->ctx->log;
    log_bar(log, (double)(p - PROOFS) / N_PROOFS, "%s %s", p->promise, p->text);
    Status st = p->run(s, &v, e);
    log_bar_end(log);
    if (st == ERR_STOPPED) return st;
    if (st != OK) {
        v.holds = false;
        snprintf(v.evidence, sizeof v.evidence, "%.*s", (int)sizeof v.evidence - 1, e->message);
    }
    fprintf(log->out, "%s  %-4s  %s\n          %s\n", p->promise, v.holds ? "ok" : "FAIL", p->text, v.evidence);
    fflush(log->out);
    if (!v.holds) (*failed)++;
    if (stop_requested()) FAIL(e, ERR_STOPPED, "selftest: stopped");
    return OK;
}

static Status run_all(Selftest *s, const char *model, Err *e) {
    int failed = 0;
    double begin = clock_s();
    TRY(find_base(s, model, e));
    TRY(selftest_prepare(s, e));
    for (int i = 0; i < N_PROOFS; i++) TRY(run_proof(s, &PROOFS[i], &failed, e));
    if (failed > 0)
        FAIL(e, ERR_CHECK, "selftest: %d of %d promises do not hold on this machine with %s", failed, (int)N_PROOFS,
             model == NULL ? "the embedded model" : model);
    fprintf(s->ctx->log.out, "all %d hold (%.0f s, %s)\n", (int)N_PROOFS, clock_s() - begin,
            model == NULL ? "the embedded model" : model);
    return OK;
}

Status cmd_selftest(Ctx *ctx, int argc, char **argv, Err *e) {
    static const ArgSpec SPECS[] = {{"--model", "M"}, {"--quick", NULL}};
    Args args;
    TRY(args_parse(ctx->arena, argc, argv, SPECS, 2, 0, 0, 0, &args, e));
    bool quick = args_has(&args, "--quick"), own = args_has(&args, "--model");
    Selftest s = {.ctx = ctx, .arena = ctx->arena, .quick = quick, .embedded = !own};
    s.steps = own ? (quick ? 4 : 8) : (quick ? 8 : 24);
    s.kills = quick ? 3 : 10;
    s.modules = own && quick ? 8 : 32;
    TRY(make_folder(&s, e));
    Status st = run_all(&s, args_get(&args, "--model"), e);
    Err ignored;
    remove_tree(s.folder, &ignored);
    return st;
}
