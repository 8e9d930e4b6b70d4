/* t_config.c: ModelConfig from config.json in both dialects and from GGUF metadata: values, defaults, refusals. */
#include "checkpoints/gguf_config.h"
#include "checkpoints/hf_config.h"

#include "files.h"

/* What every config.json below begins with; the text of a case follows. */
#define SIZES                                                                                                          \
    "{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":64,\"num_hidden_layers\":3,\"num_attention_heads\":4,"  \
    "\"intermediate_size\":96,\"vocab_size\":320"
#define LLAMA3                                                                                                         \
    "\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,\"original_max_position_embeddings\":8192"

static Status read_text(Fixture *f, const char *text, ModelConfig *c) {
    Json *root;
    Status st = json_parse(f->a, "config.json", text, strlen(text), &root, &f->e);
    if (st != OK) return st;
    return model_config_from_hf(f->a, root, "config.json", c, &f->e);
}

static void same_config(const ModelConfig *a, const ModelConfig *b) {
    assert_string_equal(a->arch, b->arch);
    assert_string_equal(a->hidden_act, b->hidden_act);
    ModelConfig x = *a, y = *b;
    x.arch = y.arch = x.hidden_act = y.hidden_act = NULL;
    assert_memory_equal(&x, &y, sizeof x);
}

static void hf_defaults(void **state) {
    Fixture *f = *state;
    ModelConfig c;
    GOOD(f, read_text(f, SIZES "}", &c));
    assert_string_equal(c.arch, "LlamaForCausalLM");
    assert_string_equal(c.hidden_act, "silu");
    assert_true(c.n_layers == 3 && c.d_model == 64 && c.n_heads == 4 && c.n_kv_heads == 4 && c.head_dim == 16);
    assert_true(c.d_ff == 96 && c.vocab_size == 320 && c.max_positions == 2048 && c.rms_eps == 1e-6);
    assert_true(c.rope.theta == 10000 && c.rope.scaling == ROPE_SCALING_NONE && c.rope.factor == 1);
    assert_true(!c.tie_embeddings && !c.attention_bias && !c.mlp_bias && !c.rope_interleaved);
    assert_true(c.bos_id == -1 && c.n_eos == 0 && c.rope.divisors == NULL);
}

static void hf_values(void **state) {
    Fixture *f = *state;
    ModelConfig c;
    GOOD(f, read_text(f,
                      SIZES
                      ",\"num_key_value_heads\":2,\"head_dim\":40,\"rms_norm_eps\":1e-5,\"tie_word_embeddings\":true,"
                      "\"attention_bias\":true,\"mlp_bias\":true,\"hidden_act\":\"gelu\",\"bos_token_id\":7,"
                      "\"eos_token_id\":[1,2,3],\"max_position_embeddings\":131072,\"pad_token_id\":null,"
                      "\"pretraining_tp\":1,\"use_cache\":true,\"attention_dropout\":0.0,\"sliding_window\":null,"
                      "\"rope_interleaved\":false,\"is_llama_config\":true,\"future_key\":null}",
                      &c));
    assert_true(c.n_kv_heads == 2 && c.head_dim == 40 && c.rms_eps == 1e-5 && c.tie_embeddings && c.attention_bias);
    assert_true(c.mlp_bias && c.bos_id == 7 && c.n_eos == 3 && c.eos_ids[2] == 3 && c.max_positions == 131072);
    assert_string_equal(c.hidden_act, "gelu");
}

