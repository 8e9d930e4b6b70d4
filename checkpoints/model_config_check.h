/* model_config_check.h: the checks that both readers of ModelConfig share. */
#ifndef LORAC_CHECKPOINTS_MODEL_CONFIG_CHECK_H
#define LORAC_CHECKPOINTS_MODEL_CONFIG_CHECK_H

#include "base/status.h"
#include "checkpoints/model_config.h"

/* head_dim = d_model / n_heads, which must divide. */
Status model_config_default_head_dim(ModelConfig *c, const char *what, Err *e);

/* Relations and ranges of a filled config; what: the file, for messages. ERR_FORMAT. */
Status model_config_check(const ModelConfig *c, const char *what, Err *e);

#endif
