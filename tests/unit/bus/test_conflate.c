/*
 * A conflating subscription: the newest of each topic and key, and books that say what became of
 * the others.
 */
#include "support/suite.h"

static jb_bus *bus;
static jb_sub *sub;

static void open_all(void)
{
    bus = small_bus();
    sub = subscribe(bus, "a.>", JB_SUB_CONFLATE, JB_SUB_FROM_NOW);
}

static void close_all(void)
{
    jb_sub_close(sub);
    jb_bus_close(bus);
}

static int publish_key(const char *topic, uint32_t key, uint64_t number, size_t len_bytes)
{
    jb_event_head head = {.topic_id = topic_of(bus, topic), .type = JB_EVENT_CUSTOM, .key = key};
    uint8_t bytes[4096] = {0};

    memcpy(bytes, &number, sizeof number);
    return jb_bus_publish(bus, &head, bytes, len_bytes);
}

static jb_sub_stats books(void)
{
    jb_sub_stats stats = {.size = sizeof stats};

    ck_assert_int_eq(jb_sub_get_stats(sub, &stats), 0);
    return stats;
}

START_TEST(test_the_newest_of_each_topic_in_the_order_of_the_bus)
{
    jb_event events[8];
    jb_sub_stats stats;

    publish_number(bus, "a.x", 1, 8);
    publish_number(bus, "a.y", 2, 8);
    publish_number(bus, "b.z", 3, 8);
    publish_number(bus, "a.x", 4, 8);
    publish_number(bus, "a.x", 5, 8);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 2);
    ck_assert_uint_eq(number_of(&events[0]), 2);
    ck_assert_uint_eq(number_of(&events[1]), 5);
    ck_assert_uint_eq(events[1].sequence, 5);
    ck_assert_int_eq(jb_sub_advance(sub), 0);
    stats = books();
    ck_assert_uint_eq(stats.policy, JB_SUB_CONFLATE);
    ck_assert_uint_eq(stats.n_delivered, 2);
    ck_assert_uint_eq(stats.n_filtered, 1);
    ck_assert_uint_eq(stats.n_conflated, 2);
    ck_assert_uint_eq(stats.n_missed, 0);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 0);
}
END_TEST

START_TEST(test_keys_of_a_topic_are_kept_apart)
{
    jb_event events[8];

    for (uint32_t i = 0; i < 9; i++)
        ck_assert_int_eq(publish_key("a.x", i % 3, i, 8), 0);
    ck_assert_int_eq(publish_key("a.y", 1, 9, 8), 0);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 4);
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(events[i].key, i);
        ck_assert_uint_eq(number_of(&events[i]), 6 + i);
    }
    ck_assert_uint_eq(number_of(&events[3]), 9);
}
END_TEST

START_TEST(test_what_is_shown_stays_until_it_is_taken)
{
    jb_event events[8];
    const uint8_t *payload;

    publish_key("a.x", 1, 1, 8);
    publish_key("a.x", 2, 2, 8);
    ck_assert_int_eq(jb_sub_peek(sub, events, 1), 1);
    payload = events[0].payload;
    for (uint64_t i = 0; i < 4000; i++)
        ck_assert_int_eq(publish_key("a.x", 1, 100 + i, 200), 0);
    ck_assert_uint_eq(number_of(&events[0]), 1);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 2);
    ck_assert_ptr_eq(events[0].payload, payload);
    ck_assert_uint_eq(number_of(&events[0]), 1);
    ck_assert_uint_eq(number_of(&events[1]), 4099);
    ck_assert_uint_gt(events[1].n_missed, 3000);
    ck_assert_int_eq(jb_sub_advance(sub), 0);
    ck_assert_uint_eq(books().n_delivered + books().n_missed + books().n_conflated, 4002);
    ck_assert_uint_eq(books().n_missed, events[1].n_missed);
    ck_assert_uint_gt(books().n_conflated, 0);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 0);
}
END_TEST

