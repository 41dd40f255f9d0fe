/*
 * test_fair.c: whatever the weights, lengths and classes are: time goes by weight over any
 * interval, and nobody waits longer than the bound.
 */
#include "quota.h"

/* Components that always want the device, of random weights, with steps of random lengths: over any
 * interval what two of them had, by weight, differs by no more than one step of each. The greatest
 * difference over all intervals is that between the extremes since the beginning. */
START_TEST(test_any_interval_of_backlog_is_fair_within_a_step_of_each)
{
    const uint64_t longest = 12 * MS;
    jb_resource_spec gpu = {.name = "gpu", .kind = JB_RESOURCE_GPU_TIME, .capacity = 1};
    jb_component_spec components[N_COMPONENTS] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
    jb_amount amount = {.resource = 0, .amount = 1};
    double most[N_COMPONENTS][N_COMPONENTS] = {{0}}, least[N_COMPONENTS][N_COMPONENTS] = {{0}};
    double had[N_COMPONENTS] = {0};
    jb_coord *coord;
    jb_ticket tickets[N_COMPONENTS];
    jb_coord_opts opts;
    jb_lease lease;

    seed = 5 + (uint64_t)_i;
    small_opts(&opts);
    for (uint32_t i = 0; i < N_COMPONENTS; i++)
        components[i].weight = 1 + dice(9);
    opts.resources = &gpu;
    opts.n_resources = 1;
    opts.components = components;
    opts.aging_ns = 1000000 * S;
    coord = open_coord(NULL, &opts);
    for (uint32_t i = 0; i < N_COMPONENTS; i++) {
        jb_want want = want_of(i, JB_CLASS_NORMAL, &amount);

        must(jb_coord_request(coord, &want, &tickets[i]) == 0);
    }
    for (int step = 0; step < 50000; step++) {
        uint32_t who = 0;
        uint64_t length = 1 + dice((uint32_t)longest);
        jb_want want;

        while (jb_coord_poll(coord, &tickets[who], &lease) != 1)
            who++;
        want = want_of(who, JB_CLASS_NORMAL, &amount);
        must(jb_coord_request(coord, &want, &tickets[who]) == 0);
        test_now_ns += length;
        must(jb_lease_release(coord, &lease) == 0);
        had[who] += (double)length / components[who].weight;
        for (uint32_t i = 0; i < N_COMPONENTS; i++) {
            for (uint32_t j = 0; j < i; j++) {
                double apart = had[i] - had[j];

                most[i][j] = apart > most[i][j] ? apart : most[i][j];
                least[i][j] = apart < least[i][j] ? apart : least[i][j];
                must(most[i][j] - least[i][j] <= (double)longest / components[i].weight +
                                                     (double)longest / components[j].weight + 1e4);
            }
        }
    }
    jb_coord_close(coord);
}
END_TEST

/* Bob and carol, 3 to 1, always have wants in line for parts of a resource, and alice, if she is
 * there, goes before both for what she is guaranteed. Returns how many bob had for each of carol's.
 * */
static double side_by_side(uint64_t amount_each, uint64_t hold_ns, bool with_alice)
{
    enum { DEEP = 24 };
    const jb_share_spec share = {.component = ALICE, .resource = 0, .guaranteed = 50};
    const jb_resource_spec mem = {.name = "mem", .kind = JB_RESOURCE_MEMORY, .capacity = 100};
    const jb_component_spec components[] = {
        {.name = "a", .weight = 1}, {.name = "b", .weight = 300}, {.name = "c", .weight = 100}};
    jb_amount amount = {.resource = 0, .amount = amount_each};
    uint64_t n_ended[N_COMPONENTS] = {0};
    jb_ticket tickets[N_COMPONENTS][DEEP];
    jb_lease leases[N_COMPONENTS][DEEP];
    jb_coord_opts opts;
    jb_coord *coord;

    memset(leases, 0, sizeof leases);
    small_opts(&opts);
    opts.resources = &mem;
    opts.n_resources = 1;
    opts.components = components;
    opts.shares = &share;
    opts.n_shares = with_alice;
    opts.aging_ns = 1000000 * S;
    opts.max_leases = opts.max_waiters = N_COMPONENTS * DEEP;
    coord = open_coord(NULL, &opts);
    for (uint32_t step = 0; step < 8000; step++) {
        for (uint32_t at = with_alice ? 0 : DEEP; at < N_COMPONENTS * DEEP; at++) {
            jb_lease *lease = &leases[at / DEEP][at % DEEP];
            jb_ticket *ticket = &tickets[at / DEEP][at % DEEP];
            jb_want want = want_of(at / DEEP, JB_CLASS_NORMAL, &amount);

            if (lease->token && test_now_ns - lease->granted_ns >= hold_ns) {
                must(jb_lease_release(coord, lease) == 0);
                lease->token = 0;
                n_ended[at / DEEP]++;
                must(jb_coord_request(coord, &want, ticket) == 0);
            } else if (step == 0) {
                must(jb_coord_request(coord, &want, ticket) == 0);
            }
        }
        for (uint32_t at = with_alice ? 0 : DEEP; at < N_COMPONENTS * DEEP; at++) {
            if (leases[at / DEEP][at % DEEP].token == 0)
                (void)jb_coord_poll(coord, &tickets[at / DEEP][at % DEEP],
                                    &leases[at / DEEP][at % DEEP]);
        }
        test_now_ns += hold_ns / 8;
    }
    jb_coord_close(coord);
    must(n_ended[CAROL] > 0);
    return (double)n_ended[BOB] / (double)n_ended[CAROL];
}

