/*
 * test_lease.c: leases: all or nothing, one end each, and whoever comes too late changes nothing.
 */
#include "quota.h"

START_TEST(test_what_fits_is_granted_and_no_more)
{
    jb_coord *coord = small_coord();
    jb_lease a, b, c;

    ck_assert_int_eq(try_mem(coord, ALICE, 60, 0, &a), 0);
    ck_assert_int_eq(try_mem(coord, BOB, 41, 0, &b), JB_EAGAIN);
    ck_assert_int_eq(try_mem(coord, BOB, 40, 0, &b), 0);
    ck_assert_int_eq(try_mem(coord, BOB, 1, 0, &c), JB_EAGAIN);
    ck_assert_int_eq(try_mem(coord, BOB, 101, 0, &c), JB_ETOOBIG);
    ck_assert_uint_eq(allocated(coord, MEM), 100);
    ck_assert_uint_lt(a.token, b.token);
    finish(coord);
}
END_TEST

START_TEST(test_the_second_end_is_an_error_that_changes_nothing)
{
    jb_coord *coord = small_coord();
    jb_lease a, b;

    ck_assert_int_eq(try_mem(coord, ALICE, 100, 0, &a), 0);
    ck_assert_int_eq(jb_lease_release(coord, &a), 0);
    ck_assert_int_eq(jb_lease_release(coord, &a), JB_ENOENT);
    ck_assert_int_eq(try_mem(coord, BOB, 70, 0, &b), 0);
    ck_assert_uint_eq(a.slot, b.slot);
    ck_assert_int_eq(jb_lease_release(coord, &a), JB_ENOENT);
    ck_assert_int_eq(jb_lease_renew(coord, &a, S), JB_ENOENT);
    ck_assert_int_eq(jb_lease_shrink(coord, &a, MEM, 1), JB_ENOENT);
    ck_assert_int_eq(jb_lease_revoke(coord, a.token, a.slot, 0), JB_ENOENT);
    ck_assert_int_eq(jb_lease_check(coord, &a, NULL), JB_ENOENT);
    ck_assert_uint_eq(allocated(coord, MEM), 70);
    finish(coord);
}
END_TEST

START_TEST(test_several_resources_are_granted_together_or_not_at_all)
{
    jb_coord *coord = small_coord();
    jb_amount amounts[] = {{.resource = MEM, .amount = 50}, {.resource = GPU, .amount = 1000}};
    jb_want want = {.component = ALICE, .n_amounts = 2, .amounts = amounts};
    jb_lease a, b;

    ck_assert_int_eq(jb_coord_try(coord, &want, &a), 0);
    ck_assert_int_eq(jb_coord_try(coord, &want, &b), JB_EAGAIN);
    ck_assert_uint_eq(allocated(coord, MEM), 50);
    ck_assert_int_eq(jb_lease_release(coord, &a), 0);
    ck_assert_uint_eq(allocated(coord, MEM) + allocated(coord, GPU), 0);
    amounts[1].resource = MEM;
    ck_assert_int_eq(jb_coord_try(coord, &want, &b), JB_EINVAL);
    finish(coord);
}
END_TEST

START_TEST(test_a_lease_ends_at_its_deadline_and_not_before)
{
    jb_coord *coord = small_coord();
    uint64_t left = 0;
    jb_lease a, b;

    ck_assert_int_eq(try_mem(coord, ALICE, 100, 10 * MS, &a), 0);
    test_now_ns += 10 * MS - 1;
    ck_assert_int_eq(jb_lease_check(coord, &a, &left), JB_LEASE_GOOD);
    ck_assert_uint_eq(left, 1);
    ck_assert_int_eq(try_mem(coord, BOB, 1, 0, &b), JB_EAGAIN);
    test_now_ns += 1;
    ck_assert_int_eq(try_mem(coord, BOB, 100, 0, &b), 0);
    ck_assert_int_eq(jb_lease_release(coord, &a), JB_ENOENT);
    finish(coord);
}
END_TEST

