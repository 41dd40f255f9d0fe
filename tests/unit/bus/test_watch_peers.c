/*
 * The descriptor of a subscription between processes: the reader waits with epoll in one of its
 * own, and the publisher counts what waking it costs.
 */
#include "bus/bus_internal.h"
#include "support/suite.h"

#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

static jb_bus *bus;
static char path[64];

/* A reader in a process of its own, one letter at a time: we give it orders, it gives answers. */
struct reader {
    pid_t pid;
    int orders;
    int answers;
};

static void open_bus(void)
{
    jb_bus_opts opts;

    snprintf(path, sizeof path, "/dev/shm/jimbot-test-watch-peers-%d", (int)getpid());
    jb_bus_opts_init(&opts, sizeof opts);
    opts.capacity_bytes = 131072;
    ck_assert_int_eq(jb_bus_create(path, &opts, &bus, NULL), 0);
}

static void close_bus(void)
{
    jb_bus_close(bus);
}

static uint64_t sleepers(void)
{
    return atomic_load(&bus->ring.control->sleepers[0]);
}

/* Every system call that a publisher makes to wake somebody is counted here. */
static uint32_t n_wakes(void)
{
    return jbi_ring_wake_word(&bus->ring);
}

static void wait_until_sleepers_are(bool any)
{
    for (int i = 0; i < 10000 && (sleepers() != 0) != any; i++)
        usleep(1000);
    ck_assert_int_eq(sleepers() != 0, any);
}

static void say(int to, char letter)
{
    if (write(to, &letter, 1) != 1)
        abort();
}

static char hear(int from)
{
    char letter = 0;

    return read(from, &letter, 1) == 1 ? letter : 0;
}

static bool waits_until_ready(int set, int timeout_ms)
{
    struct epoll_event ready;

    return epoll_wait(set, &ready, 1, timeout_ms) == 1;
}

static uint32_t take_all(jb_sub *sub)
{
    jb_event events[64];
    uint32_t n_all = 0;
    int n;

    while ((n = jb_sub_peek(sub, events, 64)) > 0) {
        n_all += (uint32_t)n;
        if (jb_sub_advance(sub))
            _exit(2);
    }
    if (n < 0)
        _exit(3);
    return n_all;
}

static int set_of(int fd)
{
    struct epoll_event want = {.events = EPOLLIN};
    int set = epoll_create1(0);

    if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &want))
        _exit(4);
    return set;
}

/* 'w': wait until it is readable; 't': take all, and it is readable no more; 'q': go. */
static void read_on_orders(int orders, int answers, uint32_t n_expected)
{
    jb_bus *own = NULL;
    jb_sub *sub = NULL;
    uint32_t n_taken = 0;
    int fd, set;
    char order;

    if (jb_bus_attach(path, NULL, &own, NULL) ||
        jb_bus_subscribe(own, "a.>", 3, NULL, &sub, NULL) || jb_sub_fd(sub, &fd))
        _exit(5);
    set = set_of(fd);
    say(answers, 'r');
    while ((order = hear(orders)) == 'w' || order == 't') {
        if (order == 'w' && !waits_until_ready(set, 10000))
            _exit(6);
        if (order == 't') {
            n_taken += take_all(sub);
            if (waits_until_ready(set, 0))
                _exit(7);
        }
        say(answers, order);
    }
    jb_sub_close(sub);
    jb_bus_close(own);
    _exit(n_taken == n_expected ? 0 : 8);
}

static struct reader reader_start(uint32_t n_expected)
{
    struct reader reader;
    int orders[2], answers[2];

    ck_assert_int_eq(pipe(orders), 0);
    ck_assert_int_eq(pipe(answers), 0);
    reader.pid = fork();
    if (reader.pid == 0) {
        close(orders[1]); /* so it goes when we do */
        read_on_orders(orders[0], answers[1], n_expected);
    }
    close(orders[0]);
    close(answers[1]);
    reader.orders = orders[1];
    reader.answers = answers[0];
    ck_assert_int_eq(hear(reader.answers), 'r');
    return reader;
}

static void reader_order(const struct reader *reader, char order)
{
    say(reader->orders, order);
    ck_assert_int_eq(hear(reader->answers), order);
}

static int reader_end(const struct reader *reader)
{
    int status;

    ck_assert_int_eq(waitpid(reader->pid, &status, 0), reader->pid);
    close(reader->orders);
    close(reader->answers);
    return status;
}

START_TEST(test_a_publisher_wakes_epoll_elsewhere_once_and_then_makes_no_call)
{
    struct reader reader = reader_start(2 * 501);

    for (uint32_t round = 0; round < 2; round++) {
        uint32_t before = n_wakes();

        wait_until_sleepers_are(true);
        ck_assert_int_eq(publish_number(bus, "a.x", 0, 8), 0);
        ck_assert_uint_eq(n_wakes(), before + 1);
        reader_order(&reader, 'w');
        wait_until_sleepers_are(false);
        before = n_wakes();
        for (uint64_t i = 0; i < 500; i++)
            ck_assert_int_eq(publish_number(bus, "a.x", i, 8), 0);
        ck_assert_uint_eq(n_wakes(), before);
        reader_order(&reader, 't');
    }
    say(reader.orders, 'q');
    ck_assert_int_eq(reader_end(&reader), 0);
    ck_assert_uint_eq(sleepers(), 0);
}
END_TEST

