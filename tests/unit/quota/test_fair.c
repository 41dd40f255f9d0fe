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

        HOLDS(jb_coord_request(coord, &want, &tickets[i]) == 0);
    }
    for (int step = 0; step < 50000; step++) {
        uint32_t who = 0;
        uint64_t length = 1 + dice((uint32_t)longest);
        jb_want want;

        while (jb_coord_poll(coord, &tickets[who], &lease) != 1)
            who++;
        want = want_of(who, JB_CLASS_NORMAL, &amount);
        HOLDS(jb_coord_request(coord, &want, &tickets[who]) == 0);
        test_now_ns += length;
        HOLDS(jb_lease_release(coord, &lease) == 0);
        had[who] += (double)length / components[who].weight;
        for (uint32_t i = 0; i < N_COMPONENTS; i++) {
            for (uint32_t j = 0; j < i; j++) {
                double apart = had[i] - had[j];

                most[i][j] = apart > most[i][j] ? apart : most[i][j];
                least[i][j] = apart < least[i][j] ? apart : least[i][j];
                HOLDS(most[i][j] - least[i][j] <= (double)longest / components[i].weight +
                                                      (double)longest / components[j].weight + 1e4);
            }
        }
    }
    jb_coord_close(coord);
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
            HOLDS(jb_lease_release(coord, &lease) == 0);
            low = ask_mem(coord, BOB, JB_CLASS_LOW, 100);
            began = test_now_ns;
        }
        HOLDS(test_now_ns - began <= bound);
    }
    jb_coord_close(coord);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fair");
    TCase *tcase = suite_case(suite, "fair");

    tcase_add_loop_test(tcase, test_any_interval_of_backlog_is_fair_within_a_step_of_each, 0, 4);
    tcase_add_loop_test(tcase, test_low_waits_no_longer_than_the_bound, 0, 4);
    return suite_run(suite);
}
