/* gguf.h: GGUF files (versions 2 and 3, little-endian) in and out.
 *
 * Reading maps the file and checks everything before it is used: counts against the file's size before memory is taken,
 * string and array bounds, duplicate keys and tensors, dims that overflow, tensor offsets in order without gap, data
 * inside the file. A model split into NAME-00001-of-0000N.gguf is opened by its first part and looks like one file.
 * Nothing read is trusted to be NUL-terminated or aligned; keys and tensor names are copied and hold no NUL.
 * Writing streams: metadata and the tensor list first, then each tensor's bytes in order; the file appears under its
 * name only when whole (base/file.h). Layout: reference of ggml's gguf.h. */
#ifndef LORAC_CHECKPOINTS_GGUF_H
#define LORAC_CHECKPOINTS_GGUF_H

#include "base/file.h"

typedef enum GgufType {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPE_COUNT
} GgufType;

enum { GGUF_DIMS_MAX = 4, GGUF_NAME_MAX = 63, GGUF_DEFAULT_ALIGNMENT = 32 };

/* Bytes in the mapping, valid until gguf_close; not NUL-terminated. */
typedef struct GgufString {
    const char *s;
    size_t len;
} GgufString;

typedef struct GgufKv {
    const char *key;
    GgufType type;
    GgufType elem_type;   /* of an array; otherwise = type */
    uint64_t n;           /* elements of an array; 1 otherwise */
    const uint8_t *value; /* scalar: its bytes; string: its u64 length; array: its first element; any alignment */
    size_t value_bytes;   /* from value to the end of the record */
} GgufKv;

typedef struct GgufTensor {
    const char *name;
    uint32_t ggml_type;          /* one that ggml_type_info (kernels/quant.h) knows; not necessarily a WType */
    int n_dims;                  /* 1..4 */
    int64_t dims[GGUF_DIMS_MAX]; /* dims[0] is the fastest (columns); 1 beyond n_dims */
    const uint8_t *data;         /* in the mapping, aligned to the file's alignment */
    uint64_t bytes;              /* without padding */
    int part;                    /* index into files */
} GgufTensor;

typedef struct Gguf {
    const char *path; /* as opened */
    uint32_t version, alignment;
    int64_t n_kv, n_tensors;
    const GgufKv *kv;          /* file order; of the first part */
    const GgufTensor *tensors; /* file order, part after part */
    int n_files;
    FileMap *files;
    size_t *header_bytes; /* per file: from its start to the end of the tensor list */
    struct NameIndex *key_index, *tensor_index;
} Gguf;

/* Maps and checks the file (and the other parts, when path is the first of a split model). Tables live in the arena;
 * gguf_close unmaps. ERR_IO / ERR_FORMAT with the file, the place and what is wrong. */
Status gguf_open(Arena *a, const char *path, Gguf **out, Err *e);
void gguf_close(Gguf *g); /* NULL is allowed */

/* The record of a key / tensor, or NULL. Logarithmic time. */
const GgufKv *gguf_kv(const Gguf *g, const char *key);
const GgufTensor *gguf_tensor(const Gguf *g, const char *name);

/* Values by key. The first group fails with ERR_FORMAT when the key is missing or of another kind or out of
 * [min, max]; any integer type is an integer, f32 and f64 are reals (integers too). */
Status gguf_int(const Gguf *g, const char *key, int64_t min, int64_t max, int64_t *out, Err *e);
Status gguf_real(const Gguf *g, const char *key, double *out, Err *e);
Status gguf_string(const Gguf *g, const char *key, GgufString *out, Err *e);
Status gguf_bool(const Gguf *g, const char *key, bool *out, Err *e);
/* The same with a value for a missing key (fallback is not checked against [min, max]). */
Status gguf_int_or(const Gguf *g, const char *key, int64_t min, int64_t max, int64_t fallback, int64_t *out, Err *e);
Status gguf_real_or(const Gguf *g, const char *key, double fallback, double *out, Err *e);
Status gguf_bool_or(const Gguf *g, const char *key, bool fallback, bool *out, Err *e);

/* Arrays by key, converted into the arena: strings point into the mapping; integers of any width that fit int32_t;
 * reals of either width. ERR_FORMAT when missing or of another element kind. */
Status gguf_strings(const Gguf *g, Arena *a, const char *key, GgufString **out, size_t *n, Err *e);
Status gguf_array_i32(const Gguf *g, Arena *a, const char *key, int32_t **out, size_t *n, Err *e);
Status gguf_array_f32(const Gguf *g, Arena *a, const char *key, float **out, size_t *n, Err *e);

/* "u32", "string" ... for messages and inspect. */
const char *gguf_type_name(GgufType t);
/* A scalar record as integer / real; false when it is of another kind or does not fit. */
bool gguf_kv_int(const GgufKv *kv, int64_t *out);
bool gguf_kv_real(const GgufKv *kv, double *out);
bool gguf_kv_string(const GgufKv *kv, GgufString *out);
/* Element i of an array record of scalars as integer / real (false as above). */
bool gguf_elem_int(const GgufKv *kv, uint64_t i, int64_t *out);
bool gguf_elem_real(const GgufKv *kv, uint64_t i, double *out);

/* ---- writing ---------------------------------------------------------------------------------------------------- */

typedef struct GgufWriter GgufWriter;

/* Begins a file of version 3 with the default alignment. Everything is kept in the arena until the first data. */
Status gguf_writer_open(Arena *a, const char *path, GgufWriter **out, Err *e);

/* Metadata, in the order of the first mention of each key; the last mention decides: a value, or removed.
 * gguf_writer_copy takes a record as it is (any type, bytes verbatim; the record must stay valid until the first data).
 * general.alignment and split.* are ignored by copy. Not allowed once data was written (CHECK). */
Status gguf_writer_copy(GgufWriter *w, const GgufKv *kv, Err *e);
Status gguf_writer_u32(GgufWriter *w, const char *key, uint32_t v, Err *e);
Status gguf_writer_u64(GgufWriter *w, const char *key, uint64_t v, Err *e);
Status gguf_writer_f32(GgufWriter *w, const char *key, float v, Err *e);
Status gguf_writer_bool(GgufWriter *w, const char *key, bool v, Err *e);
Status gguf_writer_string(GgufWriter *w, const char *key, const char *s, Err *e);
/* elem_type: a scalar type; values: n elements, little-endian, packed. */
Status gguf_writer_array(GgufWriter *w, const char *key, GgufType elem_type, const void *values, uint64_t n, Err *e);
Status gguf_writer_strings(GgufWriter *w, const char *key, const GgufString *values, uint64_t n, Err *e);
Status gguf_writer_remove(GgufWriter *w, const char *key, Err *e);

/* Declares the next tensor: dims[0] fastest. ERR_FORMAT for a bad name or a row that is no multiple of the type's
 * block; a name given twice is found at the first data. All tensors are declared before the first data (CHECK). */
Status gguf_writer_tensor(GgufWriter *w, const char *name, uint32_t ggml_type, int n_dims, const int64_t *dims, Err *e);

/* The next bytes of the data, in pieces of any size: tensor after tensor in declared order; padding between tensors is
 * the writer's. More bytes than declared is a CHECK failure. */
Status gguf_writer_data(GgufWriter *w, const void *data, size_t bytes, Err *e);

/* All declared bytes must have been written (CHECK). Closes w, success or not. */
Status gguf_writer_commit(GgufWriter *w, Err *e);
/* Drops the unfinished file; allowed on NULL and after commit. */
void gguf_writer_abort(GgufWriter *w);

#endif
