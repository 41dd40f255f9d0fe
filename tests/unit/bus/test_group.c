/*
 * Consumer groups: each event to one worker, until it is acknowledged, or counted as gone.
 */
#include "support/suite.h"

#include <stdio.h>
#include <time.h>

#define MS UINT64_C(1000000)

static jb_bus *bus;

static void set_up(void)
{
    bus = small_bus();
}

static void tear_down(void)
{
    jb_bus_close(bus);
}

static jb_worker *join_with(const jb_group_opts *opts)
{
    jb_worker *worker = NULL;
    jb_error err;

    ck_assert_msg(jb_group_join(bus, "g", "a.>", 3, opts, &worker, &err) == 0, "%s", err.msg);
    return worker;
}

static jb_worker *join(void)
{
    return join_with(NULL);
}

static void publish(uint64_t first, uint64_t n)
{
    for (uint64_t i = first; i < first + n; i++)
        ck_assert_int_eq(publish_number(bus, "a.b", i, 8), 0);
}

/* Takes exactly n events, which carry first, first + 1 … */
static void take(jb_worker *worker, jb_event *events, int n, uint64_t first, uint32_t n_deliveries)
{
    ck_assert_int_eq(jb_worker_take(worker, events, (uint32_t)n), n);
    for (int i = 0; i < n; i++) {
        ck_assert_uint_eq(number_of(&events[i]), first + (uint64_t)i);
        ck_assert_uint_eq(events[i].n_deliveries, n_deliveries);
    }
}

static jb_group_stats stats_of_group(void)
{
    jb_group_stats stats = {.size = sizeof stats};

    ck_assert_int_eq(jb_bus_group_stats(bus, 0, &stats), 0);
    ck_assert_str_eq(stats.name, "g");
    ck_assert_str_eq(stats.pattern, "a.>");
    ck_assert_uint_eq(stats.n_delivered, stats.n_acked + stats.n_lost + stats.n_pending);
    return stats;
}

START_TEST(test_each_event_goes_to_one_worker)
{
    jb_worker *one = join(), *two = join();
    jb_event events[8];

    publish(0, 6);
    take(one, events, 2, 0, 1);
    take(two, events, 3, 2, 1);
    take(one, events, 1, 5, 1);
    ck_assert_int_eq(jb_worker_take(two, events, 8), 0);
    ck_assert_uint_eq(stats_of_group().n_pending, 6);
    ck_assert_int_eq(jb_worker_ack_all(one), 3);
    ck_assert_int_eq(jb_worker_ack_all(two), 3);
    ck_assert_uint_eq(stats_of_group().n_acked, 6);
    ck_assert_uint_eq(stats_of_group().n_workers, 2);
    jb_worker_leave(one);
    jb_worker_leave(two);
}
END_TEST

START_TEST(test_other_topics_are_filtered)
{
    jb_worker *worker = join();
    jb_event events[8];

    publish(0, 1);
    ck_assert_int_eq(publish_number(bus, "b.a", 77, 8), 0);
    publish(1, 1);
    take(worker, events, 2, 0, 1);
    ck_assert_uint_eq(stats_of_group().n_filtered, 1);
    jb_worker_leave(worker);
}
END_TEST

START_TEST(test_what_is_acknowledged_is_gone_for_good)
{
    jb_worker *worker = join();
    jb_event events[4];

    publish(0, 4);
    take(worker, events, 4, 0, 1);
    ck_assert_int_eq(jb_worker_ack(worker, events[2].sequence), 0);
    ck_assert_int_eq(jb_worker_ack(worker, events[2].sequence), JB_ESTATE);
    ck_assert_int_eq(jb_worker_nack(worker, events[2].sequence), JB_ESTATE);
    ck_assert_int_eq(jb_worker_ack(worker, 999), JB_ESTATE);
    jb_worker_leave(worker);
    worker = join();
    ck_assert_int_eq(jb_worker_take(worker, events, 4), 3);
    ck_assert_uint_eq(number_of(&events[2]), 3);
    ck_assert_int_eq(jb_worker_ack_all(worker), 3);
    ck_assert_uint_eq(stats_of_group().n_redelivered, 3);
    ck_assert_uint_eq(stats_of_group().n_acked, 4);
    jb_worker_leave(worker);
}
END_TEST

