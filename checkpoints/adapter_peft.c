/* adapter_peft.c: reads PEFT LoRA folders. See adapter_peft.h.
 *
 * The config is judged key by key with one table, as config.json is; the tensors decide which modules there are. Ranks
 * come from the tensors and must agree with r and rank_pattern. */
#include "checkpoints/adapter_peft.h"

#include "checkpoints/peft_pattern.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_MAX_BYTES = 1 << 24, RANK_MAX = 1 << 16, NAME_MAX_BYTES = 1000, TARGETS_MAX = 1 << 16 };

typedef enum Rule { USED, NEUTRAL, IS_FALSE, IS_EMPTY, IS_LORA, IS_NONE, KEEPS_BASE } Rule;

static const struct {
    const char *key;
    Rule rule;
} KEYS[] = {
    {"alpha_pattern", USED},
    {"base_model_name_or_path", USED},
    {"lora_alpha", USED},
    {"lora_dropout", USED},
    {"r", USED},
    {"rank_pattern", USED},
    {"target_modules", USED},
    {"use_rslora", USED},
    {"peft_type", IS_LORA},
    {"bias", IS_NONE},
    {"init_lora_weights", KEEPS_BASE},
    {"ensure_weight_tying", IS_FALSE},
    {"fan_in_fan_out", IS_FALSE},
    {"lora_bias", IS_FALSE},
    {"use_dora", IS_FALSE},
    {"use_qalora", IS_FALSE},
    {"alora_invocation_tokens", IS_EMPTY},
    {"arrow_config", IS_EMPTY},
    {"kasa_config", IS_EMPTY},
    {"layer_replication", IS_EMPTY},
    {"megatron_config", IS_EMPTY},
    {"modules_to_save", IS_EMPTY},
    {"monteclora_config", IS_EMPTY},
    {"target_parameters", IS_EMPTY},
    {"trainable_token_indices", IS_EMPTY},
    {"use_bdlora", IS_EMPTY},
    {"velora_config", IS_EMPTY},
    /* How training started, which layers were targeted, where it came from. */
    {"auto_mapping", NEUTRAL},
    {"corda_config", NEUTRAL},
    {"eva_config", NEUTRAL},
    {"exclude_modules", NEUTRAL},
    {"inference_mode", NEUTRAL},
    {"layers_pattern", NEUTRAL},
    {"layers_to_transform", NEUTRAL},
    {"loftq_config", NEUTRAL},
    {"lora_ga_config", NEUTRAL},
    {"megatron_core", NEUTRAL},
    {"peft_version", NEUTRAL},
    {"qalora_group_size", NEUTRAL},
    {"revision", NEUTRAL},
    {"runtime_config", NEUTRAL},
    {"task_type", NEUTRAL},
};

/* null, false, {}, [] and "" say that a setting is off. */
static bool is_off(const Json *v) {
    switch (v->type) {
    case JSON_NULL:
        return true;
    case JSON_BOOL:
        return !v->boolean;
    case JSON_STRING:
        return v->string.len == 0;
    case JSON_ARRAY:
    case JSON_OBJECT:
        return v->n == 0;
    default:
        return false;
    }
}

static const char *expected_value(const Json *v, Rule rule) {
    static const char *const INITS[] = {"gaussian", "eva", "orthogonal"};
    switch (rule) {
    case USED:
    case NEUTRAL:
        return NULL;
    case IS_FALSE:
        return is_off(v) ? NULL : "false";
    case IS_EMPTY:
        return is_off(v) ? NULL : "null";
    case IS_LORA:
        return json_is_string(v, "LORA") ? NULL : "\"LORA\"";
    case IS_NONE:
        return is_off(v) || json_is_string(v, "none") ? NULL : "\"none\"";
    case KEEPS_BASE:
        if (v->type == JSON_BOOL || v->type == JSON_NULL) return NULL;
        for (size_t i = 0; i < sizeof INITS / sizeof INITS[0]; i++)
            if (json_is_string(v, INITS[i])) return NULL;
        return "true (other kinds change the base model's weights; convert the adapter to plain LoRA with PEFT)";
    }
    return NULL;
}

