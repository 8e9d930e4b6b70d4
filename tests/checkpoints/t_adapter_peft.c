/* t_adapter_peft.c: PEFT LoRA folders: one that peft saved is read with its scales and values; what lorac writes is
 * read back and depends on nothing else; patterns; every refusal; every damage. */
#include "checkpoints/adapter_peft.h"
#include "checkpoints/peft_pattern.h"

#include <math.h>

#include "files.h"

#define PEFT GOLDEN "peft_adapter"

static double sum_of(const void *data, WType type, int64_t n) {
    float y[256];
    double sum = 0;
    assert_true(n <= 256);
    wtype_traits(type)->unpack(y, data, 0, n);
    for (int64_t i = 0; i < n; i++) sum += (double)y[i];
    return sum;
}

/* The sums and scales that make_golden.py recorded in versions.json. */
static double recorded(Fixture *f, const char *group, const char *key) {
    Json *root;
    double v = NAN;
    GOOD(f, json_read(f->a, GOLDEN "versions.json", 1 << 16, &root, &f->e));
    assert_true(json_number(json_get(json_get(json_get(root, "adapter"), group), key), &v));
    return v;
}

static void reads_peft(void **state) {
    Fixture *f = *state;
    PeftAdapter *p;
    static const struct {
        const char *module;
        int64_t r, in, out;
        double alpha;
    } EXPECTED[] = {{"model.layers.0.mlp.down_proj", 2, 24, 16, 6},
                    {"model.layers.0.self_attn.q_proj", 4, 16, 16, 8},
                    {"model.layers.0.self_attn.v_proj", 4, 16, 8, 3.5}};
    GOOD(f, peft_adapter_open(f->a, PEFT, &p, &f->e));
    assert_true(p->n == 3 && p->r == 4 && p->alpha == 6 && p->use_rslora && p->dropout == 0.05);
    assert_string_equal(p->base_model, "");
    for (int i = 0; i < 3; i++) {
        const LoraPair *x = &p->pairs[i];
        char name[128];
        assert_string_equal(x->module, EXPECTED[i].module);
        assert_ptr_equal(peft_adapter_find(p, x->module), x);
        assert_true(x->r == EXPECTED[i].r && x->in == EXPECTED[i].in && x->out == EXPECTED[i].out);
        assert_true(x->alpha == EXPECTED[i].alpha);
        assert_true(fabs(x->scale - recorded(f, "scales", x->module)) < 1e-12);
        snprintf(name, sizeof name, "base_model.model.%s.lora_A.default.weight", x->module);
        assert_true(fabs(sum_of(x->a, x->a_type, x->r * x->in) - recorded(f, "sums", name)) < 1e-9);
        snprintf(name, sizeof name, "base_model.model.%s.lora_B.default.weight", x->module);
        assert_true(fabs(sum_of(x->b, x->b_type, x->out * x->r) - recorded(f, "sums", name)) < 1e-9);
    }
    assert_null(peft_adapter_find(p, "model.layers.0.self_attn.k_proj"));
    peft_adapter_close(p);
}

static const float A1[2 * 3] = {1, 2, 3, 4, 5, 6}, B1[4 * 2] = {1, -1, 2, -2, 3, -3, 4, -4};
static const float A2[1 * 4] = {0.5f, 1, 1.5f, 2}, B2[2 * 1] = {7, 8};

static Status write_small(Fixture *f, const char *folder, bool reversed) {
    LoraSource pairs[2] = {{"m.layers.0.q_proj", A1, B1, 2, 3, 4, 4}, {"m.layers.1.o_proj", A2, B2, 1, 4, 2, 2.5}};
    if (reversed) {
        LoraSource first = pairs[0];
        pairs[0] = pairs[1];
        pairs[1] = first;
    }
    const StMeta meta[] = {{"lorac.base", "abc"}};
    const PeftWrite w = {
        .pairs = pairs, .n = 2, .r = 2, .alpha = 4, .dropout = 0.1, .base_model = "a/\"b\"", .meta = meta, .n_meta = 1};
    return peft_adapter_write(f->a, folder, &w, &f->e);
}

static char *inside(Fixture *f, const char *folder, const char *name) {
    char *path = NULL;
    GOOD(f, path_join(f->a, folder, name, &path, &f->e));
    return path;
}

