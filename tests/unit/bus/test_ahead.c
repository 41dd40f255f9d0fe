/*
 * A subscription that reads high events first: what overtakes what, and that nothing is lost or
 * shown twice for it.
 */
#include "support/suite.h"

#include <time.h>

static jb_bus *bus;
static jb_sub *sub;

static jb_sub *subscribe_ahead(const char *pattern, uint64_t evict_after_ns)
{
    jb_sub *made = NULL;
    jb_sub_opts opts;

    jb_sub_opts_init(&opts, sizeof opts);
    opts.flags = JB_SUB_HIGH_FIRST;
    opts.evict_after_ns = evict_after_ns;
    ck_assert_int_eq(jb_bus_subscribe(bus, pattern, strlen(pattern), &opts, &made, NULL), 0);
    return made;
}

static void open_all(void)
{
    bus = small_bus();
    sub = subscribe_ahead("a.>", 0);
}

static void close_all(void)
{
    jb_sub_close(sub);
    jb_bus_close(bus);
}

/* Events whose hundreds say that they are high. */
static int publish(const char *topic, uint64_t number, size_t len_bytes)
{
    jb_event_head head = {.topic_id = topic_of(bus, topic), .type = JB_EVENT_CUSTOM};
    uint8_t bytes[4096] = {0};

    head.priority = number >= 100 ? JB_PRIORITY_HIGH : JB_PRIORITY_NORMAL;
    memcpy(bytes, &number, sizeof number);
    return jb_bus_publish(bus, &head, bytes, len_bytes);
}

static jb_sub_stats books(void)
{
    jb_sub_stats stats = {.size = sizeof stats};

    ck_assert_int_eq(jb_sub_get_stats(sub, &stats), 0);
    return stats;
}

/* Peek shows exactly these; then they are taken, n_take of them. */
static void expect_take(const uint64_t *numbers, int n, uint32_t n_take)
{
    jb_event events[16];

    ck_assert_int_eq(jb_sub_peek(sub, events, 16), n);
    for (int i = 0; i < n; i++)
        ck_assert_uint_eq(number_of(&events[i]), numbers[i]);
    ck_assert_int_eq(jb_sub_advance_n(sub, n_take), 0);
}

#define EXPECT(...)                                                                                \
    expect_take((const uint64_t[]){__VA_ARGS__},                                                   \
                (int)(sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t)),                 \
                (uint32_t)(sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t)))

static void expect_nothing(void)
{
    jb_event event;

    ck_assert_int_eq(jb_sub_peek(sub, &event, 1), 0);
}

START_TEST(test_high_events_come_before_older_ones)
{
    publish("a.x", 1, 8);
    publish("a.x", 100, 8);
    publish("b.x", 200, 8);
    publish("a.x", 2, 8);
    publish("a.y", 101, 8);
    EXPECT(100, 101);
    ck_assert_uint_eq(books().n_delivered, 2);
    EXPECT(1, 2);
    expect_nothing();
    ck_assert_uint_eq(books().n_delivered, 4);
    ck_assert_uint_eq(books().n_filtered, 1);
}
END_TEST

START_TEST(test_what_is_shown_is_not_overtaken)
{
    jb_event events[8];

    publish("a.x", 1, 8);
    publish("a.x", 2, 8);
    ck_assert_int_eq(jb_sub_peek(sub, events, 1), 1);
    publish("a.x", 100, 8);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 2);
    ck_assert_uint_eq(number_of(&events[0]), 1);
    ck_assert_int_eq(jb_sub_advance_n(sub, 1), 0);
    EXPECT(100);
    EXPECT(2);
    expect_nothing();
}
END_TEST

START_TEST(test_a_part_may_be_taken_of_either)
{
    static const uint64_t high[] = {100, 101, 102}, rest[] = {1, 2, 3};

    publish("a.x", 1, 8);
    publish("a.x", 100, 8);
    publish("a.x", 2, 8);
    publish("a.x", 101, 8);
    publish("a.x", 3, 8);
    publish("a.x", 102, 8);
    expect_take(high, 3, 2);
    expect_take(high + 2, 1, 0);
    expect_take(high + 2, 1, 1);
    expect_take(rest, 3, 2);
    expect_take(rest + 2, 1, 1);
    expect_nothing();
    ck_assert_uint_eq(books().n_delivered, 6);
    ck_assert_uint_eq(books().n_filtered, 0);
}
END_TEST

