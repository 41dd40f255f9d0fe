/*
 * hsuite: what each unit test of the host needs: one suite, one exit code.
 */
#ifndef JBI_TEST_HSUITE_H
#define JBI_TEST_HSUITE_H

#include "host/text/hmem.h"

#include <check.h>
#include <stdlib.h>

/* Run one suite of one case. */
static inline int hsuite_run(const char *name, const TTest *const *tests, size_t n)
{
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    SRunner *runner = srunner_create(suite);
    int n_failed;

    for (size_t i = 0; i < n; i++)
        tcase_add_test(tcase, tests[i]);
    tcase_set_timeout(tcase, 30);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#define HSUITE_MAIN(name, ...)                                                                     \
    int main(void)                                                                                 \
    {                                                                                              \
        const TTest *const tests[] = {__VA_ARGS__};                                                \
        return hsuite_run(name, tests, sizeof(tests) / sizeof(tests[0]));                          \
    }

#endif