static const char EXPECTED_CONFIG[] = "{\n"
                                      "  \"alpha_pattern\": {\n"
                                      "    \"m.layers.1.o_proj\": 2.5\n"
                                      "  },\n"
                                      "  \"auto_mapping\": null,\n"
                                      "  \"base_model_name_or_path\": \"a/\\\"b\\\"\",\n"
                                      "  \"bias\": \"none\",\n"
                                      "  \"fan_in_fan_out\": false,\n"
                                      "  \"inference_mode\": true,\n"
                                      "  \"init_lora_weights\": true,\n"
                                      "  \"layer_replication\": null,\n"
                                      "  \"layers_pattern\": null,\n"
                                      "  \"layers_to_transform\": null,\n"
                                      "  \"loftq_config\": {},\n"
                                      "  \"lora_alpha\": 4,\n"
                                      "  \"lora_dropout\": 0.1,\n"
                                      "  \"megatron_config\": null,\n"
                                      "  \"megatron_core\": \"megatron.core\",\n"
                                      "  \"modules_to_save\": null,\n"
                                      "  \"peft_type\": \"LORA\",\n"
                                      "  \"r\": 2,\n"
                                      "  \"rank_pattern\": {\n"
                                      "    \"m.layers.1.o_proj\": 1\n"
                                      "  },\n"
                                      "  \"revision\": null,\n"
                                      "  \"target_modules\": [\n"
                                      "    \"o_proj\",\n"
                                      "    \"q_proj\"\n"
                                      "  ],\n"
                                      "  \"task_type\": \"CAUSAL_LM\",\n"
                                      "  \"use_dora\": false,\n"
                                      "  \"use_rslora\": false\n"
                                      "}\n";

static void writes_and_reads(void **state) {
    Fixture *f = *state;
    PeftAdapter *p;
    size_t n;
    char *one = in_folder(f, "one"), *two = in_folder(f, "two/deep");
    GOOD(f, write_small(f, one, false));
    GOOD(f, write_small(f, one, false)); /* replaces */
    GOOD(f, write_small(f, two, true));
    same_files(f, inside(f, one, "adapter_model.safetensors"), inside(f, two, "adapter_model.safetensors"));
    same_files(f, inside(f, one, "adapter_config.json"), inside(f, two, "adapter_config.json"));
    const char *config = get_file(f, inside(f, one, "adapter_config.json"), &n);
    assert_string_equal(config, EXPECTED_CONFIG);
    GOOD(f, peft_adapter_open(f->a, one, &p, &f->e));
    assert_true(p->n == 2 && p->r == 2 && p->alpha == 4 && !p->use_rslora && p->dropout == 0.1);
    assert_string_equal(p->base_model, "a/\"b\"");
    assert_true(json_is_string(json_get(p->metadata, "format"), "pt"));
    assert_true(json_is_string(json_get(p->metadata, "lorac.base"), "abc"));
    assert_true(p->pairs[0].scale == 2 && p->pairs[1].scale == 2.5);
    assert_memory_equal(p->pairs[0].a, A1, sizeof A1);
    assert_memory_equal(p->pairs[0].b, B1, sizeof B1);
    assert_memory_equal(p->pairs[1].a, A2, sizeof A2);
    assert_memory_equal(p->pairs[1].b, B2, sizeof B2);
    peft_adapter_close(p);
}

