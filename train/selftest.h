/* selftest.h: the proofs that `lorac selftest` runs on this machine (proofs.def), and what they share: a temporary folder
 * with rows of random token ids, a config, and short training runs on the base. */
#ifndef LORAC_TRAIN_SELFTEST_H
#define LORAC_TRAIN_SELFTEST_H

#include "train/trainer.h"

typedef struct Selftest {
    const Ctx *ctx;
    Arena *arena;         /* of the whole selftest */
    const char *folder;   /* temporary, removed at the end */
    const char *base;     /* model file or folder */
    const char *config;   /* folder/config.yaml */
    int64_t steps;        /* of a training run */
    int64_t kills;        /* of P6 */
    int64_t modules;      /* of P1: how many are differentiated */
    bool quick, embedded; /* embedded: base is the model inside the program */
} Selftest;

/* What a proof found. evidence: numbers for the person, also when it holds. */
typedef struct Verdict {
    bool holds;
    char evidence[512];
} Verdict;

#define PROOF(promise, name, text) Status proof_##name(Selftest *s, Verdict *v, Err *e);
#include "train/proofs.def"

/* Writes rows and config into the folder. */
Status selftest_prepare(Selftest *s, Err *e);

/* A training run in this process: the config with these overrides ("key=value"), into folder/<name>, which is made anew
 * unless a resume is asked for. */
typedef struct SelftestRun {
    char hash[HASH_HEX_BYTES]; /* of adapter and moments after the last step */
    int64_t steps;
    double seconds;
    MemoryPlan planned, allocated;
} SelftestRun;
Status selftest_train(Selftest *s, const char *name, const char *const *overrides, int n, SelftestRun *out, Err *e);

/* Opens a run without beginning it. The context, its arena and the trainer are the caller's: selftest_close. */
typedef struct SelftestOpen {
    Ctx ctx;
    Config *config;
    Trainer t;
} SelftestOpen;
Status selftest_open(Selftest *s, const char *name, const char *const *overrides, int n, bool plan_only,
                     SelftestOpen *out, Err *e);
void selftest_close(SelftestOpen *o);

/* The model inside the program: a GGUF file of this many bytes (data/tiny). */
const void *embedded_base(size_t *bytes);

#endif