/* What Transformers 4 and 5 write for the same model is the same config. */
static void hf_dialects(void **state) {
    Fixture *f = *state;
    static const struct {
        const char *v4, *v5;
    } PAIRS[] = {
        {SIZES ",\"rope_theta\":500000.0,\"rope_scaling\":null,\"torch_dtype\":\"bfloat16\"}",
         SIZES ",\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":500000.0},\"dtype\":\"bfloat16\"}"},
        {SIZES ",\"rope_theta\":500000.0,\"rope_scaling\":{\"rope_type\":\"llama3\"," LLAMA3 "}}",
         SIZES ",\"rope_parameters\":{\"rope_type\":\"llama3\",\"rope_theta\":500000.0," LLAMA3 "}}"},
        {SIZES ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2.0}}",
         SIZES ",\"rope_parameters\":{\"rope_type\":\"linear\",\"rope_theta\":10000.0,\"factor\":2}}"},
        {SIZES ",\"rope_theta\":1e6,\"head_dim\":null,\"num_key_value_heads\":null}",
         SIZES ",\"rope_theta\":1000000,\"rope_parameters\":{\"rope_theta\":1000000.0},\"head_dim\":16,"
               "\"layer_types\":[\"full_attention\",\"full_attention\",\"full_attention\"]}"},
    };
    for (size_t i = 0; i < sizeof PAIRS / sizeof PAIRS[0]; i++) {
        ModelConfig a, b;
        memset(&a, 0, sizeof a);
        memset(&b, 0, sizeof b);
        GOOD(f, read_text(f, PAIRS[i].v4, &a));
        GOOD(f, read_text(f, PAIRS[i].v5, &b));
        same_config(&a, &b);
        assert_true(i != 1 || (a.rope.scaling == ROPE_SCALING_LLAMA3 && a.rope.factor == 8 && a.rope.theta == 500000 &&
                               a.rope.low_freq_factor == 1 && a.rope.high_freq_factor == 4 &&
                               a.rope.original_max_positions == 8192));
        assert_true(i != 2 || (a.rope.scaling == ROPE_SCALING_LINEAR && a.rope.factor == 2));
    }
}

static void hf_refusals(void **state) {
    Fixture *f = *state;
    static const struct {
        const char *text, *says;
    } CASES[] = {
        {"[]", "expected a JSON object"},
        {"{}", "'architectures'"},
        {"{\"architectures\":[]}", "'architectures'"},
        {"{\"architectures\":[\"A\",\"B\"]}", "'architectures'"},
        {"{\"architectures\":[\"A\"]}", "num_hidden_layers"},
        {SIZES ",\"new_scaling\":2}", "does not know the key 'new_scaling'"},
        {SIZES ",\"quantization_config\":{\"bits\":4}}", "'quantization_config'"},
        {SIZES ",\"text_config\":{}}", "several modalities"},
        {SIZES ",\"auto_map\":{\"a\":\"b\"}}", "its own Python code"},
        {SIZES ",\"pretraining_tp\":2}", "'pretraining_tp' has a value that lorac does not support, expected 1"},
        {SIZES ",\"attention_dropout\":0.1}", "'attention_dropout'"},
        {SIZES ",\"partial_rotary_factor\":0.5}", "'partial_rotary_factor'"},
        {SIZES ",\"sliding_window\":4096}", "'sliding_window'"},
        {SIZES ",\"use_sliding_window\":true,\"sliding_window\":4096}", "sliding_window'"},
        {SIZES ",\"layer_types\":[\"full_attention\",\"sliding_attention\"]}", "'layer_types'"},
        {SIZES ",\"rope_interleaved\":true}", "'rope_interleaved'"},
        {SIZES ",\"num_key_value_heads\":3}", "cannot share 3 key/value heads"},
        {SIZES ",\"num_key_value_heads\":0}", "num_key_value_heads"},
        {SIZES ",\"num_key_value_heads\":-1}", "num_key_value_heads"},
        {SIZES ",\"num_key_value_heads\":2.5}", "num_key_value_heads"},
        {SIZES ",\"head_dim\":15}", "head size 15 is odd"},
        {SIZES ",\"head_dim\":1000000}", "head_dim"},
        {SIZES ",\"max_position_embeddings\":1e30}", "max_position_embeddings"},
        {SIZES ",\"rms_norm_eps\":0}", "epsilon"},
        {SIZES ",\"rms_norm_eps\":\"x\"}", "rms_norm_eps"},
        {SIZES ",\"tie_word_embeddings\":1}", "tie_word_embeddings"},
        {SIZES ",\"hidden_act\":1}", "'hidden_act'"},
        {SIZES ",\"bos_token_id\":-1}", "bos_token_id"},
        {SIZES ",\"eos_token_id\":\"2\"}", "eos_token_id"},
        {SIZES ",\"eos_token_id\":[1,99999999999]}", "eos_token_id"},
        {SIZES ",\"rope_theta\":0}", "rope base"},
        {SIZES ",\"rope_scaling\":[]}", "is no object"},
        {SIZES ",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4}}", "rope scaling 'yarn' is not supported"},
        {SIZES ",\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":4}}", "'dynamic'"},
        {SIZES ",\"rope_scaling\":{\"type\":\"longrope\"}}", "'longrope'"},
        {SIZES ",\"rope_scaling\":{\"type\":7}}", "rope scaling"},
        {SIZES ",\"rope_scaling\":{\"type\":\"linear\"}}", "factor"},
        {SIZES ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":0.5}}", "factor is 0.5"},
        {SIZES ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2,\"beta\":1}}", "rope setting 'beta'"},
        {SIZES ",\"rope_scaling\":{\"factor\":2}}", "rope setting 'factor'"},
        {SIZES ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8}}", "low_freq_factor"},
        {SIZES ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,\"high_freq_factor\":1,"
               "\"original_max_position_embeddings\":8192}}",
         "low_freq_factor 4"},
        {SIZES ",\"rope_parameters\":{\"full_attention\":{\"rope_theta\":1e6}}}",
         "'full_attention'; rope that differs"},
        {SIZES ",\"rope_parameters\":{\"rope_theta\":1e6,\"partial_rotary_factor\":0.5}}", "partial_rotary_factor"},
        {SIZES ",\"rope_parameters\":{\"rope_theta\":1e6},\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}}",
         "both"},
        {SIZES ",\"rope_theta\":1e4,\"rope_parameters\":{\"rope_theta\":1e6}}", "rope_theta is 10000 at the top"},
        {"{\"architectures\":[\"A\"],\"hidden_size\":65,\"num_hidden_layers\":3,\"num_attention_heads\":4,"
         "\"intermediate_size\":96,\"vocab_size\":320}",
         "no multiple of the 4 attention heads"},
        {"{\"architectures\":[\"A\"],\"hidden_size\":64,\"num_hidden_layers\":2000,\"num_attention_heads\":4,"
         "\"intermediate_size\":96,\"vocab_size\":320}",
         "num_hidden_layers"},
        {"{\"architectures\":[\"A\"],\"hidden_size\":64,\"num_hidden_layers\":2,\"num_attention_heads\":16384,"
         "\"head_dim\":16384,\"intermediate_size\":96,\"vocab_size\":320}",
         "heads times head size"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        ModelConfig c;
        f->e.message[0] = 0;
        Status st = read_text(f, CASES[i].text, &c);
        if (st != ERR_FORMAT) fail_msg("case %zu: %s: %s", i, CASES[i].text, status_text(st));
        if (strstr(f->e.message, CASES[i].says) == NULL)
            fail_msg("%s: '%s' does not say '%s'", CASES[i].text, f->e.message, CASES[i].says);
        assert_non_null(strstr(f->e.message, "config.json"));
    }
}

