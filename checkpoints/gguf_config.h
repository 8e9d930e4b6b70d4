/* gguf_config.h: the metadata of a GGUF model to ModelConfig.
 *
 * Keys are read under the file's own architecture prefix. A key under that prefix that is neither used nor known to
 * change nothing is an error naming it. */
#ifndef LORAC_CHECKPOINTS_GGUF_CONFIG_H
#define LORAC_CHECKPOINTS_GGUF_CONFIG_H

#include "checkpoints/gguf.h"
#include "checkpoints/model_config.h"

/* ERR_FORMAT with file and key. Arrays and strings of *out live in the arena. */
Status model_config_from_gguf(Arena *a, const Gguf *g, ModelConfig *out, Err *e);

#endif