START_TEST(test_renewing_moves_the_deadline)
{
    jb_coord *coord = small_coord();
    jb_lease a;

    ck_assert_int_eq(try_mem(coord, ALICE, 100, 10 * MS, &a), 0);
    for (int i = 0; i < 5; i++) {
        test_now_ns += 9 * MS;
        ck_assert_int_eq(jb_lease_renew(coord, &a, 0), 0);
        ck_assert_uint_eq(a.deadline_ns, test_now_ns + 10 * MS);
    }
    test_now_ns += 10 * MS;
    ck_assert_int_eq(jb_lease_renew(coord, &a, 0), JB_ENOENT);
    ck_assert_uint_eq(allocated(coord, MEM), 0);
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_a_detached_lease_has_an_end)
{
    const jb_amount amount = {.resource = MEM, .amount = 1};
    jb_want want = want_of(ALICE, JB_CLASS_NORMAL, &amount);
    jb_coord_opts opts;
    jb_coord *coord;
    jb_lease lease;

    small_opts(&opts);
    coord = open_coord(NULL, &opts);
    want.flags = JB_WANT_DETACHED;
    ck_assert_int_eq(jb_coord_try(coord, &want, &lease), JB_EINVAL);
    want.hold_ns = UINT64_MAX;
    ck_assert_int_eq(jb_coord_try(coord, &want, &lease), JB_EINVAL);
    want.hold_ns = S;
    ck_assert_int_eq(jb_coord_try(coord, &want, &lease), 0);
    ck_assert_int_eq(jb_lease_renew(coord, &lease, UINT64_MAX), JB_EINVAL);
    ck_assert_uint_eq(lease.deadline_ns, test_now_ns + S);
    test_now_ns += S;
    ck_assert_int_eq(jb_lease_release(coord, &lease), JB_ENOENT);
    finish(coord);
}
END_TEST

START_TEST(test_shrinking_gives_back_a_part)
{
    jb_coord *coord = small_coord();
    jb_lease a, b;

    ck_assert_int_eq(try_mem(coord, ALICE, 100, 0, &a), 0);
    ck_assert_int_eq(jb_lease_shrink(coord, &a, MEM, 101), JB_EINVAL);
    ck_assert_int_eq(jb_lease_shrink(coord, &a, GPU, 1), JB_ENOENT);
    ck_assert_int_eq(jb_lease_shrink(coord, &a, MEM, 30), 0);
    ck_assert_int_eq(try_mem(coord, BOB, 70, 0, &b), 0);
    audit(coord);
    ck_assert_int_eq(jb_lease_release(coord, &a), 0);
    ck_assert_uint_eq(allocated(coord, MEM), 70);
    finish(coord);
}
END_TEST

START_TEST(test_a_notice_ends_a_lease_and_no_renewal_helps)
{
    jb_coord *coord = small_coord();
    uint64_t left = 0;
    jb_lease a;

    ck_assert_int_eq(try_mem(coord, ALICE, 100, 0, &a), 0);
    ck_assert_int_eq(jb_lease_revoke(coord, a.token, a.slot, 5 * MS), 0);
    ck_assert_int_eq(jb_lease_check(coord, &a, &left), JB_LEASE_NOTICE);
    ck_assert_uint_eq(left, 5 * MS);
    ck_assert_int_eq(jb_lease_revoke(coord, a.token, a.slot, 50 * MS), 0);
    ck_assert_int_eq(jb_lease_renew(coord, &a, S), JB_ESTATE);
    test_now_ns += 5 * MS;
    ck_assert_int_eq(jb_lease_check(coord, &a, NULL), JB_ENOENT);
    ck_assert_uint_eq(allocated(coord, MEM), 0);
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_a_clock_that_jumps_back_stands_still)
{
    jb_coord *coord = small_coord();
    jb_lease a;

    ck_assert_int_eq(try_mem(coord, ALICE, 100, 10 * MS, &a), 0);
    test_now_ns -= 500 * MS;
    ck_assert_int_eq(jb_lease_renew(coord, &a, 10 * MS), 0);
    ck_assert_uint_eq(a.deadline_ns, S + 10 * MS);
    test_now_ns = S + 10 * MS;
    ck_assert_int_eq(jb_lease_check(coord, &a, NULL), JB_ENOENT);
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_what_is_foreign_is_not_given_out)
{
    jb_coord *coord = small_coord();
    jb_lease a, b;

    ck_assert_int_eq(jb_coord_set_foreign(coord, MEM, 70), 0);
    ck_assert_int_eq(try_mem(coord, ALICE, 31, 0, &a), JB_EAGAIN);
    ck_assert_int_eq(try_mem(coord, ALICE, 30, 0, &a), 0);
    ck_assert_int_eq(jb_coord_set_foreign(coord, MEM, UINT64_MAX), 0);
    ck_assert_int_eq(jb_lease_check(coord, &a, NULL), JB_LEASE_GOOD);
    ck_assert_int_eq(try_mem(coord, ALICE, 1, 0, &b), JB_EAGAIN);
    finish(coord);
}
END_TEST

