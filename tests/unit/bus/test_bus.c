/*
 * The bus through its public face: order, policies, missed counts, batches, waiting, statistics.
 */
#include "support/suite.h"

#include <pthread.h>
#include <unistd.h>

static jb_bus *bus;

static void make_bus(void)
{
    bus = small_bus();
}

static void drop_bus(void)
{
    jb_bus_close(bus);
}

START_TEST(test_a_subscription_gets_what_it_asked_for_in_order)
{
    jb_sub *sub = subscribe(bus, "game.*.changed", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    jb_sub_stats stats = {.size = sizeof stats};
    jb_event events[8];

    ck_assert_int_eq(publish_number(bus, "game.money.changed", 1, 8), 0);
    ck_assert_int_eq(publish_number(bus, "game.start", 2, 8), 0);
    ck_assert_int_eq(publish_number(bus, "game.score.changed", 3, 8), 0);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 2);
    ck_assert_uint_eq(number_of(&events[0]), 1);
    ck_assert_uint_eq(number_of(&events[1]), 3);
    ck_assert_uint_eq(events[1].sequence, 3);
    ck_assert_uint_eq(events[0].topic_id, topic_of(bus, "game.money.changed"));
    ck_assert_int_eq(jb_sub_peek(sub, events, 1), 1);
    ck_assert_uint_eq(number_of(&events[0]), 1);
    ck_assert_int_eq(jb_sub_advance(sub), 0);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 1);
    ck_assert_int_eq(jb_sub_advance(sub), 0);
    ck_assert_int_eq(jb_sub_get_stats(sub, &stats), 0);
    ck_assert_uint_eq(stats.n_delivered, 2);
    ck_assert_uint_eq(stats.n_filtered, 1);
    ck_assert_uint_eq(stats.n_missed, 0);
    ck_assert_str_eq(stats.pattern, "game.*.changed");
    jb_sub_close(sub);
}
END_TEST

START_TEST(test_advance_n_takes_only_the_first)
{
    jb_sub *sub = subscribe(bus, "a.>", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    jb_event events[8];

    for (uint64_t i = 0; i < 6; i++)
        ck_assert_int_eq(publish_number(bus, i % 2 ? "b.x" : "a.x", i, 8), 0);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 3);
    ck_assert_int_eq(jb_sub_advance_n(sub, 4), JB_EINVAL);
    ck_assert_int_eq(jb_sub_advance_n(sub, 2), 0);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 1);
    ck_assert_uint_eq(number_of(&events[0]), 4);
    ck_assert_int_eq(jb_sub_advance_n(sub, 0), 0);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 1);
    ck_assert_int_eq(jb_sub_advance(sub), 0);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 0);
    jb_sub_close(sub);
}
END_TEST

START_TEST(test_several_patterns_deliver_once)
{
    jb_sub *sub = subscribe(bus, "a.>", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    jb_event events[8];

    ck_assert_int_eq(publish_number(bus, "b.x", 1, 8), 0);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 0);
    ck_assert_int_eq(jb_sub_add(sub, "b.>", 3), 0);
    ck_assert_int_eq(jb_sub_add(sub, "*.x", 3), 0);
    ck_assert_int_eq(jb_sub_add(sub, "not a pattern", 13), JB_EINVAL);
    ck_assert_int_eq(publish_number(bus, "b.x", 2, 8), 0);
    ck_assert_int_eq(publish_number(bus, "a.x", 3, 8), 0);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 2);
    ck_assert_uint_eq(number_of(&events[0]), 2);
    jb_sub_close(sub);
}
END_TEST

