/*
 * A place in the line for a rate: how it ends, and what that does to the others.
 */
#include "rate_line.h"

#include <pthread.h>

START_TEST(test_whoever_ends_lets_the_next_one_go_at_once)
{
    const jb_amount much = {.resource = CALLS, .amount = 10};
    const jb_take take = take_of(ALICE, 0, &much);
    jb_usage usage;
    jb_ticket first, second;

    drain();
    ck_assert_int_eq(jb_usage_request(coord, &take, 200 * MS, &first), 0);
    second = ask(BOB, 0, CALLS, 2);
    test_now_ns += 200 * MS - 1;
    ck_assert_int_eq(jb_usage_poll(coord, &first, &usage, &denial), 0);
    test_now_ns += 1;
    if (_i == 0) {
        ck_assert_int_eq(poll(&second), 1);
        ck_assert_int_eq(jb_usage_poll(coord, &first, &usage, &denial), JB_ETIMEDOUT);
        ck_assert_uint_eq(denial.retry_after_ns, S);
        ck_assert_int_eq(jb_usage_cancel(coord, &first), JB_ENOENT);
    } else {
        ck_assert_int_eq(jb_usage_cancel(coord, &first), 0);
        ck_assert_int_eq(poll(&second), 1);
        ck_assert_int_eq(poll(&first), JB_ENOENT);
    }
}
END_TEST

START_TEST(test_who_leaves_gives_back_what_was_granted)
{
    jb_limit_info info;
    jb_ticket ticket;

    drain();
    ticket = ask(ALICE, 0, CALLS, 10);
    ck_assert_int_eq(jb_coord_limit_at(coord, L_CALLS, &info), 0);
    ck_assert_uint_eq(info.n_waiting, 1);
    test_now_ns += S;
    ck_assert_int_eq(try_calls(BOB, 0, 1), JB_EAGAIN);
    ck_assert_int_eq(jb_usage_cancel(coord, &ticket), 0);
    ck_assert_int_eq(try_calls(BOB, 0, 10), 0);
    ck_assert_int_eq(jb_coord_limit_at(coord, L_CALLS, &info), 0);
    ck_assert_uint_eq(info.n_waiting, 0);
    ck_assert_uint_eq(info.reserved, 0);
}
END_TEST

START_TEST(test_who_can_never_go_is_told_and_in_nobodys_way)
{
    const jb_correction told = {.flags = JB_CORRECT_LIMIT, .limit = 5};
    jb_ticket big, small;

    drain();
    big = ask(ALICE, JB_CLASS_CRITICAL, CALLS, 10);
    small = ask(BOB, JB_CLASS_LOW, CALLS, 1);
    ck_assert_int_eq(jb_usage_correct(coord, L_CALLS, &told), 0);
    test_now_ns += S;
    ck_assert_int_eq(poll(&small), 1);
    ck_assert_int_eq(poll(&big), JB_ETOOBIG);
    ck_assert_uint_eq(denial.limit, L_CALLS);
    ck_assert_int_eq(poll(&big), JB_ENOENT);
}
END_TEST

START_TEST(test_who_waits_for_the_end_of_a_reservation_has_its_place)
{
    const jb_amount amount = {.resource = OTHER, .amount = 1};
    const jb_take take = take_of(ALICE, 0, &amount);
    jb_ticket first, second;
    jb_usage usage, next;

    ck_assert_int_eq(jb_usage_try(coord, &take, &usage, NULL), 0);
    first = ask(BOB, 0, OTHER, 1);
    second = ask(CAROL, 0, OTHER, 1);
    ck_assert_int_eq(poll(&first), 0);
    ck_assert_uint_eq(denial.retry_after_ns, NEVER);
    ck_assert_int_eq(jb_usage_refund(coord, &usage), 0);
    ck_assert_int_eq(jb_usage_try(coord, &take, &usage, &denial), JB_EAGAIN);
    ck_assert_int_eq(poll(&second), 0);
    ck_assert_int_eq(jb_usage_poll(coord, &first, &next, NULL), 1);
    ck_assert_int_eq(jb_usage_commit(coord, &next, NULL, 0), 0);
    ck_assert_int_eq(poll(&second), 1);
}
END_TEST

START_TEST(test_who_finds_no_room_for_a_reservation_waits_for_it)
{
    const jb_amount amount = {.resource = TOKENS, .amount = 1};
    const jb_take take = take_of(ALICE, 0, &amount);
    jb_usage open[6], usage;
    jb_ticket ticket;

    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(jb_usage_try(coord, &take, &open[i], NULL), 0);
    ck_assert_int_eq(jb_usage_try(coord, &take, &usage, NULL), JB_ELIMIT);
    ticket = ask(BOB, 0, TOKENS, 1);
    ck_assert_int_eq(poll(&ticket), 0);
    ck_assert_int_eq(jb_usage_commit(coord, &open[3], NULL, 0), 0);
    ck_assert_int_eq(poll(&ticket), 1);
}
END_TEST

