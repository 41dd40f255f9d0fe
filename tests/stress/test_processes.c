/*
 * The bus between processes that die: real processes, real SIGKILL.
 *
 * Invariant tested: whatever dies wherever, the others go on, and every event whose publish()
 * returned is read once, in its publisher's order.
 */
#include "support/suite.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static char name[64];

static jb_bus *open_bus(void)
{
    jb_bus_opts opts;

    jb_bus_opts_init(&opts, sizeof opts);
    opts.capacity_bytes = 1 << 20;
    opts.max_peers = 16;
    opts.max_subs = 8;
    return open_named_bus(name, &opts);
}

static void fresh_name(void)
{
    snprintf(name, sizeof name, "test-stress-%d", (int)getpid());
    jb_bus_unlink(name, NULL);
}

static void remove_name(void)
{
    jb_bus_unlink(name, NULL);
}

/* Runs until it has published n_events or is killed. Each event carries (producer << 40 |
 * count). It asserts nothing by itself: check keeps what a test says in a file that the processes
 * share, and who is killed while writing there spoils it for the parent. */
static void produce(uint64_t producer, uint64_t n_events)
{
    jb_bus *bus = open_bus();
    jb_event_head head = {.topic_id = topic_of(bus, "stress.x"), .type = JB_EVENT_CUSTOM};
    uint64_t limit_ns = jb_clock_now_ns() + UINT64_C(50000000000);
    uint8_t bytes[1024] = {0};

    for (uint64_t i = 0; i < n_events; i++) {
        uint64_t number = producer << 40 | i;

        memcpy(bytes, &number, sizeof number);
        while (jb_bus_publish(bus, &head, bytes, 8 + (i * 37 + producer) % 900) == JB_EAGAIN) {
            if (jb_clock_now_ns() > limit_ns)
                _exit(3);
            usleep(20);
        }
    }
    jb_bus_close(bus);
    _exit(0);
}

static pid_t start_producer(uint64_t producer, uint64_t n_events)
{
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        end_with_parent();
        produce(producer, n_events);
    }
    return pid;
}

struct books {
    uint64_t n_read;
    uint64_t sequence;
    uint64_t next[64];
};

/* Read everything there is; fails on any gap, repetition or disorder. Returns how many. */
static int read_all(jb_sub *sub, struct books *books)
{
    jb_event events[256];
    int n = jb_sub_peek(sub, events, 256);

    ck_assert_int_ge(n, 0);
    for (int i = 0; i < n; i++) {
        uint64_t producer = number_of(&events[i]) >> 40,
                 number = number_of(&events[i]) & 0xffffffffff;

        must(producer < 64);
        must(events[i].n_missed == 0);
        must(number == books->next[producer]++);
        must(events[i].sequence > books->sequence); /* notices of deaths have numbers too */
        books->sequence = events[i].sequence;
        books->n_read++;
        must(events[i].len_bytes == 8 + (number * 37 + producer) % 900);
    }
    ck_assert_int_eq(jb_sub_advance(sub), 0);
    return n;
}

