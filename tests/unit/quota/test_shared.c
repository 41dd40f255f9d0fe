/*
 * test_shared.c: a coordinator between processes, found by name and kept: what survives whom.
 */
#include "quota.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static char name[64];

static void fresh_name(void)
{
    snprintf(name, sizeof name, "test-quota-%d", (int)getpid());
    (void)jb_coord_unlink(name, NULL);
}

static void remove_name(void)
{
    (void)jb_coord_unlink(name, NULL);
}

static jb_coord *open_named(void)
{
    jb_coord_opts opts;

    small_opts(&opts);
    opts.clock = NULL;
    return open_coord(name, &opts);
}

/* Runs fn in a process of its own and kills it there. */
static void die_in(void (*fn)(jb_coord *coord))
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        jb_coord *coord = NULL;

        if (jb_coord_open(name, NULL, &coord, NULL) == 0)
            fn(coord);
        kill(getpid(), SIGKILL);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status));
}

static void take_half(jb_coord *coord)
{
    jb_lease lease;

    if (try_mem(coord, BOB, 50, 0, &lease) != 0)
        _exit(1);
}

static void take_half_detached(jb_coord *coord)
{
    jb_amount amount = {.resource = MEM, .amount = 50};
    jb_want want = want_of(BOB, JB_CLASS_NORMAL, &amount);
    jb_lease lease;

    want.flags = JB_WANT_DETACHED;
    want.hold_ns = 3600 * S;
    want.tag = 99;
    if (jb_coord_try(coord, &want, &lease) != 0)
        _exit(1);
}

START_TEST(test_two_handles_share_one_set_of_books)
{
    jb_coord *a = open_named(), *b = open_named();
    jb_lease lease, other;

    ck_assert_int_eq(try_mem(a, ALICE, 70, 0, &lease), 0);
    ck_assert_int_eq(try_mem(b, BOB, 31, 0, &other), JB_EAGAIN);
    ck_assert_int_eq(try_mem(b, BOB, 30, 0, &other), 0);
    ck_assert_uint_gt(other.token, lease.token);
    audit(a);
    jb_coord_close(a);
    ck_assert_uint_eq(allocated(b, MEM), 30);
    audit(b);
    jb_coord_close(b);
}
END_TEST

START_TEST(test_a_lease_of_another_handle_is_not_ours_to_end)
{
    jb_coord *a = open_named(), *b = open_named();
    jb_lease lease;

    ck_assert_int_eq(try_mem(a, ALICE, 70, 0, &lease), 0);
    ck_assert_int_eq(jb_lease_release(b, &lease), JB_ENOENT);
    ck_assert_int_eq(jb_lease_renew(b, &lease, S), JB_ENOENT);
    ck_assert_int_eq(jb_lease_shrink(b, &lease, MEM, 1), JB_ENOENT);
    ck_assert_uint_eq(allocated(a, MEM), 70);
    ck_assert_int_eq(jb_lease_release(a, &lease), 0);
    jb_coord_close(a);
    jb_coord_close(b);
}
END_TEST

START_TEST(test_a_ticket_of_another_handle_is_not_ours)
{
    jb_coord *a = open_named(), *b = open_named();
    jb_ticket ticket;
    jb_lease lease;

    ticket = ask_mem(a, ALICE, JB_CLASS_NORMAL, 70);
    ck_assert_int_eq(jb_coord_cancel(b, &ticket), JB_ENOENT);
    ck_assert_int_eq(jb_coord_poll(b, &ticket, &lease), JB_ENOENT);
    ck_assert_int_eq(jb_coord_poll(a, &ticket, &lease), 1);
    audit(b);
    jb_coord_close(a);
    jb_coord_close(b);
}
END_TEST

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

    small_opts(&opts);
    opts.clock = NULL;
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