START_TEST(test_what_is_given_back_goes_to_another)
{
    jb_worker *one = join(), *two = join();
    jb_event events[4];

    publish(0, 3);
    take(one, events, 3, 0, 1);
    ck_assert_int_eq(jb_worker_nack(one, events[1].sequence), 0);
    ck_assert_int_eq(jb_worker_wait(two, 0), 1);
    take(two, events, 1, 1, 2);
    ck_assert_int_eq(jb_worker_ack(one, events[0].sequence), JB_ESTATE);
    ck_assert_int_eq(jb_worker_ack(two, events[0].sequence), 0);
    ck_assert_int_eq(jb_worker_ack_all(one), 2);
    jb_worker_leave(two);
    jb_worker_leave(one);
}
END_TEST

START_TEST(test_a_group_waits_for_its_next_worker)
{
    jb_worker *worker = join();
    jb_event events[4];

    publish(0, 2);
    take(worker, events, 1, 0, 1);
    jb_worker_leave(worker);
    publish(2, 1);
    worker = join();
    ck_assert_int_eq(jb_worker_take(worker, events, 4), 3);
    ck_assert_uint_eq(events[0].n_deliveries, 2);
    ck_assert_uint_eq(events[1].n_deliveries, 1);
    ck_assert_uint_eq(number_of(&events[2]), 2);
    jb_worker_leave(worker);
}
END_TEST

START_TEST(test_a_group_holds_publishers_back_from_its_oldest_pending_event)
{
    jb_worker *worker = join();
    jb_event events[4];
    int n = 0;

    publish(0, 2);
    take(worker, events, 2, 0, 1);
    ck_assert_int_eq(jb_worker_ack(worker, events[1].sequence), 0);
    while (publish_number(bus, "b.b", 1, 1000) == 0)
        n++;
    ck_assert_int_gt(n, 32);
    ck_assert_int_eq(publish_number(bus, "b.b", 1, 1000), JB_EAGAIN);
    ck_assert_uint_eq(number_of(&events[0]), 0);
    ck_assert_int_eq(jb_worker_take(worker, events + 1, 1), 0);
    ck_assert_int_eq(publish_number(bus, "b.b", 1, 1000), JB_EAGAIN);
    ck_assert_int_eq(jb_worker_ack(worker, events[0].sequence), 0);
    ck_assert_int_eq(publish_number(bus, "b.b", 1, 1000), 0);
    ck_assert_uint_eq(stats_of_group().is_holding, 1);
    jb_worker_leave(worker);
}
END_TEST

/* Laps of the ring with no worker: nobody is held back for more than the time between two looks. */
static void publish_past_the_group(uint64_t first, uint64_t n)
{
    for (uint64_t i = first; i < first + n; i++) {
        while (publish_number(bus, "a.b", i, 1000) == JB_EAGAIN)
            ck_assert_int_eq(jb_bus_wait_space(bus, 1000, 2000 * MS), 0);
    }
}

START_TEST(test_without_a_worker_it_holds_nobody_back_and_counts_what_it_loses)
{
    jb_worker *worker = join();
    jb_group_stats stats;
    jb_event events[64];
    int n;

    publish(0, 5);
    take(worker, events, 3, 0, 1);
    ck_assert_int_eq(jb_worker_ack(worker, events[0].sequence), 0);
    jb_worker_leave(worker);
    publish_past_the_group(5, 200);
    ck_assert_uint_eq(stats_of_group().is_holding, 0);
    worker = join();
    stats = stats_of_group();
    ck_assert_uint_eq(stats.is_holding, 1);
    ck_assert_uint_eq(stats.n_acked, 1);
    ck_assert_uint_eq(stats.n_lost, 2);
    ck_assert_uint_eq(stats.n_pending, 0);
    n = jb_worker_take(worker, events, 64);
    ck_assert_int_gt(n, 30);
    ck_assert_uint_eq(events[0].n_missed, stats.n_missed);
    ck_assert_uint_eq(events[0].sequence, 3 + stats.n_missed + 1);
    ck_assert_uint_eq(number_of(&events[n - 1]), 204);
    stats = stats_of_group();
    ck_assert_uint_eq(stats.n_delivered + stats.n_filtered + stats.n_missed,
                      events[n - 1].sequence);
    jb_worker_leave(worker);
}
END_TEST

