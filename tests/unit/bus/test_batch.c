/*
 * Batches: together or not at all, in order, at any size, over many laps.
 */
#include "support/suite.h"

static jb_bus *bus;
static jb_event_head heads[256];
static uint64_t numbers[256][64];
static const void *payloads[256];
static uint32_t lens[256];

static void make_bus(void)
{
    bus = small_bus();
    for (uint32_t i = 0; i < 256; i++) {
        heads[i] = (jb_event_head){.topic_id = topic_of(bus, "a.b"), .type = JB_EVENT_CUSTOM};
        payloads[i] = numbers[i];
        lens[i] = 8;
    }
}

static void drop_bus(void)
{
    jb_bus_close(bus);
}

static int publish_from(uint64_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        numbers[i][0] = first + i;
        lens[i] = 8 + (uint32_t)((first + i) * 7 % 300);
    }
    return jb_bus_publish_batch(bus, heads, payloads, lens, n);
}

START_TEST(test_a_batch_becomes_visible_together)
{
    jb_sub *sub = subscribe(bus, ">", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    uint8_t *rooms[3];
    jb_batch batch;
    jb_event events[8];

    heads[1].key = 77;
    heads[2].priority = JB_PRIORITY_HIGH;
    ck_assert_int_eq(jb_bus_claim_batch(bus, heads, lens, 3, rooms, &batch), 0);
    for (uint64_t i = 0; i < 3; i++) {
        uint64_t number = 100 + i;

        ck_assert_uint_eq((uintptr_t)rooms[i] % 8, 0);
        memcpy(rooms[i], &number, sizeof number);
    }
    ck_assert_int_eq(publish_number(bus, "a.b", 5, 8), 0);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 0);
    ck_assert_int_eq(jb_bus_commit_batch(bus, &batch), 0);
    ck_assert_int_eq(jb_bus_commit_batch(bus, &batch), JB_ESTATE);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 4);
    for (uint64_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(number_of(&events[i]), 100 + i);
        ck_assert_uint_eq(events[i].sequence, 1 + i);
    }
    ck_assert_uint_eq(events[1].key, 77);
    ck_assert_uint_eq(events[2].priority, JB_PRIORITY_HIGH);
    ck_assert_uint_eq(number_of(&events[3]), 5);
    ck_assert_int_eq(jb_sub_advance(sub), 0);
    jb_sub_close(sub);
}
END_TEST

