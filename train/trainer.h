/* trainer.h: one training run, from config to the last adapter.
 *
 * trainer_open does everything up to the first step (data, model, adapter, graphs, all memory), so that `lorac plan` opens
 * a run, reads the arenas, and closes it. A step: micro-batches forward and backward, gradients folded by row, norm,
 * AdamW, then its metrics line, evaluation, checkpoint, in that order. A stop request discards the step in progress. */
#ifndef LORAC_TRAIN_TRAINER_H
#define LORAC_TRAIN_TRAINER_H

#include "configs/config.h"
#include "data/batches.h"
#include "train/evaluate.h"
#include "train/metrics.h"
#include "train/schedule.h"

typedef struct MemoryPlan {
    uint64_t weights, state, activations, scratch, host, save, peak, mapped;
} MemoryPlan;

/* Duplicates among the rows of `datasets` as read, for lorac data stats. */
typedef struct DataCounts {
    bool wanted;
    int64_t rows;
    int64_t exact, text; /* rows that equal an earlier one (duplicates.h); text -1: there is no tokenizer */
} DataCounts;

/* What a command wants of a run's data. */
typedef enum DataUse {
    DATA_TRAIN,   /* batches; what is not prepared yet is kept in dataset_prepared_path */
    DATA_BATCHES, /* batches; nothing is written */
    DATA_ROWS /* the rows in file order, cut as excess_length_strategy says, before the held-out split and packing; nothing
                   * is written */
} DataUse;

typedef struct Trainer {
    Ctx *ctx;
    Config *config;
    Arena *host; /* data, tokenizer, batches; nothing is allocated from it after the first step */
    Arena *save; /* scratch of checkpoints and exports, given back after each; once the run is open, of fixed size */
    Session session;
    Adapter *adapter;
    struct Tokenizer *tokenizer; /* NULL when every dataset holds token ids */
    Dataset train;
    DataCounts counts;
    bool data_only;      /* nothing is trained: what it cannot be trained on may be looked at */
    DataCheck *check;    /* of trainer_check_data */
    EvalResult *results; /* by set */
    EvalSet *sets;       /* held-out sets; the first decides which adapter is best */
    int64_t n_sets;
    Batches *batches;
    BatchLimits limits;
    bool recompute;
    TargetSet eval_targets; /* of held-out sets */
    Runner runner;
    Evaluator evaluator;
    Schedule schedule;
    Metrics metrics;
    BatchView view;
    RowSpan *rows; /* of one micro-batch */
    float *weight, *logp;
    double *row_loss; /* by row of the optimizer batch */
    void *square_ws;
    int64_t steps; /* of the whole run */
    char base_hash[HASH_HEX_BYTES], data_hash[HASH_HEX_BYTES];
    char tokenizer_hash
        [HASH_HEX_BYTES];             /* of a model folder's tokenizer files; "" for a GGUF, whose identity has them */
    char parent_hash[HASH_HEX_BYTES]; /* of the adapter in lora_model_dir; "" without one */
    const char *output_dir;
    /* what a checkpoint keeps */
    int64_t step, tokens_seen, trained_seen;
    double epoch, loss_sum; /* epochs done; sum over steps of mean loss * trained tokens */
    double best_loss;
    int64_t best_step, evals_without_gain; /* best_step -1: none */
    int64_t evaluated_step;                /* the last step whose evaluation is complete, -1: none */
    int64_t saved_step;                    /* of the newest checkpoint, -1: none */
    int lock;                              /* holds output_dir; -1: none */
    double started_s;
    size_t save_bytes;
    MemoryPlan planned; /* as of trainer_open */
} Trainer;

/* What trainer_close takes when nothing was opened. */
#define TRAINER_CLOSED                                                                                                 \
    { .metrics = {.file = {.fd = -1}}, .lock = -1 }