START_TEST(test_a_living_worker_is_evicted_when_the_group_says_so)
{
    jb_group_opts opts;
    jb_worker *worker;
    jb_event events[64];
    jb_group_stats stats;

    jb_group_opts_init(&opts, sizeof opts);
    opts.evict_after_ns = 20 * MS;
    worker = join_with(&opts);
    publish(0, 3);
    take(worker, events, 2, 0, 1);
    publish_past_the_group(3, 200);
    ck_assert_int_gt(jb_worker_take(worker, events + 8, 1), 0);
    ck_assert_int_eq(jb_worker_ack(worker, events[0].sequence), JB_EEVICTED);
    ck_assert_int_eq(jb_worker_ack(worker, events[0].sequence), JB_ESTATE);
    stats = stats_of_group();
    ck_assert_uint_eq(stats.n_lost, 2);
    ck_assert_uint_eq(events[8].sequence, 2 + stats.n_missed + 1);
    ck_assert_int_eq(jb_worker_ack_all(worker), 1);
    jb_worker_leave(worker);
}
END_TEST

START_TEST(test_a_slow_worker_loses_its_event_to_another_after_the_timeout)
{
    jb_group_opts opts;
    jb_worker *slow, *other;
    jb_event events[4];
    struct timespec pause = {.tv_nsec = 30 * (long)MS};

    jb_group_opts_init(&opts, sizeof opts);
    opts.ack_timeout_ns = 20 * MS;
    slow = join_with(&opts);
    other = join();
    publish(0, 1);
    take(slow, events, 1, 0, 1);
    ck_assert_int_eq(jb_worker_take(other, events + 1, 1), 0);
    nanosleep(&pause, NULL);
    take(other, events + 1, 1, 0, 2);
    ck_assert_int_eq(jb_worker_ack(slow, events[0].sequence), JB_ETIMEDOUT);
    ck_assert_int_eq(jb_worker_ack(other, events[0].sequence), 0);
    jb_worker_leave(slow);
    jb_worker_leave(other);
}
END_TEST

START_TEST(test_at_most_so_many_events_are_pending)
{
    jb_worker *worker = join();
    static jb_event events[JB_GROUP_PENDING_MAX];
    int n = 0, got;

    for (int i = 0; i < JB_GROUP_PENDING_MAX + 10; i++)
        ck_assert_int_eq(publish_number(bus, "a.b", (uint64_t)i, 8), i < 1024 ? 0 : JB_EAGAIN);
    while ((got = jb_worker_take(worker, events + n, 100)) > 0)
        n += got;
    ck_assert_int_eq(n, 1024);
    ck_assert_int_eq(jb_worker_wait(worker, MS), 0);
    for (int i = n - 1; i >= 0; i--)
        ck_assert_int_eq(jb_worker_ack(worker, events[i].sequence), 0);
    publish(0, 1);
    take(worker, events, 1, 0, 1);
    jb_worker_leave(worker);
}
END_TEST

START_TEST(test_events_of_a_batch_are_taken_one_by_one)
{
    jb_event_head heads[3];
    uint64_t numbers[3] = {0, 1, 2};
    const void *payloads[3] = {&numbers[0], &numbers[1], &numbers[2]};
    const uint32_t lens[3] = {8, 8, 8};
    jb_worker *one = join(), *two = join();
    jb_event events[3];

    memset(heads, 0, sizeof heads);
    for (int i = 0; i < 3; i++)
        heads[i].topic_id = topic_of(bus, "a.b");
    ck_assert_int_eq(jb_bus_publish_batch(bus, heads, payloads, lens, 3), 0);
    take(one, events, 1, 0, 1);
    take(two, events, 1, 1, 1);
    jb_worker_leave(two);
    take(one, events, 1, 1, 2);
    take(one, events, 1, 2, 1);
    ck_assert_int_eq(jb_worker_ack_all(one), 3);
    jb_worker_leave(one);
}
END_TEST

