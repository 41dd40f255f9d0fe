/*
 * test_claims.c: what is kept for one who is due, where ceilings, what is foreign and other lines
 * meet: the bound holds for every LOW that could be served at all.
 */
#include "quota.h"

#include <stdio.h>

#define AGING_NS      (100 * MS)
#define LOW_IS_DUE_NS (4 * AGING_NS)
#define HOLD_NS       (10 * MS)

static void bound_opts(jb_coord_opts *opts, const jb_share_spec *share, uint64_t max_hold_ns)
{
    small_opts(opts);
    opts->aging_ns = AGING_NS;
    opts->max_hold_ns = max_hold_ns;
    opts->shares = share;
    opts->n_shares = share ? 1 : 0;
}

static jb_coord *bound_coord(const jb_share_spec *share, uint64_t max_hold_ns)
{
    jb_coord_opts opts;

    bound_opts(&opts, share, max_hold_ns);
    return open_coord(NULL, &opts);
}

/* HIGH ones without end, half of n each, of whom one or the other always has some. */
static void low_is_served_within_the_bound(jb_coord *coord, uint32_t low_of, uint32_t high_of,
                                           uint64_t n)
{
    jb_ticket high[2], low;
    uint64_t began;
    jb_lease lease;

    for (int i = 0; i < 2; i++) {
        high[i] = ask_mem(coord, high_of, JB_CLASS_HIGH, n / 2);
        test_now_ns += HOLD_NS / 2;
    }
    low = ask_mem(coord, low_of, JB_CLASS_LOW, n);
    began = test_now_ns;
    while (jb_coord_poll(coord, &low, &lease) != 1) {
        for (int i = 0; i < 2; i++) {
            if (jb_coord_poll(coord, &high[i], &lease) == 1)
                high[i] = ask_mem(coord, high_of, JB_CLASS_HIGH, n / 2);
        }
        test_now_ns += MS;
        ck_assert_uint_le(test_now_ns - began, LOW_IS_DUE_NS + 3 * HOLD_NS);
    }
    ck_assert_uint_ge(test_now_ns - began, LOW_IS_DUE_NS);
}

/* Without a ceiling, what a component has itself is in the way like what others have. */
START_TEST(test_low_is_served_within_the_bound_under_high_of_its_own_component)
{
    jb_coord *coord = bound_coord(NULL, HOLD_NS);

    low_is_served_within_the_bound(coord, ALICE, ALICE, 100);
    finish(coord);
}
END_TEST

START_TEST(test_a_low_at_its_ceiling_is_served_within_the_bound_under_its_own_high)
{
    jb_share_spec share = {.component = ALICE, .resource = MEM, .ceiling = 50};
    jb_coord *coord = bound_coord(&share, HOLD_NS);

    low_is_served_within_the_bound(coord, ALICE, ALICE, 50);
    finish(coord);
}
END_TEST

/* Alice's other wants give way in memory only, and bob's do not. */
START_TEST(test_a_due_one_at_its_ceiling_holds_up_its_component_in_what_it_wants)
{
    jb_share_spec share = {.component = ALICE, .resource = MEM, .ceiling = 50};
    jb_coord *coord = bound_coord(&share, 0);
    jb_amount gpu = {.resource = GPU, .amount = 1000};
    jb_want other = want_of(ALICE, JB_CLASS_NORMAL, &gpu);
    jb_lease of_alice, lease;
    jb_ticket low;

    ck_assert_int_eq(try_mem(coord, ALICE, 30, 0, &of_alice), 0);
    low = ask_mem(coord, ALICE, JB_CLASS_LOW, 50);
    test_now_ns += LOW_IS_DUE_NS - 1;
    ck_assert_int_eq(try_as(coord, ALICE, JB_CLASS_CRITICAL, 20, &lease), 0);
    ck_assert_int_eq(jb_lease_release(coord, &lease), 0);
    test_now_ns += 1;
    ck_assert_int_eq(try_as(coord, ALICE, JB_CLASS_CRITICAL, 20, &lease), JB_EAGAIN);
    ck_assert_int_eq(try_as(coord, BOB, JB_CLASS_LOW, 50, &lease), 0);
    ck_assert_int_eq(jb_coord_try(coord, &other, &lease), 0);
    ck_assert_int_eq(jb_lease_release(coord, &of_alice), 0);
    ck_assert_int_eq(jb_coord_poll(coord, &low, &lease), 1);
    finish(coord);
}
END_TEST