START_TEST(test_what_was_not_taken_is_replaced_by_newer)
{
    jb_event events[8];

    for (uint32_t i = 1; i <= 4; i++)
        publish_key("a.x", i, i, 8);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 4);
    ck_assert_int_eq(jb_sub_advance_n(sub, 5), JB_EINVAL);
    ck_assert_int_eq(jb_sub_advance_n(sub, 2), 0);
    publish_key("a.x", 1, 5, 8);
    publish_key("a.x", 4, 6, 8);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 3);
    ck_assert_uint_eq(number_of(&events[0]), 3);
    ck_assert_uint_eq(number_of(&events[1]), 5);
    ck_assert_uint_eq(number_of(&events[2]), 6);
    ck_assert_int_eq(jb_sub_advance(sub), 0);
    ck_assert_uint_eq(books().n_delivered, 5);
    ck_assert_uint_eq(books().n_conflated, 1);
}
END_TEST

/* It had been shown, so the newer one stood beside it: until it was given back. */
START_TEST(test_what_was_given_back_is_replaced_by_what_came_while_it_was_shown)
{
    jb_event events[8];

    publish_key("a.x", 1, 1, 8);
    publish_key("a.x", 2, 2, 8);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 2);
    publish_key("a.x", 2, 3, 8);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 3);
    ck_assert_int_eq(jb_sub_advance_n(sub, (uint32_t)_i), 0);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 2 - _i);
    ck_assert_uint_eq(number_of(&events[1 - _i]), 3);
    ck_assert_int_eq(jb_sub_advance(sub), 0);
    ck_assert_uint_eq(books().n_delivered, 2);
    ck_assert_uint_eq(books().n_conflated, 1);
}
END_TEST

START_TEST(test_it_holds_nobody_back_and_tells_what_was_overwritten)
{
    uint64_t n_told = 0, last = 0;
    jb_event events[16];
    int n;

    for (uint32_t i = 1; i <= 3000; i++)
        ck_assert_int_eq(publish_key("a.x", i, i, 100), 0);
    while ((n = jb_sub_peek(sub, events, 16)) > 0) {
        for (int i = 0; i < n; i++) {
            n_told += events[i].n_missed;
            ck_assert_uint_eq(events[i].sequence, last + events[i].n_missed + 1);
            ck_assert_uint_eq(number_of(&events[i]), events[i].sequence);
            last = events[i].sequence;
        }
        ck_assert_int_eq(jb_sub_advance(sub), 0);
    }
    ck_assert_int_eq(n, 0);
    ck_assert_uint_eq(last, 3000);
    ck_assert_uint_gt(n_told, 1000);
    ck_assert_uint_eq(books().n_missed, n_told);
    ck_assert_uint_eq(books().n_delivered + n_told, 3000);
}
END_TEST

/* Reads some of what is there and keeps the sums a reader can keep. */
struct reader {
    uint64_t n_delivered, n_told, last_sequence;
    uint64_t last[8]; /* by key */
};

static void read_some(struct reader *r, uint32_t n_max, uint32_t n_take)
{
    jb_event events[64];
    int n = jb_sub_peek(sub, events, n_max);

    ck_assert_int_ge(n, 0);
    for (uint32_t i = 0; i < n_take && i < (uint32_t)n; i++) {
        ck_assert_uint_gt(events[i].sequence, r->last_sequence);
        ck_assert_uint_ge(events[i].sequence, r->last_sequence + events[i].n_missed + 1);
        r->last_sequence = events[i].sequence;
        ck_assert_uint_gt(number_of(&events[i]), r->last[events[i].key]);
        r->last[events[i].key] = number_of(&events[i]);
        r->n_told += events[i].n_missed;
        r->n_delivered++;
    }
    ck_assert_int_eq(jb_sub_advance_n(sub, n_take < (uint32_t)n ? n_take : (uint32_t)n), 0);
}