static Status check_keys(const Json *root, const char *path, Err *e) {
    for (uint32_t i = 0; i < root->n; i++) {
        const char *key = root->list.keys[i].s;
        const Json *v = &root->list.items[i];
        size_t k = 0;
        while (k < sizeof KEYS / sizeof KEYS[0] && strcmp(key, KEYS[k].key) != 0) k++;
        if (k == sizeof KEYS / sizeof KEYS[0]) {
            if (is_off(v)) continue;
            FAIL(e, ERR_FORMAT, "%s: lorac does not know the key '%.100s', which may change what the adapter computes",
                 path, key);
        }
        const char *expected = expected_value(v, KEYS[k].rule);
        if (expected != NULL)
            FAIL(e, ERR_FORMAT, "%s: '%s' has a value that lorac does not support, expected %s", path, key, expected);
    }
    return OK;
}

/* What reading a folder needs besides the result. */
typedef struct Reading {
    Arena *arena;
    PeftAdapter *p;
    const char *config_path;
    const Json *root;
    PatternList ranks, alphas;
} Reading;

static Status read_config(Reading *r, Err *e) {
    const char *path = r->config_path;
    PeftAdapter *p = r->p;
    Json *root;
    TRY(json_read(r->arena, path, CONFIG_MAX_BYTES, &root, e));
    if (root->type != JSON_OBJECT) FAIL(e, ERR_FORMAT, "%s: expected a JSON object", path);
    r->root = root;
    TRY(check_keys(root, path, e));
    if (json_get(root, "peft_type") == NULL) FAIL(e, ERR_FORMAT, "%s: 'peft_type' is missing, expected \"LORA\"", path);
    TRY(json_want_int(root, path, "r", 1, RANK_MAX, &p->r, e));
    TRY(json_want_real(root, path, "lora_alpha", &p->alpha, e));
    const Json *v = json_get(root, "use_rslora");
    if (v != NULL && v->type != JSON_NULL) TRY(json_want_bool(root, path, "use_rslora", &p->use_rslora, e));
    v = json_get(root, "lora_dropout");
    if (v != NULL && v->type != JSON_NULL) TRY(json_want_real(root, path, "lora_dropout", &p->dropout, e));
    if (!(p->dropout >= 0 && p->dropout < 1))
        FAIL(e, ERR_FORMAT, "%s: 'lora_dropout' is %g, expected 0 or more and below 1", path, p->dropout);
    v = json_get(root, "base_model_name_or_path");
    p->base_model = "";
    if (v != NULL && v->type == JSON_STRING) p->base_model = v->string.s;
    v = json_get(root, "target_modules");
    if (v != NULL && v->type != JSON_NULL && v->type != JSON_ARRAY && v->type != JSON_STRING)
        FAIL(e, ERR_FORMAT, "%s: 'target_modules' is neither a list nor a string", path);
    if (v != NULL && v->type == JSON_ARRAY && v->n > TARGETS_MAX)
        FAIL(e, ERR_FORMAT, "%s: 'target_modules' has %u entries, at most %d are read", path, v->n, TARGETS_MAX);
    TRY(pattern_list_open(r->arena, path, root, "rank_pattern", &r->ranks, e));
    return pattern_list_open(r->arena, path, root, "alpha_pattern", &r->alphas, e);
}

/* Whether PEFT would load tensors of this module: a list names it whole or by its last components. */
static bool is_target(const Json *root, const char *module) {
    const Json *v = json_get(root, "target_modules");
    if (v == NULL || v->type != JSON_ARRAY) return true; /* null or a pattern: not judged here */
    size_t len = strlen(module);
    for (uint32_t i = 0; i < v->n; i++) {
        const Json *t = &v->list.items[i];
        if (t->type != JSON_STRING || t->string.len > len) continue;
        const char *tail = module + len - t->string.len;
        if (memcmp(tail, t->string.s, t->string.len) == 0 && (tail == module || tail[-1] == '.')) return true;
    }
    return false;
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

typedef enum Side { SIDE_A, SIDE_B, SIDE_BASE } Side; /* the order inside a module */

typedef struct Half {
    const char *module;
    Side side;
    const StTensor *tensor;
} Half;

static const char PREFIX[] = "base_model.model.";

static Status unknown_tensor(const char *path, const char *name, Err *e) {
    static const struct {
        const char *part, *why;
    } KINDS[] = {
        {"lora_magnitude_vector", "it belongs to a DoRA adapter, which is not supported"},
        {"lora_embedding_", "LoRA on embeddings is not supported"},
        {"lora_A.bias", "biases in an adapter are not supported"},
        {"lora_B.bias", "biases in an adapter are not supported"},
        {".base_layer.", "adapters that carry base weights or adapt stacked experts are not supported"},
        {".lora_", "this kind of adapter is not supported"},
    };
    const char *why = "it is no LoRA matrix (base_model.model.MODULE.lora_A.weight or .lora_B.weight); "
                      "fully trained modules are not supported";
    if (strncmp(name, PREFIX, sizeof PREFIX - 1) != 0)
        FAIL(e, ERR_FORMAT, "%s: tensor '%s': expected a name that begins with %s, as PEFT writes them", path, name,
             PREFIX);
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++)
        if (strstr(name, KINDS[i].part) != NULL) {
            why = KINDS[i].why;
            break;
        }
    FAIL(e, ERR_FORMAT, "%s: tensor '%s': %s", path, name, why);
}

