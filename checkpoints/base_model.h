/* base_model.h: the frozen model as one interface over its file, whichever format it has.
 *
 * Opens a GGUF file (or the first part of a split one) or a model folder (config.json with model.safetensors, or with
 * model.safetensors.index.json and its shards). Weights are views into the mapping in the file's own format; nothing is
 * copied or converted. Data may start at any address (safetensors promises no alignment): readers use bytes or memcpy.
 * A tensor of a type without a row in quant.def is listed, and is an error only when asked for as a weight. */
#ifndef LORAC_CHECKPOINTS_BASE_MODEL_H
#define LORAC_CHECKPOINTS_BASE_MODEL_H

#include "base/hash.h"
#include "checkpoints/gguf.h"
#include "checkpoints/model_config.h"
#include "checkpoints/safetensors.h"
#include "kernels/quant.h"

enum { TENSOR_RANK_MAX = 8 };

typedef enum BaseKind { BASE_GGUF, BASE_SAFETENSORS } BaseKind;

/* One tensor of the file, row-major: dims[rank - 1] is the fastest. */
typedef struct BaseTensor {
    const char *name;      /* as in the file */
    const char *type_name; /* "Q4_1", "F32", "I64" ... */
    int wtype;             /* WType, or -1 when lorac has no such weight format */
    int rank;
    int64_t dims[TENSOR_RANK_MAX];
    const void *data;
    uint64_t bytes;
    int file; /* index into files */
} BaseTensor;

/* A weight matrix W[rows, cols], row after row, each wtype_row_bytes(type, cols) bytes. rank 1: rows = 1. rank > 2:
 * rows is the product of all dims but the last. */
typedef struct WeightView {
    const void *data; /* in the mapping; any alignment; valid until base_model_close */
    WType type;
    int64_t rows, cols;
    const char *name;
} WeightView;

typedef struct BaseModel {
    const char *path; /* as opened */
    BaseKind kind;
    ModelConfig config;
    int n_files;
    const FileMap *files; /* weight files, mapped */
    int64_t n_tensors;
    const BaseTensor *tensors; /* in file order */
    Gguf *gguf;                /* BASE_GGUF, else NULL: metadata for the tokenizer and for copying */
    Safetensors *safetensors;  /* BASE_SAFETENSORS, else NULL */
    struct NameIndex *index;
} BaseModel;

/* Opens and checks path; everything lives in the arena, base_model_close unmaps. The error says what path is when it is
 * neither (a missing file, a folder without config.json, pytorch_model.bin ...). */
Status base_model_open(Arena *a, const char *path, BaseModel **out, Err *e);
void base_model_close(BaseModel *m); /* NULL is allowed */

/* The tensor of that name, or NULL. Logarithmic time. */
const BaseTensor *base_model_find(const BaseModel *m, const char *name);

/* The weight of that name. ERR_FORMAT naming file and tensor when it is missing or of a type without unpacker. */
Status base_model_weight(const BaseModel *m, const char *name, WeightView *out, Err *e);
Status base_tensor_view(const BaseModel *m, const BaseTensor *t, WeightView *out, Err *e);

/* The kernel may drop the tensor's pages from memory (streaming over a model larger than memory). */
void base_model_forget(const BaseModel *m, const BaseTensor *t);

/* Identity of the weights, instantly: XXH3-128 over, for each file in order, its size, its header (GGUF: to the end of
 * the tensor list; safetensors: the JSON header) and the first and last 64 KiB of each tensor (a tensor of at most
 * 128 KiB once and whole). The full hash is XXH3-128 over all bytes of all files in order, each preceded by its size.
 * Sizes are hashed as 8 bytes, little-endian. */
Status base_model_identity(const BaseModel *m, Arena *scratch, Hash128 *out, Err *e);
Status base_model_full_hash(const BaseModel *m, Arena *scratch, Hash128 *out, Err *e);

#endif
