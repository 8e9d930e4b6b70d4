/* adapter_peft.h: LoRA adapters as PEFT lays them out: a folder with adapter_config.json and adapter_model.safetensors.
 *
 * A pair belongs to the linear layer W[out, in] of its module: y += scale * B (A x), A [r, in], B [out, r], scale =
 * alpha / r, or alpha / sqrt(r) with use_rslora; r and alpha may differ by module (rank_pattern, alpha_pattern).
 * Refused, each by name: adapters that are no plain LoRA (DoRA, biases, modules_to_save, embeddings, fan_in_fan_out,
 * quantized variants ...), unpaired tensors, shapes that do not agree, tensors whose meaning is not known, unknown
 * config keys that are set. Names and files: peft 0.13 to 0.21, utils/save_and_load.py, tuners/lora/config.py. */
#ifndef LORAC_CHECKPOINTS_ADAPTER_PEFT_H
#define LORAC_CHECKPOINTS_ADAPTER_PEFT_H

#include "checkpoints/safetensors.h"
#include "kernels/quant.h"

/* One adapted layer. a and b point into the mapping (any alignment), row-major, F32, F16 or BF16. */
typedef struct LoraPair {
    const char *module; /* without "base_model.model.": "model.layers.0.self_attn.q_proj" */
    const void *a, *b;  /* A [r, in], B [out, r] */
    WType a_type, b_type;
    int64_t r, in, out;
    double alpha, scale;
} LoraPair;

typedef struct PeftAdapter {
    const char *path; /* the folder */
    int64_t n;
    const LoraPair *pairs; /* sorted by module */
    int64_t r;             /* of adapter_config.json, before patterns */
    double alpha, dropout;
    bool use_rslora;
    const char *base_model; /* base_model_name_or_path, or "" */
    const Json *metadata;   /* of the safetensors file, or NULL */
    /* Tensors MODULE.base_layer.weight [out, in] of adapted modules: PEFT saves a copy of the frozen head or embedding
     * with an adapter on it. They are left out (as vLLM does): the base model is the one the person gives. */
    int64_t n_base_copies;
    Safetensors *file;
} PeftAdapter;

/* Opens and checks the folder; tables in the arena, peft_adapter_close unmaps. That each module exists in the base
 * model with these sizes is for the caller to check. */
Status peft_adapter_open(Arena *a, const char *folder, PeftAdapter **out, Err *e);
void peft_adapter_close(PeftAdapter *p); /* NULL is allowed */

/* The pair of a module, or NULL. */
const LoraPair *peft_adapter_find(const PeftAdapter *p, const char *module);

/* One layer to write: f32, row-major. */
typedef struct LoraSource {
    const char *module;
    const float *a, *b; /* A [r, in], B [out, r] */
    int64_t r, in, out;
    double alpha;
} LoraSource;

typedef struct PeftWrite {
    const LoraSource *pairs; /* any order; at least one */
    int64_t n;
    int64_t r;    /* what most layers have; others go into rank_pattern / alpha_pattern */
    double alpha; /* written as an integer when it is one */
    double dropout;
    bool use_rslora;
    const char *base_model; /* base_model_name_or_path as the person wrote it */
    const StMeta *meta;     /* provenance, besides {"format": "pt"}; nothing of time, host or threads */
    int n_meta;
} PeftWrite;

/* Writes (replaces) both files in the folder, made when missing. The bytes depend on *w alone. Tensors are F32;
 * target_modules are the sorted last components of the modules. */
Status peft_adapter_write(Arena *scratch, const char *folder, const PeftWrite *w, Err *e);

#endif
