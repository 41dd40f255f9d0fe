/*
 * A death, or a stop, at every step: real processes, a real segment, a real SIGKILL.
 *
 * Invariant tested: whatever step it was, the others publish and read on at once, every event whose
 * publish() returned is read once and whole, and whoever was only stopped has lost nothing it was
 * promised.
 */
#include "points.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void parent_end(struct parent *p, const char *how, const char *what, uint64_t n)
{
    parent_close(p);
    report(p, how, what, n);
}

static const struct task kills[] = {
    {"publishes", attach, run_publish},          {"opens and closes", NULL, run_open},
    {"closes", attach_and_subscribe, run_close}, {"subscribes", attach, run_subscribe},
    {"reads", subscribe_and_publish, run_read},  {"waits", attach_and_subscribe, run_wait},
};

START_TEST(test_a_death_at_any_step_stops_nobody)
{
    const struct task *task = &kills[_i];
    struct parent p;
    uint64_t n = 1;
    int status = 0;

    parent_begin(&p, 0);
    for (;; n = next_step(n)) {
        pid_t pid = child_start(task, n, SIGKILL);

        /* While it may hold the ring back, so that a lap and more is in its way when it dies. */
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        p.n_child = 0;
        go_on(&p, task->run == run_publish ? 2 : LAP);
        if (WIFEXITED(status))
            break;
    }
    ck_assert_int_eq(status, 0);
    ck_assert_uint_gt(n, 10);
    if (task->run == run_publish)
        ck_assert_uint_eq(p.n_child, 1);
    parent_end(&p, "killed", task->what, n);
}
END_TEST

/* A reader that sleeps in the kernel holds the ring back as well as one that reads. */
START_TEST(test_a_death_asleep_stops_nobody)
{
    static const struct task asleep = {"asleep", attach_and_subscribe, run_wait};
    struct parent p;

    parent_begin(&p, 0);
    for (int i = 0; i < 5; i++) {
        pid_t pid = child_start(&asleep, UINT64_MAX, 0);

        usleep(3000u * (unsigned)i);
        kill(pid, SIGKILL);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        go_on(&p, LAP);
    }
    parent_end(&p, "killed", asleep.what, 5);
}
END_TEST

