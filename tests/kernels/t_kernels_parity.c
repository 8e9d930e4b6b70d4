/* t_kernels_parity.c: every kernel of kernels.def, on every CPU level that this machine can run, against the reference.
 *
 * What is compared, and how, is in cases.h; the cases are in cases_*.h. The last test fails for a kernel of kernels.def
 * that no case called on some backend. */
#include "cases_attention.h"
#include "cases_elementwise.h"
#include "cases_linear.h"

/* Every kernel was called on every backend, so a new kernel without cases fails here by name. */
static void test_every_kernel_has_cases(void **state) {
    const Bench *b = *state;
    for (int backend = 0; backend < b->n_backends; backend++)
        for (int k = 0; k < N_KERNELS; k++)
            if (b->runs[backend][k] == 0) fail_msg("kernel %s has no case on %s", KERNEL_NAMES[k], b->names[backend]);
}

int main(void) {
    Bench bench;
    bench_open(&bench);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_embedding, &bench),
        cmocka_unit_test_prestate(test_rmsnorm, &bench),
        cmocka_unit_test_prestate(test_rope, &bench),
        cmocka_unit_test_prestate(test_glu, &bench),
        cmocka_unit_test_prestate(test_optimizer, &bench),
        cmocka_unit_test_prestate(test_copy, &bench),
        cmocka_unit_test_prestate(test_attention, &bench),
        cmocka_unit_test_prestate(test_attention_cached, &bench),
        cmocka_unit_test_prestate(test_linear, &bench),
        cmocka_unit_test_prestate(test_linear_options, &bench),
        cmocka_unit_test_prestate(test_linear_long, &bench),
        cmocka_unit_test_prestate(test_lora_grad, &bench),
        cmocka_unit_test_prestate(test_tree_fold, &bench),
        cmocka_unit_test_prestate(test_lora_merge, &bench),
        cmocka_unit_test_prestate(test_head, &bench),
        cmocka_unit_test_prestate(test_every_kernel_has_cases, &bench),
    };
    int failed = cmocka_run_group_tests_name("kernels against the reference", tests, NULL, NULL);
    bench_close(&bench);
    return failed;
}
