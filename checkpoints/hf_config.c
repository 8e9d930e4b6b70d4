/* hf_config.c: config.json to ModelConfig. See hf_config.h.
 *
 * KEYS says for every key that may occur what is done with it; a key that is not there is an error unless its value is
 * null. So a setting that lorac does not know cannot be dropped in silence, and supporting one more is one row. */
#include "checkpoints/hf_config.h"

#include "checkpoints/model_config_check.h"

#include <math.h>
#include <string.h>

typedef enum Rule {
    USED,    /* read below */
    NEUTRAL, /* changes nothing that lorac computes */
    IS_FALSE,
    IS_ZERO,
    IS_ONE,
    IS_EMPTY,       /* {} or [] */
    FULL_ATTENTION, /* a list of "full_attention" */
    NO_WINDOW       /* null, or a number while use_sliding_window is false */
} Rule;

static const struct {
    const char *key;
    Rule rule;
} KEYS[] = {
    {"architectures", USED},
    {"attention_bias", USED},
    {"bos_token_id", USED},
    {"eos_token_id", USED},
    {"head_dim", USED},
    {"hidden_act", USED},
    {"hidden_size", USED},
    {"intermediate_size", USED},
    {"max_position_embeddings", USED},
    {"mlp_bias", USED},
    {"num_attention_heads", USED},
    {"num_hidden_layers", USED},
    {"num_key_value_heads", USED},
    {"rms_norm_eps", USED},
    {"rope_parameters", USED},
    {"rope_scaling", USED},
    {"rope_theta", USED},
    {"tie_word_embeddings", USED},
    {"vocab_size", USED},
    /* Settings of the maths, allowed at the one value that lorac computes. */
    {"add_cross_attention", IS_FALSE},
    {"attention_dropout", IS_ZERO},
    {"chunk_size_feed_forward", IS_ZERO},
    {"embd_pdrop", IS_ZERO},
    {"hidden_dropout", IS_ZERO},
    {"is_encoder_decoder", IS_FALSE},
    {"layer_types", FULL_ATTENTION},
    {"partial_rotary_factor", IS_ONE},
    {"pretraining_tp", IS_ONE},
    {"pruned_heads", IS_EMPTY},
    {"resid_pdrop", IS_ZERO},
    {"rope_interleaved", IS_FALSE},
    {"sliding_window", NO_WINDOW},
    {"tie_encoder_decoder", IS_FALSE},
    {"use_sliding_window", IS_FALSE},
    /* What concerns saving, loading, generation, classification or training elsewhere. */
    {"_attn_implementation", NEUTRAL},
    {"_attn_implementation_autoset", NEUTRAL},
    {"_commit_hash", NEUTRAL},
    {"_flash_attn_2_enabled", NEUTRAL},
    {"_name_or_path", NEUTRAL},
    {"attn_implementation", NEUTRAL},
    {"bad_words_ids", NEUTRAL},
    {"begin_suppress_tokens", NEUTRAL},
    {"cross_attention_hidden_size", NEUTRAL},
    {"decoder_start_token_id", NEUTRAL},
    {"diversity_penalty", NEUTRAL},
    {"do_sample", NEUTRAL},
    {"dtype", NEUTRAL},
    {"early_stopping", NEUTRAL},
    {"encoder_no_repeat_ngram_size", NEUTRAL},
    {"exponential_decay_length_penalty", NEUTRAL},
    {"finetuning_task", NEUTRAL},
    {"forced_bos_token_id", NEUTRAL},
    {"forced_eos_token_id", NEUTRAL},
    {"id2label", NEUTRAL},
    {"initializer_range", NEUTRAL},
    {"is_decoder", NEUTRAL},
    {"is_llama_config", NEUTRAL},
    {"label2id", NEUTRAL},
    {"length_penalty", NEUTRAL},
    {"max_length", NEUTRAL},
    {"max_sequence_length", NEUTRAL},
    {"max_window_layers", NEUTRAL},
    {"min_length", NEUTRAL},
    {"model_type", NEUTRAL},
    {"no_repeat_ngram_size", NEUTRAL},
    {"num_beam_groups", NEUTRAL},
    {"num_beams", NEUTRAL},
    {"num_return_sequences", NEUTRAL},
    {"output_attentions", NEUTRAL},
    {"output_hidden_states", NEUTRAL},
    {"output_scores", NEUTRAL},
    {"pad_token_id", NEUTRAL},
    {"prefix", NEUTRAL},
    {"problem_type", NEUTRAL},
    {"remove_invalid_values", NEUTRAL},
    {"repetition_penalty", NEUTRAL},
    {"return_dict", NEUTRAL},
    {"return_dict_in_generate", NEUTRAL},
    {"sep_token_id", NEUTRAL},
    {"suppress_tokens", NEUTRAL},
    {"task_specific_params", NEUTRAL},
    {"temperature", NEUTRAL},
    {"tf_legacy_loss", NEUTRAL},
    {"tokenizer_class", NEUTRAL},
    {"top_k", NEUTRAL},
    {"top_p", NEUTRAL},
    {"torch_dtype", NEUTRAL},
    {"torchscript", NEUTRAL},
    {"transformers.js_config", NEUTRAL},
    {"transformers_version", NEUTRAL},
    {"typical_p", NEUTRAL},
    {"unk_token_id", NEUTRAL},
    {"unsloth_fixed", NEUTRAL},
    {"unsloth_version", NEUTRAL},
    {"use_bfloat16", NEUTRAL},
    {"use_cache", NEUTRAL},
};