START_TEST(test_lossless_stops_publishers_and_lets_them_go_on)
{
    jb_sub *sub = subscribe(bus, ">", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    jb_bus_stats stats = {.size = sizeof stats};
    jb_event events[512];
    uint64_t n = 0;
    int shown;

    while (publish_number(bus, "a.b", n, 200) == 0)
        n++;
    ck_assert_uint_gt(n, 200);
    ck_assert_int_eq(jb_bus_wait_space(bus, 200, 0), JB_ETIMEDOUT);
    ck_assert_int_eq(jb_bus_wait_space(bus, 200, 3000000), JB_ETIMEDOUT);
    shown = jb_sub_peek(sub, events, 512);
    ck_assert_uint_eq((uint64_t)shown, n);
    ck_assert_int_eq(publish_number(bus, "a.b", n, 200), JB_EAGAIN);
    for (uint64_t i = 0; i < n; i++)
        ck_assert_uint_eq(number_of(&events[i]), i);
    ck_assert_int_eq(jb_sub_advance(sub), 0);
    ck_assert_int_eq(jb_bus_wait_space(bus, 200, 0), 0);
    ck_assert_int_eq(publish_number(bus, "a.b", n, 200), 0);
    jb_bus_get_stats(bus, &stats);
    ck_assert_uint_eq(stats.n_published, n + 1);
    ck_assert_uint_eq(stats.n_full, 2);
    jb_sub_close(sub);
}
END_TEST

START_TEST(test_a_filtered_lossless_subscription_does_not_hold_back_what_it_does_not_want)
{
    jb_sub *sub = subscribe(bus, "never.>", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    jb_event event;

    for (uint64_t i = 0; i < 2000; i++) {
        ck_assert_int_eq(publish_number(bus, "a.b", i, 1000), 0);
        ck_assert_int_eq(jb_sub_peek(sub, &event, 1), 0);
    }
    jb_sub_close(sub);
}
END_TEST

START_TEST(test_latest_is_overtaken_and_told_how_many)
{
    jb_sub *sub = subscribe(bus, ">", JB_SUB_LATEST, JB_SUB_FROM_NOW);
    jb_sub_stats stats = {.size = sizeof stats};
    uint64_t n_seen = 0, n_missed = 0, next = 0;
    jb_event events[64];
    int n;

    for (uint64_t i = 0; i < 3000; i++)
        ck_assert_int_eq(publish_number(bus, "a.b", i, 8 + i % 500), 0);
    while ((n = jb_sub_peek(sub, events, 64)) > 0) {
        for (int i = 0; i < n; i++) {
            n_missed += events[i].n_missed;
            next += events[i].n_missed;
            ck_assert_uint_eq(number_of(&events[i]), next);
            ck_assert_uint_eq(events[i].sequence, ++next);
            n_seen++;
        }
        ck_assert_int_eq(jb_sub_advance(sub), 0);
    }
    ck_assert_int_eq(n, 0);
    ck_assert_uint_gt(n_missed, 2000);
    ck_assert_uint_eq(n_seen + n_missed, 3000);
    jb_sub_get_stats(sub, &stats);
    ck_assert_uint_eq(stats.n_missed, n_missed);
    ck_assert_uint_eq(stats.n_delivered, n_seen);
    jb_sub_close(sub);
}
END_TEST

START_TEST(test_latest_shows_copies_that_outlive_the_ring)
{
    jb_sub *sub = subscribe(bus, ">", JB_SUB_LATEST, JB_SUB_FROM_NOW);
    jb_event event;

    ck_assert_int_eq(publish_number(bus, "a.b", 42, 8), 0);
    ck_assert_int_eq(jb_sub_peek(sub, &event, 1), 1);
    for (uint64_t i = 0; i < 500; i++)
        ck_assert_int_eq(publish_number(bus, "a.b", 7, 1000), 0);
    ck_assert_uint_eq(number_of(&event), 42);
    ck_assert_int_eq(jb_sub_advance(sub), 0);
    ck_assert_int_eq(jb_sub_peek(sub, &event, 1), 1);
    ck_assert_uint_eq(event.n_missed + 2, event.sequence);
    jb_sub_close(sub);
}
END_TEST

/* Missed counts are told once, with the first event shown after the gap, also when it is peeked at
 * twice. */
START_TEST(test_missed_is_told_again_until_taken)
{
    jb_sub *sub = subscribe(bus, "want.>", JB_SUB_LATEST, JB_SUB_FROM_NOW);
    jb_event first, again;

    for (uint64_t i = 0; i < 500; i++)
        ck_assert_int_eq(publish_number(bus, "other.x", i, 1000), 0);
    ck_assert_int_eq(publish_number(bus, "want.x", 1, 8), 0);
    ck_assert_int_eq(jb_sub_peek(sub, &first, 1), 1);
    ck_assert_uint_gt(first.n_missed, 300);
    ck_assert_int_eq(jb_sub_peek(sub, &again, 1), 1);
    ck_assert_uint_eq(again.n_missed, first.n_missed);
    ck_assert_int_eq(jb_sub_advance(sub), 0);
    ck_assert_int_eq(publish_number(bus, "want.x", 2, 8), 0);
    ck_assert_int_eq(jb_sub_peek(sub, &again, 1), 1);
    ck_assert_uint_eq(again.n_missed, 0);
    jb_sub_close(sub);
}
END_TEST

START_TEST(test_from_oldest_sees_what_is_kept_and_from_now_does_not)
{
    jb_sub *now, *oldest;
    jb_event events[64];

    for (uint64_t i = 0; i < 10; i++)
        ck_assert_int_eq(publish_number(bus, "a.b", i, 8), 0);
    now = subscribe(bus, ">", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    oldest = subscribe(bus, ">", JB_SUB_LOSSLESS, JB_SUB_FROM_OLDEST);
    ck_assert_int_eq(jb_sub_peek(now, events, 64), 0);
    ck_assert_int_eq(jb_sub_peek(oldest, events, 64), 10);
    ck_assert_int_eq(publish_number(bus, "a.b", 10, 8), 0);
    ck_assert_int_eq(jb_sub_peek(now, events, 64), 1);
    ck_assert_uint_eq(events[0].sequence, 11);
    ck_assert_int_eq(jb_sub_peek(oldest, events, 64), 11);
    jb_sub_close(now);
    jb_sub_close(oldest);
}
END_TEST

static void *publish_late(void *arg)
{
    usleep(30000);
    ck_assert_int_eq(publish_number(bus, "other.x", 1, 8), 0);
    usleep(30000);
    ck_assert_int_eq(publish_number(bus, (const char *)arg, 2, 8), 0);
    return NULL;
}

START_TEST(test_wait_sleeps_until_a_wanted_event_or_the_timeout)
{
    static char topic[] = "want.x";
    jb_sub *sub = subscribe(bus, "want.>", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    uint64_t start = jb_clock_now_ns();
    pthread_t thread;
    jb_event event;

    ck_assert_int_eq(jb_sub_wait(sub, 0), 0);
    ck_assert_int_eq(jb_sub_wait(sub, 20000000), 0);
    ck_assert_uint_ge(jb_clock_now_ns() - start, 20000000);
    ck_assert_int_eq(pthread_create(&thread, NULL, publish_late, topic), 0);
    ck_assert_int_eq(jb_sub_wait(sub, UINT64_C(10000000000)), 1);
    ck_assert_uint_lt(jb_clock_now_ns() - start, UINT64_C(5000000000));
    ck_assert_int_eq(jb_sub_peek(sub, &event, 1), 1);
    ck_assert_uint_eq(number_of(&event), 2);
    pthread_join(thread, NULL);
    jb_sub_close(sub);
}
END_TEST

enum { N_THREADS = 3, N_EACH = 20000 };

static void *publish_many(void *arg)
{
    uint64_t base = (uint64_t)(uintptr_t)arg << 32;

    for (uint64_t i = 0; i < N_EACH; i++) {
        while (publish_number(bus, "a.b", base | i, 8 + i % 100) == JB_EAGAIN)
            usleep(50);
    }
    return NULL;
}

START_TEST(test_threads_publish_at_once_and_nothing_is_lost_or_reordered)
{
    jb_sub *sub = subscribe(bus, ">", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    uint64_t next[N_THREADS] = {0}, n_seen = 0;
    pthread_t threads[N_THREADS];
    jb_event events[64];

    for (uintptr_t i = 0; i < N_THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, publish_many, (void *)i), 0);
    while (n_seen < N_THREADS * N_EACH) {
        int n = jb_sub_wait(sub, UINT64_C(20000000000)) > 0 ? jb_sub_peek(sub, events, 64) : 0;

        ck_assert_int_gt(n, 0);
        for (int i = 0; i < n; i++) {
            uint64_t number = number_of(&events[i]);

            ck_assert_uint_eq(events[i].sequence, ++n_seen);
            ck_assert_uint_eq(number & 0xffffffff, next[number >> 32]++);
        }
        jb_sub_advance(sub);
    }
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    jb_sub_close(sub);
}
END_TEST

START_TEST(test_statistics_name_peers_and_subscriptions)
{
    jb_sub *sub = subscribe(bus, "a.>", JB_SUB_LATEST, JB_SUB_FROM_NOW);
    jb_bus_stats stats = {.size = sizeof stats};
    jb_peer_stats peer = {.size = sizeof peer};
    jb_sub_stats sub_stats = {.size = sizeof sub_stats};

    ck_assert_int_eq(publish_number(bus, "a.b", 1, 24), 0);
    ck_assert_int_eq(jb_bus_get_stats(bus, &stats), 0);
    ck_assert_uint_eq(stats.n_peers, 1);
    ck_assert_uint_eq(stats.n_subs, 1);
    ck_assert_uint_eq(stats.n_topics, 1);
    ck_assert_uint_eq(stats.n_published, 1);
    ck_assert_uint_eq(stats.n_bytes, 24);
    ck_assert_uint_eq(stats.used_bytes, 64);
    ck_assert_int_eq(jb_bus_peer_stats(bus, stats.peer, &peer), 0);
    ck_assert_uint_eq(peer.pid, (uint32_t)getpid());
    ck_assert_uint_eq(peer.is_alive, 1);
    ck_assert_uint_eq(peer.n_published, 1);
    ck_assert_int_eq(jb_bus_peer_stats(bus, stats.peer + 1, &peer), JB_ENOENT);
    ck_assert_int_eq(jb_bus_peer_stats(bus, 9, &peer), JB_ELIMIT);
    ck_assert_int_eq(jb_bus_sub_stats(bus, 0, &sub_stats), 0);
    ck_assert_uint_eq(sub_stats.policy, JB_SUB_LATEST);
    ck_assert_uint_eq(sub_stats.lag_bytes, 64);
    ck_assert_int_eq(jb_bus_sub_stats(bus, 1, &sub_stats), JB_ENOENT);
    ck_assert_int_eq(jb_bus_sub_stats(bus, 8, &sub_stats), JB_ELIMIT);
    jb_sub_close(sub);
}
END_TEST

START_TEST(test_subscriptions_have_a_limit_and_closing_frees_a_place)
{
    jb_sub *subs[8], *more;
    jb_error err;

    for (int i = 0; i < 8; i++)
        subs[i] = subscribe(bus, ">", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    ck_assert_int_eq(jb_bus_subscribe(bus, ">", 1, NULL, &more, &err), JB_ELIMIT);
    ck_assert_ptr_nonnull(strstr(err.msg, "8"));
    jb_sub_close(subs[3]);
    ck_assert_int_eq(jb_bus_subscribe(bus, ">", 1, NULL, &subs[3], &err), 0);
    for (int i = 0; i < 8; i++)
        jb_sub_close(subs[i]);
    ck_assert_int_eq(jb_bus_subscribe(bus, "a..b", 4, NULL, &more, &err), JB_EINVAL);
    ck_assert_ptr_nonnull(strstr(err.msg, "a..b"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bus");
    TCase *tc = suite_case(suite, "bus");

    tcase_add_checked_fixture(tc, make_bus, drop_bus);
    tcase_add_test(tc, test_a_subscription_gets_what_it_asked_for_in_order);
    tcase_add_test(tc, test_advance_n_takes_only_the_first);
    tcase_add_test(tc, test_several_patterns_deliver_once);
    tcase_add_test(tc, test_lossless_stops_publishers_and_lets_them_go_on);
    tcase_add_test(tc,
                   test_a_filtered_lossless_subscription_does_not_hold_back_what_it_does_not_want);
    tcase_add_test(tc, test_latest_is_overtaken_and_told_how_many);
    tcase_add_test(tc, test_latest_shows_copies_that_outlive_the_ring);
    tcase_add_test(tc, test_missed_is_told_again_until_taken);
    tcase_add_test(tc, test_from_oldest_sees_what_is_kept_and_from_now_does_not);
    tcase_add_test(tc, test_wait_sleeps_until_a_wanted_event_or_the_timeout);
    tcase_add_test(tc, test_threads_publish_at_once_and_nothing_is_lost_or_reordered);
    tcase_add_test(tc, test_statistics_name_peers_and_subscriptions);
    tcase_add_test(tc, test_subscriptions_have_a_limit_and_closing_frees_a_place);
    return suite_run(suite);
}