START_TEST(test_publishers_wait_for_what_was_overtaken)
{
    uint64_t n = 0;

    ck_assert_int_eq(publish("a.x", 1, 8), 0);
    while (publish("a.x", 100 + n, 2000) == 0) {
        EXPECT(100 + n);
        n++;
    }
    ck_assert_uint_gt(n, 20);
    ck_assert_uint_lt(n, 40);
    EXPECT(1);
    expect_nothing();
    ck_assert_int_eq(publish("a.x", 100, 2000), 0);
    ck_assert_uint_eq(books().n_delivered, n + 1);
}
END_TEST

START_TEST(test_a_pattern_added_later_loses_nothing_and_shows_nothing_twice)
{
    publish("a.x", 1, 8);
    publish("b.x", 200, 8);
    publish("a.x", 100, 8);
    publish("b.x", 20, 8);
    EXPECT(100);
    ck_assert_int_eq(jb_sub_add(sub, "b.>", 3), 0);
    publish("b.x", 201, 8);
    publish("a.x", 101, 8);
    EXPECT(201, 101);
    EXPECT(1, 200, 20); /* what front had passed by comes in its turn */
    expect_nothing();
    ck_assert_uint_eq(books().n_delivered, 6);
    ck_assert_uint_eq(books().n_filtered, 0);
}
END_TEST

START_TEST(test_a_pattern_added_while_high_events_are_shown)
{
    jb_event events[8];

    publish("a.x", 100, 8);
    publish("b.x", 200, 8);
    publish("a.x", 101, 8);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 2);
    ck_assert_int_eq(jb_sub_add(sub, "b.>", 3), 0);
    EXPECT(100, 101);
    EXPECT(200);
    expect_nothing();
    ck_assert_uint_eq(books().n_delivered, 3);
}
END_TEST

/* What was taken ahead of a cursor that was evicted has not been missed. */
START_TEST(test_eviction_counts_what_was_taken_as_taken)
{
    struct timespec nap = {0, 30000000};
    jb_bus_stats figures = {.size = sizeof figures};
    jb_event events[256];
    jb_sub_stats stats;
    int n;

    jb_sub_close(sub);
    sub = subscribe_ahead("a.>", 1000000);
    publish("a.x", 1, 8);
    publish("a.x", 100, 8);
    publish("a.x", 101, 8);
    publish("a.x", 2, 8);
    EXPECT(100, 101);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 2);
    for (int i = 0; i < 2000; i++) {
        int rc = publish("a.x", 3, 200);

        ck_assert(rc == 0 || rc == JB_EAGAIN);
        if (rc)
            nanosleep(&nap, NULL);
    }
    ck_assert_int_eq(jb_sub_advance(sub), JB_EEVICTED);
    n = jb_sub_peek(sub, events, 256);
    ck_assert_int_gt(n, 0);
    ck_assert_uint_eq(events[0].n_missed, events[0].sequence - 1 - 2);
    do
        ck_assert_int_eq(jb_sub_advance(sub), 0);
    while (jb_sub_peek(sub, events, 256) > 0);
    stats = books();
    ck_assert_uint_eq(stats.n_evicted, 1);
    ck_assert_uint_gt(stats.n_missed, 100);
    ck_assert_int_eq(jb_bus_get_stats(bus, &figures), 0); /* one is of the eviction itself */
    ck_assert_uint_eq(stats.n_delivered + stats.n_missed + stats.n_filtered, figures.n_published);
}
END_TEST

START_TEST(test_waiting_sees_both_kinds)
{
    ck_assert_int_eq(jb_sub_wait(sub, 1000000), 0);
    publish("a.x", 1, 8);
    ck_assert_int_eq(jb_sub_wait(sub, 1000000), 1);
    publish("a.x", 100, 8);
    ck_assert_int_eq(jb_sub_wait(sub, 1000000), 1);
    EXPECT(100);
    ck_assert_int_eq(jb_sub_wait(sub, 1000000), 1);
    EXPECT(1);
    ck_assert_int_eq(jb_sub_wait(sub, 1000000), 0);
}
END_TEST