/* Keys worth a sentence of their own. */
static const struct {
    const char *key, *why;
} REFUSED[] = {
    {"quantization_config", "the weights are quantized in a format of safetensors that lorac does not read; use the "
                            "unquantized model or a GGUF file"},
    {"text_config", "a model of several modalities; lorac reads text-only models"},
    {"auto_map", "the model comes with its own Python code, whose maths lorac cannot know"},
};

static const Json *get(const Json *obj, const char *key) {
    const Json *v = json_get(obj, key);
    return v == NULL || v->type == JSON_NULL ? NULL : v;
}

static bool is_number(const Json *v, double want) {
    double x;
    return json_number(v, &x) && x == want;
}

static Status check_rule(const Json *root, const char *what, const char *key, const Json *v, Rule rule, Err *e) {
    const char *expected = NULL;
    const Json *use;
    switch (rule) {
    case USED:
    case NEUTRAL:
        break;
    case IS_FALSE:
        expected = v->type == JSON_BOOL && !v->boolean ? NULL : "false";
        break;
    case IS_ZERO:
        expected = is_number(v, 0) ? NULL : "0";
        break;
    case IS_ONE:
        expected = is_number(v, 1) ? NULL : "1";
        break;
    case IS_EMPTY:
        expected = (v->type == JSON_OBJECT || v->type == JSON_ARRAY) && v->n == 0 ? NULL : "empty";
        break;
    case FULL_ATTENTION:
        if (v->type != JSON_ARRAY)
            expected = "a list of \"full_attention\"";
        else
            for (uint32_t i = 0; i < v->n; i++)
                if (!json_is_string(&v->list.items[i], "full_attention"))
                    expected = "\"full_attention\" for every layer";
        break;
    case NO_WINDOW:
        use = get(root, "use_sliding_window");
        if (use == NULL || use->type != JSON_BOOL || use->boolean) expected = "null";
        break;
    }
    if (expected != NULL)
        FAIL(e, ERR_FORMAT, "%s: '%s' has a value that lorac does not support, expected %s", what, key, expected);
    return OK;
}

static Status check_keys(const Json *root, const char *what, Err *e) {
    for (uint32_t i = 0; i < root->n; i++) {
        const Json *v = &root->list.items[i];
        const char *key = root->list.keys[i].s;
        if (v->type == JSON_NULL) continue;
        for (size_t r = 0; r < sizeof REFUSED / sizeof REFUSED[0]; r++)
            if (strcmp(key, REFUSED[r].key) == 0) FAIL(e, ERR_FORMAT, "%s: '%s': %s", what, key, REFUSED[r].why);
        size_t k = 0;
        while (k < sizeof KEYS / sizeof KEYS[0] && strcmp(key, KEYS[k].key) != 0) k++;
        if (k == sizeof KEYS / sizeof KEYS[0])
            FAIL(
                e, ERR_FORMAT,
                "%s: lorac does not know the key '%.100s', which may change what the model computes; if it surely does "
                "not, remove it",
                what, key);
        TRY(check_rule(root, what, key, v, KEYS[k].rule, e));
    }
    return OK;
}

static Status get_int(const Json *root, const char *what, const char *key, int64_t max, int64_t fallback, int64_t *out,
                      Err *e) {
    *out = fallback;
    if (get(root, key) == NULL && fallback > 0) return OK;
    return json_want_int(root, what, key, 1, max, out, e);
}

static Status get_real(const Json *obj, const char *what, const char *key, double fallback, double *out, Err *e) {
    *out = fallback;
    return get(obj, key) == NULL ? OK : json_want_real(obj, what, key, out, e);
}

