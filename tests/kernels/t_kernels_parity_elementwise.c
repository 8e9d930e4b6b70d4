/* t_kernels_parity_elementwise.c: embedding, norms, rope, the gated product, the optimizer and the copy, on every CPU level that this
 * machine can run, against the reference. What is compared, and how, is in cases.h. */
#include "cases_elementwise.h"

/* A new kernel without cases, or a case that no longer runs, fails here by name. */
static void test_every_kernel_has_cases(void **state) { check_cases(*state, CASES_ELEMENTWISE); }

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
        cmocka_unit_test_prestate(test_every_kernel_has_cases, &bench),
    };
    int failed = cmocka_run_group_tests_name("elementwise kernels against the reference", tests, NULL, NULL);
    bench_close(&bench);
    return failed;
}