START_TEST(test_two_producers_one_reader)
{
    enum { N = 150000 };
    jb_bus *bus = open_bus();
    jb_sub *sub = subscribe(bus, "stress.>", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    struct books books = {0};
    int status;

    start_producer(1, N);
    start_producer(2, N);
    while (books.n_read < 2 * N) {
        ck_assert_int_eq(jb_sub_wait(sub, UINT64_C(20000000000)), 1);
        read_all(sub, &books);
    }
    for (int i = 0; i < 2; i++) {
        wait(&status);
        ck_assert_int_eq(status, 0);
    }
    jb_sub_close(sub);
    jb_bus_close(bus);
}
END_TEST

START_TEST(test_killed_producers_leave_no_hole)
{
    enum { N_KILLS = 40 };
    jb_bus *bus = open_bus();
    jb_sub *sub = subscribe(bus, "stress.>", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    jb_bus_stats stats = {.size = sizeof stats};
    struct books books = {0};
    pid_t steady = start_producer(0, 400000);
    int status;

    for (uint64_t i = 1; i <= N_KILLS; i++) {
        pid_t victim = start_producer(i, UINT64_MAX >> 30);
        uint64_t until = jb_clock_now_ns() + 5000000 + i * 1000003 % 20000000;

        while (jb_clock_now_ns() < until)
            read_all(sub, &books);
        kill(victim, SIGKILL);
        waitpid(victim, &status, 0);
    }
    while (waitpid(steady, &status, WNOHANG) == 0)
        read_all(sub, &books);
    ck_assert_int_eq(status, 0);
    while (jb_sub_wait(sub, 200000000) > 0)
        read_all(sub, &books);
    ck_assert_uint_eq(books.next[0], 400000);
    jb_bus_get_stats(bus, &stats);
    /* A kill between commit and its counter leaves the counter one behind; a kill between claim and
     * commit has a notice published, which counts and is not read here. */
    ck_assert_uint_le(stats.n_published, books.n_read + N_KILLS);
    ck_assert_uint_le(books.n_read, stats.n_published + N_KILLS);
    jb_sub_close(sub);
    jb_bus_close(bus);
}
END_TEST

START_TEST(test_a_death_between_claim_and_commit_is_stepped_over)
{
    jb_bus *bus = open_bus();
    jb_sub *sub = subscribe(bus, "stress.>", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    jb_sub *told = subscribe(bus, "system.bus.orphan", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    jb_event events[16];
    int n_told;
    jb_bus_stats stats = {.size = sizeof stats};
    struct books books = {0};
    int status;

    for (int i = 0; i < 10; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            jb_bus *own = open_bus();
            jb_event_head head = {.topic_id = topic_of(own, "stress.x"), .type = JB_EVENT_CUSTOM};
            jb_claim claim;

            _exit(jb_bus_claim(own, &head, 1000, &claim) != 0);
        }
        waitpid(pid, &status, 0);
        ck_assert_int_eq(status, 0);
        ck_assert_int_eq(publish_number(bus, "stress.x", (uint64_t)i, 8 + (uint64_t)i * 37 % 900),
                         0);
    }
    while (books.n_read < 10) {
        ck_assert_int_eq(jb_sub_wait(sub, UINT64_C(5000000000)), 1);
        read_all(sub, &books);
    }
    /* Each death is told once: by who found the claim, or in the counters by who took the place. */
    n_told = jb_sub_peek(told, events, 16);
    ck_assert_int_ge(n_told, 1);
    ck_assert_int_le(n_told, 10);
    jb_bus_get_stats(bus, &stats);
    ck_assert_uint_eq(stats.n_published, 10 + (uint64_t)n_told);
    ck_assert_uint_eq(stats.n_aborted, 10);
    jb_sub_close(told);
    jb_sub_close(sub);
    jb_bus_close(bus);
}
END_TEST

START_TEST(test_a_killed_lossless_reader_stops_holding_back)
{
    jb_bus *bus = open_bus();
    int pipes[2], status;
    char byte;
    pid_t reader;
    uint64_t n = 0;

    ck_assert_int_eq(pipe(pipes), 0);
    reader = fork();
    if (reader == 0) {
        subscribe(open_bus(), "stress.>", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
        if (write(pipes[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    ck_assert_int_eq((int)read(pipes[0], &byte, 1), 1);
    while (publish_number(bus, "stress.x", n, 1000) == 0)
        ck_assert_uint_lt(n++, 5000);
    kill(reader, SIGSTOP);
    usleep(30000);
    ck_assert_int_eq(publish_number(bus, "stress.x", n, 1000), JB_EAGAIN);
    kill(reader, SIGKILL);
    waitpid(reader, &status, 0);
    ck_assert_int_eq(jb_bus_wait_space(bus, 1000, UINT64_C(5000000000)), 0);
    ck_assert_int_eq(publish_number(bus, "stress.x", n, 1000), 0);
    jb_bus_close(bus);
}
END_TEST

START_TEST(test_a_stopped_publisher_is_not_robbed)
{
    jb_bus *bus = open_bus();
    jb_sub *sub = subscribe(bus, "stress.>", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    int pipes[2], status;
    jb_event event;
    char byte;
    pid_t pid;

    ck_assert_int_eq(pipe(pipes), 0);
    pid = fork();
    if (pid == 0) {
        jb_bus *own = open_bus();
        jb_event_head head = {.topic_id = topic_of(own, "stress.x"), .type = JB_EVENT_CUSTOM};
        uint64_t number = 77;
        jb_claim claim;
        int rc = jb_bus_claim(own, &head, 8, &claim);

        if (write(pipes[1], "x", 1) != 1)
            _exit(1);
        raise(SIGSTOP);
        memcpy(claim.payload, &number, 8);
        _exit(rc || jb_bus_commit(own, &claim, 8));
    }
    ck_assert_int_eq((int)read(pipes[0], &byte, 1), 1);
    ck_assert_int_eq(publish_number(bus, "stress.x", 78, 8), 0);
    ck_assert_int_eq(jb_sub_wait(sub, 300000000), 0);
    kill(pid, SIGCONT);
    waitpid(pid, &status, 0);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(jb_sub_wait(sub, 300000000), 1);
    ck_assert_int_eq(jb_sub_peek(sub, &event, 1), 1);
    ck_assert_uint_eq(number_of(&event), 77);
    jb_sub_close(sub);
    jb_bus_close(bus);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("processes");
    TCase *tc = suite_case(suite, "processes");

    tcase_add_checked_fixture(tc, fresh_name, remove_name);
    tcase_add_test(tc, test_two_producers_one_reader);
    tcase_add_test(tc, test_killed_producers_leave_no_hole);
    tcase_add_test(tc, test_a_death_between_claim_and_commit_is_stepped_over);
    tcase_add_test(tc, test_a_killed_lossless_reader_stops_holding_back);
    tcase_add_test(tc, test_a_stopped_publisher_is_not_robbed);
    return suite_run(suite);
}
