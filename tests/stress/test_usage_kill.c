/*
 * Processes that share a rate are killed at random between asking, calling and committing: in no
 * stretch of a period were there more calls than the limit, nothing stays reserved, and who comes
 * after all of them are gone finds the limits where they were.
 */
#include "../integration/segment/segment.h"
#include "support/suite.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { N_WORKERS = 4, LIMIT = 25, OPEN_MAX = 3, CALLS_MAX = 1 << 16 };
enum { L_WINDOW, L_OPEN };

#define PERIOD_NS UINT64_C(100000000)

static const jb_resource_spec resources[] = {
    {.name = "calls", .kind = JB_RESOURCE_CALLS, .capacity = 1}};
static const jb_component_spec components[] = {{.name = "a"}, {.name = "b"}};
static const jb_limit_spec limits[] = {
    [L_WINDOW] = {0, JB_LIMIT_ALL, JB_LIMIT_WINDOW, 1000, LIMIT, PERIOD_NS, 0},
    [L_OPEN] = {0, JB_LIMIT_ALL, JB_LIMIT_OPEN, 0, OPEN_MAX, 0, 0},
};

/* Every call that was made, in memory that all share. */
static struct {
    _Atomic uint64_t n;
    uint64_t times[CALLS_MAX];
} * calls;

static int open_as(const jb_limit_spec *specs, uint32_t n_specs, jb_coord **ret_coord)
{
    jb_coord_opts opts;
    jb_error err;

    jb_error_init(&err);
    jb_coord_opts_init(&opts, sizeof opts);
    opts.resources = resources;
    opts.n_resources = 1;
    opts.components = components;
    opts.n_components = 2;
    opts.limits = specs;
    opts.n_limits = n_specs;
    return jb_coord_open("b", &opts, ret_coord, &err);
}

static jb_coord *open_shared(void)
{
    jb_coord *coord = NULL;

    ck_assert_int_eq(open_as(limits, 2, &coord), 0);
    return coord;
}

/* Reserves, calls, commits or gives back, until it is killed. */
static void work(uint64_t seed)
{
    const jb_amount amount = {.resource = 0, .amount = 1};
    jb_take take = {.component = (uint32_t)seed % 2, .n_amounts = 1, .amounts = &amount};
    jb_coord *coord = NULL;
    jb_usage usage;

    if (jb_coord_open("b", NULL, &coord, NULL))
        _exit(1);
    for (;;) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        if (jb_usage_reserve(coord, &take, PERIOD_NS, &usage, NULL) != 0)
            continue;
        if (seed >> 62 == 0) {
            (void)jb_usage_refund(coord, &usage);
            continue;
        }
        calls->times[atomic_fetch_add(&calls->n, 1) % CALLS_MAX] = jb_clock_now_ns();
        (void)jb_usage_commit(coord, &usage, NULL, 0);
    }
}

static pid_t worker(uint64_t seed)
{
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        end_with_parent();
        work(seed);
    }
    return pid;
}

