/*
 * test_notice.c: who is asked to give back what somebody of a higher class waits for, and who gets
 * it then.
 */
#include "quota.h"

#define NOTICE_NS     (10 * MS)
#define AGING_NS      (100 * S)
#define LOW_IS_DUE_NS (4 * AGING_NS)

static jb_coord *noticing_coord(const jb_share_spec *share)
{
    jb_coord_opts opts;

    small_opts(&opts);
    opts.notice_ns = NOTICE_NS;
    opts.aging_ns = AGING_NS;
    opts.shares = share;
    opts.n_shares = share ? 1 : 0;
    return open_coord(NULL, &opts);
}

static int n_given_notice(jb_coord *coord, const jb_lease *leases, int n)
{
    int n_given = 0;

    for (int i = 0; i < n; i++)
        n_given += jb_lease_check(coord, &leases[i], NULL) == JB_LEASE_NOTICE;
    return n_given;
}

START_TEST(test_a_high_waiter_ends_the_lease_of_a_low_one)
{
    jb_coord *coord = noticing_coord(NULL);
    jb_lease lease, other;
    jb_ticket high;

    ck_assert_int_eq(try_as(coord, ALICE, JB_CLASS_LOW, 60, &lease), 0);
    ck_assert_int_eq(try_mem(coord, CAROL, 40, 0, &other), 0);
    high = ask_mem(coord, BOB, JB_CLASS_HIGH, 50);
    ck_assert_int_eq(jb_lease_check(coord, &lease, NULL), JB_LEASE_NOTICE);
    ck_assert_int_eq(jb_lease_check(coord, &other, NULL), JB_LEASE_GOOD);
    test_now_ns += NOTICE_NS;
    ck_assert_int_eq(jb_coord_poll(coord, &high, &other), 1);
    finish(coord);
}
END_TEST

START_TEST(test_nobody_is_given_notice_in_vain)
{
    jb_coord *coord = noticing_coord(NULL);
    jb_lease lease, other;

    ck_assert_int_eq(try_as(coord, ALICE, JB_CLASS_LOW, 60, &lease), 0);
    ck_assert_int_eq(try_as(coord, ALICE, JB_CLASS_CRITICAL, 40, &other), 0);
    (void)ask_mem(coord, BOB, JB_CLASS_HIGH, 61);
    ck_assert_int_eq(jb_lease_check(coord, &lease, NULL), JB_LEASE_GOOD);
    finish(coord);
}
END_TEST

START_TEST(test_notice_leaves_a_component_what_it_is_guaranteed)
{
    jb_share_spec share = {.component = ALICE, .resource = MEM, .guaranteed = 50};
    jb_coord *coord = noticing_coord(&share);
    jb_lease leases[6], other;

    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(try_as(coord, ALICE, JB_CLASS_LOW, 10, &leases[i]), 0);
    ck_assert_int_eq(try_mem(coord, CAROL, 40, 0, &other), 0);
    (void)ask_mem(coord, BOB, JB_CLASS_CRITICAL, 60);
    ck_assert_int_eq(n_given_notice(coord, leases, 6), 0);
    (void)ask_mem(coord, CAROL, JB_CLASS_HIGH, 10);
    ck_assert_int_eq(n_given_notice(coord, leases, 6), 1);
    (void)ask_mem(coord, BOB, JB_CLASS_HIGH, 10);
    ck_assert_int_eq(n_given_notice(coord, leases, 6), 1);
    finish(coord);
}
END_TEST

