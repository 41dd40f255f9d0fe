/*
 * Who waits for a rate stands in a line: who goes before whom, and what is kept for whom.
 */
#include "rate_line.h"

START_TEST(test_who_wants_much_gets_its_turn_among_many_who_want_little)
{
    jb_ticket big;

    drain();
    big = ask(ALICE, 0, CALLS, 10);
    for (int i = 0; i < 99; i++) {
        test_now_ns += 10 * MS;
        ck_assert_int_eq(try_calls(BOB, 0, 1), JB_EAGAIN);
        ck_assert_uint_eq(denial.limit, L_CALLS);
        ck_assert_uint_ge(denial.retry_after_ns, S - (uint64_t)(i + 1) * 10 * MS);
        ck_assert_int_eq(poll(&big), 0);
        ck_assert_uint_eq(denial.retry_after_ns, S - (uint64_t)(i + 1) * 10 * MS);
    }
    test_now_ns += 10 * MS - 1;
    ck_assert_int_eq(poll(&big), 0);
    ck_assert_uint_eq(denial.retry_after_ns, 1);
    test_now_ns += 1;
    ck_assert_int_eq(poll(&big), 1);
    ck_assert_int_eq(poll(&big), JB_ENOENT);
}
END_TEST

START_TEST(test_the_higher_class_goes_first)
{
    const uint32_t classes[] = {JB_CLASS_LOW, JB_CLASS_NORMAL, JB_CLASS_HIGH, JB_CLASS_CRITICAL};
    jb_ticket tickets[4];

    drain();
    for (int i = 0; i < 4; i++)
        tickets[i] = ask(ALICE, classes[i], CALLS, 1);
    for (int served = 1; served <= 4; served++) {
        test_now_ns += 100 * MS;
        for (int i = 0; i < 4 - served; i++)
            ck_assert_int_eq(poll(&tickets[i]), 0);
        ck_assert_int_eq(poll(&tickets[4 - served]), 1);
    }
}
END_TEST

START_TEST(test_a_try_goes_past_lower_classes_only)
{
    jb_ticket ticket;

    drain();
    ticket = ask(ALICE, JB_CLASS_NORMAL, CALLS, 5);
    test_now_ns += 200 * MS;
    ck_assert_int_eq(try_calls(BOB, JB_CLASS_LOW, 1), JB_EAGAIN);
    ck_assert_int_eq(try_calls(BOB, JB_CLASS_NORMAL, 1), JB_EAGAIN);
    ck_assert_int_eq(try_calls(BOB, JB_CLASS_CRITICAL, 2), 0);
    ck_assert_int_eq(try_calls(BOB, JB_CLASS_CRITICAL + 1, 1), JB_EINVAL);
    test_now_ns += 500 * MS - 1;
    ck_assert_int_eq(poll(&ticket), 0);
    test_now_ns += 1;
    ck_assert_int_eq(poll(&ticket), 1);
}
END_TEST

/* HIGH wants more than there is, always; LOW is due after 4 s, and has its 5 in half a second. */
START_TEST(test_low_has_what_it_wants_within_the_bound_under_endless_high)
{
    uint64_t from, n_high = 0;
    jb_ticket low, high[2];
    int rc = 0;

    drain();
    from = test_now_ns;
    low = ask(ALICE, JB_CLASS_LOW, CALLS, 5);
    for (int i = 0; i < 2; i++)
        high[i] = ask(BOB, JB_CLASS_HIGH, CALLS, 1);
    while (rc == 0) {
        test_now_ns += 10 * MS;
        for (int i = 0; i < 2; i++) {
            if (poll(&high[i]) != 1)
                continue;
            high[i] = ask(BOB, JB_CLASS_HIGH, CALLS, 1);
            n_high++;
        }
        rc = poll(&low);
    }
    ck_assert_int_eq(rc, 1);
    ck_assert_uint_ge(test_now_ns - from, 4 * S);
    ck_assert_uint_le(test_now_ns - from, 4 * S + 500 * MS);
    ck_assert_uint_ge(n_high, 39);
}
END_TEST

/* ALICE has a weight of 3, BOB of 1; after every call of the two the counts are within one of it,
 * whatever each wants at a time. */
START_TEST(test_components_share_by_weight)
{
    const uint64_t each[2] = {_i & 1 ? 2 : 1, _i & 2 ? 3 : 1};
    uint64_t n[2] = {0, 0};
    jb_ticket tickets[2];

    drain();
    tickets[0] = ask(ALICE, 0, CALLS, each[0]);
    tickets[1] = ask(BOB, 0, CALLS, each[1]);
    for (int i = 0; i < 300; i++) {
        test_now_ns += 100 * MS;
        for (uint32_t who = 0; who < 2; who++) {
            if (poll(&tickets[who]) != 1)
                continue;
            n[who] += each[who];
            tickets[who] = ask(who, 0, CALLS, each[who]);
        }
        ck_assert_uint_le(n[0], 3 * n[1] + 3 * each[1] + each[0]);
        ck_assert_uint_le(3 * n[1], n[0] + 3 * each[1] + each[0]);
    }
    ck_assert_uint_ge(n[0] + n[1], 295);
}
END_TEST

