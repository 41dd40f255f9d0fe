/*
 * test_queue.c: who is next: first come, first served in a line; class, weight, age and guarantee
 * between lines.
 */
#include "quota.h"

static jb_lease holder;

/* A coordinator whose memory somebody has all of. */
static jb_coord *full_coord(const jb_coord_opts *opts)
{
    jb_coord *coord = opts ? open_coord(NULL, opts) : small_coord();

    ck_assert_int_eq(try_mem(coord, CAROL, 100, 0, &holder), 0);
    return coord;
}

static bool is_granted(jb_coord *coord, const jb_ticket *ticket, jb_lease *ret_lease)
{
    int rc = jb_coord_poll(coord, ticket, ret_lease);

    ck_assert_int_ge(rc, 0);
    return rc == 1;
}

START_TEST(test_a_line_is_first_come_first_served)
{
    jb_coord *coord = full_coord(NULL);
    jb_ticket big = ask_mem(coord, ALICE, JB_CLASS_NORMAL, 80);
    jb_ticket small = ask_mem(coord, ALICE, JB_CLASS_NORMAL, 10);
    jb_lease lease;

    ck_assert_int_eq(jb_lease_shrink(coord, &holder, MEM, 50), 0);
    ck_assert(!is_granted(coord, &small, &lease));
    ck_assert_int_eq(jb_lease_release(coord, &holder), 0);
    ck_assert(is_granted(coord, &small, &lease));
    ck_assert(is_granted(coord, &big, &lease));
    ck_assert_int_eq(jb_coord_poll(coord, &big, &lease), JB_ENOENT);
    audit(coord);
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_nothing_stays_idle_beside_another_line_whose_head_fits)
{
    jb_coord *coord = full_coord(NULL);
    jb_ticket big = ask_mem(coord, ALICE, JB_CLASS_HIGH, 80);
    jb_ticket small = ask_mem(coord, BOB, JB_CLASS_LOW, 10);
    jb_lease lease;

    ck_assert_int_eq(jb_lease_shrink(coord, &holder, MEM, 50), 0);
    ck_assert(is_granted(coord, &small, &lease));
    ck_assert(!is_granted(coord, &big, &lease));
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_the_higher_class_goes_first)
{
    jb_coord *coord = full_coord(NULL);
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
    jb_coord_close(coord);
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
    coord = full_coord(&opts);
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
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_what_a_due_one_wants_is_kept_for_it)
{
    jb_coord_opts opts;
    jb_coord *coord;
    jb_ticket low, high;
    jb_lease lease;

    small_opts(&opts);
    opts.aging_ns = MS;
    coord = full_coord(&opts);
    low = ask_mem(coord, BOB, JB_CLASS_LOW, 80);
    test_now_ns += 4 * MS;
    high = ask_mem(coord, ALICE, JB_CLASS_HIGH, 10);
    ck_assert_int_eq(jb_lease_shrink(coord, &holder, MEM, 60), 0);
    ck_assert(!is_granted(coord, &high, &lease));
    ck_assert_int_eq(jb_lease_release(coord, &holder), 0);
    ck_assert(is_granted(coord, &low, &lease));
    ck_assert(is_granted(coord, &high, &lease));
    jb_coord_close(coord);
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
    audit(coord);
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_leases_of_one_class_go_by_weight)
{
    jb_coord *coord = full_coord(NULL);
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
    audit(coord);
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_a_guarantee_goes_before_a_class)
{
    jb_share_spec share = {.component = BOB, .resource = MEM, .guaranteed = 50};
    jb_coord_opts opts;
    jb_coord *coord;
    jb_ticket alice, bob;
    jb_lease lease;

    small_opts(&opts);
    opts.shares = &share;
    opts.n_shares = 1;
    coord = full_coord(&opts);
    alice = ask_mem(coord, ALICE, JB_CLASS_CRITICAL, 60);
    bob = ask_mem(coord, BOB, JB_CLASS_LOW, 50);
    ck_assert_int_eq(jb_lease_release(coord, &holder), 0);
    ck_assert(is_granted(coord, &bob, &lease));
    ck_assert(!is_granted(coord, &alice, &lease));
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_a_ceiling_holds_and_keeps_nobody_else_out)
{
    jb_share_spec share = {.component = BOB, .resource = MEM, .ceiling = 30};
    jb_coord_opts opts;
    jb_coord *coord;
    jb_lease lease, other;
    jb_ticket bob;

    small_opts(&opts);
    opts.shares = &share;
    opts.n_shares = 1;
    coord = open_coord(NULL, &opts);
    ck_assert_int_eq(try_mem(coord, BOB, 31, 0, &lease), JB_ETOOBIG);
    ck_assert_int_eq(try_mem(coord, BOB, 30, 0, &lease), 0);
    bob = ask_mem(coord, BOB, JB_CLASS_CRITICAL, 1);
    test_now_ns += 100 * S;
    ck_assert_int_eq(try_mem(coord, ALICE, 70, 0, &other), 0);
    ck_assert(!is_granted(coord, &bob, &other));
    ck_assert_int_eq(jb_lease_release(coord, &lease), 0);
    ck_assert(is_granted(coord, &bob, &other));
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_a_waiter_leaves_when_its_time_is_over_or_it_says_so)
{
    jb_coord *coord = full_coord(NULL);
    jb_amount amount = {.resource = MEM, .amount = 10};
    jb_want want = want_of(ALICE, JB_CLASS_NORMAL, &amount);
    jb_ticket soon, later;
    uint64_t next = 0;
    jb_lease lease;

    want.wait_ns = 5 * MS;
    ck_assert_int_eq(jb_coord_request(coord, &want, &soon), 0);
    later = ask_mem(coord, ALICE, JB_CLASS_NORMAL, 10);
    ck_assert_int_ge(jb_coord_tick(coord, &next), 0);
    ck_assert_uint_eq(next, 5 * MS);
    test_now_ns += 5 * MS;
    ck_assert_int_eq(jb_coord_poll(coord, &soon, &lease), JB_ETIMEDOUT);
    ck_assert_int_eq(jb_coord_poll(coord, &soon, &lease), JB_ENOENT);
    ck_assert_int_eq(jb_coord_cancel(coord, &later), 0);
    ck_assert_int_eq(jb_coord_cancel(coord, &later), JB_ENOENT);
    audit(coord);
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_nobody_is_granted_anything_after_his_time)
{
    jb_coord *coord = full_coord(NULL);
    jb_amount amount = {.resource = MEM, .amount = 50};
    jb_want want = want_of(ALICE, JB_CLASS_NORMAL, &amount);
    jb_ticket first = ask_mem(coord, ALICE, JB_CLASS_NORMAL, 50), second;
    uint64_t next = 0;
    jb_lease lease;

    want.wait_ns = 5 * MS;
    ck_assert_int_eq(jb_coord_request(coord, &want, &second), 0);
    ck_assert_int_ge(jb_coord_tick(coord, &next), 0);
    ck_assert_uint_eq(next, 5 * MS);
    test_now_ns += 500 * MS;
    ck_assert_int_eq(jb_lease_release(coord, &holder), 0);
    ck_assert_int_eq(jb_coord_poll(coord, &second, &lease), JB_ETIMEDOUT);
    ck_assert(is_granted(coord, &first, &lease));
    ck_assert_uint_eq(allocated(coord, MEM), 50);
    audit(coord);
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_cancelling_what_was_granted_meanwhile_gives_it_back)
{
    jb_coord *coord = full_coord(NULL);
    jb_ticket ticket = ask_mem(coord, ALICE, JB_CLASS_NORMAL, 100);

    ck_assert_int_eq(jb_lease_release(coord, &holder), 0);
    ck_assert_uint_eq(allocated(coord, MEM), 100);
    ck_assert_int_eq(jb_coord_cancel(coord, &ticket), 0);
    ck_assert_uint_eq(allocated(coord, MEM), 0);
    audit(coord);
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_a_high_waiter_ends_the_lease_of_a_low_one)
{
    jb_amount amount = {.resource = MEM, .amount = 60};
    jb_want low = want_of(ALICE, JB_CLASS_LOW, &amount);
    jb_coord_opts opts;
    jb_coord *coord;
    jb_lease lease, other;
    jb_ticket high;

    small_opts(&opts);
    opts.notice_ns = 5 * MS;
    coord = open_coord(NULL, &opts);
    ck_assert_int_eq(jb_coord_try(coord, &low, &lease), 0);
    ck_assert_int_eq(try_mem(coord, CAROL, 40, 0, &other), 0);
    high = ask_mem(coord, BOB, JB_CLASS_HIGH, 50);
    ck_assert_int_eq(jb_lease_check(coord, &lease, NULL), JB_LEASE_NOTICE);
    ck_assert_int_eq(jb_lease_check(coord, &other, NULL), JB_LEASE_GOOD);
    test_now_ns += 5 * MS;
    ck_assert(is_granted(coord, &high, &other));
    audit(coord);
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_nobody_is_given_notice_in_vain)
{
    jb_amount amount = {.resource = MEM, .amount = 60};
    jb_want low = want_of(ALICE, JB_CLASS_LOW, &amount);
    jb_coord_opts opts;
    jb_coord *coord;
    jb_lease lease, other;

    small_opts(&opts);
    opts.notice_ns = 5 * MS;
    coord = open_coord(NULL, &opts);
    ck_assert_int_eq(jb_coord_try(coord, &low, &lease), 0);
    amount.amount = 40;
    low.lease_class = JB_CLASS_CRITICAL;
    ck_assert_int_eq(jb_coord_try(coord, &low, &other), 0);
    (void)ask_mem(coord, BOB, JB_CLASS_HIGH, 61);
    ck_assert_int_eq(jb_lease_check(coord, &lease, NULL), JB_LEASE_GOOD);
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_notice_leaves_a_component_what_it_is_guaranteed)
{
    jb_share_spec share = {.component = ALICE, .resource = MEM, .guaranteed = 50};
    jb_amount amount = {.resource = MEM, .amount = 10};
    jb_want low = want_of(ALICE, JB_CLASS_LOW, &amount);
    jb_coord_opts opts;
    jb_lease leases[6], other;
    jb_coord *coord;
    int n_asked = 0;

    small_opts(&opts);
    opts.notice_ns = 5 * MS;
    opts.shares = &share;
    opts.n_shares = 1;
    coord = open_coord(NULL, &opts);
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(jb_coord_try(coord, &low, &leases[i]), 0);
    ck_assert_int_eq(try_mem(coord, CAROL, 40, 0, &other), 0);
    (void)ask_mem(coord, BOB, JB_CLASS_CRITICAL, 60);
    for (int i = 0; i < 6; i++)
        n_asked += jb_lease_check(coord, &leases[i], NULL) == JB_LEASE_NOTICE;
    ck_assert_int_eq(n_asked, 0);
    (void)ask_mem(coord, CAROL, JB_CLASS_HIGH, 10);
    for (int i = 0; i < 6; i++)
        n_asked += jb_lease_check(coord, &leases[i], NULL) == JB_LEASE_NOTICE;
    ck_assert_int_eq(n_asked, 1);
    jb_coord_close(coord);
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
    jb_coord_close(coord);
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
    tcase_add_test(tcase, test_leases_of_one_class_go_by_weight);
    tcase_add_test(tcase, test_a_guarantee_goes_before_a_class);
    tcase_add_test(tcase, test_a_ceiling_holds_and_keeps_nobody_else_out);
    tcase_add_test(tcase, test_a_waiter_leaves_when_its_time_is_over_or_it_says_so);
    tcase_add_test(tcase, test_nobody_is_granted_anything_after_his_time);
    tcase_add_test(tcase, test_cancelling_what_was_granted_meanwhile_gives_it_back);
    tcase_add_test(tcase, test_a_high_waiter_ends_the_lease_of_a_low_one);
    tcase_add_test(tcase, test_nobody_is_given_notice_in_vain);
    tcase_add_test(tcase, test_notice_leaves_a_component_what_it_is_guaranteed);
    tcase_add_test(tcase, test_dominant_shares_are_levelled);
    return suite_run(suite);
}
