/* safetensors.h: safetensors files in and out, single or as shards with an index.
 *
 * Reading maps the file and makes every check of the reference reader and some more: header at most 100 MB, inside the
 * file, strict JSON with no name twice, known dtypes, sizes that follow from shapes, tensors back to back from 0 to the
 * end of the file (no hole, no overlap, nothing behind). With an index: each name in exactly the shard it is listed
 * for, none in two shards, none unlisted; shard names are plain file names.
 * Writing streams: names and shapes first (sorted and laid out as the reference writer does, header padded to 8 bytes),
 * then each tensor's bytes in that order; a file appears under its name only when whole. */
#ifndef LORAC_CHECKPOINTS_SAFETENSORS_H
#define LORAC_CHECKPOINTS_SAFETENSORS_H

#include "base/file.h"
#include "base/json.h"

/* dtype name, bytes of an element, in the reference writer's order. Sub-byte types are not read. */
#define ST_DTYPES(X)                                                                                                   \
    X(BOOL, 1)                                                                                                         \
    X(U8, 1)                                                                                                           \
    X(I8, 1)                                                                                                           \
    X(F8_E5M2, 1)                                                                                                      \
    X(F8_E4M3, 1)                                                                                                      \
    X(F8_E8M0, 1)                                                                                                      \
    X(F8_E4M3FNUZ, 1)                                                                                                  \
    X(F8_E5M2FNUZ, 1)                                                                                                  \
    X(I16, 2)                                                                                                          \
    X(U16, 2)                                                                                                          \
    X(F16, 2)                                                                                                          \
    X(BF16, 2)                                                                                                         \
    X(I32, 4)                                                                                                          \
    X(U32, 4)                                                                                                          \
    X(F32, 4)                                                                                                          \
    X(C64, 8)                                                                                                          \
    X(F64, 8)                                                                                                          \
    X(I64, 8)                                                                                                          \
    X(U64, 8)

typedef enum StDtype {
#define X(id, bytes) ST_##id,
    ST_DTYPES(X)
#undef X
        ST_DTYPE_COUNT
} StDtype;

enum { ST_RANK_MAX = 8 };

const char *st_dtype_name(StDtype t);
int64_t st_dtype_bytes(StDtype t);

typedef struct StTensor {
    const char *name;
    StDtype dtype;
    int rank; /* 0 for a scalar */
    int64_t shape[ST_RANK_MAX];
    const uint8_t *data; /* in the mapping; any alignment */
    uint64_t bytes;
    int file;
} StTensor;

typedef struct Safetensors {
    const char *path; /* file, index or folder as opened */
    int n_files;
    FileMap *files;
    size_t *header_bytes; /* per file: 8 + N */
    int64_t n_tensors;
    const StTensor *tensors; /* by file, then by offset */
    const Json *metadata;    /* __metadata__ of the first file (an object of strings), or NULL */
    struct NameIndex *index;
} Safetensors;

/* One file. */
Status safetensors_open(Arena *a, const char *path, Safetensors **out, Err *e);
/* A model folder: model.safetensors, else model.safetensors.index.json with its shards (Transformers' order). */
Status safetensors_open_folder(Arena *a, const char *folder, Safetensors **out, Err *e);
void safetensors_close(Safetensors *s); /* NULL is allowed */
/* The tensor of that name, or NULL. Logarithmic time. */
const StTensor *safetensors_find(const Safetensors *s, const char *name);

/* ---- writing ---------------------------------------------------------------------------------------------------- */

typedef struct StDeclare {
    const char *name;
    StDtype dtype;
    int rank;
    int64_t shape[ST_RANK_MAX];
} StDeclare;

typedef struct StMeta {
    const char *key, *value;
} StMeta;

typedef struct StWriter StWriter;

/* One file at path holding the n tensors; declare is reordered into the order in which the data must come (by
 * descending StDtype, then by name). meta: n_meta entries of __metadata__, written in the order given. */
Status st_writer_open(Arena *a, const char *path, StDeclare *declare, int64_t n, const StMeta *meta, int n_meta,
                      StWriter **out, Err *e);

/* A model folder (made when missing): model.safetensors when all data fits max_shard_bytes, else shards
 * model-00001-of-0000N.safetensors filled in the order given, and the index. declare is reordered shard by shard. */
Status st_writer_open_folder(Arena *a, const char *folder, uint64_t max_shard_bytes, StDeclare *declare, int64_t n,
                             const StMeta *meta, int n_meta, StWriter **out, Err *e);
#define ST_SHARD_BYTES 5000000000u

/* The next bytes of the data in pieces of any size; beyond what was declared is a CHECK failure. */
Status st_writer_data(StWriter *w, const void *data, size_t bytes, Err *e);
/* All declared bytes must have been written (CHECK). Closes w, success or not. */
Status st_writer_commit(StWriter *w, Err *e);
void st_writer_abort(StWriter *w); /* allowed on NULL and after commit */

#endif
