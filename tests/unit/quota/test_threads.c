/*
 * test_threads.c: many threads in one coordinator: no two ever have the last unit, everybody is
 * served, and the race detector is silent.
 */
#include "quota.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { N_THREADS = 6, ROUNDS = 2000, CAPACITY = 3 };

static jb_coord *coords[2];
static _Atomic int n_inside, n_served;

static void hold(jb_coord *coord, jb_lease *lease)
{
    if (atomic_fetch_add(&n_inside, 1) >= CAPACITY)
        abort();
    sched_yield();
    atomic_fetch_sub(&n_inside, 1);
    if (jb_lease_release(coord, lease) != 0)
        abort();
    atomic_fetch_add(&n_served, 1);
}

/* Two of three ways to ask wait, the third does not. */
static void *work(void *userdata)
{
    uint32_t self = (uint32_t)(uintptr_t)userdata;
    jb_coord *coord = coords[self % 2];
    jb_amount amount = {.resource = 0, .amount = 1};
    jb_want want = {.component = self % 2,
                    .lease_class = JB_CLASS_LOW + self % 4,
                    .n_amounts = 1,
                    .amounts = &amount};
    jb_ticket ticket;
    jb_lease lease;

    for (uint32_t i = 0; i < ROUNDS; i++) {
        int rc;

        if (i % 3 == 0) {
            if (jb_coord_request(coord, &want, &ticket) != 0)
                abort();
            while ((rc = jb_coord_wait(coord, &ticket, S, &lease)) == 0)
                ;
            if (rc != 1)
                abort();
        } else if (i % 3 == 1) {
            if (jb_coord_acquire(coord, &want, UINT64_MAX, &lease) != 0)
                abort();
        } else if (jb_coord_try(coord, &want, &lease) != 0) {
            continue;
        }
        hold(coord, &lease);
    }
    return NULL;
}

static void run(void)
{
    pthread_t threads[N_THREADS];

    atomic_store(&n_inside, 0);
    atomic_store(&n_served, 0);
    for (uintptr_t i = 0; i < N_THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, work, (void *)i), 0);
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_ge(n_served, N_THREADS * (ROUNDS / 3) * 2);
    audit(coords[0]);
    ck_assert_uint_eq(allocated(coords[0], 0), 0);
}

static jb_coord *open_slots(const char *name)
{
    static const jb_resource_spec slots = {
        .name = "slots", .kind = JB_RESOURCE_CALLS, .capacity = CAPACITY};
    static const jb_component_spec components[] = {{.name = "a"}, {.name = "b", .weight = 2}};
    jb_coord_opts opts;

    jb_coord_opts_init(&opts, sizeof opts);
    opts.resources = &slots;
    opts.n_resources = 1;
    opts.components = components;
    opts.n_components = 2;
    return open_coord(name, &opts);
}

START_TEST(test_threads_of_one_coordinator)
{
    coords[0] = coords[1] = open_slots(NULL);
    run();
    jb_coord_close(coords[0]);
}
END_TEST

START_TEST(test_threads_of_two_handles_on_one_segment)
{
    char name[64];

    snprintf(name, sizeof name, "test-quota-threads-%d", (int)getpid());
    coords[0] = open_slots(name);
    coords[1] = open_slots(name);
    run();
    jb_coord_close(coords[0]);
    jb_coord_close(coords[1]);
    ck_assert_int_eq(jb_coord_unlink(name, NULL), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("threads");
    TCase *tcase = suite_case(suite, "threads");

    tcase_add_test(tcase, test_threads_of_one_coordinator);
    tcase_add_test(tcase, test_threads_of_two_handles_on_one_segment);
    return suite_run(suite);
}
