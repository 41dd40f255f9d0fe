/*
 * test_dead.c: what a process had that was killed: free again, for whoever asks, waits or tries.
 */
#include "named.h"

#include <pthread.h>
#include <stdatomic.h>

static void take_half(jb_coord *coord)
{
    jb_lease lease;

    if (try_mem(coord, BOB, 50, 0, &lease) != 0)
        _exit(1);
}

START_TEST(test_what_the_dead_had_is_free_again)
{
    jb_coord *coord = open_named();
    uint64_t cursor = 0;
    jb_record record;
    jb_lease lease;

    die_in(take_half);
    ck_assert_uint_eq(allocated(coord, MEM), 50);
    ck_assert_int_eq(jb_coord_tick(coord, NULL), 1);
    ck_assert_int_eq(try_mem(coord, ALICE, 100, 0, &lease), 0);
    while (jb_coord_next_record(coord, &cursor, &record, NULL) == 1 &&
           record.kind != JB_RECORD_ENDED)
        ;
    ck_assert_uint_eq(record.reason, JB_LEASE_HOLDER_DIED);
    finish(coord);
}
END_TEST

/* Nobody calls anything but who waits: it finds out by itself. */
START_TEST(test_who_waits_notices_that_the_holder_died)
{
    jb_coord *coord = open_named();
    jb_amount amount = {.resource = MEM, .amount = 100};
    jb_want want = want_of(ALICE, JB_CLASS_NORMAL, &amount);
    jb_lease lease;

    die_in(take_half);
    ck_assert_int_eq(jb_coord_acquire(coord, &want, 30 * S, &lease), 0);
    jb_coord_close(coord);
}
END_TEST

static int nap(void)
{
    return usleep(2000);
}

/* A game only tries and polls: nobody else is there to tick. */
START_TEST(test_who_only_tries_or_polls_notices_it_too)
{
    jb_coord *coord = open_named();
    jb_ticket ticket;
    jb_lease lease;
    int rc = JB_EAGAIN;

    die_in(take_half);
    for (int i = 0; i < 5000 && rc == JB_EAGAIN; i++) {
        rc = try_mem(coord, ALICE, 100, 0, &lease);
        nap();
    }
    ck_assert_int_eq(rc, 0);
    ck_assert_int_eq(jb_lease_release(coord, &lease), 0);
    die_in(take_half);
    ticket = ask_mem(coord, ALICE, JB_CLASS_NORMAL, 100);
    for (int i = 0; i < 5000 && (rc = jb_coord_poll(coord, &ticket, &lease)) == 0; i++)
        nap();
    ck_assert_int_eq(rc, 1);
    finish(coord);
}
END_TEST

static _Atomic bool is_over;

/* Something is due every few milliseconds, so nobody ever sleeps for long. */
static void *beat(void *userdata)
{
    jb_coord *coord = userdata;
    jb_amount amount = {.resource = GPU, .amount = 1};
    jb_want want = want_of(BOB, JB_CLASS_NORMAL, &amount);
    jb_lease lease;

    want.hold_ns = 30 * MS;
    while (!is_over) {
        if (jb_coord_acquire(coord, &want, 0, &lease) == 0) {
            while (!is_over && jb_lease_renew(coord, &lease, 0) == 0)
                nap();
            (void)jb_lease_release(coord, &lease);
        }
    }
    return NULL;
}

START_TEST(test_who_waits_notices_it_beside_what_is_due_always)
{
    jb_coord *coord = open_named(), *other = open_named();
    jb_amount amount = {.resource = MEM, .amount = 100};
    jb_want want = want_of(ALICE, JB_CLASS_NORMAL, &amount);
    pthread_t thread;
    jb_lease lease;
    int rc;

    is_over = false;
    die_in(take_half);
    ck_assert_int_eq(pthread_create(&thread, NULL, beat, other), 0);
    rc = jb_coord_acquire(coord, &want, 5 * S, &lease);
    is_over = true;
    pthread_join(thread, NULL);
    ck_assert_int_eq(rc, 0);
    jb_coord_close(coord);
    jb_coord_close(other);
}
END_TEST

static const jb_limit_spec one_open[] = {
    {.resource = MEM, .component = JB_LIMIT_ALL, .kind = JB_LIMIT_OPEN, .amount = 1}};

