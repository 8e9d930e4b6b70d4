/* model_config.h: the numbers of a decoder model, the same whichever file they came from.
 *
 * Filled from config.json (hf_config.h) or from GGUF metadata (gguf_config.h). Every value is range-checked on the way
 * in, so that products such as n_heads * head_dim fit int64_t with room to spare. A setting that changes the model's
 * maths and has no field here is an error there, never dropped. What a family of models can do with the numbers is
 * decided above this room. Strings and arrays live in the arena given at reading. */
#ifndef LORAC_CHECKPOINTS_MODEL_CONFIG_H
#define LORAC_CHECKPOINTS_MODEL_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

enum {
    MODEL_LAYERS_MAX = 1024,
    MODEL_WIDTH_MAX = 1 << 20, /* d_model, d_ff, heads * head_dim */
    MODEL_HEADS_MAX = 1 << 14,
    MODEL_HEAD_DIM_MAX = 1 << 14,
    MODEL_VOCAB_MAX = 1 << 22,
    MODEL_POSITIONS_MAX = 1 << 27,
    MODEL_EOS_MAX = 16
};

/* How the rotary frequencies theta^(-2i/head_dim) are changed. */
typedef enum RopeScaling {
    ROPE_SCALING_NONE,
    ROPE_SCALING_LINEAR, /* divided by factor */
    ROPE_SCALING_LLAMA3  /* divided by factor below low_freq, kept above high_freq, blended between (Llama 3.1) */
} RopeScaling;

typedef struct RopeConfig {
    double theta;
    RopeScaling scaling;
    double factor;                            /* LINEAR, LLAMA3; 1 otherwise */
    double low_freq_factor, high_freq_factor; /* LLAMA3 */
    int64_t original_max_positions;           /* LLAMA3 */
    /* GGUF rope_freqs.weight: the frequency i is divided by divisors[i], head_dim / 2 values, all > 0; NULL when the
     * file has none. Comes on top of scaling (files with it say scaling none). */
    const float *divisors;
} RopeConfig;

typedef struct ModelConfig {
    const char
        *arch; /* GGUF general.architecture, or the first of config.json's architectures: looked up as a family */
    int64_t n_layers, d_model;
    int64_t n_heads, n_kv_heads; /* n_kv_heads divides n_heads */
    int64_t head_dim;            /* even; rotary over the whole head */
    int64_t d_ff, vocab_size;    /* vocab_size = rows of the embedding */
    int64_t max_positions;       /* the model's context in tokens */
    double rms_eps;
    RopeConfig rope;
    bool tie_embeddings; /* the head is the embedding (GGUF: no output.weight) */
    bool attention_bias, mlp_bias;
    const char *hidden_act; /* "silu" ...; GGUF: "silu" */
    int64_t bos_id;         /* -1 when the file names none */
    int64_t eos_ids[MODEL_EOS_MAX];
    int n_eos;
    /* The file is a GGUF: for families whose conversion reorders q and k rows (row 2j+p of a head = row p*head_dim/2+j
     * in Hugging Face's order) the rows are in that order and rotary pairs are neighbours (2j, 2j+1). */
    bool rope_interleaved;
} ModelConfig;

#endif