START_TEST(test_a_restart_finds_detached_leases_and_greater_tokens)
{
    jb_coord *coord = open_named();
    uint32_t at = 0;
    jb_lease_info info;
    jb_coord_stats stats;
    jb_lease lease;

    die_in(take_half_detached);
    jb_coord_close(coord);
    coord = open_named();
    ck_assert_int_eq(jb_coord_get_stats(coord, &stats), 0);
    ck_assert_uint_eq(allocated(coord, MEM), 50);
    ck_assert_int_eq(jb_coord_next_lease(coord, &at, &info), 1);
    ck_assert_uint_eq(info.tag, 99);
    ck_assert_uint_eq(info.peer, 0);
    lease = (jb_lease){.token = info.token, .slot = info.slot};
    ck_assert_int_eq(jb_lease_renew(coord, &lease, S), 0);
    ck_assert_int_eq(jb_lease_release(coord, &lease), 0);
    ck_assert_int_eq(try_mem(coord, ALICE, 1, 0, &lease), 0);
    ck_assert_uint_gt(lease.token, info.token);
    jb_coord_close(coord);
    ck_assert_int_eq(jb_coord_unlink(name, NULL), 0);
    coord = open_named();
    info.token = lease.token;
    ck_assert_int_eq(try_mem(coord, ALICE, 1, 0, &lease), 0);
    ck_assert_uint_gt(lease.token, info.token);
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_closing_gives_back_what_was_held_and_waited_for)
{
    jb_coord *a = open_named(), *b = open_named();
    jb_lease lease;

    ck_assert_int_eq(try_mem(a, ALICE, 100, 0, &lease), 0);
    (void)ask_mem(a, ALICE, JB_CLASS_HIGH, 100);
    jb_coord_close(a);
    ck_assert_int_eq(try_mem(b, BOB, 100, 0, &lease), 0);
    audit(b);
    jb_coord_close(b);
}
END_TEST

START_TEST(test_another_configuration_under_the_name_is_refused)
{
    jb_coord *coord = open_named(), *other = NULL;
    jb_share_spec share = {.component = ALICE, .resource = MEM, .ceiling = 40};
    jb_coord_opts opts;
    jb_error err;

    small_opts(&opts);
    opts.n_components = 2;
    ck_assert_int_eq(jb_coord_open(name, &opts, &other, &err), JB_ESTATE);
    ck_assert_int_eq(jb_coord_open(name, NULL, &other, &err), 0);
    jb_coord_close(other);
    jb_coord_close(coord);
    ck_assert_int_eq(jb_coord_unlink(name, NULL), 0);
    small_opts(&opts);
    opts.shares = &share;
    opts.n_shares = 1;
    coord = open_coord(name, &opts);
    other = open_coord(name, &opts);
    jb_coord_close(other);
    share.ceiling = 50;
    ck_assert_int_eq(jb_coord_open(name, &opts, &other, &err), JB_ESTATE);
    share = (jb_share_spec){.component = BOB, .resource = MEM};
    ck_assert_int_eq(jb_coord_open(name, &opts, &other, &err), JB_ESTATE);
    opts.n_shares = 0;
    other = open_coord(name, &opts);
    jb_coord_close(other);
    jb_coord_close(coord);
    ck_assert_int_eq(jb_coord_unlink(name, NULL), 0);
    ck_assert_int_eq(jb_coord_unlink(name, NULL), JB_ENOENT);
    ck_assert_int_eq(jb_coord_open(name, NULL, &other, &err), JB_ENOENT);
    ck_assert_msg(strstr(err.msg, name) != NULL, "%s", err.msg);
}
END_TEST

START_TEST(test_a_handle_does_not_survive_fork)
{
    jb_coord *coord = _i == 0 ? open_named() : small_coord();
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        jb_lease lease;

        if (try_mem(coord, ALICE, 1, 0, &lease) != JB_ESTATE ||
            jb_coord_tick(coord, NULL) != JB_ESTATE)
            _exit(1);
        jb_coord_close(coord);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    finish(coord);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shared");
    TCase *tcase = suite_case(suite, "shared");

    tcase_add_checked_fixture(tcase, fresh_name, remove_name);
    tcase_add_test(tcase, test_two_handles_share_one_set_of_books);
    tcase_add_test(tcase, test_a_lease_of_another_handle_is_not_ours_to_end);
    tcase_add_test(tcase, test_a_ticket_of_another_handle_is_not_ours);
    tcase_add_test(tcase, test_what_the_dead_had_is_free_again);
    tcase_add_test(tcase, test_who_waits_notices_that_the_holder_died);
    tcase_add_test(tcase, test_who_only_tries_or_polls_notices_it_too);
    tcase_add_test(tcase, test_who_waits_notices_it_beside_what_is_due_always);
    tcase_add_test(tcase, test_what_the_dead_had_reserved_is_free_for_who_only_tries);
    tcase_add_test(tcase, test_a_restart_finds_detached_leases_and_greater_tokens);
    tcase_add_test(tcase, test_closing_gives_back_what_was_held_and_waited_for);
    tcase_add_test(tcase, test_another_configuration_under_the_name_is_refused);
    tcase_add_loop_test(tcase, test_a_handle_does_not_survive_fork, 0, 2);
    return suite_run(suite);
}
