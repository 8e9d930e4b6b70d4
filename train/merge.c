/* merge.c: the merge itself: types, streaming, bookkeeping. Writers and verification are beside it. */
#include "train/merge.h"

#include "base/file.h"
#include "base/signals.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK_FLOATS = 1 << 20, COPY_BYTES = 1 << 22 };

/* Bounds on the mean KL divergence (nats per token) of the written model from base + adapter. They follow from the
 * rounding of the type: relative error 2^-24, 2^-11, 2^-8 of a weight, and 1/254, 1/30 of a block's largest. Measured on
 * random and real models the divergence lies one to two orders below (4 bits: see judge). */
static const struct {
    const char *name;
    int wtype;
    double bound;
} OUTTYPES[] = {
    {"f32", WT_F32, 1e-5},   {"f16", WT_F16, 1e-3},  {"bf16", WT_BF16, 1e-2},
    {"q8_0", WT_Q8_0, 2e-2}, {"q4_0", WT_Q4_0, 0.5}, {"q4_1", WT_Q4_1, 0.5},
};
static const double COARSE_BOUND = 0.5;
enum { N_OUTTYPES = sizeof OUTTYPES / sizeof OUTTYPES[0] };

static const BaseTensor *tensor_at(const MergeJob *job, int64_t i) { return &job->session.base->tensors[i]; }

Status merge_out_type(const MergeJob *job, int64_t i, int *wtype, Err *e) {
    const BaseTensor *t = tensor_at(job, i);
    bool gguf = job->session.base->kind == BASE_GGUF;
    bool adapted = job->slot_of[i] >= 0;
    *wtype = t->wtype;
    if (t->wtype < 0 || job->out_wtype < 0 || (gguf && t->rank < 2)) {
        if (!adapted) {
            if (t->wtype < 0 && job->out_wtype >= 0 && t->rank >= 2)
                FAIL(e, ERR_FORMAT,
                     "%s: tensor '%s' is of type %s, which cannot be converted; --outtype keep copies it",
                     job->options->base, t->name, t->type_name);
            *wtype = -1;
            return OK;
        }
        if (wtype_traits((WType)t->wtype)->pack == NULL)
            FAIL(e, ERR_FORMAT,
                 "%s: tensor '%s' is %s, which lorac reads but does not write, so a merged tensor cannot keep it; use "
                 "--outtype f16, bf16, f32 or q8_0",
                 job->options->base, t->name, t->type_name);
        return OK;
    }
    *wtype = job->out_wtype;
    /* a row that is no multiple of the block goes into 16 bits, as other tools do */
    if (t->dims[t->rank - 1] % wtype_traits((WType)*wtype)->block_elems != 0) *wtype = WT_F16;
    if (*wtype == t->wtype && !adapted) *wtype = -1;
    return OK;
}

static Status copy_raw(const BaseTensor *t, MergeSink sink, void *ctx, Err *e) {
    for (uint64_t at = 0; at < t->bytes; at += COPY_BYTES) {
        uint64_t n = t->bytes - at < COPY_BYTES ? t->bytes - at : COPY_BYTES;
        TRY(sink(ctx, (const char *)t->data + at, (size_t)n, e));
    }
    return OK;
}

