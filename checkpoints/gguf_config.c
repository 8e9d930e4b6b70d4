/* gguf_config.c: GGUF metadata to ModelConfig. See gguf_config.h.
 *
 * KEYS lists what may stand under "<architecture>."; any other key there is an error. Sizes that the tensors say as
 * well (vocabulary, tied head) are taken from the tensors. */
#include "checkpoints/gguf_config.h"

#include "checkpoints/bytes.h"
#include "checkpoints/model_config_check.h"
#include "kernels/quant.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { KEY_BYTES = 160, ARCH_MAX = 64 };

typedef enum Rule { USED, NEUTRAL, IS_ZERO, IS_ONE, IS_TRUE, IS_FALSE } Rule;

static const struct {
    const char *key;
    Rule rule;
} KEYS[] = {
    {"context_length", USED},
    {"embedding_length", USED},
    {"block_count", USED},
    {"feed_forward_length", USED},
    {"vocab_size", USED},
    {"attention.head_count", USED},
    {"attention.head_count_kv", USED},
    {"attention.key_length", USED},
    {"attention.value_length", USED},
    {"attention.layer_norm_rms_epsilon", USED},
    {"rope.dimension_count", USED},
    {"rope.freq_base", USED},
    {"rope.scaling.type", USED},
    {"rope.scaling.factor", USED},
    {"rope.scale_linear", USED},
    /* Settings of the maths, allowed at the one value that lorac computes. */
    {"attention.causal", IS_TRUE},
    {"attention.sliding_window", IS_ZERO},
    {"expert_count", IS_ZERO},
    {"expert_used_count", IS_ZERO},
    {"rope.scaling.attn_factor", IS_ONE},
    {"use_parallel_residual", IS_FALSE},
    /* What changes nothing. The original context counts for yarn only, which is refused. */
    {"rope.scaling.finetuned", NEUTRAL},
    {"rope.scaling.original_context_length", NEUTRAL},
    {"tensor_data_layout", NEUTRAL},
};

/* The file's key names: "<architecture>.<rest>". */
typedef struct Names {
    const Gguf *g;
    char arch[ARCH_MAX + 1];
    char key[KEY_BYTES];
} Names;

static const char *name(Names *x, const char *rest) {
    snprintf(x->key, sizeof x->key, "%s.%s", x->arch, rest);
    return x->key;
}

static Status check_rule(const Gguf *g, const GgufKv *kv, Rule rule, Err *e) {
    double v = NAN;
    if (rule == USED || rule == NEUTRAL) return OK;
    if (kv->type == GGUF_BOOL)
        v = kv->value[0];
    else
        gguf_kv_real(kv, &v);
    double want = rule == IS_ONE || rule == IS_TRUE ? 1 : 0;
    if (v != want)
        FAIL(e, ERR_FORMAT, "%s: key '%s' has a value that lorac does not support, expected %g", g->path, kv->key,
             want);
    return OK;
}

static Status check_keys(const Names *x, Err *e) {
    size_t len = strlen(x->arch);
    for (int64_t i = 0; i < x->g->n_kv; i++) {
        const GgufKv *kv = &x->g->kv[i];
        if (strncmp(kv->key, x->arch, len) != 0 || kv->key[len] != '.') continue;
        size_t k = 0;
        while (k < sizeof KEYS / sizeof KEYS[0] && strcmp(kv->key + len + 1, KEYS[k].key) != 0) k++;
        if (k == sizeof KEYS / sizeof KEYS[0])
            FAIL(e, ERR_FORMAT,
                 "%s: architecture '%s' has the key '%.100s', which lorac does not know and which may change what the "
                 "model computes",
                 x->g->path, x->arch, kv->key);
        TRY(check_rule(x->g, kv, KEYS[k].rule, e));
    }
    return OK;
}

