/*
 * Opening, closing and removing a bus, killed at every system call they make.
 *
 * Invariant tested: wherever it dies, the next process goes on without a hand's help: those who
 * have the bus open lose nothing, and when nobody has, the next open makes a new one and its end
 * leaves no file.
 */
#include "integration/segment/segment.h"

#include <errno.h>
#include <sys/ptrace.h>

enum { STEPS_MAX = 4000 };

/* What the child does under the knife. */
typedef void (*act_fn)(void);

static void act_create(void)
{
    segment_open(jb_bus_create, 0, 0);
}

static void act_open(void)
{
    segment_open(jb_bus_open, 0, 0);
}

static void act_open_and_close(void)
{
    jb_bus_close(segment_open(jb_bus_open, 0, 0));
}

static void act_unlink(void)
{
    (void)jb_bus_unlink("b", NULL);
}

/* Runs act and kills it at its n-th stop at a system call, before or after the call. True when it
 * came to its end before that. Between two raise() calls, so that starting and ending do not
 * count. */
static bool kill_at(act_fn act, int n)
{
    pid_t pid = fork();
    bool is_over;
    int status;

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
            _exit(77);
        raise(SIGSTOP);
        act();
        raise(SIGSTOP);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status)) {
        ck_assert_int_eq(WEXITSTATUS(status), 77);
        return true;
    }
    for (int i = 0; i < n && WIFSTOPPED(status); i++) {
        ck_assert_int_eq(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP)
            break;
    }
    ck_assert_msg(WIFSTOPPED(status), "the child failed: status %d", status);
    is_over = WSTOPSIG(status) == SIGSTOP;
    kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 || !WIFSIGNALED(status))
        ck_assert_int_ne(errno, ECHILD);
    return is_over;
}

static bool may_trace(void)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) ? 77 : 0);
    waitpid(pid, &status, 0);
    if (status == 0)
        return true;
    puts("skipped: may not trace a child here");
    return false;
}

static void nobody_is_left_behind(void)
{
    jb_bus *bus = segment_open(jb_bus_open, 0, 0);
    jb_bus_stats stats = {.size = sizeof stats};

    ck_assert_int_eq(publish_number(bus, "a.b", 1, 8), 0);
    ck_assert_int_eq(jb_bus_get_stats(bus, &stats), 0);
    ck_assert_uint_eq(stats.n_peers, 1);
    ck_assert_uint_eq(stats.n_published, 1);
    jb_bus_close(bus);
    ck_assert_int_eq(segment_count(), 0);
}

static const act_fn alone[] = {act_create, act_open, act_open_and_close};

START_TEST(test_one_who_dies_alone_leaves_nothing_in_the_way)
{
    int n = 1;

    if (!may_trace())
        return;
    while (!kill_at(alone[_i], n)) {
        nobody_is_left_behind();
        ck_assert_int_lt(++n, STEPS_MAX);
    }
    ck_assert_int_gt(n, 20);
    nobody_is_left_behind();
}
END_TEST

/* What is left of an earlier crash is in the way of the one that is killed. */
START_TEST(test_one_who_dies_burying_another_leaves_nothing_in_the_way)
{
    bool is_done = false;
    int n = 1;

    if (!may_trace())
        return;
    for (; !is_done; n++) {
        segment_crash(0, 1);
        is_done = kill_at(act_open, n);
        nobody_is_left_behind();
        ck_assert_int_lt(n, STEPS_MAX);
    }
    ck_assert_int_gt(n, 20);
}
END_TEST

static const act_fn beside[] = {act_open, act_open_and_close};

START_TEST(test_one_who_dies_beside_another_costs_him_nothing)
{
    jb_bus *bus = segment_open(jb_bus_create, 0, 0);
    jb_sub *sub = subscribe(bus, ">", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    jb_bus_stats stats = {.size = sizeof stats};
    bool is_done = !may_trace();
    jb_event events[4];

    for (uint64_t n = 1; !is_done; n++) {
        jb_bus *third;

        is_done = kill_at(beside[_i], (int)n);
        ck_assert_int_eq(publish_number(bus, "a.b", n, 8), 0);
        ck_assert_int_eq(jb_sub_peek(sub, events, 4), 1);
        ck_assert_uint_eq(number_of(&events[0]), n);
        ck_assert_int_eq(jb_sub_advance(sub), 0);
        /* Who comes in next buries the dead. */
        third = segment_open(jb_bus_attach, 0, 0);
        ck_assert_int_eq(jb_bus_get_stats(third, &stats), 0);
        ck_assert_uint_eq(stats.n_peers, 2);
        ck_assert_uint_eq(stats.n_published, n);
        jb_bus_close(third);
        ck_assert_uint_lt(n, STEPS_MAX);
    }
    jb_sub_close(sub);
    jb_bus_close(bus);
    ck_assert_int_eq(segment_count(), 0);
}
END_TEST

START_TEST(test_one_who_dies_removing_the_name_leaves_one_bus_or_none)
{
    bool is_done = !may_trace();

    for (int n = 1; !is_done; n++) {
        jb_bus *bus = segment_open(jb_bus_create, 0, 0);

        is_done = kill_at(act_unlink, n);
        ck_assert_int_le(segment_count(), 1);
        ck_assert_int_eq(publish_number(bus, "a.b", 1, 8), 0);
        jb_bus_close(bus);
        ck_assert_int_eq(segment_count(), 0);
        ck_assert_int_lt(n, STEPS_MAX);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("segment-kill");
    TCase *tc = suite_case(suite, "kill");

    tcase_add_checked_fixture(tc, segment_dir_make, segment_dir_drop);
    tcase_add_loop_test(tc, test_one_who_dies_alone_leaves_nothing_in_the_way, 0, 3);
    tcase_add_test(tc, test_one_who_dies_burying_another_leaves_nothing_in_the_way);
    tcase_add_loop_test(tc, test_one_who_dies_beside_another_costs_him_nothing, 0, 2);
    tcase_add_test(tc, test_one_who_dies_removing_the_name_leaves_one_bus_or_none);
    return suite_run(suite);
}
