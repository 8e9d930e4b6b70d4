/* adapter_peft_write.c: writes PEFT LoRA folders. See adapter_peft.h.
 *
 * adapter_config.json holds the keys that PEFT has known since 0.13 and none that newer ones only added, sorted and
 * indented as PEFT writes it. init_lora_weights is true: what other values mean concerns the base weights. */
#include "checkpoints/adapter_peft.h"

#include "checkpoints/name_index.h"

#include <stdlib.h>
#include <string.h>

static int by_text(const void *pa, const void *pb) {
    return strcmp(*(const char *const *)pa, *(const char *const *)pb);
}

/* The distinct last components of the module names, sorted. */
static Status leaf_names(Arena *a, const PeftWrite *w, const char ***out, size_t *n, Err *e) {
    const char **list;
    TRY(ARENA_NEW(a, w->n, list, e));
    for (int64_t i = 0; i < w->n; i++) {
        const char *dot = strrchr(w->pairs[i].module, '.');
        list[i] = dot != NULL ? dot + 1 : w->pairs[i].module;
    }
    qsort(list, (size_t)w->n, sizeof *list, by_text);
    *n = 0;
    for (int64_t i = 0; i < w->n; i++)
        if (*n == 0 || strcmp(list[*n - 1], list[i]) != 0) list[(*n)++] = list[i];
    *out = list;
    return OK;
}

static Status add_text(Buf *b, const char *s, Err *e) { return json_put_string(b, s, strlen(s), e); }

/* A whole number as "16", others with their digits (Ollama reads lora_alpha as an integer). */
static Status add_number(Buf *b, double v, Err *e) {
    if (v >= -1e15 && v <= 1e15 && v == (double)(int64_t)v) return buf_printf(b, e, "%lld", (long long)v);
    return json_put_real(b, v, e);
}

typedef enum Which { RANKS, ALPHAS } Which;

/* "KEY": {module: value of those that differ from the whole adapter's}, in the order of names. */
static Status add_pattern(Buf *b, const PeftWrite *w, const NameIndex *order, Which which, Err *e) {
    bool any = false;
    TRY(buf_puts(b, which == RANKS ? "  \"rank_pattern\": {" : "  \"alpha_pattern\": {", e));
    for (size_t i = 0; i < order->n; i++) {
        const LoraSource *s = &w->pairs[order->entries[i].position];
        double value = which == RANKS ? (double)s->r : s->alpha, usual = which == RANKS ? (double)w->r : w->alpha;
        if (value == usual) continue;
        TRY(buf_puts(b, any ? ",\n    " : "\n    ", e));
        any = true;
        TRY(add_text(b, s->module, e));
        TRY(buf_puts(b, ": ", e));
        TRY(add_number(b, value, e));
    }
    return buf_puts(b, any ? "\n  },\n" : "},\n", e);
}

static Status add_config(Buf *b, const PeftWrite *w, const NameIndex *order, Err *e) {
    const char **leaves;
    size_t n;
    TRY(leaf_names(b->arena, w, &leaves, &n, e));
    TRY(buf_puts(b, "{\n", e));
    TRY(add_pattern(b, w, order, ALPHAS, e));
    TRY(buf_puts(b, "  \"auto_mapping\": null,\n  \"base_model_name_or_path\": ", e));
    TRY(add_text(b, w->base_model, e));
    TRY(buf_puts(b,
                 ",\n  \"bias\": \"none\",\n  \"fan_in_fan_out\": false,\n  \"inference_mode\": true,\n"
                 "  \"init_lora_weights\": true,\n  \"layer_replication\": null,\n  \"layers_pattern\": null,\n"
                 "  \"layers_to_transform\": null,\n  \"loftq_config\": {},\n  \"lora_alpha\": ",
                 e));
    TRY(add_number(b, w->alpha, e));
    TRY(buf_puts(b, ",\n  \"lora_dropout\": ", e));
    TRY(json_put_real(b, w->dropout, e));
    TRY(buf_printf(b, e,
                   ",\n  \"megatron_config\": null,\n  \"megatron_core\": \"megatron.core\",\n"
                   "  \"modules_to_save\": null,\n  \"peft_type\": \"LORA\",\n  \"r\": %lld,\n",
                   (long long)w->r));
    TRY(add_pattern(b, w, order, RANKS, e));
    TRY(buf_puts(b, "  \"revision\": null,\n  \"target_modules\": [", e));
    for (size_t i = 0; i < n; i++) {
        TRY(buf_puts(b, i > 0 ? ",\n    " : "\n    ", e));
        TRY(add_text(b, leaves[i], e));
    }
    return buf_printf(b, e,
                      "\n  ],\n  \"task_type\": \"CAUSAL_LM\",\n  \"use_dora\": false,\n  \"use_rslora\": %s\n}\n",
                      w->use_rslora ? "true" : "false");
}

