/* cmd_verify.c: lorac verify: the first step and tensor in which two runs differ.
 *
 * The steps' lines of metrics.jsonl are compared member by member, times and memory left out; each line's state_hash covers
 * adapter and moments, so the first differing line is the first differing step. The tensor is looked up in the first
 * checkpoint at or after that step which both runs kept, else in the adapters at the top of the folders. */
#include "train/cmd.h"

#include "base/file.h"
#include "base/json.h"
#include "checkpoints/adapter_peft.h"
#include "checkpoints/safetensors.h"
#include "checkpoints/state_hdf5.h"

#include <stdlib.h>
#include <string.h>

const char cmd_verify_help[] =
    "usage: lorac verify RUN1 RUN2\n"
    "\n"
    "Compares two output folders of lorac train: every step's loss, gradient norm and hash of adapter and moments, every\n"
    "evaluation that both made, and the adapters. Times and memory may differ. Prints what was equal, or (exit 3) the\n"
    "first step that differs and the first differing tensor of the next checkpoint that both runs kept.\n";

/* The events of one kind in a metrics file, in order. */
typedef struct Events {
    Json **items;
    size_t n, cap;
} Events;

typedef struct Run {
    const char *folder;
    Events steps, evals;
} Run;

typedef struct Verify {
    Arena *arena;
    Run runs[2];
    int64_t step;    /* the first that differs, -1: none */
    const char *why; /* the member and both values */
} Verify;

static Status add_event(Arena *a, Events *list, Json *event, Err *e) {
    TRY(arena_grow(a, &list->items, &list->cap, list->n, list->n + 1, sizeof(Json *), e));
    list->items[list->n++] = event;
    return OK;
}

static Status read_lines(Arena *a, const FileMap *m, Run *r, Err *e) {
    const char *text = (const char *)m->data;
    int64_t line = 0;
    for (size_t at = 0; at < m->size;) {
        const char *end = memchr(text + at, '\n', m->size - at);
        size_t n = end == NULL ? m->size - at : (size_t)(end - text) - at;
        Json *event;
        line++;
        TRY(json_parse_line(a, m->path, line, text + at, n, &event, e));
        if (json_is_string(json_get(event, "event"), "step")) TRY(add_event(a, &r->steps, event, e));
        if (json_is_string(json_get(event, "event"), "eval")) TRY(add_event(a, &r->evals, event, e));
        at += n + 1;
    }
    return OK;
}

static Status read_run(Arena *a, const char *folder, Run *r, Err *e) {
    char *path;
    FileMap m;
    *r = (Run){.folder = folder};
    TRY(path_join(a, folder, "metrics.jsonl", &path, e));
    TRY(file_map(path, &m, e));
    Status st = read_lines(a, &m, r, e);
    file_unmap(&m);
    TRY(st);
    if (r->steps.n == 0) FAIL(e, ERR_FORMAT, "%s: holds no step of a run", path);
    return OK;
}

/* Members that equal runs may differ in: "*_s", "*_per_second", "rss_*". */
static bool may_differ(const char *key) {
    size_t n = strlen(key);
    return (n > 2 && strcmp(key + n - 2, "_s") == 0) || (n > 11 && strcmp(key + n - 11, "_per_second") == 0) ||
           strncmp(key, "rss_", 4) == 0;
}

static bool same_value(const Json *x, const Json *y) {
    if (x == NULL || y == NULL || x->type != y->type) return x == y;
    switch (x->type) {
    case JSON_INT:
        return x->integer == y->integer;
    case JSON_REAL:
        return memcmp(&x->real, &y->real, sizeof x->real) == 0;
    case JSON_STRING:
        return x->string.len == y->string.len && memcmp(x->string.s, y->string.s, x->string.len) == 0;
    case JSON_BOOL:
        return x->boolean == y->boolean;
    default:
        return x->type == JSON_NULL;
    }
}

/* *why: NULL when the events are equal, else the first differing member with its values. */
static Status compare_events(Arena *a, const Json *x, const Json *y, const char **why, Err *e) {
    *why = NULL;
    for (uint32_t i = 0; x->type == JSON_OBJECT && i < x->n; i++) {
        const char *key = x->list.keys[i].s;
        const Json *other = json_get(y, key);
        if (may_differ(key) || same_value(&x->list.items[i], other)) continue;
        Buf b = {.arena = a};
        TRY(buf_printf(&b, e, "%s ", key));
        TRY(json_put_value(&b, &x->list.items[i], e));
        TRY(buf_puts(&b, " and ", e));
        if (other == NULL)
            TRY(buf_puts(&b, "nothing", e));
        else
            TRY(json_put_value(&b, other, e));
        *why = b.data;
        return OK;
    }
    return OK;
}