/* Whoever reads how, the books balance, and the last event of each key arrives. */
START_TEST(test_books_balance_whatever_the_reader_does)
{
    uint64_t n_published = 0, newest[8] = {0};
    struct reader r = {0};
    jb_sub_stats stats;

    srand((unsigned)_i + 1);
    for (int round = 0; round < 400; round++) {
        int n = rand() % (round % 50 == 49 ? 600 : 12);

        for (int i = 0; i < n; i++) {
            uint32_t key = (uint32_t)rand() % 8;

            newest[key] = ++n_published;
            ck_assert_int_eq(publish_key("a.x", key, n_published, 8 + (size_t)rand() % 400), 0);
        }
        read_some(&r, 1 + (uint32_t)rand() % 10, (uint32_t)rand() % 10);
    }
    for (int i = 0; i < 10; i++)
        read_some(&r, 64, 64);
    stats = books();
    ck_assert_uint_eq(stats.n_delivered, r.n_delivered);
    ck_assert_uint_eq(stats.n_missed, r.n_told);
    ck_assert_uint_eq(stats.n_filtered, 0);
    ck_assert_uint_eq(stats.n_delivered + stats.n_missed + stats.n_conflated, n_published);
    ck_assert_mem_eq(r.last, newest, sizeof newest);
}
END_TEST

START_TEST(test_more_keys_than_fit_are_read_in_turns)
{
    jb_bus_opts opts;
    uint64_t n_seen = 0;
    jb_event events[512];
    int n;

    close_all();
    jb_bus_opts_init(&opts, sizeof opts);
    opts.capacity_bytes = 4 << 20;
    ck_assert_int_eq(jb_bus_open(NULL, &opts, &bus, NULL), 0);
    sub = subscribe(bus, "a.>", JB_SUB_CONFLATE, JB_SUB_FROM_NOW);
    for (uint32_t i = 0; i < 20000; i++)
        ck_assert_int_eq(publish_key("a.x", i % 10000, i, 8), 0);
    while ((n = jb_sub_peek(sub, events, 512)) > 0) {
        n_seen += (uint64_t)n;
        ck_assert_int_eq(jb_sub_advance(sub), 0);
    }
    ck_assert_int_eq(n, 0);
    ck_assert_uint_eq(books().n_delivered, n_seen);
    ck_assert_uint_eq(n_seen + books().n_conflated, 20000);
    ck_assert_uint_ge(n_seen, 10000);
}
END_TEST

START_TEST(test_waiting_sees_the_newest)
{
    jb_event events[4];

    ck_assert_int_eq(jb_sub_wait(sub, 1000000), 0);
    publish_key("a.x", 7, 1, 8);
    ck_assert_int_eq(jb_sub_wait(sub, 1000000), 1);
    publish_key("a.x", 7, 2, 8);
    ck_assert_int_eq(jb_sub_wait(sub, 1000000), 1);
    ck_assert_int_eq(jb_sub_peek(sub, events, 4), 1);
    ck_assert_uint_eq(number_of(&events[0]), 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conflate");
    TCase *tc = suite_case(suite, "conflate");

    tcase_add_checked_fixture(tc, open_all, close_all);
    tcase_add_test(tc, test_the_newest_of_each_topic_in_the_order_of_the_bus);
    tcase_add_test(tc, test_keys_of_a_topic_are_kept_apart);
    tcase_add_test(tc, test_what_is_shown_stays_until_it_is_taken);
    tcase_add_test(tc, test_what_was_not_taken_is_replaced_by_newer);
    tcase_add_loop_test(tc, test_what_was_given_back_is_replaced_by_what_came_while_it_was_shown, 0,
                        2);
    tcase_add_test(tc, test_it_holds_nobody_back_and_tells_what_was_overwritten);
    tcase_add_loop_test(tc, test_books_balance_whatever_the_reader_does, 0, 8);
    tcase_add_test(tc, test_more_keys_than_fit_are_read_in_turns);
    tcase_add_test(tc, test_waiting_sees_the_newest);
    return suite_run(suite);
}
