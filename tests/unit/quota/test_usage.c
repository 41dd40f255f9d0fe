/*
 * Taking, reserving, committing, correcting: several limits at once, of components inside a total.
 */
#include "quota.h"

#include <pthread.h>
#include <time.h>

enum { CALLS, INPUT, OUTPUT };
enum { L_MINUTE, L_HOUR, L_INPUT, L_OUTPUT, L_OPEN, L_BOB, N_LIMITS };

#define MINUTE (60 * S)
#define HOUR   (60 * MINUTE)

static jb_coord *coord;

static void open_with(uint64_t (*clock)(void *))
{
    static const jb_resource_spec resources[] = {
        {.name = "calls", .kind = JB_RESOURCE_CALLS, .capacity = 10},
        {.name = "input", .kind = JB_RESOURCE_TOKENS, .capacity = 1},
        {.name = "output", .kind = JB_RESOURCE_TOKENS, .capacity = 1},
    };
    static const jb_limit_spec limits[N_LIMITS] = {
        [L_MINUTE] = {CALLS, JB_LIMIT_ALL, JB_LIMIT_RATE, 0, 50, MINUTE, 10},
        [L_HOUR] = {CALLS, JB_LIMIT_ALL, JB_LIMIT_WINDOW, 0, 100, HOUR, 0},
        [L_INPUT] = {INPUT, JB_LIMIT_ALL, JB_LIMIT_RATE, 0, 30000, MINUTE, 0},
        [L_OUTPUT] = {OUTPUT, JB_LIMIT_ALL, JB_LIMIT_RATE, 0, 8000, MINUTE, 0},
        [L_OPEN] = {CALLS, JB_LIMIT_ALL, JB_LIMIT_OPEN, 0, 4, 0, 0},
        [L_BOB] = {CALLS, BOB, JB_LIMIT_WINDOW, 0, 3, HOUR, 0},
    };
    jb_coord_opts opts;

    small_opts(&opts);
    opts.resources = resources;
    opts.n_resources = 3;
    opts.limits = limits;
    opts.n_limits = N_LIMITS;
    opts.max_reservations = 8;
    opts.reservation_ns = MINUTE;
    opts.clock = clock;
    coord = open_coord(NULL, &opts);
}

static void begin(void)
{
    open_with(test_clock);
    test_now_ns = 9 * HOUR;
}

static void end(void)
{
    jb_coord_close(coord);
}

static jb_limit_info info_of(uint32_t limit)
{
    jb_limit_info info;

    ck_assert_int_eq(jb_coord_limit_at(coord, limit, &info), 0);
    return info;
}

static uint64_t left(uint32_t limit)
{
    return info_of(limit).remaining;
}

static jb_denial denial;

/* One call, of so many tokens. */
static int call(uint32_t component, uint64_t input, uint64_t output, jb_usage *ret_usage)
{
    const jb_amount amounts[] = {{.resource = CALLS, .amount = 1},
                                 {.resource = INPUT, .amount = input},
                                 {.resource = OUTPUT, .amount = output}};
    jb_take take = {.component = component, .n_amounts = 3, .amounts = amounts};

    return jb_usage_try(coord, &take, ret_usage, &denial);
}

START_TEST(test_all_limits_or_none)
{
    jb_usage usage;

    ck_assert_int_eq(call(ALICE, 20000, 100, &usage), 0);
    ck_assert_int_eq(call(ALICE, 20000, 100, &usage), JB_EAGAIN);
    ck_assert_uint_eq(denial.limit, L_INPUT);
    ck_assert_uint_eq(denial.retry_after_ns, 20 * S);
    ck_assert_uint_eq(left(L_MINUTE), 9);
    ck_assert_uint_eq(left(L_HOUR), 99);
    ck_assert_uint_eq(left(L_OUTPUT), 7900);
    ck_assert_uint_eq(info_of(L_OPEN).reserved, 1);
    test_now_ns += 20 * S - 1;
    ck_assert_int_eq(call(ALICE, 20000, 100, NULL), JB_EAGAIN);
    test_now_ns += 1;
    ck_assert_int_eq(call(ALICE, 20000, 100, NULL), 0);
    ck_assert_int_eq(call(ALICE, 30001, 100, NULL), JB_ETOOBIG);
    ck_assert_uint_eq(denial.limit, L_INPUT);
}
END_TEST

