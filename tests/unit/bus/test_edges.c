/*
 * What the headers promise of a bus at its edges: claims used twice, lengths out of range, copies,
 * errors, other users.
 */
#include "bus/bus_internal.h"
#include "support/suite.h"

#include <stdio.h>
#include <unistd.h>

static jb_bus *bus;
static char name[64];
static char path[JBI_PATH_BYTES];

static void make_bus(void)
{
    bus = small_bus();
    snprintf(name, sizeof name, "test-edges-%d", (int)getpid());
    ck_assert_int_eq(jbi_segment_path(name, path, NULL), 0);
    unlink(path);
}

static void drop_bus(void)
{
    jb_bus_close(bus);
    unlink(path);
}

START_TEST(test_a_copy_of_a_finished_claim_changes_nothing)
{
    jb_sub *sub = subscribe(bus, ">", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    jb_event_head head = {.topic_id = topic_of(bus, "a.b"), .type = JB_EVENT_CUSTOM};
    jb_claim claim, copy;
    jb_event event;

    ck_assert_int_eq(jb_bus_claim(bus, &head, 100, &claim), 0);
    memset(claim.payload, 0, 100);
    copy = claim;
    ck_assert_int_eq(jb_bus_commit(bus, &claim, 100), 0);
    ck_assert_int_eq(jb_bus_commit(bus, &copy, 1), JB_ESTATE);
    ck_assert_int_eq(jb_sub_peek(sub, &event, 1), 1);
    ck_assert_uint_eq(event.len_bytes, 100);
    jb_sub_close(sub);
}
END_TEST

START_TEST(test_room_for_more_than_an_event_is_refused)
{
    ck_assert_int_eq(jb_bus_wait_space(bus, 16384 - 32, 0), 0);
    ck_assert_int_eq(jb_bus_wait_space(bus, 16384 - 31, 0), JB_ETOOBIG);
    ck_assert_int_eq(jb_bus_wait_space(bus, SIZE_MAX, 0), JB_ETOOBIG);
    ck_assert_int_eq(jb_bus_wait_space(bus, SIZE_MAX - 31, 0), JB_ETOOBIG);
}
END_TEST

START_TEST(test_latest_shows_the_same_again_after_being_overtaken)
{
    jb_sub *sub = subscribe(bus, ">", JB_SUB_LATEST, JB_SUB_FROM_NOW);
    jb_sub_stats stats = {.size = sizeof stats};
    jb_event first[4], again[8];

    for (uint64_t i = 0; i < 4; i++)
        ck_assert_int_eq(publish_number(bus, "a.b", i, 1000), 0);
    ck_assert_int_eq(jb_sub_peek(sub, first, 4), 4);
    for (uint64_t i = 4; i < 500; i++)
        ck_assert_int_eq(publish_number(bus, "a.b", i, 1000), 0);
    ck_assert_int_eq(jb_sub_peek(sub, again, 8), 8);
    ck_assert_mem_eq(again, first, sizeof first);
    for (uint64_t i = 0; i < 4; i++)
        ck_assert_uint_eq(number_of(&first[i]), i);
    ck_assert_uint_gt(again[4].n_missed, 400);
    ck_assert_uint_eq(number_of(&again[4]), 4 + again[4].n_missed);
    ck_assert_int_eq(jb_sub_peek(sub, again, 2), 2);
    ck_assert_int_eq(jb_sub_advance(sub), 0);
    ck_assert_int_eq(jb_sub_peek(sub, again, 1), 1);
    ck_assert_int_eq(jb_sub_advance(sub), 0);
    ck_assert_int_eq(jb_sub_get_stats(sub, &stats), 0);
    ck_assert_uint_eq(stats.n_delivered, 3);
    ck_assert_uint_eq(stats.n_delivered + stats.n_missed, again[0].sequence);
    jb_sub_close(sub);
}
END_TEST

START_TEST(test_an_error_is_written_only_on_failure)
{
    jb_bus *named;
    jb_error err;

    jb_error_init(&err);
    ck_assert_int_eq(jb_bus_open(name, NULL, &named, &err), 0);
    ck_assert_int_eq(err.code, 0);
    ck_assert_str_eq(err.msg, "");
    jb_bus_close(named);
}
END_TEST

/* Anyone may make a file in /dev/shm, under a name of ours too. */
START_TEST(test_a_bus_of_our_name_that_another_user_made_is_refused)
{
    jb_bus_opts opts;
    jb_bus *named, *same;

    if (geteuid() != 0)
        return;
    jb_bus_opts_init(&opts, sizeof opts);
    opts.mode = 0666;
    ck_assert_int_eq(jb_bus_create(name, &opts, &named, NULL), 0);
    ck_assert_int_eq(chown(path, 65534, 65534), 0);
    ck_assert_int_eq(jb_bus_open(name, NULL, &same, NULL), JB_EPERM);
    ck_assert_int_eq(jb_bus_attach(name, NULL, &same, NULL), JB_EPERM);
    /* Who names the file itself knows whose it is. */
    ck_assert_int_eq(jb_bus_attach(path, NULL, &same, NULL), 0);
    jb_bus_close(same);
    jb_bus_close(named);
}
END_TEST

/* A lossless subscription of one's own that stands still, until publishers go on without it. */
static jb_sub *evicted_sub(jb_bus *on)
{
    jb_sub_opts opts;
    jb_sub *sub;
    uint64_t until = jb_clock_now_ns() + UINT64_C(20000000000);

    jb_sub_opts_init(&opts, sizeof opts);
    opts.evict_after_ns = 1000000;
    ck_assert_int_eq(jb_bus_subscribe(on, ">", 1, &opts, &sub, NULL), 0);
    while (publish_number(on, "edge.x", 1, 1000) == 0)
        ;
    while (publish_number(on, "edge.x", 1, 1000) == JB_EAGAIN)
        ck_assert_uint_lt(jb_clock_now_ns(), until);
    return sub;
}

START_TEST(test_an_evicted_subscription_is_still_counted)
{
    jb_bus *small = small_bus();
    jb_sub *sub = evicted_sub(small);
    jb_sub_stats stats = {.size = sizeof stats};

    ck_assert_int_eq(jb_sub_get_stats(sub, &stats), 0);
    ck_assert_uint_eq(stats.policy, JB_SUB_LOSSLESS);
    ck_assert_int_eq(jb_bus_sub_stats(small, stats.idx, &stats), 0);
    jb_sub_close(sub);
    jb_bus_close(small);
}
END_TEST

START_TEST(test_closing_an_evicted_subscription_frees_its_place)
{
    jb_bus *small = small_bus();
    jb_bus_stats stats = {.size = sizeof stats};

    jb_sub_close(evicted_sub(small));
    ck_assert_int_eq(jb_bus_get_stats(small, &stats), 0);
    ck_assert_uint_eq(stats.n_subs, 0);
    jb_bus_close(small);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("edges");
    TCase *tc = suite_case(suite, "edges");

    tcase_add_checked_fixture(tc, make_bus, drop_bus);
    tcase_add_test(tc, test_a_copy_of_a_finished_claim_changes_nothing);
    tcase_add_test(tc, test_room_for_more_than_an_event_is_refused);
    tcase_add_test(tc, test_latest_shows_the_same_again_after_being_overtaken);
    tcase_add_test(tc, test_an_error_is_written_only_on_failure);
    tcase_add_test(tc, test_a_bus_of_our_name_that_another_user_made_is_refused);
    tcase_add_test(tc, test_an_evicted_subscription_is_still_counted);
    tcase_add_test(tc, test_closing_an_evicted_subscription_frees_its_place);
    return suite_run(suite);
}
