/*
 * test_queue.c: who is next: first come, first served in a line; class, weight, age and guarantee
 * between lines.
 */
#include "quota.h"

static jb_lease holder;

/* A coordinator where each class ages so fast, or the usual way, with a share or none. */
static jb_coord *coord_with(uint64_t aging_ns, const jb_share_spec *share)
{
    jb_coord_opts opts;

    small_opts(&opts);
    if (aging_ns)
        opts.aging_ns = aging_ns;
    opts.shares = share;
    opts.n_shares = share ? 1 : 0;
    return open_coord(NULL, &opts);
}

/* One whose memory somebody has all of. */
static jb_coord *full(jb_coord *coord)
{
    ck_assert_int_eq(try_mem(coord, CAROL, 100, 0, &holder), 0);
    return coord;
}

/* Stand in line for so long. */
static jb_ticket ask_for(jb_coord *coord, uint32_t component, uint64_t n, uint64_t wait_ns)
{
    jb_amount amount = {.resource = MEM, .amount = n};
    jb_want want = want_of(component, JB_CLASS_NORMAL, &amount);
    jb_ticket ticket;

    want.wait_ns = wait_ns;
    ck_assert_int_eq(jb_coord_request(coord, &want, &ticket), 0);
    return ticket;
}

/* When the next thing is due, from now. */
static uint64_t tick(jb_coord *coord)
{
    uint64_t next = 0;

    ck_assert_int_ge(jb_coord_tick(coord, &next), 0);
    return next;
}

static bool is_granted(jb_coord *coord, const jb_ticket *ticket, jb_lease *ret_lease)
{
    int rc = jb_coord_poll(coord, ticket, ret_lease);

    ck_assert_int_ge(rc, 0);
    return rc == 1;
}

START_TEST(test_a_line_is_first_come_first_served)
{
    jb_coord *coord = full(small_coord());
    jb_ticket big = ask_mem(coord, ALICE, JB_CLASS_NORMAL, 80);
    jb_ticket small = ask_mem(coord, ALICE, JB_CLASS_NORMAL, 10);
    jb_lease lease;

    ck_assert_int_eq(jb_lease_shrink(coord, &holder, MEM, 50), 0);
    ck_assert(!is_granted(coord, &small, &lease));
    ck_assert_int_eq(jb_lease_release(coord, &holder), 0);
    ck_assert(is_granted(coord, &small, &lease));
    ck_assert(is_granted(coord, &big, &lease));
    ck_assert_int_eq(jb_coord_poll(coord, &big, &lease), JB_ENOENT);
    finish(coord);
}
END_TEST

START_TEST(test_nothing_stays_idle_beside_another_line_whose_head_fits)
{
    jb_coord *coord = full(small_coord());
    jb_ticket big = ask_mem(coord, ALICE, JB_CLASS_HIGH, 80);
    jb_ticket small = ask_mem(coord, BOB, JB_CLASS_LOW, 10);
    jb_lease lease;

    ck_assert_int_eq(jb_lease_shrink(coord, &holder, MEM, 50), 0);
    ck_assert(is_granted(coord, &small, &lease));
    ck_assert(!is_granted(coord, &big, &lease));
    finish(coord);
}
END_TEST

START_TEST(test_the_higher_class_goes_first)
{
    jb_coord *coord = full(small_coord());
    jb_ticket low = ask_mem(coord, ALICE, JB_CLASS_LOW, 60);
    jb_ticket high = ask_mem(coord, ALICE, JB_CLASS_HIGH, 60);
    jb_ticket critical = ask_mem(coord, BOB, JB_CLASS_CRITICAL, 60);
    jb_lease lease;

    ck_assert_int_eq(jb_lease_release(coord, &holder), 0);
    ck_assert(!is_granted(coord, &high, &lease));
    ck_assert(is_granted(coord, &critical, &lease));
    ck_assert_int_eq(jb_lease_release(coord, &lease), 0);
    ck_assert(!is_granted(coord, &low, &lease));
    ck_assert(is_granted(coord, &high, &lease));
    finish(coord);
}
END_TEST