/* A matrix to write and the name it gets; 2i is A of pair i, 2i + 1 is B. */
static Status declare(Arena *a, const PeftWrite *w, StDeclare **out, NameIndex *names, Err *e) {
    StDeclare *list;
    TRY(ARENA_NEW(a, 2 * w->n, list, e));
    for (int64_t i = 0; i < 2 * w->n; i++) {
        const LoraSource *s = &w->pairs[i / 2];
        bool is_a = i % 2 == 0;
        char *name;
        TRY(arena_printf(a, &name, e, "base_model.model.%s.lora_%c.weight", s->module, is_a ? 'A' : 'B'));
        list[i] = (StDeclare){.name = name, .dtype = ST_F32, .rank = 2};
        list[i].shape[0] = is_a ? s->r : s->out;
        list[i].shape[1] = is_a ? s->in : s->r;
        TRY(name_index_add(names, a, name, i, e));
    }
    name_index_sort(names);
    *out = list;
    return OK;
}

static Status write_tensors(StWriter *out, const PeftWrite *w, const StDeclare *list, const NameIndex *names, Err *e) {
    for (int64_t i = 0; i < 2 * w->n; i++) {
        int64_t which = name_index_find(names, list[i].name);
        const LoraSource *s = &w->pairs[which / 2];
        size_t bytes = (size_t)(list[i].shape[0] * list[i].shape[1]) * sizeof(float);
        TRY(st_writer_data(out, which % 2 == 0 ? s->a : s->b, bytes, e));
    }
    return OK;
}

static Status write_weights(Arena *a, const char *path, const PeftWrite *w, Err *e) {
    StDeclare *list;
    StMeta *meta;
    StWriter *out = NULL;
    NameIndex names = {0};
    TRY(declare(a, w, &list, &names, e));
    TRY(ARENA_NEW(a, w->n_meta + 1, meta, e));
    meta[0] = (StMeta){"format", "pt"};
    for (int i = 0; i < w->n_meta; i++) meta[i + 1] = w->meta[i];
    TRY(st_writer_open(a, path, list, 2 * w->n, meta, w->n_meta + 1, &out, e));
    Status st = write_tensors(out, w, list, &names, e);
    if (st == OK) return st_writer_commit(out, e);
    st_writer_abort(out);
    return st;
}

static Status write_folder(Arena *a, const char *folder, const PeftWrite *w, Err *e) {
    char *config, *weights;
    NameIndex order = {0};
    Buf b = {.arena = a};
    TRY(make_folders(folder, e));
    TRY(path_join(a, folder, "adapter_config.json", &config, e));
    TRY(path_join(a, folder, "adapter_model.safetensors", &weights, e));
    for (int64_t i = 0; i < w->n; i++) TRY(name_index_add(&order, a, w->pairs[i].module, i, e));
    name_index_sort(&order);
    TRY(add_config(&b, w, &order, e));
    TRY(file_write_atomic(a, config, b.data, b.len, e));
    return write_weights(a, weights, w, e);
}

Status peft_adapter_write(Arena *scratch, const char *folder, const PeftWrite *w, Err *e) {
    CHECK(w->n > 0, "an adapter without a layer");
    ArenaMark mark = arena_mark(scratch);
    Status st = write_folder(scratch, folder, w, e);
    arena_reset(scratch, mark);
    return st;
}