Status merge_stream(MergeJob *job, int64_t i, int wtype, MergeSink sink, void *ctx, Err *e) {
    const BaseTensor *t = tensor_at(job, i);
    int slot = job->slot_of[i];
    if (wtype < 0) {
        TRY(copy_raw(t, sink, ctx, e));
        base_model_forget(job->session.base, t);
        return OK;
    }
    const AdapterSlot *s = slot >= 0 ? &job->adapter->set.slots[slot] : NULL;
    int64_t cols = t->dims[t->rank - 1], rows = 1;
    for (int k = 0; k + 1 < t->rank; k++) rows *= t->dims[k];
    int64_t block = BLOCK_FLOATS / cols > 0 ? BLOCK_FLOATS / cols : 1;
    if (block > rows) block = rows;
    ArenaMark mark = arena_mark(job->arena);
    float *f;
    char *packed;
    int64_t row_bytes = wtype_row_bytes((WType)wtype, cols);
    TRY(arena_alloc(job->arena, (size_t)(block * cols), sizeof(float), &f, e));
    TRY(arena_alloc(job->arena, (size_t)(block * row_bytes), 1, &packed, e));
    Backend *b = &job->session.backend;
    for (int64_t r = 0; r < rows; r += block) {
        if (stop_requested()) FAIL(e, ERR_STOPPED, "stopped: nothing was written to %s", job->options->out);
        int64_t n = rows - r < block ? rows - r : block;
        b->lora_merge(&b->stream, f, t->data, s == NULL ? NULL : s->A, s == NULL ? NULL : s->B,
                      s == NULL ? 0.0f : s->scale, r, n, cols, s == NULL ? 0 : s->r, (WType)t->wtype);
        for (int64_t k = 0; k < n; k++) wtype_traits((WType)wtype)->pack(packed + k * row_bytes, f + k * cols, cols);
        TRY(sink(ctx, packed, (size_t)(n * row_bytes), e));
    }
    arena_reset(job->arena, mark);
    base_model_forget(job->session.base, t);
    if (slot >= 0) {
        job->consumed[slot]++;
        job->report->merged++;
    }
    return OK;
}

/* Which tensor of the file each slot adapts. */
static Status map_slots(MergeJob *job, Err *e) {
    const BaseModel *base = job->session.base;
    int n = job->adapter->set.n_slots;
    TRY(arena_alloc(job->arena, (size_t)base->n_tensors, sizeof(int), &job->slot_of, e));
    TRY(arena_alloc(job->arena, (size_t)n, sizeof(int), &job->consumed, e));
    for (int64_t i = 0; i < base->n_tensors; i++) job->slot_of[i] = -1;
    for (int i = 0; i < n; i++) {
        char name[128];
        const AdapterModule *m = &job->adapter->modules[i];
        const BaseTensor *t = base_model_find(base, model_tensor_name(job->session.model, m->role, m->layer, name));
        CHECK(t != NULL, "the model was opened with tensor %s", name);
        job->slot_of[t - base->tensors] = i;
    }
    return OK;
}

static Status find_outtype(MergeJob *job, Err *e) {
    const char *name = job->options->outtype;
    bool gguf = job->session.base->kind == BASE_GGUF;
    if (name == NULL) name = gguf ? "f16" : "keep";
    job->report->outtype = name;
    job->out_wtype = -1;
    job->report->bound = 0.5;
    for (int i = 0; i < N_OUTTYPES; i++) {
        if (strcmp(name, OUTTYPES[i].name) != 0) continue;
        if (!gguf && i > 2) break;
        job->out_wtype = OUTTYPES[i].wtype;
        job->report->bound = OUTTYPES[i].bound;
        return OK;
    }
    if (strcmp(name, "keep") != 0)
        FAIL(e, ERR_USAGE, "--outtype: got '%s', expected %s", name,
             gguf ? "keep, f32, f16, bf16, q8_0, q4_0 or q4_1" : "keep, f32, f16 or bf16 (this base is safetensors)");
    /* keep: the bound of the coarsest type an adapted tensor is written in */
    double bound = 0.0;
    for (int64_t t = 0; t < job->session.base->n_tensors; t++) {
        for (int i = 0; i < N_OUTTYPES; i++) {
            if (job->slot_of[t] >= 0 && tensor_at(job, t)->wtype == OUTTYPES[i].wtype && OUTTYPES[i].bound > bound)
                bound = OUTTYPES[i].bound;
        }
    }
    if (bound > 0.0) job->report->bound = bound;
    return OK;
}