static jb_coord *open_limited(void)
{
    jb_coord_opts opts;

    named_opts(&opts);
    opts.limits = one_open;
    opts.n_limits = 1;
    return open_coord(name, &opts);
}

static int reserve_one(jb_coord *coord, jb_usage *ret_usage)
{
    jb_amount amount = {.resource = MEM, .amount = 1};
    jb_take take = {.component = ALICE, .n_amounts = 1, .amounts = &amount};

    return jb_usage_try(coord, &take, ret_usage, NULL);
}

static void reserve(jb_coord *coord)
{
    jb_usage usage;

    if (reserve_one(coord, &usage) != 0)
        _exit(1);
}

START_TEST(test_what_the_dead_had_reserved_is_free_for_who_only_tries)
{
    jb_coord *coord = open_limited();
    jb_usage usage;
    int rc = JB_EAGAIN;

    die_in(reserve);
    for (int i = 0; i < 5000 && rc == JB_EAGAIN; i++) {
        rc = reserve_one(coord, &usage);
        nap();
    }
    ck_assert_int_eq(rc, 0);
    jb_coord_close(coord);
}
END_TEST

static jb_coord *open_with_two_places(void)
{
    jb_coord_opts opts;

    named_opts(&opts);
    opts.max_leases = opts.max_waiters = 2;
    return open_coord(name, &opts);
}

static void take_both_places(jb_coord *coord)
{
    jb_lease lease;

    for (int i = 0; i < 2; i++) {
        if (try_mem(coord, BOB, 1, 0, &lease) != 0)
            _exit(1);
    }
}

START_TEST(test_places_for_leases_of_the_dead_are_free_for_who_would_wait)
{
    jb_coord *coord = open_with_two_places();
    jb_amount amount = {.resource = MEM, .amount = 1};
    jb_want want = want_of(ALICE, JB_CLASS_NORMAL, &amount);
    jb_lease lease;
    int rc = JB_ELIMIT;

    die_in(take_both_places);
    for (int i = 0; i < 1000 && rc == JB_ELIMIT; i++) {
        rc = jb_coord_acquire(coord, &want, S, &lease);
        nap();
    }
    ck_assert_int_eq(rc, 0);
    finish(coord);
}
END_TEST

static void wait_in_both_places(jb_coord *coord)
{
    for (int i = 0; i < 2; i++)
        (void)ask_mem(coord, BOB, JB_CLASS_NORMAL, 100);
}

START_TEST(test_places_in_line_of_the_dead_are_free_for_the_next_slice)
{
    jb_coord *coord = open_with_two_places();
    jb_slice slice = {.component = ALICE, .resource = GPU};
    jb_lease lease;
    int rc = JB_ELIMIT;

    ck_assert_int_eq(try_mem(coord, ALICE, 1, 0, &lease), 0);
    die_in(wait_in_both_places);
    for (int i = 0; i < 1000 && rc == JB_ELIMIT; i++) {
        rc = jb_slice_next(coord, &slice, S);
        nap();
    }
    ck_assert_int_eq(rc, 0);
    finish(coord);
}
END_TEST

START_TEST(test_a_detached_lease_that_the_dead_never_saw_ends)
{
    jb_coord *coord = open_named();

    die_in(ask_detached);
    ck_assert_uint_eq(allocated(coord, MEM), 50);
    ck_assert_int_eq(jb_coord_tick(coord, NULL), 1);
    ck_assert_uint_eq(allocated(coord, MEM), 0);
    finish(coord);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dead");
    TCase *tcase = suite_case(suite, "dead");

    tcase_add_checked_fixture(tcase, fresh_name, remove_name);
    tcase_add_test(tcase, test_what_the_dead_had_is_free_again);
    tcase_add_test(tcase, test_who_waits_notices_that_the_holder_died);
    tcase_add_test(tcase, test_who_only_tries_or_polls_notices_it_too);
    tcase_add_test(tcase, test_who_waits_notices_it_beside_what_is_due_always);
    tcase_add_test(tcase, test_what_the_dead_had_reserved_is_free_for_who_only_tries);
    tcase_add_test(tcase, test_places_for_leases_of_the_dead_are_free_for_who_would_wait);
    tcase_add_test(tcase, test_places_in_line_of_the_dead_are_free_for_the_next_slice);
    tcase_add_test(tcase, test_a_detached_lease_that_the_dead_never_saw_ends);
    return suite_run(suite);
}
