/*
 * Who may hold back whom, and for how long: budgets, evictions, revoked claims, waiting for room.
 */
#include "support/suite.h"

#include <stdio.h>
#include <unistd.h>

#define MS UINT64_C(1000000)

static char name[64];
static jb_bus *mine, *theirs;

static jb_bus *open_bus(uint64_t stall_after_ns, uint64_t budget_bytes)
{
    jb_bus_opts opts;

    small_bus_opts(&opts);
    opts.stall_after_ns = stall_after_ns;
    opts.budget_bytes = budget_bytes;
    return open_named_bus(name, &opts);
}

static void make_buses(void)
{
    snprintf(name, sizeof name, "test-flow-%d", (int)getpid());
    jb_bus_unlink(name, NULL);
    mine = open_bus(150 * MS, 16384);
    theirs = open_bus(0, 0);
}

static void drop_buses(void)
{
    jb_bus_close(mine);
    jb_bus_close(theirs);
}

static jb_sub *subscribe_to_be_evicted(const char *pattern, uint64_t evict_after_ns)
{
    jb_sub_opts opts;
    jb_sub *sub = NULL;

    jb_sub_opts_init(&opts, sizeof opts);
    opts.evict_after_ns = evict_after_ns;
    ck_assert_int_eq(jb_bus_subscribe(theirs, pattern, strlen(pattern), &opts, &sub, NULL), 0);
    return sub;
}

static jb_peer_stats peer_stats(jb_bus *bus)
{
    jb_bus_stats all = {.size = sizeof all};
    jb_peer_stats stats = {.size = sizeof stats};

    ck_assert_int_eq(jb_bus_get_stats(bus, &all), 0);
    ck_assert_int_eq(jb_bus_peer_stats(bus, all.peer, &stats), 0);
    return stats;
}

static uint64_t publish_until_refused(jb_bus *bus, uint64_t first)
{
    uint64_t n = first;

    while (publish_number(bus, "a.b", n, 224) == 0)
        n++;
    return n - first;
}

