/*
 * test_usage_open.c: reservations while they are open: what they keep from others, and whose they
 * are.
 */
#include "quota.h"

#include <stdio.h>
#include <unistd.h>

#define MINUTE (60 * S)
#define HOUR   (60 * MINUTE)

enum { CALLS };

static jb_denial denial;

/* Ten in a minute, and reservations that last longer. */
static jb_coord *open_long(const char *name)
{
    static const jb_resource_spec resource = {
        .name = "calls", .kind = JB_RESOURCE_CALLS, .capacity = 1};
    static const jb_limit_spec limit = {0, JB_LIMIT_ALL, JB_LIMIT_WINDOW, 0, 10, MINUTE, 0};
    jb_coord_opts opts;

    small_opts(&opts);
    opts.resources = &resource;
    opts.limits = &limit;
    opts.n_resources = opts.n_limits = 1;
    opts.reservation_ns = HOUR;
    return open_coord(name, &opts);
}

static int one_call(jb_coord *coord, jb_usage *ret_usage)
{
    const jb_amount amount = {.resource = CALLS, .amount = 1};
    jb_take take = {.component = ALICE, .n_amounts = 1, .amounts = &amount};

    return jb_usage_try(coord, &take, ret_usage, &denial);
}

static uint64_t left(jb_coord *coord)
{
    jb_limit_info info;

    ck_assert_int_eq(jb_coord_limit_at(coord, 0, &info), 0);
    return info.remaining;
}

START_TEST(test_what_is_reserved_counts_until_it_is_used)
{
    jb_coord *coord = open_long(NULL);
    jb_usage usages[11];

    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(one_call(coord, &usages[i]), 0);
    test_now_ns += 2 * MINUTE;
    ck_assert_uint_eq(left(coord), 0);
    ck_assert_int_eq(one_call(coord, &usages[10]), JB_EAGAIN);
    ck_assert_uint_eq(denial.retry_after_ns, HOUR - 2 * MINUTE);
    ck_assert_int_eq(jb_usage_refund(coord, &usages[9]), 0);
    ck_assert_int_eq(one_call(coord, &usages[9]), 0);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(jb_usage_commit(coord, &usages[i], NULL, 0), 0);
    test_now_ns += MINUTE - 1;
    ck_assert_int_eq(one_call(coord, NULL), JB_EAGAIN);
    ck_assert_uint_eq(denial.retry_after_ns, 1);
    test_now_ns += 1;
    ck_assert_uint_eq(left(coord), 10);
    ck_assert_int_eq(one_call(coord, NULL), 0);
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_what_is_reserved_and_not_in_the_way_changes_no_time)
{
    jb_coord *coord = open_long(NULL);
    const jb_amount nine = {.resource = CALLS, .amount = 9};
    jb_take take = {.component = ALICE, .n_amounts = 1, .amounts = &nine};
    jb_usage usage;

    ck_assert_int_eq(jb_usage_try(coord, &take, NULL, &denial), 0);
    ck_assert_int_eq(one_call(coord, &usage), 0);
    test_now_ns += HOUR - 10 * S;
    ck_assert_int_eq(jb_usage_try(coord, &take, NULL, &denial), 0);
    test_now_ns += S;
    ck_assert_int_eq(jb_usage_try(coord, &take, NULL, &denial), JB_EAGAIN);
    ck_assert_uint_eq(denial.retry_after_ns, MINUTE - S);
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_another_handle_does_not_end_it)
{
    char name[64];
    jb_coord *a, *b;
    jb_usage usage;

    snprintf(name, sizeof name, "test-usage-open-%d", (int)getpid());
    a = open_long(name);
    b = open_long(name);
    ck_assert_int_eq(jb_coord_unlink(name, NULL), 0);
    ck_assert_int_eq(one_call(a, &usage), 0);
    ck_assert_int_eq(jb_usage_refund(b, &usage), JB_ENOENT);
    ck_assert_int_eq(jb_usage_commit(b, &usage, NULL, 0), JB_ENOENT);
    ck_assert_uint_eq(left(b), 9);
    ck_assert_int_eq(jb_usage_refund(a, &usage), 0);
    ck_assert_uint_eq(left(b), 10);
    jb_coord_close(a);
    jb_coord_close(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quota-usage-open");
    TCase *tc = suite_case(suite, "open");

    tcase_add_test(tc, test_what_is_reserved_counts_until_it_is_used);
    tcase_add_test(tc, test_what_is_reserved_and_not_in_the_way_changes_no_time);
    tcase_add_test(tc, test_another_handle_does_not_end_it);
    return suite_run(suite);
}