static void patterns(void **state) {
    Fixture *f = *state;
    static const struct {
        const char *pattern, *module;
        int matches; /* -1: refused */
    } CASES[] = {
        {"q_proj", "model.layers.0.self_attn.q_proj", 1},
        {"q_proj", "q_proj", 1},
        {"proj", "model.layers.0.self_attn.q_proj", 0},
        {"self_attn.q_proj", "model.layers.0.self_attn.q_proj", 1},
        {"model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.q_proj", 1},
        {"self_attn.q_proj", "model.layers.0.self_attnXq_proj", 1}, /* '.' is any character in PEFT too */
        {"q_proj", "model.q_proj.x", 0},
        {"layers.1", "model.layers.11", 0},
        {"model\\.layers\\.0\\..*", "model.layers.0.mlp.up_proj", 1},
        {"model\\.layers\\.0\\..*", "model.layers.10.mlp.up_proj", 0},
        {".*\\.mlp\\.(up|down)_proj", "model.layers.0.mlp.down_proj", 1},
        {".*\\.mlp\\.(up|down)_proj", "model.layers.0.mlp.gate_proj", 0},
        {"up_proj|down_proj", "model.layers.0.mlp.down_proj", 1},
        {"layers\\.[0-3]\\.x", "model.layers.2.x", 1},
        {"layers\\.[^0-3]\\.x", "model.layers.2.x", 0},
        {"^q_proj", "q_proj", 1},
        {"a+b?c*", "aab", 1},
        {"", "x", -1},
        {"\\d+", "1", -1},
        {"(?:a)", "a", -1},
        {"a{2}", "aa", -1},
        {"a*?", "a", -1},
        {"*a", "a", -1},
        {"(a", "a", -1},
        {"[a", "a", -1},
        {"[\\d]", "a", -1},
        {"a||b", "a", -1},
        {"a\\", "a", -1},
        /* Repetitions of repetitions cost time and memory that double with each level. */
        {"(a+)+", "aa", -1},
        {"((a*))+", "aa", -1},
        {"((x|b+)c)*", "aa", -1},
        {"a+)+(b", "aa", -1},
        {"(a+)(b)+", "aabb", 1},
        {"(a+)?b+", "aab", 1},
        {"([a+])+", "a+", 1},
        {"(a\\+)+", "a+a+", 1},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        Buf b = {.arena = f->a};
        Json *root;
        PatternList list;
        double v = 0;
        GOOD(f, buf_puts(&b, "{\"p\":{\"zzz\":7,", &f->e));
        GOOD(f, json_put_string(&b, CASES[i].pattern, strlen(CASES[i].pattern), &f->e));
        GOOD(f, buf_puts(&b, ":5,\"x|.*\":6}}", &f->e));
        GOOD(f, json_parse(f->a, "t", b.data, b.len, &root, &f->e));
        Status st = pattern_list_open(f->a, "t", root, "p", &list, &f->e);
        if ((st == OK) != (CASES[i].matches >= 0)) fail_msg("'%s': %s", CASES[i].pattern, status_text(st));
        if (st == OK) {
            GOOD(f, pattern_list_value(&list, CASES[i].module, 9, &v, &f->e));
            if (v != (CASES[i].matches ? 5 : 6)) fail_msg("'%s' on '%s': %g", CASES[i].pattern, CASES[i].module, v);
        }
        pattern_list_close(&list);
    }
}