START_TEST(test_only_who_holds_the_ring_can_read_ahead)
{
    jb_sub *none = NULL;
    jb_sub_opts opts;
    jb_error err;

    jb_error_init(&err);
    jb_sub_opts_init(&opts, sizeof opts);
    opts.flags = JB_SUB_HIGH_FIRST;
    opts.policy = JB_SUB_LATEST;
    ck_assert_int_eq(jb_bus_subscribe(bus, ">", 1, &opts, &none, &err), JB_EINVAL);
    ck_assert_ptr_nonnull(strstr(err.msg, "JB_SUB_HIGH_FIRST"));
    opts.policy = JB_SUB_LOSSLESS;
    opts.flags = 6;
    ck_assert_int_eq(jb_bus_subscribe(bus, ">", 1, &opts, &none, &err), JB_EINVAL);
    ck_assert_ptr_nonnull(strstr(err.msg, "0x6"));
    ck_assert_ptr_null(none);
}
END_TEST

/* Reads some, at random; every event must come once, and each kind in its own order. */
static void read_some(uint64_t last[2], uint64_t *n_read)
{
    uint32_t n_max = 1 + (uint32_t)rand() % 12, n_take = (uint32_t)rand() % 12;
    jb_event events[16];
    int n = jb_sub_peek(sub, events, n_max);

    ck_assert_int_ge(n, 0);
    n_take = n_take < (uint32_t)n ? n_take : (uint32_t)n;
    for (uint32_t i = 0; i < n_take; i++) {
        int is_high = events[i].priority == JB_PRIORITY_HIGH;

        ck_assert_int_eq(is_high, events[0].priority == JB_PRIORITY_HIGH);
        ck_assert_uint_gt(events[i].sequence, last[is_high]);
        last[is_high] = events[i].sequence;
        ck_assert_uint_eq(events[i].n_missed, 0);
    }
    *n_read += n_take;
    ck_assert_int_eq(jb_sub_advance_n(sub, n_take), 0);
}

START_TEST(test_each_event_comes_once_whatever_the_reader_does)
{
    uint64_t n_wanted = 0, n_other = 0, n_read = 0, last[2] = {0};

    srand((unsigned)_i + 1);
    for (int round = 0; round < 2000; round++) {
        for (int i = rand() % 8; i > 0; i--) {
            const char *topic = rand() % 4 ? "a.x" : "b.x";

            if (publish(topic, (uint64_t)rand() % 130, 8 + (size_t)rand() % 600) == 0)
                ++*(topic[0] == 'a' ? &n_wanted : &n_other);
        }
        read_some(last, &n_read);
    }
    for (int i = 0; i < 2000; i++)
        read_some(last, &n_read);
    ck_assert_uint_gt(n_wanted, 3000);
    ck_assert_uint_eq(n_read, n_wanted);
    expect_nothing();
    ck_assert_uint_eq(books().n_delivered, n_wanted);
    ck_assert_uint_eq(books().n_filtered, n_other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ahead");
    TCase *tc = suite_case(suite, "ahead");

    tcase_add_checked_fixture(tc, open_all, close_all);
    tcase_add_test(tc, test_high_events_come_before_older_ones);
    tcase_add_test(tc, test_what_is_shown_is_not_overtaken);
    tcase_add_test(tc, test_a_part_may_be_taken_of_either);
    tcase_add_test(tc, test_publishers_wait_for_what_was_overtaken);
    tcase_add_test(tc, test_a_pattern_added_later_loses_nothing_and_shows_nothing_twice);
    tcase_add_test(tc, test_a_pattern_added_while_high_events_are_shown);
    tcase_add_test(tc, test_eviction_counts_what_was_taken_as_taken);
    tcase_add_test(tc, test_waiting_sees_both_kinds);
    tcase_add_test(tc, test_only_who_holds_the_ring_can_read_ahead);
    tcase_add_loop_test(tc, test_each_event_comes_once_whatever_the_reader_does, 0, 8);
    return suite_run(suite);
}