/* What alice waits for beside it is bob's: while her others went on below her ceiling, it would be
 * in the way when he gives back. */
START_TEST(test_what_is_below_its_ceiling_is_kept_while_a_due_one_waits_for_others)
{
    jb_share_spec share = {.component = ALICE, .resource = MEM, .ceiling = 50};
    jb_coord *coord = bound_coord(&share, 0);
    jb_amount both[] = {{.resource = GPU, .amount = 1000}, {.resource = MEM, .amount = 40}};
    jb_want gpu = want_of(BOB, JB_CLASS_NORMAL, both);
    jb_want want = want_of(ALICE, JB_CLASS_LOW, both);
    jb_lease of_bob, lease;
    jb_ticket low;

    want.n_amounts = 2;
    ck_assert_int_eq(jb_coord_try(coord, &gpu, &of_bob), 0);
    ck_assert_int_eq(jb_coord_request(coord, &want, &low), 0);
    test_now_ns += LOW_IS_DUE_NS;
    ck_assert_int_eq(try_as(coord, ALICE, JB_CLASS_CRITICAL, 11, &lease), JB_EAGAIN);
    ck_assert_int_eq(try_as(coord, ALICE, JB_CLASS_CRITICAL, 10, &lease), 0);
    ck_assert_int_eq(try_as(coord, BOB, JB_CLASS_LOW, 50, &lease), 0);
    ck_assert_int_eq(jb_lease_release(coord, &of_bob), 0);
    ck_assert_int_eq(jb_coord_poll(coord, &low, &lease), 1);
    finish(coord);
}
END_TEST

START_TEST(test_nothing_is_kept_for_a_due_one_before_its_pace_lets_it_go)
{
    const jb_share_spec shares[] = {{.component = ALICE, .resource = GPU, .ceiling = 250},
                                    {.component = ALICE, .resource = MEM, .ceiling = 50}};
    jb_amount both[] = {{.resource = GPU, .amount = 1000}, {.resource = MEM, .amount = 40}};
    jb_want want = want_of(ALICE, JB_CLASS_LOW, both);
    jb_coord_opts opts;
    jb_lease lease, other;
    jb_coord *coord;
    jb_ticket low;

    bound_opts(&opts, shares, 0);
    opts.n_shares = 2;
    coord = open_coord(NULL, &opts);
    ck_assert_int_eq(jb_coord_try(coord, &want, &lease), 0);
    test_now_ns += S;
    ck_assert_int_eq(jb_lease_release(coord, &lease), 0);
    want.n_amounts = 2;
    ck_assert_int_eq(jb_coord_request(coord, &want, &low), 0);
    test_now_ns += LOW_IS_DUE_NS;
    ck_assert_int_eq(try_as(coord, ALICE, JB_CLASS_CRITICAL, 50, &lease), 0);
    ck_assert_int_eq(try_as(coord, BOB, JB_CLASS_CRITICAL, 50, &other), 0);
    ck_assert_int_eq(jb_lease_release(coord, &other), 0);
    ck_assert_int_eq(jb_lease_release(coord, &lease), 0);
    test_now_ns += 3 * S;
    ck_assert_int_eq(jb_coord_poll(coord, &low, &lease), 1);
    finish(coord);
}
END_TEST

START_TEST(test_renewals_give_way_to_a_due_one_at_the_ceiling_of_their_component)
{
    jb_share_spec share = {.component = ALICE, .resource = MEM, .ceiling = 50};
    jb_coord *coord = bound_coord(&share, HOLD_NS);
    jb_lease of_alice, of_bob, lease;
    jb_ticket low;

    ck_assert_int_eq(try_mem(coord, ALICE, 30, 0, &of_alice), 0);
    ck_assert_int_eq(try_mem(coord, BOB, 30, 0, &of_bob), 0);
    low = ask_mem(coord, ALICE, JB_CLASS_LOW, 50);
    for (int i = 1; i < 80; i++) {
        test_now_ns += LOW_IS_DUE_NS / 80;
        ck_assert_int_eq(jb_lease_renew(coord, &of_alice, 0), 0);
        ck_assert_int_eq(jb_lease_renew(coord, &of_bob, 0), 0);
    }
    test_now_ns += LOW_IS_DUE_NS / 80;
    ck_assert_int_eq(jb_lease_renew(coord, &of_alice, 0), JB_ESTATE);
    ck_assert_int_eq(jb_lease_renew(coord, &of_bob, 0), 0);
    test_now_ns = of_alice.deadline_ns;
    ck_assert_int_eq(jb_coord_poll(coord, &low, &lease), 1);
    finish(coord);
}
END_TEST