START_TEST(test_a_component_has_its_limit_inside_the_total)
{
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(call(BOB, 0, 0, NULL), 0);
    ck_assert_int_eq(call(BOB, 0, 0, NULL), JB_EAGAIN);
    ck_assert_uint_eq(denial.limit, L_BOB);
    ck_assert_uint_eq(denial.retry_after_ns, HOUR);
    ck_assert_uint_eq(left(L_HOUR), 97);
    ck_assert_int_eq(call(ALICE, 0, 0, NULL), 0);
    ck_assert_uint_eq(info_of(L_BOB).n_denied, 1);
    ck_assert_uint_eq(info_of(L_HOUR).n_taken, 4);
}
END_TEST

START_TEST(test_commit_gives_back_what_was_not_used_and_owes_what_was_more)
{
    const uint64_t used[] = {1, 400, 9500};
    jb_usage usage;

    ck_assert_int_eq(call(ALICE, 1000, 1000, &usage), 0);
    ck_assert_uint_eq(info_of(L_INPUT).reserved, 1000);
    ck_assert_int_eq(jb_usage_commit(coord, &usage, used, 2), JB_EINVAL);
    ck_assert_int_eq(jb_usage_commit(coord, &usage, used, 3), 0);
    ck_assert_int_eq(jb_usage_commit(coord, &usage, used, 3), JB_ENOENT);
    ck_assert_int_eq(jb_usage_refund(coord, &usage), JB_ENOENT);
    ck_assert_uint_eq(left(L_INPUT), 29600);
    ck_assert_uint_eq(info_of(L_INPUT).reserved, 0);
    ck_assert_uint_eq(info_of(L_INPUT).n_taken, 400);
    ck_assert_uint_eq(left(L_OUTPUT), 0);
    ck_assert_int_eq(call(ALICE, 0, 1, NULL), JB_EAGAIN);
    ck_assert_uint_eq(denial.retry_after_ns, 1501 * MINUTE / 8000);
}
END_TEST

START_TEST(test_refund_is_as_if_nothing_had_been)
{
    jb_usage usage;

    ck_assert_int_eq(call(BOB, 5000, 500, &usage), 0);
    test_now_ns += S;
    ck_assert_int_eq(jb_usage_refund(coord, &usage), 0);
    ck_assert_uint_eq(left(L_MINUTE), 10);
    ck_assert_uint_eq(left(L_HOUR), 100);
    ck_assert_uint_eq(left(L_INPUT), 30000);
    ck_assert_uint_eq(left(L_BOB), 3);
    ck_assert_uint_eq(left(L_OPEN), 4);
}
END_TEST

START_TEST(test_an_hour_begins_with_the_commit)
{
    jb_usage usage;

    ck_assert_int_eq(call(BOB, 0, 0, &usage), 0);
    test_now_ns += 50 * S;
    ck_assert_int_eq(jb_usage_commit(coord, &usage, NULL, 0), 0);
    ck_assert_int_eq(call(BOB, 0, 0, NULL), 0);
    ck_assert_int_eq(call(BOB, 0, 0, NULL), 0);
    ck_assert_int_eq(call(BOB, 0, 0, NULL), JB_EAGAIN);
    ck_assert_uint_eq(denial.retry_after_ns, HOUR);
}
END_TEST

