/* t_kernels_parity_linear.c: linear layers, adapters and the output head, on every CPU level that this
 * machine can run, against the reference. What is compared, and how, is in cases.h. */
#include "cases_linear.h"

/* A new kernel without cases, or a case that no longer runs, fails here by name. */
static void test_every_kernel_has_cases(void **state) { check_cases(*state, CASES_LINEAR); }

int main(void) {
    Bench bench;
    bench_open(&bench);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_linear, &bench),
        cmocka_unit_test_prestate(test_linear_options, &bench),
        cmocka_unit_test_prestate(test_linear_long, &bench),
        cmocka_unit_test_prestate(test_lora_grad, &bench),
        cmocka_unit_test_prestate(test_tree_fold, &bench),
        cmocka_unit_test_prestate(test_lora_merge, &bench),
        cmocka_unit_test_prestate(test_head, &bench),
        cmocka_unit_test_prestate(test_head_long, &bench),
        cmocka_unit_test_prestate(test_every_kernel_has_cases, &bench),
    };
    int failed = cmocka_run_group_tests_name("linear kernels against the reference", tests, NULL, NULL);
    bench_close(&bench);
    return failed;
}