START_TEST(test_a_full_table_is_a_limit)
{
    jb_coord *coord = small_coord();
    jb_lease leases[17];

    for (int i = 0; i < 16; i++)
        ck_assert_int_eq(try_mem(coord, ALICE, 1, 0, &leases[i]), 0);
    ck_assert_int_eq(try_mem(coord, ALICE, 1, 0, &leases[16]), JB_ELIMIT);
    ck_assert_int_eq(jb_lease_release(coord, &leases[3]), 0);
    ck_assert_int_eq(try_mem(coord, ALICE, 1, 0, &leases[16]), 0);
    finish(coord);
}
END_TEST

/* What the records say, added up, is what the books say. */
START_TEST(test_the_books_can_be_recomputed_from_the_records)
{
    jb_coord *coord = small_coord();
    uint64_t cursor = 0, lost = 0, sum = 0;
    jb_lease a, b, c;
    jb_record record;

    ck_assert_int_eq(try_mem(coord, ALICE, 50, 0, &a), 0);
    ck_assert_int_eq(try_mem(coord, BOB, 20, MS, &b), 0);
    ck_assert_int_eq(try_mem(coord, BOB, 50, 0, &c), JB_EAGAIN);
    ck_assert_int_eq(jb_lease_shrink(coord, &a, MEM, 15), 0);
    test_now_ns += MS;
    while (jb_coord_next_record(coord, &cursor, &record, &lost) == 1) {
        ck_assert_uint_eq(lost, 0);
        if (record.kind == JB_RECORD_GRANTED)
            sum += record.amount;
        else if (record.kind == JB_RECORD_SHRUNK || record.kind == JB_RECORD_ENDED)
            sum -= record.amount;
    }
    ck_assert_uint_eq(sum, 15);
    ck_assert_uint_eq(allocated(coord, MEM), 15);
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_who_reads_records_too_late_is_told_how_many_are_gone)
{
    jb_coord_opts opts;
    jb_coord *coord;
    uint64_t cursor = 0, lost = 0;
    jb_record record;
    jb_lease a;

    small_opts(&opts);
    opts.max_records = 16;
    coord = open_coord(NULL, &opts);
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(try_mem(coord, ALICE, 50, 0, &a), 0);
        ck_assert_int_eq(jb_lease_release(coord, &a), 0);
    }
    ck_assert_int_eq(jb_coord_next_record(coord, &cursor, &record, &lost), 1);
    ck_assert_uint_eq(lost, 4);
    ck_assert_uint_eq(record.sequence, 4);
    jb_coord_close(coord);
}
END_TEST