START_TEST(test_so_many_are_open_at_a_time)
{
    jb_usage usages[5];

    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(call(ALICE, 0, 0, &usages[i]), 0);
    ck_assert_int_eq(call(ALICE, 0, 0, &usages[4]), JB_EAGAIN);
    ck_assert_uint_eq(denial.limit, L_OPEN);
    ck_assert_uint_eq(denial.retry_after_ns, UINT64_MAX);
    ck_assert_int_eq(jb_usage_commit(coord, &usages[2], NULL, 0), 0);
    ck_assert_int_eq(call(ALICE, 0, 0, &usages[4]), 0);
    ck_assert_uint_gt(usages[4].token, usages[3].token);
}
END_TEST

START_TEST(test_silence_counts_as_used)
{
    uint64_t next_ns = 0;
    jb_usage usage;

    ck_assert_int_eq(call(BOB, 6000, 0, &usage), 0);
    ck_assert_int_ge(jb_coord_tick(coord, &next_ns), 0);
    ck_assert_uint_eq(next_ns, MINUTE);
    test_now_ns = usage.deadline_ns - 1;
    ck_assert_uint_eq(info_of(L_OPEN).reserved, 1);
    test_now_ns = usage.deadline_ns;
    ck_assert_uint_eq(info_of(L_OPEN).reserved, 0);
    ck_assert_int_eq(jb_usage_refund(coord, &usage), JB_ENOENT);
    ck_assert_uint_eq(left(L_BOB), 2);
    test_now_ns += HOUR - 1;
    ck_assert_uint_eq(left(L_BOB), 2);
}
END_TEST

START_TEST(test_no_room_for_another_reservation)
{
    const jb_amount amount = {.resource = OUTPUT, .amount = 1};
    jb_take take = {.component = ALICE, .n_amounts = 1, .amounts = &amount};
    jb_usage usage;

    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(jb_usage_try(coord, &take, &usage, NULL), 0);
    ck_assert_int_eq(jb_usage_try(coord, &take, &usage, NULL), JB_ELIMIT);
    ck_assert_uint_eq(left(L_OUTPUT), 7992);
    ck_assert_int_eq(jb_usage_commit(coord, &usage, NULL, 0), 0);
    ck_assert_int_eq(jb_usage_try(coord, &take, &usage, NULL), 0);
}
END_TEST

START_TEST(test_the_service_corrects)
{
    jb_correction told = {.flags = JB_CORRECT_REMAINING, .remaining = 1000};
    jb_usage usage;

    ck_assert_int_eq(call(ALICE, 300, 0, &usage), 0);
    ck_assert_int_eq(jb_usage_correct(coord, L_INPUT, &told), 0);
    ck_assert_uint_eq(left(L_INPUT), 700); /* the 300 may be on their way */
    told.remaining = 20000;
    ck_assert_int_eq(jb_usage_correct(coord, L_INPUT, &told), 0);
    ck_assert_uint_eq(left(L_INPUT), 700);
    told.flags |= JB_CORRECT_RAISE;
    ck_assert_int_eq(jb_usage_correct(coord, L_INPUT, &told), 0);
    ck_assert_uint_eq(left(L_INPUT), 19700);
    told = (jb_correction){.flags = JB_CORRECT_LIMIT, .limit = 6000};
    ck_assert_int_eq(jb_usage_correct(coord, L_INPUT, &told), 0);
    ck_assert_uint_eq(left(L_INPUT), 6000);
    ck_assert_uint_eq(info_of(L_INPUT).in_force, 6000);
    told.limit = 90000;
    ck_assert_int_eq(jb_usage_correct(coord, L_INPUT, &told), 0);
    ck_assert_uint_eq(info_of(L_INPUT).in_force, 30000);
    ck_assert_uint_eq(left(L_INPUT), 6000);
    ck_assert_int_eq(jb_usage_correct(coord, N_LIMITS, &told), JB_EINVAL);
}
END_TEST