static Status split_name(Reading *r, const StTensor *t, Half *out, Err *e) {
    static const char *const TAILS[] = {
        [SIDE_A] = ".lora_A.weight", [SIDE_B] = ".lora_B.weight", [SIDE_BASE] = ".base_layer.weight"};
    const char *path = r->p->file->path;
    size_t len = strlen(t->name), prefix = sizeof PREFIX - 1, tail = 0;
    int side = SIDE_A;
    if (len > NAME_MAX_BYTES)
        FAIL(e, ERR_FORMAT, "%s: the name of tensor '%.60s...' has %zu bytes, at most %d are read", path, t->name, len,
             NAME_MAX_BYTES);
    for (; side <= SIDE_BASE; side++) {
        tail = strlen(TAILS[side]);
        if (len > prefix + tail && strcmp(t->name + len - tail, TAILS[side]) == 0) break;
    }
    bool nested = side != SIDE_BASE && strstr(t->name, ".base_layer.") != NULL;
    if (side > SIDE_BASE || nested || strncmp(t->name, PREFIX, prefix) != 0) return unknown_tensor(path, t->name, e);
    bool known_type = t->dtype == ST_F32 || t->dtype == ST_F16 || t->dtype == ST_BF16;
    if (t->rank != 2 || t->shape[0] < 1 || t->shape[1] < 1 || (side != SIDE_BASE && !known_type))
        FAIL(e, ERR_FORMAT, "%s: tensor '%s' is no matrix of F32, F16 or BF16 (it has rank %d, type %s)", path, t->name,
             t->rank, st_dtype_name(t->dtype));
    char *module;
    TRY(arena_strndup(r->arena, t->name + prefix, len - prefix - tail, &module, e));
    *out = (Half){module, (Side)side, t};
    return OK;
}

static int by_module(const void *pa, const void *pb) {
    const Half *a = pa, *b = pb;
    int c = strcmp(a->module, b->module);
    return c != 0 ? c : (int)a->side - (int)b->side;
}

static WType weight_type(StDtype t) { return t == ST_F32 ? WT_F32 : t == ST_F16 ? WT_F16 : WT_BF16; }

static Status make_pair(Reading *r, const Half *a, const Half *b, LoraPair *out, Err *e) {
    const char *path = r->p->file->path;
    const StTensor *ta = a->tensor, *tb = b->tensor;
    double rank_said, alpha;
    if (ta->shape[0] != tb->shape[1])
        FAIL(e, ERR_SHAPE, "%s: module '%s': lora_A is [%lld, %lld] and lora_B [%lld, %lld]; the ranks differ", path,
             a->module, (long long)ta->shape[0], (long long)ta->shape[1], (long long)tb->shape[0],
             (long long)tb->shape[1]);
    TRY(pattern_list_value(&r->ranks, a->module, (double)r->p->r, &rank_said, e));
    TRY(pattern_list_value(&r->alphas, a->module, r->p->alpha, &alpha, e));
    if ((double)ta->shape[0] != rank_said)
        FAIL(e, ERR_SHAPE, "%s: module '%s' has rank %lld, but adapter_config.json says %g", path, a->module,
             (long long)ta->shape[0], rank_said);
    if (alpha == 0 || !(fabs(alpha) <= 1e9))
        FAIL(e, ERR_FORMAT, "%s: lora_alpha of module '%s' is %g, so the adapter would do nothing or overflow",
             r->config_path, a->module, alpha);
    if (!is_target(r->root, a->module))
        FAIL(e, ERR_FORMAT, "%s: has tensors of module '%s', which target_modules of adapter_config.json does not name",
             path, a->module);
    *out = (LoraPair){.module = a->module,
                      .a = ta->data,
                      .b = tb->data,
                      .a_type = weight_type(ta->dtype),
                      .b_type = weight_type(tb->dtype),
                      .r = ta->shape[0],
                      .in = ta->shape[1],
                      .out = tb->shape[0],
                      .alpha = alpha};
    out->scale = alpha / (r->p->use_rslora ? sqrt((double)out->r) : (double)out->r);
    return OK;
}