/* A count that may be one number or, with equal entries, an array with one per layer. */
static Status per_layer(const Gguf *g, const char *key, int64_t max, int64_t fallback, int64_t *out, Err *e) {
    const GgufKv *kv = gguf_kv(g, key);
    if (kv == NULL || kv->type != GGUF_ARRAY) {
        if (fallback > 0) return gguf_int_or(g, key, 1, max, fallback, out, e);
        return gguf_int(g, key, 1, max, out, e);
    }
    for (uint64_t i = 0; i < kv->n; i++) {
        int64_t v;
        if (!gguf_elem_int(kv, i, &v) || v < 1 || v > max)
            FAIL(e, ERR_FORMAT, "%s: key '%s', layer %llu: expected 1 to %lld", g->path, key, (unsigned long long)i,
                 (long long)max);
        if (i > 0 && v != *out)
            FAIL(e, ERR_FORMAT, "%s: key '%s' differs between layers; such models are not supported", g->path, key);
        *out = v;
    }
    if (kv->n == 0) FAIL(e, ERR_FORMAT, "%s: key '%s' is an empty array", g->path, key);
    return OK;
}

static Status read_sizes(Names *x, ModelConfig *c, Err *e) {
    const Gguf *g = x->g;
    TRY(gguf_int(g, name(x, "block_count"), 1, MODEL_LAYERS_MAX, &c->n_layers, e));
    TRY(gguf_int(g, name(x, "embedding_length"), 1, MODEL_WIDTH_MAX, &c->d_model, e));
    TRY(gguf_int(g, name(x, "context_length"), 1, MODEL_POSITIONS_MAX, &c->max_positions, e));
    TRY(per_layer(g, name(x, "feed_forward_length"), MODEL_WIDTH_MAX, 0, &c->d_ff, e));
    TRY(per_layer(g, name(x, "attention.head_count"), MODEL_HEADS_MAX, 0, &c->n_heads, e));
    TRY(per_layer(g, name(x, "attention.head_count_kv"), MODEL_HEADS_MAX, c->n_heads, &c->n_kv_heads, e));
    TRY(gguf_real(g, name(x, "attention.layer_norm_rms_epsilon"), &c->rms_eps, e));
    return OK;
}

static Status read_head_dim(Names *x, ModelConfig *c, Err *e) {
    const Gguf *g = x->g;
    int64_t value_dim, rotary;
    if (gguf_kv(g, name(x, "attention.key_length")) == NULL) TRY(model_config_default_head_dim(c, g->path, e));
    TRY(gguf_int_or(g, name(x, "attention.key_length"), 1, MODEL_HEAD_DIM_MAX, c->head_dim, &c->head_dim, e));
    TRY(gguf_int_or(g, name(x, "attention.value_length"), 1, MODEL_HEAD_DIM_MAX, c->head_dim, &value_dim, e));
    TRY(gguf_int_or(g, name(x, "rope.dimension_count"), 1, MODEL_HEAD_DIM_MAX, c->head_dim, &rotary, e));
    if (value_dim != c->head_dim || rotary != c->head_dim)
        FAIL(e, ERR_FORMAT,
             "%s: keys of %lld, values of %lld and rotary positions over %lld numbers a head; these must be equal",
             g->path, (long long)c->head_dim, (long long)value_dim, (long long)rotary);
    return OK;
}

static Status read_rope(Names *x, ModelConfig *c, Err *e) {
    const Gguf *g = x->g;
    GgufString type = {"", 0};
    double old_scale;
    TRY(gguf_real_or(g, name(x, "rope.freq_base"), 10000, &c->rope.theta, e));
    TRY(gguf_real_or(g, name(x, "rope.scale_linear"), 1, &old_scale, e));
    TRY(gguf_real_or(g, name(x, "rope.scaling.factor"), old_scale, &c->rope.factor, e));
    bool typed = gguf_kv(g, name(x, "rope.scaling.type")) != NULL;
    if (typed) TRY(gguf_string(g, x->key, &type, e));
    bool linear = !typed || (type.len == 6 && memcmp(type.s, "linear", 6) == 0);
    if (!linear && !(type.len == 4 && memcmp(type.s, "none", 4) == 0))
        FAIL(e, ERR_FORMAT, "%s: rope scaling '%.*s' is not supported (none and linear are)", g->path,
             (int)(type.len < 40 ? type.len : 40), type.s);
    if (!linear || c->rope.factor == 0) c->rope.factor = 1; /* 0 is how some converters write "none" */
    c->rope.scaling = c->rope.factor != 1 ? ROPE_SCALING_LINEAR : ROPE_SCALING_NONE;
    return OK;
}

