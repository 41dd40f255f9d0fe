/*
 * A process that shares a coordinator is killed before each atomic operation and between any two
 * stores of its books, one point after the other: whoever comes next finds the books as they were
 * after a whole number of steps, and the dead one's leases ended.
 */
#include "../integration/segment/segment.h"
#include "support/step.h"
#include "support/suite.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#undef memcpy

enum { MEM, GPU, CALLS, N_RESOURCES };
enum { L_RATE, L_WINDOW, L_OPEN, N_LIMITS };

static uint64_t n_points, kill_at;

static void at_point(void)
{
    if (++n_points == kill_at)
        kill(getpid(), SIGKILL);
}

static void before_atomic(const volatile void *address)
{
    (void)address;
    at_point();
}

static jb_coord *open_shared(void)
{
    static const jb_resource_spec resources[N_RESOURCES] = {
        {.name = "mem", .kind = JB_RESOURCE_MEMORY, .capacity = 100},
        {.name = "gpu", .kind = JB_RESOURCE_GPU_TIME, .capacity = 1},
        {.name = "calls", .kind = JB_RESOURCE_CALLS, .capacity = 1},
    };
    static const jb_limit_spec limits[N_LIMITS] = {
        [L_RATE] = {CALLS, JB_LIMIT_ALL, JB_LIMIT_RATE, 0, UINT64_C(1) << 30, 1000000000, 0},
        [L_WINDOW] = {CALLS, JB_LIMIT_ALL, JB_LIMIT_WINDOW, 8, UINT64_C(1) << 30, 1000000000, 0},
        [L_OPEN] = {CALLS, JB_LIMIT_ALL, JB_LIMIT_OPEN, 0, 1, 0, 0},
    };
    static const jb_component_spec components[] = {{.name = "a", .weight = 2}, {.name = "b"}};
    jb_coord_opts opts;

    jb_coord_opts_init(&opts, sizeof opts);
    opts.resources = resources;
    opts.n_resources = N_RESOURCES;
    opts.components = components;
    opts.n_components = 2;
    opts.max_leases = 8;
    opts.max_waiters = 4;
    opts.limits = limits;
    opts.n_limits = N_LIMITS;
    opts.max_reservations = 4;
    return open_coord("b", &opts);
}

/* All there is to do with rates: one at a time has a call open, two wait for it. */
static int work_with_rates(jb_coord *coord)
{
    jb_amount call = {.resource = CALLS, .amount = 3};
    jb_take a = {.n_amounts = 1, .amounts = &call, .lease_class = JB_CLASS_LOW};
    jb_take b = {.component = 1, .n_amounts = 1, .amounts = &call};
    uint64_t used = 2;
    jb_usage first, second;
    jb_ticket of_a, of_b;
    int bad = 0;

    bad += jb_usage_try(coord, &a, &first, NULL) != 0;
    bad += jb_usage_request(coord, &a, UINT64_MAX, &of_a) != 0;
    bad += jb_usage_request(coord, &b, UINT64_MAX, &of_b) != 0;
    bad += jb_usage_try(coord, &b, NULL, NULL) != JB_EAGAIN;
    bad += jb_usage_commit(coord, &first, &used, 1) != 0;
    bad += jb_usage_poll(coord, &of_b, &second, NULL) != 1;
    bad += jb_usage_refund(coord, &second) != 0;
    bad += jb_usage_cancel(coord, &of_a) != 0;
    bad += jb_usage_request(coord, &a, UINT64_MAX, &of_a) != 0;
    bad += jb_usage_request(coord, &b, UINT64_MAX, &of_b) != 0;
    return bad;
}

/* All there is to do with leases, and then some; 0 when it was as it should be. */
static int work(jb_coord *coord)
{
    jb_amount both[] = {{.resource = MEM, .amount = 30}, {.resource = GPU, .amount = 1}};
    jb_amount much = {.resource = MEM, .amount = 60};
    jb_want two = {.n_amounts = 2, .amounts = both, .hold_ns = UINT64_C(1000000000)};
    jb_want one = {.component = 1, .n_amounts = 1, .amounts = both};
    jb_want big = {.component = 1, .n_amounts = 1, .amounts = &much};
    jb_lease a, b, c;
    jb_ticket first, second;
    int bad = 0;

    bad += jb_coord_acquire(coord, &two, 0, &a) != 0;
    bad += jb_coord_try(coord, &one, &b) != 0;
    bad += jb_coord_request(coord, &big, &first) != 0;
    bad += jb_coord_request(coord, &big, &second) != 0;
    bad += jb_lease_shrink(coord, &a, MEM, 10) != 0;
    bad += jb_lease_renew(coord, &a, UINT64_C(2000000000)) != 0;
    bad += jb_lease_release(coord, &b) != 0;
    bad += jb_coord_poll(coord, &first, &c) != 1;
    bad += jb_lease_revoke(coord, a.token, a.slot, UINT64_C(500000000)) != 0;
    bad += jb_coord_cancel(coord, &second) != 0;
    bad += jb_lease_release(coord, &c) != 0;
    bad += jb_lease_revoke(coord, a.token, a.slot, 0) != 0;
    bad += work_with_rates(coord);
    jb_coord_close(coord);
    return bad;
}