static void kill_worker(pid_t pid)
{
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static int by_time(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void check_calls(void)
{
    size_t n = (size_t)atomic_load(&calls->n), first = 0;

    ck_assert_uint_lt(n, CALLS_MAX);
    qsort(calls->times, n, sizeof calls->times[0], by_time);
    while (first < n && calls->times[first] == 0) /* killed before it wrote the time */
        first++;
    ck_assert_uint_gt(n - first, LIMIT);
    for (size_t i = first; i + LIMIT < n; i++)
        ck_assert_uint_ge(calls->times[i + LIMIT] - calls->times[i], PERIOD_NS);
}

static jb_limit_info info_of(jb_coord *coord, uint32_t limit)
{
    jb_limit_info info;

    ck_assert_int_eq(jb_coord_limit_at(coord, limit, &info), 0);
    return info;
}

START_TEST(test_killed_callers_never_call_once_too_often)
{
    jb_coord *coord = open_shared();
    pid_t pids[N_WORKERS];

    calls = mmap(NULL, sizeof *calls, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(calls, MAP_FAILED);
    for (int i = 0; i < N_WORKERS; i++)
        pids[i] = worker((uint64_t)i);
    for (int i = 0; i < KILLS; i++) {
        int who = i * 7 % N_WORKERS;

        usleep(3000 + (unsigned)(i * 7919 % 20000));
        kill_worker(pids[who]);
        ck_assert_int_ge(jb_coord_tick(coord, NULL), 0);
        pids[who] = worker((uint64_t)i);
    }
    for (int i = 0; i < N_WORKERS; i++)
        kill_worker(pids[i]);
    ck_assert_int_ge(jb_coord_tick(coord, NULL), 0);
    ck_assert_uint_eq(info_of(coord, L_OPEN).reserved, 0);
    ck_assert_uint_eq(info_of(coord, L_WINDOW).reserved, 0);
    check_calls();
    jb_coord_close(coord);
    munmap(calls, sizeof *calls);
}
END_TEST

START_TEST(test_who_comes_after_finds_the_limits_where_they_were)
{
    static const jb_limit_spec others[] = {
        {0, JB_LIMIT_ALL, JB_LIMIT_WINDOW, 1000, LIMIT + 1, PERIOD_NS, 0}};
    const jb_amount amount = {.resource = 0, .amount = LIMIT - 3};
    jb_take take = {.component = 0, .n_amounts = 1, .amounts = &amount};
    jb_coord *coord = open_shared(), *none = NULL;
    jb_usage usage;

    ck_assert_int_eq(jb_usage_block(coord, 0, 3600 * UINT64_C(1000000000)), 0);
    ck_assert_uint_eq(info_of(coord, L_WINDOW).n_taken, 0);
    jb_coord_close(coord);
    coord = open_shared();
    ck_assert_int_eq(jb_usage_try(coord, &take, &usage, NULL), JB_EAGAIN);
    ck_assert_uint_gt(info_of(coord, L_WINDOW).blocked_ns, 3000 * UINT64_C(1000000000));
    ck_assert_int_eq(open_as(others, 1, &none), JB_ESTATE);
    ck_assert_int_eq(open_as(NULL, 0, &none), 0);
    ck_assert_uint_eq(info_of(none, L_WINDOW).n_denied, 1);
    jb_coord_close(none);
    jb_coord_close(coord);
}
END_TEST

/* Waits for all of an hour's calls before everybody else, until it is killed. */
static void work_at_the_head(void)
{
    const jb_amount amount = {.resource = 0, .amount = LIMIT};
    jb_take take = {.n_amounts = 1, .amounts = &amount, .lease_class = JB_CLASS_CRITICAL};
    jb_coord *coord = NULL;

    if (jb_coord_open("b", NULL, &coord, NULL))
        _exit(1);
    (void)jb_usage_reserve(coord, &take, UINT64_MAX, NULL, NULL);
    _exit(2);
}

START_TEST(test_the_death_of_who_is_first_lets_the_next_one_go)
{
    static const jb_limit_spec hour[] = {
        {0, JB_LIMIT_ALL, JB_LIMIT_WINDOW, 1000, LIMIT, 3600 * UINT64_C(1000000000), 0}};
    const jb_amount amount = {.resource = 0, .amount = 1};
    jb_take take = {.component = 1, .n_amounts = 1, .amounts = &amount};
    jb_coord *coord = NULL;
    jb_denial denial;
    pid_t pid;

    ck_assert_int_eq(open_as(hour, 1, &coord), 0);
    ck_assert_int_eq(jb_usage_try(coord, &take, NULL, NULL), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        end_with_parent();
        work_at_the_head();
    }
    for (int i = 0; i < 5000 && info_of(coord, 0).n_waiting == 0; i++)
        usleep(1000);
    ck_assert_int_eq(jb_usage_reserve(coord, &take, 1000000, NULL, &denial), JB_ETIMEDOUT);
    ck_assert_uint_gt(denial.retry_after_ns, 3000 * UINT64_C(1000000000));
    kill_worker(pid);
    ck_assert_int_eq(jb_usage_reserve(coord, &take, 30 * UINT64_C(1000000000), NULL, NULL), 0);
    jb_coord_close(coord);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("usage-kill");
    TCase *tc = suite_case(suite, "usage-kill");

    tcase_add_checked_fixture(tc, segment_dir_make, segment_dir_drop);
    tcase_add_test(tc, test_killed_callers_never_call_once_too_often);
    tcase_add_test(tc, test_who_comes_after_finds_the_limits_where_they_were);
    tcase_add_test(tc, test_the_death_of_who_is_first_lets_the_next_one_go);
    return suite_run(suite);
}