START_TEST(test_an_aborted_batch_was_never_there)
{
    jb_sub *sub = subscribe(bus, ">", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    jb_bus_stats stats = {.size = sizeof stats};
    uint8_t *rooms[200];
    jb_batch batch;
    jb_event event;

    ck_assert_int_eq(jb_bus_claim_batch(bus, heads, lens, 200, rooms, &batch), 0);
    ck_assert_int_eq(jb_bus_abort_batch(bus, &batch), 0);
    ck_assert_int_eq(jb_bus_abort_batch(bus, &batch), JB_ESTATE);
    ck_assert_int_eq(publish_number(bus, "a.b", 5, 8), 0);
    ck_assert_int_eq(jb_sub_peek(sub, &event, 1), 1);
    ck_assert_uint_eq(event.sequence, 1);
    ck_assert_int_eq(jb_bus_get_stats(bus, &stats), 0);
    ck_assert_uint_eq(stats.n_published, 1);
    ck_assert_uint_eq(stats.n_aborted, 1);
    jb_sub_close(sub);
}
END_TEST

/* Read what is there in steps of `step`; some of it twice. */
static uint64_t read_on(jb_sub *sub, uint64_t next, uint32_t step)
{
    jb_event events[64];
    int n;

    while ((n = jb_sub_peek(sub, events, step)) > 0) {
        uint32_t taken = (uint32_t)n > 2 && next % 3 == 0 ? (uint32_t)n - 2 : (uint32_t)n;

        for (uint32_t i = 0; i < taken; i++) {
            next += events[i].n_missed;
            ck_assert_uint_eq(events[i].sequence, next + 1);
            ck_assert_uint_eq(number_of(&events[i]), next++);
        }
        ck_assert_int_eq(jb_sub_advance_n(sub, taken), 0);
    }
    ck_assert_int_eq(n, 0);
    return next;
}

START_TEST(test_batches_over_many_laps_lose_nothing)
{
    jb_sub *lossless = subscribe(bus, ">", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    jb_sub *latest = subscribe(bus, ">", JB_SUB_LATEST, JB_SUB_FROM_NOW);
    uint64_t n_sent = 0, n_read = 0, n_seen = 0, n_refused = 0;

    for (uint32_t i = 0; i < 5000; i++) {
        uint32_t n = 1 + i * 31 % 70;
        int rc = publish_from(n_sent, n);

        if (rc == 0) {
            n_sent += n;
        } else {
            ck_assert_int_eq(rc, JB_EAGAIN);
            n_refused++;
            n_read = read_on(lossless, n_read, 1 + i % 64);
        }
        if (i % 257 == 0)
            n_seen = read_on(latest, n_seen, 1 + i % 64);
    }
    ck_assert_uint_eq(read_on(lossless, n_read, 64), n_sent);
    ck_assert_uint_eq(read_on(latest, n_seen, 64), n_sent);
    ck_assert_uint_gt(n_refused, 100);
    jb_sub_close(lossless);
    jb_sub_close(latest);
}
END_TEST

START_TEST(test_a_batch_of_empty_events)
{
    jb_sub *sub = subscribe(bus, ">", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    jb_event events[8];
    const void *none[2] = {NULL, NULL};

    lens[0] = lens[1] = 0;
    ck_assert_int_eq(jb_bus_publish_batch(bus, heads, none, lens, 2), 0);
    ck_assert_int_eq(jb_bus_publish_batch(bus, heads, none, lens, 1), 0);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 3);
    ck_assert_uint_eq(events[2].len_bytes, 0);
    jb_sub_close(sub);
}
END_TEST

START_TEST(test_what_is_no_batch_is_refused)
{
    const void *none[2] = {NULL, NULL};
    uint8_t *rooms[2];
    jb_batch batch;

    ck_assert_int_eq(jb_bus_publish_batch(bus, heads, payloads, lens, 0), JB_EINVAL);
    ck_assert_int_eq(jb_bus_publish_batch(bus, heads, payloads, lens, JB_BATCH_MAX + 1), JB_EINVAL);
    ck_assert_int_eq(jb_bus_publish_batch(bus, heads, none, lens, 2), JB_EINVAL);
    lens[0] = lens[1] = 8000;
    ck_assert_int_eq(jb_bus_claim_batch(bus, heads, lens, 2, rooms, &batch), 0);
    ck_assert_int_eq(jb_bus_abort_batch(bus, &batch), 0);
    lens[1] = 16384;
    ck_assert_int_eq(jb_bus_claim_batch(bus, heads, lens, 2, rooms, &batch), JB_ETOOBIG);
    lens[1] = UINT32_MAX;
    ck_assert_int_eq(jb_bus_claim_batch(bus, heads, lens, 2, rooms, &batch), JB_ETOOBIG);
    lens[1] = 8;
    heads[1].topic_id = 0;
    ck_assert_int_eq(jb_bus_claim_batch(bus, heads, lens, 2, rooms, &batch), JB_EINVAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("batch");
    TCase *tc = suite_case(suite, "batch");

    tcase_add_checked_fixture(tc, make_bus, drop_bus);
    tcase_add_test(tc, test_a_batch_becomes_visible_together);
    tcase_add_test(tc, test_an_aborted_batch_was_never_there);
    tcase_add_test(tc, test_batches_over_many_laps_lose_nothing);
    tcase_add_test(tc, test_a_batch_of_empty_events);
    tcase_add_test(tc, test_what_is_no_batch_is_refused);
    return suite_run(suite);
}
