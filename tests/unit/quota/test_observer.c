/*
 * The observer: what a driver by script and the kernel say reaches the coordinator.
 */
#include "gpus.h"

#include <signal.h>
#include <unistd.h>

static jb_coord *coord;
static jb_observer *observer;

static void open_both(const char *name, const char *script)
{
    jb_resource_spec resources[] = {
        {.name = "vram0", .kind = JB_RESOURCE_GPU_MEMORY, .capacity = 1000, .headroom = 100},
        {.name = "ram", .kind = JB_RESOURCE_MEMORY, .capacity = UINT64_C(1) << 40},
    };
    jb_component_spec components[] = {{.name = "trainer"}, {.name = "game"}};
    jb_observer_opts opts;
    jb_coord_opts co;
    jb_error err;

    setenv("FAKE_NVML", script, 1);
    jb_coord_opts_init(&co, sizeof co);
    co.resources = resources, co.n_resources = 2;
    co.components = components, co.n_components = 2;
    ck_assert_msg(jb_coord_open(name, &co, &coord, &err) == 0, "%s", err.msg);
    jb_observer_opts_init(&opts, sizeof opts);
    opts.library = library(3);
    opts.pids = JB_GPUS_PIDS_OURS;
    opts.interval_ns = 100000000;
    ck_assert_int_eq(jb_observer_open(coord, &opts, &observer, &err), 0);
}

static void close_both(void)
{
    jb_observer_close(observer);
    jb_coord_close(coord);
}

static void step(const char *script)
{
    uint64_t next_ns;

    setenv("FAKE_NVML", script, 1);
    while (jb_observer_step(observer, &next_ns) == 0)
        usleep((useconds_t)(next_ns / 1000) + 1);
}

static uint64_t foreign(void)
{
    jb_resource_info info;

    ck_assert_int_eq(jb_coord_resource_at(coord, 0, &info), 0);
    return info.foreign;
}

static int take(uint32_t resource, uint64_t n, jb_lease *ret_lease)
{
    jb_amount amount = {.resource = resource, .amount = n};
    jb_want want = {.component = 0, .n_amounts = 1, .amounts = &amount};

    return jb_coord_acquire(coord, &want, 0, ret_lease);
}

START_TEST(test_what_others_use_is_not_promised)
{
    jb_vram_books books = {.size = sizeof books};
    jb_lease lease;

    open_both(NULL, "c=1:600 used=600");
    ck_assert_int_eq(jb_observer_vram(observer, 0, &books), JB_ENOENT);
    step("c=1:600 used=600");
    ck_assert_uint_eq(foreign(), 600);
    ck_assert_int_eq(take(0, 301, &lease), JB_EAGAIN);
    ck_assert_int_eq(take(0, 300, &lease), 0);
    ck_assert_int_eq(jb_observer_vram(observer, 0, &books), 0);
    ck_assert_uint_eq(books.foreign_bytes, 600);
    ck_assert_int_eq(jb_observer_vram(observer, 1, &books), JB_ENOENT);
    close_both();
}
END_TEST

START_TEST(test_own_use_within_the_promise_is_not_foreign)
{
    char script[128];
    jb_lease lease;

    open_both(NULL, "");
    ck_assert_int_eq(take(0, 500, &lease), 0);
    snprintf(script, sizeof script, "c=%d:300 used=300", getpid());
    step(script);
    ck_assert_uint_eq(foreign(), 0);
    snprintf(script, sizeof script, "c=%d:700 used=700", getpid());
    step(script);
    ck_assert_uint_eq(foreign(), 200);
    close_both();
}
END_TEST