/* plan_only: no output folder is made or read. */
Status trainer_open(Ctx *ctx, Config *config, bool plan_only, Trainer *t, Err *e);
/* The data of a run and nothing else, for `lorac data`. */
Status trainer_open_data(Ctx *ctx, Config *config, DataUse use, Trainer *t, Err *e);
/* Checks every row of the run's data (dataset_check) and keeps none. */
Status trainer_check_data(Ctx *ctx, Config *config, DataCheck *check, Trainer *t, Err *e);
/* Trains to the end, or until a stop request (ERR_STOPPED after saving the last completed step). */
Status trainer_run(Trainer *t, Err *e);
void trainer_close(Trainer *t);

/* The config of `lorac train` or `lorac plan`: file, overrides, notes printed. resume: as if resume_from_checkpoint: auto. */
Status load_run_config(Ctx *ctx, const Args *args, bool resume, Config **out, Err *e);

/* ---- shared by trainer*.c ---------------------------------------------------------------------------------------- */

typedef struct StepResult {
    double loss, grad_norm, learning_rate;
    int64_t tokens, trained;
    Hash128 hash;
} StepResult;
/* One optimizer step; ERR_STOPPED when a stop was requested in it (nothing was changed). */
Status trainer_step(Trainer *t, StepResult *r, Err *e);

/* The gradient sum (n_params; may be the adapter's tree) and the loss of rows [first, end) of the coming step, as a part of
 * the whole optimizer batch. A run of 2^k rows that begins at a multiple of 2^k is a subtree of the batch's row tree. */
Status trainer_gradient(Trainer *t, int64_t first, int64_t end, float *sum, double *loss, Err *e);

/* write, which puts files into the output folder; again where another process removed the folder or what is in it meanwhile. e is
 * not NULL. */
Status trainer_write(Trainer *t, Status (*write)(Trainer *t, Err *e), Err *e);
/* Writes checkpoint-<step> and the adapter at the top of the output folder. */
Status trainer_save(Trainer *t, Err *e);
/* Bytes of all arenas of the run at their peaks: what `lorac plan` prints. The run's own peaks are the same to the byte
 * (P8): trainer_run compares them at its end. mapped: the base's files, which are not allocated. */
MemoryPlan trainer_memory(const Trainer *t);
/* The plan as a table, a line each. */
Status trainer_memory_table(const Trainer *t, const MemoryPlan *p, Buf *out, Err *e);
/* From the first step on no arena of the run but `save`, which is of fixed size, gives memory: CHECK. */
void trainer_freeze(const Trainer *t, bool frozen);
/* ERR_CHECK when the peaks are not those of the plan. */
Status trainer_check_plan(const Trainer *t, Err *e);
/* The most memory a run may take: max_memory, else what the machine has. */
uint64_t trainer_memory_limit(const Trainer *t);
/* The bytes that one checkpoint with its export takes from `save`. */
Status trainer_save_bytes(Trainer *t, size_t *bytes, Err *e);
/* Opens tokenizer, datasets, held-out sets and batches. With t->check every file is checked, those of test_datasets too, and
 * nothing is kept. */
Status trainer_data(Trainer *t, DataUse use, Err *e);
/* Checks that need the base (context, adapter kind) and records what `auto` became. */
Status trainer_check_config(Trainer *t, Err *e);
/* ERR_CONFIG where output_dir holds a run that is neither gone on with nor overwritten. */
Status trainer_check_folder(Trainer *t, Err *e);
/* Starts a new run folder, or goes on from the newest valid checkpoint, as the config says. */
Status trainer_begin(Trainer *t, Err *e);
/* Evaluates all held-out sets, writes their events, keeps the best adapter. */
Status trainer_evaluate(Trainer *t, Err *e);
/* Around whatever is written from `save`: the activations of the last step are forgotten, so that the two never take memory at
 * the same time; then what `save` took. */
ArenaMark trainer_save_begin(const Trainer *t);
void trainer_save_end(const Trainer *t, ArenaMark mark);
/* Writes the adapter to folder. */
Status trainer_export(Trainer *t, const char *folder, Err *e);

#endif