/* Two low ones give back in turn; others of every class stand in line who would take the half. */
START_TEST(test_room_made_by_notice_is_kept_from_whoever_goes_after)
{
    jb_coord *coord = noticing_coord(NULL);
    jb_ticket critical;
    jb_lease low[2], lease;

    for (uint32_t i = 0; i < 2; i++)
        ck_assert_int_eq(try_as(coord, BOB + i, JB_CLASS_LOW, 50, &low[i]), 0);
    critical = ask_mem(coord, ALICE, JB_CLASS_CRITICAL, 80);
    for (uint32_t i = 0; i < 2; i++)
        (void)ask_mem(coord, BOB + i, (uint32_t)_i, 50);
    test_now_ns += NOTICE_NS / 2 + MS;
    ck_assert_int_eq(jb_lease_release(coord, &low[0]), 0);
    ck_assert_uint_eq(allocated(coord, MEM), 50);
    test_now_ns += NOTICE_NS / 2 - MS;
    ck_assert_int_eq(jb_coord_poll(coord, &critical, &lease), 1);
    finish(coord);
}
END_TEST

START_TEST(test_a_waiter_ends_a_low_lease_of_its_own_component)
{
    jb_coord *coord = noticing_coord(NULL);
    jb_ticket critical;
    jb_lease lease;

    ck_assert_int_eq(try_as(coord, ALICE, JB_CLASS_LOW, 60, &lease), 0);
    critical = ask_mem(coord, ALICE, JB_CLASS_CRITICAL, 60);
    ck_assert_int_eq(jb_lease_check(coord, &lease, NULL), JB_LEASE_NOTICE);
    test_now_ns += NOTICE_NS;
    ck_assert_int_eq(jb_coord_poll(coord, &critical, &lease), 1);
    finish(coord);
}
END_TEST

/* Alice has 60, and bob, who is due, takes the others inside carol's try. */
START_TEST(test_a_try_that_is_denied_gives_no_notice)
{
    jb_coord *coord = noticing_coord(NULL);
    jb_lease low, lease;
    jb_ticket due;

    ck_assert_int_eq(try_as(coord, ALICE, JB_CLASS_LOW, 60, &low), 0);
    ck_assert_int_eq(try_mem(coord, CAROL, 40, LOW_IS_DUE_NS + S, &lease), 0);
    due = ask_mem(coord, BOB, JB_CLASS_LOW, 40);
    test_now_ns += LOW_IS_DUE_NS + S;
    ck_assert_int_eq(try_as(coord, CAROL, JB_CLASS_HIGH, 40, &lease), JB_EAGAIN);
    ck_assert_int_eq(jb_lease_check(coord, &low, NULL), JB_LEASE_GOOD);
    ck_assert_int_eq(jb_coord_poll(coord, &due, &lease), 1);
    finish(coord);
}
END_TEST

/* Leases have 100 of 100, of which 30 are in use without one besides: alice's 50 are 20 for bob. */
START_TEST(test_what_is_foreign_beyond_what_is_free_is_lacking_too)
{
    jb_coord *coord = noticing_coord(NULL);
    jb_lease low, lease;
    jb_ticket high;

    ck_assert_int_eq(try_as(coord, ALICE, JB_CLASS_LOW, 50, &low), 0);
    ck_assert_int_eq(try_as(coord, CAROL, JB_CLASS_CRITICAL, 50, &lease), 0);
    ck_assert_int_eq(jb_coord_set_foreign(coord, MEM, 30), 0);
    high = ask_mem(coord, BOB, JB_CLASS_HIGH, 21);
    ck_assert_int_eq(jb_lease_check(coord, &low, NULL), JB_LEASE_GOOD);
    ck_assert_int_eq(jb_coord_cancel(coord, &high), 0);
    (void)ask_mem(coord, BOB, JB_CLASS_HIGH, 20);
    ck_assert_int_eq(jb_lease_check(coord, &low, NULL), JB_LEASE_NOTICE);
    finish(coord);
}
END_TEST

START_TEST(test_a_notice_of_hours_is_no_room_that_is_coming)
{
    jb_coord *coord = noticing_coord(NULL);
    jb_lease leaves, stays, lease;
    jb_ticket critical;

    ck_assert_int_eq(try_as(coord, ALICE, JB_CLASS_LOW, 40, &leaves), 0);
    ck_assert_int_eq(try_as(coord, BOB, JB_CLASS_LOW, 40, &stays), 0);
    ck_assert_int_eq(jb_lease_revoke(coord, leaves.token, leaves.slot, 3600 * S), 0);
    critical = ask_mem(coord, CAROL, JB_CLASS_CRITICAL, 60);
    test_now_ns += NOTICE_NS;
    ck_assert_int_eq(jb_coord_poll(coord, &critical, &lease), 1);
    ck_assert_uint_eq(allocated(coord, MEM), 100);
    finish(coord);
}
END_TEST

