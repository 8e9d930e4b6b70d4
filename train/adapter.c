/* adapter.c: choosing layers, memory, init, and PEFT in and out. See adapter.h. */
#include "train/adapter.h"

#include "base/buf.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_all_linear(const AdapterOptions *o) {
    return o->n_targets == 0 || (o->n_targets == 1 && strcmp(o->targets[0], "all-linear") == 0);
}

/* True when path equals target or ends in ".target". */
static bool path_matches(const char *path, const char *target) {
    size_t p = strlen(path), t = strlen(target);
    if (t == 0 || t > p) return false;
    if (strcmp(path + p - t, target) != 0) return false;
    return p == t || path[p - t - 1] == '.';
}

static Status known_targets(Arena *a, char **out, Err *e) {
    Buf b = {.arena = a};
    for (int r = 0; r < ROLE_COUNT; r++) {
        if ((TENSORS[r].flags & T_LORA) == 0) continue;
        const char *dot = strrchr(TENSORS[r].hf, '.');
        TRY(buf_printf(&b, e, "%s%s", b.len == 0 ? "" : ", ", dot == NULL ? TENSORS[r].hf : dot + 1));
    }
    *out = b.data;
    return OK;
}

static int by_path(const void *a, const void *b) {
    const AdapterModule *x = a, *y = b;
    return strcmp(x->path, y->path);
}

/* Every layer of the model that can carry an adapter, sorted by path. */
static Status list_modules(Arena *a, const Model *m, AdapterModule **out, int64_t *n, Err *e) {
    int64_t count = 0;
    TRY(arena_alloc(a, (size_t)(m->config.n_layers * ROLE_COUNT), sizeof **out, out, e));
    for (int64_t i = 0; i < m->config.n_layers; i++) {
        for (int r = 0; r < ROLE_COUNT; r++) {
            char text[128], *path;
            if ((TENSORS[r].flags & T_LORA) == 0) continue;
            TRY(arena_strdup(a, role_path((Role)r, i, text), &path, e));
            (*out)[count++] = (AdapterModule){.path = path, .role = (Role)r, .layer = i};
        }
    }
    qsort(*out, (size_t)count, sizeof **out, by_path);
    *n = count;
    return OK;
}

/* Allocates everything for the chosen modules; ranks[i] and modules[i].alpha are set. */
static Status adapter_layout(Arena *a, const Model *m, const AdapterOptions *o, Adapter *ad, int64_t n,
                             const int64_t *ranks, Err *e) {
    TRY(arena_alloc(a, (size_t)n, sizeof(AdapterSlot), &ad->set.slots, e));
    TRY(arena_alloc(a, (size_t)n, sizeof(int64_t), &ad->map.rank, e));
    TRY(arena_alloc(a, (size_t)m->config.n_layers, sizeof *ad->map.slot, &ad->map.slot, e));
    for (int64_t i = 0; i < m->config.n_layers; i++) {
        for (int r = 0; r < ROLE_COUNT; r++) ad->map.slot[i][r] = -1;
    }
    ad->set.n_slots = (int)n;
    ad->set.dropout = (float)o->dropout;
    for (int64_t i = 0; i < n; i++) {
        const AdapterModule *mod = &ad->modules[i];
        const Weight *w = &m->layer[mod->layer][mod->role];
        ad->map.slot[mod->layer][mod->role] = (int)i;
        ad->map.rank[i] = ranks[i];
        double root = ad->rslora ? sqrt((double)ranks[i]) : (double)ranks[i];
        ad->set.slots[i] = (AdapterSlot){.r = ranks[i],
                                         .n_in = w->cols,
                                         .n_out = w->rows,
                                         .scale = (float)(mod->alpha / root),
                                         .key = (uint64_t)mod->layer * 64 + (uint64_t)mod->role};
        ad->n_params += ranks[i] * (w->cols + w->rows);
    }
    ad->levels = o->training ? tree_levels(o->rows_most) : 0;
    ad->set.level_stride = ad->n_params;
    TRY(arena_alloc(a, (size_t)ad->n_params, sizeof(float), &ad->params, e));
    if (o->training) {
        TRY(arena_alloc(a, (size_t)ad->n_params, sizeof(float), &ad->m, e));
        TRY(arena_alloc(a, (size_t)ad->n_params, sizeof(float), &ad->v, e));
        TRY(arena_alloc(a, (size_t)ad->n_params * (size_t)ad->levels, sizeof(float), &ad->tree, e));
    }
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        AdapterSlot *s = &ad->set.slots[i];
        s->A = ad->params + at;
        s->B = s->A + s->r * s->n_in;
        if (ad->tree != NULL) {
            s->dA = ad->tree + at;
            s->dB = s->dA + s->r * s->n_in;
        }
        at += s->r * (s->n_in + s->n_out);
    }
    return OK;
}

