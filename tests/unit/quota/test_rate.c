/*
 * A burst and a rate, and the exact window: what they give, when, and what they never give.
 */
#include "jimbot/rate.h"

#include "support/suite.h"

#include <pthread.h>

#define SECOND UINT64_C(1000000000)
#define HOUR   (3600 * SECOND)
#define START  (5 * HOUR)

static jb_gcra cell_of(uint64_t amount, uint64_t period_ns, uint64_t burst)
{
    jb_gcra cell;

    ck_assert_int_eq(jb_gcra_init(&cell, amount, period_ns, burst, START), 0);
    return cell;
}

static uint64_t remaining(const jb_gcra *cell, uint64_t now_ns)
{
    jb_rate_state state;

    jb_gcra_get(cell, now_ns, &state);
    return state.remaining;
}

/* How many single units a cell gives at one moment. */
static uint64_t drain(jb_gcra *cell, uint64_t now_ns)
{
    uint64_t n = 0;

    while (jb_gcra_take(cell, 1, now_ns, NULL) == 0)
        n++;
    return n;
}

START_TEST(test_a_burst_then_one_at_a_time)
{
    jb_gcra cell = cell_of(7, SECOND, 7); /* a seventh of a second is no whole number of ns */
    uint64_t retry = 0;

    ck_assert_uint_eq(drain(&cell, START), 7);
    ck_assert_int_eq(jb_gcra_take(&cell, 1, START, &retry), JB_EAGAIN);
    ck_assert_uint_eq(retry, SECOND / 7 + 1);
    ck_assert_int_eq(jb_gcra_take(&cell, 1, START + retry - 1, NULL), JB_EAGAIN);
    ck_assert_int_eq(jb_gcra_take(&cell, 1, START + retry, NULL), 0);
    ck_assert_int_eq(jb_gcra_take(&cell, 1, START + retry, NULL), JB_EAGAIN);
}
END_TEST

START_TEST(test_more_than_the_burst_is_never_and_not_later)
{
    jb_gcra cell = cell_of(10, SECOND, 5);
    uint64_t retry = 77;

    ck_assert_int_eq(jb_gcra_take(&cell, 6, START + HOUR, &retry), JB_ETOOBIG);
    ck_assert_int_eq(jb_gcra_peek(&cell, UINT64_MAX, START + HOUR, &retry), JB_ETOOBIG);
    ck_assert_uint_eq(retry, 77);
    ck_assert_int_eq(jb_gcra_take(&cell, 5, START + HOUR, NULL), 0);
}
END_TEST

START_TEST(test_terms_out_of_range_are_refused)
{
    jb_gcra cell;

    ck_assert_int_eq(jb_gcra_init(&cell, 0, SECOND, 1, 0), JB_EINVAL);
    ck_assert_int_eq(jb_gcra_init(&cell, 1, 0, 1, 0), JB_EINVAL);
    ck_assert_int_eq(jb_gcra_init(&cell, 1, SECOND, 0, 0), JB_EINVAL);
    ck_assert_int_eq(jb_gcra_init(&cell, 65, 1, 1, 0), JB_EINVAL);
    ck_assert_int_eq(jb_gcra_init(&cell, 1, HOUR, UINT64_MAX, 0), JB_EINVAL);
    ck_assert_int_eq(jb_gcra_init(&cell, 1, UINT64_MAX, 1, 0), JB_EINVAL);
    ck_assert_int_eq(jb_gcra_init(&cell, 64, 1, 1, 0), 0);
}
END_TEST

START_TEST(test_remaining_after_a_pause_is_the_burst)
{
    jb_gcra cell = cell_of(10, SECOND, 5);
    jb_rate_state state;

    ck_assert_int_eq(jb_gcra_take(&cell, 5, START, NULL), 0);
    jb_gcra_get(&cell, START + SECOND / 10, &state);
    ck_assert_uint_eq(state.limit, 5);
    ck_assert_uint_eq(state.remaining, 1);
    ck_assert_uint_eq(state.reset_after_ns, 4 * SECOND / 10);
    jb_gcra_get(&cell, START + 300 * HOUR, &state);
    ck_assert_uint_eq(state.remaining, 5);
    ck_assert_uint_eq(state.reset_after_ns, 0);
}
END_TEST