START_TEST(test_leases_side_by_side_go_by_weight_however_short)
{
    const uint64_t holds[] = {MS, 10 * MS, 100 * MS};
    const uint64_t amounts[] = {100, 50, 10};

    for (size_t i = 0; i < 9; i++) {
        double ratio = side_by_side(amounts[i / 3], holds[i % 3], false);

        ck_assert_double_ge(ratio, 2.8);
        ck_assert_double_le(ratio, 3.2);
    }
}
END_TEST

START_TEST(test_one_served_out_of_order_does_not_change_the_others_parts)
{
    double ratio = side_by_side(50, 10 * MS, true);

    ck_assert_double_ge(ratio, 2.8);
    ck_assert_double_le(ratio, 3.2);
}
END_TEST

/* Always in line for the same again. */
struct stream {
    jb_want want;
    jb_ticket ticket;
};

static void run_for(jb_coord *coord, struct stream *streams, uint32_t n, uint64_t ns)
{
    for (uint64_t end_ns = test_now_ns + ns; test_now_ns < end_ns; test_now_ns += MS) {
        for (uint32_t i = 0; i < n; i++) {
            jb_lease lease;

            if (streams[i].ticket.id == 0 || jb_coord_poll(coord, &streams[i].ticket, &lease) == 1)
                must(jb_coord_request(coord, &streams[i].want, &streams[i].ticket) == 0);
        }
    }
}

static uint64_t used_mem(jb_coord *coord, uint32_t component)
{
    jb_share_info info;

    must(jb_coord_share_at(coord, component, MEM, &info) == 0);
    return info.used_ns;
}

/* Carol waits all along, for more than comes free at a time, or behind all others for what she used
 * of another resource; alice runs alone, and bob comes. */
START_TEST(test_who_comes_late_gets_no_more_than_its_share)
{
    const jb_component_spec components[] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
    const jb_amount half = {.resource = MEM, .amount = 50}, all = {.resource = GPU, .amount = 1000};
    const jb_amount carols[2][2] = {
        {{.resource = MEM, .amount = 100}},
        {{.resource = MEM, .amount = 50}, {.resource = GPU, .amount = 1}}};
    jb_want used = want_of(CAROL, JB_CLASS_NORMAL, &all);
    jb_want waits = want_of(CAROL, JB_CLASS_NORMAL, carols[_i]);
    struct stream streams[4];
    uint64_t alice;
    jb_coord_opts opts;
    jb_coord *coord;
    jb_ticket ticket;
    jb_lease lease;

    small_opts(&opts);
    opts.components = components;
    opts.aging_ns = 1000000 * S;
    coord = open_coord(NULL, &opts);
    must(jb_coord_try(coord, &used, &lease) == 0);
    test_now_ns += 100 * S;
    must(jb_lease_release(coord, &lease) == 0);
    for (uint32_t i = 0; i < 4; i++) {
        streams[i] = (struct stream){.want = want_of(i / 2, JB_CLASS_NORMAL, &half)};
        streams[i].want.hold_ns = 10 * MS;
    }
    run_for(coord, streams, 1, 5 * MS);
    run_for(coord, streams, 2, 5 * MS);
    waits.n_amounts = 1 + (uint32_t)_i;
    must(jb_coord_request(coord, &waits, &ticket) == 0);
    run_for(coord, streams, 2, 2 * S);
    alice = used_mem(coord, ALICE);
    run_for(coord, streams, 4, S);
    must(jb_coord_poll(coord, &ticket, &lease) == 0);
    alice = used_mem(coord, ALICE) - alice;
    ck_assert_uint_le(used_mem(coord, BOB), alice + 20 * MS);
    ck_assert_uint_le(alice, used_mem(coord, BOB) + 20 * MS);
    finish(coord);
}
END_TEST

