/*
 * test_shared.c: a coordinator between processes, found by name and kept: what survives whom.
 */
#include "named.h"

static void take_half_detached(jb_coord *coord)
{
    jb_amount amount = {.resource = MEM, .amount = 50};
    jb_want want = detached_want(&amount);
    jb_lease lease;

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

/* Nobody but who asked knows of the lease. */
START_TEST(test_closing_gives_back_a_detached_lease_that_nobody_saw)
{
    jb_coord *a = open_named(), *b = open_named();

    ask_detached(a);
    ck_assert_uint_eq(allocated(b, MEM), 50);
    jb_coord_close(a);
    ck_assert_uint_eq(allocated(b, MEM), 0);
    finish(b);
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
    tcase_add_test(tcase, test_a_restart_finds_detached_leases_and_greater_tokens);
    tcase_add_test(tcase, test_closing_gives_back_what_was_held_and_waited_for);
    tcase_add_test(tcase, test_closing_gives_back_a_detached_lease_that_nobody_saw);
    tcase_add_test(tcase, test_another_configuration_under_the_name_is_refused);
    tcase_add_loop_test(tcase, test_a_handle_does_not_survive_fork, 0, 2);
    return suite_run(suite);
}
