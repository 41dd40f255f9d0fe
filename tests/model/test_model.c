/*
 * test_model.c: the ring's protocol under every order of its steps, with a death before any of
 * them.
 *
 * Usage: test_model                    what `./dev test` runs
 *        test_model deep               one switch and one death more: minutes, and gigabytes
 *        test_model NAME               one scenario
 *        test_model NAME SCHEDULE      replay what a failure has printed, step by step
 *
 * Explored is sequential consistency alone: orders of whole operations. That the fences are right
 * for weaker machines is for ThreadSanitizer and the stress tests to find.
 */
#include "world.h"

#include "support/suite.h"

#include <stdio.h>
#include <time.h>

#define ANY UINT32_MAX

struct scenario {
    const char *name;
    unsigned n_threads;
    unsigned n_deaths;
    unsigned n_switches; /* bound of the short run; ANY: none */
    struct world_setup setup;
    void (*run)(unsigned thread);
};

static const struct scenario *now;
static bool is_deep;
static const char *only; /* this scenario; NULL: all */

static void reset(void)
{
    world_reset(&now->setup);
}

static struct explore_model model_of(const struct scenario *scenario)
{
    now = scenario;
    return (struct explore_model){
        .name = scenario->name,
        .n_threads = scenario->n_threads,
        .n_deaths = scenario->n_deaths,
        .shared = world_shared,
        .shared_bytes = world_shared_bytes,
        .is_step = world_is_step,
        .reset = reset,
        .run = scenario->run,
        .on_death = world_on_death,
        .check = world_check,
        .check_end = world_check_end,
        .on_idle = world_on_idle,
    };
}

static void publish_twice(unsigned thread)
{
    world_publish(1 + thread % 2);
    world_publish(1);
}

static void publish_once(unsigned thread)
{
    world_publish(1);
}

/* One is stopped anywhere while another goes round twice. */
static void publish_laps(unsigned thread)
{
    for (unsigned i = 0; i < (thread ? 18u : 1u); i++)
        world_publish(1);
}

static void publish_batches(unsigned thread)
{
    if (thread == 0)
        world_publish_batch(2);
    world_publish(1);
    if (thread == 1)
        world_publish_batch(2);
}

static void abort_and_leave(unsigned thread)
{
    if (thread == 0) {
        world_claim_and_abort(1);
        world_publish(1);
    } else {
        world_publish(2);
        world_claim_and_leave(1);
    }
}

/* Thread 0 reads, the others publish. */

/* As many as the ring has room for. */
static void aborts_all_over(unsigned thread)
{
    if (thread == 0) {
        world_join(JB_SUB_LOSSLESS, WORLD_FROM_OLDEST);
        world_read(1, 1);
    } else {
        for (int i = 0; i < 9; i++)
            world_claim_and_abort(1);
    }
}

static void lossless(unsigned thread)
{
    if (thread == 0) {
        world_join(JB_SUB_LOSSLESS, WORLD_FROM_OLDEST);
        world_read(4, 2);
        world_close();
    } else {
        for (int i = 0; i < 3; i++)
            world_publish(1);
    }
}

static void lossless_newest(unsigned thread)
{
    if (thread == 0) {
        world_join(JB_SUB_LOSSLESS, WORLD_FROM_NEWEST);
        world_read(2, 1);
    } else {
        for (int i = 0; i < 3; i++)
            world_publish(1);
    }
}

static void lossless_once(unsigned thread)
{
    if (thread == 0) {
        world_join(JB_SUB_LOSSLESS, WORLD_FROM_OLDEST);
        world_read(2, 2);
    } else {
        world_publish(1);
    }
}

static void evicted(unsigned thread)
{
    if (thread == 0) {
        world_join(JB_SUB_LOSSLESS, WORLD_FROM_OLDEST);
        world_read(2, 1);
    } else {
        for (int i = 0; i < 5; i++)
            world_publish(1);
    }
}

static void latest(unsigned thread)
{
    if (thread == 0) {
        world_join(JB_SUB_LATEST, WORLD_FROM_OLDEST);
        world_read(3, 2);
    } else {
        for (int i = 0; i < 11; i++)
            world_publish(1);
    }
}

static void latest_batches(unsigned thread)
{
    if (thread == 0) {
        world_join(JB_SUB_LATEST, WORLD_FROM_OLDEST);
        world_read(5, 1);
    } else {
        for (int i = 0; i < 6; i++)
            world_publish_batch(2);
    }
}

