/*
 * Limits that outlive the machine's run: what was written down is taken up again, later by as much
 * as has passed, and never gives more than there would have been.
 */
#include "quota.h"

enum { CALLS, TOKENS };
enum { L_RATE, L_WINDOW, L_BOB, N_LIMITS };

#define MINUTE (60 * S)
#define HOUR   (60 * MINUTE)
#define UTC    (UINT64_C(1767225600) * S)

static uint8_t saved[4096];
static size_t n_saved;

static jb_coord *coord_with(uint32_t first, uint32_t n_limits)
{
    static const jb_resource_spec resources[] = {
        {.name = "calls", .kind = JB_RESOURCE_CALLS, .capacity = 10},
        {.name = "tokens", .kind = JB_RESOURCE_TOKENS, .capacity = 1}};
    static const jb_limit_spec limits[N_LIMITS] = {
        [L_RATE] = {TOKENS, JB_LIMIT_ALL, JB_LIMIT_RATE, 0, 600, MINUTE, 0},
        [L_WINDOW] = {CALLS, JB_LIMIT_ALL, JB_LIMIT_WINDOW, 0, 100, HOUR, 0},
        [L_BOB] = {CALLS, BOB, JB_LIMIT_WINDOW, 0, 10, HOUR, 0},
    };
    jb_coord_opts opts;

    small_opts(&opts);
    opts.resources = resources;
    opts.limits = limits + first;
    opts.n_limits = n_limits;
    return open_coord(NULL, &opts);
}

static jb_limit_info info_of(jb_coord *coord, uint32_t limit)
{
    jb_limit_info info;

    ck_assert_int_eq(jb_coord_limit_at(coord, limit, &info), 0);
    return info;
}

static int take(jb_coord *coord, uint32_t component, uint64_t calls, uint64_t tokens)
{
    const jb_amount amounts[] = {{.resource = CALLS, .amount = calls},
                                 {.resource = TOKENS, .amount = tokens}};
    jb_take what = {.component = component, .n_amounts = 2, .amounts = amounts};

    return jb_usage_try(coord, &what, NULL, NULL);
}

/* Forty calls and all tokens, twenty more by Bob ten minutes later, and a bit of waiting. */
static void save_some(void)
{
    jb_coord *coord = coord_with(0, N_LIMITS);
    jb_correction told = {.flags = JB_CORRECT_LIMIT, .limit = 90};

    test_now_ns = 9 * HOUR;
    ck_assert_int_eq(take(coord, ALICE, 40, 0), 0);
    test_now_ns += 10 * MINUTE;
    ck_assert_int_eq(take(coord, BOB, 7, 600), 0);
    ck_assert_int_eq(jb_usage_correct(coord, L_WINDOW, &told), 0);
    ck_assert_int_eq(jb_usage_block(coord, TOKENS, 30 * MINUTE), 0);
    test_now_ns += 20 * S;
    ck_assert_int_gt(jb_usage_save(coord, UTC, NULL, 0), 0);
    n_saved = (size_t)jb_usage_save(coord, UTC, saved, sizeof saved);
    ck_assert_uint_le(n_saved, sizeof saved);
    ck_assert_int_eq(jb_usage_save(coord, UTC, saved, 1), (int64_t)n_saved);
    n_saved = (size_t)jb_usage_save(coord, UTC, saved, sizeof saved);
    jb_coord_close(coord);
}

/* A machine that was started a second ago, so long after the other one was seen last. */
static jb_coord *start_after(uint64_t passed_ns)
{
    jb_coord *coord = coord_with(0, N_LIMITS);

    ck_assert_uint_eq(test_now_ns, S);
    ck_assert_int_eq(jb_usage_load(coord, UTC + passed_ns, saved, n_saved), 0);
    return coord;
}