static void child(void)
{
    jb_coord *coord = NULL;

    jbt_before = before_atomic;
    jbt_at_fence = at_point;
    if (jb_coord_open("b", NULL, &coord, NULL) != 0)
        _exit(2);
    _exit(work(coord) ? 1 : 0);
}

static void balance(jb_coord *coord, uint64_t *cursor, uint64_t sums[N_RESOURCES])
{
    jb_coord_stats stats;
    jb_record record;
    jb_error err;

    jb_error_init(&err);
    ck_assert_int_ge(jb_coord_tick(coord, NULL), 0);
    ck_assert_msg(jb_coord_audit(coord, &err) == 0, "point %llu: %s", (unsigned long long)kill_at,
                  err.msg);
    ck_assert_int_eq(jb_coord_get_stats(coord, &stats), 0);
    ck_assert_msg(stats.n_leases == 0 && stats.n_waiting == 0, "point %llu: %u leases, %u wait",
                  (unsigned long long)kill_at, stats.n_leases, stats.n_waiting);
    while (jb_coord_next_record(coord, cursor, &record, NULL) == 1) {
        if (record.kind == JB_RECORD_GRANTED)
            sums[record.resource] += record.amount;
        else if (record.kind == JB_RECORD_SHRUNK || record.kind == JB_RECORD_ENDED)
            sums[record.resource] -= record.amount;
    }
    ck_assert_uint_eq(sums[MEM] | sums[GPU], 0);
}

/* Nobody waits any more, nothing is reserved, and the next one gets it at once. */
static void balance_rates(jb_coord *coord)
{
    const jb_amount call = {.resource = CALLS, .amount = 3};
    const jb_take take = {.n_amounts = 1, .amounts = &call};
    jb_ticket tickets[4];
    jb_limit_info info;
    jb_usage usage;

    for (uint32_t i = 0; i < N_LIMITS; i++) {
        ck_assert_int_eq(jb_coord_limit_at(coord, i, &info), 0);
        ck_assert_msg(info.reserved == 0 && info.n_waiting == 0,
                      "point %llu: of limit %u are %llu reserved, %llu wait",
                      (unsigned long long)kill_at, i, (unsigned long long)info.reserved,
                      (unsigned long long)info.n_waiting);
    }
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(jb_usage_request(coord, &take, UINT64_MAX, &tickets[i]), 0);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(jb_usage_poll(coord, &tickets[i], &usage, NULL), 1);
        ck_assert_int_eq(jb_usage_refund(coord, &usage), 0);
    }
}

START_TEST(test_killed_at_any_point_leaves_whole_steps)
{
    jb_coord *coord = open_shared();
    uint64_t cursor = 0, sums[N_RESOURCES] = {0, 0};
    jb_coord_stats stats;
    int status = -1;

    for (kill_at = 1; status != 0; kill_at += POINTS_STRIDE) {
        pid_t pid = fork();

        ck_assert_int_ge(pid, 0);
        if (pid == 0)
            child();
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_msg(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL),
                      "point %llu: status %d", (unsigned long long)kill_at, status);
        balance(coord, &cursor, sums);
        balance_rates(coord);
    }
    ck_assert_int_eq(jb_coord_get_stats(coord, &stats), 0);
    ck_assert_uint_gt(stats.n_takeovers, kill_at / POINTS_STRIDE / 4);
    printf("%llu points, %llu inside\n", (unsigned long long)kill_at,
           (unsigned long long)stats.n_takeovers);
    jb_coord_close(coord);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quota-points");
    TCase *tc = suite_case(suite, "quota-points");

    tcase_add_checked_fixture(tc, segment_dir_make, segment_dir_drop);
    tcase_add_test(tc, test_killed_at_any_point_leaves_whole_steps);
    return suite_run(suite);
}
