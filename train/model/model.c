/* model.c: from a base model's file to weights by role. See model.h. */
#include "train/model/model.h"

#include "train/model/rotary.h"

#include <stdio.h>
#include <string.h>

const TensorRow TENSORS[ROLE_COUNT] = {
#define TENSOR(role, hf_name, gguf_name, r, c, f)                                                                      \
    [ROLE_##role] = {.hf = (hf_name), .gguf = (gguf_name), .rows = DIM_##r, .cols = DIM_##c, .flags = (f)},
#include "train/model/tensors.def"
#undef TENSOR
};

static int64_t dim_value(const ModelConfig *c, Dim d) {
    const int64_t values[] = {[DIM_ONE] = 1,
                              [DIM_MODEL] = c->d_model,
                              [DIM_Q] = c->n_heads * c->head_dim,
                              [DIM_KV] = c->n_kv_heads * c->head_dim,
                              [DIM_FF] = c->d_ff,
                              [DIM_VOCAB] = c->vocab_size};
    return values[d];
}

const char *role_path(Role role, int64_t layer, char *text) {
    if (TENSORS[role].flags & T_LAYER)
        snprintf(text, 128, "model.layers.%lld.%s", (long long)layer, TENSORS[role].hf);
    else
        snprintf(text, 128, "%s", TENSORS[role].hf);
    return text;
}

const char *model_tensor_name(const Model *m, Role role, int64_t layer, char *text) {
    if (m->base->kind == BASE_SAFETENSORS) {
        role_path(role, layer, text);
        size_t n = strlen(text);
        snprintf(text + n, 128 - n, ".weight");
    } else if (TENSORS[role].flags & T_LAYER) {
        snprintf(text, 128, "blk.%lld.%s.weight", (long long)layer, TENSORS[role].gguf);
    } else {
        snprintf(text, 128, "%s.weight", TENSORS[role].gguf);
    }
    return text;
}

int64_t model_file_row(const Model *m, Role role, int64_t hf_row) {
    if (!m->permuted_rows || (TENSORS[role].flags & (T_ROPE_Q | T_ROPE_K)) == 0) return hf_row;
    int64_t hd = m->config.head_dim, head = hf_row / hd, in = hf_row % hd;
    int64_t p = in / (hd / 2), j = in % (hd / 2);
    return head * hd + 2 * j + p;
}

static Status find_weight(const Model *m, Role role, int64_t layer, Weight *out, Err *e) {
    char name[128];
    WeightView v;
    TRY(base_model_weight(m->base, model_tensor_name(m, role, layer, name), &v, e));
    int64_t rows = dim_value(&m->config, TENSORS[role].rows), cols = dim_value(&m->config, TENSORS[role].cols);
    if (v.rows != rows || v.cols != cols)
        FAIL(e, ERR_SHAPE, "%s: tensor '%s' is %lld x %lld, expected %lld x %lld from the model's numbers",
             m->base->path, name, (long long)v.rows, (long long)v.cols, (long long)rows, (long long)cols);
    *out = (Weight){.data = v.data, .rows = v.rows, .cols = v.cols, .wt = v.type};
    return OK;
}

/* A norm weight as f32 in the arena. Block formats hold no norms. */
static Status load_norm(Arena *a, const Model *m, Role role, int64_t layer, const float **out, Err *e) {
    Weight w;
    float *f;
    char name[128];
    TRY(find_weight(m, role, layer, &w, e));
    const QuantTraits *t = wtype_traits(w.wt);
    if (t->block_elems != 1)
        FAIL(e, ERR_FORMAT, "%s: the norm '%s' is stored as %s; F32, F16 or BF16 is expected", m->base->path,
             model_tensor_name(m, role, layer, name), t->name);
    TRY(arena_alloc(a, (size_t)w.cols, sizeof(float), &f, e));
    t->unpack(f, w.data, 0, w.cols);
    *out = f;
    return OK;
}

static Status check_family(const Model *m, Err *e) {
    const ModelConfig *c = &m->config;
    if (c->attention_bias || c->mlp_bias)
        FAIL(e, ERR_FORMAT, "%s: linear layers with bias are not known to this version (attention_bias, mlp_bias)",
             m->base->path);
    if (strcmp(c->hidden_act, "silu") != 0 && strcmp(c->hidden_act, "swish") != 0)
        FAIL(e, ERR_FORMAT, "%s: hidden_act '%s' is not known to this version (known: silu)", m->base->path,
             c->hidden_act);
    if (c->head_dim % 2 != 0)
        FAIL(e, ERR_FORMAT, "%s: head_dim %lld is odd; rotary embeddings need pairs", m->base->path,
             (long long)c->head_dim);
    return OK;
}

static Status load_layers(Arena *a, Model *m, Err *e) {
    int64_t L = m->config.n_layers;
    TRY(arena_alloc(a, (size_t)L, sizeof *m->layer, &m->layer, e));
    TRY(arena_alloc(a, (size_t)L, sizeof *m->layer_norm, &m->layer_norm, e));
    for (int64_t i = 0; i < L; i++) {
        for (int r = 0; r < ROLE_COUNT; r++) {
            unsigned f = TENSORS[r].flags;
            if ((f & T_LAYER) == 0) continue;
            if (f & T_NORM)
                TRY(load_norm(a, m, (Role)r, i, &m->layer_norm[i][r], e));
            else
                TRY(find_weight(m, (Role)r, i, &m->layer[i][r], e));
        }
    }
    return OK;
}

Status model_open(Arena *weights, BaseModel *base, int64_t positions, Model **out, Err *e) {
    Model *m;
    TRY(ARENA_NEW(weights, 1, m, e));
    m->base = base;
    m->config = base->config;
    m->positions = positions;
    TRY(family_find(m->config.arch, base->path, &m->family, e));
    TRY(check_family(m, e));
    m->permuted_rows = base->kind == BASE_GGUF && m->family->gguf_permuted;
    m->interleaved = m->permuted_rows;
    TRY(find_weight(m, ROLE_EMBED, 0, &m->global[ROLE_EMBED], e));
    if (m->config.tie_embeddings)
        m->global[ROLE_HEAD] = m->global[ROLE_EMBED];
    else
        TRY(find_weight(m, ROLE_HEAD, 0, &m->global[ROLE_HEAD], e));
    TRY(load_norm(weights, m, ROLE_FINAL_NORM, 0, &m->final_norm, e));
    TRY(load_layers(weights, m, e));
    TRY(rotary_tables(weights, &m->config.rope, m->config.head_dim, positions, &m->cos, &m->sin, e));
    *out = m;
    return OK;
}