/* ---- GGUF -------------------------------------------------------------------------------------------------------- */

/* Writes a GGUF that holds a config, with one change by `change`, and reads the config. */
typedef Status (*Change)(GgufWriter *w, Err *e);

static Status make_gguf(Fixture *f, const char *path, Change change, bool output, int freqs) {
    GgufWriter *w;
    Err *e = &f->e;
    const int64_t embedding[] = {64, 10}, norm[] = {64}, rope[] = {8};
    float data[64 * 10 * 2 + 64 + 8];
    size_t n = 64 * 10 + 64;
    for (size_t i = 0; i < sizeof data / sizeof *data; i++) data[i] = (float)(i % 7 + 1);
    TRY(gguf_writer_open(f->a, path, &w, e));
    TRY(gguf_writer_string(w, "general.architecture", "test", e));
    TRY(gguf_writer_u32(w, "test.block_count", 3, e));
    TRY(gguf_writer_u32(w, "test.context_length", 512, e));
    TRY(gguf_writer_u32(w, "test.embedding_length", 64, e));
    TRY(gguf_writer_u32(w, "test.feed_forward_length", 96, e));
    TRY(gguf_writer_u32(w, "test.attention.head_count", 4, e));
    TRY(gguf_writer_f32(w, "test.attention.layer_norm_rms_epsilon", 1e-5f, e));
    if (change != NULL) TRY(change(w, e));
    TRY(gguf_writer_tensor(w, "token_embd.weight", 0, 2, embedding, e));
    TRY(gguf_writer_tensor(w, "output_norm.weight", 0, 1, norm, e));
    if (output) TRY(gguf_writer_tensor(w, "output.weight", 0, 2, embedding, e));
    if (freqs > 0) TRY(gguf_writer_tensor(w, "rope_freqs.weight", 0, 1, rope, e));
    if (output) n += 64 * 10;
    if (freqs == 2) data[n + 3] = 0;
    if (freqs > 0) n += 8;
    TRY(gguf_writer_data(w, data, n * sizeof *data, e));
    return gguf_writer_commit(w, e);
}