/* rope_freqs.weight, copied: F32 [head_dim / 2], positive. */
static Status read_divisors(Arena *a, const Gguf *g, ModelConfig *c, Err *e) {
    const GgufTensor *t = gguf_tensor(g, "rope_freqs.weight");
    if (t == NULL) return OK;
    int64_t n = c->head_dim / 2;
    if (t->ggml_type != (uint32_t)wtype_traits(WT_F32)->ggml_type || t->dims[0] != n || t->bytes != (uint64_t)n * 4)
        FAIL(e, ERR_FORMAT, "%s: rope_freqs.weight is no F32 tensor of %lld numbers", g->path, (long long)n);
    float *divisors;
    TRY(ARENA_NEW(a, n, divisors, e));
    memcpy(divisors, t->data, (size_t)t->bytes);
    for (int64_t i = 0; i < n; i++)
        if (!(divisors[i] > 0 && divisors[i] <= 1e6f))
            FAIL(e, ERR_FORMAT, "%s: rope_freqs.weight[%lld] is %g, expected above 0 and at most 1e6", g->path,
                 (long long)i, (double)divisors[i]);
    c->rope.divisors = divisors;
    return OK;
}

static Status read_vocabulary(Names *x, ModelConfig *c, Err *e) {
    const Gguf *g = x->g;
    const GgufTensor *embedding = gguf_tensor(g, "token_embd.weight");
    int64_t said, eot;
    if (embedding == NULL || embedding->n_dims != 2)
        FAIL(e, ERR_FORMAT, "%s: has no matrix token_embd.weight; is it a language model?", g->path);
    c->vocab_size = embedding->dims[1];
    TRY(gguf_int_or(g, name(x, "vocab_size"), 1, MODEL_VOCAB_MAX, c->vocab_size, &said, e));
    if (said != c->vocab_size)
        FAIL(e, ERR_FORMAT, "%s: key '%s' is %lld, but token_embd.weight has %lld rows", g->path, x->key,
             (long long)said, (long long)c->vocab_size);
    c->tie_embeddings = gguf_tensor(g, "output.weight") == NULL;
    TRY(gguf_int_or(g, "tokenizer.ggml.bos_token_id", 0, MODEL_VOCAB_MAX - 1, -1, &c->bos_id, e));
    TRY(gguf_int_or(g, "tokenizer.ggml.eos_token_id", 0, MODEL_VOCAB_MAX - 1, -1, &c->eos_ids[0], e));
    TRY(gguf_int_or(g, "tokenizer.ggml.eot_token_id", 0, MODEL_VOCAB_MAX - 1, -1, &eot, e));
    if (c->eos_ids[0] >= 0)
        c->n_eos = 1;
    else
        c->eos_ids[0] = 0;
    if (eot >= 0 && (c->n_eos == 0 || eot != c->eos_ids[0])) c->eos_ids[c->n_eos++] = eot;
    return OK;
}

static Status read_arch(Names *x, Err *e) {
    GgufString arch, type;
    const Gguf *g = x->g;
    if (gguf_kv(g, "general.type") != NULL) {
        TRY(gguf_string(g, "general.type", &type, e));
        if (type.len != 5 || memcmp(type.s, "model", 5) != 0)
            FAIL(e, ERR_FORMAT, "%s: general.type is '%.*s', expected 'model'", g->path,
                 (int)(type.len < 40 ? type.len : 40), type.s);
    }
    TRY(gguf_string(g, "general.architecture", &arch, e));
    if (arch.len < 1 || arch.len > ARCH_MAX || memchr(arch.s, 0, arch.len) != NULL)
        FAIL(e, ERR_FORMAT, "%s: general.architecture is no name of 1 to %d characters", g->path, ARCH_MAX);
    memcpy(x->arch, arch.s, arch.len);
    x->arch[arch.len] = 0;
    return OK;
}

Status model_config_from_gguf(Arena *a, const Gguf *g, ModelConfig *out, Err *e) {
    Names x = {.g = g};
    ModelConfig c = {.bos_id = -1, .hidden_act = "silu", .rope_interleaved = true};
    char *arch;
    TRY(read_arch(&x, e));
    TRY(check_keys(&x, e));
    TRY(arena_strdup(a, x.arch, &arch, e));
    c.arch = arch;
    TRY(read_sizes(&x, &c, e));
    TRY(read_head_dim(&x, &c, e));
    TRY(read_rope(&x, &c, e));
    TRY(read_vocabulary(&x, &c, e));
    TRY(model_config_check(&c, g->path, e));
    TRY(read_divisors(a, g, &c, e));
    *out = c;
    return OK;
}