START_TEST(test_a_budget_leaves_room_for_others)
{
    jb_sub *sub = subscribe(theirs, "a.>", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    uint64_t n_mine = publish_until_refused(mine, 0);
    jb_event events[512];

    ck_assert_uint_eq(n_mine, 16384 / 256);
    ck_assert_uint_eq(peer_stats(mine).n_over_budget, 1);
    ck_assert_uint_eq(peer_stats(mine).n_full, 0);
    ck_assert_int_eq(jb_bus_wait_space(mine, 224, 1), JB_ETIMEDOUT);
    ck_assert_uint_gt(publish_until_refused(theirs, n_mine), 128);
    ck_assert_uint_eq(peer_stats(theirs).n_full, 1);
    ck_assert_int_gt(jb_sub_peek(sub, events, 512), 0);
    ck_assert_int_eq(jb_sub_advance(sub), 0);
    ck_assert_uint_eq(publish_until_refused(mine, 0), 16384 / 256);
    jb_sub_close(sub);
}
END_TEST

START_TEST(test_a_budget_limits_only_what_somebody_has_to_read)
{
    jb_sub *sub = subscribe(theirs, "a.>", JB_SUB_LATEST, JB_SUB_FROM_NOW);

    for (uint64_t i = 0; i < 2000; i++)
        ck_assert_int_eq(publish_number(mine, "a.b", i, 224), 0);
    jb_sub_close(sub);
}
END_TEST

START_TEST(test_an_event_larger_than_the_budget_goes_alone)
{
    jb_sub *sub = subscribe(theirs, "a.>", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    jb_bus *tight = open_bus(0, 64);
    jb_event event;

    for (uint64_t i = 0; i < 100; i++) {
        ck_assert_int_eq(publish_number(tight, "a.b", i, 1000), 0);
        ck_assert_int_eq(publish_number(tight, "a.b", i, 1000), JB_EAGAIN);
        ck_assert_int_eq(jb_sub_peek(sub, &event, 1), 1);
        ck_assert_int_eq(jb_sub_advance(sub), 0);
        /* It is known to a 64th of the ring. */
        ck_assert_int_eq(publish_number(theirs, "a.b", i, 1500), 0);
        ck_assert_int_eq(jb_sub_peek(sub, &event, 1), 1);
        ck_assert_int_eq(jb_sub_advance(sub), 0);
    }
    jb_bus_close(tight);
    jb_sub_close(sub);
}
END_TEST

START_TEST(test_waiting_for_room_ends_at_its_time)
{
    jb_sub *sub = subscribe(theirs, "a.>", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    jb_event_head head = {.topic_id = topic_of(theirs, "a.b"), .type = JB_EVENT_CUSTOM};
    uint64_t start, number = 1;
    jb_event event;

    publish_until_refused(theirs, 0);
    start = jb_clock_now_ns();
    ck_assert_int_eq(jb_bus_publish_wait(theirs, &head, &number, sizeof number, 30 * MS),
                     JB_ETIMEDOUT);
    ck_assert_uint_ge(jb_clock_now_ns() - start, 30 * MS);
    while (jb_sub_peek(sub, &event, 1) == 1)
        ck_assert_int_eq(jb_sub_advance(sub), 0);
    ck_assert_int_eq(jb_bus_publish_wait(theirs, &head, &number, sizeof number, 0), 0);
    ck_assert_int_eq(jb_sub_peek(sub, &event, 1), 1);
    ck_assert_uint_eq(number_of(&event), 1);
    jb_sub_close(sub);
}
END_TEST

START_TEST(test_a_subscription_that_stands_still_is_evicted_and_told)
{
    jb_sub *stuck = subscribe_to_be_evicted("a.>", 30 * MS);
    jb_sub *told = subscribe(mine, "system.bus.evicted", JB_SUB_LATEST, JB_SUB_FROM_NOW);
    jb_event_head head = {.topic_id = topic_of(theirs, "a.b"), .type = JB_EVENT_CUSTOM};
    jb_sub_stats stats = {.size = sizeof stats};
    jb_event events[8], notice;
    uint64_t n = publish_until_refused(theirs, 0);

    ck_assert_int_eq(jb_sub_peek(stuck, events, 8), 8);
    ck_assert_int_eq(jb_bus_publish_wait(theirs, &head, &n, sizeof n, 5000 * MS), 0);
    ck_assert_int_eq(jb_sub_advance(stuck), JB_EEVICTED);
    ck_assert_int_gt(jb_sub_peek(stuck, events, 8), 0);
    ck_assert_uint_gt(events[0].n_missed, 0);
    ck_assert_uint_eq(events[0].sequence, events[0].n_missed + 1);
    ck_assert_uint_eq(number_of(&events[0]), events[0].n_missed);
    ck_assert_int_eq(jb_sub_advance(stuck), 0);
    ck_assert_int_eq(jb_sub_get_stats(stuck, &stats), 0);
    ck_assert_uint_eq(stats.n_evicted, 1);
    ck_assert_uint_eq(stats.n_missed, events[0].n_missed);
    ck_assert_uint_eq(stats.n_delivered, 8);
    /* Lossless again. */
    ck_assert_uint_lt(publish_until_refused(theirs, 0), n);
    ck_assert_int_eq(jb_sub_wait(told, 1000 * MS), 1);
    ck_assert_int_eq(jb_sub_peek(told, &notice, 1), 1);
    ck_assert_uint_eq(notice.priority, JB_PRIORITY_HIGH);
    jb_sub_close(told);
    jb_sub_close(stuck);
}
END_TEST

START_TEST(test_a_subscription_that_moves_is_never_evicted)
{
    jb_sub *slow = subscribe_to_be_evicted("a.>", 100 * MS);
    jb_event event;

    publish_until_refused(theirs, 0);
    for (uint64_t i = 0; i < 15; i++) {
        ck_assert_int_eq(jb_sub_peek(slow, &event, 1), 1);
        ck_assert_int_eq(jb_sub_advance(slow), 0);
        usleep(15000);
        (void)publish_until_refused(theirs, 0);
    }
    ck_assert_int_eq(jb_sub_peek(slow, &event, 1), 1);
    ck_assert_uint_eq(event.n_missed, 0);
    ck_assert_uint_eq(event.sequence, 16);
    jb_sub_close(slow);
}
END_TEST

static jb_claim claim_of(jb_bus *bus, size_t len_bytes)
{
    jb_event_head head = {.topic_id = topic_of(bus, "a.b"), .type = JB_EVENT_CUSTOM};
    jb_claim claim;

    ck_assert_int_eq(jb_bus_claim(bus, &head, len_bytes, &claim), 0);
    memset(claim.payload, 0xaa, len_bytes);
    return claim;
}

static uint64_t n_revoked(jb_bus *bus)
{
    jb_bus_stats stats = {.size = sizeof stats};

    ck_assert_int_eq(jb_bus_get_stats(bus, &stats), 0);
    return stats.n_revoked;
}

START_TEST(test_a_stalled_claim_is_cancelled_and_keeps_its_bytes)
{
    jb_sub *sub = subscribe(mine, "a.>", JB_SUB_LATEST, JB_SUB_FROM_NOW);
    jb_sub *told = subscribe(mine, "system.bus.revoked", JB_SUB_LATEST, JB_SUB_FROM_NOW);
    jb_claim claim = claim_of(theirs, 1000);
    uint8_t *bytes = claim.payload;
    jb_event event;

    ck_assert_int_eq(publish_number(mine, "a.b", 1, 8), 0);
    ck_assert_int_eq(jb_sub_peek(sub, &event, 1), 0);
    usleep(15000);
    ck_assert_int_eq(jb_sub_peek(sub, &event, 1), 0);
    ck_assert_uint_ne(peer_stats(theirs).stalled_since_ns, 0);
    ck_assert_int_eq(jb_sub_wait(sub, 5000 * MS), 1);
    ck_assert_int_eq(jb_sub_peek(sub, &event, 1), 1);
    ck_assert_uint_eq(number_of(&event), 1);
    ck_assert_uint_eq(event.sequence, 1);
    ck_assert_uint_eq(n_revoked(mine), 1);
    ck_assert_uint_eq(peer_stats(theirs).stalled_since_ns, 0);
    ck_assert_int_eq(jb_sub_wait(told, 1000 * MS), 1);
    /* Twenty laps of others, and nobody writes where the stalled one may still write. */
    for (uint64_t i = 0; i < 6000; i++)
        ck_assert_int_eq(publish_number(mine, "a.b", i, 8 + i % 900), 0);
    for (size_t i = 0; i < 1000; i++)
        ck_assert_uint_eq(bytes[i], 0xaa);
    ck_assert_uint_eq(n_revoked(mine), 1);
    ck_assert_int_eq(jb_bus_commit(theirs, &claim, 1000), JB_ESTATE);
    ck_assert_uint_eq(n_revoked(mine), 0);
    jb_sub_close(told);
    jb_sub_close(sub);
}
END_TEST

START_TEST(test_a_revoked_batch_is_cancelled_whole)
{
    jb_sub *sub = subscribe(mine, "a.>", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    jb_event_head heads[3];
    uint32_t lens[3] = {100, 100, 100};
    uint8_t *rooms[3];
    jb_batch batch;
    jb_event event;

    for (int i = 0; i < 3; i++)
        heads[i] = (jb_event_head){.topic_id = topic_of(theirs, "a.b"), .type = JB_EVENT_CUSTOM};
    ck_assert_int_eq(jb_bus_claim_batch(theirs, heads, lens, 3, rooms, &batch), 0);
    ck_assert_int_eq(publish_number(mine, "a.b", 1, 8), 0);
    ck_assert_int_eq(jb_sub_wait(sub, 5000 * MS), 1);
    ck_assert_int_eq(jb_sub_peek(sub, &event, 1), 1);
    ck_assert_uint_eq(event.sequence, 1);
    ck_assert_int_eq(jb_bus_commit_batch(theirs, &batch), JB_ESTATE);
    ck_assert_uint_eq(n_revoked(mine), 0);
    jb_sub_close(sub);
}
END_TEST

START_TEST(test_closing_gives_revoked_bytes_back)
{
    jb_sub *sub = subscribe(mine, "a.>", JB_SUB_LATEST, JB_SUB_FROM_NOW);

    (void)claim_of(theirs, 1000);
    ck_assert_int_eq(publish_number(mine, "a.b", 1, 8), 0);
    ck_assert_int_eq(jb_sub_wait(sub, 5000 * MS), 1);
    for (uint64_t i = 0; i < 3000; i++)
        ck_assert_int_eq(publish_number(mine, "a.b", i, 8 + i % 900), 0);
    ck_assert_uint_eq(n_revoked(mine), 1);
    jb_bus_close(theirs);
    theirs = NULL;
    ck_assert_uint_eq(n_revoked(mine), 0);
    jb_sub_close(sub);
}
END_TEST

START_TEST(test_revoked_extents_everywhere_are_an_answer_and_no_hang)
{
    jb_sub *sub = subscribe(mine, "a.>", JB_SUB_LATEST, JB_SUB_FROM_NOW);
    jb_claim claims[20];

    for (int i = 0; i < 20; i++) {
        claims[i] = claim_of(theirs, 64);
        for (uint64_t k = 0; k < 3; k++)
            ck_assert_int_eq(publish_number(mine, "a.b", k, 1000), 0);
        ck_assert_int_eq(jb_sub_wait(sub, 5000 * MS), 1);
        while (jb_sub_peek(sub, &(jb_event){0}, 1) == 1)
            ck_assert_int_eq(jb_sub_advance(sub), 0);
    }
    ck_assert_uint_eq(n_revoked(mine), 20);
    for (uint64_t i = 0; i < 200; i++) {
        ck_assert_int_eq(publish_number(mine, "a.b", i, 1000), 0);
        ck_assert_int_eq(publish_number(mine, "a.b", i, 3900), JB_EAGAIN);
    }
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(jb_bus_abort(theirs, &claims[i]), JB_ESTATE);
    ck_assert_int_eq(publish_number(mine, "a.b", 0, 3900), 0);
    jb_sub_close(sub);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("flow");
    TCase *tc = suite_case(suite, "flow");

    tcase_add_checked_fixture(tc, make_buses, drop_buses);
    tcase_add_test(tc, test_a_budget_leaves_room_for_others);
    tcase_add_test(tc, test_a_budget_limits_only_what_somebody_has_to_read);
    tcase_add_test(tc, test_an_event_larger_than_the_budget_goes_alone);
    tcase_add_test(tc, test_waiting_for_room_ends_at_its_time);
    tcase_add_test(tc, test_a_subscription_that_stands_still_is_evicted_and_told);
    tcase_add_test(tc, test_a_subscription_that_moves_is_never_evicted);
    tcase_add_test(tc, test_a_stalled_claim_is_cancelled_and_keeps_its_bytes);
    tcase_add_test(tc, test_a_revoked_batch_is_cancelled_whole);
    tcase_add_test(tc, test_closing_gives_revoked_bytes_back);
    tcase_add_test(tc, test_revoked_extents_everywhere_are_an_answer_and_no_hang);
    return suite_run(suite);
}