static Status check_output(MergeJob *job, Err *e) {
    const char *out = job->options->out;
    size_t n = strlen(out);
    bool wants_gguf = n > 5 && strcmp(out + n - 5, ".gguf") == 0;
    bool gguf = job->session.base->kind == BASE_GGUF;
    if (wants_gguf != gguf)
        FAIL(e, ERR_USAGE, "--out %s: a %s base is merged into %s; give --out %s", out, gguf ? "GGUF" : "safetensors",
             gguf ? "a GGUF file" : "a model folder", gguf ? "NAME.gguf" : "a folder");
    if (path_exists(out) && !job->options->force)
        FAIL(e, ERR_USAGE, "--out %s exists already; give another name or --force to replace it", out);
    if (gguf || !path_is_folder(out)) return OK;
    char **names, *path;
    size_t count;
    TRY(list_folder(job->arena, out, &names, &count, e));
    for (size_t i = 0; i < count; i++) {
        TRY(path_join(job->arena, out, names[i], &path, e));
        if (path_is_folder(path))
            FAIL(e, ERR_USAGE, "--out %s: holds the folder %s, which no merge writes; give another name", out,
                 names[i]);
    }
    return OK;
}

static Status merge_checked(MergeJob *job, Err *e) {
    const MergeOptions *o = job->options;
    SessionOptions so = {.base = o->base, .compute_dtype = "fp32", .threads = o->threads};
    TRY(session_open(job->ctx, &so, &job->session, e));
    TRY(check_output(job, e));
    int64_t positions = job->session.base->config.max_positions;
    TRY(session_model(&job->session, positions < 64 ? positions : 64, e));
    AdapterOptions ao = {0};
    TRY(adapter_load(job->session.state, job->session.model, o->adapter, &ao, &job->adapter, e));
    TRY(map_slots(job, e));
    TRY(find_outtype(job, e));
    job->report->tensors = job->session.base->n_tensors;
    remove_left_overs_of(job->out);
    if (job->session.base->kind == BASE_GGUF)
        TRY(merge_write_gguf(job, e));
    else
        TRY(merge_write_folder(job, e));
    for (int i = 0; i < job->adapter->set.n_slots; i++) {
        CHECK(job->consumed[i] == 1, "adapter module %s was merged %d times", job->adapter->modules[i].path,
              job->consumed[i]);
    }
    return merge_verify(job, e);
}

/* The verdict on a merge that was written and compared. Rounding to 4 bits is as coarse as the base's own quantization: there
 * the result only has to be nearer to base + adapter than the base alone; finer types have to keep the adapter whole. */
static Status judge(const MergeJob *job, Err *e) {
    MergeReport *r = job->report;
    bool coarse = r->bound >= COARSE_BOUND;
    if (coarse && r->kl_base > r->bound) r->bound = r->kl_base;
    bool lost = !coarse && r->kl_base > 1e-6 && r->kl >= 0.5 * r->kl_base;
    if (r->kl <= r->bound && !lost) return OK;
    FAIL(e, ERR_CHECK,
         "%s: the merged model would differ from base + adapter by KL %.3g nats per token (bound %.3g; the base alone "
         "differs by %.3g), so it was not kept; a finer --outtype than %s keeps the adapter",
         job->options->out, r->kl, r->bound, r->kl_base, r->outtype);
}

/* The place of the result by the name that a temporary one can stand beside. */
static Status plain_out(MergeJob *job, Err *e) {
    const char *out = job->options->out;
    char resolved[PATH_MAX];
    size_t n = strlen(out);
    if (path_is_folder(out) && realpath(out, resolved) != NULL) return arena_strdup(job->arena, resolved, &job->out, e);
    while (n > 1 && out[n - 1] == '/') n--;
    return arena_strndup(job->arena, out, n, &job->out, e);
}

Status merge_run(Ctx *ctx, const MergeOptions *o, MergeReport *report, Err *e) {
    memset(report, 0, sizeof *report);
    MergeJob job = {.ctx = ctx, .options = o, .report = report};
    Status st = arena_open(&job.arena, "merge", e);
    if (st == OK) st = plain_out(&job, e);
    if (st == OK) st = arena_printf(job.arena, &job.target, e, "%s.tmp-%d", job.out, (int)getpid());
    if (st == OK) st = merge_checked(&job, e);
    if (st == OK) st = judge(&job, e);
    if (st == OK) st = merge_publish(&job, e);
    if (st != OK && job.target != NULL) (void)remove_tree(job.target, NULL);
    session_close(&job.session);
    arena_close(job.arena);
    return st;
}