START_TEST(test_bad_arguments_are_refused)
{
    jb_worker *worker = join(), *none = NULL;
    jb_error err;
    jb_event event;

    ck_assert_int_eq(jb_group_join(bus, "g", "b.>", 3, NULL, &none, &err), JB_EINVAL);
    ck_assert_ptr_nonnull(strstr(err.msg, "a.>"));
    ck_assert_int_eq(jb_group_join(bus, "", "b.>", 3, NULL, &none, NULL), JB_EINVAL);
    ck_assert_int_eq(jb_group_join(bus, "a b", "b.>", 3, NULL, &none, NULL), JB_EINVAL);
    ck_assert_int_eq(jb_group_join(bus, "h", "b..", 3, NULL, &none, NULL), JB_EINVAL);
    ck_assert_int_eq(
        jb_group_join(bus, "0123456789012345678901234567890123", "b", 1, NULL, &none, NULL),
        JB_EINVAL);
    ck_assert_int_eq(jb_worker_take(worker, NULL, 1), JB_EINVAL);
    ck_assert_int_eq(jb_worker_take(worker, &event, 0), 0);
    ck_assert_int_eq(jb_group_remove(bus, "nobody"), JB_ENOENT);
    ck_assert_int_eq(jb_group_remove(bus, "g"), JB_ESTATE);
    jb_worker_leave(worker);
    jb_worker_leave(NULL);
}
END_TEST

START_TEST(test_a_removed_group_leaves_its_room)
{
    jb_worker *worker;
    char name[8];
    jb_event event;

    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "n%d", i);
        ck_assert_int_eq(jb_group_join(bus, name, ">", 1, NULL, &worker, NULL), 0);
        publish(5, 1);
        ck_assert_int_eq(jb_worker_take(worker, &event, 1), 1);
        jb_worker_leave(worker);
        ck_assert_int_eq(jb_group_remove(bus, name), 0);
    }
    /* Seven more subscriptions than one group's are left, and eight groups fit. */
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "n%d", i);
        ck_assert_int_eq(jb_group_join(bus, name, ">", 1, NULL, &worker, NULL), 0);
        jb_worker_leave(worker);
    }
    ck_assert_int_eq(jb_group_join(bus, "n8", ">", 1, NULL, &worker, NULL), JB_ELIMIT);
}
END_TEST

START_TEST(test_a_group_that_nobody_could_join_was_not_made)
{
    jb_group_stats stats = {.size = sizeof stats};
    jb_worker *worker = NULL;
    jb_sub *subs[8];

    for (int i = 0; i < 8; i++)
        subs[i] = subscribe(bus, "b.>", JB_SUB_LATEST, JB_SUB_FROM_NOW);
    ck_assert_int_eq(jb_group_join(bus, "g", "a.>", 3, NULL, &worker, NULL), JB_ELIMIT);
    ck_assert_int_eq(jb_bus_group_stats(bus, 0, &stats), JB_ENOENT);
    for (int i = 0; i < 8; i++)
        jb_sub_close(subs[i]);
    jb_worker_leave(join());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group");
    TCase *tc = suite_case(suite, "group");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, test_each_event_goes_to_one_worker);
    tcase_add_test(tc, test_other_topics_are_filtered);
    tcase_add_test(tc, test_what_is_acknowledged_is_gone_for_good);
    tcase_add_test(tc, test_what_is_given_back_goes_to_another);
    tcase_add_test(tc, test_a_group_waits_for_its_next_worker);
    tcase_add_test(tc, test_a_group_holds_publishers_back_from_its_oldest_pending_event);
    tcase_add_test(tc, test_without_a_worker_it_holds_nobody_back_and_counts_what_it_loses);
    tcase_add_test(tc, test_a_living_worker_is_evicted_when_the_group_says_so);
    tcase_add_test(tc, test_a_slow_worker_loses_its_event_to_another_after_the_timeout);
    tcase_add_test(tc, test_at_most_so_many_events_are_pending);
    tcase_add_test(tc, test_events_of_a_batch_are_taken_one_by_one);
    tcase_add_test(tc, test_bad_arguments_are_refused);
    tcase_add_test(tc, test_a_removed_group_leaves_its_room);
    tcase_add_test(tc, test_a_group_that_nobody_could_join_was_not_made);
    return suite_run(suite);
}
