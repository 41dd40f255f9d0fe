/* Laws of the rate limit: how much in which time, each client for itself, in bounded memory. */
#include "hsuite.h"

#include "host/access/limit.h"

static jbi_limit limit;
static const uint64_t ms = 1000000;

static const uint8_t *client(uint32_t number)
{
    static uint8_t bytes[2][JBI_LIMIT_CLIENT_BYTES];
    static int which;

    which = !which;
    memset(bytes[which], 0, sizeof(bytes[which]));
    memcpy(bytes[which] + 4, &number, sizeof(number));
    bytes[which][0] = 1;
    return bytes[which];
}

static void setup(uint32_t per_second, uint32_t burst)
{
    memset(&limit, 0, sizeof(limit));
    ck_assert_int_eq(jbi_limit_set(&limit, per_second, burst, &jbi_hmem_libc), 0);
}

/* How many of n a client gets at this time, one by one. */
static uint32_t take(uint32_t who, uint32_t n, uint64_t now)
{
    uint32_t got = 0;

    while (got < n && jbi_limit_wait_ns(&limit, client(who), now) == 0) {
        jbi_limit_charge(&limit, client(who), 1, now);
        got++;
    }
    return got;
}

START_TEST(test_a_burst_and_then_the_rate)
{
    setup(100, 5);
    ck_assert_uint_eq(take(1, 10, 1000 * ms), 5);
    ck_assert_uint_eq(jbi_limit_wait_ns(&limit, client(1), 1000 * ms), 10 * ms);
    ck_assert_uint_eq(take(1, 10, 1009 * ms), 0);
    ck_assert_uint_eq(take(1, 10, 1010 * ms), 1);
    ck_assert_uint_eq(take(1, 10, 1030 * ms), 2);
    ck_assert_uint_eq(take(1, 10, 9000 * ms), 5);
    jbi_limit_fini(&limit);
}
END_TEST

START_TEST(test_over_a_time_nobody_gets_more_than_the_rate)
{
    uint32_t got = 0;

    setup(1000, 2);
    for (uint64_t now = 1000 * ms; now < 3000 * ms; now += 130000)
        got += take(1, 100, now);
    ck_assert_uint_ge(got, 1990);
    ck_assert_uint_le(got, 2002);
    jbi_limit_fini(&limit);
}
END_TEST

START_TEST(test_each_client_has_a_bucket_of_its_own)
{
    setup(1, 2);
    ck_assert_uint_eq(take(1, 10, 1), 2);
    ck_assert_uint_eq(take(2, 10, 1), 2);
    ck_assert_uint_eq(take(1, 10, 1), 0);
    jbi_limit_fini(&limit);
}
END_TEST

START_TEST(test_a_batch_larger_than_the_bucket_is_paid_off_later)
{
    setup(100, 10);
    jbi_limit_charge(&limit, client(1), 110, 1000 * ms);
    ck_assert_uint_eq(take(1, 1, 1999 * ms), 0);
    ck_assert_uint_eq(take(1, 1, 2010 * ms), 1);
    jbi_limit_fini(&limit);
}
END_TEST

START_TEST(test_more_clients_than_places_cost_no_more_memory)
{
    setup(1, 1);
    for (uint32_t i = 0; i < 20 * JBI_LIMIT_SLOTS; i++)
        jbi_limit_charge(&limit, client(i), 1, i);
    ck_assert_uint_eq(take(20 * JBI_LIMIT_SLOTS - 1, 1, 20 * JBI_LIMIT_SLOTS), 0);
    jbi_limit_fini(&limit);
}
END_TEST

START_TEST(test_a_client_that_owes_keeps_its_place_before_those_that_do_not)
{
    setup(1, 1);
    jbi_limit_charge(&limit, client(7), 1000, 0);
    for (uint32_t i = 100; i < 4 * JBI_LIMIT_SLOTS; i++)
        jbi_limit_charge(&limit, client(i), 1, 0);
    ck_assert_uint_eq(take(7, 1, 900000 * ms), 0);
    jbi_limit_fini(&limit);
}
END_TEST

START_TEST(test_no_rate_is_no_limit_and_it_can_change)
{
    setup(0, 0);
    ck_assert_uint_eq(jbi_limit_wait_ns(&limit, client(1), 0), 0);
    jbi_limit_charge(&limit, client(1), 1000000, 0);
    ck_assert_int_eq(jbi_limit_set(&limit, 3, 0, &jbi_hmem_libc), 0);
    ck_assert_uint_eq(take(1, 10, 1), 3);
    ck_assert_int_eq(jbi_limit_set(&limit, 0, 0, &jbi_hmem_libc), 0);
    ck_assert_uint_eq(jbi_limit_wait_ns(&limit, client(1), 1), 0);
    jbi_limit_fini(&limit);
}
END_TEST

HSUITE_MAIN("limit", test_a_burst_and_then_the_rate,
            test_over_a_time_nobody_gets_more_than_the_rate,
            test_each_client_has_a_bucket_of_its_own,
            test_a_batch_larger_than_the_bucket_is_paid_off_later,
            test_more_clients_than_places_cost_no_more_memory,
            test_a_client_that_owes_keeps_its_place_before_those_that_do_not,
            test_no_rate_is_no_limit_and_it_can_change)
