/* merge_write.c: the two writers of merged models. A GGUF keeps every metadata record of the base; a model folder keeps
 * every other file of the base's folder (config, tokenizer, templates). */
#include "train/merge.h"

#include "base/file.h"
#include "base/json.h"
#include "checkpoints/hf_config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { SIDE_FILE_MAX_BYTES = 1 << 28 };
static const uint64_t SHARD_BYTES = 5000000000u;

static Status gguf_sink(void *w, const void *data, size_t bytes, Err *e) { return gguf_writer_data(w, data, bytes, e); }
static Status st_sink(void *w, const void *data, size_t bytes, Err *e) { return st_writer_data(w, data, bytes, e); }

/* llama_ftype of a file whose matrices are of this type. */
static Status set_file_type(GgufWriter *w, int wtype, Err *e) {
    static const uint32_t FTYPES[WT_COUNT] = {
        [WT_F32] = 0, [WT_F16] = 1, [WT_BF16] = 32, [WT_Q8_0] = 7, [WT_Q4_0] = 2, [WT_Q4_1] = 3};
    if (wtype < 0) return OK;
    return gguf_writer_u32(w, "general.file_type", FTYPES[wtype], e);
}

static Status write_gguf(MergeJob *job, GgufWriter *w, Err *e) {
    const BaseModel *base = job->session.base;
    int *types;
    TRY(arena_alloc(job->arena, (size_t)base->n_tensors, sizeof(int), &types, e));
    for (int64_t i = 0; i < base->gguf->n_kv; i++) TRY(gguf_writer_copy(w, &base->gguf->kv[i], e));
    TRY(set_file_type(w, job->out_wtype, e));
    for (int64_t i = 0; i < base->n_tensors; i++) {
        const GgufTensor *t = gguf_tensor(base->gguf, base->tensors[i].name);
        CHECK(t != NULL, "tensor %s is listed twice over", base->tensors[i].name);
        TRY(merge_out_type(job, i, &types[i], e));
        uint32_t type = types[i] < 0 ? t->ggml_type : (uint32_t)wtype_traits((WType)types[i])->ggml_type;
        TRY(gguf_writer_tensor(w, t->name, type, t->n_dims, t->dims, e));
    }
    for (int64_t i = 0; i < base->n_tensors; i++) TRY(merge_stream(job, i, types[i], gguf_sink, w, e));
    return OK;
}

Status merge_write_gguf(MergeJob *job, Err *e) {
    GgufWriter *w = NULL;
    Status st;
    TRY_OUT(st, gguf_writer_open(job->arena, job->target, &w, e));
    TRY_OUT(st, write_gguf(job, w, e));
    st = gguf_writer_commit(w, e);
    w = NULL;
out:
    gguf_writer_abort(w);
    return st;
}