static Status read_gguf(Fixture *f, Change change, bool output, int freqs, ModelConfig *c) {
    char *path = in_folder(f, "config.gguf");
    Gguf *g;
    GOOD(f, make_gguf(f, path, change, output, freqs));
    GOOD(f, gguf_open(f->a, path, &g, &f->e));
    Status st = model_config_from_gguf(f->a, g, c, &f->e);
    gguf_close(g);
    return st;
}

static void gguf_defaults(void **state) {
    Fixture *f = *state;
    ModelConfig c;
    GOOD(f, read_gguf(f, NULL, false, 0, &c));
    assert_string_equal(c.arch, "test");
    assert_true(c.n_layers == 3 && c.d_model == 64 && c.n_heads == 4 && c.n_kv_heads == 4 && c.head_dim == 16);
    assert_true(c.d_ff == 96 && c.vocab_size == 10 && c.max_positions == 512 && (float)c.rms_eps == 1e-5f);
    assert_true(c.rope.theta == 10000 && c.rope.scaling == ROPE_SCALING_NONE && c.rope.divisors == NULL);
    assert_true(c.tie_embeddings && c.rope_interleaved && c.bos_id == -1 && c.n_eos == 0);
    GOOD(f, read_gguf(f, NULL, true, 1, &c));
    assert_false(c.tie_embeddings);
    for (int i = 0; i < 8; i++) assert_true(c.rope.divisors[i] == (float)((64 * 10 * 2 + 64 + i) % 7 + 1));
}

static Status many_values(GgufWriter *w, Err *e) {
    const uint32_t kv[3] = {2, 2, 2};
    TRY(gguf_writer_array(w, "test.attention.head_count_kv", GGUF_U32, kv, 3, e));
    TRY(gguf_writer_u32(w, "test.attention.key_length", 32, e));
    TRY(gguf_writer_u32(w, "test.attention.value_length", 32, e));
    TRY(gguf_writer_u32(w, "test.rope.dimension_count", 32, e));
    TRY(gguf_writer_f32(w, "test.rope.freq_base", 500000.0f, e));
    TRY(gguf_writer_string(w, "test.rope.scaling.type", "linear", e));
    TRY(gguf_writer_f32(w, "test.rope.scaling.factor", 4.0f, e));
    TRY(gguf_writer_u32(w, "test.vocab_size", 10, e));
    TRY(gguf_writer_u32(w, "test.expert_count", 0, e));
    TRY(gguf_writer_string(w, "general.type", "model", e));
    TRY(gguf_writer_u32(w, "tokenizer.ggml.bos_token_id", 1, e));
    TRY(gguf_writer_u32(w, "tokenizer.ggml.eos_token_id", 2, e));
    return gguf_writer_u32(w, "tokenizer.ggml.eot_token_id", 3, e);
}

static Status no_scaling(GgufWriter *w, Err *e) {
    TRY(gguf_writer_string(w, "test.rope.scaling.type", "none", e));
    return gguf_writer_f32(w, "test.rope.scaling.factor", 4.0f, e);
}

static void gguf_values(void **state) {
    Fixture *f = *state;
    ModelConfig c;
    GOOD(f, read_gguf(f, many_values, false, 0, &c));
    assert_true(c.n_kv_heads == 2 && c.head_dim == 32 && c.rope.theta == 500000 && c.rope.factor == 4);
    assert_true(c.rope.scaling == ROPE_SCALING_LINEAR && c.bos_id == 1 && c.n_eos == 2 && c.eos_ids[0] == 2 &&
                c.eos_ids[1] == 3);
    GOOD(f, read_gguf(f, no_scaling, false, 0, &c));
    assert_true(c.rope.scaling == ROPE_SCALING_NONE && c.rope.factor == 1);
}

#define CHANGE_U32(name, key, value)                                                                                   \
    static Status name(GgufWriter *w, Err *e) { return gguf_writer_u32(w, key, value, e); }