/* All places for subscriptions can be had, beside the parent's own. */
static void assert_all_places(const struct parent *p)
{
    jb_sub *subs[3];

    for (int i = 0; i < 3; i++)
        subs[i] = subscribe(p->bus, "points.>", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    for (int i = 0; i < 3; i++)
        jb_sub_close(subs[i]);
}

/* Who comes in finds a reader that died, and dies over its burial. */
START_TEST(test_a_death_over_a_burial_loses_no_place)
{
    static const struct task readers[] = {
        {"first to be buried", attach_and_subscribe, run_wait},
        {"second", attach_and_subscribe, run_wait},
    };
    static const struct task buries = {"buries", NULL, run_open};
    struct parent p;
    uint64_t n = 1;
    int status = 0;

    parent_begin(&p, 0);
    for (;; n = next_step(n)) {
        pid_t pid[2];

        /* Two at a time, so that not both places are taken by who comes in. */
        for (int i = 0; i < 2; i++)
            pid[i] = child_start(&readers[i], UINT64_MAX, 0);
        for (int i = 0; i < 2; i++)
            ck_assert_int_eq(waitpid(pid[i], &status, 0), pid[i]);
        pid[0] = child_start(&buries, n, SIGKILL);
        ck_assert_int_eq(waitpid(pid[0], &status, 0), pid[0]);
        assert_all_places(&p);
        if (WIFEXITED(status))
            break;
    }
    ck_assert_int_eq(status, 0);
    ck_assert_uint_gt(n, 10);
    go_on(&p, LAP);
    parent_end(&p, "killed", buries.what, n);
}
END_TEST

/* The name is new at each try; what the dead creator leaves is no hindrance to the next. */
START_TEST(test_a_creator_that_dies_leaves_nothing_in_the_way)
{
    static const struct task create = {"creates", NULL, run_open};
    struct parent p = {0};
    uint64_t n = 1;
    int status = 0;

    for (;; n = next_step(n)) {
        pid_t pid;

        snprintf(points_name, sizeof points_name, "test-points-new-%d-%llu", (int)getpid(),
                 (unsigned long long)n);
        pid = child_start(&create, n, SIGKILL);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        parent_open(&p, JB_SUB_FROM_OLDEST);
        go_on(&p, 2);
        parent_close(&p);
        if (WIFEXITED(status))
            break;
    }
    ck_assert_int_eq(status, 0);
    ck_assert_uint_gt(n, 10);
    report(&p, "killed", create.what, n);
}
END_TEST

static const struct task stops[] = {
    {"publishes", attach, run_publish},
    {"reads", subscribe_and_publish, run_read},
    {"subscribes", attach, run_subscribe},
};

START_TEST(test_a_stop_at_any_step_robs_nobody)
{
    const struct task *task = &stops[_i];
    struct parent p;
    uint64_t n = 1;
    int status = 0;

    parent_begin(&p, 0);
    for (;; n = next_step(n)) {
        pid_t pid = child_start(task, n, SIGSTOP);

        p.n_child = 0;
        ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
        if (WIFEXITED(status))
            break;
        /* One that begins with the oldest event holds back from the first on. */
        go_on_beside(&p, LAP, task->run == run_subscribe ? 0 : 2);
        kill(pid, SIGCONT);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
        go_on(&p, 1);
        ck_assert_uint_eq(p.n_child, task->run == run_publish ? 1
                                     : task->run == run_read  ? CHILD_EVENTS
                                                              : 0);
    }
    ck_assert_int_eq(status, 0);
    ck_assert_uint_gt(n, 10);
    go_on(&p, 1);
    parent_end(&p, "stopped", task->what, n);
}
END_TEST

/* With stall_after_ns everybody goes on for laps; the late one is told, and spoils nothing. */
START_TEST(test_a_stop_at_any_step_is_cancelled_cleanly)
{
    struct parent p;
    uint64_t n = 1, n_cancelled = 0;
    int status = 0;

    parent_begin(&p, STALL_AFTER_NS);
    for (;; n = next_step(n)) {
        pid_t pid = child_start(&stops[0], n, SIGSTOP);

        p.n_child = 0;
        ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
        if (WIFEXITED(status))
            break;
        go_on(&p, 2 * LAP);
        kill(pid, SIGCONT);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFEXITED(status));
        ck_assert(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == EXIT_CANCELLED);
        n_cancelled += WEXITSTATUS(status) != 0;
        go_on(&p, LAP);
        ck_assert_uint_eq(p.n_child, WEXITSTATUS(status) == 0);
    }
    ck_assert_int_eq(status, 0);
    ck_assert_uint_gt(n_cancelled, 0);
    go_on(&p, 1);
    parent_end(&p, "stopped", "publishes, and is cancelled", n);
}
END_TEST

static void remove_name(void)
{
    jb_bus_unlink(points_name, NULL);
}

int main(void)
{
    Suite *suite = suite_create("points");
    TCase *tc = suite_case(suite, "points");

    tcase_set_timeout(tc, 0);
    tcase_add_checked_fixture(tc, NULL, remove_name);
    tcase_add_loop_test(tc, test_a_death_at_any_step_stops_nobody, 0,
                        sizeof kills / sizeof kills[0]);
    tcase_add_test(tc, test_a_death_asleep_stops_nobody);
    tcase_add_test(tc, test_a_death_over_a_burial_loses_no_place);
    tcase_add_test(tc, test_a_creator_that_dies_leaves_nothing_in_the_way);
    tcase_add_loop_test(tc, test_a_stop_at_any_step_robs_nobody, 0, sizeof stops / sizeof stops[0]);
    tcase_add_test(tc, test_a_stop_at_any_step_is_cancelled_cleanly);
    return suite_run(suite);
}