/* The copy of the base weight in an adapter belongs to a pair and has its shape. */
static Status check_copy(const Reading *r, const Half *base, const LoraPair *last, Err *e) {
    const StTensor *t = base->tensor;
    if (last == NULL || strcmp(last->module, base->module) != 0) return unknown_tensor(r->p->file->path, t->name, e);
    if (t->shape[0] != last->out || t->shape[1] != last->in)
        FAIL(e, ERR_SHAPE, "%s: tensor '%s' is [%lld, %lld], expected [%lld, %lld] as its LoRA matrices say",
             r->p->file->path, t->name, (long long)t->shape[0], (long long)t->shape[1], (long long)last->out,
             (long long)last->in);
    return OK;
}

static Status read_pairs(Reading *r, Err *e) {
    const Safetensors *s = r->p->file;
    PeftAdapter *p = r->p;
    Half *halves;
    LoraPair *pairs;
    TRY(ARENA_NEW(r->arena, s->n_tensors, halves, e));
    TRY(ARENA_NEW(r->arena, s->n_tensors, pairs, e));
    for (int64_t i = 0; i < s->n_tensors; i++) TRY(split_name(r, &s->tensors[i], &halves[i], e));
    if (s->n_tensors == 0) FAIL(e, ERR_FORMAT, "%s: the adapter holds no tensor", s->path);
    qsort(halves, (size_t)s->n_tensors, sizeof *halves, by_module);
    for (int64_t i = 0; i < s->n_tensors; i++) {
        const Half *a = &halves[i], *b = i + 1 < s->n_tensors ? &halves[i + 1] : NULL;
        if (a->side == SIDE_BASE) {
            TRY(check_copy(r, a, p->n > 0 ? &pairs[p->n - 1] : NULL, e));
            p->n_base_copies++;
            continue;
        }
        if (a->side != SIDE_A || b == NULL || b->side != SIDE_B || strcmp(a->module, b->module) != 0)
            FAIL(e, ERR_FORMAT, "%s: module '%s' has %s but no %s", s->path, a->module,
                 a->side == SIDE_A ? "lora_A.weight" : "lora_B.weight",
                 a->side == SIDE_A ? "lora_B.weight" : "lora_A.weight");
        TRY(make_pair(r, a, b, &pairs[p->n], e));
        p->n++;
        i++;
    }
    p->pairs = pairs;
    p->metadata = s->metadata;
    return OK;
}

static Status open_folder(Reading *r, Err *e) {
    PeftAdapter *p = r->p;
    char *config, *weights, *pickle;
    if (!path_is_folder(p->path))
        FAIL(e, ERR_IO, "%s: an adapter is a folder with adapter_config.json and adapter_model.safetensors; this is %s",
             p->path, path_exists(p->path) ? "a file" : "not there");
    TRY(path_join(r->arena, p->path, "adapter_config.json", &config, e));
    TRY(path_join(r->arena, p->path, "adapter_model.safetensors", &weights, e));
    TRY(path_join(r->arena, p->path, "adapter_model.bin", &pickle, e));
    if (!path_exists(weights) && path_exists(pickle))
        FAIL(e, ERR_IO,
             "%s: adapter_model.bin is not read (it can run code); save the adapter as safetensors with PEFT", p->path);
    r->config_path = config;
    TRY(read_config(r, e));
    TRY(safetensors_open(r->arena, weights, &p->file, e));
    return read_pairs(r, e);
}

Status peft_adapter_open(Arena *a, const char *folder, PeftAdapter **out, Err *e) {
    Reading r = {.arena = a};
    char *copy;
    TRY(ARENA_NEW(a, 1, r.p, e));
    TRY(arena_strdup(a, folder, &copy, e));
    r.p->path = copy;
    Status st = open_folder(&r, e);
    pattern_list_close(&r.ranks);
    pattern_list_close(&r.alphas);
    if (st != OK) {
        peft_adapter_close(r.p);
        return st;
    }
    *out = r.p;
    return OK;
}

void peft_adapter_close(PeftAdapter *p) {
    if (p == NULL) return;
    safetensors_close(p->file);
    p->file = NULL;
}

const LoraPair *peft_adapter_find(const PeftAdapter *p, const char *module) {
    int64_t low = 0, high = p->n;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        int c = strcmp(p->pairs[middle].module, module);
        if (c == 0) return &p->pairs[middle];
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
