/* hf_config.h: config.json of a Hugging Face model folder to ModelConfig.
 *
 * Reads what Transformers 4 (rope_theta, rope_scaling, torch_dtype) and 5 (rope_parameters, dtype) write. Every key is
 * either used, on the list of keys that change nothing, or an error naming it. */
#ifndef LORAC_CHECKPOINTS_HF_CONFIG_H
#define LORAC_CHECKPOINTS_HF_CONFIG_H

#include "base/json.h"
#include "checkpoints/model_config.h"

enum { HF_CONFIG_MAX_BYTES = 1 << 24 };

/* root: the parsed file; what: its path, for messages. ERR_FORMAT with the key, the value and what is supported. */
Status model_config_from_hf(Arena *a, const Json *root, const char *what, ModelConfig *out, Err *e);

/* Reads and parses the file at path, then as above. */
Status model_config_read_hf(Arena *a, const char *path, ModelConfig *out, Err *e);

#endif