START_TEST(test_the_line_has_an_end)
{
    const jb_amount amount = {.resource = CALLS, .amount = 1};
    jb_take take = take_of(ALICE, 0, &amount);
    jb_ticket tickets[8], ticket;

    drain();
    for (int i = 0; i < 8; i++)
        tickets[i] = ask(ALICE, 0, CALLS, 1);
    ck_assert_int_eq(jb_usage_request(coord, &take, NEVER, &ticket), JB_ELIMIT);
    ck_assert_int_eq(jb_usage_reserve(coord, &take, S, NULL, NULL), JB_ELIMIT);
    ck_assert_int_eq(jb_usage_cancel(coord, &tickets[3]), 0);
    ck_assert_int_eq(jb_usage_request(coord, &take, NEVER, &ticket), 0);
    take._reserved = 1;
    ck_assert_int_eq(jb_usage_request(coord, &take, NEVER, &ticket), JB_EINVAL);
}
END_TEST

START_TEST(test_a_denial_leaves_the_line_as_it_was)
{
    jb_limit_info before, after;
    jb_ticket ticket;

    drain();
    ticket = ask(ALICE, 0, CALLS, 3);
    ck_assert_int_eq(jb_coord_limit_at(coord, L_CALLS, &before), 0);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(try_calls(BOB, JB_CLASS_CRITICAL, 1), JB_EAGAIN);
    ck_assert_int_eq(jb_coord_limit_at(coord, L_CALLS, &after), 0);
    after.n_denied = before.n_denied;
    ck_assert_mem_eq(&before, &after, sizeof before);
    test_now_ns += 300 * MS;
    ck_assert_int_eq(poll(&ticket), 1);
}
END_TEST

START_TEST(test_waiting_is_recorded)
{
    static const uint32_t kinds[] = {JB_RECORD_TAKEN, JB_RECORD_WAITING, JB_RECORD_WAITING,
                                     JB_RECORD_LEFT, JB_RECORD_TAKEN};
    jb_ticket first, second;
    uint64_t cursor = 0;
    jb_record record;

    drain();
    first = ask(ALICE, JB_CLASS_HIGH, CALLS, 1);
    second = ask(BOB, 0, CALLS, 1);
    ck_assert_int_eq(jb_usage_cancel(coord, &second), 0);
    test_now_ns += 100 * MS;
    ck_assert_int_ge(jb_coord_tick(coord, NULL), 0);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(jb_coord_next_record(coord, &cursor, &record, NULL), 1);
        ck_assert_uint_eq(record.kind, kinds[i]);
    }
    ck_assert_uint_eq(record.lease_class, JB_CLASS_HIGH);
    ck_assert_uint_eq(record.value_ns, 100 * MS);
    ck_assert_int_eq(jb_coord_next_record(coord, &cursor, &record, NULL), 0);
    ck_assert_int_eq(poll(&first), 1);
}
END_TEST

START_TEST(test_a_tick_says_when_the_next_one_can_go)
{
    uint64_t next_ns;
    jb_ticket ticket;

    drain();
    ticket = ask(ALICE, 0, CALLS, 4);
    ck_assert_int_ge(jb_coord_tick(coord, &next_ns), 0);
    ck_assert_uint_eq(next_ns, 400 * MS);
    test_now_ns += next_ns;
    ck_assert_int_eq(poll(&ticket), 1);
}
END_TEST

static void *wait_for_one(void *userdata)
{
    const jb_amount amount = {.resource = CALLS, .amount = 2};
    const jb_take take = take_of(*(const uint32_t *)userdata, 0, &amount);

    must(jb_usage_reserve(coord, &take, 60 * S, NULL, NULL) == 0);
    return NULL;
}

/* Sixteen calls at ten a second: nobody is forgotten, and nobody sleeps past his time. */
START_TEST(test_who_sleeps_is_woken_in_time)
{
    static uint32_t components[] = {ALICE, BOB, CAROL, ALICE, BOB, CAROL, ALICE, BOB};
    pthread_t threads[8];
    uint64_t from;

    end();
    open_with(NULL);
    drain();
    from = jb_clock_now_ns();
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, wait_for_one, &components[i]), 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_ge(jb_clock_now_ns() - from, 1500 * MS);
    ck_assert_uint_lt(jb_clock_now_ns() - from, 10 * S);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quota-rate-ticket");
    TCase *tc = suite_case(suite, "ticket");

    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_loop_test(tc, test_whoever_ends_lets_the_next_one_go_at_once, 0, 2);
    tcase_add_test(tc, test_who_leaves_gives_back_what_was_granted);
    tcase_add_test(tc, test_who_can_never_go_is_told_and_in_nobodys_way);
    tcase_add_test(tc, test_who_waits_for_the_end_of_a_reservation_has_its_place);
    tcase_add_test(tc, test_who_finds_no_room_for_a_reservation_waits_for_it);
    tcase_add_test(tc, test_the_line_has_an_end);
    tcase_add_test(tc, test_a_denial_leaves_the_line_as_it_was);
    tcase_add_test(tc, test_waiting_is_recorded);
    tcase_add_test(tc, test_a_tick_says_when_the_next_one_can_go);
    tcase_add_test(tc, test_who_sleeps_is_woken_in_time);
    return suite_run(suite);
}
