/* yardstick.c: see yardstick.h. */
#include "tests/bench/yardstick.h"

#include <string.h>

#ifdef LORAC_DNNL
#include <oneapi/dnnl/dnnl.h>
void omp_set_num_threads(int n);
#endif
#ifdef LORAC_OPENBLAS
#include <cblas.h>
#endif

enum { COPIES_BYTES = 96 << 20 };

const char *const YARDSTICK_NAMES[YARDSTICKS] = {"oneDNN f32 packed", "oneDNN bf16 packed", "dequantize + sgemm"};

struct YardCase {
    Yardstick kind;
    const GemmCase *gemm;
    bool backward;
    int64_t M, N, K, copies, copy; /* N: of all parts */
    float *X, *Y, *W;              /* sgemm */
#ifdef LORAC_DNNL
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t primitive;
    dnnl_memory_t in, weight, out;
    char *packed;
    int64_t packed_bytes;
#endif
};

double yardstick_flop(const YardCase *y) { return 2.0 * (double)(y->M * y->N * y->K); }

#ifdef LORAC_DNNL
static dnnl_status_t dnnl_describe(YardCase *y, dnnl_data_type_t type, dnnl_memory_desc_t md[3],
                                   dnnl_primitive_desc_t *pd) {
    int64_t in = y->backward ? y->N : y->K, out = y->backward ? y->K : y->N;
    dnnl_dims_t in_dims = {y->M, in}, weight_dims = {in, out}, out_dims = {y->M, out};
    dnnl_matmul_desc_t d;
    dnnl_status_t st = dnnl_engine_create(&y->engine, dnnl_cpu, 0);
    if (st == dnnl_success) st = dnnl_stream_create(&y->stream, y->engine, dnnl_stream_default_flags);
    if (st == dnnl_success) st = dnnl_memory_desc_init_by_tag(&md[0], 2, in_dims, type, dnnl_ab);
    if (st == dnnl_success) st = dnnl_memory_desc_init_by_tag(&md[1], 2, weight_dims, type, dnnl_format_tag_any);
    if (st == dnnl_success) st = dnnl_memory_desc_init_by_tag(&md[2], 2, out_dims, type, dnnl_ab);
    if (st == dnnl_success) st = dnnl_matmul_desc_init(&d, &md[0], &md[1], NULL, &md[2]);
    if (st == dnnl_success) st = dnnl_primitive_desc_create(pd, &d, NULL, y->engine, NULL);
    return st;
}

static bool dnnl_open(Bench *b, YardCase *y, dnnl_data_type_t type) {
    dnnl_memory_desc_t md[3];
    dnnl_primitive_desc_t pd = NULL;
    omp_set_num_threads(b->threads);
    if (dnnl_describe(y, type, md, &pd) != dnnl_success) return false;
    md[1] = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    y->packed_bytes = ((int64_t)dnnl_memory_desc_get_size(&md[1]) + 63) / 64 * 64;
    y->copies = COPIES_BYTES / y->packed_bytes + 1;
    y->packed = bench_take(b, y->packed_bytes * y->copies);
    /* one half in f32, a tiny number twice in bf16: neither zero nor denormal */
    memset(y->packed, 0x3f, (size_t)(y->packed_bytes * y->copies));
    void *in = bench_take(b, (int64_t)dnnl_memory_desc_get_size(&md[0]));
    void *out = bench_take(b, (int64_t)dnnl_memory_desc_get_size(&md[2]));
    memset(in, 0x3f, dnnl_memory_desc_get_size(&md[0]));
    bool good = dnnl_primitive_create(&y->primitive, pd) == dnnl_success &&
                dnnl_memory_create(&y->in, &md[0], y->engine, in) == dnnl_success &&
                dnnl_memory_create(&y->weight, &md[1], y->engine, y->packed) == dnnl_success &&
                dnnl_memory_create(&y->out, &md[2], y->engine, out) == dnnl_success;
    dnnl_primitive_desc_destroy(pd);
    return good;
}