static void latest_once(unsigned thread)
{
    if (thread == 0) {
        world_join(JB_SUB_LATEST, WORLD_FROM_OLDEST);
        world_read(2, 2);
    } else {
        world_publish(1);
    }
}

static void sleeper(unsigned thread)
{
    if (thread == 0) {
        world_join(JB_SUB_LOSSLESS, WORLD_FROM_NEWEST);
        world_read_asleep(1, 3);
    } else {
        world_publish(1);
    }
}

static const struct scenario scenarios[] = {
    {"two publishers, empty ring", 2, 1, ANY, {8, 0, false, false}, publish_twice},
    {"two publishers, end of a lap", 2, 1, ANY, {8, 7, false, false}, publish_twice},
    {"two publishers, full ring", 2, 1, ANY, {8, 8, false, false}, publish_twice},
    {"batches, full ring", 2, 1, ANY, {8, 8, false, false}, publish_batches},
    {"three publishers, full ring", 3, 1, 3, {8, 8, false, false}, publish_once},
    {"one stopped for two laps", 2, 1, 3, {8, 3, false, false}, publish_laps},
    {"one stopped and revoked", 2, 1, 3, {8, 3, true, false}, publish_laps},
    {"aborts and a claim left open", 2, 1, ANY, {8, 6, false, false}, abort_and_leave},
    {"lossless reader, nothing but aborts", 2, 1, 3, {8, 0, false, false}, aborts_all_over},
    {"lossless reader, full ring", 2, 1, ANY, {8, 8, false, false}, lossless},
    {"lossless reader begins at the newest", 2, 1, ANY, {8, 8, false, false}, lossless_newest},
    {"lossless reader, two publishers", 3, 1, 3, {8, 8, false, false}, lossless_once},
    {"lossless reader, evicted", 2, 1, 3, {8, 8, false, true}, evicted},
    {"latest reader, overtaken", 2, 1, 3, {8, 8, false, false}, latest},
    {"latest reader, overtaken by batches", 2, 1, 3, {8, 8, false, false}, latest_batches},
    {"latest reader, two publishers", 3, 1, 3, {8, 8, false, false}, latest_once},
    {"sleeper, two publishers", 3, 1, 3, {8, 0, false, false}, sleeper},
};

enum { N_SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

static void explore_scenario(const struct scenario *scenario)
{
    struct explore_limits limits = {scenario->n_switches, MODEL_EXECUTIONS};
    struct explore_model model = model_of(scenario);
    struct explore_figures f;
    const char *complaint;
    clock_t start = clock();

    if (is_deep) {
        limits.n_switches += limits.n_switches == ANY ? 0 : 1;
        limits.n_executions = UINT64_MAX;
        model.n_deaths++;
    }
    complaint = explore(&model, &limits, &f);
    printf("%-38s %9llu states %9llu executions %8llu ends, depth %u, %.1f s%s\n", scenario->name,
           (unsigned long long)f.n_states, (unsigned long long)f.n_executions,
           (unsigned long long)f.n_ends, f.depth, (double)(clock() - start) / CLOCKS_PER_SEC,
           f.is_complete ? "" : " (cut short)");
    fflush(stdout);
    ck_assert_msg(!complaint, "%s", complaint);
}

START_TEST(test_every_order)
{
    if (!only || strcmp(only, scenarios[_i].name) == 0)
        explore_scenario(&scenarios[_i]);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("model");
    TCase *tc = suite_case(suite, "model");

    if (argc == 3) {
        setvbuf(stdout, NULL, _IONBF, 0);
        for (int i = 0; i < N_SCENARIOS; i++) {
            struct explore_model model;
            const char *complaint;

            if (strcmp(scenarios[i].name, argv[1]) != 0)
                continue;
            model = model_of(&scenarios[i]);
            complaint = explore_replay(&model, argv[2]);
            puts(complaint ? complaint : "nothing is wrong");
            return !complaint;
        }
        return 2;
    }
    is_deep = argc == 2 && strcmp(argv[1], "deep") == 0;
    only = argc == 2 && !is_deep ? argv[1] : NULL;
    tcase_set_timeout(tc, 0);
    tcase_add_loop_test(tc, test_every_order, 0, N_SCENARIOS);
    return suite_run(suite);
}