static Status get_bool(const Json *root, const char *what, const char *key, bool *out, Err *e) {
    *out = false;
    return get(root, key) == NULL ? OK : json_want_bool(root, what, key, out, e);
}

static Status get_text(Arena *a, const Json *v, const char **out, Err *e) {
    char *copy;
    TRY(arena_strndup(a, v->string.s, v->string.len, &copy, e));
    *out = copy;
    return OK;
}

/* ---- rope -------------------------------------------------------------------------------------------------------- */

static Status rope_kind(const Json *rope, const char *what, RopeScaling *out, Err *e) {
    const Json *kind = get(rope, "rope_type"), *old = get(rope, "type");
    if (kind == NULL) kind = old;
    *out = ROPE_SCALING_NONE;
    if (kind == NULL || json_is_string(kind, "default")) return OK;
    if (json_is_string(kind, "linear"))
        *out = ROPE_SCALING_LINEAR;
    else if (json_is_string(kind, "llama3"))
        *out = ROPE_SCALING_LLAMA3;
    else
        FAIL(e, ERR_FORMAT, "%s: rope scaling '%.40s' is not supported (default, linear and llama3 are)", what,
             kind->type == JSON_STRING ? kind->string.s : json_type_name(kind->type));
    return OK;
}

/* Keys inside rope_scaling / rope_parameters. */
static Status check_rope_keys(const Json *rope, const char *what, RopeScaling scaling, Err *e) {
    static const char *const KNOWN[] = {"rope_type",
                                        "type",
                                        "rope_theta",
                                        "factor",
                                        "low_freq_factor",
                                        "high_freq_factor",
                                        "original_max_position_embeddings",
                                        "partial_rotary_factor"};
    for (uint32_t i = 0; i < rope->n; i++) {
        const Json *v = &rope->list.items[i];
        const char *key = rope->list.keys[i].s;
        if (v->type == JSON_NULL) continue;
        if (v->type == JSON_OBJECT)
            FAIL(e, ERR_FORMAT,
                 "%s: rope_parameters has settings of its own for '%.60s'; rope that differs by layer is "
                 "not supported",
                 what, key);
        bool known = false;
        for (size_t k = 0; k < sizeof KNOWN / sizeof KNOWN[0]; k++) known = known || strcmp(key, KNOWN[k]) == 0;
        bool llama3 = strcmp(key, "low_freq_factor") == 0 || strcmp(key, "high_freq_factor") == 0;
        if (!known || (llama3 && scaling != ROPE_SCALING_LLAMA3) ||
            (strcmp(key, "factor") == 0 && scaling == ROPE_SCALING_NONE && !is_number(v, 1)))
            FAIL(e, ERR_FORMAT, "%s: the rope setting '%.60s' is not known for this kind of rope scaling", what, key);
        if (strcmp(key, "partial_rotary_factor") == 0 && !is_number(v, 1))
            FAIL(e, ERR_FORMAT, "%s: partial_rotary_factor is not 1; rotating a part of a head is not supported", what);
    }
    return OK;
}

static Status read_rope(const Json *root, const char *what, RopeConfig *out, Err *e) {
    const Json *scaling = get(root, "rope_scaling"), *rope = get(root, "rope_parameters");
    double theta;
    if (scaling != NULL && rope != NULL)
        FAIL(e, ERR_FORMAT, "%s: has both rope_scaling and rope_parameters; remove the one that is not meant", what);
    if (rope == NULL) rope = scaling;
    TRY(get_real(root, what, "rope_theta", 10000, &out->theta, e));
    out->factor = 1;
    if (rope == NULL) return OK;
    if (rope->type != JSON_OBJECT) FAIL(e, ERR_FORMAT, "%s: rope_parameters or rope_scaling is no object", what);
    TRY(rope_kind(rope, what, &out->scaling, e));
    TRY(check_rope_keys(rope, what, out->scaling, e));
    TRY(get_real(rope, what, "rope_theta", out->theta, &theta, e));
    if (get(root, "rope_theta") != NULL && theta != out->theta)
        FAIL(e, ERR_FORMAT, "%s: rope_theta is %g at the top and %g in rope_parameters", what, out->theta, theta);
    out->theta = theta;
    if (out->scaling == ROPE_SCALING_NONE) return OK;
    TRY(json_want_real(rope, what, "factor", &out->factor, e));
    if (out->scaling == ROPE_SCALING_LINEAR) return OK;
    TRY(json_want_real(rope, what, "low_freq_factor", &out->low_freq_factor, e));
    TRY(json_want_real(rope, what, "high_freq_factor", &out->high_freq_factor, e));
    return json_want_int(rope, what, "original_max_position_embeddings", 1, MODEL_POSITIONS_MAX,
                         &out->original_max_positions, e);
}