START_TEST(test_a_denial_changes_nothing)
{
    jb_gcra cell = cell_of(10, SECOND, 5), before;

    ck_assert_uint_eq(drain(&cell, START), 5);
    before = cell;
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(jb_gcra_take(&cell, 2, START + i, NULL), JB_EAGAIN);
    ck_assert_mem_eq(&cell, &before, sizeof cell);
}
END_TEST

START_TEST(test_what_is_given_back_can_be_taken_again_once)
{
    jb_gcra cell = cell_of(10, SECOND, 5);

    ck_assert_int_eq(jb_gcra_take(&cell, 5, START, NULL), 0);
    jb_gcra_refund(&cell, 3, START);
    ck_assert_uint_eq(drain(&cell, START), 3);
    jb_gcra_refund(&cell, UINT64_MAX, START);
    ck_assert_uint_eq(drain(&cell, START), 5);
}
END_TEST

START_TEST(test_what_is_charged_beyond_the_burst_is_owed)
{
    jb_gcra cell = cell_of(10, SECOND, 5);
    uint64_t retry;

    jb_gcra_charge(&cell, 25, START);
    ck_assert_uint_eq(remaining(&cell, START), 0);
    ck_assert_int_eq(jb_gcra_take(&cell, 1, START, &retry), JB_EAGAIN);
    ck_assert_uint_eq(retry, 21 * SECOND / 10);
    jb_gcra_charge(&cell, UINT64_MAX, START);
    ck_assert_int_eq(jb_gcra_take(&cell, 1, START + 1000 * HOUR, NULL), JB_EAGAIN);
}
END_TEST

START_TEST(test_correction_lowers_and_never_raises)
{
    jb_gcra cell = cell_of(10, SECOND, 5);

    jb_gcra_lower(&cell, 2, START);
    ck_assert_uint_eq(remaining(&cell, START), 2);
    jb_gcra_lower(&cell, 4, START);
    ck_assert_uint_eq(remaining(&cell, START), 2);
    jb_gcra_lower(&cell, 0, START);
    ck_assert_uint_eq(remaining(&cell, START), 0);
}
END_TEST

START_TEST(test_new_terms_keep_what_is_left_and_add_nothing)
{
    jb_gcra cell = cell_of(10, SECOND, 10);

    ck_assert_int_eq(jb_gcra_take(&cell, 6, START, NULL), 0);
    ck_assert_int_eq(jb_gcra_set(&cell, 1000, SECOND, 500, START), 0);
    ck_assert_uint_eq(remaining(&cell, START), 4);
    ck_assert_uint_eq(remaining(&cell, START + SECOND / 1000), 5);
    ck_assert_int_eq(jb_gcra_set(&cell, 1, HOUR, 2, START + SECOND / 1000), 0);
    ck_assert_uint_eq(remaining(&cell, START + SECOND / 1000), 2);
    ck_assert_int_eq(jb_gcra_set(&cell, 0, HOUR, 2, START), JB_EINVAL);
}
END_TEST

START_TEST(test_new_terms_keep_a_debt_and_half_a_unit)
{
    jb_gcra cell = cell_of(1, SECOND, 5);

    jb_gcra_charge(&cell, 8, START); /* three are owed */
    ck_assert_int_eq(jb_gcra_set(&cell, 2, SECOND, 5, START), 0);
    ck_assert_uint_eq(remaining(&cell, START + 2 * SECOND - 1), 0);
    ck_assert_uint_eq(remaining(&cell, START + 2 * SECOND), 1);
    /* Half way to the next one, many times over: it comes when it would have come. */
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(jb_gcra_set(&cell, 2, SECOND, 5 + i % 2, START + 9 * SECOND / 4), 0);
    ck_assert_uint_eq(remaining(&cell, START + 5 * SECOND / 2 - 1000), 1);
    ck_assert_uint_eq(remaining(&cell, START + 5 * SECOND / 2 + 1000), 2);
}
END_TEST