static void dnnl_run(Bench *b, YardCase *y) {
    dnnl_exec_arg_t args[3] = {{DNNL_ARG_SRC, y->in}, {DNNL_ARG_WEIGHTS, y->weight}, {DNNL_ARG_DST, y->out}};
    y->copy = (y->copy + 1) % y->copies;
    dnnl_memory_set_data_handle(y->weight, y->packed + y->copy * y->packed_bytes);
    if (dnnl_primitive_execute(y->primitive, y->stream, 3, args) != dnnl_success ||
        dnnl_stream_wait(y->stream) != dnnl_success)
        bench_stop(b, "oneDNN failed to run a product");
}

static void dnnl_close(YardCase *y) {
    dnnl_memory_destroy(y->in);
    dnnl_memory_destroy(y->weight);
    dnnl_memory_destroy(y->out);
    dnnl_primitive_destroy(y->primitive);
    dnnl_stream_destroy(y->stream);
    dnnl_engine_destroy(y->engine);
}
#endif

#ifdef LORAC_OPENBLAS
static void sgemm_open(Bench *b, YardCase *y) {
    openblas_set_num_threads(b->threads);
    y->copies = y->gemm->copies;
    y->X = bench_randoms(b, y->M * (y->backward ? y->N : y->K), -0.5f);
    y->Y = bench_take(b, y->M * (y->backward ? y->K : y->N) * 4);
    y->W = bench_take(b, y->N * y->K * 4);
}

static void sgemm_run(Bench *b, YardCase *y) {
    const GemmCase *g = y->gemm;
    const GemmShape *s = g->shape;
    const Backend *k = &b->backend;
    int M = (int)y->M, N = (int)y->N, K = (int)y->K;
    float *W = y->W;
    y->copy = (y->copy + 1) % y->copies;
    for (int i = 0; i < s->n_parts; i++) {
        k->lora_merge(&b->backend.stream, W, g->W[i] + y->copy * g->W_bytes[i], NULL, NULL, 0.0f, 0, s->N[i], s->K, 0,
                      g->wt);
        W += s->N[i] * s->K;
    }
    if (y->backward)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, M, K, N, 1.0f, y->X, N, y->W, K, 0.0f, y->Y, K);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, M, N, K, 1.0f, y->X, K, y->W, K, 0.0f, y->Y, N);
}
#endif

YardCase *yardstick_open(Bench *b, const GemmCase *c, Yardstick kind) {
    if (c->work != FORWARD && c->work != BACKWARD) return NULL;
    YardCase *y = bench_take(b, sizeof *y);
    *y = (YardCase){.kind = kind, .gemm = c, .backward = c->work == BACKWARD, .M = c->T, .K = c->shape->K};
    for (int i = 0; i < c->shape->n_parts; i++) y->N += c->shape->N[i];
    bool good = false;
#ifdef LORAC_DNNL
    if (kind != YARD_SGEMM) good = dnnl_open(b, y, kind == YARD_DNNL_F32 ? dnnl_f32 : dnnl_bf16);
    if (kind != YARD_SGEMM && !good) dnnl_close(y);
#endif
#ifdef LORAC_OPENBLAS
    if (kind == YARD_SGEMM) {
        sgemm_open(b, y);
        good = true;
    }
#endif
    return good ? y : NULL;
}

void yardstick_run(Bench *b, YardCase *y) {
    (void)b, (void)y;
#ifdef LORAC_DNNL
    if (y->kind != YARD_SGEMM) dnnl_run(b, y);
#endif
#ifdef LORAC_OPENBLAS
    if (y->kind == YARD_SGEMM) sgemm_run(b, y);
#endif
}

void yardstick_close(YardCase *y) {
    (void)y;
#ifdef LORAC_DNNL
    if (y->kind != YARD_SGEMM) dnnl_close(y);
#endif
}