/* ---- ids and names ----------------------------------------------------------------------------------------------- */

static Status read_eos(const Json *root, const char *what, ModelConfig *out, Err *e) {
    const Json *v = get(root, "eos_token_id");
    if (v == NULL) return OK;
    const Json *items = v->type == JSON_ARRAY ? v->list.items : v;
    uint32_t n = v->type == JSON_ARRAY ? v->n : 1;
    if (n > MODEL_EOS_MAX)
        FAIL(e, ERR_FORMAT, "%s: eos_token_id lists %u ids, at most %d are read", what, n, MODEL_EOS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        if (items[i].type != JSON_INT || items[i].integer < 0 || items[i].integer >= MODEL_VOCAB_MAX)
            FAIL(e, ERR_FORMAT, "%s: eos_token_id is no token id or list of token ids (0 to %d)", what,
                 MODEL_VOCAB_MAX - 1);
        out->eos_ids[i] = items[i].integer;
    }
    out->n_eos = (int)n;
    return OK;
}

static Status read_names(Arena *a, const Json *root, const char *what, ModelConfig *out, Err *e) {
    const Json *list = get(root, "architectures"), *act = get(root, "hidden_act");
    if (list == NULL || list->type != JSON_ARRAY || list->n != 1 || list->list.items[0].type != JSON_STRING)
        FAIL(e, ERR_FORMAT, "%s: 'architectures' is no list of one name", what);
    TRY(get_text(a, &list->list.items[0], &out->arch, e));
    out->hidden_act = "silu";
    if (act == NULL) return OK;
    if (act->type != JSON_STRING) FAIL(e, ERR_FORMAT, "%s: 'hidden_act' is no string", what);
    return get_text(a, act, &out->hidden_act, e);
}

Status model_config_from_hf(Arena *a, const Json *root, const char *what, ModelConfig *out, Err *e) {
    ModelConfig c = {.bos_id = -1};
    if (root->type != JSON_OBJECT) FAIL(e, ERR_FORMAT, "%s: expected a JSON object", what);
    TRY(check_keys(root, what, e));
    TRY(read_names(a, root, what, &c, e));
    TRY(get_int(root, what, "num_hidden_layers", MODEL_LAYERS_MAX, 0, &c.n_layers, e));
    TRY(get_int(root, what, "hidden_size", MODEL_WIDTH_MAX, 0, &c.d_model, e));
    TRY(get_int(root, what, "num_attention_heads", MODEL_HEADS_MAX, 0, &c.n_heads, e));
    TRY(get_int(root, what, "num_key_value_heads", MODEL_HEADS_MAX, c.n_heads, &c.n_kv_heads, e));
    TRY(get_int(root, what, "intermediate_size", MODEL_WIDTH_MAX, 0, &c.d_ff, e));
    TRY(get_int(root, what, "vocab_size", MODEL_VOCAB_MAX, 0, &c.vocab_size, e));
    TRY(get_int(root, what, "max_position_embeddings", MODEL_POSITIONS_MAX, 2048, &c.max_positions, e));
    if (get(root, "head_dim") == NULL)
        TRY(model_config_default_head_dim(&c, what, e));
    else
        TRY(get_int(root, what, "head_dim", MODEL_HEAD_DIM_MAX, 0, &c.head_dim, e));
    TRY(get_real(root, what, "rms_norm_eps", 1e-6, &c.rms_eps, e));
    TRY(get_bool(root, what, "tie_word_embeddings", &c.tie_embeddings, e));
    TRY(get_bool(root, what, "attention_bias", &c.attention_bias, e));
    TRY(get_bool(root, what, "mlp_bias", &c.mlp_bias, e));
    TRY(read_rope(root, what, &c.rope, e));
    if (get(root, "bos_token_id") != NULL)
        TRY(json_want_int(root, what, "bos_token_id", 0, MODEL_VOCAB_MAX - 1, &c.bos_id, e));
    TRY(read_eos(root, what, &c, e));
    TRY(model_config_check(&c, what, e));
    *out = c;
    return OK;
}

Status model_config_read_hf(Arena *a, const char *path, ModelConfig *out, Err *e) {
    Json *root;
    TRY(json_read(a, path, HF_CONFIG_MAX_BYTES, &root, e));
    return model_config_from_hf(a, root, path, out, e);
}