START_TEST(test_a_clock_that_jumps_gives_nothing)
{
    jb_gcra cell = cell_of(1, SECOND, 5);

    ck_assert_uint_eq(drain(&cell, START), 5);
    ck_assert_uint_eq(drain(&cell, START - HOUR), 0);
    ck_assert_uint_eq(drain(&cell, 0), 0);
    ck_assert_uint_eq(drain(&cell, START), 0);
    ck_assert_uint_eq(drain(&cell, START + SECOND), 1);
    ck_assert_uint_eq(drain(&cell, UINT64_MAX), 5);
    ck_assert_uint_eq(drain(&cell, START + HOUR), 0);
}
END_TEST

struct taker {
    jb_gcra *cell;
    uint64_t n_taken;
    bool is_setter;
};

static void *take_many(void *userdata)
{
    struct taker *taker = userdata;

    for (uint64_t i = 0; i < 20000; i++) {
        if (taker->is_setter)
            ck_assert_int_eq(jb_gcra_set(taker->cell, 10 + i % 7, HOUR, 4000 + i % 1000, START), 0);
        else
            taker->n_taken += jb_gcra_take(taker->cell, 1, START, NULL) == 0;
    }
    return NULL;
}

static uint64_t take_beside(jb_gcra *cell, bool with_setter)
{
    struct taker takers[3] = {{.cell = cell}, {.cell = cell}, {.cell = cell}};
    pthread_t threads[3];
    uint64_t sum = 0;

    takers[2].is_setter = with_setter;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, take_many, &takers[i]), 0);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        sum += takers[i].n_taken;
    }
    return sum;
}

START_TEST(test_threads_never_both_get_the_last_unit)
{
    jb_gcra cell = cell_of(10, HOUR, 5000);

    ck_assert_uint_eq(take_beside(&cell, false), 5000);
    ck_assert_uint_eq(remaining(&cell, START), 0);
}
END_TEST

START_TEST(test_new_terms_beside_takers_mint_nothing)
{
    jb_gcra cell = cell_of(10, HOUR, 5000);

    ck_assert_uint_le(take_beside(&cell, true), 5000);
}
END_TEST

/* A window with room for n_entries, in memory that is overwritten by the next one. */
static jb_window *window_of(uint64_t limit, uint64_t period_ns, uint32_t n_entries)
{
    static uint64_t memory[4096];
    jb_window *window = NULL;

    ck_assert_uint_le(jb_window_bytes(n_entries), sizeof memory);
    ck_assert_int_eq(jb_window_init(memory, jb_window_bytes(n_entries), limit, period_ns, &window),
                     0);
    return window;
}

static uint64_t window_left(const jb_window *window, uint64_t now_ns)
{
    jb_rate_state state;

    jb_window_get(window, now_ns, &state);
    return state.remaining;
}

START_TEST(test_a_hundred_an_hour_is_never_a_hundred_and_one)
{
    jb_window *window = window_of(100, HOUR, 100);
    uint64_t retry = 0, at;

    for (uint64_t i = 0; i < 100; i++)
        ck_assert_int_eq(jb_window_take(window, 1, START + i * SECOND, NULL), 0);
    at = START + 200 * SECOND;
    ck_assert_int_eq(jb_window_take(window, 1, at, &retry), JB_EAGAIN);
    ck_assert_uint_eq(at + retry, START + HOUR);
    ck_assert_int_eq(jb_window_take(window, 1, START + HOUR - 1, NULL), JB_EAGAIN);
    ck_assert_int_eq(jb_window_take(window, 1, START + HOUR, NULL), 0);
    ck_assert_int_eq(jb_window_take(window, 1, START + HOUR, NULL), JB_EAGAIN);
    ck_assert_int_eq(jb_window_take(window, 101, START + 9 * HOUR, NULL), JB_ETOOBIG);
}
END_TEST

START_TEST(test_the_same_as_a_bucket_gives_nearly_two_hundred)
{
    jb_gcra cell = cell_of(100, HOUR, 100);
    uint64_t n = drain(&cell, START);

    for (uint64_t at = START; at < START + HOUR; at += SECOND)
        n += drain(&cell, at);
    ck_assert_uint_eq(n, 199);
}
END_TEST

