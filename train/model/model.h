/* model.h: a decoder model ready to run: family, numbers, weights by role, rotary tables.
 *
 * Large weights stay in the mapped file; only norms (as f32) and the rotary tables are memory of ours, in the weights
 * arena. Names and shapes come from tensors.def, structure from families.c. */
#ifndef LORAC_TRAIN_MODEL_MODEL_H
#define LORAC_TRAIN_MODEL_MODEL_H

#include "autograd/graph.h"
#include "checkpoints/base_model.h"

enum { T_LAYER = 1, T_NORM = 2, T_LORA = 4, T_ROPE_Q = 8, T_ROPE_K = 16, T_UNTIED = 32 };

typedef enum Dim { DIM_ONE, DIM_MODEL, DIM_Q, DIM_KV, DIM_FF, DIM_VOCAB } Dim;

typedef enum Role {
#define TENSOR(role, hf, gguf, rows, cols, flags) ROLE_##role,
#include "train/model/tensors.def"
#undef TENSOR
    ROLE_COUNT
} Role;

typedef struct TensorRow {
    const char *hf, *gguf; /* without prefix and ".weight" */
    Dim rows, cols;
    unsigned flags;
} TensorRow;

extern const TensorRow TENSORS[ROLE_COUNT];

/* Structure of a family on the axes; numbers come from the model's own file. */
typedef struct Family {
    const char *name;         /* general.architecture of GGUF files */
    const char *architecture; /* config.json's architectures[0] */
    GluAct act;
    bool gguf_permuted; /* q and k rows of GGUF files are in the interleaved order */
} Family;

/* The family of an architecture string (either spelling), or an error that lists the known ones. */
Status family_find(const char *arch, const char *path, const Family **out, Err *e);
/* All rows, for tests and messages. */
extern const Family FAMILIES[];
extern const int FAMILY_COUNT;

typedef struct Model {
    BaseModel *base; /* borrowed */
    const Family *family;
    ModelConfig config;
    Weight global[ROLE_COUNT]; /* EMBED, HEAD (the embedding when tied) */
    const float *final_norm;
    Weight (*layer)[ROLE_COUNT]; /* by layer */
    const float *(*layer_norm)[ROLE_COUNT];
    float *cos, *sin; /* (positions, head_dim/2) */
    int64_t positions;
    bool interleaved;   /* rotary pairs are neighbours */
    bool permuted_rows; /* lora_B rows of T_ROPE_* roles differ from Hugging Face's order */
} Model;

/* Resolves every tensor of TENSORS, checks shapes, converts norms, and fills rotary tables for `positions` tokens.
 * An unknown or missing tensor, a wrong shape, a setting the family lacks: an error naming file and tensor. */
Status model_open(Arena *weights, BaseModel *base, int64_t positions, Model **out, Err *e);

/* "model.layers.3.self_attn.q_proj" for (3, ROLE_Q); buffer of at least 128 bytes. Returns it. */
const char *role_path(Role role, int64_t layer, char *text);
/* The name of the role's tensor in the model's own file ("blk.3.attn_q.weight"). */
const char *model_tensor_name(const Model *m, Role role, int64_t layer, char *text);

/* The row of the file's order that holds row `hf_row` of Hugging Face's order (identity but for permuted roles):
 * models.md 1.2: gguf[h*hd + 2j + p] = hf[h*hd + p*hd/2 + j]. */
int64_t model_file_row(const Model *m, Role role, int64_t hf_row);

/* Which slot of the adapter set a (layer, role) has; -1: none. */
typedef struct SlotMap {
    int (*slot)[ROLE_COUNT]; /* by layer */
    int64_t *rank;           /* by slot */
} SlotMap;

/* Adds the whole model to a graph: embedding, layers (recompute segment = layer), final norm, head with loss.
 * slots NULL: no adapters. The model is a frozen base: only slots are trainable. */
Status model_build(Graph *g, const Model *m, const SlotMap *slots, Err *e);

#endif