/* HIGH wants come without end, each held for 20 ms; LOW is due after 4 times 100 ms. */
START_TEST(test_low_is_served_within_the_bound_under_endless_high)
{
    const uint64_t hold = 20 * MS;
    jb_coord_opts opts;
    jb_coord *coord;
    jb_ticket low, high[2];
    uint64_t began;
    jb_lease lease;

    small_opts(&opts);
    opts.aging_ns = 100 * MS;
    opts.max_hold_ns = hold;
    coord = full(open_coord(NULL, &opts));
    low = ask_mem(coord, BOB, JB_CLASS_LOW, 100);
    began = test_now_ns;
    for (int i = 0; i < 2; i++)
        high[i] = ask_mem(coord, ALICE, JB_CLASS_HIGH, 60);
    while (!is_granted(coord, &low, &lease)) {
        test_now_ns += hold / 4;
        for (int i = 0; i < 2; i++) {
            if (is_granted(coord, &high[i], &lease))
                high[i] = ask_mem(coord, ALICE, JB_CLASS_HIGH, 60);
        }
        ck_assert_uint_le(test_now_ns - began, 4 * opts.aging_ns + 3 * hold);
    }
    ck_assert_uint_ge(test_now_ns - began, 4 * opts.aging_ns);
    finish(coord);
}
END_TEST

START_TEST(test_what_a_due_one_wants_is_kept_for_it)
{
    jb_coord *coord = full(coord_with(MS, NULL));
    jb_ticket low = ask_mem(coord, BOB, JB_CLASS_LOW, 80), high;
    jb_lease lease;

    test_now_ns += 4 * MS;
    high = ask_mem(coord, ALICE, JB_CLASS_HIGH, 10);
    ck_assert_int_eq(jb_lease_shrink(coord, &holder, MEM, 60), 0);
    ck_assert(!is_granted(coord, &high, &lease));
    ck_assert_int_eq(jb_lease_release(coord, &holder), 0);
    ck_assert(is_granted(coord, &low, &lease));
    ck_assert(is_granted(coord, &high, &lease));
    finish(coord);
}
END_TEST

START_TEST(test_nothing_is_kept_for_one_that_what_is_foreign_makes_impossible)
{
    jb_amount both[] = {{.resource = MEM, .amount = 80}, {.resource = GPU, .amount = 1000}};
    jb_want want = {.component = BOB, .lease_class = JB_CLASS_LOW, .n_amounts = 2, .amounts = both};
    jb_amount gpu = {.resource = GPU, .amount = 500};
    jb_want other = want_of(ALICE, JB_CLASS_NORMAL, &gpu);
    jb_coord *coord = small_coord();
    jb_ticket low;
    jb_lease lease, mem;

    ck_assert_int_eq(jb_coord_set_foreign(coord, MEM, 30), 0);
    ck_assert_int_eq(jb_coord_request(coord, &want, &low), 0);
    test_now_ns += 100 * S;
    ck_assert_int_eq(try_mem(coord, ALICE, 70, 0, &mem), 0);
    ck_assert_int_eq(jb_coord_try(coord, &other, &lease), 0);
    ck_assert_int_eq(jb_lease_release(coord, &lease), 0);
    /* It can be had again: now it is kept. */
    ck_assert_int_eq(jb_coord_set_foreign(coord, MEM, 20), 0);
    ck_assert_int_eq(jb_coord_try(coord, &other, &lease), JB_EAGAIN);
    ck_assert_int_eq(jb_lease_release(coord, &mem), 0);
    ck_assert(is_granted(coord, &low, &lease));
    finish(coord);
}
END_TEST

START_TEST(test_one_that_what_is_foreign_makes_impossible_holds_up_nobody_in_its_line)
{
    jb_coord *coord = small_coord();
    jb_ticket big, small;
    jb_lease lease;

    ck_assert_int_eq(jb_coord_set_foreign(coord, MEM, 30), 0);
    big = ask_mem(coord, ALICE, JB_CLASS_LOW, 80);
    small = ask_mem(coord, ALICE, JB_CLASS_LOW, 10);
    ck_assert(is_granted(coord, &small, &lease));
    ck_assert_int_eq(jb_lease_release(coord, &lease), 0);
    ck_assert(!is_granted(coord, &big, &lease));
    ck_assert_int_eq(jb_coord_set_foreign(coord, MEM, 20), 0);
    ck_assert(is_granted(coord, &big, &lease));
    finish(coord);
}
END_TEST

