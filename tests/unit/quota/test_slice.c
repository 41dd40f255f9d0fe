/*
 * test_slice.c: time on a device: by weight when it is fair, by share and no more when it is
 * strict, as it was measured.
 */
#include "quota.h"

static jb_coord *gpu_coord(const jb_share_spec *shares, uint32_t n_shares, uint32_t flags,
                           uint64_t linger_ns)
{
    jb_resource_spec resources[N_RESOURCES] = {
        {.name = "mem", .kind = JB_RESOURCE_MEMORY, .capacity = 100},
        {.name = "gpu",
         .kind = JB_RESOURCE_GPU_TIME,
         .capacity = 1000,
         .quantum_ns = 10 * MS,
         .linger_ns = linger_ns,
         .flags = flags},
    };
    jb_coord_opts opts;

    small_opts(&opts);
    opts.resources = resources;
    opts.shares = shares;
    opts.n_shares = n_shares;
    opts.aging_ns = 1000 * S;
    return open_coord(NULL, &opts);
}

static uint64_t used(jb_coord *coord, uint32_t component)
{
    jb_share_info info;

    ck_assert_int_eq(jb_coord_share_at(coord, component, GPU, &info), 0);
    return info.used_ns;
}

static jb_ticket ask_gpu(jb_coord *coord, uint32_t component)
{
    jb_amount amount = {.resource = GPU, .amount = 1000};
    jb_want want = want_of(component, JB_CLASS_NORMAL, &amount);
    jb_ticket ticket;

    ck_assert_int_eq(jb_coord_request(coord, &want, &ticket), 0);
    return ticket;
}

/* Always backlogged, steps of different lengths: at every moment the weighted times are as close as
 * one step of each. */
START_TEST(test_backlogged_components_get_time_by_weight_within_a_step)
{
    const uint64_t step_ns[2] = {7 * MS, 3 * MS};
    jb_coord *coord = gpu_coord(NULL, 0, 0, 0);
    jb_ticket tickets[2] = {ask_gpu(coord, ALICE), ask_gpu(coord, BOB)};
    jb_lease lease;

    for (int i = 0; i < 5000; i++) {
        uint32_t who = jb_coord_poll(coord, &tickets[ALICE], &lease) == 1 ? ALICE : BOB;
        uint64_t a, b;

        if (who == BOB)
            ck_assert_int_eq(jb_coord_poll(coord, &tickets[BOB], &lease), 1);
        tickets[who] = ask_gpu(coord, who);
        test_now_ns += step_ns[who];
        ck_assert_int_eq(jb_lease_release(coord, &lease), 0);
        a = used(coord, ALICE) / 3;
        b = used(coord, BOB);
        ck_assert_uint_le(a > b ? a - b : b - a, step_ns[ALICE] / 3 + step_ns[BOB]);
    }
    finish(coord);
}
END_TEST

/* Bob had 10 ms, and alice, who weighs three times as much, has begun her first; bob waits. */
static void begin_after_bob(jb_coord *coord, jb_slice *alice, jb_ticket *ret_bob)
{
    jb_ticket waiting;
    jb_lease lease;

    waiting = ask_gpu(coord, BOB);
    ck_assert_int_eq(jb_coord_poll(coord, &waiting, &lease), 1);
    waiting = ask_gpu(coord, ALICE);
    *ret_bob = ask_gpu(coord, BOB);
    test_now_ns += 10 * MS;
    ck_assert_int_eq(jb_lease_release(coord, &lease), 0);
    ck_assert_int_eq(jb_coord_poll(coord, &waiting, &alice->lease), 1);
}

/* jb_slice_next() keeps the turn while it is ours, which ending and beginning would not. */
START_TEST(test_next_goes_on_while_it_is_its_turn)
{
    jb_coord *coord = gpu_coord(NULL, 0, 0, 0);
    jb_slice alice = {.component = ALICE, .resource = GPU};
    jb_ticket bob;
    jb_lease lease;
    int n = 1;

    begin_after_bob(coord, &alice, &bob);
    for (test_now_ns += 10 * MS; jb_slice_next(coord, &alice, 0) == 0; test_now_ns += 10 * MS) {
        ck_assert_uint_eq(alice.used_ns, 10 * MS);
        n++;
    }
    ck_assert_int_eq(jb_slice_next(coord, &alice, 0), JB_EAGAIN);
    ck_assert_int_ge(n, 3);
    ck_assert_int_le(n, 4);
    ck_assert_uint_eq(alice.lease.token, 0);
    ck_assert_int_eq(jb_coord_poll(coord, &bob, &lease), 1);
    finish(coord);
}
END_TEST