START_TEST(test_a_window_is_corrected_downwards)
{
    jb_correction told = {
        .flags = JB_CORRECT_REMAINING | JB_CORRECT_LIMIT, .remaining = 30, .limit = 80};

    ck_assert_int_eq(jb_usage_correct(coord, L_HOUR, &told), 0);
    ck_assert_uint_eq(left(L_HOUR), 30);
    test_now_ns += HOUR;
    ck_assert_uint_eq(left(L_HOUR), 80);
}
END_TEST

static jb_record next_of(uint64_t *cursor)
{
    jb_record record = {0};

    ck_assert_int_eq(jb_coord_next_record(coord, cursor, &record, NULL), 1);
    return record;
}

START_TEST(test_takes_ends_and_denials_are_recorded)
{
    const uint64_t used[] = {1, 50, 0};
    uint64_t cursor = 0;
    jb_usage usage;
    jb_record record;

    ck_assert_int_eq(call(BOB, 90, 0, &usage), 0);
    record = next_of(&cursor);
    ck_assert_uint_eq(record.kind, JB_RECORD_TAKEN);
    ck_assert_uint_eq(record.token, usage.token);
    ck_assert_uint_eq(record.component, BOB);
    ck_assert_uint_eq(record.n_more, 2);
    ck_assert_uint_eq(next_of(&cursor).amount, 90);
    cursor++;
    test_now_ns += S;
    ck_assert_int_eq(jb_usage_commit(coord, &usage, used, 3), 0);
    cursor++;
    record = next_of(&cursor);
    ck_assert_uint_eq(record.kind, JB_RECORD_USED);
    ck_assert_uint_eq(record.reason, JB_USED_TOLD);
    ck_assert_uint_eq(record.amount, 50);
    ck_assert_uint_eq(record.value_ns, S);
    cursor++;
    ck_assert_int_eq(jb_usage_block(coord, INPUT, 7 * S), 0);
    ck_assert_int_eq(call(BOB, 1, 0, NULL), JB_EAGAIN);
    record = next_of(&cursor);
    ck_assert_uint_eq(record.kind, JB_RECORD_DENIED);
    ck_assert_uint_eq(record.reason, JB_DENIED_RATE);
    ck_assert_uint_eq(record.value_ns, 7 * S);
}
END_TEST

START_TEST(test_retry_after_blocks_all_of_a_resource)
{
    ck_assert_int_eq(jb_usage_block(coord, CALLS, 17 * S), 0);
    ck_assert_int_eq(jb_usage_block(coord, CALLS, 5 * S), 0);
    ck_assert_int_eq(call(ALICE, 1, 1, NULL), JB_EAGAIN);
    ck_assert_uint_eq(denial.retry_after_ns, 17 * S);
    ck_assert_uint_eq(left(L_MINUTE), 0);
    ck_assert_uint_eq(info_of(L_MINUTE).blocked_ns, 17 * S);
    test_now_ns += 17 * S;
    ck_assert_int_eq(call(ALICE, 1, 1, NULL), 0);
    ck_assert_int_eq(jb_usage_block(coord, 3, S), JB_EINVAL);
}
END_TEST

START_TEST(test_what_is_no_take_is_refused)
{
    const jb_amount twice[] = {{.resource = CALLS, .amount = 1}, {.resource = CALLS, .amount = 1}};
    jb_take take = {.component = ALICE, .n_amounts = 2, .amounts = twice};
    jb_limit_info info;

    ck_assert_int_eq(jb_usage_try(coord, &take, NULL, NULL), JB_EINVAL);
    take.n_amounts = 0;
    ck_assert_int_eq(jb_usage_try(coord, &take, NULL, NULL), JB_EINVAL);
    take = (jb_take){.component = N_COMPONENTS, .n_amounts = 1, .amounts = twice};
    ck_assert_int_eq(jb_usage_try(coord, &take, NULL, NULL), JB_EINVAL);
    ck_assert_int_eq(jb_coord_limit_at(coord, N_LIMITS, &info), JB_ENOENT);
}
END_TEST

