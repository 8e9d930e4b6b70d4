/* metrics.h: metrics.jsonl, one JSON object per event (the stable surface of product.md).
 *
 * Times and memory are the only members that may differ between equal runs. A line is on disk (synced) before the
 * checkpoint that covers it counts; on resume the file is cut to the length the checkpoint recorded. */
#ifndef LORAC_TRAIN_METRICS_H
#define LORAC_TRAIN_METRICS_H

#include "base/buf.h"
#include "base/file.h"
#include "base/hash.h"

typedef struct Metrics {
    AppendFile file; /* fd -1: not open */
    char *path;
    Buf line;
    uint64_t bytes; /* length of the file so far */
} Metrics;

typedef struct StepMetrics {
    int64_t step; /* completed steps, from 1 */
    double epoch, loss, learning_rate, grad_norm;
    int64_t tokens, trained_tokens;
    double seconds, elapsed_s; /* of this step; since the run began */
    Hash128 state_hash;
} StepMetrics;

typedef struct EvalMetrics {
    int64_t step;
    const char *dataset;
    double loss;
    int64_t tokens;
} EvalMetrics;

/* Takes all memory that lines will need; longest_name: the longest dataset name in bytes. */
Status metrics_prepare(Arena *a, const char *output_dir, size_t longest_name, Metrics *m, Err *e);
/* Opens the file. keep_bytes: 0 for a new run, else the length recorded by the checkpoint; m->bytes is less when the
 * file is shorter. */
Status metrics_open(uint64_t keep_bytes, Metrics *m, Err *e);
Status metrics_step(Metrics *m, const StepMetrics *s, Err *e);
Status metrics_eval(Metrics *m, const EvalMetrics *v, Err *e);
Status metrics_sync(Metrics *m, Err *e);
void metrics_close(Metrics *m);

#endif