CHANGE_U32(bad_layers, "test.block_count", 2000)
CHANGE_U32(bad_kv, "test.attention.head_count_kv", 3)
CHANGE_U32(bad_value_length, "test.attention.value_length", 8)
CHANGE_U32(bad_rotary, "test.rope.dimension_count", 8)
CHANGE_U32(bad_vocabulary, "test.vocab_size", 11)
CHANGE_U32(bad_experts, "test.expert_count", 8)
CHANGE_U32(bad_window, "test.attention.sliding_window", 4096)
CHANGE_U32(bad_unknown, "test.logit_scale", 1)
CHANGE_U32(bad_type, "test.attention.layer_norm_rms_epsilon", 2)
CHANGE_U32(bad_arch, "general.architecture", 2)
CHANGE_U32(bad_bos, "tokenizer.ggml.bos_token_id", 0xffffffffu)
static Status bad_rope(GgufWriter *w, Err *e) { return gguf_writer_string(w, "test.rope.scaling.type", "yarn", e); }
static Status bad_kind(GgufWriter *w, Err *e) { return gguf_writer_string(w, "general.type", "adapter", e); }
static Status bad_missing(GgufWriter *w, Err *e) { return gguf_writer_remove(w, "test.embedding_length", e); }
static Status bad_by_layer(GgufWriter *w, Err *e) {
    const uint32_t kv[3] = {2, 4, 2};
    return gguf_writer_array(w, "test.attention.head_count_kv", GGUF_U32, kv, 3, e);
}
static Status bad_empty_array(GgufWriter *w, Err *e) {
    return gguf_writer_array(w, "test.attention.head_count", GGUF_U32, "", 0, e);
}

static void gguf_refusals(void **state) {
    Fixture *f = *state;
    static const struct {
        Change change;
        const char *says;
    } CASES[] = {
        {bad_layers, "'test.block_count' is 2000"},
        {bad_kv, "cannot share 3"},
        {bad_value_length, "values of 8"},
        {bad_rotary, "over 8 numbers"},
        {bad_vocabulary, "'test.vocab_size' is 11, but token_embd.weight has 10 rows"},
        {bad_experts, "'test.expert_count'"},
        {bad_window, "'test.attention.sliding_window'"},
        {bad_unknown, "architecture 'test' has the key 'test.logit_scale', which lorac does not know"},
        {bad_type, "epsilon"},
        {bad_arch, "'general.architecture' is of type u32"},
        {bad_bos, "bos_token_id"},
        {bad_rope, "'yarn' is not supported"},
        {bad_kind, "general.type is 'adapter'"},
        {bad_missing, "'test.embedding_length' is missing"},
        {bad_by_layer, "differs between layers"},
        {bad_empty_array, "empty array"},
    };
    ModelConfig c;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        f->e.message[0] = 0;
        BAD(f, read_gguf(f, CASES[i].change, false, 0, &c), ERR_FORMAT, CASES[i].says);
        assert_non_null(strstr(f->e.message, "config.gguf"));
    }
    BAD(f, read_gguf(f, NULL, false, 2, &c), ERR_FORMAT, "rope_freqs.weight[3] is 0");
}

/* ---- damage ------------------------------------------------------------------------------------------------------ */

static Status use_hf(Fixture *f, const char *path) {
    ModelConfig c;
    return model_config_read_hf(f->a, path, &c, &f->e);
}

static Status use_gguf(Fixture *f, const char *path) {
    ModelConfig c;
    Gguf *g;
    Status st = gguf_open(f->a, path, &g, &f->e);
    if (st != OK) return st;
    st = model_config_from_gguf(f->a, g, &c, &f->e);
    gguf_close(g);
    return st;
}

static void damaged(void **state) {
    Fixture *f = *state;
    static const char TEXT[] = SIZES ",\"eos_token_id\":[1,2],\"rope_scaling\":{\"rope_type\":\"llama3\"," LLAMA3 "}}";
    char *json = in_folder(f, "damaged.json"), *gguf = in_folder(f, "damaged.gguf");
    Gguf *g;
    put_file(json, TEXT, sizeof TEXT - 1);
    truncate_everywhere(f, json, "damaged.json", sizeof TEXT - 1, use_hf);
    damage_everywhere(f, json, "damaged.json", sizeof TEXT - 1, use_hf);
    starve(f, json, use_hf);
    GOOD(f, make_gguf(f, gguf, no_scaling, true, 1));
    GOOD(f, gguf_open(f->a, gguf, &g, &f->e));
    size_t header = g->header_bytes[0];
    gguf_close(g);
    damage_everywhere(f, gguf, "damaged.gguf", header, use_gguf);
    starve(f, gguf, use_gguf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(hf_defaults),   FIXTURE_TEST(hf_values),   FIXTURE_TEST(hf_dialects),   FIXTURE_TEST(hf_refusals),
        FIXTURE_TEST(gguf_defaults), FIXTURE_TEST(gguf_values), FIXTURE_TEST(gguf_refusals), FIXTURE_TEST(damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