START_TEST(test_a_window_gives_back_what_was_not_used)
{
    jb_window *window = window_of(10, HOUR, 16);

    ck_assert_int_eq(jb_window_take(window, 6, START, NULL), 0);
    ck_assert_int_eq(jb_window_take(window, 4, START + SECOND, NULL), 0);
    jb_window_refund(window, 3, START + SECOND, START + 2 * SECOND);
    ck_assert_uint_eq(window_left(window, START + 2 * SECOND), 3);
    ck_assert_uint_eq(window_left(window, START + HOUR), 9);
    /* Too late: those six have left by themselves. */
    jb_window_refund(window, 6, START, START + HOUR);
    ck_assert_uint_eq(window_left(window, START + HOUR), 9);
    ck_assert_uint_eq(window_left(window, START + HOUR + SECOND), 10);
}
END_TEST

START_TEST(test_a_window_is_charged_lowered_and_given_another_limit)
{
    jb_window *window = window_of(10, HOUR, 16);

    jb_window_lower(window, 7, START);
    ck_assert_uint_eq(window_left(window, START), 7);
    jb_window_lower(window, 9, START);
    ck_assert_uint_eq(window_left(window, START), 7);
    jb_window_charge(window, 20, START + 1);
    ck_assert_uint_eq(window_left(window, START + 1), 0);
    ck_assert_int_eq(jb_window_set(window, 30), 0);
    ck_assert_uint_eq(window_left(window, START + 1), 7);
    ck_assert_int_eq(jb_window_set(window, 0), JB_EINVAL);
    jb_window_charge(window, UINT64_MAX, START + 2);
    ck_assert_uint_eq(window_left(window, START + 1 + HOUR), 0);
    ck_assert_uint_eq(window_left(window, START + 2 + HOUR), 30);
}
END_TEST

START_TEST(test_a_window_stands_still_when_its_clock_goes_back)
{
    jb_window *window = window_of(2, HOUR, 2);
    uint64_t retry = 0;

    ck_assert_int_eq(jb_window_take(window, 1, START, NULL), 0);
    ck_assert_int_eq(jb_window_take(window, 1, START - HOUR / 2, NULL), 0);
    ck_assert_int_eq(jb_window_take(window, 1, START - HOUR / 2, &retry), JB_EAGAIN);
    ck_assert_uint_eq(retry, HOUR + HOUR / 2);
    ck_assert_uint_eq(window_left(window, START + HOUR - 1), 0);
    ck_assert_uint_eq(window_left(window, START + HOUR), 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rate");
    TCase *tc = suite_case(suite, "gcra");

    tcase_add_test(tc, test_a_burst_then_one_at_a_time);
    tcase_add_test(tc, test_more_than_the_burst_is_never_and_not_later);
    tcase_add_test(tc, test_terms_out_of_range_are_refused);
    tcase_add_test(tc, test_remaining_after_a_pause_is_the_burst);
    tcase_add_test(tc, test_a_denial_changes_nothing);
    tcase_add_test(tc, test_what_is_given_back_can_be_taken_again_once);
    tcase_add_test(tc, test_what_is_charged_beyond_the_burst_is_owed);
    tcase_add_test(tc, test_correction_lowers_and_never_raises);
    tcase_add_test(tc, test_new_terms_keep_what_is_left_and_add_nothing);
    tcase_add_test(tc, test_new_terms_keep_a_debt_and_half_a_unit);
    tcase_add_test(tc, test_a_clock_that_jumps_gives_nothing);
    tcase_add_test(tc, test_threads_never_both_get_the_last_unit);
    tcase_add_test(tc, test_new_terms_beside_takers_mint_nothing);
    tc = suite_case(suite, "window");
    tcase_add_test(tc, test_a_hundred_an_hour_is_never_a_hundred_and_one);
    tcase_add_test(tc, test_the_same_as_a_bucket_gives_nearly_two_hundred);
    tcase_add_test(tc, test_a_window_gives_back_what_was_not_used);
    tcase_add_test(tc, test_a_window_is_charged_lowered_and_given_another_limit);
    tcase_add_test(tc, test_a_window_stands_still_when_its_clock_goes_back);
    return suite_run(suite);
}