static int64_t step_of(const Json *event) {
    const Json *s = json_get(event, "step");
    return s != NULL && s->type == JSON_INT ? s->integer : -1;
}

static Status differ_at(Verify *v, const Json *x, const Json *y, Err *e) {
    const char *why;
    TRY(compare_events(v->arena, x, y, &why, e));
    if (why == NULL || (v->step >= 0 && v->step <= step_of(x))) return OK;
    v->step = step_of(x);
    v->why = why;
    return OK;
}

/* The event of `list` at this step for this dataset, or NULL. */
static const Json *same_eval(const Events *list, const Json *event) {
    for (size_t i = 0; i < list->n; i++) {
        if (same_value(json_get(list->items[i], "step"), json_get(event, "step")) &&
            same_value(json_get(list->items[i], "dataset"), json_get(event, "dataset")))
            return list->items[i];
    }
    return NULL;
}

/* Compares what both have; *evals: evaluations that both made. */
static Status compare_metrics(Verify *v, int64_t *evals, Err *e) {
    const Events *x = &v->runs[0].steps, *y = &v->runs[1].steps;
    *evals = 0;
    for (size_t i = 0; i < x->n && i < y->n; i++) TRY(differ_at(v, x->items[i], y->items[i], e));
    for (size_t i = 0; i < v->runs[0].evals.n; i++) {
        const Json *event = v->runs[0].evals.items[i], *other = same_eval(&v->runs[1].evals, event);
        if (other == NULL) continue;
        (*evals)++;
        TRY(differ_at(v, event, other, e));
    }
    return OK;
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

static Status state_values(Arena *a, const StateFile *f, const char *name, int64_t n, float **out, Err *e) {
    TRY(arena_alloc(a, (size_t)n, sizeof(float), out, e));
    return state_array(f, name, 1, n, *out, e);
}

/* The tensor of a state that holds number `at`; "the tensor table" names them in order. */
static Status tensor_at(Arena *a, const StateFile *f, int64_t at, char **out, Err *e) {
    char *table;
    size_t len;
    TRY(state_text(f, a, "tensors", &table, &len, e));
    for (char *line = table; *line != 0;) {
        size_t n = strcspn(line, "\n"), name = strcspn(line, " ");
        char *end;
        long long rows = strtoll(line + name, &end, 10), cols = strtoll(end, NULL, 10);
        if (at < rows * cols) return arena_printf(a, out, e, "%.*s, element %lld", (int)name, line, (long long)at);
        at -= rows * cols;
        line += n + (line[n] == '\n');
    }
    return arena_printf(a, out, e, "number %lld beyond the tensors", (long long)at);
}

static Status compare_states(Arena *a, StateFile *const f[2], int64_t step, char **found, Err *e) {
    static const char *const ARRAYS[] = {"adapter", "adam_m", "adam_v"};
    int64_t n[2];
    TRY(state_int(f[0], "n_params", &n[0], e));
    TRY(state_int(f[1], "n_params", &n[1], e));
    if (n[0] != n[1])
        return arena_printf(a, found, e, "the adapters have %lld and %lld numbers", (long long)n[0], (long long)n[1]);
    for (int k = 0; k < 3; k++) {
        float *x, *y;
        char *tensor;
        TRY(state_values(a, f[0], ARRAYS[k], n[0], &x, e));
        TRY(state_values(a, f[1], ARRAYS[k], n[0], &y, e));
        for (int64_t i = 0; i < n[0]; i++) {
            if (memcmp(&x[i], &y[i], sizeof *x) == 0) continue;
            TRY(tensor_at(a, f[0], i, &tensor, e));
            return arena_printf(a, found, e, "in checkpoint-%lld the first differing tensor is %s of %s: %.9g and %.9g",
                                (long long)step, tensor, ARRAYS[k], (double)x[i], (double)y[i]);
        }
    }
    return OK;
}

static Status open_states(Verify *v, int64_t step, StateFile *f[2], Err *e) {
    for (int i = 0; i < 2; i++) {
        char *folder;
        TRY(state_folder(v->arena, v->runs[i].folder, step, &folder, e));
        TRY(state_open(v->arena, folder, &f[i], e));
    }
    return OK;
}

/* The first checkpoint at or after the step that both runs kept. */
static Status in_checkpoints(Verify *v, char **found, Err *e) {
    int64_t *steps[2], best = -1;
    size_t n[2];
    StateFile *f[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++) TRY(state_list(v->arena, v->runs[i].folder, &steps[i], &n[i], e));
    for (size_t i = 0; i < n[0]; i++) {
        for (size_t j = 0; j < n[1]; j++)
            if (steps[0][i] == steps[1][j] && steps[0][i] >= v->step) best = steps[0][i];
    }
    if (best < 0) return OK;
    Status st = open_states(v, best, f, e);
    if (st == OK) st = compare_states(v->arena, f, best, found, e);
    state_close(f[0]);
    state_close(f[1]);
    return st;
}

static Status compare_files(Arena *a, Safetensors *const s[2], char **found, Err *e) {
    for (int64_t i = 0; i < s[0]->n_tensors; i++) {
        const StTensor *x = &s[0]->tensors[i], *y = safetensors_find(s[1], x->name);
        if (y != NULL && x->bytes == y->bytes && x->dtype == y->dtype && memcmp(x->data, y->data, x->bytes) == 0)
            continue;
        return arena_printf(a, found, e, "in adapter_model.safetensors the first differing tensor is %s%s", x->name,
                            y == NULL ? ", which the second lacks" : "");
    }
    if (s[0]->n_tensors == s[1]->n_tensors) return OK;
    return arena_printf(a, found, e, "adapter_model.safetensors has %lld and %lld tensors", (long long)s[0]->n_tensors,
                        (long long)s[1]->n_tensors);
}

static Status in_adapters(Verify *v, char **found, int64_t *tensors, Err *e) {
    Safetensors *s[2] = {NULL, NULL};
    char *path;
    Status st = OK;
    for (int i = 0; i < 2 && st == OK; i++) {
        st = path_join(v->arena, v->runs[i].folder, "adapter_model.safetensors", &path, e);
        if (st == OK) st = safetensors_open(v->arena, path, &s[i], e);
    }
    if (st == OK) st = compare_files(v->arena, s, found, e);
    if (st == OK) *tensors = s[0]->n_tensors;
    safetensors_close(s[0]);
    safetensors_close(s[1]);
    return st;
}

static Status verify(Ctx *ctx, Verify *v, Err *e) {
    int64_t evals, tensors = 0;
    char *found = NULL;
    const char *one = v->runs[0].folder, *two = v->runs[1].folder;
    size_t n[2] = {v->runs[0].steps.n, v->runs[1].steps.n};
    TRY(compare_metrics(v, &evals, e));
    if (v->step >= 0) {
        TRY(in_checkpoints(v, &found, e));
        if (found == NULL) TRY(in_adapters(v, &found, &tensors, e));
        FAIL(e, ERR_CHECK, "%s and %s differ from step %lld on: %s; %s", one, two, (long long)v->step, v->why,
             found == NULL ? "no checkpoint of both shows the tensor (save_steps: 1 with save_total_limit: 0 would)"
                           : found);
    }
    if (n[0] != n[1])
        FAIL(e, ERR_CHECK, "%s has %zu steps and %s has %zu; as far as both go they are equal", one, n[0], two, n[1]);
    TRY(in_adapters(v, &found, &tensors, e));
    if (found != NULL) FAIL(e, ERR_CHECK, "%s and %s: all steps are equal, but %s", one, two, found);
    fprintf(ctx->log.out, "equal: %zu steps, %lld evaluations, %lld tensors of the adapter\n", n[0], (long long)evals,
            (long long)tensors);
    return OK;
}

Status cmd_verify(Ctx *ctx, int argc, char **argv, Err *e) {
    Args args;
    TRY(args_parse(ctx->arena, argc, argv, NULL, 0, 0, 2, 2, &args, e));
    Verify v = {.arena = ctx->arena, .step = -1};
    for (int i = 0; i < 2; i++) TRY(read_run(ctx->arena, args.positional[i], &v.runs[i], e));
    return verify(ctx, &v, e);
}