static void init_values(Adapter *ad, uint64_t seed) {
    for (int i = 0; i < ad->set.n_slots; i++) {
        AdapterSlot *s = &ad->set.slots[i];
        uint64_t key = rng_mix(rng_mix(seed, RNG_INIT), s->key);
        float bound = 1.0f / sqrtf((float)s->n_in);
        for (int64_t k = 0; k < s->r * s->n_in; k++) {
            Philox x = philox4x32(key, (uint64_t)(k / 4), 0);
            s->A[k] = (2.0f * rng_unit(x.v[k % 4]) - 1.0f) * bound;
        }
    }
}

Status adapter_create(Arena *a, const Model *m, const AdapterOptions *o, Adapter **out, Err *e) {
    Adapter *ad;
    AdapterModule *all;
    int64_t n_all, n = 0, *ranks;
    TRY(ARENA_NEW(a, 1, ad, e));
    TRY(list_modules(a, m, &all, &n_all, e));
    for (int64_t t = 0; t < o->n_targets && !is_all_linear(o); t++) {
        bool found = false;
        for (int64_t i = 0; i < n_all && !found; i++) found = path_matches(all[i].path, o->targets[t]);
        if (found) continue;
        char *known;
        TRY(known_targets(a, &known, e));
        FAIL(e, ERR_CONFIG, "lora_target_modules: '%s' matches no linear layer of this model; there are: %s",
             o->targets[t], known);
    }
    TRY(arena_alloc(a, (size_t)n_all, sizeof(int64_t), &ranks, e));
    for (int64_t i = 0; i < n_all; i++) {
        bool want = is_all_linear(o);
        for (int64_t t = 0; t < o->n_targets && !want; t++) want = path_matches(all[i].path, o->targets[t]);
        if (!want) continue;
        all[n] = all[i];
        all[n].alpha = o->alpha;
        ranks[n++] = o->r;
    }
    ad->modules = all;
    ad->r = o->r;
    ad->alpha = o->alpha;
    ad->rslora = o->rslora;
    TRY(adapter_layout(a, m, o, ad, n, ranks, e));
    init_values(ad, o->seed);
    *out = ad;
    return OK;
}

/* Copies the pair into the slot; B's rows go to the file's order. */
static void copy_in(const Model *m, const Adapter *ad, int64_t i, const LoraPair *p) {
    AdapterSlot *s = &ad->set.slots[i];
    const QuantTraits *ta = wtype_traits(p->a_type), *tb = wtype_traits(p->b_type);
    ta->unpack(s->A, p->a, 0, s->r * s->n_in);
    for (int64_t row = 0; row < s->n_out; row++) {
        int64_t to = model_file_row(m, ad->modules[i].role, row);
        const char *from = (const char *)p->b + row * wtype_row_bytes(p->b_type, s->r);
        tb->unpack(s->B + to * s->r, from, 0, s->r);
    }
}

static Status load_from(Arena *a, const Model *m, const PeftAdapter *p, const AdapterOptions *o, Adapter **out,
                        Err *e) {
    Adapter *ad;
    AdapterModule *all, *chosen;
    int64_t n_all, *ranks;
    TRY(ARENA_NEW(a, 1, ad, e));
    TRY(list_modules(a, m, &all, &n_all, e));
    TRY(arena_alloc(a, (size_t)p->n, sizeof *chosen, &chosen, e));
    TRY(arena_alloc(a, (size_t)p->n, sizeof *ranks, &ranks, e));
    for (int64_t i = 0; i < p->n; i++) {
        const LoraPair *pair = &p->pairs[i];
        AdapterModule key = {.path = pair->module};
        const AdapterModule *hit = bsearch(&key, all, (size_t)n_all, sizeof *all, by_path);
        if (hit == NULL)
            FAIL(e, ERR_FORMAT, "%s: the adapter has tensors for '%s', which is no linear layer of the base model %s",
                 p->path, pair->module, m->base->path);
        const Weight *w = &m->layer[hit->layer][hit->role];
        if (pair->in != w->cols || pair->out != w->rows)
            FAIL(e, ERR_SHAPE, "%s: '%s' adapts a layer of %lld x %lld, the base model %s has %lld x %lld", p->path,
                 pair->module, (long long)pair->out, (long long)pair->in, m->base->path, (long long)w->rows,
                 (long long)w->cols);
        chosen[i] = *hit;
        chosen[i].alpha = pair->alpha;
        ranks[i] = pair->r;
    }
    ad->modules = chosen;
    ad->r = p->r;
    ad->alpha = p->alpha;
    ad->rslora = p->use_rslora;
    TRY(adapter_layout(a, m, o, ad, p->n, ranks, e));
    for (int64_t i = 0; i < p->n; i++) copy_in(m, ad, i, &p->pairs[i]);
    *out = ad;
    return OK;
}