/* Carol has all she may of one resource, and a line for it, for each class, with each of the
 * others: as many as there may be claims at a time. All of them have been due for longer than
 * bob's, or than another of alice's at her own ceiling. */
START_TEST(test_lines_at_their_own_ceiling_take_no_other_claims_place)
{
    enum { CALLS = N_RESOURCES, FIRST, N = FIRST + 16 };
    const jb_share_spec shares[] = {{.component = CAROL, .resource = CALLS, .ceiling = 10},
                                    {.component = ALICE, .resource = MEM, .ceiling = 80}};
    const jb_amount calls = {.resource = CALLS, .amount = 10};
    const jb_want all = want_of(CAROL, JB_CLASS_NORMAL, &calls);
    jb_resource_spec resources[N];
    char names[N][JB_QUOTA_NAME_BYTES];
    jb_coord_opts opts;
    jb_coord *coord;
    jb_ticket ticket;
    jb_lease lease;

    for (uint32_t i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "r%u", i);
        resources[i] =
            (jb_resource_spec){.name = names[i], .kind = JB_RESOURCE_MEMORY, .capacity = 100};
    }
    bound_opts(&opts, shares, 0);
    opts.n_shares = 2;
    opts.resources = resources;
    opts.n_resources = N;
    opts.max_waiters = 80;
    coord = open_coord(NULL, &opts);
    ck_assert_int_eq(jb_coord_try(coord, &all, &lease), 0);
    for (uint32_t lease_class = JB_CLASS_LOW; lease_class <= JB_CLASS_CRITICAL; lease_class++) {
        for (uint32_t i = FIRST; i < N; i++) {
            jb_amount both[] = {{.resource = CALLS, .amount = 10}, {.resource = i, .amount = 1}};
            jb_want want = want_of(CAROL, lease_class, both);

            want.n_amounts = 2;
            ck_assert_int_eq(jb_coord_request(coord, &want, &ticket), 0);
        }
    }
    test_now_ns += LOW_IS_DUE_NS;
    ck_assert_int_eq(try_mem(coord, ALICE, 50, 0, &lease), 0);
    ticket = ask_mem(coord, _i ? ALICE : BOB, JB_CLASS_LOW, 80);
    ck_assert_int_eq(try_as(coord, ALICE, JB_CLASS_CRITICAL, 20, &lease), 0);
    ck_assert_int_eq(jb_lease_release(coord, &lease), 0);
    test_now_ns += LOW_IS_DUE_NS;
    ck_assert_int_eq(try_as(coord, ALICE, JB_CLASS_CRITICAL, 20, &lease), JB_EAGAIN);
    finish(coord);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("claims");
    TCase *tcase = suite_case(suite, "claims");

    tcase_add_test(tcase, test_low_is_served_within_the_bound_under_high_of_its_own_component);
    tcase_add_test(tcase, test_a_low_at_its_ceiling_is_served_within_the_bound_under_its_own_high);
    tcase_add_test(tcase, test_a_due_one_at_its_ceiling_holds_up_its_component_in_what_it_wants);
    tcase_add_test(tcase, test_what_is_below_its_ceiling_is_kept_while_a_due_one_waits_for_others);
    tcase_add_test(tcase, test_nothing_is_kept_for_a_due_one_before_its_pace_lets_it_go);
    tcase_add_test(tcase, test_renewals_give_way_to_a_due_one_at_the_ceiling_of_their_component);
    tcase_add_loop_test(tcase, test_lines_at_their_own_ceiling_take_no_other_claims_place, 0, 2);
    return suite_run(suite);
}