START_TEST(test_nobody_is_woken_where_nobody_asked_for_a_descriptor)
{
    jb_sub *sub = subscribe(bus, "a.>", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    uint32_t before = n_wakes();

    for (uint64_t i = 0; i < 500; i++)
        ck_assert_int_eq(publish_number(bus, "a.x", i, 8), 0);
    ck_assert_uint_eq(take_all(sub), 500);
    ck_assert_uint_eq(n_wakes(), before);
    jb_sub_close(sub);
}
END_TEST

/* Each reader has a handle, and so a thread, of its own. */
START_TEST(test_all_who_wait_are_woken)
{
    struct reader readers[3];

    for (int i = 0; i < 3; i++)
        readers[i] = reader_start(1);
    ck_assert_int_eq(publish_number(bus, "a.x", 1, 8), 0);
    for (int i = 0; i < 3; i++) {
        reader_order(&readers[i], 'w');
        reader_order(&readers[i], 't');
        say(readers[i].orders, 'q');
        ck_assert_int_eq(reader_end(&readers[i]), 0);
    }
    ck_assert_uint_eq(sleepers(), 0);
}
END_TEST

/* It leaves its bit behind until somebody finds it dead. */
START_TEST(test_one_that_dies_armed_holds_up_nobody)
{
    struct reader reader = reader_start(0);
    jb_bus *other = NULL;

    ck_assert_uint_ne(sleepers(), 0);
    kill(reader.pid, SIGKILL);
    ck_assert_int_eq(WTERMSIG(reader_end(&reader)), SIGKILL);
    ck_assert_int_eq(publish_number(bus, "a.x", 1, 8), 0);
    ck_assert_int_eq(jb_bus_attach(path, NULL, &other, NULL), 0);
    ck_assert_uint_eq(sleepers(), 0);
    jb_bus_close(other);
}
END_TEST

enum { N_SUBS = 5, N_EVENTS = 4000, N_PUBLISHERS = 2 };

static void publish_many(unsigned seed)
{
    jb_bus *own = NULL;

    if (jb_bus_attach(path, NULL, &own, NULL))
        _exit(1);
    for (uint64_t i = 0; i < N_EVENTS; i++) {
        while (publish_number(own, "a.x", i, 8 + (size_t)rand_r(&seed) % 200) == JB_EAGAIN)
            usleep(50);
        if (rand_r(&seed) % 8 == 0)
            usleep((useconds_t)rand_r(&seed) % 200);
    }
    jb_bus_close(own);
    _exit(0);
}

/* Takes a little at a time from whichever is ready, by level or by edge, until all have all. */
static void read_all(jb_sub *const subs[N_SUBS], uint32_t how)
{
    int set = epoll_create1(0), left = N_SUBS * N_PUBLISHERS * N_EVENTS;

    for (uint32_t i = 0; i < N_SUBS; i++) {
        struct epoll_event want = {.events = EPOLLIN | how, .data.u32 = i};
        int fd;

        ck_assert_int_eq(jb_sub_fd(subs[i], &fd), 0);
        ck_assert_int_eq(epoll_ctl(set, EPOLL_CTL_ADD, fd, &want), 0);
    }
    while (left > 0) {
        struct epoll_event ready[N_SUBS];
        int n = epoll_wait(set, ready, N_SUBS, 10000);

        ck_assert_msg(n > 0, "slept through an event: %d left", left);
        for (int i = 0; i < n; i++) {
            jb_sub *sub = subs[ready[i].data.u32];
            jb_event events[16];

            if (how & EPOLLET) {
                left -= (int)take_all(sub);
                continue;
            }
            left -= jb_sub_peek(sub, events, 16);
            ck_assert_int_eq(jb_sub_advance(sub), 0);
        }
    }
    ck_assert_int_eq(left, 0);
    close(set);
}

/* Several subscriptions of one handle, and so one thread for all. */
START_TEST(test_no_event_is_slept_through)
{
    pid_t pids[N_PUBLISHERS];
    jb_sub *subs[N_SUBS];
    int status;

    for (int i = 0; i < N_SUBS; i++)
        subs[i] = subscribe(bus, "a.>", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    for (unsigned i = 0; i < N_PUBLISHERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            publish_many(i + 1);
    }
    read_all(subs, _i ? EPOLLET : 0);
    for (int i = 0; i < N_PUBLISHERS; i++) {
        ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
        ck_assert_int_eq(status, 0);
    }
    for (int i = 0; i < N_SUBS; i++)
        jb_sub_close(subs[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("watch-peers");
    TCase *tc = suite_case(suite, "watch-peers");

    tcase_add_checked_fixture(tc, open_bus, close_bus);
    tcase_add_test(tc, test_a_publisher_wakes_epoll_elsewhere_once_and_then_makes_no_call);
    tcase_add_test(tc, test_nobody_is_woken_where_nobody_asked_for_a_descriptor);
    tcase_add_test(tc, test_all_who_wait_are_woken);
    tcase_add_test(tc, test_one_that_dies_armed_holds_up_nobody);
    tcase_add_loop_test(tc, test_no_event_is_slept_through, 0, 2);
    return suite_run(suite);
}