/* The test program's own child, in a shared coordinator too. */
START_TEST(test_a_child_uses_what_its_parent_holds)
{
    char script[128], name[64];
    pid_t child = fork();
    jb_lease lease;

    if (child == 0) {
        pause();
        _exit(0);
    }
    snprintf(name, sizeof name, "/dev/shm/jimbot-test-observer-%d", getpid());
    open_both(_i ? name : NULL, "");
    ck_assert_int_eq(take(0, 500, &lease), 0);
    snprintf(script, sizeof script, "c=%d:300,%d:100 used=400", child, getpid());
    step(script);
    ck_assert_uint_eq(foreign(), 0);
    close_both();
    kill(child, SIGKILL);
}
END_TEST

START_TEST(test_a_lost_gpu_promises_nothing_and_a_silent_one_as_before)
{
    open_both(NULL, "c=1:200 used=200");
    step("c=1:200 used=200");
    step("memory=999 memory2=999");
    ck_assert_uint_eq(foreign(), 200);
    step("memory=15 memory2=15");
    ck_assert_uint_eq(foreign(), 1000);
    step("c=1:100 used=100");
    ck_assert_uint_eq(foreign(), 100);
    step("total=700 used=100");
    ck_assert_uint_eq(foreign(), 400);
    close_both();
}
END_TEST

START_TEST(test_without_a_driver_the_promises_count)
{
    jb_lease lease;

    open_both(NULL, "init=9");
    step("init=9");
    ck_assert_uint_eq(foreign(), 0);
    ck_assert_int_eq(take(0, 900, &lease), 0);
    close_both();
}
END_TEST

START_TEST(test_memory_is_judged_by_component)
{
    jb_component_memory memory = {.size = sizeof memory};
    jb_lease small, large;

    open_both(NULL, "");
    ck_assert_int_eq(take(1, 4096, &small), 0);
    step("");
    ck_assert_int_eq(jb_observer_memory(observer, 0, &memory), 0);
    ck_assert_uint_eq(memory.state, JB_MEMORY_OVER);
    ck_assert_uint_gt(memory.shrink_bytes, 0);
    ck_assert_uint_eq(memory.n_processes, 1);
    ck_assert_int_eq(take(1, UINT64_C(1) << 39, &large), 0);
    step("");
    ck_assert_int_eq(jb_observer_memory(observer, 0, &memory), 0);
    ck_assert_uint_eq(memory.state, JB_MEMORY_FINE);
    ck_assert_uint_eq(memory.granted_bytes, 4096 + (UINT64_C(1) << 39));
    ck_assert_uint_eq(memory.n_processes, 1);
    ck_assert_int_eq(jb_observer_memory(observer, 1, &memory), 0);
    ck_assert_uint_eq(memory.used_bytes, 0);
    ck_assert_int_eq(jb_observer_memory(observer, 2, &memory), JB_ENOENT);
    close_both();
}
END_TEST

START_TEST(test_it_reads_no_more_often_than_it_was_told)
{
    uint64_t next_ns = 0;
    jb_observer_opts opts;

    open_both(NULL, "");
    ck_assert_int_eq(jb_observer_step(observer, &next_ns), 1);
    ck_assert_uint_eq(next_ns, 100000000);
    ck_assert_int_eq(jb_observer_step(observer, &next_ns), 0);
    jb_observer_opts_init(&opts, sizeof opts);
    opts.interval_ns = 99999999;
    ck_assert_int_eq(jb_observer_open(coord, &opts, &observer, NULL), JB_EINVAL);
    close_both();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("observer");
    TCase *tc = suite_case(suite, "observer");

    tcase_add_test(tc, test_what_others_use_is_not_promised);
    tcase_add_test(tc, test_own_use_within_the_promise_is_not_foreign);
    tcase_add_loop_test(tc, test_a_child_uses_what_its_parent_holds, 0, 2);
    tcase_add_test(tc, test_a_lost_gpu_promises_nothing_and_a_silent_one_as_before);
    tcase_add_test(tc, test_without_a_driver_the_promises_count);
    tcase_add_test(tc, test_memory_is_judged_by_component);
    tcase_add_test(tc, test_it_reads_no_more_often_than_it_was_told);
    return suite_run(suite);
}
