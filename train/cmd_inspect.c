/* cmd_inspect.c: lorac inspect: what is in a file or folder, and where it came from. What a path is follows from its
 * content, not its name. */
#include "checkpoints/adapter_peft.h"
#include "checkpoints/base_model.h"
#include "checkpoints/state_hdf5.h"
#include "data/jsonl.h"
#include "data/prepared.h"
#include "train/cmd.h"

#include "base/file.h"

#include <string.h>

const char cmd_inspect_help[] =
    "usage: lorac inspect PATH [--tensors] [--full-hash]\n"
    "\n"
    "PATH is a GGUF file, a model folder (config.json and safetensors), a safetensors file, an adapter folder, a checkpoint\n"
    "folder, a data file (JSONL or a JSON array, plain or compressed), or prepared data.\n"
    "\n"
    "  --tensors    every tensor with type and shape\n"
    "  --full-hash  XXH3-128 over all bytes of a model (reads all of it)\n";

typedef struct Inspect {
    Ctx *ctx;
    const char *path;
    bool tensors, full_hash;
} Inspect;

static void print_tensor(FILE *out, const char *name, const char *type, int rank, const int64_t *dims) {
    fprintf(out, "  %-48s %-6s [", name, type);
    for (int i = 0; i < rank; i++) fprintf(out, "%s%lld", i == 0 ? "" : ", ", (long long)dims[i]);
    fputs("]\n", out);
}

/* Bytes and tensors by type. */
static void print_types(FILE *out, const BaseModel *m) {
    for (int64_t i = 0; i < m->n_tensors; i++) {
        const char *type = m->tensors[i].type_name;
        bool first = true;
        int64_t n = 0, elements = 0;
        uint64_t bytes = 0;
        for (int64_t k = 0; k < m->n_tensors; k++) {
            if (strcmp(m->tensors[k].type_name, type) != 0) continue;
            if (k < i) first = false;
            int64_t e = 1;
            for (int d = 0; d < m->tensors[k].rank; d++) e *= m->tensors[k].dims[d];
            n++;
            elements += e;
            bytes += m->tensors[k].bytes;
        }
        char size[16];
        if (first)
            fprintf(out, "  %-6s %5lld tensors, %lld numbers, %s\n", type, (long long)n, (long long)elements,
                    human_bytes(bytes, size));
    }
}

static void print_numbers(FILE *out, const ModelConfig *c) {
    fprintf(
        out,
        "  architecture %s: %lld layers, width %lld, %lld heads (%lld key/value) of %lld, feed-forward %lld, vocabulary "
        "%lld, context %lld, rope theta %g%s\n",
        c->arch, (long long)c->n_layers, (long long)c->d_model, (long long)c->n_heads, (long long)c->n_kv_heads,
        (long long)c->head_dim, (long long)c->d_ff, (long long)c->vocab_size, (long long)c->max_positions,
        c->rope.theta, c->tie_embeddings ? ", tied embeddings" : "");
}

static Status inspect_model(const Inspect *in, Err *e) {
    BaseModel *m = NULL;
    Hash128 h;
    char hex[HASH_HEX_BYTES], size[16];
    FILE *out = in->ctx->log.out;
    uint64_t bytes = 0;
    Status st;
    TRY_OUT(st, base_model_open(in->ctx->arena, in->path, &m, e));
    for (int i = 0; i < m->n_files; i++) bytes += m->files[i].size;
    fprintf(out, "%s: %s model, %d file%s, %s\n", in->path, m->kind == BASE_GGUF ? "GGUF" : "safetensors", m->n_files,
            m->n_files == 1 ? "" : "s", human_bytes(bytes, size));
    print_numbers(out, &m->config);
    print_types(out, m);
    TRY_OUT(st, base_model_identity(m, in->ctx->arena, &h, e));
    hash_hex(h, hex);
    fprintf(out, "  identity %s\n", hex);
    if (in->full_hash) {
        TRY_OUT(st, base_model_full_hash(m, in->ctx->arena, &h, e));
        hash_hex(h, hex);
        fprintf(out, "  full hash %s\n", hex);
    }
    for (int64_t i = 0; i < m->n_tensors && in->tensors; i++)
        print_tensor(out, m->tensors[i].name, m->tensors[i].type_name, m->tensors[i].rank, m->tensors[i].dims);
out:
    base_model_close(m);
    return st;
}