START_TEST(test_after_a_next_that_cannot_be_there_is_no_slice)
{
    jb_coord *coord = gpu_coord(NULL, 0, 0, 0);
    jb_slice alice = {.component = ALICE, .resource = GPU};

    ck_assert_int_eq(jb_slice_begin(coord, &alice, 0), 0);
    alice.amount = 1001;
    ck_assert_int_eq(jb_slice_next(coord, &alice, 0), JB_ETOOBIG);
    ck_assert_uint_eq(alice.lease.token, 0);
    ck_assert_uint_eq(allocated(coord, GPU), 0);
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_a_slice_is_asked_to_drop_after_its_quantum_if_somebody_waits)
{
    jb_coord *coord = gpu_coord(NULL, 0, 0, 0);
    jb_slice alice = {.component = ALICE, .resource = GPU};
    jb_slice bob = {.component = BOB, .resource = GPU};
    jb_ticket ticket;

    ck_assert_int_eq(jb_slice_try(coord, &alice), 0);
    ck_assert_int_eq(jb_slice_try(coord, &alice), JB_ESTATE);
    ck_assert_int_eq(jb_slice_try(coord, &bob), JB_EAGAIN);
    test_now_ns += 20 * MS;
    ck_assert_int_eq(jb_slice_check(coord, &alice), JB_LEASE_GOOD);
    ticket = ask_gpu(coord, BOB);
    ck_assert_int_eq(jb_slice_check(coord, &alice), JB_LEASE_NOTICE);
    ck_assert_int_eq(jb_slice_end(coord, &alice), 0);
    ck_assert_uint_eq(alice.used_ns, 20 * MS);
    ck_assert_int_eq(jb_slice_end(coord, &alice), JB_ENOENT);
    ck_assert_int_eq(jb_coord_poll(coord, &ticket, &bob.lease), 1);
    test_now_ns += 10 * MS - 1;
    ticket = ask_gpu(coord, ALICE);
    ck_assert_int_eq(jb_slice_check(coord, &bob), JB_LEASE_GOOD);
    test_now_ns += 1;
    ck_assert_int_eq(jb_slice_check(coord, &bob), JB_LEASE_NOTICE);
    jb_coord_close(coord);
}
END_TEST

/* Alone and always ready, it gets a fourth of the time, and what it took too long it waits for. */
START_TEST(test_strict_is_exactly_the_share_also_when_idle)
{
    const jb_share_spec shares[] = {{.component = ALICE, .resource = GPU, .guaranteed = 250}};
    jb_coord *coord = gpu_coord(shares, 1, JB_RESOURCE_STRICT, 0);
    jb_slice slice = {.component = ALICE, .resource = GPU};
    uint64_t began = test_now_ns;

    for (uint32_t i = 0; i < 40000; i++) {
        if (jb_slice_try(coord, &slice) == 0) {
            test_now_ns += (i % 3 + 1) * 4 * MS;
            ck_assert_int_eq(jb_slice_end(coord, &slice), 0);
        } else {
            test_now_ns += MS;
        }
        /* Never ahead by more than the step it is in and a quantum, never behind by a step. */
        ck_assert_uint_le(used(coord, ALICE), (test_now_ns - began) / 4 + 12 * MS + 10 * MS);
        ck_assert_uint_ge(used(coord, ALICE) + 12 * MS, (test_now_ns - began) / 4);
    }
    jb_coord_close(coord);
}
END_TEST

/* By weight, of what nobody is guaranteed, however coarse the capacity is. */
START_TEST(test_strict_parts_do_not_depend_on_the_unit)
{
    const uint64_t capacity = _i == 0 ? 2 : 1000;
    const jb_share_spec shares[] = {
        {.component = CAROL, .resource = GPU, .guaranteed = capacity / 2}};
    const jb_resource_spec resources[N_RESOURCES] = {
        {.name = "mem", .kind = JB_RESOURCE_MEMORY, .capacity = 1},
        {.name = "gpu",
         .kind = JB_RESOURCE_GPU_TIME,
         .capacity = capacity,
         .flags = JB_RESOURCE_STRICT},
    };
    const uint64_t eighths[N_COMPONENTS] = {3, 1, 4};
    jb_coord_opts opts;

    small_opts(&opts);
    opts.resources = resources;
    opts.shares = shares;
    opts.n_shares = 1;
    for (uint32_t who = 0; who < N_COMPONENTS; who++) {
        jb_coord *coord = open_coord(NULL, &opts);
        jb_slice slice = {.component = who, .resource = GPU};
        uint64_t began = test_now_ns;

        for (uint32_t i = 0; i < 10000; i++, test_now_ns += MS) {
            if (jb_slice_try(coord, &slice) == 0) {
                test_now_ns += 5 * MS;
                ck_assert_int_eq(jb_slice_end(coord, &slice), 0);
            }
        }
        ck_assert_uint_le(used(coord, who), (test_now_ns - began) * eighths[who] / 8 + 15 * MS);
        /* A millisecond is lost with each slice, at most, that is asked for so seldom. */
        ck_assert_uint_ge(used(coord, who) * 6 / 5 + 15 * MS,
                          (test_now_ns - began) * eighths[who] / 8);
        jb_coord_close(coord);
    }
}
END_TEST