START_TEST(test_a_notice_of_hours_is_shortened_for_a_waiter)
{
    jb_coord *coord = noticing_coord(NULL);
    jb_lease low, lease;
    jb_ticket high;

    ck_assert_int_eq(try_as(coord, ALICE, JB_CLASS_LOW, 60, &low), 0);
    ck_assert_int_eq(jb_lease_revoke(coord, low.token, low.slot, 3600 * S), 0);
    high = ask_mem(coord, BOB, JB_CLASS_HIGH, 60);
    test_now_ns += NOTICE_NS;
    ck_assert_int_eq(jb_coord_poll(coord, &high, &lease), 1);
    ck_assert_int_eq(jb_lease_check(coord, &low, NULL), JB_ENOENT);
    finish(coord);
}
END_TEST

START_TEST(test_nobody_is_given_notice_for_room_that_a_due_one_will_take)
{
    jb_coord *coord = noticing_coord(NULL);
    jb_lease low, lease;

    ck_assert_int_eq(try_as(coord, ALICE, JB_CLASS_LOW, 60, &low), 0);
    ck_assert_int_eq(try_as(coord, BOB, JB_CLASS_CRITICAL, 40, &lease), 0);
    (void)ask_mem(coord, BOB, JB_CLASS_LOW, 60);
    test_now_ns += LOW_IS_DUE_NS;
    (void)ask_mem(coord, CAROL, JB_CLASS_HIGH, 60);
    ck_assert_int_eq(jb_lease_check(coord, &low, NULL), JB_LEASE_GOOD);
    finish(coord);
}
END_TEST

START_TEST(test_room_that_is_coming_is_promised_to_one_only)
{
    jb_coord *coord = noticing_coord(NULL);
    jb_ticket tickets[2];
    jb_lease low[2], lease;

    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(try_as(coord, ALICE, JB_CLASS_LOW, 50, &low[i]), 0);
    tickets[0] = ask_mem(coord, BOB, JB_CLASS_CRITICAL, 50);
    ck_assert_int_eq(n_given_notice(coord, low, 2), 1);
    tickets[1] = ask_mem(coord, CAROL, JB_CLASS_HIGH, 50);
    test_now_ns += NOTICE_NS;
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(jb_coord_poll(coord, &tickets[i], &lease), 1);
    finish(coord);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("notice");
    TCase *tcase = suite_case(suite, "notice");

    tcase_add_test(tcase, test_a_high_waiter_ends_the_lease_of_a_low_one);
    tcase_add_test(tcase, test_nobody_is_given_notice_in_vain);
    tcase_add_test(tcase, test_notice_leaves_a_component_what_it_is_guaranteed);
    tcase_add_loop_test(tcase, test_room_made_by_notice_is_kept_from_whoever_goes_after,
                        JB_CLASS_LOW, JB_CLASS_CRITICAL + 1);
    tcase_add_test(tcase, test_a_waiter_ends_a_low_lease_of_its_own_component);
    tcase_add_test(tcase, test_a_try_that_is_denied_gives_no_notice);
    tcase_add_test(tcase, test_what_is_foreign_beyond_what_is_free_is_lacking_too);
    tcase_add_test(tcase, test_a_notice_of_hours_is_no_room_that_is_coming);
    tcase_add_test(tcase, test_a_notice_of_hours_is_shortened_for_a_waiter);
    tcase_add_test(tcase, test_nobody_is_given_notice_for_room_that_a_due_one_will_take);
    tcase_add_test(tcase, test_room_that_is_coming_is_promised_to_one_only);
    return suite_run(suite);
}
