/* build.c: the decoder as a graph. One function per axis; no family is named here. */
#include "train/model/model.h"

#include <math.h>

typedef struct Builder {
    Graph *g;
    const Model *m;
    const SlotMap *slots;
    Err *e;
} Builder;

static LinearSpec spec_of(const Builder *b, int64_t layer, Role role) {
    LinearSpec s = {.w = b->m->layer[layer][role], .slot = -1};
    if (b->slots != NULL && b->slots->slot[layer][role] >= 0) {
        s.slot = b->slots->slot[layer][role];
        s.r = b->slots->rank[s.slot];
    }
    return s;
}

/* x + o_proj(attention(rope(q), rope(k), v)), q, k, v from rms(x); grouped heads. */
static Status build_attention(const Builder *b, int64_t layer, Tensor *x, Tensor **out) {
    const Model *m = b->m;
    const ModelConfig *c = &m->config;
    Tensor *h, *qkv[3], *q, *k, *o;
    TRY(op_rmsnorm(b->g, x, m->layer_norm[layer][ROLE_ATTN_NORM], (float)c->rms_eps, &h, b->e));
    LinearSpec parts[3] = {spec_of(b, layer, ROLE_Q), spec_of(b, layer, ROLE_K), spec_of(b, layer, ROLE_V)};
    TRY(op_linear(b->g, h, NULL, parts, 3, qkv, b->e));
    RopeSpec rope = {.cos = m->cos,
                     .sin = m->sin,
                     .heads = c->n_heads,
                     .head_dim = c->head_dim,
                     .half = c->head_dim / 2,
                     .interleaved = m->interleaved};
    TRY(op_rope(b->g, qkv[0], &rope, &q, b->e));
    rope.heads = c->n_kv_heads;
    TRY(op_rope(b->g, qkv[1], &rope, &k, b->e));
    AttentionSpec attention = {.heads = c->n_heads,
                               .kv_heads = c->n_kv_heads,
                               .head_dim = c->head_dim,
                               .scale = (float)(1.0 / sqrt((double)c->head_dim))};
    TRY(op_attention(b->g, q, k, qkv[2], &attention, &o, b->e));
    LinearSpec proj = spec_of(b, layer, ROLE_O);
    return op_linear(b->g, o, x, &proj, 1, out, b->e);
}

/* x + down(act(gate(h)) * up(h)), h = rms(x). */
static Status build_ffn(const Builder *b, int64_t layer, Tensor *x, Tensor **out) {
    const Model *m = b->m;
    Tensor *h, *gu[2], *y;
    TRY(op_rmsnorm(b->g, x, m->layer_norm[layer][ROLE_FFN_NORM], (float)m->config.rms_eps, &h, b->e));
    LinearSpec parts[2] = {spec_of(b, layer, ROLE_GATE), spec_of(b, layer, ROLE_UP)};
    TRY(op_linear(b->g, h, NULL, parts, 2, gu, b->e));
    TRY(op_glu(b->g, gu[0], gu[1], m->family->act, &y, b->e));
    LinearSpec down = spec_of(b, layer, ROLE_DOWN);
    return op_linear(b->g, y, x, &down, 1, out, b->e);
}

Status model_build(Graph *g, const Model *m, const SlotMap *slots, Err *e) {
    Builder b = {.g = g, .m = m, .slots = slots, .e = e};
    Tensor *x, *y;
    graph_set_segment(g, -1, -1);
    TRY(op_embedding(g, m->global[ROLE_EMBED], &x, e));
    for (int64_t i = 0; i < m->config.n_layers; i++) {
        graph_set_segment(g, (int)i, (int)i);
        TRY(build_attention(&b, i, x, &y));
        TRY(build_ffn(&b, i, y, &x));
    }
    graph_set_segment(g, -1, -1);
    TRY(op_rmsnorm(g, x, m->final_norm, (float)m->config.rms_eps, &y, e));
    return op_head_loss(g, y, m->global[ROLE_HEAD], e);
}
