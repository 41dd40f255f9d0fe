/*
 * The descriptor of a subscription: readable when there is something, quiet when there is not, and
 * never asleep through an event.
 */
#include "bus/bus_internal.h"
#include "support/suite.h"

#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static jb_bus *bus;
static jb_sub *sub;
static int fd;
static char path[64];

static int fd_of(jb_sub *of)
{
    int found = -1;

    ck_assert_int_eq(jb_sub_fd(of, &found), 0);
    return found;
}

static void open_all(void)
{
    jb_bus_opts opts;

    snprintf(path, sizeof path, "/dev/shm/jimbot-test-watch-%d", (int)getpid());
    jb_bus_opts_init(&opts, sizeof opts);
    opts.capacity_bytes = 65536;
    ck_assert_int_eq(jb_bus_create(path, &opts, &bus, NULL), 0);
    sub = subscribe(bus, "a.>", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    fd = fd_of(sub);
}

static void close_all(void)
{
    jb_sub_close(sub);
    jb_bus_close(bus);
}

static bool is_readable(int of, int timeout_ms)
{
    struct pollfd poller = {.fd = of, .events = POLLIN};

    return poll(&poller, 1, timeout_ms) == 1;
}

static uint64_t sleepers(void)
{
    return atomic_load(&bus->ring.control->sleepers[0]);
}

static int take_all(jb_sub *of)
{
    jb_event events[64];
    int n, n_all = 0;

    while ((n = jb_sub_peek(of, events, 64)) > 0) {
        n_all += n;
        ck_assert_int_eq(jb_sub_advance(of), 0);
    }
    ck_assert_int_eq(n, 0);
    return n_all;
}

static void join_child(pid_t pid)
{
    int status;

    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}

START_TEST(test_it_is_readable_from_the_event_until_nothing_is_left)
{
    jb_event event;

    ck_assert_int_eq(fd_of(sub), fd);
    ck_assert(!is_readable(fd, 0));
    publish_number(bus, "a.x", 1, 8);
    ck_assert(is_readable(fd, 5000));
    publish_number(bus, "a.x", 2, 8);
    ck_assert_int_eq(jb_sub_peek(sub, &event, 1), 1);
    ck_assert_uint_eq(number_of(&event), 1);
    ck_assert_int_eq(jb_sub_advance(sub), 0);
    ck_assert(is_readable(fd, 0));
    ck_assert_int_eq(take_all(sub), 1);
    ck_assert(!is_readable(fd, 0));
    ck_assert_int_eq(jb_sub_advance(sub), 0);
    ck_assert_int_eq(jb_sub_advance_n(sub, 1), JB_EINVAL);
    publish_number(bus, "a.x", 3, 8);
    ck_assert(is_readable(fd, 5000));
}
END_TEST

START_TEST(test_what_was_there_before_is_told)
{
    jb_sub *late = subscribe(bus, "a.>", JB_SUB_LATEST, JB_SUB_FROM_OLDEST);

    ck_assert(!is_readable(fd_of(late), 0));
    jb_sub_close(late);
    publish_number(bus, "a.x", 1, 8);
    late = subscribe(bus, "a.>", JB_SUB_LATEST, JB_SUB_FROM_OLDEST);
    ck_assert(is_readable(fd_of(late), 0));
    jb_sub_close(late);
}
END_TEST

START_TEST(test_any_process_wakes_it)
{
    pid_t pid = fork();

    if (pid == 0) {
        jb_bus *other = NULL;

        usleep(50000);
        if (jb_bus_attach(path, NULL, &other, NULL) || publish_number(other, "a.x", 7, 8))
            _exit(1);
        jb_bus_close(other);
        _exit(0);
    }
    ck_assert(is_readable(fd, 10000));
    ck_assert_int_eq(take_all(sub), 1);
    join_child(pid);
}
END_TEST

/* Publishers need no system call for one that is readable; for one that waits they do. */
START_TEST(test_nobody_is_woken_for_one_that_is_readable)
{
    ck_assert_uint_ne(sleepers(), 0);
    publish_number(bus, "a.x", 1, 8);
    ck_assert(is_readable(fd, 5000));
    while (sleepers()) /* it is raised before it is disarmed */
        usleep(100);
    for (uint64_t i = 0; i < 20; i++) {
        publish_number(bus, "a.x", i, 8);
        ck_assert_uint_eq(sleepers(), 0);
    }
    ck_assert_int_eq(take_all(sub), 21);
    ck_assert_uint_ne(sleepers(), 0);
}
END_TEST

START_TEST(test_unwanted_events_neither_wake_it_nor_hold_publishers_back)
{
    jb_event_head head = {.topic_id = topic_of(bus, "b.x"), .type = JB_EVENT_CUSTOM};
    static const uint8_t bytes[512];

    for (int i = 0; i < 2000; i++)
        ck_assert_int_eq(
            jb_bus_publish_wait(bus, &head, bytes, sizeof bytes, UINT64_C(20000000000)), 0);
    ck_assert(!is_readable(fd, 100));
    ck_assert_int_eq(jb_sub_add(sub, "b.>", 3), 0);
    ck_assert(!is_readable(fd, 100));
    publish_number(bus, "b.x", 1, 8);
    ck_assert(is_readable(fd, 5000));
}
END_TEST

/* Each of them a system call would be many times what publishing costs. */
START_TEST(test_a_stream_of_unwanted_events_wakes_nobody_each_time)
{
    enum { N_UNWANTED = 50000, N_STREAMS = 20 };
    uint32_t n_least = UINT32_MAX;

    /* Until a woken thread has got a processor, each publisher wakes it again; so not every stream
     * on a busy machine can be cheap. */
    for (int stream = 0; stream < N_STREAMS && n_least >= N_UNWANTED / 2; stream++) {
        uint32_t before = jbi_ring_wake_word(&bus->ring), n;

        for (uint64_t i = 0; i < N_UNWANTED;) {
            if (publish_number(bus, "b.c", i, 16) == 0)
                i++;
            else
                sched_yield();
        }
        n = jbi_ring_wake_word(&bus->ring) - before;
        n_least = n < n_least ? n : n_least;
    }
    ck_assert_uint_lt(n_least, N_UNWANTED / 2);
    ck_assert_int_eq(publish_number(bus, "a.b", 1, 16), 0);
    ck_assert(is_readable(fd, 10000));
    ck_assert_int_eq(take_all(sub), 1);
    /* And when the stream has ceased, publishers wake it again. */
    for (int i = 0; i < 1000 && !sleepers(); i++)
        usleep(10000);
    ck_assert_uint_ne(sleepers(), 0);
}
END_TEST

START_TEST(test_it_waits_beside_jb_sub_wait)
{
    ck_assert_int_eq(jb_sub_wait(sub, 2000000), 0);
    ck_assert(!is_readable(fd, 0));
    publish_number(bus, "a.x", 1, 8);
    ck_assert_int_eq(jb_sub_wait(sub, 2000000), 1);
    ck_assert(is_readable(fd, 0));
    ck_assert_int_eq(take_all(sub), 1);
    ck_assert_int_eq(jb_sub_wait(sub, 60000000), 0);
    publish_number(bus, "a.x", 2, 8);
    ck_assert(is_readable(fd, 5000));
}
END_TEST

/* Who asks for nothing learns nothing, and loses nothing of what he was shown. */
START_TEST(test_a_look_at_nothing_changes_nothing)
{
    jb_sub *latest = subscribe(bus, "a.>", JB_SUB_LATEST, JB_SUB_FROM_NOW);
    int latest_fd = fd_of(latest);
    jb_event event;

    publish_number(bus, "a.x", 1, 8);
    publish_number(bus, "a.x", 2, 8);
    ck_assert(is_readable(latest_fd, 5000));
    ck_assert_int_eq(jb_sub_peek(latest, &event, 1), 1);
    ck_assert_int_eq(jb_sub_peek(latest, NULL, 0), 0);
    ck_assert(is_readable(latest_fd, 0));
    ck_assert_uint_eq(number_of(&event), 1);
    ck_assert_int_eq(jb_sub_advance(latest), 0);
    ck_assert_int_eq(take_all(latest), 1);
    ck_assert(!is_readable(latest_fd, 0));
    ck_assert_int_eq(jb_sub_peek(latest, NULL, 0), 0);
    publish_number(bus, "a.x", 3, 8);
    ck_assert(is_readable(latest_fd, 5000));
    jb_sub_close(latest);
}
END_TEST

static void arm_and_tell(uint32_t policy, uint32_t flags)
{
    jb_sub_opts opts;
    jb_sub *one;

    jb_sub_opts_init(&opts, sizeof opts);
    opts.policy = policy;
    opts.flags = flags;
    ck_assert_int_eq(jb_bus_subscribe(bus, "a.>", 3, &opts, &one, NULL), 0);
    for (uint32_t i = 0; i < 100; i++) {
        jb_event_head head = {.topic_id = topic_of(bus, i % 3 ? "a.x" : "b.x"),
                              .type = JB_EVENT_CUSTOM,
                              .priority = i % 2 ? JB_PRIORITY_HIGH : JB_PRIORITY_NORMAL};
        bool is_wanted = i % 3;

        ck_assert(!is_readable(fd_of(one), 0));
        ck_assert_int_eq(jb_bus_publish(bus, &head, &i, sizeof i), 0);
        if (is_wanted)
            ck_assert(is_readable(fd_of(one), 5000));
        ck_assert_int_eq(take_all(one), is_wanted);
    }
    jb_sub_close(one);
}

START_TEST(test_it_serves_every_way_of_reading)
{
    arm_and_tell(JB_SUB_LOSSLESS, 0);
    arm_and_tell(JB_SUB_LOSSLESS, JB_SUB_HIGH_FIRST);
    arm_and_tell(JB_SUB_LATEST, 0);
    arm_and_tell(JB_SUB_CONFLATE, 0);
}
END_TEST

START_TEST(test_closing_one_that_waits)
{
    int copy = dup(fd);

    ck_assert(!is_readable(copy, 0));
    jb_sub_close(sub);
    ck_assert(is_readable(copy, 0));
    close(copy);
    ck_assert_uint_eq(sleepers(), 0);
    usleep(60000); /* the thread has nobody to look after now, and sleeps for ever */
    sub = subscribe(bus, "a.>", JB_SUB_CONFLATE, JB_SUB_FROM_NOW);
    fd = fd_of(sub);
    publish_number(bus, "a.x", 1, 8);
    publish_number(bus, "a.x", 2, 8);
    ck_assert(is_readable(fd, 5000));
    ck_assert_int_ge(take_all(sub), 1);
    ck_assert(!is_readable(fd, 0));
}
END_TEST

START_TEST(test_a_child_leaves_its_parents_descriptor_alone)
{
    pid_t pid = fork();

    if (pid == 0) {
        jb_event event;
        int none;
        bool is_good = jb_sub_fd(sub, &none) == JB_ESTATE &&
                       jb_sub_peek(sub, &event, 1) == JB_ESTATE && jb_sub_advance(sub) == JB_ESTATE;

        jb_sub_close(sub);
        jb_bus_close(bus);
        _exit(is_good ? 0 : 1);
    }
    join_child(pid);
    ck_assert(!is_readable(fd, 0));
    publish_number(bus, "a.x", 1, 8);
    ck_assert(is_readable(fd, 5000));
    ck_assert_int_eq(take_all(sub), 1);
}
END_TEST

/* Somebody dies between claim and commit; nobody but the watcher is there to find out. */
START_TEST(test_an_event_behind_a_claim_of_the_dead_arrives)
{
    pid_t pid = fork();

    if (pid == 0) {
        jb_event_head head = {.type = JB_EVENT_CUSTOM};
        jb_bus *other = NULL;
        jb_claim claim;

        if (jb_bus_attach(path, NULL, &other, NULL))
            _exit(1);
        head.topic_id = topic_of(other, "a.x");
        _exit(jb_bus_claim(other, &head, 8, &claim) ? 1 : 0);
    }
    join_child(pid);
    publish_number(bus, "a.x", 9, 8);
    ck_assert(is_readable(fd, 10000));
    while (take_all(sub) == 0)
        ck_assert(is_readable(fd, 10000));
}
END_TEST

START_TEST(test_one_that_was_evicted_is_told_of_the_next)
{
    jb_event events[8];
    jb_sub_opts opts;
    int rc;

    jb_sub_close(sub);
    jb_sub_opts_init(&opts, sizeof opts);
    opts.evict_after_ns = 1000000;
    ck_assert_int_eq(jb_bus_subscribe(bus, "a.>", 3, &opts, &sub, NULL), 0);
    fd = fd_of(sub);
    publish_number(bus, "a.x", 1, 8);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 1);
    for (int i = 0; i < 300; i++) {
        rc = publish_number(bus, "a.x", 2, 400);
        ck_assert(rc == 0 || rc == JB_EAGAIN);
        if (rc)
            usleep(20000);
    }
    ck_assert_int_eq(jb_sub_advance(sub), JB_EEVICTED);
    ck_assert(is_readable(fd, 0));
    ck_assert_int_gt(take_all(sub), 0);
    ck_assert(!is_readable(fd, 0));
    publish_number(bus, "a.x", 3, 8);
    ck_assert(is_readable(fd, 5000));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("watch");
    TCase *tc = suite_case(suite, "watch");

    tcase_add_checked_fixture(tc, open_all, close_all);
    tcase_add_test(tc, test_it_is_readable_from_the_event_until_nothing_is_left);
    tcase_add_test(tc, test_what_was_there_before_is_told);
    tcase_add_test(tc, test_any_process_wakes_it);
    tcase_add_test(tc, test_nobody_is_woken_for_one_that_is_readable);
    tcase_add_test(tc, test_unwanted_events_neither_wake_it_nor_hold_publishers_back);
    tcase_add_test(tc, test_a_stream_of_unwanted_events_wakes_nobody_each_time);
    tcase_add_test(tc, test_it_waits_beside_jb_sub_wait);
    tcase_add_test(tc, test_a_look_at_nothing_changes_nothing);
    tcase_add_test(tc, test_it_serves_every_way_of_reading);
    tcase_add_test(tc, test_closing_one_that_waits);
    tcase_add_test(tc, test_a_child_leaves_its_parents_descriptor_alone);
    tcase_add_test(tc, test_an_event_behind_a_claim_of_the_dead_arrives);
    tcase_add_test(tc, test_one_that_was_evicted_is_told_of_the_next);
    return suite_run(suite);
}
