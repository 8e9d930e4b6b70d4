/* adapter.h: the LoRA adapter of a run: which layers carry one, their numbers, moments and gradient trees.
 *
 * Slots are sorted by module path, so that the parameter buffer (A0 B0 A1 B1 ...) is in the order of the tensor names in
 * adapter_model.safetensors. Values are f32 in the order of the base file's rows (GGUF files of some families permute q
 * and k); adapter_load and adapter_save translate to and from Hugging Face's order. Everything lives in one arena. */
#ifndef LORAC_TRAIN_ADAPTER_H
#define LORAC_TRAIN_ADAPTER_H

#include "base/hash.h"
#include "checkpoints/adapter_peft.h"
#include "train/model/model.h"

typedef struct AdapterModule {
    const char *path; /* "model.layers.0.self_attn.q_proj" */
    Role role;
    int64_t layer;
    double alpha;
} AdapterModule;

typedef struct Adapter {
    AdapterSet set;
    SlotMap map;
    AdapterModule *modules; /* by slot */
    int64_t n_params;
    float *params, *m, *v; /* (n_params); m, v NULL when the adapter is not trained */
    float *tree;           /* (levels, n_params) gradient row tree, or NULL */
    int levels;
    int64_t r;
    double alpha;
    bool rslora;
} Adapter;

typedef struct AdapterOptions {
    int64_t r;
    double alpha, dropout;
    bool rslora;
    const char *const *targets; /* module names; n_targets 0 or "all-linear": every linear layer */
    int64_t n_targets;
    uint64_t seed;
    bool training;     /* moments and gradient trees too */
    int64_t rows_most; /* rows of the largest optimizer batch, for the tree */
} AdapterOptions;

/* A new adapter: A ~ U(-1/sqrt(in), 1/sqrt(in)) (PEFT's init_lora_weights: true), B = 0. A target that matches no layer
 * is an error that lists what there is (P11). */
Status adapter_create(Arena *a, const Model *m, const AdapterOptions *o, Adapter **out, Err *e);

/* An adapter from a PEFT folder; ranks, alphas and targets are the folder's (o gives dropout, training, rows_most). Each
 * of its tensors is consumed exactly once; a module the model does not have, or other sizes, is an error. */
Status adapter_load(Arena *a, const Model *m, const char *folder, const AdapterOptions *o, Adapter **out, Err *e);

/* Writes folder/adapter_model.safetensors and adapter_config.json; scratch is given back. */
Status adapter_save(Arena *scratch, const Model *m, const Adapter *ad, const char *folder, const char *base_name,
                    const StMeta *meta, int n_meta, Err *e);

/* Bytes of scratch that adapter_save takes at most, for base_name and metadata of that many bytes in all. */
size_t adapter_save_bytes(const Model *m, const Adapter *ad, size_t text_bytes);

/* XXH3-128 of parameters and moments in name order. */
Status adapter_hash(Arena *scratch, const Adapter *ad, Hash128 *out, Err *e);

/* How many trainable numbers the model has per target choice; used by reports: total of r*(in+out). */
int64_t adapter_params(const Adapter *ad);

#endif
