/*
 * Who is evicted, and who is not: one who is not in the way, whatever the dead in his
 * neighbourhood; and one who has just come back has all his time again.
 */
#include "support/suite.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS UINT64_C(1000000)

enum { EVENT_BYTES = 224, EVENTS_PER_LAP = 65536 / 256, CHECK_US = 11000 };

static char name[64];
static jb_bus *bus;

static jb_bus *open_bus(void)
{
    jb_bus_opts opts;

    small_bus_opts(&opts);
    return open_named_bus(name, &opts);
}

static void make_bus(void)
{
    snprintf(name, sizeof name, "test-evict-%d", (int)getpid());
    jb_bus_unlink(name, NULL);
    bus = open_bus();
}

static void drop_bus(void)
{
    jb_bus_close(bus);
}

static jb_sub *subscribe_to_be_evicted(uint64_t evict_after_ns)
{
    jb_sub_opts opts;
    jb_sub *sub = NULL;

    jb_sub_opts_init(&opts, sizeof opts);
    opts.evict_after_ns = evict_after_ns;
    ck_assert_int_eq(jb_bus_subscribe(bus, "a.>", 3, &opts, &sub, NULL), 0);
    return sub;
}

static uint64_t n_evicted(const jb_sub *sub)
{
    jb_sub_stats stats = {.size = sizeof stats};

    ck_assert_int_eq(jb_sub_get_stats(sub, &stats), 0);
    return stats.n_evicted;
}

static void publish_all(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        ck_assert_int_eq(publish_number(bus, "a.b", i, EVENT_BYTES), 0);
}

/* A reader of everything from the oldest event on that has died. */
static void leave_a_dead_reader(void)
{
    pid_t pid = fork();
    int status;

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        (void)subscribe(open_bus(), "a.>", JB_SUB_LOSSLESS, JB_SUB_FROM_OLDEST);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}

/* Twice a dead one is in the way, long after each other, and the next behind it is alive and
 * idle. */
START_TEST(test_one_who_is_not_in_the_way_is_not_evicted)
{
    jb_sub *idle = subscribe_to_be_evicted(30 * MS);
    jb_event events[EVENTS_PER_LAP / 4];

    publish_all(EVENTS_PER_LAP / 4);
    ck_assert_int_eq(jb_sub_peek(idle, events, EVENTS_PER_LAP / 4), EVENTS_PER_LAP / 4);
    ck_assert_int_eq(jb_sub_advance(idle), 0);
    leave_a_dead_reader();
    publish_all(EVENTS_PER_LAP * 3 / 4 + 1);
    usleep(50000);
    leave_a_dead_reader();
    publish_all(EVENTS_PER_LAP / 8);
    ck_assert_int_gt(jb_sub_peek(idle, events, 4), 0);
    ck_assert_uint_eq(n_evicted(idle), 0);
    jb_sub_close(idle);
}
END_TEST

/* Another stands at the same place and keeps it. */
START_TEST(test_one_who_came_back_has_his_time_again)
{
    jb_sub *stuck = subscribe_to_be_evicted(200 * MS);
    jb_sub *keeper = subscribe(bus, "a.>", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    jb_event events[8];
    int rc;

    publish_all(EVENTS_PER_LAP);
    do {
        ck_assert_int_eq(jb_sub_peek(stuck, events, 8), 8);
        for (int i = 0; i < 25; i++) {
            ck_assert_int_eq(publish_number(bus, "a.b", 0, EVENT_BYTES), JB_EAGAIN);
            usleep(CHECK_US);
        }
        rc = jb_sub_advance(stuck);
    } while (rc == 0);
    ck_assert_int_eq(rc, JB_EEVICTED);
    ck_assert_int_eq(jb_sub_peek(stuck, events, 8), 8);
    for (int i = 0; i < 2; i++) {
        usleep(CHECK_US);
        ck_assert_int_eq(publish_number(bus, "a.b", 0, EVENT_BYTES), JB_EAGAIN);
    }
    ck_assert_int_eq(jb_sub_advance(stuck), 0);
    ck_assert_uint_eq(n_evicted(stuck), 1);
    jb_sub_close(keeper);
    jb_sub_close(stuck);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("evict");
    TCase *tc = suite_case(suite, "evict");

    tcase_add_checked_fixture(tc, make_bus, drop_bus);
    tcase_add_test(tc, test_one_who_is_not_in_the_way_is_not_evicted);
    tcase_add_test(tc, test_one_who_came_back_has_his_time_again);
    return suite_run(suite);
}
