/*
 * test_notice.c: who is asked to give back what somebody of a higher class waits for, and who gets
 * it then.
 */
#include "quota.h"

#define NOTICE_NS (10 * MS)

static jb_coord *noticing_coord(const jb_share_spec *share)
{
    jb_coord_opts opts;

    small_opts(&opts);
    opts.notice_ns = NOTICE_NS;
    opts.aging_ns = 100 * S;
    opts.shares = share;
    opts.n_shares = share ? 1 : 0;
    return open_coord(NULL, &opts);
}

static int try_as(jb_coord *coord, uint32_t component, uint32_t lease_class, uint64_t n,
                  jb_lease *ret_lease)
{
    jb_amount amount = {.resource = MEM, .amount = n};
    jb_want want = want_of(component, lease_class, &amount);

    return jb_coord_try(coord, &want, ret_lease);
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
    finish(coord);
}
END_TEST

/* Two low ones give back in turn; each has another low one behind it that would take the half. */
START_TEST(test_room_made_by_notice_is_kept_for_whom_it_is_made)
{
    jb_coord *coord = noticing_coord(NULL);
    jb_ticket critical;
    jb_lease low[2], lease;

    for (uint32_t i = 0; i < 2; i++)
        ck_assert_int_eq(try_as(coord, BOB + i, JB_CLASS_LOW, 50, &low[i]), 0);
    for (uint32_t i = 0; i < 2; i++)
        (void)ask_mem(coord, BOB + i, JB_CLASS_LOW, 50);
    critical = ask_mem(coord, ALICE, JB_CLASS_CRITICAL, 80);
    test_now_ns += NOTICE_NS / 2 + MS;
    ck_assert_int_eq(jb_lease_release(coord, &low[0]), 0);
    ck_assert_uint_eq(allocated(coord, MEM), 50);
    test_now_ns += NOTICE_NS / 2 - MS;
    ck_assert_int_eq(jb_coord_poll(coord, &critical, &lease), 1);
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
    tcase_add_test(tcase, test_room_made_by_notice_is_kept_for_whom_it_is_made);
    return suite_run(suite);
}