START_TEST(test_what_was_taken_is_taken_after_a_restart)
{
    jb_coord *coord = start_after(20 * S);

    ck_assert_uint_eq(info_of(coord, L_WINDOW).in_force, 90);
    ck_assert_uint_eq(info_of(coord, L_WINDOW).remaining, 43);
    ck_assert_uint_eq(info_of(coord, L_BOB).remaining, 3);
    ck_assert_uint_eq(info_of(coord, L_RATE).remaining, 0);
    ck_assert_uint_eq(info_of(coord, L_RATE).blocked_ns, 30 * MINUTE - 40 * S);
    ck_assert_uint_eq(info_of(coord, L_RATE).reset_after_ns, 30 * MINUTE - 40 * S);
    test_now_ns += 50 * MINUTE - 40 * S - 1;
    ck_assert_uint_eq(info_of(coord, L_WINDOW).remaining, 43);
    test_now_ns += 1;
    ck_assert_uint_eq(info_of(coord, L_WINDOW).remaining, 83);
    ck_assert_uint_eq(info_of(coord, L_RATE).remaining, 600);
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_what_came_back_meanwhile_is_back)
{
    jb_coord *coord = start_after(2 * HOUR);

    ck_assert_uint_eq(info_of(coord, L_WINDOW).remaining, 90);
    ck_assert_uint_eq(info_of(coord, L_RATE).remaining, 600);
    ck_assert_uint_eq(info_of(coord, L_RATE).blocked_ns, 0);
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_a_clock_that_went_back_gives_nothing)
{
    jb_coord *coord = start_after(-HOUR);

    ck_assert_uint_eq(info_of(coord, L_WINDOW).remaining, 43);
    ck_assert_uint_eq(info_of(coord, L_RATE).blocked_ns, 30 * MINUTE - 20 * S);
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_half_a_rate_is_missing)
{
    jb_coord *coord = coord_with(0, N_LIMITS);

    test_now_ns = 5 * S;
    ck_assert_int_eq(take(coord, ALICE, 0, 300), 0);
    n_saved = (size_t)jb_usage_save(coord, UTC, saved, sizeof saved);
    jb_coord_close(coord);
    coord = start_after(10 * S);
    ck_assert_uint_eq(info_of(coord, L_RATE).remaining, 400);
    ck_assert_uint_eq(info_of(coord, L_RATE).reset_after_ns, 20 * S);
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_limits_with_a_history_of_their_own_keep_it)
{
    jb_coord *coord = coord_with(0, N_LIMITS);

    ck_assert_int_eq(take(coord, ALICE, 1, 0), 0);
    ck_assert_int_eq(jb_usage_load(coord, UTC, saved, n_saved), JB_ESTATE);
    ck_assert_uint_eq(info_of(coord, L_WINDOW).remaining, 99);
    jb_coord_close(coord);
    coord = start_after(0);
    ck_assert_int_eq(jb_usage_load(coord, UTC, saved, n_saved), JB_ESTATE);
    ck_assert_uint_eq(info_of(coord, L_WINDOW).remaining, 43);
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_limits_are_known_again_wherever_they_stand)
{
    jb_coord *coord = coord_with(L_BOB, 1);

    ck_assert_int_eq(jb_usage_load(coord, UTC, saved, n_saved), 0);
    ck_assert_uint_eq(info_of(coord, 0).remaining, 3);
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_anything_else_is_refused_whole)
{
    jb_coord *coord = coord_with(0, N_LIMITS);

    for (size_t n = 0; n < n_saved; n++)
        ck_assert_int_eq(jb_usage_load(coord, UTC, saved, n), JB_ECORRUPT);
    saved[0] ^= 1;
    ck_assert_int_eq(jb_usage_load(coord, UTC, saved, n_saved), JB_ECORRUPT);
    ck_assert_uint_eq(info_of(coord, L_WINDOW).remaining, 100);
    saved[0] ^= 1;
    ck_assert_int_eq(jb_usage_load(coord, UTC, saved, n_saved), 0);
    jb_coord_close(coord);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quota-usage-save");
    TCase *tc = suite_case(suite, "save");

    tcase_add_checked_fixture(tc, save_some, NULL);
    tcase_add_test(tc, test_what_was_taken_is_taken_after_a_restart);
    tcase_add_test(tc, test_what_came_back_meanwhile_is_back);
    tcase_add_test(tc, test_a_clock_that_went_back_gives_nothing);
    tcase_add_test(tc, test_half_a_rate_is_missing);
    tcase_add_test(tc, test_limits_with_a_history_of_their_own_keep_it);
    tcase_add_test(tc, test_limits_are_known_again_wherever_they_stand);
    tcase_add_test(tc, test_anything_else_is_refused_whole);
    return suite_run(suite);
}
