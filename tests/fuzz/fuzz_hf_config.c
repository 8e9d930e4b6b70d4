/* fuzz_hf_config.c: config.json of a Hugging Face model folder (checkpoints/hf_config.h). */
#include "tests/fuzz/fuzz.h"

#include "checkpoints/hf_config.h"

#include <string.h>

static void use(const ModelConfig *c) {
    fuzz_touch(c->arch, strlen(c->arch));
    fuzz_touch(c->hidden_act, strlen(c->hidden_act));
    CHECK(c->n_layers >= 1 && c->n_layers <= MODEL_LAYERS_MAX, "layers");
    CHECK(c->d_model >= 1 && c->d_model <= MODEL_WIDTH_MAX && c->d_ff >= 1 && c->d_ff <= MODEL_WIDTH_MAX, "widths");
    CHECK(c->n_heads >= 1 && c->n_kv_heads >= 1 && c->n_heads % c->n_kv_heads == 0, "heads");
    CHECK(c->head_dim >= 2 && c->head_dim % 2 == 0 && c->n_heads * c->head_dim <= MODEL_WIDTH_MAX, "head_dim");
    CHECK(c->vocab_size >= 1 && c->vocab_size <= MODEL_VOCAB_MAX, "vocab");
    CHECK(c->max_positions >= 1 && c->max_positions <= MODEL_POSITIONS_MAX, "positions");
    CHECK(c->rms_eps > 0 && c->rope.theta > 0 && c->rope.factor > 0, "numbers");
    CHECK(c->n_eos >= 0 && c->n_eos <= MODEL_EOS_MAX, "eos");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Arena *a = fuzz_arena();
    ModelConfig c;
    Json *root = NULL;
    Err e = {0};
    Status st = json_parse(a, "config.json", (const char *)data, size, &root, &e);
    if (st == OK) st = model_config_from_hf(a, root, "config.json", &c, &e);
    if (fuzz_result(a, st, &e)) use(&c);
    return 0;
}