/* True for the weight files of the base, which are rewritten, and for files of other weight formats. */
static bool is_weight_file(const char *name) {
    size_t n = strlen(name);
    static const char *const ENDS[] = {
        ".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".pt", ".pth", ".gguf"};
    for (size_t i = 0; i < sizeof ENDS / sizeof ENDS[0]; i++) {
        size_t k = strlen(ENDS[i]);
        if (n >= k && strcmp(name + n - k, ENDS[i]) == 0) return true;
    }
    return false;
}

/* config.json with its dtype key set to what was written; other members as they are. */
static Status write_config(MergeJob *job, const char *from, const char *to, Err *e) {
    static const char *const NAMES[WT_COUNT] = {[WT_F32] = "float32", [WT_F16] = "float16", [WT_BF16] = "bfloat16"};
    Json *root;
    Buf b = {.arena = job->arena};
    TRY(json_read(job->arena, from, HF_CONFIG_MAX_BYTES, &root, e));
    TRY(buf_puts(&b, "{\n", e));
    for (uint32_t i = 0; i < root->n; i++) {
        const JsonString *key = &root->list.keys[i];
        bool dtype = strcmp(key->s, "dtype") == 0 || strcmp(key->s, "torch_dtype") == 0;
        TRY(buf_puts(&b, "  ", e));
        TRY(json_put_string(&b, key->s, key->len, e));
        TRY(buf_puts(&b, ": ", e));
        if (dtype && job->out_wtype >= 0)
            TRY(buf_printf(&b, e, "\"%s\"", NAMES[job->out_wtype]));
        else
            TRY(json_put_value(&b, &root->list.items[i], e));
        TRY(buf_puts(&b, i + 1 < root->n ? ",\n" : "\n", e));
    }
    TRY(buf_puts(&b, "}\n", e));
    return file_write_atomic(job->arena, to, b.data, b.len, e);
}

static Status copy_side_files(MergeJob *job, Err *e) {
    char **names, *from, *to, *data;
    size_t n, len;
    TRY(list_folder(job->arena, job->options->base, &names, &n, e));
    for (size_t i = 0; i < n; i++) {
        if (is_weight_file(names[i])) continue;
        TRY(path_join(job->arena, job->options->base, names[i], &from, e));
        TRY(path_join(job->arena, job->target, names[i], &to, e));
        if (path_is_folder(from)) continue;
        if (strcmp(names[i], "config.json") == 0) {
            TRY(write_config(job, from, to, e));
            continue;
        }
        ArenaMark mark = arena_mark(job->arena);
        TRY(file_read(job->arena, from, SIDE_FILE_MAX_BYTES, &data, &len, e));
        TRY(file_write_atomic(job->arena, to, data, len, e));
        arena_reset(job->arena, mark);
    }
    return OK;
}

/* The dtype a tensor of the base has when it is copied as it is. */
static StDtype raw_dtype(const MergeJob *job, const char *name) {
    const StTensor *t = safetensors_find(job->session.base->safetensors, name);
    CHECK(t != NULL, "tensor %s is listed twice over", name);
    return t->dtype;
}

static Status declare_all(MergeJob *job, StDeclare *declare, int *types, Err *e) {
    static const StDtype DTYPES[WT_COUNT] = {[WT_F32] = ST_F32, [WT_F16] = ST_F16, [WT_BF16] = ST_BF16};
    const BaseModel *base = job->session.base;
    for (int64_t i = 0; i < base->n_tensors; i++) {
        const BaseTensor *t = &base->tensors[i];
        TRY(merge_out_type(job, i, &types[i], e));
        StDtype dtype = types[i] < 0 ? raw_dtype(job, t->name) : DTYPES[types[i]];
        declare[i] = (StDeclare){.name = t->name, .dtype = dtype, .rank = t->rank};
        memcpy(declare[i].shape, t->dims, (size_t)t->rank * sizeof(int64_t));
    }
    return OK;
}

static Status write_folder(MergeJob *job, StWriter **w, Err *e) {
    const BaseModel *base = job->session.base;
    StDeclare *declare;
    int *types;
    StMeta meta = {"format", "pt"};
    TRY(arena_alloc(job->arena, (size_t)base->n_tensors, sizeof *declare, &declare, e));
    TRY(arena_alloc(job->arena, (size_t)base->n_tensors, sizeof *types, &types, e));
    TRY(declare_all(job, declare, types, e));
    TRY(st_writer_open_folder(job->arena, job->target, SHARD_BYTES, declare, base->n_tensors, &meta, 1, w, e));
    for (int64_t k = 0; k < base->n_tensors; k++) {
        const BaseTensor *t = base_model_find(base, declare[k].name);
        int64_t i = t - base->tensors;
        TRY(merge_stream(job, i, types[i], st_sink, *w, e));
    }
    Status st = st_writer_commit(*w, e);
    *w = NULL;
    TRY(st);
    return copy_side_files(job, e);
}

Status merge_write_folder(MergeJob *job, Err *e) {
    StWriter *w = NULL;
    Status st = write_folder(job, &w, e);
    st_writer_abort(w);
    return st;
}

/* Files of the folder that is replaced and that are neither weights nor written anew come along. */
static Status keep_others(MergeJob *job, Err *e) {
    char **names, *from, *to, *data;
    size_t n, len;
    TRY(list_folder(job->arena, job->out, &names, &n, e));
    for (size_t i = 0; i < n; i++) {
        ArenaMark mark = arena_mark(job->arena);
        TRY(path_join(job->arena, job->out, names[i], &from, e));
        TRY(path_join(job->arena, job->target, names[i], &to, e));
        if (!is_weight_file(names[i]) && !path_exists(to)) {
            TRY(file_read(job->arena, from, SIDE_FILE_MAX_BYTES, &data, &len, e));
            TRY(file_write_atomic(job->arena, to, data, len, e));
        }
        arena_reset(job->arena, mark);
    }
    return OK;
}

Status merge_publish(MergeJob *job, Err *e) {
    const char *out = job->out;
    if (path_is_folder(out)) {
        TRY(keep_others(job, e));
        TRY(sync_folder(job->target, e));
        return replace_folder(job->arena, job->target, out, e);
    }
    TRY(rename_path(job->target, out, e));
    return sync_folder_of(out, e);
}
