/* t_kernels_parity_attention.c: the attention kernels, on every CPU level that this
 * machine can run, against the reference. What is compared, and how, is in cases.h. */
#include "cases_attention.h"

/* A new kernel without cases, or a case that no longer runs, fails here by name. */
static void test_every_kernel_has_cases(void **state) { check_cases(*state, CASES_ATTENTION); }

int main(void) {
    Bench bench;
    bench_open(&bench);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_attention, &bench),
        cmocka_unit_test_prestate(test_attention_long, &bench),
        cmocka_unit_test_prestate(test_attention_cached, &bench),
        cmocka_unit_test_prestate(test_every_kernel_has_cases, &bench),
    };
    int failed = cmocka_run_group_tests_name("attention kernels against the reference", tests, NULL, NULL);
    bench_close(&bench);
    return failed;
}
