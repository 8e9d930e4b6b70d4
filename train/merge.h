/* merge.h: base + adapter written as one model in the base's own file format, streamed, then re-opened and compared.
 *
 * W' = W + scale * B A in f32, rounded once to the type written. Each adapter tensor is consumed exactly once (P11).
 * The written model is opened again and its logits are compared with base + adapter in f32 (P10); a result that lies
 * beyond the bound, or no nearer to base + adapter than the base alone, is ERR_CHECK. Everything is written under a
 * temporary name beside `out` and gets its name only after the comparison. */
#ifndef LORAC_TRAIN_MERGE_H
#define LORAC_TRAIN_MERGE_H

#include "train/session.h"

typedef struct MergeOptions {
    const char *base, *adapter, *out;
    const char *outtype; /* NULL: the default; "keep", "f32", "f16", "bf16", "q8_0", "q4_0", "q4_1" */
    bool force;          /* replace an existing out */
    int64_t threads;
} MergeOptions;

typedef struct MergeReport {
    int64_t tensors, merged;
    uint64_t bytes;
    int64_t positions;         /* compared */
    double kl, kl_base, bound; /* mean KL(base+adapter || merged), KL(base+adapter || base), nats per token */
    double top1;               /* share of positions with the same most likely token */
    const char *outtype;
} MergeReport;

Status merge_run(Ctx *ctx, const MergeOptions *o, MergeReport *report, Err *e);

/* ---- shared by merge*.c ------------------------------------------------------------------------------------------ */

/* Takes the next bytes of the tensor being written. */
typedef Status (*MergeSink)(void *sink, const void *data, size_t bytes, Err *e);

typedef struct MergeJob {
    Ctx *ctx;
    const MergeOptions *options;
    char *out;    /* options->out without links and slashes at its end */
    char *target; /* where the result is written until it is verified */
    Session session;
    Adapter *adapter;
    Arena *arena;
    int *slot_of;  /* by tensor of the base: slot or -1 */
    int *consumed; /* by slot */
    int out_wtype; /* WType, or -1: keep */
    MergeReport *report;
} MergeJob;

/* The type tensor i is written in; ERR_FORMAT names tensor, type and what works. */
Status merge_out_type(const MergeJob *job, int64_t i, int *wtype, Err *e);
/* Streams tensor i in the type chosen (wtype -1: bytes as they are). */
Status merge_stream(MergeJob *job, int64_t i, int wtype, MergeSink sink, void *ctx, Err *e);
Status merge_write_gguf(MergeJob *job, Err *e);
Status merge_write_folder(MergeJob *job, Err *e);
/* Gives the verified result its name: a file is renamed over `out`; a folder is renamed, or, when `out` exists, its weight
 * files are replaced and its other files kept or overwritten. Either way the old stays whole until the new one is. */
Status merge_publish(MergeJob *job, Err *e);
/* Opens job->target and fills kl, kl_base, top1 of the report. */
Status merge_verify(MergeJob *job, Err *e);

#endif
