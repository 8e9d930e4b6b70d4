/* rotary.h: tables of cos and sin for rotary embeddings. */
#ifndef LORAC_TRAIN_MODEL_ROTARY_H
#define LORAC_TRAIN_MODEL_ROTARY_H

#include "base/arena.h"
#include "checkpoints/model_config.h"

/* cos, sin (positions, head_dim/2) f32 of pos * inv_freq. The frequencies and the angle are rounded to f32 at the same
 * places as Hugging Face's modeling_rope_utils does, so that long positions agree. */
Status rotary_tables(Arena *a, const RopeConfig *rope, int64_t head_dim, int64_t positions, float **cos_out,
                     float **sin_out, Err *e);

/* inv_freq (head_dim/2) after scaling. */
void rotary_frequencies(const RopeConfig *rope, int64_t head_dim, float *inv_freq);

#endif
