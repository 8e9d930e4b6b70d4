/* trainer_state.h: what a checkpoint of a run holds, for the files that write it (trainer_state.c) and read it back
 * (trainer_resume.c). The layout is checkpoints/state_hdf5.h's; its names:
 *   array  adapter, adam_m, adam_v   (1, n_params): the tensors one after another, in the order of the text `tensors`
 *   int    step, steps (of the whole run), tokens_seen, trained_seen, best_step, evals_without_gain, evaluated_step,
 *          metrics_bytes, n_params
 *   real   epoch (the data cursor: epochs done), loss_sum (of all steps: mean loss * trained tokens), best_loss
 *   text   config (the keys that decide bytes), base_hash, tokenizer_hash, data_hash, cpu_level, parent_hash, and
 *          tensors: "NAME ROWS COLS" a line, NAME as in adapter_model.safetensors */
#ifndef LORAC_TRAIN_TRAINER_STATE_H
#define LORAC_TRAIN_TRAINER_STATE_H

#include "checkpoints/state_hdf5.h"
#include "train/trainer.h"

/* A text of the state. A resumed run must have the same; `key` is what --force-resume calls it, NULL: it cannot be forced. */
typedef struct StateTextRow {
    const char *name, *key, *what;
} StateTextRow;

enum { STATE_TEXTS = 7 };
extern const StateTextRow STATE_TEXT_ROWS[STATE_TEXTS];

/* The texts of the run as it is now, in the order of STATE_TEXT_ROWS, in t->save. */
Status trainer_state_texts(Trainer *t, StateText out[STATE_TEXTS], Err *e);

/* Goes on from `folder`, or (NULL) from the newest valid checkpoint of the output folder; *found false when there is none. */
Status trainer_resume(Trainer *t, const char *folder, bool *found, Err *e);

#endif