/* Of tokens, beside one that waits for something else and some tokens. */
START_TEST(test_who_comes_late_has_no_more_than_its_share)
{
    const jb_amount one = {.resource = OTHER, .amount = 1};
    const jb_amount both[] = {{.resource = OTHER, .amount = 1},
                              {.resource = TOKENS, .amount = 100}};
    jb_take take = take_of(CAROL, 0, &one);
    jb_ticket tickets[3];
    uint32_t n[2] = {0, 0};
    jb_usage open;

    ck_assert_int_eq(jb_usage_try(coord, &take, &open, NULL), 0);
    take.amounts = both;
    take.n_amounts = 2;
    ck_assert_int_eq(jb_usage_request(coord, &take, NEVER, &tickets[2]), 0);
    for (int i = 0; i < 600; i++) {
        test_now_ns += 100 * MS;
        for (uint32_t who = 0; who < (i < 300 ? 1u : 2u); who++) {
            if (i == 0 || (i == 300 && who == 1) || poll(&tickets[who]) == 1) {
                n[who] += i > 300;
                tickets[who] = ask(who, 0, TOKENS, 100);
            }
        }
    }
    ck_assert_uint_ge(n[ALICE], 210); /* three fourths */
    ck_assert_uint_ge(n[BOB], 70);
}
END_TEST

START_TEST(test_what_nobody_else_wanted_is_not_held_against_anybody)
{
    jb_ticket alice, carol;

    drain();
    for (int i = 0; i < 100; i++) {
        carol = ask(CAROL, 0, CALLS, 1);
        test_now_ns += 100 * MS;
        ck_assert_int_eq(poll(&carol), 1);
    }
    carol = ask(CAROL, 0, CALLS, 1);
    alice = ask(ALICE, 0, CALLS, 1);
    test_now_ns += 100 * MS;
    ck_assert_int_eq(poll(&alice), 0);
    ck_assert_int_eq(poll(&carol), 1);
    test_now_ns += 100 * MS;
    ck_assert_int_eq(poll(&alice), 1);
}
END_TEST

START_TEST(test_first_come_first_served_within_a_component)
{
    jb_ticket first, second, other;

    drain();
    first = ask(ALICE, 0, CALLS, 8);
    second = ask(ALICE, 0, CALLS, 1);
    other = ask(ALICE, 0, TOKENS, 1000);
    ck_assert_int_eq(poll(&other), 1);
    test_now_ns += 799 * MS;
    ck_assert_int_eq(poll(&second), 0);
    test_now_ns += MS;
    ck_assert_int_eq(poll(&second), 0);
    ck_assert_int_eq(poll(&first), 1);
    test_now_ns += 100 * MS;
    ck_assert_int_eq(poll(&second), 1);
}
END_TEST

START_TEST(test_a_limit_of_its_own_holds_up_nobody_else)
{
    jb_ticket bob;

    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(try_calls(BOB, 0, 10), 0);
        test_now_ns += S;
    }
    bob = ask(BOB, JB_CLASS_CRITICAL, CALLS, 10);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(try_calls(ALICE, JB_CLASS_LOW, 1), 0);
        test_now_ns += 100 * MS;
    }
    ck_assert_int_eq(poll(&bob), 0);
    ck_assert_uint_eq(denial.limit, L_BOB);
    ck_assert_uint_eq(denial.retry_after_ns, 40 * S);
    test_now_ns += 40 * S;
    ck_assert_int_eq(poll(&bob), 1);
}
END_TEST

/* ALICE waits a second for tokens, and needs a call then; until then calls come and go. */
START_TEST(test_what_is_back_in_time_is_not_left_idle)
{
    const jb_amount amounts[] = {{.resource = CALLS, .amount = 4},
                                 {.resource = TOKENS, .amount = 1000}};
    const jb_take take = {.component = ALICE, .n_amounts = 2, .amounts = amounts};
    const jb_amount all = {.resource = TOKENS, .amount = 1000};
    const jb_take tokens = take_of(CAROL, 0, &all);
    jb_ticket ticket;
    uint64_t n = 0;

    ck_assert_int_eq(jb_usage_try(coord, &tokens, NULL, NULL), 0);
    ck_assert_int_eq(jb_usage_request(coord, &take, NEVER, &ticket), 0);
    for (int i = 0; i < 10; i++) {
        for (int rc = 0; rc == 0; n += rc == 0)
            rc = try_calls(BOB, 0, 1);
        ck_assert_int_eq(poll(&ticket), 0);
        test_now_ns += 100 * MS;
    }
    ck_assert_int_eq(poll(&ticket), 1);
    ck_assert_uint_eq(n, 10 + 10 - 4);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quota-rate-line");
    TCase *tc = suite_case(suite, "line");

    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_test(tc, test_who_wants_much_gets_its_turn_among_many_who_want_little);
    tcase_add_test(tc, test_the_higher_class_goes_first);
    tcase_add_test(tc, test_a_try_goes_past_lower_classes_only);
    tcase_add_test(tc, test_low_has_what_it_wants_within_the_bound_under_endless_high);
    tcase_add_loop_test(tc, test_components_share_by_weight, 0, 4);
    tcase_add_test(tc, test_who_comes_late_has_no_more_than_its_share);
    tcase_add_test(tc, test_what_nobody_else_wanted_is_not_held_against_anybody);
    tcase_add_test(tc, test_first_come_first_served_within_a_component);
    tcase_add_test(tc, test_a_limit_of_its_own_holds_up_nobody_else);
    tcase_add_test(tc, test_what_is_back_in_time_is_not_left_idle);
    return suite_run(suite);
}