/* Both had leases of 10 ms, and bob one of a nanosecond after it; both want all places. */
START_TEST(test_a_lease_of_a_moment_does_not_make_the_next_ones_cheap)
{
    const jb_component_spec components[] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
    uint32_t n[2] = {0, 0};
    jb_ticket tickets[100][2];
    jb_coord_opts opts;
    jb_lease lease, holder;
    jb_coord *coord;

    small_opts(&opts);
    opts.components = components;
    opts.max_leases = opts.max_waiters = 200;
    coord = open_coord(NULL, &opts);
    for (uint32_t i = 0; i < 3; i++) {
        must(try_mem(coord, i ? BOB : ALICE, 1, 0, &lease) == 0);
        test_now_ns += i < 2 ? 10 * MS : 1;
        must(jb_lease_release(coord, &lease) == 0);
    }
    must(try_mem(coord, CAROL, 100, 0, &holder) == 0);
    for (uint32_t i = 0; i < 200; i++)
        tickets[i / 2][i % 2] = ask_mem(coord, i % 2, JB_CLASS_NORMAL, 1);
    must(jb_lease_release(coord, &holder) == 0);
    for (uint32_t i = 0; i < 200; i++)
        n[i % 2] += jb_coord_poll(coord, &tickets[i / 2][i % 2], &lease) == 1;
    ck_assert_uint_eq(n[ALICE] + n[BOB], 100);
    ck_assert_uint_ge(n[ALICE], 40);
    finish(coord);
}
END_TEST

/* Others of every higher class without end, each held for up to H; n of them may be due before. */
START_TEST(test_low_waits_no_longer_than_the_bound)
{
    enum { OTHERS = 6 };
    const uint64_t longest = 10 * MS;
    jb_ticket low, others[OTHERS];
    uint64_t began, bound;
    jb_coord *coord;
    jb_coord_opts opts;
    jb_lease lease, on[OTHERS + 1];
    uint32_t n_on = 0;

    seed = 77 + (uint64_t)_i;
    small_opts(&opts);
    opts.aging_ns = 25 * MS;
    opts.max_hold_ns = longest;
    bound = 4 * opts.aging_ns + (OTHERS + 1) * longest;
    coord = open_coord(NULL, &opts);
    for (int i = 0; i < OTHERS; i++)
        others[i] = ask_mem(coord, ALICE, JB_CLASS_NORMAL + dice(3), 20 + dice(80));
    low = ask_mem(coord, BOB, JB_CLASS_LOW, 100);
    began = test_now_ns;
    for (int step = 0; step < 40000; step++) {
        test_now_ns += dice(MS);
        for (int i = 0; i < OTHERS; i++) {
            if (jb_coord_poll(coord, &others[i], &lease) != 0) {
                others[i] = ask_mem(coord, dice(2) ? ALICE : CAROL, JB_CLASS_NORMAL + dice(3),
                                    20 + dice(80));
                on[n_on < OTHERS ? n_on++ : dice(OTHERS)] = lease;
            }
        }
        if (n_on && dice(4) == 0)
            (void)jb_lease_release(coord, &on[--n_on]);
        if (jb_coord_poll(coord, &low, &lease) == 1) {
            must(jb_lease_release(coord, &lease) == 0);
            low = ask_mem(coord, BOB, JB_CLASS_LOW, 100);
            began = test_now_ns;
        }
        must(test_now_ns - began <= bound);
    }
    jb_coord_close(coord);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fair");
    TCase *tcase = suite_case(suite, "fair");

    tcase_add_loop_test(tcase, test_any_interval_of_backlog_is_fair_within_a_step_of_each, 0, 4);
    tcase_add_test(tcase, test_leases_side_by_side_go_by_weight_however_short);
    tcase_add_test(tcase, test_one_served_out_of_order_does_not_change_the_others_parts);
    tcase_add_loop_test(tcase, test_who_comes_late_gets_no_more_than_its_share, 0, 2);
    tcase_add_test(tcase, test_a_lease_of_a_moment_does_not_make_the_next_ones_cheap);
    tcase_add_loop_test(tcase, test_low_waits_no_longer_than_the_bound, 0, 4);
    return suite_run(suite);
}
