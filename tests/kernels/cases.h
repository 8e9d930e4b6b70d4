/* cases.h: one case of a kernel and its comparison on every backend of this machine.
 *
 * A case function makes inputs from the run's seed, calls the kernel and lists the outputs. compare() runs it on the
 * reference, then on every CPU level: near the reference, the same bytes for 1, 2, 3 and 8 threads and for any old
 * content of outputs and workspace, and no byte written or read outside. Each cases_x.h is one program,
 * t_kernels_parity_x.c; CASE_GROUPS below says which kernel is where. */
#ifndef LORAC_TESTS_KERNELS_CASES_H
#define LORAC_TESTS_KERNELS_CASES_H

#include "harness.h"

typedef struct Case Case;
typedef void (*CaseFunction)(Run *r, const Case *c);

/* The union of what cases need; a case uses the fields of its kernel (names as in kernels.def). */
struct Case {
    const char *name;
    CaseFunction run;
    DType dt;
    WType wt;
    int64_t T, C, K, N, V, M, H, Hkv, D, half, r, n, window, n_past, row0, n_rows;
    int n_parts, interleaved, variant;
    float p, beta, softcap, sign;
    GluAct act;
    const int32_t *docs; /* lengths, ended by -1 */
};

enum { VARIANT_PLAIN, VARIANT_RESIDUAL, VARIANT_IN_PLACE, VARIANT_NULL_OUTPUT, VARIANT_WIDE, VARIANT_IN_PLACE_2 };

static inline void case_text(char *text, size_t bytes, const Case *c, const char *backend, int threads) {
    snprintf(
        text, bytes,
        "%s %s %s T=%lld C=%lld K=%lld N=%lld V=%lld M=%lld H=%lld/%lld D=%lld half=%lld r=%lld n=%lld window=%lld "
        "past=%lld rows=%lld docs=%d.. parts=%d il=%d variant=%d p=%g beta=%g cap=%g sign=%g act=%d on %s, %d threads",
        c->name, dtype_name(c->dt), wtype_name(c->wt), (long long)c->T, (long long)c->C, (long long)c->K,
        (long long)c->N, (long long)c->V, (long long)c->M, (long long)c->H, (long long)c->Hkv, (long long)c->D,
        (long long)c->half, (long long)c->r, (long long)c->n, (long long)c->window, (long long)c->n_past,
        (long long)c->n_rows, c->docs == NULL ? -1 : (int)c->docs[0], c->n_parts, c->interleaved, c->variant,
        (double)c->p, (double)c->beta, (double)c->softcap, (double)c->sign, (int)c->act, backend, threads);
}

/* Runs c on one backend and pool and checks the guards. The run stays open. */
static inline void case_run(Bench *bench, Run *r, const Case *c, int backend, int pool, uint8_t fill, char *text,
                            size_t bytes) {
    case_text(text, bytes, c, bench->names[backend], POOL_THREADS[pool]);
    run_begin(r, bench, backend, pool, 12345, fill);
    c->run(r, c);
    memory_check(&r->mem, text);
}

static inline void compare(Bench *bench, const Case *c) {
    if (!bench_turn(bench, c->name)) return;
    static const uint8_t fills[N_POOLS] = {0x7B, 0xFF, 0x00, 0xFF};
    char text[512];
    Run want, first, again;
    case_run(bench, &want, c, 0, 0, 0xFF, text, sizeof text);
    assert_true(want.n_outs > 0);
    for (int backend = 1; backend < bench->n_backends; backend++) {
        case_run(bench, &first, c, backend, 0, fills[0], text, sizeof text);
        for (int i = 0; i < want.n_outs; i++) assert_near(text, &first.outs[i], &want.outs[i]);
        for (int pool = 1; pool < N_POOLS; pool++) {
            case_run(bench, &again, c, backend, pool, fills[pool], text, sizeof text);
            for (int i = 0; i < want.n_outs; i++) assert_same_bytes(text, &again.outs[i], &first.outs[i]);
            run_end(&again);
        }
        run_end(&first);
    }
    /* The reference too reads nothing old. */
    case_run(bench, &again, c, 0, 1, 0x7B, text, sizeof text);
    for (int i = 0; i < want.n_outs; i++) assert_same_bytes(text, &again.outs[i], &want.outs[i]);
    run_end(&again);
    run_end(&want);
}

/* Compares c with both dtypes. */
static inline void compare_dtypes(Bench *bench, Case c) {
    c.dt = DT_F32;
    compare(bench, &c);
    c.dt = DT_BF16;
    compare(bench, &c);
}

/* The k-th of a list of widths that fit a weight format: multiples of its block, ragged otherwise. -1 after the last. */
static inline int64_t width_for(WType wt, int k) {
    static const int64_t units[] = {1, 3, 2, 7, 20}, elements[] = {1, 9, 48, 100, 333, 640};
    int block = wtype_traits(wt)->block_elems;
    if (block == 1) return k < 6 ? elements[k] : -1;
    if (block >= 256) return k < 3 ? units[k] * block : -1;
    return k < 5 ? units[k] * block : -1;
}

/* ---- which program holds the cases of a kernel; a kernel of kernels.def that is not here has none */
typedef enum CaseGroup { CASES_NOWHERE, CASES_ELEMENTWISE, CASES_ATTENTION, CASES_LINEAR } CaseGroup;

static const CaseGroup CASE_GROUPS[N_KERNELS] = {
    [KERNEL_embedding_forward] = CASES_ELEMENTWISE,
    [KERNEL_rmsnorm_forward] = CASES_ELEMENTWISE,
    [KERNEL_rmsnorm_backward] = CASES_ELEMENTWISE,
    [KERNEL_rope] = CASES_ELEMENTWISE,
    [KERNEL_glu_forward] = CASES_ELEMENTWISE,
    [KERNEL_glu_backward] = CASES_ELEMENTWISE,
    [KERNEL_adamw_step] = CASES_ELEMENTWISE,
    [KERNEL_square_sum] = CASES_ELEMENTWISE,
    [KERNEL_copy_bytes] = CASES_ELEMENTWISE,
    [KERNEL_attention_forward] = CASES_ATTENTION,
    [KERNEL_attention_backward] = CASES_ATTENTION,
    [KERNEL_attention_cached] = CASES_ATTENTION,
    [KERNEL_linear_forward] = CASES_LINEAR,
    [KERNEL_linear_backward] = CASES_LINEAR,
    [KERNEL_lora_grad] = CASES_LINEAR,
    [KERNEL_tree_fold] = CASES_LINEAR,
    [KERNEL_lora_merge] = CASES_LINEAR,
    [KERNEL_head_loss] = CASES_LINEAR,
    [KERNEL_head_logits] = CASES_LINEAR,
};

/* Every kernel has a program, and the kernels of this one were called on every backend. To be run last. */
static inline void check_cases(const Bench *b, CaseGroup group) {
    for (int k = 0; k < N_KERNELS; k++) {
        if (CASE_GROUPS[k] == CASES_NOWHERE) fail_msg("kernel %s has no cases in tests/kernels", KERNEL_NAMES[k]);
        for (int backend = 0; backend < b->n_backends && CASE_GROUPS[k] == group; backend++)
            if (b->runs[backend][k] == 0) fail_msg("kernel %s has no case on %s", KERNEL_NAMES[k], b->names[backend]);
    }
}

#endif