Status adapter_load(Arena *a, const Model *m, const char *folder, const AdapterOptions *o, Adapter **out, Err *e) {
    PeftAdapter *p = NULL;
    Status st;
    TRY_OUT(st, peft_adapter_open(a, folder, &p, e));
    TRY_OUT(st, load_from(a, m, p, o, out, e));
out:
    peft_adapter_close(p);
    return st;
}

static bool is_permuted(const Model *m, Role role) {
    return m->permuted_rows && (TENSORS[role].flags & (T_ROPE_Q | T_ROPE_K)) != 0;
}

/* A module costs a few names, a declaration and its part of two texts, which grow by doubling. */
enum { MODULE_SAVE_BYTES = 1 << 12, SAVE_BYTES = 1 << 18 };

size_t adapter_save_bytes(const Model *m, const Adapter *ad, size_t text_bytes) {
    size_t n = SAVE_BYTES + 8 * text_bytes;
    for (int i = 0; i < ad->set.n_slots; i++) {
        const AdapterSlot *s = &ad->set.slots[i];
        n += MODULE_SAVE_BYTES + 16 * strlen(ad->modules[i].path);
        if (is_permuted(m, ad->modules[i].role)) n += (size_t)(s->n_out * s->r) * sizeof(float);
    }
    return n;
}

Status adapter_save(Arena *scratch, const Model *m, const Adapter *ad, const char *folder, const char *base_name,
                    const StMeta *meta, int n_meta, Err *e) {
    ArenaMark mark = arena_mark(scratch);
    LoraSource *pairs;
    int n = ad->set.n_slots;
    TRY(arena_alloc(scratch, (size_t)n, sizeof *pairs, &pairs, e));
    for (int i = 0; i < n; i++) {
        const AdapterSlot *s = &ad->set.slots[i];
        const AdapterModule *mod = &ad->modules[i];
        float *b = s->B;
        if (is_permuted(m, mod->role)) {
            TRY(arena_alloc(scratch, (size_t)(s->n_out * s->r), sizeof(float), &b, e));
            for (int64_t row = 0; row < s->n_out; row++)
                memcpy(b + row * s->r, s->B + model_file_row(m, mod->role, row) * s->r, (size_t)s->r * sizeof(float));
        }
        pairs[i] = (LoraSource){
            .module = mod->path, .a = s->A, .b = b, .r = s->r, .in = s->n_in, .out = s->n_out, .alpha = mod->alpha};
    }
    PeftWrite w = {.pairs = pairs,
                   .n = n,
                   .r = ad->r,
                   .alpha = ad->alpha,
                   .dropout = (double)ad->set.dropout,
                   .use_rslora = ad->rslora,
                   .base_model = base_name,
                   .meta = meta,
                   .n_meta = n_meta};
    Status st = peft_adapter_write(scratch, folder, &w, e);
    arena_reset(scratch, mark);
    return st;
}

Status adapter_hash(Arena *scratch, const Adapter *ad, Hash128 *out, Err *e) {
    ArenaMark mark = arena_mark(scratch);
    Hasher *h;
    TRY(hasher_open(scratch, &h, e));
    size_t bytes = (size_t)ad->n_params * sizeof(float);
    hasher_add(h, ad->params, bytes);
    if (ad->m != NULL) hasher_add(h, ad->m, bytes);
    if (ad->v != NULL) hasher_add(h, ad->v, bytes);
    *out = hasher_value(h);
    arena_reset(scratch, mark);
    return OK;
}

int64_t adapter_params(const Adapter *ad) { return ad->n_params; }