/* adapter_config.json of the small adapter with a text replaced. */
static void config_refusals(void **state) {
    Fixture *f = *state;
    PeftAdapter *p;
    char *folder = in_folder(f, "a"), *path;
    GOOD(f, write_small(f, folder, false));
    path = inside(f, folder, "adapter_config.json");
    static const struct {
        const char *from, *to, *says;
    } CASES[] = {
        {"\"use_dora\": false", "\"use_dora\": true",
         "'use_dora' has a value that lorac does not support, expected false"},
        {"\"bias\": \"none\"", "\"bias\": \"all\"", "'bias'"},
        {"\"fan_in_fan_out\": false", "\"fan_in_fan_out\": true", "'fan_in_fan_out'"},
        {"\"modules_to_save\": null", "\"modules_to_save\": [\"lm_head\"]", "'modules_to_save'"},
        {"\"init_lora_weights\": true", "\"init_lora_weights\": \"pissa\"", "'init_lora_weights'"},
        {"\"layer_replication\": null", "\"layer_replication\": [[0, 1]]", "'layer_replication'"},
        {"\"peft_type\": \"LORA\"", "\"peft_type\": \"LOHA\"", "'peft_type'"},
        {"\"peft_type\": \"LORA\"", "\"peft_version\": \"1\"", "'peft_type' is missing"},
        {"\"revision\": null", "\"new_maths\": 3", "does not know the key 'new_maths'"},
        {"\"r\": 2", "\"r\": 3", "'m.layers.0.q_proj' has rank 2, but adapter_config.json says 3"},
        {"\"r\": 2", "\"r\": 0", "r"},
        {"\"r\": 2,", "", "r"},
        {"\"m.layers.1.o_proj\": 1", "\"m.layers.1.o_proj\": 2", "has rank 1, but adapter_config.json says 2"},
        {"\"lora_alpha\": 4", "\"lora_alpha\": \"x\"", "lora_alpha"},
        {"\"lora_alpha\": 4", "\"lora_alpha\": 0", "do nothing"},
        {"\"lora_dropout\": 0.1", "\"lora_dropout\": 1.5", "'lora_dropout' is 1.5"},
        {"\"use_rslora\": false", "\"use_rslora\": 1", "use_rslora"},
        {"\"q_proj\"", "\"k_proj\"", "'m.layers.0.q_proj', which target_modules"},
        {"\"rank_pattern\": {", "\"rank_pattern\": {\"(?i)x\": 1,", "'(?i)x'"},
        {"\"loftq_config\": {}", "\"loftq_config\": {}, \"r\": 2", "adapter_config.json"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        const char *at = strstr(EXPECTED_CONFIG, CASES[i].from);
        char *text;
        assert_non_null(at);
        GOOD(f, arena_printf(f->a, &text, &f->e, "%.*s%s%s", (int)(at - EXPECTED_CONFIG), EXPECTED_CONFIG, CASES[i].to,
                             at + strlen(CASES[i].from)));
        put_file(path, text, strlen(text));
        f->e.message[0] = 0;
        Status st = peft_adapter_open(f->a, folder, &p, &f->e);
        if (st == OK) fail_msg("%s was accepted", CASES[i].to);
        if (strstr(f->e.message, CASES[i].says) == NULL)
            fail_msg("'%s' does not say '%s'", f->e.message, CASES[i].says);
    }
    put_file(path, EXPECTED_CONFIG, sizeof EXPECTED_CONFIG - 1);
    GOOD(f, peft_adapter_open(f->a, folder, &p, &f->e));
    peft_adapter_close(p);
}

typedef struct Extra {
    const char *name;
    StDtype dtype;
    int rank;
    int64_t rows, cols;
    const char *says;
} Extra;

/* A folder whose tensors are a sound pair of module q_proj (rank 2), but for `x`, which replaces or joins them. */
static void write_tensors(Fixture *f, const char *folder, const Extra *x) {
    StDeclare list[3] = {
        {.name = "base_model.model.q_proj.lora_A.weight", .dtype = ST_F32, .rank = 2, .shape = {2, 3}},
        {.name = "base_model.model.q_proj.lora_B.weight", .dtype = ST_F32, .rank = 2, .shape = {4, 2}}};
    int n = 2;
    StWriter *w;
    const uint8_t zeros[512] = {0};
    if (x != NULL) {
        StDeclare d = {.name = x->name, .dtype = x->dtype, .rank = x->rank, .shape = {x->rows, x->cols}};
        if (strcmp(x->name, list[0].name) == 0)
            list[0] = d;
        else if (strcmp(x->name, list[1].name) == 0)
            list[1] = d;
        else
            list[n++] = d;
    }
    GOOD(f, st_writer_open(f->a, inside(f, folder, "adapter_model.safetensors"), list, n, NULL, 0, &w, &f->e));
    for (int i = 0; i < n; i++) {
        int64_t elems = 1;
        for (int k = 0; k < list[i].rank; k++) elems *= list[i].shape[k];
        GOOD(f, st_writer_data(w, zeros, (size_t)(elems * st_dtype_bytes(list[i].dtype)), &f->e));
    }
    GOOD(f, st_writer_commit(w, &f->e));
}

static void tensor_refusals(void **state) {
    Fixture *f = *state;
    PeftAdapter *p;
    static const char CONFIG[] = "{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":4,\"target_modules\":\"all-linear\"}";
    static const Extra CASES[] = {
        {"base_model.model.k_proj.lora_A.weight", ST_F32, 2, 2, 3, "'k_proj' has lora_A.weight but no lora_B.weight"},
        {"base_model.model.k_proj.lora_B.weight", ST_F32, 2, 4, 2, "'k_proj' has lora_B.weight but no lora_A.weight"},
        {"base_model.model.q_proj.lora_A.weight", ST_F32, 2, 1, 3, "the ranks differ"},
        {"base_model.model.q_proj.lora_A.weight", ST_F32, 1, 2, 0, "no matrix"},
        {"base_model.model.q_proj.lora_A.weight", ST_F32, 2, 2, 0, "no matrix"},
        {"base_model.model.q_proj.lora_A.weight", ST_I32, 2, 2, 3, "no matrix of F32, F16 or BF16"},
        {"base_model.model.q_proj.lora_magnitude_vector", ST_F32, 1, 4, 0, "DoRA"},
        {"base_model.model.embed_tokens.lora_embedding_A", ST_F32, 2, 2, 9, "embeddings"},
        {"base_model.model.q_proj.lora_B.bias", ST_F32, 1, 4, 0, "biases"},
        {"base_model.model.experts.base_layer.lora_A.weight", ST_F32, 2, 2, 3, "experts"},
        {"base_model.model.lm_head.base_layer.weight", ST_F32, 2, 2, 3, "carry base weights"},
        {"base_model.model.q_proj.base_layer.weight", ST_F32, 2, 2, 3, "is [2, 3], expected [4, 3]"},
        {"base_model.model.lm_head.weight", ST_F32, 2, 2, 3, "fully trained modules"},
        {"q_proj.lora_A.weight", ST_F32, 2, 2, 3, "begins with base_model.model."},
        {"x", ST_F32, 2, 2, 3, "tensor 'x'"},
    };
    char *folder = in_folder(f, "a");
    GOOD(f, make_folders(folder, &f->e));
    put_file(inside(f, folder, "adapter_config.json"), CONFIG, sizeof CONFIG - 1);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        write_tensors(f, folder, &CASES[i]);
        f->e.message[0] = 0;
        Status st = peft_adapter_open(f->a, folder, &p, &f->e);
        if (st == OK) fail_msg("%s was accepted", CASES[i].name);
        if (strstr(f->e.message, CASES[i].says) == NULL)
            fail_msg("'%s' does not say '%s'", f->e.message, CASES[i].says);
    }
    static const StDtype STORED[3] = {ST_F32, ST_F16, ST_BF16};
    static const WType READ[3] = {WT_F32, WT_F16, WT_BF16};
    for (int t = 0; t < 3; t++) {
        const Extra sound = {"base_model.model.q_proj.lora_A.weight", STORED[t], 2, 2, 3, ""};
        write_tensors(f, folder, &sound);
        GOOD(f, peft_adapter_open(f->a, folder, &p, &f->e));
        assert_true(p->pairs[0].a_type == READ[t] && p->pairs[0].scale == 2);
        peft_adapter_close(p);
    }
    const Extra copy = {"base_model.model.q_proj.base_layer.weight", ST_F32, 2, 4, 3, ""};
    write_tensors(f, folder, &copy);
    GOOD(f, peft_adapter_open(f->a, folder, &p, &f->e));
    assert_true(p->n == 1 && p->n_base_copies == 1);
    peft_adapter_close(p);
    put_file(inside(f, folder, "adapter_model.safetensors"), "\2\0\0\0\0\0\0\0{}", 10);
    BAD(f, peft_adapter_open(f->a, folder, &p, &f->e), ERR_FORMAT, "holds no tensor");
    GOOD(f, remove_tree(inside(f, folder, "adapter_model.safetensors"), &f->e));
    BAD(f, peft_adapter_open(f->a, folder, &p, &f->e), ERR_IO, "adapter_model.safetensors");
    put_file(inside(f, folder, "adapter_model.bin"), "x", 1);
    BAD(f, peft_adapter_open(f->a, folder, &p, &f->e), ERR_IO, "adapter_model.bin is not read");
    BAD(f, peft_adapter_open(f->a, in_folder(f, "none"), &p, &f->e), ERR_IO, "not there");
    BAD(f, peft_adapter_open(f->a, inside(f, folder, "adapter_model.bin"), &p, &f->e), ERR_IO, "a file");
}