START_TEST(test_leases_of_one_class_go_by_weight)
{
    jb_coord *coord = full(small_coord());
    jb_ticket tickets[2] = {ask_mem(coord, ALICE, JB_CLASS_NORMAL, 100),
                            ask_mem(coord, BOB, JB_CLASS_NORMAL, 100)};
    uint64_t n[2] = {0, 0};
    jb_lease lease;

    ck_assert_int_eq(jb_lease_release(coord, &holder), 0);
    for (int i = 0; i < 4000; i++) {
        uint32_t who = is_granted(coord, &tickets[ALICE], &lease) ? ALICE : BOB;

        if (who == BOB)
            ck_assert(is_granted(coord, &tickets[BOB], &lease));
        n[who]++;
        tickets[who] = ask_mem(coord, who, JB_CLASS_NORMAL, 100);
        test_now_ns += MS;
        ck_assert_int_eq(jb_lease_release(coord, &lease), 0);
        ck_assert_uint_le(n[ALICE], 3 * n[BOB] + 4);
        ck_assert_uint_le(3 * n[BOB], n[ALICE] + 4);
    }
    finish(coord);
}
END_TEST

START_TEST(test_a_guarantee_goes_before_a_class)
{
    jb_share_spec share = {.component = BOB, .resource = MEM, .guaranteed = 50};
    jb_coord *coord = full(coord_with(0, &share));
    jb_ticket alice = ask_mem(coord, ALICE, JB_CLASS_CRITICAL, 60);
    jb_ticket bob = ask_mem(coord, BOB, JB_CLASS_LOW, 50);
    jb_lease lease;

    ck_assert_int_eq(jb_lease_release(coord, &holder), 0);
    ck_assert(is_granted(coord, &bob, &lease));
    ck_assert(!is_granted(coord, &alice, &lease));
    finish(coord);
}
END_TEST

START_TEST(test_a_ceiling_holds_and_keeps_nobody_else_out)
{
    jb_share_spec share = {.component = BOB, .resource = MEM, .ceiling = 30};
    jb_coord *coord = coord_with(0, &share);
    jb_lease lease, other;
    jb_ticket bob;

    ck_assert_int_eq(try_mem(coord, BOB, 31, 0, &lease), JB_ETOOBIG);
    ck_assert_int_eq(try_mem(coord, BOB, 30, 0, &lease), 0);
    bob = ask_mem(coord, BOB, JB_CLASS_CRITICAL, 1);
    test_now_ns += 100 * S;
    ck_assert_int_eq(try_mem(coord, ALICE, 70, 0, &other), 0);
    ck_assert(!is_granted(coord, &bob, &other));
    ck_assert_int_eq(jb_lease_release(coord, &lease), 0);
    ck_assert(is_granted(coord, &bob, &other));
    finish(coord);
}
END_TEST

START_TEST(test_a_waiter_leaves_when_its_time_is_over_or_it_says_so)
{
    jb_coord *coord = full(small_coord());
    jb_ticket soon = ask_for(coord, ALICE, 10, 5 * MS);
    jb_ticket later = ask_mem(coord, ALICE, JB_CLASS_NORMAL, 10);
    jb_lease lease;

    ck_assert_uint_eq(tick(coord), 5 * MS);
    test_now_ns += 5 * MS;
    ck_assert_int_eq(jb_coord_poll(coord, &soon, &lease), JB_ETIMEDOUT);
    ck_assert_int_eq(jb_coord_poll(coord, &soon, &lease), JB_ENOENT);
    ck_assert_int_eq(jb_coord_cancel(coord, &later), 0);
    ck_assert_int_eq(jb_coord_cancel(coord, &later), JB_ENOENT);
    finish(coord);
}
END_TEST

START_TEST(test_nobody_is_granted_anything_after_his_time)
{
    jb_coord *coord = full(small_coord());
    jb_ticket first = ask_mem(coord, ALICE, JB_CLASS_NORMAL, 50);
    jb_ticket second = ask_for(coord, ALICE, 50, 5 * MS);
    jb_lease lease;

    ck_assert_uint_eq(tick(coord), 5 * MS);
    test_now_ns += 500 * MS;
    ck_assert_int_eq(jb_lease_release(coord, &holder), 0);
    ck_assert_int_eq(jb_coord_poll(coord, &second, &lease), JB_ETIMEDOUT);
    ck_assert(is_granted(coord, &first, &lease));
    ck_assert_uint_eq(allocated(coord, MEM), 50);
    finish(coord);
}
END_TEST

