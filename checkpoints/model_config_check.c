/* model_config_check.c: see model_config_check.h. */
#include "checkpoints/model_config_check.h"

#include <math.h>

Status model_config_default_head_dim(ModelConfig *c, const char *what, Err *e) {
    if (c->n_heads < 1 || c->d_model % c->n_heads != 0)
        FAIL(e, ERR_FORMAT, "%s: the width %lld is no multiple of the %lld attention heads, and no head size is given",
             what, (long long)c->d_model, (long long)c->n_heads);
    c->head_dim = c->d_model / c->n_heads;
    return OK;
}

static Status want_range(const char *what, const char *name, int64_t v, int64_t max, Err *e) {
    if (v < 1 || v > max)
        FAIL(e, ERR_FORMAT, "%s: %s is %lld, expected 1 to %lld", what, name, (long long)v, (long long)max);
    return OK;
}

static Status check_rope(const RopeConfig *r, const char *what, Err *e) {
    if (!(r->theta >= 1 && r->theta <= 1e12))
        FAIL(e, ERR_FORMAT, "%s: the rope base is %g, expected 1 to 1e12", what, r->theta);
    if (!(r->factor >= 1 && r->factor <= 1e6))
        FAIL(e, ERR_FORMAT, "%s: the rope scaling factor is %g, expected 1 to 1e6", what, r->factor);
    if (r->scaling != ROPE_SCALING_LLAMA3) return OK;
    if (!(r->low_freq_factor > 0 && r->low_freq_factor <= r->high_freq_factor && r->high_freq_factor <= 1e6))
        FAIL(e, ERR_FORMAT, "%s: low_freq_factor %g and high_freq_factor %g, expected 0 < low <= high", what,
             r->low_freq_factor, r->high_freq_factor);
    return want_range(what, "original_max_position_embeddings", r->original_max_positions, MODEL_POSITIONS_MAX, e);
}

Status model_config_check(const ModelConfig *c, const char *what, Err *e) {
    TRY(want_range(what, "the number of layers", c->n_layers, MODEL_LAYERS_MAX, e));
    TRY(want_range(what, "the width", c->d_model, MODEL_WIDTH_MAX, e));
    TRY(want_range(what, "the number of attention heads", c->n_heads, MODEL_HEADS_MAX, e));
    TRY(want_range(what, "the number of key/value heads", c->n_kv_heads, MODEL_HEADS_MAX, e));
    TRY(want_range(what, "the head size", c->head_dim, MODEL_HEAD_DIM_MAX, e));
    TRY(want_range(what, "heads times head size", c->n_heads * c->head_dim, MODEL_WIDTH_MAX, e));
    TRY(want_range(what, "the feed-forward width", c->d_ff, MODEL_WIDTH_MAX, e));
    TRY(want_range(what, "the vocabulary size", c->vocab_size, MODEL_VOCAB_MAX, e));
    TRY(want_range(what, "the context length", c->max_positions, MODEL_POSITIONS_MAX, e));
    if (c->n_heads % c->n_kv_heads != 0)
        FAIL(e, ERR_FORMAT, "%s: %lld attention heads cannot share %lld key/value heads evenly", what,
             (long long)c->n_heads, (long long)c->n_kv_heads);
    if (c->head_dim % 2 != 0)
        FAIL(e, ERR_FORMAT, "%s: the head size %lld is odd; rotary positions need pairs", what, (long long)c->head_dim);
    if (!(c->rms_eps > 0 && c->rms_eps < 1))
        FAIL(e, ERR_FORMAT, "%s: the norm's epsilon is %g, expected above 0 and below 1", what, c->rms_eps);
    return check_rope(&c->rope, what, e);
}