static Status open_and_use(Fixture *f, const char *path) {
    PeftAdapter *p;
    char *folder;
    double sum = 0;
    TRY(path_dirname(f->a, path, &folder, &f->e));
    Status st = peft_adapter_open(f->a, folder, &p, &f->e);
    if (st != OK) return st;
    for (int64_t i = 0; i < p->n; i++) {
        const LoraPair *x = &p->pairs[i];
        if (x->r * x->in <= 256) sum += sum_of(x->a, x->a_type, x->r * x->in);
        if (x->r * x->out <= 256) sum += sum_of(x->b, x->b_type, x->r * x->out);
    }
    peft_adapter_close(p);
    return sum == 1e300 ? ERR_CHECK : OK;
}

static void damaged(void **state) {
    Fixture *f = *state;
    char *folder = in_folder(f, "damaged"), *config, *weights;
    size_t n;
    uint64_t header;
    GOOD(f, write_small(f, folder, false));
    config = inside(f, folder, "adapter_config.json");
    weights = inside(f, folder, "adapter_model.safetensors");
    char *data = get_file(f, weights, &n);
    memcpy(&header, data, 8);
    truncate_everywhere(f, config, "damaged", sizeof EXPECTED_CONFIG - 2, open_and_use);
    damage_everywhere(f, config, "damaged", sizeof EXPECTED_CONFIG, open_and_use);
    truncate_everywhere(f, weights, "damaged", n, open_and_use);
    damage_everywhere(f, weights, "damaged", 8 + header, open_and_use);
    GOOD(f, open_and_use(f, weights));
    starve(f, weights, open_and_use);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(reads_peft),      FIXTURE_TEST(writes_and_reads), FIXTURE_TEST(patterns),
        FIXTURE_TEST(config_refusals), FIXTURE_TEST(tensor_refusals),  FIXTURE_TEST(damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
