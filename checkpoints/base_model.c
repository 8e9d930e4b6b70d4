/* base_model.c: one view of GGUF files and safetensors folders. See base_model.h. */
#include "checkpoints/base_model.h"

#include "checkpoints/bytes.h"
#include "checkpoints/gguf_config.h"
#include "checkpoints/hf_config.h"
#include "checkpoints/name_index.h"

#include <string.h>

enum { HASHED_END_BYTES = 64 * 1024 };

static bool ends_with(const char *s, const char *tail) {
    size_t n = strlen(s), t = strlen(tail);
    return n >= t && strcmp(s + n - t, tail) == 0;
}

/* ---- GGUF -------------------------------------------------------------------------------------------------------- */

static void from_gguf(const GgufTensor *t, BaseTensor *out) {
    WType w;
    *out = (BaseTensor){.name = t->name,
                        .type_name = ggml_type_info(t->ggml_type).name,
                        .wtype = wtype_from_ggml(t->ggml_type, &w) ? (int)w : -1,
                        .rank = t->n_dims,
                        .data = t->data,
                        .bytes = t->bytes,
                        .file = t->part};
    for (int i = 0; i < t->n_dims; i++) out->dims[i] = t->dims[t->n_dims - 1 - i];
}

static Status open_gguf(Arena *a, BaseModel *m, Err *e) {
    BaseTensor *list;
    m->kind = BASE_GGUF;
    TRY(gguf_open(a, m->path, &m->gguf, e));
    m->files = m->gguf->files;
    m->n_files = m->gguf->n_files;
    TRY(ARENA_NEW(a, m->gguf->n_tensors, list, e));
    for (int64_t i = 0; i < m->gguf->n_tensors; i++) from_gguf(&m->gguf->tensors[i], &list[i]);
    m->tensors = list;
    m->n_tensors = m->gguf->n_tensors;
    return model_config_from_gguf(a, m->gguf, &m->config, e);
}

/* ---- model folders ----------------------------------------------------------------------------------------------- */

static void from_safetensors(const StTensor *t, BaseTensor *out) {
    *out = (BaseTensor){.name = t->name,
                        .type_name = st_dtype_name(t->dtype),
                        .wtype = t->dtype == ST_F32    ? WT_F32
                                 : t->dtype == ST_F16  ? WT_F16
                                 : t->dtype == ST_BF16 ? WT_BF16
                                                       : -1,
                        .rank = t->rank,
                        .data = t->data,
                        .bytes = t->bytes,
                        .file = t->file};
    for (int i = 0; i < t->rank; i++) out->dims[i] = t->shape[i];
}

static Status no_config(Arena *a, const char *folder, Err *e) {
    char *adapter;
    TRY(path_join(a, folder, "adapter_config.json", &adapter, e));
    if (path_exists(adapter))
        FAIL(e, ERR_IO, "%s: this is an adapter, not a model; give its base model here and the folder as the adapter",
             folder);
    FAIL(e, ERR_IO, "%s: a model folder needs config.json, which is not there; or give the path of a GGUF file",
         folder);
}

static Status open_folder(Arena *a, BaseModel *m, Err *e) {
    char *config;
    BaseTensor *list;
    m->kind = BASE_SAFETENSORS;
    TRY(path_join(a, m->path, "config.json", &config, e));
    if (!path_exists(config)) return no_config(a, m->path, e);
    TRY(model_config_read_hf(a, config, &m->config, e));
    TRY(safetensors_open_folder(a, m->path, &m->safetensors, e));
    m->files = m->safetensors->files;
    m->n_files = m->safetensors->n_files;
    TRY(ARENA_NEW(a, m->safetensors->n_tensors, list, e));
    for (int64_t i = 0; i < m->safetensors->n_tensors; i++) from_safetensors(&m->safetensors->tensors[i], &list[i]);
    m->tensors = list;
    m->n_tensors = m->safetensors->n_tensors;
    return OK;
}

/* ---- both -------------------------------------------------------------------------------------------------------- */

static Status open_any(Arena *a, BaseModel *m, Err *e) {
    if (path_is_folder(m->path))
        TRY(open_folder(a, m, e));
    else if (ends_with(m->path, ".safetensors"))
        FAIL(e, ERR_USAGE, "%s: give the model's folder (with config.json), not one of its files", m->path);
    else
        TRY(open_gguf(a, m, e));
    for (int64_t i = 0; i < m->n_tensors; i++) TRY(name_index_add(m->index, a, m->tensors[i].name, i, e));
    name_index_sort(m->index);
    return OK;
}

