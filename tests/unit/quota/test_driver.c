/*
 * A driver's coming and going: none, one that does not start, one that others shut down, GPUs that
 * go, a process that forks, no memory.
 */
#include "gpus.h"

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(test_no_driver_is_no_gpu_and_no_error)
{
    jb_gpus_opts opts;
    jb_gpus *gpus = NULL;

    jb_gpus_opts_init(&opts, sizeof opts);
    opts.library = "libthere-is-no-such-thing.so.7";
    ck_assert_int_eq(jb_gpus_open(&opts, &gpus, NULL), 0);
    ck_assert_uint_eq(jb_gpus_count(gpus), 0);
    ck_assert_ptr_nonnull(strstr(jb_gpus_why(gpus), "libthere-is-no-such-thing"));
    ck_assert_int_eq(read_gpu(gpus, ""), JB_ENOENT);
    ck_assert_int_eq(jb_gpus_rescan(gpus), 0);
    jb_gpus_close(gpus);
}
END_TEST

START_TEST(test_a_library_that_is_no_drivers_is_no_gpu)
{
    jb_gpus *gpus = open_gpus(0, "");

    ck_assert_uint_eq(jb_gpus_count(gpus), 0);
    ck_assert_ptr_nonnull(strstr(jb_gpus_why(gpus), "lacks functions"));
    jb_gpus_close(gpus);
}
END_TEST

START_TEST(test_a_driver_that_does_not_start_says_why)
{
    char script[64];
    jb_gpus *gpus;

    snprintf(script, sizeof script, "init=%d", codes[_i]);
    gpus = open_gpus(3, script);
    ck_assert_uint_eq(jb_gpus_count(gpus), 0);
    snprintf(script, sizeof script, "scripted %d", codes[_i]);
    ck_assert_ptr_nonnull(strstr(jb_gpus_why(gpus), script));
    setenv("FAKE_NVML", "n=2", 1);
    ck_assert_int_eq(jb_gpus_rescan(gpus), 2);
    ck_assert_str_eq(jb_gpus_why(gpus), "");
    jb_gpus_close(gpus);
}
END_TEST

START_TEST(test_a_driver_that_cannot_count_has_no_gpu)
{
    char script[64];
    jb_gpus *gpus;

    snprintf(script, sizeof script, "mute=1 count=%d", codes[_i]);
    gpus = open_gpus(3, script);
    ck_assert_uint_eq(jb_gpus_count(gpus), 0);
    ck_assert_uint_gt(strlen(jb_gpus_why(gpus)), 10);
    jb_gpus_close(gpus);
}
END_TEST

START_TEST(test_a_driver_shut_down_by_others_is_started_again)
{
    void *fake = dlopen(library(3), RTLD_LAZY);
    int (*shut_down)(void);
    jb_gpus *gpus = open_gpus(3, "used=300");

    *(void **)&shut_down = dlsym(fake, "nvmlShutdown");
    ck_assert_int_eq(shut_down(), 0);
    read_gpu(gpus, "used=400");
    ck_assert_uint_eq(gpu.state, JB_GPU_FINE);
    ck_assert_uint_eq(gpu.used_bytes, 400);
    ck_assert_int_eq(shut_down(), 0);
    read_gpu(gpus, "init=9 used=400");
    ck_assert_uint_eq(gpu.state, JB_GPU_SILENT);
    jb_gpus_close(gpus);
    dlclose(fake);
}
END_TEST

START_TEST(test_gpus_that_go_are_gone_after_a_rescan)
{
    jb_gpus *gpus = open_gpus(3, "n=2");

    read_gpu(gpus, "n=1 memory2=15 memory=15");
    ck_assert_uint_eq(gpu.state, JB_GPU_LOST);
    ck_assert_int_eq(jb_gpus_rescan(gpus), 1);
    gpu.size = sizeof gpu;
    ck_assert_int_eq(jb_gpus_read(gpus, 1, &gpu, NULL, 0), JB_ENOENT);
    setenv("FAKE_NVML", "count=15", 1);
    ck_assert_int_eq(jb_gpus_rescan(gpus), 0);
    ck_assert_uint_eq(jb_gpus_count(gpus), 0);
    jb_gpus_close(gpus);
}
END_TEST

START_TEST(test_every_start_of_the_driver_has_its_stop)
{
    static const char *const scripts[] = {"", "count=9", "n=0", "handle=15", "init=18"};
    void *fake = dlopen(library(3), RTLD_LAZY);
    int (*inits)(void);

    *(void **)&inits = dlsym(fake, "fake_nvml_inits");
    for (int i = 0; i < 5; i++) {
        jb_gpus *gpus = open_gpus(3, scripts[i]);

        jb_gpus_rescan(gpus);
        jb_gpus_close(gpus);
        ck_assert_int_eq(inits(), 0);
    }
    dlclose(fake);
}
END_TEST

START_TEST(test_a_child_does_not_call_its_parents_driver)
{
    jb_gpus *gpus = open_gpus(3, "");
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        int rc = read_gpu(gpus, "");

        _exit(rc == JB_ESTATE && jb_gpus_rescan(gpus) == JB_ESTATE ? 7 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(WEXITSTATUS(status), 7);
    ck_assert_int_eq(read_gpu(gpus, ""), 0);
    jb_gpus_close(gpus);
}
END_TEST

static int n_left;

static void *few(size_t size_bytes, void *ctx)
{
    (void)ctx;
    return n_left-- > 0 ? malloc(size_bytes) : NULL;
}

static void *few_again(void *ptr, size_t old_bytes, size_t size_bytes, void *ctx)
{
    (void)old_bytes;
    (void)ctx;
    return n_left-- > 0 ? realloc(ptr, size_bytes) : NULL;
}

static void give_back(void *ptr, size_t size_bytes, void *ctx)
{
    (void)size_bytes;
    (void)ctx;
    free(ptr);
}

START_TEST(test_without_memory_nothing_is_left)
{
    jb_alloc alloc = {few, few_again, give_back, NULL};
    jb_gpus_opts opts;
    jb_gpus *gpus = NULL;
    jb_error err;

    setenv("FAKE_NVML", "", 1);
    jb_gpus_opts_init(&opts, sizeof opts);
    opts.library = library(3);
    opts.alloc = &alloc;
    for (int i = 0; i < 2; i++) {
        n_left = i;
        ck_assert_int_eq(jb_gpus_open(&opts, &gpus, &err), JB_ENOMEM);
        ck_assert_ptr_null(gpus);
    }
    opts.pids = 9;
    ck_assert_int_eq(jb_gpus_open(&opts, &gpus, &err), JB_EINVAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("driver");
    TCase *tc = suite_case(suite, "driver");

    tcase_add_test(tc, test_no_driver_is_no_gpu_and_no_error);
    tcase_add_test(tc, test_a_library_that_is_no_drivers_is_no_gpu);
    tcase_add_loop_test(tc, test_a_driver_that_does_not_start_says_why, 0, N_CODES);
    tcase_add_loop_test(tc, test_a_driver_that_cannot_count_has_no_gpu, 0, N_CODES);
    tcase_add_test(tc, test_a_driver_shut_down_by_others_is_started_again);
    tcase_add_test(tc, test_gpus_that_go_are_gone_after_a_rescan);
    tcase_add_test(tc, test_every_start_of_the_driver_has_its_stop);
    tcase_add_test(tc, test_a_child_does_not_call_its_parents_driver);
    tcase_add_test(tc, test_without_memory_nothing_is_left);
    return suite_run(suite);
}