START_TEST(test_limits_that_cannot_be_are_refused)
{
    static const jb_limit_spec bad[] = {
        {9, JB_LIMIT_ALL, JB_LIMIT_RATE, 0, 1, S, 0},
        {MEM, 9, JB_LIMIT_RATE, 0, 1, S, 0},
        {MEM, ALICE, 0, 0, 1, S, 0},
        {MEM, ALICE, JB_LIMIT_RATE, 0, 0, S, 0},
        {MEM, ALICE, JB_LIMIT_RATE, 0, 1, 0, 0},
        {MEM, ALICE, JB_LIMIT_WINDOW, 0, 1, 0, 0},
        {MEM, ALICE, JB_LIMIT_WINDOW, 1, 9, S, 0},
        {MEM, ALICE, JB_LIMIT_OPEN, 0, 1, S, 0},
        {MEM, ALICE, JB_LIMIT_RATE, 4, 1, S, 0},
    };
    jb_coord_opts opts;
    jb_coord *none = NULL;
    jb_error err;

    small_opts(&opts);
    opts.limits = &bad[_i];
    opts.n_limits = 1;
    jb_error_init(&err);
    ck_assert_int_eq(jb_coord_open(NULL, &opts, &none, &err), JB_EINVAL);
    ck_assert_ptr_nonnull(strstr(err.msg, "limit 0"));
    ck_assert_ptr_null(none);
}
END_TEST

static void *refund_soon(void *userdata)
{
    struct timespec pause = {.tv_nsec = 20000000};

    nanosleep(&pause, NULL);
    ck_assert_int_eq(jb_usage_refund(coord, userdata), 0);
    return NULL;
}

START_TEST(test_who_waits_is_woken_by_what_comes_back)
{
    const jb_amount amount = {.resource = INPUT, .amount = 30000};
    jb_take take = {.component = ALICE, .n_amounts = 1, .amounts = &amount};
    pthread_t thread;
    jb_usage usage;

    end();
    open_with(NULL);
    ck_assert_int_eq(jb_usage_reserve(coord, &take, 0, &usage, NULL), 0);
    ck_assert_int_eq(jb_usage_reserve(coord, &take, 0, NULL, NULL), JB_EAGAIN);
    ck_assert_int_eq(jb_usage_reserve(coord, &take, MS, NULL, &denial), JB_ETIMEDOUT);
    ck_assert_uint_gt(denial.retry_after_ns, 50 * S);
    ck_assert_int_eq(pthread_create(&thread, NULL, refund_soon, &usage), 0);
    ck_assert_int_eq(jb_usage_reserve(coord, &take, 30 * S, NULL, NULL), 0);
    pthread_join(thread, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quota-usage");
    TCase *tc = suite_case(suite, "usage");

    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_test(tc, test_all_limits_or_none);
    tcase_add_test(tc, test_a_component_has_its_limit_inside_the_total);
    tcase_add_test(tc, test_commit_gives_back_what_was_not_used_and_owes_what_was_more);
    tcase_add_test(tc, test_refund_is_as_if_nothing_had_been);
    tcase_add_test(tc, test_an_hour_begins_with_the_commit);
    tcase_add_test(tc, test_so_many_are_open_at_a_time);
    tcase_add_test(tc, test_silence_counts_as_used);
    tcase_add_test(tc, test_no_room_for_another_reservation);
    tcase_add_test(tc, test_the_service_corrects);
    tcase_add_test(tc, test_a_window_is_corrected_downwards);
    tcase_add_test(tc, test_takes_ends_and_denials_are_recorded);
    tcase_add_test(tc, test_retry_after_blocks_all_of_a_resource);
    tcase_add_test(tc, test_what_is_no_take_is_refused);
    tcase_add_test(tc, test_who_waits_is_woken_by_what_comes_back);
    tcase_add_loop_test(tc, test_limits_that_cannot_be_are_refused, 0, 9);
    return suite_run(suite);
}