/* A game that tries each frame while somebody due waits. */
START_TEST(test_what_is_denied_leaves_one_record_and_no_more)
{
    jb_coord *coord = small_coord();
    jb_coord_stats before, after;
    jb_record record;
    jb_lease lease;

    ck_assert_int_eq(try_mem(coord, ALICE, 50, 0, &lease), 0);
    (void)ask_mem(coord, CAROL, JB_CLASS_NORMAL, 100);
    test_now_ns += 10 * S;
    ck_assert_int_eq(jb_coord_get_stats(coord, &before), 0);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(try_mem(coord, BOB, 20, 0, &lease), JB_EAGAIN);
    ck_assert_int_eq(jb_coord_get_stats(coord, &after), 0);
    ck_assert_uint_eq(after.next_token, before.next_token);
    ck_assert_uint_eq(after.n_records, before.n_records + 10);
    ck_assert_int_eq(jb_coord_next_record(coord, &before.n_records, &record, NULL), 1);
    ck_assert_uint_eq(record.kind, JB_RECORD_DENIED);
    finish(coord);
}
END_TEST

START_TEST(test_contradictory_options_are_refused_with_the_reason)
{
    jb_share_spec shares[2] = {{.component = ALICE, .resource = MEM, .guaranteed = 60},
                               {.component = BOB, .resource = MEM, .guaranteed = 41}};
    jb_coord_opts opts;
    jb_coord *coord;
    jb_error err;

    small_opts(&opts);
    opts.shares = shares;
    opts.n_shares = 2;
    ck_assert_int_eq(jb_coord_open(NULL, &opts, &coord, &err), JB_EINVAL);
    ck_assert_msg(strstr(err.msg, "'mem'") != NULL, "%s", err.msg);
    shares[1].guaranteed = 40;
    coord = open_coord(NULL, &opts);
    jb_coord_close(coord);
    opts.n_resources = 0;
    ck_assert_int_eq(jb_coord_open(NULL, &opts, &coord, &err), JB_EINVAL);
}
END_TEST

START_TEST(test_renewals_do_not_outlast_one_who_is_due)
{
    jb_coord_opts opts;
    jb_coord *coord;
    jb_lease lease, other;
    jb_ticket low;

    small_opts(&opts);
    opts.max_hold_ns = 10 * MS;
    opts.aging_ns = MS;
    coord = open_coord(NULL, &opts);
    ck_assert_int_eq(try_mem(coord, ALICE, 100, 0, &lease), 0);
    low = ask_mem(coord, BOB, JB_CLASS_LOW, 100);
    test_now_ns += 3 * MS;
    ck_assert_int_eq(jb_lease_renew(coord, &lease, 0), 0);
    test_now_ns += 2 * MS;
    ck_assert_int_eq(jb_lease_renew(coord, &lease, 0), JB_ESTATE);
    ck_assert_int_eq(jb_lease_check(coord, &lease, NULL), JB_LEASE_GOOD);
    test_now_ns = lease.deadline_ns;
    ck_assert_int_eq(jb_coord_poll(coord, &low, &other), 1);
    jb_coord_close(coord);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lease");
    TCase *tcase = suite_case(suite, "lease");

    tcase_add_test(tcase, test_what_fits_is_granted_and_no_more);
    tcase_add_test(tcase, test_the_second_end_is_an_error_that_changes_nothing);
    tcase_add_test(tcase, test_several_resources_are_granted_together_or_not_at_all);
    tcase_add_test(tcase, test_a_lease_ends_at_its_deadline_and_not_before);
    tcase_add_test(tcase, test_renewing_moves_the_deadline);
    tcase_add_test(tcase, test_a_detached_lease_has_an_end);
    tcase_add_test(tcase, test_shrinking_gives_back_a_part);
    tcase_add_test(tcase, test_a_notice_ends_a_lease_and_no_renewal_helps);
    tcase_add_test(tcase, test_a_clock_that_jumps_back_stands_still);
    tcase_add_test(tcase, test_what_is_foreign_is_not_given_out);
    tcase_add_test(tcase, test_a_full_table_is_a_limit);
    tcase_add_test(tcase, test_the_books_can_be_recomputed_from_the_records);
    tcase_add_test(tcase, test_who_reads_records_too_late_is_told_how_many_are_gone);
    tcase_add_test(tcase, test_what_is_denied_leaves_one_record_and_no_more);
    tcase_add_test(tcase, test_contradictory_options_are_refused_with_the_reason);
    tcase_add_test(tcase, test_renewals_do_not_outlast_one_who_is_due);
    return suite_run(suite);
}