static void print_metadata(FILE *out, const Json *meta) {
    for (uint32_t i = 0; meta != NULL && i < meta->n; i++)
        fprintf(out, "  %s: %s\n", meta->list.keys[i].s,
                meta->list.items[i].type == JSON_STRING ? meta->list.items[i].string.s : "?");
}

static Status inspect_adapter(const Inspect *in, Err *e) {
    PeftAdapter *p = NULL;
    FILE *out = in->ctx->log.out;
    int64_t numbers = 0;
    TRY(peft_adapter_open(in->ctx->arena, in->path, &p, e));
    for (int64_t i = 0; i < p->n; i++) numbers += p->pairs[i].r * (p->pairs[i].in + p->pairs[i].out);
    fprintf(out, "%s: LoRA adapter, rank %lld, alpha %g%s, %lld modules, %lld numbers, for %s\n", in->path,
            (long long)p->r, p->alpha, p->use_rslora ? " (rank-stabilized)" : "", (long long)p->n, (long long)numbers,
            p->base_model[0] == 0 ? "an unnamed base" : p->base_model);
    print_metadata(out, p->metadata);
    for (int64_t i = 0; i < p->n && in->tensors; i++) {
        const LoraPair *q = &p->pairs[i];
        fprintf(out, "  %-48s rank %lld, %lld -> %lld, scale %g\n", q->module, (long long)q->r, (long long)q->in,
                (long long)q->out, q->scale);
    }
    peft_adapter_close(p);
    return OK;
}

static Status inspect_safetensors(const Inspect *in, Err *e) {
    Safetensors *s = NULL;
    FILE *out = in->ctx->log.out;
    uint64_t bytes = 0;
    char size[16];
    TRY(safetensors_open(in->ctx->arena, in->path, &s, e));
    for (int64_t i = 0; i < s->n_tensors; i++) bytes += s->tensors[i].bytes;
    fprintf(out, "%s: safetensors file, %lld tensors, %s\n", in->path, (long long)s->n_tensors,
            human_bytes(bytes, size));
    print_metadata(out, s->metadata);
    for (int64_t i = 0; i < s->n_tensors && in->tensors; i++)
        print_tensor(out, s->tensors[i].name, st_dtype_name(s->tensors[i].dtype), s->tensors[i].rank,
                     s->tensors[i].shape);
    safetensors_close(s);
    return OK;
}

static Status print_state(const Inspect *in, const StateFile *f, Err *e) {
    static const char *const INTS[] = {"step", "tokens_seen", "trained_seen", "best_step", "n_params"};
    static const char *const TEXTS[] = {"base_hash", "data_hash", "cpu_level", "config"};
    FILE *out = in->ctx->log.out;
    fprintf(out, "%s: training state, its sum holds\n", in->path);
    for (size_t i = 0; i < sizeof INTS / sizeof INTS[0]; i++) {
        int64_t v;
        TRY(state_int(f, INTS[i], &v, e));
        fprintf(out, "  %s %lld\n", INTS[i], (long long)v);
    }
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        char *s;
        size_t n;
        TRY(state_text(f, in->ctx->arena, TEXTS[i], &s, &n, e));
        fprintf(out, "  %s%s%s\n", TEXTS[i], strchr(s, '\n') != NULL ? ":\n" : " ", s);
    }
    return OK;
}

static Status inspect_state(const Inspect *in, Err *e) {
    StateFile *f = NULL;
    Status st = state_open(in->ctx->arena, in->path, &f, e);
    if (st == OK) st = print_state(in, f, e);
    state_close(f);
    return st;
}

static void print_members(FILE *out, const Json *row) {
    for (uint32_t i = 0; row->type == JSON_OBJECT && i < row->n; i++)
        fprintf(out, "%s %s (%s)", i == 0 ? "" : ",", row->list.keys[i].s, json_type_name(row->list.items[i].type));
}