/* No clock, quantum or weight turns a debt into a credit. */
START_TEST(test_what_was_held_for_centuries_is_charged)
{
    const jb_share_spec shares[] = {{.component = BOB, .resource = GPU, .ceiling = 1}};
    jb_coord *coord = gpu_coord(shares, 1, 0, 0);
    jb_slice bob = {.component = BOB, .resource = GPU};

    ck_assert_int_eq(jb_slice_try(coord, &bob), 0);
    test_now_ns += UINT64_C(1) << 62;
    ck_assert_int_eq(jb_slice_end(coord, &bob), 0);
    test_now_ns = UINT64_MAX / 2;
    ck_assert_int_eq(jb_slice_try(coord, &bob), JB_EAGAIN);
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_fair_gives_what_is_idle_to_who_wants_it_up_to_its_ceiling)
{
    const jb_share_spec shares[] = {{.component = BOB, .resource = GPU, .ceiling = 500}};
    jb_coord *coord = gpu_coord(shares, 1, 0, 0);
    jb_slice alice = {.component = ALICE, .resource = GPU};
    jb_slice bob = {.component = BOB, .resource = GPU};
    uint64_t began = test_now_ns;

    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(jb_slice_try(coord, &alice), 0);
        test_now_ns += 5 * MS;
        ck_assert_int_eq(jb_slice_end(coord, &alice), 0);
    }
    ck_assert_uint_eq(used(coord, ALICE), test_now_ns - began);
    began = test_now_ns;
    for (int i = 0; i < 1000; i++) {
        if (jb_slice_try(coord, &bob) == 0) {
            test_now_ns += 5 * MS;
            ck_assert_int_eq(jb_slice_end(coord, &bob), 0);
        } else {
            test_now_ns += MS;
        }
    }
    ck_assert_uint_le(used(coord, BOB), (test_now_ns - began) / 2 + 15 * MS);
    ck_assert_uint_ge(used(coord, BOB) + 15 * MS, (test_now_ns - began) / 2);
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_a_turn_is_kept_for_a_moment_and_no_longer)
{
    jb_coord *coord = gpu_coord(NULL, 0, 0, 2 * MS);
    jb_slice alice = {.component = ALICE, .resource = GPU};
    uint64_t next = 0;
    jb_ticket bob;
    jb_lease lease;

    begin_after_bob(coord, &alice, &bob);
    test_now_ns += 10 * MS;
    ck_assert_int_eq(jb_slice_end(coord, &alice), 0);
    test_now_ns += 2 * MS - 1;
    ck_assert_int_eq(jb_coord_poll(coord, &bob, &lease), 0);
    ck_assert_int_eq(jb_slice_try(coord, &alice), 0);
    test_now_ns += 10 * MS;
    ck_assert_int_eq(jb_slice_end(coord, &alice), 0);
    ck_assert_int_ge(jb_coord_tick(coord, &next), 0);
    ck_assert_uint_eq(next, 2 * MS);
    test_now_ns += 2 * MS;
    ck_assert_int_eq(jb_coord_poll(coord, &bob, &lease), 1);
    finish(coord);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("slice");
    TCase *tcase = suite_case(suite, "slice");

    tcase_add_test(tcase, test_backlogged_components_get_time_by_weight_within_a_step);
    tcase_add_test(tcase, test_next_goes_on_while_it_is_its_turn);
    tcase_add_test(tcase, test_after_a_next_that_cannot_be_there_is_no_slice);
    tcase_add_test(tcase, test_a_slice_is_asked_to_drop_after_its_quantum_if_somebody_waits);
    tcase_add_test(tcase, test_strict_is_exactly_the_share_also_when_idle);
    tcase_add_loop_test(tcase, test_strict_parts_do_not_depend_on_the_unit, 0, 2);
    tcase_add_test(tcase, test_what_was_held_for_centuries_is_charged);
    tcase_add_test(tcase, test_fair_gives_what_is_idle_to_who_wants_it_up_to_its_ceiling);
    tcase_add_test(tcase, test_a_turn_is_kept_for_a_moment_and_no_longer);
    return suite_run(suite);
}
