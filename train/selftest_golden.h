/* selftest_golden.h: made by tests/golden/make_selftest.py on 2026-11-25 with torch 2.15.0, transformers 5.24.0, peft 0.21.2.
 * Hugging Face's loss and gradient norms for the embedded model, see there. */
#ifndef LORAC_TRAIN_SELFTEST_GOLDEN_H
#define LORAC_TRAIN_SELFTEST_GOLDEN_H

/* sha256 of data/tiny/tiny.gguf: 41ca7e726bdc88b0c209062941cf4ee3e009644ae6a2573a6bbaac769d285693 */
static const double GOLDEN_LOSS = 8.92146587;
static const struct {
    const char *module;
    double gradient_norm;
} GOLDEN[] = {
    {"model.layers.0.mlp.down_proj", 6.07667079},    {"model.layers.0.mlp.gate_proj", 3.64539848},
    {"model.layers.0.mlp.up_proj", 4.57691801},      {"model.layers.0.self_attn.k_proj", 5.55268051},
    {"model.layers.0.self_attn.o_proj", 6.22294658}, {"model.layers.0.self_attn.q_proj", 4.48716582},
    {"model.layers.0.self_attn.v_proj", 6.63290657}, {"model.layers.1.mlp.down_proj", 2.33063041},
    {"model.layers.1.mlp.gate_proj", 2.05990407},    {"model.layers.1.mlp.up_proj", 2.11323339},
    {"model.layers.1.self_attn.k_proj", 1.56779048}, {"model.layers.1.self_attn.o_proj", 3.26773775},
    {"model.layers.1.self_attn.q_proj", 1.41646447}, {"model.layers.1.self_attn.v_proj", 1.75189368},
};

#endif