/* Rows, and the members of the first. */
static Status count_rows(const Inspect *in, Jsonl *j, Err *e) {
    FILE *out = in->ctx->log.out;
    const char *text, *packed = j->bytes.unpacker != NULL ? j->bytes.unpacker->name : NULL;
    int64_t rows = 1;
    size_t len;
    Json *row;
    TRY(jsonl_parse(j, in->ctx->arena, &row, e));
    if (row == NULL) FAIL(e, ERR_FORMAT, "%s: there is no row in it", in->path);
    for (;; rows++) {
        TRY(jsonl_next(j, &text, &len, e));
        if (text == NULL) break;
    }
    fprintf(out, "%s: %s%s%s%s, %lld rows; the first has:", in->path, j->array ? "a JSON array" : "JSONL",
            packed != NULL ? " (" : "", packed != NULL ? packed : "", packed != NULL ? ")" : "", (long long)rows);
    print_members(out, row);
    fputc('\n', out);
    return OK;
}

static Status inspect_rows(const Inspect *in, Err *e) {
    Jsonl j;
    TRY(jsonl_open(in->path, &j, e));
    Status st = count_rows(in, &j, e);
    jsonl_close(&j);
    return st;
}

/* Rows as token ids, and the files they were read from. */
static Status inspect_prepared(const Inspect *in, Err *e) {
    FILE *out = in->ctx->log.out;
    FileMap m;
    PreparedInfo p;
    TRY(file_map(in->path, &m, e));
    Status st = prepared_info(in->ctx->arena, &m, &p, e);
    if (st == OK) fprintf(out, "%s: prepared data, key %s, of %d files\n", in->path, p.key, p.n_sources);
    for (int s = 0; st == OK && s < p.n_sources; s++)
        fprintf(out, "  %s (%s): %lld rows, %lld tokens = %lld trained + %lld masked\n", p.paths[s], p.types[s],
                (long long)p.ledger[s].rows, (long long)p.ledger[s].read, (long long)p.ledger[s].trained,
                (long long)p.ledger[s].masked);
    file_unmap(&m);
    return st;
}

static Status has_file(const Inspect *in, const char *name, bool *has, Err *e) {
    char *path;
    TRY(path_join(in->ctx->arena, in->path, name, &path, e));
    *has = path_exists(path);
    return OK;
}

static Status inspect_file(const Inspect *in, Err *e) {
    FileMap m;
    TRY(file_map(in->path, &m, e));
    bool gguf = m.size >= 4 && memcmp(m.data, "GGUF", 4) == 0;
    bool safetensors = !gguf && m.size > 9 && m.data[8] == '{' && m.data[7] == 0 && m.data[6] == 0;
    bool rows = !gguf && !safetensors && m.size > 0 &&
                (m.data[0] == '{' || m.data[0] == '[' || bytes_compression(m.data, m.size) != NULL);
    bool prepared = prepared_is(m.data, m.size);
    file_unmap(&m);
    if (prepared) return inspect_prepared(in, e);
    if (gguf) return inspect_model(in, e);
    if (safetensors) return inspect_safetensors(in, e);
    if (rows) return inspect_rows(in, e);
    FAIL(e, ERR_FORMAT, "%s: is no GGUF, safetensors, JSONL, JSON array or prepared data file", in->path);
}

Status cmd_inspect(Ctx *ctx, int argc, char **argv, Err *e) {
    static const ArgSpec SPECS[] = {{"--tensors", NULL}, {"--full-hash", NULL}};
    Args args;
    TRY(args_parse(ctx->arena, argc, argv, SPECS, 2, 0, 1, 1, &args, e));
    Inspect in = {.ctx = ctx,
                  .path = args.positional[0],
                  .tensors = args_has(&args, "--tensors"),
                  .full_hash = args_has(&args, "--full-hash")};
    if (!path_is_folder(in.path)) return inspect_file(&in, e);
    bool state, adapter;
    TRY(has_file(&in, "state.h5", &state, e));
    TRY(has_file(&in, "adapter_config.json", &adapter, e));
    return state ? inspect_state(&in, e) : adapter ? inspect_adapter(&in, e) : inspect_model(&in, e);
}