START_TEST(test_a_clock_at_either_end_times_nobody_out_before_his_time)
{
    jb_coord *coord = small_coord();
    jb_ticket patient, hasty;
    jb_lease lease;

    test_now_ns = 0;
    (void)full(coord);
    patient = ask_for(coord, ALICE, 10, 0);
    hasty = ask_for(coord, BOB, 10, 5);
    ck_assert(!is_granted(coord, &patient, &lease));
    ck_assert(!is_granted(coord, &hasty, &lease));
    test_now_ns = 5;
    ck_assert_int_eq(jb_coord_poll(coord, &hasty, &lease), JB_ETIMEDOUT);
    test_now_ns = UINT64_MAX;
    ck_assert(!is_granted(coord, &patient, &lease));
    finish(coord);
}
END_TEST

START_TEST(test_cancelling_what_was_granted_meanwhile_gives_it_back)
{
    jb_coord *coord = full(small_coord());
    jb_ticket ticket = ask_mem(coord, ALICE, JB_CLASS_NORMAL, 100);

    ck_assert_int_eq(jb_lease_release(coord, &holder), 0);
    ck_assert_uint_eq(allocated(coord, MEM), 100);
    ck_assert_int_eq(jb_coord_cancel(coord, &ticket), 0);
    ck_assert_uint_eq(allocated(coord, MEM), 0);
    finish(coord);
}
END_TEST

START_TEST(test_dominant_shares_are_levelled)
{
    jb_amount gpu[] = {{.resource = MEM, .amount = 10}, {.resource = GPU, .amount = 300}};
    jb_want want = {.component = CAROL, .n_amounts = 2, .amounts = gpu};
    jb_coord_opts opts;
    jb_ticket carol, bob;
    jb_lease lease;
    jb_coord *coord;

    small_opts(&opts);
    opts.flags = JB_COORD_DRF;
    coord = open_coord(NULL, &opts);
    /* Bob had most so far, but has least now: only fair queueing would let carol go first. */
    ck_assert_int_eq(try_mem(coord, BOB, 20, 0, &lease), 0);
    test_now_ns += S;
    ck_assert_int_eq(jb_lease_release(coord, &lease), 0);
    ck_assert_int_eq(jb_coord_try(coord, &want, &lease), 0);
    ck_assert_int_eq(try_mem(coord, BOB, 20, 0, &lease), 0);
    ck_assert_int_eq(try_mem(coord, ALICE, 70, 0, &lease), 0);
    ck_assert_int_eq(jb_coord_request(coord, &want, &carol), 0);
    bob = ask_mem(coord, BOB, JB_CLASS_NORMAL, 10);
    ck_assert_int_eq(jb_lease_shrink(coord, &lease, MEM, 60), 0);
    ck_assert(is_granted(coord, &bob, &lease));
    ck_assert(!is_granted(coord, &carol, &lease));
    finish(coord);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue");
    TCase *tcase = suite_case(suite, "queue");

    tcase_add_test(tcase, test_a_line_is_first_come_first_served);
    tcase_add_test(tcase, test_nothing_stays_idle_beside_another_line_whose_head_fits);
    tcase_add_test(tcase, test_the_higher_class_goes_first);
    tcase_add_test(tcase, test_low_is_served_within_the_bound_under_endless_high);
    tcase_add_test(tcase, test_what_a_due_one_wants_is_kept_for_it);
    tcase_add_test(tcase, test_nothing_is_kept_for_one_that_what_is_foreign_makes_impossible);
    tcase_add_test(tcase,
                   test_one_that_what_is_foreign_makes_impossible_holds_up_nobody_in_its_line);
    tcase_add_test(tcase, test_leases_of_one_class_go_by_weight);
    tcase_add_test(tcase, test_a_guarantee_goes_before_a_class);
    tcase_add_test(tcase, test_a_ceiling_holds_and_keeps_nobody_else_out);
    tcase_add_test(tcase, test_a_waiter_leaves_when_its_time_is_over_or_it_says_so);
    tcase_add_test(tcase, test_nobody_is_granted_anything_after_his_time);
    tcase_add_test(tcase, test_a_clock_at_either_end_times_nobody_out_before_his_time);
    tcase_add_test(tcase, test_cancelling_what_was_granted_meanwhile_gives_it_back);
    tcase_add_test(tcase, test_dominant_shares_are_levelled);
    return suite_run(suite);
}
