/*
 * What is kept for those who are first in line for rates, what is not, and what counts as had.
 */
#include "rate_line.h"

#include <time.h>

enum { DAVE = N_COMPONENTS };

#define HOUR (3600 * S)

static uint32_t n_looks;
static jb_usage usage;

static uint64_t counting_clock(void *userdata)
{
    struct timespec now;

    (void)userdata;
    n_looks++;
    ck_assert_int_eq(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (uint64_t)now.tv_sec * S + (uint64_t)now.tv_nsec;
}

/* All weigh the same, and nobody is ever due. */
static void equal_opts(jb_coord_opts *opts, const jb_limit_spec *limits, uint32_t n_limits)
{
    static const jb_component_spec components[] = {
        {.name = "alice"}, {.name = "bob"}, {.name = "carol"}, {.name = "dave"}};

    line_opts(opts, limits, n_limits);
    opts->components = components;
    opts->n_components = 4;
    opts->aging_ns = 1000 * HOUR;
    opts->reservation_ns = 60 * S;
    test_now_ns = 1000 * S;
}

static void open_equal(const jb_limit_spec *limits, uint32_t n_limits)
{
    jb_coord_opts opts;

    equal_opts(&opts, limits, n_limits);
    coord = open_coord(NULL, &opts);
}

static int try_some(uint32_t component, uint32_t lease_class, uint32_t resource, uint64_t n)
{
    const jb_amount amount = {.resource = resource, .amount = n};
    const jb_take take = take_of(component, lease_class, &amount);

    return jb_usage_try(coord, &take, NULL, &denial);
}

/* A call, and so much of something else. */
static jb_ticket ask_both(uint32_t component, uint32_t resource, uint64_t n)
{
    const jb_amount both[] = {{.resource = CALLS, .amount = 1},
                              {.resource = resource, .amount = n}};
    const jb_take take = {.component = component, .n_amounts = 2, .amounts = both};
    jb_ticket ticket = {0};

    ck_assert_int_eq(jb_usage_request(coord, &take, NEVER, &ticket), 0);
    return ticket;
}

/* Poll; so much was used. */
static int poll_used(const jb_ticket *ticket, uint64_t used)
{
    int rc = jb_usage_poll(coord, ticket, &usage, &denial);

    if (rc == 1)
        ck_assert_int_eq(jb_usage_commit(coord, &usage, &used, 1), 0);
    return rc;
}

static const jb_limit_spec ten_calls[] = {{CALLS, JB_LIMIT_ALL, JB_LIMIT_RATE, 0, 10, S, 0}};

START_TEST(test_a_place_among_the_reservations_is_waited_for_asleep)
{
    const jb_amount one = {.resource = CALLS, .amount = 1};
    const jb_take take = take_of(ALICE, 0, &one);
    jb_coord_opts opts;
    jb_ticket ticket;
    jb_usage first;

    equal_opts(&opts, ten_calls, 1);
    opts.max_reservations = 1;
    if (_i == 1)
        opts.clock = counting_clock;
    coord = open_coord(NULL, &opts);
    ck_assert_int_eq(jb_usage_try(coord, &take, &first, NULL), 0);
    ticket = ask(BOB, 0, CALLS, 1);
    n_looks = 0;
    if (_i == 1) {
        ck_assert_int_eq(jb_usage_wait(coord, &ticket, 100 * MS, &usage, &denial), 0);
        ck_assert_uint_lt(n_looks, 100);
    } else {
        ck_assert_int_eq(poll(&ticket), 0);
    }
    ck_assert_uint_eq(denial.retry_after_ns, NEVER);
    ck_assert_int_eq(jb_usage_commit(coord, &first, NULL, 0), 0);
    ck_assert_int_eq(poll(&ticket), 1);
}
END_TEST

START_TEST(test_who_became_too_big_behind_a_fellow_ends_at_once)
{
    const jb_correction told = {.flags = JB_CORRECT_LIMIT, .limit = 5};
    jb_ticket head, fellow;

    open_equal(ten_calls, 1);
    drain();
    head = ask(ALICE, 0, CALLS, 1);
    fellow = ask(ALICE, 0, CALLS, 10);
    ck_assert_int_eq(poll(&fellow), 0);
    ck_assert_int_eq(jb_usage_correct(coord, 0, &told), 0);
    ck_assert_int_eq(poll(&fellow), JB_ETOOBIG);
    ck_assert_int_eq(poll(&fellow), JB_ENOENT);
    ck_assert_int_eq(poll(&head), 0);
    ck_assert_uint_gt(denial.retry_after_ns, 0);
    ck_assert_uint_lt(denial.retry_after_ns, NEVER);
}
END_TEST

/* 0: HIGH goes before LOW; 1: LOW, due after 40 s, before CRITICAL. */
START_TEST(test_its_own_limit_is_kept_for_the_first_of_a_component)
{
    static const jb_limit_spec limits[] = {
        {TOKENS, ALICE, JB_LIMIT_RATE, 0, 100, 10 * S, 0},
        {TOKENS, JB_LIMIT_ALL, JB_LIMIT_RATE, 0, 1000, 10 * S, 0}};
    const uint32_t first_class = _i == 0 ? JB_CLASS_HIGH : JB_CLASS_LOW;
    const uint32_t other_class = _i == 0 ? JB_CLASS_LOW : JB_CLASS_CRITICAL;
    const uint64_t due_ns = _i == 0 ? 0 : 40 * S;
    jb_coord_opts opts;
    jb_ticket big, small;
    uint64_t n_small = 0, from_ns;

    equal_opts(&opts, limits, 2);
    if (_i == 1)
        opts.aging_ns = 10 * S;
    coord = open_coord(NULL, &opts);
    ck_assert_int_eq(try_some(ALICE, 0, TOKENS, 100), 0);
    from_ns = test_now_ns;
    big = ask(ALICE, first_class, TOKENS, 50);
    small = ask(ALICE, other_class, TOKENS, 5);
    while (poll(&big) == 0) {
        ck_assert_uint_lt(test_now_ns, from_ns + due_ns + 5 * S);
        test_now_ns += 100 * MS;
        if (poll(&small) == 1) {
            small = ask(ALICE, other_class, TOKENS, 5);
            n_small++;
        }
    }
    ck_assert_uint_ge(test_now_ns - from_ns, due_ns + 4 * S);
    ck_assert_uint_le(n_small, due_ns / (500 * MS));
    ck_assert_uint_ge(n_small + 2, due_ns / (500 * MS));
}
END_TEST

/* CAROL and DAVE shared tokens for long. Then ALICE wants calls, BOB as many and tokens, of which
 * there are plenty. */
START_TEST(test_what_was_had_of_another_limit_does_not_count)
{
    static const jb_limit_spec limits[] = {{CALLS, JB_LIMIT_ALL, JB_LIMIT_RATE, 0, 10, S, 0},
                                           {TOKENS, JB_LIMIT_ALL, JB_LIMIT_RATE, 0, 10, S, 0}};
    jb_ticket tickets[2] = {{0}};
    uint32_t n[2] = {0, 0};

    open_equal(limits, 2);
    ck_assert_int_eq(try_some(CAROL, 0, TOKENS, 10), 0);
    for (int i = 0; i < 1000; i++) {
        for (uint32_t who = 0; who < 2; who++) {
            if (i == 0 || poll(&tickets[who]) == 1)
                tickets[who] = ask(CAROL + who, 0, TOKENS, 1);
        }
        test_now_ns += 100 * MS;
    }
    for (uint32_t who = 0; who < 2; who++)
        ck_assert_int_eq(jb_usage_cancel(coord, &tickets[who]), 0);
    test_now_ns += 100 * S;
    drain();
    for (int i = 0; i < 600; i++) {
        for (uint32_t who = 0; who < 2; who++) {
            if (i != 0 && poll(&tickets[who]) != 1)
                continue;
            n[who] += i != 0;
            tickets[who] = who == BOB ? ask_both(BOB, TOKENS, 1) : ask(ALICE, 0, CALLS, 1);
        }
        test_now_ns += 100 * MS;
    }
    ck_assert_uint_ge(n[ALICE], 295);
    ck_assert_uint_ge(n[BOB], 295);
}
END_TEST

/* ALICE and CAROL wait an hour for a call, and want more than half of something else then. */
START_TEST(test_what_is_back_within_the_hour_is_lent)
{
    const jb_limit_spec limits[] = {
        {CALLS, JB_LIMIT_ALL, JB_LIMIT_WINDOW, 0, 1, HOUR, 0},
        _i == 0   ? (jb_limit_spec){OTHER, JB_LIMIT_ALL, JB_LIMIT_RATE, 0, 10, 10 * S, 0}
        : _i == 1 ? (jb_limit_spec){OTHER, JB_LIMIT_ALL, JB_LIMIT_WINDOW, 0, 10, 10 * S, 0}
                  : (jb_limit_spec){OTHER, JB_LIMIT_ALL, JB_LIMIT_OPEN, 0, 1, 0, 0}};
    jb_ticket alice, carol;

    open_equal(limits, 2);
    ck_assert_int_eq(try_some(DAVE, 0, CALLS, 1), 0);
    alice = ask_both(ALICE, OTHER, 8);
    carol = ask_both(CAROL, OTHER, 8);
    ck_assert_int_eq(try_some(BOB, 0, OTHER, 3), 0);
    test_now_ns += HOUR / 2;
    ck_assert_int_eq(try_some(BOB, 0, OTHER, 10), 0);
    test_now_ns += HOUR / 2 - S;
    ck_assert_int_eq(try_some(BOB, 0, OTHER, 10), JB_EAGAIN);
    ck_assert_int_eq(poll(&alice), 0);
    ck_assert_uint_eq(denial.retry_after_ns, S);
    test_now_ns += S;
    ck_assert_int_eq(poll(&alice), 1);
    ck_assert_int_eq(poll(&carol), 0);
}
END_TEST

/* CAROL wants a call and a token; the call is 0: blocked, 1: kept for DAVE. ALICE has the tokens
 * for half a minute, then shares them with BOB. */
START_TEST(test_who_waits_for_a_call_does_not_hold_back_tokens)
{
    static const jb_limit_spec limits[] = {
        {CALLS, JB_LIMIT_ALL, JB_LIMIT_WINDOW, 0, 10, 10 * HOUR, 0},
        {TOKENS, JB_LIMIT_ALL, JB_LIMIT_RATE, 0, 10, S, 0}};
    jb_ticket tickets[2] = {{0}};
    jb_ticket carol;
    uint32_t n[2] = {0, 0};

    open_equal(limits, 2);
    if (_i == 0) {
        ck_assert_int_eq(jb_usage_block(coord, CALLS, 10 * HOUR), 0);
    } else {
        ck_assert_int_eq(try_some(CAROL, 0, CALLS, 1), 0);
        (void)ask(DAVE, 0, CALLS, 10);
    }
    carol = ask_both(CAROL, TOKENS, 1);
    for (int i = 0; i < 600; i++) {
        for (uint32_t who = 0; who < (i < 300 ? 1u : 2u); who++) {
            if (i == 0 || (i == 300 && who == BOB) || poll(&tickets[who]) == 1) {
                n[who] += i > 300;
                tickets[who] = ask(who, 0, TOKENS, 5);
            }
        }
        test_now_ns += 100 * MS;
    }
    ck_assert_uint_ge(n[ALICE], 28);
    ck_assert_uint_ge(n[BOB], 28);
    ck_assert_int_eq(poll(&carol), 0);
}
END_TEST

static const jb_limit_spec of_tokens[] = {
    {TOKENS, JB_LIMIT_ALL, JB_LIMIT_RATE, 0, 100, 10 * S, 0},
    {TOKENS, JB_LIMIT_ALL, JB_LIMIT_WINDOW, 0, 100, 10 * S, 0}};

START_TEST(test_nothing_is_not_taken_of_what_is_overdrawn)
{
    const uint64_t back_ns = _i == 0 ? 40 * S : 10 * S;
    jb_ticket ticket;

    open_equal(&of_tokens[_i], 1);
    ticket = ask(ALICE, 0, TOKENS, 0);
    ck_assert_int_eq(poll_used(&ticket, 500), 1);
    ck_assert_int_eq(try_some(ALICE, 0, TOKENS, 0), JB_EAGAIN);
    ck_assert_uint_eq(denial.limit, 0);
    ck_assert_uint_eq(denial.retry_after_ns, back_ns);
    ticket = ask(BOB, 0, TOKENS, 0);
    test_now_ns += back_ns - 1;
    ck_assert_int_eq(poll(&ticket), 0);
    test_now_ns += 1;
    ck_assert_int_eq(poll(&ticket), 1);
}
END_TEST

START_TEST(test_who_wants_nothing_yet_does_not_go_past_the_line)
{
    jb_ticket nothing, much;

    open_equal(&of_tokens[_i], 1);
    ck_assert_int_eq(try_some(CAROL, 0, TOKENS, 100), 0);
    ck_assert_int_eq(try_some(ALICE, JB_CLASS_LOW, TOKENS, 0), 0);
    much = ask(BOB, JB_CLASS_HIGH, TOKENS, 100);
    nothing = ask(ALICE, JB_CLASS_LOW, TOKENS, 0);
    ck_assert_int_eq(poll(&nothing), 0);
    ck_assert_int_eq(try_some(CAROL, JB_CLASS_LOW, TOKENS, 0), JB_EAGAIN);
    test_now_ns += 10 * S;
    ck_assert_int_eq(poll(&much), 1);
    ck_assert_int_eq(poll(&nothing), 1);
}
END_TEST

/* Two tickets each: somebody is always waiting. */
START_TEST(test_what_is_used_beyond_the_estimate_counts_as_had)
{
    static const uint64_t estimates[2] = {[ALICE] = 0, [BOB] = 50};
    jb_ticket tickets[4] = {{0}};
    uint32_t n[2] = {0, 0};

    open_equal(of_tokens, 1);
    ck_assert_int_eq(try_some(CAROL, 0, TOKENS, 100), 0);
    for (int i = 0; i < 2000; i++) {
        for (uint32_t k = 0; k < 4; k++) {
            if (i != 0 && poll_used(&tickets[k], 50) != 1)
                continue;
            n[k % 2] += i != 0;
            tickets[k] = ask(k % 2, 0, TOKENS, estimates[k % 2]);
        }
        test_now_ns += 100 * MS;
    }
    ck_assert_uint_ge(n[ALICE] + n[BOB], 36);
    ck_assert_uint_le(n[ALICE], n[BOB] + 2);
    ck_assert_uint_le(n[BOB], n[ALICE] + 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quota-rate-keep");
    TCase *tc = suite_case(suite, "keep");

    tcase_add_checked_fixture(tc, NULL, end);
    tcase_add_loop_test(tc, test_a_place_among_the_reservations_is_waited_for_asleep, 0, 2);
    tcase_add_test(tc, test_who_became_too_big_behind_a_fellow_ends_at_once);
    tcase_add_loop_test(tc, test_its_own_limit_is_kept_for_the_first_of_a_component, 0, 2);
    tcase_add_test(tc, test_what_was_had_of_another_limit_does_not_count);
    tcase_add_loop_test(tc, test_what_is_back_within_the_hour_is_lent, 0, 3);
    tcase_add_loop_test(tc, test_who_waits_for_a_call_does_not_hold_back_tokens, 0, 2);
    tcase_add_loop_test(tc, test_nothing_is_not_taken_of_what_is_overdrawn, 0, 2);
    tcase_add_loop_test(tc, test_who_wants_nothing_yet_does_not_go_past_the_line, 0, 2);
    tcase_add_test(tc, test_what_is_used_beyond_the_estimate_counts_as_had);
    return suite_run(suite);
}