Status base_model_open(Arena *a, const char *path, BaseModel **out, Err *e) {
    BaseModel *m;
    char *copy;
    TRY(ARENA_NEW(a, 1, m, e));
    TRY(ARENA_NEW(a, 1, m->index, e));
    TRY(arena_strdup(a, path, &copy, e));
    m->path = copy;
    Status st = open_any(a, m, e);
    if (st != OK) {
        base_model_close(m);
        return st;
    }
    *out = m;
    return OK;
}

void base_model_close(BaseModel *m) {
    if (m == NULL) return;
    gguf_close(m->gguf);
    safetensors_close(m->safetensors);
    m->gguf = NULL;
    m->safetensors = NULL;
    m->n_files = 0;
}

const BaseTensor *base_model_find(const BaseModel *m, const char *name) {
    int64_t i = name_index_find(m->index, name);
    return i < 0 ? NULL : &m->tensors[i];
}

Status base_tensor_view(const BaseModel *m, const BaseTensor *t, WeightView *out, Err *e) {
    const char *file = m->files[t->file].path;
    if (t->wtype < 0)
        FAIL(e, ERR_FORMAT, "%s: tensor '%s' is of type %s, which lorac does not read as a weight", file, t->name,
             t->type_name);
    WeightView v = {.data = t->data, .type = (WType)t->wtype, .rows = 1, .cols = 1, .name = t->name};
    for (int i = 0; i < t->rank - 1; i++) v.rows *= t->dims[i]; /* cannot overflow: the product was checked */
    if (t->rank > 0) v.cols = t->dims[t->rank - 1];
    if (v.rows < 1 || v.cols < 1) FAIL(e, ERR_FORMAT, "%s: tensor '%s' is empty", file, t->name);
    *out = v;
    return OK;
}

Status base_model_weight(const BaseModel *m, const char *name, WeightView *out, Err *e) {
    const BaseTensor *t = base_model_find(m, name);
    if (t == NULL) FAIL(e, ERR_FORMAT, "%s: the tensor '%s' is missing", m->path, name);
    return base_tensor_view(m, t, out, e);
}

void base_model_forget(const BaseModel *m, const BaseTensor *t) {
    const FileMap *f = &m->files[t->file];
    file_map_forget(f, (size_t)((const uint8_t *)t->data - f->data), (size_t)t->bytes);
}

static void add_size(Hasher *h, uint64_t size) {
    uint8_t p[8];
    store_le(p, size, 8);
    hasher_add(h, p, 8);
}

Status base_model_identity(const BaseModel *m, Arena *scratch, Hash128 *out, Err *e) {
    ArenaMark mark = arena_mark(scratch);
    Hasher *h;
    TRY(hasher_open(scratch, &h, e));
    int64_t next = 0; /* tensors are in the order of files */
    for (int f = 0; f < m->n_files; f++) {
        add_size(h, m->files[f].size);
        hasher_add(h, m->files[f].data, m->gguf != NULL ? m->gguf->header_bytes[f] : m->safetensors->header_bytes[f]);
        for (; next < m->n_tensors && m->tensors[next].file == f; next++) {
            const uint8_t *data = m->tensors[next].data;
            size_t bytes = (size_t)m->tensors[next].bytes;
            if (bytes <= 2 * HASHED_END_BYTES)
                hasher_add(h, data, bytes);
            else {
                hasher_add(h, data, HASHED_END_BYTES);
                hasher_add(h, data + bytes - HASHED_END_BYTES, HASHED_END_BYTES);
            }
        }
    }
    *out = hasher_value(h);
    arena_reset(scratch, mark);
    return OK;
}

Status base_model_full_hash(const BaseModel *m, Arena *scratch, Hash128 *out, Err *e) {
    enum { STEP = 1 << 24 };
    ArenaMark mark = arena_mark(scratch);
    Hasher *h;
    TRY(hasher_open(scratch, &h, e));
    for (int f = 0; f < m->n_files; f++) {
        const FileMap *file = &m->files[f];
        add_size(h, file->size);
        for (size_t at = 0; at < file->size; at += STEP) {
            size_t bytes = file->size - at < STEP ? file->size - at : STEP;
            hasher_add(h, file->data + at, bytes);
            file_map_forget(file, at, bytes);
        }
    }
    *out = hasher_value(h);
    arena_reset(scratch, mark);
    return OK;
}
